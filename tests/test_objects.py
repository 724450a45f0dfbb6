"""helpers/pictures/objects.py: objects by mask and by box, by hand."""

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
