"""Networks that bring their code: a TorchScript, an exported program, a function of one's own; and networks whose ends
are not three channels and logits.
"""

import sys
from typing import NamedTuple

import pytest
import torch
from known import close
from torch import nn

from helpers import check, networks, parameters, pictures
from helpers.errors import CourseError
from helpers.heatmaps import attribute
from helpers.networks.ends import logits_of
from helpers.networks.foreign import Sealed
from helpers.networks.layers import trace
from helpers.networks.training import Recipe, train
from reports import plans

pytestmark = pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, and says so
X = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 0])


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = networks.build("compact_resnet", 2)
    net.train()(torch.randn(4, 3, 32, 32))
    return net.eval()


@pytest.fixture(scope="module")
def programs(net, tmp_path_factory):
    """The same network as five programs, by name."""
    folder = tmp_path_factory.mktemp("programs")
    torch.jit.trace(net, X[:1]).save(folder / "traced.pt")
    torch.jit.script(net).save(folder / "scripted.pt")
    torch.jit.freeze(torch.jit.script(net)).save(folder / "frozen.pt")
    torch.export.save(torch.export.export(net, (X[:1],)), folder / "alone.pt2")
    any_number = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(net, (X,), dynamic_shapes=any_number), folder / "many.pt2")
    named = {file.stem: f"{'exported' if file.suffix == '.pt2' else 'torchscript'}:{file}" for file in folder.iterdir()}
    return named


KINDS = ["traced", "scripted", "frozen", "alone", "many"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_gives_the_logits_and_gradients_of_its_network(kind, programs, net):
    found = networks.load(programs[kind], "own", None)
    with torch.no_grad():
        assert close(found.net(X), net(X))
    assert "a TorchScript" in found.source or "an exported program" in found.source
    for method in ("saliency", "integrated_gradients", "random"):
        assert close(attribute(method, found.net, X, TARGETS), attribute(method, net, X, TARGETS), 1e-3)
    assert networks.output_names(found) == ["output 0", "output 1"]


@pytest.mark.parametrize("kind", ["traced", "alone"])
@pytest.mark.parametrize("method", ["gradcam", "lrp", "scorecam"])
def test_methods_that_look_at_layers_are_refused_in_our_words(kind, method, programs):
    found = networks.load(programs[kind], "own", None)
    (said,) = check.of_network(found, at=64, explains=[method])
    assert f"cannot be explained by {method}: its layers cannot be looked at; only methods without layers can" in said
    assert [*check.of_network(found, at=64, explains=["saliency", "smoothgrad", "random"])] == []


def test_an_exported_program_takes_the_side_it_was_made_for(programs):
    assert networks.usual_size(programs["alone"]) == networks.usual_size(programs["many"]) == 64
    (said,) = check.of_network(networks.load(programs["alone"], "own", None), at=112, explains=["saliency"])
    assert "for pictures of 64 px, not 112 x 112" in said


def test_what_a_program_holds_inside_is_measured(programs, net):
    """So that pictures go through it in batches that fit into memory, although none of its layers can be seen."""
    sealed = networks.foreign.build(programs["many"])
    inside = sum({o.storage: o.bytes for o in trace(sealed, X[:1])}.values())
    seen = sum({o.storage: o.bytes for o in trace(net, X[:1])}.values())
    assert 0.3 * seen < inside < 10 * seen


@pytest.mark.parametrize("kind", ["traced", "alone"])
def test_a_program_with_other_weights_or_to_be_trained_is_refused(kind, programs, tmp_path, album, net):
    torch.save(net.state_dict(), tmp_path / "w.pth")
    for weights in (str(tmp_path / "w.pth"), "imagenet"):
        with pytest.raises(CourseError, match="Say weights=own"):
            networks.load(programs[kind], weights, None)
    with pytest.raises(CourseError, match="not trained here, it brings its weights. Say weights=own"):
        train(Recipe(programs[kind], size=64, batch=2, epochs=1), pictures.load(album))
    with pytest.raises(CourseError, match="its layers cannot be looked at"):
        networks.head_of(programs[kind])


def test_own_weights_are_only_of_what_brings_some():
    with pytest.raises(CourseError, match="weights own: not for `resnet18`. Say weights=PATH, imagenet or train"):
        networks.load("resnet18", "own", None)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchscript:no.pt", "no such file. Expected torchscript:PATH"),
        ("exported:no.pt2", "no such file. Expected exported:PATH"),
        ("net.pt", "is a file; a TorchScript is `torchscript:net.pt`, an exported program `exported:net.pt`"),
        ("python:", "expected python:MODULE:FUNCTION"),
        ("python:json", "expected python:MODULE:FUNCTION"),
        ("python:nowhere_at_all:f", "nowhere_at_all cannot be imported .ModuleNotFoundError"),
        ("python:json:laods", "json has no function laods. Did you mean `loads`"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(name, said):
    with pytest.raises(CourseError, match=said):
        networks.check_name(name)


@pytest.mark.parametrize("kind", ["torchscript", "exported"])
def test_a_file_that_is_no_program_is_told(kind, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"<html>")
    with pytest.raises(CourseError, match=f"model `{kind}:.*x.pt`: "):
        networks.foreign.build(f"{kind}:{tmp_path / 'x.pt'}")


# python:MODULE:FUNCTION

MODULE = """
import torch
from torch import nn
from collections import OrderedDict
from helpers.networks import build


class Wrapped(nn.Module):
    def __init__(self, outputs, give):
        super().__init__()
        self.head = nn.Identity()  # before the layers that run before it
        self.backbone, self.give = build("compact_resnet", outputs), give

    def forward(self, pixel_values):
        return self.give(self.backbone(pixel_values))


def counted(num_classes=3):
    return build("compact_resnet", num_classes)

def fixed():
    torch.manual_seed(0)
    return build("compact_resnet", 3)

def as_dict():
    torch.manual_seed(0)
    return Wrapped(3, lambda y: {"loss": y.sum(), "logits": y, "features": y * 0})

def as_model_output():
    torch.manual_seed(0)
    return Wrapped(3, lambda y: OrderedDict(logits=y, hidden_states=(y, y)))

def as_tuple():
    torch.manual_seed(0)
    return Wrapped(3, lambda y: (y[:, :, None, None], y))

def as_column():
    torch.manual_seed(0)
    return Wrapped(1, lambda y: y.squeeze())

def as_tokens():
    return Wrapped(3, lambda y: y[:, None].expand(-1, 5, -1))

def half():
    torch.manual_seed(0)
    return build("compact_resnet", 3).half()

def grey():
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 8, 3), act=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(1),
                                     flat=nn.Flatten(), fc=nn.Linear(8, 2)))

def digits():
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))

def nothing():
    return 3

def picky():
    return nn.Linear(7, 2)

def broken():
    raise RuntimeError("no weights here\\nsecond line")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """`own("fixed")`: the name of a function in a module of the folder where the user is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "nets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "mine.nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    networks.architectures._head.cache_clear()
    before = [*sys.path]
    yield lambda function: f"python:mine.nets:{function}"
    assert sys.path == before


def test_a_function_of_ones_own_builds_the_network_and_the_source_says_that_it_ran(own, net, tmp_path):
    found = networks.load(own("fixed"), "own", None)
    assert len(found.outputs) == 3
    assert "mine.nets:fixed, which was imported because it was named" in found.source
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "w.pth")
    loaded = networks.load(own("counted"), str(tmp_path / "w.pth"), None)
    with torch.no_grad():
        assert torch.allclose(loaded.net(X), net(X), atol=1e-5)
    for said in ("prefix `module.` taken off", "imported because it was named"):
        assert said in loaded.source


def test_nothing_is_imported_that_was_not_named(own):
    for name in ("compact_resnet", "timm:resnet10t"):
        networks.check_name(name)
    assert "mine.nets" not in sys.modules


def test_a_function_that_takes_the_number_of_classes_is_trained_here_and_others_only_where_it_fits(
    own, album, data_home
):
    photos = pictures.load(album)
    photos.table["split"] = ["train", "train", "val"] * 2
    found = train(Recipe(own("counted"), size=32, batch=2, epochs=1), photos)
    assert networks.output_names(found, photos) == ["cat", "dog"]
    assert "imported because it was named" in found.source
    with pytest.raises(CourseError, match="gives 3 outputs for 2 classes"):
        train(Recipe(own("fixed"), size=32, batch=2, epochs=1), photos)
    with pytest.raises(CourseError, match="not trained here: it has one input channel"):
        train(Recipe(own("grey"), size=32, batch=2, epochs=1), photos)


@pytest.mark.parametrize(
    ("function", "said"),
    [("as_dict", "`logits` is taken"), ("as_model_output", "`logits` is taken"), ("as_tuple", "`1` is taken")],
)
def test_of_dicts_and_tuples_every_method_sees_the_logits(function, said, own):
    plain, found = networks.load(own("fixed"), "own", None).net, networks.load(own(function), "own", None)
    assert said in found.source
    assert torch.allclose(found.net(X), plain(X), atol=1e-6)
    for method in ("gradcam", "lrp", "saliency", "layercam", "integrated_gradients", "scorecam"):
        assert close(attribute(method, found.net, X, TARGETS), attribute(method, plain, X, TARGETS), 1e-3), method
    assert networks.head_of(own(function)) == "backbone.fc.weight"  # the last that runs, not the last that is listed
    assert networks.embedding(found)(X).shape == (3, 3 if function == "never" else 128)


def test_a_squeezed_output_is_one_unit(own):
    found = networks.load(own("as_column"), "own", None)
    assert found.net(X).shape == (3, 1)
    assert found.net(X[:1]).shape == (1, 1)
    assert networks.output_names(found) == ["output 0", "output 1"]
    for method in ("gradcam", "lrp", "saliency", "smoothgrad"):
        maps = attribute(method, found.net, X, torch.tensor([1, 1, 1]))
        assert maps.shape == (3, 64, 64)
    plus, minus = (attribute("lrp", found.net, X[:1], torch.tensor([c])) for c in (1, 0))
    assert torch.allclose(plus, -minus, atol=1e-5)


def test_half_precision_of_ones_own_becomes_float32(own):
    assert {p.dtype for p in networks.load(own("half"), "own", None).net.parameters()} == {torch.float32}


def test_a_network_of_one_channel_gets_the_picture_in_grey(own):
    found = networks.load(own("grey"), "own", None)
    assert found.normalise == "half"
    assert "its one input channel gets the pictures in grey" in found.source
    red = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    red[:, 0] = 255
    x = found.prepared(red)
    assert x.shape == (1, 3, 64, 64)
    assert torch.allclose(x, torch.tensor((0.2989 - 0.5) / 0.5), atol=0.01)  # ITU-R 601: red is 0.299 bright
    for method in ("gradcam", "lrp", "saliency", "scorecam", "lime"):
        assert [*check.of_network(found, at=64, explains=[method])] == [], method
    alone = torch.nn.Sequential(*found.net.children())
    with torch.no_grad():
        assert torch.allclose(found.net(x), alone(x[:, :1]), atol=1e-5)


def test_a_side_that_the_network_takes_is_found(own):
    assert networks.usual_size(own("digits")) == 28
    assert networks.load(own("digits"), "own", None).net(torch.zeros(2, 3, 28, 28)).shape == (2, 10)


def test_a_first_convolution_of_one_channel_is_made_as_the_file_has_it(tmp_path):
    torch.manual_seed(0)
    mine = networks.build("resnet18", 2).eval()
    mine.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    torch.save(mine.state_dict(), tmp_path / "w.pth")
    found = networks.load("resnet18", str(tmp_path / "w.pth"), None)
    x = found.prepared((X * 255).byte())
    with torch.no_grad():
        assert torch.allclose(found.net(x), mine(x[:, :1]), atol=1e-4)
    assert "one input channel" in found.source
    assert [*check.of_network(found, at=64, grid=True, explains=["lrp", "saliency"])] == []


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nothing", "gives int; expected a torch.nn.Module"),
        ("picky", "takes no pictures of 224, 112"),
        ("broken", "RuntimeError: no weights here$"),
        ("as_tokens", r"it gives \[1, 5, 3\]; expected logits \[1, C\]"),
        ("fixt", "has no function fixt. Did you mean `fixed`"),
    ],
)
def test_what_gives_no_classifier_is_told(function, said, own):
    with pytest.raises(CourseError, match=said):
        networks.build(own(function), 2)


class Scores(NamedTuple):
    logits: torch.Tensor
    other: int


class Answer:
    logits = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("output", "place"),
    [
        (torch.ones(2, 3), ""),
        (Scores(torch.ones(2, 3), 1), "`0`"),
        ({"out": torch.ones(2, 3), "aux": torch.ones(2, 3)}, "`out`"),
        ({"y": torch.ones(2, 3)}, "`y`"),
        ([torch.ones(5), torch.ones(2, 3)], "`1`"),
        (Answer(), "`logits`"),
    ],
)
def test_logits_are_found_in_what_a_network_gives(output, place):
    found, where = logits_of(output, 2)
    assert torch.equal(found, torch.ones(2, 3))
    assert where == place


@pytest.mark.parametrize("output", [None, {}, (), {"a": 1}, torch.ones(2, 3, 4), (torch.ones(5),)])
def test_what_holds_no_logits_is_told(output):
    with pytest.raises(ValueError, match=r"expected logits \[2, C\]"):
        logits_of(output, 2)


# what a run asks


def test_the_question_of_a_run_knows_the_file_and_the_module(own, programs, tmp_path, data_home):
    file = tmp_path / "net.pt"
    torch.jit.trace(nn.Sequential(nn.Flatten(1), nn.Linear(3 * 28 * 28, 2)), torch.zeros(1, 3, 28, 28)).save(file)

    def asked(model):
        return plans.plan("00_start_here", given={"model": model, "weights": "own"})

    first = asked("torchscript:net.pt")
    assert first.values["model"] == f"torchscript:{file}"  # the kernel runs elsewhere
    torch.jit.trace(nn.Sequential(nn.Flatten(1), nn.Linear(3 * 28 * 28, 3)), torch.zeros(1, 3, 28, 28)).save(file)
    assert asked("torchscript:net.pt").run_id != first.run_id
    mine = asked(own("fixed"))
    (tmp_path / "mine" / "nets.py").write_text(MODULE + "\n# changed\n")
    assert asked(own("fixed")).run_id != mine.run_id


def test_a_path_with_a_comma_is_one_program(tmp_path):
    (tmp_path / "a, b.pt").touch()
    models = parameters.Parameter("model", "list[str]", ["resnet18"], "")
    value = f"torchscript:{tmp_path / 'a, b.pt'}"
    assert parameters._listed(models, value) == [value]


def test_sealed_networks_move_with_what_they_hold(programs):
    sealed = networks.foreign.build(programs["alone"])
    assert isinstance(sealed, Sealed)
    assert {p.dtype for p in sealed.double().inner.parameters()} == {torch.float64}
