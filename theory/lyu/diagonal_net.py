"""The diagonal linear net f = <u^L - v^L, x>: its flow with decay, and what is invariant under it.

Lyu et al. 2024, Sec. 3 (L = 2). The model's definition is all that is put in.
"""

from functools import cache

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_flow, linear_root
from lazyrich.theory.lyu.symbols import L, a, alpha, g, lamda, scale, t, u, v

TWO = sp.Integer(2)
_S = sp.Symbol("S", real=True)
SETTING = (
    "u, v > 0 in every coordinate, from u = v = alpha; any loss, data and lambda >= 0. g is the "
    "derivative of the mean loss in this coordinate of w = u^L - v^L."
)


def flow(depth: sp.Expr = L) -> dict[sp.Symbol, sp.Expr]:
    """du/dt and dv/dt in one coordinate, from the model's definition.

    >>> flow(TWO)[u]
    -2*g*u - lamda*u
    """
    weight = u**depth - v**depth
    return {p: -g * sp.diff(weight, p) - lamda * p for p in (u, v)}


@cache
def invariant_power() -> sp.Expr:
    """The p for which the gradient's share of d(u^p)/dt is free of u.

    >>> invariant_power()
    2 - L
    """
    p = sp.Dummy("p")
    share = sp.powsimp(sp.expand(sp.diff(u**p, u) * flow()[u]).coeff(g))
    return linear_root(sp.cancel(u * sp.diff(share, u) / share), p)


def _shares(part: sp.Expr, depth: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(the gradient's and the decay's share) of the rate of a function of u or of v."""
    (p,) = part.free_symbols & {u, v}
    rate = sp.expand(sp.diff(part, p) * flow(depth)[p])
    moved, lost = (sp.powsimp(sp.factor(rate.coeff(symbol))) for symbol in (g, lamda))
    return moved, lost


@cache
def balance() -> tuple[sp.Expr, sp.Expr]:
    """(d/dt of S = u^(2-L) + v^(2-L), the rate per g of u^(2-L) - v^(2-L) without decay)."""
    parts = [p ** invariant_power() for p in (u, v)]
    (moved_u, lost_u), (moved_v, lost_v) = (_shares(part, L) for part in parts)
    if sp.expand(moved_u + moved_v) != 0:
        raise AssertionError(f"the data move the sum: {moved_u} + {moved_v}")
    factors = {sp.cancel(lost / part) for lost, part in zip((lost_u, lost_v), parts, strict=True)}
    (factor,) = factors
    return sp.factor(factor) * lamda * _S, sp.factor(moved_u - moved_v)


@cache
def balance_of_logs() -> tuple[sp.Expr, sp.Expr]:
    """The same for log u + log v and log u - log v at L = 2."""
    (moved_u, lost_u), (moved_v, lost_v) = (_shares(sp.log(p), TWO) for p in (u, v))
    if moved_u + moved_v != 0 or lost_u != lost_v:
        raise AssertionError("the data move the sum of the logarithms")
    return lamda * (lost_u + lost_v), moved_u - moved_v


def _solved(rate: sp.Expr, start: sp.Expr) -> sp.Expr:
    """S(t) from S(0), with alpha written in a."""
    found = linear_flow(rate, _S, t, start)
    return sp.powsimp(sp.expand(found.subs(alpha, linear_root(scale() - a, alpha))))


@cache
def sums() -> tuple[sp.Expr, sp.Expr]:
    """(u^(2-L) + v^(2-L) for L != 2, u v for L = 2) in a."""
    deep = _solved(balance()[0], 2 * alpha ** invariant_power())
    logs = _solved(balance_of_logs()[0], 2 * sp.log(alpha))
    return sp.powsimp(sp.expand(deep)), sp.cancel(sp.exp(logs))


def diagonal_net_invariant() -> ClosedForm:
    """What gradient flow with decay leaves of the initial balance, in every coordinate.

    ``terms``: ``deep``, u^(2-L) + v^(2-L) for L != 2; ``two_layers``, u v for L = 2.
    """
    deep, two = sums()
    return ClosedForm(
        name="diagonal-net-invariant",
        title="(u^(2-L) + v^(2-L) for L != 2, u v for L = 2)",
        expr=sp.Tuple(deep, two),
        terms={"deep": deep, "two_layers": two},
        steps=[
            ("du/dt for f = <u^L - v^L, x>, decay lambda.", flow()[u]),
            ("dv/dt.", flow()[v]),
            ("The gradient's share of d(u^p)/dt is free of u for p =", invariant_power()),
            ("S = u^p + v^p: the data cancel, dS/dt is", balance()[0]),
            ("From S = 2 alpha^p, with a = alpha exp(-lambda t):", deep),
            ("What the data move is the difference u^p - v^p: its rate per g.", balance()[1]),
            (
                "For L = 2 that p is 0; logarithms take its place. d(log u + log v)/dt is",
                balance_of_logs()[0],
            ),
            ("so that u v is", two),
            ("and what the data move is log u - log v, per g at the rate", balance_of_logs()[1]),
        ],
        assumptions=SETTING,
        source="derived here, for Lyu et al. 2024, Sec. 3",
    )
