"""A grid of runs, here and on a cluster, of which anything is killed: what had finished stays, and the rest follows."""

import os
import random
import time
from contextlib import suppress

import psutil
import pytest
from grids import book, cluster, grid_file
from watched import course, family, litter, orphans, started

from reports import runs

pytestmark = [pytest.mark.slow, pytest.mark.torture]
RUNS = 12
SQUARES = sorted(seed**2 for seed in range(RUNS // 2) for _ in (0, 1))
ROUNDS = [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 6))]
KERNEL, RUN, WORKER = "ipykernel_launcher", "reports.cli run", "spawn_main"  # in their command lines


@pytest.fixture
def question(light, tmp_path):
    """`course grid` of a file with so many runs, and where they go."""
    return ("grid", grid_file(light, sweep={"hold": [0, 1]}, seeds=RUNS // 2), "--out", tmp_path / "out")


def finished(out):
    """What tells a run that has finished from the same one computed again: its folder, and all of its results."""
    there = [path for path in out.glob("light/[!.]*") if runs.results(path).get("status") == "finished"]
    return {path.name: (path.stat().st_ino, (path / "results.json").read_bytes()) for path in there}


def begun(roots, what):
    """The processes of this kind that these have started, as soon as there are some."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := [one for root in roots for one in family(root) if what in command(one)]:
            return found
        time.sleep(0.05)
    raise AssertionError(f"there is no {what}")


def command(process):
    """Its command line; of one that has ended, nothing."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def killed(roots, what, moments):
    """Kill one of these at a random moment; it, and what it had started."""
    time.sleep(moments.uniform(0, 2))
    while True:
        victim = moments.choice(begun(roots, what))
        time.sleep(moments.uniform(0, 0.5))
        with suppress(psutil.NoSuchProcess):
            others = family(victim.pid)
            victim.kill()
            return others


def killed_client(client, moments):
    time.sleep(moments.uniform(0, 3))
    others = family(client.pid)
    client.kill()
    client.communicate(timeout=60)
    return others


def asked_again(question, out, before, *how):
    """To its end: all have answers, and none that had finished was computed again."""
    code, said, _ = course(*question, *how, seconds=280)
    assert code == 0, said
    now = finished(out)
    assert {name: now.get(name) for name in before} == before
    assert sorted(runs.results(out / "light" / name)["metrics"]["square"] for name in now) == SQUARES


@pytest.mark.parametrize("seed", ROUNDS)
def test_a_grid_of_which_a_kernel_a_run_and_the_client_are_killed_is_finished_when_asked_again(
    question, tmp_path, tally, seed
):
    moments, out = random.Random(seed), tmp_path / "out"
    with started(*question, "--jobs", 2) as client:
        others = [one for what in moments.sample([KERNEL, RUN], 2) for one in killed([client.pid], what, moments)]
        others += killed_client(client, moments)
    alive, before = orphans(others), finished(out)
    asked_again(question, out, before, "--jobs", 2)
    left = litter(tmp_path, os.environ["TMPDIR"])
    tally("grid, here", tries=3, orphans=len(alive), litter=len(left))
    assert (alive, left) == ([], [])


@pytest.mark.parametrize("seed", ROUNDS)
def test_a_grid_on_a_cluster_of_which_anything_is_killed_is_finished_when_asked_again(question, tmp_path, tally, seed):
    moments, out = random.Random(seed), tmp_path / "out"
    with cluster(tmp_path) as machines:
        workers, on = [one.pid for one in machines.workers], ("--scheduler-file", machines.file)
        with started(*question, *on) as client:
            others = [one for what in moments.sample([KERNEL, WORKER], 2) for one in killed(workers, what, moments)]
            at_work = [one for pid in workers for one in family(pid) if RUN in command(one)]
            others += killed_client(client, moments) + at_work
        alive, before = orphans(others), finished(out)
        assert all(one.poll() is None for one in machines.workers)
        with started(*question, *on) as client:
            begun(workers, RUN)
            time.sleep(moments.uniform(0, 3))
            others = [one for pid in workers for one in family(pid)]
            machines.scheduler.kill()
            said, more = client.communicate(timeout=60)
        assert client.returncode == 1
        assert f"the scheduler at {machines.file} is lost" in said
        assert "Traceback" not in said + more
    alive, now = alive + orphans(others), finished(out)
    assert {name: now.get(name) for name in before} == before
    with cluster(tmp_path) as machines:
        asked_again(question, out, now, "--scheduler-file", machines.file)
    left = litter(tmp_path, os.environ["TMPDIR"])
    tally("grid, on a cluster", tries=4, orphans=len(alive), litter=len(left))
    assert (alive, left) == ([], [])


@pytest.mark.nightly
def test_a_worker_that_is_asked_to_end_leaves_its_run_to_another(own_places, tmp_path, tally):
    file, out = grid_file(book(tmp_path / "demo.ipynb"), params={"stop": "worker-0"}), tmp_path / "out"  # who sleeps
    with cluster(tmp_path, workers=1) as machines:
        with started("grid", file, "--out", out, "--scheduler-file", machines.file) as client:
            begun([machines.workers[0].pid], KERNEL)
            machines.add_worker()
            others = family(machines.workers[0].pid)
            machines.workers[0].terminate()
            said, more = client.communicate(timeout=120)
        alive = orphans(others)
    left = litter(tmp_path, os.environ["TMPDIR"])
    tally("a worker's time is over", tries=1, orphans=len(alive), litter=len(left))
    assert client.returncode == 0, said + more
    assert (alive, left) == ([], [])
    (folder,) = (out / "demo").glob("[!.]*")
    assert runs.results(folder)["provenance"]["worker"] == "worker-1"
