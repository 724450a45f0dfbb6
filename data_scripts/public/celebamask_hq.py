"""CelebAMask-HQ: 30,000 of CelebA's faces, each with hand-made masks of 18 regions (Lee et al., CVPR 2020)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from helpers.errors import CourseError
from helpers.pictures.images import read_layers

from ..drawn.face_paint import REGIONS  # in the order in which the authors' g_mask.py paints them, and with its ids
from ..drawn.faces import PALETTE
from ..getting.upstream import Arranged, Dataset, Part, pictures
from ..getting.verify import check_image
from ..workers import shared
from . import celeba

IMAGES, MASKS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
MAPPING, OWN = "CelebA-HQ-to-CelebA-mapping.txt", "CelebAMask-HQ-attribute-anno.txt"
COLUMNS = ("idx", "orig_idx", "orig_file")
FOLDER = {"archive": "CelebAMask-HQ/", "folders": ""}  # layout -> where they are below the source
# CelebA's first picture of these splits. The authors' g_partition.py compares orig_idx with the same numbers, which is
# one less than the picture's own: it would put 162771.jpg and 182638.jpg into the split before
STARTS = {"val": 162771, "test": 182638}
CHUNK = 50  # pictures a process paints at a time


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """A picture (images/) and a palette mask of 19 ids (masks/) of one size each, the layers of upstream beside them.

    Split and attributes are CelebA's, `celeba_image` is the file there, and leave_out.csv lists these files: a network
    that is to be explained on these faces must not learn from them. Raises CourseError naming a table that is wrong.
    """
    base, below = source / FOLDER[layout], f"source/{FOLDER[layout]}"
    table = mapped(base / MAPPING)
    values, notes = _attributes(source, base, table)
    table = pd.concat([table.assign(split=_splits(source, table), label="all"), values], axis=1)
    there = {picture.stem: picture.name for picture in pictures(base / IMAGES)}
    names = table.index.astype(str)
    lost = table.index[~names.isin(there)]
    out = [(f"{below}{IMAGES}/{number}.jpg", f"listed in {MAPPING}, but there is no such file") for number in lost]
    out += [
        (f"{below}{IMAGES}/{there[key]}", f"{MAPPING} has no row for it") for key in sorted(there.keys() - {*names})
    ]
    jobs = [(number, there[str(number)]) for number in table.index.drop(lost)]
    bad = dict(_painted(base, made, jobs))
    out += [(f"{below}{IMAGES}/{there[str(number)]}", reason) for number, reason in bad.items()]
    kept = table.drop(index=[*lost, *bad])
    ids, parts = kept.index.astype(str), (kept.index // 2000).astype(str)
    kept.insert(0, "image", "images/" + ids + ".jpg")
    kept.insert(3, "mask", "masks/" + ids + ".png")
    kept.insert(4, "layers", f"{below}{MASKS}/" + parts + "/" + ids.str.zfill(5))
    first = ["image", "split", "label", "mask", "layers", "celeba_image"]
    return Arranged(
        kept[[*first, *values]].reset_index(drop=True),
        regions=dict(enumerate(REGIONS)),
        tables={"leave_out.csv": pd.DataFrame({"image": table["celeba_image"].sort_values()})},
        notes=("The pictures were brought to the size of their masks (512 x 512 of 1024 x 1024)", *notes),
        left_out=tuple(out),
        checked=("mask", "layers"),  # twelve files a face: reading them twice would double the time
    )


def mapped(file: Path) -> pd.DataFrame:
    """`celeba_image`, CelebA's file, by this data set's number. Raises CourseError for another kind of table."""
    try:
        table = pd.read_csv(file, sep=r"\s+")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CourseError(f"{file}: not a readable table ({error}). Get the file again") from None
    if tuple(table.columns[:3]) != COLUMNS:
        raise CourseError(f"{file}: its columns are {', '.join(table.columns)}; expected {', '.join(COLUMNS)}")
    numbers = pd.to_numeric(table["idx"], errors="coerce")
    good = table["orig_file"].astype(str).str.fullmatch(r"\d{6}\.jpg") & numbers.ge(0)
    if not good.all() or not numbers.is_unique:
        row = table[~good | numbers.duplicated()].iloc[0]
        raise CourseError(
            f"{file}: a row is {' '.join(map(str, row))}; expected a number of its own, and a file such as 000123.jpg"
        )
    return pd.DataFrame({"celeba_image": table["orig_file"].to_numpy()}, pd.Index(numbers.astype(int))).sort_index()


def _splits(source: Path, table: pd.DataFrame) -> np.ndarray:
    """CelebA's splits: of its list where that is, else by the rule that the list follows."""
    files, given = table["celeba_image"], source / "list_eval_partition.txt"
    if given.is_file():
        return celeba.of(pd.Index(files), celeba.partition(given), source / MAPPING)
    numbers = files.str[:6].astype(int)
    return np.select([numbers >= STARTS["test"], numbers >= STARTS["val"]], ["test", "val"], "train")


def _attributes(source: Path, base: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The 40 attributes by this data set's numbers, of its own table or of CelebA's; and what is to be said of them."""
    own, theirs, files = base / OWN, source / "list_attr_celeba.txt", table["celeba_image"]
    found = []
    for file, names in ((own, table.index.astype(str) + ".jpg"), (theirs, pd.Index(files))):
        if file.is_file():
            every = celeba.attributes(file)
            celeba.of(names, every.iloc[:, 0].rename(file.name), file.with_name(MAPPING))
            found.append(every.reindex(names).set_axis(table.index))
    if not found:
        return pd.DataFrame(index=table.index), [f"No attributes: neither {OWN} nor list_attr_celeba.txt is there"]
    if len(found) == 2 and (wrong := (found[0] != found[1].reindex(columns=found[0].columns)).to_numpy()).any():
        row, column = np.argwhere(wrong)[0]
        raise CourseError(
            f"{own}: {found[0].columns[column]} of {table.index[row]}.jpg is not that of {files.iloc[row]} in {theirs} "
            f"({wrong.sum():,} values differ). Take one of the two files away"
        )
    return found[0], []


def _painted(base: Path, made: Path, jobs: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Every picture and mask written, by processes where there are many: number and reason of those that cannot be."""
    for folder in ("images", "masks"):
        (made / folder).mkdir()
    chunks = [jobs[k : k + CHUNK] for k in range(0, len(jobs), CHUNK)]
    paint = partial(_paint, base, made)
    with tqdm(total=len(jobs), desc="painting masks", unit="face", delay=2, leave=False) as bar:
        # threads would take turns: most of the time goes into unpacking PNGs
        for chunk, bad in zip(chunks, shared(paint, chunks), strict=True):
            yield from bad
            bar.update(len(chunk))


def _paint(base: Path, made: Path, jobs: list[tuple[int, str]]) -> list[tuple[int, str]]:
    bad = []
    for number, name in jobs:
        try:
            mask = painted(read_layers(base / MASKS / str(number // 2000) / f"{number:05d}", REGIONS))
            picture = _reduced(base / IMAGES / name, *mask.shape)
        except CourseError as error:
            file, _, reason = str(error).partition(": ")
            bad.append((number, reason if Path(file).name == name else f"{Path(file).name}: {reason}"))
            continue
        picture.save(made / "images" / f"{number}.jpg", quality=95, subsampling=0)
        ids = Image.fromarray(mask)
        ids.putpalette(PALETTE)
        ids.save(made / "masks" / f"{number}.png")
    return bad


def painted(layers: np.ndarray) -> np.ndarray:
    """Bool layers of REGIONS `(19, H, W)` -> ids `(H, W)` uint8. Of several regions a pixel is the last."""
    ids = np.zeros(layers.shape[1:], np.uint8)
    for k, layer in enumerate(layers):
        ids[layer] = k
    return ids


def _reduced(file: Path, height: int, width: int) -> Image.Image:
    """The picture at the size of its mask. Raises CourseError for one that is smaller, or of another shape."""
    (wide, high), _ = check_image(file)
    if wide * height != high * width or wide < width:
        raise CourseError(
            f"{file}: {wide} x {high} pixels; expected the shape of its masks, {width} x {height}, or more"
        )
    opened = Image.open(file)
    opened.draft("RGB", (width, height))  # half the size comes straight out of a JPEG, in less than half the time
    image = opened.convert("RGB")
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)


def _parts(folder: str, archive: str) -> tuple[Part, ...]:
    return (
        *(Part(f"{folder}{name}", archive) for name in (IMAGES, MASKS, MAPPING)),
        Part(f"{folder}{OWN}", archive, optional=True),
        celeba.listed("list_attr_celeba.txt", optional=True),
        celeba.listed("list_eval_partition.txt", optional=True),
    )


DATASET = Dataset(
    name="celebamask_hq",
    holds="30,000 faces (512 x 512) with masks of 19 regions, and CelebA's attributes",
    notebooks="02",
    size="3 GB",
    licence="non-commercial research",
    page="https://github.com/switchablenorms/CelebAMask-HQ",
    layouts={layout: _parts(folder, "CelebAMask-HQ.zip" * bool(folder)) for layout, folder in FOLDER.items()},
    arrange=arrange,
    pictures=30000,
)
