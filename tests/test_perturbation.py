"""helpers/heatmaps/forward_only.py: Score-CAM and LIME against someone else's, a hand calculation or a law."""

import random

import numpy as np
import pytest
import pytorch_grad_cam as oracle
import torch
from known import DOUBLE, calibrated, close, doubled
from sklearn.linear_model import Ridge as TheirRidge
from torch import nn
from torchvision import models

from helpers.heatmaps import attribute
from helpers.heatmaps.forward_only import ridge_regression, superpixels
from helpers.networks.compact import COMPACT
from helpers.networks.layers import last_conv

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(1)
    return calibrated(COMPACT["compact_resnet"](num_classes=7))


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(2)
    return torch.randn(3, 3, 64, 64), torch.tensor([0, 6, 3])


@pytest.fixture
def sharp():
    """A small model whose scores differ by several units, so that the softmax of Score-CAM prefers some maps."""
    torch.manual_seed(0)
    conv, dense = nn.Conv2d(3, 6, 3), nn.Linear(24, 3)
    dense.weight.data *= 20
    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), dense)


def rows_of(model, run):
    """How many pictures went through the model in each forward of `run()`, without those that measure and compare."""
    seen = []
    handle = model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    try:
        run()
    finally:
        handle.remove()
    return seen[2 if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()) else 1 :]


# Score-CAM --------------------------------------------------------------------------------------------------------


def their_scorecam(model, layer, images, targets):
    """The `grad-cam` package's map on the layer's own grid, before it is clipped, scaled and resized."""

    class Unscaled(oracle.ScoreCAM):
        def get_cam_image(self, *arguments):
            self.cam = super().get_cam_image(*arguments)
            return self.cam

    with Unscaled(model=model, target_layers=[layer]) as cam:
        cam(input_tensor=images, targets=[oracle.utils.model_targets.ClassifierOutputTarget(int(t)) for t in targets])
    return torch.from_numpy(cam.cam)


@pytest.mark.oracle
def test_scorecam_equals_the_grad_cam_package_where_maps_weigh_differently(sharp, float64):
    model, images, targets = doubled(sharp, torch.randn(3, 3, 20, 24), torch.tensor([0, 1, 2]))
    for layer in ("0", "1"):
        theirs = their_scorecam(model, model[int(layer)], images, targets)
        ours = attribute("scorecam", model, images, targets, layer, relu=False, resolution="native")
        assert close(ours, theirs, DOUBLE)
        clipped = attribute("scorecam", model, images, targets, layer, resolution="native")
        assert close(clipped, theirs.relu(), DOUBLE)


@pytest.mark.oracle
@pytest.mark.parametrize("name", COMPACT)
def test_scorecam_of_a_compact_network_equals_the_grad_cam_package(name, pictures, float64):
    torch.manual_seed(3)
    model, images, targets = calibrated(COMPACT[name](num_classes=7)), *(one[:1] for one in doubled(*pictures))
    theirs = their_scorecam(model, last_conv(model, images)[1], images, targets)
    ours = attribute("scorecam", model, images, targets, relu=False, resolution="native")
    assert close(ours, theirs, DOUBLE)


@pytest.mark.oracle
def test_scorecam_of_a_resnet18_equals_the_grad_cam_package(pictures, float64):
    torch.manual_seed(3)
    model = calibrated(models.resnet18(weights=None, num_classes=7))
    images, targets = (one[:1] for one in doubled(*pictures))
    images = images[..., :32, :32]  # it goes through once for each of 128 units
    theirs = their_scorecam(model, model.layer2, images, targets)
    ours = attribute("scorecam", model, images, targets, "layer2", relu=False, resolution="native")
    assert close(ours, theirs, DOUBLE)


def test_scorecam_sees_the_layer_before_a_later_operation_writes_into_it(sharp):
    given_ = (torch.randn(2, 3, 16, 16), torch.tensor([0, 1]), "0")
    expected = attribute("scorecam", sharp, *given_, relu=False)
    sharp[1].forward = lambda x: nn.functional.relu(x, inplace=True)
    assert torch.equal(attribute("scorecam", sharp, *given_, relu=False), expected)


def red_and_constants(stride=1):
    """The layer's 4 units: the picture's red, its negative, 3.3 everywhere, 0 everywhere. The score: red's mean."""
    conv = nn.Conv2d(3, 4, 1, stride)
    conv.weight.data = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0], [0, 0, 0]]).reshape(4, 3, 1, 1)
    conv.bias.data = torch.tensor([0.0, 0.0, 3.3, 0.0])
    dense = nn.Linear(4, 2, bias=False)
    dense.weight.data = torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0]])
    return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)


def test_scorecam_weighs_maps_by_the_softmax_of_what_the_score_is_behind_them():
    # red is 0, 2: its own mask 0, 1 keeps the 2 and scores 1; the negative's mask 1, 0 keeps the 0. Constants keep
    # nothing, so three of four score 0, and the weights are e, 1, 1, 1 over their sum
    images = torch.zeros(1, 3, 1, 2)
    images[0, 0, 0, 1] = 2.0
    w = torch.tensor([1.0, 0, 0, 0]).softmax(0)
    expected = torch.stack([3.3 * w[2], 2 * w[0] - 2 * w[1] + 3.3 * w[2]])
    ours = attribute("scorecam", red_and_constants(), images, torch.tensor([1]), "0", relu=False)
    assert close(ours.flatten(), expected)


def test_scorecam_shows_nothing_once_for_all_units_that_are_the_same_everywhere():
    torch.manual_seed(0)
    model, seen = red_and_constants(stride=4), []  # upsampled, 3.3 is 3.3 with rounding errors
    images = torch.randn(2, 3, 30, 23)
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    attribute("scorecam", model, images, torch.tensor([1, 1]), "0")
    *_, whole, masked, nothing = seen
    assert torch.equal(whole, images)
    assert nothing.shape == (1, 3, 30, 23)
    assert not nothing.any()
    assert masked.abs().amax((1, 2, 3)).gt(0).tolist() == [True] * 4  # two of each picture's units have a map


def test_scorecam_of_units_that_are_all_the_same_everywhere_weighs_them_alike():
    A = attribute("scorecam", red_and_constants(), torch.zeros(1, 3, 2, 2), torch.tensor([1]), "0", relu=False)
    assert close(A, torch.full((1, 2, 2), 3.3 / 4))


def test_scorecam_runs_units_of_several_images_in_one_batch_and_never_more_than_fit(sharp):
    images, targets = torch.randn(3, 3, 20, 20), torch.tensor([0, 1, 2])
    assert rows_of(sharp, lambda: attribute("scorecam", sharp, images, targets, "0")) == [3, 18]
    # the convolution gives 6 x 18 x 18 floats: three in turn, and one that stays
    some = 4 * 6 * 18 * 18 * 4 * 2
    seen = rows_of(sharp, lambda: attribute("scorecam", sharp, images, targets, "0", budget=some))
    assert seen == [2] + [2] * 6 + [1] + [2] * 3


def test_scorecam_records_no_graph(sharp):
    seen = []
    handle = sharp[0].register_forward_hook(lambda module, inputs, output: seen.append(torch.is_grad_enabled()))
    attribute("scorecam", sharp, torch.randn(1, 3, 8, 8), torch.tensor([0]), "0")
    handle.remove()
    assert seen == [False] * 3


def test_scorecam_of_as_many_units_as_there_are_is_that_of_all(resnet, pictures):
    every = attribute("scorecam", resnet, *pictures)
    for n in (128, 1000):
        assert torch.equal(attribute("scorecam", resnet, *pictures, max_units=n), every)


def test_scorecam_of_fewer_units_keeps_those_that_vary_most():
    # for the first picture the second and fourth unit, for the other the first and fourth; the third is large but flat
    torch.manual_seed(0)
    conv, dense = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)
    conv.weight.data = torch.tensor([[0.1, 0, 0], [0, 3.0, 0], [0, 0, 0], [1.0, 0, 0]]).reshape(4, 3, 1, 1)
    conv.bias.data = torch.tensor([0.0, 0.0, 500.0, 0.0])
    model = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)
    images, targets = torch.randn(2, 3, 8, 8), torch.tensor([1, 1])
    images[1, 0] *= 100
    images[1, 1] *= 0.01
    ours = attribute("scorecam", model, images, targets, "0", relu=False, max_units=2)
    for i, kept in enumerate(([1, 3], [0, 3])):
        smaller = nn.Sequential(nn.Conv2d(3, 2, 1))
        smaller[0].weight.data, smaller[0].bias.data = conv.weight.data[kept], conv.bias.data[kept]
        smaller.forward = asking(smaller, model)  # what the masked picture scores is for the whole model to say
        expected = attribute("scorecam", smaller, images[i : i + 1], targets[i : i + 1], "0", relu=False)
        assert close(ours[i], expected[0])


def asking(smaller, whole):
    """Runs the smaller model's layers, and gives the whole one's scores."""

    def forward(x):
        nn.Sequential.forward(smaller, x)
        return whole(x)

    return forward


def test_scorecam_refuses_a_layer_that_does_not_run(sharp):
    sharp.spare = nn.Conv2d(3, 4, 1)
    sharp.forward = lambda x: sharp[4](sharp[3](sharp[2](sharp[1](sharp[0](x)))))
    with pytest.raises(ValueError, match="layer does not run"):
        attribute("scorecam", sharp, torch.randn(1, 3, 8, 8), torch.tensor([0]), "spare")


def test_scorecam_refuses_an_unknown_resolution_before_it_asks_the_model(sharp):
    def run():
        with pytest.raises(ValueError, match="resolution is 'low'"):
            attribute("scorecam", sharp, torch.randn(1, 3, 8, 8), torch.tensor([0]), "0", resolution="low")

    assert rows_of(sharp, run) == []


# LIME -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def linear():
    """A score that is a weighted sum of the pixels, plus 5; a picture; what each pixel adds to class 1, (24, 24)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 2))
    model[1].bias.data.fill_(5)
    image = torch.randn(1, 3, 24, 24)
    return model, image, (model[1].weight[1].detach().reshape(3, 24, 24) * image[0]).sum(0)


def test_lime_finds_what_each_superpixel_adds_to_a_linear_score(linear):
    model, image, added = linear
    labels = superpixels(image[0], 9)
    expected = torch.zeros(int(labels.max()) + 1).index_add(0, labels.flatten(), added.flatten())
    maps = attribute("lime", model, image, torch.tensor([1]), samples=50, segments=9, ridge=1e-6)
    assert len(expected) > 4
    assert close(maps[0], expected[labels])


def test_a_larger_ridge_shrinks_the_coefficients_of_lime(linear):
    model, image, _ = linear
    free, held = (
        attribute("lime", model, image, torch.tensor([1]), samples=50, segments=9, ridge=ridge).square().sum()
        for ridge in (1e-6, 10.0)
    )
    assert held < 0.7 * free


@pytest.mark.oracle
def test_lime_equals_a_ridge_regression_on_samples_drawn_by_hand(resnet, pictures, float64):
    model, image, target = doubled(resnet, pictures[0][:1], pictures[1][:1])
    labels = superpixels(image[0], 20)
    state = np.random.SeedSequence([4, 0]).generate_state(1, np.uint64)[0]
    z = torch.randint(2, (40, int(labels.max()) + 1), generator=torch.Generator().manual_seed(int(state >> 1)))
    z[0] = 1
    with torch.no_grad():
        y = model(image * z[:, labels][:, None])[:, target].flatten()
    cosine = nn.functional.cosine_similarity(z.double(), torch.ones(1, z.shape[1], dtype=torch.float64))
    theirs = TheirRidge(alpha=0.5).fit(z, y, sample_weight=(-((1 - cosine) ** 2) / (2 * 0.4**2)).exp())
    ours = attribute("lime", model, image, target, samples=40, segments=20, width=0.4, ridge=0.5, seed=4)
    assert np.allclose(ours[0], theirs.coef_[labels], rtol=0, atol=DOUBLE)


@pytest.mark.oracle
def test_the_ridge_regression_equals_that_of_scikit_learn(float64):
    torch.manual_seed(0)
    x, y, w = torch.randn(30, 4), torch.randn(30) + 7, torch.rand(30)
    theirs = TheirRidge(alpha=0.3).fit(x, y, sample_weight=w)
    assert np.allclose(ridge_regression(x, y, w, 0.3), theirs.coef_, rtol=0, atol=DOUBLE)


def test_lime_depends_on_the_seed_and_the_position_only(resnet, pictures):
    images, targets = pictures[0][:1].expand(3, -1, -1, -1), torch.tensor([2, 2, 2])  # one picture three times
    maps = attribute("lime", resnet, images, targets, samples=20, segments=9, seed=3)
    again = attribute("lime", resnet, images[:2], targets[:2], samples=20, segments=9, seed=3, budget=1)
    assert close(again, maps[:2])
    assert not close(maps[0], maps[1], 0.1)  # each position has samples of its own
    assert not close(attribute("lime", resnet, images, targets, samples=20, segments=9, seed=4), maps, 0.1)


def test_lime_leaves_global_random_numbers_alone(resnet, pictures):
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    attribute("lime", resnet, *pictures, samples=4, segments=4)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), before[1], strict=True))
    assert random.getstate() == before[2]


def test_lime_runs_its_samples_in_batches_that_fit(resnet, pictures):
    def run(**limits):
        image, target = pictures[0][:1], pictures[1][:1]
        return rows_of(resnet, lambda: attribute("lime", resnet, image, target, samples=10, segments=4, **limits))

    assert run() == [10]
    # three times the largest output, the 16 x 32 x 32 floats of the first convolution
    assert run(budget=4 * 3 * 16 * 32 * 32 * 4) == [4, 4, 2]


@pytest.mark.parametrize("kind", ["noise", "stripes", "one colour", "three pixels"])
def test_superpixels_are_about_as_many_as_asked_for_also_on_textures(kind):
    rng = torch.Generator().manual_seed(0)
    image = torch.randn(3, 112, 112, generator=rng)
    if kind == "stripes":
        image = torch.arange(112.0).remainder(5).expand(3, 112, 112)
    elif kind == "one colour":
        image = torch.full((3, 112, 112), -1.5)
    elif kind == "three pixels":
        image = image[:, :1, :3]
    labels = superpixels(image, 50)
    found = labels.unique()
    assert labels.shape == image.shape[1:]
    assert torch.equal(found, torch.arange(len(found)))
    assert 30 <= len(found) <= 60 or (kind == "three pixels" and len(found) == 3)
