"""What the script of a comparison's table of runs sorts and filters by."""

from collections.abc import Mapping, Sequence
from typing import Any

from . import said
from .found import Found, number


def data(runs: Mapping[str, Found], differ: Sequence[str], groups: Mapping[str, int], metrics: Sequence[dict]) -> dict:
    """For the runs by label, in the order of the table's rows: the key of each column, and what they are chosen by.

    `differ` are the parameters and `metrics` the rows of the metrics that have a column; `groups` says which data a
    run read, where that is not the same for all.
    """
    return {"same": {}, "runs": [_run(label, run, differ, groups, metrics) for label, run in runs.items()]}


def _run(label: str, run: Found, differ: Sequence[str], groups: Mapping[str, int], metrics: Sequence[dict]) -> dict:
    given = {name: run.parameters.get(name) for name in differ}
    measured = [row["cells"][label] for row in metrics]
    keys = [label, *map(_key, given.values()), *([groups[label]] if groups else [])]
    return {
        "notebook": run.notebook,
        "status": str(run.results.get("status")),
        "data": str(groups.get(label, 1)),
        "keys": keys + [one and one.value for one in measured],
        "differs": {name: said.show(value) for name, value in given.items()},
        "metrics": {},
    }


def _key(value: Any) -> str | float | None:
    """Numbers are sorted by size, all else as text; what a run does not have comes last."""
    size = number(value)
    return said.show(value) if size is None and value is not None else size
