"""How long a run's cells took, as papermill noted it in each, and the sections of the notebook that they stand in."""

import re
from itertools import groupby
from typing import Any

from nbformat import NotebookNode

from .said import topic

HEADING = re.compile(r"#{1,6}\s+(.+?)(?: \(\d+ minutes?\b[^()]*\))?[\s#]*$")  # less the minutes of reading it
FENCE = re.compile(r"\s*(```|~~~)")


def cells(book: NotebookNode) -> list[dict[str, Any]]:
    """Each cell that ran, in order: its number (as JupyterLab shows it), its section, what it is about, and seconds."""
    section, found = "", []
    for cell in book.cells:
        if cell.cell_type == "markdown":
            section = (_headings(cell.source) or [section])[-1]
        took = cell.metadata.get("papermill", {}).get("duration")
        if cell.cell_type == "code" and isinstance(took, int | float):
            about = {"cell": cell.execution_count, "section": section, "about": topic(cell.source)[0]}
            found.append(about | {"seconds": round(took, 2)})
    return found


def sections(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same by section, in order: how many of its cells ran, and seconds."""
    each = [(name, [one["seconds"] for one in some]) for name, some in groupby(cells, lambda one: one["section"])]
    return [{"section": name, "cells": len(some), "seconds": round(sum(some), 2)} for name, some in each]


def _headings(source: str) -> list[str]:
    """The headings of a Markdown cell; a comment in a block of code is none."""
    found, fenced = [], False
    for line in source.splitlines():
        fenced ^= bool(FENCE.match(line))
        if not fenced and (heading := HEADING.match(line)):
            found.append(heading[1])
    return found
