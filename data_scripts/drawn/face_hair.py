"""Twelve hair styles, in the manner of `face_parts`: a style gives its back and its front."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .face_paint import ID, Pose, Shape
from .face_parts import Complexion, Traits
from .shapes import curve, ellipse, mirrored, stroke

LOOKS = {  # hair colours, RGB: a few of each name
    "Black_Hair": ((36, 31, 36), (46, 38, 40), (30, 32, 44)),
    "Blond_Hair": ((236, 200, 118), (222, 180, 98), (244, 216, 150)),
    "Brown_Hair": ((104, 66, 42), (136, 86, 52), (150, 74, 42), (84, 54, 40)),
    "Gray_Hair": ((186, 186, 190), (208, 206, 204), (160, 162, 170)),
}


class Style:
    """What one style draws with: its random numbers, the pose, the sitter, and whether a hat presses the hair down."""

    def __init__(self, rng: np.random.Generator, pose: Pose, t: Traits, c: Complexion, hat: bool) -> None:
        self.rng, self.pose, self.t, self.c, self.hat = rng, pose, t, c, hat
        self.side = rng.choice([-1, 1])

    def shape(self, points: ArrayLike, dark: float = 0.0) -> Shape:
        return Shape(self.pose.head(points), self.c.hair * (1 - dark), ID["hair"])

    def lock(self, line: ArrayLike, width: float | tuple[float, float], dark: float = 0.22) -> Shape:
        """A strand in a darker tone, only where hair lies below."""
        return Shape(self.pose.head(stroke(line, width)), self.c.hair * (1 - dark), alpha=0.8, over=(ID["hair"],))

    def cap(self, volume: float, down: float, line: str = "round") -> list[Shape]:
        """Hair over the skull to y = `down` at the sides, with one of five hair lines; and its strands."""
        v = min(volume, 0.05) if self.hat else volume
        half = [(0.8 + 0.4 * v, down), (0.83 + 0.6 * v, -0.4), (0.58 + 0.6 * v, -0.88 - 0.6 * v)]
        outer = curve(*[(-x, y) for x, y in half], (0.08 * self.side, -1.03 - v), *half[::-1], closed=False)
        up = 0.05 * np.clip(self.t.recede, -0.6, 2)
        top, temple = -0.66 - up, 1.5 * up
        edges = {
            "round": [
                (0.62, -0.42 - temple / 2),
                (0.4, -0.6 - temple),
                (0, top),
                (-0.4, -0.6 - temple),
                (-0.62, -0.42 - temple / 2),
            ],
            "parted": [
                (0.64, -0.36),
                (0.5, -0.56 - temple),
                (0.3, -0.74 - up),
                (-0.1, -0.62),
                (-0.44, -0.46),
                (-0.66, -0.24),
            ],
            "fringe": [(0.64, -0.26), (0.42, -0.42), (0.15, -0.44), (-0.15, -0.43), (-0.42, -0.42), (-0.64, -0.26)],
            "middle": [
                (0.68, -0.2),
                (0.54, -0.48),
                (0.24, -0.72),
                (0, -0.86),
                (-0.24, -0.72),
                (-0.54, -0.48),
                (-0.68, -0.2),
            ],
            "back": [
                (0.64, -0.4 - temple / 2),
                (0.44, -0.66 - temple),
                (0, top - 0.08),
                (-0.44, -0.66 - temple),
                (-0.64, -0.4 - temple / 2),
            ],
        }
        edge = np.array(edges[line], float)
        if line == "parted" and self.side < 0:
            edge = mirrored(edge)[::-1]
        inner = curve((0.7, down), *edge, (-0.7, down), closed=False)
        points = np.concatenate([self.pose.head(outer), self.pose.face(inner)])
        strands = []
        crown = np.array([0.3 * self.side if line == "parted" else 0.0, -0.98 - v])
        for k in (-3, -2, -1, 1, 2, 3):
            tip = np.array([0.25 * k, -0.35 - 0.08 * (3 - abs(k))])
            strands.append(
                self.lock(curve(crown + [0.03 * k, 0], crown + [0.2 * k, 0.16], tip, closed=False), (0.02, 0.035))
            )
        return [Shape(points, self.c.hair, ID["hair"]), *strands]

    def panels(
        self, low: float, inner: float = 0.6, out: float = 0.95, wavy: float = 0.0, tip: float = 0.35
    ) -> list[Shape]:
        """Hair falling at both sides of the face to y = `low`."""
        y = np.linspace(-0.55, low, 15)
        wave = wavy * np.sin(np.linspace(0, 3.2 * np.pi, 15))
        swell = np.interp(y, [-0.55, 0.1, 0.7 * low, low], [0.8, out, out + 0.02, out - 0.1])
        hem = np.interp(y, [-0.55, -0.2, 0.4, 0.75 * low, low], [0.74, 0.69, inner, inner - 0.06, tip])
        end = [((out - 0.1 + 2 * tip) / 3, low + 0.09)]  # rounded, not cut off
        side = np.concatenate([np.stack([swell + wave, y], 1), end, np.stack([hem + 0.5 * wave, y], 1)[::-1]])
        middle = np.stack([(swell + hem) / 2 + 0.8 * wave, y], 1)
        pieces = []
        for s in (-1, 1):
            pieces += [self.shape(side * [s, 1])]
            pieces += [self.lock(curve(*(middle[2::3] * [s, 1] + [d, 0]), closed=False), 0.03) for d in (-0.07, 0.06)]
        return pieces

    def curtain(self, low: float, out: float = 0.95) -> list[Shape]:
        """The hair behind the neck."""
        return [
            self.shape(
                curve(
                    (-0.75, -0.6),
                    (-out, 0.3),
                    (-out + 0.1, low),
                    (0, low + 0.06),
                    (out - 0.1, low),
                    (out, 0.3),
                    (0.75, -0.6),
                ),
                0.28,
            )
        ]

    def curls(self, places: Sequence[tuple[float, float]], radius: float) -> list[Shape]:
        """Round curls, each with a lighter rim; those under a hat are left out."""
        drawn = [(x, y, radius * self.rng.uniform(0.85, 1.15)) for x, y in places]
        drawn = [p for p in drawn if not (self.hat and p[1] < -0.3)]
        pieces = [self.shape(ellipse(x, y, r)) for x, y, r in drawn]
        for x, y, r in drawn:
            swirl = ellipse(x, y, 0.55 * r, 0.5 * r, 20, 230)
            pieces.append(self.lock(swirl, 0.035, dark=0.2))
        return pieces

    def ring(self, radius: float, low: float, n: int) -> list[tuple[float, float]]:
        """Places around the head from the right ear over the top to the left one, down to y = `low`."""
        a = np.linspace(0, np.pi, n)
        return [
            (radius * np.cos(v), (low if np.sin(v) < 0.2 else -0.2) - 0.72 * radius / 0.7 * np.sin(v) * 0.95) for v in a
        ]


def buzz(s: Style) -> tuple[list[Shape], list[Shape]]:
    return [], s.cap(0.035, -0.12, "back")


def short(s: Style) -> tuple[list[Shape], list[Shape]]:
    return [], s.cap(s.rng.uniform(0.1, 0.2), 0.0, "parted")


def quiff(s: Style) -> tuple[list[Shape], list[Shape]]:
    volume = s.rng.uniform(0.12, 0.2)
    tuft = curve(
        (-0.56 * s.side, -0.72),
        (-0.6 * s.side, -1.06),
        (0, -1.26 - volume),
        (0.58 * s.side, -1.1),
        (0.5 * s.side, -0.62),
        (0, -0.74),
    )
    front = [] if s.hat else [s.shape(tuft)]
    for k in range(0 if s.hat else 3):
        x = (-0.3 + 0.28 * k) * s.side
        front.append(
            s.lock(curve((x, -0.78), (x + 0.05 * s.side, -1.0), (x + 0.2 * s.side, -1.14), closed=False), (0.04, 0.02))
        )
    return [], s.cap(0.08, -0.05, "back") + front


def cropped_curls(s: Style) -> tuple[list[Shape], list[Shape]]:
    a = np.linspace(-0.05, np.pi + 0.05, 9)
    places = [(0.72 * np.cos(v), -0.38 - 0.66 * np.sin(v)) for v in a] + [(x, -0.86) for x in (-0.4, 0.0, 0.4)]
    return [], s.cap(0.08, -0.15, "round") + s.curls(places, 0.23)


def bob(s: Style) -> tuple[list[Shape], list[Shape]]:
    low = s.rng.uniform(0.62, 0.85)
    line = ("fringe", "parted")[s.rng.integers(2)]
    return s.curtain(low, 0.9), s.panels(low, 0.6, 0.95, tip=0.58) + s.cap(0.14, -0.2, line)


def straight(s: Style) -> tuple[list[Shape], list[Shape]]:
    low, line = s.rng.uniform(1.35, 1.9), ("fringe", "parted", "middle")[s.rng.integers(3)]
    return s.curtain(low), s.panels(low, 0.62, 0.95, tip=0.5) + s.cap(0.12, -0.2, line)


def wavy(s: Style) -> tuple[list[Shape], list[Shape]]:
    low, line = s.rng.uniform(1.25, 1.8), ("parted", "middle")[s.rng.integers(2)]
    return s.curtain(low, 1.02), s.panels(low, 0.64, 1.0, wavy=0.07, tip=0.5) + s.cap(0.16, -0.2, line)


def curly(s: Style) -> tuple[list[Shape], list[Shape]]:
    low = s.rng.uniform(0.75, 1.2)
    sides = [(k * x, y) for k in (-1, 1) for y in np.arange(-0.35, low, 0.27) for x in (0.84 + 0.08 * s.rng.random(),)]
    top = [(0.86 * np.cos(v), -0.42 - 0.72 * np.sin(v)) for v in np.linspace(0, np.pi, 8)]
    return s.curtain(low - 0.1, 0.95), s.cap(0.16, -0.2, "round") + s.curls(top + sides, 0.24)


def afro(s: Style) -> tuple[list[Shape], list[Shape]]:
    size = s.rng.uniform(0.85, 1.0)
    puffs = [(size * 1.02 * np.cos(v), -0.42 - size * 0.8 * np.sin(v)) for v in np.linspace(-0.5, np.pi + 0.5, 15)]
    bulk = [] if s.hat else [s.shape(ellipse(0, -0.45, 1.08 * size, 0.92 * size), 0.12)]
    hidden = [s.shape(ellipse(x, y, 0.25), 0.12) for x, y in puffs if not (s.hat and y < -0.42)]
    crown = [] if s.hat else [s.shape(ellipse(x, y, 0.2)) for x, y in puffs]
    return bulk + hidden, crown + s.cap(0.2, -0.12, "round")


def bun(s: Style) -> tuple[list[Shape], list[Shape]]:
    knot = (
        []
        if s.hat
        else [
            s.shape(ellipse(0.1 * s.side, -1.26, 0.33, 0.28)),
            s.lock(ellipse(0.1 * s.side, -1.28, 0.17, 0.13, 10, 260), 0.035),
        ]
    )
    return knot, s.cap(0.06, -0.05, "back")


def ponytail(s: Style) -> tuple[list[Shape], list[Shape]]:
    k = s.side
    tail = curve(
        (0.5 * k, -0.7),
        (0.95 * k, -0.75),
        (1.2 * k, -0.2),
        (1.12 * k, 0.5),
        (1.22 * k, 1.0),
        (0.98 * k, 0.85),
        (0.86 * k, 0.3),
        (0.82 * k, -0.3),
    )
    strand = curve((0.85 * k, -0.6), (1.05 * k, -0.1), (1.0 * k, 0.5), (1.1 * k, 0.9), closed=False)
    line = ("fringe", "back")[s.rng.integers(2)]
    return [s.shape(tail), s.lock(strand, 0.04)], s.cap(0.08, -0.08, line)


def braids(s: Style) -> tuple[list[Shape], list[Shape]]:
    front = s.cap(0.1, -0.1, "middle")
    for k in (-1, 1):
        for i, y in enumerate(np.arange(0.35, 1.75, 0.2)):
            bead = curve((k * 0.83 - 0.13, y), (k * 0.83, y - 0.13), (k * 0.83 + 0.13, y), (k * 0.83, y + 0.15))
            front.append(s.shape(bead, 0.1 * (i % 2)))
        front.append(Shape(s.pose.head(ellipse(k * 0.83, 1.84, 0.1, 0.14)), s.c.hair * 0.85, ID["hair"]))
    side = [
        s.shape(curve((k * 0.74, -0.5), (k * 0.87, -0.2), (k * 0.9, 0.3), (k * 0.72, 0.3), (k * 0.69, -0.1)))
        for k in (-1, 1)
    ]
    return [], side + front


STYLES = {
    f.__name__: f for f in (buzz, short, quiff, cropped_curls, bob, straight, wavy, curly, afro, bun, ponytail, braids)
}
