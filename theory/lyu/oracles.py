"""The convex problems that the diagonal net solves at finite lambda, early and late.

Better oracles than the max-margin limits, which are approached only logarithmically.
"""

from functools import cache

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.lyu.diagonal_net import SETTING, flow
from lazyrich.theory.lyu.mirror_map import clock, slope
from lazyrich.theory.lyu.potential import norms, size
from lazyrich.theory.lyu.symbols import L, a, g, lamda, u, v, w

m = sp.Symbol("m")  # dw/dt over -g without decay


def _balance(mobility: sp.Expr) -> sp.Expr:
    """The g at which w stands still: -L lambda w/mobility."""
    return linear_root(-L * lamda * w - mobility * g, g)


@cache
def regularised_oracles() -> ClosedForm:
    """R(w) of one coordinate, for which the diagonal net minimises mean loss + R, where w rests.

    ``terms``: ``early`` (a -> infinity), ``late`` (a -> 0, abs_w is |w|), ``two_layers`` (any a
    at L = 2), ``early_two_layers``, ``late_two_layers``; ``mobility``, dw/dt over -g without decay.
    """
    rate = sp.expand(sp.Add(*(sp.diff(u**L - v**L, p) * flow()[p] for p in (u, v))))
    mobility = sp.powsimp(sp.expand(-1 * sp.sympify(rate.coeff(g))))
    lost = sp.cancel(rate.coeff(lamda) / (u**L - v**L))
    product = sp.powsimp(sp.expand(clock() * slope()))
    if sp.cancel(mobility - product) != 0 or lost != -L:
        raise AssertionError(f"the flow of w: {mobility} is not {product}, or {lost} not -L")
    early = sp.powsimp(sp.integrate(-_balance(sp.powsimp(mobility.subs({u: a, v: a}))), w))
    # v is 0 at the end, where w > 0.
    of_u = sp.Add(*(term for term in sp.Add.make_args(mobility) if not term.has(v)))
    at_end = sp.powdenest(of_u.subs(u, size ** (1 / L)))
    force = sp.powsimp(-_balance(at_end).subs(w, size))
    power = sp.powsimp(size * sp.diff(force, size) / force)
    late = sp.cancel(force / size**power) * size ** sp.expand(power + 1) / (power + 1)
    sum_two = norms()[1]
    two = sp.integrate(-_balance(4 * sum_two).subs(L, 2), w)
    if sp.expand(mobility.subs(L, 2) - 4 * (u**2 + v**2)) != 0:
        raise AssertionError("at L = 2 the mobility is not 4 (u^2 + v^2)")
    late = sp.powsimp(sp.expand(late))
    return ClosedForm(
        name="regularised-oracles",
        title="R(w) of one coordinate at L = 2: where w rests, it minimises mean loss + R",
        expr=two,
        terms={
            "two_layers": two,
            "early": early,
            "late": late,
            "early_two_layers": early.subs(L, 2),
            "late_two_layers": sp.cancel(late.subs(L, 2)),
            "mobility": mobility,
        },
        steps=[
            ("dw/dt is -L lambda w - g times", mobility),
            ("so where w rests, g = dloss/dw is", _balance(m)),
            ("with that m. At L = 2 m = 4 (u^2 + v^2):", 4 * sum_two),
            ("which is minus the derivative of R:", two),
            ("Early, u = v = a: R for every L.", early),
            ("It is the ridge of kernel-predictor. At L = 2:", early.subs(L, 2)),
            ("Late, v = 0 or u = 0: R for every L.", late),
            ("At L = 2 that is convex: the lasso, with lambda/2.", sp.cancel(late.subs(L, 2))),
        ],
        assumptions=(
            SETTING + " w rests early and late, up to dw/dt of relative order rho (regression) or "
            "1/log(1/rho) (classification); in between it moves at the rate lambda, and "
            "diagonal-net-potential, not R, says where it is. For L > 2 the late R is concave: w "
            "is a stationary point, on the support that the path ends at, that of the smallest L1 "
            "norm."
        ),
        source="derived here, for Lyu et al. 2024, Thms. 3.4, 3.5",
    )
