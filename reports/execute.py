"""One notebook through papermill, in a kernel of its own."""

import logging
import os
import sys
import tempfile
import traceback
from pathlib import Path

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config


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


def execute(notebook: Path, values: dict, work: Path) -> dict | None:
    """Run a notebook in a fresh kernel into work/executed.ipynb and work/run.log.

    None when it went well, else the name and message of the error that stopped it.
    """
    env = os.environ | {"COURSE_RUN_DIR": str(work), "COURSE_NOTEBOOK": str(notebook), "MPLBACKEND": "agg"}
    log = logging.FileHandler(work / "run.log", encoding="utf-8")
    # papermill knows the last parameters cell only; ours were checked before, all of them
    log.addFilter(lambda record: "Passed unknown parameter" not in record.getMessage())
    logging.getLogger("papermill").addHandler(log)
    with tempfile.TemporaryDirectory(prefix="course-") as socket:
        # a socket path of the run's own: TCP ports collide when many kernels start at once
        transport = {} if sys.platform == "win32" else {"transport": "ipc", "ip": f"{socket}/k"}
        try:
            papermill.execute_notebook(
                notebook,
                work / "executed.ipynb",
                values,
                engine_name="course",
                kernel_name="python3",
                language="python",  # whatever the notebook says or forgot to say
                progress_bar={"leave": False, "desc": notebook.stem, "position": int(env.get("COURSE_ROW", 0))},
                env=env,
                config=Config({"KernelManager": transport}),
            )
        except PapermillExecutionError as error:
            _append(work / "run.log", "\n".join(error.traceback) + "\n")
            return {"name": error.ename, "message": error.evalue}
        except DeadKernelError:
            _append(work / "run.log", traceback.format_exc())
            return {"name": "DeadKernelError", "message": "the kernel died; most often the memory ran out"}
        finally:
            logging.getLogger("papermill").removeHandler(log)
            log.close()
    return None


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8") as log:
        log.write(text)
