"""data_scripts/public/pets.py on a small copy of its layout."""

import csv
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import OxfordIIITPet

from data_scripts.getting.prepare import prepare
from data_scripts.public import pets
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.pictures import objects

PARTS = pets.DATASET.layouts["archives"]
TRIMAP = np.full((6, 8), 2, np.uint8)  # background, a pet of 2 x 2 pixels, and the border around it
TRIMAP[1:5, 1:5], TRIMAP[2:4, 2:4] = 3, 1
HEAD = "#Image CLASS-ID SPECIES BREED ID\n#SPECIES: 1:Cat 2:Dog\n"


@pytest.fixture
def upstream(tmp_path):
    """What the two archives hold: 22 cats and a dog in trainval.txt, a cat and a dog in test.txt."""
    root = tmp_path / "upstream"
    for folder in ("images", "annotations/trimaps", "annotations/xmls"):
        (root / folder).mkdir(parents=True)
    train = [(f"British_Shorthair_{i}", "8 1 5") for i in range(100, 122)] + [("american_bulldog_10", "2 2 1")]
    test = [("British_Shorthair_7", "8 1 5"), ("american_bulldog_2", "2 2 1")]
    for file, rows in (("trainval.txt", train), ("test.txt", test)):
        (root / "annotations" / file).write_text("".join(f"{name} {ids}\n" for name, ids in rows))
    (root / "annotations/list.txt").write_text(HEAD + "".join(f"{name} {ids}\n" for name, ids in train + test))
    for name, _ in train + test:
        Image.new("RGB", (8, 6)).save(root / f"images/{name}.jpg")
        Image.fromarray(TRIMAP).save(root / f"annotations/trimaps/{name}.png")
        (root / f"annotations/trimaps/._{name}.png").write_bytes(b"Mac OS X")
    (root / "images/british_shorthair.mat").write_bytes(b"MATLAB")
    (root / "images/Thumbs.db").write_bytes(b"Windows")
    return root


def left_out(data_home):
    with (data_home / "pets" / "left_out.csv").open() as file:
        return {row["image"].split("/")[-1]: row["reason"] for row in csv.DictReader(file)}


def test_label_breed_and_split_are_those_of_the_lists(upstream, data_home):
    (upstream / "images/american_bulldog_2.jpg").rename(upstream / "images/american_bulldog_2.JPG")
    said = prepare("pets", data_home, upstream)
    photos = data.load("pets")
    assert photos.classes == ["cat", "dog"]
    assert photos.table.groupby(["split", "label", "breed"]).size().to_dict() == {
        ("train", "cat", "British_Shorthair"): 20, ("val", "cat", "British_Shorthair"): 2,
        ("train", "dog", "american_bulldog"): 1,
        ("test", "cat", "British_Shorthair"): 1, ("test", "dog", "american_bulldog"): 1,
    }  # fmt: skip
    kept_back = photos.split("val").table["image"].str.extract(r"_(\d+)\.jpg")[0].tolist()
    assert kept_back == ["109", "119"]
    assert said[0].endswith("25 pictures (train 21, val 2, test 2)")
    assert any("border" in line for line in said)


def test_a_mask_has_the_pet_the_border_and_else_background(upstream, data_home):
    prepare("pets", data_home, upstream)
    photos = data.load("pets")
    assert photos.regions == {0: "background", 1: "pet", 2: "border"}
    expected = np.select([TRIMAP == 1, TRIMAP == 3], [1, 2], 0)
    assert (photos.masks([24])[0] == expected).all()
    assert Image.open(photos.root / photos.table["mask"].iloc[0]).mode == "P"
    assert np.unique(TRIMAP, return_counts=True)[1].tolist() == [4, 32, 12]
    assert objects.object_masks(photos.rows([0]), 6).float().mean() == pytest.approx(16 / 48, abs=0.06)  # 8 -> 6 wide


def test_pictures_without_a_file_a_trimap_or_sense_are_left_out_and_listed(upstream, data_home):
    (upstream / "images/British_Shorthair_100.jpg").unlink()
    (upstream / "annotations/trimaps/British_Shorthair_101.png").unlink()
    Image.fromarray(np.full((6, 8), 9, np.uint8)).save(upstream / "annotations/trimaps/British_Shorthair_102.png")
    (upstream / "annotations/trimaps/British_Shorthair_103.png").write_bytes(b"")
    Image.new("P", (8, 6)).save(upstream / "images/British_Shorthair_104.jpg", "GIF")  # there are such upstream, well
    Image.new("RGB", (8, 6)).save(upstream / "images/British_Shorthair_105.jpg", "PNG")  # and such, which are well
    cut = upstream / "images/British_Shorthair_106.jpg"
    Image.effect_noise((8, 6), 90).resize((80, 60)).save(cut)
    cut.write_bytes(cut.read_bytes()[:-200])
    Image.new("RGB", (9, 6)).save(upstream / "images/British_Shorthair_107.jpg")
    said = prepare("pets", data_home, upstream)
    reasons = {name.removeprefix("British_Shorthair_"): reason for name, reason in left_out(data_home).items()}
    assert reasons.keys() == {f"{i}.jpg" for i in (100, 101, 102, 103, 106, 107)}
    for i, words in (
        *((100, "no such file"), (101, "no trimap"), (102, "holds [9]"), (103, "its trimap: the file is empty")),
        *((106, "truncated"), (107, "mask of 8 x 6 pixels for a picture of 9 x 6")),
    ):
        assert words in reasons[f"{i}.jpg"]
    photos = data.load("pets")
    assert len(photos) == 25 - 6
    assert photos.notes == ("1 picture(s) with a palette, read as RGB",)
    assert "6 left out" in said[1]


def test_it_is_unpacked_from_its_archives(upstream, data_home, tmp_path, monkeypatch):
    (tmp_path / "downloads").mkdir()
    for folder in ("images", "annotations"):
        with tarfile.open(tmp_path / "downloads" / f"{folder}.tar.gz", "w:gz") as out:
            out.add(upstream / folder, folder)
    with pytest.raises(CourseError, match=f"images.tar.gz: md5 is .* expected {PARTS[0].checksum[4:]}"):
        prepare("pets", data_home, tmp_path / "downloads", online=False)
    parts = tuple(replace(part, checksum="") for part in PARTS)
    monkeypatch.setattr(pets, "DATASET", replace(pets.DATASET, layouts={"archives": parts}))
    prepare("pets", data_home, tmp_path / "downloads", online=False)
    assert len(data.load("pets")) == 25


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("british_1 8 3 5\n", "species of british_1 is '3'"),
        ("british_1 8\n", "2 columns"),
        ("", "not readable"),
        ("british_1 8 1 5\nbritish_2 8 1 5 9 9\n", "not readable"),
        (None, "not readable"),
    ],
)
def test_a_list_that_is_none_is_named(upstream, data_home, text, said):
    file = upstream / "annotations/test.txt"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(CourseError, match=said) as caught:
        prepare("pets", data_home, upstream)
    assert "annotations/test.txt" in str(caught.value)
    assert "name class_id species breed_id" in str(caught.value)
    assert not (data_home / "pets").exists()


def test_urls_and_checksums_are_those_of_torchvision():
    assert tuple((part.url, part.checksum.removeprefix("md5:")) for part in PARTS) == OxfordIIITPet._RESOURCES
