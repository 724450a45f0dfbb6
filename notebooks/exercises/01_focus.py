"""The exercises of 01_focus: what your functions are tried on, what a difference means, and the teacher's words."""

import torch

from helpers.exercises import Exercise
from helpers.stats import Estimate

LEFT = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # of four pixels the two on the left are target


def maps(*rows):
    """Maps (M, 2, 2) from their four pixels each."""
    return torch.tensor(rows).view(-1, 2, 2)


# 1 · assemble


def assemble_tries(draw):
    yield (
        (torch.arange(4.0).view(1, 4, 1, 1, 1),),
        "Four tiles of one pixel, 0 1 over 2 3. Yours puts them so: {yours}. Tile 1 belongs at the top right, tile 2 "
        "at the bottom left.",
    )
    tiles = torch.arange(4.0).view(1, 4, 1, 1, 1).expand(1, 4, 1, 2, 2)
    yield (
        (tiles,),
        "Four tiles of 2 x 2 pixels, all 0, all 1, all 2, all 3: the mosaic is to show four squares. Yours shows "
        "{yours}. Which axis is the row of tiles, which the row in a tile? They have to be neighbours.",
    )
    yield (
        (torch.arange(24.0).view(1, 4, 3, 1, 2)[..., :1],),
        "Each of three colours is to be glued by itself. Yours mixes them: is the axis of colours still the second?",
    )
    for _ in range(3):
        yield (
            (torch.rand(2, 4, 3, 3, 3, generator=draw),),
            "On random tiles some pixels are not where they belong, although tiles of one colour are. Is a row or a "
            "column inside of each tile turned round?",
        )


def glued(*order):
    """Tiles as a mosaic, by another order of the axes M, row of tiles, column of tiles, colour, row, column."""

    def wrong(tiles):
        M, _, C, t, _ = tiles.shape
        return tiles.reshape(M, 2, 2, C, t, t).permute(order).reshape(M, C, 2 * t, 2 * t)

    return wrong


assemble = Exercise(
    tries=assemble_tries,
    mistakes={
        "A reshape alone does not move anything: it reads the numbers in the order in which they lie, and tears the "
        "tiles into strips. Split the 4 into 2 x 2, permute the axes to (M, C, row of tiles, row, column of tiles, "
        "column), then reshape.": lambda tiles: tiles.reshape(
            len(tiles), tiles.shape[2], 2 * tiles.shape[3], 2 * tiles.shape[4]
        ),
        "Tiles 1 and 2 have changed places: the mosaic is filled column by column. The first 2 of 2 x 2 counts the "
        "rows of tiles, the second the columns.": glued(0, 3, 2, 4, 1, 5),
        "Each tile lies on its side: inside of it rows and columns have changed places. Put each tile's row behind the "
        "row of tiles, its column behind the column of tiles.": glued(0, 3, 1, 5, 2, 4),
    },
    then="With torch.cat twice it can be done, too, without permute. Which of the two can a reader check faster?",
    teacher="""Draw the six axes on the board: mosaic, row of tiles, column of tiles, colour, row, column. `reshape`
can only merge axes that are neighbours, so the row of tiles has to stand directly before the row in a tile. Nearly
every student's first answer is the reshape alone; on tiles of *one* pixel it is right, which is why the first toy does
not catch it. Worth a minute: a toy that a wrong answer passes is too small.""",
)


# 2 · focus


def focus_tries(draw):
    one = LEFT[None]
    yield (
        (maps([3.0, 1, 0, 0]), one),
        "3 of the relevance lies on the target, 1 beside it: 3 of 4. Yours gives {yours}.",
    )
    yield (
        (maps([3.0, 1, -5, 0]), one),
        "A -5 was put on a target pixel, and yours goes from 0.75 to {yours}. It speaks against the class: does it "
        "count in R+?",
    )
    yield (
        (maps([-1.0, -1, -1, -1]), one),
        "On a map without positive relevance yours gives {yours}: is that 'looked elsewhere' or 'undefined'? A number "
        "would enter the median as if the map had said something. What is 0 / 0? See torch.where and torch.nan.",
    )
    yield (maps([0.0, 0, 0, 0]), one), "A map of zeros says nothing, so it has no Focus: NaN. Yours gives {yours}."
    yield (
        (maps([2.0, 2, 2, 2], [0, 5, 0, 0]), LEFT.expand(2, 2, 2)),
        "Two maps, one of them the same everywhere, one beside the target: a half and 0. Yours gives {yours}.",
    )
    for _ in range(5):
        T = (torch.rand(3, 4, 4, generator=draw) > 0.5).double()
        yield (
            (torch.randn(3, 4, 4, generator=draw), T),
            "On random maps yours gives {yours}, the course's {ours}. Do the first map by hand: the sum on the target, "
            "then the sum over all, both of what is above 0.",
        )


def share(over):
    """A share of `over(R)` on the target, a map each."""
    return lambda R, T: (over(R) * T).sum((1, 2)) / over(R).sum((1, 2))


focus = Exercise(
    tries=focus_tries,
    mistakes={
        "It looks as if negative relevance counted by its size, R.abs(). What speaks against the class is to be left "
        "out: R+ is max(R, 0). Which method of a tensor cuts off below 0?": share(torch.abs),
        "It looks as if relevance were added up with its sign. The -5 then takes away from the 3, and a share can come "
        "out above 1 or below 0. First R+, then the sums.": share(lambda R: R),
        "It looks as if the minimum of each map were subtracted first. A pretty picture needs that; the Focus must "
        "not: adding a constant to a map would change it (section 2).": share(
            lambda R: R - R.amin((1, 2), keepdim=True)
        ),
        "Yours gives one number for all maps together. Every mosaic has a Focus of its own: sum over the pixels, "
        "R.flatten(1) then .sum(1), and keep the first axis.": lambda R, T: (
            (R.clamp(min=0) * T).sum() / R.clamp(min=0).sum()
        ),
    },
    then="tile_shares adds up the same sums, tile by tile. Which line of yours would change for 3 x 3 tiles?",
    teacher="""The function is four lines; what it teaches is the third case. Let two students defend the two answers
to a map without positive relevance: 0 ("it did not find the target") and undefined ("it said nothing"). With 0, a
method that is silent on half of the mosaics gets a median of 0 to 0.5 and looks *wrong*; with NaN left out *and
counted*, both facts stay visible. The authors' code divides 0 by 0 and loses the whole median.

Ask then: what is chance? One half, the area of the target, for this mosaic; one ninth of the area would be another
chance. A metric without its chance level is an opinion.""",
)


# 3 · apart


def between(low, high):
    """An estimate in the middle of its interval."""
    return Estimate((low + high) / 2, low, high, 100, "mosaics")


def apart_tries(draw):
    yield (
        (between(0.8, 0.9), between(0.5, 0.6)),
        "The first interval, 0.8 to 0.9, lies above the second, 0.5 to 0.6: 1. Yours gives {yours}.",
    )
    yield (
        (between(0.5, 0.6), between(0.8, 0.9)),
        "The first interval lies below the second: -1. Yours gives {yours}. The sign is what says whether accuracy and "
        "Focus go the same way.",
    )
    yield (
        (between(0.62, 0.8), between(0.5, 0.7)),
        "0.62 to 0.8 and 0.5 to 0.7 share what lies from 0.62 to 0.7, so they cannot be told apart: 0. Yours gives "
        "{yours}.",
    )
    yield (
        (between(0.4, 0.9), between(0.6, 0.7)),
        "One interval lies inside of the other: they overlap, 0. Yours gives {yours}.",
    )
    yield (between(0.5, 0.6), between(0.6, 0.7)), "They touch at 0.6: not apart, 0. Yours gives {yours}. Is it > or >=?"
    yield (
        (Estimate(0.9, -torch.inf, torch.inf, 2, "mosaics"), between(0.5, 0.6)),
        "Two mosaics are too few for an interval: it reaches from minus to plus infinity, and nothing can be told: 0. "
        "Yours gives {yours}.",
    )
    for low in torch.rand(5, generator=draw).tolist():
        yield (between(low, low + 0.2), between(0.4, 0.6)), "Two more intervals: yours gives {yours}, expected {ours}."


apart = Exercise(
    tries=apart_tries,
    mistakes={
        "It looks as if the two values were compared. They always differ, if only by a single picture; the question is "
        "whether the intervals do. Which end of the higher one has to clear which end of the lower one?": lambda a, b: (
            (a.value > b.value) - (a.value < b.value)
        ),
        "The sign is turned round: +1 is to mean that the first one, a, lies above.": lambda a, b: (
            int(b.low > a.high) - int(b.high < a.low)
        ),
        "Yours says only that they are apart. The law is contradicted when accuracy goes up and Focus goes down: that "
        "takes a sign, +1 or -1.": lambda a, b: int(a.low > b.high or a.high < b.low),
    },
    then="Section 9 multiplies two of these, one for accuracy and one for Focus. What does a product of 0 mean there?",
    teacher="""Two non-overlapping 95 % intervals are a stricter test than a 95 % interval of the difference: intervals
may overlap a little, and the difference still be clear. Ask for the cost of each: this one asks nothing but the two
intervals (they may come from different data), the other needs the values. With many pairs the strictness is welcome:
among 45 pairs two or three would differ by accident, which is why the notebook widens all intervals first.""",
)


# 4 · What is wrong with this explanation?

smoothgrad = Exercise(
    teacher="""Two things are wrong. **A Focus belongs to a network *and* a method.** The table holds the network fixed
and changes the method: where another method puts most of its relevance on the target tiles, the network did use them,
and it is SmoothGrad that does not show it. (Were all methods at one half, the network would be the suspect; were the
network's accuracy at chance, too, the case would be closed.) **And one half is chance only for a map without any
preference**; a map that answers another question ("where would a change matter?") may be perfectly faithful to *its*
question and still land at one half.

What would convince: a control with a known answer. A network that provably looks elsewhere (its head's rows for two
classes swapped) must get a low Focus from a good method, and SmoothGrad's would not move.""",
)


# 5 · Design the experiment

seam = Exercise(
    teacher="""A good design names what is held fixed (the four pictures, the network, the method), what changes (only
whether the two target tiles share a border), what is measured (the paired difference, with its interval) and **what
result would speak against the idea**.

Three designs that students find: (1) sum on Grad-CAM's own grid (`resolution=native`), where nothing is enlarged and
nothing leaks by interpolation: if diagonals catch up, it was the enlarging. What is left then is the receptive field,
which also reaches over the seam. (2) A grey bar between the tiles, wider than the receptive field: both leaks go.
(3) Tiles explained one by one and glued afterwards as maps: no seam at all. The second changes the picture (the
network has never seen bars), the third the question (no tile competes). Name the price of each.

The toy says how large the first effect can be: a cell at the inner corner of its tile keeps about three quarters of
its relevance there once it is enlarged.""",
)


# 6 · One target tile

one_tile = Exercise(
    teacher="""Chance falls from 1/2 to 1/4, so the Focus of a map without preference falls; a perfect method keeps 1.
`rescaled(F, a=1/4)` puts both on one scale. It usually falls further than that. Two reasons can be told apart: with
one tile less there is half as much evidence for the class, and three tiles in place of two can look like it (or draw
the map by accident). `focus` needs no change: it never knew how many tiles there are. That is the sign of a definition
with the right arguments.""",
)
