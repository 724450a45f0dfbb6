"""Tables read as strings and checked, whoever wrote them; every mistake names the file."""

from pathlib import Path

import pandas as pd

from helpers.errors import CourseError

LISTED = 10  # of the same kind by name in an error


def read_csv(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of strings that has these columns. Raises CourseError naming the file and what is missing."""
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CourseError(f"{file}: not a readable CSV table ({error})") from None
    if missing := [c for c in columns if c not in table]:
        raise CourseError(f"{file}: column(s) {', '.join(missing)} missing; it has: {', '.join(table.columns)}")
    return table


def classes(file: Path) -> pd.DataFrame | None:
    """`folder, index, name` of classes.csv; the index column may say whose outputs it means (imagenet_index)."""
    if not file.is_file():
        return None
    table = read_csv(file, ("folder", "name"))
    column = next((c for c in table.columns if c == "index" or c.endswith("_index")), None)
    if column is None:
        raise CourseError(
            f"{file}: column index (the model output of each class) missing; it has: {', '.join(table.columns)}"
        )
    wrong = table[~table[column].str.fullmatch(r"\d+")]
    said = [f"of `{folder}` is {value!r}" for folder, value in zip(wrong["folder"], wrong[column], strict=True)]
    if said:
        raise CourseError(f"{file}: {column} {_some(said)}; expected 0, 1, ...")
    return table.assign(index=table[column].astype(int))[["folder", "index", "name"]]


def regions(file: Path) -> dict[int, str]:
    """Names of the ids that masks may hold; empty when there is no regions.csv."""
    if not file.is_file():
        return {}
    table = read_csv(file, ("id", "region"))
    if wrong := [repr(i) for i in table["id"] if not i.strip().isdecimal() or int(i) > 255]:
        raise CourseError(f"{file}: ids are whole numbers from 0 to 255, and not {_some(wrong)}")
    return {int(i): name for i, name in zip(table["id"], table["region"], strict=True)}


def _some(words: list[str]) -> str:
    return ", ".join(words[:LISTED]) + f" and {len(words) - LISTED:,} more" * (len(words) > LISTED)
