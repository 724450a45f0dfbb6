"""helpers/check.py: numbers and boxes that cannot be meant are named, all others pass as they are."""

import re

import pytest
import torch
from torch import nn

from helpers import check
from helpers.networks import Classifier, build

NONE = [torch.nan] * 4


@pytest.mark.parametrize("values", [torch.rand(2, 3), torch.arange(4), torch.tensor([True]), torch.empty(0, 5)])
def test_finite_values_of_any_kind_and_shape_pass_as_they_are(values):
    assert check.finite("k", values) is values


@pytest.mark.parametrize(("bad", "count"), [([torch.nan], 1), ([torch.inf, 2.0, -torch.inf, torch.nan], 3)])
def test_values_that_are_not_finite_are_named_and_counted(bad, count):
    with pytest.raises(ValueError, match=rf"k holds {count} value\(s\) that are NaN or infinite"):
        check.finite("k", torch.tensor([0.0, *bad]))


def test_maps_of_a_batch_pass_and_others_are_told_their_shape():
    R = torch.rand(2, 3, 4)
    assert check.maps("R", R) is R
    with pytest.raises(ValueError, match=r"G has shape \[3, 4\]; expected maps"):
        check.maps("G", R[0])
    with pytest.raises(ValueError, match="Reduce its channels"):
        check.maps("G", R[None])
    with pytest.raises(ValueError, match="G holds 1 value"):
        check.maps("G", torch.full((1, 1, 1), torch.nan))


@pytest.mark.parametrize(
    "B",
    [
        torch.tensor([[0.0, 0, 1, 1], NONE]),
        torch.tensor([[0, 0, 3, 2], [1, 1, 2, 9]]),
        torch.tensor([[-5.0, 0.2, 300, 0.3]] * 2),
        torch.tensor([[0.0, 0, 1, 1]] * 2, dtype=torch.float64),
    ],
    ids=["with one missing", "whole numbers", "over the edge", "double"],
)
def test_boxes_that_can_be_meant_pass_as_they_are(B):
    assert check.boxes("B_od", B, 2) is B


def test_no_boxes_for_no_maps_pass():
    assert len(check.boxes("B_od", torch.empty(0, 4), 0)) == 0


@pytest.mark.parametrize("shape", [(3, 4), (2, 5), (4,), (1, 2, 4)])
def test_boxes_of_another_number_or_shape_are_told_both_shapes(shape):
    with pytest.raises(ValueError, match=rf"B_od has shape \[{', '.join(map(str, shape))}\]; expected \[2, 4\]"):
        check.boxes("B_od", torch.ones(shape), 2)


@pytest.mark.parametrize(
    "bad",
    [[3.0, 0, 2, 5], [0, 5, 2, 4.0], [1.0, 0, 1, 5], [0.0, 2, 1, 2], [torch.nan, 0, 1, 1], [0, 0, 1, torch.nan]],
    ids=["x turned", "y turned", "no width", "no height", "first missing", "last missing"],
)
def test_the_first_box_that_cannot_be_meant_is_named(bad):
    B = torch.tensor([[0.0, 0, 1, 1], bad, bad])
    with pytest.raises(ValueError, match=r"B_od\[1\] is \[.*\]; expected x0 < x1 and y0 < y1, or NaN"):
        check.boxes("B_od", B, 3)


def test_close_takes_nan_for_nan_and_one_number_for_many(capsys):
    check.close([1.0, torch.nan], torch.tensor([1.0, torch.nan]))
    check.close(torch.ones(2, 2), 1.0)
    assert capsys.readouterr().out.count("✓") == 2


@pytest.mark.parametrize(("found", "expected"), [([1.0], [1.1]), ([1.0], [1.0, 1.0]), ([torch.nan], [1.0])])
def test_close_shows_both_numbers_when_they_differ(found, expected):
    with pytest.raises(AssertionError, match="by hand it is .* the function says"):
        check.close(found, expected)


@pytest.mark.parametrize(
    ("name", "given"), [("resnet18", None), ("swin_t", None), ("vit_b_32", r"\(1, 5, 768\)"), ("mlp", "no tokens")]
)
def test_a_notebook_that_looks_into_a_layer_itself_needs_a_plain_grid(name, given):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64**2, 2)) if name == "mlp" else build(name, 2)
    found = [*check.of_network(Classifier(name, net.eval(), torch.arange(2)), at=64, grid=True, plain=True)]
    if name == "vit_b_32":  # asked by its name
        layer = "encoder.layers.encoder_layer_11.ln_1"
        assert found == [*check.of_network(Classifier(name, net, torch.arange(2)), at=64, grid=layer, plain=True)]
    assert len(found) == (given is not None)
    assert all(re.search(given, why) for why in found)
