"""Runs beside one another: what differs, who is best and whether that can be said, figures, claims, sweeps, one CSV."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from helpers.errors import CourseError

from . import agree, plots, ranks, said, sieve, sweeps
from .claims import counts, ledger
from .found import Found, Lacking, key, link
from .place import Place

BESIDE = 12  # runs that stand in columns; of more, each has a row, with the first metrics only
FIRST = 8  # metrics of such a row; plots that are open
PLOTS = 40  # at most; the CSV has all
CELLS = 400  # of a heat table
OPEN = 30  # metrics in columns before the rest is folded
SHARP = 1100  # pixels of the longer side of a figure
FIXED = ("run", "notebook", "metric", "value", "low", "high", "chance", "n", "of", "better", "data", "status")


def write(found: Sequence[Found], place: Place, lacking: Sequence[Lacking] = ()) -> str:
    """The comparison as a page and a tidy CSV; what it comes to, in a line. Raises CourseError for fewer than two.

    `lacking` are the questions of a grid that have no finished run: the page names them.
    """
    if len(found) < 2:
        few = f"compare: {len(found)} run{'' if len(found) == 1 else 's'} found; it needs two or more"
        raise CourseError(f"{few}: RUN RUN ..., --notebook 01 or --grid FILE.yaml{_advice(lacking)}")
    labels = labelled(found)
    books = {name: {a: run for a, run in labels.items() if run.notebook == name} for name in _notebooks(found)}
    described = [_book(name, runs, place.page) for name, runs in books.items()]
    more = [f"Of the grid {len(lacking)} more have no finished run."] if lacking else []
    answer = " ".join([*map(_answer, described), *more])
    shown = {"books": described, "runs": len(found), "answer": answer, "rules": (ranks.RULE, sweeps.RULE)}
    shown["lacking"] = lacking
    place.write("compare.html.j2", shown | {"agree": agree.agreement(labels)}, tidy(labels))
    return answer


def _advice(lacking: Sequence[Lacking]) -> str:
    """What to do about a grid that has too few answers."""
    if not lacking:
        return ""
    return (
        f". {len(lacking)} of the grid have none here (the first: {lacking[0].why}). Run them: course grid FILE.yaml, "
        "with the same --out; where code, data or weights have changed since, they are other questions now"
    )


def labelled(found: Sequence[Found]) -> dict[str, Found]:
    """The runs by a short name: A, B, ... or, of more than 26, R1, R2, ..."""
    names = [chr(ord("A") + i) if len(found) < 27 else f"R{i + 1}" for i in range(len(found))]
    return dict(zip(names, found, strict=True))


def tidy(found: Mapping[str, Found]) -> str:
    """One line for each run and metric: what differs between runs of its notebook, the number and its interval."""
    books = {name: [run for run in found.values() if run.notebook == name] for name in _notebooks([*found.values()])}
    changed = {name: sweeps.differing(runs) for name, runs in books.items()}
    columns = list(dict.fromkeys(one for names in changed.values() for one in names))
    heads = [f"parameter {name}" if name in FIXED else name for name in columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED[:2], *heads, *FIXED[2:]])
    for run in found.values():
        own = [_cell(run.parameters.get(name)) if name in changed[run.notebook] else "" for name in columns]
        for metric, m in run.measures.items():
            numbers = [m.value, m.low, m.high, m.chance, m.n, m.of, m.better]
            data = " ".join(sorted(run.data))
            writer.writerow([run.folder.name, run.notebook, *own, metric, *numbers, data, run.results.get("status")])
    return text.getvalue()


def _book(name: str, found: dict[str, Found], page: Path) -> dict[str, Any]:
    """One notebook's runs, as the template shows them."""
    runs = [*found.values()]
    differ = sweeps.differing(runs)
    names = list(dict.fromkeys(p for run in runs for p in run.parameters))
    same = [p for p in names if p not in differ]
    values = {p: {label: run.parameters.get(p) for label, run in found.items()} for p in names}
    data = ranks.data_sets(found)
    about = {
        label: {
            "label": label, "id": run.folder.name, "link": link(run.folder, page), "results": run.results,
            "finished": run.finished, "data": [*data].index(run.data), "pictures": run.pictures,
            "differ": {p: values[p][label] for p in differ},
        }
        for label, run in found.items()
    }  # fmt: skip
    metrics, groups = _metrics(found), {label: [*data].index(run.data) + 1 for label, run in found.items()}
    shown = [one for one in metrics if one["key"]][:FIRST]
    return {
        "name": name, "title": str(runs[-1].results.get("title") or name), "runs": about, "many": len(runs) > BESIDE,
        "differ": {p: values[p] for p in differ}, "same": {p: runs[0].parameters.get(p) for p in same},
        "data": [{"names": _names(group, found), "runs": group} for group in data.values()],
        "metrics": metrics, "open": OPEN, "key": shown,
        "sieve": sieve.data(found, differ, groups if len(data) > 1 else {}, shown) if len(runs) > BESIDE else None,
        "sweep": _sweep(runs), "beside": BESIDE, "figures": _figures(found) if len(runs) <= BESIDE else [],
        "claims": _claims(found), "again": _again(found),
        "versions": sorted({str(run.provenance.get("git_commit") or "not noted") for run in runs}),
    }  # fmt: skip


def _metrics(found: dict[str, Found]) -> list[dict[str, Any]]:
    """Each metric: its number in each run, and who is best; first those that can have a best."""
    names = dict.fromkeys(name for run in found.values() for name in run.measures)
    rows = []
    for name in names:
        cells = {label: run.measures[name] for label, run in found.items() if name in run.measures}
        ranking = ranks.ranking(cells, found)
        directions = {one.better for one in cells.values() if one.better}
        rows.append(
            {
                "name": name, "cells": {label: cells.get(label) for label in found}, "ranking": ranking,
                "better": " or ".join(sorted(directions)), "key": bool(directions),
                "chance": sorted({one.chance for one in cells.values() if one.chance is not None}),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: not row["key"])


def _sweep(runs: list[Found]) -> dict[str, Any] | None:
    """Plots and tables of what was swept; None of runs that are one setting each of too many parameters."""
    swept = sweeps.sweep(runs)
    if swept is None:
        return None
    names = sweeps.key_metrics(swept)
    made = {name: sweeps.points(swept, name) for name in names[:PLOTS]}
    draw = {1: plots.line, 2: plots.heat}.get(len(swept.parameters))
    if draw is plots.heat and len(swept.values(0)) * len(swept.values(1)) > CELLS:  # drawn at random: no two in a row
        draw = None
    shown: dict[str, Any] = {"parameters": swept.parameters, "settings": len(swept.settings), "first": FIRST}
    shown["plots"] = [draw(swept, name, made[name]) for name in made] if draw and len(swept.settings) > 1 else []
    shown["more"] = len(names) - len(made)
    shown["stands_for"] = [one for one in swept.parameters if any(name.endswith(f".({one})") for name in made)]
    if swept.repeated:
        shown["seeds"] = [len(runs) for runs in swept.runs]
        shown["names"] = [" · ".join(map(said.show, setting)) or "all" for setting in swept.settings]
        shown["rows"] = [_over_seeds(swept, name, made[name]) for name in made]
        shown["told"] = sum(sweeps.best(swept, name)[1] == "best" for name in names)
        measured = [run.measures for runs in swept.runs for run in runs.values()]
        shown["of"] = len({name for each in measured for name, one in each.items() if one.better})
    return shown


def _over_seeds(swept: sweeps.Sweep, metric: str, points: Sequence[sweeps.Point | None]) -> dict[str, Any]:
    """A metric at each setting, over its seeds, and whether one of them is the best."""
    first, word, why = sweeps.best(swept, metric)
    cells = [{"measure": point.measure if point else None, "best": i == first} for i, point in enumerate(points)]
    name = " · ".join(map(said.show, swept.settings[first])) if first is not None else ""
    return {"name": metric, "cells": cells, "ranking": ranks.Ranking(word, why, frozenset([name] if name else []))}


def _figures(found: dict[str, Found]) -> list[dict[str, Any]]:
    """The figures of each name beside one another, those that differ first; runs that drew the very same share one."""
    figures = []
    for name in dict.fromkeys(name for run in found.values() for name in run.figures):
        drawn: dict[str | None, dict[str, Any]] = {}
        for label, run in found.items():
            if name in run.figures:
                one = _figure(run, run.figures[name])
                drawn.setdefault(one["source"], one | {"labels": []})["labels"].append(label)
        figures.append({"name": name, "each": [*drawn.values()]})
    return sorted(figures, key=lambda figure: len(figure["each"]) < 2)


def _figure(run: Found, about: dict) -> dict[str, Any]:
    file = run.folder / "figures" / Path(str(about["file"])).name  # whatever a results.json says, from this folder
    shown = {"alt": str(about.get("alt") or "No description"), "caption": str(about.get("caption") or "")}
    try:
        image: Image.Image = Image.open(file)
        image.thumbnail((SHARP, SHARP))
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "WEBP", quality=82)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return shown | {"source": None}
    return shown | {"source": f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"}


def _claims(found: dict[str, Found]) -> list[dict[str, Any]]:
    """Each claim: what each run says of it, how many say what, and whether all say the same."""
    label = {id(run): name for name, run in found.items()}
    rows = []
    for row in ledger([*found.values()]):
        by_run = {label[id(run)]: claim for run, claim in row["runs"]}
        said_ = {claim["verdict"] for claim in by_run.values()}
        numbers = [(word, len(runs)) for word, runs in counts(row).items() if runs]
        rows.append(
            row | {"cells": {name: by_run.get(name) for name in found}, "counts": numbers, "same": len(said_) == 1}
        )
    return rows


def _again(found: dict[str, Found]) -> list[list[str]]:
    """Runs that asked the same question: their numbers are one number, told twice."""
    groups: dict[tuple, list[str]] = {}
    for label, run in found.items():
        groups.setdefault((run.data, key(run.parameters)), []).append(label)
    return [labels for labels in groups.values() if len(labels) > 1]


def _answer(book: dict[str, Any]) -> str:
    """What a comparison of one notebook's runs comes to."""
    n, rows = len(book["runs"]), [row for row in book["metrics"] if row["key"]]
    marked = sum(bool(row["ranking"].best) for row in rows)
    names = list(book["differ"])
    differ = f"differ in {_and(names)}" if names else "have the same parameters"
    if n == 1:
        return f"One run of {book['name']} stands alone."
    what, told, of = "run", marked, len(rows)
    if (sweep := book["sweep"]) and "told" in sweep and sweep["settings"] > 1:
        what, told, of = "setting, over its seeds,", sweep["told"], sweep["of"]
    best = f"A best {what} can be named for {told or 'none'} of {of} metric{'s' * (of != 1)} with a better direction."
    return (
        f"{n} runs of {book['name']} {differ}. {best if rows else 'No metric says whether higher or lower is better.'}"
    )


def _and(names: list[str]) -> str:
    few = names if len(names) < 6 else [*names[:4], f"{len(names) - 4} more"]
    return few[0] if len(few) == 1 else f"{', '.join(few[:-1])} and {few[-1]}"


def _names(labels: list[str], found: dict[str, Found]) -> list[tuple[str, str]]:
    data = found[labels[0]].provenance.get("data")
    return [(str(name), str(mark)) for name, mark in data.items()] if isinstance(data, dict) else []


def _notebooks(found: Sequence[Found]) -> list[str]:
    return sorted({run.notebook for run in found})


def _cell(value: Any) -> Any:
    return key(value) if isinstance(value, list | dict) else value
