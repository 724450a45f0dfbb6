"""The exercises of 04_advise: what your functions are tried on, what a difference means, and the teacher's words."""

import numpy as np
import torch

from helpers.exercises import Exercise

# 1 · unit_minmax


def unit_minmax_tries(draw):
    yield (
        (torch.tensor([[2.0, 4.0, 3.0]]),),
        "2, 4, 3: the lowest becomes 0, the highest 1, the middle one a half. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[2.0, 4.0, 3.0], [10.0, 20.0, 10.0]]),),
        "Two units, one ten times louder: each is stretched from its own lowest to its own highest value. Yours gives "
        "{yours}.",
    )
    yield (
        (torch.tensor([[-3.0, -1.0, 1.0]]),),
        "Values below zero are stretched like any others: 0, a half, 1. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[1.0, 1.0, 1.0]]),),
        "A unit that has one value only: yours gives {yours}. Does it lie at 0, at 1, or nowhere? It has no range, so "
        "no density and no peaks: NaN.",
    )
    for _ in range(3):
        yield (torch.randn(2, 3, 5, generator=draw),), "On random units yours gives {yours}, expected {ours}."


def stretched(low, high, flat=torch.nan):
    def wrong(x):
        span = high(x) - low(x)
        return torch.where(span > 0, (x - low(x)) / torch.where(span > 0, span, 1), flat)

    return wrong


unit_minmax = Exercise(
    tries=unit_minmax_tries,
    mistakes={
        "All units share one lowest and one highest value in yours. Then a quiet unit is squeezed into a corner of the "
        "grid, and has one peak there whatever its shape: take them along the last axis, keepdim=True.": stretched(
            lambda x: x.min(), lambda x: x.max()
        ),
        "Yours divides by the maximum and leaves the minimum where it is. Values below 0 then fall off the grid; "
        "subtract the lowest first.": stretched(
            lambda x: 0 * x.amax(-1, keepdim=True), lambda x: x.amax(-1, keepdim=True)
        ),
        "A unit without a range gets a number in yours. It has no density; what follows counts NaN as no peak.": (
            stretched(lambda x: x.amin(-1, keepdim=True), lambda x: x.amax(-1, keepdim=True), flat=0.0)
        ),
    },
    then="section 13 leaves the stretching out (scale=none). What share of the values is left on the grid there?",
    teacher="""After stretching, a unit of size 1e-9 looks like one of size 100: the shape of its histogram is all that
is left. Ask whether that is wanted. (For peak counts, yes; the loudness comes back as energy in section 5.) Numerical
noise on a dead unit has a range, too: then a density of rounding errors is counted. Who finds that deserves praise.""",
)


# 2 · count_peaks


def count_peaks_tries(draw):
    yield (
        (torch.tensor([[0.0, 1, 0, 3, 0]]),),
        "Two values that are higher than both neighbours: 2 peaks. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[5.0, 4, 3, 2, 1]]),),
        "A density that only falls, as of a unit that is mostly zero: its highest value is at the end, and an end is "
        "no peak: 0. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[0.0, 2, 2, 0, 0]]),),
        "A flat top is one peak, neither none nor two. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[3.0, 2, 1, 1, 1, 0]]),),
        "A flat part on the way down is no top: 0. Yours gives {yours}.",
    )
    yield (
        (torch.full((1, 5), torch.nan),),
        "A unit without a range has a density of NaN, and no peak: 0. Yours gives {yours}.",
    )
    yield (
        (torch.tensor([[0.0, 10, 9, 9.3, 0]]), 0.05),
        "With min_prominence=0.05 a peak has to rise by 5 % of the maximum above the dip between it and a higher one: "
        "the second rises by 0.3 only, less than 0.5, so there is one. Yours gives {yours}.",
    )
    for _ in range(3):
        yield (
            (torch.randint(0, 4, (3, 12), generator=draw).double(),),
            "On random densities yours gives {yours}, expected {ours}. Draw the first one, and mark the tops.",
        )


def counted(peak, ends=False):
    """Peaks by comparing neighbours."""

    def wrong(lam, min_prominence=0.0):
        rows = torch.nn.functional.pad(lam, (1, 1), value=-1.0) if ends else lam
        left, middle, right = rows[..., :-2], rows[..., 1:-1], rows[..., 2:]
        return peak(left, middle, right).sum(-1)

    return wrong


count_peaks = Exercise(
    tries=count_peaks_tries,
    mistakes={
        "A flat top counts as no peak in yours: neither of its values is above both neighbours. Walk on to where the "
        "top ends, or ask scipy's find_peaks, which does.": counted(lambda a, b, c: (a < b) & (b > c)),
        "A flat top counts as often as it has values, and a flat part on the way down as well: >= lets them in.": (
            counted(lambda a, b, c: (a <= b) & (b >= c))
        ),
        "The ends count in yours. Half of a hump is no hump: a density that only falls has no peak.": counted(
            lambda a, b, c: (a < b) & (b > c), ends=True
        ),
    },
    then="count the peaks of pure noise on the same grid (section 4). What does a count of 3 say beside that?",
    teacher="""The rule for ties is dull until one asks how often they occur: after a ReLU most of a unit's values are
exactly 0, and many densities are flat in places. So a dull rule moves units between groups.

Then the larger question: is "one more than noise has" a finding about the unit, or about the recipe for the density?
Section 13 changes the recipe and looks how many units change group.""",
)


# 3 · group_maps


def group_maps_tries(draw):
    A = torch.tensor([[[[1.0, 2.0]], [[3.0, 1.0]], [[0.0, 5.0]]]])  # a picture, three units of two cells
    w = torch.tensor([[1.0, -1.0, 2.0]])
    yield (
        (A, w, torch.tensor([[0, 0, 1]])),
        "Units 0 and 1 have no peak, unit 2 has one: the maps are 1 x [1, 2] - 1 x [3, 1] = [-2, 1], and 2 x [0, 5] = "
        "[0, 10]. Yours gives {yours}. (No ReLU yet: before it, the groups add up to Grad-CAM.)",
    )
    yield (
        (A, w, torch.tensor([[2, 2, 2]])),
        "All units have two peaks: the maps of 0 and 1 peaks are there and empty, the third is Grad-CAM's. Yours gives "
        "{yours}.",
    )
    yield (
        (torch.cat([A, A]), torch.cat([w, w]), torch.tensor([[0, 0, 1], [1, 0, 0]])),
        "Two pictures whose units have other counts: groups belong to a picture. The first difference: {yours}.",
    )
    for _ in range(3):
        yield (
            (
                torch.randn(2, 5, 3, 2, generator=draw),
                torch.randn(2, 5, generator=draw),
                torch.randint(0, 3, (2, 5), generator=draw),
            ),
            "On random units the maps come out otherwise. Do the groups add up to (w[..., None, None] * A).sum(1)?",
        )


def grouped(weigh=lambda w, member: w, after=lambda maps, member: maps):
    def wrong(A, w, phi):
        member = phi[:, None] == torch.arange(phi.max() + 1)[:, None]  # (N, V, K)
        maps = torch.einsum("nvk,nkij->nvij", member * weigh(w, member)[:, None], A)
        return after(maps, member), member

    return wrong


group_maps = Exercise(
    tries=group_maps_tries,
    mistakes={
        "A ReLU is in yours. It belongs behind this function: what one group has against the class would be lost, and "
        "the groups would no longer add up to Grad-CAM.": grouped(after=lambda maps, member: maps.relu()),
        "Yours averages over the units of a group. Then a group of one unit is as loud as one of a hundred, and the "
        "groups do not add up to Grad-CAM: it is a sum.": grouped(
            after=lambda maps, member: maps / member.sum(2)[..., None, None].clamp(min=1)
        ),
        "The weights are missing: without w a group shows where its units fire, not what they say for the class.": (
            grouped(weigh=lambda w, member: torch.ones_like(w))
        ),
    },
    then="hand yours the counts of exercise 6's shuffled units: are the maps the same?",
    teacher="""Two properties make it checkable without a single number by hand: the groups add up to Grad-CAM, and if
all counts are equal, one group *is* Grad-CAM. Ask students to write the two assertions first. Both fail for a ReLU in
the wrong place, which is the usual slip, and the paper's own equation invites it: it has the ReLU in it.

`einsum` is not needed: a loop over the counts with a mask is as good, and easier to read.""",
)


# 4 · avx


def avx_tries(draw):
    one = [np.array([v]) for v in (0.0, 1.0, 1.0, 0.0)]
    yield (
        (*one,),
        "Nothing dropped, everything alike: the four terms are 1, and so is AVX. Yours gives {yours}. AD and MSE are "
        "better when low: 1 - AD and 1 - MSE are what enters.",
    )
    yield (
        (*(np.array([v]) for v in (0.5, 0.25, 0.5, 0.5)),),
        "Terms 0.5, 0.25, 0.5, 0.5: 4 / (2 + 4 + 2 + 2) = 0.4. Yours gives {yours}.",
    )
    yield (
        (*(np.array([v]) for v in (0.1, 0.0, 0.9, 0.1)),),
        "An SSIM of 0: 1 / 0 has no place in a sum, and the limit of the harmonic mean is 0. Yours gives {yours}.",
    )
    yield (
        (*(np.array([v]) for v in (0.1, -0.2, 0.9, 0.1)),),
        "SSIM can be below 0. A negative term could make the denominator vanish and AVX anything; it is 0 there. Yours "
        "gives {yours}.",
    )
    for _ in range(3):
        given = torch.rand(4, 3, generator=draw).double().numpy()
        yield (*given,), "On random numbers yours gives {yours}, expected {ours}."


def averaged(terms, how):
    def wrong(AD, SSIM, FSIM, MSE):
        of = np.stack(terms(AD, SSIM, FSIM, MSE))
        with np.errstate(all="ignore"):
            return how(of)

    return wrong


def harmonic(terms):
    return np.where((terms > 0).all(0), 4 / (1 / np.where(terms > 0, terms, 1)).sum(0), 0.0)


def as_printed(AD, SSIM, FSIM, MSE):
    return 1 - AD, SSIM, FSIM, 1 - MSE


avx = Exercise(
    tries=avx_tries,
    mistakes={
        "That is the ordinary mean. In the harmonic one the worst of the four decides: a map that keeps the class and "
        "destroys the picture is not half good.": averaged(as_printed, lambda terms: terms.mean(0)),
        "AD and MSE enter as they are in yours, so that a map which loses everything is praised. What is better when "
        "lower enters as 1 - AD and 1 - MSE.": averaged(lambda *four: four, harmonic),
        "Where a term is 0 or below, yours gives what the formula happens to give. There AVX is 0 by definition.": (
            averaged(as_printed, lambda terms: 4 / (1 / terms).sum(0))
        ),
    },
    then="which mask has the AVX of 1? Exercise 5 takes it up.",
    teacher="""Ask before the code: which of the four can a heatmap method influence, and how cheaply? All four rise
when the mask covers less of the picture. So AVX measures size first and place second, and the harmonic mean, meant to
be strict, only sees to it that none of the four is *small*.""",
)


# 5 · What is wrong with this explanation?

whole = Exercise(
    teacher="""The mask that is 0.9 everywhere knows nothing of the class, and nothing of the picture. It wins because
three of the four terms ask how much of the *picture* is left, and the fourth whether the class is still seen, which
it is if the picture is. **AVX does not ask whether the mask is about anything.** CS was meant to: it is undefined
here, and it is only asked when the class is lost.

What is wrong in the sentence is "explains": a number was maximised, and the number is not the thing. Ask for a repair,
then try to break it: fix the area (compare masks of equal mean), or give the area a price, or ask *less* of the
picture to be kept, not more (deletion, insertion). Each can be gamed; the shared-area one needs the least trust.""",
)


# 6 · Design the experiment

where = Exercise(
    teacher="""The share that keeps its group is 1, exactly: a histogram does not know where its values come from. So
phi *cannot* know about places, for any network. The groups' maps can still differ, as those of any two handfuls of
units do. The experiment has to tell "differ" from "differ more than handfuls do": the control deals the same counts
out at random (section 8), with groups of the same sizes, and compares how alike maps of groups are within a picture.

Held fixed: picture, units, weights, sizes of the groups. Changed: who is in which group. Measured: the rank
correlation of the two loudest groups' maps, over pictures, paired. Against the idea: no difference to random groups,
or *more* alike ones. Many students propose to shuffle cells and look at the maps; that destroys the maps of
both arms, and compares nothing.""",
)
