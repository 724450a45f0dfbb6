"""Every file of a data set decoded once, before any work; each bad one is named with what is wrong."""

import os
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers.errors import CourseError, nearest
from helpers.pictures.images import ORIENTATION, conversion, decoded, layer_files, open_image, read_layers, read_mask

CHUNK = 4096  # rows in work at once: a data set of a million pictures is checked in bounded memory
TURNED, FIRST = "turned upright as their EXIF tag says", "of several frames, the first of which is read"
NEAR = (3, 0.02)  # a box may leave its picture by so many pixels, or by this share of the side: then it is clipped
CLIPPED = f"with a box that left them by up to {NEAR[0]} pixels or {NEAR[1]:.0%} of the side, which was clipped"


Wrong = tuple[str, str]  # a file, and what is wrong with it


class Checked(NamedTuple):
    """What decoding every file showed: {row: (file, what is wrong)}, notes on what was read, {row: its box clipped}."""

    bad: dict[int, Wrong]
    notes: list[str]
    boxes: dict[int, str]


def problems(
    root: Path, table: pd.DataFrame, regions: dict[int, str], labels: Collection[str] | None, name: str
) -> Checked:
    """Every file of a table decoded. Notes count the good pictures that were turned, converted, clipped."""
    columns = [c for c in ("image", "label", "mask", "layers", "box") if c in table]
    bad, read, boxes = {}, Counter[str](), {}
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(table), desc=f"checking {name}", delay=2, leave=False) as bar,
    ):
        for start in range(0, len(table), CHUNK):
            rows = table[columns].iloc[start : start + CHUNK]
            found = pool.map(lambda row: problem(root, row, regions, labels), rows.to_dict("records"))
            for row, (wrong, how, box) in zip(rows.index, found, strict=True):
                bar.update()
                if wrong:
                    (file, reason), *more = wrong
                    bad[row] = file, "; ".join([reason, *map(": ".join, more)])
                    continue
                read.update(how)
                if box != rows.get("box", {}).get(row, ""):
                    boxes[row] = box
    return Checked(bad, [f"{count:,} picture(s) {how}" for how, count in sorted(read.items())], boxes)


def problem(
    root: Path, row: dict, regions: dict[int, str], labels: Collection[str] | None
) -> tuple[list[Wrong], list[str], str]:
    """All that is wrong with one row, how its picture was read where that takes saying, and its box, clipped."""
    file, wrong = root / row["image"], list[Wrong]()
    how, box = list[str](), row.get("box", "")

    def tried(check: Callable, place: Path, *given):
        try:
            return check(place, *given)
        except CourseError as error:
            wrong.append((str(place), str(error).removeprefix(f"{place}: ")))

    if not row["label"]:
        wrong.append((str(file), "its label is empty"))
    elif labels is not None and row["label"] not in labels:
        wrong.append((str(file), f"label `{row['label']}` is not in classes.csv.{nearest(row['label'], labels)}"))
    if seen := tried(check_image, file):
        size, how = seen
        if row.get("mask"):
            tried(_check_mask, root / row["mask"], regions, *size)
        if row.get("layers"):
            tried(_check_layers, root / row["layers"], [*regions.values()], *size)
        if box:
            box = tried(_clipped, file, box, *size)
    return wrong, how + [CLIPPED] * (box != row.get("box", "")), box


def check_image(path: Path) -> tuple[tuple[int, int], list[str]]:
    """Upright (width, height), and how it was read where that takes saying: turned, converted, of several frames.

    Everything is decoded, so that truncation shows. Raises CourseError naming the file and what is wrong with it.
    """
    image = open_image(path)
    (width, height), tiff = image.size, image.format == "TIFF"
    turned = tiff and image.getexif().get(ORIENTATION, 1)  # gone when Pillow has turned it
    image.draft(None, (1, 1))  # JPEG: reads every byte, but skips most of the arithmetic
    how = [conversion(path, decoded(path, image))]
    orientation = turned or image.getexif().get(ORIENTATION, 1)
    how += [TURNED] * (orientation not in (0, 1)) + [FIRST] * (getattr(image, "n_frames", 1) > 1)
    sideways = orientation in (5, 6, 7, 8) and not tiff
    return (height, width) if sideways else (width, height), [*filter(None, how)]


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


def _clipped(file: Path, box: str, width: int, height: int) -> str:
    """The box inside its picture; the same text where it was. Raises CourseError for one that is no box there."""
    try:
        x0, y0, x1, y1 = numbers = [float(v) for v in box.split()]
    except ValueError:
        raise CourseError(
            f"{file}: box is {box!r}; expected four numbers, x0 y0 x1 y1, or nothing for no box"
        ) from None
    inside = [min(max(v, 0.0), float(side)) for v, side in zip(numbers, (width, height) * 2, strict=True)]
    if not (x0 < x1 and y0 < y1 and inside[0] < inside[2] and inside[1] < inside[3]):
        raise CourseError(
            f"{file}: box {box!r} is not inside its picture of {width} x {height} with x0 < x1 and y0 < y1"
        )
    far = [
        abs(v - w) - max(NEAR[0], NEAR[1] * side)
        for v, w, side in zip(numbers, inside, (width, height) * 2, strict=True)
    ]
    if max(far) > 0:
        raise CourseError(
            f"{file}: box {box!r} leaves its picture of {width} x {height} by more than {NEAR[0]} pixels and "
            f"{NEAR[1]:.0%} of its side; are these its pixels?"
        )
    return box if inside == numbers else " ".join(f"{v:g}" for v in inside)
