"""A question as a process of its own, `course run`, which tells the one that started it at which cell it is."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TOLD = "COURSE_CELLS"  # set in the environment of a process that is to tell
CELL = re.compile(r"cell (\d+) of (\d+)")
ANSWER = re.compile(r".*: (finished|there already): (.*)")  # what `course run` says at a good end: status and page
LAST = 3  # lines that are told of one that ended without saying why


@contextmanager
def started(notebook: str, file: Path, profile: str | None, out: Path, *more: str, **env: str) -> Iterator:
    """`course run` of a notebook with a file of values. It ends with us, however we end."""
    command = [sys.executable, "-P", "-m", "reports.cli", "run", notebook]  # -P: no helpers.py of the folder we are in
    command += ["-f", str(file), "--out", str(out), *(["--profile", profile] if profile else []), *more]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | {"COURSE_PARENT": str(os.getpid()), TOLD: "yes"} | env,
        start_new_session=True,  # Ctrl-C reaches us alone, and each of them once, from us
    ) as process:
        yield process


def followed(process: subprocess.Popen, cell: Callable[[int, int], None]) -> list[str]:
    """What it said until it ended, in lines; `cell` is told of each cell, the first is 1, and of how many."""
    said = []
    for line in process.stdout or ():
        if found := CELL.fullmatch(line.strip()):
            cell(int(found[1]), int(found[2]))
        elif line.strip():
            said.append(line.rstrip())
    process.wait()
    return said


def ended(said: list[str], code: int) -> tuple[str, str]:
    """The status of a run that said this and has this exit code, and its page, or why it has no good end."""
    answers = [found for line in said if (found := ANSWER.fullmatch(line))]
    if code == 0 and answers:
        return answers[-1][1], answers[-1][2]
    if code < 0:
        return "failed", f"its process was ended by signal {-code}" + "; most often the memory ran out" * (code == -9)
    told = [line for line in said if line.startswith(("course:", "        "))]
    return "failed", "\n".join(line.removeprefix("course:").strip() for line in told or said[-LAST:])


def tell_cell(cell: int, of: int) -> None:
    """In that process: a cell begins, the first is 0."""
    if os.environ.get(TOLD):
        with suppress(OSError):  # nobody listens any more; whoever started us is gone, and we end for that
            print(f"cell {cell + 1} of {of}", flush=True)
