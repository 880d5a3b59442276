"""How a feature grows from one data set: along a direction v, a logistic of two averages over it.

In the slow flow of ``slaved-flow``, Q = q v v^T grows by
4 q (lambda_1 - kappa_1 (q - q_0)): lambda_1 is what the residuals of least squares say of v,
kappa_1 what v itself fits. The spike is the v of the largest lambda_1. Not in the papers.
"""

import sympy as sp
from sympy import DiagMatrix, MatrixSymbol

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.laws.slaved import Q, slaved_flow
from lazyrich.theory.laws.symbols import p
from lazyrich.theory.symbols import D, P, alpha, b, beta, epsilon, isotropic, x
from lazyrich.theory.target import target
from lazyrich.theory.training_symbols import X, betahat, r
from lazyrich.theory.wick import canonical, canonical_matrix, dot, expectation, form

v = MatrixSymbol("v", D, 1)  # a unit vector
t = sp.Symbol("t", nonnegative=True)  # epsilon tau/alpha
q_0 = sp.Symbol("q_0", positive=True)  # alpha epsilon sigma^2, where q starts
q = sp.Symbol("q", positive=True)  # alpha epsilon v^T M v
lambda_1 = sp.Symbol("lambda_1", positive=True)  # -(1/P) sum r (v.x)^2 at the start
kappa_1 = sp.Symbol("kappa_1", positive=True)  # (1/(2 P)) sum of the square of what (v.x)^2 leaves


def _pull() -> sp.Expr:
    """v^T (dQ/dt) v at Q = q v v^T: what the residuals r do to a direction, linear in r."""
    slow = slaved_flow().expr
    along = canonical(form(v, slow.subs(Q, q * v * v.T).doit(), v))
    along = sp.factor(along.subs(canonical(dot(v, v)), 1))
    at_residuals = canonical(form(v, X.T * DiagMatrix(r) * X, v))
    if sp.expand(along + 4 * q * at_residuals / P) != 0:
        raise AssertionError(f"q does not grow by 4 q times the mean of -r (v.x)^2: {along}")
    return along


def _grown() -> sp.Expr:
    """q(t) from q = q_0, dq/dt = 4 q (lambda_1 - kappa_1 (q - q_0)); checked by differentiation."""
    end = q_0 + lambda_1 / kappa_1
    grown = end / (1 + (end / q_0 - 1) * sp.exp(-4 * kappa_1 * end * t))
    left = sp.diff(grown, t) - 4 * grown * (lambda_1 - kappa_1 * (grown - q_0))
    if sp.cancel(left) != 0 or sp.cancel(grown.subs(t, 0) - q_0) != 0:
        raise AssertionError(f"{grown} does not solve the flow of one direction")
    return grown


def _population() -> tuple[sp.Expr, sp.Expr]:
    """(lambda_1, kappa_1) along beta, infinitely many samples: least squares takes nothing away."""
    unit = {beta: sp.sqrt(b) * betahat}
    averages = (
        target().subs(unit) * dot(betahat, x) ** 2,
        dot(betahat, x) ** 4 / 2,
    )
    found = (canonical(expectation(part, isotropic(x))) for part in averages)
    first, second = (sp.factor(part.subs(canonical(dot(betahat, betahat)), 1)) for part in found)
    return first, second


def spike_growth() -> ClosedForm:
    """When a feature along v has fitted the share p of what it can: t, from data averages.

    ``expr``: t = epsilon tau/alpha. lambda_1 = (1/P) sum e (v.x)^2 with e the residuals of
    least squares of y on x, kappa_1 = (1/(2 P)) |(1 - Pi)(v.x)^2|^2, q_0 = alpha epsilon sigma^2.
    ``terms``:
    ``feature``, alpha epsilon v^T M v over t; ``rate``, its rate while it is small, a unit of t;
    ``small``, ``expr`` for q_0 -> 0; ``rate_population``, the rate in tau along beta for infinitely
    many samples. ``components``: ``population``, lambda_1 and kappa_1 there. b stands for |beta|^2.
    """
    pull, grown = _pull(), _grown()
    reached = q_0 + p * lambda_1 / kappa_1
    end = q_0 + lambda_1 / kappa_1
    time = sp.log((end / q_0 - 1) * reached / (end - reached)) / (4 * kappa_1 * end)
    time = sp.simplify(time)
    if sp.simplify(sp.expand_log(grown.subs(t, time) - reached, force=True)) != 0:
        raise AssertionError(f"q is not {reached} at {time}")
    small = sp.log(p / (1 - p) * lambda_1 / (kappa_1 * q_0)) / (4 * lambda_1)
    many = _population()
    rate = 4 * (lambda_1 + kappa_1 * q_0)
    in_tau = sp.cancel((epsilon / alpha * 4 * lambda_1).subs(lambda_1, many[0]))
    return ClosedForm(
        name="spike-growth",
        title="t = epsilon tau/alpha at which a feature along v has fitted the share p of its own",
        expr=time,
        terms={
            "feature": grown,
            "rate": rate,
            "small": small,
            "rate_population": in_tau,
        },
        components={"population": many, "pull": pull},
        steps=[
            (
                "dQ/dt along v at Q = q v v^T, from slaved-flow.",
                canonical_matrix(slaved_flow().expr),
            ),
            ("It is 4 q times the mean of -r (v.x)^2:", pull),
            (
                "r = -e + (1 - Pi)(v.x)^2 (q - q_0)/2, so dq/dt is",
                4 * q * (lambda_1 - kappa_1 * (q - q_0)),
            ),
            ("A logistic, from q = q_0.", grown),
            ("It is q_0 + p lambda_1/kappa_1 at this t.", time),
            ("For q_0 -> 0: the growth rate is 4 lambda_1.", small),
            ("Infinitely many samples, v along beta: lambda_1 and kappa_1.", many),
            ("So in tau features grow at this rate, while the trace of M does not count.", in_tau),
        ],
        assumptions=(
            "As slaved-flow; one direction alone, and kept: right at first for every eigenvector v "
            "of (1/P) sum e x x^T, later for none, as directions compete and turn "
            "(simulate.laws.rich_flow). |v| = 1."
        ),
        source="derived here",
    )
