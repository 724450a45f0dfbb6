"""All runs below a folder as one page: what each was asked, what it found, and the way to its report."""

import base64
import io
import math
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from helpers.files import write_text

from .kept import cover, results
from .page import Exporter, dressed
from .plans import OUT
from .said import duration, judged, show

KEY = 3  # metrics of a run that the overview shows
LONGEST = 200  # characters of a value or an error


def write_index(out: Path = OUT) -> Path:
    """The overview page of every run below `out`. Folders that hold no run that can be read are named there."""
    there = {folder: _read(folder, out) for folder in sorted(out.glob("[!.]*/[!.]*")) if folder.is_dir()}
    rows = [row for row in there.values() if row]
    for newest, *_ in by_notebook(rows):
        newest["thumbnail"] = _thumbnail(out / newest["folder"])
    others = [folder.relative_to(out).as_posix() for folder, row in there.items() if not row]
    write_text(out / "index.html", index(rows, others))
    return out / "index.html"


def index(rows: list[dict], others: list[str] | None = None) -> str:
    """The overview: a card for the newest run of each notebook, and a table of all of them, newest first.

    `rows` as from `row`; `others` are folders in which no finished page is: unfinished, or not ours.
    """
    rows = sorted(rows, key=_newness, reverse=True)
    environment = Exporter().environment
    environment.globals.update(dressed("page", "sieve", "overview"))
    template = environment.get_template("overview.html.j2")
    html = template.render(notebooks=by_notebook(rows), rows=rows, data=_data(rows), others=others)
    return html.encode(errors="replace").decode()  # a name on disk need not be text


def by_notebook(rows: list[dict]) -> list[list[dict]]:
    """The rows of each notebook, by its name; newest first."""
    found: dict[str, list[dict]] = {}
    for row in sorted(rows, key=_newness, reverse=True):
        found.setdefault(row["notebook"], []).append(row)
    return [found[name] for name in sorted(found)]


def row(folder: str, results: dict) -> dict[str, Any]:
    """What the overview says of the run in this folder (`01_focus/24ed52488c`), in words, and what it sorts it by.

    Raises what Python raises on results that no run has written: AttributeError, KeyError, TypeError, ...
    """
    provenance, claims = results.get("provenance") or {}, results.get("claims") or []
    parameters = {name: _cut(show(value)) for name, value in (results.get("parameters") or {}).items()}
    verdicts = {kind: [c["verdict"] == "holds" for c in judged(claims, kind)] for kind in ("paper", "control")}
    said = {
        "folder": folder,
        "link": f"{quote(folder, errors='surrogateescape')}/report.html",
        "notebook": results["notebook"],
        "run_id": folder.rpartition("/")[2],
        "title": results.get("title") or results["notebook"],
        "answer": results.get("answer"),
        "status": results["status"],
        "error": _last_line(results.get("error")),
        "profile": results.get("profile") or "default",
        "parameters": parameters,
        "changes": [(name, parameters.get(name, "–")) for name in results.get("changed") or ()],
        "metrics": key_metrics(results),
        "claims": claims,
        "counts": _counts(verdicts),
        "started": provenance.get("started"),
        "moment": _moment(provenance.get("started")),
        "when": _when(provenance.get("started")),
        "took": duration(provenance.get("wall_s")),
        "device": show(provenance.get("device")),
    }
    return said | {"keys": _keys(said, number(provenance.get("wall_s")), verdicts["paper"])}


def _keys(said: dict, seconds: float | None, held: list[bool]) -> list[str | float | None]:
    """What each column is sorted by; None is put last."""
    return [
        said["folder"],
        said["profile"],
        ", ".join(f"{name} = {value}" for name, value in said["changes"]) or None,
        None,  # by its metrics, which the script has
        sum(held) / len(held) if held else None,
        said["status"],
        said["moment"],
        seconds,
        None if said["device"] == "–" else said["device"],
    ]


def key_metrics(results: dict) -> list[dict[str, Any]]:
    """The metrics that speak for a run: those with an interval and a chance level, then those with an interval, with a
    chance level, with a better side. Of each kind (a name up to its first dot) the first, and three at most."""
    metrics, abouts = results.get("metrics") or {}, results.get("estimates") or {}
    worth = {name: _worth(about) for name, about in abouts.items() if number(metrics.get(name)) is not None}
    firsts: dict[str, str] = {}
    for name in sorted(filter(worth.get, worth), key=worth.__getitem__, reverse=True):
        firsts.setdefault(name.partition(".")[0], name)
    return [_metric(name, metrics[name], abouts[name]) for name in [*firsts.values()][:KEY]]


def _worth(about: dict) -> int:
    """How much is known of a metric beside its value."""
    interval = about.get("low") is not None and about.get("high") is not None
    return 4 * interval + 2 * (about.get("chance") is not None) + bool(about.get("better"))


def _metric(name: str, value: float, about: dict) -> dict[str, Any]:
    low, high, chance = (number(about.get(what)) for what in ("low", "high", "chance"))
    words = f"{value:.3g}" + (f" [{low:.3g}, {high:.3g}]" if low is not None and high is not None else "")
    said = {"name": name, "value": value, "words": words, "chance": None if chance is None else f"{chance:.3g}"}
    return said | {"lower": about.get("better") == "lower", "dot": _dot(value, low, high, chance, about.get("better"))}


def _dot(value: float, low: Any, high: Any, chance: Any, better: Any) -> dict[str, float] | None:
    """Where value, interval and chance lie from 0 to 100, the best. None where no best is known, as outside 0 to 1, and
    for a bare number, of which a dot says no more."""
    known = [x for x in (value, chance) if x is not None]
    if better not in ("higher", "lower") or not all(0 <= x <= 1 for x in known) or (low is chance is None):
        return None
    ends = {"at": value, "low": value if low is None else low, "high": value if high is None else high}
    if chance is not None:
        ends["chance"] = chance
    if better == "lower":
        ends = {name: 1 - x for name, x in ends.items()}
        ends["low"], ends["high"] = ends["high"], ends["low"]
    return {name: round(100 * min(max(x, 0), 1), 1) for name, x in ends.items()}


def number(value: Any) -> float | None:
    """The value when it is a finite number."""
    real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if real else None


def _counts(verdicts: dict[str, list[bool]]) -> list[str]:
    """`9 of 14 hold`, `8 of 9 controls pass`."""
    words = {"paper": ("holds", "hold"), "control": ("controls passes", "controls pass")}
    return [f"{sum(held)} of {len(held)} {words[kind][sum(held) != 1]}" for kind, held in verdicts.items() if held]


def _last_line(error: dict | None) -> dict[str, str] | None:
    """The name of an error and the last line of what it says, as below a traceback."""
    if not error:
        return None
    lines = str(error.get("message") or "").strip().splitlines()
    return {"name": str(error.get("name")), "line": _cut(lines[-1].strip() if lines else "")}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _data(rows: list[dict]) -> dict[str, Any]:
    """What the script sorts and filters by, in the order of the rows. Parameters that a notebook's newest run has, too,
    are not said again: they are most of them."""
    same: dict[str, dict[str, str]] = {}
    runs = []
    for row in rows:
        mine, base = row["parameters"], same.setdefault(row["notebook"], row["parameters"])
        runs.append({name: row[name] for name in ("notebook", "profile", "status", "keys")})
        runs[-1]["differs"] = {n: mine.get(n) for n in {**base, **mine} if mine.get(n) != base.get(n)}
        runs[-1]["metrics"] = {metric["name"]: metric["value"] for metric in row["metrics"]}
    return {"same": same, "runs": runs}


def _when(iso: Any) -> str:
    """A timestamp as a column has room for it."""
    return "–" if _moment(iso) is None else "{0.day} {0:%b %Y, %H:%M}".format(datetime.fromisoformat(iso))


def _moment(iso: Any) -> float | None:
    """Seconds since 1970, whatever the time zone."""
    try:
        return datetime.fromisoformat(iso).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _newness(row: dict) -> float:
    return -math.inf if row["moment"] is None else row["moment"]


def _read(folder: Path, out: Path) -> dict | None:
    """The row of the run in this folder; None when it has no page, or no results that can be shown."""
    found = results(folder)
    if not (folder / "report.html").is_file() or not _whole(found):
        return None
    try:
        return row(folder.relative_to(out).as_posix(), found)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # written by somebody else
        return None


def _whole(results: dict) -> bool:
    """Whether results have what the overview shows."""
    there = {"notebook": str, "run_id": str, "status": str, "provenance": dict, "parameters": dict}
    typed = all(isinstance(results.get(name), kind) for name, kind in there.items())
    return typed and {"started", "wall_s"} <= {*results["provenance"]}


def _thumbnail(folder: Path) -> str | None:
    """A small JPEG of the run's cover, else its richest picture, as a data URI; None when it drew none."""
    drawn = sorted((folder / "figures").glob("*.png"), key=lambda file: file.stat().st_size)
    picture = cover(folder, results(folder)) or (drawn[-1].read_bytes() if drawn else None)
    if picture is None:
        return None
    try:
        image, buffer = Image.open(io.BytesIO(picture)).convert("RGB"), io.BytesIO()
    except OSError:  # cut short by somebody
        return None
    image.thumbnail((640, 480))
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
