"""The packages `reports` and helpers/run.py: from a question to a folder that is whole, or to an error that helps."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from known import course_started, few_for_embedded

from helpers import door
from helpers.errors import CourseError
from reports import cli, execute, plans, times
from reports import runs as reports

CELLS = {
    "parameters": """size: int = 3  # 1 to 9; how many rows
fail: str = "no"  # no | bug | user | die | sleep; how to fail
seed: int = 0  # 0 to 99; draws""",
    "start": "from helpers.run import start\nrun = start(globals())",
    "work": """import os, signal, time
import matplotlib.pyplot as plt
import pandas as pd
import torch
from helpers import stats
from helpers.errors import CourseError

run.metric("draw", torch.rand(()))
run.metric("mean", stats.mean([1.0, 2.0, 3.0], of="rows"), better="higher")
run.table(pd.DataFrame({"row": range(size), "third": 1 / 3}), "rows", "Some rows")
figure, axis = plt.subplots(figsize=(2, 2))
run.figure(figure, "a box", alt="An empty box.", cover=True)
run.claim("one is one", paper=1, seen=stats.fact(True, "1", "counted"))
run.control("nothing is known", seen=None, why="not tried")""",
    "fail": """if fail == "bug":
    1 / 0
if fail == "user":
    raise CourseError("the size is wrong. Give another")
if fail == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if fail == "sleep":
    time.sleep(60)""",
    "end": "run.claims()\nrun.answer('It is done.')",
}


@pytest.fixture
def demo(tmp_path, data_home):
    book = nbformat.v4.new_notebook()
    book.cells.append(nbformat.v4.new_markdown_cell("# A demo\n\nIt has one equation, $x^2$."))
    for tag, source in CELLS.items():
        book.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]}))
    nbformat.write(book, tmp_path / "demo.ipynb")
    return tmp_path / "demo.ipynb"


def run(demo, tmp_path, force=False, **given):
    return reports.run(reports.plan(str(demo), given=given), tmp_path / "out", force)


def left_behind(tmp_path):
    return [p.name for p in (tmp_path / "out").rglob(".*")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run of the demo, with its folder, shared by the tests that only look."""
    tmp_path = tmp_path_factory.mktemp("finished")
    book = nbformat.v4.new_notebook()
    book.cells.append(nbformat.v4.new_markdown_cell("# A demo"))
    for tag, source in CELLS.items():
        book.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]}))
    nbformat.write(book, tmp_path / "demo.ipynb")
    folder, status = run(tmp_path / "demo.ipynb", tmp_path, size="4")
    assert status == "finished"
    return folder


def test_a_runs_folder_holds_everything_the_design_names(finished):
    names = {p.relative_to(finished).as_posix() for p in finished.rglob("*") if p.is_file()}
    assert names == {
        "report.html", "results.json", "executed.ipynb", "params.yaml", "run.log",
        "tables/rows.csv", "figures/a_box.png",
    }  # fmt: skip


def test_results_hold_parameters_metrics_claims_provenance_and_status(finished):
    results = reports.results(finished)
    assert results["status"] == "finished"
    assert results["title"] == "A demo"
    assert results["answer"] == "It is done."
    assert results["parameters"] == {"size": 4, "fail": "no", "seed": 0}
    assert results["changed"] == ["size"]
    assert 0 <= results["metrics"]["draw"] < 1
    assert [(c["kind"], c["verdict"], c["holds"]) for c in results["claims"]] == [
        ("paper", "holds", True),
        ("control", "not judged", None),
    ]
    assert results["estimates"]["mean"]["low"] < results["metrics"]["mean"] < results["estimates"]["mean"]["high"]
    assert {"versions", "git_commit", "seed", "device", "wall_s", "peak_mb", "data", "weights"} <= set(
        results["provenance"]
    )


def test_a_run_notes_how_long_each_cell_and_section_took(finished):
    past = reports.results(finished)["provenance"]
    assert [one["about"] for one in past["cells"]] == [
        "size: int = 3  # 1 to 9; how many rows",
        "Parameters",
        "from helpers.run import start",
        "import os, signal, time",
        'if fail == "bug":',
        "run.claims()",
    ]
    assert [one["cell"] for one in past["cells"]] == [1, 2, 3, 4, 5, 6]
    (section,) = past["sections"]
    assert (section["section"], section["cells"]) == ("A demo", 6)
    assert section["seconds"] == pytest.approx(sum(one["seconds"] for one in past["cells"]))
    assert 0 < section["seconds"] < past["wall_s"]
    assert set(past["code"]) == {"notebook", "helpers and data_scripts"}


def test_the_record_of_the_page_tells_what_was_changed_and_what_took_how_long(finished):
    soup = BeautifulSoup((finished / "report.html").read_text("utf-8"), "html.parser")
    record = soup.select_one("details.record")
    entries = {entry.dt.text: entry.dd.get_text(" ", strip=True) for entry in record.select("dl > div")}
    assert entries["changed from the defaults"] == "size 4"
    assert {"peak_mb", "wall_s", "code"} <= set(entries)
    assert not {"cells", "sections"} & set(entries)
    by_section, by_cell = record.select("table")
    assert by_section.caption.text.startswith("Time by section: ")
    assert [row.th.text for row in by_section.select("tbody tr")] == ["A demo"]
    seconds = [float(row.select("td")[-1].text) for row in by_cell.select("tbody tr")]
    assert len(seconds) == 6
    assert seconds == sorted(seconds, reverse=True)


def test_the_results_inside_the_page_are_those_of_the_folder(finished):
    soup = BeautifulSoup((finished / "report.html").read_text("utf-8"), "html.parser")
    inside = soup.select_one("a[download='results.json']")["href"].partition("base64,")[2]
    assert base64.b64decode(inside) == (finished / "results.json").read_bytes()


def test_sections_are_headings_and_comments_in_code_are_none():
    def cell(kind, source, took=None):
        made = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}[kind](source)
        made.metadata["papermill"] = {"duration": took}
        return made

    book = nbformat.v4.new_notebook(
        cells=[
            cell("code", "a", 1.0),
            cell("markdown", "# T\n\n## 1 · One ##\n```\n# no heading\n```\n", 0.1),
            cell("code", "# First", 2.0),
            cell("markdown", "no heading #"),
            cell("code", "b", 0.25),
            cell("markdown", "## 2 · Two (5 minutes)"),
            cell("code", "c"),  # did not run
            cell("markdown", "## 3 · Three (15 minutes; optional at first)"),
            cell("code", "def f(x):", 0.5),
        ]
    )
    each = times.cells(book)
    assert [(one["section"], one["about"]) for one in each] == [
        ("", "a"), ("1 · One", "First"), ("1 · One", "b"), ("3 · Three", "f(x)"),
    ]  # fmt: skip
    assert times.sections(each) == [
        {"section": "", "cells": 1, "seconds": 1.0},
        {"section": "1 · One", "cells": 2, "seconds": 2.25},
        {"section": "3 · Three", "cells": 1, "seconds": 0.5},
    ]


def test_timing_is_told_also_of_a_run_that_is_there(finished, capsys):
    asked = [str(finished.parents[2] / "demo.ipynb"), "-p", "size=4", "--out", str(finished.parents[1]), "--timing"]
    assert cli.main(["run", *asked]) == 0
    said = capsys.readouterr().out
    past = reports.results(finished)["provenance"]
    assert "there already" in said
    assert f"demo: {past['wall_s']:.1f} s, of which {past['sections'][0]['seconds']:.1f} s in cells" in said
    assert re.search(r"^\d+\.\d +6 +A demo$", said, re.M)
    assert re.search(r"^\d+\.\d +\[4\] +A demo +import os, signal, time$", said, re.M)


def test_tables_are_kept_at_full_precision(finished):
    assert (finished / "tables" / "rows.csv").read_text("utf-8").splitlines()[1] == "0,0.3333333333333333"


def test_the_index_links_the_run(finished):
    page = (finished.parents[1] / "index.html").read_text("utf-8")
    assert f"demo/{finished.name}/report.html" in page


def test_the_same_question_has_the_same_folder_and_is_not_run_again(demo, tmp_path):
    folder, status = run(demo, tmp_path)
    stamp = (folder / "report.html").stat().st_mtime_ns
    assert run(demo, tmp_path) == (folder, "there already")
    assert (folder / "report.html").stat().st_mtime_ns == stamp
    forced, status = run(demo, tmp_path, force=True)
    assert status == "finished"
    assert forced.name == f"{folder.name}.2"
    assert reports.results(forced)["metrics"] == reports.results(folder)["metrics"]  # the seed is kept
    assert (folder / "report.html").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("change", ["parameter", "notebook", "weights"])
def test_another_question_has_another_folder(demo, tmp_path, change):
    before = reports.plan(str(demo)).run_id
    if change == "parameter":
        assert reports.plan(str(demo), given={"size": 4}).run_id != before
    if change == "notebook":
        demo.write_text(demo.read_text("utf-8").replace("It is done", "All done"))
        assert reports.plan(str(demo)).run_id != before
    if change == "weights":
        book = nbformat.read(demo, 4)
        book.cells[1].source = "weights: str = 'train'  # weights; w"
        nbformat.write(book, demo)
        ids = []
        for content in (b"one", b"two"):
            (tmp_path / "w.pth").write_bytes(content)
            ids.append(reports.plan(str(demo), given={"weights": str(tmp_path / "w.pth")}).run_id)
        assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("fail", "name", "said"),
    [("bug", "ZeroDivisionError", "division by zero"), ("user", "CourseError", "Give another")],
)
def test_a_failing_cell_still_gives_a_report_with_what_was_found(demo, tmp_path, fail, name, said):
    folder, status = run(demo, tmp_path, fail=fail)
    results = reports.results(folder)
    assert status == results["status"] == "failed"
    assert results["error"]["name"] == name
    assert said in results["error"]["message"]
    assert "draw" in results["metrics"]
    assert "run-error" in (folder / "report.html").read_text("utf-8")
    assert "Traceback" in (folder / "run.log").read_text("utf-8") or fail == "user"


def test_a_users_mistake_shows_no_traceback(demo, tmp_path):
    folder, _ = run(demo, tmp_path, fail="user")
    book = nbformat.read(folder / "executed.ipynb", 4)
    (error,) = [o for c in book.cells for o in c.get("outputs", ()) if o.output_type == "error"]
    assert len(error.traceback) == 1


def test_a_kernel_that_dies_is_a_failed_run_not_a_hanging_one(demo, tmp_path):
    folder, status = run(demo, tmp_path, fail="die")
    assert status == "failed"
    assert reports.reason(folder) == "DeadKernelError: the kernel was killed; most often the memory ran out"


@pytest.mark.parametrize(
    ("code", "said"),
    [(-9, "was killed; most often the memory"), (-11, "ended by signal 11"), (3, "by itself, with exit code 3")],
)
def test_how_a_kernel_ended_is_told(code, said):
    process = SimpleNamespace(poll=lambda: code)
    assert said in execute._death(SimpleNamespace(provisioner=SimpleNamespace(process=process)))


def test_a_failed_run_is_tried_again(demo, tmp_path):
    folder, _ = run(demo, tmp_path, fail="bug")
    again, status = run(demo, tmp_path, fail="bug")
    assert (again, status) == (folder, "failed")


@pytest.mark.parametrize(
    ("how", "sigint"),
    [(signal.SIGINT, "SIG_DFL"), (signal.SIGTERM, "SIG_DFL"), (signal.SIGINT, "SIG_IGN")],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C of a job in the background"],
)
def test_an_interrupt_leaves_no_folder_and_no_kernel(demo, tmp_path, how, sigint):
    with course_started("run", demo, "-p", "fail=sleep", "--out", tmp_path / "out", sigint=sigint) as process:
        deadline = time.monotonic() + 90
        while not list((tmp_path / "out").rglob("a_box.png")) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.2)
        process.send_signal(how)
        _, said = process.communicate(timeout=50)  # before the kernel is through with its 60 seconds of sleep
    assert process.returncode == 128 + how
    assert "interrupted" in said
    assert left_behind(tmp_path) == []
    assert not list((tmp_path / "out").rglob("results.json"))
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_a_name_is_used_once_in_a_report(tmp_path):
    from helpers.run import Run

    run = Run("demo", {"seed": 1}, str(tmp_path))
    run.metric("a", 1)
    with pytest.raises(ValueError, match="metric a is there already"):
        run.metric("a", 2)


def test_a_figure_without_a_description_is_refused():
    from matplotlib import pyplot as plt

    from helpers.run import Run

    figure, _ = plt.subplots()
    with pytest.raises(ValueError, match="alt is empty"):
        Run("demo", {}).figure(figure, "f", alt=" ")
    plt.close(figure)


def test_a_device_that_is_not_there_is_told():
    from helpers.run import Run

    with pytest.raises(CourseError, match="this machine lacks; use device=auto"):
        Run("demo", {"device": "mps"})


# the command line


HEAVY = ("torch", "torchvision", "pandas", "nbformat", "nbconvert", "papermill", "PIL", "matplotlib")
WITHOUT = f"""
import sys
from importlib.abc import MetaPathFinder
class No(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY}:
            raise AssertionError(f"{{name}} was imported")
sys.meta_path.insert(0, No())
from reports.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["list"], 0),
        (["params", "01_focus"], 0),
        (["run", "01_focus", "-p", "lr=9"], 2),
        (["run", "01_focus", "-p", "dataset=nowhere"], 2),
        (["run", "01_focus", "--profile", "qick"], 2),
        (["data", "prepare", "--help"], 0),
    ],
)
def test_what_needs_no_torch_starts_without_it(arguments, code):
    done = subprocess.run([sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, timeout=120)
    assert "was imported" not in done.stderr
    assert done.returncode == code


def test_a_run_builds_no_grammar_of_addresses():
    """It would take seconds of each; see reports/__init__.py."""
    code = "import sys, reports.runs; print(sys.modules.get('rfc3987_syntax'), sys.modules.get('lark'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "None"]


KNOBS = """dataset: str = "scenes"  # data set; the pictures
model: str = "resnet18"  # model; the network
n: int = 1  # 1 to 9; how many"""


@pytest.fixture
def named(tmp_path, data_home):
    """Two notebooks whose knobs name pictures that are there, and a network; `kept(book)` has it answered."""
    few_for_embedded(data_home, images=20, size=32)
    for name in ("one", "two"):
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {name}")])
        book.cells.append(nbformat.v4.new_code_cell(KNOBS, metadata={"tags": ["parameters"]}))
        nbformat.write(book, tmp_path / f"{name}.ipynb")
    return [tmp_path / "one.ipynb", tmp_path / "two.ipynb"]


def answered(book, out, name="", **given):
    """A finished run of this question, as far as its folder and status go."""
    folder = reports.plan(str(book), given=given).folder(out)
    folder = folder.with_name(folder.name + name)
    folder.mkdir(parents=True)
    (folder / "results.json").write_text('{"status": "finished"}')
    return folder


@pytest.mark.parametrize("everything", [False, True])
def test_what_is_answered_is_told_without_what_runs_a_notebook(named, tmp_path, everything):
    folders = [answered(book, tmp_path / "out") for book in named][: 2 if everything else 1]
    (tmp_path / "out/index.html").touch()
    books = f"from reports import plans\nplans.notebooks = lambda: [*map(plans.Path, {[*map(str, named)]})]\n"
    code = WITHOUT.replace("from reports.cli", f"{books}from reports.cli")
    command = [sys.executable, "-c", code, "run"]
    command += ["all" if everything else str(named[0]), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stderr, done.returncode) == ("", 0)
    told = [line for line in done.stdout.splitlines() if not line.endswith("index.html")]
    assert told == [f"{one.parent.name}: there already: {one / 'report.html'}" for one in folders]


def test_of_several_answers_the_newest_is_told(named, tmp_path):
    asked = (str(named[0]), None, None, {"n": "2"}, tmp_path / "out")
    assert plans.answered(*asked) is None
    folders = [answered(named[0], tmp_path / "out", name, n="2") for name in ("", ".2", ".10")]
    assert plans.answered(*asked) == folders[-1]


def test_an_answer_on_other_data_is_none(named, tmp_path, album):
    asked = (str(named[0]), None, None, {"dataset": str(album)}, tmp_path / "out")
    folder = answered(named[0], tmp_path / "out", dataset=str(album))
    assert plans.answered(*asked) == folder
    (album / "cat" / "0.png").unlink()
    assert plans.answered(*asked) is None


def test_values_that_are_not_the_profiles_are_told_as_such():
    usual = plans.plan("01_focus", "full")
    assert (usual.instead, usual.values["cascade_models"]) == ({}, 3)
    assert plans.plan("01_focus", "full", given={"cascade_models": 1, "tile": 32}).instead == {
        "cascade_models": 3,
        "tile": 0,
    }
    assert plans.plan("01_focus", given={"cascade_models": 2}).instead == {}


def course(capsys, *arguments):
    code = cli.main(list(arguments))
    return code, capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "01_focus", "-p", "methds=lrp"), "Did you mean `methods`"),
        (("run", "01_focus", "-p", "mosaics_per_class=abc"), "a whole number from 1 to 10000"),
        (("run", "01_focus", "-p", "tile"), "expected name=value"),
        (("run", "01_focus", "-p", "dataset=nowhere"), "no such folder"),
        (("run", "01_focus", "-p", "dataset="), "parameter `dataset` is []"),
        (("run", "02_facex", "-p", "dataset="), "its name is empty"),
        (("run", "01_focus", "-p", f"dataset={'x' * 300}"), "no such folder"),
        (("run", "01_focus", "-p", "dataset=~nobody-of-this-name/x"), "no such folder"),
        (("run", "01_focus", "-p", "weights=~nobody-of-this-name/x.pth"), "the path of a file that exists"),
        (("run", "01_focus", "-p", 'methods=["gradcm"]'), "`methods` is 'gradcm'"),
        (("run", "01_focus", "-p", "weights=nowhere.pth"), "the path of a file that exists"),
        (("run", "01_focus", "-p", "model=resnet81"), "Did you mean `resnet18`"),
        (("run", "01_focus", "--profile", "qick"), "Did you mean `quick`"),
        (("run", "01_focus", "-f", "nowhere.yaml"), "cannot be read"),
        (("run", "01_fcous"), "Did you mean `01_focus`"),
        (("params", "99"), "no notebook `99`"),
        (("data", "prepare", "scene"), "Did you mean `scenes`"),
    ],
)
def test_a_mistake_exits_with_2_and_starts_no_kernel(capsys, monkeypatch, arguments, said):
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("a kernel was started"))
    code, output = course(capsys, *arguments)
    assert code == 2
    assert said in output.err
    assert "Traceback" not in output.err


def test_a_question_that_is_another_one_here_is_refused_where_its_id_is_given(demo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("a kernel was started"))
    question = ("run", str(demo), "--out", str(tmp_path / "out"), "--id", reports.plan(str(demo)).run_id)
    code, output = course(capsys, *question, "-p", "seed=3")
    assert (code, "the question has another id here" in output.err) == (2, True)
    with pytest.raises(pytest.fail.Exception, match="a kernel was started"):
        course(capsys, *question)


def test_a_profile_whose_variable_is_not_set_says_so(capsys, monkeypatch):
    monkeypatch.delenv("COURSE_REAL_DATA", raising=False)
    code, output = course(capsys, "run", "01_focus", "--profile", "real")
    assert (code, "COURSE_REAL_DATA is not set" in output.err) == (2, True)


def test_later_settings_win(tmp_path, demo, monkeypatch):
    (tmp_path / "p.yaml").write_text("size: 5\nseed: 7\n")
    plan = reports.plan(str(demo), file=tmp_path / "p.yaml", given={"size": "6"})
    assert (plan.values["size"], plan.values["seed"]) == (6, 7)


def test_list_and_params_show_what_there_is(capsys):
    assert "01_focus" in course(capsys, "list")[1].out
    out = course(capsys, "params", "01_focus")[1].out
    assert "mosaics_per_class" in out
    assert "smoothgrad" in out


def test_doctor_says_what_is_here(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_REAL_DATA", str(tmp_path / "nowhere"))
    code, output = course(capsys, "doctor")
    assert code == 0
    for said in ("Python", "torch pair", "CUDA", "device", "disk", "chromium", "NOT FOUND"):
        assert said in output.out


def test_data_list_says_what_is_prepared(capsys, data_home, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    rows = [line.split() for line in course(capsys, "data", "list")[1].out.splitlines()]
    ready = {row[0]: row[1] for row in rows if len(row) > 3}
    assert ready["scenes"] == ready["celeba"] == ready["weights"] == "no"
    assert {*door.scripts(), "weights"} <= set(ready)


def test_a_place_that_cannot_be_written_is_told(capsys, demo, tmp_path):
    (tmp_path / "file").write_text("")
    code, output = course(capsys, "run", str(demo), "--out", str(tmp_path / "file"))
    assert (code, "Choose another: --out DIR" in output.err) == (2, True)


@pytest.mark.parametrize(("fail", "expected", "said"), [("user", 2, "Give another"), ("bug", 1, "ZeroDivisionError")])
def test_a_failed_run_exits_with_1_or_for_a_mistake_with_2_and_says_why(capsys, demo, tmp_path, fail, expected, said):
    code, output = course(capsys, "run", str(demo), "-p", f"fail={fail}", "--out", str(tmp_path / "out"))
    assert code == expected
    assert said in output.err
    assert "report.html" in output.out


def test_the_page_of_a_run_asks_nothing_of_the_network(finished, chromium):
    page = chromium.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((finished / "report.html").as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    assert page.locator("img").evaluate_all("all => all.every(i => i.alt && i.naturalWidth > 0)")
    page.close()


def test_results_are_json_that_any_reader_takes(finished):
    json.loads((finished / "results.json").read_text("utf-8"), parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))


def test_many_runs_can_start_at_once(demo, tmp_path):
    command = [sys.executable, "-m", "reports.cli", "run", str(demo), "--out", str(tmp_path / "out")]
    started = [subprocess.Popen([*command, "-p", f"seed={k}"], env=os.environ) for k in range(3)]
    assert [process.wait(timeout=180) for process in started] == [0, 0, 0]
    assert len(list((tmp_path / "out" / "demo").iterdir())) == 3
