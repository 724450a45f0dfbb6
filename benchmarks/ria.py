"""What RIA adds to a training: an epoch of cross-entropy + RIA against an epoch of cross-entropy alone.

The loss is `objective` of notebook 03: its heatmap comes from the forward pass that cross-entropy needs anyway. Beside
it the straightforward way, a heatmap from a forward of its own. (The Grad-CAMs of captum and pytorch-grad-cam leave the
graph: nothing can be trained through them.) Same weights, pictures, crops and batches for all: noise held in memory, on
the processor, in one run, in turns, there and back; medians count. Aim: at most 2.2 times cross-entropy alone (0.45).
Then LOST, by the batch as in the notebook, against one picture after the other as its authors have it.
"""

import copy
import statistics
from functools import partial

import torch
from importnb import Notebook
from scipy import ndimage
from torch.nn import functional as F
from turns import Row, asked, each, keep, timed

from helpers import networks
from helpers.networks import augment, training
from helpers.networks.layers import last_conv
from helpers.pictures import REPO

BATCH, SIDES = 32, {"compact_resnet": 112, "compact_vgg": 112, "resnet18": 224}
ria = Notebook.load_file(str(REPO / "notebooks/03_ria.ipynb"), main=False, include_non_defs=False)


def two_forwards(layer, how, net, x, labels, B_od):
    """The loss of `ria.objective`, its heatmap from a forward of its own."""
    L_ce = F.cross_entropy(net(x), labels)
    s, A = ria.forward(net, net.get_submodule(layer), x)
    L_ria = ria.ria(ria.gradcam(s, A, s.argmax(1)), B_od, how, x.shape[2:])
    return how.alpha * L_ce + how.beta * L_ria.mean(), {"left_out": 1 - len(L_ria) / len(x)}


def epoch(net, images, labels, boxes, loss):
    """A pass over the pictures, step by step as `helpers.networks.training` does it. No loss: cross-entropy alone."""
    net, size = copy.deepcopy(net), images.shape[-1]
    optimiser = training.OPTIMISERS["adam"](net.parameters(), lr=1e-4)
    schedule, draws = training.SCHEDULES["constant"](optimiser), torch.manual_seed(0)  # of crops and dropout
    for rows in torch.arange(len(images)).split(BATCH):
        theta = augment.WAYS["cropped"].draw(len(rows), draws)
        x = augment.sampled(networks.normalised(images[rows], "half"), theta, size)
        if loss:
            L, parts = loss(net, x, labels[rows], augment.moved(boxes[rows], theta, size))
            if parts["left_out"] > 0.2:
                raise RuntimeError(f"{parts['left_out']:.0%} have no map or no box, which would flatter the speed")
        else:
            L = F.cross_entropy(net(x), labels[rows])
        training.step(L, optimiser, schedule)


def costs(name, size, n, rounds):
    torch.manual_seed(0)
    net = networks.placed(networks.build(name, 10), "cpu").train()
    layer, _ = last_conv(net, size=size)
    images, labels = torch.randint(256, (n, 3, size, size), dtype=torch.uint8), torch.randint(10, (n,))
    boxes = torch.cat([0.4 * torch.rand(n, 2), 0.6 + 0.4 * torch.rand(n, 2)], 1)
    losses = {"cross-entropy alone": None}
    for how in (*map(ria.Ria, ("soft_mask", "soft_box", "straight_through")), ria.Ria(restrict=True)):
        losses[f"RIA, {how.surrogate}{', restrict' * how.restrict}"] = ria.objective(layer, None, how).loss
    losses["two forwards, soft_mask"] = partial(two_forwards, layer, ria.Ria())
    ways = {way: partial(epoch, net, images, labels, boxes, loss) for way, loss in losses.items()}
    print(f"{name}, {size} px, heatmap from {layer}, {n} pictures an epoch")
    ms = {way: each(turns, n) for way, turns in timed(ways, rounds, name).items()}
    medians = {way: statistics.median(turns) for way, turns in ms.items()}
    for way, median in medians.items():
        print(f"  {way:24} {median:7.2f} ms a picture")
    dearest = max((way for way in ways if way.startswith("RIA")), key=medians.get)
    what, alone, two = f"Training by {{}}, {name}, {size} px", "cross-entropy alone", "two forwards, soft_mask"
    soft = "RIA, soft_mask"
    rows = [Row(what.format(f"the dearest {dearest}"), ms[dearest], alone, ms[alone], "ms a picture", 1 / 2.2)]
    return [*rows, Row(what.format(soft), ms[soft], "a heatmap from a forward of its own", ms[two], "ms a picture")]


def one_by_one(k, n_patches=100):
    """LOST's boxes (B, 4), in patches, for keys k (B, u, v, d)."""
    boxes = []
    for keys in k.flatten(1, 2):
        A = keys @ keys.T
        few = (A.clone().fill_diagonal_(0) > 0).sum(1).argsort(stable=True)[:n_patches]  # the first one is the seed
        found, _ = ndimage.label((A[few[A[few[0], few] > 0]].sum(0) > 0).view(k.shape[1:3]).numpy())
        y, x = (found == found.flat[few[0]]).nonzero()
        boxes.append([x.min(), y.min(), x.max() + 1, y.max() + 1])
    return torch.tensor(boxes, dtype=torch.float32)


def detection(n, rounds):
    k = torch.randn(n, 14, 14, 384, generator=torch.Generator().manual_seed(0))  # as of DINO's ViT-S/16 at 224 px
    ways = {"theirs": partial(one_by_one, k)}
    ways["ours"] = lambda: torch.cat([ria.lost(some)[2] for some in k.split(BATCH)])
    theirs, ours = (way() for way in ways.values())
    print(f"LOST, {n} pictures of 14 x 14 patches; {(theirs == ours).all(1).sum()} boxes are the same")
    ms = {way: each(turns, n) for way, turns in timed(ways, rounds, "LOST").items()}
    return [Row(f"LOST, 14 x 14 patches, by {BATCH}", ms["ours"], "one by one", ms["theirs"], "ms a picture")]


def main():
    options, rows = asked(__doc__, images=(96, 320), large_images=(32, 32), rounds=(2, 2)), []  # of 112 px, of 224 px
    for name in SIDES if options.full else ["compact_resnet"]:
        n = options.images if SIDES[name] < 224 else options.large_images
        rows += costs(name, SIDES[name], n, options.rounds)
    keep("ria", rows + detection(64, 10), options.full)


if __name__ == "__main__":
    main()
