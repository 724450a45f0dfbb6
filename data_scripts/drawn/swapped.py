"""Pictures with masks, each object on the background of a picture of another class: a test set from any data set."""

import numpy as np
import torch
from scipy import ndimage


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
