"""A run as one HTML page, and all runs as an overview: nothing on either asks anything of the network."""

import base64
import hashlib
import json
import mimetypes
import re
from datetime import datetime
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from jinja2 import ChainableUndefined, pass_context
from markupsafe import Markup
from nbconvert import HTMLExporter
from nbconvert.filters import ansi2html
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from traitlets.config import Config

from .equations import mathml
from .prose import clean, markdown

TEMPLATE = Path(__file__).parent / "template"
PICTURES = ["image/svg+xml", "image/png", "image/jpeg"]
TEXTS = ["text/html", "text/markdown", "text/latex", "text/plain"]


def report(
    notebook: NotebookNode, results: dict, parameters: list[dict], downloads: dict[str, bytes] | None = None
) -> str:
    """One self-contained page of a run: its answer and claims, the notebook as it ran, and the files it wrote."""
    run = {"results": results, "parameters": parameters, "downloads": downloads or {}, "toc": []}
    return Exporter().from_notebook_node(notebook, resources=run)[0]


def index(results: list[dict]) -> str:
    """The overview: for each notebook its newest run, older runs folded below, with links to every page."""
    by_notebook = groupby(sorted(results, key=lambda r: r["notebook"]), key=lambda r: r["notebook"])
    newest_first = [sorted(runs, key=_started, reverse=True) for _, runs in by_notebook]
    return Exporter().environment.get_template("overview.html.j2").render(notebooks=newest_first)


class Exporter(HTMLExporter):
    """nbconvert with our template. Escapes by default, unlike nbconvert: templates mark what is HTML with `safe`."""

    def __init__(self, **kwargs):
        super().__init__(template_name=TEMPLATE.name, extra_template_basedirs=[str(TEMPLATE.parent)], **kwargs)

    @property
    def default_config(self):
        # a picture beats the HTML beside it: HTML of plotting libraries is empty once its scripts are gone
        config = super().default_config.copy()
        config.merge(Config({"NbConvertBase": {"display_data_priority": PICTURES + TEXTS}}))
        return config

    def _init_preprocessors(self):
        super()._init_preprocessors()
        self.register_preprocessor(Quiet, enabled=True)  # last: the template's own have merged the streams

    def _create_environment(self):
        env = super()._create_environment()
        env.autoescape, env.undefined = True, ChainableUndefined
        filters = (clean, datauri, show, first_words, duration, when, terminal, mathml)
        env.filters.update({f.__name__: f for f in filters}, quote=quote)
        script = (TEMPLATE / "page.js").read_text("utf-8")
        env.globals.update(
            css=Markup((TEMPLATE / "page.css").read_text("utf-8")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            icon=datauri((TEMPLATE / "icon.svg").read_bytes(), "icon.svg"),
        )
        return env

    @pass_context
    def markdown2html(self, context, source):
        """A cell's Markdown as clean HTML. Headings are collected for the table of contents on the way."""
        return markdown(source, context["resources"], context.get("cell", {}).get("attachments", {}))


class Quiet(Preprocessor):
    """Drops what only made sense while the notebook ran: progress bars, widgets. Marks the cell that failed."""

    def preprocess(self, nb, resources):
        failed = resources["results"].get("status") == "failed"
        for cell in nb.cells:
            cell["outputs"] = [o for o in map(_without_progress, cell.get("outputs", [])) if o]
        broken = [c for c in nb.cells if any(o.output_type == "error" for o in c.outputs)]
        for cell in broken[-1:] if failed else []:  # an error further up was expected, the run went on
            cell.metadata["failed"] = resources["failed_cell"] = True
        return nb, resources


_PROGRESS = re.compile(r"\[\d\d+:\d\d(:\d\d)?[<,].*\]")  # tqdm's [elapsed<left, rate]


def _without_progress(output):
    if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
        return None
    if output.output_type == "stream":
        lines = re.sub(r"\x1b\[[\d;]*[A-HJK]", "", output.text).split("\n")  # cursor moves of nested bars
        output.text = "\n".join(line for line in lines if not _PROGRESS.search(line)).strip("\n\r")
        return output if output.text.strip() else None
    return output


# ---------------------------------------------------------------------------------------------- prose


def datauri(data: bytes | str, name: str) -> str:
    """`data` as a data: URI; `name` is a file name or a picture's media type."""
    kind = name if name in PICTURES else mimetypes.guess_type(name)[0] or "application/octet-stream"
    if isinstance(data, str) and kind in ("image/png", "image/jpeg"):  # base64 already, in a notebook
        return f"data:{kind};base64,{''.join(data.split())}"
    return f"data:{kind};base64,{base64.b64encode(data.encode() if isinstance(data, str) else data).decode()}"


def show(value) -> str:
    """A number to four digits, a list by its items, nothing as a dash."""
    if value is None or isinstance(value, ChainableUndefined):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(show, value)) or "none"
    return json.dumps(value) if isinstance(value, dict) else str(value) or '""'


def first_words(code: str) -> str:
    """What a folded cell is about: its first function or class, else its first comment, else its first line."""
    name = re.search(r"^(?:def|class)\s+(\w+(?:\(.*\)(?=\s*(?:->|:)))?)", code, re.M)
    comment = re.search(r"^#+\s*(.+)", code, re.M)
    return (name or comment or re.search(r"(.*)", code.strip()))[1]


def duration(seconds) -> str:
    """Seconds as people say them."""
    if not isinstance(seconds, int | float):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    if minutes > 59:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.3g} s"


def when(iso) -> str:
    """A timestamp as a date and a time of day."""
    try:
        moment = datetime.fromisoformat(iso)
        return f"{moment.day} {moment:%B %Y, %H:%M}"
    except (TypeError, ValueError):
        return show(iso)


def terminal(text: str) -> Markup:
    """Text with its ANSI colours; 256-colour codes become the nearest of eight, which the page draws legibly."""

    def nearest(match):
        n = int(match[1]) - 16
        rgb = (n // 36, n // 6 % 6, n % 6) if 0 <= n < 216 else (0, 0, 0)
        bits = sum(1 << i for i, level in enumerate(rgb) if level > 1 and level > max(rgb) / 2)
        return str(30 + bits) if bits not in (0, 7) else "39"

    return Markup(ansi2html(re.sub(r"(?<=[\[;])38;5;(\d+)", nearest, text)))


def _started(results):
    return str(results.get("provenance", {}).get("started", ""))
