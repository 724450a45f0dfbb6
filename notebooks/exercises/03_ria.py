"""The exercises of 03_ria: what your functions are tried on, what a difference means, and the teacher's words."""

import numpy as np
import torch

from helpers.exercises import Exercise


def boxes(*given):
    return torch.tensor(given, dtype=torch.float32)


# 1 · tight_box


def tight_box_tries(draw):
    mask = torch.zeros(1, 3, 4, dtype=torch.bool)
    mask[0, 1, 2] = True
    yield (
        (mask,),
        "One pixel, in row 1 and column 2. Its box begins at x = 2, y = 1 and ends just outside of it, at x = 3, y = "
        "2. Yours gives {yours}.",
    )
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[0, 1:3, 2:6] = True
    yield (
        (mask,),
        "A block of rows 1 to 2 and columns 2 to 5: x from 2 to 6, y from 1 to 3. Yours gives {yours}.",
    )
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[0, 0, 0] = mask[0, 3, 1] = True
    yield (mask,), "Two pixels far apart: one box around both, 0 0 2 4. Yours gives {yours}."
    yield (
        (torch.zeros(1, 3, 4, dtype=torch.bool),),
        "There is nothing to put a box around: yours gives {yours}. A box of zeros would lie in the corner of the "
        "picture and be measured there; NaN is counted and left out.",
    )
    yield (torch.ones(2, 3, 4, dtype=torch.bool),), "Two masks that fill the picture: 0 0 4 3, twice. Yours: {yours}."
    for _ in range(3):
        yield (
            (torch.rand(3, 4, 5, generator=draw) > 0.8,),
            "On random masks yours gives {yours}, expected {ours}.",
        )


def tight(last=1, empty=torch.nan, swapped=False):
    """Boxes around masks, the end so many pixels behind the last one."""

    def wrong(M):
        found = []
        for mask in M:
            y, x = mask.nonzero(as_tuple=True)
            x, y = (y, x) if swapped else (x, y)
            ends = [x.min(), y.min(), x.max() + last, y.max() + last] if len(x) else [empty] * 4
            found.append([float(end) for end in ends])
        return torch.tensor(found)

    return wrong


tight_box = Exercise(
    tries=tight_box_tries,
    mistakes={
        "Yours ends at the last pixel, not behind it. A single pixel would then have no width and no area, and a box "
        "of n pixels be n - 1 wide.": tight(last=0),
        "x and y have changed places: x counts columns, the last axis of the mask; y counts rows.": tight(swapped=True),
        "An empty mask gets a box of zeros in yours, a place in the upper left corner. It has no box: NaN.": (
            tight(empty=0.0)
        ),
    },
    then="what gradient has yours by the mask? (Section 3 needs the answer, and section 4 a way round it.)",
    teacher="""Half-open boxes are the convention that makes width = x1 - x0; let somebody who took the closed one
compute the area of a single pixel. Swapped axes are no beginner's slip: notebook 05 shows them in published code.

A loop over masks is a fine answer. It cannot be differentiated, and neither can the notebook's: whoever asks why the
notebook bothers with `argmax` gets the honest answer, speed.""",
)


# 2 · containment


def common(a, b):
    """The area that boxes share."""
    side = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    return side[:, 0] * side[:, 1]


def size(box):
    return (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])


def containment_tries(draw):
    yield (
        (boxes([2, 0, 6, 3]), boxes([0, 0, 4, 4])),
        "The map's box is 4 x 3, and its left half lies in the object's box: 0.5. Yours gives {yours}.",
    )
    yield (
        (boxes([1, 1, 2, 2]), boxes([0, 0, 4, 4])),
        "A single pixel inside of the object's box is contained in full: 1. Yours gives {yours}. (That this is all it "
        "takes is the weakness of the measure, and the subject of exercise 5.)",
    )
    yield (
        (boxes([0, 0, 4, 4]), boxes([1, 1, 2, 2])),
        "Turned round: one of the 16 pixels of the map's box is the object's. Yours gives {yours}.",
    )
    yield (boxes([0, 0, 2, 2]), boxes([3, 3, 5, 5])), "They do not meet: 0, and never below. Yours gives {yours}."
    yield (
        (boxes([2, 2, 2, 5]), boxes([0, 0, 4, 4])),
        "This box has no area, so there is no share of it: undefined, NaN. Yours gives {yours}.",
    )
    for _ in range(3):
        a, b = (torch.rand(4, 4, generator=draw).cumsum(1) * 3 for _ in range(2))
        yield (a, b), "On random boxes yours gives {yours}, expected {ours}. Draw the first pair on paper."


containment = Exercise(
    tries=containment_tries,
    mistakes={
        "That is the true intersection over union. The paper's number wears a hat, and divides by the map's box "
        "alone.": lambda B_gc, B_od: common(B_gc, B_od) / (size(B_gc) + size(B_od) - common(B_gc, B_od)),
        "Yours divides by the object's box: how much of the *object* is covered. That is the coverage of section 5. "
        "Here it is how much of the *map's* box is inside.": lambda B_gc, B_od: common(B_gc, B_od) / size(B_od),
        "A box without area gets a number in yours. 0 / 0 is no 0: it would count as a map that lies beside the "
        "object.": lambda B_gc, B_od: common(B_gc, B_od) / size(B_gc).clamp(min=1e-9),
    },
    then="which box has the largest containment, whatever the object? Exercise 5 asks what a loss makes of that.",
    teacher="""Containment, coverage, IoU: the same numerator over three denominators. Have each student draw two boxes
for which the three are far apart. The paper calls the first one IoU; a reader who takes the name for the thing will
think that a value of 1 means *agreement*, and it means *inside*.""",
)


# 3 · straight_through


def straight_through_tries(draw):
    G_hat = torch.full((1, 6, 8), 0.1)
    G_hat[0, 1:4, 2:6] = 0.9
    soft = torch.sigmoid(20 * (G_hat - 0.5))
    yield (
        (soft.clone().requires_grad_(), G_hat, 0.5),
        "Forward it is to be the hard box, 2 1 6 4, to the last digit. Yours gives {yours}.",
    )
    for _ in range(3):
        G_hat = torch.rand(2, 5, 6, generator=draw)
        yield (
            (torch.sigmoid(10 * (G_hat - 0.5)).requires_grad_(), G_hat, 0.5),
            "On random maps yours gives {yours}, expected {ours}: the hard box going forward, the soft box's gradient "
            "going back.",
        )


def soft(S):
    """The soft box of section 4, once more."""

    def before(p):
        return (1 - p).cumprod(1).sum(1)

    x, y = S.amax(1), S.amax(2)
    low = torch.stack([before(x), before(y)], 1)
    high = torch.stack([S.shape[2] - before(x.flip(1)), S.shape[1] - before(y.flip(1))], 1)
    return torch.cat([torch.minimum(low, high), torch.maximum(low, high)], 1)


def hard(G_hat, T):
    """The box around the peak's component, once more."""
    from scipy import ndimage

    found = []
    for one in G_hat.detach().numpy():
        labels, _ = ndimage.label(one > T, np.ones((3, 3)))
        y, x = np.nonzero(labels == labels[np.unravel_index(one.argmax(), one.shape)])
        found.append([x.min(), y.min(), x.max() + 1, y.max() + 1])
    return torch.tensor(np.array(found), dtype=torch.float32)


straight_through = Exercise(
    tries=straight_through_tries,
    mistakes={
        "Yours is the hard box, and no gradient leads back from it: a weight would never hear of it. Add something "
        "that is zero and has a gradient.": lambda S, G_hat, T: hard(G_hat, T),
        "Yours is the soft box, forward and back. The trick is to be exact going forward and smooth going back.": (
            lambda S, G_hat, T: soft(S)
        ),
        "The gradient is zero in yours, as it is where soft - soft takes it away again. What has to be detached, so "
        "that a difference is zero and its gradient is not?": lambda S, G_hat, T: hard(G_hat, T) + (soft(S) - soft(S)),
        "The gradient points the wrong way: the other of the two soft boxes is to be detached.": (
            lambda S, G_hat, T: hard(G_hat, T) + (soft(S).detach() - soft(S))
        ),
    },
    then="where does this lie matter? course run 03_ria -p surrogate=soft_box,straight_through compares the two.",
    teacher="""`hard + (soft - soft.detach())`: the value of the bracket is zero, its gradient is the soft box's. The
same line trains networks with quantised weights and discrete codes (look for *straight-through estimator*).

Ask what it may cost: the gradient belongs to another function than the value, so a step down it need not lower the
loss. Section 4 says what happens where the boxes do not touch.""",
)


# 4 · rfs


def rfs_tries(draw):
    yield (
        (0.2, 0.6),
        "Noise on the object leaves 0.2, noise behind it 0.6: 0.6 - 0.2 = 0.4, above 0 where the object matters more. "
        "Yours gives {yours}.",
    )
    yield (
        (np.array([0.2, 0.9]), np.array([0.6, 0.95]), True),
        "Normalised, each difference is divided by the largest that there can be at that mean accuracy. For 0.2 and "
        "0.6, whose mean is 0.4: 0.4 / 0.8. Yours gives {yours}.",
    )
    yield (
        (np.array([0.8]), np.array([0.8]), True),
        "Equal accuracies: no difference, and 0 is a result. Yours gives {yours}.",
    )
    yield (
        (np.array([1.0, 0.0]), np.array([1.0, 0.0]), True),
        "A network that is always right, or never, leaves no room for a difference: 0 / 0, undefined. Yours gives "
        "{yours}.",
    )
    for _ in range(3):
        a, b = torch.rand(2, 4, generator=draw).double().numpy()
        yield (a, b, True), "On random accuracies yours gives {yours}, expected {ours}."


def ratio(of, room):
    """A difference of accuracies, normalised by the room that it has, or as it is."""

    def wrong(a_fg, a_bg, normalised=False):
        a_fg, a_bg = np.asarray(a_fg, float), np.asarray(a_bg, float)
        found = of(a_fg, a_bg)
        with np.errstate(all="ignore"):
            return found / room((a_fg + a_bg) / 2) if normalised else found

    return wrong


def widest(mean):
    return 2 * np.minimum(mean, 1 - mean)


rfs = Exercise(
    tries=rfs_tries,
    mistakes={
        "The sign is turned round. Noise on the object hurts a network that uses the object: a_fg falls, and RFS is to "
        "be above 0. So it is a_bg - a_fg.": ratio(lambda a_fg, a_bg: a_fg - a_bg, widest),
        "Yours is divided by the mean accuracy alone. A network that is nearly always right has no room upwards, "
        "either: the room is 2 min(mean, 1 - mean).": ratio(lambda a_fg, a_bg: a_bg - a_fg, lambda mean: 2 * mean),
        "The 2 is missing: two accuracies with the mean 0.4 can be 0.8 apart (0 and 0.8), not 0.4.": (
            ratio(lambda a_fg, a_bg: a_bg - a_fg, lambda mean: widest(mean) / 2)
        ),
    },
    then="why does the notebook leave out the levels of noise at which a network is at chance? (Section 16.)",
    teacher="""Let students find the largest difference at a given mean themselves, on a square with the two
accuracies as axes: the lines of equal mean are diagonals, and the room is how far one can go along them before an edge.
A plain difference of 0.02 at a mean of 0.99 is all the room there is; at 0.5 it is nothing.""",
)


# 5 · What is wrong with this explanation?

spot = Exercise(
    teacher="""The containment of the single pixel is 1, its coverage 1/400. **The loss was granted literally**: the
fewer pixels the map's box has, the easier it lies inside. Three readings of "containment rose": the map moved to the
object; it shrank; or both, and only the coverage tells them apart (section 14 has a control for it).

The second gap is larger. Even a map that lies on the object is a statement about the *map*. Whether the background
matters less is asked with other backgrounds (section 15, the gap) or with noise (section 16). "Looks at" has two
meanings in the sentence, and the conclusion slips from one to the other.

Good extra question: which `per` would mend the first gap, and why is the second not a matter of the loss?""",
)


# 6 · Design the experiment

background = Exercise(
    teacher="""Held fixed: network, first weights, number of steps, test sets. Changed: the pictures (background swapped
at random in each epoch) or the loss (RIA). Measured: the gap, own minus swapped accuracy, over several trainings, not
the heatmap: one of the two arms never touches it.

What each needs to know: RIA a *box* for each training picture; swapping a *mask* (and backgrounds to put in). So a
third arm belongs to a fair comparison: cut out by box instead of by mask. And a fourth, the control: swapping
backgrounds *within* a class, which leaves the correlation as it is.

Most students expect swapping to win the gap by far, and it usually does: it takes the cue away where RIA only
discourages the map from showing it. Against it: on its own background it gives up accuracy that is easily had. Ask who
would want which. A result that would surprise: RIA with *wrong* boxes (section 17) as good as either.""",
)
