"""A face as a chart: each region of a drawn face in the colour of its number, so that one sees where a model looks.

The drawing is the embedded faces' own geometry with every chance at its middle: upright, frontal, symmetric, nobody.
Regions are named as in CelebAMask-HQ; numbers of other regions are listed without a drawing.
"""

from collections.abc import Mapping, Sequence
from math import isnan

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Rectangle

from .face_paint import REGIONS
from .prototype_face import outlines

NAMES = {
    "eye_g": "glasses", "mouth": "inner mouth", "u_lip": "upper lip", "l_lip": "lower lip", "ear_r": "earrings",
    "neck_l": "necklace", "cloth": "clothes", "l_eye": "left eye", "r_eye": "right eye", "l_brow": "left brow",
    "r_brow": "right brow", "l_ear": "left ear", "r_ear": "right ear",
}  # fmt: skip
WORN = ("hat", "eye_g")  # on a head of their own: they would hide hair, brows and eyes
INK, SOFT, GREY, PALE, ABSENT, GOLD = "#2f3640", "#6b727c", "#8a8f98", "#f7f7f8", "#dcdde0", "#f5b301"
LEFT, TOP, WIDE, TALL = -1.42, -1.72, 2.84, 3.7  # the card behind a head, in face units


def human(region: str) -> str:
    """A region's name for people: l_eye is the person's own left eye, on the viewer's right."""
    return NAMES.get(region, str(region).replace("_", " "))


# --- the drawing ------------------------------------------------------------------------------------------------------


def portrait(axes: Axes, worn: bool, colours: Mapping, marks: Sequence[str] = (), pen: float = 1.0) -> None:
    """One head on its card; regions without a colour in `colours` stay pale, those whose colour is None are hatched.

    `worn`: with hat and glasses. What is drawn of a region has its `human` name as gid, by which it can be clicked.
    """
    axes.set(xlim=(LEFT - 0.06, LEFT + WIDE + 0.06), ylim=(TOP + TALL + 0.06, TOP - 0.06), aspect="equal")
    axes.set_axis_off()
    box = (LEFT + 0.2, TOP + 0.2), WIDE - 0.4, TALL - 0.4
    card = FancyBboxPatch(*box, boxstyle="round,pad=0.2,rounding_size=0.3")
    shapes = {"background": card} | {region: PathPatch(path) for region, path in outlines(worn).items()}
    # artists, for no patch moves the limits, and to ask each of them takes as long as to draw it
    shown = {region: colour for region, colour in colours.items() if (region in WORN) == worn}
    for order, (region, shape) in enumerate(shapes.items()):
        pale, path, marked = PALE if order == 0 else "white", shape.get_path(), region in marks and region in shown
        dark, above = region in shown or not worn, order + 20 * (worn and region in shown)
        shape.set(
            label=region,
            gid=human(region),
            fc=shown.get(region, pale) or ABSENT,
            ec=INK if dark else GREY,
            joinstyle="round",
        )
        axes.add_artist(shape).set(zorder=above, lw=pen * (1.5 if marked else 1))
        if marked:  # a wide line that covers none but the five largest, so that every colour can be seen
            line = PathPatch(path, fc="none", ec=GOLD, lw=6 * pen, joinstyle="round", zorder=min(order, 5) - 0.5)
            axes.add_artist(line).set_label(f"mark {region}")
        if region in shown and shown[region] is None:
            axes.add_artist(PathPatch(path, fc="none", ec=GREY, lw=0, hatch="/////", zorder=above + 0.2))
    for eye in (np.asarray(outlines(worn)[name].vertices) for name in ("l_eye", "r_eye")):
        y = (eye[:, 1].min() + eye[:, 1].max()) / 2
        lid = eye[eye[:, 1] < y - 0.04, 0]  # without the lashes, which reach to one side
        x = (lid.min() + lid.max()) / 2
        axes.add_artist(Circle((x, y), 0.055, fc=INK, lw=0, zorder=50))
        axes.add_artist(Circle((x + 0.02, y - 0.02), 0.017, fc="white", lw=0, zorder=50))
    for patch in axes.patches:
        if patch.get_zorder() > 0:
            patch.set_clip_path(card)
    edge = FancyBboxPatch(*box, boxstyle=card.get_boxstyle(), fc="none", ec=card.get_edgecolor(), lw=pen, zorder=51)
    axes.add_artist(edge)


# --- the numbers ------------------------------------------------------------------------------------------------------


def ranked(values: Mapping[str, float]) -> list[tuple[int | None, str, float]]:
    """(rank, region, value), highest first; equal values share the better rank, NaN comes last and has none."""
    present = [v for v in values.values() if not isnan(v)]
    rows = [(None if isnan(v) else 1 + sum(u > v for u in present), region, v) for region, v in values.items()]
    return sorted(rows, key=lambda row: (row[0] is None, row[0]))


class Scale:
    """Colours from the lowest number (blue) to the highest (red); the middle one where all are equal."""

    def __init__(self, values: Mapping[str, float]):
        numbers = [v for v in values.values() if not isnan(v)]
        self.low, self.high = (min(numbers), max(numbers)) if numbers else (np.nan, np.nan)
        self.colours = {region: None if isnan(v) else self.colour(v) for region, v in values.items()}

    def colour(self, value: float) -> str:
        span = self.high - self.low
        return to_hex(mpl.colormaps["coolwarm"]((value - self.low) / span if span > 0 else 0.5))

    def bar(self, axes: Axes, size: float) -> None:
        """The colours with the raw range at their ends: a flat profile must not look dramatic."""
        ramp = np.linspace(0, 1, 256)[None] if self.high > self.low else [[0.5]]
        axes.imshow(ramp, cmap="coolwarm", vmin=0, vmax=1, aspect="auto", extent=(0, 1, 0, 1))
        axes.set_axis_off()
        for x, side, value in ((0, "right", self.low), (1, "left", self.high)):
            text, gap = "–" if isnan(value) else f"{value:.3f}", (10 * x - 5, 0)
            axes.annotate(text, (x, 0.5), gap, textcoords="offset points", ha=side, va="center_baseline", fontsize=size)


def _list(axes, values, scale, marks, width, counts=(), label="", size=9):
    """A row per region: rank, name, bar, number and in how many images it was; `axes` count in inches and rows."""
    rows, zero, end = ranked(values), np.fmin(0, scale.low), np.fmax(0, scale.high)
    name, number = 0.28, width - (0.55 if counts else 0.0)
    bar = min(name + 0.25 + 0.0085 * size * max(len(human(r)) for r in values), 0.6 * width)
    inch = (number - 0.5 - bar) / ((end - zero) or 1)
    axes.set(xlim=(0, width), ylim=(len(rows) - 0.5, -1.5))
    axes.set_axis_off()
    for y, (rank, region, value) in enumerate(rows):
        bold = dict(fontsize=size, va="center_baseline", weight="bold" if region in marks else "normal")
        ink = INK if rank else GREY
        if region in marks:
            axes.add_patch(Rectangle((0, y - 0.48), width, 0.96, fc=GOLD, alpha=0.28, lw=0))
        axes.text(0.2, y, rank or "–", ha="right", color=SOFT, **bold | {"weight": "normal"})
        axes.text(name, y, shorten(human(region), size, bar - name), color=ink, label=f"name {region}", **bold)
        if rank:
            left = bar + (min(0, value) - zero) * inch
            fill = Rectangle((left, y - 0.26), abs(value) * inch, 0.52, fc=scale.colours[region], ec=INK, lw=0.4)
            fill.set_label(f"bar {region}")
            axes.add_patch(fill)
        axes.text(number, y, f"{value:.3f}" if rank else "absent", ha="right", color=ink, **bold)
        if counts and region in counts:
            axes.text(width, y, f"{counts[region]:,}", ha="right", color=SOFT, **bold | {"weight": "normal"})
    for x, text in ((number, label), (width, "images" if counts else "")):
        axes.text(x, -1, text, ha="right", color=SOFT, fontsize=size - 1, va="center_baseline")


def shorten(text: str, size: float, width: float) -> str:
    """As much of the text as `width` inches hold in letters of `size` points."""
    fits = max(4, int(width / (0.0085 * size)))
    return text if len(text) <= fits else text[: fits - 1] + "…"


# --- the figures ------------------------------------------------------------------------------------------------------


def prototype(
    values: Mapping[str, float],
    counts: Mapping[str, int] | None = None,
    *,
    title: str = "",
    mark: Sequence[str] = (),
) -> Figure:
    """The numbers of one model as a picture: a face, a head with hat and glasses, and all numbers, highest first.

    Colours run from the lowest to the highest number. A region that is NaN is hatched; so is one of the 19 that is
    missing, unless `values` has names of another protocol: then only what it names is coloured and listed.
    `counts` is in how many images each region was. Raises ValueError for no values or a `mark` that is none of them.
    """
    values = _complete(values, mark)
    counts = {} if counts is None else dict(counts)
    scale, drawn, rows = Scale(values), bool(set(values) & set(REGIONS)), 0.225 * (len(values) + 1)
    wide, left, head = 10.0 if drawn else 5.5, 6.05 if drawn else 0.1, 0.7 if title else 0.35
    tall = head + 0.1 + max(rows, 4.4 if drawn else 0.0)
    figure = plt.figure(figsize=(wide, tall), layout="none")
    place, first = _placer(figure), ", ".join(shorten(human(region), 9, 2.0) for _, region in _most(values))
    _say(figure, 0.1, 0.08, shorten(title, 13, wide - 0.1), 13, weight="bold")
    most = f"Highest IoR: {first}" if first else "No region has a higher IoR than another"
    _say(figure, 0.1, head - 0.27, most, 10.5)
    if drawn:
        for worn, x in ((False, 0.05), (True, 3.0)):
            portrait(place(x, head, 2.9, 3.75), worn, scale.colours, mark, 1.1)
        scale.bar(place(1.9, head + 3.93, 2.2, 0.13), 9)
        _key(figure, 3.0, head + 4.17, "IoR", bool(mark), any(isnan(v) for v in values.values()))
    width = wide - left - 0.1
    _list(place(left, head, width, rows), values, scale, mark, width, counts, "IoR")
    return figure


def prototypes(
    profiles: Mapping[str, Mapping[str, float]],
    *,
    columns: int = 4,
    mark: Mapping[str, Sequence[str]] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Figure:
    """The profiles of several models side by side, each with colours and a range of its own.

    `mark` has the regions to outline of each profile, `notes` its second line, both by the profile's name.
    Raises ValueError for no profiles or a marked region that its profile does not have.
    """
    mark, notes = mark or {}, notes or {}
    if not profiles:
        raise ValueError("profiles is empty; there is nothing to draw")
    columns = min(columns, len(profiles))
    cell, top = min(10 / columns, 2.5), 0.5 if notes else 0.3
    tall = top + cell * 0.79 + 0.36
    figure = plt.figure(figsize=(columns * cell, -(-len(profiles) // columns) * tall + 0.25), layout="none")
    place, absent = _placer(figure), False
    for i, (name, profile) in enumerate(profiles.items()):
        marks = mark.get(name, ())
        values = _complete(profile, marks)
        scale, x, y = Scale(values), i % columns * cell, i // columns * tall
        absent |= any(isnan(v) for v in values.values())
        for text, down, letters, weight in ((name, 0.05, 10, "bold"), (notes.get(name, ""), 0.25, 8.5, "normal")):
            text = shorten(str(text), letters, cell - 0.1)
            _say(figure, x + 0.06, y + down, text, letters, weight=weight)
        if set(values) & set(REGIONS):
            face, other = (x + 0.03, y + top, 0.6, 0.775), (x + 0.64 * cell, y + top + 0.325 * cell, 0.345, 0.4456)
            for worn, (at, down, *size), pen in ((False, face, 0.7), (True, other, 0.5)):
                portrait(place(at, down, *(cell * k for k in size)), worn, scale.colours, marks, pen)
            for k, (rank, region) in enumerate(_most(values)):
                text = shorten(f"{rank} {human(region)}", 7.5, 0.36 * cell)
                weight = "bold" if region in marks else "normal"
                _say(figure, x + 0.65 * cell, y + top + 0.02 + 0.16 * k, text, 7.5, weight=weight)
        else:
            first, wide = {region: v for _, region, v in ranked(values)[:8]}, cell - 0.2
            _list(place(x + 0.06, y + top - 0.15, wide, 0.2 * (len(first) + 1)), first, scale, marks, wide, size=7.5)
        scale.bar(place(x + 0.3 * cell, y + tall - 0.31, 0.4 * cell, 0.09), 8)
    key = "each with its own range"
    _key(figure, columns * cell / 2, figure.get_figheight() - 0.22, key, any(mark.values()), absent)
    return figure


def _say(figure, x, y, text, size, **more):
    w, h = figure.get_size_inches()
    figure.text(x / w, 1 - y / h, text, **dict(fontsize=size, va="top", color=INK) | more)


def _key(figure, x, y, text, marked, absent):
    parts = [text, *["gold: marked"] * marked, *["hatched: absent"] * absent]
    _say(figure, x, y, "  ·  ".join(filter(None, parts)), 8.5, ha="center", color=SOFT)


def _complete(values, mark):
    values = {region: float(v) for region, v in dict(values).items()}
    if not values:
        raise ValueError("values is empty; a prototype needs a number for one region or more")
    if set(values) <= set(REGIONS):
        values = {region: values.get(region, np.nan) for region in REGIONS}
    if strange := [m for m in mark if m not in values]:
        raise ValueError(f"mark: {', '.join(strange)} is no region of this profile; it has {', '.join(values)}")
    return values


def _most(values) -> list[tuple[int, str]]:
    """The three highest regions and their ranks; none where all are the same."""
    first = [(rank, region) for rank, region, _ in ranked(values) if rank]
    return first[:3] if first and {rank for rank, _ in first} != {1} else []


def _placer(figure):
    """Axes by their left and upper edge and their size, all in inches from the figure's upper left corner."""
    w, h = figure.get_size_inches()
    return lambda x, y, wide, tall: figure.add_axes((x / w, 1 - (y + tall) / h, wide / w, tall / h))
