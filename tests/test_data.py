"""helpers/pictures and data_scripts/getting/folder.py, verify.py: one format in, and every bad file named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from data_scripts.getting import folder, verify
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.pictures import images


def indexed(album, **columns):
    """The album with an index.csv; columns may be overridden."""
    rows = [{"image": f"{c}/{i}.png", "split": "val", "label": c} for c in ("cat", "dog") for i in range(3)]
    table = pd.DataFrame(rows)
    for name, values in columns.items():
        table[name] = values
    table.to_csv(album / "index.csv", index=False)
    return album


def test_a_folder_per_class_works_as_it_is(album):
    photos = data.load(album)
    assert photos.classes == ["cat", "dog"]
    assert photos.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert set(photos.table["split"]) == {"val"}


def test_train_and_val_folders_become_splits(album):
    for split in ("train", "valid"):
        (album / split).mkdir()
    (album / "cat").rename(album / "train" / "cat")
    (album / "dog").rename(album / "valid" / "dog")
    photos = data.load(album)
    assert photos.table.groupby("split")["label"].unique().str[0].to_dict() == {"train": "cat", "val": "dog"}


def test_pictures_may_lie_deeper_and_shout(album):
    (album / "cat" / "deep" / "er").mkdir(parents=True)
    (album / "cat" / "0.png").rename(album / "cat" / "deep" / "er" / "IMG_1.PNG")
    assert data.load(album).table.groupby("label").size().to_dict() == {"cat": 3, "dog": 3}


def test_a_file_that_only_looks_like_a_recipe_does_not_freeze_the_manifest(album):
    (album / "dataset.json").write_text("{}")
    before = data.manifest(album)
    (album / "cat" / "0.png").write_bytes(b"")
    assert data.manifest(album) != before


STRAY = ("Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", ".DS_Store", "._0.png")


@pytest.mark.parametrize("name", STRAY)
@pytest.mark.parametrize("place", ["cat", "cat/deep", "train/cat", "images", "."])
def test_what_systems_leave_in_folders_are_no_pictures(tmp_path, data_home, place, name):
    folder = tmp_path / "own" / place
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "0.png")
    (folder / name).write_bytes(b"no picture")
    assert data.load(tmp_path / "own").table["image"].tolist() == [str(Path(place) / "0.png")]


def test_classes_csv_maps_folders_to_outputs_by_any_index_column(album):
    (album / "classes.csv").write_text("folder,imagenet_index,name\ndog,207,golden retriever\ncat,281,tabby\n")
    photos = data.load(album)
    assert photos.classes == ["golden retriever", "tabby"]
    assert photos.outputs.tolist() == [207, 281]
    assert photos.classes[photos.labels[0]] == "tabby"


def test_index_csv_is_read_with_its_extra_columns(album):
    photos = data.load(indexed(album, box="0 0 10 10", Smiling=[0, 1] * 3, hair="blond"))
    assert photos.table["Smiling"].tolist() == [0, 1] * 3  # numbers, not texts
    assert set(photos.table["hair"]) == {"blond"}
    with pytest.raises(CourseError, match="no column `mask`"):
        photos.masks([0])


@pytest.mark.parametrize("part", [1, 2, 4, 6, 100])
def test_columns_are_numbers_or_texts_as_a_whole_wherever_a_part_ends(album, monkeypatch, part):
    monkeypatch.setattr(data, "PART", part)
    columns = {"bit": ["0", "1"] * 3, "age": [7, 200, 0, 1, 1, 1], "share": [1, 0, 1, 0.5, 1, 1]}
    texts = {"late": ["01", "1", "1", "0", "x", "1"], "gap": ["1", "0", "", "1", "1", "0"], "never": list("abcdef")}
    table = data.load(indexed(album, **columns, **texts)).table
    assert {name: table[name].tolist() for name in texts} == texts
    assert table["age"].tolist() == columns["age"]
    assert table["share"].tolist() == columns["share"]
    assert table["bit"].tolist() == [0, 1] * 3
    assert table["bit"].dtype == "int8"
    assert (table["age"] * 100).max() == 20_000
    assert table.index.tolist() == [*range(6)]


def test_masks_are_region_ids_at_the_size_of_their_picture(album):
    mask = Image.fromarray(np.full((40, 60), 2, np.uint8), mode="P")
    mask.putpalette([0] * 768)
    mask.save(album / "mask.png")
    (album / "regions.csv").write_text("id,region\n0,background\n2,hat\n")
    photos = data.load(indexed(album, mask="mask.png"))
    assert (photos.masks([3])[0] == 2).all()
    assert photos.regions == {0: "background", 2: "hat"}


def broken(album, kind):
    """Spoil one file of the album; what the error has to say."""
    file = album / "cat" / "1.png"
    good = Image.open(file).convert("RGB")
    if kind == "empty":
        file.write_bytes(b"")
        return file, "empty"
    if kind == "truncated png":
        file.write_bytes(file.read_bytes()[:-800])
        return file, "truncated or corrupt"
    if kind == "truncated jpeg":
        good.save(file, "JPEG")
        file.write_bytes(file.read_bytes()[:-300])
        return file, "truncated or corrupt"
    if kind == "text":
        file.write_text("not a picture")
        return file, "not an image"
    if kind in ("RGBA", "LA"):
        good.putalpha(Image.linear_gradient("L").resize(good.size))
        good.convert(kind).save(file)
        return file, f"mode {kind}, parts of it are transparent.* `course data convert SRC DST`"
    if kind == "F":
        Image.fromarray(np.ones((40, 60), np.float32)).save(file, "TIFF")
        return file, "mode F, whose values have no fixed range.* `course data convert SRC DST`"
    if kind == "missing":
        indexed(album)
        file.unlink()
        return file, "no such file"
    if kind == "mask size":
        Image.fromarray(np.zeros((41, 60), np.uint8)).save(album / "mask.png")
        indexed(album, mask=["mask.png", *[""] * 5])
        return album / "mask.png", "60 x 41 pixels for a picture of 60 x 40"
    if kind == "mask ids":
        Image.fromarray(np.full((40, 60), 7, np.uint8)).save(album / "mask.png")
        (album / "regions.csv").write_text("id,region\n0,background\n")
        indexed(album, mask=["mask.png", *[""] * 5])
        return album / "mask.png", r"ids \[7\] are not in regions.csv"
    if kind == "mask mode":
        good.save(album / "mask.png")
        indexed(album, mask=["mask.png", *[""] * 5])
        return album / "mask.png", "a mask is a palette or grey PNG"
    if kind == "box":
        indexed(album, box=["5 5 5 9", *[""] * 5])
        return album / "cat" / "0.png", "x0 < x1"
    if kind == "box words":
        indexed(album, box=["5 5 nine 9", *[""] * 5])
        return album / "cat" / "0.png", "expected four numbers"
    if kind == "label":
        indexed(album, label=["", *["cat"] * 2, *["dog"] * 3])
        return album / "cat" / "0.png", "label is empty"
    if kind == "unknown label":
        (album / "classes.csv").write_text("folder,index,name\ncat,0,cat\ndog,1,dog\n")
        indexed(album, label=["cta", *["cat"] * 2, *["dog"] * 3])
        return album / "cat" / "0.png", "Did you mean `cat`"


KINDS = ["empty", "truncated png", "truncated jpeg", "text", "RGBA", "LA", "F", "missing"]
KINDS += ["mask size", "mask ids", "mask mode", "box", "box words", "label", "unknown label"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_file_is_named_with_what_is_wrong(album, kind):
    file, said = broken(album, kind)
    with pytest.raises(CourseError, match=said) as caught:
        data.load(album)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_skipped_file_is_listed_and_only_it_is_left_out(album, kind):
    file, _ = broken(album, kind)
    photos = data.load(album, on_bad="skip")
    assert [name for name, _ in photos.skipped] == [str(file)]
    assert len(photos) == 5


def test_a_picture_that_exif_turns_is_read_upright_and_told(album):
    picture = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = picture.getexif()
    exif[images.ORIENTATION] = 6
    picture.save(album / "cat" / "phone.jpg", exif=exif)
    photos = data.load(album)
    assert images.read_image(album / "cat" / "phone.jpg").size == (40, 60)
    assert photos.notes == ("1 picture(s) turned upright as their EXIF tag says",)


MODES = {"TIFF": "RGB L 1 P RGBA CMYK", "PNG": "RGB L 1 P RGBA", "JPEG": "RGB L CMYK", "WEBP": "RGB RGBA"}


@pytest.mark.parametrize(("format", "mode"), [(format, mode) for format in MODES for mode in MODES[format].split()])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_every_kind_of_file_is_upright_in_all_that_is_read_of_it(album, format, mode, orientation):
    pixels = np.zeros((40, 60), np.uint8)
    pixels[:8] = 255  # a bar on top of what the camera stored
    picture, exif = Image.fromarray(pixels).convert("RGB"), Image.Exif()
    exif[images.ORIENTATION] = orientation
    (picture if mode == "RGB" else picture.convert(mode)).save(album / "cat" / "0.png", format, exif=exif)
    bar = {3: np.s_[-5:], 6: np.s_[:, -5:], 8: np.s_[:, :5]}[orientation]
    shown = np.asarray(images.read_image(album / "cat" / "0.png"))[..., 0] > 127
    assert shown[bar].all()
    assert shown.mean() < 0.3
    (wide, high), how = verify.check_image(album / "cat" / "0.png")
    assert (high, wide) == shown.shape
    assert verify.TURNED in how
    assert images.upright_size(images.open_image(album / "cat" / "0.png")) == (wide, high)


def test_a_mask_is_compared_with_the_upright_picture(album):
    picture = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = picture.getexif()
    exif[images.ORIENTATION] = 8
    picture.save(album / "cat" / "0.png", exif=exif)
    Image.fromarray(np.zeros((60, 40), np.uint8)).save(album / "mask.png")
    assert len(data.load(indexed(album, mask=["mask.png", *[""] * 5]))) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,label\na,b\n", "split missing"),
        ("", "not a readable CSV"),
        ("image,split,label\n", "no readable picture"),
    ],
)
def test_a_broken_index_is_named(album, text, said):
    (album / "index.csv").write_text(text)
    with pytest.raises(CourseError, match=said) as caught:
        data.load(album)
    assert str(album) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folder,name\ncat,cat\n", "column index"),
        ("folder,index,name\ncat,one,cat\n", "'one'; expected 0, 1"),
        ("index,name\n0,cat\n", "folder missing"),
    ],
)
def test_a_broken_classes_csv_is_named(album, text, said):
    (album / "classes.csv").write_text(text)
    with pytest.raises(CourseError, match=said) as caught:
        data.load(album)
    assert "classes.csv" in str(caught.value)


def test_regions_with_words_for_ids_are_refused(album):
    (album / "regions.csv").write_text("id,region\nzero,background\n")
    with pytest.raises(CourseError, match="whole numbers"):
        data.load(album)


def test_an_unknown_data_set_is_told_what_there_is(data_home):
    with pytest.raises(CourseError, match="Did you mean `scenes`"):
        data.load("scene")


def test_an_empty_folder_is_told_what_was_expected(tmp_path, data_home):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CourseError, match="neither index.csv nor sub-folders"):
        data.load(tmp_path / "nothing")


def test_a_split_that_is_not_there_names_those_that_are(album):
    with pytest.raises(CourseError, match="no pictures in split `test`; it has: val"):
        data.load(album).split("test")


def test_a_program_named_like_a_picture_is_not_run(album):
    (album / "cat" / "0.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(CourseError, match="cat/0.png: not an image"):
        data.load(album)


def test_val_of_a_set_with_only_train_and_test_is_its_test(album):
    photos = data.divided(data.load(album))
    named = replace(photos, table=photos.table.replace({"split": {"val": "test"}}))
    assert named.split("val").table["image"].tolist() == photos.split("val").table["image"].tolist()
    with pytest.raises(CourseError, match="no pictures in split `val`; it has: test"):
        named.split("test").split("val")  # nothing says that a part with one name is unseen


def test_a_file_broken_after_the_check_is_found_again(album):
    data.load(album)
    (album / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(CourseError, match="empty"):
        data.load(album)


def alone(album):
    """The album's cats in a folder that has only pictures."""
    return album / "cat"


def test_a_single_picture_is_a_data_set(album):
    photos = data.load(alone(album) / "1.png")
    assert (photos.classes, photos.labels.tolist(), list(photos.table["split"])) == (["all"], [0], ["val"])
    assert torch.equal(photos.images([0], 32), data.load(album).images([1], 32))
    assert photos.root / photos.table["image"].iloc[0] == album / "cat" / "1.png"
    assert len(photos.split("val").rows([0])) == 1


def test_a_picture_may_be_given_from_where_one_stands(album, monkeypatch):
    monkeypatch.chdir(alone(album))
    assert torch.equal(data.load("1.png").images([0], 32), data.load(album).images([1], 32))
    assert data.find("1.png") == data.located("1.png")
    assert data.manifest("1.png") == data.manifest(alone(album) / "1.png")


def test_a_folder_of_pictures_is_a_data_set_of_one_class(album):
    (alone(album) / ".DS_Store").write_bytes(b"x")
    photos = data.load(alone(album))
    assert photos.table[["image", "split", "label"]].to_numpy().tolist() == [
        [f"{i}.png", "val", "all"] for i in range(3)
    ]
    assert photos.classes == ["all"]
    assert torch.equal(photos.images(range(3), 32), data.load(album).images(range(3), 32))


def test_a_folder_of_pictures_may_hold_an_empty_folder(album):
    (alone(album) / "out").mkdir()
    assert len(data.load(alone(album))) == 3


def test_pictures_beside_the_folders_of_classes_are_in_no_class(album):
    Image.new("RGB", (8, 8)).save(album / "cover.png")
    assert len(data.load(album)) == 6


@pytest.mark.parametrize("kind", ["text", "empty", "truncated png", "RGBA"])
def test_a_bad_file_among_pictures_is_named_or_left_out(album, kind):
    file, said = broken(album, kind)
    with pytest.raises(CourseError, match=said) as caught:
        data.load(alone(album))
    assert str(file) in str(caught.value)
    photos = data.load(alone(album), on_bad="skip")
    assert [name for name, _ in photos.skipped] == [str(file)]
    assert list(photos.table["image"]) == ["0.png", "2.png"]
    for on_bad in ("raise", "skip"):  # alone it leaves nothing
        with pytest.raises(CourseError, match=said) as caught:
            data.load(file, on_bad)
        assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["notes.txt", "README.md", "labels.json", "all.zip", "film.mp4", "make.py"])
def test_a_file_that_is_meant_as_no_picture_is_no_bad_one(album, name):
    (alone(album) / name).write_text("taken in May")
    assert len(data.load(alone(album))) == 3
    assert len(data.load(album)) == 6


@pytest.mark.parametrize("name", ["photo.heic", "photo.jfif", "photo.PNG", "photo.svg"])
def test_a_picture_that_cannot_be_read_is_not_passed_over(album, name):
    (alone(album) / name).write_text("taken in May")
    with pytest.raises(CourseError, match=f"{name}: not an image"):
        data.load(alone(album))


def test_the_manifest_of_a_picture_changes_with_it_and_with_no_other(album):
    file, before = alone(album) / "1.png", data.manifest(alone(album) / "1.png")
    (alone(album) / "0.png").write_bytes(b"")
    assert data.manifest(file) == before == data.manifest(data.load(file).root)
    assert data.manifest(alone(album) / "2.png") != before
    Image.new("RGB", (9, 9)).save(file)
    assert data.manifest(file) != before


def test_a_picture_broken_after_its_check_is_found_again(album):
    data.load(alone(album) / "1.png")
    (alone(album) / "1.png").write_bytes(b"")
    with pytest.raises(CourseError, match="empty"):
        data.load(alone(album) / "1.png")


def test_a_picture_that_is_not_there_is_told_what_can_be_given(album):
    with pytest.raises(
        CourseError, match=r"no such folder or prepared data set, nor a picture.* Give a picture, a fol"
    ):
        data.load(album / "bird.jpg")


def test_the_check_is_not_repeated_while_nothing_changes(album, monkeypatch):
    data.load(album)
    monkeypatch.setattr(verify, "problem", lambda *_: pytest.fail("checked again"))
    assert len(data.load(album)) == 6


def test_the_manifest_changes_with_the_data_and_only_then(album):
    before = data.manifest(album)
    assert data.manifest(album) == before
    Image.new("RGB", (9, 9)).save(album / "cat" / "new.png")
    assert data.manifest(album) != before


def test_tables_of_another_meaning_are_not_believed(album, data_home, monkeypatch):
    before = data.load(album).notes
    monkeypatch.setattr(folder, "MEANING", folder.MEANING + 1)
    monkeypatch.setattr(verify, "conversion", lambda path, image: "read in another way")
    assert (before, data.load(album).notes) == ((), ("6 picture(s) read in another way",))


def test_divided_keeps_every_picture_once_and_every_class_on_both_sides(album):
    table = data.divided(data.load(album), share=0.34).table
    assert table.groupby(["label", "split"]).size().to_dict() == {
        ("cat", "train"): 2, ("cat", "val"): 1, ("dog", "train"): 2, ("dog", "val"): 1
    }  # fmt: skip
    assert table["image"].is_unique


@pytest.mark.parametrize("fit", images.FITS)
def test_every_fit_gives_square_pictures(album, fit):
    assert data.load(album).images([0, 4], 24, fit).shape == (2, 3, 24, 24)


def test_cover_leaves_a_picture_of_the_right_size_alone(album):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = images.fitted(Image.fromarray(pixels), 32, "cover")
    assert (found == pixels.transpose(2, 0, 1)).all()


def test_squash_crop_is_the_centre_of_the_squashed_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = images.fitted(Image.fromarray(pixels), 56, "squash_crop")  # 56 / 0.875 = 64: nothing is resampled
    assert (found == pixels[4:60, 4:60].transpose(2, 0, 1)).all()


def test_pad_keeps_the_shape_and_puts_black_beside_it():
    found = images.fitted(Image.new("RGB", (178, 218), "white"), 218, "pad")  # CelebA's faces: 20 columns on each side
    black = (found == 0).all((0, 1))
    assert found.shape == (3, 218, 218)
    assert np.flatnonzero(~black).tolist() == list(range(20, 198))
    assert (found[:, :, 20:198] == 255).all()


def test_an_unknown_fit_is_refused(album):
    with pytest.raises(CourseError, match="expected one of squash_crop"):
        data.load(album).images([0], 8, "stretch")


def test_a_reader_gives_the_same_pictures_held_or_not(album):
    photos = data.load(album)
    held, streamed = data.reader(photos, 16, "cover"), data.reader(photos, 16, "cover", budget=0)
    assert torch.equal(held([5, 0]), streamed([5, 0]))


@pytest.fixture
def flat(tmp_path, data_home):
    """A folder with images/ of three pictures, 6 x 4 pixels, and three regions whose ids are not in order."""
    (tmp_path / "flat" / "images").mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (6, 4)).save(tmp_path / "flat" / "images" / f"{name}.jpg")
    (tmp_path / "flat" / "regions.csv").write_text("id,region\n2,hat\n0,background\n7,l_eye\n")
    return tmp_path / "flat"


def with_masks(flat, **arrays):
    """The folder with masks/: one array of ids a picture, background where none is given."""
    (flat / "masks").mkdir(exist_ok=True)
    for name in "abc":
        array = arrays.get(name, np.zeros((4, 6)))
        Image.fromarray(np.asarray(array, np.uint8)).save(flat / "masks" / f"{name}.png")
    return flat


def with_layers(flat, **layers):
    """The folder with an index.csv whose picture a has a folder of layers, the others only a mask of ids."""
    (with_masks(flat) / "parts").mkdir()
    for name, array in layers.items():
        Image.fromarray(np.asarray(array, np.uint8)).save(flat / "parts" / f"{name}.png")
    rows = [f"images/{n}.jpg,val,all,masks/{n}.png,{'parts' * (n == 'a')}\n" for n in "abc"]
    (flat / "index.csv").write_text("image,split,label,mask,layers\n" + "".join(rows))
    return flat


IDS = np.array([[0, 0, 2, 2, 7, 0], [0, 7, 7, 2, 0, 0], [2] * 6, [0] * 6])


def test_a_folder_of_images_alone_works_as_it_is(flat):
    photos = data.load(flat)
    assert photos.table["image"].tolist() == ["images/a.jpg", "images/b.jpg", "images/c.jpg"]
    assert photos.classes == ["all"]
    assert set(photos.table["split"]) == {"val"}
    with pytest.raises(CourseError, match="no column `mask`"):
        data.mask_size(photos)


def test_tables_beside_images_are_matched_by_file_and_not_by_place(flat):
    (flat / "labels.csv").write_text("file,label,split\nc.jpg,dog,train\na.jpg,cat,val\nb.jpg,dog,val\n")
    (flat / "attributes.csv").write_text("file,Male,hair\nb.jpg,-1,grey\nx.jpg,1,red\nc.jpg,1,\na.jpg,1,blond\n")
    photos = data.load(flat)
    assert photos.table["image"].str[7].tolist() == ["a", "b", "c"]
    assert [photos.classes[i] for i in photos.labels] == ["cat", "dog", "dog"]
    assert photos.table["split"].tolist() == ["val", "val", "train"]
    assert photos.table["Male"].tolist() == [1, -1, 1]
    assert photos.table["hair"].tolist() == ["blond", "grey", ""]


@pytest.mark.parametrize("name", ["labels.csv", "attributes.csv"])
def test_pictures_without_their_row_are_named_or_left_out(flat, name):
    (flat / name).write_text("file,label\na.jpg,cat\n")
    with pytest.raises(CourseError, match="no row in") as caught:
        data.load(flat)
    assert [f"{flat}/images/{c}.jpg: no row in {flat / name}" in str(caught.value) for c in "abc"] == [
        False,
        True,
        True,
    ]
    assert data.load(flat, on_bad="skip").table["image"].tolist() == ["images/a.jpg"]


def test_all_mistakes_of_a_folder_are_told_at_once(flat, album):
    (flat / "labels.csv").write_text("file,label\na.jpg,cat\nb.jpg,dog\n")
    (flat / "images" / "a.jpg").write_bytes(b"")
    with pytest.raises(CourseError, match="on_bad=skip") as caught:
        data.load(with_masks(flat, b=np.full((4, 6), 5)))
    for said in ("a.jpg: the file is empty", "b.png: region ids [5]", "c.jpg: no row in"):
        assert said in str(caught.value)
    (album / "cat" / "1.png").write_bytes(b"")
    (album / "dog" / "1.png").write_bytes(b"")
    with pytest.raises(CourseError, match=r"(?s)cat/1\.png.*dog/1\.png.*There is no classes\.csv"):
        data.load(album)


def test_all_mistakes_of_masks_and_boxes_are_told_at_once(album):
    Image.fromarray(np.full((41, 60), 0, np.uint8)).save(album / "large.png")
    Image.fromarray(np.full((40, 60), 9, np.uint8)).save(album / "odd.png")
    (album / "regions.csv").write_text("id,region\n0,background\n")
    masks = ["large.png", "odd.png", "gone.png", "", "", ""]
    indexed(album, mask=masks, box=["5 5 5 9", "", "", "a b c d", "900 0 990 9", "0 0 60 40"], label=["", *"cccdd"])
    with pytest.raises(CourseError) as caught:
        data.load(album)
    first, second, third, fourth, fifth, *ways = str(caught.value).split("\n")
    for said in ("0.png: its label is empty", "large.png: mask of 60 x 41", "0.png: box '5 5 5 9' is not inside"):
        assert said in first
    assert "odd.png: region ids [9]" in second
    assert "gone.png: no such file" in third
    assert "dog/0.png: box is 'a b c d'; expected four numbers, x0 y0 x1 y1, or nothing for no box" in fourth
    assert "dog/1.png: box '900 0 990 9' is not inside its picture of 60 x 40" in fifth
    assert ways[-1] == "(on_bad=skip leaves bad files out and lists them)"
    skipped = data.load(album, on_bad="skip")
    assert len(skipped.skipped) == 5  # a picture with three mistakes is one that is left out
    assert len(skipped) == 1


def test_the_first_ten_mistakes_are_named_and_the_rest_counted(album):
    for i in range(3, 1010):
        (album / "cat" / f"{i:04}.png").write_bytes(b"")
    with pytest.raises(CourseError) as caught:
        data.load(album)
    *said, more, _, _ = str(caught.value).split("\n")
    assert len(said) == 10
    assert more == "and 997 more bad files"


def test_mistakes_of_several_tables_are_told_at_once(album):
    (album / "classes.csv").write_text("folder,index,name\ncat,one,cat\ndog,two,dog\n")
    (album / "regions.csv").write_text("id,region\n0,background\nhat,1\n256,hair\n")
    (album / "index.csv").write_text("image,label\ncat/0.png,cat\n")
    with pytest.raises(CourseError) as caught:
        data.load(album)
    for said in (
        "of `cat` is 'one', of `dog` is 'two'",
        "from 0 to 255, and not 'hat', '256'",
        "column(s) split missing",
    ):
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ("-3 -2 63 43", "0 0 60 40"),  # 3 pixels on each side
        ("-0.5 3 20.25 40.75", "0 3 20.25 40"),
        ("10 10 20 20", "10 10 20 20"),
        ("10.50 1e1 20 20", "10.50 1e1 20 20"),  # as it was written
    ],
)
def test_a_box_that_leaves_its_picture_by_a_little_is_clipped_and_told(album, box, kept):
    photos = data.load(indexed(album, box=[box, box, "", "", "", ""]))
    assert photos.table["box"].tolist() == [kept, kept, "", "", "", ""]
    told = ("2 picture(s) with a box that left them by up to 3 pixels or 2% of the side, which was clipped",)
    assert photos.notes == (told if box != kept else ())


def test_a_little_is_more_in_a_large_picture(album):
    Image.new("RGB", (1000, 40)).save(album / "cat" / "0.png")
    assert data.load(indexed(album, box=["-20 0 1020 40", *[""] * 5])).table["box"].iloc[0] == "0 0 1000 40"
    with pytest.raises(CourseError, match=r"leaves its picture of 1000 x 40 by more than 3 pixels and 2% of its side"):
        data.load(indexed(album, box=["-21 0 1020 40", *[""] * 5]))


@pytest.mark.parametrize(
    "box", ["-4 0 9 9", "0 0 64 40", "61 5 63 9", "-3 -3 0 0", "9 9 5 5", "nan 0 9 9", "0 0 inf 9"]
)
def test_a_box_that_lies_outside_or_is_none_is_an_error(album, box):
    with pytest.raises(CourseError, match=r"cat/0\.png: box"):
        data.load(indexed(album, box=[box, *[""] * 5]))


def test_boxes_of_a_public_set_are_clipped_alike(album):
    table = pd.DataFrame({"image": ["cat/0.png"], "split": "val", "label": "cat", "box": ["0 0 62 40"]})
    bad, notes, boxes = verify.problems(album, table, {}, None, "one")
    assert (bad, boxes) == ({}, {0: "0 0 60 40"})
    assert "clipped" in notes[0]


def test_a_table_beside_images_needs_the_column_file(flat):
    (flat / "labels.csv").write_text("image,label\na.jpg,cat\n")
    with pytest.raises(CourseError, match=r"labels\.csv: column\(s\) file missing"):
        data.load(flat)


def test_an_empty_folder_of_images_is_named(tmp_path, data_home):
    (tmp_path / "none" / "images").mkdir(parents=True)
    with pytest.raises(CourseError, match="images: no pictures in it"):
        data.load(tmp_path / "none")


def test_masks_beside_images_go_with_the_picture_of_their_name(flat):
    photos = data.load(with_masks(flat, b=IDS))
    assert (photos.masks([1])[0] == IDS).all()
    assert not photos.masks([0])[0].any()


def test_a_picture_without_its_mask_is_named(flat):
    (with_masks(flat) / "masks" / "b.png").unlink()
    with pytest.raises(CourseError, match="no such file") as caught:
        data.load(flat)
    assert str(flat / "masks" / "b.png") in str(caught.value)
    assert len(data.load(flat, on_bad="skip")) == 2


def test_a_mask_of_ids_is_one_layer_a_region_in_the_order_of_the_regions(flat):
    photos = data.load(with_masks(flat, c=IDS))
    found = photos.layers([2, 0])
    assert found.dtype == torch.bool
    assert found.shape == (2, 3, 4, 6)
    assert list(photos.regions.values()) == ["hat", "background", "l_eye"]
    assert torch.equal(found[0], torch.from_numpy(np.stack([np.equal(IDS, i) for i in (2, 0, 7)])))
    assert (found.sum(1) == 1).all()  # a pixel has one region


@pytest.mark.parametrize("number", ["", "00000_"])
def test_layers_of_a_folder_may_overlap_and_leave_pixels_to_nobody(flat, number):
    hat, eye = np.zeros((4, 6)), np.zeros((4, 6))
    hat[:2], eye[1:3] = 255, 1  # row 1 is both, row 3 is neither; any number but 0 may mean yes
    found = data.load(with_layers(flat, **{f"{number}hat": hat, f"{number}l_eye": eye})).layers([0])[0]
    nobody = np.zeros((4, 6), bool)  # background has no file
    assert torch.equal(found, torch.from_numpy(np.stack([hat > 0, nobody, eye > 0])))


def test_layers_with_soft_edges_are_cut_at_half(flat):
    soft = np.tile([0, 99, 100, 101, 199, 200], (4, 1))
    found = data.load(with_layers(flat, hat=soft)).layers([0])[0, 0]
    assert found[0].tolist() == [False, False, False, True, True, True]


def test_an_empty_layer_covers_no_pixel(flat):
    assert not data.load(with_layers(flat, hat=np.zeros((4, 6)))).layers([0]).any()


def test_a_picture_without_a_folder_of_layers_has_those_of_its_mask(flat):
    photos = data.load(with_layers(flat, hat=np.ones((4, 6))))
    hat, background, eye = photos.layers([0, 1])[1]
    assert background.all()
    assert not (hat | eye).any()


@pytest.mark.parametrize(
    ("layers", "said"),
    [({"00000_l_ear": np.ones((4, 6))}, "region `l_ear` is unknown. Did you mean `l_eye`"), ({}, "no PNG")],
)
def test_a_bad_folder_of_layers_is_named_at_load(flat, layers, said):
    with pytest.raises(CourseError, match=said) as caught:
        data.load(with_layers(flat, **layers))
    assert str(flat / "parts") in str(caught.value)


def test_layers_of_several_sizes_are_named(flat):
    with pytest.raises(CourseError, match="parts: layers of several sizes"):
        data.load(with_layers(flat, hat=np.ones((4, 6)), l_eye=np.ones((2, 3))))


def test_layers_of_another_size_than_their_picture_are_named(flat):
    with pytest.raises(CourseError, match="parts: layers of 3 x 2 pixels for a picture of 6 x 4"):
        data.load(with_layers(flat, hat=np.ones((2, 3))))


def test_masks_of_one_size_give_it_as_height_and_width(flat):
    assert data.mask_size(data.load(with_masks(flat))) == (4, 6)


def test_masks_whose_regions_nobody_named_are_told_the_file_and_its_columns(flat):
    (with_masks(flat) / "regions.csv").unlink()
    with pytest.raises(CourseError, match=r"regions\.csv: no such file; .*\(id, region\)"):
        data.layer_reader(data.load(flat))


def test_a_mask_of_another_size_is_named(flat):
    Image.new("RGB", (8, 4)).save(flat / "images" / "b.jpg")
    photos = data.load(with_masks(flat, b=np.zeros((4, 8))))
    with pytest.raises(CourseError, match=r"b\.png: 8 x 4 pixels, where a\.png has 6 x 4"):
        data.mask_size(photos)
    with pytest.raises(CourseError, match="masks of different sizes"):
        photos.layers([0, 1])
    assert photos.layers([0, 2]).shape == (2, 3, 4, 6)


def test_masks_without_names_of_regions_are_told_what_ids_to_name(flat):
    (with_masks(flat, b=IDS) / "regions.csv").unlink()
    photos = data.load(flat)  # enough where regions are not asked for
    for ask in (data.mask_size, lambda photos: photos.layers([0])):
        with pytest.raises(CourseError, match=r"regions\.csv: no such file.* Write it, .* hold 0, 2, 7$"):
            ask(photos)


def test_layers_without_names_of_regions_are_told_once(flat):
    (with_layers(flat, hat=np.ones((4, 6))) / "regions.csv").unlink()
    with pytest.raises(CourseError, match=r"^[^\n]*regions\.csv: no such file; layers need it[^\n]*$"):
        data.load(flat)


def test_a_picture_without_a_mask_is_named_where_masks_are_needed(flat):
    with_masks(flat)
    (flat / "index.csv").write_text("image,split,label,mask\nimages/a.jpg,val,x,masks/a.png\nimages/b.jpg,val,x,\n")
    with pytest.raises(CourseError, match=r"1 picture\(s\) without a mask, which this needs: images/b\.jpg"):
        data.mask_size(data.load(flat))


@pytest.mark.parametrize("budget", [3 * 3 * 24, 3 * 3 * 24 - 1])  # pictures x regions x pixels: just held, just not
def test_a_layer_reader_gives_the_same_layers_held_or_not(flat, budget, monkeypatch):
    photos = data.load(with_layers(flat, hat=IDS, l_eye=np.equal(IDS, 7)))
    expected, read = photos.layers([2, 0]), data.layer_reader(photos, budget)
    opened = []
    monkeypatch.setattr(
        "helpers.pictures.photos.read_layers", lambda *given: opened.append(1) or images.read_layers(*given)
    )
    assert torch.equal(read([2, 0]), expected)
    assert torch.equal(read(torch.tensor([2, 0])), expected)
    assert len(opened) == (0 if budget == 216 else 2)


def test_the_embedded_set_is_made_on_first_use(data_home):
    assert not (data_home / "scenes").exists()
    photos = data.load("scenes")
    assert len(photos) == 2000
    assert photos.regions == {0: "background", 1: "object"}
    assert json.loads((data_home / "scenes" / "dataset.json").read_text())["name"] == "scenes"


def test_real_photos_load_with_their_imagenet_outputs(real_data, data_home):
    photos = data.load(real_data / "imagenette224")
    assert len(photos) == 160
    assert photos.outputs.tolist()[:3] == [0, 217, 482]
    assert photos.classes[0] == "tench"
