"""Networks that come as they are: a TorchScript or an exported program by its file, or what a function of one's own
gives. Here all of them take pictures `(N, 3, H, W)` and give logits `(N, C)`, whatever they do elsewhere.

    torchscript:PATH            torch.jit.save; it can only be asked, and gives gradients for the pictures
    exported:PATH               torch.export.save; the same, for pictures of the one size it was exported for
    python:MODULE:FUNCTION      imported because the user named it, also from the folder where they are; FUNCTION() or
                                FUNCTION(num_classes=C) gives a network, all of whose layers can be looked at

Naming one of these runs code: that of the file or of the module.
"""

import importlib
import inspect
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CourseError, nearest
from .ends import GREY, About, about, logits_of, make_grey, only_logits
from .layers import WEIGHTED, explaining, trace

SCRIPT, EXPORTED, PYTHON = FOREIGN = ("torchscript:", "exported:", "python:")
SIDES = (224, 112, 64, 32, 28, 96, 128, 256, 299, 384, 448, 512)  # tried one after the other, in pixels
LEAST = 64  # bytes that a network holds for a byte of its picture, where they cannot be counted


def is_foreign(name: str) -> bool:
    return name.startswith(FOREIGN)


def check(name: str) -> None:
    """Raise CourseError unless there is such a file or function."""
    kind, _, rest = name.partition(":")
    if kind == "python":
        _function(name)
    elif not Path(os.path.expanduser(rest)).is_file():
        raise CourseError(f"model `{name}`: no such file. Expected {kind}:PATH")


def build(name: str, outputs: int | None = None) -> nn.Module:
    """The network, with its own weights; a function that takes `num_classes` is asked for that many outputs.

    Raises CourseError when it cannot be had, or takes no pictures and gives no logits.
    """
    check(name)
    try:
        net = _asked_for(name, outputs).float() if name.startswith(PYTHON) else Sealed(*_read(name))
        side, channels, output = _tried(name, net)
        logits, place = logits_of(output, 1)
    except CourseError:
        raise
    except Exception as error:  # whatever a stranger's code or file may raise
        raise CourseError(f"model `{name}`: {type(error).__name__}: {_first_line(error)}") from error
    said = {SCRIPT: "a TorchScript", EXPORTED: "an exported program"}.get(name.partition(":")[0] + ":")
    said = said or f"built by {name.removeprefix(PYTHON)}, which was imported because it was named"
    said += f"; of what it gives, {place} is taken" * bool(place) + f"; {GREY}" * (channels == 1)
    if not isinstance(net, Sealed):
        net.register_forward_hook(only_logits)
    if channels == 1:
        make_grey(net)
    net.__dict__["about"] = About(said, side, channels == 1, logits.shape[1])
    return net


def check_trainable(name: str, net: nn.Module, classes: int) -> None:
    """Raise CourseError where it cannot be trained here, on coloured pictures of so many classes."""
    known, way = about(net), "Give weights=own, or weights=PATH"
    if isinstance(net, Sealed):
        raise CourseError(f"model `{name}` is not trained here, it brings its weights. Say weights=own")
    if known.grey:
        raise CourseError(f"model `{name}` is not trained here: it has one input channel. {way}")
    if is_foreign(name) and known.outputs != classes:
        raise CourseError(
            f"model `{name}` gives {known.outputs} outputs for {classes} classes. {way}, or num_classes to it"
        )


def code(name: str) -> list[str]:
    """The module that builds it, as it is written; nothing of one that is not built by a module."""
    return [inspect.getsource(sys.modules[_function(name).__module__])] if name.startswith(PYTHON) else []


def state_of(name: str) -> dict[str, torch.Tensor]:
    """The weights that it brings."""
    net = build(name)
    return net.__dict__.get("inner", net).state_dict()


def head_by_run(name: str) -> tuple[str, dict[str, torch.Tensor]]:
    """The layer with weights that runs last, by name, and the state dict. CourseError where no layers can be seen."""
    net = build(name)
    if isinstance(net, Sealed):
        raise CourseError(f"model `{name}` is {about(net).said}: its layers cannot be looked at; {SEALED}")
    image = torch.zeros(1, 3, about(net).side, about(net).side)
    ran = [o.name for o in trace(net, image) if isinstance(o.module, WEIGHTED)]
    if not ran:
        raise CourseError(f"model `{name}` has no dense layer or convolution")
    return ran[-1], net.state_dict()


SEALED = "only methods without layers can ask it (as in 00_start_here); or take -p model=python:MODULE:FUNCTION"


class Sealed(nn.Module):
    """A network that can only be asked. Its layers are no submodules: nothing could be hooked or held still there."""

    inner: Any

    def __init__(self, inner: Any, side: int = 0, alone: bool = False):
        super().__init__()
        self.__dict__["inner"], self.side, self.alone, self.each = inner, side, alone, float(LEAST)
        self.here = nn.Parameter(torch.empty(0), requires_grad=False)  # on the network's device
        self.held = nn.Identity()
        for parameter in inner.parameters():
            parameter.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.side and x.shape[2:] != (self.side, self.side):
            raise ValueError(f"it was exported for pictures of {self.side} px, not {' x '.join(map(str, x.shape[2:]))}")
        # what it holds inside, for those who measure by hooks how many pictures fit into memory
        self.held(torch.empty(int(self.each * x[:1].nbytes), dtype=torch.uint8, device="meta"))
        return torch.cat([logits_of(self.inner(some), len(some))[0] for some in (x.split(1) if self.alone else [x])])

    def _apply(self, fn: Callable, recurse: bool = True) -> "Sealed":
        self.inner._apply(fn)
        return super()._apply(fn, recurse)


def _read(name: str) -> tuple[Any, int, bool]:
    """The program of a file; the side it is for, 0 for any; and whether it takes one picture at a time."""
    file = str(Path(os.path.expanduser(name.partition(":")[2])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; files in it are not
        if name.startswith(SCRIPT):
            return torch.jit.load(file, map_location="cpu").eval(), 0, False
        program = torch.export.load(file)
    user = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    shape = user[0].meta["val"].shape
    if isinstance(shape[0], int) and shape[0] > 1:
        raise CourseError(f"model `{name}`: exported for {shape[0]} pictures at a time; export it for one, or for any")
    return program.module(), shape[-1] if isinstance(shape[-1], int) else 0, isinstance(shape[0], int)


def _asked_for(name: str, outputs: int | None) -> nn.Module:
    function = _function(name)
    counted = "num_classes" in inspect.signature(function).parameters
    with _from_here():
        net = function(**({"num_classes": outputs} if counted and outputs else {}))
    if not isinstance(net, nn.Module):
        raise CourseError(f"model `{name}` gives {type(net).__name__}; expected a torch.nn.Module")
    return net


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.removeprefix(PYTHON).partition(":")
    if not (module and function):
        raise CourseError(f"model `{name}`: expected python:MODULE:FUNCTION, such as python:my_package.nets:resnet")
    try:
        with _from_here():
            found = importlib.import_module(module)
    except Exception as error:
        raise CourseError(
            f"model `{name}`: {module} cannot be imported ({type(error).__name__}: {_first_line(error)})"
        ) from error
    if not callable(getattr(found, function, None)):
        there = [one for one in vars(found) if callable(getattr(found, one)) and not one.startswith("_")]
        raise CourseError(f"model `{name}`: {module} has no function {function}.{nearest(function, there)}")
    return getattr(found, function)


@contextmanager
def _from_here() -> Iterator[None]:
    """Modules of the folder where the user is are found, too: a notebook runs elsewhere."""
    here = os.environ.get("COURSE_FROM") or os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _tried(name: str, net: nn.Module) -> tuple[int, int, Any]:
    """The first side and number of channels that the network takes, and what it gives for zeros of that shape."""
    sides = [net.side] if isinstance(net, Sealed) and net.side else SIDES
    asked, why = (net.inner if isinstance(net, Sealed) else net), ""
    held: Counter = Counter()
    for side, channels in product(sides, (3, 1)):
        image = torch.zeros(1, channels, side, side, requires_grad=True)
        try:
            with explaining(net), torch.autograd.graph.saved_tensors_hooks(partial(_counted, held), lambda t: t):
                output = asked(image)
        except Exception as error:
            held.clear()
            why = why or f"{side} px, {channels} channels: {type(error).__name__}: {_first_line(error)}"
            continue
        if isinstance(net, Sealed):
            net.each = max(LEAST, held["bytes"] / image.nbytes)
        return side, channels, output
    raise CourseError(f"model `{name}` takes no pictures of {', '.join(map(str, sides))} px ({why})")


def _counted(held: Counter, tensor: torch.Tensor) -> torch.Tensor:
    held["bytes"] += tensor.nbytes
    return tensor


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
