"""Sub-folders of pictures read as classes, or as splits with classes inside; what may be either is not guessed."""

from collections import Counter
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import readable

from . import strays

SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SPLITS |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")
NAMED = 6  # classes by name in an error or a note
Row = tuple[Path, str, str]  # file, split, label
There = dict[Path, list[Path]]  # folder -> the pictures in and below it


def rows(root: Path, left: list[Path]) -> tuple[list[Row], list[str]]:
    """A row for each picture in the sub-folders of `root`, none where there are no such folders; and notes.

    What lies there and is no picture of the data set is added to `left`. Raises CourseError that shows both readings
    where folders look like splits and are not whole.
    """
    there = _there(root, left)
    named = {p: files for p, files in there.items() if split_of(p)}
    tools = [p for p in there if p.name.casefold() in strays.TOOLS and (named or not _loose(p, there[p]))]
    others = {p: files for p, files in there.items() if p not in named and p not in tools}
    left += tools
    if named and (not others or len({*map(split_of, named)}) > 1 or any(_classes(p, there[p]) for p in named)):
        _whole(root, named, others)
        left += [file for p, files in named.items() for file in _loose(p, files)]
        inside = [(p, file) for p, files in named.items() for file in files if file.parent != p]
        return [(file, split_of(p), file.relative_to(p).parts[0]) for p, file in inside], []
    notes = [f"{p.name}/ is taken for a class: unlike a split, it has no folders of classes" for p in named]
    if len(others) == 1 and not named:
        notes += _one(root, *next(iter(others.items())))
    return [(file, "val", p.name) for p, files in there.items() if p not in tools for file in files], notes


def split_of(folder: Path) -> str:
    """The split that a folder of this name is, in any case; "" for none."""
    return SPLITS.get(folder.name.casefold(), "")


def _there(root: Path, left: list[Path]) -> There:
    """The sub-folders that hold pictures; what else they hold, and those that hold none, is left."""
    there, inside = {}, sorted(root.iterdir())
    album = any(strays.is_picture(file) for file in inside if not file.is_dir())  # perhaps with its thumbnails
    for folder in (p for p in inside if p.is_dir()):
        out: list[Path] = []
        none = strays.hidden(folder.name) or (album and folder.name.casefold() in strays.THUMBNAILS)
        if not none and (files := strays.pictures(folder, out)):
            there[folder] = files
            left += out
        else:
            left.append(folder)
    return there


def _loose(folder: Path, files: list[Path]) -> list[Path]:
    return [file for file in files if file.parent == folder]


def _classes(folder: Path, files: list[Path]) -> list[str]:
    return [*dict.fromkeys(file.relative_to(folder).parts[0] for file in files if file.parent != folder)]


def _one(root: Path, folder: Path, files: list[Path]) -> list[str]:
    """What to say of a folder that holds one folder: perhaps it is unpacked, and the data set is one deeper."""
    inside = [] if _loose(folder, files) else _classes(folder, files)
    if inside and all(split_of(Path(name)) for name in inside):
        raise CourseError(f"{root}: its pictures are in {folder.name}/{inside[0]} ...; give {folder}")
    way = f"If {_some(inside)} are the classes, give {readable(folder)}" if len(inside) > 1 else ""
    return [f"All pictures are of one class, {readable(folder.name)}. {way}"] if way else []


def _whole(root: Path, named: There, others: There) -> None:
    """Raise CourseError with both readings unless all folders are splits, each once and with classes in it."""
    wrong = [f"{readable(p.name)}/ is no name of a split" for p in others]
    wrong += [f"{p.name}/ has no folders of classes in it" for p, files in named.items() if not _classes(p, files)]
    for split, count in Counter(map(split_of, named)).items():
        if count > 1:
            wrong.append(f"{_some([f'{p.name}/' for p in named if split_of(p) == split])} are one split, {split}")
    if not wrong:
        return
    splits = [f"{p.name}/ ({_some(_classes(p, files)) or 'no classes'})" for p, files in named.items()]
    out = f", without {_some([p.name + '/' for p in others])}" if others else ""
    raise CourseError(
        f"{readable(root)}: its folders look like splits, but {'; '.join(wrong)}. Which is meant?\n"
        f"- splits: {', '.join(splits)}{out}. Then move what is no split out of this folder, and give each split one "
        f"sub-folder per class\n"
        f"- classes: {_some([p.name for p in (*named, *others)])}. Then rename {_some([p.name for p in named])}\n"
        f"An index.csv (image, split, label) says either, whatever folders are called"
    )


def _some(names: list[str]) -> str:
    return ", ".join(map(readable, names[:NAMED])) + f" and {len(names) - NAMED} more" * (len(names) > NAMED)
