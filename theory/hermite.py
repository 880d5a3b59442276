"""Higher degrees: phi(h) = h + (epsilon/2) He_k(h), target He_k(beta.x) (Kumar et al. 2024, 15.2).

He_k are the probabilists' Hermite polynomials: He_2 = h^2 - 1, He_3 = h^3 - 3h. Kernels depend on
phi' alone, so that k = 2 has the kernel of the paper's phi(h) = h + (epsilon/2) h^2; the functions
differ by the constant alpha epsilon/2.
"""

import sympy as sp

from lazyrich.support.arguments import positive_integer
from lazyrich.theory.activation import h, hermite
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.symbols import D, beta, epsilon, isotropic, sigma, w, x, x_prime
from lazyrich.theory.wick import dot, equal, expectation, gradient

LARGEST = 40  # the kernel of a higher degree takes minutes
_SOURCE = "derived here, for Kumar et al. 2024, Sec. 15.2"


def hermite_activation(k: int, argument: sp.Expr = h) -> sp.Expr:
    """phi(h) = h + (epsilon/2) He_k(h).

    >>> hermite_activation(2)
    epsilon*(h**2 - 1)/2 + h
    """
    return argument + epsilon / 2 * hermite(k, argument)


def _degree(k: int) -> int:
    k = positive_integer("k", k)
    if k > LARGEST:
        raise ValueError(f"k = {k}: must be at most {LARGEST}; a higher degree takes minutes")
    return k


def hermite_ntk_at_init(k: int) -> ClosedForm:
    """The normalised kernel at infinite-width initialisation for the activation with He_k.

    Raises ``ValueError`` if ``k`` is no integer from 1 to 40.

    >>> hermite_ntk_at_init(2).expr
    epsilon**2*sigma**2*Trace(x.T*x')**2 + Trace(x.T*x')
    """
    k = _degree(k)
    neuron = hermite_activation(k, dot(w, x))
    slope = gradient(neuron, w)
    product = sp.Trace(slope.T * slope.subs(x, x_prime))
    kernel = expectation(product, isotropic(w, sigma**2))
    return ClosedForm(
        name=f"hermite-{k}-ntk-at-init",
        title=f"The normalised kernel at initialisation for phi(h) = h + (epsilon/2) He_{k}(h)",
        expr=kernel,
        steps=[
            ("One neuron's output.", neuron),
            ("Its gradient in the weights w.", slope),
            ("Products at x and x', averaged over w ~ N(0, sigma^2 I): K of (x, x').", kernel),
        ],
        assumptions="w_i ~ N(0, sigma^2 I): the limit N -> infinity, and the mean at every N.",
        source=_SOURCE,
    )


def power_by_degree(link: sp.Expr) -> dict[int, sp.Expr]:
    """The power of a target link(beta.x) in each Hermite degree of x, {degree: power}.

    ``link`` is a polynomial in ``h``. The part of degree n of a function g of x ~ N(0, C) has the
    power (1/n!) <grad^n g> contracted with itself by C, and grad^n link(beta.x) is the n-th
    derivative of the link times n factors of beta.

    >>> power_by_degree(h**2)
    {0: Trace(beta.T*beta)**2/D**2, 2: 2*Trace(beta.T*beta)**2/D**2}
    """
    degree = sp.Poly(link, h).degree()
    powers = {}
    for n in range(degree + 1):
        mean = expectation(sp.diff(link, h, n).subs(h, dot(beta, x)), isotropic(x))
        power = sp.factor(mean**2 * (dot(beta, beta) / D) ** n / sp.factorial(n))
        if power != 0:
            powers[n] = power
    whole = expectation(sp.expand(link.subs(h, dot(beta, x)) ** 2), isotropic(x))
    if not equal(sp.Add(*powers.values()), whole):
        raise AssertionError(f"the powers of {link} by degree do not add up to {whole}")
    return powers


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
    k = _degree(k)
    powers = power_by_degree(hermite(k))
    total = sp.Add(*powers.values())
    generic, special = information_exponent(hermite(k)), information_exponent(hermite(k), sp.S.One)
    return ClosedForm(
        name=f"hermite-{k}-target-power",
        title=f"The power of the target He_{k}(beta.x) in each Hermite degree of x",
        expr=total,
        terms={f"degree_{n}": power for n, power in powers.items()},
        components={"information_exponent": sp.Tuple(generic, special)},
        steps=[
            ("The target.", hermite(k, dot(beta, x))),
            (
                "The power in degree n is <n-th derivative of He_k at beta.x>^2 (|beta|^2/D)^n/n!, "
                f"for n = {', '.join(map(str, powers))}.",
                tuple(powers.values()),
            ),
            ("They add up to <y^2>.", total),
            (
                "The information exponent for |beta|^2 != D, and for |beta|^2 = D, where beta.x "
                "has unit variance and all the power is in degree k.",
                sp.Tuple(generic, special),
            ),
        ],
        assumptions="x ~ N(0, I/D), so that beta.x ~ N(0, |beta|^2/D); beta != 0.",
        source=_SOURCE,
    )
