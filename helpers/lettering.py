"""Names of files and classes as figures can show them, in any script, of any length, with any signs."""

import re
import textwrap
import unicodedata
from contextlib import suppress
from typing import Any

import matplotlib
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font


def wrapped(text: Any, side: float) -> str:
    """A name to be drawn: `plain`, in lines of that many inches, without the middle of a very long one."""
    text = str(text)
    wide = max(8, int(side * 11.5))
    lines = [line if len(line) <= wide else line.replace("_", " ") for line in text.split("\n")]
    if any(len(word) >= wide for line in lines for word in line.split()):
        wide = max(8, int(side * 9.5))  # a line full to its end, as of a checksum, is wider than lines of words
    if any(unicodedata.east_asian_width(c) in "WF" for c in text):
        wide //= 2
    most = max(2 * wide, 60)
    lines = [line if len(line) <= most else f"{line[: most // 2]}…{line[-most // 3 :]}" for line in lines]
    return plain("\n".join(textwrap.fill(line, wide) for line in lines))


def plain(name: str) -> str:
    """A name in which matplotlib takes `$` for a dollar, not for mathematics."""
    return re.sub(r"(?<!\\)\$", r"\\$", name)


def literal(text: str) -> str:
    """A sentence in which Markdown takes the signs of names for those signs; `code` and **bold** stay what they are."""
    return re.sub(r"`[^`]*`|[_$<]", lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", text)


def fonts(words: str) -> list[str]:
    """Let all figures from now on have the letters of these words, by installed fonts; a note on what none has."""
    lacking = {ord(c) for c in words if c.isprintable()} - {*get_font(findfont(FontProperties())).get_charmap()}
    chosen = [*matplotlib.rcParams["font.family"]]
    for entry in sorted(fontManager.ttflist, key=lambda font: ("Sans" not in font.name, font.name)):
        if lacking and entry.style == "normal" and "Last Resort" not in entry.name:  # which has a box for each letter
            with suppress(RuntimeError, OSError):  # a file that is broken, or gone
                font = get_font(entry.fname)
                has = lacking & {*font.get_charmap()} if font.scalable else set()  # emoji of pixels cannot be drawn
                chosen += [entry.name] * bool(has)
                lacking -= has
    matplotlib.rcParams["font.family"] = [*dict.fromkeys(chosen)]
    some = "".join(map(chr, sorted(lacking)[:10])) + " ..." * (len(lacking) > 10)
    way = "figures show boxes in their places. Install one, such as Noto Sans CJK, and run again"
    return [f"No installed font has {some}: {way}"] if lacking else []
