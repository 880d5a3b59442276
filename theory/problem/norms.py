"""The lazy learning curve with the norms of the samples: what Gaussian features leave out.

A function of degree n grows as |x|^n. Gaussian features are alike at all samples, so that each has
the same share in what is learned; in few dimensions, or with phi of high degree, the samples differ
much. Here features are Gaussian on each sphere |x| = r, and kept as functions of r across spheres.

With s(r) the mean square error of the kernel's prediction at a new x, in units of the kernel, a
sample of norm r counts with the weight 1/s(r). In each harmonic degree l, of m functions, with the
kernel k_l(r, r'), and the mean over norms < >:

    C_l = k_l - k_l (k_l + s/P)^-1 k_l      s(r) = tail(r) + sum_l m C_l(r, r)
    t(r) = bias(r) + P <t(r')/s(r')^2 sum_l m C_l(r, r')^2>

t(r) is the loss at norm r, and <t> the mean loss. With norms that do not vary s is P times the
effective ridge, and <t> is the lazy curve.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sympy as sp

from lazyrich.theory.problem import radial
from lazyrich.theory.problem.eigenspaces import Spectrum, kernel_numbers, learned
from lazyrich.theory.problem.integrated import kernel_formula, steep_width, tables_by_nodes
from lazyrich.theory.problem.target_values import TargetValues, products, to_float

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

_ANGLES, _NORMS, _HIGHEST = 120, 48, 12
_SMALL = 1e-13  # of the largest eigenvalue: below it a function is rounding
_LIGHT = 1e-20  # of the largest weight: at lighter nodes eigenvectors are rounding
_STEPS = 2000
# Chosen on 187 random problems, and tested on others: docs/own-theory.md.
FACTOR = 1.25  # between <t> and the lazy curve
SHARE = 0.5  # of the samples, that the variance of what is learned may take


class Sector(NamedTuple):
    """One harmonic degree: m, eigenvalues (k,), and their functions (norms, k), orthonormal."""

    multiplicity: int
    values: np.ndarray
    functions: np.ndarray

    def kernel_left(self, weights: np.ndarray, free: bool) -> np.ndarray:
        """C_l at the nodes; ``free``: without the prior, as where all functions are learned."""
        table = self.functions.T @ (weights[:, None] * self.functions)
        prior = 0 * self.values if free else 1 / self.values
        scale = 1 / np.sqrt(np.diag(table) + prior)
        inverse = np.linalg.inv(scale[:, None] * (table + np.diag(prior)) * scale)
        scaled = self.functions * scale
        return scaled @ inverse @ scaled.T


class Norms:
    """A problem's kernel and target by harmonic degree, on nodes of |x|.

    >>> from lazyrich.theory import Problem
    >>> quintic, values = Problem("h^5 + 2 h", "(beta.x)^2"), {"sigma": 1.0}
    >>> values["beta"] = [math.sqrt(8)] + [0.0] * 7
    >>> spectrum = quintic.spectrum(D=8, **values)
    >>> round(Norms(quintic, spectrum, values).loss(20), 1)      # measured: 19.5, at 150 data sets
    19.6
    >>> round(float(quintic.learning_curve(P=20, D=8, **values)), 1)
    3.7
    """

    def __init__(self, problem: "Problem", found: Spectrum, values: dict[str, Any]) -> None:
        numbers, _ = kernel_numbers(problem, values)
        formula, D = kernel_formula(problem, numbers), found.D
        degree = problem.activation.degree
        highest = max(_HIGHEST, problem.target.degree) if degree is None else degree
        with np.errstate(all="ignore"):
            nodes = tables_by_nodes(
                formula, D, highest, _ANGLES, _NORMS, steep_width(problem, numbers)
            )
            kept = nodes.masses > _LIGHT * nodes.masses.max()
            squares = nodes.radii[kept] ** 2
            at_equal = {"_q": squares, "_q_prime": squares, "_r": squares, "_gram": 0 * squares}
            diagonal = formula(at_equal) + 0 * squares
        self.radii, self.masses = nodes.radii[kept], nodes.masses[kept]
        size, tables = float(self.masses @ diagonal), [t[np.ix_(kept, kept)] for t in nodes.tables]
        self.sectors, resolved = self._sectors(tables, size, found, degree is not None)
        self.tail = np.zeros_like(squares)
        if degree is None:
            seen = (s.multiplicity * s.functions**2 @ s.values for s in self.sectors.values())
            self.tail = (diagonal / size - sum(seen)).clip(0)
        self.rank = sum(s.multiplicity * len(s.values) for s in self.sectors.values())
        self.resolved, self.finite, self.spectrum = resolved, degree is not None, found
        self.target = products(problem, TargetValues(D, values))

    def _sectors(
        self, tables: list[np.ndarray], size: float, found: Spectrum, finite: bool
    ) -> tuple[dict[int, Sector], bool]:
        """The sectors, and whether they have all functions that the spectrum has."""
        roots, parts = np.sqrt(self.masses), {}
        for l, table in enumerate(tables):
            symmetric = roots[:, None] * (table + table.T) / (2 * size) * roots
            parts[l] = np.linalg.eigh(symmetric)
        largest = max(values[-1] for values, _ in parts.values())
        sectors, resolved = {}, True
        for l, (values, vectors) in parts.items():
            known = sum(space.degree == l for space in found.spaces)
            real = values > _SMALL * largest
            if finite:
                real &= np.arange(len(values)) >= len(values) - known
                resolved &= int(real.sum()) == known
            if multiplicity := int(radial.harmonics(l, sp.Integer(found.D))):
                functions = vectors[:, real] / roots[:, None]
                sectors[l] = Sector(multiplicity, values[real], functions)
        return sectors, resolved

    def loss(self, P: int, noise: float = 0.0) -> float:
        """Return <t>, inf where it has no finite value on the nodes, NaN where it is not known."""
        free = self.finite and self.rank <= P
        if free and not self.resolved:
            return math.nan
        with np.errstate(all="ignore"):
            try:
                return self._loss(P, noise, free)
            except np.linalg.LinAlgError:
                return math.nan

    def _loss(self, P: int, noise: float, free: bool) -> float:
        s = self._errors(P, free)
        weights = P * self.masses / s
        left = {l: sector.kernel_left(weights, free) for l, sector in self.sectors.items()}
        spread = sum(self.sectors[l].multiplicity * C**2 for l, C in left.items())
        bias = noise**2 + sum(self._bias(l, left.get(l), weights) for l in self.target)
        losses = np.linalg.solve(np.eye(len(s)) - spread * weights / s, bias + 0 * s)
        total = float(self.masses @ losses)
        # Where the mean is infinite, nodes give a sum that is huge, of either sign.
        is_finite = math.isfinite(total) and losses.min() > -1e-6 * abs(total)
        return total if is_finite else math.inf

    def _errors(self, P: int, free: bool) -> np.ndarray:
        """s at the nodes: the map is increasing and concave, so that iterations converge."""
        base = self.tail + (1.0 if free else 0.0)
        s = np.ones_like(base)
        for _ in range(_STEPS):
            weights = P * self.masses / s
            new = base + sum(
                sector.multiplicity * np.diag(sector.kernel_left(weights, free))
                for sector in self.sectors.values()
            )
            change = np.abs(np.log(new / s)).max()
            s = new
            if not change > 1e-9:
                break
        return s

    def _bias(self, l: int, left: np.ndarray | None, weights: np.ndarray) -> np.ndarray:
        """The squared bias of the target's part of harmonic degree l, by norm."""
        D = sp.Integer(self.spectrum.D)
        size = float(radial.weight(l, 0, D) / radial.norm_moment(l, D))
        missed: dict[int, np.ndarray] = {}
        for i in {place for pair in self.target[l] for place in pair}:
            whole = self.radii ** (2 * i + l) * math.sqrt(size)
            rest = whole if left is None else whole - left @ (weights * whole)
            missed[i] = np.where(np.abs(rest) > 1e-12 * whole.max(), rest, 0.0)
        amounts = ((i, j, to_float(amount)) for (i, j), amount in self.target[l].items())
        return sum((a * missed[i] * missed[j] for i, j, a in amounts), 0 * self.radii)


def without_room(found: Spectrum, P: int) -> bool:
    """Whether few of P samples are left beyond what is learned, so that rare data sets decide.

    The curve's factor P/(P - sum m learned^2) is then above 1/(1 - SHARE). It may also be so where
    P samples tell more functions than those of the spectrum, of which the rest counts as a ridge.

    >>> from lazyrich.theory import Problem
    >>> spectrum = Problem("h^2", "beta.x").spectrum(D=3, sigma=1.0, beta=[1.0, 0.0, 0.0])
    >>> [P for P in (2, 4, 8, 16) if without_room(spectrum, P)]
    [4, 8]
    """
    if not found.complete and found.rank <= P:
        return True
    counts = np.array([float(space.multiplicity) for space in found.spaces])
    return bool(counts @ learned(found, P) ** 2 > SHARE * P)


def differs(loss: float, curve: float) -> bool:
    """Whether a loss with norms is further from the curve than by the factor.

    >>> differs(1.2, 1.0), differs(0.7, 1.0), differs(math.nan, 1.0)
    (False, True, True)
    """
    return not curve / FACTOR < loss < curve * FACTOR
