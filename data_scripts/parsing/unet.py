"""A U-Net under 0.4 M parameters, and its training: it learns to give every pixel of a face its region in a minute."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from helpers.errors import CourseError
from helpers.networks import compact, normalised, placed
from helpers.networks.compact import conv_block
from helpers.networks.state import alone, code_of, key_of, resumable
from helpers.networks.training import step
from helpers.pictures import data_root, manifest, reader
from helpers.pictures.photos import Photos

CELL = 2  # it thinks in cells of 2 x 2 pixels and answers for each pixel: a quarter of the time, the same thin lines
SIZE = 128  # side of its input by default
WIDTHS = (16, 32, 64, 96)  # channels at 1, 1/2, 1/4 and 1/8 of the grid of cells


class CompactUNet(nn.Module):
    """U-Net's shape: down by max-pools, up by bilinear steps, each beside what went down; logits at input size.

    Takes any sides that are even.
    """

    def __init__(self, outputs: int):
        super().__init__()
        steps = list(zip(WIDTHS, WIDTHS[1:], strict=False))
        self.stem = nn.Sequential(nn.PixelUnshuffle(CELL), *conv_block(3 * CELL**2, WIDTHS[0]))
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), *conv_block(wide, deep), *conv_block(deep, deep)) for wide, deep in steps
        )
        self.up = nn.ModuleList(nn.Sequential(*conv_block(wide + deep, wide)) for wide, deep in reversed(steps))
        self.head = nn.Sequential(nn.Conv2d(WIDTHS[0], outputs * CELL**2, 1), nn.PixelShuffle(CELL))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        passed = [self.stem(x)]
        for down in self.down:
            passed.append(down(passed[-1]))
        x = passed.pop()
        for up in self.up:
            beside = passed.pop()
            x = up(torch.cat([F.interpolate(x, size=beside.shape[2:], mode="bilinear"), beside], 1))
        return self.head(x)


def region_loss(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with a weight a region, plus 1 - soft Dice, the mean over regions of what overlaps.

    `targets` `(N, H, W)` are channels. Cross-entropy alone learns the large regions; Dice counts an earring like hair.
    """
    log = F.log_softmax(logits, 1)
    said, target = log.gather(1, targets[:, None]).flatten(), targets.flatten()
    weight, n = weights[target], logits.shape[1]
    both = torch.zeros(n, device=log.device).index_add(0, target, said.exp())
    total = log.exp().sum((0, 2, 3)) + torch.bincount(target, minlength=n)
    return -(said * weight).sum() / weight.sum() + 1 - ((2 * both + 1) / (total + 1)).mean()


def trained(photos: Photos, recipe: dict, device: str | torch.device) -> Path:
    """The file of the weights, after training unless this was done before. `recipe` has what `_fit` takes by name."""
    _demand_trainable(photos, recipe["size"], recipe["batch"])
    folder = data_root() / "models" / f"compact_unet-{_key(recipe, photos)}"
    with alone(folder) as done:
        if not done:
            _fit(folder, photos, device, **recipe)
    return folder / "weights.safetensors"


def _demand_trainable(photos: Photos, size: int, batch: int) -> None:
    if "mask" not in photos.table or not photos.regions:
        what = "no column `mask` in index.csv" if photos.regions else "no regions.csv that names the ids of its masks"
        raise CourseError(f"{photos.root}: {what}; a parser is trained on masks. Give a parser's file instead")
    if size % CELL or size < 16:
        raise CourseError(f"size is {size}; expected an even number of pixels from 16. Example: size={SIZE}")
    if (n := len(photos.split("train"))) < batch:
        raise CourseError(f"{photos.root}: {n} training pictures; a parser needs at least {batch}, or a smaller batch")


def _key(recipe: dict, photos: Photos) -> str:
    """What decides the weights: recipe, pictures and masks, regions, and the code that trains."""
    rows = photos.table[["image", "split", "mask"]].to_csv(index=False)
    code = [code_of(__file__), code_of(compact.__file__)]
    return key_of(recipe, manifest(photos.root), rows, list(photos.regions.items()), code)


def _fit(folder: Path, photos: Photos, device, *, size, epochs, seed, lr, batch) -> None:
    part = photos.split("train")
    steps = len(part) // batch
    torch.manual_seed(seed)
    net = placed(CompactUNet(len(photos.regions)), device)
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=epochs * steps)
    read, targets = reader(part, size, "squash"), _targets(part, size)
    weights = torch.bincount(targets.flatten(), minlength=len(photos.regions)).clamp_min(1).float() ** -0.25

    def one_epoch(epoch: int, bar: tqdm) -> dict[str, float]:
        order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed * 1000 + epoch))
        net.train()
        total = 0.0
        for rows in order[: steps * batch].view(-1, batch):
            logits = net(normalised(read(rows), "half", device))
            loss = region_loss(logits, targets[rows].to(device).long(), weights.to(device))
            total += step(loss, optimiser, schedule)
            bar.update()
        return {"loss": total / steps}

    about = {"normalise": "half", "regions": json.dumps(list(photos.regions.values())), "size": str(size)}
    parts = {"net": net, "optimiser": optimiser, "schedule": schedule}
    resumable(folder, parts, epochs, one_epoch, steps=steps, about=about)


def _targets(photos: Photos, size: int) -> torch.Tensor:
    """The channel of every pixel `(N, size, size)` uint8: an id's position among the regions; others are channel 0."""
    channel = torch.zeros(256, dtype=torch.uint8)
    channel[list(photos.regions)] = torch.arange(len(photos.regions), dtype=torch.uint8)
    small = []
    for row in range(len(photos)):  # one by one: full-size masks of a whole data set may not fit the memory
        mask = channel[torch.from_numpy(photos.masks([row])[0]).long()]
        small.append(F.interpolate(mask[None, None], size=(size, size), mode="nearest-exact")[0, 0])
    return torch.stack(small)
