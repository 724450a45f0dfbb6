"""Ten everyday objects as vector drawings: a function gives the parts of one object, back to front, in random detail.

What an object *is* lives in its shapes only: its colours are handed in, so that no class owns one. `rng` is a
`numpy.random.Generator`, `c` a `Palette`, coordinates are those of `shapes`.
"""

import numpy as np

from .shapes import Palette, Part, between, curve, detail, ellipse, merged, mirrored, polygon, rectangle, stroke


def butterfly(rng: np.random.Generator, c: Palette) -> list[Part]:
    w, h, droop = rng.uniform(0.8, 1.0), rng.uniform(0.75, 0.95), rng.uniform(0.6, 0.9)
    upper = curve((0.05, 0), (0.3, -0.6), (0.75 * w, -h), (w, -0.75 * h), (0.9 * w, -0.3), (0.5, 0.08))
    lower = curve((0.05, 0.05), (0.5, 0.02), (0.8 * w, 0.3), (0.62 * w, droop), (0.3, 0.75 * droop))
    spots = [(ellipse(0.68 * w, -0.56 * h, 0.16), c.light), (ellipse(0.47 * w, 0.4 * droop, 0.13), c.body)]
    spots += [(ellipse(0.66 * w, -0.56 * h, 0.07), c.dark)] * rng.integers(2) + [(ellipse(0.45, -0.3, 0.08), c.light)]
    wings = [Part(lower, c.accent), Part(upper, c.body)] + [detail(*spot) for spot in spots]
    feeler = stroke(curve((0.02, -0.4), (0.1, -0.75), (0.3, -0.95), closed=False), 0.045)
    wings += [detail(feeler, c.dark), detail(ellipse(0.3, -0.95, 0.055), c.dark)]
    trunk = [Part(stroke([(0, -0.25), (0, 0.2), (0, 0.62)], (0.2, 0.1)), c.dark), Part(ellipse(0, -0.36, 0.13), c.dark)]
    return [Part(mirrored(p), fill, edge) for p, fill, edge in wings] + wings + trunk


def car(rng: np.random.Generator, c: Palette) -> list[Part]:
    roof, nose, back = rng.uniform(-0.72, -0.5), rng.uniform(0.3, 0.6), rng.uniform(-0.95, -0.55)
    top = polygon((back + 0.12, roof + 0.08), (-0.2, roof), (0.12, roof + 0.04))
    cabin = curve((back - 0.1, 0.02), *top, (nose, 0.02), (0, 0.1))
    hood = polygon((0.4, -0.06), (0.95, 0.06), (1.08, 0.32), (0.9, 0.4))
    body = curve((-1.05, 0.3), (-1.0, 0.02), (-0.5, -0.06), *hood, (-0.95, 0.4))
    glass = polygon((back + 0.16, -0.04), (back + 0.28, roof + 0.16), (0.06, roof + 0.14), (nose - 0.15, -0.04))
    post = stroke([(-0.2, roof + 0.12), (-0.17, -0.04)], 0.09)
    stripe = stroke([(-0.92, 0.2), (0.9, 0.2)], 0.1)
    parts = merged([cabin, body], c.body) + [Part(glass, c.light), detail(post, c.body)]
    parts += [detail(stripe, c.accent)] * rng.integers(2) + [Part(ellipse(0.97, 0.16, 0.08, 0.1), c.light)]
    parts += [detail(stroke([(-0.1, 0.04), (0.02, 0.04)], 0.05), c.dark)]
    size = rng.uniform(0.23, 0.28)
    for x in (-0.58, 0.56):
        parts += [Part(ellipse(x, 0.42, size), c.dark), Part(ellipse(x, 0.42, 0.52 * size), c.light)]
    return parts


def clock(rng: np.random.Generator, c: Palette) -> list[Part]:
    parts = [Part(stroke([(0.45 * s, 0.55), (0.66 * s, 0.95)], (0.2, 0.12)), c.accent) for s in (-1, 1)]
    for s in (-1, 1):  # the two bells of an alarm clock, tilted outwards
        bell, tilt = ellipse(0, 0, 0.33, 0.3, 180, 360), np.radians(36 * s)
        turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
        parts.append(Part(bell @ turn + [0.5 * s, -0.65], c.accent))
    parts += [Part(stroke([(0, -0.7), (0, -0.98)], 0.09), c.dark), Part(stroke([(-0.1, -1), (0.1, -1)], 0.13), c.dark)]
    parts += [Part(ellipse(0, 0, 0.8), c.body), Part(ellipse(0, 0, 0.6), c.light)]
    for hour in range(12):
        d = np.array([np.sin(hour * np.pi / 6), -np.cos(hour * np.pi / 6)])
        parts.append(detail(stroke([d * (0.44 if hour % 3 == 0 else 0.48), d * 0.53], 0.06), c.dark))
    for length, width in ((0.27, 0.11), (0.42, 0.08)):
        a = rng.uniform(0, 2 * np.pi)
        parts.append(detail(stroke([(0, 0), (length * np.sin(a), -length * np.cos(a))], width), c.dark))
    return parts + [detail(ellipse(0, 0, 0.08), c.accent)]


def fish(rng: np.random.Generator, c: Palette) -> list[Part]:
    h, tail = rng.uniform(0.45, 0.65), rng.uniform(0.42, 0.62)
    back = polygon((0.65, -0.7 * h), (0.1, -h), (-0.45, -0.5 * h))
    body = curve((1.0, 0.02), *back, (-0.7, 0), *(back * [1, -1])[::-1])
    fan = curve((-0.5, 0), (-0.8, -0.5 * tail), (-1.15, -tail), (-0.98, 0), (-1.15, tail), (-0.8, 0.5 * tail))
    top = curve((-0.3, -0.5 * h), (-0.3, -h - 0.2), (0.05, -h - 0.24), (0.42, -0.8 * h))
    bottom = mirrored(top * [-0.6, -0.8]) + [-0.08, 0.05]
    parts = [Part(fin, c.accent) for fin in (fan, top, bottom)] + [Part(body, c.body)]
    for x in (0.14, -0.16, -0.44)[: rng.integers(1, 4)]:
        reach = 0.68 * h * np.sqrt(1 - min(abs(x - 0.15), 0.9) ** 2 / 0.75)
        band = curve((x, -reach), (x - 0.09, 0), (x, reach), closed=False)
        parts.append(detail(stroke(band, 0.13), c.accent))
    gill = stroke(curve((0.5, -0.5 * h), (0.4, 0), (0.5, 0.5 * h), closed=False), 0.05)
    mouth = stroke(curve((0.96, 0.1), (0.87, 0.15), (0.8, 0.13), closed=False), 0.05)
    parts += [detail(line, between(c.body, c.dark, 0.6)) for line in (gill, mouth)]
    y = -0.24 * h
    return parts + [Part(ellipse(0.68, y, 0.13), c.light), detail(ellipse(0.71, y, 0.065), c.dark)]


def house(rng: np.random.Generator, c: Palette) -> list[Part]:
    w, top, peak = rng.uniform(0.62, 0.82), rng.uniform(-0.2, 0.0), rng.uniform(-1.0, -0.8)
    x = rng.choice([-0.5, 0.5]) * w
    parts = [Part(rectangle(x - 0.12, -0.9, x + 0.12, -0.25), c.accent), Part(rectangle(-w, top, w, 0.9), c.body)]
    parts += [Part(polygon((-w - 0.22, top + 0.04), (0, peak), (w + 0.22, top + 0.04)), c.accent)]
    if rng.random() < 0.5:
        parts.append(Part(ellipse(0, top - 0.26, 0.13), c.light))
    door = rng.choice([-0.42, 0.0, 0.42]) * w
    parts.append(Part(rectangle(door - 0.17, 0.32, door + 0.17, 0.9), c.dark))
    parts.append(detail(ellipse(door + 0.1, 0.63, 0.035), c.light))
    for x in [0.5 * w, -0.5 * w] if door == 0 else [-door]:
        pane, y = 0.13 if door == 0 else 0.2, 0.4
        parts.append(Part(rectangle(x - pane, y - pane, x + pane, y + pane), c.light))
        cross = (stroke([(x - pane, y), (x + pane, y)], 0.04), stroke([(x, y - pane), (x, y + pane)], 0.04))
        parts += [detail(bar, c.dark) for bar in cross]
    return parts


def mug(rng: np.random.Generator, c: Palette) -> list[Part]:
    w, h, foot = rng.uniform(0.52, 0.66), rng.uniform(0.62, 0.82), rng.uniform(0.75, 1.0)
    right = polygon(
        (w - 0.1, -0.42 * h), (w + 0.28, -0.5 * h), (w + 0.42, 0), (w + 0.22, 0.45 * h), (w - 0.12, 0.55 * h)
    )
    ear = curve(*right, closed=False)
    bottom = ellipse(0, h, w * foot, 0.14, 0, 180)
    side = np.concatenate([polygon((-w, -h), (w, -h)), bottom])
    parts = [Part(stroke(ear, 0.17), c.body), Part(side, c.body)]
    if rng.random() < 0.5:
        low = w * (1 + foot) / 2
        band = [ellipse(0, 0.1, low, 0.12, 180, 0), ellipse(0, 0.4, low * 0.98, 0.12, 0, 180)]
        parts.append(detail(np.concatenate(band), c.accent))
    else:
        heart = curve((0, 0.42), (-0.3, 0.1), (-0.15, -0.1), (0, 0.04), (0.15, -0.1), (0.3, 0.1))
        parts.append(detail(heart, c.accent))
    parts += [Part(ellipse(0, -h, w, 0.2), c.light), detail(ellipse(0, -h + 0.02, w - 0.09, 0.13), c.dark)]
    return parts


def sailboat(rng: np.random.Generator, c: Palette) -> list[Part]:
    top, sail, jib = rng.uniform(-1.05, -0.9), rng.uniform(0.62, 0.85), rng.uniform(0.5, 0.72)
    main = curve((0.01, top + 0.08), (0.01, 0.32), (sail, 0.32), (sail * 0.72, -0.2), closed=False)
    fore = curve((-0.05, top + 0.25), (-0.05, 0.32), (-jib, 0.32), (-jib * 0.62, -0.1), closed=False)
    keel = curve((0.72, 0.7), (0.5, 0.85), (-0.5, 0.85), (-0.75, 0.68), closed=False)
    hull = np.concatenate([polygon((-0.92, 0.42), (0.95, 0.42)), keel])
    mast = stroke([(-0.02, top), (-0.02, 0.5)], 0.08)
    flag = polygon((0.02, top - 0.06), (0.3, top + 0.03), (0.02, top + 0.12))
    # luff and foot are straight, only the last side bellies out
    sails = [Part(np.array([*p[[0, 8, 16]], *p[17:]]), fill) for p, fill in ((main, c.body), (fore, c.light))]
    stripe = [detail(stroke([(-0.8, 0.56), (0.82, 0.56)], 0.08), c.light)]
    badge = [detail(ellipse(0.28, 0.05, 0.12), c.accent)] * rng.integers(2)
    rig = [Part(mast, c.dark), Part(flag, c.accent), *sails]
    return rig + badge + [Part(hull, c.accent)] + stripe * rng.integers(2)


def snail(rng: np.random.Generator, c: Palette) -> list[Part]:
    r, lift = rng.uniform(0.56, 0.66), rng.uniform(0.0, 0.18)
    eyes = []
    for x, y in ((0.66, -0.5 - lift), (0.98, -0.42 - lift)):
        eyes += [Part(stroke([(0.75, 0.1), (x, y)], 0.09), c.accent), Part(ellipse(x, y, 0.09), c.dark)]
    neck = polygon((0.45, 0.2), (0.56, -0.1), (0.8, -0.22), (1.0, -0.02), (0.92, 0.35))
    foot = curve((-1.08, 0.66), (-0.7, 0.4), (0, 0.34), *neck, (0.72, 0.66), (0, 0.7))
    x, y = -0.16, 0.48 - r
    t = np.linspace(0.6, rng.uniform(3.6, 4.4) * np.pi, 90)
    reach, angle = 0.94 * r * t / t[-1], t - t[-1] + 1.5
    spiral = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], 1)
    smile = stroke(curve((0.94, 0.14), (0.86, 0.19), (0.78, 0.16), closed=False), 0.045)
    parts = eyes + [Part(foot, c.accent), Part(ellipse(x, y, r), c.body), detail(smile, c.dark)]
    return parts + [detail(stroke(spiral, (0.05, 0.1)), between(c.body, c.dark, 0.55))]


def tree(rng: np.random.Generator, c: Palette) -> list[Part]:
    trunk = polygon((-0.13, 0.1), (0.13, 0.1), (0.16, 0.8), (0.27, 0.98), (-0.27, 0.98), (-0.16, 0.8))
    if rng.random() < 0.5:  # a fir, in tiers
        w = rng.uniform(0.62, 0.8)
        tiers = [polygon((-w * s, y), (0, y - 0.75), (w * s, y)) for s, y in ((1, 0.55), (0.8, 0.12), (0.58, -0.3))]
        return [Part(trunk, c.accent)] + [Part(tier, c.body) for tier in tiers]
    ring = [(0.42 * np.cos(a), 0.36 * np.sin(a) - 0.35) for a in np.linspace(0, 2 * np.pi, 8)[:-1] + rng.uniform(0, 1)]
    crown = [ellipse(x, y, rng.uniform(0.3, 0.4)) for x, y in ring] + [ellipse(0, -0.35, 0.4)]
    parts = [Part(trunk, c.accent)] + merged(crown, c.body)
    if rng.random() < 0.5:
        return parts + [Part(ellipse(x, y, 0.085), c.accent) for x, y in ring[::2] + [(0, -0.35)]]
    for x, y in ring + [(0.1, -0.3), (-0.12, -0.42)]:  # leaves
        leaf = stroke([(x - 0.07, y + rng.uniform(-0.07, 0.07)), (x + 0.07, y)], (0.1, 0.02))
        parts.append(detail(leaf, between(c.body, c.dark, 0.4)))
    return parts


def umbrella(rng: np.random.Generator, c: Palette) -> list[Part]:
    w, top, panels = rng.uniform(0.92, 1.05), rng.uniform(-0.85, -0.7), int(rng.choice([4, 5, 6]))
    hook = np.concatenate([polygon((0, -0.6), (0, 0.3), (0, 0.72)), ellipse(0.17, 0.76, 0.17, 0.2, 180, 0)])
    parts = [Part(stroke([(0, top - 0.16), (0, top)], 0.08), c.dark), Part(stroke(hook, 0.1), c.dark)]
    ribs = w * np.sin(np.linspace(-np.pi / 2, np.pi / 2, panels + 1))
    for k, (a, b) in enumerate(zip(ribs[:-1], ribs[1:], strict=True)):
        arcs = []
        for x in (a, b):  # a rib: a quarter ellipse from the tip down to the rim
            t = np.linspace(0, np.pi / 2, 16)
            arcs.append(np.stack([x * np.sin(t), 0.05 + (top - 0.05) * np.cos(t)], 1))
        scallop = ellipse((a + b) / 2, 0.05, (b - a) / 2, 0.1, 180, 360)
        parts.append(Part(np.concatenate([arcs[0], scallop, arcs[1][::-1]]), c.accent if k % 2 else c.body))
    return parts


OBJECTS = {f.__name__: f for f in (butterfly, car, clock, fish, house, mug, sailboat, snail, tree, umbrella)}
