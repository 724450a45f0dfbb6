"""`course` as a process that is watched: what it says, what it starts, and what it leaves."""

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from known import heard

from helpers.files import OWNER


@contextmanager
def started(*arguments, **env):
    """`course` as a process in a session of its own, as under a terminal; ended with the block at the latest."""
    process = subprocess.Popen(
        heard(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | env,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def course(*arguments, seconds=120, **env):
    """`course` to its end: exit code, what it said, and how long it took."""
    with started(*arguments, **env) as process:
        began = time.monotonic()
        out, said = process.communicate(timeout=seconds)
        return process.returncode, out + said, time.monotonic() - began


def family(pid):
    """A process and all that it started."""
    try:
        return [process := psutil.Process(pid), *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def orphans(processes, seconds=20):
    """Those that still run after a while; a zombie, whom nobody has asked yet, does not."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def litter(*folders):
    """What is half made in these folders and below."""
    return [path for folder in folders for path in Path(folder).rglob("*") if OWNER.search(path.name)]
