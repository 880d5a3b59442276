"""Differences of nearby values without cancellation: alpha [p(1/alpha) - p(0)] for large alpha."""

import math
from typing import Any

LARGE = 1e3  # alpha from which a difference of two float64 values loses too many digits
_SMOOTH = 10  # the degree of the interpolation of a smooth activation between neurons


def difference_weights(alpha: float, degree: int, reach: float) -> tuple[list[float], list[float]]:
    """Return nodes t and weights c with sum_j c_j p(t_j) = alpha [p(1/alpha) - p(0)].

    Exact for polynomials p of this degree, at every alpha. The nodes lie within ``reach`` of 0:
    the farther apart, the less cancels.

    >>> nodes, weights = difference_weights(1e20, 3, 0.5)
    >>> p = lambda t: 1e3 + 2 * t + 5 * t**2 - t**3
    >>> round(sum(c * p(t) for t, c in zip(nodes, weights)), 9)
    2.0
    """
    import numpy as np

    count = degree + 1
    unit = np.array([math.cos(math.pi * (j + 0.5) / count) for j in range(count)])
    # Column j holds the coefficients of the polynomial that is 1 at node j and 0 at the others.
    lagrange = np.linalg.inv(np.vander(unit, increasing=True))
    powers = (1 / alpha / reach) ** np.arange(degree)
    return (reach * unit).tolist(), (powers @ lagrange[1:] / reach).tolist()


def apart(
    start: Any, change: Any, readouts: Any, readouts_change: Any, alpha: float, degree: int | None
) -> tuple[list[Any], list[Any]]:
    """Return neurons, in parts, whose sum is the change of a network, and nothing cancels.

    alpha sum_i [v_i phi(w_i.x) - v0_i phi(w0_i.x)], with w = w0 + change/alpha, v likewise, is the
    sum of amplitude phi(w.x) over the parts. ``degree`` is that of phi; None for a smooth phi
    such as erf, where it holds up to about 10^-10. Without ``readouts_change`` they are fixed.
    """
    size = float((change**2).mean()) ** 0.5
    reach = max(float((start**2).mean()) ** 0.5, 1e-3) / size if size else 1.0
    if degree is None:
        degree, reach = _SMOOTH, reach / 16
    nodes, weights = difference_weights(alpha, max(degree, 1), reach)
    neurons = [start + t * change for t in nodes]
    amplitudes = [c * readouts for c in weights]
    if readouts_change is not None:
        neurons.append(start + change / alpha)
        amplitudes.append(readouts_change)
    return neurons, amplitudes
