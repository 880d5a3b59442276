"""The floor of lazy training: the target's power outside of all functions that the kernel has.

It needs no eigenvalue. A polynomial's functions are finitely many. By power series with positive
coefficients, the kernel of erf has all odd functions of x, however steep or flat it is, and that of
relu has |x| Y_l for l = 1 and every even l, Y_l harmonic on the sphere.
"""

from typing import TYPE_CHECKING, Any

import mpmath
import sympy as sp

from lazyrich.theory.problem import radial
from lazyrich.theory.problem.target_values import (
    TargetValues,
    in_digits,
    outside,
    powers,
    products,
    to_float,
)

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem
    from lazyrich.theory.problem.eigenspaces import Spectrum


def lazy_floor(problem: "Problem", spectrum: "Spectrum", values: dict[str, Any]) -> float:
    """Return the mean square of what infinitely many samples leave, without the noise.

    ``values`` are those of all symbols; ``spectrum`` is the kernel's.
    """
    if spectrum.complete:
        return spectrum.null
    target = TargetValues(spectrum.D, values)
    if problem.activation.kind == "erf":
        even = (power for n, power in powers(problem, target).items() if n % 2 == 0)
        return to_float(sp.Add(*even))
    parts = (
        beyond_the_norm(l, spectrum.D, amounts) for l, amounts in products(problem, target).items()
    )
    return float(sum(parts))


def beyond_the_norm(l: int, D: int, amounts: dict[tuple[int, int], sp.Expr]) -> float:
    """Return the power of harmonic degree l outside of |x| Y_l, which relu has at l = 1 and even l.

    For l = 1 that is x. Else it is what |x| Y_l leaves of |x|^(2i + l) Y_l, with enough digits for
    norms that hardly vary.

    >>> round(beyond_the_norm(0, 1, {(1, 1): sp.S.One}), 4)      # <|x|^4> - <|x|^3>^2 on a line
    0.4535
    """
    if l % 2:
        return to_float(outside(l, D, amounts, sp.ones(1, 1) if l == 1 else None))
    with mpmath.workdps(50 + 2 * (l + max(i for i, _ in amounts) + 2) * len(str(D))):
        dimension = sp.Integer(D)
        size = in_digits(radial.weight(l, 0, dimension) / radial.norm_moment(l, dimension))
        total = mpmath.mpf(0)
        for (i, j), amount in amounts.items():
            both = _norm_mean(D, 2 * (i + j + l))
            apart = _norm_mean(D, 2 * i + l + 1) * _norm_mean(D, 2 * j + l + 1)
            total += in_digits(amount) * size * (both - apart)
        return float(total)


def _norm_mean(D: int, k: int) -> Any:
    """<|x|^k> over x ~ N(0, I/D)."""
    half = mpmath.mpf(D) / 2
    return mpmath.rf(half, mpmath.mpf(k) / 2) / half ** (mpmath.mpf(k) / 2)
