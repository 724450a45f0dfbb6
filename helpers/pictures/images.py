"""One file -> one picture: what Pillow can read is checked, turned upright and fitted; everything else is named."""

import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import CourseError, nearest

EXACT_MODES = ("RGB", "L", "1")  # the others lose something on the way to RGB, and how is not ours to guess
ORIENTATION = 0x0112  # EXIF tag: how the camera was held
# of what Pillow knows, those that are pictures and nothing else: an EPS file named .jpg is a program
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
FITS = ("squash_crop", "squash", "cover", "pad")


def open_image(path: Path) -> Image.Image:
    """The picture of a file, header read and mode checked, not yet decoded. Raises CourseError naming the file."""
    try:
        if path.stat().st_size == 0:
            raise CourseError(f"{path}: the file is empty (0 bytes)")
        image = Image.open(path, formats=FORMATS)
    except FileNotFoundError:
        raise CourseError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise CourseError(f"{path}: not an image that Pillow can read") from None
    except (OSError, Image.DecompressionBombError, SyntaxError) as error:
        raise CourseError(f"{path}: cannot be opened ({error})") from None
    return image


def read_image(path: Path) -> Image.Image:
    """The decoded picture, upright (EXIF), RGB. Raises CourseError naming the file and what is wrong with it."""
    image = open_image(path)
    _demand_mode(path, image)
    _decode(path, image)
    return ImageOps.exif_transpose(image).convert("RGB")


def read_mask(path: Path) -> np.ndarray:
    """Region ids `(H, W)` uint8 of a palette (or grey) PNG. Raises CourseError for other kinds of files."""
    image = open_image(path)
    if image.mode not in ("P", "L", "1"):
        raise CourseError(f"{path}: a mask is a palette or grey PNG of region ids; this one has mode {image.mode}")
    _decode(path, image)
    return np.array(image, dtype=np.uint8)


def read_layers(folder: Path, regions: list[str]) -> np.ndarray:
    """One bool layer a region `(R, H, W)` from `<region>.png` or `<number>_<region>.png` files; no file: no pixel.

    Where pictures share a folder, as CelebAMask-HQ has them, `folder` is how the files of one begin: `0/00012` stands
    for the `0/00012_<region>.png`. Other values than 0 and the file's largest are cut at half of it. Raises CourseError
    naming the file.
    """
    files = _layer_files(folder, regions)
    if unknown := sorted(set(files) - set(regions)):
        raise CourseError(f"{files[unknown[0]]}: region `{unknown[0]}` is unknown.{nearest(unknown[0], regions)}")
    found = {name: _cut(file) for name, file in files.items()}
    if len(sizes := {one.shape for one in found.values()}) != 1:
        nothing = "no PNG in it" if folder.is_dir() else f"no such folder, and no PNG named {folder.name}_<region>.png"
        raise CourseError(f"{folder}: {'layers of several sizes, ' + str(sorted(sizes)) if sizes else nothing}")
    empty = np.zeros(sizes.pop(), bool)
    return np.stack([found.get(name, empty) for name in regions])


def _layer_files(folder: Path, regions: list[str]) -> dict[str, Path]:
    if folder.is_dir():
        return {re.sub(r"^\d+_", "", file.stem): file for file in sorted(folder.glob("*.png"))}
    # asked for one by one: listing a folder of 24,000 files for a dozen of them would take longer than reading them
    files = {name: folder.with_name(f"{folder.name}_{name}.png") for name in regions}
    return {name: file for name, file in files.items() if file.is_file()}


def _cut(path: Path) -> np.ndarray:
    image = open_image(path)
    _decode(path, image)
    values = np.asarray(image.convert("L"))
    return values > values.max() / 2


def check_image(path: Path) -> tuple[tuple[int, int], bool]:
    """Upright (width, height), and whether EXIF turned it; decodes everything, so truncation shows. Raises as above."""
    image = open_image(path)
    _demand_mode(path, image)
    size = image.size
    image.draft(None, (1, 1))  # JPEG: reads every byte, but skips most of the arithmetic
    _decode(path, image)
    orientation = image.getexif().get(ORIENTATION, 1)
    return (size[::-1] if orientation in (5, 6, 7, 8) else size), orientation not in (0, 1)


def fitted(image: Image.Image, size: int, fit: str) -> np.ndarray:
    """`(3, size, size)` uint8.

    `squash_crop`: both sides to size / 0.875, then the centre (the Focus authors' tiles); `squash`: both sides to
    size; `cover`: the short side to size, then the centre; `pad`: the long side to size, black beside it. A picture
    already of the wanted size is not resampled.
    """
    inner = int(size / 0.875) if fit == "squash_crop" else size
    if fit == "cover":
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR) if image.size != (size, size) else image
    elif fit == "pad":
        image = ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR) if image.size != (size, size) else image
    elif image.size != (inner, inner):
        image = image.resize((inner, inner), Image.Resampling.BILINEAR)
    x0 = (image.width - size) // 2
    return np.array(image.crop((x0, x0, x0 + size, x0 + size))).transpose(2, 0, 1)


def _demand_mode(path, image):
    if image.mode not in EXACT_MODES:
        raise CourseError(
            f"{path}: mode {image.mode}; expected RGB or grey, 8 bits. Convert it first "
            f"(for example `Image.open(f).convert('RGB').save(f)`), or pass on_bad='skip'"
        )


def _decode(path, image):
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, EOFError, zlib.error ...
        raise CourseError(f"{path}: truncated or corrupt ({error})") from None
