"""The comparison of runs: who is marked best and when not, sweeps over seeds, what is never overwritten, the page."""

import csv
import io
import json

import nbformat
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from test_page import CONTRAST, HOSTILE, Looked, browser_page, work_of_opening  # noqa: F401

from helpers.errors import CourseError
from reports import agree, compare, grid, plans, plots, ranks, sweeps
from reports.cli import main
from reports.found import Found, Measure, everything, named, newest
from reports.place import Place

DATA = {"scenes": "0e6e0b341d98"}


def estimate(value, half=0.02, chance=0.5, better="higher"):
    return {
        "value": value, "low": value - half, "high": value + half, "chance": chance,
        "n": 100, "of": "mosaics", "level": 0.95, "better": better,
    }  # fmt: skip


def results(run_id="a", metrics=None, data=DATA, notebook="01_focus", status="finished", claims=(), **parameters):
    """What a run found; a metric is a number, or an estimate."""
    given = metrics or {"focus": estimate(0.8)}
    about = {name: one for name, one in given.items() if isinstance(one, dict)}
    return {
        "notebook": notebook, "title": "Where does it look?", "run_id": run_id, "status": status, "profile": "quick",
        "parameters": {"dataset": ["scenes"], "seed": 0, **parameters}, "changed": [], "error": None, "tables": [],
        "metrics": {name: one["value"] if isinstance(one, dict) else one for name, one in given.items()},
        "estimates": about, "claims": list(claims), "figures": [],
        "provenance": {"data": data, "weights": {"net": "w1"}, "started": "2026-11-30T04:00:00+00:00", "wall_s": 3.0},
    }  # fmt: skip


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def kept(out):
    """`kept("a", resolution=7)`: a run's folder below `out`, with its page; gives it as it is found."""

    def keep(run_id, **more):
        whole = results(run_id, **more)
        folder = out / whole["notebook"] / run_id
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(whole), "utf-8")
        (folder / "report.html").write_text("<title>a report</title>", "utf-8")
        return Found(folder, whole)

    return keep


def ranking(cells, **found):
    """The ranking of measures by label; every run finished, on the same data, unless `found` says otherwise."""
    runs = {label: Found(None, results(label) | found.get(label, {})) for label in cells}
    return ranks.ranking(cells, runs)


def measure(value, half=0.02, chance=0.5, better="higher"):
    return Measure(value, value - half, value + half, chance, 100, "mosaics", better)


def on(**data):
    return {"provenance": {"data": data}}


# ----------------------------------------------------------------------------------------- who is the best


def test_the_best_is_marked_where_its_interval_lies_beyond_all_others():
    found = ranking({"A": measure(0.9), "B": measure(0.8), "C": measure(0.7)})
    assert (found.word, found.best) == ("best", {"A"})


def test_lower_can_be_better():
    assert ranking({"A": measure(0.9, better="lower"), "B": measure(0.8, better="lower")}).best == {"B"}


def test_nobody_is_best_where_intervals_overlap():
    found = ranking({"A": measure(0.9), "B": measure(0.87), "C": measure(0.7)})
    assert (found.word, found.best) == ("cannot tell", frozenset())
    assert found.why == "B overlaps with A"


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (Measure(0.1, better="higher"), "no interval of B"),
        (Measure(0.1, 0.1, 0.1, better="higher"), "no interval of B"),  # an interval without width is no certainty
    ],
)
def test_without_an_interval_there_is_no_best(lacking, said):
    found = ranking({"A": measure(0.9, chance=None), "B": lacking})
    assert (found.word, found.best, found.why) == ("cannot tell", frozenset(), said)


def test_other_data_are_not_ranked_and_the_reason_is_said():
    found = ranking({"A": measure(0.9), "B": measure(0.7)}, B=on(photos="ffff"))
    assert (found.word, found.best) == ("not ranked", frozenset())
    assert "other data" in found.why


def test_other_chance_levels_are_not_ranked_and_the_reason_is_said():
    found = ranking({"A": measure(0.9), "B": measure(0.7, chance=0.25)})
    assert found.word == "not ranked"
    assert found.why == "not compared: other chance levels (0.25, 0.5)"


def test_each_data_set_has_a_best_of_its_own():
    cells = {"A": measure(0.9), "B": measure(0.7), "C": measure(0.3), "D": measure(0.5)}
    assert ranking(cells, C=on(photos="ffff"), D=on(photos="ffff")).best == {"A", "D"}


def test_runs_that_noted_no_data_or_did_not_finish_are_not_ranked():
    cells = {"A": measure(0.9), "B": measure(0.7)}
    assert ranking(cells, A=on(), B=on()).why == "A and B noted no data"
    assert ranking(cells, A={"status": "failed"}).word == "not ranked"


def test_a_metric_without_a_direction_has_no_best():
    cells = {"A": measure(0.9, better=None), "B": measure(0.7, better=None)}
    assert ranking(cells).why == "neither higher nor lower is better"


# -------------------------------------------------------------------------------------------------- sweeps


def swept(shifts, seeds=(0, 1, 2), name="resolution", noise=0.003):
    runs = [
        Found(None, results("r", {"focus": estimate(0.5 + shift + noise * seed)}, seed=seed, **{name: value}))
        for value, shift in shifts.items()
        for seed in seeds
    ]  # fmt: skip
    return sweeps.sweep(runs)


def test_seeds_repeat_a_setting_and_numbers_are_in_order():
    found = swept({28: 0.2, 7: 0.0, 14: 0.1})
    assert (found.parameters, found.settings) == (["resolution"], [(7,), (14,), (28,)])
    assert [len(runs) for runs in found.runs] == [3, 3, 3]


def test_the_interval_of_a_setting_is_students_over_its_seeds():
    point = sweeps.points(swept({7: 0.0, 14: 0.1}), "focus")[0]
    assert point.measure.value == pytest.approx(0.503)
    assert point.measure.high - point.measure.value == pytest.approx(4.303 * 0.003 / 3**0.5, rel=1e-3)
    assert point.rests == "3 seeds"


def test_two_seeds_have_no_interval_and_one_keeps_that_of_its_run():
    two, one = (sweeps.points(swept({7: 0.0, 14: 0.1}, seeds), "focus")[0] for seeds in ((0, 1), (0,)))
    assert (two.measure.low, two.measure.high) == (None, None)
    assert (one.measure.low, one.rests) == (pytest.approx(0.48), "100 mosaics")


def test_the_best_setting_is_told_seed_by_seed():
    """Seeds differ by far more than settings; within a seed the second is always ahead, by not quite the same."""
    runs = [
        Found(None, results("r", {"focus": estimate(0.3 * s + 0.1 * k + 0.01 * k * s)}, seed=s, k=k))
        for k in (0, 1)
        for s in (0, 1, 2)
    ]
    assert sweeps.best(sweeps.sweep(runs), "focus")[:2] == (1, "best")


def test_no_setting_is_best_where_seeds_differ_as_much():
    runs = [
        Found(None, results("r", {"focus": estimate(0.5 + jump)}, seed=seed, k=value))
        for value, jumps in ((0, (0.0, 0.1, -0.1)), (1, (0.1, -0.1, 0.05)))
        for seed, jump in enumerate(jumps)
    ]
    assert sweeps.best(sweeps.sweep(runs), "focus")[:2] == (None, "cannot tell")


def test_settings_on_other_data_are_not_ranked():
    runs = [
        Found(None, results("r", {"focus": estimate(0.5 + v + s / 100)}, {"d": str(v)}, seed=s, k=v))
        for v in (0, 1)
        for s in (0, 1, 2)
    ]
    assert sweeps.best(sweeps.sweep(runs), "focus") == (None, "not ranked", "not compared: other data")


def test_a_question_asked_again_is_no_second_seed():
    again = [Found(None, results("r", {"focus": estimate(0.5)})) for _ in range(3)]
    assert sweeps.sweep(again) is None


def test_what_each_run_measured_of_its_own_value_is_one_metric(kept, tmp_path):
    runs = [
        kept(
            f"{method}{seed}",
            metrics={f"focus.{method}": estimate(at * (1 + seed / 1000))},
            methods=[method],
            seed=seed,
        )
        for method, at in (("lrp", 0.6), ("gradcam", 0.8))
        for seed in range(3)
    ]
    whole = sweeps.sweep(runs)
    assert sweeps.key_metrics(whole) == ["focus.(methods)"]
    assert [one.measure.value for one in sweeps.points(whole, "focus.(methods)")] == pytest.approx([0.6006, 0.8008])
    assert sweeps.best(whole, "focus.(methods)")[:2] == (1, "best")
    assert "over its seeds, can be named for 1 of 1 metric " in compare.write(runs, Place(tmp_path / "c.html"))
    assert "stands for the value that each run has of it" in (tmp_path / "c.html").read_text("utf-8")


def test_a_metric_of_a_value_that_all_runs_have_keeps_its_name():
    runs = [Found(None, results("r", {"focus.lrp": estimate(0.1 * k)}, methods=["lrp"], k=k)) for k in (1, 2)]
    assert sweeps.key_metrics(sweeps.sweep(runs)) == ["focus.lrp"]


def test_a_line_joins_numbers_but_not_words():
    numbers, words = swept({7: 0.0, 14: 0.1, 28: 0.3}), swept({"lrp": 0.0, "gradcam": 0.1}, name="method")
    drawn = plots.line(numbers, "focus", sweeps.points(numbers, "focus"))
    assert drawn["joined"]
    assert [mark["x"] for mark in drawn["marks"]] == sorted(mark["x"] for mark in drawn["marks"])
    assert drawn["alt"].startswith("focus by resolution: 7: 0.503 [")
    assert not plots.line(words, "focus", sweeps.points(words, "focus"))["joined"]


def test_a_heat_table_has_a_gap_where_nothing_ran():
    runs = [
        Found(None, results("r", {"focus": estimate(0.1 * a + 0.2 * b)}, a=a, b=b)) for a, b in ((1, 1), (1, 2), (2, 2))
    ]
    whole = sweeps.sweep(runs)
    drawn = plots.heat(whole, "focus", sweeps.points(whole, "focus"))
    assert drawn["columns"] == [1, 2]
    assert [[cell and cell["shade"] for cell in row["cells"]] for row in drawn["rows"]] == [[0, 0.667], [None, 1]]


def test_two_parameters_drawn_at_random_make_no_table_of_gaps(kept, tmp_path):
    runs = [kept(f"r{i}", metrics={"focus": estimate(0.01 * i)}, a=i / 7, b=i / 11) for i in range(21)]
    compare.write(runs, Place(tmp_path / "c.html"))
    text = (tmp_path / "c.html").read_text("utf-8")
    assert 'class="heat"' not in text
    assert "They take too many values for a table." in text


def test_other_versions_of_the_code_and_runs_of_one_question_are_told(kept, tmp_path):
    runs = [kept("a"), kept("b"), kept("c", k=1)]
    for run, commit in zip(runs, ("0123abcd", "4567abcd", "4567abcd"), strict=True):
        run.provenance["git_commit"] = commit
    for chosen, told in ((runs, True), (runs[1:], False)):
        compare.write(chosen, Place(tmp_path / "c.html"))
        text = (tmp_path / "c.html").read_text("utf-8")
        assert ("different versions of the code: <code>0123abcd</code>" in text) is told
        assert ("A, B have the same parameters and data" in text) is told


@pytest.mark.parametrize(("step", "told"), [(0.05, "1"), (0.0, "none")])
def test_the_answer_counts_settings_when_there_are_seeds(kept, tmp_path, step, told):
    jumps = {(7, 0): 0.01, (7, 1): 0.0, (7, 2): 0.004, (14, 0): 0.0, (14, 1): 0.006, (14, 2): 0.002}
    runs = [
        kept(f"r{k}s{s}", metrics={"focus": estimate(0.5 + jump + step * k)}, k=k, seed=s)
        for (k, s), jump in jumps.items()
    ]
    said = compare.write(runs, Place(tmp_path / "c.html"))
    assert f"A best setting, over its seeds, can be named for {told} of 1 metric " in said


# ---------------------------------------------------------------------------------------------- agreement


def judges(focus, avx):
    methods = [f"m{i}" for i in range(len(focus))]
    runs = [
        results("a", {f"focus_median.{m}": v for m, v in zip(methods, focus, strict=True)}, methods=methods),
        results("b", {f"avx.{m}": v for m, v in zip(methods, avx, strict=True)}, notebook="04_advise", methods=methods),
    ]
    return agree.agreement({"A": Found(None, runs[0]), "B": Found(None, runs[1])})


@pytest.mark.parametrize(
    ("avx", "word", "said"),
    [
        ([1, 2, 3, 4, 5], "holds", "Focus and AVX order the methods alike"),
        ([5, 4, 3, 2, 1], "does not hold", "Focus and AVX contradict each other"),
        ([2, 5, 1, 4, 3], "cannot tell", "Cannot tell whom to believe: no two metrics"),
        ([1, 2, 3, 4], "cannot tell", "two metrics rank at most 4 methods together, and 5 are needed"),
    ],
)
def test_metrics_agree_contradict_or_it_cannot_be_told(avx, word, said):
    found = judges([0.1, 0.2, 0.3, 0.4, 0.5][: len(avx)], avx)
    assert [pair["verdict"]["word"] for pair in found["tables"][0]["pairs"]] == [word]
    assert said in found["answer"]


def test_the_p_of_a_perfect_agreement_of_five_is_two_in_all_their_orders():
    found = agree.correlated([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert found["tau"] == pytest.approx(1)
    assert found["p"] == pytest.approx(2 / 120)


def test_metrics_of_another_network_are_not_set_against_each_other():
    first = results("a", {"focus_median.lrp": 0.5}, methods=["lrp"])
    second = results("b", {"avx.lrp": 0.5}, methods=["lrp"]) | {"provenance": {"data": DATA, "weights": {"n": "w2"}}}
    found = agree.agreement({"A": Found(None, first), "B": Found(None, second)})
    assert [len(table["pairs"]) for table in found["tables"]] == [0, 0]
    assert found["answer"].startswith("Nothing to compare")


# ----------------------------------------------------------------------- which runs, and where the page goes


def test_a_run_is_named_by_its_folder_its_page_or_its_id(kept, out):
    run = kept("24ed52488c")
    for text in (str(run.folder), str(run.folder / "report.html"), "24ed52488c", "01_focus/24ed52488c"):
        assert [one.folder for one in named([text], out)] == [run.folder.resolve()]


def test_a_run_that_is_not_there_is_named_with_the_nearest(kept, out):
    kept("24ed52488c")
    with pytest.raises(CourseError, match="24ed52488d: no run. Did you mean `24ed52488c`"):
        named(["24ed52488d"], out)


def test_a_broken_run_is_told(kept, out):
    (kept("a").folder / "results.json").write_text("{", "utf-8")
    with pytest.raises(CourseError, match="missing or broken"):
        named(["a"], out)


def test_a_question_asked_again_counts_once_and_a_finished_run_before_a_failed_one(kept, out):
    kept("a", status="failed")
    kept("a.2")
    kept("b", status="failed")
    assert [one.folder.name for one in newest(everything(out))] == ["a.2", "b"]


def test_nothing_of_a_run_and_no_strangers_file_is_overwritten(kept, tmp_path):
    run = kept("a")
    stranger, notes = tmp_path / "notes.html", tmp_path / "numbers.csv"
    stranger.write_text("mine", "utf-8")
    notes.write_text("mine", "utf-8")
    for page in (run.folder / "report.html", run.folder / "tables/x.html", stranger, notes.with_suffix(".html")):
        with pytest.raises(CourseError):
            Place(page).check(tmp_path / "out")
    with pytest.raises(CourseError, match="ends in .html"):
        Place(tmp_path / "page.pdf").check(tmp_path / "out")


def test_a_comparison_replaces_the_one_before(kept, tmp_path):
    place = Place(tmp_path / "c.html")
    for _ in range(2):
        compare.write(
            [kept("a"), kept("b", resolution=7)] if not place.page.exists() else _read(tmp_path),
            place.check(tmp_path / "out"),
        )
    assert place.table.exists()


TAKEN = {
    "index.html": "that is the overview",
    "claims.html": "the page of `course claims`",
    "compare.html": "the page of `course compare`",
    "01_focus/new/report.html": "the folders of runs go there",
    "01_focus/a/new.html": "inside of the run a",
    "01_focus/a/results.json": "inside of the run a",
}
COMMANDS = ("compare a b --to", "claims --to", "form 00 -o", "export a --to zip -o")


@pytest.mark.parametrize(
    ("command", "name"),
    [(words, name) for words in COMMANDS for name in TAKEN if name != f"{words.split()[0]}.html"],
)
def test_no_page_goes_where_the_generator_writes_by_itself(kept, out, capsys, monkeypatch, command, name):
    monkeypatch.setattr(plans, "usual_out", lambda: out)
    kept("a")
    kept("b", resolution=7)
    before = [*out.rglob("*")]
    assert main([*command.split(), str(out / name)]) == 2
    pages = ("compare", "claims")
    told = "ends in .html" if command.startswith(pages) and not name.endswith(".html") else TAKEN[name]
    assert told in capsys.readouterr().err
    assert [*out.rglob("*")] == before


def test_a_folder_of_reports_elsewhere_keeps_its_overview_too(kept, out, tmp_path, capsys):
    kept("a")
    kept("b", resolution=7)
    command = ["compare", str(out / "01_focus/a"), str(out / "01_focus/b"), "--out", str(tmp_path / "new"), "--to"]
    assert main([*command, str(out / "index.html")]) == 2
    assert "that is the overview" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "site/index.html")]) == 0


def test_runs_are_not_put_into_a_run(kept, capsys):
    folder = kept("a").folder
    for words in (["run", "00"], ["rerun", str(folder)]):
        assert main([*words, "--out", str(folder / "new")]) == 2
        assert "inside of the run a" in capsys.readouterr().err


def _read(tmp_path):
    return everything(tmp_path / "out")


def test_the_command_ends_with_2_and_a_reason(kept, out, capsys):
    kept("a")
    for words in (["compare"], ["compare", "a"], ["compare", "a", "nothing"], ["compare", "--notebook", "nothing"]):
        assert main([*words, "--out", str(out)]) == 2
        assert capsys.readouterr().err.startswith("course: ")


def test_a_notebooks_runs_are_compared_and_failed_ones_named(kept, out, capsys):
    kept("a")
    kept("b", resolution=7)
    kept("c", status="failed", resolution=14)
    assert main(["compare", "--notebook", "01", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "2 runs of 01_focus differ in resolution." in said.out
    assert "left out, not finished: c" in said.err
    assert (out / "compare.html").is_file()
    assert (out / "compare.csv").is_file()


KNOBS = """lr: float = 0.1  # 0 to 1; a number
seed: int = 0  # 0 to 99; draws"""


@pytest.fixture
def gridded(out, tmp_path):
    """`gridded(done, failed)`: a grid's file of lr 0.1 and 0.2 with three seeds each, of which the first ones ran."""
    cells = [
        nbformat.v4.new_markdown_cell("# Demo"),
        nbformat.v4.new_code_cell(KNOBS, metadata={"tags": ["parameters"]}),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "demo.ipynb")
    file = tmp_path / "grid.yaml"
    file.write_text(f"notebook: {tmp_path / 'demo.ipynb'}\nsweep: {{lr: [0.1, 0.2]}}\nseeds: 3\n", "utf-8")

    def made(done, failed=0):
        for i, plan in enumerate(grid.read(file).plans[: done + failed]):
            lr, seed = plan.values["lr"], plan.values["seed"]
            status = "finished" if i < done else "failed"
            whole = results(
                plan.run_id,
                {"focus": estimate(lr * (1 + seed / 1000))},
                notebook="demo",
                status=status,
                lr=lr,
                seed=seed,
            ) | {"error": {"name": "ValueError", "message": "no maps <b>"}}
            (folder := plan.folder(out)).mkdir(parents=True)
            (folder / "results.json").write_text(json.dumps(whole), "utf-8")
        return file

    return made


def test_the_runs_of_a_grid_are_compared_with_their_seeds_as_intervals(gridded, out, capsys):
    assert main(["compare", "--grid", str(gridded(6)), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "6 runs of demo differ in" in said
    assert "best setting, over its seeds, can be named for 1 of 1" in said
    soup = BeautifulSoup((out / "compare.html").read_text("utf-8"), "html.parser")
    assert "95 % intervals over 3 seeds" in soup.select_one(".chart figcaption").text
    assert len(soup.select(".chart .whisker")) == 2
    assert soup.find(id="lacking") is None


def test_what_is_missing_of_a_grid_is_named(gridded, out, capsys):
    file = gridded(3, failed=1)
    questions = grid.read(file).plans
    (questions[0].folder(out).with_name(f"{questions[0].run_id}.2")).mkdir()  # a forced run that has not finished
    assert main(["compare", "--grid", str(file), "--out", str(out)]) == 0
    assert "Of the grid 3 more have no finished run." in capsys.readouterr().out
    table = BeautifulSoup((out / "compare.html").read_text("utf-8"), "html.parser").select_one(
        "#lacking ~ .scroll table"
    )
    rows = [[cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])] for row in table.select("tbody tr")]
    assert rows == [
        [questions[3].run_id, "0.2", "0", "failed: ValueError: no maps <b>"],
        [questions[4].run_id, "0.2", "1", "not run"],
        [questions[5].run_id, "0.2", "2", "not run"],
    ]


def test_a_grid_with_too_few_answers_is_told_with_what_to_do(gridded, out, capsys):
    assert main(["compare", "--grid", str(gridded(1)), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "1 run found" in said
    assert "5 of the grid have none here (the first: not run). Run them: course grid FILE.yaml" in said


def test_a_run_that_is_named_twice_counts_once(gridded, out, capsys):
    file = gridded(3)
    first = grid.read(file).plans[0].run_id
    assert main(["compare", first, "--grid", str(file), "--notebook", "demo", "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("3 runs of demo")


# ------------------------------------------------------------------------------------- the CSV and the page


def test_the_csv_is_tidy(kept):
    runs = [kept("a", metrics={"focus": estimate(0.8), "n": 3}, metric=1), kept("b", metric=2)]
    rows = list(csv.DictReader(io.StringIO(compare.tidy(compare.labelled(runs)))))
    assert [(r["run"], r["parameter metric"], r["metric"], r["value"]) for r in rows] == [
        ("a", "1", "focus", "0.8"),
        ("a", "1", "n", "3.0"),
        ("b", "2", "focus", "0.8"),
    ]
    assert (rows[0]["low"], rows[0]["high"], rows[0]["chance"], rows[0]["n"]) == (
        "0.78",
        "0.8200000000000001",
        "0.5",
        "100",
    )
    assert rows[1]["low"] == ""


def claim(text, verdict, **more):
    holds = {"holds": True, "does not hold": False}.get(verdict)
    return {
        "kind": "paper",
        "claim": text,
        "paper": 0.9,
        "seen": "0.8",
        "verdict": verdict,
        "holds": holds,
        "why": HOSTILE,
    } | more


@pytest.fixture
def html(kept, tmp_path):
    """A comparison with everything on it that is hostile: claims, names, values, figures."""
    runs = []
    for i, (value, verdict) in enumerate((("a<b", "holds"), (HOSTILE, "does not hold"), ("c", "holds"))):
        metrics = {f"focus.{HOSTILE}": estimate(0.5 + 0.2 * i), "loss": estimate(0.2, better="lower"), "n": 3}
        claims = [claim(HOSTILE, verdict), claim("alike", "holds", kind="control")]
        run = kept(f"r{i}", metrics=metrics, claims=claims, layer=value, **{HOSTILE: i})
        run.results["figures"] = [
            {"name": f"maps {HOSTILE}", "file": "../../x/maps.png", "alt": HOSTILE, "caption": HOSTILE},
            {"name": "lost", "file": "figures/lost.png", "alt": "", "caption": ""},
        ]
        (run.folder / "figures").mkdir()
        Image.new("RGB", (300, 200), (i * 80, 0, 0)).save(run.folder / "figures/maps.png")
        runs.append(run)
    compare.write(runs, Place(tmp_path / "page.html"))
    return (tmp_path / "page.html").read_text("utf-8")


@pytest.fixture
def soup(html):
    return BeautifulSoup(html, "html.parser")


def test_the_page_marks_the_best_and_says_why_not(soup):
    rows = {row.th.code.text: row for row in soup.select("table.beside tbody tr") if row.th.code}
    assert "C best" in rows[f"focus.{HOSTILE}"].get_text(" ")
    assert "overlap with A" in rows["loss"].get_text(" ")
    assert len(rows[f"focus.{HOSTILE}"].select(".badge.best")) == 1
    assert not rows["loss"].select(".badge.best")


def test_claims_on_which_runs_differ_come_open_and_the_rest_folded(soup):
    claims = {th.get_text(" ", strip=True): th for th in soup.select("th[scope=row]")}
    assert not claims[HOSTILE].find_parent("details")
    assert claims["Control: alike"].find_parent("details")


def test_parameters_that_differ_are_open_and_the_rest_on_demand(soup):
    assert [code.text for code in soup.select("thead th > code")][:2] == ["layer", HOSTILE]
    assert soup.find("dt", string="dataset").find_parent("details")


def test_figures_of_one_name_stand_together_and_come_from_the_runs_folder_only(soup):
    figures = soup.select_one(".figures").select("figure img")
    assert [image["alt"] for image in figures] == [f"{label}: {HOSTILE}" for label in "ABC"]
    assert all(image["src"].startswith("data:image/webp;base64,") for image in figures)
    assert "The picture cannot be read." in soup.get_text(" ")


def test_nothing_on_the_page_is_markup_of_a_run(soup):
    assert len(soup.find_all("script")) == 1
    assert not soup.select("[onerror], img[src=x]")
    assert all(a["href"].startswith(("#", "./")) for a in soup.find_all("a"))


def test_many_runs_stand_in_rows(kept, tmp_path):
    runs = [kept(f"r{i:03}", resolution=i) for i in range(compare.BESIDE + 1)]
    compare.write(runs, Place(tmp_path / "many.html"))
    soup = BeautifulSoup((tmp_path / "many.html").read_text("utf-8"), "html.parser")
    assert len(soup.select("table.beside.runs tbody tr")) == len(runs)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_comparison_asks_for_nothing_and_reads_well(browser_page, html, scheme):  # noqa: F811
    looked = browser_page(html, scheme=scheme)
    looked.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert len(looked.asked) == 1
    assert looked.complaints == []
    assert looked.evaluate("window.hacked") is None
    assert looked.evaluate(CONTRAST) == []
    drawn = "[...document.querySelectorAll('figure img')].every((i) => { i.loading = 'eager'; return true; })"
    assert looked.evaluate(drawn)
    looked.wait_for_function("[...document.querySelectorAll('figure img')].every((i) => i.naturalWidth > 0)")


@pytest.mark.slow
def test_the_comparison_never_scrolls_sideways_on_a_phone(browser_page, html):  # noqa: F811
    looked = browser_page(html, width=390)
    for state in ("false", "true"):
        looked.evaluate(f"document.querySelectorAll('details').forEach((d) => {{ d.open = {state}; }})")
        assert looked.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """The page of 1,000 runs on two data sets, by layer and seed; every fiftieth failed, every tenth has no loss."""
    place = tmp_path_factory.mktemp("thousand")
    runs = [
        Found(
            place / f"out/01_focus/{i:03}",
            results(
                f"{i:03}",
                {"focus": estimate(i * 37 % 1000 / 1000)} | ({"loss": estimate(0.2, better="lower")} if i % 10 else {}),
                data={"scenes": f"{i % 2}"}, status="finished" if i % 50 else "failed",
                seed=i % 5, layer=f"layer{i % 4}", width=i // 20,
            ),
        )
        for i in range(1000)
    ]  # fmt: skip
    compare.write(runs, Place(place / "page.html"))
    return place / "page.html"


@pytest.fixture
def table(thousand, chromium):
    """That page in a browser."""
    looked = Looked(chromium, thousand)
    yield looked
    looked.context.close()


ROWS = "[...document.querySelectorAll('.runs tbody tr')].filter((row) => row.checkVisibility())"


def column(looked, number):
    """The texts of a column of the rows that are shown; of a measure its value, without its interval."""
    return looked.evaluate(f"{ROWS}.map((row) => row.cells[{number}].childNodes[0].textContent.trim())")


def press(looked, selector, *keys):
    looked.focus(selector)
    for one in keys:
        looked.keyboard.press(one)


@pytest.mark.slow
def test_a_thousand_runs_open_in_two_seconds(table):
    assert table.text_content("output") == "1,000 of 1,000 runs"
    assert len(table.asked) == 1
    assert work_of_opening(table) < 2
    assert table.complaints == []


@pytest.mark.slow
def test_a_thousand_runs_are_sorted_by_key_and_what_is_not_known_comes_last(table):
    heads = table.locator(".runs thead th").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["Run", "seed", "layer", "width", "Data", "focus", "loss"]
    for number, way, known in ((3, "Enter", 1000), (2, "Space", 1000), (5, "Enter", 1000), (6, "Enter", 900)):
        press(table, f".runs thead th:nth-child({number + 1}) button", way)
        texts = column(table, number)
        values = [text if number == 2 else float(text) for text in texts[:known]]
        assert values == sorted(values)
        assert set(texts[known:]) <= {"–"}
    press(table, ".runs thead th:nth-child(6) button", "Enter", "Enter")
    assert table.get_attribute(".runs thead th:nth-child(6)", "aria-sort") == "descending"
    assert column(table, 5)[0] == "0.999"


@pytest.mark.slow
def test_a_thousand_runs_are_searched_and_chosen_by_key(table):
    table.focus("#by-text-1")
    table.keyboard.type("LAYER3")
    assert set(column(table, 2)) == {"layer3"}
    press(table, "#by-data-1", "End")
    assert table.text_content("output") == "250 of 1,000 runs"  # all of them read the second
    press(table, "#by-parameter-1", "s")
    press(table, "#by-value-1", "4")
    assert set(column(table, 1)) == {"4"}
    table.wait_for_url("**by-value-1=4**")
    table.reload()
    assert set(column(table, 1)) == {"4"}
    press(table, ".sieve button", "Enter")
    press(table, "#by-status-1", "f", "a")
    assert table.text_content("output") == "20 of 1,000 runs"
