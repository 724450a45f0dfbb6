"""Pictures with labels, held as a table, read from their files when they are asked for."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import CourseError
from .images import FITS, fitted, open_image, read_image, read_layers, read_mask

OWN_COLUMNS = ("image", "split", "label", "mask", "layers", "box")  # of index.csv; all others are attributes


@dataclass(frozen=True)
class Photos:
    """Pictures with labels: `table` (one row each), the class names, and the model output each class stands for.

    `root / image` is a picture's path; of a single picture `root` is all of it and `image` is empty.
    """

    root: Path
    table: pd.DataFrame
    classes: list[str]
    outputs: torch.Tensor
    regions: dict[int, str]
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def labels(self) -> torch.Tensor:
        """`(N,)` position of each picture's class in `classes`."""
        return torch.tensor(self.table["_class"].to_numpy(dtype=np.int64, copy=True))

    def rows(self, keep: np.ndarray | Iterable[int]) -> "Photos":
        """Only the rows that a boolean mask or a list of positions keeps."""
        mask = isinstance(keep, np.ndarray) and keep.dtype == bool
        return replace(self, table=self.table[keep] if mask else self.table.iloc[list(keep)])

    def split(self, name: str) -> "Photos":
        """Only the rows of one split; where a set has only train and test, its test is what val asks for.

        Raises CourseError naming the splits there are when it is empty.
        """
        there = set(self.table["split"])
        name = "test" if name == "val" and there == {"train", "test"} else name
        part = self.rows((self.table["split"] == name).to_numpy())
        if not len(part):
            raise CourseError(f"{self.root}: no pictures in split `{name}`; it has: {', '.join(sorted(there))}")
        return part

    def images(self, rows: Iterable[int], size: int, fit: str = "cover") -> torch.Tensor:
        """`(n, 3, size, size)` uint8 pictures at these positions, fitted as `helpers.pictures.images.fitted` says."""
        if fit not in FITS:
            raise CourseError(f"fit is {fit!r}; expected one of {', '.join(FITS)}")
        files = [self.root / self.table["image"].iloc[int(i)] for i in rows]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            arrays = list(pool.map(lambda file: fitted(read_image(file), size, fit), files))
        return torch.from_numpy(np.stack(arrays)) if arrays else torch.empty(0, 3, size, size, dtype=torch.uint8)

    def masks(self, rows: Iterable[int]) -> list[np.ndarray]:
        """Region ids `(H, W)` uint8 of the pictures at these positions, each at its picture's own size."""
        return [read_mask(file) for file in self.mask_files(rows)]

    def mask_files(self, rows: Iterable[int]) -> list[Path]:
        """The masks' files of the pictures at these positions. Raises CourseError where one has no mask."""
        if "mask" not in self.table:
            raise CourseError(f"{self.root}: index.csv has no column `mask`, which this needs")
        table = self.table.iloc[[int(i) for i in rows]]
        if len(none := table["image"][table["mask"] == ""]):
            raise CourseError(
                f"{self.root}: {len(none)} picture(s) without a mask, which this needs: {none.iloc[0]} ..."
            )
        return [self.root / mask for mask in table["mask"]]

    def layers(self, rows: Iterable[int]) -> torch.Tensor:
        """`(n, R, H, W)` bool: each region of `regions` in their order, where pixels may belong to several or to none.

        Read from the files that the column `layers` names (`images.read_layers`); where a picture has no
        layers, its palette mask taken apart, a pixel a region.
        Raises CourseError when the masks differ in size, or nothing names their regions.
        """
        _named(self)
        ids = np.array(list(self.regions), dtype=np.uint8)

        def layers_of(row: int) -> np.ndarray:
            if folder := self.table["layers"].iloc[row] if "layers" in self.table else "":
                return read_layers(self.root / folder, list(self.regions.values()))
            return self.masks([row])[0] == ids[:, None, None]

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(layers_of, map(int, rows)))
        if len(sizes := {tuple(one.shape[1:]) for one in found}) > 1:
            raise CourseError(f"{self.root}: masks of different sizes, {sorted(sizes)}; a batch needs one size")
        return torch.from_numpy(np.stack(found))


def reader(photos: Photos, size: int, fit: str, budget: int = 1 << 31) -> Callable[[Iterable[int]], torch.Tensor]:
    """positions -> pictures, as `Photos.images`; all decoded once and held when they fit into `budget` bytes."""
    return _held(lambda rows: photos.images(rows, size, fit), len(photos), 3 * size * size, budget)


def layer_reader(photos: Photos, budget: int = 1 << 28) -> Callable[[Iterable[int]], torch.Tensor]:
    """positions -> layers, as `Photos.layers`; all read once and held when they fit into `budget` bytes."""
    height, width = mask_size(photos)
    return _held(photos.layers, len(photos), len(photos.regions) * height * width, budget)


class _Held:
    """What `read` gives at each position, all read once. To another process goes `read`, not what was read."""

    def __init__(self, read: Callable, n: int):
        self._read, self._all = read, read(range(n))

    def __call__(self, rows: Iterable[int]) -> torch.Tensor:
        return self._all[torch.as_tensor(list(rows), dtype=torch.long)]

    def __reduce__(self):
        return partial, (self._read,)


def _held(read: Callable, n: int, each: int, budget: int) -> Callable[[Iterable[int]], torch.Tensor]:
    return read if n * each > budget else _Held(read, n)


def mask_size(photos: Photos) -> tuple[int, int]:
    """The height and width that all masks have. CourseError names one that differs, or regions that have no names."""
    _named(photos)
    sizes: dict[tuple[int, int], Path] = {}  # the first file of each
    for file in photos.mask_files(range(len(photos))):
        sizes.setdefault(open_image(file).size, file)
    ((width, height), first), *others = sizes.items()
    for (wide, high), file in others:
        raise CourseError(
            f"{file}: {wide} x {high} pixels, where {first.name} has {width} x {height}; "
            f"faces are summed region by region, so all must have one size"
        )
    return height, width


def _named(photos: Photos) -> None:
    """Raise CourseError, with the ids that the first masks hold, where masks have regions that nobody named."""
    if not photos.regions:
        some = sorted({int(i) for mask in photos.masks(range(min(20, len(photos)))) for i in np.unique(mask)})
        raise CourseError(
            f"{photos.root / 'regions.csv'}: no such file; masks need it to name their ids (id, region). Write it, "
            f"a line for each id: the first masks hold {', '.join(map(str, some))}"
        )
