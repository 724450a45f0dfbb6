"""notebooks/01_focus.ipynb: its functions by hand, by law and against quantus; then the whole notebook."""

import itertools
import json
import re
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from known import in_small, own_folder, wide_weights
from scipy import stats
from torch import nn

from data_scripts.drawn.things import OBJECTS
from helpers import check, figures, networks, pictures
from helpers import stats as estimates
from helpers.errors import CourseError
from helpers.heatmaps import attribute
from helpers.run import Run
from reports import plans, runs


@pytest.fixture(scope="module")
def nb(notebook):
    return notebook("01_focus")


LABELS = np.repeat([0, 1, 2], [5, 4, 7])


def maps(side=6):
    values = st.floats(-5, 5, width=32, allow_subnormal=False)  # half of the smallest one is 0
    return arrays(np.float32, (3, side, side), elements=values).map(torch.from_numpy)


def left(side=6):
    """The target on the left half."""
    T = torch.zeros(3, side, side)
    T[:, :, : side // 2] = 1
    return T


# mosaics


@pytest.mark.parametrize("outer", ["balanced", "uniform"])
def test_every_mosaic_has_two_target_tiles_and_two_others(nb, outer):
    M = nb.mosaics(LABELS, 8, seed=1, outer=outer)
    assert (M.on_target.sum(1) == 2).all()
    assert torch.equal(M.labels, torch.from_numpy(LABELS)[M.sources])
    assert M.targets.tolist() == np.repeat([0, 1, 2], 8).tolist()


def test_a_mosaic_never_shows_the_same_target_picture_twice(nb):
    M = nb.mosaics(LABELS, 50, seed=2)
    own = M.sources[M.on_target].view(-1, 2)
    assert (own[:, 0] != own[:, 1]).all()


def test_target_pictures_are_used_in_rounds(nb):
    M = nb.mosaics(LABELS, 10, seed=3)
    counts = np.bincount(M.sources[:10][M.on_target[:10]], minlength=5)[:5]
    assert counts.tolist() == [4] * 5  # 20 places for 5 pictures


def test_balanced_draws_the_same_number_from_each_other_class(nb):
    rng = np.random.default_rng(0)
    sources = nb.tiles_for(0, LABELS, 6, rng)
    assert np.bincount(LABELS[sources[:, 2:].ravel()]).tolist() == [0, 6, 6]


def test_the_same_seed_gives_the_same_mosaics_and_another_does_not(nb):
    same = [nb.mosaics(LABELS, 4, seed=s).sources for s in (0, 0, 1)]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])


def test_the_six_layouts_are_equally_likely(nb):
    M = nb.mosaics(LABELS, 400, seed=0)
    codes = (M.on_target * torch.tensor([1, 2, 4, 8])).sum(1).numpy()
    found = np.unique(codes, return_counts=True)[1]
    assert len(found) == 6
    assert stats.chisquare(found).pvalue > 1e-3  # fails for a fair draw once in a thousand seeds; the seed is fixed


@pytest.mark.parametrize("layout", [(0, 1), (0, 3), (2, 3)])
def test_a_fixed_layout_is_kept(nb, layout):
    M = nb.mosaics(LABELS, 3, layout=layout)
    assert {tuple(np.flatnonzero(row)) for row in M.on_target} == {layout}


def test_what_cannot_be_a_mosaic_is_refused(nb):
    with pytest.raises(ValueError, match="a mosaic needs two"):
        nb.mosaics([0, 1, 1], 2)
    with pytest.raises(ValueError, match="the only one"):
        nb.mosaics([0, 0], 2)
    with pytest.raises(ValueError, match="square"):
        nb.assemble(torch.zeros(1, 4, 3, 4, 5))
    assert nb.mosaics([0, 1, 1], 1, targets=[0], allow_repeat=True).on_target.sum() == 2


@pytest.mark.parametrize("layout", [(0, 0), (0, 4), (1,), (0, 1, 2)])
def test_a_layout_that_is_no_two_tiles_is_refused(nb, layout):
    with pytest.raises(ValueError, match="two of the tiles 0 to 3"):
        nb.mosaics(LABELS, 1, layout=layout)


def test_a_mosaic_is_its_four_tiles_in_reading_order(nb):
    tiles = torch.rand(2, 4, 3, 5, 5)
    mosaic = nb.assemble(tiles)
    for k, (y, x) in enumerate([(0, 0), (0, 5), (5, 0), (5, 5)]):
        assert torch.equal(mosaic[:, :, y : y + 5, x : x + 5], tiles[:, k])


def test_the_target_mask_lies_on_the_target_tiles(nb):
    on_target = torch.tensor([[False, True, True, False]])
    painted = nb.assemble(on_target.float().view(1, 4, 1, 1, 1).expand(1, 4, 3, 4, 4))[:, 0]
    assert torch.equal(nb.target_mask(on_target, 8, 8), painted.double())


def test_an_odd_side_is_refused_or_floored(nb):
    on_target = torch.tensor([[True, False, False, True]])
    with pytest.raises(ValueError, match="odd side"):
        nb.target_mask(on_target, 7, 8)
    T = nb.target_mask(on_target, 7, 8, strict=False)
    assert T.shape == (1, 7, 8)
    assert T.sum() == 3 * 4 + 4 * 4  # the upper tile is the smaller one


@given(st.integers(2, 5), st.integers(2, 4), st.integers(1, 8), st.integers(0, 99))
def test_no_mosaic_shows_a_picture_twice_even_in_a_small_folder(nb, pictures, classes, m, seed):
    M = nb.mosaics(np.repeat(np.arange(classes), pictures), m, seed=seed)
    assert all(len(set(row)) == 4 for row in M.sources.tolist())


# the Focus


def test_focus_of_relevance_on_the_target_only_is_one_and_beside_it_zero(nb):
    assert (nb.focus(left(), left()) == 1).all()
    assert (nb.focus(1 - left(), left()) == 0).all()


def test_focus_of_a_uniform_map_is_exactly_one_half(nb):
    assert (nb.focus(torch.full((3, 6, 6), 0.3), left()) == 0.5).all()


def test_focus_refuses_a_mask_of_0_and_255_and_an_unknown_way_to_draw(nb):
    with pytest.raises(ValueError, match="values from 0 to 255; expected 0 and 1"):
        nb.focus(torch.rand(3, 6, 6), 255 * left())
    with pytest.raises(ValueError, match="outer is 'unifrom'"):
        nb.mosaics(LABELS, 1, outer="unifrom")


def test_focus_without_positive_relevance_is_undefined_not_zero(nb):
    assert nb.focus(torch.zeros(3, 6, 6), left()).isnan().all()
    assert nb.focus(-torch.ones(3, 6, 6), left()).isnan().all()


@given(maps(), st.floats(0.1, 10))
def test_focus_ignores_a_positive_scale(nb, R, s):
    # scaling float32 by a number rounds each value by 6e-8 of itself
    assert torch.allclose(nb.focus(R * s, left()), nb.focus(R, left()), atol=1e-5, equal_nan=True)


@given(maps())
def test_focus_and_its_complement_are_one_together(nb, R):
    both = nb.focus(R, left()) + nb.focus(R, 1 - left())
    assert torch.allclose(both[~both.isnan()], torch.ones(()).double(), atol=1e-12)


@given(maps())
def test_focus_lies_between_zero_and_one(nb, R):
    F = nb.focus(R, left())
    assert ((F >= 0) & (F <= 1 + 1e-12) | F.isnan()).all()


@given(maps())
def test_swapping_left_and_right_turns_focus_round(nb, R):
    F, swapped = nb.focus(R, left()), nb.focus(R.flip(2), left())
    assert torch.allclose(F, 1 - swapped, atol=1e-9, equal_nan=True)


@given(maps())
def test_focus_is_the_sum_of_the_target_tiles_shares(nb, R):
    shares = nb.tile_shares(R)
    assert torch.allclose(nb.focus(R, left()), shares[:, 0] + shares[:, 2], atol=1e-12, equal_nan=True)


def test_adding_a_constant_changes_focus(nb):
    R = torch.tensor([[[4.0, 0.0], [0.0, 0.0]]])
    assert nb.focus(R, left(2)[:1]) == 1
    assert nb.focus(R + 1, left(2)[:1]) == 6 / 8


def test_three_of_nine_tiles_need_no_other_function(nb):
    T = torch.eye(3).repeat_interleave(4, 0).repeat_interleave(4, 1)[None]
    assert nb.focus(torch.ones(1, 12, 12), T) == pytest.approx(1 / 3)
    assert nb.rescaled(torch.tensor(1 / 3), 1 / 3) == 0
    assert nb.rescaled(torch.tensor(1.0)) == 1


@pytest.mark.parametrize(
    ("R", "said"),
    [
        (torch.zeros(3, 6, 8), "must be the same"),
        (torch.zeros(6, 6), r"expected maps \(N, H, W\)"),
        (torch.zeros(3, 3, 6, 6), "Reduce its channels"),
        (torch.full((3, 6, 6), torch.nan), "108 value.s. that are NaN"),
        (torch.full((3, 6, 6), torch.inf), "NaN or infinite"),
        (torch.zeros(2, 6, 6), "must be the same"),
    ],
)
def test_maps_that_cannot_be_meant_are_refused(nb, R, said):
    with pytest.raises(ValueError, match=said):
        nb.focus(R, left())


# against quantus


def quantus_focus(model, images, targets, inside, R):
    """Tiles in reading order: so since quantus 0.6; before, positions 1 and 2 had to be swapped."""
    import quantus

    positions = [tuple(int(v) for v in row) for row in inside]
    focus = quantus.Focus(disable_warnings=True, display_progressbar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return focus(
            model=model,
            x_batch=images.numpy(),
            y_batch=targets.numpy(),
            a_batch=R[:, None].numpy(),
            custom_batch=positions,
            channel_first=True,
        )


@pytest.mark.oracle
def test_focus_equals_quantus_on_random_maps(nb):
    generator = torch.Generator().manual_seed(0)
    M = nb.mosaics(LABELS, 8, seed=0)
    R = torch.randn(24, 16, 16, generator=generator, dtype=torch.float64)  # sums of some hundred pixels
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)).eval()
    theirs = quantus_focus(net, torch.zeros(24, 3, 16, 16), M.targets, M.on_target, R)
    ours = nb.focus(R, nb.target_mask(M.on_target, 16, 16))
    assert np.allclose(ours, theirs, rtol=0, atol=1e-9)  # theirs adds 1e-9 to what it divides by


@pytest.mark.oracle
def test_focus_equals_quantus_on_real_heatmaps(nb, real_data, data_home):
    photos = pictures.load(real_data / "imagenette224")
    weights = real_data / "weights" / "resnet18_imagenet.pth"
    classifier = networks.load("resnet18", str(weights), photos)
    M = nb.mosaics(photos.labels, 1, seed=0)
    tiles = photos.images(M.sources.flatten(), 112, "cover").view(10, 4, 3, 112, 112)
    images, targets = classifier.prepared(nb.assemble(tiles)), classifier.outputs[M.targets]
    R = attribute("gradcam", classifier.net, images, targets).double()  # sums of fifty thousand pixels
    ours = nb.focus(R, nb.target_mask(M.on_target, 224, 224))
    assert np.allclose(ours, quantus_focus(classifier.net, images, targets, M.on_target, R), rtol=0, atol=1e-9)
    assert ours.median() > 0.8  # half-size tiles; at full size 0.98


# randomisation and statistics


@pytest.mark.parametrize("scheme", ["reset", "xavier"])
def test_randomised_draws_exactly_the_named_layers(nb, scheme):
    net = networks.build("compact_resnet", 4)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    names = nb.weight_layers(net)
    assert names[0] == "fc"
    changed = nb.randomised(net, names[:2], seed=1, scheme=scheme).state_dict()
    moved = {k.rsplit(".", 1)[0] for k in before if k.endswith("weight") and not torch.equal(before[k], changed[k])}
    assert moved == set(names[:2])
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_reset_draws_the_norm_with_its_layer_and_xavier_leaves_it(nb):
    net = networks.build("compact_vgg", 4)
    nn.init.constant_(net.features[1].weight, 7.0)
    assert (nb.randomised(net, ["features.0"], scheme="reset").features[1].weight == 1).all()
    assert (nb.randomised(net, ["features.0"], scheme="xavier").features[1].weight == 7).all()


@pytest.mark.parametrize("wrong", [{"names": ["fc"], "scheme": "xaver"}, {"names": ["layer9"]}])
def test_randomised_refuses_a_scheme_or_a_layer_that_is_not_there(nb, wrong):
    with pytest.raises(ValueError, match="expected reset or xavier, and weight_layers"):
        nb.randomised(networks.build("compact_resnet", 4), **wrong)


def test_random_networks_are_at_chance(nb, shared_home):
    photos = pictures.load("scenes").split("val")
    M, read = nb.mosaics(photos.labels, 6, seed=0), pictures.reader(photos, 56, "squash_crop")
    means = []
    for draw in range(6):
        torch.manual_seed(draw)
        blank = networks.Classifier("blank", networks.build("compact_resnet", 10).eval(), photos.outputs)
        means.append(np.nanmean(nb.focus_of("gradcam", blank, M, read)))
    assert estimates.mean(means, of="draws").contains(0.5, within=0.2).holds


def test_the_band_of_a_cascade_is_the_interval_of_its_claim(nb):
    F = np.random.default_rng(0).normal(0.5, 0.1, 10)  # ten draws: a bootstrap's interval would be narrower
    table = pd.DataFrame({"layers": np.repeat([1, 2], 10), "focus": [*F, *F]})
    figure = figures.against(table, "layers", "focus", lines=True, of="draws")
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    wanted = estimates.mean(F, of="draws")
    assert (band.min(), band.max()) == pytest.approx((wanted.low, wanted.high))
    assert wanted.high - wanted.low > 1.01 * (estimates.mean(F).high - estimates.mean(F).low)


def test_focus_of_streams_the_same_numbers_in_any_batches(nb, shared_home):
    photos = pictures.load("scenes").split("val")
    torch.manual_seed(0)
    net = networks.Classifier("blank", networks.build("compact_vgg", 10).eval(), photos.outputs)
    M = nb.mosaics(photos.labels, 4, seed=0)  # 40: more than one batch
    read = pictures.reader(photos, 56, "squash_crop")
    whole = nb.focus_of("gradcam", net, M, read)
    parts = [nb.focus_of("gradcam", net, M.some(slice(k, k + 7)), read) for k in range(0, 40, 7)]
    assert np.allclose(whole, np.concatenate(parts), atol=1e-5, equal_nan=True)  # float32 sums in another order


def untrained(name):
    return networks.Classifier(name, networks.build(name, 2).eval(), torch.arange(2))


def test_accuracy_and_loss_of_a_network_of_more_outputs_are_told_among_the_classes_too(nb, tmp_path):
    photos = pictures.load(own_folder(tmp_path))
    net = networks.load("compact_vgg", str(wide_weights(tmp_path)), photos)
    read = pictures.reader(photos, 64, "cover")
    logits = networks.logits(net, photos, read)[:, [5, 9, 12]]  # the outputs that classes.csv names
    right, among, loss = nb.answers(net, photos, read)
    assert among.tolist() == (logits.argmax(1) == photos.labels).double().tolist()
    assert (right <= among).all()
    assert loss == pytest.approx(nn.functional.cross_entropy(logits, photos.labels).item())
    assert nb.counted(photos, 8) == "15 pictures and 24 mosaics"


def test_a_map_that_is_not_finite_has_no_focus_and_the_others_keep_theirs(nb):
    R = torch.rand(3, 6, 6)
    whole, R[1, 2, 3] = nb.focus(R, left()), torch.nan
    found = nb.focus(nb.silenced(R), left())
    assert torch.equal(found.isnan(), torch.tensor([False, True, False]))
    assert torch.equal(found[[0, 2]], whole[[0, 2]])


@pytest.mark.parametrize(("name", "tile"), [("vit_b_32", 24), ("compact_vgg", 8)])
def test_a_network_that_takes_no_mosaics_is_told_before_training(name, tile):
    with pytest.raises(ValueError, match=f"{name} cannot be explained by gradcam at {2 * tile} px"):
        check.need(untrained(name), at=2 * tile, grid=True)


def test_a_native_grid_without_a_middle_is_told():
    check.need(untrained("resnet18"), at=96, grid=True)
    with pytest.raises(ValueError, match="3 x 3 grid at 96 px: no middle"):
        check.need(untrained("resnet18"), at=96, grid=True, halves=True)


def test_random_maps_differ_from_batch_to_batch(nb, shared_home):
    photos = pictures.load("scenes").split("val")
    net = networks.Classifier("blank", networks.build("compact_vgg", 10).eval(), photos.outputs)
    M = nb.mosaics(photos.labels, 4, seed=0, layout=(0, 1))  # 40 mosaics: two batches
    F = nb.focus_of("random", net, M, pictures.reader(photos, 32, "squash_crop"))
    assert len(np.unique(F)) == 40


def test_two_estimates_are_told_apart_only_when_their_intervals_are(nb):
    a, b, c = (estimates.share(k, 400) for k in (300, 301, 399))
    assert (nb.apart(a, b), nb.apart(a, c), nb.apart(c, a)) == (0, -1, 1)


# claims of single cells, from numbers made up


def cell_of(title):
    """The source of the cell that begins so."""
    sources = ["".join(cell["source"]) for cell in json.loads(plans.notebook("01").read_text())["cells"]]
    (cell,) = [source for source in sources if source.startswith(title)]
    return cell


def judged(notebook, title, **given):
    """The claims that the cell with this title makes from these values: claim -> verdict."""
    run = Run("01_focus", {})
    known = {"run": run, "stats": estimates, "np": np, "judged": notebook.judged, "seeds": [0], "epochs": 7}
    known["median"] = partial(estimates.median, of="mosaics", chance=0.5)
    exec(cell_of(title), known | given)
    return {c["claim"]: c["verdict"] for c in run.results["claims"]}


def measured_as(accuracy, focus, n=200):
    """Which pictures are right, and the Focus of mosaics, with these means."""
    return torch.arange(n).lt(accuracy * n).double(), focus + np.linspace(-0.05, 0.05, n)


@pytest.mark.parametrize(
    ("vgg", "resnet", "said"),
    [
        ((0.80, 0.90), (0.60, 0.95), "holds"),  # less accurate and more focused
        ((0.80, 0.90), (0.60, 0.85), "does not hold"),
        ((0.80, 0.90), (0.80, 0.95), "cannot tell"),
    ],
)
def test_the_named_pairs_of_figure_6_are_judged_where_both_networks_are(nb, vgg, resnet, said):
    measures = {
        ("imagenet", "vgg16", "imagenet", 0, 7): measured_as(*vgg),
        ("imagenet", "resnet18", "imagenet", 0, 7): measured_as(*resnet),
        ("imagenet", "resnet18", "train", 0, 1): measured_as(0.99, 0.5),  # an early epoch is no final network
    }
    final = pd.DataFrame({"model": ["vgg16", "resnet18"], "among_classes": [0.8, 0.6], "spread": [0.1, 0.2]})
    given = {"measures": measures, "final": final, "pairs": [], "told": 0, "against_law": 0, "what": ""}
    found = judged(nb, "# Claims: between networks", **given)
    assert found["imagenet vgg16 to imagenet resnet18: accuracy down, Focus up"] == said
    assert found["mame vgg16 to mame resnet18: accuracy up, Focus up"] == "not judged"


def test_harder_data_are_judged_only_where_they_are(nb):
    high, low, half = (m + np.linspace(-w, w, 60) for m, w in [(0.95, 0.02), (0.6, 0.04), (0.5, 0.03)])
    F_all = {("imagenet", "vgg16", 0, "gradcam"): high, ("imagenet", "vgg16", 0, "lrp"): low}
    given = {"set_names": ["imagenet"], "model": ["vgg16"], "D": 1}
    found = judged(nb, "# Claims: the methods' medians", F_all=F_all, **given)
    assert found["ImageNet: Grad-CAM is ahead of LRP"] == "holds"
    assert found["LRP is ahead of Grad-CAM"] == "does not hold"
    assert found["MIT67: LRP is at chance, 0.5 ± 0.1"] == found["SmoothGrad: median Focus 0.5 ± 0.1"] == "not judged"
    given = {"set_names": ["dogs_vs_cats", "mit67"], "model": ["vgg16"], "D": 2}
    F_all = {("mit67", "vgg16", 0, "lrp"): half, ("dogs_vs_cats", "vgg16", 0, "lrp"): high}
    found = judged(nb, "# Claims: the methods' medians", F_all=F_all, **given)
    assert found["MIT67: LRP is at chance, 0.5 ± 0.1"] == "holds"
    assert found["LRP: median Focus above 0.90"] == "holds"  # said of cats and dogs, not of MIT67
    assert found["ImageNet: Grad-CAM is ahead of LRP"] == "not judged"


@pytest.mark.parametrize(
    ("followed", "said"), [(["resnet18"], "pairs of networks and epochs of trainings"), ([], "pairs of networks")]
)
def test_where_pairs_are_of_epochs_too_that_is_said(nb, followed, said):
    run = Run("01_focus", {})
    measures = {
        ("d", "vgg16", "train", 0, 7): measured_as(0.80, 0.90),
        ("d", "resnet18", "train", 0, 7): measured_as(0.60, 0.95),
    }
    measures |= {("d", "resnet18", "train", 0, 1): measured_as(0.20, 0.60)} if followed else {}
    known = {
        "run": run,
        "stats": estimates,
        "np": np,
        "itertools": itertools,
        "seeds": [0],
        "epochs": 7,
        "judged": nb.judged,
    }
    known |= {"median": partial(estimates.median, of="mosaics", chance=0.5), "measures": measures, "followed": followed}
    known["final"] = pd.DataFrame({"model": ["vgg16"], "among_classes": [0.8], "spread": [0.1]})
    exec(cell_of("def apart(a, b)"), known)
    exec(cell_of("# Claims: between networks"), known)
    k, (claim, *_) = 1 + len(followed), run.results["claims"]
    assert (claim["seen"], claim["verdict"]) == (f"1 of {k} {said} contradict the law", "holds")
    assert claim["why"] == f"{k} of {k} {said} can be told apart"
    assert run.results["notes"] == [f"{k} of {k} {said} can be told apart in both numbers; 1 contradict the law"]


def test_a_layer_drawn_anew_is_named_by_its_place_from_the_output(nb):
    run = Run("01_focus", {})
    rows = [("vgg", k, way, f) for k in (1, 2, 10) for way in ("alone", "cascade") for f in (0.49, 0.5, 0.51)]
    cascade = pd.DataFrame(rows, columns=["model", "layers", "which", "focus"])
    exec(cell_of("# Claims: one layer drawn anew"), {"run": run, "stats": estimates, "cascade": cascade})
    top, others = (claim["seen"] for claim in run.results["claims"])
    assert top.startswith("vgg, layer 1 from the output: 0.50")
    assert re.findall(r"vgg, layer (\d+) from the output: 0.50", others) == ["2", "10"]


def epochs_of(accuracy, focus):
    """A followed training: accuracies and median Focus by epoch, and a spread that narrows."""
    spread = np.linspace(0.3, 0.1, len(focus)) ** 2
    table = pd.DataFrame({"accuracy": accuracy, "median Focus": focus, "spread": spread})
    return table, estimates.correlation(table["accuracy"], table["median Focus"], of="epochs")


def test_a_loose_correlation_over_the_epochs_does_not_count_as_following(nb):
    rng = np.random.default_rng(0)
    a = np.linspace(0.5, 0.9, 200)
    for noise, said in [(0.01, "holds"), (0.3, "does not hold")]:  # r = 0.99, and about 0.4: above 0, not near 0.99
        c, r = epochs_of(a, a + rng.normal(0, noise, 200))
        assert r.low > 0
        key = ("scratch", "compact_vgg")
        given = {"by_training": {key: c}, "rs": {key: r}, "C": 2, "rescaled": nb.rescaled}
        found = judged(nb, "# Claims: over the epochs", **given)
        assert next(v for claim, v in found.items() if "(scratch)" in claim) == said
        assert next(v for claim, v in found.items() if "(pretrained)" in claim) == "not judged"
        assert found["the Focus spreads less as accuracy grows over the epochs: r < 0"] == "holds"


@pytest.mark.parametrize(("C", "said"), [(2, "holds"), (10, "does not hold")])
def test_focus_and_accuracy_are_compared_above_their_own_chance(nb, C, said):
    a = np.linspace(0.5, 0.7, 9)
    c, r = epochs_of(a, a + np.linspace(0.04, 0.06, 9))  # chance is 0.5 for both, or 0.5 and 0.1
    given = {"by_training": {("scratch", "x"): c}, "rs": {("scratch", "x"): r}, "C": C, "rescaled": nb.rescaled}
    found = judged(nb, "# Claims: over the epochs", **given)
    assert found["the median Focus lies above accuracy over the epochs (mean difference, chance rescaled to 0)"] == said


@pytest.mark.parametrize("C", [2, 3, 7, 10, 12])
def test_the_two_pictures_of_a_class_stand_one_above_the_other(C):
    labels, drawn = torch.arange(C).repeat(4).flip(0), {}
    photos = SimpleNamespace(images=lambda rows, *_: rows)
    spare = {"tile": 8, "fit": "cover", "class_names": range(C), "C": C, "labels": labels, "unseen": [photos], "np": np}
    run = SimpleNamespace(say=lambda *_, **__: None, embedded=True, figure=lambda *_: None)
    figures = SimpleNamespace(
        sheet=lambda *given, columns: drawn.update(rows=given[0], titles=given[1], columns=columns)
    )
    exec(cell_of("# Drawing: two pictures of each class"), spare | {"run": run, "figures": figures})
    width = drawn["columns"]
    for row in range(0, len(drawn["titles"]), 2 * width):
        above, below = drawn["titles"][row : row + width], drawn["titles"][row + width : row + 2 * width]
        assert above == below
    assert len(set(drawn["rows"].tolist())) == len(drawn["titles"]) >= 4


def test_prose_names_nothing_that_is_on_the_embedded_pictures_only():
    cells = json.loads(plans.notebook("01").read_text())["cells"]
    prose = " ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert [name for name in OBJECTS if re.search(rf"\\b{name}\\b", prose)] == []


def test_lrp_follows_the_rules_that_the_notebook_writes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3, bias=False)).double()
    x = torch.randn(1, 3, 2, 2).double()
    w, V = net[0].weight.detach()[:, :, 0, 0], net[3].weight.detach()  # (2, 3), (3, 8)
    a = net[:3](x).detach()[0]  # (8,)
    z = V @ a
    relevance = a * V[1] / (z[1] + 0.25 * (z**2).mean().sqrt() * z[1].sign()) * z[1]  # dense: class 1 alone has a score
    low, high = x.min(), x.max()
    part = x[0][None] * w[:, :, None, None] - low * w.clamp(min=0)[:, :, None, None]
    part -= high * w.clamp(max=0)[:, :, None, None]  # (2, 3, 2, 2)
    R = (part / part.sum(1, keepdim=True) * relevance.view(2, 1, 2, 2)).sum((0, 1))
    assert torch.allclose(attribute("lrp", net, x, torch.tensor([1]))[0], R, atol=1e-9)


# the whole notebook


@pytest.fixture
def small(tmp_path, monkeypatch):
    return in_small("01_focus", tmp_path, monkeypatch, 200, FEW)


FEW = {"model": ["compact_vgg"], "mosaics_per_class": [1], "layout_mosaics": 10, "epochs": 3, "cascade_steps": 2}
FEW |= {"tile": 48, "random_draws": 2, "methods": ["gradcam"]}


def test_methods_that_cannot_explain_a_network_are_refused_before_it_is_trained(small, tmp_path):
    with pytest.raises(CourseError, match="mobilenet_v2 cannot be explained by lrp"):
        small(methods=["lrp"], model=["compact_vgg", "mobilenet_v2"])
    assert not (tmp_path / "home" / "models").exists()


def test_a_folder_of_ones_own_is_not_called_drawn_and_accuracy_is_told_among_its_classes_too(
    small, tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr("helpers.run.display", lambda what, **_: shown.append(str(getattr(what, "data", what))))
    weights = [str(wide_weights(tmp_path))]
    results = small(
        dataset=[str(own_folder(tmp_path))], weights=weights, curve_model="none", methods=["saliency", "lrp"]
    )
    assert [text for text in shown if "drawn by a script" in text] == []
    (said,) = [note for note in results["notes"] if "tiles not trained on here" in note]
    assert said.startswith("compact_vgg on 15 tiles")
    assert "among the 3 classes (chance 33.3%)" in said
    assert "among all its 20 outputs (chance 5.0%)" in said
    followed = [c for c in results["claims"] if "epochs" in c["claim"]]
    assert {c["verdict"] for c in followed} == {"not judged"}
    assert all(c["why"] for c in followed)


def blind_weights(home, head):
    """A compact_resnet of 10 outputs whose every output is the sum of what the last layer saw, times `head`."""
    torch.manual_seed(0)
    net = networks.build("compact_resnet", 10)
    nn.init.constant_(net.fc.weight, head)  # what it weighs is never negative, so that Grad-CAM is zero for head <= 0
    nn.init.zeros_(net.fc.bias)
    torch.save(net.state_dict(), home / "blind.pth")
    return {"model": ["compact_resnet"], "weights": [str(home / "blind.pth")], "curve_model": "none"}


@pytest.mark.parametrize(("head", "empty"), [(-1.0, {"gradcam"}), (0.0, {"gradcam", "lrp", "saliency"})])
def test_a_method_whose_maps_are_empty_is_counted_and_explained_and_the_others_stand(small, tmp_path, head, empty):
    methods = ["gradcam", "lrp", "saliency", "random"]
    results = small(**blind_weights(tmp_path, head), methods=methods)
    undefined = {m: results["metrics"][f"focus_undefined.{m}"] for m in methods}
    assert {m for m in methods if undefined[m] == 10} == empty  # one mosaic a class
    assert undefined["random"] == 0
    assert {m for m in methods if results["metrics"][f"focus_median.{m}"] is None} == empty
    explained = [note.split(" on ")[0] for note in results["notes"] if "10 of 10 mosaics have no Focus, since" in note]
    assert {*explained} == empty
    assert results["answer"].startswith("Grad-CAM finds nothing for compact_resnet: no map of 10 mosaics has positive")
    assert re.search(r"with random weights \(\d+ draws\) [45]\d% of \d+, where", results["answer"])  # about one half
    assert {c["verdict"] for c in results["claims"] if "trained network's" in c["claim"]} == {"cannot tell"}
    said = json.dumps([results[part] for part in ("notes", "answer", "claims", "figures", "tables")])
    assert re.findall(r".{0,80}\bnan\b", said) == []


@pytest.mark.parametrize("model", ["compact_vgg", "compact_resnet"])
def test_where_there_is_no_max_pool_to_compare_with_that_is_said(small, monkeypatch, model):
    shown = []
    monkeypatch.setattr("helpers.run.display", lambda what, **_: shown.append(str(getattr(what, "data", what))))
    results = small(model=[model], curve_model="none", epochs=3)
    compared = [note for note in results["notes"] if "less that of the max-pool after it is" in note]
    missing = [text for text in shown if "has no max-pool after its last ReLU" in text]
    assert (len(compared), len(missing)) == ((1, 0) if model == "compact_vgg" else (0, 1))


@pytest.mark.slow
def test_the_first_exercise_runs_and_networks_are_fine_tuned_from_given_weights(small, tmp_path):
    torch.manual_seed(0)
    torch.save(networks.build("compact_vgg", 10).state_dict(), tmp_path / "begin.pth")
    assert networks.build("compact_vgg", 10).features(torch.zeros(1, 3, 96, 96)).shape[-1] == 3  # the pool's odd grid
    results = small(resolution="native", begin=[str(tmp_path / "begin.pth")])
    verdicts = {c["claim"].split(":")[0]: c["verdict"] for c in results["claims"]}
    for start in ("scratch", "pretrained"):
        assert (
            verdicts[f"Focus follows accuracy over the epochs of one training ({start})"] == "cannot tell"
        )  # 3 epochs
    sources = results["provenance"]["weights"]
    assert len(set(sources.values())) == 2  # trained twice; that of section 8 is the fine-tuned one
    assert len({sources[name] for name in sources if "begin.pth" in name or name == "compact_vgg, i=0, j=0, s=0"}) == 1


SMALL = {"model": ["compact_resnet"], "mosaics_per_class": [2], "layout_mosaics": 10, "epochs": 4, "cascade_steps": 2}
SMALL |= {"random_draws": 2}
SMALL |= {"tile": 56, "methods": ["gradcam", "lrp", "smoothgrad", "random"], "curve_model": "compact_resnet"}


@pytest.mark.slow
def test_the_whole_notebook_runs_through_the_report_path(tmp_path, shared_home):
    folder, status = runs.run(runs.plan("01_focus", given=SMALL), tmp_path)
    assert status == "finished", runs.reason(folder)
    results = runs.results(folder)
    wanted = {f"focus_median.{m}" for m in SMALL["methods"]} | {"focus_median.random_model"}
    assert wanted | {"focus_accuracy_pearson.scratch.compact_resnet"} <= set(results["metrics"])
    assert len(results["claims"]) >= 8
    assert not [f["alt"] for f in results["figures"] if not f["alt"] or "np." in f["alt"] or "{" in f["alt"]]
    assert results["metrics"]["focus_median.gradcam"] > 0.6 > 0.55 > results["metrics"]["focus_median.random"] > 0.45


@pytest.mark.slow
def test_the_page_of_a_network_that_shows_nothing_is_written(tmp_path, shared_home):
    folder, status = runs.run(runs.plan("01_focus", given=SMALL | blind_weights(tmp_path, 0.0)), tmp_path / "out")
    assert status == "finished", runs.reason(folder)
    assert "no map of 10 mosaics has positive relevance" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_notebook_runs_on_real_photos_as_measured_independently(real_data, tmp_path, shared_home):
    given = {"epochs": 3, "cascade_steps": 2, "layout_mosaics": 20, "methods": ["gradcam", "saliency"], "tile": 224}
    given |= {"curve_model": "none"}  # following a training is tested above
    folder, status = runs.run(runs.plan("01_focus", "real", given=given), tmp_path)
    assert status == "finished", runs.reason(folder)
    metrics = runs.results(folder)["metrics"]
    assert metrics["focus_median.gradcam"] == pytest.approx(0.98, abs=0.02)
    assert metrics["focus_median.saliency"] == pytest.approx(0.57, abs=0.04)
    assert metrics["focus_mean.random_model"] == pytest.approx(0.5, abs=0.1)


settings.register_profile("course", deadline=None)  # a first call compiles and warms up
settings.load_profile("course")
