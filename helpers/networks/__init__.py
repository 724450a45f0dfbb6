"""Build and load a classifier: one of ours, of torchvision's or of timm's, its weights from a file or a download."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from ..errors import CourseError
from ..pictures.photos import Photos
from .architectures import (  # noqa: F401  what notebooks ask for by this door
    COMPACT,
    NORMALISE,
    SLOW,
    build,
    check_name,
    downloaded,
    head_of,
    names,
    published,
    rebuild_head,
    usual_normalise,
    usual_size,
)
from .state import fill, fingerprint, read_state

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

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def prepared(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 pictures `(N, 3, H, W)` as this network wants them: float, normalised, on its device."""
        return normalised(images, self.normalise, self.device)


def normalised(images: torch.Tensor, normalise: str, device: Device = "cpu") -> torch.Tensor:
    """uint8 `(N, 3, H, W)` -> float with the mean and standard deviation of that name in NORMALISE."""
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in NORMALISE[normalise])
    x = images.to(device, torch.float32, memory_format=torch.channels_last, copy=True)  # in place from here on
    return x.div_(255).sub_(mean).div_(std)


def load(name: str, weights: str, photos: Photos | None, normalise: str = "auto", device: Device = "cpu") -> Classifier:
    """A classifier with weights from a state dict (.pth, .pt, .safetensors) or, with `imagenet`, its library's own.

    Without `photos` it has a class an output, and nothing is checked against a data set. `normalise` is a name in
    NORMALISE or auto: as the file says; where it does not, `usual_normalise`.

    Raises CourseError when the file is missing, is no state dict, belongs to another architecture, or its outputs do
    not fit the classes of `photos`; it says what was expected and found.
    """
    state, normalise = state_of(name, weights, normalise)
    outputs = state[head_of(name, state)].shape[0]
    classes = len(photos.classes) if photos else outputs
    if (
        photos
        and not (outputs == 1 and classes == 2)
        and (outputs <= photos.outputs.max() or (outputs != classes and not (photos.root / "classes.csv").is_file()))
    ):
        raise CourseError(
            f"weights {weights}: {outputs} outputs, but {photos.root} has {classes} classes that stand for outputs up "
            f"to {photos.outputs.max()}. Say which output each class is in its classes.csv (folder, index, name)"
        )
    net, source = build(name, outputs), f"{weights} ({fingerprint(state)})"
    if name in SLOW:  # auxiliary heads only train; who had them had torchvision's weights, or its way to begin
        kept = {key: value for key, value in state.items() if not key.lower().startswith("aux")}
        net.transform_input = normalise == "imagenet" and len(kept) < len(state)  # type: ignore[assignment]
        state = kept
    source += rebuild_head(net, name, state)
    fill(net, state, name, weights)
    places = photos.outputs if photos else torch.arange(outputs)
    return Classifier(name, placed(net, device).eval(), places, normalise, source)


def state_of(name: str, weights: str, normalise: str = "auto") -> tuple[dict[str, torch.Tensor], str]:
    """The state dict of an architecture and its normalisation, whatever its outputs. Raises CourseError as `load`."""
    if weights == "imagenet":
        own = usual_normalise(name) if normalise == "auto" else normalise  # told before a long download
        return downloaded(name), own
    state, own = read_state(Path(weights).expanduser(), "")
    if (head := head_of(name, state)) not in state:
        found = [f"{key} {list(value.shape)}" for key, value in state.items() if key.endswith(".weight")]
        raise CourseError(
            f"weights {weights}: not of `{name}`: expected an entry `{head}`; the last weights found are "
            f"{', '.join(found[-3:])}. A Sequential may stand in its place (`{head.removesuffix('weight')}1.weight`): "
            f"rename the entries so, and save them again"
        )
    return state, (own or usual_normalise(name)) if normalise == "auto" else normalise


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
    only says that the pictures lie in one place. Elsewhere ImageNet's for a network of 1000 outputs, else `output 3`.
    """
    state = classifier.net.state_dict()
    count = max(2, len(state[head_of(classifier.name, state)]))
    found = [f"output {i}" for i in range(count)]
    if count == 1000:
        found = list(torchvision.models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"])
    if photos and 1 < len(photos.classes) == len(classifier.outputs):
        for place, name in zip(classifier.outputs.tolist(), photos.classes, strict=True):
            found[place] = name
    return found


def embedding(classifier: Classifier) -> nn.Module:
    """The network without its last dense layer: pictures `(N, 3, H, W)`, prepared -> features `(N, d)`."""
    net = copy.deepcopy(classifier.net)
    net.set_submodule(head_of(classifier.name, net.state_dict()).removesuffix(".weight"), nn.Identity())
    return net
