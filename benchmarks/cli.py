"""The command line's start beside papermill's: seconds, seconds of processor time and memory of each command.

Every command is started a few times, in turns; medians count. Aim: under 0.5 s and 100 MB each on an idle core.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from turns import Row, asked, keep

BIN = Path(sys.executable).parent
COMMANDS = [
    ("course", "--help"),
    ("course", "list"),
    ("course", "params", "01_focus"),
    ("course", "run", "01_focus", "-p", "lr=9"),  # refused: 1e-7 to 1
    ("papermill", "--help"),
]


def started(command: tuple[str, ...]) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and MB that a command took."""
    clock = time.perf_counter()
    process = subprocess.Popen([BIN / command[0], *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    kilo = 2**20 if sys.platform == "darwin" else 2**10  # what ru_maxrss counts in
    return time.perf_counter() - clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / kilo


def main() -> None:
    options = asked(__doc__, rounds=(3, 5))
    found: dict[str, list[tuple]] = {" ".join(command): [] for command in COMMANDS}
    for command in [*COMMANDS, *reversed(COMMANDS)] * options.rounds:
        found[" ".join(command)].append(started(command))
    turns = {command: [list(of) for of in zip(*taken, strict=True)] for command, taken in found.items()}
    rows = [Row(f"`{c}`", turns[c][0], "limit set: 0.5 s", [0.5], "s", 1) for c in turns if c.startswith("course")]
    most = max((c for c in turns if c.startswith("course")), key=lambda c: statistics.median(turns[c][2]))
    rows += [Row(f"Memory of `{most}`, which takes most", turns[most][2], "limit set: 100 MB", [100.0], "MB", 1)]
    (_, ours, mb), (_, theirs, their_mb) = turns["course --help"], turns["papermill --help"]
    rows += [Row("`course --help`", ours, "`papermill --help`", theirs, "s of processor time")]
    rows += [Row("Memory of `course --help`", mb, "`papermill --help`", their_mb, "MB")]
    keep("cli", rows, options.full)


if __name__ == "__main__":
    main()
