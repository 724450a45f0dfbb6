"""Networks on tokens and newer families: heatmaps against somebody else's, attention against a slow way, refusals."""

import numpy as np
import pytest
import pytorch_grad_cam as oracle
import timm
import torch
from known import DOUBLE, calibrated, close, doubled, in_small
from PIL import Image
from timm.layers import resample_abs_pos_embed
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F
from torchvision import models

from helpers import check
from helpers.errors import CourseError
from helpers.heatmaps import attribute
from helpers.heatmaps.methods import METHODS
from helpers.networks import Classifier, build
from helpers.networks.layers import last_conv, trace
from helpers.networks.tokens import any_size, as_grid, patch_grid

pytestmark = pytest.mark.usefixtures("one_thread")

OURS = [name for name, how in METHODS.items() if how.function.__module__.startswith("helpers.")]  # no notebook's own

SMALL = {"num_heads": 2, "num_classes": 5}


def decided(net):
    """Random weights everywhere: torchvision's and timm's transformers begin with a head of zeros."""
    torch.manual_seed(4)
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return net.eval()


def torch_vit(side=32):
    torch.manual_seed(3)
    return decided(
        models.VisionTransformer(image_size=side, patch_size=8, num_layers=3, hidden_dim=16, mlp_dim=32, **SMALL)
    )


def timm_vit(kind=VisionTransformer, **options):
    torch.manual_seed(3)
    return decided(kind(img_size=32, patch_size=8, embed_dim=16, depth=3, **SMALL | options))


VITS = {
    "torchvision": torch_vit,
    "timm": timm_vit,
    "registers": lambda: timm_vit(reg_tokens=4),
    "normalised queries": lambda: timm_vit(qk_norm=True),
    "pooled": lambda: timm_vit(class_token=False, global_pool="avg"),
    "pooled beside a class token": lambda: timm_vit(global_pool="avg"),
    "distilled": lambda: timm_vit(VisionTransformerDistilled),
}
PREFIX = {"torchvision": 1, "timm": 1, "registers": 5, "normalised queries": 1, "pooled": 0}
PREFIX |= {"pooled beside a class token": 1, "distilled": 2}


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(2)
    return torch.randn(3, 3, 32, 32), torch.tensor([0, 4, 2])


# The layer methods ------------------------------------------------------------------------------------------------

# torchvision's network, the layer that the package's examples take, and how its output becomes a grid
FIELD = {
    "vit_b_16": (lambda net: net.encoder.layers[-1].ln_1, lambda x: x[:, 1:].unflatten(1, (4, 4)).movedim(3, 1)),
    "swin_t": (lambda net: net.norm, lambda x: x.movedim(3, 1)),
    "convnext_tiny": (lambda net: net.features[-1], None),
}
ORACLES = {"gradcam": oracle.GradCAM, "gradcampp": oracle.GradCAMPlusPlus, "layercam": oracle.LayerCAM}


@pytest.fixture(scope="module", params=FIELD)
def published(request):
    """An architecture with random weights, in float64, small pictures for it, and how the package looks into it."""
    torch.manual_seed(3)
    options = {"image_size": 64} if request.param == "vit_b_16" else {}
    side = 64 if request.param == "vit_b_16" else 96
    net = decided(getattr(models, request.param)(weights=None, num_classes=10, **options))
    return request.param, *doubled(net, torch.randn(2, 3, side, side)), torch.tensor([0, 7])


def test_cams_of_newer_families_equal_the_grad_cam_packages(published):
    name, net, images, targets = published
    find, to_grid = FIELD[name]
    wanted = [oracle.utils.model_targets.ClassifierOutputTarget(int(t)) for t in targets]
    for method, kind in ORACLES.items():
        with kind(model=net, target_layers=[find(net)], reshape_transform=to_grid) as cam:
            stretched = cam(input_tensor=images, targets=wanted)
            kept = cam.activations_and_grads
            A, g = (some[0].detach() for some in (kept.activations, kept.gradients))
            theirs = cam.get_cam_image(images, find(net), wanted, A.numpy(), g.numpy(), False)
        ours = attribute(method, net, images, targets, relu=False, resolution="native")
        assert ours.shape == ((2, 4, 4) if name == "vit_b_16" else (2, 3, 3))
        assert close(ours, torch.as_tensor(theirs), DOUBLE)
        maps = attribute(method, net, images, targets)
        alive = maps.amax((1, 2)) > 0  # correlation with a zero map is undefined
        assert alive.any()
        pairs = zip(maps[alive].flatten(1).numpy(), stretched[alive.numpy()].reshape(alive.sum(), -1), strict=True)
        assert min(np.corrcoef(a, b)[0, 1] for a, b in pairs) > 0.9999


@pytest.mark.parametrize("kind", VITS)
def test_tokens_become_a_grid_without_those_in_front_however_many(kind, pictures):
    net, images, targets = VITS[kind](), *pictures
    name, layer = last_conv(net, images[:1])
    assert name == ("encoder.layers.encoder_layer_2.ln_1" if kind == "torchvision" else "blocks.2.norm1")
    kept = []
    with layer.register_forward_hook(lambda module, inputs, output: kept.append(output)):
        scores = net(images).gather(1, targets[:, None])
    (g,) = torch.autograd.grad(scores.sum(), kept)
    A, g = (some[:, PREFIX[kind] :].reshape(3, 4, 4, 16) for some in (kept[0].detach(), g))
    expected = (g.mean((1, 2), keepdim=True) * A).sum(3)
    assert close(attribute("gradcam", net, images, targets, relu=False, resolution="native"), expected)
    assert attribute("scorecam", net, images, targets, max_units=4, resolution="native").shape == (3, 4, 4)


def test_registers_outnumber_the_patches_of_a_tiny_picture_and_are_left_out_still():
    net = timm_vit(reg_tokens=4, dynamic_img_size=True)
    images = torch.randn(1, 3, 16, 16)
    assert attribute("gradcam", net, images, [0], resolution="native").shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("name", "layer", "side"),
    [
        ("deit_tiny_distilled_patch16_224", "blocks.11.norm1", 224),
        ("swin_tiny_patch4_window7_224", "norm", 224),
        ("convnext_atto", "stages.3.blocks.1", 64),
        ("mixer_s32_224", "norm", 224),
    ],
)
def test_the_layer_of_timms_families_is_found_and_explained(name, layer, side):
    net, images = decided(timm.create_model(name, num_classes=5)), torch.randn(1, 3, side, side)
    assert last_conv(net, images)[0] == layer
    maps = attribute("gradcam", net, images, [1], relu=False)
    assert maps.shape == (1, side, side)
    assert maps.std() > 0


@pytest.mark.slow
def test_maxvit_is_explained():
    net, images = decided(models.maxvit_t(weights=None, num_classes=5)), torch.randn(1, 3, 224, 224)
    assert attribute("gradcam", net, images, [1], relu=False, resolution="native").shape == (1, 7, 7)


def test_channels_last_are_told_by_the_shape_of_the_pictures():
    assert as_grid(torch.zeros(2, 6, 4, 4), (64, 64)).shape == (2, 6, 4, 4)
    assert as_grid(torch.zeros(2, 4, 4, 6), (64, 64)).shape == (2, 6, 4, 4)
    assert as_grid(torch.zeros(2, 5, 8, 8), (80, 128)).shape == (2, 8, 5, 8)  # 5 x 8 places, 8 channels
    assert as_grid(torch.zeros(2, 1, 1, 6), (32, 32)).shape == (2, 6, 1, 1)
    rows = torch.arange(13.0).view(1, 13, 1)  # 3 x 4 patches after a class token
    assert as_grid(rows, (48, 64), (3, 4))[0, 0].tolist() == torch.arange(1.0, 13).view(3, 4).tolist()


def test_a_layer_after_the_last_attention_is_refused_since_no_patch_decides_there(pictures):
    with pytest.raises(ValueError, match="by its class token alone; pass layer= with one before the last attention"):
        attribute("gradcam", torch_vit(), *pictures, "encoder.layers.encoder_layer_2")


def test_without_patches_or_a_grid_there_is_no_place_and_no_advice_to_turn_a_knob_that_may_not_exist():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2))
    (why,) = check.of_network(Classifier("dense", net, torch.arange(2)), at=8, grid=True)
    assert "no tokens that make a grid" in why
    assert "Where layer= can be chosen" in why
    assert not [
        *check.of_network(Classifier("dense", net, torch.arange(2)), at=8, explains=["saliency", "lrp", "lime"])
    ]


def test_a_transformer_is_asked_what_it_can():
    vit = Classifier("vit", torch_vit(), torch.arange(2))
    able = [m for m in OURS if m not in ("lrp", "scorecam", "lime")]  # these two ask hundreds of times
    assert not [*check.of_network(vit, at=32, grid=True, halves=True, explains=able)]
    (why,) = check.of_network(vit, at=32, explains=["lrp"])
    assert "ScaledDotProduct" in why
    (why,) = check.of_network(vit, at=48, grid=True)
    assert "Wrong image height! Expected 32 but got 48!" in why


# Attention --------------------------------------------------------------------------------------------------------


def slowly(net, images, targets, monkeypatch):
    """A (h, T, T) of every block and d score / d A, one picture at a time, where the fused kernel stood."""
    found = []

    def explicit(q, k, v, *_, **__):
        A = torch.softmax(q @ k.transpose(-2, -1) / np.sqrt(q.shape[-1]), -1)
        A.retain_grad()
        found[-1].append(A)
        return A @ v

    with monkeypatch.context() as patched:
        patched.setattr(F, "scaled_dot_product_attention", explicit)
        for image, target in zip(images, targets, strict=True):
            found.append([])
            net(image[None])[0, target].backward()
    return [[(A.detach()[0].numpy(), A.grad[0].numpy()) for A in blocks] for blocks in found]


def readers(kind, T):
    """The tokens that the head reads."""
    first = PREFIX[kind]
    return range(first, T) if kind.startswith("pooled") else range(2 if kind == "distilled" else 1)


@pytest.mark.parametrize("kind", VITS)
def test_rollout_and_its_gradients_are_those_of_a_slow_way(kind, pictures, monkeypatch):
    net, images = doubled(VITS[kind](), pictures[0])
    rolled, weighted = [], []
    for blocks in slowly(net, images, pictures[1], monkeypatch):
        T = blocks[0][0].shape[-1]
        R, S = np.eye(T), np.eye(T)
        for A, dA in blocks:
            mixed = np.array([[A[:, i, j].mean() + (i == j) for j in range(T)] for i in range(T)])
            R = mixed / mixed.sum(1, keepdims=True) @ R
            S = S + np.maximum(A * dA, 0).mean(0) @ S
        for maps, rows in ((rolled, R), (weighted, S)):
            row = rows[[*readers(kind, T)]].mean(0)
            maps.append(row[PREFIX[kind] :].reshape(4, 4))
    for name, expected in (("rollout", rolled), ("grad_rollout", weighted)):
        found = attribute(name, net, images, pictures[1], resolution="native")
        assert close(found, torch.as_tensor(np.array(expected)), DOUBLE)
        assert attribute(name, net, images, pictures[1]).shape == (3, 32, 32)


def test_rollout_is_the_same_for_every_class_and_grad_rollout_is_not(pictures):
    net, images = torch_vit(), pictures[0][:1].expand(2, -1, -1, -1)
    for name, same in (("rollout", True), ("grad_rollout", False)):
        a, b = attribute(name, net, images, [0, 1])
        assert close(a, b) == same


def test_of_a_head_of_zeros_no_token_is_read_and_the_maps_are_zeros(pictures):
    net = torch_vit()
    nn.init.zeros_(net.heads.head.weight)
    for name in ("gradcam", "rollout", "grad_rollout", "layercam"):
        assert not attribute(name, net, *pictures).any()


def crossed():
    """Attention that is given its tokens the other way round: (T, N, K), batch second."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.attn, self.fc = nn.Conv2d(3, 8, 8, 8), nn.MultiheadAttention(8, 2), nn.Linear(8, 3)

        def forward(self, x):
            x = self.conv(x).flatten(2).permute(2, 0, 1)
            return self.fc(self.attn(x, x, x)[0].mean(0))

    return Net()


@pytest.mark.parametrize(
    ("build", "side", "why"),
    [
        (lambda: models.resnet18(weights=None), 32, "no attention that we can read"),
        (lambda: models.swin_t(weights=None), 32, "only within windows"),
        (lambda: timm.create_model("swin_tiny_patch4_window7_224"), 224, "only within windows"),
        (lambda: timm.create_model("xcit_nano_12_p16_224"), 224, "XCA computes more than the softmax"),
        (lambda: timm.create_model("beit_base_patch16_224", depth=2, init_values=1.0), 224, "Attention computes more"),
        (crossed, 32, "only within windows or between some"),
    ],
    ids=["resnet", "swin", "timm's swin", "xcit", "beit", "batch second"],
)
@pytest.mark.parametrize("name", ["rollout", "grad_rollout"])
def test_other_networks_are_refused_by_rollout_before_any_work(name, build, side, why):
    torch.manual_seed(0)
    net = decided(build())
    with pytest.raises(ValueError, match=f"rollout is for plain vision transformers .*{why}.*Take another method"):
        attribute(name, net, torch.randn(1, 3, side, side), [0])


# Pictures of any size ---------------------------------------------------------------------------------------------


def test_a_transformer_of_any_size_is_torchvisions_own_at_its_size_and_resizes_positions_as_timm_does():
    net, images = torch_vit(), torch.randn(2, 3, 32, 32)
    own = net(images)
    assert any_size(net) is net
    assert torch.equal(net(images), own)
    assert net.positions(4, 4) is net.encoder.pos_embedding
    for u, v in ((8, 8), (2, 5), (4, 6)):
        theirs = resample_abs_pos_embed(net.encoder.pos_embedding, (u, v), (4, 4), num_prefix_tokens=1)
        assert torch.allclose(net.positions(u, v), theirs, atol=1e-6)
    images = torch.randn(1, 3, 48, 64)
    assert patch_grid(trace(net, images)) == (6, 8)
    for name in ("gradcam", "rollout", "grad_rollout"):
        assert attribute(name, net, images, [1], resolution="native").shape == (1, 6, 8)
    with pytest.raises(ValueError, match=r"sides \(48, 60\); patches need multiples of 8"):
        attribute("gradcam", net, images[..., :60], [1])


@pytest.mark.parametrize("name", ["vit_b_32", "timm:vit_tiny_patch16_224", "timm:swin_tiny_patch4_window7_224"])
def test_the_course_builds_transformers_that_take_tiles_and_mosaics(name):
    net = decided(build(name, 3))
    for side in (64, 128):
        assert not [*check.of_network(Classifier(name, net, torch.arange(3)), at=side, grid=True, halves=True)]


# Other families, whole ----------------------------------------------------------------------------------------------

# those that run the network once for each of many units or samples need only a few for what is asked here
FEW = {"scorecam": {"max_units": 2}, "lime": {"samples": 4, "segments": 4}, "integrated_gradients": {"steps": 2}}
FEW |= {"smoothgrad": {"samples": 2}}
APART = {"efficientnet_b0": {"lrp"}, "densenet121": {"lrp"}, "resnet18": set()}  # what has no rules for it


@pytest.mark.parametrize("name", APART)
def test_every_method_that_applies_explains_it_and_the_others_say_why(name):
    outputs = 1 if name == "resnet18" else 4
    net, images = calibrated(getattr(models, name)(weights=None, num_classes=outputs)), torch.randn(2, 3, 64, 64)
    for method in OURS:
        asked = lambda m=method: attribute(m, net, images, [0, 1], **FEW.get(m, {}))  # noqa: E731
        if method in APART[name] | {"rollout", "grad_rollout"}:
            with pytest.raises(ValueError, match="For this model take another method|Take another method"):
                asked()
        else:
            maps = asked()
            assert maps.shape == (2, 64, 64)
            assert maps.isfinite().all()


def test_an_auxiliary_head_is_no_layer_of_the_network_explained():
    net = models.googlenet(weights=None, num_classes=4, aux_logits=True, init_weights=False)
    images = torch.randn(1, 3, 64, 64)
    assert last_conv(net, images)[0] == "inception5b"
    with pytest.raises(ValueError, match="no influence on the model's output"):
        attribute("gradcam", net, images, [0], "aux1.conv")
    maps = attribute("lrp", net, images, [0])
    net.aux1 = net.aux2 = None
    assert torch.equal(attribute("lrp", net, images, [0]), maps)


# The whole of a notebook --------------------------------------------------------------------------------------------


def test_00_goes_on_with_what_needs_no_layer_where_none_can_be_looked_at(tmp_path, monkeypatch):
    torch.jit.trace(build("compact_resnet", 10).eval(), torch.zeros(1, 3, 48, 48)).save(tmp_path / "net.pt")
    small = in_small("00_start_here", tmp_path, monkeypatch, 160, {"tile": 48})
    results = small(model=f"torchscript:{tmp_path / 'net.pt'}", weights="own")
    left_out = [note.split(" is left out")[0] for note in results["notes"] if " is left out" in note]
    assert left_out == ["Grad-CAM and its kind", "LRP"]
    assert "its 4 heatmaps' pixels correlate at" in results["answer"]  # saliency, SmoothGrad, IG and LIME see no layer


@pytest.mark.parametrize(("name", "size"), [("03_ria", 64), ("04_advise", [64])])
def test_notebooks_that_look_into_the_layer_themselves_refuse_tokens_before_they_train(
    name, size, tmp_path, monkeypatch
):
    small = in_small(name, tmp_path, monkeypatch, 160, {})
    with pytest.raises(CourseError, match=r"vit_tiny_patch16_224 gives \(1, 17, 192\) where Grad-CAM looks"):
        small(model=["timm:vit_tiny_patch16_224"], size=size)
    assert not (tmp_path / "home" / "models").exists()


TINY = {"mosaics_per_class": [1], "layout_mosaics": 10, "cascade_steps": 2, "random_draws": 2, "tile": 32}


def two_folders(home):
    """Two classes of five pictures, a folder each."""
    for k, name in enumerate(("cat", "dog")):
        (home / "pets" / name).mkdir(parents=True)
        for i in range(5):
            Image.effect_noise((48, 48), 20 + 90 * k + i).convert("RGB").save(home / "pets" / name / f"{i}.png")
    return home / "pets"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outputs", "methods", "left_out"),
    [
        ("timm:vit_tiny_patch16_224", 10, ["rollout", "grad_rollout", "lrp"], ["lrp"]),
        ("efficientnet_b0", 10, ["gradcam", "rollout"], ["rollout"]),
        ("resnet18", 1, ["lrp", "saliency"], []),
    ],
)
def test_01_runs_on_it_with_weights_from_a_file(name, outputs, methods, left_out, tmp_path, monkeypatch):
    net = decided(build(name, outputs))
    net = net if "vit" in name else calibrated(net)
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    given = {"model": [name], "weights": [str(tmp_path / "weights.pth")], "methods": methods}
    given |= {"dataset": [str(two_folders(tmp_path))]} if outputs == 1 else {}
    results = in_small("01_focus", tmp_path, monkeypatch, 200, TINY)(**given)
    assert {f"focus_median.{m}" for m in methods if m not in left_out} <= {*results["metrics"]}
    said = [note for note in results["notes"] if note.startswith("left out:")]
    assert [note.split("explained by ")[1].split()[0] for note in said] == left_out
