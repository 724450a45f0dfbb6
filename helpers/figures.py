"""Pictures that several notebooks draw: images in a grid, heatmaps over them, one look for all."""

from collections.abc import Callable, Iterable

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch

sns.set_theme(style="whitegrid", palette="colorblind", context="notebook", rc={"figure.constrained_layout.use": True})


def shown(images: torch.Tensor) -> np.ndarray:
    """uint8 pictures `(N, 3, H, W)` or `(3, H, W)` as matplotlib wants them: channels last."""
    return images.movedim(-3, -1).cpu().numpy()


def grid(rows: int, columns: int, side: float = 2.0, head: float = 0.3):
    """A figure of pictures `side` inches wide, without axes; the figure and its axes `(rows, columns)`."""
    size = (columns * side, rows * (side + head))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def picture(axis, image: torch.Tensor, title: str = "") -> None:
    """One uint8 picture `(3, H, W)`."""
    axis.imshow(shown(image))
    axis.set_title(title, fontsize="small")


def in_words(values, digits: int = 2) -> str:
    """Numbers by name as a sentence says them: `a 0.12, b 0.34`. For the descriptions of pictures."""
    items = values.items() if hasattr(values, "items") else enumerate(values, 1)
    names = ((" ".join(map(str, k)) if isinstance(k, tuple) else k, v) for k, v in items)
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in names)


def overlay(axis, image: torch.Tensor, values: torch.Tensor, title: str = "") -> None:
    """A map `(H, W)` over its uint8 picture in grey: red speaks for the class, blue against, each as strong as opaque.

    Scaled by the map's 99.5th percentile, so that a single hot pixel does not hide the rest.
    """
    values = values.detach().cpu().double().numpy()
    top = max(np.quantile(np.abs(values), 0.995), 1e-12)
    strength = np.clip(values / top, -1, 1)
    axis.imshow(shown(image).mean(-1) * 0.6 + 90, cmap="gray", vmin=0, vmax=255)
    axis.imshow(strength, cmap="RdBu_r", vmin=-1, vmax=1, alpha=np.abs(strength) ** 0.7 * 0.85)
    axis.set_title(title, fontsize="small")


def box(axis, B, colour: str) -> None:
    """The frame of a box (x0, y0, x1, y1), half-open pixels, on a picture that `imshow` drew."""
    x0, y0, x1, y1 = (float(v) for v in B)
    axis.add_patch(plt.Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, ec=colour, lw=2))


def slider(run, draw: Callable, values: Iterable, name: str, *, label: str, alt: str, caption: str = "") -> None:
    """`draw(axis, value)` for each of a few values: under a slider in JupyterLab, side by side in a report."""
    values = list(values)
    if run.folder is None:
        choice = ipywidgets.SelectionSlider(options=values, value=values[len(values) // 2], description=label)
        ipywidgets.interact(lambda value: _alone(draw, value), value=choice)
        return
    figure, axes = grid(1, len(values), side=2.6)
    for axis, value in zip(axes.flat, values, strict=True):
        draw(axis, value)
    run.figure(figure, name, alt=alt, caption=caption)


def _alone(draw: Callable, value) -> None:
    figure, axes = grid(1, 1, side=4.0)
    draw(axes[0, 0], value)
    plt.show()
