"""What a network says about each patch of a picture: what the object detector LOST compares (Siméoni et al. 2021).

Both functions give a function: uint8 pictures `(N, 3, H, W)` -> float32 features `(N, u, v, d)` on the CPU, row by row
from the top left. It raises CourseError for pictures that do not fit.
"""

import argparse
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..door import data_root
from ..errors import CourseError
from . import NORMALISE, Classifier, fill, normalised, read_state
from .architectures import timm_with
from .layers import explaining, last_conv, recording, trace
from .tokens import as_grid, patch_grid

BATCH = 32  # pictures at a time
Features = Callable[[torch.Tensor], torch.Tensor]
PLACED = {"vit_small_patch16_224.dino": "dino_deitsmall16_pretrain.pth"}  # by `course data prepare weights dino`
WAY_OUT = "Take a plain vision transformer, such as vit_small_patch16_224.dino"


def vit_keys(name: str, weights: str = "imagenet", device: str | torch.device = "cpu") -> Features:
    """Keys of the last attention layer of a vision transformer of timm, all heads side by side, patch tokens only.

    LOST has them of DINO's ViT-S/16, `vit_small_patch16_224.dino`: d = 384, u = H / 16, v = W / 16. `weights` is
    `imagenet`, the file that `course data prepare weights dino` placed, for other names timm's download, or a state
    dict as DINO and timm publish them (no head is needed; of a training checkpoint, the teacher). Colours are
    normalised as ImageNet's, and positions are resized as timm does it.
    Raises CourseError when timm is missing, `name` is none of its transformers, or the weights do not fit.
    """
    placed = data_root() / "weights" / PLACED.get(name, "")
    weights = str(placed) if weights == "imagenet" and placed.is_file() else weights
    net = _transformer(name, download=weights == "imagenet")
    if weights != "imagenet":
        fill(net, _state(Path(os.path.expanduser(weights)), name), name, weights)
    net.to(device).eval()
    qkv, first, patch = net.blocks[-1].attn.qkv, net.num_prefix_tokens, net.patch_embed.patch_size

    @batched
    def keys(images):
        for side, step in zip(images.shape[2:], patch, strict=True):
            if side % step:
                near = max(1, round(side / step)) * step
                raise CourseError(f"side is {side} px; `{name}` needs a multiple of its patch, {step} px. Take {near}")
        u, v = images.shape[2] // patch[0], images.shape[3] // patch[1]
        with recording(qkv) as seen:
            net.forward_features(normalised(images, "imagenet", device))
        output = seen[qkv].output if qkv in seen else torch.empty(0, 0)
        if output.shape[:2] != (len(images), first + u * v):
            raise CourseError(f"model `{name}`: its last `attn.qkv` does not give one token a patch. {WAY_OUT}")
        return output.chunk(3, dim=2)[1][:, first:].unflatten(1, (u, v))  # queries, keys, values: (B, tokens, 3d)

    keys(torch.zeros(1, 3, 2 * patch[0], 2 * patch[1], dtype=torch.uint8))  # a misfit is told at once
    return keys


def layer_features(classifier: Classifier) -> Features:
    """What `layers.last_conv` of a classifier gives, minus each picture's mean over (u, v).

    The mean has to go: after a ReLU no activation is negative, so no two patches have a negative similarity, and every
    patch would be every other's neighbour. The network is left as found. Raises ValueError when there is no such layer.
    """
    _, layer = last_conv(classifier.net)

    @batched
    def activations(images):
        x = classifier.prepared(images)
        with explaining(classifier.net) as net, recording(layer) as seen:
            net(x)
        A = as_grid(seen[layer].output, x.shape[2:], patch_grid(trace(classifier.net, x[:1])))  # (B, d, u, v)
        return (A - A.mean((2, 3), keepdim=True)).permute(0, 2, 3, 1)

    return activations


def batched(function: Features) -> Features:
    """The same function for any number of pictures, BATCH at a time; ValueError for what are none."""

    @torch.no_grad()
    def features(images):
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; expected uint8 (N, 3, H, W)")
        return torch.cat([function(some).float().cpu() for some in images.split(BATCH)])

    return features


def _transformer(name: str, download: bool) -> Any:
    """A transformer of timm for pictures of any size, with random weights or the downloaded ones."""
    timm = timm_with(name, f" {WAY_OUT}")
    build = partial(timm.create_model, name, num_classes=0, dynamic_img_size=True)
    try:
        net = build()
        _ = net.blocks[-1].attn.qkv, net.num_prefix_tokens
    except (TypeError, AttributeError):  # what takes pictures of one size only does not know the option
        raise CourseError(f"model `{name}` has no `blocks[-1].attn.qkv` over patches. {WAY_OUT}") from None
    cfg = timm.get_pretrained_cfg(name)
    if download and not (cfg.has_weights and (cfg.mean, cfg.std) == NORMALISE["imagenet"]):
        raise CourseError(f"weights imagenet: timm has none of `{name}` for ImageNet's mean and deviation. {WAY_OUT}")
    try:
        return build(pretrained=True) if download else net
    except Exception as error:  # of the hub, of the connection under it, of a file cut short
        raise CourseError(
            f"weights imagenet: `{name}` could not be downloaded ({type(error).__name__}). On a machine with internet, "
            f"fetch {cfg.url or f'model.safetensors of {cfg.hf_hub_id}'}, and give its path: weights=PATH. "
            f"DINO's ViT-S/16: course data prepare weights dino"
        ) from None


def _state(path: Path, name: str) -> dict[str, torch.Tensor]:
    """A state dict without the prefixes of DINO's training and without a head."""
    if not path.is_file():
        raise CourseError(f"weights {path}: no such file. Expected `imagenet` or a path to a state dict of `{name}`")
    state = None
    with suppress(Exception), torch.serialization.safe_globals([argparse.Namespace]):  # the options of a training
        state = dict(torch.load(path, map_location="cpu", weights_only=True)["teacher"])
    state = state or read_state(path)[0]  # which tells what is wrong with a file
    state = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in state.items()}
    return {key: value for key, value in state.items() if not key.startswith("head.")}
