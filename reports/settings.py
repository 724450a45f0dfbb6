"""Values of parameters from outside: the command line, a YAML file, an environment variable."""

import os
import re
from pathlib import Path
from typing import Any

from helpers.errors import CourseError

LARGEST, LONGEST = 10_000, 1_000_000  # values and characters in a file of parameters


def parse(text: str) -> tuple[str, str]:
    """`name=value` from the command line."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise CourseError(f"-p {text}: expected name=value, for example -p seed=1")
    return name.strip(), value


def read(file: Path) -> dict[str, Any]:
    """The mapping of a YAML file. Raises CourseError naming the file and what is wrong with it."""
    import yaml

    if os.path.exists(file) and not file.is_file() and file.parts[:2] != ("/", "dev"):  # /dev/fd/63: a shell's <(...)
        raise CourseError(f"{file}: no file of parameters but {'a folder' if file.is_dir() else 'a pipe or a device'}")
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise CourseError(f"{file}: longer than {LONGEST:,} characters; expected lines `name: value`")
        if root := yaml.compose(text, yaml.SafeLoader):
            _plain(root)
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{file}: cannot be read ({error})") from None
    except RecursionError:
        raise CourseError(f"{file}: lists in lists without end; expected lines `name: value`") from None
    except CourseError:
        raise
    except (yaml.YAMLError, ValueError, AttributeError) as error:  # the last two: no such day as 2026-02-30, `!!int a`
        raise CourseError(f"{file}: not valid YAML ({str(error).splitlines()[0]})") from None
    if values is not None and not isinstance(values, dict):
        raise CourseError(f"{file}: expected lines `name: value`, found {type(values).__name__}")
    return values or {}


def _plain(node, seen: frozenset = frozenset(), budget: list[int] | None = None) -> None:
    """Refuse what YAML allows and no parameters need: a name twice, a list in itself, short texts for endless ones."""
    from yaml import MappingNode, ScalarNode, YAMLError

    budget = budget or [LARGEST]
    budget[0] -= 1
    if budget[0] < 0 or node in seen:
        raise YAMLError("it holds itself" if node in seen else f"more than {LARGEST:,} values")
    if isinstance(node, ScalarNode):
        return
    if isinstance(node, MappingNode):
        names = [key.value for key, _ in node.value]
        if twice := next((str(name) for k, name in enumerate(names) if name in names[:k]), None):
            raise YAMLError(f"`{twice}` stands there twice")
    for inside in node.value:
        for one in inside if isinstance(node, MappingNode) else [inside]:
            _plain(one, seen | {node}, budget)


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
