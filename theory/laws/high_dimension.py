"""The lazy learning curve as D -> infinity at P = gamma D: closed form, critical curvature, peak.

``lazy-learning-curve`` in this limit, where the traceless functions act as a ridge. Not in the
papers.
"""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.laws.learning_curve import kappa, lazy_learning_curve
from lazyrich.theory.laws.plateau import early_plateau
from lazyrich.theory.laws.symbols import gamma
from lazyrich.theory.symbols import D, b, epsilon, sigma

k = sp.Symbol("k", positive=True)  # the effective ridge over the linear eigenvalue: D kappa
s = sp.Symbol("s", positive=True)  # (epsilon sigma)^2
_c = sp.Symbol("c", positive=True)
gamma_2 = sp.Symbol("gamma_2", positive=True)  # P over D^2/2, all there is for the kernel to learn


def in_many_dimensions(expr: sp.Expr) -> sp.Expr:
    """The limit D -> infinity at kappa = k/D, |beta|^2 = D, in s = (epsilon sigma)^2."""
    at = sp.sympify(expr).subs({kappa: k / D, b: D}).subs(epsilon, sp.sqrt(s) / sigma)
    return sp.factor(sp.limit(sp.factor(at), D, sp.oo))


def quadratically_many() -> sp.Expr:
    """The limit of the loss at P = gamma_2 D^2/2, over (|beta|^2/D)^2, as a function of gamma_2.

    There linear and radial functions are learned, and the traceless ones are being learned.

    >>> quadratically_many()
    1/2 - gamma_2/2
    """
    finite = lazy_learning_curve()

    def limit(expr: sp.Expr) -> sp.Expr:
        at = sp.sympify(expr).subs({kappa: k * s / D**2, b: D}).subs(epsilon, sp.sqrt(s) / sigma)
        return sp.factor(sp.limit(sp.factor(at), D, sp.oo))

    (at_gamma,) = sp.solve(limit(2 * finite.terms["samples"] / D**2) - gamma_2, k)
    return sp.expand(limit(finite.expr).subs(k, at_gamma))


def critical_curvature(excess: sp.Expr) -> tuple[sp.Expr, sp.Poly]:
    """(s from which on loss - null loss is never above 0, its numerator as polynomial in k)."""
    numerator, denominator = sp.fraction(sp.together(excess))
    if sp.Poly(denominator, k, s).coeffs() != [abs(x) for x in sp.Poly(denominator, k, s).coeffs()]:
        raise AssertionError(f"the denominator may change its sign: {denominator}")
    polynomial = sp.Poly(numerator, k)
    (critical,) = [root for root in sp.solve(polynomial.LC(), s) if root.is_positive]
    beyond = [sp.expand(c.subs(s, critical + _c)) for c in polynomial.all_coeffs()]
    if not all(sp.Poly(-c, _c).coeffs() and _never_negative(-c) for c in beyond):
        raise AssertionError(f"above s = {critical} a coefficient in k is positive: {beyond}")
    return critical, polynomial


def _never_negative(expr: sp.Expr) -> bool:
    return all(value.is_nonnegative for value in sp.Poly(expr, _c).all_coeffs())


def lazy_curve_limit() -> ClosedForm:
    """The lazy learning curve as D -> infinity at P = gamma D, a curve in the parameter k.

    In units of (|beta|^2/D)^2. ``terms``: ``gamma`` = P/D at k; ``null``, the loss of predicting 0;
    ``critical_epsilon``, from which on the loss is never above it; ``ridgeless_many`` and
    ``ridgeless_few``, the loss for epsilon -> 0 at gamma above and below 1; ``quadratically_many``,
    the loss at P = gamma_2 D^2/2. ``components``: ``peak``, the height at its largest for small
    epsilon.

    >>> lazy_curve_limit().terms["critical_epsilon"]
    sqrt(-1/2 + sqrt(7)/2)/sigma
    """
    finite = lazy_learning_curve()
    loss = in_many_dimensions(finite.expr)
    samples = in_many_dimensions(finite.terms["samples"] / D)
    null = early_plateau().terms["null"].subs(b, D)
    critical, polynomial = critical_curvature(loss - null)
    # For s -> 0: k vanishes with s above gamma = 1 and stays below it.
    above = sp.limit(loss.subs(k, _c * s), s, 0)
    (of_ratio,) = sp.solve(sp.limit(samples.subs(k, _c * s), s, 0) - gamma, _c)
    many = sp.factor(above.subs(_c, of_ratio))
    (of_ratio,) = sp.solve(sp.limit(samples, s, 0) - gamma, k)
    few = sp.factor(sp.limit(loss, s, 0).subs(k, of_ratio))
    near = sp.factor(sp.limit(loss.subs(k, _c * sp.sqrt(s)) * sp.sqrt(s), s, 0))
    (top,) = [root for root in sp.solve(sp.diff(near, _c), _c) if root.is_positive]
    peak = near.subs(_c, top) / (epsilon * sigma)
    return ClosedForm(
        name="lazy-curve-limit",
        title="The lazy learning curve as D -> infinity at P = gamma D, over (|beta|^2/D)^2",
        expr=loss,
        terms={
            "gamma": samples,
            "null": null,
            "critical_epsilon": sp.sqrt(critical) / sigma,
            "ridgeless_many": many,
            "ridgeless_few": few,
            "quadratically_many": quadratically_many(),
        },
        components={"peak": peak, "excess": polynomial.as_expr()},
        steps=[
            ("P/D at kappa = k/D, with s = (epsilon sigma)^2.", samples),
            ("The loss there: the traceless functions are noise, and their kernel a ridge.", loss),
            ("Loss less null loss has the sign of this polynomial in k.", polynomial.as_expr()),
            (
                "Its leading coefficient decides at k -> infinity, where gamma -> 0: it is "
                "positive below this s, so that few samples are worse than none; from it on no "
                "coefficient is positive, and no number of samples is.",
                critical,
            ),
            ("The critical epsilon.", sp.sqrt(critical) / sigma),
            ("epsilon -> 0, gamma > 1.", many),
            ("epsilon -> 0, gamma < 1.", few),
            ("With P = gamma_2 D^2/2 samples, at kappa = k s/D^2.", quadratically_many()),
            ("Between, at k = c sqrt(s): the loss times sqrt(s),", near),
            ("largest at this c, which is gamma = 1. The height of the peak:", peak),
        ],
        assumptions="As lazy-learning-curve; D -> infinity at fixed gamma, epsilon, sigma.",
        source="derived here",
    )
