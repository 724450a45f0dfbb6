"""`python -m reports TASK`: what `make` does, and the door where there is no make (setup, all, test, lab, ...).

Needs nothing but Python 3.11: it makes .venv and installs into it what is missing, then runs the rest with that.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
VENV = REPO / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# other processors' ways to compute: without AVX-512, without AVX, and PyTorch's own without either
KERNELS = ("ONEDNN_MAX_CPU_ISA=AVX2", "ONEDNN_MAX_CPU_ISA=SSE41", "ATEN_CPU_CAPABILITY=default")
STRIP = ("nbstripout", "--keep-id", "--extra-keys", "metadata.papermill cell.metadata.papermill")
LAB = ("jupyter", "lab", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
PYTEST = ("pytest", "-n", "2", "--dist", "loadfile")
INSTALLED = {  # stamp -> what pip installs for it, one after the other
    "base": (("torch", "torchvision"), ("-e", ".")),  # the pair together, from the same index: they must match
    # two oracles ask for other versions of what we have: tests/detoxai_there.py says why so
    "test": (("-e", ".[test]"), ("--no-deps", "facextool==0.1.52"), ("--no-deps", "detoxai==0.3.8")),
}


def setup(*stamps: str) -> None:
    """Make .venv and install; the stamps are younger than pyproject.toml where all of it is there.

    TORCH, from the environment or as `make TORCH="--index-url URL"`, says where pip finds torch and torchvision.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 an older one may have started this
        sys.exit("Python 3.11 or newer is needed; start this with one: python3.12 -m reports setup")
    if not PYTHON.is_file():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    for stamp in stamps:
        file = VENV / f".{stamp}"
        if not file.is_file() or file.stat().st_mtime < (REPO / "pyproject.toml").stat().st_mtime:
            for packages in INSTALLED[stamp]:
                whose = shlex.split(os.environ.get("TORCH", "")) if "torch" in packages else []
                module("pip", "install", "--quiet", *packages, *whose)
            file.touch()


def module(name: str, *arguments: str, **env: str) -> None:
    """A module of .venv as a program; ours ends with its exit code when it is not 0."""
    done = subprocess.run([PYTHON, "-m", name, *arguments], cwd=REPO, env=os.environ | elsewhere() | env)
    if done.returncode:
        sys.exit(done.returncode)


def elsewhere() -> dict[str, str]:
    """Where tools keep what they remember, for a project that is only read; nothing for any other."""
    if os.access(REPO, os.W_OK):
        return {}
    folder = Path(tempfile.gettempdir()) / "where-models-look"
    keep = ("RUFF_CACHE_DIR", "MYPY_CACHE_DIR", "HYPOTHESIS_STORAGE_DIRECTORY")
    return {name: str(folder / name.lower()) for name in keep} | {"PYTEST_ADDOPTS": "-p no:cacheprovider"}


def notebooks() -> list[str]:
    return [str(path) for path in sorted((REPO / "notebooks").glob("*.ipynb"))]


def test() -> None:
    """Everything that CI runs."""
    module("ruff", "check", ".")
    module("ruff", "format", "--check", ".")
    module("mypy", "helpers", "data_scripts", "reports")
    with tempfile.TemporaryDirectory() as copies:  # nbstripout opens for writing what it only looks at
        module(*STRIP, "--verify", *(shutil.copy(book, copies) for book in notebooks()))
    module(*PYTEST, OMP_NUM_THREADS="1")  # torch gains little from a second thread here
    oracles = [str(file) for file in (REPO / "tests").glob("test_*.py") if "mark.oracle" in file.read_text("utf-8")]
    for kernel in KERNELS:
        print(f"oracles with {kernel}", flush=True)
        name, value = kernel.split("=")
        module(*PYTEST, "-q", "-m", "oracle and not slow", *oracles, OMP_NUM_THREADS="1", **{name: value})


def lab() -> None:
    """JupyterLab, which asks nobody whether to fetch news, and fetches none."""
    module("reports.cli", "data", "prepare", "all")
    write_silence(VENV / "share/jupyter/lab/settings")
    module(*LAB, "notebooks")


def write_silence(settings: Path) -> None:
    """Overrides of JupyterLab's defaults, in its folder of settings: no question about news, and none fetched."""
    settings.mkdir(parents=True, exist_ok=True)
    silent = {"fetchNews": "false", "checkForUpdates": False}
    said = json.dumps({"@jupyterlab/apputils-extension:notification": silent})
    (settings / "overrides.json").write_text(said, encoding="utf-8")


def bench(name: str = "*", *how: str) -> None:
    """The benchmarks one by one; the last, turns.py, prints the table of all."""
    for file in sorted((REPO / "benchmarks").glob(f"{name}.py")):
        subprocess.run([PYTHON, file, *how], cwd=REPO, check=True)


def clean() -> None:
    """Everything that was made here: reports, drawn pictures and trained weights, too."""
    caches = (".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis")
    for name in (".venv", "reports/out", "data", *caches, "where_models_look.egg-info"):
        shutil.rmtree(REPO / name, ignore_errors=True)


TASKS = {  # task -> what it needs, what it does
    "setup": (["base"], lambda: None),
    "all": (["base"], lambda: module("reports.cli", "run", "all", "--profile", "quick")),
    "test": (["base", "test"], test),
    # forty draws of parameters for each notebook, for a night
    "fuzz": (
        ["base", "test"],
        lambda: module(*PYTEST[:3], "-m", "nightly or slow", "tests/test_any_parameters.py", OMP_NUM_THREADS="1"),
    ),
    # every way to end, starve or confuse a run, of which `test` tries some
    "torture": (
        ["base", "test"],
        lambda: module("pytest", "-n", "2", "-m", "nightly or torture", "tests/torture", OMP_NUM_THREADS="1"),
    ),
    "strip": (["base", "test"], lambda: module(*STRIP, *notebooks())),
    "bench": (["base", "test"], bench),
    "bench-growth": (["base", "test"], lambda: bench("growth", "--full")),
    "lab": (["base"], lab),
    "clean": ([], clean),
}


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or arguments[0] not in TASKS:
        sys.exit(f"usage: python -m reports {' | '.join(TASKS)}")
    if not (REPO / "pyproject.toml").is_file():  # installed from an archive: .venv would be made among the packages
        sys.exit("python -m reports is for the project's own folder. Here is the command: course --help")
    stamps, task = TASKS[arguments[0]]
    if stamps:
        setup(*stamps)
    task()


if __name__ == "__main__":
    main(sys.argv[1:])
