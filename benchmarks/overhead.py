"""What the generator costs beside the notebook's own cells, beside plain papermill and nbconvert on the same notebook.

Each way is timed as a process of its own, in turns; medians count. The notebook is a small one: it trains a little
network, draws, and makes a claim. Aims on an idle machine with two cores: a run takes less than 5 s more than its
cells, a finished run asked again less than 1 s, and two notebooks at a time at most 0.65 of the time of one by one
(1.54 times as fast). `--quick 1` times that of `course run all --profile quick`, which takes half an hour.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from turns import Row, asked, keep, timed

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


def rows(work: Path, rounds: int, books: int) -> list[Row]:
    """What was measured of the small notebook."""
    book, places = written(work / "small.ipynb"), (work / f"place{k}" for k in itertools.count())
    (all_ := work / "all").mkdir()
    for k in range(books):
        written(all_ / f"{k}.ipynb")
    ways = {"course": lambda: ours(book, next(places)), "plain": lambda: plain(book, next(places))}
    beside = timed(ways, rounds, "runs", own=[*ways])
    ours(book, work / "done")
    again = [took(*COURSE, "run", book, "--out", work / "done") for _ in range(3)]
    grid = of_grid(book, work / "grid", 2)
    every = {jobs: took(*every_one(all_), "--jobs", jobs, "--out", work / f"jobs{jobs}") for jobs in (1, 2)}
    answered = [took(*every_one(all_), "--out", work / "jobs1") for _ in range(3)]
    what, one = "`course run` beside its cells", [every[1]]
    return [
        Row(what, beside["course"], "limit set: 5 s", [5.0], "s", 1),
        Row(what, beside["course"], "papermill and nbconvert", beside["plain"], "s"),
        Row("`course grid` beside the cells, a run", [grid], "papermill and nbconvert", beside["plain"], "s"),
        Row("A finished run asked again", again, "limit set: 1 s", [1.0], "s", 1),
        Row(f"{books} finished runs asked again by `run all`", answered, "limit set: 1 s", [1.0], "s", 1),
        Row(f"{books} notebooks, two at a time", [every[2]], "one by one", one, "s", 1 / 0.65),
    ]


def every_one(folder: Path) -> list[str]:
    return [sys.executable, "-P", "-c", ALL, str(folder)]


def quick(work: Path) -> list[Row]:
    """The course's own notebooks side by side, once every network has been trained: both ways train again."""
    seconds = {}
    for jobs in (1, 2):
        os.environ["COURSE_DATA"] = str(work / f"data{jobs}")
        took(*COURSE, "data", "prepare", "all")
        seconds[jobs] = took(*COURSE, "run", "all", "--profile", "quick", "--jobs", jobs, "--out", work / f"out{jobs}")
    what = "`course run all --profile quick`, two at a time"
    return [Row(what, [seconds[2]], "one by one", [seconds[1]], "s", 1 / 0.65)]


def main() -> None:
    options = asked(__doc__, rounds=(1, 1), notebooks=(2, 4), quick=(0, 0))
    with tempfile.TemporaryDirectory() as folder:
        found = quick(Path(folder)) if options.quick else rows(Path(folder), options.rounds, options.notebooks)
    keep("overhead, quick" if options.quick else "overhead", found, options.full)


if __name__ == "__main__":
    main()
