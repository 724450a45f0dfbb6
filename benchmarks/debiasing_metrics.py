"""What the metrics of notebook 05 cost, beside the authors' classes. Its heatmaps: debiasing.py.

Intensities and RRF, ADR, DIF and RDDT of maps of 224 px against vanilla's, in batches, on noise. Making it is not
counted. Beside them the authors' classes, fed as their XAIMetricsCalculator does (without what RRF draws), on fewer
maps and scaled up; means must agree. Aims: 10,000 maps under 2 s; their peak of memory within 10 % of that of 1,000,
each in a process of its own.

On a busy machine the numbers say little. Without detoxai (tests/detoxai_there.py) ours are measured alone.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from debiasing import authors, machine, nb, seconds_of
from tqdm import tqdm

ROI = (50, 185, 123, 31)  # the paper's necktie (49, 180, 120, 30) of 218 px, at 224


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
        seconds, found = seconds_of(lambda: function(*arguments))
        self.parts[part] = self.parts.get(part, 0.0) + seconds
        return found


def ours(made):
    clock, found = Clock(), {"RRF": [], "ADR": [], "DIF": []}
    for r, r_vanilla in made():
        d, _ = clock("intensity", nb.intensity, r)
        v, _ = clock("vanilla's intensity", nb.intensity, r_vanilla)
        found["RRF"].append(clock("RRF", nb.rrf, d, ROI))
        found["ADR"].append(clock("ADR", nb.adr, v, d, ROI))
        found["DIF"].append(clock("DIF", nb.dif, v, d, ROI))
    found = {name: torch.cat(values) for name, values in found.items()}
    clock("RDDT", nb.rddt, found["ADR"].numpy())
    return clock.parts, {name: values.mean().item() for name, values in found.items()}


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
    made = noise(n, batch)
    making = seconds_of(lambda: sum(1 for _ in made()))[0]
    runs = [ours(made)[0] for _ in tqdm(range(rounds), desc="metrics", leave=False)]
    parts = min(runs, key=lambda parts: sum(parts.values()))
    total = sum(parts.values())
    print(f"\nfour metrics, {n} maps of 224 px in batches of {batch}; making the maps, {making:.1f} s, is not in it")
    print(f"  ours    {total:7.2f} s (aim for 10000: under 2): {listed(parts)}")
    if detoxai:
        some = noise(few, batch)
        parts, given = theirs(detoxai.xai, some)
        same, s = ours(some)[1], sum(parts.values()) * n / few
        print(f"  detoxai {s:7.2f} s, {s / total:.1f} x, from {few}: {listed(parts, n / few)}")
        print("    means apart: " + ", ".join(f"{name} {abs(given[name] - same[name]):.0e}" for name in same))


def listed(parts, times=1.0):
    return ", ".join(f"{part} {s * times:.2f}" for part, s in parts.items())


def megabytes(field):
    """VmRSS, held now, or VmHWM, the most so far, of this process; `getrusage` counts what started it, too. Linux."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(lines[field].split()[0]) / 2**10


def memory_over_start(n, batch):
    made = noise(n, batch)
    start = megabytes("VmRSS")
    ours(made)
    print(megabytes("VmHWM") - start)


def memory(sizes, batch):
    print(f"\nmemory over the start, batches of {batch}, of which a pair is {2 * batch * 224**2 * 4 / 2**20:.0f} MB")
    peaks = []
    for n in sizes:
        command = [sys.executable, "-W", "ignore", __file__, "--memory-of", str(n), "--batch", str(batch)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks.append(float(found))
        print(f"  {n:6} maps {peaks[-1]:6.0f} MB")
    print(f"  most / least: {max(peaks) / min(peaks):.3f} (aim: same within 10 %)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=25, help="maps at a time")
    parser.add_argument("--their-maps", type=int, default=1000, help="maps that detoxai's metrics get, 16 or more")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of our metrics; the fastest counts")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        return memory_over_start(options.memory_of, options.batch)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        measured(options.maps, options.batch, options.rounds, options.their_maps, authors(Path(folder)))
    memory([options.maps // 10, options.maps], options.batch)


if __name__ == "__main__":
    main()
