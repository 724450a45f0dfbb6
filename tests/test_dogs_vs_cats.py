"""data_scripts/public/dogs_vs_cats.py on small folders and archives as Microsoft and Kaggle lay them out."""

import hashlib
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from data_scripts.getting import prepare
from data_scripts.public import dogs_vs_cats
from helpers import pictures as data
from helpers.errors import CourseError


def paint(file: Path):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 6), (200, 90, 30)).save(file, "JPEG")


def microsoft(folder: Path) -> Path:
    """Ten cats and ten dogs, of which Cat/3.jpg is empty and Dog/4.jpg cut short, and what systems leave in folders."""
    for name in ("Cat", "Dog"):
        for i in range(10):
            paint(folder / "PetImages" / name / (f"{i}.JPG" if i == 7 else f"{i}.jpg"))
        (folder / "PetImages" / name / "Thumbs.db").write_bytes(b"x")
    (folder / "PetImages" / "Cat" / "._0.jpg").write_bytes(b"x")
    (folder / "PetImages" / "Cat" / "3.jpg").write_bytes(b"")
    cut = folder / "PetImages" / "Dog" / "4.jpg"
    cut.write_bytes(cut.read_bytes()[:-20])
    (folder / "readme[1].txt").write_text("x")
    (folder / "MSR-LA - 3467.docx").write_bytes(b"x")
    return folder


def kaggle(folder: Path) -> Path:
    for label in ("cat", "dog"):
        for i in range(10):
            paint(folder / "train" / f"{label}.{i}.jpg")
    (folder / "train" / "Thumbs.db").write_bytes(b"x")
    return folder


def packed(folder: Path, archive: Path) -> Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as out:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                out.write(file, str(file.relative_to(folder)))
    return archive


def prepared(tmp_path, given) -> pd.DataFrame:
    prepare.prepare("dogs_vs_cats", tmp_path / "root", given, online=False)
    return pd.read_csv(tmp_path / "root" / "dogs_vs_cats" / "index.csv", dtype=str)


def split_of(table) -> dict:
    names = table["image"].str.lower().str.extract(r"(\w+)[./](\d+)\.jpg").agg(".".join, axis=1)
    return dict(zip(names, table["split"], strict=True))


def test_microsofts_folders_become_two_classes(tmp_path, data_home):
    prepared(tmp_path, microsoft(tmp_path / "upstream"))
    photos = data.load(tmp_path / "root" / "dogs_vs_cats")
    assert photos.classes == ["cat", "dog"]
    assert photos.outputs.tolist() == [0, 1]
    assert photos.table["label"].value_counts().to_dict() == {"cat": 9, "dog": 9}
    folders = photos.table["image"].str.split("/").str[2].str.lower()
    assert (folders == photos.table["label"]).all()


def test_the_broken_files_are_left_out_and_said(tmp_path):
    prepared(tmp_path, microsoft(tmp_path / "upstream"))
    out = pd.read_csv(tmp_path / "root" / "dogs_vs_cats" / "left_out.csv").set_index("image")["reason"]
    assert list(out.index) == ["source/PetImages/Cat/3.jpg", "source/PetImages/Dog/4.jpg"]
    assert "empty" in out.iloc[0]
    assert "runcated" in out.iloc[1]


def test_microsofts_archive_is_unpacked_when_its_checksum_is_right(tmp_path, monkeypatch):
    archive = packed(microsoft(tmp_path / "upstream"), tmp_path / "given" / "kagglecatsanddogs_5340.zip")
    with pytest.raises(CourseError, match="b7974bd00a84a999"):
        prepared(tmp_path, archive.parent)
    (part,) = dogs_vs_cats.DATASET.layouts["Microsoft"]
    known = replace(part, checksum="sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest())
    layouts = dogs_vs_cats.DATASET.layouts | {"Microsoft": (known,)}
    monkeypatch.setattr(dogs_vs_cats, "DATASET", replace(dogs_vs_cats.DATASET, layouts=layouts))
    assert len(prepared(tmp_path, archive.parent)) == 18


def test_kaggles_labels_are_in_the_names(tmp_path):
    table = prepared(tmp_path, kaggle(tmp_path / "upstream"))
    assert table["image"].str.extract(r"source/train/(\w+)\.\d+\.jpg$")[0].tolist() == table["label"].tolist()
    assert table["label"].tolist() == ["cat"] * 10 + ["dog"] * 10


def test_kaggles_archive_is_found_alone_and_inside_the_outer_one(tmp_path):
    inner = packed(kaggle(tmp_path / "upstream"), tmp_path / "inner" / "train.zip")
    outer = tmp_path / "outer" / "dogs-vs-cats.zip"
    outer.parent.mkdir()
    with zipfile.ZipFile(outer, "w") as out:
        out.write(inner, "train.zip")
        out.writestr("sampleSubmission.csv", "id,label\n")
    alone = prepared(tmp_path / "a", inner.parent)
    inside = prepared(tmp_path / "b", outer.parent)
    assert len(alone) == 20
    assert alone.equals(inside)


def test_an_outer_archive_without_the_inner_one_is_named(tmp_path):
    outer = tmp_path / "outer" / "dogs-vs-cats.zip"
    outer.parent.mkdir()
    with zipfile.ZipFile(outer, "w") as out:
        out.writestr("sampleSubmission.csv", "id,label\n")
    with pytest.raises(CourseError, match=r"train\.zip is|train\.zip.*not in it"):
        prepared(tmp_path, outer.parent)


def test_a_stray_picture_in_kaggles_folder_is_left_out(tmp_path):
    folder = kaggle(tmp_path / "upstream")
    paint(folder / "train" / "cover.jpg")
    assert len(prepared(tmp_path, folder)) == 20
    out = pd.read_csv(tmp_path / "root" / "dogs_vs_cats" / "left_out.csv")
    assert out["image"].tolist() == ["source/train/cover.jpg"]
    assert "neither cat" in out["reason"][0]


def test_the_train_folder_of_another_data_set_is_refused(tmp_path):
    paint(tmp_path / "upstream" / "train" / "n01440764" / "a.jpg")
    with pytest.raises(CourseError, match=r"no cat\.0\.jpg.*n01440764"):
        prepared(tmp_path, tmp_path / "upstream")


def test_petimages_without_dogs_is_refused(tmp_path):
    paint(tmp_path / "upstream" / "PetImages" / "Cat" / "0.jpg")
    with pytest.raises(CourseError, match=r"Dog: no such folder; PetImages holds Cat and Dog"):
        prepared(tmp_path, tmp_path / "upstream")


def test_every_class_is_divided_alike(tmp_path):
    table = prepared(tmp_path, kaggle(tmp_path / "upstream"))
    for _, one in table.groupby("label"):
        assert one["split"].value_counts().to_dict() == {"train": 8, "val": 1, "test": 1}


def test_both_forms_divide_the_same_names_alike(tmp_path):
    one = split_of(prepared(tmp_path / "a", kaggle(tmp_path / "kaggle")))
    other = split_of(prepared(tmp_path / "b", microsoft(tmp_path / "microsoft")))
    assert len(other) == 18
    assert other.items() <= one.items()


def test_the_split_does_not_depend_on_the_order_of_the_files():
    names = [f"cat.{i}" for i in range(200)]
    one = dict(zip(names, dogs_vs_cats.splits(names), strict=True))
    other = dict(zip(names[::-1], dogs_vs_cats.splits(names[::-1]), strict=True))
    assert one == other
    assert Counter(one.values()) == {"train": 160, "val": 20, "test": 20}
    assert set(list(one.values())[:160]) == {"train", "val", "test"}  # no split is one end of the list


def test_the_split_is_the_one_it_always_was():
    # the tenths of lowest SHA-256; another rule would mix what was trained on with what is tested
    names = [f"cat.{i}" for i in range(10)]
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    found = dict(zip(names, dogs_vs_cats.splits(names), strict=True))
    assert [found[name] for name in ranked] == ["test", "val", *["train"] * 8]
