"""The doors of a public repository: Binder, Colab, a container, workflows; and the one place that names its address."""

import json
import os
import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from helpers.door import REPO
from reports import __main__ as tasks
from reports.cli import commands

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
README = (REPO / "README.md").read_text("utf-8")
WORKFLOWS = sorted((REPO / ".github/workflows").glob("*.yml"))


def steps(path):
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_binder_takes_torch_from_the_same_bounds_as_the_project():
    known = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
    asked = yaml.safe_load((REPO / ".binder/environment.yml").read_text("utf-8"))["dependencies"]
    for name, ours in (("pytorch-cpu", "torch"), ("torchvision", "torchvision")):
        assert f"{name}{known[ours].specifier}" in asked


def test_binder_installs_the_course_and_draws_its_pictures():
    file = REPO / ".binder/postBuild"
    assert os.access(file, os.X_OK)
    assert subprocess.run(["bash", "-n", file]).returncode == 0
    lines = file.read_text("utf-8").splitlines()
    assert "pip install --no-cache-dir -e ." in lines
    (command,) = [line.split()[1:] for line in lines if line.startswith("course ")]
    assert commands._parser().parse_args(command).act


def pythons():
    yield ".binder", re.search(r"python=(\S+)", (REPO / ".binder/environment.yml").read_text("utf-8"))[1]
    yield (
        ".devcontainer",
        json.loads((REPO / ".devcontainer/devcontainer.json").read_text("utf-8"))["image"].split(":")[1],
    )
    for path in WORKFLOWS:
        for step in steps(path):
            if "setup-python" in step.get("uses", ""):
                yield path.name, step["with"]["python-version"]


@pytest.mark.parametrize(("where", "version"), [*pythons()])
def test_each_door_has_a_python_that_the_course_runs_on(where, version):
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{version}.0")


def test_the_container_is_set_up_by_a_task_that_there_is():
    about = json.loads((REPO / ".devcontainer/devcontainer.json").read_text("utf-8"))
    assert about["postCreateCommand"].removeprefix("python -m reports ") in tasks.TASKS


def test_one_workflow_runs_the_tests_and_one_publishes_the_reports():
    said = {
        path.stem: " ".join(step.get("run", "") + step.get("uses", "") for step in steps(path)) for path in WORKFLOWS
    }
    assert "make test" in said["tests"]
    assert "make reports" in said["site"]
    (upload,) = [step for step in steps(REPO / ".github/workflows/site.yml") if "upload-pages" in step.get("uses", "")]
    assert upload["with"]["path"] == "reports/out"


def test_a_public_machine_is_not_asked_for_photos_that_may_not_be_handed_on():
    """CI=true, as such a machine has it by itself, makes failures of skips: see conftest.py."""
    (step,) = [step for step in steps(REPO / ".github/workflows/tests.yml") if "make test" in step.get("run", "")]
    assert re.match(r"CI=(?!true\b)\w+ make test$", step["run"])


def test_the_copies_for_colab_are_made_by_a_command_that_there_is():
    (step,) = [step for step in steps(REPO / ".github/workflows/site.yml") if "--colab" in step.get("run", "")]
    (words,) = [line.split()[1:] for line in step["run"].splitlines() if "course" in line]
    assert commands._parser().parse_args(words).colab
    branch = step["run"].split()[-1]
    assert f"/blob/{branch}/" in README


def test_the_address_is_named_in_one_place_and_is_the_same_in_all_links():
    used = set(re.findall(r"\]\[(\w+)\]", README))
    body, mark, links = README.partition("<!-- The one place that names the repository's public address")
    assert mark
    defined = dict(re.findall(r"^\[(\w+)\]: (\S+)$", links, re.M))
    assert used == {*defined}
    owner, name = re.search(r"/gh/([^/]+)/([^/]+)/", defined["binder"]).groups()
    assert f"/github/{owner}/{name}/" in defined["colab"]
    assert defined["site"].lower().startswith(f"https://{owner}.github.io/{name}/".lower())
    files = subprocess.run(["git", "-C", REPO, "grep", "-lF", f"{owner}/{name}"], capture_output=True, text=True).stdout
    assert set(files.split()) <= {"README.md"}
