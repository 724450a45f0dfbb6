"""A notebook to hand out: to a student with exercises in the place of functions, to a teacher with answers and minutes.

An exercise stands in the notebook, in cells tagged `your-turn`: its text, headed as in TITLE, in a cell whose id is
`exercise-NAME`, and below that what there is to run. Where this is `check.yours(focus, my_focus)`, the exercise is the
notebook's own function `focus`, in a cell tagged `exercise`. What a teacher is told stands in notebooks/exercises.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from helpers.errors import CourseError
from helpers.files import write_text

TURN, FUNCTION = "your-turn", "exercise"  # tags: of the exercises' own cells, and of the functions that they are about
TITLE = re.compile(r"### (Exercise \d+ · .+) \((easy|medium|hard), (\d+) minutes\)\n")
CHECK = re.compile(r"^check\.yours\((\w+), my_\w+\)", re.M)
STUDENT = """{n} exercises, {minutes} minutes. Where you are to write a function, its name and its promise are there, \
and the cell says how far you are. Every other cell runs whether or not you have written it: a folded cell loads the \
course's own functions for them."""
TEACHER = """{n} exercises, {minutes} minutes. Below each stand its answer, what is often wrong, what to talk about.

| exercise | difficulty | minutes |
|---|---|---|
{rows}"""
OWN = """# The course's own {names}: what follows goes on with them, whatever yours give
from importnb import Notebook

from helpers.door import REPO

own_notebook = Notebook.load_file(str(REPO / "notebooks/{file}"), main=False, include_non_defs=False)
{assigned}"""


@dataclass(frozen=True)
class Task:
    """One exercise of a notebook."""

    name: str
    title: str
    level: str
    minutes: int
    cells: list[dict]  # its text, then what there is to run
    function: str = ""  # of the notebook, that is to be written; none where the exercise is in prose


def tasks(cells: list[dict]) -> list[Task]:
    """The exercises among these cells, in order. Raises CourseError for a heading that is not as in TITLE."""
    found: list[Task] = []
    for cell in (one for one in cells if TURN in _tags(one)):
        text = _text(cell)
        if cell["cell_type"] == "markdown" and cell["id"].startswith("exercise-"):
            if not (heading := TITLE.match(text)):
                line = text.partition("\n")[0]
                raise CourseError(f"{line!r}: expected `### Exercise 1 · NAME (easy, 10 minutes)`; or medium, or hard")
            name = cell["id"].removeprefix("exercise-")
            found.append(Task(name, heading[1], heading[2], int(heading[3]), [cell]))
        elif found:
            asked = CHECK.search(text)
            function = asked[1] if asked else found[-1].function
            found[-1] = replace(found[-1], cells=[*found[-1].cells, cell], function=function)
    return found


def write(notebooks: list[Path], whom: str, out: Path) -> list[Path]:
    """Notebooks for a `student` or a `teacher`, all of them or none: the files, also those that were there already.

    Raises CourseError where somebody's work would be lost, and for a notebook without exercises.
    """
    made = {out / path.name: json.dumps(handout(path, whom), indent=1, ensure_ascii=False) + "\n" for path in notebooks}
    try:
        there = {file: file.read_bytes() for file in made if file.exists()}
        if changed := [str(file) for file in there if there[file] != made[file].encode()]:
            said = (
                f"{', '.join(changed)}: there already, and not as it would be written: somebody may have worked in it"
            )
            raise CourseError(f"{said}. Nothing was written. Choose another folder: --out DIR")
        for file in made.keys() - there.keys():
            write_text(file, made[file])
    except OSError as error:
        raise CourseError(f"--out {out}: cannot be written ({error.strerror}). Choose another folder") from None
    return [*made]


def handout(path: Path, whom: str) -> dict[str, Any]:
    """The notebook at this path for a `student` or a `teacher`. Raises CourseError where it has no exercises."""
    book = json.loads(path.read_text(encoding="utf-8"))
    first, *cells = book["cells"]
    if not (found := tasks(cells)):
        raise CourseError(f"{path}: it has no exercises, so there is nothing to hand out")
    sums = {"n": len(found), "minutes": sum(task.minutes for task in found)}
    rows = "\n".join(f"| {task.title} | {task.level} | {task.minutes} |" for task in found)
    about = STUDENT.format(**sums) if whom == "student" else TEACHER.format(**sums, rows=rows)
    made = {"student": _for_student, "teacher": _for_teacher}[whom](cells, found, path)
    said = [first, _cell("markdown", "handout", about), *made]
    return book | {"cells": [cell | {"source": _text(cell).splitlines(keepends=True)} for cell in said]}


def _for_student(cells: list[dict], found: list[Task], path: Path) -> Iterator[dict]:
    """Exercises on functions stand where these were; below the others there is a place for the answer."""
    by_function, loaded = {task.function: task for task in found if task.function}, False
    in_prose = [task for task in found if not task.function]
    for cell in cells:
        if FUNCTION in _tags(cell):
            if not loaded:
                assigned = "\n".join(f"{name} = own_notebook.{name}" for name in by_function)
                own = OWN.format(names=", ".join(by_function), file=path.name, assigned=assigned)
                yield _cell("code", "own", own) | {"metadata": {"jupyter": {"source_hidden": True}}}
                loaded = True
            for k, (name, code) in enumerate(_parts(_text(cell), {*by_function})):
                text, *run = by_function[name].cells if name else (cell,)
                yield text if name else cell | {"id": f"{cell['id']}-{k}", "source": code}
                yield from (one | {"source": code} if CHECK.search(_text(one)) else one for one in run)
        elif TURN not in _tags(cell):
            yield cell
        elif task := next((task for task in in_prose if cell in task.cells), None):
            yield cell
            if cell == task.cells[-1]:
                yield _cell("markdown", f"answer-{task.name}", "*Your answer (double-click here):*")
        elif not any(cell in task.cells for task in found):
            minutes = sum(task.minutes for task in in_prose)
            head = re.sub(r"\d+ minutes", f"{minutes} minutes", _text(cell).partition("\n")[0])
            yield cell | {"source": f"{head}\n\nThe exercises on functions stand above; these are the others."}


def _for_teacher(cells: list[dict], found: list[Task], path: Path) -> Iterator[dict]:
    """The whole notebook, and below each exercise its answer, typical mistakes, and what to talk about."""
    from helpers.exercises import of_notebook

    known = of_notebook(path.stem)
    written = {
        name: code for cell in cells if FUNCTION in _tags(cell) for name, code in _functions(_text(cell)).items()
    }
    for cell in cells:
        yield cell
        for task in (task for task in found if cell == task.cells[-1]):
            parts = [f"**For the teacher** ({task.minutes} minutes)", known[task.name].teacher]
            if task.function:
                wrong = "\n".join(f"- {words}" for words in known[task.name].mistakes)
                parts += [f"The course's own:\n\n```python\n{written[task.function]}\n```"]
                parts += [f"What is often wrong, and what the cell says then:\n\n{wrong}"]
            yield _cell("markdown", f"teacher-{task.name}", "\n\n".join(parts))


def _parts(source: str, names: set[str]) -> Iterator[tuple[str, str]]:
    """A cell's code, cut at the functions of these names: each as (name, stub and check), the rest as ("", code)."""
    lines, done = source.splitlines(), 0
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name in names]
    for node in nodes:
        if before := "\n".join(lines[done : node.lineno - 1]).strip():
            yield "", before
        promise = "\n".join(lines[node.lineno - 1 : node.body[0].end_lineno])  # the signature and the docstring
        stub = promise.replace(f"def {node.name}(", f"def my_{node.name}(", 1)
        yield node.name, f"{stub}\n    ...\n\n\ncheck.yours({node.name}, my_{node.name})"
        done = node.end_lineno or node.lineno
    if after := "\n".join(lines[done:]).strip():
        yield "", after


def _functions(source: str) -> dict[str, str]:
    """The functions of a cell by name, as they are written."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(source, node) or "" for node in nodes}


def _cell(kind: str, name: str, source: str) -> dict:
    code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": name, "metadata": {}, "source": source} | code


def _tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def _text(cell: dict) -> str:
    return "".join(cell["source"])
