"""Classifiers by name, of ours, of torchvision and of timm: built with random weights, and what is published for them.

timm is imported only when a name of its own is asked for: `timm:legacy_xception`, or with the tag of some weights,
`timm:resnet18.a1_in1k`. What has a prefix of `foreign` comes from there, and brings weights.
"""

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torchvision
from torch import nn

from ..errors import CourseError, nearest
from . import foreign
from .compact import COMPACT
from .ends import NORMALISE, about
from .tokens import any_size

TIMM = "timm:"
SLOW = ("inception_v3", "googlenet")  # by default they draw their weights from a truncated normal, for half a minute


def names() -> list[str]:
    """Every architecture of ours and torchvision's. `build` knows more, by their prefixes."""
    return [*COMPACT, *torchvision.models.list_models(module=torchvision.models)]


def check_name(name: str) -> None:
    """Raise CourseError with the nearest names unless `build` knows this one."""
    if name.startswith(TIMM):
        _classifier_of_timm(name)
    elif foreign.is_foreign(name):
        foreign.check(name)
    elif name not in names():
        ways = "is not one of ours or torchvision's (timm's are `timm:NAME`)"
        if Path(name).suffix in (".pt", ".pth", ".pt2", ".ts"):
            ways = f"is a file; a TorchScript is `torchscript:{name}`, an exported program `exported:{name}`"
        raise CourseError(f"model `{name}` {ways}.{nearest(name, names())}")


def build(name: str, outputs: int, **options: Any) -> nn.Module:
    """A network of this architecture with random weights and this many outputs. Raises CourseError on unknown names.

    What brings its weights has them, and may have other outputs.
    """
    check_name(name)
    if foreign.is_foreign(name):
        return foreign.build(name, outputs)
    if name in COMPACT:
        return COMPACT[name](outputs)
    if not name.startswith(TIMM):
        options = {"init_weights": True, "aux_logits": False} | options if name in SLOW else options
        return any_size(torchvision.models.get_model(name, weights=None, num_classes=outputs, **options))
    weight = f"{_classifier_of_timm(name).classifier}.weight"
    create = partial(timm_with(name).create_model, name.removeprefix(TIMM), pretrained=False, num_classes=outputs)
    try:
        net = create(dynamic_img_size=True, **options)
    except TypeError:  # what takes pictures of any size anyway, or of one only, does not know this
        net = create(**options)
    found = net.state_dict().get(weight)
    if found is None or len(found) != outputs:
        raise CourseError(f"model `{name}` has no `{weight}` with a row for each of {outputs} outputs")
    return net


def head_of(name: str, state: Mapping[str, torch.Tensor] | None = None) -> str:
    """The entry of the state dict whose first side is the number of outputs: timm says which, else the last weight.

    In the `state` of somebody's network, whose head has other layers, it is the last of them: `fc.4.weight`.
    """
    head, own = _head(name)
    around, _, last = head.rpartition(".")
    for place in [head, around][: 1 + last.isdigit()]:  # of `classifier.1` all of the classifier may be another one
        dense = dense_of(place, state or {})
        if dense and {*dense} != {*dense_of(place, own)}:
            return f"{place}.{max(dense)}.weight"
    return f"{head}.weight"


def body_of(name: str) -> dict[str, torch.Size]:
    """The entries that every state dict of this architecture has, whatever its head, and their shapes."""
    head, own = _head(name)
    around, _, last = head.rpartition(".")
    other = f"{around if around and last.isdigit() else head}."
    return {k: v.shape for k, v in own.items() if not k.startswith(other) and not k.endswith("num_batches_tracked")}


@lru_cache(maxsize=8)
def _head(name: str) -> tuple[str, Mapping[str, torch.Tensor]]:
    """The layer that gives the outputs, by name, and the entries of such a network, without values where it can be."""
    if name.startswith(foreign.FOREIGN):
        return foreign.head_by_run(name)
    classifier = _classifier_of_timm(name).classifier if name.startswith(TIMM) else None
    try:
        with torch.device("meta"):
            own = build(name, 1000, **({"init_weights": False} if name in SLOW else {})).state_dict()
    except (RuntimeError, NotImplementedError):  # some of timm's look at values when they are built
        own = build(name, 1000).state_dict()
    return classifier or [key for key in own if key.endswith(".weight")][-1].removesuffix(".weight"), own


def dense_of(place: str, state: Mapping[str, torch.Tensor]) -> dict[int, torch.Tensor]:
    """The weights of the dense layers of a Sequential by their positions in it: `fc.1.weight` by 1."""
    named = {key: re.fullmatch(rf"{re.escape(place)}\.(\d+)\.weight", key) for key in state}
    return {int(found[1]): state[key] for key, found in named.items() if found and state[key].ndim == 2}


def rebuild_head(net: nn.Module, name: str, state: Mapping[str, torch.Tensor]) -> str:
    """Give the network the dense layers that `state` has for its head, and say so; "" where they are the usual ones.

    A state dict does not hold what is between them: a ReLU is put where a place is left between two.
    """
    if (last := head_of(name, state)) == head_of(name):
        return ""
    place = last.removesuffix(".weight").rpartition(".")[0]
    dense = dense_of(place, state)
    layers: list[nn.Module] = [nn.Identity() for _ in range(max(dense) + 1)]
    for i, weight in dense.items():
        outputs, features = weight.shape
        layers[i] = nn.Linear(features, outputs, bias=f"{place}.{i}.bias" in state)
    gaps = [i + 1 for i, after in pairwise(sorted(dense)) if after > i + 1]
    for i in gaps:
        layers[i] = nn.ReLU()
    net.set_submodule(place, nn.Sequential(*layers))
    return f"its head of {len(dense)} dense layers taken to have a ReLU between them" if gaps else ""


def usual_normalise(name: str) -> str:
    """What weights of this architecture expect when nothing else is said: a name in NORMALISE, else in its writing.

    That is timm's for a network of timm, else imagenet; but for the two SLOW ones half, which is what torchvision's
    `transform_input` makes of imagenet in them.
    """
    if not name.startswith(TIMM):
        return "half" if name in SLOW else "imagenet"
    cfg = _classifier_of_timm(name)
    wanted = tuple(cfg.mean), tuple(cfg.std)
    written = " ".join(",".join(f"{v:.8g}" for v in part) for part in wanted)
    return next((key for key, known in NORMALISE.items() if known == wanted), written)


def usual_size(name: str) -> int:
    """The side, in pixels, of the pictures that weights of this architecture expect: its library's, 112 for ours.

    Of a foreign one the first that it takes.
    """
    if name.startswith(TIMM):
        return _classifier_of_timm(name).input_size[-1]
    if foreign.is_foreign(name):
        return about(foreign.build(name)).side
    return 112 if name in COMPACT else published(name).transforms().crop_size[0]


def names_of(name: str, outputs: int) -> list[str]:
    """ImageNet's names for so many outputs, for a network of timm also those of its larger sets; [] where none are."""
    if outputs == 1000:
        return list(torchvision.models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"])
    subset = timm_with(name).data.infer_imagenet_subset({"num_classes": outputs}) if name.startswith(TIMM) else None
    info = subset and timm_with(name).data.ImageNetInfo(subset)
    return [info.index_to_description(i) for i in range(outputs)] if info else []


def published(name: str) -> torchvision.models.WeightsEnum:
    """torchvision's weights of one of its architectures for the 1000 outputs of ImageNet."""
    known = torchvision.models.get_model_weights(name)
    return getattr(known, "IMAGENET1K_V1", None) or next(iter(known))  # V1: the weights of the papers' time


def downloaded(name: str) -> dict[str, torch.Tensor]:
    """The library's own weights for the 1000 outputs of ImageNet.

    Raises CourseError when there are none or no internet; then it says what to place where.
    """
    check_name(name)
    if name.startswith(TIMM):
        return _downloaded_by_timm(name)
    if name in COMPACT:
        raise CourseError(f"model `{name}` is ours and has no ImageNet weights; use weights=train or a path")
    weights = published(name)
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise CourseError(
            f"weights imagenet: {weights} could not be downloaded ({error}). On a machine with internet, fetch "
            f"{weights.url} and place it at {_place(weights.url)}, or give its path: -p weights=PATH "
            f"(`course data prepare weights {name}` checks the file, too)"
        ) from None


def timm_with(name: str, hint: str = "") -> ModuleType:
    """timm, which knows a network of this name. Raises CourseError, with the hint, when it does not or is missing."""
    try:
        import timm
    except ImportError:
        raise CourseError(f"model `{name}` is built by timm, which is missing: pip install -e .[timm]") from None
    prefix = TIMM if name.startswith(TIMM) else ""
    known = {prefix + own for own in [*timm.list_models(), *timm.list_pretrained()]}  # without and with some tag
    if name not in known:
        raise CourseError(f"model `{name}` is not one of timm's.{nearest(name, sorted(known))}{hint}")
    return timm


def _classifier_of_timm(name: str) -> Any:
    """What timm says of a classifier; nothing is built. CourseError for what gives features, or has two heads."""
    cfg = timm_with(name).get_pretrained_cfg(name.removeprefix(TIMM))
    if not isinstance(given := cfg.classifier, str):
        found = f"has {len(given)} of them ({', '.join(given)})" if given else "gives features"
        raise CourseError(f"model `{name}` {found}; expected one dense layer whose outputs are logits")
    return cfg


def _downloaded_by_timm(name: str) -> dict[str, torch.Tensor]:
    timm, own = timm_with(name), name.removeprefix(TIMM)
    cfg = timm.get_pretrained_cfg(own)
    if not cfg.has_weights or cfg.num_classes != 1000:  # of 21 841 outputs, classes.csv would name the wrong ones
        fit = [n for n in timm.list_pretrained(f"{own.split('.')[0]}.*")]
        fit = [f"`{TIMM}{n}`" for n in fit if timm.get_pretrained_cfg(n).num_classes == 1000]
        rather = f"Take {' or '.join(fit[:3])}, or give" if fit else "Give"
        raise CourseError(f"weights imagenet: timm has none of `{name}` with 1000 outputs. {rather} -p weights=PATH")
    try:
        return timm.create_model(own, pretrained=True).state_dict()
    except Exception as error:  # of the hub, of the connection under it, of a file cut short
        way = f"fetch model.safetensors of {cfg.hf_hub_id} and give its path: -p weights=PATH"
        if not cfg.hf_hub_id:  # timm looks there first
            way = f"fetch {cfg.url} and place it at {_place(cfg.url)}, or give a path: -p weights=PATH"
        raise CourseError(
            f"weights imagenet: `{name}` could not be downloaded ({type(error).__name__}). "
            f"On a machine with internet, {way}"
        ) from None


def _place(url: str) -> Path:
    """Where PyTorch looks for a file of this address before it asks for it."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
