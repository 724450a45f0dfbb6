"""Do metrics agree on heatmap methods? The same methods of the same network, ranked by Focus, AVX, energy and RRF."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats as scipy_stats

from helpers import stats

from .found import Found

LEAST = 5  # methods: of four, a perfect agreement comes about by chance once in twelve
EXACT = 9999  # up to seven methods every order is tried, of more this many


@dataclass(frozen=True)
class Judge:
    """A metric that ranks heatmap methods: as it is said, and its metric's name in results.json before the method's."""

    name: str
    metric: str
    lead: str = ""  # the parameter whose first entry is the method of the metric without a method's name
    why: str = ""


JUDGES = (
    Judge("Focus", "focus_median"),
    Judge("AVX", "avx"),
    Judge("energy", "energy"),
    Judge("containment", "containment"),
    Judge(
        "RRF", "rrf.vanilla", "saliency",
        "counted as higher is better: the network before debiasing was taught the bias, and a map should show it",
    ),
)  # fmt: skip


def agreement(found: Mapping[str, Found]) -> dict[str, Any]:
    """For each network what each judge gives each method, the correlation of each two judges, and whom to believe."""
    networks: dict[str, dict[tuple, dict[str, list[float]]]] = {}
    labels: dict[tuple[str, tuple], list[str]] = {}
    for label, run in found.items():
        for judge in JUDGES if run.finished else ():
            given = _by_method(run, judge)
            if given and (network := _network(run)):
                place = (judge.name, run.data)
                labels.setdefault((network, place), []).append(label)
                methods = networks.setdefault(network, {}).setdefault(place, {})
                for method, value in given.items():
                    methods.setdefault(method, []).append(value)
    tables = [_table(network, judges, labels) for network, judges in networks.items()]
    pairs = [pair for table in tables for pair in table["pairs"]]
    level = 1 - 0.05 / max(1, sum(pair["p"] is not None for pair in pairs))
    for pair in pairs:
        pair["verdict"] = _verdict(pair, level)
    return {
        "tables": tables,
        "answer": _answer(tables, pairs),
        "notes": [f"{j.name}: {j.why}" for j in JUDGES if j.why],
    }


def correlated(x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
    """Kendall's tau of two rankings, its p among all orders (of `LEAST` methods or more), and Spearman's rho.

    Rho has an interval, by bootstrap over methods, of eight methods or more. What is undefined is None.
    """
    n, flat = len(x), len(set(x)) < 2 or len(set(y)) < 2
    if n < 3 or flat:
        return {"n": n, "tau": None, "p": None, "rho": stats.correlation(x, y, of="methods", method="spearman")}

    def tau(order: np.ndarray) -> float:
        return scipy_stats.kendalltau(order, y).statistic

    tried = n >= LEAST and scipy_stats.permutation_test(
        (np.array(x),), tau, permutation_type="pairings", n_resamples=EXACT, rng=np.random.default_rng(0)
    )
    rho = stats.correlation(x, y, of="methods", method="spearman")
    return {"n": n, "tau": float(tau(np.array(x))), "p": float(tried.pvalue) if tried else None, "rho": rho}


def _table(network: str, judges: dict, labels: dict) -> dict[str, Any]:
    """One network: methods by judges, and the pairs of judges."""
    places = list(judges)
    twice = {name for name, _ in places if sum(other == name for other, _ in places) > 1}
    datas = list(dict.fromkeys(data for _, data in places))
    names = [name + (f" (data {datas.index(data) + 1})" if name in twice else "") for name, data in places]
    means = [{method: sum(v) / len(v) for method, v in judges[place].items()} for place in places]
    methods = list(dict.fromkeys(method for given in means for method in given))
    pairs = []
    for a, b in combinations(range(len(places)), 2):
        shared = [method for method in methods if method in means[a] and method in means[b]]
        found = correlated([means[a][m] for m in shared], [means[b][m] for m in shared])
        pairs.append({"of": (names[a], names[b]), "methods": shared, **found})
    heads = [
        {"name": name, "runs": labels[network, place], "ranks": _ranks(given)}
        for name, place, given in zip(names, places, means, strict=True)
    ]
    both = list(zip(means, heads, strict=True))
    rows = [
        {"method": method, "cells": [(given.get(method), head["ranks"].get(method)) for given, head in both]}
        for method in methods
    ]
    return {"network": network, "heads": heads, "rows": rows, "pairs": pairs, "data": len(datas)}


def _verdict(pair: dict[str, Any], level: float) -> dict[str, str]:
    if pair["p"] is None:
        few = f"{pair['n']} method{'s' if pair['n'] != 1 else ''} ranked by both; {LEAST} at least are needed"
        return {"word": "cannot tell", "why": few if pair["n"] < LEAST else "one of them gives all methods one value"}
    sure, alpha = pair["p"] < 1 - level, f"p {pair['p']:.2g} of all orders, asked for below {1 - level:.2g}"
    if not sure:
        return {"word": "cannot tell", "why": alpha}
    return {"word": "holds" if pair["tau"] > 0 else "does not hold", "why": alpha}


def _answer(tables: list[dict], pairs: list[dict]) -> str:
    """Whom to believe, if anybody."""
    judges = list(dict.fromkeys(head["name"] for table in tables for head in table["heads"]))
    if not pairs:
        there = f"only {judges[0]} does" if len(judges) == 1 else "none does" if not judges else "each ranks another's"
        return f"Nothing to compare: two metrics have to rank the methods of one network, and here {there}."
    agree = [pair["of"] for pair in pairs if pair["verdict"]["word"] == "holds"]
    apart = [pair["of"] for pair in pairs if pair["verdict"]["word"] == "does not hold"]
    if apart:
        a, b = apart[0]
        return (
            f"{a} and {b} contradict each other: believe neither alone, until a control with a known answer "
            "(a random network, a planted bias) says which of them sees it."
        )
    if agree:
        a, b = agree[0]
        return f"{a} and {b} order the methods alike: believe an order that both give. That both err is not excluded."
    if (most := max(pair["n"] for pair in pairs)) < LEAST:
        ranked = f"two metrics rank at most {most} method{'s' if most != 1 else ''} together"
        return f"Cannot tell whom to believe: {ranked}, and {LEAST} are needed."
    return "Cannot tell whom to believe: no two metrics order the methods alike, or inversely, by more than chance."


def _by_method(run: Found, judge: Judge) -> dict[str, float]:
    """What a judge gives each heatmap method that the run's parameters name."""
    listed = [m for name in ("methods", "saliency") for m in _texts(run.parameters.get(name))]
    lead = _texts(run.parameters.get(judge.lead))[:1]
    names = {method: f"{judge.metric}.{method}" for method in listed} | {method: judge.metric for method in lead}
    there = {method: run.measures[name].value for method, name in names.items() if name in run.measures}
    return {method: value for method, value in there.items() if value is not None}


def _network(run: Found) -> str | None:
    """Where the weights of the run's first network come from: metrics by method are of that one."""
    weights = run.provenance.get("weights")
    return str(next(iter(weights.values()))) if isinstance(weights, dict) and weights else None


def _ranks(given: Mapping[str, float]) -> dict[str, float]:
    order = scipy_stats.rankdata([-value for value in given.values()])
    return dict(zip(given, map(float, order), strict=True))


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
