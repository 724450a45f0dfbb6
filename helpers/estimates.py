"""An estimate, a number with its interval and what it rests on, and the verdicts that its interval allows.

helpers/stats.py makes estimates from values.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

Ends = tuple[float, float]
Answer = tuple[bool | None, str]  # holds or not, and in which words
SMALL = {"trainings", "networks", "draws"}  # a handful at best: nothing is said of fewer than three
FEW, SAME = "too few for an interval", "nothing varied: no interval"


@dataclass(frozen=True)
class Verdict:
    """What is seen of a statement and by what rule it `holds`; None: cannot tell. Ask `.holds` or `.word`."""

    holds: bool | None
    seen: str
    why: str
    level: float = field(default=0.95, repr=False)
    _again: "Callable[[float], Verdict] | None" = field(default=None, repr=False, compare=False)  # None: exact
    _brief: str = field(default="", repr=False, compare=False)

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict has three answers: use `.holds`, which may be None")

    @property
    def word(self) -> str:
        return {True: "holds", False: "does not hold", None: "cannot tell"}[self.holds]

    def _repr_markdown_(self) -> str:
        return f"**{self.word}**: {self.seen} ({self.why})"


def fact(holds: bool, seen: str, why: str) -> Verdict:
    """A statement that is exact and needs no interval: a count, an identity."""
    return Verdict(bool(holds), seen, why)


def every(verdicts: Mapping[str, Verdict] | Sequence[Verdict]) -> Verdict:
    """All of them at once, by name or in a row: holds when all hold, does not when one does not, else cannot tell.

    Each of the k that rest on an interval is judged again at level 1 - (1 - level) / k (Bonferroni).
    """
    return _joined(verdicts, None, decisive=False)


def some(verdicts: Mapping[str, Verdict] | Sequence[Verdict]) -> Verdict:
    """At least one of them: holds when one holds, does not when none does, else cannot tell. Corrected like `every`."""
    return _joined(verdicts, None, decisive=True)


def _joined(verdicts: Any, level: float | None, decisive: bool) -> Verdict:
    """One `decisive` answer settles it. `level` is that of the whole; by default the strictest of the parts'."""
    named = list(verdicts.items()) if isinstance(verdicts, Mapping) else [("", v) for v in verdicts]
    if not named:
        return Verdict(None, "", "nothing to judge")
    k = sum(v._again is not None for _, v in named)
    level = level or max(v.level for _, v in named)
    each = 1 - (1 - level) / max(1, k)
    judged = [(name, v._again(each) if v._again else v) for name, v in named]
    answers = [v.holds for _, v in judged]
    holds = decisive if decisive in answers else None if None in answers else not decisive
    yes, no, open_ = answers.count(True), answers.count(False), answers.count(None)
    why = f"{yes} of {len(answers)} {'holds' if yes == 1 else 'hold'}"
    reasons = "; ".join(dict.fromkeys(v.why for _, v in judged if v.holds is holds))
    why += f", {no} {'does' if no == 1 else 'do'} not" * (no > 0) + f" ({reasons})" * (holds is False)
    why += f", of {open_} it cannot tell" * (open_ > 0) + f": {reasons}" * (holds is None)
    why = reasons if len(answers) == 1 else why
    why += f" (each at {100 * each:.4g} %, corrected for their number)" * (k > 1)
    seen = "; ".join(f"{name} {v._brief or v.seen}".strip() for name, v in judged)
    return Verdict(holds, seen, why, level, (lambda level: _joined(verdicts, level, decisive)) if k else None)


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
        return self._inside(x := _number(limit), math.inf, f"lies above {x:g}", f"lies below {x:g}", f"includes {x:g}")

    def __lt__(self, limit: float) -> Verdict:
        """Holds when the whole interval lies below `limit`, does not when all of it lies above; else cannot tell."""
        x = _number(limit)
        return self._inside(-math.inf, x, f"lies below {x:g}", f"lies above {x:g}", f"includes {x:g}")

    def near(self, x: float, within: float) -> Verdict:
        """As good as `x`, an equivalence test (TOST, at 1 - (1 - level) / 2): is the true value in x ± within?

        Holds when the whole interval lies inside x ± within, does not when all of it lies above or all below; else
        cannot tell. That the interval contains x decides nothing: a wide one contains much.
        """
        x, room = _number(x, within), f"{x:g} ± {within:g}"
        neither = f"lies neither within nor outside {room}"
        return self._inside(x - within, x + within, f"lies within {room}", f"lies outside {room}", neither)

    def _inside(self, lowest: float, highest: float, yes: str, no: str, open_: str) -> Verdict:
        def rule(low: float, high: float) -> Answer:
            if lowest < low and high < highest:
                return True, yes
            return (False, no) if high < lowest or highest < low else (None, open_)

        return self._judged(rule)

    def contains(self, x: float, within: float) -> Verdict:
        """At `x`, a chance level say: holds when the interval contains x and is narrower than `within` in all.

        Does not hold when x is outside the interval; a wide interval around x cannot tell.
        """
        x = _number(x, within)

        def rule(low: float, high: float) -> Answer:
            if not low <= x <= high:
                return False, f"excludes {x:g}"
            narrow = high - low < within
            return narrow or None, f"contains {x:g} {'and is' if narrow else 'but is not'} narrower than {within:g}"

        return self._judged(rule)

    def _judged(self, rule: Callable[[float, float], Answer]) -> Verdict:
        holds = None
        if self.of in SMALL and self.n < 3:
            why = f"rests on {self._count()}; several are needed"
        elif not self._has_interval():
            why = self._lack
        elif not self.low < self.high:  # three trainings that differ by the same one picture of 400 are no certainty
            why = "its interval has no width, which is no certainty"
        else:
            holds, words = rule(self.low, self.high)
            why = f"its {100 * self.level:.4g} % interval {words}"
        return Verdict(holds, self.said(), why, self.level, lambda level: self.widened(level)._judged(rule), str(self))

    def _has_interval(self) -> bool:
        return all(map(math.isfinite, (self.value, self.low, self.high)))

    def _count(self) -> str:
        return f"{self.n} {self.of[:-1] if self.n == 1 and self.of.endswith('s') else self.of}"

    def __str__(self) -> str:
        if not self._has_interval():
            value = _shown([self.value], self.signed)[0] if math.isfinite(self.value) else "undefined"
            return f"{value}, {self._lack} ({self._count()})"
        value, low, high = _shown([self.value, self.low, self.high], self.signed)
        return f"{value} [{low}, {high}]"

    def said(self) -> str:
        """All of it in a line: 0.94 [0.92, 0.96], 100 mosaics, chance 0.50, 2 undefined."""
        parts = [str(self)] + [self._count()] * self._has_interval()
        parts += [] if self.chance is None else [f"chance {_shown([self.chance])[0]}"]
        return ", ".join(parts + [f"{self.undefined} undefined"] * (self.undefined > 0))

    _repr_markdown_ = said

    def plain(self) -> dict[str, Any]:
        """As JSON knows it: what is not finite is None."""
        kept = {k: getattr(self, k) for k in ("value", "low", "high", "n", "of", "undefined", "chance", "level")}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in kept.items()}


def _number(x: Any, within: float = 1) -> float:
    if isinstance(x, Estimate):
        raise TypeError("an estimate is compared with a number; for two of them judge paired(a, b) or difference(a, b)")
    if not within > 0:
        raise ValueError(f"within is {within}; it needs a width above 0")
    return float(x)


def _shown(numbers: Sequence[float], signed: bool = False) -> list[str]:
    """With two to four decimals, or six of small ones: so that ends are apart and only 0 reads 0, else as 1.2e-07."""
    near, apart = [abs(x) for x in numbers if x] or [1.0], max(numbers) - min(numbers) or 1.0
    most = 4 if max(near) >= 0.1 else 6
    digits = next((d for d in range(2, most) if min(near) >= 10**-d / 2 and apart >= 2 * 10**-d), most)
    forms = [("+" if signed and x else "") + (".1e" if x and round(x, digits) == 0 else f".{digits}f") for x in numbers]
    return [format(float(abs(x) if x == 0 else x), form) for x, form in zip(numbers, forms, strict=True)]
