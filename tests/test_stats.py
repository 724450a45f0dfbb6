"""helpers/stats.py: its intervals are scipy's, and no verdict falls where the interval does not allow one."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from helpers import stats
from helpers.stats import Estimate, correlation, difference, every, fact, mean, median, paired, share, some

finite = st.floats(-100, 100).map(lambda x: round(x, 3))
values = st.lists(finite, min_size=4, max_size=12, unique=True)
INF, NAN = math.inf, math.nan


def ends(e):
    return e.low, e.high


def between(low, high, of="pictures"):
    return Estimate((low + high) / 2, low, high, 10, of)


# intervals


def test_the_mean_of_trainings_has_students_interval_worked_by_hand():
    e = mean([1, 2, 3], of="trainings")  # sd 1, t(2, 0.975) = 4.303: 2 ± 4.303 / √3
    assert (e.value, e.n) == (2, 3)
    assert ends(e) == pytest.approx((-0.4841, 4.4841), abs=1e-4)


def test_the_mean_of_pictures_has_scipys_bootstrap_interval():
    x = np.random.default_rng(1).exponential(size=50)
    kwargs = {"n_resamples": 1000, "method": "percentile", "rng": np.random.default_rng(0)}
    assert ends(mean(x)) == tuple(scipy_stats.bootstrap((x,), np.mean, **kwargs).confidence_interval)


def test_the_bootstrap_interval_of_a_mean_is_near_the_normal_one():
    x = np.random.default_rng(2).normal(size=400)
    half = 1.96 * x.std() / 20
    assert ends(mean(x)) == pytest.approx((x.mean() - half, x.mean() + half), abs=0.2 * half)  # 1000 resamples


def test_the_median_lies_in_its_interval():
    e = median([1, 5, 2, 3, 100, 2, 4, 3, 3], chance=2)
    assert e.value == 3
    assert 1 <= e.low <= 3 <= e.high <= 100
    assert e.chance == 2


@pytest.mark.parametrize("n", [3, 7])
def test_of_fewer_than_eight_pictures_the_mean_has_students_interval(n):
    x = np.random.default_rng(10).normal(size=n)
    oracle = scipy_stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert ends(mean(x)) == ends(mean(x, of="trainings")) == pytest.approx(tuple(oracle))
    more = np.random.default_rng(10).normal(size=8)
    assert ends(mean(more)) != ends(mean(more, of="trainings"))


@pytest.mark.parametrize("n", [3, 5, 8])
def test_95_percent_of_the_intervals_hold_the_truth_however_few_the_values(n):
    x = np.random.default_rng(11).normal(size=(300, n))
    right = [e.low <= 0 <= e.high for e in map(mean, x)]
    assert 0.84 < np.mean(right) < 0.99  # a bootstrap of three: 0.75; three standard errors of 300 are 0.04


def test_of_fewer_than_eight_the_median_lies_between_the_order_statistics():
    assert ends(median([4, 1, 9, 2, 3, 7, 8])) == (1, 9)  # P(all on one side) = 2 / 2**7 < 5 %
    assert ends(median([4, 1, 9, 2, 3])) == (-INF, INF)  # 2 / 2**5 > 5 %


def test_wilsons_interval_worked_by_hand():
    # z² = 3.8415; centre (8 + z²/2) / (10 + z²) = 0.7167, half 0.2266
    assert ends(share(8, 10)) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert share(0, 10).low == 0
    assert share(10, 10).high == 1


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (1.5, 3)])
def test_a_share_is_a_whole_number_of_all(k, n):
    with pytest.raises(ValueError, match="whole number from 0"):
        share(k, n)


@given(values, values)
def test_difference_has_welchs_interval(a, b):
    e = difference(a, b)
    assert e.value == pytest.approx(np.mean(a) - np.mean(b), abs=1e-9)
    oracle = scipy_stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert ends(e) == pytest.approx(tuple(oracle))
    assert e.n == len(a) + len(b)


def test_pearsons_interval_is_fishers_worked_by_hand():
    x, y = np.random.default_rng(3).normal(size=(2, 40))
    e = correlation(x, y)
    r = np.corrcoef(x, y)[0, 1]
    half = scipy_stats.norm.ppf(0.975) / math.sqrt(37)
    assert e.value == pytest.approx(r)
    assert ends(e) == pytest.approx(tuple(np.tanh([math.atanh(r) - half, math.atanh(r) + half])))


def test_spearman_agrees_with_scipy_and_with_fishers_interval_by_bonett_and_wright():
    x = np.random.default_rng(4).normal(size=300)
    y = np.round(x + np.random.default_rng(5).normal(size=300), 1)  # ties
    e = correlation(x, y, method="spearman")
    rho = scipy_stats.spearmanr(x, y).statistic
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / 297)
    assert e.value == pytest.approx(rho)
    assert ends(e) == pytest.approx(tuple(np.tanh([math.atanh(rho) - half, math.atanh(rho) + half])), abs=0.03)


def test_three_pairs_have_a_correlation_but_no_interval_and_two_have_neither():
    three, two = correlation([1, 2, 3], [1, 3, 2]), correlation([1, 2], [1, 3])
    assert three.value == pytest.approx(0.5)
    assert not math.isfinite(three.low)
    assert (three > 0).holds is None
    assert math.isnan(two.value)


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match="'kendall'; expected pearson or spearman"):
        correlation([1, 2, 3, 4], [1, 2, 3, 5], method="kendall")


def test_a_spearman_that_hangs_on_one_picture_has_no_interval():
    e = correlation([0] * 9 + [1], range(10), method="spearman")  # a resample without the tenth has no spread
    assert not math.isnan(e.value)
    assert ends(e) == (-INF, INF)


def test_paired_is_the_mean_of_differences():
    a, b = np.random.default_rng(6).normal(size=(2, 30))
    assert ends(paired(a, b)) == ends(mean(a - b))
    assert ends(paired(a, b, of="trainings")) == ends(mean(a - b, of="trainings"))


@pytest.mark.parametrize("function", [paired, correlation])
def test_sides_of_other_lengths_are_no_pairs(function):
    with pytest.raises(ValueError, match="pairs are needed"):
        function([1, 2, 3], [1])


@pytest.mark.parametrize("of", ["pictures", "trainings"])
def test_what_is_not_finite_is_left_out_and_counted(of):
    x, full = [1, NAN, 2, INF, 4, 5.5, -INF], [1, 2, 4, 5.5]
    assert mean(x, of) == Estimate(**(mean(full, of).plain() | {"undefined": 3}))
    assert median(x, of).undefined == 3
    assert difference(x, [1, 2, NAN], of).undefined == 4
    for function in (paired, correlation):
        e = function(x, [0, 1, NAN, 1, 3, 4, 5], of)
        assert (e.n, e.undefined) == (3, 4)


def test_tensors_arrays_and_lists_are_the_same():
    x, y = [0.5, 0.25, 1.0, 0.125], [1.0, 2.0, 0.5, 4.0]
    for function in (paired, difference, correlation):
        assert function(torch.tensor(x, requires_grad=True), torch.tensor(y)) == function(x, np.array(y))
    assert mean(torch.tensor([[True, False], [True, True]])) == mean([1, 0, 1, 1])
    assert json.dumps(mean(torch.tensor(x), chance=torch.tensor(0.5)).plain())


def test_the_same_values_give_the_same_interval():
    x = np.random.default_rng(7).normal(size=30)
    np.random.seed(1)
    first = mean(x)
    np.random.seed(2)
    assert mean(x) == first
    assert mean(x).widened(0.99) == first.widened(0.99)


def test_many_pictures_are_resampled_in_batches(monkeypatch):
    sizes = []

    def spied(x, axis=None):
        sizes.append(np.size(x))
        return np.mean(x, axis=axis)

    stats._bootstrap((np.random.default_rng(8).random(30_000),), spied, 0.95)
    assert 0 < max(sizes) <= 2_000_000


# levels

kinds = {
    "t": lambda x: mean(x, of="trainings"),
    "bootstrap": mean,
    "median": median,
    "paired": lambda x: paired(x, np.zeros(len(x))),
    "wilson": lambda x: share(sum(v > 0 for v in x), len(x)),
    "fisher": lambda x: correlation(x, range(len(x))),
    "welch": lambda x: difference(x, [1, 2, 3.0]),
}


@pytest.mark.parametrize("kind", kinds)
@given(x=values)
def test_a_wider_level_gives_a_wider_interval(kind, x):
    e = kinds[kind](x)
    w = e.widened(0.99)
    assert (w.level, w.value, w.n) == (0.99, e.value, e.n)
    rounding = 1e-12 * np.abs(x).max(initial=1)  # a quantile between two equal values is one rounding off
    assert w.low - rounding <= e.low <= e.high <= w.high + rounding
    assert w.widened(0.95) == e


def test_beyond_98_percent_there_are_more_resamples():
    x = np.random.default_rng(9).normal(size=500)
    half = scipy_stats.norm.ppf(0.9995) * x.std() / math.sqrt(500)
    assert ends(mean(x).widened(0.999)) == pytest.approx((x.mean() - half, x.mean() + half), abs=0.2 * half)


def test_an_estimate_made_by_hand_has_one_level():
    assert between(1, 2).widened(0.95) == between(1, 2)
    with pytest.raises(ValueError, match="by hand"):
        between(1, 2).widened(0.99)


# verdicts of one


@pytest.mark.parametrize(
    ("low", "high", "above", "below", "why"),
    [
        (0.1, 0.2, True, False, "its 95 % interval lies above 0"),
        (-0.2, -0.1, False, True, "its 95 % interval lies below 0"),
        (-0.1, 0.1, None, None, "its 95 % interval includes 0"),
        (0.0, 0.1, None, None, "its 95 % interval includes 0"),
    ],
)
def test_above_and_below(low, high, above, below, why):
    e = between(low, high)
    for greater, less in [(e > 0, e < 0), (np.float64(0) < e, np.float64(0) > e)]:
        assert (greater.holds, greater.why) == (above, why)
        assert (less.holds, less.why) == (below, why)


@pytest.mark.parametrize(
    ("low", "high", "near", "contains"),
    [
        (0.46, 0.54, True, True),
        (0.46, 0.49, True, False),  # another number than 0.5, and as good as it
        (0.3, 0.7, None, None),
        (0.46, 0.6, None, None),
        (0.56, 0.9, None, False),
        (0.61, 0.9, False, False),
        (0.1, 0.39, False, False),
    ],
)
def test_near_asks_for_equivalence_and_contains_for_a_narrow_interval_around(low, high, near, contains):
    assert between(low, high).near(0.5, 0.1).holds is near
    assert between(low, high).contains(0.5, 0.1).holds is contains


@pytest.mark.parametrize("within", [0, -1, NAN])
def test_near_and_contains_need_a_width(within):
    for ask in (between(0, 1).near, between(0, 1).contains):
        with pytest.raises(ValueError, match="width above 0"):
            ask(0.5, within)


UNTOLD = [
    ("rests on 1 training; several", mean([3.0], of="trainings")),
    ("rests on 2 trainings; several", mean([3.0, 3.1], of="trainings")),
    ("rests on 2 networks; several", share(2, 2, of="networks")),
    ("rests on 2 draws; several", median([1, 2], of="draws")),
    ("rests on 0 trainings", mean([NAN], of="trainings")),
    ("rests on 1 training;", Estimate(3, 2.9, 3.1, 1, "trainings")),
    ("too few for an interval", mean([3.0])),
    ("too few for an interval", mean([])),
    ("too few for an interval", median([INF, 2])),
    ("too few for an interval", share(0, 0)),
    ("too few for an interval", correlation([1, 2, 3], [1, 2, 4])),
    ("too few for an interval", difference([1], [2, 3, 4])),
    ("too few for an interval", difference([1, 2], [2, 3, 4], of="trainings")),
    ("too few for an interval", Estimate(3, NAN, NAN, 9, "pictures")),
    ("too few for an interval", Estimate(3, 2, INF, 9, "pictures")),
    ("nothing varied", mean([3.0] * 3, of="trainings")),
    ("nothing varied", correlation([1] * 5, [1, 2, 3, 4, 5])),
    ("nothing varied", difference([1, 1], [2, 2])),
    ("nothing varied", mean([3.0] * 50)),
    ("nothing varied", paired(np.float32([0.9, 0.5, 0.3]), np.float32([0.8, 0.4, 0.2]))),  # but for float32's rounding
    ("too few for an interval", mean([3.0, 4])),
    ("too few for an interval", median([3.0, 4, 5, 6, 9])),
    ("too few for an interval", correlation([1, 2, 3, 4, 5, 6, 9], [1, 2, 4, 3, 5, 9, 7], method="spearman")),
    ("no width", Estimate(3, 4, 2, 9, "pictures")),  # empty
]


@pytest.mark.parametrize(("why", "e"), UNTOLD)
def test_without_an_interval_nothing_is_told(why, e):
    for verdict in (e > 0, e < 0, e > 1e9, e.near(3, 1), e.near(1e9, 1), e.contains(3, 9), e.contains(1e9, 1)):
        assert verdict.holds is None
        assert verdict.word == "cannot tell"
        assert why in verdict.why


def test_a_limit_that_is_undefined_tells_nothing():
    e = between(0, 1)
    assert [v.holds for v in (e > NAN, e < NAN, e.near(NAN, 1))] == [None] * 3


@given(values)
def test_flipping_signs_flips_verdicts(x):
    up, down = mean(x, of="trainings"), mean([-v for v in x], of="trainings")
    assert (up > 1).holds is (down < -1).holds
    assert (up < 1).holds is (down > -1).holds
    assert up.near(1, 2).holds is down.near(-1, 2).holds


@given(values, finite)
def test_above_is_the_contrary_of_below(x, limit):
    e = mean(x)
    above, below = (e > limit).holds, (e < limit).holds
    assert (above is None and below is None) or above is not below


def test_a_verdict_is_no_boolean():
    with pytest.raises(TypeError, match="use `.holds`"):
        assert between(1, 2) > 0
    with pytest.raises(TypeError, match="use `.holds`"):
        _ = 0 < between(1, 2) < 3


def test_two_estimates_are_not_compared():
    with pytest.raises(TypeError, match="paired"):
        _ = between(1, 2) > between(0, 1)


# verdicts of several


def around(m, of="trainings"):
    return mean(np.array([-1, 0, 1]) / 10 + m, of=of)  # m ± 0.248, ± 0.573 at 99 %


def test_every_of_five_uses_99_percent():
    x = {f"net{i}": around(0.4 + i) for i in range(5)}
    each = {name: e > 0 for name, e in x.items()}
    assert all(v.holds for v in each.values())
    both = every(each)
    assert both.holds is None  # the first no longer
    assert both.seen.startswith(f"net0 {x['net0'].widened(0.99)}; net1 ")
    assert both.why == (
        "4 of 5 hold, of 1 it cannot tell: its 99 % interval includes 0 (each at 99 %, corrected for their number)"
    )


def test_every_of_one_corrects_nothing():
    v = every([around(0.3) > 0])
    assert (v.holds, v.seen, v.why) == (True, "0.30 [0.05, 0.55]", "its 95 % interval lies above 0")


YES, NO, OPEN = around(9) > 0, around(-9) > 0, around(0) > 0


@pytest.mark.parametrize(
    ("verdicts", "all_of_them", "one_of_them"),
    [
        ([YES, YES], True, True),
        ([YES, NO], False, True),
        ([YES, OPEN], None, True),
        ([NO, OPEN], False, None),
        ([NO, NO], False, False),
        ([OPEN, OPEN], None, None),
        ([], None, None),
    ],
)
def test_every_and_some(verdicts, all_of_them, one_of_them):
    assert every(verdicts).holds is all_of_them
    assert some(dict(enumerate(verdicts))).holds is one_of_them


def test_of_nothing_there_is_nothing_to_judge():
    assert every({}).why == some([]).why == "nothing to judge"


def test_facts_are_exact_and_not_counted_for_the_correction():
    v = every({"counted": fact(True, "3 of 3", "counted"), "gain": around(0.3) > 0})
    assert v.holds is True
    assert v.seen == "counted 3 of 3; gain 0.30 [0.05, 0.55]"
    assert every([fact(True, "a", "b"), fact(False, "c", "d")]).holds is False


def test_every_within_every_is_corrected_for_both():
    inner = every([around(9) > 0, around(9) > 0])
    v = every({"a": inner, "b": around(9) > 0})
    assert v.seen.count(str(around(9).widened(0.9875))) == 2
    assert v.seen.endswith(f"b {around(9).widened(0.975)}")


def test_one_training_among_many_is_not_told():
    assert every([YES, mean([5], of="trainings") > 0]).holds is None


def test_five_true_statements_are_refused_in_about_one_of_twenty_runs():
    rng = np.random.default_rng(0)
    alarms = [
        every([mean(x, of="trainings").contains(0, 99) for x in rng.normal(size=(5, 6))]).holds is False
        for _ in range(400)
    ]
    assert np.mean(alarms) == pytest.approx(1 - 0.99**5, abs=0.033)  # three standard errors of 400 runs


# in words


@pytest.mark.parametrize(
    ("e", "said"),
    [
        (
            Estimate(0.94, 0.92, 0.96, 100, "mosaics", 2, 0.5),
            "0.94 [0.92, 0.96], 100 mosaics, chance 0.50, 2 undefined",
        ),
        (Estimate(0.94, 0.935, 0.945, 1, "pictures", chance=0.001), "0.940 [0.935, 0.945], 1 picture, chance 0.001"),
        (Estimate(0.0001, -0.0004, 0.8, 9, "peaks", signed=True), "+0.0001 [-0.0004, +0.8000], 9 peaks"),
        (Estimate(0.0011, 4.5e-5, 0.0021, 9, "peaks", signed=True), "+0.00110 [+0.00005, +0.00210], 9 peaks"),
        (Estimate(4e-5, 1e-5, 7e-5, 9, "peaks", signed=True), "+0.00004 [+0.00001, +0.00007], 9 peaks"),
        (Estimate(2e-9, 1e-9, 3e-9, 9, "peaks", signed=True), "+2.0e-09 [+1.0e-09, +3.0e-09], 9 peaks"),
        (Estimate(0.0, -0.1, 0.1, 9, "peaks", signed=True), "0.00 [-0.10, +0.10], 9 peaks"),
        (mean([0.94], of="trainings", chance=0.5), "0.94, too few for an interval (1 training), chance 0.50"),
        (mean([NAN, INF]), "undefined, too few for an interval (0 pictures), 2 undefined"),
        (mean([0.5] * 3, of="trainings"), "0.50, nothing varied: no interval (3 trainings)"),
        (paired([2, 3, 4.5], [1, 1, 1], of="trainings"), "+2.17 [-0.96, +5.29], 3 trainings"),
    ],
)
def test_an_estimate_in_words(e, said):
    assert e.said() == e._repr_markdown_() == said


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_nothing_but_zero_reads_zero(a, b, c):
    low, value, high = sorted([a, b, c])
    assume(low < high)
    text = str(Estimate(value, low, high, 9, "peaks", signed=True)).replace("[", "").replace("]", "")
    for said, exact in zip(text.split(), (value, low, high), strict=False):
        assert (float(said.strip(",")) == 0) is (exact == 0)


def test_a_verdict_in_words():
    v = between(0.9, 1) > 0
    assert v.seen == "0.95 [0.90, 1.00], 10 pictures"
    assert v._repr_markdown_() == "**holds**: 0.95 [0.90, 1.00], 10 pictures (its 95 % interval lies above 0)"


def test_an_estimate_for_json():
    e = mean([0.5], of="trainings").at(0.25)
    assert json.loads(json.dumps(e.plain(), allow_nan=False)) == {
        **{"value": 0.5, "low": None, "high": None, "n": 1, "of": "trainings"},
        **{"undefined": 0, "chance": 0.25, "level": 0.95},
    }
