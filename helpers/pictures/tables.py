"""The tables of a data set, read and checked: index.csv, classes.csv, regions.csv, or the folders in their place."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..errors import CourseError, nearest
from .images import check_image, read_layers, read_mask

REQUIRED = ("image", "split", "label")
CHUNK = 4096  # rows in work at once: a data set of a million pictures is checked in bounded memory
STRAY = ("thumbs.db", "desktop.ini")  # what Windows leaves in folders of pictures; macOS starts such names with a dot
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read_csv(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of strings that has these columns. Raises CourseError naming the file and what is missing."""
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CourseError(f"{file}: not a readable CSV table ({error})") from None
    if missing := [c for c in columns if c not in table]:
        raise CourseError(f"{file}: column(s) {', '.join(missing)} missing; it has: {', '.join(table.columns)}")
    return table


def folders(root: Path) -> pd.DataFrame:
    """The table of a picture, or of a folder without index.csv.

    That is a folder with `images/`, or one per class, or train/ and val/ with those inside, or only pictures. Those of
    the last kind and a single picture, whose path is all in `root`, have the label `all`.

    `images/` may have a table beside it (labels.csv or attributes.csv with a column `file`) and `masks/` with a PNG of
    the same name for each picture. Without a column `label` every picture has the label `all`.
    """
    if root.is_file():
        return pd.DataFrame([("", "val", "all")], columns=list(REQUIRED))
    if (root / "images").is_dir():
        return _images(root)
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    split_level = bool(folders) and all(p.name.lower() in SPLITS for p in folders)
    pairs = [("val", p) for p in folders]  # nothing here was trained on: all can be asked
    if split_level:
        pairs = [(SPLITS[p.name.lower()], c) for p in folders for c in sorted(p.iterdir()) if c.is_dir()]
    rows = [
        (str(file.relative_to(root)), split, folder.name)
        for split, folder in pairs
        for file in sorted(folder.rglob("*"))
        if _picture(file)
    ] or [(file.name, "val", "all") for file in _files(root)]
    if not rows:
        raise CourseError(f"{root}: found neither index.csv nor sub-folders with pictures (one per class) nor pictures")
    return pd.DataFrame(rows, columns=list(REQUIRED))


def _images(root: Path) -> pd.DataFrame:
    files = _files(root / "images")
    if not files:
        raise CourseError(f"{root / 'images'}: no pictures in it")
    table = pd.DataFrame({"file": [f.name for f in files], "image": [f"images/{f.name}" for f in files]})
    table = table.assign(split="val", label="all")
    if (root / "masks").is_dir():
        table["mask"] = [f"masks/{f.stem}.png" for f in files]
    for beside in (root / "labels.csv", root / "attributes.csv"):
        if beside.is_file():
            found = read_csv(beside, ("file",)).drop_duplicates("file")
            if missing := sorted(set(table["file"]) - set(found["file"])):
                raise CourseError(f"{beside}: no row for images/{missing[0]} ({len(missing)} pictures without one)")
            table = table.drop(columns=[c for c in found if c in table and c != "file"]).merge(found, on="file")
    return table.drop(columns="file")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if _picture(file))


def _picture(file: Path) -> bool:
    return not file.name.startswith(".") and file.name.lower() not in STRAY and file.is_file()


def numbers(table: pd.DataFrame, columns: set[str]) -> pd.DataFrame:
    """The table with those of these columns that hold only numbers as numbers: the text "0" would count as true."""
    for name in columns:
        found = pd.to_numeric(table[name], errors="coerce")
        if found.notna().all():
            table[name] = found
    return table


def classes(file: Path) -> pd.DataFrame | None:
    """`folder, index, name` of classes.csv; the index column may say whose outputs it means (imagenet_index)."""
    if not file.is_file():
        return None
    table = read_csv(file, ("folder", "name"))
    column = next((c for c in table.columns if c == "index" or c.endswith("_index")), None)
    if column is None:
        raise CourseError(f"{file}: column index (the model output of each class) missing; it has: {', '.join(table)}")
    wrong = table[~table[column].str.fullmatch(r"\d+")]
    if len(wrong):
        raise CourseError(
            f"{file}: {column} of `{wrong['folder'].iloc[0]}` is {wrong[column].iloc[0]!r}; expected 0, 1, ..."
        )
    return table.assign(index=table[column].astype(int))[["folder", "index", "name"]]


def regions(file: Path) -> dict[int, str]:
    """Names of the ids that masks may hold; empty when there is no regions.csv."""
    if not file.is_file():
        return {}
    table = read_csv(file, ("id", "region"))
    try:
        return {int(i): name for i, name in zip(table["id"], table["region"], strict=True)}
    except ValueError as error:
        raise CourseError(f"{file}: ids are whole numbers ({error})") from None


def problems(root: Path, table: pd.DataFrame, regions: dict, labels: set | None, name: str) -> tuple[dict, int]:
    """Every file decoded: {row: what is wrong with it} of the bad rows, and how many pictures EXIF turned."""
    columns = [c for c in ("image", "label", "mask", "layers", "box") if c in table]
    bad, turned = {}, 0
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(table), desc=f"checking {name}", delay=2, leave=False) as bar,
    ):
        for start in range(0, len(table), CHUNK):
            rows = table[columns].iloc[start : start + CHUNK]
            found = pool.map(lambda row: problem(root, row, regions, labels), rows.to_dict("records"))
            for row, (reason, turns) in zip(rows.index, found, strict=True):
                turned += turns
                if reason:
                    bad[row] = reason
                bar.update()
    return bad, turned


def problem(root: Path, row: dict, regions: dict, labels: set | None) -> tuple[str, bool]:
    """What is wrong with one row ('' when nothing is), and whether EXIF turns its picture."""
    file = root / row["image"]
    try:
        if not row["label"]:
            raise CourseError(f"{file}: its label is empty")
        if labels is not None and row["label"] not in labels:
            raise CourseError(f"{file}: label `{row['label']}` is not in classes.csv.{nearest(row['label'], labels)}")
        (width, height), turned = check_image(file)
        if row.get("mask"):
            mask = read_mask(root / row["mask"])
            if mask.shape != (height, width):
                size = f"{mask.shape[1]} x {mask.shape[0]}"
                raise CourseError(f"{root / row['mask']}: mask of {size} pixels for a picture of {width} x {height}")
            unknown = sorted(set(np.unique(mask).tolist()) - set(regions)) if regions else []
            if unknown:
                raise CourseError(f"{root / row['mask']}: region ids {unknown} are not in regions.csv")
        if row.get("layers"):
            layers = read_layers(root / row["layers"], list(regions.values()))
            if layers.shape[1:] != (height, width):
                size, folder = f"{layers.shape[2]} x {layers.shape[1]}", root / row["layers"]
                raise CourseError(f"{folder}: layers of {size} pixels for a picture of {width} x {height}")
        if row.get("box"):
            _check_box(file, row["box"], width, height)
    except CourseError as error:
        return str(error), False
    return "", turned


def _check_box(file: Path, box: str, width: int, height: int) -> None:
    try:
        x0, y0, x1, y1 = (float(v) for v in box.split())
    except ValueError:
        raise CourseError(f"{file}: box is {box!r}; expected four numbers, x0 y0 x1 y1") from None
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise CourseError(
            f"{file}: box {box!r} is not inside its picture of {width} x {height} with x0 < x1 and y0 < y1"
        )
