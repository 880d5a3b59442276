"""How a feature grows from one data set: along a direction v, a logistic of two averages over it.

In the slow flow of ``slaved-flow``, Q = q v v^T grows by 4 q (lambda - kappa (q - s)): lambda is
what the residuals of least squares say of v, kappa what v itself fits. The spike is the v of the
largest lambda. Not in the papers.
"""

import sympy as sp
from sympy import DiagMatrix, MatrixSymbol

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.laws.slaved import Q, slaved_flow
from lazyrich.theory.moment_dynamics import X, r
from lazyrich.theory.population_scalars import n
from lazyrich.theory.symbols import D, P, alpha, b, beta, epsilon, isotropic, x
from lazyrich.theory.target import target
from lazyrich.theory.wick import canonical, canonical_matrix, dot, expectation, form

v = MatrixSymbol("v", D, 1)  # a unit vector
T = sp.Symbol("T", nonnegative=True)  # epsilon tau/alpha
s = sp.Symbol("s", positive=True)  # alpha epsilon sigma^2
q = sp.Symbol("q", positive=True)  # alpha epsilon v^T M v
lambda_ = sp.Symbol("lambda_1", positive=True)  # -(1/P) sum r (v.x)^2 at the start
kappa = sp.Symbol("kappa", positive=True)  # (1/(2 P)) sum of the square of what (v.x)^2 leaves
share = sp.Symbol("p", positive=True)  # of lambda/kappa, that is reached


def _pull() -> sp.Expr:
    """v^T (dQ/dT) v at Q = q v v^T: what the residuals r do to a direction, linear in r."""
    slow = slaved_flow().expr
    along = canonical(form(v, slow.subs(Q, q * v * v.T).doit(), v))
    along = sp.factor(along.subs(canonical(dot(v, v)), 1))
    at_residuals = canonical(form(v, X.T * DiagMatrix(r) * X, v))
    if sp.simplify(along + 4 * q * at_residuals / P) != 0:
        raise AssertionError(f"q does not grow by 4 q times the mean of -r (v.x)^2: {along}")
    return along


def _grown() -> sp.Expr:
    """q(T) from q = s, with dq/dT = 4 q (lambda - kappa (q - s)): checked by differentiation."""
    end = s + lambda_ / kappa
    grown = end / (1 + (end / s - 1) * sp.exp(-4 * kappa * end * T))
    left = sp.diff(grown, T) - 4 * grown * (lambda_ - kappa * (grown - s))
    if sp.simplify(left) != 0 or sp.simplify(grown.subs(T, 0) - s) != 0:
        raise AssertionError(f"{grown} does not solve the flow of one direction")
    return grown


def _population() -> tuple[sp.Expr, sp.Expr]:
    """(lambda, kappa) along beta for infinitely many samples: least squares takes nothing away."""
    unit = {beta: sp.sqrt(b) * n}
    averages = (
        target().subs(unit) * dot(n, x) ** 2,
        dot(n, x) ** 4 / 2,
    )
    found = (canonical(expectation(part, isotropic(x))) for part in averages)
    first, second = (sp.factor(part.subs(canonical(dot(n, n)), 1)) for part in found)
    return first, second


def spike_growth() -> ClosedForm:
    """When a feature along v has fitted the share p of what it can: T, from data averages.

    ``expr``: T = epsilon tau/alpha. lambda = (1/P) sum rho (v.x)^2 with rho the residuals of least
    squares of y on x, kappa = (1/(2 P)) |(1 - Pi)(v.x)^2|^2, s = alpha epsilon sigma^2. ``terms``:
    ``feature``, alpha epsilon v^T M v over T; ``rate``, its rate while it is small, a unit of T;
    ``small``, ``expr`` for s -> 0; ``rate_population``, the rate in tau along beta for infinitely
    many samples. ``components``: ``population``, lambda and kappa there. b stands for |beta|^2.
    """
    pull, grown = _pull(), _grown()
    reached = s + share * lambda_ / kappa
    end = s + lambda_ / kappa
    time = sp.log((end / s - 1) * reached / (end - reached)) / (4 * kappa * end)
    time = sp.simplify(time)
    if sp.simplify(sp.expand_log(grown.subs(T, time) - reached, force=True)) != 0:
        raise AssertionError(f"q is not {reached} at {time}")
    small = sp.log(share / (1 - share) * lambda_ / (kappa * s)) / (4 * lambda_)
    many = _population()
    rate = 4 * (lambda_ + kappa * s)
    in_tau = sp.simplify((epsilon / alpha * 4 * lambda_).subs(lambda_, many[0]))
    return ClosedForm(
        name="spike-growth",
        title="T = epsilon tau/alpha at which a feature along v has fitted the share p of its own",
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
                "dQ/dT along v at Q = q v v^T, from slaved-flow.",
                canonical_matrix(slaved_flow().expr),
            ),
            ("It is 4 q times the mean of -r (v.x)^2:", pull),
            (
                "r = -rho + (1 - Pi)(v.x)^2 (q - s)/2, so dq/dT = 4 q (lambda - kappa (q - s)).",
                4 * q * (lambda_ - kappa * (q - s)),
            ),
            ("A logistic, from q = s.", grown),
            ("It is s + p lambda/kappa at this T.", time),
            ("For s -> 0: the growth rate is 4 lambda.", small),
            ("Infinitely many samples, v along beta: lambda and kappa.", many),
            ("So in tau features grow at this rate, while the trace of M does not count.", in_tau),
        ],
        assumptions=(
            "As slaved-flow; one direction alone, and kept: right at first for every eigenvector v "
            "of (1/P) sum rho x x^T, later for none, as directions compete and turn "
            "(simulate.predict.rich_flow). |v| = 1."
        ),
        source="derived here",
    )
