"""Dogs vs. Cats: 25,000 photos of animal shelters, half of them cats (Elson et al., Asirra, ACM CCS 2007).

Two forms are known: Microsoft's `PetImages/Cat/0.jpg`, which anybody may download, and that of the Kaggle competition,
`train/cat.0.jpg`. Of Microsoft's photos Cat/666.jpg and Dog/11702.jpg are empty files, and some are damaged otherwise;
many without a JFIF header can be read all the same. Kaggle's test1.zip has no labels and is not used.
"""

import hashlib
import re
from pathlib import Path

import pandas as pd

from helpers.errors import CourseError

from ..getting.upstream import Arranged, Dataset, Part, pictures

CLASSES = [("cat", 0, "cat"), ("dog", 1, "dog")]
NAME = re.compile(r"(cat|dog)\.\d+", re.IGNORECASE)  # of Kaggle's files, without the extension
SPLIT = (
    "Upstream has no split. Of each class a tenth is test, a tenth val and the rest train, "
    "in the order of the SHA-256 of their names: the same on every machine"
)


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """One row a photo, cats first. Raises CourseError when the folders do not hold what they do upstream."""
    found, left_out = _microsoft(source) if layout == "Microsoft" else _kaggle(source)
    table = pd.DataFrame(found, columns=["image", "label", "name"]).sort_values("label", kind="stable")
    parts = [part.assign(split=splits(part["name"].tolist())) for _, part in table.groupby("label")]
    index = pd.concat(parts, ignore_index=True) if parts else table.assign(split="")
    return Arranged(index[["image", "split", "label"]], CLASSES, notes=(SPLIT,), left_out=tuple(left_out))


def splits(names: list[str]) -> list[str]:
    """The split of each name, where `names` are all those of a class; their order does not matter."""
    tenth, found = round(len(names) / 10), ["train"] * len(names)
    ranked = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).digest())
    for i in ranked[:tenth]:
        found[i] = "test"
    for i in ranked[tenth : 2 * tenth]:
        found[i] = "val"
    return found


def _microsoft(source: Path) -> tuple[list[tuple], list[tuple]]:
    found = []
    for label, folder in (("cat", "Cat"), ("dog", "Dog")):
        place = source / "PetImages" / folder
        if not place.is_dir():
            raise CourseError(f"{place}: no such folder; PetImages holds Cat and Dog. Unpack the archive again")
        found += [(f"source/PetImages/{folder}/{file.name}", label, f"{label}.{file.stem}") for file in pictures(place)]
    return found, []


def _kaggle(source: Path) -> tuple[list[tuple], list[tuple]]:
    place, found, left_out = source / "train", [], []
    if not place.is_dir():  # dogs-vs-cats.zip without train.zip in it
        raise CourseError(f"{place}: no such folder; unpack train.zip, which is in dogs-vs-cats.zip, into {source}")
    for file in pictures(place):
        image = f"source/train/{file.name}"
        if NAME.fullmatch(file.stem):
            found.append((image, file.stem[:3].lower(), file.stem.lower()))
        else:
            left_out.append((image, "its name is neither cat.<number> nor dog.<number>"))
    if not found:
        there = ", ".join(sorted(file.name for file in place.iterdir())[:3]) or "nothing"
        raise CourseError(f"{place}: no cat.0.jpg, dog.0.jpg or the like; it has: {there}. Is it another data set's?")
    return found, left_out


DATASET = Dataset(
    name="dogs_vs_cats",
    holds="25,000 photos, half of them cats, half dogs",
    notebooks="01",
    size="0.8 GB",
    licence="Microsoft research licence",
    page="https://www.microsoft.com/en-us/download/details.aspx?id=54765 "
    "(or https://www.kaggle.com/competitions/dogs-vs-cats)",
    layouts={
        "Microsoft": (
            Part(
                "PetImages",
                archive="kagglecatsanddogs_5340.zip",
                url="https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
                "kagglecatsanddogs_5340.zip",
                checksum="sha256:b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
            ),
        ),
        "Kaggle": (Part("train", archive="train.zip"),),
        # the inner archive is not there before the outer one is unpacked: not to be demanded
        "Kaggle's download": (
            Part("train.zip", archive="dogs-vs-cats.zip"),
            Part("train", archive="train.zip", optional=True),
        ),
    },
    arrange=arrange,
    pictures=25_000,
)
