"""Higher degrees: phi(h) = h + (epsilon/2) He_k(h), target He_k(beta.x) (Kumar et al. 2024, 15.2).

He_k are the probabilists' Hermite polynomials: He_2 = h^2 - 1, He_3 = h^3 - 3h. Kernels depend on
phi' alone, so that k = 2 has the kernel of the paper's phi(h) = h + (epsilon/2) h^2; the functions
differ by the constant alpha epsilon/2.
"""

from functools import cache

import sympy as sp

from lazyrich.support.arguments import positive_integer
from lazyrich.theory.activation import h, hermite
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.problem import Problem
from lazyrich.theory.problem.form import instance
from lazyrich.theory.symbols import D, beta, epsilon, x
from lazyrich.theory.wick import dot

__all__ = ["h", "hermite", "hermite_activation", "information_exponent", "power_by_degree"]
LARGEST, LARGEST_SPECTRUM = 40, 12  # higher degrees take minutes
_SOURCE = "derived here, for Kumar et al. 2024, Sec. 15.2"


def hermite_activation(k: int, argument: sp.Expr = h) -> sp.Expr:
    """phi(h) = h + (epsilon/2) He_k(h).

    >>> hermite_activation(2)
    epsilon*(h**2 - 1)/2 + h
    """
    return argument + epsilon / 2 * hermite(k, argument)


def hermite_problem(k: int, largest: int = LARGEST) -> Problem:
    """The network with He_k and the target He_k(beta.x).

    Raises ``ValueError`` if ``k`` is no integer from 1 to ``largest``.
    """
    k = positive_integer("k", k)
    if k > largest:
        raise ValueError(f"k = {k}: must be at most {largest}; a higher degree takes minutes")
    return _problem(k)


@cache
def _problem(k: int) -> Problem:
    return Problem(hermite_activation(k), hermite(k, dot(beta, x)))


def hermite_ntk_at_init(k: int) -> ClosedForm:
    """The normalised kernel at infinite-width initialisation for the activation with He_k.

    Raises ``ValueError`` if ``k`` is no integer from 1 to 40.

    >>> hermite_ntk_at_init(2).expr
    epsilon**2*sigma**2*Trace(x.T*x')**2 + Trace(x.T*x')
    """
    return instance(
        hermite_problem(k).closed_form("ntk-at-init"),
        name=f"hermite-{k}-ntk-at-init",
        title=f"The normalised kernel at initialisation for phi(h) = h + (epsilon/2) He_{k}(h)",
        terms={},
        source=_SOURCE,
    )


def hermite_ntk_eigenvalues(k: int) -> ClosedForm:
    """The spectrum of the kernel with He_k, block by block, in D, epsilon and sigma.

    ``terms``: harmonics_l to (eigenvalue, multiplicity), or where several radial functions mix to
    (matrix as a tuple of rows, multiplicity of each of its eigenvalues); ``components``: the two
    eigenvalues of the blocks of size 2. Raises ``ValueError`` if ``k`` is no integer from 1 to 12.

    >>> hermite_ntk_eigenvalues(2).terms["harmonics_2"]
    (2*epsilon**2*sigma**2/D**2, (D - 1)*(D + 2)/2)
    """
    return instance(
        hermite_problem(k, LARGEST_SPECTRUM).closed_form("ntk-eigenvalues"),
        name=f"hermite-{k}-ntk-eigenvalues",
        title=f"(eigenvalue or block, multiplicity) of the kernel with He_{k}, by harmonic degree",
        source="derived here, for Kumar et al. 2024, Sec. 15.2; generalises App. 11.1",
    )


def power_by_degree(link: sp.Expr) -> dict[int, sp.Expr]:
    """The power of a target link(beta.x) in each Hermite degree of x, {degree: power}.

    ``link`` is a polynomial in ``h``; degrees without power are left out.

    >>> power_by_degree(h**2)
    {0: Trace(beta.T*beta)**2/D**2, 2: 2*Trace(beta.T*beta)**2/D**2}
    """
    powers = Problem(h, link.subs(h, dot(beta, x))).powers
    return {n: power for n, power in powers.items() if power != 0}


def information_exponent(link: sp.Expr, variance: sp.Expr | None = None) -> int:
    """The least degree n >= 1 in which link(beta.x) has power (Ben Arous et al. 2021, Def. 1.2).

    ``variance`` is that of beta.x, |beta|^2/D; by default a generic one.

    >>> information_exponent(hermite(3)), information_exponent(hermite(3), 1)
    (1, 3)
    """
    powers = power_by_degree(link)
    if variance is not None:
        powers = {n: p.subs(dot(beta, beta), variance * D) for n, p in powers.items()}
    return min(n for n, power in powers.items() if n > 0 and sp.expand(power) != 0)


def hermite_target_power(k: int) -> ClosedForm:
    """The power of He_k(beta.x) in each Hermite degree of x, any beta.

    ``terms``: degree_0 or degree_1, ..., degree_k. Raises ``ValueError`` if ``k`` is no integer
    from 1 to 40.

    >>> hermite_target_power(3).evaluate_terms(D=4, beta=[2, 0, 0, 0])
    {'degree_1': 0, 'degree_3': 6}
    """
    form = hermite_problem(k).closed_form("target-power")
    exponents = sp.Tuple(
        information_exponent(hermite(k)), information_exponent(hermite(k), sp.S.One)
    )
    return instance(
        form,
        name=f"hermite-{k}-target-power",
        title=f"The power of the target He_{k}(beta.x) in each Hermite degree of x",
        terms={name: power for name, power in form.terms.items() if power != 0},
        components={"information_exponent": exponents},
        steps=[
            *form.steps,
            (
                "The information exponent for |beta|^2 != D, and for |beta|^2 = D, where beta.x "
                "has unit variance and all the power is in degree k.",
                exponents,
            ),
        ],
        assumptions="x ~ N(0, I/D), so that beta.x ~ N(0, |beta|^2/D); beta != 0.",
        source=_SOURCE,
    )
