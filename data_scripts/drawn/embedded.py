"""How an embedded data set gets onto the disk: drawn by many processes into a draft, put in place when it is whole."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from helpers.files import atomic, locked

from ..workers import cores, shared

Draw = Callable[[Path, Iterable[int]], list[tuple]]


@dataclass(frozen=True)
class Drawn:
    """A data set as `course data list` shows it; `prepare(root)` draws it and gives its folder."""

    name: str
    holds: str
    prepare: Callable[[Path], Path]
    notebooks: str = "all"
    size: str = "none"  # of what is downloaded
    how: str = "drawn"
    licence: str = "MIT"

    def located(self, root: Path) -> Path:
        """Its folder below `root`."""
        return root / self.name

    def find(self, root: Path) -> Path:
        """The same, drawn unless it is there as it is drawn today."""
        return self.prepare(root)


def written(root: Path, content: dict, draw: Draw, tables: dict, workers: int | None = None) -> Path:
    """The folder of the data set that `content` (a `manifest`) names, drawn unless it holds just that already.

    `draw(draft, numbers)` writes those pictures below `draft` and gives their rows of index.csv, whose first column
    sorts them. `tables` has the other files: name -> rows with the header first; index.csv there is its header alone.
    Raises ValueError for a name with a path or no workers, FileExistsError when the folder holds something else.
    """
    name, images = content["name"], content["parameters"]["images"]
    expect("name", name, isinstance(name, str) and name == Path(name).name != "", "a folder's name without a path")
    expect("workers", workers, workers is None or whole(workers) and workers >= 1, "None or a whole number above 0")
    folder = Path(root) / name
    if _holds(folder, content):
        return folder
    with locked(folder):
        if _holds(folder, content):  # drawn by another process, meanwhile
            return folder
        with atomic(folder) as draft:
            for part in ("images", "masks"):
                (draft / part).mkdir(parents=True)
            rows = _drawn(draft, draw, images, workers or cores(), f"drawing {images} {content['generator']}")
            for file, table in tables.items():
                _write_csv(draft / file, [*table, *rows] if file == "index.csv" else table)
            (draft / "dataset.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return folder


def manifest(generator: str, name: str, parameters: dict, sources: Iterable[str]) -> dict:
    """What decides the content of a data set: the parameters, and the source files that draw it."""
    source = hashlib.sha256(b"".join(Path(file).read_bytes() for file in sources)).hexdigest()
    return {"name": name, "generator": generator, "parameters": parameters, "source": source}


def whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def expect(name: str, value: object, holds: object, wanted: str) -> None:
    """Raises ValueError, naming the parameter, its value and what it needs, unless that `holds`."""
    if not holds:
        raise ValueError(f"parameter `{name}` is {value!r}; it needs {wanted}.")


def _holds(folder: Path, content: dict) -> bool:
    """Whether the folder holds just this data set. Raises FileExistsError when it is not one of ours to replace."""
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        if found.get("generator") == content["generator"]:
            return found == content
    except (OSError, ValueError, AttributeError):  # no such file, no JSON, or JSON that is no dict
        pass
    what = content["generator"]
    raise FileExistsError(f"{folder} is there and holds no {what}; choose another `name`, or move it away.")


def _drawn(draft, draw, images, workers, title) -> list[tuple]:
    step = 50 if workers > 1 and images > 50 else 1
    parts = [range(k, min(k + step, images)) for k in range(0, images, step)]
    rows = []
    with tqdm(total=images, desc=title, unit="image", leave=False, mininterval=0.5) as bar:
        for found in shared(partial(draw, draft), parts, workers if step > 1 else 1):
            rows += found
            bar.update(len(found))
    return sorted(rows, key=lambda row: row[0])


def _write_csv(path, rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
