"""helpers/networks/layers.py: a model is held still and given back, and the last convolution-like layer is found."""

import contextlib

import pytest
import torch
from known import DOUBLE, calibrated, close
from torch import nn
from torchvision import models

from helpers.networks.compact import COMPACT
from helpers.networks.layers import class_scores, explaining, folded, hooked, last_conv, named_layer, recording, trace

# Where a person who knows the architecture would look
LAST = {
    "alexnet": "features.11",  # the ReLU after conv 5, not the max-pool
    "vgg16": "features.29",
    "vgg16_bn": "features.42",
    "resnet18": "layer4.1",
    "resnext50_32x4d": "layer4.2",
    "wide_resnet50_2": "layer4.2",
    "squeezenet1_0": "features.12",  # the last Fire, not the convolution whose channels are the classes
    "densenet121": "features.norm5",
    "inception_v3": "Mixed_7c",
    "googlenet": "inception5b",
    "shufflenet_v2_x0_5": "conv5.2",
    "mobilenet_v2": "features.18.2",
    "mobilenet_v3_small": "features.12.2",
    "mnasnet0_5": "layers.16",
    "efficientnet_b0": "features.8.2",
    "efficientnet_v2_s": "features.7.2",
    "regnet_y_400mf": "trunk_output.block4.block4-5.activation",
    "convnext_tiny": "features.7.2",
    "swin_t": "permute",  # channels last inside; this gives (N, K, u, v)
    "vit_b_16": "encoder.layers.encoder_layer_11.ln_1",  # after its attention, patches decide nothing
}


def build(name):
    slow_start = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    return getattr(models, name)(weights=None, **slow_start)


@pytest.mark.parametrize("name", LAST)
def test_last_conv_is_where_a_person_would_look(name):
    model = build(name)
    found, module = last_conv(model)
    assert found == LAST[name]
    assert module is model.get_submodule(found)


@pytest.mark.slow
def test_last_conv_of_maxvit_is_a_grid():
    name, _ = last_conv(build("maxvit_t"))
    assert name == "blocks.3.layers.1.layers.grid_attention.departition_op"


def test_tokens_that_come_from_no_convolution_make_no_grid_and_the_error_names_the_last_layers():
    class Net(nn.Sequential):
        pass

    model = Net(nn.Unfold(2, stride=2), nn.Linear(16, 8), nn.Flatten(), nn.Linear(96, 2))
    with pytest.raises(
        ValueError, match=r"Net has no convolution-like.*no tokens that make a grid.*layer=.*1 \(1, 12, 8"
    ):
        last_conv(model, size=8)


def test_a_dense_network_has_no_last_conv():
    with pytest.raises(ValueError, match="no convolution-like"):
        last_conv(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), size=4)


def test_features_with_as_many_channels_as_classes_are_still_features():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 5))
    assert last_conv(model, size=8)[0] == "1"


def test_a_block_that_adds_in_place_is_told_from_the_layer_it_adds_to():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            out = self.conv(x)
            out += x
            return out

    model = nn.Sequential(Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    assert last_conv(model, size=8)[0] == "0"


def test_last_conv_leaves_training_mode_and_in_place_flags_alone():
    model = build("alexnet").train()
    last_conv(model)
    assert all(m.training for m in model.modules())
    assert model.features[1].inplace


def test_trace_gives_names_shapes_and_bytes_in_finishing_order():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten())
    outputs = trace(model, torch.zeros(1, 3, 6, 6))
    assert [o.name for o in outputs] == ["0", "1", "2", "3", ""]
    assert outputs[0].shape == (1, 4, 4, 4)
    assert outputs[0].bytes == 4 * 4 * 4 * 4
    assert outputs[2].passed_on  # dropout does nothing in eval mode
    assert outputs[0].tensor != outputs[1].tensor == outputs[2].tensor  # the ReLU did not write in place
    assert outputs[3].storage == outputs[1].storage  # flattening is a view


def test_a_layer_is_found_by_name_and_by_module():
    model = build("squeezenet1_0")
    name, module = named_layer(model, "features.3")
    assert named_layer(model, module) == (name, module) == ("features.3", model.features[3])


def test_a_misspelt_layer_gets_its_nearest_names():
    with pytest.raises(ValueError, match=r"'layer4_1'.*Did you mean .*layer4\.1"):
        named_layer(build("resnet18"), "layer4_1")


def test_another_models_layer_is_refused():
    with pytest.raises(ValueError, match="not part of this SqueezeNet"):
        named_layer(build("squeezenet1_0"), nn.ReLU())


def test_one_output_unit_scores_class_1_with_its_logit_and_class_0_with_the_negative():
    scores = class_scores(torch.tensor([[2.0], [2.0]]), torch.tensor([1, 0]))
    assert scores.tolist() == [2.0, -2.0]


def test_explaining_gives_everything_back_even_what_was_replaced_inside():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    model[1].eval()  # a frozen batch norm in a model that trains
    model[0].weight.requires_grad_(False)
    weight, mean, values = model[0].weight, model[1].running_mean, model[0].weight.clone()
    model[1].weight.grad = grad = torch.ones(4)
    with contextlib.suppress(KeyError), explaining(model):
        assert not any(m.training for m in model.modules())
        assert not any(p.requires_grad for p in model.parameters())
        assert not model[2].inplace
        model[0].weight.data = torch.zeros(4, 3, 3, 3)
        model[0].weight = nn.Parameter(torch.ones(4, 3, 3, 3))
        model[0].bias = nn.Parameter(torch.ones(4))
        model[1].running_mean.data = torch.ones(4)
        raise KeyError("the method failed")
    assert model[0].weight is weight
    assert torch.equal(weight, values)
    assert model[0].bias is None
    assert model[1].running_mean is mean
    assert mean.tolist() == [0, 0, 0, 0]
    assert model[1].weight.grad is grad
    assert [m.training for m in model] == [True, False, True]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True]
    assert model[2].inplace


# hooks


@pytest.fixture
def three():
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))


def hooks_on(net):
    return sum(len(module._forward_hooks) for module in net.modules())


def test_a_recording_holds_what_each_module_was_given_and_gave(three):
    x = torch.randn(4, 2)
    with recording(three[0], three[1]) as seen:
        three(x)
    assert seen[three[0]].inputs[0] is x
    assert torch.equal(seen[three[1]].output, seen[three[0]].output.relu())
    assert hooks_on(three) == 0


def test_of_a_module_that_runs_twice_the_last_run_is_recorded_in_its_place(three):
    with recording(*three) as seen:
        three(torch.zeros(1, 2))
        three[0](torch.ones(1, 2))
    assert list(seen) == [three[1], three[2], three[0]]
    assert seen[three[0]].inputs[0].sum() == 2


def test_a_module_that_does_not_run_is_not_in_the_recording(three):
    with recording(three[2]) as seen:
        three[0](torch.zeros(1, 2))
    assert three[2] not in seen


def test_what_a_hook_returns_takes_the_place_of_the_output(three):
    with hooked(three[2], lambda module, inputs, output: 0 * output):
        assert not three(torch.ones(1, 2)).any()
    with hooked([three[2]], lambda module, inputs, output: None):
        assert three(torch.ones(1, 2)).any()


def test_hooks_are_gone_after_an_error(three):
    with pytest.raises(RuntimeError), recording(*three):
        three(torch.zeros(1, 3))
    assert hooks_on(three) == 0


# Folding ----------------------------------------------------------------------------------------------------------


def norms_asked(model, x, keep=None):
    """The logits of a folded model, and how many of its batch norms still had something to do."""
    asked = []
    with explaining(model), folded(model, x[:1], trace(model, x[:1]), keep):
        whole = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and "forward" not in vars(m)]
        with hooked(whole, lambda module, inputs, output: asked.append(module)):
            logits = model(x)
    return logits, len(asked)


@pytest.mark.parametrize("name", COMPACT)
def test_folded_batch_norms_cost_nothing_and_change_no_logit(name):
    model = calibrated(COMPACT[name](7)).double()
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    expected = model(x)
    logits, left = norms_asked(model, x)
    assert close(logits, expected, DOUBLE)
    assert left == 0
    assert torch.equal(model(x), expected)
    assert not any("forward" in vars(m) for m in model.modules())


def test_a_convolution_that_is_looked_at_is_not_folded():
    model = calibrated(COMPACT["compact_resnet"](7))
    x = torch.randn(2, 3, 64, 64)
    last = model.layer4[0].conv2
    with recording(last) as plain:
        model(x)
    with recording(last) as seen:
        assert norms_asked(model, x, keep=last)[1] == 1
    assert close(seen[last].output, plain[last].output)


class Asked(nn.Module):
    """Its convolution's output goes into a batch norm and around it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        return self.fc((self.norm(x) + x).mean((2, 3)))


class Joined(nn.Module):
    """As in a dense block: the batch norm after a convolution is given that of another one, too."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(self.norm(torch.cat([self.one(x), self.two(x)], 1)).mean((2, 3)))


@pytest.mark.parametrize("kind", [Asked, Joined])
def test_a_batch_norm_that_is_not_a_convolutions_alone_is_not_folded(kind):
    model, x = calibrated(kind()), torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = model(x)
    logits, left = norms_asked(model, x)
    assert torch.equal(logits, expected)
    assert left == 1


def test_what_somebody_watches_is_not_folded():
    model, x = calibrated(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(784, 2)), 16), []
    with hooked(model[0], lambda module, inputs, output: x.append(output)):
        assert norms_asked(model, torch.randn(2, 3, 16, 16))[1] == 1
