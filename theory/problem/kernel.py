"""The neural tangent kernel of a described network: at given weights and at initialisation.

f(x) = (alpha/N) sum_i v_i phi(w_i.x), with v_i = 1 where the readouts are fixed.
"""

from typing import TYPE_CHECKING

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory import gaussian_pair as pair
from lazyrich.theory.activation import h
from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.network import neuron_average
from lazyrich.theory.problem import radial
from lazyrich.theory.symbols import D, N, alpha, sigma, w, x, x_prime
from lazyrich.theory.wick import canonical, dot

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

v = sp.Symbol("v", real=True)  # the readout weight of one neuron
sigma_w = sp.Symbol("sigma_w", positive=True)  # standard deviation of the initial weights
sigma_v = sp.Symbol("sigma_v", positive=True)  # standard deviation of the initial readouts
w_prime = MatrixSymbol("w'", D, 1)  # the weights of a second neuron


def deviation(problem: "Problem") -> sp.Symbol:
    """Return the symbol for the standard deviation of the initial weights."""
    return sigma if problem.readouts == "fixed" else sigma_w


def tidy(problem: "Problem", expr: sp.Expr) -> sp.Expr:
    """Return the canonical spelling where the expression is a polynomial, else the expression."""
    return canonical(expr) if problem.activation.degree is not None else expr


def share(problem: "Problem") -> sp.Expr:
    """Return the share of one neuron in f(x)."""
    readout = v if problem.readouts == "trained" else sp.S.One
    return alpha / N * readout * problem.activation.expr.subs(h, dot(w, x))


def neuron_kernels(problem: "Problem") -> dict[str, sp.Expr]:
    """Return one neuron's part of the normalised kernel, from its weights and its readout."""
    slope, value = problem.activation.derivative(), problem.activation.expr
    at_both = [[e.subs(h, dot(w, z)) for z in (x, x_prime)] for e in (slope, value)]
    from_weights = at_both[0][0] * at_both[0][1] * dot(x, x_prime)
    if problem.readouts == "fixed":
        return {"weights": tidy(problem, from_weights)}
    return {
        "readouts": tidy(problem, at_both[1][0] * at_both[1][1]),
        "weights": tidy(problem, v**2 * from_weights),
    }


def ntk(problem: "Problem") -> ClosedForm:
    """Return the kernel at given weights: in moments where they close, else by neuron."""
    parts = neuron_kernels(problem)
    of_neuron = sp.Add(*parts.values())
    steps: list[Step] = [("The share of one neuron in f(x).", share(problem))]
    closes = problem.moments_close
    if closes:
        kernel = neuron_average(of_neuron)
        assumptions = "Readouts fixed at 1; any width N, any weights."
        title = "The neural tangent kernel in the moments of the weights"
    else:
        kernel = of_neuron
        assumptions = (
            f"No finite set of moments determines the kernel along descent ({problem.why_open()}). "
            "Each expression is one neuron's: the kernel is its mean over the neurons "
            f"{'w_i' if problem.readouts == 'fixed' else '(w_i, v_i)'}, at any width N."
        )
        title = "The neural tangent kernel as a mean over the neurons"
    steps += [(f"One neuron's part of the kernel, from its {k}.", e) for k, e in parts.items()]
    whole = tidy(problem, alpha**2 / N * kernel)
    steps.append(("The mean over the neurons, times alpha^2/N.", whole))
    return ClosedForm(
        name="ntk",
        title=title,
        expr=whole,
        terms={"ntk": whole, "ntk_normalised": kernel},
        steps=steps,
        assumptions=assumptions,
        source=problem.source,
    )


def initial_parts(problem: "Problem") -> dict[str, sp.Expr]:
    """Return the parts of the normalised initial kernel, in the scalars of ``radial``.

    w.x and w.x' are Gaussian, of variances sigma^2 |x|^2 and covariance sigma^2 x.x'.
    """
    variance = deviation(problem) ** 2
    at = {pair.s: variance * radial.q, pair.t: variance * radial.q_prime}
    at[pair.c] = variance * radial.r
    slopes = problem.slope_pair.subs(at) * radial.r
    if problem.readouts == "fixed":
        return {"weights": sp.expand(slopes)}
    values = problem.value_pair.subs(at)
    parts = {"readouts": values, "weights": sigma_v**2 * slopes}
    return {
        k: sp.expand(e) if problem.activation.degree is not None else e for k, e in parts.items()
    }


def in_vectors(problem: "Problem", expr: sp.Expr) -> sp.Expr:
    """Return a function of the scalars of ``radial`` as one of x and x'."""
    scalars = {
        radial.q: dot(x, x),
        radial.q_prime: dot(x_prime, x_prime),
        radial.r: dot(x, x_prime),
    }
    return tidy(problem, expr.subs(scalars))


def ntk_at_init(problem: "Problem") -> ClosedForm:
    """Return the normalised kernel at infinite-width initialisation."""
    parts = {k: in_vectors(problem, e) for k, e in initial_parts(problem).items()}
    normalised = tidy(problem, sp.Add(*parts.values()))
    kernel = tidy(problem, alpha**2 / N * normalised)
    terms = {"ntk": kernel, "ntk_normalised": normalised}
    if problem.readouts == "trained":
        terms |= {"from_readouts": parts["readouts"], "from_weights": parts["weights"]}
    law = f"w_i ~ N(0, {deviation(problem)}^2 I)"
    if problem.readouts == "trained":
        law += ", v_i ~ N(0, sigma_v^2), independent, one learning rate for both layers"
    at_zero = "; 0 where x or x' is 0" if problem.activation.kind == "relu" else ""
    return ClosedForm(
        name="ntk-at-init",
        title="The normalised kernel at initialisation, NTK / (alpha^2/N)",
        expr=normalised,
        terms=terms,
        steps=[
            ("The share of one neuron in f(x).", share(problem)),
            *(
                (f"One neuron's part of the kernel, from its {k}.", e)
                for k, e in neuron_kernels(problem).items()
            ),
            (
                "w.x and w.x' are Gaussian. For variances _s and _t and covariance _c, by Price's "
                "theorem d/d_c <f(u) g(u')> = <f'(u) g'(u')>, the mean of phi' phi' is",
                problem.slope_pair,
            ),
            *(
                [("and that of phi phi is", problem.value_pair)]
                if problem.readouts == "trained"
                else []
            ),
            ("With the variances and the covariance put in.", normalised),
        ],
        assumptions=f"{law}: the limit N -> infinity, and the mean at every N{at_zero}.",
        source=problem.source,
    )
