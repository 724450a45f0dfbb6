"""Several runs side by side: each in a process of its own, with its share of the cores and a GPU of its own."""

import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from data_scripts.workers import cores

from . import asked, devices
from .board import Board
from .litter import passing
from .plans import Plan


def run(plans: list[Plan], out: Path, jobs: int, board: Board, force: bool = False) -> list[int]:
    """Run these, at most `jobs` at a time; the exit codes of `course run`, in the same order (1 for one killed).

    Each gets cores / jobs threads unless OMP_NUM_THREADS says another number: kernels that share cores wait for each
    other. Where there are GPUs, each run that wants one has one for itself. The board is told of all. An interrupt
    ends all of them, and each leaves nothing half-done, as if it ran alone.
    """
    gpus = devices.visible() if any(map(devices.wanted, plans)) else []
    if gpus and len(gpus) < jobs:
        board.say(f"--jobs {jobs}: as many at a time as there are GPUs here ({len(gpus)}), one run on each")
        jobs = len(gpus)
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in (gpus or [""] * jobs)[:jobs]:
        free.put(name)
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
    started: list[subprocess.Popen] = []
    interrupted = threading.Event()

    def one(plan: Plan, file: Path) -> int:
        gpu = free.get()
        env = {"OMP_NUM_THREADS": threads} | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu and devices.wanted(plan) else {})
        file.write_text(yaml.safe_dump(plan.values, allow_unicode=True), encoding="utf-8")
        board.start(plan)
        try:
            with asked.started(str(plan.notebook), file, plan.profile, out, *["--force"] * force, **env) as process:
                started.append(process)
                if interrupted.is_set():  # between two runs
                    process.send_signal(signal.SIGINT)
                said = asked.followed(process, lambda number, of: board.cell(plan, number, of))
        finally:
            free.put(gpu)
        if not interrupted.is_set():
            board.end(plan, *asked.ended(said, process.returncode))
        return 1 if process.returncode < 0 else process.returncode

    with passing(Path(tempfile.gettempdir())) as own, ThreadPoolExecutor(jobs) as pool:
        try:
            return list(pool.map(one, plans, [own / f"{k}.yaml" for k in range(len(plans))]))
        except BaseException:
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.send_signal(signal.SIGINT)
            raise


def end_with_parent() -> None:
    """Where `run` started us: an interrupt as soon as the process that did is gone, however it ended."""
    parent = int(os.environ.pop("COURSE_PARENT", 0))  # of nobody that we start: a notebook may run `course`, too

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    if parent:
        threading.Thread(target=watch, daemon=True).start()
