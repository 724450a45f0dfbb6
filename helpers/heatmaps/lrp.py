"""Layer-wise relevance propagation: the rules of the Focus paper (arXiv 2109.15035), and a guard on what they conserve.

| where                  | rule, zennit's name                                                                        |
|------------------------|--------------------------------------------------------------------------------------------|
| first convolution      | z^B between the lowest and highest value of each image, ZBox                               |
| other convolutions     | alpha 1, beta 0, which is z+, ZPlus                                                        |
| dense layers           | epsilon, with the sign of z and in units of rms(z) of each image, Epsilon                  |
| residual sums, average | in proportion to the summands, Norm                                                        |
| max-pool               | winner takes all (the gradient)                                                            |
| ReLU                   | passed on, Pass                                                                            |
| batch norm             | merged into the convolution before it                                                      |
The bias receives nothing.

What `helpers.heatmaps.conservation` finds on ImageNet photos: with epsilon 1e-6, within 0.001 of 1 for ResNet-18,
ResNet-50 and SqueezeNet; the rest went to neurons that only their bias holds up. With the authors' 0.25 dense layers
swallow their share: 0.64 of the score is left in both ResNets (median; from 0.24 to 0.88, image by image). The three
dense layers of AlexNet and VGG swallow more, of either sign, so that the sum may even turn over (random weights: -0.2
to 0.6). SqueezeNet has no dense layer and keeps all.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from zennit.composites import SpecialFirstLayerMapComposite
from zennit.core import Stabilizer
from zennit.layer import Sum
from zennit.rules import Epsilon, Norm, Pass, ZBox, ZPlus
from zennit.torchvision import ResNetCanonizer
from zennit.types import Activation, AvgPool, BatchNorm, Convolution

from ..networks.layers import class_scores, trace

# Operations, as autograd names them, that hand on all relevance they get without a rule
FREE = {
    *("Relu", "MaxPool2DWithIndices", "AdaptiveMaxPool2D", "Cat", "Stack", "Split", "SplitWithSizes", "Slice"),
    *("Select", "View", "UnsafeView", "Reshape", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose"),
    *("Expand", "Clone", "Alias", "ToCopy", "Identity", "AccumulateGrad"),
}
# Operations that do so only inside a module that has a rule; written as a function, they get the plain gradient
RULED = {
    Convolution: {"Convolution"},
    nn.Linear: {"Addmm", "Mm"},
    AvgPool: {"AvgPool2D", "AdaptiveAvgPool2D", "MkldnnAdaptiveAvgPool2D", "Mean"},
    Sum: {"Sum"},
    BatchNorm: {"NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"},
}


@contextmanager
def rules(model: nn.Module, images: torch.Tensor, epsilon: float) -> Iterator[nn.Module]:
    """The model with a rule on every layer, for these images (N, 3, H, W); hooks and merged layers go at the end."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    no_bias = {"zero_params": ["bias"]}
    composite = SpecialFirstLayerMapComposite(
        first_map=[(Convolution, ZBox(low, high, **no_bias))],
        layer_map=[
            (Activation, Pass()),
            (Sum, Norm()),
            (AvgPool, Norm()),
            (BatchNorm, Pass()),
            (Convolution, ZPlus(**no_bias)),
            (nn.Linear, Epsilon(stabiliser(epsilon), **no_bias)),
        ],
        canonizers=[ResNetCanonizer()],
    )
    norms = [(m, m.eps) for m in model.modules() if isinstance(m, BatchNorm)]
    try:
        composite.register(model)
        for m, _ in norms:
            m.eps = 0.0  # merged already; zennit before 1.0 would let it divide by sqrt(1 + eps) once more
        yield model
    finally:
        composite.remove()
        for m, eps in norms:
            m.eps = eps


def stabiliser(epsilon: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """z (N, C) -> the denominators of the epsilon rule; 1 where an image's z are all 0, so that 0 / 0 is 0."""
    plain = Stabilizer(epsilon, norm_scale=True)

    def denominators(z):
        found = plain(z)
        return torch.where(found == 0, 1, found)

    return denominators


def relevance(model: nn.Module, images: torch.Tensor, targets: torch.Tensor, epsilon: float = 0.25) -> torch.Tensor:
    """Relevance (N, H, W) of each pixel for the target class, signed: starts as logit x one-hot, channels summed.

    Call it inside `explaining(model)`. Whether the model fits the rules is for `check_rules` to say.
    """
    if not 0 < epsilon < float("inf"):
        raise ValueError(f"epsilon is {epsilon}; expected a number above 0, the authors use 0.25")
    with rules(model, images, epsilon):
        x = images.clone().requires_grad_()
        logits = model(x)
        scores = class_scores(logits, targets).detach()
        unit = targets if logits.shape[1] > 1 else torch.zeros_like(targets)
        start = torch.zeros_like(logits).scatter_(1, unit[:, None], scores[:, None])
        (R,) = torch.autograd.grad(logits, x, start)
    return R.sum(1)


def check_rules(model: nn.Module, image: torch.Tensor) -> None:
    """Raise ValueError unless every operation between `image` (1, 3, H, W) and the output has a rule that conserves.

    Checked on one image: every batch norm merges into a convolution and the output stays the same, no layer with a
    rule runs twice, and autograd's record of the forward holds no other operation (a gate, a softmax, a sum written
    `+` outside torchvision's residual blocks, which would copy the relevance to both branches).
    Call it inside `explaining(model)`.
    """
    kind = type(model).__name__
    for name, m in model.named_modules():
        if isinstance(m, BatchNorm) and (m.weight is None or m.running_var is None):
            raise ValueError(
                f"LRP cannot merge {name} of this {kind}: batch norm without weights or running statistics"
            )
    with torch.no_grad():
        plain = model(image)
    try:
        with rules(model, image, 0.25):
            left = [name for name, m in model.named_modules() if isinstance(m, BatchNorm) and not _is_identity(m)]
            modules = [o for o in trace(model, image) if isinstance(o.module, tuple(RULED))]
            logits = model(image.clone().requires_grad_())
    except RuntimeError as error:
        raise ValueError(
            f"LRP cannot merge the batch norms of this {kind} into convolutions ({error}). {_OTHERS}"
        ) from error
    # rounding grows with depth, to 1e-4 or so; a wrong merge is off by the size of the output itself
    if (logits - plain).abs().max() > 0.01 * plain.abs().max():
        raise ValueError(
            f"LRP cannot rewrite this {kind}: with batch norm merged into the convolution listed before it, it "
            "computes something else. Convolution, batch norm and activation must be listed in the order they run. "
            f"{_OTHERS}"
        )
    if left:
        raise ValueError(f"LRP cannot merge {', '.join(left)} of this {kind}: no convolution right before. {_OTHERS}")
    twice = sorted(name for name, runs in Counter(o.name for o in modules).items() if runs > 1)
    if twice:
        raise ValueError(f"LRP needs each layer to run once; these run more often: {', '.join(twice)}. {_OTHERS}")

    foreign = _operations(logits)
    for name in FREE:
        foreign.pop(name, None)
    for module, names in RULED.items():
        n = sum(foreign.pop(name, 0) for name in names) - sum(isinstance(o.module, module) for o in modules)
        if n > 0:
            foreign[f"{'/'.join(sorted(names))} outside a module"] = n
    if foreign:
        found = ", ".join(f"{name} ({n}x)" for name, n in sorted(foreign.items()))
        raise ValueError(f"LRP has no conserving rule for these operations of this {kind}: {found}. {_OTHERS}")


_OTHERS = (
    "LRP is for AlexNet, VGG, GoogLeNet, ResNet, SqueezeNet and their like: attention, gates, layer norm and dense "
    "blocks need rules of their own, which are not here. For this model take another method, e.g. 'gradcam'"
)


def _is_identity(norm: BatchNorm) -> bool:
    one, zero = (norm.weight, norm.running_var), (norm.bias, norm.running_mean)
    return all(bool((t == 1).all()) for t in one) and all(bool((t == 0).all()) for t in zero)


def _operations(logits: torch.Tensor) -> Counter:
    """How often each operation stands between the input and `logits`, by autograd's name for it."""
    seen, waiting = set(), [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
    return Counter(re.sub(r"Backward\d*$", "", type(node).__name__).lstrip("_") for node in seen)
