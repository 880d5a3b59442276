"""The early plateau at small epsilon: least squares of y on x, its exact mean over data sets.

For small epsilon the kernel's linear eigenvalue dwarfs the others, so the network first fits what a
linear function can and waits there. Not in the papers.
"""

from dataclasses import dataclass

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.gaussian_pair import gaussian_moment
from lazyrich.theory.laws.symbols import gamma
from lazyrich.theory.symbols import D, P, b, beta, isotropic, x
from lazyrich.theory.target import target
from lazyrich.theory.wick import dot, expectation


def chi_square(degrees: sp.Expr, power: int) -> sp.Expr:
    """The mean of s^power for s chi-square; it is finite where degrees + 2 power > 0.

    Integration by parts: mean s^(p + 1) = (degrees + 2 p) mean s^p.

    >>> chi_square(P, 2), chi_square(P, -1)
    (P*(P + 2), 1/(P - 2))
    """
    upwards = sp.Mul(*(degrees + 2 * p for p in range(max(power, 0))))
    downwards = sp.Mul(*(degrees + 2 * p for p in range(power, 0)))
    return upwards / downwards


@dataclass(frozen=True)
class _Labels:
    """Labels c a_mu^2, a = r u with |u| = 1: the part rho a along a, and v across it.

    ``rho``: the mean of rho^2/r^2; ``v``: that of |v|^2/r^4. Both are free of r.
    """

    rho: sp.Expr
    v: sp.Expr


def _labels(c: sp.Expr) -> _Labels:
    fourth = P * gaussian_moment(4) / chi_square(P, 2)  # sum_mu u_mu^4
    third = P * gaussian_moment(6) / chi_square(P, 3)  # (sum_mu u_mu^3)^2; odd cross terms vanish
    return _Labels(sp.factor(c**2 * third), sp.factor(c**2 * (fourth - third)))


def inverse_wishart_entry(samples: sp.Expr, variables: sp.Expr) -> sp.Expr:
    """The mean of a diagonal entry of (G^T G)^-1, G of standard normals, (samples, variables).

    1 over such an entry is the square of what the others leave of a column: chi-square.

    >>> inverse_wishart_entry(P, D)
    1/(-D + P - 1)
    """
    return chi_square(samples - variables + 1, -1)


def _with_many_samples(labels: _Labels) -> tuple[sp.Expr, sp.Expr]:
    """(Mean |w|^2 of least squares, mean square left on the samples), for P >= D + 2."""
    per_v = (D - 1) / (P - 1) * inverse_wishart_entry(P - 1, D - 1)  # |w_perp|^2 over |v|^2
    across = chi_square(P, 2) * labels.v * per_v
    along = chi_square(P, 1) * (labels.rho + labels.v * per_v)
    left = chi_square(P, 2) * labels.v * (1 - (D - 1) / (P - 1)) / P
    return sp.factor(across + along), sp.factor(left)


def _with_few_samples(labels: _Labels) -> sp.Expr:
    """Mean |w|^2 of the interpolation of least norm, for P <= D - 2."""
    # S = |a|^2 + chi-square with D - P is chi-square with D, independent of B = |a|^2/S.
    square_of_share = chi_square(P, 2) / chi_square(D, 2)
    fourth_over_sum = chi_square(D, 1) * square_of_share  # of |a|^4/S
    per_v = inverse_wishart_entry(D - 1, P - 1)
    along = labels.rho * fourth_over_sum
    across = labels.v * (chi_square(P, 2) * per_v + fourth_over_sum * per_v)
    return sp.factor(along + across)


def early_plateau() -> ClosedForm:
    """The mean test loss of least squares of y on x, the early plateau at small epsilon.

    b stands for |beta|^2. ``terms``: ``many_samples`` is ``expr`` for P >= D + 2,
    ``few_samples`` for P <= D - 2 (the interpolation of least norm), between them the mean is
    infinite; ``train`` is the mean train loss, 0 for P <= D; ``null`` the loss of predicting 0.

    >>> early_plateau().evaluate(D=1, P=5, b=1), early_plateau().evaluate(D=10, P=10, b=10)
    (22/21, oo)
    """
    null = expectation(target() ** 2, isotropic(x)).subs(dot(beta, beta), b)
    c = b / (2 * D)
    labels = _labels(c)
    many, left = _with_many_samples(labels)
    few = _with_few_samples(labels)
    limits = {
        name: sp.factor(sp.limit((power / (b / D) ** 2).subs(P, gamma * D), D, sp.oo))
        for name, power in (("many", many), ("few", few), ("train", left))
    }
    is_many, is_few = sp.Ge(P, D + 2), sp.Le(P, D - 2)
    return ClosedForm(
        name="early-plateau",
        title="Mean test loss of the least-squares fit of y by a linear function",
        expr=sp.Piecewise((null + many, is_many), (null + few, is_few), (sp.oo, True)),
        terms={
            "many_samples": sp.Piecewise((null + many, is_many), (sp.oo, sp.Ge(P, D - 1))),
            "few_samples": sp.Piecewise((null + few, is_few), (sp.oo, sp.Le(P, D + 1))),
            "train": sp.Piecewise((left, sp.Gt(P, D)), (0, True)),
            "null": null,
        },
        components={"limits": limits},
        steps=[
            ("Kernel at epsilon -> 0: its linear eigenvalue stays, the others vanish.", 1 / D),
            ("So w.x is fitted first; y has no linear part: the loss is this plus |w|^2/D.", null),
            ("In z = sqrt(D) x, a = z.beta/|beta|: y = c a^2 with this c; z across beta is", c),
            (
                "independent of a. Over the samples a = r u, y = rho a + v, v across a: mean of "
                "rho^2/r^2 and of |v|^2/r^4 (moments of a Gaussian over those of r).",
                (labels.rho, labels.v),
            ),
            (
                "P > D: the others are regressed on v across a, so that a coordinate of w across "
                "beta has the mean square |v|^2/(P - 1) times this;",
                inverse_wishart_entry(P - 1, D - 1),
            ),
            ("along beta w is rho less a part h.w_perp/r, h standard normal. |w|^2:", many),
            ("On the samples v stays outside the D - 1 directions: mean square", left),
            (
                "P < D: w = Z^T (Z Z^T)^-1 y. By blocks along and across a, with S = r^2 + "
                "chi-square(D - P): |w|^2 = rho^2 r^2/S + |v|^2 (1 + 1/S)/chi-square(D - P + 1).",
                few,
            ),
            (
                "At P = gamma D, D -> infinity, over (b/D)^2: with many, with few samples, on the "
                "samples.",
                tuple(limits.values()),
            ),
        ],
        assumptions=(
            "x ~ N(0, I/D), the mean over data sets. epsilon -> 0 at fixed alpha, at times between "
            "those of the linear and of the quadratic modes, any width; exact for least squares at "
            "every D and P but P = D - 1, D, D + 1, where the mean is infinite."
        ),
        source="derived here",
    )
