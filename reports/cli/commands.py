"""The commands of `course`: a thin skin over reports and data_scripts."""

import argparse
import io
import sys
from pathlib import Path

from helpers import parameters
from helpers.errors import CourseError, Missing

from .. import plans, settings
from . import data as cli_data
from . import doctor, grid, handing, handout, reading
from .data import print_table


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
    act.add_argument("--force", action="store_true", help="run again, beside the finished run")
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
    if arguments.jobs < 1:
        raise CourseError(f"--jobs is {arguments.jobs}; it needs a whole number from 1. It is how many run at a time")
    names = [str(path) for path in plans.notebooks()] if everything else [arguments.notebook]
    # every plan is checked before the first one runs
    planned = [plans.plan(name, arguments.profile, arguments.file, given) for name in names]
    from .. import beside, litter, runs  # what follows takes minutes; a mistake is told without waiting for it

    beside.end_with_parent()
    litter.sweep(out)
    if everything and arguments.jobs > 1:
        # the last are the longest: begun first, none of them is left to run alone
        codes = beside.run([["run", name, *_passed_on(arguments)] for name in names[::-1]], arguments.jobs)
    else:
        codes = [_one(plan, out, arguments.force) for plan in planned]
    if everything:
        print(runs.write_index(out))
    return 1 if 1 in codes else max(codes)


def _one(plan, out: Path, force: bool) -> int:
    from .. import runs

    folder, status = runs.run(plan, out, force)
    print(f"{plan.notebook.stem}: {status}: {folder / 'report.html'}", flush=True)
    if status != "failed":
        return 0
    print("        " + runs.reason(folder).replace("\n", "\n        "), file=sys.stderr)
    return 2 if runs.results(folder)["error"]["name"] in ("CourseError", "Missing") else 1


def _passed_on(arguments) -> list[str]:
    """What was asked of `all`, for each of them."""
    named = {"--profile": arguments.profile, "-f": arguments.file, "--out": arguments.out}
    words = [word for option, value in named.items() if value for word in (option, str(value))]
    return words + [f"-p{text}" for text in arguments.given] + ["--force"] * arguments.force
