"""One on-disk format -> images, labels, masks, boxes, attributes.

`index.csv` is the contract: one row a picture with `image, split, label`, and where there are any `mask` (palette PNG
of the ids in `regions.csv`), `layers` (where regions overlap: a folder with one PNG per region, or `0/00012` for the
files `0/00012_<region>.png`), `box` ("x0 y0 x1 y1", half-open pixels; an empty cell: no box) and attribute columns.
`classes.csv` (folder, index, name), where there is one, maps labels to a model's outputs. A folder or a picture of
one's own is brought into this format by the script behind `helpers.door`, which knows the ways a folder may look.
"""

import json
from pathlib import Path

import pandas as pd
import torch

from ..door import REPO, data_root, find, located, manifest, tables
from ..errors import CourseError
from ..files import named
from .photos import OWN_COLUMNS, Photos, layer_reader, mask_size, reader
from .subsets import biased, divided, own_outputs

__all__ = ["REPO", "Photos", "biased", "data_root", "divided", "find", "layer_reader", "load", "located", "manifest"]
__all__ += ["mask_size", "own_outputs", "reader"]
LISTED = 10  # bad files by name in an error
PART = 10_000  # rows of a table at once


def load(dataset: str | Path, on_bad: str = "raise") -> Photos:
    """Every readable picture of a data set: an embedded or prepared one by name, a folder or a picture by path.

    All files are decoded once before any work starts. Bad ones raise a CourseError that names them all; with
    `on_bad="skip"` they are left out, listed in `.skipped` and counted in the report.
    """
    if on_bad not in ("raise", "skip"):
        raise CourseError(f"on_bad is {on_bad!r}; expected 'raise' or 'skip'")
    made = tables(root := find(dataset))
    table, bad = _rows(made / "index.csv"), _read(made / "bad.csv").itertuples(index=False, name=None)
    skipped = tuple((str(root / file), reason) for file, reason in bad)
    if skipped and on_bad == "raise":
        said = [": ".join(one) for one in skipped[:LISTED]]
        said += [f"and {len(skipped) - LISTED:,} more bad files"] * (len(skipped) > LISTED)
        if not (made / "classes.csv").is_file() and table["label"].nunique() > 1:
            said += ["(There is no classes.csv: loaded weights may need one, which says what output a class is)"]
        raise CourseError("\n".join([*said, "(on_bad=skip leaves bad files out and lists them)"]))
    if table.empty:
        first = ": ".join(skipped[0]) if skipped else "no rows"
        raise CourseError(f"{root}: no readable picture; first problem: {first}")
    if not ((picture := root / table["image"].iloc[0]).exists() or named(picture).exists()):
        way = f"bring them back, or course data prepare {root.name} --force --from PATH"
        raise CourseError(f"{root}: its pictures are gone: there is no {picture.resolve()}; {way}")
    names = sorted(table["label"].unique())
    known = _read(made / "classes.csv", {"folder": names, "index": range(len(names)), "name": names})
    known = known[known["folder"].isin(names)].reset_index(drop=True)
    table["_class"] = table["label"].map({folder: i for i, folder in enumerate(known["folder"])})
    regions = _read(made / "regions.csv", {"id": [], "region": []})
    about = json.loads((made / "dataset.json").read_text(encoding="utf-8"))
    return Photos(
        root,
        table,
        classes=[*known["name"]],
        outputs=torch.tensor(known["index"].astype(int).tolist()),
        regions=dict(zip(regions["id"].astype(int), regions["region"], strict=True)),
        skipped=skipped,
        notes=tuple(about.get("notes", ())),
    )


def _rows(file: Path) -> pd.DataFrame:
    """index.csv with attributes of numbers as numbers (the text "0" would count as true), those of 0 and 1 as int8.

    Read and converted by the part, so that only a part is held as strings, which take several times the memory.
    """
    parts: list[pd.DataFrame] = []
    text, late = {*OWN_COLUMNS}, []
    for part in pd.read_csv(file, dtype=str, keep_default_na=False, chunksize=PART):
        for name in [c for c in part if c not in text]:
            found = pd.to_numeric(part[name], errors="coerce")
            if found.notna().all():
                part[name] = found.astype("int8") if found.isin((0, 1)).all() else found
            else:
                text.add(name)
                late += [name] * bool(parts)  # it looked like numbers up to here
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    return table.assign(**_read(file)[late]) if late else table


def _read(file: Path, otherwise: dict | None = None) -> pd.DataFrame:
    """A table of strings; without the file, what is there otherwise."""
    return pd.read_csv(file, dtype=str, keep_default_na=False) if file.is_file() else pd.DataFrame(otherwise)
