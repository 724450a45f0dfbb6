"""Exercises: a student's function beside the course's own, and in words what the first difference means.

What functions are tried on stands in notebooks/exercises, a file a notebook, with typical mistakes and what to say.
"""

import copy
import dis
import inspect
import re
import runpy
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch

from .door import REPO
from .errors import CourseError, nearest

FOLDER = REPO / "notebooks" / "exercises"
NOTHING = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}  # what a body of `...` comes to
GRADIENT, MISSING = "its gradient", "yours returns None: is a `return` missing?"
GIVES = re.compile("yours gives (?P<yours>.*), expected (?P<ours>.*)", re.S)
MANY = 16  # numbers: more are not shown


@dataclass(frozen=True)
class Exercise:
    """One exercise; of one in prose, nothing but the words for the teacher."""

    teacher: str  # Markdown: the answer, what to talk about
    tries: Callable[[torch.Generator], Iterable[tuple[tuple, str]]] | None = None  # arguments; what a difference means
    mistakes: Mapping[str, Callable] = field(default_factory=dict)  # what to say -> a typical wrong answer
    then: str = ""  # the next step


@cache
def of_notebook(stem: str) -> dict[str, Exercise]:
    """The exercises of a notebook by name; none where it has no file of them."""
    file = FOLDER / f"{stem}.py"
    found = runpy.run_path(str(file)) if file.is_file() else {}
    return {name: one for name, one in found.items() if isinstance(one, Exercise)}


def yours(own: Callable, mine: Any) -> None:
    """Print whether a student's function agrees with the course's own; if not, what the first difference means."""
    with torch.random.fork_rng(devices=[]):  # the notebook's own draws go on as if nobody had asked
        print(verdict(own, mine))


def verdict(own: Callable, mine: Any) -> str:
    """The words of `yours`. Raises CourseError where `own` is not the function of an exercise."""
    name, exercise = own.__name__, _of(own)
    if not inspect.isfunction(mine):
        return f"✗ That is {_kind(mine)}, not a function. Give its name alone: check.yours({name}, my_{name})"
    if {step.opname for step in dis.get_instructions(mine)} <= NOTHING:
        return f"○ {mine.__name__}: not begun yet. Write it in the place of `...` and run this cell again."
    tries = [*exercise.tries(torch.Generator().manual_seed(0))] if exercise.tries else []
    answers = [outcome(mine, arguments) for arguments, _ in tries]
    for (arguments, meaning), theirs in zip(tries, answers, strict=True):
        ours = outcome(own, arguments)
        if said := difference(ours, theirs):
            found = GIVES.search(said)
            words = meaning.format(**found.groupdict()) if found else f"{said}. {_promise(own)}"
            words = _known_mistake(exercise, tries, answers) or words
            return f"✗ {mine.__name__}: {words}\n  Tried on {_listed(own, arguments)}\n  There {said}."
    return f"✓ {mine.__name__} agrees with {name} in all {len(tries)} tries.\n  Next: {exercise.then}"


def outcome(function: Callable, arguments: tuple) -> dict[str, Any] | str:
    """What a function makes of copies of the arguments, part by part; in words the error that it stops with."""
    given = copy.deepcopy(arguments)
    try:
        with warnings.catch_warnings(action="ignore"):
            value = function(*given)
            many = isinstance(value, tuple | list)
            parts = {f"number {k} of {len(value)}": one for k, one in enumerate(value, 1)} if many else {"": value}
            wanted = [one for one in given if isinstance(one, torch.Tensor) and one.requires_grad]
            return parts | ({GRADIENT: _gradient(value, wanted)} if wanted else {})
    except Exception as error:
        lines = traceback.extract_tb(error.__traceback__)
        own = [one.line for one in lines if one.line and one.filename == function.__code__.co_filename]
        return f"{type(error).__name__}: {error}".strip() + (f", at `{own[-1]}`" if own else "")


def difference(ours: dict[str, Any] | str, theirs: dict[str, Any] | str) -> str:
    """How two outcomes differ; "" where they do not. Of values, not of their form, it says what `yours gives`."""
    if isinstance(ours, str) or isinstance(theirs, str):
        if isinstance(theirs, str):
            return "" if isinstance(ours, str) else f"yours stops with {theirs}"
        return f"yours gives {_short(theirs)}, expected that it is refused"
    if {*ours} != {*theirs}:
        if theirs.get("", ()) is None:
            return MISSING
        return f"yours returns {_counted(theirs)}, expected {_counted(ours)}"
    for part, a in ours.items():
        of, b = f"{part}: " * bool(part), theirs[part]
        if b is None and a is not None:
            return "yours cannot be differentiated: something cuts the graph" if part == GRADIENT else MISSING
        if a is b is None:
            continue
        if _kind(a) != _kind(b):
            return f"{of}yours is {_kind(b)}, expected {_kind(a)} of shape {list(np.shape(a))}"
        if np.shape(a := _array(a)) != np.shape(b := _array(b)):
            return f"{of}yours has shape {list(b.shape)}, expected {list(a.shape)}"
        if not (same := np.isclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)).all():
            # of a table, or of many numbers, the first that differs
            at = () if a.size <= MANY and np.squeeze(a).ndim < 2 else tuple(map(int, np.argwhere(~same)[0]))
            b, a = (_short(np.squeeze(one[at])) for one in (b, a))
            where = f" at {[*at]}" * bool(at) + f" ({part})" * bool(part)
            return f"yours gives {b}{where}, expected {a}"
    return ""


def _counted(parts: dict[str, Any]) -> str:
    return "a single value" if "" in parts else f"a list or tuple of {len(parts.keys() - {GRADIENT})}"


def _of(own: Callable) -> Exercise:
    named = {name: one for file in sorted(FOLDER.glob("*.py")) for name, one in of_notebook(file.stem).items()}
    known = {name: one for name, one in named.items() if one.tries}
    if (name := getattr(own, "__name__", str(own))) not in known:
        said = f"check.yours: {name} is no function of an exercise.{nearest(name, known)} The course's own comes first"
        raise CourseError(f"{said}, then yours. There are: {', '.join(known)}")
    return known[name]


def _known_mistake(exercise: Exercise, tries: list[tuple[tuple, str]], answers: list) -> str:
    """What to say of the typical mistake that answers everything as the student's function does."""
    for words, wrong in exercise.mistakes.items():
        if not any(difference(outcome(wrong, given), them) for (given, _), them in zip(tries, answers, strict=True)):
            return words
    return ""


def _gradient(value: Any, wanted: list[torch.Tensor]) -> torch.Tensor | None:
    """That of a value by its arguments, as one row; None where the graph is cut."""
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return None
    weights = torch.arange(1.0, value.numel() + 1).view_as(value)  # so that no two parts cancel
    found = torch.autograd.grad((value * weights).sum(), wanted, allow_unused=True, materialize_grads=True)
    return torch.cat([one.flatten() for one in found])


def _kind(value: Any) -> str:
    """What a value is, in words; a number may come from any library."""
    if isinstance(value, bool | int | float | np.generic) or (hasattr(value, "shape") and np.shape(value) == ()):
        return "a number"
    known = {torch.Tensor: "a tensor", np.ndarray: "a numpy array", list: "a list", dict: "a dict"}
    return next((words for kind, words in known.items() if isinstance(value, kind)), f"a {type(value).__name__}")


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value, float)


def _short(value: Any) -> str:
    """A value in few words: its numbers, or its shape where they are many."""
    if isinstance(value, dict):
        return ", ".join(map(_short, value.values()))
    try:
        array = np.round(_array(value), 4) + 0.0  # no -0.0
    except (TypeError, ValueError):
        return text if len(text := str(value)) < 60 else _kind(value)
    if isinstance(value, bool | str) or array.size > MANY:
        return str(value) if isinstance(value, bool | str) else f"{_kind(value)} of shape {list(array.shape)}"
    return _numbers(array.tolist() if array.size > 1 else array.item())


def _numbers(value: Any) -> str:
    return f"[{', '.join(map(_numbers, value))}]" if isinstance(value, list) else f"{value:g}"


def _listed(own: Callable, arguments: tuple) -> str:
    names = inspect.signature(own).parameters
    return ", ".join(f"{name} = {_short(one)}" for name, one in zip(names, arguments, strict=False))


def _promise(own: Callable) -> str:
    """The first line of a docstring: what the function is to give."""
    return f"It is to give: {(inspect.getdoc(own) or '').partition(chr(10))[0]}"
