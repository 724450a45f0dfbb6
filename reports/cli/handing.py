"""`course rerun`, `serve`, `export`, `form`: a run asked again, shown, handed on; the knobs as a page to fill in."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from helpers.errors import CourseError, Missing
from helpers.files import owned, remove

from .. import plans, reserved
from .data import print_table

A_RUN = "its folder, its report.html, or its id"
OUT = "where the reports are, as in `course run`"


def add(acts) -> None:
    """The commands and their arguments."""
    act = acts.add_parser("rerun", help="ask a run's question again from its folder alone, and compare the numbers")
    act.add_argument("run", metavar="RUN", help=A_RUN)
    act.add_argument("--out", type=Path, help="keep the new run there (without: it is compared, and goes)")
    act.add_argument("--tolerance", type=float, help="how far, as a share of the larger value, is still the same: 1e-4")
    act.set_defaults(act=_rerun)
    act = acts.add_parser("serve", help="the reports in your browser, from this machine only; Ctrl-C ends it")
    act.add_argument("--out", type=Path, help=OUT)
    act.add_argument("--port", type=int, default=8000, help="8000; 0 is any that is free")
    act.add_argument("--no-browser", action="store_true", help="only print the address")
    act.set_defaults(act=_serve)
    act = acts.add_parser("export", help="a run to hand on: a PDF, a zip of its folder, or the notebook as it ran")
    act.add_argument("run", metavar="RUN", help=A_RUN)
    act.add_argument("--to", required=True, choices=("pdf", "zip", "ipynb"))
    act.add_argument("-o", dest="file", type=Path, help="the file to write (here, named after notebook and run)")
    act.add_argument("--out", type=Path, help=OUT)
    act.set_defaults(act=_export)
    act = acts.add_parser("form", help="a page with a field for every knob of a notebook, which writes the command")
    act.add_argument("notebook")
    act.add_argument("-o", dest="file", type=Path, help="the file to write (here: NOTEBOOK-form.html)")
    act.set_defaults(act=_form)


def _rerun(arguments: argparse.Namespace) -> int:
    """0 when every metric is equal or within the tolerance, else 1."""
    from .. import found, rerun, runs

    tolerance = rerun.TOLERANCE if arguments.tolerance is None else arguments.tolerance
    if not 0 <= tolerance < 1:
        raise CourseError(
            f"--tolerance is {tolerance}; it needs a number from 0 to 1. It is a share of the value: 1e-4"
        )
    folder = found.named([arguments.run], plans.usual_out())[0].folder
    if arguments.out:
        reserved.outside("--out", arguments.out)
    then = runs.results(folder)
    work = Path(tempfile.gettempdir()) / owned("course")
    try:
        plan = rerun.kept(folder, work / "kept")
        place, status = runs.run(
            plan, arguments.out or work / "out", force=True
        )  # beside, where the first one is there
        now = runs.results(place)
        if status == "failed":
            print(f"course: asked again, it failed: {runs.reason(place)}", file=sys.stderr)
        rows = rerun.compared(then, now, tolerance)
        said = [*rerun.changed(folder, plan, then, now), *rerun.verdicts(then, now)]
    finally:
        remove(work)
    _told(rows, said, tolerance)
    print(f"first run: {folder}")
    print(f"now: {place}" if arguments.out else "the new run was not kept; --out DIR keeps it")
    return 1 if status == "failed" or any(row.verdict == "differs" for row in rows) else 0


def _told(rows: list, changed: list[str], tolerance: float) -> None:
    """Each metric, those that differ last: there they are seen."""
    words = {"equal": "equal", "within": f"within {tolerance:g}", "differs": "DIFFERS"}
    in_order = sorted(rows, key=lambda row: list(words).index(row.verdict))
    print_table(
        [
            ("metric", "then", "now", ""),
            *((r.name, _number(r.then), _number(r.now), words[r.verdict]) for r in in_order),
        ]
    )
    count = {verdict: sum(row.verdict == verdict for row in rows) for verdict in words}
    print("\nchanged since:" if changed else "\nnothing that is recorded has changed since", *changed, sep="\n  ")
    print(
        f"\n{len(rows)} metrics: {count['equal']} equal to the last bit, {count['within']} within {tolerance:g} "
        f"of the larger value, {count['differs']} not"
    )


def _number(value) -> str:
    return "undefined" if value is None else str(value)


def _serve(arguments: argparse.Namespace) -> int:
    from .. import served

    serving = served.server(arguments.out or plans.usual_out(), arguments.port)
    print(f"{served.address(serving)}  Ctrl-C ends it", flush=True)
    served.serve(serving, opened=not arguments.no_browser)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from ..machine import BROWSERS

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if arguments.to == "pdf" and not browser:
        raise Missing(
            f"--to pdf: no Chromium is on the PATH ({', '.join(BROWSERS)}). Install one, "
            "or open report.html in any browser and print it into a file"
        )
    from .. import found, handed

    out = arguments.out or plans.usual_out()
    folder = found.named([arguments.run], out)[0].folder
    file = arguments.file or Path(f"{handed.name(folder)}.{arguments.to}")
    reserved.refuse("-o", file, out)
    if arguments.to == "pdf":
        handed.pdf(folder, file, str(browser))
    elif arguments.to == "zip":
        handed.packed(folder, file)
    else:
        handed.notebook(folder, file)
    print(file)
    return 0


def _form(arguments: argparse.Namespace) -> int:
    path = plans.notebook(arguments.notebook)
    file = arguments.file or Path(f"{path.stem}-form.html")
    reserved.refuse("-o", file, plans.usual_out())
    from .. import form

    form.write(path, file)
    print(file)
    return 0
