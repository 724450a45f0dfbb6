"""The way of a data set from what its authors offer to the one format, with a toy of five pictures."""

import errno
import hashlib
import json
import os
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from known import of_the_dead
from PIL import Image

from data_scripts.getting import prepare, sources, verify
from data_scripts.getting.upstream import Arranged, Dataset, Part, pictures
from helpers import door
from helpers import pictures as data
from helpers.errors import CourseError, Missing
from reports import cli

SIZE = (12, 8)


def paint(file: Path, value: int = 0):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, (value, 40, 90)).save(file, "PNG")


def upstream(folder: Path, bad: bool = True) -> Path:
    """Four pictures and a broken one, a list, and what systems leave in folders."""
    for i, name in enumerate(("a.png", "b.PNG", "c.png", "d.png")):
        paint(folder / "pictures" / name, 60 * i)
    if bad:
        (folder / "pictures" / "e.png").write_bytes(b"\x89PNG cut short")
    (folder / "pictures" / "Thumbs.db").write_bytes(b"x")
    (folder / "pictures" / "._a.png").write_bytes(b"x")
    (folder / "list.txt").write_text("a b c d e\n")
    return folder


def packed(folder: Path) -> Path:
    """The same with the pictures in pictures.zip."""
    plain = upstream(folder / "plain")
    with zipfile.ZipFile(folder / "pictures.zip", "w") as out:
        for file in sorted((plain / "pictures").iterdir()):
            out.write(file, f"pictures/{file.name}")
    (plain / "list.txt").rename(folder / "list.txt")
    plain.rename(folder.with_name("aside"))
    return folder


def arrange(source, made, layout):
    rows = [(f"source/pictures/{f.name}", "train", f.stem) for f in pictures(source / "pictures")]
    (made / "masks").mkdir()
    table = pd.DataFrame(rows, columns=["image", "split", "label"]).assign(round=1)
    classes = [(label, i, f"the {label}") for i, label in enumerate("abcde")]
    listed = (source / "list.txt").read_text().split()
    return Arranged(table, classes, tables={"leave_out.csv": pd.DataFrame({"image": listed})}, notes=("It is a toy",))


def toy(arranged=arrange, checksum="", **changes) -> Dataset:
    parts = (Part("pictures", "pictures.zip", checksum=checksum), Part("list.txt"))
    layouts = {"plain": parts, "flat": (Part("flat"),)}
    about = {
        "holds": "five squares",
        "notebooks": "01",
        "size": "1 kB",
        "licence": "none",
        "page": "https://toy.example",
    }
    return Dataset("toy", **(about | changes), layouts=layouts, arrange=arranged, pictures=5)


@pytest.fixture
def known(monkeypatch, data_home):
    """`known(toy())`: a data set `toy` has that script. Gives the empty place for prepared data."""

    def register(dataset):
        monkeypatch.setattr(door, "scripts", lambda: {"toy": SimpleNamespace(name="toy", load=lambda: dataset)})
        return data_home

    return register


def names_in(folder) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*")) if folder.is_dir() else []


def test_files_that_were_placed_become_a_data_set(known):
    root = known(toy())
    upstream(root / "sources" / "toy")
    said = prepare.prepare("toy", root)
    assert said[0] == f"{root / 'toy'}: 4 pictures (train 4)"
    assert said[1].startswith("1 left out, see left_out.csv; the first: source/pictures/e.png: not an image")
    assert said[2:] == ["It is a toy"]
    photos = data.load("toy")
    assert photos.table["image"].tolist() == [f"source/pictures/{n}" for n in ("a.png", "b.PNG", "c.png", "d.png")]
    assert photos.classes == ["the a", "the b", "the c", "the d"]
    assert photos.images([1], 8)[0, 0, 4, 4] == 60
    assert pd.read_csv(root / "toy/left_out.csv")["image"].tolist() == ["source/pictures/e.png"]
    assert pd.read_csv(root / "toy/leave_out.csv")["image"].tolist() == list("abcde")
    assert (root / "toy/masks").is_dir()


@pytest.mark.parametrize("deep", ["", "toy-1.0"])
def test_files_elsewhere_are_linked_and_left_alone(known, tmp_path, deep):
    root, there = known(toy()), upstream(tmp_path / "there" / deep)
    before = names_in(tmp_path / "there")
    prepare.prepare("toy", root, tmp_path / "there")
    assert len(data.load("toy")) == 4
    assert names_in(tmp_path / "there") == before
    assert (root / "sources/toy/pictures").resolve() == (there / "pictures").resolve()


def test_an_archive_is_unpacked_beside_and_left_alone(known, tmp_path):
    root, there = known(toy()), packed(tmp_path / "there")
    before = names_in(there)
    prepare.prepare("toy", root, there)
    assert len(data.load("toy")) == 4
    assert names_in(there) == before
    assert sorted(p.name for p in (root / "sources/toy").iterdir()) == ["list.txt", "pictures", "unpacked"]


def test_an_archive_with_a_folder_of_its_own_is_unpacked_as_well(known, tmp_path):
    root, there = known(toy()), upstream(tmp_path / "there")
    with zipfile.ZipFile(there / "pictures.zip", "w") as out:
        for file in (there / "pictures").iterdir():
            out.write(file, f"toy-1.0/pictures/{file.name}")
    (there / "pictures").rename(tmp_path / "aside")
    prepare.prepare("toy", root, there)
    assert len(data.load("toy")) == 4


def test_an_archive_with_its_checksum_is_taken_and_any_other_stops_with_both(known, tmp_path):
    there = packed(tmp_path / "there")
    found = hashlib.md5((there / "pictures.zip").read_bytes()).hexdigest()
    root = known(toy(checksum=f"md5:{'0' * 32}"))
    with pytest.raises(CourseError, match=f"md5 is {found}, expected {'0' * 32}"):
        prepare.prepare("toy", root, there)
    assert not (root / "toy").exists()
    assert not (root / "sources/toy/pictures").exists()
    known(toy(checksum=f"md5:{found}"))
    prepare.prepare("toy", root, there)
    assert len(data.load("toy")) == 4


def test_an_archive_of_something_else_is_named(known, tmp_path):
    root = known(toy())
    (tmp_path / "there").mkdir()
    (tmp_path / "there/list.txt").write_text("a\n")
    with zipfile.ZipFile(tmp_path / "there/pictures.zip", "w") as out:
        out.writestr("other/a.png", "x")
    with pytest.raises(CourseError, match="pictures.zip is here, but pictures is not in it"):
        prepare.prepare("toy", root, tmp_path / "there")
    assert not (root / "toy").exists()


@pytest.mark.parametrize("placed", [[], ["list.txt"]])
def test_what_is_missing_is_said_and_nothing_written(known, tmp_path, placed):
    root = known(toy())
    for name in placed:
        (tmp_path / "there").mkdir()
        (tmp_path / "there" / name).write_text("a")
    with pytest.raises(Missing) as caught:
        prepare.prepare("toy", root, tmp_path / "there" if placed else None)
    said = str(caught.value).splitlines()
    assert said[:4] == [
        "toy (1 kB; licence: none) is got at https://toy.example",
        f"Place in {root / 'sources/toy'}:",
        "  pictures.zip (or unpacked: pictures)",
        "  list.txt",
    ]
    assert said[4:6] == ["or, as flat:", "  flat"]
    assert said[-1] == "Then: course data prepare toy; or if they are elsewhere, add --from PATH"
    assert ("Some of it is here. Still missing: pictures.zip" in said) == bool(placed)
    assert not root.exists()


def test_what_could_be_fetched_but_not_now_is_said_and_nothing_written(known, monkeypatch):
    parts = (Part("list.txt", url="http://127.0.0.1:9/list.txt", checksum="md5:" + "0" * 32),)
    dataset = Dataset("toy", "five", "01", "1 kB", "none", "https://toy.example", {"net": parts}, arrange)
    root = known(dataset)
    with pytest.raises(
        Missing, match=r"toy: http://127.0.0.1:9/list.txt cannot be reached .*\n.*(?s:.*)Place in .*toy:\n"
    ):
        prepare.prepare("toy", root)
    assert names_in(root) == [".toy.lock", "sources"]  # nothing of the data set
    with pytest.raises(Missing, match="is got at"):  # a run never downloads by itself
        data.find("toy")


@pytest.mark.parametrize(
    "command",
    [
        ["data", "prepare", "toy"],
        ["run", "01_focus", "-p", "dataset=toy"],
        *(["run", "02_facex", "-p", f"{name}=toy"] for name in ("training_set", "rival_set", "unmasked_set")),
    ],
)
def test_missing_files_exit_with_3(known, capsys, command):
    known(toy())
    assert cli.main(command) == 3
    assert "Place in" in capsys.readouterr().err


def test_no_such_place_is_said(known, tmp_path):
    root = known(toy())
    with pytest.raises(CourseError, match="--from .*nowhere: no such folder"):
        prepare.prepare("toy", root, tmp_path / "nowhere")
    assert not root.exists()


def test_a_run_makes_what_was_placed_and_only_then(known):
    root = known(toy())
    upstream(root / "sources/toy")
    assert data.located("toy") == root / "toy"
    assert not (root / "toy").exists()
    assert data.find("toy") == root / "toy"
    assert prepare.prepared(root / "toy")


def test_prepared_is_prepared_until_forced(known):
    root = known(toy())
    there = upstream(root / "sources/toy")
    prepare.prepare("toy", root)
    paint(there / "pictures/f.png")
    assert prepare.prepare("toy", root) == [f"{root / 'toy'} is prepared; --force prepares it again"]
    assert len(data.load("toy")) == 4
    (there / "pictures/f.png").rename(there / "pictures/e.png")
    prepare.prepare("toy", root, force=True)
    assert len(data.load("toy")) == 5


def fails_with(error):
    def arrange_badly(source, made, layout):
        (made / "masks").mkdir()
        (made / "masks/half.png").write_bytes(b"half")
        raise error

    return arrange_badly


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), CourseError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (CourseError("list.txt: has no column `a`"), CourseError),
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_what_goes_wrong_half_way_leaves_what_was_there(known, error, shown, before):
    root = known(toy())
    upstream(root / "sources/toy")
    if before:
        prepare.prepare("toy", root)
    there = names_in(root)
    known(toy(fails_with(error)))
    with pytest.raises(shown):
        prepare.prepare("toy", root, force=True)
    assert names_in(root) == sorted({*there, ".toy.lock"})


def test_a_full_disk_is_told_in_a_sentence(known):
    root = known(toy(fails_with(OSError(errno.ENOSPC, "No space left on device"))))
    upstream(root / "sources/toy")
    with pytest.raises(CourseError, match=r"toy: the disk is full \(.* MiB free now\); what was half made is not kept"):
        prepare.prepare("toy", root)


def test_a_folder_that_is_somebodys_own_is_not_touched(known):
    root = known(toy())
    upstream(root / "toy")  # placed one folder too high
    before = names_in(root)
    with pytest.raises(CourseError, match="was not made here; move it to .*sources/toy"):
        prepare.prepare("toy", root, force=True)
    assert names_in(root) == before


def test_without_a_readable_picture_there_is_no_data_set(known):
    root = known(toy())
    for file in (upstream(root / "sources/toy") / "pictures").glob("[a-e].*"):
        file.write_bytes(b"x")
    with pytest.raises(CourseError, match="toy: no readable picture in .*; first problem: source/pictures/a.png: "):
        prepare.prepare("toy", root)
    assert not (root / "toy").exists()


def test_a_part_of_the_pictures_is_said_to_be_one(known):
    root = known(toy())
    (upstream(root / "sources/toy", bad=False) / "pictures/d.png").unlink()
    assert "The whole data set has 5 pictures" in prepare.prepare("toy", root)


def test_checked_pictures_are_not_checked_again(known, monkeypatch):
    root = known(toy())
    upstream(root / "sources/toy")
    prepare.prepare("toy", root)
    monkeypatch.setattr(verify, "problems", lambda *_: pytest.fail("decoded twice"))
    assert len(data.load("toy")) == 4


def test_the_same_files_make_the_same_data_set_anywhere(known, tmp_path):
    known(toy())
    recipes = []
    for place in ("one", "other"):
        upstream(tmp_path / place / "sources/toy")
        prepare.prepare("toy", tmp_path / place)
        recipes.append((tmp_path / place / "toy/dataset.json").read_text())
    assert recipes[0] == recipes[1]
    assert json.loads(recipes[0])["pictures"] == 4


def test_a_data_root_can_be_moved(known, tmp_path, monkeypatch):
    root = known(toy())
    upstream(root / "sources/toy")
    prepare.prepare("toy", root)
    root.rename(tmp_path / "moved")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "moved"))
    assert data.load("toy").images(range(4), 8).shape == (4, 3, 8, 8)


def test_of_two_layouts_the_one_that_is_there_is_taken(known):
    def arrange_flat(source, made, layout):
        rows = [(f"source/flat/{f.name}", layout, "all") for f in pictures(source / "flat")]
        return Arranged(pd.DataFrame(rows, columns=["image", "split", "label"]))

    root = known(toy(arrange_flat))
    paint(root / "sources/toy/flat/a.png")
    prepare.prepare("toy", root)
    assert data.load("toy").table["split"].tolist() == ["flat"]


def test_files_in_two_places_are_not_guessed_between(known, tmp_path):
    root = known(toy())
    upstream(root / "sources/toy")
    with pytest.raises(CourseError, match="both .* and .* are there; move one of them away"):
        prepare.prepare("toy", root, upstream(tmp_path / "there"))
    assert not (root / "toy").exists()


def test_pictures_of_a_folder_are_pictures(tmp_path):
    for name in ("b.JPG", "a.png", "._a.png", "Thumbs.db", ".DS_Store", "c.jpeg", "list.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [f.name for f in pictures(tmp_path)] == ["a.png", "b.JPG", "c.jpeg"]


def test_every_picture_is_checked_in_bounded_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "CHUNK", 3)
    table = pd.DataFrame({"image": [f"{i}.png" for i in range(8)], "label": "all"}, index=np.arange(8) * 10)
    for i in (0, 1, 2, 4, 5, 6):
        paint(tmp_path / f"{i}.png")
    bad, notes, boxes = verify.problems(tmp_path, table, {}, None, "eight")
    assert list(bad) == [30, 70]
    assert "no such file" in bad[70]
    assert not notes
    assert not boxes


def test_an_unpacking_that_was_killed_is_not_taken_for_the_data_set(known, tmp_path):
    root, there = known(toy()), packed(tmp_path / "there")
    half = root / "sources/toy/unpacked/.pictures-abcd1234.zip-99"
    paint(half / "pictures/a.png")
    draft = root / of_the_dead(".toy")
    paint(draft / "masks/a.png")
    prepare.prepare("toy", root, there)
    assert len(data.load("toy")) == 4
    assert not half.exists()
    assert not draft.exists()


def test_a_folder_of_another_data_set_is_not_taken_for_a_part(known, tmp_path):
    root, there = known(toy()), packed(tmp_path / "there")
    paint(there / "other-set/pictures/z.png")
    prepare.prepare("toy", root, there)
    assert data.load("toy").table["image"].iloc[0].endswith("a.png")
    (there / "list.txt").unlink()
    (there / "pictures.zip").unlink()
    with pytest.raises(Missing):
        prepare.prepare("toy", tmp_path / "root", there)


def test_what_is_given_comes_before_what_was_there(known, tmp_path):
    root, first = known(toy()), packed(tmp_path / "first/toy")
    prepare.prepare("toy", root, first)
    other = packed(tmp_path / "other/toy")
    with zipfile.ZipFile(other / "pictures.zip", "w") as out:
        out.write(tmp_path / "other/aside/pictures/b.PNG", "pictures/b.PNG")
    prepare.prepare("toy", root, other, force=True)
    assert [Path(name).name for name in data.load("toy").table["image"]] == ["b.PNG"]
    prepare.prepare("toy", root, upstream(tmp_path / "third"), force=True)
    assert len(data.load("toy")) == 4


def test_an_archive_is_unpacked_once(known, tmp_path, monkeypatch):
    root, there = known(toy()), packed(tmp_path / "there")
    prepare.prepare("toy", root, there)
    monkeypatch.setattr(sources, "unpack", lambda *_: pytest.fail("unpacked again"))
    prepare.prepare("toy", root, there, force=True)
    assert len(data.load("toy")) == 4


def test_a_link_to_a_place_that_is_gone_is_replaced(known, tmp_path):
    root, there = known(toy()), upstream(tmp_path / "stick")
    prepare.prepare("toy", root, there)
    there.rename(tmp_path / "unplugged")
    with pytest.raises(CourseError, match="its pictures are gone: .*--from"):
        data.load("toy")
    packed(tmp_path / "again")
    prepare.prepare("toy", root, tmp_path / "again", force=True)
    assert len(data.load("toy")) == 4


def test_the_place_itself_may_be_given_in_another_spelling(known, tmp_path):
    root, there = known(toy()), upstream(tmp_path / "there")
    prepare.prepare("toy", root, there)
    (tmp_path / "alias").symlink_to(root / "sources/toy")
    prepare.prepare("toy", root, tmp_path / "alias", force=True)
    assert len(data.load("toy")) == 4
    assert (root / "sources/toy/pictures").resolve() == (there / "pictures").resolve()


def test_what_another_process_prepared_meanwhile_is_not_prepared_again(known, monkeypatch):
    root, asked = known(toy()), []
    upstream(root / "sources/toy")
    prepare.prepare("toy", root)
    seen = prepare.prepared
    monkeypatch.setattr(prepare, "prepared", lambda folder: asked.append(1) is None and len(asked) > 1 and seen(folder))
    monkeypatch.setattr(prepare, "_made", lambda *_: pytest.fail("prepared twice"))
    assert prepare.prepare("toy", root) == [f"{root / 'toy'} is prepared"]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_an_interrupt_between_the_renames_brings_back_what_was_there(known, monkeypatch, fails_at):
    root, calls, rename = known(toy()), [], os.rename
    upstream(root / "sources/toy")
    prepare.prepare("toy", root)

    def interrupted(old, new):
        calls.append(1)
        if len(calls) == fails_at:
            raise KeyboardInterrupt
        rename(old, new)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare("toy", root, force=True)
    assert len(data.load("toy")) == 4
    assert sorted(p.name for p in root.iterdir() if p.name != "checked") == [".toy.lock", "sources", "toy"]


def test_a_mistake_in_the_files_names_them_where_they_are(known):
    def arrange_badly(source, made, layout):
        raise CourseError(f"{source / 'list.txt'}: not a list")

    root = known(toy(arrange_badly))
    upstream(root / "sources/toy")
    with pytest.raises(CourseError, match=f"^{root / 'sources/toy/list.txt'}: not a list"):
        prepare.prepare("toy", root)


def test_a_folder_of_ones_own_with_the_name_of_a_data_set_is_ones_own(known, tmp_path, monkeypatch):
    known(toy())
    monkeypatch.chdir(tmp_path)
    paint(Path("toy/cat/a.png"))
    for name in ("toy", "./toy"):
        assert data.load(name).classes == ["cat"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["prepare", "celebA"], "no data set `celebA`. Did you mean `celeba`"),
        (["prepare", "celeba", "resnet18"], "only `weights` is prepared in parts"),
        (["prepare", "faces", "--from", "somewhere"], "faces is drawn here"),
        (["prepare", "weights", "--force"], "--force: weights"),
        (["prepare", "pets", "--from", "nowhere"], "--from nowhere: no such folder or file"),
        (["prepare", "celeba", "--root", "list.txt/below", "--from", "."], "celeba: .*list.txt"),
    ],
)
def test_a_mistake_on_the_command_line_exits_with_2(data_home, tmp_path, monkeypatch, capsys, command, said):
    monkeypatch.chdir(tmp_path)
    for name in ("list_attr_celeba.csv", "list_eval_partition.csv", "list.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "img_align_celeba").mkdir()
    assert cli.main(["data", *command]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not data_home.exists()


def test_every_missing_data_set_of_a_run_is_told(known, capsys):
    known(toy())
    assert cli.main(["run", "01_focus", "-p", "dataset=toy,nosuch"]) == 2
    said = capsys.readouterr().err
    assert "toy (1 kB" in said
    assert "`nosuch`" in said


PUBLIC = [name for name, one in door.scripts().items() if one.value.startswith("data_scripts.public.")]
EXPECTED = dict.fromkeys(("imagenette", "pets", "dogs_vs_cats"), "fetched")
EXPECTED |= dict.fromkeys(("imagenet", "rfw"), "on request")


def test_a_data_set_that_is_listed_says_what_the_list_shows():
    for name in PUBLIC:
        about = prepare.described(name)
        assert about.name == name
        assert about.how == EXPECTED.get(name, "by hand")
        assert all((about.holds, about.notebooks, about.size, about.licence, about.page, about.layouts))
        for part in (part for parts in about.layouts.values() for part in parts):
            assert not part.url or re.fullmatch(r"(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})", part.checksum), part


TO_PLACE = {  # what the message must name: the files, whose page it is, and addresses or checksums where they are known
    "imagenette": ("imagenette2-320.tgz", "imagenette2-320)", "https://s3.amazonaws.com/", "md5:3df6f0d0"),
    "pets": ("images.tar.gz", "annotations.tar.gz", "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations"),
    "dogs_vs_cats": ("kagglecatsanddogs_5340.zip", "PetImages", "train.zip", "dogs-vs-cats.zip", "sha256:b7974bd0"),
    "imagenet": (
        *("ILSVRC2012_img_val.tar (or unpacked: val)", "ILSVRC2012_devkit_t12.tar.gz", "LOC_val_solution.csv"),
        *("LOC_synset_mapping.txt", "ILSVRC/Data/CLS-LOC/val", "image-net.org"),
    ),
    "mit67": ("indoorCVPR_09.tar", "Images", "TrainImages.txt", "TestImages.txt", "indoor.html"),
    "mame": ("MAMe_data_256.zip", "MAMe_data.zip", "MAMe_metadata.zip", "MAMe_dataset.csv", "MAMe-dataset"),
    "rival10": ("rival10.zip (or unpacked: RIVAL10)", "mmoayeri/RIVAL10"),
    "celeba": (
        *("img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"),
        *("list_attr_celeba.csv", "list_eval_partition.csv", "mmlab.ie.cuhk.edu.hk"),
    ),
    "celebamask_hq": (
        *("CelebAMask-HQ.zip", "CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebA-HQ-to-CelebA-mapping.txt"),
        *("list_attr_celeba.txt", "switchablenorms"),
    ),
    "fairface": (
        *("fairface-img-margin025-trainval.zip", "fairface-img-margin125-trainval.zip", "fairface_label_train.csv"),
        *("fairface_label_val.csv", "https://github.com/joojs/fairface"),
    ),
    "rfw": ("test.tar.gz", "test/data", "whdeng.cn/RFW"),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_offline_every_script_ends_with_what_to_place_where(data_home, monkeypatch, capsys, name):
    def unreachable(url, file, checksum):
        raise Missing(f"{url} cannot be reached (ConnectionError)")

    monkeypatch.setattr(sources, "fetch", unreachable)
    assert cli.main(["data", "prepare", name]) == 3
    said = capsys.readouterr().err
    for words in (*TO_PLACE[name], f"Place in {data_home / 'sources' / name}:", f"course data prepare {name}"):
        assert said.count(words) >= 1, words
    assert said.count("Place in") == 1
    assert set(names_in(data_home)) <= {f".{name}.lock", "sources"}
    assert data_home.exists() == (prepare.described(name).how == "fetched")  # of the others nothing was even tried
    assert cli.main(["run", "01_focus", "-p", f"dataset={name}"]) == 3  # and a run says the same
    assert TO_PLACE[name][0] in capsys.readouterr().err
