"""data_scripts/public/imagenette.py on a small copy of its layout."""

import csv
import json
import shutil
import tarfile
from dataclasses import replace

import pytest
from PIL import Image
from torchvision.datasets import Imagenette

from data_scripts.getting.prepare import prepare
from data_scripts.public import imagenette
from helpers import pictures as data
from helpers.errors import CourseError

PART = imagenette.DATASET.layouts["320px"][0]


def picture(file, mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (12, 8), 90 if mode == "L" else (90, 20, 10)).save(file, "JPEG")
    return file


@pytest.fixture
def upstream(tmp_path):
    """What imagenette2-320.tgz holds, two of the ten classes, with what else lies in such folders."""
    root = tmp_path / "upstream" / "imagenette2-320"
    for name in (
        *("train/n01440764/ILSVRC2012_val_00000293.JPEG", "train/n01440764/n01440764_10026.JPEG"),
        *("train/n03888257/n03888257_10007.JPEG", "val/n01440764/n01440764_10009.JPEG"),
        *("val/n03888257/ILSVRC2012_val_00001440.JPEG", "val/n03888257/n03888257_10042.JPEG"),
    ):
        picture(root / name)
    picture(root / "train/n03888257/n03888257_10011.JPEG", mode="L")
    for stray in ("._n01440764_10026.JPEG", "Thumbs.db", ".DS_Store"):
        (root / "train/n01440764" / stray).write_bytes(b"Mac OS X")
    (root / "noisy_imagenette.csv").write_text("path,noisy_labels_0\ntrain/n01440764/n01440764_10026.JPEG,n03888257\n")
    return tmp_path / "upstream"


def test_label_is_the_class_and_its_output_the_one_of_imagenet(upstream, data_home):
    said = prepare("imagenette", data_home, upstream)
    photos = data.load("imagenette")
    assert photos.table.groupby(["split", "label"]).size().to_dict() == {
        ("train", "n01440764"): 2, ("train", "n03888257"): 2, ("val", "n01440764"): 1, ("val", "n03888257"): 2
    }  # fmt: skip
    assert (photos.classes, photos.outputs.tolist()) == (["tench", "parachute"], [0, 701])
    assert photos.images(range(len(photos)), 8).shape == (7, 3, 8, 8)
    assert said[0].endswith("imagenette: 7 pictures (train 4, val 3)")
    assert said[-1].startswith("2 of the 3 pictures in val are of ImageNet's train")
    assert not (data_home / "imagenette" / "left_out.csv").exists()


def test_it_is_unpacked_from_its_archive(upstream, data_home, tmp_path, monkeypatch):
    archive = tmp_path / "downloads" / "imagenette2-320.tgz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as out:
        out.add(upstream / "imagenette2-320", "imagenette2-320")
    with pytest.raises(CourseError, match=f"md5 is [0-9a-f]{{32}}, expected {PART.checksum[4:]}"):
        prepare("imagenette", data_home, archive.parent, online=False)
    ours = replace(imagenette.DATASET, layouts={"320px": (replace(PART, checksum=""),)})
    monkeypatch.setattr(imagenette, "DATASET", ours)
    prepare("imagenette", data_home, archive.parent, online=False)
    assert len(data.load("imagenette")) == 7
    assert json.loads((data_home / "imagenette" / "dataset.json").read_text())["layout"] == "320px"


def test_a_corrupt_picture_and_an_unknown_class_are_left_out_and_listed(upstream, data_home):
    root = upstream / "imagenette2-320"
    corrupt = root / "val/n03888257/n03888257_10042.JPEG"
    Image.effect_noise((64, 64), 90).save(corrupt)
    corrupt.write_bytes(corrupt.read_bytes()[:-200])
    picture(root / "val/n02099601/n02099601_7.JPEG")
    prepare("imagenette", data_home, upstream)
    with (data_home / "imagenette" / "left_out.csv").open() as file:
        found = {row["image"].split("/")[-1]: row["reason"] for row in csv.DictReader(file)}
    assert found.keys() == {"n03888257_10042.JPEG", "n02099601_7.JPEG"}
    assert "truncated" in found["n03888257_10042.JPEG"]
    assert "`n02099601` is not in classes.csv" in found["n02099601_7.JPEG"]
    assert len(data.load("imagenette")) == 6


def test_a_split_that_is_missing_is_named(upstream, data_home):
    shutil.rmtree(upstream / "imagenette2-320" / "val")
    with pytest.raises(CourseError, match="imagenette2-320/val: no such folder"):
        prepare("imagenette", data_home, upstream)
    assert not (data_home / "imagenette").exists()


def test_url_checksum_and_names_are_those_of_torchvision():
    assert (PART.url, PART.checksum.removeprefix("md5:")) == Imagenette._ARCHIVES["320px"]
    named = {folder: names[0] for folder, names in Imagenette._WNID_TO_CLASS.items()}
    assert {folder: name for folder, _, name in imagenette.CLASSES} == named


def test_outputs_are_those_of_the_real_photos(real_data):
    with (real_data / "imagenette224" / "classes.csv").open() as file:
        rows = [(row["folder"], int(row["imagenet_index"]), row["name"]) for row in csv.DictReader(file)]
    assert rows == list(imagenette.CLASSES)
