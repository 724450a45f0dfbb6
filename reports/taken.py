"""The notebooks in a folder of one's own, and a new folder that is whole or not there."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.door import REPO
from helpers.errors import CourseError
from helpers.files import atomic

INSTALL = """# Installs the course on Colab; does nothing anywhere else
import sys

if "google.colab" in sys.modules:
    %pip install --quiet {address}"""


def copy(folder: Path, colab: str = "") -> list[Path]:
    """Copies of the notebooks and of the teacher's page in a new folder; where they are.

    With `colab`, what pip can install the course from, each begins with a cell that does so on Colab.
    """
    pages = sorted([*(REPO / "notebooks").glob("[0-9]*.ipynb"), *(REPO / "notebooks").glob("*.md")])
    with new(folder) as draft:
        for page in pages:
            text = page.read_text(encoding="utf-8")
            text = _installing(text, colab) if colab and page.suffix == ".ipynb" else text
            (draft / page.name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / page.name for page in pages]


@contextmanager
def new(folder: Path) -> Iterator[Path]:
    """A place to write to; it becomes the folder when all went well, and is gone when it did not.

    Raises CourseError where something of that name is there, or appears meanwhile.
    """
    whole = folder.expanduser().absolute()
    _free(whole)
    try:
        with atomic(whole) as draft:
            draft.mkdir()
            yield draft
            _free(whole)
    except OSError as error:
        raise CourseError(f"{folder}: not made ({error}); nothing of it is kept. Choose another folder") from None


def _free(folder: Path) -> None:
    if os.path.lexists(folder):
        raise CourseError(f"{folder}: there already, and nothing is overwritten. Name a folder that is not there yet")


def _installing(text: str, address: str) -> str:
    """A notebook's text with the cell that installs below its title."""
    book = json.loads(text)
    source = INSTALL.format(address=address).splitlines(keepends=True)
    cell: dict = {"cell_type": "code", "execution_count": None, "id": "install", "outputs": [], "source": source}
    book["cells"].insert(1, cell | {"metadata": {"jupyter": {"source_hidden": True}}})
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"
