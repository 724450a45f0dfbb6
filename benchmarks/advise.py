"""What ADVISE costs: its densities against one unit after the other, their memory, its protocol against the network.

1. Densities and peaks of a picture's units, random normal values as before a ReLU, each unit stretched from 0 to 1,
   in float64; medians count. Beside them `adaptivekde.ssvkernel` unit by unit, on the same grid with the same
   bandwidths, timed on a few units and scaled up to all. On these both must agree. The paper's authors took 6.4 s
   (ResNet-50, 2048 units of 49 values), 6.9 s (VGG16, 512 of 196) and 30.3 s (AlexNet, 256 of 169) on their processor.
   Aims: under 1, 4 and 2 s; at least 50 times faster than unit by unit.
2. Peak memory over the start, each layer in a process of its own. Aim: under 400 MB, however many units.
3. The protocol against what cannot be left out: its calls of the network (`attribute` and `probabilities`, forward and
   backward), and of SSIM and FSIM. These are noted in one run and then repeated by themselves. Random weights, five
   methods, no random partitions. Aim: at most twice as long (0.5).
"""

import torch
from adaptivekde import ssvkernel
from importnb import Notebook
from stand_ins import calibrated, noise
from tqdm import tqdm
from turns import Row, alone, asked, keep, seconds_of, timed

from helpers import networks
from helpers.pictures import REPO

LAYERS = {"ResNet-50": (2048, 49, 1.0, 6.4), "VGG16": (512, 196, 4.0, 6.9), "AlexNet": (256, 169, 2.0, 30.3)}
METHODS = ["advise", "gradcam", "gradcampp", "layercam", "saliency"]
NATIVE = {"relu": True, "resolution": "native"}
OPTIONS = {name: NATIVE for name in METHODS[1:4]}
advise = Notebook.load_file(str(REPO / "notebooks/04_advise.ipynb"), main=False, include_non_defs=False)


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
    ours = timed({name: lambda: all_at_once(x)}, rounds, name)[name]
    some = torch.linspace(0, K - 1, few).long()
    took, reference = seconds_of(lambda: one_by_one(x[some], t))
    apart = (reference - lam[some]).abs().max().item()
    same = (advise.count_peaks(reference) == phi[some]).sum().item()
    what, theirs = f"Densities of {K} units of {n} values ({name})", [took / few * K]
    print(f"{what}: {phi.min()} to {phi.max()} peaks; the first time, with the tables of the grid, {first:.2f} s")
    print(f"  one by one, {few} units: densities {apart:.0e} apart (aim: 1e-9), peaks alike in {same} of {few}")
    rows = [Row(what, ours, f"limit set: {aim:.0f} s", [aim], "s", 1)]
    rows += [Row(what, ours, "the paper's, on its authors' machine", [paper], "s")]
    return [*rows, Row(what, ours, "adaptivekde, one by one", theirs, "s", 50)]


def of_so_many(K):
    all_at_once(values(K, 196))


def memory():
    rows = []
    for K in (512, 2048, 8192):
        one = alone(of_so_many, K)
        what = f"Memory over the start, densities of {K} units of 196 values"
        rows += [Row(what, [one.peak - one.start], "limit set: 400 MB", [400.0], "MB", 1)]
    return rows


def noted(calls, kind, function):
    def noting(*arguments, **named):
        calls.append((kind, lambda: function(*arguments, **named)))
        return function(*arguments, **named)

    return noting


def classifier_of(name, images):
    """Random weights; its batch norms have seen some pictures."""
    net = calibrated(name, networks.normalised(images[:8], "half"), 1000 if name == "resnet50" else 10)
    return networks.Classifier(name, net, torch.arange(10))


def protocol(name, size, n):
    images = noise(size, n)
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
    what = f"ADVISE's protocol, {len(METHODS)} methods, {name}, {size} px"
    print(f"{what}: {layer_name}, {n} pictures, {groups:.1f} groups each")
    for part, s in {"whole": seconds, **parts, "all else": seconds - sum(parts.values())}.items():
        print(f"  {part:10} {1000 * s / n:8.1f} ms a picture  {s / seconds:5.0%}")
    whole_, least_ = [1000 * seconds / n], [1000 * least / n]
    return [Row(what, whole_, "limit: its calls of network, SSIM and FSIM", least_, "ms a picture", 0.5)]


def main():
    options, rows = asked(__doc__, images=(20, 100), large_images=(1, 4), rounds=(2, 3), units=(12, 12)), []
    for name in LAYERS:
        rows += density(name, options.rounds, options.units)
    rows += memory() + protocol("compact_vgg", 112, options.images)
    keep("advise", rows + protocol("resnet50", 224, options.large_images), options.full)


if __name__ == "__main__":
    main()
