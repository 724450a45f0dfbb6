"""helpers/figures.py and charts.py: labels, chance lines, one scale, whole ticks, nothing clipped; sliders."""

import re

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from PIL import Image

from helpers import figures, sliders, stats
from helpers.run import Run

NAN = float("nan")
LABELS = {"acc": "accuracy (share)", "net": "network", "loss": "loss (nats)"}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def pictures(n=3, side=16):
    return torch.randint(0, 255, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def epochs(seeds=3):
    """A tidy table: two networks, four epochs."""
    rng = np.random.default_rng(0)
    rows = [(net, e, s) for net in ("resnet18", "alexnet") for e in range(1, 5) for s in range(seeds)]
    table = pd.DataFrame(rows, columns=["net", "epoch", "seed"])
    return table.assign(acc=0.5 + 0.1 * table["epoch"] + rng.normal(0, 0.01, len(table)), loss=1 / table["epoch"])


def legend_of(figure):
    (legend,) = figure.legends
    return legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]


def level_lines(axis, value):
    """Lines across the whole axis at a value."""
    return [line for line in axis.lines if len(line.get_ydata()) == 2 and set(line.get_ydata()) == {value}]


# pictures


def test_a_sheet_has_its_titles():
    figure = figures.sheet(pictures(5), ["cat", "dog", "cat", "Wearing_Lipstick_and_Hat", 7], columns=4)
    titles = [axis.get_title() for axis in figure.axes]
    assert len(figure.axes) == 8
    assert titles[:3] == ["cat", "dog", "cat"]
    assert titles[3].replace("\n", " ") == "Wearing Lipstick and Hat"
    assert figure.alt == "5 pictures: cat, dog, Wearing_Lipstick_and_Hat, 7."


@pytest.mark.parametrize("across", [False, True])
def test_no_figure_of_pictures_is_wider_than_a_phone_can_show(across):
    images, maps = pictures(12, 4), torch.ones(12, 4, 4)
    assert figures.sheet(images, columns=12).get_figwidth() == pytest.approx(8)
    assert figures.overlays(images, {str(k): maps for k in range(9)}, across=across).get_figwidth() <= 8.01


def drawn_maps(figure):
    """Drawn maps by column, `(rows, columns)` of AxesImage; the colour bar's axis left out."""
    return [axis.images[1] for axis in figure.axes if len(axis.images) == 2]


def test_maps_of_one_name_share_one_scale_around_zero():
    weak, strong = torch.full((1, 16, 16), 1.0), torch.full((1, 16, 16), -4.0)
    figure = figures.overlays(pictures(2), {"a": torch.cat([weak, strong]), "b": torch.cat([weak, weak])})
    first, b_first, second, _ = drawn_maps(figure)
    assert {image.get_clim() for image in drawn_maps(figure)} == {(-1, 1)}
    assert (first.get_array() == 0.25).all()  # a quarter of the strongest of its name, not of itself
    assert (second.get_array() == -1).all()
    assert (b_first.get_array() == 1).all()
    bar = figure.axes[-1]
    assert bar.get_xlabel() == "relevance for the class\n(1: 99.5th percentile of each column's maps)"
    assert bar.get_xlim() == (-1, 1)


def test_shared_maps_have_one_scale_for_all_names():
    maps = {"baseline": torch.full((2, 16, 16), 1.0), "RIA": torch.full((2, 16, 16), 2.0)}
    first, second, *_ = drawn_maps(figure := figures.overlays(pictures(2), maps, shared=True))
    assert (first.get_array() == 0.5).all()
    assert (second.get_array() == 1).all()
    assert "of all maps" in figure.axes[-1].get_xlabel()


def test_unsigned_maps_begin_at_zero():
    figure = figures.overlays(pictures(2), {"E": torch.rand(2, 16, 16)}, signed=False, label="mask E")
    assert {image.get_clim() for image in drawn_maps(figure)} == {(0, 1)}
    assert figure.axes[-1].get_xlabel().startswith("mask E")


def test_overlays_name_their_columns_and_note_each_map():
    maps = {"Grad-CAM": torch.rand(2, 16, 16), "LRP": torch.rand(2, 16, 16)}
    notes = {"LRP": ["Focus 0.25", "Focus 0.75"]}
    figure = figures.overlays(pictures(2), maps, ["why cat?", "why dog?"], notes)
    titles = [axis.get_title() for axis in figure.axes[:6]]
    assert titles == ["why cat?", "Grad-CAM", "LRP\nFocus 0.25", "why dog?", "", "Focus 0.75"]
    assert "LRP: Focus 0.25, Focus 0.75" in figure.alt


def test_across_a_picture_has_its_maps_below_it():
    figure = figures.overlays(pictures(3), {"E": torch.rand(3, 16, 16)}, ["a", "b", "c"], across=True)
    assert [len(axis.images) for axis in figure.axes[:6]] == [1, 1, 1, 2, 2, 2]
    assert [axis.get_title() for axis in figure.axes[:3]] == ["a", "b", "c"]
    assert figure.axes[3].texts[0].get_text() == "E"


def test_outlines_stand_on_the_columns_asked_for_and_in_a_legend():
    boxes = torch.tensor([[2.0, 2, 9, 9], [NAN] * 4])
    masks = torch.zeros(2, 16, 16)
    masks[:, 4:9, 4:9] = 1
    maps = {"baseline": torch.rand(2, 16, 16), "RIA": torch.rand(2, 16, 16)}
    figure = figures.overlays(pictures(2), maps, outlines={"object": masks, "map's box": {"RIA": boxes}})
    assert legend_of(figure)[1] == ["object", "map's box"]
    assert [len(axis.collections) for axis in figure.axes[:6]] == [1] * 6  # contours of the masks
    assert [len(axis.patches) for axis in figure.axes[:6]] == [0, 0, 1, 0, 0, 0]  # a box of NaN is none
    rectangle = figure.axes[2].patches[0]
    assert (rectangle.get_xy(), rectangle.get_width()) == ((1.5, 1.5), 7)


@pytest.mark.parametrize("values", [torch.zeros(2, 16, 16), torch.full((2, 16, 16), NAN)])
def test_maps_without_values_are_drawn_as_nothing(values):
    figure = figures.overlays(pictures(2), {"E": values})
    assert not np.ma.filled(drawn_maps(figure)[0].get_array(), 0).any()


# charts


def test_lines_are_labelled_with_a_chance_line_and_whole_epochs():
    figure = figures.against(epochs(), "epoch", "acc", by="net", lines=True, chance=0.1, labels=LABELS)
    (axis,) = figure.axes
    figure.canvas.draw()
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("epoch", "accuracy (share)")
    assert legend_of(figure) == ("network", ["resnet18", "alexnet", "band: 95 % interval", "chance"])
    assert level_lines(axis, 0.1)
    assert all(float(tick).is_integer() for tick in axis.get_xticks())
    assert axis.get_ylim()[0] < 0.1
    resnet = epochs().query("net == 'resnet18'").groupby("epoch")["acc"].mean()
    assert f"resnet18 1 {resnet[1]:.2f}" in figure.alt
    assert f"resnet18 4 {resnet[4]:.2f}" in figure.alt
    assert figure.alt.endswith("chance 0.10.")


def test_a_band_is_the_interval_that_a_claim_is_judged_by():
    table = epochs().query("net == 'alexnet'")
    (axis,) = figures.against(table, "epoch", "acc", lines=True).axes
    band = axis.collections[0].get_paths()[0].vertices
    e = stats.mean(table.query("epoch == 1")["acc"])
    assert band[band[:, 0] == 1][:, 1].min() == pytest.approx(e.low)
    assert band[band[:, 0] == 1][:, 1].max() == pytest.approx(e.high)
    of_one = figures.against(epochs(seeds=1), "epoch", "acc", lines=True, by="net")
    assert legend_of(of_one)[1] == ["resnet18", "alexnet"]  # a single training has no band


def test_networks_differ_in_colour_and_marker():
    (axis,) = figures.against(epochs(), "epoch", "acc", by="net").axes
    (points,) = [c for c in axis.collections if isinstance(c, PathCollection) and len(c.get_offsets())]
    assert len({tuple(c) for c in points.get_facecolors()}) == 2
    assert len({path.vertices.tobytes() for path in points.get_paths()}) == 2


def test_two_groupings_are_both_said():
    table = epochs().assign(start=lambda t: np.where(t["seed"] == 0, "scratch", "ImageNet"))
    title, names = legend_of(figures.against(table, "epoch", "acc", by="net", style="start", labels=LABELS))
    assert title == "network (colour), start (marker)"
    assert names == ["resnet18", "alexnet", "scratch", "ImageNet"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), st.floats(-1e3, 1e3))
def test_no_marker_and_no_chance_line_is_cut_by_the_axis(y, chance):
    figure = figures.against(pd.DataFrame({"x": range(len(y)), "y": y}), "x", "y", chance=chance)
    (axis,) = figure.axes
    figure.canvas.draw()
    points = axis.transData.transform([*enumerate(y), (0, chance)])
    inside = axis.get_window_extent()
    radius = np.sqrt(80) / 2 * figure.dpi / 72
    assert (points[:-1, 0] - radius >= inside.x0).all()
    assert (points[:-1, 0] + radius <= inside.x1).all()
    assert (points[:-1, 1] - radius >= inside.y0).all()
    assert (points[:-1, 1] + radius <= inside.y1).all()
    assert inside.y0 <= points[-1, 1] <= inside.y1
    plt.close(figure)


def test_panels_have_their_own_chance():
    figure = figures.against(epochs(), "epoch", ["acc", "loss"], by="net", chance={"acc": 0.5}, labels=LABELS)
    accuracy, loss = figure.axes
    assert (accuracy.get_ylabel(), loss.get_ylabel()) == ("accuracy (share)", "loss (nats)")
    assert level_lines(accuracy, 0.5)
    assert not level_lines(loss, 0.5)
    each = figures.spread(epochs(), "net", "acc", each="seed", chance={"seed 1": 0.5, "seed 2": 0.25})
    assert [axis.get_title() for axis in each.axes] == ["seed 0", "seed 1", "seed 2", ""]
    assert [bool(level_lines(axis, 0.5)) for axis in each.axes] == [False, True, False, False]


def test_several_levels_are_named():
    levels = {"chance of the Focus": 0.5, "chance of the accuracy": 0.1}
    figure = figures.against(epochs(), "epoch", "acc", lines=True, band=False, chance=levels)
    assert legend_of(figure)[1] == list(levels)
    assert figure.alt.endswith("chance of the Focus 0.50, chance of the accuracy 0.10.")


def test_boxes_lie_down_when_their_names_are_long():
    (upright,) = figures.spread(epochs(), "net", "acc", by="epoch", chance=0.5, labels=LABELS).axes
    assert (upright.get_xlabel(), upright.get_ylabel()) == ("network", "accuracy (share)")
    assert level_lines(upright, 0.5)
    long = epochs().assign(net=lambda t: t["net"] + " that was trained on balanced faces")
    figure = figures.spread(long, "net", "acc", chance=0.5, labels=LABELS)
    (lying,) = figure.axes
    assert (lying.get_xlabel(), lying.get_ylabel()) == ("accuracy (share)", "network")
    assert "alexnet that was trained on balanced faces 0.7" in figure.alt


def test_names_lie_in_a_narrow_panel_sooner_than_in_a_wide_figure():
    values = dict.fromkeys(["Vanilla", "ThrOpt", "ZhangAL", "A-ClArC"], 0.5)
    assert figures.bars(values, label="wide").axes[0].get_ylabel() == "wide"
    _, axes = plt.subplots(1, 3, figsize=(8, 3), sharey=True)
    for axis in axes:
        assert figures.bars(values, label="narrow", ax=axis).get_xlabel() == "narrow"
        assert axis.yaxis_inverted()  # the first name on top


def test_bars_have_the_estimates_interval_and_say_so():
    e = stats.share(8, 10, chance=0.5)
    figure = figures.bars({"men": e, "women": 0.25}, label="accuracy (share)")
    (axis,) = figure.axes
    assert axis.get_ylabel() == "accuracy (share)\n(lines: 95 % interval)"
    (_, _, (lines,)) = axis.containers[0].lines
    assert np.allclose(lines.get_segments()[0][:, 1], [e.low, e.high])
    assert [p.get_height() for p in axis.patches] == [0.8, 0.25]
    assert figure.alt == f"Bars of accuracy (share): men {e}, women 0.25."
    same = figures.bars({"men": e, "women": e}, label="F")
    assert level_lines(same.axes[0], 0.5)  # the chance that all of them have


@pytest.mark.parametrize("name", ["a", "a name so long that bars lie down"])
def test_a_bar_of_nothing_and_a_missing_one_are_marked(name):
    values = {f"{name} {k}": v for k, v in {"x": 0.0, "y": NAN, "z": 1.0, "w": -2.8e-17}.items()}
    (axis,) = figures.bars(values, label="F").axes
    assert [text.get_text() for text in axis.texts if text.get_text()] == ["0", "–", "0"]


def test_bars_of_groups_differ_in_colour_and_hatch():
    figure = figures.bars({"men": {"tied": 0.1, "balanced": 0.2}, "women": {"tied": 0.3}}, chance=0.5, label="accuracy")
    (axis,) = figure.axes
    assert legend_of(figure) == ("", ["chance", "tied", "balanced"])
    assert len({p.get_facecolor() for p in axis.patches}) == 2
    assert len({p.get_hatch() for p in axis.patches}) == 2
    assert [t.get_text() for t in axis.texts if t.get_text()] == ["–"]  # women, balanced
    assert figure.alt == "Bars of accuracy: men tied 0.10, men balanced 0.20, women tied 0.30; chance 0.50."


def test_the_legend_of_grouped_bars_says_what_the_groups_are():
    figure = figures.bars({"men": {"tied": 0.1, "balanced": 0.2}}, label="accuracy", by="trained on")
    assert legend_of(figure) == ("trained on", ["tied", "balanced"])


@pytest.mark.parametrize("name", ["a", "a name so long that bars lie down"])
def test_the_mark_of_a_tiny_negative_bar_covers_no_name(name):
    (axis,) = figures.bars({name: -4e-4, f"{name} 2": 0.5, f"{name} 3": -0.3}, label="gain").axes
    axis.figure.canvas.draw()
    (mark,) = [text for text in axis.texts if text.get_text()]
    assert mark.get_text() == "-0.0004"
    zero, at = axis.transData.transform((0, 0)), mark.get_window_extent()
    assert at.x0 > zero[0] if axis.yaxis_inverted() else at.y0 > zero[1]  # on the side where no names stand


@pytest.mark.parametrize("y", [[0.97601, 0.97602, 0.976], [1e4, 1e4 + 0.1, 1e4 + 0.2], [0.5, 0.5 + 1e-9, 0.5]])
def test_ticks_can_be_read_without_an_offset_and_what_hardly_moves_is_level(y):
    figure = figures.against(pd.DataFrame({"x": [1, 2, 3], "y": y}), "x", "y", lines=True)
    figure.canvas.draw()
    (axis,) = figure.axes
    assert axis.yaxis.get_offset_text().get_text() == ""
    low, high = axis.get_ylim()
    assert low < min(y) <= max(y) < high
    assert max(y) - min(y) < 0.1 * (high - low)


def test_panels_that_share_an_axis_are_not_cut_to_the_one_that_hardly_moves():
    table = pd.DataFrame({"x": [1, 2] * 2, "y": [0.97601, 0.97602, 0.2, 0.9], "net": ["a", "a", "b", "b"]})
    low, high = figures.against(table, "x", "y", lines=True, each="net").axes[0].get_ylim()
    assert low < 0.2 < 0.976 < high


def test_a_histogram_says_its_shares_in_per_cent():
    figure = figures.histogram(
        {"trained": [0.9, 0.95, 0.3, NAN], "random": []}, [0, 0.5, 1], 0.5, label="Focus", of="mosaics"
    )
    (axis,) = figure.axes
    figure.canvas.draw()
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("Focus", "share of mosaics (%)")
    assert np.allclose(axis.patches[0].get_data().values, [1 / 3, 2 / 3])
    assert "60" in [tick.get_text() for tick in axis.get_yticklabels()]
    assert legend_of(figure)[1] == ["trained, mean 0.72", "random, no values", "chance"]
    assert figure.alt == "Histograms of Focus: trained, mean 0.72; random, no values; chance 0.50."


TABLES = {
    "no rows": epochs()[:0],
    "no values": epochs().assign(acc=NAN),
    "some values": epochs().assign(acc=lambda t: t["acc"].where(t["seed"] > 0)),
    "one row": epochs()[:1],
    "all the same": epochs().assign(acc=1.0),
}


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_missing_single_and_equal_values_are_drawn_as_they_are(table):
    for lines in (False, True):
        figures.against(table, "epoch", "acc", by="net", lines=lines, chance=0.5).canvas.draw()
        figures.against(table, ["epoch", "loss"], "acc", lines=lines).canvas.draw()
    for more in ({}, {"by": "net"}, {"each": "seed"}):
        figure = figures.spread(table, "epoch", "acc", **more)
        figure.canvas.draw()
        assert figure.alt


def test_a_chart_without_values_says_so():
    (axis,) = figures.against(TABLES["no rows"], "epoch", "acc", by="net").axes
    assert [text.get_text() for text in axis.texts] == ["no values"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("epoch", "acc")


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("values", [{}, {"a": NAN}, {"a": stats.mean([])}, {"a": stats.mean([1.0], of="trainings")}])
def test_bars_and_histograms_of_nothing(values):
    figures.bars(values, label="F").canvas.draw()
    figures.histogram({name: [] for name in values}, label="F").canvas.draw()
    figures.histogram({name: [1.0] for name in values}, label="F").canvas.draw()


def test_an_axis_that_is_given_is_drawn_on_and_described():
    figure, (left, right) = plt.subplots(1, 2)
    assert figures.histogram({"trained": [0.25, 0.5]}, chance=0.1, label="Focus", ax=left) is left
    assert figures.bars({"men": {"tied": 0.5}}, chance=0.1, label="F", ax=right) is right
    assert legend_of(figure)[1] == ["trained, mean 0.38", "chance", "tied"]  # one for all panels, covering none
    assert figure.alt.startswith("Histograms of Focus: trained, mean 0.38; chance 0.10.")
    assert figure.alt.endswith("Bars of F: men tied 0.50; chance 0.10.")


LABELLED = {
    "against": lambda t: figures.against(t, "epoch", ["acc", "loss"], by="net"),
    "spread": lambda t: figures.spread(t, "net", "acc"),
    "lying": lambda t: figures.spread(t.assign(net=t["net"] + 40 * "x"), "net", "acc"),
    "bars": lambda t: figures.bars(t.groupby("net")["acc"].mean().to_dict(), label="accuracy (share)"),
    "histogram": lambda t: figures.histogram({"all": t["acc"]}, label="accuracy (share)"),
}


@pytest.mark.parametrize("draw", LABELLED.values(), ids=LABELLED)
def test_every_axis_of_numbers_says_what_they_are(draw):
    figure = draw(epochs())
    figure.canvas.draw()
    for axis in figure.axes:
        for side in (axis.xaxis, axis.yaxis):
            numbers = all(re.fullmatch(r"[−\d.]+", t.get_text()) for t in side.get_ticklabels() if t.get_text())
            assert side.get_label_text() or not numbers


def test_numbers_and_estimates_in_words():
    e = stats.share(8, 10)
    assert figures.in_words({"a": 0.125, ("b", 2): e, "c": NAN}, 1) == f"a 0.1, b 2 {e}, c undefined"
    assert figures.in_words([1, 2], 0) == "1 1, 2 2"


# sliders


@pytest.fixture
def drawn():
    """A function to draw with, and the values it was asked for."""
    asked = []

    def draw(figure, step, κ):
        asked.append((step, κ))
        figure.subplots().add_patch(plt.Rectangle((0, 0), 0.5, 0.5, gid="two"))
        return f"step {step}, κ {κ}"

    return asked, draw


KNOBS = {"step": ["one", "two"], "κ": [5, 10, 20]}
FRAMES = [("one", 10), ("two", 20)]


def test_in_a_report_every_frame_is_drawn_into_one_figure_and_described(drawn, tmp_path):
    asked, draw = drawn
    run = Run("toy", {}, str(tmp_path))
    figures.sliders(run, draw, KNOBS, "steps", frames=FRAMES, alt="Two steps")
    assert asked == FRAMES
    assert run.results["figures"][0]["alt"] == "Two steps. step one, κ 10; step two, κ 20"
    width, height = Image.open(tmp_path / "figures" / "steps.png").size
    assert width > 1.5 * height


@pytest.fixture
def moved(drawn, monkeypatch):
    """The knobs of sliders in JupyterLab by name, and all that was shown."""
    _, draw = drawn
    shown = []
    monkeypatch.setattr(sliders, "display", shown.append)
    figures.sliders(Run("toy", {}), draw, KNOBS, "steps", frames=FRAMES, alt="Two steps")
    (box,) = [one for one in shown if isinstance(one, ipywidgets.VBox)]
    return {knob.description: knob for knob in box.children[0].children}, shown


def test_in_jupyterlab_words_are_buttons_numbers_sliders_and_both_begin_with_the_first_frame(moved):
    knobs, _ = moved
    assert {name: (type(knob), knob.value) for name, knob in knobs.items()} == {
        "step": (ipywidgets.ToggleButtons, "one"),
        "κ": (ipywidgets.SelectionSlider, 10),
    }


def test_a_knob_that_is_moved_draws_its_value_and_says_it(moved, drawn):
    (asked, _), (knobs, shown) = drawn, moved
    knobs["κ"].value = 20
    assert asked[-1] == ("one", 20)
    assert 'alt="step one, κ 20"' in shown[-1].data
    assert '<p aria-live="polite">step one, κ 20</p>' in shown[-1].data


def test_the_axes_stay_where_they_are_whatever_their_titles(monkeypatch):
    shown, drawn = [], []
    monkeypatch.setattr(sliders, "display", shown.append)

    def draw(figure, rows):
        figure.subplots().set_title("\n" * rows)
        drawn.append(figure)
        return f"{rows} rows"

    figures.sliders(Run("toy", {}), draw, {"rows": [0, 9]}, "rows", alt="Titles")
    (box,) = [one for one in shown if isinstance(one, ipywidgets.VBox)]
    box.children[0].children[0].value = 9
    first, last = (figure.axes[0].get_position().bounds for figure in (drawn[0], drawn[-1]))
    assert first == last


def test_what_is_drawn_with_the_name_of_a_button_can_be_clicked(moved):
    _, shown = moved
    assert "<title>two</title>" in shown[0].data
    assert "onclick" in shown[0].data


def test_a_saved_notebook_has_the_frames_in_a_fold_while_its_kernel_is_off(moved):
    _, shown = moved
    assert shown[-1].data.startswith("<details>")
    assert '<img alt="Two steps. step one' in shown[-1].data


def test_without_ipywidgets_the_frames_are_all_there_is(drawn, monkeypatch):
    asked, draw = drawn
    monkeypatch.setattr(sliders, "ipywidgets", None)
    run = Run("toy", {})
    figures.sliders(run, draw, KNOBS, "steps", frames=FRAMES, alt="Two steps")
    assert asked == FRAMES
    assert [one["name"] for one in run.results["figures"]] == ["steps"]
