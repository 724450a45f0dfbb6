"""Where a run comes from: its notebook, device, versions, data, and how much memory it took."""

import json
import math
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from . import parameters
from .door import REPO
from .errors import CourseError

PACKAGES = ("torch", "torchvision", "captum", "zennit", "numpy", "pandas", "scikit-image", "scipy", "papermill")
DEVICES = ("auto", "cpu", "cuda", "mps")
DRAWN = ("scenes", "faces")  # the data sets that a script of ours draws


def record(seed: int, chosen: torch.device) -> dict[str, Any]:
    """What a run notes before it starts; data and weights are added as they are used."""
    return {
        "seed": seed,
        "device": str(chosen),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "versions": {p: version(p) for p in PACKAGES},
        "data": {},
        "weights": {},
    }


def notebook(namespace: dict) -> str:
    """The file of the notebook that calls: told by the report generator, the Jupyter server or VS Code."""
    session = os.environ.get("JPY_SESSION_NAME", "")
    for name in (os.environ.get("COURSE_NOTEBOOK"), session, namespace.get("__vsc_ipynb_file__")):
        if name and Path(name).is_file():
            return name
        if name and Path(name).with_name(Path(name).name).suffix == ".ipynb" and Path(Path(name).name).is_file():
            return Path(name).name  # the server's path is relative to its root, the kernel runs beside the notebook
    alone = [path for path in Path().glob("*.ipynb") if _fits(path, namespace)]
    ours = [path for path in (REPO / "notebooks").glob("[0-9]*.ipynb") if _fits(path, namespace)]
    if len(alone) == 1 or ours:  # executed by nbconvert, say; or by papermill, from elsewhere or beside its output
        return str(alone[0] if len(alone) == 1 else max(ours, key=lambda path: len(parameters.read(path))))
    raise CourseError("start: cannot tell which notebook this is; give its path: start(globals(), '01_focus.ipynb')")


def _fits(path: Path, namespace: dict) -> bool:
    """Whether the namespace holds this notebook's parameters."""
    known = {p.name for p in parameters.read(path)}
    return bool(known) and known <= set(namespace)


def device(name: str) -> torch.device:
    """The device of this name, or the best there is for `auto`. Raises CourseError for one that is not here."""
    if name not in DEVICES:
        raise CourseError(f"device is {name!r}; expected one of {', '.join(DEVICES)}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if not there[name]:
        raise CourseError(f"device is {name!r}, which this machine lacks; use device=auto or device=cpu")
    return torch.device(name)


def drawn(root: Path) -> bool:
    """Whether a script of ours drew this data set."""
    file = root / "dataset.json"
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("generator") in DRAWN


def peak_mb(device: torch.device) -> float:
    """The most memory that was in use so far, in MiB: the device's, or the process's."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
