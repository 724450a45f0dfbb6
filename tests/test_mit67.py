"""data_scripts/public/mit67.py on a small folder in the layout of indoorCVPR_09.tar and the two lists."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from data_scripts.getting import prepare
from data_scripts.public import mit67
from helpers import pictures as data
from helpers.errors import CourseError

AUTHORS = mit67.DATASET
TRAIN = ("kitchen/int474.jpg", "kitchen/cdmc8_1.jpg", "airport_inside/airport_inside_0389.jpg")
TEST = ("airport_inside/Terminal_2.jpg", "kitchen/indoor_0460.jpg")


def paint(file: Path, kind: str = "JPEG"):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("P" if kind == "GIF" else "RGB", (9, 6)).save(file, kind)


def upstream(folder: Path, train=TRAIN, test=TEST) -> Path:
    """Five listed photos, one of them with other letters' case on disk, and two that no list names."""
    for name in (*TRAIN, *TEST, "kitchen/not_listed.jpg", "zoo/alone.jpg"):
        paint(folder / "Images" / name.replace("int474.jpg", "Int474.JPG"))
    (folder / "Images" / "kitchen" / "Thumbs.db").write_bytes(b"x")
    (folder / "Images" / "kitchen" / "._cdmc8_1.jpg").write_bytes(b"x")
    (folder / "Images" / ".DS_Store").write_bytes(b"x")
    (folder / "TrainImages.txt").write_text("\n".join(train) + "\n")
    (folder / "TestImages.txt").write_text("\n".join(test))  # upstream's last line may have no end
    return folder


@pytest.fixture(autouse=True)
def any_lists(monkeypatch):
    """The lists of the fixture have other checksums than those of the authors."""
    layouts = {"authors": tuple(replace(part, checksum="") for part in AUTHORS.layouts["authors"])}
    monkeypatch.setattr(mit67, "DATASET", replace(AUTHORS, layouts=layouts))


def prepared(tmp_path, given) -> pd.DataFrame:
    prepare.prepare("mit67", tmp_path / "root", given, online=False)
    return pd.read_csv(tmp_path / "root" / "mit67" / "index.csv", dtype=str).set_index("image")


def left_out(tmp_path) -> pd.Series:
    return pd.read_csv(tmp_path / "root" / "mit67" / "left_out.csv").set_index("image")["reason"]


def test_the_lists_give_the_split_and_the_folders_the_label(tmp_path):
    table = prepared(tmp_path, upstream(tmp_path / "upstream"))
    assert table["split"].value_counts().to_dict() == {"train": 3, "test": 2}
    assert table.loc["source/Images/airport_inside/Terminal_2.jpg"].tolist() == ["test", "airport_inside"]
    assert table.loc["source/Images/kitchen/cdmc8_1.jpg"].tolist() == ["train", "kitchen"]


def test_classes_are_those_of_the_lists_in_the_order_of_the_alphabet(tmp_path, data_home):
    prepared(tmp_path, upstream(tmp_path / "upstream"))
    photos = data.load(tmp_path / "root" / "mit67")
    assert photos.classes == ["airport inside", "kitchen"]  # and no zoo
    assert photos.outputs.tolist() == [0, 1]


def test_a_class_whose_photos_are_all_missing_keeps_its_number(tmp_path):
    prepared(tmp_path, upstream(tmp_path / "upstream", train=(*TRAIN, "bakery/b1.jpg")))
    classes = pd.read_csv(tmp_path / "root" / "mit67" / "classes.csv")
    assert classes[["folder", "index"]].values.tolist() == [["airport_inside", 0], ["bakery", 1], ["kitchen", 2]]


def test_photos_in_no_list_are_counted_and_not_listed_one_by_one(tmp_path):
    said = prepare.prepare("mit67", tmp_path / "root", upstream(tmp_path / "upstream"), online=False)
    assert any("2 of 7 photos are in neither TrainImages.txt nor TestImages.txt" in line for line in said)
    assert not (tmp_path / "root" / "mit67" / "left_out.csv").exists()


def test_a_name_in_other_letters_case_is_the_file_that_is_there(tmp_path):
    table = prepared(tmp_path, upstream(tmp_path / "upstream"))
    assert table.loc["source/Images/kitchen/Int474.JPG", "split"] == "train"


def test_the_exact_name_goes_before_one_in_other_case():
    there = ["kitchen/A.jpg", "kitchen/a.jpg", "kitchen/B.JPG"]
    found = mit67.matched(pd.Series(["kitchen/A.jpg", "kitchen/a.jpg", "kitchen/b.jpg", "kitchen/c.jpg"]), there)
    assert found.tolist()[:3] == ["kitchen/A.jpg", "kitchen/a.jpg", "kitchen/B.JPG"]
    assert found.isna().tolist() == [False, False, False, True]


def test_a_listed_photo_without_a_file_is_left_out_with_its_list(tmp_path):
    table = prepared(tmp_path, upstream(tmp_path / "upstream", test=(*TEST, "kitchen/gone.jpg")))
    assert len(table) == 5
    assert left_out(tmp_path).to_dict() == {
        "source/Images/kitchen/gone.jpg": "listed in TestImages.txt, but there is no such file"
    }


def test_a_photo_in_both_lists_is_only_trained_on(tmp_path):
    table = prepared(tmp_path, upstream(tmp_path / "upstream", test=(*TEST, TRAIN[1])))
    assert table.loc[f"source/Images/{TRAIN[1]}", "split"] == "train"
    assert left_out(tmp_path).to_dict() == {f"source/Images/{TRAIN[1]}": "listed before; this is in TestImages.txt"}


def test_a_png_or_a_gif_under_the_name_of_a_jpeg_is_read(tmp_path):
    folder = upstream(tmp_path / "upstream")
    paint(folder / "Images" / TRAIN[1], "PNG")
    paint(folder / "Images" / TRAIN[2], "GIF")
    (folder / "Images" / TEST[0]).write_bytes(b"\xff\xd8 cut short")
    table = prepared(tmp_path, folder)
    assert {f"source/Images/{name}" for name in TRAIN[1:3]} <= {*table.index}
    assert [*left_out(tmp_path).index] == [f"source/Images/{TEST[0]}"]


def test_a_line_that_names_no_photo_of_a_class_is_refused(tmp_path):
    folder = upstream(tmp_path / "upstream", train=(*TRAIN, "", "kitchen"))
    with pytest.raises(CourseError, match=r"TrainImages\.txt: line 5 is 'kitchen'; expected class/photo\.jpg"):
        prepared(tmp_path, folder)


def test_lines_may_end_as_on_windows(tmp_path):
    folder = upstream(tmp_path / "upstream")
    (folder / "TestImages.txt").write_bytes("\r\n".join(TEST).encode() + b"\r\n\r\n")
    assert (prepared(tmp_path, folder)["split"] == "test").sum() == 2


def test_the_archive_is_unpacked_beside_the_lists(tmp_path):
    folder = upstream(tmp_path / "upstream")
    with tarfile.open(folder / "indoorCVPR_09.tar", "w") as out:
        out.add(folder / "Images", "Images")
    (folder / "Images").rename(tmp_path / "aside")
    assert len(prepared(tmp_path, folder)) == 5
    assert (tmp_path / "root" / "sources" / "mit67" / "Images" / "kitchen").is_dir()


def test_lists_of_another_checksum_than_the_authors_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(mit67, "DATASET", AUTHORS)
    with pytest.raises(CourseError, match=r"TrainImages\.txt: sha256 is .*expected 7ec85f88"):
        prepared(tmp_path, upstream(tmp_path / "upstream"))


def test_the_photos_are_got_by_hand():
    assert AUTHORS.how == "by hand"
