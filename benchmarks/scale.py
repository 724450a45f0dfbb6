"""One heavy run by one worker and by two, what it costs the notebook's own process, and how long a paper's would take.

Speed: the Focus of mosaics of 448 px (notebooks/01_focus.ipynb, the paper's size) by a network with random weights,
one worker against two with one thread each; medians count. Aim on two idle cores: 1.7 times. Workers are begun before,
and have done a shard each. Memory: what the client grows by from 1,000 to 100,000 rows of a stand-in function that
gives a number a row. Aim: 20 MiB.
Plan: ADVISE's protocol (notebooks/04_advise.ipynb) for 2,048 pictures of ImageNet's size and the paper's four networks,
in shards as `run.spread` makes them, its time estimated from one shard of few pictures (`--full`: of 16) a network.
"""

import gc
import os

import numpy as np
import psutil
import torch
from importnb import Notebook
from tqdm import tqdm
from turns import Row, asked, keep, seconds_of

from helpers import networks, workers
from helpers.pictures import REPO
from helpers.run import Run

MIB = 2**20
PAPER = {"resnet50": 224, "alexnet": 227, "vgg16": 224, "inception_v3": 299}  # the last for Xception, which timm has
PICTURES = 2048
METHODS = ["advise", "gradcam", "gradcampp", "layercam", "lime"]
NATIVE = {"relu": True, "resolution": "native"}
OPTIONS = {name: NATIVE for name in METHODS[1:4]} | {"lime": {"samples": 50, "segments": 25, "seed": 0}}


def loaded(name: str):
    """A notebook's functions."""
    return Notebook.load_file(str(REPO / f"notebooks/{name}.ipynb"), main=False, include_non_defs=False)


def spread(number: int):
    """`run.spread` of a run with so many workers, of one thread each."""
    os.environ["OMP_NUM_THREADS"] = str(max(1, number))  # to be shared among them
    return Run("scale", {"workers": str(number), "device": "cpu"}).spread


def end(number: int) -> None:
    """Workers that wait take memory."""
    client = workers._joined(str(number))
    workers._ended(client, client.cluster)
    workers._joined.cache_clear()


def speed(mosaics: int, size: int, rounds: int) -> dict[int, list[float]]:
    """Seconds of every round by number of workers."""
    focus = loaded("01_focus")
    torch.manual_seed(0)
    classifier = networks.Classifier("resnet18", networks.build("resnet18", 10).eval(), torch.arange(10))
    tiles = torch.randint(0, 256, (40, 3, size, size), dtype=torch.uint8)
    M = focus.mosaics(torch.arange(10).repeat_interleave(4), -(-mosaics // 10))
    M = focus.Mosaics(*(t[:mosaics] for t in M))
    how = {"method": "gradcam", "classifier": classifier, "M": M, "read": tiles.__getitem__}
    seconds, found = {1: [], 2: []}, {}
    for number in (1, 2):
        by = spread(number)
        by(focus.focus_at, 4 * number, 2, **how)  # they import what it needs
        for _ in tqdm(range(rounds), desc=f"{number} workers", leave=False):
            took, found[number] = seconds_of(by, focus.focus_at, mosaics, 8, **how)
            seconds[number].append(took)
        end(number)
    np.testing.assert_array_equal(found[1]["F"], found[2]["F"])  # a map may be empty: NaN by both
    return seconds


def stand_in(rows, weight):
    """A number a row, and memory that is given back."""
    return {"y": (torch.rand(len(rows), 1000) * weight).mean(1)}


def growth() -> dict[int, float]:
    """MiB by which this process has grown after so many rows, each by two workers."""
    by, me, grown = spread(2), psutil.Process(), {}
    by(stand_in, 1000, weight=torch.ones(1000))
    gc.collect()
    before = me.memory_info().rss
    for n in (1000, 10_000, 100_000):
        assert len(by(stand_in, n, weight=torch.ones(1000))["y"]) == n
        gc.collect()
        grown[n] = (me.memory_info().rss - before) / MIB
    end(2)
    return grown


def plan(few: int, names: list[str]) -> dict[str, tuple[int, float]]:
    """Shards, and seconds a picture in one process with one thread, by network; untrained, which takes as long."""
    advise = loaded("04_advise")
    torch.set_num_threads(1)
    found = {}
    for name in tqdm(names, desc="networks"):
        size = PAPER[name]
        net = networks.placed(networks.build(name, 1000), "cpu").eval()
        classifier = networks.Classifier(name, net, torch.arange(1000), "imagenet")
        layer = advise.authors_layer(net, torch.rand(1, 3, size, size))[1]
        images = torch.randint(0, 256, (few, 3, size, size), dtype=torch.uint8)
        how = {"classifier": classifier, "layer": layer, "methods": METHODS, "options": OPTIONS, "partitions": 2}
        how |= {"how": advise.Advise(), "judge": advise.Protocol(), "seed": 0}
        took, _ = seconds_of(advise.protocol_at, [*range(few)], images, **how)
        found[name] = -(-PICTURES // 16), took / few
    return found


def main() -> None:
    options = asked(__doc__, mosaics=(64, 192), rounds=(1, 2))
    full, seconds, grown = options.full, speed(options.mosaics, 224, options.rounds), growth()
    print("client grown, MiB: " + ", ".join(f"{n:,} rows {mib:.1f}" for n, mib in grown.items()))
    what, most = f"Focus of {options.mosaics} mosaics by two workers", max(0.1, grown[100_000])  # it may have shrunk
    rows = [Row(what, seconds[2], "one worker", seconds[1], "s", 1.7)]
    rows += [Row("Client grown by 100,000 rows of two workers", [most], "limit set: 20 MiB", [20.0], "MiB", 1)]
    planned = plan(16 if full else 1, [*PAPER] if full else ["alexnet", "resnet50"])
    for name, (shards, each) in planned.items():
        hours = PICTURES * each / 3600
        said = ", ".join(f"{n} workers {hours / n:.1f} h" for n in (1, 2, 16, 64))
        print(f"{name}: {PICTURES:,} pictures in {shards} shards, {each:.2f} s a picture and thread: {said}")
    keep("scale", rows, full)


if __name__ == "__main__":
    main()
