"""A file of weights as training scripts write it: what it holds, the part that is a network's, and what was taken.

No code runs. Beside torch's own list only values may stand in a pickle: numpy's and argparse's, and paths.
"""

import argparse
import importlib
import json
import os
import pathlib
import re
import types
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from ..errors import CourseError
from .state import first

State = dict[str, torch.Tensor]
AVERAGED = re.compile(r"(^|[^a-z])(ema|swa|avg|averaged?|averages|averaging|shadow|polyak)($|[^a-z])")
WRAPPERS = re.compile(r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")  # anywhere in a key
_arrays: Any = importlib.import_module(f"numpy.{'_core' if hasattr(np, '_core') else 'core'}.multiarray")
VALUES: list[Any] = [argparse.Namespace, types.SimpleNamespace, list, int, float, np.dtype, np.ndarray]
VALUES += [getattr(np.dtypes, name) for name in np.dtypes.__all__]
for _core in ("core", "_core"):  # before and since numpy 2
    VALUES += [(f, f"numpy.{_core}.multiarray.{f.__name__}") for f in (_arrays.scalar, _arrays._reconstruct)]
for _module in ("pathlib", "pathlib._local"):
    VALUES += [(pathlib.PurePath, f"{_module}.{kind}") for kind in ("PosixPath", "WindowsPath")]
for _module in ("lightning.fabric.utilities.data", "lightning_fabric.utilities.data"):
    VALUES.append((dict, f"{_module}.AttributeDict"))
VALUES += [(dict, "pytorch_lightning.utilities.parsing.AttributeDict"), (lambda *_: {}, "collections.defaultdict")]
NAMES = ("classes", "class_names", "class_to_idx", "idx_to_class", "id2label", "label_names")
ABOUT = ("hyper_parameters", "hparams", "args", "config", "meta")  # entries that may hold one of NAMES


@dataclass(frozen=True)
class Part:
    """Tensors of one network, under its own keys: those of entry `where` that begin with `prefix`."""

    where: str
    prefix: str
    state: State
    averaged: bool
    beside: int  # how many tensors of the entry have another prefix
    misfits: tuple[int, int]  # entries of another shape, and entries that the architecture may lack

    @property
    def place(self) -> str:
        return " of ".join([f"`{self.prefix}`"] * bool(self.prefix) + [f"entry `{self.where or 'the file'}`"])


@dataclass(frozen=True)
class Checkpoint:
    """A state dict in float32, under the keys of its architecture; what was taken of the file; what else it says."""

    state: State
    said: str = ""
    normalise: str = ""
    classes: tuple[str, ...] = ()  # a name for each output


def opened(path: Path) -> tuple[Any, dict[str, Any]]:
    """What a file holds, and what it says about it. Raises CourseError naming the file, and what it is instead."""
    if not os.path.isfile(path):
        raise CourseError(f"weights {path}: no such file. Expected `train`, `imagenet` or a path to a state dict")
    if kind := _no_weights(path):
        raise CourseError(f"weights {path}: {kind}")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
        with torch.serialization.safe_globals(VALUES):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a garbled pickle can raise anything
        named = re.search(r"GLOBAL (\S+)", str(error))
        why = f"it holds a `{named[1]}`" if named else "it is damaged, cut short, or of another kind"
        way = " Its class would have to be run (-p model=python:MODULE:FUNCTION does)." * bool(named)
        raise CourseError(
            f"weights {path}: not a state dict that loads without running code ({why}; {path.stat().st_size:,} bytes)."
            f"{way} Save it with torch.save(model.state_dict(), path) or as safetensors"
        ) from None
    about = dict(held) if isinstance(held, dict) else {}
    for key in ABOUT:
        inner = about.get(key)
        about |= vars(inner) if isinstance(inner, argparse.Namespace) else inner if isinstance(inner, dict) else {}
    about.pop("normalise", None)  # a training's own option of that name
    return held, about


def _no_weights(path: Path) -> str:
    """What a file is that only has the name of weights; "" where it may be some."""
    try:
        with path.open("rb") as file:
            head = file.read(512).lstrip().lower()
    except OSError as error:
        raise CourseError(f"weights {path}: cannot be read ({error.strerror})") from None
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of git-LFS, not the weights themselves. Fetch them: git lfs pull"
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not weights. Its link asks for a login, or leads to a page about the file: download again"
    if zipfile.is_zipfile(path):
        inside = {name.partition("/")[2] for name in zipfile.ZipFile(path).namelist()}
        if "constants.pkl" in inside:
            return f"a TorchScript, network and weights in one: -p model=torchscript:{path} -p weights=own"
        if "archive_format" in inside and "data.pkl" not in inside:
            return f"an exported program, network and weights in one: -p model=exported:{path} -p weights=own"
    return ""


def parts(held: Any, where: str = "") -> Iterator[tuple[str, State]]:
    """Every dict in what a file holds that has tensors by name: where it stands, and these."""
    if isinstance(held, Mapping):
        found = {key: value for key, value in held.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
        if found:
            yield where, found
        for key, value in held.items():
            yield from parts(value, f"{where}.{key}".removeprefix("."))


def read(path: Path, name: str, body: dict[str, torch.Size], average: str = "auto") -> Checkpoint:
    """The part of a file that has every entry of `body`, the layers of architecture `name` below its head.

    Entries that differ in shape are for `fill` to tell. `average`: of averaged weights (EMA, SWA) beside raw ones take
    the averaged (auto and yes; no: the raw). Raises CourseError when none fits, saying what was found; when several
    do; and when there are none of the kind asked for.
    """
    held, about = opened(path)
    everything = [*parts(held)]
    found = [part for where, state in everything for part in _fitting(where, state, body, held)]
    if not found:
        raise CourseError(f"weights {path}: not of `{name}`: {_misfit(everything, body, held)}")
    averaged, raw = ([part for part in found if part.averaged is kind] for kind in (True, False))
    if average != "auto" and not (averaged if average == "yes" else raw):
        only = "raw" if average == "yes" else "averaged"
        raise CourseError(f"weights {path}: average={average}, but it has only {only} weights ({found[0].place})")
    chosen, other = (averaged, raw) if averaged and average != "no" else (raw, averaged)
    chosen = [part for part in chosen if part.misfits == min(part.misfits for part in chosen)]
    taken = chosen[0]
    if any(not torch.equal(part.state[key], taken.state[key]) for part in chosen[1:] for key in body):
        places = ", ".join(part.place for part in chosen)
        raise CourseError(f"weights {path}: several parts are of `{name}`: {places}. Save the one you mean by itself")
    floats = {value.dtype for value in taken.state.values() if value.is_floating_point()} - {torch.float32}
    said = [f"entry `{taken.where}`"] * bool(taken.where) + [f"prefix `{taken.prefix}` taken off"] * bool(taken.prefix)
    said += [f"{taken.beside} entries beside it left"] * bool(taken.beside)
    said += [str(kind).removeprefix("torch.") for kind in floats]
    if averaged:
        word, rest, way = ("averaged", "raw", "no") if taken.averaged else ("raw", "averaged", "yes")
        said.append(f"{word} weights")
        said += [f"{rest} ones are beside them ({part.place}): average={way}" for part in other[:1]]
    names = names_in(about) or _names_beside(path)
    return Checkpoint(_plain(taken.state), "; ".join(said), str(about.get("normalise") or ""), names)


def _plain(state: State) -> State:
    return {k: (v.float() if v.is_floating_point() else v).detach() for k, v in state.items()}


def _fitting(where: str, state: State, body: Mapping[str, torch.Size], held: Any) -> Iterator[Part]:
    """The parts of one dict that have all of `body`, a part a prefix."""
    swapped = where == "state_dict" and "averaging_state" in held  # as Lightning's WeightAveraging saves them
    swapped |= "n_averaged" in state
    state = {WRAPPERS.sub("", key): value for key, value in state.items() if key != "n_averaged"}
    prefixes = [prefix for prefix, hits in _prefixes(state, body).items() if hits == len(body)]
    for prefix in prefixes:
        others = tuple(other for other in prefixes if other.startswith(prefix) and other != prefix)
        own = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix) and not k.startswith(others)}
        beside = sum(not key.startswith(tuple(prefixes)) for key in state)
        averaged = swapped or bool(AVERAGED.search(f"{where}.{prefix}".lower()))
        misfits = sum(own[key].shape != shape for key, shape in body.items()), len(own) - len(body)
        yield Part(where, prefix, own, averaged, beside, misfits)


def _prefixes(state: State, body: Mapping[str, Any]) -> dict[str, int]:
    """What may stand before the keys of `body` in a state dict, and how many of them are there then."""
    ends = [*body][:1] + [*body][-1:]
    tried = {key.removesuffix(end) for end in ends for key in state if key == end or key.endswith(f".{end}")}
    return {prefix: sum(f"{prefix}{key}" in state for key in body) for prefix in sorted(tried, key=len)}


def _misfit(everything: list[tuple[str, State]], body: dict[str, torch.Size], held: Any) -> str:
    """What was found in the place of an architecture's entries, and what to try."""
    if not everything:
        keys = f": {', '.join(map(str, [*held][:8]))}" if isinstance(held, Mapping) else ""
        return f"it holds {type(held).__name__}{keys}, expected a state dict of tensors"
    ranked = [
        (hits, where, prefix, state)
        for where, state in everything
        for prefix, hits in ({"": 0} | _prefixes(state, body)).items()
    ]
    _, _, prefix, state = max(ranked, key=lambda one: (one[0], len(one[3])))
    missing = [key for key in body if prefix + key not in state]
    there = [(key, [*state[prefix + key].shape], [*body[key]]) for key in body if prefix + key in state]
    differ = [f"`{key}` has shape {found}, expected {own}" for key, found, own in there if found != own]
    lists = ", ".join(f"`{at or 'the file'}` ({len(one)})" for at, one in everything[:6])
    return (
        f"missing {first(missing)}{'; '.join(['', *differ[:2]])}. It has tensors in {lists}, the first there "
        f"{first([*state])}. Try another -p model=NAME, or for a class of your own -p model=python:MODULE:FUNCTION"
    )


def read_state(path: Path, normalise: str = "imagenet") -> tuple[State, str]:
    """The largest state dict of a file, in float32 and without `module.`, and its normalisation, else this one.

    For networks that are no classifiers by name. Raises CourseError naming the file when there is none in it.
    """
    held, about = opened(path)
    everything = [state for where, state in parts(held) if not AVERAGED.search(where.lower())]
    if not everything:
        raise CourseError(f"weights {path}: holds {type(held).__name__}, expected a state dict of tensors")
    state = {key.removeprefix("module."): value for key, value in max(everything, key=len).items()}
    return _plain(state), str(about.get("normalise") or normalise)


def names_in(about: Mapping[Any, Any]) -> tuple[str, ...]:
    """The names of outputs that a file says, in their order: a list, {name: output} or {output: name}; () for none."""
    given = next((about[key] for key in NAMES if about.get(key)), ())
    with suppress(ValueError, TypeError):  # something else of that name
        if isinstance(given, str):  # safetensors' metadata are texts
            given = json.loads(given) if given.lstrip().startswith(("[", "{")) else given.split(",")
        if isinstance(given, Mapping):
            pairs = [(v, k) if isinstance(v, int) else (int(k), v) for k, v in given.items()]
            given = [name for _, name in sorted(pairs)] if {k for k, _ in pairs} == {*range(len(pairs))} else ()
        return tuple(str(name).strip() for name in given) if isinstance(given, list | tuple) else ()
    return ()


def _names_beside(path: Path) -> tuple[str, ...]:
    """The same from a file beside the weights: `w.classes.txt` (a line each), or config.json as it comes with them."""
    if (listed := path.with_suffix(".classes.txt")).is_file():
        return tuple(listed.read_text(encoding="utf-8").splitlines())
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return names_in(json.loads(path.with_name("config.json").read_text(encoding="utf-8")))
    return ()
