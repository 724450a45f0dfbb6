"""The exercises of 05_debiasing_metrics: what functions are tried on, what differences mean, the teacher's words."""

import numpy as np
import torch

from helpers.exercises import Exercise


def part(p, roi):
    """Maps in a rectangle (x, y, w, h)."""
    x, y, w, h = roi
    return p[:, y : y + h, x : x + w].double()


# 1 · rrf


def rrf_tries(draw):
    p = torch.tensor([[[0.2, 0.5, 0.3], [0.0, 0.0, 0.0]]])
    yield (
        (p, (1, 0, 2, 1)),
        "The rectangle is the right two pixels of the top row: 0.8 of 1. Yours gives {yours}.",
    )
    yield (
        (torch.ones(1, 2, 3), (1, 0, 2, 1)),
        "A map that is the same everywhere has the rectangle's share of the area there: 2 of 6. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[[1.0, 2.0], [4.0, 8.0], [0.0, 1.0]]]), (0, 1, 2, 1)),
        "x is the left edge, y the upper one, and then come width and height: here the second row, 12 of 16. Yours "
        "gives {yours}.",
    )
    yield (
        (torch.zeros(1, 2, 3), (1, 0, 2, 1)),
        "A map of zeros has nothing to share out: yours gives {yours}. Is that 'looks elsewhere' or 'says nothing'?",
    )
    for _ in range(3):
        yield (
            (torch.rand(3, 4, 5, generator=draw), (1, 0, 2, 3)),
            "On random maps yours gives {yours}, expected {ours}: the sum in the rectangle over the sum of all, a map "
            "each.",
        )


rrf = Exercise(
    tries=rrf_tries,
    mistakes={
        "Rows and columns have changed places: x counts columns, the last axis. So it is in the published code, and "
        "the necktie was measured where no necktie is.": lambda p, roi: (
            part(p.transpose(1, 2), roi).sum((1, 2)) / p.sum((1, 2)).where(p.sum((1, 2)) != 0, torch.nan)
        ),
        "Yours is the mean in the rectangle over the mean of the map: how many times more than a uniform map. That is "
        "RRF / chance, a number of section 8; RRF is the share.": lambda p, roi: (
            part(p, roi).mean((1, 2)) / p.double().mean((1, 2))
        ),
        "A map of zeros has a share of 0 in yours. It says nothing, and would be counted as looking away: NaN.": (
            lambda p, roi: part(p, roi).sum((1, 2)) / p.double().sum((1, 2)).clamp(min=1e-12)
        ),
    },
    then="what RRF has a network that looks nowhere in particular? Put that number beside every RRF from now on.",
    teacher="""It is 01's Focus with a rectangle in the place of two tiles; let them find that. Then what differs: there
the target covers half of the picture, and chance is 0.5 for every mosaic; here it is the rectangle's area, a few
percent, and a network that looks at faces at all looks at their middle. So the area is a *weak* chance level, and
"above chance" a weak claim: another seed is the level to ask for.""",
)


# 2 · dif


def dif_tries(draw):
    v = torch.tensor([[[0.2, 0.5, 0.3], [0.0, 0.0, 0.0]]])
    d = torch.tensor([[[0.5, 0.1, 0.4], [0.0, 0.0, 0.0]]])
    yield (v, d, (1, 0, 2, 1)), "Of the two pixels one fell (0.5 to 0.1), one rose: a half. Yours gives {yours}."
    yield (v, v, (1, 0, 2, 1)), "The same map twice: nothing fell, 0. Yours gives {yours}."
    yield (
        (v, v - 0.0005, (1, 0, 2, 1)),
        "Everything fell by 0.0005, less than eps: two equal networks differ by as much through rounding. 0, and yours "
        "gives {yours}.",
    )
    yield (
        (v, v - 0.1, (1, 0, 2, 1), 0.05),
        "Everything fell by 0.1, more than the eps of 0.05: 1. Yours gives {yours}.",
    )
    for _ in range(3):
        yield (
            (torch.rand(2, 4, 5, generator=draw), torch.rand(2, 4, 5, generator=draw), (2, 1, 3, 2)),
            "On random maps yours gives {yours}, expected {ours}: count in the rectangle where v - d is above eps.",
        )


def fallen(change, limit=lambda eps: eps, where=part):
    return lambda v, d, roi, eps=1e-3: (change(where(v, roi), where(d, roi)) > limit(eps)).double().mean((1, 2))


dif = Exercise(
    tries=dif_tries,
    mistakes={
        "Yours counts what rose. DIF counts where v, before debiasing, was higher than d, after it: v - d > eps.": (
            fallen(lambda v, d: d - v)
        ),
        "Yours counts every change, up or down. Then two unrelated maps have a DIF of 1, and nobody looks away.": (
            fallen(lambda v, d: (v - d).abs())
        ),
        "eps does nothing in yours. Equal networks give maps that differ by rounding, and rounding lowers every second "
        "pixel: DIF would be a half for no change at all.": fallen(lambda v, d: v - d, lambda eps: 0.0),
        "Yours counts over the whole picture. A map that moves away from the rectangle rises elsewhere; asked is what "
        "happened in the rectangle.": fallen(lambda v, d: v - d, where=lambda p, roi: p.double()),
    },
    then="dif(d, v, roi) is the share that rose. For two maps that have nothing to do with each other, what are both?",
    teacher="""DIF has two levels that mean nothing: 0 for the same map, and for unrelated maps half of the pixels that
change. So a DIF of 0.45 can be a success or noise, and only what rose beside it tells. Let them construct a pair of
maps with a high DIF and a *negative* ADR (many pixels fall a little, one rises a lot): the two metrics can
contradict each other.""",
)


# 3 · equalized_odds


def bits(*values):
    return np.array(values)


def equalized_odds_tries(draw):
    y, a = bits(1, 1, 0, 0, 1, 1, 0, 0), bits(1, 1, 1, 1, 0, 0, 0, 0)
    yield (
        (bits(1, 1, 0, 0, 1, 0, 1, 0), y, a),
        "Group 1: TPR 1, FPR 0. Group 0: TPR 1/2, FPR 1/2. Both differ by a half. Yours gives {yours}.",
    )
    yield (
        (bits(1, 1, 0, 0, 1, 0, 0, 0), y, a),
        "Now only TPR differs, by a half; EO is the larger of the two differences. Yours gives {yours}.",
    )
    yield (
        (bits(1, 0, 0, 0, 1, 1, 0, 0), y, a),
        "Now group 0 is the one that does better: a difference of rates has a size, whoever is ahead. Yours gives "
        "{yours}.",
    )
    yield (
        (bits(1, 1, 1, 0, 1, 1, 0, 0), y, a),
        "Now only FPR differs, by a half. Yours gives {yours}. Equalized odds ask the false alarms, too.",
    )
    yield (bits(1, 1, 1, 1, 1, 1, 1, 1), y, a), "Who says yes to everybody has an EO of 0. Yours gives {yours}."
    yield (
        (bits(1, 1, 0, 1, 0, 0), bits(1, 1, 0, 1, 0, 0), bits(1, 1, 1, 0, 0, 0)),
        "Always right, and groups of other sizes: 0. Yours gives {yours}. Is a rate taken within y and a, or over all?",
    )
    yield (
        (bits(1, 0, 1), bits(1, 1, 1), bits(1, 1, 0)),
        "Nobody here has y = 0, so there is no false positive rate to compare: undefined, NaN. Yours gives {yours}.",
    )
    yield (
        (bits(0, 1, 0), bits(0, 0, 0), bits(1, 1, 0)),
        "Nobody here has y = 1, so there is no true positive rate to compare: undefined, NaN. Yours gives {yours}. "
        "Python's max(0.5, nan) is 0.5, but max(nan, 0.5) is nan.",
    )
    for _ in range(4):
        rows = torch.cat([torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]), torch.randint(0, 2, (12, 2), generator=draw)])
        y, a = rows.T.numpy()
        yhat = torch.randint(0, 2, (16,), generator=draw).numpy()
        yield (yhat, y, a), "On random decisions yours gives {yours}, expected {ours}: make the table of four rates."


def rates(join):
    def wrong(yhat, y, a):
        if len({*zip(y.tolist(), a.tolist(), strict=True)}) < 4:
            return np.nan
        gaps = [yhat[(y == t) & (a == 1)].mean() - yhat[(y == t) & (a == 0)].mean() for t in (0, 1)]
        return join(gaps, yhat, a)

    return wrong


equalized_odds = Exercise(
    tries=equalized_odds_tries,
    mistakes={
        "Yours is the mean of the two differences. The equation takes the larger: a network may be fair to those with "
        "y = 1 and not to those with y = 0.": rates(lambda gaps, *_: np.abs(gaps).mean()),
        "The size is missing: yours takes the difference with its sign, so that a group which is behind can hide "
        "it.": rates(lambda gaps, *_: max(gaps)),
        "Yours looks at TPR alone. That is equal opportunity, another criterion; equalized odds ask the false alarms, "
        "too.": rates(lambda gaps, *_: abs(gaps[1])),
        "Yours compares how often each group gets a yes, whatever is true. That is demographic parity, which a perfect "
        "network violates as soon as the groups differ in y.": rates(
            lambda gaps, yhat, a: abs(yhat[a == 1].mean() - yhat[a == 0].mean())
        ),
    },
    then="which decisions have an EO of 0 without knowing anything? What has to stand beside EO, therefore?",
    teacher="""The four wrong answers are four real criteria or habits; name them when they come up (equal opportunity,
demographic parity). Then the always-yes network: EO 0. Put the two numbers, EO and balanced accuracy, as axes on the
board and let students place: always yes, a coin, a perfect network, one that reads the necktie.

Estimating matters here as well: with 30 pictures a cell a rate is sure to plus or minus 0.18, and EO, a maximum of two
sizes, is biased upwards. Section 9's line of chance is that bias.""",
)


# 4 · zhang_gradient


def zhang_gradient_tries(draw):
    two = [torch.tensor([3.0, 4.0])], [torch.tensor([2.0, 0.0])]
    yield (
        (*two, 0.0),
        "(3, 4) without its part along (2, 0) is (0, 4). Yours gives {yours}.",
    )
    yield (
        (*two, 0.5),
        "And half of (2, 0) taken off: (-1, 4). Yours gives {yours}. The step is to go *against* the adversary.",
    )
    yield (
        ([torch.tensor([1.0]), torch.tensor([1.0])], [torch.tensor([1.0]), torch.tensor([-1.0])], 0.0),
        "Two parameters: over both, (1, 1) and (1, -1) are orthogonal, so nothing is projected away. Yours gives "
        "{yours}. The dot product is over all weights of the network, not a tensor at a time.",
    )
    yield (
        ([torch.tensor([3.0, 4.0])], [torch.tensor([0.0, 0.0])], 1.0),
        "The adversary has no gradient: nothing to project, and nothing to divide by. Yours gives {yours}.",
    )
    for _ in range(3):
        g_P, g_A = ([torch.randn(n, generator=draw) for n in (2, 3)] for _ in range(2))
        yield (
            (g_P, g_A, 1.4),
            "On random gradients yours gives {yours}, expected {ours}. With alpha = 0, is your g orthogonal to g_A?",
        )


def projected(share, sign=-1.0):
    def wrong(g_P, g_A, alpha, published=False):
        along = sum((p * q).sum() for p, q in zip(g_P, g_A, strict=True))
        size2 = sum((q * q).sum() for q in g_A)
        return [p - share(p, q, along, size2) * q + sign * alpha * q for p, q in zip(g_P, g_A, strict=True)]

    return wrong


def divided(along, size2):
    return along / size2 if size2 > 0 else 0.0


zhang_gradient = Exercise(
    tries=zhang_gradient_tries,
    mistakes={
        "Yours does not divide by the squared length of g_A. What is taken off then depends on how large that gradient "
        "happens to be; where it is small, hardly anything. So it is in the published code.": projected(
            lambda p, q, along, size2: along
        ),
        "Each tensor is projected by itself in yours. The direction that helps the adversary is one of the whole "
        "network: add up the dot products over all tensors first.": projected(
            lambda p, q, along, size2: divided((p * q).sum(), (q * q).sum())
        ),
        "The last term has the wrong sign: yours walks with the adversary. It is to lose: subtract alpha g_A.": (
            projected(lambda p, q, along, size2: divided(along, size2), sign=1.0)
        ),
        "The projection is missing: alpha g_A is taken off, but what of g_P helps the adversary stays in it.": (
            projected(lambda p, q, along, size2: 0.0)
        ),
    },
    then="section 12 tries the published projection alone. Which of the table's columns should move, if any?",
    teacher="""A picture on the board: two arrows, the projection, what is left. Then the third try: why is one
tensor at a time another thing? Because orthogonality is a property of the whole vector; two tensors may each be
parallel to their part of g_A and cancel.

Ask what the first term alone would do (nothing is taken from the adversary, nothing given) and what the last one alone
would (the network forgets the task to spite it).""",
)


# 5 · What is wrong with this explanation?

fair = Exercise(
    teacher="""Read the columns together. (1) **EO 0 can be had for nothing**: look at the balanced accuracy and at the
share of yes. One answer for everybody is perfectly fair by this number. (2) **Less than before is not less because
of**: fine-tuning and another seed also move the map. The sentence needs the row of the same training without the
method. (3) **Relative intensities**: p in the rectangle falls when relevance rises anywhere else, at the picture's edge
for one.

A repaired sentence: "of the networks that still decide, these have a lower EO than the same training without the
method, by so much; and look into the rectangle less, by more than the spread of seeds." Often it is empty, and that is
a result.""",
)


# 6 · Design the experiment

nothing_tied = Exercise(
    teacher="""At phi = 0 the attribute says nothing about the target, so there is no bias to take out: whatever a
method changes there, it changes *without a reason*. That is a control the paper does not have. Held fixed: network,
number of pictures (not free: at small |phi| fewer are left out, so cap it), steps. Changed: phi. Measured: EO and ADR
of each method *less those of the same training without it*, over seeds; predicted for phi = 0: all of them zero within
their intervals.

Against the method: as large an ADR at 0 as at -0.8. Against the *metric*: ADR of "another seed" far from zero. Let
students say how many seeds they can afford, and what the smallest effect is that they could see with them.""",
)
