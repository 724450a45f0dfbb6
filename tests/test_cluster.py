"""A grid on a cluster: runs come back whole and say where they were made; what is missing over there is told."""

import base64
import re
import shutil
import signal
import time
from contextlib import suppress
from functools import partial
from importlib.util import find_spec

import grids
import psutil
import pytest
from bs4 import BeautifulSoup
from known import course_started

from helpers import workers
from helpers.errors import CourseError
from reports import cli, cluster, runs
from reports.board import Board


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """Another machine's data: none at first."""
    return tmp_path_factory.mktemp("there")


@pytest.fixture(scope="module")
def machines(there):
    with grids.cluster(there, workers=1, COURSE_DATA=str(there / "home")) as one:
        yield one


@pytest.fixture
def asked(tmp_path, data_home):
    """A grid file with this content."""
    return partial(grids.grid_file, grids.book(tmp_path / "demo.ipynb"))


@pytest.fixture
def answered(machines, tmp_path):
    """`course grid` of a file with these workers: its exit code, and all results."""

    def ask(file):
        code = cli.main(["grid", str(file), "--out", str(tmp_path / "out"), "--scheduler-file", str(machines.file)])
        return code, {folder: runs.results(folder) for folder in (tmp_path / "out" / "demo").glob("[!.]*")}

    return ask


@pytest.mark.slow
def test_runs_come_back_whole_and_their_pages_say_who_made_them(asked, answered, capfd):
    code, found = answered(asked(sweep={"lr": [0.1, 0.2], "stop": ["no", "fail"]}))
    assert code == 1
    assert sorted(one["status"] for one in found.values()) == ["failed", "failed", "finished", "finished"]
    assert {one["metrics"]["lr"] for one in found.values()} == {0.1, 0.2}
    assert {(one["provenance"]["worker"], bool(one["provenance"]["host"])) for one in found.values()} == {
        ("worker-0", True)
    }
    for folder in found:
        page = BeautifulSoup((folder / "report.html").read_text("utf-8"), "html.parser")
        _, packed = page.select_one("a[download='results.json']")["href"].split("base64,")
        assert base64.b64decode(packed) == (folder / "results.json").read_bytes()
        assert "workerworker-0" in page.select_one("dl").parent.text.replace("\n", "")
    said = capfd.readouterr()
    assert "2 of 4 runs are finished" in said.out
    assert len(re.findall(r"started on worker-0 on \S", said.out)) == 4
    assert "failed: AssertionError: as asked" in said.err


@pytest.mark.slow
def test_data_that_a_worker_lacks_or_has_otherwise_is_told_with_its_name(
    asked, answered, album, data_home, there, capfd
):
    for name in ("mine", "ours"):
        shutil.copytree(album, data_home / name)
    shutil.copytree(album / "cat", there / "home" / "ours" / "cat")
    code, found = answered(asked(sweep={"pictures": ["mine", "ours"]}))
    assert (code, found) == (1, {})
    mine, ours = (line for line in capfd.readouterr().out.splitlines() if "failed" in line)
    assert re.search(r"on worker-0 on \S+: demo: parameter `pictures` is 'mine'; data set `mine`: no such folder", mine)
    assert re.search(r"on worker-0 on \S+: --id \w+: the question has another id here, .*data or weights differ", ours)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_a_client_has_asked_ends_with_it_on_the_workers(asked, machines, tmp_path, how):
    words = ("--out", tmp_path / "out", "--scheduler-file", machines.file)
    with course_started("grid", asked(params={"stop": "sleep"}), *words) as client:
        until(lambda: any("ipykernel" in command for command in made_by(machines).values()))
        client.send_signal(how)
        _, said = client.communicate(timeout=60)
    until(lambda: not made_by(machines), seconds=20)  # the run would last for a minute
    if how == signal.SIGINT:
        assert client.returncode == 130
        assert said == "course: interrupted; what was finished is kept, and nothing half-done is taken for it\n"


def made_by(machines):
    """The runs and kernels that are at work on these machines: their command lines, by process."""
    (worker,) = machines.workers
    found = {}
    for process in psutil.Process(worker.pid).children(recursive=True):
        with suppress(psutil.Error):
            found[process.pid] = " ".join(process.cmdline())
    return {pid: command for pid, command in found.items() if "reports.cli" in command or "ipykernel" in command}


def until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_workers_that_come_later_are_waited_for(asked, tmp_path, monkeypatch):
    """As those of clusters do that start them when there is work."""
    told = []
    with grids.cluster(tmp_path, workers=0) as machines:

        def say(_, line):
            told.append(line)
            if "no workers" in line:
                machines.add_worker()

        monkeypatch.setattr(cluster, "PATIENCE", 0.5)
        monkeypatch.setattr(Board, "say", say)
        words = ["--out", str(tmp_path / "out"), "--scheduler-file", str(machines.file)]
        assert cli.main(["grid", str(asked()), *words]) == 0
    assert told[0] == f"course: no workers at {machines.file}; waiting for some: dask worker ADDRESS --nthreads 1"
    assert len(told) == 3  # ... started, finished


class Client:
    """A client whose scheduler and workers have the course or not."""

    def __init__(self, scheduler, **workers):
        self.scheduler, self.workers = scheduler, workers

    def run(self, ask, name, on_error):
        return self.workers

    def run_on_scheduler(self, ask, name):
        if isinstance(self.scheduler, Exception):
            raise self.scheduler
        return self.scheduler


def test_who_lacks_the_course_is_named_before_anything_is_asked():
    there, missing = find_spec("reports.worker"), ModuleNotFoundError("No module named 'reports'")
    workers.installed(Client(there), "reports.worker")
    workers.installed(Client(there, one=there, two=OSError("busy")), "reports.worker")
    with pytest.raises(CourseError, match="not installed where these run: two, three. Install it there"):
        workers.installed(Client(there, one=there, two=missing, three=None), "reports.worker")
    with pytest.raises(CourseError, match="not installed where these run: the scheduler. Install it there"):
        workers.installed(Client(missing, one=there), "reports.worker")


def test_nobody_at_the_address_is_told(asked, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    assert cli.main(["grid", str(asked()), "--out", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no scheduler at tcp://127.0.0.1:9" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_wants_certificates_gets_them_by_dasks_settings(asked, tmp_path, capfd):
    assert cli.main(["grid", str(asked()), "--out", str(tmp_path / "out"), "--scheduler", "tls://127.0.0.1:9"]) == 2
    assert "tls://127.0.0.1:9 needs certificates" in capfd.readouterr().err
