"""Files that the generator writes by itself: nobody may name them for something else, which would be lost."""

from pathlib import Path

from helpers.errors import CourseError

from . import kept

# the pages in a folder of reports, and what writes them; tables lie beside theirs
PAGES = {
    "index.html": "the overview: the next run writes it anew",
    "compare.html": "the page of `course compare`",
    "compare.csv": "the table of `course compare`",
    "claims.html": "the page of `course claims`",
    "claims.csv": "the table of `course claims`",
}


def refuse(option: str, file: Path, out: Path, own: str = "") -> None:
    """Raise CourseError where this file is one of ours, or will be; `own` is the name of that which may be written.

    Ours is all in the folder of a run, where such folders go below `out`, and what PAGES names beside them.
    """
    place = _real(file)
    outside(option, file)
    if place.is_relative_to(_real(out)) and len(place.relative_to(_real(out)).parts) > 2:
        raise CourseError(f"{option} {file}: the folders of runs go there. Choose a file beside them, or elsewhere")
    name = place.name.casefold()  # as on disks that tell no small letters from large ones
    if name in PAGES and name != own and (place.parent == _real(out) or holds_reports(place.parent)):
        raise CourseError(f"{option} {file}: that is {PAGES[name]}. Choose another name")


def outside(option: str, path: Path) -> None:
    """Raise CourseError where this is the folder of a run, or lies in one."""
    for one in (_real(path), *_real(path).parents):
        if "run_id" in kept.results(one):
            raise CourseError(
                f"{option} {path}: inside of the run {one.name}, which stays as it is. Name one elsewhere"
            )


def holds_reports(folder: Path) -> bool:
    """Whether there are folders of runs below."""
    return any("run_id" in kept.results(path.parent) for path in folder.glob("[!.]*/[!.]*/results.json"))


def _real(path: Path) -> Path:
    return path.expanduser().resolve()
