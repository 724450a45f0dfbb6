"""reports/machine.py: `course doctor` finds what a class would stumble over, and says what to do."""

import json
import os
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from data_scripts.drawn import scenes
from reports import machine
from reports.cli import main


def missing(name):
    def version(asked, known=machine.version):
        if asked == name:
            raise PackageNotFoundError(asked)
        return known(asked)

    return version


def test_a_missing_package_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setattr(machine, "version", missing("zennit"))
    found = machine._packages()
    assert (found.well, found.said.startswith("zennit is missing. pip install -e ")) == (False, True)


def test_a_package_that_is_too_old_is_named_with_what_is_expected(monkeypatch):
    known = machine.version
    monkeypatch.setattr(machine, "version", lambda name: "1.0" if name == "pandas" else known(name))
    assert "pandas is 1.0, expected >=2.2" in str(machine._packages())


def test_packages_of_the_extras_are_not_asked_for(monkeypatch):
    monkeypatch.setattr(machine, "version", missing("hypothesis"))
    assert machine._packages().well


@pytest.mark.parametrize(("free", "well"), [(machine.MEMORY - 1, False), (machine.MEMORY, True)])
def test_too_little_free_memory_fails(free, well, monkeypatch):
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: SimpleNamespace(available=free, total=2**34))
    assert machine._memory().well == well


@pytest.mark.parametrize(("free", "well"), [(machine.DISK - 1, False), (machine.DISK, True)])
def test_too_little_room_fails(free, well, monkeypatch, data_home):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert machine._disk().well == well
    assert not data_home.exists()  # looked at, not made


def test_a_folder_that_cannot_be_written_fails_and_says_how_to_name_another(monkeypatch, tmp_path, data_home):
    monkeypatch.setattr(machine, "writable", lambda folder: folder != data_home)
    found = machine._folders(tmp_path)
    assert (found.well, found.said) == (False, f"{data_home} cannot be written: name another, COURSE_DATA=DIR")


def test_what_is_not_made_yet_is_said_and_no_failure(data_home, tmp_path):
    found = {one.name: one for one in machine._ready(tmp_path / "out")}
    assert all(one.well for one in found.values())
    assert "course data prepare all" in found["pictures"].said
    assert found["reports"].said.startswith("none yet")


def test_pictures_networks_and_reports_that_are_there_are_counted(data_home, tmp_path):
    scenes.prepare(data_home, images=20, size=32, workers=1)
    (data_home / "models/compact_vgg-1").mkdir(parents=True)
    (data_home / "models/compact_vgg-1/weights.safetensors").touch()
    for status in ("finished", "failed"):
        (tmp_path / "out/01_focus" / status).mkdir(parents=True)
        (tmp_path / "out/01_focus" / status / "results.json").write_text(json.dumps({"status": status}))
    found = {one.name: one.said for one in machine._ready(tmp_path / "out")}
    assert found["pictures"].startswith("faces: ")
    assert found["networks"] == "1 are trained"
    assert found["reports"] == f"1 at {tmp_path / 'out'}"


def kernel(folder, code):
    """A kernel `python3` that wins over ours, as a user's from another Python does."""
    spec = {"argv": [sys.executable, "-c", code, "-f", "{connection_file}"], "display_name": "x", "language": "python"}
    (folder / "kernels/python3").mkdir(parents=True)
    (folder / "kernels/python3/kernel.json").write_text(json.dumps(spec))
    return str(folder)


@pytest.mark.slow
def test_a_kernel_that_has_not_the_course_fails(monkeypatch, tmp_path):
    code = "import sys; sys.modules['helpers'] = None; import ipykernel.kernelapp as k; k.launch_new_instance()"
    monkeypatch.setenv("JUPYTER_PATH", kernel(tmp_path, code))
    found = machine._kernel()
    assert (found.well, "ipykernel install --sys-prefix" in found.said) == (False, True)


def test_a_kernel_that_does_not_start_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_PATH", kernel(tmp_path, "raise SystemExit"))
    found = machine._kernel()
    assert (found.well, found.said.startswith("none starts")) == (False, True)


def test_a_jupyterlab_that_does_not_open_fails_with_its_last_words(monkeypatch, tmp_path):
    (tmp_path / "jupyterlab").mkdir()
    (tmp_path / "jupyterlab/__main__.py").write_text("print('first'); raise SystemExit('it is broken')")
    (tmp_path / "jupyterlab/__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    found = machine._lab()
    assert (found.well, "does not open (it is broken)" in found.said) == (False, True)


def test_a_jupyterlab_that_takes_too_long_fails_and_is_ended(monkeypatch, tmp_path):
    (tmp_path / "jupyterlab").mkdir()
    (tmp_path / "jupyterlab/__main__.py").write_text("import time; time.sleep(600)")
    (tmp_path / "jupyterlab/__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(machine, "LONGEST", 0.5)
    assert str(machine._lab()) == "JupyterLab   NO: has not opened after 0.5 s. Close other programs, and try again"


def test_one_failure_makes_exit_1_and_the_rest_is_told_all_the_same(monkeypatch, capsys):
    ours = [machine.Found("memory", "too little. Close other programs", False), machine.Found("disk", "enough")]
    monkeypatch.setattr(machine, "checks", lambda out: iter(ours))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == ["memory       NO: too little. Close other programs", "disk         enough"]
    assert "1 to mend before a class" in said


@pytest.mark.slow
def test_nothing_stays_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert machine._lab().well
    assert os.listdir(tmp_path) == []
