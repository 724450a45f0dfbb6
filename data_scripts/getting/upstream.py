"""What a script of a public data set gives: its description, found and prepared when it is asked for."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import prepare, sources
from .parts import Arranged, Part, Upstream

__all__ = ["Arranged", "Dataset", "Part", "pictures"]
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Dataset(Upstream):
    """A public data set by its description: a script for `helpers.door`."""

    def located(self, root: Path) -> Path:
        """Its folder below `root`; raises Missing when it is not prepared and its files were not placed."""
        if not prepare.prepared(root / self.name):
            sources.chosen(self, [sources.folder_of(self.name, root)], online=False)
        return root / self.name

    def find(self, root: Path) -> Path:
        """The same, prepared of the files that were placed."""
        if not prepare.prepared(root / self.name):
            prepare.prepare(self.name, root, online=False)
        return root / self.name


def pictures(folder: Path) -> Iterator[Path]:
    """The pictures right in a folder, sorted; no Thumbs.db, no `._` files of macOS, nothing else without a picture."""
    with os.scandir(folder) as entries:  # no file is opened or asked for: there may be a million
        names = [e.name for e in entries if e.name.lower().endswith(PICTURES) and e.name[0] != "." and e.is_file()]
    for name in sorted(names):
        yield folder / name
