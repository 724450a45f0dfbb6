"""The whole FaceX analysis, from files to tables: ours against facextool's own loop and the bare forward pass.

Ours is Grad-CAM, IoR soft and binary, and the patches: `facex` of notebook 02, nothing held (readers with budget=0).
facextool reads the same pictures, and the same masks as a PNG a region; its drawing is not counted. The limit is the
no-grad forward on pictures read before. All in one run, in turns, at 512 px with a torchvision ResNet-18 of random
weights, on the processor; the fastest turn of each counts. Aims: at least 0.8 of the limit, at least 5 times facextool.

Then memory: the peak of `facex` over 1,000 and over 10,000 faces, each in a fresh process. The rows point to the same
few files, and one convolution of stride 32 stands in for the network, so that it takes minutes: what could grow with
the faces is the rest. Aim: the same within 10 %.

facextool is in no extra of ours, since it pins an older grad-cam: `pip install --no-deps facextool==0.1.52` beside the
extra `oracles`. Without it the rest is measured.
"""

import argparse
import importlib.metadata
import os
import sys
import tempfile
import time
import types
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # facextool takes a GPU where there is one
os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from importnb import Notebook
from PIL import Image
from torch import nn
from torchvision import transforms
from tqdm import tqdm

from data_scripts.drawn import faces
from helpers import networks, pictures

SIDE = 512
notebook = Notebook.load_file(str(pictures.REPO / "notebooks/02_facex.ipynb"), main=False, include_non_defs=False)


def drawn(root, images):
    """Faces of SIDE pixels on disk, their masks as palette PNGs."""
    photos = pictures.load(faces.prepare(root, max(20, images), SIDE)).rows(range(images))
    return replace(photos, table=photos.table.drop(columns="layers"))


def ours(classifier, photos):
    read, masks = pictures.reader(photos, SIDE, "squash", budget=0), pictures.layer_reader(photos, budget=0)
    profile = notebook.facex(classifier, 1, torch.arange(len(photos)), read, masks, list(photos.regions.values()))
    if zero := profile.soft.isna().all(axis=1).sum():
        raise RuntimeError(f"{zero} maps are zero and were left out, which would flatter the speed")
    return profile


@torch.no_grad()
def limit(net, images, batch):
    for some in images.split(batch):
        net(some)


def facextool():
    """The module facex.component, patched no further than it takes to run; None where it is not installed."""
    sys.modules.setdefault("facer", types.ModuleType("facer"))  # imported, used only where masks are missing
    here = sys.path.copy()
    sys.path[:] = [p for p in here if Path(p).resolve() != Path(__file__).parent]  # this file has its package's name
    try:
        from facex import component, nn_utils
    except ImportError as error:
        print(f"facextool is left out: {error}. To measure it: pip install --no-deps facextool==0.1.52")
        return None
    finally:
        sys.path[:] = here
    if tuple(map(int, importlib.metadata.version("grad-cam").split(".")[:2])) >= (1, 5):  # no longer takes use_cuda

        def init(self, model, target_layers, use_cuda=False, reshape_transform=None):
            nn_utils.GradCAM.__init__(self, model, target_layers, reshape_transform)

        nn_utils.CustomGradCAM.__init__ = init
    if not hasattr(matplotlib.cm, "get_cmap"):  # removed in matplotlib 3.9
        matplotlib.cm.get_cmap = lambda name: matplotlib.colormaps[name]
    return component


def for_facextool(photos, root):
    """The picture folder and the CSV it reads: a PNG a region beside the pictures, two groups of equal size."""
    (anno := root / "pictures-mask-anno").mkdir()
    names = [Path(name).name for name in photos.table["image"]]
    (root / "pictures").symlink_to(photos.root / "images")
    for row, name in enumerate(names):
        for k, region in photos.regions.items():
            inside = photos.masks([row])[0] == k
            if inside.any():
                Image.fromarray((inside * 255).astype(np.uint8)).save(anno / f"{Path(name).stem}_{region}.png")
    pd.DataFrame({"img": names, "y": 1, "a": np.arange(len(names)) % 2}).to_csv(root / "labels.csv", index=False)
    return str(root / "pictures"), str(root / "labels.csv")


def opened(path):
    return Image.open(path).convert("RGB")


def theirs(component, net, folder, labels):
    """Seconds of its loop, which ends when it writes the scores: what follows is drawing."""
    normalise = transforms.Normalize(*networks.NORMALISE["imagenet"])
    steps = [transforms.Lambda(opened), transforms.Resize((SIDE, SIDE)), transforms.ToTensor(), normalise]
    scores = Path(folder) / "activations_per_sample.csv"
    start = time.time()
    with warnings.catch_warnings(), open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        component.run("y", "a", 1, net, folder, labels, "layer4", transforms.Compose(steps), SIDE)
    plt.close("all")
    if len(pd.read_csv(scores)) != len(pd.read_csv(labels)):
        raise RuntimeError("facextool left faces out")
    return scores.stat().st_mtime - start


def timed(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def speed(root, images, rounds):
    torch.manual_seed(0)
    net = networks.placed(networks.build("resnet18", 2), "cpu").eval()
    net.fc.weight.data.abs_()  # every map has a positive part: those without are left out, and cost nothing
    plain = networks.build("resnet18", 2).eval()  # in the layout a user of the other would have
    plain.load_state_dict(net.state_dict())
    classifier, photos = networks.Classifier("resnet18", net, torch.arange(2), "imagenet"), drawn(root, images)
    pixels = classifier.prepared(photos.images(range(images), SIDE))
    ways = {"ours": lambda: timed(ours, classifier, photos)}
    for batch in (1, 4, 16):
        ways[f"limit, channels last, by {batch}"] = lambda b=batch: timed(limit, net, pixels, b)
        ways[f"limit, batches of {batch}"] = lambda b=batch: timed(limit, plain, pixels.contiguous(), b)
    if component := facextool():
        where = for_facextool(photos, root)
        ways["facextool, its loop"] = lambda: theirs(component, plain, *where)
    seconds = dict.fromkeys(ways, float("inf"))
    for name in tqdm([*ways] * rounds, desc="rounds"):
        seconds[name] = min(seconds[name], ways[name]())
    for name, s in seconds.items():
        print(f"{name:28} {images / s:6.2f} images/s  {1000 * s / images:6.1f} ms")
    best = min(s for name, s in seconds.items() if "limit" in name)
    print(f"ours / limit at its best: {best / seconds['ours']:.2f} (aim 0.8)")
    if component:
        print(f"ours / facextool's loop:  {seconds['facextool, its loop'] / seconds['ours']:.2f} (aim 5)")


def peak(root, images):
    """Peak resident MB of this process after the analysis of so many faces, and its seconds."""
    pooling = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    net = nn.Sequential(nn.Conv2d(3, 16, 32, stride=32), nn.ReLU(), *pooling, nn.Linear(16, 2))
    net[-1].weight.data.abs_()
    few = drawn(root, 20)
    photos = few.rows([i % len(few) for i in range(images)])
    seconds = timed(ours, networks.Classifier("stand-in", net.eval(), torch.arange(2)), photos)
    status = Path("/proc/self/status").read_text(
        encoding="utf-8"
    )  # Linux; getrusage would tell the parent's peak where that is higher
    return int(status.split("VmHWM:")[1].split()[0]) / 1024, seconds


def memory(root, sizes):
    drawn(root, 20)
    peaks = []
    for images in sizes:
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            peaks += [(found := fresh.submit(peak, root, images).result())[0]]
        print(f"{images:6} faces: peak {found[0]:6.0f} MB, {found[1]:.0f} s")
    print(f"largest / smallest peak:  {max(peaks) / min(peaks):.3f} (aim: same within 10 %)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="faces timed, an even number; 0: memory only")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory-images", type=int, nargs="*", default=[1000, 10000], help="none: speed only")
    options = parser.parse_args()
    threads, load = torch.get_num_threads(), os.getloadavg()[0]  # on a busy machine the numbers say little
    print(f"torch {torch.__version__}, {threads} threads, {options.images} faces of {SIDE} px, load {load:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_DATA"] = folder  # nothing is left behind
        if options.images:
            speed(Path(folder) / "timed", options.images, options.rounds)
        if options.memory_images:
            memory(Path(folder), options.memory_images)


if __name__ == "__main__":
    main()
