"""Estimates with their intervals, and what may be said of them: the course's one vocabulary. scipy does the sums.

`mean(gains, of="trainings") > 0` is a Verdict: it holds, does not hold, or cannot tell. NaN and infinite values are
left out and counted. Values may be lists, arrays or tensors.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from .estimates import FEW, SAME, SMALL, Ends, Estimate
from .verdicts import Verdict, every, fact, some

__all__ = ["Estimate", "Verdict", "correlation", "difference", "every", "fact", "mean", "median"]
__all__ += ["paired", "share", "some"]

OPEN = (-math.inf, math.inf)
RESAMPLES = 1000  # more beyond 98 %, so that ten lie beyond either end
ROUNDING = 1e-6  # a spread below this part of the values' size is float32's rounding


def mean(x: Any, of: str = "pictures", chance: float | None = None) -> Estimate:
    """Mean of the finite values: Student's t for a SMALL kind, of which it needs three; else bootstrap percentiles."""
    return _average(_numbers(x), of, chance, np.mean)


def median(x: Any, of: str = "pictures", chance: float | None = None) -> Estimate:
    """Median of the finite values, with bootstrap percentiles."""
    return _average(_numbers(x), of, chance, np.median)


def paired(a: Any, b: Any, of: str = "pictures") -> Estimate:
    """Mean of a - b over pairs, as `mean` takes it. Raises ValueError when they are not pairs."""
    a, b, undefined = _pairs(a, b)
    size = max(abs(a).max(initial=0), abs(b).max(initial=0))
    return replace(_average(a - b, of, None, np.mean, size), undefined=undefined, signed=True)


def share(k: float, n: int, of: str = "pictures", chance: float | None = None) -> Estimate:
    """k of n, with Wilson's interval. Raises ValueError when k is no whole number from 0 to n."""
    if k != int(k) or n != int(n) or not 0 <= k <= n:
        raise ValueError(f"share: {k} of {n}; the first needs to be a whole number from 0 to the second")
    k, n = int(k), int(n)
    return _estimate(k / n if n else math.nan, n, of, partial(_wilson, k, n), few=n < 1, chance=chance)


def correlation(x: Any, y: Any, of: str = "pictures", method: str = "pearson") -> Estimate:
    """Pearson's r with Fisher's interval, or (method="spearman") rank correlation with a bootstrap over pairs.

    Undefined for fewer than four pairs or a side without spread. Raises ValueError when they are not pairs.
    """
    if method not in ("pearson", "spearman"):
        raise ValueError(f"method is {method!r}; expected pearson or spearman")
    x, y, undefined = _pairs(x, y)
    few, same = len(x) < 4, _same(x) or _same(y)
    r, ends = _r, partial(_fisher, x, y)
    if method == "spearman":
        r, ends = _rank_r, partial(_bootstrap, (x, y), _rank_r)
    value = math.nan if few or same else r(x, y)
    return _estimate(value, len(x), of, ends, few=few, same=same, undefined=undefined)


def difference(a: Any, b: Any, of: str = "pictures") -> Estimate:
    """mean(a) - mean(b) of two independent groups, with Welch's interval; n counts both groups."""
    (a, left_a), (b, left_b) = _finite(_numbers(a)), _finite(_numbers(b))
    few = min(len(a), len(b)) < (3 if of in SMALL else 2)
    value = a.mean() - b.mean() if len(a) and len(b) else math.nan
    same = _same(a) and _same(b)
    more = {"undefined": left_a + left_b, "signed": True}
    return _estimate(value, len(a) + len(b), of, partial(_welch, a, b), few=few, same=same, **more)


def _average(x: np.ndarray, of: str, chance: float | None, statistic: Callable[..., Any], size: float = 0) -> Estimate:
    """`size`: that of the numbers that `x` was computed from, where it was."""
    x, undefined = _finite(x)
    by_t = of in SMALL and statistic is np.mean
    few, same = len(x) < (3 if of in SMALL else 2), _same(x, size)
    value = statistic(x) if len(x) else math.nan
    ends: Callable[[float], Ends] = partial(_t, x) if by_t else partial(_bootstrap, (x,), statistic)
    if same and not by_t:
        ends, same = partial(_point, float(value)), False
    return _estimate(value, len(x), of, ends, few=few, same=same, chance=chance, undefined=undefined)


def _estimate(
    value: float, n: int, of: str, ends: Callable[[float], Ends], *, few: bool, same: bool = False, **more: Any
) -> Estimate:
    if more.get("chance") is not None:
        more["chance"] = float(more["chance"])
    if few or same or (of in SMALL and n < 3):
        return Estimate(float(value), *OPEN, n, of, _interval=_open, _lack=FEW if few or not same else SAME, **more)
    low, high = ends(0.95)
    return Estimate(float(value), low, high, n, of, _interval=ends, **more)


def _open(level: float) -> Ends:
    return OPEN


def _point(value: float, level: float) -> Ends:
    return value, value


def _t(x: np.ndarray, level: float) -> Ends:
    return _ends(stats.ttest_1samp(x, 0).confidence_interval(level))


def _welch(a: np.ndarray, b: np.ndarray, level: float) -> Ends:
    return _ends(stats.ttest_ind(a, b, equal_var=False).confidence_interval(level))


def _wilson(k: int, n: int, level: float) -> Ends:
    return _ends(stats.binomtest(k, n).proportion_ci(level, "wilson"))


def _fisher(x: np.ndarray, y: np.ndarray, level: float) -> Ends:
    return _ends(stats.pearsonr(x, y).confidence_interval(level))


def _bootstrap(samples: tuple[np.ndarray, ...], statistic: Callable[..., Any], level: float) -> Ends:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # resamples without spread: the interval is NaN then, and is not used
        drawn = stats.bootstrap(
            samples,
            statistic,
            paired=len(samples) > 1,
            vectorized=True,
            method="percentile",
            confidence_level=level,
            n_resamples=max(RESAMPLES, math.ceil(20 / (1 - level) - 1e-6)),
            batch=max(1, 2_000_000 // len(samples[0])),
            rng=np.random.default_rng(0),
        )
    return _ends(drawn.confidence_interval)


def _ends(interval: Any) -> Ends:
    low, high = float(interval.low), float(interval.high)
    return OPEN if math.isnan(low) or math.isnan(high) else (low, high)


def _r(x: np.ndarray, y: np.ndarray, axis: int = -1) -> Any:
    return stats.pearsonr(x, y, axis=axis).statistic


def _rank_r(x: np.ndarray, y: np.ndarray, axis: int = -1) -> Any:
    return _r(stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis), axis)


def _numbers(x: Any) -> np.ndarray:
    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, float)


def _finite(x: np.ndarray) -> tuple[np.ndarray, int]:
    kept = x[np.isfinite(x)]
    return kept, x.size - kept.size


def _pairs(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray, int]:
    a, b = _numbers(a), _numbers(b)
    if a.shape != b.shape:
        raise ValueError(f"pairs are needed, but one side has shape {a.shape} and the other {b.shape}")
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both], int((~both).sum())


def _same(x: np.ndarray, size: float = 0) -> bool:
    return x.size > 0 and bool(np.ptp(x) <= ROUNDING * max(size, abs(x).max()))
