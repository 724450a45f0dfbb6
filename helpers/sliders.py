"""Figures that move: under sliders and buttons in JupyterLab, as a few still ones in a report.

helpers/figures.py hands them on.
"""

import base64
import html
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import HTML, display

from .charts import WIDE
from .lettering import wrapped

try:
    import ipywidgets
except ImportError:
    ipywidgets = None

STILL = "Some positions of what buttons and sliders move in JupyterLab"  # the caption of the frames


def sliders(
    run: Any, draw: Callable, knobs: Mapping[str, Sequence], name: str, *,
    frames: Sequence[tuple] = (), size: tuple[float, float] = (4.0, 4.0), alt: str, caption: str = STILL,
) -> None:  # fmt: skip
    """`draw(figure, **values)` for a value of each knob: moved in JupyterLab, some `frames` of it in a report.

    knobs    name -> its values: a slider over numbers, buttons for words
    frames   values for all knobs at once, the first of which the knobs begin with; by default each value of one knob
    size     of one frame, in inches

    draw gives a sentence with the values and the numbers, which stands beside the picture and describes it. What takes
    longer than a hand waits for, a fifth of a second, belongs before it. In JupyterLab the frames are in a fold below,
    too: a saved notebook has no sliders while its kernel is off. Without ipywidgets they are all there is.
    A patch with the name of a button as its `gid` can be clicked in place of that.
    """
    frames = frames or [(value,) for value in next(iter(knobs.values()))]
    settings = [dict(zip(knobs, values, strict=True)) for values in frames]
    live = ipywidgets is not None and run.folder is None
    if live:
        display(_moved(draw, knobs, settings[0], size))
    columns = max(1, round(WIDE / size[0]))
    rows, wide = math.ceil(len(settings) / columns), WIDE / columns
    figure = plt.figure(figsize=(WIDE, rows * wide * size[1] / size[0]))
    said = []
    for part, values in zip(figure.subfigures(rows, columns, squeeze=False).flat, settings, strict=False):
        said.append(draw(part, **values))
        part.suptitle(wrapped(said[-1], wide), fontsize="small")
    alt = f"{alt.removesuffix('.')}. {'; '.join(said)}"
    if live:
        still = _image(figure, alt, bbox_inches="tight")
        display(HTML(f"<details><summary>Some of them, side by side</summary>{still}</details>"))
    else:
        run.figure(figure, name, alt=alt, caption=caption)


def _moved(draw: Callable, knobs: Mapping[str, Sequence], at_first: Mapping[str, Any], size: tuple) -> Any:
    """The knobs, and below them the picture, drawn anew when one is moved. Its axes stay where the first one's were."""
    places: list = []

    def show(**values):
        figure = plt.figure(figsize=size, layout="none" if places else "constrained")  # which takes longer than to draw
        words = draw(figure, **values)
        if not places:
            figure.draw_without_rendering()
            places.extend(axis.get_position(original=True) for axis in figure.axes)
        for axis, place in zip(figure.axes, places, strict=False):
            axis.set_position(place)
        still = _image(figure, words, pil_kwargs={"compress_level": 1})  # quick
        look = "position: relative; display: inline-block"
        below = f'<p aria-live="polite">{html.escape(words)}</p>'
        display(HTML(f'<div style="{look}">{still}{_areas(figure)}</div>{below}'))

    controls = {}
    for knob, values in knobs.items():
        # no menus and no radio buttons: their arrow keys go to the next cell of the notebook
        words = isinstance(values[0], str)
        kind = ipywidgets.ToggleButtons if words else ipywidgets.SelectionSlider
        style = {"description_width": "initial"} | ({"button_width": "auto"} if words else {})
        look = {"description": knob.replace("_", " "), "style": style}
        controls[knob] = kind(
            options=[(f"{v}" if words else f"{v:g}", v) for v in values], value=at_first[knob], **look
        )
    return ipywidgets.VBox([ipywidgets.HBox([*controls.values()], layout={"flex_flow": "row wrap"}),
                            ipywidgets.interactive_output(show, controls)])  # fmt: skip


PRESS = """const named = event.target.textContent, all = this.closest('.widget-vbox').querySelectorAll('button');
[...all].find(button => button.textContent.trim() === named)?.click()"""


def _areas(figure: Any) -> str:
    """What can be clicked: a patch with a `gid` stands for the button of that name."""
    paths, named = [], [patch for axis in figure.axes for patch in axis.patches if patch.get_gid()]
    for patch in sorted(named, key=lambda patch: patch.get_zorder()):
        outline = (patch.get_transform() + figure.transFigure.inverted()).transform_path(patch.get_path())
        rings = ("L".join(f"{x:.4f} {1 - y:.4f}" for x, y in ring) for ring in outline.to_polygons())
        name = html.escape(patch.get_gid())
        paths.append(f'<path d="{"".join(f"M{ring}Z" for ring in rings)}"><title>{name}</title></path>')
    look = "position: absolute; inset: 0; width: 100%; height: 100%; fill: transparent; cursor: pointer"
    drawn = f'<svg viewBox="0 0 1 1" preserveAspectRatio="none" style="{look}" aria-hidden="true">'
    return f'{drawn}<g onclick="{html.escape(PRESS)}">{"".join(paths)}</g></svg>' if paths else ""


def _image(figure: Any, alt: str, **how: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", **how)
    plt.close(figure)
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
