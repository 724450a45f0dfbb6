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
