"""Figures that several notebooks draw: pictures, heatmaps over them, values (charts). They label themselves.

Each function gives a figure that is described, with its numbers, in `figure.alt`. Colours, markers and dashes are safe
for colour-blind readers, text is large enough for a phone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import withStroke

from .charts import WIDE, against, bars, described, histogram, in_words, spread  # noqa: F401  one door
from .lettering import plain, wrapped
from .sliders import sliders  # noqa: F401  the same door

LINES = [("black", "white", "-"), ("#f0e442", "black", "--"), ("#56b4e9", "black", ":")]  # outlines: colour, edge, dash
Texts = Sequence | None


def shown(images: torch.Tensor) -> np.ndarray:
    """uint8 pictures `(N, 3, H, W)` or `(3, H, W)` as matplotlib wants them: channels last."""
    return images.movedim(-3, -1).cpu().numpy()


def grid(rows: int, columns: int, side: float = 2.0, head: float = 0.3) -> tuple[Any, np.ndarray]:
    """A figure of pictures `side` inches wide, without axes; the figure and its axes `(rows, columns)`."""
    rows, columns = max(1, rows), max(1, columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * side, rows * (side + head)), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
        axis.set_anchor("S")  # what room is left goes to the title
    return figure, axes


def picture(axis: Any, image: torch.Tensor, title: str = "") -> None:
    """One uint8 picture `(3, H, W)`."""
    axis.set(xticks=[], yticks=[])  # ticks that nobody sees take longer to draw than the picture
    axis.set_axis_off()
    axis.imshow(shown(image))
    axis.set_title(plain(title), fontsize="small")


def overlay(axis: Any, image: torch.Tensor, values: torch.Tensor, title: str = "", top: float = 0, signed: bool = True):
    """A map `(H, W)` over its uint8 picture in grey: red speaks for the class, blue against, each as strong as opaque.

    Full colour is at `top`; by default at the map's 99.5th percentile, so that a single hot pixel does not hide the
    rest. Not `signed`: from 0, yellow to red. Gives what a colour bar wants.
    """
    at = np.linspace(-1 if signed else 0, 1, 257)
    colours = plt.get_cmap("RdBu_r" if signed else "YlOrRd")((at + 1) / 2 if signed else at)
    colours[:, 3] = np.abs(at) ** 0.7 * 0.85
    strength = np.clip(values.detach().cpu().double().numpy() / (top or _top(values)), -1, 1)
    axis.set(xticks=[], yticks=[])
    axis.set_axis_off()
    axis.imshow(shown(image).mean(-1) * 0.6 + 90, cmap="gray", vmin=0, vmax=255)
    axis.set_title(plain(title), fontsize="small")
    return axis.imshow(strength, cmap=ListedColormap(colours), vmin=at[0], vmax=1)


def colour_bar(figure: Any, drawn: Any, axes: Any, label: str, signed: bool = True) -> None:
    """The scale of maps that `overlay` drew, below these axes: zero in its middle where they are signed."""
    shrink = min(1, 4 * figure.dpi / figure.bbox.width) if np.size(axes) > 1 else 1
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=shrink, aspect=30)
    bar.set_label(label, fontsize="small")
    bar.set_ticks([-1, 0, 1] if signed else [0, 0.5, 1])
    bar.ax.set_facecolor("0.75")  # the grey of the pictures below


def box(axis: Any, B: Iterable, colour: str, **line: Any) -> None:
    """The frame of a box (x0, y0, x1, y1), half-open pixels, on a picture that `imshow` drew; its edge contrasts."""
    x0, y0, x1, y1 = (float(v) for v in B)
    edge = withStroke(linewidth=line.setdefault("lw", 2) + 1.5, foreground="white" if colour == "black" else "black")
    look: dict[str, Any] = {"fill": False, "ec": colour, "path_effects": [edge]} | line
    axis.add_artist(plt.Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, **look))


def sheet(images: torch.Tensor, titles: Texts = None, columns: int = 8, side: float = 1.6) -> Any:
    """Pictures uint8 `(N, 3, H, W)` in rows of `columns`, each under its title."""
    columns = max(1, min(columns, len(images)))
    side = min(side, WIDE / columns)
    words = _titles(titles, len(images), side)
    figure, axes = grid(math.ceil(len(images) / columns), columns, side, _head(words))
    for axis, image, text in zip(axes.flat, images, words, strict=False):
        picture(axis, image, text)
    return described(figure, f"{len(images)} pictures" + _list(titles and dict.fromkeys(titles)))


def overlays(
    images: torch.Tensor, maps: Mapping[str, torch.Tensor], titles: Texts = None,
    notes: Mapping[str, Sequence] | None = None, signed: bool = True, label: str = "relevance for the class", *,
    outlines: Mapping[str, Any] | None = None, shared: bool = False, across: bool = False, side: float = 1.6,
) -> Any:  # fmt: skip
    """A row for each picture `(N, 3, H, W)`: itself under its title, then its map `(N, H, W)` of each name.

    Each name has one scale around 0, up to the 99.5th percentile over all its maps (`shared`: over those of all names,
    for one method on several networks). `notes[name][i]` stands above a map. `outlines`: name -> boxes (N, 4) or masks
    (N, H, W), or only for some columns name -> {column: boxes or masks}. `across`: a column for each picture.
    """
    count, names = len(images), ["", *maps]
    side = min(side, WIDE / max(1, count if across else len(names)))
    heads = [_titles(titles, count, side), *(_titles((notes or {}).get(n), count, side) for n in maps)]
    if not across and count:
        for n, head in zip(maps, heads[1:], strict=True):
            head[0] = f"{wrapped(n, side)}\n{head[0]}".strip()
    figure, axes = grid(*((len(names), count) if across else (count, len(names))), side, _head(sum(heads, [])))
    figure.set_figheight(figure.get_figheight() + 0.8 * bool(maps) + 0.4 * bool(outlines))
    tops = {n: _top(m) for n, m in maps.items()}
    tops = dict.fromkeys(maps, max(tops.values(), default=1.0)) if shared else tops
    drawn = None
    for column, n, head in zip(axes if across else axes.T, names, heads, strict=True):
        for i, (axis, image, title) in enumerate(zip(column, images, head, strict=False)):
            if n:
                drawn = overlay(axis, image, maps[n][i], title, tops[n], signed)
            else:
                picture(axis, image, title)
            for k, what in enumerate((outlines or {}).values()):
                of_column = what.get(n) if isinstance(what, Mapping) else what
                if of_column is not None:
                    outline(axis, of_column[i], k)
        if across:
            column[0].text(
                -0.06, 0.5, wrapped(n, side), rotation=90, ha="right", va="center", transform=column[0].transAxes
            )
    if drawn is not None:
        whose = "all maps" if shared or len(maps) == 1 else f"each {'row' if across else 'column'}'s maps"
        colour_bar(figure, drawn, axes, f"{label}\n(1: 99.5th percentile of {whose})", signed)
    keys = [
        plt.Line2D([], [], label=wrapped(n, 4), **_stroke(line)) for n, line in zip(outlines or {}, LINES, strict=False)
    ]
    if keys:
        figure.legend(handles=keys, loc="outside upper center", ncols=3, fontsize="small")
    said = "".join(f"; {n}{_list(some)}" for n, some in (notes or {}).items())
    return described(figure, f"{count} pictures{_list(titles)}{f'; the maps of each{_list(maps)}' * bool(maps)}{said}")


def outline(axis: Any, what: torch.Tensor, kind: int = 0) -> None:
    """A line around a mask (H, W) or a box (4,), none around nothing: solid black, dashed yellow, dotted blue."""
    look = _stroke(LINES[kind % len(LINES)])
    if what.ndim == 1 and what.isfinite().all():
        box(axis, what.cpu(), look.pop("color"), **look)
    elif what.ndim == 2 and 0 < what.double().mean() < 1:
        mask, seen = np.pad(what.cpu().double(), 1), (axis.get_xlim(), axis.get_ylim())  # padded: it closes at the edge
        y, x = (np.arange(-1, side + 1) for side in what.shape)
        drawn = axis.contour(x, y, mask, [0.5], colors=look["color"], linestyles=look["ls"])
        drawn.set(path_effects=look["path_effects"])
        axis.set(xlim=seen[0], ylim=seen[1])


def _stroke(line: tuple[str, str, str]) -> dict[str, Any]:
    colour, edge, dashes = line
    return {"color": colour, "ls": dashes, "lw": 2, "path_effects": [withStroke(linewidth=3.5, foreground=edge)]}


def _list(words: Iterable | None) -> str:
    return f": {', '.join(' '.join(str(w).split()) for w in words)}" if words is not None else ""


def _top(values: torch.Tensor) -> float:
    finite = values[values.isfinite()].detach().abs().cpu().double().numpy()
    return max(float(np.quantile(finite, 0.995)), 1e-12) if finite.size else 1.0


def _titles(words: Texts, count: int, side: float) -> list[str]:
    return [wrapped(w, side) for w in words] if words is not None else [""] * count


def _head(words: Sequence[str]) -> float:
    return 0.06 + 0.18 * max([w.count("\n") + 1 for w in words if w], default=0)
