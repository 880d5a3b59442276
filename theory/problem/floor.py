"""The floor of lazy training: the target's power outside of all functions that the kernel has.

It needs no eigenvalue. A polynomial's functions are finitely many. By power series with positive
coefficients, the kernel of erf has all odd functions of x, however steep or flat it is, and that of
relu has |x| Y_l for l = 1 and every even l, Y_l harmonic on the sphere.
"""

from typing import TYPE_CHECKING, Any

import mpmath

from lazyrich.theory.problem import radial
from lazyrich.theory.problem.eigenspaces import of_target
from lazyrich.theory.symbols import D as _D

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem
    from lazyrich.theory.problem.eigenspaces import Spectrum


def lazy_floor(problem: "Problem", spectrum: "Spectrum", values: dict[str, Any]) -> float:
    """Return the mean square of what infinitely many samples leave, without the noise.

    ``values`` are those of all symbols; ``spectrum`` is the kernel's.
    """
    if spectrum.complete:
        return spectrum.null
    of_symbols = {name: values[name] for name in problem.target.symbols}
    powers = problem.closed_form("target-power").subs(D=spectrum.D, **of_symbols).terms
    if problem.activation.kind == "erf":
        return float(sum(float(v) for n, v in powers.items() if int(n.split("_")[1]) % 2 == 0))
    whole = float(sum(map(float, powers.values())))
    floor = whole - _on_multiples_of_the_norm(problem, spectrum.D, values)
    return 0.0 if abs(floor) < 1e-12 * whole else floor


def _on_multiples_of_the_norm(problem: "Problem", D: int, values: dict[str, Any]) -> float:
    """The power of the target on |x| Y_l, for l = 1 and all even l."""
    power = 0.0
    for l, amounts in of_target(problem, D, values).items():
        if l % 2 and l > 1:
            continue
        size = float(radial.weight(l, 0).subs(_D, D) / radial.norm_moment(l).subs(_D, D))
        for (i, j), amount in amounts.items():
            inner = _norm_mean(D, 2 * i + l + 1) * _norm_mean(D, 2 * j + l + 1)
            power += amount * size * inner
    return power


def _norm_mean(D: int, k: int) -> float:
    """<|x|^k> over x ~ N(0, I/D)."""
    half = mpmath.mpf(D) / 2
    return float(mpmath.rf(half, mpmath.mpf(k) / 2) / half ** (mpmath.mpf(k) / 2))
