"""Estimates with their intervals, and what may be said of them: the course's one vocabulary. scipy does the sums.

`mean(gains, of="trainings") > 0` is a Verdict: it holds, does not hold, or cannot tell. NaN and infinite values are
left out and counted. Values may be lists, arrays or tensors.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from .estimates import FEW, SAME, SMALL, Estimate, Verdict, every, fact, some

__all__ = ["Estimate", "Verdict", "correlation", "difference", "every", "fact", "mean", "median", "numbers"]
__all__ += ["paired", "share", "some"]

ENOUGH = 8  # a bootstrap's 95 % interval is too narrow for few values: 88 % of those of eight are right, 75 % of three
RESAMPLES = 1000  # more beyond 98 %, so that ten lie beyond either end
ROUNDING = 1e-6  # a spread below this part of the values' size is float32's rounding


def mean(x: Any, of: str = "pictures", chance: float | None = None) -> Estimate:
    """Mean of the finite values, by bootstrap; by Student's t, which needs three, for a SMALL kind or fewer than 8."""
    return _average(numbers(x), of, np.mean, chance=chance)


def median(x: Any, of: str = "pictures", chance: float | None = None) -> Estimate:
    """Median of the finite values, by bootstrap; by order statistics, which need six, for fewer than 8."""
    return _average(numbers(x), of, np.median, chance=chance)


def paired(a: Any, b: Any, of: str = "pictures") -> Estimate:
    """Mean of a - b over pairs, as `mean` takes it. Raises ValueError when they are not pairs."""
    a, b, undefined = _pairs(a, b)
    size = max(abs(a).max(initial=0), abs(b).max(initial=0))
    return replace(_average(a - b, of, np.mean, size), undefined=undefined, signed=True)


def difference(a: Any, b: Any, of: str = "pictures") -> Estimate:
    """mean(a) - mean(b) of two independent groups, with Welch's interval; n counts both groups."""
    (a, left_a), (b, left_b) = _finite(numbers(a)), _finite(numbers(b))
    few, same = min(len(a), len(b)) < (3 if of in SMALL else 2), _same(a) and _same(b)

    def welch(level: float) -> Any:
        return stats.ttest_ind(a, b, equal_var=False).confidence_interval(level)

    value, n = a.mean() - b.mean() if len(a) and len(b) else math.nan, len(a) + len(b)
    return _estimate(value, n, of, welch, few, same, undefined=left_a + left_b, signed=True)


def share(k: float, n: int, of: str = "pictures", chance: float | None = None) -> Estimate:
    """k of n, with Wilson's interval. Raises ValueError when k is no whole number from 0 to n."""
    if k != int(k) or n != int(n) or not 0 <= k <= n:
        raise ValueError(f"share: {k} of {n}; the first needs to be a whole number from 0 to the second")
    k, n = int(k), int(n)
    value, wilson = k / n if n else math.nan, lambda level: stats.binomtest(k, n).proportion_ci(level, "wilson")
    return _estimate(value, n, of, wilson, few=n < 1, chance=chance)


def correlation(x: Any, y: Any, of: str = "pictures", method: str = "pearson") -> Estimate:
    """Pearson's r with Fisher's interval, or (method="spearman") rank correlation, by bootstrap over 8 pairs or more.

    Undefined for fewer than three pairs (two lie on a line), or a side without spread. Raises ValueError when they are
    not pairs.
    """
    if method not in ("pearson", "spearman"):
        raise ValueError(f"method is {method!r}; expected pearson or spearman")
    x, y, undefined = _pairs(x, y)
    r, enough = (_r, 4) if method == "pearson" else (_rank_r, ENOUGH)
    same = _same(x) or _same(y)

    def interval(level: float) -> Any:
        return stats.pearsonr(x, y).confidence_interval(level) if r is _r else _bootstrap((x, y), r, level)

    value = math.nan if same or len(x) < 3 else r(x, y)
    return _estimate(value, len(x), of, interval, len(x) < enough, same, undefined=undefined)


def numbers(x: Any) -> np.ndarray:
    """A list, an array or a tensor as an array of floats."""
    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, float)


def _average(x: np.ndarray, of: str, statistic: Callable[..., Any], size: float = 0, **more: Any) -> Estimate:
    """`size`: that of the numbers that `x` was computed from, where it was."""
    x, undefined = _finite(x)

    def interval(level: float) -> Any:
        if statistic is np.mean and (of in SMALL or len(x) < ENOUGH):
            return stats.ttest_1samp(x, 0).confidence_interval(level)
        if len(x) < ENOUGH:
            return stats.quantile_test(x, p=0.5).confidence_interval(level)
        return _bootstrap((x,), statistic, level)

    value = statistic(x) if len(x) else math.nan
    return _estimate(value, len(x), of, interval, len(x) < 3, _same(x, size), undefined=undefined, **more)


def _estimate(
    value: float, n: int, of: str, interval: Callable[[float], Any], few: bool, same: bool = False, **more: Any
) -> Estimate:
    """`interval` gives scipy's at a level; there is none of `few` values, nor where they are all the `same`."""

    def ends(level: float) -> tuple[float, float]:
        if few or same or (of in SMALL and n < 3):
            return -math.inf, math.inf
        found = interval(level)
        low, high = float(found.low), float(found.high)
        return (-math.inf, math.inf) if math.isnan(low + high) else (low, high)

    more["chance"] = None if more.get("chance") is None else float(more["chance"])
    return Estimate(float(value), *ends(0.95), n, of, _interval=ends, _lack=FEW if few or not same else SAME, **more)


def _bootstrap(samples: tuple[np.ndarray, ...], statistic: Callable[..., Any], level: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # resamples without spread: the interval is NaN then, and is not used
        return stats.bootstrap(
            samples,
            statistic,
            paired=len(samples) > 1,
            vectorized=True,
            method="percentile",
            confidence_level=level,
            n_resamples=max(RESAMPLES, math.ceil(20 / (1 - level) - 1e-6)),
            batch=max(1, 2_000_000 // len(samples[0])),
            rng=np.random.default_rng(0),
        ).confidence_interval


def _r(x: np.ndarray, y: np.ndarray, axis: int = -1) -> Any:
    return stats.pearsonr(x, y, axis=axis).statistic


def _rank_r(x: np.ndarray, y: np.ndarray, axis: int = -1) -> Any:
    return _r(stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis), axis)


def _finite(x: np.ndarray) -> tuple[np.ndarray, int]:
    kept = x[np.isfinite(x)]
    return kept, x.size - kept.size


def _pairs(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray, int]:
    a, b = numbers(a), numbers(b)
    if a.shape != b.shape:
        raise ValueError(f"pairs are needed, but one side has shape {a.shape} and the other {b.shape}")
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both], int((~both).sum())


def _same(x: np.ndarray, size: float = 0) -> bool:
    return x.size > 0 and bool(np.ptp(x) <= ROUNDING * max(size, abs(x).max()))
