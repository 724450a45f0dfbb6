"""What the torture tests share: two notebooks, and a table of all that was tried."""

import os
import tempfile
from collections import Counter

import nbformat
import pytest

KNOBS = """seed: int = 0  # 0 to 99; draws
hold: int = 0  # 0 to 60; seconds that the last cell takes"""
WORK = [
    "from helpers.run import start\nrun = start(globals())",
    """import time
import matplotlib.pyplot as plt
import pandas as pd
from data_scripts.drawn import scenes
from helpers import door, networks, pictures
photos = run.data(pictures.load(scenes.prepare(door.data_root(), 120, 64, seed=seed, name=f"few{seed}", workers=2)))""",
    """from helpers.networks import training
recipe = training.Recipe("compact_vgg", epochs=12, size=48, seed=seed)
net = training.train(recipe, photos)""",
    """run.metric("pictures", len(photos))
run.table(pd.DataFrame({"row": range(3)}), "rows", "Some rows")
figure, axis = plt.subplots(figsize=(2, 2))
run.figure(figure, "a box", alt="An empty box.", cover=True)
time.sleep(hold)""",
    "run.answer('It is done.')",
]
LIGHT = [  # without torch: what is killed here is not what a notebook does
    "import json, os, time\nfrom pathlib import Path\nfolder = Path(os.environ['COURSE_RUN_DIR'])",
    "time.sleep(hold)\n(folder / 'results.json').write_text(json.dumps({'metrics': {'square': seed**2}}))",
    "'It is done.'",
]
COUNTED = ("tries", "lost results", "tracebacks", "orphans", "litter")


@pytest.fixture
def own_places(tmp_path, monkeypatch):
    """Data, networks and temporary files of what a test starts are its own."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(dir="/tmp" if os.access("/tmp", os.W_OK) else None) as short:
        monkeypatch.setenv("TMPDIR", short)
        yield


@pytest.fixture
def demo(tmp_path, own_places):
    """A notebook that does a little of everything."""
    return _written(tmp_path / "demo.ipynb", WORK)


@pytest.fixture
def light(tmp_path, own_places):
    """A notebook that takes no longer than its kernel."""
    return _written(tmp_path / "light.ipynb", LIGHT)


def _written(file, cells):
    book = nbformat.v4.new_notebook()
    book.cells.append(nbformat.v4.new_markdown_cell("# A demo\n\nIt has one equation, $x^2$."))
    book.cells.append(nbformat.v4.new_code_cell(KNOBS, metadata={"tags": ["parameters"]}))
    book.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(book, file)
    return file


# One table of everything that was tried, at the end of the run


@pytest.fixture
def tally(record_property):
    """`tally("kill -9", tries=1, litter=2)` adds to the table; it is the test that asserts."""

    def add(what, **counts):
        record_property("torture", (what, *(int(counts.get(name.replace(" ", "_"), 0)) for name in COUNTED)))

    return add


def pytest_terminal_summary(terminalreporter):
    rows: dict[str, Counter] = {}
    for report in (one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, ())):
        for name, value in getattr(report, "user_properties", ()):
            if name == "torture" and report.when == "call":
                rows.setdefault(value[0], Counter()).update(dict(zip(COUNTED, value[1:], strict=True)))
    if rows:
        terminalreporter.section("torture")
        for name, counts in [("", {n: n for n in COUNTED}), *rows.items()]:
            terminalreporter.write_line(f"{name:44}" + "".join(f"{counts[n]:>14}" for n in COUNTED))
