"""Neck, clothes and what is worn on them and on the head, in the manner of `face_parts`."""

import numpy as np
from numpy.typing import ArrayLike

from .face_paint import ID, TIE, Pose, Shape
from .face_parts import SIDES, Complexion, Traits
from .shapes import Palette, curve, ellipse, mirrored, polygon, stroke

METALS = np.array(
    [(236, 190, 84), (214, 218, 226), (226, 160, 130), (250, 244, 232), (64, 170, 170), (214, 74, 92)], float
)


def neck(pose: Pose, t: Traits, c: Complexion) -> list[Shape]:
    w = 0.36 + 0.045 * t.neck
    half = [(w, 0.4), (w, 1.12), (w + 0.14, 1.3), (0.8, 1.42), (0.8, 2.2)]
    return [Shape(pose.chest(polygon(*half, *[(-x, y) for x, y in half[::-1]])), c.skin * 0.97, ID["neck"])]


def clothes(rng: np.random.Generator, pose: Pose, t: Traits, palette: Palette, tie: bool) -> list[Shape]:
    """A garment with one of three necklines; with a collar below it by chance, and always under a tie."""
    reach, cut = 1.06 + 0.055 * t.shoulders, rng.integers(3)
    low, wide = ((1.38, 0.44), (1.56, 0.52), (1.8, 0.46))[cut]
    sharp = 1.0 if cut == 2 else 2.2
    x = np.linspace(1, -1, 21)
    edge = np.stack([wide * x, 1.2 + (low - 1.2) * (1 - np.abs(x) ** sharp)], 1)
    side = [(reach, 1.5), (reach + 0.2, 1.85), (reach + 0.25, 3.2)]
    slope = curve((wide, 1.2), *side, closed=False)
    outline = np.concatenate([mirrored(slope)[::-1], edge[::-1][1:-1], slope])
    collar, cloth, pattern = rng.random() < 0.35, ID["cloth"], rng.integers(3)
    shapes = []
    if collar or tie:
        shirt = polygon((-0.42, 1.16), (-0.2, 1.34), (0, 1.44), (0.2, 1.34), (0.42, 1.16), (0.6, 2.0), (-0.6, 2.0))
        shapes.append(Shape(pose.chest(shirt), palette.light * 0.94, cloth))
    shapes.append(Shape(pose.chest(outline), palette.body, cloth))
    for y in (1.75, 1.98, 2.21, 2.44) if pattern == 0 else ():
        stripe = stroke(curve((-1.6, y + 0.1), (0, y), (1.6, y + 0.1), closed=False), 0.1)
        shapes.append(Shape(pose.chest(stripe), palette.accent, alpha=0.9, over=(cloth,)))
    if not (collar or tie):
        shapes.append(Shape(pose.chest(stroke(edge, 0.09)), palette.accent, cloth))
    else:
        for s in (-1, 1):
            flap = polygon((s * 0.36, 1.02), (s * 0.05, 1.4), (s * 0.26, 1.66), (s * 0.54, 1.24))
            shapes += [Shape(pose.chest(flap), palette.light, cloth)]
            fold = stroke([(s * 0.05, 1.4), (s * 0.26, 1.66), (s * 0.54, 1.24)], 0.03)
            shapes += [Shape(pose.chest(fold), palette.light * 0.75, alpha=0.8, over=(cloth,))]
    return shapes


def necktie(rng: np.random.Generator, pose: Pose, palette: Palette) -> list[Shape]:
    knot = polygon((-0.12, 1.34), (0.12, 1.34), (0.075, 1.56), (-0.075, 1.56))
    blade = polygon((-0.075, 1.56), (0.075, 1.56), (0.19, 2.5), (-0.19, 2.5))
    shapes = [Shape(pose.chest(blade), palette.body, TIE), Shape(pose.chest(knot), palette.body * 0.82, TIE)]
    rise = rng.choice([-0.12, 0.0, 0.12])
    for y in np.arange(1.68, 2.4, 0.17):
        shapes.append(Shape(pose.chest(stroke([(-0.3, y + rise), (0.3, y - rise)], 0.06)), palette.accent, over=(TIE,)))
    return shapes


def necklace(rng: np.random.Generator, pose: Pose) -> list[Shape]:
    metal, low, kind = METALS[rng.integers(6)], rng.uniform(1.56, 1.74), rng.integers(3)
    line = curve(
        (-0.44, 1.1),
        (-0.3, 1.1 + 0.72 * (low - 1.1)),
        (0, low),
        (0.3, 1.1 + 0.72 * (low - 1.1)),
        (0.44, 1.1),
        closed=False,
    )
    shapes, region = [Shape(pose.chest(stroke(line, 0.06)), metal * 0.86, ID["neck_l"])], ID["neck_l"]
    if kind == 0:
        shapes += [Shape(pose.chest(ellipse(x, y, 0.06)), metal, region) for x, y in line[2:-1:3]]
    elif kind == 1:
        drop = curve((0, low - 0.02), (0.09, low + 0.12), (0, low + 0.2), (-0.09, low + 0.12))
        shapes.append(Shape(pose.chest(drop), METALS[rng.integers(6)], region))
    return shapes


def earrings(rng: np.random.Generator, pose: Pose) -> list[Shape]:
    metal, kind, shapes = METALS[rng.integers(6)], rng.integers(3), []
    for s in (-1, 1):
        x, y = s * 0.82 * np.cos(pose.yaw) - 0.12 * np.sin(pose.yaw), 0.26
        if kind == 0:
            parts = [ellipse(x, y, 0.075)]
        elif kind == 1:
            parts = [stroke(ellipse(x, y + 0.13, 0.1, 0.13), 0.05)]
        else:
            parts = [
                ellipse(x, y, 0.05),
                curve((x, y + 0.04), (x + 0.08, y + 0.22), (x, y + 0.31), (x - 0.08, y + 0.22)),
            ]
        shapes += [Shape(pose.head(p), metal, ID["ear_r"]) for p in parts]
    return shapes


def glasses(rng: np.random.Generator, pose: Pose) -> list[Shape]:
    """Rims, bridge and arms; eyes and brows keep their regions behind the glass, as in CelebAMask-HQ."""
    inks = np.array([(38, 34, 40), (112, 74, 150), (170, 40, 56), (44, 82, 140), (196, 158, 84), (90, 96, 104)], float)
    ink, power = inks[rng.integers(6)], rng.choice([2.0, 3.2, 5.0])
    rx, ry, width = rng.uniform(0.235, 0.27), rng.uniform(0.18, 0.225), rng.uniform(0.045, 0.07)
    a = np.linspace(0, 2 * np.pi, 49)
    lens = np.stack(
        [
            np.sign(np.cos(a)) * rx * np.abs(np.cos(a)) ** (2 / power),
            np.sign(np.sin(a)) * ry * np.abs(np.sin(a)) ** (2 / power),
        ],
        1,
    )
    eye_or_brow = {ID[side + part] for _, side in SIDES for part in ("eye", "brow")}
    behind, region, shapes = tuple(set(range(TIE)) - eye_or_brow), ID["eye_g"], []
    for s in (-1, 1):
        at = np.array([s * 0.335, 0.01])
        arm = stroke([at + [s * rx, -0.06], at + [s * (rx + 0.1), -0.07], np.array([s * 0.78, -0.07])], 0.8 * width)
        shapes.append(Shape(pose.face(arm, 0.05), ink, region))
        shapes.append(Shape(pose.face(lens + at, 0.08), np.array([225.0, 240, 250]), region, alpha=0.22, over=behind))
        gleam = stroke([at + [-0.1, 0.1], at + [0.0, -0.02], at + [0.08, -0.12]], 0.035)
        shapes.append(Shape(pose.face(gleam, 0.08), np.full(3, 255.0), alpha=0.35))
        shapes.append(Shape(pose.face(stroke(lens + at, width), 0.08), ink, region))
    bridge = curve((-0.1, -0.02), (0, -0.06), (0.1, -0.02), closed=False)
    return shapes + [Shape(pose.face(stroke(bridge, width), 0.08), ink, region)]


def hat(rng: np.random.Generator, pose: Pose, palette: Palette) -> list[Shape]:
    """A cap, a beanie or a brimmed hat, wide enough for every hair line."""
    kind, side, tall = rng.integers(3), rng.choice([-1, 1]), rng.uniform(1.36, 1.48)
    region = ID["hat"]

    def worn(points: ArrayLike, fill: np.ndarray, dark: float = 0.0) -> Shape:
        return Shape(pose.head(points), fill * (1 - dark), region)

    def mark(line: ArrayLike, width: float, fill: np.ndarray) -> Shape:
        return Shape(pose.head(stroke(line, width)), fill, over=(region,))

    edge = pose.yaw * 0.15
    crown = curve(
        (-0.9, -0.46),
        (-0.86, -0.95),
        (-0.5, -tall + 0.06),
        (0, -tall),
        (0.5, -tall + 0.06),
        (0.86, -0.95),
        (0.9, -0.46),
        closed=False,
    )
    if kind == 0:
        visor = curve(
            (-0.72 + edge, -0.58),
            (-0.4 + 0.15 * side, -0.44),
            (0.1 * side, -0.36),
            (0.4 + 0.15 * side, -0.44),
            (0.72 + edge, -0.58),
            (0, -0.7),
        )
        seams = [
            mark(curve((0, -tall), (k * 0.42, -1.0), (k * 0.5, -0.6), closed=False), 0.025, palette.body * 0.78)
            for k in (-1, 1)
        ]
        button = worn(ellipse(0, -tall, 0.09, 0.05), palette.accent)
        badge = [
            worn(ellipse(edge * 3, -0.98, 0.17), palette.light),
            worn(ellipse(edge * 3, -0.98, 0.09), palette.accent),
        ]
        low = curve((0.9, -0.46), (0.45, -0.56), (0, -0.6), (-0.45, -0.56), (-0.9, -0.46), closed=False)
        return [
            worn(np.concatenate([crown, low]), palette.body),
            *seams,
            button,
            *badge,
            worn(visor, palette.accent, 0.12),
        ]
    if kind == 1:
        band = np.concatenate(
            [
                curve((-0.91, -0.42), (0, -0.52), (0.91, -0.42), closed=False),
                curve((0.92, -0.72), (0, -0.84), (-0.92, -0.72), closed=False),
            ]
        )
        ribs = [
            mark([(x, -0.45), (0.98 * x, -0.6), (x, -0.84)], 0.028, palette.accent * 0.8)
            for x in np.linspace(-0.78, 0.78, 9)
        ]
        stripe = mark(curve((-0.95, -1.0), (0, -1.14), (0.95, -1.0), closed=False), 0.12, palette.light)
        ball = [worn(ellipse(0, -tall - 0.06, 0.2), palette.light)] * rng.integers(2)
        return [
            *ball,
            worn(np.concatenate([crown, [(0, -0.5)]]), palette.body),
            stripe,
            worn(band, palette.accent),
            *ribs,
        ]
    dent = curve(
        (-0.72, -0.6),
        (-0.68, -1.15),
        (-0.42, -tall),
        (0, -tall + 0.07),
        (0.42, -tall),
        (0.68, -1.15),
        (0.72, -0.6),
        closed=False,
    )
    ribbon = np.concatenate(
        [
            curve((-0.74, -0.56), (0, -0.64), (0.74, -0.56), closed=False),
            curve((0.72, -0.78), (0, -0.86), (-0.72, -0.78), closed=False),
        ]
    )
    brim = curve(
        (-1.3, -0.52), (-0.7, -0.74), (0, -0.76), (0.7, -0.74), (1.3, -0.52), (0.75, -0.42), (0, -0.42), (-0.75, -0.42)
    )
    return [worn(brim, palette.body, 0.16), worn(dent, palette.body), worn(ribbon, palette.accent)]
