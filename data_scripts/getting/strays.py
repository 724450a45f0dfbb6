"""What lies in folders of pictures: pictures, and what systems, viewers, cameras and training tools leave there."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from helpers.errors import CourseError
from helpers.files import readable
from helpers.pictures.images import FORMATS, open_image

# names of folders, in any case. Of systems and of disks in the network, wherever they are
SYSTEM = {"__macosx", "@eadir", "@recycle", "@__thumb", "#recycle", "#snapshot", "$recycle.bin", "lost+found"}
SYSTEM |= {"system volume information", "__pycache__"}
# of viewers, inside a class
THUMBNAILS = {"thumb", "thumbs", "thumbnail", "thumbnails"}
# of training, beside splits or classes
TOOLS = {"runs", "logs", "log", "wandb", "mlruns", "lightning_logs", "tb_logs", "tensorboard", "checkpoints", "ckpt"}
TOOLS |= {"weights", "models", "results", "output", "outputs", "cache"}

KNOWN = {suffix for suffix, name in Image.registered_extensions().items() if name in (*FORMATS, "MPO", "TGA")}
MEANT = KNOWN | {".heic", ".heif", ".hif", ".jxl", ".svg"}  # pictures, too, though not every Pillow reads them
# a camera's raw files begin as TIFF does, and what Pillow would show of them is their thumbnail
RAW = {".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"}
LISTED = 10  # by name in a note


def hidden(name: str) -> bool:
    """Whether a folder or a file of that name is a system's, and nobody's picture."""
    return name.startswith(".") or name.casefold() in SYSTEM


def pictures(folder: Path, left: list[Path]) -> list[Path]:
    """The pictures below a folder, sorted; what is none is added to `left`: files, and folders with all that is there.

    A picture has the suffix or else the head of one: `photo`, saved without a suffix, is one, and `notes.txt` is none.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        out = [name for name in folders if hidden(name) or name.casefold() in THUMBNAILS]
        left += [Path(place, name) for name in out]
        folders[:] = [name for name in folders if name not in out]
        found += apart(Path(place), files, left)
    return sorted(found)


def apart(folder: Path, names: Iterable[str], left: list[Path]) -> list[Path]:
    """Which of these files of a folder are pictures; the others are added to `left`."""
    found: list[Path] = []
    for file in (folder / name for name in sorted(names)):
        (found if is_picture(file) else left).append(file)
    return found


def is_picture(file: Path) -> bool:
    """Whether a file is meant as a picture, by its suffix, or by its first bytes where that says nothing."""
    suffix = file.suffix.lower()
    if suffix in MEANT or suffix in RAW or hidden(file.name):
        return suffix in MEANT and not hidden(file.name)
    try:
        open_image(file).close()
    except CourseError:
        return False
    return True


def note(root: Path, left: list[Path], why: str) -> list[str]:
    """A sentence on what was left out, where each name is first and the number of all; none where nothing was."""
    first: dict[str, Path] = {}
    count = Counter(file.name for file in left)
    for file in left:
        first.setdefault(file.name, file)
    said = [_shown(root, file) + f" ({count[name]:,} of that name)" * (count[name] > 1) for name, file in first.items()]
    more = f" and {len(said) - LISTED:,} more" if len(said) > LISTED else ""
    return [f"{len(left):,} {why}: {', '.join(said[:LISTED])}{more}"] if left else []


def _shown(root: Path, file: Path) -> str:
    name = readable(file.relative_to(root)) + "/" * file.is_dir()
    return name if len(name) <= 80 else f"{name[:30]}…{name[-45:]}"


def _unreadable(error: OSError) -> None:
    raise CourseError(f"{readable(error.filename)}: cannot be opened ({error.strerror})")
