"""helpers/figures.py: one call that is a slider in JupyterLab and a row of pictures in a report."""

import pytest
from PIL import Image

from helpers import figures
from helpers.run import Run


@pytest.fixture
def drawn():
    """A function to draw with, and the values it was asked for."""
    asked = []
    return asked, lambda axis, value: asked.append(value) or axis.set_title(str(value))


def test_in_a_report_every_value_is_drawn_into_one_figure(drawn, tmp_path):
    asked, draw = drawn
    run = Run("toy", {}, str(tmp_path))
    figures.slider(run, draw, [5, 10, 20], "steps", label="step", alt="three steps")
    assert asked == [5, 10, 20]
    assert run.results["figures"][0]["alt"] == "three steps"
    width, height = Image.open(tmp_path / "figures" / "steps.png").size
    assert width > 2 * height


def test_in_jupyterlab_the_slider_draws_the_value_it_is_moved_to(drawn, monkeypatch):
    asked, draw = drawn
    made = []
    monkeypatch.setattr(figures.ipywidgets, "interact", lambda function, value: made.append((function, value)))
    monkeypatch.setattr(figures.plt, "show", lambda: None)
    run = Run("toy", {})
    figures.slider(run, draw, [5, 10, 20], "steps", label="step", alt="three steps")
    (move, choice), *_ = made
    assert choice.options == (5, 10, 20)
    assert choice.value == 10
    move(20)
    assert asked == [20]
    assert run.results["figures"] == []
