"""The notebooks in a real JupyterLab, as a reader has them: cells run, what moves moves, nothing leaves the machine."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
from jupyterlab.commands import get_app_dir
from known import few_faces_for_embedded, few_for_embedded
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from helpers.door import REPO
from reports import __main__ as tasks
from reports import plans

SMALL = {
    "00_start_here": {"tile": 48, "epochs": 1},
    "01_focus": {
        "model": ["compact_vgg"], "mosaics_per_class": [1], "layout_mosaics": 10, "tile": 48, "random_draws": 2,
        "cascade_steps": 2, "curve_model": "none", "epochs": 3, "methods": ["gradcam"],
    },
    "02_facex": {
        "attributes": ["Wearing_Lipstick"], "mitigate": "none", "parser": "none", "correlation": 0.8, "images": 12,
        "size": 64, "train_size": 64, "epochs": 1, "training": "small", "reference": -1,
    },
    "03_ria": {
        "batch": 16, "size": 64, "warm_up": 1, "epochs": 2, "lost_size": 96, "noise_images": 10, "l2": [50.0],
        "linf": [60.0], "rho": [0.9], "small": 1.0, "boxes": ["loose"],
    },
    "04_advise": {
        "model": ["compact_vgg"], "size": [64], "epochs": 1, "pictures": 4, "bandwidths": 4, "noise": [0.1],
        "noise_pictures": 2, "max_units": 8, "lime_samples": 10, "lime_segments": 6, "partitions": 1,
        "cascade_steps": 2, "cascade_pictures": 3,
    },
    "05_debiasing_metrics": {
        "size": 64, "phi": [-0.5, 0.5], "batch": 16, "epochs": 1, "tune_batch": 16, "tune_epochs": 1, "rounds": [1, 1],
        "images": 24, "ig_images": 8, "ig_steps": 4, "saliency": ["lrp"],
    },
    "06_audit": {"size": 64, "epochs": 1, "images": 24, "mosaics": 4, "explained": 6, "random_draws": 1, "top": 6},
}  # fmt: skip
MARKS = {name: pytest.mark.slow if name == "01_focus" else pytest.mark.nightly for name in [*SMALL][1:]}
# every host that the server or a kernel asks for, as Python itself tells it
WATCH = """
import os, sys
def heard(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect"):
        host = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        with open(os.environ["ASKED_FOR"], "a", encoding="utf-8") as file:
            print(host[0] if isinstance(host, tuple) else host, file=file)
sys.addaudithook(heard)
"""
HERE = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "", "None", socket.gethostname()}
RUN = """() => {
  window.ran = '';
  window.jupyterapp.shell.currentWidget.sessionContext.ready
    .then(() => window.jupyterapp.commands.execute('notebook:run-all-cells'))
    .then(() => { window.ran = 'to its end'; }, error => { window.ran = String(error); });
}"""
OPEN = """name => {
  const context = window.jupyterapp?.shell.currentWidget?.context;
  return context?.path === name && context.isReady;
}"""
OUTPUTS = "() => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells.map(cell => cell.outputs || [])"
SCROLL = "at => window.jupyterapp.shell.currentWidget.content.scrollToItem(at, 'start')"
CHANGED = "([area, before]) => (area.querySelector('img')?.src ?? before) !== before"
WIDGETS = "application/vnd.jupyter.widget-view+json"
ERRORS = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
BUTTON, HANDLE = "button.widget-toggle-button", "[role=slider]"


class Lab:
    """A JupyterLab with the project's settings, on a port of its own and with a home of its own."""

    def __init__(self, home: Path):
        self.notebooks, self.asked_for, self.log = home / "notebooks", home / "asked.txt", []
        (home / "watch").mkdir()
        (home / "watch/sitecustomize.py").write_text(WATCH, encoding="utf-8")
        self.notebooks.mkdir()
        tasks.write_silence(home / "settings")
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        own = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
        env = os.environ | {name: str(home / name.lower()) for name in (*own, "IPYTHONDIR")}
        env |= {"COURSE_DATA": str(home / "data"), "ASKED_FOR": str(self.asked_for), "OMP_NUM_THREADS": "1"}
        env |= {"PYTHONPATH": os.pathsep.join([str(home / "watch"), str(REPO)])}
        how = ["--no-browser", "--expose-app-in-browser", "--allow-root", "--ServerApp.token=few"]
        how += [f"--port={port}", "--ServerApp.port_retries=0", f"--LabApp.app_settings_dir={home / 'settings'}"]
        how += ["--MappingKernelManager.cull_idle_timeout=600", "--MappingKernelManager.cull_connected=True"]
        how += ["--ServerApp.shutdown_no_activity_timeout=600"]  # it ends also where nobody is left to end it
        command = [sys.executable, "-m", *tasks.LAB, *how, str(self.notebooks)]
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, encoding="utf-8")
        self.url, ready = f"http://127.0.0.1:{port}", threading.Event()

        def listen():
            for line in self.process.stderr:
                self.log.append(line)
                if f"{self.url}/lab?token" in line:
                    ready.set()

        threading.Thread(target=listen, daemon=True).start()
        if not ready.wait(120):
            self.close()
            raise AssertionError("JupyterLab does not start:\n" + "".join(self.log))

    def close(self):
        """End it, and with it its kernels: asked twice, since Jupyter may wait for ever for a kernel to end."""
        for _ in range(2):
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(30)
        self.process.kill()
        raise AssertionError("JupyterLab does not end:\n" + "".join(self.log[-20:]))

    def opened(self, page, name, book=None):
        """A notebook open in the page, all its cells run: ours of that name, its knobs as in SMALL. Its outputs."""
        ours = book or parameterize_notebook(load_notebook_node(str(plans.notebook(name))), SMALL[name])
        nbformat.write(ours, self.notebooks / f"{name}.ipynb")
        page.goto(f"{self.url}/lab/workspaces/{name}/tree/{name}.ipynb?token=few")
        page.wait_for_function(OPEN, arg=f"{name}.ipynb", timeout=120_000)
        page.evaluate(RUN)
        page.wait_for_function("() => window.ran", timeout=580_000)
        assert page.evaluate("() => window.ran") == "to its end"
        return page.evaluate(OUTPUTS)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    few_for_embedded(home / "data", 240, 64)
    lab = Lab(home)
    yield lab
    lab.close()


def new_page(chromium):
    """An empty page, and the requests it makes."""
    page, asked = chromium.new_context(viewport={"width": 1200, "height": 900}).new_page(), []
    page.set_default_timeout(60_000)
    page.on("request", lambda request: asked.append(request.url))
    return page, asked


@pytest.fixture(scope="module")
def tour(lab, chromium):
    """The page of notebook 00, all its cells run; their outputs; what the page asked for."""
    page, asked = new_page(chromium)
    yield page, lab.opened(page, "00_start_here"), asked
    page.context.close()


def moved(page, area, knob, key):
    """The picture and the sentence beside it, before and after a press of the key on this knob."""
    picture, words = area.locator("img"), area.locator("p[aria-live]")
    before = picture.get_attribute("src"), words.inner_text()
    knob.focus()
    page.keyboard.press(key)
    page.wait_for_function(CHANGED, arg=[area.element_handle(), before[0]])
    return before, (picture.get_attribute("src"), words.inner_text())


def move_all(page, outputs):
    """Presses each knob of each moving figure once; asserts that its picture and its sentence changed."""
    moving = [k for k, some in enumerate(outputs) for output in some if WIDGETS in output.get("data", {})]
    assert moving
    for k in moving:
        page.evaluate(SCROLL, k)
        cell = page.locator(f".jp-Cell[data-windowed-list-index='{k}']")
        area = cell.locator(".jp-OutputArea-output", has=page.locator(HANDLE).or_(page.locator(BUTTON))).first
        area.locator("img").wait_for()
        groups = area.locator(".widget-toggle-buttons").all()
        presses = [(group.locator(f"{BUTTON}:not(.mod-active)").first, "Space") for group in groups]
        presses += [(handle, "ArrowRight") for handle in area.locator(HANDLE).all()]
        for knob, key in presses:
            (_, said), (_, says) = moved(page, area, knob, key)
            assert says != said
        assert area.locator(ERRORS).count() == 0


def failed(outputs):
    return [f"cell {k}: {o['ename']}: {o['evalue']}" for k, some in enumerate(outputs) for o in some if "ename" in o]


@pytest.mark.slow
def test_the_tour_runs_in_jupyterlab_and_every_knob_moves_its_picture_by_keyboard(tour):
    page, outputs, _ = tour
    assert failed(outputs) == []
    move_all(page, outputs)


@pytest.mark.slow
def test_jupyterlab_asks_nothing_and_nothing_leaves_the_machine(lab, tour):
    page, _, asked = tour
    assert page.locator(".jp-toast-message, .Toastify__toast, .jp-Dialog").count() == 0
    assert [url for url in asked if not url.startswith((lab.url, "data:", "blob:"))] == []
    assert [url for url in asked if "/lab/api/news" in url or "/lab/api/update" in url] == []
    assert {*lab.asked_for.read_text("utf-8").split("\n")} - HERE == set()


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, marks in MARKS.items()])
def test_a_notebook_runs_in_jupyterlab_and_every_knob_moves_its_picture_by_keyboard(name, lab, chromium):
    if "rho" in SMALL[name]:
        few_for_embedded(lab.notebooks.parent / "data", 240, 64, 0.9, "scenes-bias0.9")
    if name[:2] in ("02", "05"):
        few_faces_for_embedded(lab.notebooks.parent / "data", 480, 64)
    page, _ = new_page(chromium)
    outputs = lab.opened(page, name)
    assert failed(outputs) == []
    move_all(page, outputs)
    page.context.close()


CLICKED = """
import matplotlib.pyplot as plt
from types import SimpleNamespace
from helpers.sliders import sliders

def draw(figure, half):
    axis = figure.subplots()
    for k, name in enumerate(["left", "right"]):
        axis.add_patch(plt.Rectangle((k / 2, 0), 0.5, 1, gid=name, fill=name == half))
    return f"the {half} half"

sliders(SimpleNamespace(folder=None), draw, {"half": ["left", "right"]}, "halves", alt="Two halves")
"""


@pytest.mark.slow
def test_a_place_in_a_picture_that_is_clicked_presses_the_button_of_its_name(lab, chromium):
    page, _ = new_page(chromium)
    python = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CLICKED)], metadata=python)
    lab.opened(page, "clicked", book)
    page.get_by_text("the left half", exact=True).wait_for()
    page.locator("svg path", has_text="right").click()
    page.get_by_text("the right half", exact=True).wait_for()
    page.context.close()


def test_the_settings_lie_where_jupyterlab_looks_for_them():
    assert Path(get_app_dir()) / "settings" == Path(sys.prefix) / "share/jupyter/lab/settings"
