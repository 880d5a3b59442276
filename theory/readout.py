"""Both layers trained: f(x) = (alpha/N) sum_i v_i phi(w_i.x) (Kumar et al. 2024, App. 12).

At initialisation v_i ~ N(0, sigma_v^2) and w_i ~ N(0, sigma_w^2 I), independent.
"""

from functools import cache
from typing import Any

import sympy as sp

from lazyrich.theory.activation import h
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.mercer import by_eigenspace
from lazyrich.theory.network import activation, neuron_average
from lazyrich.theory.problem import Problem
from lazyrich.theory.problem.form import instance
from lazyrich.theory.problem.kernel import sigma_v, sigma_w, v
from lazyrich.theory.symbols import N, P, alpha, w, x
from lazyrich.theory.target import target
from lazyrich.theory.training_symbols import rho
from lazyrich.theory.wick import canonical, canonical_matrix, dot, gradient

__all__ = ["sigma_v", "sigma_w", "v"]


def neuron() -> sp.Expr:
    """The share of one neuron in f(x), (alpha/N) v phi(w.x)."""
    return alpha / N * v * activation(dot(w, x))


def _derivatives() -> dict[str, Any]:
    """Of one neuron's share, in its readout v and in its weights w."""
    return {"readout": sp.diff(neuron(), v), "weights": gradient(neuron(), w)}


def readout_network_function() -> ClosedForm:
    """f(x) by moments weighted with the readouts [Kumar et al. 2024, App. 12, eqs. 21, 22].

    Symbols: wbar = (1/N) sum v_i w_i and M = (1/N) sum v_i w_i w_i^T.
    """
    share = neuron()
    expr = canonical(neuron_average(sp.expand(share / v)) * N)
    return ClosedForm(
        name="readout-network-function",
        title="The function of the network with readouts, in the readout-weighted moments",
        expr=expr,
        steps=[
            ("The share of one neuron.", share),
            (
                "Summed over the neurons, v_i goes into the averages: wbar = (1/N) sum v_i w_i, "
                "M = (1/N) sum v_i w_i w_i^T.",
                expr,
            ),
        ],
        assumptions="Any width, any weights. M is symmetric and need not be semidefinite.",
        source="Kumar et al. 2024, App. 12, eqs. (21), (22)",
    )


def readout_moment_flow() -> ClosedForm:
    """The gradient flow of v w and v w w^T of one neuron: their averages don't close.

    ``terms``: the share of one training sample x with residual rho = f - y in d(v w)/d tau and
    d(v w w^T)/d tau, tau = eta_0 * step.
    """
    velocity = {k: -rho * N / alpha**2 * 2 / P * part for k, part in _derivatives().items()}
    dv, dw = velocity["readout"], velocity["weights"]
    first = canonical_matrix(dv * w + v * dw)
    second = canonical_matrix(dv * w * w.T + v * dw * w.T + v * w * dw.T)
    return ClosedForm(
        name="readout-moment-flow",
        title="d(v w, v w w^T)/d tau of one neuron, by one sample, with both layers trained",
        expr=sp.Tuple(first, second),
        terms={"wbar": first, "M": second},
        steps=[
            ("One sample moves the readout by", dv),
            ("and the weights by", dw),
            ("d(v w)/d tau = (dv) w + v (dw).", first),
            ("d(v w w^T)/d tau likewise.", second),
            (
                "Averaged over the neurons this needs <v^2>, <v^2 w>, <v^2 w w^T> and the moments "
                "of w alone up to order 4: none of them is wbar = <v w> or M = <v w w^T>.",
                sp.Tuple(v**2, v**2 * w, w * w.T),
            ),
        ],
        assumptions="Full-batch gradient flow on the mean square error, any width.",
        source="derived here, for Kumar et al. 2024, Sec. 5 footnote 2, App. 12",
    )


@cache
def model() -> Problem:
    """The paper's network with both layers trained, and its target."""
    return Problem(activation(h), target(), readouts="trained")


def readout_ntk_at_init() -> ClosedForm:
    """The normalised kernel of both layers at initialisation [Kumar et al. 2024, eq. 23].

    ``terms``: ntk, ntk_normalised, and the parts of the latter from readouts and weights.
    """
    return instance(
        model().closed_form("ntk-at-init"),
        name="readout-ntk-at-init",
        title="The normalised kernel of both layers at initialisation",
        assumptions=(
            "v_i ~ N(0, sigma_v^2), w_i ~ N(0, sigma_w^2 I), independent, one learning rate for "
            "both layers: the limit N -> infinity, and the mean at every N. Only <v^2> enters."
        ),
        source="Kumar et al. 2024, App. 12, eq. (23)",
    )


def readout_ntk_eigenvalues() -> ClosedForm:
    """Spectrum of that kernel [derived; Kumar et al. 2024, App. 12, sentences below eq. 23].

    ``terms``: linear, radial, traceless to (eigenvalue, multiplicity); ``components``: the
    projectors.
    """
    return instance(
        by_eigenspace(model().closed_form("ntk-eigenvalues")),
        name="readout-ntk-eigenvalues",
        title="(eigenvalue, multiplicity) of the kernel of both layers",
        assumptions=(
            "As readout-ntk-at-init, inputs x ~ N(0, I/D). No constants: phi(0) = 0 keeps every "
            "function of the kernel zero at x = 0."
        ),
        source="derived here; Kumar et al. 2024, App. 12",
    )
