"""What a class needs of a machine, a line each; where something is missing, the line says what to do."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

import psutil
import requests
from packaging.requirements import Requirement

from helpers import door
from helpers.files import writable

from .litter import passing

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
GIB = 2**30
MEMORY, DISK = 2 * GIB, GIB  # what a notebook takes; what pictures, networks and reports of all of them take
LONGEST = 180  # seconds that JupyterLab and a kernel get to start: on a busy machine it takes a minute


class Found(NamedTuple):
    """One line of the list; `well` is whether a class gets through with it."""

    name: str
    said: str
    well: bool = True

    def __str__(self) -> str:
        return f"{self.name:12} {'' if self.well else 'NO: '}{self.said}"


def checks(out: Path) -> Iterator[Found]:
    """Everything, the quick looks first; `out` is where reports go."""
    yield _python()
    yield _packages()
    yield _torch()
    yield _device()
    yield _memory()
    yield _disk()
    yield _folders(out)
    yield from _ready(out)
    yield _kernel()
    yield _lab()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    yield Found("chromium", browser or "not found, which is no matter (`course export --to pdf` asks for it)")
    real = os.environ.get("COURSE_REAL_DATA")
    there = f"{real} ({'found' if Path(real).is_dir() else 'NOT FOUND'})" if real else "COURSE_REAL_DATA unset"
    yield Found("real data", there)


def _python() -> Found:
    said = f"{platform.python_version()} at {sys.executable}"
    return (
        Found("Python", said) if sys.version_info >= (3, 11) else Found("Python", f"{said}; get 3.11 or newer", False)
    )


def _packages() -> Found:
    wanted = [Requirement(text) for text in requires("where-models-look") or ()]
    wanted = [one for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]
    wrong = []
    for one in wanted:
        try:
            if not one.specifier.contains(version(one.name), prereleases=True):
                wrong.append(f"{one.name} is {version(one.name)}, expected {one.specifier}")
        except PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
    if wrong:
        way = "Install the archive again" if door.INSTALLED else f"pip install -e {door.REPO}"
        return Found("packages", f"{'; '.join(wrong)}. {way}", False)
    some = ", ".join(f"{name} {version(name)}" for name in ("captum", "zennit", "papermill", "jupyterlab"))
    return Found("packages", f"all {len(wanted)}: {some}, ...")


def _torch() -> Found:
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)  # fails when the two come from different indexes
        build = f"with CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        return Found("torch pair", f"yes: torch {torch.__version__}, torchvision {torchvision.__version__}, {build}")
    except Exception as error:
        way = "Install both from the same index: pip install --force-reinstall torch torchvision"
        return Found("torch pair", f"{error}. {way}", False)


def _device() -> Found:
    try:
        import torch
    except ImportError:
        return Found("device", "not known without torch")
    return Found("device", f"{'cuda' if torch.cuda.is_available() else 'cpu'}, {torch.get_num_threads()} threads")


def _memory() -> Found:
    memory = psutil.virtual_memory()
    said = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB are free"
    if memory.available < MEMORY:
        return Found("memory", f"{said}; a notebook takes up to {MEMORY / GIB:.0f}. Close other programs", False)
    return Found("memory", said)


def _disk() -> Found:
    root = door.data_root()
    place = next(one for one in (root, *root.absolute().parents) if one.exists())
    free = shutil.disk_usage(place).free
    said = f"{free / GIB:.1f} GiB free at {place}"
    if free < DISK:
        return Found("disk", f"{said}; a class takes about {DISK / GIB:.0f}. Make room, or COURSE_DATA=DIR", False)
    return Found("disk", said)


def _folders(out: Path) -> Found:
    folders = {"COURSE_DATA=DIR": door.data_root(), "--out DIR": out, "TMPDIR=DIR": Path(tempfile.gettempdir())}
    closed = [
        f"{folder} cannot be written: name another, {way}" for way, folder in folders.items() if not writable(folder)
    ]
    return (
        Found("folders", "; ".join(closed), False)
        if closed
        else Found("folders", ", ".join(map(str, folders.values())))
    )


def _ready(out: Path) -> Iterator[Found]:
    """What the first run makes where it is not there: nothing fails without it, but a class waits."""
    from .kept import results

    root = door.data_root()
    drawn = [name for name, script in door.scripts().items() if script.value.startswith("data_scripts.drawn.")]
    missing = [name for name in drawn if not (root / name / "index.csv").is_file()]
    way = f"{', '.join(missing)}: drawn by the first run, or now: course data prepare all"
    yield Found("pictures", way if missing else f"{', '.join(drawn)} are drawn")
    trained = len([*root.glob("models/compact_*/weights.safetensors")])
    yield Found("networks", f"{trained} are trained" if trained else "trained by the first run of each notebook")
    finished = sum(results(file.parent).get("status") == "finished" for file in out.glob("*/*/results.json"))
    way = "to have them beforehand: course run all --profile quick"
    yield Found("reports", f"{finished} at {out}" if finished else f"none yet; {way}")


def _kernel() -> Found:
    """Whether the kernel that JupyterLab starts is a Python that has the course."""
    from jupyter_client.manager import start_new_kernel

    began = time.perf_counter()
    try:
        manager, client = start_new_kernel(LONGEST, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except Exception as error:
        return Found("kernel", f"none starts ({error}). A firewall may stop it: allow Python on this machine", False)
    try:
        reply = client.execute("import helpers", silent=True, reply=True, timeout=LONGEST)["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["status"] == "error":
        way = f"{sys.executable} -m ipykernel install --sys-prefix"
        return Found("kernel", f"python3 is another Python's ({reply['evalue']}): {way}", False)
    return Found("kernel", f"answers after {time.perf_counter() - began:.0f} s")


def _lab() -> Found:
    """Start JupyterLab beside whatever runs, ask for its page, end it."""
    began = time.perf_counter()
    with passing(Path(tempfile.gettempdir())) as own, (own / "log").open("w+b") as log:
        env = os.environ | {"JUPYTER_RUNTIME_DIR": str(own), "JUPYTER_TOKEN": "looked"}
        env |= {"PYTHONUNBUFFERED": "1"}  # or what it printed first comes last
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.port=0", "--allow-root"]
        process = subprocess.Popen(command, cwd=own, env=env, stdout=log, stderr=log)
        try:
            while time.perf_counter() - began < LONGEST and process.poll() is None:
                if _answers(own):
                    return Found("JupyterLab", f"opens after {time.perf_counter() - began:.0f} s")
                time.sleep(0.2)
            ended = process.poll() is not None
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        last = log.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    if ended:
        said = f"does not open ({last or 'it says nothing'}). pip install --force-reinstall jupyterlab"
    else:
        said = f"has not opened after {LONGEST} s. Close other programs, and try again"
    return Found("JupyterLab", said, False)


def _answers(own: Path) -> bool:
    """Whether the server that noted its address in the folder gives the page."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy for this machine's own address
        for file in own.glob("jpserver-*.json"):
            try:
                url = json.loads(file.read_text(encoding="utf-8"))["url"]
                return session.get(f"{url}lab", params={"token": "looked"}, timeout=LONGEST).ok
            except (ValueError, requests.RequestException):  # it is still writing, or still starting
                return False
    return False
