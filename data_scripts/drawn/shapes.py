"""Vector shapes and their way to pixels: palettes, outlines, parts of a drawing, and the anti-aliased picture of them.

Coordinates run from about -1 to 1, x to the right and y down.
"""

from collections.abc import Sequence
from colorsys import hsv_to_rgb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

SUPERSAMPLING = 4  # drawn this much larger, then averaged: smooth edges


class Palette(NamedTuple):
    """Colours of one object, RGB from 0 to 255: `body` and `accent` for large parts, `light` and `dark` for small."""

    body: np.ndarray
    accent: np.ndarray
    light: np.ndarray
    dark: np.ndarray


class Part(NamedTuple):
    """A filled polygon, points `(n, 2)`; with `edge`, a darker line of its own colour runs around it."""

    points: np.ndarray
    fill: np.ndarray
    edge: bool = True


# --- colours ----------------------------------------------------------------------------------------------------------


def colour(
    rng: np.random.Generator,
    hue: tuple[float, float] = (0, 360),
    saturation: tuple[float, float] = (0.15, 0.45),
    value: tuple[float, float] = (0.4, 0.9),
) -> np.ndarray:
    """A random RGB colour from 0 to 1, its hue in degrees."""
    return np.array(hsv_to_rgb(rng.uniform(*hue) / 360 % 1, rng.uniform(*saturation), rng.uniform(*value)))


# hue, saturation and value of paints that sit well together: an even wheel of hues at full strength looks like neon
PAINTS = (
    (4, 0.78, 0.88),  # red
    (22, 0.82, 0.94),  # orange
    (42, 0.78, 0.97),  # amber
    (78, 0.62, 0.78),  # leaf
    (140, 0.58, 0.66),  # green
    (172, 0.68, 0.70),  # teal
    (200, 0.66, 0.90),  # azure
    (222, 0.72, 0.84),  # blue
    (252, 0.56, 0.80),  # indigo
    (285, 0.52, 0.74),  # violet
    (325, 0.62, 0.88),  # magenta
    (348, 0.46, 0.96),  # pink
)


def random_palette(rng: np.random.Generator) -> Palette:
    """Two vivid paints at least two apart on the wheel, and two tinted neutrals; knows nothing of the class."""
    first = rng.integers(len(PAINTS))
    second = (first + rng.integers(2, len(PAINTS) - 1)) % len(PAINTS)
    paints = []
    for hue, saturation, value in (PAINTS[first], PAINTS[second]):
        strong, bright = saturation * rng.uniform(0.85, 1.15), value * rng.uniform(0.88, 1.03)
        paints.append(colour(rng, (hue - 9, hue + 9), (strong, strong), (bright, bright)))
    light = colour(rng, saturation=(0.02, 0.15), value=(0.92, 1.0))
    dark = colour(rng, saturation=(0.3, 0.6), value=(0.15, 0.3))
    return Palette(*(255 * np.clip(c, 0, 1) for c in (*paints, light, dark)))


# --- shapes -----------------------------------------------------------------------------------------------------------


def detail(points: np.ndarray, fill: np.ndarray) -> Part:
    """A part without an edge."""
    return Part(points, fill, edge=False)


def polygon(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, float)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return polygon((x0, y0), (x0, y1), (x1, y1), (x1, y0))


def ellipse(x: float, y: float, rx: float, ry: float | None = None, start: float = 0, stop: float = 360) -> np.ndarray:
    """An ellipse, or its part from `start` to `stop` degrees (0 is right, 90 is down)."""
    t = np.radians(np.linspace(start, stop, 40))
    return np.stack([x + rx * np.cos(t), y + (rx if ry is None else ry) * np.sin(t)], 1)


def curve(*points: ArrayLike, closed: bool = True) -> np.ndarray:
    """A smooth line through the points (Catmull-Rom)."""
    p = np.array(points, float)
    p = np.concatenate([p[-1:], p, p[:2]] if closed else [2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    a, b, c, d = (p[k : len(p) - 3 + k, None] for k in range(4))
    t = np.linspace(0, 1, 9)[:-1, None]
    line = (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3) / 2
    return np.concatenate([line.reshape(-1, 2), p[-2:-1]])


def stroke(line: ArrayLike, width: float | tuple[float, float]) -> np.ndarray:
    """The outline of a line drawn with a round pen; `width` may be a pair, from the first point to the last."""
    line = np.asarray(line, float)
    along = np.empty_like(line)  # np.gradient and np.linalg.norm, written out: a face has forty strokes
    along[1:-1], along[0], along[-1] = (line[2:] - line[:-2]) / 2, line[1] - line[0], line[-1] - line[-2]
    along /= np.sqrt((along**2).sum(1, keepdims=True)) + 1e-9
    thin, thick = width if isinstance(width, tuple) else (width, width)
    half = np.linspace(thin, thick, len(line))[:, None] / 2
    side = along[:, ::-1] * ACROSS * half
    tip = line[-1] + half[-1] * COS * along[-1] + SIN * side[-1]
    tail = line[0] - half[0] * COS * along[0] - SIN * side[0]
    return np.concatenate([line - side, tip, (line + side)[::-1], tail])


_turn = np.radians(np.linspace(-90, 90, 9))[1:-1, None]  # the half circle at a stroke's ends
COS, SIN, ACROSS = np.cos(_turn), np.sin(_turn), np.array([-1, 1])


def merged(shapes: Sequence[np.ndarray], fill: np.ndarray) -> list[Part]:
    """Overlapping shapes as one: the edges first, so that the fills hide those inside."""
    return [Part(s, fill) for s in shapes] + [detail(s, fill) for s in shapes]


def mirrored(points: np.ndarray) -> np.ndarray:
    return points * [-1, 1]


def between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """The colour at `share` of the way from a to b."""
    return a + share * (b - a)


# --- from parts to pixels ---------------------------------------------------------------------------------------------


def posed(rng: np.random.Generator, parts: Sequence[Part], size: int, share: float = 1.0) -> list[Part]:
    """Parts turned, mirrored, stretched, and placed in pixels: 12 to 45 % of the picture where the shape lets it.

    Or this `share` of that area, posed alike.
    """
    a, stretch, flip = np.radians(rng.uniform(-25, 25)), np.exp(rng.uniform(-0.1, 0.1)), rng.choice([-1, 1])
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) @ np.diag([flip * stretch, 1 / stretch])
    points = [part.points @ turn.T for part in parts]
    low, high = np.min([p.min(0) for p in points], 0), np.max([p.max(0) for p in points], 0)
    target, fit = rng.uniform(0.125, 0.44), 0.95 / (high - low).max()
    scale = np.sqrt(share) * min(fit, np.sqrt(target / area(points)))
    spare = 1 - scale * (high - low)
    margin = 0.012  # room for the line around it
    corner = margin + (spare - 2 * margin) * rng.random(2) - scale * low
    return [part._replace(points=(p * scale + corner) * size) for part, p in zip(parts, points, strict=True)]


def area(points: Sequence[np.ndarray]) -> float:
    """Area of a union of polygons, counted on a coarse grid."""
    silhouette = Image.new("1", (96, 96))
    draw = ImageDraw.Draw(silhouette)
    for p in points:
        draw.polygon(((p + 1.6) * 30).ravel().tolist(), fill=1)
    return np.asarray(silhouette).sum() / 30**2


def rasterised(parts: Sequence[Part], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour times coverage `(H, W, 3)` and coverage `(H, W)` of the parts, both from 0 to 1."""
    side = size * SUPERSAMPLING
    canvas = Image.new("RGBX", (side, side))  # the fourth channel is the coverage
    draw = ImageDraw.Draw(canvas)
    width = max(2, round(0.017 * side))
    for points, fill, edge in parts:
        outline = points * SUPERSAMPLING
        flat = outline.ravel().tolist()
        if edge:
            ink = (*(fill * 0.38).astype(int).tolist(), 255)
            draw.line(flat + flat[:2], ink, width)
            for x, y in corners(outline):
                draw.circle((x, y), width / 2, ink)
        draw.polygon(flat, (*fill.astype(int).tolist(), 255))
    pixels = np.asarray(canvas.reduce(SUPERSAMPLING)) / 255
    return pixels[..., :3], pixels[..., 3]


def corners(outline: np.ndarray) -> np.ndarray:
    """Points at which a closed line turns by more than 20 degrees: there, a wide pen leaves a notch."""
    ahead = np.roll(outline, -1, 0) - outline
    ahead = ahead[:, 0] + 1j * ahead[:, 1]
    return outline[np.abs(np.angle(ahead * np.roll(ahead, 1).conj(), deg=True)) > 20]


def blurred(alpha: np.ndarray, radius: float) -> np.ndarray:
    picture = Image.fromarray((alpha * 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), float) / 255
