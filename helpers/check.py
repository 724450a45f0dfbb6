"""Checks that teach: what a notebook asks of its arguments, and of a toy that the reader can work out by hand."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from .errors import CourseError
from .exercises import yours as yours
from .heatmaps import METHODS, attribute
from .networks import Classifier
from .networks.foreign import SEALED, Sealed
from .networks.layers import last_grid, trace
from .networks.tokens import as_grid, patch_grid
from .pictures.images import open_image
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
    """Ask pictures or a network for everything at once, before any work: see `of_pictures` and `of_network`.

    Raises CourseError with all that is missing.
    """
    lacks: Callable[..., Iterator[str]] = of_pictures if isinstance(what, Photos) else of_network
    if missing := [*lacks(what, **wants)]:
        raise CourseError("\n".join(missing))


def of_pictures(
    photos: Photos, *, classes: int = 0, each: int = 0, masks: bool = False, boxes: bool = False, square: bool = False,
    attributes: Iterable[str] = (), regions: Iterable[str] = (),
) -> Iterator[str]:  # fmt: skip
    """What pictures lack: so many `classes`, so many in `each`, masks, boxes, equal sides, attributes, regions."""
    if len(photos.classes) < classes:
        yield f"{photos.root}: {len(photos.classes)} class(es); this needs {classes} or more. Add a folder a class"
    counts = zip(photos.classes, torch.bincount(photos.labels, minlength=len(photos.classes)).tolist(), strict=True)
    if few := [f"{name} {n}" for name, n in counts if n < each]:
        yield f"{photos.root}: this needs {each} pictures or more of every class; too few: {', '.join(few)}"
    for column, words, wanted in (("mask", "masks", masks), ("box", "boxes", boxes)):
        if wanted and not (column in photos.table and (photos.table[column] != "").any()):
            yield f"{photos.root}: no {words}; this needs the column `{column}` in index.csv, or a folder `masks/`"
    sizes = ((name, open_image(photos.root / name).size) for name in photos.table["image"] if square)
    if oblong := next(((name, size) for name, size in sizes if size[0] != size[1]), None):
        yield f"{photos.root / oblong[0]}: {' x '.join(map(str, oblong[1]))} pixels; this needs square pictures"
    for name in attributes:
        try:
            values(photos, name)
        except CourseError as error:
            yield str(error)
    if lost := [name for name in regions if name not in photos.regions.values()]:
        there = ", ".join(photos.regions.values())
        yield f"{photos.root}: no region {', '.join(lost)} in regions.csv; it has: {there}"


def of_network(
    classifier: Classifier, *, at: int, grid: bool | str = False, halves: bool = False, plain: bool = False,
    explains: Iterable[str] = (),
) -> Iterator[str]:  # fmt: skip
    """What a network cannot do with pictures of side `at`.

    `grid`: Grad-CAM looks into it (True, or at the layer of this name); `halves`: its grid has a middle; `plain`: it is
    what the layer gives, no tokens or channels last that `attribute` turns; `explains`: these methods work.
    """
    image = classifier.prepared((255 * torch.rand(1, 3, at, at)).byte())
    layer = grid if isinstance(grid, str) else None
    for method in ["gradcam"] * bool(grid) + [*explains]:
        if isinstance(classifier.net, Sealed) and (METHODS[method].layer or METHODS[method].check):
            yield f"{classifier.name} cannot be explained by {method}: its layers cannot be looked at; {SEALED}"
            return
        try:
            attribute(method, classifier.net, image, torch.tensor([0]), layer if method == "gradcam" else None)
        except (ValueError, RuntimeError, AssertionError) as error:
            where = f"{at} px" + f", layer={layer!r}" * bool(layer)
            yield f"{classifier.name} cannot be explained by {method} at {where} ({error}); choose another"
            return
    if halves:
        u, v = attribute("gradcam", classifier.net, image, torch.tensor([0]), resolution="native").shape[1:]
        if u % 2 or v % 2:
            yield f"{classifier.name} has a {u} x {v} grid at {at} px: no middle; choose another size"
    if plain:
        outputs = trace(classifier.net, image)
        shape = next(o.shape for o in outputs if o.name == (layer or last_grid(outputs)[0]))
        if as_grid(torch.empty(shape), image.shape[2:], patch_grid(outputs)).shape != shape:
            yield f"{classifier.name} gives {shape} where Grad-CAM looks; this needs (1, K, u, v). Choose another"
