"""What runs on a GPU runs there alone: every method and the notebooks' hot paths on a device that is not there.

A tensor left on the processor, or one that goes to numpy by itself, is an error there as it would be on a GPU; what
comes back equals what the processor finds.
"""

import copy

import numpy as np
import pytest
import torch
from elsewhere import DEVICE, Elsewhere, elsewhere
from known import DOUBLE, calibrated, close, few_for_embedded
from test_attribution import FEW
from torch.nn import functional as F

from helpers import networks, pictures
from helpers.heatmaps import attribute, methods
from helpers.networks import Classifier, build, training

pytestmark = pytest.mark.usefixtures("one_thread")
X, C = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0])
BYTES = (255 * X).byte()


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)  # else it is another one each time, and some give maps of zeros
    return calibrated(build("compact_resnet", 2))


@pytest.fixture
def both(net):
    """`both(f)`: f(network) here, and there with what it gives brought home."""

    def asked(f, network=net):
        here = f(copy.deepcopy(network))
        with elsewhere() as device:
            there = f(copy.deepcopy(network).to(device))
        return here, there

    return asked


def classifier(net):
    return Classifier("compact_resnet", net, torch.arange(2))


# The device itself ------------------------------------------------------------------------------------------------


MISTAKES = {
    "goes to numpy by itself": lambda x: x.numpy(),
    "is made an array": lambda x: np.asarray(x),
    "meets a tensor left here": lambda x: x + torch.ones(3),
    "is joined with one": lambda x: torch.cat([x, torch.zeros(3)]),
    "is weighed by one": lambda x: torch.where(torch.ones(3, dtype=torch.bool), x, 0.0),
}
ALLOWED = {
    "a number": lambda x: x + 1,
    "a tensor of no dimension": lambda x: x * torch.tensor(2.0),
    "one made there": lambda x: x + torch.ones(3, device=x.device),
    "one like it": lambda x: x + torch.zeros_like(x),
    "one moved there": lambda x: x + torch.ones(3).to(x),
    "an index from here": lambda x: x[torch.tensor([0, 2])],
    "a copy": lambda x: torch.empty_like(x).copy_(torch.ones(3)),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_an_error_there(mistake):
    with elsewhere() as device, pytest.raises((TypeError, RuntimeError), match="same device|numpy"):
        mistake(torch.rand(3).to(device))


@pytest.mark.parametrize("way", ALLOWED.values(), ids=ALLOWED)
def test_what_a_gpu_allows_is_allowed_there(way):
    with elsewhere() as device:
        found = way(torch.rand(3, device=device))
        assert isinstance(found, Elsewhere)
        assert found.device == DEVICE
        assert type(found.cpu()) is torch.Tensor
        found.cpu().numpy()


def test_a_method_that_leaves_a_tensor_here_is_caught(net, monkeypatch):
    monkeypatch.setattr(methods, "input_gradients", lambda batch, images: torch.zeros(images.shape) * images)
    with elsewhere() as device, pytest.raises(RuntimeError, match="same device"):
        attribute("saliency", copy.deepcopy(net).to(device), X, C)


# Heatmaps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in methods.METHODS if "rollout" not in name])
def test_a_heatmap_is_made_there_and_is_the_same(name, both):
    here, there = both(lambda net: attribute(name, net.double(), X.double(), C, **FEW.get(name, {})))
    assert isinstance(there, Elsewhere)
    assert close(there.cpu(), here, DOUBLE)


# The notebooks' hot paths -----------------------------------------------------------------------------------------


def test_01_scores_mosaics_there(notebook, both):
    nb = notebook("01_focus")
    M = nb.mosaics(torch.arange(2).repeat_interleave(8), 3)
    tiles = torch.randint(256, (16, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    here, there = both(lambda net: nb.focus_of("gradcam", classifier(net.double()), M, tiles.__getitem__))
    assert np.allclose(there, here, rtol=DOUBLE, atol=DOUBLE, equal_nan=True)


def test_02_sums_regions_there(notebook, both):
    nb = notebook("02_facex")
    layers = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)) > 0.6
    how = {"read": BYTES.__getitem__, "masks": layers.__getitem__, "regions": ["background", "skin", "nose"]}
    here, there = both(lambda net: nb.facex_at([*range(4)], classifier(net.double()), 1, **how))
    for name in ("soft", "binary"):
        assert np.allclose(there[name], here[name], atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("surrogate", ["soft_mask", "soft_box", "straight_through"])
def test_03_has_its_loss_and_gradient_there(surrogate, notebook, both):
    nb = notebook("03_ria")
    boxes = torch.tensor([[8.0, 8, 40, 40]]).repeat(4, 1)

    def gradient(net):
        device = next(net.parameters()).device
        loss, _ = nb.objective("layer4", None, nb.Ria(surrogate)).loss(
            net, X.to(device), C.to(device), boxes.to(device)
        )
        loss.backward()
        return loss.item(), net.fc.weight.grad.cpu()

    (here, g_here), (there, g_there) = both(gradient)
    assert there == pytest.approx(here, abs=1e-4)
    assert close(g_there, g_here, 1e-3)


def test_04_judges_maps_there(notebook, both):
    nb = notebook("04_advise")
    names = ["gradcam", "lime"]  # ADVISE's groups hang on peaks, and those on a rounding of the network
    options = {"gradcam": {"resolution": "native"}, "lime": FEW["lime"]}

    def rows(net):
        layer = net.get_submodule("layer4")
        return nb.protocol(classifier(net), BYTES, layer, names, options, nb.Advise(), nb.Protocol(), partitions=1)

    here, there = both(rows)
    assert there["method"].tolist() == here["method"].tolist()
    for name in ("o", "CS", "covered", "SSIM raw", "FSIM raw", "MSE raw", "energy"):
        assert np.allclose(there[name], here[name], rtol=1e-3, atol=1e-3, equal_nan=True)


def test_04_counts_peaks_there(notebook):
    nb = notebook("04_advise")
    x = nb.unit_minmax(torch.randn(6, 49, dtype=torch.float64, generator=torch.Generator().manual_seed(4)))
    with elsewhere() as device:
        there = nb.count_peaks(nb.densities(x.to(device)).lam)
        assert isinstance(there, Elsewhere)
    assert there.tolist() == nb.count_peaks(nb.densities(x).lam).tolist()


@pytest.fixture
def debiasing(notebook):
    """Notebook 05, and D for it: pictures read where a network is, labels here."""
    nb = notebook("05_debiasing_metrics")
    x = torch.rand(48, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    y, a = torch.arange(48) % 2, torch.arange(48) // 2 % 2
    return nb, lambda net: nb.Pictures(lambda rows: x[rows].to(next(net.parameters())), y, a)


@pytest.fixture
def in_double():
    """What is made anew is float64: where a gradient is near 0, a rounding decides on the sign of Adam's step."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["zhang", "savani"])
def test_05_learns_against_an_opponent_there(name, debiasing, both, in_double):
    nb, D = debiasing
    how = {"n": 24, "rounds": 1}
    learn = {"zhang": lambda n: nb.zhang(n, D(n), **how), "savani": lambda n: nb.savani(n, D(n), "layer4", **how)}
    here, there = both(lambda net: learn[name](net.double()).fc.weight.detach().cpu())
    assert close(there, here, DOUBLE)


def test_05_finds_and_takes_out_a_direction_there(debiasing, both):
    nb, D = debiasing

    def projected(net):
        A = nb.activations(net, "layer4", D(net))
        v, z = nb.cav_of(A, D(net).a), A.mean(0)
        clean = nb.pclarc(net, "layer4", v, z)
        device = next(net.parameters()).device
        with torch.no_grad():
            logits = clean(X.to(device))
        losses = [nb.aclarc_objective("layer4", v, z).loss, nb.rrclarc_objective("layer4", v).loss]
        found = [loss(net, X.to(device), C.to(device)) for loss in losses]
        return logits.cpu(), torch.stack([(f[0] if isinstance(f, tuple) else f).detach().cpu() for f in found])

    for here, there in zip(*both(projected), strict=True):
        assert close(there, here, 1e-3)


def test_05_makes_its_maps_there(notebook, both):
    notebook("05_debiasing_metrics")  # epsilon_plus joins the methods
    here, there = both(lambda net: attribute("epsilon_plus", net.double(), X.double(), C).cpu())
    assert close(there, here, DOUBLE)


# Training and evaluation ------------------------------------------------------------------------------------------


def test_a_network_is_trained_and_evaluated_there(data_home):
    photos = few_for_embedded(data_home, 60, 64) or pictures.load("scenes")
    recipe = training.Recipe("compact_alexnet", size=56, epochs=1, batch=16)
    with elsewhere() as device:
        trained = training.train(recipe, photos, device=device)
        assert trained.net.classifier[1].weight.device == DEVICE
        val = photos.split("val")
        found, _ = networks.evaluate(trained, val, pictures.reader(val, 56, "squash_crop"))
        given = networks.logits(trained, val, pictures.reader(val, 56, "squash_crop"))
    assert trained.history[-1]["accuracy"] == found
    assert type(given) is torch.Tensor
    assert F.softmax(given, 1).isfinite().all()
