"""Ten kinds of background, each a function of a random generator and a size: values 0 to 1, `(size, size, 3)`.

They are muted and the objects are vivid, so that an object stands out whatever lies behind it.
"""

from functools import cache
from importlib.resources import as_file, files

import numpy as np
from PIL import Image

from .shapes import Part, blurred, colour, curve, rasterised


def mix(dark: np.ndarray, light: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`dark` where share `(H, W)` is 0, `light` where it is 1."""
    return dark + np.clip(share, 0, 1)[..., None] * (light - dark)


def resized(grid: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(grid.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC))


def noise(
    rng: np.random.Generator, size: int, across: int = 4, down: int | None = None, octaves: int = 3
) -> np.ndarray:
    """Smooth noise from 0 to 1: grids of random numbers enlarged, each octave twice as fine and half as strong."""
    total = np.zeros((size, size), np.float32)
    for k in range(octaves):
        total = total + resized(rng.random(((down or across) << k, across << k)), size) / 2**k
    return (total - total.min()) / (np.ptp(total) + 1e-9)


def coordinates(rng: np.random.Generator, size: int, tilt: float = 180) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns from 0 to 1, turned by up to `tilt` degrees."""
    y, x = np.mgrid[:size, :size] / size
    a = np.radians(rng.uniform(-tilt, tilt))
    return np.cos(a) * y - np.sin(a) * x, np.sin(a) * y + np.cos(a) * x


def wave(t: np.ndarray, size: int, periods: float) -> np.ndarray:
    """A square wave of t, 0 or 1, whose steps are one pixel wide."""
    return np.clip(0.5 + np.sin(2 * np.pi * periods * t) * size / (2 * np.pi * periods), 0, 1)


@cache
def texture(name: str) -> Image.Image:
    """A photograph that comes inside the scikit-image package; nothing is fetched."""
    with as_file(files("skimage") / "data" / f"{name}.png") as path:
        return Image.open(path).convert("L")


def photographed(
    rng: np.random.Generator, name: str, size: int, closest: float, dark: np.ndarray, light: np.ndarray
) -> np.ndarray:
    """A random window of a texture, tinted; `closest` is the smallest window's share of the photograph."""
    picture = texture(name)
    side = int(rng.uniform(closest, 0.95) * picture.width)
    x, y = rng.integers(0, picture.width - side, 2)
    window = picture.resize((size, size), Image.Resampling.LANCZOS, (x, y, x + side, y + side))
    grey = np.asarray(window, float)[:, :: rng.choice([-1, 1])]
    low, high = np.percentile(grey, [2, 98])
    return mix(dark, light, (grey - low) / (high - low))


def bokeh(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    picture = mix(colour(rng, value=(0.15, 0.28)), colour(rng, value=(0.35, 0.5)), noise(rng, size, 2))
    hue = rng.uniform(0, 360)
    for _ in range(rng.integers(18, 30)):
        radius, cx, cy = rng.uniform(0.03, 0.11), *rng.random(2)
        near = np.ix_(abs(y[:, 0] - cy) < radius + 0.05, abs(x[0] - cx) < radius + 0.05)
        edge = np.clip((radius - np.hypot(x[near] - cx, y[near] - cy)) * size / 2.5 + 0.5, 0, 1)
        disc = colour(rng, (hue, hue + 90), value=(0.6, 0.95))
        picture[near] = mix(picture[near], disc, edge * rng.uniform(0.2, 0.5))
    return picture


def brick(rng: np.random.Generator, size: int) -> np.ndarray:
    middle = rng.choice([10, 30, 210])  # red, yellow and grey-blue bricks
    hue = (middle - 12, middle + 12)
    return photographed(
        rng, "brick", size, 0.5, colour(rng, hue, value=(0.3, 0.5)), colour(rng, hue, value=(0.7, 0.95))
    )


def checks(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = coordinates(rng, size, 45)
    hue, n = rng.uniform(0, 360), rng.uniform(3, 6)
    rows, columns = wave(y + rng.random(), size, n), wave(x + rng.random(), size, n)
    cloth = mix(
        colour(rng, saturation=(0.02, 0.12), value=(0.85, 0.97)), colour(rng, (hue, hue + 20)), (rows + columns) / 2
    )
    return cloth * (0.9 + 0.1 * noise(rng, size, 32, octaves=1)[..., None])


def grass(rng: np.random.Generator, size: int) -> np.ndarray:
    hue = (65, 135)
    return photographed(
        rng, "grass", size, 0.4, colour(rng, hue, value=(0.15, 0.3)), colour(rng, hue, value=(0.65, 0.9))
    )


def gravel(rng: np.random.Generator, size: int) -> np.ndarray:
    hue = rng.uniform(0, 360)
    dark, light = (colour(rng, (hue, hue + 30), (0.03, 0.2), value) for value in ((0.12, 0.3), (0.75, 0.95)))
    return photographed(rng, "gravel", size, 0.45, dark, light)


def meadow(rng: np.random.Generator, size: int) -> np.ndarray:
    """Sky over rolling hills, each nearer one darker."""
    y, x = np.mgrid[:size, :size] / size
    picture = mix(colour(rng, (190, 230), value=(0.75, 0.9)), colour(rng, (20, 60), (0.08, 0.3), (0.9, 1)), y * 1.6)
    hue, near = rng.uniform(60, 140), rng.uniform(0.32, 0.5)
    for k in range(3):
        hill = near + 0.2 * k + 0.05 * np.sin(2 * np.pi * (rng.uniform(0.6, 1.4) * x + rng.random()))
        ground = colour(rng, (hue, hue + 20), (0.25, 0.45), (0.72 - 0.13 * k, 0.82 - 0.13 * k))
        ground = ground * (0.88 + 0.12 * noise(rng, size, 16, 24, 2))[..., None]
        picture = mix(picture, ground, (y - hill) * size + 0.5)
    return picture


def sky(rng: np.random.Generator, size: int) -> np.ndarray:
    """Clouds: smooth noise, brighter towards the horizon."""
    y = np.linspace(0, 1, size)[:, None]
    blue = mix(
        colour(rng, (195, 240), (0.35, 0.6), (0.5, 0.8)),
        colour(rng, (190, 220), (0.15, 0.3), (0.8, 0.95)),
        y + np.zeros(size),
    )
    cloud = noise(rng, size, 2, 4, 5)
    return mix(blue, colour(rng, (20, 60), (0, 0.08), (0.92, 1)), (cloud - rng.uniform(0.4, 0.55)) * 3)


def stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    _, x = coordinates(rng, size, 70)
    hue, n, start = rng.uniform(0, 360), rng.uniform(3.5, 7), rng.random()
    pale, strong = colour(rng, saturation=(0.02, 0.12), value=(0.82, 0.95)), colour(rng, (hue, hue + 10))
    return mix(pale, strong, wave(x + start, size, n)) * (0.92 + 0.08 * noise(rng, size, 32, octaves=1)[..., None])


def waves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Water: wavy lines of light, closer together towards the top."""
    y, x = np.mgrid[:size, :size] / size
    hue, swell = rng.uniform(165, 220), noise(rng, size, 3, octaves=2)
    depth = np.sqrt(0.1 + y) * rng.uniform(9, 13)
    ripple = np.sin(2 * np.pi * (depth + 0.9 * swell) + 0.9 * np.sin(2 * np.pi * (rng.uniform(2, 4) * x + 2 * y)))
    water = mix(
        colour(rng, (hue, hue + 15), (0.4, 0.6), (0.35, 0.5)), colour(rng, (hue, hue + 15), (0.3, 0.5), (0.6, 0.75)), y
    )
    return mix(water, colour(rng, (hue, hue + 15), (0.05, 0.2), (0.85, 0.95)), (ripple - 0.35) * 0.75 * (0.5 + swell))


def wood(rng: np.random.Generator, size: int) -> np.ndarray:
    """Planks with grain along them, upright or lying."""
    n = rng.integers(3, 6)
    y = np.linspace(0, n, size, endpoint=False)[:, None] + np.zeros(size)
    plank, across = y.astype(int), y % 1
    grain = noise(rng, size, 2, 16, 3) * 0.7 + 0.3 * rng.random(n)[plank]
    hue = rng.uniform(15, 40)
    picture = mix(
        colour(rng, (hue, hue + 6), (0.4, 0.6), (0.35, 0.5)),
        colour(rng, (hue, hue + 6), (0.25, 0.45), (0.7, 0.85)),
        grain,
    )
    gap = np.clip(np.minimum(across, 1 - across) * size / n - 0.3, 0, 1)
    picture = picture * (0.45 + 0.55 * gap)[..., None]
    return picture if rng.random() < 0.5 else picture.transpose(1, 0, 2)


BACKGROUNDS = {f.__name__: f for f in (bokeh, brick, checks, grass, gravel, meadow, sky, stripes, waves, wood)}


def with_clutter(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Up to five small blobs that are no class, behind where the object will be."""
    size, blobs = len(ground), []
    for _ in range(rng.integers(0, 6)):
        corners = rng.integers(3, 8)
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 6)
        radius = rng.uniform(0.035, 0.085) * rng.uniform(0.7, 1.3, (corners, 1))
        points = rng.random(2) + radius * np.stack([np.cos(angle), np.sin(angle)], 1)
        points = curve(*points) if rng.random() < 0.5 else points
        blobs.append(Part(points * size, 255 * colour(rng, saturation=(0.2, 0.7), value=(0.4, 0.95))))
    if not blobs:
        return ground
    paint, alpha = rasterised(blobs, size)
    shade = 0.4 * blurred(np.roll(alpha, size // 64, 0), 0.015 * size)
    return ground * ((1 - shade) * (1 - alpha))[..., None] + paint
