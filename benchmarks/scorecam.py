"""Score-CAM beside that of the `grad-cam` package, and beside the forwards that it cannot do without.

One picture of smooth noise of 224 px, torchvision's ResNet-18 (and VGG16 with --full) with random weights, both on the
layer where `last_conv` looks; its 512 units are a forward each. The limit is so many bare no-grad forwards, measured on
a quarter of them, at the best of several batch sizes and in the better of both memory formats. In turns, on the
processor; medians count. On the layer's own grid both maps must agree within 1e-5 of the largest value. Aims: in 0.7 of
the package's time (1.43), and no slower than the limit.
"""

import io
from contextlib import redirect_stderr

import torch
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from stand_ins import calibrated, noise
from turns import Row, asked, best, each, keep, show, timed

from helpers import networks
from helpers.heatmaps import attribute
from helpers.networks.layers import last_conv, recording

SIDE, OUTPUTS, TARGET = 224, 1000, 7


class Unscaled(ScoreCAM):
    """Keeps its map on the layer's own grid, before it is clipped, scaled and resized."""

    def get_cam_image(self, *arguments):
        self.own_grid = super().get_cam_image(*arguments)
        return self.own_grid


def theirs(net, layer, x):
    with Unscaled(model=net, target_layers=[layer]) as cam, redirect_stderr(io.StringIO()):  # its bars
        cam(input_tensor=x, targets=[ClassifierOutputTarget(TARGET)])
    return torch.from_numpy(cam.own_grid)


def ours(net, x, **options):
    return attribute("scorecam", net, x, torch.tensor([TARGET]), relu=False, **options)


@torch.no_grad()
def limit(net, x, units, batch):
    some = torch.cat([x] * batch)
    for _ in range(units // batch):
        net(some)


def rows(name, rounds, batches):
    x = networks.normalised(noise(SIDE, 8), "half")
    net, x = calibrated(name, x, OUTPUTS), x[:1].contiguous()
    plain = networks.build(name, OUTPUTS).eval()  # in the layout a user of the other would have
    plain.load_state_dict(net.state_dict())
    where, layer = last_conv(plain, x)
    with recording(layer) as seen, torch.no_grad():
        plain(x)
    units, given = seen[layer].output.shape[1], []
    last = x.contiguous(memory_format=torch.channels_last)
    ways = {"ours": lambda: ours(net, x), "grad-cam": lambda: given.append(theirs(plain, layer, x))}
    for batch in batches:
        ways[f"limit, channels last, by {batch}"] = lambda b=batch: limit(net, last, units // 4, b)
        ways[f"limit, batches of {batch}"] = lambda b=batch: limit(plain, x, units // 4, b)
    seconds = timed(ways, rounds, name)
    found = ours(net, x, resolution="native")
    apart = ((found - given[0]).abs().max() / given[0].abs().max()).item()
    assert apart <= 1e-5, f"the maps are {apart:.0e} of the largest value apart"
    print(f"{name}, {where}: {units} units; the maps are {apart:.0e} of the largest value apart")
    seconds = {way: each(turns, 1, 4) if "limit" in way else turns for way, turns in seconds.items()}
    show(seconds, units)
    what = f"Score-CAM of a picture, {name}, {SIDE} px"
    bare = Row(what, seconds["ours"], "limit: a forward a unit", best(seconds, "limit"), "s", 1)
    return [Row(what, seconds["ours"], "the `grad-cam` package", seconds["grad-cam"], "s", 1.43), bare]


def main():
    options, found = asked(__doc__, rounds=(1, 3)), []
    for name in ("resnet18", "vgg16") if options.full else ("resnet18",):
        found += rows(name, options.rounds, (4, 16, 32) if options.full else (16,))
    keep("scorecam", found, options.full)


if __name__ == "__main__":
    main()
