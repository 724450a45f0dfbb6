"""What the generator costs beside the notebook's own cells, beside plain papermill and nbconvert on the same notebook.

Each way is timed as a process of its own, in turns; the median counts. The notebook is a small one: it trains a little
network, draws, and makes a claim. Aims on an idle machine with two cores: a run takes less than 5 s more than its
cells, a finished run asked again less than 1 s, and two notebooks at a time at most 0.65 of the time of one by one.
`--quick` times that of `course run all --profile quick`, which takes half an hour.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from tqdm import tqdm

PYTHON = [sys.executable, "-P", "-m"]
COURSE = [*PYTHON, "reports.cli"]
# `course run all` of the notebooks in a folder
ALL = """import sys
from pathlib import Path
from reports import cli, plans
plans.notebooks = lambda: sorted(Path(sys.argv[1]).glob("*.ipynb"))
sys.exit(cli.main(["run", "all", *sys.argv[2:]]))"""
KNOBS = """seed: int = 0  # 0 to 99; draws
steps: int = 30  # 1 to 1000; of the training"""
START = "from helpers.run import start\nrun = start(globals())"
TRAIN = """import torch
net = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.Conv2d(32, 32, 3))
optimiser, losses = torch.optim.SGD(net.parameters(), lr=0.01), []
for _ in range(steps):
    loss = net(torch.rand(16, 3, 64, 64)).square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())"""
SHOW = """import matplotlib.pyplot as plt
import pandas as pd
from helpers import stats
run.table(pd.DataFrame({"loss": losses}), "losses", "By step")
figure, axis = plt.subplots()
axis.plot(losses)
run.figure(figure, "losses", alt="The loss over the steps.")
run.metric("loss", stats.mean(losses[-10:], of="steps"), better="lower")
run.claim("it learns", paper="yes", seen=stats.fact(losses[-1] < losses[0], "yes", "counted"))
run.claims()
run.answer("It is done.")"""


def written(file: Path) -> Path:
    """The small notebook as a file."""
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    prose, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    book.cells = [prose("# A small notebook"), code(KNOBS, metadata={"tags": ["parameters"]}), code(START)]
    book.cells += [prose("## Training"), code(TRAIN), prose("## What was found"), code(SHOW)]
    nbformat.write(book, file)
    return file


def took(*command: object) -> float:
    """Seconds of a command, which must end well."""
    began = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def in_cells(*executed: Path) -> float:
    """Seconds in the cells of notebooks that papermill ran."""
    books = [json.loads(file.read_text(encoding="utf-8"))["cells"] for file in executed]
    return sum(cell["metadata"].get("papermill", {}).get("duration") or 0 for cells in books for cell in cells)


def ours(book: Path, place: Path) -> float:
    """Seconds of `course run` beside those of its cells."""
    return took(*COURSE, "run", book, "--out", place) - in_cells(*place.glob("*/*/executed.ipynb"))


def plain(book: Path, place: Path) -> float:
    """Seconds of papermill and of nbconvert beside those of the cells."""
    place.mkdir()
    ran = took(*PYTHON, "papermill", book, place / "ran.ipynb", "--cwd", book.parent)
    made = took(*PYTHON, "nbconvert", "--to", "html", place / "ran.ipynb")
    return ran + made - in_cells(place / "ran.ipynb")


def of_grid(book: Path, place: Path, runs: int) -> float:
    """Seconds of `course grid` beside those of the cells, a run."""
    (file := place.with_suffix(".yaml")).write_text(f"notebook: {book}\nseeds: {runs}\n", encoding="utf-8")
    whole = took(*COURSE, "grid", file, "--jobs", "1", "--out", place)
    return (whole - in_cells(*place.glob("*/*/executed.ipynb"))) / runs


def rows(work: Path, turns: int) -> list[tuple[str, float, str]]:
    """What was measured of the small notebook: in words, a number, and its aim."""
    book = written(work / "small.ipynb")
    (all_ := work / "all").mkdir()
    for k in range(4):
        written(all_ / f"{k}.ipynb")
    beside: dict[str, list[float]] = {"course": [], "plain": []}
    for k in tqdm(range(turns), desc="turns"):
        beside["course"].append(ours(book, work / f"course{k}"))
        beside["plain"].append(plain(book, work / f"plain{k}"))
    again = [took(*COURSE, "run", book, "--out", work / "course0") for _ in range(5)]
    grid = of_grid(book, work / "grid", 2)
    every = {jobs: took(*every_one(all_), "--jobs", jobs, "--out", work / f"jobs{jobs}") for jobs in (1, 2)}
    answered = [took(*every_one(all_), "--out", work / "jobs1") for _ in range(3)]
    return [
        ("course run, beside its cells, s", statistics.median(beside["course"]), "5"),
        ("papermill and nbconvert, beside the cells, s", statistics.median(beside["plain"]), ""),
        ("course grid, beside the cells, s a run", grid, ""),
        ("a finished run asked again, s", statistics.median(again), "1"),
        ("four finished runs asked again by `run all`, s", statistics.median(answered), "1"),
        ("four notebooks, two at a time / one by one", every[2] / every[1], "0.65"),
    ]


def every_one(folder: Path) -> list[str]:
    return [sys.executable, "-P", "-c", ALL, str(folder)]


def quick(work: Path) -> list[tuple[str, float, str]]:
    """The course's own notebooks side by side, once every network has been trained: both ways train again."""
    seconds = {}
    for jobs in (1, 2):
        os.environ["COURSE_DATA"] = str(work / f"data{jobs}")
        took(*COURSE, "data", "prepare", "all")
        seconds[jobs] = took(*COURSE, "run", "all", "--profile", "quick", "--jobs", jobs, "--out", work / f"out{jobs}")
    return [
        ("course run all --profile quick, one by one, s", seconds[1], ""),
        ("two at a time / one by one", seconds[2] / seconds[1], "0.65"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="the notebooks of the course, side by side (half an hour)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = quick(Path(folder)) if arguments.quick else rows(Path(folder), arguments.turns)
    for words, number, aim in found:
        print(f"{words:48} {number:7.2f}" + f"   aim {aim}" * bool(aim))


if __name__ == "__main__":
    main()
