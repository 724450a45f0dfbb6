"""How often each lens of 06_audit sees a bias that we planted, and how often it accuses a network without one.

python benchmarks/power.py                   the table of the runs that are there, and its page
python benchmarks/power.py --run [--jobs 2]  runs first what is missing of benchmarks/power.yaml (an hour)
python benchmarks/power.py --write           when all runs are there: notebooks/06_audit.yaml, lines, power, alarms

Interrupted, it goes on where it was: finished runs and trained networks are kept.
"""

import argparse
import html
import math
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from importnb import Notebook

from helpers import stats
from helpers.files import write_text
from helpers.pictures import REPO
from reports import cli, grid, kept, plans

audit = Notebook.load_file(str(REPO / "notebooks/06_audit.ipynb"), main=False, include_non_defs=False)
GRID, LINES = REPO / "benchmarks/power.yaml", REPO / "notebooks/06_audit.yaml"
# what each lens measures on drawn pictures, by its name among the lines; of faces the place of the attribute is known
LENSES = {"object": "energy", "what": "patches", "lean": "gap", "belief": "agreement", "rival": "rival"}
SAID = """\
# Where the lenses of 06_audit draw their lines, in units of their margins, by what they measure; of how many networks
# with a planted bias of a strength each says poor, and of how many without one. Written by benchmarks/power.py
"""
ALPHA = 0.1  # of the networks without a bias, so many may be accused at most
HEAD = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Power of the audit's lenses</title>
<style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
table{border-collapse:collapse}td,th{padding:.3rem .6rem;border-bottom:1px solid #8888;text-align:left}</style>
<h1>What each lens sees of a bias that we planted</h1>"""


def read(out: Path) -> tuple[pd.DataFrame, int]:
    """A row a network and lens: its set, strength, seed, and the interval of its margin; how many runs are missing."""
    rows, missing = [], 0
    for plan in grid.read(GRID).plans:
        if not (found := kept.finished(plan.folder(out))):
            missing += 1
            continue
        results = kept.results(found[-1])
        values, (name, *_) = plan.values, plan.values["attributes"]
        row = {"set": "background" if name == "none" else name, "strength": values["plant"], "seed": values["seed"]}
        row |= {"accuracy": results["metrics"]["accuracy"], "seconds": results["provenance"]["wall_s"]}
        for lens, kind in LENSES.items():
            e = results["estimates"][f"margin.{lens}"]
            ends = {end: math.inf * sign if e[end] is None else e[end] for end, sign in (("low", -1), ("high", 1))}
            kind = "place" if lens == "what" and name != "none" else kind
            rows.append(row | {"lens": kind, "margin": e["value"]} | ends)
    return pd.DataFrame(rows), missing


def lines_of(found: pd.DataFrame) -> dict[str, float]:
    """The line of each lens: the highest at which at most ALPHA of the networks without a bias are accused."""
    fair = found[(found["strength"] == 0) & found["high"].map(math.isfinite)]
    return {lens: audit.line_at(part["high"], ALPHA) for lens, part in fair.groupby("lens", sort=False)}


def powers(found: pd.DataFrame, lines: dict[str, float]) -> pd.DataFrame:
    """A row a lens, set and strength: how many networks are called poor, with Wilson's interval, and whether that is
    more than of the networks without a bias (Fisher, one-sided, 0.05)."""
    rows = []
    for (lens, name, strength), part in found.groupby(["lens", "set", "strength"], sort=False):
        poor, fair = (part["high"] < lines[lens]).sum(), found[(found["lens"] == lens) & (found["strength"] == 0)]
        alarms = (fair["high"] < lines[lens]).sum()
        share = stats.share(poor, len(part), "networks")
        row = {"lens": lens, "set": name, "strength": strength, "poor": poor, "networks": len(part), "share": share}
        better = strength > 0 and audit.told_apart(poor, len(part), alarms, len(fair))
        rows.append(row | {"more than chance": "yes" if better else "no" if strength > 0 else ""})
    return pd.DataFrame(rows)


def settings(found: pd.DataFrame, lines: dict[str, float]) -> dict[str, Any]:
    """What notebooks/06_audit.yaml says of each lens."""
    lenses: dict[str, Any] = yaml.safe_load(LINES.read_text(encoding="utf-8"))["lenses"]  # some are not asked here
    for lens, line in lines.items():
        part = found[found["lens"] == lens]
        poor = part.assign(poor=part["high"] < line).groupby("strength")["poor"].agg(["sum", "size"])
        counts = {float(s): [int(k), int(n)] for s, (k, n) in zip(poor.index, poor.to_numpy(), strict=True)}
        why = f"accuses at most {ALPHA:.0%} of the networks without a bias that set it"
        power = {s: of for s, of in counts.items() if s > 0}
        down = math.floor(line * 1e4) / 1e4  # rounded up it would accuse the network that sets it
        lenses[lens] = {"line": down, "why": why, "power": power, "false_alarms": counts[0.0]}
    n = found[["set", "strength", "seed"]].drop_duplicates().shape[0]
    return {"calibrated": f"those of {n} drawn networks, see benchmarks/power.py", "lenses": lenses}


def page(table: pd.DataFrame, lines: dict[str, float], missing: int) -> str:
    """The table as a page of its own, with what it says in words."""
    blind = [
        lens
        for lens in dict.fromkeys(table["lens"])
        if "yes" not in table.loc[table["lens"] == lens, "more than chance"].tolist()
    ]
    said = f"No better than chance at any strength: {', '.join(blind) or 'none'}. "
    said += f"{missing} runs of the grid are missing." if missing else "All runs of the grid are there."
    drawn = "; ".join(f"{lens} {line:.3f}" for lens, line in lines.items())
    return f"{HEAD}<p>{html.escape(said)}</p><p>Lines: {html.escape(drawn)}</p>{table.to_html(index=False, border=0)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=plans.usual_out())
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if asked.run:
        cli.main(["grid", str(GRID), "--out", str(asked.out), "--jobs", asked.jobs])
    found, missing = read(asked.out)
    if not (found.empty or (found["strength"] > 0).all()):
        lines = lines_of(found)
        table = powers(found, lines)
        print(table.to_string(index=False))
        print(f"{missing} runs are missing; {found['seconds'].median():.0f} s a network and audit (median)")
        write_text(asked.out / "power.html", page(table, lines, missing))
        print(asked.out / "power.html")
        if asked.write and not missing:
            text = yaml.safe_dump(settings(found, lines), sort_keys=False, default_flow_style=None, width=120)
            write_text(LINES, f"{SAID}{text}")
    else:
        print(f"nothing to compare yet: {missing} runs are missing")


if __name__ == "__main__":
    main()
