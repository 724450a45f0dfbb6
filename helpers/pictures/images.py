"""One file -> one picture, mask or stack of layers, and a picture -> a square. What cannot be read is named."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import CourseError

ORIENTATION = 0x0112  # EXIF tag: how the camera was held
# of what Pillow knows, those that are pictures and nothing else: an EPS file named .jpg is a program
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
FITS = ("squash_crop", "squash", "cover", "pad")


def open_image(path: Path) -> Image.Image:
    """The picture of a file, its header read, not yet decoded. Raises CourseError naming the file."""
    try:
        return Image.open(path, formats=FORMATS)
    except FileNotFoundError:
        raise CourseError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        why = "not an image that Pillow can read" if path.stat().st_size else "the file is empty (0 bytes)"
        raise CourseError(f"{path}: {why}") from None
    except (OSError, Image.DecompressionBombError, SyntaxError) as error:
        raise CourseError(f"{path}: cannot be opened ({error})") from None


def decoded(path: Path, image: Image.Image) -> Image.Image:
    """The same picture with its pixels. Raises CourseError naming the file when they are not all there."""
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, EOFError, zlib.error ...
        raise CourseError(f"{path}: truncated or corrupt ({error})") from None
    return image


def read_image(path: Path) -> Image.Image:
    """The decoded picture, upright (EXIF), RGB."""
    return ImageOps.exif_transpose(decoded(path, open_image(path))).convert("RGB")


def read_mask(path: Path) -> np.ndarray:
    """Region ids `(H, W)` uint8 of a palette (or grey) PNG. Raises CourseError for other kinds of files."""
    image = open_image(path)
    if image.mode not in ("P", "L", "1"):
        raise CourseError(f"{path}: a mask is a palette or grey PNG of region ids; this one has mode {image.mode}")
    return np.array(decoded(path, image), dtype=np.uint8)


def read_layers(folder: Path, regions: Sequence[str]) -> np.ndarray:
    """One bool layer a region `(R, H, W)`: the pixels above half of the largest value in its file; no file: no pixel.

    Raises CourseError naming the folder when its files differ in size or there is none.
    """
    layers = {}
    for name, file in layer_files(folder, regions).items():
        values = np.asarray(decoded(file, open_image(file)).convert("L"))
        layers[name] = values > values.max() / 2
    if len(sizes := {one.shape for one in layers.values()}) != 1:
        nothing = "no PNG in it" if folder.is_dir() else f"no such folder, and no PNG named {folder.name}_<region>.png"
        raise CourseError(f"{folder}: {'layers of several sizes, ' + str(sorted(sizes)) if sizes else nothing}")
    empty = np.zeros(sizes.pop(), bool)
    return np.stack([layers.get(name, empty) for name in regions])


def layer_files(folder: Path, regions: Sequence[str]) -> dict[str, Path]:
    """`<region>.png` or `<number>_<region>.png` in a folder by region.

    Where pictures share a folder, as CelebAMask-HQ has them, `folder` is how the files of one begin: `0/00012` stands
    for the `0/00012_<region>.png`.
    """
    if folder.is_dir():
        return {re.sub(r"^\d+_", "", file.stem): file for file in sorted(folder.glob("*.png"))}
    # asked for one by one: listing a folder of 24,000 files for a dozen of them would take longer than reading them
    files = {name: folder.with_name(f"{folder.name}_{name}.png") for name in regions}
    return {name: file for name, file in files.items() if file.is_file()}


def fitted(image: Image.Image, size: int, fit: str) -> np.ndarray:
    """`(3, size, size)` uint8.

    `squash_crop`: both sides to size / 0.875, then the centre (the Focus authors' tiles); `squash`: both sides to
    size; `cover`: the short side to size, then the centre; `pad`: the long side to size, black beside it. A picture
    already of the wanted size is not resampled.
    """
    inner = int(size / 0.875) if fit == "squash_crop" else size
    if image.size != (inner, inner):
        way = {"cover": ImageOps.fit, "pad": ImageOps.pad}.get(fit, Image.Image.resize)
        image = way(image, (inner, inner), Image.Resampling.BILINEAR)
    x0 = (image.width - size) // 2
    return np.array(image.crop((x0, x0, x0 + size, x0 + size))).transpose(2, 0, 1)
