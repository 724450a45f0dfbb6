"""data_scripts/public/fairface.py on a small copy of its layout; and real samples through the own-folder door."""

import csv
import json
import shutil
import zipfile

import pytest
from PIL import Image

from data_scripts.getting.prepare import prepare
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.pictures import subsets

HEAD = "file,age,gender,race,service_test\n"
ROWS = {
    "train": (
        "train/1.jpg,50-59,Male,East Asian,True\ntrain/2.jpg,30-39,Female,Indian,False\n"
        "train/3.jpg,3-9,Female,Black,False\ntrain/4.jpg,more than 70,Male,Latino_Hispanic,True\n"
    ),
    "val": "val/1.jpg,3-9,Male,East Asian,False\nval/2.jpg,50-59,Female,Black,True\n",
}


def faces(folder, side):
    for split, number in (("train", 4), ("val", 2)):
        (folder / split).mkdir(parents=True)
        for i in range(1, number + 1):
            Image.new("RGB", (side, side), (200, 150, 120)).save(folder / split / f"{i}.jpg")
        (folder / split / "Thumbs.db").write_bytes(b"Windows")
        (folder / split / "._1.jpg").write_bytes(b"Mac OS X")
    return folder


def labels(folder):
    for split, rows in ROWS.items():
        (folder / f"fairface_label_{split}.csv").write_text(HEAD + rows)
    return folder


@pytest.fixture
def upstream(tmp_path):
    """train/ and val/ as the zip has them, beside the two label files."""
    return labels(faces(tmp_path / "upstream", 28))


def left_out(data_home):
    with (data_home / "fairface" / "left_out.csv").open() as file:
        return {row["image"]: row["reason"] for row in csv.DictReader(file)}


def test_age_gender_and_race_are_columns_in_fairfaces_words(upstream, data_home):
    said = prepare("fairface", data_home, upstream)
    table = data.load("fairface").table
    columns = ["image", "split", "label", "age", "gender", "race", "service_test"]
    assert table[columns].values.tolist() == [
        ["source/train/1.jpg", "train", "all", "50-59", "Male", "East Asian", 1],
        ["source/train/2.jpg", "train", "all", "30-39", "Female", "Indian", 0],
        ["source/train/3.jpg", "train", "all", "3-9", "Female", "Black", 0],
        ["source/train/4.jpg", "train", "all", "more than 70", "Male", "Latino_Hispanic", 1],
        ["source/val/1.jpg", "val", "all", "3-9", "Male", "East Asian", 0],
        ["source/val/2.jpg", "val", "all", "50-59", "Female", "Black", 1],
    ]
    assert subsets.values(data.load("fairface"), "race=Black").tolist() == [0, 0, 1, 0, 0, 1]
    assert said[0].endswith("6 pictures (train 4, val 2)")
    assert said[-1].startswith("Pictures of 28 x 28 pixels")


def test_pictures_one_folder_too_deep_are_told(upstream, data_home):
    for split in ROWS:
        (upstream / split).rename(upstream / "aside")
        (upstream / split).mkdir()
        (upstream / "aside").rename(upstream / split / "deeper")
    with pytest.raises(CourseError, match="no readable picture .*train/1.jpg: listed in fairface_label_train.csv, but"):
        prepare("fairface", data_home, upstream)


def test_the_other_margin_takes_the_place_of_the_first(upstream, data_home, tmp_path):
    prepare("fairface", data_home, upstream)
    other = labels(faces(tmp_path / "other", 56))
    said = prepare("fairface", data_home, other, force=True)
    assert said[-1].startswith("Pictures of 56 x 56 pixels")


@pytest.mark.parametrize("margin", ["margin025", "margin125"])
def test_it_is_unpacked_from_the_zip_of_either_margin(upstream, data_home, tmp_path, margin):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with zipfile.ZipFile(downloads / f"fairface-img-{margin}-trainval.zip", "w") as out:
        for split in ("train", "val"):
            for file in (upstream / split).iterdir():
                out.write(file, f"{split}/{file.name}")
    for split in ROWS:
        shutil.copy(upstream / f"fairface_label_{split}.csv", downloads)
    prepare("fairface", data_home, downloads)
    assert len(data.load("fairface")) == 6
    assert json.loads((data_home / "fairface" / "dataset.json").read_text())["layout"] == margin


def test_of_both_margins_in_folders_of_their_own_the_close_one_is_taken(data_home, tmp_path):
    upstream = labels(faces(tmp_path / "upstream" / "margin025", 28).parent)
    faces(upstream / "margin125", 56)
    said = prepare("fairface", data_home, upstream)
    photos = data.load("fairface")
    assert set(photos.table["image"].str.split("/").str[1]) == {"margin025"}
    assert len(photos) == 6
    assert any("28 x 28" in line for line in said)


def test_one_margin_in_the_folder_its_zip_is_named_for_is_found(data_home, tmp_path):
    upstream = faces(tmp_path / "upstream" / "fairface-img-margin125-trainval", 56).parent
    said = prepare("fairface", data_home, labels(upstream))
    assert len(data.load("fairface")) == 6
    assert any("56 x 56" in line for line in said)


def test_white_space_a_byte_order_mark_and_shouting_suffixes_do_not_matter(upstream, data_home):
    text = HEAD.replace(",", " , ") + ROWS["train"].replace(",", ", ").replace("\n", " \r\n")
    (upstream / "fairface_label_train.csv").write_text(text, encoding="utf-8-sig", newline="")
    (upstream / "train/1.jpg").rename(upstream / "train/1.JPG")
    prepare("fairface", data_home, upstream)
    first = data.load("fairface").table.iloc[0]
    assert first[["image", "age", "race", "service_test"]].tolist() == ["source/train/1.JPG", "50-59", "East Asian", 1]


def test_faces_without_a_file_a_row_or_an_end_are_left_out_and_listed(upstream, data_home):
    (upstream / "train/2.jpg").unlink()
    shutil.copy(upstream / "val/1.jpg", upstream / "val/9.jpg")
    cut = upstream / "train/3.jpg"
    cut.write_bytes(cut.read_bytes()[:-20])
    prepare("fairface", data_home, upstream)
    found = left_out(data_home)
    assert found.keys() == {"source/train/2.jpg", "source/val/9.jpg", "source/train/3.jpg"}
    assert found["source/train/2.jpg"] == "listed in fairface_label_train.csv, but there is no such file"
    assert found["source/val/9.jpg"] == "fairface_label_val.csv has no row for it"
    assert "truncated" in found["source/train/3.jpg"]
    assert len(data.load("fairface")) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,age,gender,race\nval/1.jpg,3-9,Male,Black\n", "service_test missing; it has: file, age, gender, race"),
        (HEAD + "val/1.jpg,3-9,Male,Black,maybe\n", "service_test of val/1.jpg is 'maybe'; expected True or False"),
        ("", "not a readable CSV"),
    ],
)
def test_a_label_file_that_is_none_is_named(upstream, data_home, text, said):
    (upstream / "fairface_label_val.csv").write_text(text)
    with pytest.raises(CourseError, match=said) as caught:
        prepare("fairface", data_home, upstream)
    assert "fairface_label_val.csv" in str(caught.value)
    assert not (data_home / "fairface").exists()


def some(real_data, tmp_path, name, kept):
    """A few of the real pictures of a folder, and what belongs to them, linked: all are too many to decode here."""
    for file in kept:
        (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / file).symlink_to(real_data / name / file)
    return tmp_path / name


def test_real_faces_with_labels_beside_them_are_a_data_set(real_data, data_home, tmp_path):
    with (real_data / "fairface" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))[:4]
    folder = some(real_data, tmp_path, "fairface", ["labels.csv", *(f"images/{row['file']}" for row in rows)])
    photos = data.load(folder)
    found = photos.table.set_index("image")[["age", "gender", "race"]].to_dict("index")
    assert found == {f"images/{row.pop('file')}": row for row in rows}
    assert photos.images([0], 224).float().std() > 10


def test_real_dogs_in_a_folder_a_breed_are_a_data_set(real_data, data_home, tmp_path):
    folders = sorted(p for p in (real_data / "imagewoof320").iterdir() if p.is_dir())
    files = [str(sorted(folder.iterdir())[0].relative_to(real_data / "imagewoof320")) for folder in folders]
    photos = data.load(some(real_data, tmp_path, "imagewoof320", ["classes.csv", *files]))
    assert photos.table["label"].tolist() == [folder.name for folder in folders]
    assert photos.table["image"].tolist() == files
    assert set(photos.outputs.tolist()) <= {*range(151, 269), 273}  # ImageNet's dogs, and the dingo
    assert "Samoyed" in photos.classes


def test_real_faces_with_masks_beside_them_are_a_data_set(real_data, data_home, tmp_path):
    names = sorted(p.stem for p in (real_data / "celebamask512" / "images").iterdir())[:2]
    files = [f"images/{name}.jpg" for name in names] + [f"masks/{name}.png" for name in names]
    photos = data.load(some(real_data, tmp_path, "celebamask512", ["regions.csv", *files]))
    assert (len(photos), len(photos.regions)) == (2, 19)
    skin = next(i for i, name in photos.regions.items() if name == "skin")
    shares = [(mask == skin).mean() for mask in photos.masks(range(2))]
    assert all(0.1 < share < 0.6 for share in shares)
