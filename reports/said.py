"""How a page says things: numbers, times, verdicts, pictures as text. Most are filters of the templates."""

import base64
import json
import mimetypes
import re
from datetime import datetime
from html import escape
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup
from nbconvert.filters import ansi2html

PICTURES = ["image/svg+xml", "image/png", "image/jpeg"]
WORDS = {True: "holds", False: "does not hold", None: "not judged"}


def datauri(data: bytes | str, name: str) -> str:
    """`data` as a data: URI; `name` is a file name or a picture's media type."""
    kind = name if name in PICTURES else mimetypes.guess_type(name)[0] or "application/octet-stream"
    if isinstance(data, str) and kind in ("image/png", "image/jpeg"):  # base64 already, in a notebook
        return f"data:{kind};base64,{''.join(data.split())}"
    return f"data:{kind};base64,{base64.b64encode(data.encode() if isinstance(data, str) else data).decode()}"


def show(value: Any) -> str:
    """A number to four digits, a list by its items, nothing as a dash."""
    if value is None or isinstance(value, Undefined):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(show, value)) or "none"
    return json.dumps(value) if isinstance(value, dict) else str(value) or '""'


def topic(code: str) -> tuple[str, bool]:
    """What a cell is about: the comment it begins with, else its first function, class, comment or line.

    And whether that is code.
    """
    title = re.match(r"\s*#+\s*(.+)", code)
    name = re.search(r"^(?:def|class)\s+(\w+(?:\(.*\)(?=\s*(?:->|:)))?)", code, re.M)
    comment = re.search(r"^#+\s*(.+)", code, re.M)
    if words := title or (not name and comment):
        return words[1], False
    return name[1] if name else code.strip().partition("\n")[0], True


def first_words(code: str) -> Markup:
    """What a folded cell is about."""
    words, is_code = topic(code)
    tag = "code" if is_code else "span"
    return Markup(f"<{tag}>{escape(words)}</{tag}>")


def ticked(text: str) -> Markup:
    """Text in which what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(str(text))))


def duration(seconds: Any) -> str:
    """Seconds as people say them."""
    if not isinstance(seconds, int | float):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    if minutes > 59:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.3g} s"


def when(iso: Any) -> str:
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


def judged(claims: Any, kind: str) -> list[dict]:
    """The claims of a kind, `paper` or `control`, each with its verdict in a word, also those of older runs."""
    rows = [{"kind": "paper", "verdict": WORDS.get(c.get("holds"), "not judged")} | c for c in claims or ()]
    return [row for row in rows if row["kind"] == kind]


def tally(claims: Any) -> str:
    """`6 of 14 of the paper's claims hold, 3 do not, 3 cannot be told, 2 not judged; 8 of 13 controls pass`."""
    said = []
    for kind in ("paper", "control"):
        words = [row["verdict"] for row in judged(claims, kind)]
        held, refuted, *others = (words.count(w) for w in ("holds", "does not hold", "cannot tell", "not judged"))
        if words:
            verb, ending = {"paper": ("of the paper's claims hold", "s"), "control": ("controls pass", "es")}[kind]
            text = f"{held} of {len(words)} {verb}{ending if held == 1 else ''}"
            text += f", {refuted} {'does' if refuted == 1 else 'do'} not" if refuted else ""
            all_ = {"paper": f"the paper's {len(words)} claims", "control": f"our {len(words)} controls"}[kind]
            text += "".join(
                f", {n} {word}" for n, word in zip(others, ("cannot be told", "not judged"), strict=True) if n
            )
            text = f"none of {all_} was judged" if others[1] == len(words) else text
            said.append(text)
    return "; ".join(said)


def measured(results: Any) -> dict[str, str]:
    """Every metric by name: its value and, where it is an estimate, its interval and what that rests on."""
    estimates = results.get("estimates") or {}
    return {name: _measured(value, estimates.get(name) or {}) for name, value in (results.get("metrics") or {}).items()}


def _measured(value: Any, about: dict) -> str:
    parts = [show(value)]
    if about.get("low") is not None and about.get("high") is not None:
        level = f", {100 * about['level']:.4g} % interval" if about.get("level") else ""
        parts[0] += f" [{show(about['low'])}, {show(about['high'])}]{level}"
    if about.get("n") is not None:
        left_out = f", {about['undefined']} undefined left out" if about.get("undefined") else ""
        parts.append(f"{about['n']} {about.get('of') or 'values'}{left_out}")
    parts += [f"chance {show(about['chance'])}"] if about.get("chance") is not None else []
    return "; ".join(parts + ([f"{about['better']} is better"] if about.get("better") else []))
