"""The weights of a network as a state dict: told apart, put into a network, kept while it trains."""

import ast
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from ..errors import CourseError
from ..files import atomic, locked, room, writable


def save_state(net: nn.Module, path: Path, about: dict[str, str] | None = None) -> None:
    """Save a network's state dict as safetensors, with what it says `about` itself, as its normalisation."""
    save_file({k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}, path, about)


def fingerprint(state: dict[str, torch.Tensor]) -> str:
    """A short hash of the values of a state dict."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode() + state[key].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def key_of(*parts: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def code_of(file: str, only: str | tuple[str, ...] = "") -> str:
    """A module's code without comments and docstrings; `only` its statements that begin so.

    What was made by the code need not be made anew when somebody words an explanation better.
    """
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return "\n".join(code for code in map(ast.unparse, tree.body) if code.startswith(only))


def fill(net: nn.Module, state: dict[str, torch.Tensor], name: str, weights: str) -> None:
    """Load a state dict into a network. Raises CourseError naming the entries that do not fit the architecture."""
    own = net.state_dict()
    state = {k: v for k, v in state.items() if k in own or not k.endswith("num_batches_tracked")}
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    extra = [k for k in state if k not in own]
    wrong = [k for k in state if k in own and state[k].shape != own[k].shape]
    if missing or extra or wrong:
        parts = [f"missing {first(missing)}"] * bool(missing) + [f"not expected {first(extra)}"] * bool(extra)
        parts += [f"`{k}` has shape {list(state[k].shape)}, expected {list(own[k].shape)}" for k in wrong[:2]]
        raise CourseError(f"weights {weights}: not of `{name}`: {'; '.join(parts)}. Try another -p model=NAME")
    net.load_state_dict(state, strict=False)


def first(keys: list[str]) -> str:
    """Three of these entries of a state dict, and how many more there are."""
    return ", ".join(f"`{k}`" for k in keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


# A training, once, whole, and on where it was interrupted ----------------------------------------------------------


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether the training in `folder` is done; a second run that wants the same network waits for the first."""
    if (folder / "history.json").is_file() and not writable(folder.parent):  # of a shared place that is only read
        yield True
        return
    with locked(folder):
        yield (folder / "history.json").is_file()


def resumable(
    folder: Path,
    parts: dict[str, Any],
    epochs: int,
    one_epoch: Callable[[int, tqdm], dict[str, float]],
    *,
    steps: int = 1,
    about: dict[str, str] | None = None,
    snapshots: bool = False,
) -> None:
    """Train in `folder`.partial, where every finished epoch is kept, and rename it when whole.

        with alone(folder) as done:
            if not done:
                resumable(folder, {"net": net, "optimiser": optimiser}, epochs, one_epoch)

    `parts` is all that changes and has a state_dict, "net" among it. `one_epoch(epoch, bar)`, epochs counted from 1,
    moves them on, the bar by `steps`, and gives what the history notes; what it draws it seeds by the epoch, so that a
    resumed training equals an unbroken one. Afterwards the folder has history.json, weights.safetensors, which says
    `about` of itself, and with `snapshots` epoch-001.safetensors and so on.
    """
    draft = folder.with_name(folder.name + ".partial")
    draft.mkdir(parents=True, exist_ok=True)
    history = _resumed(draft / "state.pt", parts)
    with tqdm(total=epochs * steps, desc=f"training {folder.name.rpartition('-')[0]}", leave=False) as bar:
        bar.update(len(history) * steps)
        for epoch in range(len(history) + 1, epochs + 1):
            noted = one_epoch(epoch, bar)
            bar.set_postfix({name: f"{value:.2f}" for name, value in noted.items()})
            history.append({"epoch": epoch, **noted})
            with room(folder):
                if snapshots:
                    save_state(parts["net"], draft / f"epoch-{epoch:03d}.safetensors", about)
                keep(draft / "state.pt", parts, history)
    with room(folder):
        save_state(parts["net"], draft / "weights.safetensors", about)
        (draft / "history.json").write_text(json.dumps(history), encoding="utf-8")
    (draft / "state.pt").unlink()
    shutil.rmtree(folder, ignore_errors=True)  # the same recipe without its snapshots
    draft.replace(folder)


def keep(path: Path, parts: dict[str, Any], history: list[dict]) -> None:
    """The state of every part and the history as one file."""
    with atomic(path) as new:
        torch.save({name: part.state_dict() for name, part in parts.items()} | {"history": history}, new)


def _resumed(path: Path, parts: dict[str, Any]) -> list[dict]:
    if not path.is_file():
        return []
    state = torch.load(path, map_location=next(parts["net"].parameters()).device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["history"]
