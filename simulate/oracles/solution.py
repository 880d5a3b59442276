"""What an oracle returns, and the check of its certificate."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import numpy as np

# The largest relative residual of the conditions of optimality that counts as none. Interior-point
# solvers stop at 1e-8 or so, and the others well below.
TOLERANCE = 1e-6


class CertificateError(ArithmeticError):
    """A programme has no solution, or what a solver returned is not one."""


@dataclass(frozen=True)
class Solution:
    """A minimiser ``w`` (a vector, or a matrix), its ``value`` and its ``multipliers``.

    ``residuals`` are those of the conditions of optimality by name, relative to the size of their
    terms: together they prove that w is optimal up to their size.
    """

    w: np.ndarray
    value: float
    multipliers: np.ndarray
    residuals: Mapping[str, float]

    def certified(self, tolerance: float = TOLERANCE) -> "Solution":
        """Return self. Raises ``CertificateError`` where a residual exceeds the tolerance.

        >>> Solution(np.ones(1), 1.0, np.ones(1), {"gap": 0.1}).certified()
        Traceback (most recent call last):
        ...
        lazyrich.simulate.oracles.solution.CertificateError: not optimal: gap 0.1 exceeds 1e-06
        """
        for name, size in self.residuals.items():
            if not size <= tolerance:
                raise CertificateError(f"not optimal: {name} {size:.2g} exceeds {tolerance:g}")
        return self


def relative(error: float, size: float) -> float:
    """Return error/size, 0 of 0.

    >>> relative(1.0, 4.0), relative(0.0, 0.0)
    (0.25, 0.0)
    """
    return float(error / size) if error else 0.0


def excess(values: np.ndarray) -> float:
    """Return how far the largest of the values is above 0; 0 if it isn't."""
    return max(0.0, float(np.max(values)))


def solver() -> ModuleType:
    """Return cvxpy with Clarabel. Raises ``ModuleNotFoundError`` in one line without them."""
    try:
        import clarabel  # noqa: F401
        import cvxpy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed: pip install cvxpy clarabel"
        ) from None
    return cvxpy
