"""Several notebooks side by side: each in a process of its own, with its share of the cores."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from data_scripts.workers import cores


def run(commands: list[list[str]], jobs: int, ended: Callable[[], None] = lambda: None) -> list[int]:
    """Run `course` with each of these arguments, at most `jobs` at a time; their exit codes, in the same order.

    Each gets cores / jobs threads unless OMP_NUM_THREADS says another number: kernels that share cores wait for each
    other. `ended` is told of each that did. An interrupt ends all of them, and each leaves nothing half-done, as if it
    ran alone.
    """
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
    rows: queue.SimpleQueue[int] = queue.SimpleQueue()  # of the screen: one for each progress bar
    for row in range(jobs):
        rows.put(row)
    started: list[subprocess.Popen] = []

    def one(arguments: list[str]) -> int:
        row = rows.get()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "reports.cli", *arguments],  # -P: no helpers.py of the folder where we are
            env=os.environ | {"OMP_NUM_THREADS": threads, "COURSE_ROW": str(row), "COURSE_PARENT": str(os.getpid())},
            start_new_session=True,  # Ctrl-C reaches us alone, and each of them once, from us
        )
        started.append(process)
        code = process.wait()
        rows.put(row)
        ended()
        return code

    with ThreadPoolExecutor(jobs) as pool:
        try:
            return list(pool.map(one, commands))
        except BaseException:
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
