"""What ADVISE costs: its densities against one unit after the other, their memory, its protocol against the network.

1. Densities and peaks of a picture's units, random normal values as before a ReLU, each unit stretched from 0 to 1,
   in float64; the fastest of a few rounds. Beside them `adaptivekde.ssvkernel` unit by unit, on the same grid with the
   same bandwidths, timed on a few units and scaled up to all. On these both must agree. The paper's authors took 6.4 s
   (ResNet-50, 2048 units of 49 values), 6.9 s (VGG16, 512 of 196) and 30.3 s (AlexNet, 256 of 169) on their processor.
   Aims: under 1, 4 and 2 s; at least 50 times faster than unit by unit.
2. Peak memory over the start, each layer in a process of its own. Aim: under 400 MB, however many units.
3. The protocol against what cannot be left out: its calls of the network (`attribute` and `probabilities`, forward and
   backward), and of SSIM and FSIM. These are noted in one run and then repeated by themselves. Random weights, five
   methods, no random partitions. Aim: at most twice as long.

On a busy machine the numbers say little.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from adaptivekde import ssvkernel
from importnb import Notebook
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from helpers import networks
from helpers.pictures import REPO

LAYERS = {"ResNet-50": (2048, 49, 1.0, 6.4), "VGG16": (512, 196, 4.0, 6.9), "AlexNet": (256, 169, 2.0, 30.3)}
METHODS = ["advise", "gradcam", "gradcampp", "layercam", "saliency"]
NATIVE = {"relu": True, "resolution": "native"}
OPTIONS = {name: NATIVE for name in METHODS[1:4]}
advise = Notebook.load_file(str(REPO / "notebooks/04_advise.ipynb"), main=False, include_non_defs=False)


def seconds_of(way):
    start = time.perf_counter()
    found = way()
    return time.perf_counter() - start, found


def values(K, n):
    return advise.unit_minmax(torch.randn(K, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))


def all_at_once(x):
    lam = advise.densities(x).lam
    return lam, advise.count_peaks(lam)


def one_by_one(x, t):
    return torch.stack([torch.from_numpy(ssvkernel(unit, t, M=10, nbs=1, WinFunc="Gauss")[0]) for unit in x.numpy()])


def density(name, rounds, few):
    K, n, aim, paper = LAYERS[name]
    x, t = values(K, n), advise.grid_points(n).numpy()
    first, (lam, phi) = seconds_of(lambda: all_at_once(x))
    ours = min(seconds_of(lambda: all_at_once(x))[0] for _ in tqdm(range(rounds), desc=name, leave=False))
    some = torch.linspace(0, K - 1, few).long()
    took, reference = seconds_of(lambda: one_by_one(x[some], t))
    apart = (reference - lam[some]).abs().max().item()
    same = (advise.count_peaks(reference) == phi[some]).sum().item()
    print(f"\n{name}, {K} units of {n} values: {phi.min()} to {phi.max()} peaks")
    print(
        f"  all at once                 {ours:8.2f} s (aim: under {aim:.0f}; with the tables of the grid {first:.2f})"
    )
    print(f"  the authors' own, as given  {paper:8.2f} s  {paper / ours:6.1f} x")
    print(f"  one by one                  {took / few * K:8.2f} s  {took / few * K / ours:6.1f} x (aim: at least 50)")
    print(f"    from {few} units; densities {apart:.0e} apart (aim: 1e-9), peaks alike in {same} of {few}")


def megabytes(field):
    """VmRSS, held now, or VmHWM, the most so far, of this process; `getrusage` counts what started it, too. Linux."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(lines[field].split()[0]) / 2**10


def memory_over_start(K):
    x = values(K, 196)
    start = megabytes("VmRSS")
    all_at_once(x)
    print(megabytes("VmHWM") - start)


def memory():
    print("\nmemory over the start, units of 196 values (aim: under 400 MB)")
    for K in (512, 2048, 8192):
        command = [sys.executable, "-W", "ignore", __file__, "--memory-of", str(K)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"  {K:5} units {float(found):6.0f} MB")


def noted(calls, kind, function):
    def noting(*arguments, **named):
        calls.append((kind, lambda: function(*arguments, **named)))
        return function(*arguments, **named)

    return noting


def classifier_of(name, images):
    """Random weights; its batch norms have seen some pictures, or deep activations would overflow."""
    torch.manual_seed(0)
    net = networks.placed(networks.build(name, 1000 if name == "resnet50" else 10), "cpu").train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over what it sees
    classifier = networks.Classifier(name, net, torch.arange(10))
    with torch.no_grad():
        net(classifier.prepared(images[:8]))
    net.eval()
    return classifier


def protocol(name, size, n):
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    images = (255 * F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)).byte()
    classifier = classifier_of(name, images)
    layer_name, layer = advise.authors_layer(classifier.net, classifier.prepared(images[:1]))

    def whole():
        return advise.protocol(classifier, images, layer, METHODS, OPTIONS, advise.Advise(), advise.Protocol())

    kinds = {"attribute": "network", "probabilities": "network", "ssim": "SSIM", "fsim": "FSIM"}
    kinds |= {"peaks_of": "densities", "mask_of": "masks"}
    calls, functions = [], {function: getattr(advise, function) for function in kinds}
    for function, kind in kinds.items():
        setattr(advise, function, noted(calls, kind, functions[function]))
    try:
        seconds, rows = seconds_of(whole)
    finally:
        for function, original in functions.items():
            setattr(advise, function, original)
    parts = dict.fromkeys(kinds.values(), 0.0)
    for kind, call in tqdm(calls, desc="parts", leave=False):
        parts[kind] += seconds_of(call)[0]
    least = sum(parts[kind] for kind in ("network", "SSIM", "FSIM"))
    groups = rows["method"].value_counts()["advise"] / n
    print(
        f"\nprotocol, {name}, {size} px, {layer_name}, {n} pictures, {len(METHODS)} methods, {groups:.1f} groups each"
    )
    for part, s in {"whole": seconds, **parts, "all else": seconds - sum(parts.values())}.items():
        print(f"  {part:10} {1000 * s / n:8.1f} ms a picture  {s / seconds:5.0%}")
    print(f"  whole / (network, SSIM and FSIM): {seconds / least:.2f} (aim: at most 2)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="pictures of 112 px for the protocol")
    parser.add_argument("--large-images", type=int, default=4, help="pictures of 224 px")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of a density; the fastest counts")
    parser.add_argument("--units", type=int, default=12, help="units that are taken one by one")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        return memory_over_start(options.memory_of)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    for name in LAYERS:
        density(name, options.rounds, options.units)
    memory()
    protocol("compact_vgg", 112, options.images)
    protocol("resnet50", 224, options.large_images)


if __name__ == "__main__":
    main()
