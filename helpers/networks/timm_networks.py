"""Classifiers of timm by name: `timm:legacy_xception`, or with the tag of some weights, `timm:resnet18.a1_in1k`.

timm is imported only when such a name is asked for.
"""

from pathlib import Path

import torch
from torch import nn

from ..errors import CourseError, nearest

PREFIX = "timm:"


def head(name: str) -> str:
    """The entry of the state dict that holds the classifier's weight; nothing is built.

    Raises CourseError when timm is missing, does not know the name, or the network has not one classifier: some give
    features, some have two heads.
    """
    timm, own = _timm(name), name.removeprefix(PREFIX)
    known = sorted({*timm.list_models(), *timm.list_pretrained()})  # without and with the tag of some weights
    if own not in known:
        raise CourseError(f"model `{name}` is not one of timm's.{nearest(name, [PREFIX + k for k in known])}")
    classifier = timm.get_pretrained_cfg(own).classifier
    if not isinstance(classifier, str):
        found = f"has {len(classifier)} of them ({', '.join(classifier)})" if classifier else "gives features"
        raise CourseError(f"model `{name}` {found}; expected one dense layer whose outputs are logits")
    return f"{classifier}.weight"


def build(name: str, outputs: int, **options) -> nn.Module:
    """A network with random weights and this many outputs. Raises CourseError as `head` does."""
    weight = head(name)
    net = _timm(name).create_model(name.removeprefix(PREFIX), pretrained=False, num_classes=outputs, **options)
    found = net.state_dict().get(weight)
    if found is None or len(found) != outputs:
        raise CourseError(f"model `{name}` has no `{weight}` with a row for each of {outputs} outputs")
    return net


def statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation that timm's own weights expect their pictures to have."""
    head(name)  # an unknown name is told first
    cfg = _timm(name).get_pretrained_cfg(name.removeprefix(PREFIX))
    return tuple(cfg.mean), tuple(cfg.std)


def download(name: str) -> dict[str, torch.Tensor]:
    """timm's own weights for the 1000 outputs of ImageNet. Raises CourseError when there are none or no internet."""
    head(name)
    timm, own = _timm(name), name.removeprefix(PREFIX)
    cfg = timm.get_pretrained_cfg(own)
    if not cfg.has_weights or cfg.num_classes != 1000:  # of 21 841 outputs, classes.csv would name the wrong ones
        fit = [PREFIX + n for n in timm.list_pretrained(f"{own.split('.')[0]}.*")]
        fit = [n for n in fit if timm.get_pretrained_cfg(n.removeprefix(PREFIX)).num_classes == 1000]
        rather = f"Take {' or '.join(f'`{n}`' for n in fit[:3])}, or give" if fit else "Give"
        raise CourseError(f"weights imagenet: timm has none of `{name}` with 1000 outputs. {rather} -p weights=PATH")
    try:
        return timm.create_model(own, pretrained=True).state_dict()
    except Exception as error:  # of the hub, of the connection under it, of a file cut short
        way = f"fetch model.safetensors of {cfg.hf_hub_id} and give its path: -p weights=PATH"
        if not cfg.hf_hub_id:  # timm looks there first
            place = Path(torch.hub.get_dir()) / "checkpoints" / cfg.url.rsplit("/", 1)[1]
            way = f"fetch {cfg.url} and place it at {place}, or give a path: -p weights=PATH"
        raise CourseError(
            f"weights imagenet: `{name}` could not be downloaded ({type(error).__name__}). "
            f"On a machine with internet, {way}"
        ) from None


def _timm(name: str):
    try:
        import timm
    except ImportError:
        raise CourseError(f"model `{name}` is built by timm, which is missing: pip install -e .[timm]") from None
    return timm
