"""CelebA: 202,599 faces of 10,177 people, aligned, with 40 attributes each (Liu et al., ICCV 2015)."""

from pathlib import Path

import numpy as np
import pandas as pd

from helpers.errors import CourseError

from ..getting.tables import read_csv
from ..getting.upstream import Arranged, Dataset, Part, pictures

SPLITS = {0: "train", 1: "val", 2: "test"}
TABLES = {"authors": "txt", "kaggle": "csv"}  # layout -> how its tables are written
# as torchvision.datasets.CelebA has them
MD5 = {
    "img_align_celeba.zip": "md5:00d2c5bc6d35e252742224ab0c1e8fcb",
    "list_attr_celeba.txt": "md5:75e246fa4810816ffd6ee81facbd244c",
    "list_eval_partition.txt": "md5:d32c9cbf5e040fd4025c592c306e6668",
    "identity_CelebA.txt": "md5:32bd1bd63d3c78cd57e08160ec5ed1e2",
}


def listed(name: str, optional: bool = False) -> Part:
    """One of CelebA's own text files, with its checksum."""
    return Part(name, checksum=MD5[name], optional=optional)


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """The 40 attributes as 0 and 1, and `identity` (a number a person) where identity_CelebA.txt is; no classes.

    Raises CourseError naming a table that is cut short, has other columns or values, or lacks a picture of another.
    """
    file = source / f"list_attr_celeba.{TABLES[layout]}"
    table = attributes(file)
    table.insert(0, "split", of(table.index, partition(source / f"list_eval_partition.{TABLES[layout]}"), file))
    table.insert(1, "label", "all")
    if (people := source / "identity_CelebA.txt").is_file():
        table.insert(2, "identity", of(table.index, numbers(people), file))
    folder = "img_align_celeba"
    if (source / folder / folder).is_dir():  # Kaggle's archive has it twice
        folder = f"{folder}/{folder}"
    there = {f"{picture.stem}.jpg": f"source/{folder}/{picture.name}" for picture in pictures(source / folder)}
    table.insert(0, "image", table.index.map(there))
    lost = table.index[table["image"].isna()]
    out = [(f"source/{folder}/{name}", f"listed in {file.name}, but there is no such file") for name in lost]
    unknown = sorted(there.keys() - set(table.index))
    out += [(there[name], f"{file.name} has no row for it") for name in unknown]
    return Arranged(table.drop(index=lost).reset_index(drop=True), left_out=tuple(out))


def attributes(file: Path) -> pd.DataFrame:
    """`(N, 40)` attributes as 0 and 1 by the pictures' names: of CelebA's text file, or of Kaggle's CSV.

    Raises CourseError for a file that is cut short, and for other values than -1 and 1.
    """
    if file.suffix == ".csv":
        table = read_csv(file, ("image_id",)).set_index("image_id")
        table = table.apply(pd.to_numeric, errors="coerce")
    else:
        count, names = _head(file)
        table = _rows(file, len(names) + 1, skip=2).set_index(0)
        table.columns = names
        if count != len(table):
            raise CourseError(f"{file}: {len(table):,} rows, and its first line says {count:,}. Get the file again")
    _once(file, table.index)
    held = table.to_numpy()
    if not (good := (held == 1) | (held == -1)).all():
        row, column = np.argwhere(~good)[0]
        raise CourseError(
            f"{file}: {table.columns[column]} of {table.index[row]} is {held[row, column]}; expected -1 or 1"
        )
    return pd.DataFrame((held == 1).astype(np.int8), table.index.rename(None), table.columns)


def partition(file: Path) -> pd.Series:
    """train, val or test by the pictures' names. Raises CourseError for another number than 0, 1 and 2."""
    if file.suffix == ".csv":
        table = read_csv(file, ("image_id", "partition"))
        found = pd.to_numeric(table.set_index("image_id")["partition"], errors="coerce").rename(file.name)
        _once(file, found.index)
    else:
        found = numbers(file)
    splits = found.map(SPLITS)
    if splits.isna().any():
        name = splits.index[splits.isna()][0]
        raise CourseError(f"{file}: {name} is in part {found[name]}; expected 0 (train), 1 (val) or 2 (test)")
    return splits


def numbers(file: Path) -> pd.Series:
    """The second column of a text file by the first, the pictures' names; called as the file is."""
    found = _rows(file, 2).set_index(0)[1].rename(file.name)
    _once(file, found.index)
    return found


def of(names: pd.Index, values: pd.Series, file: Path) -> np.ndarray:
    """The values of these pictures. Raises CourseError for a picture of `file` that has none."""
    if lost := sorted(set(names) - set(values.index)):
        raise CourseError(
            f"{file.parent / str(values.name)}: no row for {lost[0]}, which {file.name} has "
            f"({len(lost):,} missing). Get both files again"
        )
    return values.reindex(names).to_numpy()


def _head(file: Path) -> tuple[int, list[str]]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        count, names = lines.readline().strip(), lines.readline().split()
    if not count.isdigit() or not names:
        raise CourseError(
            f"{file}: its first line is {count[:40]!r}; expected the number of pictures, "
            "and below it the names of the attributes"
        )
    return int(count), names


def _rows(file: Path, columns: int, skip: int = 0) -> pd.DataFrame:
    """A text file with runs of blanks between its columns: a name, and whole numbers."""
    try:
        table = pd.read_csv(file, sep=r"\s+", header=None, skiprows=skip)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CourseError(f"{file}: not a readable table ({error}). Get the file again") from None
    if table.shape[1] != columns or not all(kind.kind in "iu" for kind in table.dtypes.iloc[1:]):
        raise CourseError(
            f"{file}: rows of {table.shape[1]} columns, such as {' '.join(map(str, table.iloc[0, :3]))}; "
            f"expected {columns}: a picture's name, and whole numbers"
        )
    return table


def _once(file: Path, names: pd.Index) -> None:
    if not names.is_unique:
        raise CourseError(f"{file}: several rows for {names[names.duplicated()][0]}; expected one a picture")


DATASET = Dataset(
    name="celeba",
    holds="202,599 aligned faces (178 x 218) with 40 attributes",
    notebooks="02, 05",
    size="1.4 GB",
    licence="non-commercial research",
    page="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    layouts={
        "authors": (
            Part("img_align_celeba", "img_align_celeba.zip", checksum=MD5["img_align_celeba.zip"]),
            listed("list_attr_celeba.txt"),
            listed("list_eval_partition.txt"),
            listed("identity_CelebA.txt", optional=True),
        ),
        "kaggle": (Part("img_align_celeba"), Part("list_attr_celeba.csv"), Part("list_eval_partition.csv")),
    },
    arrange=arrange,
    pictures=202599,
)
