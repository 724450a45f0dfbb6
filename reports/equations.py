"""Equations for a page without scripts: LaTeX to the MathML that today's browsers draw."""

import re
import unicodedata
from html import escape
from itertools import zip_longest
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markupsafe import Markup


def mathml(latex: str, display: str = "inline") -> Markup:
    """LaTeX as MathML that Chromium, Firefox and Safari draw; what cannot be converted shows its source."""
    source = latex.strip().strip("$").strip()
    try:
        root = ElementTree.fromstring(convert(_rewritten(source), xmlns="", display=display).replace(' xmlns=""', ""))
        for parent in list(root.iter()):
            _mend(parent, display)
        html = ElementTree.tostring(root, "unicode", short_empty_elements=False)
    except Exception:  # latex2mathml raises what it likes
        html = f'<code class="math-error">{escape(source)}</code>'
    return Markup(f'<span class="equation scroll">{html}</span>' if display == "block" else html)


_LIMITS, _FUNCTION = "\u2060", "\u2061"  # mark names: with the subscript below it in a block, or beside it
_REWRITES = [  # what latex2mathml does not know, in words that it knows
    (r"\\(begin|end)\{(?:align|aligned|split|eqnarray)\*?\}", r"\\\1{align*}"),
    (r"\\(begin|end)\{(?:gather|gathered)\*?\}", r"\\\1{matrix}"),
    (r"\\(?:begin|end)\{(?:equation|displaymath|math)\*?\}|\\label\{[^}]*\}|\\(?:nonumber|notag)\b", ""),
    (r"\\(max|min|sup|inf|lim)(?![A-Za-z])", rf"\\text{{{_LIMITS}\1}}"),
    (r"\\(arg|log|ln|exp|sin|cos|tanh|det|dim)(?![A-Za-z])", rf"\\text{{{_FUNCTION}\1}}"),
]
_NAME = re.compile(
    r"\\(operatorname\*?|mathop|mathrm)\s*\{(?:\\(?:mathrm|rm|text)\b\s*)?(\{)?((?:\\[,; ]|[^{}\\_^$])*)(?(2)\})\}"
)
_MARKS = {"operatorname*": _LIMITS, "mathop": _LIMITS, "operatorname": _FUNCTION, "mathrm": ""}
_SYMBOLS = {r"\{": "{", r"\}": "}", r"\lbrace": "{", r"\rbrace": "}", r"\|": "‖", r"\lVert": "‖", r"\rVert": "‖"}
_BACK = "negativethinmathspace"  # from \!, which MathML Core does not know
_ACCENTS = {"^": "ˆ", "~": "˜", "¯": "¯", "˙": "˙", "¨": "¨", "―": "―"}
_RELATIONS = {"~": "∼", "±": "±", "⟹": "⟹", "⟺": "⟺", ":": ":"}  # come as <mi>, which has no space around it


def _rewritten(latex):
    def name(match):
        words = re.sub(r"\\[,; ]", "\u2009", match[3].replace("\\ ", "\\,").replace(" ", ""))
        return rf"\text{{{_MARKS[match[1]]}{words}}}"

    latex = _NAME.sub(name, latex)
    for pattern, replacement in _REWRITES:
        latex = re.sub(pattern, replacement, latex)
    return latex


def _mend(parent, display):
    """Turns what MathML Core dropped (variants, named spaces) or latex2mathml got wrong into what browsers draw."""
    for tag, following in zip_longest(parent, parent[1:]):
        text = tag.text or ""
        if tag.tag in ("mi", "mo") and text.startswith("\\"):
            tag.text = text = _SYMBOLS[text]  # KeyError: an unknown command, so the source is shown
        if tag.tag == "mi" and text in _RELATIONS:
            tag.tag, tag.text = "mo", _RELATIONS[text]
        if tag.tag == "mo" and text in ("|", "‖") and not tag.get("form"):
            tag.attrib.update(lspace="0", rspace="0", stretchy="false")
        if tag.tag in ("mi", "mn") and (variant := tag.get("mathvariant")) not in (None, "normal"):
            tag.text = "".join(_variant(c, variant) for c in text)
            del tag.attrib["mathvariant"]
        if tag.tag == "mtext":
            tag.text = text.replace(r"\_", "_")
        if tag.get("width") == _BACK:
            tag.set("width", "0")
        if tag.tag == "mtext" and text[:1] in (_LIMITS, _FUNCTION):
            tight = following is not None and (
                (following.text or "")[:1] in ("(", "[") or following.get("width") == _BACK
            )
            tag.tag, tag.text = "mo", text[1:]
            lspace = "0" if text[0] == _LIMITS else ".167em"
            tag.attrib.update(lspace=lspace, rspace="0" if tight else ".167em")
        if text.startswith(_LIMITS):
            tag.set("movablelimits", "true")
            if display == "block" and parent.tag in ("msub", "msubsup") and tag is parent[0]:
                parent.tag = {"msub": "munder", "msubsup": "munderover"}[parent.tag]
        if parent.tag == "mover" and following is None and text in _ACCENTS:
            parent.set("accent", "true")
            tag.text = _ACCENTS[text]


def _variant(character, variant):
    name = unicodedata.name(character).replace("LATIN ", "").replace("GREEK ", "").replace("LETTER ", "")
    try:
        return unicodedata.lookup(f"MATHEMATICAL {variant.replace('bold-', 'bold ')} {name}".upper())
    except KeyError:
        return character
