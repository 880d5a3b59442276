"""Predictions of fully lazy training: its mean test loss, the peak near P = D, the early plateau.

Means over data sets, by ``lazy-learning-curve`` and ``early-plateau`` of the theory. Losses are
those of y = (beta.x)^2/2, with b = |beta|^2 (D unless given).
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from lazyrich.support.arguments import finite, positive_integer


class LazyLoss(NamedTuple):
    """A mean test loss and its parts on linear, radial and traceless functions of x."""

    total: float
    linear: float
    radial: float
    traceless: float


class Plateau(NamedTuple):
    """Mean test and train loss of least squares of y on x; infinite where no mean exists."""

    test: float
    train: float


@cache
def _functions(name: str) -> dict[str, Callable]:
    from lazyrich.theory import closed_form  # here, since importing SymPy takes a while

    return closed_form(name).functions("numpy")


def loss_of_nothing(D: int, b: int | float) -> float:
    """Return <y^2>, the loss of predicting nothing, at |beta|^2 = b.

    >>> loss_of_nothing(10, 10.0)
    0.75
    """
    return float(_functions("early-plateau")["null"](D=D, b=float(b)))


def exact_from(D: int) -> int:
    """Return the P from which on lazy training is exact: D (D + 3)/2.

    >>> exact_from(40)
    860
    """
    return int(_functions("lazy-learning-curve")["exact_from"](D=positive_integer("D", D)))


def effective_ridge(
    D: int, P: int | float, epsilon: int | float, sigma: int | float = 1.0
) -> float:
    """Return the kappa at which the kernel's eigenspaces have P functions learned between them.

    P, from above 0 to below ``exact_from(D)``, need not be whole.

    >>> kappa = effective_ridge(40, 40, 0.5)
    >>> samples = _functions("lazy-learning-curve")["samples"]
    >>> round(float(samples(D=40, epsilon=0.5, sigma=1.0, kappa=kappa)), 9)
    40.0
    """
    D, P = positive_integer("D", D), finite("P", P, positive=True)
    epsilon, sigma = finite("epsilon", epsilon, nonzero=True), finite("sigma", sigma, positive=True)
    if exact_from(D) <= P:
        raise ValueError(f"P = {P:g}: must be below D (D + 3)/2 = {exact_from(D)}")
    samples = _functions("lazy-learning-curve")["samples"]

    def excess(log_kappa: float) -> float:
        kappa = math.exp(log_kappa)
        return float(samples(D=D, epsilon=epsilon, sigma=sigma, kappa=kappa)) - P

    # All functions are learned far below the smallest eigenvalue and none far above the trace.
    s = (epsilon * sigma) ** 2
    largest = math.log(2 * (1 + 3 * s) / P)
    smallest = math.log(s / D**2 * (exact_from(D) - P) / exact_from(D) / D**2)
    log_kappa = brentq(excess, min(smallest, largest) - 10, largest + 10, xtol=1e-13)
    return math.exp(float(log_kappa))  # pyright: ignore[reportArgumentType]


def lazy_loss(
    D: int,
    P: int | float,
    epsilon: int | float,
    *,
    sigma: int | float = 1.0,
    b: int | float | None = None,
) -> LazyLoss:
    """Return the mean test loss of fully lazy training on P samples; 0 from ``exact_from(D)`` on.

    >>> round(lazy_loss(40, 80, 0.25).total, 4)
    0.9497
    >>> lazy_loss(40, 860, 0.25).total
    0.0
    """
    D = positive_integer("D", D)
    if finite("P", P, positive=True) >= exact_from(D):
        return LazyLoss(0.0, 0.0, 0.0, 0.0)
    kappa = effective_ridge(D, P, epsilon, sigma)
    at = {"D": D, "epsilon": float(epsilon), "sigma": float(sigma), "kappa": kappa}
    at["b"] = float(D) if b is None else finite("b", b, positive=True)
    terms = _functions("lazy-learning-curve")
    parts = [float(terms[name](**at)) for name in LazyLoss._fields[1:]]
    return LazyLoss(sum(parts), *parts)


def peak(
    D: int, epsilon: int | float, *, sigma: int | float = 1.0, b: int | float | None = None
) -> tuple[int, float]:
    """Return the P at which the mean test loss of lazy training is largest, and that loss.

    P = 0, predicting nothing, where more samples never make it worse.

    >>> peak(40, 0.1)[0]
    40
    >>> peak(40, 1.2)
    (0, 0.75)
    """
    power = float(_functions("early-plateau")["null"](D=D, b=float(D) if b is None else b))
    # Along the ridge kappa both are functions; then whole numbers of samples next to the largest.
    near: range | list[int] = range(1, 2 * D + 1)
    if D > 8:  # then 2 D samples don't tell all features
        low, high = (math.log(effective_ridge(D, P, epsilon, sigma)) for P in (2 * D, 1))
        at = {"D": D, "epsilon": float(epsilon), "sigma": float(sigma)}
        at["kappa"] = np.exp(np.linspace(low, high, 40 * max(D, 20)))
        terms = _functions("lazy-learning-curve")
        b_D = at | {"b": float(D if b is None else b)}
        total = sum(np.asarray(terms[name](**b_D)) for name in LazyLoss._fields[1:])
        best = int(np.argmax(total))
        middle = round(float(np.asarray(terms["samples"](**at))[best]))
        near = sorted({1, 2 * D, *range(max(1, middle - 2), min(2 * D, middle + 2) + 1)})
    losses = {P: lazy_loss(D, P, epsilon, sigma=sigma, b=b).total for P in near}
    return max([(0, power), *losses.items()], key=lambda item: item[1])


def plateau(D: int, P: int, *, b: int | float | None = None) -> Plateau:
    """Return the mean losses of the early plateau at small epsilon: least squares of y on x.

    >>> plateau(1, 5)
    Plateau(test=1.0476190476190477, train=0.3333333333333333)
    >>> plateau(10, 10).test
    inf
    """
    D, P = positive_integer("D", D), positive_integer("P", P)
    at = {"D": D, "P": P, "b": float(D) if b is None else finite("b", b, positive=True)}
    terms = _functions("early-plateau")
    train = float(terms["train"](**at)) if P > D else 0.0
    if abs(P - D) < 2:
        return Plateau(math.inf, train)
    return Plateau(float(terms["many_samples" if P > D else "few_samples"](**at)), train)
