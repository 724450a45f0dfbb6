"""What was swept over runs of one notebook: settings, their seeds as repeated values, and the best of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from helpers import stats
from helpers.estimates import Estimate

from .found import Found, Measure, key, number
from .ranks import differences

REPEATS = ("seed", "seeds")  # a setting is repeated by these; all other parameters make another setting
RULE = (
    "Seeds repeat a setting: its number is their mean, with Student's interval of at least three seeds. A setting is "
    "marked best where the 95 % intervals of its differences from each other setting, seed by seed where the seeds "
    "are the same, exclude 0, corrected for the number of settings. One seed alone keeps the interval of its run."
)


@dataclass(frozen=True)
class Point:
    """A metric at one setting: one run's number with its own interval, or the mean over seeds with theirs."""

    measure: Measure
    values: list[float]

    @property
    def rests(self) -> str:
        """What the interval is over."""
        if len(self.values) > 1:
            return f"{len(self.values)} seeds"
        return f"{self.measure.n} {self.measure.of}" if self.measure.n and self.measure.of else "one run"


@dataclass(frozen=True)
class Sweep:
    """The parameters that make a setting, the settings in order, and the runs of each by their seeds."""

    parameters: list[str]
    settings: list[tuple]  # the values of `parameters`
    runs: list[dict[str, Found]]  # for each setting: seed -> run

    @property
    def repeated(self) -> bool:
        return any(len(runs) > 1 for runs in self.runs)

    def values(self, place: int) -> list:
        """The values that one of the parameters takes, in order."""
        return list({key(one[place]): one[place] for one in self.settings}.values())


def differing(found: Sequence[Found]) -> list[str]:
    """The parameters that have not the same value in all runs, in the order of the newest run's."""
    names = list(dict.fromkeys(name for run in reversed(found) for name in run.parameters))
    return [name for name in names if len({key(run.parameters.get(name)) for run in found}) > 1]


def sweep(found: Sequence[Found]) -> Sweep | None:
    """The settings that finished runs of one notebook differ by; None of fewer than two runs that do."""
    done = [run for run in found if run.finished]
    names = [name for name in differing(done) if name not in REPEATS]
    done = [_by_value(run, names) for run in done]
    by_setting: dict[str, tuple[tuple, dict[str, Found]]] = {}
    for run in done:
        setting = tuple(_plain(run.parameters.get(name)) for name in names)
        seed = key([run.parameters.get(name) for name in REPEATS])
        by_setting.setdefault(key(setting), (setting, {}))[1][seed] = run  # a question asked again is no repetition
    ordered = sorted(by_setting.values(), key=lambda one: _orders(one[0], by_setting))
    whole = Sweep(names, [setting for setting, _ in ordered], [runs for _, runs in ordered])
    return whole if len(whole.settings) > 1 or whole.repeated else None


def _by_value(run: Found, swept: Sequence[str]) -> Found:
    """The run with one name for what it measured of the one value that it has of a swept parameter.

    `focus.gradcam` where methods is gradcam, and `focus.lrp` where it is lrp, are both `focus.(methods)`.
    """
    values = {name: _plain(run.parameters.get(name)) for name in swept}
    endings = {f".{value}": f".({name})" for name, value in values.items() if isinstance(value, str) and value}
    about: dict[str, dict[str, Any]] = {
        kind: {_renamed(name, endings): one for name, one in given.items()}
        for kind in ("metrics", "estimates")
        if isinstance(given := run.results.get(kind), dict)
    }
    return replace(run, results=run.results | about)


def _renamed(metric: str, endings: Mapping[str, str]) -> str:
    ending = next((one for one in endings if metric.endswith(one) and metric != one), None)
    return metric.removesuffix(ending) + endings[ending] if ending else metric


def points(swept: Sweep, metric: str) -> list[Point | None]:
    """The metric at each setting; None where no run has it."""
    return [_point([run.measures[metric] for run in runs.values() if metric in run.measures]) for runs in swept.runs]


def key_metrics(swept: Sweep) -> list[str]:
    """The metrics to look at first: those with a better direction that are not one number everywhere.

    All that vary where none has a direction.
    """
    numbers: dict[str, list[float]] = {}
    directed: dict[str, bool] = {}
    for runs in swept.runs:
        for run in runs.values():
            for name, one in run.measures.items():
                if one.value is not None:
                    numbers.setdefault(name, []).append(one.value)
                    directed[name] = directed.get(name, False) or one.better is not None
    vary = [name for name, values in numbers.items() if len(set(values)) > 1]
    return [name for name in vary if directed[name]] or vary


def best(swept: Sweep, metric: str) -> tuple[int | None, str, str]:
    """The number of the best setting if there is one, `best`, `cannot tell` or `not ranked`, and why."""
    each = [{seed: run.measures[metric] for seed, run in runs.items() if metric in run.measures} for runs in swept.runs]
    runs = [run for seeds in swept.runs for run in seeds.values() if metric in run.measures]
    keys = {(run.data, run.measures[metric].chance, run.measures[metric].better) for run in runs}
    if len(each) < 2 or not keys:
        return None, "not ranked", "one setting"
    if len(keys) > 1:
        return None, "not ranked", differences(keys)
    data, _, better = keys.pop()
    if not data or better is None:
        return None, "not ranked", "neither higher nor lower is better" if data else "the runs noted no data"
    sign = 1 if better == "higher" else -1
    numbers = [{seed: sign * one.value for seed, one in seeds.items() if one.value is not None} for seeds in each]
    if min(map(len, numbers)) < 3:
        return None, "cannot tell", "a setting with fewer than three seeds"
    means = [sum(one.values()) / len(one) for one in numbers]
    first = means.index(max(means))
    rivals = sorted((i for i in range(len(means)) if i != first), key=lambda i: -means[i])
    level = 1 - 0.05 / len(rivals)
    if all((_apart(numbers[first], numbers[i]).widened(level) > 0).holds for i in rivals):  # the nearest comes first
        return first, "best", "its differences from all others exclude 0"
    return None, "cannot tell", "seeds differ as much as the best settings do"


def _apart(a: dict[str, float], b: dict[str, float]) -> Estimate:
    """By how much the first setting lies above the second; seed by seed where both have the same."""
    if a.keys() == b.keys():
        return stats.paired([*a.values()], [b[seed] for seed in a], of="seeds")
    return stats.difference([*a.values()], [*b.values()], of="seeds")


def _point(measures: list[Measure]) -> Point | None:
    values = [one.value for one in measures if one.value is not None]
    if not values:
        return None
    if len(values) == 1:
        return Point(next(one for one in measures if one.value is not None), values)
    e: Estimate = stats.mean(values, of="seeds")
    chances = {one.chance for one in measures}
    chance = chances.pop() if len(chances) == 1 else None
    low, high = number(e.low), number(e.high)
    return Point(replace(measures[0], value=e.value, low=low, high=high, chance=chance, n=e.n, of="seeds"), values)


def _plain(value: Any) -> Any:
    """A list of one as that one: `resolution=[7]` is a value of an axis, too."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _orders(setting: tuple, known: Mapping[str, Any]) -> tuple:
    """Numbers by size, before all else in the order in which it came."""
    came = [*known].index(key(setting))
    return tuple((0, n) if (n := number(value)) is not None else (1, came) for value in setting)
