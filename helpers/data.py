"""One on-disk format -> images, labels, masks, boxes, attributes.

`index.csv` is the contract: one row a picture with `image, split, label`, and where there are any `mask` (palette PNG
of the ids in `regions.csv`), `layers` (a folder with one PNG per region, where regions overlap), `box` ("x0 y0 x1 y1",
half-open pixels) and attribute columns. A folder with one sub-folder per class (or train/ and val/ with those inside),
or with `images/` and the like (`helpers.index.folders`), works as it is; so does one with only pictures, or a single
picture. `classes.csv` (folder, index, name), where there is one, maps labels to a model's outputs.
"""

import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

import data_scripts

from . import index
from .errors import CourseError, nearest
from .images import FITS, fitted, open_image, read_image, read_layers, read_mask

REPO = Path(__file__).resolve().parents[1]
OWN_COLUMNS = ("image", "split", "label", "mask", "layers", "box")  # of index.csv; all others are attributes


def data_root() -> Path:
    """Where prepared data and trained weights live: $COURSE_DATA, else `data/` in the project."""
    return Path(os.environ.get("COURSE_DATA") or REPO / "data")


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

    def __len__(self):
        return len(self.table)

    @cached_property
    def labels(self) -> torch.Tensor:
        """`(N,)` position of each picture's class in `classes`."""
        return torch.tensor(self.table["_class"].to_numpy(dtype=np.int64, copy=True))

    def rows(self, keep) -> "Photos":
        """Only the rows that a boolean mask or a list of positions keeps."""
        mask = isinstance(keep, np.ndarray) and keep.dtype == bool
        return replace(self, table=self.table[keep] if mask else self.table.iloc[list(keep)])

    def split(self, name: str) -> "Photos":
        """Only the rows of one split. Raises CourseError naming the splits there are when it is empty."""
        part = self.rows((self.table["split"] == name).to_numpy())
        if not len(part):
            there = ", ".join(sorted(self.table["split"].unique()))
            raise CourseError(f"{self.root}: no pictures in split `{name}`; it has: {there}")
        return part

    def images(self, rows: Iterable[int], size: int, fit: str = "cover") -> torch.Tensor:
        """`(n, 3, size, size)` uint8 pictures at these positions, fitted as `helpers.images.fitted` says."""
        if fit not in FITS:
            raise CourseError(f"fit is {fit!r}; expected one of {', '.join(FITS)}")
        files = [self.root / self.table["image"].iloc[int(i)] for i in rows]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            arrays = list(pool.map(lambda file: fitted(read_image(file), size, fit), files))
        return torch.from_numpy(np.stack(arrays)) if arrays else torch.empty(0, 3, size, size, dtype=torch.uint8)

    def masks(self, rows: Iterable[int]) -> list[np.ndarray]:
        """Region ids `(H, W)` uint8 of the pictures at these positions, each at its picture's own size."""
        if "mask" not in self.table:
            raise CourseError(f"{self.root}: index.csv has no column `mask`, which this needs")
        return [read_mask(self.root / self.table["mask"].iloc[int(i)]) for i in rows]

    def layers(self, rows: Iterable[int]) -> torch.Tensor:
        """`(n, R, H, W)` bool: each region of `regions` in their order, where pixels may belong to several or to none.

        Read from the folders of the column `layers`, one `<region>.png` or `<number>_<region>.png` a region as
        CelebAMask-HQ has them; where a picture has no such folder, its palette mask taken apart, a pixel a region.
        Raises CourseError when the masks differ in size.
        """
        rows, ids = [int(i) for i in rows], np.array(list(self.regions), dtype=np.uint8)
        folders = self.table["layers"].iloc[rows].tolist() if "layers" in self.table else [""] * len(rows)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda row, folder: self._layers(row, folder, ids), rows, folders))
        if len(sizes := {tuple(one.shape[1:]) for one in found}) > 1:
            raise CourseError(f"{self.root}: masks of different sizes, {sorted(sizes)}; a batch needs one size")
        return torch.from_numpy(np.stack(found))

    def _layers(self, row: int, folder: str, ids: np.ndarray) -> np.ndarray:
        if folder:
            return read_layers(self.root / folder, list(self.regions.values()))
        return read_mask(self.root / self.table["mask"].iloc[row]) == ids[:, None, None]


def reader(photos: Photos, size: int, fit: str, budget: int = 1 << 31) -> Callable[[Iterable[int]], torch.Tensor]:
    """positions -> pictures, as `Photos.images`; all decoded once and held when they fit into `budget` bytes."""
    if len(photos) * 3 * size * size > budget:
        return lambda rows: photos.images(rows, size, fit)
    held = photos.images(range(len(photos)), size, fit)
    return lambda rows: held[torch.as_tensor(list(rows), dtype=torch.long)]


def layer_reader(photos: Photos, budget: int = 1 << 28) -> Callable[[Iterable[int]], torch.Tensor]:
    """positions -> layers, as `Photos.layers`; all read once and held when they fit into `budget` bytes."""
    height, width = mask_size(photos)
    if len(photos) * len(photos.regions) * height * width > budget:
        return photos.layers
    held = photos.layers(range(len(photos)))
    return lambda rows: held[torch.as_tensor(list(rows), dtype=torch.long)]


def mask_size(photos: Photos) -> tuple[int, int]:
    """The height and width that all masks have. Raises CourseError naming one that differs."""
    if "mask" not in photos.table:
        raise CourseError(f"{photos.root}: index.csv has no column `mask`, which this needs")
    files = [photos.root / name for name in photos.table["mask"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = list(pool.map(lambda file: open_image(file).size[::-1], files))
    for file, size in zip(files, sizes, strict=True):
        if size != sizes[0]:
            raise CourseError(
                f"{file}: {size[1]} x {size[0]} pixels, where {files[0].name} has {sizes[0][1]} x {sizes[0][0]}; "
                f"faces are summed region by region, so all must have one size"
            )
    return sizes[0]


def load(dataset: str | Path, on_bad: str = "raise") -> Photos:
    """Every readable picture of a data set: an embedded or prepared one by name, a folder or a picture by path.

    All files are decoded once before any work starts. A bad one raises a CourseError that names it; with
    `on_bad="skip"` bad ones are left out, listed in `.skipped` and counted in the report.
    """
    if on_bad not in ("raise", "skip"):
        raise CourseError(f"on_bad is {on_bad!r}; expected 'raise' or 'skip'")
    root = find(dataset)
    regions = index.regions(root / "regions.csv")
    file = root / "index.csv"
    table = index.read_csv(file, index.REQUIRED) if file.is_file() else index.folders(root)
    known = index.classes(root / "classes.csv")
    bad, turned = _check(root, table, regions, known)
    if bad and on_bad == "raise":
        more = f"and {len(bad) - 1} more bad file(s); " if len(bad) > 1 else ""
        raise CourseError(f"{next(iter(bad.values()))}\n({more}on_bad=skip leaves bad files out and lists them)")
    table = table.drop(index=list(bad)).reset_index(drop=True)
    if table.empty:
        raise CourseError(f"{root}: no readable picture; first problem: {next(iter(bad.values()), 'no rows')}")
    if known is None:
        names = sorted(table["label"].unique())
        known = pd.DataFrame({"folder": names, "index": range(len(names)), "name": names})
    known = known[known["folder"].isin(table["label"])].reset_index(drop=True)
    table = index.numbers(table, set(table) - set(OWN_COLUMNS))
    table["_class"] = table["label"].map({folder: i for i, folder in enumerate(known["folder"])})
    skipped = tuple((reason.split(": ")[0], reason.split(": ", 1)[1]) for reason in bad.values())
    notes = (f"{turned} picture(s) turned upright as their EXIF tag says",) if turned else ()
    outputs = torch.tensor(known["index"].to_numpy(dtype=np.int64, copy=True))
    return Photos(root, table, list(known["name"]), outputs, regions, skipped, notes)


def find(dataset: str | Path) -> Path:
    """Where a data set lies; an embedded one is made on first use. Raises CourseError as `located` does."""
    if str(dataset) in data_scripts.EMBEDDED:
        return importlib.import_module(f"data_scripts.{dataset}").prepare(data_root())
    return located(dataset)


def located(dataset: str | Path) -> Path:
    """Where a data set is or will be, nothing made. Raises CourseError saying what to do when there is none."""
    name = str(dataset)
    for place in (Path(name).expanduser(), data_root() / name):
        if place.is_dir() or place.is_file() or name in data_scripts.EMBEDDED:
            return place
    raise CourseError(
        f"data set `{name}`: no such folder or prepared data set, nor a picture.{nearest(name, data_scripts.EMBEDDED)} "
        f"Give a picture, a folder (with index.csv, one sub-folder per class, or only pictures) or one of: "
        f"{', '.join(data_scripts.EMBEDDED)}"
    )


def manifest(dataset: str | Path) -> str:
    """A short hash that changes when the data set does: its tables, and name, size and time of every other file."""
    root = find(dataset)
    recipe = root / "dataset.json"
    if recipe.is_file() and root.resolve().is_relative_to(data_root().resolve()):  # made by us: its recipe names it
        return hashlib.sha256(recipe.read_bytes()).hexdigest()[:12]
    digest = hashlib.sha256()
    base, files = (root.parent, [root]) if root.is_file() else (root, root.rglob("*"))
    for file in sorted(p for p in files if p.is_file()):
        digest.update(str(file.relative_to(base)).encode())
        if file.suffix == ".csv":
            digest.update(file.read_bytes())
        else:
            digest.update(f"{file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


def divided(photos: Photos, share: float = 0.2, seed: int = 0) -> Photos:
    """The same pictures with `share` of every class in split val, at least two where it has four, the rest in train."""
    table, rng = photos.table.copy(), np.random.default_rng(seed)
    table["split"] = "train"
    for label, group in table.groupby("label"):
        if len(group) < 2:
            raise CourseError(
                f"{photos.root}: class `{label}` has {len(group)} picture; training and checking need two"
            )
        kept_back = max(2 if len(group) >= 4 else 1, round(share * len(group)))  # comparisons within a class need two
        table.loc[rng.permutation(group.index)[:kept_back], "split"] = "val"
    return replace(photos, table=table)


def own_outputs(photos: Photos) -> Photos:
    """The same pictures for a network trained on them: one output a class, in the order of `classes`."""
    return replace(photos, outputs=torch.arange(len(photos.classes)))


def _check(root, table, regions, known) -> tuple[dict[int, str], int]:
    """Reasons of the bad rows by row number, and how many pictures EXIF turned. Remembered until the files change."""
    memory = data_root() / "checked" / f"{manifest(root)}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}.json"
    if memory.is_file():
        bad, turned = json.loads(memory.read_text())
        return {int(k): v for k, v in bad.items()}, turned
    labels = None if known is None else set(known["folder"])
    rows = table.to_dict("records")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda row: index.problem(root, row, regions, labels), rows)
        found = list(tqdm(found, total=len(rows), desc=f"checking {root.name}", delay=2, leave=False))
    bad = {i: reason for i, (reason, _) in enumerate(found) if reason}
    turned = sum(t for _, t in found)
    memory.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps([bad, turned]))
    temporary.replace(memory)
    return bad, turned
