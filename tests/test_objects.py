"""helpers/pictures/objects.py: objects by mask and by box, by hand, and cut out in front of other backgrounds."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from helpers import pictures as data
from helpers.pictures import objects

SIDE = 24


@pytest.fixture
def pictures(tmp_path, data_home):
    """`pictures(mask=[...], box=[...])`: Photos of four grey pictures, 48 x 24, with those columns."""

    def made(regions="id,region\n0,background\n1,body\n2,hat\n", **columns):
        folder = tmp_path / "pictures"
        folder.mkdir()
        for i in range(4):
            Image.new("RGB", (48, SIDE), (60 * i,) * 3).save(folder / f"{i}.png")
        table = pd.DataFrame({"image": [f"{i}.png" for i in range(4)], "split": "val", "label": list("aabb")})
        if "mask" in columns:
            for i, regions_of in enumerate(columns["mask"]):
                if regions_of is not None:
                    Image.fromarray(regions_of).save(folder / f"mask{i}.png")
            columns["mask"] = ["" if m is None else f"mask{i}.png" for i, m in enumerate(columns["mask"])]
        table.assign(**columns).to_csv(folder / "index.csv", index=False)
        (folder / "regions.csv").write_text(regions)
        return data.load(folder)

    return made


def ids(*placed):
    """Region ids (24, 48), zeros but for (id, y0, y1, x0, x1)."""
    found = np.zeros((SIDE, 48), np.uint8)
    for region, y0, y1, x0, x1 in placed:
        found[y0:y1, x0:x1] = region
    return found


BODIES = [ids((1, 4, 8, 10, 20)), ids((1, 0, 4, 0, 4), (2, 20, 24, 44, 48)), ids(), ids((2, 0, 24, 0, 48))]


# where the object is


def test_a_mask_is_every_region_but_the_background_squashed_to_the_size(pictures):
    masks = objects.object_masks(pictures(mask=BODIES), SIDE)
    assert masks.shape == (4, SIDE, SIDE)
    assert masks.dtype == torch.bool
    by_hand = [m[:, ::2] > 0 for m in BODIES]  # edges at even columns: half as wide, nothing between
    assert np.array_equal(masks, by_hand)


def test_the_background_is_found_by_its_name_not_by_its_number(pictures):
    photos = pictures("id,region\n0,body\n1,background\n2,hat\n", mask=BODIES)
    assert np.array_equal(objects.object_masks(photos, SIDE), [m[:, ::2] != 1 for m in BODIES])


def test_without_that_name_the_background_is_number_0(pictures):
    photos = pictures("id,region\n0,ground\n1,body\n2,hat\n", mask=BODIES)
    assert np.array_equal(objects.object_masks(photos, SIDE), [m[:, ::2] != 0 for m in BODIES])


def test_more_pictures_than_are_read_at_once_keep_their_order(pictures):
    photos = pictures(mask=BODIES).rows([i % 4 for i in range(300)])
    masks = objects.object_masks(photos, SIDE)
    assert all(torch.equal(masks[i], masks[i % 4]) for i in range(300))
    assert masks[:4].flatten(1).sum(1).tolist() == [4 * 5, 4 * 2 + 4 * 2, 0, SIDE * SIDE]


def test_a_picture_without_a_mask_beside_others_that_have_one_has_no_object(pictures):
    masks = objects.object_masks(pictures(mask=[None, BODIES[1], None, BODIES[3]]), SIDE)
    assert masks.flatten(1).sum(1).tolist() == [0, 4 * 2 + 4 * 2, 0, SIDE * SIDE]


def test_without_masks_there_are_none_rather_than_empty_ones(pictures):
    assert objects.object_masks(pictures(), SIDE) is None


def test_boxes_are_shares_of_each_pictures_own_sides_and_missing_ones_nan(pictures):
    boxes = objects.given_boxes(pictures(box=["12 6 36 18", "", "0 0 48 24", "1.5 0 3 3"]))
    by_hand = [[0.25, 0.25, 0.75, 0.75], [torch.nan] * 4, [0, 0, 1, 1], [1.5 / 48, 0, 3 / 48, 3 / 24]]
    assert torch.allclose(boxes, torch.tensor(by_hand), equal_nan=True)


def test_boxes_of_another_column_are_read_alike(pictures):
    photos = pictures(hat_box=["12 6 36 18", "", "", ""])
    assert objects.given_boxes(photos, "hat_box")[0].tolist() == [0.25, 0.25, 0.75, 0.75]
    assert objects.given_boxes(photos) is None


def test_boxes_fit_the_upright_picture(pictures):
    photos = pictures(box=["0 0 12 24", "", "", ""])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 48 x 24, shown 24 x 48
    Image.new("RGB", (48, SIDE)).save(photos.root / "0.png", exif=exif)
    assert objects.given_boxes(photos)[0].tolist() == [0, 0, 0.5, 0.5]


def test_without_the_column_there_are_no_boxes(pictures):
    assert objects.given_boxes(pictures()) is None


# on other backgrounds


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
    out = objects.on_other_backgrounds(images, masks, labels, seed=0)
    for i in range(6):
        assert torch.equal(out[i][:, masks[i]], images[i][:, masks[i]])
        around = out[i][:, ~masks[i]].unique(dim=1)
        assert around.shape[1] == 1  # one colour: nothing of the other picture's object shows
        assert labels[int(around[1, 0]) // 10] != labels[i]
        assert int(around[0, 0]) == 20


def test_the_given_pictures_are_left_as_they_are():
    images, masks, labels = coloured()
    before = images.clone()
    objects.on_other_backgrounds(images, masks, labels, seed=0)
    assert torch.equal(images, before)


def test_the_same_seed_gives_the_same_backgrounds_and_another_does_not():
    first, again, other = (objects.on_other_backgrounds(*coloured(), seed=s) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("filled", [False, True])
def test_a_picture_without_object_or_background_stays_and_lends_none(filled):
    images, masks, labels = coloured(3)
    labels, masks[2] = torch.tensor([0, 1, 2]), filled
    out = objects.on_other_backgrounds(images, masks, labels, seed=0)
    assert torch.equal(out[2], images[2])
    assert out[0, 1, ~masks[0]].unique().tolist() == [10]  # the second picture's, never the third's
    assert out[1, 1, ~masks[1]].unique().tolist() == [0]


def test_pictures_of_one_class_have_no_other_background():
    images, masks, _ = coloured()
    assert torch.equal(objects.on_other_backgrounds(images, masks, torch.zeros(6, dtype=torch.long), 0), images)


def test_the_seam_of_a_removed_object_does_not_show():
    """Edges are often blurred: up to two steps around the other object, its background has some of its colour."""
    images, masks, labels = coloured(2)
    labels = torch.tensor([0, 1])
    near = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if abs(y) + abs(x) <= 2]
    around = torch.stack([masks[1].roll(step, (0, 1)) for step in near]).any(0)  # the object is off the edge
    images[1, 0, around & ~masks[1]] = 90
    masks[0] = False
    masks[0, :2, :2] = True
    out = objects.on_other_backgrounds(images, masks, labels, seed=0)
    assert not (out[0, 0] == 90).any()


def test_an_object_that_leaves_hardly_any_background_is_still_replaced():
    images, masks, labels = coloured(2)
    labels, masks[1] = torch.tensor([0, 1]), True
    masks[1, 0, 0] = False  # all of it within two pixels of the object
    images[1, :, 0, 0] = torch.tensor([1, 2, 3], dtype=torch.uint8)
    out = objects.on_other_backgrounds(images, masks, labels, seed=0)
    assert out[0][:, ~masks[0]].unique(dim=1).flatten().tolist() == [1, 2, 3]
