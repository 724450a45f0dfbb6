"""The ways from an image to a heatmap, each a function of one `Batch`; `helpers.heatmaps.attribute` calls them.

Those that only ask the model are in `.forward_only`, those that follow attention in `.attention`. A notebook adds its
own with the decorator, and `attribute("mine", ...)` finds it:

    @method(head_graph, layer=True)
    def mine(batch, *, relu=True): ...

A notebook's knob `methods` takes it once its name stands among the choices in that line's comment.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import nn
from torch.nn import functional as F

from ..networks.layers import Output, class_scores, hooked
from ..networks.tokens import as_grid
from . import lrp as lrp_rules


class Batch(NamedTuple):
    """What a method gets: a few images that fit in memory together. It returns their maps (b, H, W)."""

    model: nn.Module
    images: torch.Tensor  # (b, C, H, W)
    targets: torch.Tensor  # (b,)
    layer: Any  # the nn.Module where methods look that look at one, else None
    first: int  # the position of images[0] among all images
    rows: int  # so many images fit in memory
    patches: tuple[int, ...] | None = None  # (u, v), where the model works on tokens


Function = Callable[..., torch.Tensor]  # (batch, *, options) -> maps (b, H, W)
Memory = Callable[[list[Output], str | None], int]  # (outputs for one image, name of the layer) -> bytes for it
Check = Callable[[nn.Module, torch.Tensor], None]  # (model, one image); raises ValueError where the method cannot work


class Method(NamedTuple):
    """A way to a heatmap, and what `attribute` needs to know of it."""

    function: Function
    memory: Memory
    layer: bool
    check: Check | None
    folds: bool

    @property
    def options(self) -> list[str]:
        return [p.name for p in inspect.signature(self.function).parameters.values() if p.kind is p.KEYWORD_ONLY]


METHODS: dict[str, Method] = {}


def method(memory: Memory, layer=False, check: Check | None = None, folds=True) -> Callable[[Function], Function]:
    """Add a function to METHODS under its own name. folds=False: it has rules for layers, batch norms among them."""

    def add(function: Function) -> Function:
        METHODS[function.__name__] = Method(function, memory, layer, check, folds)
        return function

    return add


# What one image takes, measured -----------------------------------------------------------------------------------


def _held(outputs: list[Output], copies: int) -> int:
    return copies * sum({o.storage: o.bytes for o in outputs}.values())


def whole_graph(outputs: list[Output], layer: str | None) -> int:
    """Every output once for the forward and once for the backward."""
    return _held(outputs, 2)


def whole_graph_twice(outputs: list[Output], layer: str | None) -> int:
    """LRP also copies every module's input, and runs its convolutions again on the way back."""
    return _held(outputs, 4)


def head_graph(outputs: list[Output], layer: str | None) -> int:
    """A graph from the layer on; before it, only a layer's input, output and workspace at a time."""
    start = next((i for i, o in enumerate(outputs) if o.name == layer), 0)
    return _held(outputs[start:], 2) + 3 * max(o.bytes for o in outputs)


def no_graph(outputs: list[Output], layer: str | None) -> int:
    """Only a layer's input, output and workspace at a time."""
    return 3 * max(o.bytes for o in outputs)


# The methods ------------------------------------------------------------------------------------------------------


def head_gradients(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's activations A (b, K, u, v) and d score / d A. What runs before the layer records no graph.

    captum's LayerGradCam needs the same one forward and one backward from the top to the layer (a test compares), but
    records and holds the graph of the whole network; cut here, several times as many images fit into a batch.
    """
    seen, size = [], batch.images.shape[2:]

    def cut(module, inputs, output):
        as_grid(output, size, batch.patches)  # raises where it is none
        seen.append(output.detach().requires_grad_())
        return seen[-1].clone()  # what follows may write into its input, as DenseNet's last ReLU does

    with hooked(batch.layer, cut):
        scores = class_scores(batch.model(batch.images), batch.targets)
    g = None
    if seen and scores.requires_grad:
        (g,) = torch.autograd.grad(scores.sum(), seen[-1], allow_unused=True)  # [-1]: its last run
    if g is None:
        raise ValueError("layer has no influence on the model's output; pass layer= with one that runs before it")
    A, dA = (as_grid(some, size, batch.patches) for some in (seen[-1].detach(), g))
    if g.any() and not dA.any():
        raise ValueError("layer decides by its class token alone; pass layer= with one before the last attention")
    return A, dA


def input_gradients(batch: Batch, images: torch.Tensor) -> torch.Tensor:
    """d score / d images, (b, C, H, W)."""
    x = images.detach().clone().requires_grad_()
    scores = class_scores(batch.model(x), batch.targets)
    return torch.autograd.grad(scores.sum(), x)[0]


def as_maps(cam: torch.Tensor, batch: Batch, relu: bool, resolution: str) -> torch.Tensor:
    """A low-resolution cam (b, u, v) as maps: (b, H, W), or as it is for resolution "native"."""
    check_resolution(resolution)
    cam = cam.relu() if relu else cam
    if resolution == "native":
        return cam
    return F.interpolate(cam[:, None], batch.images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def check_resolution(resolution: str) -> None:
    if resolution not in ("input", "native"):
        raise ValueError(f"resolution is {resolution!r}; expected 'input' (H, W) or 'native', the layer's own grid")


@method(head_graph, layer=True)
def gradcam(batch: Batch, *, relu: bool = True, resolution: str = "input") -> torch.Tensor:
    """Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2). relu=False: the signed map. All-negative maps become zero."""
    A, g = head_gradients(batch)
    alpha = g.mean((2, 3), keepdim=True)  # (b, K, 1, 1)
    return as_maps((alpha * A).sum(1), batch, relu, resolution)


@method(head_graph, layer=True)
def gradcampp(batch: Batch, *, relu: bool = True, resolution: str = "input", eps: float = 1e-6) -> torch.Tensor:
    """Grad-CAM++ (Chattopadhyay et al. 2018, eq. 5, 7, 19). The paper has no eps.

    eps is the `grad-cam` package's, and outweighs squared gradients where the grid is large: with 0, maps of an
    ImageNet ResNet-18 correlate 0.9995 to 1 with those of 1e-6, of a SqueezeNet 0.92 to 0.99.
    """
    A, g = head_gradients(batch)
    a = g**2 / (2 * g**2 + A.sum((2, 3), keepdim=True) * g**3 + eps)  # (b, K, u, v)
    w = (torch.where(g > 0, a, 0) * g).sum((2, 3), keepdim=True)  # (b, K, 1, 1); only positive gradients count
    return as_maps((w * A).sum(1), batch, relu, resolution)


@method(head_graph, layer=True)
def layercam(batch: Batch, *, relu: bool = True, resolution: str = "input") -> torch.Tensor:
    """LayerCAM (Jiang et al. 2021): each place has its own weights, the positive gradients there."""
    A, g = head_gradients(batch)
    return as_maps((g.relu() * A).sum(1), batch, relu, resolution)


@method(whole_graph)
def saliency(batch: Batch) -> torch.Tensor:
    """Largest |d score / d x| over the channels (Simonyan et al. 2014, section 3)."""
    return input_gradients(batch, batch.images).abs().amax(1)


@method(whole_graph)
def smoothgrad(batch: Batch, *, samples: int = 10, noise: float = 0.20, seed: int = 0) -> torch.Tensor:
    """|mean gradient| over noisy copies, its largest channel (Smilkov et al. 2017; n and sigma as in the Focus paper).

    sigma is `noise` x (largest - smallest value) of each image as the model gets it.
    """
    whole_number("samples", samples)
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise is {noise}; expected 0 or more, a share of each image's range (the authors use 0.20)")
    x = batch.images
    sigma = noise * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
    g = torch.zeros_like(x)
    for k in range(samples):
        g += input_gradients(batch, x + sigma * _draw(torch.randn, batch, x.shape[1:], seed, k))
    return (g / samples).abs().amax(1)


@method(whole_graph)
def integrated_gradients(batch: Batch, *, steps: int = 50, baseline: float | torch.Tensor = 0.0) -> torch.Tensor:
    """Integrated gradients (Sundararajan et al. 2017, eq. 1), channels summed.

    baseline: a number or a tensor (3, H, W), in the units of the normalised images, where 0 is the mean colour.
    """
    whole_number("steps", steps)
    x = batch.images
    start = torch.as_tensor(baseline, dtype=x.dtype, device=x.device)
    if start.ndim not in (0, 3) or not torch.isfinite(start).all():
        raise ValueError(f"baseline has shape {tuple(start.shape)}; expected a finite number or tensor (3, H, W)")
    score = IntegratedGradients(lambda some, targets: class_scores(batch.model(some), targets))
    some = max(1, batch.rows // steps)  # each image needs `steps` rows
    maps = []
    for part, targets in zip(x.split(some), batch.targets.split(some), strict=True):
        how = {"n_steps": steps, "internal_batch_size": max(batch.rows, len(part))}
        maps.append(score.attribute(part, start.expand_as(part), additional_forward_args=targets, **how).sum(1))
    return torch.cat(maps).to(x.dtype)


@method(whole_graph_twice, check=lrp_rules.check_rules, folds=False)
def lrp(batch: Batch, *, epsilon: float = 0.25) -> torch.Tensor:
    """Layer-wise relevance propagation with the Focus paper's rules, listed in `helpers.heatmaps.lrp`."""
    return lrp_rules.relevance(batch.model, batch.images, batch.targets, epsilon)


@method(no_graph)
def random(batch: Batch, *, seed: int = 0) -> torch.Tensor:
    """Uniform noise in [0, 1): what a map scores that knows nothing."""
    return _draw(torch.rand, batch, batch.images.shape[2:], seed)


def _draw(distribution, batch: Batch, shape, *seeds: int) -> torch.Tensor:
    """(b, *shape) of noise that depends on the seeds and each image's position only, not on batches or the device."""
    drawn = [distribution(tuple(shape), generator=generator(batch, i, *seeds)) for i in range(len(batch.images))]
    return torch.stack(drawn).to(batch.images)


def generator(batch: Batch, i: int, *seeds: int) -> torch.Generator:
    """Random numbers, on the processor, that depend on the seeds and on the position of batch.images[i] only."""
    for seed in seeds:
        whole_number("seed", seed, least=0)
    # a SeedSequence mixes its numbers; seed + position would give image 1 of seed 0 the noise of image 0 of seed 1
    state = np.random.SeedSequence([*seeds, batch.first + i]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def whole_number(name: str, value: Any, least: int = 1) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least {least}")
