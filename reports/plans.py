"""The question of a run, checked before any work: which notebook, which values, and the id that belongs to them.

Light on purpose: what a mistake in a parameter needs is here, and it brings neither torch nor the page.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers import door, parameters
from helpers.door import REPO
from helpers.errors import CourseError, nearest
from helpers.files import writable

from . import kept, settings

OUT = REPO / "reports" / "out"
PROFILES = REPO / "reports" / "profiles"


def usual_out() -> Path:
    """Where reports go when nobody says where."""
    return OUT if writable(OUT) and not door.INSTALLED else door.data_root() / "reports"


@dataclass(frozen=True)
class Plan:
    """One question: a notebook, every parameter's value, and the id that the same question always has."""

    notebook: Path
    profile: str | None
    parameters: list[parameters.Parameter]
    values: dict
    run_id: str

    def folder(self, out: Path) -> Path:
        """Where this run goes, below `out`."""
        return out / self.notebook.stem / self.run_id

    @property
    def key(self) -> str:
        """Tells this run from all others: notebooks with the same cells have the same ids."""
        return f"{self.notebook.stem}/{self.run_id}"

    @property
    def shards(self) -> Path:
        """Where the finished shards of a heavy run are kept: of the same question, whoever does them."""
        asked = [p for p in self.parameters if p.bounds != "workers"]
        values = {p.name: self.values[p.name] for p in asked}
        key = _run_id(self.notebook, asked, values, door.find)
        return door.data_root() / "shards" / f"{self.notebook.stem}-{key}"

    @property
    def changed(self) -> list[str]:
        """The parameters that do not have their default."""
        return [p.name for p in self.parameters if self.values[p.name] != p.default]

    @property
    def instead(self) -> dict:
        """What the profile says of each parameter that was given another value than by it."""
        if self.profile is None:
            return {}
        said = {
            key: settings.expanded(value) for key, value in profile_values(self.profile, self.notebook.stem).items()
        }
        usual = _absolute(self.parameters, parameters.typed(self.notebook.stem, self.parameters, said))
        return {name: value for name, value in usual.items() if value != self.values[name]}


def notebooks() -> list[Path]:
    """Every notebook of the course, in order."""
    return sorted((REPO / "notebooks").glob("[0-9]*.ipynb"))


def notebook(name: str) -> Path:
    """A notebook by name (`01_focus`), number (`01`) or path. Raises CourseError naming those there are."""
    if name.endswith(".ipynb") and Path(name).is_file():
        if (path := Path(name).resolve()).stem.startswith("."):  # its reports would be hidden, or above --out
            raise CourseError(f"{path}: a notebook whose name begins with a dot has no place for reports. Rename it")
        return path
    names = [path.stem for path in notebooks()]
    if found := [path for path in notebooks() if name in (path.stem, path.stem.split("_")[0])]:
        return found[0]
    raise CourseError(f"no notebook `{name}`.{nearest(name, names)} There are: {', '.join(names)}")


def title(path: Path) -> str:
    """The first heading of a notebook."""
    texts = ["".join(cell["source"]) for cell in _cells(path) if cell["cell_type"] == "markdown"]
    lines = [line for text in texts for line in text.splitlines()]
    return next((line[2:].strip() for line in lines if line.startswith("# ")), path.stem)


def plan(name: str, profile: str | None = None, file: Path | None = None, given: dict | None = None) -> Plan:
    """Check everything that can be checked before a kernel starts; raises CourseError with what is wrong."""
    path, known, asked = _asked(name, profile, file, given)
    values = _absolute(known, parameters.check(path.stem, known, asked))
    return Plan(path, profile, known, values, _run_id(path, known, values, door.find))


def answered(name: str, profile: str | None, file: Path | None, given: dict, out: Path) -> Path | None:
    """The newest finished run of this question below `out`: told without torch, and without making data ready.

    None where there is none, and where it cannot be told so, as of a mistake or data that are not there: ask `plan`.
    What a finished run named was looked up when it ran, and its id says that code, data and weights are the same.
    """
    try:
        path, known, asked = _asked(name, profile, file, given)
        values = _absolute(known, parameters.typed(path.stem, known, asked))
        found = kept.finished(out / path.stem / _run_id(path, known, values, door.prepared))
    except CourseError:
        return None
    return found[-1] if found else None


def _asked(
    name: str, profile: str | None, file: Path | None, given: dict | None
) -> tuple[Path, list[parameters.Parameter], dict]:
    """The notebook, what it can be asked, and what is asked: by the profile, the file, and what is `given`."""
    path = notebook(name)
    values = {**profile_values(profile, path.stem), **(settings.read(file) if file else {}), **(given or {})}
    return path, parameters.read(path), {key: settings.expanded(value) for key, value in values.items()}


def _absolute(known: list[parameters.Parameter], values: dict) -> dict:
    return values | {p.name: settings.absolute(values[p.name], p.bounds) for p in known if p.item == "str"}


def profile_values(profile: str | None, stem: str) -> dict:
    """The parameters that a profile sets for one notebook. Raises CourseError naming the profiles there are."""
    if profile is None:
        return {}
    there = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    if profile not in there:
        raise CourseError(f"no profile `{profile}`.{nearest(profile, there)} There are: {', '.join(there)}")
    values = settings.read(PROFILES / f"{profile}.yaml")
    if values.get(stem) is None and stem not in values:
        raise CourseError(f"profile `{profile}` says nothing about {stem}; it knows: {', '.join(values)}")
    return values[stem] or {}


def _run_id(path: Path, known: list[parameters.Parameter], values: dict, place: Callable[[str], Path]) -> str:
    """A hash of the question: code, parameters, data and weights. `place` says where a data set lies."""
    digest = hashlib.sha256()
    for code in _code(path).values():
        digest.update(code)
    digest.update(json.dumps(values, sort_keys=True).encode())
    for parameter in known:
        for value in values[parameter.name] if parameter.many else [values[parameter.name]]:
            if value and str(parameter.bounds).startswith("data set"):
                digest.update(door.manifest(place(value)).encode())
            with_prefix = str(value).partition(":")[2] if str(parameter.bounds).startswith("model") else ""
            if (parameter.bounds == "weights" or with_prefix) and (found := _file(with_prefix or value)):
                with found.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:10]


def hashes(path: Path) -> dict[str, str]:
    """A short hash of all the code that a run of this notebook depends on."""
    return {name: hashlib.sha256(code).hexdigest()[:12] for name, code in _code(path).items()}


def _code(path: Path) -> dict[str, bytes]:
    """The sources that an id depends on: the notebook, those that it loads, the settings beside it; our packages."""
    packages = ("helpers", "data_scripts")
    modules = sorted(file for package in packages for file in (REPO / package).rglob("*.py"))
    notebook = "\0".join("".join(cell["source"]) for cell in _cells(path))
    loaded = [one for one in notebooks() if one != path and re.search(rf'[/"]{one.stem}(\.ipynb)?"', notebook)]
    notebook += "".join("".join(cell["source"]) for one in loaded for cell in _cells(one))
    notebook += beside.read_text("utf-8") if (beside := path.with_suffix(".yaml")).is_file() else ""
    return {"notebook": notebook.encode(), " and ".join(packages): b"".join(file.read_bytes() for file in modules)}


def _file(value: str) -> Path | None:
    """The file that a value names, or that of the module in `MODULE:FUNCTION`."""
    if os.path.isfile(file := os.path.expanduser(value)):
        return Path(file)
    module = sys.modules.get(value.partition(":")[0]) if ":" in value else None  # imported when it was checked
    return Path(module.__file__) if module and module.__file__ else None


def _cells(path: Path) -> list[dict]:
    """The cells of a notebook. Not by nbformat, which takes longer to import than all else here."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"]
