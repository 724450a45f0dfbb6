"""Build and load a classifier: one of ours, of torchvision's or of timm's, its weights from a file or a download.

Others bring theirs, see `foreign`.
"""

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms.functional import rgb_to_grayscale

from ..errors import CourseError
from ..pictures.photos import Photos
from . import foreign
from .architectures import (  # noqa: F401  what notebooks ask for by this door
    COMPACT,
    SLOW,
    body_of,
    build,
    check_name,
    downloaded,
    head_of,
    names,
    names_of,
    published,
    rebuild_head,
    usual_normalise,
    usual_size,
)
from .checkpoints import Checkpoint, read, read_state  # noqa: F401
from .ends import NORMALISE, about, one_channel, statistics  # noqa: F401
from .state import fill, fingerprint

Device = str | torch.device


@dataclass
class Classifier:
    """A network in eval mode, and what it takes to ask it: its outputs for our classes, its normalisation."""

    name: str
    net: nn.Module
    outputs: torch.Tensor  # (C,) the output that stands for each class of the data set
    normalise: str = "half"
    source: str = ""  # where its weights came from
    history: list[dict] = field(default_factory=list)  # one entry an epoch when it was trained here
    snapshots: list[Path] = field(default_factory=list)  # weights after each epoch, when they were kept
    called: tuple[str, ...] = ()  # a name for each output, where its weights have them

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def prepared(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 pictures `(N, 3, H, W)` as this network wants them: float, normalised, on its device.

        All three channels are the picture in grey where the network has one.
        """
        images = rgb_to_grayscale(images, 3) if about(self.net).grey else images
        return normalised(images, self.normalise, self.device)


def normalised(images: torch.Tensor, normalise: str, device: Device = "cpu") -> torch.Tensor:
    """uint8 `(N, 3, H, W)` -> float with that mean and standard deviation, see `architectures.statistics`."""
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in statistics(normalise))
    x = images.to(device, torch.float32, memory_format=torch.channels_last, copy=True)  # in place from here on
    return x.div_(255).sub_(mean).div_(std)


def load(
    name: str,
    weights: str,
    photos: Photos | None,
    normalise: str = "auto",
    device: Device = "cpu",
    average: str = "auto",
) -> Classifier:
    """A classifier with weights from a file (see `checkpoints`), its library's with `imagenet`, or its `own`.

    Without `photos` it has a class an output, and nothing is checked against a data set. `normalise` is what
    `statistics` takes, or auto: as the file says; where it does not, `usual_normalise`, and half for one input channel.
    `average` is auto, yes or no, see `checkpoints.read`.

    Raises CourseError when the file is missing, is no state dict, belongs to another architecture, or its outputs do
    not fit the classes of `photos`; it says what was expected and found.
    """
    found = checkpoint(name, weights, normalise, average)
    net, state, said = None, found.state, [found.said]
    if weights == "own":
        net = foreign.build(name)
        outputs = about(net).outputs
    else:
        outputs = state[head_of(name, state)].shape[0]
    called = found.classes if len(found.classes) == max(2, outputs) else ()
    places = _places(photos, outputs, called or names_of(name, outputs), weights)
    if found.classes and not called:
        said.append(f"{len(found.classes)} names of its {outputs} outputs, which are left")
    if net is None:
        net = build(name, outputs)
        own_way = found.normalise or usual_normalise(name)
        if name in SLOW:  # auxiliary heads only train; who had them had torchvision's weights, or its way to begin
            kept = {key: value for key, value in state.items() if not key.lower().startswith("aux")}
            net.transform_input = own_way == "imagenet" and len(kept) < len(state)  # type: ignore[assignment]
            state = kept
        said += [rebuild_head(net, name, state), one_channel(net, state)]
        fill(net, state, name, weights)
    known = about(net)
    way = found.normalise or ("half" if known.grey else usual_normalise(name))
    source = "; ".join(filter(None, [f"{weights} ({fingerprint(state)})", *said, known.said]))
    return Classifier(name, placed(net, device).eval(), places, way, source, called=called)


def _places(photos: Photos | None, outputs: int, called: Sequence[str], weights: str) -> torch.Tensor:
    """The output of each class: as classes.csv says it, by the names that outputs have, or in their order."""
    if photos is None:
        return torch.arange(outputs)
    classes, mapped = len(photos.classes), (photos.root / "classes.csv").is_file()
    known = {name.casefold(): i for i, name in enumerate(called)}
    if not mapped and all(name.casefold() in known for name in photos.classes):
        return torch.tensor([known[name.casefold()] for name in photos.classes])
    if (outputs == 1 and classes == 2) or (outputs > photos.outputs.max() and (outputs == classes or mapped)):
        return photos.outputs
    raise CourseError(
        f"weights {weights}: {outputs} outputs, but {photos.root} has {classes} classes that stand for outputs up "
        f"to {photos.outputs.max()}. Say which output each class is in its classes.csv (folder, index, name)"
    )


def state_of(
    name: str, weights: str, normalise: str = "auto", average: str = "auto"
) -> tuple[dict[str, torch.Tensor], str]:
    """The state dict of an architecture and its normalisation, whatever its outputs. Raises CourseError as `load`."""
    found = checkpoint(name, weights, normalise, average)
    return found.state, found.normalise or usual_normalise(name)


def checkpoint(name: str, weights: str, normalise: str = "auto", average: str = "auto") -> Checkpoint:
    """The state dict, what was taken of its file, and what that says of normalisation ("": nothing) and outputs."""
    if normalise != "auto":
        statistics(normalise)  # told before a long download
    own = "" if normalise == "auto" else normalise
    if weights == "own" and foreign.is_foreign(name):
        return Checkpoint(foreign.state_of(name), normalise=own)
    if weights == "own" or (foreign.is_foreign(name) and not name.startswith(foreign.PYTHON)):
        brings = (
            "weights=own, it brings them" if weights != "own" else "weights=PATH, imagenet or train: it brings none"
        )
        raise CourseError(f"weights {weights}: not for `{name}`. Say {brings}")
    if weights == "imagenet":
        return Checkpoint(downloaded(name), normalise=own)
    found = read(Path(os.path.expanduser(weights)), name, body_of(name), average)
    if (head := head_of(name, found.state)) not in found.state:
        last = [f"{key} {list(value.shape)}" for key, value in found.state.items() if key.endswith(".weight")]
        raise CourseError(
            f"weights {weights}: not of `{name}`: expected an entry `{head}`; the last weights found are "
            f"{', '.join(last[-3:])}. A Sequential may stand in its place (`{head.removesuffix('weight')}1.weight`): "
            f"rename the entries so, and save them again"
        )
    return replace(found, normalise=own or found.normalise)


def placed(net: nn.Module, device: Device) -> nn.Module:
    """The network on the device, in the layout in which its convolutions run fastest."""
    return net.to(device).to(memory_format=torch.channels_last)


@torch.no_grad()
def logits(classifier: Classifier, photos: Photos, read: Callable, batch: int = 64) -> torch.Tensor:
    """`(N, outputs)` on the CPU, at least two outputs; `read` gives the pictures as the explained ones are fitted."""
    found = []
    for rows in torch.arange(len(photos)).split(batch):
        images = read(rows)
        few = max(1, batch * 224**2 // images[0, 0].numel())  # 64 pictures of 512 px would take gigabytes at once
        found += [classifier.net(classifier.prepared(some)).cpu() for some in images.split(few)]
    given = torch.cat(found)
    return F.pad(given, (1, 0)) if given.shape[1] == 1 else given  # one unit: 0 against its logit


def predictions(classifier: Classifier, photos: Photos, read: Callable) -> torch.Tensor:
    """`(N,)` the output of the highest logit for each picture."""
    return logits(classifier, photos, read).argmax(1)


def evaluate(classifier: Classifier, photos: Photos, read: Callable, batch: int = 64) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean cross-entropy (nats)."""
    found, targets = logits(classifier, photos, read, batch), classifier.outputs[photos.labels]
    hits = (found.argmax(1) == targets).sum().item()
    return hits / len(photos), F.cross_entropy(found, targets).item()


def output_names(classifier: Classifier, photos: Photos | None = None) -> list[str]:
    """A name for each output; two for a single unit.

    At `classifier.outputs` those of the classes of `photos`, where there are as many and more than one: a single class
    only says that the pictures lie in one place. Elsewhere those that the weights say, ImageNet's for a network of 1000
    outputs (of timm's also those of its larger sets), else `output 3`.
    """
    count = about(classifier.net).outputs
    if not count:
        state = classifier.net.state_dict()
        count = len(state[head_of(classifier.name, state)])
    found = [*(classifier.called or names_of(classifier.name, max(2, count)))]
    found = found or [f"output {i}" for i in range(max(2, count))]
    if photos and 1 < len(photos.classes) == len(classifier.outputs):
        for place, name in zip(classifier.outputs.tolist(), photos.classes, strict=True):
            found[place] = name
    return found


def embedding(classifier: Classifier) -> nn.Module:
    """The network without its last dense layer: pictures `(N, 3, H, W)`, prepared -> features `(N, d)`."""
    net = copy.deepcopy(classifier.net)
    net.set_submodule(head_of(classifier.name, net.state_dict()).removesuffix(".weight"), nn.Identity())
    return net
