"""The population loss <(y - f)^2> by terms, its gradient and its minimiser (Kumar et al. 2024)."""

import sympy as sp
from sympy import Trace

from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.network import network_function
from lazyrich.theory.symbols import (
    M0,
    B,
    D,
    M,
    alpha,
    beta,
    epsilon,
    isotropic,
    wbar,
    wbar0,
    x,
)
from lazyrich.theory.target import target
from lazyrich.theory.wick import canonical_matrix, dot, equal, expectation, form, gradient


def _quadratic_loss() -> tuple[dict[str, sp.Expr], list[Step]]:
    """The loss of the residual -alpha wbar.x + x^T B x/2 for any symmetric B, by terms."""
    linear, quadratic = alpha * dot(wbar, x), form(x, B, x) / 2
    whole = expectation((quadratic - linear) ** 2, isotropic(x))
    mean = expectation(quadratic, isotropic(x))
    terms = {
        "variance": mean**2,
        "misalignment": expectation(quadratic**2, isotropic(x)) - mean**2,
        "linear": expectation(linear**2, isotropic(x)),
    }
    steps = [
        ("The residual y - f is x^T B x/2 - alpha wbar.x with this B.", residual_matrix()),
        ("Its mean square, for any symmetric B.", whole),
        ("variance: the square of the mean of the quadratic part.", terms["variance"]),
        ("misalignment: the variance of the quadratic part.", terms["misalignment"]),
        ("linear: the mean square of the linear part; cross terms are odd.", terms["linear"]),
    ]
    if not equal(sp.Add(*terms.values()), whole):
        raise AssertionError("the terms of the loss do not add up to it")
    return terms, steps


def residual_matrix() -> sp.MatrixExpr:
    """The B of y - f = x^T B x/2 - alpha wbar.x, read off the network's function."""
    B_of_M = beta * beta.T - alpha * epsilon * M
    difference = target() - network_function().expr
    if not equal(difference, form(x, B_of_M, x) / 2 - alpha * dot(wbar, x)):
        raise AssertionError("y - f is not of the form x^T B x/2 - alpha wbar.x")
    return B_of_M


def _gradients(loss: sp.Expr) -> dict[str, sp.MatrixExpr]:
    return {"gradient_wbar": gradient(loss, wbar), "gradient_M": gradient(loss, M)}


def test_loss() -> ClosedForm:
    """The population loss of the plain predictor by terms [Kumar et al. 2024, Sec. 5.3, eq. 6].

    ``terms``: variance, misalignment, linear; ``components``: the gradients in wbar and M.
    """
    general, steps = _quadratic_loss()
    # B is put in unexpanded: near the minimum the expanded polynomial would cancel in floats.
    terms = {k: term.subs(B, residual_matrix()) for k, term in general.items()}
    loss = sp.Add(*terms.values())
    gradients = _gradients(loss)
    return ClosedForm(
        name="test-loss",
        title="The population loss <(y - f)^2>",
        expr=loss,
        terms=terms,
        components=gradients,
        steps=[
            *steps,
            ("With B put in.", loss),
            ("Gradient in wbar.", gradients["gradient_wbar"]),
            ("Gradient in M (the symmetric one).", gradients["gradient_M"]),
        ],
        assumptions="Inputs x ~ N(0, I/D); any width, any weights; M symmetric.",
        source="Kumar et al. 2024, Sec. 5.3, eq. (6)",
    )


def test_loss_centred() -> ClosedForm:
    """The population loss of the centred predictor f(w) - f(w0) [Kumar et al. 2024, eqs. 6, 7]."""
    plain = test_loss()
    change = {wbar: wbar - wbar0, M: M - M0}
    terms = {k: term.subs(change) for k, term in plain.terms.items()}
    loss = sp.Add(*terms.values())
    return ClosedForm(
        name="test-loss-centred",
        title="The population loss of the centred predictor",
        expr=loss,
        terms=terms,
        components=_gradients(loss),
        steps=[
            ("The loss of the plain predictor.", plain.expr),
            ("f(w) - f(w0) is the network's function of (wbar - wbar0, M - M0).", loss),
        ],
        assumptions="As test-loss; alpha enters once, in f.",
        source="Kumar et al. 2024, App. 8.1, eq. (7) in eq. (6)",
    )


def test_loss_minimiser() -> ClosedForm:
    """Where the loss vanishes, and which networks reach it [Kumar et al. 2024, Sec. 5.3]."""
    general, _ = _quadratic_loss()
    loss = sp.Add(*general.values())
    slope = gradient(loss, B)
    trace = sp.factor(Trace(slope).doit())
    M_star = canonical_matrix(beta * beta.T / (alpha * epsilon))
    left = residual_matrix().subs(M, M_star).doit()
    if canonical_matrix(left) != sp.ZeroMatrix(D, D):
        raise AssertionError(f"B does not vanish at M*: {left}")
    return ClosedForm(
        name="test-loss-minimiser",
        title="The minimiser (wbar, M) of the population loss",
        expr=M_star,
        terms={"wbar": sp.ZeroMatrix(D, 1), "M": M_star},
        components={"M_centred": M0 + M_star, "wbar_centred": wbar0},
        steps=[
            ("The gradient in wbar vanishes only at wbar = 0.", gradient(loss, wbar)),
            ("The gradient in B, for the residual x^T B x/2.", slope),
            ("Its trace is a positive multiple of Tr B, so Tr B = 0, and then B = 0.", trace),
            ("B = beta beta^T - alpha epsilon M = 0 has one solution for epsilon != 0.", M_star),
            ("The centred predictor shifts it by the initial moments.", M0 + M_star),
        ],
        assumptions=(
            "epsilon != 0; unique among all symmetric M. N neurons can have the moments (wbar, M) "
            "if and only if M - wbar wbar^T is positive semidefinite of rank at most N - 1. Plain: "
            "alpha epsilon > 0 and N >= 2; for alpha epsilon < 0 the best M is 0, with the loss of "
            "predicting nothing. Centred, with C0 = M0 - wbar0 wbar0^T: for alpha epsilon > 0 if "
            "N > D or beta lies in the range of C0; for alpha epsilon < 0 only if beta lies in "
            "that range and beta^T C0^+ beta <= |alpha epsilon|."
        ),
        source="Kumar et al. 2024, Sec. 5.3, sentence below eq. (6)",
    )
