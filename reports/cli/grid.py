"""`course grid`: many questions to one notebook, each a run of its own; what is answered is not asked again."""

import argparse
import sys
from pathlib import Path

from helpers.errors import CourseError

from .. import plans
from .data import print_table

NAMED = 3  # runs that have no answer for one reason


def add(acts) -> None:
    """The command and its arguments."""
    act = acts.add_parser("grid", help="run a notebook with every combination of a file (see reports/grid.py)")
    act.add_argument("file", type=Path, metavar="FILE.yaml", help="notebook, profile, params, sweep, zip, seeds")
    act.add_argument("--out", type=Path, help="where reports go, as in `course run`")
    where = act.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=2, help="how many run at a time on this machine (2)")
    where.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="run on the workers of a dask scheduler instead")
    where.add_argument("--scheduler-file", type=Path, metavar="FILE", help="the same, by the file that it wrote")
    act.add_argument("--dry-run", action="store_true", help="say what would run, and how long it may take")
    act.add_argument("--retry-failed", action="store_true", help="run again what has failed")
    act.set_defaults(act=run)


def check_jobs(jobs: int) -> None:
    """Raises CourseError where so many cannot run at a time."""
    if jobs < 1:
        raise CourseError(f"--jobs is {jobs}; it needs a whole number from 1. It is how many run at a time")


def run(arguments: argparse.Namespace) -> int:
    """0 when all are answered, 1 when some failed."""
    check_jobs(arguments.jobs)
    from .. import grid, runs

    asked, out = grid.read(arguments.file), arguments.out or plans.usual_out()
    states = {one.run_id: _state(one.folder(out)) for one in asked.plans}
    again = {"to run", "incomplete"} | ({"failed"} if arguments.retry_failed else set())
    todo = [one for one in asked.plans if states[one.run_id] in again]
    if arguments.dry_run:
        return _planned(asked, states, todo, arguments, out)
    failed: dict[str, str] = {}
    if todo:
        try:
            failed = _run(asked, todo, arguments, out)
        finally:  # what was finished before an interrupt is in the overview, too
            if out.is_dir():
                print(runs.write_index(out))
    return _told(asked, out, failed)


def _state(folder: Path) -> str:
    """The status of a run that is there. One whose kernel was killed has no answer; it is to run again."""
    from .. import runs

    found = runs.results(folder)
    killed = (found.get("error") or {}).get("name") == "DeadKernelError"
    return "to run" if killed else found.get("status", "to run")


def _planned(asked, states: dict[str, str], todo: list, arguments, out: Path) -> int:
    from .. import grid, runs

    rows = [(one.run_id, states[one.run_id], *map(str, asked.differs(one).values())) for one in asked.plans]
    print_table([("run", "state", *asked.swept), *rows])
    elsewhere = arguments.scheduler or arguments.scheduler_file
    each = [grid.seconds(one, out, runs.results) for one in todo]
    known = [time for time in each if time is not None]
    whole = sum(known) * len(each) / max(1, len(known)) / (1 if elsewhere else arguments.jobs)
    about = f"about {whole / 60:,.1f} minutes" + " of a worker" * bool(elsewhere) + " by earlier runs"
    about = about if known else "no earlier run says how long"
    print(f"\n{len(asked.plans)} runs, {len(todo)} to run: {about if todo else 'nothing to do'}")
    return 0


def _run(asked, todo: list, arguments, out: Path) -> dict[str, str]:
    """Run what is to run; why some failed, by their keys."""
    from .. import beside, board, litter

    litter.sweep(out)
    with board.Board(todo, asked.swept) as shown:
        if arguments.scheduler or arguments.scheduler_file:
            from .. import cluster

            cluster.run(todo, out, arguments.scheduler, arguments.scheduler_file, shown)
        else:
            beside.run(todo, out, arguments.jobs, shown)
    return shown.failed


def _told(asked, out: Path, failed: dict[str, str]) -> int:
    """What became of those that have no answer, by the reason; 1 when there are some."""
    from .. import runs

    without: dict[str, list[str]] = {}
    for one in asked.plans:
        found = runs.results(one.folder(out))
        if found.get("status") != "finished":
            why = runs.reason(one.folder(out)) if found.get("error") else failed.get(one.key, "no answer")
            without.setdefault(f"{found.get('status', 'not run')}: {why}", []).append(one.run_id)
    for why, names in without.items():
        more = f" and {len(names) - NAMED} more" * (len(names) > NAMED)
        print(f"{', '.join(names[:NAMED])}{more}: {why}", file=sys.stderr)
    left = sum(map(len, without.values()))
    print(f"{len(asked.plans) - left} of {len(asked.plans)} runs are finished")
    return 1 if left else 0
