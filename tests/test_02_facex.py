"""notebooks/02_facex.ipynb: its equations by hand, by plain loops and against facextool; then the whole notebook."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import signal
import sys
import time
import types
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from known import RED, course_started, few_faces_for_embedded, step_through
from PIL import Image
from scipy import stats
from torch import nn
from torch.nn import functional as F

from data_scripts import parsing
from data_scripts.drawn import faces
from data_scripts.drawn.face_paint import REGIONS
from data_scripts.drawn.prototype import human
from helpers import networks, pictures
from helpers import stats as estimates
from helpers.errors import CourseError
from helpers.heatmaps import attribute
from helpers.pictures import REPO
from helpers.pictures.photos import Photos
from reports import runs as reports
from reports.plans import profile_values

SMALL = settings(deadline=None, max_examples=40)


def constants() -> dict:
    """The literals of the notebook: its tables, which loading it without running it leaves out."""
    found = {}
    for cell in nbformat.read(REPO / "notebooks/02_facex.ipynb", 4).cells:
        for node in ast.parse(cell.source).body if cell.cell_type == "code" else ():
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and node.targets[0].id.isupper():
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


@pytest.fixture(scope="module")
def nb(notebook):
    loaded = notebook("02_facex")
    vars(loaded).update(constants())
    return loaded


def rows_of(table):
    return table.astype(object).where(table.notna(), None).to_numpy().tolist()


# the impact on a region, by hand

QUARTERS = torch.zeros(1, 4, 4, 4, dtype=torch.bool)  # four regions, a quarter of the picture each
for k, (y, x) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
    QUARTERS[0, k, y : y + 2, x : x + 2] = True
RISING = torch.arange(16.0).view(1, 4, 4) / 15


def iors(nb, G, M, **options):
    return nb.ior(nb.sums(G, M)[..., 0, 0], M.sum((2, 3)), **options)


def test_ior_is_the_mean_of_the_map_over_the_region(nb):
    by_hand = torch.tensor([[0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15]]) / 15 / 4
    assert torch.allclose(iors(nb, RISING, QUARTERS), by_hand.double(), atol=1e-7)  # the map is float32


@pytest.mark.parametrize("region", range(4))
def test_a_map_that_is_the_mask_of_a_region_has_ior_1_there_and_0_beside_it(nb, region):
    assert iors(nb, QUARTERS[:, region].float(), QUARTERS)[0].tolist() == [float(r == region) for r in range(4)]


def test_a_map_that_is_1_everywhere_has_ior_1_in_every_region(nb):
    assert iors(nb, torch.ones(1, 4, 4), QUARTERS).tolist() == [[1.0] * 4]
    assert iors(nb, torch.full((1, 4, 4), 0.5), QUARTERS).tolist() == [[0.5] * 4]


def test_an_absent_region_has_no_ior_rather_than_zero(nb):
    M = QUARTERS & (torch.arange(4) != 2).view(1, 4, 1, 1)
    assert torch.isnan(iors(nb, RISING, M)).tolist() == [[False, False, True, False]]


def test_a_region_of_fewer_than_min_pixels_is_absent(nb):
    M = QUARTERS.clone()
    M[0, 0, 0, 0] = False  # three pixels
    assert torch.isnan(iors(nb, RISING, M, min_pixels=4)).tolist() == [[True, False, False, False]]
    assert not torch.isnan(iors(nb, RISING, M, min_pixels=3)).any()


def test_a_pixel_of_two_regions_counts_for_both(nb):
    M = QUARTERS.clone()
    M[0, 1] |= QUARTERS[0, 0]
    G = QUARTERS[:, 0].float()
    assert iors(nb, G, M)[0, :2].tolist() == [1.0, 0.5]


@SMALL
@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_ior_lies_between_0_and_1_or_is_undefined(nb, seed, density):
    generator = torch.Generator().manual_seed(seed)
    G = torch.rand(2, 5, 6, generator=generator)
    M = torch.rand(2, 3, 5, 6, generator=generator) < density
    found = iors(nb, G, M)
    assert (((found >= 0) & (found <= 1 + 1e-12)) | found.isnan()).all()
    assert torch.equal(found.isnan(), ~M.any(3).any(2))


@pytest.mark.parametrize("Z", [1, 2, 3, 4, None])
def test_the_sums_over_patches_add_up_to_the_sum_over_the_region(nb, Z):
    G, M = torch.rand(3, 4, 4), torch.rand(3, 5, 4, 4) > 0.4
    whole = (G[:, None].double() * M).sum((2, 3))
    assert torch.allclose(nb.sums(G, M, Z).sum((2, 3)), whole, atol=1e-12)


def test_a_patch_holds_the_sum_of_its_own_pixels(nb):
    V = nb.sums(RISING, torch.ones(1, 1, 4, 4, dtype=torch.bool), 2)
    by_hand = torch.tensor([[0 + 1 + 4 + 5, 2 + 3 + 6 + 7], [8 + 9 + 12 + 13, 10 + 11 + 14 + 15]]) / 15
    assert torch.allclose(V[0, 0], by_hand.double(), atol=1e-6)


@pytest.mark.parametrize(
    ("G", "said"),
    [
        (torch.zeros(2, 4, 4), r"G has shape \[2, 4, 4\] and M \[1, 4, 4, 4\]"),
        (torch.zeros(1, 4, 5), "expected"),
        (torch.zeros(4, 4), "expected maps"),
        (torch.full((1, 4, 4), torch.nan), "16 value.s. that are NaN"),
    ],
)
def test_maps_that_do_not_fit_the_masks_are_refused(nb, G, said):
    with pytest.raises(ValueError, match=said):
        nb.sums(G, QUARTERS)


# the cut of the paper's code


def test_the_cut_is_at_the_mean_of_the_positive_values(nb):
    G = torch.tensor([[[0.0, 0.2], [0.4, 0.9]]])  # theta 0.5; with the zero it would be 0.375
    assert nb.above(G).tolist() == [[[False, False], [False, True]]]


@SMALL
@given(st.integers(0, 2**31), st.sampled_from([0.25, 3.0, 1e-3]))
def test_the_cut_does_not_depend_on_the_scale(nb, seed, s):
    G = torch.randint(0, 50, (1, 5, 5), generator=torch.Generator().manual_seed(seed)).float()
    assume((G > 0).any() and ((G - G[G > 0].mean()).abs() > 1e-3).all())  # on the mean itself rounding decides
    assert torch.equal(nb.above(G * s), nb.above(G))


@pytest.mark.parametrize("height", [0.0, 0.1, 0.7, 1.0])
def test_nothing_is_above_the_mean_of_a_flat_map(nb, height):
    assert not nb.above(torch.full((1, 40, 40), height)).any()


# into [0, 1]


@pytest.mark.parametrize(
    ("scaling", "wanted"), [("minmax", [0, 0.25, 0.5, 1]), ("max", [0.2, 0.4, 0.6, 1]), ("dataset", [1, 2, 3, 5])]
)
def test_unit_scales_each_map_as_named(nb, scaling, wanted):
    G, valid = nb.unit(torch.tensor([[[1.0, 2.0], [3.0, 5.0]]]), scaling)
    assert G.flatten().tolist() == pytest.approx(wanted)
    assert valid.tolist() == [True]


@pytest.mark.parametrize("scaling", ["minmax", "max", "dataset"])
def test_a_map_of_zeros_is_undefined_and_finite(nb, scaling):
    G, valid = nb.unit(torch.stack([torch.zeros(2, 2), torch.eye(2)]), scaling)
    assert valid.tolist() == [False, True]
    assert (G[0] == 0).all()


@pytest.mark.parametrize(("scaling", "wanted"), [("minmax", False), ("max", True), ("dataset", True)])
def test_a_flat_map_has_no_range_to_stretch_but_a_maximum(nb, scaling, wanted):
    assert nb.unit(torch.full((1, 2, 2), 0.3), scaling)[1].tolist() == [wanted]


def test_maps_that_are_not_finite_are_not_scaled(nb):
    with pytest.raises(ValueError, match="NaN or infinite"):
        nb.unit(torch.full((1, 2, 2), torch.inf))


# where one region ends

NAMES = ["background", "skin", "l_eye", "eye_g", "hat"]


def carved(drawn: set, names, overlap) -> set:
    """The regions that one pixel counts for, when these were drawn over it: the three policies once more, in words."""
    counts = {r for r in drawn if r != "background"}
    if overlap == "exclusive" and counts:
        counts = {max(counts, key=names.index)}
    if overlap == "authors" and len(counts) > 1:
        counts -= {"skin"}
    return counts | ({"background"} & set(names) if not counts else set())


@pytest.mark.parametrize("overlap", ["authors", "exclusive", "raw"])
@pytest.mark.parametrize("names", [NAMES, ["wheel", "door", "roof"], ["skin", "hat"], ["hat", "background", "skin"]])
def test_every_pixel_is_carved_as_the_policy_says(nb, overlap, names):
    layers = torch.rand(2, len(names), 4, 4, generator=torch.Generator().manual_seed(1)) > 0.5
    M = nb.carve(layers, names, overlap)
    for i, y, x in np.ndindex(2, 4, 4):
        drawn = {name for name, there in zip(names, layers[i, :, y, x], strict=True) if there}
        found = {name for name, there in zip(names, M[i, :, y, x], strict=True) if there}
        assert found == carved(drawn, names, overlap)


def test_carving_leaves_the_layers_as_they_are(nb):
    layers = torch.rand(1, 5, 4, 4) > 0.5
    before = layers.clone()
    for overlap in ("authors", "exclusive", "raw"):
        nb.carve(layers, NAMES, overlap)
    assert torch.equal(layers, before)


def test_exclusive_leaves_every_pixel_to_one_region(nb):
    layers = torch.rand(3, 19, 8, 8) > 0.7
    assert (nb.carve(layers, REGIONS, "exclusive").sum(1) == 1).all()


def test_an_unknown_policy_is_refused(nb):
    with pytest.raises(ValueError, match="expected authors, exclusive or raw"):
        nb.carve(QUARTERS, NAMES[:4], "paper")


# by a network whose Grad-CAM is known: the red channel, where it is above the middle

SIDE = 8


def drawn_faces(n=9, seed=0):
    """Pictures (n, 3, 8, 8) uint8, the fourth with a map of zeros, and layers of NAMES, the hat always absent."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    images[3, 0] = 90
    images[:, 0] = torch.where(images[:, 0] < 60, 100, images[:, 0])
    layers = torch.rand(n, len(NAMES), SIDE, SIDE, generator=generator) > 0.6
    layers[::2, 2] = False
    layers[:, 4] = False
    return images, layers


def profile(nb, images, layers, rows=None, **how):
    rows = torch.arange(len(images)) if rows is None else torch.as_tensor(rows)
    how = {"patch": 2, "top": 4} | how
    return nb.facex(RED, 1, rows, lambda some: images[some], lambda some: layers[some], NAMES, **how)


def counts(found):
    """How many faces, and how many of them with a map that says nothing."""
    return len(found.soft), int(found.soft.isna().all(axis=1).sum())


def known_maps(images):
    """What Grad-CAM gives for RED, as lists of floats."""
    return (images[:, 0].double() / 127.5 - 1).clamp(min=0).div(SIDE * SIDE)


def plain(images, layers, overlap="authors", scaling="minmax", patch=2, top=4, per_image=1):
    """FaceX once more, in loops over faces, regions and pixels: (table rows, patches, zero maps)."""
    maps, best, zero = known_maps(images).tolist(), {name: [] for name in NAMES}, 0
    ior = {version: {name: [] for name in NAMES} for version in ("soft", "binary")}
    highest = max(v for G in maps for row in G for v in row)
    for i, G in enumerate(maps):
        pixels = [v for row in G for v in row]
        low, high = min(pixels), max(pixels)
        if high == (low if scaling == "minmax" else 0):
            zero += 1
            continue
        low, span = {"minmax": (low, high - low), "max": (0, high), "dataset": (0, highest)}[scaling]
        G = [[(v - low) / span for v in row] for row in G]
        positive = [v for row in G for v in row if v > 0]
        theta = sum(positive) / len(positive)
        inside = {name: [] for name in NAMES}
        for y, x in np.ndindex(SIDE, SIDE):
            drawn = {name for name, there in zip(NAMES, layers[i, :, y, x].tolist(), strict=True) if there}
            for name in carved(drawn, NAMES, overlap):
                inside[name].append((y, x))
        for name, place in inside.items():
            if place:
                ior["soft"][name].append(sum(G[y][x] for y, x in place) / len(place))
                ior["binary"][name].append(sum(G[y][x] > theta for y, x in place) / len(place))
            V = [0.0] * (SIDE // patch) ** 2
            for y, x in place:
                V[y // patch * (SIDE // patch) + x // patch] += G[y][x]
            mine = sorted((-v, i, q) for q, v in enumerate(V) if v > 0)
            best[name] += mine[: per_image or None]
    patches = [(name, -v, i, q) for name in NAMES for v, i, q in sorted(best[name])[:top]]
    mean = {version: {n: np.mean(v) if v else None for n, v in found.items()} for version, found in ior.items()}
    return mean, {n: len(v) for n, v in ior["soft"].items()}, patches, zero


@pytest.mark.parametrize("overlap", ["authors", "exclusive", "raw"])
@pytest.mark.parametrize("scaling", ["minmax", "max", "dataset"])
@pytest.mark.parametrize(("patch", "top", "per_image"), [(2, 4, 1), (4, 7, 0), (1, 5, 2)])
def test_facex_equals_plain_loops(nb, overlap, scaling, patch, top, per_image):
    images, layers = drawn_faces()
    options = {"overlap": overlap, "scaling": scaling, "patch": patch, "top": top, "per_image": per_image}
    mean, count, patches, zero = plain(images, layers, **options)
    found = profile(nb, images, layers, **options)
    for version in ("soft", "binary"):
        wanted = [np.nan if mean[version][name] is None else mean[version][name] for name in NAMES]
        assert found.table[version].to_numpy() == pytest.approx(wanted, abs=1e-6, nan_ok=True)
    assert found.table["n_images"].to_dict() == count
    assert counts(found) == (9, zero)
    across = SIDE // patch
    boxes = [(q % across * patch, q // across * patch) for *_, q in patches]
    seen = found.patches
    assert list(zip(seen["region"], seen["face"], seen["x0"], seen["y0"], strict=True)) == [
        (name, i, *box) for (name, _, i, _), box in zip(patches, boxes, strict=True)
    ]
    assert ((seen["x1"] - seen["x0"] == patch) & (seen["y1"] - seen["y0"] == patch)).all()
    assert seen["value"].to_numpy() == pytest.approx([v for _, v, *_ in patches], abs=1e-6)


def test_the_known_network_has_the_known_maps(nb):
    images, _ = drawn_faces()
    assert torch.allclose(nb.enlarged(nb.cams(RED, images, 1), SIDE).double(), known_maps(images), atol=1e-7)


def test_maps_are_enlarged_to_the_masks_not_masks_shrunk(nb):
    images, _ = drawn_faces()
    large = nb.enlarged(nb.cams(RED, images, 1), 3 * SIDE)
    wanted = F.interpolate(known_maps(images)[:, None], (24, 24), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(large.double(), wanted, atol=1e-7)


def test_maps_of_zeros_are_left_out_and_counted(nb):
    images, layers = drawn_faces()
    others = [i for i in range(9) if i != 3]
    with_it, without = profile(nb, images, layers), profile(nb, images, layers, others)
    assert counts(with_it) == (9, 1)
    assert counts(without) == (8, 0)
    assert np.allclose(with_it.table, without.table, atol=1e-12, equal_nan=True)  # sums in another order


def test_faces_with_nothing_but_zero_maps_have_no_profile(nb):
    images, layers = drawn_faces()
    found = profile(nb, images, layers, [3])
    assert counts(found) == (1, 1)
    assert found.table["soft"].isna().all()
    assert found.table["rank_soft"].isna().all()
    assert len(found.patches) == 0


def test_a_region_that_no_face_has_is_undefined_and_takes_no_rank(nb):
    table = profile(nb, *drawn_faces()).table
    assert table.loc["hat", ["soft", "binary", "rank_soft", "rank_binary"]].isna().all()
    assert table.loc["hat", "n_images"] == 0
    assert sorted(table["rank_soft"].dropna()) == [1, 2, 3, 4]


@pytest.mark.parametrize("version", ["soft", "binary"])
def test_each_face_keeps_its_own_ior_and_the_table_has_their_means(nb, version):
    images, layers = drawn_faces()
    found = profile(nb, images, layers, [8, 0, 3])
    each = getattr(found, version)
    assert (list(each.index), list(each.columns)) == ([8, 0, 3], NAMES)
    for row in (8, 0):
        alone = [np.nan if v is None else v for v in plain(images[[row]], layers[[row]])[0][version].values()]
        assert each.loc[row].tolist() == pytest.approx(alone, nan_ok=True)
    assert each.loc[3].isna().all()  # a map of zeros
    assert found.table[version].to_dict() == pytest.approx(each.mean().to_dict(), nan_ok=True)


@pytest.mark.parametrize("scaling", ["minmax", "dataset"])
@pytest.mark.parametrize("per_image", [1, 0])
def test_the_order_of_the_faces_does_not_matter(nb, scaling, per_image):
    images, layers = drawn_faces()
    images[7], layers[7] = images[1], layers[1]  # two faces with the same values: the first comes first
    order = np.random.default_rng(0).permutation(9)
    one = profile(nb, images, layers, scaling=scaling, per_image=per_image)
    other = profile(nb, images, layers, order, batch=4, scaling=scaling, per_image=per_image)
    assert np.allclose(one.table, other.table, atol=1e-12, equal_nan=True)  # sums in another order
    assert rows_of(one.patches) == rows_of(other.patches)


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("scaling", ["minmax", "max", "dataset"])
def test_streaming_gives_what_one_batch_gives(nb, batch, scaling):
    images, layers = drawn_faces()
    whole, parts = (profile(nb, images, layers, batch=b, scaling=scaling) for b in (64, batch))
    assert np.allclose(whole.table, parts.table, atol=1e-12, equal_nan=True)
    assert rows_of(whole.patches) == rows_of(parts.patches)


def test_one_maximum_for_the_data_set_is_the_same_streamed_or_in_two_passes(nb):
    images, layers = drawn_faces()
    cams = nb.enlarged(nb.cams(RED, images, 1), SIDE)
    G, M = cams / cams.max(), nb.carve(layers, NAMES)  # the maximum first, then the sums
    each = iors(nb, G, M)[cams.amax((1, 2)) > 0]
    streamed = profile(nb, images, layers, batch=2, scaling="dataset").table
    assert streamed["soft"].to_numpy() == pytest.approx(each.nanmean(0).numpy(), abs=1e-6, nan_ok=True)


def test_the_error_is_the_standard_error_over_the_faces_that_have_the_region(nb):
    images, layers = drawn_faces()
    G, valid = nb.unit(nb.enlarged(nb.cams(RED, images, 1), SIDE))
    each = iors(nb, G, nb.carve(layers, NAMES))[valid].numpy()
    table = profile(nb, images, layers).table
    for k, name in enumerate(NAMES[:4]):
        assert table.loc[name, "error"] == pytest.approx(stats.sem(each[~np.isnan(each[:, k]), k]), abs=1e-6)


def test_regions_of_another_protocol_need_no_skin_and_no_background(nb):
    images, _ = drawn_faces()
    layers = torch.zeros(9, 2, SIDE, SIDE, dtype=torch.bool)
    layers[:, 0, :4] = layers[:, 1, 2:] = True
    found = nb.facex(RED, 1, range(9), lambda r: images[r], lambda r: layers[r], ["roof", "wall"], patch=2, top=2)
    G, valid = nb.unit(known_maps(images))
    assert found.table["soft"].tolist() == pytest.approx(
        [G[valid, :4].mean().item(), G[valid, 2:].mean().item()], abs=1e-6
    )


def test_another_output_of_the_network_gives_other_maps(nb):
    images, _ = drawn_faces()
    assert (nb.enlarged(nb.cams(RED, images[3:4], 0), SIDE) > 0).all()  # 90 is below the middle
    with pytest.raises(ValueError, match="out of range"):
        nb.enlarged(nb.cams(RED, images, 2), SIDE)


def test_faces_are_read_from_the_disk_when_they_do_not_fit_into_memory(nb, tiny, data_home):
    photos = pictures.load(tiny).split("test")
    torch.manual_seed(0)
    net = networks.Classifier("blank", networks.build("compact_resnet", 2).eval(), torch.arange(2))
    found = []
    for budget in (0, 1 << 28):
        read, masks = pictures.reader(photos, 64, "squash", budget), pictures.layer_reader(photos, budget)
        found.append(nb.facex(net, 1, torch.arange(len(photos)), read, masks, list(photos.regions.values())))
    assert rows_of(found[0].table) == rows_of(found[1].table)


# the best patches


@SMALL
@given(st.integers(0, 2**31), st.integers(0, 3), st.integers(1, 6))
def test_the_best_patches_do_not_depend_on_order_or_batches_and_ties_go_to_the_first_face(nb, seed, per_image, top):
    rng = np.random.default_rng(seed)
    V = torch.from_numpy(rng.integers(0, 4, (6, 2, 2, 2)).astype(float))  # many values are equal
    wanted = []
    for r in range(2):
        each = [
            sorted((-v, i, q) for q, v in enumerate(V[i, r].flatten().tolist()))[: per_image or None] for i in range(6)
        ]
        wanted.append([x for x in sorted(sum(each, [])) if x[0] < 0][:top])
    best = np.zeros((2, top)), np.full((2, top), -1), np.full((2, top), -1)
    order = torch.from_numpy(rng.permutation(6))
    for some in order.split(int(rng.integers(1, 7))):
        best = nb.merged(best, V[some], some, top, per_image)
    for r in range(2):
        found = [(-v, i, q) for v, i, q in zip(*(x[r] for x in best), strict=True) if v > 0]
        assert found == wanted[r]


def test_the_paper_may_take_two_patches_of_one_face_and_the_code_only_one(nb):
    V = torch.tensor([[[[9.0, 8.0]]], [[[7.0, 1.0]]]]).double()
    empty = np.zeros((1, 2)), np.full((1, 2), -1), np.full((1, 2), -1)
    assert nb.merged(empty, V, torch.arange(2), 2, 0)[1].tolist() == [[0, 0]]
    assert nb.merged(empty, V, torch.arange(2), 2, 1)[1].tolist() == [[0, 1]]


def test_patches_of_value_zero_are_not_listed(nb):
    best = np.array([[2.0, 0.0]]), np.array([[5, -1]]), np.array([[3, -1]])
    table = nb.patch_table(best, ["nose"], 8, 4)
    assert table.to_numpy().tolist() == [["nose", 1, 2.0, 5, 4, 4, 8, 8]]


# ranks and the paper's tables


def test_equal_values_share_the_better_rank_and_nan_has_none(nb):
    ranks = nb.competition_rank([0.3, 0.5, 0.5, np.nan, 0.1])
    assert ranks[:3].tolist() + [ranks[4]] == [3, 1, 1, 4]
    assert np.isnan(ranks[3])


def ranked(**ranks):
    return pd.DataFrame({"rank_soft": pd.Series(ranks, dtype=float), "rank_binary": pd.Series(ranks, dtype=float)})


def test_an_attribute_of_two_regions_takes_the_better_rank(nb):
    assert nb.rank_of(ranked(u_lip=5, l_lip=2, hair=1), "Wearing_Lipstick") == 2
    assert nb.rank_of(ranked(u_lip=5, l_lip=np.nan), "Wearing_Lipstick") == 5


def test_an_attribute_whose_regions_are_not_there_has_no_rank(nb):
    assert np.isnan(nb.rank_of(ranked(hat=np.nan, hair=1), "Wearing_Hat"))
    assert np.isnan(nb.rank_of(ranked(wheel=1), "Wearing_Hat"))


def test_of_a_pair_the_better_rank_comes_first(nb):
    table = ranked(hat=3, eye_g=7, hair=1)
    for pair in [("Eyeglasses", "Wearing_Hat"), ("Wearing_Hat", "Eyeglasses")]:
        assert list(nb.ranks_of(table, pair, "soft")) == [3, 7]


@pytest.mark.parametrize("pair", [("Eyeglasses", "Wearing_Hat"), ("Wearing_Hat", "Eyeglasses")])
def test_of_a_pair_with_an_absent_region_the_other_comes_first(nb, pair):
    first, second = nb.ranks_of(ranked(hat=3, eye_g=np.nan), pair, "soft")
    assert first == 3
    assert np.isnan(second)


def test_the_papers_tables_have_the_papers_means():
    tables = constants()
    first = [rank for ranks in tables["TABLE_1"].values() for rank in ranks]
    pairs = np.array([ranks for row in tables["TABLE_3"].values() for ranks in row.values()])
    assert (len(first), len(pairs)) == (12, 12)
    assert np.mean(first) == 2.25
    assert pairs.mean(0).round(2).tolist() == [1.25, 6.67]
    assert (pairs.max(1) <= 3).sum() == 4  # the text lists five


def test_every_attribute_of_the_tables_has_regions_of_the_protocol():
    tables = constants()
    known = tables["REGIONS_OF"]
    table_1 = ("Blond_Hair", "Eyeglasses", "Smiling", "Wearing_Earrings", "Wearing_Lipstick", "Wearing_Necklace")
    assert tuple(known)[:6] == table_1  # the paper's order of columns
    assert {a for tied in tables["TABLE_3"] for a in tied.split("+")} <= set(known)
    assert {r for regions in known.values() for r in regions} <= set(REGIONS)


@pytest.mark.parametrize(("target", "name"), [("Male=0", "Gender"), ("Young", "Age"), ("skin_tone>=3", "skin_tone>=3")])
def test_targets_go_by_the_papers_names(nb, target, name):
    assert nb.paper_name(target) == name


# which faces


def people(n=200, seed=0, **columns):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"image": [f"{i}.png" for i in range(n)], "split": "test", "label": "all", "_class": 0})
    table = table.assign(Male=rng.integers(0, 2, n), Hat=(rng.random(n) < 0.2).astype(int), **columns)
    return Photos(Path("people"), table, ["all"], torch.arange(1), {})


def test_label_takes_the_faces_of_the_class_and_all_takes_all(nb):
    photos = people()
    rows = nb.selected(photos, "Male=0")
    assert rows.tolist() == np.flatnonzero(photos.table["Male"] == 0).tolist()
    assert nb.selected(photos, "", "all").tolist() == list(range(200))


def test_prediction_takes_the_faces_that_the_network_gives_to_the_class(nb):
    said = np.arange(200) % 3 == 0
    assert nb.selected(people(), "", "prediction", said).tolist() == list(range(0, 200, 3))


def test_balancing_takes_as_many_with_the_attribute_as_without(nb):
    photos = people()
    rows = nb.selected(photos, "Male", by=["Hat"])
    chosen = photos.table.iloc[rows]
    least = min(photos.table[photos.table["Male"] == 1]["Hat"].value_counts())
    assert (chosen["Male"] == 1).all()
    assert chosen["Hat"].value_counts().tolist() == [least, least]
    assert len(set(rows)) == len(rows)


def test_a_limit_draws_by_its_seed(nb):
    one, same, other = (nb.selected(people(), "Male", by=["Hat"], seed=s, limit=10).tolist() for s in (1, 1, 2))
    assert one == same != other
    assert len(one) == 10
    assert one == sorted(one)


def test_a_limit_above_what_is_there_takes_what_is_there(nb):
    assert len(nb.selected(people(), "", "all", limit=10**6)) == 200


@pytest.mark.parametrize("limit", [0, 199])
def test_the_reference_is_not_explained(nb, limit):
    assert nb.selected(people(), "", "all", limit=limit, but=7).tolist() == [*range(7), *range(8, 200)]


def test_where_a_network_gives_nobody_the_class_all_faces_are_explained_and_the_page_says_so(nb, monkeypatch):
    notes = []
    said = {"select": "prediction", "unseen": people(), "read": None, "explained_output": 1, "output": 1}
    said |= {"reference": -1, "seed": 0, "images": 0, "run": types.SimpleNamespace(note=notes.append)}
    for name, value in said.items():
        monkeypatch.setattr(nb, name, value, raising=False)
    monkeypatch.setattr(nb.networks, "predictions", lambda *_: torch.arange(200) % 4 == 0)
    assert (len(nb.chosen(RED)), notes) == (50, [])
    monkeypatch.setattr(nb.networks, "predictions", lambda *_: torch.zeros(200))
    assert (len(nb.chosen(RED)), len(notes)) == (200, 1)


@pytest.mark.parametrize("select", ["label", "prediction"])
def test_a_class_that_no_face_has_is_told(nb, select):
    with pytest.raises(CourseError, match=f"select={select} leaves no face.*try select=all"):
        nb.selected(people(Young=0), "Young", select, np.zeros(200, bool))


# which faces networks learn from


def learners(n=4000, seed=0):
    """Half of the faces of class 1, and a fifth of the others, wear lipstick; glasses tell nothing."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    worn = {"Wearing_Lipstick": rng.random(n) < np.where(y, 0.5, 0.2), "Eyeglasses": rng.random(n) < 0.5}
    table = pd.DataFrame({"image": [f"{i}.png" for i in range(n)], "split": "train", "label": "all", "_class": y})
    table = table.assign(Male=1 - y, **{name: values.astype(int) for name, values in worn.items()})
    return Photos(Path("learners"), table, ["a", "b"], torch.arange(2), {})


@pytest.mark.parametrize(("controls", "tells"), [("shared", True), ("matched", True), ("each", False)])
def test_a_control_learns_from_the_faces_that_the_knob_says(nb, monkeypatch, controls, tells):
    for name, value in {"learning": learners(), "controls": controls, "seed": 0}.items():
        monkeypatch.setattr(nb, name, value, raising=False)
    ways = nb.tied_faces, nb.control_faces
    planted, control = (some("Male=0", ("Wearing_Lipstick",), 0.99).photos for some in ways)
    assert controls != "shared" or len(control) > len(planted) + 100
    assert controls != "matched" or 0 <= len(planted) - len(control) <= 1
    y, worn = control.labels.numpy(), control.table["Wearing_Lipstick"].to_numpy()
    assert abs(y.mean() - 0.5) < 0.001
    assert (worn[y == 1].mean() - worn[y == 0].mean() > 0.1) == tells
    assert not control.table["image"].duplicated().any()


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (("Male=0", "Wearing_Lipstick", 0, 1), "men, lipstick"),
        (("Young", "Blond_Hair", 1, 0), "young people, no blond hair"),
        (("race=Black", "Eyeglasses", 0, 0), "not race=Black, no eyeglasses"),
    ],
)
def test_a_group_goes_by_words(nb, cell, said):
    assert nb.group(*cell) == said


def test_a_rank_that_is_not_there_is_a_dash(nb):
    assert [nb.place(rank) for rank in (3.0, 19.0, 7 / 3, np.nan)] == ["3", "19", "2.33", "–"]


def done_by(title, **known):
    """What the cell that begins with this title says and answers, from these values."""
    sources = [cell.source for cell in nbformat.read(REPO / "notebooks/02_facex.ipynb", 4).cells]
    (cell,) = [source for source in sources if source.startswith(title)]
    said = []
    run = types.SimpleNamespace(say=lambda text, when=True: said.append(text) if when else None, answer=said.append)
    run.claims = lambda: None
    exec(cell, {"run": run, "pd": pd, "np": np, "human": human} | known)
    return said


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([60, 60, 60, 60], "looks most at necklace, lower lip, hair. "),
        ([1, 60, 60, 60], "looks most at lower lip, hair, skin; left out, on fewer than 10 faces: necklace (1). "),
        ([60, 60, 60, 9], "looks most at necklace, lower lip, hair. "),  # the last would not have been named
        ([9, 60, 8, 60], "looks most at lower lip, skin; left out, on fewer than 10 faces: necklace (9), hair (8). "),
        (
            [3, 8, 8, 8],
            "looks most at lower lip, hair, skin; left out, on fewer than 8 faces: necklace (3). ",
        ),  # eight in all
        ([0, 0, 0, 0], "shows nothing: no map of Grad-CAM says anything of a region. "),
    ],
)
@pytest.mark.parametrize("trains", [True, False])
def test_the_headline_leaves_out_what_few_faces_have_and_says_so(counts, said, trains, nb):
    table = pd.DataFrame({"soft": [0.9, 0.8, 0.7, 0.6], "n_images": counts}, ["neck_l", "l_lip", "hair", "skin"])
    table["soft"] = table["soft"].where(table["n_images"] > 0)
    known = {"CLAIMS": {}, "version": "soft", "doubt": "", "select": "label", "explained_name": "Young", "tied": []}
    each = table["soft"].to_numpy() + np.linspace(-0.01, 0.01, 60)[:, None] * [1, 2, 3, 4]  # an order that is sure
    known |= {"profile": types.SimpleNamespace(table=table, soft=pd.DataFrame(each, columns=table.index))}
    known |= {"trains": trains, "enough": nb.enough, "stats": estimates, "elsewhere": " At 9 px it does not."}
    known |= {"accuracy": types.SimpleNamespace(value=0.65, n=1200), "kept_back": "faces kept back"} if trains else {}
    (answer,) = done_by("# Claims: all of them, and the answer", **known)
    told = "It tells 65% of 1,200 faces kept back (chance 50%). " * trains + "At 9 px it does not. "
    assert answer == f"Over 60 faces, the network (Young) {said}{told}There is no control to compare with."


@pytest.mark.parametrize(
    ("asked", "faces", "counts"),
    [(["Young"], 60, True), (["Young"], 39, False), (["Male=0"], 60, False), ([], 60, False)],
)
def test_where_alike_faces_are_not_counted_that_is_said(asked, faces, counts):
    unseen = Photos(Path(), pd.DataFrame({"Young": [1, 0] * 30}), ["no", "yes"], torch.arange(2), {})
    rows = torch.arange(faces)
    known = {
        "reference": 0,
        "rows": rows,
        "by_cosine": rows,
        "asked": asked,
        "tied": [],
        "unseen": unseen,
        "version": 0,
    }
    known |= {"subsets": pictures.subsets, "highest": lambda *_: "skin", "explained_name": "", "enough": lambda _: [0]}
    table = np.zeros((1, 1))
    _, last = done_by("# Who looks like whom", alike_profile=types.SimpleNamespace(table=table), **known)
    assert last.startswith(
        "What the reference is in Young (yes) is shared by 50%" if counts else "What these faces share is not counted"
    )


def test_tables_for_people_say_regions_in_words_and_ranks_without_decimals(nb):
    table = ranked(ear_r=2, r_ear=1, neck_l=np.nan).rename_axis("region").assign(soft=[0.5, 0.75, np.nan])
    shown = nb.readable(table, ["rank_soft"])
    assert list(shown.index) == ["earrings", "right ear", "necklace"]
    assert shown["rank_soft"].tolist() == ["2", "1", "–"]
    assert shown["soft"].tolist()[:2] == [0.5, 0.75]
    assert list(table.index) == ["ear_r", "r_ear", "neck_l"]  # the file keeps the short names
    rows = nb.readable(pd.DataFrame({"seed": [0], "RP1 soft planted": [7 / 3]}), ["RP1 soft planted"])
    assert (rows.index.tolist(), rows["RP1 soft planted"].tolist()) == ([0], ["2.33"])
    assert nb.highest(table["soft"], 1) == "right ear 0.75"
    assert nb.highest(table["soft"] * np.nan) == "none"


@pytest.mark.parametrize(("best", "share"), [([0, 1, 2], 1.0), ([5, 6, 6], 0.0), ([0, 5], 0.5)])
def test_the_faces_of_the_best_patches_are_counted_once_beside_those_that_show_the_region(nb, monkeypatch, best, share):
    monkeypatch.setattr(nb, "unseen", people(8).rows(np.ones(8, bool)), raising=False)
    nb.unseen.table["Wearing_Lipstick"] = [1, 1, 1, 1, 0, 0, 0, 0]
    soft = pd.DataFrame({"u_lip": 0.5, "l_lip": np.nan, "nose": 0.9}, index=[0, 1, 2, 5, 6])
    soft.loc[2, "u_lip"] = np.nan  # shows no lip: no part of chance
    patches = pd.DataFrame({"region": "u_lip", "face": best})
    patches = pd.concat([patches, pd.DataFrame({"region": ["nose"], "face": [4]})], ignore_index=True)
    found = nb.caught(nb.Profile(None, patches, soft, soft), "Wearing_Lipstick")
    assert (found.value, found.n, found.chance) == (share, len({*best}), 0.5)


def test_maps_that_are_not_finite_are_left_out_and_counted(nb, monkeypatch):
    images, layers = drawn_faces()
    real = nb.attribute

    def broken(*given, **how):
        cam = real(*given, **how)
        return torch.where(torch.arange(len(cam))[:, None, None] == 5, torch.nan, cam)

    monkeypatch.setattr(nb, "attribute", broken)
    found = profile(nb, images, layers)
    assert counts(found) == (9, 2)  # the fourth is zero everywhere
    monkeypatch.undo()
    without = profile(nb, images, layers, [0, 1, 2, 4, 6, 7, 8])
    assert np.allclose(found.table, without.table, atol=1e-12, equal_nan=True)


def test_the_regions_of_table_4_are_those_of_the_attributes_that_lean_most(nb):
    photos = learners()
    y, worn = photos.labels.numpy(), photos.table["Wearing_Lipstick"].to_numpy()
    lean = worn[y == 1].mean() - worn[y == 0].mean()
    assert nb.leaning(photos, most=1) == pytest.approx({"u_lip": lean, "l_lip": lean})
    assert list(nb.leaning(photos)) == ["u_lip", "l_lip", "eye_g"]  # no more than it has; the largest first


def test_the_profile_of_the_paper_has_figure_4():
    values = profile_values("paper", "02_facex")
    races, target = values["rival_set"], values["rival_target"]
    assert (values["tone"], values["unmasked_set"], values["parser"]) == ("race=Black", "rfw", "farl")
    assert (races, target) == ("fairface", "gender=Female")  # CelebA has no tone of skin


# FLAC


def flac_loops(f, b, y, delta=0.5):
    """L in loops over pairs."""
    n = len(y)

    def s(x, i, j):
        return 1 / (1 + max(np.linalg.norm(x[i] - x[j]), 1e-6) ** delta)

    off = [(i, j) for i in range(n) for j in range(n) if i != j]
    s_b = {pair: s(b, *pair) for pair in off}
    tau = (max(s_b.values()) + min(s_b.values())) / 2
    P = [(i, j) for i, j in off if (s_b[i, j] < tau if y[i] == y[j] else s_b[i, j] > tau)]
    total = 0.0
    for i, j in P:
        mine = [k for h, k in P if h == i]
        p = (1 - s_b[i, j]) / sum(1 - s_b[i, k] for k in mine)
        q = s(f, i, j) / sum(s(f, i, k) for k in mine)
        total += (p - q) * (np.log(p) - np.log(q))
    return total / len(P) if P else 0.0


def test_flac_of_three_faces_by_hand(nb):
    # b at 0, 1 and 9: s 1/2, 1/4 and 1/(1 + sqrt 8); tau is 3/8. Faces 0, 2 and 1, 2 are alike in class and far apart,
    # so P has these both ways. In row 2: p by 1 - s, 0.75 and 0.7387; q by f at 0, 3 and 4: s 1/3 and 1/2
    b, f, y = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([[0.0], [3.0], [4.0]]), torch.ones(3).long()
    far = 1 - 1 / (1 + 8**0.5)
    p, q = 0.75 / (0.75 + far), (1 / 3) / (1 / 3 + 1 / 2)
    two = (p - q) * (np.log(p) - np.log(q)) + (q - p) * (np.log(1 - p) - np.log(1 - q))
    assert nb.flac_loss(f, b, y).item() == pytest.approx(two / 4, abs=1e-6)  # rows 0 and 1 have one pair: p = q = 1
    assert nb.flac_loss(f, b, y).item() == pytest.approx(flac_loops(f.numpy(), b.numpy(), y.numpy()), abs=1e-6)


@SMALL
@given(st.integers(0, 2**31), st.integers(2, 9), st.sampled_from([0.5, 1.0]))
def test_flac_equals_plain_loops(nb, seed, n, delta):
    generator = torch.Generator().manual_seed(seed)
    f, b = (torch.randn(n, d, generator=generator) for d in (4, 3))
    y = torch.randint(0, 2, (n,), generator=generator)
    wanted = flac_loops(f.double().numpy(), b.double().numpy(), y.numpy(), delta)
    assert nb.flac_loss(f.double(), b.double(), y, delta).item() == pytest.approx(wanted, abs=1e-9)
    assert nb.flac_loss(f, b, y, delta).item() == pytest.approx(wanted, abs=1e-4)  # float32 may move a pair over tau


def test_flac_without_pairs_is_zero_and_still_has_a_gradient(nb):
    f = torch.rand(2, 3, requires_grad=True)
    loss = nb.flac_loss(f, torch.tensor([[0.0], [1.0]]), torch.tensor([1, 1]))
    loss.backward()
    assert loss.item() == 0
    assert (f.grad == 0).all()


def test_flac_has_a_finite_gradient_when_two_faces_have_the_same_features(nb):
    torch.manual_seed(0)
    f, b, y = torch.randn(6, 3), torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
    f[1], b[1] = f[0], b[0]
    f.requires_grad_()
    loss = nb.flac_loss(f, b, y)
    loss.backward()
    assert loss.isfinite()
    assert f.grad.isfinite().all()


def test_a_step_down_the_gradient_of_flac_lowers_it(nb):
    torch.manual_seed(0)
    f, b, y = torch.randn(16, 4, requires_grad=True), torch.randn(16, 3), torch.arange(16) % 2
    before = nb.flac_loss(f, b, y)
    before.backward()
    with torch.no_grad():
        after = nb.flac_loss(f - 0.01 * f.grad / f.grad.norm(), b, y)
    assert after < before


def test_features_are_what_the_head_sees_and_no_hook_stays(nb):
    net, x = networks.build("compact_resnet", 2).eval(), torch.rand(2, 3, 32, 32)
    head = net.fc
    features, logits = nb.features_and_logits(net, x)
    assert torch.equal(logits, net(x))
    assert torch.allclose(head(features), logits)
    assert not head._forward_pre_hooks
    assert not head._forward_hooks


def test_the_flac_objective_is_alpha_times_it_plus_a_hundredth_of_the_cross_entropy(nb):
    net, other = (networks.build("compact_resnet", 2).eval() for _ in range(2))
    x, y = torch.rand(8, 3, 32, 32), torch.arange(8) % 2
    seeing = networks.Classifier("other", other, torch.arange(2))
    found = nb.flac(seeing, 30.0).loss(net, x, y)
    (f, logits), (b, _) = nb.features_and_logits(net, x), nb.features_and_logits(other, x)
    assert found.item() == pytest.approx((30 * nb.flac_loss(f, b, y) + 0.01 * F.cross_entropy(logits, y)).item())
    found.backward()
    assert all(p.grad is None for p in other.parameters())
    assert nb.flac(seeing, 30.0).key == nb.flac(seeing, 30.0).key != nb.flac(seeing, 31.0).key


# a network without classes


def features():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()


def test_similarity_is_the_cosine_of_the_features(nb):
    net, x, reference = features(), torch.randn(4, 3, 12, 12), torch.randn(1, 3, 12, 12)
    found = nb.Similarity(net, reference)(x)
    assert found.shape == (4, 1)
    assert torch.allclose(found[:, 0], F.cosine_similarity(net(x), net(reference)), atol=1e-6)


def test_the_reference_is_like_itself(nb):
    reference = torch.randn(1, 3, 12, 12)
    assert nb.Similarity(features(), reference)(reference).item() == pytest.approx(1)


def test_a_similarity_can_be_explained(nb):
    x = torch.randn(3, 3, 12, 12)
    alike = nb.Similarity(features(), x[:1]).eval()
    maps = attribute("gradcam", alike, x, torch.ones(3, dtype=torch.long))
    assert maps.shape == (3, 12, 12)
    assert (maps[1:].amax((1, 2)) > 0).any()
    assert all(p.grad is None for p in alike.parameters())


def test_a_layer_by_name_is_found_in_a_similarity_too(nb):
    net, pictures = features(), (255 * torch.rand(3, 3, 12, 12)).byte()
    plain = networks.Classifier("plain", net, torch.arange(2), "half")
    alike = networks.Classifier("alike", nb.Similarity(net, plain.prepared(pictures[:1])), torch.arange(2), "half")
    last, relu, conv = (nb.cams(alike, pictures, 1, layer) for layer in (None, "1", "0"))
    assert torch.equal(last, relu)
    assert not torch.equal(last, conv)


# against facextool, the authors' package


@pytest.fixture(scope="module")
def component():
    """facextool's `facex.component`. Its metadata pins an old grad-cam, so no extra can name it."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "facer", types.ModuleType("facer"))  # its face parser, which is not asked here
        try:
            from facex import component
        except ImportError as error:
            missing(f"facextool is not there ({error}): pip install --no-deps facextool==0.1.52")
        yield component


def authors_input(n=12, seed=0):
    """Maps of 64 x 64 in 256 steps and masks of 64 x 64: what the authors' code works on after its own shrinking."""
    rng = np.random.default_rng(seed)
    q = np.stack([np.kron(rng.integers(0, 256, (8, 8)), np.ones((8, 8))) for _ in range(n)]).astype(np.uint8)
    q[::2] = rng.integers(0, 256, (len(q[::2]), 64, 64))
    masks = np.zeros((n, 5, 64, 64), bool)  # skin, hair, ear_r, nose, hat; no hat anywhere
    for i, r in np.ndindex(n, 4):
        y, x, h, w = rng.integers(0, 50, 2).tolist() + rng.integers(1, 40, 2).tolist()
        masks[i, r, y : y + h, x : x + w] = rng.random() < 0.8 or r == 0
    return q, masks, ["skin", "hair", "ear_r", "nose", "hat"]


def test_the_oracle_is_the_authors_package(component):
    assert component.__name__ == "facex.component"
    assert importlib.metadata.version("facextool") == "0.1.52"
    assert {"global_focus", "process_data"} <= set(dir(component))


@pytest.mark.oracle
def test_binary_ior_equals_facextool(nb, component):
    from facex.nn_utils import normalize_values

    q, masks, regions = authors_input()
    sums, counts, each = dict.fromkeys(regions, 0), dict.fromkeys(regions, 0), []
    for cam, drawn in zip(q, masks, strict=True):
        layers = {r: torch.from_numpy(m).float()[None, None] for r, m in zip(regions, drawn, strict=True)}
        sums, counts, row = component.global_focus(Image.fromarray(cam), layers, sums, counts, {"att_list": regions})
        each.append([row[r] for r in regions])
    theirs = normalize_values(sums, counts)

    G, M = torch.from_numpy(q).double() / 255, torch.from_numpy(masks)
    ours = iors(nb, nb.above(G), nb.carve(M, regions, "raw"))
    assert ours.nan_to_num(0).numpy() == pytest.approx(np.array(each), abs=1e-12)  # they call an absent region 0

    table = nb.profile_table(*[pd.DataFrame(ours.numpy(), columns=regions)] * 2)
    assert table["n_images"].to_dict() == counts
    assert table["binary"].fillna(0).to_numpy() == pytest.approx([theirs[r] for r in regions], abs=1e-12)
    assert theirs["hat"] == 0
    assert np.isnan(table.loc["hat", "binary"])


@pytest.mark.oracle
def test_the_best_patches_of_one_a_face_equal_facextools(nb, component):
    q, masks, _ = authors_input()
    G, M = torch.from_numpy(q).double() / 255, torch.from_numpy(masks[:, :1])
    patches, values, names = [], [], []
    for i in range(len(q)):
        patches, values, names = component.process_data(
            imgs=torch.zeros(1, 3, 64, 64), att_map=G[i][None, None], att=M[i][None].double(), pth=[f"/{i:03d}.png"],
            patch_size=16, config={"img_size": 64, "K_top_patches": 4}, tp=patches, tpv=values, tin=names,
        )  # fmt: skip
    theirs = sorted(zip(values, map(int, names), strict=True), reverse=True)
    best = np.zeros((1, 4)), np.full((1, 4), -1), np.full((1, 4), -1)
    value, face, _ = nb.merged(best, nb.sums(G, M, 16), torch.arange(len(q)), 4, 1)
    assert face[0].tolist() == [i for _, i in theirs]
    assert value[0] == pytest.approx([v for v, _ in theirs], rel=1e-12)


# bad input, refused before anything is trained


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """Drawn faces of 64 px, a few more than a training needs."""
    return faces.prepare(tmp_path_factory.mktemp("drawn"), images=160, size=64, name="tiny", workers=1)


@pytest.fixture
def mine(tiny, tmp_path) -> Path:
    """The drawn faces as somebody's own folder, which a test may spoil."""
    shutil.copytree(tiny, tmp_path / "mine", ignore=shutil.ignore_patterns("dataset.json"))
    return tmp_path / "mine"


def spoil_table(change):
    def spoil(folder):
        table = pd.read_csv(folder / "index.csv", dtype=str, keep_default_na=False)
        change(table).to_csv(folder / "index.csv", index=False)

    return spoil


def lose_a_region(folder):
    table = pd.read_csv(folder / "regions.csv")
    table[table["region"] != "skin"].to_csv(folder / "regions.csv", index=False)


def shrink_a_mask(folder):
    file = folder / "masks" / "000003.png"
    Image.open(file).resize((32, 32), Image.Resampling.NEAREST).save(file)


def cut(kinds, box, files="*.png"):
    def spoil(folder):
        shutil.rmtree(folder / "layers")
        spoil_table(lambda t: t.assign(layers=""))(folder)
        for file in [f for kind in kinds for f in (folder / kind).glob(files)]:
            Image.open(file).crop(box).save(file)

    return spoil


def leave(folder):
    pass


BOTH = ("images", "masks")
BAD = {
    "a column that is missing": (leave, {"attributes": ["Wearing_Lipstik"]}, "Did you mean `Wearing_Lipstick`"),
    "-1 and 1 in the place of 0 and 1": (
        spoil_table(lambda t: t.assign(Wearing_Lipstick=t["Wearing_Lipstick"].replace("0", "-1"))),
        {},
        "column `Wearing_Lipstick` holds -1, 1; expected 0 and 1. Say which value counts: Wearing_Lipstick=1",
    ),
    "ids that have no name": (lose_a_region, {}, r"region ids \[1\] are not in regions.csv"),
    "a mask of another size than its picture": (shrink_a_mask, {}, "000003.png: mask of 32 x 32 pixels for a picture"),
    "faces of two sizes": (cut(BOTH, (0, 0, 48, 48), "000019.png"), {}, "000019.png: 48 x 48 pixels, where"),
    "faces that are not square": (cut(BOTH, (0, 0, 48, 64)), {}, "48 x 64 pixels; this needs square pictures"),
    "a target that no face has": (leave, {"targets": ["hair=mohawk"]}, "`hair=mohawk`: no picture has it"),
    "a target that no unseen face has": (
        spoil_table(lambda t: t.assign(Young=t["Young"].where(t["split"] != "test", "0"))),
        {"targets": ["Young"], "correlation": 0.5},
        "no face for Young",
    ),
    "a patch that does not divide": (leave, {"patch": 15}, r"patch is 15; .* 64 pixels. Nearest: \[8, 16\]"),
    "a layer without a grid": (leave, {"layer": "fc"}, r"layer='fc' .*expected a grid \(N, K, u, v\)"),
    "a layer that is not there": (leave, {"layer": "layr4"}, "layer='layr4' .*no such layer"),
    "a size that the network does not take": (leave, {"model": "vit_b_32", "size": 80}, "vit_b_32 .* at 80 px"),
    "faces without masks and no parser": (
        spoil_table(lambda t: t.drop(columns=["mask", "layers"])),
        {"parser": "none"},
        "faces without masks, and nobody to find regions: parser=farl, a file, or train",
    ),
    "faces without masks that nobody drew, and no parser named": (
        spoil_table(lambda t: t.drop(columns=["mask", "layers"])),
        {},
        "faces without masks, and nobody to find regions: parser=farl, a file, or train",
    ),
    "masks whose ids nobody names": (
        lambda folder: [spoil_table(lambda t: t.drop(columns="layers"))(folder), (folder / "regions.csv").unlink()],
        {},
        r"regions.csv: no such file; masks need it to name their ids",
    ),
}  # fmt: skip


def question(folder, given):
    return reports.plan(
        "02_facex",
        given={"dataset": str(folder), "model": "compact_resnet", "size": 64, "train_size": 64, "epochs": 1} | given,
    )


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_before_anything_is_trained(mine, data_home, monkeypatch, case):
    spoil, given, said = BAD[case]
    spoil(mine)
    plan = question(mine, given)
    monkeypatch.setenv("COURSE_NOTEBOOK", str(plan.notebook))
    with pytest.raises(CourseError, match=said):
        step_through(plan)
    assert not list((data_home / "models").glob("*"))


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (159, "reference is 1000; expected -1 or 0 to 159"),  # of its splits none was learnt from: all are explained
        (160, r"tiny: all 160 pictures are in .*leave_out\.csv"),
    ],
)
def test_networks_that_learn_on_another_set_learn_nothing_of_the_explained_faces(
    mine, tiny, data_home, monkeypatch, listed, said
):
    notes = []
    monkeypatch.setattr("helpers.run.Run.note", lambda run, text: notes.append(text))
    names = pd.read_csv(tiny / "index.csv")["image"].str.removeprefix("images/")
    pd.DataFrame({"image": names.sort_values(ascending=False)[:listed]}).to_csv(mine / "leave_out.csv", index=False)
    plan = question(mine, {"training_set": str(tiny), "reference": 1000, "targets": ["Young"]})
    monkeypatch.setenv("COURSE_NOTEBOOK", str(plan.notebook))
    with pytest.raises(CourseError, match=said):
        step_through(plan)
    assert [note.split(" pictures of ")[0] for note in notes] == ["159"] * (listed == 159)


@pytest.mark.slow
def test_bad_input_makes_a_report_that_says_so(mine, data_home, tmp_path):
    spoil, given, said = BAD["a patch that does not divide"]
    spoil(mine)
    folder, status = reports.run(question(mine, given), tmp_path / "out")
    error = reports.results(folder)["error"]
    assert (status, error["name"]) == ("failed", "CourseError")
    assert re.search(said, error["message"])
    assert not list((data_home / "models").glob("*"))
    assert "Nearest" in (folder / "report.html").read_text()


# the whole notebook


@pytest.fixture(scope="module")
def few_faces(tmp_path_factory):
    """A place for data where 480 drawn faces of 64 px pass for the embedded ones: our parser learns from few, too."""
    home = tmp_path_factory.mktemp("home")
    few_faces_for_embedded(home, 480, 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA", str(home))
        yield home


EVERYTHING = {
    "model": "compact_resnet",
    "size": 64,
    "train_size": 64,
    "epochs": 1,
    "images": 12,
    "top": 3,
    "correlation": 0.8,
}
EVERYTHING |= {"attributes": ["Wearing_Lipstick"], "pairs": ["Eyeglasses+Wearing_Hat"]}
EVERYTHING |= {"natural": ["Wearing_Lipstick", "Wearing_Necklace"], "tone": "skin_tone>=3"}


def trained_at(home):
    """Every trained network, and when."""
    return {f.parent.name: f.stat().st_mtime_ns for f in (home / "models").glob("*/weights.safetensors")}


def said_by(folder):
    """All that the cells of a run showed, without their code."""
    cells = nbformat.read(folder / "executed.ipynb", 4).cells
    return json.dumps([cell.get("outputs", []) for cell in cells])


@pytest.fixture(scope="module")
def resumed(few_faces, tmp_path_factory):
    """A run of everything, interrupted when two networks were trained, then asked again: (trained before, folder)."""
    out = tmp_path_factory.mktemp("out")
    (out / "p.yaml").write_text(json.dumps(EVERYTHING))
    with course_started("run", "02_facex", "-f", out / "p.yaml", "--out", out, cwd=REPO) as process:
        deadline = time.monotonic() + 120
        while len(trained_at(few_faces)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    before = trained_at(few_faces)
    folder, status = reports.run(reports.plan("02_facex", given=EVERYTHING), out)
    assert status == "finished", reports.reason(folder)
    return before, folder


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_the_networks_it_had(resumed, few_faces):
    before, _ = resumed
    after = trained_at(few_faces)
    assert 2 <= len(before) < len(after)
    assert {name: after[name] for name in before} == before


@pytest.mark.slow
def test_a_run_with_other_knobs_of_the_summary_trains_nothing(resumed, few_faces, tmp_path):
    before = trained_at(few_faces)
    given = EVERYTHING | {"version": "binary", "scaling": "dataset", "overlap": "exclusive", "per_image": 0}
    given |= {"natural": ["none"], "pairs": ["none"], "mitigate": "none", "tone": "none", "reference": -1}
    given |= {"parser": "none"}
    folder, status = reports.run(reports.plan("02_facex", given=given), tmp_path)
    assert status == "finished", reports.reason(folder)
    assert trained_at(few_faces) == before


@pytest.mark.slow
def test_the_whole_notebook_runs_through_the_report_path(resumed):
    _, folder = resumed
    results = reports.results(folder)
    metrics = results["metrics"]
    assert {f"{what}.{region}" for what in ("ior", "rank", "n_images") for region in REGIONS} <= set(metrics)
    assert {"table1_mean_rank", "table1_mean_rank.control", "soft_binary_spearman"} <= set(metrics)
    assert {"table3_mean_rank.first", "table3_mean_rank.second", "parser_mean_iou", "accuracy"} <= set(metrics)
    assert {"worst_group.before", "worst_group.after", "worst_group.balanced"} <= set(metrics)
    assert all(0 <= metrics[f"ior.{r}"] <= 1 for r in REGIONS if metrics[f"ior.{r}"] is not None)
    there = [r for r in REGIONS if metrics[f"n_images.{r}"]]
    assert [r for r in REGIONS if metrics[f"rank.{r}"] is not None] == there
    assert [c["kind"] for c in results["claims"]].count("control") == 4
    assert not [c["claim"] for c in results["claims"] if c["verdict"] == "not judged"]
    assert len(results["claims"]) == 11
    assert [f["name"] for f in results["figures"] if f["cover"]] == ["prototype"]
    assert "drawn by a script" in said_by(folder)
    assert "No bias is planted here" not in said_by(folder)
    assert results["answer"]
    assert not [f["alt"] for f in results["figures"] if not f["alt"] or "np." in f["alt"] or "{" in f["alt"]]
    wanted = {"prototype", "control", "prototypes", "table2", "flac", "parsed", "tone", "similarity"}
    assert wanted <= {f["name"] for f in results["figures"]}
    assert {"table1", "table3", "table4", "flac_groups", "faces"} <= {table["name"] for table in results["tables"]}
    claimed = {c["claim"]: c for c in results["claims"]}
    assert claimed["the planted region comes among the first three"]["paper"] == "rank 2.25 on average"
    # one training: nothing is said of trainings, for or against; faces and patches are many
    of_trainings = [c for c in results["claims"] if "seed" not in c["seen"] and "patches" not in c["seen"]]
    assert {c["verdict"] for c in of_trainings} == {"cannot tell"}


@pytest.mark.slow
def test_the_tables_of_a_run_can_be_traced(resumed, few_faces):
    _, folder = resumed
    regions = pd.read_csv(folder / "tables" / "regions.csv", index_col="region")
    metrics = reports.results(folder)["metrics"]
    assert list(regions.index) == list(REGIONS)
    assert regions["soft"].dropna().to_dict() == {r: metrics[f"ior.{r}"] for r in regions["soft"].dropna().index}
    each = pd.read_csv(folder / "tables" / "faces.csv", index_col="image")
    assert list(each.columns) == list(REGIONS)
    assert each.mean().dropna().to_dict() == pytest.approx(regions["soft"].dropna().to_dict())
    patches = pd.read_csv(folder / "tables" / "patches.csv")
    assert all((few_faces / "faces" / name).is_file() for name in patches["image"])
    assert (patches.groupby("region").size() <= 3).all()
    assert (patches["x1"] <= 64).all()


@pytest.mark.slow
def test_faces_without_masks_are_explained_by_a_parser_from_a_file(few_faces, tiny, tmp_path):
    """A practitioner's way: a folder of pictures, a network, a parser, and no attribute at all."""
    trained = re.search(r"\((.*)\)", parsing.train(pictures.load(tiny), size=32, epochs=1).source)[1]
    parser = few_faces / "models" / trained / "weights.safetensors"
    torch.manual_seed(0)
    torch.save(networks.build("compact_resnet", 3).state_dict(), tmp_path / "net.pth")
    shutil.copytree(tiny / "images", tmp_path / "mine" / "images")
    given = {"dataset": str(tmp_path / "mine"), "weights": str(tmp_path / "net.pth"), "targets": ["none"], "output": 2}
    given |= {
        "parser": str(parser),
        "parser_regions": "",
        "model": "compact_resnet",
        "size": 64,
        "images": 8,
        "select": "all",
    }
    folder, status = reports.run(reports.plan("02_facex", given=given), tmp_path / "out")
    assert status == "finished", reports.reason(folder)
    metrics = reports.results(folder)["metrics"]
    assert max(metrics[f"n_images.{region}"] for region in REGIONS) > 0
    assert "drawn by a script" not in said_by(folder)  # these may be anybody
    assert "takes some minutes" not in said_by(folder)  # no tone can be tied to a network that was trained elsewhere
    assert "No bias is planted here" in said_by(folder)


@pytest.mark.slow
def test_a_parser_that_misses_what_every_face_has_is_in_the_headline(few_faces, tiny, tmp_path):
    torch.manual_seed(0)
    torch.save(parsing.unet.CompactUNet(19).state_dict(), tmp_path / "parser.pth")  # has learnt nothing
    torch.save(networks.build("compact_resnet", 2).state_dict(), tmp_path / "net.pth")
    shutil.copytree(tiny / "images", tmp_path / "mine" / "images")
    given = {"dataset": str(tmp_path / "mine"), "weights": str(tmp_path / "net.pth"), "targets": ["none"]}
    given |= {"parser": str(tmp_path / "parser.pth"), "parser_regions": "", "reference": -1}
    given |= {"model": "compact_resnet", "size": 64, "images": 8}
    folder, status = reports.run(reports.plan("02_facex", given=given), tmp_path / "out")
    assert status == "finished", reports.reason(folder)
    results = reports.results(folder)
    assert re.match(r"The parser fails on mine: of 64 faces it finds .*(skin|nose|lips) in \d+%", results["answer"])
    assert any("Name a better one: parser=farl" in note for note in results["notes"])
    assert {"faces"} <= {f["name"] for f in results["figures"]}  # the masks that it found


@pytest.mark.slow
def test_a_network_that_shows_nothing_makes_a_page_that_says_so(few_faces, tiny, tmp_path):
    net = networks.build("compact_resnet", 2)
    nn.init.constant_(net.fc.weight, -1.0)  # what it weighs is never negative: Grad-CAM is zero everywhere
    torch.save(net.state_dict(), tmp_path / "net.pth")
    given = {"dataset": str(tiny), "weights": str(tmp_path / "net.pth"), "targets": ["none"], "model": "compact_resnet"}
    folder, status = reports.run(reports.plan("02_facex", given=given | {"size": 64, "images": 8}), tmp_path / "out")
    assert status == "finished", reports.reason(folder)
    results = reports.results(folder)
    assert "shows nothing: no map of Grad-CAM says anything of a region" in results["answer"]
    assert any(note.startswith("8 of 8 faces have a map that is zero everywhere") for note in results["notes"])
    assert {results["metrics"][f"ior.{region}"] for region in REGIONS} == {None}
    assert "similarity" in {f["name"] for f in results["figures"]}  # of its features, which say something
    assert "there is no best patch" in said_by(folder)
    del results["provenance"]  # which names lines of code
    assert re.findall(r".{60}\bnan\b", json.dumps(results)) == []


@pytest.mark.slow
def test_a_tone_is_tied_in_the_other_set_and_shown_on_a_third(few_faces, tiny, tmp_path):
    """The way of Fig. 4: FairFace has the races, RFW the faces, and neither of them masks."""
    shutil.copytree(tiny, tmp_path / "rival", ignore=shutil.ignore_patterns("dataset.json", "masks", "layers"))
    table = pd.read_csv(tmp_path / "rival" / "index.csv", dtype=str).drop(columns=["mask", "layers"])
    table.rename(columns={"Male": "man"}).to_csv(tmp_path / "rival" / "index.csv", index=False)
    shutil.copytree(tiny / "images", tmp_path / "third" / "images")
    given = {k: v for k, v in EVERYTHING.items() if k not in ("natural", "pairs")} | {"training": "small"}
    given |= {"attributes": ["none"], "mitigate": "none", "parser": "train", "reference": -1, "correlation": 0.7}
    given |= {"rival_set": str(tmp_path / "rival"), "rival_target": "man=0", "unmasked_set": str(tmp_path / "third")}
    folder, status = reports.run(reports.plan("02_facex", given=given), tmp_path / "out")
    assert status == "finished", reports.reason(folder)
    results = reports.results(folder)
    assert any(name.startswith("man=0 ~ skin_tone>=3") for name in results["provenance"]["weights"])
    claimed = {c["claim"]: c["verdict"] for c in results["claims"]}
    assert claimed["a bias by skin shows on the skin, masks predicted"] == "cannot tell"  # one network
    assert claimed["its best skin patches are dark"] == "not judged"  # nobody wrote down their tones
    assert claimed["lips come earlier in a network from photos that lean"] == "cannot tell"
    assert {"table4", "parsed"} <= {table["name"] for table in results["tables"]}


@pytest.mark.slow
def test_the_headline_names_the_first_regions_of_the_table_and_how_few_faces_have_them(resumed):
    _, folder = resumed
    table = pd.read_csv(folder / "tables" / "regions.csv", index_col="region")
    answer = reports.results(folder)["answer"]
    many = table["n_images"] >= min(10, table["n_images"].max())
    first = table[many].sort_values("rank_soft", kind="stable").head(3)
    before = table[~many & (table["rank_soft"] < first["rank_soft"].iloc[-1])].sort_values("rank_soft")["n_images"]
    said = ", ".join(map(human, first.index))
    said += " (which comes first cannot be told)" * ("cannot be told" in answer)
    said += f"; left out, on fewer than {min(10, table['n_images'].max())} faces: " * (len(before) > 0)
    said += ", ".join(f"{human(region)} ({n})" for region, n in before.items())
    assert f"looks most at {said}." in answer
    accuracy = reports.results(folder)["metrics"]["accuracy"]
    assert re.search(rf" It tells {accuracy:.0%} of \d+ faces kept back from training \(chance 50%\)\.$", answer)


@pytest.mark.slow
def test_a_network_that_gives_a_vector_is_explained_by_similarity(few_faces, tmp_path):
    torch.save(networks.build("compact_resnet", 16).state_dict(), tmp_path / "net.pth")
    given = {"weights": str(tmp_path / "net.pth"), "targets": ["none"], "output": -1, "reference": 3}
    given |= {"model": "compact_resnet", "size": 64, "images": 8}
    folder, status = reports.run(reports.plan("02_facex", given=given), tmp_path / "out")
    assert status == "finished", reports.reason(folder)
    results = reports.results(folder)
    assert "the network (similarity to face 3) looks most at" in results["answer"]
    assert {c["verdict"] for c in results["claims"]} == {"not judged"}


@pytest.mark.slow
def test_real_faces_are_explained_by_their_true_masks(real_data, data_home, tmp_path):
    given = {"dataset": str(real_data / "celebamask512"), "model": "resnet18", "targets": ["none"], "output": 0}
    given |= {"weights": str(real_data / "weights" / "resnet18_imagenet.pth"), "select": "all", "parser": "none"}
    given |= {"images": 8, "patch": 16, "reference": -1}
    regions_csv = pd.read_csv(real_data / "celebamask512" / "regions.csv")
    folder, status = reports.run(reports.plan("02_facex", given=given), tmp_path)
    assert status == "finished", reports.reason(folder)
    metrics = reports.results(folder)["metrics"]
    assert {f"ior.{region}" for region in REGIONS} <= set(metrics)
    zero = [int(n.split()[0]) for n in reports.results(folder)["notes"] if "zero everywhere" in n]
    assert 1 <= metrics["n_images.skin"] == 8 - sum(zero)  # output 0 is a fish: many maps are zero
    assert not list((data_home / "models").glob("*"))
    said = "\n".join(reports.results(folder)["notes"])
    assert "get the same class at 112 pixels as at 224;" in said  # the side that these weights expect, and half of it
    page = (folder / "report.html").read_text(encoding="utf-8")
    ids = [np.array(Image.open(file)) for file in sorted((real_data / "celebamask512" / "masks").iterdir())[:64]]
    left, right = (regions_csv.set_index("region")["id"][eye] for eye in ("l_eye", "r_eye"))
    both = [m for m in ids if (m == left).any() and (m == right).any()]
    swapped = [m for m in both if (m == left).nonzero()[1].mean() < (m == right).nonzero()[1].mean()]
    assert f"In {len(swapped)} of {len(both)} faces that have both, <code>l_eye</code> lies left" in page
    assert "so the three ways to settle an overlap are one" in page  # a palette has one region a pixel
    assert "Ranks of regions under 5 choices" in page  # soft, binary, two scalings, another size: no overlap
    patches = pd.read_csv(folder / "tables" / "patches.csv")
    assert ((patches["x1"] - patches["x0"] == 16) & (patches["x1"] <= 512)).all()


settings.register_profile("course", deadline=None)  # a first call compiles and warms up
settings.load_profile("course")
