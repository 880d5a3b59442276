"""Gradient descent on the population loss: the step with infinitely many samples, and its flow.

The training step of ``moment_dynamics`` averaged over x ~ N(0, I/D). Not in the paper, which has
it only as "the infinite data limit" (Kumar et al. 2024, Sec. 1).
"""

from functools import cache

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.moment_dynamics import (
    affine_moments,
    rate,
    sample_coefficients,
    sample_step,
)
from lazyrich.theory.network import network_function
from lazyrich.theory.symbols import M0, A, D, I, M, alpha, eta_0, isotropic, u, w, wbar, wbar0, x
from lazyrich.theory.target import target
from lazyrich.theory.test_loss import test_loss, test_loss_centred
from lazyrich.theory.training_symbols import rho
from lazyrich.theory.wick import canonical, canonical_matrix, dot, expectation, form, gradient

Map = tuple[MatrixExpr, MatrixExpr]  # (F, g) of w -> F w - g

_SAMPLES = "x ~ N(0, I/D), infinitely many samples; full-batch gradient descent, readouts fixed."
_INITIAL = {wbar: wbar - wbar0, M: M - M0}


def population_map(residual: sp.Expr) -> Map:
    """(F, g) of the map w -> F w - g of every neuron, for the residual f(x) - y(x)."""
    a, b = sample_coefficients()
    linear = expectation(residual * dot(u, x), isotropic(x))
    quadratic = expectation(residual * form(x, A, x), isotropic(x))
    return canonical_matrix(I - b * gradient(quadratic, A)), a * gradient(linear, u)


def _is_gradient_of(loss: ClosedForm, step: Map) -> None:
    """The step must be eta times the gradient of the loss in a neuron's weights."""
    of_wbar, of_M = loss.components["gradient_wbar"], loss.components["gradient_M"]
    gradient_step = eta_0 / alpha**2 * (of_wbar + 2 * of_M * w)  # w_i has the share 1/N of both
    difference = canonical_matrix(w - step[0] * w + step[1] - gradient_step)
    if difference != sp.ZeroMatrix(D, 1):
        raise AssertionError(f"{loss.name}: the mean step is not its gradient step: {difference}")


@cache
def population_step() -> ClosedForm:
    """One step of gradient descent on the population loss, exact at every N.

    ``terms``: wbar (D,) and M (D, D) after the step; ``components``: F and g of the map
    w -> F w - g, and ``F_centred``, ``g_centred`` for the centred predictor.
    """
    residual = canonical(network_function().expr - target())
    plain = population_map(residual)
    centred = population_map(residual.subs(_INITIAL))
    _is_gradient_of(test_loss(), plain)
    _is_gradient_of(test_loss_centred(), centred)
    mean, second = affine_moments(*plain)
    return ClosedForm(
        name="population-step",
        title="(wbar, M) after one step of gradient descent on the population loss",
        expr=sp.Tuple(mean, second),
        terms={"wbar": mean, "M": second},
        components={
            "F": plain[0],
            "g": plain[1],
            "F_centred": centred[0],
            "g_centred": centred[1],
        },
        steps=[
            ("The residual f - y at x.", residual),
            ("What one sample takes from w, residual rho.", sample_step(rho)),
            ("Its mean over x at w = 0: this g,", plain[1]),
            ("and the part linear in w: w -> F w - g with this F.", plain[0]),
            ("The average of F w - g over the neurons.", mean),
            ("The average of its outer square.", second),
            ("The same F for the centred predictor.", centred[0]),
            ("Both are gradient steps of test-loss, and of test-loss-centred.", test_loss().expr),
        ],
        assumptions=_SAMPLES,
        source="derived here; the limit P -> infinity of moment-step",
    )


@cache
def population_flow() -> ClosedForm:
    """The gradient flow of the population loss in tau = eta_0 * step.

    ``terms``: d wbar/d tau (D,) and d M/d tau (D, D) of the plain predictor; ``wbar_centred`` and
    ``M_centred``, the same of the centred one.
    """
    step = population_step()
    mean, second = affine_moments(step.components["F_centred"], step.components["g_centred"])
    parts = step.terms | {"wbar_centred": mean, "M_centred": second}
    terms = {name: canonical_matrix(rate(part)) for name, part in parts.items()}
    return ClosedForm(
        name="population-flow",
        title="d(wbar, M)/d tau under the gradient flow of the population loss",
        expr=sp.Tuple(terms["wbar"], terms["M"]),
        terms=terms,
        steps=[
            ("F of the step.", step.components["F"]),
            ("d wbar/d tau: the part of the step linear in eta_0.", terms["wbar"]),
            ("d M/d tau, likewise.", terms["M"]),
            ("wbar = 0 stays 0: without noise of the samples no linear power arises.", sp.S.Zero),
        ],
        assumptions=_SAMPLES + " tau = eta_0 * step, eta_0 -> 0.",
        source="derived here; the limit P -> infinity of moment-flow",
    )
