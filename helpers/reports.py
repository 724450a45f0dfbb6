"""The outside of a report: one notebook with other parameters -> one folder with a page that needs nothing else."""

import datetime
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from . import data, page, parameters
from .errors import CourseError, nearest

REPO = data.REPO
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
    values = {**profile_values(profile, path.stem), **(parameters.read_values(file) if file else {}), **(given or {})}
    values = parameters.check(path.stem, known, {k: parameters.expanded(v) for k, v in values.items()})
    return Plan(path, profile, known, values, _run_id(path, known, values))


def profile_values(profile: str | None, stem: str) -> dict:
    """The parameters that a profile sets for one notebook. Raises CourseError naming the profiles there are."""
    if profile is None:
        return {}
    there = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    if profile not in there:
        raise CourseError(f"no profile `{profile}`.{nearest(profile, there)} There are: {', '.join(there)}")
    values = parameters.read_values(PROFILES / f"{profile}.yaml")
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
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        status = _fill(plan, work, folder.name)
        work.chmod(0o755)
        if folder.exists():  # a failed run of the same question
            shutil.rmtree(folder)
        work.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_index(out)
    return folder, status


def write_index(out: Path = OUT) -> Path:
    """The overview page of every run below `out`."""
    folders = sorted(out.glob("[!.]*/[!.]*"))
    temporary = out / f".index-{os.getpid()}"
    temporary.write_text(page.index([found for folder in folders if (found := results(folder))]))
    temporary.replace(out / "index.html")
    return out / "index.html"


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
    (work / "params.yaml").write_text(parameters.yaml.safe_dump(plan.values, sort_keys=False, allow_unicode=True))
    error = _execute(plan, work)
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


class _Engine(NBClientEngine):
    """papermill's own engine, with an environment for the kernel, and Ctrl-C told apart from a kernel that died."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, env, config, **_):
        logger = logging.getLogger("papermill")
        client = PapermillNotebookClient(nb_man, kernel_name=kernel_name, timeout=None, log=logger, config=config)
        try:
            return client.execute(env=env)
        except DeadKernelError:
            if hasattr(client, "_async_cleanup_kernel_future"):  # nbclient ended it because of a signal
                raise KeyboardInterrupt from None
            raise


papermill_engines.register("course", _Engine)


def _execute(plan: Plan, work: Path) -> dict | None:
    """Run the notebook in a fresh kernel; None, or the name and message of the error that stopped it."""
    env = os.environ | {"COURSE_RUN_DIR": str(work), "COURSE_NOTEBOOK": str(plan.notebook), "MPLBACKEND": "agg"}
    log = logging.FileHandler(work / "run.log")
    logging.getLogger("papermill").addHandler(log)
    with tempfile.TemporaryDirectory(prefix="course-") as socket:
        # a socket path of the run's own: TCP ports collide when many kernels start at once
        transport = {} if sys.platform == "win32" else {"transport": "ipc", "ip": f"{socket}/k"}
        try:
            papermill.execute_notebook(
                plan.notebook,
                work / "executed.ipynb",
                plan.values,
                engine_name="course",
                kernel_name="python3",
                language="python",  # whatever the notebook says or forgot to say
                progress_bar={"leave": False, "desc": plan.notebook.stem},
                env=env,
                config=Config({"KernelManager": transport}),
            )
        except PapermillExecutionError as error:
            log.stream.write("\n".join(error.traceback) + "\n")
            return {"name": error.ename, "message": error.evalue}
        except DeadKernelError:
            log.stream.write(traceback.format_exc())
            return {"name": "DeadKernelError", "message": "the kernel died; most often the memory ran out"}
        finally:
            logging.getLogger("papermill").removeHandler(log)
            log.close()
    return None


def _run_id(path: Path, known: list[parameters.Parameter], values: dict) -> str:
    """A hash of the question: code, parameters, data and weights."""
    digest = hashlib.sha256()
    book = nbformat.read(path, as_version=4)
    digest.update("\0".join(cell.source for cell in book.cells).encode())
    for file in sorted([*(REPO / "helpers").glob("*.py"), *(REPO / "data_scripts").glob("*.py")]):
        digest.update(file.read_bytes())
    digest.update(json.dumps(values, sort_keys=True).encode())
    for parameter in known:
        for value in values[parameter.name] if parameter.type.startswith("list") else [values[parameter.name]]:
            if parameter.bounds == "dataset":
                digest.update(data.manifest(value).encode())
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
