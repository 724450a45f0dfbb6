"""Racial Faces in-the-Wild: faces of four races to test face recognition with (Wang et al., ICCV 2019)."""

from pathlib import Path

import pandas as pd

from helpers.errors import CourseError

from ..getting.upstream import Arranged, Dataset, Part, pictures

RACES = {"African": "Black", "Asian": "Asian", "Caucasian": "White", "Indian": "Indian"}  # RFW's word: FairFace's
FOLDERS = {"test": "test/", "data": ""}
POINTS = 5  # eye, eye, nose, corner and corner of the mouth, x and y each


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """Columns race in FairFace's words, rfw_race in RFW's, identity, and landmarks "x y x y ..." where they are known.

    FairFace tells East from Southeast Asian and RFW does not: those stay Asian. All is split test. The pairs are not
    read, nor the people, which repeat the folders. Raises CourseError naming a race that has no folder.
    """
    rows, notes, out = [], [], []
    landmarks: dict[str, str] = {}
    for race in RACES:
        below = f"{FOLDERS[layout]}data/{race}"
        if not (source / below).is_dir():
            raise CourseError(f"{source / below}: no such folder; expected {', '.join(RACES)}, a folder of people each")
        people = sorted(p.name for p in (source / below).iterdir() if p.is_dir() and not p.name.startswith("."))
        for identity in people:
            folder = source / below / identity
            rows += [(f"source/{below}/{identity}/{f.name}", RACES[race], race, identity) for f in pictures(folder)]
        texts = source / f"{FOLDERS[layout]}txts" / race
        points, said = _landmarks(texts / f"{race}_lmk.txt")
        landmarks |= {f"{race}/{name}": where for name, where in points.items()}
        notes += said
        out += _missing(texts / f"{race}_images.txt", below, {row[0] for row in rows if row[2] == race})
    table = pd.DataFrame(rows, columns=["image", "race", "rfw_race", "identity"])
    if landmarks:
        names = table["rfw_race"] + "/" + table["image"].str.rsplit("/", n=1).str[-1].str.lower()
        table["landmarks"] = names.map(landmarks).fillna("")
    table.insert(1, "split", "test")
    table.insert(2, "label", "all")
    several = (table.drop_duplicates(["identity", "rfw_race"])["identity"].value_counts() > 1).sum()
    notes.insert(
        0,
        "race is in FairFace's words, so that race=Black means the same in both: African is Black and Caucasian is "
        "White; Asian stays, where FairFace tells East from Southeast. RFW's own words are in rfw_race",
    )
    if several:
        notes.append(
            f"{several} name(s) of people are in more than one race: who it is, race and identity tell together"
        )
    return Arranged(table, notes=tuple(notes), left_out=tuple(out))


def _landmarks(file: Path) -> tuple[dict[str, str], list[str]]:
    """{lower-case picture: "x y x y ..."} and what to tell; nothing known is nothing wrong, since faces do without."""
    table = _lines(file)
    if table is None:
        return {}, []
    points = table.iloc[:, 2:]
    numbers = points.apply(pd.to_numeric, errors="coerce").notna().all(axis=None)
    if points.shape[1] != 2 * POINTS or not numbers:
        expected = f"expected path, label and {2 * POINTS} numbers"
        return {}, [f"{file.name} has {table.shape[1]} columns, {expected}: no landmarks of these faces"]
    names = table[0].str.rsplit("/", n=1).str[-1].str.lower()
    return dict(zip(names, points[2].str.cat(points.iloc[:, 1:], sep=" "), strict=True)), []


def _missing(file: Path, below: str, there: set[str]) -> list[tuple[str, str]]:
    """Pictures in a list of RFW's (`m.0xnkj_0002.jpg  0`) that are in no folder."""
    table, names = _lines(file), {image.rsplit("/", 1)[-1].lower() for image in there}
    if table is None:
        return []
    gone = table[0][~table[0].str.rsplit("/", n=1).str[-1].str.lower().isin(names)]
    reason = f"listed in {file.name}, but there is no such file"
    return [(f"source/{below}/{name.rsplit('_', 1)[0]}/{name}", reason) for name in gone]


def _lines(file: Path) -> pd.DataFrame | None:
    """The words of each line; None without the file. Raises CourseError when it is no such table."""
    if not file.is_file():
        return None
    try:
        return pd.read_csv(file, sep=r"\s+", header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:  # empty, lines of several lengths, not text
        raise CourseError(
            f"{file}: not a table of words ({error}); expected a picture and its numbers a line"
        ) from None


DATASET = Dataset(
    name="rfw",
    holds="about 40,000 faces of four races, by person",
    notebooks="02",
    size="one archive",
    licence="non-commercial research",
    page="http://whdeng.cn/RFW/testing.html",
    layouts={
        "test": (
            Part("test/data", archive="test.tar.gz"),
            Part("test/txts", archive="test.tar.gz", optional=True),
        ),
        "data": (Part("data"), Part("txts", optional=True)),
    },
    arrange=arrange,
    on_request=True,
)
