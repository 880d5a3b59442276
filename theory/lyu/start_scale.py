"""What the size of the start does: u = v = alpha s in each of d coordinates, thetabar = s (1, 1).

Lyu et al. (2024) state the diagonal net for thetabar = (1, 1), s = 1, and train it with
|thetabar| = 1, s = (2 d)^(-1/2).
"""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.lyu.diagonal_net import SETTING
from lazyrich.theory.lyu.homogeneous import transition_time
from lazyrich.theory.lyu.mirror_map import w_of_z
from lazyrich.theory.lyu.oracles import regularised_oracles
from lazyrich.theory.lyu.symbols import L, a, alpha, d, u, v, w, z

s = sp.Symbol("s", positive=True)  # a coordinate of thetabar
# The net knows alpha s alone, so that every law at s = 1 holds with these in place of its own.
SHRUNK = {a: a * s, alpha: alpha * s}


def unit_start() -> sp.Expr:
    """The s for which thetabar, 2 d numbers, has norm 1.

    >>> unit_start()
    sqrt(2)/(2*sqrt(d))
    """
    return sp.sqrt(linear_root(2 * d * s**2 - 1, s**2))


def _laws() -> dict[str, sp.Expr]:
    """The laws at any s; a is alpha exp(-lambda t), without s."""
    features = [sp.diff(u**L - v**L, p).subs({u: s, v: s}) for p in (u, v)]
    early = w / sp.diff(w_of_z()[0], z).subs(z, 0)
    laws = {
        "kernel": sum(part**2 for part in features),
        # Of h = (w, -w)/2^(1/2), which has the length of w.
        "margin": (features[0] - features[1]) / sp.sqrt(2),
        "penalty": regularised_oracles().terms["early"].subs(SHRUNK),
        "dual": sp.cancel(early).subs(SHRUNK),
        "time": sp.expand_log(transition_time().terms["time"].subs(alpha, SHRUNK[alpha])),
    }
    return {name: sp.powsimp(sp.expand(law), force=True) for name, law in laws.items()}


def start_scale() -> ClosedForm:
    """How the laws of thetabar = (1, 1) read at thetabar = s (1, 1), with a = alpha exp(-lambda t).

    ``terms``: ``kernel``, of x.x' in the NTK at thetabar; ``margin``, of the features over that of
    the inputs; ``penalty``, the early one; ``dual``, z of a weight w in the kernel regime, where it
    is small; ``time``, lambda t* of what happens where u = v = a at s = 1. The same at
    |thetabar| = 1, in d dimensions, with ``_unit`` behind the name.
    """
    laws = _laws()
    unit = {
        f"{name}_unit": sp.powsimp(sp.expand_log(law.subs(s, unit_start())), force=True)
        for name, law in laws.items()
    }
    return ClosedForm(
        name="start-scale",
        title="lambda t* from u = v = alpha s, of what happens at a from u = v = alpha",
        expr=laws["time"],
        terms={**laws, **unit},
        steps=[
            ("theta(0) = alpha s (1, 1): the net knows alpha s, and decay leaves of it", a * s),
            ("so that what happens at a for s = 1 happens at", laws["time"]),
            ("The NTK at thetabar is x.x' times", laws["kernel"]),
            ("and the margin of the features that of the inputs times", laws["margin"]),
            ("The early penalty.", laws["penalty"]),
            ("The kernel regime is where z is small in every coordinate; there z is", laws["dual"]),
            ("|thetabar| = 1: s is", unit_start()),
            ("At L = 2 the NTK is then of order 1 in d,", unit["kernel_unit"].subs(L, 2)),
            ("the early penalty is", unit["penalty_unit"].subs(L, 2)),
            (
                "and z, for w spread over d coordinates (w of order 1/d), is free of d: what must "
                "be large is alpha, and alpha s may be below 1.",
                unit["dual_unit"].subs(L, 2),
            ),
            ("In any of them a fixed s shifts lambda t* by a constant.", unit["time_unit"]),
        ],
        assumptions=SETTING + " u = v = alpha s in place of alpha.",
        source="derived here, for Lyu et al. 2024, Sec. 3 and Fig. 1",
    )
