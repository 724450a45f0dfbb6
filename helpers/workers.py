"""Who does the shards of a heavy run: this process, processes of this machine, or the workers of a dask cluster.

dask.distributed is imported where workers are asked for, torch where they work: `course` checks the knob without them.
"""

import atexit
import hashlib
import importlib
import logging
import multiprocessing
import os
import platform
import random
import re
import secrets
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from .errors import CourseError

PLACE = "COURSE_SHARDS"  # the folder that keeps the finished shards of a report run
MOST = 256  # processes of one machine
METHODS = "helpers.heatmaps.methods"  # to which notebooks add; imported only where one has: it brings torchvision
PATIENCE = 10.0  # seconds to wait for a scheduler
WAYS = f"0 (nobody but this process), a number of processes up to {MOST}, or a scheduler such as tcp://127.0.0.1:8786"
INSTALL = "pip install -e '.[scale]'"

Shard = tuple[int, list[int]]  # its number, and its rows
Arrays = dict[str, Any]  # numpy's, by name


def checked(value: str) -> str:
    """The knob `workers`, as it is meant. Raises ValueError saying what it needs."""
    if value.isdecimal() and int(value) <= MOST:
        return str(int(value))
    if re.fullmatch(r"(tcp|tls)://([^\s/:]+|\[[\da-f:]+\]):\d{1,5}", value):
        return value
    raise ValueError(f"it needs {WAYS}")


def cores() -> int:
    """Cores this process may use; one where it may not start others (a daemon, such as a dask worker)."""
    if multiprocessing.current_process().daemon:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def answers(workers: str, function: Callable, fixed: dict, seed: int, shards: list[Shard]) -> Iterator[tuple]:
    """`function(rows, **fixed)` of each shard: its number, the arrays, and who made them, as they come.

    Random numbers that the function draws without a generator of its own are seeded by `seed` and the shard's first
    row, so it does not matter who does which shard, and when. When a worker is lost, another one does its shard.
    Raises CourseError where nobody can, and whatever the function raises.
    """
    if workers == "0" or not shards:
        for number, rows in shards:
            yield number, done(function, fixed, seed, rows), ""
        return
    client, topic = _joined(workers), f"course-{secrets.token_hex(8)}"  # nobody else's tasks
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")  # the network: each worker gets it once
        # a task, not scattered data: what is lost with a worker, dask makes again elsewhere
        packed = client.submit(bytes, _packed(workers, function, fixed), key=f"{topic}-function", pure=False)
    same = packed, topic, _threads(workers), seed
    yield from _dealt(client, workers, ((number, (*same, rows)) for number, rows in shards))


def _dealt(client, workers: str, tasks: Iterator[tuple[int, tuple]]) -> Iterator[tuple]:
    """The shards sent a few at a time, so that neither we nor the scheduler hold many, and what comes back."""
    from dask.distributed import KilledWorker, as_completed

    sent: dict[str, int] = {}
    ended = as_completed(loop=client.loop)

    def send() -> None:
        wanted = 2 * max(1, len(client.scheduler_info()["workers"]))  # some may have come, or gone
        for number, arguments in islice(tasks, max(0, wanted - len(sent))):
            future = client.submit(_answered, *arguments, pure=False)
            sent[future.key] = number
            ended.add(future)

    send()
    while sent:
        future = next(ended)
        number = sent.pop(future.key)
        try:
            arrays, who = future.result()
            send()
        except KilledWorker as error:
            why = "most often the memory ran out: take fewer workers, or larger machines"
            raise CourseError(f"workers={workers}: shard {number} ended one worker after another ({why})") from error
        except Exception:
            if not future.cancelled() and client.status == "running":
                raise
            _joined.cache_clear()
            why = "the scheduler is lost. What was finished is kept: begin another, with workers, and ask again"
            raise CourseError(f"workers={workers}: {why}") from None
        future.release()
        yield number, arrays, who


# In a worker ----------------------------------------------------------------------------------------------------------

_HELD: dict[str, tuple[Callable, dict]] = {}  # the function that this worker does now, with its network
_ONE = threading.Lock()  # a worker that was begun with several threads: networks are not for two at once


def _answered(packed: bytes, topic: str, threads: int, seed: int, rows: list[int]) -> tuple[Arrays, str]:
    """The arrays of one shard, and who we are. What was packed is unpacked once."""
    import cloudpickle
    import torch
    from dask.distributed import get_worker

    who = f"worker {get_worker().name} on {platform.node()}"
    with _ONE:
        try:
            if topic not in _HELD:
                _HELD.clear()
                torch.set_num_threads(threads or torch.get_num_threads())
                function, fixed, own = cloudpickle.loads(packed)
                if own:
                    importlib.import_module(METHODS).METHODS.update(own)
                _HELD[topic] = function, fixed
            return done(*_HELD[topic], seed, rows), who
        except (CourseError, ImportError, FileNotFoundError) as error:  # as of a data set that lies elsewhere there
            raise CourseError(f"{who}: {error}") from error


def done(function: Callable, fixed: dict, seed: int, rows: list[int]) -> Arrays:
    """What the function says of these rows, as arrays; draws are those of their numbers, and nobody else's change."""
    import numpy as np
    import torch

    before, first = (random.getstate(), np.random.get_state()), seed + rows[0]
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        random.seed(first)
        np.random.seed(first % 2**32)
        torch.manual_seed(first)
        try:
            found = {name: np.asarray(values) for name, values in function(rows, **fixed).items()}
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
    return {name: values.astype(str) if values.dtype == object else values for name, values in found.items()}


# Who they are ---------------------------------------------------------------------------------------------------------


@cache
def _joined(workers: str):
    """The client of these workers: begun here, where they are a number, and ended with us."""
    if not workers.isdecimal():
        client = connected("workers", workers)
        installed(client, __name__)
        if others := [who for who, theirs in client.run(code).items() if theirs != code()]:
            raise CourseError(f"workers={workers}: another version of the course runs there: {', '.join(others)}")
        if not client.scheduler_info()["workers"]:
            print(f"no workers at {workers}; waiting for some: dask worker ADDRESS --nthreads 1", file=sys.stderr)
        return client
    LocalCluster, Client = _dask("workers", "LocalCluster", "Client")
    cluster = LocalCluster(
        n_workers=int(workers),
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=None,  # the system's: dask would end those that need much while there is enough
        silence_logs=logging.CRITICAL,
    )
    client = Client(cluster, set_as_default=False)
    atexit.register(_ended, client, cluster)
    return client


def connected(option: str, where: str, scheduler_file: str | None = None):
    """The client of a scheduler, by dask's own settings (TLS among them). Raises CourseError where there is none.

    `option` is what the user says it with.
    """
    Client, Security = _dask(option, "Client", "Security")
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL)  # it would tell in tracebacks what we say in a line
    if where.startswith("tls:") and not Security().get_connection_args("client").get("ssl_context"):
        names = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE and DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT"
        raise CourseError(f"{option} {where} needs certificates: set {names}, as README tells")
    address = None if scheduler_file else where
    try:
        return Client(address, scheduler_file=scheduler_file, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(f"no scheduler at {where} ({error}). Begin one: dask scheduler --host 127.0.0.1") from None


def installed(client, module: str) -> None:
    """Raises CourseError naming who lacks the course: dask would end such workers, one after the other."""
    found = client.run(find_spec, module, on_error="return")
    try:
        found["the scheduler"] = client.run_on_scheduler(find_spec, module)
    except ImportError as error:
        found["the scheduler"] = error
    if without := [who for who, one in found.items() if one is None or isinstance(one, ImportError)]:
        how = f"Install it there, in the version that you have here: {INSTALL}"
        raise CourseError(f"the course is not installed where these run: {', '.join(without)}. {how}")


def code() -> str:
    """A short hash of the helpers that this process has."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _dask(option: str, *names: str) -> list[Any]:
    try:
        import dask.distributed
    except ImportError:
        raise CourseError(f"{option} needs dask.distributed: {INSTALL}") from None
    return [getattr(dask.distributed, name) for name in names]


def _ended(client, cluster) -> None:
    with suppress(Exception):  # at our end there is nobody to tell
        client.close()
        cluster.close()


def _threads(workers: str) -> int:
    """Threads of each, when they are ours: they share the cores that this process may use; 0: as they were begun."""
    allowed = int(os.environ.get("OMP_NUM_THREADS", "").partition(",")[0] or cores())
    return max(1, allowed // int(workers)) if workers.isdecimal() else 0


def _packed(workers: str, function: Callable, fixed: dict) -> bytes:
    """The function with its network, and the heatmap methods that the notebook has added."""
    import cloudpickle

    known = getattr(sys.modules.get(METHODS), "METHODS", {})
    own = {name: how for name, how in known.items() if not how.function.__module__.startswith("helpers.")}
    try:
        return cloudpickle.dumps((function, fixed, own))
    except Exception as error:  # pickle's, torch's
        why = f"what it needs cannot be sent to other processes ({type(error).__name__}: {error})"
        raise CourseError(f"workers={workers}: {function.__name__}: {why}. Take workers=0") from None
