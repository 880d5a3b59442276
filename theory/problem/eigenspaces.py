"""The spectrum of the initial kernel in numbers, with the target on it, and the lazy curve.

For a polynomial activation the blocks of ``radial`` are exact and are diagonalised; for erf and
relu the kernel is integrated (see ``integrated``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from lazyrich.support.arguments import finite, positive_integer
from lazyrich.theory.activation import missing
from lazyrich.theory.problem import radial
from lazyrich.theory.problem.floor import beyond_the_norm
from lazyrich.theory.problem.integrated import integrated_sectors
from lazyrich.theory.problem.sectors import exact_sectors, in_rationals
from lazyrich.theory.problem.target_values import TargetValues, outside, products, to_float

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

HIGHEST = 60  # harmonic degree that erf and relu are integrated to
# Of the power of one harmonic degree: what an eigenfunction, known up to the root of rounding, has
# of another one's.
_ROUNDING = float(np.finfo(float).eps)


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
    ``complete`` says that the kernel has no other eigenvalues.
    """

    D: int
    spaces: tuple[Eigenspace, ...]
    tail: float
    null: float
    error: float
    complete: bool = True

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
    numbers, with_target = kernel_numbers(problem, values)
    exact = products(problem, TargetValues(D, values)) if with_target else {}
    target = {l: {k: to_float(v) for k, v in amounts.items()} for l, amounts in exact.items()}
    if problem.activation.degree is not None:
        sectors, error = exact_sectors(problem, D, numbers), 0.0
        trace = sum(m * float(s.values.sum()) for m, s in sectors.values())
    else:
        if (highest := positive_integer("highest", highest)) > HIGHEST:
            raise ValueError(f"highest = {highest}: must be at most {HIGHEST}")
        sectors, trace, error = integrated_sectors(problem, D, highest, numbers)
    # The kernel of a steep erf has a spike at x = x' which is nearly all of its trace.
    seen = sum(m * float(s.values.clip(0).sum()) for m, s in sectors.values())
    spaces, missed = [], {}
    for l, (multiplicity, sector) in sectors.items():
        powers = sector.powers(target.get(l, {})) if with_target else sector.values * np.nan
        real = sector.kept(multiplicity, min(trace, 1e3 * seen))
        missed[l] = float(powers[~real].sum()) if real.any() else None
        for value, power in zip(sector.values[real], powers[real], strict=True):
            spaces.append(Eigenspace(l, float(value), multiplicity, float(power)))
    spaces.sort(key=lambda space: -space.value)
    complete = problem.activation.degree is not None or not sectors
    rest = trace - sum(space.multiplicity * space.value for space in spaces)
    tail = 0.0 if complete or rest <= 1e-9 * trace else rest
    null = _null(problem, D, numbers, exact, missed) if with_target else float("nan")
    return Spectrum(D, tuple(spaces), tail, null, error, complete)


def _null(
    problem: "Problem",
    D: int,
    numbers: dict[sp.Symbol, float],
    target: dict[int, dict[tuple[int, int], sp.Expr]],
    missed: dict[int, float | None],
) -> float:
    """The target's power outside of the eigenspaces: a sum over degrees, never a difference."""
    if problem.activation.degree is None:
        relu = problem.activation.kind == "relu"
        return sum(_left(l, D, amounts, missed.get(l), relu) for l, amounts in target.items())
    kernel = {l: in_rationals(k, D, numbers) for l, k in problem.coefficient_matrices.items()}
    parts = (outside(l, D, amounts, kernel.get(l)) for l, amounts in target.items())
    return to_float(sp.Add(*parts))


def _left(
    l: int, D: int, amounts: dict[tuple[int, int], sp.Expr], missed: float | None, relu: bool
) -> float:
    """The target's power of one degree outside of the eigenspaces that were integrated.

    ``missed`` is its power on eigenfunctions that are not told from those of eigenvalue 0, None
    where that is all of them.
    """
    whole = to_float(outside(l, D, amounts, None))
    if missed is None:
        return whole
    if relu:  # one function of each degree, and it was found
        return beyond_the_norm(l, D, amounts)
    return missed if missed > _ROUNDING * whole else 0.0


def highest_for(problem: "Problem", highest: Any = 12) -> Any:
    """Return the harmonic degree to integrate to: ``highest``, or that of the target above it."""
    degree = min(problem.target.degree, HIGHEST)
    return max(highest, degree) if isinstance(highest, int) else highest


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


def kernel_numbers(
    problem: "Problem", values: dict[str, Any]
) -> tuple[dict[sp.Symbol, float], bool]:
    """Return the kernel's symbols with their values, and whether the target's have all theirs."""
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


def unresolved_from(found: Spectrum, noise: float = 0.0, ridge: float = 0.0) -> int | None:
    """Return the P from which on the mean loss depends on eigenvalues that are not known, or None.

    >>> unresolved_from(Spectrum(1, (Eigenspace(1, 1.0, 2, 1.0),), 0.0, 0.5, 0.0, complete=False))
    2
    """
    is_known = found.complete or ridge + found.tail > 0 or found.null + noise**2 == 0
    return None if is_known or not found.spaces else found.rank


def _mean_loss(found: Spectrum, P: int, ridge: float, noise: float) -> float:
    """P = sum m value/(value + kappa) + ridge/kappa; loss = bias P/(P - sum m learned^2)."""
    values = np.array([space.value for space in found.spaces])
    counts = np.array([space.multiplicity for space in found.spaces], dtype=float)
    powers = np.array([space.power for space in found.spaces])
    unknown_from = unresolved_from(found, noise, ridge)
    ridge, fixed = ridge + found.tail, found.null + noise**2
    if not len(values) or (ridge == 0 and found.rank <= P):
        if fixed == 0:
            return 0.0
        if unknown_from is not None:
            raise ValueError(
                f"P = {P}: must be below {unknown_from}: the kernel has more functions, but their "
                "eigenvalues are so small that floating point can't tell them from 0"
            )
        return fixed * P / (P - found.rank) if found.rank < P else float("inf")

    kappa = _effective_ridge(values, counts, P, ridge)
    learned, missed = values / (values + kappa), kappa / (values + kappa)
    rest = float(counts @ (learned * missed)) + ridge / kappa  # P - sum m learned^2
    return (float(powers @ missed**2) + fixed) * P / rest


def learned(found: Spectrum, P: int, ridge: float = 0.0) -> np.ndarray:
    """Return the share of each eigenspace that P samples of Gaussian features teach.

    >>> learned(Spectrum(1, (Eigenspace(1, 1.0, 4, 1.0),), 0.0, 0.0, 0.0), 2).round(9)
    array([0.5])
    """
    values = np.array([space.value for space in found.spaces])
    counts = np.array([space.multiplicity for space in found.spaces], dtype=float)
    if ridge + found.tail == 0 and found.rank <= P:
        return np.ones_like(values)
    return values / (values + _effective_ridge(values, counts, P, ridge + found.tail))


def _effective_ridge(values: np.ndarray, counts: np.ndarray, P: int, ridge: float) -> float:
    def samples(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return float(counts @ (values / (values + kappa)) + ridge / kappa) - P

    low, high = np.log(values.min()) - 60, np.log(values.max() * counts.sum() + ridge) + 5
    while low < (middle := (low + high) / 2) < high:  # SciPy's root finders take 0.3 s to load
        low, high = (middle, high) if samples(middle) > 0 else (low, middle)
    return np.exp(low)
