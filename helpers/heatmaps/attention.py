"""Ways to a heatmap that follow the attention of a vision transformer. They join `METHODS`.

Fused kernels never make the attention matrices, so they are computed again from the tokens that each attention was
given. That this is what the network computes is checked first, on its own output.
"""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ..networks.layers import Output, class_scores, hooked, trace
from ..networks.tokens import as_grid, patch_grid
from .methods import Batch, as_maps, check_resolution, method, whole_graph


class Attention(NamedTuple):
    """One run of one self-attention module."""

    module: Any
    x: torch.Tensor  # (b, T, K) the tokens it was given
    y: torch.Tensor  # (b, T, K) what it gave

    def heads(self) -> tuple[torch.Tensor, torch.Tensor]:
        """A (b, h, T, T), how much each token (row) takes from each in each head, and the values v (b, h, T, d)."""
        m = self.module
        own = isinstance(m, nn.MultiheadAttention)
        qkv = F.linear(self.x, m.in_proj_weight, m.in_proj_bias) if own else m.qkv(self.x)
        q, k, v = qkv.unflatten(2, (3, m.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if isinstance(getattr(m, "q_norm", None), nn.Module):  # timm's
            q, k = m.q_norm(q), m.k_norm(k)
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1), v

    def out(self) -> nn.Linear:
        """The dense layer that mixes what the heads give, side by side (b, T, h d)."""
        return self.module.out_proj if isinstance(self.module, nn.MultiheadAttention) else self.module.proj


def attends(module: nn.Module) -> bool:
    """Whether it is self-attention as torch (and so torchvision) or as timm and DINO write it."""
    if isinstance(module, nn.MultiheadAttention):
        return module.in_proj_weight is not None
    return isinstance(getattr(module, "qkv", None), nn.Linear) and isinstance(getattr(module, "proj", None), nn.Linear)


def attended(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, list[Attention]]:
    """The model's output, and every run of its attention modules."""
    seen: list[Attention] = []

    def note(module, inputs, output):
        seen.append(Attention(module, inputs[0], output[0] if isinstance(output, tuple) else output))

    with hooked([m for m in model.modules() if attends(m)], note):
        return model(images), seen


@torch.no_grad()
def check_attention(model: nn.Module, image: torch.Tensor) -> None:
    """Raise ValueError unless all tokens of a model attend to one another in every block, by matrices that we know."""
    u, v = patch_grid(trace(model, image)) or (0, 0)
    _, seen = attended(model, image)
    why = "" if seen and u else "it has no attention that we can read (nn.MultiheadAttention, or timm's)"
    for one in seen if u else []:
        if one.x.ndim != 3 or one.x.shape[:2] != (1, seen[0].x.shape[1]) or one.x.shape[1] < u * v:
            why = "its tokens do not all attend to one another, only within windows or between some"
        elif not why and not _same(one):
            why = f"its {type(one.module).__name__} computes more than the softmax of queries times keys"
    if why:
        raise ValueError(
            f"rollout is for plain vision transformers (ViT, DeiT), not for this {type(model).__name__}: {why}. "
            "Take another method, e.g. 'gradcam'"
        )


def _same(one: Attention) -> bool:
    """Whether the matrices give what the module gave."""
    try:
        A, v = one.heads()
        y = one.out()((A @ v).transpose(1, 2).flatten(2))
    except RuntimeError:  # shapes of another kind of attention
        return False
    return y.shape == one.y.shape and bool((y - one.y).abs().max() <= 0.01 * one.y.abs().max())


def matrices_too(outputs: list[Output], layer: str | None) -> int:
    """Beside the graph, a few matrices of all heads at a time."""
    ours: list[Any] = [o for o in outputs if attends(o.module) and len(o.shape) == 3]  # (1, T, K)
    most = max((o.module.num_heads * o.shape[1] * o.bytes // o.shape[2] for o in ours), default=0)
    return whole_graph(outputs, layer) + 6 * most


@method(matrices_too, check=check_attention)
def rollout(batch: Batch, *, resolution: str = "input") -> torch.Tensor:
    """Attention rollout (Abnar & Zuidema 2020): R = A_L ... A_1, each A = (I + the mean over heads) / 2.

    The same for every class: it follows how tokens mix, not what they say. The map is the row of the class token; of
    networks that pool their patches, the mean of their rows.
    """
    check_resolution(resolution)
    seen, (dy,) = _with_gradients(batch, only_last=True)
    R = torch.eye(seen[0].x.shape[1]).to(dy)
    for one in seen:
        R = (one.heads()[0].mean(1) + torch.eye(R.shape[-1]).to(R)) / 2 @ R  # (b, T, T)
    return _rows(R, dy, batch, resolution)


@method(matrices_too, check=check_attention)
def grad_rollout(batch: Batch, *, resolution: str = "input") -> torch.Tensor:
    """Gradient-weighted attention (Chefer et al. 2021, "Generic attention-model explainability", eq. 5 and 6).

    R = I, then block by block R + E_h[(dA * A)^+] R with dA = d score / d A; the row of the class token, as in
    `rollout`. For the class asked, never negative. (The name also stands for a rollout of these products elsewhere.)
    """
    check_resolution(resolution)
    seen, gradients = _with_gradients(batch)
    R = torch.eye(seen[0].x.shape[1]).to(seen[0].x)
    for one, dy in zip(seen, gradients, strict=True):
        A, v = one.heads()
        # the module gives y = out(A v), so the gradient goes back through `out`, then to A by its product with v
        dA = (dy @ one.out().weight).unflatten(2, (A.shape[1], -1)).transpose(1, 2) @ v.mT  # (b, h, T, T)
        R = R + (dA * A).relu().mean(1) @ R
    return _rows(R, gradients[-1], batch, resolution)


def _with_gradients(batch: Batch, only_last: bool = False) -> tuple[list[Attention], list[torch.Tensor]]:
    """Every attention in the order of its runs, cut from the graph, and d score / d what it gave."""
    logits, seen = attended(batch.model, batch.images.detach().clone().requires_grad_())
    scores = class_scores(logits, batch.targets)
    gradients = torch.autograd.grad(scores.sum(), [one.y for one in seen[-1 if only_last else 0 :]])
    return [Attention(one.module, one.x.detach(), one.y.detach()) for one in seen], [*gradients]


def _rows(R: torch.Tensor, dy: torch.Tensor, batch: Batch, resolution: str) -> torch.Tensor:
    """The rows of R (b, T, T) of the tokens that the score is read from, averaged, as maps.

    After the last attention each token goes its own way, so they are those with a gradient dy (b, T, K) there: the
    class token, DeiT's two, or all patches where they are pooled. No token, where the head's weights are zero: zeros.
    """
    read = (dy != 0).any(2).to(R)  # (b, T)
    row = (read[:, None] @ R)[:, 0] / read.sum(1, keepdim=True).clamp(min=1)
    cam = as_grid(row[:, :, None], batch.images.shape[2:], batch.patches)[:, 0]  # (b, u, v)
    return as_maps(cam, batch, relu=False, resolution=resolution)
