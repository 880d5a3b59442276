"""The exact numbers of a target g(beta.x): by Hermite degree and by harmonic degree, at one D.

In one direction, algebra of one variable replaces that of words: a target of degree 20 takes
milliseconds. D is a number.
"""

from math import factorial

import sympy as sp

from lazyrich.theory.activation import h
from lazyrich.theory.problem import radial
from lazyrich.theory.problem.target_values import TargetValues
from lazyrich.theory.symbols import b
from lazyrich.theory.target_function import Target
from lazyrich.theory.wick import dot


def coefficients(target: Target, values: TargetValues) -> tuple[dict[int, sp.Expr], sp.Expr] | None:
    """Return ({n: c_n}, |beta|^2) of y = sum_n c_n (beta.x)^n, or None for other targets.

    >>> from lazyrich.theory.problem.target_values import Axis
    >>> coefficients(Target("(beta.x)^3/2 + 1"), TargetValues(4, {"beta": Axis(0)}))
    ({3: 1/2, 0: 1}, 4)
    """
    if target.link is None or "b" in target.symbols:
        return None
    direction, link = target.link
    square = dot(direction, direction)
    terms = sp.Poly(link, h).terms()
    found = {n: values.exact(c.xreplace({b: square})) for (n,), c in terms}
    return {n: c for n, c in found.items() if c != 0}, values.exact(square)


def hermite_powers(given: dict[int, sp.Expr], degree: int, variance: sp.Expr) -> dict[int, sp.Expr]:
    """Return the power by Hermite degree of sum_n c_n a^n, a Gaussian of this variance.

    The part of degree n of a^k is k!/(2^m m! n!) He_n, k = n + 2 m, at variance 1.

    >>> hermite_powers({3: sp.S.One}, 3, sp.S.One)
    {0: 0, 1: 9, 2: 0, 3: 6}
    """
    powers = {}
    for n in range(degree + 1):
        parts = {k: c * _share(k, n) for k, c in given.items() if k >= n and (k - n) % 2 == 0}
        total = sp.Add(
            *(parts[j] * parts[k] * variance ** ((j + k) // 2) for j in parts for k in parts)
        )
        powers[n] = sp.expand(factorial(n) * total)
    return powers


def _share(k: int, n: int) -> sp.Rational:
    m = (k - n) // 2
    return sp.Rational(factorial(k), 2**m * factorial(m) * factorial(n))


def harmonic_products(
    given: dict[int, sp.Expr], square: sp.Expr, D: int
) -> dict[int, dict[tuple[int, int], sp.Expr]]:
    """Return {l: {(i, j): <H_i H_j> over weight(l, 0)}} of the harmonic parts H_i of the target.

    (beta.x)^n is a sum of a_l (|beta| |x|)^(n - l) Z_l(beta, x), and <Z_l(beta, x)^2> is weight(l,
    0) Z_l(beta, beta).
    """
    found: dict[int, dict[tuple[int, int], sp.Expr]] = {}
    for l in range(max(given, default=-1) + 1):
        parts = {
            (n - l) // 2: c * radial.power_in_zonals(n, sp.Integer(D))[l]
            for n, c in given.items()
            if n >= l and (n - l) % 2 == 0
        }
        if not parts or (l > 1 and D == 1):
            continue
        at_one = sp.Add(*radial.zonal(l, sp.Integer(D)))
        found[l] = {
            (i, j): sp.expand(parts[i] * parts[j] * square ** (i + j + l) * at_one)
            for i in sorted(parts)
            for j in sorted(parts)
        }
    return found
