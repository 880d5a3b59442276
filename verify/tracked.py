"""Exact values with their magnitudes: what a formula gives, and how far rounding could carry it.

The magnitude of a sum is the sum of the magnitudes, that of a product their product: the same
formula on absolute values. It is what ``tolerances`` multiplies by the rounding errors.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from lazyrich.verify.coordinates import interpret


@dataclass(frozen=True)
class Tracked:
    """A rational value and its magnitude.

    >>> small = Tracked.of(1.0) - Tracked.of(0.75)
    >>> small.value, small.magnitude
    (Fraction(1, 4), Fraction(7, 4))
    """

    value: Fraction
    magnitude: Fraction

    @classmethod
    def of(cls, number: Any) -> "Tracked":
        """An exact number: an integer, a float or a SymPy rational."""
        if isinstance(number, sp.Rational):
            number = Fraction(int(number.p), int(number.q))
        value = Fraction(number)
        return cls(value, abs(value))

    def __add__(self, other: "Tracked") -> "Tracked":
        return Tracked(self.value + other.value, self.magnitude + other.magnitude)

    def __sub__(self, other: "Tracked") -> "Tracked":
        return Tracked(self.value - other.value, self.magnitude + other.magnitude)

    def __mul__(self, other: "Tracked") -> "Tracked":
        return Tracked(self.value * other.value, self.magnitude * other.magnitude)

    def __pow__(self, exponent: int) -> "Tracked":
        if exponent < 0:
            # d(1/v)/(1/v) = -dv/v: the condition number stays.
            condition = self.magnitude / abs(self.value)
            inverse = Tracked(1 / self.value, condition / abs(self.value))
            return inverse**-exponent
        return Tracked(self.value**exponent, self.magnitude**exponent)

    def __int__(self) -> int:
        return int(self.value)


def tracked(expr: sp.Basic, values: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(value, magnitude) of each part of a closed form at arrays of exact floats.

    One pair of float arrays for a scalar or a matrix, one for each part of a tuple, tuples inside
    tuples opened; vectors have shape (D,). Raises ``ValueError`` for a formula with roots or
    inverses of matrices, ``ZeroDivisionError`` outside the formula's domain.

    >>> from lazyrich.theory.symbols import M
    >>> tracked(sp.Trace(M), {"M": np.array([[2.0, 1.0], [1.0, -1.5]]), "D": 2})
    [(array(0.5), array(3.5))]
    """
    names = {s.name.replace("'", "_prime") for s in expr.atoms(sp.MatrixSymbol) if s.shape[1] == 1}
    exact = {name: _exact(value, name in names) for name, value in values.items()}
    return [_pair(interpret(part, exact, Tracked.of), part) for part in flat(expr)]


def flat(parts: Any) -> list:
    """The parts of a formula, or of its value, with tuples inside tuples opened.

    >>> flat(((1, 2), 3))
    [1, 2, 3]
    """
    if not isinstance(parts, tuple | sp.Tuple):
        return [parts]
    return [item for part in parts for item in flat(part)]


def _pair(value: Any, part: sp.Basic) -> tuple[np.ndarray, np.ndarray]:
    is_column = isinstance(part, sp.MatrixExpr) and part.shape[1] == 1
    pair = []
    for field in ("value", "magnitude"):
        floats = np.vectorize(lambda item, field=field: float(getattr(item, field)))(value)
        pair.append(floats[:, 0] if is_column else floats)
    return pair[0], pair[1]


def _exact(value: Any, is_column: bool) -> Any:
    if np.ndim(value) == 0:
        return Tracked.of(value)
    array = np.empty(np.shape(value), dtype=object)
    for place in np.ndindex(array.shape):
        array[place] = Tracked.of(float(value[place]))
    return array[:, None] if is_column else array
