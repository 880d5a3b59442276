"""The method of Runge-Kutta-Chebyshev steps: the coefficients of its stages and of its result.

The stages are those of van der Houwen and Sommeijer (ZAMM 60, 1980, 479) in the form of Sommeijer,
Shampine and Verwer (J. Comput. Appl. Math. 88, 1998, 315): stage j is a polynomial in z = h lambda,

    R_j(z) = 1 - b_j + b_j T_j(1 + w1 z),      b_j = T_j''(1)/T_j'(1)^2,      w1 = 2/(0.4 s^2),

bounded by 1 on the stable interval, of second order at its own time c_j, and cheap by the
recurrence of T_j. Their method (RKC2) takes the last stage as the result: second order. Here the
result is y + h sum_j w_j rhs(stage j), with weights of third order. As the R_j span all
polynomials, the weights can give any stability polynomial of degree s: it is the one of least mean
square on the interval (in the Chebyshev weight) that agrees with exp(z) to third order, a linear
problem in four unknowns. It stays below 0.9 beyond z = -3, for every s >= 5 (tested). The same
construction to second order gives the companion that estimates the error.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

# Steps h with h rho up to INTERVAL s^2 are stable; MIN_STAGES is the least s for which that holds.
INTERVAL = 0.4
MIN_STAGES = 5
# Of stages 0 and 1, which may be anything: that of stage 2 without its correction.
B_1 = 0.25


class Coefficients(NamedTuple):
    """The method of s stages, the first of which is y itself.

    Stage 1 is y + h first rhs(y); ``others`` are (mu, nu, mu~, gamma~) of stages 2 to s - 1.
    ``weights`` are those of the result and ``error`` those of the result less its companion, one
    a stage; ``interval`` is the length of the stable interval.
    """

    first: float
    others: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    error: tuple[float, ...]
    interval: float


def stability_polynomial(stages: int, order: int, theta: float = 1.0) -> np.ndarray:
    """Return the Chebyshev coefficients, in x = 1 + w1 z, of the stability polynomial.

    It has degree ``stages`` and the least integral of its square over -1 < x < 1 in the weight
    (1 - x^2)^(-1/2), that is, the least q_0^2 + sum_k q_k^2/2, among those with the first
    ``order`` + 1 derivatives of exp(theta z) at z = 0. Other theta than 1 serve the dense output;
    their weights meet the condition of ``coefficients`` on the second stage as well.

    >>> q = stability_polynomial(5, 3)                                 # at x = 1, that is, z = 0
    >>> slope = np.polynomial.chebyshev.chebval(1.0, np.polynomial.chebyshev.chebder(q))
    >>> round(float(q.sum()), 12), round(float(slope * 2 / (INTERVAL * 5**2)), 12)
    (1.0, 1.0)
    """
    dense = theta != 1 and stages <= 20
    C, inverse_weight, matrix = _conditions(stages, order, dense)
    values = np.zeros(len(C))
    values[: order + 1] = (INTERVAL / 2 * theta) ** np.arange(order + 1.0)
    return inverse_weight * (C.T @ np.linalg.solve(matrix, values))


@cache
def _conditions(stages: int, order: int, dense: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the conditions on a stability polynomial, weights and the matrix of its solution."""
    k = np.arange(stages + 1)
    # T_k^(m)(1) is the product of (k^2 - i^2)/(2 i + 1) over i < m; scaled by s^(-2 m).
    rows = [np.ones(stages + 1)]
    for i in range(order):
        rows.append(rows[-1] * (k**2 - i**2) / ((2 * i + 1) * stages**2))
    if dense:
        # p_j of (Q - 1)/z is 2 w1 sum_k (k - j) q_k over k > j: the division of _quotient, solved.
        first, second = np.maximum(k - 1, 0), np.maximum(k - 2, 0)
        rows.append((B_1 * first + (16 * _second(stages) - 4) * second) / stages)
    C, inverse_weight = np.array(rows), np.where(k == 0, 1.0, 2.0)
    return C, inverse_weight, (C * inverse_weight) @ C.T


def _quotient(q: np.ndarray, stages: int) -> np.ndarray:
    """Return the Chebyshev coefficients of (Q - 1)/z, of degree s - 1: synthetic division."""
    p = np.zeros(stages + 2)
    for k in range(stages, 1, -1):
        p[k - 1] = 2 * (q[k] + p[k]) - p[k + 1]
    p[0] = q[1] + p[1] - p[2] / 2
    return p[:stages] * 2 / (INTERVAL * stages**2)


@cache
def _second(stages: int) -> float:
    """Return b_2; see ``coefficients``."""
    p = _quotient(stability_polynomial(stages, 3), stages)
    return float(0.25 - p[1] * B_1 / (16 * p[2]))  # as w_j = p_j/b_j, T_2'(1) = T_2''(1) = 4


def weights_of(q: np.ndarray, stages: int) -> np.ndarray:
    """Return the weights w of the stages that give this stability polynomial.

    sum_j w_j R_j = sum_j p_j T_j = (Q - 1)/z.
    """
    b, p = _scales(stages), _quotient(q, stages)
    w = p / b
    w[0] = p[0] - ((1 - b[1:]) * w[1:]).sum()
    return w


def _scales(stages: int) -> np.ndarray:
    """Return b_0 to b_(s-1): b_0 and b_1 are free, b_2 see ``coefficients``, then the module."""
    return np.array([B_1, B_1, _second(stages), *((1 - 1 / j**2) / 3 for j in range(3, stages))])


@cache
def coefficients(stages: int) -> Coefficients:
    """Return the method of ``stages`` >= MIN_STAGES stages; see the module for its derivation.

    Third order needs sum_j w_j c_j^2 = 1/3 besides what Q = exp + O(z^4) says, 1/6 for the sum
    over second-order accurate stages. Only stage 1 is not, being one Euler step; b_2 is what
    makes the defects of stages 1 and 2 cancel: w_1 c_1^2 + w_2 (c_2^2 - R_2''(0)) = 0.

    >>> method = coefficients(5)
    >>> round(sum(method.weights), 12), abs(round(sum(method.error), 12)), method.interval
    (1.0, 0.0, 10.0)
    """
    w1, b = 2 / (INTERVAL * stages**2), _scales(stages).tolist()
    others = []
    for j in range(2, stages):
        mu, nu = 2 * b[j] / b[j - 1], -b[j] / b[j - 2]
        others.append((mu, nu, mu * w1, -(1 - b[j - 1]) * mu * w1))
    weights = weights_of(stability_polynomial(stages, 3), stages)
    companion = weights_of(stability_polynomial(stages, 2), stages)
    error = weights - companion
    return Coefficients(
        b[1] * w1,
        tuple(others),
        tuple(weights.tolist()),
        tuple(error.tolist()),
        INTERVAL * stages**2,
    )


def stages_for(z: float) -> int:
    """Return the least number of stages that is stable for h rho = z.

    >>> stages_for(0.0), stages_for(10.0), stages_for(10.1), stages_for(4000.0)
    (5, 5, 6, 100)
    """
    return max(MIN_STAGES, math.ceil(math.sqrt(z / INTERVAL)))
