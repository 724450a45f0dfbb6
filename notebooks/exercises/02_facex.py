"""The exercises of 02_facex: what your functions are tried on, what a difference means, and the teacher's words."""

import torch

from helpers.exercises import Exercise

# 1 · ior


def ior_tries(draw):
    yield (
        (torch.tensor([[1.5, 3.0]]), torch.tensor([[2, 4]])),
        "1.5 over 2 pixels and 3 over 4: 0.75 in both regions, the mean of the map there. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[1.5, 0.0]]), torch.tensor([[2, 0]])),
        "The second region is not in this face: yours gives {yours}. Is that 'the network did not look at the hat' or "
        "'there is no hat'? A 0 would pull down the mean over the faces that wear one.",
    )
    yield (
        (torch.tensor([[0.0, 2.0]]), torch.tensor([[4, 4]])),
        "The first region is there, and the map is 0 on it: that is a true 0. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[3.0, 3.0]]), torch.tensor([[3, 5]]), 4),
        "With min_pixels=4 a region of 3 pixels is too small to count, one of 5 is not. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[4.0]]), torch.tensor([[4]]), 4),
        "A region of exactly min_pixels counts: yours gives {yours}. Is it > or >=?",
    )
    for _ in range(3):
        n = torch.randint(0, 5, (3, 4), generator=draw)
        yield (torch.rand(3, 4, generator=draw) * n, n), "On random sums yours gives {yours}, expected {ours}."


ior = Exercise(
    tries=ior_tries,
    mistakes={
        "An absent region gets 0 in yours. The mean over faces would then say how many people wear a hat, not how much "
        "the network looks at hats: leave it undefined, torch.nan.": lambda total, n, min_pixels=1: torch.where(
            n >= min_pixels, total / n.clamp(min=1), 0.0
        ),
        "It looks as if the sums were divided by the pixels of all regions together. Then a large region wins by being "
        "large: each is divided by its own area.": lambda total, n, min_pixels=1: torch.where(
            n >= min_pixels, total / n.sum(1, keepdim=True), torch.nan
        ),
        "min_pixels does nothing in yours: a region below it is to be undefined, as one that is not there.": (
            lambda total, n, min_pixels=1: total / n
        ),
    },
    then="exercise 2, which makes the binary IoR of the paper's code out of the same sums.",
    teacher="""One line, and the whole argument about *undefined* once more (compare 01's Focus). The question to put:
the network never looks at hats, and two of a hundred faces wear one. What should the summary say of the hat? With 0
for the absent, 0.00 over a hundred faces, a firm statement; with NaN, 0.00 over two, which nobody would rely on.
Division by the area is a choice, too: an earring of 12 pixels is measured by 12 pixels (exercise 5).""",
)


# 2 · above


def above_tries(draw):
    yield (
        (torch.tensor([[[0.7, 0.7], [1.0, 0.5], [0.2, 0.2]]]),),
        "The six pixels of section 1: their mean is 0.55, and three are above it. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[[1.0, 0.5], [0.0, 0.0]]]),),
        "Only what is above 0 enters the mean: (1 + 0.5) / 2 = 0.75, so one pixel is above. Yours gives {yours}. With "
        "the zeros in it the mean would be 0.375.",
    )
    yield (
        (torch.full((1, 3, 3), 0.3),),
        "A flat map: no pixel is above the mean of all. Yours gives {yours}. Is it > or >=, and does the mean of nine "
        "times 0.3 in single precision come out as 0.3?",
    )
    yield (
        (torch.zeros(1, 2, 2),),
        "A map of zeros has no positive value and no mean; nothing in it is above anything. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[[0.1, 0.2]], [[10.0, 20.0]]]),),
        "Two maps, one a hundred times brighter: each is cut at its own mean. Yours gives {yours}.",
    )
    for _ in range(3):
        yield (
            (torch.randn(2, 3, 3, generator=draw).relu(),),
            "On random maps yours gives {yours}, expected {ours}. Work out theta of the first map by hand.",
        )


def cut(theta, strictly=True):
    """Where a map lies above its theta."""

    def wrong(G):
        G = G.double()
        at = theta(G)
        return at < G if strictly else at <= G

    return wrong


def mean_of_positive(G):
    return ((G * (G > 0)).sum((1, 2)) / (G > 0).sum((1, 2)).clamp(min=1))[:, None, None]


above = Exercise(
    tries=above_tries,
    mistakes={
        "It looks as if zeros entered the mean. A ReLU makes many of them, and the cut would sink with their number: "
        "theta is the mean of the *positive* values.": cut(lambda G: G.mean((1, 2), keepdim=True)),
        "It looks as if one cut were made for all maps of the batch. Then a bright map decides for a dim one: sum over "
        "the last two axes only.": cut(lambda G: (G * (G > 0)).sum() / (G > 0).sum().clamp(min=1)),
        "Yours counts what is equal to the cut. A flat map would then be hot everywhere, and every region have a "
        "binary IoR of 1.": cut(mean_of_positive, strictly=False),
        "It looks as if the cut were at one half. The paper's code has no fixed threshold: a dim map has a low cut, "
        "and as many hot pixels as a bright one.": cut(lambda G: 0.5 + 0 * G),
    },
    then="sums(above(G), M) is the numerator of the binary IoR. Why can sums take a map of True and False?",
    teacher="""The flat map is the trap that costs an hour in real life: the mean of equal float32 values may be a bit
below them, and the whole map is then "above". Show it: `torch.full((9,), 0.3).mean() < 0.3`. Whoever has not met
this will find `.double()` odd.

Then ask which of the two IoR a scaled map changes (`G / 2`): the soft one halves, the binary one stays. That is why
the paper's code can do without a decision on normalising, and why its numbers cannot say "hardly looks anywhere".""",
)


# 3 · carve

NAMES = ["background", "skin", "eye_g", "l_eye"]


def row(*layers):
    """Layers (1, R, 1, W) of regions in a row of pixels."""
    return torch.tensor(layers).bool().view(1, len(layers), 1, -1)


def carve_tries(draw):
    face = row([0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0])
    yield (
        (face, NAMES, "raw"),
        "raw: every region keeps what was drawn, and background is what belongs to none, the last pixel. Yours gives "
        "{yours}, a row a region.",
    )
    yield (
        (face, NAMES, "authors"),
        "authors: skin loses what lies on it, glasses and eye keep the pixel that both have. Yours gives {yours}, "
        "expected {ours}.",
    )
    yield (
        (face, NAMES, "exclusive"),
        "exclusive: a pixel goes to the region painted last, the one furthest down the list: here the eye, so the "
        "glasses have none left. Yours gives {yours}, expected {ours}.",
    )
    yield (
        (row([1, 1], [1, 0], [0, 0], [0, 0]), NAMES, "authors"),
        "Somebody has drawn background under the face. It is what belongs to no other region, whatever was drawn: only "
        "the second pixel. Yours gives {yours}.",
    )
    yield (
        (row([0, 1], [1, 0]), ["skin", "background"], "authors"),
        "Here the regions come in another order: it is their names that tell which is which. Yours gives {yours}.",
    )
    yield (
        (row([1, 0], [1, 1]), ["l_eye", "hat"], "authors"),
        "A list without skin or background: then none of these rules applies, and both keep what was drawn. Yours "
        "gives {yours}.",
    )
    yield (row([0, 0]), ["hat"], "mine"), "There is no policy `mine`: say so, and what there is (ValueError)."
    for policy in ("raw", "authors", "exclusive"):
        layers = torch.rand(2, 4, 3, 3, generator=draw) > 0.5
        yield (
            (layers, NAMES, policy),
            f"Random layers under {policy} come out otherwise; the first difference: {{yours}}.",
        )


def carved(skin_without, owner=None, ground=True):
    """Another carving: whom skin loses pixels to, who owns a pixel when one may, whether background is made anew."""

    def wrong(layers, regions, overlap="authors"):
        if overlap not in ("authors", "exclusive", "raw"):
            raise ValueError(overlap)
        M = layers.clone()
        others = [k for k, name in enumerate(regions) if name != "background"]
        M[:, [k for k, name in enumerate(regions) if name == "background"]] &= not ground
        if overlap == "exclusive":
            for k in others:
                over = [j for j in others if (j < k if owner == "first" else j > k)]
                M[:, k] &= ~layers[:, over].any(1)
        if overlap == "authors" and skin_without and "skin" in regions:
            k = regions.index("skin")
            M[:, k] &= ~layers[:, [j for j in others if j != k]].any(1)
        for k in [k for k, name in enumerate(regions) if name == "background" and ground]:
            M[:, k] = ~M[:, others].any(1)
        return M

    return wrong


carve = Exercise(
    tries=carve_tries,
    mistakes={
        "Under `exclusive` the pixel goes to the first of the list in yours. Who paints last covers what is below: the "
        "last one has it.": carved(True, "first"),
        "Under `authors` the skin keeps what lies on it in yours. The annotators drew it under everything; the code "
        "takes the other masks away from it, and from it alone.": carved(False),
        "Background stays as it was drawn in yours. It is made anew: every pixel that belongs to no other region.": (
            carved(True, ground=False)
        ),
    },
    then="section 9 shows what the three policies do to a network's ranks. Which region do you expect to move most?",
    teacher="""A quarter of an hour for a loop over regions is well spent; the vectorised version is not the point.
The point is that *a region is a decision*. Ask what each policy would say of a network that looks at the whole face
evenly, and of one that looks at the lips: under `raw`, half of the skin's IoR is the lips'.

The second trap is the order: `eye_g` (glasses) comes before the eyes in CelebAMask-HQ, so under `exclusive` glasses
lose the eyes behind them.""",
)


# 4 · What is wrong with this explanation?

lips = Exercise(
    teacher="""*First in the drawing* and *biased by lipstick* are two statements. (1) **No control.** A network from
balanced faces may look at the mouth as well: mouths differ between the classes for other reasons. What reveals the
bias is the gain over the control (section 11). (2) **Where is not what.** The lips' rank says nothing about lipstick;
the patches do (section 10). (3) **One network of one seed**, and a rank that stands on `n_images` faces.

If the table has the lips first in both columns, the sentence is refuted on the spot; if only in the planted network,
it is supported, and still needs (2) and (3).""",
)


# 5 · Design the experiment

area = Exercise(
    teacher="""The null hypothesis is a network that does not know the face: coarse maps of noise on a
real mask. Their IoR differs between regions by chance alone, and its *spread* grows as the region shrinks: small ones
are first or last by chance. In a summary over many faces the spread falls with the square root of
`n_images`, so earrings suffer twice: small, and rare.

A good design says how many faces it takes until the earring's rank under noise is as even as the skin's; holds the
grid fixed (a finer grid makes small regions steadier, and is another choice); and ends in a number to put beside a
rank: how often would noise rank it so high? Ask what the error column of the table has to do with it (it is the same
spread, measured).""",
)
