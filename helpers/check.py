"""Checks that teach: what a notebook asks of its arguments, and of a toy that the reader can work out by hand."""

import numpy as np
import torch


def close(found, expected, tolerance: float = 1e-6) -> None:
    """Say that the toy came out right, or show both numbers. NaN equals NaN: undefined is an answer, too."""
    # a copy: torch warns about arrays that pandas gives for reading only
    given = (v.copy() if isinstance(v, np.ndarray) else v for v in (found, expected))
    found, expected = (torch.as_tensor(v).double().cpu() for v in given)
    expected = expected.expand(found.shape) if expected.ndim == 0 else expected
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=0, atol=tolerance, equal_nan=True):
        raise AssertionError(f"by hand it is {expected.tolist()}, the function says {found.tolist()}")
    print(f"✓ {found.tolist()}")


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
