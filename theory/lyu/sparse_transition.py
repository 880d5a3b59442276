"""When the diagonal net learns sparse labels: the experiment of Lyu et al. (2024), Fig. 1.

x uniform in {+-1}^d, y the majority of three coordinates, n << d samples, |thetabar| = 1, L = 2,
logistic loss. For many samples all have the same dual variable nu, and the weights of the other
coordinates are Gaussian in z: a mean field, in which nu says how far the network has come.
"""

from functools import cache
from itertools import product

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.lyu.mirror_map import clock, weights_of_two_layers
from lazyrich.theory.lyu.start_scale import SHRUNK, s, unit_start
from lazyrich.theory.lyu.symbols import L, a, alpha, d, lamda, n, z

SPARSITY = 3
nu = sp.Symbol("nu", positive=True)  # y_i nu_i, the same for every sample
r = sp.Symbol("r", positive=True)  # weight of a relevant coordinate over the norm of the others


def _mean(of_signs) -> sp.Expr:
    """Mean of a function of the three relevant coordinates."""
    return sp.Add(*(of_signs(x) for x in product((1, -1), repeat=SPARSITY))) / 2**SPARSITY


def _gaussian_mean(of_z: sp.Expr, variance: sp.Expr) -> sp.Expr:
    """Mean over z ~ N(0, variance) of a sum of exponentials."""
    c, g = sp.Dummy("c", real=True), sp.Dummy("g", real=True)
    # The density of g times exp(c g) is a constant times the density of g - c: that is the mean.
    of_exponential = sp.exp(sp.expand(c * g - g**2 / 2 + (g - c) ** 2 / 2))
    means = []
    for term in sp.Add.make_args(sp.expand(of_z.rewrite(sp.exp))):
        factor = sp.diff(sp.expand_log(sp.log(term), force=True), z)
        means.append(term.subs(z, 0) * of_exponential.subs(c, factor * sp.sqrt(variance)))
    return sp.together(sp.Add(*means))


@cache
def _correlation() -> sp.Expr:
    """Mean of y x_1."""
    return _mean(lambda x: sp.sign(sum(x)) * x[0])


@cache
def _weight() -> sp.Expr:
    """w/a^2 of a coordinate in z."""
    u, v = weights_of_two_layers()
    weight = (u**2 - v**2).subs(SHRUNK).subs(s, unit_start())
    return sp.simplify(weight / a**2)


def _parts() -> dict[str, sp.Expr]:
    """ratio, accuracy, margin over a^2, margin, a^2: in nu, but accuracy in r."""
    variance = n * nu**2
    signal = _weight().subs(z, n * nu * _correlation())
    noise = sp.sqrt(d * _gaussian_mean(_weight() ** 2, variance))
    accuracy = _mean(lambda x: (1 + sp.erf(abs(sum(x)) * r / sp.sqrt(2))) / 2)
    # A sample moves each coordinate by nu x_ik y_i: E sinh(nu + rest) = sinh(nu) E cosh(rest).
    own = d * _weight().subs(z, nu) * _gaussian_mean(sp.cosh(z), variance)
    per_square = own + SPARSITY * _correlation() * signal
    # d nu/dt = (clock/n) sigma(-q), while q = a^2 m(nu) stays: d nu/dt = 2 lambda m/m'.
    speed = 2 * lamda * per_square / sp.diff(per_square, nu)
    slope = speed * n / clock().subs(L, 2)
    margin = sp.log(1 / slope - 1)
    return {
        "ratio": signal / noise,
        "accuracy": accuracy,
        "per_square": per_square,
        "margin": margin,
        "scale_square": margin / per_square,
    }


def sparse_transition() -> ClosedForm:
    """lambda t at which the dual variables of all samples are nu: with ``ratio``, when it groks.

    ``terms``: ``ratio``, the weight of a relevant coordinate over the norm of all the others;
    ``accuracy``, on the test set at the ratio r; ``margin``, q = y f on the samples;
    ``per_square``, q/a^2; ``scale_square``, a^2; ``time``, lambda t. Solve ``ratio`` = r for nu.
    """
    parts = _parts()
    time = sp.log(alpha) - sp.log(parts["scale_square"]) / 2
    return ClosedForm(
        name="sparse-transition",
        title="lambda t at which all samples have the dual variable nu, on sparse labels",
        expr=time,
        terms={**parts, "time": time},
        steps=[
            (
                "Mean of y x_k, x_k one of three coordinates of which y is the majority.",
                _correlation(),
            ),
            ("So z = n nu times it there, and N(0, n nu^2) elsewhere. w/a^2 at z:", _weight()),
            ("A relevant weight over the norm of all others.", parts["ratio"]),
            ("The others add a Gaussian to f: test accuracy at the ratio r.", parts["accuracy"]),
            (
                "On a sample of its own: its own part and the relevant weights, q/a^2.",
                parts["per_square"],
            ),
            ("nu follows the decay at fixed q, at 4/n sigma(-q): so q is", parts["margin"]),
            ("and this gives the scale, and the time.", parts["scale_square"]),
        ],
        assumptions=(
            "n and d large, n << d: fluctuations over data sets, of z by relative order n^(-1/2), "
            "are left out. The ratio has a maximum over nu, near nu = 1/4, at about exp(n/16): for "
            "n below some 8 log(d) it never reaches what an accuracy needs, and nu does not stay "
            "the same for all samples."
        ),
        source="derived here, for Lyu et al. 2024, Fig. 1",
    )
