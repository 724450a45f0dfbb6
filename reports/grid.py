"""Many questions to one notebook: a file that says which, every one of them checked before the first is asked.

notebook: 01_focus
profile: quick                          # as in `course run`; may be left out
params: {methods: [gradcam, lrp]}       # the same for all
sweep:                                  # one run for each combination; with `zip: true` they go in step
  resolution: [input, native]
  outer: {from: 0.0, to: 0.2, steps: 3}
seeds: 3                                # each of these with seed 0, 1 and 2
"""

import itertools
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.errors import CourseError, nearest

from . import settings
from .plans import Plan, notebook, parameters, plan

KEYS = ("notebook", "profile", "params", "sweep", "zip", "seeds")
MOST, LISTED = 10_000, 10  # runs of a grid; mistakes that are told


@dataclass(frozen=True)
class Grid:
    """The questions of a file, each once, and what is swept."""

    plans: list[Plan]
    swept: list[str]

    def differs(self, of: Plan) -> dict[str, Any]:
        """What this run has that the others may not have."""
        return {name: of.values[name] for name in self.swept}


def read(file: Path) -> Grid:
    """The grid of a file. Raises CourseError with the mistakes of all its combinations, before any of them runs."""
    said = settings.read(file)
    if wrong := [key for key in said if key not in KEYS]:
        raise CourseError(f"{file}: unknown `{wrong[0]}`.{nearest(wrong[0], KEYS)} It may have: {', '.join(KEYS)}")
    if not isinstance(said.get("notebook"), str):
        raise CourseError(
            f"{file}: `notebook` is {said.get('notebook')!r}; it needs a notebook's name, such as 01_focus"
        )
    path, profile = notebook(said["notebook"]), said.get("profile")
    sweep = {name: _values(file, name, values) for name, values in _mapping(file, "sweep", said).items()}
    known = {p.name for p in parameters.read(path)}
    columns = _in_step(file, sweep) if said.get("zip") else itertools.product(*sweep.values())
    rows = [dict(zip(sweep, row, strict=True)) | seed for row in columns for seed in _seeds(file, said, known)]
    if len(rows) > MOST:
        raise CourseError(f"{file}: {len(rows):,} runs; a grid has {MOST:,} at most")
    made: dict[str, Plan] = {}
    mistakes: dict[str, dict] = {}
    for row in rows:
        try:
            one = plan(str(path), profile, None, _mapping(file, "params", said) | row)
            made[one.run_id] = one
        except CourseError as error:
            mistakes.setdefault(str(error), row)
    if mistakes:
        more = f"\nand {len(mistakes) - LISTED} more mistakes" * (len(mistakes) > LISTED)
        raise CourseError("\n".join([*mistakes][:LISTED]) + more)
    return Grid([*made.values()], [*dict.fromkeys(name for row in rows for name in row)])


def seconds(of: Plan, out: Path, results: Any) -> float | None:
    """How long it may take, by earlier runs of the notebook below `out`: of its profile, if there are any."""
    there = [results(folder) for folder in (out / of.notebook.stem).glob("[!.]*") if folder.is_dir()]
    took = [(one.get("profile"), one["provenance"]["wall_s"]) for one in there if one.get("status") == "finished"]
    alike = [time for profile, time in took if profile == of.profile] or [time for _, time in took]
    return statistics.median(alike) if alike else None


def _mapping(file: Path, key: str, said: dict) -> dict:
    value = said.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise CourseError(f"{file}: `{key}` is {value!r}; it needs lines `name: value`")
    return value


def _values(file: Path, name: str, values: Any) -> list:
    """The values that a parameter takes: a list, or a range from one number to another in so many steps."""
    if isinstance(values, list) and values:
        return values
    if isinstance(values, dict) and set(values) == {"from", "to", "steps"}:
        low, high, steps = values["from"], values["to"], values["steps"]
        if all(isinstance(x, int | float) for x in (low, high)) and isinstance(steps, int) and steps > 1:
            found = [low + (high - low) * k / (steps - 1) for k in range(steps)]
            whole = isinstance(low, int) and isinstance(high, int) and all(x == round(x) for x in found)
            return [round(x) for x in found] if whole else [float(f"{x:.12g}") for x in found]
    raise CourseError(f"{file}: `sweep` has {name}: {values!r}; it needs a list, or {{from: 0, to: 1, steps: 3}}")


def _in_step(file: Path, sweep: dict[str, list]) -> list[tuple]:
    if not sweep:
        return [()]
    if len({len(values) for values in sweep.values()}) > 1:
        long = ", ".join(f"{name} has {len(values)}" for name, values in sweep.items())
        raise CourseError(f"{file}: with `zip` all of `sweep` need as many values; {long}")
    return [*zip(*sweep.values(), strict=True)]


def _seeds(file: Path, said: dict, known: set[str]) -> list[dict]:
    """What makes one run a seed: every draw's, and where networks are trained by a list of seeds, that of theirs."""
    if (n := said.get("seeds")) is None:
        return [{}]
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= 1000:
        raise CourseError(f"{file}: `seeds` is {n!r}; it needs a whole number from 1 to 1000: how many")
    if "seed" not in known:
        raise CourseError(f"{file}: this notebook has no parameter `seed`; leave `seeds` out")
    return [{"seed": k} | ({"seeds": [k]} if "seeds" in known else {}) for k in range(n)]
