"""Work shared among processes: as many as there are cores, ended with us however we end, and deaf to Ctrl-C."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from helpers.workers import cores


def shared(work: Callable, parts: Sequence, workers: int | None = None) -> Iterator[Any]:
    """`work` of each part, in their order, by so many processes (as there are cores); by this one, if one is enough.

    What is not begun when the loop over it ends early is not done.
    """
    workers = min(workers or cores(), len(parts))
    if workers <= 1:
        yield from map(work, parts)
        return
    # spawned, not forked: a fork of a process in which torch runs threads can hang
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        with _deaf():
            found = [pool.submit(work, part) for part in parts]
        for one in found:
            yield one.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """What starts meanwhile never hears Ctrl-C, which a terminal sends to all: we end it, without a traceback each."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """In a worker: it ends as soon as the process that started it does, which may have been killed."""

    def watch() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
