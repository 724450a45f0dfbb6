"""A notebook to ask in grids, and a dask cluster as somebody starts it by hand on one machine."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import nbformat
import yaml
from distributed import Client

KNOBS = """lr: float = 0.1  # 0 to 1; a number
steps: list[int] = [1]  # 1 to 9; whole numbers
how: str = "one"  # one | two; a choice
seed: int = 0  # 0 to 99; draws
device: str = "cpu"  # auto | cpu | cuda; where
pictures: str = ""  # data set or nothing; what it is about
stop: str = "no"  # no | fail | killed | sleep | worker-0; how it ends, or who sleeps"""
CELLS = [  # without torch, which takes seconds to import
    "import json, os, time\nfrom pathlib import Path\nfolder = Path(os.environ['COURSE_RUN_DIR'])",
    """found = {"lr": lr, "threads": os.environ.get("OMP_NUM_THREADS")}
(folder / "results.json").write_text(json.dumps({"metrics": found}))
assert stop != "fail", "as asked"
time.sleep(60 * (stop in ("sleep", os.environ.get("COURSE_WORKER"))))
if stop == "killed":
    os.kill(os.getpid(), 9)""",
]


def book(file):
    """The notebook."""
    cells = [nbformat.v4.new_markdown_cell("# Demo")]
    cells.append(nbformat.v4.new_code_cell(KNOBS, metadata={"tags": ["parameters"]}))
    cells += [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    return file


def grid_file(of, **said):
    """A grid of it with this content, in its folder."""
    file = of.with_name("grid.yaml")
    file.write_text(yaml.safe_dump({"notebook": str(of)} | said, sort_keys=False), encoding="utf-8")
    return file


class Cluster:
    """The processes of one cluster. `file` says where its scheduler is; `scheduler` and `workers` may be killed."""

    def __init__(self, folder, workers, **env):
        self.file = folder / "scheduler.json"
        self.file.unlink(missing_ok=True)
        self._said = (folder / "dask.log").open("ab")
        self._how = {"stdout": self._said, "stderr": self._said, "cwd": folder, "env": os.environ | env}
        self.scheduler = self._begun("scheduler", "--host", "127.0.0.1", "--port", "0")
        deadline = time.monotonic() + 60
        while not self.file.is_file():
            assert time.monotonic() < deadline
            assert self.scheduler.poll() is None
            time.sleep(0.1)
        self.workers = []
        for _ in range(workers):
            self.add_worker()
        if workers:
            with Client(scheduler_file=str(self.file), set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=60)

    def add_worker(self):
        name = f"worker-{len(self.workers)}"
        self.workers.append(self._begun("worker", "--nthreads", "1", "--name", name))

    def _begun(self, what, *options):
        command = [sys.executable, "-m", "dask", what, *options, "--no-dashboard", "--scheduler-file", str(self.file)]
        return subprocess.Popen(command, start_new_session=True, **self._how)

    def end(self):
        lost = self.scheduler.poll() is not None
        for those in (self.workers, [self.scheduler]):  # a worker whose scheduler goes first takes its time
            for process in those:
                process.kill() if lost else process.terminate()
            for process in those:
                process.wait(timeout=60)
        self._said.close()


@contextmanager
def cluster(folder, workers=2, **env):
    """One of so many workers, each of which does one thing at a time; ended with the block."""
    one = Cluster(folder, workers, **env)
    try:
        yield one
    finally:
        one.end()
