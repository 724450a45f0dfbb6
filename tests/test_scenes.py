import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from data_scripts.drawn.backgrounds import BACKGROUNDS
from data_scripts.drawn.scenes import CLASSES, OWN_BACKGROUND, box_of, prepare, scene, swapped_background
from data_scripts.drawn.shapes import posed, random_palette
from data_scripts.drawn.things import OBJECTS


@pytest.fixture(scope="module")
def drawn():
    """500 unbiased scenes, 50 a class; 64 pixels are enough for colours and areas."""
    return [scene(CLASSES[i % 10], i, size=64) for i in range(500)]


@pytest.fixture(scope="module")
def swapped(tmp_path_factory):
    """40 pictures: those for validation among the first 200 of the ordinary set, on other backgrounds."""
    return prepare(tmp_path_factory.mktemp("swapped"), images=40, size=64, swapped=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), images=100, size=32)


def read(folder):
    return pd.read_csv(folder / "index.csv")


def linear_accuracy(features):
    """How well least squares tells the class (number i has class i % 10), on five folds left out in turn."""
    features = np.column_stack([np.ones(len(features)), features])
    labels = np.arange(len(features)) % 10
    fold = np.arange(len(features)) // 10 % 5
    hits = []
    for k in range(5):
        weights = np.linalg.lstsq(features[fold != k], np.eye(10)[labels[fold != k]], rcond=None)[0]
        hits.append((features[fold == k] @ weights).argmax(1) == labels[fold == k])
    return np.concatenate(hits).mean()


def colour_statistics(picture, where):
    """Mean and spread of each channel, where the mask says so."""
    pixels = picture.image[where] / 255
    return np.concatenate([pixels.mean(0), pixels.std(0)])


# --- one scene --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", CLASSES)
def test_the_same_seed_draws_the_same_scene(label):
    one, two, other = scene(label, 3), scene(label, 3), scene(label, 4)
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.mask, two.mask)
    assert not np.array_equal(one.image, other.image)


def test_a_scene_has_the_promised_types(drawn):
    for picture in drawn[:10]:
        assert picture.image.dtype == np.uint8
        assert picture.image.shape == (64, 64, 3)
        assert picture.mask.dtype == bool
        assert picture.mask.shape == (64, 64)
        assert picture.background in BACKGROUNDS


def test_the_box_is_tight_around_the_mask(drawn):
    for picture in drawn:
        x0, y0, x1, y1 = picture.box
        inside = picture.mask[y0:y1, x0:x1]
        assert inside.sum() == picture.mask.sum()
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_the_box_of_a_known_mask_is_half_open_with_columns_first():
    mask = np.zeros((6, 8), bool)
    mask[2:4, 1:7] = True
    assert box_of(mask) == (1, 2, 7, 4)


def test_objects_cover_12_to_45_percent_of_the_picture(drawn):
    cover = np.array([picture.mask.mean() for picture in drawn])
    # half a pixel along the rim is 1.5 % of a picture of 64 pixels
    assert cover.min() > 0.12 - 0.015
    assert cover.max() < 0.45 + 0.015
    assert cover.reshape(-1, 10).std(0).min() > 0.03, "each class comes large and small"


@pytest.mark.parametrize("area", [1.0, 0.25])
@pytest.mark.parametrize("label", CLASSES)
def test_no_object_is_cut_off_by_the_frame(label, area):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        parts = posed(rng, OBJECTS[label](rng, random_palette(rng)), 100, area)
        points = np.concatenate([part.points for part in parts])
        assert points.min() > 0
        assert points.max() < 100


@pytest.mark.parametrize("label", CLASSES)
def test_smaller_objects_cover_their_share_of_the_area_in_the_same_pose_on_the_same_ground(label):
    for seed in range(3):
        whole, small = scene(label, seed, size=256), scene(label, seed, size=256, area=0.25)
        assert small.background == whole.background
        assert small.mask.sum() / whole.mask.sum() == pytest.approx(0.25, rel=0.15)  # the line around it stays as wide
        sides = [np.subtract(one.box[2:], one.box[:2]) for one in (whole, small)]
        assert sides[1] / sides[0] == pytest.approx([0.5, 0.5], rel=0.1)
        far = ~binary_dilation(whole.mask | small.mask, iterations=60)  # beyond both shadows
        inner = np.s_[30:-30, 30:-30]  # a shadow that leaves the picture comes in on the other side
        assert np.array_equal(whole.image[inner][far[inner]], small.image[inner][far[inner]])


def test_smaller_objects_lie_anywhere():
    boxes = np.array([scene(CLASSES[i % 10], i, size=64, area=0.1).box for i in range(200)])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 128
    assert centres.mean(0) == pytest.approx([0.5, 0.5], abs=0.06)  # three standard errors
    assert (centres.std(0) > 0.2).all()


@pytest.mark.parametrize("label", CLASSES)
def test_a_background_swap_changes_all_but_the_object(label):
    for seed in range(3):
        one, two = scene(label, seed, background="brick"), scene(label, seed, background="meadow")
        assert (one.background, two.background) == ("brick", "meadow")
        assert np.array_equal(one.mask, two.mask)
        changed = (one.image != two.image).any(2)
        # a pixel of the rim is part object, part background: one pixel to each side is left out;
        # a notch thinner than a pixel, as between a bell and its clock, shows a little background too
        assert changed[binary_erosion(one.mask, np.ones((3, 3)))].mean() < 0.005
        assert changed[~binary_dilation(one.mask)].mean() > 0.8, "clutter stays where it is, all else changes"


def test_a_label_swap_changes_nothing_far_from_the_object():
    one, two = scene("fish", 5), scene("house", 5)
    far = ~binary_dilation(one.mask | two.mask, iterations=25)  # beyond the shadow
    assert far.any()
    assert np.array_equal(one.image[far], two.image[far])


def test_a_bias_redraws_the_background_only():
    free, biased = scene("mug", 1, bias=0.0), scene("mug", 1, bias=1.0)
    assert biased.background == OWN_BACKGROUND["mug"] != free.background
    assert np.array_equal(free.mask, biased.mask)


@pytest.mark.parametrize("kind", BACKGROUNDS)
@pytest.mark.parametrize("size", [32, 97])
def test_a_background_stays_between_black_and_white(kind, size):
    for seed in range(5):
        picture = BACKGROUNDS[kind](np.random.default_rng(seed), size)
        assert picture.shape == (size, size, 3)
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert picture.std() > 0.01, "a flat picture would be no texture"


def test_every_class_has_a_background_of_its_own():
    assert set(OWN_BACKGROUND) == set(CLASSES)
    assert set(OWN_BACKGROUND.values()) == set(BACKGROUNDS)


# --- what the unbiased set gives away ---------------------------------------------------------------------------------


def test_mean_colour_does_not_tell_the_class(drawn):
    assert linear_accuracy(np.array([picture.image.mean((0, 1)) / 255 for picture in drawn])) <= 0.25


def test_background_statistics_do_not_tell_the_class(drawn):
    assert linear_accuracy(np.array([colour_statistics(picture, ~picture.mask) for picture in drawn])) <= 0.25


def test_background_statistics_tell_the_class_when_it_decides_the_background():
    """The check above would see a leak if there was one."""
    biased = [scene(CLASSES[i % 10], i, bias=1.0, size=32) for i in range(300)]
    assert linear_accuracy(np.array([colour_statistics(picture, ~picture.mask) for picture in biased])) > 0.4


@pytest.mark.parametrize("bias", [0.0, 0.5, 0.95])
def test_the_bias_is_realised(bias):
    n = 400
    own = sum(
        scene(CLASSES[i % 10], i, bias=bias, size=32).background == OWN_BACKGROUND[CLASSES[i % 10]] for i in range(n)
    )
    expected = bias + (1 - bias) / 10  # the uniform draw hits the class's own kind one time in ten
    # four standard deviations of a binomial share: right code fails for one seed in 16,000; the seed is fixed
    assert abs(own / n - expected) < 4 * np.sqrt(expected * (1 - expected) / n)


# --- the data set on disk ---------------------------------------------------------------------------------------------


def test_the_index_keeps_the_contract(small):
    index = read(small)
    assert list(index) == ["image", "split", "label", "mask", "box", "background"]
    assert len(index) == 100
    assert (pd.crosstab(index.label, index.split)[["train", "val"]].to_numpy() == [8, 2]).all()
    classes = pd.read_csv(small / "classes.csv")
    assert list(classes) == ["folder", "index", "name"]
    assert list(classes.name) == list(classes.folder) == list(CLASSES)
    assert list(classes["index"]) == list(range(10))
    assert pd.read_csv(small / "regions.csv").to_dict("list") == {"id": [0, 1], "region": ["background", "object"]}
    assert {path.name for path in small.parent.iterdir()} - {".scenes.lock"} == {"scenes"}


def test_masks_are_palette_pngs_of_region_ids_that_agree_with_the_boxes(small):
    for row in read(small).itertuples():
        mask = Image.open(small / row.mask)
        assert mask.mode == "P"
        ids = np.asarray(mask)
        assert set(np.unique(ids)) == {0, 1}
        assert box_of(ids == 1) == tuple(map(int, row.box.split()))
        assert Image.open(small / row.image).size == mask.size == (32, 32)


def test_image_i_is_scene_i(small):
    row = read(small).iloc[23]
    picture = scene(row.label, 23, size=32)
    assert np.array_equal(np.asarray(Image.open(small / row.image)), picture.image)
    assert np.array_equal(np.asarray(Image.open(small / row["mask"])), picture.mask)


# --- the set with swapped backgrounds ---------------------------------------------------------------------------------


def test_a_swapped_set_holds_the_validation_pictures_in_their_order(swapped, tmp_path):
    ordinary = read(prepare(tmp_path, images=200, size=64))
    columns = ["image", "split", "label", "mask", "box"]
    assert read(swapped)[columns].equals(ordinary[ordinary.split == "val"].reset_index(drop=True)[columns])


def test_a_swap_in_the_set_leaves_the_object_and_the_clutter_as_they_were(swapped):
    for row in read(swapped).itertuples():
        i = int(row.image[-10:-4])
        image, mask = np.asarray(Image.open(swapped / row.image)), np.asarray(Image.open(swapped / row.mask)) == 1
        before = scene(row.label, i, size=64)
        assert np.array_equal(mask, before.mask)
        inside = binary_erosion(mask, np.ones((3, 3)))
        assert (image != before.image).any(2)[inside].mean() < 0.02  # a notch thinner than a pixel shows the ground
        assert np.array_equal(image, scene(row.label, i, background=row.background, size=64).image)


def test_a_swapped_object_never_stands_on_the_background_of_its_own_class(swapped):
    index = read(swapped)
    assert (index.background != index.label.map(OWN_BACKGROUND)).all()
    assert set(index.background) == set(BACKGROUNDS)
    assert set(index.split) == {"val"}


@pytest.mark.parametrize("label", CLASSES)
def test_all_nine_other_backgrounds_are_alike_in_a_swap(label):
    n = 900
    kinds, counts = np.unique([swapped_background(label, seed) for seed in range(n)], return_counts=True)
    assert set(kinds) == set(BACKGROUNDS) - {OWN_BACKGROUND[label]}
    # five standard deviations of a binomial share, of which ninety are looked at; the seeds are fixed
    assert abs(counts / n - 1 / 9).max() < 5 * np.sqrt(8 / 81 / n)


def test_a_swap_does_not_follow_the_background_of_the_ordinary_set():
    same = [swapped_background("fish", seed) == scene("fish", seed, size=32).background for seed in range(300)]
    assert abs(np.mean(same) - 0.1) < 4 * np.sqrt(0.09 / 300)  # nine of ten kinds can meet, each in 1 of 90


def test_a_set_of_smaller_objects_notes_it_and_is_swapped_alike(tmp_path):
    folder = prepare(tmp_path, images=20, size=64, swapped=True, area=0.25, workers=1)
    assert json.loads((folder / "dataset.json").read_text())["parameters"]["area"] == 0.25
    row = read(folder).iloc[3]
    picture = scene(row.label, int(row.image[-10:-4]), row.background, size=64, area=0.25)
    assert np.array_equal(np.asarray(Image.open(folder / row.image)), picture.image)


def test_swapped_is_noted_in_the_manifest_of_a_swapped_set_alone(swapped, small):
    noted = [json.loads((folder / "dataset.json").read_text())["parameters"] for folder in (swapped, small)]
    assert noted[0] == {"images": 40, "size": 64, "seed": 0, "bias": 0.0, "swapped": True}
    assert "swapped" not in noted[1]


def test_a_swap_with_a_bias_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`bias` is 0.9; .* 0 with `swapped`"):
        prepare(tmp_path, images=20, size=32, bias=0.9, swapped=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("swapped", 2, "True or False"),
        ("size", 31, "at least 32"),
        ("bias", 1.1, "from 0 to 1"),
        ("bias", -0.1, "from 0 to 1"),
        ("bias", float("nan"), "from 0 to 1"),
        ("area", 0.01, "from 0.02 to 1"),
        ("area", 1.5, "from 0.02 to 1"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value_and_what_was_expected(tmp_path, name, value, wanted):
    with pytest.raises(ValueError, match=f"`{name}` is .*{wanted}") as error:
        prepare(tmp_path, **{name: value})
    assert repr(value) in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "value"), [("label", "elephant"), ("background", "lava"), ("bias", 2), ("size", 8)])
def test_a_scene_names_what_it_cannot_draw(name, value):
    with pytest.raises(ValueError, match=f"`{name}` is {value!r}; it needs"):
        scene(**{"label": "mug", "seed": 0, name: value})
