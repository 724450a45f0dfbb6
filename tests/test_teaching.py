"""The teacher's page and the README: their commands, tasks, links and sections are ones that there are."""

import re
import shlex

import nbformat
import pytest

from helpers.door import REPO
from helpers.parameters import read
from reports import __main__ as tasks
from reports import plans
from reports.cli import commands

TEACHING = REPO / "notebooks/TEACHING.md"
PAGES = [TEACHING, REPO / "README.md"]
TEXT = TEACHING.read_text("utf-8")
FOLLOWS = {"handout"}  # of the commands: made beside this page


def said(page):
    """Every command of the course on a page, in blocks and in sentences, as its words."""
    text = page.read_text("utf-8")
    blocks = [
        line for block in re.findall(r"^ *(?:> )?```\n(.*?)```", text, re.S | re.M) for line in block.splitlines()
    ]
    lines = [line.lstrip("> ").split(" #")[0] for line in blocks] + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    words = [shlex.split(line) for line in lines if re.match(r"(\S*[/\\])?course +[a-z]", line)]
    return [[word.partition("|")[0] for word in one[1:]] for one in words if not {"...", "name=value"} & {*one}]


def known():
    return next(act.choices for act in commands._parser()._actions if isinstance(act.choices, dict))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_one_that_there_is(page, capsys):
    asked = said(page)
    assert len(asked) > 8
    assert {words[0] for words in asked} - {*known()} <= FOLLOWS
    for words in asked:
        if words[0] in known() and len(words) > 1:
            try:
                arguments = commands._parser().parse_args(words)
            except SystemExit:
                pytest.fail(f"course {shlex.join(words)}: {capsys.readouterr().err}")
            if words[0] == "run" and arguments.notebook != "all":
                names = {one.name for one in read(plans.notebook(arguments.notebook))}
                assert {text.partition("=")[0] for text in arguments.given} - names == set(), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_task_is_one_that_there_is(page):
    asked = re.findall(r"(?:python3?|py) -m reports (\w+)", page.read_text("utf-8"))
    assert asked
    assert {*asked} <= {*tasks.TASKS}


def test_every_link_of_the_teachers_page_leads_somewhere():
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", TEXT)
    assert [link for link in links if not (TEACHING.parent / link).exists()] == []


def test_every_section_that_is_named_is_there():
    sections = {}
    for path in plans.notebooks():
        text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
        sections[path.stem[:2]] = {int(number) for number in re.findall(r"^## (\d+) ·", text, re.M)}
    named = re.findall(r"\b(0\d), sections? (\d+)(?:, (\d+))?(?:,? (?:and|to) (\d+))?", TEXT)
    assert len(named) > 20
    assert [(book, n) for book, *numbers in named for n in numbers if n and int(n) not in sections[book]] == []


def plan(heading):
    """The minutes of the plan below a heading."""
    part = TEXT.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    return [int(minutes) for minutes in re.findall(r"^\| (\d+) \|", part, re.M)]


@pytest.mark.parametrize(("heading", "minutes"), [("Two hours", 120), ("Half a day: four hours", 240)])
def test_the_minutes_of_a_plan_add_up(heading, minutes):
    assert sum(plan(heading)) == minutes


def test_half_a_day_begins_with_the_two_hours_without_their_end():
    assert plan("Half a day")[0] == sum(plan("Two hours")[:-2])


def test_three_pages_take_ten_minutes():
    part = TEXT.split("## Ten minutes", 1)[1].split("\n## ", 1)[0]
    assert sum(map(int, re.findall(r"\((\d+) minutes\)", part))) == 10
