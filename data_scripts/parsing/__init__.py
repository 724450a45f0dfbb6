"""A face parser: a network that gives every pixel a region, for pictures that come without masks.

Ours is trained in a minute or two on a data set with palette masks; one from elsewhere is a TorchScript file and a
table that says which region each of its channels is. Regions go by name, so any table of ids (`Photos.regions`) can
be asked for.
"""

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

from helpers.errors import CourseError, nearest
from helpers.networks import fill, normalised, placed, read_state
from helpers.pictures.photos import Photos

from ..getting.tables import read_csv
from ..public import weights
from .unet import SIZE, CompactUNet, trained

# facer's farl/celebm/448, channel by channel. Its authors call channel 4 `rr`, right ear, but trained it on
# CelebAMask-HQ's l_ear files (FaRL, farl/datasets/celebamask_hq.py), and so for brows and eyes: the files' names rule
FARL = (
    *("background", "neck", "skin", "cloth", "l_ear", "r_ear", "l_brow", "r_brow", "l_eye", "r_eye"),
    *("nose", "mouth", "l_lip", "u_lip", "hair", "eye_g", "hat", "ear_r", "neck_l"),
)
FARL_SIZE = 448


@dataclass
class Parser:
    """A network in eval mode, `regions[k]` the region of its output k ("" for one to leave out), and its input."""

    net: nn.Module
    regions: tuple[str, ...]
    size: int  # its input is squashed to this side, in pixels
    normalise: str  # a name in NORMALISE, or `unit` for division by 255 alone
    source: str  # where its weights came from

    @property
    def device(self) -> torch.device:
        return next((weight.device for weight in self.net.parameters()), torch.device("cpu"))


@torch.no_grad()
def parse(parser: Parser, images: torch.Tensor, regions: dict[int, str], batch: int = 16) -> torch.Tensor:
    """Ids of `regions` `(N, H, W)` uint8 for uint8 pictures `(N, 3, H, W)` of any size.

    Logits come back to H x W bilinearly, and every pixel takes the region with the largest (a choice of ours; the
    paper's code takes each region whose probability reaches 0.5, so that a pixel can have none or two). What `regions`
    does not name is background, or id 255 where there is none. Raises CourseError when the parser knows none of them.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; expected uint8 (N, 3, H, W)")
    found = torch.empty(len(images), *images.shape[2:], dtype=torch.uint8)
    sizes = [(images.shape[2], images.shape[3])] * len(images)
    for row, ids in enumerate(parse_each(parser, images, regions, sizes, batch)):
        found[row] = ids
    return found.to(images.device)


@torch.no_grad()
def parse_each(
    parser: Parser, images: torch.Tensor, regions: dict[int, str], sizes: list[tuple[int, int]], batch: int = 16
) -> Iterator[torch.Tensor]:
    """The same one by one, on the CPU, each at a size (H, W) of its own: of pictures squashed into one batch."""
    ids = {name: number for number, name in regions.items()}
    if not {*parser.regions} & {*ids} - {"background"}:
        raise CourseError(
            f"{parser.source}: knows none of the regions {', '.join(ids)}; its own are "
            f"{', '.join(filter(None, parser.regions))}. Name its channels in a CSV (channel, region)"
        )
    rest = ids.get("background", 255)
    number = torch.tensor([ids.get(name, rest) for name in parser.regions], dtype=torch.uint8, device=parser.device)
    for rows in torch.arange(len(images)).split(batch) if len(images) else []:  # none would be one part without any
        logits = _logits(parser.net(_prepared(parser, images[rows])))
        for row, one in zip(rows, logits, strict=True):  # one by one: 19 channels of large pictures fill the memory
            yield number[F.interpolate(one[None], size=sizes[row], mode="bilinear").argmax(1)[0]].cpu()


def layer_reader(parser: Parser, read: Callable, regions: dict[int, str]) -> Callable[[Iterable[int]], torch.Tensor]:
    """positions -> layers `(n, R, H, W)` bool as `Photos.layers` has them, found by the parser in what `read` gives."""
    ids = torch.tensor(list(regions), dtype=torch.uint8)[None, :, None, None]
    return lambda rows: parse(parser, read(rows), regions)[:, None] == ids


def missed(layers: torch.Tensor, regions: Sequence[str]) -> str:
    """What every face has and a parser found in fewer than half, in words; "" where skin, nose and lips are there.

    `layers` `(n, R, H, W)` are those of `layer_reader`, in the order of `regions`. Parts that no region stands for are
    not asked. Nothing missed does not make a good parser.
    """
    found = dict(zip(regions, layers.flatten(2).any(2).double().mean(0).tolist(), strict=True))
    parts = {"skin": ("skin",), "the nose": ("nose",), "lips": ("u_lip", "l_lip")}
    shares = {part: max([found[name] for name in names if name in found], default=1) for part, names in parts.items()}
    said = ", ".join(f"{part} in {share:.0%}" for part, share in shares.items() if share < 0.5)
    return f"of {len(layers)} faces it finds {said}" if said else ""


class Iou:
    """How well parsed regions fit the masks, summed over batches: `add` each, then ask for the `table`."""

    def __init__(self, regions: dict[int, str]):
        self.regions = regions
        self.counts = torch.zeros(5, len(regions), dtype=torch.long)

    def add(self, found: torch.Tensor, masks: torch.Tensor) -> None:
        """Parsed ids and true ids, both `(N, H, W)`."""
        if found.shape != masks.shape:
            raise ValueError(f"parsed {tuple(found.shape)}, masks {tuple(masks.shape)}; expected the same (N, H, W)")
        for k, number in enumerate(self.regions):
            here, there = (found == number).flatten(1), (masks == number).flatten(1)  # (N, HW)
            said, true = here.any(1), there.any(1)
            parts = (here & there, here | there, said & true, said, true)
            self.counts[:, k] += torch.stack([part.sum() for part in parts]).cpu()

    def table(self) -> pd.DataFrame:
        """A row a region, numbers in [0, 1] or NaN where nothing is there to tell from.

        `iou` over all pixels; `precision` and `recall` of the region's presence in a picture, by a pixel or more:
        the share of pictures said to have it that do, and of those that have it that are said to. `pictures` have it.
        """
        both, either, right, said, true = self.counts.double()
        columns = {"iou": both / either, "precision": right / said, "recall": right / true}  # 0 / 0 is NaN
        columns = {name: values.numpy() for name, values in columns.items()}
        return pd.DataFrame({"region": [*self.regions.values()], **columns, "pictures": self.counts[4].numpy()})


# --- trained here -----------------------------------------------------------------------------------------------------


def train(
    photos: Photos,
    *,
    size: int = SIZE,
    epochs: int = 2,
    seed: int = 0,
    lr: float = 8e-3,
    batch: int = 16,
    device: str | torch.device = "cpu",
) -> Parser:
    """A Parser trained on the masks of split train, squashed to `size`: done once, and resumed when interrupted.

    Adam with a one-cycle schedule that peaks at `lr`, on `compact_unet.region_loss`. No flips: in the mirror l_ is r_.
    Raises CourseError when there are no masks, no regions.csv or too few pictures, or `size` is odd.
    """
    file = trained(photos, {"size": size, "epochs": epochs, "seed": seed, "lr": lr, "batch": batch}, device)
    parser = load(file, "", regions=photos.regions, device=device)
    parser.source = f"trained here ({file.parent.name})"
    return parser


# --- from a file ------------------------------------------------------------------------------------------------------


def load(
    path: str | Path,
    mapping: str | Path = "farl",
    *,
    regions: dict[int, str],
    device: str | torch.device = "cpu",
) -> Parser:
    """A parser from a file, or `farl`, the paper's. `regions` are those that will be asked for.

    `mapping` says what the file is: `farl` a TorchScript network with the channels of facer's farl/celebm/448; the path
    of a CSV (channel, region; an empty region is left out) a TorchScript network with these channels; "" a state dict
    of our own, which names its regions itself, or has those of `regions` in their order. A TorchScript network gives
    logits `(N, C, h, w)`, or a tuple with them first, for pictures of 448 px with values from 0 to 1. It is
    a program: run only a file that you trust. Raises CourseError when the file does not fit, saying what would, and
    Missing when `farl` has to be got first.
    """
    path = weights.found("farl") if str(path) == "farl" else Path(os.path.expanduser(path))
    if not path.is_file():
        raise CourseError(
            f"parser {path}: no such file. Give a TorchScript file, our own state dict or `farl`, or train"
        )
    if not str(mapping):
        net, names, size, normalise = _own(path, regions)
    else:
        names = FARL if str(mapping) == "farl" else _channels(Path(os.path.expanduser(mapping)), regions)
        net, size, normalise = _script(path, device), FARL_SIZE, "unit"
    parser = Parser(placed(net, device).eval(), names, size, normalise, str(path))
    _try(parser, mapping)
    return parser


def _own(path: Path, regions: dict[int, str]) -> tuple[nn.Module, tuple[str, ...], int, str]:
    state, normalise = read_state(path)
    said: dict[str, str] = {}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
    names = tuple(json.loads(said["regions"])) if "regions" in said else tuple(regions.values())
    net = CompactUNet(len(names))
    fill(net, state, "compact_unet", str(path))
    return net, names, int(said.get("size", SIZE)), normalise if said else "half"


def _script(path: Path, device: str | torch.device) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated; the published parsers are in it
            return torch.jit.load(str(path), map_location=device)
    except (RuntimeError, ValueError) as error:
        raise CourseError(
            f"parser {path}: not a TorchScript file ({_first(error)}). Save yours with torch.jit.script(net)"
            f'.save(path); for a state dict of our own say mapping ""'
        ) from None


def _channels(file: Path, regions: dict[int, str]) -> tuple[str, ...]:
    """The region of each channel, from a CSV."""
    if not file.is_file():
        raise CourseError(f'mapping {file}: no such file. Expected `farl`, the path of a CSV (channel, region), or ""')
    table = read_csv(file, ("channel", "region"))
    if sorted(table["channel"]) != sorted(str(k) for k in range(len(table))):
        raise CourseError(f"{file}: channels are {', '.join(table['channel'])}; expected each of 0, 1, ... once")
    for name in table["region"]:
        if name and name not in regions.values():
            raise CourseError(
                f"{file}: region `{name}` is not one of {', '.join(regions.values())}.{nearest(name, regions.values())}"
                f" Leave it empty for a channel without a region of these"
            )
    return tuple(table["region"].iloc[table["channel"].astype(int).argsort()])


@torch.no_grad()
def _try(parser: Parser, mapping) -> None:
    """One black picture through the network: what comes back shows whether its channels are the named ones."""
    images = torch.zeros(1, 3, parser.size, parser.size, dtype=torch.uint8)
    try:
        logits = _logits(parser.net(_prepared(parser, images)))
    except (RuntimeError, torch.jit.Error) as error:
        raise CourseError(
            f"parser {parser.source}: fails on a picture of {parser.size} x {parser.size} px ({_first(error)}). "
            f"Wrap the network so that it takes this side, and save it again"
        ) from None
    if logits.shape[:2] != (1, len(parser.regions)):
        raise CourseError(
            f"parser {parser.source}: {logits.shape[1]} channels, but mapping `{mapping}` names {len(parser.regions)}. "
            f"Say what each channel is in a CSV (channel, region; empty to leave one out)"
        )


def _logits(output) -> torch.Tensor:
    first = output[0] if isinstance(output, (tuple, list)) and output else output
    if not isinstance(first, torch.Tensor) or first.ndim != 4:
        found = f"shape {tuple(first.shape)}" if isinstance(first, torch.Tensor) else f"a {type(first).__name__}"
        raise CourseError(
            f"the parser gives {found}; expected logits (N, channels, h, w), alone or first in a tuple. "
            f"Wrap the network so that it does, and save it again"
        )
    return first.float()


def _prepared(parser: Parser, images: torch.Tensor) -> torch.Tensor:
    images = images.to(parser.device).float()
    if images.shape[2:] != (parser.size, parser.size):
        images = F.interpolate(images, size=(parser.size, parser.size), mode="bilinear", antialias=True)
    return images / 255 if parser.normalise == "unit" else normalised(images, parser.normalise, parser.device)


def _first(error: Exception) -> str:
    """The last line of what torch says: the lines above it are TorchScript's own traceback."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
