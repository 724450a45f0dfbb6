"""What the benchmarks share: ways timed in turns, calls in processes of their own, and one table of all that was found.

Medians count, with the quartiles beside them. A ratio is theirs / ours, the larger the better for ours, and an aim the
least of it that is wanted. `keep` writes a benchmark's rows to benchmarks/results.json, in the place of what it found
before, with the machine: on a busy one the numbers say little.

python benchmarks/turns.py    prints the table of what was kept, as Markdown, and puts it into README.md
"""

import argparse
import json
import math
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable, Container
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from helpers.files import write_text

RESULTS, README = Path(__file__).with_name("results.json"), Path(__file__).parents[1] / "README.md"
TABLE = re.compile("(<!-- benchmarks -->\n\n).*?(\n\n<!-- end -->)", re.S)  # where README has it
CORES, LOAD = os.cpu_count() or 1, os.getloadavg()[0]  # before it began
Turns = dict[str, list[float]]  # seconds of every turn, by way


class Row(NamedTuple):
    """A comparison: lists of what every turn took of something of which less is better."""

    what: str  # e.g. "Focus of a mosaic, ResNet-18, 448 px"
    ours: list[float]
    beside: str  # e.g. "quantus + captum", "limit: the bare forward", "limit set: 5 s"
    theirs: list[float]
    unit: str  # e.g. "ms an image"
    aim: float | None = None  # at least so many times, theirs / ours

    @property
    def ratio(self) -> float:
        ours = statistics.median(self.ours)
        return statistics.median(self.theirs) / ours if ours > 0 else math.inf

    @property
    def judged(self) -> str:
        """The ratio, and in words where it misses its aim."""
        return f"{self.ratio:.3g}" + ", missed" * (self.aim is not None and self.ratio < self.aim)


class Alone(NamedTuple):
    """What a call in a fresh process gave."""

    found: Any
    seconds: float
    start: float  # MB that the process held before
    peak: float  # MB that it held at most


def asked(said: str | None, **sizes: tuple[int, int]) -> argparse.Namespace:
    """The command line: --full, and an option for each size, of which a small and a large value are given."""
    parser = argparse.ArgumentParser(description=said, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the large sizes, instead of under two minutes")
    for name, (small, large) in sizes.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=f"by default {small}, with --full {large}")
    given = parser.parse_args()
    for name, pair in sizes.items():
        setattr(given, name, pair[given.full] if getattr(given, name) is None else getattr(given, name))
    return given


def seconds_of(function: Callable, *arguments: Any, **named: Any) -> tuple[float, Any]:
    """Seconds of a call, and what it gives."""
    start = time.perf_counter()
    found = function(*arguments, **named)
    return time.perf_counter() - start, found


def timed(ways: dict[str, Callable[[], Any]], rounds: int, desc: str = "", own: Container[str] = ()) -> Turns:
    """Every way in turn, there and back. Those that are `own` tell their seconds themselves."""
    seconds: Turns = {name: [] for name in ways}
    for name in tqdm([*ways, *reversed(ways)] * rounds, desc=desc, leave=False):
        wall, found = seconds_of(ways[name])
        seconds[name].append(found if name in own else wall)
    return seconds


def best(seconds: Turns, start: str) -> list[float]:
    """The turns of the way with the smallest median, of those whose names start so."""
    return min((turns for name, turns in seconds.items() if name.startswith(start)), key=statistics.median)


def each(turns: list[float], n: int, unit: int = 1000) -> list[float]:
    """Seconds of n pictures as milliseconds of one."""
    return [unit * s / n for s in turns]


def show(seconds: Turns, n: int) -> None:
    """All ways, those that no row will show among them."""
    for name, turns in seconds.items():
        ms = statistics.median(each(turns, n))
        print(f"  {name:32} {1000 / ms:8.2f} pictures/s {ms:8.1f} ms")


def megabytes(field: str) -> float:
    """VmRSS, held now, or VmHWM, the most so far, of this process; `getrusage` counts what started it, too. Linux."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(lines[field].split()[0]) / 2**10


def alone(function: Callable, *arguments: Any) -> Alone:
    """A call in a fresh process, so that its peak of memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_alone, function, arguments).result()


def _alone(function: Callable, arguments: tuple) -> Alone:
    start = megabytes("VmRSS")
    seconds, found = seconds_of(function, *arguments)
    return Alone(found, seconds, start, megabytes("VmHWM"))


def machine() -> str:
    import torch  # here, since the memory of processes that benchmarks/cli.py starts begins with that of their parent

    busy = ": busy, so the numbers say little" if LOAD > CORES else ""
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads of {CORES} cores, load {LOAD:.1f}{busy}"


def keep(name: str, rows: list[Row], full: bool = False, file: Path = RESULTS) -> None:
    """Print the rows of a benchmark, and write them in the place of what it found before."""
    import torch

    print(f"\n{machine()}")
    said = ""
    for row in rows:
        if (ours := f"{row.what}: {_spread(row.ours)} {row.unit}") != said:
            print(said := ours)
        aim = "" if row.aim is None else f" (aim: at least {row.aim:.3g})"
        print(f"  beside {row.beside}: {_spread(row.theirs)}; theirs / ours {row.judged}{aim}")
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    on = {"torch": torch.__version__, "threads": torch.get_num_threads(), "cores": CORES, "load": round(LOAD, 2)}
    on |= {"full": full, "date": date.today().isoformat()}
    results[name] = {"on": on, "rows": [_rounded(row)._asdict() for row in rows]}
    write_text(file, json.dumps(dict(sorted(results.items())), indent=1, ensure_ascii=False) + "\n")


def table(results: dict[str, dict]) -> str:
    """All rows of all benchmarks as Markdown."""
    lines = ["| what | ours | beside | theirs | theirs / ours | aim |", "|---|---|---|---|---|---|"]
    for row in (Row(**one) for part in results.values() for one in part["rows"]):
        ours, theirs = (f"{_digits(statistics.median(turns), 3)} {row.unit}" for turns in (row.ours, row.theirs))
        aim = "" if row.aim is None else f"at least {row.aim:.3g}"
        lines.append(f"| {row.what} | {ours} | {row.beside} | {theirs} | {row.judged} | {aim} |")
    return "\n".join(lines)


def _spread(turns: list[float]) -> str:
    """The median, and the quartiles in brackets."""
    middle = _digits(statistics.median(turns), 4)
    if len(turns) == 1:
        return middle
    low, _, high = statistics.quantiles(turns, n=4, method="inclusive")
    return f"{middle} [{_digits(low, 4)}, {_digits(high, 4)}]"


def _digits(value: float, digits: int) -> str:
    return f"{float(f'{value:.{digits}g}'):,.10g}"  # no exponents


def _rounded(row: Row) -> Row:
    ours, theirs = ([float(f"{v:.4g}") for v in turns] for turns in (row.ours, row.theirs))
    return row._replace(ours=ours, theirs=theirs)


if __name__ == "__main__":
    print(said := table(json.loads(RESULTS.read_text(encoding="utf-8"))))
    write_text(README, TABLE.sub(lambda found: found[1] + said + found[2], README.read_text(encoding="utf-8")))
