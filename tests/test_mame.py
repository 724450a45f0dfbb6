"""data_scripts/public/mame.py on a small folder in the layout of MAMe_metadata.zip and MAMe_data_256.zip."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from data_scripts.getting import prepare
from data_scripts.public import mame
from helpers import pictures as data
from helpers.errors import CourseError

HEADER = "Image file,Medium,Museum,Museum-based instance ID,Subset,Width,Height,Product size,Aspect ratio"
ROWS = (
    "436018.jpg,Oil on canvas,Metropolitan Museum of Art,29.100.60,train,3144.0,3840.0,12072960.0,0.8187",
    "1919.1016.jpeg,Oil on canvas,The Cleveland Museum of Art,1919.1016,test,3592.0,4551.0,16347192.0,0.7893",
    "246328-134142.jpg,Bronze,Los Angeles County Museum of Art,246328-134142,val,3176.0,2588.0,8219488.0,1.2272",
    '709340.jpg,Albumen photograph,Metropolitan Museum of Art,"Burdick 230, N668.82",test,740.0,1255.0,928700.0,0.5896',
    "288469.jpg,Wood,Metropolitan Museum of Art,2005.100.801 (12a–d),train,2991.0,3601.0,10770591.0,0.8306",
)
FILES = tuple(row.split(",")[0] for row in ROWS)


def upstream(folder: Path, rows=ROWS, header=HEADER, pictures="data_256") -> Path:
    (folder / pictures).mkdir(parents=True)
    for name in FILES:
        Image.new("RGB", (8, 8)).save(folder / pictures / name, "JPEG")
    (folder / pictures / "Thumbs.db").write_bytes(b"x")
    (folder / pictures / "._436018.jpg").write_bytes(b"x")
    (folder / "MAMe_dataset.csv").write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    (folder / "MAMe_labels.csv").write_text("0,Albumen photograph\n1,Bronze\n")
    return folder


def prepared(tmp_path, given) -> pd.DataFrame:
    prepare.prepare("mame", tmp_path / "root", given, online=False)
    return pd.read_csv(tmp_path / "root" / "mame" / "index.csv", dtype=str).set_index("image")


def left_out(tmp_path) -> dict:
    return pd.read_csv(tmp_path / "root" / "mame" / "left_out.csv").set_index("image")["reason"].to_dict()


def test_medium_subset_and_museum_of_every_picture(tmp_path):
    table = prepared(tmp_path, upstream(tmp_path / "upstream"))
    assert table.columns.tolist() == ["split", "label", "museum"]
    assert table.loc["source/data_256/709340.jpg"].tolist() == [
        "test", "Albumen photograph", "Metropolitan Museum of Art"
    ]  # fmt: skip
    assert table["split"].tolist() == ["train", "test", "val", "test", "train"]


def test_media_are_numbered_in_the_order_of_the_alphabet(tmp_path, data_home):
    prepared(tmp_path, upstream(tmp_path / "upstream"))
    photos = data.load(tmp_path / "root" / "mame")
    assert photos.classes == ["Albumen photograph", "Bronze", "Oil on canvas", "Wood"]
    assert photos.outputs.tolist() == [0, 1, 2, 3]


def test_a_medium_keeps_its_number_where_its_pictures_are_missing(tmp_path):
    folder = upstream(tmp_path / "upstream")
    (folder / "data_256" / "246328-134142.jpg").unlink()
    prepared(tmp_path, folder)
    classes = pd.read_csv(tmp_path / "root" / "mame" / "classes.csv")
    assert classes["name"].tolist() == ["Albumen photograph", "Bronze", "Oil on canvas", "Wood"]
    assert left_out(tmp_path) == {
        "source/data_256/246328-134142.jpg": "listed in MAMe_dataset.csv, but there is no such file"
    }


def test_a_damaged_picture_is_left_out(tmp_path):
    folder = upstream(tmp_path / "upstream")
    (folder / "data_256" / "288469.jpg").write_bytes(b"\xff\xd8\xff cut short")
    assert len(prepared(tmp_path, folder)) == 4
    assert list(left_out(tmp_path)) == ["source/data_256/288469.jpg"]


def test_a_picture_listed_twice_is_taken_once(tmp_path):
    folder = upstream(tmp_path / "upstream", rows=(*ROWS, ROWS[0].replace("train", "test")))
    assert prepared(tmp_path, folder).loc["source/data_256/436018.jpg", "split"] == "train"
    assert left_out(tmp_path) == {"source/data_256/436018.jpg": "listed twice in MAMe_dataset.csv"}


def test_pictures_that_are_not_listed_are_counted(tmp_path):
    folder = upstream(tmp_path / "upstream", rows=ROWS[:3])
    said = prepare.prepare("mame", tmp_path / "root", folder, online=False)
    assert "2 pictures in data_256 are not in MAMe_dataset.csv and are not used" in said


def test_pictures_of_full_size_are_in_a_folder_called_data(tmp_path):
    table = prepared(tmp_path, upstream(tmp_path / "upstream", pictures="data"))
    assert table.index.str.startswith("source/data/").all()


def test_columns_are_found_in_any_case_and_order(tmp_path):
    header, rows = "SUBSET, image file ,medium", ("Train,436018.jpg,Bronze", "validation,709340.jpg,Wood")
    table = prepared(tmp_path, upstream(tmp_path / "upstream", rows, header))
    assert table.reset_index().values.tolist() == [
        ["source/data_256/436018.jpg", "train", "Bronze"],
        ["source/data_256/709340.jpg", "val", "Wood"],
    ]


def test_other_columns_are_refused_with_what_was_found(tmp_path):
    folder = upstream(tmp_path / "upstream", header=HEADER.replace("Medium", "Material"))
    with pytest.raises(CourseError, match=r"MAMe_dataset\.csv: column\(s\) Medium missing; it has: Image file, Mat"):
        prepared(tmp_path, folder)


def test_an_unknown_subset_is_refused_with_its_picture(tmp_path):
    folder = upstream(tmp_path / "upstream", rows=(*ROWS[:2], ROWS[2].replace(",val,", ",spare,")))
    with pytest.raises(CourseError, match=r"Subset of 246328-134142\.jpg is 'spare'; expected train, val or test"):
        prepared(tmp_path, folder)


def test_both_archives_are_unpacked(tmp_path, monkeypatch):
    folder, given = upstream(tmp_path / "upstream"), tmp_path / "given"
    given.mkdir()
    archives = {"MAMe_data_256.zip": "data_256/*", "MAMe_metadata.zip": "*.csv"}
    for name, pattern in archives.items():
        with zipfile.ZipFile(given / name, "w") as out:
            for file in sorted(folder.glob(pattern)):
                out.write(file, str(file.relative_to(folder)))
    with pytest.raises(CourseError, match=r"MAMe_metadata\.zip: md5 is .*expected 0bca980978e3883f753f01ccad955981"):
        prepared(tmp_path, given)
    sum_ = "md5:" + hashlib.md5((given / "MAMe_metadata.zip").read_bytes()).hexdigest()
    pictures, metadata = mame.DATASET.layouts["256 x 256 pixels"]
    layouts = {"256 x 256 pixels": (pictures, replace(metadata, checksum=sum_))}
    monkeypatch.setattr(mame, "DATASET", replace(mame.DATASET, layouts=layouts))
    assert len(prepared(tmp_path, given)) == 5
