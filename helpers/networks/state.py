"""The weights of a network as entries of a state dict: read from a file without running code, loaded, told apart."""

import hashlib
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from ..errors import CourseError


def read_state(path: Path, normalise: str = "imagenet") -> tuple[dict[str, torch.Tensor], str]:
    """A state dict in float32 without `module.` prefixes, and the normalisation it was saved with, else this one.

    Raises CourseError naming the file when there is none, or when it holds something else.
    """
    if not path.is_file():
        raise CourseError(f"weights {path}: no such file. Expected `train`, `imagenet` or a path to a state dict")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                normalise = (file.metadata() or {}).get("normalise", normalise)
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 it is no dict
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a garbled pickle can raise anything
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CourseError(
            f"weights {path}: not a state dict that loads without running code ({first}). "
            f"Save it with torch.save(model.state_dict(), path) or as safetensors"
        ) from None
    for key in ("state_dict", "model", "model_state_dict"):
        state = state[key] if isinstance(state, dict) and isinstance(state.get(key), dict) else state
    if not (isinstance(state, dict) and state and all(isinstance(v, torch.Tensor) for v in state.values())):
        raise CourseError(f"weights {path}: holds {type(state).__name__}, expected a state dict of tensors")
    floats = {k.removeprefix("module."): v.float() if v.is_floating_point() else v for k, v in state.items()}
    return floats, normalise


def fingerprint(state: dict[str, torch.Tensor]) -> str:
    """A short hash of the values of a state dict."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode() + state[key].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def fill(net: nn.Module, state: dict[str, torch.Tensor], name: str, weights: str) -> None:
    """Load a state dict into a network. Raises CourseError naming the entries that do not fit the architecture."""
    own = net.state_dict()
    state = {k: v for k, v in state.items() if k in own or not k.endswith("num_batches_tracked")}
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    extra = [k for k in state if k not in own]
    wrong = [k for k in state if k in own and state[k].shape != own[k].shape]
    if missing or extra or wrong:
        parts = [f"missing {some(missing)}"] * bool(missing) + [f"not expected {some(extra)}"] * bool(extra)
        parts += [f"`{k}` has shape {list(state[k].shape)}, expected {list(own[k].shape)}" for k in wrong[:2]]
        raise CourseError(f"weights {weights}: not of `{name}`: {'; '.join(parts)}")
    net.load_state_dict(state, strict=False)


def some(keys) -> str:
    """The first three of these entries of a state dict, and how many more there are."""
    keys = list(keys)
    return ", ".join(f"`{k}`" for k in keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
