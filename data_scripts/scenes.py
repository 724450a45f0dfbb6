"""The embedded scenes: ten everyday objects on ten kinds of background, drawn from random numbers.

Pose, colours and light do not know the class, and the background has random streams of its own. So without a `bias`
neither colour nor background tells the class, and the same object can be drawn again on any other background.
"""

import csv
import hashlib
import json
import multiprocessing
import os
import secrets
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from . import backgrounds, objects
from .backgrounds import BACKGROUNDS, with_clutter
from .objects import OBJECTS, blurred, posed, random_palette, rasterised

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

STREAMS = ("pose", "detail", "kind", "look", "clutter")


class Scene(NamedTuple):
    """`image` uint8 `(H, W, 3)`, `mask` bool `(H, W)`, `box` (x0, y0, x1, y1) half-open, the `background`'s kind."""

    image: np.ndarray
    mask: np.ndarray
    box: tuple[int, int, int, int]
    background: str


def scene(label: str, seed: int, background: str | None = None, bias: float = 0.0, size: int = 128) -> Scene:
    """One picture of the object `label`. `seed` fixes pose, colours and light, whatever the label or the background.

    Without `background`, a kind is drawn: the class's own with probability `bias`, otherwise any of the ten alike.
    Raises ValueError for a label, background, bias, seed or size out of range.
    """
    _expect("label", label, label in OBJECTS, f"one of {', '.join(OBJECTS)}")
    _expect("background", background, background in (None, *BACKGROUNDS), f"None or one of {', '.join(BACKGROUNDS)}")
    _expect_drawable(seed, bias, size)
    rng = {stream: np.random.default_rng([seed, k]) for k, stream in enumerate(STREAMS)}

    own, kind = rng["kind"].random() < bias, rng["kind"].choice(list(BACKGROUNDS))
    kind = background or (OWN_BACKGROUND[label] if own else str(kind))
    ground = BACKGROUNDS[kind](rng["look"], size)
    ground = with_clutter(rng["clutter"], ground)

    palette, light = random_palette(rng["pose"]), random_light(rng["pose"])
    parts = posed(rng["pose"], OBJECTS[label](rng["detail"], palette), size)
    paint, alpha = rasterised(parts, size)
    paint = paint * shading(alpha, light)[..., None]
    ground = ground * light.brightness * (1 - shadow(alpha, light))[..., None]
    image = paint + ground * (1 - alpha)[..., None]  # paint is zero off the object, so it is not weighted again
    mask = alpha >= 0.5
    return Scene((np.clip(image, 0, 1) * 255).round().astype(np.uint8), mask, box_of(mask), kind)


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


def random_light(rng) -> Light:
    angle = np.radians(rng.uniform(-150, -30))  # from above
    return Light(
        np.array([np.cos(angle), np.sin(angle)]),
        rng.uniform(0.85, 1.08),
        rng.uniform(0.1, 0.25),
        rng.uniform(0.35, 0.6),
    )


def shading(alpha, light) -> np.ndarray:
    """Brighter where the object faces the light: across the picture, and as if its rim were rounded."""
    size = len(alpha)
    y, x = np.mgrid[:size, :size] / size - 0.5
    slope_y, slope_x = np.gradient(blurred(alpha, 0.035 * size))
    facing = (-slope_x * light.direction[0] - slope_y * light.direction[1]) * 0.05 * size
    across = x * light.direction[0] + y * light.direction[1]
    return light.brightness * (1 + light.contrast * (across + 1.5 * np.clip(facing, -1, 1)))


def shadow(alpha, light) -> np.ndarray:
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
    workers: int | None = None,
) -> Path:
    """Write the data set `<root>/<name>` in the course's format and give its folder.

    Image i is `scene(CLASSES[i % 10], (seed << 32) + i, bias=bias, size=size)`, however many are asked for and however
    many `workers` (default: every core) draw them. Of five images of a class one is for validation. A folder that holds
    just this data set already is left as it is; one that holds these scenes with other parameters is replaced.
    Workers are processes: call this from a script under `if __name__ == "__main__":`, or with `workers=1`.
    Raises ValueError for a parameter out of range, FileExistsError when the folder holds something else.
    """
    least = 2 * len(CLASSES)
    _expect("images", images, _whole(images) and images >= least, f"a whole number of at least {least}, two a class")
    _expect_drawable(seed, bias, size)
    _expect("name", name, isinstance(name, str) and name == Path(name).name != "", "a folder's name without a path")
    _expect("workers", workers, workers is None or _whole(workers) and workers >= 1, "None or a whole number above 0")
    root = Path(root)
    folder, content = root / name, manifest(name, images=int(images), size=int(size), seed=int(seed), bias=bias)
    if _holds(folder, content):
        return folder

    root.mkdir(parents=True, exist_ok=True)
    draft = root / f".{name}-{secrets.token_hex(4)}"
    try:
        for part in ("images", "masks"):
            (draft / part).mkdir(parents=True)
        rows = _drawn(draft, images, seed, bias, size, workers or cores())
        _write_csv(draft / "index.csv", ("image", "split", "label", "mask", "box", "background"), rows)
        _write_csv(draft / "classes.csv", ("folder", "index", "name"), [(c, k, c) for k, c in enumerate(CLASSES)])
        _write_csv(draft / "regions.csv", ("id", "region"), [(0, "background"), (1, "object")])
        (draft / "dataset.json").write_text(json.dumps(content, indent=2) + "\n")
        _put_in_place(draft, folder, content)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def manifest(name: str, **parameters) -> dict:
    """What decides the content of a data set: the parameters, and the source that draws it."""
    sources = (Path(module).read_bytes() for module in (__file__, objects.__file__, backgrounds.__file__))
    source = hashlib.sha256(b"".join(sources)).hexdigest()
    return {"name": name, "generator": "scenes", "parameters": parameters, "source": source}


def cores() -> int:
    """Cores this process may use; one where it may not start others (a daemon, such as a dask worker)."""
    if multiprocessing.current_process().daemon:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _drawn(folder, images, seed, bias, size, workers) -> list[tuple]:
    """Draw every image into the folder; rows of index.csv in order."""
    chunks = [range(k, min(k + 50, images)) for k in range(0, images, 50)]
    rows = []
    with tqdm(total=images, desc=f"drawing {images} scenes", unit="image", leave=False, mininterval=0.5) as bar:
        if min(workers, len(chunks)) == 1:
            for i in range(images):
                rows += _draw(folder, seed, bias, size, [i])
                bar.update()
            return rows
        # spawned, not forked: a fork of a process in which torch runs threads can hang
        pool = ProcessPoolExecutor(min(workers, len(chunks)), multiprocessing.get_context("spawn"))
        try:
            for done in as_completed([pool.submit(_draw, folder, seed, bias, size, chunk) for chunk in chunks]):
                rows += done.result()
                bar.update(len(done.result()))
        finally:
            pool.shutdown(cancel_futures=True)
    return sorted(rows)


def _draw(folder, seed, bias, size, numbers) -> list[tuple]:
    rows = []
    for i in numbers:
        label, file = CLASSES[i % len(CLASSES)], f"{i:06d}.png"
        drawn = scene(label, (int(seed) << 32) + i, bias=bias, size=size)
        Image.fromarray(drawn.image).save(folder / "images" / file, compress_level=3)
        mask = Image.fromarray(drawn.mask.astype(np.uint8))
        mask.putpalette([0, 0, 0, 255, 190, 60])  # ids 0 and 1, and colours to see them by
        mask.save(folder / "masks" / file)
        split = "val" if i // len(CLASSES) % 5 == 1 else "train"  # a whole round of classes at a time
        rows.append((f"images/{file}", split, label, f"masks/{file}", " ".join(map(str, drawn.box)), drawn.background))
    return rows


def _write_csv(path, header, rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _holds(folder, content) -> bool:
    """Whether the folder holds just this data set. Raises FileExistsError when it is not one of ours to replace."""
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / "dataset.json").read_text())
        if found.get("generator") == "scenes":
            return found == content
    except (OSError, ValueError, AttributeError):  # no such file, no JSON, or JSON that is no dict
        pass
    raise FileExistsError(f"{folder} is there and holds no scenes; choose another `name`, or move it away.")


def _put_in_place(draft, folder, content) -> None:
    """Rename the whole draft to its name; what was there before goes."""
    old = draft.with_name(f"{draft.name}-old")
    try:
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
    except OSError:
        if not _holds(folder, content):  # otherwise another process was faster, and drew the same
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _whole(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _expect_drawable(seed, bias, size) -> None:
    _expect("seed", seed, _whole(seed) and seed >= 0, "a whole number from 0")
    _expect("bias", bias, isinstance(bias, (int, float)) and 0 <= bias <= 1, "a number from 0 to 1")
    _expect("size", size, _whole(size) and size >= 32, "a whole number of pixels, at least 32")


def _expect(name, value, holds, wanted) -> None:
    if not holds:
        raise ValueError(f"parameter `{name}` is {value!r}; it needs {wanted}.")
