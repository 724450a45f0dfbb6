"""helpers/networks: weights come from files that cannot run code, and misfits are told apart."""

import pickle
import sys

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from helpers import networks, pictures
from helpers.errors import CourseError
from helpers.networks.compact import COMPACT
from helpers.networks.layers import last_conv


@pytest.fixture
def photos(album):
    return pictures.load(album)  # two classes, no classes.csv


@pytest.fixture
def weights(tmp_path):
    """Two-output weights of the smallest network, as a .pth file."""
    torch.manual_seed(0)
    torch.save(networks.build("compact_vgg", 2).state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.parametrize("name", COMPACT)
def test_a_compact_network_has_under_a_million_parameters_and_takes_any_size(name):
    net = networks.build(name, 10).eval()
    assert sum(p.numel() for p in net.parameters()) < 1e6
    assert net(torch.zeros(1, 3, 112, 112)).shape == net(torch.zeros(1, 3, 224, 224)).shape == (1, 10)


def test_compact_xceptions_last_grid_is_the_relu_of_its_last_pointwise_convolution():
    net = networks.build("compact_xception", 10).eval()
    name, relu = last_conv(net, size=112)
    assert isinstance(relu, torch.nn.ReLU)
    assert (name, net.conv4[-1].kernel_size, net.conv4[0].groups) == ("act4", (1, 1), 128)
    grids = []
    relu.register_forward_hook(lambda module, inputs, output: grids.append(output))
    net(torch.randn(1, 3, 112, 112))
    assert grids[0].shape == (1, 160, 7, 7)
    assert torch.equal(grids[0].mean((2, 3)), net.avgpool(grids[0]).flatten(1))


def test_every_torchvision_classifier_is_known():
    assert {"resnet18", "vit_b_16", "squeezenet1_0", "inception_v3"} <= set(networks.names())


def test_an_unknown_model_is_told_its_neighbours():
    with pytest.raises(CourseError, match="Did you mean `resnet18`"):
        networks.build("resnet_18", 10)


def same(a, b):
    return all(torch.equal(v, b[k]) for k, v in a.items())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:legacy_xceptoin", "not one of timm's. Did you mean `timm:legacy_xception`"),
        ("legacy_xception", r"not one of ours or torchvision's \(timm's are `timm:NAME`\)"),
        ("timm:", "not one of timm's"),
        ("timm:deit_tiny_distilled_patch16_224", r"has 2 of them \(head, head_dist\); expected one dense layer"),
    ],
)
@pytest.mark.parametrize("asked", ["name", "head", "network", "file", "imagenet"])
def test_a_name_that_is_no_classifier_of_timm_is_told(name, said, asked, photos, weights):
    with pytest.raises(CourseError, match=said):
        {
            "name": lambda: networks.check_name(name),
            "head": lambda: networks.head_of(name),
            "network": lambda: networks.build(name, 2),
            "file": lambda: networks.load(name, str(weights), photos),
            "imagenet": lambda: networks.load(name, "imagenet", photos),
        }[asked]()


def test_without_timm_the_way_to_it_is_told_and_all_else_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CourseError, match=r"`timm:legacy_xception` is built by timm.*pip install -e \.\[timm\]"):
        networks.check_name("timm:legacy_xception")
    for name in ("compact_vgg", "squeezenet1_1"):
        networks.build(name, 2)


TIMM = ["timm:legacy_xception", "timm:resnet18.a1_in1k", "timm:vit_tiny_patch16_224", "timm:convnext_atto"]


@pytest.mark.parametrize("name", TIMM)
def test_the_head_of_a_network_of_timm_is_the_layer_it_calls_its_classifier(name):
    net = networks.build(name, 3)
    assert net.state_dict()[networks.head_of(name)].data_ptr() == net.get_classifier().weight.data_ptr()
    assert len(net.get_classifier().weight) == 3


@pytest.fixture(scope="module")
def xception():
    torch.manual_seed(0)
    return networks.build("timm:legacy_xception", 2).eval()


def test_a_network_of_timm_loads_from_a_file_and_sees_pictures_as_timm_does(xception, photos, tmp_path):
    torch.save({"model": {f"module.{k}": v for k, v in xception.state_dict().items()}}, tmp_path / "x.pth")
    found = networks.load("timm:legacy_xception", str(tmp_path / "x.pth"), photos)
    assert same(found.net.state_dict(), xception.state_dict())
    assert found.normalise == "half"
    read = pictures.reader(photos, 75, "cover")
    x = found.prepared(read([0, 4]))
    with torch.no_grad():
        assert torch.allclose(found.net(x), xception(x), atol=1e-4)  # another memory layout sums in another order
        features = networks.embedding(found)(x)
        assert features.shape == (2, 2048)
        assert torch.allclose(found.net.fc(features), found.net(x), atol=1e-4)


def test_the_file_and_the_reader_may_say_another_normalisation(xception, photos, tmp_path):
    save_file(xception.state_dict(), tmp_path / "x.safetensors", metadata={"normalise": "imagenet"})
    file = str(tmp_path / "x.safetensors")
    assert networks.load("timm:legacy_xception", file, photos).normalise == "imagenet"
    assert networks.load("timm:legacy_xception", file, photos, "half").normalise == "half"


def test_weights_of_another_network_of_timm_are_told(xception, photos, tmp_path):
    torch.save(xception.state_dict(), tmp_path / "x.pth")
    with pytest.raises(CourseError, match="not of `timm:resnet18`: missing `conv1.weight`|`conv1.weight` has shape"):
        networks.load("timm:resnet18", str(tmp_path / "x.pth"), photos)
    with pytest.raises(CourseError, match="missing `cls_token`, `pos_embed`, `patch_embed.proj.weight` and 147 more"):
        networks.load("timm:vit_tiny_patch16_224", str(tmp_path / "x.pth"), photos)


def test_timms_own_colours_are_taken_unless_the_reader_says_others(tmp_path, photos):
    for name, own in (
        ("timm:mobilevitv2_050", "unit"),
        ("timm:vit_base_patch16_clip_224", "0.48145466,0.4578275,0.40821073"),
    ):
        assert networks.usual_normalise(name).startswith(own)
    torch.save(networks.build("timm:mobilevitv2_050", 2).state_dict(), tmp_path / "w.pth")
    for given, expected in (("auto", "unit"), ("half", "half")):
        assert networks.load("timm:mobilevitv2_050", str(tmp_path / "w.pth"), photos, given).normalise == expected


def test_timms_own_colours_that_have_no_name_are_those_of_its_transform():
    name = "timm:vit_base_patch16_clip_224"
    cfg = timm.get_pretrained_cfg(name.removeprefix("timm:"))
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    found = networks.normalised(white, networks.usual_normalise(name))[0, :, 0, 0]
    assert torch.allclose(found, (1 - torch.tensor(cfg.mean)) / torch.tensor(cfg.std), atol=1e-4)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No internet, and nothing fetched before; where a fetched file would lie."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:legacy_xception", "fetch http.*xception-43020ad28.pth and place it at .*hub/checkpoints/xception-43020"),
        ("timm:regnety_002", "fetch model.safetensors of timm/regnety_002.* and give its path: -p weights=PATH"),
        ("timm:vit_tiny_patch16_224.augreg_in21k", "with 1000 outputs. Take `timm:vit_tiny_patch16_224.augreg_in21k_f"),
        ("timm:seresnet18", "timm has none of `timm:seresnet18` with 1000 outputs. Give -p weights=PATH"),
    ],
)
def test_imagenet_weights_of_timm_that_cannot_be_had_say_the_way_out(name, said, photos, offline):
    with pytest.raises(CourseError, match=said):
        networks.load(name, "imagenet", photos)


def test_a_placed_file_of_timms_weights_is_used(offline):
    offline.mkdir(parents=True)
    torch.save(state := networks.build("timm:legacy_xception", 1000).state_dict(), offline / "xception-43020ad28.pth")
    found = networks.load("timm:legacy_xception", "imagenet", None)
    assert same(found.net.state_dict(), state)
    assert (found.normalise, len(found.outputs)) == ("half", 1000)


# heads of other shapes


@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_a_network_with_auxiliary_heads_sees_pictures_as_torchvision_does_and_keeps_one_head(name, tmp_path, photos):
    torch.manual_seed(0)
    build = getattr(torchvision.models, name)
    theirs = build(weights=None, num_classes=2, aux_logits=True, transform_input=True, init_weights=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    images = photos.images([0, 4], 96)
    with torch.no_grad():
        expected = theirs(networks.normalised(images, "imagenet"))
    for normalise in ("auto", "imagenet"):
        found = networks.load(name, str(tmp_path / "w.pth"), photos, normalise)
        with torch.no_grad():
            assert torch.allclose(found.net(found.prepared(images)), expected, atol=1e-5)
        assert not [layer for layer, _ in found.net.named_modules() if layer.lower().startswith("aux")]
    without = {key: value for key, value in theirs.state_dict().items() if not key.lower().startswith("aux")}
    save_file(without, tmp_path / "w.safetensors", metadata={"normalise": "imagenet"})  # as `train` saves them
    assert not networks.load(name, str(tmp_path / "w.safetensors"), photos).net.transform_input


def with_head(*layers):
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=2)
    net.fc = torch.nn.Sequential(*layers)
    return net.eval()


def test_a_head_of_several_layers_is_built_as_its_file_has_it(tmp_path, photos):
    mine = with_head(torch.nn.Dropout(), torch.nn.Linear(512, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2, bias=False))
    torch.save(mine.state_dict(), tmp_path / "w.pth")
    found = networks.load("resnet18", str(tmp_path / "w.pth"), photos)
    x = found.prepared(photos.images([0, 4], 64))
    with torch.no_grad():
        assert torch.allclose(found.net(x), mine(x), atol=1e-5)
        assert networks.embedding(found)(x).shape == (2, 16)
    assert "2 dense layers taken to have a ReLU between them" in found.source
    assert networks.output_names(found, photos) == ["cat", "dog"]


@pytest.mark.parametrize("place", ["classifier", "classifier.1"])
def test_a_head_that_has_taken_the_place_of_a_whole_classifier_is_found(place, tmp_path, photos):
    torch.manual_seed(0)
    mine = torchvision.models.mobilenet_v2(num_classes=2).eval()
    layers = torch.nn.Dropout(), torch.nn.Linear(1280, 16), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(16, 2)
    mine.set_submodule(place, torch.nn.Sequential(*layers))
    torch.save(mine.eval().state_dict(), tmp_path / "w.pth")
    found = networks.load("mobilenet_v2", str(tmp_path / "w.pth"), photos)
    x = found.prepared(photos.images([0, 4], 64))
    with torch.no_grad():
        assert torch.allclose(found.net(x), mine(x), atol=1e-5)


def test_a_dense_layer_behind_a_dropout_is_taken_as_it_is(tmp_path, photos):
    torch.save(with_head(torch.nn.Dropout(), torch.nn.Linear(512, 2)).state_dict(), tmp_path / "w.pth")
    found = networks.load("resnet18", str(tmp_path / "w.pth"), photos)
    assert "ReLU" not in found.source
    assert [type(layer).__name__ for layer in found.net.fc] == ["Identity", "Linear"]


def test_a_head_that_cannot_be_told_says_what_was_found_and_how_to_go_on(tmp_path, photos):
    mine = with_head(torch.nn.Linear(512, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    torch.save(mine.state_dict(), tmp_path / "w.pth")
    with pytest.raises(CourseError, match="not expected `fc.1.weight`, `fc.1.bias`"):
        networks.load("resnet18", str(tmp_path / "w.pth"), photos)
    torch.save({k.replace("fc.", "head.dense"): v for k, v in mine.state_dict().items()}, tmp_path / "w.pth")
    with pytest.raises(
        CourseError, match=r"`fc.weight`.*head.dense3.weight \[2, 16\]. A Sequential may .*`fc.1.weight`"
    ):
        networks.load("resnet18", str(tmp_path / "w.pth"), photos)


# the names of outputs


def named(name, outputs, photos, places=None):
    places = torch.arange(outputs) if places is None else torch.tensor(places)
    return networks.output_names(networks.Classifier(name, networks.build(name, outputs), places), photos)


def test_outputs_have_the_names_of_the_classes_that_stand_for_them(photos):
    assert named("compact_vgg", 2, photos) == ["cat", "dog"]
    assert named("compact_vgg", 4, photos, [3, 0]) == ["dog", "output 1", "output 2", "cat"]
    assert named("compact_vgg", 1, photos, [0, 1]) == ["cat", "dog"]  # one unit is asked as two outputs


def test_a_thousand_outputs_are_imagenets_but_for_those_that_have_a_class(photos):
    names = named("squeezenet1_1", 1000, None)
    assert (len(names), names[0], names[207]) == (1000, "tench", "golden retriever")
    mixed = named("squeezenet1_1", 1000, photos, [281, 207])
    assert (mixed[281], mixed[207]) == ("cat", "dog")
    assert [n for i, n in enumerate(mixed) if i not in (281, 207)] == [
        n for i, n in enumerate(names) if i not in (281, 207)
    ]


def test_outputs_nobody_named_have_their_numbers(photos, album):
    assert named("compact_vgg", 3, None) == ["output 0", "output 1", "output 2"]
    assert named("compact_vgg", 1, None) == ["output 0", "output 1"]
    assert named("compact_vgg", 3, photos) == ["output 0", "output 1", "output 2"]  # two classes of another network
    assert named("compact_vgg", 1, pictures.load(album / "cat" / "0.png")) == [
        "output 0",
        "output 1",
    ]  # `all`: none
    assert named("timm:resnet10t", 2, None) == ["output 0", "output 1"]


@pytest.mark.parametrize("kind", ["pth", "safetensors", "fp16", "module", "wrapped"])
def test_weights_load_however_they_were_saved(kind, weights, photos, tmp_path):
    state = torch.load(weights, weights_only=True)
    path, expected = tmp_path / "other.pth", state
    if kind == "safetensors":
        path = tmp_path / "other.safetensors"
        save_file(state, path)
    elif kind == "fp16":
        halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        torch.save(halves, path)
        expected = {k: v.float() if v.is_floating_point() else v for k, v in halves.items()}
    elif kind == "module":
        torch.save({f"module.{k}": v for k, v in state.items()}, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if kind == "wrapped" else state, path)
    net = networks.load("compact_vgg", str(path), photos).net
    assert same(net.state_dict(), expected)
    assert not net.training


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, photos):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"fc.weight": Evil()}))
    with pytest.raises(CourseError, match="without running code"):
        networks.load("compact_vgg", str(tmp_path / "evil.pth"), photos)
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_model_is_refused(tmp_path, photos):
    torch.save(networks.build("compact_vgg", 2), tmp_path / "model.pth")
    with pytest.raises(CourseError, match="state_dict"):
        networks.load("compact_vgg", str(tmp_path / "model.pth"), photos)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04]."])
def test_a_file_that_is_no_state_dict_is_named(tmp_path, photos, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CourseError, match=r"w\.pth"):
        networks.load("compact_vgg", str(tmp_path / "w.pth"), photos)


def test_missing_weights_say_what_is_expected(photos):
    with pytest.raises(CourseError, match="no such file. Expected `train`, `imagenet` or a path"):
        networks.load("compact_vgg", "nowhere.pth", photos)


def test_weights_of_another_architecture_are_told(weights, photos):
    with pytest.raises(CourseError, match="not of `compact_resnet`: missing `conv1.weight`"):
        networks.load("compact_resnet", str(weights), photos)


def test_weights_with_another_width_are_told_both_shapes(weights, photos, tmp_path):
    state = torch.load(weights, weights_only=True)
    state["features.0.weight"] = torch.zeros(8, 3, 3, 3)
    torch.save(state, tmp_path / "w2.pth")
    with pytest.raises(CourseError, match=r"`features.0.weight` has shape \[8, 3, 3, 3\], expected \[16, 3, 3, 3\]"):
        networks.load("compact_vgg", str(tmp_path / "w2.pth"), photos)


def test_too_many_outputs_ask_for_classes_csv(photos, album, tmp_path):
    torch.save(networks.build("compact_vgg", 5).state_dict(), tmp_path / "w5.pth")
    with pytest.raises(CourseError, match="5 outputs.*2 classes.*classes.csv"):
        networks.load("compact_vgg", str(tmp_path / "w5.pth"), photos)
    (album / "classes.csv").write_text("folder,index,name\ncat,4,cat\ndog,0,dog\n")
    assert networks.load("compact_vgg", str(tmp_path / "w5.pth"), pictures.load(album)).outputs.tolist() == [4, 0]


def test_a_class_beyond_the_outputs_is_told(weights, album):
    (album / "classes.csv").write_text("folder,index,name\ncat,0,cat\ndog,9,dog\n")
    with pytest.raises(CourseError, match="2 outputs"):
        networks.load("compact_vgg", str(weights), pictures.load(album))


def test_imagenet_weights_offline_say_where_to_place_the_file(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    with pytest.raises(CourseError, match="place it at") as caught:
        networks.load("resnet18", "imagenet", photos)
    assert str(tmp_path) in str(caught.value)


def test_a_placed_imagenet_file_is_used(monkeypatch, tmp_path, album):
    from torchvision.models import get_model_weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = get_model_weights("squeezenet1_1").IMAGENET1K_V1.url
    place = tmp_path / "hub" / "checkpoints" / url.rsplit("/", 1)[1]
    place.parent.mkdir(parents=True)
    torch.save(networks.build("squeezenet1_1", 1000).state_dict(), place)
    (album / "classes.csv").write_text("folder,index,name\ncat,281,cat\ndog,207,dog\n")
    assert networks.load("squeezenet1_1", "imagenet", pictures.load(album)).normalise == "imagenet"


def test_normalised_pictures_have_the_statistics_asked_for():
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert torch.allclose(networks.normalised(images, "half"), torch.ones(1, 3, 2, 2))
    found = networks.normalised(images, "imagenet")[0, :, 0, 0]
    assert torch.allclose(found, torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_accuracy_and_loss_are_those_of_a_hand_count(photos):
    class Says(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.tensor([0.0, 1.0]))  # always dog

        def forward(self, x):
            return self.bias.expand(len(x), 2)

    says = networks.Classifier("says", Says(), photos.outputs)
    accuracy, loss = networks.evaluate(says, photos, pictures.reader(photos, 16, "cover"), batch=4)
    dog, cat = torch.log_softmax(torch.tensor([1.0, 0.0]), 0)
    assert accuracy == 0.5
    assert loss == pytest.approx(-(dog + cat).item() / 2)


class Brightness(torch.nn.Module):
    """One unit: how much brighter than half grey a picture is."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, x):
        return self.slope * x.mean((1, 2, 3))[:, None]


@pytest.fixture
def unit(photos):
    return networks.Classifier("unit", Brightness(), photos.outputs)


def test_one_unit_is_asked_as_zero_against_its_logit(unit, photos):
    read = pictures.reader(photos, 16, "cover")
    found = networks.logits(unit, photos, read, batch=4)  # 6 pictures: the last batch is not full
    assert found.shape == (6, 2)
    assert not found[:, 0].any()
    assert torch.allclose(found[:, 1], unit.net(unit.prepared(read(range(6))))[:, 0])
    assert not found.requires_grad


def test_the_softmax_of_one_unit_is_its_sigmoid(unit, photos):
    read = pictures.reader(photos, 16, "cover")
    logit = unit.net(unit.prepared(read(range(6))))[:, 0].detach()
    _, loss = networks.evaluate(unit, photos, read)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logit, photos.labels.float())
    assert loss == pytest.approx(wanted.item())


def test_one_unit_predicts_its_class_where_its_logit_is_positive(unit, tmp_path, data_home):
    from PIL import Image

    for name, grey in (("a", 200), ("b", 20), ("c", 129)):
        (tmp_path / "greys" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (grey,) * 3).save(tmp_path / "greys" / name / "0.png")
    greys = pictures.load(tmp_path / "greys")
    assert networks.predictions(unit, greys, pictures.reader(greys, 8, "cover")).tolist() == [1, 0, 1]


def test_logits_of_several_outputs_are_the_networks_own(weights, photos):
    classifier, read = networks.load("compact_vgg", str(weights), photos), pictures.reader(photos, 32, "cover")
    with torch.no_grad():
        own = classifier.net(classifier.prepared(read(range(6))))
    found = networks.logits(classifier, photos, read, batch=4)
    assert torch.allclose(found, own, atol=1e-5)  # batches of other sizes sum in another order
    assert torch.equal(networks.predictions(classifier, photos, read), own.argmax(1))


def test_one_output_fits_two_classes(photos, tmp_path):
    torch.save(networks.build("compact_vgg", 1).state_dict(), tmp_path / "w1.pth")
    classifier = networks.load("compact_vgg", str(tmp_path / "w1.pth"), photos)
    assert networks.logits(classifier, photos, pictures.reader(photos, 32, "cover")).shape == (6, 2)


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_without_pictures_every_output_is_a_class(outputs, tmp_path):
    state = networks.build("compact_vgg", outputs).state_dict()
    torch.save(state, tmp_path / "w.pth")
    classifier = networks.load("compact_vgg", str(tmp_path / "w.pth"), None)
    assert classifier.outputs.tolist() == list(range(outputs))
    assert same(classifier.net.state_dict(), state)


@pytest.mark.parametrize(
    ("name", "head", "d"),
    [("compact_alexnet", "classifier.3", 192), ("compact_vgg", "classifier.3", 128), ("compact_resnet", "fc", 128)],
)
def test_an_embedding_is_what_the_last_dense_layer_reads(name, head, d):
    classifier = networks.Classifier(name, networks.build(name, 3).eval(), torch.arange(3))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = networks.embedding(classifier)(images)
        assert features.shape == (2, d)
        assert torch.allclose(classifier.net.get_submodule(head)(features), classifier.net(images), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "d"), [("squeezenet1_1", 512), ("mobilenet_v3_small", 1024), ("shufflenet_v2_x0_5", 1024)]
)
def test_a_torchvision_network_has_an_embedding_too(name, d):
    classifier = networks.Classifier(name, networks.build(name, 3).eval(), torch.arange(3))
    assert networks.embedding(classifier)(torch.randn(2, 3, 64, 64)).shape == (2, d)


def test_an_embedding_leaves_its_classifier_as_it_was(weights):
    classifier = networks.load("compact_vgg", str(weights), None)
    before = {k: v.clone() for k, v in classifier.net.state_dict().items()}
    for parameter in networks.embedding(classifier).parameters():
        parameter.data.zero_()
    after = classifier.net.state_dict()
    assert list(after) == list(before)
    assert same(before, after)


@pytest.mark.parametrize(("name", "least"), [("resnet18", 0.6), ("squeezenet1_0", 0.5), ("resnet50", 0.6)])
def test_real_weights_know_real_photos(real_data, data_home, name, least):
    photos = pictures.load(real_data / "imagenette224")
    classifier = networks.load(name, str(real_data / "weights" / f"{name}_imagenet.pth"), photos)
    accuracy, _ = networks.evaluate(classifier, photos, pictures.reader(photos, 224, "cover"))
    assert accuracy > least  # judged among a thousand outputs; 160 photos leave 0.08 to chance around 0.7
