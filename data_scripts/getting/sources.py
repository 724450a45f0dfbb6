"""Where the upstream files of a data set are, found, linked, unpacked or fetched into `<root>/sources/<name>`.

A part there is the user's own file or folder, or a link: to where --from says, or into unpacked/, where every archive
has a folder of its own.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from helpers.errors import CourseError, Missing
from helpers.files import atomic, no_room

from .archives import unpack
from .fetch import fetch, verify
from .parts import Part, Upstream

UNPACKED = "unpacked"


def folder_of(name: str, root: Path) -> Path:
    """Where the upstream files of a data set are placed."""
    return Path(root) / "sources" / name


def places_of(name: str, root: Path, given: Path | None = None) -> list[Path]:
    """Where to look for upstream files. Raises CourseError when `given`, the user's own place, is not there."""
    if given is not None and not given.exists():
        raise CourseError(f"--from {given}: no such folder or file")
    return [folder_of(name, root)] if given is None else [given, folder_of(name, root)]


def gathered(dataset: Upstream, root: Path, given: Path | None = None, online: bool = True) -> str:
    """The layout whose parts are all below `folder_of`, put there from what is at `given`, in archives, or online.

    What is at `given` stays as it is. Raises Missing saying what to place where, CourseError when an archive is not the
    right one or cannot be unpacked.
    """
    folder, places = folder_of(dataset.name, root), places_of(dataset.name, root, given)
    layout = chosen(dataset, places, online)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(f"{UNPACKED}/.*"):  # of a process that was killed
        shutil.rmtree(stale)
    parts = dataset.layouts[layout]
    for part in parts:
        found = _found(part, parts, places)
        if found is None and part.url and not part.optional and online:
            try:
                found = fetch(part.url, folder / part.file, part.checksum)
            except Missing as error:
                with suppress(OSError):  # not empty: something came before
                    folder.rmdir()
                raise Missing(f"{dataset.name}: {error}.\n{_wanted(dataset, places)}") from None
        if found is not None:
            _settle(part, found, folder)
        if not part.optional and not (folder / part.path).exists():
            raise CourseError(f"{dataset.name}: {part.file} is here, but {part.path} is not in it. Get it again")
    return layout


def chosen(dataset: Upstream, places: list[Path], online: bool) -> str:
    """A layout with nothing missing in the first place alone, else in all, else one of which the rest can be fetched.

    Raises Missing when there is none; nothing is written.
    """
    for looked, url in ((places[:1], False), (places, False), (places, online)):
        for name, parts in sorted(dataset.layouts.items(), key=lambda one: -_count(one[1], looked)):
            if all(p.optional or (url and p.url) or _found(p, parts, looked) for p in parts):
                return name
    raise Missing(_wanted(dataset, places))


def _count(parts: tuple[Part, ...], places: list[Path]) -> int:
    return sum(_found(part, parts, places) is not None for part in parts)


def _found(part: Part, parts: tuple[Part, ...], places: list[Path]) -> Path | None:
    """The part, or the archive that holds it, in the first of the places that has either."""
    for place in places:
        for base in _bases(place, parts):
            if found := _in(base, part):
                return found
    return None


def _in(base: Path, part: Part) -> Path | None:
    """The part in a folder, or in that which its archive was unpacked into, or the archive."""
    stem, inside = part.archive.split(".")[0], part.path.removeprefix(part.into).lstrip("/")
    tried = [part.path] + [f"{stem}/{part.path}", f"{stem}/{inside}", part.archive] * bool(stem)
    return next((base / one for one in tried if (base / one).exists()), None)


def _bases(place: Path, parts: tuple[Part, ...]) -> Iterator[Path]:
    """The place, or the folder that it lies in when it is itself a part; then its folders that hold every part.

    One that holds only some does not count: any data set may have a folder `train`.
    """
    if place.name in {name for part in parts for name in (part.path, part.archive)}:
        yield place.parent
    if place.is_dir():
        yield place
        for folder in sorted(f for f in place.iterdir() if f.is_dir() and f.name[0] != "." and f.name != UNPACKED):
            if all(part.optional or _in(folder, part) for part in parts):
                yield folder


def _settle(part: Part, found: Path, folder: Path) -> None:
    """Make the part be below the folder: checked, unpacked, linked to."""
    archived = found.name == part.archive and found.name != part.path
    if not archived and not part.archive:
        verify(found, part.checksum, f"not the {part.file} of its authors")
    if archived:
        into = folder / UNPACKED / f"{found.name}-{found.stat().st_size}"
        if not into.is_dir():
            verify(found, part.checksum, f"not the {part.archive} of its authors")
            _unpacked(found, into, part.into)
        inside = [f for f in (into / part.path, *sorted(into.glob(f"*/{part.path}"))) if f.exists()]
        if not inside:
            return
        found = inside[0]
    _link(found, folder / part.path, folder)


def _link(found: Path, wanted: Path, folder: Path) -> None:
    if wanted.exists() and found.samefile(wanted):
        return
    target = found.resolve()  # before the link it may go through is gone
    if wanted.is_symlink():  # from elsewhere before, or to a place that is gone
        wanted.unlink()
    elif wanted.exists():
        raise CourseError(f"both {found} and {wanted} are there; move one of them away")
    wanted.parent.mkdir(parents=True, exist_ok=True)
    link(wanted, target, folder)


def link(place: Path, target: Path, within: Path) -> None:
    """Make `place` a link to a file or folder; relative inside of `within`, so that this folder can be moved.

    Raises CourseError where links are not allowed.
    """
    target = target.resolve()
    own = target.is_relative_to(within.resolve())
    try:
        place.symlink_to(os.path.relpath(target, place.parent.resolve()) if own else target, target.is_dir())
    except OSError as error:
        if no_room(error):
            raise
        raise CourseError(f"{place} cannot be a link to {target} ({error}); allow links on this disk") from None


def _unpacked(archive: Path, folder: Path, into: str) -> None:
    """The archive in this folder, or below it in `into`: all of it or nothing."""
    with atomic(folder) as draft:
        (draft / into).mkdir(parents=True)
        unpack(archive, draft / into)


def _wanted(dataset: Upstream, places: list[Path]) -> str:
    """What to place where, for a person with a browser."""
    lines = [f"{dataset.name} ({dataset.size}; licence: {dataset.licence}) is got at {dataset.page}"]
    for k, (name, parts) in enumerate(dataset.layouts.items()):
        lines.append(f"Place in {places[-1]}:" if not k else f"or, as {name}:")
        for file, of in groupby(parts, key=lambda part: part.file):
            one, *more = of
            packed = f" (or unpacked: {', '.join(part.path for part in (one, *more))})" if one.archive else ""
            optional = all(part.optional for part in (one, *more))
            notes = [one.url] * bool(one.url) + [one.checksum] * bool(one.checksum) + ["optional"] * optional
            lines.append(f"  {file}{packed}" + (f"  [{', '.join(notes)}]" if notes else ""))
    best = max(dataset.layouts.values(), key=lambda parts: _count(parts, places))
    missing = dict.fromkeys(p.file for p in best if not p.optional and not _found(p, best, places))
    if _count(best, places) and missing:
        lines.append(f"Some of it is here. Still missing: {', '.join(missing)}")
    lines.append(f"Then: course data prepare {dataset.name}; or if they are elsewhere, add --from PATH")
    return "\n".join(lines)
