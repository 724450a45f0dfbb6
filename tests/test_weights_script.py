"""data_scripts/public/weights.py: the right file, where a notebook finds it by name; offline, what to place where."""

import hashlib

import pytest
import requests
import timm
import torch
import yaml

from data_scripts import parsing
from data_scripts.getting.fetch import verify
from data_scripts.public import weights
from helpers import networks as models
from helpers.errors import CourseError, Missing
from helpers.networks import patches
from helpers.pictures import REPO
from reports.cli import main

CONTENT = b"not really weights"
DIGITS = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def home(data_home, monkeypatch, tmp_path):
    """An empty place for data and for torch.hub, and no internet."""

    def refused(url, **_):
        raise requests.ConnectionError(url)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("data_scripts.getting.fetch.requests.get", refused)
    return data_home


@pytest.fixture
def toy(monkeypatch):
    """Two small files by name: `hub` for torch.hub, and `own` in weights/."""
    toys = tuple(
        weights.Weights(
            name, f"https://{name}.org/{name}.pth", f"sha256:{DIGITS[:8]}", "MIT", 1, "a test", name == "hub"
        )
        for name in ("hub", "own")
    )
    monkeypatch.setattr(weights, "OTHERS", toys)
    return toys


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


@pytest.mark.parametrize("name", weights.PAPERS)
def test_every_network_of_the_papers_can_be_had_by_name(name):
    one = weights.known(name)
    assert one.url.startswith("https://")
    assert one.size > 10
    assert one.licence
    assert not one.checksum or len(one.checksum.removeprefix("sha256:")) >= 8


def test_the_paper_profile_needs_nothing_else():
    profile = yaml.safe_load((REPO / "reports" / "profiles" / "paper.yaml").read_text())
    needed = {
        profile["03_ria"]["detector"],
        profile["01_focus"]["curve_model"],
        profile["05_debiasing_metrics"]["model"],
    }
    for notebook in ("01_focus", "03_ria", "04_advise"):
        needed |= set(profile[notebook]["model"])
    assert {weights.known(name).name for name in needed} <= set(weights.PAPERS)


def test_the_name_of_a_file_of_torchvision_holds_its_checksum():
    assert weights.known("vgg16").checksum == "sha256:397923af"
    assert weights.known("shufflenet_v2_x0_5").checksum == "sha256:f707e7126e"


def test_offline_every_file_is_named_and_nothing_is_written(home, tmp_path, capsys):
    assert main(["data", "prepare", "weights"]) == 3
    told = capsys.readouterr().err
    for name in weights.PAPERS:
        one = weights.known(name)
        for part in (one.url, str(one.place(home)), one.licence, one.checksum.removeprefix("sha256:")):
            assert part in told
    assert files(tmp_path) == []


def test_an_unknown_name_is_told_before_anything_is_fetched(home):
    with pytest.raises(CourseError, match="no weights `vgg61`. Did you mean .*`vgg16`.* There are: legacy") as told:
        weights.prepare(["resnet18", "vgg61"], home)
    assert not isinstance(told.value, Missing)


def test_a_host_that_does_not_answer_is_asked_once(home, monkeypatch):
    asked = []
    monkeypatch.setattr("data_scripts.public.weights.fetch", lambda url, *_: asked.append(url) or unreachable(url))
    with pytest.raises(Missing, match="resnet18.*\n.*\n.*\n.*resnet50"):
        weights.prepare(["resnet18", "resnet50"], home)
    assert len(asked) == 1


def unreachable(url):
    try:
        raise requests.ConnectionError
    except requests.ConnectionError:
        raise Missing(f"{url} cannot be reached") from None


def test_given_files_are_checked_and_copied_once(home, toy, tmp_path):
    for one in toy:
        (tmp_path / "given").mkdir(exist_ok=True)
        (tmp_path / "given" / one.file).write_bytes(CONTENT)
    first = weights.prepare(["hub", "own"], home, tmp_path / "given")
    assert [line.split(";")[0] for line in first] == [
        f"hub: copied to {tmp_path / 'torch' / 'hub' / 'checkpoints' / 'hub.pth'}",
        f"own: copied to {home / 'weights' / 'own.pth'}",
    ]
    assert toy[1].place(home).read_bytes() == CONTENT
    assert not toy[1].place(home).is_symlink()
    assert all("is in place" in line for line in weights.prepare(["hub", "own"], home))
    assert len(files(tmp_path)) == 4


def test_one_given_file_will_do(home, toy, tmp_path):
    (tmp_path / "own.pth").write_bytes(CONTENT)
    weights.prepare(["own"], home, tmp_path / "own.pth")
    assert weights.found("own") == home / "weights" / "own.pth"


def test_a_wrong_file_is_told_with_both_checksums_and_not_copied(home, toy, tmp_path):
    (tmp_path / "own.pth").write_bytes(b"an error page")
    wrong = hashlib.sha256(b"an error page").hexdigest()
    with pytest.raises(CourseError, match=f"own.pth: sha256 is {wrong}, expected {DIGITS[:8]} "):
        weights.prepare(["own"], home, tmp_path)
    assert files(home) == []


def test_a_damaged_file_in_its_place_is_told(home, toy):
    toy[1].place(home).parent.mkdir(parents=True)
    toy[1].place(home).write_bytes(CONTENT[:-1])
    with pytest.raises(CourseError, match="own.pth: sha256 is .* Remove it, and get it again"):
        weights.prepare(["own"], home)


def test_an_interrupted_copy_leaves_nothing(home, toy, tmp_path, monkeypatch):
    def interrupted(source, target):
        target.write_bytes(CONTENT[:3])
        raise KeyboardInterrupt

    (tmp_path / "own.pth").write_bytes(CONTENT)
    monkeypatch.setattr("data_scripts.public.weights.shutil.copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        weights.prepare(["own"], home, tmp_path)
    assert files(home) == []


def test_what_can_be_placed_is_placed_though_another_is_missing(home, toy, tmp_path):
    (tmp_path / "own.pth").write_bytes(CONTENT)
    with pytest.raises(Missing, match="(?s)own: copied to.*hub: https://hub.org/hub.pth") as told:
        weights.prepare(["hub", "own"], home, tmp_path)
    assert "own: https" not in str(told.value)
    assert weights.here("own").is_file()


def test_a_checksum_may_be_its_first_eight_digits_but_no_fewer(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    verify(tmp_path / "file", f"sha256:{DIGITS[:8]}", "")
    with pytest.raises(CourseError, match="expected 01234567"):
        verify(tmp_path / "file", "sha256:01234567", "")
    with pytest.raises(ValueError, match="has 7 digits"):
        verify(tmp_path / "file", f"sha256:{DIGITS[:7]}", "")


def test_without_a_checksum_what_came_must_be_weights(home, tmp_path, monkeypatch):
    dino = weights.known("dino")
    page = tmp_path / "given" / dino.file
    page.parent.mkdir()
    page.write_text("<html>log in</html>")
    with pytest.raises(CourseError, match="a web page, not weights"):
        weights.prepare(["dino"], home, page.parent)

    def fetched(url, file, checksum):
        file.parent.mkdir(parents=True)
        file.write_text("<html>log in</html>")

    monkeypatch.setattr("data_scripts.public.weights.fetch", fetched)
    with pytest.raises(CourseError, match="a web page, not weights"):
        weights.prepare(["dino"], home)
    assert files(home) == []


def test_lost_finds_the_dino_that_was_placed(home, tmp_path):
    net = timm.create_model("vit_small_patch16_224.dino", num_classes=0)
    given = tmp_path / "given" / weights.known("dino").file
    given.parent.mkdir()
    torch.save(net.state_dict(), given)
    (line,) = weights.prepare(["dino"], home, given.parent)
    assert hashlib.sha256(given.read_bytes()).hexdigest() in line  # nothing to compare it with: it is shown
    images = torch.randint(256, (1, 3, 32, 48), dtype=torch.uint8)
    by_name = patches.vit_keys("vit_small_patch16_224.dino")(images)
    assert torch.equal(by_name, patches.vit_keys("vit_small_patch16_224.dino", str(given))(images))


def test_a_notebook_finds_the_xception_that_was_placed(home, monkeypatch):
    net = timm.create_model("legacy_xception", num_classes=1000)
    file = weights.known("timm:legacy_xception").place(home)
    file.parent.mkdir(parents=True)
    torch.save(net.state_dict(), file)
    state, _ = models.state_of("timm:legacy_xception", "imagenet")
    assert torch.equal(state["conv1.weight"], net.conv1.weight)


def test_a_notebook_finds_the_network_of_torchvision_that_was_placed(home):
    net = models.build("squeezenet1_0", 1000)
    file = weights.known("squeezenet1_0").place(home)
    file.parent.mkdir(parents=True)
    torch.save(net.state_dict(), file)
    assert torch.equal(models.state_of("squeezenet1_0", "imagenet")[0]["features.0.bias"], net.features[0].bias)


class Nineteen(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1].expand(len(x), 19, 448, 448)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_farl_is_a_parser_by_name_once_it_is_placed(home):
    regions = {0: "background", 1: "skin"}
    with pytest.raises(Missing, match="farl is not here(?s:.*)course data prepare weights farl"):
        parsing.load("farl", regions=regions)
    file = weights.known("farl").place(home)
    file.parent.mkdir(parents=True)
    torch.jit.script(Nineteen()).save(str(file))
    assert parsing.load("farl", regions=regions).regions == parsing.FARL


def test_the_list_says_how_many_are_there(home, capsys):
    assert weights.ready(home) == "no"
    for name in weights.PAPERS:
        file = weights.known(name).place(home)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        if name == "resnet18":
            assert weights.ready(home) == "2 of 8"
    assert weights.ready(home) == "yes"
    assert main(["data", "list"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("weights "))
    assert row.split()[1:6] == ["yes", "all", "1.8", "GB", "fetched"]
