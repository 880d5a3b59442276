"""Which second moment M aligns the kernel most with the target: not always the target's own.

Kumar et al. 2024 (App. 11.2) read the alignment as the correlation of M with beta beta^T. Here it
is maximised over all positive semidefinite M.
"""

import sympy as sp

from lazyrich.theory.alignment import centred_kernel_alignment, kernel_alignment
from lazyrich.theory.closed_form import ClosedForm, Step
from lazyrich.theory.linear import linear_root
from lazyrich.theory.symbols import I, M, beta, epsilon, wbar
from lazyrich.theory.wick import canonical, dot

t = sp.Symbol("t", real=True)  # weight of M across beta, relative to that along beta


def _limit(alignment: ClosedForm) -> sp.Expr:
    """The alignment as |epsilon| -> infinity at wbar = 0 and M = t I + (1 - t) n n^T, n = betahat.

    It does not depend on |beta|, so b = beta is put in with |beta| = 1.
    """
    along = t * I + (1 - t) * beta * beta.T
    parts = [canonical(part.subs(M, along)) for part in alignment.terms.values()]
    numerator, square, power = (part.subs(dot(beta, beta), 1) for part in parts)
    leading = sp.factor(sp.expand(square.subs(dot(wbar, wbar), 0)).coeff(epsilon, 4))
    return sp.factor(sp.cancel(numerator / (epsilon**2 * power))) / sp.sqrt(leading)


def most_aligned_moment() -> ClosedForm:
    """The M that maximises the alignment over positive semidefinite M, wbar = 0, |epsilon| large.

    ``terms``: uncentred and centred, the t at which the alignment at M = t I + (1 - t) n n^T, n
    = betahat, is stationary; a negative t is out of reach, and the maximum then lies at t = 0, M
    along beta beta^T. ``components``: the two alignments as functions of t.

    >>> [most_aligned_moment().evaluate(D=D) for D in (9, 10, 11)]
    [-1/263, 0, 1/313]
    """
    terms: dict[str, sp.Expr] = {}
    alignments: dict[str, sp.Expr] = {}
    steps: list[Step] = []
    for name, alignment in (
        ("uncentred", kernel_alignment()),
        ("centred", centred_kernel_alignment()),
    ):
        value = _limit(alignment)
        growth = sp.factor(sp.diff(sp.log(value**2), t))
        best = linear_root(sp.numer(growth), t)
        terms[name], alignments[name] = best, value
        steps += [
            (f"{name}: the alignment at M = t I + (1 - t) n n^T for large |epsilon|.", value),
            (f"{name}: d log(alignment^2)/dt, which changes sign from + to - at one t.", growth),
            (f"{name}: that t; below 0 no such M is positive semidefinite.", best),
        ]
    steps.insert(
        0,
        (
            "<K^2> is a strictly convex form in M, the numerator a linear one, and both are the "
            "same for M turned about beta: the maximiser is unique, so it has this symmetry.",
            t * I + (1 - t) * beta * beta.T,
        ),
    )
    return ClosedForm(
        name="most-aligned-moment",
        title="The weight t across beta of the most aligned M = t I + (1 - t) b b^T",
        expr=terms["uncentred"],
        terms=terms,
        components=alignments,
        steps=steps,
        assumptions=(
            "D >= 2, wbar = 0, and the part of the kernel linear in x left out: the limit of large "
            "|epsilon|, or of large M, along which the alignment grows to its supremum."
        ),
        source="derived here, for Kumar et al. 2024, App. 11.2, sentence below eq. (20)",
    )
