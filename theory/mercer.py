"""The Mercer problem of the initial kernel: eigenvalues, multiplicities, eigenprojectors.

The integral operator T[g](x') = <K(x, x') g(x)> acts as a multiple on the linear, the radial and
the traceless functions (Kumar et al. 2024, App. 11.1, eqs. 11-16): the harmonics of degree 1, 0
and 2 of ``problem.spectrum``, which derives it for every kernel.
"""

from collections.abc import Mapping
from typing import Any

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.network import model, ntk_at_init
from lazyrich.theory.problem import radial
from lazyrich.theory.problem.form import instance
from lazyrich.theory.symbols import isotropic, x, x_prime
from lazyrich.theory.wick import canonical, dot, equal, expectation

HARMONIC_DEGREE = {"linear": 1, "radial": 0, "traceless": 2}


def apply_operator(kernel: sp.Expr, g: sp.Expr) -> sp.Expr:
    """T[g](x') = <K(x, x') g(x)> over x ~ N(0, I/D), eq. (11)."""
    return expectation(kernel * g, isotropic(x))


def by_name(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of harmonic degrees 1, 0 and 2 under the names linear, radial and traceless."""
    return {name: parts[f"harmonics_{l}"] for name, l in HARMONIC_DEGREE.items()}


def projectors() -> dict[str, sp.Expr]:
    """Kernels of the orthogonal projections on the three eigenspaces, in L2 of N(0, I/D)."""
    scalars = {radial.q: dot(x, x), radial.q_prime: dot(x_prime, x_prime)}
    scalars[radial.r] = dot(x, x_prime)
    first = {"linear": 0, "radial": 1, "traceless": 0}  # the j of the functions |x|^(2j) Y
    return {
        name: canonical(radial.projector(l, first[name]).subs(scalars))
        for name, l in HARMONIC_DEGREE.items()
    }


def by_eigenspace(form: ClosedForm) -> ClosedForm:
    """The spectrum of a kernel of degree 2 on the three eigenspaces, with their projectors.

    Raises ``AssertionError`` if the eigenspaces don't give the kernel back.
    """
    terms, parts = by_name(form.terms), projectors()
    kernel = form.steps[0][1]
    rebuilt = sp.Add(*(terms[k][0] * parts[k] for k in terms))
    if not equal(rebuilt, kernel):
        raise AssertionError(f"the eigenspaces do not exhaust the kernel: {rebuilt} != {kernel}")
    return instance(
        form,
        expr=sp.Tuple(*(sp.Tuple(*pair) for pair in terms.values())),
        terms=terms,
        components=parts,
        steps=[
            *form.steps,
            ("Projectors on the three eigenspaces.", tuple(parts.values())),
            ("Eigenvalue times projector, summed, gives the kernel back.", kernel),
        ],
    )


def ntk_eigenvalues() -> ClosedForm:
    """Spectrum of the normalised kernel at initialisation [Kumar et al. 2024, eqs. 11-16]."""
    form = by_eigenspace(model().closed_form("ntk-eigenvalues"))
    c = sp.Dummy("c")
    null = linear_root(apply_operator(ntk_at_init().expr, 1 - c * dot(x, x)), c)
    sizes = [count for _, count in form.terms.values()]
    return instance(
        form,
        title="(eigenvalue, multiplicity) on linear, radial and traceless functions",
        steps=[
            *form.steps,
            (
                "Of the polynomials of degree at most 2 only this one is in the null space.",
                1 - null * dot(x, x),
            ),
            (
                "The count: linear + radial + traceless + 1 is their dimension 1 + D + D(D + 1)/2.",
                sp.factor(sp.Add(*sizes) + 1),
            ),
        ],
        assumptions="Infinite width, w_i ~ N(0, sigma^2 I), inputs x ~ N(0, I/D).",
        source="Kumar et al. 2024, App. 11.1, eqs. (11)-(16)",
    )
