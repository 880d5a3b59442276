"""Cubature rules integrate polynomials of their degree exactly, and no further."""

from fractions import Fraction
from itertools import combinations_with_replacement
from math import prod

import numpy as np
import pytest

from lazyrich.verify import tolerances
from lazyrich.verify.cubature import fifth_degree, gauss_hermite


def exact_moment(exponents, D):
    """<prod x_i^k_i> over x ~ N(0, I/D), a rational number."""
    if any(k % 2 for k in exponents):
        return Fraction(0)
    return prod(Fraction(prod(range(1, k, 2)), D ** (k // 2)) for k in exponents)


def monomials(D, degree):
    for places in combinations_with_replacement(range(D), degree):
        yield [places.count(i) for i in range(D)]


def shells(D):
    """The fifth-degree rule by shells of (squared coordinate, weight), both rational, and signs."""
    points, weights = fifth_degree(D)
    corners = {
        0: (Fraction(0), Fraction(2, D + 2)),
        1: (Fraction(D + 2, D), Fraction(4 - D, 2 * (D + 2) ** 2)),
        2: (Fraction(D + 2, 2 * D), Fraction(1, (D + 2) ** 2)),
    }
    signs = np.sign(points).astype(int)
    counts = np.abs(signs).sum(axis=1)
    for count, (square, weight) in corners.items():
        ours = counts == count
        np.testing.assert_allclose(np.abs(points[ours]), np.abs(signs[ours]) * float(square) ** 0.5)
        np.testing.assert_allclose(weights[ours], float(weight))
        yield square, weight, signs[ours]


@pytest.mark.parametrize("D", range(1, 6))
def test_fifth_degree_rule_has_the_exact_moments_up_to_degree_5(D):
    """In rational arithmetic: on a shell a monomial is a power of the radius times signs."""
    rule = list(shells(D))
    assert sum(len(signs) for _, _, signs in rule) == 2 * D**2 + 1
    for degree in range(6):
        for exponents in monomials(D, degree):
            sums = [int((signs**exponents).prod(axis=1).sum()) for _, _, signs in rule]
            if degree % 2:
                assert sums == [0, 0, 0]
            else:
                terms = zip(rule, sums, strict=True)
                value = sum(w * square ** (degree // 2) * n for (square, w, _), n in terms)
                assert value == exact_moment(exponents, D)


@pytest.mark.parametrize("D", range(1, 7))
def test_fifth_degree_rule_fails_at_degree_6(D):
    points, weights = fifth_degree(D)
    exact = [float(exact_moment(exponents, D)) for exponents in monomials(D, 6)]
    ours = [float(weights @ np.prod(points**e, axis=1)) for e in monomials(D, 6)]
    assert not np.allclose(ours, exact, rtol=1e-6)


@pytest.mark.parametrize("D", [1, 2, 5, 30, 100])
def test_fifth_degree_rule_is_well_conditioned_at_any_dimension(D):
    points, weights = fifth_degree(D)
    assert np.abs(weights).sum() < 3
    fourth = weights @ points[:, 0] ** 4
    magnitude = np.abs(weights) @ points[:, 0] ** 4
    tolerances.assert_close(fourth, 3 / D**2, magnitude=magnitude, operations=len(points) + 10)


@pytest.mark.parametrize(("D", "degree"), [(1, 1), (1, 8), (1, 9), (2, 5), (2, 8), (3, 4), (4, 5)])
def test_tensor_rule_has_the_exact_moments_up_to_its_degree_and_not_beyond(D, degree):
    points, weights = gauss_hermite(D, degree)
    assert (weights > 0).all()
    for k in range(degree + 1):
        for exponents in monomials(D, k):
            values = np.prod(points**exponents, axis=1)
            # 1e-13: the accuracy of the nodes that NumPy finds, not a rounding bound of ours.
            scale = float(weights @ np.abs(values))
            assert abs(weights @ values - float(exact_moment(exponents, D))) <= 1e-13 * scale
    beyond = 2 * (degree // 2 + 1)
    exact = float(exact_moment([beyond] + [0] * (D - 1), D))
    assert abs(weights @ points[:, 0] ** beyond - exact) > 1e-3 * exact


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="D = 0"):
        fifth_degree(0)
    with pytest.raises(ValueError, match=r"degree = 1\.5"):
        gauss_hermite(2, 1.5)
    with pytest.raises(ValueError, match="D = 30"):
        gauss_hermite(30, 4)
