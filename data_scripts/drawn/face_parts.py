"""The head of a drawn face but for its hair: each function gives shapes back to front, placed by `pose`.

`rng` is a `numpy.random.Generator` of this part's own, `t` the sitter's `Traits`, `c` the sitter's `Complexion`.
"""

from typing import NamedTuple

import numpy as np

from .face_paint import ID, Pose, Shape
from .shapes import between, curve, ellipse, polygon, stroke

SIDES = ((-1, "r_"), (1, "l_"))  # the person's right is on the viewer's left
SKIN_TONES = np.array(
    [(246, 210, 186), (238, 197, 164), (224, 175, 136), (195, 139, 99), (153, 101, 70), (108, 70, 51)], float
)


class Traits(NamedTuple):
    """How far each cue leans: `jaw` to `shoulders` to male (1) or female (-1), `sag` to `thin` to old (1)."""

    jaw: float
    chin: float
    brow: float
    nose: float
    lips: float
    lashes: float
    neck: float
    shoulders: float
    sag: float
    lines: float
    folds: float
    lids: float
    recede: float
    thin: float


class Complexion(NamedTuple):
    """Colours of a person, RGB 0 to 255: skin, its shade, its light, natural lips and blush; hair and its shade."""

    skin: np.ndarray
    shade: np.ndarray
    light: np.ndarray
    lips: np.ndarray
    blush: np.ndarray
    hair: np.ndarray
    hair_shade: np.ndarray


def complexion(rng: np.random.Generator, tone: int, hair: np.ndarray) -> Complexion:
    """Colours of a skin tone (a row of SKIN_TONES) and a hair colour, each a little varied."""
    skin = SKIN_TONES[tone] * rng.uniform(0.95, 1.03) + rng.normal(0, 3, 3)
    shade = skin * (0.85, 0.74, 0.69)
    light = between(skin, np.array([255, 240, 222]), 0.3)
    lips = between(skin * (0.93, 0.74, 0.7), np.array([196, 96, 92]), 0.22)
    blush = between(skin, np.array([232, 90, 84]), 0.55)
    return Complexion(*(np.clip(v, 0, 255) for v in (skin, shade, light, lips, blush, hair, hair * 0.7)))


def head(pose: Pose, t: Traits, c: Complexion) -> list[Shape]:
    jaw, chin = 0.53 + 0.042 * t.jaw + 0.034 * t.sag, max(0.18, 0.24 + 0.05 * t.chin)
    long, cheek = 0.95 + 0.03 * t.jaw, 0.705 - 0.02 * t.sag
    right = [(0.45, -0.9), (0.7, -0.55), (0.74, -0.1), (cheek, 0.28), (jaw, 0.63 + 0.03 * t.sag), (chin, 0.88 * long)]
    left = [(-x, y) for x, y in right[::-1]]
    outline = curve((0, -1.0), *right, (0, long), *left)
    turn = 0.07 * np.sin(pose.yaw) * np.clip(outline[:, 1:] + 0.3, 0, 1) * [[2, 0]]  # the chin goes with the turn
    return [Shape(pose.head(outline + turn), c.skin, ID["skin"])]


def ears(pose: Pose, c: Complexion) -> list[Shape]:
    shapes = []
    for s, side in SIDES:
        x = s * 0.75 * np.cos(pose.yaw) - 0.12 * np.sin(pose.yaw)
        shell = curve((x, -0.18), (x + s * 0.13, -0.2), (x + s * 0.16, 0.0), (x + s * 0.08, 0.22), (x, 0.26))
        inner = curve((x, -0.08), (x + s * 0.09, -0.1), (x + s * 0.1, 0.02), (x + s * 0.03, 0.14))
        shapes += [Shape(pose.head(shell), c.skin, ID[side + "ear"])]
        shapes += [Shape(pose.head(inner), c.shade, alpha=0.7, over=(ID[side + "ear"],))]
    return shapes


def eyes(rng: np.random.Generator, pose: Pose, t: Traits, c: Complexion, smiling: bool) -> list[Shape]:
    iris = np.array([(96, 62, 38), (70, 46, 34), (62, 110, 158), (84, 128, 84), (120, 86, 48)][rng.integers(5)], float)
    wide, tall, gaze = rng.uniform(0.135, 0.16), rng.uniform(0.105, 0.13), rng.uniform(-1, 1, 2) * (0.05, 0.02)
    apart, ink = rng.uniform(0.31, 0.345), between(c.hair_shade, np.array([30, 22, 24]), 0.75)
    up = tall * (0.84 if smiling else 1) * (1 - 0.1 * t.lids)
    low = tall * (0.42 if smiling else 0.72)
    shapes = []
    for s, side in SIDES:
        region, middle = (ID[side + "eye"],), np.array([s * apart, -0.02])
        x = np.linspace(-1, 1, 17)
        slant = -0.008 * s * x  # the outer corner is a little higher
        above = np.stack([wide * x, slant - up * (1 - x**2) ** 0.7], 1) + middle
        below = np.stack([wide * x, slant + low * (1 - x**2) ** 0.8], 1) + middle
        almond = np.concatenate([above, below[::-1]])
        crease = above * [1, 1] - [0, 0.045]
        shapes += [Shape(pose.face(stroke(crease[2:-2], 0.03)), c.shade, alpha=0.8)]
        shapes += [Shape(pose.face(almond), np.array([250.0, 247, 243]), region[0])]
        at = middle + gaze + [0, -0.12 * tall]
        for radius, fill in ((0.092, iris * 0.6), (0.08, iris), (0.044, np.full(3, 18.0))):
            shapes.append(Shape(pose.face(ellipse(at[0], at[1], radius)), fill, over=region))
        shapes.append(Shape(pose.face(ellipse(at[0] + 0.03, at[1] - 0.035, 0.026)), np.full(3, 255.0), over=region))
        lash = np.concatenate([above, [above[-1 if s > 0 else 0] + [s * 0.03, -0.006 + 0.008 * t.lashes]]])
        lash = lash if s > 0 else np.concatenate([lash[-1:], lash[:-1]])
        width = 0.04 - 0.009 * t.lashes
        shapes.append(Shape(pose.face(stroke(lash, width)), ink, region[0]))
        if t.lids > 0:
            bag = np.stack([0.9 * wide * x, low + 0.05 + 0.035 * (1 - x**2)], 1)[2:-2] + middle
            shapes.append(
                Shape(pose.face(stroke(bag, 0.026)), c.shade, alpha=min(0.6, 0.4 * t.lids), over=(ID["skin"],))
            )
    return shapes


def brows(rng: np.random.Generator, pose: Pose, t: Traits, c: Complexion) -> list[Shape]:
    y, arch, reach = -0.29 + 0.022 * t.brow, rng.uniform(0.025, 0.055) - 0.009 * t.brow, rng.uniform(0.19, 0.22)
    thick, lift, ink = (
        max(0.036, 0.066 + 0.017 * t.brow),
        rng.uniform(-0.02, 0.015),
        between(c.hair_shade, np.full(3, 40.0), 0.25),
    )
    shapes = []
    for s, side in SIDES:
        line = curve(
            (s * 0.15, y - 0.005 + lift),
            (s * 0.27, y - 0.6 * arch),
            (s * 0.39, y - arch),
            (s * (0.3 + reach), y + 0.035),
            closed=False,
        )
        shapes.append(Shape(pose.face(stroke(line, (thick, 0.55 * thick))), ink, ID[side + "brow"]))
    return shapes


def nose(rng: np.random.Generator, pose: Pose, t: Traits, c: Complexion) -> list[Shape]:
    wide, low = 0.155 + 0.02 * t.nose + rng.uniform(-0.02, 0.03), 0.31 + 0.015 * t.nose + rng.uniform(-0.03, 0.03)
    bridge = 0.05 + 0.008 * t.nose
    half = [
        (bridge, -0.12),
        (bridge + 0.01, 0.08),
        (0.75 * wide, low - 0.13),
        (wide, low - 0.03),
        (0.7 * wide, low + 0.035),
    ]
    outline = curve((0, -0.16), *half, (0, low + 0.055), *[(-x, y) for x, y in half[::-1]])
    ridge = curve((0, -0.08), (0.034, 0.05), (0.05, low - 0.1), (0, low - 0.035), (-0.05, low - 0.1), (-0.034, 0.05))
    tint = between(c.skin, c.shade, 0.26)
    shapes = [Shape(pose.face(outline, 0.02), tint, ID["nose"])]
    shapes += [Shape(pose.face(ridge, 0.08), c.light, alpha=0.8, over=(ID["nose"],))]
    for s in (-1, 1):
        nostril = stroke(
            curve((s * 0.03, low + 0.03), (s * 0.07, low + 0.015), (s * 0.1, low + 0.025), closed=False), 0.032
        )
        shapes.append(Shape(pose.face(nostril, 0.02), c.shade * 0.72, over=(ID["nose"],)))
    return shapes


def mouth(rng: np.random.Generator, pose: Pose, t: Traits, c: Complexion, smiling: bool, lipstick: bool) -> list[Shape]:
    """Lips, and between them the inner mouth where it is open: mostly with a smile, sometimes without."""
    paints = np.array([(200, 30, 52), (176, 26, 84), (226, 74, 92), (150, 30, 48), (232, 92, 70)], float)
    paint = paints[rng.integers(5)]
    y, wide = 0.575 + rng.uniform(-0.02, 0.02), rng.uniform(0.2, 0.235) + (0.075 if smiling else 0)
    lift = rng.uniform(0.075, 0.11) if smiling else rng.uniform(0.008, 0.035)
    chance, gap = rng.random(), rng.uniform(0.08, 0.13)
    gap = gap if smiling and chance < 0.75 else 0.045 if not smiling and chance < 0.2 else 0.0
    full = max(0.78, rng.uniform(0.85, 1.1) * (1 - 0.13 * t.lips) * (1 - 0.1 * t.thin))
    x = np.linspace(-1, 1, 21)
    dome, bow = 1 - x**2, 1 - 0.28 * np.exp(-((x / 0.16) ** 2))
    middle = y + 0.5 * lift - lift * x**2
    rows = (
        middle - 0.085 * full * dome**0.8 * bow,
        middle,
        middle + gap * dome,
        middle + gap * dome + 0.105 * full * dome**0.9,
    )
    lines = [np.stack([wide * x, row], 1) for row in rows]
    upper, inner, lower = (np.concatenate([lines[k], lines[k + 1][::-1]]) for k in range(3))
    shapes, fill = [], paint if lipstick else c.lips
    if gap:
        teeth = np.concatenate([lines[1], np.stack([wide * x, middle + 0.62 * gap * dome], 1)[::-1]])
        shapes += [Shape(pose.face(inner), np.array([112.0, 34, 40]), ID["mouth"])]
        shapes += [Shape(pose.face(teeth), np.array([252.0, 250, 246]), over=(ID["mouth"],))]
    shapes += [Shape(pose.face(upper), fill * 0.9, ID["u_lip"]), Shape(pose.face(lower), fill, ID["l_lip"])]
    gleam = stroke(lines[2][7:14] + [0, 0.045], 0.028)
    shapes.append(Shape(pose.face(gleam), between(fill, np.full(3, 255.0), 0.45), alpha=0.55, over=(ID["l_lip"],)))
    if not gap:
        shapes.append(Shape(pose.face(stroke(lines[1], 0.018)), fill * 0.55, over=(ID["u_lip"], ID["l_lip"])))
    for s in (-1, 1):
        end = (s * wide, middle[-1])
        dimple = curve(
            (end[0] + s * 0.015, end[1] - 0.035),
            (end[0] + s * 0.04, end[1]),
            (end[0] + s * 0.015, end[1] + 0.04),
            closed=False,
        )
        shapes.append(
            Shape(pose.face(stroke(dimple, 0.024)), c.shade, alpha=0.85 if smiling else 0.15, over=(ID["skin"],))
        )
    return shapes


def wrinkles(rng: np.random.Generator, pose: Pose, t: Traits, c: Complexion) -> list[Shape]:
    """Lines of the forehead, beside the eyes and from the nose to the mouth, as far as they lean to old."""
    lines, depth = [], rng.uniform(0.8, 1.2, 3)
    for k, y in enumerate((-0.5, -0.6)):
        reach = 0.3 - 0.06 * k
        lines.append(
            (curve((-reach, y + 0.02), (0, y - 0.015), (reach, y + 0.02), closed=False), 0.026, t.lines * depth[0])
        )
    for s in (-1, 1):
        fold = curve((s * 0.2, 0.32), (s * 0.3, 0.44), (s * 0.34, 0.56), closed=False)
        lines.append((fold, 0.03, t.folds * depth[1]))
        for dy in (-0.045, 0.035):
            foot = [(s * 0.52, -0.01 + dy / 2), (s * 0.6, -0.01 + 1.6 * dy)]
            lines.append((polygon(foot[0], np.mean(foot, 0), foot[1]), 0.022, t.lines * depth[2]))
    skin = (ID["skin"],)
    strength = [np.clip(0.6 * lean + 0.05, 0, 0.75) for *_, lean in lines]
    return [
        Shape(pose.face(stroke(p, w)), c.shade, alpha=a, over=skin)
        for (p, w, _), a in zip(lines, strength, strict=True)
        if a > 0.05
    ]


def beard(rng: np.random.Generator, pose: Pose, c: Complexion) -> list[Shape]:
    """A full one, a goatee or stubble: hair on the skin, so skin in the mask, as in CelebAMask-HQ."""
    kind, skin = rng.integers(3), (ID["skin"],)
    side = [(0.8, 0.1), (0.66, 0.18), (0.5, 0.4), (0.3, 0.44), (0.1, 0.42)]
    full = polygon(*side, *[(-x, y) for x, y in side[::-1]], (-0.8, 1.2), (0.8, 1.2))
    goatee = curve(
        (0.1, 0.41), (0.34, 0.5), (0.36, 0.72), (0.24, 1.0), (-0.24, 1.0), (-0.36, 0.72), (-0.34, 0.5), (-0.1, 0.41)
    )
    ink = between(c.hair, c.hair_shade, 0.5)
    if kind == 2:
        return [Shape(pose.face(full), between(c.shade, ink, 0.6), alpha=0.4, over=skin)]
    return [Shape(pose.face(full if kind == 0 else goatee), ink, alpha=0.92, over=skin)]
