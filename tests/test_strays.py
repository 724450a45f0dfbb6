"""getting/readings.py and strays.py: folders as people have them, and what lies in them that is no picture."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import pictures as data
from helpers.errors import CourseError


@pytest.fixture
def made(tmp_path, data_home):
    """`made("train/cat/0.png", ...)`: a folder with those files, pictures by their suffix, others empty texts."""

    def write(*names) -> Path:
        root = tmp_path / "mine"
        for i, name in enumerate(names):
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix.lower() in (".png", ".jpg", ".jpeg"):
                Image.new("RGB", (8, 6), (i, 0, 0)).save(file, "PNG")
            else:
                file.write_text("no picture")
        return root

    return write


WHOLE = [f"{split}/{label}/{i}.png" for split in ("train", "val") for label in ("cat", "dog") for i in range(2)]


def read(root) -> dict:
    """How many pictures of each class are in each split."""
    return data.load(root).table.groupby(["split", "label"]).size().to_dict()


BOTH = {(split, label): 2 for split in ("train", "val") for label in ("cat", "dog")}


@pytest.mark.parametrize(
    "beside",
    [
        "__MACOSX/train/cat/._0.png",
        "__MACOSX/cat/0.png",
        "runs/detect/exp/val_batch0.jpg",
        "Logs/0.png",
        "wandb/run-1/media/images/0.png",
        ".ipynb_checkpoints/0.png",
        "annotations/0.xml",
        "lightning_logs/version_0/hparams.yaml",
    ],
)
def test_what_lies_beside_splits_is_no_class_and_is_told(made, beside):
    root = made(*WHOLE, beside)
    assert read(root) == BOTH
    (note,) = data.load(root).notes
    assert note.startswith("1 file(s) or folder(s) that are no pictures")
    assert note.endswith(beside.split("/")[0] + "/")


@pytest.mark.parametrize("name", ["train", "Train", "TRAINING", "training"])
@pytest.mark.parametrize("other", ["val", "VALID", "Validation", "dev", "test", "Testing"])
def test_splits_go_by_their_usual_names_in_any_case(made, name, other):
    root = made(*[file.replace("train", name).replace("val", other) for file in WHOLE])
    split = "test" if other.lower().startswith("test") else "val"
    assert read(root) == {("train" if key == "train" else split, label): n for (key, label), n in BOTH.items()}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([*WHOLE, "other/0.png"], "other/ is no name of a split"),
        (["train/cat/0.png", "train/dog/0.png", "other/0.png"], "other/ is no name of a split"),
        (["train/cat/0.png", "train/dog/0.png", "cat/0.png", "dog/0.png"], "cat/ is no name of a split; dog/"),
        ([*WHOLE, "test/0.png"], "test/ has no folders of classes in it"),
        (["train/0.png", "val/0.png"], "train/ has no folders of classes in it; val/ has no"),
        (["train/0.png"], "train/ has no folders of classes in it"),
        ([*WHOLE, "valid/cat/0.png"], "val/, valid/ are one split, val"),
    ],
)
def test_splits_that_are_not_whole_are_shown_in_both_readings(made, names, said):
    root = made(*names)
    with pytest.raises(CourseError) as caught:
        data.load(root)
    text = str(caught.value)
    assert f"{root}: its folders look like splits, but {said}" in text
    folders = sorted({name.split("/")[0] for name in names})
    classes = next(line for line in text.split("\n") if line.startswith("- classes: "))
    assert all(folder in classes for folder in folders)
    assert "\n- splits: t" in text
    assert "An index.csv (image, split, label) says either" in text


def test_the_class_train_is_a_class_beside_others_and_said(made):
    root = made("train/0.png", "train/1.png", "bus/0.png", "car/0.png")
    assert read(root) == {("val", "bus"): 1, ("val", "car"): 1, ("val", "train"): 2}
    assert data.load(root).notes == ("train/ is taken for a class: unlike a split, it has no folders of classes",)


def test_a_folder_that_tools_write_is_a_class_when_its_pictures_lie_right_in_it(made):
    root = made("logs/0.png", "stones/0.png", "runs/exp/1/0.png")
    assert read(root) == {("val", "logs"): 1, ("val", "stones"): 1}
    assert "runs/" in data.load(root).notes[0]


def test_an_unpacked_archive_with_one_folder_is_told_where_its_splits_are(made, tmp_path):
    root = made(*[f"pets/{name}" for name in WHOLE], "__MACOSX/pets/train/cat/._0.png")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as packed:
        for file in root.rglob("*.png"):
            packed.write(file, file.relative_to(root))
    zipfile.ZipFile(tmp_path / "pets.zip").extractall(tmp_path / "unpacked")
    with pytest.raises(CourseError, match=r"its pictures are in pets/train \.\.\.; give .*unpacked/pets"):
        data.load(tmp_path / "unpacked")
    assert read(tmp_path / "unpacked" / "pets") == BOTH


def test_one_folder_of_folders_is_one_class_and_the_other_reading_is_told(made):
    root = made("pets/cat/0.png", "pets/dog/0.png")
    assert read(root) == {("val", "pets"): 2}
    assert data.load(root).notes == (
        f"All pictures are of one class, pets. If cat, dog are the classes, give {root / 'pets'}",
    )


INSIDE = [
    ".ipynb_checkpoints/0-checkpoint.png",
    ".thumbnails/0.png",
    "@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
    "Thumbs/0.jpg",
    "thumbnails/0.png",
    "__MACOSX/._0.png",
    "$RECYCLE.BIN/0.png",
    "._0.png",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "notes.txt",
    "0.xmp",
    "0.png.xmp",
    "0.json",
    "IMG_0.AAE",
    "P1000.NEF",
    "film.mp4",
    "labels.csv",
    "Icon\r",
    "no suffix",
]


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("place", ["cat", "train/cat", "cat/2019", "images", "."])
def test_what_is_no_picture_is_told_and_not_raised(made, place, name):
    root = made(f"{place}/0.png", f"{place}/{name}")
    if name.endswith("NEF"):  # begins as TIFF does, and Pillow would show its thumbnail
        Image.new("L", (4, 4)).save(root / place / name, "TIFF")
    photos = data.load(root)
    assert photos.table["image"].tolist() == [str(Path(place) / "0.png")]
    first = f"{place}/{name.split('/')[0]}".removeprefix("./").replace("\r", r"\x0d")
    if not (place == "." and name == "labels.csv"):  # a table of the data set
        assert first in " ".join(photos.notes)


def test_a_folder_of_thumbnails_beside_classes_is_a_class(made):
    assert read(made("thumbs/0.png", "fists/0.png")) == {("val", "fists"): 1, ("val", "thumbs"): 1}


@pytest.mark.parametrize("name", ["photo", "photo.jpg_large", "photo.1", "photo.txt"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_picture_without_its_suffix_is_known_by_its_head(album, name, format):
    Image.new("L", (8, 8)).save(album / "cat" / name, format)
    assert f"cat/{name}" in data.load(album).table["image"].tolist()


@pytest.mark.parametrize(
    "text", ["P3 is the third\n", "BMW\n", "II*\0", "GIF of a cat", "RIFF", "\x0a\x05\x01\x08", "P5\n"]
)
def test_a_text_that_begins_like_a_picture_is_none(album, text):
    (album / "cat" / "notes.txt").write_text(text)
    assert len(data.load(album)) == 6


def test_no_more_than_ten_strays_are_named_and_the_rest_counted(made):
    root = made("cat/0.png", *[f"cat/{i:02}.xmp" for i in range(13)])
    (note,) = data.load(root).notes
    assert note.startswith("13 file(s)")
    assert note.endswith("cat/09.xmp and 3 more")


def test_a_folder_with_nothing_but_strays_says_what_it_has(made):
    with pytest.raises(CourseError, match=r"nor pictures\. 2 file.*cat/, readme\.txt"):
        data.load(made("cat/0.nef", "readme.txt"))


def test_pictures_beside_classes_are_left_out_and_told(album):
    Image.new("RGB", (8, 8)).save(album / "cover.png")
    assert data.load(album).notes == (
        "1 picture(s) beside the folders of classes are in no class, and left out: cover.png",
    )


def test_folders_below_images_are_told_and_when_all_are_there_the_way_out(made):
    assert "images/deep/" in data.load(made("images/0.png", "images/deep/1.png")).notes[0]
    (made() / "images" / "0.png").unlink()
    with pytest.raises(CourseError, match=r"no pictures in it.*If its sub-folders are classes, give .*images"):
        data.load(made())


def test_a_link_to_a_picture_that_is_gone_is_named(album):
    (album / "cat" / "9.png").symlink_to(album / "gone.png")
    with pytest.raises(CourseError, match=r"cat/9\.png: no such file"):
        data.load(album)


def test_a_picture_counts_once_whoever_reads_it(made):
    """13 found where 6 are real: what a notebook server and a file manager made of two classes of three pictures."""
    real = [f"{label}/{i}.png" for label in ("cat", "dog") for i in range(3)]
    copies = [f"{label}/.ipynb_checkpoints/{i}-checkpoint.png" for label in ("cat", "dog") for i in range(3)]
    photos = data.load(made(*real, *copies, "cat/.thumbnails/0.png"))
    assert photos.table["image"].tolist() == real
    assert np.array_equal(photos.images([0], 6), photos.images([0], 6))
