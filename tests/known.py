"""What several tests are measured by: a network whose Grad-CAM is known, float tolerances, few pictures for many."""

import copy
import json
import linecache
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import torch
from PIL import Image
from torch import nn

from data_scripts.drawn import faces, scenes
from helpers.networks import Classifier, build, head_of
from reports import plans


class Red(nn.Module):
    """Its Grad-CAM for output 1 is relu(red) / pixels; for output 0 it is zero where no red is below the middle.

    It predicts 1 where there is more red than not.
    """

    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.fc = nn.Conv2d(3, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Linear(3, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])
            self.fc.weight.copy_(torch.tensor([[-1.0, 0, 0], [1.0, 0, 0]]))
            self.fc.bias.zero_()

    def forward(self, x):
        return self.fc(self.pool(self.conv(x)).flatten(1))


RED = Classifier("red", Red().eval(), torch.arange(2), "half")

# one rounding of float32 is 6e-8 relative; sums over some thousand terms in another order differ by a few hundred
FLOAT = 1e-4
# Two ways through a network differ by more where one is badly conditioned: by 1.5e-4 with some processors' kernels. In
# float64, of which one rounding is 1e-16, that is 3e-13; a mistake is far larger than this.
DOUBLE = 1e-9


def calibrated(model, size=64):
    """Random weights, but batch norms that saw data: otherwise signals die out with depth."""
    torch.manual_seed(0)
    model.train()(torch.randn(8, 3, size, size))
    return model.eval()


def close(a, b, tolerance=FLOAT):
    """Equal up to `tolerance` of the largest value."""
    return (a - b).abs().max() <= tolerance * b.abs().max()


def doubled(*given):
    """A float64 copy of each network and tensor of floats; others as they are. Heatmaps follow the network's type."""
    floats = (isinstance(one, nn.Module) or one.is_floating_point() for one in given)
    return [copy.deepcopy(one).double() if is_float else one for one, is_float in zip(given, floats, strict=True)]


def few_for_embedded(home, images, size, bias=0.0, name="scenes", area=1.0):
    """Draws a few small scenes under `home` that pass for the embedded ones of this name."""
    _disguised(
        scenes.prepare(home, images, size, bias=bias, name=name, area=area, workers=1), 2000 if area == 1 else 1500
    )


def few_faces_for_embedded(home, images, size):
    """Draws a few small faces under `home` that pass for the embedded ones."""
    _disguised(faces.prepare(home, images=images, size=size, workers=1), 5000)


def _disguised(folder, images):
    said = json.loads((folder / "dataset.json").read_text())
    said["parameters"] |= {"images": images, "size": 128}
    (folder / "dataset.json").write_text(json.dumps(said))


def of_the_dead(name):
    """The name that a draft of `name` had in a process that is gone."""
    code = f"from helpers.files import owned; print(owned({name!r}))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def heard(*arguments, sigint="SIG_DFL"):
    """The command line of a `course` that hears signals.

    A shell starts background jobs with SIGINT ignored, nohup anything with SIGHUP, and children inherit that: so they
    are set, whatever they were here.
    """
    become = (
        f"import os, signal, sys; signal.signal(signal.SIGINT, signal.{sigint}); "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    return [sys.executable, "-c", become, "-m", "reports.cli", *map(str, arguments)]


@contextmanager
def course_started(*arguments, sigint="SIG_DFL", cwd=None):
    """`course` as a process of its own, as text; ended with the block at the latest."""
    process = subprocess.Popen(heard(*arguments, sigint=sigint), stderr=subprocess.PIPE, text=True, cwd=cwd)
    try:
        yield process
    finally:
        process.kill()  # nothing, where it has ended
        process.wait(timeout=60)
        process.stderr.close()


def own_folder(home):
    """Three classes of five pictures, a folder each, that stand for the outputs 5, 9 and 12 of a larger network."""
    for k, name in enumerate(("apple", "pear", "plum")):
        (home / "fruit" / name).mkdir(parents=True)
        for i in range(5):
            Image.effect_noise((64, 64), 20 + 40 * k + i).convert("RGB").save(home / "fruit" / name / f"{i}.png")
    rows = "folder,index,name\napple,5,apple\npear,9,pear\nplum,12,plum\n"
    (home / "fruit" / "classes.csv").write_text(rows, encoding="utf-8")
    return home / "fruit"


def wide_weights(home):
    """The state dict of a compact_vgg of 20 outputs, untrained."""
    torch.manual_seed(0)
    torch.save(build("compact_vgg", 20).state_dict(), home / "wide.pth")
    return home / "wide.pth"


def silent_weights(home, name, outputs, head):
    """The state dict of a network whose Grad-CAM is zero everywhere: its head is "zero", or "against" every class."""
    torch.manual_seed(0)
    state = calibrated(build(name, outputs)).state_dict()
    weight, bias = state[head_of(name)], state[head_of(name).replace("weight", "bias")]
    against = -0.01 * torch.arange(1.0, outputs + 1)[:, None].expand_as(weight)  # of activations that are never below 0
    weight.copy_(against if head == "against" else torch.zeros_like(weight))
    torch.save(state | {head_of(name).replace("weight", "bias"): torch.zeros_like(bias)}, home / f"{head}.pth")
    return str(home / f"{head}.pth")


def step_through(plan):
    """Every code cell in order, as a kernel does, but in this process: a kernel takes seconds to start."""
    cells = {"__name__": "__main__"}
    for k, cell in enumerate(nbformat.read(plan.notebook, 4).cells):
        if cell.cell_type == "code":
            name = f"<cell {k} of {plan.notebook}>"
            linecache.cache[name] = len(cell.source), None, cell.source.splitlines(True), name  # for inspect.getsource
            exec(compile(cell.source, name, "exec"), cells)
        if "parameters" in cell.metadata.get("tags", ()):
            cells |= plan.values


def in_small(name, tmp_path, monkeypatch, images, small):
    """`run(...)`: a notebook, by its parameters `small` and these, on a few scenes in this process; its results."""
    home, folder = tmp_path / "home", tmp_path / "run"
    folder.mkdir()
    for variable, value in {"DATA": home, "RUN_DIR": folder, "NOTEBOOK": plans.notebook(name)}.items():
        monkeypatch.setenv(f"COURSE_{variable}", str(value))
    few_for_embedded(home, images=images, size=64)

    def run(**given):
        step_through(plans.plan(name, given=small | given))
        return json.loads((folder / "results.json").read_text())

    return run


def browsed(chromium, path):
    """A page's title, how many of its pictures are broken, how many pixels it is too wide, and what it asked for."""
    page, asked = chromium.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    title = page.locator("h1").first.inner_text()
    broken = page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.close()
    return title, broken, wide, [url for url in asked if not url.startswith(("file:", "data:"))]
