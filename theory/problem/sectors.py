"""The eigenvalues of a polynomial activation's initial kernel, one harmonic degree at a time.

How many there are is known exactly: it is the rank of a matrix of rational numbers. Where floating
point finds fewer, as with h + c h^3 at c = 1e-8, they are computed again with as many digits as it
takes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
import sympy as sp

from lazyrich.theory.problem import radial
from lazyrich.theory.symbols import D as _D

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

SMALL = 1e-13  # an eigenvalue below this part of the scale that it was computed at is rounding
_DIGITS = (50, 100, 200, 400, 800)


@dataclass(frozen=True)
class Sector:
    """One harmonic degree: eigenvalues (k,), and (k, n) inner products with |x|^(2i) Y by ``i``.

    ``scale`` is the size of the numbers that the eigenvalues were computed from, ``rank`` how many
    are above 0, or None where there are infinitely many.
    """

    values: np.ndarray
    products: dict[int, np.ndarray]
    scale: float
    rank: int | None = None

    def powers(self, target: dict[tuple[int, int], float]) -> np.ndarray:
        """The target's power on each eigenfunction."""
        total = np.zeros_like(self.values)
        for (i, j), amount in target.items():
            total = total + amount * self.products[i] * self.products[j]
        return total

    def kept(self, multiplicity: int, trace: float) -> np.ndarray:
        """Whether each eigenvalue is one, and no rounding of 0."""
        if self.rank is not None:
            return np.arange(len(self.values)) >= len(self.values) - self.rank
        return (self.values > SMALL * self.scale) & (multiplicity * self.values > SMALL * trace)


def exact_sectors(
    problem: "Problem", D: int, numbers: dict[sp.Symbol, float]
) -> dict[int, tuple[int, Sector]]:
    """Return {harmonic degree: (multiplicity, sector)} of a polynomial activation's kernel.

    Raises ``ValueError`` where its numbers leave the range of floating point.
    """
    sectors = {}
    for l, kappa in problem.coefficient_matrices.items():
        multiplicity = int(radial.harmonics(l, sp.Integer(D)))
        if multiplicity == 0:
            continue
        found = radial.reached(kappa)
        part = kappa.extract(found, found)
        highest = max(found[-1], problem.target.degree // 2)
        exact = in_rationals(part, D, numbers)
        rank = radial.rank(exact) if any(exact) else 0
        sector = _in_floats(part.subs({_D: D, **numbers}), found, l, D, highest, rank)
        if rank and sector.values[-rank] <= SMALL * sector.scale:
            sector = _in_digits(exact, found, l, D, highest, rank)
        if rank and not np.finfo(float).tiny < sector.values[-rank] < np.inf:
            raise ValueError(beyond_floats(problem, numbers))
        sectors[l] = multiplicity, sector
    return sectors


def in_rationals(matrix: sp.Matrix, D: int, numbers: dict[sp.Symbol, float]) -> sp.Matrix:
    """Return a matrix of the kernel at these numbers, each as the decimal that is typed for it."""
    return matrix.subs({_D: D, **{symbol: sp.Rational(str(v)) for symbol, v in numbers.items()}})


def beyond_floats(problem: "Problem", numbers: dict[sp.Symbol, float]) -> str:
    """Return what to say where the kernel's numbers leave the range of floating point."""
    at = ", ".join(f"{symbol.name} = {value:g}" for symbol, value in numbers.items())
    return (
        f"{at}: the eigenvalues of the kernel of {problem.activation.text} leave the range of "
        "floating point there (1e-308 to 1e+308)"
    )


def _in_floats(
    part: sp.Matrix, found: list[int], l: int, D: int, highest: int, rank: int
) -> Sector:
    table = np.array(part.tolist(), dtype=float)
    moments = [float(radial.weight(l, p, sp.Integer(D))) for p in range(2 * highest + 1)]
    gram = np.array([[moments[i + j] for j in found] for i in found])
    root = np.linalg.cholesky(gram)
    with np.errstate(over="ignore", invalid="ignore"):
        symmetric = root.T @ table @ root
    if not np.isfinite(symmetric).all():
        return Sector(np.full(len(found), np.inf), {}, 1.0, rank)
    values, vectors = np.linalg.eigh(symmetric)
    functions = np.linalg.solve(root.T, vectors)  # columns, orthonormal under gram
    products = {
        i: functions.T @ np.array([moments[i + j] for j in found]) for i in range(highest + 1)
    }
    return Sector(values, products, float(values[-1]), rank)


def _in_digits(
    part: sp.Matrix, found: list[int], l: int, D: int, highest: int, rank: int
) -> Sector:
    """The same with more and more digits, until ``rank`` eigenvalues differ from 0."""
    exact = [radial.weight(l, p, sp.Integer(D)) for p in range(2 * highest + 1)]
    for digits in _DIGITS:
        with mpmath.workdps(digits):
            moments = [_number(moment) for moment in exact]
            gram = mpmath.matrix([[moments[i + j] for j in found] for i in found])
            root = mpmath.cholesky(gram)
            table = mpmath.matrix([[_number(entry) for entry in row] for row in part.tolist()])
            values, vectors = mpmath.eigsy(root.T * table * root)
            order = sorted(range(len(values)), key=lambda i: values[i])
            if values[order[-rank]] <= values[order[-1]] * mpmath.mpf(10) ** (20 - digits):
                continue
            inner = {
                i: root**-1 * mpmath.matrix([moments[i + j] for j in found])
                for i in range(highest + 1)
            }
            products = {i: [float(p) for p in vectors.T * inner[i]] for i in inner}
            return Sector(
                np.array([float(values[i]) for i in order]),
                {i: np.array(found_)[order] for i, found_ in products.items()},
                float(values[order[-1]]),
                rank,
            )
    raise AssertionError(f"{rank} eigenvalues of {part} are not found in {_DIGITS[-1]} digits")


def _number(exact: Any) -> Any:
    return mpmath.mpf(int(exact.p)) / int(exact.q)
