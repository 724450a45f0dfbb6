"""ImageNet, the ILSVRC of 2012: the validation pictures flat as in their archive or by class, and training folders.

A class is its WordNet id. Networks number the classes in the order of the sorted ids, and that is not the number
`ILSVRC2012_ID` of the development kit, in which the ground truth of the validation pictures is given.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from helpers.errors import CourseError, Missing

from ..getting.tables import classes, read_csv
from ..getting.upstream import PICTURES, Arranged, Dataset, Part

CLASSES = 1000
TOTALS = {"val": 50_000, "train": 1_281_167}
WNID = re.compile(r"n\d{8}")
KIT, MAPPING, SOLUTION = "ILSVRC2012_devkit_t12", "LOC_synset_mapping.txt", "LOC_val_solution.csv"
KAGGLE = "ILSVRC/Data/CLS-LOC"


def arrange(source: Path, made: Path, layout: str) -> Arranged:
    """Every picture with its WordNet id as label; classes.csv says which output of a network stands for it.

    Raises Missing when the classes of the pictures, or the outputs of the classes, cannot be known from what is there,
    CourseError for a table that is not as upstream.
    """
    below, truth = (KAGGLE if layout == "kaggle" else "."), _truth(source)
    rows, out, notes, wnids = [], [], [], set(truth.values())
    for split, total in TOTALS.items():
        place = (Path("source") / below / split).as_posix()
        folders, flat = _listed(made / place)
        wnids.update(folders)
        found, bad = list(_by_class(made, place, split, folders)), []
        if split == "train":
            bad = [(f"{place}/{name}", "not in the folder of a class") for name in flat]
        elif flat or (truth and not folders):
            matched, bad = _flat(made, place, flat, truth)
            found += matched
        if found and len(found) + len(bad) != total:
            notes.append(f"{split}: {len(found):,} of ImageNet's {total:,} pictures")
        rows += found
        out += bad
    if not rows and not out:
        raise CourseError(
            f"{(source / below / 'val').resolve()}: no pictures, and no folders of classes (n01440764, ...)"
        )
    table = pd.DataFrame(rows, columns=["image", "split", "label"])
    return Arranged(table, _classes(source, wnids), notes=tuple(notes), left_out=tuple(out))


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """The names of a folder's class folders and of its pictures, sorted; nothing where there is no folder."""
    if not folder.is_dir():
        return [], []
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir()) for entry in entries]
    folders = sorted(name for name, is_folder in found if is_folder and WNID.fullmatch(name))
    return folders, _pictures(name for name, is_folder in found if not is_folder)


def _pictures(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.lower().endswith(PICTURES) and not name.startswith("."))


def _by_class(made: Path, place: str, split: str, wnids: list[str]) -> Iterator[tuple[str, str, str]]:
    """Rows of the pictures in the folders of classes, each folder listed once and no file looked at."""
    for wnid in tqdm(wnids, desc=f"listing {place}", delay=2, leave=False):
        for name in _pictures(os.listdir(made / place / wnid)):
            yield f"{place}/{wnid}/{name}", split, wnid


def _flat(made: Path, place: str, names: list[str], truth: dict[str, str]) -> tuple[list, list]:
    """Rows of the validation pictures that lie in no folder of a class, and those left out with the reason."""
    if not truth:
        raise Missing(
            f"imagenet: the pictures in {(made / place).resolve()} lie in no folders of classes (n01440764, ...), and "
            f"their ground truth is missing. Place {KIT}.tar.gz or Kaggle's {SOLUTION} in {(made / 'source').resolve()}"
        )
    stems = {name.rpartition(".")[0]: f"{place}/{name}" for name in names}
    rows = [(path, "val", truth[stem]) for stem, path in stems.items() if stem in truth]
    out = [(path, "not in the ground truth") for stem, path in stems.items() if stem not in truth]
    return rows, out + [(f"{place}/{stem}.JPEG", "no such file") for stem in truth if stem not in stems]


def _truth(source: Path) -> dict[str, str]:
    """The WordNet id of each validation picture by its name without .JPEG; {} where no ground truth is there."""
    if (file := source / SOLUTION).is_file():
        table = read_csv(file, ("ImageId", "PredictionString"))
        first = table["PredictionString"].str.split(n=1).str[0]  # boxes follow: `n03995372 85 1 499 272 ...`
        wrong = table["ImageId"][~first.fillna("").str.fullmatch(WNID.pattern)]
        if len(wrong):
            raise CourseError(f"{file}: PredictionString of {wrong.iloc[0]} begins with no WordNet id (n01440764, ...)")
        return dict(zip(table["ImageId"], first, strict=True))
    if not (file := source / KIT / "data" / "ILSVRC2012_validation_ground_truth.txt").is_file():
        return {}
    synsets = _synsets(source / KIT / "data" / "meta.mat")
    try:
        wnids = [synsets[int(number)] for number in file.read_text(encoding="utf-8").split()]
    except (KeyError, ValueError) as error:
        raise CourseError(f"{file}: {error} is no ILSVRC2012_ID of a class; expected 1 to {CLASSES}") from None
    return {f"ILSVRC2012_val_{number:08d}": wnid for number, wnid in enumerate(wnids, 1)}


def _synsets(file: Path) -> dict[int, str]:
    """ILSVRC2012_ID -> WordNet id of the 1000 classes; the ids above 1000 are what several of them have in common."""
    from scipy.io import loadmat

    try:
        synsets = loadmat(file, squeeze_me=True)["synsets"]
        leaves = synsets[synsets["num_children"].astype(int) == 0]
        known = {int(number): str(wnid) for number, wnid in zip(leaves["ILSVRC2012_ID"], leaves["WNID"], strict=True)}
    except Exception as error:  # of a broken file OSError, ValueError, zlib.error, MatReadError, ...
        wanted = "synsets with ILSVRC2012_ID, WNID and num_children"
        raise CourseError(f"{file}: cannot be read ({error}); expected {wanted}. Get {KIT}.tar.gz again") from None
    if len(set(known.values())) != CLASSES:
        raise CourseError(f"{file}: {len(set(known.values()))} classes; expected {CLASSES}. Get {KIT}.tar.gz again")
    return known


def _classes(source: Path, wnids: set[str]) -> list[tuple[str, int, str]]:
    """WordNet id, output of a network trained on all of ImageNet, and name, in the order of the outputs.

    The outputs follow the sorted ids when all 1000 are known: from the development kit, Kaggle's list, or the folders.
    Of fewer only a classes.csv can tell. Raises Missing without one.
    """
    if (kit := source / KIT / "data" / "meta.mat").is_file():
        wnids = set(_synsets(kit).values())
    elif (mapping := source / MAPPING).is_file():
        wnids = {line.split()[0] for line in mapping.read_text(encoding="utf-8").splitlines() if line.strip()}
        if len(wnids) != CLASSES:
            raise CourseError(f"{mapping}: {len(wnids)} classes; expected {CLASSES}, one a line: n01440764 tench, ...")
    elif (known := classes(given := source / "classes.csv")) is not None:
        table = known.sort_values("index")
        if unknown := sorted(wnids - set(table["folder"])):
            raise CourseError(f"{given}: no row for {unknown[0]} ({len(unknown)} classes without one)")
        return list(table.itertuples(index=False, name=None))
    if len(wnids) != CLASSES:
        raise Missing(
            f"imagenet: {len(wnids):,} classes are there; which outputs of a network they are can be told from all "
            f"{CLASSES} only. Place {KIT}.tar.gz, Kaggle's {MAPPING}, or a classes.csv with the columns folder "
            f"(n01440764, ...), index (0 to {CLASSES - 1}) and name in {source.resolve()}"
        )
    return [(wnid, number, name) for number, (wnid, name) in enumerate(zip(sorted(wnids), _names(), strict=True))]


def _names() -> list[str]:
    """What the outputs are called, all different: there are two cranes."""
    from torchvision.models import ResNet50_Weights

    return ResNet50_Weights.IMAGENET1K_V1.meta["categories"]


DEVKIT = Part(KIT, archive=f"{KIT}.tar.gz", checksum="md5:fa75699e90414af021442c21a62c3abf")
VAL = Part("val", archive="ILSVRC2012_img_val.tar", into="val", checksum="md5:29b22e2961454d5413ddabcf34fc5622")
OTHERS = tuple(Part(name, optional=True) for name in (MAPPING, SOLUTION, "classes.csv"))

DATASET = Dataset(
    name="imagenet",
    holds="ILSVRC 2012: 50,000 validation pictures of 1,000 classes, and 1,281,167 to train on where their folders are",
    notebooks="01, 04",
    size="6.3 GB, to train 138 GB more",
    licence="non-commercial research and education",
    page="https://image-net.org/challenges/LSVRC/2012/2012-downloads.php",
    layouts={
        "archives": (VAL, DEVKIT, Part("train", optional=True)),
        "folders": (Part("val"), Part("train", optional=True), *OTHERS),
        "kaggle": (
            Part(f"{KAGGLE}/val"),
            Part(SOLUTION),
            Part(MAPPING),
            Part(f"{KAGGLE}/train", optional=True),
        ),
    },
    arrange=arrange,
    on_request=True,
)
