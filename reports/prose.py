"""The words of a page: Markdown with equations as MathML, and any HTML made safe to show."""

import re
from html import escape
from itertools import count

import nh3
from bs4 import BeautifulSoup
from markupsafe import Markup
from nbconvert.filters.markdown_mistune import (
    InvalidNotebook,
    IPythonRenderer,
    MarkdownWithMath,
    MathBlockParser,
    MathInlineParser,
)

from .equations import mathml


def markdown(source: str, resources: dict, attachments: dict) -> Markup:
    """A cell's Markdown as clean HTML; its headings join `resources["toc"]`."""
    parser = MarkdownWithMath(Prose(resources, attachments), Blocks(), Inlines(hard_wrap=False))
    return clean(parser.render(_TABLE_ROW.sub(_spare_bars, source)))


class Blocks(MathBlockParser):
    """Block equations start a line: `$$` in the middle of one may be code."""

    SPECIFICATION = {
        **MathBlockParser.SPECIFICATION,
        "multiline_math": r"^ {0,3}(?:" + MathBlockParser.MULTILINE_MATH + ")",
    }


class Inlines(MathInlineParser):
    """Inline equations as in Pandoc: no blank inside the dollars, no digit behind, so that $5 and $6 stay money."""

    INLINE_MATH_TEX = r"(?<![$\\])\$(?![\s$])(?P<math_inline_tex>(?:\\[\s\S]|[^$\\`])+?)(?<!\s)\$(?![\d$])"
    SPECIFICATION = {**MathInlineParser.SPECIFICATION, "inline_math_tex": INLINE_MATH_TEX}


_TABLE_ROW = re.compile(r"^ {0,3}(```|~~~)[\s\S]*?^ {0,3}\1|^[> ]*\|.*$", re.M)


def _spare_bars(match):
    r"""The bars of $|x|$ would end a table's cell: they become \vert. Code is left as it is."""
    if match[1]:
        return match[0]
    return re.sub(r"`[^`]*`|(?<!\\)\$([^$]+)\$", _bars, match[0])


def _bars(match):
    equation = match[1] and match[1].replace(r"\|", r"\Vert ").replace("|", r"\vert ").strip()
    return f"${equation}$" if equation else match[0]


class Prose(IPythonRenderer):
    """Markdown with equations as MathML, headings in order below the page's own, and no picture from elsewhere."""

    def __init__(self, resources, attachments):
        super().__init__(escape=False, attachments=attachments, exclude_anchor_links=True)
        self.resources = resources

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        return mathml(body, "block")

    def latex_environment(self, name, body):
        return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")

    def heading(self, text, level, **attrs):
        toc, words = self.resources["toc"], BeautifulSoup(text, "html.parser").get_text()
        if level == 1 and not toc and words.strip() == str(self.resources["results"].get("title", "")).strip():
            return ""  # the page's own title
        above = [entry["level"] for entry in self.resources.setdefault("open", []) if entry["level"] < level]
        self.resources["open"] = self.resources["open"][: len(above)] + [{"level": level}]
        depth = min(len(above) + 2, 6)  # no level is skipped, whatever the notebook skips
        anchor, taken = words.strip().replace(" ", "-") or "section", {entry["id"] for entry in toc}
        anchor = next(a for n in count(1) if (a := f"{anchor}-{n}" if n > 1 else anchor) not in taken)
        toc.append({"level": level, "depth": depth, "id": anchor, "html": Markup(clean(text))})
        return f'<h{depth} id="{escape(anchor)}">{text}</h{depth}>\n'

    def image(self, text, url, title=None):
        try:
            return super().image(text, url, title)
        except InvalidNotebook:  # a missing attachment is no reason to lose the page
            return f'<span class="no-image">{escape(text)}</span>'


_MATH = (
    "math mrow mi mn mo mtext ms mspace mfrac msqrt mroot msub msup msubsup munder mover munderover mtable mtr mtd "
    "mstyle mpadded mphantom menclose merror mmultiscripts mprescripts"
)
_MATH_SAYS = (
    "display class width height depth lspace rspace form fence separator stretchy symmetric largeop movablelimits "
    "minsize maxsize accent accentunder linethickness displaystyle scriptlevel mathvariant columnalign columnspacing "
    "rowspacing columnspan rowspan"
)
TAGS = nh3.ALLOWED_TAGS - {"area", "map"} | {"tfoot", *_MATH.split()}
ATTRIBUTES = {
    "*": {"class"},
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "details": {"open"},
    "time": {"datetime"},
    **{f"h{level}": {"id"} for level in range(1, 7)},
    **{cell: {"colspan", "rowspan", "scope", "style"} for cell in ("td", "th")},
    **{tag: set(_MATH_SAYS.split()) for tag in _MATH.split()},
}
_VALUES = {
    "src": re.compile(r"data:image/", re.I),  # nothing is loaded
    "href": re.compile(r"https?:|mailto:|#|[^:]*$", re.I),
    "style": re.compile(r"\s*text-align:\s*(left|right|center);?\s*$"),  # what Markdown and pandas write
}
_NUMBER = re.compile(r"[-+−]?[\d.,]+([eE][-+]?\d+)?\s?%?|NaN|[–-]?")


def clean(html: str, caption: str | None = None) -> Markup:
    """HTML of tags and attributes that neither run nor load; tables get captions, headers and a box to scroll in."""
    soup = BeautifulSoup(html, "html.parser")
    for picture in soup.find_all("img"):
        source = str(picture.get("src", ""))
        if not _VALUES["src"].match(source):
            link = f' (<a href="{escape(source)}">{escape(source)}</a>)' if re.match("https?:", source) else ""
            words = f'<span class="no-image">{escape(str(picture.get("alt") or "picture"))}{link}</span>'
            picture.replace_with(BeautifulSoup(words, "html.parser"))
        elif not picture.get("alt"):
            picture["alt"], picture["class"] = "No description", "no-description"
    for table in soup.find_all("table"):
        _readable(soup, table, caption)
    return Markup(
        nh3.clean(
            str(soup),
            tags=TAGS,
            attributes=ATTRIBUTES,
            attribute_filter=_harmless,
            url_schemes={"http", "https", "mailto", "data"},
            link_rel=None,
        )
    )


def _harmless(tag: str, name: str, value: str) -> str | None:
    return value if name not in _VALUES or _VALUES[name].match(value) else None


def _readable(soup, table, caption):
    table.attrs.pop("border", None)
    heads = [row.find_all(["th", "td"]) for row in table.select("thead tr")]
    if len(heads) == 2 and len(heads[0]) == len(heads[1]):
        pairs = [(above, below, above.text.strip(), below.text.strip()) for above, below in zip(*heads, strict=True)]
        if not any(over and under for _, _, over, under in pairs):  # pandas gives the index's name a row of its own
            for above, _, over, under in pairs:
                above.string = over or under
            heads[1][0].parent.decompose()
    for th in table.find_all("th"):
        if not th.get_text(strip=True):
            th.name = "td"  # the corner above an index heads nothing
        else:
            th["scope"] = "col" if th.find_parent("thead") else "row"
    if "dataframe" in table.get("class", ()):
        _without_row_numbers(table)
        for cells in zip(*(row.find_all("td") for row in table.select("tbody tr")), strict=False):
            if not all(_NUMBER.fullmatch(cell.text.strip()) for cell in cells):
                for cell in cells:
                    cell["class"] = "words"
    if not table.caption:
        heads = ", ".join(th.get_text(" ", strip=True) for th in table.find_all("th", scope="col"))
        table.insert(0, tag := soup.new_tag("caption"))
        tag.string, tag["class"] = caption or f"Table: {heads}", "" if caption else "unseen"
    table.wrap(soup.new_tag("div", attrs={"class": "scroll"}))


def _without_row_numbers(table):
    """Drops the first column where it only numbers rows, with gaps when rows were chosen: nobody named it."""
    heads, rows = table.select("thead tr"), table.select("tbody tr")
    numbers = [row.find("th") for row in rows]
    corner = heads[0].find(["th", "td"]) if len(heads) == 1 else None
    if corner is None or corner.get_text(strip=True) or not all(numbers) or any(len(r("th")) > 1 for r in rows):
        return
    named = [th.get_text(strip=True) for th in heads[0]("th")]
    if all(th.get_text(strip=True).isdigit() for th in numbers) and not all(name.isdigit() for name in named if name):
        for cell in (corner, *numbers):
            cell.decompose()
