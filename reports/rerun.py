"""A question asked again from the folder of a run alone, and which numbers came out the same."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from helpers.errors import CourseError

from . import handed, plans, runs, settings

MISSING = "not there"
TOLERANCE = 1e-4  # of the larger value: float32 added up in another order is off by 1e-6 to 1e-5; one picture by more
MEASURED = ("started", "wall_s", "peak_mb", "sections", "cells", "workers")  # of provenance: other each time
SMALLEST = 1e-9  # what is this close is the same number, however small both are


@dataclass(frozen=True)
class Compared:
    """A metric then and now; None where it was undefined, MISSING where there was none."""

    name: str
    then: Any
    now: Any
    verdict: str  # `equal` to the last bit, `within` the tolerance, `differs`


def kept(folder: Path, into: Path) -> plans.Plan:
    """The plan of a finished run, by the code and the values in its folder; the notebook is written below `into`.

    Raises CourseError where the run is not finished, or where what it asked for is not here: a data set, a file.
    """
    import nbformat

    results = runs.results(folder)
    if results.get("status") != "finished":
        said = f"{folder}: its status is {results.get('status')!r}, so there is nothing to compare with"
        raise CourseError(f"{said}. Ask it again: course run {results['notebook']} -f {folder / 'params.yaml'}")
    book = handed.executed(folder)
    book.cells = [cell for cell in book.cells if "injected-parameters" not in cell.metadata.get("tags", ())]
    stem = results["notebook"]
    if stem in ("", "..") or stem.startswith(".") or Path(stem).name != stem:  # somebody else's file may say anything
        raise CourseError(f"{folder / 'results.json'}: notebook is {stem!r}; expected a name such as 01_focus")
    into.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, into / f"{stem}.ipynb")
    plan = plans.plan(str(into / f"{stem}.ipynb"), given=settings.read(folder / "params.yaml"))
    return replace(plan, profile=results.get("profile"))


def compared(then: dict, now: dict, tolerance: float = TOLERANCE) -> list[Compared]:
    """Every metric of two runs of one question, in the order of the first; what only the second has stands last."""
    one, other = then.get("metrics") or {}, now.get("metrics") or {}
    pairs = [(name, one.get(name, MISSING), other.get(name, MISSING)) for name in {**one, **other}]
    return [Compared(name, a, b, _verdict(a, b, tolerance)) for name, a, b in pairs]


def _verdict(a: Any, b: Any, tolerance: float) -> str:
    if repr(a) == repr(b):  # all digits of a float, and its sign where it is zero
        return "equal"
    numbers = all(isinstance(value, int | float) for value in (a, b))
    return "within" if numbers and math.isclose(a, b, rel_tol=tolerance, abs_tol=SMALLEST) else "differs"


def changed(folder: Path, plan: plans.Plan, then: dict, now: dict) -> list[str]:
    """What is not as it was when the run was made, a line each: code, commit, machine, versions, data, networks."""
    lines = []
    today = [path for path in plans.notebooks() if path.stem == plan.notebook.stem]
    if today and _code(today[0]) != _code(plan.notebook):
        lines.append(f"notebook code: {today[0].name} is another one today; asked was what the run's folder keeps")
    if plan.run_id != folder.name.partition(".")[0]:
        lines.append("question: its id is another one now: helpers, data or files of weights have changed since")
    before, after = _flat(then.get("provenance") or {}), _flat(now.get("provenance") or {})
    for key in {**before, **after}:
        a, b = before.get(key), after.get(key)
        if a != b and key.split(".")[0] not in MEASURED:
            lines.append(f"{key.replace('_', ' ')}: {_said(a)} then, {_said(b)} now")
    return lines


def verdicts(then: dict, now: dict) -> list[str]:
    """The claims that are judged otherwise now, a line each."""
    after = {claim["claim"]: claim.get("verdict") for claim in now.get("claims") or ()}
    before = {claim["claim"]: claim.get("verdict") for claim in then.get("claims") or ()}
    return [
        f"claim: {claim}: {_said(before.get(claim))} then, {_said(after.get(claim))} now"
        for claim in {**before, **after}
        if before.get(claim) != after.get(claim)
    ]


def _said(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _flat(values: dict, above: str = "") -> dict[str, Any]:
    """A dictionary of dictionaries as one: versions.torch."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat


def _code(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
