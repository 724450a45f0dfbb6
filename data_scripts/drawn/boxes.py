"""True boxes as a detector would draw them, loose or off, and wrong ones, to try what a box is worth."""

import torch

from helpers.networks.augment import area


def altered(B: torch.Tensor, how: str, enlarge: float, jitter: float, seed: int) -> torch.Tensor:
    """The true boxes `(N, 4)`, in shares of the picture, as a detector of that kind would draw them; NaN stays NaN.

    how   "exact"; "off20": off by a fifth of each side; "double": of twice the sides; "loose": of `enlarge` times the
          sides, and off by up to the share `jitter` of them. Wrong ones, as loose: "shuffled", the box of another
          picture; "random", such a box put anywhere; "away", the picture's own in the corner that it overlaps least
    """
    draws = torch.Generator().manual_seed(seed)
    shift = torch.rand(len(B), 2, generator=draws) * 2 - 1
    if how in ("shuffled", "random"):  # another picture's box: the same sizes and places, on the wrong objects
        known = B.isfinite().all(1).nonzero()[:, 0]
        some = known[torch.randperm(len(known), generator=draws)]
        B = B.index_copy(0, some, B[some.roll(1)])
    if how == "random":  # and put anywhere in the picture
        sides = B[:, 2:] - B[:, :2]
        corner = torch.rand(len(B), 2, generator=draws) * (1 - sides)
        B = torch.cat([corner, corner + sides], 1)
    if how == "away":
        B = farthest(B)
    factor, far = {"exact": (1, 0), "off20": (1, 0.2), "double": (2, 0)}.get(how, (enlarge, jitter))
    return off(B, factor, shift.sign() * far if how == "off20" else shift * far)


def off(B: torch.Tensor, factor: float, shift: torch.Tensor) -> torch.Tensor:
    """Boxes `(N, 4)`: sides times `factor`, centres moved by `shift` `(N, 2)` sides, cut at the picture's edge."""
    centre, sides = (B[:, :2] + B[:, 2:]) / 2, B[:, 2:] - B[:, :2]
    centre = centre + shift * sides
    B = torch.cat([centre - factor * sides / 2, centre + factor * sides / 2], 1).clamp(0, 1)
    return torch.where(area(B)[:, None] > 0, B, torch.nan)  # off the picture: none


def farthest(B: torch.Tensor) -> torch.Tensor:
    """`(N, 4)` a box of the same size in that corner of the picture where it overlaps the box B `(N, 4)` least."""
    sides = B[:, 2:] - B[:, :2]
    corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])[:, None] * (1 - sides)  # (4, N, 2)
    there = torch.cat([corners, corners + sides], 2)
    both = torch.cat([torch.maximum(there[..., :2], B[:, :2]), torch.minimum(there[..., 2:], B[:, 2:])], 2)
    least = torch.stack([area(overlap) for overlap in both]).argmin(0)
    return there[least, torch.arange(len(B))]
