"""What notebook 05 costs: its heatmaps against bare passes, its four metrics against numpy's, vanilla trained once.

1. LRP (`epsilon_plus`) and Integrated Gradients on random weights of two outputs. A bare pass is a forward and a
   backward to the pixels. LRP takes one, and in its backward zennit runs every convolution forward and backward again,
   twice: on positive inputs with positive weights and on negative ones with negative. That is three passes; how many
   exactly is counted, in operations. (After a ReLU nothing is negative. Who leaves those out, and the gradient that
   the rule replaces, needs 1.5.) Beside it the authors' `LRPHandler`, which makes the maps of both classes, of which
   its metrics use one; maps as published must be the same. IG of 50 steps against 50 passes, and against a loop over
   captum, a picture at a time. Aims: LRP at most 1.5 times its passes and no slower than theirs, IG at most 1.2 times.
2. Intensities and RRF, ADR, DIF and RDDT of maps of 224 px against vanilla's, in batches, on noise. Making it is not
   counted. Beside them the authors' classes, fed as their XAIMetricsCalculator does (without what RRF draws), on fewer
   maps and scaled up; means must agree. Aims: 10,000 maps under 2 s; their peak of memory within 10 % of that of 1,000,
   each in a process of its own.
3. The same training asked for twice: how often it is trained, and what asking costs.

In turns, on the processor; the fastest turn of each counts. On a busy machine the numbers say little.
detoxai is in no extra of ours, see tests/detoxai_there.py; without it the rest is measured.
"""

import argparse
import os
import subprocess
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

from helpers import data, models, training
from helpers.attribution import attribute
from helpers.layers import explaining

sys.path.append(str(data.REPO / "tests"))
import detoxai_there  # noqa: E402

ROI, STEPS = (50, 185, 123, 31), 50  # the paper's necktie (49, 180, 120, 30) of 218 px, at 224
nb = Notebook.load_file(str(data.REPO / "notebooks/05_debiasing_metrics.ipynb"), main=False, include_non_defs=False)


def seconds_of(way):
    start = time.perf_counter()
    found = way()
    return time.perf_counter() - start, found


def fastest(ways, rounds, desc):
    seconds = dict.fromkeys(ways, float("inf"))
    for name in tqdm([*ways, *reversed(ways)] * rounds, desc=desc, leave=False):
        seconds[name] = min(seconds[name], seconds_of(ways[name])[0])
    return seconds


def pictures(size, n):
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    images = (255 * F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)).byte()
    return models.normalised(images, "half")


def calibrated(name, x):
    """Random weights; its batch norms have seen some pictures, or deep activations would overflow."""
    torch.manual_seed(0)
    net = models.placed(models.build(name, 2), "cpu").train()
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
    x, c = pictures(size, n), torch.arange(n) % 2
    net = calibrated(name, x)
    plain = models.build(name, 2).eval()  # in the layout a user of the others would have
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


def noise(n, batch):
    """() -> pairs of relevance maps (b, 224, 224), of a network and of vanilla, other ones each time; n in all."""
    a, b = torch.randn(2, min(batch, n), 224, 224, generator=torch.Generator().manual_seed(0))

    def made():
        for first in range(0, n, batch):
            size = min(batch, n - first)
            shift = first // batch * 37 % 224
            yield a[:size].roll(shift, 2), (b + 0.3 * a)[:size].roll(shift, 1)

    return made


class Clock:
    """Seconds by part."""

    def __init__(self):
        self.parts = {}

    def __call__(self, part, function, *arguments):
        seconds, found = seconds_of(lambda: function(*arguments))
        self.parts[part] = self.parts.get(part, 0.0) + seconds
        return found


def ours(made):
    clock, found = Clock(), {"RRF": [], "ADR": [], "DIF": []}
    for r, r_vanilla in made():
        d, _ = clock("intensity", nb.intensity, r)
        v, _ = clock("vanilla's intensity", nb.intensity, r_vanilla)
        found["RRF"].append(clock("RRF", nb.rrf, d, ROI))
        found["ADR"].append(clock("ADR", nb.adr, v, d, ROI))
        found["DIF"].append(clock("DIF", nb.dif, v, d, ROI))
    found = {name: torch.cat(values) for name, values in found.items()}
    clock("RDDT", nb.rddt, found["ADR"].numpy())
    return clock.parts, {name: values.mean().item() for name, values in found.items()}


def published_intensity(xai, r):
    """As at the end of LRPHandler.calculate, and then in calculate_metrics."""
    r = r.numpy()
    a = np.abs(r).max((1, 2), keepdims=True)
    p = torch.Tensor((r + a) / 2 / a)
    return xai.XAIMetricsCalculator._symmetrize(None, p.to(dtype=float).numpy(), 0.5)


def theirs(xai, made):
    """As in calculate_metrics: rectangles have rows first, and most metrics ask first whether all maps are the same."""
    clock, metrics = Clock(), [xai.RRF(), xai.ADR(), xai.DIF(), xai.RDDT()]
    x, y, w, h = ROI
    where = (y, x), (h, w)
    for r, r_vanilla in made():
        d = clock("intensity", published_intensity, xai, r)
        v = clock("vanilla's intensity", published_intensity, xai, r_vanilla)
        for metric in metrics:
            if metric.name == "RRF":
                clock("RRF", metric.aggregate, d, *where)
            else:
                clock("allclose", np.allclose, d, v)
                clock(metric.name, metric.aggregate, d, *where, v)
    found = {metric.name: clock(metric.name, metric.reduce)["mean"] for metric in metrics}
    return clock.parts, {name: found[name] for name in ("RRF", "ADR", "DIF")}


def measured(n, batch, rounds, few, detoxai):
    made = noise(n, batch)
    making = seconds_of(lambda: sum(1 for _ in made()))[0]
    runs = [ours(made)[0] for _ in tqdm(range(rounds), desc="metrics", leave=False)]
    parts = min(runs, key=lambda parts: sum(parts.values()))
    total = sum(parts.values())
    print(f"\nfour metrics, {n} maps of 224 px in batches of {batch}; making the maps, {making:.1f} s, is not in it")
    print(f"  ours    {total:7.2f} s (aim for 10000: under 2): {listed(parts)}")
    if detoxai:
        some = noise(few, batch)
        parts, given = theirs(detoxai.xai, some)
        same, s = ours(some)[1], sum(parts.values()) * n / few
        print(f"  detoxai {s:7.2f} s, {s / total:.1f} x, from {few}: {listed(parts, n / few)}")
        print("    means apart: " + ", ".join(f"{name} {abs(given[name] - same[name]):.0e}" for name in same))


def listed(parts, times=1.0):
    return ", ".join(f"{part} {s * times:.2f}" for part, s in parts.items())


def megabytes(field):
    """VmRSS, held now, or VmHWM, the most so far, of this process; `getrusage` counts what started it, too. Linux."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) / 2**10


def memory_over_start(n, batch):
    made = noise(n, batch)
    start = megabytes("VmRSS")
    ours(made)
    print(megabytes("VmHWM") - start)


def memory(sizes, batch):
    print(f"\nmemory over the start, batches of {batch}, of which a pair is {2 * batch * 224**2 * 4 / 2**20:.0f} MB")
    peaks = []
    for n in sizes:
        command = [sys.executable, "-W", "ignore", __file__, "--memory-of", str(n), "--batch", str(batch)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks.append(float(found))
        print(f"  {n:6} maps {peaks[-1]:6.0f} MB")
    print(f"  most / least: {max(peaks) / min(peaks):.3f} (aim: same within 10 %)")


def trained_once(folder):
    """Two classes of noise; the recipe is the notebook's, tiny."""
    draws = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "noise" / label).mkdir(parents=True)
        for i in range(100):
            Image.fromarray(draws.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / f"noise/{label}/{i}.png")
    photos = data.divided(data.load(folder / "noise"))
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
    parser.add_argument("--maps", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=25, help="maps at a time")
    parser.add_argument("--their-maps", type=int, default=1000, help="maps that detoxai's metrics get, 16 or more")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of a measurement, there and back")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        return memory_over_start(options.memory_of, options.batch)
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    busy = ": busy, so the numbers say little" if load > (os.cpu_count() or 1) else ""
    print(f"torch {torch.__version__}, {threads} threads, load {load:.1f}{busy}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_DATA"] = folder  # nothing is left behind
        (Path(folder) / "detoxai").mkdir()
        detoxai = authors(Path(folder) / "detoxai")
        few = max(1, options.images // 16), max(1, options.large_images // 16)
        heatmaps("compact_resnet", 112, options.images, few[0], options.rounds, detoxai)
        heatmaps("resnet18", 224, options.large_images, few[1], options.rounds, detoxai)
        measured(options.maps, options.batch, options.rounds, options.their_maps, detoxai)
        memory([options.maps // 10, options.maps], options.batch)
        trained_once(Path(folder))


if __name__ == "__main__":
    main()
