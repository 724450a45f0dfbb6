"""One on-disk format -> images, labels, masks, boxes, attributes.

`index.csv` is the contract: one row a picture with `image, split, label`, and where there are any `mask` (palette PNG
of the ids in `regions.csv`), `layers` (where regions overlap: a folder with one PNG per region, or `0/00012` for the
files `0/00012_<region>.png`), `box` ("x0 y0 x1 y1", half-open pixels) and attribute columns. A folder with one
sub-folder per class (or train/ and val/ with those inside), or with `images/` and the like (`tables.folders`),
works as it is; so does one with only pictures, or a single picture. `classes.csv` (folder, index, name), where there is
one, maps labels to a model's outputs.
"""

import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

import data_scripts
from data_scripts.getting import prepare, sources

from ..errors import CourseError, nearest
from . import tables as index
from .images import open_image
from .photos import OWN_COLUMNS, Photos
from .subsets import labelled, shares, values

REPO = Path(__file__).resolve().parents[2]


def data_root() -> Path:
    """Where prepared data and trained weights live: $COURSE_DATA, else `data/` in the project."""
    return Path(os.environ.get("COURSE_DATA") or REPO / "data")


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
    """Where a data set lies; an embedded one, or one whose files were placed, is made on first use.

    Nothing is downloaded. Raises CourseError as `located` does.
    """
    place = located(dataset)
    if str(dataset) in data_scripts.EMBEDDED:
        return importlib.import_module(f"data_scripts.drawn.{dataset}").prepare(data_root())
    if str(dataset) in prepare.SCRIPTS and place == data_root() / str(dataset) and not prepare.prepared(place):
        prepare.prepare(str(dataset), data_root(), online=False)
    return place


def located(dataset: str | Path) -> Path:
    """Where a data set is or will be, nothing made. Raises CourseError saying what to do when there is none."""
    name, scripts = str(dataset), (*data_scripts.EMBEDDED, *prepare.SCRIPTS)
    if name in prepare.SCRIPTS and not prepare.prepared(data_root() / name) and not Path(name).is_dir():
        sources.chosen(prepare.described(name), [sources.folder_of(name, data_root())], online=False)
        return data_root() / name
    for place in (Path(name).expanduser(), data_root() / name):
        if place.is_dir() or place.is_file() or name in data_scripts.EMBEDDED:
            return place
    raise CourseError(
        f"data set `{name}`: no such folder or prepared data set, nor a picture.{nearest(name, scripts)} "
        f"Give a picture, a folder (with index.csv, one sub-folder per class, or only pictures) or one of: "
        f"{', '.join(scripts)}"
    )


def manifest(dataset: str | Path) -> str:
    """A short hash that changes when the data set does: its tables, and name, size and time of every other file."""
    root = find(dataset)
    if _recipe(root):
        return hashlib.sha256((root / "dataset.json").read_bytes()).hexdigest()[:12]
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


class Biased(NamedTuple):
    """Pictures of `biased`, the cells of each split drawn from, and the correlation or phi that split train has."""

    photos: Photos
    cells: pd.DataFrame
    reached: float


def biased(
    photos: Photos,
    target: str,
    attributes: str | Iterable[str],
    correlation: float | None = None,
    *,
    phi: float | None = None,
    balanced_test: bool = True,
    seed: int = 0,
) -> Biased:
    """As many pictures of split train as can be with the attributes tied to the target, which becomes their label.

    The classes are balanced. `correlation` is P(every attribute = y | target = y); what is left of a class is divided
    evenly between its other cells (FaceX, section 4.1). `phi` is the coefficient of the target and one attribute. In
    the other splits all cells get one size; `balanced_test=False` leaves these as they are. Cells are filled without
    replacement, their sizes rounded down, and listed: share wanted, available, taken.
    Raises CourseError naming a cell that is needed and empty or, with phi, too small for one picture of each.
    """
    names = [target, attributes] if isinstance(attributes, str) else [target, *attributes]
    tied = shares(len(names) - 1, correlation, phi)
    photos, splits = labelled(photos, target), photos.table["split"].to_numpy()
    bits = np.column_stack([values(photos, name) for name in names])
    others = sorted({*splits} - {"train"}) if balanced_test else []
    wanted = {"train": tied} | dict.fromkeys(others, dict.fromkeys(tied, 1 / len(tied)))
    kept, tables = [np.flatnonzero(~np.isin(splits, [*wanted]))], []
    for split, share in wanted.items():
        here = {c: np.flatnonzero((splits == split) & (bits == c).all(1)) for c in share}
        room = {c: len(here[c]) / share[c] for c in share if share[c]}
        size = min(room.values()) if phi is None else int(min(room.values()) + 1e-9)  # FaceX does not round it
        taken = {c: int(size * share[c] + 1e-9) for c in share}  # 1e-9: 0.29999 / 0.1 would lose a picture
        if not size or (phi is not None and not all(taken[c] for c in room)):
            cell = min(room, key=room.get)
            said = ", ".join(f"{name}: {bit}" for name, bit in zip(names, cell, strict=True))
            asked = f"correlation {correlation}" if phi is None else f"phi {phi}"
            asked = asked if split == "train" else "balanced_test (False leaves this split as it is)"
            there = f"{n}, too few" if (n := len(here[cell])) else "none"
            raise CourseError(f"{photos.root}, split {split}: {asked} needs pictures with {said}; there are {there}")
        rng = np.random.default_rng(seed)  # anew for each split: the test pictures stay whatever train has
        kept += [rng.permutation(here[c])[: taken[c]] for c in share]
        table = pd.DataFrame([(split, *c) for c in share], columns=["split", *names])
        available = [len(rows) for rows in here.values()]
        tables.append(table.assign(share=share.values(), available=available, taken=taken.values()))
    taken = tables[0]["taken"]
    n, agree = int(taken.sum()), int(taken[[len({*c}) == 1 for c in tied]].sum())
    reached = agree / n if phi is None else (2 * agree - n) / n  # the margins are balanced
    return Biased(photos.rows(np.sort(np.concatenate(kept))), pd.concat(tables, ignore_index=True), reached)


def own_outputs(photos: Photos) -> Photos:
    """The same pictures for a network trained on them: one output a class, in the order of `classes`."""
    return replace(photos, outputs=torch.arange(len(photos.classes)))


def _check(root, table, regions, known) -> tuple[dict[int, str], int]:
    """Reasons of the bad rows by row number, and how many pictures EXIF turned. Remembered until the files change."""
    if "turned" in (recipe := _recipe(root)):  # a script has checked it, and left the bad ones out
        if not (first := root / table["image"].iloc[0]).exists():
            way = f"bring them back, or course data prepare {root.name} --force --from PATH"
            raise CourseError(f"{root}: its pictures are gone: there is no {first.resolve()}; {way}")
        return {}, recipe["turned"]
    memory = data_root() / "checked" / f"{manifest(root)}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}.json"
    if memory.is_file():
        bad, turned = json.loads(memory.read_text())
        return {int(k): v for k, v in bad.items()}, turned
    bad, turned = index.problems(root, table, regions, None if known is None else set(known["folder"]), root.name)
    memory.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps([bad, turned]))
    temporary.replace(memory)
    return bad, turned


def _recipe(root: Path) -> dict:
    """dataset.json of a data set that was made here, which tells all of it; {} for any other."""
    file = root / "dataset.json"
    ours = file.is_file() and root.resolve().is_relative_to(data_root().resolve())
    return json.loads(file.read_text()) if ours else {}
