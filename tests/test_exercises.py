"""helpers/exercises.py, notebooks/exercises: the course's own functions pass, and wrong ones are told what is wrong."""

import ast
import json
import re
from functools import cache
from itertools import count

import nbformat
import numpy as np
import pytest
import torch
from importnb import Notebook

from helpers import check
from helpers.errors import CourseError
from helpers.exercises import FOLDER, Exercise, difference, of_notebook, outcome, verdict
from reports import handout, plans
from reports.shown import divided

NOTEBOOKS = plans.notebooks()
NUMBERED = [path for path in NOTEBOOKS if path.stem[:2] != "00"]
WRITTEN = [(path.stem, name) for path in NOTEBOOKS for name, one in of_notebook(path.stem).items() if one.tries]
MISTAKES = [(stem, name, words) for stem, name in WRITTEN for words in of_notebook(stem)[name].mistakes]


@cache
def functions(stem):
    """The functions of a notebook, whose experiments do not run."""
    return Notebook.load_file(str(plans.notebook(stem)), main=False, include_non_defs=False)


def own(stem, name):
    """The course's own function of an exercise."""
    return getattr(functions(stem), name)


def cells(path):
    """The cells of a notebook."""
    return json.loads(path.read_text("utf-8"))["cells"]


# every exercise that is a function


@pytest.mark.parametrize(("stem", "name"), WRITTEN)
def test_the_courses_own_function_passes(stem, name):
    said = verdict(own(stem, name), own(stem, name))
    assert said.startswith("✓")
    assert of_notebook(stem)[name].then in said


@pytest.mark.parametrize(("stem", "name"), WRITTEN)
def test_the_stub_is_not_begun_yet(stem, name):
    path = plans.notebook(stem)
    (stub,) = [task.cells[1] for task in handout.tasks(cells(path)) if task.function == name]
    given = {}
    exec("".join(stub["source"]).partition("\n\n\n")[0], given)
    assert verdict(own(stem, name), given[f"my_{name}"]).startswith(f"○ my_{name}: not begun yet")


@pytest.mark.parametrize(("stem", "name", "words"), MISTAKES)
def test_a_typical_mistake_is_told_in_its_own_words(stem, name, words):
    said = verdict(own(stem, name), named(of_notebook(stem)[name].mistakes[words]))
    assert said.startswith("✗")
    assert words in said
    others = [one for one in of_notebook(stem)[name].mistakes if one != words]
    assert [one for one in others if one in said] == []


def named(function):
    """A function under the name that a student's has; lambdas have none."""

    def my_own(*arguments):
        return function(*arguments)

    return my_own


@pytest.mark.parametrize(("stem", "name"), WRITTEN)
def test_two_typical_mistakes_or_more_are_known(stem, name):
    assert len(of_notebook(stem)[name].mistakes) >= 2


@pytest.mark.parametrize(("stem", "name"), WRITTEN)
def test_whoever_errs_in_one_try_alone_is_told_what_that_try_is_about(stem, name):
    function, exercise = own(stem, name), of_notebook(stem)[name]
    tries = [*exercise.tries(torch.Generator().manual_seed(0))]
    for k, (arguments, meaning) in enumerate(tries):
        said = verdict(function, erring(function, k, elsewhere(outcome(function, arguments))))
        longest = max(re.split(r"\{\w+\}", meaning), key=len)
        assert longest in said or any(words in said for words in exercise.mistakes)


def erring(function, k, wrong):
    """The function, but that its k-th answer is wrong."""
    asked = count()

    def my_own(*given):
        return wrong if next(asked) == k else function(*given)

    return my_own


def elsewhere(result):
    """What has the form of a result and other values; for a refusal, any value."""
    if isinstance(result, str):
        return 0.0
    parts = [one + 1 if not isinstance(one, torch.Tensor) else one.double() + 1 for one in result.values()]
    parts = [torch.zeros_like(one) if isinstance(one, torch.Tensor) and one.isnan().any() else one for one in parts]
    parts = [
        0.0 * np.nan_to_num(one) if isinstance(one, float | np.ndarray) and np.isnan(one).any() else one
        for one in parts
    ]
    parts = parts[:1] if "its gradient" in result else parts
    return parts if len(parts) > 1 or "number 1 of 1" in result else parts[0]


# what is said of any function


def kept(R, T):
    """Stands for the course's own `focus`."""
    return R.sum((1, 2))


@pytest.fixture
def a_sum(monkeypatch):
    """An exercise of one try: the sum of a map."""
    one = Exercise("", lambda draw: [((torch.ones(1, 2, 2), None), "a sum is {ours}, not {yours}")], {}, "go on")
    monkeypatch.setattr("helpers.exercises._of", lambda function: one)


def tried(function):
    return verdict(kept, function)


def test_an_exception_is_told_with_the_line_that_raised_it_and_without_a_traceback(a_sum):
    def my_focus(R, T):
        return R.sum(7)

    said = tried(my_focus)
    assert "yours stops with IndexError" in said
    assert "at `return R.sum(7)`" in said
    assert "Traceback" not in said
    assert "It is to give: Stands for" in said


def test_a_wrong_number_of_parameters_is_told(a_sum):
    assert "takes 1 positional argument but 2 were given" in tried(lambda R: R)


def test_what_has_not_the_form_of_the_answer_is_told_so(a_sum):
    assert "yours has shape [1, 2], expected [1]" in tried(lambda R, T: R.sum(1))
    assert "yours is a numpy array, expected a tensor of shape [1]" in tried(lambda R, T: R.sum((1, 2)).numpy())
    assert "yours is a number, expected a tensor" in tried(lambda R, T: R.sum().item())
    assert "yours is a str, expected a tensor" in tried(lambda R, T: str(R))
    assert "yours returns a list or tuple of 2, expected a single value" in tried(lambda R, T: (R, T))
    assert "yours returns a single value, expected a list or tuple of 1" in verdict(lambda R, T: [R], lambda R, T: R)
    assert "is a `return` missing?" in verdict(lambda R, T: (R, T), lambda R, T: print(end=""))


def test_a_forgotten_return_is_not_taken_for_a_stub(a_sum):
    def my_focus(R, T):
        R.sum((1, 2))

    assert "is a `return` missing?" in tried(my_focus)


def test_a_difference_is_told_in_the_words_of_its_try_with_both_values(a_sum):
    said = tried(lambda R, T: R.mean((1, 2)))
    assert "a sum is 4, not 1" in said
    assert "R = [[[1, 1], [1, 1]]]" in said


@pytest.mark.parametrize(
    ("R", "told"),
    [([[1.0, 0.0], [2.0, 1.0]], "2 at [0, 0, 0], not 1"), ([[1.0, 0.0, 2.0]], "[2, 1, 3], not [1, 0, 2]")],
)
def test_of_a_table_the_first_difference_is_told_and_of_a_row_all_numbers(monkeypatch, R, told):
    one = Exercise("", lambda draw: [((torch.tensor([R]),), "it is {yours}, not {ours}")], {}, "go on")
    monkeypatch.setattr("helpers.exercises._of", lambda function: one)
    assert told in verdict(lambda R: R, lambda R: R + 1)


def test_what_is_handed_over_is_a_function(a_sum):
    assert "That is a tensor, not a function" in tried(torch.ones(1))


def test_the_arguments_of_a_try_are_not_changed_by_who_works_in_place(a_sum):
    assert tried(lambda R, T: R.mul_(2).sum((1, 2)) / 2).startswith("✓")


def test_only_functions_of_exercises_are_checked():
    def my_focus(R, T): ...

    with pytest.raises(CourseError, match="Did you mean `focus`"):
        check.yours(my_focus, my_focus)


def test_an_answer_that_cuts_the_graph_or_has_another_gradient_is_seen():
    x = torch.ones(2, requires_grad=True)
    ours = outcome(lambda x: (x**2).sum(), (x,))
    assert difference(ours, outcome(lambda x: (x**2).sum(), (x,))) == ""
    assert "cannot be differentiated" in difference(ours, outcome(lambda x: (x**2).sum().detach(), (x,)))
    assert " (its gradient), expected " in difference(ours, outcome(lambda x: x.sum(), (x,)))


def test_who_refuses_what_the_course_refuses_agrees_and_who_does_not_is_told():
    def refuses(x):
        raise ValueError("no")

    refused = outcome(refuses, (1,))
    assert difference(refused, refused) == ""
    assert "expected that it is refused" in difference(refused, outcome(lambda x: x, (1,)))


def test_the_notebooks_own_draws_go_on_as_if_nobody_had_asked(capsys):
    stem, name = WRITTEN[0]
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    check.yours(own(stem, name), own(stem, name))
    assert torch.equal(torch.rand(3), expected)
    assert capsys.readouterr().out.startswith("✓")


# how exercises stand in the notebooks


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_exercises_and_a_teacher_an_answer_to_each(path):
    found = handout.tasks(cells(path))
    assert [task.name for task in found] == [*of_notebook(path.stem)]
    assert [task.title.split(" · ")[0] for task in found] == [f"Exercise {k}" for k in range(1, len(found) + 1)]
    assert len(found) in (range(4, 7) if path in NUMBERED else range(2, 4))
    titles = " ".join(task.title for task in found)
    assert "What is wrong with this explanation?" in titles
    assert "Design the experiment" in titles
    (head,) = ["".join(cell["source"]) for cell in cells(path) if cell["id"] == "your-turn"]
    assert f"({sum(task.minutes for task in found)} minutes)" in head


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_function_to_write_is_one_of_the_notebook_in_a_cell_that_says_so(path):
    marked = [ast.parse("".join(cell["source"])) for cell in cells(path) if handout.FUNCTION in handout._tags(cell)]
    defined = {node.name: node for tree in marked for node in tree.body if isinstance(node, ast.FunctionDef)}
    written = [task for task in handout.tasks(cells(path)) if task.function]
    assert [task.name for task in written] == [task.function for task in written]
    assert len(marked) <= len(written)
    for task in written:
        (stub,) = [
            node for node in ast.parse("".join(task.cells[1]["source"])).body if isinstance(node, ast.FunctionDef)
        ]
        assert ast.unparse(stub.args) == ast.unparse(defined[task.function].args)


def test_no_two_exercises_have_one_name():
    names = [name for path in NOTEBOOKS for name in of_notebook(path.stem)]
    assert len(names) == len({*names})
    assert {file.stem for file in FOLDER.glob("*.py")} <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_report_leaves_exercises_out_and_keeps_how_to_ask_for_one_of_ones_own(path):
    book = nbformat.read(path, as_version=4)
    opening, rest = divided(book)
    shown = "\n".join(cell.source for cell in [*opening, *rest.cells])
    assert "check.yours" in "\n".join(cell.source for cell in book.cells)
    assert re.search(r"check\.yours|### Exercise|· Your turn", shown) is None
    assert "-p dataset=path/to/" in shown or "-p images=path/to/" in shown
