"""What the metrics of notebook 05 cost, beside the authors' classes. Its heatmaps: debiasing.py.

Intensities and RRF, ADR, DIF and RDDT of maps of 224 px against vanilla's, in batches, on noise. Making it is not
counted. Beside them the authors' classes, fed as their XAIMetricsCalculator does (without what RRF draws), on fewer
maps; means must agree. Medians count. Aims: 10,000 maps under 2 s; the peak of memory over the start of a tenth of the
maps / that of all at least 0.9, each in a process of its own.

Without detoxai (tests/detoxai_there.py) ours are measured alone.
"""

import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from debiasing import authors, nb
from turns import Row, alone, asked, each, keep, seconds_of, timed

MAPS, ROI = 10_000, (50, 185, 123, 31)  # the paper's necktie (49, 180, 120, 30) of 218 px, at 224


def noise(n, batch):
    """() -> pairs of relevance maps (b, 224, 224), of a network and of vanilla, other ones each time; n in all."""
    a, b = torch.randn(2, min(batch, n), 224, 224, generator=torch.Generator().manual_seed(0))

    def made():
        for first in range(0, n, batch):
            size = min(batch, n - first)
            shift = first // batch * 37 % 224
            yield a[:size].roll(shift, 2), (b + 0.3 * a)[:size].roll(shift, 1)

    return made


class Clock:
    """Seconds by part."""

    def __init__(self):
        self.parts = {}

    def __call__(self, part, function, *arguments):
        seconds, found = seconds_of(function, *arguments)
        self.parts[part] = self.parts.get(part, 0.0) + seconds
        return found


def ours(made, roi=ROI):
    # lists of numbers: small tensors that stay among large ones that go keep the allocator from using the room again
    clock, found = Clock(), {"RRF": [], "ADR": [], "DIF": []}
    for r, r_vanilla in made():
        d, _ = clock("intensity", nb.intensity, r)
        v, _ = clock("vanilla's intensity", nb.intensity, r_vanilla)
        found["RRF"] += clock("RRF", nb.rrf, d, roi).tolist()
        found["ADR"] += clock("ADR", nb.adr, v, d, roi).tolist()
        found["DIF"] += clock("DIF", nb.dif, v, d, roi).tolist()
    clock("RDDT", nb.rddt, np.array(found["ADR"]))
    return clock.parts, {name: np.mean(values) for name, values in found.items()}


def published_intensity(xai, r):
    """As at the end of LRPHandler.calculate, and then in calculate_metrics."""
    r = r.numpy()
    a = np.abs(r).max((1, 2), keepdims=True)
    p = torch.Tensor((r + a) / 2 / a)
    return xai.XAIMetricsCalculator._symmetrize(None, p.to(dtype=float).numpy(), 0.5)


def theirs(xai, made):
    """As in calculate_metrics: rectangles have rows first, and most metrics ask first whether all maps are the same."""
    clock, metrics = Clock(), [xai.RRF(), xai.ADR(), xai.DIF(), xai.RDDT()]
    x, y, w, h = ROI
    where = (y, x), (h, w)
    for r, r_vanilla in made():
        d = clock("intensity", published_intensity, xai, r)
        v = clock("vanilla's intensity", published_intensity, xai, r_vanilla)
        for metric in metrics:
            if metric.name == "RRF":
                clock("RRF", metric.aggregate, d, *where)
            else:
                clock("allclose", np.allclose, d, v)
                clock(metric.name, metric.aggregate, d, *where, v)
    found = {metric.name: clock(metric.name, metric.reduce)["mean"] for metric in metrics}
    return clock.parts, {name: found[name] for name in ("RRF", "ADR", "DIF")}


def measured(n, batch, rounds, few, detoxai):
    """Rows of seconds for 10,000 maps."""
    made, runs = noise(n, batch), []
    making = seconds_of(lambda: sum(1 for _ in made()))[0]

    def run():
        runs.append(ours(made)[0])
        return sum(runs[-1].values())

    totals = each(timed({"ours": run}, rounds, "metrics", own=["ours"])["ours"], n, MAPS)
    what = f"RRF, ADR, DIF and RDDT of {MAPS:,} maps of 224 px"
    print(f"{n} maps in batches of {batch}; making them, {making:.1f} s, is not in it: {listed(runs)} s")
    rows = [Row(what, totals, "limit set: 2 s", [2.0], "s", 1)]
    if detoxai:
        some = noise(few, batch)
        parts, given = theirs(detoxai.xai, some)
        same = ours(some)[1]
        print(f"detoxai, {few} maps: {listed([parts])} s")
        print("  means apart: " + ", ".join(f"{name} {abs(given[name] - same[name]):.0e}" for name in same))
        rows += [Row(what, totals, "detoxai", each([sum(parts.values())], few, MAPS), "s")]
    return rows


def listed(runs):
    return ", ".join(f"{part} {statistics.median(parts[part] for parts in runs):.2f}" for part in runs[0])


def measured_alone(n, batch):
    ours(noise(n, batch))


def memory(sizes, batch):
    print(f"memory over the start: a batch of {batch} pairs is {2 * batch * 224**2 * 4 / 2**20:.0f} MB")
    few, many = (one.peak - one.start for one in (alone(measured_alone, n, batch) for n in sizes))
    return [Row(f"Memory over the start, metrics of {sizes[1]:,} maps", [many], f"{sizes[0]:,} maps", [few], "MB", 0.9)]


def main():
    options = asked(__doc__, maps=(5_000, 10_000), batch=(25, 25), their_maps=(200, 1_000), rounds=(2, 2))
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(options.maps, options.batch, options.rounds, options.their_maps, authors(Path(folder)))
    rows += memory((options.maps // 10, options.maps), options.batch)
    keep("debiasing_metrics", rows, options.full)


if __name__ == "__main__":
    main()
