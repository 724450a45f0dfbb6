"""The exercises of 06_audit: what functions are tried on, what differences mean, the teacher's words."""

import numpy as np
import torch

from helpers.exercises import Exercise

# 1 · word


def word_tries(draw):
    yield (0.1, 0.3, 0.0), "All of 0.1 to 0.3 lies above the line 0: good, 1. Yours gives {yours}."
    yield (-0.3, -0.1, 0.0), "All of -0.3 to -0.1 lies below the line 0: poor, -1. Yours gives {yours}."
    yield (-0.1, 0.3, 0.0), "The line lies inside of -0.1 to 0.3, whatever its middle: 0. Yours gives {yours}."
    yield (0.1, 0.3, 0.2), "The line is 0.2 here, and inside of the interval: 0. Yours gives {yours}."
    yield (0.0, 0.3, 0.0), "An interval that begins on the line includes it: 0. Yours gives {yours}."
    yield (
        (float("-inf"), float("inf"), 0.0),
        "An interval without ends is what three pictures give, or one network: 0. Yours gives {yours}.",
    )
    yield (
        (0.2, float("inf"), 0.0),
        "An interval with one end only comes from no data that we have; it decides nothing: 0. Yours gives {yours}.",
    )
    for _ in range(4):
        low, width, line = torch.rand(3, generator=draw).tolist()
        yield (low, low + width, line), "On a random interval yours gives {yours}, expected {ours}: compare both ends."


def ends(rule):
    """A wrong rule, where the interval has both ends."""
    return lambda low, high, line: rule(low, high, line) if np.isfinite([low, high]).all() else 0


word = Exercise(
    tries=word_tries,
    mistakes={
        "Yours asks where the middle of the interval lies. Then every network is good or poor, also after three "
        "pictures; the interval says how far the middle is to be trusted.": ends(
            lambda low, high, line: int((low + high) / 2 > line) - int((low + high) / 2 < line)
        ),
        "What is not good is poor in yours. That nothing was shown is a third answer, and it asks for more "
        "pictures.": ends(lambda low, high, line: 1 if low > line else -1),
        "The line is always 0 in yours. It is a number of its own, drawn where few unbiased networks are accused.": (
            ends(lambda low, high, line: int(low > 0) - int(high < 0))
        ),
    },
    then="of how many networks that are exactly on the line does this rule call one good? (Of 2.5 in a hundred.)",
    teacher="""Three answers, not two: let students say what each asks *them* to do. Good: go on. Poor: look at the
worst pictures. Cannot tell: more pictures, or another lens; section 8 says how many.

The intervals are at 95 %, two-sided. So a network whose true margin is on the line is called good in 2.5 % and poor
in 2.5 % of all audits. With five lenses at the line, one of them says something wrong in a quarter of the audits: ask
who would have corrected for that, and why lens 3 does it inside.""",
)


# 2 · line_at


def line_at_tries(draw):
    five = np.array([0.4, -0.2, 0.1, 0.3, 0.2])
    yield (
        (five, 0.0),
        "Nobody may lie below the line: it goes through the lowest, -0.2. Yours gives {yours}.",
    )
    yield (
        (five, 0.2),
        "One of five may lie below: the line goes through the second lowest, 0.1. Yours gives {yours}.",
    )
    yield (
        (five, 0.3),
        "0.3 of five is one and a half, and half a network cannot be accused: 0.1 again. Yours gives {yours}.",
    )
    yield (
        (five, 1.0),
        "All may be accused, but a line above all of them says nothing of anybody: the highest, 0.4. Yours gives "
        "{yours}.",
    )
    for _ in range(4):
        highs = torch.rand(15, generator=draw).numpy()
        yield (highs, 0.1), "Of fifteen, at 0.1, yours gives {yours}, expected {ours}: one may lie below, not two."


def kth(choose):
    """The k-th lowest, or whatever is chosen of them in order."""
    return lambda highs, alpha=0.1: float(choose(np.sort(highs), alpha))


line_at = Exercise(
    tries=line_at_tries,
    mistakes={
        "Yours interpolates between two networks. The share that lies below is then still right, but the highest such "
        "line is the next network itself: whoever lies on the line is not accused.": kth(
            lambda highs, alpha: np.quantile(highs, alpha)
        ),
        "Yours counts from the top: so nearly everybody unbiased lies below the line and is called poor.": kth(
            lambda highs, alpha: highs[::-1][min(int(alpha * len(highs) + 1e-9), len(highs) - 1)]
        ),
        "One network too many is accused: the share rounds up in yours, and the promise was at most alpha.": kth(
            lambda highs, alpha: highs[min(int(np.ceil(alpha * len(highs) - 1e-9)), len(highs) - 1)]
        ),
    },
    then="with fifteen unbiased networks, how sure is a false alarm rate of one in fifteen? (Wilson: 0.01 to 0.30.)",
    teacher="""It is a quantile, but one with a promise: *at most* alpha. Draw fifteen ticks on the board and move a
ruler from the left; each tick that it passes is an unbiased network accused. Then fifteen ticks of biased networks in
another colour: what has the ruler passed of those? That is the power, and moving the ruler draws the ROC curve.

The line is chosen on the same networks that its false alarms are counted on, so the count flatters it. With few
networks that matters; the interval beside the count does not know it. Ask how one would count honestly (other
seeds).""",
)


# 3 · What is wrong with this explanation?

page = Exercise(
    teacher="""The first lens was asked, the third would have to be. A map on the object says where the evidence is
that Grad-CAM finds; the background may decide all the same: by a part of the evidence that the map does not show, in
a layer that it does not look at, or where object and background agree and neither is needed alone. The swapped
background asks the decision.

It would be refuted by a fall of the accuracy on swapped backgrounds, with an interval above the line; it would stand,
as far as this test goes, with a small fall and a narrow interval around it. *Not above the line* alone is no proof:
look at the power of the lens.""",
)


# 4 · Design the experiment

planted = Exercise(
    teacher="""Changed: the strength of the bias. Held fixed: architecture, number of training pictures (not free: a
strong phi leaves few, so cap the others), epochs, and the *audited* pictures, which have no bias at any strength.
Several trainings of each, since one network is one draw: with five, seeing it in 5 of 5 has a Wilson interval from
0.57.

Against the lens: as many alarms without a bias as with the strongest. Against the planting: networks that did not
learn the bias, because the task was easier than the shortcut. So measure the bias in the decisions by another way, as
accuracy on pictures that contradict it; a lens cannot see what is not there. Ask who checked that before they
believed a null result.""",
)
