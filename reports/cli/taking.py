"""`course copy`, `course pack`: the notebooks, or the whole course, in a new folder to take along."""

import argparse
from pathlib import Path

from helpers.errors import CourseError, nearest

from .. import plans


def add(acts) -> None:
    """The commands and their arguments."""
    act = acts.add_parser("copy", help="the notebooks in a new folder of your own, to step through and to change")
    act.add_argument("folder", type=Path, metavar="DIR", help="a folder that is not there yet")
    act.add_argument(
        "--colab", default="", metavar="ADDRESS", help="with a first cell that installs from there, on Colab"
    )
    act.set_defaults(act=copy)
    act = acts.add_parser("pack", help="the whole course in a new folder, for a room without internet")
    act.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is not there yet")
    act.add_argument("--data", default="embedded", help="data sets, as in --data embedded,pets (embedded)")
    act.add_argument("--notebooks", default="", help="whose reports go along, as in --notebooks 01,02 (all)")
    act.add_argument("--systems", default="", help="packages for: linux,windows,macos (the one that runs here)")
    act.add_argument("--python", default="", help="and for these Pythons: 3.12,3.13 (the one that runs here)")
    act.set_defaults(act=pack)


def copy(arguments: argparse.Namespace) -> int:
    """Copy the notebooks and say where; 0."""
    from .. import taken

    print(*taken.copy(arguments.folder, arguments.colab), sep="\n")
    return 0


def pack(arguments: argparse.Namespace) -> int:
    """Write the pack and say where; 0."""
    systems, pythons, notebooks, data = (
        [one.strip() for one in text.split(",") if one.strip()]
        for text in (arguments.systems, arguments.python, arguments.notebooks, arguments.data)
    )
    from .. import wheels

    if wrong := [one for one in systems if one not in wheels.SYSTEMS]:
        known = ", ".join(wheels.SYSTEMS)
        raise CourseError(f"--systems: no system `{wrong[0]}`.{nearest(wrong[0], wheels.SYSTEMS)} There are: {known}")
    if wrong := [one for one in pythons if not one.startswith("3.") or not one[2:].isdigit() or int(one[2:]) < 11]:
        raise CourseError(f"--python is {wrong[0]!r}; expected versions from 3.11 on, as in --python 3.12,3.13")
    targets = wheels.targets(systems, pythons)
    from .. import pack as packing

    packing.write(packing.order(notebooks, data, targets), arguments.out, plans.usual_out())
    print(f"{arguments.out}: READ_ME.txt there says how to install it")
    return 0
