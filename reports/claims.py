"""The claims ledger: every claim over all runs here, and in how many it holds, on drawn pictures and on real ones."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import said
from .found import WORDS, Found, everything, link, newest
from .place import Place

VERDICTS = WORDS[:4]
PICTURES = ("drawn", "real", "not noted")
COLUMNS = ("notebook", "kind", "claim", "paper", "pictures", *VERDICTS, "seen last", "runs")
LISTED = 20  # runs that are linked for a claim; the CSV names all


def write(out: Path, place: Place) -> dict[str, int]:
    """The ledger of all runs below `out` as a page and a CSV; how many claims, runs and failed runs there are.

    Counted is one run for each question: the newest of those that `--force` put beside one another.
    """
    found = newest(everything(out))
    done = [run for run in found if run.finished]
    rows = ledger(done)
    failed = [(run.folder.name, link(run.folder, place.page)) for run in found if not run.finished]
    books = [
        {
            "title": _title(done, name),
            "rows": [_shown(row, place.page) for row in rows if row["notebook"] == name],
            "noted": any(run.pictures == "not noted" for run in done if run.notebook == name),
        }
        for name in dict.fromkeys(row["notebook"] for row in rows)
    ]
    shown = {"books": books, "runs": len(done), "failed": failed, "totals": totals(rows)}
    place.write("ledger.html.j2", shown, table(rows))
    return {"claims": len(rows), "runs": len(done), "failed": len(failed)}


def ledger(found: Sequence[Found]) -> list[dict[str, Any]]:
    """A row a claim, the paper's before our controls: what the newest run says of it, and every run by its verdict."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for run in found:
        for kind in ("paper", "control"):
            for claim in said.judged(run.claims, kind):
                name = (run.notebook, kind, str(claim["claim"]))
                row = rows.setdefault(name, {"notebook": run.notebook, "kind": kind, "claim": name[2], "runs": []})
                row["paper"] = claim.get("paper")  # the newest run's: they come oldest first
                row["runs"].append((run, claim))
    order = {"paper": 0, "control": 1}
    return sorted(rows.values(), key=lambda row: (row["notebook"], order[row["kind"]]))


def counts(row: dict[str, Any], pictures: str | None = None) -> dict[str, list[tuple[Found, dict]]]:
    """The runs of a claim by verdict, newest first; of one kind of pictures, or of all."""
    runs = [(run, claim) for run, claim in reversed(row["runs"]) if pictures in (None, run.pictures)]
    return {word: [one for one in runs if one[1]["verdict"] == word] for word in VERDICTS}


def totals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For drawn pictures, real ones and both: how many of the paper's claims hold in every run that could tell, ..."""
    lines = []
    for pictures in PICTURES:
        words = [_sum(counts(row, pictures)) for row in rows if row["kind"] == "paper"]
        if known := [word for word in words if word]:
            lines.append({"pictures": pictures, "of": len(known), **{w: known.count(w) for w in (*VERDICTS, "mixed")}})
    return lines


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The ledger as CSV: a line for each claim and kind of pictures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        for pictures in PICTURES:
            by_word = counts(row, pictures)
            runs = [one for found in by_word.values() for one in found]
            if runs:
                numbers = [len(by_word[word]) for word in VERDICTS]
                ids = " ".join(sorted(run.folder.name for run, _ in runs))
                first = [row["notebook"], row["kind"], row["claim"], row["paper"]]
                writer.writerow([*first, pictures, *numbers, _last(row, pictures).get("seen"), ids])
    return text.getvalue()


def _last(row: dict[str, Any], pictures: str) -> dict:
    """What the newest run on these pictures says of a claim."""
    return next((claim for run, claim in reversed(row["runs"]) if run.pictures == pictures), {})


def _sum(by_word: dict[str, list]) -> str:
    """One word for many runs: what all that could tell say; `mixed` when they do not say the same."""
    told = [word for word in ("holds", "does not hold") if by_word[word]]
    if len(told) == 2:
        return "mixed"
    return next((word for word in VERDICTS if by_word[word]), "")


def _shown(row: dict[str, Any], page: Path) -> dict[str, Any]:
    """A claim as the page has it: for each kind of pictures the counts, what was seen last, and links."""
    sides = []
    for pictures in PICTURES:
        by_word = counts(row, pictures)
        runs = [(word, run, claim) for word, found in by_word.items() for run, claim in found]
        linked = [
            {"word": word, "link": link(run.folder, page), "id": run.folder.name, "seen": claim.get("seen") or ""}
            for word, run, claim in runs[:LISTED]
        ]
        words = [(word, len(found)) for word, found in by_word.items() if found]
        sides.append(
            {"pictures": pictures, "counts": words, "runs": linked, "more": len(runs) - len(linked)}
            | {"last": _last(row, pictures).get("seen") or ""}
        )
    return {name: row[name] for name in ("kind", "claim", "paper")} | {"sides": sides}


def _title(found: Sequence[Found], notebook: str) -> str:
    return str(next(run for run in reversed(found) if run.notebook == notebook).results.get("title") or notebook)
