"""data_scripts/drawn/tagged.py: every picture twice, as it is and with a tag in a rectangle that is known."""

import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_scripts.drawn import tagged
from data_scripts.drawn.tagged import prepare, rectangle, with_tag
from helpers.errors import CourseError
from helpers.pictures import biased, divided, load, subsets
from helpers.pictures.images import FITS, fitted, read_image

SIZE, BOX = 64, (4, 51, 18, 60)  # the default place at 64 pixels


@pytest.fixture
def source(tmp_path, data_home):
    """Six pictures of several sizes and kinds, with splits, classes, attributes, and what is of their own pixels."""
    folder, rng, rows = tmp_path / "portraits", np.random.default_rng(0), []
    folder.mkdir()
    for i, (width, height) in enumerate([(64, 64), (40, 90), (90, 40), (64, 64), (30, 30), (64, 64)]):
        file = f"{i}.jpg" if i == 1 else f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / file)
        label, split = ("dog", "cat")[i % 2], ("train", "train", "train", "val", "val", "test")[i]
        rows.append((file, split, label, "1 2 10 20", i % 3 == 0, i / 2, "grey" if i else "none", "", "3 4 5 6"))
    columns = ["image", "split", "label", "box", "Male", "age", "hair", "layers", "hat_box"]
    table = pd.DataFrame(rows, columns=columns).astype({"Male": int})
    table.to_csv(folder / "index.csv", index=False)
    (folder / "classes.csv").write_text("folder,index,name\ndog,7,a dog\ncow,1,a cow\ncat,3,a cat\n")
    return folder


def made(home, source, **options):
    return prepare(home, load(source), **{"size": SIZE, "workers": 1} | options)


def read(folder):
    return pd.read_csv(folder / "index.csv", keep_default_na=False)


def pair(folder, i):
    """Picture i without its tag, and with it."""
    return (np.asarray(Image.open(folder / f"images/{i:06d}-{tag}.png")) for tag in (0, 1))


def outside(box, size=SIZE):
    x0, y0, x1, y1 = box
    mask = np.ones((size, size), bool)
    mask[y0:y1, x0:x1] = False
    return mask


# --- one tag ----------------------------------------------------------------------------------------------------------


def test_a_rectangle_is_its_shares_rounded():
    assert rectangle((0.06, 0.80, 0.22, 0.14), 224) == (13, 179, 63, 211)
    assert rectangle((0.06, 0.80, 0.22, 0.14), SIZE) == BOX
    assert rectangle([0, 0, 0.5, 0.5], 64) == (0, 0, 32, 32), "a quarter of the picture is not too much"
    assert rectangle((0.9, 0.7, 0.1, 0.3), 60) == (54, 42, 60, 60), "six pixels are enough, up to the edges"


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ((0.9, 0.8, 0.2, 0.1), "to end inside the picture; at 64 pixels its box is"),
        ((0.1, 0.95, 0.2, 0.1), "to end inside the picture"),
        ((-0.1, 0.8, 0.2, 0.1), "four shares of the side from 0 to 1"),
        ((0.1, 0.8, float("nan"), 0.1), "four shares"),
        ((0.1, 0.8, 0.2), "four shares"),
        ((6, 51, 14, 9), "four shares"),
        ("0.1 0.8 0.2 0.1", "four shares"),
        ((0.1, 0.8, 0.2, 0.08), r"at least 6 pixels each way; at 64 pixels its box is \(6, 51, 19, 56\)"),
        ((0.1, 0.1, 0.0, 0.2), "at least 6 pixels"),
        ((0.1, 0.1, 0.6, 0.5), "at most a quarter of the picture; it is 30%"),
    ],
)
def test_a_place_for_no_tag_is_refused_and_nothing_written(source, tmp_path, place, wanted):
    with pytest.raises(ValueError, match=f"`place` is .*; it needs {wanted}"):
        made(tmp_path / "out", source, place=place)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("box", [BOX, (40, 5, 48, 40), (0, 0, 6, 6), (32, 32, 64, 64), (10, 0, 60, 6)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_tag_fills_its_rectangle_and_nothing_else(box, grey):
    plain = np.full((SIZE, SIZE, 3), grey, np.uint8)
    changed = (with_tag(np.random.default_rng(0), plain, box) != plain).any(2)
    assert not changed[outside(box)].any()
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == box, "the rectangle is tight"
    # what stays is the hole, under 4 % of the short side's square, and the tips of the corners
    assert changed[~outside(box)].mean() > 0.8


def test_the_picture_shows_through_the_hole_and_a_tag_leaves_its_picture_alone():
    plain = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    before, box = plain.copy(), rectangle((0.06, 0.80, 0.22, 0.14), 224)
    found = with_tag(np.random.default_rng(0), plain, box)
    assert np.array_equal(plain, before)
    x, y = box[0] + round(0.35 * 32), box[1] + 16  # 32 pixels high: the hole is 0.35 of that from the left
    assert np.array_equal(found[y - 1 : y + 1, x - 1 : x + 1], plain[y - 1 : y + 1, x - 1 : x + 1])
    assert (found[y, x + 5] != plain[y, x + 5]).any()


def test_tags_are_of_one_kind_but_not_of_one_shade():
    plain = np.full((SIZE, SIZE, 3), 128, np.uint8)
    x0, y0, x1, y1 = BOX
    tags = [with_tag(np.random.default_rng([0, i]), plain, BOX)[y0:y1, x0:x1].astype(float) for i in range(20)]
    shades = np.array([tag.mean((0, 1)) for tag in tags])
    assert len(np.unique(shades, axis=0)) == 20
    assert np.ptp(shades, 0).max() > 5
    assert np.ptp(shades, 0).max() < 70
    assert (shades[:, 0] < shades[:, 1:].min(1) - 25).all(), "teal: the red is well below the others"


# --- the data set on disk ---------------------------------------------------------------------------------------------


def test_every_picture_is_there_twice_with_its_columns(source, data_home):
    folder = made(data_home, source)
    assert folder == data_home / "tagged-portraits"
    index, there = read(folder), pd.read_csv(source / "index.csv", keep_default_na=False)
    kept = ["split", "label", "Male", "age", "hair"]
    assert list(index) == ["image", *kept, "Tag", "tag_box", "original"]
    assert list(index.image) == [f"images/{i:06d}-{tag}.png" for i in range(6) for tag in (0, 1)]
    assert {f"images/{file.name}" for file in (folder / "images").iterdir()} == set(index.image)
    assert list(index.Tag) == [0, 1] * 6
    assert list(index.tag_box) == ["", " ".join(map(str, BOX))] * 6
    assert list(index.original) == list(there.image.repeat(2))
    for tag in (0, 1):
        assert index.loc[index.Tag == tag, kept].reset_index(drop=True).equals(there[kept])


@pytest.mark.parametrize("fit", FITS)
def test_the_untagged_picture_is_the_fitted_source_and_the_tag_changes_its_rectangle_alone(source, data_home, fit):
    folder = made(data_home, source, fit=fit)
    for i, file in enumerate(load(source).table.image):  # one of them is a portrait JPEG
        plain, marked = pair(folder, i)
        assert np.array_equal(plain, fitted(read_image(source / file), SIZE, fit).transpose(1, 2, 0))
        assert np.array_equal(plain[outside(BOX)], marked[outside(BOX)])
        assert np.abs(plain.astype(int) - marked)[~outside(BOX)].mean() > 30


def test_a_tagged_set_is_read_like_any_other(source, data_home):
    there, photos = load(source), load(made(data_home, source))
    assert len(photos) == 12
    assert subsets.values(photos, "Tag").tolist() == [0, 1] * 6
    assert subsets.values(photos, "Male").tolist() == subsets.values(there, "Male").repeat(2).tolist()
    assert (photos.classes, photos.outputs.tolist()) == (there.classes, there.outputs.tolist())
    assert (photos.classes, photos.outputs.tolist()) == (["a dog", "a cat"], [7, 3])
    assert photos.labels.tolist() == there.labels.repeat_interleave(2).tolist()
    both = photos.images([2, 3], SIZE)  # already of this size: not resampled
    assert [np.array_equal(one.permute(1, 2, 0), kept) for one, kept in zip(both, pair(photos.root, 1), strict=True)]


def test_rows_choose_any_correlation_of_tag_and_label(source, data_home):
    photos = load(made(data_home, source))
    tied = photos.rows(subsets.values(photos, "Tag") == photos.labels.numpy())
    assert list(tied.table.original) == list(load(source).table.image), "each picture once"
    found, cells, _ = biased(photos, "Male", "Tag", correlation=1, balanced_test=False)
    assert cells.taken.sum() == 2, "one of the three for training is male"
    assert (found.split("train").labels.numpy() == subsets.values(found.split("train"), "Tag")).all()


def test_a_folder_without_table_keeps_its_one_split(album, data_home):
    index = read(made(data_home, album))
    assert list(index.original) == list(load(album).table.image.repeat(2))
    assert list(index.split) == ["val"] * 12


def test_splits_drawn_before_keep_both_of_a_picture_together(album, data_home):
    index = read(prepare(data_home, divided(load(album), share=0.34), SIZE, workers=1))
    assert set(index.split) == {"train", "val"}
    assert (index.groupby("original").split.nunique() == 1).all()


def test_photos_of_other_labels_keep_those(source, data_home):
    photos = subsets.labelled(load(source), "hair=grey")
    again = load(prepare(data_home, photos, SIZE, workers=1))
    assert again.classes == photos.classes == ["not hair=grey", "hair=grey"]
    assert again.labels.tolist() == photos.labels.repeat_interleave(2).tolist()


def test_a_single_picture_can_be_tagged(album, data_home):
    folder = made(data_home, album / "cat/0.png")
    assert (folder.name, list(read(folder).original)) == ("tagged-0.png", ["0.png"] * 2)
    assert len(load(folder)) == 2


def test_the_same_seed_writes_the_same_bytes_and_another_one_other_tags(source, tmp_path):
    one, two, other = (made(tmp_path / str(k), source, seed=seed) for k, seed in enumerate((3, 3, 4)))
    files = [file.relative_to(one) for file in one.rglob("*.*")]
    assert len(files) == 12 + 3  # and index.csv, classes.csv, dataset.json
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)
    for i in range(6):
        (plain, marked), (plain_too, marked_too) = pair(one, i), pair(other, i)
        assert np.array_equal(plain, plain_too)
        assert not np.array_equal(marked, marked_too)


def test_many_workers_write_what_one_writes(source, tmp_path):
    photos = load(source)
    many = photos.rows([k % 6 for k in range(60)])  # more than one chunk of 50
    one, two = (prepare(tmp_path / str(workers), many, 32, (0, 0, 0.3, 0.3), workers=workers) for workers in (1, 2))
    assert read(one).equals(read(two))
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in read(one).image)


# --- anew, or left alone ----------------------------------------------------------------------------------------------


def test_a_second_prepare_writes_nothing(source, data_home, monkeypatch):
    folder = made(data_home, source)
    before = folder.stat().st_mtime_ns
    monkeypatch.setattr(tagged, "with_tag", lambda *_: pytest.fail("painted a tag"))
    assert made(data_home, source) == folder
    assert folder.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"size": 72}, {"place": (0.5, 0.5, 0.2, 0.2)}, {"fit": "cover"}], ids=lambda o: next(iter(o))
)
def test_other_parameters_replace_the_set(source, data_home, other):
    folder = made(data_home, source)
    before = json.loads((folder / "dataset.json").read_text())["parameters"]
    marked = (folder / "images/000001-1.png").read_bytes()
    made(data_home, source, **other)
    after = json.loads((folder / "dataset.json").read_text())["parameters"]
    assert {name for name in after if after[name] != before[name]} == set(other)
    assert (folder / "images/000001-1.png").read_bytes() != marked
    assert sorted(path.name for path in data_home.glob("[!.]*")) == ["checked", "tagged-portraits"]


def test_a_changed_source_is_tagged_anew(source, data_home):
    folder = made(data_home, source)
    before = (folder / "images/000000-0.png").read_bytes()
    Image.new("RGB", (50, 70), "red").save(source / "0.png")
    os.utime(source / "0.png", (1, 1))  # whatever the clock's grain
    made(data_home, source)
    assert (folder / "images/000000-0.png").read_bytes() != before


def test_other_rows_and_other_labels_are_tagged_anew(source, data_home):
    photos = load(source)
    folder = prepare(data_home, photos, SIZE, workers=1)
    prepare(data_home, photos.rows([3, 1]), SIZE, workers=1)
    assert list(read(folder).original) == ["3.png", "3.png", "1.jpg", "1.jpg"]
    moved = replace(photos, table=photos.table.assign(split="test"))
    prepare(data_home, moved, SIZE, workers=1)
    assert list(read(folder).split) == ["test"] * 12


def test_somebody_elses_folder_is_left_alone(source, data_home):
    (data_home / "mine").mkdir(parents=True)
    (data_home / "mine/holiday.jpg").write_text("")
    with pytest.raises(FileExistsError, match="mine is there and holds no tagged"):
        made(data_home, source, name="mine")
    assert [path.name for path in (data_home / "mine").iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"size": 31}, "`size` is 31; it needs a whole number of pixels, at least 32"),
        ({"size": 64.0}, "`size` is 64.0"),
        ({"seed": -1}, "`seed` is -1"),
        ({"fit": "stretch"}, "`fit` is 'stretch'; it needs one of squash_crop"),
        ({"name": "a/b"}, "`name` is 'a/b'"),
        ({"name": ""}, "`name` is ''"),
        ({"workers": 0}, "`workers` is 0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(source, data_home, options, wanted):
    with pytest.raises(ValueError, match=wanted):
        made(data_home, source, **options)


def test_a_tagged_set_is_not_tagged_again_nor_an_empty_one_at_all(source, data_home):
    photos = load(made(data_home, source))
    with pytest.raises(ValueError, match="`photos` is 'a table with Tag, original, tag_box'"):
        prepare(data_home, photos, SIZE, workers=1)
    with pytest.raises(ValueError, match="`photos` is '0 pictures'; it needs at least one"):
        prepare(data_home, load(source).rows([]), SIZE, workers=1)


def test_a_picture_that_went_bad_is_named_and_leaves_no_half_written_folder(source, data_home):
    photos = load(source)
    (source / "4.png").write_text("no picture")
    with pytest.raises(CourseError, match="4.png: not an image"):
        prepare(data_home, photos, SIZE, workers=1)
    assert [path.name for path in data_home.glob("[!.]*")] == ["checked"]
