"""Imagenette: ten ImageNet classes that are easy to tell apart, the short side 320 pixels (Howard, fast.ai)."""

from pathlib import Path

import pandas as pd

from helpers.errors import CourseError

from ..getting.upstream import Arranged, Dataset, Part, pictures

FOLDER = "imagenette2-320"
CLASSES = (  # folder, output of networks that learnt ImageNet, name
    ("n01440764", 0, "tench"),
    ("n02102040", 217, "English springer"),
    ("n02979186", 482, "cassette player"),
    ("n03000684", 491, "chain saw"),
    ("n03028079", 497, "church"),
    ("n03394916", 566, "French horn"),
    ("n03417042", 569, "garbage truck"),
    ("n03425413", 571, "gas pump"),
    ("n03445777", 574, "golf ball"),
    ("n03888257", 701, "parachute"),
)


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """Label: the folder, an ImageNet class; splits train and val, as they are upstream.

    noisy_imagenette.csv, labels made wrong on purpose, is not read. Raises CourseError naming a split that is missing.
    """
    rows = []
    for split in ("train", "val"):
        folder = source / FOLDER / split
        if not folder.is_dir():
            raise CourseError(
                f"{folder}: no such folder; expected {FOLDER}/train and {FOLDER}/val, each with a folder per class "
                f"({CLASSES[0][0]}, ...). Unpack {FOLDER}.tgz again"
            )
        for label in sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
            below = f"source/{FOLDER}/{split}/{label}"
            rows += [(f"{below}/{file.name}", split, label) for file in pictures(folder / label)]
    index = pd.DataFrame(rows, columns=["image", "split", "label"])
    val = index["image"][index["split"] == "val"]
    known = len(val) - val.str.contains("/ILSVRC2012_val_", regex=False).sum()  # ImageNet's train: n01440764_10043.JPEG
    note = f"{known:,} of the {len(val):,} pictures in val are of ImageNet's train; its networks learnt from those"
    return Arranged(index, classes=list(CLASSES), notes=(note,))


DATASET = Dataset(
    name="imagenette",
    holds="13,394 photos of ten ImageNet classes that are easy to tell apart, from tench to parachute",
    notebooks="01, 04",
    size="0.3 GB",
    licence="ImageNet: research, teaching",
    page="https://github.com/fastai/imagenette",
    layouts={
        "320px": (
            Part(
                FOLDER,
                archive=f"{FOLDER}.tgz",
                url=f"https://s3.amazonaws.com/fast-ai-imageclas/{FOLDER}.tgz",
                checksum="md5:3df6f0d01a2c9592104656642f5e78a3",
            ),
        )
    },
    arrange=arrange,
    pictures=13394,
)
