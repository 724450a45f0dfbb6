"""Weights load from files in the very forms that training scripts write, and what is none of them is told."""

import argparse
import collections
import copy
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from known import in_small
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from helpers import networks, pictures
from helpers.errors import CourseError

NAME = "compact_resnet"


def trained(seed=0, outputs=2):
    """A network whose statistics, too, are nobody else's."""
    torch.manual_seed(seed)
    net = networks.build(NAME, outputs)
    net.train()(torch.randn(4, 3, 32, 32))
    return net.eval()


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def older():
    return trained(1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.pth"


def prefixed(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


def halved(state, kind):
    return {key: value.to(kind) if value.is_floating_point() else value for key, value in state.items()}


def lightning(state, **more):
    """As Lightning's Trainer saves a module with a network, a loss of its own and a metric."""
    own = prefixed("net.", state) | {"loss.weight": torch.ones(2), "accuracy.total": torch.tensor(3)}
    hyper = {"lr": np.float64(0.1), "num_classes": 2, "name": np.str_("x")}
    callbacks = {"ModelCheckpoint{'monitor': 'val'}": {"best_model_score": torch.tensor(0.9), "dirpath": Path("logs")}}
    return {
        "epoch": 3, "global_step": 10, "pytorch-lightning_version": "2.2.0", "state_dict": own, "loops": {"fit": {}},
        "callbacks": callbacks, "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []}],
        "lr_schedulers": [], "hparams_name": "hparams", "hyper_parameters": hyper,
    } | more  # fmt: skip


FORMS = {
    "bare": lambda net: net.state_dict(),
    "an ordered dict": lambda net: collections.OrderedDict(net.state_dict()),
    **{key: lambda net, key=key: {key: net.state_dict(), "epoch": 3, "optimizer": torch.optim.SGD(net.parameters(), 0.1)
                                  .state_dict()}
       for key in ("state_dict", "model", "model_state_dict", "net", "network", "weights", "whatever")},
    "deeper": lambda net: {"checkpoint": {"nets": {"classifier": net.state_dict()}}, "step": 1},
    "of DataParallel": lambda net: nn.DataParallel(net).state_dict(),
    "compiled": lambda net: torch.compile(net).state_dict(),
    "compiled in parts": lambda net: compiled_in_parts(net).state_dict(),
    "a chain of prefixes": lambda net: {"state_dict": prefixed("module._orig_mod.model.backbone_x.", net.state_dict())},
    "of Lightning": lambda net: lightning(net.state_dict()),
    "with gradients": lambda net: {"model": dict(net.named_parameters()) | dict(net.named_buffers())},
    "with numpy's numbers": lambda net: {
        "model": net.state_dict(), "best": np.float64(0.9), "epoch": np.int64(3), "f": np.float32(1),
        "ok": np.bool_(True), "losses": np.arange(3.0), "rng": np.random.RandomState(0).get_state(),
    },
    "with the options of argparse": lambda net: {
        "model": net.state_dict(), "args": argparse.Namespace(lr=0.1, data=Path("data"), sub=argparse.Namespace(a=[1])),
    },
    "with a history": lambda net: {"model": net.state_dict(), "losses": collections.defaultdict(list, a=[1.0])},
}  # fmt: skip


def compiled_in_parts(net):
    parts = copy.deepcopy(net)
    parts.layer1[0] = torch.compile(parts.layer1[0])
    return parts


def loaded(path, photos=None, **how):
    return networks.load(NAME, str(path), photos, **how)


def same(found, net):
    """Whether two networks give the very same logits."""
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(found(images), networks.placed(copy.deepcopy(net), "cpu")(images))


@pytest.mark.parametrize("form", FORMS)
def test_weights_load_in_the_form_that_a_training_script_wrote(form, net, path):
    torch.save(FORMS[form](net), path)
    assert same(loaded(path).net, net)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("bare", r"^\S*w.pth \(\w{12}\)$"),
        ("model_state_dict", "; entry `model_state_dict`$"),
        ("deeper", "entry `checkpoint.nets.classifier`"),
        ("of DataParallel", "; prefix `module.` taken off$"),
        ("a chain of prefixes", "entry `state_dict`; prefix `module.model.backbone_x.` taken off"),
        ("of Lightning", "entry `state_dict`; prefix `net.` taken off; 2 entries beside it left"),
    ],
)
def test_what_was_taken_of_the_file_is_said(form, said, net, path):
    torch.save(FORMS[form](net), path)
    assert re.search(said, loaded(path).source)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_halves_become_float32_and_it_is_said(kind, suffix, net, tmp_path):
    halves, path = halved(net.state_dict(), kind), tmp_path / f"w{suffix}"
    save_file(halves, path) if suffix == ".safetensors" else torch.save({"state_dict": halves}, path)
    found = loaded(path)
    assert all(torch.equal(v, halves[k].float()) for k, v in found.net.state_dict().items() if v.is_floating_point())
    assert str(kind).removeprefix("torch.") in found.source


def test_safetensors_may_have_a_prefix_too(net, tmp_path):
    save_file(prefixed("model.", net.state_dict()), tmp_path / "w.safetensors")
    assert same(loaded(tmp_path / "w.safetensors").net, net)


def ema_of(net, older):
    """As PyTorch averages: `n_averaged`, and `module.` before each key."""
    averaged = AveragedModel(older, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    averaged.update_parameters(older)
    averaged.module.load_state_dict(net.state_dict())  # what it has become
    return averaged.state_dict()


AVERAGED = {
    "timm": lambda net, old: {"arch": "r", "state_dict": old.state_dict(), "state_dict_ema": net.state_dict()},
    "deit": lambda net, old: {"model": old.state_dict(), "model_ema": net.state_dict(), "args": argparse.Namespace()},
    "ema": lambda net, old: {"net": old.state_dict(), "ema": net.state_dict()},
    "deeper": lambda net, old: {"model": old.state_dict(), "ema": {"decay": 0.99, "module": net.state_dict()}},
    "AveragedModel": lambda net, old: {"model_state_dict": old.state_dict(), "swa_model": ema_of(net, old)},
    "AveragedModel by no name": lambda net, old: {"model": old.state_dict(), "other": ema_of(net, old)},
    "one dict": lambda net, old: {
        "state_dict": prefixed("model.", old.state_dict()) | prefixed("model_ema.module.", net.state_dict())
    },
    "one flat dict": lambda net, old: old.state_dict() | prefixed("ema.", net.state_dict()),
    "Lightning's WeightAveraging": lambda net, old: {
        "state_dict": prefixed("net.", net.state_dict()), "current_model_state": prefixed("net.", old.state_dict()),
        "averaging_state": {"n_averaged": torch.tensor(3)}, "pytorch-lightning_version": "2.6",
    },
}  # fmt: skip


@pytest.mark.parametrize("form", AVERAGED)
def test_of_averaged_weights_beside_raw_ones_the_reader_chooses_and_the_report_says_which(form, net, older, path):
    torch.save(AVERAGED[form](net, older), path)
    for average, expected, said in (
        ("auto", net, "averaged weights; raw ones are beside them"),
        ("yes", net, "average=no"),
        ("no", older, "raw weights; averaged ones are beside them"),
    ):
        found = loaded(path, average=average)
        assert same(found.net, expected)
        assert said in found.source
        state, _ = networks.state_of(NAME, str(path), average=average)
        assert torch.equal(state["fc.weight"], expected.fc.weight)


def test_averaged_weights_alone_are_taken_and_said(net, older, path):
    torch.save(ema_of(net, older), path)
    found = loaded(path)
    assert same(found.net, net)
    assert "averaged weights" in found.source
    with pytest.raises(CourseError, match="average=no, but it has only averaged weights"):
        loaded(path, average="no")


def test_averaged_weights_that_are_not_there_are_told(net, path):
    torch.save({"state_dict": net.state_dict()}, path)
    with pytest.raises(CourseError, match="average=yes, but it has only raw weights"):
        loaded(path, average="yes")
    assert "raw" not in loaded(path, average="no").source  # nothing to choose between, nothing to say


def test_two_networks_of_this_kind_in_one_file_are_not_guessed_between(net, older, path):
    torch.save({"student": net.state_dict(), "teacher": older.state_dict()}, path)
    with pytest.raises(CourseError, match="several parts are of `compact_resnet`: entry `student`, entry `teacher`"):
        loaded(path)
    torch.save({"first": net.state_dict(), "again": net.state_dict()}, path)
    assert same(loaded(path).net, net)
    torch.save({"student": net.state_dict(), "larger": older.state_dict() | {"more.weight": torch.ones(1)}}, path)
    assert same(loaded(path).net, net)  # only one is of this kind and no more


# what does not fit, or is no file of weights


def test_when_nothing_fits_the_entries_and_the_way_out_are_told(path):
    other = networks.build("compact_vgg", 2).state_dict()
    torch.save({"trainer": {"net": other}, "head": {"w": torch.ones(1)}}, path)
    with pytest.raises(CourseError) as caught:
        loaded(path)
    for said in (
        *("not of `compact_resnet`: missing `conv1.weight`", "more. It has tensors in `trainer.net`", "`head` (1)"),
        *("the first there `features.0.weight`", "-p model=python:MODULE:FUNCTION"),
    ):
        assert said in str(caught.value)


def test_entries_of_another_shape_are_told_with_those_that_miss(net, path):
    state = {k: v for k, v in net.state_dict().items() if not k.startswith("layer4")}
    torch.save({"model": state | {"conv1.weight": torch.ones(8, 3, 5, 5)}}, path)
    with pytest.raises(CourseError, match=r"missing `layer4.*`conv1.weight` has shape \[8, 3, 5, 5\], expected"):
        loaded(path)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"epoch": 3, "lr": 0.1}, "it holds dict: epoch, lr, expected a state dict of tensors"),
        ([1, 2], "it holds list, expected a state dict"),
        (torch.ones(3), "it holds Tensor, expected a state dict"),
        ({}, "it holds dict"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(held, said, path):
    torch.save(held, path)
    with pytest.raises(CourseError, match=said):
        loaded(path)


def zipped(file):
    """A zip whose index is missing, as of a download that was cut."""
    content = file.read_bytes()
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html>\n<html><head><title>Sign in</title>", "a web page, not weights"),
        (b"\n  <html lang='en'>", "a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 4\n", "git-LFS.*git lfs pull"),
        (b"", "damaged, cut short, or of another kind; 0 bytes"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged, cut short, or of another kind"),
        (zipped, "damaged, cut short"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_only_has_the_name_of_weights_is_recognised(content, said, suffix, net, tmp_path):
    path = tmp_path / f"w{suffix}"
    if callable(content):
        save_file(net.state_dict(), path) if suffix == ".safetensors" else torch.save(net.state_dict(), path)
        content = content(path)
    path.write_bytes(content)
    with pytest.raises(CourseError, match=said) as caught:
        loaded(path)
    assert str(path) in str(caught.value)


class Configuration:
    """Something of a project's own among the entries."""


def test_what_only_code_could_read_is_named_without_torchs_own_sentence(net, path):
    torch.save({"model": net.state_dict(), "cfg": Configuration()}, path)
    with pytest.raises(CourseError, match="it holds a `test_checkpoints.Configuration`.*torch.save") as caught:
        loaded(path)
    torch.save(net, path)
    with pytest.raises(CourseError, match="it holds a `helpers.networks.compact") as whole:
        loaded(path)
    for error in (caught, whole):
        assert "\x1b" not in str(error.value)
        assert "weights_only" not in str(error.value)
        assert "\n" not in str(error.value)


def test_reading_leaves_torchs_list_of_safe_types_as_it_was(net, path):
    before = {*map(str, torch.serialization.get_safe_globals())}
    torch.save(FORMS["with numpy's numbers"](net), path)
    loaded(path)
    assert {*map(str, torch.serialization.get_safe_globals())} == before


@pytest.mark.filterwarnings("ignore")
def test_a_program_in_the_place_of_weights_is_told_how_to_be_named(net, tmp_path):
    x = torch.zeros(1, 3, 32, 32)
    torch.jit.trace(net, x).save(tmp_path / "script.pt")
    torch.export.save(torch.export.export(net, (x,)), tmp_path / "program.pt2")
    with pytest.raises(CourseError, match="a TorchScript.*-p model=torchscript:.*script.pt -p weights=own"):
        loaded(tmp_path / "script.pt")
    with pytest.raises(CourseError, match="an exported program.*-p model=exported:.*program.pt2 -p weights=own"):
        loaded(tmp_path / "program.pt2")
    assert zipfile.is_zipfile(tmp_path / "script.pt")


# the names of outputs

NAMES = ["dog", "cat"]  # not in the folders' order


@pytest.mark.parametrize(
    "entry",
    [
        {"classes": NAMES},
        {"class_names": tuple(NAMES)},
        {"class_to_idx": {"cat": 1, "dog": 0}},
        {"idx_to_class": {0: "dog", 1: "cat"}},
        {"hyper_parameters": {"class_names": NAMES, "lr": 0.1}},
        {"args": argparse.Namespace(classes=NAMES)},
        {"config": {"id2label": {"0": "dog", "1": "cat"}}},
    ],
    ids=lambda entry: next(iter(entry)),
)
def test_outputs_are_called_as_the_checkpoint_says_and_stand_for_the_folders_of_that_name(entry, net, path, album):
    torch.save({"state_dict": net.state_dict()} | entry, path)
    found = loaded(path, pictures.load(album))
    assert found.outputs.tolist() == [1, 0]  # cat, dog
    assert networks.output_names(found) == NAMES


@pytest.mark.parametrize("written", ["dog,cat", '["dog", "cat"]', '{"dog": 0, "cat": 1}'])
def test_the_metadata_of_safetensors_name_outputs(written, net, tmp_path):
    save_file(net.state_dict(), tmp_path / "w.safetensors", metadata={"classes": written, "format": "pt"})
    assert networks.output_names(loaded(tmp_path / "w.safetensors")) == NAMES


@pytest.mark.parametrize(
    ("file", "content"),
    [("w.classes.txt", "dog\ncat\n"), ("config.json", json.dumps({"id2label": {"0": "dog", "1": "cat"}}))],
)
def test_a_file_beside_the_weights_names_outputs(file, content, net, path):
    torch.save(net.state_dict(), path)
    path.with_name(file).write_text(content, encoding="utf-8")
    assert networks.output_names(loaded(path)) == NAMES


def test_names_of_another_number_of_outputs_are_left_and_it_is_said(net, path, album):
    torch.save({"state_dict": net.state_dict(), "classes": ["a", "b", "c"]}, path)
    found = loaded(path, pictures.load(album))
    assert networks.output_names(found) == ["output 0", "output 1"]
    assert "3 names of its 2 outputs, which are left" in found.source


@pytest.mark.parametrize(
    "entry", [{"classes": 2}, {"classes": {"a": "b"}}, {"id2label": {"0": "a", "7": "b"}}, {"args": argparse.Namespace(
        classes="{", normalise=True)}]
)  # fmt: skip
def test_what_only_is_called_so_names_nothing(entry, net, path):
    torch.save({"state_dict": net.state_dict()} | entry, path)
    found = loaded(path)
    assert (found.called, found.normalise) == ((), "imagenet")


def test_classes_csv_wins_over_the_names_of_outputs(net, path, album):
    torch.save({"state_dict": net.state_dict(), "classes": NAMES}, path)
    (album / "classes.csv").write_text("folder,index,name\ncat,0,cat\ndog,1,dog\n")
    assert loaded(path, pictures.load(album)).outputs.tolist() == [0, 1]


def test_folders_called_as_imagenet_calls_its_classes_need_no_classes_csv(tmp_path, data_home):
    from PIL import Image

    for label in ("goldfish", "tench"):
        (tmp_path / "fish" / label).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "fish" / label / "0.png")
    torch.save(networks.build("squeezenet1_1", 1000).state_dict(), tmp_path / "w.pth")
    found = networks.load("squeezenet1_1", str(tmp_path / "w.pth"), pictures.load(tmp_path / "fish"))
    assert found.outputs.tolist() == [1, 0]


def test_timm_names_the_outputs_of_its_larger_sets():
    assert networks.names_of("timm:resnet10t", 11821)[5] == "food, nutrient"
    assert networks.names_of("resnet18", 11821) == networks.names_of("timm:resnet10t", 7) == []


# colours


def test_the_mean_and_deviation_may_be_given_by_hand(net, path):
    torch.save(net.state_dict(), path)
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    for written, expected in (("0.5,0.4,0.3 0.25,0.5,0.1", [2.0, 1.2, 7.0]), ("0.2 0.4", [2.0, 2.0, 2.0])):
        found = loaded(path, normalise=written)
        assert found.normalise == written
        assert torch.allclose(found.prepared(white)[0, :, 0, 0], torch.tensor(expected), atol=1e-6)


@pytest.mark.parametrize("written", ["0.5", "0.5 0.5 0.5", "0.5,0.5 0.1", "123 58", "0.5 0", "mean std", "nan 1"])
def test_a_mean_and_deviation_that_cannot_be_meant_are_told(written, net, path):
    torch.save(net.state_dict(), path)
    with pytest.raises(CourseError, match=f"normalise is '{written}'; expected half, imagenet, unit, or a mean"):
        loaded(path, normalise=written)


# in a run


@pytest.mark.parametrize(("average", "said"), [("auto", "entry `ema`; averaged weights"), ("no", "raw weights")])
def test_a_report_says_which_weights_were_taken(average, said, tmp_path, monkeypatch):
    first, second = networks.build(NAME, 10), networks.build(NAME, 10)
    torch.save({"model": first.state_dict(), "ema": second.state_dict()}, tmp_path / "w.pth")
    run = in_small("00_start_here", tmp_path, monkeypatch, 160, {"tile": 48})
    results = run(weights=str(tmp_path / "w.pth"), average=average)
    assert said in results["provenance"]["weights"][NAME]
    assert [said in note for note in results["notes"] if note.startswith("Weights of")] == [True]


# the real thing


def test_six_forms_of_one_file_give_equal_logits_for_real_photos(real_data, data_home, tmp_path):
    photos = pictures.load(real_data / "imagenette224")
    bare = real_data / "weights" / "resnet18_imagenet.pth"
    state = torch.load(bare, weights_only=True)
    noise = {k: v + 1 if v.is_floating_point() else v for k, v in state.items()}
    forms = {
        "under model": {"model": state, "args": argparse.Namespace(lr=0.1), "best": np.float64(0.7)},
        "of DataParallel": {"state_dict": prefixed("module.", state), "epoch": 90},
        "compiled, in a module of Lightning": lightning(prefixed("_orig_mod.", state)),
        "averaged beside raw": {"state_dict": noise, "state_dict_ema": state},
        "with gradients": {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()},
    }
    read = pictures.reader(photos, 224, "cover")
    rows = photos.rows(range(0, len(photos), 10))

    def logits(file):
        found = networks.load("resnet18", str(file), photos)
        return networks.logits(found, rows, lambda some: read([10 * int(i) for i in some]))

    expected = logits(bare)
    assert (expected.argmax(1) == photos.outputs[rows.labels]).double().mean() > 0.6
    for form, held in forms.items():
        torch.save(held, tmp_path / "w.pth")
        assert torch.equal(logits(tmp_path / "w.pth"), expected), form
    save_file(state, tmp_path / "w.safetensors")
    assert torch.equal(logits(tmp_path / "w.safetensors"), expected)
