"""data_scripts/public/celeba.py: the authors' files and Kaggle's, as they are, in small."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torchvision.datasets import CelebA

from data_scripts.getting import prepare
from data_scripts.getting.upstream import Dataset
from data_scripts.public import celeba
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.pictures import subsets

NAMES = [
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs"),
    *("Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair"),
    *("Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair"),
    *("Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes"),
    *("No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks"),
    *("Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat"),
    *("Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young"),
]
SIGNS = np.random.default_rng(0).choice([-1, 1], (6, 40))
PARTS = (0, 0, 0, 1, 2, 2)
FILES = [f"{i:06d}.jpg" for i in range(1, 7)]


def attribute_list(files, signs) -> str:
    """As CelebA's: numbers in columns of width two, a blank after the last name."""
    rows = [f"{file} " + " ".join(f"{sign:2d}" for sign in row) for file, row in zip(files, signs, strict=True)]
    return "\n".join([str(len(rows)), " ".join(NAMES) + " ", *rows, ""])


def faces(folder: Path) -> Path:
    """Four faces, one of them with an upper-case extension; a broken one, and what systems leave. The sixth is lost."""
    folder.mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (9, 11), (60 * i, 40, 90)).save(folder / FILES[i], "JPEG")
    (folder / FILES[3]).rename(folder / "000004.JPG")
    (folder / FILES[4]).write_bytes((folder / FILES[0]).read_bytes()[:-20])
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._000001.jpg").write_bytes(b"x")
    return folder


def lists(folder: Path) -> Path:
    (folder / "list_attr_celeba.txt").write_text(attribute_list(FILES, SIGNS))
    (folder / "list_eval_partition.txt").write_text("".join(f"{f} {p}\n" for f, p in zip(FILES, PARTS, strict=True)))
    return folder


@pytest.fixture
def upstream(tmp_path) -> Path:
    """The pictures in their folder, and the two lists that are needed."""
    faces(tmp_path / "upstream" / "img_align_celeba")
    return lists(tmp_path / "upstream")


@pytest.fixture
def kaggle(tmp_path) -> Path:
    """Kaggle's archive, unpacked."""
    folder = tmp_path / "upstream"
    faces(folder / "img_align_celeba" / "img_align_celeba")
    pd.DataFrame(SIGNS, FILES, NAMES).to_csv(folder / "list_attr_celeba.csv", index_label="image_id")
    split = pd.DataFrame({"image_id": FILES, "partition": PARTS})
    split.to_csv(folder / "list_eval_partition.csv", index=False)
    return folder


def unchecked(dataset: Dataset) -> Dataset:
    """The same of files that are not the authors' own."""
    layouts = {k: tuple(replace(part, checksum="") for part in parts) for k, parts in dataset.layouts.items()}
    return replace(dataset, layouts=layouts)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "root"))
    monkeypatch.setattr(celeba, "DATASET", unchecked(celeba.DATASET))
    return tmp_path / "root"


def made(root: Path, given: Path) -> tuple[data.Photos, list[str]]:
    said = prepare.prepare("celeba", root, given)
    return data.load(root / "celeba"), said


@pytest.mark.parametrize("form", ["upstream", "kaggle"])
def test_attributes_are_0_and_1_and_splits_those_of_the_list(form, root, request):
    photos, _ = made(root, request.getfixturevalue(form))
    assert photos.table["split"].tolist() == ["train", "train", "train", "val"]
    assert photos.table["label"].unique().tolist() == ["all"]
    assert photos.table[NAMES].to_numpy().tolist() == (SIGNS[:4] == 1).astype(int).tolist()
    assert subsets.values(photos, "Blond_Hair").tolist() == (SIGNS[:4, NAMES.index("Blond_Hair")] == 1).tolist()
    assert photos.images([2], 9)[0, :, 4, 4].tolist() == pytest.approx([120, 40, 90], abs=3)  # JPEG
    assert "identity" not in photos.table


@pytest.mark.parametrize("form", ["upstream", "kaggle"])
def test_lost_and_broken_pictures_are_left_out_with_the_reason(form, root, request):
    given = request.getfixturevalue(form)
    below = "img_align_celeba" if form == "upstream" else "img_align_celeba/img_align_celeba"
    Image.new("RGB", (9, 11)).save(given / below / "000099.jpg")
    _, said = made(root, given)
    out = pd.read_csv(root / "celeba" / "left_out.csv").set_index("image")["reason"]
    assert out[f"source/{below}/000006.jpg"].endswith("but there is no such file")
    assert out[f"source/{below}/000099.jpg"].endswith("has no row for it")
    assert "truncated" in out[f"source/{below}/000005.jpg"].lower()
    assert len(out) == 3
    assert "The whole data set has 202,599 pictures" in said


def test_pictures_come_out_of_their_archive(upstream, root):
    with zipfile.ZipFile(upstream / "img_align_celeba.zip", "w") as out:
        for file in sorted((upstream / "img_align_celeba").iterdir()):
            out.write(file, f"img_align_celeba/{file.name}")
            file.unlink()
    (upstream / "img_align_celeba").rmdir()
    photos, _ = made(root, upstream)
    assert len(photos) == 4
    assert photos.table["image"].iloc[3] == "source/img_align_celeba/000004.JPG"


def test_people_are_there_where_their_list_is(upstream, root):
    numbers = [2880, 2937, 8692, 5805, 9295, 4153]
    text = "".join(f"{file} {number}\n" for file, number in zip(FILES, numbers, strict=True))
    (upstream / "identity_CelebA.txt").write_text(text)
    photos, _ = made(root, upstream)
    assert photos.table["identity"].tolist() == numbers[:4]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("list_attr_celeba.txt", lambda s: s.replace("6\n", "202599\n", 1), "6 rows, and its first line says 202,599"),
        ("list_attr_celeba.txt", lambda s: s.replace("6\n", "", 1), "first line is '5_o_Clock_Shadow.*the number of"),
        (
            "list_attr_celeba.txt",
            lambda s: s.replace("jpg -1", "jpg  0", 1),
            r"Shadow of 00000\d.jpg is 0; expected -1",
        ),
        ("list_attr_celeba.txt", lambda s: s.replace(" Young", "", 1), "rows of 41 columns.*expected 40: a picture's"),
        ("list_attr_celeba.txt", lambda s: s.replace("000002", "000001"), "several rows for 000001.jpg"),
        ("list_attr_celeba.txt", lambda s: s.replace("000002.jpg", "000002.jpg 1"), "not a readable table"),
        ("list_eval_partition.txt", lambda s: s.replace("jpg 1", "jpg 3"), "000004.jpg is in part 3; expected 0"),
        (
            "list_eval_partition.txt",
            lambda s: s.replace("000003.jpg 0\n", ""),
            "no row for 000003.jpg, which list_attr",
        ),
        ("list_eval_partition.txt", lambda s: s.replace(" ", ","), "rows of 1 columns.*expected 2"),
        ("list_eval_partition.txt", lambda s: "", "list_eval_partition.txt: not a readable table"),
    ],
)
def test_a_table_that_is_not_celebas_is_named_and_nothing_is_made(upstream, root, name, change, said):
    text = (upstream / name).read_text()
    assert change(text) != text
    (upstream / name).write_text(change(text))
    with pytest.raises(CourseError, match=said) as caught:
        made(root, upstream)
    assert name in str(caught.value)
    assert not (root / "celeba").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("list_attr_celeba.csv", "image_id", "file", r"column\(s\) image_id missing"),
        ("list_attr_celeba.csv", ",1\n", ",yes\n", r"Young of 00000\d.jpg is nan; expected -1"),
        ("list_eval_partition.csv", ",2\n", ",test\n", "is in part nan; expected 0"),
    ],
)
def test_a_table_that_is_not_kaggles_is_named(kaggle, root, name, old, new, said):
    text = (kaggle / name).read_text()
    assert old in text
    (kaggle / name).write_text(text.replace(old, new, 1))
    with pytest.raises(CourseError, match=said):
        made(root, kaggle)


def test_checksums_are_those_of_torchvision():
    known = {name: f"md5:{md5}" for _, md5, name in CelebA.file_list}
    found = {part.file: part.checksum for part in celeba.DATASET.layouts["authors"]}
    assert found == {name: known[name] for name in found}
    assert len(found) == 4


def test_files_that_are_not_the_authors_own_stop_with_both_sums(upstream, tmp_path):
    with pytest.raises(CourseError, match="expected 75e246fa4810816ffd6ee81facbd244c"):
        prepare.prepare("celeba", tmp_path / "root", upstream)
    assert not (tmp_path / "root" / "celeba").exists()
