"""A folder or a picture of one's own, as it is: the tables of the one format, checked, kept until it changes.

A folder may have its own index.csv and classes.csv; or one sub-folder per class, train/ and val/ with those inside;
or `images/`, with labels.csv, attributes.csv and masks/ beside it; or only pictures.
"""

import hashlib
import json
import mimetypes
from pathlib import Path

import pandas as pd

from helpers import door
from helpers.errors import CourseError
from helpers.files import atomic, write_text

from . import tables, verify

REQUIRED = ("image", "split", "label")
STRAY = ("thumbs.db", "desktop.ini")  # what Windows leaves in folders of pictures; macOS starts such names with a dot
TEXTS = (".md", ".rst", ".log", ".ini", ".toml", ".yaml", ".yml")  # what KINDS does not know
KINDS = mimetypes.MimeTypes()  # as Python knows them, on every system: notes.txt is no bad picture
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def arranged(place: Path, root: Path) -> Path:
    """A folder below `<root>/checked` with the tables: index.csv of all that can be read, bad.csv (file, reason).

    All files are decoded, once until any changes. Raises CourseError for a table that is wrong and where nothing is.
    """
    key = hashlib.sha256(str(place).encode()).hexdigest()[:8]
    folder = root / "checked" / f"{door.manifest(place)}-{key}"
    if not (folder / "index.csv").is_file():
        _arrange(place, folder)
    return folder


def _arrange(place: Path, folder: Path) -> None:
    regions, known = tables.regions(place / "regions.csv"), tables.classes(place / "classes.csv")
    own = (place / "index.csv").is_file()
    table, lost = (tables.read_csv(place / "index.csv", REQUIRED), {}) if own else found(place)
    bad, turned = verify.problems(place, table, regions, None if known is None else {*known["folder"]}, place.name)
    bad |= lost
    if known is not None:
        _write(folder / "classes.csv", known)
    _write(folder / "regions.csv", pd.DataFrame(regions.items(), columns=["id", "region"]))
    reasons = [(file, reason) for file, _, reason in (said.partition(": ") for said in bad.values())]
    _write(folder / "bad.csv", pd.DataFrame(reasons, columns=["file", "reason"]))
    write_text(folder / "dataset.json", json.dumps({"turned": turned}))
    _write(folder / "index.csv", table.drop(index=[*bad]))  # last: it says that all is there


def _write(file: Path, table: pd.DataFrame) -> None:
    with atomic(file) as draft:
        table.to_csv(draft, index=False, encoding="utf-8")


def found(root: Path) -> tuple[pd.DataFrame, dict[int, str]]:
    """The table of a picture, or of a folder without index.csv; and what is wrong with a row already.

    That is a folder with `images/`, or one per class, or train/ and val/ with those inside, or only pictures. Those of
    the last kind and a single picture, whose path is all in `root`, have the label `all`.
    """
    if root.is_file():
        return pd.DataFrame([("", "val", "all")], columns=list(REQUIRED)), {}
    if (root / "images").is_dir():
        return _images(root)
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    pairs = [("val", p) for p in folders]  # nothing here was trained on: all can be asked
    if folders and all(p.name.lower() in SPLITS for p in folders):
        pairs = [(SPLITS[p.name.lower()], c) for p in folders for c in sorted(p.iterdir()) if c.is_dir()]
    rows = [
        (str(file.relative_to(root)), split, folder.name)
        for split, folder in pairs
        for file in sorted(folder.rglob("*"))
        if _picture(file)
    ] or [(file.name, "val", "all") for file in _files(root)]
    if not rows:
        raise CourseError(f"{root}: found neither index.csv nor sub-folders with pictures (one per class) nor pictures")
    return pd.DataFrame(rows, columns=list(REQUIRED)), {}


def _images(root: Path) -> tuple[pd.DataFrame, dict[int, str]]:
    """Of `images/`: labels.csv or attributes.csv beside it have a column `file`, masks/ a PNG of each picture's name.

    Without a column `label` every picture has the label `all`.
    """
    files = _files(root / "images")
    if not files:
        raise CourseError(f"{root / 'images'}: no pictures in it")
    table = pd.DataFrame({"file": [f.name for f in files], "image": [f"images/{f.name}" for f in files]})
    table = table.assign(split="val", label="all")
    if (root / "masks").is_dir():
        table["mask"] = [f"masks/{f.stem}.png" for f in files]
    lost: dict[int, str] = {}
    for beside in (root / "labels.csv", root / "attributes.csv"):
        if beside.is_file():
            columns = tables.read_csv(beside, ("file",)).drop_duplicates("file")
            without = table.index[~table["file"].isin(columns["file"])]
            lost |= {row: f"{root / table['image'][row]}: no row in {beside}" for row in without}
            own = table.drop(columns=[c for c in columns if c in table and c != "file"])
            table = own.merge(columns, how="left", on="file").fillna("")
    return table.drop(columns="file"), lost


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if _picture(file))


def _picture(file: Path) -> bool:
    """Whether a file is meant as a picture: an image by its name, or of a kind that its name does not tell."""
    kind = KINDS.guess_type(file.name)[0] or "image/"
    stray = file.name.startswith(".") or file.name.lower() in STRAY or file.suffix.lower() in TEXTS
    return kind.startswith("image/") and not stray and file.is_file()
