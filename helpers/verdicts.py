"""Verdicts: a statement holds, does not hold, or cannot be told; one at a time, every one of them, or some."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

Answers = Sequence[bool | None]


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
    return _joined(verdicts, None, _all)


def some(verdicts: Mapping[str, Verdict] | Sequence[Verdict]) -> Verdict:
    """At least one of them: holds when one holds, does not when none does, else cannot tell. Corrected like `every`."""
    return _joined(verdicts, None, _any)


def _joined(
    verdicts: Mapping[str, Verdict] | Sequence[Verdict], level: float | None, decide: Callable[[Answers], bool | None]
) -> Verdict:
    """`level` is that of the whole; by default the strictest of the parts'."""
    named = list(verdicts.items()) if isinstance(verdicts, Mapping) else [("", v) for v in verdicts]
    if not named:
        return Verdict(None, "", "nothing to judge")
    k = sum(v._again is not None for _, v in named)
    level = level or max(v.level for _, v in named)
    each = 1 - (1 - level) / k if k > 1 else level
    judged = [(name, v._again(each) if v._again else v) for name, v in named]
    answers = [v.holds for _, v in judged]
    holds = decide(answers)
    yes, no, open_ = answers.count(True), answers.count(False), answers.count(None)
    why = f"{yes} of {len(answers)} {'holds' if yes == 1 else 'hold'}"
    why += f", {no} {'does' if no == 1 else 'do'} not" * (no > 0) + f", of {open_} it cannot tell" * (open_ > 0)
    reasons = dict.fromkeys(v.why for _, v in judged if v.holds is holds)
    why += f": {'; '.join(reasons)}" * (holds is not True)
    why += f" (each at {percent(each)}, corrected for their number)" * (k > 1)
    seen = "; ".join(f"{name} {v._brief or v.seen}".strip() for name, v in judged)
    return Verdict(holds, seen, why, level, (lambda level: _joined(verdicts, level, decide)) if k else None)


def _all(answers: Answers) -> bool | None:
    return False if False in answers else None if None in answers else True


def _any(answers: Answers) -> bool | None:
    return True if True in answers else None if None in answers else False


def percent(level: float) -> str:
    """0.95 as 95 %."""
    return f"{100 * level:.4g} %"
