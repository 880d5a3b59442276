"""Predict feature learning with infinitely many samples: when the network generalises.

By the closed form ``population-time``, or by integrating the two numbers that are left of the
network by symmetry. T = 2 epsilon |beta|^2 tau/(alpha D^2), tau = learning_rate * step, and
a = alpha epsilon sigma^2/|beta|^2. Centred predictor, infinite width.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from lazyrich.support.arguments import finite, positive_integer

LAST = 1e6  # T at which an integration gives up; the slowest tail is 1/T


@cache
def _law() -> Any:
    from lazyrich.theory import closed_form  # here, since importing SymPy takes a while

    return closed_form("population-time")


@cache
def _functions() -> dict[str, Callable]:
    return _law().functions("numpy")


@cache
def _rates() -> tuple[Callable, Callable]:
    """Of log q_1 and log q_perp in T, functions of D, a, q_1 and q_perp."""
    from lazyrich.theory.generate import function

    first, second = _law().components["log_rates"]
    return function(first, "numpy"), function(second, "numpy")


def tau_per_T(
    D: int, alpha: int | float, epsilon: int | float, b: int | float | None = None
) -> float:
    """Return alpha D^2/(2 epsilon |beta|^2), the tau that is one unit of T.

    >>> tau_per_T(10, alpha=2.0, epsilon=0.5)
    20.0
    """
    D = positive_integer("D", D)
    b = float(D) if b is None else finite("b", b, positive=True)
    at = {"alpha": finite("alpha", alpha, nonzero=True), "D": D, "b": b}
    return float(_functions()["tau"](epsilon=finite("epsilon", epsilon, nonzero=True), **at))


def time_to_learn(D: int, a: int | float, share: int | float = 0.5) -> float:
    """Return the T at which this share of the target along beta is learned, by the closed form.

    Within 4% at share 1/2 for every D and for a from 1e-6 to 1e3, and within 2% at 1 - 1/sqrt(2),
    where the misalignment is halved.

    >>> round(time_to_learn(1, 1.0), 4), round(time_to_learn(100, 1.0), 3)
    (0.1831, 0.27)
    """
    D, a = positive_integer("D", D), finite("a", a, positive=True)
    if not 0 < finite("share", share) < 1:
        raise ValueError(f"share = {share}: must be between 0 and 1")
    terms = _functions()
    needed = math.log(float(terms["decay_needed"](a=a, p=share)))

    def excess(T: float) -> float:
        return math.log(float(terms["decay"](D=D, T=T, a=a))) - needed

    # The rate is at least 2 (1 + a).
    slowest = -needed / (2 * (1 + a))
    return float(brentq(excess, 0.0, slowest, xtol=1e-12 * slowest))  # pyright: ignore


def competition(D: int, a: int | float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (q_1, q_perp) at these T, from 0 at a on, by integration: exact up to 1e-9.

    >>> q_1, q_perp = competition(20, 0.1, np.array([0.0, 30.0]))
    >>> [round(float(q), 3) for q in (q_1[0], q_perp[0], q_1[1])]
    [0.1, 0.1, 1.1]
    """
    times = np.asarray(times, dtype=float)
    found = _integrate(D, a, float(times.max()), times)
    return np.exp(found.y[0]), np.exp(found.y[1])


def time_below(D: int, a: int | float, threshold: int | float) -> float:
    """Return the T from which on the test loss is below ``threshold`` (|beta|^2/D)^2, exactly.

    Infinite where it is not by T = 1e6. The loss starts at 3/4 and never rises.

    >>> round(time_below(100, 1.0, 0.1), 3)
    0.309
    """
    D, a = positive_integer("D", D), finite("a", a, positive=True)
    threshold = finite("threshold", threshold, positive=True)
    loss = _functions()["loss"]

    def excess(_: float, log_q: Any) -> float:
        q_1, q_perp = np.exp(log_q)
        return float(loss(D=D, a=a, q_1=q_1, q_perp=q_perp)) - threshold

    excess.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    if excess(0.0, np.log([a, a])) <= 0:
        return 0.0
    (hits,) = _integrate(D, a, LAST, None, excess).t_events
    return float(hits[0]) if len(hits) else math.inf


def _integrate(
    D: int, a: int | float, last: float, times: np.ndarray | None, event: Any = None
) -> Any:
    D, a = positive_integer("D", D), finite("a", a, positive=True)
    first, second = _rates()

    def rates(_: float, log_q: Any) -> list[float]:
        q_1, q_perp = np.exp(log_q)
        at = {"D": D, "a": a, "q_1": float(q_1), "q_perp": float(q_perp)}
        return [float(first(**at)), float(second(**at))]

    return solve_ivp(
        rates,
        (0.0, last),
        [math.log(a)] * 2,
        method="LSODA",
        t_eval=times,
        events=event,
        rtol=1e-10,
        atol=1e-11,
    )
