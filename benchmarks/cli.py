"""The command line's start beside papermill's: seconds, seconds of processor time and memory of each command.

Every command is started a few times; the fastest start counts. Aim: under 0.5 s and 100 MB each on an idle core.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    fastest = {command: min(started(command) for _ in range(turns)) for command in COMMANDS}
    beside = fastest[COMMANDS[-1]][1]
    print(f"{'command':34} {'s':>6} {'cpu s':>6} {'MB':>6}   papermill's cpu s, times")
    for command, (seconds, cpu, mb) in fastest.items():
        print(f"{' '.join(command):34} {seconds:6.2f} {cpu:6.2f} {mb:6.0f}   {cpu / beside:.2f}")


if __name__ == "__main__":
    main()
