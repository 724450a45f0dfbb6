"""What of a notebook that ran is shown on its page, and what only made sense while it ran."""

import re
from copy import deepcopy

from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode

KNOBS = {"parameters", "parameters-above", "injected-parameters"}
LEFT_OUT = {
    "remove-cell",
    "your-turn",
    "papermill-error-cell-tag",
}  # by its author; and papermill's word on what failed
ABOVE = "[Each claim](#run-claims) stands above, with the reason for its verdict."


def divided(notebook: NotebookNode) -> tuple[list[NotebookNode], NotebookNode]:
    """The cells of the introduction, all Markdown before the first code, and a copy of the notebook without them."""
    book = deepcopy(notebook)
    book.cells = [cell for cell in book.cells if not LEFT_OUT & set(cell.metadata.get("tags", ()))]
    first = next((i for i, cell in enumerate(book.cells) if cell.cell_type != "markdown"), len(book.cells))
    opening, rest = book.cells[:first], book.cells[first:]
    if not rest:  # a notebook of prose alone has no introduction
        return [], book
    knobs = [i for i, cell in enumerate(rest) if KNOBS & set(cell.metadata.get("tags", ()))]
    last = knobs[-1] if knobs else -1  # what stands between the knobs speaks of cells that the page shows as a table
    book.cells = [cell for i, cell in enumerate(rest) if i > last or cell.cell_type != "markdown"]
    return opening, book


class Quiet(Preprocessor):
    """Drops progress bars, widgets and the warnings of libraries; marks the cell that failed."""

    def preprocess(self, nb, resources):
        results = resources["results"]
        for cell in nb.cells:
            if "run.claims()" in cell.source and results.get("claims"):
                cell["outputs"] = _without_claims(cell.get("outputs", []))
            cell["outputs"] = [o for o in map(_quiet, cell.get("outputs", [])) if o]
        broken = [c for c in nb.cells if any(o.output_type == "error" for o in c.outputs)]
        for cell in broken[-1:] if results.get("status") == "failed" else []:  # one further up was expected
            cell.metadata["failed"] = resources["failed_cell"] = True
        return nb, resources


_CURSOR = re.compile(r"\x1b\[[\d;]*[A-HJK]")  # of nested bars
_PROGRESS = re.compile(r"\[\d\d+:\d\d(:\d\d)?[<,].*\]")  # tqdm's [elapsed<left, rate]
_WARNING = re.compile(r"^.*?:\d+: (\w*Warning): .*\n?(?:  .*\n?)?", re.M)  # and the line of code that it names
_NUMPY = re.compile(r"\bnp\.(?:float|int|uint|bool|str)\w*\(([^()]*)\)")
_OBJECT = re.compile(r"\[?<[\w.]*(?:matplotlib|Axes|seaborn)[^<>]*>[\]\s]*|Text\(.*\)|.* at 0x[0-9a-f]+>")


def _quiet(output):
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        return None
    if output.output_type == "stream":
        text = _CURSOR.sub("", output.text)
        if output.name == "stderr":
            text = _WARNING.sub(_ours, text)
        lines = [line for line in text.split("\n") if not _PROGRESS.search(line)]
        output.text = _NUMPY.sub(r"\1", "\n".join(lines).strip("\n\r"))
        return output if output.text.strip() else None
    if set(data) == {"text/plain"}:
        data["text/plain"] = _NUMPY.sub(r"\1", data["text/plain"])
        return None if _OBJECT.fullmatch(data["text/plain"]) else output
    return output


def _ours(warning):
    """A warning that a notebook gives stays. Those of libraries do not: executed.ipynb keeps them."""
    theirs = "site-packages" in warning[0] or warning[1] in ("DeprecationWarning", "FutureWarning")
    return "" if theirs else warning[0]


def _without_claims(outputs):
    """The page has both tables of claims at its top; where they stood, a line says so."""
    tables = [o for o in outputs if "<table" in o.get("data", {}).get("text/html", "")]
    for table in tables[:1]:
        table["data"], table["metadata"] = {"text/markdown": ABOVE}, {}
    return [o for o in outputs if all(o is not table for table in tables[1:])]
