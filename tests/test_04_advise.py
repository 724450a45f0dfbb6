"""notebooks/04_advise.ipynb, sections 0 to 5 and 9 to 13: densities against adaptivekde, by hand and by law; then all.

Sections 6 to 8, the protocol AVX, are tests/test_04_avx.py.
"""

import copy
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import adaptivekde
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from known import DOUBLE, RED, browsed, close, few_for_embedded, silent_weights
from scipy import signal, stats
from torch import nn
from torch.nn import functional as F

from helpers import figures
from helpers import networks as models
from helpers import pictures as data
from helpers import stats as estimates
from helpers.errors import CourseError
from helpers.heatmaps import attribute
from helpers.networks.layers import last_conv, named_layer
from reports import cli, plans
from reports import runs as reports

SMALL = settings(deadline=None, max_examples=40)


@pytest.fixture(scope="module")
def nb(notebook):
    loaded = notebook("04_advise")
    loaded.focus = notebook("01_focus")  # an assignment, which loading without running leaves out
    return loaded


SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "bimodal": lambda rng, n: np.concatenate([rng.normal(-3, 0.5, n // 2), rng.normal(2, 1, n - n // 2)]),
    "after a ReLU": lambda rng, n: np.maximum(rng.normal(-0.3, 1, n), 0),  # more than half are zero
    "heavy-tailed": lambda rng, n: rng.standard_t(2, size=n),
    "uniform": lambda rng, n: rng.uniform(size=n),
}


def units_of(shape, n, K=2, seed=0):
    """K units of n values, each from 0 to 1."""
    rng = np.random.default_rng(seed)
    x = np.stack([SHAPES[shape](rng, n) for _ in range(K)])
    return torch.from_numpy((x - x.min(1, keepdims=True)) / np.ptp(x, axis=1, keepdims=True))


def all_shapes(n, K=20, seed=0):
    return torch.cat([units_of(shape, n, K, seed) for shape in SHAPES])


def bells(centres, width, n):
    """n values at the quantiles of normal densities, as many in each."""
    share = n // len(centres)
    return torch.from_numpy(
        np.concatenate([stats.norm.ppf((np.arange(share) + 0.5) / share, c, width) for c in centres])
    )


# the steps of a density


def test_the_grid_goes_from_0_to_1_in_even_steps(nb):
    assert nb.grid_points(11).tolist() == pytest.approx(np.linspace(0, 1, 11))


def test_fewer_than_7_values_have_no_density(nb):
    with pytest.raises(ValueError, match=r"a unit has 6 values.*Take an earlier layer= or larger pictures"):
        nb.densities(torch.rand(3, 6))
    assert nb.densities(torch.rand(3, 7)).lam.shape == (3, 7)


@pytest.mark.parametrize("x", [torch.rand(9), torch.rand(2, 3, 9), torch.full((2, 9), torch.inf)])
def test_values_that_cannot_be_meant_are_refused_with_their_shape(nb, x):
    with pytest.raises(ValueError, match=rf"x has shape \({', '.join(map(str, x.shape))}"):
        nb.densities(x)


def test_a_bin_holds_its_lower_edge_and_not_its_upper_one(nb):
    t = nb.grid_points(9)  # eighths: every edge is a float
    x = torch.tensor([0.0, 1 / 16, 3 / 16, 0.9375, 1.0]).double()
    assert (nb.histogram(x, t) / 8).tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 2]


def test_values_outside_of_the_grid_and_nan_count_nowhere(nb):
    x = torch.tensor([-0.07, -0.05, 0.3, 1.06, 5.0, torch.nan]).double()
    assert (nb.histogram(x, nb.grid_points(9)) / 8).tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 1]


def test_bandwidths_go_from_five_steps_to_the_range_evenly_before_the_softplus(nb):
    W = nb.bandwidths_of(nb.grid_points(49), 10)
    assert (W[0].item(), W[-1].item()) == pytest.approx((5 / 48, 1))
    z = torch.log(torch.expm1(W))
    assert torch.allclose(z.diff(), (z[-1] - z[0]) / 9)
    assert W[4].item() == pytest.approx(math.log1p(math.exp(z[0].item() * 5 / 9 + z[-1].item() * 4 / 9)))


@pytest.mark.parametrize(("w", "padding", "n"), [(0.11, "each", 128), (1.0, "each", 256), (1.0, "full", 512)])
def test_smoothing_adds_up_bumps_and_those_that_wrap_around(nb, w, padding, n):
    # 49 points and 3 w / delta of room, up to a power of two; a bump comes back after n points
    rng, delta = np.random.default_rng(0), 1 / 48
    y = rng.poisson(2.0, 49) / delta
    apart = np.arange(49)[:, None] - np.arange(49)
    bumps = sum(stats.norm.pdf((apart + turn * n) * delta, scale=w) for turn in range(-3, 4))
    # 1e-9 of heights of hundreds: an FFT's rounding; a bump of 5 or more steps is sampled without loss
    assert np.allclose(nb.smooth(torch.from_numpy(y), w, delta, padding), delta * bumps @ y, rtol=0, atol=1e-9)


def test_smoothing_keeps_the_mass_of_what_stays_inside(nb):
    y = torch.zeros(2, 201).double()
    y[:, 95:106] = torch.rand(2, 11, generator=torch.Generator().manual_seed(0)).double() * 200
    assert torch.allclose(nb.smooth(y, 0.05, 1 / 200).sum(1), y.sum(1), rtol=1e-12)  # the edges are 9 widths away


def filters_of(nb, L, W, padding="each"):
    """t, and the filters of bandwidths W as matrices."""
    t = nb.grid_points(L)
    return t, nb.filters(t, W, padding)


def test_a_single_value_costs_the_square_of_its_bump_and_two_in_one_bin_less_for_each_other(nb):
    L, delta, W = 101, 0.01, torch.tensor([0.05, 0.07]).double()
    y = torch.zeros(2, L).double()
    y[0, 50], y[1, 50] = 1 / delta, 2 / delta
    c = nb.local_costs(y, W, filters_of(nb, L, W)[1])
    assert c.shape == (2, 2, L)
    for j, w in enumerate([0.05, 0.07]):
        bump = stats.norm.pdf((np.arange(L) - 50) * delta, scale=w)
        assert np.allclose(c[0, j], bump**2, atol=1e-8)  # what a value gives itself is taken away
        pair = 4 * bump**2 - np.where(np.arange(L) == 50, 4 * bump / delta, 0)
        assert np.allclose(c[1, j], pair, atol=1e-8)


@pytest.mark.parametrize("padding", ["each", "full"])
def test_the_filters_as_matrices_smooth_as_in_fourier_space(nb, padding):
    W = nb.bandwidths_of(nb.grid_points(49), 10)
    t, G = filters_of(nb, 49, W, padding)
    y = nb.histogram(all_shapes(49, 3), t)
    for w, g in zip(W.tolist(), G, strict=True):
        assert torch.allclose(y @ g, nb.smooth(y, w, 1 / 48, padding), rtol=0, atol=1e-9)  # heights of hundreds


def test_in_each_window_the_cheapest_bandwidth_is_the_field(nb):
    W = nb.bandwidths_of(nb.grid_points(49), 10)
    t, G = filters_of(nb, 49, W)
    c = nb.local_costs(nb.histogram(all_shapes(49, 1), t), W, G)
    found = nb.fields(c, W, G)
    for i, w in enumerate(W.tolist()):
        assert torch.equal(found[:, i], W[nb.smooth(c, w, 1 / 48).argmin(1)])


def at_stiffness(nb, Omega, W, g):
    return nb.at_stiffness((Omega / W[:, None])[None], W, torch.tensor([g]).double())[0]


def test_of_the_windows_that_fit_the_widest_is_taken_and_its_share_is_the_bandwidth(nb):
    W = torch.tensor([1.0, 2.0, 4.0]).double()
    Omega = torch.tensor([[2, 2, 1], [1, 1, 4], [1, 1, 2], [4, 1, 1]]).double().T  # a column a point
    assert at_stiffness(nb, Omega, W, 0.5).tolist() == [1.0, 2.0, 2.0, 1.0]


def test_where_a_stiffness_lies_below_all_ratios_the_bandwidth_is_the_widest(nb):
    # the special case of the reference (its CostFunction: `if g < min(gs): optwv[k] = np.max(WIN)`)
    W = torch.tensor([1.0, 2.0, 4.0]).double()
    assert at_stiffness(nb, torch.full((3, 1), 4.0).double(), W, 0.5).tolist() == [4.0]


def averaged(nb, omega, g, t):
    return nb.nadaraya_watson(omega[None], torch.tensor([g]).double(), t)[0]


def test_one_bandwidth_everywhere_stays_as_it_is(nb):
    found = averaged(nb, torch.full((20,), 0.3).double(), 0.4, nb.grid_points(20))
    assert torch.allclose(found, torch.tensor(0.3).double())


def test_averaged_bandwidths_have_windows_of_their_source_points_width(nb):
    t, omega, g = nb.grid_points(7), torch.tensor([0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.4]).double(), 0.5
    expected = []
    for point in t.tolist():
        K = [stats.norm.pdf(point - s, scale=w / g) for s, w in zip(t.tolist(), omega.tolist(), strict=True)]
        expected.append(np.average(omega, weights=K))
    assert averaged(nb, omega, g, t).tolist() == pytest.approx(expected)


def test_the_balloon_takes_the_bandwidth_of_where_it_estimates_and_keeps_the_number(nb):
    t, omega = nb.grid_points(7), torch.linspace(0.1, 0.4, 7).double()
    y = torch.tensor([0.0, 3, 0, 0, 1, 0, 2]).double()
    plain = np.array(
        [
            sum(y[m].item() * stats.norm.pdf(t[l] - t[m], scale=omega[l].item()) for m in range(7))
            for l in range(7)  # noqa: E741  the paper's l
        ]
    )
    apart = (t[:, None] - t)[None] ** 2
    found = nb.balloon(y[None, None], apart, omega[None], y.sum()[None])[0]
    assert found.sum().item() == pytest.approx(6)
    assert np.allclose(found / found.sum(), plain / plain.sum())
    occupied = y.nonzero()[:, 0]
    fewer = nb.balloon(y[None, None, occupied], apart[:, occupied], omega[None], y.sum()[None])[0]
    assert torch.allclose(fewer, found, rtol=1e-12)


CASES = {"all fit": [0], "only the narrowest": [1], "one or the other": [0, 1], "any": [2]}


@pytest.mark.parametrize("case", CASES)
def test_the_table_of_bumps_gives_the_literal_average_where_all_windows_fit_and_where_not(nb, case):
    # Omega_1 is never below W_1, so one window always fits; where all do, the reference makes an exception
    t, W, _, bumps = nb.grid_for(49, 10)
    M, L, g = 10, 49, torch.tensor([0.03, 0.3, 0.9]).double()
    places = torch.arange(L).expand(3, M, L) % len(CASES[case])
    kind = torch.tensor(CASES[case])[places]
    drawn = torch.randint(0, M, (3, M, L), generator=torch.Generator().manual_seed(0))
    Omega = W[torch.where(kind == 0, M - 1, torch.where(kind == 1, 0, drawn))]
    literal = nb.nadaraya_watson(nb.at_stiffness(Omega / W[:, None], W, g), g, t)
    found = nb.smoothed(Omega / W[:, None], g, t, W, bumps)
    assert torch.allclose(found, literal, rtol=1e-12, atol=0)  # the same sums in another order


def test_the_golden_section_finds_the_lowest_point_of_each_parabola(nb):
    lowest = torch.tensor([0.05, 0.3, 0.5, 0.77, 0.98]).double()
    g, cost, found = nb.golden_section(lambda g: ((g - lowest) ** 2, 10 * g), 5)
    # it stops when the bracket is 1e-5 of its ends
    assert g.tolist() == pytest.approx(lowest.tolist(), abs=1e-4)
    assert torch.equal(found, 10 * g)
    assert torch.equal(cost, (g - lowest) ** 2)


def test_a_search_that_has_arrived_waits_for_the_others(nb):
    lowest = torch.tensor([0.98, 0.05]).double()
    together = nb.golden_section(lambda g: [(g - lowest) ** 2], 2)[0]
    alone = [nb.golden_section(lambda g, k=k: [(g - lowest[k]) ** 2], 1)[0].item() for k in range(2)]
    assert together.tolist() == alone


def test_the_golden_section_starts_at_the_golden_ratio_and_gives_up_after_30_steps_more(nb):
    tried = []

    def downhill(g):  # to 0, where the bracket never gets narrow enough
        tried.append(g.item())
        return [g]

    nb.golden_section(downhill, 1)
    assert tried[:3] == pytest.approx([0.381966, 0.618034, 0.236068], abs=1e-6)
    assert len(tried) == 32
    assert tried[-1] == pytest.approx(0.618034**32, rel=0.01)


# densities


def one_by_one(nb, x, t, M=10, padding="each"):
    """The recipe written out for one unit, without matrices, tables or other units: density, widths, last stiffness."""
    delta, W = (t[1] - t[0]).item(), nb.bandwidths_of(t, M)
    y, smooth = nb.histogram(x, t), nb.smooth
    y_hat = torch.stack([smooth(y, w, delta, padding) for w in W.tolist()])
    c = y_hat**2 - 2 * y_hat * y + 2 * nb.gauss(0, W[:, None]) * y
    q = W[torch.stack([smooth(c, w, delta, padding).argmin(0) for w in W.tolist()])] / W[:, None]

    def at(g):
        fits = torch.where(q >= g, torch.arange(M)[:, None], 0).amax(0)
        omega = torch.where(g < q.amin(0), W[-1], g * W[fits])
        K = nb.gauss(t[:, None] - t, omega / g)
        wide = W[-1].expand(len(t)) if (g < q.amin(0)).all() else (K * omega).sum(1) / K.sum(1)
        lam = (nb.gauss(t[:, None] - t, wide[:, None]) * y).sum(1)
        lam = lam * y.sum() / lam.sum()
        return (delta * (lam**2 - 2 * lam * y + 2 * nb.gauss(0, wide) * y).sum()).item(), lam, wide

    a, b, ratio = 1e-12, 1.0, (math.sqrt(5) - 1) / 2
    c1, c2 = ratio * a + (1 - ratio) * b, (1 - ratio) * a + ratio * b
    f1, f2, steps, last = at(c1)[0], at(c2)[0], 0, None
    while abs(b - a) > 1e-5 * (abs(c1) + abs(c2)) and steps < 30:
        steps += 1
        if f1 < f2:
            b, c2, f2, c1 = c2, c1, f1, ratio * a + (1 - ratio) * c2
            last, g = at(c1), c1
            f1 = last[0]
        else:
            a, c1, f1, c2 = c1, c2, f2, (1 - ratio) * c1 + ratio * b
            last, g = at(c2), c2
            f2 = last[0]
    return last[1] / (last[1].sum() * delta), last[2], g


@pytest.mark.oracle
@pytest.mark.parametrize("M", [10, 20])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [49, 169, 196])
def test_a_density_is_that_of_the_authors_python_source(nb, n, shape, M):
    # It takes the range of the values for that of the grid, and another grid when no two values are closer than a
    # step. Values from 0 to 1 with two close together are where neither matters.
    t = nb.grid_points(n)
    for x in units_of(shape, n):
        assert np.diff(np.unique(x)).min() < 1 / (n - 1)
        theirs = adaptivekde.ssvkernel(x.numpy(), t.numpy(), M=M, nbs=1, WinFunc="Gauss")
        _, (ours,), (width,) = nb.densities(x[None], M)
        assert np.allclose(ours, theirs[0], rtol=0, atol=1e-9)  # rounding of sums of densities up to 20 or so
        assert np.allclose(width, theirs[2], rtol=0, atol=1e-9)
        assert nb.count_peaks(ours) == len(signal.find_peaks(theirs[0])[0])


@pytest.mark.parametrize("padding", ["each", "full"])
@pytest.mark.parametrize(("n", "M"), [(16, 10), (49, 10), (49, 20), (169, 10), (196, 10)])
def test_densities_of_many_units_are_those_of_each(nb, n, M, padding):
    x, t = all_shapes(n, 3, seed=1), nb.grid_points(n)
    together = nb.densities(x, M, padding)
    singly, widths, last = zip(*(one_by_one(nb, unit, t, M, padding) for unit in x), strict=True)
    assert torch.allclose(together.lam, torch.stack(singly), rtol=0, atol=1e-9)
    assert torch.allclose(together.omega_bar, torch.stack(widths), rtol=0, atol=1e-9)
    assert together.g.tolist() == pytest.approx(last, abs=1e-9)
    assert torch.equal(nb.count_peaks(together.lam), nb.count_peaks(torch.stack(singly)))


def test_padding_decides_about_the_density(nb):
    x = all_shapes(49, 10)
    assert not torch.allclose(nb.densities(x, padding="each").lam, nb.densities(x, padding="full").lam, atol=1e-3)


@pytest.mark.parametrize("centres", [[0.5], [0.3, 0.7], [0.2, 0.5, 0.8]])
def test_bells_apart_are_found_as_many_and_as_high_as_they_are(nb, centres):
    n, width = 396, 0.05
    lam = nb.densities(bells(centres, width, n)[None]).lam[0]
    truth = np.mean([stats.norm.pdf(np.linspace(0, 1, n), c, width) for c in centres], axis=0)
    assert nb.count_peaks(lam) == len(centres)
    # an estimate is the truth smoothed: bumps of 0.4 of a bell's width lower its top by 7 %, and these are about that
    assert np.abs(lam.numpy() - truth).max() < 0.12 * truth.max()


@SMALL
@given(arrays(np.float64, (3, 25), elements=st.floats(-0.5, 1.5)))
def test_a_density_integrates_to_1_and_is_nowhere_negative(nb, x):
    x = torch.from_numpy(x)
    lam = nb.densities(x).lam
    known = (nb.histogram(x, nb.grid_points(25)) > 0).any(1)
    assert torch.equal(lam.isnan().any(1), ~known)
    assert torch.allclose(lam[known].sum(1) / 24, torch.ones(()).double(), rtol=0, atol=1e-9)
    assert (lam[known] >= 0).all()


@pytest.mark.parametrize("value", [torch.nan, 7.0, -3.0])
def test_a_unit_without_a_value_on_the_grid_has_no_density_and_no_peak_and_disturbs_no_other(nb, value):
    x = all_shapes(49, 4)
    with_it = x.clone()
    with_it[[5, 11]] = value
    lam, alone = nb.densities(with_it).lam, nb.densities(x).lam
    assert torch.equal(lam.isnan().all(1).nonzero()[:, 0], torch.tensor([5, 11]))
    others = ~lam.isnan().any(1)
    assert others.sum() == len(x) - 2
    assert torch.allclose(lam[others], alone[others], rtol=0, atol=1e-9)
    assert nb.count_peaks(lam)[[5, 11]].tolist() == [0, 0]
    assert torch.equal(nb.count_peaks(lam)[others], nb.count_peaks(alone)[others])


def test_more_values_than_grid_points_are_all_counted_on_the_coarser_grid(nb):
    x = all_shapes(300, 2)
    lam = nb.densities(x, largest=64).lam
    assert lam.shape == (len(x), 64)
    singly = [one_by_one(nb, unit, nb.grid_points(64))[0] for unit in x]
    assert torch.allclose(lam, torch.stack(singly), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("n", "K"), [(49, 40), (100, 9), (16, 31)])
@pytest.mark.parametrize("chunk", [1, 60000, 1 << 18])
def test_units_taken_in_other_chunks_have_the_same_densities_to_the_bit(nb, n, K, chunk):
    x = all_shapes(n, K)
    for whole, parts in zip(nb.densities(x), nb.densities(x, chunk=chunk), strict=True):
        assert torch.equal(whole, parts)


def test_a_unit_that_is_nan_in_places_is_refused(nb):
    x = all_shapes(49, 1)
    x[2, 7] = torch.nan
    with pytest.raises(ValueError, match="1 not finite; expected values"):
        nb.densities(x)


def test_single_precision_values_are_worked_on_in_double(nb):
    x = all_shapes(49, 2)
    x = x.float()
    assert torch.equal(nb.densities(x).lam, nb.densities(x.double()).lam)


@SMALL
@given(
    arrays(np.float64, (2, 25), elements=st.integers(-1000, 1000).map(float)),
    st.integers(-8, 8),
    st.integers(-1000, 1000),
)
def test_the_number_of_peaks_does_not_depend_on_a_units_scale_and_zero(nb, values, power, shift):
    # whole numbers and powers of two: nothing is rounded before the division, so even the densities are the same bits
    A = torch.from_numpy(values).view(1, 2, 5, 5)
    phi = nb.peaks_of(A, A, nb.Advise())
    assert torch.equal(nb.peaks_of(A * 2.0**power + shift, A, nb.Advise()), phi)


@SMALL
@given(arrays(np.float64, (2, 25), elements=st.floats(-4, 4)), st.permutations(range(25)))
def test_the_number_of_peaks_does_not_depend_on_where_the_values_are(nb, values, order):
    A = torch.from_numpy(values)
    phi = nb.peaks_of(A.view(1, 2, 5, 5), A, nb.Advise())
    assert torch.equal(nb.peaks_of(A[:, list(order)].view(1, 2, 5, 5), A, nb.Advise()), phi)


@pytest.mark.parametrize("n", [49, 196])
def test_mirrored_values_have_the_mirrored_density(nb, n):
    # a bin holds one of its edges only; no drawn value lies on one, but for the ends, which are half bins
    x = all_shapes(n, 20)
    lam, mirrored = nb.densities(x).lam, nb.densities(1 - x).lam.flip(1)
    assert torch.allclose(lam, mirrored, rtol=0, atol=1e-6)  # sums from the other end; the search ends within 1e-5
    assert torch.equal(nb.count_peaks(lam), nb.count_peaks(mirrored))


MEMORY = """
import sys, torch
from importnb import Notebook
nb = Notebook.load_file(sys.argv[1], main=False, include_non_defs=False)

def most():  # MiB; unlike ru_maxrss, it begins anew with the program
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

for K, n in [(8, 49), (1024, 49), (4096, 49), (1024, 196)]:
    x = nb.unit_minmax(torch.randn(K, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    begin = most()
    nb.densities(x)
    print(most() - begin)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a program's memory is read from /proc")
def test_the_memory_of_many_units_is_small_and_does_not_grow_with_their_number():
    path = str(data.REPO / "notebooks/04_advise.ipynb")
    run = [sys.executable, "-c", MEMORY, path]
    said = subprocess.run(run, cwd=data.REPO, capture_output=True, text=True, check=True).stdout
    _, few, many, large = map(float, said.split())
    assert few + many + large < 400
    assert many < 40  # four times the units: their values and densities, 2 MiB each; unchunked 80 MiB for each kernel


# peaks


@pytest.mark.parametrize(
    ("lam", "peaks"),
    [
        ([0, 1, 0], 1),
        ([0, 1, 0, 2, 0], 2),
        ([0, 2, 2, 2, 0], 1),  # a flat top
        ([0, 2, 2, 3, 0], 1),  # a flat step on the way up
        ([0, 3, 2, 2, 0], 1),
        ([3, 1, 1, 3], 0),  # a valley, and the ends
        ([2, 2, 1, 0], 0),  # flat from the beginning
        ([0, 1, 2, 2], 0),  # flat to the end
        ([3, 2, 1, 0], 0),
        ([0, 1, 2, 3], 0),
        ([1, 1, 1, 1], 0),
        ([torch.nan] * 4, 0),
        ([5, 0, 1, 0, 5], 1),
    ],
)
def test_peaks_by_hand(nb, lam, peaks):
    lam = torch.tensor(lam, dtype=torch.float64)
    assert nb.count_peaks(lam).item() == peaks
    assert nb.count_peaks(lam, 1e-9).item() == peaks


@given(arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(3, 30)), elements=st.integers(0, 3)))
def test_peaks_are_scipys(nb, lam):
    theirs = [len(signal.find_peaks(row)[0]) for row in lam]
    assert nb.count_peaks(torch.from_numpy(lam).double()).tolist() == theirs


def test_a_low_peak_counts_from_its_share_of_the_maximum_on(nb):
    lam = torch.tensor([[0.0, 1, 0, 10, 0], [0, 10, 9, 9.5, 0]])  # the lower ones rise by 1 and by 0.5
    assert [nb.count_peaks(lam, p).tolist() for p in (0.0, 0.04, 0.06, 0.11)] == [[2, 2], [2, 2], [2, 1], [1, 1]]
    assert nb.count_peaks(lam.view(2, 1, 5), 0.05).shape == nb.count_peaks(lam.view(2, 1, 5)).shape == (2, 1)


def test_noise_has_the_peaks_of_units_of_independent_normal_values_and_more_on_a_finer_grid(nb):
    few, many = nb.noise_peaks(256, 49), nb.noise_peaks(256, 196)
    x = torch.randn(256, 49, generator=torch.Generator().manual_seed(0)).double()
    assert torch.equal(few, nb.count_peaks(nb.densities(nb.unit_minmax(x)).lam))
    assert few.max() < many.max()
    assert few.double().mean() < many.double().mean()
    assert not torch.equal(few, nb.noise_peaks(256, 49, seed=1))
    assert (nb.noise_peaks(256, 196, min_prominence=0.1) <= many).all()


# the layer, activations and gradients


LAYERS = {
    "alexnet": ("features.10", nn.Conv2d),
    "vgg16": ("features.28", nn.Conv2d),
    "resnet18": ("layer4.1", nn.Module),
    "resnet50": ("layer4.2", nn.Module),
    "squeezenet1_0": ("features.12", nn.Module),
    "timm:legacy_xception": ("conv4.pointwise", nn.Conv2d),
    "timm:resnet18": ("layer4.1.act2", nn.ReLU),  # the sum, not the convolution before it
    "mobilenet_v2": ("features.18.0", nn.Conv2d),
    "timm:mobilenetv2_100": ("conv_head", nn.Conv2d),  # norm and activation are one module
    "timm:efficientnet_b0": ("conv_head", nn.Conv2d),
    "compact_alexnet": ("features.14", nn.Conv2d),
    "compact_vgg": ("features.18", nn.Conv2d),
    "compact_resnet": ("layer4.0", nn.Module),
    "compact_xception": ("conv4.1", nn.Conv2d),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_authors_layer_is_a_convolution_before_its_relu_or_a_sum_after_it(nb, name):
    net = models.build(name, 10, **({"init_weights": False} if name == "vgg16" else {})).eval()
    found, module = nb.authors_layer(net, torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)))
    assert (found, isinstance(module, LAYERS[name][1])) == (LAYERS[name][0], True)
    assert net.get_submodule(found) is module
    assert not [m for m in net.modules() if m._forward_hooks]


class Sum(nn.Module):
    """Two convolutions added, then an activation, a module of its own."""

    def __init__(self, in_place):
        super().__init__()
        self.one, self.two, self.norm = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu, self.pool, self.fc = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)
        self.in_place = in_place  # not "inplace", which stands for what `explaining` turns off

    def forward(self, x):
        out = self.norm(self.two(x))
        if self.in_place:
            out += self.one(x)  # as torchvision's and timm's residual networks do
        else:
            out = out + self.one(x)
        return self.fc(self.pool(self.relu(out)).flatten(1))


@pytest.mark.parametrize("in_place", [False, True])
def test_an_activation_of_a_sum_is_the_layer_itself(nb, in_place):
    assert nb.authors_layer(Sum(in_place).eval(), torch.randn(1, 3, 8, 8))[0] == "relu"


class Tiny(nn.Module):
    """A convolution whose activations and gradients are easily had by other means."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 5)

    def head(self, A):
        return self.fc(self.pool(self.relu(A) ** 2).flatten(1))  # squared, so that gradients differ from cell to cell

    def forward(self, x):
        return self.head(self.conv(x))


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return models.Classifier("tiny", Tiny().eval(), torch.arange(5))


@pytest.fixture
def x():
    return torch.randn(3, 3, 9, 9, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("score", ["logit", "prob"])
def test_activations_and_gradients_are_autograds(nb, tiny, x, score):
    c = torch.tensor([4, 0, 2])
    A = tiny.net.conv(x).detach().requires_grad_()
    s = tiny.net.head(A)
    p = s.softmax(1)[torch.arange(3), c]
    (s[torch.arange(3), c] if score == "logit" else p).sum().backward()
    found, gradients = nb.forward_backward(tiny, x, c, tiny.net.conv, score)
    factor = (p * (1 - p))[:, None, None, None].detach() if score == "prob" else 1  # of the log-odds' gradient
    assert torch.allclose(found, A, atol=1e-6)  # float32 in another memory format
    assert torch.allclose(factor * gradients, A.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("margin", [20, 100])
def test_a_class_that_the_network_is_sure_of_has_a_gradient_of_its_probability(nb, x, margin):
    net = Tiny().eval()
    with torch.no_grad():
        net.fc.bias[2] += margin  # float32 knows no probability between this and 1
    classifier = models.Classifier("sure", net, torch.arange(5))
    A, dA = nb.forward_backward(classifier, x, torch.tensor([2, 2, 2]), net.conv, "prob")
    assert dA.flatten(1).any(1).all()


@SMALL
@given(arrays(np.float64, (3, 4), elements=st.floats(-8, 8)))
def test_log_odds_are_those_of_the_probabilities(nb, logits):
    s = torch.from_numpy(logits)
    p = s.softmax(1)
    assert torch.allclose(nb.LogOdds()(s), torch.log(p / (1 - p)), atol=1e-6)  # 1 - p has lost ten digits at the most
    one = nb.LogOdds()(s[:, :1])  # one output stands for the second of two classes
    assert torch.allclose(one, torch.cat([-s[:, :1], s[:, :1]], 1))


def test_a_score_without_any_gradient_has_maps_of_zero(nb, x):
    net = Tiny().eval()
    nn.init.zeros_(net.fc.weight)
    A, dA = nb.forward_backward(models.Classifier("flat", net, torch.arange(5)), x, torch.tensor([0, 1, 2]), net.conv)
    assert A.any()
    assert not dA.any()
    assert not nb.maps_by_group(A, dA, dA, nb.peaks_of(A, dA, nb.Advise())).cams.any()


def test_one_picture_without_a_gradient_does_not_stop_the_others(nb):
    x = torch.stack([torch.full((3, 4, 4), -1.0), torch.ones(3, 4, 4)])
    A, dA = nb.forward_backward(RED, x, torch.tensor([1, 1]), RED.net.conv)
    assert torch.equal(A, x)
    assert dA[:, 0].unique().item() == pytest.approx(1 / 16)


def test_activations_that_are_not_finite_are_refused(nb, x):
    class Hidden(Tiny):
        """It gives finite scores whatever its activations."""

        def head(self, A):
            return super().head(A.nan_to_num())

    net = Hidden().eval()
    nn.init.constant_(net.conv.bias, torch.nan)
    with pytest.raises(ValueError, match=r"activations holds \d+ value\(s\) that are NaN"):
        nb.forward_backward(models.Classifier("hidden", net, torch.arange(5)), x, torch.tensor([0, 1, 2]), net.conv)


@pytest.mark.parametrize("name", ["fc", ""])
def test_a_layer_after_the_grid_is_refused(nb, tiny, x, name):
    with pytest.raises(ValueError, match=r"layer gives \(3, 5\); expected a grid|this Tiny has no such layer"):
        nb.forward_backward(tiny, x, torch.tensor([0, 1, 2]), name)


def test_a_layer_that_the_score_does_not_see_is_refused(nb, x):
    net = Tiny().eval()
    net.aside = nn.Conv2d(3, 2, 1)
    net.conv.register_forward_hook(lambda m, inputs, output: (net.aside(inputs[0]), output)[1])
    with pytest.raises(ValueError, match="layer has no influence on the model's output"):
        nb.forward_backward(models.Classifier("aside", net, torch.arange(5)), x, torch.tensor([0, 1, 2]), "aside")


def test_a_grid_of_fewer_than_7_cells_is_refused(nb):
    A = torch.rand(2, 3, 2, 3)
    with pytest.raises(ValueError, match="a unit has 6 values; a density needs 7 or more"):
        nb.peaks_of(A, A, nb.Advise())


# groups and their maps


def test_a_unit_is_stretched_from_its_own_minimum_to_its_own_maximum(nb):
    x = torch.tensor([[[2.0, 4, 3]], [[-1, -1, -1]], [[0, 1e-30, 5e-31]]]).double()
    found = nb.unit_minmax(x)
    assert found[[0, 2]].flatten().tolist() == pytest.approx([0, 1, 0.5, 0, 1, 0.5])
    assert found[1].isnan().all()


def test_peaks_are_of_the_activations_or_the_gradients_as_asked(nb):
    one, two = (bells(c, 0.05, 100).view(1, 1, 10, 10) for c in ([0.5], [0.25, 0.75]))
    found = [nb.peaks_of(one, two, nb.Advise(source=source)).item() for source in ("activations", "gradients")]
    assert found == [1, 2]


def test_without_stretching_values_outside_of_0_and_1_are_dropped(nb):
    one, two = bells([0.5], 0.05, 100), bells([0.25, 0.75], 0.05, 100)
    half = torch.cat([two[:50], two[50:] + 1])  # its second bell lies outside
    A = torch.stack([one, two, one + 5, half]).view(1, 4, 10, 10)
    assert nb.peaks_of(A, A, nb.Advise(scale="none")).tolist() == [[1, 2, 0, 1]]
    assert nb.peaks_of(A, A, nb.Advise(scale="unit_minmax"))[0, 2] == 1


def test_values_that_are_tiny_beside_the_grid_have_a_density_that_only_falls(nb):
    x = torch.randn(20, 49, generator=torch.Generator().manual_seed(0)).double() * 1e-3  # of gradients not stretched
    lam = nb.densities(x).lam
    assert (lam.diff(dim=1) <= 1e-9).all()
    assert nb.count_peaks(lam).tolist() == [0] * 20


def test_a_unit_that_is_the_same_everywhere_has_no_peak(nb):
    A = torch.stack([bells([0.5], 0.05, 100), torch.full((100,), 0.5).double(), torch.zeros(100).double()])
    assert nb.peaks_of(A.view(1, 3, 10, 10), A, nb.Advise()).tolist() == [[1, 0, 0]]


def test_the_other_choices_reach_the_density(nb):
    A = all_shapes(49, 20).view(1, -1, 7, 7)
    plain = nb.Advise()
    phi = nb.peaks_of(A, A, plain)
    for other in ({"M": 40}, {"padding": "full"}, {"largest": 20}, {"min_prominence": 0.5}):
        assert not torch.equal(nb.peaks_of(A, A, plain._replace(**other)), phi), other


@pytest.fixture(scope="module")
def looked():
    """A network with random weights, its layer, two pictures and their classes."""
    torch.manual_seed(5)
    net = models.build("compact_vgg", 5).eval().double()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()
    return models.Classifier("compact_vgg", net, torch.arange(5)), last_conv(net, size=64)[1], x, torch.tensor([3, 1])


@pytest.mark.oracle
def test_the_groups_maps_add_up_to_gradcam_before_its_relu(nb, looked):
    classifier, layer, x, c = looked
    A, dA = nb.forward_backward(classifier, x, c, layer)
    phi = nb.peaks_of(A, dA, nb.Advise())
    assert all(len(row.unique()) > 1 for row in phi)
    whole = nb.group_maps(A, dA.mean((2, 3)), phi)[0].sum(1)
    theirs = attribute("gradcam", classifier.net, x, c, layer, relu=False, resolution="native")
    assert theirs.any()
    assert close(whole, theirs, DOUBLE)


@pytest.mark.oracle
def test_if_all_units_have_one_count_its_map_is_gradcam(nb, looked):
    classifier, layer, x, c = looked
    A, dA = nb.forward_backward(classifier, x, c, layer)
    pre, member = nb.group_maps(A, dA.mean((2, 3)), torch.full(A.shape[:2], 3))
    theirs = attribute("gradcam", classifier.net, x, c, layer, relu=False, resolution="native")
    assert close(pre[:, 3], theirs, DOUBLE)
    assert not pre[:, :3].any()
    assert member.sum((1, 2)).tolist() == [A.shape[1]] * 2


def test_a_layer_of_one_unit_has_one_group(nb):
    A, w = torch.rand(1, 1, 3, 3), torch.tensor([[-2.0]])
    pre, member = nb.group_maps(A, w, torch.tensor([[1]]))
    assert torch.equal(pre[0, 1], -2 * A[0, 0])
    assert member.tolist() == [[[False], [True]]]


def test_each_picture_of_a_batch_has_the_maps_it_has_alone(nb):
    g = torch.Generator().manual_seed(0)
    A, w = torch.randn(3, 8, 4, 4, generator=g), torch.randn(3, 8, generator=g)
    phi = torch.tensor([[0, 1, 2, 3, 4, 4, 4, 0], [1] * 8, [0, 0, 0, 2, 2, 2, 0, 0]])
    pre, member = nb.group_maps(A, w, phi)
    assert pre.shape[1] == 5
    for i in range(3):
        alone, who = nb.group_maps(A[i : i + 1], w[i : i + 1], phi[i : i + 1])
        V = alone.shape[1]
        assert torch.allclose(pre[i, :V], alone[0], atol=1e-6)  # float32 sums in another order
        assert not pre[i, V:].any()
        assert torch.equal(member[i, :V], who[0])


def test_peaks_of_a_batch_are_those_of_each_picture_alone(nb):
    A = all_shapes(49, 6).view(3, 10, 7, 7)
    together = nb.peaks_of(A, A, nb.Advise())
    assert together.shape == (3, 10)
    assert torch.equal(together, torch.cat([nb.peaks_of(a[None], a[None], nb.Advise()) for a in A]))


def test_the_energy_of_a_group_by_hand(nb):
    A = torch.tensor([[[[1.0, -2.0]], [[3.0, 1.0]], [[-1.0, 4.0]]]])  # (1, 3, 1, 2)
    w = torch.tensor([[2.0, -1.0, 0.5]])
    member = torch.tensor([[[True, False, True], [False, True, False]]])
    assert nb.group_energy(A, w, member).tolist() == [[2 + 2, 0]]  # each unit after its own ReLU, not the sum


def test_a_mask_by_hand_with_and_without_the_relu(nb):
    cam = torch.tensor([[[-1.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [5.0, 7.0]]])
    assert nb.mask_of(cam, (2, 2)).tolist() == [[[0, 0], [1, 1]], [[0, 0.25], [0.5, 1]]]
    assert nb.mask_of(cam, (2, 2), relu=False)[0].tolist() == [[0, 0.5], [1, 1]]


def test_what_bicubic_enlargement_overshoots_is_cut_off(nb):
    cam = torch.zeros(1, 5, 5)
    cam[0, 2, 1:4] = cam[0, 1:4, 2] = 1
    large = F.interpolate(cam[None], (40, 40), mode="bicubic", align_corners=False)[0]
    assert large.min() < -0.05
    assert large.max() > 1.05
    assert torch.allclose(nb.mask_of(cam, (40, 40)), large.clamp(0, 1))


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("height", [0.0, 2.5, -1.0])
def test_a_map_of_one_value_is_a_mask_of_zeros_and_leaves_the_others_alone(nb, height, relu):
    cam = torch.stack([torch.full((3, 3), height), torch.arange(9.0).view(3, 3)])
    E = nb.mask_of(cam, (6, 8), relu)
    assert not E[0].any()
    assert (E[1].min(), E[1].max()) == (0, 1)


def test_a_map_that_is_not_finite_makes_no_mask(nb):
    with pytest.raises(ValueError, match="cam holds 9 value"):
        nb.mask_of(torch.full((1, 3, 3), torch.nan), (6, 6))


def test_the_groups_count_every_unit_once_and_their_maps_and_energies_add_up(nb, looked):
    classifier, layer, x, c = looked
    A, dA = nb.forward_backward(classifier, x[:1], c[:1], layer)
    w, phi = dA.mean((2, 3)), nb.peaks_of(A, dA, nb.Advise())
    pre, member = nb.group_maps(A, w, phi)
    says = (w[..., None, None] * A).relu().sum((2, 3))[0]
    assert (member[0].sum(0) == 1).all()
    assert nb.group_energy(A, w, member).sum() == pytest.approx(says.sum().item(), rel=1e-5)
    for v in phi.unique().tolist():
        own = phi[0] == v
        assert torch.equal(member[0, v] > 0, own)
        assert torch.allclose(pre[0, v], (w[0, own, None, None] * A[0, own]).sum(0), atol=1e-6)
        assert nb.group_energy(A, w, member)[0, v] == pytest.approx(says[own].sum().item(), rel=1e-5)


# in each network, at each depth


@pytest.fixture
def picture():
    return torch.randint(0, 256, (3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_the_maps_of_one_picture_are_gradcams_mask_and_one_for_each_count_that_occurs(nb, looked, picture):
    net = copy.deepcopy(looked[0].net).float()  # what pictures are prepared for
    classifier, layer = models.Classifier("compact_vgg", net, torch.arange(5)), last_conv(net, size=64)[1]
    c, confidence, groups = nb.maps_of_counts(classifier, picture, layer, nb.Advise())
    prepared = classifier.prepared(picture[None])
    p = classifier.net(prepared).softmax(1)[0]
    assert (c, confidence) == (p.argmax().item(), pytest.approx(p.max().item(), rel=1e-4))
    gradcam = attribute("gradcam", classifier.net, prepared, torch.tensor([c]), layer, resolution="native")
    assert torch.allclose(groups["all units"][2], nb.mask_of(gradcam, (64, 64))[0], atol=1e-4)
    phi = nb.peaks_of(*nb.forward_backward(classifier, prepared, torch.tensor([c]), layer), nb.Advise())
    found = (k.tolist() for k in phi.unique(return_counts=True))
    counts = {f"{v} peak{'s' * (v != 1)}": n for v, n in zip(*found, strict=True)}
    assert {name: n for name, (n, *_) in groups.items()} == {"all units": phi.shape[1]} | counts
    assert groups.pop("all units")[1] == 1
    assert sum(energy for _, energy, _ in groups.values()) == pytest.approx(1, abs=1e-5)  # shares of all energy
    assert all(E.shape == (64, 64) for *_, E in groups.values())


def test_the_sheet_of_counts_has_them_in_the_order_of_numbers(nb, picture):
    E = torch.rand(64, 64)
    groups = [
        {"all units": (30, 1.0, E), "10 peaks": (3, 0.2, E), "2 peaks": (20, 0.8, E)},
        {"all units": (30, 1.0, E), "2 peaks": (30, 1.0, E)},
    ]
    alt = nb.sheet_of_counts(picture.expand(2, -1, -1, -1), ["one", "two"], groups).alt
    assert alt.index("all units") < alt.index("2 peaks") < alt.index("10 peaks")
    assert "none" in alt  # of the second picture


def test_the_depths_are_the_first_a_middle_and_the_deepest_layer(nb):
    net, x = models.build("compact_vgg", 3).eval(), torch.zeros(1, 3, 64, 64)
    deepest = named_layer(net, "features.18")[1]
    found = nb.depths_of(net, x, deepest)
    assert [name for name, _ in found] == ["features.0", "features.8", "features.18"]  # of six convolutions
    assert all(net.get_submodule(name) is module for name, module in found)


def test_the_middle_one_lies_before_the_deepest_also_where_that_is_no_convolution_and_early(nb):
    net = models.build("compact_vgg", 3).eval()
    found = nb.depths_of(net, torch.zeros(1, 3, 64, 64), net.features[10])  # the activation of the third convolution
    assert [name for name, _ in found] == ["features.0", "features.4", "features.10"]


def test_no_layer_is_shown_twice_where_the_deepest_is_the_first(nb):
    net = models.build("compact_vgg", 3).eval()
    assert [name for name, _ in nb.depths_of(net, torch.zeros(1, 3, 64, 64), net.features[0])] == ["features.0"]


def test_a_deepest_layer_that_is_no_convolution_comes_after_all_of_them(nb):
    net = models.build("compact_resnet", 3).eval()
    found = nb.depths_of(net, torch.zeros(1, 3, 64, 64), net.layer4[0])
    assert len(found) == 3
    assert found[-1] == ("layer4.0", net.layer4[0])
    assert isinstance(found[1][1], nn.Conv2d)


# salt and pepper


@pytest.mark.parametrize("density", [0.025, 0.2, 1.0])
@pytest.mark.parametrize("kind", ["pixel", "channel"])
def test_salt_and_pepper_hit_as_many_as_asked_half_of_them_black(nb, density, kind):
    clean = torch.full((4, 3, 100, 100), 77, dtype=torch.uint8)
    noisy = nb.salt_pepper(clean, density, torch.Generator().manual_seed(0), kind)
    assert noisy.dtype == torch.uint8
    assert set(noisy.unique().tolist()) <= {0, 77, 255}
    draws = 40000 * (1 if kind == "pixel" else 3)
    hit, black = (noisy != 77).float().mean().item(), (noisy == 0).float().mean().item()
    # five standard deviations of a share of independent draws: for a fair draw one seed in a million; it is fixed
    assert hit == pytest.approx(density, abs=5 * math.sqrt(density * (1 - density) / draws) + 1e-9)
    assert black == pytest.approx(density / 2, abs=5 * math.sqrt(density / 2 / draws))


def test_a_pixel_is_hit_whole_and_a_channel_by_itself(nb):
    clean = torch.full((1, 3, 50, 50), 77, dtype=torch.uint8)
    pixel, channel = (
        nb.salt_pepper(clean, 0.3, torch.Generator().manual_seed(0), kind)[0] for kind in ("pixel", "channel")
    )
    assert (pixel == pixel[0]).all()
    alone = ((channel != 77).sum(0) == 1).float().mean().item()
    assert alone == pytest.approx(3 * 0.3 * 0.7**2, abs=0.05)  # five standard deviations over 2500 pixels


def test_no_noise_leaves_the_pictures_and_the_seed_decides_about_noise(nb, picture):
    draw = [nb.salt_pepper(picture[None], d, torch.Generator().manual_seed(s)) for d, s in [(0, 0), (0.1, 0), (0.1, 1)]]
    assert torch.equal(draw[0][0], picture)
    assert not torch.equal(draw[1], draw[2])
    assert torch.equal(draw[1], nb.salt_pepper(picture[None], 0.1, torch.Generator().manual_seed(0)))


def claims_under_noise(noise, avx, count=2):
    """Claim -> (verdict, seen, why), from AVX by density, a value a picture; what falls, and what never reaches 0."""
    cells = ["".join(cell["source"]) for cell in json.loads(plans.notebook("04").read_text(encoding="utf-8"))["cells"]]
    (cell,) = [source for source in cells if source.startswith("# Claims: AVX falls with the noise")]
    ways = ["advise, best", "advise, energy", "random partition, best", "gradcam"]
    rows = [(m, i, d, v) for m in ways for d, values in avx.items() for i, v in enumerate(values)]
    noisy = pd.DataFrame(rows, columns=["method", "picture", "density", "AVX"]).assign(network="vgg")
    curve = noisy.groupby(["network", "method", "density"], sort=False)["AVX"].mean().unstack("density")
    curve.insert(0, "clean, with ReLU", 0.0)
    found = {}

    class run:
        @staticmethod
        def claim(claim, paper, seen, why):
            judged = None if seen is None else (seen.holds, seen.seen, seen.why)
            found["never" if "never" in claim else "falls"] = judged, why

    known = {"run": run, "stats": estimates, "figures": figures, "noise": noise, "noisy": noisy, "curve": curve}
    exec(cell, known | {"model": ["vgg"], "singles": ["gradcam"], "count": count, "few": f"{count} pictures"})
    return found


def test_a_mean_under_noise_is_judged_and_pictures_of_avx_0_are_only_counted():
    found = claims_under_noise([0.1, 0.2], {0.0: [0.0, 0.0], 0.1: [0.0, 0.4], 0.2: [0.5, 0.5]})
    (holds, seen, rule), why = found["never"]
    assert (holds, seen, rule) == (None, "the lowest mean is 0.2", "2 means over 2 pictures each")  # not that of 0
    assert why.startswith("of single pictures, 1 of 4 are 0. Share of AVX 0: advise, energy 0.25")
    assert found["falls"][1].endswith("both without ReLU, 2 pictures")


def test_few_pictures_can_refute_that_avx_never_reaches_0_and_not_show_it():
    for avx, few, many in [(0.4, None, True), (0.0, False, False)]:
        for count, expected in [(estimates.ENOUGH - 1, few), (estimates.ENOUGH, many)]:
            found = claims_under_noise([0.1], {0.0: [0.5] * count, 0.1: [avx] * count}, count)
            assert found["never"][0][0] is expected


def test_a_mean_of_0_under_noise_is_one_and_no_noise_is_judged_nowhere():
    (holds, seen, _), _ = claims_under_noise([0.1], {0.0: [0.5, 0.5], 0.1: [0.0, 0.0]})["never"]
    assert (holds, seen) == (False, "the lowest mean is 0")
    for found in (claims_under_noise([0.0], {0.0: [0.5, 0.5]}), claims_under_noise([0.1], {0.0: [0.5, 0.5]}, count=0)):
        assert {(judged, why) for judged, why in found.values()} == {
            (None, "no picture is put under noise in this run (noise, noise_pictures)")
        }


# how alike two maps are


@SMALL
@given(arrays(np.int64, (2, 4, 12), elements=st.integers(0, 4)))
def test_the_rank_correlation_is_scipys_ties_and_all(nb, values):
    R1, R2 = torch.from_numpy(values).double().view(2, 4, 3, 4)
    found = nb.rank_correlations(R1, R2)
    for (i, one), (j, other) in itertools.product(enumerate(values[0]), enumerate(values[1])):
        flat = len(set(one)) == 1 or len(set(other)) == 1
        theirs = np.nan if flat else stats.spearmanr(one, other).statistic
        assert found[i, j] == pytest.approx(theirs, abs=1e-9, nan_ok=True)


@SMALL
@given(arrays(np.float64, (2, 9), elements=st.floats(-3, 3)))
def test_the_rank_correlation_of_a_map_with_itself_is_1_and_turns_with_its_sign(nb, values):
    assume(all(len(set(row)) > 1 for row in values.tolist()))
    R = torch.from_numpy(values).view(2, 3, 3)
    assert nb.rank_correlations(R, R).diagonal() == pytest.approx([1, 1])
    assert nb.rank_correlations(R, -R).diagonal() == pytest.approx([-1, -1])


def test_the_loudest_groups_maps_come_before_their_relu_and_loudest_first(nb):
    A = torch.tensor([[[[1.0, -2.0]], [[3.0, 1.0]], [[-1.0, 4.0]]]]).expand(2, -1, -1, -1)
    w, phi = torch.tensor([[2.0, -1, 0.5], [0.1, 1, 0.1]]), torch.tensor([[0, 1, 0], [0, 1, 0]])
    first, second = nb.loudest_maps(A, w, phi)
    assert torch.allclose(first, torch.tensor([[[2 - 0.5, -4 + 2]], [[3.0, 1.0]]]))
    assert torch.allclose(second, torch.tensor([[[-3.0, -1.0]], [[0.1 - 0.1, -0.2 + 0.4]]]))
    one, none = nb.loudest_maps(A, w, torch.ones_like(phi))  # all units in one group: there is no second
    assert torch.allclose(one, (w[..., None, None] * A).sum(1))
    assert none.isnan().all()


def test_without_random_layers_the_cascade_has_the_likeness_of_other_pictures_maps(nb, looked):
    classifier, layer = looked[0], looked[0].net.get_submodule("features.18")
    x, c = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(3)), torch.tensor([0, 1, 2, 3])
    rows = nb.cascade_of(classifier, x, c, "features.18", nb.Advise(), "logit", steps=[])
    assert set(rows["method"]) == {"advise, energy", "gradcam"}
    for way, R in nb.both_maps(classifier, x, c, layer, nb.Advise(), "logit").items():
        rho = nb.rank_correlations(R, R)
        others = (rho.sum(1) - 1) / 3
        assert rows.loc[rows["method"] == way, "rho"].to_numpy() == pytest.approx(others)


def test_the_cascade_draws_layers_from_the_output_down_and_leaves_the_trained_network(nb, looked):
    classifier, *_ = looked
    x, c = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(3)), torch.tensor([0, 1, 2])
    before = {key: value.clone() for key, value in classifier.net.state_dict().items()}
    depth = len(nb.focus.weight_layers(classifier.net))
    rows = nb.cascade_of(classifier, x, c, "features.18", nb.Advise(), "logit", [1, depth])
    assert rows.groupby("layers").size().to_dict() == {0: 6, 1: 6, depth: 6}
    assert all(torch.equal(before[key], value) for key, value in classifier.net.state_dict().items())
    found = rows[rows["method"] == "gradcam"].groupby("layers")["rho"].mean()
    assert found[1] < 0.999
    assert abs(found[depth]) < 0.9  # another network altogether
    again = nb.cascade_of(classifier, x, c, "features.18", nb.Advise(), "logit", [1, depth])
    pd.testing.assert_frame_equal(rows, again)


def test_layers_drawn_anew_are_not_those_that_the_training_began_with(nb):
    # helpers.networks.training seeds a network by torch.manual_seed(seed), and the notebook has one seed for both
    torch.manual_seed(7)
    first = models.Classifier("compact_vgg", models.build("compact_vgg", 5).eval(), torch.arange(5))
    x, c = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(3)), torch.tensor([0, 1, 2])
    depth = len(nb.focus.weight_layers(first.net))
    rows = nb.cascade_of(first, x, c, "features.18", nb.Advise(), "logit", [depth], seed=7)
    assert (rows.loc[rows["layers"] == depth, "rho"] < 0.999).all()


# the axioms, and the middle


def test_a_network_written_in_another_way_computes_the_same_and_has_normal_units_where_we_look(nb, looked):
    classifier, *_ = looked
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(3)).double()
    A = attribute("units", classifier.net, x, torch.zeros(4).long(), "features.18")[:, 0]
    before = {key: value.clone() for key, value in classifier.net.state_dict().items()}
    net, inside = nb.rewritten(classifier.net, "features.18", A)
    assert close(net(x), classifier.net(x), DOUBLE)
    new = attribute("units", net, x, torch.zeros(4).long(), inside)[:, 0]
    assert torch.allclose(new.mean((0, 2, 3)), torch.zeros(()).double(), atol=1e-9)
    assert torch.allclose(new.std((0, 2, 3)), torch.ones(()).double())
    assert all(torch.equal(before[key], value) for key, value in classifier.net.state_dict().items())


def test_in_the_other_network_counts_stay_and_each_groups_map_moves_by_a_constant(nb, looked):
    classifier, layer, x, c = looked
    A, dA = nb.forward_backward(classifier, x, c, layer)
    net, inside = nb.rewritten(classifier.net, named_layer(classifier.net, layer)[0], A)
    other = models.Classifier("other", net, classifier.outputs)
    A2, dA2 = nb.forward_backward(other, x, c, net.get_submodule(inside))
    phi = nb.peaks_of(A, dA, nb.Advise())
    assert torch.equal(nb.peaks_of(A2, dA2, nb.Advise()), phi)
    moved = nb.group_maps(A2, dA2.mean((2, 3)), phi)[0] - nb.group_maps(A, dA.mean((2, 3)), phi)[0]
    assert moved.abs().max() > 1e-3 * A.abs().max() * dA.abs().max()
    assert torch.allclose(moved, moved[..., :1, :1].expand_as(moved), rtol=0, atol=1e-9)


def test_a_patch_is_decisive_where_covering_it_costs_the_class(nb):
    images = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    images[:, 0] = 0
    images[0, 0, :2, 2:4] = 255  # all the red there is; its mean colour is 255 / 16 of 255, below the middle
    images[1, 0] = 255  # red everywhere: no patch matters
    c = torch.tensor([1, 1])
    with_red = copy.deepcopy(RED)
    with_red.net.fc.bias.data = torch.tensor([-0.95, 0.0])  # red is -1 in 15 of 16 patches: -0.875 with it, -1 without
    with_red.net.fc.weight.data = torch.tensor([[0.0, 0, 0], [1.0, 0, 0]])
    assert nb.probabilities(with_red, images).argmax(1).tolist() == [1, 1]
    found = nb.decisive(with_red, images, c)
    assert found.shape == (2, 4, 4)
    assert found[0].nonzero().tolist() == [[0, 1]]
    assert not found[1].any()


# what cannot be meant


@pytest.mark.parametrize(
    ("name", "side"), [("compact_vgg", 112), ("resnet18", 224), ("inception_v3", 299), ("timm:legacy_xception", 299)]
)
def test_the_size_that_weights_expect_is_their_librarys(name, side):
    assert models.usual_size(name) == side


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("bandwidths", "1", "from 2 to 80"),
        ("largest_grid", "6", "from 7 to 1000"),
        ("images", "nowhere.jpg", "nowhere.jpg"),
        ("source", "weights", "activations"),
        ("scale", "minmax", "unit_minmax"),
        ("methods", "advice", "advise"),
        ("noise", "1.5", "from 0 to 1"),
        ("min_prominence", "-1", "from 0 to 1"),
        ("model", "compact_vg", "compact_vgg"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(name, value, said):
    with pytest.raises(CourseError, match=f"(?s)parameter `{name}` is .*({said})"):
        reports.plan("04_advise", given={name: value})


def test_the_command_line_says_what_is_wrong_and_how_it_is_right(capsys, tmp_path):
    assert cli.main(["run", "04_advise", "-p", "bandwidths=1", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("course: ")
    assert "parameter `bandwidths` is '1'; it needs a whole number from 2 to 80" in said
    assert "M, how many bandwidths are tried" in said
    assert not list(tmp_path.iterdir())


# the whole notebook


@pytest.fixture(scope="module")
def few_scenes(tmp_path_factory):
    """A place for data where a few small scenes pass for the embedded ones."""
    home = tmp_path_factory.mktemp("home")
    few_for_embedded(home, 120, 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA", str(home))
        yield home


FEW = {
    "model": ["compact_vgg", "compact_resnet"],
    "size": [64],
    "epochs": 2,
    "pictures": 4,
    "noise": [0.1, 0.2],
    "noise_pictures": 2,
    "max_units": 8,
    "lime_samples": 10,
    "lime_segments": 6,
    "cascade_steps": 2,
    "cascade_pictures": 3,
}
FEWEST = FEW | {"model": ["compact_vgg"], "methods": ["advise"], "noise": [0.1], "partitions": 1, "noise_pictures": 1}
METHODS = ["advise", "gradcam", "gradcampp", "scorecam", "layercam", "lime"]
AT_MOST = "in the layer looked at, units have at most 8 peaks"


@pytest.fixture(scope="module")
def whole(few_scenes, tmp_path_factory):
    folder, status = reports.run(reports.plan("04_advise", given=FEW), tmp_path_factory.mktemp("out"))
    assert status == "finished", reports.reason(folder)
    return folder


@pytest.mark.slow
def test_the_whole_notebook_runs_through_the_report_path(whole):
    results = reports.results(whole)
    metrics = results["metrics"]
    avx = {f"avx.advise.{rule}" for rule in ("best", "mean", "energy")} | {f"avx.{name}" for name in METHODS[1:]}
    avx |= {"avx.random_partition.best"}
    assert avx | {f"seconds_per_image.{name}" for name in METHODS} | {"peaks.max"} <= set(metrics)
    assert all(0 <= metrics[name] <= 1 for name in avx)
    assert all(metrics[f"seconds_per_image.{name}"] > 0 for name in METHODS)
    assert metrics["peaks.max"] == int(metrics["peaks.max"])
    assert metrics["avx.advise.best"] >= max(metrics["avx.advise.mean"], metrics["avx.advise.energy"]) - 1e-9
    assert results["answer"].startswith("Picked by its own judge, ADVISE reaches")


@pytest.mark.slow
def test_the_papers_claims_are_judged_apart_from_our_controls(whole):
    claims = {c["claim"]: c for c in reports.results(whole)["claims"]}
    papers = {name for name, c in claims.items() if c["kind"] == "paper"}
    assert {"ADVISE has the highest AVX, its best group reported", AT_MOST} <= papers
    assert [name for name in papers if "passes the sanity check" in name]
    assert [name for name in papers if "salt and pepper" in name]
    controls = {f"ADVISE has the highest AVX, its map picked by: {rule}" for rule in ("mean", "energy")}
    controls |= {f"peak counts make better groups than chance, picked by: {rule}" for rule in ("best", "energy")}
    assert controls <= {*claims} - papers
    assert [name for name in papers if "sensitivity" in name or "invariance" in name or "each part" in name][2:]
    assert [name for name, c in claims.items() if c["verdict"] == "not judged"] == []
    assert all(c["why"] and c["seen"] for c in claims.values())
    assert all("compact_vgg" in c["seen"] and "compact_resnet" in c["seen"] for n, c in claims.items() if n in controls)


@pytest.mark.slow
def test_every_figure_says_what_it_shows(whole):
    figures = reports.results(whole)["figures"]
    names = {"pictures", "weights", "unit", "loudest", "density", "peaks", "which", "counts", "noise", "cascade"}
    names |= {"covered", "table1", "left", *(f"depths_{name}" for name in FEW["model"])}
    assert names <= {f["name"] for f in figures}
    assert all((whole / "figures" / f"{name}.png").stat().st_size > 1000 for name in names)
    assert not [f["alt"] for f in figures if not f["alt"] or "np." in f["alt"] or "{" in f["alt"]]
    assert [f["name"] for f in figures if not f["caption"] or "{" in f["caption"]] == []


@pytest.mark.slow
def test_what_was_looked_at_with_fewer_pictures_says_with_how_many(whole):
    results = reports.results(whole)
    captions = {t["name"]: t["caption"] for t in results["tables"]}
    assert all(f"pictures: {FEW['cascade_pictures']}" in captions[name] for name in ("places", "axioms"))
    whys = {c["claim"]: c["why"] for c in results["claims"]}
    said = ("sensitivity", "invariance", "differ more", "in the middle")
    assert all(f"pictures: {FEW['cascade_pictures']}" in why for c, why in whys.items() if any(w in c for w in said))
    assert f"{FEW['noise_pictures']} pictures" in whys["AVX degrades with salt and pepper (ADVISE, best group)"]


@pytest.mark.slow
def test_the_answer_says_whether_the_best_rival_can_be_told_apart(whole):
    said = r"where the best rival, \w+, has 0\.\d\d(, less|, more|; they cannot be told apart) \("
    assert re.search(said, reports.results(whole)["answer"])


@pytest.mark.slow
def test_the_noise_has_a_column_a_density_and_a_row_a_network_and_method(whole):
    table = pd.read_csv(whole / "tables" / "noise.csv").set_index(["network", "method"])
    assert list(table)[0] == "clean, with ReLU"
    assert [float(name) for name in list(table)[1:]] == [0.0, *FEW["noise"]]
    assert set(table.index.get_level_values("network")) == set(FEW["model"])
    assert table.min().min() >= 0


@pytest.mark.slow
def test_every_way_to_count_peaks_is_in_the_table_of_choices(whole):
    table = pd.read_csv(whole / "tables" / "choices.csv").set_index("way")
    assert table.loc["as run", "units that change group"] == 0
    assert not {"activations, unit_minmax", "M = 10", "padding each"} & set(table.index)  # these are the run itself
    assert table.loc["activations, none", "values used"] < 1
    assert {"gradients, none", "M = 80", "padding full", "prominence 1 %"} <= set(table.index)


@pytest.mark.slow
def test_how_many_peaks_units_and_noise_have_is_said_in_numbers(whole):
    results = reports.results(whole)
    (said,) = [f["caption"] for f in results["figures"] if f["name"] == "peaks"]
    numbers = [*map(int, re.findall(r"\d+", said))]
    assert said.startswith(
        f"Of {numbers[0]} units each, no peak: {numbers[1]} of this layer, {numbers[2]} of pure noise"
    )
    assert f"; one peak: {numbers[3]} of this layer, {numbers[4]} of pure noise; most: " in said
    assert 0 < numbers[1] + numbers[3] <= numbers[0] == 96
    claims = {c["claim"]: c for c in results["claims"]}
    more = claims["units have more peaks than pure noise on the same grid"]  # one that can fail
    assert (more["kind"], more["verdict"] in ("holds", "does not hold", "cannot tell")) == ("control", True)
    assert "the most of pure noise on such grids is compact_vgg" in claims[AT_MOST]["why"]


SILENT = {"model": ["compact_resnet"], "normalise": "half", "methods": [*METHODS, "saliency"]}


@pytest.mark.slow
@pytest.mark.parametrize("head", ["zero", "against"])
def test_a_network_without_any_map_has_its_page_and_what_has_one_its_numbers(few_scenes, tmp_path, head):
    given = FEW | SILENT | {"weights": [silent_weights(tmp_path, "compact_resnet", 10, head)]}
    status, folder = ran(given, tmp_path / "out")
    assert (status, type(folder)) == ("finished", type(tmp_path)), folder
    results = reports.results(folder)
    (empty,) = [note for note in results["notes"] if note.startswith("Maps that leave nothing of their picture")]
    silent = {"gradcam", "layercam"} if head == "against" else {*METHODS[1:], "saliency"} - {"scorecam"}
    assert {name for name in (*METHODS[1:], "saliency") if f"{name} 4 (compact_resnet)" in empty} >= silent
    assert "advise 4 (compact_resnet)" in empty
    judged = pd.read_csv(folder / "tables" / "table1.csv").set_index("method")
    assert (judged.loc[["advise, energy", *silent], "AVX"] < 0.05).all()  # a black picture
    if head == "against":
        assert (judged.loc[["lime", "saliency"], "AVX"] > 0.1).all()  # they look at no layer
    (weights,) = [f["alt"] for f in results["figures"] if f["name"] == "weights"]
    assert ("no unit has a weight" in weights) == (head == "zero")


@pytest.mark.slow
def test_the_page_is_whole_in_a_browser(whole, chromium):
    title, broken, wide, asked = browsed(chromium, whole / "report.html")
    assert title.startswith("4 · ADVISE")
    assert (broken, wide, asked) == (0, 0, [])


@pytest.fixture
def with_a_broken_one(album, few_scenes, tmp_path, monkeypatch):
    """A folder of pictures, one of which is none."""
    monkeypatch.setenv("COURSE_DATA", str(few_scenes))
    folder = tmp_path / "own"
    folder.mkdir()
    for i, path in enumerate(sorted(album.rglob("*.png"))[:3]):
        shutil.copy(path, folder / f"good{i}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def ran(given, out):
    """Status, and the error's name and message where there is one."""
    folder, status = reports.run(reports.plan("04_advise", given=given), out)
    error = reports.results(folder)["error"]
    return status, folder if error is None else f"{error['name']}: {error['message']}"


@pytest.mark.slow
def test_a_broken_picture_is_named_before_anything_is_trained(with_a_broken_one, tmp_path):
    given = FEWEST | {"images": str(with_a_broken_one), "dataset": str(data.data_root() / "scenes")}
    given |= {"epochs": 3}  # networks that nobody else trains
    before = set((data.data_root() / "models").glob("*"))
    status, said = ran(given, tmp_path / "out")
    assert status == "failed"
    assert said.startswith("CourseError: ")
    assert "broken.jpg" in said
    assert set((data.data_root() / "models").glob("*")) == before


@pytest.mark.slow
def test_a_broken_picture_is_left_out_and_listed_when_asked_so_and_advise_needs_no_rival(with_a_broken_one, tmp_path):
    given = {"images": str(with_a_broken_one), "dataset": str(data.data_root() / "scenes"), "on_bad": "skip"}
    status, folder = ran(FEWEST | given, tmp_path / "out")
    assert (status, type(folder)) == ("finished", type(tmp_path)), folder
    table = pd.read_csv(folder / "tables" / "table1.csv")
    assert {"advise, best", "advise, energy"} <= set(table["method"])
    assert "broken.jpg" in (folder / "results.json").read_text()


REFUSED = {
    "a layer that is not there": (
        {"layer": ["nonsense"]},
        "CourseError: model compact_vgg, layer=nonsense, size=64: .*",
    ),
    "gradients without a density": (
        {"model": ["compact_resnet"], "source": "gradients"},
        "CourseError: model compact_resnet, layer=authors, size=64: the gradient of a unit of layer4.0 is the same",
    ),
    "a grid too small": ({"size": [32]}, r"CourseError: .* size=32: features\.18 has 4 cells, .*larger size="),
}
AT_ONCE = {  # by the knobs alone
    "no ADVISE among the methods": ({"methods": ["gradcam"]}, "CourseError: methods is gradcam; .*advise, add it"),
    "two sizes of three networks, and one named twice": (
        {"model": ["compact_vgg", "compact_resnet", "compact_vgg"], "size": [64, 64]},
        "CourseError: size has 2 entries; expected 1, or one for each of the 3 networks\nmodel, .* names one twice",
    ),
    "own pictures and only drawn ones to learn from": (
        {"images": str(data.REPO / "reports" / "example.png")},
        "CourseError: images is .*example.png, and weights=train learns drawn scenes. Give weights=imagenet or",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", [*REFUSED, *AT_ONCE])
def test_what_cannot_work_is_refused_by_name_and_what_the_knobs_tell_before_the_imports(case, few_scenes, tmp_path):
    given, pattern = (REFUSED | AT_ONCE)[case]
    before = set((data.data_root() / "models").glob("*"))
    folder, status = reports.run(reports.plan("04_advise", given=FEWEST | given), tmp_path)
    assert status == "failed"
    assert re.match(pattern, reports.reason(folder))
    assert set((data.data_root() / "models").glob("*")) == before
    assert ("versions" in reports.results(folder)["provenance"]) is (case in REFUSED)  # noted when all is imported


@pytest.mark.slow
def test_one_real_photo_and_a_network_of_ones_own_are_enough(real_data, data_home, tmp_path):
    photo = sorted((real_data / "imagenette224").rglob("*.JPEG"))[0]
    given = {"images": str(photo), "model": ["resnet18"], "methods": ["advise", "gradcam"]}
    given |= {
        "largest_grid": 128,
        "weights": [str(real_data / "weights" / "resnet18_imagenet.pth")],
        "noise": [0.1],
        "partitions": 1,
    }
    status, folder = ran(given, tmp_path)
    assert (status, type(folder)) == ("finished", type(tmp_path)), folder
    results = reports.results(folder)
    which = [f["alt"] for f in results["figures"] if f["name"] == "which"]
    assert len(which) == 1
    assert "all units: 512, 100%; " in which[0]  # then each count, its units and their share of the energy
    networks = pd.read_csv(folder / "tables" / "networks.csv").iloc[0]
    assert (networks["layer"], networks["units"], networks["grid"]) == ("layer4.1", 512, "7 x 7")  # of 224 pixels
    assert networks["negative values"] == 0  # after its ReLU, as the authors have it in residual networks
    assert results["metrics"]["peaks.max"] >= 1
    # a photo on its own: its class and its map lead, and it is spared the noise
    assert results["answer"].startswith("resnet18 sees ")
    assert [f["name"] for f in results["figures"] if f["cover"]] == ["which"]
    assert not (folder / "tables" / "noise.csv").exists()
    noise = [c["verdict"] for c in results["claims"] if "salt and pepper" in c["claim"]]
    assert noise == ["not judged", "not judged"]
