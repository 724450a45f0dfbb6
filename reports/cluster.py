"""Runs on other machines: each is a task of dask.distributed, and its folder comes back whole."""

import io
import queue
import secrets
import zipfile
from pathlib import Path
from typing import Any

from helpers.files import atomic
from helpers.workers import PATIENCE, connected, installed

from . import runs, worker
from .board import Board
from .plans import Plan


def run(questions: list[Plan], out: Path, scheduler: str | None, file: Path | None, board: Board) -> None:
    """Ask all of them; what is answered is below `out`, and the board is told of all.

    The scheduler has an address (tcp://host:port), or is told by the file that `dask scheduler --scheduler-file` wrote.
    A run whose worker is lost is asked again of another one, by dask. Where the scheduler is lost, what has no answer
    by then has none. Raises CourseError where there is no scheduler at first, or not the course.
    """
    where = scheduler or str(file)
    client = connected("--scheduler", where, str(file) if file else None)
    with client, client.as_current():
        installed(client, worker.__name__)
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        left = _asked(client, questions, events)
        while left and (event := _next(client, where, events, board)):
            if isinstance(event, dict):
                _told(event, left, board)
            else:
                plan, _ = left.pop(event.key)
                board.end(plan, *_landed(event, plan.folder(out)))
    if left:
        why = f"the scheduler at {where} is lost"
        board.say(f"course: {why}. What was finished is kept. Begin another, with workers, and ask again")
        board.failed |= {plan.key: why for plan, _ in left.values()}


def _asked(client, questions: list[Plan], events: queue.SimpleQueue) -> dict[str, tuple[Plan, Any]]:
    """Each question as a task, by its key; what workers tell of it, and the task when it ends, come to `events`."""
    topic = f"course-{secrets.token_hex(8)}"  # nobody else's questions
    client.subscribe_topic(topic, lambda event: events.put(event[1]))
    asked = {}
    for one in questions:
        key, question = f"{topic}-{one.run_id}", (one.notebook.stem, one.notebook.read_bytes(), one.values, one.profile)
        future = client.submit(worker.answered, *question, one.run_id, topic, key=key, pure=False)
        asked[key] = one, future
        future.add_done_callback(events.put)
    return asked


def _next(client, where: str, events: queue.SimpleQueue, board: Board) -> Any:
    """What a worker tells, or the next task that ended; None when the scheduler is lost."""
    alone = False
    while client.status == "running":
        try:
            event = events.get(timeout=PATIENCE)
        except queue.Empty:
            if not alone and not client.scheduler_info()["workers"]:  # none yet, or none any more
                board.say(f"course: no workers at {where}; waiting for some: dask worker ADDRESS --nthreads 1")
                alone = True
            continue
        if isinstance(event, dict) or not event.cancelled():
            return event
        break
    return None


def _told(event: dict, left: dict[str, tuple[Plan, Any]], board: Board) -> None:
    """Pass on what a worker tells of a run that has not ended elsewhere meanwhile."""
    plan, _ = left.get(event["key"], (None, None))
    if plan and "cell" in event:
        board.cell(plan, *event["cell"])
    elif plan:
        board.start(plan, event["where"])


def _landed(future, folder: Path) -> tuple[str, str]:
    """Put the folder of an answer into place; the run's status, and its page, or why it has failed."""
    try:
        status, packed, why = future.result()
    except Exception as error:  # dask's: its workers died, or do not know the course
        return "failed", f"not answered ({type(error).__name__}: {error})"
    finally:
        future.release()
    if packed and runs.results(folder).get("status") != "finished":  # a finished one that is there stays
        with atomic(folder) as draft, zipfile.ZipFile(io.BytesIO(packed)) as found:
            for file in found.infolist():  # below the name of the run
                file.filename = file.filename.partition("/")[2]
                found.extract(file, draft)
    return status, str(folder / "report.html") if status == "finished" else why
