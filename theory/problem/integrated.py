"""The eigenvalues of the initial kernel of erf and relu, one harmonic degree at a time.

The kernel is integrated over angles (against the zonal polynomials) and norms, by Gauss-Legendre
nodes; the stated error is the change from half as many nodes. The kernel of a steep erf(a h) varies
at angles of 1/a: there the nodes lie evenly in the logarithm of the angle.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sympy as sp

from lazyrich.theory.problem import radial
from lazyrich.theory.problem.sectors import Sector, beyond_floats

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

_ANGLES, _NORMS = 240, 96
_STEEP = 10.0  # slope of erf times deviation of the weights from which on angles are graded
_STEEPEST = 1e70  # its fourth power is a number
_LARGEST = 1e150  # of the kernel, which is squared
_gram = sp.Symbol("_gram", positive=True)  # |x|^2 |x'|^2 - (x.x')^2


def integrated_sectors(
    problem: "Problem", D: int, highest: int, numbers: dict[sp.Symbol, float]
) -> tuple[dict[int, tuple[int, Sector]], float, float]:
    """Return sectors of harmonic degree up to ``highest``, the kernel's trace, and the error.

    Raises ``ValueError`` where its numbers leave the range of floating point.
    """
    from lazyrich.theory.problem.kernel import deviation

    own = {n: numbers[s] for n, s in problem.activation.symbols.items()}
    factor, slope = problem.activation.scale(**own)
    if factor == 0 or slope == 0:
        return {}, 0.0, 0.0
    steepness = abs(slope) * numbers[deviation(problem)]
    if not 1 / _STEEPEST < steepness < _STEEPEST:
        raise ValueError(beyond_floats(problem, numbers))
    formula, width = kernel_formula(problem, numbers), steep_width(problem, numbers)
    radii, masses = _norm_nodes(D, _NORMS)
    squares = radii**2
    at_equal = {"_q": squares, "_q_prime": squares, "_r": squares, "_gram": 0 * squares}
    with np.errstate(all="ignore"):
        diagonal = formula(at_equal)
    trace = float(masses @ diagonal)
    if not 1 / _LARGEST < trace < _LARGEST:
        raise ValueError(beyond_floats(problem, numbers))
    fine = _sectors_by_nodes(problem, formula, D, highest, _ANGLES, _NORMS, width)
    coarse = _sectors_by_nodes(problem, formula, D, highest, _ANGLES // 2, _NORMS // 2, width)
    error = max(
        abs(a - b)
        for l, (_, sector) in fine.items()
        for a, b in zip(sector.values[::-1], coarse[l][1].values[::-1], strict=False)
    )
    return fine, trace, float(error)


def kernel_formula(problem: "Problem", numbers: dict[sp.Symbol, float]) -> Any:
    """Return the kernel as a function of arrays of |x|^2, |x'|^2, x.x' and ``_gram``."""
    from lazyrich.theory.problem.kernel import initial_parts

    expr = sp.Add(*initial_parts(problem).values())
    if steep_width(problem, numbers) is not None:
        expr = without_cancellation(expr)
    return problem.formula(f"kernel {numbers}", expr.subs(numbers), "numpy")


def steep_width(problem: "Problem", numbers: dict[sp.Symbol, float]) -> float | None:
    """Return the angle at which the kernel of a steep erf varies; None of other kernels."""
    from lazyrich.theory.problem.kernel import deviation

    if problem.activation.kind != "erf":
        return None
    own = {n: numbers[s] for n, s in problem.activation.symbols.items()}
    steepness = abs(problem.activation.scale(**own)[1]) * numbers[deviation(problem)]
    return 1 / steepness if steepness > _STEEP else None


def without_cancellation(expr: sp.Expr) -> sp.Expr:
    """Return the kernel of erf in ``_gram`` = |x|^2 |x'|^2 sin^2 of the angle, exact at small ones.

    >>> q, s, r = radial.q, radial.q_prime, radial.r
    >>> without_cancellation(1 / sp.sqrt(q * s - r**2 + 1))
    1/sqrt(_gram + 1)
    """

    def respelt(square: sp.Expr) -> sp.Expr:
        square = sp.expand(square)
        k = square.coeff(radial.r, 2)
        return square - k * radial.r**2 + k * radial.q * radial.q_prime - k * _gram

    def arctangent(argument: sp.Expr) -> sp.Expr:
        top, bottom = argument.as_numer_denom()
        return sp.atan(top / sp.sqrt(respelt(bottom**2 - top**2)))

    expr = expr.replace(sp.asin, arctangent)
    return expr.replace(
        lambda part: part.is_Pow and abs(part.exp) == sp.S.Half and part.base.has(radial.r),
        lambda part: respelt(part.base) ** part.exp,
    )


def _norm_nodes(D: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """|x| on Gauss-Legendre nodes within 14 standard deviations, and weights adding up to 1."""
    nodes, masses = np.polynomial.legendre.leggauss(count)
    low, high = max(0.0, 1 - 10 / np.sqrt(D)), 1 + 10 / np.sqrt(D)
    radii = low + (high - low) * (nodes + 1) / 2
    logs = (D - 1) * np.log(radii) - D * (radii**2 - 1) / 2
    weights = masses * np.exp(logs)
    return radii, weights / weights.sum()


def _angle_nodes(D: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines and sines of the angle between two random directions, and weights (sum 1)."""
    if D == 1:
        return np.array([1.0, -1.0]), np.zeros(2), np.array([0.5, 0.5])
    nodes, masses = np.polynomial.legendre.leggauss(count)
    reach = _reach(D)
    angles = np.pi / 2 + reach * nodes
    weights = masses * np.exp((D - 2) * np.log(np.maximum(np.sin(angles), 1e-300)))
    return np.cos(angles), np.sin(angles), weights / weights.sum()


def _reach(D: int) -> float:
    """Most of the mass lies within a few 1/sqrt(D) of a right angle; half the circle holds it."""
    return min(np.pi / 2, 12 / np.sqrt(D))


def _graded_nodes(D: int, count: int, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same with angles width sinh(u) from 0 or pi and u on nodes: they resolve ``width``.

    The change in u over which the kernel varies is 1, so nodes are as many as the range of u needs.
    """
    span = math.asinh(np.pi / 2 / width)
    nodes, masses = np.polynomial.legendre.leggauss(max(count, round(count * span / 30)))
    u = span * (nodes + 1) / 2
    angles = width * np.sinh(u)
    sines = np.sin(angles)
    logs = (D - 2) * np.log(np.maximum(sines, 1e-300)) + np.log(np.cosh(u))
    weights = masses * np.exp(logs - logs.max())
    cosines = np.cos(angles)
    both = np.concatenate([weights, weights])
    return np.concatenate([cosines, -cosines]), np.concatenate([sines, sines]), both / both.sum()


def _zonals(D: int, highest: int, cosines: np.ndarray) -> list[np.ndarray]:
    """The zonal polynomials of degrees 0, ..., highest, 1 at cosine 1."""
    zonals = [np.ones_like(cosines), cosines]
    for l in range(1, highest):
        # From the recurrence of Gegenbauer polynomials of index D/2 - 1.
        zonals.append(((2 * l + D - 2) * cosines * zonals[l] - l * zonals[l - 1]) / (l + D - 2))
    return zonals[: highest + 1]


class Tables(NamedTuple):
    """A kernel by harmonic degree on nodes of |x|, (norms, norms) each, and the root of <K^2>."""

    radii: np.ndarray
    masses: np.ndarray
    tables: list[np.ndarray]
    scale: float


def tables_by_nodes(
    formula: Any, D: int, highest: int, angles: int, norms: int, width: float | None
) -> Tables:
    """Return <K Z_l> over angles, Z_l the zonal polynomial that is 1 at angle 0, l to ``highest``.

    The kernel is sum_l m_l tables[l] Z_l, with the dimension m_l of the harmonics.
    """
    radii, masses = _norm_nodes(D, norms)
    highest = min(highest, 1) if D == 1 else highest
    tables, scale = [np.zeros((norms, norms)) for _ in range(highest + 1)], 0.0
    absolute = np.zeros((norms, norms))
    for cosines, sines, weights in _blocks(D, angles, width):
        kernel = _on_nodes(formula, radii**2, radii, cosines, sines)
        scale += float(masses @ (kernel**2 @ weights) @ masses)
        absolute += np.abs(kernel) @ weights
        for table, zonal in zip(tables, _zonals(D, highest, cosines), strict=True):
            table += kernel @ (weights * zonal)
    if width is not None:  # the spike at x = x' has a large square, but a small integral
        scale = float(masses @ absolute**2 @ masses)
    return Tables(radii, masses, tables, math.sqrt(scale))


def _sectors_by_nodes(
    problem: "Problem",
    formula: Any,
    D: int,
    highest: int,
    angles: int,
    norms: int,
    width: float | None,
) -> dict[int, tuple[int, Sector]]:
    radii, masses, tables, scale = tables_by_nodes(formula, D, highest, angles, norms, width)
    roots = np.sqrt(masses)
    sectors, dimension = {}, sp.Integer(D)
    for l, table in enumerate(tables):
        values, vectors = np.linalg.eigh(roots[:, None] * (table + table.T) / 2 * roots)
        size = float(radial.weight(l, 0, dimension) / radial.norm_moment(l, dimension))
        parts = {
            i: vectors.T @ (roots * radii ** (2 * i + l)) * np.sqrt(size)
            for i in range(problem.target.degree // 2 + 1)
        }
        multiplicity = int(radial.harmonics(l, dimension))
        sectors[l] = multiplicity, Sector(values, parts, scale)
    return sectors


def _blocks(
    D: int, angles: int, width: float | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Cosines, sines and weights of all angles, as many at a time as memory is meant for."""
    # In high dimension nearly all angles are near a right one, where the kernel is smooth.
    if width is None or D == 1 or _reach(D) < np.pi / 2:
        yield _angle_nodes(D, angles)
        return
    nodes = _graded_nodes(D, angles, width)
    for first in range(0, len(nodes[0]), _ANGLES):
        cosines, sines, weights = (part[first : first + _ANGLES] for part in nodes)
        yield cosines, sines, weights


def _on_nodes(
    formula: Any, squares: np.ndarray, radii: np.ndarray, cosines: np.ndarray, sines: np.ndarray
) -> np.ndarray:
    lengths = (radii[:, None] * radii)[..., None]
    product = lengths * cosines
    scalars = {"_q": squares[:, None, None], "_q_prime": squares[None, :, None], "_r": product}
    if "_gram" in formula.names:
        scalars["_gram"] = (lengths * sines) ** 2
    return formula(scalars) + 0 * product
