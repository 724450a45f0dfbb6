"""Small relatives of the four families, under 1 M parameters: what the embedded default trains in seconds.

Like their elders they take any input size. Their last grid is 1/16 of the input, so that a mosaic of four tiles of
112 px has a 14 x 14 grid whose seam lies between two cells. `compact_resnet_fine` has 1/8, for things as small as lips.
"""

from collections.abc import Callable

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock


class CompactAlexNet(nn.Module):
    """AlexNet's shape: five convolutions, the first ones large, then dense layers with dropout."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *conv_block(3, 32, kernel=7, stride=4),
            nn.MaxPool2d(3, 2, padding=1),
            *conv_block(32, 64, kernel=5),
            nn.MaxPool2d(3, 2, padding=1),
            *conv_block(64, 96),
            *conv_block(96, 96),
            *conv_block(96, 96),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(96 * 9, 192), nn.ReLU(inplace=True), nn.Linear(192, num_classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class CompactVGG(nn.Module):
    """VGG-11's shape: one or two 3 x 3 convolutions between max-pools, then dense layers with dropout."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *conv_block(3, 16, stride=2),
            nn.MaxPool2d(2),
            *conv_block(16, 32),
            nn.MaxPool2d(2),
            *conv_block(32, 64),
            *conv_block(64, 64),
            nn.MaxPool2d(2),
            *conv_block(64, 96),
            *conv_block(96, 96),
            nn.MaxPool2d(2),  # VGG ends its features with a pool, too: Grad-CAM must look before it
        )
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(
            nn.Linear(96 * 9, 128), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(128, num_classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class CompactResNet(nn.Module):
    """ResNet's shape, from torchvision's own residual block: a stem, four stages, one average, one dense layer."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _stage(16, 16, stride=1)
        self.layer2 = _stage(16, 32, stride=2)
        self.layer3 = _stage(32, 64, stride=2)
        self.layer4 = _stage(64, 128, stride=1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(128, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class CompactResNetFine(CompactResNet):
    """The same with a last grid of 1/8: a picture of 128 px has the 16 x 16 cells of a ResNet-18 at 512 px."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.layer3 = _stage(32, 64, stride=1)
        self.layer4 = _stage(64, 64, stride=1)
        self.fc = nn.Linear(64, num_classes)


class CompactXception(nn.Module):
    """Xception's shape: separable convolutions, in blocks with a shortcut around them, then two without."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.block1 = SeparableBlock(16, 48, pooled=True)
        self.block2 = SeparableBlock(48, 96, pooled=True)
        self.block3 = SeparableBlock(96, 96)
        self.conv3, self.bn3, self.act3 = separable_block(96, 128)
        self.conv4, self.bn4, self.act4 = separable_block(128, 160)  # its ReLU is the last grid, no sum as in ResNet
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(160, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.block3(self.block2(self.block1(x)))
        x = self.act3(self.bn3(self.conv3(x)))
        x = self.act4(self.bn4(self.conv4(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class SeparableBlock(nn.Module):
    """Two separable convolutions, a max-pool to half the side where `pooled`, and a shortcut around all of it."""

    def __init__(self, fan_in: int, fan_out: int, pooled: bool = False) -> None:
        super().__init__()
        pool = [nn.MaxPool2d(3, 2, padding=1)] if pooled else []
        self.features = nn.Sequential(*separable_block(fan_in, fan_out), *separable_block(fan_out, fan_out)[:2], *pool)
        self.shortcut = nn.Sequential() if fan_in == fan_out and not pooled else _shortcut(fan_in, fan_out, 1 + pooled)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.features(x) + self.shortcut(x))


COMPACT: dict[str, Callable[[int], nn.Module]] = {
    "compact_alexnet": CompactAlexNet,
    "compact_vgg": CompactVGG,
    "compact_resnet": CompactResNet,
    "compact_resnet_fine": CompactResNetFine,
    "compact_xception": CompactXception,
}


def conv_block(fan_in: int, fan_out: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    """A convolution that keeps the size divided by its stride, its batch norm, and a ReLU."""
    conv = nn.Conv2d(fan_in, fan_out, kernel, stride, padding=kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(fan_out), nn.ReLU(inplace=True)


def separable_block(fan_in: int, fan_out: int) -> tuple[nn.Module, ...]:
    """A depthwise convolution looks at each channel's surroundings, a pointwise one at all channels of a place."""
    depthwise = nn.Conv2d(fan_in, fan_in, 3, padding=1, groups=fan_in, bias=False)
    pointwise = nn.Conv2d(fan_in, fan_out, 1, bias=False)
    return nn.Sequential(depthwise, pointwise), nn.BatchNorm2d(fan_out), nn.ReLU(inplace=True)


def _stage(fan_in, fan_out, stride):
    same = stride == 1 and fan_in == fan_out
    shortcut = _shortcut(fan_in, fan_out, stride)  # drawn in any case: a seed gives the networks it always gave
    return nn.Sequential(BasicBlock(fan_in, fan_out, stride, None if same else shortcut))


def _shortcut(fan_in, fan_out, stride):
    return nn.Sequential(nn.Conv2d(fan_in, fan_out, 1, stride, bias=False), nn.BatchNorm2d(fan_out))
