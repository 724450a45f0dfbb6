"""RIVAL10 (Moayeri et al. 2022): twenty classes of ImageNet as ten, with the object's mask and 18 attributes.

A picture `ordinary/<wnid>_<name>.JPEG` has its attributes in `<the same>_attr_labels.npy` and its object in
`entire_object_masks/`, or else in `<the same>_attr_dict.pkl`. The pictures with attributes pasted in or painted over
(superimposed/, removed/) are no photos and are not taken.
"""

import base64
import io
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from tqdm import tqdm

from helpers.errors import CourseError
from helpers.pictures.images import ORIENTATION, open_image

from ..getting.upstream import Arranged, Dataset, Part, pictures

CLASSES = {  # in the order of the authors' labels 0 to 9; two classes of ImageNet each
    "truck": ("n03796401", "n04467665"),
    "car": ("n02814533", "n03100240"),
    "plane": ("n02690373", "n04552348"),
    "ship": ("n03673027", "n03095699"),
    "cat": ("n02123394", "n02124075"),
    "dog": ("n02099712", "n02099601"),
    "equine": ("n02389026", "n02391049"),
    "deer": ("n02423022", "n02422699"),
    "frog": ("n01644900", "n01644373"),
    "bird": ("n01531178", "n01532829"),
}
LABELS = {wnid: name for name, wnids in CLASSES.items() for wnid in wnids}
ATTRIBUTES = (
    *("long-snout", "wings", "wheels", "text", "horns", "floppy-ears", "ears", "colored-eyes", "tail"),
    *("mane", "beak", "hairy", "metallic", "rectangular", "wet", "long", "tall", "patterned"),
)


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """The ordinary pictures with class, WordNet id and attributes, their objects as masks/<split>/<name>.png.

    A picture without an object's mask has none; one without attributes is left out. Raises CourseError when a split
    has no folder of pictures.
    """
    files = [file for split in ("train", "test") for file in _ordinary(source / "RIVAL10" / split / "ordinary")]
    for split in ("train", "test"):
        (made / "masks" / split).mkdir(parents=True)
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        each = pool.map(partial(_row, made), files)
        found = list(tqdm(each, "masks of rival10", len(files), delay=2, leave=False))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for 26,000 masks
    rows = [row for row in found if isinstance(row, tuple)]
    out = [(f.relative_to(made).as_posix(), row) for f, row in zip(files, found, strict=True) if isinstance(row, str)]
    table = pd.DataFrame(rows, columns=["image", "split", "label", "mask", "wnid", *ATTRIBUTES])
    without = int((table["mask"] == "").sum())
    notes = (f"Pictures without a mask of their object: {without:,}",) * bool(without)
    classes = [(name, i, name) for i, name in enumerate(CLASSES)]
    return Arranged(table, classes, {0: "background", 1: "object"}, notes=notes, left_out=tuple(out))


def _ordinary(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CourseError(f"{folder.resolve()}: no such folder; expected RIVAL10/train/ordinary and test/ordinary")
    return [file for file in pictures(folder) if not file.stem.endswith("_merged_mask")]


def _row(made: Path, file: Path) -> tuple | str:
    """The row of one picture, its mask written; or why it is left out."""
    wnid, split, mask = file.name.split("_")[0], file.parent.parent.name, ""
    if wnid not in LABELS:
        return f"its name begins with none of RIVAL10's {len(LABELS)} WordNet ids"
    try:
        values = _attributes(file.with_name(f"{file.stem}_attr_labels.npy"))
        if found := _object(file):
            mask = f"masks/{split}/{file.stem}.png"
            _as_picture(found, file).save(made / mask)
    except CourseError as error:
        return str(error).replace(f"{file}: ", "").replace(f"{made}/", "")
    return file.relative_to(made).as_posix(), split, LABELS[wnid], mask, wnid, *values


def _attributes(file: Path) -> list[int]:
    """18 numbers 0 or 1: the first row of the array; the second tells what was changed by hand, here nothing."""
    try:
        values = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise CourseError(f"{file.name} is missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise CourseError(f"{file.name} cannot be read ({error})") from None
    if values.shape != (2, len(ATTRIBUTES)) or not np.isin(values[0], (0, 1)).all():
        raise CourseError(f"{file.name} has shape {values.shape}; expected (2, {len(ATTRIBUTES)}) of 0 and 1")
    return values[0].astype(int).tolist()


def _object(file: Path) -> Image.Image | None:
    """The mask of the whole object as its authors store it: a file, or base64 text among the attributes' masks."""
    beside = file.parent.with_name("entire_object_masks") / file.name
    if beside.is_file():
        return open_image(beside)
    try:
        masks = _Plain(io.BytesIO(file.with_name(f"{file.stem}_attr_dict.pkl").read_bytes())).load()
        return Image.open(io.BytesIO(base64.b64decode(masks["entire-object"])))
    except (FileNotFoundError, KeyError):
        return None
    except Exception as error:  # a broken pickle raises almost anything
        raise CourseError(f"{file.stem}_attr_dict.pkl cannot be read ({error})") from None


class _Plain(pickle.Unpickler):
    """Reads dicts, lists, texts and numbers; a file from elsewhere shall not run code here."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it holds {module}.{name}; expected a dict of texts")


def _as_picture(mask: Image.Image, file: Path) -> Image.Image:
    """The mask cut at half of its largest value: a palette picture, 1 on the object, as large and upright as the photo.

    Where it has an alpha channel that is not the same everywhere, that counts, too.
    """
    try:
        values = np.asarray(mask.convert("RGBA"))
    except Exception as error:  # as in helpers.pictures.images, Pillow's decoders raise almost anything
        raise CourseError(f"the mask of its object is truncated or corrupt ({error})") from None
    values = values[..., : 3 if (values[..., 3] == values[0, 0, 3]).all() else 4].max(2)
    found = Image.fromarray((values > values.max() / 2).astype(np.uint8))
    with open_image(file) as photo:
        found = found.resize(photo.size, Image.Resampling.NEAREST) if found.size != photo.size else found
        found.getexif()[ORIENTATION] = photo.getexif().get(ORIENTATION, 1)  # the authors turn neither of the two
    found = Image.fromarray(np.asarray(ImageOps.exif_transpose(found)))
    found.putpalette([0, 0, 0, 255, 255, 255])
    return found


DATASET = Dataset(
    name="rival10",
    holds="26,000 photos of 10 classes of ImageNet, each with its object's mask and 18 attributes",
    notebooks="03",
    size="several GB",
    licence="non-commercial research",
    page="https://github.com/mmoayeri/RIVAL10/tree/gh-pages",
    layouts={"archive": (Part("RIVAL10", archive="rival10.zip"),)},
    arrange=arrange,
)
