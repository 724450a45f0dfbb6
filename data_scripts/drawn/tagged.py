"""Any data set with a bias whose place is certain: every picture twice, as it is and with a painted tag on it.

The tag knows neither label nor picture, and its rectangle is the same in all. So any correlation between tag and label
is a choice of rows (`helpers.pictures.biased`), and where a network that learnt it must look is known to the pixel.
"""

import hashlib
import json
from functools import partial
from numbers import Real
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from helpers.pictures import images, manifest
from helpers.pictures.images import FITS, fitted, read_image
from helpers.pictures.photos import OWN_COLUMNS, Photos

from . import embedded, shapes
from .embedded import expect, whole
from .shapes import SUPERSAMPLING, between, colour

OWN = ("Tag", "tag_box", "original")  # the columns that are new
WHITE, INK = np.full(3, 255.0), (38, 42, 48, 255)


def prepare(
    root: Path,
    photos: Photos,
    size: int = 224,
    place: tuple[float, float, float, float] = (0.06, 0.80, 0.22, 0.14),
    seed: int = 0,
    name: str | None = None,
    fit: str = "squash",
    workers: int | None = None,
) -> Path:
    """Write the data set `<root>/<name>`, `tagged-<folder of the photos>` without a name, and give its folder.

    Picture i, fitted to `size` as `images.fitted` says, is images/<i>-0.png with `Tag` 0, and with its tag
    images/<i>-1.png with `Tag` 1. Both rows keep split, label and attributes; what tells places in the source's pixels
    (mask, layers, box and other `..._box`) is left out. `tag_box` is the tag's `rectangle`, empty without one, and
    `original` the source's path: draw splits by it, or before (`divided`), since both of a picture belong into one.
    `place` is (x, y, width, height) of the tag in shares of the side. `seed` and i fix its shade, whatever the picture.
    A folder that holds just this data set already is left as it is; another tagged one is replaced.
    Workers are processes: call this from a script under `if __name__ == "__main__":`, or with `workers=1`.
    Raises ValueError for a parameter out of range and for photos that have a new column already, CourseError naming a
    picture that cannot be read, FileExistsError when the folder holds something else.
    """
    expect("size", size, whole(size) and size >= 32, "a whole number of pixels, at least 32")
    expect("seed", seed, whole(seed) and seed >= 0, "a whole number from 0")
    expect("fit", fit, fit in FITS, f"one of {', '.join(FITS)}")
    box, table = rectangle(place, size), photos.table
    expect("photos", f"{len(table)} pictures", len(table), "at least one")
    taken = ", ".join(sorted(set(OWN) & set(table)))
    expect("photos", f"a table with {taken}", not taken, "one without, since these columns are new in a tagged set")
    kept = [c for c in map(str, table) if c not in OWN_COLUMNS and not c.startswith("_") and not c.endswith("_box")]
    rows = table[["image", "split", "label", *kept]].values.tolist()
    known = table[["_class", "label"]].drop_duplicates().sort_values("_class").values.tolist()
    classes = [(label, int(photos.outputs[k]), photos.classes[k]) for k, label in known]
    said = hashlib.sha256(json.dumps([kept, rows, classes]).encode()).hexdigest()[:12]
    parameters = {"images": len(rows), "size": int(size), "place": [float(share) for share in place], "seed": int(seed)}
    parameters |= {"fit": fit, "source": manifest(photos.root), "rows": said}
    sources = (__file__, embedded.__file__, shapes.__file__, images.__file__)
    name = f"tagged-{photos.root.absolute().name}" if name is None else name
    content = embedded.manifest("tagged", name, parameters, sources)
    tables = {
        "index.csv": [("image", "split", "label", *kept, *OWN)],
        "classes.csv": [("folder", "index", "name"), *classes],
    }
    draw = partial(_draw, photos.root, rows, int(size), fit, box, int(seed))
    return embedded.written(root, content, draw, tables, workers)


def rectangle(place: tuple[float, float, float, float], size: int) -> tuple[int, int, int, int]:
    """The tag's (x0, y0, x1, y1), half-open pixels of a picture of `size`. Raises ValueError where no tag can be."""
    four = isinstance(place, (tuple, list)) and len(place) == 4
    four = four and all(isinstance(share, Real) and 0 <= share <= 1 for share in place)
    expect("place", place, four, "four shares of the side from 0 to 1: x, y, width, height")
    x, y, width, height = place
    x0, y0, x1, y1 = (round(float(edge) * size) for edge in (x, y, x + width, y + height))
    box = (x0, y0, x1, y1)
    expect("place", place, max(x1, y1) <= size, f"to end inside the picture; at {size} pixels its box is {box}")
    short, area = min(x1 - x0, y1 - y0), (x1 - x0) * (y1 - y0)
    expect("place", place, short >= 6, f"at least 6 pixels each way; at {size} pixels its box is {box}")
    expect("place", place, 4 * area <= size**2, f"at most a quarter of the picture; it is {area / size**2:.0%}")
    return box


def with_tag(rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The picture, uint8 `(H, W, 3)`, with a tag in the box; outside of it nothing changes. `rng` gives the shade."""
    x0, y0, x1, y1 = box
    short, long = sorted((x1 - x0, y1 - y0))
    tag = _painted(255 * colour(rng, (170, 190), (0.8, 0.95), (0.62, 0.8)), long, short)
    pixels = np.asarray(tag.transpose(Image.Transpose.ROTATE_270) if y1 - y0 > x1 - x0 else tag, float)
    tagged, alpha = image.copy(), pixels[..., 3:] / 255
    tagged[y0:y1, x0:x1] = (pixels[..., :3] + (1 - alpha) * image[y0:y1, x0:x1]).round().clip(0, 255)
    return tagged


def _painted(shade, long, short) -> Image.Image:
    """A tag of these sides: border, hole and two lines of writing; colour times coverage, and the coverage."""
    width, unit = long * SUPERSAMPLING, short * SUPERSAMPLING
    body, rim = ((*paint.astype(int).tolist(), 255) for paint in (shade, between(shade, WHITE, 0.75)))
    canvas = Image.new("RGBX", (width, unit))  # the fourth channel is the coverage
    draw = ImageDraw.Draw(canvas)
    for inset, radius, paint in ((0, 0.22 * unit, rim), (0.07 * unit, 0.17 * unit, body)):
        draw.rounded_rectangle((inset, inset, width - 1 - inset, unit - 1 - inset), radius, paint)
    for radius, paint in ((0.17 * unit, rim), (0.11 * unit, (0, 0, 0, 0))):  # the photo shows through the hole
        draw.circle((0.35 * unit, 0.5 * unit), radius, paint)
    for y, share in ((0.38, 1.0), (0.62, 0.6)):
        end = 0.62 * unit + share * (width - 0.8 * unit)
        draw.rounded_rectangle((0.62 * unit, (y - 0.05) * unit, end, (y + 0.05) * unit), 0.05 * unit, INK)
    return canvas.reduce(SUPERSAMPLING)


def _draw(root, sources, size, fit, box, seed, folder, numbers) -> list[tuple]:
    rows = []
    for i in numbers:
        image, *kept = sources[i]
        plain = fitted(read_image(root / image), size, fit).transpose(1, 2, 0)
        tagged = with_tag(np.random.default_rng([seed, i]), plain, box)
        for tag, pixels in enumerate((plain, tagged)):
            file = f"images/{i:06d}-{tag}.png"
            Image.fromarray(pixels).save(folder / file, compress_level=1)
            rows.append((file, *kept, tag, " ".join(map(str, box)) if tag else "", image or root.name))
    return rows
