"""Values of parameters from outside: the command line, a YAML file, an environment variable."""

import os
import re
from pathlib import Path
from typing import Any

from helpers.errors import CourseError


def parse(text: str) -> tuple[str, str]:
    """`name=value` from the command line."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise CourseError(f"-p {text}: expected name=value, for example -p seed=1")
    return name.strip(), value


def read(file: Path) -> dict[str, Any]:
    """The mapping of a YAML file. Raises CourseError naming the file and what is wrong with it."""
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{file}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise CourseError(f"{file}: not valid YAML ({str(error).splitlines()[0]})") from None
    if values is not None and not isinstance(values, dict):
        raise CourseError(f"{file}: expected lines `name: value`, found {type(values).__name__}")
    return values or {}


def expanded(value: Any) -> Any:
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


def absolute(value: Any, bounds: Any) -> Any:
    """The value, or where it names a file from here (of a data set also a folder), its whole path, also inside lists.

    A kernel runs in its notebook's folder, not here.
    """
    if isinstance(value, list):
        return [absolute(v, bounds) for v in value]
    if str(bounds).startswith("model"):  # torchscript:PATH
        kind, sign, path = value.partition(":")
        return kind + sign + absolute(path, None)
    path, of_data = os.path.expanduser(value), str(bounds).startswith("data set")
    there = os.path.exists(path) if of_data and path else os.path.isfile(path) and os.path.splitext(path)[1]
    return os.path.abspath(path) if there else value
