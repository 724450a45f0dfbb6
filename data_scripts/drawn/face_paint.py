"""From the shapes of a face to pixels: where the head is turned, painting with exact region masks, and light.

Shapes are in face units until a `Pose` places them: the head's middle is (0, 0), its half width about 0.74, the chin
at y = 0.95; x to the viewer's right, y down. Placed points are in pictures (0 to 1), so a face has no size of its own.
"""

from collections.abc import Sequence
from functools import cache
from math import cos, sin
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageChops, ImageDraw

from .scenes import Light, shading
from .shapes import SUPERSAMPLING, blurred

# CelebAMask-HQ's ids. Its l_ and r_ are the person's own left and right: l_eye is on the viewer's right
REGIONS = (
    *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear"),
    *("mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
ID = {region: i for i, region in enumerate(REGIONS)}
ANY = [0] + [255] * 255
TIE = len(REGIONS)  # a region while painting, cloth in the mask
FACE = tuple(ID[r] for r in ("skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip"))
LARGE = tuple(ID[r] for r in ("skin", "l_ear", "r_ear", "hair", "hat", "neck", "cloth"))


class Shape(NamedTuple):
    """A filled polygon, points `(n, 2)` in pictures, RGB 0 to 255; without a `region` it only changes colours.

    `alpha` is its opacity; with `over`, it shows only where one of these ids lies below it.
    """

    points: np.ndarray
    fill: np.ndarray
    region: int | None = None
    alpha: float = 1.0
    over: tuple[int, ...] | None = None


class Pose(NamedTuple):
    """Where the person is: the head's middle and unit in pictures, and the head's three angles in radians."""

    x: float
    y: float
    unit: float
    yaw: float
    pitch: float
    tilt: float

    def body(self, points: ArrayLike) -> np.ndarray:
        return np.asarray(points, float) * self.unit + (self.x, self.y)

    def chest(self, points: ArrayLike) -> np.ndarray:
        """Neck and clothes, which stay upright whatever the head does."""
        return self.body(np.asarray(points, float) - (0, 0.1))

    def head(self, points: ArrayLike) -> np.ndarray:
        """Tilted about the neck."""
        pivot, c, s = np.array([0, 0.8]), cos(self.tilt), sin(self.tilt)
        return self.body((np.asarray(points, float) - pivot) @ np.array([[c, s], [-s, c]]) + pivot)

    def face(self, points: ArrayLike, out: float = 0.0) -> np.ndarray:
        """On the front of the head, a rounded surface that turns; `out` stands out from it, as a nose does."""
        x, y = np.asarray(points, float).T
        z = 0.75 * np.sqrt(np.maximum(1 - (x / 0.8) ** 2 - (y / 1.15) ** 2, 0)) + out
        return self.head(np.array([x * cos(self.yaw) + z * sin(self.yaw), y + z * sin(self.pitch)]).T)


def random_pose(rng: np.random.Generator) -> Pose:
    """A small turn to any side, shift and scale: no region has pixels of its own."""
    x, y, unit = rng.uniform(0.43, 0.57), rng.uniform(0.425, 0.48), rng.uniform(0.25, 0.29)
    yaw, pitch, tilt = rng.uniform(-1, 1, 3) * (0.3, 0.12, 0.13)
    return Pose(x, y, unit, yaw, pitch, tilt)


def painted(shapes: Sequence[Shape], size: int) -> tuple[np.ndarray, Image.Image]:
    """Colour times coverage `(H, W, 3)` from 0 to 1, and a picture of the region ids, SUPERSAMPLING times larger."""
    side = size * SUPERSAMPLING
    canvas, ids = Image.new("RGB", (side, side)), Image.new("L", (side, side))
    draw, draw_ids = ImageDraw.Draw(canvas), ImageDraw.Draw(ids)
    inks = np.clip([shape.fill for shape in shapes], 0, 255).astype(int).tolist()
    for shape, ink, outline, box, inside in zip(shapes, map(tuple, inks), *_outlines(shapes, side), strict=True):
        if shape.alpha == 1 and shape.over is None:
            draw.polygon(outline, ink)
            draw_ids.polygon(outline, shape.region)
            continue
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        where = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        ImageDraw.Draw(where).polygon(inside, round(255 * shape.alpha))
        if shape.over is not None:
            where = ImageChops.darker(where, ids.crop(box).point(_table(shape.over)))
        canvas.paste(ink, box, where)
        if shape.region is not None:
            ids.paste(shape.region, box, where.point(ANY))
    return np.asarray(canvas.reduce(SUPERSAMPLING)) / np.float32(255), ids


def _outlines(shapes, side):
    """Of every shape: its outline in pixels, the box around it, and the outline in that box; all at once is fast."""
    lengths = [len(shape.points) for shape in shapes]
    ends = np.cumsum(lengths)
    points = np.concatenate([shape.points for shape in shapes]) * side
    low = np.minimum.reduceat(points, ends - lengths).clip(0, side).astype(int)
    high = (np.ceil(np.maximum.reduceat(points, ends - lengths)) + 1).clip(0, side).astype(int)
    inside = points - np.repeat(low, lengths, 0)
    cut = list(zip((2 * (ends - lengths)).tolist(), (2 * ends).tolist(), strict=True))
    flat, flat_inside = points.ravel().tolist(), inside.ravel().tolist()
    boxes = np.hstack([low, high]).tolist()
    return [flat[i:j] for i, j in cut], map(tuple, boxes), [flat_inside[i:j] for i, j in cut]


class Counted(NamedTuple):
    """`mask` `(H, W)` uint8, the region that fills most of each pixel; at the pixels `mixed`, every region's share."""

    mask: np.ndarray
    mixed: tuple[np.ndarray, np.ndarray]
    shares: np.ndarray

    def coverage(self, *regions: int) -> np.ndarray:
        """`(H, W)` from 0 to 1: how much of each pixel these regions fill."""
        chosen = np.isin(np.arange(TIE + 1), regions).astype(np.float32)
        alpha = chosen[self.mask]
        alpha[self.mixed] = self.shares @ chosen
        return alpha


def counted(ids: Image.Image) -> Counted:
    """The painted ids pixel by pixel; counting only where regions meet takes a tenth of the time."""
    size = ids.width // SUPERSAMPLING
    rows = np.asarray(ids).reshape(size, SUPERSAMPLING, size * SUPERSAMPLING)
    blocks, top = rows.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING), rows[:, 0].reshape(size, size, SUPERSAMPLING)
    alike = (rows == rows[:, :1]).all(1).reshape(top.shape) & (top == top[..., :1])
    y, x = np.nonzero(~alike.all(2))
    counts = np.arange(len(y))[:, None] * (TIE + 1) + blocks[y, :, x].reshape(len(y), -1)
    counts = np.bincount(counts.ravel(), minlength=len(y) * (TIE + 1)).reshape(-1, TIE + 1)
    mask = top[..., 0].copy()
    mask[y, x] = counts.argmax(1)
    return Counted(mask, (y, x), np.asarray(counts / SUPERSAMPLING**2, np.float32))


def layered(shapes: Sequence[Shape], mask: np.ndarray) -> np.ndarray:
    """`(19, H, W)` bool: one layer a region, which may overlap, of the picture that has this exclusive `mask`.

    LARGE parts hide each other as they do in the picture: a skull below the hair or a chest below a shirt is nothing
    that anybody would outline. Small ones, on the face or worn, neither hide nor are hidden, and have skin behind them
    where they are parts of the face. The background has no layer of its own.
    """
    side = len(mask) * SUPERSAMPLING
    large = Image.new("L", (side, side))
    small: dict[int, Image.Image] = {}
    for shape in shapes:
        region = ID["cloth"] if shape.region == TIE else shape.region
        outline = (shape.points * side).ravel().tolist()
        if region in LARGE:
            ImageDraw.Draw(large).polygon(outline, region)
        elif region is not None:
            sheet = small.setdefault(region, Image.new("L", (side, side)))
            ImageDraw.Draw(sheet).polygon(outline, 255)
    ids = np.arange(len(REGIONS))[:, None, None]
    layers = (mask == ids) | (counted(large).mask == ids)
    for region, sheet in small.items():
        layers[region] |= np.asarray(sheet.reduce(SUPERSAMPLING)) > 127
    layers[ID["skin"]] |= layers[list(FACE)].any(0)
    layers[ID["background"]] = False
    return layers


def lit(
    paint: np.ndarray, ground: np.ndarray, regions: Counted, pose: Pose, light: Light, blush: np.ndarray
) -> np.ndarray:
    """Person and background in soft light: rounded head and body, shadows of all parts, `blush` on the cheeks.

    Colours are planes `(3, H, W)` within: numpy is ten times faster when the short axis comes first.
    """
    size, of = len(paint), regions.coverage
    paint, ground = (np.ascontiguousarray(np.moveaxis(v, 2, 0), np.float32) for v in (paint, ground))
    face, hair, person = of(*FACE), of(ID["hair"], ID["hat"]), 1 - of(0)
    head = np.minimum(face + hair, 1)
    shade = np.clip(shading(0.3 * person + 0.7 * head, light), 0.55, 1.1) - 1
    paint *= 1 + shade * _planes(0.8, 1.0, 1.12)  # shadows on skin are warm
    under_hair = 0.24 * face * blurred(_moved(hair, light, 0.02), 0.022 * size)
    under_chin = of(ID["neck"], ID["neck_l"], ID["cloth"], TIE) * 0.42
    under_chin = under_chin * blurred(_moved(head, light, 0.05), 0.025 * size)
    paint *= 1 - (under_hair + under_chin) * _planes(0.85, 1.0, 1.08)
    cheeks = sum(_glow(pose.face([(x, 0.34)])[0], 0.2 * pose.unit, size) for x in (-0.45, 0.45))
    paint += 0.36 * of(ID["skin"]) * cheeks * (_planes(*blush / 255) - paint)
    spot = pose.head([(-0.35 * np.sign(-light.direction[0]), -0.82)])[0]
    paint += 0.16 * of(ID["hair"]) * _glow(spot, 0.34 * pose.unit, size) * (1 - paint)
    on_ground = 0.6 * light.shadow * blurred(_moved(person, light, 0.03), 0.035 * size)
    paint += ground * ((1 - on_ground) * (1 - person))
    return np.moveaxis(np.clip(paint, 0, 1), 0, 2)


def _planes(*colour) -> np.ndarray:
    return np.array(colour, np.float32)[:, None, None]


def _moved(alpha, light, by) -> np.ndarray:
    """A silhouette moved away from the light, and always a little down."""
    dx, dy = np.round(len(alpha) * by * np.array([-0.6 * light.direction[0], 1])).astype(int)
    moved = np.roll(alpha, (dy, dx), (0, 1))
    moved[:dy] = 0  # the clothes at the lower edge must not come back at the upper one
    return moved


def _glow(at, radius, size) -> np.ndarray:
    x, y = (np.exp(-(((np.arange(size) + 0.5) / size - c) ** 2) / (2 * radius**2)) for c in at)
    return y[:, None] * x


@cache
def _table(regions) -> list[int]:
    """For `Image.point`: 255 for these ids, 0 for all others."""
    return [255 * (i in regions) for i in range(256)]
