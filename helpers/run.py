"""The inside of a report: checked parameters, seed, device, provenance, and the one door for all that a run produces.

In a report run the environment names a folder (COURSE_RUN_DIR) and results land there as files and in the page; in
plain JupyterLab the same calls just show.
"""

import base64
import html
import io
import json
import math
import os
import platform
import random
import re
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, Markdown, display

from . import parameters
from . import pictures as data
from .errors import CourseError
from .pictures.photos import Photos

PACKAGES = ("torch", "torchvision", "captum", "zennit", "numpy", "pandas", "scikit-image", "scipy", "papermill")
DEVICES = ("auto", "cpu", "cuda", "mps")


def start(namespace: dict, notebook: str | Path | None = None) -> "Run":
    """Check this notebook's parameters, seed everything, pick the device, show provenance; the run to report to.

    `namespace` is `globals()`. The notebook's file is found by itself under JupyterLab and in report runs; elsewhere
    give its path. Raises CourseError for a parameter that is wrong.
    """
    path = Path(notebook or _notebook(namespace))
    known = parameters.read(path)
    values = parameters.check(path.stem, known, {p.name: namespace[p.name] for p in known if p.name in namespace})
    namespace.update(values)
    run = Run(path.stem, values, os.environ.get("COURSE_RUN_DIR"))
    run.show_provenance()
    return run


class Run:
    """What one run of a notebook produces. Every method shows its argument and, in a report run, keeps it."""

    def __init__(self, notebook: str, values: dict, folder: str | None = None):
        self.folder = Path(folder) if folder else None
        self.seed = int(values.get("seed", 0))
        self.device = _device(values.get("device", "auto"))
        self.results = {
            "notebook": notebook,
            "parameters": values,
            "answer": "",
            "metrics": {},
            "claims": [],
            "tables": [],
            "figures": [],
            "skipped": [],
            "notes": [],
            "provenance": {
                "seed": self.seed,
                "device": str(self.device),
                "python": platform.python_version(),
                "platform": f"{platform.system()} {platform.machine()}",
                "threads": torch.get_num_threads(),
                "versions": {p: version(p) for p in PACKAGES},
                "data": {},
                "weights": {},
            },
        }
        random.seed(self.seed)
        np.random.seed(self.seed % 2**32)
        torch.manual_seed(self.seed)
        self._write()

    def show_provenance(self) -> None:
        said = self.results["provenance"]
        versions = ", ".join(f"{p} {v}" for p, v in said["versions"].items() if p in ("torch", "captum", "zennit"))
        text = f"seed {self.seed} · device {self.device} · Python {said['python']} · {versions}"
        display(HTML(f"<small>{html.escape(text)}</small>"))

    def data(self, photos: Photos, name: str | None = None) -> Photos:
        """Note which data this run reads, and what was left out of it; shows a line when something was."""
        self.results["provenance"]["data"][name or photos.root.name] = data.manifest(photos.root)
        self.results["skipped"] += [{"file": file, "reason": reason} for file, reason in photos.skipped]
        if photos.skipped:
            self.note(
                f"{len(photos.skipped)} file(s) left out of {photos.root.name}; the list is at the end of the page"
            )
        for text in photos.notes:
            self.note(text)
        self._write()
        return photos

    def weights(self, name: str, source: str) -> None:
        """Note where a model's weights came from."""
        self.results["provenance"]["weights"][name] = source
        self._write()

    def note(self, text: str) -> None:
        """Something the reader of the page should know."""
        self.results["notes"].append(text)
        display(Markdown(f"> {text}"))
        self._write()

    def answer(self, text: str) -> None:
        """The one line that stands on top of the page."""
        self.results["answer"] = text
        display(Markdown(f"**{text}**"))
        self._write()

    def metric(self, name: str, value: float) -> float:
        """A number by name, for the index and for comparisons between runs. Raises ValueError on a name used before."""
        if name in self.results["metrics"]:
            raise ValueError(f"metric {name} is there already; each name is used once in a run")
        self.results["metrics"][name] = _plain(value)
        self._write()
        return value

    def claim(self, claim: str, *, paper=None, seen=None, holds: bool | None, why: str = "") -> None:
        """What the paper claims and what this run shows. `holds=None` says that this run cannot judge it."""
        row = dict(claim=claim, paper=paper, seen=seen, holds=None if holds is None else bool(holds), why=why)
        self.results["claims"].append({key: _plain(value) for key, value in row.items()})
        self._write()

    def claims(self) -> None:
        """Show every claim so far as a table."""
        words = {True: "✓ holds", False: "✗ does not hold", None: "– not judged"}
        rows = [c | {"holds": words[c["holds"]]} for c in self.results["claims"]]
        display(_html(pd.DataFrame(rows, columns=["claim", "paper", "seen", "holds", "why"]).fillna("")))

    def table(self, table: pd.DataFrame, name: str, caption: str = "", shown: pd.DataFrame | None = None) -> None:
        """A table: shown (all, or the part `shown`), and kept whole as tables/<name>.csv at full precision."""
        self._new("tables", name, f"tables/{_file(name)}.csv", caption=caption)
        if self.folder:
            self._path(f"tables/{_file(name)}.csv").write_text(table.to_csv(index=not _is_range(table.index)))
        display(_html((table if shown is None else shown).round(4), caption))

    def figure(self, figure, name: str, *, alt: str, caption: str = "", dpi: int = 110) -> None:
        """A matplotlib figure: shown with its description `alt`, and kept as figures/<name>.png."""
        if not alt.strip():
            raise ValueError(f"figure {name}: alt is empty; say in a sentence what the picture shows")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
        sys.modules["matplotlib.pyplot"].close(figure)
        self._new("figures", name, f"figures/{_file(name)}.png", alt=alt, caption=caption)
        if self.folder:
            self._path(f"figures/{_file(name)}.png").write_bytes(buffer.getvalue())
        picture = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": alt}
        display(picture, metadata={"image/png": {"alt": alt, "caption": caption}}, raw=True)

    def _new(self, kind: str, name: str, file: str, **more) -> None:
        if any(_file(entry["name"]) == _file(name) for entry in self.results[kind]):
            raise ValueError(f"{kind}: {name} is there already; each name is used once in a run")
        self.results[kind].append({"name": name, "file": file} | more)
        self._write()

    def _path(self, file: str) -> Path:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write(self) -> None:
        """Keep results.json whole at every moment: a run that fails later still has what it found."""
        if self.folder is None:
            return
        self.results["provenance"]["peak_mb"] = _peak_mb(self.device)
        path = self._path("results.json")
        path.with_suffix(".new").write_text(json.dumps(_plain(self.results), indent=1, ensure_ascii=False))
        path.with_suffix(".new").replace(path)


def _notebook(namespace: dict) -> str:
    """The file of the notebook that calls: told by the report generator, the Jupyter server or VS Code."""
    session = os.environ.get("JPY_SESSION_NAME", "")
    for name in (os.environ.get("COURSE_NOTEBOOK"), session, namespace.get("__vsc_ipynb_file__")):
        if name and Path(name).is_file():
            return name
        if name and Path(name).with_name(Path(name).name).suffix == ".ipynb" and Path(Path(name).name).is_file():
            return Path(name).name  # the server's path is relative to its root, the kernel runs beside the notebook
    alone = [path for path in Path().glob("*.ipynb") if _fits(path, namespace)]
    if len(alone) == 1:  # executed by nbconvert, say
        return str(alone[0])
    raise CourseError("start: cannot tell which notebook this is; give its path: start(globals(), '01_focus.ipynb')")


def _fits(path: Path, namespace: dict) -> bool:
    """Whether the namespace holds just this notebook's parameters."""
    known = {p.name for p in parameters.read(path)}
    return bool(known) and known | {"bounds"} <= set(namespace) and set(namespace.get("bounds", ())) <= known


def _device(name: str) -> torch.device:
    if name not in DEVICES:
        raise CourseError(f"device is {name!r}; expected one of {', '.join(DEVICES)}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if not there[name]:
        raise CourseError(f"device is {name!r}, which this machine lacks; use device=auto or device=cpu")
    return torch.device(name)


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
    return re.sub(r"[^\w.-]+", "_", name)


def _is_range(index: pd.Index) -> bool:
    return isinstance(index, pd.RangeIndex) and index.name is None


def _html(table: pd.DataFrame, caption: str = "") -> HTML:
    text = table.to_html(index=not _is_range(table.index), na_rep="–", border=0)
    return HTML(text.replace(">", f"><caption>{html.escape(caption)}</caption>", 1) if caption else text)


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
