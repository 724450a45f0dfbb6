"""Build and load a classifier: one of ours, of torchvision's or of timm's, its weights from a file or a download."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from ..errors import CourseError, nearest
from ..pictures.photos import Photos
from . import timm_networks
from .compact import COMPACT
from .state import fill, fingerprint, read_state, some

NORMALISE = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


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


def normalised(images: torch.Tensor, normalise: str, device="cpu") -> torch.Tensor:
    """uint8 `(N, 3, H, W)` -> float with the mean and standard deviation of that name in NORMALISE."""
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in NORMALISE[normalise])
    x = images.to(device, torch.float32, memory_format=torch.channels_last, copy=True)  # in place from here on
    return x.div_(255).sub_(mean).div_(std)


def names() -> list[str]:
    """Every architecture of ours and torchvision's. `build` knows timm's, too, as `timm:NAME`."""
    return [*COMPACT, *torchvision.models.list_models(module=torchvision.models)]


def check_name(name: str) -> None:
    """Raise CourseError with the nearest names unless `build` knows this one."""
    if _of_timm(name):
        timm_networks.head(name)
    elif name not in names():
        ways = "is not one of ours or torchvision's (timm's are `timm:NAME`)"
        raise CourseError(f"model `{name}` {ways}.{nearest(name, names())}")


def build(name: str, outputs: int, **options) -> nn.Module:
    """A network of this architecture with random weights and this many outputs. Raises CourseError on unknown names."""
    check_name(name)
    if name in COMPACT:
        return COMPACT[name](outputs)
    if _of_timm(name):
        return timm_networks.build(name, outputs, **options)
    if name in ("inception_v3", "googlenet"):
        options = {"init_weights": True, "aux_logits": False} | options  # its slow truncated normal is meant
    return torchvision.models.get_model(name, weights=None, num_classes=outputs, **options)


def load(name: str, weights: str, photos: Photos | None, normalise: str = "auto", device="cpu") -> Classifier:
    """A classifier with weights from a state dict (.pth, .pt, .safetensors) or, with `imagenet`, its library's own.

    Without `photos` it has a class an output, and nothing is checked against a data set. `normalise` is a name in
    NORMALISE or auto: as the file says; where it does not, timm's for a network of timm, else imagenet.

    Raises CourseError when the file is missing, is no state dict, belongs to another architecture, or its outputs do
    not fit the classes of `photos`; it says what was expected and found.
    """
    state, normalise = state_of(name, weights, normalise)
    outputs = state[head_of(name)].shape[0]
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
    auxiliary = any(key.lower().startswith("aux") for key in state)
    net = build(name, outputs, **({"aux_logits": auxiliary} if name in ("inception_v3", "googlenet") else {}))
    fill(net, state, name, weights)
    places = photos.outputs if photos else torch.arange(outputs)
    return Classifier(name, placed(net, device).eval(), places, normalise, f"{weights} ({fingerprint(state)})")


def state_of(name: str, weights: str, normalise: str = "auto") -> tuple[dict[str, torch.Tensor], str]:
    """The state dict of an architecture and its normalisation, whatever its outputs. Raises CourseError as `load`."""
    if weights == "imagenet":
        own = _usual(name) if normalise == "auto" else normalise  # a problem with it is told before a long download
        return timm_networks.download(name) if _of_timm(name) else _download(name), own
    state, own = read_state(Path(weights).expanduser(), "")
    if head_of(name) not in state:
        raise CourseError(
            f"weights {weights}: not of `{name}`: expected an entry `{head_of(name)}`, found {some(state)}"
        )
    return state, (own or _usual(name)) if normalise == "auto" else normalise


def placed(net: nn.Module, device) -> nn.Module:
    """The network on the device, in the layout in which its convolutions run fastest."""
    return net.to(device, memory_format=torch.channels_last)


@torch.no_grad()
def logits(classifier: Classifier, photos: Photos, read: Callable, batch: int = 64) -> torch.Tensor:
    """`(N, outputs)` on the CPU, at least two outputs; `read` gives the pictures as the explained ones are fitted."""
    found = []
    for rows in torch.arange(len(photos)).split(batch):
        images = read(rows)
        few = max(1, batch * 224**2 // images[0, 0].numel())  # 64 pictures of 512 px would take gigabytes at once
        found += [classifier.net(classifier.prepared(some)).cpu() for some in images.split(few)]
    found = torch.cat(found)
    return F.pad(found, (1, 0)) if found.shape[1] == 1 else found  # one unit: 0 against its logit


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
    count = max(2, len(classifier.net.state_dict()[head_of(classifier.name)]))
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
    head = head_of(classifier.name).removesuffix(".weight")
    net.set_submodule(head, nn.Identity())
    return net


def head_of(name: str) -> str:
    """The entry of the state dict whose first side is the number of outputs: timm says which, else the last weight."""
    if _of_timm(name):
        return timm_networks.head(name)
    with torch.device("meta"):
        net = build(name, 1000, **({"init_weights": False} if name in ("inception_v3", "googlenet") else {}))
    return [key for key in net.state_dict() if key.endswith(".weight")][-1]


def _of_timm(name: str) -> bool:
    return name.startswith(timm_networks.PREFIX)


def _usual(name: str) -> str:
    """The name in NORMALISE of what weights of this architecture expect when nothing else is said."""
    wanted = timm_networks.statistics(name) if _of_timm(name) else NORMALISE["imagenet"]
    for key, known in NORMALISE.items():
        if known == wanted:
            return key
    raise CourseError(
        f"model `{name}`: timm's weights expect pictures of mean {wanted[0]} and deviation {wanted[1]}; the course has "
        f"{', '.join(NORMALISE)}. Say normalise={' or '.join(NORMALISE)} for weights trained so, or take another model"
    )


def published(name: str) -> torchvision.models.WeightsEnum:
    """torchvision's weights of one of its architectures for the 1000 outputs of ImageNet."""
    known = torchvision.models.get_model_weights(name)
    return getattr(known, "IMAGENET1K_V1", None) or next(iter(known))  # V1: the weights of the papers' time


def _download(name: str) -> dict[str, torch.Tensor]:
    if name in COMPACT:
        raise CourseError(f"model `{name}` is ours and has no ImageNet weights; use weights=train or a path")
    build(name, 1)  # an unknown name is told first
    weights = published(name)
    place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[1]
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise CourseError(
            f"weights imagenet: {weights} could not be downloaded ({error}). On a machine with internet, fetch "
            f"{weights.url} and place it at {place}, or give its path: -p weights=PATH "
            f"(`course data prepare weights {name}` checks the file, too)"
        ) from None
