"""The dual flow of the diagonal net: n numbers in place of 2 d weights, for three losses."""

from functools import cache

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.lyu.diagonal_net import SETTING
from lazyrich.theory.lyu.mirror_map import DOMAIN, clock, slope, w_of_z
from lazyrich.theory.lyu.symbols import d, f, n, y

X = MatrixSymbol("X", n, d)  # the training inputs, a row each
curvature = MatrixSymbol("ell_ff", n, 1)  # second derivatives of the loss in f_i
w_z = MatrixSymbol("w_z", d, 1)  # dw/dz in each coordinate

LOSSES = {
    "exponential": sp.exp(-y * f),
    "logistic": sp.log(1 + sp.exp(-y * f)),
    "square": (f - y) ** 2,
}


@cache
def _derivatives() -> dict[str, tuple[sp.Expr, sp.Expr]]:
    """{loss: (ell_f, ell_ff)} in f."""
    simple = {k: sp.expand(sp.diff(loss, f)) for k, loss in LOSSES.items()}
    return {k: (slope, sp.simplify(sp.diff(slope, f))) for k, slope in simple.items()}


def diagonal_net_dual_flow() -> ClosedForm:
    """dnu_i/dt for exponential, logistic and square loss, with the n x n Jacobian.

    ``expr``: the three rates, f = f_i. ``terms``: each of them by its loss; ``<loss>_curvature``,
    ell_ff; ``jacobian``, of the rates in nu, from the vectors ell_ff (n,) and w_z = dw/dz (d,).
    """
    rates = {k: -clock() * slope / n for k, (slope, _) in _derivatives().items()}
    jacobian = -clock() / n * sp.DiagMatrix(curvature) * X * sp.DiagMatrix(w_z) * X.T
    bends = {f"{k}_curvature": bend for k, (_, bend) in _derivatives().items()}
    return ClosedForm(
        name="diagonal-net-dual-flow",
        title="dnu_i/dt for (exponential, logistic, square) loss; f = X w, z = X^T nu",
        expr=sp.Tuple(*rates.values()),
        terms={**rates, **bends, "jacobian": jacobian},
        steps=[
            ("w in every coordinate, for L != 2.", w_of_z()[0]),
            ("The same at L = 2.", w_of_z()[1]),
            ("nu_i moves at this times -ell_f/n, from nu = 0.", clock()),
            ("The losses exp(-y f), log(1 + exp(-y f)), (f - y)^2:", tuple(LOSSES.values())),
            ("their rates.", tuple(rates.values())),
            (
                "f_i depends on nu_j through sum_k X_ik (w_z)_k X_jk, w_z = dw/dz, in u and v:",
                slope(),
            ),
            ("so that the Jacobian of the rates is", jacobian),
        ],
        assumptions=DOMAIN + SETTING + " The loss is the mean over n samples, no factor 1/2.",
        source="derived here, for Lyu et al. 2024, Sec. 3",
    )
