"""A file or a folder is whole at every moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.files import atomic

REPO = Path(__file__).parents[1]


def _folder(path: Path, text: str) -> None:
    path.mkdir()
    (path / "one").write_text(text)


@pytest.mark.parametrize("write", [Path.write_text, _folder], ids=["file", "folder"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "there before"])
def test_what_is_written_is_there_when_the_block_ends_and_not_before(tmp_path, write, there):
    path = tmp_path / "below" / "name.txt"
    if there:
        path.parent.mkdir()
        write(path, "old")
    with atomic(path) as draft:
        write(draft, "new")
        assert path.exists() == there
        assert not there or _read(path) == "old"
    assert _read(path) == "new"
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("write", [Path.write_text, _folder], ids=["file", "folder"])
def test_what_breaks_off_leaves_what_was_there(tmp_path, write):
    path = tmp_path / "name.txt"
    write(path, "old")

    def broken():
        with atomic(path) as draft:
            write(draft, "new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert _read(path) == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_that_cannot_be_moved_leaves_what_was_there(tmp_path, monkeypatch):
    path, rename = tmp_path / "name", Path.rename
    _folder(path, "old")

    def refused(self, target):
        if target == path and "old" not in self.name:
            raise PermissionError(self)
        return rename(self, target)

    def refused_at_the_end():
        with atomic(path) as draft:
            _folder(draft, "new")
            monkeypatch.setattr(Path, "rename", refused)

    with pytest.raises(PermissionError):
        refused_at_the_end()
    assert _read(path) == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_text_is_utf_8_whatever_the_locale(tmp_path):
    code = f"from helpers.files import write_text; write_text({str(tmp_path / 'a.txt')!r}, 'M\\xf6we')"
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPO, env=ascii_only)
    assert (tmp_path / "a.txt").read_bytes() == "Möwe".encode()


def _read(path: Path) -> str:
    return (path / "one" if path.is_dir() else path).read_text()
