"""The population loss of a described network: in overlaps of its weights, and at initialisation.

f(x) = (alpha/N) sum_i v_i phi(w_i.x), y a polynomial in x, x ~ N(0, Sigma).
"""

from typing import TYPE_CHECKING

import sympy as sp

from lazyrich.theory import gaussian_pair as pair
from lazyrich.theory.activation import h
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.problem import radial
from lazyrich.theory.problem.kernel import deviation, share, sigma_v, tidy, w_prime
from lazyrich.theory.problem.target_power import by_power, homogeneous_parts
from lazyrich.theory.symbols import D, N, alpha, w, x
from lazyrich.theory.wick import canonical, dot, expectation

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

_shift = sp.Symbol("_shift", real=True)


def neuron_pair(problem: "Problem") -> sp.Expr:
    """Return <phi(w.x) phi(w'.x)> in the overlaps of two neurons w and w'."""
    overlap = problem.inputs.overlap
    at = {pair.s: overlap(w, w), pair.t: overlap(w_prime, w_prime), pair.c: overlap(w, w_prime)}
    return tidy(problem, problem.value_pair.subs(at))


def target_overlaps(problem: "Problem") -> dict[int, sp.Expr]:
    """Return <phi(w.x) y_n(x)> by Hermite degree n of the target.

    By parts, it is the n-th coefficient a_n of <y(x + tau Sigma w)> = sum_n a_n tau^n times the
    mean of the n-th derivative of phi.
    """
    law = problem.inputs.law
    moved = problem.target.expr.subs(x, x + _shift * law.covariance * w)
    coefficients = by_power(expectation(moved, law), _shift)
    variance = problem.inputs.overlap(w, w)
    means = problem.activation.hermite_series(pair.s, problem.target.degree)
    return {
        n: tidy(problem, a * means[n].subs(pair.s, variance))
        for n, a in coefficients.items()
        if means[n] != 0 and a != 0
    }


def population_loss(problem: "Problem") -> ClosedForm:
    """Return the population loss of given neurons, in their overlaps.

    ``terms``: pair, the mean of phi(w.x) phi(w'.x); target_overlap, that of phi(w.x) y(x); target,
    that of y^2. ``Problem.population_loss`` sums them over neurons.
    """
    both, power = neuron_pair(problem), problem.power
    overlaps = target_overlaps(problem)
    overlap = sp.Add(*overlaps.values())
    readouts = "v_i v_j " if problem.readouts == "trained" else ""
    readout = "v_i " if problem.readouts == "trained" else ""
    return ClosedForm(
        name="population-loss",
        title="The population loss in overlaps: neuron pair, neuron and target, target",
        expr=sp.Tuple(both, overlap, power),
        terms={"pair": both, "target_overlap": overlap, "target": power},
        components={f"degree_{n}": part for n, part in overlaps.items()},
        steps=[
            ("The share of one neuron in f(x).", share(problem)),
            (
                "w.x and w'.x are Gaussian, of variances _s and _t and covariance _c. By Price's "
                "theorem the mean of phi(w.x) phi(w'.x) is",
                problem.value_pair,
            ),
            ("in overlaps", both),
            (
                "By parts, <phi(w.x) y(x)> is a sum over Hermite degrees n of <phi^(n)> times the "
                "coefficient of tau^n in <y(x + tau Sigma w)>.",
                overlap,
            ),
            ("The target's mean square.", power),
            (
                f"The loss <(y - f)^2> is alpha^2 times the mean over i and j of {readouts}pair(w_i"
                f", w_j), less 2 alpha times the mean over i of {readout}target_overlap(w_i), plus "
                "target.",
                sp.Tuple(both, overlap, power),
            ),
        ],
        assumptions=(
            f"x ~ N(0, {'I/D' if problem.inputs.isotropic else 'Sigma'}); any width, any weights. "
            "Label noise adds its variance. The centred predictor has the initial neurons as "
            "further ones, with readouts of the opposite sign."
        ),
        source=problem.source,
    )


def mean_loss_parts(problem: "Problem") -> dict[str, sp.Expr]:
    """Return the means over weights and inputs that the mean loss at initialisation consists of.

    ``square``: of phi(w.x)^2; ``mean_square``: of the square of m(x), the mean of phi(w.x) over w
    alone; ``overlap``: of m(x) y(x).
    """
    variance = deviation(problem) ** 2 * radial.q
    square = problem.value_pair.subs({pair.t: pair.s, pair.c: pair.s})
    means = {"square": square.subs(pair.s, variance)}
    mean = problem.activation.hermite_series(pair.s, 0)[0].subs(pair.s, variance)
    means["mean_square"] = mean**2
    averaged = {k: radial_mean(problem, sp.expand(e)) for k, e in means.items()}
    averaged["overlap"] = radial_mean(problem, sp.expand(mean), with_target=True)
    return averaged


def radial_mean(problem: "Problem", expr: sp.Expr, with_target: bool = False) -> sp.Expr:
    """Return the mean over x of a sum of powers of |x|^2, or of it times the target.

    Half-integer powers need isotropic inputs: the norm of x is then independent of its direction.
    """
    target = problem.target.expr if with_target else sp.S.One
    by_degree = homogeneous_parts(target)
    total = sp.S.Zero
    for term in sp.Add.make_args(expr):
        coefficient, power = term.as_independent(radial.q)
        exponent = power.as_base_exp()[1] if power != 1 else sp.S.Zero
        if exponent.is_Integer:
            mean = expectation(dot(x, x) ** exponent * target, problem.inputs.law)
        else:
            mean = sp.Add(
                *(
                    expectation(part, problem.inputs.law) * _norm_ratio(n, 2 * exponent)
                    for n, part in by_degree.items()
                    if n % 2 == 0
                )
            )
        total += coefficient * mean
    return canonical(total) if problem.activation.degree is not None else total


def _norm_ratio(n: int, extra: sp.Expr) -> sp.Expr:
    """<|x|^(n + extra)>/<|x|^n> for x ~ N(0, I/D)."""
    return sp.gamma((D + n + extra) / 2) / sp.gamma((D + sp.S(n)) / 2) * (2 / D) ** (extra / 2)


def loss_at_init(problem: "Problem") -> ClosedForm:
    """Return the mean of the plain population loss over the initial weights, at width N."""
    parts = mean_loss_parts(problem)
    if problem.readouts == "trained":
        terms = {
            "target": problem.power,
            "finite_width": alpha**2 / N * sigma_v**2 * parts["square"],
        }
    else:
        terms = {
            "target": problem.power,
            "overlap": -2 * alpha * parts["overlap"],
            "infinite_width": alpha**2 * parts["mean_square"],
            "finite_width": alpha**2 / N * (parts["square"] - parts["mean_square"]),
        }
    terms = {k: tidy(problem, term) for k, term in terms.items()}
    loss = tidy(problem, sp.Add(*terms.values()))
    return ClosedForm(
        name="loss-at-init",
        title="Mean of the population loss over the initial weights of N neurons",
        expr=loss,
        terms=terms,
        components=parts,
        steps=[
            ("<phi(w.x)^2> over weights and inputs.", parts["square"]),
            ("m(x) is the mean of phi(w.x) over w alone: <m^2>", parts["mean_square"]),
            ("and <m y>.", parts["overlap"]),
            (
                "Of N^2 pairs of neurons N are one neuron twice."
                + (" The readouts have mean 0." if problem.readouts == "trained" else ""),
                tuple(terms.values()),
            ),
            ("Together.", loss),
        ],
        assumptions=(
            f"Independent {problem.initial_law}, exact at every N and D, x ~ N(0, "
            f"{'I/D' if problem.inputs.isotropic else 'Sigma'}), labels without noise. The plain "
            "predictor; the centred one starts at 0, with the loss <y^2>."
        ),
        source=problem.source,
    )


def test_loss(problem: "Problem") -> ClosedForm:
    """Return the population loss in the moments (wbar, M), for an activation of degree <= 2."""
    from lazyrich.theory.network import neuron_average

    f = alpha * neuron_average(canonical(problem.activation.expr.subs(h, dot(w, x))))
    residual = canonical(problem.target.expr - f)
    law = problem.inputs.law
    mean = expectation(residual, law)
    parts: dict[int, sp.Expr] = {n: part for n, part in _hermite_parts(residual, law).items() if n}
    terms = {"variance": mean**2}
    names = {1: "linear", 2: "misalignment"}
    for n, part in parts.items():
        terms[names.get(n, f"degree_{n}")] = expectation(part**2, law)
    loss = expectation(residual**2, law)
    if canonical(sp.Add(*terms.values()) - loss) != 0:
        raise AssertionError("the powers of the residual by degree do not add up to the loss")
    return ClosedForm(
        name="test-loss",
        title="The population loss <(y - f)^2> in the moments of the weights",
        expr=loss,
        terms=terms,
        steps=[
            ("The network's function in the moments wbar and M.", canonical(f)),
            ("The residual y - f.", residual),
            ("variance: the square of its mean.", terms["variance"]),
            ("Its parts in Hermite degrees above 0.", tuple(parts.values())),
            ("Their powers.", tuple(terms.values())),
            ("Together.", loss),
        ],
        assumptions=(
            f"x ~ N(0, {'I/D' if problem.inputs.isotropic else 'Sigma'}); any width, any weights; "
            "M symmetric. Label noise adds its variance."
        ),
        source=problem.source,
    )


def _hermite_parts(expr: sp.Expr, law) -> dict[int, sp.Expr]:
    from lazyrich.theory.problem.target_power import hermite_parts

    return hermite_parts(expr, law)
