"""A folder or a picture of one's own, as it is: the tables of the one format, checked, kept until it changes.

A folder may have its own index.csv and classes.csv; or one sub-folder per class, or splits with those inside
(`readings.py`); or `images/`, with labels.csv, attributes.csv and masks/ beside it; or only pictures.
"""

import atexit
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from helpers import door
from helpers.errors import CourseError
from helpers.files import atomic, owned, readable, remove, writable, write_text
from helpers.pictures.images import FORMATS

from . import readings, strays, tables, verify

REQUIRED = ("image", "split", "label")
MEANING = 3  # of the tables that are kept: another one when the same folder is read in another way
Found = tuple[pd.DataFrame, dict[int, verify.Wrong], list[str]]  # the table, what is wrong with a row already, notes


def arranged(place: Path, root: Path) -> Path:
    """A folder below `<root>/checked` with the tables: index.csv of all that can be read, bad.csv (file, reason).

    All files are decoded, once until any changes, or this script, or what Pillow can read. Raises CourseError for
    tables that are wrong and where nothing is.
    """
    key = hashlib.sha256(f"{place.name} {MEANING} {FORMATS}".encode()).hexdigest()[:8]  # wherever it is mounted
    name = Path("checked") / f"{door.manifest(place)}-{key}"
    if not (root / name / "index.csv").is_file():
        root = root if writable(root) else _passing()
        _arrange(place, root / name)
    return root / name


@cache
def _passing() -> Path:
    """Where nothing can be remembered: a folder that goes with this process."""
    folder = Path(tempfile.gettempdir()) / owned("course")
    folder.mkdir(mode=0o700)
    atexit.register(remove, folder)
    return folder


def _arrange(place: Path, folder: Path) -> None:
    regions, known, (table, lost, notes) = _all(
        lambda: tables.regions(place / "regions.csv"),
        lambda: tables.classes(place / "classes.csv"),
        lambda: _own(place) if (place / "index.csv").is_file() else found(place),
    )
    if "layers" in table and table["layers"].any() and not regions:
        raise CourseError(f"{place / 'regions.csv'}: no such file; layers need it to know their names (id, region)")
    bad, read, boxes = verify.problems(place, table, regions, None if known is None else {*known["folder"]}, place.name)
    bad |= lost
    if boxes:
        table.loc[[*boxes], "box"] = [*boxes.values()]
    if known is not None:
        _write(folder / "classes.csv", known)
    _write(folder / "regions.csv", pd.DataFrame(regions.items(), columns=["id", "region"]))
    inside = [(os.path.relpath(file, place), reason) for file, reason in bad.values()]
    _write(folder / "bad.csv", pd.DataFrame(inside, columns=["file", "reason"]))
    write_text(folder / "dataset.json", json.dumps({"notes": read + notes}))
    _write(folder / "index.csv", table.drop(index=[*bad]))  # last: it says that all is there


def _all(*steps: Callable[[], Any]) -> list[Any]:
    """What each step gives. Raises CourseError with the mistakes of all of them, not only those of the first."""
    given, wrong = [], []
    for step in steps:
        try:
            given.append(step())
        except CourseError as error:
            wrong.append(str(error))
    if wrong:
        raise CourseError("\n".join(wrong))
    return given


def _write(file: Path, table: pd.DataFrame) -> None:
    with atomic(file) as draft:
        table.to_csv(draft, index=False, encoding="utf-8")


def _own(root: Path) -> Found:
    return tables.read_csv(root / "index.csv", REQUIRED), {}, []


def found(root: Path) -> Found:
    """The table of a picture, or of a folder without index.csv, and what to know of it.

    That is a folder with `images/`, or one per class, or splits with those inside, or only pictures. Those of the last
    kind and a single picture, whose path is all in `root`, have the label `all`.
    """
    if root.is_file():
        return pd.DataFrame([("", "val", "all")], columns=list(REQUIRED)), {}, []
    if (root / "images").is_dir():
        return _images(root)
    left: list[Path] = []
    beside: list[Path] = []
    rows, notes = readings.rows(root, left)
    loose = strays.apart(root, [f.name for f in root.iterdir() if f.suffix != ".csv" and not f.is_dir()], beside)
    if rows:  # what lies beside the folders is no part of a class, as README.md
        notes += strays.note(root, loose, "picture(s) beside the folders of classes are in no class, and left out")
    else:
        left += beside
        rows = [(file, "val", "all") for file in loose]
    notes += strays.note(root, left, "file(s) or folder(s) that are no pictures of this data set were left out")
    if not rows:
        there = " ".join(["", *notes])
        raise CourseError(
            f"{root}: found neither index.csv nor sub-folders with pictures (one per class) nor pictures.{there}"
        )
    named = [(readable(file.relative_to(root)), split, readable(label)) for file, split, label in rows]
    return pd.DataFrame(named, columns=list(REQUIRED)), {}, notes


def _images(root: Path) -> Found:
    """Of `images/`: labels.csv or attributes.csv beside it have a column `file`, masks/ a PNG of each picture's name.

    Without a column `label` every picture has the label `all`.
    """
    left: list[Path] = []
    inside = [*(root / "images").iterdir()]
    files = strays.apart(root / "images", [f.name for f in inside if not f.is_dir()], left)
    left += [f for f in inside if f.is_dir()]
    notes = strays.note(root, left, "file(s) or folder(s) that are no pictures of this data set were left out")
    if not files:
        way = f" If its sub-folders are classes, give {root / 'images'}" if any(f.is_dir() for f in left) else ""
        raise CourseError(f"{root / 'images'}: no pictures in it.{' '.join(['', *notes])}{way}")
    names = [readable(f.name) for f in files]
    table = pd.DataFrame({"file": names, "image": [f"images/{name}" for name in names]})
    table = table.assign(split="val", label="all")
    if (root / "masks").is_dir():
        table["mask"] = [f"masks/{readable(f.stem)}.png" for f in files]
    lost: dict[int, verify.Wrong] = {}
    for beside in (root / "labels.csv", root / "attributes.csv"):
        if beside.is_file():
            columns = tables.read_csv(beside, ("file",)).drop_duplicates("file")
            without = table.index[~table["file"].isin(columns["file"])]
            lost |= {row: (str(root / table["image"][row]), f"no row in {beside}") for row in without}
            own = table.drop(columns=[c for c in columns if c in table and c != "file"])
            table = own.merge(columns, how="left", on="file").fillna("")
    return table.drop(columns="file"), lost, notes
