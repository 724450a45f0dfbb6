"""helpers.pictures.biased: exactly the correlation asked for, from as many pictures as there are."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import CELLS, NAMES, counted, four, people, together
from sklearn.metrics import matthews_corrcoef

from helpers.errors import CourseError
from helpers.pictures import biased
from helpers.pictures.subsets import values


def test_the_cells_of_a_correlation_by_hand():
    # shares 0.4 0.1 0.1 0.4; available / share: 250, 300, 1000, 100: N is 100
    found, cells, reached = biased(four(100, 30, 100, 40), "Male", ["Hat"], 0.8)
    assert counted(found, ["Male", "Hat"]) == {(0, 0): 40, (0, 1): 10, (1, 0): 10, (1, 1): 40}
    assert cells.columns.tolist() == ["split", "Male", "Hat", "share", "available", "taken"]
    assert set(cells["split"]) == {"train"}
    assert np.allclose(cells["share"], [0.4, 0.1, 0.1, 0.4])
    assert cells["available"].tolist() == [100, 30, 100, 40]
    assert cells["taken"].tolist() == [40, 10, 10, 40]
    assert reached == 0.8
    assert found.classes == ["not Male", "Male"]
    assert found.labels.tolist() == found.table["Male"].tolist()


def test_the_cells_of_a_phi_by_hand():
    # shares (1 + 0.6) / 4 = 0.4 and 0.1, the same as at correlation 0.8
    found, cells, reached = biased(four(100, 30, 100, 40), "Male", "Hat", phi=0.6)
    assert np.allclose(cells["share"], [0.4, 0.1, 0.1, 0.4])
    assert counted(found, ["Male", "Hat"]) == {(0, 0): 40, (0, 1): 10, (1, 0): 10, (1, 1): 40}
    assert reached == 0.6  # (40 * 40 - 10 * 10) / sqrt(50 ** 4)


def test_a_phi_below_zero_turns_the_cells_over():
    _, cells, reached = biased(four(100, 30, 100, 40), "Male", "Hat", phi=-0.6)
    # available / share: 1000, 75, 250, 400: N is 75, of which 0.1 is 7.5
    assert cells["taken"].tolist() == [7, 30, 30, 7]
    assert reached == pytest.approx(-23 / 37)


@pytest.mark.parametrize(("phi", "sizes", "taken"), [(1, (9, 0, 0, 7), [7, 0, 0, 7]), (-1, (0, 5, 6, 0), [0, 5, 5, 0])])
def test_a_whole_phi_needs_two_cells(phi, sizes, taken):
    _, cells, reached = biased(four(*sizes), "Male", "Hat", phi=phi)
    assert cells["taken"].tolist() == taken
    assert reached == phi


def test_the_sizes_of_cells_are_rounded_down():
    # N = 7 / 0.35 = 20; the others want 0.15 * 20 = 3
    assert biased(four(9, 5, 5, 7), "Male", ["Hat"], 0.7).cells["taken"].tolist() == [7, 3, 3, 7]
    # N = 7 / 0.45 = 15.6; the others want 0.78
    _, cells, reached = biased(four(9, 5, 5, 7), "Male", ["Hat"], 0.9)
    assert cells["taken"].tolist() == [7, 0, 0, 7]
    assert reached == 1, "not the 0.9 asked for"


def test_what_does_not_follow_is_divided_evenly_between_the_other_cells():
    everyone = dict.fromkeys(product((0, 1), repeat=3), 100)
    found, cells, reached = biased(people(everyone), "Male", ["Hat", "Tie"], 0.7)
    shares = cells.set_index(list(NAMES))["share"]
    assert shares[(0, 0, 0)] == shares[(1, 1, 1)] == 0.35
    assert np.allclose(shares.drop([(0, 0, 0), (1, 1, 1)]), 0.05)  # 0.3 / 2 over three cells
    assert shares.sum() == pytest.approx(1)
    taken = counted(found, NAMES)
    assert taken.pop((0, 0, 0)) == taken.pop((1, 1, 1)) == 100
    assert set(taken.values()) == {14}  # 100 / 0.35 * 0.05 = 14.3
    assert reached == 200 / 284


def test_half_as_correlation_with_one_attribute_is_independence():
    for how in ({"correlation": 0.5}, {"phi": 0}):
        assert set(biased(four(20, 9, 30, 12), "Male", "Hat", **how).cells["taken"]) == {9}


def test_a_whole_correlation_needs_no_contradicting_pictures():
    found, cells, _ = biased(four(8, 0, 0, 5), "Male", ["Hat"], 1.0)
    assert cells["taken"].tolist() == [5, 0, 0, 5]
    assert (values(found, "Male") == values(found, "Hat")).all()


@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])  # there is nothing to correlate
def test_without_attributes_the_classes_are_balanced(correlation):
    found, cells, _ = biased(people({(0,): 9, (1,): 4}), "Male", [], correlation)
    assert counted(found, ["Male"]) == {0: 4, 1: 4}
    assert cells["share"].tolist() == [0.5, 0.5]


def test_an_attribute_in_words_can_be_tied():
    crowd = people(dict.fromkeys(CELLS, 1), tone=[0, 1, 3, 5], hair=["blond", "black", "blond", "grey"])
    cells = biased(crowd, "tone>=3", "hair=grey", 1.0).cells  # a blond one and a grey one are old
    assert cells.set_index(["tone>=3", "hair=grey"])["available"].to_dict() == {
        (0, 0): 2, (0, 1): 0, (1, 0): 1, (1, 1): 1
    }  # fmt: skip


def test_all_cells_of_the_other_splits_get_one_size():
    parts = four(9, 9, 9, 9), four(4, 3, 8, 5, split="val"), four(7, 6, 2, 9, split="test")
    found, cells, reached = biased(together(*parts), "Male", "Hat", 0.75)
    assert counted(found, ["Male", "Hat"], "val") == dict.fromkeys(CELLS, 3)
    assert counted(found, ["Male", "Hat"], "test") == dict.fromkeys(CELLS, 2)
    assert cells.groupby("split", sort=False)["taken"].apply(list).to_dict() == {
        "train": [9, 3, 3, 9], "test": [2] * 4, "val": [3] * 4
    }  # fmt: skip
    assert cells[cells["split"] == "test"]["available"].tolist() == [7, 6, 2, 9]
    assert set(cells[cells["split"] == "val"]["share"]) == {0.25}
    assert reached == 0.75, "of split train alone"


def test_the_other_splits_stay_as_they_are_if_told_to():
    val, test = people({(0, 1): 7, (1, 1): 2}, "val"), people({(0, 0): 3}, "test")
    found, cells, _ = biased(together(val, four(9, 9, 9, 9), test), "Male", ["Hat"], 0.9, balanced_test=False)
    for part in (val, test):
        name = part.table["split"].iloc[0]
        assert found.split(name).table["image"].tolist() == part.table["image"].tolist()
    assert set(cells["split"]) == {"train"}, "only what was drawn from"
    assert cells["available"].tolist() == [9] * 4


def test_the_test_pictures_stay_whatever_train_has():
    test = four(20, 30, 40, 50, split="test")
    few, many = (
        biased(together(four(*[n] * 4), test), "Male", "Hat", correlation).photos.split("test").table["image"].tolist()
        for n, correlation in ((9, 0.9), (70, 0.6))
    )
    assert few == many
    assert len(few) == 80


def test_the_seed_decides_which_pictures_and_nothing_else_does():
    crowd = together(four(50, 50, 50, 20), four(20, 30, 40, 50, split="test"))
    one, again, other = (biased(crowd, "Male", "Hat", phi=0.6, seed=seed) for seed in (1, 1, 2))
    assert one.photos.table.equals(again.photos.table)
    for split in ("train", "test"):
        assert set(one.photos.split(split).table["image"]) != set(other.photos.split(split).table["image"])
    assert one.cells.equals(other.cells)
    assert one.reached == other.reached


@pytest.mark.parametrize("how", [{"correlation": 0.8}, {"phi": 0.6}])
def test_a_cell_that_is_needed_and_empty_is_named(how):
    said = " ".join(f"{name} {value}" for name, value in how.items())
    message = f"^album, split train: {said} needs pictures with Male: 1, Hat: 0; there are none$"
    with pytest.raises(CourseError, match=message):
        biased(four(9, 9, 0, 9), "Male", "Hat", **how)
    with pytest.raises(CourseError, match=message):  # those of another split are no help
        biased(together(four(9, 9, 0, 9), people({(1, 0): 5}, "val")), "Male", "Hat", **how)


def test_without_a_split_train_nothing_is_there():
    with pytest.raises(CourseError, match="split train: .* Male: 0, Hat: 0; there are none"):
        biased(four(9, 9, 9, 9, split="val"), "Male", "Hat", 0.9)


def test_a_cell_too_small_for_its_phi_is_named():
    # shares 3/8 and 1/8: N is 2, of which no cell gets a picture
    with pytest.raises(CourseError, match="phi 0.5 needs pictures with Male: 1, Hat: 1; there are 1, too few"):
        biased(four(9, 9, 9, 1), "Male", "Hat", phi=0.5)


def test_an_empty_cell_of_another_split_is_named_with_the_way_out():
    crowd = together(four(9, 9, 9, 9), four(9, 9, 9, 9, split="test"), four(5, 0, 5, 5, split="val"))
    with pytest.raises(CourseError, match="split val: balanced_test .* needs pictures with Male: 0, Hat: 1; .* none"):
        biased(crowd, "Male", "Hat", 0.9)
    assert len(biased(crowd, "Male", "Hat", 0.9, balanced_test=False).photos.split("val")) == 15


@pytest.mark.parametrize("how", [{}, {"correlation": 0.9, "phi": 0.8}])
def test_one_of_correlation_and_phi_is_needed(how):
    with pytest.raises(CourseError, match="expected just one of them"):
        biased(four(9, 9, 9, 9), "Male", "Hat", **how)


@pytest.mark.parametrize("correlation", [-0.1, 1.01, float("nan")])
def test_a_correlation_outside_its_range_is_refused(correlation):
    with pytest.raises(CourseError, match="expected 0 to 1"):
        biased(four(9, 9, 9, 9), "Male", ["Hat"], correlation)


@pytest.mark.parametrize("phi", [-1.01, 1.01, float("nan")])
def test_a_phi_outside_its_range_is_refused(phi):
    with pytest.raises(CourseError, match="expected -1 to 1"):
        biased(four(9, 9, 9, 9), "Male", "Hat", phi=phi)


@pytest.mark.parametrize("attributes", [[], ["Hat", "Tie"]])
def test_a_phi_is_of_one_attribute(attributes):
    crowd = people(dict.fromkeys(product((0, 1), repeat=3), 9))
    with pytest.raises(CourseError, match=f"{len(attributes)} attributes; expected one. Give correlation= instead"):
        biased(crowd, "Male", attributes, phi=0.5)


@st.composite
def crowds(draw, attributes=(1, 2), sizes=(1, 60)):
    """Pictures of one or two attributes beside the target, none of the cells of train and of test empty."""
    cells = list(product((0, 1), repeat=draw(st.sampled_from(attributes)) + 1))
    train, test = ({cell: draw(st.integers(*sizes)) for cell in cells} for _ in range(2))
    return together(people(train), people(test, "test"))


def facts_that_always_hold(crowd, found, cells, names):
    train = found.split("train").table
    assert (train[names[0]] == 0).sum() == (train[names[0]] == 1).sum()
    assert (cells["taken"] <= cells["available"]).all()
    assert found.table["image"].is_unique
    assert set(found.table["image"]) <= set(crowd.table["image"])
    for split, part in cells.groupby("split"):
        assert counted(found, names, split) == {
            tuple(row): n for *row, n in part[[*names, "taken"]].values.tolist() if n
        }
    test = cells[cells["split"] == "test"]
    assert set(test["taken"]) == {test["available"].min()}


@given(crowds(), st.floats(0, 1), st.integers(0, 3))
def test_the_correlation_reached_is_the_one_asked_for(crowd, correlation, seed):
    names = [name for name in NAMES if name in crowd.table]
    found, cells, reached = biased(crowd, names[0], names[1:], correlation, seed=seed)
    facts_that_always_hold(crowd, found, cells, names)
    train = found.split("train").table
    y, a = train[names[0]], train[names[1:]]
    others = 2 ** len(names[1:]) - 1
    for value in (0, 1):
        follows = (a[y == value] == value).all(axis=1)
        assert follows.mean() == pytest.approx(reached, abs=1e-12)
        # rounding takes less than one picture from every cell: the share moves by less than the other cells' number / n
        assert abs(reached - correlation) <= others / len(follows) + 1e-6


@settings(deadline=None)
@given(crowds((1,), (40, 120)), st.floats(-0.95, 0.95) | st.sampled_from([k / 10 for k in range(-10, 11)]))
def test_the_phi_reached_is_the_one_asked_for(crowd, phi):
    found, cells, reached = biased(crowd, "Male", "Hat", phi=phi)
    facts_that_always_hold(crowd, found, cells, ["Male", "Hat"])
    drawn = found.split("train").table
    train = cells[cells["split"] == "train"]
    assert np.allclose(train["share"], np.array([1 + phi, 1 - phi, 1 - phi, 1 + phi]) / 4)
    assert reached == pytest.approx(matthews_corrcoef(drawn["Male"], drawn["Hat"]), abs=1e-12)
    assert abs(reached - phi) <= 4 / len(drawn)  # each cell is short of less than one picture
    assert len(set(drawn.groupby("Hat").size())) == 1, "balanced in the attribute, too"


@given(crowds(), st.floats(0.01, 0.99))
def test_no_larger_subset_has_that_correlation(crowd, correlation):
    names = [name for name in NAMES if name in crowd.table]
    train = biased(crowd, names[0], names[1:], correlation).cells.query("split == 'train'")
    assert (train["taken"] == train["available"]).any()  # a cell is used up
