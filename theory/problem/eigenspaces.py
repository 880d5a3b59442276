"""The spectrum of the initial kernel in numbers, with the target on it, and the lazy curve.

For a polynomial activation the blocks of ``radial`` are exact and are diagonalised. For erf and
relu the kernel is integrated over angles (against the zonal polynomials) and norms, by
Gauss-Legendre nodes; the stated error is the change from half as many nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from sympy import MatrixSymbol

from lazyrich.support.arguments import finite, positive_integer
from lazyrich.theory.activation import missing
from lazyrich.theory.problem import radial
from lazyrich.theory.problem.target_power import harmonic_products
from lazyrich.theory.symbols import D as _D

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

_SMALL = 1e-13  # an eigenvalue below this part of the scale that it was computed at is rounding
_ANGLES, _NORMS, _HIGHEST = 240, 96, 60


@dataclass(frozen=True)
class Eigenspace:
    """Functions of harmonic degree ``degree`` on which the kernel has one eigenvalue.

    ``power`` is the target's power on them, NaN where the target's symbols have no values.
    """

    degree: int
    value: float
    multiplicity: int
    power: float


@dataclass(frozen=True)
class Spectrum:
    """The eigenspaces of the initial kernel, the largest eigenvalue first.

    ``tail`` is the sum of the eigenvalues that were left out, those of higher harmonic degrees and
    those too small to be computed, ``null`` the target's power outside the eigenspaces. ``error``
    bounds that of an eigenvalue: the change from half as many nodes, 0 where nothing is integrated.
    """

    D: int
    spaces: tuple[Eigenspace, ...]
    tail: float
    null: float
    error: float

    @property
    def rank(self) -> int:
        """The number of eigenvalues, as often as their multiplicity says."""
        return sum(space.multiplicity for space in self.spaces)


def spectrum(problem: "Problem", D: Any, highest: int, values: dict[str, Any]) -> Spectrum:
    """Return the spectrum for inputs N(0, I/D); see ``Problem.spectrum``."""
    D = positive_integer("D", D)
    if not problem.inputs.isotropic:
        raise ValueError(
            "inputs = Sigma: the kernel's spectrum, and with it what lazy training reaches, is "
            "derived for inputs N(0, I/D) alone"
        )
    _check_resolvable(problem, D)
    numbers, with_target = _numbers(problem, values)
    products = _products(problem, D, values) if with_target else {}
    if problem.activation.degree is not None:
        sectors, error = _exact_sectors(problem, D, numbers), 0.0
        trace = sum(m * float(s.values.sum()) for m, s in sectors.values())
    else:
        if (highest := positive_integer("highest", highest)) > _HIGHEST:
            raise ValueError(f"highest = {highest}: must be at most {_HIGHEST}")
        sectors, trace, error = _integrated(problem, D, highest, numbers)
    spaces = []
    for l, (multiplicity, sector) in sectors.items():
        powers = (
            sector.powers(products.get(l, {}))
            if with_target
            else np.full_like(sector.values, np.nan)
        )
        for value, power in zip(sector.values, powers, strict=True):
            if value > _SMALL * sector.scale and multiplicity * value > _SMALL * trace:
                spaces.append(Eigenspace(l, float(value), multiplicity, float(power)))
    spaces.sort(key=lambda space: -space.value)
    kept = sum(space.multiplicity * space.value for space in spaces)
    tail = trace - kept if trace - kept > 1e-9 * trace else 0.0
    null = float("nan")
    if with_target:
        whole = _total_power(problem, D, values)
        null = whole - sum(space.power for space in spaces)
        null = 0.0 if abs(null) < 1e-12 * whole else null
    return Spectrum(D, tuple(spaces), tail, null, error)


def _check_resolvable(problem: "Problem", D: int) -> None:
    """Raise ``ValueError`` where |x|^2, which varies by sqrt(2/D), is constant up to rounding.

    The Gram matrix of 1, |x|^2, ..., |x|^(2m) has eigenvalues of the order of D^-m.
    """
    if problem.activation.degree is None:
        return
    found = (len(radial.reached(kappa)) for kappa in problem.coefficient_matrices.values())
    most = max(found, default=0)  # the kernel of a constant activation is 0
    if most > 1 and (largest := int(1e14 ** (1 / (most - 1)))) < D:
        raise ValueError(
            f"D = {D}: must be at most {largest} for this activation: beyond, the powers of |x|^2 "
            "in its spectrum can't be told apart in floating point"
        )


def _numbers(problem: "Problem", values: dict[str, Any]) -> tuple[dict[sp.Symbol, float], bool]:
    """The kernel's symbols with their values, and whether the target's have all theirs."""
    from lazyrich.theory.problem.kernel import deviation, sigma_v

    deviations = [deviation(problem)] + ([sigma_v] if problem.readouts == "trained" else [])
    own = {s.name: s for s in deviations} | problem.activation.symbols
    known = own | problem.target.symbols
    for name in values:
        if name not in known:
            raise ValueError(f"{name}: no symbol of this problem ({', '.join(known)})")
    for name in own:
        if name not in values:
            needed = ", ".join(other for other in own if other not in values)
            raise ValueError(missing(name, own[name], f"the kernel needs values for {needed}"))
    numbers = {s: finite(n, values[n], positive=s in deviations) for n, s in own.items()}
    return numbers, all(name in values for name in problem.target.symbols)


@dataclass(frozen=True)
class _Sector:
    """One harmonic degree: eigenvalues (k,), and (k, n) inner products with |x|^(2i) Y by ``i``.

    ``scale`` is the size of the numbers that the eigenvalues were computed from.
    """

    values: np.ndarray
    products: dict[int, np.ndarray]
    scale: float

    def powers(self, target: dict[tuple[int, int], float]) -> np.ndarray:
        """The target's power on each eigenfunction."""
        total = np.zeros_like(self.values)
        for (i, j), amount in target.items():
            total = total + amount * self.products[i] * self.products[j]
        return total


def _exact_sectors(
    problem: "Problem", D: int, numbers: dict[sp.Symbol, float]
) -> dict[int, tuple[int, _Sector]]:
    sectors = {}
    for l, kappa in problem.coefficient_matrices.items():
        multiplicity = int(radial.harmonics(l).subs(_D, D))
        if multiplicity == 0:
            continue
        found = radial.reached(kappa)
        table = np.array(kappa.extract(found, found).subs({_D: D, **numbers}).tolist(), dtype=float)
        highest = max(found[-1], problem.target.degree // 2)
        moments = [float(radial.weight(l, p).subs(_D, D)) for p in range(2 * highest + 1)]
        gram = np.array([[moments[i + j] for j in found] for i in found])
        root = np.linalg.cholesky(gram)
        values, vectors = np.linalg.eigh(root.T @ table @ root)
        functions = np.linalg.solve(root.T, vectors)  # columns, orthonormal under gram
        products = {
            i: functions.T @ np.array([moments[i + j] for j in found]) for i in range(highest + 1)
        }
        sectors[l] = multiplicity, _Sector(values, products, float(values[-1]))
    return sectors


def _products(
    problem: "Problem", D: int, values: dict[str, Any]
) -> dict[int, dict[tuple[int, int], float]]:
    """{l: {(i, j): <H_i H_j> over weight(l, 0)}} of the target's harmonic parts, in numbers."""
    from lazyrich.theory.problem.target_power import harmonic_parts

    numbers = {}
    for l, table in harmonic_products(problem.target.expr).items():
        if l > 1 and D == 1:
            continue
        places = list(harmonic_parts(problem.target.expr)[l])
        numbers[l] = {
            (i, j): _value(problem, f"product {l} {i} {j}", table[a, b], D, values)
            for a, i in enumerate(places)
            for b, j in enumerate(places)
        }
    return numbers


def _total_power(problem: "Problem", D: int, values: dict[str, Any]) -> float:
    return _value(problem, "power", problem.power, D, values)


def _value(problem: "Problem", key: str, expr: sp.Expr, D: int, values: dict[str, Any]) -> float:
    formula = problem.formula(key, expr, "numpy")
    for name, symbol in formula.names.items():
        if isinstance(symbol, MatrixSymbol):
            wanted = (D,) if symbol.shape[1] == 1 else (D, D)
            if np.shape(values[name]) != wanted:
                raise ValueError(f"{name} has shape {np.shape(values[name])}: must be {wanted}")
    return float(formula({"D": D, **values}))


def _integrated(
    problem: "Problem", D: int, highest: int, numbers: dict[sp.Symbol, float]
) -> tuple[dict[int, tuple[int, _Sector]], float, float]:
    """Sectors of harmonic degree up to ``highest``, the kernel's trace, and the error."""
    from lazyrich.theory.problem.kernel import initial_parts

    expr = sp.Add(*initial_parts(problem).values()).subs(numbers)
    formula = problem.formula(f"kernel {numbers}", expr, "numpy")
    fine = _sectors_by_nodes(problem, formula, D, highest, _ANGLES, _NORMS)
    coarse = _sectors_by_nodes(problem, formula, D, highest, _ANGLES // 2, _NORMS // 2)
    error = max(
        abs(a - b)
        for l, (_, sector) in fine.items()
        for a, b in zip(sector.values[::-1], coarse[l][1].values[::-1], strict=False)
    )
    radii, masses = _norm_nodes(D, _NORMS)
    squares = radii**2
    diagonal = formula({"_q": squares, "_q_prime": squares, "_r": squares})
    trace = float(masses @ diagonal)
    return fine, trace, float(error)


def _norm_nodes(D: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """|x| on Gauss-Legendre nodes within 14 standard deviations, and weights adding up to 1."""
    nodes, masses = np.polynomial.legendre.leggauss(count)
    low, high = max(0.0, 1 - 10 / np.sqrt(D)), 1 + 10 / np.sqrt(D)
    radii = low + (high - low) * (nodes + 1) / 2
    logs = (D - 1) * np.log(radii) - D * (radii**2 - 1) / 2
    weights = masses * np.exp(logs)
    return radii, weights / weights.sum()


def _angle_nodes(D: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of the angle between two random directions, and weights adding up to 1."""
    if D == 1:
        return np.array([1.0, -1.0]), np.array([0.5, 0.5])
    nodes, masses = np.polynomial.legendre.leggauss(count)
    # Most of the mass lies within a few 1/sqrt(D) of a right angle; half the circle holds it all.
    reach = min(np.pi / 2, 12 / np.sqrt(D))
    angles = np.pi / 2 + reach * nodes
    weights = masses * np.exp((D - 2) * np.log(np.maximum(np.sin(angles), 1e-300)))
    return np.cos(angles), weights / weights.sum()


def _zonals(D: int, highest: int, cosines: np.ndarray) -> list[np.ndarray]:
    """The zonal polynomials of degrees 0, ..., highest, 1 at cosine 1."""
    zonals = [np.ones_like(cosines), cosines]
    for l in range(1, highest):
        # From the recurrence of Gegenbauer polynomials of index D/2 - 1.
        zonals.append(((2 * l + D - 2) * cosines * zonals[l] - l * zonals[l - 1]) / (l + D - 2))
    return zonals[: highest + 1]


def _sectors_by_nodes(
    problem: "Problem", formula: Any, D: int, highest: int, angles: int, norms: int
) -> dict[int, tuple[int, _Sector]]:
    radii, masses = _norm_nodes(D, norms)
    squares = radii**2
    cosines, weights = _angle_nodes(D, angles)
    product = (radii[:, None] * radii)[..., None] * cosines
    first, second = squares[:, None, None], squares[None, :, None]
    kernel = formula({"_q": first, "_q_prime": second, "_r": product}) + 0 * product
    highest = min(highest, 1) if D == 1 else highest
    scale = float(np.sqrt(masses @ (kernel**2 @ weights) @ masses))
    zonals = _zonals(D, highest, cosines)
    roots = np.sqrt(masses)
    sectors = {}
    for l in range(highest + 1):
        table = kernel @ (weights * zonals[l])
        values, vectors = np.linalg.eigh(roots[:, None] * (table + table.T) / 2 * roots)
        parts = {
            i: vectors.T
            @ (roots * radii ** (2 * i + l))
            * np.sqrt(float(radial.weight(l, 0).subs(_D, D) / radial.norm_moment(l).subs(_D, D)))
            for i in range(problem.target.degree // 2 + 1)
        }
        sectors[l] = int(radial.harmonics(l).subs(_D, D)), _Sector(values, parts, scale)
    return sectors


def learning_curve(
    found: Spectrum, P: Sequence[int] | int, ridge: float = 0.0, noise: float = 0.0
) -> np.ndarray:
    """Return the mean test loss of regression with the initial kernel; see ``Problem``."""
    sizes = np.atleast_1d(np.asarray(P))
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        raise ValueError(f"P = {P!r}: must be positive integers")
    if np.isnan(found.null):
        raise ValueError("the learning curve needs values for the symbols of the target")
    if ridge < 0:
        raise ValueError(f"ridge = {ridge}: must be at least 0")
    losses = [_mean_loss(found, int(size), float(ridge), float(noise)) for size in sizes]
    return np.array(losses)[0] if np.ndim(P) == 0 else np.array(losses)


def _mean_loss(found: Spectrum, P: int, ridge: float, noise: float) -> float:
    """P = sum m value/(value + kappa) + ridge/kappa; loss = bias P/(P - sum m learned^2)."""
    values = np.array([space.value for space in found.spaces])
    counts = np.array([space.multiplicity for space in found.spaces], dtype=float)
    powers = np.array([space.power for space in found.spaces])
    ridge, fixed = ridge + found.tail, found.null + noise**2
    if not len(values) or (ridge == 0 and found.rank <= P):
        if fixed == 0:
            return 0.0
        return fixed * P / (P - found.rank) if found.rank < P else float("inf")

    def samples(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return float(counts @ (values / (values + kappa)) + ridge / kappa) - P

    low, high = np.log(values.min()) - 60, np.log(values.max() * counts.sum() + ridge) + 5
    while low < (middle := (low + high) / 2) < high:  # SciPy's root finders take 0.3 s to load
        low, high = (middle, high) if samples(middle) > 0 else (low, middle)
    kappa = np.exp(low)
    learned, missed = values / (values + kappa), kappa / (values + kappa)
    rest = float(counts @ (learned * missed)) + ridge / kappa  # P - sum m learned^2
    return (float(powers @ missed**2) + fixed) * P / rest
