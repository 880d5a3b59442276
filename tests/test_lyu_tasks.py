"""Data of the dichotomy: the laws they are drawn from, independent streams, what is refused."""

import numpy as np
import pytest
import torch

from lazyrich import simulate
from lazyrich.simulate.lyu import linear_task
from lazyrich.simulate.lyu.completion_task import freedom

MAKERS = {
    "sparse": simulate.sparse_classification,
    "margin": simulate.large_margin_classification,
    "regression": simulate.sparse_regression,
}


def whole_test(task):
    X, y = zip(*task.test_chunks(), strict=True)
    return torch.cat(X), torch.cat(y)


@pytest.mark.parametrize("name", MAKERS)
def test_seeds_give_the_same_nested_data_in_independent_streams(name, monkeypatch):
    make = MAKERS[name]
    one = make(d=37, n=11, n_test=23, seed=5)
    again, fewer = make(d=37, n=11, n_test=23, seed=5), make(d=37, n=4, n_test=7, seed=5)
    assert torch.equal(one.X, again.X)
    assert torch.equal(one.X[:4], fewer.X)
    X, y = whole_test(one)
    assert torch.equal(X[:7], whole_test(fewer)[0])
    assert X.shape == (23, 37)
    assert not bool((X[:11] == one.X).all(1).any())
    assert not torch.equal(one.X, make(d=37, n=11, n_test=23, seed=6).X)
    monkeypatch.setattr(linear_task, "CHUNK", 100)  # two rows at a time
    assert len(list(one.test_chunks())) == 12
    assert all(torch.equal(a, b) for a, b in zip(whole_test(one), (X, y), strict=True))
    assert one.describe() == again.describe() != fewer.describe()


def test_sparse_inputs_are_fair_signs_and_labels_a_majority():
    task = simulate.sparse_classification(d=50, n=400, k=5, n_test=1, seed=0)
    assert set(task.X.unique().tolist()) == {-1.0, 1.0}
    # 20,000 fair signs: the mean is beyond 5 standard errors once in 10^6 suites.
    assert abs(float(task.X.mean())) < 5 / 20_000**0.5
    majority = (task.X[:, :5] > 0).sum(1) > 2
    assert torch.equal(majority, task.y > 0)


def test_large_margin_inputs_have_the_margin_and_otherwise_unit_variance():
    task = simulate.large_margin_classification(d=300, n=60, gamma=25.0, n_test=1, seed=0)
    w = task.w_star
    along = task.y * (task.X @ w)
    assert float(along.min()) >= 12.5
    rest = task.X - torch.outer(task.X @ w, w)
    # chi-square of 60 * 299 degrees, relative deviation sqrt(2/dof).
    assert abs(float(rest.square().sum()) / (60 * 299) - 1) < 5 * (2 / (60 * 299)) ** 0.5


@pytest.mark.parametrize("n", [3, 40])
def test_separability_is_decided_with_more_and_with_fewer_samples_than_dimensions(n):
    rng = np.random.default_rng(n)
    X, w = rng.standard_normal((n, 4)), rng.standard_normal(4)
    y = np.sign(X @ w)
    assert simulate.LinearTask.from_arrays("classification", X, y).n == n
    if n > 4:
        with pytest.raises(ValueError, match="not linearly separable"):
            simulate.LinearTask.from_arrays("classification", X, y * np.sign(X[:, 0] - 0.2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("regression", [[1, 2], [2, 4]], [1, 2]), "X has rank 1 for 2 samples: rows must be"),
        (("classification", [[1.0]], [2.0]), "y has an entry 2: labels must be 1 or -1"),
        (("clustering", [[1.0]], [1.0]), "kind = 'clustering': "),
        (("regression", [[1.0]], [1.0, 2.0]), "y has shape (2,): must be (1,), one label a row"),
        (("regression", [[1.0]], [1.0], [[1, 2]], [1]), "X_test has shape (1, 2)"),
        (("regression", [[1.0]], [1.0], [[1]]), "y_test is NoneType"),
    ],
)
def test_bad_arrays_are_one_line(arguments, message):
    with pytest.raises(ValueError) as error:
        simulate.LinearTask.from_arrays(*arguments)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        ("sparse", {"k": 2}, "k = 2: must be odd and at most d = 9"),
        ("sparse", {"d": 0}, "d = 0: must be a positive integer"),
        ("regression", {"n": 10}, "n = 10: must be at most d = 9"),
        ("regression", {"k": 10}, "k = 10: must be at most d = 9"),
        ("margin", {"gamma": 0.0}, "gamma = 0.0: must be a finite number above 0"),
        ("margin", {"seed": -1}, "seed = -1: must be an integer of at least 0"),
    ],
)
def test_bad_sizes_are_one_line(make, arguments, message):
    with pytest.raises(ValueError) as error:
        MAKERS[make](**{"d": 9, "n": 4, **arguments})
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("share", [0.2, 0.4, 1.0])
def test_freedom_counts_the_directions_that_keep_rank_and_entries(rank, share):
    """By hand: null space of the observed entries in tangents made by finite differences."""
    rng = np.random.default_rng(7)
    d, signs = 6, np.array([1.0, -1.0])[:rank]
    V = rng.standard_normal((d, rank))
    observed = rng.random((d, d)) < share
    observed |= observed.T
    tangents = []
    for k in range(d * rank):
        H = np.zeros(d * rank)
        H[k] = 1e-6
        moved = [(V + s * H.reshape(d, rank)) for s in (1, -1)]
        tangents.append(((moved[0] * signs) @ moved[0].T - (moved[1] * signs) @ moved[1].T) / 2e-6)
    flat = np.array(tangents).reshape(d * rank, -1)
    whole = np.linalg.matrix_rank(flat, tol=1e-6)
    seen = np.linalg.matrix_rank(flat[:, observed.ravel()], tol=1e-6)
    assert freedom((V * signs) @ V.T, observed) == whole - seen


def test_a_bipartite_observed_set_leaves_a_rank_one_matrix_undetermined():
    """x_i x_j known between two groups only: (t x, x'/t) fits for every t."""
    observed = np.zeros((6, 6), dtype=bool)
    observed[:3, 3:] = True
    with pytest.raises(ValueError, match="observed: 1 ways to change X, keeping its rank"):
        simulate.CompletionTask.from_arrays(np.ones((6, 6)), observed)
    observed[0, 0] = True
    assert simulate.CompletionTask.from_arrays(np.ones((6, 6)), observed).n == 10


def test_unknown_entries_are_nan_and_one_known_side_is_enough():
    X = np.full((2, 2), np.nan)
    X[0, 0], X[1, 0] = 1.0, 3.0
    task = simulate.CompletionTask.from_arrays(X, ~np.isnan(X))
    assert task.y.tolist() == [1.0, 3.0]
    assert np.isnan(task.test_loss(torch.zeros(2, 2, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("X", "observed", "message"),
    [
        ([[1.0, 2.0], [3.0, 1.0]], np.eye(2, dtype=bool), "X differs from its transpose"),
        (np.ones((2, 2)), np.eye(2), "observed has shape (2, 2), float64"),
        (np.ones((3, 3)), np.eye(2, dtype=bool), "X has shape (3, 3): must be (2, 2)"),
        (np.full((1, 1), np.nan), np.eye(1, dtype=bool), "X is NaN at an observed entry"),
    ],
)
def test_bad_matrices_are_one_line(X, observed, message):
    with pytest.raises(ValueError) as error:
        simulate.CompletionTask.from_arrays(X, observed)
    assert str(error.value).startswith(message)
