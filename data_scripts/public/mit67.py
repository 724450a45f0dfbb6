"""MIT Indoor Scenes: photos of rooms in 67 classes (Quattoni and Torralba, Recognizing Indoor Scenes, CVPR 2009).

The authors compare on about 80 training and 20 test photos of each class, which two lists name. Of the 15,620 photos
in the archive only these 6,700 are used. Some files called .jpg are GIF or PNG, and read as what they are. Names of a
few files differ from the lists in upper and lower case.
"""

from pathlib import Path

import pandas as pd

from helpers.errors import CourseError

from ..getting.upstream import Arranged, Dataset, Part, pictures

LISTS = {"train": "TrainImages.txt", "test": "TestImages.txt"}


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """One row for each photo that is listed and there. Raises CourseError for a line that names no photo."""
    table = pd.concat([listed(source / file, split) for split, file in LISTS.items()], ignore_index=True)
    folders = sorted(place for place in (source / "Images").iterdir() if place.is_dir())
    there = [f"{folder.name}/{file.name}" for folder in folders for file in pictures(folder)]
    found = matched(table["entry"], there)
    reasons = pd.Series("", index=table.index)
    reasons[found.isna()] = "listed in " + table["list"] + ", but there is no such file"
    reasons[found.notna() & found.duplicated()] = "listed before; this is in " + table["list"]
    table["image"] = "source/Images/" + found.fillna(table["entry"])
    out, classes = reasons != "", sorted(table["label"].unique())
    unlisted = len(there) - found.nunique()
    note = (
        f"{unlisted:,} of {len(there):,} photos are in neither {' nor '.join(LISTS.values())}, the authors' split, "
        f"and are not used"
    )
    return Arranged(
        table.loc[~out, ["image", "split", "label"]].reset_index(drop=True),
        [(name, i, name.replace("_", " ")) for i, name in enumerate(classes)],
        notes=(note,) * bool(unlisted),
        left_out=tuple(zip(table.loc[out, "image"], reasons[out], strict=True)),
    )


def listed(file: Path, split: str) -> pd.DataFrame:
    """The table `entry, label, split, list` of a list of lines `class/photo.jpg`; empty lines are passed over."""
    lines = pd.Series(file.read_text(encoding="utf-8").split("\n"), dtype=str).str.strip()
    wrong = lines[~lines.str.fullmatch(r"([^/]+/[^/]+)?")]
    if len(wrong):
        raise CourseError(f"{file}: line {wrong.index[0] + 1} is {wrong.iloc[0]!r}; expected class/photo.jpg")
    entries = lines[lines != ""]
    return pd.DataFrame({"entry": entries, "label": entries.str.split("/").str[0], "split": split, "list": file.name})


def matched(entries: pd.Series, there: list[str]) -> pd.Series:
    """Which of the files each entry is: that of its name, else one that differs in case only, else nothing."""
    in_any_case = {name.lower(): name for name in there}
    return entries.where(entries.isin(there), entries.str.lower().map(in_any_case))


DATASET = Dataset(
    name="mit67",
    holds="6,700 photos of rooms in 67 classes",
    notebooks="01",
    size="2.4 GB",
    licence="research only",
    # the link to the archive was dead in September 2026; the copy holds indoorCVPR_09/Images and both lists
    page="https://web.mit.edu/torralba/www/indoor.html "
    "(a copy, to be unpacked: https://www.kaggle.com/datasets/itsahmad/indoor-scenes-cvpr-2019)",
    layouts={
        "authors": (
            Part("Images", archive="indoorCVPR_09.tar"),
            Part(
                "TrainImages.txt",
                url="https://web.mit.edu/torralba/www/TrainImages.txt",
                checksum="sha256:7ec85f88735739d8159061e4bcf6a9765aab8606ab444605b3f8e0641be0260e",
            ),
            Part(
                "TestImages.txt",
                url="https://web.mit.edu/torralba/www/TestImages.txt",
                checksum="sha256:906c529a5a0918feec371de5b07a465ddb1f15ebaebc90a33cc321c371133bf1",
            ),
        )
    },
    arrange=arrange,
    pictures=6_700,
)
