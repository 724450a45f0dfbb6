"""course doctor: of a network what a run would see of it, and which notebooks and methods would work."""

import time

import pytest
import torch

from helpers import networks
from reports.cli import main


def course(capsys, *arguments):
    code = main([*map(str, arguments)])
    return code, capsys.readouterr()


@pytest.fixture
def weights(tmp_path):
    """As Lightning saves a network of two classes, averaged ones beside it."""
    torch.manual_seed(0)
    net = networks.build("compact_resnet", 2)
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    torch.save({"state_dict": state, "ema": net.state_dict(), "class_names": ["cat", "dog"]}, tmp_path / "w.ckpt")
    return tmp_path / "w.ckpt"


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal in which no reason is wrapped, however long the paths of temporary folders are."""
    monkeypatch.setenv("COLUMNS", "1000")


def row(output, name):
    """The rest of the line that begins with a name."""
    return next(line[len(name) :].strip() for line in output.splitlines() if line.startswith(f"{name} "))


def test_a_network_and_pictures_are_told_in_under_a_minute(capsys, weights, album):
    began = time.perf_counter()
    code, output = course(capsys, "doctor", "--model", "compact_resnet", "--weights", weights, "--images", album,
                          "--size", 64)  # fmt: skip
    assert (code, output.err) == (0, "")
    assert time.perf_counter() - began < 60
    assert "entry `ema`; averaged weights; raw ones are beside them" in row(output.out, "weights")
    assert row(output.out, "outputs") == "2: cat, dog"
    assert row(output.out, "grid").startswith("layer4.0: 4 x 4 cells")
    assert "of 6 pictures have a Grad-CAM map that is zero everywhere" in row(output.out, "empty maps")
    assert "of the score" in row(output.out, "LRP keeps")
    assert "of 6 pictures among the 2 classes (chance 50.0%)" in row(output.out, "accuracy")
    for works in ("gradcam", "lrp", "scorecam", "lime", "00_start_here", "01_focus"):
        assert row(output.out, works).startswith("yes"), works
    assert row(output.out, "03_ria").endswith("no masks and no boxes")
    assert "no attributes" in row(output.out, "05_debiasing_metrics")


def test_the_other_weights_are_taken_when_asked_for(capsys, weights):
    asked = ("doctor", "--model", "compact_resnet", "--weights", weights, "--size", 32, "--average", "no")
    assert "prefix `net.` taken off; raw weights" in row(course(capsys, *asked)[1].out, "weights")


class Blind(torch.nn.Module):
    """It gives logits and no gradients."""

    def forward(self, x):
        return x.detach().mean((2, 3))


@pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, and says so
def test_a_program_whose_layers_cannot_be_seen_runs_where_none_are_needed_and_one_without_gradients_nowhere(
    capsys, tmp_path
):
    net, image = networks.build("compact_resnet", 2).eval(), torch.zeros(1, 3, 32, 32)
    for kind, code, works in ((net, 0, "yes"), (Blind(), 1, "none of saliency works")):
        torch.jit.trace(kind, image).save(tmp_path / "net.pt")
        found, output = course(capsys, "doctor", "--model", f"torchscript:{tmp_path / 'net.pt'}", "--size", 32)
        assert found == code
        assert "a TorchScript" in row(output.out, "weights")
        assert row(output.out, "00_start_here") == works
        assert row(output.out, "03_ria") == "it trains the network, and this one can only be asked"
        assert "its layers" in output.out


def test_a_transformer_is_told_where_its_tokens_do_not_do(capsys):
    code, output = course(capsys, "doctor", "--model", "timm:vit_tiny_patch16_224", "--weights", "train")
    assert code == 0
    assert "14 x 14 cells" in row(output.out, "grid")
    for book in ("03_ria", "04_advise"):
        assert "gives (1, 197, 192) where Grad-CAM looks" in row(output.out, book)
    assert row(output.out, "rollout").startswith("yes")
    assert row(output.out, "05_debiasing_metrics") == "yes, with -p saliency=ig"


def test_all_maps_zero_are_counted(capsys, tmp_path):
    net = networks.build("compact_vgg", 2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    asked = ("doctor", "--model", "compact_vgg", "--weights", tmp_path / "w.pth", "--size", 32)
    assert row(course(capsys, *asked)[1].out, "empty maps").startswith("4 of 4 pictures of noise have")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--model", "resnet19"], "Did you mean `resnet18`"),
        (["--model", "compact_resnet", "--weights", "no.pth"], "no such file"),
        (["--model", "compact_resnet"], "ours and has no ImageNet weights"),
        (["--weights", "no.pth"], "give --model, too"),
        (["--model", "compact_resnet", "--weights", "train", "--normalise", "x"], "normalise is 'x'"),
        (["--model", "compact_resnet", "--weights", "train", "--images", "nowhere"], "no such folder"),
    ],
)
def test_mistakes_are_told_with_exit_2(asked, said, capsys):
    code, output = course(capsys, "doctor", *asked)
    assert (code, said in output.err) == (2, True)
