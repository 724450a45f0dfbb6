"""The embedded faces: friendly portraits drawn from random numbers, with the 19 regions and attributes of CelebA.

No person in it is real, and nobody's photograph was used: that is why a class can use it without asking anyone. Every
attribute is a fair coin of its own, so that any bias can be injected afterwards by choosing rows. These alone are not:

- hair has one of four colours: blond 0.4, black 0.3; brown 0.3, of which the old give 0.2 to grey (`Gray_Hair`)
- a beard: 0.2 of the males, nobody else (`No_Beard` is 0)
- `skin_tone` (0 light to 5 dark) and `hair` (twelve styles) are uniform; neither depends on anything

`Male` and `Young` have no part of their own. `Male` moves jaw, chin, brows, nose, lips, lashes, neck and shoulders a
little, `Young` moves cheeks, lines, folds, lids, hair line and lips: each cue overlaps, only all together tell.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import backgrounds, embedded, face_hair, face_paint, face_parts, face_wear, scenes, shapes
from .backgrounds import BACKGROUNDS, mix, noise
from .embedded import expect, whole
from .face_hair import LOOKS, STYLES, Style
from .face_paint import ID, REGIONS, TIE, counted, layered, lit, painted, random_pose
from .face_parts import SKIN_TONES, Traits
from .scenes import box_of, random_light
from .shapes import colour, random_palette

COINS = (
    *("Male", "Young", "Smiling", "Eyeglasses", "Wearing_Hat", "Wearing_Lipstick"),
    *("Wearing_Earrings", "Wearing_Necklace", "Wearing_Necktie"),
)
ATTRIBUTES = (*COINS, *LOOKS, "No_Beard")  # 0 or 1, by CelebA's names
STREAMS = (
    *(
        "coins",
        "person",
        "pose",
        "light",
        "ground",
        "traits",
        "skin",
        "hair",
        "eyes",
        "brows",
        "nose",
        "mouth",
        "lines",
    ),
    *("beard", "clothes", "necktie", "necklace", "earrings", "glasses", "hat"),
)
# how far each of the 8 cues of Male and of the 6 of Young leans, which spreads by 0.8: set so that a minute's training
# on one core tells nine in ten; lines and lids are finer than jaws and brows
GAPS = (1.2, 1.7)


class Face(NamedTuple):
    """`image` uint8 `(H, W, 3)`, `mask` uint8 `(H, W)` of ids in REGIONS, what was drawn, and boxes of what is worn.

    `attributes` has 0 or 1 for each of ATTRIBUTES, `skin_tone` 0 to 5 and the name of the `hair` style; `boxes` has
    "necktie" and "hat" where there is one, (x0, y0, x1, y1) half-open.
    """

    image: np.ndarray
    mask: np.ndarray
    attributes: dict
    boxes: dict[str, tuple[int, int, int, int]]


def face(attributes: dict | None = None, seed: int = 0, size: int = 128) -> Face:
    """One portrait. `attributes` overrules what `seed` draws and leaves all else as it is: {"Wearing_Hat": 0}.

    One hair colour set to 1 replaces the drawn one. Raises ValueError for an unknown name, a value out of range, hair
    of no colour or of two, a seed below 0, or a size below 64, at which earrings would have no pixel.
    """
    _expect_drawable(seed, size)
    a, pose, light, shapes, blush, rng = _sketched(attributes, seed)
    paint, ids = painted(shapes, size)
    regions = counted(ids)
    image = lit(paint, _backdrop(rng["ground"], size), regions, pose, light, blush)
    mask = regions.mask
    boxes = {name: box_of(mask == k) for name, k in (("necktie", TIE), ("hat", ID["hat"])) if (mask == k).any()}
    mask[mask == TIE] = ID["cloth"]
    return Face((image * 255).round().astype(np.uint8), mask, a, boxes)


def layers(attributes: dict | None = None, seed: int = 0, size: int = 128) -> np.ndarray:
    """`(19, H, W)` bool: what each of REGIONS covers in `face(attributes, seed, size)`, as `face_paint.layered` says.

    As in CelebAMask-HQ, regions overlap: there is skin behind eyes, nose and lips, eyes and brows behind glasses and
    fringes, an ear behind its ring, a neck behind a necklace. What is hidden altogether, as ears may be, has no pixel.
    """
    return layered(_sketched(attributes, seed)[3], face(attributes, seed, size).mask)


def _sketched(attributes, seed):
    """What there is before the first pixel: attributes, pose, light, shapes, blush, and the random streams."""
    rng = {stream: np.random.default_rng([seed, k]) for k, stream in enumerate(STREAMS)}
    a = _settled(_drawn_attributes(rng["coins"]), attributes or {})
    pose, light = random_pose(rng["pose"]), random_light(rng["light"])
    shapes, blush = _portrait(rng, a, pose, _traits(rng["traits"], a))
    return a, pose, light, shapes, blush, rng


def _drawn_attributes(rng) -> dict:
    a = {name: int(rng.random() < 0.5) for name in COINS}
    u, grey, beard = rng.random(3)
    colour = "Blond_Hair" if u < 0.4 else "Black_Hair" if u < 0.7 else "Brown_Hair"
    if colour == "Brown_Hair" and not a["Young"] and grey < 2 / 3:
        colour = "Gray_Hair"
    a |= {name: int(name == colour) for name in LOOKS} | {"No_Beard": int(not (a["Male"] and beard < 0.2))}
    return a | {"skin_tone": int(rng.integers(len(SKIN_TONES))), "hair": str(rng.choice(list(STYLES)))}


def _settled(drawn: dict, wanted: dict) -> dict:
    """The drawn attributes with the wanted ones in their place."""
    for name, value in wanted.items():
        choices = {"skin_tone": range(len(SKIN_TONES)), "hair": tuple(STYLES)}.get(name, (0, 1))
        expect("attributes", name, name in drawn, f"names out of {', '.join(drawn)}")
        expect(name, value, value in choices, f"one of {', '.join(map(str, choices))}")
    if any(wanted.get(name) for name in LOOKS):
        drawn = drawn | dict.fromkeys(LOOKS, 0)
    a = drawn | {name: value if name == "hair" else int(value) for name, value in wanted.items()}
    colours = [name for name in LOOKS if a[name]]
    expect("attributes", wanted, len(colours) == 1, f"just one hair colour at 1 ({', '.join(LOOKS)})")
    return a


def _traits(rng, a) -> Traits:
    """Every cue leans to its side by one of GAPS, with a spread of 0.8; Male's come first."""
    lean = np.repeat([(2 * a["Male"] - 1) * GAPS[0], (1 - 2 * a["Young"]) * GAPS[1]], [8, 6])
    return Traits(*np.clip(lean + rng.normal(0, 0.8, len(lean)), -2.2, 2.2))


def _portrait(rng, a, pose, t):
    """All shapes from back to front, and the colour of the blush."""
    looks = LOOKS[next(name for name in LOOKS if a[name])]
    hair = np.array(looks[int(rng["person"].random() * len(looks))], float) * rng["person"].uniform(0.93, 1.07)
    c = face_parts.complexion(rng["skin"], a["skin_tone"], hair)
    back, front = STYLES[a["hair"]](Style(rng["hair"], pose, t, c, a["Wearing_Hat"]))
    cloth, tie, hat_paint = (random_palette(rng[part]) for part in ("clothes", "necktie", "hat"))
    shapes = [*back, *face_wear.neck(pose, t, c)]
    shapes += face_wear.clothes(rng["clothes"], pose, t, cloth, a["Wearing_Necktie"])
    shapes += face_wear.necklace(rng["necklace"], pose) if a["Wearing_Necklace"] else []
    shapes += face_wear.necktie(rng["necktie"], pose, tie) if a["Wearing_Necktie"] else []
    shapes += face_parts.ears(pose, c) + face_parts.head(pose, t, c)
    shapes += face_parts.beard(rng["beard"], pose, c) if not a["No_Beard"] else []
    shapes += face_parts.wrinkles(rng["lines"], pose, t, c) + face_parts.nose(rng["nose"], pose, t, c)
    shapes += face_parts.eyes(rng["eyes"], pose, t, c, a["Smiling"]) + face_parts.brows(rng["brows"], pose, t, c)
    shapes += face_parts.mouth(rng["mouth"], pose, t, c, a["Smiling"], a["Wearing_Lipstick"]) + front
    shapes += face_wear.glasses(rng["glasses"], pose) if a["Eyeglasses"] else []
    shapes += face_wear.hat(rng["hat"], pose, hat_paint) if a["Wearing_Hat"] else []
    shapes += face_wear.earrings(rng["earrings"], pose) if a["Wearing_Earrings"] else []
    return shapes, c.blush


def _backdrop(rng, size) -> np.ndarray:
    """A soft wall, a wall with a disc, or one of three of the scenes' backgrounds, all pale: `(H, W, 3)`, 0 to 1."""
    kind, hue = rng.integers(6), rng.uniform(0, 360)
    if kind < 3:
        one, two = (colour(rng, (h, h + 30), (0.12, 0.42), (0.68, 0.93)) for h in (hue, hue + rng.uniform(15, 60)))
        wall = mix(one, two, noise(rng, size, 2, octaves=1))
        y, x = (np.mgrid[:size, :size] + 0.5) / size
        disc = np.clip((rng.uniform(0.34, 0.46) - np.hypot(x - rng.uniform(0.4, 0.6), y - 0.45)) * size, 0, 1)
        return mix(wall, colour(rng, (hue, hue + 90), (0.1, 0.35), (0.8, 0.97)), disc * (kind == 2))
    return 0.8 * BACKGROUNDS[("bokeh", "meadow", "sky")[kind - 3]](rng, size) + 0.14


# --- the data set on disk ---------------------------------------------------------------------------------------------


def prepare(
    root: Path, images: int = 5000, size: int = 128, seed: int = 0, name: str = "faces", workers: int | None = None
) -> Path:
    """Write the data set `<root>/<name>` in the course's format and give its folder.

    Image i is `face(None, (seed << 32) + i, size)`, however many are asked for and however many `workers` (default:
    every core) draw them. The label is `smiling` or `neutral`; of twenty images fourteen are for training, three for
    validation and three for the test; those have their `layers` too, in a folder each with one 1-bit PNG a region.
    A folder that holds just this data set already is left as it is; one that holds these faces with other parameters
    is replaced.
    Workers are processes: call this from a script under `if __name__ == "__main__":`, or with `workers=1`.
    Raises ValueError for a parameter out of range, FileExistsError when the folder holds something else.
    """
    expect("images", images, whole(images) and images >= 20, "a whole number of at least 20, so that no split is empty")
    _expect_drawable(seed, size)
    modules = (backgrounds, embedded, face_hair, face_paint, face_parts, face_wear, scenes, shapes)
    parameters = {"images": int(images), "size": int(size), "seed": int(seed)}
    content = embedded.manifest("faces", name, parameters, (__file__, *(str(module.__file__) for module in modules)))
    boxes = ("necktie_box", "hat_box")
    tables = {
        "index.csv": [("image", "split", "label", "mask", "layers", *ATTRIBUTES, "skin_tone", "hair", *boxes)],
        "classes.csv": [("folder", "index", "name"), ("neutral", 0, "neutral"), ("smiling", 1, "smiling")],
        "regions.csv": [("id", "region"), *enumerate(REGIONS)],
    }
    draw = partial(_draw, int(seed), int(size))
    return embedded.written(root, content, draw, tables, workers)


def _draw(seed, size, folder, numbers) -> list[tuple]:
    rows = []
    for i in numbers:
        drawn, file = face(None, (seed << 32) + i, size), f"{i:06d}.png"
        Image.fromarray(drawn.image).save(folder / "images" / file, compress_level=1)
        mask = Image.fromarray(drawn.mask)
        mask.putpalette(PALETTE)
        mask.save(folder / "masks" / file, compress_level=1)
        a, parts = drawn.attributes, ""
        split = ("train", "val", "test")[int(np.searchsorted((14, 17), i % 20, "right"))]
        if split == "test":
            parts = f"layers/{i:06d}"
            _write_layers(folder / parts, layered(_sketched(None, (seed << 32) + i)[3], drawn.mask))
        boxes = (" ".join(map(str, drawn.boxes.get(part, ()))) for part in ("necktie", "hat"))
        paths = (f"images/{file}", split, ("neutral", "smiling")[a["Smiling"]], f"masks/{file}", parts)
        rows.append((*paths, *a.values(), *boxes))
    return rows


def _write_layers(folder, covered) -> None:
    folder.mkdir(parents=True)
    for region, pixels in zip(REGIONS, covered, strict=True):
        if pixels.any():
            Image.fromarray(pixels).save(folder / f"{region}.png")


PALETTE = [  # colours to see the ids by
    *(0, 0, 0, 244, 206, 172, 214, 150, 110, 70, 130, 180, 60, 190, 230, 30, 120, 220, 150, 110, 70, 110, 76, 44),
    *(240, 160, 140, 220, 130, 120, 120, 20, 40, 230, 80, 110, 200, 50, 80, 90, 60, 120, 250, 170, 40, 255, 240, 90),
    *(120, 230, 180, 226, 180, 150, 80, 160, 100),
]


def _expect_drawable(seed, size) -> None:
    expect("seed", seed, whole(seed) and seed >= 0, "a whole number from 0")
    expect("size", size, whole(size) and size >= 64, "a whole number of pixels, at least 64")


DATASET = embedded.Drawn(
    name="faces",
    holds="5,000 drawn portraits (128 px) of nobody real, with exact masks of CelebAMask's 19 regions and CelebA's "
    "attributes",
    prepare=prepare,
)
