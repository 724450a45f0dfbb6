"""Installs the course from this stick without network: python install.py [FOLDER]. It ends in `course doctor`.

Needs nothing but Python; what it makes is all in the folder (without one: where-models-look, in your home).
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
MORE = 1.2  # of what unpacked packages take: compiled Python comes to them


def main(arguments):
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    folder = os.path.abspath(os.path.expanduser(arguments[0] if arguments else "~/where-models-look"))
    if os.path.lexists(folder):
        sys.exit(f"{folder} is there already, and nothing is overwritten. Name another: install.py FOLDER")
    wheels = wheels_for_us()
    needed = unpacked(wheels) + sum(size(os.path.join(HERE, name)) for name in ("project", "data", "reports"))
    parent = folder
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    free = shutil.disk_usage(parent).free
    print(f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free", flush=True)
    if free < needed:
        sys.exit("Make room there, or name a folder on another disk: install.py FOLDER")
    try:
        python = installed(folder)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"Not installed ({type(error).__name__}: {error}); what was made is removed again.", file=sys.stderr)
        sys.exit(1)
    print("4 of 4: is all of it there?", flush=True)
    code = subprocess.run([python, "-m", "reports.cli", "doctor"], cwd=folder).returncode
    print(f"\nThe notebooks: {python} -m reports lab   (in {folder})\nThe reports: {folder}/reports/out/index.html")
    sys.exit(code)


def wheels_for_us():
    """The paths of the packages for this machine; says which Python is wanted where there are none."""
    with open(os.path.join(HERE, "pack.json"), encoding="utf-8") as file:
        targets = json.load(file)["targets"]
    ours = platform.system(), platform.machine(), "{}.{}".format(*sys.version_info)
    for one in targets:
        if (one["system"], one["machine"], one["python"]) == ours:
            return [os.path.join(HERE, "wheels", name) for name in one["wheels"]]
    there = "\n".join("  {system} {machine}, Python {python}".format(**one) for one in targets)
    sys.exit("This is {} {}, Python {}. The stick has packages for:\n{}".format(*ours, there))


def installed(folder):
    """Copy, make .venv, install into it; its Python."""
    print("1 of 4: the project, pictures, networks and reports", flush=True)
    shutil.copytree(os.path.join(HERE, "project"), folder)
    for name, place in (("data", "data"), ("reports", "reports/out")):
        shutil.copytree(os.path.join(HERE, name), os.path.join(folder, place))
    print("2 of 4: an environment for Python", flush=True)
    venv = os.path.join(folder, ".venv")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = os.path.join(venv, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
    print("3 of 4: the packages, which takes some minutes", flush=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    pip += ["--find-links", os.path.join(HERE, "wheels")]
    subprocess.run([*pip, "setuptools>=70"], check=True)
    subprocess.run([*pip, "--no-build-isolation", "-e", folder], check=True)
    open(os.path.join(venv, ".base"), "w", encoding="utf-8").close()  # `python -m reports` need not install again
    return python


def unpacked(wheels):
    total = 0
    for file in wheels:
        with zipfile.ZipFile(file) as opened:
            total += sum(one.file_size for one in opened.infolist())
    return int(total * MORE)


def size(folder):
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names)


if __name__ == "__main__":
    main(sys.argv[1:])
