"""Higher degrees: kernels with He_k, their spectra by harmonics, and targets by degree."""

from functools import cache
from math import factorial

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import hermite_e
from sympy import Rational, Trace

from lazyrich import theory
from lazyrich.theory.hermite import (
    h,
    hermite,
    hermite_ntk_at_init,
    hermite_target_power,
    information_exponent,
    power_by_degree,
)
from lazyrich.theory.hermite_spectrum import harmonics, hermite_ntk_eigenvalues
from lazyrich.theory.mercer import apply_operator
from lazyrich.theory.symbols import D, beta, epsilon, isotropic, sigma, x, x_prime
from lazyrich.theory.wick import dot, equal, expectation
from lazyrich.verify.coordinates import Coordinates
from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.tolerances import rounding

degrees = st.integers(1, 5)
rationals = st.builds(Rational, st.integers(-6, 6), st.integers(1, 3))
positive = st.builds(Rational, st.integers(1, 6), st.integers(1, 3))


@pytest.mark.parametrize("k", range(8))
def test_hermite_polynomials_are_those_of_numpy(k):
    coefficients = [int(c) for c in hermite_e.herme2poly([0] * k + [1])]
    assert hermite(k) == sum(c * h**n for n, c in enumerate(coefficients))


# The kernel


@cache
def kernel_of(k):
    return hermite_ntk_at_init(k).expr


def kernel_by_derivatives(at, k, curvature, variance):
    """K(x, x'): the mean over w of the products of the derivatives of phi(w.x), in coordinates."""
    w = at.values["w"]

    def slope(name):
        line = (w.T @ at.values[name])[0, 0]
        coefficients = hermite_e.herme2poly([0] * k + [1])
        phi = line + curvature / 2 * sum(int(c) * line**n for n, c in enumerate(coefficients))
        return at.derivative(phi, "w")

    product = (slope("x").T @ slope("x_prime"))[0, 0]
    return at.mean(product, "w", variance)


def assert_kernel_is_the_mean_of_products(k, d, curvature, deviation, candidate=None):
    at = Coordinates(d, vectors=["w", "x", "x_prime"])
    curvature, deviation = at.number(curvature), at.number(deviation)
    brute = kernel_by_derivatives(at, k, curvature, deviation**2)
    kernel = kernel_of(k) if candidate is None else candidate
    assert at.interpret(kernel, epsilon=curvature, sigma=deviation) == brute


@given(k=degrees, d=st.integers(1, 2), curvature=rationals, deviation=positive)
def test_the_kernel_is_the_mean_product_of_gradients(k, d, curvature, deviation):
    assert_kernel_is_the_mean_of_products(k, d, curvature, deviation)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_kernel_where_its_contractions_are_independent(k):
    """D = k at generic scalars: with k in each of x, x' this proves the kernel for every D."""
    assert_kernel_is_the_mean_of_products(k, k, Rational(2, 7), Rational(3, 5))


def test_a_wrong_kernel_is_caught():
    kernel = hermite_ntk_at_init(3).expr
    with pytest.raises(AssertionError):
        assert_kernel_is_the_mean_of_products(3, 2, Rational(1, 2), 1, kernel + dot(x, x_prime))
    unit = kernel.subs({dot(x, x): 1, dot(x_prime, x_prime): 1})  # as if |x| were 1
    with pytest.raises(AssertionError):
        assert_kernel_is_the_mean_of_products(3, 2, Rational(1, 2), 1, unit)


def test_the_constant_of_he_2_leaves_no_trace_in_the_kernel():
    assert equal(hermite_ntk_at_init(2).expr, theory.closed_form("ntk-at-init").expr)


# The spectrum


def test_the_papers_spectrum_is_the_case_k_2():
    ours = spectrum(2).terms
    paper = theory.closed_form("ntk-eigenvalues").terms
    names = {"linear": "harmonics_1", "radial": "harmonics_0", "traceless": "harmonics_2"}
    assert len(ours) == len(names)
    for name, l in names.items():
        for found, known in zip(ours[l], paper[name], strict=True):
            assert sp.expand(found - known) == 0


@given(n=st.integers(0, 7), d=st.integers(1, 6))
def test_dimensions_of_harmonics_add_up_to_homogeneous_polynomials(n, d):
    total = sum(harmonics(l).subs(D, d) for l in range(n, -1, -2))
    assert total == sp.binomial(d + n - 1, n)


def test_dimensions_of_harmonics_in_few_dimensions():
    assert [harmonics(l).subs(D, 3) for l in range(5)] == [1, 3, 5, 7, 9]
    assert [harmonics(l).subs(D, 2) for l in range(5)] == [1, 2, 2, 2, 2]
    assert [harmonics(l).subs(D, 1) for l in range(5)] == [1, 1, 0, 0, 0]


@cache
def spectrum(k):
    return hermite_ntk_eigenvalues(k)


def spectrum_values(k, d, curvature, deviation):
    """All nonzero eigenvalues as often as their multiplicity says, ascending."""
    point = {"D": d, "epsilon": curvature, "sigma": deviation}
    point = {name: point[name] for name in spectrum(k).arguments()}
    found = []
    for value, count in spectrum(k).evaluate_terms(**point).values():
        rows = value if isinstance(value, tuple) else ((value,),)
        # 30 digits: the blocks are not symmetric, so that doubles would lose some.
        with mpmath.workdps(30):
            eigenvalues, _ = mpmath.eig(
                mpmath.matrix([[mpmath.mpmathify(e) for e in r] for r in rows])
            )
        assert all(abs(e.imag) < 1e-20 for e in eigenvalues)
        found += [float(e.real) for e in eigenvalues] * int(count)
    return np.sort(found)


def assert_spectrum_is_that_of_the_kernel(k, d, curvature, deviation, found):
    """The kernel on an exact cubature has these eigenvalues, and else zeros."""
    points, weights = gauss_hermite(d, 2 * k)  # products of two functions of degree k
    norms, product = (points**2).sum(1), points @ points.T
    values = {
        Trace(x.T * x): norms[:, None],
        Trace(x_prime.T * x_prime): norms[None, :],
        Trace(x.T * x_prime): product,
        epsilon: curvature,
        sigma: deviation,
    }
    kernel, size = 0.0, 0.0
    for term in sp.expand(kernel_of(k)).args:
        part = np.array(float(term.as_coeff_Mul()[0]))
        for factor, power in term.as_coeff_Mul()[1].as_powers_dict().items():
            part = part * values[factor] ** int(power)
        kernel, size = kernel + part, size + np.abs(part)
    root = np.sqrt(weights)
    numeric = np.linalg.eigvalsh(root[:, None] * kernel * root)
    expected = np.sort(np.concatenate([found, np.zeros(len(numeric) - len(found))]))
    # Weyl. Entries have fewer than 100 roundings, and 2 k + 1 factors of nodes and weights, which
    # are good to a few units each; LAPACK adds less than n roundings of the norm.
    allowed = rounding(200 + len(numeric)) * np.linalg.norm(root[:, None] * size * root)
    assert np.abs(numeric - expected).max() <= allowed


@given(
    k=st.integers(1, 4),
    d=st.integers(1, 2),
    curvature=st.integers(-8, 8).map(lambda n: n / 4),
    deviation=st.sampled_from([0.5, 1.0, 1.5]),
)
def test_the_spectrum_is_that_of_the_kernel_on_an_exact_cubature(k, d, curvature, deviation):
    found = spectrum_values(k, d, Rational(curvature), Rational(deviation))
    assert_spectrum_is_that_of_the_kernel(k, d, curvature, deviation, found)


@pytest.mark.parametrize("k", [3, 4])
def test_the_spectrum_in_three_dimensions_and_a_wrong_one(k):
    found = spectrum_values(k, 3, Rational(1, 2), Rational(1))
    assert_spectrum_is_that_of_the_kernel(k, 3, 0.5, 1.0, found)
    for wrong in (found * (1 + 1e-8), found[1:], np.append(found, found[-1])):
        with pytest.raises(AssertionError):
            assert_spectrum_is_that_of_the_kernel(k, 3, 0.5, 1.0, wrong)


def harmonic_of(at, l):
    """A real harmonic polynomial of degree l in x and in x', in two dimensions or more."""
    if l == 0:
        return at.number(1), at.number(1)

    def power(name):
        real, imaginary = at.number(1), at.number(0)
        first, second = at.values[name][0, 0], at.values[name][1, 0]
        for _ in range(l):
            real, imaginary = real * first - imaginary * second, real * second + imaginary * first
        return real + 2 * imaginary

    return power("x"), power("x_prime")


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_blocks_are_the_operator_on_real_harmonics(k, d):
    """Exactly, on Re (x_1 + i x_2)^l + 2 Im (x_1 + i x_2)^l times powers of |x|^2."""
    at = Coordinates(d, vectors=["x", "x_prime"])
    scalars = {"epsilon": at.number(Rational(2, 3)), "sigma": at.number(Rational(4, 5))}
    kernel = at.interpret(kernel_of(k), **scalars)
    norms = at.dot("x", "x"), at.dot("x_prime", "x_prime")
    for name, (value, _) in spectrum(k).terms.items():
        l = int(name.split("_")[1])
        block = at.interpret(value if isinstance(value, sp.Tuple) else ((value,),), **scalars)
        # The radial functions of degree at most k that the kernel reaches: all but constants,
        # and the linear ones alone where the activation is even.
        first = 1 if l == 0 else 0
        here, there = harmonic_of(at, l)
        for j, column in enumerate(zip(*block, strict=True)):
            image = at.mean(kernel * norms[0] ** (j + first) * here, "x")
            expected = sum(c * norms[1] ** (i + first) for i, c in enumerate(column)) * there
            assert image == expected


@given(k=st.integers(2, 6), curvature=rationals, deviation=positive)
def test_the_top_eigenvalue_falls_as_the_kth_power_of_D(k, curvature, deviation):
    """epsilon^2 sigma^(2k-2) k (k!)^2 / (4 D^k) on about D^k/k! functions."""
    value, count = spectrum(k).terms[f"harmonics_{k}"]
    at = {epsilon: curvature, sigma: deviation}
    expected = curvature**2 * deviation ** (2 * k - 2) * Rational(k * factorial(k) ** 2, 4)
    assert sp.simplify(value.subs(at) * D**k) == expected
    assert sp.limit(count * factorial(k) / D**k, D, sp.oo) == 1


def test_at_one_value_of_epsilon_he_3_has_no_linear_part():
    """phi(h) = h + (1/3)(h^3 - 3h) = h^3/3: the smaller eigenvalue of l = 1 vanishes."""
    rows, _ = spectrum(3).terms["harmonics_1"]
    determinant = sp.factor(sp.Matrix([list(row) for row in rows]).det())
    assert determinant.subs(epsilon, Rational(2, 3)) == 0
    assert determinant.subs(epsilon, Rational(1, 2)) != 0


# Targets


def powers_by_quadrature(link, variance):
    """n! <link(s z) He_n(z)>^2 / n!^2 for each n, by Gauss-Hermite."""
    polynomial = sp.Poly(link, h)
    nodes, weights = hermite_e.hermegauss(polynomial.degree() + 1)
    values = np.array(
        [float(polynomial.eval(Rational(float(np.sqrt(variance) * z)))) for z in nodes]
    )
    weights = weights / weights.sum()
    powers = {}
    for n in range(polynomial.degree() + 1):
        mean = weights @ (values * hermite_e.hermeval(nodes, [0] * n + [1]))
        powers[n] = mean**2 / factorial(n)
    return powers


@cache
def powers(k):
    return power_by_degree(hermite(k))


@given(k=st.integers(1, 6), d=st.integers(1, 5), norm=st.integers(1, 12))
def test_the_power_by_degree_is_that_of_the_expansion_in_one_variable(k, d, norm):
    ours = {
        n: float(p.subs({dot(beta, beta): norm, D: d}))
        for n, p in power_by_degree(hermite(k)).items()
    }
    expected = powers_by_quadrature(hermite(k), norm / d)
    # A quadrature of seven terms, in which values up to <y^2> cancel.
    allowed = rounding(1000) * max(1.0, *expected.values())
    assert all(abs(ours.get(n, 0.0) - power) <= allowed for n, power in expected.items())


def test_a_wrong_power_is_caught_by_its_own_sum():
    powers = hermite_target_power(3).terms
    whole = expectation(sp.expand(hermite(3, dot(beta, x)) ** 2), isotropic(x))
    assert equal(sp.Add(*powers.values()), whole)
    assert not equal(powers["degree_3"] + 2 * powers["degree_1"], whole)


@pytest.mark.parametrize("k", range(2, 7))
def test_at_unit_variance_all_power_is_in_degree_k(k):
    terms = hermite_target_power(k).terms
    at_one = {name: sp.expand(p.subs(dot(beta, beta), D)) for name, p in terms.items()}
    assert at_one.pop(f"degree_{k}") == factorial(k)
    assert set(at_one.values()) <= {0}


@pytest.mark.parametrize("k", range(1, 8))
def test_the_information_exponent_is_k_at_unit_variance_and_else_1_or_2(k):
    assert information_exponent(hermite(k), sp.S.One) == k
    assert information_exponent(hermite(k)) == (1 if k % 2 else 2)
    assert information_exponent(hermite(k), Rational(9, 10)) == (1 if k % 2 else 2)


def test_the_information_exponent_of_monomials_is_not_their_degree():
    assert [information_exponent(h**n) for n in range(1, 7)] == [1, 2, 1, 2, 1, 2]


def test_physicists_polynomials_have_exponent_k_at_variance_one_half():
    for k in (3, 4, 5):
        physicists = sp.hermite(k, h)
        assert information_exponent(physicists, Rational(1, 2)) == k
        assert information_exponent(physicists, sp.S.One) == (1 if k % 2 else 2)


def test_a_target_of_degree_k_needs_the_kernels_harmonics_up_to_k():
    """He_k(beta.x) is reached by the kernel; of He_2, the constant is not."""
    kernel = hermite_ntk_at_init(3).expr
    image = apply_operator(kernel, hermite(3, dot(beta, x)))
    assert image != 0
    assert "harmonics_0" not in spectrum(3).terms


@pytest.mark.parametrize("k", [0, -1, 2.0, True, "3"])
def test_bad_degrees_are_refused(k):
    for function in (hermite_ntk_at_init, hermite_ntk_eigenvalues, hermite_target_power):
        with pytest.raises(ValueError, match=r"k = .*: must be a positive integer"):
            function(k)
