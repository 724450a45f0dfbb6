"""data_scripts/drawn/swapped.py: objects cut out and set in front of other backgrounds."""

import numpy as np
import pytest
import torch

from data_scripts.drawn.swapped import on_other_backgrounds

SIDE = 24


def coloured(n=6, seed=0):
    """Pictures (n, 3, 24, 24) whose background is (20, 10 i, 0) and whose object, a rectangle, (200, 0, i); masks."""
    rng, images, masks = np.random.default_rng(seed), torch.zeros(n, 3, SIDE, SIDE, dtype=torch.uint8), []
    for i in range(n):
        mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        y, x = rng.integers(0, 14, 2)
        mask[y : y + 9, x : x + 7] = True
        images[i] = torch.tensor([20, 10 * i, 0], dtype=torch.uint8)[:, None, None]
        images[i, :, mask] = torch.tensor([200, 0, i], dtype=torch.uint8)[:, None]
        masks.append(mask)
    return images, torch.stack(masks), torch.tensor([0, 0, 1, 1, 2, 2])[:n]


def test_the_object_stays_and_all_around_it_is_the_background_of_one_picture_of_another_class():
    images, masks, labels = coloured()
    out = on_other_backgrounds(images, masks, labels, seed=0)
    for i in range(6):
        assert torch.equal(out[i][:, masks[i]], images[i][:, masks[i]])
        around = out[i][:, ~masks[i]].unique(dim=1)
        assert around.shape[1] == 1  # one colour: nothing of the other picture's object shows
        assert labels[int(around[1, 0]) // 10] != labels[i]
        assert int(around[0, 0]) == 20


def test_the_given_pictures_are_left_as_they_are():
    images, masks, labels = coloured()
    before = images.clone()
    on_other_backgrounds(images, masks, labels, seed=0)
    assert torch.equal(images, before)


def test_the_same_seed_gives_the_same_backgrounds_and_another_does_not():
    first, again, other = (on_other_backgrounds(*coloured(), seed=s) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("filled", [False, True])
def test_a_picture_without_object_or_background_stays_and_lends_none(filled):
    images, masks, labels = coloured(3)
    labels, masks[2] = torch.tensor([0, 1, 2]), filled
    out = on_other_backgrounds(images, masks, labels, seed=0)
    assert torch.equal(out[2], images[2])
    assert out[0, 1, ~masks[0]].unique().tolist() == [10]  # the second picture's, never the third's
    assert out[1, 1, ~masks[1]].unique().tolist() == [0]


def test_pictures_of_one_class_have_no_other_background():
    images, masks, _ = coloured()
    assert torch.equal(on_other_backgrounds(images, masks, torch.zeros(6, dtype=torch.long), 0), images)


def test_the_seam_of_a_removed_object_does_not_show():
    """Edges are often blurred: up to two steps around the other object, its background has some of its colour."""
    images, masks, labels = coloured(2)
    labels = torch.tensor([0, 1])
    near = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if abs(y) + abs(x) <= 2]
    around = torch.stack([masks[1].roll(step, (0, 1)) for step in near]).any(0)  # the object is off the edge
    images[1, 0, around & ~masks[1]] = 90
    masks[0] = False
    masks[0, :2, :2] = True
    out = on_other_backgrounds(images, masks, labels, seed=0)
    assert not (out[0, 0] == 90).any()


def test_an_object_that_leaves_hardly_any_background_is_still_replaced():
    images, masks, labels = coloured(2)
    labels, masks[1] = torch.tensor([0, 1]), True
    masks[1, 0, 0] = False  # all of it within two pixels of the object
    images[1, :, 0, 0] = torch.tensor([1, 2, 3], dtype=torch.uint8)
    out = on_other_backgrounds(images, masks, labels, seed=0)
    assert out[0][:, ~masks[0]].unique(dim=1).flatten().tolist() == [1, 2, 3]
