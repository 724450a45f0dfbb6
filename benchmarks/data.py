"""A data set of CelebA's size: how long it takes to prepare, to open and to read, beside torchvision's CelebA class.

200,000 pictures of 178 x 218 pixels in CelebA's own layout (hard links to 200 files of noise shaped like photos, with
drawn attributes). Measured, each in a process of its own, so that its peak of memory is its own:

prepare   every picture decoded, index.csv written; for a tenth of the pictures, too, to see what memory does
open      pictures.load of the prepared set, beside CelebA(root)
read      batches of 64 pictures squashed to 112 pixels as uint8, beside a DataLoader over CelebA with Resize and
          PILToTensor, without and with workers

The checks of the lists' md5, ours and torchvision's, are skipped: these are not CelebA's. Aims: prepared in minutes;
no pictures held in memory, only the table of 40 attributes a picture; reading at least as fast as the DataLoader
without workers. On a busy machine the numbers say little.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image, ImageFilter

from data_scripts.getting import prepare

FILES, SIZE, SIDE, BATCH = 200, (178, 218), 112, 64


def upstream(folder: Path, n: int) -> Path:
    """CelebA's layout with n pictures."""
    rng, images = np.random.default_rng(0), folder / "img_align_celeba"
    images.mkdir(parents=True)
    for i in range(min(n, FILES)):
        noise = Image.fromarray(rng.integers(0, 256, (28, 23, 3), dtype=np.uint8)).resize(SIZE, Image.BICUBIC)
        noise.filter(ImageFilter.GaussianBlur(2)).save(folder / f"{i}.jpg", quality=90)
    for i in range(n):
        os.link(folder / f"{i % FILES}.jpg", images / f"{i + 1:06d}.jpg")
    values, names = rng.choice([-1, 1], (n, 40)), [f"Attribute_{k}" for k in range(40)]
    rows = [f"{i + 1:06d}.jpg " + " ".join(f"{v:2d}" for v in row) for i, row in enumerate(values)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(n), " ".join(names), *rows]) + "\n")
    parts = [f"{i + 1:06d}.jpg {0 if i < 0.8 * n else 1 if i < 0.9 * n else 2}" for i in range(n)]
    (folder / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    (folder / "identity_CelebA.txt").write_text("\n".join(f"{i + 1:06d}.jpg {i % 10177}" for i in range(n)) + "\n")
    (folder / "list_bbox_celeba.txt").write_text(  # torchvision wants these two, whatever is asked of it
        "\n".join([str(n), "image_id x_1 y_1 width height", *(f"{i + 1:06d}.jpg 9 9 99 99" for i in range(n))]) + "\n"
    )
    (folder / "list_landmarks_align_celeba.txt").write_text(
        "\n".join([str(n), "lefteye_x lefteye_y", *(f"{i + 1:06d}.jpg 69 109" for i in range(n))]) + "\n"
    )
    return folder


def alone(function, *arguments):
    """In a process of its own: the seconds of a call, its peak of memory in MiB over that of the start, its answer."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, arguments).result()


def _measured(function, arguments):
    import torch  # noqa: F401  both sides need it

    before, start = _peak(), time.perf_counter()
    found = function(*arguments)
    return time.perf_counter() - start, _peak() - before, found


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepared(root, folder):
    with mock.patch("data_scripts.getting.sources.verify"):
        prepare.prepare("celeba", root, folder)


def opened(root):
    from helpers import pictures

    os.environ["COURSE_DATA"] = str(root)
    return pictures.load("celeba")


def opened_by_torchvision(parent, transform=None):
    from torchvision.datasets import CelebA

    with mock.patch.object(CelebA, "_check_integrity", return_value=True):
        return CelebA(parent, "all", transform=transform)


def count_open(root):
    return len(opened(root))


def count_open_by_torchvision(parent):
    return len(opened_by_torchvision(parent))


def read(root, n):
    photos = opened(root)
    start = time.perf_counter()
    for first in range(0, n, BATCH):
        photos.images(range(first, min(first + BATCH, n)), SIDE, "squash")
    return n / (time.perf_counter() - start)


def read_by_torchvision(parent, n, workers):
    from torch.utils.data import DataLoader, Subset
    from torchvision.transforms import v2

    shown = v2.Compose([v2.Resize((SIDE, SIDE)), v2.PILToTensor()])
    loader = DataLoader(Subset(opened_by_torchvision(parent, shown), range(n)), BATCH, num_workers=workers)
    start = time.perf_counter()
    for _ in loader:
        pass
    return n / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--read", type=int, default=6_400)
    n, reads = vars(parser.parse_args()).values()
    with tempfile.TemporaryDirectory() as place:
        place, peaks = Path(place), {}
        for count in (n // 10, n):
            folder = upstream(place / str(count) / "celeba", count)
            seconds, peaks[count], _ = alone(prepared, place / f"root{count}", folder)
            print(f"prepare {count:,}: {seconds:.0f} s, {count / seconds:,.0f} images/s, {peaks[count]:.0f} MiB")
        print(f"memory a picture: {(peaks[n] - peaks[n // 10]) / (n - n // 10) * 2**20:,.0f} bytes")
        root, parent = place / f"root{n}", place / str(n)
        ours, theirs = alone(count_open, root), alone(count_open_by_torchvision, parent)
        for name, (seconds, memory, count) in {"ours": ours, "torchvision's": theirs}.items():
            print(f"open {count:,}, {name:13} {seconds:.1f} s, {memory:.0f} MiB")
        rates = {"ours": alone(read, root, reads)[2]}
        for workers in (0, os.cpu_count()):
            rates[f"torchvision's, {workers} workers"] = alone(read_by_torchvision, parent, reads, workers)[2]
        for name, rate in rates.items():
            print(f"read, {name:26} {rate:,.0f} images/s; ours / it {rates['ours'] / rate:.2f}")


if __name__ == "__main__":
    main()
