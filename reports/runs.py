"""The outside of a report: one notebook with other parameters -> one folder with a page that needs nothing else."""

import base64
import datetime
import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
import yaml
from PIL import Image

from helpers import parameters, pictures
from helpers.errors import CourseError, nearest

from . import page, settings
from .execute import execute

REPO = pictures.REPO
OUT = REPO / "reports" / "out"
PROFILES = REPO / "reports" / "profiles"


@dataclass(frozen=True)
class Plan:
    """One question: a notebook, every parameter's value, and the id that the same question always has."""

    notebook: Path
    profile: str | None
    parameters: list[parameters.Parameter]
    values: dict
    run_id: str

    def folder(self, out: Path) -> Path:
        return out / self.notebook.stem / self.run_id


def notebooks() -> list[Path]:
    """Every notebook of the course, in order."""
    return sorted((REPO / "notebooks").glob("[0-9]*.ipynb"))


def notebook(name: str) -> Path:
    """A notebook by name (`01_focus`), number (`01`) or path. Raises CourseError naming those there are."""
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name).resolve()
    names = [path.stem for path in notebooks()]
    if found := [path for path in notebooks() if name in (path.stem, path.stem.split("_")[0])]:
        return found[0]
    raise CourseError(f"no notebook `{name}`.{nearest(name, names)} There are: {', '.join(names)}")


def title(path: Path) -> str:
    """The first heading of a notebook."""
    book = nbformat.read(path, as_version=4)
    lines = [line for cell in book.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return next((line[2:].strip() for line in lines if line.startswith("# ")), path.stem)


def plan(name: str, profile: str | None = None, file: Path | None = None, given: dict | None = None) -> Plan:
    """Check everything that can be checked before a kernel starts; raises CourseError with what is wrong."""
    path = notebook(name)
    known = parameters.read(path)
    values = {**profile_values(profile, path.stem), **(settings.read(file) if file else {}), **(given or {})}
    values = parameters.check(path.stem, known, {k: settings.expanded(v) for k, v in values.items()})
    return Plan(path, profile, known, values, _run_id(path, known, values))


def profile_values(profile: str | None, stem: str) -> dict:
    """The parameters that a profile sets for one notebook. Raises CourseError naming the profiles there are."""
    if profile is None:
        return {}
    there = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    if profile not in there:
        raise CourseError(f"no profile `{profile}`.{nearest(profile, there)} There are: {', '.join(there)}")
    values = settings.read(PROFILES / f"{profile}.yaml")
    if values.get(stem) is None and stem not in values:
        raise CourseError(f"profile `{profile}` says nothing about {stem}; it knows: {', '.join(values)}")
    return values[stem] or {}


def run(plan: Plan, out: Path = OUT, force: bool = False) -> tuple[Path, str]:
    """Run a plan; its folder and status (`finished`, `failed`, or `there already`).

    A finished run is never repeated or replaced: `force` puts the new one beside it. The folder appears when it is
    whole; an interrupt leaves nothing behind.
    """
    folder = plan.folder(out)
    if results(folder).get("status") == "finished":
        if not force:
            return folder, "there already"
        folder = next(f for i in range(2, 10**6) if not (f := folder.with_name(f"{plan.run_id}.{i}")).exists())
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise CourseError(f"{folder.parent}: cannot be written ({error.strerror}). Choose another: --out DIR") from None
    try:
        status = _fill(plan, work, folder.name)
        work.chmod(0o755)
        if results(folder).get("status") == "finished":  # the same question, asked twice at once
            return folder, "there already"
        shutil.rmtree(folder, ignore_errors=True)  # a failed run
        work.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if not any(folder.parent.iterdir()):  # interrupted before anything was whole
            folder.parent.rmdir()
    write_index(out)
    return folder, status


def write_index(out: Path = OUT) -> Path:
    """The overview page of every run below `out`."""
    found = {folder: results(folder) for folder in out.glob("[!.]*/[!.]*") if results(folder)}
    in_time = sorted(found, key=lambda folder: found[folder]["provenance"]["started"])
    for folder in {folder.parent: folder for folder in in_time}.values():  # the newest of each notebook
        found[folder]["thumbnail"] = _thumbnail(folder)
    temporary = out / f".index-{os.getpid()}"
    temporary.write_text(page.index(list(found.values())))
    temporary.replace(out / "index.html")
    return out / "index.html"


def _thumbnail(folder: Path) -> str | None:
    """A small JPEG of the run's richest picture as a data URI; None when it drew none."""
    pictures = sorted((folder / "figures").glob("*.png"), key=lambda file: file.stat().st_size)
    if not pictures:
        return None
    image, buffer = Image.open(pictures[-1]).convert("RGB"), io.BytesIO()
    image.thumbnail((640, 480))
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def results(folder: Path) -> dict:
    """What the run in this folder found: its results.json; empty when there is no run."""
    file = folder / "results.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def reason(folder: Path) -> str:
    """Why the run in this folder failed, in a line or two."""
    error = results(folder)["error"]
    return f"{error['name']}: {error['message']}"


def _fill(plan: Plan, work: Path, run_id: str) -> str:
    """Execute into the work folder and write everything a run's folder holds; `finished` or `failed`."""
    started, clock = datetime.datetime.now().astimezone(), time.perf_counter()
    (work / "params.yaml").write_text(yaml.safe_dump(plan.values, sort_keys=False, allow_unicode=True))
    error = execute(plan.notebook, plan.values, work)
    book = nbformat.read(work / "executed.ipynb", as_version=4)
    inside = results(work)
    whole = {
        "notebook": plan.notebook.stem,
        "title": title(plan.notebook),
        "run_id": run_id,
        "status": "failed" if error else "finished",
        "error": error,
        "profile": plan.profile,
        "changed": [p.name for p in plan.parameters if plan.values[p.name] != p.default],
        **{key: value for key, value in inside.items() if key != "notebook"},
    }
    whole.setdefault("parameters", plan.values)
    whole["provenance"] = whole.get("provenance", {}) | {
        "started": started.isoformat(timespec="seconds"),
        "wall_s": round(time.perf_counter() - clock, 1),
        "git_commit": _commit(),
    }
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    (work / "results.json").write_text(text)
    downloads = {"results.json": text.encode(), "params.yaml": (work / "params.yaml").read_bytes()}
    downloads |= {file.name: file.read_bytes() for file in sorted((work / "tables").glob("*.csv"))}
    (work / "report.html").write_text(page.report(book, whole, _shown(plan), downloads))
    return whole["status"]


def _run_id(path: Path, known: list[parameters.Parameter], values: dict) -> str:
    """A hash of the question: code, parameters, data and weights."""
    digest = hashlib.sha256()
    book = nbformat.read(path, as_version=4)
    digest.update("\0".join(cell.source for cell in book.cells).encode())
    for file in sorted([*(REPO / "helpers").rglob("*.py"), *(REPO / "data_scripts").rglob("*.py")]):
        digest.update(file.read_bytes())
    digest.update(json.dumps(values, sort_keys=True).encode())
    for parameter in known:
        for value in values[parameter.name] if parameter.many else [values[parameter.name]]:
            if value and str(parameter.bounds).startswith("data set"):
                digest.update(pictures.manifest(value).encode())
            if parameter.bounds == "weights" and (file := Path(value).expanduser()).is_file():
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:10]


def _shown(plan: Plan) -> list[dict]:
    """The parameters as the page shows them."""
    return [
        asdict(p)
        | {"value": plan.values[p.name], "changed": plan.values[p.name] != p.default}
        | {"choices": p.expected() if p.bounds is not None else ""}
        for p in plan.parameters
    ]


def _commit() -> str | None:
    git = ["git", "-C", str(REPO)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # a copy without its history
    return commit.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
