"""Train a classifier on the data at hand, once: the result is cached by content, and an interrupted run goes on."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm.auto import tqdm

from . import compact
from .data import Photos, data_root, manifest, reader
from .errors import CourseError
from .models import Classifier, build, evaluate, fingerprint, normalised, placed


@dataclass(frozen=True)
class Recipe:
    """How to train. `size` is the side of the crops in pixels.

    schedule   "cycle": up to `lr` and down again; "thirds": `lr`, a tenth of it after each third (FaceX, FLAC)
    free       which parameters learn, a regular expression that finds their names; the others, and the statistics of
               every BatchNorm, stay as they were. Empty: all learn
    normalise  the input statistics, a name of `helpers.models.NORMALISE`
    """

    name: str
    size: int = 112
    epochs: int = 7
    seed: int = 0
    lr: float = 2e-3
    batch: int = 32
    schedule: str = "cycle"
    weight_decay: float = 0.0
    free: str = ""
    normalise: str = "half"


@dataclass(frozen=True)
class Objective:
    """What to minimise in the place of cross-entropy: `loss(net, images, labels)`, a mean over the batch.

    `key` says in words what decides it beside the recipe: its source, its parameters, other networks it asks.
    """

    loss: Callable
    key: str


def train(
    recipe: Recipe,
    photos: Photos,
    *,
    start: dict | None = None,
    snapshots: bool = False,
    objective: Objective | None = None,
    device="cpu",
) -> Classifier:
    """A Classifier trained on split train of `photos`, with its accuracy on split val after every epoch.

    By cross-entropy or the `objective`, with AMSGrad and the augmentation of the Focus paper (1.4): resize to
    size / 0.875, rotation within 30 degrees, random crop, horizontal flip. `start` is a state dict to begin from (its
    head is left out when the number of outputs differs). `snapshots` keeps the weights of every epoch.
    """
    folder = data_root() / "models" / f"{recipe.name}-{_key(recipe, photos, start, objective)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    net = build(recipe.name, len(photos.classes))
    with FileLock(f"{folder}.lock"):  # a second run that wants the same network waits for it
        done = (folder / "history.json").is_file()
        if not done or (snapshots and not any(folder.glob("epoch-*"))):
            _fit(folder, recipe, photos, start, snapshots, objective, device)
        net.load_state_dict(load_file(folder / "weights.safetensors"))
        history, kept = json.loads((folder / "history.json").read_text()), sorted(folder.glob("epoch-*"))
    outputs = torch.arange(len(photos.classes))
    return Classifier(
        recipe.name,
        placed(net, device).eval(),
        outputs,
        recipe.normalise,
        f"trained here ({folder.name})",
        history,
        kept,
    )


def augmented(images: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Float pictures `(N, 3, s, s)`, each rotated within 30 degrees, cropped to `size` and flipped, in one sampling."""
    n, part = len(images), size / images.shape[-1]
    angle = (torch.rand(n, generator=generator) * 2 - 1) * torch.pi / 6
    flip = (torch.rand(n, generator=generator) < 0.5).float() * 2 - 1
    x, y = (torch.rand(2, n, generator=generator) * 2 - 1) * (1 - part)  # the crop stays inside the picture
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([cos * part * flip, -sin * part, cos * x - sin * y], 1)
    row_y = torch.stack([sin * part * flip, cos * part, sin * x + cos * y], 1)
    grid = F.affine_grid(torch.stack([row_x, row_y], 1), [n, 3, size, size], align_corners=False)
    return F.grid_sample(images, grid.to(images.device), align_corners=False)


def _key(recipe: Recipe, photos: Photos, start: dict | None, objective: Objective | None) -> str:
    """What decides the weights: recipe, pictures, first weights, objective, and the code that trains."""
    code = b"".join(Path(file).read_bytes() for file in (__file__, compact.__file__))
    rows = photos.table[["image", "split", "label"]].to_csv(index=False)
    parts = [asdict(recipe), manifest(photos.root), rows, fingerprint(start or {}), hashlib.sha256(code).hexdigest()]
    parts += [objective.key] if objective else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _fit(folder: Path, recipe: Recipe, photos: Photos, start, snapshots: bool, objective, device) -> None:
    """Train in `folder`.partial, where every finished epoch is kept, and rename it when whole."""
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    train_photos, val_photos = _trainable(photos, recipe.batch), photos.split("val")
    net, optimiser, schedule = _beginning(recipe, photos, len(train_photos), start, device)
    history = resumed(partial / "state.pt", net, optimiser, schedule)
    read = reader(train_photos, int(recipe.size / 0.875), "squash")
    read_val = reader(val_photos, recipe.size, "squash_crop")
    steps = len(train_photos) // recipe.batch
    with tqdm(total=recipe.epochs * steps, desc=f"training {recipe.name}", leave=False) as bar:
        bar.update(len(history) * steps)
        for epoch in range(len(history) + 1, recipe.epochs + 1):
            loss = _epoch(epoch, recipe, net, optimiser, schedule, read, train_photos.labels, objective, bar)
            now = Classifier(recipe.name, net.eval(), torch.arange(len(photos.classes)), recipe.normalise)
            accuracy, val_loss = evaluate(now, val_photos, read_val)
            history.append({"epoch": epoch, "loss": loss, "val_loss": val_loss, "accuracy": accuracy})
            bar.set_postfix(loss=f"{loss:.2f}", accuracy=f"{accuracy:.1%}")
            if snapshots:
                _save(net, partial / f"epoch-{epoch:03d}.safetensors", recipe.normalise)
            keep(partial / "state.pt", net, optimiser, schedule, history)
    _save(net, partial / "weights.safetensors", recipe.normalise)
    finish(partial, folder, history)


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
    optimiser = torch.optim.Adam(
        [p for p in learns if p.requires_grad], lr=recipe.lr, weight_decay=recipe.weight_decay, amsgrad=True
    )
    steps = recipe.epochs * (n // recipe.batch)
    if recipe.schedule not in ("cycle", "thirds"):
        raise CourseError(f"schedule is {recipe.schedule!r}; expected cycle or thirds")
    if recipe.schedule == "thirds":
        third = [steps // 3, 2 * steps // 3]
        return net, optimiser, torch.optim.lr_scheduler.MultiStepLR(optimiser, third, gamma=0.1)
    return net, optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, total_steps=steps)


def _epoch(epoch, recipe, net, optimiser, schedule, read, labels, objective, bar) -> float:
    """One pass over the training pictures; its mean loss (nats)."""
    torch.manual_seed(recipe.seed * 1000 + epoch)  # dropout's draws: a resumed training equals an unbroken one
    generator = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
    device = next(net.parameters()).device
    order, total = torch.randperm(len(labels), generator=generator), 0.0
    batches = order[: len(order) // recipe.batch * recipe.batch].view(-1, recipe.batch)
    net.train()
    if recipe.free:
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()  # batch statistics would change what the frozen layers give
    for rows in batches:
        images = augmented(normalised(read(rows), recipe.normalise, device), recipe.size, generator)
        targets = labels[rows].to(device)
        loss = objective.loss(net, images, targets) if objective else F.cross_entropy(net(images), targets)
        total += step(loss, optimiser, schedule)
        bar.update()
    return total / len(batches)


def step(loss: torch.Tensor, optimiser, schedule) -> float:
    """The optimiser and its schedule one step on; the loss as a number."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    schedule.step()
    return loss.item()


def keep(path: Path, net, optimiser, schedule, history) -> None:
    state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    torch.save(state | {"history": history}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def resumed(path: Path, net, optimiser, schedule) -> list[dict]:
    if not path.is_file():
        return []
    state = torch.load(path, map_location=next(net.parameters()).device, weights_only=True)
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return state["history"]


def finish(partial: Path, folder: Path, history) -> None:
    """The training is whole: its history beside the weights, and the folder under its name."""
    (partial / "history.json").write_text(json.dumps(history))
    (partial / "state.pt").unlink()
    shutil.rmtree(folder, ignore_errors=True)  # the same recipe without its snapshots
    partial.replace(folder)


def _trainable(photos: Photos, batch: int) -> Photos:
    part = photos.split("train")
    if len(part) < batch or len(photos.classes) < 2:
        raise CourseError(
            f"{photos.root}: {len(part)} training pictures in {len(photos.classes)} classes; training needs at least "
            f"{batch} pictures and 2 classes. Give weights=PATH instead, or more pictures"
        )
    return part


def _save(net, path: Path, normalise: str) -> None:
    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    save_file(state, path, metadata={"normalise": normalise})
