"""How fast mosaics are scored (the metric is in notebooks/01_focus.ipynb): ours against quantus computing its own
explanations, and against the bare forward pass.

The bare no-grad forward is the limit for Grad-CAM, whose backward pass only runs through the head. All are measured in
one run, in turns, on the same 448 px mosaics with a torchvision ResNet-18; medians count, of the limit and of quantus
those at the best batch size. Aims: at least 0.9 of the limit, at least 1.2 times quantus fed by captum's Grad-CAM.
"""

import warnings

import quantus
import torch
from captum.attr import LayerAttribution, LayerGradCam
from importnb import Notebook
from turns import Row, asked, best, each, keep, show, timed

from helpers import networks
from helpers.heatmaps import attribute
from helpers.pictures import REPO

focus = Notebook.load_file(str(REPO / "notebooks/01_focus.ipynb"), main=False, include_non_defs=False)


def ours(net, images, targets, M):
    R = attribute("gradcam", net, images, targets)
    return focus.focus(R, focus.target_mask(M.on_target, *R.shape[1:]))


def captum_gradcam(model, inputs, targets, **_):
    """The explanation function that quantus' documentation suggests, for a torchvision ResNet."""
    x = torch.as_tensor(inputs)
    cam = LayerGradCam(model, model.layer4).attribute(x, torch.as_tensor(targets))  # quantus drops the negative part
    return LayerAttribution.interpolate(cam, x.shape[2:], interpolate_mode="bilinear").detach().numpy()


def theirs(net, images, targets, M, batch):
    positions = [tuple(int(v) for v in row) for row in M.on_target]
    metric = quantus.Focus(disable_warnings=True, display_progressbar=False)
    x, y = images.contiguous().numpy(), targets.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(net, x, y, custom_batch=positions, explain_func=captum_gradcam, batch_size=batch)


@torch.no_grad()
def limit(net, images, batch):
    for some in images.split(batch):
        net(some)


def main():
    options = asked(__doc__, mosaics=(48, 100), rounds=(1, 2))
    n = options.mosaics
    torch.manual_seed(0)
    net = networks.placed(networks.build("resnet18", 1000), "cpu").eval()
    net.fc.weight.data.abs_()  # every map has a positive part: quantus stops at one that has none
    plain = networks.build("resnet18", 1000).eval()  # in the layout a user of the others would have
    plain.load_state_dict(net.state_dict())
    M = focus.mosaics(torch.arange(10).repeat_interleave(8), -(-n // 10))
    M = focus.Mosaics(*(t[:n] for t in M))
    images, targets = torch.randn(n, 3, 448, 448), M.targets
    ways = {"ours": lambda: ours(net, images, targets, M)}
    in_our_layout = images.contiguous(memory_format=torch.channels_last)
    for batch in (1, 8, 16) if options.full else (1, 8):
        ways[f"limit, channels last, by {batch}"] = lambda b=batch: limit(net, in_our_layout, b)
        ways[f"limit, batches of {batch}"] = lambda b=batch: limit(plain, images, b)
        ways[f"quantus + captum, batches of {batch}"] = lambda b=batch: theirs(plain, images, targets, M, b)
    seconds = timed(ways, options.rounds, "mosaics")
    show(seconds, n)
    what, mine = "Focus of a mosaic, ResNet-18, 448 px", each(seconds["ours"], n)
    limit_, quantus_ = (each(best(seconds, kind), n) for kind in ("limit", "quantus"))
    rows = [Row(what, mine, "limit: the bare forward", limit_, "ms a mosaic", 0.9)]
    rows += [Row(what, mine, "quantus + captum", quantus_, "ms a mosaic", 1.2)]
    keep("focus_speed", rows, options.full)


if __name__ == "__main__":
    main()
