"""A grid of questions: read and checked before anything runs, asked side by side, and again."""

from functools import partial

import grids
import pytest

from helpers.errors import CourseError
from reports import cli, grid, runs
from reports.cli import grid as grid_command


@pytest.fixture
def asked(tmp_path, data_home):
    """A grid file with this content."""
    return partial(grids.grid_file, grids.book(tmp_path / "demo.ipynb"))


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
    file, out = asked(sweep={"stop": ["no", "fail"]}), tmp_path / "out"
    command = ["grid", str(file), "--out", str(out), "--jobs", "1"]
    assert cli.main(command) == 1
    said = capfd.readouterr()
    assert "failed: AssertionError: as asked" in said.err
    assert "1 of 2 runs are finished" in said.out
    failed = next(path for path in (out / "demo").iterdir() if runs.results(path)["status"] == "failed")
    before = failed.stat().st_ino
    assert cli.main(command) == 1
    assert failed.stat().st_ino == before
    assert cli.main([*command, "--retry-failed"]) == 1
    assert failed.stat().st_ino != before


@pytest.mark.slow
def test_a_killed_kernel_is_told_as_such_and_its_run_is_asked_again(asked, tmp_path, capfd):
    file, out = asked(params={"stop": "killed"}), tmp_path / "out"
    command = ["grid", str(file), "--out", str(out)]
    assert cli.main(command) == 1
    assert "failed: DeadKernelError: the kernel was killed; most often the memory ran out" in capfd.readouterr().err
    assert cli.main([*command, "--dry-run"]) == 0
    assert "1 runs, 1 to run" in capfd.readouterr().out


def test_runs_without_an_answer_are_told_by_the_reason(asked, tmp_path, capfd):
    found = grid.read(asked(seeds=5))
    assert grid_command._told(found, tmp_path, {one.key: "the scheduler is lost" for one in found.plans[:4]}) == 1
    first, last = capfd.readouterr().err.splitlines()
    names = [one.run_id for one in found.plans]
    assert first == f"{', '.join(names[:3])} and 1 more: not run: the scheduler is lost"
    assert last == f"{names[4]}: not run: no answer"
