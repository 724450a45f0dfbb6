"""Command lines, values and small files that are wrong in every way we could think of: a clear line for each."""

import contextlib
import io
import json
import os
import random
import time
import traceback
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from known import few_faces_for_embedded, few_for_embedded
from PIL import Image
from safetensors.torch import save_file

from helpers import networks, parameters, pictures
from helpers.errors import CourseError
from helpers.files import readable
from reports import cli, plans, runs

pytestmark = [pytest.mark.slow, pytest.mark.torture]
TRIES = 300
PLAIN = """
. .. - -- ~ ~nosuchuser ~nosuchuser/a $NOSUCH ${NOSUCH} $ a$b_$c * ? [ {} {x} { } %s % , ,, a,b [] [1 null None nan
inf -inf 1e999 -1 0 1.5 0x10 1_000 true yes = a=b ' /dev/null /dev/zero /dev/stdin/x /proc/self/mem
file:///etc/passwd http://x.invalid/a.pth timm: timm:nosuch torchscript: torchscript:/dev/null exported:nosuch.pt2
python: python:os python:os:nosuch python:nosuch.module:f resnet18 resnet train imagenet scenes
<script>alert(1)</script>
"""
STRANGE = [
    "",
    " ",
    "a\nb",
    "\n",
    "\t",
    "\x1b[31m",
    "\\",
    '"',
    "ü",
    "漢字",
    "\udcff",
    "🙈",
    "１２",
    "x" * 300,
    "x/" * 200,
]
STRANGE += [
    "9" * 400,
    "timm:" + "x" * 300,
    "python:" + "x" * 300 + ":f",
    '["gradcam"]',
    '["a", 1]',
    "; rm -rf x",
    "$(touch owned)",
]
STRANGE += ["`touch owned`", "|touch owned"]
WORDS = [*PLAIN.split(), *STRANGE]


def broken_files(folder):
    """Small files that are not what they say, by name."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    good = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(good, "PNG")
    png = good.getvalue()
    text = b"zTXt" + b"k\0\0" + zlib.compress(b"0" * 70_000_000)
    huge = png[:33] + len(text[4:]).to_bytes(4) + text + zlib.crc32(text).to_bytes(4) + png[33:]
    size = b"IHDR" + (90_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0"
    bomb = png[:8] + (13).to_bytes(4) + size + zlib.crc32(size).to_bytes(4) + png[33:]
    made = {"good.png": png, "cut.png": png[:60], "head.png": png[:8], "empty.png": b"", "text.png": b"hello"}
    made |= {"huge_text.png": huge, "bomb.png": bomb, "noise.png": rng.bytes(500), "zeros.png": bytes(500)}
    made |= {"page.pth": b"<!DOCTYPE html><html>", "empty.pth": b"", "noise.pth": rng.bytes(500)}
    made |= {"lfs.pth": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"}
    made |= {"cut.safetensors": (10**9).to_bytes(8, "little") + b"{}", "head.safetensors": b"\x02" + bytes(7) + b"[]"}
    made |= {
        "pickle.pkl": b"cos\nsystem\n(S'touch owned'\ntR.",
        "twice.yaml": b"seed: 1\nseed: 2",
        "self.yaml": b"a: &a [*a]",
    }
    made |= {"list.yaml": b"- 1", "tab.yaml": b"\ta: 1", "bad.yaml": b"\xff\xfe\x00", "deep.yaml": b"[" * 5000}
    made |= {
        "keys.yaml": b"1: 2",
        "null.yaml": b"null",
        "tag.yaml": b"seed: !!python/name:os.system",
        "set.yaml": b"seed: {a, b}",
    }
    made |= {"one.ipynb": b"{}", "two.ipynb": b'{"cells": 1}', "three.ipynb": b'{"cells": [{"cell_type": "code"}]}'}
    made |= {"four.ipynb": json.dumps({"cells": [_code("x: int = 1  # nothing")]}).encode(), "...ipynb": b"{}"}
    made |= {
        "five.ipynb": json.dumps({"cells": [_code("x = = 1")]}).encode(),
        "six.ipynb": b"[]",
        "seven.ipynb": b"\xff",
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    states = {"ints.pt": {1: 2}, "list.pt": [1, 2], "number.pt": 3, "keys.pt": {0: torch.zeros(2), "a": torch.zeros(1)}}
    states |= {
        "nested.pt": {"state_dict": {"model": {"x": "y"}}},
        "nan.pt": {"fc.weight": torch.full((2, 2), torch.nan)},
    }
    states |= {"empty.pt": {}, "none.pt": None, "strange.pt": {"state_dict": None, "epoch": 1}, "tuple.pt": ({}, {})}
    for name, state in states.items():
        torch.save(state, folder / name)
    save_file({"a": torch.zeros(1)}, folder / "other.safetensors")
    (folder / "loop").symlink_to("loop")
    (folder / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "pipe.fifo")
    return sorted(map(str, folder.iterdir()))


def _code(source):
    return {"cell_type": "code", "source": source, "metadata": {"tags": ["parameters"]}}


def command_line(draw, files):
    """A command line, some of it right."""
    books = [path.stem for path in plans.notebooks()]
    word = lambda: draw.choice([draw.choice(WORDS), draw.choice(files), draw.choice(WORDS) + draw.choice(WORDS)])  # noqa: E731
    book = draw.choice([*books] * 4 + [word()])
    known = parameters.read(plans.notebook(book)) if book in books else []
    names = [p.name for p in known] or ["seed"]
    kind = draw.choice(["run"] * 12 + ["params", "list", "data prepare", "data convert", "doctor", "", "data masks"])
    line = kind.split()
    if kind in ("run", "params"):
        line.append(book)
    if kind == "run":
        for _ in range(draw.randint(1, 3)):
            line += ["-p", f"{draw.choice([*names] * 5 + [word()])}={word()}"]
        line += ["-f", word()] if draw.random() < 0.3 else []
        line += ["--profile", draw.choice([word(), "quick"])] if draw.random() < 0.2 else []
        line += ["--jobs", draw.choice(["0", "-1", "x", "1"])] if draw.random() < 0.1 else []
    line += [word()] * kind.startswith("data")
    line += [f"out/{word()}"] * (kind == "data convert")  # what it is to write
    if kind == "doctor":
        line += [
            "--model",
            draw.choice([word(), "compact_vgg"]),
            "--weights",
            word(),
            "--size",
            draw.choice(["32", word()]),
        ]
    return line + ([word()] if draw.random() < 0.05 else [])


def outside(folder, *but):
    """Everything below that is not below one of these."""
    return {path for path in folder.rglob("*") if not any(path.is_relative_to(one) for one in but)}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in; no run begins, and a few pictures pass for the embedded ones."""
    for name, bias, area in [("scenes", 0.0, 1), ("scenes-bias0.9", 0.9, 1), ("scenes-bias0.9-area0.25", 0.9, 0.25)]:
        few_for_embedded(tmp_path / "data", 40, 64, bias, name, area)
    few_faces_for_embedded(tmp_path / "data", 40, 64)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where libraries keep what they remember
    monkeypatch.delenv("NOSUCH", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plans, "OUT", tmp_path / "out")
    monkeypatch.setattr(runs, "run", lambda plan, out, force=False: (plan.folder(out), "there already"))
    return tmp_path


def test_no_command_line_ends_in_a_traceback_or_takes_long(place, tally):
    files, draw, wrong, codes = broken_files(place / "files"), random.Random(18), [], []
    before = outside(place, *(place / name for name in ("out", "data", "home")))
    cli.main(["run", "01_focus", "-p", "model=resnet18", "-p", "weights=nosuch"])  # torch is imported: not timed
    for _ in range(TRIES):
        line, said = command_line(draw, files), io.StringIO()
        began = time.monotonic()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                codes.append(cli.main(line))
            except SystemExit as end:  # argparse
                codes.append(end.code)
            except BaseException:
                wrong.append((line, traceback.format_exc(limit=-3)))
        if time.monotonic() - began > 10:
            wrong.append((line, "took long"))
        if codes and codes[-1] in (2, 3) and not said.getvalue().strip():
            wrong.append((line, "said nothing"))
    tally("malformed command lines", tries=TRIES, tracebacks=len(wrong))
    assert not wrong, f"{len(wrong)}; " + "\n".join(f"{readable(str(line))[:300]}\n{why}" for line, why in wrong[:5])
    assert {*codes} <= {0, 2, 3}
    assert codes.count(2) > TRIES / 2
    assert outside(place, *(place / name for name in ("out", "data", "home"))) == before


def test_no_folder_or_checkpoint_ends_in_a_traceback(place, tally):
    """Pictures and weights that only a run reads."""
    files, draw, wrong, tries = [Path(f) for f in broken_files(place / "files")], random.Random(4), [], 150
    folders = place / "folders"
    for attempt in range(tries):
        root = folders / str(attempt)
        for name in draw.sample(
            ["cat", "dog", "train/a", "val/a", "images", "masks", ".hidden", "a$b"], draw.randint(1, 3)
        ):
            (root / name).mkdir(parents=True)
            for file in draw.sample(files, draw.randint(0, 4)):
                link = root / name / draw.choice([file.name, file.name + ".png", "x.jpg"])
                link.unlink(missing_ok=True)
                link.symlink_to(file)
        for table in draw.sample(["index.csv", "labels.csv", "classes.csv", "regions.csv"], draw.randint(0, 2)):
            (root / table).write_bytes(
                draw.choice([b"", b"\xff", b"a,b\n1", b"image,split,label\n../../x.png,val,a\n", b"\x00" * 9])
            )
        on_bad, file = draw.choice(["skip", "raise"]), draw.choice(files)
        for what in (partial(pictures.load, root, on_bad), partial(networks.load, "compact_vgg", str(file), None)):
            began = time.monotonic()
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    what()
            except CourseError:
                pass
            except BaseException:
                wrong.append((root, traceback.format_exc(limit=-3)))
            if time.monotonic() - began > 10:
                wrong.append((root, "took long"))
    tally("malformed folders and checkpoints", tries=2 * tries, tracebacks=len(wrong))
    assert not wrong, f"{len(wrong)}; " + "\n".join(f"{where}\n{why}" for where, why in wrong[:5])
    assert not (place / "owned").exists()
