"""`course compare` and `course claims`: pages that read many runs, each with a CSV beside it."""

import argparse
import sys
from pathlib import Path

from helpers.errors import CourseError

from .. import plans


def add(acts) -> None:
    """The commands and their arguments."""
    act = acts.add_parser("compare", help="runs beside one another: what differs, who is best, figures, claims")
    act.add_argument("runs", nargs="*", metavar="RUN", help="a run's folder, its report.html, or its id")
    act.add_argument("--notebook", help="all finished runs of this notebook, as in --notebook 01")
    act.add_argument("--grid", type=Path, metavar="FILE.yaml", help="all finished runs of this grid, see `course grid`")
    _places(act, "compare.html")
    act.set_defaults(act=compare)
    act = acts.add_parser("claims", help="every claim over all runs: in how many it holds, drawn and real")
    _places(act, "claims.html")
    act.set_defaults(act=claims)


def _places(act: argparse.ArgumentParser, name: str) -> None:
    act.add_argument("--out", type=Path, help="where the reports are, as in `course run`")
    act.add_argument("--to", type=Path, metavar="FILE.html", help=f"the page ({name} there); its CSV goes beside it")


def compare(arguments: argparse.Namespace) -> int:
    """Write the comparison and say where; 0."""
    out = arguments.out or plans.usual_out()
    if not arguments.runs and not arguments.notebook and not arguments.grid:
        raise CourseError(
            "compare: which runs? Name two or more (folder, report.html or id), --notebook 01 or --grid FILE.yaml"
        )
    from .. import compare as comparison
    from .. import found, place

    runs = found.named(arguments.runs, out)
    lacking: list[found.Lacking] = []
    if arguments.notebook:
        of_it = found.of_notebook(arguments.notebook, out)
        if failed := [one.folder.name for one in of_it if not one.finished]:
            print(f"course: left out, not finished: {', '.join(failed)}", file=sys.stderr)
        runs += [one for one in of_it if one.finished]
    if arguments.grid:
        of_it, lacking = found.of_grid(arguments.grid, out)
        runs += of_it
    where = place.Place(arguments.to or out / "compare.html").check(out, "compare.html")
    print(comparison.write([*{run.folder: run for run in runs}.values()], where, lacking))
    print(f"{where.page}\n{where.table}")
    return 0


def claims(arguments: argparse.Namespace) -> int:
    """Write the ledger of all claims and say where; 0."""
    out = arguments.out or plans.usual_out()
    if not out.is_dir():
        raise CourseError(f"{out}: no such folder. Expected the one where reports are (--out DIR of `course run`)")
    from .. import claims as ledger
    from .. import place

    where = place.Place(arguments.to or out / "claims.html").check(out, "claims.html")
    said = ledger.write(out, where)
    left_out = f"; {said['failed']} left out, not finished" if said["failed"] else ""
    print(f"{said['claims']} claims over {said['runs']} runs{left_out}")
    print(f"{where.page}\n{where.table}")
    return 0
