"""Laws of targets and kernels of higher Hermite degree.

Each takes a formula on demand, so that a wrong one can be planted, and raises ``AssertionError``
where it fails.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import factorial, prod
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import reject
from numpy.polynomial import hermite_e
from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from lazyrich.theory.hermite import h, hermite_ntk_at_init, hermite_ntk_eigenvalues, power_by_degree
from lazyrich.theory.symbols import D, beta, epsilon, sigma, x, x_prime
from lazyrich.theory.wick import dot
from lazyrich.verify.properties.lazy import random_points

Powers = Callable[[tuple[int, ...]], dict[int, Any]]


@cache
def derived_powers(coefficients: tuple[int, ...]) -> dict[int, sp.Expr]:
    """The derived powers by Hermite degree of sum_n coefficients[n] (beta.x)^n."""
    return power_by_degree(sum((c * h**n for n, c in enumerate(coefficients)), sp.S.Zero))


def power_by_degree_is_that_of_the_expansion(
    coefficients: tuple[int, ...], variance: Fraction, powers: Powers = derived_powers
) -> None:
    """In rational arithmetic: the power by degree of a polynomial of beta.x, of variance v.

    By brute force p(s z), s^2 = v, z ~ N(0, 1), has in degree n the power <p(s z) He_n(z)>^2/n!,
    where <(s z)^m He_n(z)> = s^m <z^m He_n(z)> with the Gaussian moments (m - 1)!!.
    """
    terms = powers(coefficients)
    for n in range(len(coefficients)):
        basis = [int(c) for c in hermite_e.herme2poly([0] * n + [1])]
        # Where the mean is not 0, m - n is even and not negative: s^m = s^n v^((m - n)/2).
        mean = sum(
            c * variance ** ((m - n) // 2) * a * _moment(m + i)
            for m, c in enumerate(coefficients)
            for i, a in enumerate(basis)
            if m >= n and (m - n) % 2 == 0
        )
        expected = mean**2 * variance**n / factorial(n)
        formula = sp.sympify(terms.get(n, 0)).subs(dot(beta, beta), sp.Rational(variance) * D)
        found = Fraction(str(sp.cancel(formula)))
        assert found == expected, f"degree {n} at |beta|^2/D = {variance}: {found}, not {expected}"


def _moment(m: int) -> int:
    """<z^m> of z ~ N(0, 1)."""
    return 0 if m % 2 else int(np.prod(range(1, m, 2), dtype=object))


@cache
def _kernel_terms(k: int) -> list[tuple[tuple[int, ...], Fraction]]:
    """(exponents of |x|^2, |x'|^2, x.x' and epsilon, coefficient) of the kernel at sigma = 1."""
    symbols = sp.symbols("xx yy xy")
    contractions = dot(x, x), dot(x_prime, x_prime), dot(x, x_prime)
    expr = hermite_ntk_at_init(k).expr.subs(dict(zip(contractions, symbols, strict=True)))
    polynomial = sp.Poly(expr.subs(sigma, 1), *symbols, epsilon)
    return [(powers, Fraction(str(c))) for powers, c in polynomial.terms()]


def kernel(k: int, a: list[int], b: list[int], curvature: Fraction) -> Fraction:
    """The kernel with He_k at sigma = 1, in rational arithmetic.

    >>> kernel(2, [1, 2], [3, 0], Fraction(1, 2))
    Fraction(21, 4)
    """
    values = [Fraction(int(np.dot(p, q))) for p, q in ((a, a), (b, b), (a, b))] + [curvature]
    return sum(
        (
            coefficient * prod(v**n for v, n in zip(values, powers, strict=True))
            for powers, coefficient in _kernel_terms(k)
        ),
        Fraction(0),
    )


@cache
def derived_rank(k: int) -> Any:
    """The number of functions of the kernel with He_k: sizes of blocks times multiplicities."""
    terms = hermite_ntk_eigenvalues(k).terms.values()
    sizes = [(len(v) if isinstance(v, sp.Tuple) else 1, count) for v, count in terms]
    return sp.factor(sp.Add(*(size * count for size, count in sizes)))


def kernel_has_the_derived_rank(
    k: int, d: int, curvature: Fraction, seed: int, rank: Callable[[int], Any] = derived_rank
) -> None:
    """The Gram matrix on more points than that has the derived rank, in rational arithmetic.

    Rejects the one value of epsilon at which the activation with an odd He_k has no linear part.
    """
    linear_part = 1 + curvature / 2 * int(hermite_e.herme2poly([0] * k + [1])[1])
    if linear_part == 0 or curvature == 0:
        reject()
    expected = int(rank(k).subs(D, d))
    points = random_points(expected + 2, d, seed)

    def value(a: list[int], b: list[int]) -> Any:
        entry = kernel(k, a, b, curvature)
        return QQ(entry.numerator, entry.denominator)

    gram = DomainMatrix([[value(a, b) for b in points] for a in points], (len(points),) * 2, QQ)
    assert gram.rank() == expected, f"k = {k}, D = {d}: rank {gram.rank()}, not {expected}"
