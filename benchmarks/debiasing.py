"""What the heatmaps of notebook 05 cost beside bare passes, and training twice. Its metrics: debiasing_metrics.py.

1. LRP (`epsilon_plus`) and Integrated Gradients on random weights of two outputs. A bare pass is a forward and a
   backward to the pixels. LRP takes one, and in its backward zennit runs every convolution forward and backward again,
   twice: on positive inputs with positive weights and on negative ones with negative. That is three passes; how many
   exactly is counted, in operations. (After a ReLU nothing is negative. Who leaves those out, and the gradient that
   the rule replaces, needs 1.5.) Beside it the authors' `LRPHandler`, which makes the maps of both classes, of which
   its metrics use one; maps as published must be the same. IG of 50 steps against 50 passes, and against a loop over
   captum, a picture at a time. Aims: LRP at most 1.5 times its passes and no slower than theirs, IG at most 1.2 times.
2. The same training asked for twice: how often it is trained, and what asking costs.

In turns, on the processor; the fastest turn of each counts. On a busy machine the numbers say little.
detoxai is in no extra of ours, see tests/detoxai_there.py; without it the rest is measured.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients
from importnb import Notebook
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import TensorDataset
from torch.utils.flop_counter import flop_registry
from tqdm import tqdm

from helpers import networks, pictures
from helpers.heatmaps import attribute
from helpers.networks import training
from helpers.networks.layers import explaining

sys.path.append(str(pictures.REPO / "tests"))
import detoxai_there  # noqa: E402

STEPS = 50
nb = Notebook.load_file(str(pictures.REPO / "notebooks/05_debiasing_metrics.ipynb"), main=False, include_non_defs=False)


def seconds_of(way):
    start = time.perf_counter()
    found = way()
    return time.perf_counter() - start, found


def machine():
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    busy = ": busy, so the numbers say little" if load > (os.cpu_count() or 1) else ""
    return f"torch {torch.__version__}, {threads} threads, load {load:.1f}{busy}"


def fastest(ways, rounds, desc):
    seconds = dict.fromkeys(ways, float("inf"))
    for name in tqdm([*ways, *reversed(ways)] * rounds, desc=desc, leave=False):
        seconds[name] = min(seconds[name], seconds_of(ways[name])[0])
    return seconds


def noise(size, n):
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    images = (255 * F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)).byte()
    return networks.normalised(images, "half")


def calibrated(name, x):
    """Random weights; its batch norms have seen some pictures, or deep activations would overflow."""
    torch.manual_seed(0)
    net = networks.placed(networks.build(name, 2), "cpu").train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over what it sees
    with torch.no_grad():
        net(x[:8])
    return net.eval()


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
    x, c = noise(size, n), torch.arange(n) % 2
    net = calibrated(name, x)
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
    seconds = fastest(ways, rounds, name)
    limit = min(s for way, s in seconds.items() if way.startswith("bare"))
    for way, s in seconds.items():
        print(f"  {way:28} {n / s:7.1f} pictures/s {1000 * s / n:8.1f} ms")
    ratio = seconds["LRP"] / limit
    print(f"  LRP is {passes:.2f} passes by its operations, and takes as long as {ratio:.2f} of the fastest", end="")
    print(f": {ratio / passes:.2f} times its limit (aim: at most 1.5)")
    if detoxai:
        s = seconds["detoxai"]
        times = s / seconds["LRP"]
        print(f"  detoxai {2 * n / s:.1f} maps/s, of use {n / s:.1f}; LRP {n / seconds['LRP']:.1f}", end="")
        print(f": {times / 2:.2f} x by map, {times:.2f} x by map of use (aim: at least 1)")
        given = ways["detoxai"]()[c, torch.arange(n)].double() - 0.5
        ours = nb.intensity(attribute("epsilon_plus", net, x, c, canonize=False), "signed")[0] / 2
        print(f"    maps as published at most {(given - ours).abs().max():.0e} apart, of 0.5")
    x, c = x[:few], c[:few]
    ways = {"IG": lambda: attribute("integrated_gradients", net, x, c, steps=STEPS)}
    ways["captum, one by one"] = lambda: captum_loop(plain, x.contiguous(), c)
    ig = fastest(ways, 1, f"{name}, IG")
    ratio, loop = ig["IG"] / few / (STEPS * limit / n), ig["captum, one by one"] / ig["IG"]
    print(f"  IG, {few} pictures: {ig['IG'] / few:.2f} s each, {ratio:.2f} times {STEPS} passes (aim: at most 1.2)")
    print(f"  captum's loop / IG: {loop:.2f}")


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
    print(f"  first {seconds[0]:.2f} s, then {1000 * min(seconds[1:]):.0f} ms, {seconds[0] / min(seconds[1:]):.0f} x")


def authors(folder):
    """The authors' library, or None where it is not installed."""
    try:
        return detoxai_there.load(folder)
    except ImportError as error:
        print(f"detoxai is left out: {error}. To measure it: {detoxai_there.HINT}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128, help="pictures of 112 px")
    parser.add_argument("--large-images", type=int, default=16, help="pictures of 224 px")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of a measurement, there and back")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_DATA"] = folder  # nothing is left behind
        (Path(folder) / "detoxai").mkdir()
        detoxai = authors(Path(folder) / "detoxai")
        few = max(1, options.images // 16), max(1, options.large_images // 16)
        heatmaps("compact_resnet", 112, options.images, few[0], options.rounds, detoxai)
        heatmaps("resnet18", 224, options.large_images, few[1], options.rounds, detoxai)
        trained_once(Path(folder))


if __name__ == "__main__":
    main()
