"""From which sample size on kernel regression is exact: in rational arithmetic, no tolerance."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import Rational
from sympy.polys.matrices import DomainMatrix

from lazyrich import theory
from lazyrich.theory.lazy_sample_size import learnability_with_ridge
from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.properties import lazy as laws
from lazyrich.verify.tolerances import rounding

SIZE = theory.closed_form("lazy-sample-size")
seeds = st.integers(0, 10**6)
epsilons = st.builds(Fraction, st.integers(-9, 9).filter(bool), st.integers(1, 9))


@given(d=st.integers(1, 3), epsilon=epsilons, seed=seeds)
def test_the_target_is_learned_exactly_from_the_derived_size_on_and_not_before(d, epsilon, seed):
    """The threshold is the same for every epsilon."""
    laws.lazy_training_is_exact_from(d, epsilon, seed)


@pytest.mark.parametrize("wrong", [lambda D: D * (D + 1) // 2, lambda D: D * (D + 3) // 2 - 1])
def test_a_wrong_size_is_caught(wrong):
    laws.lazy_training_is_exact_from(2, Fraction(1, 2), seed=0)
    with pytest.raises(AssertionError, match="samples"):
        laws.lazy_training_is_exact_from(2, Fraction(1, 2), 0, wrong)


@given(d=st.integers(1, 2), epsilon=epsilons, seed=seeds)
def test_every_linear_plus_quadratic_function_is_learned_and_no_constant(d, epsilon, seed):
    size = SIZE.evaluate(D=d)
    line, new, *points = laws.random_points(size + 2, d, seed)
    assume(new not in points)  # a sample is fitted, with its constant
    form = laws.random_points(d, d, seed + 1)

    def function(x, constant=0):
        squares = sum(form[i][j] * x[i] * x[j] for i in range(d) for j in range(d))
        return Fraction(constant + squares + sum(p * q for p, q in zip(line, x, strict=True)))

    for constant in (0, 1):
        labels = [function(x, constant) for x in points]
        found = laws.predict(points, labels, new, epsilon)
        # All of it but the constant, of which it finds some other multiple.
        assert (found == function(new, constant)) == (constant == 0)


def test_a_linear_kernel_never_learns_it():
    """At epsilon = 0 two samples determine all that a kernel on two inputs can learn."""
    beta, new, *points = laws.random_points(4, 2, seed=0)
    labels = [Fraction(int(np.dot(beta, x)) ** 2, 2) for x in points]
    found = laws.predict(points, labels, new, Fraction(0))
    assert found != Fraction(int(np.dot(beta, new)) ** 2, 2)


def test_a_narrow_network_never_learns_it():
    """N < D + 1 neurons at rest: the target is no combination of (1 + epsilon w.x) x_i."""
    d, n, epsilon = 3, 2, Rational(1, 2)
    X, W = (sp.Matrix(laws.random_points(count, d, seed)) for count, seed in ((40, 3), (n, 4)))
    slopes = (X * W.T).applyfunc(lambda product: 1 + epsilon * product)
    features = sp.Matrix.hstack(*(sp.diag(*slopes.col(i)) * X for i in range(n)))
    labels = (X * sp.Matrix([1, 2, -1])).applyfunc(lambda product: product**2 / 2)
    rank = DomainMatrix.from_Matrix(features).to_field().rank()
    assert rank == theory.closed_form("ntk-rank").evaluate(n=n, D=d)
    assert DomainMatrix.from_Matrix(features.row_join(labels)).to_field().rank() == rank + 1


# How much below


@given(
    sizes=st.integers(2, 6).flatmap(
        lambda d: st.tuples(st.just(d), st.integers(1, d * (d + 3) // 2 - 1))
    ),
    epsilon=epsilons.map(float),
    seed=seeds,
)
def test_learned_shares_add_up_to_the_samples_and_keep_to_their_bounds(sizes, epsilon, seed):
    laws.learned_shares_are_bounded(*sizes, epsilon, seed)


def test_wrong_bounds_are_caught():
    with pytest.raises(AssertionError, match="outside"):
        laws.learned_shares_are_bounded(4, 8, 0.5, 0, lambda D, P: (0.0, 0.5 * P / D**2))


@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
def test_the_share_with_a_ridge_is_that_of_the_operator(ridge):
    """On an exact cubature, whose weighted mean is the mean over the inputs, ridge/P = ridge/10."""
    d, epsilon, count = 2, 0.7, 10
    points, weights = gauss_hermite(d, 4)
    product, root = points @ points.T, np.sqrt(weights)
    operator = root[:, None] * (product + epsilon**2 * product**2) * root
    function = root * points[:, 0] * points[:, 1]
    ridged = operator + ridge / count * np.eye(len(root))
    learned_part = np.linalg.solve(ridged, operator @ function)
    share = learnability_with_ridge()["traceless"]
    at = {"D": d, "P": count, "epsilon": epsilon, "sigma": 1, "ridge": ridge}
    expected = float(share.subs({s: at[s.name] for s in share.free_symbols}))
    allowed = rounding(10 * len(root) ** 2) * np.linalg.cond(ridged) * np.linalg.norm(function)
    assert np.abs(learned_part - expected * function).max() <= allowed
    assert np.abs(learned_part - 1.001 * expected * function).max() > allowed


def test_half_is_learned_at_ridge_over_the_eigenvalue():
    value, _ = theory.closed_form("ntk-eigenvalues").terms["traceless"]
    half = SIZE.components["half_with_ridge"]
    assert sp.simplify(half * value).free_symbols == {sp.Symbol("ridge", positive=True)}
