"""A run that is ended from outside, at any moment: killed, or asked to stop, once or twice, alone or with its group."""

import itertools
import json
import os
import random
import signal
import time

import pytest
from watched import course, family, litter, orphans, started

pytestmark = [pytest.mark.slow, pytest.mark.torture]
LASTS = 14.0  # seconds, about, of the whole run that is ended
SAID = "course: interrupted; what was finished is kept, and nothing half-done is taken for it"
PHASES = {  # how far the run is: what there is below the test's folder
    "imports": "demo.ipynb",
    "drawing": "home/.few*",
    "training": "home/models/*.partial",
    "cells": "out/demo/.*/tables/*",
    "page": "out/demo/.*/results.json",
}


def answers(out):
    """What was found, by the run's folder."""
    found = {path.parent.name: path.read_bytes() for path in out.glob("demo/[!.]*/results.json")}
    return {name: text for name, text in found.items() if json.loads(text)["status"] == "finished"}


@pytest.mark.parametrize("kills", [6, pytest.param(30, marks=pytest.mark.nightly)])
def test_nothing_is_lost_or_left_when_a_run_is_killed_at_any_moment(demo, tmp_path, tally, kills):
    """Over imports, drawing, training, cells, page and overview. Each start finds what the last one left."""
    out, moments = tmp_path / "out", random.Random(18)
    assert course("run", demo, "--out", out, "-p", "seed=99")[0] == 0
    before, lost, alive = answers(out), 0, []
    for attempt in range(kills):
        with started("run", demo, "--out", out, "-p", f"seed={attempt // 3}") as process:
            time.sleep(moments.uniform(0.2, LASTS if attempt % 3 == 2 else LASTS / 2))
            others = family(process.pid)
            process.kill()
            process.communicate(timeout=60)
        alive += orphans(others)
        now = answers(out)
        lost += sum(now.get(name) != text for name, text in before.items())
        before |= now
    code, said, _ = course("run", demo, "--out", out, "-p", "seed=98")
    assert code == 0, said
    left = litter(tmp_path, os.environ["TMPDIR"])
    tally("kill -9", tries=kills, lost_results=lost, orphans=len(alive), litter=len(left))
    assert (lost, alive, left) == (0, [], [])
    assert set(before) <= {path.name for path in out.glob("demo/[!.]*") if (path / "report.html").is_file()}


WAYS = {  # the signals, one soon after the other, and the exit code
    "INT": ((signal.SIGINT,), 130),
    "TERM": ((signal.SIGTERM,), 143),
    "HUP": ((signal.SIGHUP,), 129),
    "INT twice": ((signal.SIGINT, signal.SIGINT), 130),
    "TERM, INT, TERM": ((signal.SIGTERM, signal.SIGINT, signal.SIGTERM), 143),
}
TO = {"the command alone": os.kill, "its group": os.killpg}
CASES = [
    pytest.param(phase, way, to, marks=[pytest.mark.nightly] * bool(k % 7))
    for k, (phase, way, to) in enumerate(itertools.product(PHASES, WAYS, TO))
]


@pytest.mark.parametrize(("phase", "way", "to"), CASES)
def test_a_signal_ends_it_with_one_line_and_nothing_left(demo, tmp_path, tally, phase, way, to):
    out, (how, code) = tmp_path / "out", WAYS[way]
    with started("run", demo, "--out", out, "-p", f"hold={30 * (phase == 'cells')}") as process:
        deadline = time.monotonic() + 60
        while not [*tmp_path.glob(PHASES[phase])] and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.15)
        others = family(process.pid)
        for one in how:
            TO[to](process.pid, one)
            time.sleep(0.05)
        said, more = process.communicate(timeout=60)
    alive, left = orphans(others), litter(tmp_path, os.environ["TMPDIR"])
    lines = [line for line in (said + more).replace("\r", "\n").splitlines() if line.strip() and "it/s" not in line]
    noise = [line for line in lines if line != SAID and not line.startswith(("demo:", "drawing", "training"))]
    tally(f"signals in {phase}", tries=1, tracebacks=len(noise), orphans=len(alive), litter=len(left))
    assert (noise, alive, left) == ([], [], [])
    assert process.returncode == code
    assert SAID in lines
    assert not [*out.glob("demo/[!.]*")]
