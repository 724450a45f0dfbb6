"""Charts that label themselves: values against values, boxes, bars, histograms. helpers/figures.py hands them on."""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.category import StrCategoryFormatter
from matplotlib.ticker import MaxNLocator, PercentFormatter

from . import stats
from .lettering import wrapped

PLAIN = {"figure.constrained_layout.use": True, "axes.formatter.useoffset": False}  # ticks that can be read alone
sns.set_theme(style="whitegrid", palette="colorblind", font_scale=1.05, rc=PLAIN)

WIDE, ALONE = 8.0, 6.5  # inches: of the widest figure whose text a phone can show, and of a single chart
HATCHES = ["", "//", "..", "xx"]
Chance = float | Mapping[str, float] | None  # a level, a level for each panel, or levels by what they are called
Names = Mapping[str, str] | None  # column -> words with unit and direction


def against(
    table: pd.DataFrame, x: str | list[str], y: str | list[str], by: str | None = None, style: str | None = None, *,
    chance: Chance = None, lines: bool = False, band: bool = True, of: str = "pictures", labels: Names = None,
    each: str | None = None,
) -> Any:  # fmt: skip
    """Points; or lines through the means, with the interval of `stats.mean(values, of)` as a band.

    A colour for each `by`, a marker for each `style`. Panels: a list as x or y, or one for each value of `each`.
    """

    def draw(axis, part, a, b, by, style, order):
        more = dict(hue=by, style=style or by, hue_order=order(by), style_order=order(style or by), ax=axis)
        if not lines:
            sns.scatterplot(part, x=a, y=b, s=80, **more)
            return f"means {in_words(part.groupby(by, sort=False)[b].mean() if by else {'': part[b].mean()})}"
        single = {"markers": True} if by or style else {"marker": "o"}
        sns.lineplot(
            part, x=a, y=b, errorbar=partial(_interval, of=of) if band else None, markersize=8, **more, **single
        )
        wide = band and part.groupby([c for c in {a, by, style} if c]).size().max() > 2
        if wide:
            axis.fill_between([], [], color="0.8", label="band: 95 % interval")
        ends = part[part[a].isin([part[a].min(), part[a].max()])]
        return f"first and last {in_words(ends.groupby([*([by] if by else []), a], sort=False)[b].mean())}"

    return _drawn(draw, table, x, y, by, style, each, labels, chance)


def spread(
    table: pd.DataFrame, x: str, y: str | list[str], by: str | None = None, *,
    chance: Chance = None, labels: Names = None, each: str | None = None,
) -> Any:  # fmt: skip
    """Box plots of y for each x (and `by`): median, middle half, whiskers up to 1.5 times as far, points beyond."""
    table = table.assign(**{x: table[x].map(str)})
    panels = not isinstance(y, str) or (each and table[each].nunique() > 1)
    lying = _long(table[x].unique(), WIDE / 2 if panels else ALONE)

    def draw(axis, part, a, b, by, style, order):
        more = dict(hue=by, hue_order=order(by), gap=0.1) if by else {"color": "C0"}
        ends = dict(x=b, y=a) if lying else dict(x=a, y=b)
        sns.boxplot(part, **ends, order=order(a), fliersize=3, ax=axis, **more)
        return f"medians {in_words(part.groupby([a, *([by] if by else [])], sort=False)[b].median())}"

    return _drawn(draw, table, x, y, by, None, each, labels, chance, lying)


def bars(values: Mapping[str, Any], chance: Chance = None, *, label: str, by: str = "", ax: Any = None) -> Any:
    """A bar for each name (or name -> group, which `by` heads), with an Estimate's interval; 0 and gaps are marked."""
    groups = {n: v if isinstance(v, Mapping) else {"": v} for n, v in values.items()}
    hues = list(dict.fromkeys(h for v in groups.values() for h in v))
    numbers = [[_three(v.get(h, math.nan)) for v in groups.values()] for h in hues]
    value, low, high = np.array(numbers, float).reshape(len(hues), len(groups), 3).transpose(2, 0, 1)
    reach = np.where(np.isfinite(high - low), np.stack([value - low, high - value]), np.nan).clip(0).swapaxes(0, 1)
    wide = ax.figure.get_figwidth() / ax.get_subplotspec().get_gridspec().ncols if ax is not None else ALONE
    lying, ranged = _long(values, wide), bool(np.isfinite(reach).any())
    size = (ALONE, 1.6 + 0.3 * value.size + 0.1 * len(groups) if lying else 3.8)
    figure, axis = _axis(ax, size)
    ends = np.stack([value, low, high])
    faint = 0.005 * abs(ends[np.isfinite(ends)]).max(initial=0)
    if value.size:
        look: dict[str, Any] = {"kind": "barh" if lying else "bar", "width": 0.8, "rot": 0}
        look |= {"xerr" if lying else "yerr": reach, "capsize": 3} if ranged else {}
        tall = np.where(abs(value) > faint, value, 0)  # a faint one's mark stands on the axis, not below on the names
        pd.DataFrame(tall.T, [wrapped(n, 2) for n in groups], hues).plot(ax=axis, legend=False, ec="white", **look)
    drawn = [c for c in axis.containers if hasattr(c, "patches")]
    for container, row, hatch in zip(drawn, value, HATCHES * len(hues), strict=False):
        marks = ["–" if math.isnan(v) else "" if abs(v) > faint else "0" if abs(v) < 1e-9 else f"{v:.1g}" for v in row]
        axis.bar_label(container, marks, padding=3)
        for patch in container:
            patch.set_hatch(hatch)
    if lying and not axis.yaxis_inverted():
        axis.invert_yaxis()
    axis.grid(False, axis="y" if lying else "x")
    (axis.set_xlabel if lying else axis.set_ylabel)(label + "\n(lines: 95 % interval)" * ranged)
    own = {getattr(e, "chance", None) for v in groups.values() for e in v.values()}
    level = chance if chance is not None or len(own) != 1 else own.pop()
    _chance(axis, level, lying)
    said = in_words({(n, h): e for n, v in groups.items() for h, e in v.items()})
    return _done(figure, ax, by, [f"bars of {label}: {said}"], level)


def histogram(
    series: Mapping[str, Any], bins: Any = 20, chance: Chance = None, *, label: str, of: str = "values", ax: Any = None
) -> Any:  # fmt: skip
    """The share of each series' finite values in each bin, in per cent, as steps over one another."""
    finite = {n: x[np.isfinite(x)] for n, x in ((n, stats.numbers(v).ravel()) for n, v in series.items())}
    figure, axis = _axis(ax, (ALONE, 3.8))
    said = {n: f"{n}, mean {x.mean():.2f}" if len(x) else f"{n}, no values" for n, x in finite.items()}
    edges = np.histogram_bin_edges(np.concatenate([*finite.values(), []]), bins)
    for j, (n, x) in enumerate(finite.items()):
        share, look = np.histogram(x, edges)[0] / max(1, len(x)), {"ls": ["-", "--", ":", "-."][j % 4], "lw": 2}
        axis.stairs(share, edges, fill=True, alpha=0.25, color=f"C{j}")
        axis.stairs(share, edges, color=f"C{j}", label=said[n], **look)
    axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    axis.set(xlabel=label, ylabel=f"share of {of} (%)")
    _chance(axis, chance, upright=True)
    return _done(figure, ax, "", [f"histograms of {label}: {'; '.join(said.values())}"], chance)


def _drawn(draw, table, x, y, by, style, each, labels, chance, lying=False):
    """A panel for each pair of x and y and each value of `each`: `draw` in it, its words, its chance, whole ticks."""
    words = {c: str(c).replace("_", " ") for c in table} | dict(labels or {})
    xs, ys = ([words[c] for c in ([v] if isinstance(v, str) else v)] for v in (x, y))
    named = table.assign(**{c: table[c].map(str) for c in {by, style} if c}).rename(columns=words)
    by, style, parts = words.get(by), words.get(style), [("", named)]
    if each:
        sign = f"{words[each]} " if pd.api.types.is_numeric_dtype(table[each]) else ""
        parts = [(f"{sign}{v}", part) for v, part in named.groupby(words[each], sort=False)] or parts
    cases = [(key or (a if len(xs) > 1 else b), part, a, b) for key, part in parts for a in xs for b in ys]
    levels = {words.get(k, k): v for k, v in chance.items()} if isinstance(chance, Mapping) else chance
    by_panel = isinstance(levels, Mapping) and set(levels) & {key for key, *_ in cases}
    rows, columns = math.ceil(len(cases) / 2), min(2, len(cases))
    size = (WIDE if columns > 1 else ALONE, 3.4 * rows + 0.6)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey=bool(each) and len(ys) == 1)
    text, order = [], lambda c: list(dict.fromkeys(named[c])) if c else None
    for axis, (key, part, a, b) in zip(axes.flat, cases, strict=False):
        part = part.dropna(subset=[a, b])
        said = draw(axis, part, a, b, by, style, order) if len(part) else "no values"
        if not len(part):
            axis.text(0.5, 0.5, said, ha="center", va="bottom", transform=axis.transAxes)
        axis.margins(0.07)
        axis.set(
            xlabel=b if lying else a, ylabel=a if lying else b, title=wrapped(key, size[0] / columns) if each else ""
        )
        for side, values in ((axis.xaxis, part[a]), (axis.yaxis, part[b])):
            if not lying and _whole(values):
                side.set_major_locator(MaxNLocator(8, integer=True))
            elif isinstance(side.get_major_formatter(), StrCategoryFormatter):
                side.set_ticks(side.get_majorticklocs(), [wrapped(t.get_text(), 2) for t in side.get_majorticklabels()])
        _chance(axis, levels.get(key) if by_panel else levels, lying)
        text.append(f"{b} against {a}{f' ({key})' if each else ''}: {said}")
    for axis in axes.flat[: len(cases)]:  # what hardly moves is shown as a level line
        (low, high), least = axis.get_ylim(), 0.001 * max(map(abs, axis.get_ylim()))
        if not lying and high - low < least:
            axis.set_ylim((low + high - least) / 2, (low + high + least) / 2)
    for axis in axes.flat[len(cases) :]:
        axis.set_axis_off()
    title = f"{by} (colour), {style} (marker)" if by and style and by != style else by or style or ""
    return _done(figure, None, title, text, chance, {by, style})


def _whole(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and bool((values % 1 == 0).all()) and values.nunique() > 1


def _axis(ax: Any, size: tuple[float, float]) -> tuple[Any, Any]:
    return (ax.figure, ax) if ax is not None else plt.subplots(figsize=size)


def _interval(values: Any, of: str) -> tuple[float, float]:
    e = stats.mean(values, of)
    return (e.low, e.high) if math.isfinite(e.high - e.low) else (e.value, e.value)


def _three(e) -> tuple[float, float, float]:
    return (e.value, e.low, e.high) if isinstance(e, stats.Estimate) else (float(e), math.nan, math.nan)


def _chance(axis, chance: Chance, upright: bool) -> None:
    for (name, level), dashes in zip(_levels(chance).items(), ("--", ":", "-."), strict=False):
        if math.isfinite(level):
            (axis.axvline if upright else axis.axhline)(level, color="0.35", ls=dashes, lw=1.5, label=name, zorder=1.5)


def _done(figure, ax, title: str, text: list[str], chance: Chance, headings=()):
    """One legend for all panels, below them; the description."""
    handles: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
        if axis.get_legend():
            axis.get_legend().remove()
    handles = {n: h for n, h in handles.items() if n not in headings}
    for legend in list(figure.legends):  # that of the panels before
        legend.remove()
    if handles:
        names = [wrapped(name, 4) for name in handles]
        columns = max(1, 72 // (max(len(line) for name in names for line in name.split("\n")) + 7))
        look = {"title": title or None, "fontsize": "small", "ncols": columns, "loc": "outside lower center"}
        figure.legend(list(handles.values()), names, **look)
    levels = _levels(chance)
    described(figure, "; ".join(text) + f"; {in_words(levels)}" * bool(levels))
    return figure if ax is None else ax


def _levels(chance: Chance) -> dict[str, float]:
    named = chance if isinstance(chance, Mapping) else {"chance": chance}
    return {name: level for name, level in named.items() if level is not None}


def described(figure, text: str):
    text = " ".join(text.split())
    figure.alt = f"{getattr(figure, 'alt', '')} {text[:1].upper()}{text[1:]}.".strip()
    return figure


def _long(names: Iterable, wide: float) -> bool:
    """Whether names do not stand side by side below an axis of that many inches."""
    lines = [max(map(len, f"{n} ".split("\n"))) for n in names]
    return max(lines, default=0) * len(lines) > 9 * wide


def in_words(values: Any, digits: int = 2) -> str:
    """Numbers or estimates by name as a sentence says them: `a 0.12, b 0.34 [0.30, 0.38]`. For describing pictures."""
    items = values.items() if hasattr(values, "items") else enumerate(values, 1)
    named = [(" ".join(str(k) for k in (n if isinstance(n, tuple) else (n,)) if k != ""), v) for n, v in items]

    def number(v: Any) -> str:
        return str(v) if isinstance(v, stats.Estimate) else f"{v:.{digits}f}" if math.isfinite(v) else "undefined"

    return ", ".join(f"{n} {number(v)}".strip() for n, v in named)
