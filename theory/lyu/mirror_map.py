"""The mirror map of the diagonal net: one dual number a sample in place of 2 d weights.

The invariants leave one free number in each coordinate, z, and the data move z = X^T nu.
"""

from functools import cache

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.lyu.diagonal_net import (
    SETTING,
    balance,
    balance_of_logs,
    invariant_power,
    sums,
)
from lazyrich.theory.lyu.symbols import L, a, u, v, z

DOMAIN = "z = X^T nu in every coordinate; |z| < L/(L - 2) for L > 2, any z for L = 2. "


@cache
def _factor() -> sp.Expr:
    """k of u^(2-L), v^(2-L) = a^(2-L) (1 +- k z), chosen so that w = 2 a^L z + O(z^2)."""
    k = sp.Dummy("k")
    first, second = ((1 + sign * k * z) ** (L / invariant_power()) for sign in (1, -1))
    return linear_root(sp.diff(first - second, z).subs(z, 0) - 2, k)


@cache
def weights() -> tuple[sp.Expr, sp.Expr]:
    """(u, v) in a and z, for L != 2."""
    power = invariant_power()
    if sp.cancel(sums()[0] / a**power) != 2:
        raise AssertionError(f"the sum is not 2 a^(2-L): {sums()[0]}")
    return tuple(a * (1 + sign * _factor() * z) ** (1 / power) for sign in (1, -1))


@cache
def weights_of_two_layers() -> tuple[sp.Expr, sp.Expr]:
    """(u, v) in a and z = log(u/v), for L = 2."""
    return tuple(sp.sqrt(sums()[1]) * sp.exp(sign * z / 2) for sign in (1, -1))


@cache
def clock() -> sp.Expr:
    """dz/dt over -g. The decay of a^(2-L) takes that of the difference of powers with it."""
    per_z = 2 * _factor() * a ** invariant_power()
    deep = sp.powsimp(sp.factor(-balance()[1] / per_z))
    if sp.cancel(deep.subs(L, 2) + balance_of_logs()[1]) != 0:
        raise AssertionError(f"two clocks at L = 2: {deep}, {balance_of_logs()[1]}")
    return deep


@cache
def w_of_z() -> tuple[sp.Expr, sp.Expr]:
    """w = u^L - v^L in a and z: (for L != 2, for L = 2)."""
    deep = a**L * sp.Add(*(sign * power_of(p) for sign, p in zip((1, -1), weights(), strict=True)))
    first, second = weights_of_two_layers()
    two = 2 * a**2 * sp.sinh(z)
    if sp.expand((first**2 - second**2 - two).rewrite(sp.exp)) != 0:
        raise AssertionError("u^2 - v^2 is not 2 a^2 sinh z")
    if sp.expand(sp.limit(deep, L, 2) - two.rewrite(sp.exp)) != 0:
        raise AssertionError("the limit L -> 2 is not the law at L = 2")
    return deep, two


def power_of(weight: sp.Expr, power: sp.Expr = L) -> sp.Expr:
    """(weight/a)^power of a weight a (1 + ...)^q, as one power."""
    (base, exponent) = (weight / a).as_base_exp()
    return base ** sp.factor(exponent * power)


@cache
def slope() -> sp.Expr:
    """dw/dz in u and v: d(u^L)/d(u^(2-L)) times what z does to u^(2-L)."""
    power = invariant_power()
    per_z = _factor() * a**power
    parts = [
        sign * per_z * sp.diff(p**L, p) / sp.diff(p**power, p)
        for sign, p in zip((1, -1), (u, v), strict=True)
    ]
    return sp.Add(*(sp.powsimp(sp.factor(part)) for part in (parts[0], -parts[1])))


def diagonal_net_weights() -> ClosedForm:
    """w = u^L - v^L in terms of z = X^T nu and a, and how fast nu moves.

    ``terms``: ``deep`` (L != 2); ``two_layers``, its limit L -> 2; ``clock``, dnu_i/dt over
    -ell_f/n; ``slope``, dw/dz in u and v.
    """
    deep, two = w_of_z()
    first, second = weights()
    return ClosedForm(
        name="diagonal-net-weights",
        title="w = u^L - v^L in the dual variable z = X^T nu and a, for L != 2",
        expr=deep,
        terms={"deep": deep, "two_layers": two, "clock": clock(), "slope": slope()},
        steps=[
            ("u^(2-L) + v^(2-L) is known:", sums()[0]),
            ("One number is left in each coordinate: z. u =", first),
            ("v =", second),
            ("normalised so that w = 2 a^L z + O(z^2). w = u^L - v^L:", deep),
            ("The data move z alone, and at this times -g, g = (X^T ell_f)/n:", clock()),
            (
                "the same in every coordinate. So z = X^T nu, and nu_i moves at this times "
                "-ell_f/n. At L = 2 z = log(u/v), the limit L -> 2:",
                two,
            ),
            ("dw/dz is", slope()),
        ],
        assumptions=DOMAIN + SETTING,
        source="derived here, for Lyu et al. 2024, Sec. 3",
    )
