"""Pictures without files, as many of every kind as a test wants."""

from itertools import product
from pathlib import Path

import pandas as pd
import torch

from helpers.pictures.photos import Photos

NAMES = ("Male", "Hat", "Tie")
CELLS = tuple(product((0, 1), repeat=2))


def people(cells, split="train", **columns) -> Photos:
    """`cells` says how many have each combination of the first of NAMES."""
    bits = [cell for cell, n in cells.items() for _ in range(n)]
    table = pd.DataFrame(bits, columns=NAMES[: len(next(iter(cells)))])
    table.insert(0, "image", [f"{split}{i}.png" for i in range(len(bits))])
    table = table.assign(split=split, label="all", _class=0, **columns)
    return Photos(Path("album"), table, ["all"], torch.tensor([0]), {})


def together(*parts) -> Photos:
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return Photos(Path("album"), table, ["all"], torch.tensor([0]), {})


def four(*counts, split="train") -> Photos:
    """Pictures of (Male, Hat) = 00, 01, 10, 11."""
    return people(dict(zip(CELLS, counts, strict=True)), split)


def counted(photos: Photos, attributes, split="train") -> dict:
    part = photos.table[photos.table["split"] == split]
    return part.groupby(list(attributes)).size().to_dict()
