"""Train a classifier on the data at hand, once: the result is cached by content, and an interrupted run goes on."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from tqdm import tqdm

from ..errors import CourseError
from ..pictures import data_root, manifest, reader
from ..pictures.images import FITS
from ..pictures.photos import Photos
from . import Classifier, augment, body_of, build, compact, evaluate, fingerprint, foreign, normalised, placed
from .ends import about
from .state import alone, code_of, key_of, resumable

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "amsgrad": partial(torch.optim.Adam, amsgrad=True),
    "adam": torch.optim.Adam,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}
SCHEDULES: dict[str, Callable[..., lr_scheduler.LRScheduler]] = {  # (optimiser, lr, steps)
    "cycle": lambda optimiser, lr, steps: lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps),
    "thirds": lambda optimiser, _, n: lr_scheduler.MultiStepLR(optimiser, [n // 3, 2 * n // 3], gamma=0.1),
    "constant": lambda optimiser, *_: lr_scheduler.LambdaLR(optimiser, lambda step: 1.0),
}


@dataclass(frozen=True)
class Recipe:
    """How to train. `size` is the side of the crops in pixels.

    schedule   "cycle": up to `lr` and down again; "thirds": a tenth of it after each third (FaceX, FLAC); or "constant"
    optimiser  "amsgrad" (Focus), "adam", or "sgd" with momentum 0.9
    augment    "turned": the Focus paper's crops, turns and flips (1.4); "cropped": RIVAL10's crops and flips (RIA);
               "none": every picture as it is
    fit        how a picture becomes a square, one of `pictures.images.FITS`; empty: squashed, as the augmentation wants
    free       which parameters learn, a regular expression that finds their names; the others, and the statistics of
               every BatchNorm, stay as they were. Empty: all learn
    normalise  the input statistics, a name of `helpers.networks.NORMALISE`
    """

    name: str
    size: int = 112
    epochs: int = 7
    seed: int = 0
    lr: float = 2e-3
    batch: int = 32
    schedule: str = "cycle"
    optimiser: str = "amsgrad"
    augment: str = "turned"
    fit: str = ""
    weight_decay: float = 0.0
    free: str = ""
    normalise: str = "half"

    def __post_init__(self) -> None:
        words = {"schedule": [*SCHEDULES], "optimiser": [*OPTIMISERS], "augment": [*augment.WAYS], "fit": ["", *FITS]}
        for name, known in words.items():
            if (value := getattr(self, name)) not in known:
                raise CourseError(f"{name} is {value!r}; expected one of {', '.join(filter(None, known))}")


@dataclass(frozen=True)
class Objective:
    """What to minimise in the place of cross-entropy: `loss(net, images, labels)`, a mean over the batch.

    It may give, beside the loss, a dict of its parts for the history. `key` says in words what decides it
    beside the recipe: its source, its parameters, other networks it asks. `boxes` `(N, 4)`, one a training picture in
    shares of its sides or NaN, give the loss a fourth argument: the batch's, in pixels of the augmented pictures.
    """

    loss: Callable[..., Any]
    key: str
    boxes: torch.Tensor | None = None


def train(
    recipe: Recipe,
    photos: Photos,
    *,
    start: dict | None = None,
    snapshots: bool = False,
    objective: Objective | None = None,
    device: str | torch.device = "cpu",
) -> Classifier:
    """A Classifier trained on split train of `photos`, with its accuracy on split val after every epoch.

    By cross-entropy or the `objective`. `start` is a state dict to begin from (its head is left out when the number of
    outputs differs). `snapshots` keeps the weights of every epoch.
    """
    name = re.sub(r"[^\w.-]+", "-", recipe.name)  # `timm:vgg11` and the like are no names of folders everywhere
    folder = data_root() / "models" / f"{name}-{_key(recipe, photos, start, objective)}"
    net = build(recipe.name, len(photos.classes))
    foreign.check_trainable(recipe.name, net, len(photos.classes))
    for key, shape in body_of(recipe.name).items():
        if start and key in start and start[key].shape != shape:  # as of one input channel; only a head may differ
            found = f"{[*start[key].shape]}, expected {[*shape]}"
            raise CourseError(f"model `{recipe.name}`: no training begins from weights whose `{key}` has shape {found}")
    with alone(folder) as done:
        if not done or (snapshots and not any(folder.glob("epoch-*"))):
            _fit(folder, recipe, photos, start, snapshots, objective, device)
        net.load_state_dict(load_file(folder / "weights.safetensors"))
        history, kept = json.loads((folder / "history.json").read_text("utf-8")), sorted(folder.glob("epoch-*"))
    outputs = torch.arange(len(photos.classes))
    source = "; ".join(filter(None, [f"trained here ({folder.name})", about(net).said]))
    return Classifier(recipe.name, placed(net, device).eval(), outputs, recipe.normalise, source, history, kept)


def _key(recipe: Recipe, photos: Photos, start: dict | None, objective: Objective | None) -> str:
    """Of what decides the weights: recipe, pictures, first weights, objective, and the code that trains."""
    code = [code_of(__file__, DECIDES), code_of(augment.__file__), code_of(compact.__file__)]
    code += foreign.code(recipe.name)
    rows = photos.table[["image", "split", "label"]].to_csv(index=False)
    boxes = objective.boxes if objective else None
    parts = [asdict(recipe), manifest(photos.root), rows, fingerprint(start or {}), code]
    return key_of(*parts, objective and objective.key, None if boxes is None else fingerprint({"boxes": boxes}))


# What `_key` takes for the code that trains: nothing here may change without retraining; words around it may
DECIDES = ("OPTIMISERS", "SCHEDULES", "def _fit", "def _beginning", "def _epoch", "def _loss", "def step")


def _fit(folder: Path, recipe: Recipe, photos: Photos, start, snapshots: bool, objective, device) -> None:
    train_photos, val_photos = _trainable(photos, recipe.batch, objective), photos.split("val")
    n = len(train_photos)
    net, optimiser, schedule = _beginning(recipe, photos, n, start, device)
    way = augment.WAYS[recipe.augment]
    read = reader(train_photos, int(recipe.size / way.part), recipe.fit or "squash")
    read_val = reader(val_photos, recipe.size, recipe.fit or way.fit)

    def one_epoch(epoch: int, bar: tqdm) -> dict[str, float]:
        losses = _epoch(epoch, recipe, net, optimiser, schedule, read, train_photos.labels, objective, bar)
        now = Classifier(recipe.name, net.eval(), torch.arange(len(photos.classes)), recipe.normalise)
        accuracy, val_loss = evaluate(now, val_photos, read_val)
        return losses | {"val_loss": val_loss, "accuracy": accuracy}

    parts, about = {"net": net, "optimiser": optimiser, "schedule": schedule}, {"normalise": recipe.normalise}
    resumable(folder, parts, recipe.epochs, one_epoch, steps=n // recipe.batch, about=about, snapshots=snapshots)


def _beginning(recipe: Recipe, photos: Photos, n: int, start, device):
    torch.manual_seed(recipe.seed)
    net = build(recipe.name, len(photos.classes))
    own = net.state_dict()
    fits = {k: v for k, v in (start or {}).items() if k in own and v.shape == own[k].shape}
    net.load_state_dict(own | fits)
    net = placed(net, device)
    learns = [p.requires_grad_(bool(re.search(recipe.free, name))) for name, p in net.named_parameters()]
    if not any(p.requires_grad for p in learns):
        raise CourseError(f"free is {recipe.free!r}; no parameter of {recipe.name} has such a name")
    free = [p for p in learns if p.requires_grad]
    optimiser = OPTIMISERS[recipe.optimiser](free, lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (n // recipe.batch)
    return net, optimiser, SCHEDULES[recipe.schedule](optimiser, recipe.lr, steps)


def _epoch(epoch, recipe, net, optimiser, schedule, read, labels, objective, bar) -> dict[str, float]:
    """One pass over the training pictures; its mean loss, and the means of the loss's parts where it has any."""
    torch.manual_seed(recipe.seed * 1000 + epoch)  # dropout's draws: a resumed training equals an unbroken one
    generator = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
    device = next(net.parameters()).device
    order = torch.randperm(len(labels), generator=generator)
    batches = order[: len(order) // recipe.batch * recipe.batch].view(-1, recipe.batch)
    totals: Counter = Counter()
    net.train()
    if recipe.free:
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()  # batch statistics would change what the frozen layers give
    for rows in batches:
        theta = augment.WAYS[recipe.augment].draw(len(rows), generator)
        images = augment.sampled(normalised(read(rows), recipe.normalise, device), theta, recipe.size)
        loss, parts = _loss(net, images, labels[rows].to(device), objective, rows, theta)
        totals.update({"loss": step(loss, optimiser, schedule)} | {name: float(part) for name, part in parts.items()})
        bar.update()
    return {name: total / len(batches) for name, total in totals.items()}


def _loss(net, images, labels, objective, rows, theta):
    """The loss and a dict of its parts."""
    if objective is None:
        return F.cross_entropy(net(images), labels), {}
    boxes = []
    if objective.boxes is not None:
        boxes = [augment.moved(objective.boxes[rows], theta, images.shape[-1]).to(images.device)]
    found = objective.loss(net, images, labels, *boxes)
    return found if isinstance(found, tuple) else (found, {})


def step(loss: torch.Tensor, optimiser: Optimizer, schedule: lr_scheduler.LRScheduler) -> float:
    """The optimiser and its schedule one step on; the loss as a number."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    schedule.step()
    return loss.item()


def _trainable(photos: Photos, batch: int, objective: Objective | None) -> Photos:
    part = photos.split("train")
    if len(part) < batch or len(photos.classes) < 2:
        raise CourseError(
            f"{photos.root}: {len(part)} training pictures in {len(photos.classes)} classes; training needs at least "
            f"{batch} pictures and 2 classes. Give weights=PATH instead, or more pictures"
        )
    if objective and objective.boxes is not None and len(objective.boxes) != len(part):
        raise CourseError(f"{len(objective.boxes)} boxes for {len(part)} training pictures; expected one each")
    return part
