"""A notebook's knobs: read from its typed cell without running it, and checked before any work starts.

The cell tagged `parameters` holds one line a knob (where they are many, cells before it are `parameters-above`):

    lr: float = 0.002  # 1e-7 to 1; peak learning rate

The comment begins with what is allowed, up to a semicolon: two numbers, choices (`squash | cover`), `yes | no`, `text`,
or one of the words in KINDS for values that are looked up. It may go on in comment lines below. For a list it holds for
each item.
"""

import ast
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, create_model

from . import workers
from .errors import CourseError, Missing, nearest
from .files import readable

TAGS = ("parameters-above", "parameters")  # papermill sets its values below the one named `parameters`
TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
SAID = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}


@dataclass(frozen=True)
class Parameter:
    """One knob: a line of the parameters cell, and what it allows."""

    name: str
    type: str
    default: Any
    help: str
    bounds: tuple | list | str | None = None  # (lowest, highest), choices, a word of KINDS, or any value of its type

    @property
    def item(self) -> str:
        return re.sub(r"list\[(.*)\]", r"\1", self.type)

    @property
    def many(self) -> bool:
        return self.type.startswith("list")

    def expected(self) -> str:
        """What it needs, in words."""
        if isinstance(self.bounds, list):
            return f"one {'or more ' * self.many}of {', '.join(map(str, self.bounds))}"
        one = KINDS[self.bounds][0] if isinstance(self.bounds, str) else SAID[self.item]
        if isinstance(self.bounds, tuple):
            one += " from {} to {}".format(*(f"{b:g}" if isinstance(b, float) else b for b in self.bounds))
        return f"a list of: {one}" if self.many else one

    def field(self, looked_up: bool) -> Any:
        """The pydantic field that checks it; without looking anything up, unless asked to."""
        kind: Any = TYPES[self.item]
        if isinstance(self.bounds, tuple):
            finite = False if kind is float else None  # older pydantics refuse it of whole numbers
            kind = Annotated[kind, Field(ge=self.bounds[0], le=self.bounds[1], allow_inf_nan=finite)]
        if isinstance(self.bounds, list):
            kind = Literal[tuple(self.bounds)]
        if isinstance(self.bounds, str) and looked_up:
            kind = Annotated[kind, AfterValidator(KINDS[self.bounds][1])]
        return Annotated[list[kind], Field(min_length=1)] if self.many else kind

    def example(self) -> str:
        value = ",".join(map(str, self.default)) if isinstance(self.default, list) else self.default
        return f"-p {self.name}={value}"


def read(notebook: Path) -> list[Parameter]:
    """The parameters of a notebook, in its order. Raises CourseError when its cells break the contract."""
    try:  # not by nbformat, which takes longer to import than all else that a refused parameter needs
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        code = [("".join(c["source"]), c["metadata"].get("tags", ())) for c in cells if c["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{notebook}: not a readable notebook ({error})") from None
    tagged = [(tag, source) for source, tags in code for tag in tags if tag in TAGS]
    if tagged and tagged[-1][0] != "parameters":
        raise CourseError(f"{notebook}: the cell tagged `parameters` must come after those tagged `parameters-above`")
    try:
        return [_parameter(notebook, n, source.splitlines()) for _, source in tagged for n in ast.parse(source).body]
    except SyntaxError as error:
        raise CourseError(f"{notebook}: parameters cell, line {error.lineno}: {error.msg} ({error.text})") from None


def check(name: str, parameters: list[Parameter], values: dict[str, Any]) -> dict[str, Any]:
    """Every parameter's value, typed: `values` over the defaults. Raises CourseError naming each that is wrong.

    It is a Missing when nothing is wrong but files that have to be got. Defaults are looked up last: a mistake in a
    number is told without waiting for torch.
    """
    known, given = _given(name, parameters, values)
    changed = {key for key, value in given.items() if value != known[key].default}
    for looked_up in (changed, set(known)):
        found = _checked(name, known, given, looked_up)
    return found


def typed(name: str, parameters: list[Parameter], values: dict[str, Any]) -> dict[str, Any]:
    """What `check` gives, where nobody looks up whether there are such data sets, networks and files."""
    return _checked(name, *_given(name, parameters, values), set())


def _given(name: str, parameters: list[Parameter], values: dict[str, Any]) -> tuple[dict, dict]:
    """The parameters by name, and `values` with lists where those are wanted."""
    known = {p.name: p for p in parameters}
    if unknown := [key for key in values if key not in known]:
        lines = [f"{name}: unknown parameter `{key}`.{nearest(key, known)}" for key in unknown]
        raise CourseError("\n".join([*lines, f"It has: {', '.join(known)}"]))
    if lost := [key for key, value in values.items() if not _is_utf8(value)]:
        said = [f"{name}: parameter `{key}` is {readable(str(values[key]))}, which is not UTF-8" for key in lost]
        raise CourseError("\n".join([*said, "If it names a file or a folder, rename that"]))
    return known, {key: _listed(known[key], value) for key, value in values.items()}


def _checked(name: str, known: dict[str, Parameter], given: dict[str, Any], looked_up: set[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {p.name: (p.field(p.name in looked_up), p.default) for p in known.values()}
    model = create_model("Parameters", __config__=ConfigDict(extra="forbid", validate_default=True), **fields)
    try:
        return model(**given).model_dump()
    except ValidationError as error:
        wrong = [(str(e["loc"][0]), e["input"], e.get("ctx", {}).get("error")) for e in error.errors()]
        kind = Missing if all(isinstance(why, Missing) for *_, why in wrong) else CourseError
        raise kind("\n".join(_complaint(name, known[key], value, why) for key, value, why in wrong)) from None


def _complaint(name: str, parameter: Parameter, value: Any, why: Exception | None) -> str:
    reason = f"it needs {parameter.expected()}" if why is None else str(why)
    end = "" if reason.endswith(("?", ".")) else "."
    close = nearest(value, parameter.bounds) if isinstance(parameter.bounds, list) else ""
    return (
        f"{name}: parameter `{parameter.name}` is {value!r}; {reason}{end}{close}\n"
        f"        It is {parameter.help}. Example: {parameter.example()}"
    )


def _parameter(notebook: Path, node: ast.stmt, lines: list[str]) -> Parameter:
    where = f"{notebook}: parameters cell, line {node.lineno}"
    try:
        name, kind = node.target.id, ast.unparse(node.annotation)  # type: ignore[attr-defined]
        default = ast.literal_eval(node.value)  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        raise CourseError(f"{where}: expected `name: type = literal`") from None
    item = re.sub(r"list\[(.*)\]", r"\1", kind)
    if item not in SAID:
        raise CourseError(f"{where}: {name} has type {kind}; known are {', '.join(SAID)} and lists of them")
    comment = [lines[node.end_lineno - 1][node.end_col_offset :]]  # type: ignore[operator,index]
    comment += takewhile(lambda line: line.lstrip().startswith("#"), lines[node.end_lineno :])
    allowed, _, help = " ".join(part.strip().lstrip("#").strip() for part in comment).partition(";")
    try:
        return Parameter(name, kind, default, help.strip(), _bounds(allowed.strip(), TYPES[item]))
    except ValueError:
        raise CourseError(
            f"{where}: the comment of {name} begins with {allowed!r}; expected what it allows and a semicolon: "
            f"`1 to 10;`, `a | b;`, `yes | no;`, `text;` or one of {', '.join(KINDS)}"
        ) from None


def _bounds(text: str, kind: type) -> tuple | list | str | None:
    """What the beginning of a comment allows. Raises ValueError when it says nothing that is known."""
    if text in KINDS:
        return text
    if text == {str: "text", bool: "yes | no"}.get(kind):
        return None
    if kind in (int, float) and (numbers := re.fullmatch(r"(\S+) to (\S+)", text)):
        low, high = (float(n) if kind is float else int(n) for n in numbers.groups())
        if low <= high:
            return low, high
    if kind in (int, str) and (choices := [kind(part.strip()) for part in text.split("|")])[1:] and all(choices):
        return choices
    raise ValueError(text)


def _is_utf8(value: Any) -> bool:
    try:
        return bool(json.dumps(value, ensure_ascii=False, default=str).encode())
    except (UnicodeEncodeError, TypeError):  # TypeError: keys that JSON has not, of which no parameter is made
        return not isinstance(value, str | list)


def _listed(parameter: Parameter, value: Any) -> Any:
    """`a,b` from the command line is a list where a list is wanted; so is a single value. YAML's `workers: 2` is 2."""
    if parameter.bounds == "workers" and type(value) is int:
        return str(value)
    if parameter.many and isinstance(value, str) and not os.path.exists(re.sub("^(torchscript|exported):", "", value)):
        inside = value[1:-1].replace('"', "") if value.startswith("[") and value.endswith("]") else value
        return [part.strip() for part in inside.split(",") if part.strip()]
    return [value] if parameter.many and not isinstance(value, list) else value


# Looked up: imported only then, networks bring torch ------------------------------------------------------------------


def _dataset(value: str, *others: str) -> str:
    from .door import located

    if value not in others:
        located(value)
    return value


def _model(value: str, *others: str) -> str:
    from .networks import check_name

    if value not in others:
        check_name(value)
    return value


def _weights(value: str) -> str:
    if value not in ("train", "imagenet", "own") and not os.path.isfile(os.path.expanduser(value)):
        raise ValueError("it needs train, imagenet, own or the path of a file that exists")
    return value


def _statistics(value: str) -> str:
    from .networks import statistics

    if value != "auto":
        statistics(value)
    return value


_SETS = "a data set of `course data list`, a folder or a picture"
KINDS: dict[str, tuple[str, Callable]] = {
    "data set": (_SETS, lambda value: _dataset(value)),
    "data set or nothing": (f"nothing, or {_SETS}", lambda value: _dataset(value, "")),
    "model": (
        "one of our compact models, a torchvision classifier, timm:NAME, torchscript:PATH, exported:PATH or "
        "python:MODULE:FUNCTION (the last three run code of yours)",
        lambda value: _model(value),
    ),
    "model, auto or none": ("auto, none, or a model by name", lambda value: _model(value, "auto", "none")),
    "weights": ("train, imagenet, a path to a state dict, or own: those that the model brings", _weights),
    "statistics": (
        "auto, imagenet, half, unit, or a mean and a deviation such as 0.5,0.5,0.5 0.25,0.25,0.25",
        _statistics,
    ),
    "workers": (workers.WAYS, workers.checked),
}
