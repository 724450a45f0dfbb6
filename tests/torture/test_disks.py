"""A full disk, a shared one that is only read, the same one mounted elsewhere, and places that are closed."""

import json
import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest
from PIL import Image
from watched import course, litter

pytestmark = [pytest.mark.slow, pytest.mark.torture]


def seldom(value):
    return pytest.param(value, marks=pytest.mark.nightly)


@contextmanager
def mounted(folder, *options):
    """Something mounted there meanwhile. Skips where that is not allowed, but fails for CI's root."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *map(str, options), str(folder)], capture_output=True, text=True)
    if done.returncode:
        must = os.environ.get("CI") == "true" and os.geteuid() == 0
        (pytest.fail if must else pytest.skip)(f"nothing can be mounted: {done.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def of_size(kilobytes):
    return ("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")


def one_line(said):
    """What the command says of it; no traceback."""
    assert "Traceback" not in said
    return [
        line for line in said.splitlines() if "disk is full" in line or "MiB free" in line or "MiB are free" in line
    ]


@pytest.mark.parametrize("room", [8, seldom(56), 90, seldom(124)], ids=lambda size: f"{size} KiB")
def test_a_full_disk_for_reports_is_told_and_what_was_finished_stays(demo, tmp_path, tally, room):
    """It is full before the notebook begins, while it runs, or when the page is written."""
    with mounted(tmp_path / "out", *of_size(600)) as out:
        (out / "ballast").write_bytes(b"0" * 1024 * (600 - room))
        code, said, _ = course("run", demo, "--out", out)
        left = litter(out)
        tally("full disk", tries=1, litter=len(left), tracebacks="Traceback" in said)
        assert code in (1, 2)
        assert one_line(said), said
        assert left == []
        (out / "ballast").unlink()
        code, said, _ = course("run", demo, "--out", out)
        assert code == 0, said
        assert len([*out.glob("demo/[!.]*/report.html")]) == 1


@pytest.mark.parametrize("room", [seldom(24), seldom(700), 3500], ids=lambda size: f"{size} KiB")
def test_a_full_disk_for_data_and_networks_is_told_and_the_next_run_goes_on(demo, tmp_path, tally, room):
    """It is full while pictures are drawn, or while the network is kept."""
    with mounted(tmp_path / "home", *of_size(20_000)) as home:
        (home / "ballast").write_bytes(b"0" * 1024 * (20_000 - room))
        code, said, _ = course("run", demo, "--out", tmp_path / "out")
        left = litter(home)
        tally("full disk", tries=1, litter=len(left), tracebacks="Traceback" in said)
        assert code == 2, said
        assert len(one_line(said)) == 1, said
        assert str(home) in said
        assert left == []
        (home / "ballast").unlink()
        code, said, _ = course("run", demo, "--out", tmp_path / "out")
        assert code == 0, said


def test_a_shared_place_that_is_only_read_serves_what_is_there(demo, tmp_path, tally):
    assert course("run", demo, "--out", tmp_path / "first")[0] == 0
    with mounted(tmp_path / "seen", "--bind", tmp_path / "home") as seen:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(seen)], check=True)
        code, said, _ = course("run", demo, "--out", tmp_path / "second", COURSE_DATA=str(seen))
        tally("read-only disk", tries=1, tracebacks="Traceback" in said)
        assert code == 0, said
    trained = [
        json.loads(next(tmp_path.glob(f"{name}/demo/*/results.json")).read_text()) for name in ("first", "second")
    ]
    assert trained[0]["metrics"] == trained[1]["metrics"]
    assert trained[0]["run_id"] == trained[1]["run_id"]


def test_the_same_pictures_mounted_elsewhere_are_checked_already(tmp_path, tally, monkeypatch):
    from helpers import pictures

    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "home"))
    there, elsewhere = tmp_path / "photos", tmp_path / "mnt/photos"
    for name in ("cat", "dog"):
        (there / name).mkdir(parents=True)
        Image.new("RGB", (20, 20)).save(there / name / "a.png")
    (there / "cat/b.png").write_bytes(b"no picture")
    first = pictures.load(there, on_bad="skip")
    kept = sorted((tmp_path / "home/checked").rglob("*"))
    with mounted(elsewhere, "--bind", there):
        second = pictures.load(elsewhere, on_bad="skip")
    tally("the same disk elsewhere", tries=1)
    assert sorted((tmp_path / "home/checked").rglob("*")) == kept
    assert len(first) == len(second) == 2
    assert [file for file, _ in second.skipped] == [str(elsewhere / "cat/b.png")]


def test_folders_have_the_modes_that_the_user_wants(demo, tmp_path, tally):
    before = os.umask(0o027)
    try:
        code, said, _ = course("run", demo, "--out", tmp_path / "out")
    finally:
        os.umask(before)
    assert code == 0, said
    folders = [path for path in (tmp_path / "out").rglob("*") if path.is_dir()]
    tally("modes of folders", tries=len(folders))
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o750"}


def test_what_another_run_left_incomplete_is_replaced(demo, tmp_path, tally):
    code, said, _ = course("run", demo, "--out", tmp_path / "out")
    assert code == 0, said
    (folder,) = (tmp_path / "out/demo").iterdir()
    found = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(found | {"status": "incomplete"}))
    (folder / "report.html").unlink()
    assert "1 " in course("doctor", "--clean", "--out", tmp_path / "out")[1].replace("kept", "1 kept")
    assert course("run", demo, "--out", tmp_path / "out")[0] == 0
    assert (folder / "report.html").is_file()
    tally("an incomplete run", tries=1)
    shutil.rmtree(tmp_path / "out")
