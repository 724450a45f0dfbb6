"""The whole FaceX analysis, from files to tables: ours against facextool's own loop and the bare forward pass.

Ours is Grad-CAM, IoR soft and binary, and the patches: `facex` of notebook 02, nothing held (readers with budget=0).
facextool reads the same pictures, and the same masks as a PNG a region; its drawing is not counted. The limit is the
no-grad forward on pictures read before. All in one run, in turns, at 512 px with a torchvision ResNet-18 of random
weights, on the processor; medians count, of the limit that at its best batch size. Aims: at least 0.85 of the limit, at
least 5 times facextool.

Then memory: the peak of `facex` over 200 and over 600 faces (--full: 1,000 and 10,000), each in a fresh process. The
rows point to the same few files, and one convolution of stride 32 stands in for the network, so that it takes minutes:
what could grow with the faces is the rest. Aim: few / many at least 0.9.

facextool is in no extra of ours, since it pins an older grad-cam: `pip install --no-deps facextool==0.1.52` beside the
extra `oracles`. Without it the rest is measured.
"""

import importlib.metadata
import os
import sys
import tempfile
import time
import types
import warnings
from contextlib import redirect_stderr
from dataclasses import replace
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
from turns import Row, alone, asked, best, each, keep, seconds_of, show, timed

from data_scripts.drawn import faces
from helpers import networks, pictures
from helpers.shards import Spread

SIDE = 512
notebook = Notebook.load_file(str(pictures.REPO / "notebooks/02_facex.ipynb"), main=False, include_non_defs=False)


def drawn(root, images, side=SIDE):
    """Faces on disk, their masks as palette PNGs."""
    photos = pictures.load(faces.prepare(root, max(20, images), side)).rows(range(images))
    return replace(photos, table=photos.table.drop(columns="layers"))


def ours(classifier, photos, side=SIDE):
    read, masks = pictures.reader(photos, side, "squash", budget=0), pictures.layer_reader(photos, budget=0)
    over, regions = Spread({"parameters": {}, "provenance": {}}), list(photos.regions.values())  # as in a run
    profile = notebook.facex(classifier, 1, torch.arange(len(photos)), read, masks, regions, over=over)
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


def speed(root, images, rounds, batches):
    torch.manual_seed(0)
    net = networks.placed(networks.build("resnet18", 2), "cpu").eval()
    net.fc.weight.data.abs_()  # every map has a positive part: those without are left out, and cost nothing
    plain = networks.build("resnet18", 2).eval()  # in the layout a user of the other would have
    plain.load_state_dict(net.state_dict())
    classifier, photos = networks.Classifier("resnet18", net, torch.arange(2), "imagenet"), drawn(root, images)
    pixels = classifier.prepared(photos.images(range(images), SIDE))
    plain_pixels, ways = pixels.contiguous(), {"ours": lambda: ours(classifier, photos)}
    for batch in batches:
        ways[f"limit, channels last, by {batch}"] = lambda b=batch: limit(net, pixels, b)
        ways[f"limit, batches of {batch}"] = lambda b=batch: limit(plain, plain_pixels, b)
    if component := facextool():
        where = for_facextool(photos, root)
        ways["facextool, its loop"] = lambda: theirs(component, plain, *where)
    seconds = timed(ways, rounds, "faces", own=["facextool, its loop"])
    show(seconds, images)
    what, mine = f"FaceX of a face, files to tables, ResNet-18, {SIDE} px", each(seconds["ours"], images)
    rows = [Row(what, mine, "limit: the bare forward", each(best(seconds, "limit"), images), "ms a face", 0.85)]
    if component:
        rows += [Row(what, mine, "facextool", each(seconds["facextool, its loop"], images), "ms a face", 5)]
    return rows


def analysed(root, images, side=SIDE):
    """The analysis of so many faces, of the few files that are there; its seconds."""
    pooling = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    net = nn.Sequential(nn.Conv2d(3, 16, 32, stride=32), nn.ReLU(), *pooling, nn.Linear(16, 2))
    net[-1].weight.data.abs_()
    few, photos = (drawn(root, 20, side).rows([i % 20 for i in range(n)]) for n in (64, images))  # a batch; all
    classifier = networks.Classifier("stand-in", net.eval(), torch.arange(2))
    ours(classifier, few, side)  # what is made once
    return seconds_of(ours, classifier, photos, side)[0]


def memory(root, sizes):
    drawn(root, 20)
    few, many = (alone(analysed, root, images).peak for images in sizes)
    return [Row(f"Peak memory of FaceX, {sizes[1]:,} faces", [many], f"{sizes[0]:,} faces", [few], "MB", 0.9)]


def main():
    options = asked(__doc__, images=(24, 64), rounds=(1, 2), few=(200, 1_000), many=(600, 10_000))  # images: even
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_DATA"] = folder  # nothing is left behind
        batches = (1, 4, 16) if options.full else (1, 4)
        rows = speed(Path(folder) / "timed", options.images, options.rounds, batches)
        rows += memory(Path(folder), (options.few, options.many))
    keep("facex", rows, options.full)


if __name__ == "__main__":
    main()
