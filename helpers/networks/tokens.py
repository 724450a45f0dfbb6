"""Networks that work on tokens: what a layer gives as a grid, where Grad-CAM looks, pictures of any size."""

import re
from itertools import takewhile
from math import log
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer

Grid = tuple[int, ...]


def as_grid(output: Any, size: Grid, patches: Grid | None = None) -> torch.Tensor:
    """What a layer gave, as a grid (N, K, u, v). Raises ValueError where it is none.

    size     (H, W) of the pictures: of (N, K, u, v) and (N, u, v, K), the one of their shape
    patches  (u, v) of a network on tokens (N, T, K), from `patch_grid`; the first T - uv tokens (of the class, and
             registers) are left out
    """
    shape: Any = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    kind = len(shape) if isinstance(shape, tuple) else 0
    if kind == 4:
        last = _stretch(shape[1:3], size) < _stretch(shape[2:], size)
        return output.movedim(3, 1) if last else output
    if kind == 3 and patches and shape[1] >= patches[0] * patches[1]:
        return output[:, -patches[0] * patches[1] :].unflatten(1, patches).movedim(3, 1)
    raise ValueError(
        f"layer gives {shape}; expected a grid (N, K, u, v) or (N, u, v, K), or tokens (N, T, K) of patches"
        + (" {} x {}".format(*patches) if patches else "")
        + ". Pass layer= with one that gives it"
    )


def _stretch(grid: tuple[int, ...], size: Grid) -> float:
    """0 for a grid of the pictures' shape, more the more it is longer or wider."""
    return abs(log(max(1, grid[0]) * size[1]) - log(max(1, grid[1]) * size[0]))


def patch_grid(outputs: list) -> Grid | None:
    """(u, v) of the last convolution before any tokens, from what `layers.trace` noted; None where there is none."""
    before = takewhile(lambda o: len(o.shape) != 3, outputs)
    grids = [o.shape[2:] for o in before if isinstance(o.module, nn.Conv2d)]
    return grids[-1] if grids else None


def last_tokens(outputs: list) -> Any:
    """The output where Grad-CAM looks in a network whose last outputs are tokens, or None where they make no grid.

    It is what the last attention is given, as the `grad-cam` package advises: the class is read from the class token
    alone, so after the last attention the score depends on no patch any more, and their gradient is zero. Without
    attention (MLP-Mixer) it is the last tokens.
    """
    tokens = [o for o in outputs if len(o.shape) == 3]
    found = [o for o in tokens if not o.passed_on][-1:]
    if ends := [o for o in tokens if re.search("attn|attention", o.name.rpartition(".")[2])]:
        inside = f"{ends[-1].name}."
        found = [o for o in outputs[: outputs.index(ends[-1])] if not o.name.startswith(inside)][-1:]
    u, v = patch_grid(outputs) or (0, 0)
    fits = found and u and len(found[0].shape) == 3 and found[0].shape[1] >= u * v
    return found[0] if fits else None


def any_size(net: nn.Module) -> nn.Module:
    """The network, which takes pictures of any size where it is torchvision's vision transformer."""
    if type(net) is VisionTransformer:
        net.__class__ = AnySizeViT
    return net


class AnySizeViT(VisionTransformer):
    """torchvision's vision transformer for pictures of any size: other sides get its positions resized, as timm does.

    For its own size the outputs are torchvision's. Raises ValueError for sides that are no multiple of the patch.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, 3, H, W) -> logits (N, C)"""
        if any(side % self.patch_size for side in x.shape[2:]):
            raise ValueError(f"pictures have sides {tuple(x.shape[2:])}; patches need multiples of {self.patch_size}")
        patches = self.conv_proj(x)  # (N, K, u, v)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), patches.flatten(2).mT], 1)  # (N, 1 + uv, K)
        tokens = self.encoder.dropout(tokens + self.positions(*patches.shape[2:]))
        return self.heads(self.encoder.ln(self.encoder.layers(tokens))[:, 0])

    def positions(self, u: int, v: int) -> torch.Tensor:
        """(1, 1 + uv, K) what is added to the class token and to each patch."""
        own = self.image_size // self.patch_size
        if (u, v) == (own, own):
            return self.encoder.pos_embedding
        first, rest = self.encoder.pos_embedding.split([1, own * own], 1)
        grid = F.interpolate(rest.mT.unflatten(2, (own, own)), (u, v), mode="bicubic", antialias=True)
        return torch.cat([first, grid.flatten(2).mT], 1)
