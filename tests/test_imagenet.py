"""data_scripts/public/imagenet.py on a few pictures in each layout in which ImageNet is found."""

import csv
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from data_scripts.getting import prepare
from data_scripts.public import imagenet
from helpers import pictures as data
from helpers.errors import CourseError, Missing

WNIDS = [f"n{1440764 + 7919 * i:08d}" for i in range(1000)]  # sorted, as the outputs of a network are
GROUPS = [f"n{90000000 + i:08d}" for i in range(5)]  # what several classes have in common
ORDER = np.random.default_rng(0).permutation(1000)  # class ORDER[k] has the ILSVRC2012_ID k + 1
NAMES = ["tench", "goldfish", "great white shark"]


def paint(file: Path, value: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), (value, 40, 90)).save(file, "JPEG")
    return file


def meta(wnids=WNIDS, order=ORDER, column="num_children") -> bytes:
    """meta.mat as in the development kit: the classes in the order of their ids, then the groups."""
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", column, "children", "wordnet_height", "num_train_images"]
    synsets = np.zeros((len(wnids) + len(GROUPS), 1), [(name, object) for name in fields])
    listed = [wnids[k] for k in order] + GROUPS
    for i, wnid in enumerate(listed):
        leaf = i < len(wnids)
        children = np.zeros((0,)) if leaf else np.array([1.0, 2.0])
        synsets[i, 0] = (float(i + 1), wnid, f"{wnid}, a thing", "a gloss", float(len(children)), children, 0.0, 1300.0)
    held = io.BytesIO()
    savemat(held, {"synsets": synsets})
    return held.getvalue()


@pytest.fixture(scope="module")
def meta_mat() -> bytes:
    return meta()


def number_of(wnid: str) -> int:
    """The ILSVRC2012_ID of a class."""
    return 1 + ORDER.tolist().index(WNIDS.index(wnid))


def kit(folder: Path, meta_mat: bytes, labels: list[str]) -> Path:
    """The development kit, unpacked; `labels` are the classes of the first validation pictures."""
    here = folder / "ILSVRC2012_devkit_t12/data"
    here.mkdir(parents=True)
    (here / "meta.mat").write_bytes(meta_mat)
    truth = "".join(f"{number_of(wnid)}\n" for wnid in labels)
    (here / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)
    return here


def val(number: int, suffix="JPEG") -> str:
    return f"ILSVRC2012_val_{number:08d}.{suffix}"


def flat(folder: Path, count: int) -> Path:
    """Validation pictures as they come, the last one broken, and what systems leave in folders."""
    for number in range(1, count + 1):
        paint(folder / val(number), 10 * number)
    (folder / val(count)).write_bytes(b"\xff\xd8\xff cut short")
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / f"._{val(1)}").write_bytes(b"x")
    return folder


def rows(photos: data.Photos) -> list:
    return photos.table[["image", "split", "label"]].values.tolist()


LABELS = [WNIDS[2], WNIDS[0], WNIDS[999], WNIDS[0]]


def test_flat_pictures_get_the_class_of_the_ground_truth(tmp_path, data_home, meta_mat):
    flat(tmp_path / "there/val", 4)
    kit(tmp_path / "there", meta_mat, LABELS)
    said = prepare.prepare("imagenet", data_home, tmp_path / "there")
    photos = data.load(data_home / "imagenet")
    assert rows(photos) == [[f"source/val/{val(i + 1)}", "val", LABELS[i]] for i in range(3)]
    assert "val: 4 of ImageNet's 50,000 pictures" in said
    out = pd.read_csv(data_home / "imagenet/left_out.csv")
    assert out["image"].tolist() == [f"source/val/{val(4)}"]


def test_outputs_follow_the_sorted_ids_and_not_the_numbers_of_the_kit(tmp_path, data_home, meta_mat):
    flat(tmp_path / "there/val", 4)
    kit(tmp_path / "there", meta_mat, LABELS)
    prepare.prepare("imagenet", data_home, tmp_path / "there")
    table = pd.read_csv(data_home / "imagenet/classes.csv")
    assert table["folder"].tolist() == WNIDS
    assert table["index"].tolist() == list(range(1000))
    assert table["name"].tolist()[:3] == NAMES
    assert table["name"].is_unique
    photos = data.load(data_home / "imagenet")
    assert photos.outputs[photos.labels].tolist() == [2, 0, 999]
    assert [photos.classes[i] for i in photos.labels[:2]] == ["great white shark", "tench"]


def test_pictures_and_ground_truth_that_do_not_fit_are_listed(tmp_path, data_home, meta_mat):
    there = flat(tmp_path / "there/val", 4)
    (there / val(2)).unlink()
    paint(there / "holiday.jpg")
    kit(tmp_path / "there", meta_mat, LABELS)
    prepare.prepare("imagenet", data_home, tmp_path / "there")
    out = pd.read_csv(data_home / "imagenet/left_out.csv").set_index("image")["reason"]
    assert out["source/val/holiday.jpg"] == "not in the ground truth"
    assert out[f"source/val/{val(2)}"] == "no such file"
    assert [row[2] for row in rows(data.load(data_home / "imagenet"))] == [LABELS[0], LABELS[2]]


def tar(file: Path, folder: Path, top: str = ""):
    with tarfile.open(file, "w:gz" if file.suffix == ".gz" else "w") as out:
        for found in sorted(folder.rglob("*")):
            out.add(found, f"{top}{found.relative_to(folder)}", recursive=False)


@pytest.fixture
def without_checksums(monkeypatch):
    plain = tuple(replace(part, checksum="") for part in imagenet.DATASET.layouts["archives"])
    layouts = imagenet.DATASET.layouts | {"archives": plain}
    monkeypatch.setattr(imagenet, "DATASET", replace(imagenet.DATASET, layouts=layouts))


@pytest.mark.usefixtures("without_checksums")
def test_the_archive_with_its_pictures_at_the_top_is_unpacked_into_a_folder(tmp_path, data_home, meta_mat):
    (tmp_path / "got").mkdir()
    tar(tmp_path / "got/ILSVRC2012_img_val.tar", flat(tmp_path / "aside/val", 4))
    kit(tmp_path / "aside", meta_mat, LABELS)
    unpacked = tmp_path / "aside/ILSVRC2012_devkit_t12"
    tar(tmp_path / "got/ILSVRC2012_devkit_t12.tar.gz", unpacked, "ILSVRC2012_devkit_t12/")
    prepare.prepare("imagenet", data_home, tmp_path / "got")
    assert [row[2] for row in rows(data.load(data_home / "imagenet"))] == LABELS[:3]
    placed = sorted(p.name for p in (data_home / "sources/imagenet").iterdir())
    assert placed == ["ILSVRC2012_devkit_t12", "unpacked", "val"]
    assert len(list((tmp_path / "got").iterdir())) == 2


def test_an_archive_of_something_else_stops_with_both_checksums(tmp_path, data_home):
    (tmp_path / "got").mkdir()
    tar(tmp_path / "got/ILSVRC2012_img_val.tar", flat(tmp_path / "aside/val", 2))
    (tmp_path / "got/ILSVRC2012_devkit_t12.tar.gz").write_bytes(b"x")
    with pytest.raises(CourseError, match="md5 is .*, expected 29b22e2961454d5413ddabcf34fc5622"):
        prepare.prepare("imagenet", data_home, tmp_path / "got")
    assert not (data_home / "sources/imagenet/val").exists()


def by_class(folder: Path, wnids, names=("a.JPEG", "b.jpeg")) -> Path:
    for wnid in wnids:
        for name in names:
            paint(folder / wnid / f"{wnid}_{name}")
    return folder


def test_folders_of_classes_are_read_for_both_splits(tmp_path, data_home, meta_mat):
    wnids = [WNIDS[7], WNIDS[3]]
    by_class(tmp_path / "there/val", wnids)
    train = by_class(tmp_path / "there/train", wnids[:1], ("1.JPEG",))
    (train / wnids[0] / "Thumbs.db").write_bytes(b"x")
    (train / wnids[0] / f"._{wnids[0]}_1.JPEG").write_bytes(b"x")
    (train / "notes").mkdir()
    paint(train / "loose.JPEG")
    kit(tmp_path / "there", meta_mat, LABELS)
    prepare.prepare("imagenet", data_home, tmp_path / "there")
    photos = data.load(data_home / "imagenet")
    assert rows(photos) == [
        [f"source/val/{WNIDS[3]}/{WNIDS[3]}_a.JPEG", "val", WNIDS[3]],
        [f"source/val/{WNIDS[3]}/{WNIDS[3]}_b.jpeg", "val", WNIDS[3]],
        [f"source/val/{WNIDS[7]}/{WNIDS[7]}_a.JPEG", "val", WNIDS[7]],
        [f"source/val/{WNIDS[7]}/{WNIDS[7]}_b.jpeg", "val", WNIDS[7]],
        [f"source/train/{WNIDS[7]}/{WNIDS[7]}_1.JPEG", "train", WNIDS[7]],
    ]
    assert photos.outputs[photos.labels].tolist() == [3, 3, 7, 7, 7]
    out = pd.read_csv(data_home / "imagenet/left_out.csv")
    assert out.values.tolist() == [["source/train/loose.JPEG", "not in the folder of a class"]]


def test_all_thousand_folders_tell_the_outputs_by_themselves(tmp_path, data_home):
    for wnid in WNIDS:  # torchvision's layout; most classes of this copy are empty
        (tmp_path / "there/val" / wnid).mkdir(parents=True)
    by_class(tmp_path / "there/val", [WNIDS[41]], ("a.JPEG",))
    prepare.prepare("imagenet", data_home, tmp_path / "there")
    photos = data.load(data_home / "imagenet")
    assert (photos.outputs.tolist(), photos.classes) == ([41], ["whiptail"])


def test_fewer_folders_need_a_table_and_say_so(tmp_path, data_home):
    by_class(tmp_path / "there/val", WNIDS[5:8])
    with pytest.raises(Missing, match=r"3 classes are there.*ILSVRC2012_devkit_t12\.tar\.gz.*classes\.csv"):
        prepare.prepare("imagenet", data_home, tmp_path / "there")
    assert not (data_home / "imagenet").exists()


@pytest.mark.parametrize("column", ["index", "imagenet_index"])
def test_a_table_of_classes_beside_fewer_folders_is_used(tmp_path, data_home, column):
    by_class(tmp_path / "there/val", WNIDS[5:7], ("a.JPEG",))
    table = pd.DataFrame({"folder": WNIDS[5:7], column: [900, 17], "name": ["one", "two"]})
    table.to_csv(tmp_path / "there/classes.csv", index=False)
    prepare.prepare("imagenet", data_home, tmp_path / "there")
    photos = data.load(data_home / "imagenet")
    assert photos.outputs[photos.labels].tolist() == [900, 17]
    assert [photos.classes[i] for i in photos.labels] == ["one", "two"]


def test_a_table_of_classes_without_one_of_them_is_refused(tmp_path, data_home):
    by_class(tmp_path / "there/val", WNIDS[5:7])
    (tmp_path / "there/classes.csv").write_text(f"folder,index,name\n{WNIDS[5]},5,one\n")
    with pytest.raises(CourseError, match=f"classes.csv: no row for {WNIDS[6]}"):
        prepare.prepare("imagenet", data_home, tmp_path / "there")


def test_flat_pictures_without_ground_truth_are_told_what_is_missing(tmp_path, data_home):
    flat(tmp_path / "there/val", 3)
    with pytest.raises(Missing, match=r"ground truth is missing\. Place ILSVRC2012_devkit_t12\.tar\.gz or Kaggle's"):
        prepare.prepare("imagenet", data_home, tmp_path / "there")
    assert not (data_home / "imagenet").exists()


def kaggle(folder: Path, wnids=WNIDS, solution="ImageId,PredictionString") -> Path:
    flat(folder / "ILSVRC/Data/CLS-LOC/val", 4)
    by_class(folder / "ILSVRC/Data/CLS-LOC/train", [WNIDS[1]], ("1.JPEG",))
    (folder / "LOC_synset_mapping.txt").write_text("".join(f"{wnid} a thing, another\n" for wnid in wnids))
    listed = [f"{val(i + 1)[:-5]},{LABELS[i]} 85 1 499 272 {LABELS[i]} 0 0 9 9 " for i in (3, 0, 2, 1)]
    (folder / "LOC_val_solution.csv").write_text("\n".join([solution, *listed]) + "\n")
    return folder


def test_kaggles_layout_is_read_with_its_own_tables(tmp_path, data_home):
    prepare.prepare("imagenet", data_home, kaggle(tmp_path / "there"))
    photos = data.load(data_home / "imagenet")
    place = "source/ILSVRC/Data/CLS-LOC"
    assert rows(photos) == [
        *([f"{place}/val/{val(i + 1)}", "val", LABELS[i]] for i in range(3)),
        [f"{place}/train/{WNIDS[1]}/{WNIDS[1]}_1.JPEG", "train", WNIDS[1]],
    ]
    assert photos.outputs[photos.labels].tolist() == [2, 0, 999, 1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"solution": "Id,PredictionString"}, r"LOC_val_solution.csv: column\(s\) ImageId missing"),
        ({"wnids": WNIDS[1:]}, "LOC_synset_mapping.txt: 999 classes; expected 1000"),
    ],
)
def test_kaggles_tables_are_checked(tmp_path, data_home, changes, said):
    with pytest.raises(CourseError, match=said):
        prepare.prepare("imagenet", data_home, kaggle(tmp_path / "there", **changes))
    assert not (data_home / "imagenet").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ILSVRC2012_validation_ground_truth.txt", b"1\n1003\n", "1003 is no ILSVRC2012_ID of a class"),
        ("ILSVRC2012_validation_ground_truth.txt", b"1\ntench\n", "'tench' is no ILSVRC2012_ID of a class"),
        ("meta.mat", b"x" * 300, "meta.mat: cannot be read"),
        ("meta.mat", meta(WNIDS[:9], range(9)), "meta.mat: 9 classes; expected 1000"),
        (
            "meta.mat",
            meta(WNIDS[:9], range(9), "kids"),
            "meta.mat: cannot be read .*expected synsets with ILSVRC2012_ID",
        ),
    ],
)
def test_a_kit_that_is_none_is_told(tmp_path, data_home, meta_mat, name, content, said):
    flat(tmp_path / "there/val", 4)
    (kit(tmp_path / "there", meta_mat, LABELS) / name).write_bytes(content)
    with pytest.raises(CourseError, match=said):
        prepare.prepare("imagenet", data_home, tmp_path / "there")
    assert not (data_home / "imagenet").exists()


def test_an_empty_folder_is_told(tmp_path, data_home):
    (tmp_path / "there/val").mkdir(parents=True)
    with pytest.raises(CourseError, match="there/val: no pictures, and no folders of classes"):
        prepare.prepare("imagenet", data_home, tmp_path / "there")


def test_real_pictures_get_their_real_outputs_and_names(tmp_path, data_home, real_data):
    from timm.data import ImageNetInfo  # it knows the real ids; slow to import

    real = ImageNetInfo("imagenet-1k").label_names()
    with (real_data / "ilsvrc_val227/labels.csv").open(newline="") as listed:
        known = {row["file"]: (row["wnid"], int(row["class_index"])) for row in csv.DictReader(listed)}
    sample = dict(list(known.items())[:20])
    (tmp_path / "there/val").mkdir(parents=True)
    for file in sample:
        (tmp_path / "there/val" / file).symlink_to(real_data / "ilsvrc_val227/images" / file)
    here = kit(tmp_path / "there", meta(real), [])
    numbers = {real[k]: i + 1 for i, k in enumerate(ORDER)}
    truth = [numbers[known[val(i)][0]] if val(i) in known else 1 for i in range(1, 50_001)]
    (here / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, truth)) + "\n")
    said = prepare.prepare("imagenet", data_home, tmp_path / "there")
    assert "49,980 left out" in said[1]
    photos = data.load(data_home / "imagenet")
    found = zip(photos.table["label"], photos.outputs[photos.labels].tolist(), strict=True)
    assert dict(zip(photos.table["image"].str.removeprefix("source/val/"), found, strict=True)) == sample
    ours = pd.read_csv(data_home / "imagenet/classes.csv").set_index("folder")
    for name in ("imagenette224", "imagewoof320"):
        for row in pd.read_csv(real_data / name / "classes.csv").itertuples():
            assert (ours["index"][row.folder], ours["name"][row.folder]) == (row.imagenet_index, row.name)
