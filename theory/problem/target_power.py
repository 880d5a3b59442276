"""A described target by Hermite degree, and on the eigenspaces of the initial kernel."""

from functools import cache
from typing import TYPE_CHECKING

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory import words
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.problem import radial
from lazyrich.theory.symbols import D, Gaussian, isotropic, x
from lazyrich.theory.wick import canonical, dot, expectation
from lazyrich.theory.words import Reader

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

_rho = sp.Symbol("_rho", positive=True)  # correlation of two copies of the input
_z = MatrixSymbol("_z", D, 1)
_tau = sp.Symbol("_tau", positive=True)


def by_power(expr: sp.Expr, symbol: sp.Symbol) -> dict[int, sp.Expr]:
    """Return the coefficients of a polynomial in ``symbol``, by exponent; none of 0.

    >>> t = sp.Symbol("t")
    >>> by_power(2 * t**3 + 1, t), by_power(sp.S.Zero, t)
    ({0: 1, 3: 2}, {})
    """
    parts: dict[int, list[sp.Expr]] = {}
    for term in sp.Add.make_args(sp.expand(expr)):
        if term == 0:
            continue
        coefficient, power = term.as_independent(symbol)
        exponent = int(power.as_base_exp()[1]) if power != 1 else 0
        parts.setdefault(exponent, []).append(coefficient)
    return {n: canonical(sp.Add(*parts[n])) for n in sorted(parts)}


def hermite_parts(target: sp.Expr, law: Gaussian) -> dict[int, sp.Expr]:
    """Return the part of a target in each Hermite degree of x.

    By Mehler's formula the mean of y(rho x + sqrt(1 - rho^2) z) over an independent copy z of x is
    sum_n rho^n y_n(x).

    >>> from lazyrich.theory.symbols import beta
    >>> hermite_parts(dot(beta, x) ** 2, isotropic(x))
    {0: Trace(beta.T*beta)/D, 2: Trace(beta.T*x)**2 - Trace(beta.T*beta)/D}
    """
    shifted = target.subs(x, _rho * x + _z)
    covariance = ((1 - _rho**2) * law.covariance).doit()
    return by_power(expectation(shifted, Gaussian(_z, covariance)), _rho)


def target_power(problem: "Problem") -> ClosedForm:
    """Return the power of the target in each Hermite degree of x: degree_0, degree_1, ..."""
    target, law = problem.target.expr, problem.inputs.law
    parts = problem.hermite_parts
    powers = dict.fromkeys(range(problem.target.degree + 1), sp.S.Zero)
    for n, part in parts.items():
        powers[n] = sp.factor(expectation(part * target, law))
    whole = problem.power
    if sp.cancel(sp.Add(*powers.values()) - whole) != 0:
        raise AssertionError(f"the powers {powers} by degree do not add up to {whole}")
    nonzero = [n for n, power in powers.items() if n and power != 0]
    return ClosedForm(
        name="target-power",
        title="The power of the target in each Hermite degree of x",
        expr=sp.Add(*powers.values()),
        terms={f"degree_{n}": power for n, power in powers.items()},
        components={
            "information_exponent": sp.Integer(min(nonzero)) if nonzero else sp.oo,
            **{f"degree_{n}": part for n, part in parts.items()},
        },
        steps=[
            ("The target.", target),
            (
                "The mean of y(rho x + sqrt(1 - rho^2) z) over a copy z of x is sum_n rho^n y_n(x) "
                f"(Mehler); the parts of degree n = {', '.join(map(str, parts))}.",
                tuple(parts.values()),
            ),
            ("The powers <y_n^2> = <y_n y>, for n = 0, 1, ...", tuple(powers.values())),
            ("They add up to <y^2>.", whole),
        ],
        assumptions=f"x ~ N(0, {'I/D' if problem.inputs.isotropic else 'Sigma'}); any values of "
        "the target's symbols. The information exponent is the least n >= 1 with power, for "
        "generic values.",
        source=problem.source,
    )


def homogeneous_parts(target: sp.Expr) -> dict[int, sp.Expr]:
    """Return the parts of a target by their degree as polynomials in x."""
    parts: dict[int, words.Polynomial] = {}
    for monomial, coefficient in words.tidy(Reader(()).polynomial(target)).items():
        degree = sum(n * [item.left, item.right].count(x) for item, n in monomial)
        parts.setdefault(degree, {})[monomial] = coefficient
    return {n: words.to_sympy(parts[n]) for n in sorted(parts)}


def laplacians(target: sp.Expr) -> list[sp.Expr]:
    """Return the target, its Laplacian, the Laplacian of that, ..., as far as they are not 0.

    The mean of y(x + z) over z ~ N(0, tau I) is exp(tau Delta/2) y.

    >>> from lazyrich.theory.symbols import beta
    >>> laplacians(dot(beta, x) ** 2)
    [Trace(beta.T*x)**2, 2*Trace(beta.T*beta)]
    """
    spread = by_power(expectation(target.subs(x, x + _z), isotropic(_z, _tau)), _tau)
    last = max(spread, default=0)
    return [canonical(spread.get(k, sp.S.Zero) * 2**k * sp.factorial(k)) for k in range(last + 1)]


@cache
def harmonic_parts(target: sp.Expr) -> dict[int, dict[int, sp.Expr]]:
    """Return {l: {i: H}} with y = sum |x|^(2i) H, each H harmonic and homogeneous of degree l.

    Delta |x|^(2i) H = 2i (2i + D + 2l - 2) |x|^(2i - 2) H, so that the Laplacians of a homogeneous
    part of y give the H one by one, from the least degree upwards.

    >>> from lazyrich.theory.symbols import beta
    >>> harmonic_parts(dot(beta, x) ** 2)[0]
    {1: Trace(beta.T*beta)/D}
    """
    found: dict[int, dict[int, sp.Expr]] = {}
    for n, part in homogeneous_parts(target).items():
        powers = laplacians(part)
        parts: dict[int, sp.Expr] = {}
        for j in range(len(powers) - 1, -1, -1):
            rest = powers[j]
            for i, harmonic in parts.items():
                rest -= _falls(i, j, n) * dot(x, x) ** (i - j) * harmonic
            parts[j] = canonical(rest / _falls(j, j, n))
        for i, harmonic in parts.items():
            if harmonic != 0:
                found.setdefault(n - 2 * i, {})[i] = harmonic
    return {l: dict(sorted(found[l].items())) for l in sorted(found)}


def _falls(i: int, j: int, n: int) -> sp.Expr:
    """The factor of Delta^j |x|^(2i) H, H of degree n - 2i."""
    l = n - 2 * i
    return sp.Mul(*(2 * k * (2 * k + D + 2 * l - 2) for k in range(i, i - j, -1)))


@cache
def harmonic_products(target: sp.Expr) -> dict[int, sp.Matrix]:
    """Return {l: matrix of <H_i H_j> / weight(l, 0)} of the H of ``harmonic_parts``, in order.

    By parts <H_i H_j> is D^-l H_i(grad) H_j, and the Laplacian of H_j is 0: the terms of H_i with
    |x|^2 add nothing.
    """
    products = {}
    for l, parts in harmonic_parts(target).items():
        items = list(parts.values())
        table = sp.zeros(len(items), len(items))
        for a, whole in enumerate(items):
            left = whole.subs(dot(x, x), 0)
            for b in range(a, len(items)):
                mean = expectation(left * items[b], isotropic(x)) / radial.weight(l, 0)
                table[a, b] = table[b, a] = sp.factor(mean)
        products[l] = table
    return products


def _projection(l: int, kappa: sp.Matrix, own: list[int]) -> tuple[list[int], sp.Matrix, sp.Matrix]:
    """The radial functions |x|^(2i), i in ``own``, projected on the kernel's: (j, weights, map).

    ``weights`` are those of the products of the projections, and column b of ``map`` has the
    coefficients of the projection of the b-th function on the |x|^(2j).
    """
    found, basis = radial.functions(kappa)
    inner = basis.T * radial.gram(l, found, found) * basis
    outer = basis.T * radial.gram(l, found, own)
    solution = inner.applyfunc(sp.factor).LUsolve(outer).applyfunc(sp.factor)
    kept = (outer.T * solution).applyfunc(sp.factor)
    return found, kept, (basis * solution).applyfunc(sp.factor)


def target_decomposition(problem: "Problem") -> ClosedForm:
    """Return the target's power on each harmonic degree of the kernel, and outside of it.

    ``terms``: harmonics_l, the power in the functions that the kernel combines, and null, the power
    outside of them; ``components``: the functions themselves.
    """
    terms, components = {}, {}
    for l, kappa in problem.coefficient_matrices.items():
        parts = harmonic_parts(problem.target.expr).get(l, {})
        if not parts:
            terms[f"harmonics_{l}"] = components[f"harmonics_{l}"] = sp.S.Zero
            continue
        found, kept, coefficients = _projection(l, kappa, list(parts))
        table = harmonic_products(problem.target.expr)[l]
        terms[f"harmonics_{l}"] = sp.factor(sp.Add(*kept.multiply_elementwise(table)))
        functions = (
            coefficients[a, b] * dot(x, x) ** j * harmonic
            for a, j in enumerate(found)
            for b, harmonic in enumerate(parts.values())
        )
        components[f"harmonics_{l}"] = canonical(sp.Add(*functions))
    whole = problem.power
    terms["null"] = sp.factor(whole - sp.Add(*terms.values()))
    components["null"] = canonical(problem.target.expr - sp.Add(*components.values()))
    mean_square = expectation(components["null"] ** 2, isotropic(x))
    if sp.cancel(mean_square - terms["null"]) != 0:
        raise AssertionError("the parts of the target are not orthogonal")
    return ClosedForm(
        name="target-decomposition",
        title="The target's power on the kernel's functions by harmonic degree, and outside",
        expr=whole,
        terms=terms,
        components=components,
        steps=[
            ("The target.", problem.target.expr),
            (
                "Its parts in the kernel's functions of each harmonic degree, and the rest.",
                tuple(components.values()),
            ),
            ("The power of each.", tuple(terms.values())),
            ("The power of the rest, computed directly, is what they leave of <y^2>.", whole),
        ],
        assumptions=f"Infinite width, {problem.initial_law}; inputs x ~ N(0, I/D); generic values "
        "of the activation's symbols.",
        source=problem.source,
    )
