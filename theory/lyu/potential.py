"""The potential of the diagonal net's mirror map, whose scale a(t) decays, and the weights' norm.

w(t) minimises Phi_a(t) among all w of the same outputs. So for lambda -> 0 regression follows the
minima of Phi_a on the interpolants, from the smallest L2 to the smallest L1 norm (laws 1-3 of the
sharper laws for the systems of Lyu et al. 2024).
"""

from functools import cache

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.lyu.diagonal_net import SETTING, TWO, invariant_power
from lazyrich.theory.lyu.mirror_map import (
    DOMAIN,
    power_of,
    slope,
    w_of_z,
    weights,
    weights_of_two_layers,
)
from lazyrich.theory.lyu.symbols import L, a, lamda, u, v, w, z

size = sp.Symbol("abs_w", positive=True)  # |w|


@cache
def norms() -> tuple[sp.Expr, sp.Expr]:
    """u^2 + v^2: (for L != 2 in a and z, for L = 2 in a and w)."""
    deep = a**2 * sp.Add(*(power_of(p, TWO) for p in weights()))
    first, second = weights_of_two_layers()
    square = sp.expand(w_of_z()[1].rewrite(sp.exp) ** 2 + 4 * a**4 - (first**2 + second**2) ** 2)
    if sp.cancel(square) != 0:
        raise AssertionError(f"(u^2 + v^2)^2 is not w^2 + 4 a^4: {square} off")
    return deep, sp.sqrt(w**2 + 4 * a**4)


@cache
def dual_factor() -> sp.Expr:
    """What u^2 + v^2 is multiplied by to be the integral of w over z: the dual of the potential."""
    ratios = {
        sp.simplify(sp.powsimp(sign * a**L * power_of(p) / sp.diff(a**2 * power_of(p, TWO), z)))
        for sign, p in zip((1, -1), weights(), strict=True)
    }
    (factor,) = ratios
    return sp.powsimp(factor)


@cache
def _late() -> sp.Expr:
    """Phi at v << u for L > 2: z is known in u alone, and w = u^L."""
    p = sp.Dummy("p")  # (u/a)^(2 - L)
    z_of_p = linear_root((weights()[0] / a).as_base_exp()[0] - p, z)
    at_0, per_p = z_of_p.subs(p, 0), sp.diff(z_of_p, p)
    power = invariant_power() / L
    correction = per_p * a ** -invariant_power() * size ** sp.expand(power + 1) / (power + 1)
    return sp.factor(at_0) * size + sp.factor(correction)


def diagonal_net_potential() -> ClosedForm:
    """Phi_a with dPhi/dw = z: w(t) minimises its sum among all w of the same outputs.

    ``terms``: ``two_layers``, at L = 2 in w; ``deep``, for L != 2 in z; ``dual_factor``, of
    |theta|^2 in the dual potential; ``early``, what is left of w for a -> infinity; ``late``, for
    a -> 0 at L > 2, ``late_two_layers`` at L = 2, abs_w stands for |w|.
    """
    (deep, two), factor = w_of_z(), dual_factor()
    Phi_two = sp.integrate(sp.asinh(w / (2 * a**2)), w)
    if sp.expand(Phi_two - (w * sp.asinh(w / (2 * a**2)) - norms()[1])) != 0:
        raise AssertionError(f"at L = 2 Phi is not w z - |theta|^2: {Phi_two}")
    Phi = z * deep - factor * norms()[0]
    early = sp.integrate(w / sp.diff(deep, z).subs(z, 0).simplify(), w)
    late_two = sp.integrate(sp.log(size / a**2), size)
    return ClosedForm(
        name="diagonal-net-potential",
        title="Phi_a of one coordinate at L = 2: w(t) minimises its sum at given outputs",
        expr=Phi_two,
        terms={
            "two_layers": Phi_two,
            "deep": Phi,
            "dual_factor": factor,
            "early": early,
            "late": _late(),
            "late_two_layers": late_two,
        },
        steps=[
            ("z = X^T nu is in the span of the samples, and w is, for L = 2,", two),
            (
                "so where dPhi/dw = z, w(t) is a stationary point of the sum of Phi among all w "
                "of the same X w, and as Phi is convex, the minimum: at any time, for any loss.",
                Phi_two,
            ),
            (
                "In regression for lambda -> 0 X w = y: this is the whole path after the fit. "
                "Any L: the integral of w over z is |theta|^2 times",
                factor,
            ),
            ("so that Phi, by Legendre, is", Phi),
            ("a -> infinity: up to a constant, the smallest L2 norm.", early),
            (
                "a -> 0 at L > 2, v << u: the L1 norm comes first, the quasi-norm of power 2/L "
                "only in the correction.",
                _late(),
            ),
            (
                "a -> 0 at L = 2: 2 log(1/a) |w| comes first, so that the path ends at the "
                "smallest L1 norm at every L.",
                late_two,
            ),
        ],
        assumptions=DOMAIN
        + SETTING
        + " The path for lambda -> 0: square loss, error of order lambda, after the first fit.",
        source="derived here, for Lyu et al. 2024, Sec. 3",
    )


def diagonal_net_norm() -> ClosedForm:
    """u^2 + v^2 of one coordinate, and how fast it falls along the path of regression.

    ``terms``: ``two_layers``, at L = 2 in w; ``deep``, for L != 2 in z; ``fall``, a lower bound of
    -d(u^2 + v^2)/dt, summed over the coordinates, for lambda -> 0 after the fit.
    """
    deep, two = norms()
    scale_of_w = a ** (2 - L)
    top = (u * v ** (L - 1) + v * u ** (L - 1)) ** 2
    bottom = slope() / scale_of_w
    left = u**2 + v**2 - scale_of_w * (u**L - v**L) ** 2 / slope()
    off = sp.powsimp(sp.expand(sp.powsimp(sp.expand(sp.together(left * bottom) - top))))
    if sp.cancel(off) != 0:
        raise AssertionError(f"the bound's numerator is no square: {off} off")
    fall = 2 * lamda * top / sp.powsimp(sp.expand(bottom))
    return ClosedForm(
        name="diagonal-net-norm",
        title="u^2 + v^2 of one coordinate at L = 2",
        expr=two,
        terms={"two_layers": two, "deep": deep, "fall": fall},
        steps=[
            ("u v = a^2 and w = u^2 - v^2:", two),
            ("For L != 2, in z:", deep),
            (
                "Regression, lambda -> 0: X w = y stays, so that X diag(dw/dz) X^T dnu/dt = "
                "L lambda y, and -d|theta|^2/dt = 2 lambda (|theta|^2 - a^(2-L) y^T "
                "[X diag(dw/dz) X^T]^-1 y). The last form is at most w^T diag(dw/dz)^-1 w: a "
                "coordinate contributes at least 2 lambda times",
                left,
            ),
            ("which is positive: the norm falls all along the path.", fall),
        ],
        assumptions=DOMAIN + SETTING,
        source="derived here, for Lyu et al. 2024, Sec. 3",
    )
