"""When a diagonal network with the logistic loss learns sparse labels: the law, in numbers.

By the closed form ``sparse-transition`` [Lyu et al. 2024, Fig. 1], from |thetabar| = 1.
"""

import math
from collections.abc import Callable
from functools import cache

from scipy.optimize import root_scalar

LEVEL = 0.75  # the test accuracy that counts as the transition


def predicted_transition(d: int, n: int, alpha: float, lamda: float, level: float = LEVEL) -> float:
    """Return lambda t at which the law says that the test accuracy passes ``level``.

    Raises ``ValueError`` where it says that it never does, n being too small for d.

    >>> round(predicted_transition(100_000, 256, 128.0, 1e-3), 2)
    2.57
    """
    nu = _dual(d, n, level)
    square = _term("scale_square")(nu=nu, n=n, d=d, lamda=lamda)
    return math.log(alpha) - math.log(square) / 2


@cache
def _dual(d: int, n: int, level: float) -> float:
    accuracy, ratio = _term("accuracy"), _term("ratio")
    wanted = root_scalar(lambda r: accuracy(r=r) - level, bracket=(0.0, 40.0)).root
    if ratio(nu=0.25, n=n, d=d) < wanted:
        raise ValueError(
            f"n = {n}: must be larger at d = {d}, or no accuracy of {level} is reached"
        )
    return root_scalar(lambda nu: ratio(nu=nu, n=n, d=d) - wanted, bracket=(1e-9, 0.25)).root


def _term(name: str) -> Callable[..., float]:
    return _functions()[name]


@cache
def _functions() -> dict[str, Callable[..., float]]:
    from lazyrich.theory import closed_form  # here, since importing SymPy takes a while

    return closed_form("sparse-transition").functions("numpy")
