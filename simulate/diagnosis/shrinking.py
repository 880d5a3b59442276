"""What weight decay does to how lazy a network is.

Decay shrinks the weights by c = exp(-decay t). A network that is homogeneous of degree d is then as
far from its linearisation as with an output c^d times as large, so that a lazy one becomes rich at
about log(alpha)/(d decay) [Lyu et al.]. A network that is nearly linear in its weights does not
become richer. Which of these holds is measured, at half the weights: how far must they move along
their own lazy path until the kernel has changed as much?
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.laziness import NOTICEABLE, kernel_change_along
from lazyrich.simulate.modules.frozen import copied

# The weights are shrunk by this factor.
_SHRUNK = 0.5
# Moves along the lazy path are looked for between exp(-_FAR) and exp(_FAR) of it.
_FAR, _BISECTIONS = 30.0, 16


def power_of_shrinking(expansion: Expansion, a: Tensor) -> float:
    """Return k: weights times c make a network as lazy as an output times c^k does.

    ``a``: a solution of the linearised twin, whose change of the outputs is compared. 0 where the
    kernel does not change: such a network stays lazy.

    >>> from lazyrich.simulate import Data
    >>> from lazyrich.simulate.modules.small import Diagonal
    >>> X = torch.eye(4, dtype=torch.float64)[:3]
    >>> homogeneous_of_degree_2 = Expansion(Diagonal(4), Data(X, X[:, 0]))
    >>> round(power_of_shrinking(homogeneous_of_degree_2, torch.tensor([1.0, 0, 0])), 3)
    2.0
    """
    model = copied(expansion.model)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.mul_(_SHRUNK)
    shrunk = Expansion(model, expansion.data, expansion.batch)
    along, other = expansion.direction(a), shrunk.direction(a)
    moved, moved_other = expansion.response(along)[0], shrunk.response(other)[0]
    change = kernel_change_along(expansion, along)
    goal = min(NOTICEABLE, change(1.0))
    overlap = float(moved @ moved_other)
    if not goal > 0 or not overlap > 0:
        return 0.0
    further = float(moved @ moved) / overlap  # for the same change of the outputs
    other = {name: further * value for name, value in other.items()}
    ratio = _reached(change, goal) / _reached(kernel_change_along(shrunk, other), goal)
    return math.log(ratio) / math.log(1 / _SHRUNK)


def _reached(change: Callable[[float], float], goal: float) -> float:
    """Return the part of a move at which the kernel has changed so much."""
    low, high = -_FAR, _FAR
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if change(math.exp(middle)) >= goal else (middle, high)
    return math.exp((low + high) / 2)
