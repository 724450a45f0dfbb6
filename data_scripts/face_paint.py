"""From the shapes of a face to pixels: where the head is turned, painting with exact region masks, and light.

Shapes are in face units until a `Pose` places them: the head's middle is (0, 0), its half width about 0.74, the chin
at y = 0.95; x to the viewer's right, y down. Placed points are in pictures (0 to 1), so a face has no size of its own.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from .objects import SUPERSAMPLING, blurred
from .scenes import shading, shadow

# CelebAMask-HQ's ids. Its l_ and r_ are the person's own left and right: l_eye is on the viewer's right
REGIONS = (
    *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear"),
    *("mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
ID = {region: i for i, region in enumerate(REGIONS)}
TIE = len(REGIONS)  # a region while painting, cloth in the mask
FACE = tuple(ID[r] for r in ("skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip"))


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

    def body(self, points) -> np.ndarray:
        return np.asarray(points, float) * self.unit + (self.x, self.y)

    def head(self, points) -> np.ndarray:
        """Tilted about the neck."""
        p, pivot, (c, s) = np.asarray(points, float), (0, 0.8), (np.cos(self.tilt), np.sin(self.tilt))
        return self.body((p - pivot) @ np.array([[c, s], [-s, c]]) + pivot)

    def face(self, points, out=0.0) -> np.ndarray:
        """On the front of the head, a rounded surface that turns; `out` stands out from it, as a nose does."""
        x, y = np.asarray(points, float).T
        z = 0.75 * np.sqrt(np.clip(1 - (x / 0.8) ** 2 - (y / 1.15) ** 2, 0, 1)) + out
        return self.head(np.stack([x * np.cos(self.yaw) + z * np.sin(self.yaw), y + z * np.sin(self.pitch)], 1))


def random_pose(rng) -> Pose:
    """A small turn to any side, shift and scale: no region has pixels of its own."""
    x, y, unit = rng.uniform(0.43, 0.57), rng.uniform(0.415, 0.475), rng.uniform(0.235, 0.275)
    yaw, pitch, tilt = rng.uniform(-1, 1, 3) * (0.3, 0.12, 0.13)
    return Pose(x, y, unit, yaw, pitch, tilt)


def painted(shapes, size):
    """Colour times coverage `(H, W, 3)` from 0 to 1, and the region ids as a picture that is SUPERSAMPLING larger."""
    side = size * SUPERSAMPLING
    canvas, ids = Image.new("RGB", (side, side)), Image.new("L", (side, side))
    draw, draw_ids = ImageDraw.Draw(canvas), ImageDraw.Draw(ids)
    for points, fill, region, alpha, over in shapes:
        outline, ink = points * side, tuple(np.clip(fill, 0, 255).astype(int).tolist())
        if alpha == 1 and over is None:
            draw.polygon(outline.ravel().tolist(), ink)
            draw_ids.polygon(outline.ravel().tolist(), region)
            continue
        low, high = np.floor(outline.min(0)).astype(int), np.ceil(outline.max(0)).astype(int) + 1
        box = (*np.clip(low, 0, side).tolist(), *np.clip(high, 0, side).tolist())
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        where = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        ImageDraw.Draw(where).polygon((outline - box[:2]).ravel().tolist(), 255)
        if over is not None:
            where = ImageChops.darker(where, ids.crop(box).point(_table(over)))
        canvas.paste(ink, box, where.point([round(alpha * v) for v in range(256)]) if alpha < 1 else where)
        if region is not None:
            ids.paste(region, box, where)
    return np.asarray(canvas.reduce(SUPERSAMPLING)) / 255, ids


def coverage(ids, regions) -> np.ndarray:
    """`(H, W)` from 0 to 1: how much of each pixel these regions fill."""
    return np.asarray(ids.point(_table(regions)).reduce(SUPERSAMPLING)) / 255


def majority(ids) -> np.ndarray:
    """`(H, W)` uint8: the region that fills most of each pixel."""
    fine = np.asarray(ids)
    size = len(fine) // SUPERSAMPLING
    blocks = fine.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING).transpose(0, 2, 1, 3).reshape(size * size, -1)
    pixel = np.arange(size * size)[:, None] * (TIE + 1)
    counts = np.bincount((pixel + blocks).ravel(), minlength=size * size * (TIE + 1))
    return counts.reshape(size, size, TIE + 1).argmax(2).astype(np.uint8)


def lit(paint, ids, pose, light, blush) -> np.ndarray:
    """Soft light on the flat colours: rounded head and body, shadows of hair and chin, blush `(3,)` on the cheeks."""
    size = len(paint)
    face, hair = coverage(ids, FACE), coverage(ids, (ID["hair"], ID["hat"]))
    person = 1 - coverage(ids, (0,))
    head = np.clip(face + hair, 0, 1)
    paint = paint * (0.35 * shading(person, light) + 0.65 * shading(head, light))[..., None]
    under_hair = 0.3 * face * blurred(_moved(hair, light, 0.02), 0.022 * size)
    under_chin = coverage(ids, (ID["neck"], ID["neck_l"], ID["cloth"], TIE))
    under_chin = under_chin * 0.55 * blurred(_moved(head, light, 0.05), 0.025 * size)
    paint = paint * (1 - under_hair - under_chin)[..., None]
    rosy = coverage(ids, (ID["skin"],)) * sum(_glow(pose.face([(x, 0.34)])[0], 0.2 * pose.unit, size) for x in (-0.45, 0.45))
    paint = paint + 0.28 * rosy[..., None] * (blush / 255 - paint)
    spot = pose.head([(-0.35 * np.sign(-light.direction[0]), -0.82)])[0]
    shine = 0.16 * coverage(ids, (ID["hair"],)) * _glow(spot, 0.34 * pose.unit, size)
    return paint + shine[..., None] * (1 - paint)


def behind(ground, ids, light) -> np.ndarray:
    """The background, with the person's soft shadow, where no person is."""
    person = 1 - coverage(ids, (0,))
    return ground * ((1 - 0.6 * shadow(person, light)) * (1 - person))[..., None]


def _moved(alpha, light, by) -> np.ndarray:
    """A silhouette moved away from the light, and always a little down."""
    dx, dy = np.round(len(alpha) * by * np.array([-0.6 * light.direction[0], 1])).astype(int)
    return np.roll(alpha, (dy, dx), (0, 1))


def _glow(at, radius, size) -> np.ndarray:
    x, y = (np.exp(-(((np.arange(size) + 0.5) / size - c) ** 2) / (2 * radius**2)) for c in at)
    return y[:, None] * x


def _table(regions) -> list[int]:
    return [255 * (i in regions) for i in range(256)]
