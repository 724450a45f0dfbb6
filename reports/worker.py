"""What a worker of a dask cluster does with a question: it runs as a process over there, and its folder goes back.

The course has to be installed there, in the same version, and has data of its own. Only what a run gives travels.
"""

import platform
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import yaml

from . import asked, handed, runs
from .litter import passing

Answer = tuple[
    str, bytes, str
]  # status, the run's folder as a zip file (empty where there is none), why it has no good end


def answered(name: str, notebook: bytes, values: dict, profile: str | None, run_id: str, topic: str) -> Answer:
    """The question of a client, who listens to the topic; refused where it has another id over here.

    The run ends with the worker, to be made by another one, and when the client is gone or wants it no longer.
    """
    from dask.distributed import get_worker

    here, key = get_worker(), f"{topic}-{run_id}"
    where = f"{here.name} on {platform.node()}"
    here.log_event(topic, {"key": key, "where": where})
    with passing(Path(tempfile.gettempdir())) as own:
        (book := own / f"{name}.ipynb").write_bytes(notebook)
        (file := own / "values.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        question = _known(name, notebook) or str(book), file, profile, own / "out"
        with asked.started(*question, "--id", run_id, COURSE_WORKER=str(here.name)) as process:
            threading.Thread(target=_end_unwanted, args=(process, here, key), daemon=True).start()
            said = asked.followed(process, lambda *cell: here.log_event(topic, {"key": key, "cell": cell}))
        _, why = asked.ended(said, process.returncode)
        made = next((path for path in (own / "out").glob("*/[!.]*") if path.is_dir()), None)
        if made is None:
            return "failed", b"", f"on {where}: {why}"
        handed.packed(made, own / "run.zip")
        return str(runs.results(made).get("status")), (own / "run.zip").read_bytes(), why


def _known(name: str, notebook: bytes) -> str:
    """The notebook's name where the course over here has just this one; a profile is only for those."""
    path = runs.REPO / "notebooks" / f"{name}.ipynb"
    return name if path.is_file() and path.read_bytes() == notebook else ""


def _end_unwanted(process: subprocess.Popen, here, key: str) -> None:
    """Interrupt the process when nobody waits for the answer, or the worker closes: dask cannot end a thread."""
    while process.poll() is None:
        task = here.state.tasks.get(key)
        closes = here.status.name in ("closing", "closing_gracefully", "closed")  # as a queue asks whose time is over
        if task is None or task.state == "cancelled" or closes:
            process.send_signal(signal.SIGINT)
            return
        time.sleep(1)
