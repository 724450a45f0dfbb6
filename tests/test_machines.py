"""Machines that are not as ours: other kernels, locales, homes and folders; and what is left after a kill."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import torch
from jupyter_client.kernelspec import KernelSpec
from known import course_started

from data_scripts.drawn import scenes
from helpers.errors import CourseError
from reports import execute, page, plans, runs

CELLS = (
    'pictures: str = ""  # data set or nothing; p\nstop: str = "no"  # no | sleep; how\nseed: int = 0  # 0 to 9; s',
    "import os, sys, time\nimport pandas as pd\nfrom helpers.run import start\nrun = start(globals())",
    "print(os.fsencode(sys.executable).decode(), os.getcwd(), sep='\\n')\n"
    "run.table(pd.DataFrame({'Größe': ['→ ✓ 大']}), 'wörter', 'Words')\n"
    "run.note(f'read from {pictures}')\ntime.sleep(60 * (stop == 'sleep'))\nrun.answer('finí ✓')",
)


@pytest.fixture
def demo(tmp_path, data_home):
    """A notebook of three cells in a folder of its own."""
    cells = [nbformat.v4.new_markdown_cell("# A demo"), *map(nbformat.v4.new_code_cell, CELLS)]
    cells[1].metadata["tags"] = ["parameters"]
    (tmp_path / "books").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "books" / "demo.ipynb")
    return tmp_path / "books" / "demo.ipynb"


def course(demo, cwd, *arguments, **env):
    """`course run demo` as a process of its own; its folder."""
    command = [Path(sys.executable).with_name("course"), "run", str(demo), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, timeout=240)
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, said
    assert "Warning" not in said
    assert "WARNING" not in said
    (folder,) = [page.parent for page in cwd.rglob("report.html")]
    return folder


def printed(folder):
    cells = nbformat.read(folder / "executed.ipynb", 4).cells
    return "".join(
        o.text for c in cells for o in c.get("outputs", ()) if o.output_type == "stream" and o.name == "stdout"
    )


def test_the_kernel_is_this_python_in_the_notebooks_folder_whatever_lies_around(demo, tmp_path):
    kernels, long = tmp_path / "jupyter", tmp_path / ("x" * 100)
    for folder in (tmp_path, demo.parent):
        (folder / "helpers.py").write_text("raise SystemExit('not the helpers of the course')", encoding="utf-8")
    (kernels / "kernels" / "python3").mkdir(parents=True)
    broken = {"argv": ["/bin/false"], "display_name": "Another Python", "language": "python"}
    (kernels / "kernels" / "python3" / "kernel.json").write_text(json.dumps(broken), encoding="utf-8")
    long.mkdir()
    (tmp_path / "album").mkdir()
    (tmp_path / "no home").write_text("", encoding="utf-8")
    env = {"JUPYTER_PATH": str(kernels), "TMPDIR": str(long), "HOME": str(tmp_path / "no home" / "none")}
    folder = course(demo, tmp_path, "--out", "out {x} é", "-p", "pictures=album", **env)
    assert printed(folder).splitlines() == [sys.executable, str(demo.parent)]
    assert runs.results(folder)["answer"] == "finí ✓"
    assert "mkdir" not in (folder / "report.html").read_text("utf-8")
    assert folder.parents[1].name == "out {x} é"
    assert runs.results(folder)["parameters"]["pictures"] == str(tmp_path / "album")


@pytest.mark.skipif(not sys.executable.isascii(), reason="torch cannot be imported from such a path in an ASCII locale")
def test_another_encoding_changes_nothing(demo, tmp_path):
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "cp1252"}
    env["PYTHONPATH"] = str(plans.REPO)  # Python itself reads installed paths in the locale's encoding
    folder = course(demo, tmp_path, "--out", "out", **env)
    found = runs.results(folder)
    assert found["answer"] == "finí ✓"
    (table,) = found["tables"]  # its name as this locale can write it
    assert (folder / table["file"]).read_text("utf-8") == "Größe\n→ ✓ 大\n"
    assert "→ ✓ 大" in (folder / "report.html").read_text("utf-8")


def test_what_the_notebook_made_is_kept_when_its_page_fails_and_the_next_run_takes_its_place(
    demo, tmp_path, monkeypatch
):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    plan, out = plans.plan(str(demo)), tmp_path / "out"
    with monkeypatch.context() as broken:
        broken.setattr(page, "report", full)
        with pytest.raises(CourseError, match="No space left on device.*is kept there.*MiB are free") as told:
            runs.run(plan, out)
    folder = plan.folder(out)
    assert str(folder) in str(told.value)
    assert runs.results(folder)["status"] == "incomplete"
    assert runs.results(folder)["answer"] == "finí ✓"
    assert (folder / "tables" / "wörter.csv").is_file()
    assert (folder / "executed.ipynb").is_file()
    assert not [path for path in out.rglob(".*")]
    assert runs.run(plan, out) == (folder, "finished")
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize("text", ["", '{"notebook": "demo"', "[1]", '{"provenance": 3}'])
def test_a_neighbour_that_cannot_be_read_harms_no_run(demo, tmp_path, text):
    (neighbour := tmp_path / "out" / "demo" / "abc").mkdir(parents=True)
    (neighbour / "results.json").write_text(text, encoding="utf-8")
    (neighbour / "report.html").write_text("", encoding="utf-8")
    folder, status = runs.run(plans.plan(str(demo)), tmp_path / "out")
    assert status == "finished"
    index = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "left out here: <code>demo/abc</code>" in index
    assert f"{folder.name}/report.html" in index


@pytest.fixture
def read_only(monkeypatch):
    """`read_only(folder)`: nothing can be written there. Root may write everywhere else, so the system is not asked."""

    def lock(folder):
        usual_access, usual_open = os.access, os.open
        inside = lambda path: Path(os.fsdecode(path)).absolute().is_relative_to(folder)  # noqa: E731

        def opened(path, flags, *rest, **more):
            if flags & (os.O_RDWR | os.O_WRONLY) and inside(path):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return usual_open(path, flags, *rest, **more)

        monkeypatch.setattr(os, "access", lambda path, mode: usual_access(path, mode) and not inside(path))
        monkeypatch.setattr(os, "open", opened)

    return lock


def test_a_project_that_is_only_read_has_its_reports_beside_the_data(read_only, data_home, monkeypatch):
    with monkeypatch.context() as writable:
        writable.setattr(os, "access", lambda *_: True)
        assert plans.usual_out() == plans.REPO / "reports" / "out"
    read_only(plans.REPO)
    assert plans.usual_out() == data_home / "reports"


def test_shared_data_that_are_only_read_are_read_and_what_would_be_written_names_course_data(
    read_only, data_home, album
):
    from helpers import pictures
    from helpers.networks.training import Recipe, train

    scenes.prepare(data_home, 60, 32, workers=1)
    photos = pictures.load(data_home / "scenes")
    recipe = Recipe("compact_vgg", size=32, epochs=1, batch=8)
    before = train(recipe, photos)
    there = {path for path in data_home.rglob("*")}
    read_only(data_home)
    after = train(recipe, photos)  # it is there
    assert all(torch.equal(a, b) for a, b in zip(before.net.parameters(), after.net.parameters(), strict=True))
    assert len(pictures.load(album)) == 6  # checked, and not remembered
    assert {path for path in data_home.rglob("*")} == there
    with pytest.raises(CourseError, match=r"models cannot be written \(Read-only.*COURSE_DATA=DIR"):
        train(Recipe("compact_vgg", size=32, epochs=2, batch=8), photos)
    with pytest.raises(CourseError, match=r"scenes-small: .* cannot be written.*COURSE_DATA=DIR"):
        scenes.prepare(data_home, 60, 48, name="scenes-small", workers=1)


def test_a_kernel_that_does_not_start_is_a_failed_run_like_any_other(demo, tmp_path, monkeypatch):
    broken = KernelSpec(argv=[sys.executable, "-c", "raise SystemExit(3)"], language="python")
    monkeypatch.setattr(execute.ThisPython, "get_kernel_spec", lambda *_: broken)
    folder, status = runs.run(plans.plan(str(demo)), tmp_path / "out")
    assert status == "failed"
    assert "the kernel did not start" in runs.reason(folder)
    assert "the kernel did not start" in (folder / "report.html").read_text("utf-8")


# killed


def processes(word):
    """The numbers of the processes in whose command line the word stands."""
    lines = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    return {int(line.split()[0]) for line in lines if word in line}


def children(pid):
    """Of a process: the processes it started, and theirs."""
    lines = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout.splitlines()[1:]
    pairs = [tuple(map(int, line.split())) for line in lines]
    own = {a for a, b in pairs if b == pid}
    return own.union(*map(children, own))


def until(condition, seconds=60, process=None):
    """Wait for it, while the process runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.2)


def alive(numbers):
    """Those that still run; a zombie, whom nobody has asked yet, does not."""
    lines = subprocess.run(["ps", "-eo", "pid,stat"], capture_output=True, text=True).stdout.splitlines()[1:]
    return numbers & {int(line.split()[0]) for line in lines if not line.split()[1].startswith("Z")}


def test_workers_that_draw_end_with_the_process_that_started_them(tmp_path):
    code = f"from data_scripts.drawn import scenes; scenes.prepare({str(tmp_path)!r}, 4000, 128, workers=2)"
    guarded = f"if __name__ == '__main__':\n    {code}\n"
    (tmp_path / "draw.py").write_text(guarded, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "draw.py")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: len([*tmp_path.rglob("*.png")]) > 60, process=process)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not alive(workers), seconds=20)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_no_kernel_outlives_its_run(demo, tmp_path, how, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    with course_started("run", demo, "-p", "stop=sleep", "--out", tmp_path / "out") as process:
        until(lambda: [*(tmp_path / "out").rglob("*.csv")], 90, process)
        kernels = children(process.pid)
        assert kernels
        process.send_signal(how)
        process.communicate(timeout=50)
    until(lambda: not alive(kernels), seconds=20)


def test_notebooks_side_by_side_end_with_the_command_that_was_killed(demo, tmp_path):
    shutil.copy(demo, another := demo.with_name("another.ipynb"))
    code = (
        "from pathlib import Path; from reports import cli, plans\n"
        f"plans.notebooks = lambda: [Path({str(demo)!r}), Path({str(another)!r})]\n"
        f"cli.main(['run', 'all', '-p', 'stop=sleep', '--out', {str(tmp_path / 'out')!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    until(lambda: len([*(tmp_path / "out").rglob("*.csv")]) > 1, 90, process)
    started = children(process.pid)
    assert len(started) >= 4  # two commands and their kernels
    process.kill()
    process.wait(timeout=60)
    until(lambda: not alive(started), seconds=30)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
