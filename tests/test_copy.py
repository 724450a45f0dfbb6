"""Without a clone: the course as an archive that pip installs, and its notebooks in a folder of one's own."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from helpers.door import REPO
from reports import plans
from reports.cli import main

HOUSE = ("helpers", "data_scripts", "reports", "notebooks")


def course(capsys, *arguments):
    code = main([*map(str, arguments)])
    return code, capsys.readouterr()


def test_a_copy_has_every_notebook_as_it_is_and_the_teachers_page(tmp_path, capsys):
    code, output = course(capsys, "copy", tmp_path / "mine")
    assert (code, len(output.out.splitlines())) == (0, len(plans.notebooks()) + 1)
    for book in [*plans.notebooks(), REPO / "notebooks/TEACHING.md"]:
        assert (tmp_path / "mine" / book.name).read_bytes() == book.read_bytes()


def test_nothing_is_overwritten_by_a_copy(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("kept")
    code, output = course(capsys, "copy", tmp_path / "mine")
    assert (code, "there already" in output.err) == (2, True)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, output = course(capsys, "copy", tmp_path / "file/mine")
    assert (code, "Choose another folder" in output.err) == (2, True)


def test_on_colab_a_copy_installs_the_course_first_and_elsewhere_it_does_nothing(tmp_path, capsys, monkeypatch):
    import nbformat
    from IPython.core.inputtransformer2 import TransformerManager

    address = "https://example.org/course.zip"
    course(capsys, "copy", tmp_path / "mine", "--colab", address)
    said = []
    for path in plans.notebooks():
        book = nbformat.read(tmp_path / "mine" / path.name, as_version=4)
        nbformat.validate(book)
        added = book.cells.pop(1)
        assert [cell.source for cell in book.cells] == [cell.source for cell in nbformat.read(path, 4).cells]
        run = TransformerManager().transform_cell(added.source)
        shell = type("Shell", (), {"run_line_magic": lambda _, *words: said.append(words)})()
        exec(run, {"get_ipython": lambda shell=shell: shell})
        assert said == []
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "google.colab", object())
            exec(run, {"get_ipython": lambda shell=shell: shell})
        assert said.pop() == ("pip", f"install --quiet {address}")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """`course` from a wheel that was built from a copy of the project: its folder, and what runs it there."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in HOUSE:
        ignored = shutil.ignore_patterns("__pycache__", "out", ".ipynb_checkpoints")
        shutil.copytree(REPO / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder / "site")
    return folder


@pytest.fixture
def elsewhere(installed, tmp_path):
    """Run it in an empty folder, by a user whose home is empty, too; what it says."""
    (tmp_path / "home").mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COURSE_", "XDG_"))}
    env |= {
        "PYTHONPATH": str(installed / "site"),
        "HOME": str(tmp_path / "home"),
        "USERPROFILE": str(tmp_path / "home"),
    }

    def run(*arguments, module="reports.cli"):
        command = [sys.executable, "-P", "-m", module, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


def made(folder):
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.slow
def test_an_archive_has_all_that_the_project_has(installed):
    there = made(installed / "site")
    house = {file.relative_to(REPO).as_posix() for name in HOUSE for file in (REPO / name).rglob("*") if file.is_file()}
    house = {
        file for file in house if "__pycache__" not in file and not file.startswith(("reports/out", "reports/stick"))
    }
    assert house - {"reports/example.png"} - there == set()


@pytest.mark.slow
def test_a_course_from_an_archive_lists_copies_and_runs_and_writes_only_into_the_users_own_folder(
    installed, elsewhere, tmp_path
):
    before = made(installed / "site")
    assert "05_debiasing_metrics" in elsewhere("list").stdout
    assert elsewhere("copy", "mine").returncode == 0
    small = "-ptile=32", "-pepochs=1", "-pmodel=compact_resnet", "-pdataset=album"
    album(tmp_path / "album")
    done = elsewhere("run", "mine/00_start_here.ipynb", *small)
    assert done.returncode == 0, done.stderr[-2000:]
    (page,) = (tmp_path / "home").rglob("report.html")
    assert str(page) in done.stdout
    said = json.loads((page.parent / "results.json").read_text("utf-8"))
    assert (said["status"], said["provenance"]["git_commit"]) == ("finished", None)
    assert made(installed / "site") == before


@pytest.mark.slow
def test_what_is_of_the_projects_folder_says_so_in_an_archive(elsewhere, tmp_path):
    done = elsewhere("lab", module="reports")
    assert (done.returncode, "course --help" in done.stderr) == (1, True)
    done = elsewhere("pack", "--out", "pack")
    assert (done.returncode, "Unpack the archive" in done.stderr) == (2, True)
    assert not (tmp_path / "pack").exists()


def album(folder):
    """Two classes that a network of 32 pixels learns in one epoch or not, forty small pictures each."""
    from PIL import Image

    for k, label in enumerate(("dark", "bright")):
        (folder / label).mkdir(parents=True)
        for i in range(40):
            Image.effect_noise((32, 32), 20 + 60 * k + i).convert("RGB").save(folder / label / f"{i}.png")
