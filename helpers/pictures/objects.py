"""Where the object of a picture is, from its mask or its box."""

import numpy as np
import torch
from PIL import Image

from .images import open_image, upright_size
from .photos import Photos


def object_masks(photos: Photos, size: int) -> torch.Tensor | None:
    """`(N, size, size)` bool: the pixels of every region but `background` (without names: of every id but 0).

    None where the data set has no masks, nothing where a picture has none. Pictures are taken as squashed to `size`,
    and so are the masks.
    """
    if "mask" not in photos.table:
        return None
    ground = [i for i, name in photos.regions.items() if name == "background"] or [0]
    masks = torch.zeros(len(photos), size, size, dtype=torch.bool)
    for row in np.flatnonzero(photos.table["mask"] != "").tolist():
        mask = (~np.isin(photos.masks([row])[0], ground)).astype(np.uint8)
        masks[row] = torch.from_numpy(np.array(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST)))
    return masks


def given_boxes(photos: Photos, column: str = "box") -> torch.Tensor | None:
    """`(N, 4)` the boxes of a column in shares of each picture's sides, NaN where it is empty. None without it."""
    if column not in photos.table:
        return None
    boxes = torch.full((len(photos), 4), torch.nan)
    for row, (file, box) in enumerate(zip(photos.table["image"], photos.table[column], strict=True)):
        if isinstance(box, str) and box:
            sides = torch.tensor(upright_size(open_image(photos.root / file)))
            boxes[row] = torch.tensor([float(v) for v in box.split()]) / sides.repeat(2)
    return boxes
