"""What a data set is upstream: its parts and where each comes from, and what a script makes of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd


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
class Upstream:
    """A data set as its script describes it: what `course data list` shows, and how it is arranged.

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
