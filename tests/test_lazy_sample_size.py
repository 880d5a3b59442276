"""From which sample size on kernel regression is exact: in rational arithmetic, no tolerance."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import QQ, Rational
from sympy.polys.matrices import DomainMatrix

from lazyrich import theory
from lazyrich.theory.lazy_sample_size import learnability_with_ridge
from lazyrich.theory.symbols import D
from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.tolerances import rounding

SIZE = theory.closed_form("lazy-sample-size")
nonzero = st.builds(Rational, st.integers(-6, 6).filter(bool), st.integers(1, 3))


def exact_size(d):
    return int(SIZE.expr.subs(D, d))


def random_points(seed, count, d):
    """Integer points of a range that makes degenerate sets rare."""
    return np.random.default_rng(seed).integers(-30, 31, size=(count, d)).tolist()


def kernel(a, b, epsilon):
    product = sum(p * q for p, q in zip(a, b, strict=True))
    return product + epsilon**2 * product**2


def predict(points, labels, x, epsilon):
    """The ridgeless kernel regression at x, in rational arithmetic; None if K is singular."""
    gram = [[QQ.from_sympy(sp.sympify(kernel(a, b, epsilon))) for b in points] for a in points]
    gram = DomainMatrix(gram, (len(points), len(points)), QQ)
    if gram.rank() < len(points):
        return None
    column = DomainMatrix([[QQ.from_sympy(sp.sympify(y))] for y in labels], (len(points), 1), QQ)
    weights = gram.lu_solve(column).to_Matrix()
    return sum(kernel(x, a, epsilon) * w for a, w in zip(points, weights, strict=True))


def target(x, beta):
    return Rational(sum(p * q for p, q in zip(x, beta, strict=True)) ** 2, 2)


def error_at_a_new_point(d, count, seed, epsilon, y=None):
    points = random_points(seed, count + 1, d)
    *train, new = points
    beta = random_points(seed + 1, 1, d)[0]
    y = y or (lambda x: target(x, beta))
    assume(any(beta) and y(new) != 0)
    prediction = predict(train, [y(x) for x in train], new, epsilon)
    assume(prediction is not None)
    return prediction - y(new)


@given(d=st.integers(1, 3), seed=st.integers(0, 10**6), epsilon=nonzero)
def test_with_so_many_samples_the_target_is_learned_exactly(d, seed, epsilon):
    assert error_at_a_new_point(d, exact_size(d), seed, epsilon) == 0


@given(d=st.integers(1, 3), seed=st.integers(0, 10**6), epsilon=nonzero)
def test_with_one_sample_less_it_is_not(d, seed, epsilon):
    """Whatever epsilon is: the threshold does not move."""
    assert error_at_a_new_point(d, exact_size(d) - 1, seed, epsilon) != 0


@given(d=st.integers(1, 2), seed=st.integers(0, 10**6), epsilon=nonzero)
def test_every_linear_plus_quadratic_function_is_learned_and_no_constant(d, seed, epsilon):
    form = random_points(seed + 2, d + 1, d)

    def function(x, constant=0):
        squares = sum(form[i][j] * x[i] * x[j] for i in range(d) for j in range(d))
        return constant + squares + sum(p * q for p, q in zip(form[d], x, strict=True))

    size = exact_size(d)
    assert error_at_a_new_point(d, size, seed, epsilon, function) == 0
    assert error_at_a_new_point(d, size, seed, epsilon, lambda x: function(x, 1)) != 0


def test_a_linear_kernel_never_learns_it():
    points = random_points(0, 3, 2)
    gram = np.array([[kernel(a, b, 0) for b in points] for a in points])
    assert np.linalg.matrix_rank(gram) == 2  # of 5 that the target's functions need
    *train, new = points
    prediction = predict(train, [target(x, (1, 2)) for x in train], new, 0)
    assert prediction != target(new, (1, 2))


def test_a_narrow_network_never_learns_it():
    """N < D + 1 neurons at rest: the target is no combination of (1 + epsilon w.x) x_i."""
    d, n, epsilon = 3, 2, Rational(1, 2)
    points = [list(map(Rational, x)) for x in random_points(3, 40, d)]
    neurons = random_points(4, n, d)
    features = sp.Matrix(
        [
            [
                (1 + epsilon * sum(a * b for a, b in zip(w, x, strict=True))) * x_i
                for w in neurons
                for x_i in x
            ]
            for x in points
        ]
    )
    labels = sp.Matrix([target(x, (1, 2, -1)) for x in points])
    rank = DomainMatrix.from_Matrix(features).to_field().rank()
    assert rank == theory.closed_form("ntk-rank").evaluate(n=n, D=d)
    assert DomainMatrix.from_Matrix(features.row_join(labels)).to_field().rank() == rank + 1


# How much below


def learned(X, epsilon):
    """Total learned shares of linear, radial and traceless functions, from the Gram matrices."""
    product, squares = X @ X.T, (X**2).sum(1)
    radial = epsilon**2 * np.outer(squares, squares) / X.shape[1]
    quadratic = epsilon**2 * product**2
    gram = product + quadratic
    parts = {"linear": product, "radial": radial, "traceless": quadratic - radial}
    return {k: np.trace(np.linalg.solve(gram, part)) for k, part in parts.items()}, gram


@given(
    d=st.integers(2, 6),
    part=st.floats(0.1, 0.8),
    epsilon=st.sampled_from([-2.0, -0.5, 0.25, 1.0, 4.0]),
    seed=st.integers(0, 10**6),
)
def test_the_learned_shares_add_up_to_the_number_of_samples(d, part, epsilon, seed):
    count = max(1, int(part * exact_size(d)))
    X = np.random.default_rng(seed).normal(size=(count, d)) / np.sqrt(d)
    shares, gram = learned(X, epsilon)
    allowed = rounding(10 * count**2) * np.linalg.cond(gram) * count
    sizes = {"linear": d, "radial": 1, "traceless": (d - 1) * (d + 2) / 2}
    assert abs(sum(shares.values()) - count) <= allowed
    for name, share in shares.items():
        assert -allowed <= share <= sizes[name] + allowed
    bound = float(
        SIZE.evaluate_terms(D=d, P=count, epsilon=1, sigma=1, ridge=1)["traceless_at_most"]
    )
    assert shares["traceless"] / sizes["traceless"] <= bound + allowed


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
