"""course pack: a folder for a stick, from which the course is installed without network."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from known import few_for_embedded

from helpers.door import REPO
from helpers.errors import CourseError
from reports import pack, plans, taken, wheels
from reports.cli import main

CELLS = (
    'dataset: str = "scenes"  # data set; pictures\nseed: int = 0  # 0 to 9; draws',
    "from helpers.run import start\nrun = start(globals())\nrun.answer('It is done.')\nassert seed < 5",
)


def course(capsys, *arguments):
    code = main([*map(str, arguments)])
    return code, capsys.readouterr()


def wheel(folder, name, version="1.0", needs=(), tag="py3-none-any"):
    """A package with nothing in it but what it says that it needs."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    about = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as file:
        file.writestr(f"{info}/METADATA", "\n".join(about) + "\n")
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def packages(folder, patch):
    """All packages that pip finds: these, in a folder; the course needs `one` of them."""
    needs = ["two", 'three; sys_platform == "win32"', 'four; extra == "more"', 'five; python_version < "3.12"']
    wheel(folder, "one", needs=needs)
    for name in ("three", "four", "five"):
        wheel(folder, name)
    wheel(folder, "two", needs=["one[more]"])
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": os.devnull}.items():
        patch.setenv(f"PIP_{name}", value)
    patch.setattr(wheels, "requirements", lambda: ["one>=1"])
    return folder


def things(folder, patch):
    """What a teacher has: drawn pictures, a trained network, and a notebook, which is given."""
    patch.setenv("COURSE_DATA", str(folder / "home"))
    few_for_embedded(folder / "home", images=20, size=32)
    for name in ("compact_vgg-1", "resnet18-2"):
        (folder / "home/models" / name).mkdir(parents=True)
        (folder / "home/models" / name / "weights.safetensors").write_text(name)
    cells = [nbformat.v4.new_markdown_cell("# A demo"), *map(nbformat.v4.new_code_cell, CELLS)]
    cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "demo.ipynb")
    (folder / "profiles").mkdir()
    (folder / "profiles/quick.yaml").write_text("demo: {}\n")
    patch.setattr(plans, "PROFILES", folder / "profiles")
    patch.setattr(plans, "OUT", folder / "out")
    return folder / "demo.ipynb"


@pytest.fixture
def market(tmp_path, monkeypatch):
    return packages(tmp_path / "market", monkeypatch)


@pytest.fixture
def stock(tmp_path, monkeypatch):
    return things(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A teacher's folder, and the pack that was made in it."""
    folder = tmp_path_factory.mktemp("teacher")
    with pytest.MonkeyPatch.context() as patch:
        packages(folder / "market", patch)
        assert main(["pack", "--out", str(folder / "pack"), "--notebooks", str(things(folder, patch))]) == 0
    return SimpleNamespace(folder=folder, pack=folder / "pack")


def digest(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_a_pack_holds_the_project_pictures_networks_reports_and_packages(packed):
    there = digest(packed.pack)
    for name in ("README.md", "pyproject.toml", "notebooks/01_focus.ipynb", "helpers/door.py"):
        assert there[f"project/{name}"] == hashlib.sha256((REPO / name).read_bytes()).hexdigest()
    made = ("project/reports/out/", "project/data/", "project/build/", "project/.")  # .git, and .env of somebody
    assert [name for name in there if "__pycache__" in name or name.startswith(made)] == []
    ours = {name.removeprefix("data/scenes/"): one for name, one in there.items() if name.startswith("data/scenes/")}
    assert ours == digest(packed.folder / "home/scenes")
    models = [name for name in there if name.startswith("data/models/")]
    assert models == ["data/models/compact_vgg-1/weights.safetensors"]
    (run,) = (packed.folder / "out/demo").iterdir()
    assert f"reports/demo/{run.name}/report.html" in there
    assert "A demo" in (packed.pack / "reports/index.html").read_text("utf-8")
    (target,) = json.loads((packed.pack / "pack.json").read_text("utf-8"))["targets"]
    assert {f"wheels/{name}" for name in target["wheels"]} == {name for name in there if name.startswith("wheels/")}


@pytest.mark.slow
def test_its_scripts_name_the_python_that_its_packages_are_for(packed):
    for name in ("READ_ME.txt", "install.sh", "install.bat"):
        text = (packed.pack / name).read_bytes().decode()
        assert wheels.here().python in text
        assert "@P" not in text
        assert ("\r\n" in text) == (name != "install.sh")


def cut_off():
    """What runs a command without network but this machine's own; nothing where that is not allowed."""
    cut = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "cut"]
    allowed = shutil.which("unshare") and shutil.which("ip") and not subprocess.run([*cut, "true"]).returncode
    if not allowed and os.environ.get("CI") == "true":
        pytest.fail("the network cannot be cut off here")
    return cut if allowed else []


@pytest.mark.slow
def test_from_a_pack_the_course_is_installed_without_network_and_knows_what_was_run_before(packed, tmp_path):
    """The real packages are those that run this test: only these are not in the pack."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / f"python{wheels.here().python}").symlink_to(sys.executable)
    packages = sysconfig.get_path("purelib")
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": packages, "HOME": str(tmp_path)}
    run = {"env": env, "capture_output": True, "text": True}
    install = ["sh", packed.pack / "install.sh", tmp_path / "class"]
    done = subprocess.run([*cut_off(), *install], **run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "JupyterLab   opens" in done.stdout
    assert f"reports      1 at {tmp_path / 'class/reports/out'}" in done.stdout
    asked = [tmp_path / "class/.venv/bin/python", "-m", "reports.cli", "run", packed.folder / "demo.ipynb"]
    done = subprocess.run([*cut_off(), *asked], cwd=tmp_path / "class", **run)
    assert "demo: there already" in done.stdout, done.stderr  # of the same code, pictures and values
    done = subprocess.run(install, **run)
    assert (done.returncode, "nothing is overwritten" in done.stderr) == (1, True)


def stick(folder, **target):
    """A stick with nothing on it but the script and packages for that target."""
    folder.mkdir()
    shutil.copy(pack.STICK / "install.py", folder)
    ours = {"system": platform.system(), "machine": platform.machine(), "python": wheels.here().python}
    about = ours | {"wheels": []} | target
    (folder / "pack.json").write_text(json.dumps({"targets": [about]}))
    for name in ("data", "reports"):
        (folder / name).mkdir()
    return [sys.executable, folder / "install.py", folder.parent / "class"]


def test_a_machine_that_the_stick_has_no_packages_for_is_told_which_it_has(tmp_path):
    done = subprocess.run(stick(tmp_path / "stick", python="3.99"), capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Python {wheels.here().python}. The stick has packages for:" in done.stderr
    assert "Python 3.99" in done.stderr
    assert not (tmp_path / "class").exists()


def test_an_installation_that_fails_leaves_nothing(tmp_path):
    command = stick(tmp_path / "stick")
    (tmp_path / "stick/project").mkdir()
    (tmp_path / "stick/reports").rmdir()
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "what was made is removed again" in done.stderr) == (1, True)
    assert not (tmp_path / "class").exists()


def test_every_file_of_the_project_goes_along():
    git = subprocess.run(["git", "-C", REPO, "ls-files"], capture_output=True, text=True)
    if git.returncode:
        pytest.skip("a copy without its history: git cannot say what its files are")
    files = {name for name in git.stdout.splitlines() if not name.startswith(".")}
    assert files - {place.removeprefix("project/") for place in pack._project().values()} == set()


def test_packages_are_those_that_the_machine_they_are_for_needs_whatever_this_one_is(market, tmp_path):
    (tmp_path / "wheels").mkdir()
    windows = wheels.Target("Windows", "AMD64", "3.12")
    got = wheels.fetch(windows, tmp_path / "wheels")
    assert [name.partition("-")[0] for name in got] == [
        "four",
        "one",
        "three",
        "two",
    ]  # four: an extra that two asks for
    macos = wheels.Target("Darwin", "arm64", "3.11")
    assert [name.partition("-")[0] for name in wheels.fetch(macos, tmp_path / "wheels")] == [
        "five",
        "four",
        "one",
        "two",
    ]
    assert len(list((tmp_path / "wheels").iterdir())) == 5
    assert sorted(tmp_path.glob(".wheels*")) == []


def test_of_several_platforms_the_one_that_is_meant_is_taken(market, tmp_path, monkeypatch):
    (market / "two-1.0-py3-none-any.whl").unlink()
    monkeypatch.setattr(wheels, "requirements", lambda: ["two"])
    for tag in ("win_amd64", "manylinux_2_28_x86_64", "macosx_11_0_arm64"):
        wheel(market, "two", tag=f"cp312-cp312-{tag}")
    for system, tag in (("windows", "win_amd64"), ("linux", "manylinux_2_28_x86_64"), ("macos", "macosx_11_0_arm64")):
        (target,) = wheels.targets([system], ["3.12"])
        if target != wheels.here():
            (tmp_path / system).mkdir()
            assert f"two-1.0-cp312-cp312-{tag}.whl" in wheels.fetch(target, tmp_path / system)


def test_a_package_that_is_not_to_be_had_leaves_no_pack(stock, market, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(pack, "_run_missing", lambda *_: None)
    (market / "two-1.0-py3-none-any.whl").unlink()
    assert main(["pack", "--out", str(tmp_path / "pack"), "--notebooks", str(stock)]) == 2
    assert "pip has not got all of them" in capfd.readouterr().err
    assert not (tmp_path / "pack").exists()
    assert sorted(tmp_path.glob(".pack*")) == []


def test_a_pack_is_told_part_by_part_and_refused_where_it_does_not_fit_before_anything_is_got(
    stock, market, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(pack, "_run_missing", lambda *_: None)
    monkeypatch.setattr(wheels, "size", lambda target: 10**18)
    monkeypatch.setattr(wheels, "fetch", lambda *_: pytest.fail("nothing is to be got"))
    code, output = course(capsys, "pack", "--out", tmp_path / "pack", "--notebooks", stock)
    assert (code, "are needed" in output.err) == (2, True)
    for part in ("packages for", "project", "data", "networks", "reports", "together"):
        assert f"MB  {part}" in output.out, part
    assert "run first, some minutes each, for their reports and networks: demo" in output.out
    assert not (tmp_path / "pack").exists()


def test_what_appears_at_its_place_meanwhile_stays(tmp_path):
    def both_at_once():
        with taken.new(tmp_path / "pack") as draft:
            (draft / "a").write_text("ours")
            (tmp_path / "pack").mkdir()
            (tmp_path / "pack/theirs").write_text("kept")

    with pytest.raises(CourseError, match="nothing is overwritten"):
        both_at_once()
    assert digest(tmp_path) == {"pack/theirs": hashlib.sha256(b"kept").hexdigest()}


def test_a_data_set_of_others_goes_along_with_the_pictures_it_names_and_no_archives(tmp_path, data_home):
    source = data_home / "sources/pets"
    (source / "images").mkdir(parents=True)
    for name in ("cat.jpg", "unnamed.jpg"):
        (source / "images" / name).write_text(name)
    (source / "images.tar.gz").write_text("all of them again")
    (data_home / "pets").mkdir()
    (data_home / "pets/source").symlink_to(source, target_is_directory=True)
    (data_home / "pets/index.csv").write_text("image,split,label\nsource/images/cat.jpg,train,cat\n")
    places = [place for _, place in pack._set(data_home / "pets")]
    assert sorted(places) == ["index.csv", "source/images/cat.jpg"]


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (["--data", "pet"], 2, "Did you mean `pets`"),
        (["--data", "pets"], 3, "course data prepare pets"),
        (["--notebooks", "9"], 2, "no notebook `9`"),
        (["--systems", "window"], 2, "Did you mean `windows`"),
        (["--python", "2.7"], 2, "expected versions from 3.11 on"),
        (["--out", str(REPO)], 2, "nothing is overwritten"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(asked, code, said, tmp_path, data_home, capsys, monkeypatch):
    monkeypatch.setattr(plans, "notebooks", list)
    found, output = course(capsys, "pack", "--out", tmp_path / "pack", *asked)
    assert (found, said in output.err) == (code, True)
    assert not (tmp_path / "pack").exists()
