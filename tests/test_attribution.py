"""helpers/heatmaps: each heatmap against someone else's, a hand calculation or a law."""

import contextlib
import copy
import csv

import numpy as np
import pytest
import pytorch_grad_cam as oracle
import torch
from captum.attr import LayerGradCam, Saliency
from hypothesis import given, settings
from hypothesis import strategies as st
from known import DOUBLE, calibrated, close, doubled
from torch import nn
from torchvision import models

from helpers.heatmaps import attribute, conservation
from helpers.heatmaps.methods import METHODS, method, no_graph
from helpers.networks.compact import CompactResNet
from helpers.networks.layers import last_conv

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(1)
    return calibrated(CompactResNet(num_classes=7))


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(2)
    return torch.randn(5, 3, 64, 64), torch.tensor([0, 6, 3, 3, 1])


def correlation(a, b):
    return min(np.corrcoef(p.ravel(), q.ravel())[0, 1] for p, q in zip(np.asarray(a), np.asarray(b), strict=True))


def theirs(kind, model, images, targets):
    wanted = [oracle.utils.model_targets.ClassifierOutputTarget(int(t)) for t in targets]
    with kind(model=model, target_layers=[last_conv(model)[1]]) as cam:
        return cam(input_tensor=images, targets=wanted)


# Against other implementations ------------------------------------------------------------------------------------

ORACLES = {"gradcam": oracle.GradCAM, "gradcampp": oracle.GradCAMPlusPlus, "layercam": oracle.LayerCAM}


# All is in float64, but the package stretches its maps to the pictures in float32 and by other rules: they correlate.
# A VGG's 130 million weights take long in float64, and say little more on another processor
OFTEN = [pytest.param(name, marks=pytest.mark.oracle) for name in ("resnet18", "squeezenet1_1")]


@pytest.fixture(scope="module", params=[*OFTEN, "vgg11"])
def larger(request):
    """A network in float64 with random weights, three pictures and their classes."""
    torch.manual_seed(3)
    model = calibrated(getattr(models, request.param)(weights=None, num_classes=10))
    return doubled(model, torch.randn(3, 3, 128, 128), torch.tensor([0, 5, 9]))


@pytest.mark.parametrize("cam", ORACLES)
def test_cams_correlate_with_the_grad_cam_package(cam, larger):
    model, images, targets = larger
    ours = attribute(cam, model, images, targets)
    alive = ours.amax((1, 2)) > 0  # correlation with a zero map is undefined
    assert alive.any()
    assert correlation(ours[alive], theirs(ORACLES[cam], model, images, targets)[alive]) > 0.9999


@pytest.mark.oracle
@pytest.mark.parametrize("cam", ORACLES)
def test_cams_of_an_imagenet_resnet_correlate_with_the_grad_cam_package(cam, imagenet_resnet, photos):
    model, images, targets = doubled(imagenet_resnet, *(some[:2] for some in photos))
    assert correlation(attribute(cam, model, images, targets), theirs(ORACLES[cam], model, images, targets)) > 0.9999


@pytest.mark.oracle
@pytest.mark.parametrize("layer", ["conv1", "layer2", "layer4.0"])
def test_gradcam_equals_captum_to_float_precision(resnet, pictures, layer):
    model, images, targets = doubled(resnet, *pictures)
    ours = attribute("gradcam", model, images, targets, layer, relu=False, resolution="native")
    expected = LayerGradCam(model, model.get_submodule(layer)).attribute(images, targets)[:, 0].detach()
    assert close(ours, expected, DOUBLE)


@pytest.mark.oracle
def test_saliency_equals_captum(resnet, pictures):
    model, images, targets = doubled(resnet, *pictures)
    gradient = Saliency(model).attribute(images.clone().requires_grad_(), targets)
    assert close(attribute("saliency", model, images, targets), gradient.amax(1), DOUBLE)


@pytest.mark.oracle
def test_smoothgrad_without_noise_is_saliency(resnet, pictures):
    given_ = doubled(resnet, *pictures)
    ours = attribute("smoothgrad", *given_, samples=2, noise=0.0)
    assert close(ours, attribute("saliency", *given_), DOUBLE)


def test_layercam_weighs_each_place_by_its_own_positive_gradient():
    # the layer is the picture itself, A = (1, 2 | 3, -4), and g = (1, -1 | 2, 5): 1, 0, 6 and -20
    conv, dense = nn.Conv2d(3, 1, 1, bias=False), nn.Linear(4, 2, bias=False)
    conv.weight.data = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
    dense.weight.data[1] = torch.tensor([1.0, -1.0, 2.0, 5.0])
    images = torch.zeros(1, 3, 2, 2)
    images[0, 0] = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    given_ = (nn.Sequential(conv, nn.Flatten(), dense), images, torch.tensor([1]), "0")
    assert attribute("layercam", *given_, relu=False).tolist() == [[[1.0, 0.0], [6.0, -20.0]]]
    assert attribute("layercam", *given_).tolist() == [[[1.0, 0.0], [6.0, 0.0]]]


# Laws -------------------------------------------------------------------------------------------------------------


def test_integrated_gradients_sum_to_the_change_of_the_score():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Softplus(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))
    images, targets = torch.randn(3, 3, 12, 12), torch.tensor([0, 1, 3])
    for baseline in (0.0, torch.full((3, 12, 12), 0.5)):
        total = attribute("integrated_gradients", model, images, targets, baseline=baseline).sum((1, 2))
        start = torch.zeros_like(images) + baseline
        change = (model(images) - model(start)).gather(1, targets[:, None])[:, 0].detach()
        # 50 Gauss-Legendre steps are exact to rounding on so smooth a function
        assert torch.allclose(total, change, rtol=1e-3, atol=1e-5)


def test_an_all_negative_gradcam_is_a_zero_map():
    conv, dense = nn.Conv2d(3, 2, 1, bias=False), nn.Linear(2, 2)
    conv.weight.data.fill_(1)
    dense.weight.data.fill_(-1)
    model = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)
    images, targets = torch.rand(2, 3, 8, 8) + 0.1, torch.tensor([0, 1])
    assert (attribute("gradcam", model, images, targets) == 0).all()
    assert (attribute("gradcam", model, images, targets, relu=False) < 0).all()


def test_native_resolution_is_the_layers_grid_and_upsamples_to_the_default(resnet, pictures):
    images, targets = pictures
    native = attribute("gradcam", resnet, images, targets, resolution="native")
    assert native.shape == (5, 4, 4)
    upsampled = nn.functional.interpolate(native[:, None], (64, 64), mode="bilinear", align_corners=False)[:, 0]
    assert torch.equal(upsampled, attribute("gradcam", resnet, images, targets))


def test_gradcam_sees_the_layer_before_a_later_operation_writes_into_it():
    torch.manual_seed(0)

    def net(inplace):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        model[1].forward = lambda x: nn.functional.relu(x, inplace=inplace)
        return model

    careful, careless = net(False), net(True)
    careless.load_state_dict(careful.state_dict())
    given_ = (torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), "0")
    expected = attribute("gradcam", careful, *given_, relu=False)
    assert torch.equal(attribute("gradcam", careless, *given_, relu=False), expected)


def test_one_output_unit_gives_opposite_maps_for_its_two_classes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    images = torch.randn(1, 3, 8, 8)
    for name, options in (("gradcam", {"relu": False}), ("integrated_gradients", {}), ("lrp", {})):
        no, yes = attribute(name, model, images.expand(2, -1, -1, -1), [0, 1], **options)
        assert close(no, -yes)


# LRP --------------------------------------------------------------------------------------------------------------


def bias_free(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers)


def test_lrp_of_a_bias_free_net_sums_to_the_score():
    model = bias_free(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 16, bias=False),
        nn.ReLU(),
        nn.Linear(16, 3, bias=False),
    )
    images, targets = torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])
    ratio = conservation(model, images, targets, epsilon=1e-9)
    # zennit adds 1e-6 to its denominators; activations here are 0.1 and more
    assert torch.allclose(ratio, torch.ones(6, dtype=torch.float64), atol=1e-3)


def test_lrp_of_a_residual_net_sums_to_the_score(resnet, pictures):
    resnet = copy.deepcopy(resnet)
    resnet.fc.bias.data.zero_()
    ratio = conservation(resnet, *pictures, epsilon=1e-9)
    # a neuron that only its bias holds up has no input to hand its relevance to
    assert torch.allclose(ratio, torch.ones(5, dtype=torch.float64), atol=0.01)


def test_lrp_on_photos_conserves_with_a_tiny_epsilon_and_not_with_the_authors(imagenet_resnet, photos):
    tiny = conservation(imagenet_resnet, *photos, epsilon=1e-6)
    assert torch.allclose(tiny, torch.ones_like(tiny), atol=0.01)  # biases and stabilisers take the rest
    assert (conservation(imagenet_resnet, *photos) < 0.95).all()


def two_weights(weights, *then):
    """A 1 x 1 convolution whose one output is w . x, for images of one pixel."""
    conv = nn.Conv2d(3, 1, 1, bias=False)
    conv.weight.data = torch.tensor(weights).reshape(1, 3, 1, 1)
    return nn.Sequential(conv, nn.ReLU(), *then, nn.Flatten())


def test_z_plus_splits_by_the_positive_products():
    # x = (2, 1, 3) passes through the first convolution unchanged; then w = (1, 2, -1), so z = 2 + 2 - 3 = 1 and
    # z+ = 2 + 2. Relevance 1 is split 1/2, 1/2, 0
    first = nn.Conv2d(3, 3, 1, bias=False)
    first.weight.data = torch.eye(3).reshape(3, 3, 1, 1)
    model = nn.Sequential(first, nn.ReLU(), *two_weights([1.0, 2.0, -1.0]))
    got = {}

    def look(module, inputs, output):
        if output.requires_grad:
            output.register_hook(lambda g: got.update(R=g.flatten().tolist()))

    handle = model[1].register_forward_hook(look)
    attribute("lrp", model, torch.tensor([2.0, 1.0, 3.0]).reshape(1, 3, 1, 1), torch.tensor([1]))
    handle.remove()
    assert got["R"] == pytest.approx([0.5, 0.5, 0.0], abs=1e-5)


def test_epsilon_damps_by_its_share_of_the_root_mean_square():
    # one dense layer after averages that keep the pixel; z = (4, 3), rms = sqrt(12.5), R = z / (z + eps rms) z
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    model[1].weight.data = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    images = torch.tensor([2.0, 1.0, 1.0]).reshape(1, 3, 1, 1)
    total = attribute("lrp", model, images, torch.tensor([0]), epsilon=0.25)
    assert total.item() == pytest.approx(4 * 4 / (4 + 0.25 * 12.5**0.5), rel=1e-5)


def test_epsilon_keeps_the_sign_of_a_negative_output():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    model[1].weight.data = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 0.0, 1.0]])
    images = torch.tensor([2.0, 1.0, 1.0]).reshape(1, 3, 1, 1)
    total = attribute("lrp", model, images, torch.tensor([0]), epsilon=0.25)
    assert total.item() == pytest.approx(-4 * 4 / (4 + 0.25 * 12.5**0.5), rel=1e-5)


def test_z_box_measures_pixels_from_the_images_own_lowest_and_highest():
    # two outputs of one pixel each, R = z = w . x = 2 and 1, with l = -3 and h = 1
    # pixel 1: x w - l w+ - h w- = (1 + 3) 2 = 8 in channel 1, 0 (l w+) + (1 - 0) 1 = 1 in channel 3; pixel 2 likewise.
    # channels are summed, so each pixel keeps its z whatever the split
    model = two_weights([2.0, 0.0, -1.0])
    images = torch.zeros(1, 3, 1, 2)
    images[0, :, 0, 0] = torch.tensor([1.0, 0.0, 0.0])
    images[0, :, 0, 1] = torch.tensor([-1.0, 0.0, -3.0])
    for target, expected in ((0, [2.0, 0.0]), (1, [0.0, 1.0])):
        R = attribute("lrp", model, images, torch.tensor([target]))
        assert R.flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_z_box_splits_between_neighbours_by_their_distance_from_the_box():
    # one output over two pixels, w = (2, -1) on channel 1, x = (1, 0): z = 2, l = 0, h = 1
    # x w - l w+ - h w-:  1 * 2 - 0 = 2  and  0 * -1 + 1 * 1 = 1, so R = 2 is split 4/3 and 2/3
    conv = nn.Conv2d(3, 1, (1, 2), bias=False)
    conv.weight.data = torch.zeros(1, 3, 1, 2)
    conv.weight.data[0, 0, 0] = torch.tensor([2.0, -1.0])
    images = torch.zeros(1, 3, 1, 2)
    images[0, 0, 0, 0] = 1.0
    R = attribute("lrp", nn.Sequential(conv, nn.ReLU(), nn.Flatten()), images, torch.tensor([1]))
    assert R.flatten().tolist() == pytest.approx([4 / 3, 2 / 3], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("efficientnet_b0", "Mul"),
        ("mobilenet_v2", "Add"),
        ("densenet121", "merge"),
        ("convnext_tiny", "LayerNorm"),
        ("vit_b_16", "ScaledDotProduct|Softmax|Bmm"),
        ("shufflenet_v2_x0_5", "Mean.* outside a module"),
    ],
)
def test_lrp_refuses_networks_it_would_not_conserve_in(name, reason):
    model = getattr(models, name)(weights=None)
    size = 224 if name == "vit_b_16" else 64
    with pytest.raises(ValueError, match=reason):
        attribute("lrp", model, torch.randn(1, 3, size, size), torch.tensor([0]))


def test_lrp_refuses_a_batch_norm_it_cannot_merge_and_a_layer_that_runs_twice():
    late = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    late[2].running_mean += 1
    same = nn.Conv2d(3, 3, 1)
    twice = nn.Sequential(same, nn.ReLU(), same, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for model, reason in ((late, "cannot merge 2"), (twice, "run more often: 0")):
        with pytest.raises(ValueError, match=reason):
            attribute("lrp", model, torch.randn(1, 3, 8, 8), torch.tensor([0]))


# The door ---------------------------------------------------------------------------------------------------------


# those that run the model once for each of many units or samples need only a few for what is asked here
FEW = {"scorecam": {"max_units": 8}, "lime": {"samples": 12, "segments": 9}}


@pytest.fixture
def explained(name, resnet):
    """A network that the method of this name can explain."""
    return transformer() if "rollout" in name else resnet


def transformer():
    torch.manual_seed(1)
    sizes = {"image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 8}
    model = models.VisionTransformer(**sizes, num_classes=7).eval()
    nn.init.normal_(model.heads.head.weight)  # torchvision begins with zeros
    return model


@pytest.mark.parametrize("name", METHODS)
def test_maps_are_finite_at_input_size_and_the_same_every_time(name, explained, pictures):
    images, targets = pictures
    maps = attribute(name, explained, images, targets, **FEW.get(name, {}))
    assert maps.shape == (5, 64, 64)
    assert torch.isfinite(maps).all()
    assert not maps.requires_grad
    assert torch.equal(maps, attribute(name, explained, images, targets, **FEW.get(name, {})))


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_gives_what_one_by_one_gives(name, explained, pictures):
    images, targets = pictures
    # float64: kernels round differently for other batch sizes, and in float32 that flips a max-pool now and then
    model, images = copy.deepcopy(explained).double(), images.double()
    few = FEW.get(name, {})
    together = attribute(name, model, images, targets, **few)
    assert close(attribute(name, model, images, targets, budget=1, **few), together, 1e-9)


def test_the_budget_bounds_the_batch(resnet, pictures):
    seen = []
    handle = resnet.register_forward_pre_hook(lambda m, inputs: seen.append(len(inputs[0])))
    try:
        attribute("saliency", resnet, *pictures, budget=1)
        attribute("saliency", resnet, *pictures)
    finally:
        handle.remove()
    measured = [1] * 2  # each time: what one takes, and its logits after folding
    assert seen == measured + [1] * 5 + measured + [5]


def belongings(model):
    """All that a method might leave changed, comparable."""
    modules = []
    for m in model.modules():
        hooks = [len(v) for k, v in sorted(vars(m).items()) if k.endswith("_hooks")]
        own = {k: v for k, v in vars(m).items() if k in ("training", "inplace", "eps", "forward")}
        modules.append((type(m), own, hooks, [(k, id(p)) for k, p in m._parameters.items()], list(m._modules)))
    tensors = [(p.data_ptr(), p.requires_grad, id(p.grad), p.detach().clone()) for p in model.parameters()]
    tensors += [(b.data_ptr(), b.clone()) for b in model.buffers()]
    return modules, tensors


def same_belongings(a, b):
    pairs = zip(a[1], b[1], strict=True)
    return a[0] == b[0] and all(x[:-1] == y[:-1] and torch.equal(x[-1], y[-1]) for x, y in pairs)


@pytest.fixture
def lived_in(name):
    """A model in the middle of training: mixed flags, gradients, in-place ReLUs."""
    torch.manual_seed(1)
    model = transformer().train() if "rollout" in name else calibrated(CompactResNet(num_classes=7)).train()
    frozen, norm = (model.conv_proj, model.encoder.ln) if "rollout" in name else (model.conv1, model.bn1)
    norm.eval()
    frozen.weight.requires_grad_(False)
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    return model


def assign_as_newer_zennit(mod, module):
    """What zennit 1.x does with parameters: it puts new Parameter objects into the module, twice."""
    old = {k: p.data for k, p in module.named_parameters(recurse=False)}
    new = {k: torch.zeros_like(v) if k in (mod.zero_params or ()) else mod.modifier(v, k) for k, v in old.items()}

    @contextlib.contextmanager
    def swapped():
        try:
            module.load_state_dict(new, strict=False, assign=True)
            yield module
        finally:
            module.load_state_dict(old, strict=False, assign=True)

    return swapped()


@pytest.mark.parametrize("name", METHODS)
def test_the_model_is_left_exactly_as_found(name, lived_in, pictures):
    before = belongings(lived_in)
    attribute(name, lived_in, *pictures, budget=1, **FEW.get(name, {}))
    assert same_belongings(belongings(lived_in), before)


@pytest.mark.parametrize("name", ["lrp"])
def test_lrp_keeps_the_parameter_objects_where_zennit_swaps_them(name, lived_in, pictures, monkeypatch):
    before, expected = belongings(lived_in), attribute("lrp", lived_in, *pictures)
    monkeypatch.setattr("zennit.core.ParamMod.__call__", assign_as_newer_zennit)
    assert torch.equal(attribute("lrp", lived_in, *pictures), expected)
    assert same_belongings(belongings(lived_in), before)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("run", [1, 2])
def test_the_model_is_left_exactly_as_found_after_an_error_inside(name, lived_in, pictures, run):
    calls = []

    def fail(module, inputs):
        calls.append(1)
        if len(calls) > run:  # the first run only measures
            raise RuntimeError("out of memory")

    last = lived_in.heads if "rollout" in name else lived_in.avgpool
    handle = last.register_forward_pre_hook(fail)
    before = belongings(lived_in)
    with torch.no_grad():
        try:
            attribute(name, lived_in, *pictures, budget=1)
        except (RuntimeError, ValueError):
            assert same_belongings(belongings(lived_in), before)
        else:
            assert name == "random"  # needs no model beyond the measuring
        assert not torch.is_grad_enabled()
    handle.remove()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_where_the_caller_switched_them_off(context, resnet, pictures):
    expected = attribute("gradcam", resnet, *pictures)
    with context():
        assert torch.equal(attribute("gradcam", resnet, pictures[0] * 1, pictures[1]), expected)


def test_a_model_that_flattens_with_view_works():
    class Old(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 2)

        def forward(self, x):
            return self.fc(torch.relu(self.conv(x)).view(x.size(0), -1))

    assert attribute("gradcam", Old(), torch.randn(2, 3, 8, 8), [0, 1], "conv").shape == (2, 8, 8)


def test_a_float64_model_gets_float64_images():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).double()
    assert attribute("saliency", model, torch.randn(1, 3, 8, 8), [0]).dtype == torch.float64


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40), n=st.integers(1, 6), budget=st.integers(1, 1 << 16))
def test_random_maps_depend_on_the_seed_and_the_position_only(seed, n, budget):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    six = attribute("random", model, torch.zeros(6, 3, 8, 8), [0] * 6, seed=seed)
    few = attribute("random", model, torch.ones(n, 3, 8, 8), [0] * n, seed=seed, budget=budget)
    assert torch.equal(few, six[:n])
    assert 0 <= six.min() <= six.max() < 1
    assert len(torch.unique(six[:, 0, 0])) == 6


def test_another_seed_gives_smoothgrad_other_noise(resnet, pictures):
    a, b = (attribute("smoothgrad", resnet, *pictures, samples=1, seed=seed) for seed in (0, 1))
    assert not torch.equal(a, b)


def test_a_notebook_can_add_a_method(resnet, pictures, monkeypatch):
    monkeypatch.setattr("helpers.heatmaps.methods.METHODS", METHODS)

    @method(no_graph)
    def constant(batch, *, value=1.0):
        return torch.full_like(batch.images[:, 0], value)

    try:
        assert (attribute("constant", resnet, *pictures, value=2.0) == 2).all()
    finally:
        del METHODS["constant"]


X, T = torch.zeros(2, 3, 64, 64), torch.tensor([0, 1])
BAD = {
    "unknown method": (("gradcan", X, T), {}, r"'gradcan'.*lrp.*Did you mean `gradcam`"),
    "one image without batch": (("gradcam", X[0], T), {}, r"images has shape \(3, 64, 64\).*image\[None\]"),
    "grey images": (("gradcam", X[:, :1], T), {}, r"images of shape \(1, 64, 64\) are not taken.*3 channels"),
    "no images": (("gradcam", X[:0], T[:0]), {}, r"images has shape \(0, 3"),
    "bytes": (("gradcam", X.byte(), T), {}, "images is torch.uint8"),
    "an array": (("gradcam", X.numpy(), T), {}, "images is ndarray"),
    "NaN": (("gradcam", X.index_fill(3, torch.tensor([0]), float("nan")), T), {}, "images has 384 NaN"),
    "too few targets": (("gradcam", X, T[:1]), {}, r"targets has shape \(1,\); expected \(2,\)"),
    "one-hot targets": (("gradcam", X, torch.eye(7).long()[:2]), {}, r"targets has shape \(2, 7\)"),
    "float targets": (("gradcam", X, T.float()), {}, "targets is torch.float32"),
    "target too high": (("gradcam", X, T + 6), {}, r"targets has 1 value.*first is 7.*7 output.*0 to 6"),
    "negative target": (("gradcam", X, T - 1), {}, "first is -1"),
    "unknown option": (("gradcam", X, T), {"samples": 3}, "no option 'samples'; its options: relu, resolution"),
    "option of none": (("saliency", X, T), {"samples": 3}, "its options: none"),
    "unknown layer": (("gradcam", X, T, "layer4.7"), {}, r"Did you mean .*layer4\.0"),
    "layer without grid": (("gradcam", X, T, "fc"), {}, r"layer gives \(2, 7\)"),
    "unknown resolution": (("gradcam", X, T), {"resolution": "low"}, "resolution is 'low'"),
    "no samples": (("smoothgrad", X, T), {"samples": 0}, "samples is 0"),
    "negative noise": (("smoothgrad", X, T), {"noise": -1}, "noise is -1"),
    "half a step": (("integrated_gradients", X, T), {"steps": 0.5}, "steps is 0.5"),
    "wrong baseline": (("integrated_gradients", X, T), {"baseline": torch.zeros(3)}, r"baseline has shape \(3,\)"),
    "fewer than no units": (("scorecam", X, T), {"max_units": -1}, "max_units is -1"),
    "units as a share": (("scorecam", X, T), {"max_units": 0.5}, "max_units is 0.5"),
    "layer without maps": (("scorecam", X, T, "fc"), {}, r"layer gives \(2, 7\)"),
    "resolution of scorecam": (("scorecam", X, T), {"resolution": "low"}, "resolution is 'low'"),
    "one sample": (("lime", X, T), {"samples": 1}, "samples is 1; expected a whole number of at least 2"),
    "one segment": (("lime", X, T), {"segments": 1}, "segments is 1; expected a whole number of at least 2"),
    "no width": (("lime", X, T), {"width": 0}, "width is 0"),
    "infinite ridge": (("lime", X, T), {"ridge": float("inf")}, "ridge is inf"),
    "negative seed of lime": (("lime", X, T), {"seed": -1}, "seed is -1"),
    "no epsilon": (("lrp", X, T), {"epsilon": 0}, "epsilon is 0"),
    "negative seed": (("random", X, T), {"seed": -1}, "seed is -1"),
    "no budget": (("random", X, T), {"budget": 0}, "budget is 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_argument_is_named_with_its_value_and_the_way_out(case, resnet):
    (name, images, *rest), options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        attribute(name, resnet, images, *rest, **options)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Conv2d(3, 2, 1), r"output for one image is \(1, 2, 64, 64\)"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(0)), r"output for one image is \(8192,\)"),
    ],
)
def test_a_model_without_class_scores_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        attribute("saliency", model, X, T)


class Several(nn.Module):
    """Class scores among other things, as some libraries' networks give them."""

    def __init__(self, pack):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7))
        self.pack = pack

    def forward(self, x):
        return self.pack(self.net(x))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "pack",
    [lambda s: (s,), lambda s: (s, s), lambda s: {"logits": s}, lambda s: [s, None]],
    ids=["tuple of one", "tuple", "dict", "list"],
)
def test_a_model_that_gives_several_things_is_refused_by_all_methods_in_the_same_words(name, pack):
    told = r"^the model's output for one image is not a tensor; expected class scores \(1, C\)\. Wrap the model in one "
    with pytest.raises(ValueError, match=told + "that returns only its logits$"):
        attribute(name, Several(pack), X, T)


# What degenerates, and other pictures -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [m for m in METHODS if "rollout" not in m])
def test_a_head_of_zeros_has_maps_that_are_finite(name, resnet, pictures):
    model = copy.deepcopy(resnet)
    nn.init.zeros_(model.fc.weight)
    nn.init.zeros_(model.fc.bias)
    maps = attribute(name, model, *pictures, **FEW.get(name, {}))
    assert maps.isfinite().all()
    if name not in ("random", "scorecam"):  # which weighs all units alike where they change nothing
        assert not maps.any()


def test_lrp_of_a_dead_network_and_of_a_dead_layer_is_zero(resnet, pictures):
    model = copy.deepcopy(resnet)
    nn.init.zeros_(model.fc.weight)  # the bias still gives a score, and receives nothing
    nn.init.ones_(model.fc.bias)
    assert not attribute("lrp", model, *pictures).any()
    dead = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5), nn.ReLU(), nn.Linear(5, 2))
    nn.init.constant_(dead[0].bias, -1e3)
    assert not attribute("lrp", dead, torch.randn(2, 3, 8, 8), [0, 1]).any()


@pytest.mark.parametrize("name", [m for m in METHODS if "rollout" not in m])
@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_have_as_many_channels_as_the_model_takes(name, channels):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert last_conv(model)[0] == "1"
    maps = attribute(name, model, torch.randn(2, channels, 24, 24), [0, 1], **FEW.get(name, {}))
    assert maps.shape == (2, 24, 24)
    assert maps.isfinite().all()


def test_a_model_that_gives_nan_is_refused_and_not_explained(resnet):
    model = copy.deepcopy(resnet)
    model.fc.bias.data[0] = float("nan")
    with pytest.raises(ValueError, match="output has 2 NaN"):
        attribute("gradcam", model, X, T)


# Real photos ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imagenet_resnet(real_data):
    model = models.resnet18(weights=None)
    weights = torch.load(real_data / "weights" / "resnet18_imagenet.pth", weights_only=True)
    model.load_state_dict({k: w.float() if w.is_floating_point() else w for k, w in weights.items()})
    return model.eval()


@pytest.fixture(scope="module")
def photos(real_data):
    """One photo of each of four classes, as the ImageNet models want them."""
    from PIL import Image
    from torchvision.transforms import functional as tf

    folder = real_data / "imagenette224"
    with open(folder / "classes.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::3]
    paths = [sorted((folder / row["folder"]).glob("*.JPEG"))[1] for row in rows]
    pixels = torch.stack([tf.to_tensor(Image.open(path).convert("RGB")) for path in paths])
    images = tf.normalize(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return images, torch.tensor([int(row["imagenet_index"]) for row in rows])
