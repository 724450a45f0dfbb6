"""helpers/intervals.py: agrees with scipy, and says when there is too little."""

import numpy as np
import pytest
from scipy import stats

from helpers.intervals import said, t_interval


def test_the_interval_of_means_agrees_with_scipy():
    x = np.array([1.0, 3, 2, 7, np.nan])
    interval = stats.ttest_1samp(x[:-1], 0).confidence_interval(0.95)
    assert t_interval(x) == pytest.approx((x[:-1].mean(), *interval))


@pytest.mark.parametrize(("x", "mean"), [([4.0, 5.0], 4.5), ([4.0], 4.0)])
def test_of_two_networks_no_interval_is_told(x, mean):
    assert t_interval(x) == (mean, -np.inf, np.inf)


def test_of_nothing_there_is_no_mean():
    mean, *interval = t_interval([np.nan])
    assert np.isnan(mean)
    assert interval == [-np.inf, np.inf]


def test_an_interval_in_words():
    assert said(0.5, 0.75) == "95 % interval 0.50 to 0.75"
    assert said(-0.0125, 0.5, 3) == "95 % interval -0.013 to 0.500"
    assert said(-np.inf, np.inf) == "too few for an interval"
