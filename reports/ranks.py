"""Which run is the best by a metric, and where that cannot be said: numbers that do not compare are not ranked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import said
from .found import Found, Measure

RULE = (
    "A run is marked best where its whole 95 % interval lies beyond those of all others that can be compared with it. "
    "Intervals that do not overlap are a stricter test than one at 5 %; where they overlap, the page says that it "
    "cannot tell. A number without an interval is never the best."
)


@dataclass(frozen=True)
class Ranking:
    """The best runs by a metric (one for each data set), and in a word and a line how sure that is."""

    word: str  # best | cannot tell | not ranked
    why: str
    best: frozenset[str] = field(default=frozenset())


def data_sets(found: Mapping[str, Found]) -> dict[frozenset[str], list[str]]:
    """The runs that read the same data, by its manifests."""
    groups: dict[frozenset[str], list[str]] = {}
    for label, run in found.items():
        groups.setdefault(run.data, []).append(label)
    return groups


def ranking(cells: Mapping[str, Measure], found: Mapping[str, Found]) -> Ranking:
    """The best of the runs by one metric, `cells` and `found` by the runs' labels.

    Compared are finished runs that read the same data, with one chance level and one better direction.
    """
    if all(one.better is None for one in cells.values()):
        return Ranking("not ranked", "neither higher nor lower is better")
    reasons = []
    sound = {label: one for label, one in cells.items() if one.value is not None and found[label].finished}
    if unknown := [label for label in sound if not found[label].data]:
        reasons.append(f"{_words(unknown)} noted no data")
    groups: dict[tuple, dict[str, Measure]] = {}
    for label, one in sound.items():
        if found[label].data:
            groups.setdefault((found[label].data, one.chance, one.better), {})[label] = one
    judged = [_best(group) for group in groups.values() if len(group) > 1]
    if len(groups) > 1:
        reasons.append(differences({*groups}))
    if not judged:
        return Ranking("not ranked", "; ".join(reasons) or "fewer than two finished runs have it")
    best = frozenset(label for one in judged for label in one.best)
    word = "best" if best else "cannot tell"
    return Ranking(word, "; ".join([one.why for one in judged] + reasons), best)


def differences(keys: set[tuple]) -> str:
    """Why (data, chance, better) that differ are not ranked together."""
    datas, chances, betters = (set(column) for column in zip(*keys, strict=True))
    parts = ["other data"] if len(datas) > 1 else []
    if len(chances) > 1:
        parts.append(f"other chance levels ({', '.join(said.show(one) for one in sorted(chances, key=str))})")
    parts += ["better is not the same direction"] if len(betters) > 1 else []
    return f"not compared: {' and '.join(parts)}"


def _best(group: dict[str, Measure]) -> Ranking:
    """The best of runs that can be compared."""
    if lacking := [label for label, one in group.items() if not one.certain]:
        whole = len(lacking) == len(group)
        return Ranking("cannot tell", "no intervals" if whole else f"no interval of {_words(lacking)}")
    sign = 1 if next(iter(group.values())).better == "higher" else -1
    order = sorted(group, key=lambda label: -sign * (group[label].value or 0))
    first, others = order[0], order[1:]
    if beside := [label for label in others if _overlap(group[first], group[label])]:
        verb = "overlaps" if len(beside) == 1 else "overlap"
        return Ranking("cannot tell", f"{_words(beside)} {verb} with {first}")
    return Ranking("best", f"{first} lies beyond {_words(others)}", frozenset([first]))


def _overlap(a: Measure, b: Measure) -> bool:
    assert None not in (a.low, a.high, b.low, b.high)
    return a.low <= b.high and b.low <= a.high  # type: ignore[operator]


def _words(labels: list[str]) -> str:
    shown = labels if len(labels) < 6 else [*labels[:4], f"{len(labels) - 4} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
