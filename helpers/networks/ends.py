"""The two ends of a network as the course has them: three normalised channels go in, logits `(N, C)` come out."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import CourseError

NORMALISE = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # 0 to 1 as they are
}


def statistics(normalise: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of three channels: those of a name in NORMALISE, or written `0.5,0.5,0.5 0.25,0.25,0.25`.

    `0.5 0.25` is the same for all three. Raises CourseError for anything else.
    """
    if normalise in NORMALISE:
        return NORMALISE[normalise]
    try:
        mean, std = (tuple(map(float, part.split(","))) for part in normalise.split())
        mean, std = (part * 3 if len(part) == 1 else part for part in (mean, std))
        if not (len(mean) == len(std) == 3 and all(0 <= m <= 1 for m in mean) and all(0 < s <= 10 for s in std)):
            raise ValueError
    except ValueError:
        raise CourseError(
            f"normalise is {normalise!r}; expected {', '.join(NORMALISE)}, or a mean from 0 to 1 and a deviation above "
            f"0, one number each or one for each colour: -p normalise='0.5,0.5,0.5 0.25,0.25,0.25'"
        ) from None
    return mean, std


class About(NamedTuple):
    """What is known of a network beside its layers; nothing special of one that was built by its name."""

    said: str = ""  # what a reader should know: what was run, what is done to pictures and outputs
    side: int = 224  # of pictures that it takes
    grey: bool = False  # it has one input channel
    outputs: int = 0  # 0: not asked


def about(net: nn.Module) -> About:
    """What `build` found out about a network."""
    return net.__dict__.get("about", About())


LOGITS = ("logits", "output", "outputs", "out", "pred", "preds", "scores")  # what a dict may call them
GREY = "its one input channel gets the pictures in grey"


def logits_of(output: Any, n: int) -> tuple[torch.Tensor, str]:
    """`(n, C)` in what a network gives, and where it stands in that: "" where it is all. ValueError where it is not."""
    place, found = "", type(output).__name__
    if not isinstance(output, Mapping | tuple | list) and hasattr(output, "logits"):
        output = {"logits": output.logits}
    if isinstance(output, Mapping | tuple | list):
        all_of_it = dict(output if isinstance(output, Mapping) else enumerate(output))
        fit = [key for key in LOGITS if key in all_of_it] + [k for k, v in all_of_it.items() if _is_logits(v, n)]
        found = f"{found} of {', '.join(map(str, all_of_it))}"
        output, place = (all_of_it[fit[0]], f"`{fit[0]}`") if fit else (None, "")
    found = f"{[*output.shape]}" if isinstance(output, torch.Tensor) else found
    if not isinstance(output, torch.Tensor) or (
        output.ndim != 2 and output.numel() != n * max([*output.shape[1:2], 1])
    ):
        raise ValueError(f"it gives {found}; expected logits [{n}, C], or a dict or tuple that has them")
    return output.reshape(n, -1), place


def _is_logits(value: Any, n: int) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim == 2 and len(value) == n


def only_logits(module: nn.Module, inputs: tuple, output: Any) -> torch.Tensor:
    return logits_of(output, len(inputs[0]))[0]


def one_channel(net: nn.Module, state: Mapping[str, torch.Tensor]) -> str:
    """Make the first convolution take one channel where that of `state` does, and say so; "" where it does not."""
    name, conv = next(((name, m) for name, m in net.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
    weight = state.get(f"{name}.weight")
    if conv is None or weight is None or weight.shape[1] != 1 or conv.in_channels != 3:
        return ""
    conv.in_channels, conv.weight = 1, nn.Parameter(conv.weight[:, :1].detach().clone())
    make_grey(net)
    return GREY


def make_grey(net: nn.Module) -> None:
    """Give a network of one input channel the first of three that are alike: a slice, which LRP hands on."""
    net.__dict__["about"] = about(net)._replace(grey=True)
    net.register_forward_pre_hook(_first_channel)


def _first_channel(module: nn.Module, inputs: tuple) -> tuple:
    return (inputs[0][:, :1], *inputs[1:])
