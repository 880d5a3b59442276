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
_u, _v = sp.symbols("_u _v", real=True)


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

    ``expr`` is a polynomial in h, or a multiple of erf(a h), max(0, h) or max(0, -h), whose
    derivatives are taken in the sense of distributions.

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
    side: sp.Expr = sp.Add(*function.args).coeff(h, 1)  # -1 for max(0, -h)
    return factor * side**n * _mean_of_relu(n).subs(s, variance)


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


def mean_of_values(expr: sp.Expr, h: sp.Symbol) -> sp.Expr:
    """Return <phi(u) phi(u')> for a polynomial in h, a multiple of erf(a h), or max(0, h).

    For max(0, -h) it is that of max(0, h): (u, u') and (-u, -u') have the same law.
    """
    if _is_polynomial(expr, h):
        return pair_mean(expr, expr, h)
    factor, function = expr.as_independent(h)
    if isinstance(function, sp.erf):
        return factor**2 * _erf_pair(function.args[0].coeff(h, 1))[0]
    return factor**2 * _relu_pair()[0]


def mean_of_slopes(expr: sp.Expr, h: sp.Symbol) -> sp.Expr:
    """Return <phi'(u) phi'(u')> for the same functions."""
    if _is_polynomial(expr, h):
        slope = sp.expand(sp.diff(expr, h))
        return pair_mean(slope, slope, h)
    factor, function = expr.as_independent(h)
    if isinstance(function, sp.erf):
        return factor**2 * _erf_pair(function.args[0].coeff(h, 1))[1]
    return factor**2 * _relu_pair()[1]


def _is_polynomial(expr: sp.Expr, h: sp.Symbol) -> bool:
    return bool(expr.is_polynomial(h)) and not expr.has(sp.Max)


@cache
def _erf_pair(slope: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """<erf(a u) erf(a u')> and <d erf(a u)/du d erf(a u')/du'>.

    The latter is a Gaussian integral, done with the inverse of the covariance; it is also the
    derivative of the former in c, which vanishes at c = 0.
    """
    a = sp.Symbol("_a", positive=True)
    determinant = s * t - c**2
    p, m, k = sp.symbols("_p _m _k", positive=True)  # of the exponent (p u^2 + 2 m u u' + k u'^2)/2
    weight = sp.exp(-(p * _u**2 + 2 * m * _u * _v + k * _v**2) / 2)
    inner = sp.integrate(weight, (_u, -sp.oo, sp.oo))
    exponent = sp.expand(sp.log(inner).expand(force=True).coeff(_v, 2))
    rest = sp.simplify(inner / sp.exp(exponent * _v**2))
    curvature = sp.Symbol("_r", positive=True)
    outer = sp.integrate(sp.exp(-curvature * _v**2), (_v, -sp.oo, sp.oo))
    integral = rest * outer.subs(curvature, -exponent)
    at = {p: t / determinant + 2 * a**2, k: s / determinant + 2 * a**2, m: -c / determinant}
    amplitude = (2 * a / sp.sqrt(sp.pi)) ** 2 / (2 * sp.pi * sp.sqrt(determinant))
    # The inverse square is a quadratic in c without a linear term: an arcsine is its integral.
    quadratic = sp.Poly(sp.cancel(1 / (integral.subs(at) * amplitude) ** 2), c)
    curved = -quadratic.coeff_monomial(c**2)
    limit = sp.factor(quadratic.coeff_monomial(1) / curved)
    slopes = 1 / (sp.sqrt(curved) * sp.sqrt(limit - c**2))
    values = sp.asin(c / sp.sqrt(limit)) / sp.sqrt(curved)
    if sp.simplify(sp.diff(values, c) ** 2 - slopes**2) != 0 or values.subs(c, 0) != 0:
        raise AssertionError(f"{values} is not the integral of {slopes} in c")
    return values.subs(a, slope), slopes.subs(a, slope)


@cache
def _relu_pair() -> tuple[sp.Expr, sp.Expr]:
    """<relu(u) relu(u')> and <step(u) step(u')>.

    The second derivative of relu is a delta function: <delta(u) delta(u')> is the density of the
    pair at 0. Price's theorem integrates it twice, from the products of means at c = 0.
    """
    size = sp.sqrt(s) * sp.sqrt(t)
    cosine = c / size
    density_at_0 = 1 / (2 * sp.pi * sp.sqrt(size**2 - c**2))
    steps = _mean_of_relu(1) ** 2 + sp.asin(cosine) / (2 * sp.pi)
    at_0 = _mean_of_relu(0) * _mean_of_relu(0).subs(s, t)

    def values(sine: sp.Expr) -> sp.Expr:
        arcsine = cosine * sp.asin(cosine) + sine - 1  # integrated from 0
        return sp.expand(at_0 + c / 4 + size * arcsine / (2 * sp.pi))

    plain = values(sp.sqrt(1 - cosine**2))
    checks = (sp.diff(steps, c) - density_at_0, sp.diff(plain, c) - steps, plain.subs(c, 0) - at_0)
    if any(sp.simplify(check) != 0 for check in checks):
        raise AssertionError("the integrals of the density in c are wrong")
    # As a product the square root keeps its digits at equal vectors, where the cosine is 1.
    return values(sp.sqrt(1 - cosine) * sp.sqrt(1 + cosine)), steps
