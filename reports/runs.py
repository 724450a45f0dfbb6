"""The outside of a report: one notebook with other parameters -> one folder with a page that needs nothing else."""

import datetime
import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import nbformat
import yaml

from helpers import door
from helpers.errors import CourseError
from helpers.files import locked, owned, remove, room, writable, write_text

from . import page, times
from .execute import execute
from .kept import cover, finished, reason, results
from .overview import write_index
from .plans import OUT, PROFILES, REPO, Plan, hashes, notebook, notebooks, plan, profile_values, title

__all__ = ["OUT", "PROFILES", "REPO", "Plan", "notebook", "notebooks", "plan", "profile_values", "title"]
__all__ += ["reason", "results", "run", "write_index"]


def run(plan: Plan, out: Path = OUT, force: bool = False) -> tuple[Path, str]:
    """Run a plan; its folder and status (`finished`, `failed`, or `there already`).

    A finished run is never repeated or replaced: `force` puts the new one beside it. Who asks the same at the same time
    waits, and takes that answer. The folder appears when it is whole; an interrupt leaves nothing behind. Where the
    notebook ran and what follows fails (a full disk, a template), the folder holds what the notebook made, until the
    same question is asked again; CourseError says so.
    """
    folder = plan.folder(out)
    before = finished(folder)
    if before and not force:
        return before[-1], "there already"
    with _alone(folder):
        if meanwhile := [one for one in finished(folder) if one not in before]:
            return meanwhile[-1], "there already"
        if before:
            folder = next(f for i in range(2, 10**6) if not (f := folder.with_name(f"{plan.run_id}.{i}")).exists())
        status = _made(plan, folder, out)
    try:
        write_index(out)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise CourseError(f"{out / 'index.html'}: not written ({why}). The run is whole: {folder}") from error
    return folder, status


def _alone(folder: Path) -> AbstractContextManager[None]:
    """Nobody else runs this question for this folder; where nothing can be noted, that is not known."""
    locks = door.data_root() / "locks"
    key = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
    return locked(locks / key) if writable(locks) else nullcontext()


def _made(plan: Plan, folder: Path, out: Path) -> str:
    """Run the plan and put its folder into place; the status of the run."""
    try:
        work = folder.with_name(owned(f".{folder.name}"))
        work.mkdir(parents=True)
    except OSError as error:
        raise CourseError(f"{folder.parent}: cannot be written ({error.strerror}). Choose another: --out DIR") from None
    try:
        try:
            status = _fill(plan, work, folder.name)
        except Exception as error:
            if not (work / "results.json").is_file():  # the notebook has not begun
                with room(work):
                    raise
            kept = _placed(work, folder) or folder
            raise CourseError(
                f"{kept}: not finished ({type(error).__name__}: {error}). What the notebook made is kept there; "
                f"{shutil.disk_usage(out).free / 2**20:,.0f} MiB are free. Mend that, and ask again"
            ) from error
        return status if _placed(work, folder) else "there already"
    finally:
        remove(work)
        if not any(folder.parent.iterdir()):  # interrupted before anything was whole
            folder.parent.rmdir()


def _placed(work: Path, folder: Path) -> Path | None:
    """The run's folder with what is in the work folder; None where the same question was answered meanwhile."""
    if results(folder).get("status") == "finished":  # asked twice at once
        return None
    shutil.rmtree(folder, ignore_errors=True)  # a failed run
    return work.replace(folder)


def _fill(plan: Plan, work: Path, run_id: str) -> str:
    """Execute into the work folder and write everything a run's folder holds; `finished` or `failed`."""
    started, clock = datetime.datetime.now().astimezone(), time.perf_counter()
    asked = yaml.safe_dump(plan.values, sort_keys=False, allow_unicode=True)
    (work / "params.yaml").write_text(asked, encoding="utf-8")
    error = execute(plan.notebook, plan.values, work, shards := plan.shards)
    ran = work / "executed.ipynb"
    book = nbformat.read(ran if ran.is_file() else plan.notebook, as_version=4)
    inside = results(work)
    whole = {
        "notebook": plan.notebook.stem,
        "title": title(plan.notebook),
        "run_id": run_id,
        "status": "failed" if error else "finished",
        "error": error,
        "profile": plan.profile,
        "changed": plan.changed,
        **{key: value for key, value in inside.items() if key != "notebook"},
    }
    whole.setdefault("parameters", plan.values)
    whole["provenance"] = whole.get("provenance", {}) | {
        "started": started.isoformat(timespec="seconds"),
        "wall_s": round(time.perf_counter() - clock, 1),
        "git_commit": _commit(),
        **({"worker": name, "host": platform.node()} if (name := os.environ.get("COURSE_WORKER")) else {}),
        "code": hashes(plan.notebook),
        "sections": times.sections(timed := times.cells(book)),
        "cells": timed,
    }
    text, incomplete = (
        json.dumps(one, indent=1, ensure_ascii=False) for one in (whole, whole | {"status": "incomplete"})
    )
    write_text(work / "results.json", incomplete)  # what is true if its page cannot be written
    downloads = {"results.json": text.encode(), "params.yaml": asked.encode()}
    downloads |= {file.name: file.read_bytes() for file in sorted((work / "tables").glob("*.csv"))}
    html = page.report(book, whole, _shown(plan), downloads, cover=cover(work, whole))
    (work / "report.html").write_text(html, encoding="utf-8")
    write_text(work / "results.json", text)
    if not error:  # a failed run, asked again, goes on with them
        remove(shards)
    return whole["status"]


def _shown(plan: Plan) -> list[dict]:
    """The parameters as the page shows them."""
    instead = plan.instead
    return [
        asdict(p)
        | {"value": plan.values[p.name], "changed": p.name in plan.changed}
        | ({"instead": instead[p.name]} if p.name in instead else {})
        | {"choices": p.expected() if p.bounds is not None else ""}
        for p in plan.parameters
    ]


def _commit() -> str | None:
    if not (REPO / ".git").exists():  # a copy without its history; the history of a folder around it is another's
        return None
    git = ["git", "-C", str(REPO)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # no git here
    return commit.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
