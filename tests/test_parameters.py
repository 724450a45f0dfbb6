"""helpers/parameters.py: wrong parameters are told before any work starts, each with the way out."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import parameters
from helpers.errors import CourseError
from reports import settings

CELL = """size: int = 10  # 2 to 80; the side, in pixels
share: float = 0.5  # 0 to 1; a share = part of the whole
names: list[str] = ["a"]  # a | b | c; which letters
flag: bool = False  # yes | no; on or off
text: str = "x = y"  # text; any text"""


def notebook(tmp_path, cell=CELL):
    return tagged(tmp_path, ("parameters", cell))


def tagged(tmp_path, *cells):
    """A notebook of code cells, each with a tag."""
    book = nbformat.v4.new_notebook()
    for tag, source in cells:
        book.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]}))
    nbformat.write(book, tmp_path / "demo.ipynb")
    return tmp_path / "demo.ipynb"


@pytest.fixture
def known(tmp_path):
    return parameters.read(notebook(tmp_path))


def test_the_cell_is_read_without_running_it(known):
    assert [(p.name, p.type, p.default) for p in known] == [
        ("size", "int", 10), ("share", "float", 0.5), ("names", "list[str]", ["a"]), ("flag", "bool", False),
        ("text", "str", "x = y"),
    ]  # fmt: skip
    assert known[1].help == "a share = part of the whole"


def test_defaults_pass_and_given_values_win(known):
    values = parameters.check("demo", known, {"size": "12", "names": "a,c", "flag": "true"})
    assert values == {"size": 12, "share": 0.5, "names": ["a", "c"], "flag": True, "text": "x = y"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": "abc"}, "parameter `size` is 'abc'; it needs a whole number from 2 to 80"),
        ({"size": 1}, "`size` is 1; it needs a whole number from 2 to 80"),
        ({"size": 2.5}, "`size` is 2.5"),
        ({"share": "nan"}, "`share` is 'nan'; it needs a number from 0 to 1"),
        ({"share": -0.1}, "`share` is -0.1"),
        ({"names": "a,d"}, "`names` is 'd'; it needs one or more of a, b, c"),
        ({"names": []}, r"`names` is \[\]"),
        ({"flag": "maybe"}, "`flag` is 'maybe'; it needs true or false"),
        ({"text": None}, "`text` is None; it needs a text"),
        ({"siez": 3}, "unknown parameter `siez`. Did you mean `size`"),
        ({"zzz": 3}, "It has: size, share, names, flag, text"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(known, given, said):
    with pytest.raises(CourseError, match=said):
        parameters.check("demo", known, given)


def test_every_wrong_value_is_told_at_once_with_an_example(known):
    with pytest.raises(CourseError) as caught:
        parameters.check("demo", known, {"size": 0, "share": 9})
    assert "Example: -p size=10" in str(caught.value)
    assert "Example: -p share=0.5" in str(caught.value)


@given(st.integers(-1000, 1000))
def test_bounds_are_kept_exactly(tmp_path_factory, size):
    known = [parameters.Parameter("size", "int", 10, "", (2, 80))]
    try:
        parameters.check("demo", known, {"size": size})
        inside = True
    except CourseError:
        inside = False
    assert inside == (2 <= size <= 80)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("size = 3", "line 1: expected `name: type = literal`"),
        ("size: int = len('abc')", "expected `name: type = literal`"),
        ("size: dict = {}", "type dict; known are"),
        ("size: int = 3  # the side", "comment of size begins with 'the side'; expected what it allows"),
        ("size: int = 3  # 9 to 1; the side", "begins with '9 to 1'"),
        ("size: int = 3  # 1 to 2.5; the side", "begins with '1 to 2.5'"),
        ("size: float = 3.0  # a | b; the side", r"begins with 'a \| b'"),
        ("size: bool = True  # 0 to 1; the side", "begins with '0 to 1'"),
        ("size: str = 'a'  # datset; pictures", "data set or nothing"),
        ("size: int = 3", "begins with ''"),
    ],
)
def test_a_notebook_that_breaks_the_contract_is_told(tmp_path, cell, said):
    with pytest.raises(CourseError, match=said):
        parameters.read(notebook(tmp_path, cell))


def test_a_comment_may_go_on_in_lines_below(tmp_path):
    (p,) = parameters.read(notebook(tmp_path, 'x: str = "b"  # a | b |\n#   c; which\n#   letter\n'))
    assert (p.bounds, p.help) == (["a", "b", "c"], "which letter")


@pytest.mark.parametrize("path", sorted(Path("notebooks").glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_every_knob_says_what_it_allows_and_its_default_is_allowed(path, data_home):
    known = parameters.read(path)
    assert parameters.check(path.stem, known, {}) == {p.name: p.default for p in known}
    assert all(p.help for p in known)


ABOVE = ("parameters-above", "size: int = 10  # 2 to 80; the side\n\nshare: float = 0.5  # 0 to 1; a part")
MORE = ("parameters-above", 'names: list[str] = [\n    "a",\n]  # a | b; which letters')
LAST = ("parameters", "flag: bool = False  # yes | no; on or off")
OTHERS = (("imports", "import os"),)


def test_cells_above_the_parameters_are_read_in_their_order(tmp_path):
    known = parameters.read(tagged(tmp_path, ABOVE, OTHERS[0], MORE, LAST))
    assert [(p.name, p.help) for p in known] == [
        ("size", "the side"), ("share", "a part"), ("names", "which letters"), ("flag", "on or off")
    ]  # fmt: skip
    assert [p.bounds for p in known] == [(2, 80), (0, 1), ["a", "b"], None]


@pytest.mark.parametrize("cells", [(LAST, ABOVE), (ABOVE, LAST, MORE), (ABOVE,)])
def test_a_parameters_cell_that_is_not_the_last_is_refused(tmp_path, cells):
    with pytest.raises(CourseError, match="`parameters` must come after those tagged `parameters-above`"):
        parameters.read(tagged(tmp_path, *cells))


def test_a_wrong_value_of_a_cell_above_is_told(tmp_path):
    known = parameters.read(tagged(tmp_path, ABOVE, MORE, LAST))
    with pytest.raises(CourseError, match="`size` is 1; it needs a whole number from 2 to 80"):
        parameters.check("demo", known, {"size": 1})


def test_papermill_overrides_the_parameters_of_every_cell(tmp_path):
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    path = tagged(tmp_path, ABOVE, MORE, LAST, *OTHERS)
    given = {"size": 12, "names": ["b"], "flag": True}
    book = parameterize_notebook(load_notebook_node(str(path)), given, language="python", kernel_name="python3")
    namespace = {}
    for cell in book.cells:
        exec(cell.source, namespace)
    known = parameters.read(path)
    values = parameters.check("demo", known, {p.name: namespace[p.name] for p in known})  # as run.start does
    assert values == {"size": 12, "share": 0.5, "names": ["b"], "flag": True}


def test_looked_up_kinds_say_why(tmp_path, data_home):
    cell = (
        'dataset: str = "scenes"  # data set; d\nmodel: list[str] = ["resnet18"]  # model; m\n'
        'weights: str = "train"  # weights; w'
    )
    known = parameters.read(notebook(tmp_path, cell))
    with pytest.raises(CourseError) as caught:
        parameters.check("demo", known, {"dataset": "nope", "model": "resnet19", "weights": "w.pth"})
    for said in ("no such folder", "Did you mean `resnet18`", "the path of a file that exists"):
        assert said in str(caught.value)


def looked_up(kind, value, tmp_path):
    """What the parameter `x` of this kind becomes, given this value."""
    known = parameters.read(notebook(tmp_path, f'x: str = ""  # {kind}; anything'))
    return parameters.check("demo", known, {"x": value})["x"]


@pytest.mark.parametrize("kind", ["data set", "data set or nothing"])
def test_pictures_are_an_embedded_set_a_folder_or_a_file(kind, tmp_path, data_home):
    (tmp_path / "cat.jpg").touch()
    for value in ("scenes", str(tmp_path), str(tmp_path / "cat.jpg")):
        assert looked_up(kind, value, tmp_path) == value
    with pytest.raises(CourseError, match="no such folder or prepared data set, nor a picture"):
        looked_up(kind, str(tmp_path / "dog.jpg"), tmp_path)


def test_no_pictures_is_an_answer_too(tmp_path, data_home):
    assert looked_up("data set or nothing", "", tmp_path) == ""
    assert parameters.Parameter("x", "str", "", "", "data set or nothing").expected() == (
        "nothing, or a data set of `course data list`, a folder or a picture"
    )


@pytest.mark.parametrize("kind", ["model", "model, auto or none"])
def test_networks_of_timm_are_known_by_name(kind, tmp_path):
    assert looked_up(kind, "timm:legacy_xception", tmp_path) == "timm:legacy_xception"
    with pytest.raises(CourseError, match=r"`x` is 'timm:xceptoin41'.*timm's. Did you mean `timm:xception41`.*\?\n"):
        looked_up(kind, "timm:xceptoin41", tmp_path)


@pytest.mark.parametrize("value", ["auto", "half", "unit", "0.5,0.5,0.5 0.25,0.25,0.25", "0.1307 0.3081"])
def test_statistics_are_a_name_or_a_mean_and_a_deviation(value, tmp_path):
    assert looked_up("statistics", value, tmp_path) == value  # commas part no list here


def test_statistics_that_cannot_be_meant_say_how_they_are_written(tmp_path):
    with pytest.raises(CourseError, match="`x` is '123.7,116.3 58'; normalise is .*a mean from 0 to 1 and a deviation"):
        looked_up("statistics", "123.7,116.3 58", tmp_path)
    assert "such as 0.5,0.5,0.5 0.25,0.25,0.25" in parameters.Parameter("x", "str", "", "", "statistics").expected()


def test_weights_may_be_those_that_a_model_brings(tmp_path):
    assert looked_up("weights", "own", tmp_path) == "own"


LOADS = re.compile(r"networks\.(?:load|state_of)\((?!network, str\(path\))[^\n]*")  # the path: an epoch trained here


@pytest.mark.parametrize("path", sorted(Path("notebooks").glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_wherever_weights_are_loaded_the_choice_of_averaged_ones_is_passed_on(path):
    assert {"weights", "average"} <= {p.name for p in parameters.read(path)}
    code = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    loads = [call for source in code for call in LOADS.findall(source)]
    assert loads
    assert [call for call in loads if "average" not in call] == []


def test_a_name_like_no_other_is_told_in_one_sentence(tmp_path):
    with pytest.raises(CourseError, match=r"torchvision's \(timm's are `timm:NAME`\)\.\n"):
        looked_up("model", "zzz", tmp_path)


def test_a_network_of_timm_without_timm_is_refused_with_the_way_to_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CourseError, match=r"missing: pip install -e \.\[timm\]"):
        looked_up("model", "timm:legacy_xception", tmp_path)
    assert looked_up("model", "resnet18", tmp_path) == "resnet18"


def test_variables_in_a_profile_are_filled_in_or_named(monkeypatch):
    monkeypatch.setenv("SOMEWHERE", "there")
    assert settings.expanded(["$SOMEWHERE/x", 3]) == ["there/x", 3]
    monkeypatch.delenv("SOMEWHERE")
    with pytest.raises(CourseError, match="SOMEWHERE is not set"):
        settings.expanded("${SOMEWHERE}/x")


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "not valid YAML"), ("- 1", "expected lines"), (None, "cannot be read")]
)
def test_a_broken_parameter_file_is_named(tmp_path, text, said):
    file = tmp_path / "p.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CourseError, match=said):
        settings.read(file)


def test_a_path_with_a_comma_or_brackets_is_one_path(tmp_path, known):
    (tmp_path / "a, b [2024]").mkdir()
    names = parameters.Parameter("names", "list[str]", ["a"], "")
    assert parameters._listed(names, str(tmp_path / "a, b [2024]")) == [str(tmp_path / "a, b [2024]")]
    assert parameters._listed(names, "[a, b]") == ["a", "b"]


def test_the_command_line_needs_name_and_value():
    assert settings.parse("a=b=c") == ("a", "b=c")
    with pytest.raises(CourseError, match="expected name=value"):
        settings.parse("size")
