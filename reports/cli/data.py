"""The commands `course data ...`: what data sets there are, and getting them ready."""

import os
import shutil
import textwrap
from pathlib import Path

from helpers import door
from helpers.errors import CourseError, nearest


def add(acts) -> None:
    """The sub-commands of `course data`."""
    acts.add_parser("list", help="every data set: what it holds, its licence, and whether it is prepared").set_defaults(
        act=_list
    )
    act = acts.add_parser("prepare", help="make a data set ready; `all` are those that are drawn here")
    act.add_argument("name", help="a name from `course data list`")
    act.add_argument("only", nargs="*", help="of `weights`: which ones; without any, those that the notebooks use")
    act.add_argument("--root", type=Path, help="where prepared data go (default: $COURSE_DATA, else data/)")
    act.add_argument("--from", dest="given", type=Path, metavar="PATH", help="where the downloaded files are")
    act.add_argument("--force", action="store_true", help="prepare it again, as when files were added")
    act.set_defaults(act=_prepare)
    act = acts.add_parser("masks", help="find the regions of faces with a parser; writes a data set with masks")
    act.add_argument("dataset", help="a prepared data set or a folder")
    act.add_argument(
        "--parser", default="farl", help="farl (see `course data prepare weights farl`), train: ours, or a file"
    )
    act.add_argument(
        "--channels", default="", help="what the outputs of a TorchScript file are: a CSV (channel, region), or farl"
    )
    act.add_argument("--root", type=Path, help="where prepared data go (default: $COURSE_DATA, else data/)")
    act.add_argument("--name", help="of the new data set (default: that of the old one and `-masks`)")
    act.set_defaults(act=_masks)
    act = acts.add_parser("convert", help="write pictures that cannot be read as they are anew, into another folder")
    act.description = (
        "Copies a folder, with its masks and tables. Pictures that are not RGB or grey of 8 bits become so: by their "
        "profile, their range or on a background; the first of several frames, upright. SRC is left as it is."
    )
    act.add_argument("source", type=Path, metavar="SRC", help="a folder of pictures, or one picture")
    act.add_argument("target", type=Path, metavar="DST", help="a folder that is not there yet, or empty")
    act.add_argument("--background", default="white", help="what stands behind transparent pixels (white)")
    act.set_defaults(act=_convert)


def _list(_) -> int:
    from data_scripts.public import weights

    rows = [("name", "prepared", "notebooks", "size", "how", "licence", "what it is")]
    for name, about in _known().items():
        rows.append((name, _ready(name), about.notebooks, about.size, about.how, about.licence, about.holds))
    rows.append(("weights", weights.ready(door.data_root()), *weights.LISTED))
    print_table(rows, widest=16)
    print(
        "\n`course data prepare NAME` fetches it, or says what is to be got by hand from where, and where to place it."
    )
    return 0


def _known() -> dict:
    """What the scripts say of their data sets, by name: first those that are drawn here."""
    known = {name: script.load() for name, script in door.scripts().items()}
    return dict(sorted(known.items(), key=lambda one: one[1].how != "drawn"))


def _ready(name: str) -> str:
    from data_scripts.getting import prepare  # which brings pandas and torch: not for `course --help`

    return "yes" if prepare.prepared(door.data_root() / name) else "no"


def _prepare(arguments) -> int:
    known = _known()
    names, drawn = ("all", *known, "weights"), ["all", *(name for name in known if known[name].how == "drawn")]
    if arguments.name not in names:
        raise CourseError(
            f"no data set `{arguments.name}`.{nearest(arguments.name, names)} There are: {', '.join(names)}"
        )
    if arguments.only and arguments.name != "weights":
        raise CourseError(f"{' '.join(arguments.only)}: only `weights` is prepared in parts")
    if arguments.given and arguments.name in drawn:
        raise CourseError(f"--from {arguments.given}: {arguments.name} is drawn here, nothing is downloaded for it")
    if arguments.force and arguments.name in (*drawn, "weights"):
        raise CourseError(f"--force: {arguments.name} is what it should be, or is made again by itself")
    try:
        lines = _prepared(arguments, arguments.root or door.data_root(), drawn)
    except OSError as error:  # a place that cannot be written, or that holds something else
        raise CourseError(f"{arguments.name}: {error}") from None
    print(*lines, sep="\n")
    return 0


def _prepared(arguments, root: Path, drawn: list[str]) -> list[str]:
    from data_scripts.getting import prepare
    from data_scripts.getting.upstream import Dataset
    from data_scripts.public import weights

    if arguments.name == "weights":
        return weights.prepare(arguments.only, root, arguments.given)
    names = drawn[1:] if arguments.name == "all" else [arguments.name]
    scripts = {name: door.scripts()[name].load() for name in names}
    if isinstance(scripts.get(arguments.name), Dataset):
        return prepare.prepare(arguments.name, root, arguments.given, arguments.force)
    return [str(script.find(root)) for script in scripts.values()]


def _masks(arguments) -> int:
    from data_scripts.parsing import masks

    root = arguments.root or door.data_root()
    print(*masks.write(arguments.dataset, arguments.parser, arguments.channels, root, arguments.name), sep="\n")
    return 0


def _convert(arguments) -> int:
    from data_scripts.getting import convert

    try:
        source, target = (Path(os.path.expanduser(one)) for one in (arguments.source, arguments.target))
        print(*convert.convert(source, target, arguments.background), sep="\n")
    except OSError as error:  # a place that cannot be written
        raise CourseError(f"{arguments.target}: {error}") from None
    return 0


def print_table(rows: list[tuple], widest: int = 34) -> None:
    """Columns as wide as they need to be, up to `widest`, the last one wrapped to the terminal."""
    widths = [min(widest, max(len(row[i]) for row in rows)) for i in range(len(rows[0]) - 1)]
    room = max(30, shutil.get_terminal_size((120, 24)).columns - sum(widths) - 2 * len(widths))
    for row in rows:
        cells = [textwrap.wrap(text, width) or [""] for text, width in zip(row, [*widths, room], strict=True)]
        for i in range(max(map(len, cells))):
            line = (cell[i] if i < len(cell) else "" for cell in cells)
            print("  ".join(f"{text:{width}}" for text, width in zip(line, [*widths, 0], strict=True)).rstrip())
