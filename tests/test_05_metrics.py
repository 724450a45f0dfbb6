"""notebooks/05_debiasing_metrics.ipynb, what it measures with: by hand, by law, and against detoxai and fairlearn."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from fairlearn.metrics import equalized_odds_difference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from people import four
from scipy import stats
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from helpers import stats as estimates
from helpers.errors import CourseError
from helpers.pictures import Photos, biased
from helpers.pictures.subsets import shares
from helpers.stats import Estimate

SMALL = settings(deadline=None, max_examples=40)
SIDE = 218  # of the paper's pictures
NECKTIE, HAT = (49, 180, 120, 30), (30, 20, 150, 50)  # x, y, w, h
HEIGHT, WIDTH = 4, 6  # of small maps
HERE = (3, 0, 2, 1)  # row 0, columns 3 and 4: rows for columns would be outside of the picture
CELLS = [(0, 0), (0, 1), (1, 0), (1, 1)]
METRICS = {
    "rrf": lambda nb, v, d, roi: nb.rrf(v, roi),
    "adr": lambda nb, v, d, roi: nb.adr(v, d, roi),
    "dif": lambda nb, v, d, roi: nb.dif(v, d, roi),
}


@pytest.fixture(scope="module")
def nb(notebook):
    return notebook("05_debiasing_metrics")


def rddt(nb, D, **level):
    """What the notebook's rddt gives, by name."""
    return SimpleNamespace(**nb.rddt(D, **level))


def draws(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def relevance(n=2):
    """Signed maps, with ties and zeros; not so small that their squares or quotients vanish."""
    value = st.floats(-100, 100, width=32).map(lambda v: 0.0 if abs(v) < 1e-6 else v)
    return arrays(np.float32, (n, HEIGHT, WIDTH), elements=value).map(lambda r: torch.from_numpy(r).double())


@st.composite
def rois(draw, height=HEIGHT, width=WIDTH):
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    w, h = draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
    assume(w * h < width * height)
    return x, y, w, h


# the rectangle


@SMALL
@given(rois())
def test_x_counts_columns_and_y_counts_rows(nb, roi):
    x, y, w, h = roi
    place = torch.arange(HEIGHT)[:, None] * 10.0 + torch.arange(WIDTH)
    expected = [[10 * row + column for column in range(x, x + w)] for row in range(y, y + h)]
    assert nb.in_rectangle(place[None], roi)[0].tolist() == expected
    assert nb.rectangle(roi, HEIGHT, WIDTH) == (slice(y, y + h), slice(x, x + w))


@SMALL
@given(rois(6, 6))
def test_the_published_slicing_measures_the_transposed_rectangle(nb, roi):
    x, y, w, h = roi
    v, d = draws(3, 6, 6), draws(3, 6, 6, seed=1)
    published = (v - d)[:, x : x + w, y : y + h].mean((1, 2))
    assert torch.allclose(nb.adr(v, d, (y, x, h, w)), published, atol=1e-12)


def test_all_relevance_in_a_rectangle_is_none_in_the_transposed_one(nb):
    p = torch.zeros(1, 6, 6)
    p[0, 0, 3:5] = 1
    assert nb.rrf(p, (3, 0, 2, 1)) == 1
    assert nb.rrf(p, (0, 3, 1, 2)) == 0


@pytest.mark.parametrize(("roi", "chance", "common"), [(NECKTIE, 0.0758, 0), (HAT, 0.1578, 1600)])
def test_the_papers_rectangles_have_its_chance_and_overlap(nb, roi, chance, common):
    x, y, w, h = roi
    pixels = torch.arange(SIDE * SIDE).view(1, SIDE, SIDE)
    ours, theirs = (set(nb.in_rectangle(pixels, r).flatten().tolist()) for r in (roi, (y, x, h, w)))
    assert nb.rrf(torch.ones(1, SIDE, SIDE), roi).item() == pytest.approx(chance, abs=5e-5)  # four digits are given
    assert len(ours) == len(theirs) == w * h
    assert len(ours & theirs) == common


def test_of_the_transposed_necktie_12_columns_are_padding(nb):
    padded = F.pad(torch.zeros(1, SIDE, 178), (20, 20), value=1.0)
    x, y, w, h = NECKTIE
    assert nb.in_rectangle(padded, (y, x, h, w)).mean((0, 1)).tolist() == [0] * 18 + [1] * 12


@pytest.mark.parametrize(
    "roi",
    [(1, 1, 0, 2), (1, 1, 2, 0), (1, 1, -1, 2), (-1, 0, 2, 2), (0, -1, 2, 2), (5, 0, 2, 1), (0, 3, 1, 2), (0, 0, 4, 6)],
)
@pytest.mark.parametrize("metric", METRICS)
def test_a_rectangle_without_area_or_outside_of_the_picture_is_refused_by_name(nb, metric, roi):
    with pytest.raises(ValueError, match="roi is {} {} {} {}; .* 6 x 4 pixels".format(*roi)):
        METRICS[metric](nb, draws(2, HEIGHT, WIDTH), draws(2, HEIGHT, WIDTH), roi)


def test_the_whole_picture_is_no_rectangle(nb):
    with pytest.raises(ValueError, match="roi is the whole picture of 6 x 4"):
        nb.rectangle((0, 0, WIDTH, HEIGHT), HEIGHT, WIDTH)


# intensities

ONE_MAP = torch.tensor([[[2.0, -4.0], [0.0, 2.0]]])


@pytest.mark.parametrize(
    ("prep", "mass", "expected"),
    [
        ("abs_max", False, [0.25, 0.5, 0, 0.25]),
        ("positive", False, [1, 0, 0, 1]),
        ("signed", False, [0.5, -1, 0, 0.5]),
        ("abs_max", True, [0.25, 0.5, 0, 0.25]),
        ("positive", True, [0.5, 0, 0, 0.5]),
        ("signed", True, [0.25, -0.5, 0, 0.25]),
    ],
)
def test_intensity_by_hand(nb, prep, mass, expected):
    p, valid = nb.intensity(ONE_MAP, prep, mass)
    assert p.flatten().tolist() == expected
    assert valid.tolist() == [True]


def test_mass_divides_by_the_sum_and_not_by_the_largest_value(nb):
    r = torch.tensor([[[3.0, -1.0, 1.0]]])
    assert nb.intensity(r, mass=True)[0].flatten().tolist() == pytest.approx([0.6, 0.2, 0.2])


@SMALL
@given(relevance())
def test_intensity_is_the_published_distance_from_the_middle(nb, r):
    a = r.double().abs().amax((1, 2), keepdim=True)
    assume((a > 0).all())
    published = ((r.double() + a) / (2 * a) - 0.5).abs()
    assert torch.allclose(nb.intensity(r)[0], published, atol=1e-12)


@SMALL
@given(relevance(), st.sampled_from(["abs_max", "positive", "signed"]), st.booleans(), st.floats(0.01, 100))
def test_intensities_are_relative(nb, r, prep, mass, scale):
    p, valid = nb.intensity(r, prep, mass)
    half, valid_half = nb.intensity(r / 2, prep, mass)
    assert torch.equal(half, p)
    assert torch.equal(valid, valid_half)
    assert torch.allclose(nb.intensity(r.double() * scale, prep, mass)[0], p, atol=1e-12)


@pytest.mark.parametrize("prep", ["abs_max", "positive", "signed"])
@pytest.mark.parametrize("mass", [True, False])
def test_a_map_of_zeros_is_not_valid_and_stays_zero(nb, prep, mass):
    r = torch.stack([torch.zeros(2, 2), ONE_MAP[0]])
    p, valid = nb.intensity(r, prep, mass)
    assert valid.tolist() == [False, True]
    assert not p[0].any()
    assert torch.equal(p[1:], nb.intensity(ONE_MAP, prep, mass)[0])
    assert nb.intensity(-r.abs(), "positive", mass)[1].tolist() == [False, False]  # nothing speaks for the class


def test_an_unknown_preparation_is_refused(nb):
    with pytest.raises(ValueError, match="prep is 'max'"):
        nb.intensity(ONE_MAP, "max")


# RRF, ADR, DIF


def test_the_three_metrics_by_hand(nb):
    v, d = torch.zeros(2, 2, HEIGHT, WIDTH).double()
    v[0, 0, 3:5], d[0, 0, 3:5] = torch.tensor([0.5, 0.25]), torch.tensor([0.0, 0.375])
    v[0, 2, 1], d[0, 3, 5] = 0.25, 0.5  # outside
    v[1, 0, 3:5], d[1, 0, 3:5] = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.125])
    assert nb.rrf(v, HERE).tolist() == [0.75, 1]
    assert nb.adr(v, d, HERE).tolist() == [(0.5 - 0.125) / 2, (0.25 + 0.375) / 2]
    assert nb.dif(v, d, HERE).tolist() == [0.5, 1]
    assert nb.dif(d, v, HERE).tolist() == [0.5, 0]


@SMALL
@given(relevance(), rois(), st.floats(0.01, 100))
def test_rrf_is_a_share_whatever_the_scale(nb, r, roi, scale):
    r = r.double().abs()
    found = nb.rrf(r, roi)
    assert (found.isnan() == (r.sum((1, 2)) == 0)).all()
    assert ((found >= 0) & (found <= 1 + 1e-12) | found.isnan()).all()
    assert torch.allclose(nb.rrf(r * scale, roi), found, atol=1e-12, equal_nan=True)


@SMALL
@given(relevance(), relevance(), rois())
def test_adr_is_the_difference_of_means_and_turns_round(nb, r, s, roi):
    (v, _), (d, _) = nb.intensity(r), nb.intensity(s)
    D = nb.in_rectangle(v, roi).mean((1, 2)) - nb.in_rectangle(d, roi).mean((1, 2))  # what RDDT tests
    assert torch.allclose(nb.adr(v, d, roi), D, atol=1e-12)
    assert torch.allclose(nb.adr(d, v, roi), -D, atol=1e-12)


@SMALL
@given(relevance(), relevance(), rois(), st.sampled_from([0.0, 1e-3, 0.1]))
def test_no_pixel_falls_and_rises(nb, r, s, roi, eps):
    (v, _), (d, _) = nb.intensity(r), nb.intensity(s)
    fell, rose = nb.dif(v, d, roi, eps), nb.dif(d, v, roi, eps)
    same = (nb.in_rectangle(v - d, roi).abs() <= eps).double().mean((1, 2))
    assert torch.allclose(fell + rose + same, torch.ones(2).double(), atol=1e-12)
    assert ((fell >= 0) & (rose >= 0)).all()


@SMALL
@given(relevance(), rois(), st.sampled_from([0.0, 1e-3]))
def test_the_same_network_has_not_changed(nb, r, roi, eps):
    p, _ = nb.intensity(r)
    d, _ = nb.intensity(r / 2)  # half the relevance everywhere: relative maps do not see it
    assert torch.equal(nb.rrf(p, roi).nan_to_num(-1), nb.rrf(d, roi).nan_to_num(-1))
    assert nb.adr(p, d, roi).tolist() == nb.dif(p, d, roi, eps).tolist() == nb.dif(d, p, roi, eps).tolist() == [0, 0]
    assert rddt(nb, nb.adr(p, d, roi)).bit == 0


@SMALL
@given(relevance(), relevance(), rois())
def test_under_mass_adr_times_the_area_is_the_fall_of_rrf(nb, r, s, roi):
    (v, one), (d, other) = (nb.intensity(maps, mass=True) for maps in (r, s))
    assume(one.all() and other.all())
    fall = nb.rrf(v, roi) - nb.rrf(d, roi)
    assert torch.allclose(nb.adr(v, d, roi) * roi[2] * roi[3], fall, atol=1e-12)


@SMALL
@given(rois(), st.floats(0.1, 10))
def test_rrf_of_a_uniform_map_is_the_area(nb, roi, height):
    p = torch.full((1, HEIGHT, WIDTH), height).double()
    assert nb.rrf(p, roi).item() == pytest.approx(roi[2] * roi[3] / (HEIGHT * WIDTH), rel=1e-12)


def test_of_unrelated_maps_half_of_the_pixels_fall_and_half_rise(nb):
    v, d = draws(40, 20, 30) / 2, draws(40, 20, 30, seed=1) / 2
    for one, other in ((v, d), (d, v)):
        assert nb.dif(one, other, (4, 2, 20, 15)).mean().item() == pytest.approx(0.5, abs=0.02)  # 4 sd of 12,000 pixels


def test_eps_decides_whether_rounding_counts(nb):
    v = draws(40, 20, 30) / 2
    d = v + 2e-7 * torch.randn(v.shape, generator=torch.Generator().manual_seed(1))
    assert not nb.dif(v, d, (4, 2, 20, 15)).any()
    assert nb.dif(v, d, (4, 2, 20, 15), eps=0).mean().item() == pytest.approx(0.5, abs=0.02)


def test_a_pixel_counts_above_eps_only(nb):
    v, d = torch.full((1, 1, 2), 0.25), torch.tensor([[[0.125, 0.0]]])
    assert nb.dif(v, d, (0, 0, 1, 1), eps=0.125) == 0
    assert nb.dif(v, d, (0, 0, 1, 1), eps=0.124) == 1


def test_rrf_of_a_map_of_zeros_is_undefined(nb):
    p = torch.stack([torch.zeros(HEIGHT, WIDTH), torch.ones(HEIGHT, WIDTH)])
    assert nb.rrf(p, HERE).isnan().tolist() == [True, False]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("metric", METRICS)
def test_maps_that_are_not_finite_are_refused(nb, metric, bad):
    v, broken = draws(2, HEIGHT, WIDTH), draws(2, HEIGHT, WIDTH)
    broken[1, 0, 3] = bad  # in the rectangle
    for maps in [(broken, v)] if metric == "rrf" else [(broken, v), (v, broken)]:
        with pytest.raises(ValueError, match=r"holds 1 value\(s\) that are NaN"):
            METRICS[metric](nb, *maps, HERE)
    broken[1, 0, 3], broken[1, 2, 3] = 0.5, bad  # outside of it
    for function in (nb.intensity, lambda p: nb.rrf(p, HERE)):
        with pytest.raises(ValueError, match="NaN or infinite"):
            function(broken)


@pytest.mark.parametrize(
    ("metric", "shape"),
    [(m, s) for m in ["rrf", "adr", "dif"] for s in [(4, 6), (1, 3, 4, 6)]],
)
def test_what_is_no_batch_of_maps_is_refused(nb, metric, shape):
    with pytest.raises(ValueError, match=r"expected maps \(N, H, W\)"):
        METRICS[metric](nb, draws(*shape), draws(*shape), HERE)
    with pytest.raises(ValueError, match=r"expected maps \(N, H, W\)"):
        nb.intensity(draws(*shape))


@pytest.mark.parametrize("shape", [(1, 4, 6), (2, 4, 7), (2, 5, 6)])
@pytest.mark.parametrize("metric", ["adr", "dif"])
def test_maps_of_different_shapes_are_not_compared(nb, metric, shape):
    with pytest.raises(ValueError, match="must be the same"):
        METRICS[metric](nb, draws(2, 4, 6), draws(*shape), HERE)


# RDDT


@SMALL
@given(arrays(float, st.integers(2, 30), elements=st.integers(-50, 50).map(lambda v: v / 100)))
def test_rddt_is_the_one_sided_t_test(nb, D):
    assume(np.ptp(D) > 0)
    found, n = rddt(nb, D), len(D)
    assert found.p == pytest.approx(stats.ttest_1samp(D, 0, alternative="greater").pvalue, rel=1e-12)
    t = D.mean() / (D.std(ddof=1) / np.sqrt(n))
    assert (found.t, found.p) == pytest.approx((t, stats.t.sf(t, n - 1)), rel=1e-9)
    assert (found.mean, found.cohen_d) == pytest.approx((D.mean(), t / np.sqrt(n)), rel=1e-9)
    assert (found.n, found.bit) == (n, found.p < 0.01)


@pytest.mark.parametrize("n", [5, 40])
def test_rddts_interval_is_the_one_that_every_table_and_claim_has(nb, n):
    D = np.random.default_rng(0).normal(size=n)
    found, claimed = rddt(nb, D), estimates.paired(D, 0 * D, of="photos")
    assert (found.low, found.high) == (claimed.low, claimed.high)
    assert found.low < D.mean() < found.high


def test_rddt_is_1_for_a_fall_that_cannot_be_chance_and_0_for_a_rise(nb):
    D = 0.1 + 0.01 * np.random.default_rng(0).normal(size=20)
    assert rddt(nb, D).bit == 1
    assert rddt(nb, -D).bit == 0


def test_rddt_has_the_level_asked_for(nb):
    D = [0.3, 0.1, 0.2, 0.05]
    p = rddt(nb, D).p
    assert 0.01 < p < 0.05
    assert (rddt(nb, D).bit, rddt(nb, D, level=0.05).bit) == (0, 1)


def test_rddt_of_differences_that_are_all_alike(nb):
    zero, one, less = (rddt(nb, [v] * 5) for v in (0.0, 0.1, -0.1))
    assert (zero.bit, one.bit, less.bit) == (0, 1, 0)
    assert np.isnan(zero.p)
    assert (one.p, less.p) == (0, 1)


@pytest.mark.parametrize("D", [[], [0.3], [0.3, np.nan]])
def test_rddt_needs_two_pictures(nb, D):
    with pytest.warns(UserWarning, match="two pictures"):
        found = rddt(nb, D)
    assert (found.bit, found.n) == (0, min(len(D), 1))
    assert np.isnan(found.p)


def test_rddt_leaves_out_and_does_not_count_what_is_undefined(nb):
    assert rddt(nb, [0.1, np.nan, 0.3, 0.2]) == rddt(nb, [0.1, 0.3, 0.2])


# a correlation of a given strength


def pool(n00, n01, n10, n11, seed=0):
    """T and A with these counts, in disorder."""
    cells = np.repeat(CELLS, (n00, n01, n10, n11), axis=0)
    return np.random.default_rng(seed).permutation(cells).T


def counted(T, A):
    return [[int(((t == T) & (a == A)).sum()) for a in (0, 1)] for t in (0, 1)]


def undersampled(T, A, phi, seed):
    """Rows that `biased` takes, as the notebook asks it, and how many of each cell."""
    photos = four(len(T), 0, 0, 0)
    photos.table[["image", "Male", "Hat"]] = np.array([np.arange(len(T)), T, A]).T
    drawn = biased(photos, "Male", "Hat", phi=phi, seed=seed)
    return drawn.photos.table["image"].to_numpy(int), drawn.cells["taken"].to_numpy().reshape(2, 2)


CELL = st.integers(45, 400)
PHI = st.floats(-0.95, 0.95) | st.sampled_from([k / 10 for k in range(-9, 10)])


@SMALL
@given(st.tuples(CELL, CELL, CELL, CELL), PHI, st.integers(0, 5))
def test_the_correlation_asked_for_is_reached_with_as_many_pictures_as_there_are(nb, sizes, phi, seed):
    T, A = pool(*sizes)
    rows, n = undersampled(T, A, phi, seed)
    assert n.tolist() == counted(T[rows], A[rows])
    assert len(np.unique(rows)) == len(rows) == n.sum()
    assert abs(nb.phi_of(n) - phi) <= 4 / len(rows)  # each cell is short of less than one picture
    assert nb.phi_of(n) == pytest.approx(np.corrcoef(T[rows], A[rows])[0, 1], abs=1e-12)
    assert n.sum(0).tolist() == n.sum(1).tolist() == [len(rows) // 2] * 2  # balanced margins
    assert (np.array(counted(T, A)) - n).min() <= 1  # the scarcest cell is used up


@pytest.mark.parametrize(("phi", "same", "other"), [(0.8, 45, 5), (-0.8, 5, 45), (0, 25, 25), (0.4, 35, 15)])
def test_round_shares_lose_no_picture(phi, same, other):
    rows, n = undersampled(*pool(same, other, other, same), phi, 0)
    assert n.tolist() == [[same, other], [other, same]]
    assert rows.tolist() == list(range(100))


@SMALL
@given(st.integers(1, 400), st.integers(1, 400))
def test_at_balanced_margins_yules_y_is_phi_and_q_is_larger(nb, same, other):
    n = [[same, other], [other, same]]
    phi = nb.phi_of(n)
    assert (same - other) / (same + other) == pytest.approx(phi, abs=1e-12)  # Y: square roots of equal products
    assert nb.yule_q(n) == pytest.approx(2 * phi / (1 + phi**2), abs=1e-12)


def test_yules_q_of_the_papers_strengths(nb):
    found = [nb.yule_q([[10 + k, 10 - k], [10 - k, 10 + k]]) for k in (2, 4, 6, 8)]
    assert found == pytest.approx([0.385, 0.690, 0.882, 0.976], abs=5e-4)


@SMALL
@given(*[st.integers(1, 20)] * 4)
def test_phi_is_the_correlation_and_q_comes_from_the_odds_ratio(nb, a, b, c, d):
    n = [[a, b], [c, d]]
    assert nb.phi_of(n) == pytest.approx(np.corrcoef(*pool(a, b, c, d))[0, 1], abs=1e-12)
    odds = a * d / (b * c)
    assert nb.yule_q(n) == pytest.approx((odds - 1) / (odds + 1), abs=1e-12)


def test_phi_and_q_are_undefined_where_a_margin_or_both_diagonals_are_empty(nb):
    assert np.isnan(nb.phi_of([[3, 4], [0, 0]]))
    assert np.isnan(nb.yule_q([[3, 0], [4, 0]]))
    assert nb.phi_of([[3, 0], [0, 4]]) == nb.yule_q([[3, 0], [0, 4]]) == 1


@pytest.mark.parametrize("phi", [1, -1, 1.0, -1.0])
def test_a_perfect_correlation_uses_two_cells_and_asks_for_no_other(nb, phi):
    sizes = (9, 0, 0, 7) if phi > 0 else (0, 9, 7, 0)
    _, n = undersampled(*pool(*sizes), phi, 0)
    assert n.tolist() == ([[7, 0], [0, 7]] if phi > 0 else [[0, 7], [7, 0]])
    _, n = undersampled(*pool(9, 8, 7, 6), phi, 0)
    assert (n > 0).sum() == 2
    assert nb.phi_of(n) == phi


@pytest.mark.parametrize(("t", "a"), CELLS)
@pytest.mark.parametrize("there", [0, 1])
def test_a_cell_that_is_needed_and_empty_or_too_small_is_named(t, a, there):
    sizes = [50] * 4
    sizes[2 * t + a] = there
    phi = 0.5 if t == a else -0.5  # a cell of 3/8, of one picture of which no other gets one
    with pytest.raises(CourseError, match=f"Male: {t}, Hat: {a}; there are {there or 'none'}"):
        undersampled(*pool(*sizes), phi, 0)


@pytest.mark.parametrize("phi", [1.2, -1.0001, np.nan, np.inf])
def test_an_impossible_correlation_is_refused(phi):
    with pytest.raises(CourseError, match="expected -1 to 1, a correlation coefficient"):
        undersampled(*pool(9, 9, 9, 9), phi, 0)


def test_the_seed_decides_which_pictures_are_taken():
    T, A = pool(30, 30, 30, 30)
    one, same, other = (undersampled(T, A, 0.5, seed)[0].tolist() for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize(("p", "asked", "reached"), [(0.25, 0, -0.24), (0.05, 0.8, 0.46)])
def test_two_published_cells_do_not_make_the_correlation(nb, p, asked, reached):
    share = shares(1, None, asked)
    assert share[0, 1] == share[1, 0] == pytest.approx(p)
    rest = 1 - 2 * p  # drawn from both other cells together, of which (1, 1) are 6 %
    assert nb.phi_of([[0.94 * rest, p], [p, 0.06 * rest]]) == pytest.approx(reached, abs=5e-3)


# decisions


def people(n=400, seed=0):
    """Scores that rise with the label and, for no good reason, with the group: EO is far from 0 below tau 0.7."""
    rng = np.random.default_rng(seed)
    y, a = rng.integers(0, 2, (2, n))
    return np.clip(0.5 + 0.2 * (y - 0.5) + 0.15 * (a - 0.5) + rng.normal(0, 0.08, n), 0.3, 0.7), y, a


def test_equalized_odds_is_the_larger_of_two_gaps(nb):
    y, a = np.array([1, 1, 0, 0] * 2), np.repeat([1, 0], 4)
    hits = np.array([1, 1, 0, 0, 0, 0, 1, 0])  # TPR 1 and 0, FPR 0 and 1/2
    assert nb.equalized_odds(hits, y, a) == 1
    assert nb.equalized_odds(1 - hits, y, a) == 1
    alarms = np.array([1, 0, 0, 0, 1, 0, 1, 1])  # TPR 1/2 and 1/2, FPR 0 and 1
    assert nb.equalized_odds(alarms, y, a) == 1
    assert nb.equalized_odds(np.array([1, 1, 1, 0, 1, 0, 1, 0]), y, a) == 0.5


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(5))
def test_equalized_odds_is_fairlearns(nb, seed):
    yhat, y, a = np.random.default_rng(seed).integers(0, 2, (3, 50))
    theirs = equalized_odds_difference(y, yhat, sensitive_features=a)
    assert nb.equalized_odds(yhat, y, a) == pytest.approx(theirs, abs=1e-12)
    assert nb.equalized_odds(yhat == 1, y, a) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("t", "g"), CELLS)
def test_equalized_odds_without_a_cell_is_undefined(nb, t, g):
    yhat, y, a = np.random.default_rng(0).integers(0, 2, (3, 50))
    kept = (y != t) | (a != g)
    with pytest.warns(UserWarning, match=f"no picture with y={t}, a={g}; "):
        assert np.isnan(nb.equalized_odds(yhat[kept], y[kept], a[kept]))


@pytest.mark.parametrize("yes", [0, 1])
def test_a_constant_decision_is_fair_and_useless(nb, yes):
    _, y, a = people()
    found = nb.performance(np.full(len(y), yes), y, a)
    expected = {"accuracy": (y == yes).mean(), "balanced_accuracy": 0.5, "positive_rate": yes, "equalized_odds": 0}
    assert found == pytest.approx(expected)


def test_performance_by_hand(nb):
    yhat, y, a = np.array([1, 1, 1, 0, 0, 1]), np.array([1, 1, 1, 1, 0, 0]), np.array([0, 1, 0, 1, 0, 1])
    expected = {"accuracy": 4 / 6, "balanced_accuracy": (3 / 4 + 1 / 2) / 2, "positive_rate": 4 / 6}
    assert nb.performance(yhat, y, a) == pytest.approx(expected | {"equalized_odds": 1})


def test_one_class_has_no_balanced_accuracy(nb):
    with pytest.warns(UserWarning, match="it is undefined"):
        found = nb.performance(np.array([1, 0, 1, 1]), np.ones(4, int), np.array([0, 1, 0, 1]))
    assert found["accuracy"] == found["positive_rate"] == 0.75
    assert np.isnan([found["balanced_accuracy"], found["equalized_odds"]]).all()


def best_of(nb, people, taus, allowed, cost):
    """The first tau of the least cost (of EO and balanced accuracy) among those allowed."""
    p1, y, a = people
    rows = [nb.performance(p1 > tau, y, a) for tau in taus]
    pairs = [(row["equalized_odds"], row["balanced_accuracy"]) for row in rows]
    return min((cost(*pair), tau) for pair, tau in zip(pairs, taus, strict=True) if allowed(*pair))[1]


GRID = np.linspace(0.1, 0.9, 20)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("guard", [0.0, 0.6, 0.7])
def test_thropt_takes_the_least_eo_that_its_guard_lets_in(nb, seed, guard):
    some = people(seed=seed)
    expected = best_of(nb, some, GRID, lambda eo, balanced: balanced >= guard, lambda eo, balanced: eo)
    found = nb.thropt(*some, min_balanced_accuracy=guard)
    assert found == pytest.approx(expected)
    assert (found == pytest.approx(0.1)) == (guard == 0)  # all are smiling: as fair as can be


@pytest.mark.parametrize("epsilon", [0.1, 0.3, 1.0])
def test_thropt_may_take_the_best_balanced_accuracy_that_is_fair_enough(nb, epsilon):
    some = people()
    expected = best_of(nb, some, GRID, lambda eo, b: eo < epsilon and b >= 0.5, lambda eo, balanced: -balanced)
    assert nb.thropt(*some, "balanced_accuracy", 0.5, epsilon) == pytest.approx(expected)


def test_thropt_takes_the_first_of_equals(nb):
    y, a = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    p1 = np.where(y, 0.8, 0.2)  # perfect from 0.2 on
    assert nb.thropt(p1, y, a) == pytest.approx(GRID[GRID >= 0.2][0])
    assert nb.thropt(p1, y, a, min_balanced_accuracy=0) == pytest.approx(0.1)


@pytest.mark.parametrize("objective", ["equalized_odds", "balanced_accuracy"])
def test_thropt_stays_at_one_half_where_no_threshold_qualifies(nb, objective):
    p1, y, a = people()
    assert nb.thropt(1 - p1, y, a, objective) == 0.5
    assert 0.5 not in GRID  # so that one half says: none
    assert 0.5 not in np.linspace(0.05, 0.95, 100)


def test_thropt_keeps_its_threshold_where_eo_is_undefined(nb):
    y = np.array([0, 1] * 10)
    with pytest.warns(UserWarning, match="undefined"):
        assert nb.thropt(np.where(y, 0.8, 0.2), y, 1 - y) == 0.5


@pytest.mark.parametrize("epsilon", [0.2, 0.4])
def test_best_threshold_is_the_most_accurate_fair_one(nb, epsilon):
    some = people()
    taus = np.linspace(0.05, 0.95, 100)
    expected = best_of(nb, some, taus, lambda eo, balanced: eo < epsilon, lambda eo, balanced: -balanced)
    assert nb.best_threshold(*some, epsilon) == pytest.approx(expected)


def test_best_threshold_is_one_half_where_none_is_fair(nb):
    y, a = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert nb.best_threshold(np.where(a, 0.99, 0.01), y, a) == 0.5
    assert nb.best_threshold(np.where(a, 0.99, 0.01), y, a, epsilon=1.1) == pytest.approx(0.05)


def tied(everybody):
    """Those whose label is their group, and a quarter of the others: equal rates of yes would not be equal odds."""
    _, y, a = everybody
    kept = (y == a) | (np.arange(len(y)) % 4 == 0)
    return [values[kept] for values in everybody]


def test_hardts_rule_is_fair_for_those_whose_group_it_knows(nb):
    D, (p1, y, a) = tied(people(4000)), tied(people(4000, seed=1))
    given = p1 > 0.5, nb.hardt(*D, p1, a), nb.hardt(*D, p1, 1 - a)
    usual, fair, wrong = (nb.equalized_odds(yes, y, a) for yes in given)
    assert usual > 0.3
    assert fair < 0.1
    assert wrong > usual
    assert nb.performance(nb.hardt(*D, p1, a), y, a)["balanced_accuracy"] > 0.6


def test_hardts_draws_follow_the_seed(nb):
    D, (p1, _, a) = people(), people(seed=1)
    one, same, other = (nb.hardt(*D, p1, a, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert set(one) == {0, 1}


def test_resampled_eo_spreads_as_the_rates_of_its_cells(nb):
    y, a = np.repeat([0, 0, 1, 1], 50), np.tile(np.repeat([0, 1], 50), 2)
    rates = {(0, 0): 0.4, (0, 1): 0.4, (1, 0): 0.2, (1, 1): 0.8}
    yes = np.concatenate([np.arange(50) < 50 * rates[cell] for cell in rates]).astype(int)
    found = nb.resampled_eo(yes, y, a, np.arange(200), draws=4000)
    spread = np.sqrt(2 * 0.2 * 0.8 / 50)  # of the larger gap, 0.6; the other, 0, never gets there
    assert len(found) == 4000
    assert found.mean() == pytest.approx(0.6, abs=5 * spread / np.sqrt(4000))
    assert found.std() == pytest.approx(spread, rel=0.06)  # 5 sd of an sd


def test_resampled_eo_draws_the_same_pictures_for_every_method(nb):
    p1, y, a = people()
    yes = (p1 > 0.5).astype(int)
    one, same, other, none = (
        nb.resampled_eo(some, y, a, np.arange(len(y)), seed=seed)
        for some, seed in ((yes, 0), (1 - yes, 0), (yes, 1), (0 * yes, 0))
    )
    assert np.allclose(one, same, atol=1e-12)  # the gaps of the opposite decisions are as large
    assert not np.allclose(one, other)
    assert not none.any()


def test_resampled_eo_draws_a_photo_with_both_of_its_pictures(nb):
    y, a, photo = np.tile([0, 1], 100), np.repeat([0, 1], 100), np.tile(np.arange(100), 2)
    yes = np.tile(np.random.default_rng(0).integers(2, size=100), 2)  # a photo is judged alike with and without a tag
    assert not nb.resampled_eo(yes, y, a, photo).any()  # so its groups never differ
    assert nb.resampled_eo(yes, y, a, np.arange(200)).mean() > 0.05  # as if they were other people


# what stands beside a method


@pytest.fixture
def compared(nb, monkeypatch):
    """Sets the notebook's table of looks at 40 photos: a column of each row's values; gives `gain`."""

    def arrange(column="ADR", seeds=1, **rows):
        rng = np.random.default_rng(0)
        of = [(m, s, i, rng.normal(v, 0.001)) for m, v in rows.items() for s in range(seeds) for i in range(40)]
        table = pd.DataFrame(of, columns=["method", "seed", "photo", column])
        monkeypatch.setattr(nb, "looks", table.assign(protected="Tie", phi=-0.8, saliency="lrp"), raising=False)
        monkeypatch.setattr(nb, "lead", nb.namedtuple("Case", "protected phi seed")("Tie", -0.8, 0), raising=False)
        monkeypatch.setattr(nb, "Case", nb.namedtuple("Case", "protected phi seed"), raising=False)
        monkeypatch.setattr(nb, "LOWER", ("RRF", "equalized_odds"), raising=False)
        monkeypatch.setattr(nb, "SEVERAL", "trainings", raising=False)
        monkeypatch.setattr(nb, "at", lambda t, **w: t[(t[[*w]] == pd.Series(w)).all(axis=1)], raising=False)
        nb.gain.cache_clear()  # of another table of looks
        return lambda one, other: nb.gain(column, one, other, "Tie", "lrp")

    return arrange


@pytest.mark.parametrize("seed", [0.006, -0.006])
@pytest.mark.parametrize(("method", "holds"), [(0.003, False), (0.009, True)])
def test_a_method_looks_away_when_it_beats_the_spread_of_seeds_whichever_comes_first(compared, seed, method, holds):
    gain = compared(zhang=method, vanilla=0.0, reseed=seed)
    assert (gain("zhang", "reseed") > 0).holds is holds
    assert (gain("zhang", "vanilla") > 0).holds is True
    assert gain("zhang", "reseed").value == pytest.approx(method - 0.006, abs=0.001)


def test_less_is_better_of_rrf_and_from_three_seeds_on_trainings_count(compared):
    gain = compared("RRF", zhang=0.1, vanilla=0.2)
    assert gain("zhang", "vanilla").value == pytest.approx(0.1, abs=0.001)
    assert gain("zhang", "vanilla").of == "photos"
    found = compared("RRF", seeds=3, zhang=0.1, vanilla=0.2)("zhang", "vanilla")
    assert (found.n, found.of) == (3, "trainings")


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((1e-5, 7e-5), "✓ +0.00004"),
        ((-7e-5, -1e-5), "✗ -0.00004"),
        ((1e-9, 7e-9), "✓ +4.0e-09"),
        ((-0.1, 0.2), "○ +0.05"),
        ((-0.3, -0.1), "✗ -0.20"),
    ],
)
def test_a_mark_says_by_sign_and_digits_what_the_interval_says(nb, monkeypatch, ends, said):
    found = Estimate(sum(ends) / 2, *ends, 40, "photos", signed=True)
    monkeypatch.setattr(nb, "idle", lambda *asked: [])
    assert nb.mark(found, "Tie", "lrp", "ADR", "zhang") == said
    monkeypatch.setattr(nb, "idle", lambda *asked: ["ZhangAL"])
    assert nb.mark(found, "Tie", "lrp", "ADR", "zhang") == f"({said[2:]})"  # not judged


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ([], "by ig, too, ZhangAL, SavaniAFT look away"),
        (["zhang"], "by ig, too, SavaniAFT look away"),  # the claim is not made of one that was not compared
        (["zhang", "savani"], "by ig, too, ZhangAL, SavaniAFT look away"),
    ],
)
def test_a_claim_of_several_methods_names_those_that_were_compared(nb, monkeypatch, lost, said):
    claims, found = [], estimates.mean(np.linspace(0.1, 0.3, 40), of="photos")
    names = {"zhang": "ZhangAL", "savani": "SavaniAFT"}
    held = {"LABELS": names, "protected": ["Tie"], "saliency": ["lrp"], "SEEDS": {}, "REACH": "", "DECIDES": 0.6}
    held |= {"QUESTIONS": {"ADR": ("ADR", {}, "", [])}, "answered": {("Tie", "ig", "ADR", m): found for m in names}}
    held |= {"idle": lambda name, question, m: [names[m]] * (m in lost)}
    for name, value in held.items():
        monkeypatch.setattr(nb, name, value, raising=False)
    write = lambda claim, seen, why: claims.append((claim, seen, why))  # noqa: E731
    nb.judge(write, "by ig, too, {} look away", "ADR", names, kind="ig")
    ((claim, seen, why),) = claims
    assert claim == said
    assert (seen is None) == (len(lost) == 2)
    assert all(f"{names[m]} below a balanced accuracy of 0.6" in why for m in lost)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("balanced_accuracy", [0.5964], "0.5964"),  # 0.60 beside a dagger for below 0.6 would be none to read
        ("balanced_accuracy", [0.6004], "0.6004"),
        ("balanced_accuracy", [0.52], "0.52"),
        ("accuracy", [0.5964], "0.60"),
    ],
)
def test_a_balanced_accuracy_near_the_limit_is_printed_so_that_its_side_is_seen(nb, monkeypatch, column, values, said):
    monkeypatch.setattr(nb, "DECIDES", 0.6, raising=False)
    monkeypatch.setattr(nb, "SEVERAL", "trainings", raising=False)
    assert nb.in_cell(pd.Series(values, name=column)) == said


def test_a_balanced_accuracy_near_the_limit_keeps_its_interval(nb, monkeypatch):
    monkeypatch.setattr(nb, "DECIDES", 0.6, raising=False)
    monkeypatch.setattr(nb, "SEVERAL", "trainings", raising=False)
    said = nb.in_cell(pd.Series([0.5, 0.6, 0.69], name="balanced_accuracy"))
    assert said.startswith("0.5967 [0.")
    assert said.endswith("]")


def test_shuffled_labels_are_the_same_groups_in_an_order_that_the_seed_decides(nb):
    a = torch.arange(40) % 2
    one, same, other = (nb.shuffled(a, seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert sorted(one.tolist()) == sorted(a.tolist()) != one.tolist()


EO = {"Vanilla": 0.7, "ThrOpt": 0.3, "ZhangAL": 0.2, "fine-tuning": 0.6}


def test_the_headline_names_the_best_of_those_that_decide(nb):
    said = nb.headline(
        EO, {"Below vanilla": ["ZhangAL", "A-ClArC"], "below each control, too": ["ZhangAL"], "more": []}
    )
    assert said.startswith("of the six methods ThrOpt, ZhangAL decide. ")
    assert ". Below vanilla: ZhangAL, A-ClArC; below each control, too: ZhangAL; more: none. EO" in said
    assert "EO goes from 0.70 to 0.20 at best of these methods (ZhangAL), by fine-tuning to 0.60" in said
    assert nb.headline({k: EO[k] for k in ("Vanilla", "ThrOpt")}, {}).startswith("of the six methods ThrOpt decides. ")
    assert "fine-tuning" not in nb.headline({k: v for k, v in EO.items() if k != "fine-tuning"}, {})


def test_the_headline_says_where_the_least_eo_may_be_chance(nb):
    assert "at best of these methods (ZhangAL, which may be chance)" in nb.headline(EO, {}, sure=["ThrOpt"])
    assert "at best of these methods (ZhangAL)," in nb.headline(EO, {}, sure=["ZhangAL"])


@pytest.mark.parametrize(
    ("decide", "who"),
    [
        (["Vanilla"], "no method's network decides"),
        (["Vanilla", "fine-tuning"], "no method's network decides"),
        (["fine-tuning"], "not even the vanilla network decides"),
        (["ThrOpt", "ZhangAL"], "not even the vanilla network decides"),
        ([], "not even the vanilla network decides"),
    ],
)
def test_the_headline_says_it_where_nothing_decides_and_names_no_best(nb, decide, who):
    said = nb.headline({name: EO[name] for name in decide}, {"Below vanilla": ["ZhangAL"]})
    assert said == f"{who} (balanced accuracy below 0.6), so nothing can be said of debiasing"


def test_a_map_that_peaks_at_the_edge_is_told_and_its_adr_is_taken_inside_too(nb, monkeypatch):
    for name, value in {"prep": "abs_max", "mass": False, "eps": 0.001}.items():
        monkeypatch.setattr(nb, name, value, raising=False)
    v, d = torch.zeros(1, 12, 12), torch.zeros(1, 12, 12)
    v[0, 5, 5] = d[0, 5, 5] = 1.0  # the same in the rectangle and all else inside
    d[0, 0, 7] = 4.0  # and a peak at the edge
    (found,) = nb.metrics_by_picture(d, v, (4, 4, 4, 4)).to_dict("records")
    assert found["peak at edge"] == 1
    assert found["ADR"] == pytest.approx((0.5 - 0.125) / 16)  # a fall that only the division makes
    assert found["ADR inside"] == 0
    assert nb.metrics_by_picture(v, v, (4, 4, 4, 4)).loc[0, "peak at edge"] == 0
    assert nb.without_edge(torch.ones(1, 12, 12)).sum() == 36


# the three sets


def album(names, **columns):
    table = pd.DataFrame({"image": names, "split": "val", "label": "all"} | columns)
    return Photos(Path("album"), table.assign(_class=0), ["all"], torch.arange(1), {})


@pytest.fixture
def three(nb, monkeypatch):
    def arrange(photos, split, parts=("train", "debias", "test")):
        known = {"pictures_of": photos, "split": split, "seed": 0, "fractions": [0.3, 0.2, 0.5]}
        for name, value in (known | {"PARTS": dict.fromkeys(parts)}).items():
            monkeypatch.setattr(nb, name, value, raising=False)
        return {part: [*found.table["image"]] for part, found in nb.in_three().items()}

    return arrange


def test_shares_are_drawn_at_random_or_taken_in_the_order_of_the_files(three):
    names = [f"{i:02d}" for i in range(20)]
    files, drawn = three(album(names), "files"), three(album(names), "fraction")
    assert files == {"train": names[:6], "debias": names[6:10], "test": names[10:]}
    assert [len(part) for part in drawn.values()] == [6, 4, 10]
    assert sorted(sum(drawn.values(), [])) == names
    assert drawn != files


def test_a_network_from_a_file_takes_no_pictures_to_train_with(three):
    found = three(album([f"{i:02d}" for i in range(21)]), "fraction", ("debias", "test"))
    assert {part: len(names) for part, names in found.items()} == {"debias": 6, "test": 15}  # 2 to 5, of all


@pytest.mark.parametrize("split", ["fraction", "files"])
def test_both_pictures_of_a_photo_come_into_one_set(nb, three, split):
    names, photos = [f"{i}-{tag}" for i in range(20) for tag in (0, 1)], np.repeat([f"{i}.jpg" for i in range(20)], 2)
    found = three(album(names, original=photos), split)
    sides = [{name.split("-")[0] for name in part} for part in found.values()]
    assert sorted(sum(map(list, sides), [])) == sorted({*map(str, range(20))})  # no photo twice
    assert [len(part) for part in found.values()] == [12, 8, 20]
    assert list(nb.photo_of(album(names, original=photos))) == list(photos)
    assert list(nb.photo_of(album(names))) == names


# gradients


def test_zhangs_gradient_by_hand(nb):
    g_P, g_A = [torch.tensor([3.0, 4.0]), torch.tensor([1.0])], [torch.tensor([2.0, 0.0]), torch.tensor([1.0])]
    ours = nb.zhang_gradient(g_P, g_A, 0.5)  # along 3 * 2 + 1 * 1 = 7 of 5
    assert [g.tolist() for g in ours] == [pytest.approx([3 - 2.8 - 1, 4]), pytest.approx([1 - 1.4 - 0.5])]
    theirs = nb.zhang_gradient(g_P, g_A, 0.5, published=True)  # along 6 of the first tensor, 1 of the second
    assert [g.tolist() for g in theirs] == [[3 - 12 - 1, 4], [1 - 1 - 0.5]]


GRADIENTS = st.integers(0, 10**6).map(lambda seed: [draws(3, 2, seed=seed) - 0.5, draws(4, seed=seed + 1) - 0.5])


@SMALL
@given(GRADIENTS, GRADIENTS, st.floats(0, 3), st.floats(0.01, 100))
def test_zhangs_gradient_goes_against_the_adversary_by_alpha_and_no_more(nb, g_P, g_A, alpha, size):
    g_A = [size * q for q in g_A]
    g, P, A = (torch.cat([part.flatten() for part in v]) for v in (nb.zhang_gradient(g_P, g_A, alpha), g_P, g_A))
    assert (g @ A).item() == pytest.approx(-alpha * (A @ A).item(), rel=1e-9, abs=1e-9 * size)
    across = P - (P @ A) / (A @ A) * A
    assert torch.allclose(g + alpha * A, across, atol=1e-9 * (1 + size))


def test_an_adversary_with_nothing_to_say_changes_nothing(nb):
    g_P = [torch.tensor([3.0, 4.0]), torch.tensor([1.0])]
    found = nb.zhang_gradient(g_P, [torch.zeros(2), torch.zeros(1)], 0.5)
    assert [g.tolist() for g in found] == [[3, 4], [1]]


def test_savanis_factor_by_hand(nb):
    mu = torch.tensor([-0.5, 0.0, 0.09, 0.29, 1.0])
    assert nb.savani_factor(mu).tolist() == pytest.approx([1, 1, 1, 1.2, 1.91])
    assert nb.savani_factor(mu, lam=2.0, epsilon=0.2, delta=0.1).tolist() == pytest.approx([1, 1, 1, 1.38, 2.8])
    assert nb.savani_factor(mu, lam=0.0).tolist() == [1] * 5


def test_savanis_factor_teaches_until_the_gap_is_small_enough(nb):
    mu = torch.tensor([0.5, 0.05], requires_grad=True)
    nb.savani_factor(mu).sum().backward()
    assert mu.grad.tolist() == [1, 0]


# directions


@SMALL
@given(st.integers(0, 10**6), st.integers(1, 15))
def test_the_signal_cav_is_the_difference_of_means(nb, seed, ones):
    x, A = draws(16, 5, seed=seed), torch.arange(16) < ones
    v = x[A].mean(0) - x[~A].mean(0)
    for groups in (A, A.long()):
        assert torch.allclose(nb.signal_cav(x, groups), v / v.norm(), atol=1e-9)
    assert torch.allclose(nb.signal_cav(100 * x + 3, A), v / v.norm(), atol=1e-9)


@pytest.mark.parametrize("group", [0, 1])
def test_a_direction_needs_two_groups(nb, group):
    with pytest.raises(ValueError, match=f"all 6 activations have A={group}"):
        nb.signal_cav(draws(6, 3), torch.full((6,), group))


def test_there_is_no_direction_between_equal_means(nb):
    with pytest.raises(ValueError, match="the same mean"):
        nb.signal_cav(torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([0, 1]))


def test_rounding_is_no_direction(nb):
    x = draws(50, 8).float()
    with pytest.raises(ValueError, match="the same mean"):
        nb.signal_cav(torch.cat([x, x]), torch.tensor([0] * 50 + [1] * 50))


@pytest.mark.parametrize("kind", ["signal", "svm", "ridge", "lasso", "logistic"])
def test_every_kind_finds_a_planted_direction(nb, kind):
    generator = torch.Generator().manual_seed(0)
    A = torch.randint(2, (200,), generator=generator)
    planted = F.normalize(torch.tensor([3.0, -1.0, 0.0, 0.0, 2.0]), dim=0)
    x = torch.randn(200, 5, generator=generator) + 3 * A[:, None] * planted
    v = nb.cav_of(x, A, kind)
    assert v @ planted > 0.9
    assert v.norm().item() == pytest.approx(1, abs=1e-6)
    assert v.dtype == x.dtype


@pytest.mark.parametrize(("n", "batch"), [(256, 128), (300, 128), (7, 3), (9, 128), (5, 1)])
def test_mixed_labels_are_the_published_reshaping(nb, n, batch):
    y, a = torch.arange(n), torch.arange(n) + 1000
    parts = [np.array((y[i : i + batch], a[i : i + batch])).reshape(-1, 2)[:, 1] for i in range(0, n, batch)]
    assert nb.mixed_labels(y, a, batch).tolist() == np.concatenate(parts).tolist()


def test_mixed_labels_agree_with_the_truth_by_chance_but_one_by_one(nb):
    y, a = torch.randint(2, (2, 128 * 40), generator=torch.Generator().manual_seed(0))
    assert (nb.mixed_labels(y, a) == a).double().mean().item() == pytest.approx(0.5, abs=0.03)  # 4 sd of 5,120
    assert torch.equal(nb.mixed_labels(y, a), nb.mixed_labels(y, a, 128))
    assert torch.equal(nb.mixed_labels(y, a, 1), a)


# RR-ClArC's penalty

ROWS = torch.tensor([[1.0, 3.0, 0.0], [2.0, -1.0, 1.0]], dtype=torch.float64)
SEEN = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)  # of class 0, of class 1
V = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)  # along it the rows are 3.0 and 0.4


def penalty(nb, score="max_logit", norm="l2", x=SEEN, c=(1, 1), v=V):
    """The penalty, and the head's weights, of a linear head."""
    W, x = ROWS.clone().requires_grad_(), x.clone().requires_grad_()
    return nb.rr_penalty(x.flatten(1) @ W.T, x, v, torch.tensor(c), score, norm), W


@pytest.mark.parametrize(
    ("score", "along"),
    [
        ("max_logit", [3.0, 0.4]),
        ("target_logit", [0.4, 0.4]),
        ("sum", [3.4, 3.4]),
        # mean less expectation: logits 3 and -1, 1 and 2
        ("log_softmax", [1.7 - np.dot([3.0, 0.4], np.exp(s) / np.exp(s).sum()) for s in ([3, -1], [1, 2])]),
    ],
)
def test_the_penalty_of_a_linear_head_is_its_rows_along_v(nb, score, along):
    assert penalty(nb, score, "l2")[0].item() == pytest.approx(np.square(along).mean())
    assert penalty(nb, score, "l1")[0].item() == pytest.approx(np.abs(along).mean())


def test_the_cosine_is_of_the_whole_gradient(nb):
    expected = (3 / 10**0.5 + 0.4 / 6**0.5) / 2
    assert penalty(nb, norm="cosine")[0].item() == pytest.approx(expected)


@pytest.mark.parametrize("norm", ["l2", "l1", "cosine"])
def test_a_direction_has_no_sign(nb, norm):
    assert penalty(nb, norm=norm)[0] == penalty(nb, norm=norm, v=-V)[0] > 0


def test_random_signs_are_drawn_for_each_logit_of_each_picture(nb):
    torch.manual_seed(0)
    one, other = 3.4**2, 2.6**2  # of equal and of opposite signs
    found = {round(penalty(nb, "random_signs")[0].item(), 9) for _ in range(40)}
    assert found == {round(v, 9) for v in (one, other, (one + other) / 2)}


def test_activations_may_have_any_shape(nb):
    flat, folded = penalty(nb)[0], penalty(nb, x=SEEN[:, :, None, None])[0]
    assert folded == flat


def test_the_penalty_teaches_the_winning_rows(nb):
    found, W = penalty(nb)
    found.backward()
    assert torch.allclose(W.grad, torch.stack([3.0 * V, 0.4 * V]))  # 2 along v, by two pictures
    found, W = penalty(nb, x=SEEN[:1], c=(1,))
    found.backward()
    assert torch.allclose(W.grad, torch.stack([6.0 * V, 0 * V]))  # a class that is never predicted


@pytest.mark.parametrize("score", ["max_logit", "target_logit", "sum", "random_signs", "log_softmax"])
@pytest.mark.parametrize("norm", ["l2", "l1", "cosine"])
def test_the_penalty_reaches_weights_before_the_activations_too(nb, score, norm):
    torch.manual_seed(0)
    first, head = nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    seen = first(torch.randn(5, 4))
    nb.rr_penalty(head(seen), seen, V.float(), torch.randint(2, (5,)), score, norm).backward()
    assert all(w.grad.abs().max() > 0 for w in (first.weight, head[0].weight, head[2].weight))


# against the authors' library


def two_maps(n=20, height=24, width=30):
    r, s = (draws(n, height, width, seed=seed) - 0.4 for seed in (0, 1))
    return r, s


def theirs(detoxai, metric, v, d, position, size):
    found = getattr(detoxai.xai, metric)()
    found.aggregate(*(maps.numpy() for maps in (d,)), position, size, *([] if metric == "RRF" else [v.numpy()]))
    return found


@pytest.mark.oracle
def test_intensity_is_detoxais(nb, detoxai):
    r, _ = two_maps()
    a = r.abs().amax((1, 2), keepdim=True)
    symmetrized = detoxai.xai.XAIMetricsCalculator(None, None)._symmetrize(((r + a) / (2 * a)).numpy())
    assert nb.intensity(r)[0].numpy() == pytest.approx(symmetrized, abs=1e-12)


@pytest.mark.oracle
def test_the_four_metrics_are_detoxais_given_rows_first(nb, detoxai):
    (v, _), (d, _) = map(nb.intensity, two_maps())
    x, y, w, h = roi = (17, 4, 9, 13)
    ours = {"RRF": nb.rrf(d, roi), "ADR": nb.adr(v, d, roi), "DIF": nb.dif(v, d, roi), "RDDT": nb.adr(v, d, roi)}
    for metric, values in ours.items():
        assert values.numpy() == pytest.approx(theirs(detoxai, metric, v, d, (y, x), (h, w)).metvals, abs=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("shift", [0.0, 0.01, 0.1])
def test_rddt_is_detoxais(nb, detoxai, shift):
    (v, _), (d, _) = map(nb.intensity, two_maps())
    d = d - shift
    found = theirs(detoxai, "RDDT", v, d, (4, 17), (13, 9)).reduce()
    ours = rddt(nb, nb.adr(v, d, (17, 4, 9, 13)))
    assert ours.p == pytest.approx(found["p-value"], rel=1e-9)
    assert ours.bit == found["result"]


@pytest.mark.oracle
def test_detoxai_given_a_rectangle_measures_the_transposed_one(nb, detoxai):
    (v, _), (d, _) = map(nb.intensity, two_maps(height=30))
    x, y, w, h = 17, 4, 9, 13
    found = theirs(detoxai, "ADR", v, d, (x, y), (w, h)).metvals
    assert nb.adr(v, d, (y, x, h, w)).numpy() == pytest.approx(found, abs=1e-12)
    assert nb.adr(v, d, (x, y, w, h)).numpy() != pytest.approx(found, abs=1e-3)


@pytest.mark.oracle
def test_the_signal_cav_is_detoxais(nb, detoxai):
    x, A = draws(40, 6), (draws(40, seed=1) > 0.3).long()
    v, *_ = detoxai.cavs.compute_cav(x.numpy(), A.numpy(), "signal")
    assert torch.allclose(nb.signal_cav(x, A), v[0], atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(5))
def test_equalized_odds_is_what_detoxai_optimises(nb, detoxai, seed):
    yhat, y, a = np.random.default_rng(seed).integers(0, 2, (3, 60))
    gap = detoxai.bias.calculate_bias_metric_torch("EO_GAP", *map(torch.from_numpy, (yhat, y, a)))
    assert nb.equalized_odds(yhat, y, a) == pytest.approx(gap.item(), abs=1e-6)  # theirs in float32


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(4))
def test_thropt_without_its_guard_is_detoxais(nb, detoxai, seed):
    rng = np.random.default_rng(seed)
    y, a = np.repeat([0, 0, 1, 1], 16), np.tile(np.repeat([0, 1], 16), 2)  # rates without rounding
    p1 = rng.uniform(0.15, 0.6, 64) + 0.25 * y
    p1[:4], p1[-4:] = 0.05, 0.95  # all of one group: the ends of the grid are not the fairest
    x = torch.from_numpy(np.log(p1 / (1 - p1)))[:, None].float() * torch.tensor([0.0, 1.0])
    data = TensorDataset(x, torch.from_numpy(y), torch.from_numpy(a))
    loader = detoxai.dataloader.DetoxaiDataLoader(data, batch_size=16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer = detoxai.posthoc.NaiveThresholdOptimizer(nn.Identity(), "name", "cpu", loader)
        found = optimizer._optimize_threshold((0.1, 0.9), 20, lambda fairness, accuracy: -fairness, "EO_GAP")
    assert 0.1 < found < 0.9
    assert nb.thropt(p1, y, a, min_balanced_accuracy=0) == pytest.approx(found)
