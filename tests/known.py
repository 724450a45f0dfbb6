"""A network whose Grad-CAM is known: what several notebooks are measured by."""

import torch
from torch import nn

from helpers.models import Classifier


class Red(nn.Module):
    """Its Grad-CAM for output 1 is relu(red) / pixels; for output 0 it is zero where no red is below the middle.

    It predicts 1 where there is more red than not.
    """

    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.fc = nn.Conv2d(3, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Linear(3, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])
            self.fc.weight.copy_(torch.tensor([[-1.0, 0, 0], [1.0, 0, 0]]))
            self.fc.bias.zero_()

    def forward(self, x):
        return self.fc(self.pool(self.conv(x)).flatten(1))


RED = Classifier("red", Red().eval(), torch.arange(2), "half")
