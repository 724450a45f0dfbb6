"""Checks that teach: what a notebook asks of its arguments, and of a toy that the reader can work out by hand."""

import torch


def close(found, expected, tolerance: float = 1e-6) -> None:
    """Say that the toy came out right, or show both numbers. NaN equals NaN: undefined is an answer, too."""
    found, expected = torch.as_tensor(found).double(), torch.as_tensor(expected).double()
    expected = expected.expand(found.shape) if expected.ndim == 0 else expected
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=0, atol=tolerance, equal_nan=True):
        raise AssertionError(f"by hand it is {expected.tolist()}, the function says {found.tolist()}")
    print(f"✓ {found.tolist()}")


def maps(name: str, R: torch.Tensor) -> torch.Tensor:
    """R, when it is a batch of finite maps `(N, H, W)`; else a ValueError naming what it is."""
    if R.ndim != 3:
        hint = " Reduce its channels first: R.sum(1), or R.abs().amax(1)" if R.ndim == 4 else ""
        raise ValueError(f"{name} has shape {list(R.shape)}; expected maps (N, H, W).{hint}")
    if bad := (~torch.isfinite(R)).sum().item() if R.is_floating_point() else 0:
        raise ValueError(f"{name} holds {bad} value(s) that are NaN or infinite")
    return R


def same_shape(R: torch.Tensor, M: torch.Tensor, names: tuple[str, str] = ("R", "M")) -> torch.Tensor:
    """R, when both have the same shape: nothing is broadcast in silence. Raises ValueError naming both shapes."""
    if R.shape != M.shape:
        raise ValueError(f"{names[0]} has shape {list(R.shape)} and {names[1]} {list(M.shape)}; they must be the same")
    return R
