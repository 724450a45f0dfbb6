"""`course handout`: notebooks for a class, with exercises for students, with answers for teachers."""

import argparse
from pathlib import Path

from .. import plans


def add(acts) -> None:
    """The command and its arguments."""
    act = acts.add_parser("handout", help="notebooks for a class: with stubs for students, with answers for teachers")
    act.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="which, as in 01 (all of the course)")
    act.add_argument("--for", dest="whom", required=True, choices=("student", "teacher"))
    act.add_argument("--out", type=Path, required=True, metavar="DIR", help="where they go; nothing there is replaced")
    act.set_defaults(act=_handout)


def _handout(arguments: argparse.Namespace) -> int:
    """Write them and say where; 0."""
    from .. import handout

    chosen = [plans.notebook(name) for name in arguments.notebooks] or plans.notebooks()
    for file in handout.write(list(dict.fromkeys(chosen)), arguments.whom, arguments.out):
        print(file)
    return 0
