"""What the folder of a run keeps, for those who read it later."""

import json
from pathlib import Path


def results(folder: Path) -> dict:
    """What the run in this folder found: its results.json; empty when there is none, or none that can be read."""
    try:
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def made(folder: Path) -> list[Path]:
    """The runs of one question: its folder, and those that `--force` put beside it; the newest last."""
    beside = sorted(folder.parent.glob(f"{folder.name}.[0-9]*"), key=lambda one: (len(one.name), one.name))
    return [one for one in (folder, *beside) if one.is_dir()]


def finished(folder: Path) -> list[Path]:
    """Those of them that are finished."""
    return [one for one in made(folder) if results(one).get("status") == "finished"]


def reason(folder: Path) -> str:
    """Why the run in this folder failed, in a line or two."""
    error = results(folder)["error"]
    return f"{error['name']}: {error['message']}"


def cover(folder: Path, found: dict) -> bytes | None:
    """The picture that the notebook chose for the first screen."""
    files = [folder / figure["file"] for figure in found.get("figures", ()) if figure.get("cover")]
    return next((file.read_bytes() for file in files if file.is_file()), None)
