"""A notebook's parameters: read from its typed cell without running it, and checked before any work starts.

The cell tagged `parameters` holds lines `name: type = default  # what it means`; where they are many, cells before it
are tagged `parameters-above`. The cell tagged `bounds`, right below, holds `bounds = {name: ...}`: a tuple (lowest,
highest), a list of choices, or one of the words in KINDS for values that are looked up. For a list parameter the bounds
hold for each item.
"""

import ast
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import nbformat
import yaml
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, create_model

from .errors import CourseError, Missing, nearest

TAGS = ("parameters-above", "parameters")  # papermill sets its values below the one named `parameters`
TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list}
SAID = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell, and its bounds."""

    name: str
    type: str
    default: Any
    help: str
    bounds: tuple | list | str | None = None

    @property
    def item(self) -> str:
        return re.sub(r"list\[(.*)\]", r"\1", self.type)

    def expected(self) -> str:
        """What it needs, in words."""
        one = SAID[self.item]
        if isinstance(self.bounds, tuple):
            one += f" from {self.bounds[0]} to {self.bounds[1]}"
        if isinstance(self.bounds, list):
            one = f"one of {', '.join(map(str, self.bounds))}"
        if isinstance(self.bounds, str):
            one = KINDS[self.bounds][0]
        if self.type.startswith("list"):
            return one.replace("one of", "one or more of") if isinstance(self.bounds, list) else f"a list of: {one}"
        return one

    def field(self):
        """The pydantic field that checks it."""
        kind = TYPES[self.item]
        if isinstance(self.bounds, tuple):
            kind = Annotated[kind, Field(ge=self.bounds[0], le=self.bounds[1], allow_inf_nan=False)]
        if isinstance(self.bounds, list):
            kind = Literal[tuple(self.bounds)]
        if isinstance(self.bounds, str):
            kind = Annotated[kind, AfterValidator(KINDS[self.bounds][1])]
        return Annotated[list[kind], Field(min_length=1)] if self.type.startswith("list") else kind

    def example(self) -> str:
        value = ",".join(map(str, self.default)) if isinstance(self.default, list) else self.default
        return f"-p {self.name}={value}"


def read(notebook: Path) -> list[Parameter]:
    """The parameters of a notebook, in its order. Raises CourseError when its cells break the contract."""
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise CourseError(f"{notebook}: not a readable notebook ({error})") from None
    tagged = [(tag, c.source) for c in cells for tag in c.metadata.get("tags", ()) if c.cell_type == "code"]
    sources = [source for tag, source in tagged if tag in TAGS]
    if not sources:
        return []
    if [tag for tag, _ in tagged if tag in TAGS][-1] != "parameters":
        raise CourseError(f"{notebook}: the cell tagged `parameters` must come after those tagged `parameters-above`")
    bounds = _bounds(notebook, dict(tagged).get("bounds", "bounds = {}"))
    found = [
        _parameter(notebook, node, source.splitlines(), bounds) for source in sources for node in ast.parse(source).body
    ]
    if strays := set(bounds) - {p.name for p in found}:
        raise CourseError(f"{notebook}: bounds for unknown parameter(s) {', '.join(sorted(strays))}")
    return found


def check(name: str, parameters: list[Parameter], values: dict[str, Any]) -> dict[str, Any]:
    """Every parameter's value, typed: `values` over the defaults. Raises CourseError naming each that is wrong.

    It is a Missing when nothing is wrong but files that have to be got.
    """
    known = {p.name: p for p in parameters}
    if unknown := [key for key in values if key not in known]:
        lines = [f"{name}: unknown parameter `{key}`.{nearest(key, known)}" for key in unknown]
        raise CourseError("\n".join([*lines, f"It has: {', '.join(known)}"]))
    given = {key: _listed(known[key], value) for key, value in values.items()}
    fields = {p.name: (p.field(), p.default) for p in parameters}
    model = create_model("Parameters", __config__=ConfigDict(extra="forbid", validate_default=True), **fields)
    try:
        return model(**given).model_dump()
    except ValidationError as error:
        wrong = [(e["loc"][0], e["input"], e.get("ctx", {}).get("error")) for e in error.errors()]
        kind = Missing if all(isinstance(why, Missing) for *_, why in wrong) else CourseError
        raise kind("\n".join(_complaint(name, known[key], *what) for key, *what in wrong)) from None


def _complaint(name: str, parameter: Parameter, value, why) -> str:
    reason = f"{parameter.name} needs {parameter.expected()}" if why is None else str(why)
    close = nearest(value, parameter.bounds) if isinstance(parameter.bounds, list) else ""
    return (
        f"{name}: parameter `{parameter.name}` is {value!r}; {'it' if why is None else ''} "
        f"{reason.removeprefix(parameter.name).strip().rstrip('?.')}{'?' if reason.endswith('?') else '.'}{close}\n"
        f"        It is {parameter.help}. Example: {parameter.example()}"
    ).replace(";  ", "; ")


def parse(text: str) -> tuple[str, str]:
    """`name=value` from the command line."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise CourseError(f"-p {text}: expected name=value, for example -p seed=1")
    return name.strip(), value


def read_values(file: Path) -> dict[str, Any]:
    """The mapping of a YAML file, with $VARIABLES filled in. Raises CourseError when one is not set."""
    try:
        values = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{file}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise CourseError(f"{file}: not valid YAML ({str(error).splitlines()[0]})") from None
    if values is not None and not isinstance(values, dict):
        raise CourseError(f"{file}: expected lines `name: value`, found {type(values).__name__}")
    return values or {}


def expanded(value):
    """The value with $VARIABLES filled in, also inside lists. Raises CourseError naming the one that is not set."""
    if isinstance(value, list):
        return [expanded(v) for v in value]
    if not isinstance(value, str):
        return value
    text = os.path.expandvars(value)
    if unset := re.search(r"\$\{?(\w+)", text):
        raise CourseError(
            f"{value}: the environment variable {unset[1]} is not set. Set it to a folder: {unset[1]}=..."
        )
    return text


def _bounds(notebook: Path, source: str) -> dict:
    try:
        (node,) = ast.parse(source).body
        return ast.literal_eval(node.value)
    except (ValueError, SyntaxError, AttributeError):
        raise CourseError(f"{notebook}: the cell tagged `bounds` must be one literal `bounds = {{...}}`") from None


def _parameter(notebook: Path, node, lines: list[str], bounds: dict) -> Parameter:
    try:
        name, kind = node.target.id, ast.unparse(node.annotation)
        default = ast.literal_eval(node.value)
    except (AttributeError, ValueError):
        raise CourseError(f"{notebook}: parameters cell, line {node.lineno}: expected `name: type = literal`") from None
    if re.sub(r"list\[(.*)\]", r"\1", kind) not in SAID:
        raise CourseError(
            f"{notebook}: parameter {name} has type {kind}; known are {', '.join(SAID)} and lists of them"
        )
    comment = lines[node.end_lineno - 1][node.end_col_offset :].partition("#")[2].strip()
    return Parameter(name, kind, default, comment, bounds.get(name))


def _listed(parameter: Parameter, value):
    """`a,b` from the command line is a list where a list is wanted; so is a single value."""
    if parameter.type.startswith("list") and isinstance(value, str) and not Path(value).exists():
        inside = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        return [part.strip() for part in inside.split(",") if part.strip()]
    return [value] if parameter.type.startswith("list") and not isinstance(value, list) else value


def _dataset(value: str) -> str:
    from . import pictures as data

    data.located(value)
    return value


def _pictures_or_none(value: str) -> str:
    return _dataset(value) if value else value


def _model(value: str) -> str:
    from .networks import check_name

    check_name(value)
    return value


def _model_or_not(value: str) -> str:
    return value if value in ("auto", "none") else _model(value)


def _weights(value: str) -> str:
    if value not in ("train", "imagenet") and not Path(value).expanduser().is_file():
        raise ValueError("it needs train, imagenet or the path of a file that exists")
    return value


KINDS: dict[str, tuple[str, Callable]] = {
    "dataset": ("a data set of `course data list`, a folder or a picture", _dataset),
    "pictures or none": ("nothing, or a data set of `course data list`, a folder or a picture", _pictures_or_none),
    "model": ("one of our compact models, a torchvision classifier or timm:NAME", _model),
    "model, auto or none": ("auto, none, or a model by name", _model_or_not),
    "weights": ("train, imagenet or a path to a state dict", _weights),
}
