"""One file from the internet: resumed where it was interrupted, and only there when its checksum is right."""

import hashlib
import shutil
from pathlib import Path

import requests
from tqdm import tqdm

from helpers.errors import CourseError, Missing

TIMEOUT = (10, 60)  # seconds to connect, and between two packets


def fetch(url: str, file: Path, checksum: str) -> Path:
    """The file, downloaded unless it is there. `<file>.part` keeps what came before an interruption.

    Raises Missing when the url cannot be reached, CourseError with both values when the checksum differs.
    """
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(file.name + ".part")
        try:
            _download(url, part)
        except (requests.RequestException, ConnectionError, TimeoutError) as error:
            here = f"; {part.stat().st_size / 2**20:,.0f} MiB are here and will be kept" if part.is_file() else ""
            raise Missing(f"{url} cannot be reached ({_reason(error)}){here}") from None
        verify(part, checksum, f"downloaded from {url}, and removed again", remove=True)
        part.replace(file)
    return file


def verify(file: Path, checksum: str, origin: str, remove: bool = False) -> None:
    """Raise CourseError with both values unless the file has this checksum: "md5:..." or "sha256:...", "" is none.

    Its first digits are enough, 8 or more of them: names of published weights end with as many.
    """
    if not checksum:
        return
    kind, wanted = checksum.split(":")
    if len(wanted) < 8:
        raise ValueError(f"checksum {checksum!r} has {len(wanted)} digits; expected at least 8")
    found = digest(file, kind)
    if not found.startswith(wanted):
        if remove:
            file.unlink()
        raise CourseError(f"{file}: {kind} is {found}, expected {wanted} ({origin}). Remove it, and get it again")


def digest(file: Path, kind: str = "sha256") -> str:
    """The checksum of a file, in hex digits."""
    found = hashlib.new(kind)
    title, size = f"{kind} of {file.name}", file.stat().st_size
    with (
        file.open("rb") as opened,
        tqdm(total=size, unit="B", unit_scale=True, desc=title, delay=2, leave=False) as bar,
    ):
        while chunk := opened.read(1 << 20):
            found.update(chunk)
            bar.update(len(chunk))
    return found.hexdigest()


def _download(url: str, part: Path) -> None:
    """Append what is missing to the part. A server that cannot begin in the middle sends all of it again."""
    here = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"} | (
        {"Range": f"bytes={here}-"} if here else {}
    )  # bytes, as they are there
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing is missing, or the part is of another file: the checksum tells
            return
        answer.raise_for_status()
        resumed = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {here}-")
        here = here if resumed else 0
        total = here + int(answer.headers.get("Content-Length", 0))
        _room(part.parent, total - here)
        with (
            part.open("ab" if here else "wb") as out,
            tqdm(total=total or None, initial=here, unit="B", unit_scale=True, desc=part.stem, leave=False) as bar,
        ):
            for chunk in answer.iter_content(1 << 16):  # of a broken connection, all but the last of these is kept
                out.write(chunk)
                bar.update(len(chunk))
    if total > part.stat().st_size:
        raise ConnectionError(f"it ended after {part.stat().st_size:,} of {total:,} bytes")


def _room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise CourseError(f"{folder}: {free / 2**30:.1f} GiB free, {wanted / 2**30:.1f} needed for the download")


def _reason(error: Exception) -> str:
    """A few words: the exceptions of requests are a paragraph each."""
    if status := getattr(getattr(error, "response", None), "status_code", None):
        return f"HTTP {status}"
    return type(error).__name__ if isinstance(error, requests.RequestException) else str(error)
