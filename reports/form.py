"""The knobs of a notebook as one offline page: a field for each, checked as the notebook would, and what to run."""

import ast
import base64
import hashlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

from markupsafe import Markup

from helpers import parameters
from helpers.errors import CourseError
from helpers.files import write_text
from helpers.parameters import Parameter

from . import page, plans

MARK = '<meta name="generator" content="course: form">'  # by which we know a form of ours


def write(notebook: Path, file: Path) -> None:
    """The page as a file. Raises CourseError where something else would be lost, and where none can be written."""
    if file.is_file() and MARK not in file.read_text(encoding="utf-8", errors="replace")[:100_000]:
        raise CourseError(f"-o {file}: there already, and no form. Name another file")
    try:
        write_text(file, html(notebook))
    except OSError as error:
        raise CourseError(f"-o {file}: cannot be written ({error.strerror}). Name another file") from None


def html(notebook: Path) -> str:
    """The page. Raises CourseError where the notebook's cells of knobs break their contract."""
    environment = page.Exporter().environment
    script = (page.TEMPLATE / "form.js").read_text("utf-8")
    environment.globals.update(
        script=Markup(script), script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    )
    ours = notebook in plans.notebooks()
    return environment.get_template("form.html.j2").render(
        mark=Markup(MARK),
        title=plans.title(notebook),
        notebook=notebook.stem,
        command=f"course run {shlex.quote(notebook.stem if ours else str(notebook))}",
        file=shlex.quote(f"{notebook.stem}.yaml"),
        groups=[(name, [_field(p) for p in knobs]) for name, knobs in groups(notebook)],
    )


def groups(notebook: Path) -> list[tuple[str, list[Parameter]]]:
    """The knobs by the cell they stand in, each with the title that this cell's first comment gives it."""
    known = {p.name: p for p in parameters.read(notebook)}
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    found = []
    for cell in cells:
        if cell["cell_type"] == "code" and set(parameters.TAGS) & set(cell["metadata"].get("tags", ())):
            source = "".join(cell["source"])
            title = re.match(r"\s*#\s*(?:Knobs:?)?\s*(.*)", source)
            words = title[1].strip() if title else ""
            names = [node.target.id for node in ast.parse(source).body]  # type: ignore[attr-defined]
            found.append((words[:1].upper() + words[1:] or "Knobs", [known[name] for name in names]))
    return found


def _field(p: Parameter) -> dict[str, Any]:
    """What the template and its script know of a knob; a list of texts has a line for each, others have commas."""
    choices = p.bounds if isinstance(p.bounds, list) else ["yes", "no"] if p.item == "bool" else []
    low, high = p.bounds if isinstance(p.bounds, tuple) else ("", "")
    lines = p.many and p.item == "str" and not choices
    items = [_text(item) for item in p.default] if p.many else [_text(p.default)]
    return {
        "name": p.name,
        "item": p.item,
        "many": p.many,
        "lines": lines,
        "empty": p.item == "str" and p.bounds in (None, "data set or nothing"),  # may be
        "choices": [str(choice) for choice in choices],
        "low": low,
        "high": high,
        "text": ("\n" if lines else ", ").join(items),
        "needs": "yes or no" if p.item == "bool" and not p.many else p.expected(),
        "help": p.help,
    }


def _text(value: Any) -> str:
    """A default as it would be typed."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
