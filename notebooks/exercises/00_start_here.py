"""The exercises of 00_start_here: what your function is tried on, what a difference means, and the teacher's words."""

import torch
from torch import nn

from helpers.exercises import Exercise

# 1 · saliency


class Toy(nn.Module):
    """Pictures (N, 3, H, W) to scores: class 0 adds up weights times pixels; class 1 is a constant, and higher."""

    def __init__(self, weights, constant=100.0):
        super().__init__()
        self.weights, self.constant = nn.Parameter(weights), constant

    def forward(self, x):
        s = (x * self.weights).sum((1, 2, 3))
        return torch.stack([s, s * 0 + self.constant], 1)


def saliency_tries(draw):
    first = torch.tensor([0])
    weights = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]], [[0.0, 0.0]]])  # 3 colours, 1 row, 2 columns
    yield (
        (Toy(weights), torch.ones(1, 3, 1, 2), first),
        "The score is 1 x red of the first pixel + 2 x green of the second. So it moves by 1 and by 2: [1, 2]. Yours "
        "gives {yours}.",
    )
    yield (
        (Toy(-weights), torch.ones(1, 3, 1, 2), first),
        "Here brighter pixels lower the score. Saliency asks how much it moves, not which way: [1, 2] again. Yours "
        "gives {yours}.",
    )
    yield (
        (Toy(torch.tensor([[[1.0]], [[2.0]], [[-4.0]]])), torch.ones(1, 3, 1, 1), first),
        "One pixel whose colours move the score by 1, 2 and -4: the largest in size is 4. Yours gives {yours}.",
    )
    for _ in range(3):
        net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3))
        for p in net.parameters():
            p.data = torch.randn(p.shape, generator=draw)
        yield (
            (net, torch.randn(2, 3, 2, 2, generator=draw), torch.tensor([2, 0])),
            "On a small random network and two pictures yours gives {yours}, the course's {ours}. Of which score is it "
            "the derivative: that of class c, for each picture its own?",
        )


def gradient(net, x, c=None):
    x = x.clone().requires_grad_()
    s = net(x)
    s = s.amax(1) if c is None else s.gather(1, c[:, None])
    return torch.autograd.grad(s.sum(), x)[0]


saliency = Exercise(
    tries=saliency_tries,
    mistakes={
        "The size is missing: a derivative of -4 moves the score more than one of 2. Take .abs() before the largest.": (
            lambda net, x, c: gradient(net, x, c).amax(1)
        ),
        "It looks as if the three colours were added up. The equation takes the largest of the three.": (
            lambda net, x, c: gradient(net, x, c).abs().sum(1)
        ),
        "It looks as if the network's own favourite were explained, s.amax(1). Asked is class c, whether or not the "
        "network predicts it: s.gather(1, c[:, None]).": lambda net, x, c: gradient(net, x).abs().amax(1),
        "It looks as if pixel times derivative were given. That is another heatmap, and a good one; saliency is the "
        "derivative alone.": lambda net, x, c: (x * gradient(net, x, c)).abs().amax(1),
    },
    then="keep the sign: sum x times the derivative over the colours. Red then speaks for the class, blue against it.",
    teacher="""Ask for the units before the code: score per brightness. A heatmap of saliency says where the score is
*sensitive*, not what made it. The toy with the negative weights is where most first answers part.

The extension (sum of $x\\,\\partial s_c/\\partial x$ over all pixels, compared with the score) is exact for a network
without biases and norms, and the gap is a fine lead into LRP: who gets what the biases contribute?""",
)


# 2 · What is wrong with this explanation?

snail = Exercise(
    teacher=""""The heatmap lies on the object, so the network recognises it by its shape." Three gaps: (1) *on the
object* is where, not what: colour, texture and shape lie in the same place. (2) A map can lie on the object because
objects lie in the middle, or because it follows edges of the *picture*: the correlation with the map of a network that
has learnt nothing says how much of it needs no learning at all. (3) One picture, chosen because it looks convincing.

A number that is far above that of random noise (about 0) is the usual finding for saliency, and it surprises: some of
what looks like understanding is the picture. Notebook 01, section 4, makes a test of it.""",
)


# 3 · Design the experiment

least_likely = Exercise(
    teacher="""If a map explains *why this class*, asking for another class has to change it. A rank correlation near
1 between the maps of the most and the least likely class says that the method shows what is salient in the picture,
whatever it is asked. To conclude anything, students need a level to compare with: the same method between *two
pictures* (below it: nothing in common), and between two trainings of the same network (above it: the same question).
Let them say before running which of the methods can hardly change (the random map: its noise does not know the
class).""",
)
