"""What 06_audit costs: its wall time beside that of the notebooks it asks, each run alone on the same question; and
whether its memory grows with the number of pictures. Aim: the peak by few / by many at least 0.9.

python benchmarks/audit.py                   memory alone, by 200 and 1,000 pictures of noise and a small network
python benchmarks/audit.py --full [-p ...]   by 200 and 5,000, and time, of 06_audit with these parameters (15 minutes)
"""

import argparse
import re
import shlex
import tempfile
from pathlib import Path

import nbformat
import torch
from PIL import Image
from turns import Row, keep

from helpers import networks
from reports import kept, plans, runs

SIDE, CLASSES = 64, 10


def asked(out: Path, notebook: str, given: dict) -> dict:
    """The results of a run, made unless it is there; they say if it failed."""
    folder, status = runs.run(plans.plan(notebook, given=given), out)
    found = kept.results(folder)
    took = found["provenance"]["wall_s"]
    print(f"{notebook:22} {status:9} {took:8.1f} s  {found['provenance']['peak_mb']:8.0f} MB", flush=True)
    return found | {"folder": folder}


def time_beside(out: Path, given: dict) -> list[Row]:
    """The audit, and each notebook by the line that the audit's page has to copy."""
    audit = asked(out, "06_audit", given)
    cells = nbformat.read(audit["folder"] / "executed.ipynb", 4).cells
    shown = [o.data.get("text/markdown", "") for c in cells for o in c.get("outputs", ()) if "data" in o]
    lines = [shlex.split(line) for line in re.findall(r"^course run 0[1-5].*$", "\n".join(shown), re.M)]
    others = [asked(out, words[2], dict(text.split("=", 1) for text in words[4::2])) for words in lines]
    seconds, took = audit["provenance"]["wall_s"], sum(other["provenance"]["wall_s"] for other in others)
    return [Row("06_audit", [seconds], f"the {len(others)} notebooks it asks, alone", [took], "s")]


def memory(out: Path, n: int) -> list[Row]:
    """Peak memory of an audit of 200 and of n pictures."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        torch.manual_seed(0)
        torch.save(networks.build("compact_vgg", CLASSES).state_dict(), root / "net.pth")
        for i in range(n):
            folder = root / f"pictures/{i % CLASSES}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((SIDE, SIDE), 20 + 5 * (i % 37)).convert("RGB").save(folder / f"{i}.png")
        given = {"dataset": str(root / "pictures"), "model": "compact_vgg", "weights": str(root / "net.pth")}
        given |= {"size": SIDE, "random_draws": 1, "explained": 8, "mosaics": 10}
        few, many = (asked(out, "06_audit", given | {"images": images})["provenance"]["peak_mb"] for images in (200, n))
    return [Row(f"Peak memory of 06_audit, {n:,} pictures", [many], "200 pictures", [few], "MB", 0.9)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=plans.usual_out())
    parser.add_argument("--full", action="store_true")
    parser.add_argument("-p", action="append", default=[], metavar="name=value")
    asks = parser.parse_args()
    if asks.p and not asks.full:
        parser.error("-p is for --full")
    rows = time_beside(asks.out, dict(text.split("=", 1) for text in asks.p)) if asks.full else []
    keep("audit", rows + memory(asks.out, 5000 if asks.full else 1000), asks.full)


if __name__ == "__main__":
    main()
