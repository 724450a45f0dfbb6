"""parsing/masks.py: every picture gets a mask of its own size, in a data set that is whole or not there."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from data_scripts import parsing
from data_scripts.drawn.face_paint import ID, REGIONS
from data_scripts.getting import prepare
from data_scripts.parsing import masks
from data_scripts.parsing.unet import CompactUNet
from helpers import pictures as data
from helpers.errors import CourseError, Missing
from helpers.pictures.images import ORIENTATION
from reports.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
SIZES = {"a.png": (40, 30), "b.png": (20, 50), "c.png": (64, 64), "sub/d.jpg": (30, 48)}  # width, height


class Colours(torch.nn.Module):
    """Channel 0 is dark, 1 red, 2 green, 3 blue."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([0.5 - x.amax(1, keepdim=True), x - 0.1 * x.sum(1, keepdim=True)], 1)


@pytest.fixture
def faces(tmp_path, data_home):
    """Four pictures, upper half red and lower half blue, with a table; d was held sideways."""
    for name, size in SIZES.items():
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        pixels[: size[1] // 2, :, 0] = pixels[size[1] // 2 :, :, 2] = 255
        file = tmp_path / "people" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file, quality=95)
    turned = Image.open(file)
    exif = turned.getexif()
    exif[ORIENTATION] = 3
    turned.rotate(180).save(file, quality=95, exif=exif)
    rows = {
        "image": list(SIZES),
        "split": "val",
        "label": ["x", "y", "x", "y"],
        "Smiling": [0, 1, 1, 0],
        "who": list("stuv"),
    }
    pd.DataFrame(rows).to_csv(tmp_path / "people" / "index.csv", index=False)
    classes = {"folder": ["x", "y", "z"], "index": [7, 3, 5], "name": ["ex", "why", "zed"]}
    pd.DataFrame(classes).to_csv(tmp_path / "people" / "classes.csv", index=False)
    return tmp_path / "people"


@pytest.fixture
def network(tmp_path):
    """The file of a parser and the table of its channels: red is hair, blue skin."""
    torch.jit.script(Colours()).save(str(tmp_path / "net.pt"))
    names = ["background", "hair", "", "skin"]
    pd.DataFrame({"channel": range(4), "region": names}).to_csv(tmp_path / "map.csv", index=False)
    return str(tmp_path / "net.pt"), str(tmp_path / "map.csv")


def written(root):
    return sorted(p.name for p in root.iterdir() if p.suffix != ".lock") if root.is_dir() else []


def test_each_picture_gets_a_mask_of_its_own_size_with_the_right_ids(faces, network, data_home, capsys):
    found = ["--parser", network[0], "--channels", network[1]]
    assert main(["data", "masks", str(faces), *found]) == 0
    assert "people-masks: masks of 4 pictures, found by net.pt" in capsys.readouterr().out
    photos = data.load("people-masks")
    assert photos.regions == dict(enumerate(REGIONS))
    for mask, (width, height) in zip(photos.masks(range(4)), SIZES.values(), strict=True):
        assert mask.shape == (height, width)
        assert set(np.unique(mask[: height // 2 - 2])) == {ID["hair"]}
        assert set(np.unique(mask[height // 2 + 2 :])) == {ID["skin"]}


def test_the_new_data_set_has_the_old_ones_pictures_table_and_classes(faces, network, data_home):
    masks.write(str(faces), *network, data_home)
    old, new = data.load(faces), data.load("people-masks")
    assert torch.equal(old.images(range(4), 32), new.images(range(4), 32))
    columns = ["split", "label", "Smiling", "who"]
    assert new.table[columns].equals(old.table[columns])
    assert (new.classes, new.outputs.tolist()) == (old.classes, old.outputs.tolist()) == (["ex", "why"], [7, 3])
    assert new.notes == old.notes
    assert "1 picture(s) turned upright" in new.notes[0]


def test_it_is_not_read_again_when_it_is_loaded(faces, network, data_home, monkeypatch):
    masks.write(str(faces), *network, data_home)
    monkeypatch.setattr("data_scripts.getting.verify.problems", lambda *_: pytest.fail("every file was read again"))
    assert len(data.load("people-masks")) == 4


def test_the_masks_show_regions_in_colours(faces, network, data_home):
    masks.write(str(faces), *network, data_home)
    mask = Image.open(data_home / "people-masks" / "masks" / "000000.png")
    assert mask.mode == "P"
    assert len(np.unique(np.array(mask.convert("RGB")).reshape(-1, 3), axis=0)) == len(np.unique(np.array(mask))) > 1


def test_the_same_question_is_not_asked_twice_and_another_one_is(faces, network, data_home, monkeypatch):
    masks.write(str(faces), *network, data_home)
    made = (data_home / "people-masks" / "dataset.json").stat().st_mtime_ns
    (again,) = masks.write(str(faces), *network, data_home)
    assert "is there" in again
    assert (data_home / "people-masks" / "dataset.json").stat().st_mtime_ns == made
    table = pd.read_csv(network[1], keep_default_na=False)
    table.assign(region=["background", "hat", "", "skin"]).to_csv(network[1], index=False)
    masks.write(str(faces), *network, data_home)
    assert ID["hat"] in data.load("people-masks").masks([0])[0]
    Image.new("RGB", (10, 10)).save(faces / "a.png")
    masks.write(str(faces), *network, data_home)
    assert data.load("people-masks").masks([0])[0].shape == (10, 10)


def test_a_picture_that_cannot_be_read_is_left_out_and_listed(faces, network, data_home):
    (faces / "b.png").write_bytes(b"\x89PNG cut short")
    lines = masks.write(str(faces), *network, data_home)
    assert "1 pictures cannot be read, see left_out.csv; the first: b.png: not an image" in lines[1]
    assert pd.read_csv(data_home / "people-masks" / "left_out.csv")["image"].tolist() == ["b.png"]
    assert len(data.load("people-masks")) == 3


def test_pictures_alone_or_a_single_one_will_do(faces, network, data_home):
    (faces / "index.csv").unlink()
    (faces / "classes.csv").unlink()
    masks.write(str(faces / "a.png"), *network, data_home)
    photos = data.load("a-masks")
    assert photos.masks([0])[0].shape == (30, 40)
    assert photos.images([0], 8).shape == (1, 3, 8, 8)
    masks.write(str(faces / "sub"), *network, data_home, "few")
    assert not (data_home / "few" / "classes.csv").exists()  # who has none says nothing about outputs
    assert len(data.load("few")) == 1


def test_a_data_set_in_the_same_place_is_linked_to_by_a_way_that_moves_along(faces, network, data_home):
    data_home.mkdir()
    faces.rename(data_home / "people")
    masks.write("people", *network, data_home)
    data_home.rename(data_home.with_name("moved"))
    assert (data_home.with_name("moved") / "people-masks" / "source" / "a.png").is_file()


def test_our_own_state_dict_needs_no_channels(faces, data_home, tmp_path):
    torch.save(CompactUNet(len(REGIONS)).state_dict(), tmp_path / "own.pt")
    masks.write(str(faces), str(tmp_path / "own.pt"), "", data_home)
    assert len(data.load("people-masks").masks(range(4))) == 4


def test_our_own_is_trained_on_the_drawn_faces(faces, network, data_home, monkeypatch):
    load, stand_in = data.load, parsing.load(*network, regions=masks.NAMES)
    drawn = "the drawn faces"
    monkeypatch.setattr(data, "load", lambda name, *a, **k: drawn if name == "faces" else load(name, *a, **k))
    monkeypatch.setattr(parsing, "train", lambda photos, **_: {drawn: stand_in}[photos])
    assert "has seen drawn faces only" in masks.write(str(faces), "train", "", data_home)[1]


def test_torchscript_has_to_say_what_its_outputs_are(faces, network, data_home):
    with pytest.raises(CourseError, match="TorchScript, which does not say .*--channels farl"):
        masks.write(str(faces), network[0], "", data_home)
    with pytest.raises(CourseError, match="4 channels, but mapping `farl` names 19"):
        masks.write(str(faces), network[0], "farl", data_home)
    assert "people-masks" not in written(data_home)


def test_farl_that_is_not_there_is_told_with_exit_code_3(faces, data_home, capsys):
    assert main(["data", "masks", str(faces)]) == 3
    assert "course data prepare weights farl" in capsys.readouterr().err
    with pytest.raises(Missing):
        masks.write(str(faces), "farl", "", data_home)


def test_faces_with_masks_and_names_that_are_taken_are_refused(faces, network, data_home):
    masks.write(str(faces), *network, data_home)
    with pytest.raises(CourseError, match="has a column `mask`"):
        masks.write("people-masks", *network, data_home)
    for taken in ("photos", "other"):
        (data_home / taken).mkdir()
    (data_home / "other" / "dataset.json").write_text(json.dumps({"name": "other", "generator": "faces"}))
    for taken in ("photos", "other"):
        with pytest.raises(CourseError, match=f"{taken} is there and holds no masks made here"):
            masks.write(str(faces), *network, data_home, taken)
    with pytest.raises(CourseError, match="--name is 'up/there'; expected the name of a folder"):
        masks.write(str(faces), *network, data_home, "up/there")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left")])
def test_an_interrupt_or_a_full_disk_leaves_what_was_there(faces, network, data_home, monkeypatch, stop):
    masks.write(str(faces), *network, data_home)
    before = written(data_home), data.load("people-masks").masks([0])[0]
    (faces / "b.png").unlink()
    Image.new("RGB", (10, 10)).save(faces / "b.png")
    turns = itertools.count(1)  # one number each, also for threads that save at the same time

    def save(ids, file):
        turn = next(turns)
        file.touch()
        if turn == 3:
            raise stop

    monkeypatch.setattr(masks, "_save", save)
    with pytest.raises((KeyboardInterrupt, CourseError)):
        masks.write(str(faces), *network, data_home)
    assert written(data_home) == before[0]
    assert np.array_equal(data.load("people-masks").masks([0])[0], before[1])
    assert prepare.prepared(data_home / "people-masks")


def test_chunks_change_nothing(faces, network, data_home, monkeypatch):
    masks.write(str(faces), *network, data_home, "whole")
    monkeypatch.setattr(masks, "CHUNK", 3)
    masks.write(str(faces), *network, data_home, "parts")
    for one, other in zip(*(data.load(name).masks(range(4)) for name in ("whole", "parts")), strict=True):
        assert np.array_equal(one, other)
