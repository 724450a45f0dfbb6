"""The command `course`: a thin skin over reports and data_scripts."""

import argparse
import os
import platform
import shutil
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from helpers import door, parameters
from helpers.errors import CourseError, Missing

from .. import plans, settings
from . import data as cli_data
from .data import print_table

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(argv: list[str] | None = None) -> int:
    """Run a command line; its exit code: 0 well, 1 a run failed, 2 a mistake, 3 files to be got, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    for ended in {"SIGTERM", "SIGHUP"} & {one.name for one in signal.Signals}:  # from outside: interrupted, too
        if signal.getsignal(getattr(signal, ended)) != signal.SIG_IGN:  # nohup wants it to go on
            signal.signal(getattr(signal, ended), signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a job in the background; its shell's doing, nobody's wish
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return arguments.act(arguments)
    except CourseError as error:
        print("course: " + str(error).replace("\n", "\n        "), file=sys.stderr)
        return 3 if isinstance(error, Missing) else 2
    except BrokenPipeError:  # `course params ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("course: interrupted; what was finished is kept, and nothing half-done is taken for it", file=sys.stderr)
        return 130


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
    act.add_argument("--out", type=Path, help="where reports go (default: reports/out)")
    act.add_argument("--force", action="store_true", help="run again, beside the finished run")
    act.set_defaults(act=_run)
    act = acts.add_parser("data", help="the data sets: list, prepare one, or find the regions in one")
    cli_data.add(act.add_subparsers(required=True, metavar="list|prepare|masks"))
    acts.add_parser("doctor", help="what this machine has and lacks").set_defaults(act=_doctor)
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
    names = [p.stem for p in plans.notebooks()] if arguments.notebook == "all" else [arguments.notebook]
    # every plan is checked before the first one runs
    planned = [plans.plan(name, arguments.profile, arguments.file, given) for name in names]
    from .. import runs  # what follows takes minutes; a mistake is told without waiting for it

    failed, out = 0, arguments.out or plans.OUT
    for plan in planned:
        folder, status = runs.run(plan, out, arguments.force)
        failed += status == "failed"
        print(f"{plan.notebook.stem}: {status}: {folder / 'report.html'}")
        if status == "failed":
            print("        " + runs.reason(folder).replace("\n", "\n        "), file=sys.stderr)
    if arguments.notebook == "all":
        print(runs.write_index(out))
    return 1 if failed else 0


def _doctor(_) -> int:
    """Print what is here; 1 when something that every notebook needs is missing."""
    import torch

    try:
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)  # fails when the two come from different indexes
        pair = f"yes: torch {torch.__version__}, torchvision {torchvision.__version__}"
    except Exception as error:
        pair = f"NO: {error}. Install both from the same index: pip install --force-reinstall torch torchvision"
    real = os.environ.get("COURSE_REAL_DATA")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    rows = [
        ("Python", f"{platform.python_version()} ({'yes' if sys.version_info >= (3, 11) else 'NO: 3.11 or newer'})"),
        ("torch pair", pair),
        ("device", f"{'cuda' if torch.cuda.is_available() else 'cpu'}, {torch.get_num_threads()} threads"),
        ("packages", ", ".join(f"{p} {_version(p)}" for p in ("captum", "zennit", "papermill", "jupyterlab"))),
        ("disk", f"{shutil.disk_usage(door.REPO).free / 2**30:.0f} GiB free at {door.REPO}"),
        ("data", str(door.data_root())),
        ("chromium", browser or "not found (only the tests of the page need it)"),
        (
            "real data",
            f"{real} ({'found' if Path(real).is_dir() else 'NOT FOUND'})" if real else "COURSE_REAL_DATA unset",
        ),
    ]
    for name, said in rows:
        print(f"{name:12} {said}")
    return 1 if any("NO:" in said for _, said in rows) else 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "MISSING"
