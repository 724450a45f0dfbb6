"""What many pictures cost beside few: seconds a picture, which must not grow, and memory, which must not either.

100 and 1,000 pictures (ADVISE's protocol 20 and 200), with --full ten and a hundred times (ADVISE five and fifty times)
as many as the fewest, through the Focus (notebook 01), FaceX (02), ADVISE's protocol (04), these three in the shards of
`run.spread` as there, and the metrics of debiasing with maps by LRP (05), each number in a fresh process, by compact
networks at 64 pixels or, for FaceX, a stand-in at 256. Pictures are few and come again and again: what grows is the
rest. Aims: time is linear, the seconds of a picture among fewer / among most at least 0.95; the peak of memory at least
0.9.

Then index.csv of 20,000 and of 200,000 rows, opened: memory over the start. Aim 0.9, known to be missed: a table is
held.
"""

import os
import tempfile
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from large_set import opened, prepared, upstream
from stand_ins import calibrated, noise
from turns import Row, alone, asked, keep, seconds_of

SIDE, FEW, SHARD = 64, 16, 8
INDEXED = (20_000, 200_000)


def timed_after(few, way, n):
    """Seconds of way(n), once way(few) has warmed up what is made once."""
    way(few)
    return seconds_of(way, n)[0]


def classifier_of(name, outputs):
    from helpers import networks

    net = calibrated(name, networks.normalised(noise(SIDE, 8), "half"), outputs)
    return networks.Classifier(name, net, torch.arange(outputs))


def spread():
    """What `run.spread` is in a run without workers."""
    from helpers.shards import Spread

    return Spread({"parameters": {}, "provenance": {}})


def focus(root, n):
    from focus_speed import focus as notebook

    classifier, tiles = classifier_of("compact_vgg", 10), noise(SIDE // 2, 40)
    M = notebook.mosaics(torch.arange(10).repeat_interleave(4), -(-n // 10))
    how = {"method": "gradcam", "classifier": classifier, "M": M, "read": tiles.__getitem__}

    return timed_after(FEW, lambda count: spread()(notebook.focus_at, count, SHARD, **how), n)


def facex(root, n):
    from facex import analysed

    os.environ["COURSE_DATA"] = str(root)
    return analysed(root, n, 4 * SIDE)


def advise(root, n):
    from advise import METHODS, OPTIONS
    from advise import advise as notebook

    classifier, images = classifier_of("compact_vgg", 10), noise(SIDE, FEW)
    layer = notebook.authors_layer(classifier.net, classifier.prepared(images[:1]))[1]
    how = {"classifier": classifier, "layer": layer, "methods": METHODS, "options": OPTIONS}
    how |= {"how": notebook.Advise(), "judge": notebook.Protocol()}

    def way(count):
        return spread()(notebook.protocol_at, count, FEW, I=images[torch.arange(count) % FEW], **how)

    return timed_after(FEW, way, n)


def debiasing(root, n):
    from debiasing_metrics import ours

    from helpers.heatmaps import attribute

    debiased, vanilla = (classifier_of(name, 2).net for name in ("compact_resnet", "compact_vgg"))
    x = classifier_of("compact_vgg", 2).prepared(noise(SIDE, FEW))

    def made(count):
        for rows in torch.arange(count).split(FEW):
            some, c = x[rows % FEW], rows % 2
            yield attribute("epsilon_plus", debiased, some, c), attribute("epsilon_plus", vanilla, some, c)

    return timed_after(FEW, lambda count: ours(partial(made, count), roi=(14, 52, 36, 9)), n)


def analyses(root, sizes, advises):
    """Seconds and memory, a row each."""
    whats = {"Focus": (focus, sizes), "FaceX": (facex, sizes), "ADVISE's protocol": (advise, advises)}
    whats |= {"LRP and the metrics of debiasing": (debiasing, sizes)}
    found = []
    for what, (function, counts) in whats.items():
        runs = {n: alone(function, root, n) for n in counts}
        ms = {n: 1000 * run.found / n for n, run in runs.items()}
        for n, run in runs.items():
            print(f"  {what:32} {n:6,} pictures: {ms[n]:8.2f} ms a picture, peak {run.peak:6.0f} MB")
        few, middle, most = counts[0], counts[-2], counts[-1]
        time = [ms[most]], f"{middle:,} pictures", [ms[middle]], "ms a picture", 0.95
        memory = [runs[most].peak], f"{few:,} pictures", [runs[few].peak], "MB", 0.9
        found += [Row(f"{what}, {most:,} pictures", *time)]
        found += [Row(f"Peak memory of {what}, {most:,} pictures", *memory)]
    return found


def index(root):
    """Opening index.csv of so many rows, each with a name of its own; opening looks for the first file alone."""
    prepared(root / "root", upstream(root / "celeba", 200))
    file, opens = next((root / "root").rglob("index.csv")), []
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    for n in INDEXED:
        rows = pd.concat([table] * (n // len(table)), ignore_index=True)
        rows.loc[1:, "image"] = [f"img_align_celeba/{i:06d}.jpg" for i in range(2, n + 1)]
        rows.to_csv(file, index=False)
        opens += [alone(opened_there, root / "root", n)]
    few, most = (one.peak - one.start for one in opens)
    what = f"Memory of opening index.csv of {INDEXED[1]:,} rows, over the start"
    return [Row(what, [most], f"{INDEXED[0]:,} rows", [few], "MB", 0.9)]


def opened_there(root, n):
    assert len(opened(root)) == n


def main():
    options = asked(__doc__, few=(100, 100), advise_few=(20, 100))
    sizes = [options.few * times for times in ((1, 10, 100) if options.full else (1, 10))]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_DATA"] = folder
        found = analyses(Path(folder), sizes, [options.advise_few, 10 * options.advise_few])
        found += index(Path(folder))
    keep("growth", found, options.full)


if __name__ == "__main__":
    main()
