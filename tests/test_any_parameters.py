"""Any parameters that the knobs allow: a run finishes, or is refused before anything is trained; never a traceback.

Two draws a notebook here; `make fuzz` tries forty.
"""

import random

import matplotlib.pyplot as plt
import pytest
from known import few_faces_for_embedded, few_for_embedded, step_through

from helpers import parameters
from helpers.door import data_root
from helpers.errors import CourseError
from reports import plans

HERE, NIGHTLY = 2, 40
CHANGED = 0.3  # of the knobs without an entry in SMALL
MODELS = ["compact_vgg", "compact_resnet", "compact_alexnet", "compact_xception", "mobilenet_v2", "squeezenet1_1"]
FIXED = ("seed", "device", "weights", "begin", "curve_from", "detector", "detector_weights", "parser_regions")
# What makes a run small, and words that no bound tells: values to draw from
SMALL = {
    "00_start_here": {"tile": [32, 48, 64], "epochs": [1, 2], "model": MODELS},
    "01_focus": {
        "model": [["compact_vgg", "compact_resnet"], *([name] for name in MODELS)],
        "mosaics_per_class": [[1], [2]],
        "layout_mosaics": [6, 10],
        "layout_target": ["", "fish", "snail"],
        "tile": [32, 48, 56],
        "random_draws": [2, 3],
        "cascade_models": [1, 2],
        "cascade_steps": [2, 3],
        "curve_model": ["none", "auto", "compact_vgg"],
        "epochs": [3],
        "seeds": [[0], [0, 1]],
    },
    "02_facex": {
        "model": ["compact_resnet", "compact_resnet_fine", "compact_vgg", "mobilenet_v2"],
        "targets": [["Male=0"], ["Smiling"], ["Male=0", "Young"], ["none"]],
        "attributes": [["Wearing_Lipstick"], ["none"], ["Blond_Hair", "Wearing_Lipstick"]],
        "pairs": [["none"], ["Eyeglasses+Wearing_Hat"]],
        "natural": [["none"], ["Wearing_Lipstick", "Wearing_Necklace"]],
        "rival_target": ["", "Smiling"],
        "mitigate": ["none", "Wearing_Lipstick", "Blond_Hair"],
        "tone": ["none", "skin_tone>=3"],
        "parser": ["none", "train"],
        "parser_epochs": [1],
        "correlation": [0.8, 0.0, 0.99, 1.0],
        "images": [12, 0, 1],
        "size": [64, 96],
        "patch": [16, 8, 1, 15],
        "top": [3, 1, 30],
        "layer": ["", "layer3"],
        "train_size": [64, 48],
        "epochs": [1],
        "seeds": [[0], [0, 1]],
        "reference": [0, -1, 5],
        "training": ["quick", "small"],
        "rival_set": [""],
        "unmasked_set": [""],
    },
    "03_ria": {
        "model": [["compact_resnet"], ["compact_vgg", "compact_resnet"], ["mobilenet_v2"]],
        "batch": [16, 8],
        "size": [48, 64],
        "optimiser": [["adam"], ["sgd"]],
        "lr": [[0.001], [0.01], [1.0]],
        "begin": [["scratch"], ["free"], ["scratch", "frozen"]],
        "warm_up": [1, 2],
        "epochs": [2, 3],
        "lost_size": [96],
        "noise_images": [10, 2],
        "l2": [[50.0], [0.0], [12.5, 50.0]],
        "linf": [[60.0], [0.0, 255.0]],
        "seeds": [[0], [0, 1]],
        "rho": [[0.9, 0.0], [0.9], [0.0]],
        "small": [0.25, 1.0],
        "noise_draws": [1, 2],
    },
    "04_advise": {
        "model": [["compact_vgg"], ["compact_vgg", "compact_resnet"], *([name] for name in MODELS)],
        "layer": [["authors"], ["last"]],
        "size": [[64], [0], [96]],
        "epochs": [1, 2],
        "pictures": [4, 1, 2],
        "examples": [1, 3],
        "bandwidths": [4, 2, 10],
        "noise": [[0.1], [0.0, 0.2], [1.0]],
        "noise_pictures": [2, -1, 0],
        "max_units": [8, 1],
        "lime_samples": [10],
        "lime_segments": [6, 2],
        "partitions": [1, 2],
        "cascade_steps": [2, 1],
        "cascade_pictures": [3, 2],
    },
    "05_debiasing_metrics": {
        "model": ["compact_resnet", "compact_vgg", "mobilenet_v2"],
        "target": ["Smiling", "Male"],
        "protected": [["Wearing_Necktie"], ["Wearing_Hat"]],
        "roi": [["auto"], ["10 20 20 16"]],
        "tagged": [False, True],
        "size": [64, 48],
        "phi": [[-0.5], [0.5], [0.0], [-0.5, 0.5]],
        "batch": [16, 32],
        "epochs": [1],
        "fractions": [[0.3, 0.2, 0.5], [0.3, 0.3, 0.3]],
        "tune_batch": [16, 8],
        "tune_epochs": [1],
        "rounds": [[1, 1], [2, 1]],
        "images": [24, 2],
        "ig_images": [8, 1],
        "ig_steps": [4],
        "layer": ["", "layer3"],
        "seeds": [[0], [0, 1]],
    },
    "06_audit": {
        "dataset": ["scenes", "faces"],
        "target": ["", "Smiling"],
        "attributes": [["auto"], ["none"], ["Wearing_Lipstick"]],
        "place": [["auto"], ["u_lip+l_lip"], ["10 20 20 16"]],
        "model": MODELS,
        "rival": ["none", "auto", "compact_vgg"],
        "plant": [-1.0, 0.9],
        "size": [64, 48],
        "epochs": [1, 2],
        "images": [24, 10],
        "mosaics": [4, 10],
        "explained": [6, 4],
        "random_draws": [1, 2],
        "top": [6, 12],
    },
}


def values_of(knob, rng):
    """A value that the knob allows."""
    bounds = knob.bounds
    if isinstance(bounds, list):
        return rng.sample(bounds, rng.randint(1, min(3, len(bounds)))) if knob.many else rng.choice(bounds)
    if knob.item == "bool":
        return rng.random() < 0.5
    if isinstance(bounds, tuple):
        default = knob.default[0] if knob.many else knob.default
        ends = [bounds[0], default, bounds[1]] if knob.item == "float" else [bounds[0], bounds[0] + 1, default]
        return [rng.choice(ends)] if knob.many else rng.choice(ends)
    return knob.default


def drawn(name, k):
    """The k-th draw for a notebook."""
    rng, given = random.Random(f"{name} {k}"), {}
    for knob in parameters.read(plans.notebook(name)):
        if knob.name in SMALL[name]:
            first, *others = SMALL[name][knob.name]
            given[knob.name] = rng.choice(others) if others and rng.random() < 0.5 else first
        elif knob.name not in FIXED and rng.random() < CHANGED:
            given[knob.name] = values_of(knob, rng)
    return given | ({"protected": ["Tag"], "roi": ["auto"]} if given.get("tagged") else {})  # what tagged=yes asks for


def command(name, given):
    """How a user asks for it."""
    asked = (f"-p '{key}={','.join(map(str, v)) if isinstance(v, list) else v}'" for key, v in given.items())
    return f"course run {name} {' '.join(asked)}"


def told(name, given, folder):
    """`finished`, or why it was refused; raises what a user would see as a traceback."""
    before, answer = trained(), "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_NOTEBOOK", str(plans.notebook(name)))
        patch.setenv("COURSE_RUN_DIR", str(folder))
        try:
            step_through(plans.plan(name, given=given))
        except CourseError as error:
            answer = str(error)
        finally:
            plt.close("all")
    if (
        answer != "finished" and "the training diverged" not in answer and trained() != before
    ):  # only training shows that
        raise AssertionError(f"trained, then refused: {answer}")
    return answer


def trained():
    """Every network that was trained so far."""
    return {*(data_root() / "models").glob("*/weights.safetensors")}


def small_home(home):
    """A place for data where a few small pictures pass for the embedded ones."""
    for name, bias, area in [("scenes", 0.0, 1), ("scenes-bias0.9", 0.9, 1), ("scenes-bias0.9-area0.25", 0.9, 0.25)]:
        few_for_embedded(home, 240, 64, bias, name, area)
    few_faces_for_embedded(home, 480, 64)


@pytest.fixture(scope="session")
def few_pictures(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    small_home(home)
    return home


MARKS = [pytest.mark.slow] * HERE + [pytest.mark.nightly] * (NIGHTLY - HERE)


@pytest.mark.parametrize("k", [pytest.param(k, marks=mark) for k, mark in enumerate(MARKS)])
@pytest.mark.parametrize("name", SMALL)
def test_a_run_finishes_or_is_refused_before_it_trains(name, k, few_pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(few_pictures))
    given = drawn(name, k)
    try:
        told(name, given, tmp_path)
    except Exception as error:
        raise AssertionError(f"{command(name, given)}\n{type(error).__name__}: {error}") from error


OWN = [(name, "dataset") for name in SMALL] + [("04_advise", "images")]


@pytest.mark.parametrize(("name", "knob"), OWN)
def test_pictures_of_ones_own_without_classes_are_not_learnt_from_and_the_way_out_is_told(
    name, knob, album, few_pictures, tmp_path, monkeypatch
):
    monkeypatch.setenv("COURSE_DATA", str(few_pictures))
    said = told(name, {knob: str(album / "cat")}, tmp_path / "run")
    assert str(album / "cat") in said
    assert any(way in said for way in ("Add a folder a class", "attributes.csv", "weights="))


@pytest.mark.parametrize("name", SMALL)
def test_a_draw_is_allowed_by_the_knobs_and_hardly_any_is_drawn_twice(name):
    known = parameters.read(plans.notebook(name))
    draws = [drawn(name, k) for k in range(NIGHTLY)]
    assert len({str(draw) for draw in draws}) > NIGHTLY / 2
    for draw in draws:
        parameters.check(name, known, draw)
