"""Oxford-IIIT Pet: cats and dogs of 37 breeds, each cut out by hand (Parkhi et al., CVPR 2012)."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from helpers.errors import CourseError
from helpers.pictures.images import read_mask

from ..getting.upstream import Arranged, Dataset, Part, pictures

URL = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
COLUMNS = ("name", "class_id", "species", "breed_id")
SPECIES = {"1": "cat", "2": "dog"}
SPLITS = {"train": "trainval.txt", "test": "test.txt"}
REGIONS = {0: "background", 1: "pet", 2: "border"}
TRIMAP = np.array([255, 1, 0, 2], np.uint8)  # by the authors' id: 1 pet, 2 background, 3 not classified
PALETTE = [0, 0, 0, 220, 120, 40, 250, 250, 250]
KEPT_BACK = 10  # every tenth picture of a breed is for choosing: about 370


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """Label: cat or dog; column breed; masks/<name>.png with the ids of REGIONS, made from the trimaps.

    Split train is trainval.txt without every tenth picture of each breed, which are val; test is test.txt. list.txt has
    the same rows again and is not read. Raises CourseError naming a list that is not there or not as expected.
    """
    lists = [_listed(source / "annotations" / file).assign(split=split) for split, file in SPLITS.items()]
    table = pd.concat(lists, ignore_index=True)
    table["breed"] = table["name"].str.rsplit("_", n=1).str[0]
    table["label"] = table["species"].map(SPECIES)
    tenth = table.groupby(["split", "breed"]).cumcount() % KEPT_BACK == KEPT_BACK - 1
    table.loc[tenth & (table["split"] == "train"), "split"] = "val"

    photos, trimaps = (_files(source / folder) for folder in ("images", "annotations/trimaps"))
    table["image"] = "source/images/" + table["name"].map(photos).fillna(table["name"] + ".jpg")
    table["mask"] = "masks/" + table["name"] + ".png"
    reasons = pd.Series("", table.index)
    reasons[~table["name"].isin(trimaps)] = "it has no trimap"
    reasons[~table["name"].isin(photos)] = "listed in annotations, but there is no such file"
    whole = reasons == ""
    names = table["name"][whole]
    files = [source / "annotations/trimaps" / trimaps[name] for name in names]
    reasons[whole] = pd.Series(_masks(files, names, made / "masks"), names.index)

    out = tuple(zip(table["image"][reasons != ""], reasons[reasons != ""], strict=True))
    notes = (
        "Masks: 1 pet, 2 border, the band along its outline that the authors left undecided. Where every region but "
        "the background is the object, as in 03_ria, the border belongs to it, and with it some of what is around",
        "val is every tenth picture of each breed in trainval.txt; the authors have no val",
    )
    columns = ["image", "split", "label", "mask", "breed"]
    return Arranged(table.loc[reasons == "", columns], regions=REGIONS, notes=notes, left_out=out)


def _listed(file: Path) -> pd.DataFrame:
    """The rows of trainval.txt or test.txt. Raises CourseError naming the file when it is not such a list."""
    expected = f"expected lines `{' '.join(COLUMNS)}` with species 1 (cat) or 2 (dog). Unpack annotations.tar.gz again"
    try:
        table = pd.read_csv(file, sep=r"\s+", comment="#", header=None, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # missing, empty, lines of several lengths, not text
        raise CourseError(f"{file}: not readable ({error}); {expected}") from None
    if table.shape[1] != len(COLUMNS):
        raise CourseError(f"{file}: {table.shape[1]} columns; {expected}")
    table.columns = COLUMNS
    wrong = table[~table["species"].isin(SPECIES)]
    if len(wrong):
        raise CourseError(f"{file}: species of {wrong['name'].iloc[0]} is {wrong['species'].iloc[0]!r}; {expected}")
    return table


def _files(folder: Path) -> dict[str, str]:
    """{name without suffix: name} of the pictures in a folder. Raises CourseError when there is no such folder."""
    if not folder.is_dir():
        raise CourseError(f"{folder}: no such folder. Unpack annotations.tar.gz and images.tar.gz again")
    return {file.stem: file.name for file in pictures(folder)}


def _masks(trimaps: list[Path], names: pd.Series, folder: Path) -> list[str]:
    """Write a mask for each trimap; why there is none, '' where there is."""
    folder.mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(_mask, trimaps, [folder / f"{name}.png" for name in names])
        return list(tqdm(done, total=len(trimaps), desc="masks of pets", delay=2, leave=False))


def _mask(trimap: Path, file: Path) -> str:
    try:
        ids = read_mask(trimap)
    except CourseError as error:
        return f"its trimap: {str(error).split(': ', 1)[-1]}"
    if found := sorted(set(np.unique(ids).tolist()) - {1, 2, 3}):
        return f"its trimap holds {found}; expected 1, 2 and 3"
    mask = Image.fromarray(TRIMAP[ids])
    mask.putpalette(PALETTE)
    mask.save(file)
    return ""


DATASET = Dataset(
    name="pets",
    holds="7,349 photos of cats and dogs of 37 breeds, with masks",
    notebooks="01, 03",
    size="0.8 GB",
    licence="CC BY-SA 4.0",
    page="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    layouts={
        "archives": (
            Part("images", "images.tar.gz", f"{URL}images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            Part(
                "annotations", "annotations.tar.gz", f"{URL}annotations.tar.gz", "md5:95a8c909bbe2e81eed6a22bccdf3f68f"
            ),
        )
    },
    arrange=arrange,
    pictures=7349,
)
