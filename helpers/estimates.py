"""An estimate: a number with its interval, what it rests on, how it is shown, and what its interval lets one say.

helpers/stats.py makes them from values.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .verdicts import Verdict, percent

Ends = tuple[float, float]
SMALL = {"trainings", "networks", "draws"}  # a handful at best: nothing is said of fewer than three
FEW, SAME = "too few for an interval", "nothing varied: no interval"


@dataclass(frozen=True)
class Estimate:
    """A number, its interval at `level`, and how many (`n`) of what (`of`) it rests on; shows itself in Jupyter.

    `undefined` counts the NaN and infinite values left out. Compare with a number to get a Verdict: `gain > 0`.
    """

    value: float
    low: float
    high: float
    n: int
    of: str
    undefined: int = 0
    chance: float | None = None
    level: float = 0.95
    signed: bool = field(default=False, repr=False)  # shown with its sign: a difference
    _interval: Callable[[float], Ends] | None = field(default=None, repr=False, compare=False)
    _lack: str = field(default=FEW, repr=False, compare=False)
    __array_ufunc__ = None  # so that `np.float64(0) < estimate` asks us

    def at(self, chance: float) -> "Estimate":
        """The same with its chance level."""
        return replace(self, chance=float(chance))

    def widened(self, level: float) -> "Estimate":
        """The same at another confidence level. Raises ValueError for one that was put together by hand."""
        if level == self.level:
            return self
        if self._interval is None:
            raise ValueError("this Estimate was put together by hand and has one interval; use mean(), share(), ...")
        low, high = self._interval(level)
        return replace(self, low=low, high=high, level=level)

    def __gt__(self, limit: float) -> Verdict:
        """Holds when the whole interval lies above `limit`, does not when all of it lies below; else cannot tell."""
        return self._side(_limit(limit), above=True)

    def __lt__(self, limit: float) -> Verdict:
        """Holds when the whole interval lies below `limit`, does not when all of it lies above; else cannot tell."""
        return self._side(_limit(limit), above=False)

    def near(self, x: float, within: float) -> Verdict:
        """As good as `x`, an equivalence test (TOST, at 1 - (1 - level) / 2): is the true value in x ± within?

        Holds when the whole interval lies inside x ± within, does not when all of it lies above or all below; else
        cannot tell. That the interval contains x decides nothing: a wide one contains much.
        """
        return self._judged(partial(_near, x=_limit(x), within=_width(within)))

    def contains(self, x: float, within: float) -> Verdict:
        """At `x`, a chance level say: holds when the interval contains x and is narrower than `within` in all.

        Does not hold when x is outside the interval; a wide interval around x cannot tell.
        """
        return self._judged(partial(_contains, x=_limit(x), within=_width(within)))

    def _side(self, limit: float, above: bool) -> Verdict:
        return self._judged(partial(_beyond, limit=limit, above=above))

    def _judged(self, rule: Callable[[float, float], tuple[bool | None, str]]) -> Verdict:
        holds, why = None, ""
        if self.of in SMALL and self.n < 3:
            why = f"rests on {_count(self.n, self.of)}; several are needed"
        elif not self._has_interval():
            why = self._lack
        elif not self.low < self.high:  # three trainings that differ by the same one picture of 400 are no certainty
            why = "its interval has no width, which is no certainty"
        else:
            holds, words = rule(self.low, self.high)
            why = f"its {percent(self.level)} interval {words}"
        return Verdict(holds, self.said(), why, self.level, lambda level: self.widened(level)._judged(rule), str(self))

    def _has_interval(self) -> bool:
        return all(map(math.isfinite, (self.value, self.low, self.high)))

    def __str__(self) -> str:
        if not self._has_interval():
            value = _shown([self.value], self.signed)[0] if math.isfinite(self.value) else "undefined"
            return f"{value}, {self._lack} ({_count(self.n, self.of)})"
        value, low, high = _shown([self.value, self.low, self.high], self.signed)
        return f"{value} [{low}, {high}]"

    def said(self) -> str:
        """All of it in a line: 0.94 [0.92, 0.96], 100 mosaics, chance 0.50, 2 undefined."""
        parts = [str(self)] + [_count(self.n, self.of)] * self._has_interval()
        parts += [] if self.chance is None else [f"chance {_shown([self.chance])[0]}"]
        return ", ".join(parts + [f"{self.undefined} undefined"] * (self.undefined > 0))

    _repr_markdown_ = said

    def plain(self) -> dict[str, Any]:
        """As JSON knows it: what is not finite is None."""
        kept = {
            name: getattr(self, name) for name in ("value", "low", "high", "n", "of", "undefined", "chance", "level")
        }
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in kept.items()}


def _beyond(low: float, high: float, limit: float, above: bool) -> tuple[bool | None, str]:
    if low > limit or high < limit:
        return (low > limit) is above, f"lies {'above' if low > limit else 'below'} {limit:g}"
    return None, f"straddles {limit:g}"


def _near(low: float, high: float, x: float, within: float) -> tuple[bool | None, str]:
    if x - within < low and high < x + within:
        return True, f"lies within {x:g} ± {within:g}"
    if high < x - within or x + within < low:
        return False, f"lies outside {x:g} ± {within:g}"
    return None, f"lies neither within nor outside {x:g} ± {within:g}"


def _contains(low: float, high: float, x: float, within: float) -> tuple[bool | None, str]:
    if not low <= x <= high:
        return False, f"excludes {x:g}"
    if high - low < within:
        return True, f"contains {x:g} and is narrower than {within:g}"
    return None, f"contains {x:g} but is not narrower than {within:g}"


def _limit(x: Any) -> float:
    if isinstance(x, Estimate):
        raise TypeError("an estimate is compared with a number; for two of them judge paired(a, b) or difference(a, b)")
    return float(x)


def _width(within: float) -> float:
    if not within > 0:
        raise ValueError(f"within is {within}; it needs a width above 0")
    return float(within)


def _count(n: int, of: str) -> str:
    return f"{n} {of[:-1] if n == 1 and of.endswith('s') else of}"


def _shown(numbers: Sequence[float], signed: bool = False) -> list[str]:
    """With two to four decimals: so many that the ends are apart and nothing but 0 reads 0, else as 1.2e-05."""
    near = [abs(x) for x in numbers if x] or [1.0]
    apart = max(numbers) - min(numbers) or 1.0
    digits = next((d for d in (2, 3) if min(near) >= 10**-d / 2 and apart >= 2 * 10**-d), 4)
    return [_number(float(x), digits, signed) for x in numbers]


def _number(x: float, digits: int, signed: bool) -> str:
    if x == 0:
        return f"{0:.{digits}f}"
    form = ".1e" if round(x, digits) == 0 else f".{digits}f"
    return format(x, "+" * signed + form)
