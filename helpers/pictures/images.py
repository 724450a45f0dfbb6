"""One file -> one picture, mask or stack of layers, and a picture -> a square. What cannot be read is named."""

import io
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from ..errors import CourseError
from ..files import named, readable

with suppress(ImportError):  # who has HEIC pictures may install it
    import_module("pillow_heif").register_heif_opener()
Image.init()
ORIENTATION = 0x0112  # EXIF tag: how the camera was held
# of what Pillow knows, those that are still pictures and nothing else: an EPS file named .jpg is a program
STILL = ("AVIF", "BMP", "DDS", "GIF", "HEIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "SUN")
FORMATS = tuple(name for name in (*STILL, "TIFF", "WEBP") if name in Image.OPEN)
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")  # what phones write, by bytes 8 to 11
RECODED = {"P": "with a palette, read as RGB"} | {mode: f"in {mode}, read as RGB" for mode in ("RGBX", "YCbCr")}
FITS = ("squash_crop", "squash", "cover", "pad")


def open_image(path: Path) -> Image.Image:
    """The picture of a file (`files.readable` may have written its name), its header read, not yet decoded.

    Raises CourseError naming the file.
    """
    file = path
    try:
        file = path if path.exists() else named(path)
        if file.exists() and not file.is_file():  # a pipe, whose other end nobody may write to
            raise OSError("it is no file")
        return Image.open(file, formats=FORMATS + ("TGA",) * (path.suffix.lower() == ".tga"))  # TGA has no head
    except FileNotFoundError:
        raise CourseError(f"{readable(path)}: no such file") from None
    except UnidentifiedImageError:
        raise CourseError(f"{readable(path)}: {_unknown(file)}") from None
    except Exception as error:  # what Pillow's readers of headers raise, too: OSError, ValueError, struct.error ...
        raise CourseError(f"{readable(path)}: cannot be opened ({error})") from None


def _unknown(file: Path) -> str:
    with file.open("rb") as opened:
        head = opened.read(12)
    if head[4:8] == b"ftyp" and head[8:] in HEIC:
        return "HEIC, which takes a plugin to read: pip install pillow-heif (or export it as JPEG)"
    return "not an image that Pillow can read" if head else "the file is empty (0 bytes)"


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of an opened picture as it is shown."""
    sideways = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)  # Pillow turns its TIFFs
    return (image.height, image.width) if sideways else image.size


def decoded(path: Path, image: Image.Image) -> Image.Image:
    """The same picture with its pixels. Raises CourseError naming the file when they are not all there."""
    if isinstance(image, TiffImageFile):
        image.filename = ""  # else Pillow (13.0) maps it into memory, and garbles one that it has to turn
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, EOFError, zlib.error ...
        raise CourseError(f"{path}: truncated or corrupt ({error})") from None
    return image


def read_image(path: Path) -> Image.Image:
    """The decoded picture, upright (EXIF), RGB."""
    return rgb(ImageOps.exif_transpose(decoded(path, open_image(path))))


def rgb(image: Image.Image) -> Image.Image:
    """A decoded picture in RGB, as `conversion` says; what it refuses loses something."""
    if image.mode == "CMYK" and (transform := _profiled(image)):
        return transform.apply(image)
    if image.mode.startswith("I"):
        values = np.asarray(image, float)
        image = Image.fromarray((values * (255 / _white(values)) + 0.5).clip(0, 255).astype(np.uint8))
    return (image.convert("RGBA") if image.has_transparency_data else image).convert("RGB")


def conversion(path: Path, image: Image.Image) -> str:
    """How a decoded picture becomes RGB, in the words of a note; "" for RGB and grey of 8 bits, as they are.

    Raises CourseError where that would lose what the picture means.
    """
    mode, way = image.mode, "`course data convert SRC DST` makes it RGB in a new folder, and says how"
    if image.has_transparency_data:
        if mode.startswith("I") or np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            raise CourseError(f"{path}: mode {mode}, parts of it are transparent: what is behind it? {way}")
        return "with transparency that no pixel uses, which was left out"
    if mode == "CMYK":
        how = "the profile in the file" if _profiled(image) else "Pillow's formula, without a profile in the file"
        return f"in CMYK, converted by {how}"
    if mode.startswith("I") and (values := np.asarray(image)).min() >= 0 and values.max() < 1 << 16:
        return f"of 16 bits, scaled to 8 ({_white(values):,} became white)"
    if mode not in ("RGB", "L", "1", *RECODED):
        raise CourseError(f"{path}: mode {mode}, whose values have no fixed range. {way}")
    return RECODED.get(mode, "")


def _profiled(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """From CMYK to sRGB as the picture's own profile says, where it has one that can be used."""
    with suppress(KeyError, OSError, ImageCms.PyCMSError):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    return None


def _white(values: np.ndarray) -> int:
    """The largest value of 8, 12 or 16 bits: the fewest that hold all of these. Cameras and scanners use 12 of 16."""
    return next(((1 << bits) - 1 for bits in (8, 12) if values.max() < 1 << bits), (1 << 16) - 1)


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
