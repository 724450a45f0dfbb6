"""helpers/door.py: data sets are found by the entry points of any package, and helpers know no script by name."""

import ast
import sys

import pytest

from helpers import door
from helpers import pictures as data
from helpers.errors import CourseError, Missing
from reports import cli

SCRIPT = """
from helpers.errors import Missing

class Script:
    how, holds, notebooks, size, licence = "by hand", "one square", "01", "1 kB", "none"

    def located(self, root):
        if not (root / "squares.txt").is_file():
            raise Missing(f"squares: place squares.txt in {root}")
        return root / "squares"

    def find(self, root):
        folder = self.located(root)
        folder.mkdir(exist_ok=True)
        (folder / "index.csv").write_text("image,split,label\\na.png,val,square\\n")
        (folder / "dataset.json").write_text('{"name": "squares"}')
        from PIL import Image
        Image.new("RGB", (8, 8)).save(folder / "a.png")
        return folder

DATASET = Script()
"""


@pytest.fixture
def squares(tmp_path, monkeypatch, data_home):
    """Somebody else's package is installed, with a data set of its own."""
    folder = tmp_path / "site"
    (folder / "squares-1.0.dist-info").mkdir(parents=True)
    (folder / "squares-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: squares\nVersion: 1.0\n")
    (folder / "squares-1.0.dist-info/entry_points.txt").write_text("[course.datasets]\nsquares = squares_set:DATASET\n")
    (folder / "squares_set.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(folder)
    yield data_home
    sys.modules.pop("squares_set", None)


def test_somebody_elses_package_adds_a_data_set(squares, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    assert "squares" in door.scripts()
    with pytest.raises(Missing, match="place squares.txt"):
        data.load("squares")
    squares.mkdir()
    (squares / "squares.txt").write_text("x")
    assert data.located("squares") == squares / "squares"
    assert not (squares / "squares").exists()
    assert data.load("squares").classes == ["square"]
    assert cli.main(["data", "prepare", "squares"]) == cli.main(["data", "list"]) == 0
    assert "one square" in capsys.readouterr().out
    with pytest.raises(CourseError, match=r"Did you mean `squares`\? .* squares"):
        data.load("square")


def test_the_script_of_folders_is_no_data_set(data_home):
    assert door.FOLDER not in door.scripts()
    with pytest.raises(CourseError, match="no such folder"):
        data.load(door.FOLDER)


def test_an_installation_from_before_the_scripts_were_registered_is_told(album, monkeypatch):
    monkeypatch.setattr(door, "entry_points", lambda group: ())
    for name in ("scenes", album):
        with pytest.raises(CourseError, match="Install the course again: pip install -e"):
            data.load(name)


@pytest.mark.parametrize("name", door.scripts())
def test_every_script_says_where_its_set_will_be_or_what_is_missing(data_home, name):
    script = door.scripts()[name].load()
    if script.how == "drawn":
        assert script.located(data_home) == data_home / name
    else:
        with pytest.raises(Missing, match=f"course data prepare {name}"):
            script.located(data_home)
    assert not data_home.exists()


def test_a_folder_of_pictures_that_was_moved_is_checked_again(album, tmp_path):
    assert len(data.load(album)) == 6
    album.rename(tmp_path / "elsewhere")
    assert data.load(tmp_path / "elsewhere").root == tmp_path / "elsewhere"


def test_helpers_import_neither_scripts_nor_reports():
    for file in (door.REPO / "helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"data_scripts", "reports"}, file
