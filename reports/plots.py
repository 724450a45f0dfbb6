"""The geometry of a comparison's plots: where lines, whiskers, ticks and shades go. The template draws them as SVG."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator

from . import said
from .found import key, number
from .sweeps import Point, Sweep

WIDE, HIGH = 480, 250  # of the drawing; it scales with the page
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 46
ORDERS = 100  # numbers above 0 that differ by more than this get a logarithmic axis


def line(swept: Sweep, metric: str, points: Sequence[Point | None]) -> dict[str, Any]:
    """A metric over the one swept parameter: a mark for each setting with its interval, seeds as small dots.

    Numbers are joined by a line; words are not.
    """
    values = [setting[0] for setting in swept.settings]
    numbers = [number(value) for value in values]
    scale, kind = _along(numbers)
    there = [(x, value, one) for x, value, one in zip(scale, values, points, strict=True) if one]
    low, high, ticks = _up([one for _, _, one in there])

    def y(value: float | None) -> float | None:
        return None if value is None else round(TOP + (HIGH - TOP - BOTTOM) * (high - value) / (high - low), 1)

    marks: list[dict[str, Any]] = [
        {"x": x, "y": y(one.measure.value), "low": y(one.measure.low), "high": y(one.measure.high)}
        | {"said": f"{said.show(value)}: {interval(one)}"}
        | {"seeds": [y(v) for v in one.values] if len(one.values) > 1 else []}
        for x, value, one in there
    ]
    chances = {one.measure.chance for _, _, one in there}
    chance = chances.pop() if len(chances) == 1 else None
    every_nth = math.ceil(len(there) / 8)
    return {
        "metric": metric,
        "parameter": swept.parameters[0],
        "marks": marks,
        "joined": kind != "words" and len(marks) > 1,
        "logarithmic": kind == "logarithmic",
        "ticks": [{"y": y(tick), "said": f"{tick:.6g}"} for tick in ticks],
        "names": [{"x": x, "said": _short(value)} for x, value, _ in there[::every_nth]],
        "chance": y(chance),
        "rests": rests(points),
        "alt": f"{metric} by {swept.parameters[0]}: {'; '.join(mark['said'] for mark in marks)}.",
    }


def heat(swept: Sweep, metric: str, points: Sequence[Point | None]) -> dict[str, Any]:
    """A metric over the two swept parameters: rows, columns, and cells with a shade from 0 to 1."""
    found = {
        (key(setting[0]), key(setting[1])): one for setting, one in zip(swept.settings, points, strict=True) if one
    }
    means = [one.measure.value or 0 for one in found.values()]
    low, wide = min(means), (max(means) - min(means)) or 1

    def cell(row: Any, column: Any) -> dict[str, Any] | None:
        if not (one := found.get((key(row), key(column)))):
            return None
        return {"said": interval(one), "shade": round(((one.measure.value or 0) - low) / wide, 3)}

    rows, columns = swept.values(0), swept.values(1)
    return {
        "metric": metric,
        "parameters": swept.parameters,
        "columns": columns,
        "rows": [{"value": row, "cells": [cell(row, column) for column in columns]} for row in rows],
        "rests": rests(points),
    }


def interval(point: Point) -> str:
    """`0.84 [0.79, 0.87]`, or the number alone."""
    one = point.measure
    return said.show(one.value) + (f" [{said.show(one.low)}, {said.show(one.high)}]" if _sure(point) else "")


def rests(points: Sequence[Point | None]) -> str:
    """What the intervals of a plot are over, in a few words."""
    sure = [one.rests for one in points if one and _sure(one)]
    kinds = list(dict.fromkeys(sure))
    few = sum(1 for one in points if one and not _sure(one))
    text = f"95 % intervals over {', '.join(kinds[:3])}" if kinds else "no intervals"
    return text + (f"; {few} without one" if few and kinds else "")


def _sure(point: Point) -> bool:
    return point.measure.low is not None and point.measure.high is not None


def _along(numbers: list[float | None]) -> tuple[list[float], str]:
    """Where settings stand from left to right: by their size when they are numbers, else side by side."""
    wide = WIDE - LEFT - RIGHT - 30
    known = [n for n in numbers if n is not None]
    if len(known) < len(numbers) or len(set(known)) < 2:
        return [round(LEFT + 15 + wide * (i + 0.5) / len(numbers), 1) for i in range(len(numbers))], "words"
    logarithmic = min(known) > 0 and max(known) / min(known) > ORDERS
    sizes = [math.log(n) if logarithmic else n for n in known]
    low, high = min(sizes), max(sizes)
    return [round(LEFT + 15 + wide * (n - low) / (high - low), 1) for n in sizes], (
        "logarithmic" if logarithmic else "linear"
    )


def _up(points: list[Point]) -> tuple[float, float, list[float]]:
    """The axis upwards: its ends and ticks, with room for intervals, seeds and chance."""
    all_ = [v for one in points for v in (*one.values, one.measure.low, one.measure.high, one.measure.chance)]
    shown = [v for v in all_ if v is not None]
    ticks = [float(t) for t in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(min(shown), max(shown))]
    return ticks[0], ticks[-1], ticks


def _short(value: Any) -> str:
    text = said.show(value)
    text = text.rstrip("/").rpartition("/")[2] or text  # of a path its end
    return text if len(text) < 13 else f"{text[:11]}…"
