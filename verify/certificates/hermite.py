"""Certificates of higher Hermite degree: kernels, their spectra by harmonics, targets by degree."""

from collections.abc import Iterator
from math import factorial
from typing import TYPE_CHECKING, Any

from numpy.polynomial import hermite_e

from lazyrich.theory import ClosedForm
from lazyrich.verify.certificates import Certificate, Comparison, problem
from lazyrich.verify.coordinates import Coordinates

if TYPE_CHECKING:
    from lazyrich.theory import Problem


def hermite_kernel(k: int) -> Certificate:
    """For ``hermite-k-ntk-at-init``: the mean over w of the products of gradients."""
    return problem.kernel(_problem(k))


def hermite_spectrum(k: int) -> Certificate:
    """For the terms of ``hermite-k-ntk-eigenvalues``: T on |x|^(2j) times a real harmonic."""
    return problem.spectrum(_problem(k))


def _problem(k: int) -> "Problem":
    from lazyrich.theory.hermite import hermite_problem

    return hermite_problem(k)


def target_power(k: int) -> Certificate:
    """For ``hermite-k-target-power``: projections on the Hermite polynomials of the first input."""

    def compare(D: int, cf: ClosedForm) -> Iterator[Comparison]:
        at = Coordinates(D, vectors=["x", "beta"])
        at.values["beta"][1:] = at.ring.zero
        x = at.values["x"][0, 0]
        target = _polynomial(at, hermite_e.herme2poly([0] * k + [1]), at.dot("beta", "x"))
        for n in range(k + 1):
            # D^(-n/2) He_n(sqrt(D) x), of norm n!/D^n, has rational coefficients.
            coefficients = [int(c) for c in hermite_e.herme2poly([0] * n + [1])]
            terms = (c * x**i / D ** ((n - i) // 2) for i, c in enumerate(coefficients) if c)
            basis = sum(terms, at.ring.zero)
            projection = at.mean(target * basis, "x")
            power = projection**2 * D**n / factorial(n)
            claimed = cf.terms.get(f"degree_{n}")
            yield f"degree {n}", power, at.ring.zero if claimed is None else at.interpret(claimed)

    return Certificate(contractions=1, pairs=2 * k, compare=compare)


def _polynomial(at: Coordinates, coefficients: Any, argument: Any) -> Any:
    terms = (int(c) * argument**n for n, c in enumerate(coefficients))
    return sum(terms, at.ring.zero)
