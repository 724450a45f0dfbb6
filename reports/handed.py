"""A run as it is handed on: printed as PDF, packed, or as the notebook that ran."""

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import atomic

from . import runs
from .litter import passing

LONGEST = 300  # seconds that a browser gets for one page
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of a zip: times of copies differ, what is in them does not
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def name(folder: Path) -> str:
    """What a run is called outside of its folder: notebook and id."""
    return f"{Path(runs.results(folder)['notebook']).name}-{folder.name}"


def pdf(folder: Path, file: Path, browser: str) -> None:
    """Print the run's page into a file, everything unfolded; `browser` is the program of a Chromium.

    The page loads nothing, and the browser has a profile of its own for it. Raises CourseError with the last words of
    a browser that prints nothing.
    """
    options = ["--headless", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")  # as root, as in most containers, Chromium does not start with it
    page = _file(folder, "report.html")
    with passing(Path(tempfile.gettempdir())) as own, _made(folder, file) as draft:
        into = [f"--user-data-dir={own}", "--no-pdf-header-footer", f"--print-to-pdf={draft.absolute()}"]
        try:
            done = subprocess.run(
                [browser, *options, *into, page.as_uri()], capture_output=True, text=True, errors="replace",
                timeout=LONGEST,
            )  # fmt: skip
            said = done.stderr.strip().rpartition("\n")[2]
        except subprocess.TimeoutExpired:
            said = f"it took longer than {LONGEST} s"
        except OSError as error:
            said = str(error)
        if not draft.is_file() or not draft.stat().st_size:
            raise CourseError(f"{browser} has not printed {page}: {said}. Open the page and print it from there")


def packed(folder: Path, file: Path) -> None:
    """The whole run folder as a zip: the same bytes for the same files. Links that lead elsewhere are left out."""
    inside = sorted(path for path in folder.rglob("*") if path.is_file() and path.resolve().is_relative_to(folder))
    with _made(folder, file) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in inside:
            entry = zipfile.ZipInfo(f"{name(folder)}/{path.relative_to(folder).as_posix()}", FIRST_DAY)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            entry.file_size = path.stat().st_size  # beyond 2 GiB the archive must know before
            with path.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def notebook(folder: Path, file: Path) -> None:
    """The notebook as it ran, with its outputs, for JupyterLab: without what papermill noted for itself.

    The cell with the values of this run stays: the notebook says what it was asked, and asks it again.
    """
    import nbformat

    book = executed(folder)
    book.metadata["kernelspec"] = book.metadata.get("kernelspec") or KERNEL
    for about in (book.metadata, *(cell.metadata for cell in book.cells)):
        about.pop("papermill", None)
        if not about.get("tags", True):  # papermill gives every cell an empty list
            del about["tags"]
    with _made(folder, file) as draft:
        draft.write_text(nbformat.writes(book) + "\n", encoding="utf-8")


def executed(folder: Path):
    """The notebook of a run, whole and valid, less the cells in which papermill says what failed."""
    import nbformat

    file = _file(folder, "executed.ipynb")
    try:
        book = nbformat.read(file, as_version=4)
        nbformat.validate(book)
    except Exception as error:  # of several packages, for a file that somebody cut or changed
        raise CourseError(f"{file}: not a readable notebook ({str(error).partition(chr(10))[0]})") from None
    book.cells = [cell for cell in book.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", ())]
    return book


def _file(folder: Path, called: str) -> Path:
    if not (file := folder / called).is_file():
        raise CourseError(f"{folder}: it has no {called}: the run was not finished. Ask it again: course run")
    return file


@contextmanager
def _made(folder: Path, file: Path) -> Iterator[Path]:
    """A place to write to; what is there when all went well becomes the file. Never inside of the run's folder."""
    whole = file.expanduser().absolute()
    if whole.is_dir() or whole.resolve().is_relative_to(folder):
        why = "a folder" if whole.is_dir() else "inside of the run's folder, which stays as it is"
        raise CourseError(f"-o {file}: it is {why}. Name a file elsewhere: -o {name(folder)}{file.suffix}")
    try:
        with atomic(whole) as draft:
            yield draft
    except OSError as error:
        raise CourseError(f"-o {file}: cannot be written ({error.strerror}). Name another file") from None
