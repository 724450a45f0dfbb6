"""Files and folders that are whole at every moment: written beside their place, put there when they are finished.

And names of files as they can be read, whatever they are made of.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from .errors import CourseError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path beside this one to write a file or a folder to: it comes into place when the block ends well.

    When it does not, what was written is removed, and what was there before stays; so it does when it cannot be moved.
    """
    path = Path(path)
    draft = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        _put(draft, path)
    finally:
        _remove(draft)


def write_text(path: Path, text: str) -> None:
    """The text as a file, UTF-8, all of it or nothing."""
    with atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which may itself have to be made."""
    return os.access(next(one for one in (folder, *folder.absolute().parents) if one.exists()), os.W_OK)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Alone with a file or folder that is to be made; who wants the same waits. The lock of a dead process is free.

    Raises CourseError where nothing can be written beside it.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.with_name(f".{place.name}.lock")).acquire()
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
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
