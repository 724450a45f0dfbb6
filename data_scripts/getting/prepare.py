"""A data set made ready, its sources gathered, checked, arranged in the one format, and put in place when whole."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from helpers import door
from helpers.errors import CourseError
from helpers.files import atomic, locked

from . import sources, verify
from .parts import Upstream


def described(name: str) -> Upstream:
    """What the script of that name says of its data set."""
    return door.scripts()[name].load()


def prepared(folder: Path) -> bool:
    """Whether a data set lies there whole. Its folder is renamed into place last, so index.csv is enough to see."""
    return os.path.isfile(folder / "index.csv")  # which also takes names that are too long


def prepare(name: str, root: Path, given: Path | None = None, force: bool = False, online: bool = True) -> list[str]:
    """Make `<root>/<name>` and say what is in it, a line each; left as it is when it is there, unless `force`.

    `given` is where the upstream files are, when they are not in `<root>/sources/<name>`. Raises Missing saying what to
    place where, CourseError for wrong files and a full disk; then nothing is half-arranged, and what was there stays.
    """
    dataset, folder = described(name), Path(root) / name
    if folder.exists() and not (folder / "dataset.json").is_file():
        way = f"move it to {sources.folder_of(name, root)} if it is what was downloaded"
        raise CourseError(f"{folder} is there and was not made here; {way}, or choose another --root")
    if prepared(folder) and not force:
        return [f"{folder} is prepared; --force prepares it again"]
    sources.chosen(dataset, sources.places_of(name, root, given), online)  # with something missing nothing is written
    with locked(folder):
        if prepared(folder) and not force:  # by another process, meanwhile
            return [f"{folder} is prepared"]
        return _made(dataset, folder, given, online)


def _made(dataset: Upstream, folder: Path, given: Path | None, online: bool) -> list[str]:
    with drafted(folder) as draft:
        layout = sources.gathered(dataset, folder.parent, given, online)
        sources.link(draft / "source", sources.folder_of(dataset.name, folder.parent), folder.parent)
        try:
            said = _written(draft, dataset, layout)
        except CourseError as error:  # the draft will be gone when this is read
            place = str(sources.folder_of(dataset.name, folder.parent))
            raise type(error)(str(error).replace(str(draft / "source"), place)) from None
    return [f"{folder}: {said[0]}", *said[1:]]


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A folder to write a data set into, renamed to this one when the block ends well, and removed when it does not.

    What was there before goes last, and comes back when anything fails. Raises CourseError when the disk is full.
    """
    with atomic(folder) as draft:
        draft.mkdir()
        yield draft


def _written(draft: Path, dataset: Upstream, layout: str) -> list[str]:
    """The tables of the draft, without the pictures that cannot be read; what to tell of them, a line each."""
    found = dataset.arrange(draft / "source", draft, layout)
    table, regions = found.index, found.regions or {}
    known = None if found.classes is None else {folder for folder, *_ in found.classes}
    bad, notes, boxes = verify.problems(draft, table.drop(columns=[*found.checked]), regions, known, dataset.name)
    if boxes:
        table.loc[[*boxes], "box"] = [*boxes.values()]
    out = [*found.left_out, *((table["image"][row], reason) for row, (_, reason) in bad.items())]
    table = table.drop(index=list(bad))
    if table.empty:
        first = f"; first problem: {out[0][0]}: {out[0][1]}" if out else ""
        raise CourseError(f"{dataset.name}: no readable picture in {draft.parent / 'sources' / dataset.name}{first}")
    tables = {"index.csv": table} | found.tables
    if found.classes is not None:
        tables["classes.csv"] = pd.DataFrame(found.classes, columns=["folder", "index", "name"])
    if regions:
        tables["regions.csv"] = pd.DataFrame(regions.items(), columns=["id", "region"])
    if out:
        tables["left_out.csv"] = pd.DataFrame(out, columns=["image", "reason"])
    describe(draft, tables, {"name": dataset.name, "layout": layout, "pictures": len(table), "notes": notes})
    return [*_said(dataset, table, out), *found.notes]


def describe(draft: Path, tables: dict[str, pd.DataFrame], content: dict) -> None:
    """Write the tables, and dataset.json: what this is, and their checksums, so that it changes when they do."""
    for name, table in tables.items():
        table.to_csv(draft / name, index=False)
    sums = {name: hashlib.sha256((draft / name).read_bytes()).hexdigest() for name in sorted(tables)}
    (draft / "dataset.json").write_text(json.dumps(content | {"tables": sums}, indent=2) + "\n", encoding="utf-8")


def _said(dataset: Upstream, table: pd.DataFrame, out: list) -> list[str]:
    splits = ", ".join(f"{name} {count:,}" for name, count in table["split"].value_counts().items())
    said = [f"{len(table):,} pictures ({splits})"]
    if out:
        said.append(f"{len(out):,} left out, see left_out.csv; the first: {out[0][0]}: {out[0][1]}")
    if dataset.pictures and len(table) + len(out) != dataset.pictures:
        said.append(f"The whole data set has {dataset.pictures:,} pictures")
    return said
