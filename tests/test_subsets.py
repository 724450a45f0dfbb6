"""helpers/subsets.py: pictures chosen by attribute, with exactly the correlation asked for."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import subsets
from helpers.data import Photos
from helpers.errors import CourseError

NAMES = ("Male", "Hat", "Tie")


def people(cells, split="train", **columns) -> Photos:
    """Pictures without files: `cells` says how many have each combination of the first of NAMES."""
    bits = [cell for cell, n in cells.items() for _ in range(n)]
    table = pd.DataFrame(bits, columns=NAMES[: len(bits[0])])
    table.insert(0, "image", [f"{split}{i}.png" for i in range(len(bits))])
    table = table.assign(split=split, label="all", _class=0, **columns)
    return Photos(Path("album"), table, ["all"], torch.tensor([0]), {})


def together(*parts) -> Photos:
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return Photos(Path("album"), table, ["all"], torch.tensor([0]), {})


def four(*counts) -> Photos:
    """Pictures of (Male, Hat) = 00, 01, 10, 11."""
    return people(dict(zip(product((0, 1), repeat=2), counts, strict=True)))


@pytest.fixture
def mixed() -> Photos:
    """Four pictures with every kind of column."""
    columns = {"tone": [0, 1, 3, 5], "hair": ["blond", "black", "blond", "grey"], "Bald": [-1, 1, -1, 1]}
    return people(dict.fromkeys(product((0, 1), repeat=2), 1), **columns)


@pytest.mark.parametrize(
    ("attribute", "found"),
    [
        ("Male", [0, 0, 1, 1]),
        ("Male=0", [1, 1, 0, 0]),
        ("tone=3", [0, 0, 1, 0]),
        ("tone = 3.0", [0, 0, 1, 0]),
        ("Bald=-1", [1, 0, 1, 0]),
        ("hair=blond", [1, 0, 1, 0]),
        ("tone>=3", [0, 0, 1, 1]),
        ("tone >= 0.5", [0, 1, 1, 1]),
    ],
)
def test_an_attribute_has_three_spellings(mixed, attribute, found):
    assert subsets.values(mixed, attribute).tolist() == found


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("Bald", "`Bald` holds -1, 1; expected 0 and 1. Say which value counts: Bald=1$"),
        ("hair", "`hair` holds black, blond, grey; expected 0 and 1"),
        ("Mail", "no column `Mail`. Did you mean `Male`"),
        ("zzz", "It has: Male, Hat, tone, hair, Bald$"),
        ("label=all", "no column `label`"),
        ("hair=red", "no picture has it; `hair` holds black, blond, grey"),
        ("tone=1.2.3", "no picture has it; `tone` holds 0, 1, 3, 5"),
        ("hair>=2", "`hair` or '2' is no number"),
        ("tone>=old", "`tone` or 'old' is no number"),
        ("tone>3", "expected `name`, `name=value` or `name>=number`"),
    ],
)
def test_a_wrong_attribute_is_told_with_the_way_out(mixed, attribute, said):
    with pytest.raises(CourseError, match=said) as caught:
        subsets.values(mixed, attribute)
    assert f"attribute `{attribute}`" in str(caught.value)


def test_pictures_without_attributes_are_told_where_to_put_them():
    table = pd.DataFrame({"image": ["a.png"], "split": "val", "label": "all", "mask": "a.png", "_class": 0})
    with pytest.raises(CourseError, match=r"It has: none; put them into attributes\.csv"):
        subsets.values(Photos(Path("album"), table, ["all"], torch.tensor([0]), {}), "Male")


def test_labelled_pictures_have_two_classes_and_keep_their_order(mixed):
    found = subsets.labelled(mixed, "hair=blond")
    assert found.classes == ["not hair=blond", "hair=blond"]
    assert found.outputs.tolist() == [0, 1]
    assert found.labels.tolist() == [1, 0, 1, 0]
    assert found.table["label"].tolist() == [found.classes[i] for i in found.labels]
    assert found.table["image"].tolist() == mixed.table["image"].tolist()
    assert mixed.classes == ["all"]  # the given pictures are as they were


def counted(photos: Photos, attributes) -> dict:
    part = photos.table[photos.table["split"] == "train"]
    return part.groupby(list(attributes)).size().to_dict()


def test_the_cells_of_a_bias_by_hand():
    # shares 0.4 0.1 0.1 0.4; available / share: 250, 300, 1000, 100: N is 100
    found, table = subsets.biased(four(100, 30, 100, 40), "Male", ["Hat"], 0.8)
    assert counted(found, ["Male", "Hat"]) == {(0, 0): 40, (0, 1): 10, (1, 0): 10, (1, 1): 40}
    assert table.columns.tolist() == ["Male", "Hat", "share", "available", "taken"]
    assert np.allclose(table["share"], [0.4, 0.1, 0.1, 0.4])
    assert table["available"].tolist() == [100, 30, 100, 40]
    assert table["taken"].tolist() == [40, 10, 10, 40]
    assert found.classes == ["not Male", "Male"]


def test_the_sizes_of_cells_are_rounded_down():
    # N = 7 / 0.35 = 20; the others want 0.15 * 20 = 3
    _, table = subsets.biased(four(9, 5, 5, 7), "Male", ["Hat"], 0.7)
    assert table["taken"].tolist() == [7, 3, 3, 7]
    # N = 7 / 0.45 = 15.6; the others want 0.78
    _, table = subsets.biased(four(9, 5, 5, 7), "Male", ["Hat"], 0.9)
    assert table["taken"].tolist() == [7, 0, 0, 7]


def test_what_does_not_follow_is_divided_evenly_between_the_other_cells():
    cells = dict.fromkeys(product((0, 1), repeat=3), 100)
    found, table = subsets.biased(people(cells), "Male", ["Hat", "Tie"], 0.7)
    shares = table.set_index(list(NAMES))["share"]
    assert shares[(0, 0, 0)] == shares[(1, 1, 1)] == 0.35
    assert np.allclose(shares.drop([(0, 0, 0), (1, 1, 1)]), 0.05)  # 0.3 / 2 over three cells
    assert shares.sum() == pytest.approx(1)
    taken = counted(found, NAMES)
    assert taken.pop((0, 0, 0)) == taken.pop((1, 1, 1)) == 100
    assert set(taken.values()) == {14}  # 100 / 0.35 * 0.05 = 14.3


def test_half_as_correlation_with_one_attribute_is_independence():
    _, table = subsets.biased(four(20, 9, 30, 12), "Male", ["Hat"], 0.5)
    assert set(table["taken"]) == {9}


def test_a_whole_correlation_needs_no_contradicting_pictures():
    found, table = subsets.biased(four(8, 0, 0, 5), "Male", ["Hat"], 1.0)
    assert table["taken"].tolist() == [5, 0, 0, 5]
    assert (subsets.values(found, "Male") == subsets.values(found, "Hat")).all()


@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])  # there is nothing to correlate
def test_without_attributes_the_classes_are_balanced(correlation):
    found, table = subsets.biased(people({(0,): 9, (1,): 4}), "Male", [], correlation)
    assert counted(found, ["Male"]) == {0: 4, 1: 4}
    assert table["share"].tolist() == [0.5, 0.5]


def test_an_attribute_in_words_can_be_tied(mixed):
    _, table = subsets.biased(mixed, "tone>=3", ["hair=grey"], 1.0)  # a blond one and a grey one are old
    assert table.set_index(["tone>=3", "hair=grey"])["available"].to_dict() == {
        (0, 0): 2, (0, 1): 0, (1, 0): 1, (1, 1): 1
    }  # fmt: skip


def test_the_other_splits_stay_as_they_are():
    val, test = people({(0, 1): 7, (1, 1): 2}, "val"), people({(0, 0): 3}, "test")
    found, table = subsets.biased(together(val, four(9, 9, 9, 9), test), "Male", ["Hat"], 0.9)
    for part in (val, test):
        name = part.table["split"].iloc[0]
        assert found.split(name).table["image"].tolist() == part.table["image"].tolist()
    assert table["available"].tolist() == [9] * 4


def test_no_picture_is_taken_twice():
    found, _ = subsets.biased(four(30, 20, 10, 40), "Male", ["Hat"], 0.6)
    assert found.table["image"].is_unique


def test_the_seed_decides_which_pictures_and_nothing_else_does():
    photos = four(50, 50, 50, 20)
    one, again, other = (subsets.biased(photos, "Male", ["Hat"], 0.8, seed)[0].table["image"] for seed in (1, 1, 2))
    assert one.tolist() == again.tolist()
    assert set(one) != set(other)


def test_a_cell_that_is_needed_and_empty_is_named():
    with pytest.raises(CourseError, match="album: correlation 0.8 needs pictures with Male: 1, Hat: 0; there are none"):
        subsets.biased(four(9, 9, 0, 9), "Male", ["Hat"], 0.8)


def test_a_cell_filled_in_another_split_is_empty():
    with pytest.raises(CourseError, match="Male: 1, Hat: 0"):
        subsets.biased(together(four(9, 9, 0, 9), people({(1, 0): 5}, "val")), "Male", ["Hat"], 0.8)


@pytest.mark.parametrize("correlation", [-0.1, 1.01, float("nan")])
def test_a_correlation_outside_its_range_is_refused(correlation):
    with pytest.raises(CourseError, match="expected 0 to 1"):
        subsets.biased(four(9, 9, 9, 9), "Male", ["Hat"], correlation)


@st.composite
def crowds(draw):
    """Pictures of two or three attributes with up to 60 in every cell, none empty."""
    cells = product((0, 1), repeat=draw(st.integers(2, 3)))
    return people({cell: draw(st.integers(1, 60)) for cell in cells})


@given(crowds(), st.floats(0, 1), st.integers(0, 3))
def test_the_realised_correlation_is_the_one_asked_for(photos, correlation, seed):
    names = [name for name in NAMES if name in photos.table]
    found, table = subsets.biased(photos, names[0], names[1:], correlation, seed)
    y, a = found.table[names[0]], found.table[names[1:]]
    others = 2 ** len(names[1:]) - 1
    for value in (0, 1):
        follows = (a[y == value] == value).all(axis=1)
        # rounding takes less than one picture from every cell: the share moves by less than the other cells' number / n
        assert abs(follows.mean() - correlation) <= others / len(follows) + 1e-6
    assert (y == 0).sum() == (y == 1).sum()
    assert (table["taken"] <= table["available"]).all()
    assert len(found) == table["taken"].sum()


@given(crowds(), st.floats(0.01, 0.99))
def test_no_larger_subset_has_that_correlation(photos, correlation):
    names = [name for name in NAMES if name in photos.table]
    _, table = subsets.biased(photos, names[0], names[1:], correlation)
    assert (table["taken"] == table["available"]).any()  # a cell is used up


def test_balanced_takes_as_many_from_every_combination():
    photos = four(9, 4, 7, 5)
    kept = subsets.balanced(photos, ["Male", "Hat"])
    assert counted(photos.rows(kept), ["Male", "Hat"]) == dict.fromkeys(product((0, 1), repeat=2), 4)


def test_balanced_gives_positions_of_these_rows_each_once():
    photos = four(9, 4, 7, 5).rows(np.arange(25) % 2 == 0)  # whose index has gaps
    kept = subsets.balanced(photos, ["Hat"])
    assert len(set(kept.tolist())) == len(kept)
    assert kept.min() >= 0
    assert kept.max() < len(photos)
    assert subsets.values(photos.rows(kept), "Hat").mean() == 0.5


def test_balanced_skips_a_combination_that_does_not_occur():
    kept = subsets.balanced(four(9, 0, 7, 5), ["Male", "Hat"])
    assert len(kept) == 3 * 5


def test_balanced_is_decided_by_its_seed():
    photos = four(50, 40, 30, 20)
    one, again, other = (subsets.balanced(photos, ["Male", "Hat"], seed).tolist() for seed in (1, 1, 2))
    assert one == again
    assert one != other
