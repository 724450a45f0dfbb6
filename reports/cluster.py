"""Runs on other machines: each is a task of dask.distributed, and its folder comes back whole.

The course has to be installed over there, in the same version, and has data of its own. Only what a run gives travels.
"""

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from helpers.errors import CourseError
from helpers.files import atomic

from . import handed, runs
from .plans import Plan

Answer = tuple[str, bytes, str]  # status, the run's folder as a zip file (empty where there is none), what it said


def run(questions: list[Plan], out: Path, scheduler: str | None, file: Path | None) -> Iterator[tuple[Plan, str, str]]:
    """Each question, as it is answered, its status and what the run said; its folder is below `out` then.

    The scheduler has an address (tcp://host:port), or is told by the file that `dask scheduler --scheduler-file` wrote.
    A run whose worker dies is asked again of another one, by dask. Raises CourseError where nobody answers.
    """
    try:
        from dask.distributed import Client, as_completed
    except ImportError:
        raise CourseError("--scheduler needs dask.distributed: pip install -e '.[scale]'") from None
    try:
        client = Client(scheduler, scheduler_file=file and str(file), timeout="10s", set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(f"no scheduler at {scheduler or file} ({error}). Begin one: dask scheduler") from None
    with client, client.as_current():
        if not client.scheduler_info()["workers"]:
            raise CourseError(f"the scheduler at {scheduler or file} has no workers. Begin some: dask worker ADDRESS")
        asked = {
            client.submit(
                answered, one.notebook.stem, one.notebook.read_bytes(), one.values, one.profile, pure=False
            ): one
            for one in questions
        }
        for future in as_completed(asked):
            plan = asked[future]
            if future.status != "finished":
                yield plan, "failed", f"not answered: {future.exception()!r}"
                continue
            status, packed, said = future.result()
            if packed:
                _unpacked(packed, plan.folder(out))
            yield plan, status, said
            future.release()


def answered(name: str, notebook: bytes, values: dict, profile: str | None) -> Answer:
    """On a worker: the question as a process of its own, which ends with the worker."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (book := here / f"{name}.ipynb").write_bytes(notebook)
        (here / "values.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "reports.cli", "run", _known(name, notebook) or str(book)]
        command += ["-f", str(here / "values.yaml"), "--out", str(here / "out")]
        env = os.environ | {"COURSE_PARENT": str(os.getpid())}
        command += ["--profile", profile] if profile else []
        done = subprocess.run(command, capture_output=True, text=True, env=env, start_new_session=True)
        said = done.stderr.replace("\r", "\n").strip().splitlines()
        made = next((path for path in (here / "out").glob("*/[!.]*") if path.is_dir()), None)
        if made is None:
            return (
                "failed",
                b"",
                "\n".join(line for line in said if line.startswith(("course:", "   "))) or str(said[-3:]),
            )
        handed.packed(made, here / "run.zip")
        return str(runs.results(made).get("status")), (here / "run.zip").read_bytes(), ""


def _known(name: str, notebook: bytes) -> str:
    """The notebook's name where the course over there has just this one; a profile is only for those."""
    path = runs.REPO / "notebooks" / f"{name}.ipynb"
    return name if path.is_file() and path.read_bytes() == notebook else ""


def _unpacked(packed: bytes, folder: Path) -> None:
    """The folder of a run that came back; a finished one that is there stays."""
    if runs.results(folder).get("status") != "finished":
        with atomic(folder) as draft, zipfile.ZipFile(io.BytesIO(packed)) as found:
            for file in found.infolist():  # below the name of the run
                file.filename = file.filename.partition("/")[2]
                found.extract(file, draft)
