"""MAMe: artworks of three museums in 29 media, such as oil on canvas or bronze (Parés et al., arXiv 2007.13693, 2020).

There are two forms of the pictures, 256 x 256 pixels (data_256) and full size (data); networks that look at 224 pixels
need no more than the first. Full-size pictures have up to 170 million pixels; larger ones Pillow refuses to open.
Numbers of the classes are those of MAMe_labels.csv, which are in the order of the alphabet.
"""

from pathlib import Path

import pandas as pd

from helpers.errors import CourseError

from ..getting.readings import SPLITS
from ..getting.tables import read_csv
from ..getting.upstream import Arranged, Dataset, Part, pictures

TABLE = "MAMe_dataset.csv"
FOLDERS = {"256 x 256 pixels": "data_256", "full size": "data"}  # of the layouts
COLUMNS = ("Image file", "Medium", "Subset")  # of its nine; Museum is kept, too, where it is
METADATA = Part(
    TABLE,
    archive="MAMe_metadata.zip",
    url="https://storage.hpai.bsc.es/mame-dataset/MAMe_metadata.zip",
    checksum="md5:0bca980978e3883f753f01ccad955981",
)


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """One row for each picture that is listed and there, with its museum. Raises CourseError for another table."""
    folder = FOLDERS[layout]
    table = read(source / TABLE)
    there = pd.Index([file.name for file in pictures(source / folder)])
    reasons = pd.Series("", index=table.index)
    reasons[~table["file"].isin(there)] = f"listed in {TABLE}, but there is no such file"
    reasons[table["file"].duplicated()] = f"listed twice in {TABLE}"
    table.insert(0, "image", f"source/{folder}/" + table["file"])
    out, unlisted = reasons != "", len(there.difference([*table["file"]]))
    media = sorted(set(table["label"]) - {""})
    return Arranged(
        table[~out].drop(columns="file").reset_index(drop=True),
        [(medium, i, medium) for i, medium in enumerate(media)],
        notes=(f"{unlisted:,} pictures in {folder} are not in {TABLE} and are not used",) * bool(unlisted),
        left_out=tuple(zip(table.loc[out, "image"], reasons[out], strict=True)),
    )


def read(file: Path) -> pd.DataFrame:
    """The columns `file, split, label` and, where it is there, `museum`; upstream's are found in any case.

    Raises CourseError naming what is missing and what was found, and for a subset that is none.
    """
    found = read_csv(file, ())
    names = {str(column).strip().lower(): column for column in found}
    if missing := [column for column in COLUMNS if column.lower() not in names]:
        raise CourseError(
            f"{file}: column(s) {', '.join(missing)} missing; it has: {', '.join(found.columns)}. "
            f"Get {TABLE} out of {METADATA.archive} again"
        )
    image, medium, subset = (found[names[column.lower()]].str.strip() for column in COLUMNS)
    split = subset.str.lower().map(SPLITS)
    if split.isna().any():
        row = int(split.isna().argmax())
        raise CourseError(f"{file}: Subset of {image.iloc[row]} is {subset.iloc[row]!r}; expected train, val or test")
    table = pd.DataFrame({"file": image, "split": split, "label": medium})
    return table.assign(museum=found[names["museum"]].str.strip()) if "museum" in names else table


DATASET = Dataset(
    name="mame",
    holds="37,407 pictures of artworks in 29 media, from three museums",
    notebooks="01",
    size="about 1 GB (256 x 256)",
    licence="see its page",
    page="https://hpai.bsc.es/MAMe-dataset/",
    layouts={
        "256 x 256 pixels": (Part("data_256", archive="MAMe_data_256.zip"), METADATA),
        "full size": (Part("data", archive="MAMe_data.zip"), METADATA),
    },
    arrange=arrange,
    pictures=37_407,
)
