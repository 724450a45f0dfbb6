"""Which pictures: by an attribute, with a correlation put in on purpose, or with none.

An attribute is written `name` (a column of 0 and 1), `name=value` (1 where the column holds it) or `name>=number`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import torch

from .data import OWN_COLUMNS, Photos
from .errors import CourseError, nearest


def values(photos: Photos, attribute: str) -> np.ndarray:
    """0 or 1 for every picture, `(N,)`. Raises CourseError for a column that is missing or not of 0 and 1."""
    parts = re.fullmatch(r"\s*([^=>]*?)\s*(?:(>?=)\s*(.*?)\s*)?", attribute)
    if not parts:
        raise CourseError(f"attribute `{attribute}`: expected `name`, `name=value` or `name>=number`")
    name, sign, wanted = parts.groups()
    known = [c for c in photos.table if c not in OWN_COLUMNS and not c.startswith("_")]
    if name not in known:
        raise CourseError(
            f"attribute `{attribute}`: {photos.root} has no column `{name}`.{nearest(name, known)} "
            f"It has: {', '.join(known) or 'none; put them into attributes.csv (file, ...) or index.csv'}"
        )
    column = photos.table[name]
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


def biased(
    photos: Photos, target: str, attributes: Sequence[str], correlation: float, seed: int = 0
) -> tuple[Photos, pd.DataFrame]:
    """As many pictures of split train as can be with the attributes tied to the target; the other splits as they are.

    The classes are balanced, and P(every attribute = y | target = y) = `correlation`; what is left of a class is
    divided evenly between its other cells (FaceX, section 4.1). Cells are filled without replacement, their sizes
    rounded down. Gives the pictures, labelled by the target, and a table of the cells: wanted share, available, taken.
    Raises CourseError naming a cell that is needed and empty.
    """
    if not 0 <= correlation <= 1:
        raise CourseError(f"correlation is {correlation}; expected 0 to 1, the share of a class that has the attribute")
    photos = labelled(photos, target)
    bits = np.column_stack([values(photos, name) for name in (target, *attributes)])
    training = (photos.table["split"] == "train").to_numpy()
    cells = list(product((0, 1), repeat=bits.shape[1]))
    here = {cell: np.flatnonzero(training & (bits == cell).all(1)) for cell in cells}
    followers = 2 ** len(attributes) - 1  # cells of a class in which not every attribute follows
    tied = correlation if attributes else 1.0  # nothing to tie: the classes alone
    share = {c: tied / 2 if len(set(c)) == 1 else (1 - tied) / 2 / followers for c in cells}
    size = min(len(here[c]) / share[c] for c in cells if share[c])
    taken = {c: int(size * share[c] + 1e-9) for c in cells}  # 1e-9: 0.29999 / 0.1 would lose a picture
    rng = np.random.default_rng(seed)
    keep = np.concatenate([rng.permutation(here[c])[: taken[c]] for c in cells])
    table = pd.DataFrame(cells, columns=[target, *attributes])
    table = table.assign(share=share.values(), available=[len(v) for v in here.values()], taken=taken.values())
    if not size:
        empty = table[(table["available"] == 0) & (table["share"] > 0)].iloc[0]
        said = ", ".join(f"{name}: {empty[name]:.0f}" for name in (target, *attributes))
        raise CourseError(f"{photos.root}: correlation {correlation} needs pictures with {said}; there are none")
    return photos.rows(np.sort(np.concatenate([keep, np.flatnonzero(~training)]))), table


def balanced(photos: Photos, attributes: Sequence[str], seed: int = 0) -> np.ndarray:
    """Positions of as many pictures from every combination of the attributes that occurs, without replacement."""
    bits = np.column_stack([values(photos, name) for name in attributes])
    cells = [np.flatnonzero((bits == cell).all(1)) for cell in np.unique(bits, axis=0)]
    rng, least = np.random.default_rng(seed), min(map(len, cells))
    return np.sort(np.concatenate([rng.permutation(cell)[:least] for cell in cells]))


def _some(column: pd.Series) -> str:
    found = [str(v) for v in column.unique()]
    return ", ".join(sorted(found)[:6]) + (" ..." if len(found) > 6 else "")
