"""What killed runs left half made, found by its names, and removed by the next start."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers import door
from helpers.files import OWNER, orphans, owned, remove, room

HIDDEN = (".*~*", "*/.*~*", "checked/*/.*~*")  # below a folder of reports, and below that of data and networks
DAY = 24 * 3600.0


def places(out: Path) -> list[tuple[Path, str]]:
    """Where something half made may lie: a folder, and the pattern of its names there."""
    below = [(root, pattern) for root in (out, door.data_root()) for pattern in HIDDEN]
    return below + [(Path(folder), "course~*") for folder in {tempfile.gettempdir(), "/tmp"}]


@contextmanager
def passing(where: Path) -> Iterator[Path]:
    """A folder in there that goes with the block; when we are killed in it, with the next start."""
    folder = where / owned("course")
    try:
        with room(folder):
            folder.mkdir(mode=0o700, parents=True)
            yield folder
    finally:
        remove(folder)


def sweep(out: Path) -> None:
    """Remove what killed processes of this machine left."""
    for folder, pattern in places(out):
        for path in orphans(folder, pattern):
            remove(path)


def found(out: Path) -> list[Path]:
    """That, and what another machine has not touched for a day."""
    dead = {path for where in places(out) for path in orphans(*where)}
    named = {path for folder, pattern in places(out) for path in folder.glob(pattern) if OWNER.search(path.name)}
    return sorted(dead | {path for path in named if time.time() - path.lstat().st_mtime > DAY})


def unfinished(out: Path) -> list[tuple[Path, str]]:
    """What was interrupted and is kept, each with the reason."""
    root = door.data_root()
    kept = [(path, "a training: goes on when the network is asked for again") for path in root.glob("*/*.partial")]
    kept += [(path, "a download: goes on when it is asked for again") for path in root.rglob("*.part")]
    kept += [(path, "shards of a heavy run: not done anew when it is asked again") for path in root.glob("shards/*")]
    runs = [path.parent for path in out.glob("*/*/results.json") if '"status": "incomplete"' in path.read_text("utf-8")]
    return sorted(kept + [(path, "a run without its page: made when it is asked for again") for path in runs])


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())
