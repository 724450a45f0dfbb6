"""`course grid`: many questions to one notebook, each a run of its own; what is answered is not asked again."""

import argparse
import sys
from pathlib import Path

from helpers.errors import CourseError

from .. import plans
from .data import print_table


def add(acts) -> None:
    """The command and its arguments."""
    act = acts.add_parser("grid", help="run a notebook with every combination of a file (see reports/grid.py)")
    act.add_argument("file", type=Path, metavar="FILE.yaml", help="notebook, profile, params, sweep, zip, seeds")
    act.add_argument("--out", type=Path, help="where reports go, as in `course run`")
    act.add_argument("--jobs", type=int, default=2, help="how many run at a time on this machine (2)")
    act.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="run on the workers of a dask scheduler instead")
    act.add_argument("--scheduler-file", type=Path, metavar="FILE", help="the same, by the file that it wrote")
    act.add_argument("--dry-run", action="store_true", help="say what would run, and how long it may take")
    act.add_argument("--retry-failed", action="store_true", help="run again what has failed")
    act.set_defaults(act=run)


def run(arguments: argparse.Namespace) -> int:
    """0 when all are answered, 1 when some failed."""
    if arguments.jobs < 1:
        raise CourseError(f"--jobs is {arguments.jobs}; it needs a whole number from 1. It is how many run at a time")
    from .. import grid, runs

    asked, out = grid.read(arguments.file), arguments.out or plans.usual_out()
    states = {one.run_id: runs.results(one.folder(out)).get("status", "to run") for one in asked.plans}
    again = {"to run", "incomplete"} | ({"failed"} if arguments.retry_failed else set())
    todo = [one for one in asked.plans if states[one.run_id] in again]
    if arguments.dry_run:
        return _planned(asked, states, todo, arguments, out)
    if todo:
        _run(todo, arguments, out)
    print(runs.write_index(out))
    return _told(asked, out)


def _planned(asked, states: dict[str, str], todo: list, arguments, out: Path) -> int:
    from .. import grid, runs

    rows = [(one.run_id, states[one.run_id], *map(str, asked.differs(one).values())) for one in asked.plans]
    print_table([("run", "state", *asked.swept), *rows])
    each = [grid.seconds(one, out, runs.results) for one in todo]
    known = [time for time in each if time is not None]
    whole = sum(known) * len(each) / max(1, len(known)) / (1 if arguments.scheduler else arguments.jobs)
    about = f"about {whole / 60:,.1f} minutes by earlier runs" if known else "no earlier run says how long"
    print(f"\n{len(asked.plans)} runs, {len(todo)} to run: {about if todo else 'nothing to do'}")
    return 0


def _run(todo: list, arguments, out: Path) -> None:
    from tqdm import tqdm

    with tqdm(total=len(todo), desc="grid", unit="run", position=arguments.jobs) as bar:
        if arguments.scheduler or arguments.scheduler_file:
            from .. import cluster

            for plan, status, said in cluster.run(todo, out, arguments.scheduler, arguments.scheduler_file):
                tqdm.write(f"{plan.run_id}: {status}" + f": {said}" * bool(said))
                bar.update()
        else:
            _here(todo, arguments, out, bar.update)


def _here(todo: list, arguments, out: Path, ended) -> None:
    """On this machine, side by side, each a process of its own."""
    import tempfile

    import yaml

    from .. import beside, litter

    litter.sweep(out)
    with tempfile.TemporaryDirectory() as folder:
        commands = []
        for one in todo:
            (file := Path(folder) / f"{one.run_id}.yaml").write_text(
                yaml.safe_dump(one.values, allow_unicode=True), encoding="utf-8"
            )
            profile = ["--profile", one.profile] if one.profile else []
            commands.append(["run", str(one.notebook), *profile, "-f", str(file), "--out", str(out)])
        beside.run(commands, arguments.jobs, ended)


def _told(asked, out: Path) -> int:
    """What became of each; 1 when some have no answer."""
    from .. import runs

    failed = 0
    for one in asked.plans:
        found = runs.results(one.folder(out))
        if found.get("status") != "finished":
            failed += 1
            why = runs.reason(one.folder(out)) if found.get("error") else "no answer"
            print(f"{one.run_id}: {found.get('status', 'not run')}: {why}", file=sys.stderr)
    print(f"{len(asked.plans) - failed} of {len(asked.plans)} runs are finished")
    return 1 if failed else 0
