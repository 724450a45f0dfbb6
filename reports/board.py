"""What is told while many runs are made: on a terminal a bar of all runs and the cell of each, else a line an event."""

import datetime
import shutil
import sys
import textwrap
import threading
import time
from typing import Any

from tqdm import tqdm

from .plans import Plan

MOST = 12  # bars of single runs
WHOLE = "{desc}: {n_fmt} of {total_fmt} |{bar}| {elapsed}{postfix}"
SINGLE = "{desc}: cell {n_fmt} of {total_fmt} |{bar:20}| {elapsed}"


class Board:
    """Told of runs that start, come to a cell and end, by any thread; shows them, and keeps why some failed."""

    def __init__(self, plans: list[Plan], swept: list[str]):
        self.failed: dict[str, str] = {}  # by the run's key
        self._swept = swept
        self._began: dict[str, float] = {}
        self._rows: dict[str, tqdm] = {}
        self._lock, self._over, self._clock = threading.RLock(), threading.Event(), time.monotonic()
        self._latest = self._clock  # when the latest ended
        lines = shutil.get_terminal_size().lines
        self._free = [*range(max(0, min(MOST, lines - 2)), 0, -1)]  # lines of the screen below the bar of all
        # disable=None: no bar where there is no terminal
        self._all = tqdm(total=len(plans), desc="runs", position=0, disable=None, bar_format=WHOLE)
        self._plain = bool(self._all.disable)

    def __enter__(self) -> "Board":
        threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        with self._lock:
            for bar in (*self._rows.values(), self._all):
                bar.close()

    def say(self, line: str) -> None:
        """A line above the bars."""
        with self._lock:
            tqdm.write(line)
            sys.stdout.flush()

    def start(self, plan: Plan, where: str = "") -> None:
        """A run begins; again, where its worker was lost."""
        with self._lock:
            self._began[plan.key] = time.monotonic()
            if self._plain:
                self.say(f"{self._name(plan)}: started" + f" on {where}" * bool(where))

    def cell(self, plan: Plan, number: int, of: int) -> None:
        """A run comes to this cell; the first is 1."""
        with self._lock:
            if self._plain or plan.key not in self._began:
                return
            if plan.key not in self._rows and self._free:
                name = textwrap.shorten(self._name(plan), 50, placeholder=" ...")
                row = {"position": self._free.pop(), "leave": False, "bar_format": SINGLE}
                self._rows[plan.key] = tqdm(total=of, desc=name, **row)
            if bar := self._rows.get(plan.key):
                bar.n = number
                bar.refresh()

    def end(self, plan: Plan, status: str, why: str = "") -> None:
        """A run has ended: `finished`, `there already`, or otherwise, and then why."""
        with self._lock:
            began = self._began.pop(plan.key, None)
            took = f" after {time.monotonic() - began:.0f} s" if began else ""
            if bar := self._rows.pop(plan.key, None):
                self._free.append(abs(bar.pos))
                bar.close()
            if status not in ("finished", "there already"):
                self.failed[plan.key] = why
            self._all.n += 1
            self._latest = time.monotonic()
            self._refresh()
            line = f"{self._name(plan)}: {status}{took}" + f": {why}".replace("\n", " ") * bool(why)
            self.say(line + f" ({self._all.n} of {self._all.total}{self._left()})" * self._plain)

    def _name(self, plan: Plan) -> str:
        differs = " ".join(f"{name}={_short(plan.values[name])}" for name in self._swept)
        return f"{plan.notebook.stem} {plan.run_id} {differs}".strip()

    def _left(self) -> str:
        """How long the others may take if they go on like those that have ended."""
        done, total = self._all.n, self._all.total
        if not 0 < done < total:
            return ""
        seconds = (self._latest - self._clock) / done * (total - done) - (time.monotonic() - self._latest)
        return f", about {datetime.timedelta(seconds=max(0, round(seconds)))} left"

    def _refresh(self) -> None:
        self._all.set_postfix_str(self._left().removeprefix(", "), refresh=False)
        for bar in (self._all, *self._rows.values()):
            bar.refresh()

    def _tick(self) -> None:
        """The bars' clocks go on where nothing happens."""
        while not self._over.wait(1):
            with self._lock:
                self._refresh()


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
