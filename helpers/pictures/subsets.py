"""Which pictures: by an attribute, as many from every combination of several, or with attributes tied to a target.

An attribute is written `name` (a column of 0 and 1), `name=value` (1 where the column holds it) or `name>=number`.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from ..errors import CourseError, nearest
from .photos import OWN_COLUMNS, Photos


def values(photos: Photos, attribute: str) -> np.ndarray:
    """0 or 1 for every picture, `(N,)`. Raises CourseError for a column that is missing, has gaps or no 0 and 1."""
    parts = re.fullmatch(r"\s*([^=>]*?)\s*(?:(>?=)\s*(.*?)\s*)?", attribute)
    if not parts:
        raise CourseError(f"attribute `{attribute}`: expected `name`, `name=value` or `name>=number`")
    name, sign, wanted = parts.groups()
    known = [c for c in map(str, photos.table) if c not in OWN_COLUMNS and not c.startswith("_")]
    if name not in known:
        raise CourseError(
            f"attribute `{attribute}`: {photos.root} has no column `{name}`.{nearest(name, known)} "
            f"It has: {', '.join(known) or 'none; put them into attributes.csv (file, ...) or index.csv'}"
        )
    column = photos.table[name]
    if (gaps := column.isna() | (column.astype(str).str.strip() == "")).any():
        first = ", ".join(photos.table["image"][gaps].head(3))
        raise CourseError(
            f"attribute `{attribute}`: {gaps.sum()} of {len(column)} pictures have no value in `{name}`, first of all "
            f"{first}. Fill in the cells, or leave these pictures out"
        )
    if sign == ">=":
        try:
            return (column.astype(float) >= float(wanted)).to_numpy().astype(np.int64)
        except ValueError:
            raise CourseError(f"attribute `{attribute}`: `{name}` or {wanted!r} is no number") from None
    if sign:
        number = pd.api.types.is_numeric_dtype(column) and re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", wanted)
        found = (column == (float(wanted) if number else wanted)).to_numpy().astype(np.int64)
        if not found.any():
            raise CourseError(f"attribute `{attribute}`: no picture has it; `{name}` holds {_some(column)}")
        return found
    if not set(column.unique()) <= {0, 1}:
        raise CourseError(
            f"attribute `{attribute}`: column `{name}` holds {_some(column)}; expected 0 and 1. "
            f"Say which value counts: {name}={column.max()}"
        )
    return column.to_numpy().astype(np.int64)


def labelled(photos: Photos, attribute: str) -> Photos:
    """The same pictures in two classes: output 0 for those without the attribute, 1 for those with it."""
    found = values(photos, attribute)
    names = [f"not {attribute}", attribute]
    table = photos.table.assign(label=[names[v] for v in found], _class=found)
    return replace(photos, table=table, classes=names, outputs=torch.arange(2))


def shares(attributes: int, correlation: float | None, phi: float | None) -> dict[tuple[int, ...], float]:
    """{(target, *attributes): share} of the cells in which that many attributes follow the target as asked, in order.

    Half of the pictures are of each class. Raises CourseError unless one of correlation and phi is given, in its range.
    """
    if (correlation is None) == (phi is None):
        raise CourseError(f"correlation is {correlation} and phi is {phi}; expected just one of them, a number")
    if correlation is not None and not 0 <= correlation <= 1:
        raise CourseError(f"correlation is {correlation}; expected 0 to 1, the share of a class that has the attribute")
    if phi is not None and not -1 <= phi <= 1:
        raise CourseError(f"phi is {phi}; expected -1 to 1, a correlation coefficient")
    if phi is not None and attributes != 1:
        raise CourseError(f"phi is given with {attributes} attributes; expected one. Give correlation= instead")
    tied = (1 + phi) / 2 if phi is not None else correlation or 0.0
    rest = (1 - phi) / 2 if phi is not None else 1 - tied
    if not attributes:  # nothing to tie: the classes alone
        return {(0,): 0.5, (1,): 0.5}
    others = 2**attributes - 1  # cells of a class in which not every attribute follows
    return {c: tied / 2 if len({*c}) == 1 else rest / 2 / others for c in product((0, 1), repeat=attributes + 1)}


def balanced(photos: Photos, attributes: Sequence[str], seed: int = 0) -> np.ndarray:
    """Positions of as many pictures from every combination of the attributes that occurs, without replacement."""
    bits = np.column_stack([values(photos, name) for name in attributes])
    cells = [np.flatnonzero((bits == cell).all(1)) for cell in np.unique(bits, axis=0)]
    rng, least = np.random.default_rng(seed), min(map(len, cells))
    return np.sort(np.concatenate([rng.permutation(cell)[:least] for cell in cells]))


def without(learning: Photos, faces: Photos) -> tuple[Photos, int]:
    """The pictures to learn from that are not among the explained ones, and how many were: by their file names.

    Those names are in the column `image` of leave_out.csv beside `faces`; without that file all pictures are given.
    Raises CourseError when no picture is left.
    """
    file = faces.root / "leave_out.csv"
    if not file.is_file():
        return learning, 0
    names = learning.table["image"].str.replace(r".*[/\\]", "", regex=True)
    repeated = names.isin(pd.read_csv(file, dtype=str)["image"]).to_numpy()
    if repeated.all():
        raise CourseError(f"{learning.root}: all {len(learning):,} pictures are in {file}; learn from another data set")
    return learning.rows(~repeated), int(repeated.sum())


def own_outputs(photos: Photos) -> Photos:
    """The same pictures for a network trained on them: one output a class, in the order of `classes`."""
    return replace(photos, outputs=torch.arange(len(photos.classes)))


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
    least: int = 0,
    balanced_test: bool = True,
    seed: int = 0,
) -> Biased:
    """As many pictures of split train as can be with the attributes tied to the target, which becomes their label.

    The classes are balanced. `correlation` is P(every attribute = y | target = y); what is left of a class is divided
    evenly between its other cells (FaceX, section 4.1). `phi` is the coefficient of the target and one attribute. In
    the other splits all cells get one size; `balanced_test=False` leaves these as they are. Cells are filled without
    replacement, their sizes rounded down, and listed: share wanted, available, taken.
    Raises CourseError naming a cell that is needed and empty or, with phi, too small for one picture of each or for
    `least` pictures to train with in all, and the largest phi of this sign for which there are enough.
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
        few = phi is not None and (not all(taken[c] for c in room) or sum(taken.values()) < least * (split == "train"))
        if not size or few:
            cell = min(room, key=lambda c: room[c])
            said = ", ".join(f"{name}: {bit}" for name, bit in zip(names, cell, strict=True))
            asked = f"correlation {correlation}" if phi is None else f"phi {phi}"
            asked = asked if split == "train" else "balanced_test (False leaves this split as it is)"
            there = f"{n}, too few" if (n := len(here[cell])) else "none"
            if few and split == "train" and n:
                needed = math.ceil(max(least, 1 / min(share[c] for c in room)) * share[cell] - 1e-9)
                there += f": it takes {needed}{_largest_phi({c: len(here[c]) for c in here}, phi or 0.0, least)}"
            raise CourseError(f"{photos.root}, split {split}: {asked} needs pictures with {said}; there are {there}")
        rng = np.random.default_rng(seed)  # anew for each split: the test pictures stay whatever train has
        kept += [rng.permutation(here[c])[: taken[c]] for c in share]
        rows = [(split, *c, share[c], len(here[c]), taken[c]) for c in share]
        tables.append(pd.DataFrame(rows, columns=["split", *names, "share", "available", "taken"]))
    taken = dict(zip(tied, tables[0]["taken"], strict=True))
    n, agree = sum(taken.values()), sum(taken[c] for c in tied if len({*c}) == 1)
    reached = agree / n if phi is None else (2 * agree - n) / n  # the margins are balanced
    return Biased(photos.rows(np.sort(np.concatenate(kept))), pd.concat(tables, ignore_index=True), float(reached))


def _largest_phi(there: dict[tuple[int, ...], int], phi: float, least: int) -> str:
    """; and of which |phi|, in hundredths, these cells have a picture each and `least` in all."""
    for k in range(99, 0, -1):
        share = shares(1, None, math.copysign(k / 100, phi))
        size = int(min(there[c] / share[c] for c in share) + 1e-9)
        taken = [int(size * part + 1e-9) for part in share.values()]
        if all(taken) and sum(taken) >= least:
            return f", or the largest |phi| that there are pictures for, {k / 100}"
    return ""


def _some(column: pd.Series) -> str:
    found = [str(v) for v in column.unique()]
    return ", ".join(sorted(found)[:6]) + (" ..." if len(found) > 6 else "")
