"""Where the upstream files of a data set are: found, linked, unpacked or fetched into `<root>/sources/<name>`."""

import shutil
import tempfile
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from helpers.errors import CourseError, Missing

from .archives import unpack
from .fetch import fetch, verify
from .upstream import Dataset, Part


def folder_of(name: str, root: Path) -> Path:
    """Where the upstream files of a data set are placed."""
    return Path(root) / "sources" / name


def places_of(name: str, root: Path, given: Path | None = None) -> list[Path]:
    """Where to look for upstream files. Raises CourseError when `given`, the user's own place, is not there."""
    if given is not None and not given.exists():
        raise CourseError(f"--from {given}: no such folder or file")
    return [folder_of(name, root)] if given is None else [given, folder_of(name, root)]


def gathered(dataset: Dataset, root: Path, given: Path | None = None, online: bool = True) -> str:
    """The layout whose parts are all below `folder_of`, put there from what is at `given`, in archives, or online.

    Files at `given` stay where they are and are linked to; archives are unpacked beside the links. Raises Missing
    saying what to place where, CourseError when an archive is not the right one or cannot be unpacked.
    """
    folder, places = folder_of(dataset.name, root), places_of(dataset.name, root, given)
    layout = chosen(dataset, places, online)
    folder.mkdir(parents=True, exist_ok=True)
    parts = dataset.layouts[layout]
    for part in parts:
        if not _settled(part, places, folder) and part.url and not part.optional and online:
            try:
                fetch(part.url, folder / part.file, part.checksum)
            except Missing as error:
                with suppress(OSError):  # not empty: something came before
                    folder.rmdir()
                raise Missing(f"{dataset.name}: {error}.\n{_wanted(dataset, root)}") from None
            _settled(part, places, folder)
        if not part.optional and not (folder / part.path).exists():
            raise CourseError(f"{dataset.name}: {part.file} is here, but {part.path} is not in it. Get it again")
    return layout


def chosen(dataset: Dataset, places: list[Path], online: bool) -> str:
    """The first layout with nothing missing; with the most of it here when several could be fetched.

    Raises Missing when none is whole; nothing is written.
    """
    there = {name: sum(_there(part, places) for part in parts) for name, parts in dataset.layouts.items()}
    for name in sorted(there, key=there.get, reverse=True):
        if all(part.optional or _there(part, places) for part in dataset.layouts[name]):
            return name
    for name in sorted(there, key=there.get, reverse=True):
        if online and all(part.optional or part.url or _there(part, places) for part in dataset.layouts[name]):
            return name
    raise Missing(_wanted(dataset, places[-1].parents[1], [place for place in places if place.exists()]))


def _there(part: Part, places: list[Path]) -> bool:
    return any(_below(place, part.path) or (part.archive and _below(place, part.archive)) for place in places)


def _settled(part: Part, places: list[Path], folder: Path) -> bool:
    """Whether the part is below the folder now: it was, or it is linked to, or comes out of an archive."""
    wanted = folder / part.path
    for place in places:
        if found := _below(place, part.path):
            if not part.archive:
                verify(found, part.checksum, f"the {part.file} of its authors")
            if found.absolute() != wanted.absolute():
                _link(found, wanted)
            return True
    for place in places:
        if part.archive and (archive := _below(place, part.archive)):
            verify(archive, part.checksum, f"the {part.archive} of its authors")
            _unpacked(archive, folder, part.into)
            if (found := _below(folder, part.path)) and found != wanted:  # it was in a folder of the archive's own
                wanted.parent.mkdir(parents=True, exist_ok=True)
                found.rename(wanted)
            return wanted.exists()
    return False


def _below(place: Path, path: str) -> Path | None:
    """`path` in a place, or in just one of its folders, or the place itself when its own name is what is looked for."""
    if (place / path).exists():
        return place / path
    if place.name == path and place.exists():
        return place
    if not place.is_dir():
        return None
    found = [folder / path for folder in place.iterdir() if folder.is_dir() and (folder / path).exists()]
    return found[0] if len(found) == 1 else None


def _link(found: Path, wanted: Path) -> None:
    if wanted.is_symlink():
        wanted.unlink()
    elif wanted.exists():
        raise CourseError(f"both {found} and {wanted} are there; move one of them away")
    wanted.parent.mkdir(parents=True, exist_ok=True)
    try:
        wanted.symlink_to(found.resolve(), target_is_directory=found.is_dir())
    except OSError as error:
        raise CourseError(f"{wanted} cannot be a link ({error}); move {found} there") from None


def _unpacked(archive: Path, folder: Path, into: str) -> None:
    """Everything in the archive below `folder / into`, of what is not there yet; nothing when that is interrupted."""
    draft = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        (draft / into).mkdir(parents=True, exist_ok=True)
        unpack(archive, draft / into)
        for found in sorted(draft.iterdir()):
            if not (folder / found.name).exists():
                found.rename(folder / found.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _wanted(dataset: Dataset, root: Path, looked: list[Path] = ()) -> str:
    """What to place where, for a person with a browser."""
    folder = folder_of(dataset.name, root)
    lines = [f"{dataset.name} ({dataset.size}; licence: {dataset.licence}) is got at {dataset.page}"]
    for k, (name, parts) in enumerate(dataset.layouts.items()):
        lines.append(f"Place in {folder}:" if not k else f"or, as {name}:")
        for file, of in groupby(parts, key=lambda part: part.file):
            one, *more = of
            packed = f" (or unpacked: {', '.join(part.path for part in (one, *more))})" if one.archive else ""
            optional = all(part.optional for part in (one, *more))
            notes = [one.url] * bool(one.url) + [one.checksum] * bool(one.checksum) + ["optional"] * optional
            lines.append(f"  {file}{packed}" + (f"  [{', '.join(notes)}]" if notes else ""))
    every = {part.file: _there(part, looked) for parts in dataset.layouts.values() for part in parts}
    if any(every.values()):
        lines.append(f"Still missing: {', '.join(file for file, here in every.items() if not here)}")
    lines.append(f"Then: course data prepare {dataset.name}; or if they are elsewhere, add --from PATH")
    return "\n".join(lines)
