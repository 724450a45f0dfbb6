"""The whole course in one folder, for a stick and a room without internet: packages, pictures, networks, reports."""

import csv
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from helpers import door
from helpers.door import REPO
from helpers.errors import CourseError, Missing, nearest

from . import plans, wheels
from .kept import results
from .taken import new

EMBEDDED = "embedded"  # the word for the data sets that are drawn here
PROFILE = "quick"
FOLDERS = ("helpers", "data_scripts", "notebooks", "reports", "tests", "benchmarks")  # of the project
FILES = ("pyproject.toml", "environment.yml", "Makefile", "README.md", "CONTRIBUTING.md", "LICENSE", "CITATION.cff")
MADE = {"__pycache__", ".ipynb_checkpoints", "out"}  # in these folders, and no part of the project
STICK = Path(__file__).parent / "stick"  # what stands at the top of the pack

Files = dict[Path, str]  # a file, and its place in the pack


@dataclass(frozen=True)
class Order:
    """What is wanted in the pack, checked."""

    plans: list[plans.Plan]
    sets: list[str]  # of data; EMBEDDED are those that are drawn here
    targets: list[wheels.Target]


def order(notebooks: Iterable[str], data: Iterable[str], targets: list[wheels.Target]) -> Order:
    """The order of these notebooks (none: all) and data sets. Raises CourseError for what there is not, or not yet."""
    if door.INSTALLED:
        said = "it takes the project along, and this course was installed without it"
        raise CourseError(f"pack: {said}. Unpack the archive, and there: python -m reports setup")
    scripts, sets = door.scripts(), list(dict.fromkeys(data))
    for name in (one for one in sets if one != EMBEDDED):
        if name not in scripts:
            there = ", ".join([EMBEDDED, *scripts])
            raise CourseError(f"--data: no data set `{name}`.{nearest(name, scripts)} There are: {there}")
        if not (door.data_root() / name / "index.csv").is_file():
            raise Missing(f"--data: {name} is not prepared yet. First: course data prepare {name}")
    names = [*notebooks] or [str(path) for path in plans.notebooks()]
    return Order([plans.plan(name, PROFILE) for name in names], sets, targets)


def write(asked: Order, folder: Path, out: Path) -> None:
    """The pack in a new folder, all of it or nothing. Reports that are not finished below `out` are run first.

    Raises CourseError where the folder is there, a notebook fails, a package cannot be got, or there is no room.
    """
    from .overview import write_index  # which brings torch, as what follows does: a mistake is told without it

    with new(folder) as draft:
        _told(_parts(asked, out), asked, folder)
        _run_missing(asked.plans, out)
        (draft / "wheels").mkdir()
        got = [asdict(one) | {"wheels": wheels.fetch(one, draft / "wheels")} for one in asked.targets]
        _copied(_parts(asked, out), draft)
        write_index(draft / "reports")
        said = {"version": version("where-models-look"), "targets": got}
        (draft / "pack.json").write_text(json.dumps(said, indent=1), encoding="utf-8")
        _scripts(draft, asked)


def _run_missing(asked: list[plans.Plan], out: Path) -> None:
    """Run what is not answered yet; that stays, whatever becomes of the pack."""
    from . import runs

    for plan in asked:
        run, status = runs.run(plan, out)
        print(f"{plan.notebook.stem}: {status}", flush=True)
        if status == "failed":
            raise CourseError(f"{plan.notebook.stem}: it failed here ({runs.reason(run)}), so it would in a class")


def _parts(asked: Order, out: Path) -> dict[str, Files]:
    """What is there now of each part but the packages."""
    return {"project": _project(), **_made(asked.sets), "reports": _reports(asked.plans, out)}


def _reports(asked: list[plans.Plan], out: Path) -> Files:
    """The finished runs of these plans."""
    runs = [one.folder(out) for one in asked if results(one.folder(out)).get("status") == "finished"]
    return {file: f"reports/{run.parent.name}/{run.name}/{place}" for run in runs for file, place in _below(run)}


def _project() -> Files:
    """The course itself, as it is here, without what was made in its folders."""
    files = [(REPO / name, name) for name in FILES]  # what else is there may be somebody's own
    files += [(file, f"{name}/{place}") for name in FOLDERS for file, place in _below(REPO / name)]
    return {file: f"project/{place}" for file, place in files if not MADE & {*place.split("/")}}


def _made(sets: list[str]) -> dict[str, Files]:
    """These data sets, and the compact networks that were trained here."""
    from helpers import provenance

    root = door.data_root()
    drawn = [file.parent for file in sorted(root.glob("*/dataset.json")) if provenance.drawn(file.parent)]
    folders = [*drawn * (EMBEDDED in sets), *(root / name for name in sets if name != EMBEDDED)]
    data = {file: f"data/{one.name}/{place}" for one in folders for file, place in _set(one)}
    networks = [file.parent for file in root.glob("models/compact_*/weights.safetensors")]
    return {
        "data": data,
        "networks": {file: f"data/models/{one.name}/{place}" for one in networks for file, place in _below(one)},
    }


def _set(folder: Path) -> list[tuple[Path, str]]:
    """A data set's own files, and of what it links to (its sources) the pictures and masks that it names."""
    with (folder / "index.csv").open(encoding="utf-8", newline="") as table:
        named = {row[column] for row in csv.DictReader(table) for column in ("image", "mask") if row.get(column)}
    files = dict.fromkeys(place for _, place in _below(folder)) | dict.fromkeys(sorted(named))
    return [(folder / place, place) for place in files]


def _below(folder: Path) -> list[tuple[Path, str]]:
    """Every file below a folder with its place there; not what links lead to."""
    files = (Path(where, name) for where, _, names in os.walk(folder) for name in names)
    return [(file, file.relative_to(folder).as_posix()) for file in files if not file.is_symlink()]


def _told(parts: dict[str, Files], asked: Order, folder: Path) -> None:
    """Say how large it will be, before anything is made. Raises CourseError where there is no room for it."""
    sizes = {f"packages for {one}": wheels.size(one) for one in asked.targets}
    sizes |= {f"{name} ({len(files)} files)": sum(map(_size, files)) for name, files in parts.items()}
    place = next(one for one in folder.absolute().parents if one.exists())
    needed, free = sum(sizes.values()), shutil.disk_usage(place).free
    for name, size in sizes.items():
        print(f"{size / 1e6:8,.0f} MB  {name}")
    print(f"{needed / 1e6:8,.0f} MB  together, about; {free / 1e6:,.0f} MB are free at {place}")
    there = {one.split("/")[1] for one in parts["reports"].values()}
    if missing := [one.notebook.stem for one in asked.plans if one.notebook.stem not in there]:
        print(f"run first, some minutes each, for their reports and networks: {', '.join(missing)}", flush=True)
    if needed > free:
        raise CourseError(f"{folder}: about {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free there")


def _size(file: Path) -> int:
    return file.stat().st_size


def _copied(parts: dict[str, Files], draft: Path) -> None:
    files = {file: place for part in parts.values() for file, place in part.items()}
    with tqdm(total=sum(map(_size, files)), desc="copying", unit="B", unit_scale=True, leave=False) as bar:
        for file, place in files.items():
            (draft / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, draft / place)
            bar.update(_size(file))


def _scripts(draft: Path, asked: Order) -> None:
    """What installs it, and the page that says how."""
    pythons = " ".join(dict.fromkeys(one.python for one in asked.targets))
    holds = "\n".join(f"  {one}" for one in asked.targets)
    photos = [f"  {name}: {door.scripts()[name].load().licence}" for name in asked.sets if name != EMBEDDED]
    words = {"@PYTHONS@": pythons, "@TARGETS@": holds, "@LICENCES@": "\n".join(photos) or "  none"}
    for file in STICK.glob("*.*"):
        text = file.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        newline = "\r\n" if file.suffix in (".bat", ".txt") else "\n"  # as Windows wants them
        (draft / file.name).write_text(text, encoding="utf-8", newline=newline)
