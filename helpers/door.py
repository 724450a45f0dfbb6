"""The one door to the scripts of data sets: where a set is, and made ready on first use. Nothing is downloaded here.

A script is an entry point of the group `course.datasets`: the set's name, and an object as `Script` says. Any package
may add one. What has no script, a folder or a picture of one's own, is arranged by the script `folder`.
"""

import hashlib
import json
import os
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol

from platformdirs import user_data_path

from .errors import CourseError, nearest
from .files import readable

REPO = Path(__file__).resolve().parents[1]
INSTALLED = any(REPO.glob("where_models_look-*.dist-info"))  # from an archive: among other packages, in no project
GROUP, FOLDER = "course.datasets", "folder"


class Script(Protocol):
    """What a data set's script can do, `root` being where prepared data live, and what `course data list` shows."""

    how: str  # the set is got: "drawn" (by the script, of nothing), "fetched", "by hand", ...
    holds: str
    notebooks: str
    size: str
    licence: str

    def located(self, root: Path) -> Path:
        """The folder that the set has or will have, nothing made. Raises Missing saying what to place where."""

    def find(self, root: Path) -> Path:
        """The same folder with the set in the one format, made of what is there. Raises Missing as `located` does."""


def data_root() -> Path:
    """Where prepared data and trained weights live: $COURSE_DATA, else `data/` in the project, else the user's own."""
    own = user_data_path("where-models-look", appauthor=False) if INSTALLED else REPO / "data"
    return Path(os.environ.get("COURSE_DATA") or own)


def scripts() -> dict[str, EntryPoint]:
    """The data sets that have a script, by name; `.load()` gives the script."""
    return {name: one for name, one in _registered().items() if name != FOLDER}


def _registered() -> dict[str, EntryPoint]:
    found = {one.name: one for one in entry_points(group=GROUP)}
    if FOLDER not in found:
        raise CourseError(f"no script of a data set is registered. Install the course again: pip install -e {REPO}")
    return found


def located(dataset: str | Path) -> Path:
    """Where a data set is or will be, nothing made. Raises CourseError saying what to do when there is none."""
    return _place(dataset, lambda script: script.load().located(data_root()))


def find(dataset: str | Path) -> Path:
    """Where a data set lies; an embedded one, or one whose files were placed, is made on first use.

    Nothing is downloaded. Raises CourseError as `located` does.
    """
    return _place(dataset, lambda script: script.load().find(data_root()))


def prepared(dataset: str | Path) -> Path:
    """Where a data set lies that was made ready before; its script is not asked, which may bring pandas and torch."""
    return _place(dataset, lambda script: data_root() / script.name)


def _place(dataset: str | Path, of: Callable[[EntryPoint], Path]) -> Path:
    name, known = str(dataset), scripts()
    if not name.strip():  # as a shell's variable that is not set; "" would be the folder where we are
        raise CourseError("data set: its name is empty. Give a name, a folder or a picture")
    for place in (Path(os.path.expanduser(name)), data_root() / name):
        there = os.path.isdir(place) or os.path.isfile(place)  # no pipe or device
        if there and not (name in known and place == data_root() / name):
            if readable(name) != name:  # it would stand in the names of reports
                raise CourseError(f"data set {readable(name)}: its name is not UTF-8, or has a newline; rename it")
            return place
    if name in known:
        return of(known[name])
    raise CourseError(
        f"data set `{name}`: no such folder or prepared data set, nor a picture.{nearest(name, known)} "
        f"Give a picture, a folder (with index.csv, one sub-folder per class, or only pictures) or one of: "
        f"{', '.join(known)}"
    )


def tables(place: Path) -> Path:
    """The folder with a data set's checked tables in the one format: its own, when it was made here.

    Those of any other folder, or of a picture, are written by the script `folder`: index.csv with what can be read, and
    bad.csv with the rest.
    """
    if recipe(place):
        return place
    return _registered()[FOLDER].load()(place, data_root())


def recipe(place: Path) -> dict:
    """dataset.json of a data set that was made here, which tells all of it; {} for any other."""
    file = place / "dataset.json"
    ours = file.is_file() and place.resolve().is_relative_to(data_root().resolve())
    return json.loads(file.read_text(encoding="utf-8")) if ours else {}


def manifest(dataset: str | Path) -> str:
    """A short hash that changes when the data set does: its tables, and name, size and time of every other file."""
    place = find(dataset)
    if recipe(place):
        return hashlib.sha256((place / "dataset.json").read_bytes()).hexdigest()[:12]
    digest = hashlib.sha256()
    base, files = (place.parent, [place]) if place.is_file() else (place, place.rglob("*"))
    for file in sorted(p for p in files if os.path.isfile(p)):
        digest.update(os.fsencode(file.relative_to(base)))
        if file.suffix == ".csv":
            digest.update(file.read_bytes())
        else:
            digest.update(f"{file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:12]
