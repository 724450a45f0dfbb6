"""What the heatmaps of notebook 05 cost beside bare passes, and training twice. Its metrics: debiasing_metrics.py.

1. LRP (`epsilon_plus`) and Integrated Gradients on random weights of two outputs. A bare pass is a forward and a
   backward to the pixels. LRP takes one, and in its backward zennit runs every convolution forward and backward again,
   twice: on positive inputs with positive weights and on negative ones with negative. That is three passes; how many
   exactly is counted, in operations. (After a ReLU nothing is negative. Who leaves those out, and the gradient that
   the rule replaces, needs 1.5.) Beside it the authors' `LRPHandler`, which makes the maps of both classes, of which
   its metrics use one; maps as published must be the same. IG of 50 steps against 50 passes, and against a loop over
   captum, a picture at a time. Aims: LRP at most 1.5 times its passes (0.67) and no slower than theirs, IG at most 1.2
   times (0.83).
2. The same training asked for twice: how often it is trained, and what asking costs.

In turns, on the processor; medians count, of bare passes those at their best batch size.
detoxai is in no extra of ours, see tests/detoxai_there.py; without it the rest is measured.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients
from importnb import Notebook
from PIL import Image
from stand_ins import calibrated, noise
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import TensorDataset
from torch.utils.flop_counter import flop_registry
from turns import Row, asked, best, each, keep, seconds_of, show, timed

from helpers import networks, pictures
from helpers.heatmaps import attribute
from helpers.networks import training
from helpers.networks.layers import explaining

sys.path.append(str(pictures.REPO / "tests"))
import detoxai_there  # noqa: E402

STEPS = 50
nb = Notebook.load_file(str(pictures.REPO / "notebooks/05_debiasing_metrics.ipynb"), main=False, include_non_defs=False)


def bare(net, x, c, batch):
    """One forward, and one backward to the pixels."""
    with explaining(net):
        for some, targets in zip(x.split(batch), c.split(batch), strict=True):
            some = some.clone().requires_grad_()
            torch.autograd.grad(net(some).gather(1, targets[:, None]).sum(), some)


class Operations(TorchDispatchMode):
    """Counts those of convolutions and dense layers. (torch's FlopCounterMode cannot see `autograd.grad`.)"""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if count := flop_registry.get(function.overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=found)
        return found


def operations(way):
    with Operations() as counter:
        way()
    return counter.total


def captum_loop(net, x, c):
    """As captum's tutorials have it: a model, a picture."""
    score = IntegratedGradients(net)
    return torch.cat([score.attribute(x[[i]], 0, int(c[i]), n_steps=STEPS).detach().sum(1) for i in range(len(x))])


def theirs_of(detoxai, net, x, c):
    """() -> the authors' maps of both classes (2, N, W, H), from 0 to 1 with 0.5 where there is no relevance."""
    pairs = TensorDataset(x.contiguous(), c, torch.zeros_like(c))
    loader = detoxai.dataloader.WrappedDataLoader(pairs, 2, batch_size=len(x))
    return lambda: detoxai.visualization.LRPHandler().calculate(net, loader, 0)


def heatmaps(name, size, n, few, rounds, detoxai):
    x, c = networks.normalised(noise(size, n), "half"), torch.arange(n) % 2
    net = calibrated(name, x, 2)
    plain = networks.build(name, 2).eval()  # in the layout a user of the others would have
    plain.load_state_dict(net.state_dict())
    one = (net, x[:1], c[:1])
    once = operations(lambda: bare(*one, 1))
    measuring = operations(lambda: attribute("random", *one))  # one forward, of what a picture takes; once a call
    passes = (operations(lambda: attribute("epsilon_plus", *one)) - measuring) / once
    ways = {
        f"bare passes, batches of {b}": lambda b=b: bare(net, x, c, b) for b in sorted({min(b, n) for b in (4, 16, 64)})
    }
    ways["LRP"] = lambda: attribute("epsilon_plus", net, x, c)
    if detoxai:
        ways["detoxai"] = theirs_of(detoxai, plain, x, c)
    print(f"\n{name}, {size} px, {n} pictures")
    seconds = timed(ways, rounds, name)
    show(seconds, n)
    bare_, mine, of = each(best(seconds, "bare"), n), each(seconds["LRP"], n), f"of a picture, {name}, {size} px"
    limit = [passes * ms for ms in bare_]
    rows = [Row(f"LRP {of}", mine, f"limit: its {passes:.2f} bare passes", limit, "ms", 1 / 1.5)]
    if detoxai:
        rows += [Row(f"LRP {of}", mine, "detoxai, both classes", each(seconds["detoxai"], n), "ms", 1)]
        given = ways["detoxai"]()[c, torch.arange(n)].double() - 0.5
        ours = nb.intensity(attribute("epsilon_plus", net, x, c, canonize=False), "signed")[0] / 2
        print(f"    maps as published at most {(given - ours).abs().max():.0e} apart, of 0.5")
    x, c = x[:few], c[:few]
    ways = {"IG": lambda: attribute("integrated_gradients", net, x, c, steps=STEPS)}
    ways["captum, one by one"] = lambda: captum_loop(plain, x.contiguous(), c)
    seconds, steps = timed(ways, 1, f"{name}, IG"), [STEPS * ms for ms in bare_]
    mine = each(seconds["IG"], few)
    rows += [Row(f"IG of {STEPS} steps {of}", mine, f"limit: {STEPS} bare passes", steps, "ms", 1 / 1.2)]
    loop = each(seconds["captum, one by one"], few)
    return [*rows, Row(f"IG of {STEPS} steps {of}", mine, "captum, one by one", loop, "ms")]


def trained_once(folder):
    """Two classes of noise; the recipe is the notebook's, tiny."""
    draws = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "noise" / label).mkdir(parents=True)
        for i in range(100):
            Image.fromarray(draws.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / f"noise/{label}/{i}.png")
    photos = pictures.divided(pictures.load(folder / "noise"))
    recipe = training.Recipe("compact_resnet", size=64, epochs=3, augment="none", optimiser="adam")
    fits, fit = [], training._fit
    training._fit = lambda *arguments: fits.append(1) or fit(*arguments)
    try:
        seconds = [seconds_of(lambda: training.train(recipe, photos))[0] for _ in range(3)]
    finally:
        training._fit = fit
    print(f"\nvanilla asked for {len(seconds)} times: trained {len(fits)} x (aim: once)")
    return [Row("A training asked for again", seconds[1:], "the training", seconds[:1], "s")]


def authors(folder):
    """The authors' library, or None where it is not installed."""
    try:
        return detoxai_there.load(folder)
    except ImportError as error:
        print(f"detoxai is left out: {error}. To measure it: {detoxai_there.HINT}")


def main():
    options = asked(__doc__, images=(96, 128), large_images=(12, 16), rounds=(1, 1))  # of 112 px, of 224 px
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_DATA"] = folder  # nothing is left behind
        (Path(folder) / "detoxai").mkdir()
        detoxai = authors(Path(folder) / "detoxai")
        few = max(1, options.images // 16), max(1, options.large_images // 16)
        rows = heatmaps("compact_resnet", 112, options.images, few[0], options.rounds, detoxai)
        rows += heatmaps("resnet18", 224, options.large_images, few[1], options.rounds, detoxai)
        rows += trained_once(Path(folder))
    keep("debiasing", rows, options.full)


if __name__ == "__main__":
    main()
