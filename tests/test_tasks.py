"""`python -m reports TASK`, the door without make: what it runs, in which order, and where it stops."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from reports import __main__ as tasks


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """What would have been run; `commands.fail` is a word of the command that fails."""
    seen = SimpleNamespace(run=[], fail=None)

    def run(command, **_):
        seen.run.append(" ".join(map(str, command)))
        if "venv" in command:
            (tmp_path / ".venv").mkdir(exist_ok=True)
            (tmp_path / ".venv" / "python").touch()
        return SimpleNamespace(returncode=7 if seen.fail and seen.fail in command else 0)

    monkeypatch.setattr(tasks, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(tasks, "PYTHON", tmp_path / ".venv" / "python")
    monkeypatch.setattr(tasks, "subprocess", SimpleNamespace(run=run))
    return seen


def test_a_fresh_machine_is_set_up_once_and_again_when_packages_change(commands, monkeypatch, tmp_path):
    monkeypatch.delenv("TORCH", raising=False)
    tasks.main(["setup"])
    first = [line.split("-m ")[1] for line in commands.run]
    assert first[0].startswith("venv")
    assert first[1:] == ["pip install --quiet torch torchvision", "pip install --quiet -e ."]
    tasks.main(["setup"])
    assert len(commands.run) == 3
    os.utime(tmp_path / ".venv" / ".base", (0, 0))  # older than pyproject.toml
    tasks.main(["setup"])
    assert len(commands.run) == 5  # the packages, not .venv


def test_who_sets_up_may_say_where_torch_comes_from(commands, monkeypatch):
    monkeypatch.setenv("TORCH", "--index-url file:///wheels")
    tasks.main(["setup"])
    said = [line.split("install --quiet ")[1] for line in commands.run[1:]]
    assert said == ["torch torchvision --index-url file:///wheels", "-e ."]


def test_reports_run_every_notebook_and_tests_everything_that_ci_runs(commands):
    tasks.main(["all"])
    assert commands.run[-1].endswith("reports.cli run all --profile quick")
    tasks.main(["test"])
    said = "\n".join(commands.run)
    for tool in ("ruff check", "ruff format --check", "mypy helpers data_scripts reports", "nbstripout", "detoxai"):
        assert tool in said
    whole, *oracles = [line for line in commands.run if "-m pytest" in line]
    assert whole.endswith("-m pytest -n 2 --dist loadfile")
    assert len(oracles) == len(tasks.KERNELS)
    assert all("tests" in line and "test_attribution.py" in line for line in oracles)


def test_in_a_project_that_is_only_read_tools_remember_elsewhere(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: True)
    assert tasks.elsewhere() == {}
    monkeypatch.setattr(os, "access", lambda *_: False)
    places = tasks.elsewhere()
    assert {"RUFF_CACHE_DIR", "MYPY_CACHE_DIR"} <= set(places)
    assert not any(value.startswith(str(tasks.REPO)) for value in places.values())


def test_the_first_step_that_fails_ends_it_with_its_exit_code(commands):
    commands.fail = "mypy"
    with pytest.raises(SystemExit) as ended:
        tasks.main(["test"])
    assert ended.value.code == 7
    assert "mypy" in commands.run[-1]


@pytest.mark.parametrize("arguments", [[], ["everything"], ["all", "test"]])
def test_other_words_are_told_what_there_is(commands, arguments):
    with pytest.raises(SystemExit, match="usage: python -m reports setup | all | test"):
        tasks.main(arguments)
    assert commands.run == []


def test_it_starts_with_nothing_but_python():
    alone = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(tasks.REPO)!r}); import reports.__main__",
    ]
    assert subprocess.run(alone, capture_output=True, text=True).stderr == ""


def test_make_knows_the_same_tasks():
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", *tasks.TASKS.keys() - {"all"}, "reports"],
        cwd=tasks.REPO,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert {line.split()[-1] for line in done.stdout.splitlines()} == {*tasks.TASKS}
