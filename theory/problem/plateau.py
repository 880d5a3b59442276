"""The early plateau of a target y = g(beta.x): least squares of y on x, its mean over data sets.

Where the kernel's linear eigenvalue dwarfs the others the network first fits what a linear function
can. g is any polynomial. Over the samples a = beta.x sqrt(D)/|beta| is r u, |u| = 1; each pair of
monomials of g is homogeneous in the length r, so that Gaussian moments suffice.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sympy as sp

from lazyrich.theory.activation import h
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.gaussian_pair import gaussian_moment
from lazyrich.theory.symbols import D, P, b
from lazyrich.theory.wick import dot

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

_half = sp.Rational(1, 2)


def chi_square(degrees: sp.Expr, power: int) -> sp.Expr:
    """The mean of s^power for s chi-square; it is finite where degrees + 2 power > 0.

    Integration by parts: mean s^(p + 1) = (degrees + 2 p) mean s^p.

    >>> chi_square(P, 2), chi_square(P, -1)
    (P*(P + 2), 1/(P - 2))
    """
    upwards = sp.Mul(*(degrees + 2 * p for p in range(max(power, 0))))
    downwards = sp.Mul(*(degrees + 2 * p for p in range(power, 0)))
    return upwards / downwards


def inverse_wishart_entry(samples: sp.Expr, variables: sp.Expr) -> sp.Expr:
    """The mean of a diagonal entry of (G^T G)^-1, G of standard normals, (samples, variables).

    1 over such an entry is the square of what the others leave of a column: chi-square.

    >>> inverse_wishart_entry(P, D)
    1/(-D + P - 1)
    """
    return chi_square(samples - variables + 1, -1)


def obstacle(problem: "Problem") -> str | None:
    """Return why there is no such formula, or None."""
    if not problem.inputs.isotropic:
        return "derived for inputs N(0, I/D)"
    if problem.target.link is None:
        return (
            "derived for targets of one direction, g(beta.x); "
            'use Problem("h", ...).learning_curve, which is approximate'
        )
    return None


def _coefficients(problem: "Problem") -> dict[int, sp.Expr]:
    """{j: c_j} of y = sum_j c_j a^j, a = beta.x sqrt(D)/|beta| standard normal."""
    assert problem.target.link is not None
    _, link = problem.target.link
    return {j: c * (b / D) ** (j * _half) for (j,), c in sp.Poly(link, h).terms() if c != 0}


def _pairs(c: Mapping[int, sp.Expr], mean: Callable[[int, int], sp.Expr]) -> sp.Expr:
    """The sum of c_j c_k mean(j, k) over pairs of the same parity; the others have mean 0."""
    return sp.Add(*(c[j] * c[k] * mean(j, k) for j in c for k in c if (j + k) % 2 == 0))


def _along(j: int, k: int) -> sp.Expr:
    """Mean of sum u^(j+1) sum u^(k+1), u = a/|a|: the labels' parts along a, without lengths."""
    both = P * gaussian_moment(j + k + 2)
    apart = P * (P - 1) * gaussian_moment(j + 1) * gaussian_moment(k + 1)
    return (both + apart) / chi_square(P, (j + k + 2) // 2)


def _across(j: int, k: int) -> sp.Expr:
    """Mean of what |y|^2 has beyond its part along a, without lengths."""
    return P * gaussian_moment(j + k) / chi_square(P, (j + k) // 2) - _along(j, k)


def _many(c: Mapping[int, sp.Expr]) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """(Mean of |w|^2, of w along beta, of the train loss) for P >= D + 2, w in units of z."""
    per_v = (D - 1) / (P - 1) * inverse_wishart_entry(P - 1, D - 1)
    square = _pairs(
        c,
        lambda j, k: (
            _across(j, k) * chi_square(P, (j + k) // 2) * per_v
            + (_along(j, k) + _across(j, k) * per_v) * chi_square(P, (j + k) // 2 - 1)
        ),
    )
    odd = (j for j in c if j % 2)
    along = sp.Add(*(c[j] * gaussian_moment(j + 1) * P / (P + j - 1) for j in odd))
    share = (1 - (D - 1) / (P - 1)) / P
    left = _pairs(c, lambda j, k: _across(j, k) * chi_square(P, (j + k) // 2) * share)
    return square, along, left


def _few(c: Mapping[int, sp.Expr]) -> tuple[sp.Expr, sp.Expr]:
    """(Mean of |w|^2, of w along beta) of the interpolation of least norm, for P <= D - 2."""
    per_v = inverse_wishart_entry(D - 1, P - 1)

    def over_sum(power: int) -> sp.Expr:
        """Mean of |a|^(2 power)/S, with S = |a|^2 + chi-square(D - P), independent of |a|^2/S."""
        share = chi_square(P, power) / chi_square(D, power)
        return chi_square(D, power - 1) * share

    square = _pairs(
        c,
        lambda j, k: (
            _along(j, k) * over_sum((j + k) // 2)
            + _across(j, k) * per_v * (chi_square(P, (j + k) // 2) + over_sum((j + k) // 2))
        ),
    )
    odd = (j for j in c if j % 2)
    along = sp.Add(
        *(
            c[j] * P * gaussian_moment(j + 1) / chi_square(P, (j + 1) // 2) * over_sum((j + 1) // 2)
            for j in odd
        )
    )
    return square, along


def early_plateau(problem: "Problem") -> ClosedForm:
    """Return the mean test loss of least squares of y on x, for y = g(beta.x).

    ``terms``: ``many_samples`` is ``expr`` for P >= D + 2, ``few_samples`` for P <= D - 2 (the
    interpolation of least norm), between them the mean is infinite; ``train`` is the mean train
    loss, 0 for P <= D; ``null`` the loss of predicting 0; ``floor`` that of the best linear
    function, which is reached with infinitely many samples.
    """
    c = _coefficients(problem)
    null = sp.factor(_pairs(c, lambda j, k: gaussian_moment(j + k)))
    linear = sp.Add(*(c[j] * gaussian_moment(j + 1) for j in c if j % 2))  # mean of a y
    square, along, left = _many(c)
    many = sp.factor(square - 2 * linear * along)
    square, along = _few(c)
    few = sp.factor(square - 2 * linear * along)
    left, floor = sp.factor(left), sp.factor(null - linear**2)
    if sp.limit(sp.cancel(null + many - floor), P, sp.oo) != 0:
        raise AssertionError("many samples don't give the best linear function")
    is_many, is_few = sp.Ge(P, D + 2), sp.Le(P, D - 2)
    form = ClosedForm(
        name="early-plateau",
        title="Mean test loss of the least-squares fit of y by a linear function",
        expr=sp.Piecewise((null + many, is_many), (null + few, is_few), (sp.oo, True)),
        terms={
            "many_samples": sp.Piecewise((null + many, is_many), (sp.oo, sp.Ge(P, D - 1))),
            "few_samples": sp.Piecewise((null + few, is_few), (sp.oo, sp.Le(P, D + 1))),
            "train": sp.Piecewise((left, sp.Gt(P, D)), (0, True)),
            "null": null,
            "floor": floor,
        },
        steps=[
            ("y in a = beta.x sqrt(D)/|beta|, standard normal: coefficients.", tuple(c.values())),
            ("The loss of predicting nothing.", null),
            ("With a linear function w.x it is this plus |w|^2/D - 2 <y w.x>: <a y> is", linear),
            (
                "On the samples y = rho a/|a| + v, v across a. P > D: w across beta is regressed on"
                " v, w along beta is rho/|a| less what that takes. Added to the loss:",
                many,
            ),
            ("P < D: w = Z^T (Z Z^T)^-1 y, by blocks along and across a. Added:", few),
            ("On the samples P > D leaves", left),
            ("With infinitely many samples.", floor),
        ],
        assumptions=(
            "x ~ N(0, I/D), the mean over data sets, labels without noise; b stands for |beta|^2, "
            "the square of the target's direction. The plateau of lazy training where the kernel's "
            "linear eigenvalue dwarfs the others; exact for least squares without intercept at "
            "every D and P but P = D - 1, D, D + 1, where the mean is infinite."
        ),
        source=problem.source,
    )
    return _with_norm(form, problem) if "b" in problem.symbols else form


def _with_norm(form: ClosedForm, problem: "Problem") -> ClosedForm:
    """The form with |beta|^2 written out, where the user's own symbols have the name b."""
    assert problem.target.link is not None
    direction, _ = problem.target.link
    norm = {b: dot(direction, direction)}
    square = f"|{direction.name}|^2"
    return replace(
        form,
        expr=form.expr.xreplace(norm),
        terms={name: sp.sympify(term).xreplace(norm) for name, term in form.terms.items()},
        steps=[(words, sp.sympify(value).xreplace(norm)) for words, value in form.steps],
        assumptions=form.assumptions.replace(
            "b stands for |beta|^2, the square of the target's direction",
            f"{square} is the square of the target's direction",
        ),
    )


def finite_case(term: Any) -> sp.Expr:
    """Return the first case of a term, in which it is finite.

    >>> finite_case(sp.Piecewise((P, sp.Ge(P, 2)), (sp.oo, True)))
    P
    """
    return term.args[0].args[0]
