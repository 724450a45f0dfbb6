"""Runs that are read together: found by folder, id, page or notebook, and what each of them measured."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from helpers import door
from helpers.errors import CourseError, nearest

from . import grid, kept, plans

WORDS = ("holds", "does not hold", "cannot tell", "not judged", "")  # of a verdict; older runs have none


@dataclass(frozen=True)
class Measure:
    """A metric of one run; what is not known of it, or not a finite number, is None."""

    value: float | None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    n: int | None = None
    of: str = ""
    better: str | None = None  # "higher" or "lower"

    @property
    def certain(self) -> bool:
        """Whether there is an interval that says something: one without width is no certainty."""
        return self.value is not None and self.low is not None and self.high is not None and self.low < self.high


@dataclass(frozen=True)
class Found:
    """A run's folder and its results, read defensively: a run may come from elsewhere."""

    folder: Path
    results: dict

    @property
    def notebook(self) -> str:
        return str(self.results["notebook"])

    @property
    def finished(self) -> bool:
        return self.results.get("status") == "finished"

    @property
    def parameters(self) -> dict[str, Any]:
        return _mapping(self.results, "parameters")

    @property
    def provenance(self) -> dict[str, Any]:
        return _mapping(self.results, "provenance")

    @property
    def data(self) -> frozenset[str]:
        """The manifests of the data that it read; empty where it noted none."""
        return frozenset(str(one) for one in _mapping(self.provenance, "data").values())

    @cached_property
    def pictures(self) -> str:
        """`drawn` when each data set that it names is one of ours, drawn by a script; else `real`, or `not noted`."""
        given = [
            one
            for name, value in self.parameters.items()
            if name in ("dataset", "images") or name.endswith("_set")
            for one in (value if isinstance(value, list) else [value])
            if isinstance(one, str) and one
        ]
        if not given or not self.data:
            return "not noted"
        return "drawn" if _drawn().issuperset(given) else "real"

    @property
    def question(self) -> tuple[Path, str]:
        """What a run and those that `--force` put beside it have in common."""
        return self.folder.parent, self.folder.name.partition(".")[0]

    @property
    def claims(self) -> list[dict]:
        """The claims that it judged, in the form in which we write them."""
        there = [one for one in _list(self.results, "claims") if isinstance(one, dict) and one.get("claim")]
        return [one for one in there if one.get("holds") in (True, False, None) and one.get("verdict", "") in WORDS]

    @property
    def figures(self) -> dict[str, dict]:
        """What is said of each figure, by its name; its file lies in the folder's figures."""
        there = [one for one in _list(self.results, "figures") if isinstance(one, dict) and one.get("file")]
        return {str(one.get("name")): one for one in there}

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """Every metric by name."""
        about = _mapping(self.results, "estimates")
        named = _mapping(self.results, "metrics").items()
        return {name: _measure(value, about.get(name)) for name, value in named}


def named(texts: Iterable[str], out: Path) -> list[Found]:
    """The runs of these folders, ids or pages, each once. Raises CourseError naming the one that is none."""
    folders = dict.fromkeys(_folder(text, out).resolve() for text in texts)
    return [_read(folder) for folder in folders]


def of_notebook(name: str, out: Path) -> list[Found]:
    """Every run of a notebook below `out`, oldest first. Raises CourseError when there is none."""
    stem = name if (out / name).is_dir() else plans.notebook(name).stem
    if not (found := [one for one in everything(out) if one.notebook == stem]):
        raise CourseError(f"{stem}: no run of it below {out}. Make one: course run {stem}")
    return found


@dataclass(frozen=True)
class Lacking:
    """A question of a grid that has no finished run: its id, why, and what the grid varies of it."""

    run_id: str
    why: str
    values: dict[str, Any]


def of_grid(file: Path, out: Path) -> tuple[list[Found], list[Lacking]]:
    """The finished runs of a grid's file below `out`, of each question the newest, and the questions that have none.

    Raises CourseError for a file that is wrong.
    """
    asked = grid.read(file)
    done = {plan.run_id: kept.finished(plan.folder(out)) for plan in asked.plans}
    lacking = [
        Lacking(plan.run_id, _why(plan.folder(out)), asked.differs(plan))
        for plan in asked.plans
        if not done[plan.run_id]
    ]
    return [_read(folders[-1].resolve()) for folders in done.values() if folders], lacking


def _why(folder: Path) -> str:
    """Why there is no finished run in a folder."""
    status = kept.results(folder).get("status")
    return f"failed: {kept.reason(folder)}" if status == "failed" else str(status or "not run")


def everything(out: Path) -> list[Found]:
    """Every run below `out` that can be read, oldest first."""
    there = [Found(folder.resolve(), kept.results(folder)) for folder in _folders(out)]
    return sorted((one for one in there if _whole(one)), key=_started)


def newest(found: Iterable[Found]) -> list[Found]:
    """One run for each question, the newest finished one; of several that failed, the newest."""
    last: dict[tuple[Path, str], Found] = {}
    for one in sorted(found, key=lambda one: (one.finished, _started(one))):
        last[one.question] = one
    return sorted(last.values(), key=_started)


def key(value: Any) -> str:
    """A parameter's value as text that is equal when the value is."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def link(folder: Path, page: Path) -> str:
    """From a page to a run's report; it never begins with what a browser could take for a scheme."""
    return "./" + Path(os.path.relpath(folder / "report.html", page.absolute().parent)).as_posix()


def number(value: Any) -> float | None:
    """A finite number as a float, all else None."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


@cache
def _drawn() -> frozenset[str]:
    """The names of the data sets that a script of ours draws."""
    return frozenset(name for name, one in door.scripts().items() if one.value.startswith("data_scripts.drawn."))


def _measure(value: Any, about: Any) -> Measure:
    known = about if isinstance(about, dict) else {}
    low, high, chance, n = (number(known.get(name)) for name in ("low", "high", "chance", "n"))
    better = known.get("better") if known.get("better") in ("higher", "lower") else None
    count = None if n is None else int(n)
    return Measure(number(value), low, high, chance, count, str(known.get("of") or ""), better)


def _folder(text: str, out: Path) -> Path:
    there = _folders(out)
    given = Path(os.path.expanduser(text))
    places = [given.parent if given.name == "report.html" else given, out / text]
    places += [folder for folder in there if folder.name == text]
    for place in places if text.strip() else []:
        if os.path.isfile(place / "results.json"):
            return place
    ids = [folder.name for folder in there]
    some = f"There are: {', '.join(ids[:6])}{', ...' * (len(ids) > 6)}" if ids else f"There is none below {out}"
    raise CourseError(
        f"{text or '(nothing)'}: no run.{nearest(text, ids)} (expected its folder, its report.html or its id.) {some}. "
        "If reports are elsewhere: give the folder, or --out DIR"
    )


def _folders(out: Path) -> list[Path]:
    return sorted(path for path in out.glob("[!.]*/[!.]*") if (path / "results.json").is_file())


def _read(folder: Path) -> Found:
    found = Found(folder, kept.results(folder))
    if not _whole(found):
        raise CourseError(f"{folder}: no run that can be read: its results.json is missing or broken. Run it again")
    return found


def _whole(found: Found) -> bool:
    return isinstance(found.results.get("notebook"), str) and isinstance(found.results.get("parameters"), dict)


def _started(found: Found) -> str:
    return str(found.provenance.get("started") or "")


def _mapping(of: dict, name: str) -> dict[str, Any]:
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def _list(of: dict, name: str) -> list:
    value = of.get(name)
    return value if isinstance(value, list) else []
