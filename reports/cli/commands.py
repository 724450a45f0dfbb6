"""The commands of `course`: a thin skin over reports and data_scripts."""

import argparse
import io
import sys
from pathlib import Path

from helpers import parameters
from helpers.errors import CourseError, Missing

from .. import kept, plans, reserved, settings
from . import data as cli_data
from . import doctor, grid, handing, handout, reading, taking
from .data import print_table

LONGEST = 10  # cells that `--timing` names


def act(argv: list[str] | None = None) -> int:
    """Run a command line; its exit code. A mistake of the user's is told in a few lines."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that this locale cannot write is no reason to stop
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    try:
        return arguments.act(arguments)
    except CourseError as error:
        print("course: " + str(error).replace("\n", "\n        "), file=sys.stderr)
        return 3 if isinstance(error, Missing) else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="course", description="Run the notebooks of Where Models Look as reports.")
    acts = parser.add_subparsers(required=True, metavar="command")
    act = acts.add_parser("list", help="the notebooks and the profiles")
    act.set_defaults(act=_list)
    act = acts.add_parser("params", help="a notebook's parameters: name, type, default, choices, meaning")
    act.add_argument("notebook")
    act.set_defaults(act=_params)
    act = acts.add_parser("run", help="run a notebook (or `all`) and write its report")
    act.add_argument("notebook")
    act.add_argument("--profile", help="a named set of parameters: quick, full, real, paper")
    act.add_argument("-p", dest="given", action="append", default=[], metavar="name=value", help="set a parameter")
    act.add_argument("-f", dest="file", type=Path, help="a YAML file of parameters")
    act.add_argument(
        "--out", type=Path, help="where reports go (reports/out; $COURSE_DATA/reports if that is read-only)"
    )
    act.add_argument("--id", help="run it only if the same question has this id: code, parameters, data, weights")
    act.add_argument("--force", action="store_true", help="run again, beside the finished run")
    act.add_argument("--timing", action="store_true", help="say which sections and cells of it took how long")
    act.add_argument(
        "--jobs", type=int, default=2, help="how many of `all` run at a time (2), with a share of the cores"
    )
    act.set_defaults(act=_run)
    act = acts.add_parser("data", help="the data sets: list, prepare one, find the regions in one, or convert pictures")
    cli_data.add(act.add_subparsers(required=True, metavar="list|prepare|masks|convert"))
    doctor.add(acts)
    grid.add(acts)
    handing.add(acts)
    handout.add(acts)
    reading.add(acts)
    taking.add(acts)
    return parser


def _list(_) -> int:
    for path in plans.notebooks():
        print(f"{path.stem:24} {plans.title(path)}")
    print("profiles:", ", ".join(sorted(p.stem for p in plans.PROFILES.glob("*.yaml"))))
    return 0


def _params(arguments) -> int:
    rows = [("name", "type", "default", "choices", "what it means")]
    for p in parameters.read(plans.notebook(arguments.notebook)):
        default = ",".join(map(str, p.default)) if isinstance(p.default, list) else str(p.default)
        rows.append((p.name, p.type, default, p.expected() if p.bounds is not None else "", p.help))
    print_table(rows)
    return 0


def _run(arguments) -> int:
    given = dict(settings.parse(text) for text in arguments.given)
    everything, out = arguments.notebook == "all", arguments.out or plans.usual_out()
    reserved.outside("--out", out)
    grid.check_jobs(arguments.jobs)
    names = [str(path) for path in plans.notebooks()] if everything else [arguments.notebook]
    asked = [(name, arguments.profile, arguments.file, given) for name in names]
    # every plan is checked before the first one runs; what is answered needs none
    known = [(None if arguments.force else plans.answered(*one, out)) or plans.plan(*one) for one in asked]
    planned = [one for one in known if isinstance(one, plans.Plan)]
    for one in known:
        _same_question(arguments.id, one.run_id if isinstance(one, plans.Plan) else one.name.partition(".")[0])
    for folder in known:
        if isinstance(folder, Path):
            _told(folder, "there already")
    codes = _answered(planned, out, arguments) if planned else [0]
    if everything and (planned or not _current(out / "index.html")):
        from ..overview import write_index

        write_index(out)
    if everything:
        print(out / "index.html")
    for one in known if arguments.timing else []:
        for folder in [one] if isinstance(one, Path) else kept.made(one.folder(out))[-1:]:
            _timed(folder)
    return 1 if 1 in codes else max(codes)


def _same_question(asked: str | None, found: str) -> None:
    """Raise CourseError where the question that was asked elsewhere is another one here."""
    if asked not in (None, found):
        raise CourseError(
            f"--id {asked}: the question has another id here, {found}: the code of the course, data or "
            "weights differ. Install the same version; copy data with their times (rsync -a)"
        )


def _answered(planned: list[plans.Plan], out: Path, arguments) -> list[int]:
    """Run what has no answer yet; the exit code of each."""
    from .. import beside, board, litter  # what follows takes minutes; all before it is told without waiting for it

    beside.end_with_parent()
    litter.sweep(out)
    if arguments.notebook == "all" and arguments.jobs > 1:
        # the longest texts run longest, about: begun first, none of them is left to run alone
        longest_first = sorted(planned, key=lambda plan: -plan.notebook.stat().st_size)
        with board.Board(planned, []) as shown:
            return beside.run(longest_first, out, arguments.jobs, shown, arguments.force)
    return [_one(plan, out, arguments.force) for plan in planned]


def _current(index: Path) -> bool:
    """Whether no run came or went since the overview was written: that changes the folder of its notebook."""
    return index.is_file() and all(
        folder.stat().st_mtime_ns <= index.stat().st_mtime_ns for folder in index.parent.glob("[!.]*/")
    )


def _told(folder: Path, status: str) -> None:
    print(f"{folder.parent.name}: {status}: {folder / 'report.html'}", flush=True)


def _timed(folder: Path) -> None:
    """Seconds by section, and the ten cells that took longest."""
    found = kept.results(folder)
    past = found.get("provenance") or {}
    if not past.get("cells"):
        print(f"\n{folder}: which cells took how long was not noted")
        return
    inside = sum(one["seconds"] for one in past["sections"])
    print(f"\n{found['notebook']}: {past['wall_s']:.1f} s, of which {inside:.1f} s in cells")
    rows = [(f"{one['seconds']:.1f}", str(one["cells"]), one["section"]) for one in past["sections"]]
    print_table([("seconds", "cells", "section"), *rows])
    longest = sorted(past["cells"], key=lambda one: -one["seconds"])[:LONGEST]
    named = [(f"{one['seconds']:.1f}", f"[{one['cell']}]", one["section"], one["about"]) for one in longest]
    print()
    print_table([("seconds", "cell", "section", "what it is about"), *named])


def _one(plan: plans.Plan, out: Path, force: bool) -> int:
    from .. import runs

    folder, status = runs.run(plan, out, force)
    _told(folder, status)
    if status != "failed":
        return 0
    print("        " + runs.reason(folder).replace("\n", "\n        "), file=sys.stderr)
    return 2 if runs.results(folder)["error"]["name"] in ("CourseError", "Missing") else 1
