"""One notebook through papermill, in a kernel of its own."""

import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import papermill
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from helpers.workers import PLACE

from .asked import TOLD, tell_cell
from .litter import passing

LONGEST = 50  # bytes of the path of temporary files: systems take 104 to 108 for a socket, whose names come after it


class ThisPython(KernelSpecManager):
    """The kernel is the Python that runs us, whatever kernels are installed; a user's helpers.py does not win."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        start = [sys.executable, "-m", "ipykernel_launcher", "--ignore-cwd", "-f", "{connection_file}"]
        return KernelSpec(argv=start, display_name=kernel_name, language="python")


class _Engine(NBClientEngine):
    """papermill's own engine, with an environment for the kernel, and Ctrl-C told apart from a kernel that died."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, env, config, output, **_):
        logger = logging.getLogger("papermill")
        client = PapermillNotebookClient(nb_man, kernel_name=kernel_name, timeout=None, log=logger, config=config)
        client.on_cell_start = lambda cell, cell_index: tell_cell(cell_index, len(nb_man.nb.cells))
        manager = client.create_kernel_manager()
        manager.kernel_spec_manager = ThisPython()
        save, nb_man.save = nb_man.save, _now_and_then(nb_man.save)
        try:
            return client.execute(env=env, stdout=output, stderr=output)
        except KeyboardInterrupt:
            logging.getLogger("asyncio").disabled = True  # it would complain of all that this breaks off
            raise
        except DeadKernelError:
            if hasattr(client, "_async_cleanup_kernel_future"):  # nbclient ended it because of a signal
                raise KeyboardInterrupt from None
            raise DeadKernelError(_death(manager)) from None
        finally:
            with suppress(OSError):  # papermill writes it once more where it can still say what is wrong
                save()


def _now_and_then(save: Callable[..., None], seconds: float = 10.0) -> Callable[..., None]:
    """papermill writes the whole notebook, all its pictures, twice a cell: minutes in all. This often is enough."""
    last = time.monotonic()

    def saved(**given) -> None:
        nonlocal last
        if time.monotonic() - last > seconds:
            save(**given)
            last = time.monotonic()

    return saved


papermill_engines.register("course", _Engine)


def execute(notebook: Path, values: dict, work: Path, shards: Path) -> dict | None:
    """Run a notebook in a fresh kernel into work/executed.ipynb and work/run.log.

    The kernel starts in the notebook's folder, with settings of nobody's home, and keeps the shards of its heavy work
    in a folder that outlives it. None when it went well, else the name and message of the error that stopped it.
    """
    env = os.environ | {"COURSE_RUN_DIR": str(work.absolute()), "COURSE_NOTEBOOK": str(notebook), "MPLBACKEND": "agg"}
    env[PLACE] = str(shards.absolute())
    env.pop(TOLD, None)  # of this notebook's cells, not those of another that it may run
    env.setdefault("COURSE_FROM", os.getcwd())  # where the user's own modules are
    with _logged(work / "run.log"), (work / "run.log").open("ab") as output, passing(_short()) as own:
        try:
            papermill.execute_notebook(
                _literal(notebook),
                _literal(work / "executed.ipynb"),
                values,
                engine_name="course",
                kernel_name="python3",
                language="python",  # whatever the notebook says or forgot to say
                cwd=notebook.parent,
                progress_bar={"leave": False, "desc": notebook.stem, "disable": None},  # None: without a terminal
                env=env | _settings(own),
                output=output,  # what its processes say outside of cells
                config=Config({"KernelManager": {"connection_file": f"{own}/kernel.json"} | _transport(own)}),
            )
        except PapermillExecutionError as error:
            _append(work / "run.log", "\n".join(error.traceback) + "\n")
            return {"name": error.ename, "message": error.evalue}
        except DeadKernelError as error:
            _append(work / "run.log", traceback.format_exc())
            return {"name": "DeadKernelError", "message": str(error)}
        except RuntimeError as error:  # jupyter_client's, before the first cell
            _append(work / "run.log", traceback.format_exc())
            return {"name": "DeadKernelError", "message": f"the kernel did not start ({error})"}
    return None


def _death(manager) -> str:
    """How the kernel ended that was not asked to."""
    process = getattr(manager.provisioner, "process", None)
    code = process.poll() if process else None
    if code is None or code == -9:  # systems kill what takes the last of the memory
        return "the kernel was killed; most often the memory ran out"
    return f"the kernel ended by {f'signal {-code}' if code < 0 else f'itself, with exit code {code}'}"


def _settings(own: Path) -> dict[str, str]:
    """Where the kernel's libraries keep their settings: nothing that somebody's IPython starts with plays a part."""
    home = os.path.expanduser("~")
    return {"IPYTHONDIR": f"{own}/ipython"} | (
        {} if os.access(home, os.W_OK) else {"MPLCONFIGDIR": f"{own}/matplotlib"}
    )


def _short() -> Path:
    """Where temporary files go; /tmp where sockets there would have too long a path."""
    usual = tempfile.gettempdir()
    return Path("/tmp" if len(os.fsencode(usual)) > LONGEST and os.access("/tmp", os.W_OK) else usual)


def _transport(folder: Path) -> dict[str, str]:
    """Sockets of the run's own in the folder: TCP ports collide when many kernels start at once.

    TCP where there are no such sockets.
    """
    return {} if sys.platform == "win32" else {"transport": "ipc", "ip": f"{folder}/k"}


def _literal(path: Path) -> str:
    """A path for papermill, which fills parameters into braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


@contextmanager
def _logged(file: Path) -> Iterator[None]:
    """What papermill says goes into the file."""
    log = logging.FileHandler(file, encoding="utf-8")
    # papermill knows the last parameters cell only; ours were checked before, all of them
    log.addFilter(lambda record: "Passed unknown parameter" not in record.getMessage())
    logging.getLogger("papermill").addHandler(log)
    try:
        yield
    finally:
        logging.getLogger("papermill").removeHandler(log)
        log.close()


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8") as log:
        log.write(text)
