"""Where a page that reads many runs goes, with its CSV beside it: never into a run's folder, never over a stranger."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from helpers.errors import CourseError
from helpers.files import write_text

from . import reserved
from .page import Exporter, dressed

MARK = '<meta name="generator" content="course: read from many runs">'  # by which we know a page of ours


@dataclass(frozen=True)
class Place:
    """A page, and the CSV of the same name."""

    page: Path

    @property
    def table(self) -> Path:
        return self.page.with_suffix(".csv")

    def check(self, out: Path, own: str = "") -> "Place":
        """This place, if it may be written. Raises CourseError where something else would be lost.

        `out` is where reports are, `own` the name that the page has there by itself.
        """
        if self.page.suffix != ".html":
            raise CourseError(f"--to {self.page}: expected a file that ends in .html; its CSV is written beside it")
        reserved.refuse("--to", self.page, out, own)
        if self.page.is_dir() or self.table.is_dir():
            raise CourseError(f"--to {self.page}: there is a folder of that name. Choose another")
        if self.page.exists() and not self._ours():
            raise CourseError(f"--to {self.page}: there already, and no page of this command. Choose another name")
        if self.table.exists() and not self.page.exists():
            raise CourseError(f"--to {self.page}: {self.table} is there already and would be lost. Choose another name")
        return self

    def write(self, template: str, shown: dict[str, Any], table: str) -> None:
        """The page, one of our templates with what it shows, and the CSV. Raises CourseError where none can be."""
        environment = Exporter().environment
        environment.globals.update(dressed("page", "sieve"))
        html = environment.get_template(template).render(mark=Markup(MARK), csv=self.table.name, **shown)
        try:
            write_text(self.table, table)
            write_text(self.page, html)
        except OSError as error:
            why = f"{self.page}: cannot be written ({error.strerror}). Choose another: --to FILE.html"
            raise CourseError(why) from None

    def _ours(self) -> bool:
        with self.page.open(encoding="utf-8", errors="replace") as opened:
            return MARK in opened.read(100_000)
