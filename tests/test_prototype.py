"""The prototype: what its drawing and its list say about the numbers."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from data_scripts.drawn.prototype import GOLD, REGIONS, WORN, human, outlines, prototype, prototypes, ranked

LIPS = {region: 0.1 + 0.01 * k for k, region in enumerate(REGIONS)} | {"u_lip": 0.8, "l_lip": 0.9, "background": 0.05}
NAN = float("nan")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def artists(figure, label, kind="patches"):
    return [artist for axes in figure.axes for artist in getattr(axes, kind) if artist.get_label() == label]


def coloured(figure, region):
    """The region where its number is shown: on the head with hat and glasses for these, else on the face."""
    return artists(figure, region)[-1 if region in WORN else 0]


def words(figure):
    texts = [text for axes in figure.axes for text in axes.texts] + list(figure.texts)
    return [text.get_text() for text in texts]


def hatched(figure):
    return [patch for axes in figure.axes for patch in axes.patches if patch.get_hatch()]


def test_the_two_heads_show_every_region_between_them():
    assert set(outlines(False)) == set(REGIONS) - {"background", *WORN}
    assert set(WORN) <= set(outlines(True))


@pytest.mark.parametrize("worn", [False, True])
def test_the_drawing_is_symmetric_and_left_is_on_the_viewers_right(worn):
    paths = outlines(worn)
    for region in ("skin", "hair", "nose", "mouth", "u_lip", "l_lip", "neck", "cloth"):
        low, high = paths[region].vertices[:, 0].min(), paths[region].vertices[:, 0].max()
        assert low == pytest.approx(-high, abs=0.01), region  # a pixel of the mask is 0.005
    for part in ("eye", "brow", "ear"):
        left, right = (paths[side + part].vertices for side in ("l_", "r_"))
        assert left[:, 0].min() > 0
        np.testing.assert_allclose(left.min(0), [-right[:, 0].max(), right[:, 1].min()], atol=0.01)


def test_the_outlines_are_computed_once():
    assert outlines(False) is outlines(False)


def test_the_highest_region_is_the_warmest_and_the_lowest_the_coldest():
    figure, coolwarm = prototype(LIPS), plt.get_cmap("coolwarm")
    assert to_hex(coloured(figure, "l_lip").get_facecolor()) == to_hex(coolwarm(1.0))
    assert to_hex(coloured(figure, "background").get_facecolor()) == to_hex(coolwarm(0.0))


def test_the_bar_of_a_region_has_the_colour_of_its_drawing():
    figure = prototype(LIPS)
    for region in REGIONS:
        [bar] = artists(figure, f"bar {region}")
        assert to_hex(bar.get_facecolor()) == to_hex(coloured(figure, region).get_facecolor()), region


def test_hat_and_glasses_alone_are_coloured_on_the_second_head():
    figure = prototype(LIPS)
    second = {patch.get_label(): to_hex(patch.get_facecolor()) for patch in figure.axes[1].patches}
    assert {region for region in REGIONS[1:] if second.get(region, "#ffffff") != "#ffffff"} == set(WORN)


def test_the_legend_has_the_raw_range():
    assert {"0.050", "0.900"} <= set(words(prototype(LIPS)))


@pytest.mark.parametrize("absent", [{"hat": NAN, "nose": NAN}, {}])
def test_a_region_that_is_nan_or_missing_is_hatched_and_unranked(absent):
    values = {region: v for region, v in LIPS.items() if region not in ("hat", "nose")} | absent
    figure = prototype(values)
    assert len(hatched(figure)) == 2
    assert words(figure).count("absent") == 2
    assert not artists(figure, "bar hat")
    assert not hatched(prototype(LIPS))


def test_a_marked_region_is_outlined_and_its_name_bold():
    figure = prototype(LIPS, mark=("u_lip",))
    [line] = artists(figure, "mark u_lip")
    assert to_hex(line.get_edgecolor()) == GOLD
    bold = {text.get_text() for text in figure.axes[-1].texts if text.get_weight() == "bold"}
    assert bold == {"upper lip", "0.800"}
    assert not artists(figure, "mark l_lip")


def test_the_list_runs_from_the_highest_to_the_lowest():
    texts = prototype(LIPS).axes[-1].texts
    names = [text.get_text() for text in texts if text.get_label().startswith("name ")]
    assert names == [human(region) for region in sorted(LIPS, key=LIPS.get, reverse=True)]


def test_equal_values_share_the_better_rank_and_nan_has_none():
    rows = ranked({"a": 0.2, "b": 0.5, "c": NAN, "d": 0.5, "e": 0.1})
    assert [(rank, region) for rank, region, _ in rows] == [(1, "b"), (1, "d"), (3, "a"), (4, "e"), (None, "c")]


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=3), st.floats(allow_infinity=False), max_size=8))
def test_every_region_is_listed_once_and_those_with_a_number_first(values):
    rows = ranked(values)
    assert sorted(region for _, region, _ in rows) == sorted(values)
    ranks = [rank for rank, *_ in rows]
    numbers = [rank for rank in ranks if rank]
    assert ranks == sorted(numbers) + [None] * (len(ranks) - len(numbers))


def test_the_list_says_in_how_many_images_a_region_was():
    assert {"images", "1,234", "7"} <= set(words(prototype(LIPS, {"skin": 1234, "hat": 7})))
    assert "images" not in words(prototype(LIPS))


def test_regions_of_another_protocol_are_listed_without_a_drawing():
    figure = prototype({"front_wheel": 0.4, "door": -0.1, "roof": NAN}, mark=("door",))
    assert {"front wheel", "door", "roof", "-0.100", "absent"} <= set(words(figure))
    assert not artists(figure, "skin")


def test_a_mixed_protocol_draws_what_is_known_and_lists_what_is_given():
    figure = prototype({"skin": 0.4, "hair": 0.2, "beard": 0.9})
    names = [text.get_text() for text in figure.axes[-1].texts if text.get_label().startswith("name ")]
    assert names == ["beard", "skin", "hair"]
    assert to_hex(coloured(figure, "nose").get_facecolor()) == "#ffffff"
    assert not hatched(figure)


@pytest.mark.parametrize("value", [0.0, 0.25, NAN])
def test_a_flat_or_empty_profile_is_drawn_without_a_warning(value):
    flat = dict.fromkeys(REGIONS, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prototype(flat).canvas.draw()
        prototypes({"flat": flat, "other": {"wheel": value}}).canvas.draw()


def test_no_text_leaves_the_figure_or_meets_another():
    figure = prototype(LIPS | {"hat": NAN}, dict.fromkeys(REGIONS, 12345), title="A title", mark=("neck_l", "mouth"))
    figure.canvas.draw()
    texts = [text for text in figure.findobj(plt.Text) if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert figure.bbox.containsx(box.x0), text
        assert figure.bbox.containsx(box.x1), text
        assert figure.bbox.containsy(box.y0), text
        assert sum(box.overlaps(other) for other in boxes) == 1, text


def test_each_of_several_has_its_own_range_marks_and_note():
    other = {region: 3 * v for region, v in LIPS.items()} | {"eye_g": 5.0}
    figure = prototypes({"one": LIPS, "two": other}, mark={"two": ("eye_g",)}, notes={"two": "rank 1 · control 5"})
    assert {"one", "two", "rank 1 · control 5", "0.050", "0.900", "0.150", "5.000"} <= set(words(figure))
    assert len(artists(figure, "mark eye_g")) == 1
    assert figure.get_figwidth() <= 10


def test_an_unknown_mark_and_nothing_to_draw_say_what_is_wrong():
    with pytest.raises(ValueError, match="mark: lips"):
        prototype(LIPS, mark=("lips",))
    with pytest.raises(ValueError, match="empty"):
        prototype({})
    with pytest.raises(ValueError, match="empty"):
        prototypes({})
