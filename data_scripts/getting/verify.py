"""Every file of a data set decoded once, before any work; each bad one is named with what is wrong."""

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from helpers.errors import CourseError, nearest
from helpers.pictures.images import ORIENTATION, decoded, layer_files, open_image, read_layers, read_mask

EXACT_MODES = ("RGB", "L", "1")  # the others lose something on the way to RGB, and how is not ours to guess
CHUNK = 4096  # rows in work at once: a data set of a million pictures is checked in bounded memory


def problems(
    root: Path, table: pd.DataFrame, regions: dict[int, str], labels: Collection[str] | None, name: str
) -> tuple[dict[int, str], int]:
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


def problem(root: Path, row: dict, regions: dict[int, str], labels: Collection[str] | None) -> tuple[str, bool]:
    """What is wrong with one row ('' when nothing is), and whether EXIF turns its picture."""
    file = root / row["image"]
    try:
        if not row["label"]:
            raise CourseError(f"{file}: its label is empty")
        if labels is not None and row["label"] not in labels:
            raise CourseError(f"{file}: label `{row['label']}` is not in classes.csv.{nearest(row['label'], labels)}")
        (width, height), turned = check_image(file)
        if row.get("mask"):
            _check_mask(root / row["mask"], regions, width, height)
        if row.get("layers"):
            _check_layers(root / row["layers"], [*regions.values()], width, height)
        if row.get("box"):
            _check_box(file, row["box"], width, height)
    except CourseError as error:
        return str(error), False
    return "", turned


def check_image(path: Path) -> tuple[tuple[int, int], bool]:
    """Upright (width, height), and whether EXIF turned it; decodes everything, so truncation shows.

    Raises CourseError naming the file and what is wrong with it.
    """
    image = open_image(path)
    if image.mode not in EXACT_MODES:
        raise CourseError(
            f"{path}: mode {image.mode}; expected RGB or grey, 8 bits. Convert it first "
            f"(for example `Image.open(f).convert('RGB').save(f)`), or pass on_bad='skip'"
        )
    width, height = image.size
    image.draft(None, (1, 1))  # JPEG: reads every byte, but skips most of the arithmetic
    orientation = decoded(path, image).getexif().get(ORIENTATION, 1)
    return ((height, width) if orientation in (5, 6, 7, 8) else (width, height)), orientation not in (0, 1)


def _check_mask(file: Path, regions: dict[int, str], width: int, height: int) -> None:
    mask = read_mask(file)
    if mask.shape != (height, width):
        size = f"{mask.shape[1]} x {mask.shape[0]}"
        raise CourseError(f"{file}: mask of {size} pixels for a picture of {width} x {height}")
    unknown = sorted(set(np.unique(mask).tolist()) - set(regions)) if regions else []
    if unknown:
        raise CourseError(f"{file}: region ids {unknown} are not in regions.csv")


def _check_layers(folder: Path, regions: list[str], width: int, height: int) -> None:
    files = layer_files(folder, regions)
    if unknown := sorted(set(files) - set(regions)):
        raise CourseError(f"{files[unknown[0]]}: region `{unknown[0]}` is unknown.{nearest(unknown[0], regions)}")
    layers = read_layers(folder, regions)
    if layers.shape[1:] != (height, width):
        size = f"{layers.shape[2]} x {layers.shape[1]}"
        raise CourseError(f"{folder}: layers of {size} pixels for a picture of {width} x {height}")


def _check_box(file: Path, box: str, width: int, height: int) -> None:
    try:
        x0, y0, x1, y1 = (float(v) for v in box.split())
    except ValueError:
        raise CourseError(f"{file}: box is {box!r}; expected four numbers, x0 y0 x1 y1") from None
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise CourseError(
            f"{file}: box {box!r} is not inside its picture of {width} x {height} with x0 < x1 and y0 < y1"
        )
