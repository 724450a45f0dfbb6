"""What a data set is upstream, its parts and where each comes from; and what a script makes of them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from . import prepare, sources

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Part:
    """One folder or file of a data set, as its authors name it.

    It is found as it is, or in its `archive`, or fetched: with an `url` the archive (or, without one, the file itself)
    may be had without asking anybody, and then `checksum` ("md5:..." or "sha256:...") says whether it is the right one.
    """

    path: str  # below the folder of the source, "/" between names
    archive: str = ""  # the name of the .zip, .tar, .tar.gz or .tgz that holds it
    url: str = ""
    checksum: str = ""  # of the archive, or without one of the file
    optional: bool = False  # the data set is one without it, too
    into: str = ""  # the folder in which an archive is unpacked that has its files at its top

    @property
    def file(self) -> str:
        """What a person downloads."""
        return self.archive or self.path


@dataclass(frozen=True)
class Arranged:
    """The tables of a prepared data set. Paths in `index` begin with `source/`, or name files that were made."""

    index: pd.DataFrame  # image, split, label, and what else there is; strings and numbers, "" where nothing is known
    classes: list[tuple[str, int, str]] | None = None  # folder, index, name
    regions: dict[int, str] | None = None
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)  # other files, by name
    notes: tuple[str, ...] = ()  # what the user should know, a sentence each
    left_out: tuple[tuple[str, str], ...] = ()  # pictures that are not in the index: path, reason
    checked: tuple[str, ...] = ()  # columns whose files were made or read in full here, and need no second look


@dataclass(frozen=True)
class Dataset:
    """A data set as `course data list` shows it, and how its script arranges it.

    `arrange(source, made, layout)` reads the upstream files below `source` in that layout, may write files of its own
    below `made` (masks/ and the like), and gives the tables. It changes nothing below `source`.
    """

    name: str
    holds: str
    notebooks: str  # "01, 04"
    size: str  # of what is downloaded
    licence: str
    page: str  # where its authors say how to get it
    layouts: dict[str, tuple[Part, ...]]  # the ways in which it is found, the usual one first
    arrange: Callable[[Path, Path, str], Arranged]
    pictures: int = 0  # how many there are upstream, where that is known
    on_request: bool = False  # whether its authors want to be asked first

    @property
    def how(self) -> str:
        """How it is got: `fetched` by a program, `by hand` from a page with terms to accept, or `on request`."""
        fetched = any(all(part.url or part.optional for part in parts) for parts in self.layouts.values())
        return "on request" if self.on_request else "fetched" if fetched else "by hand"

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
