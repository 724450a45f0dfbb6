"""Fixtures that several tests share."""

import os
import shutil
from pathlib import Path

import detoxai_there
import numpy as np
import pytest
import torch
from importnb import Notebook
from PIL import Image

from helpers.pictures import REPO, data_root


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photos and weights. Skips where there is none, but fails on CI, which must have it."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    folder = os.environ.get("COURSE_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        missing(f"COURSE_REAL_DATA is {folder!r}, no folder: nothing is tried on real photos")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def notebook():
    """A notebook's functions and classes by its name, without running its experiments."""
    return lambda name: Notebook.load_file(str(REPO / f"notebooks/{name}.ipynb"), main=False, include_non_defs=False)


@pytest.fixture(scope="session")
def detoxai(tmp_path_factory):
    """Parts of detoxai by name, see detoxai_there. Skips where it is not installed, but fails on CI."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    try:
        return detoxai_there.load(tmp_path_factory.mktemp("detoxai"))
    except ImportError as error:
        missing(f"detoxai is not there ({error}): {detoxai_there.HINT}")


@pytest.fixture
def data_home(tmp_path, monkeypatch) -> Path:
    """An empty place for prepared data and trained weights."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def shared_home() -> Path:
    """The project's own place for data and trained weights: what several slow tests need is made once."""
    return data_root()


@pytest.fixture
def interrupted_after(monkeypatch):
    """`interrupted_after(2, module, "keep")`: Ctrl-C right after the second call. Gives the list that counts calls."""

    def arrange(calls, module, name):
        function, made = getattr(module, name), []

        def counted(*arguments):
            function(*arguments)
            made.append(1)
            if len(made) == calls:
                raise KeyboardInterrupt

        monkeypatch.setattr(module, name, counted)
        return made

    return arrange


@pytest.fixture(scope="module")
def one_thread():
    """Networks this small are no faster with more, and many times slower where others use the processor too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def float64():
    """What is made in the test is float64, also inside packages, which make float32 where they are not asked."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def album(tmp_path, data_home) -> Path:
    """A folder with one sub-folder per class: three small pictures of `cat` and three of `dog`."""
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        folder = tmp_path / "album" / label
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "album"


@pytest.fixture(scope="session")
def chromium():
    """An installed Chromium under Playwright. Skips where there is none, but fails on CI, which must have one."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install -e .[test]")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        missing("no Chromium or Chrome on the PATH: the pages are not looked at")
    quiet = ["background-networking", "component-update", "sync"]
    options = ["--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()
