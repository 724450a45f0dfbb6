"""A data set in CelebA's format: how long it takes to prepare, to open and to read, beside torchvision's CelebA class.

10,000 pictures, with --full CelebA's 200,000, of 178 x 218 pixels in CelebA's own layout (hard links to 200 files of
noise shaped like photos, with drawn attributes). Measured, each in a process of its own, so that its peak of memory is
its own:

prepare   every picture decoded, index.csv written; for a tenth of the pictures, too, to see what memory does
open      pictures.load of the prepared set, beside CelebA(root)
read      batches of 64 pictures squashed to 112 pixels as uint8, beside a DataLoader over CelebA with Resize and
          PILToTensor, without and with workers

The checks of the lists' md5, ours and torchvision's, are skipped: these are not CelebA's. Medians count. Aims: prepared
in minutes; no pictures held in memory, only the table of 40 attributes a picture; reading at least as fast as the
DataLoader without workers.
"""

import os
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image, ImageFilter
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import CelebA
from torchvision.transforms import v2
from turns import Row, alone, asked, keep

from data_scripts.getting import prepare
from helpers import pictures

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


def prepared(root, folder):
    with mock.patch("data_scripts.getting.sources.verify"):
        prepare.prepare("celeba", root, folder)


def opened(root):
    os.environ["COURSE_DATA"] = str(root)
    return pictures.load("celeba")


def opened_by_torchvision(parent, transform=None):
    with mock.patch.object(CelebA, "_check_integrity", return_value=True):
        return CelebA(parent, "all", transform=transform)


def count_open(root):
    return len(opened(root))


def count_open_by_torchvision(parent):
    return len(opened_by_torchvision(parent))


def read(root, n):
    """Milliseconds a picture."""
    photos = opened(root)
    start = time.perf_counter()
    for first in range(0, n, BATCH):
        photos.images(range(first, min(first + BATCH, n)), SIDE, "squash")
    return 1000 * (time.perf_counter() - start) / n


def read_by_torchvision(parent, n, workers):
    shown = v2.Compose([v2.Resize((SIDE, SIDE)), v2.PILToTensor()])
    loader = DataLoader(Subset(opened_by_torchvision(parent, shown), range(n)), BATCH, num_workers=workers)
    start = time.perf_counter()
    for _ in loader:
        pass
    return 1000 * (time.perf_counter() - start) / n


def rows(place, n, reads, rounds):
    few, cores, prepares = n // 10, os.cpu_count(), {}
    for count in (few, n):
        folder = upstream(place / str(count) / "celeba", count)
        prepares[count] = alone(prepared, place / f"root{count}", folder)
    peaks = [one.peak - one.start for one in prepares.values()]
    print(f"preparing {n:,} took {prepares[n].seconds:.0f} s, ", end="")
    print(f"and {(peaks[1] - peaks[0]) / (n - few) * 2**20:,.0f} bytes of memory a picture")
    seconds = [[1000 * one.seconds / count] for count, one in prepares.items()]
    found = [Row(f"Preparing {n:,} pictures", seconds[1], f"{few:,} pictures", seconds[0], "ms a picture")]
    root, parent = place / f"root{n}", place / str(n)
    ways = {"open": (count_open, root), "theirs": (count_open_by_torchvision, parent), "read": (read, root, reads)}
    ways |= {f"{w} workers": (read_by_torchvision, parent, reads, w) for w in (0, cores)}
    turns = {way: [] for way in ways}
    for way in [*ways, *reversed(ways)] * rounds:
        turns[way].append(alone(*ways[way]))
    opens, theirs = ([one.seconds for one in turns[way]] for way in ("open", "theirs"))
    found += [Row(f"Opening {n:,} pictures", opens, "torchvision's CelebA", theirs, "s")]
    opens, theirs = ([one.peak - one.start for one in turns[way]] for way in ("open", "theirs"))
    found += [Row(f"Memory of opening {n:,} pictures, over the start", opens, "torchvision's CelebA", theirs, "MB")]
    reads = {way: [one.found for one in of] for way, of in turns.items()}
    for workers, aim in ((0, 1), (cores, None)):
        beside = f"DataLoader over CelebA, {workers} workers"
        found += [Row(f"Reading at {SIDE} px", reads["read"], beside, reads[f"{workers} workers"], "ms a picture", aim)]
    return found


def main():
    options = asked(__doc__, pictures=(10_000, 200_000), read=(1_600, 6_400), rounds=(1, 1))
    with tempfile.TemporaryDirectory() as place:
        found = rows(Path(place), options.pictures, options.read, options.rounds)
    keep("large_set", found, options.full)


if __name__ == "__main__":
    main()
