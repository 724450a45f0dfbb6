"""Work that is done picture by picture, in shards: by this process or by several, with the same result.

Which rows make a shard depends on how many there are, and not on who does them or when. In a report run each finished
shard lands as a file, so that a run which was ended, however, and is asked again goes on with the others.
"""

import copyreg
import ctypes
import hashlib
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from . import workers
from .files import atomic, remove, writable, write_text

SHARDS = 256  # at most: a file each, and something to do for as many workers


class Spread:
    """What `run.spread` is: it knows the run's `workers`, its seed, and how much it was asked before."""

    def __init__(self, results: dict):
        values = results["parameters"]
        self.workers, self.seed = values.get("workers", "0"), int(values.get("seed", 0))
        self.place = os.environ.get(workers.PLACE)
        self.about = results["provenance"]
        self._asked = 0

    def __call__(
        self, function: Callable[..., Mapping[str, Any]], rows: int | Iterable[int], each: int = 32, **fixed: Any
    ) -> dict[str, np.ndarray]:
        """`function(some, **fixed)` for all rows, a shard `some` (a list) at a time: the arrays that it gives, joined.

        The function gives arrays (or tensors, or a table's columns) by name, joined along their first axis in the order
        of `rows`; a number of rows stands for all from 0 on. A shard has a multiple of `each` rows, so that a function
        that takes its rows in batches of `each` has the same batches as for all at once. Every random draw in it has to
        come from the number of a row, or from torch's, numpy's or Python's own generator, which begin anew for each
        shard. Workers get the function and `fixed` by value: functions of the notebook, networks, readers, tensors.
        Raises ValueError for no rows, CourseError where workers cannot be had, and what the function raises.
        """
        rows = list(range(rows)) if isinstance(rows, int) else [int(row) for row in rows]
        if not rows:
            raise ValueError(f"{function.__name__}: there are no rows to spread")
        size = each * -(-len(rows) // (each * SHARDS))  # rounded up
        shards = [(k, rows[first : first + size]) for k, first in enumerate(range(0, len(rows), size))]
        folder = self._folder(function, fixed, rows, size)
        found = {k: kept for k, some in shards if (kept := _read(folder, k, some)) is not None}
        left = [(k, some) for k, some in shards if k not in found]
        done, due = sum(len(shards[k][1]) for k in found), time.monotonic() + 1
        with tqdm(total=len(rows), initial=done, desc=function.__name__, leave=False, delay=2) as bar:
            for k, arrays, who in workers.answers(self.workers, function, fixed, self.seed, left):
                found[k] = arrays
                _write(folder, k, shards[k][1], arrays)
                self._note(who)
                bar.update(len(shards[k][1]))
                if time.monotonic() > due:
                    _give_back()
                    due = time.monotonic() + 1
        return {name: np.concatenate([found[k][name] for k, _ in shards]) for name in found[0]}

    def _folder(self, function: Callable, fixed: dict, rows: list[int], size: int) -> Path | None:
        """Where the shards of this call are kept, those of another question removed; None where they are not.

        Only report runs keep them: their code is that of the file, from its first cell on.
        """
        if not self.place or not writable(Path(self.place)):
            return None
        self._asked += 1  # a notebook asks in the same order each time: this tells apart what a hash cannot
        folder = Path(self.place) / f"{self._asked:03}-{function.__name__}"
        digest = hashlib.sha256(json.dumps(rows).encode())
        _told(fixed, digest)
        about = {key: self.about.get(key) for key in ("device", "python", "versions", "data", "weights")}
        manifest = {"question": folder.parent.name, "function": function.__qualname__, "rows": len(rows)}
        manifest |= {"rows of a shard": size, "seed": self.seed, "hash of rows and arguments": digest.hexdigest()}
        text = json.dumps(manifest | about, indent=1)
        file = folder / "manifest.json"
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            remove(folder)
            write_text(file, text)
        return folder

    def _note(self, who: str) -> None:
        """Who did how many shards, in the record of the run."""
        if who:
            by = self.about.setdefault("workers", {})
            by[who] = by.get(who, 0) + 1


def at_once(function: Callable[..., Mapping[str, Any]], rows: Iterable[int], each: int = 32, **fixed: Any) -> dict:
    """The same where there is no run, as in a test: all rows by one call, here."""
    return workers.done(function, fixed, 0, [int(row) for row in rows])


def _give_back() -> None:
    """Free memory, to the system: what a shard leaves lies amid what it freed, and glibc holds on to 0.15 MB a face."""
    with suppress(AttributeError, OSError, TypeError):  # other systems have no such call
        ctypes.CDLL(None).malloc_trim(0)


def _remembering(function: Callable, how: dict) -> Callable:
    return lru_cache(**how)(function)


def _sent(function: Any) -> str | tuple:
    """How a function that remembers is pickled: by its name, or, in a notebook, by value and remembering nothing."""
    if function.__module__ in {*sys.modules} - {"__main__"}:
        return function.__qualname__
    return _remembering, (function.__wrapped__, function.cache_parameters())


copyreg.pickle(type(cache(_remembering)), _sent)  # pickle knows such functions by name only


def _write(folder: Path | None, k: int, rows: list[int], arrays: dict[str, np.ndarray]) -> None:
    if folder:
        with atomic(folder / f"{k:03}.npz") as draft:
            kept: dict[str, Any] = {f"of {name}": values for name, values in arrays.items()} | {"rows": np.array(rows)}
            np.savez(draft, **kept)


def _read(folder: Path | None, k: int, rows: list[int]) -> dict[str, np.ndarray] | None:
    """The arrays of a shard that is there; None where none is, or none that can be read."""
    if not folder or not (file := folder / f"{k:03}.npz").is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as kept:  # a file never runs code
            same = kept["rows"].tolist() == rows
            return {name.removeprefix("of "): kept[name] for name in kept if name != "rows"} if same else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _told(value: Any, digest) -> None:
    """Add to the digest what can be told of an argument. How pictures are read follows from the run's own question."""
    if isinstance(value, Mapping):
        value = [part for item in value.items() for part in item]
    if not isinstance(value, nn.Module) and isinstance(getattr(value, "net", None), nn.Module):  # a Classifier
        value = [value.net, *(getattr(value, part, None) for part in ("name", "outputs", "normalise"))]
    if isinstance(value, nn.Module):
        value = [type(value).__name__, *value.parameters(), *value.buffers()]
    if isinstance(value, np.ndarray) and value.dtype != object:
        value = torch.from_numpy(np.ascontiguousarray(value)) if value.dtype.kind in "biuf" else value.tolist()
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype} {[*value.shape]}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    elif isinstance(value, list | tuple):
        digest.update(f"{type(value).__name__} {len(value)}".encode())
        for part in value:
            _told(part, digest)
    else:
        plain = isinstance(value, str | int | float | bool | None)
        digest.update(repr(value).encode() if plain else type(value).__name__.encode())
