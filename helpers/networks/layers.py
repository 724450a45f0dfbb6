"""A model seen from outside: hold it still, run it once and note every output, find the layer where Grad-CAM looks."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils import fusion

from ..errors import nearest
from .tokens import last_tokens

POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d, nn.LPPool2d, nn.FractionalMaxPool2d)
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@contextmanager
def explaining(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode, parameters frozen, nothing in place; afterwards exactly as it was, also after an error.

    Exactly: train/eval and `inplace` flags module by module, the parameter and buffer objects themselves, their values,
    `requires_grad` and `.grad`.
    """
    modules = [(m, m.training, dict(m._parameters), dict(m._buffers)) for m in model.modules()]
    tensors = [(p, p.data, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = [(b, b.data) for b in model.buffers()]
    inplace: list[Any] = [m for m in model.modules() if getattr(m, "inplace", False) is True]
    try:
        model.eval()
        for p, *_ in tensors:
            p.requires_grad_(False)
        for m in inplace:
            m.inplace = False
        yield model
    finally:
        for m in inplace:
            m.inplace = True
        # LRP libraries swap `.data`, some swap the Parameter objects: an optimiser holding the old ones would train air
        for m, training, parameters, own_buffers in modules:
            m.training = training
            m._parameters.clear()
            m._parameters.update(parameters)
            m._buffers.clear()
            m._buffers.update(own_buffers)
        for b, data in buffers:
            b.data = data
        for p, data, requires_grad, grad in tensors:
            p.data, p.grad = data, grad
            p.requires_grad_(requires_grad)


@contextmanager
def hooked(modules: nn.Module | Iterable[nn.Module], function: Callable) -> Iterator[None]:
    """Call `function(module, inputs, output)` after each run of these modules; the hooks are gone at the end.

        with hooked(net.layer4, lambda module, inputs, output: print(output.shape)):
            net(images)

    What the function returns takes the place of the output, unless it is None.
    """
    with ExitStack() as hooks:
        for module in [modules] if isinstance(modules, nn.Module) else modules:
            hooks.enter_context(module.register_forward_hook(function))
        yield


class Run(NamedTuple):
    """What a module was given and what it gave."""

    inputs: tuple
    output: Any


@contextmanager
def recording(*modules: nn.Module) -> Iterator[dict[nn.Module, Run]]:
    """The last run of each of these modules, in the order in which they ran; those that did not run are not in it.

        with recording(net.layer4, net.fc) as seen:
            net(images)
        A, features = seen[net.layer4].output, seen[net.fc].inputs[0]

    Tensors as they are, in the graph if there is one: what follows may write into them, as DenseNet's last ReLU does.
    """
    seen: dict[nn.Module, Run] = {}

    def note(module, inputs, output):
        seen.pop(module, None)  # to the end
        seen[module] = Run(inputs, output)

    with hooked(modules, note):
        yield seen


class Output(NamedTuple):
    """One tensor that one module gave in one forward."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    bytes: int
    storage: int  # the same number: the same memory
    tensor: tuple[int, int]  # the same pair: the same tensor, not written to in between
    passed_on: bool  # an input given back untouched, as dropout does in eval mode
    logits: torch.Tensor | None  # of the model itself


@torch.no_grad()
def trace(model: nn.Module, image: torch.Tensor) -> list[Output]:
    """Every module's output for one image (1, C, H, W), in the order the modules finish; the model's is last.

    Of the model itself only a tensor: what it gives in a tuple or a dict has no order that says which are the scores.
    """
    names = {module: name for name, module in model.named_modules()}
    outputs, alive = [], []

    def note(module, inputs, output):
        several = output.values() if isinstance(output, dict) else output
        for t in several if isinstance(output, dict | tuple | list) and module is not model else [output]:
            if isinstance(t, torch.Tensor):
                memory = t.untyped_storage()
                same = (id(t), 0 if t.is_inference() else t._version)
                where = (memory.nbytes(), memory.data_ptr(), same, any(t is x for x in inputs))
                outputs.append(Output(names[module], module, tuple(t.shape), *where, t if module is model else None))
                alive.append(t)  # otherwise a later tensor could get the id and the memory of this one

    with explaining(model), hooked(names, note):
        model(image)
    return outputs


@contextmanager
def folded(model: nn.Module, image: torch.Tensor, outputs: list[Output], keep: Any = None) -> Iterator[None]:
    """Inside `explaining`: each batch norm that runs right after a convolution becomes a part of it, which saves time.

    Logits, gradients and what other modules give stay the same up to rounding. The convolution `keep` is left alone.
    Tried on `image` (1, C, H, W), whose `outputs` are `trace`'s: where its logits change by more than 1e-4 of the
    largest (a convolution that somebody else asks, too), nothing is folded.
    """
    runs, pairs = Counter(o.module for o in outputs), list[tuple[Any, Any, dict]]()
    gave = [[o.module for o in same] for _, same in groupby(outputs, lambda o: o.tensor)]  # and who handed it on
    for (conv, *on), (norm, *_) in pairwise(gave):
        watched = any(m._forward_hooks or m._forward_pre_hooks or runs[m] > 1 or m is keep for m in (conv, *on))
        pair = type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and conv.out_channels == norm.num_features
        if pair and norm.running_mean is not None and runs[norm] == 1 and not watched:
            pairs.append((conv, norm, dict(conv._parameters)))
    if not pairs:
        yield
        return
    with ExitStack() as undo, torch.no_grad():
        for conv, norm, own in pairs:
            statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            conv.weight, conv.bias = fusion.fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
            vars(norm)["forward"] = nn.Identity().forward
            undo.callback(conv._parameters.update, own)
            undo.callback(vars(norm).pop, "forward")
        before = outputs[-1].logits
        if before is None or not (model(image) - before).abs().max() <= 1e-4 * before.abs().max():
            undo.close()
        at_the_end = undo.pop_all()
    with at_the_end:
        yield


def last_conv(model: nn.Module, image: torch.Tensor | None = None, size: int = 224) -> tuple[str, nn.Module]:
    """Name and module of the last convolution-like layer that runs before pooling: where Grad-CAM looks by default.

    Of a transformer, what its last attention is given: see `helpers.networks.tokens`, which also makes a grid of it.
    Found by running `image` (1, C, H, W), or zeros of `size` pixels. Raises ValueError naming the model's layers when
    none is found; pass `layer=` then.
    """
    if image is None:
        like = next(model.parameters(), torch.empty(0))
        colours = next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), 3)
        image = torch.zeros(1, colours, size, size, device=like.device, dtype=like.dtype)
    return last_grid(trace(model, image))


def last_grid(outputs: list[Output]) -> tuple[str, nn.Module]:
    """`last_conv`, from the outputs that `trace` noted."""
    pooled = {o.tensor for o in outputs if isinstance(o.module, POOLS)}
    classes, weights_follow, found = outputs[-1].shape[1:2], False, None
    for o in reversed(outputs):
        if len(o.shape) == 3 and o.shape[1] > 1:  # tokens: what came before them is not what the model decides on
            if place := last_tokens(outputs):
                return place.name, place.module
            break
        grid = len(o.shape) == 4 and o.shape[2] * o.shape[3] > 1 and not o.passed_on and o.tensor not in pooled
        class_map = o.shape[1:2] == classes and not weights_follow  # SqueezeNet's last convolution is its classifier
        if grid and not class_map:
            found = o.tensor
            break
        weights_follow |= isinstance(o.module, WEIGHTED)

    same = [o for o in outputs if o.tensor == found and not o.passed_on]
    if not same:
        tail = ", ".join(f"{o.name} {o.shape}" for o in outputs[-13:-1])
        raise ValueError(
            f"{type(outputs[-1].module).__name__} has no convolution-like layer (1, K, u, v) right before its pooling, "
            f"and no tokens that make a grid: there is no default place for Grad-CAM and its like. Where layer= can be "
            f"chosen, name one that gives such a grid. Its last layers: {tail}"
        )
    # a ReLU module that a block uses twice cannot be told apart by name; the block that ends with it can
    runs = Counter(o.name for o in outputs)
    best = next((o for o in same if runs[o.name] == 1), same[0])
    return best.name, best.module


def named_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """Name and module of a layer, given either. Raises ValueError with the nearest names if there is none."""
    modules = dict(model.named_modules())
    if isinstance(layer, nn.Module):
        name = next((name for name, module in modules.items() if module is layer), None)
        if name is None:
            raise ValueError(
                f"layer is a {type(layer).__name__} that is not part of this {type(model).__name__}. "
                f"Pass one of its own modules, or a name such as {_last_names(modules)}"
            )
        return name, layer
    if layer not in modules or layer == "":
        raise ValueError(
            f"layer is {layer!r}; this {type(model).__name__} has no such layer.{nearest(layer, modules)} "
            f"Its last ones: {_last_names(modules)}. All of them: [name for name, _ in model.named_modules()]"
        )
    return layer, modules[layer]


def class_scores(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The score of each image's target class, (N,). With one output unit: +logit for class 1, -logit for class 0.

    Raises ValueError when the model's output is not finite numbers (N, C).
    """
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(targets):
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(
            f"the model's output is {shape}; expected class scores ({len(targets)}, C), one row per image. "
            "Wrap the model in one that returns only its logits"
        )
    bad = logits.numel() - int(torch.isfinite(logits).sum())
    if bad:
        raise ValueError(f"the model's output has {bad} NaN or infinite values of {logits.numel()}; check its weights")
    if logits.shape[1] == 1:
        return logits[:, 0] * (2 * targets - 1)
    return logits.gather(1, targets[:, None])[:, 0]


def _last_names(modules: dict[str, nn.Module]) -> str:
    return ", ".join(list(modules)[-5:])
