"""`course doctor`: what this machine has and lacks; of a network, what a run would see of it, and which would work."""

import argparse
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import remove

from .. import plans


def add(acts) -> None:
    """The command and its arguments."""
    act = acts.add_parser("doctor", help="what this machine has and lacks; of a network, what would work")
    act.add_argument("--model", help="as in -p model=: resnet18, timm:NAME, torchscript:PATH, python:MODULE:FUNCTION")
    act.add_argument("--weights", default="", help="as in -p weights=: a file, imagenet, own, train (untrained)")
    act.add_argument("--images", help="as in -p dataset=: pictures to look at; without them, noise")
    act.add_argument("--normalise", default="auto", help="as in -p normalise=")
    act.add_argument(
        "--average", default="auto", choices=("auto", "yes", "no"), help="take averaged weights (EMA, SWA)"
    )
    act.add_argument("--size", type=int, default=0, help="side of the pictures in pixels; 0: as the weights expect it")
    act.add_argument("--fit", default="cover", help="how a picture becomes that square, as in -p fit=")
    act.add_argument("--clean", action="store_true", help="remove what killed runs left, and say what")
    act.add_argument("--out", type=Path, help="of --clean: where the reports are, as in `course run`")
    act.set_defaults(act=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what is here, or what is to be said of the network; 1 when nothing would run. Or clean up."""
    if arguments.model:
        from . import network

        return network.report(arguments)
    if arguments.clean:
        return _clean(arguments.out or plans.usual_out())
    if arguments.weights or arguments.images:
        raise CourseError("doctor: --weights and --images are of a network; give --model, too")
    return _of_machine()


def _clean(out: Path) -> int:
    from .. import litter

    left = litter.found(out)
    for path in left:
        print(f"removed {litter.size(path) / 2**20:8.1f} MiB  {path}")
        remove(path)
    for path, reason in litter.unfinished(out):
        print(f"kept    {litter.size(path) / 2**20:8.1f} MiB  {path}  ({reason})")
    print(f"{len(left)} half-made files and folders were removed; finished runs, data and networks are untouched")
    return 0


def _of_machine() -> int:
    """1 when a class would not get through with this machine."""
    from .. import machine

    failed = 0
    for found in machine.checks(plans.usual_out()):
        print(found, flush=True)
        failed += not found.well
    if failed:
        print(f"\n{failed} to mend before a class: each line with NO says how")
    return 1 if failed else 0
