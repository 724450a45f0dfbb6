"""The page of a notebook's knobs: what it shows, what it refuses, and that shell and YAML give back what was typed."""

import re
import shlex
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers import parameters
from helpers.errors import CourseError
from reports import cli, form, plans, settings

KNOBS = """# Knobs: words and lists
word: str = "a"  # text; any word, <b>not markup</b>
needed: str = "scenes"  # data set; the pictures
names: list[str] = ["one", "two"]  # text; any words
methods: list[str] = ["gradcam"]  # gradcam | lrp | random; the methods
kind: str = "soft"  # soft | hard; one of two"""
NUMBERS = """# Knobs: numbers
n: int = 3  # 1 to 2147483647; how many
rate: float = 0.5  # -1e300 to 1e300; how fast
shares: list[float] = [0.5, 1.0]  # 0 to 1; some shares
sides: list[int] = [8]  # 1 to 99; sides
on: bool = False  # yes | no; whether"""
HOSTILE = [
    "it's \"quoted\"", "$(rm -rf ~)", "`id`", "a;b&c|d>e<f", "-x", "--help", "a=b", "*?[x]", "~", "!!", "\\", "\\n",
    "%41", "yes", "no", "NO", "null", "1", "1e3", "0x1", "1:30", "2026-02-30", ".inf", "=", "<<", "- a", "a: b", "#c",
    "a #c", "[a", "{a: b}", "&a", "*a", "!x", "!!python/object:x", "|", ">", "@", "é 漢字 😀", "\u202ea\u2028b\ufeffc",
    "a\u0085b\xa0c", "</pre><script>window.hacked = 1</script>", "<img src=x onerror='window.hacked = 1'>", " spaces ",
    "x" * 3000, "{{ 7 * 7 }}",
]  # fmt: skip
TYPED = {
    "n": ["3", "+3", " 4 ", "3.0", "1_000", "007", "0", "", "x", "3.5", "1e3", "0x10", "2147483648", "-1", "3."],
    "rate": ["3", "1e-7", ".5", "5.", "1E3", "-0.0", "1e21", "0.1", "0.125", "1e301", "inf", "nan", "", "1,5", "1e"],
    "shares": ["0.5", "0, 1", "0.1,0.2,", "", ",", "0.5 0.6", "2", "a"],
    "sides": ["8,9", "8, 9.0", "0", "100", "8;9"],
    "methods": ["lrp", "random, lrp", "LRP", "lrp|random", ""],
}  # fmt: skip


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("form") / "knobs of 'mine'.ipynb"
    cells = [new_markdown_cell("# Knobs & <b>all</b>")]
    for tag, source in (("parameters-above", KNOBS), ("parameters", NUMBERS)):
        cells.append(new_code_cell(source, metadata={"tags": [tag]}))
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture(scope="module")
def opened(book, chromium):
    """The page in a browser; what it asked for, and what it complained of."""
    file = book.with_name("form.html")
    file.write_text(form.html(book), "utf-8")
    page = chromium.new_page()
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(file.as_uri())
    yield page
    page.close()


def given(page, tmp_path):
    """What the lines for a file say, and what the command says, as `course run` takes them; None where it cannot."""
    file = tmp_path / "knobs.yaml"
    file.write_text(page.text_content("#yaml"), "utf-8")
    words = page.text_content("#command")
    assert "\n" not in words
    if words.startswith("No command line"):
        return settings.read(file), None
    program, act, _, *rest = shlex.split(words)
    assert (program, act, {*rest[::2]} - {"-p"}) == ("course", "run", set())
    return settings.read(file), dict(settings.parse(word) for word in rest[1::2])


def test_there_is_a_field_for_each_knob_with_label_bounds_help_and_default(book):
    soup = BeautifulSoup(form.html(book), "html.parser")
    assert [legend.text for legend in soup.find_all("legend")] == ["Words and lists", "Numbers"]
    fields = {field["data-name"]: field for field in soup.select("[data-name]")}
    assert list(fields) == [p.name for p in parameters.read(book)]
    assert all(soup.find("label", attrs={"for": field["id"]}) for field in fields.values())
    about = soup.find(id="help-n").text
    assert ("how many" in about, "a whole number from 1 to 2147483647" in about, "Default: 3" in about) == (True,) * 3
    assert [option.text for option in fields["kind"].find_all("option")] == ["soft", "hard"]
    assert fields["names"].text.strip() == "one\ntwo"
    assert soup.find("b") is None


def test_every_notebook_of_the_course_has_a_form_with_all_its_knobs():
    for path in plans.notebooks():
        grouped = [p.name for _, knobs in form.groups(path) for p in knobs]
        assert grouped == [p.name for p in parameters.read(path)]
        assert len(BeautifulSoup(form.html(path), "html.parser").select("[data-name]")) == len(grouped)


def test_the_command_writes_the_page_and_says_where(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["form", "00"]) == 0
    assert capsys.readouterr().out.strip() == "00_start_here-form.html"
    assert "course run 00_start_here" in (tmp_path / "00_start_here-form.html").read_text("utf-8")
    assert cli.main(["form", "00", "-o", str(tmp_path)]) == 2
    assert "Name another file" in capsys.readouterr().err


def test_a_form_replaces_a_form_and_nothing_else(tmp_path, capsys):
    (tmp_path / "mine.html").write_text("<title>mine</title>", "utf-8")
    for name, code in (("form.html", 0), ("form.html", 0), ("mine.html", 2)):
        assert cli.main(["form", "00", "-o", str(tmp_path / name)]) == code
    assert "there already, and no form" in capsys.readouterr().err
    assert (tmp_path / "mine.html").read_text("utf-8") == "<title>mine</title>"


@pytest.mark.slow
def test_at_its_defaults_the_command_is_bare_and_the_file_changes_nothing(opened, tmp_path):
    opened.reload()
    assert given(opened, tmp_path) == ({}, {})
    assert "default" in opened.text_content("#said")


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_shell_and_yaml_give_back_what_was_typed(opened, tmp_path, text):
    opened.reload()
    opened.fill("#knob-word", text)
    file, line = given(opened, tmp_path)
    assert file == {"word": text}
    if re.search(r"[\x80-\x9f\u2028]", text):  # a terminal might act on it
        assert line is None
    else:
        assert line == {"word": text}
    assert opened.evaluate("window.hacked") is None


@pytest.mark.slow
def test_lists_of_hostile_texts_come_back_from_the_file_and_from_a_command_that_can_say_them(opened, book, tmp_path):
    opened.reload()
    items = [text.strip() for text in HOSTILE]
    opened.fill("#knob-names", "\n".join(items))
    assert given(opened, tmp_path) == ({"names": items}, None)
    known = [p for p in parameters.read(book) if p.name == "names"]
    for item in items:
        opened.fill("#knob-names", f"{item}\nlast")
        file, line = given(opened, tmp_path)
        assert file == {"names": [item, "last"]}
        if line is not None:
            assert parameters.check("knobs", known, line) == file
    for items in (["a,b"], ["[a]"]):
        opened.fill("#knob-names", "\n".join(items))
        assert given(opened, tmp_path) == ({"names": items}, None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in TYPED.items() for text in texts])
def test_the_form_takes_what_the_notebook_takes_and_gives_the_same_values(opened, book, tmp_path, name, text):
    known = {p.name: p for p in parameters.read(book) if p.name == name}
    opened.reload()
    opened.fill(f"#knob-{name}", text)
    wrong = opened.text_content(f"#wrong-{name}")
    assert (opened.get_attribute(f"#knob-{name}", "aria-invalid") == "true") == bool(wrong)
    try:
        expected = parameters.check("knobs", [*known.values()], {name: text})
    except CourseError:
        assert f"it needs {known[name].expected()}" in wrong
        assert not opened.is_visible("#ways")
        assert opened.get_attribute("#said a", "href") == f"#knob-{name}"
        return
    assert wrong == ""
    file, line = given(opened, tmp_path)
    for values in (file, line):
        assert repr(parameters.check("knobs", [*known.values()], values)) == repr(expected)
    if file:  # of the right type already, not a text that will be read once more
        assert repr(file) == repr(expected)


@pytest.mark.slow
def test_what_must_be_named_is_not_left_empty_and_what_may_be_empty_is_taken(opened, tmp_path):
    opened.reload()
    opened.fill("#knob-needed", " ")
    assert "it needs a data set" in opened.text_content("#wrong-needed")
    opened.reload()
    opened.fill("#knob-word", "")
    opened.select_option("#knob-on", "yes")
    assert given(opened, tmp_path) == ({"word": "", "on": True}, {"word": "", "on": "yes"})
    opened.click("#reset")
    assert given(opened, tmp_path) == ({}, {})


@pytest.mark.slow
def test_the_file_saved_is_the_file_shown(opened):
    opened.reload()
    opened.fill("#knob-word", "50 % é #")
    with opened.expect_download() as saved:
        opened.click("#save")
    assert saved.value.suggested_filename == "knobs of 'mine'.yaml"
    assert settings.read(saved.value.path()) == {"word": "50 % é #"}


@pytest.mark.slow
def test_the_form_asks_nothing_of_the_network_and_fits_a_phone(opened):
    opened.reload()
    opened.set_viewport_size({"width": 390, "height": 800})
    opened.fill("#knob-names", "x" * 500)
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    assert opened.said == []


@pytest.mark.slow
def test_without_scripts_the_form_says_so_and_still_shows_knobs_and_command(book, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    file = book.with_name("still.html")
    file.write_text(form.html(book), "utf-8")
    page.goto(file.as_uri())
    assert page.is_visible("noscript p")
    assert page.is_visible("#knob-n")
    assert page.text_content("#command").startswith("course run '/")
    assert not page.is_visible("#save")
    context.close()
