"""The outlines of the face that prototypes are drawn on: an embedded face with every chance at its middle.

Upright, frontal, symmetric, nobody.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.path import Path
from scipy.ndimage import gaussian_filter
from skimage.measure import approximate_polygon, find_contours

from . import face_hair, face_parts, face_wear
from .face_paint import REGIONS, Pose, painted
from .face_parts import Complexion, Traits
from .shapes import Palette

TWIN = {a + part: b + part for part in ("eye", "brow", "ear") for a, b in (("l_", "r_"), ("r_", "l_"))}
Size = int | tuple[int, ...] | None


class Middle:
    """In place of a random generator: numbers from the middle of their range, choices at `pick`."""

    def __init__(self, pick: int):
        self.pick = pick

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Size = None) -> np.ndarray:
        return np.full(size or (), (low + high) / 2)[()]

    def normal(self, middle: float = 0.0, spread: float = 1.0, size: Size = None) -> np.ndarray:
        return np.full(size or (), middle)[()]

    def random(self, size: Size = None) -> np.ndarray:
        return self.uniform(size=size)

    def integers(self, n: int) -> int:
        return self.pick % n

    def choice(self, options: Sequence) -> Any:
        return options[self.pick % len(options)]


@lru_cache
def outlines(worn: bool) -> dict[str, Path]:
    """The regions of the face, or with `worn` of the head with hat and glasses, the largest first; y down."""
    side = 4.0  # of the picture, in face units
    pose = Pose(0.5, 0.46, 1 / side, yaw=0, pitch=0, tilt=0)
    ids = np.asarray(painted(_shapes(pose, worn), 192)[1])
    paths = {}
    for i in np.argsort(-np.bincount(ids.ravel(), minlength=len(REGIONS)), kind="stable"):
        region = REGIONS[i]
        twin = REGIONS.index(TWIN.get(region, region))
        mask = np.pad(0.5 * (ids == i) + 0.5 * (ids == twin)[:, ::-1], 4)  # pixels lean to one side, the mean does not
        rows, columns = (np.flatnonzero(mask.any(k))[[0, -1]] if mask.any() else (4, 4) for k in (1, 0))
        window = mask[rows[0] - 4 : rows[1] + 5, columns[0] - 4 : columns[1] + 5]
        # blurred a little, an edge lies between the pixels: its line is smooth
        rings = find_contours(gaussian_filter(window.astype(np.float32), 1.2), 0.5)
        rings = [approximate_polygon(ring, 0.25)[:, ::-1] + (columns[0] - 8, rows[0] - 8) for ring in rings]
        rings = [((ring + 0.5) / len(ids) - (pose.x, pose.y)) * side for ring in rings if len(ring) > 8]
        if rings and region != "background":
            paths[region] = Path.make_compound_path(*(Path(ring, closed=True) for ring in rings))
    return paths


def _shapes(pose, worn):
    nothing = np.zeros(3)  # colours and traits play no part
    t, c = Traits(*[0.0] * len(Traits._fields)), Complexion(*[nothing] * len(Complexion._fields))
    hair, paint, plain = face_hair.Style(Middle(0), pose, t, c, worn), Palette(*[nothing] * 4), Middle(0)
    hair.side = 0  # parted on neither side
    shapes = hair.curtain(1.3, 1.04) + face_wear.neck(pose, t, c)  # behind the ears, so that these show
    shapes += face_wear.clothes(Middle(1), pose, t, paint, tie=False)
    near = pose._replace(unit=0.84 * pose.unit)  # a necklace on the neck alone, not over hair
    shapes += [] if worn else face_wear.necklace(Middle(1), near)
    shapes += face_parts.ears(pose, c) + face_parts.head(pose, t, c) + face_parts.nose(plain, pose, t, c)
    shapes += face_parts.eyes(plain, pose, t, c, smiling=0) + face_parts.brows(plain, pose, t, c)
    shapes += face_parts.mouth(plain, pose, t, c, smiling=1, lipstick=0)  # a smile is what opens the mouth
    shapes += hair.cap(0.0 if worn else 0.16, -0.16, "middle")
    if worn:
        return shapes + face_wear.glasses(Middle(1), pose) + face_wear.hat(Middle(2), pose, paint)
    return shapes + face_wear.earrings(Middle(2), pose)
