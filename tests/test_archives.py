"""Archives that are what they seem, and some that are not."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from data_scripts.getting import archives
from data_scripts.getting.archives import unpack
from helpers.errors import CourseError

FILES = {"photos/cat.0.jpg": b"one", "photos/deep/dog.jpg": b"two", "list.txt": b"three"}


@pytest.fixture
def into(tmp_path):
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def zipped(file, members: dict):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return file


def tarred(file, members: dict, **kinds):
    with tarfile.open(file, "w:gz" if file.name.endswith("gz") else "w") as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in kinds.items():
                setattr(info, key, value)
            out.addfile(info, io.BytesIO(content))
    return file


def files_in(folder) -> dict:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_what_is_packed_comes_out(tmp_path, into, name):
    unpack((zipped if name.endswith("zip") else tarred)(tmp_path / name, FILES), into)
    assert files_in(into) == FILES


def test_the_shadow_files_of_macos_stay_in(tmp_path, into):
    unpack(zipped(tmp_path / "a.zip", FILES | {"__MACOSX/photos/._cat.0.jpg": b"x"}), into)
    assert files_in(into) == FILES


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "photos/../../out.txt", "..\\out.txt", "C:/out.txt"])
def test_a_zip_that_would_leave_its_folder_is_refused_whole(tmp_path, into, name):
    with pytest.raises(CourseError, match="would be written outside"):
        unpack(zipped(tmp_path / "a.zip", FILES | {name: b"x"}), into)
    assert files_in(tmp_path) == {"a.zip": (tmp_path / "a.zip").read_bytes()}


@pytest.mark.parametrize("name", ["../out.txt", "photos/../../out.txt"])
def test_a_tar_that_would_leave_its_folder_is_refused(tmp_path, into, name):
    with pytest.raises(CourseError, match="outside the destination"):
        unpack(tarred(tmp_path / "a.tar", {name: b"x"}), into)
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_tar_with_a_link_out_is_refused(tmp_path, into, kind):
    (tmp_path / "secret").write_text("s")
    with pytest.raises(CourseError, match="cannot be unpacked .*outside the destination"):
        unpack(tarred(tmp_path / "a.tar", {"link": b""}, type=kind, linkname="../secret"), into)
    assert not os.path.lexists(into / "link")


def test_a_tar_with_a_device_is_refused(tmp_path, into):
    with pytest.raises(CourseError, match="cannot be unpacked .*special file"):
        unpack(tarred(tmp_path / "a.tar", {"null": b""}, type=tarfile.CHRTYPE), into)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_zip_with_a_link_or_a_special_file_is_refused(tmp_path, into, kind):
    link = zipfile.ZipInfo("link")
    link.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("first.txt", "first")
        out.writestr(link, "../secret")
    with pytest.raises(CourseError, match="link is a link or a special file"):
        unpack(tmp_path / "a.zip", into)
    assert files_in(into) == {}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_that_grows_beyond_its_bound_is_refused(tmp_path, into, monkeypatch, name):
    monkeypatch.setattr(archives, "GROWTH", 2)
    bomb = {f"{i}.jpg": bytes(1 << 20) for i in range(3)}  # 3 MiB, 2 MiB is the bound of anything small
    with pytest.raises(CourseError, match="grows to .* over 2 times its size"):
        unpack((zipped if name.endswith("zip") else tarred)(tmp_path / name, bomb), into)
    assert sum(f.stat().st_size for f in into.iterdir()) <= 2 << 20


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_no_room_is_told_before_the_disk_is_full(tmp_path, into, monkeypatch, name):
    archive = (zipped if name.endswith("zip") else tarred)(tmp_path / name, FILES)
    usage = archives.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=2))
    with pytest.raises(CourseError, match="unpacking a.* needs more"):
        unpack(archive, into)
    assert files_in(into) == {}


def test_what_is_no_archive_is_named(tmp_path, into):
    (tmp_path / "page.zip").write_text("<html>You have to log in</html>")
    with pytest.raises(CourseError, match="page.zip: neither a zip nor a tar file"):
        unpack(tmp_path / "page.zip", into)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_download_that_was_cut_short_is_named(tmp_path, into, name):
    packed = {"noise.bin": os.urandom(1 << 16)}
    file = (zipped if name.endswith("zip") else tarred)(tmp_path / name, packed)
    file.write_bytes(file.read_bytes()[: 1 << 15])
    with pytest.raises(CourseError, match=f"{name}: (cannot be unpacked|neither a zip)"):
        unpack(file, into)


def ten(file) -> list[int]:
    """A tar of ten files of 1000 bytes; where their headers are."""
    tarred(file, {f"{i}.txt": bytes([i]) * 1000 for i in range(10)})
    with tarfile.open(file) as there:
        return [member.offset for member in there]


@pytest.mark.parametrize("damage", ["a header", "cut in a header", "cut in a file", "cut between files"])
def test_a_tar_that_is_damaged_or_cut_anywhere_is_named(tmp_path, into, damage):
    place = ten(tmp_path / "a.tar")[6]
    whole = (tmp_path / "a.tar").read_bytes()
    broken = {
        "a header": whole[:place] + b"x" * 512 + whole[place + 512 :],
        "cut in a header": whole[: place + 100],
        "cut in a file": whole[: place + 700],
        "cut between files": whole[:place],
    }
    (tmp_path / "a.tar").write_bytes(broken[damage])
    with pytest.raises(CourseError, match="a.tar: cannot be unpacked"):
        unpack(tmp_path / "a.tar", into)


def test_a_gzip_whose_checksum_is_wrong_is_named(tmp_path, into):
    file = tarred(tmp_path / "a.tar.gz", FILES)
    packed = bytearray(file.read_bytes())
    packed[-6] ^= 1  # of the CRC, which comes after everything
    file.write_bytes(packed)
    with pytest.raises(CourseError, match="a.tar.gz: cannot be unpacked .*CRC"):
        unpack(file, into)


def test_a_zip_whose_bytes_are_damaged_is_named(tmp_path, into):
    file = zipped(tmp_path / "a.zip", {"noise.txt": b"abc" * 10_000})
    packed = bytearray(file.read_bytes())
    packed[45:60] = b"\xff" * 15
    file.write_bytes(packed)
    with pytest.raises(CourseError, match="a.zip: cannot be unpacked"):
        unpack(file, into)


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("members", [{"a": b"x", "a/b": b"x"}, {"n" * 300: b"x"}])
def test_names_that_no_disk_can_hold_are_named(tmp_path, into, name, members):
    with pytest.raises(CourseError, match="cannot be unpacked"):
        unpack((zipped if name.endswith("zip") else tarred)(tmp_path / name, members), into)


def test_a_hard_link_to_nothing_is_named(tmp_path, into):
    file = tarred(tmp_path / "a.tar", {"link": b""}, type=tarfile.LNKTYPE, linkname="nothing")
    with pytest.raises(CourseError, match="a.tar: cannot be unpacked"):
        unpack(file, into)
