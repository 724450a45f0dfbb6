"""Image -> heatmap: one door, `attribute`, for every method of `.methods`, `.forward_only` and `.attention`."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from ..errors import nearest
from ..networks.layers import Output, class_scores, explaining, folded, last_grid, named_layer, trace
from ..networks.tokens import patch_grid
from . import attention, forward_only  # noqa: F401  their methods join METHODS
from .methods import METHODS, Batch, Method, whole_graph, whole_graph_twice

# Larger batches leave the processor's cache. Milliseconds an image with 1 << 26 and 1 << 28: Grad-CAM of a ResNet-18 at
# 448 px 95 and 105, of a small VGG at 112 px with Score-CAM 32 and 59; with a whole graph (IG) 10.8 and 9.5
FASTEST_ON_CPU, FASTEST_WITH_GRAPH = 1 << 26, 1 << 28


def attribute(
    method: str,
    model: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    layer: str | nn.Module | None = None,
    *,
    budget: int = 1 << 30,
    **options: Any,
) -> torch.Tensor:
    """Heatmaps (N, H, W): signed, unnormalised, at input size, on the device of `model`, left exactly as found.

    images   (N, C, H, W), float, normalised for the model
    targets  (N,), the class outputs to explain; with one output unit: 1 explains the logit, 0 its negative
    layer    where CAM methods look, by default `last_conv(model)`; the others do not look at one layer
    budget   bytes that one batch may take, about; one image at a time where even that takes more. A processor uses less
             than it may, since small batches are faster there
    options  the method's own: `METHODS[method].options`

    Each call runs one image more to measure what an image takes: hand over many images at once.
    Raises ValueError naming the argument, its value and the way out.
    """
    how = METHODS.get(method)
    if how is None:
        raise ValueError(f"method is {method!r}; expected one of: {', '.join(METHODS)}.{nearest(method, METHODS)}")
    unknown = [o for o in options if o not in how.options]
    if unknown:
        raise ValueError(f"{method!r} has no option {unknown[0]!r}; its options: {', '.join(how.options) or 'none'}")
    with _batches(how, model, images, targets, layer, budget) as batches:
        return torch.cat([how.function(batch, **options) for batch in batches])


def conservation(
    model: nn.Module, images: torch.Tensor, targets: torch.Tensor, *, budget: int = 1 << 30, **options: Any
) -> torch.Tensor:
    """Sum of the LRP relevance of each image / its target's score, (N,), float64. 1: nothing lost, nothing made up.

    Options are those of `attribute("lrp", ...)`. NaN where the score is 0. Raises ValueError for a model whose
    relevance could not be conserved, see `helpers.heatmaps.lrp.check_rules`.
    """
    total = attribute("lrp", model, images, targets, budget=budget, **options).cpu().sum((1, 2), dtype=torch.float64)
    with _batches(METHODS["random"], model, images, targets, budget=budget) as batches, torch.no_grad():
        scores = torch.cat([class_scores(batch.model(batch.images), batch.targets) for batch in batches])
    return total / scores.cpu().double()


@contextmanager
def _batches(how: Method, model, images, targets, layer=None, budget=1 << 30) -> Iterator[Iterator[Batch]]:
    """The arguments checked, the model held still, and the images in batches that fit into the budget."""
    chosen = None if layer is None else named_layer(model, layer)
    if not isinstance(budget, int) or budget < 1:
        raise ValueError(f"budget is {budget!r}; expected a number of bytes, e.g. 1 << 30")
    targets = _checked(images, targets)
    like = next(model.parameters(), images)

    def to_model(some, form):
        some = some.clone() if some.is_inference() else some  # autograd refuses what inference mode made
        return some.to(device=like.device, dtype=like.dtype, memory_format=form)

    with torch.inference_mode(False), torch.enable_grad(), explaining(model):
        outputs, form = _trace_fastest(model, lambda form: to_model(images[:1], form), like.device)
        _check_targets(targets, outputs)
        name, module = chosen or (last_grid(outputs) if how.layer else (None, None))
        if how.check:
            how.check(model, to_model(images[:1], form))
        if like.device.type == "cpu":
            graph = how.memory in (whole_graph, whole_graph_twice)
            budget = min(budget, FASTEST_WITH_GRAPH if graph else FASTEST_ON_CPU)
        rows = max(1, budget // how.memory(outputs, name))
        targets = targets.to(like.device)
        firsts = range(0, len(images), rows)
        parts = ((i, to_model(images[i : i + rows], form), targets[i : i + rows]) for i in firsts)
        patches = patch_grid(outputs)
        with folded(model, to_model(images[:1], form), outputs, keep=module) if how.folds else nullcontext():
            yield (Batch(model, some, asked, module, i, rows, patches) for i, some, asked in parts)


def _trace_fastest(model, one, device) -> tuple[list[Output], torch.memory_format]:
    """The outputs for one image, and the memory format in which convolutions run fastest."""
    if device.type == "cpu":
        try:  # channels last: 1.2 times the images per second; the same sums in another order
            return trace(model, one(torch.channels_last)), torch.channels_last
        except (RuntimeError, AssertionError):  # models that flatten with .view() need the other order
            pass
    try:
        return trace(model, one(torch.contiguous_format)), torch.contiguous_format
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        said = (str(error).splitlines() or [type(error).__name__])[0]
        shape = tuple(one(torch.contiguous_format).shape[1:])
        raise ValueError(f"images of shape {shape} are not taken by this {type(model).__name__}: {said}") from error


def _checked(images, targets) -> torch.Tensor:
    """The targets as int64 (N,), or ValueError for images or targets that cannot be meant."""
    if not isinstance(images, torch.Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, torch.Tensor) else type(images).__name__
        raise ValueError(f"images is {kind}; expected a float tensor (N, C, H, W), normalised for the model")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(f"images has shape {tuple(images.shape)}; expected (N, C, H, W). One image: image[None]")
    if not images.sum(dtype=torch.float64).isfinite():  # counting them takes twenty times longer than one sum
        bad = int((~torch.isfinite(images)).sum())
        raise ValueError(f"images has {bad} NaN or infinite values of {images.numel()}; clean them before explaining")
    targets = torch.as_tensor(targets)
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise ValueError(f"targets is {targets.dtype}; expected whole numbers, the class outputs to explain")
    if targets.shape != (len(images),):
        raise ValueError(
            f"targets has shape {tuple(targets.shape)}; expected ({len(images)},), one class for each of the images"
        )
    return targets.long()


def _check_targets(targets, outputs) -> None:
    """ValueError unless the model's output for one image is (1, C) and every target is one of its classes."""
    last = outputs[-1] if outputs and outputs[-1].name == "" else None
    if last is None or len(last.shape) != 2 or last.shape[0] != 1:
        shape = last.shape if last else "not a tensor"
        raise ValueError(
            f"the model's output for one image is {shape}; expected class scores (1, C). "
            "Wrap the model in one that returns only its logits"
        )
    classes = max(2, last.shape[1])  # one unit stands for two classes
    wrong = targets[(targets < 0) | (targets >= classes)]
    if len(wrong):
        raise ValueError(
            f"targets has {len(wrong)} value(s) out of range, the first is {wrong[0]}; the model has {last.shape[1]} "
            f"output(s), expected 0 to {classes - 1}"
        )
