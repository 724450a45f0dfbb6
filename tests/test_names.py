"""Names of files and classes as people have them: other bytes, `$`, newlines, other scripts, very long ones."""

import os
import unicodedata
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import fontManager
from PIL import Image

from helpers import figures, lettering
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.files import named, readable
from helpers.run import Run
from reports.cli import main
from reports.prose import markdown

NAMES = [
    b"h\xe4user",
    b"\xff\xfe",
    b"a\nb",
    b"tab\there",
    b"a$b_$c",
    b"a: b",
    "猫".encode(),
    "قط".encode(),
    "Möwe".encode(),
    b"x" * 200,
]


@pytest.fixture
def odd(tmp_path, data_home):
    """A folder whose classes and pictures have such names."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(NAMES):
        folder = os.path.join(os.fsencode(tmp_path / "odd"), name)
        os.makedirs(folder)
        for k in range(2):
            array = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(array).save(Path(os.fsdecode(folder)) / f"{os.fsdecode(name)}{i}{k}.png")
    return tmp_path / "odd"


@given(st.binary(min_size=1).filter(lambda b: b"\0" not in b and b"\\" not in b))
def test_a_readable_name_leads_back_to_its_file(raw):
    path = Path(os.fsdecode(raw))
    text = readable(path)
    assert text.encode("utf-8").decode("utf-8") == text
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and ord(c) < 128]
    assert named(Path(text)) == path


def test_pictures_of_any_name_are_read(odd):
    photos = data.load(odd)
    assert len(photos) == 2 * len(NAMES)
    assert photos.images(range(len(photos)), 12).float().std() > 60
    assert {r"h\xe4user", r"a\x0ab", "a$b_$c", "猫", "قط", "Möwe"} <= set(photos.classes)
    for text in [*photos.classes, *photos.table["image"]]:
        text.encode("utf-8")
        assert "\n" not in text


def test_errors_name_a_file_so_that_it_can_be_read(odd, capsys):
    for name in NAMES[:6]:
        (odd / os.fsdecode(name) / f"{os.fsdecode(name)}bad.png").write_bytes(b"")
    with pytest.raises(CourseError) as caught:
        data.load(odd)
    lines = str(caught.value).split("\n")
    assert f"{odd}/a: b/a: bbad.png: the file is empty (0 bytes)" in lines
    assert f"{odd}/h\\xe4user/h\\xe4userbad.png: the file is empty (0 bytes)" in lines
    assert f"{odd}/a\\x0ab/a\\x0abbad.png: the file is empty (0 bytes)" in lines
    assert len(lines) == 6 + 2  # with the ways out
    skipped = data.load(odd, on_bad="skip").skipped
    assert (f"{odd}/a: b/a: bbad.png", "the file is empty (0 bytes)") in skipped
    assert len(skipped) == 6


def test_folders_of_such_names_are_readable_where_they_are_not_understood(tmp_path, data_home):
    for name in (b"train/cat", b"h\xe4user"):
        os.makedirs(os.path.join(os.fsencode(tmp_path / "mine"), name))
    for place in ("train/cat", os.fsdecode(b"h\xe4user")):
        Image.new("RGB", (8, 8)).save(tmp_path / "mine" / place / "0.png")
    with pytest.raises(CourseError, match=r"h\\xe4user/ is no name of a split"):
        data.load(tmp_path / "mine")


def test_a_data_set_with_such_a_name_itself_is_to_be_renamed(odd, tmp_path):
    for raw in (b"h\xe4user", b"a\nb"):
        with pytest.raises(CourseError, match=r"h\\xe4user|a\\x0ab.*rename it"):
            data.load(odd / os.fsdecode(raw))


def test_tables_beside_images_find_a_picture_by_its_readable_name(tmp_path, data_home):
    (tmp_path / "flat" / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "flat" / "images" / os.fsdecode(b"h\xe4user.png"))
    (tmp_path / "flat" / "labels.csv").write_text("file,label\nh\\xe4user.png,house\n")
    assert data.load(tmp_path / "flat").classes == ["house"]


def test_a_converted_folder_has_readable_names(odd, tmp_path):
    assert main(["data", "convert", str(odd), str(tmp_path / "new")]) == 0
    old, new = data.load(odd), data.load(tmp_path / "new")
    assert sorted(new.table["image"]) == sorted(old.table["image"])
    assert (tmp_path / "new" / r"h\xe4user").is_dir()


def test_a_run_keeps_such_names_in_its_results(odd, tmp_path):
    run = Run("x", {}, str(tmp_path / "run"))
    photos = run.data(data.load(odd))
    run.table(pd.DataFrame({"class": photos.classes}), "classes")
    assert "a$b_$c" in (tmp_path / "run" / "tables" / "classes.csv").read_text(encoding="utf-8")


SIGNS = ["a$b_$c", "__MACOSX/ and __pycache__/", "<b>bold</b>", "x_1_y", "5 $ and 6 $", "_a_ `on_bad` _b_"]


@pytest.mark.parametrize("text", SIGNS)
def test_notes_and_answers_show_names_as_they_are(text):
    page = BeautifulSoup(str(markdown(lettering.literal(f"{text}: {text}"), {}, {})), "html.parser")
    assert page.get_text().strip() == f"{text}: {text}".replace("`", "")
    assert not page.find(["math", "em", "b", "strong"])


def test_a_run_shows_its_notes_and_answer_so(monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.run.display", lambda one: shown.append(one.data))
    run = Run("x", {})
    run.note("a$b_$c")
    run.answer("a$b_$c, `on_bad`")
    assert shown == [r"> a\$b\_\$c", r"**a\$b\_\$c, `on_bad`**"]
    assert (run.results["notes"], run.results["answer"]) == (["a$b_$c"], "a$b_$c, `on_bad`")  # kept as they are


# in figures ----------------------------------------------------------------------------------------------------------

DOLLARS = ["a$b_$c", "$100 bill", "x$y$z", r"US\$", "$", "^{$_{"]
LONG = "0123456789abcdef" * 15


def drawn(figure) -> list[str]:
    """All that stands in a figure once it is drawn, which fails where a name is taken for mathematics."""
    figure.canvas.draw()
    return [t.get_text().replace(r"\$", "$") for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


@pytest.fixture
def table():
    """Three values for each class of an odd name."""
    names = [name for name in (*DOLLARS, LONG) for _ in range(3)]
    return pd.DataFrame({"class": names, "value": np.arange(len(names)) / 10, "step": [0, 1, 2] * (len(names) // 3)})


IMAGES = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
MAPS = torch.rand(2, 16, 16)
MASKS = MAPS > 0.5


@pytest.mark.parametrize("name", DOLLARS)
@pytest.mark.parametrize(
    "draw",
    [
        lambda name: figures.sheet(IMAGES, [name, f"{name} and {name}"]),
        lambda name: figures.overlays(IMAGES, {name: MAPS}, [name] * 2, {name: [name] * 2}, outlines={name: MASKS}),
        lambda name: figures.overlays(IMAGES, {name: MAPS}, [name, name], across=True),
        lambda name: figures.bars({name: 0.2, "other": {name: 0.3}}, label="share"),
        lambda name: figures.bars({name: {name: 0.3, "b": 1.0}}, label="share"),
        lambda name: figures.histogram({name: [1, 2, 3.0]}, label="value"),
        lambda name: figures.spread(pd.DataFrame({"c": [name] * 3, "v": [1, 2, 3]}), "c", "v", by="c"),
        lambda name: figures.against(pd.DataFrame({"c": [name] * 3, "v": [1, 2, 3]}), "v", "v", by="c", each="c"),
        lambda name: figures.against(pd.DataFrame({"c": [name] * 3, "v": [1, 2, 3]}), "c", "v"),
    ],
    ids=["sheet", "overlays", "across", "bars", "groups", "histogram", "spread", "against", "by class"],
)  # fmt: skip
def test_a_dollar_in_a_name_is_a_dollar(draw, name):
    figure = draw(name)
    words = drawn(figure)
    assert any(name.replace(r"\$", "$") in " ".join(text.split()) for text in words)
    assert r"\$" not in figure.alt.replace(r"US\$", "")
    plt.close(figure)


def test_a_dollar_in_a_title_of_one_picture_is_a_dollar():
    figure, axes = figures.grid(1, 2)
    figures.picture(axes[0, 0], IMAGES[0], "a$b_$c")
    figures.overlay(axes[0, 1], IMAGES[0], MAPS[0], "a$b_$c")
    assert drawn(figure).count("a$b_$c") == 2


def test_mathematics_that_is_meant_stays_mathematics():
    figure = figures.against(pd.DataFrame({"k": [1, 2], "v": [1, 2]}), "k", "v", labels={"k": "stiffness $\\gamma$"})
    assert figure.axes[0].get_xlabel() == "stiffness $\\gamma$"


@pytest.mark.parametrize("name", [LONG, "very long name " * 16, "猫" * 120])
def test_titles_of_very_long_names_are_shortened_and_do_not_overlap(name):
    figure = figures.sheet(torch.cat([IMAGES, IMAGES]), [name, name, "b", name], columns=2)
    figure.canvas.draw()
    boxes = [axis.title.get_window_extent() for axis in figure.axes[:4]]
    pictures = [axis.get_window_extent() for axis in figure.axes[:4]]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in (*boxes[:i], *pictures))
    assert any("…" in text for text in drawn(figure))


def test_a_very_long_title_stays_below_the_legend():
    figure = figures.overlays(IMAGES, {}, [LONG, "cat"], outlines={"target": MASKS}, across=True)
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert not any(axis.title.get_window_extent().overlaps(legend) for axis in figure.axes)


def test_charts_of_very_long_names_keep_room_for_what_they_show(table):
    for figure in (
        figures.spread(table, "class", "value"),
        figures.against(table, "step", "value", by="class", lines=True),
        figures.bars(dict(zip(table["class"], table["value"], strict=True)), label="value"),
        figures.histogram({name: part["value"] for name, part in table.groupby("class")}, label="value"),
    ):
        figure.canvas.draw()
        axis = figure.axes[0].get_window_extent()
        assert axis.width > 0.4 * figure.bbox.width
        assert axis.height > 0.3 * figure.bbox.height
        plt.close(figure)


def test_names_that_are_shortened_alike_stay_two(table):
    one, other = "a" * 100 + "1" + "a" * 100, "a" * 100 + "2" + "a" * 100
    figure = figures.bars({one: 0.2, other: 0.4}, label="share")
    assert sorted(round(patch.get_width(), 1) for patch in figure.axes[0].patches) == [0.2, 0.4]


@pytest.fixture
def cat_font(tmp_path, monkeypatch):
    """An installed font of one letter that the usual font has not."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord("猫"): "cat"})
    pen = TTGlyphPen(None)
    for point in ((0, 0), (0, 700), (700, 700), (700, 0)):
        (pen.lineTo if point != (0, 0) else pen.moveTo)(point)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "cat": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "cat": (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Cat Sans", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cat.ttf")
    monkeypatch.setattr(fontManager, "ttflist", [f for f in fontManager.ttflist if f.name.startswith("DejaVu")])
    fontManager.addfont(tmp_path / "cat.ttf")
    with matplotlib.rc_context():
        yield "Cat Sans"


def test_an_installed_font_that_has_the_letters_is_used(cat_font, recwarn):
    assert lettering.fonts("猫 and dog") == []
    assert matplotlib.rcParams["font.family"][-1] == cat_font
    figures.sheet(IMAGES, ["猫", "dog"]).canvas.draw()
    assert [str(w.message) for w in recwarn if "Glyph" in str(w.message)] == []
    assert lettering.fonts("猫 and dog") == []
    assert matplotlib.rcParams["font.family"].count(cat_font) == 1


def test_letters_that_no_font_has_are_told(cat_font, album, tmp_path):
    (album / "cat").rename(album / "猫 or 犬")
    run = Run("x", {}, str(tmp_path / "run"))
    run.data(data.load(album))
    (note,) = run.results["notes"]
    assert note.startswith("No installed font has 犬: figures show boxes in their places. Install one")


def test_usual_names_change_no_font():
    with matplotlib.rc_context():
        before = matplotlib.rcParams["font.family"]
        assert lettering.fonts("".join(map(chr, range(32, 127))) + "äöüßéñŁ") == []
        assert matplotlib.rcParams["font.family"] == before
