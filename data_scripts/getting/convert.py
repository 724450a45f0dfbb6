"""Pictures that cannot be read as they are, made RGB of 8 bits: in a new folder, and the old one stays as it is."""

import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageCms, ImageColor, ImageOps
from tqdm import tqdm

from helpers.errors import CourseError
from helpers.files import readable
from helpers.pictures.images import conversion, decoded, open_image, rgb

from . import prepare, strays, tables
from .verify import FIRST

REPORT = "converted.csv"  # in the new folder: every picture that was written anew or left out, and why
Done = tuple[str, str]  # what a file is called in the new folder ("": left out), and what was done to it


def convert(source: Path, target: Path, background: str = "white") -> list[str]:
    """Write `source` into the new folder `target`, with pictures that a data set can have; what was done, a line each.

    What is fine is copied as it is, and so are masks and tables, which name the new files. The rest becomes PNG: the
    first frame, upright, RGB. What is transparent stands on the colour `background`; numbers without a fixed range are
    stretched between the least and the largest of their picture. Raises CourseError for a target that holds something
    or lies in the source, and for a colour that is none; then nothing is written.
    """
    _check(source, target, background)
    base, left = (source.parent, []) if source.is_file() else (source, list[Path]())
    found = [source] if source.is_file() else strays.pictures(source, left)
    meant = _meant(base, found) if base == source else found
    if not meant:
        raise CourseError(f"{source}: no pictures in it")
    beside = [f for f in left if f.is_file() and not strays.hidden(f.name)] + sorted({*found} - {*meant})
    names = _names(base, meant, beside)
    with prepare.drafted(target) as draft, ThreadPoolExecutor(os.cpu_count()) as pool:
        for file in beside:
            _copied(file, draft / readable(file.relative_to(base)))
        work = pool.map(lambda file: _one(file, base, draft, names[file], background), meant)
        bar = tqdm(work, total=len(meant), desc="converting", unit="picture", leave=False)
        done = dict(zip([readable(f.relative_to(base)) for f in meant], bar, strict=True))
        _renamed(draft, done)
        rows = [(name, new, how) for name, (new, how) in done.items() if how]
        if rows:
            pd.DataFrame(rows, columns=["from", "image", "what"]).to_csv(draft / REPORT, index=False, encoding="utf-8")
    return _said(target, done)


def _check(source: Path, target: Path, background: str) -> None:
    """Raise CourseError unless the places are two, the second one is empty, and the background is a colour."""
    if not source.exists():
        raise CourseError(f"{source}: no such folder or picture")
    if target.resolve().is_relative_to(source.resolve()):
        raise CourseError(f"{target} lies in {source}; give a folder elsewhere: what is there is not touched")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise CourseError(f"{target} is there, and not empty; give a new folder: nothing is overwritten")
    try:
        ImageColor.getrgb(background)
    except ValueError:
        raise CourseError(f"--background is {background!r}; expected a colour: white, grey, #80c0ff ...") from None


def _meant(root: Path, found: list[Path]) -> list[Path]:
    """The pictures themselves: masks and layers are none, and a palette is what they mean."""
    if (root / "index.csv").is_file():
        named = {*tables.read_csv(root / "index.csv", ("image",))["image"]}
        return [file for file in found if readable(file.relative_to(root).as_posix()) in named]
    within = root / "images"
    return [file for file in found if file.is_relative_to(within)] if within.is_dir() else found


def _names(base: Path, meant: list[Path], beside: list[Path]) -> dict[Path, str]:
    """What each picture is called as a PNG: by its stem, or where another file would be called so by its whole name."""
    wanted = {file: file.with_suffix(".png") for file in meant}
    count = Counter([*wanted.values(), *(f for f in beside), *(f for f in meant if f != wanted[f])])
    names = {file: png if count[png] == 1 else file.with_name(file.name + ".png") for file, png in wanted.items()}
    return {file: readable(name.relative_to(base)) for file, name in names.items()}


def _one(file: Path, base: Path, draft: Path, name: str, background: str) -> Done:
    """One picture put into the draft: as it is where it can be, else under its new name."""
    try:
        image = decoded(file, open_image(file))
        made, how = _made(file, image, background)
    except CourseError as error:
        return "", readable(str(error)).removeprefix(f"{readable(file)}: ")
    if not how:
        name = readable(file.relative_to(base))
        _copied(file, draft / name)
        return name, ""
    (draft / name).parent.mkdir(parents=True, exist_ok=True)
    if image.mode == "CMYK":
        made.info.pop("icc_profile", None)  # of the inks, and this is sRGB
    made.save(draft / name)
    return name, f"{how}; {FIRST}" if getattr(image, "n_frames", 1) > 1 else how


def _made(file: Path, image: Image.Image, background: str) -> tuple[Image.Image, str]:
    """The decoded picture upright in RGB, and how it was made so; "" when it may stay as it is."""
    upright = ImageOps.exif_transpose(image)
    with suppress(CourseError):  # what reading refuses is why this is here
        how = conversion(file, image)
        return (rgb(upright) if how else image), how
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(upright), "in LAB, made sRGB"
    if image.mode.startswith(("I", "F")):
        return _stretched(file, np.asarray(upright).astype(float))
    if not image.has_transparency_data:
        raise CourseError(f"{file}: mode {image.mode}, which nobody has told how to read")
    front = upright.convert("RGBA")
    back = Image.new("RGBA", front.size, (*ImageColor.getrgb(background)[:3], 255))
    return Image.alpha_composite(back, front).convert("RGB"), f"transparent in parts, put on {background}"


def _stretched(file: Path, values: np.ndarray) -> tuple[Image.Image, str]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise CourseError(f"{file}: no finite number in it")
    low, high = float(finite.min()), float(finite.max())
    shown = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    grey = ((shown - low) * 255 / ((high - low) or 1) + 0.5).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB"), f"stretched from its least to its largest value: {low:g} to {high:g}"


def _copied(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, place)


def _renamed(draft: Path, done: dict[str, Done]) -> None:
    """Make the tables name the new files, without those that were left out."""
    new = {name.replace(os.sep, "/"): made for name, (made, _) in done.items()}
    for name, column, below in (
        ("index", "image", ""),
        *((name, "file", "images/") for name in ("labels", "attributes")),
    ):
        if (file := draft / f"{name}.csv").is_file():
            rows = tables.read_csv(file, (column,))
            rows[column] = [new.get(below + old, below + old).removeprefix(below) for old in rows[column]]
            rows[rows[column] != ""].to_csv(file, index=False, encoding="utf-8")


def _said(target: Path, done: dict[str, Done]) -> list[str]:
    """The report: how many pictures were copied, how many were written anew in which way, and what was left out."""
    anew = Counter(how.split(": ")[0] for new, how in done.values() if new and how)
    out = [(name, how) for name, (new, how) in done.items() if not new]
    copied = sum(not how for _, how in done.values())
    said = [f"{target}: {copied:,} picture(s) copied as they are, {anew.total():,} made RGB of 8 bits"]
    said += [f"- {count:,} {how}" for how, count in anew.most_common()]
    if out:
        said.append(f"- {len(out):,} cannot be read and are not there; the first: {': '.join(out[0])}")
    listed = [f"{REPORT} lists them"] if anew or out else []
    return [*said, *listed, f"Use it: -p dataset={target}"]
