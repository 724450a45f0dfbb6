"""Runs side by side: each answers for itself, has its share of the machine, and an interrupt ends all of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import grids
import psutil
import pytest

import reports.cli
from reports import asked, beside, devices, plans, runs
from reports.board import Board


@pytest.fixture
def notebooks(tmp_path, data_home, monkeypatch):
    """Two notebooks, a few seconds each. Nobody else has said how many threads there are, or which GPUs."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return [grids.book(tmp_path / f"{name}.ipynb") for name in ("one", "two")]


def found(out):
    return {folder.parent.name: runs.results(folder) for folder in out.glob("[!.]*/[!.]*") if folder.is_dir()}


def planned(notebooks, **given):
    return [plans.plan(str(path), given=given) for path in notebooks]


def test_all_run_side_by_side_share_the_cores_and_are_in_the_overview(notebooks, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(plans, "notebooks", lambda: notebooks)
    assert reports.cli.main(["run", "all", "--jobs", "2", "-p", "lr=0.3", "--out", str(tmp_path / "out")]) == 0
    results = found(tmp_path / "out")
    assert {name: one["status"] for name, one in results.items()} == {"one": "finished", "two": "finished"}
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {(one["metrics"]["threads"], one["metrics"]["lr"]) for one in results.values()} == {(str(share), 0.3)}
    assert "one/" in (index := (tmp_path / "out/index.html").read_text("utf-8"))
    assert "two/" in index
    assert capfd.readouterr().out.count(": finished after") == 2


def test_one_that_fails_or_is_killed_stops_no_other_and_each_keeps_its_exit_code(notebooks, tmp_path):
    (fails,), (sleeps,), (ends,) = (
        planned(notebooks[:1], stop="fail"),
        planned(notebooks[:1], stop="sleep"),
        planned(notebooks[1:]),
    )

    class Killer(Board):
        def cell(self, plan, number, of):
            if plan == sleeps and number == of:
                next(one for one in psutil.Process().children() if "1.yaml" in " ".join(one.cmdline())).kill()

    with Killer([fails, sleeps, ends], []) as board:
        assert beside.run([fails, sleeps, ends], tmp_path / "out", 2, board) == [1, 1, 0]
    assert board.failed == {
        fails.key: "AssertionError: as asked",
        sleeps.key: "its process was ended by signal 9; most often the memory ran out",
    }
    assert {name: one["status"] for name, one in found(tmp_path / "out").items()} == {
        "one": "failed",
        "two": "finished",
    }


@pytest.mark.parametrize(
    ("said", "code", "status", "why"),
    [
        (["a: b: finished: p: q/report.html", "Exception ignored in: ..."], 0, "finished", "p: q/report.html"),
        (["one: there already: report.html"], 0, "there already", "report.html"),
        (["one: failed: report.html", "        ValueError: no", "        of it"], 1, "failed", "ValueError: no\nof it"),
        (["course: lr is 9; it needs less", "        Example: 1"], 2, "failed", "lr is 9; it needs less\nExample: 1"),
        (["Traceback", "  File x", "KeyError: 1"], 1, "failed", "Traceback\nFile x\nKeyError: 1"),
        ([], -11, "failed", "its process was ended by signal 11"),
    ],
)
def test_how_a_run_ended_is_read_from_its_words(said, code, status, why):
    assert asked.ended(said, code) == (status, why)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_them_all_and_leaves_nothing(notebooks, tmp_path, how):
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job ignores it
        "from pathlib import Path; from reports import cli, plans\n"
        f"plans.notebooks = lambda: [Path(name) for name in {list(map(str, notebooks))}]\n"
        f"raise SystemExit(cli.main(['run', 'all', '-p', 'stop=sleep', '--out', {str(tmp_path / 'out')!r}]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 90
        while len(list((tmp_path / "out").glob("*/.*/run.log"))) < 2 and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.2)
        process.send_signal(how)
        out, said = process.communicate(timeout=50)  # before the notebooks are through with their 60 seconds of sleep
    finally:
        process.kill()
    assert process.returncode == 128 + how
    assert said == "course: interrupted; what was finished is kept, and nothing half-done is taken for it\n"
    assert all(line.endswith(": started") for line in out.splitlines())
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == []
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_jobs_below_one_are_a_mistake(notebooks, capsys):
    assert reports.cli.main(["run", "all", "--jobs", "0"]) == 2
    assert "--jobs is 0; it needs a whole number from 1" in capsys.readouterr().err


def test_a_run_of_one_notebook_has_all_cores_and_starts_no_other_process(notebooks, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "run", None)
    assert reports.cli.main(["run", str(notebooks[0]), "--out", str(tmp_path / "out")]) == 0
    assert found(tmp_path / "out")["one"]["metrics"]["threads"] is None


def test_what_a_notebook_starts_has_another_parent(monkeypatch):
    monkeypatch.setenv("COURSE_PARENT", str(os.getppid()))
    beside.end_with_parent()
    assert "COURSE_PARENT" not in os.environ


class Ended:
    """A run that has finished."""

    returncode, stdout = 0, ["one: finished: page"]

    def wait(self):
        pass


@pytest.mark.parametrize(
    ("gpus", "device", "at_once", "used"),
    [
        (["0", "3"], "auto", 2, {"0", "3"}),
        (["3"], "cuda", 1, {"3"}),
        (["3"], "cpu", 4, {None}),
        ([], "auto", 4, {None}),
    ],
)
def test_a_gpu_has_one_run_at_a_time(notebooks, tmp_path, monkeypatch, capsys, gpus, device, at_once, used):
    meet, running, most, seen = threading.Barrier(at_once, timeout=20), [], [], set()

    @contextmanager
    def started(*_, **env):
        running.append(seen.add(env.get("CUDA_VISIBLE_DEVICES")))
        meet.wait()
        most.append(len(running))
        meet.wait()
        running.pop()
        yield Ended()

    monkeypatch.setattr(devices, "visible", lambda: gpus)
    monkeypatch.setattr(asked, "started", started)
    questions = [plans.plan(str(notebooks[0]), given={"seed": seed, "device": device}) for seed in range(4)]
    with Board(questions, []) as board:
        assert beside.run(questions, tmp_path / "out", 4, board) == [0, 0, 0, 0]
    assert set(most) == {at_once}
    assert seen == used
    told = f"--jobs 4: as many at a time as there are GPUs here ({at_once}), one run on each"
    assert (told in capsys.readouterr().out) == (at_once < 4)


def test_the_gpus_are_those_that_torch_sees_by_the_names_that_were_given(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert devices.visible() == []
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for there, names in ((True, ["0", "1"]), (False, [])):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert devices.visible() == names
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1f,GPU-2e")
    assert devices.visible() == []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert devices.visible() == ["GPU-1f", "GPU-2e"]
