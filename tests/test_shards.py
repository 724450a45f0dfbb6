"""A heavy run in shards: the same numbers whoever finds them, whatever ends meanwhile, and nothing found twice."""

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from functools import partial

import cloudpickle
import grids
import nbformat
import numpy as np
import psutil
import pytest
import torch

from helpers import parameters, shards, workers
from helpers.errors import CourseError
from helpers.shards import Spread

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers that were begun by hand do not know the tests
torch.manual_seed(0)
NET, OTHER = torch.nn.Conv2d(3, 1, 3), torch.nn.Conv2d(3, 1, 3)


def seen(rows, net=NET, calls=(), stop=None, fatal=None):
    """A number a row by a network, with a draw; it may stop at a row, or end its process there, once."""
    rows = list(rows)
    for folder in calls:
        (folder / f"{rows[0]}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if stop in rows:
        raise RuntimeError("as asked")
    if fatal and not fatal.exists() and 40 in rows:
        fatal.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    x = torch.tensor(rows, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 8, 8) + torch.rand(
        len(rows), 3, 8, 8
    )
    return {"y": net(x).detach().flatten(1)[:, 0], "row": rows, "name": [f"row {row}" for row in rows]}


def spread(workers="0", seed=3):
    """`run.spread` of a run with so many workers."""
    about = {"device": "cpu", "versions": {"torch": torch.__version__}}
    return Spread({"parameters": {"workers": workers, "seed": seed}, "provenance": about})


@contextmanager
def staff(number):
    """So many workers in this block."""
    try:
        yield str(number)
    finally:
        client = workers._joined(str(number))
        workers._ended(client, client.cluster)
        workers._joined.cache_clear()


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], strict=True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where shards are kept, as in a report run."""
    monkeypatch.setenv(workers.PLACE, str(tmp_path / "shards"))
    return tmp_path / "shards"


@pytest.fixture
def calls(tmp_path):
    """A folder that has a file for each shard that was computed."""
    (tmp_path / "calls").mkdir()
    return tmp_path / "calls"


def firsts(calls):
    """The first row of each shard that was computed since the last time."""
    found = sorted(int(file.name.split("-")[0]) for file in calls.iterdir())
    for file in calls.iterdir():
        file.unlink()
    return found


# shards -------------------------------------------------------------------------------------------------------------


def lengths(rows):
    return {"first": [rows[0]], "length": [len(rows)], "row": [0]}


@pytest.mark.parametrize(("n", "each"), [(1, 32), (33, 32), (8193, 32), (100_000, 16)])
def test_shards_follow_from_the_number_of_rows_alone(n, each):
    found = spread()(lengths, n, each)
    size = found["length"][0]
    assert found["length"].sum() == n
    assert found["first"].tolist() == [*range(0, n, size)]
    assert len(found["first"]) <= 256
    assert size % each == 0 or size == n


def test_answers_stand_in_the_order_of_the_rows():
    rows = [*range(99, -1, -1)]
    found = spread()(seen, rows, 8)
    assert found["row"].tolist() == rows
    assert found["name"].tolist() == [f"row {row}" for row in rows]


def test_no_rows_are_told():
    with pytest.raises(ValueError, match="seen: there are no rows to spread"):
        spread()(seen, 0)


def test_draws_belong_to_rows_and_those_of_the_notebook_go_on():
    before = torch.get_rng_state(), np.random.get_state()
    first = spread()(seen, 100, 8)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1][1])
    torch.rand(3)
    same(spread()(seen, 100, 8), first)
    assert not np.array_equal(spread(seed=4)(seen, 100, 8)["y"], first["y"])


# the knob -----------------------------------------------------------------------------------------------------------

KNOB = parameters.Parameter("workers", "str", "0", "who works", "workers")


@pytest.mark.parametrize(("given", "meant"), [(2, "2"), ("02", "2"), ("0", "0"), ("tcp://[::1]:8786", None)])
def test_workers_are_a_number_or_an_address(given, meant):
    assert parameters.check("demo", [KNOB], {"workers": given}) == {"workers": meant or given}


@pytest.mark.parametrize("given", ["two", "-1", "257", "2.5", "", "tcp://node", "http://node:1", True, [1]])
def test_other_workers_are_refused_with_what_they_may_be(given):
    with pytest.raises(CourseError, match=r"demo: parameter `workers` is .* it needs 0 \(nobody but this process\)"):
        parameters.check("demo", [KNOB], {"workers": given})


@pytest.mark.parametrize("name", ["01_focus", "02_facex", "04_advise"])
def test_notebooks_that_can_share_their_work_have_the_knob(name):
    from reports import plans

    with pytest.raises(CourseError, match="parameter `workers` is 'many'"):
        plans.plan(name, given={"workers": "many"})


def test_without_dask_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(CourseError, match=r"workers needs dask.distributed: pip install -e '.\[scale\]'"):
        spread("2")(seen, 9)


def test_a_scheduler_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    with pytest.raises(CourseError, match="no scheduler at tcp://127.0.0.1:9 "):
        spread("tcp://127.0.0.1:9")(seen, 9)


def test_what_cannot_be_sent_to_workers_is_told(monkeypatch):
    with pytest.raises(CourseError, match="workers=2: seen: what it needs cannot be sent .* Take workers=0"):
        workers._packed("2", seen, {"net": sys._getframe()})


# what is kept -------------------------------------------------------------------------------------------------------


def test_finished_shards_are_not_computed_again(place, calls):
    for left in ([*range(0, 64, 8)], [56]):
        with pytest.raises(RuntimeError, match="as asked"):
            spread()(seen, 100, 8, calls=[calls], stop=60)
        assert firsts(calls) == left
    found = spread()(seen, 100, 8, calls=[calls])
    assert len(firsts(calls)) == 13  # `stop` is an argument: another question
    same(spread()(seen, 100, 8, calls=[calls]), found)
    assert firsts(calls) == []


@pytest.mark.parametrize("other", [{"net": OTHER}, {"rows": 99}, {"rows": [*range(1, 101)]}, {"each": 4}, {"seed": 4}])
def test_another_question_takes_none_of_them(place, calls, other):
    spread()(seen, 100, 8, calls=[calls])
    firsts(calls)
    seed, rows, each = other.pop("seed", 3), other.pop("rows", 100), other.pop("each", 8)
    spread(seed=seed)(seen, rows, each, calls=[calls], **other)
    assert len(firsts(calls)) == -(-(rows if isinstance(rows, int) else 100) // each)


def test_the_second_time_in_a_run_is_another_question(place, calls):
    run = spread()
    one, other = (run(seen, 8, 8, calls=[calls]) for _ in range(2))
    assert firsts(calls) == [0, 0]
    same(one, other)


def test_a_shard_that_is_broken_or_of_other_rows_is_computed_again(place, calls):
    found = spread()(seen, 100, 8, calls=[calls])
    firsts(calls)
    (folder,) = place.iterdir()
    (folder / "000.npz").write_bytes(b"PK broken")
    (folder / "003.npz").write_bytes((folder / "004.npz").read_bytes())
    np.savez(folder / "005.npz", rows=np.array([{"code": 1}], dtype=object))  # a pickle, which could run code
    same(spread()(seen, 100, 8, calls=[calls]), found)
    assert firsts(calls) == [0, 24, 40]


def test_the_manifest_says_which_question_it_is(place):
    spread()(seen, 100, 8)
    said = json.loads((place / "001-seen/manifest.json").read_text("utf-8"))
    assert (said["question"], said["function"], said["rows"], said["rows of a shard"]) == ("shards", "seen", 100, 8)
    assert said["versions"]["torch"] == torch.__version__
    assert said["device"] == "cpu"


def test_without_a_report_run_nothing_is_kept(tmp_path, data_home):
    spread()(seen, 100, 8)
    assert not data_home.exists()


# workers ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_number_of_workers_finds_the_same_also_when_one_is_killed(place, calls, tmp_path, number):
    plain = spread()(seen, 100, 8)
    with staff(number) as n:
        run = spread(n)
        same(run(seen, 100, 8, calls=[calls], fatal=tmp_path / "fatal"), plain)
        assert (tmp_path / "fatal").exists()
        assert sum(run.about["workers"].values()) == 13
        done = firsts(calls)
        assert {*done} == {*range(0, 100, 8)}
        assert done.count(40) == 2
        with pytest.raises(RuntimeError, match="as asked"):
            run(seen, 100, 8, calls=[calls], stop=99)
        kept = {8 * int(file.stem) for file in (place / "002-seen").glob("*.npz")}
        firsts(calls)
        again = spread(n)
        again(lengths, 9)  # what was the first question
        with pytest.raises(RuntimeError, match="as asked"):
            again(seen, 100, 8, calls=[calls], stop=99)
        assert not {*firsts(calls)} & kept
        for process in workers._joined(n).run(os.getpid).values():
            listens = [c for c in psutil.net_connections() if (c.pid, c.status) == (process, psutil.CONN_LISTEN)]
            assert {c.laddr.ip for c in listens} == {"127.0.0.1"}


@pytest.mark.slow
def test_workers_begun_by_hand_do_the_same_and_their_loss_is_told(tmp_path, calls):
    plain = spread()(seen, 100, 8)
    with grids.cluster(tmp_path, workers=2) as machines:
        address = json.loads(machines.file.read_text())["address"]
        run = spread(address)
        same(run(seen, 100, 8, fatal=tmp_path / "fatal"), plain)
        assert {who.split()[1] for who in run.about["workers"]} <= {"worker-0", "worker-1"}
        with pytest.raises(CourseError, match=r"worker worker-\d on \S+: /nowhere/at/all.png: no such file"):
            run(missing, 9)
        machines.scheduler.kill()
        with pytest.raises(CourseError, match="the scheduler is lost. What was finished is kept"):
            run(seen, 100, 8)


def missing(rows):
    from pathlib import Path

    from helpers.pictures.images import open_image

    open_image(Path("/nowhere/at/all.png"))


# notebooks ----------------------------------------------------------------------------------------------------------

SMALL = {"model": ["compact_resnet"], "mosaics_per_class": [4], "layout_mosaics": 40, "epochs": 3, "cascade_steps": 2}
SMALL |= {"random_draws": 2, "tile": 32, "methods": ["gradcam", "smoothgrad", "random"], "curve_model": "none"}


@pytest.mark.slow
def test_01_gives_equal_metrics_by_any_number_of_workers(tmp_path, monkeypatch, one_thread):
    from known import in_small

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = in_small("01_focus", tmp_path, monkeypatch, 200, SMALL)
    plain = run()
    for number in (1, 2, 3):
        with staff(number) as n:
            found = run(workers=n)
        assert found["provenance"]["workers"]
        assert found["metrics"] == plain["metrics"]
        assert found["estimates"] == plain["estimates"]


@pytest.mark.slow
def test_02_and_04_find_the_same_by_two_workers(notebook, one_thread, monkeypatch, data_home):
    from known import RED

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    facex, advise = notebook("02_facex"), notebook("04_advise")
    torch.manual_seed(0)
    images, layers = torch.randint(0, 256, (150, 3, 16, 16)).byte(), torch.rand(150, 4, 16, 16) > 0.6
    read, masks = (partial(torch.Tensor.__getitem__, all_) for all_ in (images, layers))
    ways = {"patch": 4, "top": 5, "scaling": "dataset"}

    def profile(over):
        return facex.facex(RED, 1, torch.arange(0, 150, 1), read, masks, [*"abcd"], over=over, **ways)

    how = {"classifier": RED, "layer": RED.net.conv, "methods": ["advise", "gradcam", "random"], "seed": 0}
    how |= {"options": {"random": {"seed": 0}}, "how": advise.Advise(), "judge": advise.Protocol(), "partitions": 1}

    def judged(over):
        return over(advise.protocol_at, 40, 16, I=images[:40, :, :, :].repeat(1, 1, 4, 4), **how)

    plain = spread()
    with staff(2) as n:
        for one, other in zip(profile(plain), profile(spread(n)), strict=True):
            assert one.equals(other)
        one, other = judged(plain), judged(spread(n))
    assert one.pop("seconds").shape == other.pop("seconds").shape
    same(one, other)


# a report run -------------------------------------------------------------------------------------------------------

KNOBS = """seed: int = 0  # 0 to 99; draws
workers: str = "0"  # workers; who works
fail: str = ""  # text; the file that says that the kernel is not to be killed"""
START = "from helpers.run import start\nrun = start(globals())"
WORK = """import os, signal, time, torch
from pathlib import Path
def work(rows, calls):
    (Path(calls) / f"{rows[0]}-{os.getpid()}").touch()
    return {"y": torch.rand(len(rows))}
def last(rows, calls, once):
    if not Path(once).exists():
        Path(once).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(rows, calls)
found = run.spread(work, 40, 8, calls=fail)
more = run.spread(last, 1, calls=fail, once=fail + ".once")
run.metric("mean", found["y"].mean())
run.metric("more", more["y"].mean())"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_its_shards_and_leaves_none(tmp_path, data_home, calls):
    from reports import litter, plans, runs

    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_markdown_cell("# Demo"), nbformat.v4.new_code_cell(KNOBS)]
    book.cells[1].metadata["tags"] = ["parameters"]
    book.cells += [nbformat.v4.new_code_cell(source) for source in (START, WORK)]
    nbformat.write(book, tmp_path / "demo.ipynb")
    ask = partial(plans.plan, str(tmp_path / "demo.ipynb"))
    first = ask(given={"fail": str(calls)})
    folder, status = runs.run(first, tmp_path / "out")
    assert status == "failed"
    assert "was killed" in runs.reason(folder)
    assert firsts(calls) == [0, 8, 16, 24, 32]
    assert [reason for _, reason in litter.unfinished(tmp_path / "out") if "shards" in reason]
    folder, status = runs.run(first, tmp_path / "out")
    assert (status, firsts(calls)) == ("finished", [0])  # of `last` alone
    assert not [*data_home.glob("shards/*")]
    plain = runs.results(folder)["metrics"]
    folder, status = runs.run(ask(given={"fail": str(calls), "workers": "1"}), tmp_path / "out")
    assert (status, {*firsts(calls)}) == ("finished", {0, 8, 16, 24, 32})
    assert runs.results(folder)["metrics"] == plain


def test_free_memory_is_given_back_between_shards_but_not_all_the_time(monkeypatch):
    asked, now = [], iter(np.arange(0, 100, 0.4))
    monkeypatch.setattr("helpers.shards._give_back", lambda: asked.append(1))
    monkeypatch.setattr("helpers.shards.time.monotonic", lambda: next(now))
    spread()(seen, 80, 8)  # ten shards, 0.4 s each
    assert len(asked) == 3


@pytest.mark.parametrize("missing", [AttributeError, OSError, TypeError])
def test_a_system_without_that_call_is_left_alone(monkeypatch, missing):
    def cdll(name):
        raise missing

    monkeypatch.setattr("helpers.shards.ctypes.CDLL", cdll)
    shards._give_back()
