"""Which pictures: by an attribute, or as many from every combination of several.

An attribute is written `name` (a column of 0 and 1), `name=value` (1 where the column holds it) or `name>=number`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import torch

from ..errors import CourseError, nearest
from . import tables as index
from .photos import OWN_COLUMNS, Photos


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


def shares(attributes: int, correlation: float | None, phi: float | None) -> dict[tuple[int, ...], float]:
    """{(target, *attributes): share} of the cells in which that many attributes follow the target as asked, in order.

    Half of the pictures are of each class. Raises CourseError unless one of correlation and phi is given, in its range.
    """
    if (correlation is None) == (phi is None):
        raise CourseError(f"correlation is {correlation} and phi is {phi}; expected just one of them, a number")
    if phi is None and not 0 <= correlation <= 1:
        raise CourseError(f"correlation is {correlation}; expected 0 to 1, the share of a class that has the attribute")
    if phi is not None and not -1 <= phi <= 1:
        raise CourseError(f"phi is {phi}; expected -1 to 1, a correlation coefficient")
    if phi is not None and attributes != 1:
        raise CourseError(f"phi is given with {attributes} attributes; expected one. Give correlation= instead")
    tied, rest = (correlation, 1 - correlation) if phi is None else ((1 + phi) / 2, (1 - phi) / 2)
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
    repeated = names.isin(index.read_csv(file, ("image",))["image"]).to_numpy()
    if repeated.all():
        raise CourseError(f"{learning.root}: all {len(learning):,} pictures are in {file}; learn from another data set")
    return learning.rows(~repeated), int(repeated.sum())


def _some(column: pd.Series) -> str:
    found = [str(v) for v in column.unique()]
    return ", ".join(sorted(found)[:6]) + (" ..." if len(found) > 6 else "")
