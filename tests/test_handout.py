"""reports/handout.py, `course handout`: a student's notebook runs unanswered, a teacher's has the answers."""

import ast
import json
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
from known import few_for_embedded, step_through
from test_any_parameters import SMALL, small_home

from helpers.errors import CourseError
from helpers.exercises import of_notebook
from reports import handout, plans
from reports.cli import main

NOTEBOOKS = plans.notebooks()


def code(book):
    """The code cells of a notebook, as text."""
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]


def definitions(book):
    """{name: function} of all functions on the first level of a notebook's cells."""
    nodes = [node for source in code(book) for node in ast.parse(source).body]
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}


def asked(path):
    """The exercises of a notebook."""
    return handout.tasks(json.loads(path.read_text("utf-8"))["cells"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_student_gets_the_promise_of_each_function_and_not_the_function(path):
    whole, given = definitions(json.loads(path.read_text("utf-8"))), definitions(handout.handout(path, "student"))
    functions = [task.function for task in asked(path) if task.function]
    assert functions
    for name in functions:
        stub = given[f"my_{name}"]
        assert ast.unparse(stub.args) == ast.unparse(whole[name].args)
        assert ast.get_docstring(stub) == ast.get_docstring(whole[name])
        assert ast.unparse(stub.body[1:]) == "..."
        assert name not in given
    assert {*whole} - {*given} == {*functions}  # and no other function is lost


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_student_writes_where_the_function_was_and_below_what_it_needs(path):
    """A stub stands behind all that the function calls and before the cell after it."""
    sources, order = code(handout.handout(path, "student")), []
    for source in sources:
        order += [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    solutions = definitions(json.loads(path.read_text("utf-8")))
    written = [task.function for task in asked(path) if task.function]
    for name in written:
        called = {node.id for node in ast.walk(solutions[name]) if isinstance(node, ast.Name)}
        called &= {*solutions} - {*written}  # those are loaded before
        assert [one for one in called if order.index(one) > order.index(f"my_{name}")] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_teacher_gets_the_notebook_as_it_is_with_answers_to_every_exercise(path):
    book, known = handout.handout(path, "teacher"), of_notebook(path.stem)
    assert code(book) == code(json.loads(path.read_text("utf-8")))
    said = "\n".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown")
    for task in asked(path):
        assert known[task.name].teacher in said
        assert f"| {task.title} | {task.level} | {task.minutes} |" in said
        assert all(words in said for words in known[task.name].mistakes)
    given = json.dumps(handout.handout(path, "student"))
    assert [task.name for task in asked(path) if json.dumps(known[task.name].teacher)[1:60] in given] == []


def test_a_notebook_in_which_somebody_may_have_worked_is_left_as_it_is(tmp_path, capsys):
    asking = ["handout", "00", "01", "--for", "student", "--out", str(tmp_path)]
    assert main(asking) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / f"{path.stem}.ipynb") for path in NOTEBOOKS[:2]]
    assert main(asking) == 0  # the same again: there already
    (tmp_path / "00_start_here.ipynb").unlink()
    worked = (tmp_path / "01_focus.ipynb").read_text("utf-8").replace("...", "return R")
    (tmp_path / "01_focus.ipynb").write_text(worked, "utf-8")
    assert main(asking) == 2
    assert "01_focus.ipynb: there already" in capsys.readouterr().err
    assert (tmp_path / "01_focus.ipynb").read_text("utf-8") == worked
    assert not (tmp_path / "00_start_here.ipynb").exists()  # all or none


def test_all_notebooks_are_handed_out_where_none_is_named(tmp_path):
    assert main(["handout", "--for", "teacher", "--out", str(tmp_path / "new")]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [path.name for path in NOTEBOOKS]


def test_what_cannot_be_handed_out_is_told(tmp_path, capsys):
    assert main(["handout", "07", "--for", "student", "--out", str(tmp_path)]) == 2
    (tmp_path / "file").touch()
    assert main(["handout", "01", "--for", "student", "--out", str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert "no notebook `07`" in said
    assert "cannot be written" in said
    empty = tmp_path / "mine.ipynb"
    empty.write_text(json.dumps({"cells": [{"cell_type": "markdown", "metadata": {}, "source": "# Mine"}]}), "utf-8")
    with pytest.raises(CourseError, match="it has no exercises"):
        handout.handout(empty, "student")


def test_a_heading_without_difficulty_and_minutes_is_refused():
    cell = {
        "id": "exercise-a",
        "cell_type": "markdown",
        "metadata": {"tags": ["your-turn"]},
        "source": "### Exercise\n",
    }
    with pytest.raises(CourseError, match="expected `### Exercise 1"):
        handout.tasks([cell])


# of the two that the others build on, as little as can be; the rest is asked for by `make fuzz`
TINY = {
    "00_start_here": {"tile": 32, "epochs": 1, "model": "compact_vgg"},
    "01_focus": {"tile": 32, "epochs": 3, "model": ["compact_vgg"], "methods": ["gradcam"], "mosaics_per_class": [1]}
    | {"layout_mosaics": 10, "random_draws": 2, "cascade_steps": 2, "curve_model": "none"},
}
FIRST = {stem: {name: some[0] for name, some in SMALL[stem].items()} for stem in SMALL if stem not in TINY}
RUNS = [pytest.param(stem, given, marks=pytest.mark.slow) for stem, given in TINY.items()]
RUNS += [pytest.param(stem, given, marks=pytest.mark.nightly) for stem, given in FIRST.items()]


@pytest.mark.parametrize(("stem", "values"), RUNS)
def test_a_students_notebook_runs_from_top_to_bottom_with_nothing_answered(stem, values, tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    if stem in TINY:
        few_for_embedded(home, images=120, size=32)
    else:
        small_home(home)
    (given,) = handout.write([plans.notebook(stem)], "student", tmp_path / "class")
    for variable, value in {"DATA": home, "NOTEBOOK": given}.items():
        monkeypatch.setenv(f"COURSE_{variable}", str(value))
    try:
        step_through(SimpleNamespace(notebook=given, values=plans.plan(stem, given=values).values))
    finally:
        plt.close("all")
    said = capsys.readouterr().out
    functions = [task.function for task in asked(plans.notebook(stem)) if task.function]
    assert [name for name in functions if f"○ my_{name}: not begun yet" not in said] == []
