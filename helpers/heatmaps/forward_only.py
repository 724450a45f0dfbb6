"""Ways to a heatmap that only ask: change the picture and see what the score does. They join `METHODS`."""

import torch
from torch.nn import functional as F

from ..networks.layers import Output, class_scores, hooked
from ..networks.tokens import as_grid
from .methods import Batch, as_maps, check_resolution, generator, method, no_graph, whole_number


def no_graph_but_layer(outputs: list[Output], layer: str | None) -> int:
    """Beside what a forward without graph takes, the layer's output for every image stays."""
    return no_graph(outputs, layer) + sum(o.bytes for o in outputs if o.name == layer)


@method(no_graph_but_layer, layer=True)
@torch.no_grad()
def scorecam(batch: Batch, *, relu: bool = True, resolution: str = "input", max_units: int = 0) -> torch.Tensor:
    """Score-CAM (Wang et al. 2020, algorithm 1): how the score does where only one unit's map is visible.

    The weights are the softmax, over the layer's K units, of the target's logit for the picture times the unit's map
    (upsampled, smallest value 0, largest 1). A unit that is the same everywhere has no map: its picture is all zeros.
    One forward for each unit that has a map, and one for all that have none. max_units: only for so many, 0 for all;
    the others have no weight. Kept are those whose maps have the largest standard deviation over the places, as in
    Faster Score-CAM: a unit that hardly varies shows no place more than another, and its mask is its noise, stretched
    to 0 to 1.
    """
    check_resolution(resolution)  # now, not after all those forwards
    whole_number("max_units", max_units, least=0)
    A = layer_output(batch)  # (b, K, u, v)
    if 0 < max_units < A.shape[1]:
        spread = A.flatten(2).std(2, correction=0)  # (b, K)
        kept = spread.argsort(dim=1, descending=True, stable=True)[:, :max_units]
        A = A.gather(1, kept[:, :, None, None].expand(-1, -1, *A.shape[2:]))
    varied = A.amax((2, 3)) > A.amin((2, 3))  # (b, K)
    scores = A.new_zeros(A.shape[:2])
    for pairs in varied.nonzero().split(batch.rows):  # image and unit, all images in one row
        image, unit = pairs.T
        scores[image, unit] = _masked_scores(batch, A, image, unit)
    if not varied.all():  # one picture, all zeros, for all units without a map
        nothing = batch.model(torch.zeros_like(batch.images[:1])).expand(len(A), -1)
        scores = torch.where(varied, scores, class_scores(nothing, batch.targets)[:, None])
    w = scores.softmax(1)
    return as_maps((w[:, :, None, None] * A).sum(1), batch, relu, resolution)


def layer_output(batch: Batch) -> torch.Tensor:
    """What the layer gives for the images, (b, K, u, v)."""
    seen: list[torch.Tensor] = []
    at = batch.images.shape[2:], batch.patches
    # a copy: what follows may write into it, as DenseNet's last ReLU does
    with hooked(batch.layer, lambda module, inputs, output: seen.append(as_grid(output, *at).clone())):
        batch.model(batch.images)
    if not seen:
        raise ValueError("layer does not run when the model does; pass layer= with one that does")
    return seen[-1]


def _masked_scores(batch: Batch, A: torch.Tensor, image: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Scores (r,) of r pictures, images[image], each seen through the map A[image, unit]; both index (r,)."""
    maps = A[image, unit][:, None]  # (r, 1, u, v)
    # corners aligned, and 1e-8, as in the `grad-cam` package
    mask = F.interpolate(maps, batch.images.shape[2:], mode="bilinear", align_corners=True)  # (r, 1, H, W)
    low, high = mask.amin((2, 3), keepdim=True), mask.amax((2, 3), keepdim=True)
    mask = (mask - low) / (high - low + 1e-8)
    return _scores(batch, batch.images[image] * mask, batch.targets[image])


def _scores(batch: Batch, pictures: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The targets' scores (r,) for other pictures (r, C, H, W), in the memory format that the images came in."""
    last = batch.images.is_contiguous(memory_format=torch.channels_last) and not batch.images.is_contiguous()
    pictures = pictures.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    return class_scores(batch.model(pictures), targets)


@method(no_graph)
@torch.no_grad()
def lime(
    batch: Batch, *, samples: int = 200, segments: int = 50, width: float = 0.25, ridge: float = 1.0, seed: int = 0
) -> torch.Tensor:
    """LIME (Ribeiro et al. 2016, eq. 1 and 2): each pixel has its superpixel's coefficient in a linear stand-in.

    `samples` copies of the picture keep each superpixel with probability 1/2, the first copy keeps all; the others
    become 0, the data set's mean colour. The target's logit is fitted by weighted ridge regression, z counting the kept
    superpixels: weights exp(-d^2 / 2 width^2), d = 1 - sqrt(share of kept ones), the cosine distance to the picture;
    `ridge` on the squared coefficients, none on the intercept. width and ridge are the authors' code's. They fit
    probabilities and paint hidden superpixels with their own mean colour.
    Superpixels are SLIC's, about `segments` of them, smoothed and compact enough for textures: with scikit-image's own
    settings 64 x 64 pixels of noise become one superpixel, and a photo of grass nine.
    """
    whole_number("samples", samples, least=2)
    whole_number("segments", segments, least=2)
    for name, value in (("width", width), ("ridge", ridge)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} is {value!r}; expected a finite number above 0")
    maps = []
    for i, target in enumerate(batch.targets):
        labels = superpixels(batch.images[i], segments)  # (H, W), 0 to n - 1
        n = int(labels.max()) + 1
        kept = torch.randint(2, (samples, n), generator=generator(batch, i, seed))
        kept[0] = 1
        w = _coefficients(batch, i, target, labels, kept.to(labels.device), width, ridge)
        maps.append(w[labels])
    return torch.stack(maps).to(batch.images.dtype)


def superpixels(image: torch.Tensor, segments: int) -> torch.Tensor:
    """SLIC's labels (H, W), 0 to about `segments` - 1, of one image (C, H, W), which SLIC scales to 0 to 1."""
    from skimage.segmentation import slic  # a third of a second, which only this method should cost

    pixels = image.permute(1, 2, 0).float().cpu().numpy()
    labels = slic(pixels, n_segments=segments, compactness=20, sigma=1, start_label=0, channel_axis=-1)
    return torch.from_numpy(labels).long().to(image.device)


def _coefficients(batch: Batch, i: int, target, labels, kept, width: float, ridge: float) -> torch.Tensor:
    """The stand-in's coefficients (n,) for image i, from the samples `kept` (samples, n), 0 or 1."""
    pictures = (batch.images[i] * some[:, None, labels] for some in kept.to(batch.images.dtype).split(batch.rows))
    scores = torch.cat([_scores(batch, some, target.expand(len(some))) for some in pictures])
    w = torch.exp(-((1 - kept.double().mean(1).sqrt()) ** 2) / (2 * width**2))
    return ridge_regression(kept, scores, w, ridge)


def ridge_regression(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, penalty: float) -> torch.Tensor:
    """The c (n,), float64, with the least sum of w (y - a - x . c)^2 plus `penalty` |c|^2, over c and an intercept a.

    x (samples, n), y and the weights w (samples,). Solved at once, on the device.
    """
    x, y, w = x.double(), y.double(), w.double()
    x, y = x - w @ x / w.sum(), y - w @ y / w.sum()  # what a free intercept takes away
    return torch.linalg.solve(x.T @ (w[:, None] * x) + penalty * torch.eye(x.shape[1]).to(x), x.T @ (w * y))
