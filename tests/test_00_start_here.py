"""notebooks/00_start_here.ipynb: its heatmap by hand, and the whole notebook in small."""

import pytest
import torch
from known import in_small, own_folder, wide_weights
from torch import nn

from helpers import check, networks
from reports import plans


@pytest.fixture(scope="module")
def nb(notebook):
    return notebook("00_start_here")


@pytest.fixture
def small(tmp_path, monkeypatch):
    return in_small("00_start_here", tmp_path, monkeypatch, 160, {"tile": 48, "epochs": 1})


def test_saliency_of_a_linear_net_is_its_largest_weight(nb):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 2, 4))
    w = net[1].weight.view(4, 3, 2, 2)
    R = nb.saliency(net, torch.rand(2, 3, 2, 2), torch.tensor([1, 3]))
    assert torch.allclose(R, w[[1, 3]].abs().amax(1), atol=1e-7)


def test_the_answer_says_how_far_the_heatmaps_agree(small):
    said = small()["answer"]
    assert "right among 10 answers" in said
    assert "its 9 heatmaps' pixels correlate at" in said


def test_a_network_without_a_rule_for_lrp_is_explained_by_the_others(small):
    results = small(model="mobilenet_v2")
    assert [note for note in results["notes"] if "LRP is left out: mobilenet_v2 cannot be explained by lrp" in note]
    assert "its 8 heatmaps' pixels" in results["answer"]


NO_GRADIENT = ["saliency", "smoothgrad", "integrated_gradients", "gradcam", "gradcampp", "layercam", "lrp", "lime"]


@pytest.mark.parametrize(("head", "empty"), [(-1.0, ["gradcam", "gradcampp", "layercam"]), (0.0, NO_GRADIENT)])
def test_heatmaps_that_say_nothing_are_named_and_the_others_compared(small, tmp_path, head, empty):
    net = networks.build("compact_resnet", 10)
    nn.init.constant_(net.fc.weight, head)  # what it weighs is never negative: no channel speaks for a class
    torch.save(net.state_dict(), tmp_path / "net.pth")
    results = small(weights=str(tmp_path / "net.pth"))
    assert [note.split(" says nothing of these 4")[0] for note in results["notes"]] == empty
    assert ("The ranks of its 6 heatmaps' pixels correlate at" in results["answer"]) == (head < 0)
    assert ("No two of its heatmaps have anything to compare" in results["answer"]) == (head == 0)
    assert "nan" not in results["answer"]


def test_accuracy_is_told_among_all_outputs_and_among_the_classes(small, tmp_path, capsys):
    folder, weights = own_folder(tmp_path), wide_weights(tmp_path)
    results = small(dataset=str(folder), model="compact_vgg", weights=str(weights))
    said = capsys.readouterr().out
    assert "among 20 answers; chance is 5.0%" in said
    assert "among 3 answers; chance is 33.3%" in said
    assert "right among 20 answers" in results["answer"]


def test_pictures_have_the_side_that_loaded_weights_expect_unless_it_is_given(small, tmp_path, monkeypatch):
    sides, real = [], check.of_network
    monkeypatch.setattr(networks, "usual_size", {"compact_vgg": 56}.get)
    monkeypatch.setattr(check, "of_network", lambda *a, at, **more: sides.append(at) or real(*a, at=at, **more))
    loaded = {"dataset": str(own_folder(tmp_path)), "model": "compact_vgg", "weights": str(wide_weights(tmp_path))}
    small(**loaded, tile=0)
    assert set(sides) == {56}
    sides.clear()
    small(**loaded, tile=48)
    assert set(sides) == {48}


def test_a_network_that_forgets_has_other_weights_in_every_layer_and_the_trained_one_keeps_its_own(nb):
    trained = networks.Classifier("compact_resnet", networks.build("compact_resnet", 3).eval(), torch.arange(3))
    before = {name: value.clone() for name, value in trained.net.state_dict().items()}
    blank = nb.forgetful(trained, 0)
    after = trained.net.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    convolutions = [name for name, value in before.items() if value.ndim > 1]
    assert [name for name in convolutions if torch.equal(before[name], blank.net.state_dict()[name])] == []


def test_a_map_agrees_with_itself_and_a_flat_one_with_none(nb):
    R = torch.arange(4.0).view(2, 2)
    assert nb.agree(R, 3 * R + 1) == pytest.approx(1)
    assert nb.agree(R, -R) == pytest.approx(-1)
    assert torch.tensor(nb.agree(R, torch.ones(2, 2))).isnan()


def test_what_random_weights_leave_of_each_map_is_among_the_metrics(small):
    results = small()
    left = {name.split(".")[1]: value for name, value in results["metrics"].items() if "left_when_random" in name}
    assert "saliency" in left
    assert "random" not in left  # it asks no network
    assert all(value is None or -1 <= value <= 1 for value in left.values())
    most = max((value, name) for name, value in left.items() if value is not None)[1]
    assert f"{most} (" in results["answer"].split("With all weights drawn anew, ")[1].split(" stays most")[0]


def test_each_paper_has_a_line_with_its_question_and_the_minutes_of_its_notebook(small, monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.run.display", lambda what, **_: shown.append(getattr(what, "data", "")))
    small()
    (table,) = [text for text in shown if text.startswith("| notebook |")]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert [line[0].strip("`") for line in lines] == [path.stem for path in plans.notebooks()][1:6]
    assert all(line[1].endswith("?") and int(line[4]) > 30 for line in lines)
