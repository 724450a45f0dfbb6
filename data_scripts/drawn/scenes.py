"""The embedded scenes: ten everyday objects on ten kinds of background, drawn from random numbers.

Pose, colours and light do not know the class, and the background has random streams of its own. So without a `bias`
neither colour nor background tells the class, and the same object can be drawn again on any other background.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import backgrounds, embedded, shapes
from . import things as objects
from .backgrounds import BACKGROUNDS, with_clutter
from .embedded import expect, whole
from .shapes import blurred, posed, random_palette, rasterised
from .things import OBJECTS

CLASSES = tuple(OBJECTS)

# the background a biased set gives each class: believable pairs, as in photographs
OWN_BACKGROUND = {
    "butterfly": "bokeh",
    "car": "gravel",
    "clock": "brick",
    "fish": "waves",
    "house": "meadow",
    "mug": "checks",
    "sailboat": "sky",
    "snail": "grass",
    "tree": "wood",
    "umbrella": "stripes",
}

STREAMS = ("pose", "detail", "kind", "look", "clutter", "swap")


class Scene(NamedTuple):
    """`image` uint8 `(H, W, 3)`, `mask` bool `(H, W)`, `box` (x0, y0, x1, y1) half-open, the `background`'s kind."""

    image: np.ndarray
    mask: np.ndarray
    box: tuple[int, int, int, int]
    background: str


def scene(
    label: str, seed: int, background: str | None = None, bias: float = 0.0, size: int = 128, area: float = 1.0
) -> Scene:
    """One picture of the object `label`. `seed` fixes pose, colours and light, whatever the label or the background.

    Without `background`, a kind is drawn: the class's own with probability `bias`, otherwise any of the ten alike.
    The object covers 12 to 45 % of the picture, or the share `area` of that.
    Raises ValueError for a label, background, bias, seed, size or area out of range.
    """
    expect("label", label, label in OBJECTS, f"one of {', '.join(OBJECTS)}")
    expect("background", background, background in (None, *BACKGROUNDS), f"None or one of {', '.join(BACKGROUNDS)}")
    _expect_drawable(seed, bias, size, area)
    rng = {stream: np.random.default_rng([seed, k]) for k, stream in enumerate(STREAMS)}

    own, kind = rng["kind"].random() < bias, rng["kind"].choice(list(BACKGROUNDS))
    kind = background or (OWN_BACKGROUND[label] if own else str(kind))
    ground = BACKGROUNDS[kind](rng["look"], size)
    ground = with_clutter(rng["clutter"], ground)

    palette, light = random_palette(rng["pose"]), random_light(rng["pose"])
    parts = posed(rng["pose"], OBJECTS[label](rng["detail"], palette), size, area)
    paint, alpha = rasterised(parts, size)
    paint = paint * shading(alpha, light)[..., None]
    ground = ground * light.brightness * (1 - shadow(alpha, light))[..., None]
    image = paint + ground * (1 - alpha)[..., None]  # paint is zero off the object, so it is not weighted again
    mask = alpha >= 0.5
    return Scene((np.clip(image, 0, 1) * 255).round().astype(np.uint8), mask, box_of(mask), kind)


def swapped_background(label: str, seed: int) -> str:
    """The own background of one of the nine other classes, each as likely; drawn apart from all that `scene` draws."""
    others = [kind for other, kind in OWN_BACKGROUND.items() if other != label]
    return str(np.random.default_rng([seed, STREAMS.index("swap")]).choice(others))


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The tight box of a mask, half-open."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


# --- light and shadow -------------------------------------------------------------------------------------------------


class Light(NamedTuple):
    direction: np.ndarray  # where the light comes from, (x, y), y down
    brightness: float
    contrast: float
    shadow: float


def random_light(rng: np.random.Generator) -> Light:
    angle = np.radians(rng.uniform(-150, -30))  # from above
    return Light(
        np.array([np.cos(angle), np.sin(angle)]),
        rng.uniform(0.85, 1.08),
        rng.uniform(0.1, 0.25),
        rng.uniform(0.35, 0.6),
    )


def shading(alpha: np.ndarray, light: Light) -> np.ndarray:
    """Brighter where the object faces the light: across the picture, and as if its rim were rounded."""
    size = len(alpha)
    y, x = np.mgrid[:size, :size] / size - 0.5
    slope_y, slope_x = np.gradient(blurred(alpha, 0.035 * size))
    facing = (-slope_x * light.direction[0] - slope_y * light.direction[1]) * 0.05 * size
    across = x * light.direction[0] + y * light.direction[1]
    return light.brightness * (1 + light.contrast * (across + 1.5 * np.clip(facing, -1, 1)))


def shadow(alpha: np.ndarray, light: Light) -> np.ndarray:
    """A soft shadow on the ground, away from the light."""
    size = len(alpha)
    dx, dy = (-light.direction * 0.035 * size).round().astype(int)
    return light.shadow * blurred(np.roll(alpha, (dy, dx), (0, 1)), 0.03 * size)


# --- the data set on disk ---------------------------------------------------------------------------------------------


def prepare(
    root: Path,
    images: int = 2000,
    size: int = 128,
    seed: int = 0,
    bias: float = 0.0,
    name: str = "scenes",
    swapped: bool = False,
    area: float = 1.0,
    workers: int | None = None,
) -> Path:
    """Write the data set `<root>/<name>` in the course's format and give its folder.

    Image i is `scene(CLASSES[i % 10], (seed << 32) + i, None, bias, size, area)`, however many are asked for and
    however many `workers` (default: every core) draw them. Of five images of a class one is for validation. A folder
    that holds just this data set already is left as it is; one that holds these scenes with other parameters is
    replaced. With `swapped`, a set for testing: its k-th image is the k-th for validation of the ordinary set of this
    seed, under the same file name, the object on another class's own background (`swapped_background`); all are of
    split val.
    Workers are processes: call this from a script under `if __name__ == "__main__":`, or with `workers=1`.
    Raises ValueError for a parameter out of range and for `swapped` with a `bias`, FileExistsError when the folder
    holds something else.
    """
    least = 2 * len(CLASSES)
    expect("images", images, whole(images) and images >= least, f"a whole number of at least {least}, two a class")
    _expect_drawable(seed, bias, size, area)
    expect("swapped", swapped, isinstance(swapped, bool), "True or False")
    expect("bias", bias, not (swapped and bias), "to be 0 with `swapped`: no class stands on its own background there")
    parameters = {"images": int(images), "size": int(size), "seed": int(seed), "bias": bias}
    parameters |= ({"swapped": True} if swapped else {}) | ({"area": area} if area != 1 else {})
    sources = (__file__, backgrounds.__file__, embedded.__file__, objects.__file__, shapes.__file__)
    tables = {
        "index.csv": [("image", "split", "label", "mask", "box", "background")],
        "classes.csv": [("folder", "index", "name"), *((label, k, label) for k, label in enumerate(CLASSES))],
        "regions.csv": [("id", "region"), (0, "background"), (1, "object")],
    }
    draw = partial(_draw, int(seed), bias, int(size), swapped, area)
    return embedded.written(root, embedded.manifest("scenes", name, parameters, sources), draw, tables, workers)


def _draw(seed, bias, size, swapped, area, folder, numbers) -> list[tuple]:
    rows = []
    for i in map(_validation, numbers) if swapped else numbers:
        label, file, number = CLASSES[i % len(CLASSES)], f"{i:06d}.png", (seed << 32) + i
        background = swapped_background(label, number) if swapped else None
        drawn = scene(label, number, background, bias, size, area)
        Image.fromarray(drawn.image).save(folder / "images" / file, compress_level=3)
        mask = Image.fromarray(drawn.mask.astype(np.uint8))
        mask.putpalette([0, 0, 0, 255, 190, 60])  # ids 0 and 1, and colours to see them by
        mask.save(folder / "masks" / file)
        split = "val" if i // len(CLASSES) % 5 == 1 else "train"  # a whole round of classes at a time: see _validation
        rows.append((f"images/{file}", split, label, f"masks/{file}", " ".join(map(str, drawn.box)), drawn.background))
    return rows


def _validation(k: int) -> int:
    """The number of the k-th image for validation: the second of each five rounds of classes."""
    rounds, place = divmod(k, len(CLASSES))
    return (5 * rounds + 1) * len(CLASSES) + place


def _expect_drawable(seed, bias, size, area) -> None:
    expect("seed", seed, whole(seed) and seed >= 0, "a whole number from 0")
    expect("bias", bias, isinstance(bias, (int, float)) and 0 <= bias <= 1, "a number from 0 to 1")
    expect("size", size, whole(size) and size >= 32, "a whole number of pixels, at least 32")
    expect("area", area, isinstance(area, (int, float)) and 0.02 <= area <= 1, "a number from 0.02 to 1")


DATASET = embedded.Drawn(
    name="scenes",
    holds="2,000 drawn pictures (128 px) of 10 kinds of objects on varied backgrounds, with exact masks and boxes",
    prepare=prepare,
)
