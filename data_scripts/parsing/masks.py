"""Region masks for faces that have none: found once by a parser, and written as a data set of its own."""

import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from helpers import pictures
from helpers.errors import CourseError
from helpers.files import locked
from helpers.pictures.images import fitted, read_image
from helpers.pictures.photos import Photos

from .. import parsing
from ..drawn.face_paint import REGIONS
from ..drawn.faces import PALETTE
from ..getting import prepare, sources
from ..getting.fetch import digest
from ..getting.tables import classes
from ..public import weights
from . import Parser

CHUNK = 64  # pictures in work at once
NAMES = dict(enumerate(REGIONS))  # CelebAMask-HQ's 19 regions, by the ids that the masks hold


def write(dataset: str, parser: str, channels: str, root: Path, name: str | None = None) -> list[str]:
    """Make `<root>/<name>`, `<folder of the data set>-masks` without a name, and say what is in it, a line each.

    It holds a palette PNG of the 19 regions for each picture, as large as the picture, all the columns of the data
    set's table, and a link `source` to its pictures. `parser` is `farl`, `train` (our own, trained on the embedded
    faces) or a file: our own state dict, or TorchScript, whose outputs `channels` names, a CSV (channel, region) or
    `farl`. Pictures that cannot be read are left out and listed. A folder that holds just this already is left as it
    is; one with other masks made here is replaced. Raises CourseError for a data set with masks, a name that is taken,
    a parser that does not fit and a full disk, Missing when `farl` has to be got first; then nothing is changed.
    """
    root = Path(root)
    photos = pictures.load(root / dataset if prepare.prepared(root / dataset) else dataset, on_bad="skip")
    if there := sorted({"mask", "layers"} & set(photos.table)):
        raise CourseError(f"{photos.root}: its table has a column `{there[0]}`; this is for data sets without masks")
    if name is None:
        own = photos.root.resolve()
        name = f"{own.stem if own.is_file() else own.name}-masks"
    if name != Path(name).name or name.startswith("."):
        raise CourseError(f"--name is {name!r}; expected the name of a folder, without a path")
    folder = root / name
    if folder.exists() and _content(folder) is None:
        raise CourseError(f"{folder} is there and holds no masks made here; choose another --name, or move it away")
    found = _parser(parser, channels, root)
    content = {
        **{"name": name, "generator": "masks", "parser": found.source, "regions": list(found.regions)},
        **{"size": found.size, "normalise": found.normalise, "source": pictures.manifest(photos.root)},
    }
    with locked(folder):
        if _content(folder) == content:
            return [f"{folder} is there, with these pictures and this parser"]
        left_out = _made(folder, photos, found, content)
    lines = [f"{folder}: masks of {len(photos):,} pictures, found by {found.source}. Use it: -p dataset={name}"]
    if left_out:
        lines.append(
            f"{len(left_out):,} pictures cannot be read, see left_out.csv; the first: {': '.join(left_out[0])}"
        )
    if parser == "train":
        lines.append("This parser has seen drawn faces only: look at the masks before you trust a number on them")
    return lines


def _content(folder: Path) -> dict | None:
    """What decides the content of masks made here, and no other folder's."""
    try:
        known = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(known, dict) or known.get("generator") != "masks":
        return None
    return {key: value for key, value in known.items() if key not in ("notes", "tables")}


def _parser(parser: str, channels: str, root: Path) -> Parser:
    """The parser, its `source` telling which it is wherever its file lies."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if parser == "train":
        return parsing.train(pictures.load("faces"), device=device)
    at_farl = (weights.here("farl", root) or weights.found("farl")) if parser == "farl" else None
    file = at_farl or Path(os.path.expanduser(parser))
    if parser == "farl":
        channels = channels or "farl"
    if not channels and _is_script(file):
        raise CourseError(
            f"parser {file}: TorchScript, which does not say what its outputs are. Give --channels CSV "
            f"(channel, region; empty to leave one out), or --channels farl when they are as FaRL's"
        )
    found = parsing.load(file, channels, regions=NAMES, device=device)
    found.source = f"{file.name} ({digest(file)[:12]})"
    return found


def _is_script(file: Path) -> bool:
    """Whether a file has code in it; a state dict has data alone."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any("/code/" in entry for entry in archive.namelist())


def _made(folder: Path, photos: Photos, parser: Parser, content: dict) -> list[tuple[str, str]]:
    """The data set, in its place when it is whole; the pictures left out, with the reason."""
    with prepare.drafted(folder) as draft:
        (draft / "masks").mkdir()
        source = photos.root if photos.root.is_dir() else photos.root.parent
        sources.link(draft / "source", source, folder.parent)
        files = [source / (image or photos.root.name) for image in photos.table["image"]]
        names = [f"masks/{i:06d}.png" for i in range(len(files))]
        _written(draft, files, names, parser)
        table = photos.table[[column for column in photos.table if not str(column).startswith("_")]].assign(mask=names)
        table["image"] = [f"source/{file.relative_to(source).as_posix()}" for file in files]
        left_out = [(_below(file, source), reason) for file, reason in photos.skipped]
        tables = {"index.csv": table, "regions.csv": pd.DataFrame(NAMES.items(), columns=["id", "region"])}
        if left_out:
            tables["left_out.csv"] = pd.DataFrame(left_out, columns=["image", "reason"])
        if (known := classes(source / "classes.csv")) is not None:
            tables["classes.csv"] = known
        prepare.describe(draft, tables, content | {"notes": photos.notes})
    return left_out


def _below(file: str, source: Path) -> str:
    return Path(file).relative_to(source).as_posix() if Path(file).is_relative_to(source) else file


def _written(draft: Path, files: list[Path], names: list[str], parser: Parser) -> None:
    """A mask for each file, at its picture's own size."""
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(files), desc="finding regions", unit="image", leave=False) as bar,
    ):
        for start in range(0, len(files), CHUNK):
            some = list(pool.map(lambda file: _read(file, parser.size), files[start : start + CHUNK]))
            pixels, sizes = zip(*some, strict=True)
            masks = parsing.parse_each(parser, torch.from_numpy(np.stack(pixels)), NAMES, sizes)
            places = [draft / name for name in names[start : start + CHUNK]]
            for _ in pool.map(_save, masks, places):
                bar.update()


def _read(file: Path, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The picture squashed to a square, and its upright (height, width)."""
    image = read_image(file)
    return fitted(image, side, "squash"), image.size[::-1]


def _save(ids: torch.Tensor, file: Path) -> None:
    mask = Image.fromarray(ids.numpy())
    mask.putpalette(PALETTE)
    mask.save(file, compress_level=1)
