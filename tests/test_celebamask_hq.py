"""data_scripts/public/celebamask_hq.py: its archive in small, and real masks taken apart and painted again."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from test_celeba import NAMES, attribute_list, unchecked

from data_scripts import workers
from data_scripts.getting import prepare
from data_scripts.public import celeba, celebamask_hq
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.pictures import images

# number -> CelebA's file: around the borders of its splits; 5 is broken, of 6 the picture is lost
FILES = {0: "119614", 1: "162770", 3: "162771", 5: "000005", 6: "000006", 2000: "182637", 29999: "182638"}
FILES = {number: f"{file}.jpg" for number, file in FILES.items()}
SPLITS = {0: "train", 1: "train", 3: "val", 2000: "val", 29999: "test"}
SIGNS = np.random.default_rng(0).choice([-1, 1], (len(FILES), 40))
# (x0, y0, x1, y1) of 32 pixels: the eye and the glasses lie on the skin, the hair on part of the ear
DRAWN = {"skin": (4, 4, 28, 28), "eye_g": (6, 8, 26, 14), "l_eye": (8, 9, 12, 12), "r_ear": (0, 10, 4, 16)}
HAIR = (0, 0, 32, 11)
MASKS, TABLE = "CelebAMask-HQ-mask-anno", "CelebA-HQ-to-CelebA-mapping.txt"


def write_layer(folder: Path, number: int, region: str, pixels: np.ndarray, mode="RGB"):
    below = folder / MASKS / str(number // 2000)
    below.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * pixels).astype(np.uint8)).convert(mode).save(below / f"{number:05d}_{region}.png")


def drawn(box, side=32) -> np.ndarray:
    x0, y0, x1, y1 = box
    pixels = np.zeros((side, side), bool)
    pixels[y0:y1, x0:x1] = True
    return pixels


def mapping(files: dict) -> str:
    rows = [f"{number:<11}{int(file[:6]) - 1:<11}{file}" for number, file in files.items()]
    return "\n".join(["idx        orig_idx   orig_file", *rows, ""])


@pytest.fixture
def folder(tmp_path) -> Path:
    """CelebAMask-HQ, unpacked: pictures of 64 x 64 with masks of 32 x 32, and what systems leave in folders."""
    folder = tmp_path / "upstream" / "CelebAMask-HQ"
    pictures = folder / "CelebA-HQ-img"
    pictures.mkdir(parents=True)
    for number in FILES:
        for region, box in (DRAWN | {"hair": HAIR}).items():
            if number != 1 or region != "eye_g":  # number 1 wears none
                write_layer(folder, number, region, drawn(box), "L" if number == 3 else "RGB")
        Image.new("RGB", (64, 64), (8 * (number % 30), 90, 40)).save(pictures / f"{number}.jpg", quality=95)
    (pictures / "3.jpg").rename(pictures / "3.JPG")
    (pictures / "5.jpg").write_bytes((pictures / "5.jpg").read_bytes()[:-30])
    (pictures / "6.jpg").unlink()
    for place in (pictures, folder / MASKS / "0"):
        (place / "Thumbs.db").write_bytes(b"x")
        (place / "._0.jpg").write_bytes(b"x")
    (folder / TABLE).write_text(mapping(FILES))
    (folder / "CelebAMask-HQ-attribute-anno.txt").write_text(attribute_list([f"{i}.jpg" for i in FILES], SIGNS))
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "root"))
    monkeypatch.setattr(celebamask_hq, "DATASET", unchecked(celebamask_hq.DATASET))
    return tmp_path / "root"


def made(root: Path, given: Path) -> tuple[data.Photos, list[str]]:
    said = prepare.prepare("celebamask_hq", root, given)
    return data.load(root / "celebamask_hq"), said


def painted_by_hand(number: int) -> np.ndarray:
    """As g_mask.py paints: pixel by pixel, in its order, with its ids."""
    order = {"skin": 1, "eye_g": 3, "l_eye": 4, "r_ear": 9, "hair": 13}
    ids = np.zeros((32, 32), int)
    for region, i in order.items():
        if number != 1 or region != "eye_g":
            for y, x in np.argwhere(drawn((DRAWN | {"hair": HAIR})[region])):
                ids[y, x] = i
    return ids


def test_the_mask_of_a_picture_is_painted_in_the_authors_order(folder, root):
    photos, _ = made(root, folder.parent)
    for row, number in enumerate(SPLITS):
        assert np.array_equal(photos.masks([row])[0], painted_by_hand(number)), number
    assert {1, 3, 4, 9, 13} <= set(np.unique(photos.masks([0])[0]))
    assert (photos.regions[0], photos.regions[16]) == ("background", "neck_l")


def test_layers_keep_what_the_mask_cannot_the_pixels_of_several_regions(folder, root):
    photos, _ = made(root, folder.parent)
    layers = dict(zip(photos.regions.values(), photos.layers([4])[0], strict=True))
    for region, box in (DRAWN | {"hair": HAIR}).items():
        assert np.array_equal(layers[region], drawn(box)), region
    assert not torch.stack([layers[region] for region in layers.keys() - {*DRAWN, "hair"}]).any()


def test_no_notebooks_region_is_lost_when_layers_are_carved(folder, root, notebook):
    photos, _ = made(root, folder.parent)
    carve, regions = notebook("02_facex").carve, list(photos.regions.values())
    assert torch.equal(carve(photos.layers([0]), regions, "exclusive").int().argmax(1)[0].byte(),
                       torch.from_numpy(photos.masks([0])[0]))  # fmt: skip
    ground = carve(photos.layers([0, 1]), regions, "authors")[:, 0]
    assert torch.equal(ground, torch.from_numpy(np.stack(photos.masks([0, 1]))) == 0)
    assert ground.any()


def test_pictures_are_brought_to_the_size_of_their_masks(folder, root):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(noise).save(folder / "CelebA-HQ-img" / "0.jpg", quality=95, subsampling=0)
    Image.fromarray(noise[::2, ::2]).save(folder / "CelebA-HQ-img" / "2000.jpg", quality=95, subsampling=0)
    photos, said = made(root, folder.parent)
    assert photos.images([0], 32).shape == (1, 3, 32, 32)
    for row in (0, 3):  # halved, and of the right size already
        off = photos.images([row], 32)[0].numpy().transpose(1, 2, 0).astype(int) - noise[::2, ::2]
        assert abs(off).mean() < 6  # JPEG, twice
    assert photos.table["image"].tolist() == [f"images/{number}.jpg" for number in SPLITS]
    assert "The pictures were brought to the size of their masks (512 x 512 of 1024 x 1024)" in said


@pytest.mark.parametrize("listed", [False, True])
def test_splits_are_celebas_with_and_without_its_list(folder, root, listed):
    if listed:
        parts = [f"{file} {('train', 'val', 'test').index(SPLITS.get(i, 'val'))}\n" for i, file in FILES.items()]
        (folder.parent / "list_eval_partition.txt").write_text("".join(parts))
    photos, _ = made(root, folder.parent)
    assert photos.table["split"].tolist() == list(SPLITS.values())


def test_a_list_of_splits_comes_before_the_rule(folder, root):
    text = "".join(f"{file} 2\n" for file in [*FILES.values(), "000001.jpg"])
    (folder.parent / "list_eval_partition.txt").write_text(text)
    assert set(made(root, folder.parent)[0].table["split"]) == {"test"}


@pytest.mark.parametrize("source", ["own", "celeba", "both"])
def test_attributes_come_through_the_mapping(folder, root, source):
    own = folder / "CelebAMask-HQ-attribute-anno.txt"
    order = [4, 0, 6, 2, 5, 1, 3]  # CelebA's rows have another order, and more of them
    names = [list(FILES.values())[k] for k in order]
    theirs = attribute_list([*names, "000001.jpg"], [*SIGNS[order], SIGNS[0]])
    if source != "own":
        (folder.parent / "list_attr_celeba.txt").write_text(theirs)
    if source == "celeba":
        own.unlink()
    photos, _ = made(root, folder.parent)
    kept = [list(FILES).index(number) for number in SPLITS]
    assert photos.table[NAMES].to_numpy().tolist() == (SIGNS[kept] == 1).astype(int).tolist()
    assert photos.table["celeba_image"].tolist() == [FILES[number] for number in SPLITS]


def test_attributes_that_are_not_those_of_celeba_are_told(folder, root):
    shifted = attribute_list(FILES.values(), np.roll(SIGNS, 1, 0))
    (folder.parent / "list_attr_celeba.txt").write_text(shifted)
    with pytest.raises(CourseError, match=r"of 0\.jpg is not that of 119614\.jpg in .* values differ\). Take one"):
        made(root, folder.parent)


def test_without_any_attributes_it_says_so(folder, root):
    (folder / "CelebAMask-HQ-attribute-anno.txt").unlink()
    photos, said = made(root, folder.parent)
    assert said[-1].startswith("No attributes: neither CelebAMask-HQ-attribute-anno.txt nor list_attr_celeba.txt")
    assert not set(NAMES) & set(photos.table)


def test_what_may_not_be_learnt_from_is_listed_with_pictures_that_are_lost(folder, root):
    made(root, folder.parent)
    table = pd.read_csv(root / "celebamask_hq" / "leave_out.csv", dtype=str)
    assert table["image"].tolist() == sorted(FILES.values())


def test_bad_and_lost_pictures_are_left_out_with_the_reason(folder, root):
    pictures = folder / "CelebA-HQ-img"
    Image.new("RGB", (64, 64)).save(pictures / "77.jpg")
    Image.new("RGB", (64, 48)).save(pictures / "1.jpg")
    for file in (folder / MASKS / "1").iterdir():
        file.unlink()
    (folder / MASKS / "0" / "00003_hair.png").write_bytes(b"\x89PNG")
    photos, said = made(root, folder.parent)
    out = pd.read_csv(root / "celebamask_hq" / "left_out.csv").set_index("image")["reason"]
    below = "source/CelebAMask-HQ/CelebA-HQ-img/"
    assert len(photos) == 2
    assert out.index.str.removeprefix(below).tolist() == ["6.jpg", "77.jpg", "1.jpg", "3.JPG", "5.jpg", "2000.jpg"]
    for name, reason in {
        "6.jpg": f"listed in {TABLE}, but there is no such file",
        "77.jpg": f"{TABLE} has no row for it",
        "1.jpg": "64 x 48 pixels; expected the shape of its masks, 32 x 32, or more",
        "3.JPG": "00003_hair.png: not an image that Pillow can read",
        "2000.jpg": "02000: no such folder, and no PNG named 02000_<region>.png",
    }.items():
        assert out[below + name] == reason
    assert "truncated" in out[below + "5.jpg"].lower()
    assert {path.name for path in (root / "celebamask_hq" / "images").iterdir()} == {"0.jpg", "29999.jpg"}


@pytest.mark.parametrize("form", ["archive", "its folder", "without its folder"])
def test_it_is_found_packed_and_unpacked(folder, root, form):
    given = folder.parent
    if form == "archive":
        with zipfile.ZipFile(given / "CelebAMask-HQ.zip", "w") as out:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                out.write(file, file.relative_to(given))
        folder.rename(given.with_name("aside"))
    elif form == "its folder":
        given = folder
    else:
        given = folder.rename(given.with_name("faces"))
    photos, _ = made(root, given)
    assert photos.table["split"].tolist() == list(SPLITS.values())
    assert photos.layers([0])[0].any()
    assert set(NAMES) <= set(photos.table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.replace("orig_file", "file"), "its columns are idx, orig_idx, file; expected idx, orig_idx, orig"),
        (lambda s: s.replace("000005.jpg", "5.jpg"), r"a row is 5 4 5\.jpg; expected a number"),
        (lambda s: s.replace("\n1 ", "\n0 "), "a row is 0 162769 162770.jpg; expected a number of its own"),
        (lambda s: "", "not a readable table"),
    ],
)
def test_another_mapping_is_named_and_nothing_is_made(folder, root, change, said):
    (folder / TABLE).write_text(change(mapping(FILES)))
    with pytest.raises(CourseError, match=f"{TABLE}: {said}"):
        made(root, folder.parent)
    assert not (root / "celebamask_hq").exists()


def test_the_prefix_of_layers_names_the_files_of_one_picture(tmp_path):
    for name, box in {"00000_hair": HAIR, "00000_l_eye": DRAWN["l_eye"], "00001_hat": HAIR, "100000_hat": HAIR}.items():
        Image.fromarray(drawn(box)).save(tmp_path / f"{name}.png")
    found = images.read_layers(tmp_path / "00000", ["hat", "l_eye", "hair"])
    assert np.array_equal(found, [np.zeros((32, 32), bool), drawn(DRAWN["l_eye"]), drawn(HAIR)])
    with pytest.raises(CourseError, match=r"00002: no such folder, and no PNG named 00002_<region>\.png"):
        images.read_layers(tmp_path / "00002", ["hat"])


def test_several_processes_make_the_same(folder, tmp_path, monkeypatch):
    jobs = [(0, "0.jpg"), (5, "5.jpg"), (1, "1.jpg")]
    results = []
    for cores in (1, 2):
        monkeypatch.setattr(workers, "cores", lambda cores=cores: cores)
        monkeypatch.setattr(celebamask_hq, "CHUNK", 2)
        (here := tmp_path / f"made{cores}").mkdir()
        bad = list(celebamask_hq._painted(folder, here, jobs))
        results.append((bad, {str(p.relative_to(here)): p.read_bytes() for p in sorted(here.rglob("*.*g"))}))
    assert results[0] == results[1]
    assert [number for number, _ in results[0][0]] == [5]
    assert len(results[0][1]) == 4


def test_celebas_own_lists_keep_their_checksums():
    found = {part.path: part.checksum for part in celebamask_hq.DATASET.layouts["archive"] if part.checksum}
    assert found == {name: celeba.MD5[name] for name in ("list_attr_celeba.txt", "list_eval_partition.txt")}


def test_real_masks_are_painted_again_from_their_regions(real_data, root, tmp_path):
    photos = data.load(real_data / "celebamask512")
    assert photos.regions == dict(enumerate(celebamask_hq.REGIONS))
    assert set(np.unique(photos.masks(range(len(photos))))) <= set(photos.regions)
    folder = tmp_path / "CelebAMask-HQ"
    (folder / "CelebA-HQ-img").mkdir(parents=True)
    for number, (row, ids) in enumerate(zip((0, 40), photos.masks([0, 40]), strict=True)):
        for i, region in photos.regions.items():
            if i and (ids == i).any():
                write_layer(folder, number, region, ids == i)
        image = Image.open(photos.root / photos.table["image"].iloc[row]).resize((1024, 1024))
        image.save(folder / "CelebA-HQ-img" / f"{number}.jpg", quality=95)
    (folder / TABLE).write_text(mapping({0: "000001.jpg", 1: "000002.jpg"}))
    again, _ = made(root, folder)
    for found, expected in zip(again.masks([0, 1]), photos.masks([0, 40]), strict=True):
        assert np.array_equal(found, expected)
    off = again.images([0, 1], 512).int() - photos.images([0, 40], 512).int()
    assert off.abs().float().mean() < 4
