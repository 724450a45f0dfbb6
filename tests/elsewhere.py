"""A device that is not there: tensors that compute on the processor, and refuse what a GPU's tensors refuse.

Inside `elsewhere()`, what is moved to DEVICE or made there becomes an `Elsewhere`. It cannot be handed to numpy, nor
meet a tensor that was left on the processor, except as CUDA allows: a number, an index, the other side of a copy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("cuda", 0)
HOME = {torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__}
HOME |= {torch.Tensor.__index__, torch.Tensor.__repr__, torch.Tensor.__format__, torch.Tensor.cpu}
MEETS = {torch.Tensor.__getitem__, torch.Tensor.copy_, torch.Tensor.grad.__set__, torch.Tensor.data.__set__}
MEETS |= {torch._has_compatible_shallow_copy_type}


class Elsewhere(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func == torch.Tensor.device.__get__:
            return DEVICE
        if func in (torch.Tensor.is_cuda.__get__, torch.Tensor.is_cpu.__get__):
            return func == torch.Tensor.is_cuda.__get__
        if func in (torch.Tensor.numpy, torch.Tensor.__array__):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        target = asked(args[1:], kwargs) if func is torch.Tensor.to else None
        if func in HOME or (target and target.type == "cpu"):
            return func(*tree_map_only(Elsewhere, home, args), **kwargs)
        if target:
            args, kwargs = without_device(args, kwargs)
        left = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) and type(t) is not cls and t.ndim]
        if left and func not in MEETS:
            shapes = [tuple(t.shape) for t in left]
            raise RuntimeError(f"{func.__name__}: expected all tensors to be on the same device; on cpu are {shapes}")
        if func is torch.Tensor.__deepcopy__:
            return copied(*args)
        found = super().__torch_function__(func, types, args, kwargs)
        return away(found) if func == torch.Tensor.grad.__get__ else found


def home(tensor: torch.Tensor) -> torch.Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(torch.Tensor)


def away(tensor):
    return tensor.as_subclass(Elsewhere) if isinstance(tensor, torch.Tensor) else tensor


def copied(tensor: Elsewhere, memo: dict) -> torch.Tensor:
    if id(tensor) not in memo:
        twin = away(home(tensor).detach().clone())
        param = isinstance(tensor, torch.nn.Parameter)
        memo[id(tensor)] = torch.nn.Parameter(twin, tensor.requires_grad) if param else twin
    return memo[id(tensor)]


def asked(args, kwargs) -> torch.device | None:
    """The device that `.to` or a factory was asked for."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Elsewhere):
            return DEVICE
        if isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda")):
            return torch.device(value)
        if isinstance(value, torch.Tensor):
            return torch.device("cpu")
    return None


def without_device(args, kwargs):
    here = tree_map_only(torch.device, lambda _: torch.device("cpu"), (args, kwargs))
    return tree_map_only(str, lambda word: "cpu" if word.startswith("cuda") else word, here)


class _Moves(TorchFunctionMode):
    """What is moved there, or made there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        makes = func is torch.Tensor.to or isinstance(kwargs.get("device"), torch.device | str)
        target = asked(args[1:], kwargs) if makes else None
        if target is None or target.type == "cpu":
            return func(*args, **kwargs)
        args, kwargs = tree_map_only(Elsewhere, home, without_device(args, kwargs))
        return away(func(*args, **kwargs))


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Gives the device: `net.to(device)`, `torch.ones(3, device=device)`."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # or a module keeps its parameters' type
    try:
        with _Moves(), mock.patch("torch.cuda.synchronize"):
            yield DEVICE
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
