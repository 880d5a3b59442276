"""How one neuron moves under descent, and which moments of the neurons close.

A neuron (v, w) moves by a field that all neurons share: it depends on the residuals alone. Where
the field has degree d in (v, w), a moment of order k moves by moments of order up to k + d - 1.
So moments close exactly where d is at most 1: each order with those below it.
"""

from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory.activation import h
from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.network import neuron_average
from lazyrich.theory.problem.kernel import share, tidy, v
from lazyrich.theory.symbols import D, N, P, SymmetricMatrixSymbol, alpha, w, wbar, x
from lazyrich.theory.training_symbols import rho
from lazyrich.theory.wick import dot, form, gradient

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

vbar = sp.Symbol("vbar", real=True)  # (1/N) sum_i v_i
v_squared = sp.Symbol("v_squared", nonnegative=True)  # (1/N) sum_i v_i^2
vw = MatrixSymbol("vw", D, 1)  # (1/N) sum_i v_i w_i
_a = MatrixSymbol("_a", D, 1)  # any vector: d(a.w)/d tau for all a is d w/d tau
_B = SymmetricMatrixSymbol("_B", D, D)  # any symmetric matrix
_RATE = -2 * rho / P * N / alpha**2  # of the gradient of f: eta = eta_0 N/alpha^2, tau = eta_0 step


def field_degree(problem: "Problem") -> int | None:
    """Return the degree of a neuron's velocity in its weights; None where it is no polynomial.

    >>> from lazyrich.theory import Problem
    >>> field_degree(Problem("h^3")), field_degree(Problem("h^3", readouts="trained"))
    (2, 3)
    """
    degree = problem.activation.degree
    if degree is None or problem.readouts == "trained":
        return degree
    return max(degree - 1, 0)


def why_open(problem: "Problem") -> str:
    """Say why no finite set of moments closes."""
    activation, degree = problem.activation, field_degree(problem)
    if degree is None:
        return (
            f"moments don't close: {activation.kind} is no polynomial, so a moment moves by means "
            "that are no moments"
        )
    trained = " with trained readouts" if problem.readouts == "trained" else ""
    return (
        f"moments don't close: degree {activation.degree}{trained}: moments of order k move by "
        f"those of order k + {degree - 1}"
    )


def neuron_flow(problem: "Problem") -> ClosedForm:
    """Return the velocity of one neuron under gradient flow, by one sample.

    ``terms``: w, its weights', and with trained readouts v.
    """
    slope = problem.activation.derivative().subs(h, dot(w, x))
    readout = v if problem.readouts == "trained" else sp.S.One
    factor = tidy(problem, _RATE * alpha / N * readout * slope)
    terms: dict[str, Any] = {"w": factor * x if factor != 0 else sp.ZeroMatrix(D, 1)}
    if problem.readouts == "trained":
        terms["v"] = tidy(problem, _RATE * alpha / N * problem.activation.expr.subs(h, dot(w, x)))
    degree = field_degree(problem)
    closes = degree is not None and degree <= 1
    which = (
        "wbar and M" if problem.readouts == "fixed" else "the moments of (v, w) of order 1 and 2"
    )
    closing = f"Moments close: {which}; see moment-flow" if closes else why_open(problem)
    steps: list[Step] = [
        ("The share of one neuron in f(x).", share(problem)),
        ("The sample x with residual rho = f - y moves its weights by", terms["w"]),
    ]
    if problem.readouts == "trained":
        steps.append(("and its readout by", terms["v"]))
    return ClosedForm(
        name="neuron-flow",
        title="The velocity of one neuron, by one sample of P, in tau = eta_0 * step",
        expr=sp.Tuple(*terms.values()),
        terms=terms,
        components={} if degree is None else {"order_raised_by": sp.Integer(degree - 1)},
        steps=steps,
        assumptions=(
            "Full-batch gradient flow on the mean square error (no 1/2), any width; the mean over "
            f"the samples is their sum. {closing}."
        ),
        source=problem.source,
    )


def trained_moment_flow(problem: "Problem") -> ClosedForm:
    """Return the flow of the moments of (v, w) of order 1 and 2, phi of degree at most 1.

    ``terms``: vbar = <v>, wbar = <w>, v_squared = <v^2>, vw = <v w> and M = <w w^T>.
    """
    flow = neuron_flow(problem)
    dv, dw = flow.terms["v"], flow.terms["w"]

    def mean_rate(observable: sp.Expr) -> sp.Expr:
        """d/d tau of the neurons' mean of a polynomial in v and w of degree at most 2."""
        slope = gradient(observable, w)
        rate = sp.diff(observable, v) * dv + sp.Trace(slope.T * dw)
        return _average(tidy(problem, rate.doit()))

    terms: dict[str, Any] = {
        "vbar": mean_rate(v),
        "wbar": gradient(mean_rate(dot(_a, w)), _a),
        "v_squared": mean_rate(v**2),
        "vw": gradient(mean_rate(v * dot(_a, w)), _a),
        "M": gradient(mean_rate(form(w, _B, w)), _B),
    }
    return ClosedForm(
        name="moment-flow",
        title="d/d tau of the neurons' moments of order 1 and 2, by one sample of P",
        expr=sp.Tuple(*terms.values()),
        terms=terms,
        steps=[
            *flow.steps,
            (
                "The means over the neurons of v, w, v^2, v w and w w^T move by each other, "
                "vbar = <v>, v_squared = <v^2>, vw = <v w>, wbar = <w>, M = <w w^T>.",
                sp.Tuple(*terms.values()),
            ),
        ],
        assumptions=(
            "Full-batch gradient flow on the mean square error (no 1/2), any width, readouts "
            "trained; the mean over the samples is their sum."
        ),
        source=problem.source,
    )


def _average(expr: sp.Expr) -> sp.Expr:
    """The mean over the neurons of a polynomial of degree at most 2 in v and w."""
    total = sp.S.Zero
    for (power,), coefficient in sp.Poly(sp.expand(expr), v).terms():
        averaged = neuron_average(coefficient)
        if power == 1:  # <v> and <v w>
            constant = averaged.subs(wbar, sp.ZeroMatrix(D, 1)).doit()
            averaged = vbar * constant + (averaged - constant).subs(wbar, vw)
        elif power == 2:
            averaged = v_squared * averaged
        total += averaged
    return total
