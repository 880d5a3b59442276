"""Certificates of higher Hermite degree: kernels, their spectra by harmonics, targets by degree.

By a rotation x = (a, 0, ...) and x' = (b, c, 0, ...): from D = 2 on nothing of a function of two
vectors is lost. Harmonics are taken in the first two coordinates.
"""

from collections.abc import Iterator, Mapping
from math import factorial
from typing import Any

import sympy as sp
from numpy.polynomial import hermite_e

from lazyrich.theory import ClosedForm
from lazyrich.verify.certificates import Certificate, Comparison
from lazyrich.verify.coordinates import Coordinates


def hermite_kernel(k: int) -> Certificate:
    """For ``hermite-k-ntk-at-init``: the mean over w of the products of gradients."""

    def compare(D: int, cf: ClosedForm) -> Iterator[Comparison]:
        at = Coordinates(D, vectors=["w", "x", "x_prime"], scalars=["epsilon", "sigma"])
        at.values["x"][1:] = at.ring.zero
        at.values["x_prime"][2:] = at.ring.zero
        slopes = [at.derivative(_activation(at, k, at.dot("w", x)), "w") for x in ("x", "x_prime")]
        product = (slopes[0].T @ slopes[1])[0, 0]
        mean = at.mean(product, "w", at.values["sigma"] ** 2)
        yield "kernel", mean, at.interpret(cf.expr)

    # No closed loops: every pair of w joins two of the vectors x, x'.
    return Certificate(contractions=2, pairs=0, compare=compare)


def hermite_spectrum(k: int) -> Certificate:
    """For the terms of ``hermite-k-ntk-eigenvalues``: T on |x|^(2j) times a real harmonic."""

    def compare(D: int, terms: Mapping[str, Any]) -> Iterator[Comparison]:
        from lazyrich.theory.hermite import hermite_ntk_at_init

        if D == 1:
            return  # harmonics of degree l > 1 begin at D = 2
        at = Coordinates(D, vectors=["x", "x_prime"], scalars=["epsilon", "sigma"])
        at.values["x_prime"][2:] = at.ring.zero
        kernel = at.interpret(hermite_ntk_at_init(k).expr)
        square, square_prime = at.dot("x", "x"), at.dot("x_prime", "x_prime")
        for name, (value, _) in terms.items():
            l = int(name.removeprefix("harmonics_"))
            block = at.interpret(_rows(value))
            first = 1 if l == 0 else 0  # the constant is out of the kernel's reach
            for j, column in enumerate(zip(*block, strict=True)):
                function = kernel * square ** (j + first) * _harmonic(at, l, "x")
                claimed = sum(c * square_prime ** (i + first) for i, c in enumerate(column))
                expected = claimed * _harmonic(at, l, "x_prime")
                yield f"{name}, |x|^{2 * (j + first)}", at.mean(function, "x"), expected
        yield "trace", _trace(at, k), _sum(at, terms)

    return Certificate(contractions=2, pairs=k, compare=compare)


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


def _activation(at: Coordinates, k: int, argument: Any) -> Any:
    """argument + (epsilon/2) He_k(argument), coefficients from NumPy."""
    curved = _polynomial(at, hermite_e.herme2poly([0] * k + [1]), argument)
    return argument + at.values["epsilon"] * curved / 2


def _harmonic(at: Coordinates, l: int, name: str) -> Any:
    """Re z^l + 2 Im z^l, z = x_1 + i x_2: a harmonic polynomial of degree l."""
    first, second = at.values[name][0, 0], at.values[name][1, 0]
    real, imaginary = at.number(1), at.number(0)
    for _ in range(l):
        real, imaginary = real * first - imaginary * second, real * second + imaginary * first
    return real + 2 * imaginary


def _trace(at: Coordinates, k: int) -> Any:
    from lazyrich.theory.hermite import hermite_ntk_at_init

    return at.mean(at.interpret(hermite_ntk_at_init(k).expr, x_prime=at.values["x"]), "x")


def _sum(at: Coordinates, terms: Mapping[str, Any]) -> Any:
    """Multiplicities times traces of the blocks."""
    total = at.ring.zero
    for value, count in terms.values():
        diagonal = (row[i] for i, row in enumerate(at.interpret(_rows(value))))
        total += at.interpret(count) * sum(diagonal, at.ring.zero)
    return total


def _rows(value: Any) -> Any:
    """A block; an eigenvalue as a block of size 1."""
    return value if isinstance(value, sp.Tuple) else ((value,),)
