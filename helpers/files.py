"""Files and folders that are whole at every moment: written beside their place, put there when they are finished.

And names of files as they can be read, whatever they are made of.
"""

import errno
import glob
import hashlib
import os
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import CourseError

OWNER = re.compile(r"~([0-9a-f]{6})-(\d+)-(\d+)-[0-9a-f]{4}(?:\.\w+)?$")  # machine, process, when it began

PATIENCE = 2  # seconds to wait for somebody without a word


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path beside this one to write a file or a folder to: it comes into place when the block ends well.

    When it does not, what was written is removed, and what was there before stays; so it does when it cannot be moved.
    Raises CourseError when the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in orphans(path.parent, f".{glob.escape(path.stem)}~*"):
        remove(left)
    draft = path.with_name(owned(f".{path.stem}") + path.suffix)
    try:
        with room(path):
            yield draft
            _put(draft, path)
    finally:
        remove(draft)


def write_text(path: Path, text: str) -> None:
    """The text as a file, UTF-8, all of it or nothing."""
    with atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which may itself have to be made."""
    return os.access(next(one for one in (folder, *folder.absolute().parents) if one.exists()), os.W_OK)


@contextmanager
def room(place: Path) -> Iterator[None]:
    """Raises CourseError where something finds no more room on the disk of this place."""
    try:
        yield
    except Exception as error:
        if not no_room(error):
            raise
        free = shutil.disk_usage(next(one for one in place.absolute().parents if one.exists())).free / 2**20
        why = f"the disk is full ({free:,.0f} MiB free now); what was half made is not kept"
        raise CourseError(f"{place}: {why}. Make room there, or choose another disk") from None


def no_room(error: Exception) -> bool:
    """Whether the disk is full, or the user's share of it. Torch and safetensors have errors of their own for it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return re.search(r"No space left|PytorchStreamWriter|unexpected pos", str(error)) is not None


def owned(name: str) -> str:
    """The name of what is being made: it says which process of which machine makes it, so that `orphans` finds it."""
    return f"{name}~{_machine()}-{os.getpid()}-{_began(os.getpid())}-{secrets.token_hex(2)}"


def orphans(folder: Path, pattern: str = "*") -> list[Path]:
    """What our own processes on this machine left half made in a folder because they were killed."""
    named = [(path, owner) for path in folder.glob(pattern) if (owner := OWNER.search(path.name))]
    here = [(path, int(owner[2]), int(owner[3])) for path, owner in named if owner[1] == _machine() and _ours(path)]
    return sorted(path for path, process, began in here if abs(_began(process) - began) > 2)  # clocks are set


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Alone with a file or folder that is to be made; who wants the same waits, and says so. That of the dead is free.

    Raises CourseError where nothing can be written beside it.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.with_name(f".{place.name}.lock"))
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            print(f"waiting for another process, which makes the same ({place})", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        why = f"{place.parent} cannot be written ({error.strerror})"
        raise CourseError(f"{place.name}: {why}. Name a folder for data and networks: COURSE_DATA=DIR") from None
    with lock:
        yield


def readable(path: Path | str) -> str:
    r"""A name as text that can be shown and kept: bytes that are not UTF-8, newlines and the like stand as `\xHH`."""
    text = re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", str(path))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def named(path: Path) -> Path:
    """The file that `readable` shows so."""
    code = re.compile(rb"\\x([01][0-9a-f]|7f|[89a-f][0-9a-f])")
    return Path(os.fsdecode(code.sub(lambda found: bytes.fromhex(found[1].decode()), str(path).encode())))


def _put(draft: Path, path: Path) -> None:
    if not draft.is_dir() or not path.exists():
        draft.replace(path)
        return
    old = draft.with_name(f"{draft.name}-old")  # a folder takes no place that is taken
    path.rename(old)
    try:
        draft.rename(path)
    except BaseException:
        if not path.exists():
            old.rename(path)
        raise
    remove(old)


def _ours(path: Path) -> bool:
    """Whether it is ours; of other people's processes a system may say that they are not there."""
    return not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()


@cache
def _machine() -> str:
    """A short name of this machine, and of the container in it whose processes we see."""
    processes = "/proc/self/ns/pid"
    seen = os.readlink(processes) if os.path.islink(processes) else ""
    return hashlib.sha256(f"{platform.node()} {seen}".encode()).hexdigest()[:6]


def _began(process: int) -> int:
    """When a process began, in seconds; 0 when there is none of that number."""
    from psutil import NoSuchProcess, Process

    try:
        return int(Process(process).create_time())
    except NoSuchProcess:
        return 0
