"""helpers/pictures/subsets.py: pictures chosen by attribute."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from people import CELLS, counted, four, people

from helpers.errors import CourseError
from helpers.pictures import subsets
from helpers.pictures.photos import Photos


@pytest.fixture
def mixed() -> Photos:
    """Four pictures with every kind of column."""
    columns = {"tone": [0, 1, 3, 5], "hair": ["blond", "black", "blond", "grey"], "Bald": [-1, 1, -1, 1]}
    return people(dict.fromkeys(CELLS, 1), **columns)


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


@pytest.mark.parametrize("attribute", ["hair", "hair=blond", "tone>=3", "tone=3", "tone"])
@pytest.mark.parametrize("gap", ["", "  ", np.nan])
def test_a_gap_in_a_column_is_told_and_is_not_class_0(mixed, attribute, gap):
    table = mixed.table.assign(hair=["blond", gap, "blond", gap], tone=["0", "1", gap, gap])
    with pytest.raises(CourseError, match=r"2 of 4 pictures have no value in `(hair|tone)`, first of all .*Fill in"):
        subsets.values(replace(mixed, table=table), attribute)


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


def test_balanced_takes_as_many_from_every_combination():
    photos = four(9, 4, 7, 5)
    kept = subsets.balanced(photos, ["Male", "Hat"])
    assert counted(photos.rows(kept), ["Male", "Hat"]) == dict.fromkeys(CELLS, 4)


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


def explained(folder: Path, *names) -> Photos:
    """Faces that list pictures of another data set."""
    if names:
        pd.DataFrame({"image": names}).to_csv(folder / "leave_out.csv", index=False)
    return Photos(folder, pd.DataFrame({"image": ["images/0.jpg"]}), ["all"], torch.tensor([0]), {})


def test_pictures_listed_by_the_explained_faces_are_left_out_wherever_they_lie(tmp_path):
    photos = people({(0,): 4})
    photos.table["image"] = ["source/img/000001.jpg", "000002.jpg", "a\\000003.jpg", "000001.jpg/000004.jpg"]
    found, repeated = subsets.without(photos, explained(tmp_path, "000001.jpg", "000003.jpg", "999999.jpg"))
    assert found.table["image"].tolist() == ["000002.jpg", "000001.jpg/000004.jpg"]
    assert repeated == 2
    assert found.labels.tolist() == [0, 0]
    assert len(photos) == 4  # the given pictures are as they were


def test_without_a_list_every_picture_may_be_learnt_from(tmp_path):
    photos = people({(0,): 4})
    assert subsets.without(photos, explained(tmp_path)) == (photos, 0)


def test_a_list_of_every_picture_is_refused(tmp_path):
    faces = explained(tmp_path, "train0.png", "train1.png")
    with pytest.raises(CourseError, match=r"all 2 pictures are in .*leave_out\.csv; learn from another data set"):
        subsets.without(people({(0,): 2}), faces)
