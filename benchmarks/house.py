"""The house in numbers: lines and files of each package, arrows that run up, and of each notebook the code lines, those
before the first equation, the longest stretch without one, and the shares of knobs, claims and drawing.

Lines of a package are all lines of its files; lines of a notebook those that are neither empty nor a comment.
tests/test_house.py holds the limits.
"""

import ast
import json
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
PACKAGES = ("helpers", "data_scripts", "reports")  # from the ground up: none imports one that comes later


def files(package: str) -> list[Path]:
    """The modules of a package."""
    return sorted(path for path in (REPO / package).rglob("*.py") if "out" not in path.parts)


def length(path: Path) -> int:
    """All lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def imported(source: str) -> set[str]:
    """The packages of ours that a module imports by their names, also inside functions and by `import_module`."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names |= {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
    return {name.split(".")[0] for name in names} & set(PACKAGES)


def upward() -> list[str]:
    """The imports that run the wrong way: `helpers/run.py -> reports`."""
    return [
        f"{path.relative_to(REPO)} -> {other}"
        for rank, package in enumerate(PACKAGES)
        for path in files(package)
        for other in sorted(imported(path.read_text(encoding="utf-8")))
        if PACKAGES.index(other) > rank
    ]


def loops() -> list[str]:
    """A ring of modules that import each other, also inside functions; nothing where there is none."""
    named = {".".join(path.relative_to(REPO).with_suffix("").parts): path for name in PACKAGES for path in files(name)}
    named = {module.removesuffix(".__init__"): path for module, path in named.items()}
    try:
        TopologicalSorter({module: _neighbours(module, path, {*named}) for module, path in named.items()}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def _neighbours(module: str, path: Path, known: set[str]) -> set[str]:
    """The modules of ours that one imports."""
    found: set[str] = set()
    parents = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {one if (one := f"{base}.{alias.name}") in known else base for alias in node.names}
    return (found & known) - {module}


def cells(notebook: Path) -> list[tuple[str, str, dict]]:
    """Kind, source and metadata of each cell."""
    book = json.loads(notebook.read_text(encoding="utf-8"))
    return [(cell["cell_type"], "".join(cell["source"]), cell["metadata"]) for cell in book["cells"]]


def code_lines(source: str) -> int:
    """Lines that are neither empty nor a comment."""
    return sum(1 for line in source.splitlines() if line.strip() and not line.strip().startswith("#"))


def role(source: str, metadata: dict) -> str:
    """What a code cell is for: `knobs`, `claims`, `drawing`, or `method`, which is all else."""
    if {"parameters", "parameters-above"} & set(metadata.get("tags", ())):
        return "knobs"
    if re.search(r"run\.(claim|control|claims|metric|answer)\(", source):
        return "claims"
    return "drawing" if re.search(r"plt\.|run\.figure|axis\.|axes|sns\.", source) else "method"


def counted(notebook: Path) -> dict[str, Any]:
    """The figures of one notebook."""
    said: dict[str, Any] = dict.fromkeys(("code", "longest", "knobs", "claims", "drawing", "method"), 0)
    said["first"], since = None, 0
    for kind, source, metadata in cells(notebook):
        if kind == "markdown" and "$$" in source:
            said["first"] = said["code"] if said["first"] is None else said["first"]
            since = 0
        if kind == "code" and "your-turn" not in metadata.get("tags", ()):  # exercises are no part of a run
            n = code_lines(source)
            said["code"], since = said["code"] + n, since + n
            said["longest"] = max(said["longest"], since)
            said[role(source, metadata)] += n
    return said


def main() -> None:
    for package in PACKAGES:
        sizes = [length(path) for path in files(package)]
        print(f"{package:14} {len(sizes):3} files {sum(sizes):6} lines, the longest {max(sizes)}")
    print("imports that run up:", ", ".join(upward()) or "none")
    columns = ("code", "first", "longest", "knobs", "claims", "drawing", "method")
    print(f"\n{'notebook':22}", *(f"{name:>8}" for name in columns))
    for path in sorted((REPO / "notebooks").glob("[0-9]*.ipynb")):
        found = counted(path)
        print(f"{path.stem:22}", *(f"{found[name]!s:>8}" for name in columns))


if __name__ == "__main__":
    main()
