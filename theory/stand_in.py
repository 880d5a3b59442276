"""A polynomial that stands in for an activation for which there are no closed forms: tanh, sin, ...

It is the activation's Hermite series at h ~ N(0, 1), cut off: of all polynomials of its degree the
one that is closest in mean square.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from lazyrich.theory.grammar.functions import hermite

HIGHEST = 5  # the forms of a higher degree take long
_ENOUGH = 0.99  # of the variance
_DIGITS = 4
_ROUNDING = 1e-4
_REACH, _NODES = 14.0, 400  # Gauss-Legendre nodes on either side of 0, up to 14 deviations
_TINY = 1e-8


def advice(expr: sp.Expr, h: sp.Symbol) -> str:
    """Return what to use in place of ``expr``, as the end of a message; "" where nothing is known.

    >>> h = sp.Symbol("h", real=True)
    >>> print(advice(sp.sin(h), h))
    its Hermite series to degree 3, 0.9098 h - 0.10109 h^3, has 99.2% of its variance at h ~ N(0, 1)
    """
    found = stand_in(expr, h)
    if found is None:
        return ""
    polynomial, share = found
    degree = sp.Poly(polynomial, h).degree()
    series, percent = _decimal(polynomial, h), np.floor(1000 * share) / 10
    return (
        f"its Hermite series to degree {degree}, {series}, has {percent:.1f}% of its variance at "
        "h ~ N(0, 1)"
    )


def stand_in(expr: sp.Expr, h: sp.Symbol, highest: int = HIGHEST) -> tuple[sp.Expr, float] | None:
    """Return (polynomial, share of the variance), or None where the variance can't be integrated.

    Of the least degree that has 99% of the variance, at most ``highest``. The share is that of the
    polynomial as it is returned, with rounded coefficients. The mean doesn't count: a
    constant in the activation changes no kernel.
    """
    coarse, fine = _moments(expr, h, highest, _NODES), _moments(expr, h, highest, 2 * _NODES)
    if (
        coarse is None
        or fine is None
        or not np.allclose(coarse, fine, _ROUNDING, _ROUNDING * np.sqrt(fine[-1]))
    ):
        return None
    variance, found, share = fine[-1] - fine[0] ** 2, sp.S.Zero, 0.0
    if variance <= _TINY * fine[-1]:
        return None
    for degree in range(1, highest + 1):
        series = sum(
            (c / sp.factorial(n) * hermite(n, h) for n, c in enumerate(fine[: degree + 1])),
            sp.S.Zero,
        )
        found = _rounded(sp.expand(series), h, _DIGITS - math.floor(math.log10(variance) / 2))
        left = _moments(expr - found, h, 0, _NODES)
        assert left is not None
        share = 1 - left[-1] / variance
        if share >= _ENOUGH:
            break
    return found, float(share)


def _moments(expr: sp.Expr, h: sp.Symbol, highest: int, nodes: int) -> np.ndarray | None:
    """<phi He_0>, ..., <phi He_highest>, <phi^2>; None where phi has no finite real values."""
    if expr.free_symbols - {h}:
        return None
    function: Callable[..., Any] = sp.lambdify(h, expr, ["scipy", "numpy"])
    points, masses = np.polynomial.legendre.leggauss(nodes)
    points, masses = _REACH / 2 * (points + 1), _REACH / 2 * masses
    u = np.concatenate([-points, points])
    density = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) * np.concatenate([masses, masses])
    with np.errstate(all="ignore"):
        try:
            phi = np.asarray(function(u) + 0 * u, dtype=complex)
        except (TypeError, ValueError, NameError):
            return None
    if not np.isfinite(phi).all() or phi.imag.any():
        return None
    values = phi.real
    if abs(values[[nodes - 1, -1]] ** 2 @ density[[nodes - 1, -1]]) > _TINY:
        return None  # at the end of the range: the integral diverges
    basis = np.polynomial.hermite_e.hermevander(u, highest)
    return np.append(basis.T @ (density * values), density @ values**2)


def _rounded(polynomial: sp.Expr, h: sp.Symbol, digits: int) -> sp.Expr:
    """The polynomial with coefficients of that many digits behind the point."""
    terms = sp.Poly(polynomial, h).terms()
    return sp.Add(*(sp.Rational(str(round(float(c), digits))) * h**n for (n,), c in terms))


def _decimal(polynomial: sp.Expr, h: sp.Symbol) -> str:
    """The polynomial as text, with decimals and the lowest power first."""
    text = ""
    for (n,), c in reversed(sp.Poly(polynomial, h).terms()):
        if not c:
            continue
        power = "" if n == 0 else "h" if n == 1 else f"h^{n}"
        sign = (" - " if text else "-") if c < 0 else (" + " if text else "")
        text += f"{sign}{float(abs(c)):g} {power}".rstrip()
    return text or "0"
