"""Checks that teach: what a notebook asks of its arguments, and of a toy that the reader can work out by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .errors import CourseError
from .heatmaps import attribute
from .networks import Classifier
from .pictures.photos import Photos
from .pictures.subsets import values


def close(found, expected, tolerance: float = 1e-6) -> None:
    """Say that the toy came out right, or show both numbers. NaN equals NaN: undefined is an answer, too."""
    # a copy: torch warns about arrays that pandas gives for reading only
    given = (v.copy() if isinstance(v, np.ndarray) else v for v in (found, expected))
    found, expected = (torch.as_tensor(v).double().cpu() for v in given)
    expected = expected.expand(found.shape) if expected.ndim == 0 else expected
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=0, atol=tolerance, equal_nan=True):
        raise AssertionError(f"by hand it is {expected.tolist()}, the function says {found.tolist()}")
    print(f"✓ {found.round(decimals=6).tolist()}")


def maps(name: str, R: torch.Tensor) -> torch.Tensor:
    """R, when it is a batch of finite maps `(N, H, W)`; else a ValueError naming what it is."""
    if R.ndim != 3:
        hint = " Reduce its channels first: R.sum(1), or R.abs().amax(1)" if R.ndim == 4 else ""
        raise ValueError(f"{name} has shape {list(R.shape)}; expected maps (N, H, W).{hint}")
    return finite(name, R)


def finite(name: str, values: torch.Tensor) -> torch.Tensor:
    """The values, when none is NaN or infinite; else a ValueError that counts those."""
    if not values.is_floating_point() or values.sum().isfinite():  # counting takes thirty times longer than one sum
        return values
    if bad := (~torch.isfinite(values)).sum().item():
        raise ValueError(f"{name} holds {bad} value(s) that are NaN or infinite")
    return values


def boxes(name: str, B: torch.Tensor, n: int) -> torch.Tensor:
    """B, when it is n boxes (n, 4) with x0 < x1 and y0 < y1, or NaN for none; else a ValueError naming a bad one."""
    if B.shape != (n, 4):
        raise ValueError(f"{name} has shape {list(B.shape)}; expected [{n}, 4], a box (x0, y0, x1, y1) for each map")
    bad = ~((B[:, :2] < B[:, 2:]).all(1) | B.isnan().all(1))
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ValueError(f"{name}[{row}] is {B[row].tolist()}; expected x0 < x1 and y0 < y1, or NaN for no box")
    return B


def same_shape(R: torch.Tensor, M: torch.Tensor, names: tuple[str, str] = ("R", "M")) -> torch.Tensor:
    """R, when both have the same shape: nothing is broadcast in silence. Raises ValueError naming both shapes."""
    if R.shape != M.shape:
        raise ValueError(f"{names[0]} has shape {list(R.shape)} and {names[1]} {list(M.shape)}; they must be the same")
    return R


# What a notebook needs of its input ---------------------------------------------------------------------------------


def need(what: Photos | Classifier, **wants: Any) -> None:
    """Ask pictures or a network for everything at once, before any work. Raises CourseError with all that is missing.

    Of pictures: `classes` (at least so many), `each` (so many pictures in every class), `split` (a name), `masks`,
    `boxes` (True), `square` (True), `attributes` and `regions` (names). Of a network: `at` (it takes pictures of this
    side), `grid` (Grad-CAM can look into it: True, or a layer's name), `halves` (whose grid has a middle),
    `explains` (methods).
    """
    asks: dict[str, Callable[[Any, dict], str]] = _PICTURES if isinstance(what, Photos) else _NETWORK
    if unknown := set(wants) - set(asks):
        raise TypeError(f"need: {', '.join(sorted(unknown))}; of {type(what).__name__} it asks {', '.join(asks)}")
    found = [asks[name](what, wants) for name in wants]
    if missing := [text for text in found if text]:
        raise CourseError("\n".join(missing))


def _classes(photos: Photos, wants: dict) -> str:
    if len(photos.classes) >= wants["classes"]:
        return ""
    return (
        f"{photos.root}: {len(photos.classes)} class(es); this needs {wants['classes']} or more. Add a folder a class"
    )


def _each(photos: Photos, wants: dict) -> str:
    counts = {name: int((photos.labels == k).sum()) for k, name in enumerate(photos.classes)}
    few = {name: n for name, n in counts.items() if n < wants["each"]}
    said = ", ".join(f"{name} {n}" for name, n in few.items())
    return f"{photos.root}: this needs {wants['each']} pictures or more of every class; too few: {said}" if few else ""


def _split(photos: Photos, wants: dict) -> str:
    there = sorted(set(photos.table["split"]))
    return "" if wants["split"] in there else f"{photos.root}: no split `{wants['split']}`; it has: {', '.join(there)}"


def _column(name: str, words: str, wanted: str) -> Callable[[Photos, dict], str]:
    def ask(photos: Photos, wants: dict) -> str:
        if not wants[wanted] or (name in photos.table and (photos.table[name] != "").any()):
            return ""
        return f"{photos.root}: no {words}; this needs the column `{name}` in index.csv, or a folder `masks/`"

    return ask


def _square(photos: Photos, wants: dict) -> str:
    from PIL import Image

    for name in photos.table["image"] if wants["square"] else ():
        if (size := Image.open(photos.root / name).size) and size[0] != size[1]:
            return f"{photos.root / name}: {size[0]} x {size[1]} pixels; this needs square pictures"
    return ""


def _attributes(photos: Photos, wants: dict) -> str:
    problems = []
    for name in wants["attributes"]:
        try:
            values(photos, name)
        except CourseError as error:
            problems.append(str(error))
    return "\n".join(problems)


def _regions(photos: Photos, wants: dict) -> str:
    there = list(photos.regions.values())
    lost = [name for name in wants["regions"] if name not in there]
    return f"{photos.root}: no region {', '.join(lost)} in regions.csv; it has: {', '.join(there)}" if lost else ""


def _explained(classifier: Classifier, wants: dict) -> str:
    side = wants["at"]
    image = torch.rand(1, 3, side, side, device=classifier.device)
    layer = wants["grid"] if isinstance(wants.get("grid"), str) else None
    for method in ["gradcam"] * bool(wants.get("grid")) + list(wants.get("explains", ())):
        try:
            attribute(method, classifier.net, image, torch.tensor([0]), layer if method == "gradcam" else None)
        except (ValueError, RuntimeError, AssertionError) as error:
            at = f"{side} px" + f", layer={layer!r}" * bool(layer)
            return f"{classifier.name} cannot be explained by {method} at {at} ({error}); choose another"
    if wants.get("halves"):
        grid = attribute("gradcam", classifier.net, image, torch.tensor([0]), resolution="native").shape[1:]
        if grid[0] % 2 or grid[1] % 2:
            return f"{classifier.name} has a {grid[0]} x {grid[1]} grid at {side} px: no middle; choose another size"
    return ""


_PICTURES: dict[str, Callable[[Photos, dict], str]] = {
    "classes": _classes,
    "each": _each,
    "split": _split,
    "masks": _column("mask", "masks", "masks"),
    "boxes": _column("box", "boxes", "boxes"),
    "square": _square,
    "attributes": _attributes,
    "regions": _regions,
}
_NETWORK: dict[str, Callable[[Classifier, dict], str]] = {"at": _explained} | dict.fromkeys(
    ("grid", "halves", "explains"), lambda classifier, wants: ""
)
