"""The desk of a run: checked parameters, seed, device, provenance, and the one door for all that it produces.

In a report run results land in a folder (COURSE_RUN_DIR) and in the page; in JupyterLab the same calls just show.
"""

import base64
import html
import io
import json
import math
import os
import random
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, Markdown, display
from tqdm import tqdm

from . import check, lettering, parameters, pictures, provenance
from .files import atomic
from .pictures.photos import Photos
from .shards import Spread
from .stats import Estimate, Verdict

WORDS = {"holds": "✓ holds", "does not hold": "✗ does not hold", "cannot tell": "○ cannot tell"}


def start(namespace: dict, notebook: str | Path | None = None) -> "Run":
    """Check this notebook's parameters, seed everything, pick the device, show provenance; the run to report to.

    `namespace` is `globals()`. The notebook's file is found by itself under JupyterLab and in report runs; elsewhere
    give its path. Raises CourseError for a parameter that is wrong.
    """
    known = parameters.read(path := Path(notebook or provenance.notebook(namespace)))
    values = parameters.check(path.stem, known, {p.name: namespace[p.name] for p in known if p.name in namespace})
    namespace.update(values)
    run = Run(path.stem, values, os.environ.get("COURSE_RUN_DIR"))
    said = run.results["provenance"]
    versions = ", ".join(f"{p} {said['versions'][p]}" for p in ("torch", "captum", "zennit"))
    text = f"seed {run.seed} · device {run.device} · Python {said['python']} · {versions}"
    text += "" if run.folder else f" · shown, not kept: `course run {path.stem}` keeps results (or COURSE_RUN_DIR=DIR)"
    display(HTML(f"<small>{html.escape(text)}</small>"))
    return run


class Run:
    """What one run of a notebook produces. Every method shows its argument and, in a report run, keeps it."""

    def __init__(self, notebook: str, values: dict, folder: str | None = None):
        self.folder = Path(folder) if folder else None
        self.seed = int(values.get("seed", 0))
        self.device = provenance.device(values.get("device", "auto"))
        self.results: dict[str, Any] = {
            "notebook": notebook,
            "parameters": values,
            "answer": "",
            "metrics": {},
            "estimates": {},
            **{kind: [] for kind in ("claims", "tables", "figures", "skipped", "notes")},
            "provenance": provenance.record(self.seed, self.device),
        }
        self._drawn: list[bool] = []
        self.spread = Spread(self.results)  # work done row by row, by `workers`
        random.seed(self.seed)
        np.random.seed(self.seed % 2**32)
        torch.manual_seed(self.seed)
        self._write()

    def data(self, photos: Photos, name: str | None = None) -> Photos:
        """Note which data this run reads, and what was left out of it; shows a line when something was."""
        self.results["provenance"]["data"][name or photos.root.name] = pictures.manifest(photos.root)
        self.results["skipped"] += [{"file": file, "reason": reason} for file, reason in photos.skipped]
        out = f"{len(photos.skipped)} file(s) left out of {photos.root.name}; the list is at the end of the page"
        words = "".join([*photos.classes, *photos.table["image"]])
        for text in [out] * bool(photos.skipped) + [*photos.notes, *lettering.fonts(words)]:
            self.note(text)
        self._drawn.append(provenance.drawn(photos.root))
        self._write()
        return photos

    def weights(self, name: str, source: str) -> None:
        """Note where a model's weights came from; where there was a choice, or code was run for them, in a note."""
        self.results["provenance"]["weights"][name] = source
        chosen = re.search(r"averaged|imported", source) and source not in str(self.results["notes"])
        self.note(f"Weights of {name}: {source}") if chosen else self._write()

    def note(self, text: str) -> None:
        """Something the reader of the page should know."""
        self.results["notes"].append(text)
        display(Markdown(f"> {lettering.literal(text)}"))
        self._write()

    def answer(self, text: str) -> None:
        """The one line that stands on top of the page."""
        self.results["answer"] = text
        display(Markdown(f"**{lettering.literal(text)}**"))
        self._write()

    def say(self, text: str, when: bool = True) -> None:
        """Prose that is true of some runs only, shown `when` this is one: of the drawn pictures, of loaded weights."""
        if when:
            display(Markdown(text))

    @property
    def embedded(self) -> bool:
        """Whether every data set that this run has noted is one of ours, drawn by a script."""
        return bool(self._drawn) and all(self._drawn)

    need = staticmethod(check.need)

    def study(self, cases: Iterable[dict], fit: Callable, measure: Callable, name: str = "study") -> pd.DataFrame:
        """One tidy table of many cases: a row a case (or several), its settings beside what was measured.

        `fit(**case)` gives the network, whose source is noted; `measure(network, **case)` a dict, or a list of dicts.
        """
        rows: list[dict] = []
        for case in tqdm([*cases], desc=name, leave=False, delay=2):
            network = fit(**case)
            if source := getattr(network, "source", ""):
                self.weights(", ".join([network.name, *(f"{k}={v}" for k, v in case.items())]), source)
            found = measure(network, **case)
            rows += [case | row for row in ([found] if isinstance(found, dict) else found)]
        return pd.DataFrame(rows)

    def metric(self, name: str, value: float | Estimate, better: str | None = None) -> None:
        """A number by name, for the overview and for comparisons between runs; an estimate keeps its interval.

        `better` is "higher" or "lower" where one of them is. Raises ValueError on a name that a report has already.
        """
        if self.folder and name in self.results["metrics"]:
            raise ValueError(f"metric {name} is there already; each name is used once in a run")
        if isinstance(value, Estimate):
            self.results["estimates"][name] = value.plain() | {"better": better}
            value = value.value
        elif better:
            self.results["estimates"][name] = {"better": better}
        self.results["metrics"][name] = _plain(value)
        self._write()

    def claim(self, claim: str, *, paper: Any, seen: Verdict | None, why: str = "") -> None:
        """What the paper claims, and what this run shows. `seen=None`: not tried here; `why` then says so."""
        self._judge("paper", claim, paper, seen, why)

    def control(self, claim: str, *, seen: Verdict | None, expected: Any = "", why: str = "") -> None:
        """A check of our own, which the paper does not make."""
        self._judge("control", claim, expected, seen, why)

    def _judge(self, kind: str, claim: str, paper: Any, seen: Verdict | None, why: str) -> None:
        if seen is None and not why:
            raise ValueError(f"claim {claim!r} is not judged; say why")
        row = {"kind": kind, "claim": claim, "paper": paper, "seen": "", "verdict": "not judged", "holds": None}
        if seen is not None:
            row |= {"seen": seen.seen, "verdict": seen.word, "holds": seen.holds}
            why = f"{seen.why}. {why}".removesuffix(". ") if seen.why else why
        if not self.folder:  # in JupyterLab a cell may be run again: what it says now counts
            self.results["claims"] = [other for other in self.results["claims"] if other["claim"] != claim]
        self.results["claims"].append(_plain(row | {"why": why}))
        self._write()

    def claims(self) -> None:
        """Show every claim so far: those of the paper, then our own controls."""
        for kind, said in (("paper", "{} of {} of the paper's claims hold"), ("control", "{} of {} controls pass")):
            rows = [c for c in self.results["claims"] if c["kind"] == kind]
            held = sum(c["verdict"] == "holds" for c in rows)
            columns = ["claim", "paper" if kind == "paper" else "expected", "seen", "verdict", "why"]
            table = pd.DataFrame([c | {"expected": c["paper"]} for c in rows], columns=columns).fillna("")
            table["verdict"] = [WORDS.get(word, f"– {word}") for word in table["verdict"]]
            if rows:
                display(_html(table, said.format(held, len(rows))))

    def table(self, table: pd.DataFrame, name: str, caption: str = "", shown: pd.DataFrame | None = None) -> None:
        """A table: shown (all, or the part `shown`), and kept whole as tables/<name>.csv at full precision."""
        self._new("tables", name, f"tables/{_file(name)}.csv", caption=caption)
        plain = isinstance(table.index, pd.RangeIndex) and table.index.name is None
        self._keep(f"tables/{_file(name)}.csv", table.to_csv(index=not plain))
        display(_html((table if shown is None else shown).map(_four), caption))

    def figure(
        self, figure: Any, name: str, *, alt: str = "", caption: str = "", cover: bool = False, dpi: int = 110
    ) -> None:
        """A matplotlib figure: shown with its description `alt`, and kept as figures/<name>.png.

        `cover`: it stands beside the answer, on the first screen of the page. Figures of `helpers.figures` bring their
        own description.
        """
        alt = alt or getattr(figure, "alt", "")
        if not alt.strip():
            raise ValueError(f"figure {name}: alt is empty; say in a sentence what the picture shows")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
        sys.modules["matplotlib.pyplot"].close(figure)
        self._new("figures", name, f"figures/{_file(name)}.png", alt=alt, caption=caption, cover=cover)
        self._keep(f"figures/{_file(name)}.png", buffer.getvalue())
        picture = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": alt}
        display(picture, metadata={"image/png": {"alt": alt, "caption": caption}}, raw=True)

    def _new(self, kind: str, name: str, file: str, **more) -> None:
        others = [entry for entry in self.results[kind] if _file(entry["name"]) != _file(name)]
        if self.folder and len(others) < len(self.results[kind]):
            raise ValueError(f"{kind}: {name} is there already; each name is used once in a run")
        self.results[kind] = [*others, {"name": name, "file": file} | more]
        self._write()

    def _keep(self, file: str, content: str | bytes) -> None:
        if self.folder:
            with atomic(self.folder / file) as draft:
                draft.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)

    def _write(self) -> None:
        """Keep results.json whole at every moment: a run that fails later still has what it found."""
        self.results["provenance"]["peak_mb"] = provenance.peak_mb(self.device)
        self._keep("results.json", json.dumps(_plain(self.results), indent=1, ensure_ascii=False))


def _plain(value):
    """The same as JSON knows it: numpy scalars become numbers, NaN and infinity null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.generic, torch.Tensor)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _file(name: str) -> str:
    """A name as this system's files can have it."""
    known = sys.getfilesystemencoding()
    return re.sub(r"[^\w.-]+", "_", name.encode(known, "backslashreplace").decode(known))


def _four(value: Any) -> Any:
    """A number to four decimals, or as 1.2e-05 where those would read 0; all else as it is."""
    if not isinstance(value, float | np.floating):
        return value
    return f"{value:.1e}" if 1e-12 < abs(float(value)) < 5e-5 else round(value, 4)


def _html(table: pd.DataFrame, caption: str = "") -> HTML:
    numbered = table.index.name is None and pd.api.types.is_integer_dtype(table.index)  # rows, also with gaps
    text = table.to_html(index=not numbered, na_rep="–", border=0)
    return HTML(text.replace(">", f"><caption>{html.escape(caption)}</caption>", 1) if caption else text)
