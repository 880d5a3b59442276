"""Higher degrees: kernels with He_k, their spectra by harmonics, and targets by degree."""

from dataclasses import replace
from fractions import Fraction
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
    hermite_ntk_eigenvalues,
    hermite_target_power,
    information_exponent,
)
from lazyrich.theory.mercer import apply_operator
from lazyrich.theory.problem.radial import harmonics
from lazyrich.theory.symbols import D, beta, epsilon, sigma, x, x_prime
from lazyrich.theory.wick import dot, equal
from lazyrich.verify.certificates import hermite as certificates
from lazyrich.verify.certificates import prove
from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.properties import hermite as laws
from lazyrich.verify.tolerances import rounding


@pytest.mark.parametrize("k", range(8))
def test_hermite_polynomials_are_those_of_numpy(k):
    coefficients = [int(c) for c in hermite_e.herme2poly([0] * k + [1])]
    assert hermite(k) == sum(c * h**n for n, c in enumerate(coefficients))


# The kernel


@cache
def kernel_of(k):
    return hermite_ntk_at_init(k).expr


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_the_kernel_is_the_mean_product_of_gradients_for_every_D(k):
    assert "prove it for every D" in prove(certificates.hermite_kernel(k), hermite_ntk_at_init(k))


def test_a_wrong_kernel_is_caught():
    cf = hermite_ntk_at_init(3)
    unit = cf.expr.subs({dot(x, x): 1, dot(x_prime, x_prime): 1})  # as if |x| were 1
    for wrong in (cf.expr + dot(x, x_prime), unit):
        with pytest.raises(AssertionError, match="kernel at D"):
            prove(certificates.hermite_kernel(3), replace(cf, expr=wrong))


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


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_blocks_are_the_operator_on_real_harmonics_for_every_D(k):
    assert "prove it for every D" in prove(certificates.hermite_spectrum(k), spectrum(k).terms)


def test_a_wrong_block_or_multiplicity_is_caught():
    terms = spectrum(3).terms
    block, count = terms["harmonics_1"]
    first, second = block
    transposed = sp.Tuple(sp.Tuple(first[0], second[0]), sp.Tuple(first[1], second[1]))
    for wrong in ((transposed, count), (block, count + 1)):
        with pytest.raises(AssertionError):
            prove(certificates.hermite_spectrum(3), {**terms, "harmonics_1": wrong})


@pytest.mark.parametrize("k", [3, 4, 5])
def test_the_pairs_are_the_eigenvalues_of_their_blocks(k):
    for name, pair in spectrum(k).components.items():
        rows, _ = spectrum(k).terms[name]
        block = sp.Matrix([list(row) for row in rows])
        assert sp.expand(pair[0] + pair[1] - block.trace()) == 0
        assert sp.factor(sp.expand(pair[0] * pair[1] - block.det())) == 0


@given(
    k=st.integers(2, 4),
    d=st.integers(1, 3),
    curvature=st.builds(Fraction, st.integers(-5, 5), st.integers(1, 5)),
    seed=st.integers(0, 10**6),
)
def test_the_number_of_functions_is_the_rank_of_a_gram_matrix(k, d, curvature, seed):
    laws.kernel_has_the_derived_rank(k, d, curvature, seed)


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_the_top_eigenvalue_falls_as_the_kth_power_of_D(k):
    """epsilon^2 sigma^(2k-2) k (k!)^2 / (4 D^k) on about D^k/k! functions."""
    value, count = spectrum(k).terms[f"harmonics_{k}"]
    expected = epsilon**2 * sigma ** (2 * k - 2) * k * factorial(k) ** 2 / (4 * D**k)
    assert sp.expand(value - expected) == 0
    assert sp.limit(count * factorial(k) / D**k, D, sp.oo) == 1


def test_at_one_value_of_epsilon_he_3_has_no_linear_part():
    """phi(h) = h + (1/3)(h^3 - 3h) = h^3/3: the smaller eigenvalue of l = 1 vanishes."""
    rows, _ = spectrum(3).terms["harmonics_1"]
    determinant = sp.factor(sp.Matrix([list(row) for row in rows]).det())
    assert determinant.subs(epsilon, Rational(2, 3)) == 0
    assert determinant.subs(epsilon, Rational(1, 2)) != 0


# Targets


@given(
    coefficients=st.lists(st.integers(-3, 3), min_size=1, max_size=7).filter(any).map(tuple),
    variance=st.builds(Fraction, st.integers(0, 9), st.integers(1, 5)),
)
def test_the_power_by_degree_is_that_of_the_expansion_in_one_variable(coefficients, variance):
    laws.power_by_degree_is_that_of_the_expansion(coefficients, variance)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_the_power_of_hermite_targets_for_every_D(k):
    cf = hermite_target_power(k)
    assert "prove it for every D" in prove(certificates.target_power(k), cf)
    wrong = replace(cf, terms={**cf.terms, f"degree_{k}": cf.terms[f"degree_{k}"] / k**2 * 2})
    with pytest.raises(AssertionError, match=f"degree {k}"):
        prove(certificates.target_power(k), wrong)


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


def test_every_degree_has_a_name():
    """The catalogue lists K = 3 and 4; any other number in their place is as good."""
    assert theory.closed_form("hermite-2-ntk-at-init").expr == hermite_ntk_at_init(2).expr
    for k in (3, 7):
        power = theory.closed_form(f"hermite-{k}-target-power")
        assert (power.name, power.expr) == (
            f"hermite-{k}-target-power",
            hermite_target_power(k).expr,
        )


@pytest.mark.parametrize("name", ["hermite-0-ntk-at-init", "hermite-3-loss", "hermite--ntk"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="Allowed"):
        theory.closed_form(name)
