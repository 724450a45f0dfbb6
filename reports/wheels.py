"""The packages of the course as wheels: what pip needs to install it without network, here or on another machine."""

import email
import platform
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers.door import REPO
from helpers.errors import CourseError

LINUX = [f"manylinux_2_{k}_x86_64" for k in range(34, 4, -1)] + ["manylinux2014_x86_64", "manylinux1_x86_64"]
SYSTEMS = {  # name -> system and machine as Python calls them, and the platforms that pip is to take wheels of
    "linux": ("Linux", "x86_64", LINUX),  # of 2022 or later: glibc 2.34
    "windows": ("Windows", "AMD64", ["win_amd64"]),
    "macos": ("Darwin", "arm64", ["macosx_14_0_arm64"]),  # torch has no wheels for Macs with Intel's processors
}
UNPACKED = 1.9  # times as large as its wheel is a package, all of them together
PLATFORM = {"Linux": "linux", "Windows": "win32", "Darwin": "darwin"}  # system -> sys.platform


@dataclass(frozen=True)
class Target:
    """A kind of machine that packages are for."""

    system: str
    machine: str
    python: str  # 3.12

    def __str__(self) -> str:
        return f"{self.system} {self.machine}, Python {self.python}"

    @property
    def markers(self) -> dict[str, str]:
        """What conditions of packages are judged by on that machine."""
        return {
            "sys_platform": PLATFORM.get(self.system, self.system.lower()),
            "platform_system": self.system,
            "platform_machine": self.machine,
            "os_name": "nt" if self.system == "Windows" else "posix",
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }


def here() -> Target:
    """This machine, with the Python that runs us."""
    return Target(platform.system(), platform.machine(), f"{sys.version_info.major}.{sys.version_info.minor}")


def targets(systems: Iterable[str], pythons: Iterable[str]) -> list[Target]:
    """Every one of these systems with every one of these Pythons; this machine's where none is named."""
    ours = here()
    machines = [SYSTEMS[name][:2] for name in systems] or [(ours.system, ours.machine)]
    known = [found for found in SYSTEMS.values() if found[:2] in machines]
    made = [Target(*machine, python) for machine in machines for python in [*pythons] or [ours.python]]
    if not known and made != [ours]:
        raise CourseError(f"--python: of {ours.system} {ours.machine} only packages for Python {ours.python} are got")
    return list(dict.fromkeys(made))


def requirements() -> list[str]:
    """What the course needs, and what builds it."""
    about = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    return [*about["project"]["dependencies"], *about["build-system"]["requires"]]


def size(target: Target) -> int:
    """Bytes of the target's wheels, roughly: by what the same packages take here."""

    def said(name: str) -> list[str]:
        try:
            return distribution(name).requires or []
        except PackageNotFoundError:  # of another system
            return []

    has: dict[str, set[str]] = {}
    wanted = [Requirement(text) for text in requirements()]
    while wanted:
        wanted = _further(wanted, has, target, said)
    there = [one for one in distributions() if one.name and canonicalize_name(one.name) in has]
    return int(sum(file.size or 0 for one in there for file in one.files or ()) / UNPACKED)


def fetch(target: Target, folder: Path) -> list[str]:
    """Every wheel that the target needs, into the folder; their names. Versions are those that are installed here.

    Raises CourseError where pip cannot get one.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".wheels") as own:
        pins, got = Path(own, "pins.txt"), Path(own, "got")
        pins.write_text("\n".join(sorted(_pins())), encoding="utf-8")
        options = ["-c", str(pins), "-d", str(got)]
        if target == here():
            _pip(target, *options, *requirements())
        else:
            _fetch_for_another(target, options, got)
        names = sorted(wheel.name for wheel in got.glob("*.whl"))
        for name in names:
            (got / name).replace(folder / name)  # one that several targets share is there once
    return names


def _fetch_for_another(target: Target, options: list[str], got: Path) -> None:
    """Round by round: pip would ask this machine what a package needs, so each wheel is read for what it says."""
    tags = next(tags for *machine, tags in SYSTEMS.values() if machine == [target.system, target.machine])
    options = ["--no-deps", "--python-version", target.python, *options]
    options += [word for tag in tags for word in ("--platform", tag)]

    def said(name: str) -> list[str]:
        wheel = next(file for file in got.glob("*.whl") if canonicalize_name(file.name.partition("-")[0]) == name)
        with zipfile.ZipFile(wheel) as opened:
            about = next(file for file in opened.namelist() if file.endswith(".dist-info/METADATA"))
            return email.message_from_bytes(opened.read(about)).get_all("Requires-Dist", [])

    has: dict[str, set[str]] = {}
    wanted = [Requirement(text) for text in requirements()]
    while wanted:
        if absent := {f"{one.name}{one.specifier}" for one in wanted if canonicalize_name(one.name) not in has}:
            _pip(target, *options, *sorted(absent))
        wanted = _further(wanted, has, target, said)


def _further(
    wanted: list[Requirement], has: dict[str, set[str]], target: Target, said: Callable[[str], list[str]]
) -> list[Requirement]:
    """What the wanted packages need on the target and is not in `has`, where these are noted, with their extras.

    `said` gives what a package says that it needs, by its name.
    """
    for one in wanted:
        has.setdefault(canonicalize_name(one.name), {""}).update(one.extras)
    found = []
    for name in {canonicalize_name(one.name) for one in wanted}:
        for one in map(Requirement, said(name)):
            if not one.marker or any(one.marker.evaluate(target.markers | {"extra": extra}) for extra in has[name]):
                found.append(one)
    return [one for one in found if not {"", *one.extras} <= has.get(canonicalize_name(one.name), set())]


def _pins() -> set[str]:
    """The versions that are installed here, as pip's constraints; a build's own mark (+cpu) is left open."""
    return {f"{one.name}=={Version(one.version).public}" for one in distributions() if one.name}


def _pip(target: Target, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--only-binary", ":all:", *arguments]
    if subprocess.run(command).returncode:
        said = f"packages for {target}: pip has not got all of them (its own words are above)"
        raise CourseError(f"{said}. Is there a network? Another --python may have wheels that this one has not")
