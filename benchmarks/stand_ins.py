"""Stand-ins for pictures and trained networks, where what they show and know does not matter: only what they cost."""

import torch
from torch import nn
from torch.nn import functional as F

from helpers import networks


def noise(size, n):
    """Smooth noise, uint8 (n, 3, size, size)."""
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    return (255 * F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)).byte()


def calibrated(name, x, outputs):
    """Random weights; its batch norms have seen some pictures, or deep activations would overflow."""
    torch.manual_seed(0)
    net = networks.placed(networks.build(name, outputs), "cpu").train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over what it sees
    with torch.no_grad():
        net(x[:8])
    return net.eval()
