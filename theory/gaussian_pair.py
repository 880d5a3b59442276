"""Means of functions of one or two Gaussian variables, by Price's theorem.

For u ~ N(0, s) and u' ~ N(0, t) with covariance c, Price's theorem says

    d/dc <f(u) g(u')> = <f'(u) g'(u')>.

At c = 0 the mean is a product. For polynomials the Taylor series in c ends; for erf and relu
the derivative in c is an elementary Gaussian integral, which is then integrated in c.
"""

from functools import cache

import sympy as sp

# The names can't be typed by a user, so no coefficient of an activation is mistaken for them.
s = sp.Symbol("_s", positive=True)  # variance of the first variable
t = sp.Symbol("_t", positive=True)  # variance of the second variable
c = sp.Symbol("_c", real=True)  # their covariance
_m = sp.Symbol("_m", real=True)  # a shift
_u = sp.Symbol("_u", real=True)


def gaussian_moment(order: int, variance: sp.Expr = sp.S.One) -> sp.Expr:
    """Return <u^order> for u ~ N(0, variance), by <u^(n+1)> = n variance <u^(n-1)>.

    >>> [gaussian_moment(n) for n in (0, 1, 2, 4, 6)]
    [1, 0, 1, 3, 15]
    """
    if order % 2:
        return sp.S.Zero
    return sp.Mul(*(n * variance for n in range(order - 1, 0, -2)))


@cache
def mean_derivative(expr: sp.Expr, h: sp.Symbol, n: int, variance: sp.Expr) -> sp.Expr:
    """Return the mean of the n-th derivative of ``expr`` at h ~ N(0, variance).

    ``expr`` is a polynomial in h, or a multiple of erf(a h) or max(0, h), whose derivatives are
    taken in the sense of distributions.

    >>> h, s = sp.Symbol("h", real=True), sp.Symbol("s", positive=True)
    >>> mean_derivative(h**4, h, 2, s), mean_derivative(sp.Max(0, h), h, 2, s)
    (12*s, sqrt(2)/(2*sqrt(pi)*sqrt(s)))
    """
    if expr.is_polynomial(h) and not expr.has(sp.Max):
        terms = sp.Poly(sp.diff(expr, h, n), h).terms()
        return sp.expand(sp.Add(*(a * gaussian_moment(k, variance) for (k,), a in terms)))
    factor, function = expr.as_independent(h)
    if isinstance(function, sp.erf):
        slope = function.args[0].coeff(h, 1)
        return factor * _mean_of_erf(slope, n).subs(s, variance)
    return factor * _mean_of_relu(n).subs(s, variance)


def density(value: sp.Expr, variance: sp.Expr) -> sp.Expr:
    """Return the density of N(0, variance)."""
    return sp.exp(-(value**2) / (2 * variance)) / sp.sqrt(2 * sp.pi * variance)


@cache
def _mean_of_erf(slope: sp.Expr, n: int) -> sp.Expr:
    """<d^n/du^n erf(slope u)>: derivatives in a shift of the mean of the shifted function."""
    if n == 0:
        return sp.S.Zero  # odd
    a = sp.Symbol("_a", positive=True)
    first = sp.diff(sp.erf(a * _u), _u).subs(_u, _u + _m) * density(_u, s)
    shifted = sp.simplify(sp.integrate(first, (_u, -sp.oo, sp.oo), conds="none"))
    return sp.simplify(sp.diff(shifted, _m, n - 1).subs(_m, 0)).subs(a, slope)


@cache
def _mean_of_relu(n: int) -> sp.Expr:
    """<d^n/du^n max(0, u)>: the first derivative is a step, the second a delta function."""
    if n == 0:
        return sp.integrate(_u * density(_u, s), (_u, 0, sp.oo))
    if n == 1:
        return sp.integrate(density(_u, s), (_u, 0, sp.oo))
    return sp.simplify(sp.diff(density(_m, s), _m, n - 2).subs(_m, 0) * (-1) ** n)


def pair_mean(f: sp.Expr, g: sp.Expr, h: sp.Symbol) -> sp.Expr:
    """Return <f(u) g(u')> for polynomials f and g in h: a polynomial in s, t and c.

    >>> h = sp.Symbol("h", real=True)
    >>> pair_mean(h**2, h**2, h)
    2*_c**2 + _s*_t
    """
    highest = min(sp.Poly(f, h).degree(), sp.Poly(g, h).degree())
    terms = (
        mean_derivative(f, h, n, s) * mean_derivative(g, h, n, t) * c**n / sp.factorial(n)
        for n in range(max(highest, 0) + 1)
    )
    return sp.expand(sp.Add(*terms))
