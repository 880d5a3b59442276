"""Small epsilon/alpha, P > D: linear modes slaved to least squares, and what then drives features.

The covariance of the weights moves by itself, exactly and at any width. As epsilon/alpha -> 0 it is
slow, the mean of the weights follows at once, and one number is left of alpha, epsilon, sigma and
|beta|. Not in the papers.
"""

from functools import cache

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.moment_dynamics import moment_flow
from lazyrich.theory.network import network_function
from lazyrich.theory.symbols import (
    D,
    M,
    SymmetricMatrixSymbol,
    alpha,
    b,
    beta,
    epsilon,
    sigma,
    wbar,
    wbar0,
    x,
)
from lazyrich.theory.target import target
from lazyrich.theory.training_symbols import betahat
from lazyrich.theory.wick import canonical, canonical_matrix, dot

C = SymmetricMatrixSymbol("C", D, D)  # covariance of the weights over the neurons, M - wbar wbar^T
C0 = SymmetricMatrixSymbol("C0", D, D)  # the same at the start
Q = SymmetricMatrixSymbol("Q", D, D)  # alpha epsilon C/|beta|^2
Q0 = SymmetricMatrixSymbol("Q0", D, D)  # the same at the start: a I at infinite width
m = MatrixSymbol("m", D, 1)  # alpha (wbar - wbar0)
_small = sp.Dummy("small", positive=True)  # epsilon/alpha
_product = sp.Dummy("product", positive=True)  # alpha epsilon


def _covariance_flow() -> MatrixExpr:
    """dC/d tau: it needs no mean of the weights."""
    d_wbar, d_M = moment_flow().terms.values()
    d_C = (d_M - d_wbar * wbar.T - wbar * d_wbar.T).subs(M, C + wbar * wbar.T).doit()
    found = canonical_matrix(d_C)
    if found.has(wbar):
        raise AssertionError(f"the covariance's rate holds the mean: {found}")
    return found


def _residual() -> sp.Expr:
    """f - y of the centred predictor at x, in m and Q, as epsilon/alpha -> 0."""
    f = network_function().expr
    scale = b / (alpha * epsilon)
    now = {wbar: wbar0 + m / alpha, M: scale * Q + (wbar0 + m / alpha) * (wbar0 + m / alpha).T}
    start = {wbar: wbar0, M: scale * Q0 + wbar0 * wbar0.T}
    change = f.subs(now).doit() - f.subs(start).doit()
    residual = canonical(change - target().subs(beta, sp.sqrt(b) * betahat))
    scales = {alpha: sp.sqrt(_product / _small), epsilon: sp.sqrt(_product * _small)}
    terms = sp.Add.make_args(sp.expand(residual.subs(scales)))
    return sp.Add(*(term for term in terms if not term.has(_small)))


@cache
def slaved_flow() -> ClosedForm:
    """The slow flow of Q = alpha epsilon C/|beta|^2 in S = epsilon |beta|^2 tau/alpha.

    C = M - wbar wbar^T. ``expr``: dQ/dS, with r the residuals over |beta|^2. ``terms``:
    ``covariance``, dC/d tau, exact at any epsilon/alpha; ``residual``, f - y at x in m and Q, of
    which r takes the part that least squares on x leaves over the samples; ``a``, what the start
    Q = a I is at infinite width; ``tau``, the tau that is one unit of S. b stands for |beta|^2.
    """
    covariance = _covariance_flow()
    unit = alpha / (epsilon * b)
    scale = alpha * epsilon / b
    slow = canonical_matrix(unit * scale * covariance.subs(C, Q / scale).doit())
    # r stands for the residuals over b from here on.
    slow = canonical_matrix(b * slow)
    for symbol in (alpha, epsilon, b):
        if slow.has(symbol):
            raise AssertionError(f"{symbol} stands in the slow flow {slow}")
    mean = moment_flow().terms["wbar"]
    residual = _residual()
    without_mean = sp.expand(canonical(residual - dot(m, x)) / b)
    if without_mean.has(m) or without_mean.has(_product):
        raise AssertionError(f"alpha epsilon or the mean stands in {without_mean}")
    return ClosedForm(
        name="slaved-flow",
        title="dQ/dS, Q = alpha epsilon (M - wbar wbar^T)/|beta|^2, S = epsilon |beta|^2 tau/alpha",
        expr=slow,
        terms={
            "covariance": covariance,
            "residual": residual,
            "a": alpha * epsilon * sigma**2 / b,
            "tau": unit,
        },
        components={"residual_without_mean": without_mean},
        steps=[
            ("d wbar/d tau.", mean),
            ("The covariance of the weights moves without it: dC/d tau, exact.", covariance),
            (
                "f - y of the centred predictor as epsilon/alpha -> 0, m = alpha (wbar - wbar0).",
                residual,
            ),
            (
                "dm/d tau = alpha d wbar/d tau is of order 1, so m settles where it vanishes: at "
                "X^T r = 0, as epsilon -> 0. m.x is the least-squares fit, on the samples, of",
                without_mean,
            ),
            (
                "(over b, with the sign turned) by a linear function; r is the rest. dQ/dS:",
                slow,
            ),
            (
                "alpha, epsilon, sigma and |beta| stand in none of this, only in the start Q = a I "
                "with this a.",
                alpha * epsilon * sigma**2 / b,
            ),
            (
                "So with the data, beta/|beta| and a given, every time is this times a number, and "
                "every loss |beta|^4 times a number.",
                unit,
            ),
            ("For P <= D least squares leaves nothing: r = 0, and features never move.", sp.S.Zero),
        ],
        assumptions=(
            "epsilon/alpha -> 0 at fixed a (so epsilon -> 0), P > D, after the linear modes have "
            "settled; centred predictor, gradient flow. At infinite width Q = a I at the start and "
            "the error is of the order of epsilon/alpha; at width N it starts at a times the "
            "covariance of the initial weights over sigma^2, and the error is of order epsilon."
        ),
        source="derived here",
    )
