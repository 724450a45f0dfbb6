"""data_scripts/drawn/boxes.py: boxes as a detector would draw them, and wrong ones, by hand and by law."""

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from data_scripts.drawn.boxes import altered, farthest, off

SMALL = settings(deadline=None, max_examples=40)
NONE = [torch.nan] * 4


def boxes_in(*rows):
    return torch.tensor(rows, dtype=torch.float)


def iou(a, b):
    return torchvision.ops.box_iou(a, b).diagonal()


MIDDLE = boxes_in([0.3, 0.4, 0.5, 0.8], NONE, [0.4, 0.3, 0.8, 0.5], [0.35, 0.45, 0.65, 0.55])
SOURCES = ["exact", "loose", "off20", "double", "shuffled", "random"]


def shares(n=20, seed=0):
    """Boxes (n, 4) in shares of the picture, all of different sizes."""
    drawn = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(n, 2, generator=drawn) * 0.5, torch.rand(n, 2, generator=drawn) * 0.4 + 0.1
    return torch.cat([corner, corner + sides], 1)


@pytest.mark.parametrize("how", SOURCES)
def test_missing_boxes_stay_missing_and_only_those(how):
    assert altered(MIDDLE, how, 1.2, 0.1, 0).isnan().any(1).tolist() == [False, True, False, False]
    assert altered(boxes_in(NONE, NONE), how, 1.2, 0.1, 0).isnan().all()
    assert altered(torch.empty(0, 4), how, 1.2, 0.1, 0).shape == (0, 4)


@pytest.mark.parametrize("how", SOURCES)
def test_altered_boxes_stay_in_the_picture_and_the_given_ones_as_they_are(how):
    B = shares(200)
    before = B.clone()
    found = altered(B, how, 1.2, 0.1, 0)
    assert torch.equal(B, before)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[:, :2] < found[:, 2:]).all()


@pytest.mark.parametrize("how", SOURCES)
def test_the_same_seed_draws_the_same_boxes_and_another_does_not(how):
    first, again, other = (altered(shares(), how, 1.2, 0.1, s) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (how in ("exact", "double"))


def test_exact_boxes_are_the_true_ones():
    assert torch.allclose(altered(MIDDLE, "exact", 1.2, 0.1, 0), MIDDLE, atol=1e-6, equal_nan=True)


def test_boxes_that_are_off_by_a_fifth_of_each_side_overlap_by_hand():
    found = altered(MIDDLE, "off20", 3.0, 0.9, 0)
    by_hand = 0.8 * 0.8 / (2 - 0.8 * 0.8)
    assert iou(found, MIDDLE)[[0, 2, 3]].tolist() == pytest.approx([by_hand] * 3, rel=1e-4)
    moved = (found - MIDDLE)[[0, 2, 3]] / (MIDDLE[:, 2:] - MIDDLE[:, :2]).repeat(1, 2)[[0, 2, 3]]
    assert torch.allclose(moved.abs(), torch.tensor(0.2), atol=1e-5)


def test_a_double_box_has_twice_the_sides_around_the_same_centre():
    found = altered(MIDDLE, "double", 1.2, 0.1, 0)
    assert torch.allclose(found[0], torch.tensor([0.2, 0.2, 0.6, 1.0]), atol=1e-6)
    assert iou(found, MIDDLE)[[0, 2, 3]].tolist() == pytest.approx([0.25] * 3, rel=1e-4)


@SMALL
@given(st.integers(0, 10**6), st.floats(0.5, 1.1), st.floats(0, 0.2))
def test_a_loose_box_is_as_large_and_as_far_off_as_asked(seed, enlarge, jitter):
    B = boxes_in([0.4, 0.4, 0.6, 0.5], [0.3, 0.35, 0.5, 0.6])
    found = altered(B, "loose", enlarge, jitter, seed)  # no edge is reached
    sides = B[:, 2:] - B[:, :2]
    assert torch.allclose(found[:, 2:] - found[:, :2], enlarge * sides, atol=1e-5)
    far = ((found[:, :2] + found[:, 2:]) - (B[:, :2] + B[:, 2:])) / 2 / sides
    assert (far.abs() <= jitter + 1e-5).all()


def test_boxes_are_cut_at_the_edge():
    B, still = boxes_in([0.0, 0.1, 0.4, 0.3], [0.7, 0.6, 1, 1]), torch.zeros(2, 2)
    assert torch.allclose(off(B, 2, still), boxes_in([0, 0, 0.6, 0.4], [0.55, 0.4, 1, 1]), atol=1e-6)
    moved = off(B, 1, torch.tensor([[-0.5, 0], [0.5, 0.25]]))
    assert torch.allclose(moved, boxes_in([0, 0.1, 0.2, 0.3], [0.85, 0.7, 1, 1]), atol=1e-6)


def test_every_shuffled_box_is_that_of_another_picture_and_each_is_used_once():
    B = shares()
    B[[3, 8]] = torch.nan
    found = altered(B, "shuffled", 1.0, 0.0, 0)
    known = B.isfinite().all(1)
    distance = torch.cdist(found[known], B[known])
    nearest = distance.argmin(1)
    assert distance.amin(1).max() < 1e-6
    assert sorted(nearest.tolist()) == list(range(18))
    assert (nearest != torch.arange(18)).all()


def test_random_boxes_have_the_sizes_of_others_and_lie_anywhere():
    B = shares(400)
    B = torch.cat([B[:, :2] * 0.2, B[:, :2] * 0.2 + B[:, 2:] - B[:, :2]], 1)  # all in the upper left
    found = altered(B, "random", 1.0, 0.0, 0)
    sizes = [torch.sort((b[:, 2:] - b[:, :2]).prod(1)).values for b in (B, found)]
    assert torch.allclose(*sizes, atol=1e-5)
    centre = (found[:, :2] + found[:, 2:]) / 2
    assert torch.allclose(centre.mean(0), torch.tensor(0.5), atol=0.05)  # five standard errors
    assert iou(found, B).mean() < 0.2


def test_the_farthest_box_is_in_the_corner_that_meets_the_object_least():
    found = farthest(boxes_in([0.0, 0.0, 0.7, 0.6], [0.3, 0.0, 1.0, 0.5]))
    assert torch.allclose(found, boxes_in([0.3, 0.4, 1.0, 1.0], [0.0, 0.5, 0.7, 1.0]))
