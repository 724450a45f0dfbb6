"""The project itself: one list of dependencies, notebooks without outputs, readable cells."""

import ast
import importlib
import json
import re
import tomllib

import nbformat
import pytest
import yaml

from helpers.door import REPO
from helpers.parameters import read
from reports.plans import PROFILES, notebooks, profile_values

PYPROJECT = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))


def test_conda_users_get_the_same_packages():
    environment = yaml.safe_load((REPO / "environment.yml").read_text("utf-8"))
    *packages, pip = environment["dependencies"]
    assert pip == {"pip": ["-e ."]}  # pyproject.toml is the one list
    assert packages == [f"python{PYPROJECT['project']['requires-python']}", "pip"]


def test_every_dependency_says_who_uses_it():
    text = (REPO / "pyproject.toml").read_text("utf-8").split("dependencies = [", 1)[1].split("]", 1)[0]
    lines = [line for line in text.splitlines() if line.strip()]
    assert [line for line in lines if not re.search(r'",\s+# \w', line)] == []


def test_the_packages_the_course_is_built_on_are_there():
    names = {re.split(r"[<>=\[]", d)[0] for d in PYPROJECT["project"]["dependencies"]}
    assert {"torch", "torchvision", "jupyterlab", "papermill", "nbconvert", "captum", "seaborn", "ipywidgets"} <= names


@pytest.mark.parametrize("path", notebooks(), ids=lambda p: p.stem)
def test_a_notebook_is_readable(path):
    book = nbformat.read(path, as_version=4)
    code = [c for c in book.cells if c.cell_type == "code"]
    assert all(not c.outputs and c.execution_count is None for c in code)
    assert [c.id for c in code if c.source.count("\n") >= 30] == []
    read = [c for c in code if not c.metadata.get("jupyter", {}).get("source_hidden")]  # drawing and claims are folded
    assert len(book.cells) - len(code) >= 0.8 * len(read)


def prose(path):
    """All Markdown of a notebook."""
    return "\n\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")


def sections(text):
    """(number, name, minutes, text) of each section that is read in minutes; exercises are none."""
    heads = [*re.finditer(r"^## (\d+) · (.+?) \((\d+) minutes.*\)$", text, re.M)]
    ends = [
        next((m.start() for m in re.finditer(r"^##? ", text, re.M) if m.start() > head.start()), None) for head in heads
    ]
    return [(*head.groups(), text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]


@pytest.mark.parametrize("path", notebooks(), ids=lambda p: p.stem)
def test_the_map_at_the_top_has_every_section_with_its_minutes_and_sums_that_are_right(path):
    (map_,) = [c.source for c in nbformat.read(path, as_version=4).cells if c.id == "map"]
    there = sections(prose(path))
    assert re.findall(r"(\d+) ([^*|]+?) \*\*(\d+)\*\*", re.sub(r"^\| [^|]*\|", "", map_, flags=re.M)) == [
        (number, name, minutes) for number, name, minutes, _ in there
    ]
    for row in map_.splitlines()[2:]:
        _, part, listed, _ = row.split("|")
        minutes = [int(m) for name, m in re.findall(r"\d+ ([^*|]+?) \*\*(\d+)\*\*", listed) if name != "Your turn"]
        assert part.endswith(f", **{sum(minutes)}** ")


@pytest.mark.parametrize("path", notebooks(), ids=lambda p: p.stem)
def test_every_section_ends_with_one_line_of_what_was_learnt(path):
    closing = re.compile(r"Your turn|claims|What holds|disagree|silent")
    learnt = {name: text.count("**Learnt") for _, name, _, text in sections(prose(path)) if not closing.search(name)}
    assert learnt
    assert {name: n for name, n in learnt.items() if n != 1} == {}


@pytest.mark.parametrize("path", notebooks(), ids=lambda p: p.stem)
def test_a_notebook_opens_with_what_the_reader_will_be_able_to_do_and_needs(path):
    opening = nbformat.read(path, as_version=4).cells[0].source
    (able,) = re.findall(r"\*\*You will be able to\*\* \| (.+) \|", opening)
    assert 3 <= len(able.split("; ")) <= 5
    assert "**You need**" in opening
    assert "**Takes**" in opening


@pytest.mark.parametrize("profile", sorted(p.stem for p in PROFILES.glob("*.yaml")))
def test_a_profile_names_only_notebooks_there_are(profile):
    known = {path.stem for path in notebooks()}
    assert set(yaml.safe_load((PROFILES / f"{profile}.yaml").read_text("utf-8"))) <= known


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_the_side_of_pictures_comes_from_loaded_weights_unless_it_is_given(path):
    (side,) = [p for p in read(path) if p.name in ("tile", "size")]
    assert side.default in (0, [0])
    code = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert [source for source in code if "usual_size(" in source]


def test_quick_covers_every_notebook():
    assert [profile_values("quick", path.stem) is not None for path in notebooks()] == [True] * len(notebooks())


def test_whatever_is_listed_by_notebook_by_hand_lists_each(monkeypatch):
    monkeypatch.syspath_prepend(REPO / "tests")
    stems = [path.stem for path in notebooks()]
    assert [*importlib.import_module("test_lab").SMALL] == stems
    assert [*importlib.import_module("test_any_parameters").SMALL] == stems
    assert re.findall(r"^\| `(\d\d_\w+)`", (REPO / "README.md").read_text("utf-8"), re.M) == stems


def test_the_citation_names_five_papers():
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text("utf-8"))
    assert len(citation["references"]) == 5


def test_every_link_in_the_readme_leads_somewhere():
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", (REPO / "README.md").read_text("utf-8"))
    assert links
    assert [link for link in links if not (REPO / link).exists()] == []


def test_the_readme_has_the_table_of_the_benchmarks_as_they_were_kept(monkeypatch):
    monkeypatch.syspath_prepend(REPO / "benchmarks")
    turns = importlib.import_module("turns")
    shown = turns.TABLE.search((REPO / "README.md").read_text("utf-8"))[0]
    kept = turns.table(json.loads(turns.RESULTS.read_text("utf-8")))
    assert f"-->\n\n{kept}\n\n<!--" in shown
    assert kept.count("\n") > 20


def test_a_row_says_how_many_times_faster_ours_is_and_where_that_misses_its_aim(monkeypatch):
    monkeypatch.syspath_prepend(REPO / "benchmarks")
    turns = importlib.import_module("turns")
    row = turns.Row("a map", [2.0, 4.0, 3.0], "another's", [6.0, 6.0], "ms", 1.5)
    assert (row.ratio, row.judged) == (2, "2")
    assert row._replace(aim=2.5).judged == "2, missed"
    results = {"maps": {"rows": [row._asdict()]}}
    assert turns.table(results).splitlines()[2] == "| a map | 3 ms | another's | 6 ms | 2 | at least 1.5 |"


@pytest.mark.parametrize("path", sorted((REPO / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_asks_a_notebook_only_for_what_it_has(path):
    tree = ast.parse(path.read_text("utf-8"))
    loaded = {}  # its name in the benchmark -> what the notebook defines
    for line in (node for node in tree.body if isinstance(node, ast.Assign) and "load_file" in ast.unparse(node)):
        (name,) = re.findall(r"notebooks/(\w+)\.ipynb", ast.unparse(line))
        cells = nbformat.read(REPO / f"notebooks/{name}.ipynb", 4).cells
        code = [ast.parse(c.source) for c in cells if c.cell_type == "code"]
        loaded[line.targets[0].id] = {n.name for part in code for n in part.body if hasattr(n, "name")}
    asked = [(n.value.id, n.attr) for n in ast.walk(tree) if isinstance(n, ast.Attribute) and hasattr(n.value, "id")]
    assert [f"{of}.{what}" for of, what in asked if of in loaded and what not in loaded[of]] == []
