"""A grid of questions: read and checked before anything runs; asked side by side, on a cluster, and again."""

import subprocess
import sys
import time
from contextlib import contextmanager

import nbformat
import pytest
import yaml

from helpers.errors import CourseError
from reports import cli, grid, runs

KNOBS = """lr: float = 0.1  # 0 to 1; a number
steps: list[int] = [1]  # 1 to 9; whole numbers
how: str = "one"  # one | two; a choice
seed: int = 0  # 0 to 99; draws
stop: str = "no"  # no | yes; whether it fails"""
CELLS = [
    "from helpers.run import start\nrun = start(globals())",
    "run.metric('lr', lr)\nassert stop == 'no', 'as asked'",
]


@pytest.fixture
def book(tmp_path, data_home):
    cells = [
        nbformat.v4.new_markdown_cell("# Demo"),
        nbformat.v4.new_code_cell(KNOBS, metadata={"tags": ["parameters"]}),
    ]
    cells += [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "demo.ipynb")
    return tmp_path / "demo.ipynb"


@pytest.fixture
def asked(book, tmp_path):
    """A grid file with this content."""

    def write(**said):
        file = tmp_path / "grid.yaml"
        file.write_text(yaml.safe_dump({"notebook": str(book)} | said, sort_keys=False), encoding="utf-8")
        return file

    return write


def values(found, *names):
    return [tuple(plan.values[name] for name in names) for plan in found.plans]


def test_lists_are_crossed_and_seeds_go_with_each(asked):
    found = grid.read(asked(sweep={"lr": [0.1, 0.2], "how": ["one", "two"]}, seeds=2, params={"steps": [3]}))
    assert values(found, "lr", "how", "seed") == [
        (lr, how, seed) for lr in (0.1, 0.2) for how in ("one", "two") for seed in (0, 1)
    ]
    assert {tuple(plan.values["steps"]) for plan in found.plans} == {(3,)}
    assert found.differs(found.plans[3]) == {"lr": 0.1, "how": "two", "seed": 1}


def test_with_zip_they_go_in_step(asked):
    found = grid.read(asked(sweep={"lr": [0.1, 0.2], "how": ["one", "two"]}, zip=True))
    assert values(found, "lr", "how") == [(0.1, "one"), (0.2, "two")]
    with pytest.raises(CourseError, match="as many values; lr has 1, how has 2"):
        grid.read(asked(sweep={"lr": [0.1], "how": ["one", "two"]}, zip=True))


def test_a_range_has_both_ends_and_stays_whole_where_it_is(asked):
    found = grid.read(asked(sweep={"lr": {"from": 0.0, "to": 0.3, "steps": 4}}))
    assert values(found, "lr") == [(0.0,), (0.1,), (0.2,), (0.3,)]
    found = grid.read(asked(sweep={"steps": {"from": 1, "to": 9, "steps": 3}}))
    assert values(found, "steps") == [([1],), ([5],), ([9],)]


def test_the_same_question_is_asked_once_and_none_at_all_is_one(asked):
    assert len(grid.read(asked(sweep={"lr": [0.2, 0.2]})).plans) == 1
    assert len(grid.read(asked()).plans) == len(grid.read(asked(zip=True)).plans) == 1


def test_all_mistakes_are_told_at_once(asked):
    with pytest.raises(CourseError) as told:
        grid.read(asked(sweep={"lr": [0.1, 7, 8], "how": ["one", "three"]}))
    said = str(told.value)
    assert all(word in said for word in ("`lr` is 7", "`lr` is 8", "`how` is 'three'"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"sweeep": {}}, "unknown `sweeep`. Did you mean `sweep`"),
        ({"notebook": 3}, "`notebook` is 3; it needs a notebook's name"),
        ({"sweep": {"lr": 0.1}}, "lr: 0.1; it needs a list"),
        ({"sweep": {"lr": {"from": 0, "to": 1}}}, "it needs a list, or"),
        ({"sweep": [1]}, "`sweep` is [1]; it needs lines"),
        ({"seeds": 0}, "`seeds` is 0; it needs a whole number"),
        ({"sweep": {"lr": {"from": 0.0, "to": 1.0, "steps": 20_000}}}, "20,000 runs; a grid has 10,000 at most"),
        ({"profile": "qick"}, "no profile `qick`"),
    ],
)
def test_a_file_that_says_something_else_is_refused(asked, said, told):
    with pytest.raises(CourseError) as refused:
        grid.read(asked(**said))
    assert told in str(refused.value)


def test_the_time_is_that_of_earlier_runs_of_its_profile(asked, tmp_path):
    (plan,) = grid.read(asked()).plans
    found = {"a": ("finished", "quick", 9.0), "b": ("finished", None, 4.0), "c": ("failed", None, 1.0)}

    def results(folder):
        status, profile, took = found[folder.name]
        return {"status": status, "profile": profile, "provenance": {"wall_s": took}}

    assert grid.seconds(plan, tmp_path, results) is None
    for name in found:
        (tmp_path / "demo" / name).mkdir(parents=True)
    assert grid.seconds(plan, tmp_path, results) == 4.0
    found["b"] = ("failed", None, 4.0)
    assert grid.seconds(plan, tmp_path, results) == 9.0


@pytest.mark.slow
def test_a_dry_run_says_what_is_there_and_nothing_runs_twice(asked, tmp_path, capfd):
    file, out = asked(sweep={"lr": [0.1, 0.2]}), tmp_path / "out"
    command = ["grid", str(file), "--out", str(out)]
    assert cli.main([*command, "--dry-run"]) == 0
    assert "2 runs, 2 to run: no earlier run says how long" in capfd.readouterr().out
    assert not out.exists()
    assert cli.main(command) == 0
    first = {path.name: runs.results(path)["provenance"]["started"] for path in (out / "demo").iterdir()}
    assert len(first) == 2
    assert cli.main(command) == 0
    assert {path.name: runs.results(path)["provenance"]["started"] for path in (out / "demo").iterdir()} == first
    assert cli.main([*command, "--dry-run"]) == 0
    assert "2 runs, 0 to run: nothing to do" in capfd.readouterr().out


@pytest.mark.slow
def test_what_failed_is_told_and_run_again_when_asked(asked, tmp_path, capfd):
    file, out = asked(sweep={"stop": ["no", "yes"]}), tmp_path / "out"
    command = ["grid", str(file), "--out", str(out), "--jobs", "1"]
    assert cli.main(command) == 1
    said = capfd.readouterr()
    assert "failed: AssertionError: as asked" in said.err
    assert "1 of 2 runs are finished" in said.out
    failed = next(path for path in (out / "demo").iterdir() if runs.results(path)["status"] == "failed")
    before = runs.results(failed)["provenance"]["started"]
    time.sleep(1)
    assert cli.main(command) == 1
    assert runs.results(failed)["provenance"]["started"] == before
    assert cli.main([*command, "--retry-failed"]) == 1
    assert runs.results(failed)["provenance"]["started"] != before


@contextmanager
def cluster(tmp_path, workers=2):
    """A scheduler and workers as somebody starts them by hand; the file that says where it is, and the workers."""
    dask, where = [sys.executable, "-m", "distributed.cli.dask_scheduler"], tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    started = [subprocess.Popen([*dask, "--port", "0", "--no-dashboard", "--scheduler-file", str(where)], **quiet)]
    work = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(where), "--nthreads", "1"]
    try:
        deadline = time.monotonic() + 60
        while not where.is_file() and time.monotonic() < deadline:
            time.sleep(0.2)
        started += [subprocess.Popen([*work, "--no-dashboard"], **quiet) for _ in range(workers)]
        time.sleep(5)
        yield where, started[1:]
    finally:
        for process in started[::-1]:
            process.terminate()
        for process in started:
            process.wait(timeout=60)


@pytest.mark.slow
def test_the_workers_of_a_scheduler_answer_and_their_runs_come_back_whole(asked, tmp_path, capfd):
    file, out = asked(sweep={"lr": [0.1, 0.2], "stop": ["no", "yes"]}), tmp_path / "out"
    with cluster(tmp_path) as (where, _):
        assert cli.main(["grid", str(file), "--out", str(out), "--scheduler-file", str(where)]) == 1
    found = [runs.results(path) for path in (out / "demo").iterdir()]
    assert sorted(one["status"] for one in found) == ["failed", "failed", "finished", "finished"]
    assert {one["metrics"]["lr"] for one in found} == {0.1, 0.2}
    assert all((path / "report.html").is_file() for path in (out / "demo").iterdir())
    assert "2 of 4 runs are finished" in capfd.readouterr().out


def test_nobody_at_the_address_is_told(asked, tmp_path, capfd):
    assert cli.main(["grid", str(asked()), "--out", str(tmp_path), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no scheduler at tcp://127.0.0.1:9" in capfd.readouterr().err
