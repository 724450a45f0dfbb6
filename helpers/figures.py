"""Figures that several notebooks draw: pictures, heatmaps over them, values against values. They label themselves.

Each function gives a figure (or, with `ax`, draws there and gives that back) and describes it in words with its
numbers: `figure.alt`. Colours and markers are safe for colour-blind readers, text is large enough for a phone.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets
import matplotlib.patheffects
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from . import stats

sns.set_theme(style="whitegrid", palette="colorblind", font_scale=1.05, rc={"figure.constrained_layout.use": True})

WIDE = 8.0  # inches, at most: a wider figure's text is too small on a phone
HOT = 0.995  # the quantile that is drawn in full colour, so that a single hot pixel does not hide the rest
OUTLINES = [("black", "white", "-"), ("#f0e442", "black", "--"), ("#56b4e9", "black", ":")]
HATCHES = ["", "//", "..", "xx", "\\\\", "oo"]
Chance = float | Mapping[str, float] | None  # a level, or levels by panel, or by what the line shall be called
Values = Mapping[str, Any]


def _cmap(signed: bool) -> ListedColormap:
    """Red for, blue against, each as strong as opaque; unsigned: yellow to dark red."""
    at = np.linspace(-1 if signed else 0, 1, 257)
    colours = plt.get_cmap("RdBu_r")((at + 1) / 2) if signed else plt.get_cmap("YlOrRd")(at)
    colours[:, 3] = np.abs(at) ** 0.7 * 0.85
    return ListedColormap(colours)


# pictures and maps


def shown(images: torch.Tensor) -> np.ndarray:
    """uint8 pictures `(N, 3, H, W)` or `(3, H, W)` as matplotlib wants them: channels last."""
    return images.movedim(-3, -1).cpu().numpy()


def grid(rows: int, columns: int, side: float = 2.0, head: float = 0.3):
    """A figure of pictures `side` inches wide, without axes; the figure and its axes `(rows, columns)`."""
    figure, axes = plt.subplots(rows, columns, figsize=(columns * side, rows * (side + head)), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def picture(axis, image: torch.Tensor, title: str = "") -> None:
    """One uint8 picture `(3, H, W)`."""
    axis.imshow(shown(image))
    axis.set_title(title, fontsize="small")


def overlay(axis, image: torch.Tensor, values: torch.Tensor, title: str = "", top: float = 0, signed: bool = True):
    """A map `(H, W)` over its uint8 picture in grey: red speaks for the class, blue against, each as strong as opaque.

    Full colour is at `top`, by default the map's own 99.5th percentile. Gives the drawn map.
    """
    strength = values.detach().cpu().double().numpy() / (top or _top(values))
    axis.imshow(shown(image).mean(-1) * 0.6 + 90, cmap="gray", vmin=0, vmax=255)
    axis.set_title(title, fontsize="small")
    return axis.imshow(np.clip(strength, -1, 1), cmap=_cmap(signed), vmin=-1 if signed else 0, vmax=1)


def _top(values: torch.Tensor) -> float:
    finite = np.abs(values.detach().cpu().double().numpy())
    finite = finite[np.isfinite(finite)]
    return max(float(np.quantile(finite, HOT)), 1e-12) if finite.size else 1.0


def box(axis, B, colour: str, **line) -> None:
    """The frame of a box (x0, y0, x1, y1), half-open pixels, on a picture that `imshow` drew."""
    x0, y0, x1, y1 = (float(v) for v in B)
    axis.add_patch(plt.Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, ec=colour, **{"lw": 2} | line))


def sheet(images: torch.Tensor, titles=None, columns: int = 8, side: float = 1.6, frames=None):
    """Pictures uint8 `(N, 3, H, W)` in rows of `columns`, each under its title and in a frame of its colour."""
    columns = max(1, min(columns, len(images)))
    side = min(side, WIDE / columns)
    words = [_wrapped(t, side) for t in titles] if titles is not None else [""] * len(images)
    figure, axes = grid(max(1, math.ceil(len(images) / columns)), columns, side, _head(words))
    for axis, image, text, colour in zip(axes.flat, images, words, frames or [None] * len(images), strict=False):
        picture(axis, image, text)
        if colour:
            box(axis, (0, 0, image.shape[-1], image.shape[-2]), colour, lw=5)
    named = ", ".join(dict.fromkeys(map(str, titles if titles is not None else [])))
    return _described(figure, f"{len(images)} pictures" + f": {named}" * bool(named))


def overlays(
    images: torch.Tensor,
    maps: Mapping[str, torch.Tensor],
    titles=None,
    notes: Mapping[str, Sequence] | None = None,
    signed: bool = True,
    label: str = "relevance for the class",
    outlines: Mapping[str, Any] | None = None,
    shared: bool = False,
    across: bool = False,
    side: float = 1.6,
):
    """A row for each picture `(N, 3, H, W)`: itself under its title, then its map `(N, H, W)` of each name.

    One scale around 0 for each name (`shared`: for all of them, which must then be of one method), up to the 99.5th
    percentile over all its maps. `notes[name][i]` stands above a map. `outlines`: name -> boxes (N, 4) or masks
    (N, H, W), or name -> {column: boxes or masks}. `across`: a column for each picture, names in rows.
    """
    count, names = len(images), list(maps)
    side = min(side, WIDE / (count if across else 1 + len(names)))
    notes = notes or {}
    firsts = [_wrapped(t, side) for t in titles] if titles is not None else [""] * count
    above = {n: [_wrapped(t, side) for t in notes.get(n, [""] * count)] for n in names}
    if not across:  # names stand on top of their columns
        above = {
            n: [f"{_wrapped(n, side)}\n{t}".strip() if i == 0 else t for i, t in enumerate(above[n])] for n in names
        }
    shape = (1 + len(names), count) if across else (count, 1 + len(names))
    figure, axes = grid(*shape, side, _head([*firsts, *(t for some in above.values() for t in some)]))
    axes = axes.T if across else axes
    tops = {n: _top(maps[n]) for n in names}
    tops = dict.fromkeys(names, max(tops.values(), default=1.0)) if shared else tops
    drawn = None
    for i in range(count):
        picture(axes[i, 0], images[i], firsts[i])
        for axis, n in zip(axes[i, 1:], names, strict=True):
            drawn = overlay(axis, images[i], maps[n][i], above[n][i], tops[n], signed)
        for what, style in zip((outlines or {}).values(), OUTLINES, strict=False):
            for axis, n in zip(axes[i], ["", *names], strict=True):
                which = what.get(n) if isinstance(what, Mapping) else what
                if which is not None:
                    _outline(axis, which[i], style)
    if across:
        for axis, n in zip(axes[0, 1:], names, strict=True):
            axis.text(-0.06, 0.5, n, rotation=90, ha="right", va="center", transform=axis.transAxes, fontsize="small")
    if drawn is not None:
        scale = "1: 99.5th percentile of " + ("all maps" if shared or len(names) == 1 else "each column's maps")
        bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=min(1, 4 / figure.get_figwidth()), aspect=30)
        bar.set_ticks([-1, 0, 1] if signed else [0, 0.5, 1])
        bar.set_label(f"{label}\n({scale})", fontsize="small")
        bar.ax.set_facecolor("0.75")
    keys = [
        Patch(fill=False, ec=s[0] if s[0] != "#f0e442" else "#b3a600", ls=s[2], lw=2, label=n)
        for n, s in zip(outlines or {}, OUTLINES, strict=False)
    ]
    if keys:
        figure.legend(handles=keys, loc="outside upper center", ncols=len(keys), fontsize="small")
    text = f"{count} pictures, each with maps of {', '.join(names)}"
    text += "".join(f"; {n}: {', '.join(map(str, notes[n]))}" for n in names if n in notes)
    return _described(figure, text)


def _outline(axis, what: torch.Tensor, style: tuple[str, str, str]) -> None:
    colour, around, dashes = style
    stroke = [matplotlib.patheffects.withStroke(linewidth=3.5, foreground=around)]
    if what.ndim == 1:
        if torch.isfinite(what).all():
            box(axis, what, colour, ls=dashes, path_effects=stroke)
    elif 0 < what.double().mean() < 1:
        axis.contour(what.cpu().double(), [0.5], colors=colour, linestyles=dashes, linewidths=2).set(
            path_effects=stroke
        )


# values


def against(
    table: pd.DataFrame,
    x,
    y,
    by: str | None = None,
    style: str | None = None,
    chance: Chance = None,
    lines: bool = False,
    band: bool = True,
    labels: Mapping[str, str] | None = None,
    each: str | None = None,
    of: str = "pictures",
    ax=None,
):
    """Points, or lines through means with the 95 % band of `stats.mean(..., of)`. Panels: a list x or y, or `each`."""
    labels = labels or {}
    table, by, style = _named(table, by, style)
    figure, cases = _panels(table, x, y, each, ax, labels)
    more = {
        "hue": by,
        "style": style or by,
        "hue_order": _levels(table, by),
        "style_order": _levels(table, style or by),
    }
    text = []
    for axis, part, a, b, key in cases:
        part = part.dropna(subset=[a, b])
        if lines and len(part):
            sns.lineplot(
                part,
                x=a,
                y=b,
                markers=True,
                dashes=True,
                errorbar=_interval(of) if band else None,
                marker=None if by or style else "o",
                markersize=8,
                ax=axis,
                **more,
            )
        elif len(part):
            sns.scatterplot(part, x=a, y=b, s=80, ax=axis, **more)
        _finish(
            axis, key, labels.get(a, _words(a)), labels.get(b, _words(b)), _of_panel(chance, key, cases), part, a, b
        )
        text.append(_said_against(part, a, b, by or style, lines, key, labels))
    return _done(figure, cases, ax, labels.get(by or style or "", _words(by or style or "")), text, chance)


def spread(table, x, y, by=None, chance: Chance = None, labels=None, each=None, ax=None):
    """Box plots of y for each x (and `by`): median, middle half, whiskers to 1.5 times it, points beyond."""
    labels = labels or {}
    table, by, x = _named(table, by, x)
    figure, cases = _panels(table, x, y, each, ax, labels)
    lying = max(len(line) for v in [*table[x], ""] for line in v.split("\n")) * table[x].nunique() > 70
    text = []
    for axis, part, a, b, key in cases:
        part = part.dropna(subset=[b])
        ends = (b, a) if lying else (a, b)
        if len(part):
            sns.boxplot(
                part,
                x=ends[0],
                y=ends[1],
                hue=by,
                order=_levels(table, x),
                hue_order=_levels(table, by),
                color=None if by else "C0",
                fliersize=3,
                gap=0.1 if by else 0,
                ax=axis,
            )
        words = [labels.get(c, _words(c)) for c in ends]
        _finish(axis, key, *words, _of_panel(chance, key, cases), part, *ends, upright=lying)
        medians = part.groupby([a] + [by] * bool(by), sort=False)[b].median()
        text.append(f"Boxes of {labels.get(b, _words(b))}{f', {key}' * bool(key)}; medians: {in_words(medians)}")
    return _done(figure, cases, ax, labels.get(by or "", _words(by or "")), text, chance)


def bars(values: Values, chance: Chance = None, label: str = "", ax=None):
    """A bar for each name (or name -> group), with the interval of an Estimate; 0 and what is missing are marked."""
    groups = {n: v if isinstance(v, Mapping) else {"": v} for n, v in values.items()}
    hues = list(dict.fromkeys(h for v in groups.values() for h in v))
    lying = max([len(str(n)) for n in groups], default=0) * len(groups) > 50
    size = (6.5, max(2.4, 1.2 + 0.32 * len(groups) * max(1, len(hues) * 0.7))) if lying else (6.5, 3.8)
    figure, axis = (ax.figure, ax) if ax is not None else plt.subplots(figsize=size)
    ranged = False
    for j, hue in enumerate(hues):
        for i, v in enumerate(groups.values()):
            e = v.get(hue, math.nan)
            value = float(e.value if isinstance(e, stats.Estimate) else e)
            at, thick = i + 0.8 * ((j + 0.5) / len(hues) - 0.5), 0.74 / len(hues)
            paint = {
                "color": f"C{j}",
                "hatch": HATCHES[j % len(HATCHES)],
                "edgecolor": "white",
                "label": hue if hue and i == 0 else "_",
            }
            (axis.barh if lying else axis.bar)(at, value if math.isfinite(value) else 0, thick, **paint)
            if not math.isfinite(value) or abs(value) < 1e-9:
                word = "0" if math.isfinite(value) else "–"
                spot = (0, at) if lying else (at, 0)
                axis.annotate(
                    word,
                    spot,
                    (4, 0) if lying else (0, 3),
                    textcoords="offset points",
                    ha="left" if lying else "center",
                    va="center" if lying else "bottom",
                )
            if isinstance(e, stats.Estimate) and math.isfinite(e.high - e.low) and math.isfinite(value):
                reach = [[max(0, value - e.low)], [max(0, e.high - value)]]
                xy = (value, at) if lying else (at, value)
                axis.errorbar(*xy, **{"xerr" if lying else "yerr": reach}, fmt="none", ecolor="black", capsize=3)
                ranged = True
    names = [_wrapped(n, 2.2) for n in groups]
    (axis.set_yticks if lying else axis.set_xticks)(range(len(names)), names)
    (axis.set_xlabel if lying else axis.set_ylabel)(label + "\n(lines: 95 % interval)" * ranged)
    if lying:
        axis.invert_yaxis()
    axis.grid(False, axis="y" if lying else "x")
    _chance(axis, chance if chance is not None else _own_chance(groups), upright=lying)
    said = "; ".join(f"{n} {h} {_number(e)}".replace("  ", " ") for n, v in groups.items() for h, e in v.items())
    return _done(figure, [(axis,)], ax, "", [f"Bars of {label or 'values'}: {said}"], chance)


def histogram(series: Values, bins: Any = 20, chance: Chance = None, label: str = "", of: str = "values", ax=None):
    """The share of each series' finite values in each bin, in per cent, as steps over one another."""
    finite = {n: (x := stats._numbers(v).ravel())[np.isfinite(x)] for n, v in series.items()}
    edges = np.histogram_bin_edges(
        np.concatenate([*finite.values(), [0.0] * (not any(map(len, finite.values())))]), bins
    )
    figure, axis = (ax.figure, ax) if ax is not None else plt.subplots(figsize=(6.5, 3.8))
    for j, (name, x) in enumerate(finite.items()):
        mean = f"{name}, mean {x.mean():.2f}" if len(x) else f"{name}, no values"
        share = np.histogram(x, edges)[0] / max(1, len(x))
        axis.stairs(share, edges, fill=True, alpha=0.25, color=f"C{j}")
        axis.stairs(share, edges, lw=2, ls=["-", "--", ":", "-."][j % 4], color=f"C{j}", label=mean)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axis.set(xlabel=label, ylabel=f"share of {of} (%)")
    _chance(axis, chance, upright=True)
    said = "; ".join(f"{n} mean {x.mean():.2f}" if len(x) else f"{n} no values" for n, x in finite.items())
    return _done(figure, [(axis,)], ax, "", [f"Histograms of {label or 'values'}: {said}"], chance)


# what they share


def _panels(table, x, y, each, ax, labels):
    xs, ys = ([v] if isinstance(v, str) else list(v) for v in (x, y))
    parts = [(str(v), part) for v, part in table.groupby(each, sort=False)] if each else [("", table)]
    cases = [(part, a, b, key or (b if len(ys) > 1 else "")) for key, part in parts for a in xs for b in ys]
    if ax is not None:
        return ax.figure, [(ax, *case) for case in cases[:1]]
    columns = min(2, max(1, len(cases)))
    rows = max(1, math.ceil(len(cases) / columns))
    figure, axes = plt.subplots(rows, columns, figsize=(WIDE if columns > 1 else 6.5, 3.6 * rows + 0.5), squeeze=False)
    for axis in axes.flat[len(cases) :]:
        axis.set_axis_off()
    return figure, [(axis, *case) for axis, case in zip(axes.flat, cases, strict=False)]


def _named(table, *columns):
    """Groups are names, also where they are numbers."""
    named = {c: table[c].map(lambda v: f"{v:g}" if isinstance(v, (int, float)) else str(v)) for c in columns if c}
    return table.assign(**named), *columns


def _levels(table, column):
    return list(dict.fromkeys(table[column])) if column else None


def _interval(of: str) -> Callable:
    def ends(values):
        e = stats.mean(values, of)
        return (e.low, e.high) if math.isfinite(e.high - e.low) else (e.value, e.value)

    return ends


def _finish(axis, key, xlabel, ylabel, chance, part, a, b, upright=False):
    axis.margins(0.07)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if key and key not in (a, b):
        axis.set_title(key)
    for column, side in ((a, axis.xaxis), (b, axis.yaxis)):
        x = part[column]
        if len(part) and pd.api.types.is_numeric_dtype(x) and (x == x.round()).all() and np.ptp(x) >= 1:
            side.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if not len(part):
        axis.text(0.5, 0.5, "no values", ha="center", transform=axis.transAxes)
    _chance(axis, chance, upright)


def _of_panel(chance: Chance, key: str, cases) -> Chance:
    """A panel's own level, where levels are given by panel."""
    return chance.get(key) if isinstance(chance, Mapping) and set(chance) & {case[-1] for case in cases} else chance


def _chance(axis, chance: Chance, upright: bool = False) -> None:
    levels = {} if chance is None else dict(chance) if isinstance(chance, Mapping) else {"chance": chance}
    for (name, level), dashes in zip(levels.items(), ("--", ":", "-."), strict=False):
        if level is not None and math.isfinite(level):
            (axis.axvline if upright else axis.axhline)(level, color="0.35", ls=dashes, lw=1.5, label=name, zorder=1.5)


def _own_chance(groups) -> float | None:
    levels = {getattr(e, "chance", None) for v in groups.values() for e in v.values()}
    return levels.pop() if len(levels) == 1 else None


def _done(figure, cases, ax, title: str, text: list[str], chance: Chance):
    entries: dict[str, Any] = {}
    for axis, *_ in cases:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
        if axis.get_legend():
            axis.get_legend().remove()
    if entries:
        args = {"handles": list(entries.values()), "labels": list(entries), "title": title or None, "fontsize": "small"}
        if ax is None:
            wide = max(len(name) for name in entries) + 6
            figure.legend(**args, loc="outside lower center", ncols=max(1, min(len(entries), 80 // wide)))
        else:
            ax.legend(**args)
    level = "" if not isinstance(chance, (int, float)) else f"; chance {chance:.2f}"
    _described(figure, ". ".join(text) + level)
    return figure if ax is None else ax


def _described(figure, text: str):
    before = getattr(figure, "alt", "")
    figure.alt = f"{before} {text}.".strip()
    return figure


def _said_against(part, a, b, by, lines, key, labels) -> str:
    text = f"{labels.get(b, _words(b))} against {labels.get(a, _words(a))}" + f" ({key})" * bool(key and key != b)
    said = []
    for name, some in part.groupby(by, sort=False) if by else [("", part)]:
        means = some.groupby(a)[b].mean() if lines else some[[a, b]].mean()
        if len(some) and lines:
            begun, ended = (f"{means.iloc[k]:.2f} at {_number(means.index[k])}" for k in (0, -1))
            said.append(f"{name} from {begun} to {ended}")
        elif len(some):
            said.append(f"{name} means {means[b]:.2f} at {means[a]:.2f}")
    return f"{text}: {'; '.join(said) or 'no values'}".replace("  ", " ")


def _number(e) -> str:
    if isinstance(e, (str, int, np.integer)):
        return str(e)
    return str(e) if isinstance(e, stats.Estimate) else f"{float(e):.2f}" if math.isfinite(float(e)) else "missing"


def _words(column: str) -> str:
    return column.replace("_", " ")


def _wrapped(text, side: float) -> str:
    return "\n".join(textwrap.fill(line, max(6, int(side * 13))) for line in str(text).split("\n"))


def _head(words: Sequence[str]) -> float:
    return 0.06 + 0.18 * max([w.count("\n") + 1 for w in words if w], default=0)


def in_words(values, digits: int = 2) -> str:
    """Numbers by name as a sentence says them: `a 0.12, b 0.34`. For the descriptions of pictures."""
    items = values.items() if hasattr(values, "items") else enumerate(values, 1)
    names = ((" ".join(map(str, k)) if isinstance(k, tuple) else k, v) for k, v in items)
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in names)


def slider(run, draw: Callable, values: Iterable, name: str, *, label: str, alt: str) -> None:
    """`draw(axis, value)` for each of a few values: under a slider in JupyterLab, side by side in a report."""
    values = list(values)
    if run.folder is None:
        choice = ipywidgets.SelectionSlider(options=values, value=values[len(values) // 2], description=label)
        ipywidgets.interact(lambda value: _alone(draw, value), value=choice)
        return
    figure, axes = grid(1, len(values), side=min(2.6, WIDE / len(values)))
    for axis, value in zip(axes.flat, values, strict=True):
        draw(axis, value)
    run.figure(figure, name, alt=alt)


def _alone(draw: Callable, value) -> None:
    figure, axes = grid(1, 1, side=4.0)
    draw(axes[0, 0], value)
    plt.show()
