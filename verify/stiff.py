"""A stiff flow followed by SciPy, by other steps where the first choice gives up."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.integrate import solve_ivp

# LSODA may fail where the rounding of a fitted residual, over lambda, disturbs its error estimate;
# other steps, at a tighter tolerance or by another method, take it past that.
_ATTEMPTS = (("LSODA", 1), ("LSODA", 3), ("LSODA", 10), ("Radau", 1))


def solved(
    rate: Callable,
    first: float,
    start: np.ndarray,
    stops: Sequence[float],
    *,
    rtol: float,
    atol: float,
    args: tuple = (),
) -> list[np.ndarray]:
    """The values at ``stops`` (increasing) of d values/dt = rate(t, values, *args).

    Raises ``AssertionError`` where every attempt fails.

    >>> (end,) = solved(lambda t, x: -x, 0.0, np.ones(1), [1.0], rtol=1e-9, atol=1e-12)
    >>> round(float(end[0]), 6)
    0.367879
    """
    message = ""
    for method, shrink in _ATTEMPTS:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "lsoda: ", UserWarning)
            found = solve_ivp(
                rate,
                (first, stops[-1]),
                start,
                method=method,
                t_eval=stops,
                rtol=rtol / shrink,
                atol=atol,
                args=args,
            )
        if found.success:
            return list(found.y.T)
        message = found.message
    raise AssertionError(f"the flow could not be followed: {message}")
