"""Build and load a classifier: a compact one of ours or any of torchvision's, its weights from a file or a download."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from safetensors import safe_open
from torch import nn

from .compact import COMPACT
from .data import Photos
from .errors import CourseError, nearest

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
    """Every architecture that `build` knows."""
    return [*COMPACT, *torchvision.models.list_models(module=torchvision.models)]


def build(name: str, outputs: int, **options) -> nn.Module:
    """A network of this architecture with random weights and this many outputs. Raises CourseError on unknown names."""
    if name in COMPACT:
        return COMPACT[name](outputs)
    if name not in names():
        raise CourseError(f"model `{name}` is not one of ours or torchvision's.{nearest(name, names())}")
    if name in ("inception_v3", "googlenet"):
        options = {"init_weights": True, "aux_logits": False} | options  # its slow truncated normal is meant
    return torchvision.models.get_model(name, weights=None, num_classes=outputs, **options)


def load(name: str, weights: str, photos: Photos | None, normalise: str = "auto", device="cpu") -> Classifier:
    """A classifier with weights from a state dict (.pth, .pt, .safetensors) or, with `imagenet`, torchvision's own.

    Without `photos` it has a class an output, and nothing is checked against a data set.

    Raises CourseError when the file is missing, is no state dict, belongs to another architecture, or its outputs do
    not fit the classes of `photos`; it says what was expected and found.
    """
    state, own = state_of(name, weights)
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
    own = own if normalise == "auto" else normalise
    places = photos.outputs if photos else torch.arange(outputs)
    return Classifier(name, placed(net, device).eval(), places, own, f"{weights} ({fingerprint(state)})")


def state_of(name: str, weights: str) -> tuple[dict[str, torch.Tensor], str]:
    """The state dict of an architecture and its normalisation, whatever its outputs. Raises CourseError as `load`."""
    if weights == "imagenet":
        return _download(name), "imagenet"
    state, own = read_state(Path(weights).expanduser())
    if head_of(name) not in state:
        raise CourseError(
            f"weights {weights}: not of `{name}`: expected an entry `{head_of(name)}`, found {_some(state)}"
        )
    return state, own


def read_state(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """A state dict in float32 without `module.` prefixes, and the normalisation it was saved with (else imagenet)."""
    if not path.is_file():
        raise CourseError(f"weights {path}: no such file. Expected `train`, `imagenet` or a path to a state dict")
    normalise = "imagenet"
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                normalise = (file.metadata() or {}).get("normalise", normalise)
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 it is no dict
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a garbled pickle can raise anything
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CourseError(
            f"weights {path}: not a state dict that loads without running code ({first}). "
            f"Save it with torch.save(model.state_dict(), path) or as safetensors"
        ) from None
    for key in ("state_dict", "model", "model_state_dict"):
        state = state[key] if isinstance(state, dict) and isinstance(state.get(key), dict) else state
    if not (isinstance(state, dict) and state and all(isinstance(v, torch.Tensor) for v in state.values())):
        raise CourseError(f"weights {path}: holds {type(state).__name__}, expected a state dict of tensors")
    floats = {k.removeprefix("module."): v.float() if v.is_floating_point() else v for k, v in state.items()}
    return floats, normalise


def fingerprint(state: dict[str, torch.Tensor]) -> str:
    """A short hash of the values of a state dict."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode() + state[key].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


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


def embedding(classifier: Classifier) -> nn.Module:
    """The network without its last dense layer: pictures `(N, 3, H, W)`, prepared -> features `(N, d)`."""
    net = copy.deepcopy(classifier.net)
    head = head_of(classifier.name).removesuffix(".weight")
    net.set_submodule(head, nn.Identity())
    return net


def head_of(name: str) -> str:
    """The entry of the state dict whose first side is the number of outputs: the last weight of the network."""
    with torch.device("meta"):
        net = build(name, 1000, **({"init_weights": False} if name in ("inception_v3", "googlenet") else {}))
    return [key for key in net.state_dict() if key.endswith(".weight")][-1]


def fill(net, state, name, weights) -> None:
    own = net.state_dict()
    state = {k: v for k, v in state.items() if k in own or not k.endswith("num_batches_tracked")}
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    extra = [k for k in state if k not in own]
    wrong = [k for k in state if k in own and state[k].shape != own[k].shape]
    if missing or extra or wrong:
        parts = [f"missing {_some(missing)}"] * bool(missing) + [f"not expected {_some(extra)}"] * bool(extra)
        parts += [f"`{k}` has shape {list(state[k].shape)}, expected {list(own[k].shape)}" for k in wrong[:2]]
        raise CourseError(f"weights {weights}: not of `{name}`: {'; '.join(parts)}")
    net.load_state_dict(state, strict=False)


def _some(keys) -> str:
    keys = list(keys)
    return ", ".join(f"`{k}`" for k in keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _download(name: str) -> dict[str, torch.Tensor]:
    if name in COMPACT:
        raise CourseError(f"model `{name}` is ours and has no ImageNet weights; use weights=train or a path")
    build(name, 1)  # an unknown name is told first
    known = torchvision.models.get_model_weights(name)
    weights = getattr(known, "IMAGENET1K_V1", None) or next(iter(known))  # V1: the weights of the papers' time
    place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[1]
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise CourseError(
            f"weights imagenet: {weights} could not be downloaded ({error}). On a machine with internet, fetch "
            f"{weights.url} and place it at {place}, or give its path: -p weights=PATH"
        ) from None
