"""helpers/networks/patches.py: the keys are those of the last attention layer, each at its patch's place."""

import argparse
import pickle
import sys

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from helpers import networks
from helpers.errors import CourseError
from helpers.networks import Classifier, patches
from helpers.networks.patches import layer_features, vit_keys

NAME, D, HEADS = "vit_tiny_patch16_224", 192, 3  # as DINO's ViT-S/16, at half the width


def layout(d=D):
    """Random weights by the names and shapes of DINO's dino_deitsmall16_pretrain.pth, at width d."""
    shapes = {"cls_token": (1, 1, d), "pos_embed": (1, 197, d)}
    shapes |= {"patch_embed.proj.weight": (d, 3, 16, 16), "patch_embed.proj.bias": (d,)}
    for n in range(12):
        for norm in ("norm1", "norm2"):
            shapes |= {f"blocks.{n}.{norm}.weight": (d,), f"blocks.{n}.{norm}.bias": (d,)}
        for part, (out, into) in {
            "attn.qkv": (3 * d, d),
            "attn.proj": (d, d),
            "mlp.fc1": (4 * d, d),
            "mlp.fc2": (d, 4 * d),
        }.items():
            shapes |= {f"blocks.{n}.{part}.weight": (out, into), f"blocks.{n}.{part}.bias": (out,)}
    shapes |= {"norm.weight": (d,), "norm.bias": (d,)}
    rng = torch.Generator().manual_seed(0)
    state = {key: 0.05 * torch.randn(shape, generator=rng) for key, shape in shapes.items()}
    return {key: value + ("norm" in key and key.endswith("weight")) for key, value in state.items()}


def keys_by_hand(w, images):
    """The same in plain tensor algebra, for pictures of 224 px: (N, 14, 14, d)."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    patches = F.unfold((images / 255 - mean) / std, 16, stride=16).mT  # (N, 196, 768)
    x = F.linear(patches, w["patch_embed.proj.weight"].flatten(1), w["patch_embed.proj.bias"])
    x = torch.cat([w["cls_token"].expand(len(x), -1, -1), x], 1) + w["pos_embed"]  # (N, 197, d)

    def dense(layer, x):
        return F.linear(x, w[f"{layer}.weight"], w[f"{layer}.bias"])

    def norm(layer, x):
        return F.layer_norm(x, (D,), w[f"{layer}.weight"], w[f"{layer}.bias"], 1e-6)

    for n in range(12):
        b = f"blocks.{n}."
        q, k, v = dense(b + "attn.qkv", norm(b + "norm1", x)).split(D, 2)
        if n == 11:
            return k[:, 1:].unflatten(1, (14, 14))
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (q, k, v))  # (N, heads, 197, 64)
        seen = (q @ k.mT / 64**0.5).softmax(-1) @ v
        x = x + dense(b + "attn.proj", seen.transpose(1, 2).flatten(2))
        x = x + dense(b + "mlp.fc2", F.gelu(dense(b + "mlp.fc1", norm(b + "norm2", x))))


def pictures(n, height, width):
    return torch.randint(256, (n, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "dino.pth"
    torch.save(layout(), file)
    return file


@pytest.fixture(scope="module")
def keys(weights):
    return vit_keys(NAME, str(weights))


# --- keys of a transformer --------------------------------------------------------------------------------------------


def test_keys_are_those_computed_by_hand(keys):
    images = pictures(2, 224, 224)
    with torch.no_grad():
        expected = keys_by_hand(layout(), images)
    assert expected.std() > 0.1
    torch.testing.assert_close(keys(images), expected, rtol=0, atol=1e-4)  # eleven blocks of float32 sums


@pytest.mark.parametrize(("height", "width"), [(32, 48), (48, 16), (224, 240)])
def test_every_patch_has_its_key(keys, height, width):
    found = keys(pictures(2, height, width))
    assert found.shape == (2, height // 16, width // 16, D)
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert not found.requires_grad


def test_a_key_stands_at_the_place_of_its_patch(tmp_path):
    """With every block's output off, a patch is all that its own key hears of."""
    off = ("attn.proj.weight", "mlp.fc2.weight")
    torch.save({k: v * 0 if k.endswith(off) else v for k, v in layout().items()}, tmp_path / "deaf.pth")
    keys, before = vit_keys(NAME, str(tmp_path / "deaf.pth")), pictures(1, 32, 48)
    after = before.clone()
    after[:, :, 16:32, 32:48] = 0  # row 1, column 2
    changed = (keys(before) != keys(after)).any(3)[0]
    assert changed.nonzero().tolist() == [[1, 2]]


def test_the_batch_size_does_not_matter(keys, monkeypatch):
    images = pictures(5, 32, 48)
    whole = keys(images)
    monkeypatch.setattr(patches, "BATCH", 2)
    few = keys(images)
    torch.testing.assert_close(few, whole, rtol=0, atol=1e-5)  # other sums in matrix products of another size
    assert torch.equal(few, torch.cat([keys(images[:2]), keys(images[2:4]), keys(images[4:])]))


def test_dinos_own_transformer_has_384_numbers_a_patch(tmp_path):
    torch.save(layout(384), tmp_path / "dino.pth")
    keys = vit_keys("vit_small_patch16_224.dino", str(tmp_path / "dino.pth"))
    assert keys(pictures(1, 32, 48)).shape == (1, 2, 3, 384)


@pytest.mark.parametrize("kind", ["teacher", "training", "backbone", "classifier", "safetensors"])
def test_weights_load_however_they_were_published(kind, keys, tmp_path):
    state, file = layout(), tmp_path / "w.pth"
    backbone = {f"backbone.{key}": value for key, value in state.items()}
    backbone |= {"head.mlp.0.weight": torch.ones(8, D), "head.last_layer.weight_g": torch.ones(4, 1)}
    student = {f"module.{key}": value + 1 for key, value in backbone.items()}
    if kind == "teacher":
        torch.save({"teacher": {f"module.{key}": value for key, value in backbone.items()}}, file)
    elif kind == "training":
        options = argparse.Namespace(arch="vit_tiny")  # as DINO's main_dino.py saves its own
        torch.save({"student": student, "teacher": backbone, "epoch": 3, "args": options}, file)
    elif kind == "backbone":
        torch.save(backbone, file)
    elif kind == "classifier":
        torch.save({"model": state | {"head.weight": torch.ones(1000, D), "head.bias": torch.ones(1000)}}, file)
    else:
        file = tmp_path / "w.safetensors"
        save_file(state, file)
    images = pictures(1, 32, 48)
    assert torch.equal(vit_keys(NAME, str(file))(images), keys(images))


# --- what does not fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width", "side", "way_out"), [(40, 48, 40, 32), (32, 60, 60, 64), (7, 16, 7, 16)])
def test_a_side_that_is_no_multiple_of_the_patch_is_named(keys, height, width, side, way_out):
    with pytest.raises(CourseError, match=f"side is {side} px; .* its patch, 16 px. Take {way_out}"):
        keys(pictures(1, height, width))


@pytest.mark.parametrize("images", [torch.zeros(1, 3, 32, 32), torch.zeros(3, 32, 32, dtype=torch.uint8)])
def test_what_is_no_batch_of_uint8_pictures_is_refused(keys, images):
    with pytest.raises(ValueError, match="expected uint8"):
        keys(images)


def test_without_timm_the_way_to_it_is_told(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CourseError, match=r"pip install -e \.\[timm\]"):
        vit_keys(NAME, str(weights))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vit_tiny_patch16_24", "Did you mean `vit_tiny_patch16_224`"),
        ("vit_small_patch16_224.dinno", "Did you mean `vit_small_patch16_224.dino`"),
        ("resnet18", r"no `blocks\[-1\].attn.qkv`"),
        ("swin_tiny_patch4_window7_224", r"no `blocks\[-1\].attn.qkv`"),
    ],
)
def test_a_name_that_is_no_plain_transformer_is_told(weights, name, told):
    with pytest.raises(CourseError, match=told):
        vit_keys(name, str(weights))


def test_offline_the_file_to_fetch_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))  # nothing was fetched before
    with pytest.raises(CourseError, match=r"could not be downloaded .*dino_deitsmall16_pretrain\.pth.*weights=PATH"):
        vit_keys("vit_small_patch16_224.dino")


def test_a_download_for_colours_normalised_otherwise_is_refused():
    with pytest.raises(CourseError, match="ImageNet's mean"):
        vit_keys("vit_tiny_patch16_224.augreg_in21k_ft_in1k")


@pytest.mark.parametrize("kind", ["absent", "text", "code", "list", "empty", "other"])
def test_a_file_that_holds_no_such_weights_is_named(kind, tmp_path):
    file = tmp_path / "w.pth"
    if kind == "text":
        file.write_text("no weights")
    elif kind == "code":
        file.write_bytes(pickle.dumps({"teacher": Evil(tmp_path / "ran")}, protocol=2))
    elif kind != "absent":
        torch.save({"list": [1, 2], "empty": {"teacher": {}}, "other": {"fc.weight": torch.ones(2)}}[kind], file)
    with pytest.raises(CourseError, match=f"weights {file}: "):
        vit_keys(NAME, str(file))
    assert not (tmp_path / "ran").exists()


class Evil:
    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return (open, (self.file, "w"))


def test_weights_of_another_width_are_told_by_their_shapes(weights):
    with pytest.raises(CourseError, match=r"not of `vit_small.* has shape \[1, 1, 192\], expected \[1, 1, 384\]"):
        vit_keys("vit_small_patch16_224", str(weights))


# --- a layer of a classifier ------------------------------------------------------------------------------------------


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return Classifier("compact_resnet", networks.build("compact_resnet", 10).eval(), torch.arange(10))


def test_a_layer_gives_its_activations_minus_each_pictures_mean():
    """One convolution of 1 x 1 and a ReLU: by hand."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    classifier, images = Classifier("small", net, torch.arange(2)), pictures(3, 4, 6)
    with torch.no_grad():
        rgb = (images.permute(0, 2, 3, 1) / 255 - 0.5) / 0.5  # (N, u, v, 3)
        expected = (rgb @ net[0].weight.flatten(1).T + net[0].bias).clamp(min=0)
    expected = expected - expected.mean((1, 2), keepdim=True)
    found = layer_features(classifier)(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert not found.requires_grad


def test_a_pictures_features_do_not_depend_on_its_batch(classifier, monkeypatch):
    images = pictures(5, 64, 96)
    found = layer_features(classifier)(images)
    assert found.shape[:3] == (5, found.shape[1], found.shape[1] * 3 // 2)
    assert found.std() > 0
    monkeypatch.setattr(patches, "BATCH", 2)
    torch.testing.assert_close(layer_features(classifier)(images), found, rtol=0, atol=1e-5)


def test_the_network_is_left_as_found(classifier):
    net = classifier.net.train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    layer_features(classifier)(pictures(2, 64, 64))
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_network_without_a_last_convolution_is_told():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 224**2, 2)).eval()
    with pytest.raises(ValueError, match="no convolution-like layer"):
        layer_features(Classifier("flat", net, torch.arange(2)))
