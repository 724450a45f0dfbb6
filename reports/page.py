"""A run as one HTML page, which asks nothing of the network; and what all pages of this package are made with."""

import base64
import hashlib
import struct
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChainableUndefined, Environment, pass_context
from markupsafe import Markup
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

from . import said
from .equations import mathml
from .prose import clean, markdown
from .said import PICTURES, datauri
from .shown import Quiet, divided

TEMPLATE = Path(__file__).parent / "template"
TEXTS = ["text/html", "text/markdown", "text/latex", "text/plain"]
FILTERS = (
    said.show,
    said.ticked,
    said.first_words,
    said.duration,
    said.when,
    said.terminal,
    said.judged,
    said.tally,
    said.measured,
)


def report(
    notebook: NotebookNode,
    results: dict,
    parameters: list[dict],
    downloads: dict[str, bytes] | None = None,
    cover: bytes | None = None,
) -> str:
    """One self-contained page of a run: answer, cover (a PNG), claims, the notebook as it ran, the files it wrote."""
    opening, rest = divided(notebook)
    run: dict[str, Any] = {"results": results, "parameters": parameters, "downloads": downloads or {}, "toc": []}
    run["opening"] = [markdown(cell.source, run, cell.get("attachments", {})) for cell in opening]
    if cover:
        about: dict = next((f for f in results.get("figures", ()) if f.get("cover")), {})
        run["cover"] = {"png": cover, "alt": about.get("alt") or "No description", "wide": _wide(cover)}
    return Exporter().from_notebook_node(rest, resources=run)[0]


def _wide(png: bytes) -> bool:
    """Whether a picture is too wide to stand beside a sentence."""
    width, height = struct.unpack(">II", png[16:24]) if len(png) > 24 else (1, 1)
    return width > 1.9 * height


def dressed(*names: str) -> dict[str, Any]:
    """The style and the one script of a page, from files of these names in template/, and the hash for its policy."""
    files = {kind: [TEMPLATE / f"{name}.{kind}" for name in names] for kind in ("css", "js")}
    css, script = ("".join(one.read_text("utf-8") for one in some if one.is_file()) for some in files.values())
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"css": Markup(css), "script": Markup(script), "script_hash": digest}


class Exporter(HTMLExporter):
    """nbconvert with our template. Escapes by default, unlike nbconvert: templates mark what is HTML with `safe`."""

    def __init__(self, **kwargs: Any):
        super().__init__(template_name=TEMPLATE.name, extra_template_basedirs=[str(TEMPLATE.parent)], **kwargs)

    @property
    def default_config(self) -> Config:
        # a picture beats the HTML beside it: HTML of plotting libraries is empty once its scripts are gone
        config = super().default_config.copy()
        config.merge(Config({"NbConvertBase": {"display_data_priority": PICTURES + TEXTS}}))
        return config

    def _init_preprocessors(self):
        super()._init_preprocessors()
        self.register_preprocessor(Quiet, enabled=True)  # last: the template's own have merged the streams

    def _create_environment(self) -> Environment:
        env = super()._create_environment()
        env.autoescape, env.undefined = True, ChainableUndefined
        env.filters.update({f.__name__: f for f in (clean, datauri, mathml, *FILTERS)}, quote=quote)
        env.globals.update(dressed("page"), icon=datauri((TEMPLATE / "icon.svg").read_bytes(), "icon.svg"))
        return env

    @pass_context
    def markdown2html(self, context: Any, source: str) -> Markup:
        """A cell's Markdown as clean HTML. Headings are collected for the table of contents on the way."""
        return markdown(source, context["resources"], context.get("cell", {}).get("attachments", {}))
