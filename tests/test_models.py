"""helpers/models.py, compact.py: weights come from files that cannot run code, and misfits are told apart."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from helpers import data, models
from helpers.compact import COMPACT
from helpers.errors import CourseError


@pytest.fixture
def photos(album):
    return data.load(album)  # two classes, no classes.csv


@pytest.fixture
def weights(tmp_path):
    """Two-output weights of the smallest network, as a .pth file."""
    torch.manual_seed(0)
    torch.save(models.build("compact_vgg", 2).state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.parametrize("name", COMPACT)
def test_a_compact_network_has_under_a_million_parameters_and_takes_any_size(name):
    net = models.build(name, 10).eval()
    assert sum(p.numel() for p in net.parameters()) < 1e6
    assert net(torch.zeros(1, 3, 112, 112)).shape == net(torch.zeros(1, 3, 224, 224)).shape == (1, 10)


def test_every_torchvision_classifier_is_known():
    assert {"resnet18", "vit_b_16", "squeezenet1_0", "inception_v3"} <= set(models.names())


def test_an_unknown_model_is_told_its_neighbours():
    with pytest.raises(CourseError, match="Did you mean `resnet18`"):
        models.build("resnet_18", 10)


def same(a, b):
    return all(torch.equal(v, b[k]) for k, v in a.items())


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
    net = models.load("compact_vgg", str(path), photos).net
    assert same(net.state_dict(), expected)
    assert not net.training


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, photos):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"fc.weight": Evil()}))
    with pytest.raises(CourseError, match="without running code"):
        models.load("compact_vgg", str(tmp_path / "evil.pth"), photos)
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_model_is_refused(tmp_path, photos):
    torch.save(models.build("compact_vgg", 2), tmp_path / "model.pth")
    with pytest.raises(CourseError, match="state_dict"):
        models.load("compact_vgg", str(tmp_path / "model.pth"), photos)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04]."])
def test_a_file_that_is_no_state_dict_is_named(tmp_path, photos, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CourseError, match=r"w\.pth"):
        models.load("compact_vgg", str(tmp_path / "w.pth"), photos)


def test_missing_weights_say_what_is_expected(photos):
    with pytest.raises(CourseError, match="no such file. Expected `train`, `imagenet` or a path"):
        models.load("compact_vgg", "nowhere.pth", photos)


def test_weights_of_another_architecture_are_told(weights, photos):
    with pytest.raises(CourseError, match="not of `compact_resnet`: expected an entry `fc.weight`"):
        models.load("compact_resnet", str(weights), photos)


def test_weights_with_another_width_are_told_both_shapes(weights, photos, tmp_path):
    state = torch.load(weights, weights_only=True)
    state["features.0.weight"] = torch.zeros(8, 3, 3, 3)
    torch.save(state, tmp_path / "w2.pth")
    with pytest.raises(CourseError, match=r"`features.0.weight` has shape \[8, 3, 3, 3\], expected \[16, 3, 3, 3\]"):
        models.load("compact_vgg", str(tmp_path / "w2.pth"), photos)


def test_too_many_outputs_ask_for_classes_csv(photos, album, tmp_path):
    torch.save(models.build("compact_vgg", 5).state_dict(), tmp_path / "w5.pth")
    with pytest.raises(CourseError, match="5 outputs.*2 classes.*classes.csv"):
        models.load("compact_vgg", str(tmp_path / "w5.pth"), photos)
    (album / "classes.csv").write_text("folder,index,name\ncat,4,cat\ndog,0,dog\n")
    assert models.load("compact_vgg", str(tmp_path / "w5.pth"), data.load(album)).outputs.tolist() == [4, 0]


def test_a_class_beyond_the_outputs_is_told(weights, album):
    (album / "classes.csv").write_text("folder,index,name\ncat,0,cat\ndog,9,dog\n")
    with pytest.raises(CourseError, match="2 outputs"):
        models.load("compact_vgg", str(weights), data.load(album))


def test_imagenet_weights_offline_say_where_to_place_the_file(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    with pytest.raises(CourseError, match="place it at") as caught:
        models.load("resnet18", "imagenet", photos)
    assert str(tmp_path) in str(caught.value)


def test_a_placed_imagenet_file_is_used(monkeypatch, tmp_path, album):
    from torchvision.models import get_model_weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = get_model_weights("squeezenet1_1").IMAGENET1K_V1.url
    place = tmp_path / "hub" / "checkpoints" / url.rsplit("/", 1)[1]
    place.parent.mkdir(parents=True)
    torch.save(models.build("squeezenet1_1", 1000).state_dict(), place)
    (album / "classes.csv").write_text("folder,index,name\ncat,281,cat\ndog,207,dog\n")
    assert models.load("squeezenet1_1", "imagenet", data.load(album)).normalise == "imagenet"


def test_normalised_pictures_have_the_statistics_asked_for():
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert torch.allclose(models.normalised(images, "half"), torch.ones(1, 3, 2, 2))
    found = models.normalised(images, "imagenet")[0, :, 0, 0]
    assert torch.allclose(found, torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_accuracy_and_loss_are_those_of_a_hand_count(photos):
    class Says(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.tensor([0.0, 1.0]))  # always dog

        def forward(self, x):
            return self.bias.expand(len(x), 2)

    says = models.Classifier("says", Says(), photos.outputs)
    accuracy, loss = models.evaluate(says, photos, data.reader(photos, 16, "cover"), batch=4)
    dog, cat = torch.log_softmax(torch.tensor([1.0, 0.0]), 0)
    assert accuracy == 0.5
    assert loss == pytest.approx(-(dog + cat).item() / 2)


@pytest.mark.parametrize(("name", "least"), [("resnet18", 0.6), ("squeezenet1_0", 0.5), ("resnet50", 0.6)])
def test_real_weights_know_real_photos(real_data, data_home, name, least):
    photos = data.load(real_data / "imagenette224")
    classifier = models.load(name, str(real_data / "weights" / f"{name}_imagenet.pth"), photos)
    accuracy, _ = models.evaluate(classifier, photos, data.reader(photos, 224, "cover"))
    assert accuracy > least  # judged among a thousand outputs; 160 photos leave 0.08 to chance around 0.7
