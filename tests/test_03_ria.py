"""notebooks/03_ria.ipynb: its equations by hand, by law, in plain loops and against other packages; then all of it."""

import itertools
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import pytorch_grad_cam
import torch
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from known import DOUBLE, RED, browsed, few_for_embedded, silent_weights, step_through
from PIL import Image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from scipy import ndimage, stats
from torch import nn
from torch.nn import functional as F

import helpers.stats
from data_scripts.drawn import scenes
from helpers import networks as models
from helpers import pictures as data
from helpers.errors import CourseError
from helpers.heatmaps import attribute
from helpers.networks import augment
from helpers.networks.layers import explaining, last_conv
from reports import runs as reports

SMALL = settings(deadline=None, max_examples=40)
SOFT = ["soft_mask", "soft_box", "straight_through"]
NONE = [torch.nan] * 4


@pytest.fixture(scope="module")
def nb(notebook):
    return notebook("03_ria")


def boxes_in(*rows):
    return torch.tensor(rows, dtype=torch.float)


def rectangle(y0, y1, x0, x1, H=40, W=40, low=0.1, high=0.9):
    """A map (1, H, W), low but for a rectangle."""
    G = torch.full((1, H, W), low)
    G[0, y0:y1, x0:x1] = high
    return G


def drawn(shape=(3, 6, 7), high=1.0):
    """Maps from 0 to high."""
    return arrays(np.float32, shape, elements=st.floats(0, high, width=32)).map(torch.from_numpy)


def masks(shape=(2, 5, 7)):
    return arrays(np.bool_, shape).map(torch.from_numpy)


@st.composite
def some_boxes(draw, n=3, H=6, W=7, beyond=0, fine=4):
    """Boxes (n, 4) on a grid of 1 / fine pixels, up to `beyond` pixels over the edge."""

    def ends(size):
        low, high = draw(
            st.lists(st.integers(-beyond * fine, (size + beyond) * fine), min_size=2, max_size=2, unique=True).map(
                sorted
            )
        )
        return low / fine, high / fine

    sides = [(ends(W), ends(H)) for _ in range(n)]
    return boxes_in(*[(x0, y0, x1, y1) for (x0, x1), (y0, y1) in sides])


# the heatmap


def network(name="compact_resnet", outputs=5, side=64, seed=0, dtype=torch.float32):
    """A network with random weights, the layer its heatmaps come from, and two pictures."""
    torch.manual_seed(seed)
    net = models.build(name, outputs).eval().to(dtype)
    return net, *last_conv(net, size=side), torch.randn(2, 3, side, side).to(dtype)


@pytest.mark.oracle
@pytest.mark.parametrize("name", [*models.COMPACT, "resnet18", "densenet121"])
def test_gradcam_is_the_courses(nb, name):
    net, _, layer, x = network(name, dtype=torch.float64)
    x, t = x[:1].expand(5, -1, -1, -1), torch.arange(5)  # of random weights, some classes' maps are zero
    theirs = attribute("gradcam", net, x, t, resolution="native")
    near = {"rtol": 0, "atol": DOUBLE * theirs.max().item()}
    assert theirs.any()
    assert torch.allclose(nb.gradcam(*nb.forward(net, layer, x), t), theirs, **near)
    with explaining(net):
        assert torch.allclose(nb.gradcam(*nb.forward(net, layer, x), t, create_graph=False), theirs, **near)
    for key, p in net.named_parameters():
        p.requires_grad_(key == list(net.state_dict())[-1])
    assert torch.allclose(nb.gradcam(*nb.forward(net, layer, x), t), theirs, **near)


@pytest.mark.oracle
def test_gradcam_stretched_to_its_range_is_the_grad_cam_packages(nb):
    net, _, layer, x = network("resnet18", side=96, dtype=torch.float64)
    ours, _ = nb.minmax(nb.gradcam(*nb.forward(net, layer, x), torch.tensor([3, 1])), (96, 96))
    with pytorch_grad_cam.GradCAM(net, [layer]) as cam:
        theirs = cam(x, targets=[ClassifierOutputTarget(3), ClassifierOutputTarget(1)])
    assert np.allclose(ours.detach(), theirs, atol=1e-3)  # it adds 1e-7 to a maximum that may be as small as 1e-4


def test_looking_gives_the_networks_own_scores_and_leaves_no_hook(nb):
    net, _, layer, x = network()
    s, A = nb.forward(net, layer, x)
    assert torch.equal(s, net(x))
    assert A.ndim == 4
    assert not layer._forward_hooks


def test_a_frozen_backbone_still_has_a_heatmap_and_only_the_head_a_gradient(nb):
    net, name, layer, x = network()
    whole = nb.gradcam(*nb.forward(net, layer, x), torch.tensor([3, 1]))
    for key, p in net.named_parameters():
        p.requires_grad_(key.startswith("fc."))
    G = nb.gradcam(*nb.forward(net, layer, x), torch.tensor([3, 1]))
    assert torch.allclose(G, whole, atol=1e-6)
    nb.ria(G, boxes_in([4, 4, 20, 30], [30, 30, 60, 64]), nb.Ria(), (64, 64)).sum().backward()
    assert {key for key, p in net.named_parameters() if p.grad is not None} == {"fc.weight"}
    assert net.fc.weight.grad.any()


@pytest.mark.parametrize("name", ["compact_resnet", "resnet18"])
def test_without_the_second_graph_only_the_head_loses_its_gradient(nb, name):
    net, _, layer, x = network(name, side=96)
    found = {}
    for graph in (True, False):
        net.zero_grad()
        G = nb.gradcam(*nb.forward(net, layer, x), torch.tensor([3, 1]), graph)
        nb.ria(G, boxes_in([4, 4, 20, 30], [30, 30, 60, 64]), nb.Ria(), (96, 96)).sum().backward()
        found[graph] = {key: p.grad.clone() for key, p in net.named_parameters() if p.grad is not None}
    assert set(found[True]) - set(found[False]) == {"fc.weight"}
    for key, grad in found[False].items():
        assert F.cosine_similarity(grad.flatten(), found[True][key].flatten(), dim=0) > 0.9999 or not grad.any()
        assert grad.norm().item() == pytest.approx(found[True][key].norm().item(), rel=1e-3)


def test_a_map_goes_from_0_to_1_at_the_pictures_size(nb):
    G, valid = nb.minmax(torch.rand(3, 4, 5) + 2, (12, 20))
    assert G.shape == (3, 12, 20)
    assert G.amin((1, 2)).tolist() == [0] * 3
    assert G.amax((1, 2)).tolist() == [1] * 3
    assert valid.all()


def test_a_map_is_enlarged_before_it_is_stretched(nb):
    G = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    large = F.interpolate(G[None], (5, 6), mode="bilinear")[0]
    assert torch.allclose(nb.minmax(G, (5, 6))[0], (large - large.min()) / (large.max() - large.min()))


@pytest.mark.parametrize("height", [0.0, 0.3, 1e-6, 7.0])
@pytest.mark.parametrize("side", [1, 3, 7])
def test_a_flat_map_has_no_range(nb, height, side):
    G, valid = nb.minmax(torch.stack([torch.full((side, side), height), torch.rand(side, side)]), (22, 22))
    assert valid.tolist() == [False, side > 1]
    assert G[0].abs().max() < 1e-5  # enlarging rounds


def test_maps_that_are_not_finite_are_refused(nb):
    with pytest.raises(ValueError, match="G holds 4 value"):
        nb.minmax(torch.full((1, 2, 2), torch.nan), (4, 4))


@SMALL
@given(drawn(), st.floats(0.01, 100), st.sampled_from(SOFT))
def test_the_loss_does_not_depend_on_the_scale_of_the_map(nb, G, s, surrogate):
    assume((G.amax((1, 2)) - G.amin((1, 2)) > 0.01).all())  # else the stretch makes much of float32's rounding
    B_od = boxes_in([1, 1, 5, 4]).expand(3, 4)
    kappa = 5.0  # a soft box takes products of many factors that kappa makes sensitive
    (one, _), (other, _) = nb.minmax(G, (6, 7)), nb.minmax(G * s, (6, 7))
    assert torch.allclose(one, other, atol=1e-4)
    if ((one - 0.5).abs() > 1e-3).all():  # on the threshold itself rounding decides
        both = [torch.stack(nb.terms(m, B_od, surrogate, kappa=kappa)) for m in (one, other)]
        assert torch.allclose(*both, atol=1e-2)


# the box


def flood(mask, at, corners):
    """The connected part of one mask that holds the pixel at, counted row by row: a plain flood fill."""
    H, W = mask.shape
    todo, found = [divmod(int(at), W)], torch.zeros(H, W, dtype=torch.bool)
    while todo:
        y, x = todo.pop()
        if 0 <= y < H and 0 <= x < W and mask[y, x] and not found[y, x]:
            found[y, x] = True
            steps = itertools.product((-1, 0, 1), repeat=2)
            todo += [(y + dy, x + dx) for dy, dx in steps if corners or 0 in (dy, dx)]
    return found


@SMALL
@given(masks(), st.lists(st.integers(0, 34), min_size=2, max_size=2), st.booleans())
def test_a_component_is_what_a_flood_fill_reaches(nb, mask, at, corners):
    found = nb.component(mask, torch.tensor(at), corners)
    assert torch.equal(found, torch.stack([flood(m, p, corners) for m, p in zip(mask, at, strict=True)]))


def test_corners_connect_in_heatmaps_and_not_in_lost(nb):
    mask = torch.eye(3, dtype=torch.bool)[None]
    at = torch.tensor([4])
    assert torch.equal(nb.component(mask, at), mask)
    assert nb.component(mask, at, corners=False).nonzero().tolist() == [[0, 1, 1]]


def test_maps_of_a_batch_never_connect_with_each_other(nb):
    mask = torch.ones(3, 2, 2, dtype=torch.bool)
    mask[1] = False
    found = nb.component(mask, torch.tensor([0, 0, 3]))
    assert found.flatten(1).sum(1).tolist() == [4, 0, 4]
    G = torch.zeros(2, 4, 4)
    G[0, 0, 0] = G[1, 0, 1] = 1  # neighbours, were they in one map
    assert nb.tight_box(nb.peak_component(G, 0.5)).tolist() == [[0, 0, 1, 1], [1, 0, 2, 1]]


@pytest.mark.parametrize(
    ("peaks", "box"),
    [
        ({(1, 4): 1.0, (3, 0): 1.0}, [4, 1, 5, 2]),  # the first row by row, not column by column
        ({(2, 1): 1.0, (2, 4): 1.0}, [1, 2, 2, 3]),
        ({(0, 0): 0.9, (3, 3): 1.0}, [3, 3, 4, 4]),  # several peaks: the highest
        ({(0, 0): 0.9, (1, 0): 0.9, (0, 1): 0.9, (3, 3): 1.0}, [3, 3, 4, 4]),  # not the largest part
        ({(1, 1): 1.0, (2, 2): 0.6, (2, 3): 0.5, (3, 3): 0.6}, [1, 1, 4, 4]),  # above T, not at T; over corners
    ],
)
def test_the_box_goes_round_the_part_with_the_peak(nb, peaks, box):
    G = torch.zeros(1, 4, 6)
    for place, height in peaks.items():
        G[(0, *place)] = height
    assert nb.tight_box(nb.peak_component(G, 0.5)).tolist() == [box]


def test_nothing_above_the_threshold_has_no_box(nb):
    G = torch.stack([torch.full((3, 3), 0.5), torch.eye(3)])
    box = nb.tight_box(nb.peak_component(G, 0.5))
    assert box[0].isnan().all()
    assert box[1].tolist() == [0, 0, 3, 3]


@pytest.mark.oracle
@SMALL
@given(masks())
def test_a_tight_box_is_scipys_and_torchvisions(nb, mask):
    box = nb.tight_box(mask)
    for found, m in zip(box, mask, strict=True):
        if m.any():
            y, x = ndimage.find_objects(m.numpy().astype(int))[0]
            assert found.tolist() == [x.start, y.start, x.stop, y.stop]
            last = torchvision.ops.masks_to_boxes(m[None])[0]  # x1 and y1 are the last pixel's
            assert torch.equal(found - torch.tensor([0, 0, 1, 1]), last)
        else:
            assert found.isnan().all()


# containment, diagonal and their kin


def test_containment_and_diagonal_by_hand(nb):
    B_gc = boxes_in([2, 0, 6, 3], [0, 0, 4, 4], [0, 0, 2, 2], [5, 5, 6, 6], [1, 1, 3, 9])
    B_od = boxes_in([0, 0, 4, 4]).expand(5, 4)
    assert nb.overlap(B_gc, B_od).tolist() == [6, 16, 4, 0, 6]
    assert nb.containment(B_gc, B_od).tolist() == [0.5, 1, 1, 0, 6 / 16]
    assert nb.diagonal(B_gc, 8, 6) == pytest.approx([0.5, 32**0.5 / 10, 8**0.5 / 10, 2**0.5 / 10, 68**0.5 / 10])


def test_containment_is_not_symmetric(nb):
    inner, outer = boxes_in([1, 1, 2, 2]), boxes_in([0, 0, 4, 4])
    assert nb.containment(inner, outer) == 1
    assert nb.containment(outer, inner) == 1 / 16


@pytest.mark.parametrize("nothing", [[2.0, 1, 2, 3], NONE])
def test_the_containment_of_nothing_is_undefined(nb, nothing):
    assert nb.containment(boxes_in(nothing), boxes_in([0, 0, 4, 4])).isnan().all()


@pytest.mark.oracle
@SMALL
@given(some_boxes(beyond=2), some_boxes(beyond=2))
def test_iou_is_torchvisions_and_overlap_the_same_both_ways(nb, a, b):
    assert torch.allclose(nb.iou(a, b), torchvision.ops.box_iou(a, b).diagonal(), atol=1e-6)
    assert torch.equal(nb.overlap(a, b), nb.overlap(b, a))


def test_the_iou_with_a_missing_box_is_undefined(nb):
    a, b = boxes_in([0, 0, 1, 1], NONE), boxes_in(NONE, [0, 0, 1, 1])
    assert nb.iou(a, b).isnan().all()


@SMALL
@given(some_boxes(beyond=2))
def test_a_pixels_share_in_a_box_is_counted_on_a_finer_grid(nb, B):
    y, x = torch.meshgrid((torch.arange(24) + 0.5) / 4, (torch.arange(28) + 0.5) / 4, indexing="ij")  # quarter pixels
    fine = torch.stack([(x > b[0]) & (x < b[2]) & (y > b[1]) & (y < b[3]) for b in B]).float()
    assert torch.allclose(nb.pixel_shares(B, 6, 7), F.avg_pool2d(fine, 4), atol=1e-6)


@SMALL
@given(some_boxes(fine=1))
def test_of_a_box_of_whole_pixels_each_is_inside_or_not(nb, B):
    M = nb.pixel_shares(B, 6, 7)
    assert set(M.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(M.sum((1, 2)), augment.area(B))
    assert torch.equal(nb.tight_box(M > 0), B)


# soft losses


@pytest.mark.parametrize("surrogate", ["hard", *SOFT])
def test_only_the_hard_loss_has_no_gradient(nb, surrogate):
    G = rectangle(2, 5, 1, 6, 8, 9).requires_grad_()
    found = nb.terms(G, boxes_in([0, 0, 4, 4]), surrogate)
    assert [v.requires_grad for v in found] == [surrogate != "hard"] * 2


@SMALL
@given(st.integers(1, 12), st.integers(0, 8), st.floats(0.01, 10))
def test_the_spread_of_a_solid_bar_is_its_width_squared(nb, k, before, height):
    p = torch.zeros(1, 20, dtype=torch.float64)
    p[0, before : before + k] = height
    assert nb.spread(p).item() == pytest.approx(k**2, rel=1e-12)


# 12 x 26 pixels at two places, each with a box that holds 210 of its 312. The first is the notebook's. Of the second
# the values of both surrogates at both steepnesses were measured by others before.
PLACES = {"notebook": ((8, 20, 6, 32), [14.5, 4, 40, 30]), "measured before": ((8, 20, 5, 31), [10, 1.5, 32, 18])}


@pytest.mark.parametrize("place", PLACES)
def test_the_hard_loss_of_a_rectangle_by_hand(nb, place):
    at, B_od = PLACES[place]
    contained, wide = nb.terms(rectangle(*at), boxes_in(B_od), "hard")
    assert contained.item() == pytest.approx(210 / 312, abs=1e-6)
    assert wide.item() == pytest.approx((12**2 + 26**2) ** 0.5 / (2 * 40**2) ** 0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("place", "surrogate", "kappa", "value"),
    [
        ("notebook", "soft_mask", 10.0, 0.6505),
        ("notebook", "soft_box", 10.0, 0.6717),
        ("notebook", "soft_mask", 20.0, 0.6726),
        ("notebook", "soft_box", 20.0, 0.6731),
        ("measured before", "soft_mask", 10.0, 0.634),
        ("measured before", "soft_box", 10.0, 0.535),
        ("measured before", "soft_mask", 20.0, 0.672),
        ("measured before", "soft_box", 20.0, 0.669),
    ],
)
def test_the_containment_of_a_soft_rectangle_is_as_measured(nb, place, surrogate, kappa, value):
    at, B_od = PLACES[place]
    assert nb.terms(rectangle(*at), boxes_in(B_od), surrogate, kappa=kappa)[0].item() == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("surrogate", SOFT)
def test_the_soft_losses_arrive_at_the_hard_one_as_kappa_grows(nb, place, surrogate):
    at, B_od = PLACES[place]
    G, B_od = rectangle(*at), boxes_in(B_od)
    hard = torch.stack(nb.terms(G, B_od, "hard"))
    far = [(torch.stack(nb.terms(G, B_od, surrogate, kappa=k)) - hard).abs().amax().item() for k in (5, 10, 20, 50)]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 5e-5  # four digits


@SMALL
@given(st.integers(0, 5), st.integers(0, 6), st.integers(1, 6), st.integers(1, 7))
def test_the_soft_box_of_a_solid_rectangle_is_the_hard_one_also_at_the_edges(nb, y, x, h, w):
    G = rectangle(y, min(y + h, 6), x, min(x + w, 7), 6, 7, 0.0, 1.0)
    soft = nb.soft_box(torch.sigmoid(200 * (G - 0.5)))
    assert torch.allclose(soft, nb.tight_box(G > 0.5), atol=1e-4)


def test_the_soft_box_is_the_expected_one_of_pixels_that_are_seen_at_random(nb):
    """x0 is the mean number of columns before the first seen one, over all ways to see columns."""
    S = torch.tensor([[[0.2, 0.7, 0.4]]], dtype=torch.float64)
    mean = 0.0
    for seen in itertools.product([0, 1], repeat=3):
        chance = np.prod([p if s else 1 - p for s, p in zip(seen, S.flatten().tolist(), strict=True)])
        mean += chance * (seen.index(1) if 1 in seen else 3)
    assert nb.soft_box(S)[0, 0].item() == pytest.approx(mean)


@pytest.mark.parametrize("surrogate", ["soft_mask", "soft_box"])
@pytest.mark.parametrize("restrict", [False, True])
@pytest.mark.parametrize("stretched", [False, True])
def test_the_gradient_is_that_of_finite_differences(nb, surrogate, restrict, stretched):
    G = torch.rand(2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    B_od = boxes_in([1, 1, 4.5, 4], [2, 0, 6, 5]).double()

    def loss(G):
        G = nb.minmax(G, (7, 8))[0] if stretched else G
        return nb.terms(G, B_od, surrogate, kappa=10.0, restrict=restrict)

    assert torch.autograd.gradcheck(loss, G)


def test_straight_through_has_the_value_of_the_hard_box_and_the_gradient_of_the_soft(nb):
    G = torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    S = torch.sigmoid(10 * (G - 0.5))
    box = nb.straight_through(S, G, 0.5)
    assert torch.equal(box, nb.tight_box(nb.peak_component(G, 0.5)))
    weights = torch.randn(3, 4)
    (ours,) = torch.autograd.grad((box * weights).sum(), G, retain_graph=True)
    (soft,) = torch.autograd.grad((nb.soft_box(S) * weights).sum(), G)
    assert torch.equal(ours, soft)
    assert ours.any()


@SMALL
@given(drawn(), some_boxes(beyond=2), st.floats(0, 0.75), st.floats(1, 100), st.booleans())
@pytest.mark.parametrize("surrogate", ["hard", *SOFT])
def test_containment_lies_between_0_and_1_and_so_does_the_diagonal_of_a_box(nb, surrogate, G, B_od, T, kappa, restrict):
    assume((G.amax((1, 2)) - G.amin((1, 2)) > 0.01).all())
    G_hat, _ = nb.minmax(G, (6, 7))
    contained, wide = nb.terms(G_hat, B_od, surrogate, T, kappa, restrict)
    defined = contained.isfinite() if surrogate == "soft_box" else torch.ones(3, dtype=torch.bool)
    assert ((contained[defined] >= 0) & (contained[defined] <= 1 + 1e-5)).all()
    highest = 3**0.5 if surrogate == "soft_mask" else 1.0  # a spread has no edges: see the next test
    assert ((wide >= 0) & (wide <= highest + 1e-5)).all()


def test_two_far_corners_spread_further_than_the_picture(nb):
    G = torch.zeros(1, 40, 40)
    G[0, 0, 0] = G[0, -1, -1] = 1
    assert nb.terms(G, boxes_in([0, 0, 20, 20]), "hard")[1] < 0.1
    wide = nb.terms(G, boxes_in([0, 0, 20, 20]), "soft_mask", kappa=100.0)[1]
    assert wide.item() == pytest.approx((12 * 19.5**2 + 1) ** 0.5 / 40, rel=1e-5)  # sqrt(3) in the limit


@pytest.mark.parametrize("surrogate", SOFT)
@pytest.mark.parametrize(
    ("T", "kappa"), [(0.5, 20.0), (0.9, 20.0), (0.99, 20.0), (0.9, 5.0), (0.0, 0.1), (0.5, 1000.0)]
)
def test_the_loss_of_a_single_peak_and_its_gradient_are_numbers_at_every_allowed_threshold(nb, surrogate, T, kappa):
    G = torch.zeros(1, 40, 40)
    G[0, 20, 20] = 1
    G.requires_grad_()
    contained, wide = nb.terms(G, boxes_in([10, 10, 30, 30]), surrogate, T, kappa)
    assert contained.isfinite().all()
    (1 - contained + wide).sum().backward()
    assert G.grad.isfinite().all()


@pytest.mark.parametrize("surrogate", ["hard", *SOFT])
def test_a_single_bright_pixel_in_the_box_is_the_best_there_is(nb, surrogate):
    B_od = boxes_in([10, 10, 30, 30])
    full, point = rectangle(10, 30, 10, 30, low=0.0, high=1.0), rectangle(20, 21, 20, 21, low=0.0, high=1.0)
    (one, wide), (other, narrow) = (nb.terms(G, B_od, surrogate, kappa=50.0) for G in (full, point))
    assert one.item() == pytest.approx(1, abs=1e-4)
    assert other.item() == pytest.approx(1, abs=1e-4)
    assert narrow < 0.1 * wide
    B_gc = nb.tight_box(nb.peak_component(point, 0.5))
    assert augment.area(B_gc) / augment.area(B_od) == 1 / 400


@pytest.mark.parametrize("surrogate", ["hard", *SOFT])
def test_by_the_true_iou_a_bright_pixel_no_longer_wins(nb, surrogate):
    """The check of exercise 2: a pixel inside a box of 20 x 20 has containment 1 and IoU 1 / 400."""
    B_od = boxes_in([10, 10, 30, 30])
    full, point = rectangle(10, 30, 10, 30, low=0.0, high=1.0), rectangle(20, 21, 20, 21, low=0.0, high=1.0)
    one, other = (nb.terms(G, B_od, surrogate, kappa=100.0, per="union")[0].item() for G in (full, point))
    assert one == pytest.approx(1, abs=1e-4)
    assert other == pytest.approx(1 / 400, rel=1e-3)
    assert nb.terms(point, B_od, surrogate, kappa=100.0)[0].item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("surrogate", SOFT)
def test_the_soft_ious_arrive_at_that_of_the_hard_box_as_kappa_grows(nb, place, surrogate):
    at, B_od = PLACES[place]
    G, B_od = rectangle(*at), boxes_in(B_od)
    hard = nb.terms(G, B_od, "hard", per="union")[0]
    assert torch.allclose(hard, nb.iou(nb.tight_box(G > 0.5), B_od))
    far = [(nb.terms(G, B_od, surrogate, kappa=k, per="union")[0] - hard).abs().item() for k in (5, 20, 50)]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 1e-4


@pytest.mark.parametrize("surrogate", ["soft_mask", "soft_box"])
def test_the_gradient_of_the_true_iou_is_that_of_finite_differences(nb, surrogate):
    G = torch.rand(2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    B_od = boxes_in([1, 1, 4.5, 4], [2, 0, 6, 5]).double()
    assert torch.autograd.gradcheck(lambda G: nb.terms(G, B_od, surrogate, kappa=10.0, per="union"), G)


@pytest.mark.parametrize("surrogate", SOFT)
def test_a_blob_that_drifts_out_of_the_box_is_pulled_back(nb, surrogate):
    shift = torch.tensor([6.0], requires_grad=True)
    contained, _ = nb.terms(nb.drifting(shift), boxes_in([12, 4, 30, 28]), surrogate)
    (1 - contained).sum().backward()
    assert shift.grad > 0.01  # further out is worse


@pytest.mark.parametrize(
    ("surrogate", "pulled"), [("soft_mask", True), ("soft_box", False), ("straight_through", False)]
)
def test_a_blob_far_from_the_box_is_pulled_by_the_soft_mask_only(nb, surrogate, pulled):
    """Boxes that do not overlap have containment 0 wherever they are; a soft mask is never quite 0 in the box."""
    shift = torch.tensor([15.0], requires_grad=True)
    contained, _ = nb.terms(nb.drifting(shift), boxes_in([2, 4, 12, 28]), surrogate)
    (1 - contained).sum().backward()
    assert bool(shift.grad.any()) == pulled


@pytest.mark.parametrize("surrogate", ["soft_mask", "soft_box"])
def test_restricted_a_far_second_blob_no_longer_counts(nb, surrogate):
    near, B_od = rectangle(4, 10, 4, 10, low=0.0, high=1.0), boxes_in([2, 2, 12, 12])
    both = near.clone()
    both[0, 30:34, 30:34] = 0.9
    free, alone, restricted = (
        nb.terms(G, B_od, surrogate, kappa=100.0, restrict=r)[0].item() for G, r in [(both, 0), (near, 0), (both, 1)]
    )
    assert free < 0.8 * alone
    assert restricted == pytest.approx(alone, abs=1e-4)


def test_the_neighbourhood_is_the_peaks_part_at_four_fifths_of_the_threshold_and_a_pixel_more(nb):
    G = torch.zeros(2, 6, 8)
    G[0, 2, 2], G[0, 2, 3], G[0, 2, 4], G[0, 5, 7] = 1.0, 0.45, 0.3, 0.9
    found = nb.neighbourhood(G, 0.5)
    assert nb.tight_box(found)[0].tolist() == [1, 1, 5, 4]
    assert found[0].sum() == 3 * 4
    assert not found[1].any()  # neither grown from the map before


@pytest.mark.parametrize(
    ("B_od", "said"),
    [
        (boxes_in([0, 0, 2, 2]), r"B_od has shape \[1, 4\]; expected \[2, 4\]"),
        (boxes_in([0, 0, 2, 2], [3, 0, 2, 2]), r"B_od\[1\] is \[3.0, 0.0, 2.0, 2.0\]"),
        (boxes_in([0, 0, 2, 2], [2, 0, 2, 2]), "expected x0 < x1"),
    ],
)
def test_boxes_that_do_not_fit_the_maps_are_refused(nb, B_od, said):
    with pytest.raises(ValueError, match=said):
        nb.terms(torch.rand(2, 4, 4), B_od)


def test_maps_that_are_no_maps_are_refused(nb):
    with pytest.raises(ValueError, match="G_hat has shape"):
        nb.terms(torch.rand(2, 1, 4, 4), boxes_in([0, 0, 2, 2], [0, 0, 2, 2]))


def test_a_free_map_under_the_loss_alone_moves_into_the_box_and_shrinks_more_with_lam(nb):
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    start = torch.exp(-((x - 1.5) ** 2 + (y - 3) ** 2) / 5)[None] + 0.3
    B_od, areas = boxes_in([14, 6, 32, 24]), []
    for lam in (0.0, 1.0):
        found = nb.tight_box(nb.peak_component(nb.wished((0, 80), lam, start, B_od, (35, 35)), 0.5))
        was, is_now = nb.containment(found, B_od.expand(2, 4))
        assert was < 0.3
        assert is_now > 0.9
        areas.append(augment.area(found)[1].item())
    assert areas[1] < areas[0] < augment.area(B_od).item()


def test_under_the_true_iou_a_free_map_does_not_shrink_to_a_point(nb):
    """The question of exercise 2: both move into the box, and one of them fills it."""
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    start = torch.exp(-((x - 1.5) ** 2 + (y - 3) ** 2) / 5)[None] + 0.3
    B_od, covered = boxes_in([14, 6, 32, 24]), {}
    for per in ("map", "union"):
        found = nb.tight_box(nb.peak_component(nb.wished((200,), 1.0, start, B_od, (35, 35), per), 0.5))
        assert nb.containment(found, B_od) > 0.7
        covered[per] = (nb.overlap(found, B_od) / augment.area(B_od)).item()
    assert covered["union"] > 0.6 > 0.4 > covered["map"]


# LOST


def slow_lost(keys, n_patches):
    """LOST of one picture in plain loops: seed, mask as a set of patches, box; None for a seed of nothing."""
    (u, v), k = keys.shape[:2], keys.reshape(-1, keys.shape[-1]).tolist()
    P = range(u * v)
    A = [[sum(a * b for a, b in zip(k[p], k[q], strict=True)) for q in P] for p in P]
    degree = [sum(q != p and A[p][q] > 0 for q in P) for p in P]
    order = sorted(P, key=lambda p: (degree[p], p))
    seed = order[0]
    if A[seed][seed] <= 0:
        return None
    kept = [p for p in order[:n_patches] if A[seed][p] > 0]
    above = {p for p in P if sum(A[q][p] for q in kept) > 0}
    part, todo = set(), [seed]
    while todo:
        p = todo.pop()
        if p in above and p not in part:
            part.add(p)
            y, x = divmod(p, v)
            beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            todo += [b * v + a for b, a in beside if 0 <= b < u and 0 <= a < v]
    ys, xs = zip(*(divmod(p, v) for p in part), strict=True)
    return seed, part, [min(xs), min(ys), max(xs) + 1, max(ys) + 1]


@settings(deadline=None, max_examples=80)
@given(arrays(np.int64, (2, 4, 5, 3), elements=st.integers(-2, 2)), st.integers(1, 25))
def test_lost_equals_plain_loops(nb, keys, n_patches):
    wanted = [slow_lost(k, n_patches) for k in keys]
    k = torch.from_numpy(keys).float()  # products of small whole numbers are exact
    if None in wanted:
        with pytest.raises(ValueError, match="k is zero at the seed"):
            nb.lost(k, n_patches)
        return
    seed, mask, box = nb.lost(k, n_patches)
    assert seed.tolist() == [w[0] for w in wanted]
    assert [set(m.flatten().nonzero()[:, 0].tolist()) for m in mask] == [w[1] for w in wanted]
    assert box.tolist() == [w[2] for w in wanted]


def patches(*objects, u=3, v=4):
    """Keys (1, u, v, 2): the ground points right, each object ((y, x), ...) up and a little left."""
    k = torch.tensor([1.0, 0.0]).repeat(1, u, v, 1)
    for place in objects:
        for y, x in place:
            k[0, y, x] = torch.tensor([-0.1, 1.0])
    return k


@pytest.mark.parametrize(
    ("keys", "seed", "box"),
    [
        (patches([(1, 1), (1, 2)]), 5, [1, 1, 3, 2]),  # the notebook's
        (patches([(0, 3)]), 3, [3, 0, 4, 1]),
        (patches([(0, 0), (0, 1)], [(2, 3)]), 0, [0, 0, 2, 1]),  # two objects: the seed's part only
        (patches([(0, 0), (1, 1)]), 0, [0, 0, 1, 1]),  # corners do not connect
        (torch.ones(1, 3, 4, 2), 0, [0, 0, 4, 3]),  # all alike: the first patch, and all of it
    ],
    ids=["notebook", "at the corner", "two objects", "over a corner", "all alike"],
)
def test_lost_finds_what_stands_out(nb, keys, seed, box):
    found_seed, mask, found = nb.lost(keys)
    assert found_seed.tolist() == [seed]
    assert mask.shape == (1, 3, 4)
    assert found.tolist() == [box]


def test_of_patches_with_equally_few_neighbours_the_first_is_the_seed(nb):
    seed, _, box = nb.lost(torch.eye(4).view(1, 2, 2, 4))  # each like itself only
    assert seed.tolist() == [0]
    assert box.tolist() == [[0, 0, 1, 1]]


def test_pictures_of_a_batch_do_not_change_each_others_boxes(nb):
    keys = torch.randn(5, 6, 7, 8, generator=torch.Generator().manual_seed(0))
    whole = nb.lost(keys)
    for i in range(5):
        for together, alone in zip(whole, nb.lost(keys[i : i + 1]), strict=True):
            assert torch.equal(together[i], alone[0])


@pytest.mark.parametrize("tiny", [1e-30, 1e-20])  # the square is 0, or a denormal number, which may count as 0
def test_keys_of_a_dead_network_give_no_box(nb, monkeypatch, tiny):
    for name, value in {"lost_size": 32, "lost_k": 100}.items():
        monkeypatch.setattr(nb, name, value, raising=False)
    keys = torch.cat([torch.full((1, 3, 4, 2), tiny), patches([(1, 1)])])
    two = type("Two", (), {"__len__": lambda _: 2, "images": lambda *_: None})()
    boxes = nb.lost_boxes(two, lambda _: keys)
    assert boxes[0].isnan().all()
    assert torch.equal(boxes[1], nb.lost(keys[1:], 100)[2][0] / torch.tensor([4, 3, 4, 3]))


def test_a_picture_without_any_structure_has_no_seed(nb):
    keys = torch.cat([torch.zeros(2, 3, 4, 2), patches([(1, 1)])])
    with pytest.raises(ValueError, match=r"k is zero at the seed of 2 picture\(s\)"):
        nb.lost(keys)


def test_keys_that_are_not_finite_are_refused(nb):
    with pytest.raises(ValueError, match="k holds 24 value"):
        nb.lost(torch.full((1, 3, 4, 2), torch.inf))


# the loss of a training


def shares(n=20, seed=0):
    """Boxes (n, 4) in shares of the picture, all of different sizes."""
    drawn = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(n, 2, generator=drawn) * 0.5, torch.rand(n, 2, generator=drawn) * 0.4 + 0.1
    return torch.cat([corner, corner + sides], 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("surrogate", "softest"),
        ("cam_class", "both"),
        ("T", -0.1),
        ("T", 1.0),
        ("T", float("nan")),
        ("kappa", 0.0),
        ("kappa", -1.0),
        ("lam", -0.1),
        ("alpha", -1.0),
        ("beta", -0.5),
        ("n_query", -1),
        ("per", "box"),
    ],
)
def test_a_choice_that_is_out_of_range_is_named(nb, name, value):
    with pytest.raises(ValueError, match=rf"Ria\n{name}\n  Input should be"):
        nb.Ria(**{name: value})


@pytest.mark.parametrize("choice", [{"T": 0.0}, {"T": 0.99}, {"kappa": 0.1}, {"lam": 0, "alpha": 0, "beta": 0}])
def test_choices_at_the_ends_of_their_range_are_fine(nb, choice):
    nb.Ria(**choice)


class Small(nn.Module):
    """Two convolutions and a linear head."""

    def __init__(self, classes=3, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.grid = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        return self.fc(self.grid(x).mean((2, 3)))


def batch(n=6, side=32, seed=0):
    """Pictures, labels, and boxes in pixels."""
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, side, side, generator=draws), torch.arange(n) % 3, shares(n) * side


def asked(nb, net, x, labels, B_od, how):
    """The objective's loss and its parts."""
    return nb.objective("grid", None, how).loss(net, x, labels, B_od)


def test_l_ria_is_one_minus_containment_plus_lam_times_the_diagonal(nb):
    G, B_od = torch.rand(4, 8, 8), shares(4) * 8
    contained, wide = nb.terms(nb.minmax(G, (8, 8))[0], B_od, "soft_mask", 0.4, 15.0)
    found = nb.ria(G, B_od, nb.Ria(T=0.4, kappa=15.0, lam=0.7), (8, 8))
    assert torch.allclose(found, 1 - contained + 0.7 * wide)


@pytest.mark.parametrize("surrogate", SOFT)
@pytest.mark.parametrize("restrict", [False, True])
def test_maps_without_a_range_and_pictures_without_a_box_are_left_out(nb, surrogate, restrict):
    G, B_od = torch.rand(4, 8, 8), shares(4) * 8
    G[1], B_od[2] = 0, torch.nan
    how = nb.Ria(surrogate, restrict=restrict)
    found = nb.ria(G.requires_grad_(), B_od, how, (8, 8))
    assert torch.equal(found, nb.ria(G[[0, 3]], B_od[[0, 3]], how, (8, 8)))
    found.sum().backward()
    assert G.grad.isfinite().all()
    assert G.grad.flatten(1).any(1).tolist() == [True, False, False, True]


@pytest.mark.parametrize("surrogate", ["hard", *SOFT])
@pytest.mark.parametrize("restrict", [False, True])
def test_where_everything_is_left_out_the_loss_is_the_cross_entropy(nb, surrogate, restrict):
    net, (x, labels, _) = Small(), batch()
    how = nb.Ria(surrogate, alpha=0.7, restrict=restrict)
    loss, parts = asked(nb, net, x, labels, torch.full((6, 4), torch.nan), how)
    assert loss.item() == pytest.approx(0.7 * F.cross_entropy(net(x), labels).item(), rel=1e-5)
    assert (parts["L_ria"], parts["left_out"]) == (0, 1)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_the_loss_is_alpha_cross_entropy_plus_beta_l_ria(nb):
    net, (x, labels, B_od) = Small(), batch()
    B_od[4] = torch.nan
    how = nb.Ria(alpha=0.3, beta=2.0)
    loss, parts = asked(nb, net, x, labels, B_od, how)
    s, A = nb.forward(net, net.grid, x)
    each = nb.ria(nb.gradcam(s, A, s.argmax(1)), B_od, how, (32, 32))
    assert parts["L_ce"].item() == pytest.approx(F.cross_entropy(s, labels).item(), rel=1e-5)
    assert parts["L_ria"].item() == pytest.approx(each.mean().item(), rel=1e-5)
    assert parts["left_out"] == pytest.approx(1 - len(each) / 6)
    assert loss.item() == pytest.approx(0.3 * parts["L_ce"].item() + 2 * parts["L_ria"].item(), rel=1e-5)
    assert not any(torch.is_tensor(part) and part.requires_grad for part in parts.values())


def test_with_beta_0_the_gradient_is_that_of_the_cross_entropy(nb):
    net, (x, labels, B_od) = Small(), batch()
    parameters = list(net.parameters())
    ours = torch.autograd.grad(asked(nb, net, x, labels, B_od, nb.Ria(beta=0.0))[0], parameters)
    plain = torch.autograd.grad(F.cross_entropy(net(x), labels), parameters)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, plain, strict=True))


@pytest.mark.parametrize("n", [1, 4, 6, 99])
def test_n_query_takes_the_first_pictures_only(nb, n):
    net, (x, labels, B_od) = Small().eval(), batch()
    how = nb.Ria(n_query=n)
    _, parts = asked(nb, net, x, labels, B_od, how)
    s, A = nb.forward(net, net.grid, x[:n])
    by_hand = nb.ria(nb.gradcam(s, A, s.argmax(1)), B_od[:n], how, (32, 32))
    assert parts["L_ria"].item() == pytest.approx(by_hand.mean().item(), rel=1e-4)
    B_od[0] = torch.nan
    _, parts = asked(nb, net, x, labels, B_od, how)
    assert parts["left_out"] == pytest.approx(1 / min(n, 6))


@pytest.mark.parametrize("cam_class", ["predicted", "label"])
def test_the_map_is_of_the_class_that_was_asked_for(nb, cam_class):
    net, (x, _, B_od) = Small().eval(), batch()
    labels = (net(x).argmax(1) + 1) % 3  # wrong everywhere
    _, parts = asked(nb, net, x, labels, B_od, nb.Ria(cam_class=cam_class))
    found = {}
    for name, t in [("predicted", net(x).argmax(1)), ("label", labels)]:
        s, A = nb.forward(net, net.grid, x)
        found[name] = nb.ria(nb.gradcam(s, A, t), B_od, nb.Ria(), (32, 32)).mean().item()
    assert found["predicted"] != pytest.approx(found["label"], rel=1e-2)
    assert parts["L_ria"].item() == pytest.approx(found[cam_class], rel=1e-4)


def test_another_choice_or_layer_is_another_training(nb):
    changes = [{}, {"surrogate": "soft_box"}, {"alpha": 2.0}, {"beta": 0.1}, {"lam": 0.2}, {"T": 0.4}, {"kappa": 9.0}]
    changes += [{"surrogate": "hard"}, {"cam_class": "label"}, {"n_query": 1}, {"restrict": True}]
    changes += [{"per": "union"}]
    keys = [nb.objective("grid", None, nb.Ria(**change)).key for change in changes]
    keys += [nb.objective("grid.2", None, nb.Ria()).key]
    assert len(set(keys)) == len(keys)
    assert nb.objective("grid", None, nb.Ria()).key == keys[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("surrogate", "steps"), [("soft_mask", 1), ("soft_box", 1), ("straight_through", 30)])
def test_small_steps_down_the_loss_lower_it(nb, surrogate, steps, seed):
    """One step each; the value of a hard box does not feel a single one."""
    net, (x, *_), B_od = Small(seed=seed).eval(), batch(seed=seed), boxes_in([6, 6, 24, 24]).expand(6, 4)
    t, how, losses, energy = net(x).argmax(1), nb.Ria(surrogate, lam=0.0, kappa=10.0), [], []
    for _ in range(steps + 1):
        G = nb.gradcam(*nb.forward(net, net.grid, x), t)
        each = nb.ria(G, B_od, how, (32, 32))
        G_hat, _ = nb.minmax(G, (32, 32))
        losses.append(each.mean().item())
        energy.append(((G_hat * nb.pixel_shares(B_od, 32, 32)).sum() / G_hat.sum()).item())
        net.zero_grad()
        each.mean().backward()
        norm = torch.stack([p.grad.norm() for p in net.parameters() if p.grad is not None]).norm()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0 if p.grad is None else 0.01 * p.grad / norm
    assert losses[-1] < losses[0]
    if surrogate == "soft_mask":  # the others move a box, and what is inside of it may do as it likes
        assert energy[-1] > energy[0]


def test_the_loss_as_printed_adds_nothing_to_the_gradient_of_the_cross_entropy(nb):
    net, (x, labels, B_od) = Small(), batch()
    parameters = list(net.parameters())
    loss, parts = asked(nb, net, x, labels, B_od, nb.Ria("hard", alpha=2.0))
    ours = torch.autograd.grad(loss, parameters)
    plain = torch.autograd.grad(2 * F.cross_entropy(net(x), labels), parameters)
    assert parts["L_ria"] > 0
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, plain, strict=True))


# measured picture by picture


def red_test(nb, masked=True):
    """Pictures 8 x 8: red at rows 1 to 4, columns 2 to 5; with a faint red as well; without a box; black."""
    images = torch.full((4, 3, 8, 8), 127, dtype=torch.uint8)
    images[:, 0, 1:5, 2:6] = 255
    images[1, 0, 7, 7] = 170  # a third as red: below the threshold
    images[3] = 0
    boxes = boxes_in([2, 1, 4, 8], [0, 0, 8, 8], NONE, [0, 0, 8, 8])
    on = nb.pixel_shares(boxes.nan_to_num(), 8, 8) > 0
    return nb.Test(images, torch.tensor([1, 0, 1, 0]), on if masked else None, boxes)


@pytest.mark.parametrize("size", [1, 3, 64])
def test_where_a_known_network_looks_is_measured_by_hand(nb, size):
    found = nb.by_picture(RED, "conv", red_test(nb), 0.5, size)
    faint = 170 / 127.5 - 1
    assert found["hit"].tolist() == [1, 0, 1, 1]
    assert found["containment"].tolist() == pytest.approx([0.5, 1, np.nan, np.nan], nan_ok=True)
    assert found["coverage"].tolist() == pytest.approx([8 / 14, 16 / 64, np.nan, np.nan], nan_ok=True)
    assert found["area_ratio"].tolist() == pytest.approx([16 / 14, 16 / 64, np.nan, np.nan], nan_ok=True)
    assert found["cells"][:3].tolist() == [16, 16, 16]  # of a map whose cells are pixels
    assert np.isnan(found["cells"][3])
    assert found["energy"][:2].tolist() == pytest.approx([0.5, (16 + faint) / (16 + faint)], abs=1e-5)


def test_the_energy_of_a_picture_whose_object_is_unknown_is_undefined(nb):
    assert np.isnan(nb.by_picture(RED, "conv", red_test(nb), 0.5)["energy"][2])  # its mask is empty


def test_without_masks_there_is_no_energy(nb):
    assert "energy" not in nb.by_picture(RED, "conv", red_test(nb, masked=False), 0.5)


def test_measuring_leaves_the_network_as_it_is(nb):
    RED.net.train()
    nb.by_picture(RED, "conv", red_test(nb), 0.5)
    assert RED.net.training
    assert all(p.requires_grad and p.grad is None for p in RED.net.parameters())
    assert not RED.net.conv._forward_hooks
    RED.net.eval()


# gains

LOSSES = ["baseline", "RIA"]


def measured_table(seeds, n=12):
    """As the study gives it, RIA ahead by about 1 in a column x; in any order."""
    rng = np.random.default_rng(0)
    rows = itertools.product(seeds, LOSSES, range(n))
    values = [{"seed": s, "loss": a, "picture": p, "x": rng.normal() + (a == "RIA")} for s, a, p in rows]
    return pd.DataFrame(values).sample(frac=1, random_state=0)


def by_loss(table):
    return table.set_index(["seed", "picture", "loss"])["x"].unstack("loss")


@pytest.mark.parametrize("seeds", [[0], [3, 5]])
def test_with_fewer_than_three_trainings_the_interval_is_over_pictures(nb, seeds):
    table = measured_table(seeds)
    wide = by_loss(table).groupby("picture").mean()  # one picture is one draw, however many networks saw it
    found = nb.gain(table, "x")
    assert found.value == pytest.approx((wide["RIA"] - wide["baseline"]).mean())
    assert (found.low, found.high) == pytest.approx(few_pairs(wide))
    assert (found.n, found.of) == (12, "pictures")


def few_pairs(wide):
    found = helpers.stats.paired(wide["RIA"], wide["baseline"])
    return found.low, found.high


def test_with_three_trainings_the_interval_is_students_over_their_means(nb):
    table = measured_table([0, 1, 2])
    means = by_loss(table).groupby("seed").mean()
    theirs = stats.ttest_rel(means["RIA"], means["baseline"])
    found = nb.gain(table, "x")
    assert found.value == pytest.approx((means["RIA"] - means["baseline"]).mean())
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert (found.n, found.of) == (3, "trainings")


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_a_picture_that_one_of_both_has_no_value_for_does_not_count(nb, seeds):
    table = measured_table(seeds)
    table.loc[(table["picture"] == 4) & (table["loss"] == "RIA"), "x"] = np.nan
    found, without = nb.gain(table, "x"), nb.gain(table[table["picture"] != 4], "x")
    assert (found.value, found.low, found.high) == pytest.approx((without.value, without.low, without.high))


def test_a_gain_may_be_in_points_and_of_another_loss(nb):
    table = measured_table([0]).replace({"loss": {"RIA": "boxes=away"}})
    both = by_loss(table)
    assert nb.gain(table, "x", 100, "boxes=away").value == pytest.approx(
        100 * (both["boxes=away"] - both["baseline"]).mean()
    )


@pytest.mark.parametrize("better", [1, -1])
def test_wrong_boxes_that_do_as_well_are_half_of_the_gain_ahead_of_half_of_it(nb, better):
    """Whether more is better, or less."""
    table = measured_table([0]).assign(x=lambda t: better * t["x"])
    same = pd.concat([table, table[table["loss"] == "RIA"].assign(loss="boxes=away")])
    found, full = nb.behind_half(same, "x", "boxes=away", better), nb.gain(table, "x", better)
    assert (found.value, found.low, found.high) == pytest.approx((-full.value / 2, -full.high / 2, -full.low / 2))
    nothing = pd.concat([table, table[table["loss"] == "baseline"].assign(loss="boxes=away")])
    assert nb.behind_half(nothing, "x", "boxes=away", better).value == pytest.approx(full.value / 2)


# noise


@pytest.mark.parametrize(("fg", "bg", "plain", "normalised"), [(0.2, 0.6, 0.4, 0.5), (0.9, 0.7, -0.2, -0.5)])
def test_rfs_by_hand(nb, fg, bg, plain, normalised):
    assert nb.rfs(fg, bg) == pytest.approx(plain)
    assert nb.rfs(fg, bg, normalised=True) == pytest.approx(normalised)


def test_normalised_rfs_is_undefined_where_both_are_0_or_both_1(nb):
    found = nb.rfs([0, 1, 0, 1, 0.5], [0, 1, 1, 0, 0.5], normalised=True)
    assert found.tolist() == pytest.approx([np.nan, np.nan, 1, -1, 0], nan_ok=True)


@SMALL
@given(st.integers(0, 100), st.integers(0, 100))
def test_rfs_lies_between_minus_1_and_1_and_turns_round_with_its_arguments(nb, a, b):
    a, b = a / 100, b / 100
    for normalised in (False, True):
        found = nb.rfs(a, b, normalised)
        assert np.isnan(found) or -1 - 1e-9 <= found <= 1 + 1e-9
        assert nb.rfs(b, a, normalised) == pytest.approx(-found, nan_ok=True)
    assert abs(nb.rfs(a, b)) <= abs(np.nan_to_num(nb.rfs(a, b, True), nan=1)) + 1e-9  # the room is never above 1


def noisy_rows(seed=0, n=30):
    """What a network gets right of n pictures under noise, as the study of the notebook has it; any index."""
    rng = np.random.default_rng(seed)
    right = {"object": rng.random(n) < 0.4, "background": rng.random(n) < 0.6}
    return pd.DataFrame(right, index=rng.permutation(n) + 100).astype(float)


def test_the_mean_of_the_jackknifed_rfs_is_the_rfs_of_all_pictures(nb):
    rows = noisy_rows()
    found = nb.jackknifed(rows)
    assert found.index.equals(rows.index)
    assert found.mean() == pytest.approx(nb.rfs(rows["object"].mean(), rows["background"].mean(), True))


def test_a_jackknifed_rfs_is_what_its_picture_adds_to_all(nb):
    rows = noisy_rows(n=12)
    others = [rows.drop(i) for i in rows.index]
    without = np.array([nb.rfs(part["object"].mean(), part["background"].mean(), True) for part in others])
    whole = nb.rfs(rows["object"].mean(), rows["background"].mean(), True)
    assert nb.jackknifed(rows).tolist() == pytest.approx((whole + 11 * (without.mean() - without)).tolist())


def test_the_jackknifes_interval_is_as_wide_as_that_of_resampled_pictures(nb):
    """Two ways to an interval of a ratio: 1000 bootstraps of it, and the mean of the jackknifed values."""
    rows, rng = noisy_rows(n=200), np.random.default_rng(1)
    draws = [rows.iloc[rng.integers(0, 200, 200)] for _ in range(1000)]
    theirs = np.std([nb.rfs(part["object"].mean(), part["background"].mean(), True) for part in draws])
    assert nb.jackknifed(rows).std() / 200**0.5 == pytest.approx(theirs, rel=0.1)  # their own error is 2 %


def grey(side=224, n=2):
    """Pictures in the middle of the range, a mask of a quarter of each, and noise."""
    m = torch.zeros(n, side, side, dtype=torch.bool)
    m[:, : side // 2, : side // 2] = True
    return torch.full((n, 3, side, side), 127.5), m, torch.randn(n, 3, side, side, generator=torch.manual_seed(0))


@pytest.mark.parametrize("side", [224, 112, 56])
@pytest.mark.parametrize("turned", [False, True])
def test_l2_noise_has_the_norm_that_was_asked_for_on_any_area(nb, side, turned):
    x, m, n = grey(side)
    z = nb.noisy(x, ~m if turned else m, n, "l2", 5.0)
    norm = ((z - x) / 255).flatten(1).norm(dim=1)
    assert norm.tolist() == pytest.approx([5.0 * side / 224] * 2, rel=1e-4)  # as much a pixel, were all in the mask


def test_linf_noise_has_the_strength_that_was_asked_for_at_every_pixel(nb):
    x, m, n = grey(56)
    z = nb.noisy(x, m, n, "linf", 15.0)
    assert torch.allclose(z - x, 15 * n * m[:, None], atol=1e-4)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_noise_falls_on_the_mask_only_and_stays_in_the_range(nb, norm):
    x, m, n = grey(56)
    z = nb.noisy(x, m, n, norm, 1000.0)
    assert torch.equal((z != x).any(1), m)
    assert (z.min(), z.max()) == (0, 255)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_noise_on_nothing_and_noise_of_level_0_change_nothing(nb, norm):
    x, m, n = grey(56)
    assert torch.equal(nb.noisy(x, torch.zeros_like(m), n, norm, 100.0), x)
    assert torch.equal(nb.noisy(x, m, n, norm, 0.0), x)


def test_under_noise_counts_what_a_known_network_gets_right(nb):
    test = red_test(nb)
    test = test._replace(labels=torch.tensor([1, 1, 0, 0]))  # the third wrong without noise
    found = nb.under_noise(RED, test, {"l2": [0.0, 2000.0], "linf": [0.0]}, draws=3, seed=0)
    assert list(found) == ["picture", "norm", "level", "object", "background"]
    assert len(found) == 4 * 3
    still = found[found["level"] == 0]
    assert (still["object"] == still["background"]).all()
    assert still.groupby("norm")["object"].mean().tolist() == [0.75, 0.75]
    assert set((3 * found["object"]).round(6)) <= {0, 1, 2, 3}
    again = nb.under_noise(RED, test, {"l2": [2000.0]}, draws=3, seed=0)
    assert again.equals(found[found["level"] == 2000].reset_index(drop=True))  # whatever else is tried beside it


def test_the_noise_of_a_picture_is_the_same_for_every_network_and_place(nb):
    """A network that sees noise only: on an object that is all of the picture, and on none of it."""
    test = red_test(nb)
    test = test._replace(masks=torch.ones_like(test.masks))
    found = nb.under_noise(RED, test, {"l2": [50.0]}, draws=2, seed=0)
    turned = nb.under_noise(RED, test._replace(masks=~test.masks), {"l2": [50.0]}, draws=2, seed=0)
    assert found["object"].tolist() == turned["background"].tolist()


# where the object is, in a folder of pictures


@pytest.fixture
def folder(tmp_path, data_home):
    """`folder(mask=[...])`: three pictures 64 x 32, the first two with a square, and these columns of index.csv."""

    def made(**columns):
        for i in range(3):
            pixels = np.full((32, 64, 3), 50, np.uint8)
            pixels[8:16, 16:48] = [200, 10, 90][i] if i < 2 else 50
            Image.fromarray(pixels).save(tmp_path / f"{i}.png")
            Image.fromarray((pixels[..., 0] != 50).astype(np.uint8)).save(tmp_path / f"mask{i}.png")
        table = pd.DataFrame({"image": [f"{i}.png" for i in range(3)], "split": "val", "label": "thing"})
        table.assign(**columns).to_csv(tmp_path / "index.csv", index=False)
        return data.load(tmp_path)

    return made


AROUND = boxes_in([0.25, 0.25, 0.75, 0.5], [0.25, 0.25, 0.75, 0.5], NONE)


def test_the_true_boxes_go_round_the_masks(nb, folder):
    photos = folder(mask=["mask0.png", "mask1.png", "mask2.png"], box="0 0 1 1")  # masks before boxes
    assert torch.allclose(nb.truth_of(photos), AROUND, equal_nan=True)


def test_without_masks_the_true_boxes_are_the_given_ones(nb, folder):
    assert torch.allclose(nb.truth_of(folder(box=["16 8 48 16", "16 8 48 16", ""])), AROUND, equal_nan=True)


def test_without_masks_or_boxes_nobody_knows_where_the_object_is(nb, folder):
    assert nb.truth_of(folder()) is None


def test_lost_draws_a_box_for_every_picture_but_those_of_one_colour(nb, folder, monkeypatch):
    monkeypatch.setattr(nb, "lost_size", 32, raising=False)
    monkeypatch.setattr(nb, "lost_k", 100, raising=False)

    def features(images):
        """The mean colour of 4 x 4 pixels, minus the picture's."""
        k = F.avg_pool2d(images.float(), 4)
        return (k - k.mean((2, 3), keepdim=True)).permute(0, 2, 3, 1)

    assert torch.allclose(nb.lost_boxes(folder(), features), AROUND, equal_nan=True)


# what cannot be meant


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A folder of our own: 60 drawn pictures with masks and boxes, as somebody else's data set."""
    return scenes.prepare(tmp_path_factory.mktemp("mine"), images=60, size=48, bias=0.9, name="mine", workers=1)


def unmasked(folder, to):
    """The same pictures without masks and boxes: a folder a class."""
    for row in pd.read_csv(folder / "index.csv").itertuples():
        (to / row.split / row.label).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / row.image, to / row.split / row.label)
    return to


BAD = {
    "epochs that leave none for the loss": ({"epochs": 3, "warm_up": 3}, "warm_up is 3 and epochs 3"),
    "a learning rate for another number of networks": ({"lr": [0.1, 0.2]}, "lr has 2 entries; expected 1"),
    "weights of our own for other pictures": ({"begin": ["free"]}, "weights=imagenet, or a file"),
    "more in a batch than there is": ({"batch": 64}, "batch is 64; .* has 50 to train on"),
    "patches too few for LOST": ({"lost_size": 32, "batch": 8}, "lost_size is 32: 2 x 2 patches"),
    "patches too many for LOST": ({"lost_size": 1536, "batch": 8}, "lost_size is 1536: 96 x 96 patches"),
    "no masks to draw boxes from": ({"dataset": "plain", "batch": 8}, "only LOST can draw boxes here"),
}


@pytest.mark.slow
def test_weights_of_a_smaller_network_with_the_same_head_are_refused(mine, data_home, tmp_path):
    """What fits would be loaded, and the rest of the layers would stay random."""
    torch.save(models.build("resnet18", 10).state_dict(), tmp_path / "resnet18.pth")
    given = {"dataset": str(mine), "model": ["resnet34"], "begin": ["free"], "batch": 8}
    plan = reports.plan("03_ria", given=given | {"weights": str(tmp_path / "resnet18.pth")})
    folder, status = reports.run(plan, tmp_path / "out")
    assert status == "failed"
    assert re.search("not of `resnet34`: missing", reports.results(folder)["error"]["message"])


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_work_is_refused_before_anything_is_trained(case, mine, data_home, tmp_path, monkeypatch):
    given, said = BAD[case]
    given = {"dataset": str(mine)} | given
    if given["dataset"] == "plain":
        given["dataset"] = str(unmasked(mine, tmp_path / "plain"))
    plan = reports.plan("03_ria", given=given)
    monkeypatch.setenv("COURSE_NOTEBOOK", str(plan.notebook))
    with pytest.raises(CourseError, match=said):
        step_through(plan)
    assert not list((data_home / "models").glob("*"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("T", "1", "from 0 to 0.99"),
        ("kappa", "0", "from 0.1"),
        ("lam", "-0.1", "from 0 "),
        ("beta", "-1", "from 0 "),
        ("boxes", "loosely", "Did you mean|one or more of"),
        ("surrogate", "softest", "soft_mask"),
        ("rho", "1.5", "from 0 to 1"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(name, value, said):
    with pytest.raises(CourseError, match=f"(?s)parameter `{name}` is .*({said})"):
        reports.plan("03_ria", given={name: value})


# the whole notebook


@pytest.fixture(scope="module")
def few_scenes(tmp_path_factory):
    """A place for data where a few scenes pass for the embedded ones: without a bias, with one of 0.9, and smaller."""
    home = tmp_path_factory.mktemp("home")
    for name, bias, area in [("scenes", 0.0, 1), ("scenes-bias0.9", 0.9, 1), ("scenes-bias0.9-area0.25", 0.9, 0.25)]:
        few_for_embedded(home, 240, 48, bias, name, area)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA", str(home))
        yield home


FEW = {
    "batch": 16,
    "size": 48,
    "warm_up": 1,
    "epochs": 2,
    "lost_size": 96,
    "noise_images": 10,
    "l2": [50.0],
    "linf": [60.0],
}
EVERYTHING = FEW | {
    "rho": [0.9, 0.0],
    "model": ["compact_resnet", "compact_vgg"],
    "optimiser": ["adam", "sgd"],
    "lr": [0.001, 0.01],
    "begin": ["scratch", "free", "frozen"],
    "seeds": [0, 1, 2],
    "surrogate": ["soft_mask", "soft_box", "straight_through", "hard"],
    "beta": [0.5, 1.0],
    "per": ["map", "union"],
    "small": 0.25,
    "boxes": ["loose", "exact", "off20", "double", "lost", "shuffled", "random", "away"],
}
ASKED = ("accuracy", "containment", "swap_accuracy", "rfs")


@pytest.fixture(scope="module")
def whole(few_scenes, tmp_path_factory):
    folder, status = reports.run(reports.plan("03_ria", given=EVERYTHING), tmp_path_factory.mktemp("out"))
    assert status == "finished", reports.reason(folder)
    return folder


@pytest.mark.slow
def test_the_whole_notebook_runs_through_the_report_path(whole):
    results = reports.results(whole)
    metrics = results["metrics"]
    assert {f"{name}.{arm}" for name in ASKED for arm in ("baseline", "ria")} | {"cam_area_ratio.ria"} <= set(metrics)
    assert {"unbiased_accuracy.ria.compact_vgg.scratch.rho0", "corloc.lost"} <= set(metrics)
    assert all(0 <= metrics[f"{name}.ria"] <= 1 for name in ("accuracy", "containment", "coverage", "cam_energy"))
    assert results["answer"].startswith("With RIA")
    claims = {c["claim"]: c for c in results["claims"]}
    control = claims["the right boxes are needed: another picture's box does less than half as much for the energy"]
    assert control["kind"] == "control"
    assert (control["verdict"] != "not judged") == ("share_of_gain.shuffled" in metrics)  # where there is one to share
    assert claims["the printed term moves a weight"]["holds"] is False
    first = next(c for name, c in claims.items() if name.startswith("RIA raises accuracy (Table 1)"))
    assert first["paper"] == "+0.3, +0.5, +5.1 points"
    for name in ("compact_resnet", "compact_vgg"):  # all networks are judged, not the first
        assert f"{name}, scratch" in first["seen"]
        assert f"{name}, frozen" in next(
            c["seen"] for n, c in claims.items() if n.startswith("RIA raises accuracy (Table 2)")
        )
    assert not any("these networks" in claim for claim in claims)  # three trainings: it is about the method
    assert all(c["why"] for c in results["claims"] if c["verdict"] == "not judged")
    figures = {f["name"] for f in results["figures"]}
    assert figures >= {"backgrounds", "changes", "changes (smaller objects)", "lost", "kappa"}
    every = itertools.product(("gallery", "noise"), EVERYTHING["model"], EVERYTHING["begin"])
    assert figures >= {", ".join(one) for one in every}  # of Figs. 3 to 7, one for each network
    assert not [f["alt"] for f in results["figures"] if not f["alt"] or "np." in f["alt"] or "{" in f["alt"]]


@pytest.mark.slow
def test_baseline_and_ria_begin_with_the_same_weights_and_differ_by_the_loss(whole):
    sources = reports.results(whole)["provenance"]["weights"]
    told = "compact_resnet, model=compact_resnet, begin=scratch, rho=0.9, seed=0, loss="
    baseline, ria = (sources[told + loss] for loss in LOSSES)
    assert baseline != ria
    settings = pd.read_csv(whole / "tables" / "settings.csv").set_index("loss").drop(columns="boxes' IoU")
    assert settings.loc["surrogate=hard"].equals(settings.loc["baseline"])  # no gradient: the same training to the bit
    assert not settings.loc["RIA"].equals(settings.loc["baseline"])
    networks = pd.read_csv(whole / "tables" / "networks.csv")
    assert len(networks) == 2 * 3 * (2 * 2 + 2 * 2)  # losses, seeds, networks at two biases and from weights at one
    assert networks["no map"].notna().all()


@pytest.mark.slow
def test_the_settings_can_be_compared_with_the_leading_case(whole):
    settings = pd.read_csv(whole / "tables" / "settings.csv").set_index("loss")
    wanted = ["baseline", "RIA", "surrogate=soft_box", "surrogate=straight_through", "surrogate=hard"]
    wanted += ["per=union", "beta=1.0", *(f"boxes={name}" for name in EVERYTHING["boxes"][1:])]
    assert list(settings.index) == wanted
    quality = pd.read_csv(whole / "tables" / "detectors.csv").set_index("boxes")
    assert quality.loc["exact", "IoU"] == pytest.approx(1, abs=0.05)  # a mask at 224 px against the same
    assert list(quality["IoU"][["exact", "loose", "shuffled", "away"]].rank()) == [4, 3, 2, 1]
    assert settings.loc["boxes=shuffled", "boxes' IoU"] == pytest.approx(quality.loc["shuffled", "IoU"])


@pytest.mark.slow
def test_wrong_boxes_are_tried_again_where_objects_are_small_and_wrong_boxes_wrong(whole):
    usual, small = (pd.read_csv(whole / "tables" / f"settings{name}.csv") for name in ("", "_smaller_objects_"))
    assert list(small["loss"]) == ["baseline", "RIA", *(f"boxes={name}" for name in ("shuffled", "random", "away"))]
    ious = [table.set_index("loss")["boxes' IoU"] for table in (usual, small)]
    assert (ious[1][2:] < 0.6 * ious[0][small["loss"]][2:]).all()
    claims = {c["claim"]: c["verdict"] for c in reports.results(whole)["claims"]}
    asked = [claim for claim in claims if claim.startswith("the right boxes are needed")]
    assert len(asked) == 2 * 2 * 3  # worlds, energy and gap, wrong boxes
    assert sum(claim.endswith("for the gap (smaller objects)") for claim in asked) == 3


@pytest.mark.slow
def test_the_rfs_leaves_out_levels_at_chance_and_is_the_same_mean_in_table_and_metrics(whole):
    noise = pd.read_csv(whole / "tables" / "noise.csv")
    accuracy = noise[["object", "background"]].mean(axis=1)
    bar = 0.1 + 2 * (0.1 * 0.9 / 10) ** 0.5  # ten classes, ten pictures
    keys = [noise[name] for name in ("model", "begin", "rho", "norm", "level")]
    clear = (accuracy.groupby(keys).transform("min") > bar) & (noise["norm"] == "l2") & (noise["level"] > 0)
    assert (noise["counts"].astype(bool) == clear).all()
    first = noise.query("model == 'compact_resnet' and begin == 'scratch' and rho == 0.9 and counts == 1")
    for loss in LOSSES:
        metric = reports.results(whole)["metrics"][f"rfs_normalised.{loss.lower()}"]
        mean = first[first["loss"] == loss]["normalised RFS"].mean()
        assert (metric is None and np.isnan(mean)) or metric == pytest.approx(mean)


@pytest.mark.slow
def test_the_same_question_again_trains_nothing_and_says_the_same(whole, few_scenes, tmp_path):
    before = {path.name for path in (few_scenes / "models").iterdir()}
    folder, status = reports.run(reports.plan("03_ria", given=EVERYTHING), tmp_path)
    assert status == "finished", reports.reason(folder)
    assert {path.name for path in (few_scenes / "models").iterdir()} == before
    assert reports.results(folder)["metrics"] == reports.results(whole)["metrics"]


@pytest.mark.slow
def test_a_folder_of_ones_own_with_masks_gets_swapped_backgrounds(mine, data_home, tmp_path):
    given = FEW | {"dataset": str(mine), "boxes": ["loose"], "n_query": 4, "restrict": True, "cam_class": "label"}
    folder, status = reports.run(reports.plan("03_ria", given=given), tmp_path)
    assert status == "finished", reports.reason(folder)
    metrics = reports.results(folder)["metrics"]
    assert metrics["swap_accuracy.ria"] is not None
    assert metrics["unbiased_accuracy.ria"] is None
    assert len(pd.read_csv(folder / "tables" / "noise.csv")) == 2 * 2 * 2  # losses, norms, levels with that without


@pytest.mark.slow
def test_boxes_without_masks_are_trained_with_and_the_page_says_what_that_leaves_out(mine, data_home, tmp_path):
    boxed = tmp_path / "boxed"
    shutil.copytree(mine, boxed)
    pd.read_csv(mine / "index.csv").drop(columns="mask").to_csv(boxed / "index.csv", index=False)
    shutil.rmtree(boxed / "masks")
    (boxed / "dataset.json").unlink()
    given = FEW | {"dataset": str(boxed), "boxes": ["loose", "shuffled"]}
    folder, status = reports.run(reports.plan("03_ria", given=given), tmp_path / "out")
    assert status == "finished", reports.reason(folder)
    results = reports.results(folder)
    assert results["metrics"]["containment.ria"] is not None
    assert results["metrics"]["rfs.ria"] is results["metrics"]["cam_energy.ria"] is None
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "no background is swapped, no noise drawn" in page
    assert "so no noise is drawn, and there are no numbers below" in page
    assert "Nothing to show: no backgrounds were swapped" in page


@pytest.mark.slow
def test_a_folder_without_masks_is_left_to_lost(mine, data_home, tmp_path):
    plain = unmasked(mine, tmp_path / "plain")
    given = FEW | {"dataset": str(plain), "boxes": ["lost"]}
    folder, status = reports.run(reports.plan("03_ria", given=given), tmp_path / "out")
    assert status == "finished", reports.reason(folder)
    results = reports.results(folder)
    assert {name: results["metrics"][f"{name}.ria"] for name in ("swap_accuracy", "rfs", "cam_energy")} == {
        "swap_accuracy": None,
        "rfs": None,
        "cam_energy": None,
    }
    assert results["metrics"]["containment.ria"] is not None
    assert [note for note in results["notes"] if "LOST's own boxes" in note]


@pytest.mark.slow
@pytest.mark.parametrize("begin", [["frozen"], ["scratch", "frozen"]])
def test_a_network_without_any_map_has_its_page_and_others_their_numbers(few_scenes, tmp_path, begin):
    given = {"begin": begin, "weights": silent_weights(tmp_path, "compact_resnet", 10, "against"), "rho": [0.9]}
    given |= {"lr_pretrained": 1e-7, "boxes": ["loose"]}
    folder, status = reports.run(reports.plan("03_ria", given=FEW | given), tmp_path / "out")
    assert status == "finished", reports.reason(folder)
    results = reports.results(folder)
    n = len(pd.read_csv(few_scenes / "scenes-bias0.9/index.csv").query("split == 'val'"))
    (left_out,) = [note for note in results["notes"] if note.startswith("Test pictures whose map is the same")]
    assert left_out.endswith(f"left out: baseline {n}, RIA {n}")
    networks = pd.read_csv(folder / "tables" / "networks.csv").set_index(["begin", "loss"])
    assert (networks.loc["frozen", "no map"] == n).all()
    assert networks.loc["frozen", ["containment", "energy"]].isna().all(axis=None)
    assert networks.loc["frozen", "own"].notna().all()  # what it decides is known all the same
    silent = results["answer"].startswith("With RIA or without it, no picture has a map and a box.")
    assert silent == (begin == ["frozen"])
    if not silent:
        assert (networks.loc["scratch", "no map"] == 0).all()
        assert networks.loc["scratch", ["containment", "energy"]].notna().all(axis=None)
        assert re.search(r"scratch [+-]\d", claim_of(results, "more of the map's box lies in the object's box"))
    assert "frozen undefined" in claim_of(results, "more of the map's box lies in the object's box")
    assert "nan" not in results["answer"] + " ".join(results["notes"])


def claim_of(results, claim):
    """What was seen of it."""
    return next(c["seen"] for c in results["claims"] if c["claim"].removeprefix("these networks: ") == claim)


@pytest.mark.slow
def test_the_page_is_whole_in_a_browser(whole, chromium):
    title, broken, wide, asked = browsed(chromium, whole / "report.html")
    assert title.startswith("3 · RIA")
    assert (broken, wide, asked) == (0, 0, [])


@pytest.mark.slow
def test_real_photos_are_pulled_towards_boxes_of_lost(real_data, data_home, tmp_path):
    given = {"dataset": str(real_data / "imagewoof320"), "model": ["resnet18"], "begin": ["frozen"], "boxes": ["lost"]}
    given |= {"weights": str(real_data / "weights" / "resnet18_imagenet.pth"), "size": 64, "lost_size": 128}
    given |= {"warm_up": 1, "epochs": 2, "batch": 16, "lr_pretrained": 0.001}
    folder, status = reports.run(reports.plan("03_ria", given=given), tmp_path)
    assert status == "finished", reports.reason(folder)
    metrics = reports.results(folder)["metrics"]
    assert 0 < metrics["containment.ria"] <= 1
