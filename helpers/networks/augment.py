"""Random crops, turns and flips as one affine map a picture: pictures are sampled by it, and boxes moved by it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

SURVIVES = 0.1  # a box of which less than this share is left counts as gone


def turned(n: int, generator: torch.Generator, part: float = 0.875) -> torch.Tensor:
    """`(n, 2, 3)` the Focus paper's (1.4): within 30 degrees, a crop of `part` of each side, flipped or not."""
    angle = (torch.rand(n, generator=generator) * 2 - 1) * torch.pi / 6
    flip = (torch.rand(n, generator=generator) < 0.5).float() * 2 - 1
    x, y = (torch.rand(2, n, generator=generator) * 2 - 1) * (1 - part)  # the crop stays inside the picture
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([cos * part * flip, -sin * part, cos * x - sin * y], 1)
    row_y = torch.stack([sin * part * flip, cos * part, sin * x + cos * y], 1)
    return torch.stack([row_x, row_y], 1)


def cropped(n: int, generator: torch.Generator, scale=(0.8, 1.0), ratio=(0.75, 1.25)) -> torch.Tensor:
    """`(n, 2, 3)` RIVAL10's: a crop of that share of the area and that width / height, flipped or not.

    A side that would not fit is cut to the picture's, where torchvision's RandomResizedCrop draws again.
    """
    low, high = scale
    area = low + (high - low) * torch.rand(n, generator=generator)
    shape = torch.exp(torch.log(torch.tensor(ratio)).diff() * torch.rand(n, generator=generator)) * ratio[0]
    width, height = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)
    flip = (torch.rand(n, generator=generator) < 0.5).float() * 2 - 1
    x, y = torch.rand(2, n, generator=generator) * 2 - 1
    zero = torch.zeros(n)
    row_x = torch.stack([width * flip, zero, x * (1 - width)], 1)
    row_y = torch.stack([zero, height, y * (1 - height)], 1)
    return torch.stack([row_x, row_y], 1)


def unmoved(n: int, generator: torch.Generator) -> torch.Tensor:
    """`(n, 2, 3)` every picture as it is: what is at a place in it is at that place in training, too."""
    return torch.eye(2, 3).repeat(n, 1, 1)


class Way(NamedTuple):
    """How training pictures vary."""

    draw: Callable[..., torch.Tensor]  # (n, generator) -> theta (n, 2, 3)
    part: float  # side of the crop / side of the picture it is cut from
    fit: str  # how pictures that are not varied, those of split val, come to show as much


WAYS = {
    "turned": Way(turned, 0.875, "squash_crop"),
    "cropped": Way(cropped, 1.0, "squash"),
    "none": Way(unmoved, 1.0, "squash"),
}


def sampled(images: torch.Tensor, theta: torch.Tensor, size: int) -> torch.Tensor:
    """Float pictures `(N, 3, h, w)` seen through theta `(N, 2, 3)` (from output to input, sides -1 to 1), at `size`."""
    grid = F.affine_grid(theta, [len(images), 3, size, size], align_corners=False)
    return F.grid_sample(images, grid.to(images.device), align_corners=False)


def moved(boxes: torch.Tensor, theta: torch.Tensor, size: int) -> torch.Tensor:
    """Boxes `(N, 4)` in shares of the picture (x0, y0, x1, y1 in 0 to 1) -> pixels of the `sampled` one.

    Where a picture is turned, the box around the turned box. NaN where there was none, or less than SURVIVES of its
    area is left in the crop.
    """
    corners = boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]].view(-1, 4, 2) * 2 - 1  # (N, 4, 2) x, y from -1 to 1
    linear, shift = theta[:, :, :2], theta[:, None, :, 2]
    corners = torch.linalg.solve(linear[:, None], (corners - shift)[..., None])[..., 0]
    whole = torch.cat([corners.amin(1), corners.amax(1)], 1)
    inside = whole.clamp(-1, 1)
    left = area(inside) / area(whole)
    return torch.where((left >= SURVIVES)[:, None], (inside + 1) / 2 * size, torch.nan)


def area(boxes: torch.Tensor) -> torch.Tensor:
    """`(N,)` area of boxes `(N, 4)`; 0 for those turned inside out."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
