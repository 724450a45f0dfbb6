"""Notebooks side by side: each answers for itself, and an interrupt ends all of them."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

import reports.cli
from reports import beside, plans, runs

KNOBS = 'stop: str = "no"  # no | fail | sleep; how it ends\n'
START = "import os, time\nfrom helpers.run import start\nrun = start(globals())"
CELL = """
run.metric("threads", int(os.environ.get("OMP_NUM_THREADS", 0)))
assert stop != "fail", "as asked"
time.sleep(60 * (stop == "sleep"))
"""


@pytest.fixture
def notebooks(tmp_path, data_home, monkeypatch):
    """Two notebooks, a second each. Nobody else has said how many threads there are."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name in ("one", "two"):
        cells = [nbformat.v4.new_markdown_cell(f"# {name.title()}")]
        cells.append(nbformat.v4.new_code_cell(KNOBS, metadata={"tags": ["parameters"]}))
        cells += [nbformat.v4.new_code_cell(source) for source in (START, CELL)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    return [tmp_path / "one.ipynb", tmp_path / "two.ipynb"]


def found(out):
    return {folder.parent.name: runs.results(folder) for folder in out.glob("[!.]*/[!.]*") if folder.is_dir()}


def test_all_run_side_by_side_share_the_cores_and_are_in_the_overview(notebooks, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(plans, "notebooks", lambda: notebooks)
    assert reports.cli.main(["run", "all", "--jobs", "2", "--out", str(tmp_path / "out")]) == 0
    results = found(tmp_path / "out")
    assert {name: one["status"] for name, one in results.items()} == {"one": "finished", "two": "finished"}
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {one["metrics"]["threads"] for one in results.values()} == {share}
    assert "one/" in (index := (tmp_path / "out/index.html").read_text("utf-8"))
    assert "two/" in index
    assert capfd.readouterr().out.count("finished") == 2


def test_one_that_fails_stops_no_other_and_each_keeps_its_exit_code(notebooks, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    commands = [["run", str(notebooks[0]), "-p", "stop=fail", *out], ["run", str(notebooks[1]), *out]]
    assert beside.run([*commands, ["run", "nobody"]], jobs=2) == [1, 0, 2]
    assert {name: one["status"] for name, one in found(tmp_path / "out").items()} == {
        "one": "failed",
        "two": "finished",
    }


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_them_all_and_leaves_nothing(notebooks, tmp_path, how):
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job ignores it
        "from pathlib import Path; from reports import cli, plans\n"
        f"plans.notebooks = lambda: [Path(name) for name in {list(map(str, notebooks))}]\n"
        f"raise SystemExit(cli.main(['run', 'all', '-p', 'stop=sleep', '--out', {str(tmp_path / 'out')!r}]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 90
        while len(list((tmp_path / "out").glob("*/.*/run.log"))) < 2 and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.2)
        process.send_signal(how)
        _, said = process.communicate(timeout=50)  # before the notebooks are through with their 60 seconds of sleep
    finally:
        process.kill()
    assert process.returncode == 128 + how
    assert "interrupted" in said
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == []
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_jobs_below_one_are_a_mistake(notebooks, capsys):
    assert reports.cli.main(["run", "all", "--jobs", "0"]) == 2
    assert "--jobs is 0; it needs a whole number from 1" in capsys.readouterr().err


def test_a_run_of_one_notebook_has_all_cores_and_starts_no_other_process(notebooks, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "run", None)
    assert reports.cli.main(["run", str(notebooks[0]), "--out", str(tmp_path / "out")]) == 0
    assert found(tmp_path / "out")["one"]["metrics"] == {"threads": 0}


def test_what_a_notebook_starts_has_another_parent(monkeypatch):
    monkeypatch.setenv("COURSE_PARENT", str(os.getppid()))
    beside.end_with_parent()
    assert "COURSE_PARENT" not in os.environ
