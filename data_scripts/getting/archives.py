"""Archives unpacked so that nothing in them can reach beyond the folder they are unpacked into, or fill the disk."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from helpers.errors import CourseError
from helpers.files import no_room

GROWTH = 50  # pictures and masks do not shrink so far; what does is no archive of them


BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, KeyError)


class Header(tarfile.TarInfo):
    """A header of a tar file; at a damaged one Python's tarfile would stop, and call what it has read the whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Header":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # private, yet the only sign of the end
            raise  # zeros
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"it ends too early or is damaged: {error}") from None


def unpack(archive: Path, into: Path) -> None:
    """Unpack a .zip or .tar(.gz) below `into`.

    Raises CourseError for a member that would leave the folder, for links in a zip, for special files, for an archive
    that grows more than GROWTH times, when the disk has no room for it, and for a broken archive.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, into)
        elif tarfile.is_tarfile(archive):
            _untar(archive, into)
        else:
            raise CourseError(f"{archive}: neither a zip nor a tar file; is it a download that was cut short?")
    except (*BROKEN, OSError) as error:
        if isinstance(error, OSError) and no_room(error):
            raise
        raise CourseError(f"{archive}: cannot be unpacked ({error}); get the file again") from None


def _unzip(archive: Path, into: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        members = zipped.infolist()
        for member in members:
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0]:
                raise CourseError(f"{archive}: {member.filename} would be written outside of {into}; nothing unpacked")
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise CourseError(f"{archive}: {member.filename} is a link or a special file; nothing unpacked")
        _bounded(archive, into, sum(member.file_size for member in members))
        for member in tqdm(members, desc=f"unpacking {archive.name}", delay=2, leave=False):
            if not member.is_dir() and not member.filename.startswith("__MACOSX/"):
                zipped.extract(member, into)


def _untar(archive: Path, into: Path) -> None:
    with tarfile.open(archive, tarinfo=Header) as tar:
        size = 0
        for member in tqdm(tar, desc=f"unpacking {archive.name}", delay=2, leave=False):
            size += member.size
            _bounded(archive, into, size, member.size)
            tar.extract(member, into, filter="data")
        while tar.fileobj.read(1 << 20):  # to the end, where gzip has its checksum
            pass


def _bounded(archive: Path, into: Path, size: int, needed: int | None = None) -> None:
    """Raise CourseError when `size` bytes are too many for the archive, or the next `needed` for the disk."""
    if size > GROWTH * max(archive.stat().st_size, 1 << 20):
        raise CourseError(f"{archive}: grows to {size:,} bytes or more, over {GROWTH} times its size; not unpacked")
    free = shutil.disk_usage(into).free
    if (size if needed is None else needed) > free:
        raise CourseError(f"{into}: {free / 2**30:.1f} GiB free; unpacking {archive.name} needs more")
