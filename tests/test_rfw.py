"""data_scripts/public/rfw.py on a small copy of its layout."""

import csv
import json
import shutil
import tarfile

import pytest
from PIL import Image

from data_scripts.getting.prepare import prepare
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.pictures import subsets

RACES = ("African", "Asian", "Caucasian", "Indian")
POINTS = "150.5 170.0 249.25 171.0 200.0 220.0 160.0 270.0 240.0 271.5"


@pytest.fixture
def upstream(tmp_path):
    """test/data and test/txts: a person with two pictures in each race; m.023915 is in two races, as upstream."""
    root = tmp_path / "upstream" / "test"
    for race in RACES:
        people = ["m.0xnkj"] if race == "Indian" else ["m.023915"] if race in ("African", "Asian") else ["m.01pw5d"]
        names = [f"{person}_000{i}.jpg" for person in people for i in (1, 2)]
        for name in names:
            folder = root / "data" / race / name.rsplit("_", 1)[0]
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 40), (90, 60, 40)).save(folder / name)
        (folder / "Thumbs.db").write_bytes(b"Windows")
        (folder / f"._{names[0]}").write_bytes(b"Mac OS X")
        (root / "data" / race / ".DS_Store").write_bytes(b"Mac OS X")
        texts = root / "txts" / race
        texts.mkdir(parents=True)
        (texts / f"{race}_images.txt").write_text("".join(f"{name}\t0\n" for name in names))
        lines = [f"/test/data/{race}/{name.rsplit('_', 1)[0]}/{name} 0 {POINTS}" for name in names]
        (texts / f"{race}_lmk.txt").write_text("".join(line.replace(" ", "\t") + "\n" for line in lines))
        (texts / f"{race}_pairs.txt").write_text(f"{people[0]}\t1\t2\n")
        (texts / f"{race}_people.txt").write_text(f"{people[0]}\t2\n")
    return tmp_path / "upstream"


def left_out(data_home):
    with (data_home / "rfw" / "left_out.csv").open() as file:
        return {row["image"]: row["reason"] for row in csv.DictReader(file)}


def test_race_identity_and_landmarks_are_columns(upstream, data_home):
    said = prepare("rfw", data_home, upstream)
    photos = data.load("rfw")
    columns = ["image", "split", "label", "race", "rfw_race", "identity", "landmarks"]
    image = "source/test/data/African/m.023915/m.023915_0001.jpg"
    assert photos.table[columns].iloc[0].tolist() == [image, "test", "all", "Black", "African", "m.023915", POINTS]
    assert photos.table.groupby(["rfw_race", "race"]).size().to_dict() == {
        ("African", "Black"): 2, ("Asian", "Asian"): 2, ("Caucasian", "White"): 2, ("Indian", "Indian"): 2
    }  # fmt: skip
    assert said[0].endswith("8 pictures (test 8)")
    assert said[-1].startswith("1 name(s) of people are in more than one race")


def test_an_attribute_asked_of_fairface_means_the_same_here(upstream, data_home):
    said = prepare("rfw", data_home, upstream)
    assert subsets.values(data.load("rfw"), "race=Black").tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    with pytest.raises(CourseError, match="Asian, Black, Indian, White"):
        subsets.values(data.load("rfw"), "race=African")
    assert any("FairFace's words" in line for line in said)


def test_it_is_unpacked_from_its_archive(upstream, data_home, tmp_path):
    (tmp_path / "downloads").mkdir()
    with tarfile.open(tmp_path / "downloads" / "test.tar.gz", "w:gz") as out:
        out.add(upstream / "test", "test")
    prepare("rfw", data_home, tmp_path / "downloads")
    photos = data.load("rfw")
    assert len(photos) == 8
    assert set(photos.table["landmarks"]) == {POINTS}


def test_the_folder_with_data_and_txts_may_be_given_itself(upstream, data_home):
    prepare("rfw", data_home, upstream / "test")
    photos = data.load("rfw")
    assert photos.table["image"].iloc[0] == "source/data/African/m.023915/m.023915_0001.jpg"
    assert set(photos.table["landmarks"]) == {POINTS}
    assert json.loads((data_home / "rfw" / "dataset.json").read_text())["layout"] == "data"


def test_without_texts_there_are_just_no_landmarks(upstream, data_home):
    shutil.rmtree(upstream / "test" / "txts")
    prepare("rfw", data_home, upstream)
    photos = data.load("rfw")
    assert len(photos) == 8
    assert "landmarks" not in photos.table


def test_landmarks_of_another_form_are_left_and_told(upstream, data_home):
    (upstream / "test/txts/Asian/Asian_lmk.txt").write_text("m.023915_0001.jpg 0 1 2 3\nm.023915_0002.jpg 0 1 2 3\n")
    said = prepare("rfw", data_home, upstream)
    table = data.load("rfw").table
    assert table.groupby("rfw_race")["landmarks"].unique().str[0].to_dict() == {
        "African": POINTS, "Asian": "", "Caucasian": POINTS, "Indian": POINTS
    }  # fmt: skip
    assert any(line.startswith("Asian_lmk.txt has 5 columns, expected path, label and 10 numbers") for line in said)


def test_faces_without_a_file_or_an_end_are_left_out_and_shouting_ones_kept(upstream, data_home):
    african, indian = upstream / "test/data/African/m.023915", upstream / "test/data/Indian/m.0xnkj"
    (african / "m.023915_0002.jpg").unlink()
    (indian / "m.0xnkj_0001.jpg").rename(indian / "m.0xnkj_0001.JPG")
    cut = indian / "m.0xnkj_0002.jpg"
    cut.write_bytes(cut.read_bytes()[:-20])
    prepare("rfw", data_home, upstream)
    found = left_out(data_home)
    gone = "source/test/data/African/m.023915/m.023915_0002.jpg"
    assert found.keys() == {gone, "source/test/data/Indian/m.0xnkj/m.0xnkj_0002.jpg"}
    assert found[gone] == "listed in African_images.txt, but there is no such file"
    kept = data.load("rfw").table
    assert len(kept) == 6
    assert kept[kept["image"].str.endswith(".JPG")]["landmarks"].tolist() == [POINTS]


def test_a_race_without_a_folder_and_an_empty_text_are_named(upstream, data_home):
    (upstream / "test/txts/African/African_images.txt").write_text("")
    with pytest.raises(CourseError, match=r"African_images\.txt: not a table"):
        prepare("rfw", data_home, upstream)
    shutil.rmtree(upstream / "test/data/African")
    with pytest.raises(CourseError, match="data/African: no such folder; expected African, Asian, Caucasian, Indian"):
        prepare("rfw", data_home, upstream)
    assert not (data_home / "rfw").exists()
