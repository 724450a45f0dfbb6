"""data_scripts/public/rival10.py on a few pictures laid out as its authors do."""

import base64
import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_scripts.getting import prepare
from data_scripts.public import rival10
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.pictures.objects import object_masks

SIZE = (20, 10)
CAT, SHIP = "n02123394_n02123394_1111", "n03095699_ILSVRC2012_val_00000007"


def place(folder: Path, split: str, name: str, has=(), mask: Image.Image | None = None, photo=None) -> Path:
    """One picture with what lies beside it; `has` are its attributes."""
    ordinary, masks = folder / "RIVAL10" / split / "ordinary", folder / "RIVAL10" / split / "entire_object_masks"
    for made in (ordinary, masks):
        made.mkdir(parents=True, exist_ok=True)
    photo = photo or Image.new("RGB", SIZE, (200, 40, 90))
    photo.save(ordinary / f"{name}.JPEG", exif=photo.getexif())
    photo.convert("L").save(ordinary / f"{name}_merged_mask.JPEG")
    labels = np.zeros((2, 18))
    labels[0, [rival10.ATTRIBUTES.index(a) for a in has]] = 1
    np.save(ordinary / f"{name}_attr_labels.npy", labels)
    if mask:
        mask.save(masks / f"{name}.JPEG", "JPEG", quality=60)
    return ordinary / f"{name}.JPEG"


def left_half(size=SIZE) -> Image.Image:
    """A mask as JPEG has it: white on the left, and grey around its edges when it was saved."""
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    return mask


def text(mask: Image.Image) -> str:
    held = io.BytesIO()
    mask.save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()


def upstream(folder: Path) -> Path:
    """Two pictures to train on and two to test with, a broken one, and what systems leave in folders."""
    cat = place(folder, "train", CAT, ("ears", "hairy"), left_half())
    place(folder, "train", "n02391049_n02391049_5", ("mane",), left_half())
    place(folder, "test", SHIP, ("metallic",), left_half())
    place(folder, "test", "n01531178_ILSVRC2012_val_00002668", ("wings", "beak"), left_half())
    place(folder, "test", "n01644373_n01644373_3", (), left_half()).write_bytes(b"\xff\xd8\xff cut short")
    (cat.parent / "Thumbs.db").write_bytes(b"x")
    (cat.parent / f"._{cat.name}").write_bytes(b"x")
    shutil.copytree(cat.parent, cat.parent.with_name("superimposed"))
    (folder / "RIVAL10/meta").mkdir()
    (folder / "RIVAL10/meta/label_mappings.json").write_text("{}")
    return folder


def prepared(folder: Path, root: Path) -> data.Photos:
    prepare.prepare("rival10", root, given=folder)
    return data.load(root / "rival10")


def test_pictures_have_their_class_split_and_attributes(tmp_path, data_home):
    photos = prepared(upstream(tmp_path / "there"), data_home)
    assert photos.table[["split", "label", "wnid"]].values.tolist() == [
        ["train", "cat", "n02123394"],
        ["train", "equine", "n02391049"],
        ["test", "bird", "n01531178"],
        ["test", "ship", "n03095699"],
    ]
    assert photos.table.loc[0, "image"] == f"source/RIVAL10/train/ordinary/{CAT}.JPEG"
    has = photos.table[list(rival10.ATTRIBUTES)]
    assert [set(has.columns[row == 1]) for row in has.to_numpy()] == [
        {"ears", "hairy"}, {"mane"}, {"wings", "beak"}, {"metallic"}
    ]  # fmt: skip
    assert set(np.unique(has)) == {0, 1}
    out = pd.read_csv(data_home / "rival10/left_out.csv")
    assert out["image"].tolist() == ["source/RIVAL10/test/ordinary/n01644373_n01644373_3.JPEG"]
    assert "not an image" in out["reason"][0]


def test_classes_are_numbered_as_the_authors_do():
    names = ["truck", "car", "plane", "ship", "cat", "dog", "equine", "deer", "frog", "bird"]
    assert list(rival10.CLASSES) == names
    assert len(rival10.LABELS) == 20


def test_an_object_mask_is_cut_at_half_of_its_largest_value(tmp_path, data_home):
    photos = prepared(upstream(tmp_path / "there"), data_home)
    assert photos.regions == {0: "background", 1: "object"}
    mask = photos.masks([0])[0]
    assert mask.shape == SIZE[::-1]
    assert (mask[:, :10] == 1).all()
    assert (mask[:, 10:] == 0).all()
    assert Image.open(data_home / "rival10" / photos.table.loc[0, "mask"]).mode == "P"
    assert object_masks(photos, 8).float().mean() == 0.5


def test_a_mask_of_another_size_is_fitted_to_its_picture(tmp_path, data_home):
    place(tmp_path / "there", "train", CAT, mask=left_half((40, 40)))
    place(tmp_path / "there", "test", SHIP, mask=left_half())
    mask = prepared(tmp_path / "there", data_home).masks([0])[0]
    assert mask.shape == SIZE[::-1]
    assert mask[:, :10].all()
    assert not mask[:, 10:].any()


def test_a_mask_is_turned_upright_with_its_picture(tmp_path, data_home):
    photo = Image.new("RGB", SIZE)
    photo.getexif()[0x0112] = 6  # the camera lay on its side: the stored left is the top
    place(tmp_path / "there", "train", CAT, mask=left_half(), photo=photo)
    place(tmp_path / "there", "test", SHIP, mask=left_half())
    mask = prepared(tmp_path / "there", data_home).masks([0])[0]
    assert mask.shape == SIZE
    assert mask[:10].all()
    assert not mask[10:].any()


def painted() -> Image.Image:
    """A mask painted in red on nothing, which is black and transparent."""
    mask = Image.new("RGBA", SIZE)
    mask.paste((255, 0, 0, 255), (0, 0, 10, 10))
    return mask


def drawn_black() -> Image.Image:
    mask = Image.new("RGBA", SIZE)
    mask.paste((0, 0, 0, 255), (0, 0, 10, 10))
    return mask


@pytest.mark.parametrize("mask", [left_half(), painted(), drawn_black(), left_half().point(lambda v: v and 1)])
def test_without_a_mask_file_the_object_is_read_from_the_masks_of_the_attributes(tmp_path, data_home, mask):
    photo = place(tmp_path / "there", "train", CAT)
    place(tmp_path / "there", "test", SHIP, mask=left_half())
    held = {"ears": text(Image.new("L", SIZE, 255)), "entire-object": text(mask)}
    photo.with_name(f"{CAT}_attr_dict.pkl").write_bytes(pickle.dumps(held))
    found = prepared(tmp_path / "there", data_home).masks([0])[0]
    assert found[:, :10].all()
    assert not found[:, 10:].any()


def test_a_pickle_that_would_run_code_is_not_obeyed(tmp_path, data_home):
    photo = place(tmp_path / "there", "train", CAT)
    place(tmp_path / "there", "test", SHIP, mask=left_half())

    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    photo.with_name(f"{CAT}_attr_dict.pkl").write_bytes(pickle.dumps({"entire-object": Harm()}))
    assert prepared(tmp_path / "there", data_home).table["label"].tolist() == ["ship"]
    assert not (tmp_path / "harmed").exists()
    assert "attr_dict.pkl cannot be read" in (data_home / "rival10/left_out.csv").read_text()


def test_a_picture_without_a_mask_is_kept_and_counted(tmp_path, data_home):
    place(tmp_path / "there", "train", CAT)
    place(tmp_path / "there", "test", SHIP, mask=left_half())
    assert "Pictures without a mask of their object: 1" in prepare.prepare("rival10", data_home, tmp_path / "there")
    photos = data.load(data_home / "rival10")
    assert photos.table["mask"].tolist() == ["", f"masks/test/{SHIP}.png"]
    assert not object_masks(photos, 8)[0].any()


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda f: f.unlink(), f"{CAT}_attr_labels.npy is missing"),
        (lambda f: np.save(f, np.zeros((2, 17))), r"has shape (2, 17); expected (2, 18) of 0 and 1"),
        (lambda f: np.save(f, np.full((2, 18), -1)), r"expected (2, 18) of 0 and 1"),
        (lambda f: f.write_bytes(b"x"), "attr_labels.npy cannot be read"),
        (lambda f: (f.parents[1] / f"entire_object_masks/{CAT}.JPEG").write_bytes(b"x"), "not an image"),
        (lambda f: (f.parents[1] / f"entire_object_masks/{CAT}.JPEG").write_bytes(_cut(f)), "truncated or corrupt"),
        (lambda f: f.with_name(f"{CAT}.JPEG").rename(f.with_name("n00000001_1.JPEG")), "none of RIVAL10's 20 WordNet"),
    ],
)
def test_what_is_wrong_with_a_picture_is_listed(tmp_path, data_home, broken, reason):
    photo = place(tmp_path / "there", "train", CAT, mask=left_half())
    place(tmp_path / "there", "test", SHIP, mask=left_half())
    broken(photo.with_name(f"{CAT}_attr_labels.npy"))
    assert prepared(tmp_path / "there", data_home).table["label"].tolist() == ["ship"]
    out = pd.read_csv(data_home / "rival10/left_out.csv")
    assert reason in out["reason"][0]
    assert str(tmp_path) not in out["reason"][0]


def _cut(labels: Path) -> bytes:
    whole = (labels.parents[1] / f"entire_object_masks/{CAT}.JPEG").read_bytes()
    return whole[:-10]


@pytest.mark.parametrize("given", ["there", "there/RIVAL10"])
def test_the_folder_itself_may_be_given(tmp_path, data_home, given):
    upstream(tmp_path / "there")
    assert len(prepared(tmp_path / given, data_home)) == 4


def test_the_archive_is_unpacked(tmp_path, data_home):
    upstream(tmp_path / "there")
    (tmp_path / "got").mkdir()
    shutil.make_archive(str(tmp_path / "got/rival10"), "zip", tmp_path / "there")
    assert len(prepared(tmp_path / "got", data_home)) == 4


def test_a_split_that_is_missing_is_named(tmp_path, data_home):
    place(tmp_path / "there", "train", CAT, mask=left_half())
    with pytest.raises(CourseError, match="test/ordinary: no such folder"):
        prepare.prepare("rival10", data_home, tmp_path / "there")
    assert not (data_home / "rival10").exists()
