"""Where the object of a picture is, from its mask or its box; and the same object on the background of another."""

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from .images import ORIENTATION, open_image
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
            image = open_image(photos.root / file)
            turned = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
            sides = torch.tensor(image.size[::-1] if turned else image.size)
            boxes[row] = torch.tensor([float(v) for v in box.split()]) / sides.repeat(2)
    return boxes


def on_other_backgrounds(images: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor, seed: int) -> torch.Tensor:
    """uint8 `(N, 3, H, W)`: each object cut out by its mask and set into the picture of another class.

    What the other picture showed there is painted over with the nearest of its background's pixels. Pictures whose
    object or background is empty stay as they are.
    """
    rng, classes, out = np.random.default_rng(seed), labels.numpy(), images.clone()
    usable = (masks.flatten(1).any(1) & ~masks.flatten(1).all(1)).numpy()
    for row in np.flatnonzero(usable):
        others = np.flatnonzero(usable & (classes != classes[row]))
        if len(others):
            ground = _without_object(images[(other := int(rng.choice(others)))], masks[other])
            out[row] = torch.where(masks[row], images[row], ground)
    return out


def _without_object(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    grown = ndimage.binary_dilation(mask.numpy(), iterations=2)  # the seam has some of the object's colour
    grown = mask.numpy() if grown.all() else grown
    y, x = ndimage.distance_transform_edt(grown, return_distances=False, return_indices=True)
    return image[:, torch.from_numpy(y), torch.from_numpy(x)]
