"""Two small networks that go from lazy to rich with the scale of their output, as torch modules."""

import math

import torch
from torch import Tensor, nn

from lazyrich.simulate.arrays import generator


class Polynomial(nn.Module):
    """The papers' network in its NTK scale: N^(-1/2) sum_i h_i + (epsilon/2) h_i^2, h_i = w_i.x.

    >>> Polynomial(3, 50, 0.1, seed=0)(torch.ones(2, 3).double()).shape
    torch.Size([2])
    """

    def __init__(self, D: int, width: int, epsilon: float, seed: int) -> None:
        super().__init__()
        draws = generator(seed, "weights").standard_normal((width, D))
        self.W, self.epsilon = nn.Parameter(torch.as_tensor(draws)), epsilon

    def forward(self, x: Tensor) -> Tensor:
        h = x @ self.W.T
        return (h + self.epsilon / 2 * h.square()).mean(1) * math.sqrt(len(self.W))


class Diagonal(nn.Module):
    """x.(u^2 - v^2) from u = v = 1: rich training prefers sparse vectors.

    >>> Diagonal(3)(torch.ones(2, 3).double()).tolist()
    [0.0, 0.0]
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.ones(d, dtype=torch.float64))
        self.v = nn.Parameter(torch.ones(d, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.u.square() - self.v.square())
