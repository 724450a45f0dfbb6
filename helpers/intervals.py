"""Means of a few networks or many pictures, with their uncertainty."""

import numpy as np
from scipy import stats


def t_interval(values) -> tuple[float, float, float]:
    """Mean of the finite values and its 95 % interval by Student's t; an open interval for fewer than three."""
    values = np.asarray(values, float)[np.isfinite(values)]
    if len(values) < 3:
        return values.mean() if len(values) else np.nan, -np.inf, np.inf
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), values.mean() - half, values.mean() + half


def said(low: float, high: float, digits: int = 2) -> str:
    """An interval in words."""
    if not np.isfinite(low):
        return "too few for an interval"
    return f"95 % interval {low:.{digits}f} to {high:.{digits}f}"


def verdict(low: float, high: float) -> bool | None:
    """Whether a gain is one: True above 0, False below, None when 0 is in its interval or nothing varied."""
    if low == high:
        return None  # three trainings that differ by the same one picture of 400 are no certainty
    return True if low > 0 else False if high < 0 else None
