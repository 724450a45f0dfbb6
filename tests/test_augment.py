"""helpers/networks/augment.py: pictures and boxes vary together."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.networks.augment import SURVIVES, WAYS, area, cropped, moved, sampled, turned

WAY = pytest.mark.parametrize("draw", [turned, cropped])


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


@WAY
def test_pictures_stay_inside_the_range_and_differ(draw):
    images = torch.rand(4, 3, 64, 64) + 1  # what lies outside of the picture would be 0
    out = sampled(images, draw(4, draws()), 56)
    assert out.shape == (4, 3, 56, 56)
    assert out.min() >= 1 - (draw is turned)  # a turned crop has corners off the picture
    assert out.max() <= 2 + 1e-6
    assert not torch.allclose(out, sampled(images, draw(4, draws(1)), 56))


@WAY
def test_half_of_the_pictures_are_flipped(draw):
    images = torch.zeros(400, 3, 32, 32)
    images[..., :16] = 1  # the left half stays mostly left in every crop that is not flipped
    out = sampled(images, draw(400, draws()), 28)
    left = (out[..., :14].mean((1, 2, 3)) > out[..., 14:].mean((1, 2, 3))).float().mean()
    assert 0.4 < left < 0.6  # four standard deviations of a fair coin thrown 400 times


def test_rival10s_crops_have_its_areas_and_shapes_inside_the_picture():
    theta = cropped(2000, draws())
    width, height = theta[:, 0, 0].abs(), theta[:, 1, 1]
    share, shape = width * height, width / height
    assert 0.75 < share.min() < 0.82  # a side cut to the picture's takes some area
    assert 0.97 < share.max() <= 1
    assert 0.74 < shape.min() < 0.8
    assert 1.2 < shape.max() < 1.26
    assert (theta[:, :, 2].abs() + torch.stack([width, height], 1) <= 1 + 1e-6).all()


def still(**entries):
    """The map that changes nothing, `(1, 2, 3)`, with some entries changed: a row and a column, then the value."""
    theta = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    for place, value in entries.items():
        theta[0, int(place[1]), int(place[2])] = value
    return theta


@pytest.mark.parametrize(
    ("theta", "by_hand"),
    [
        (still(), [10, 20, 40, 50]),
        (still(_00=-1), [60, 20, 90, 50]),  # flipped
        (still(_00=0.5, _02=-0.5, _11=0.5, _12=-0.5), [20, 40, 80, 100]),  # the upper left quarter, twice as large
        (still(_00=0.5, _02=-0.5, _11=0.5, _12=0.5), [torch.nan] * 4),  # the lower left quarter: nothing left
    ],
)
def test_a_box_moves_as_worked_out_by_hand(theta, by_hand):
    found = moved(torch.tensor([[0.1, 0.2, 0.4, 0.5]]), theta, 100)
    assert torch.allclose(found, torch.tensor([by_hand]).float(), atol=1e-4, equal_nan=True)


def test_a_box_is_gone_when_less_than_a_tenth_of_it_is_left():
    boxes = torch.tensor(
        [[0.4, 0.0, 0.5 + 0.1 * share / (1 - share), 1.0] for share in (SURVIVES * 0.9, SURVIVES * 1.1)]
    )
    right = still(_00=0.5, _02=0.5).expand(2, 2, 3)  # the right half
    assert moved(boxes, right, 100).isnan().all(1).tolist() == [True, False]


def test_no_box_stays_none():
    assert moved(torch.full((2, 4), torch.nan), turned(2, draws()), 64).isnan().all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([turned, cropped]))
def test_the_moved_box_holds_the_moved_object(seed, draw):
    images = torch.zeros(8, 3, 128, 128)
    images[:, :, 40:80, 50:110] = 1
    theta = draw(8, draws(seed))
    boxes = moved(torch.tensor([[50, 40, 110, 80]]).repeat(8, 1) / 128, theta, 128)
    seen = sampled(images, theta, 128)[:, 0] > 0.5
    for box, mask in zip(boxes, seen, strict=True):
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        tight = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        slack = (box - tight) * torch.tensor([1, 1, -1, -1])  # negative where the box is outside of the tight one
        assert (slack <= 1).all()  # half a pixel of sampling at each side
        if draw is cropped:  # turned boxes have room in their corners
            assert (slack >= -1).all()


def test_area_by_hand():
    assert area(torch.tensor([[1.0, 2, 4, 6], [4, 2, 1, 6]])).tolist() == [12, 0]


def test_a_way_reads_pictures_and_checks_them_alike():
    assert {name: way.fit for name, way in WAYS.items()} == {
        "turned": "squash_crop",
        "cropped": "squash",
        "none": "squash",
    }
    assert [WAYS[name].part for name in ("turned", "cropped")] == [0.875, 1]


def test_without_augmentation_every_pixel_stays():
    images = torch.rand(3, 3, 40, 40, generator=draws(0))
    assert torch.allclose(sampled(images, WAYS["none"].draw(3, draws(0)), 40), images, atol=1e-5)
