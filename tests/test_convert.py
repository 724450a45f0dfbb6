"""Pictures that are not RGB: read as they are meant, with a note, or refused; and `course data convert`."""

import hashlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms

from data_scripts.getting import convert
from helpers import pictures as data
from helpers.door import REPO
from helpers.errors import CourseError
from helpers.pictures import images
from reports.cli import main

GREY = np.linspace(0, 255, 48, dtype=np.uint8).reshape(6, 8)
COLOURS = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], -1)


def inks() -> bytes:
    """A profile (ICC, lut8) by which any mixture of coloured inks is red, and black is black."""
    red, black = bytes([136, 208, 195]), bytes([0, 128, 128])  # L, a, b
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table += bytes(range(256)) * 4 + (red + black) * 8 + bytes(range(256)) * 3
    white = struct.pack(">3i", 63190, 65536, 54061)
    header = b"\0\0\0\0" + bytes(4) + b"\x02\x10\0\0prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28) + white + bytes(48)
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    return struct.pack(">I", 144 + len(table)) + header[4:] + tags + table


def picture(kind: str) -> tuple[Image.Image, str, dict]:
    """A picture of a kind that people have, its format and what it is saved with."""
    colours, grey = Image.fromarray(COLOURS), Image.fromarray(GREY)
    if kind == "palette":
        return colours.quantize(256), "PNG", {}
    if kind == "palette, its transparent entry not used":
        image = grey.convert("P")  # entry 0 to 255 as many greys
        image.putdata([max(1, v) for v in GREY.ravel()])
        return image, "PNG", {"transparency": 0}
    if kind == "gif":
        return colours.quantize(16), "GIF", {}
    if kind == "opaque RGBA":
        colours.putalpha(255)
        return colours, "PNG", {}
    if kind == "opaque LA":
        grey.putalpha(255)
        return grey, "PNG", {}
    if kind == "CMYK jpeg with a profile":
        return colours.convert("CMYK"), "JPEG", {"icc_profile": inks()}
    if kind == "CMYK tiff":
        return colours.convert("CMYK"), "TIFF", {}
    if kind == "CMYK with a broken profile":
        return colours.convert("CMYK"), "TIFF", {"icc_profile": b"no profile at all"}
    if kind == "CMYK with a profile of a screen":
        return (
            colours.convert("CMYK"),
            "TIFF",
            {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()},
        )
    if kind == "16 bits png":
        return Image.fromarray(GREY.astype(np.uint16) * 257), "PNG", {}
    if kind == "16 bits tiff":
        return Image.fromarray(GREY.astype(">u2") * 257), "TIFF", {}
    if kind == "16 bits pgm":
        return Image.fromarray(GREY.astype(np.int32) * 257), "PPM", {}
    if kind == "12 bits":
        return Image.fromarray((GREY.astype(np.float64) * 4095 / 255).round().astype(np.uint16)), "PNG", {}
    if kind == "8 of 16 bits":
        return Image.fromarray(GREY.astype(np.uint16)), "PNG", {}
    raise KeyError(kind)


RED = np.zeros_like(COLOURS) + np.array([255, 0, 0], np.uint8)
INKS = np.asarray(Image.fromarray(COLOURS).convert("CMYK").convert("RGB"))
GREYS = np.stack([GREY] * 3, -1)
READ = {  # kind -> what is shown, how far off it may be (JPEG, LAB of 8 bits), the note
    "palette": (COLOURS, 0, "with a palette, read as RGB"),
    "palette, its transparent entry not used": (GREYS.clip(1), 0, "with transparency that no pixel uses"),
    "gif": (COLOURS, 60, "with a palette, read as RGB"),
    "opaque RGBA": (COLOURS, 0, "with transparency that no pixel uses"),
    "opaque LA": (GREYS, 0, "with transparency that no pixel uses"),
    "CMYK jpeg with a profile": (RED, 9, "in CMYK, converted by the profile in the file"),
    "CMYK tiff": (INKS, 0, "in CMYK, converted by Pillow's formula, without a profile"),
    "CMYK with a broken profile": (INKS, 0, "in CMYK, converted by Pillow's formula, without a profile"),
    "CMYK with a profile of a screen": (INKS, 0, "in CMYK, converted by Pillow's formula, without a profile"),
    "16 bits png": (GREYS, 0, "of 16 bits, scaled to 8 (65,535 became white)"),
    "16 bits tiff": (GREYS, 0, "of 16 bits, scaled to 8 (65,535 became white)"),
    "16 bits pgm": (GREYS, 0, "of 16 bits, scaled to 8 (65,535 became white)"),
    "12 bits": (GREYS, 0, "of 16 bits, scaled to 8 (4,095 became white)"),
    "8 of 16 bits": (GREYS, 0, "of 16 bits, scaled to 8 (255 became white)"),
}


@pytest.mark.parametrize("kind", READ)
def test_what_can_be_converted_is_read_and_counted(album, kind):
    image, format, how = picture(kind)
    for name in ("a.png", "b.png"):
        image.save(album / "cat" / name, format, **how)
    wanted, off, said = READ[kind]
    found = np.asarray(images.read_image(album / "cat" / "a.png")).astype(int)
    assert abs(found - wanted).max() <= off
    (note,) = data.load(album).notes
    assert note.startswith(f"2 picture(s) {said}")


@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_what_is_read_as_it_is_takes_no_note(album, mode):
    Image.fromarray(COLOURS).convert(mode).save(album / "cat" / "a.png")
    assert data.load(album).notes == ()


@pytest.mark.parametrize(
    "format", ["AVIF", "JPEG2000", "WEBP", "BMP", "TIFF", "PPM", "QOI", "PCX", "TGA", "DDS", "SGI"]
)
def test_still_pictures_are_read_in_every_format_that_pillow_knows(album, format):
    suffix = {"JPEG2000": "jp2", "TIFF": "tif"}.get(format, format.lower())
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    image.save(album / "cat" / f"a.{suffix}", format)
    assert f"cat/a.{suffix}" in data.load(album).table["image"].tolist()
    shown = np.asarray(images.read_image(album / "cat" / f"a.{suffix}")).astype(int)
    assert abs(shown - [200, 100, 50]).max() <= 6


@pytest.mark.parametrize("format", ["GIF", "MPO", "TIFF", "WEBP", "PNG", "AVIF"])
def test_of_several_frames_the_first_is_read_and_said(album, format):
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 0, 250)))
    first.save(album / "cat" / "a.png", format, save_all=True, append_images=[second])
    shown = np.asarray(images.read_image(album / "cat" / "a.png")).astype(int)
    assert abs(shown - [250, 0, 0]).max() <= 6
    assert "1 picture(s) of several frames, the first of which is read" in data.load(album).notes


def test_heic_is_refused_with_its_plugin_and_read_where_that_is(album, tmp_path):
    (album / "cat" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(99))
    with pytest.raises(CourseError, match=r"IMG_1\.HEIC: HEIC, which takes a plugin to read: pip install pillow-heif"):
        data.load(album)
    plugin = """
from PIL import Image, ImageFile
class Heif(ImageFile.ImageFile):
    format = "HEIF"
    def _open(self):
        self._size, self._mode, self.tile = (4, 4), "RGB", []
    def load(self):
        self.im = Image.new("RGB", (4, 4), (1, 2, 3)).im
def register_heif_opener():
    Image.register_open("HEIF", Heif, lambda head: head[4:12] == b"ftypheic")
    Image.register_extension("HEIF", ".heic")
"""
    (tmp_path / "pillow_heif.py").write_text(plugin)
    code = f"from helpers import pictures; print(pictures.load({str(album)!r}).images([3], 4)[0, :, 0, 0].tolist())"
    there = os.environ | {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO}"
    }  # the same COURSE_DATA: nothing old is believed
    said = subprocess.run([sys.executable, "-c", code], env=there, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[1, 2, 3]"


@pytest.mark.parametrize("name", ["drawing.eps", "drawing.ps", "drawing.pdf", "drawing.wmf"])
def test_programs_are_no_pictures(album, name):
    (album / "cat" / name).write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    photos = data.load(album)
    assert len(photos) == 6
    assert f"cat/{name}" in photos.notes[0]


# course data convert -------------------------------------------------------------------------------------------------


def sums(folder: Path) -> dict:
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.rglob("*") if f.is_file()
    }


@pytest.fixture
def hard(album) -> Path:
    """The album with what reading refuses, or converts, or cannot read at all."""
    clear = Image.fromarray(COLOURS)
    clear.putalpha(Image.fromarray(np.where(np.arange(48) < 24, 0, 255).astype(np.uint8).reshape(6, 8)))
    clear.save(album / "cat" / "clear.png")
    Image.fromarray(np.linspace(-1, 3, 48).reshape(6, 8).astype(np.float32)).save(album / "cat" / "float.tif")
    Image.fromarray(np.linspace(0, 2**20, 48).reshape(6, 8).astype(np.int32)).save(album / "dog" / "many.tiff")
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(COLOURS), lab).save(album / "dog" / "lab.tif")
    sideways = picture("CMYK jpeg with a profile")[0]
    exif = sideways.getexif()
    exif[images.ORIENTATION] = 6
    sideways.save(album / "dog" / "phone.jpg", exif=exif)
    (album / "dog" / "broken.jpg").write_bytes((album / "dog" / "phone.jpg").read_bytes()[:400])
    (album / "cat" / "notes.txt").write_text("kept")
    return album


def test_what_is_refused_is_converted_into_a_new_folder_and_the_old_one_stays(hard, tmp_path, capsys):
    before = sums(hard)
    with pytest.raises(CourseError, match="course data convert SRC DST"):
        data.load(hard)
    assert main(["data", "convert", str(hard), str(tmp_path / "new")]) == 0
    assert sums(hard) == before
    said = capsys.readouterr().out
    for line in (
        "6 picture(s) copied as they are, 5 made RGB of 8 bits",
        "- 1 transparent in parts, put on white",
        "- 2 stretched from its least to its largest value",
        "- 1 in LAB, made sRGB",
        "- 1 in CMYK, converted by Pillow's formula",
        "- 1 cannot be read and are not there; the first: dog/broken.jpg: ",
        "converted.csv lists them",
        f"Use it: -p dataset={tmp_path / 'new'}",
    ):
        assert line in said
    photos = data.load(tmp_path / "new")
    assert photos.table.groupby("label").size().to_dict() == {"cat": 5, "dog": 6}
    assert (tmp_path / "new" / "cat" / "notes.txt").read_text() == "kept"
    assert {
        f: s for f, s in sums(tmp_path / "new").items() if f in before and "clear" not in f
    }.items() <= before.items()
    table = pd.read_csv(tmp_path / "new" / "converted.csv", keep_default_na=False)
    assert table[table["image"] == ""]["from"].tolist() == ["dog/broken.jpg"]
    assert "stretched from its least to its largest value: -1 to 3" in table["what"].tolist()


def test_every_kind_is_shown_as_it_was_meant(hard, tmp_path):
    convert.convert(hard, tmp_path / "new", "#102030")

    def shown(name):
        return np.asarray(images.read_image(tmp_path / "new" / name)).astype(int)

    assert (shown("cat/clear.png")[:3] == [16, 32, 48]).all()
    assert (shown("cat/clear.png")[3:] == COLOURS[3:]).all()
    assert abs(shown("cat/float.png") - GREYS).max() <= 1  # black at -1, white at 3, and even between
    assert abs(shown("dog/many.png") - GREYS).max() <= 1
    assert abs(shown("dog/lab.png") - COLOURS).max() <= 30  # LAB of 8 bits is coarse, where it is vivid
    upright = images.read_image(hard / "dog" / "phone.jpg")
    assert upright.size == (6, 8)
    assert (shown("dog/phone.png") == np.asarray(upright)).all()
    assert Image.open(tmp_path / "new" / "dog" / "phone.png").getexif().get(images.ORIENTATION, 1) == 1


@pytest.mark.parametrize("kind", READ)
def test_what_reading_converts_is_the_same_when_it_is_written(tmp_path, album, kind):
    image, format, how = picture(kind)
    image.save(album / "cat" / "a.png", format, **how)
    convert.convert(album, tmp_path / "new")
    one, other = (np.asarray(images.read_image(root / "cat" / "a.png")) for root in (album, tmp_path / "new"))
    assert np.array_equal(one, other)
    assert data.load(tmp_path / "new").notes == ()


def test_names_that_meet_are_kept_apart(album, tmp_path):
    image = picture("opaque RGBA")[0]
    for name in ("1.tif", "9.tif", "9.tiff"):  # there is a 1.png
        image.save(album / "cat" / name)
    before = sums(album)
    convert.convert(album, tmp_path / "new")
    names = sorted(f.name for f in (tmp_path / "new" / "cat").iterdir())
    assert names == ["0.png", "1.png", "1.tif.png", "2.png", "9.tif.png", "9.tiff.png"]
    assert sums(tmp_path / "new")["cat/1.png"] == before["cat/1.png"]


def test_masks_and_tables_go_along_and_name_the_new_files(tmp_path, data_home):
    root = tmp_path / "faces"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    picture("opaque RGBA")[0].save(root / "images" / "a.tif")
    Image.fromarray(COLOURS).save(root / "images" / "b.png")
    for name in "ab":
        mask = Image.fromarray((GREY > 99).astype(np.uint8)).convert("P")
        mask.putpalette([0, 0, 0, 255, 0, 0])
        mask.save(root / "masks" / f"{name}.png")
    (root / "labels.csv").write_text("file,label\na.tif,cat\nb.png,dog\n")
    (root / "regions.csv").write_text("id,region\n0,background\n1,skin\n")
    convert.convert(root, tmp_path / "new")
    old, new = data.load(root), data.load(tmp_path / "new")
    assert new.table["image"].tolist() == ["images/a.png", "images/b.png"]
    assert new.table["label"].tolist() == ["cat", "dog"]
    assert all(np.array_equal(a, b) for a, b in zip(old.masks([0, 1]), new.masks([0, 1]), strict=True))


def test_an_index_of_ones_own_goes_along_without_what_cannot_be_read(hard, tmp_path):
    names = ["cat/clear.png", "cat/float.tif", "dog/broken.jpg", "cat/0.png"]
    pd.DataFrame({"image": names, "split": "val", "label": ["cat", "cat", "dog", "cat"]}).to_csv(
        hard / "index.csv", index=False
    )
    convert.convert(hard, tmp_path / "new")
    assert data.load(tmp_path / "new").table["image"].tolist() == ["cat/clear.png", "cat/float.png", "cat/0.png"]
    assert (tmp_path / "new" / "dog" / "lab.tif").is_file()  # no picture of the index: copied


def test_one_picture_is_converted_into_a_folder(hard, tmp_path):
    convert.convert(hard / "cat" / "clear.png", tmp_path / "new")
    assert len(data.load(tmp_path / "new")) == 1


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "lies in"),
        ("new", "lies in"),
        ("../full", "is there, and not empty"),
        ("../file", "is there, and not empty"),
    ],
)
def test_nothing_is_converted_in_place_or_over_anything(hard, tmp_path, target, said, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("two years of work")
    (tmp_path / "file").write_text("x")
    before = sums(tmp_path)
    assert main(["data", "convert", str(hard), str(hard / target)]) == 2
    assert said in capsys.readouterr().err
    assert sums(tmp_path) == before


def test_a_link_to_the_source_is_the_source(hard, tmp_path):
    (tmp_path / "link").symlink_to(hard)
    with pytest.raises(CourseError, match="lies in"):
        convert.convert(hard, tmp_path / "link" / "new")


def test_an_empty_folder_is_a_place_to_convert_to(hard, tmp_path):
    (tmp_path / "new").mkdir()
    convert.convert(hard, tmp_path / "new")
    assert len(data.load(tmp_path / "new")) == 11


def test_a_colour_that_is_none_and_a_source_that_is_not_there_are_told(hard, tmp_path):
    with pytest.raises(CourseError, match="--background is 'whiet'; expected a colour"):
        convert.convert(hard, tmp_path / "new", "whiet")
    with pytest.raises(CourseError, match="no such folder or picture"):
        convert.convert(tmp_path / "gone", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_interrupt_leaves_no_half_folder(hard, tmp_path, interrupted_after):
    interrupted_after(3, convert, "_copied")
    with pytest.raises(KeyboardInterrupt):
        convert.convert(hard, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert [f.name for f in tmp_path.iterdir() if f.name.startswith(".new")] == []


def test_no_text_of_ours_advises_to_overwrite_pictures():
    ours = [f for folder in ("helpers", "data_scripts", "reports", "notebooks") for f in (REPO / folder).rglob("*.*")]
    texts = {
        f: f.read_text(encoding="utf-8") for f in [*ours, REPO / "README.md"] if f.suffix in (".py", ".ipynb", ".md")
    }
    assert [
        str(f) for f, text in texts.items() if "convert('RGB').save(" in text or 'convert(\\"RGB\\").save(' in text
    ] == []
