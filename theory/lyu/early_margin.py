"""How far the early predictor's margins have grown: the Z(alpha) of Lyu et al. 2024, Thm. 3.4."""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.lyu.homogeneous import bend as feature
from lazyrich.theory.lyu.homogeneous import h as weight
from lazyrich.theory.lyu.homogeneous import homogeneous_flow
from lazyrich.theory.lyu.homogeneous import slope as loss_slope
from lazyrich.theory.lyu.symbols import L, a, alpha, c, lamda, n, q

gamma = sp.Symbol("gamma", positive=True)  # L2 margin of the NTK features, |h| = 1
k_sv = sp.Symbol(
    "k_sv", positive=True
)  # sum of the support vectors' dual weights, at least 1 of them


def early_margin() -> ClosedForm:
    """Z(alpha) = |h| at T-: the margin of the early predictor over gamma, to leading order.

    ``terms``: ``Z``; ``argument``, of the logarithm at any a; ``balance``, whose zero q the margin
    follows to relative order 1/log^2: n samples, k_sv of them support vectors of equal weight;
    ``printed_over_derived``, the ratio for lambda = alpha^-p of the printed log(alpha^c/lambda).
    """
    rate = homogeneous_flow().terms["h"]
    growth = sp.powsimp(-rate.coeff(loss_slope * feature))  # of h by one sample's -ell_f Df
    leak = -rate.coeff(weight)
    push = k_sv * growth * gamma**2 * sp.exp(-q) / n
    drift = sp.cancel(a * sp.diff(sp.log(growth), a)) * -lamda
    balance = sp.expand((leak * q + drift) / leak) - sp.powsimp(sp.expand(push / leak))
    argument = sp.powsimp(growth / lamda)
    Z = sp.log(argument.subs(a, alpha**c)) / gamma
    Z = Z.subs(
        sp.log((alpha**c) ** (2 * L - 2) / lamda), sp.log(alpha ** (c * (2 * L - 2)) / lamda)
    )
    p = sp.Symbol("p", positive=True)
    exponents = [
        sp.together(sp.expand_log(sp.log(part.subs(lamda, alpha**-p)), force=True) / sp.log(alpha))
        for part in (alpha**c / lamda, argument.subs(a, alpha**c))
    ]
    return ClosedForm(
        name="early-margin",
        title="Z(alpha): |h| of the early predictor at T- = (1 - c) log(alpha)/lambda",
        expr=Z,
        terms={
            "Z": Z,
            "argument": argument,
            "balance": balance,
            "printed_over_derived": exponents[0] / exponents[1],
        },
        steps=[
            ("dh/dt, one sample's share; for exponential loss ell_f = -y exp(-y f).", rate),
            (
                "Along h = (q/gamma) h*, k_sv support vectors push the margin q up by",
                push,
            ),
            ("while decay takes off", leak * q),
            ("As a falls, the q at which they balance falls at the rate", drift),
            ("q follows, so that this vanishes to relative order 1/q^2:", balance),
            ("q + log(q) + const is the logarithm of", argument),
            ("At T- a = alpha^c. |h| = q/gamma to leading order:", Z),
        ],
        assumptions=(
            "f(thetabar) = 0, exponential loss, separable NTK features, a^L >> log(1/lambda). The "
            "corrections are log(log)/log: the limit is approached that slowly."
        ),
        source="derived here; Lyu et al. 2024, Thm. 3.4",
    )
