"""FairFace: faces from Flickr with age, gender and race, about as many of each of seven (Karkkainen and Joo, 2021)."""

from pathlib import Path

import pandas as pd

from helpers.errors import CourseError
from helpers.pictures.images import open_image

from ..getting.tables import read_csv
from ..getting.upstream import Arranged, Dataset, Part, pictures

COLUMNS = ("file", "age", "gender", "race", "service_test")
TRUTH = {"true": 1, "false": 0, "1": 1, "0": 0}
FOLDERS = {"margin025": "margin025/", "margin125": "margin125/", "unpacked": ""}  # where train/ and val/ are


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """Columns age, gender and race in FairFace's words and service_test as 0 and 1; no classes.

    Raises CourseError naming a label file with other columns or values.
    """
    tables, out = [], []
    for split in ("train", "val"):
        name, below = f"fairface_label_{split}.csv", f"{FOLDERS[layout]}{split}"
        labels = _labels(source / name)
        there = {f"{split}/{file.name}".lower(): file.name for file in pictures(source / below)}
        asked = labels["file"].str.lower()
        found = asked.isin(there)
        out += [(f"source/{FOLDERS[layout]}{file}", f"listed in {name}, but there is no such file")
                for file in labels["file"][~found]]  # fmt: skip
        unknown = sorted(there.keys() - set(asked))
        out += [(f"source/{below}/{there[key]}", f"{name} has no row for it") for key in unknown]
        labels = labels.assign(image=f"source/{below}/" + asked.map(there).fillna(""), split=split, label="all")
        tables.append(labels[found])
    table = pd.concat(tables, ignore_index=True)[["image", "split", "label", *COLUMNS[1:]]]
    return Arranged(table, notes=_margin(made, table["image"]), left_out=tuple(out))


def _labels(file: Path) -> pd.DataFrame:
    """The rows of a label file, one a picture, without the white space and the byte order mark of some editors."""
    table = read_csv(file, ())
    table.columns = [name.strip() for name in table.columns]
    if missing := [name for name in COLUMNS if name not in table]:
        raise CourseError(
            f"{file}: column(s) {', '.join(missing)} missing; it has: {', '.join(table.columns)}. "
            f"Expected FairFace's own file, with {','.join(COLUMNS)}"
        )
    table = table[list(COLUMNS)].apply(lambda column: column.str.strip()).drop_duplicates("file")
    truth = table["service_test"].str.lower().map(TRUTH)
    if truth.isna().any():
        file_of, held = table.loc[truth.isna(), ["file", "service_test"]].iloc[0]
        raise CourseError(f"{file}: service_test of {file_of} is {held!r}; expected True or False")
    return table.assign(service_test=truth.astype(int))


def _margin(made: Path, images: pd.Series) -> tuple[str, ...]:
    """How large the faces are: the files of both margins have the same names."""
    try:
        width, height = open_image(made / images.iloc[0]).size
    except (IndexError, CourseError):
        return ()
    return (f"Pictures of {width} x {height} pixels; those of margin025, a close crop of the face, have 224 x 224",)


def _archived(name: str) -> tuple[Part, ...]:
    """train/ and val/ lie at the top of the archives of both margins: each into a folder of its own."""
    archive = f"fairface-img-{name}-trainval.zip"
    return tuple(Part(f"{name}/{split}", archive=archive, into=name) for split in ("train", "val"))


LABELS = (Part("fairface_label_train.csv"), Part("fairface_label_val.csv"))

DATASET = Dataset(
    name="fairface",
    holds="97,698 faces with age, gender and race",
    notebooks="02",
    size="0.6 GB; margin125 2.5 GB",
    licence="CC BY 4.0",
    page="https://github.com/joojs/fairface",
    layouts={
        "margin025": (*_archived("margin025"), *LABELS),
        "margin125": (*_archived("margin125"), *LABELS),
        "unpacked": (Part("train"), Part("val"), *LABELS),
    },
    arrange=arrange,
    pictures=97698,
)
