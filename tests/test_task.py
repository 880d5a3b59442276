"""Laws of ``PolynomialTask``: the target, independent streams, covariances, and bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.simulate import PolynomialTask, train
from lazyrich.simulate.arrays import STREAMS, standard_normal

SIZES = st.integers(1, 8)
SEEDS = st.integers(0, 2**32 - 1)


@given(D=SIZES, P=SIZES, n_test=SIZES, seed=SEEDS)
def test_labels_are_half_the_squared_projection_on_a_beta_of_square_D(D, P, n_test, seed):
    task = PolynomialTask(D, P, n_test, seed)
    for X, y in ((task.X, task.y), (task.X_test, task.y_test)):
        definition = torch.tensor([sum(row * task.beta) ** 2 / 2 for row in X])
        # D products and sums round by at most a few units each.
        assert torch.allclose(y, definition, rtol=8 * D * 2.0**-52, atol=1e-15 * D)
    assert float(task.beta @ task.beta) == pytest.approx(D, rel=4 * D * 2.0**-52)
    assert (task.X.shape, task.X_test.shape) == ((P, D), (n_test, D))


@given(D=SIZES, few=SIZES, more=SIZES, seed=SEEDS)
def test_training_sets_of_one_seed_are_nested(D, few, more, seed):
    small, large = PolynomialTask(D, few, seed=seed), PolynomialTask(D, few + more, seed=seed)
    assert torch.equal(small.X, large.X[:few])
    assert torch.equal(small.beta, large.beta)
    assert torch.equal(small.X_test, large.X_test)


@given(seed=SEEDS)
def test_no_two_random_objects_of_one_seed_share_a_number(seed):
    drawn = torch.cat([standard_normal(seed, stream, (50,)) for stream in STREAMS])
    assert drawn.unique().numel() == drawn.numel()


@given(seed=SEEDS)
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(seed):
    once, again, other = (PolynomialTask(4, 6, 3, s) for s in (seed, seed, seed + 1))
    assert once.describe() == again.describe()
    assert once.describe()["sha256"] != other.describe()["sha256"]
    assert not torch.isin(other.X, once.X).any()


@given(D=st.integers(1, 5), seed=SEEDS)
def test_inputs_with_a_covariance_are_the_isotropic_ones_in_other_coordinates(D, seed):
    root = np.random.default_rng(seed).standard_normal((D, D)) + 3 * D * np.eye(D)
    covariance = root @ root.T
    plain, mixed = PolynomialTask(D, 4, 3, seed), PolynomialTask(D, 4, 3, seed, covariance)
    assert mixed.mixing is not None
    # Cholesky factors and products of matrices with condition number below 100.
    assert torch.allclose(mixed.mixing @ mixed.mixing.T / D, torch.tensor(covariance), rtol=1e-12)
    assert torch.allclose(mixed.X, plain.X @ mixed.mixing.T, rtol=1e-12, atol=1e-12 * 3 * D)
    beta, wbar, M = mixed.isotropic(mixed.beta, torch.outer(mixed.beta, mixed.beta))
    assert torch.allclose(plain.X @ beta, mixed.X @ mixed.beta, rtol=1e-10, atol=1e-10)
    assert torch.allclose(beta, wbar)
    assert torch.allclose(torch.outer(beta, beta), M)


def test_sample_moments_of_the_inputs_are_those_of_the_population():
    D, P = 3, 40_000
    X = PolynomialTask(D, P, seed=7).X
    # Each entry of the mean is N(0, 1/(D P)); each of the covariance has standard deviation at
    # most sqrt(2/P)/D. 12 numbers within 5 of them: false alarm below 1e-5.
    assert X.mean(0).abs().max() < 5 / math.sqrt(D * P)
    assert (X.T @ X / P - torch.eye(D) / D).abs().max() < 5 * math.sqrt(2 / P) / D


def test_arrays_are_copied_and_may_be_lists_numpy_or_torch():
    X = np.array([[1.0, 2.0], [3.0, 4.0]])
    task = PolynomialTask.from_arrays(X, beta=[1, 1], X_test=torch.tensor([[1.0, 0.0]]))
    X[:] = 0
    assert task.y.tolist() == [4.5, 24.5]
    assert task.y_test.tolist() == [0.5]
    assert (task.D, task.P, task.seed) == (2, 2, None)


GOOD = {"D": 3, "P": 4}
EYE = np.eye(3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"D": 0}, "D = 0: must be a positive integer"),
        ({"D": 2.0}, "D = 2.0: must be a positive integer"),
        ({"P": -1}, "P = -1: must be a positive integer"),
        ({"P": True}, "P = True: must be a positive integer"),
        ({"P": "3"}, "P = '3': must be a positive integer"),
        ({"n_test": 0}, "n_test = 0: must be a positive integer"),
        ({"seed": -1}, "seed = -1: must be an integer of at least 0"),
        ({"seed": None}, "seed = None: must be an integer of at least 0"),
        ({"inputs": "Sigma"}, "inputs = 'Sigma': must be I/D, or a matrix"),
        ({"indices": 10**6}, "indices = 1000000: must be at most 10000"),
        ({"inputs": -EYE}, "inputs has smallest eigenvalue -1: must be positive definite"),
        ({"inputs": np.diag([1, 1, 0])}, "smallest eigenvalue 0: must be positive definite"),
        ({"inputs": EYE + np.eye(3, k=1)}, "differs from its transpose by up to 1"),
        ({"inputs": np.eye(2)}, r"inputs has shape \(2, 2\): must be \(D, D\) = \(3, 3\)"),
    ],
)
def test_bad_arguments_are_refused_by_name_value_and_what_is_allowed(given, message):
    with pytest.raises(ValueError, match=message):
        PolynomialTask(**{**GOOD, **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X": [1.0, 2.0]}, r"X has shape \(2,\): must be \(P, D\)"),
        ({"X": np.empty((0, 2))}, r"X has shape \(0, 2\)"),
        ({"X": [[1.0, math.nan]]}, "X has 1 NaN or infinite entries: must be finite"),
        ({"X": "abc"}, "X is str: must be an array of real numbers"),
        (
            {"X": [[1.0], [1.0, 2.0]]},
            r"X = \[\[1.0\], \[1.0, 2.0\]\]: must be an array of real numbers",
        ),
        ({"X": [[1j, 0]]}, "X is list: must be an array of real numbers"),
        ({"X": None}, "X is NoneType: must be an array of real numbers"),
        ({"beta": [1.0]}, r"beta has shape \(1,\): must be \(D,\) = \(2,\)"),
        ({"beta": [1.0, math.inf]}, "beta has 1 NaN or infinite entries"),
        ({"X_test": [[1.0]]}, r"X_test has shape \(1, 1\): must be \(n_test, D\) with D = 2"),
    ],
)
def test_bad_arrays_are_refused(given, message):
    arrays = {"X": [[1.0, 2.0]], "beta": [1.0, 1.0], **given}
    with pytest.raises(ValueError, match=message):
        PolynomialTask.from_arrays(**arrays)


def test_the_highest_degree_has_a_population_loss_and_the_next_is_refused():
    task = PolynomialTask(4, 5, n_test=1, seed=0, target_degree=98)
    options = {"alpha": 1.0, "epsilon": 0.0, "width": 3, "steps": 1, "record": [0]}
    options["engine"] = "moments"
    run = train(task, centred=True, learning_rate=1e-300, **options)
    # Of the network that predicts nothing: <He_k^2> = k!, as |beta|^2 = D.
    assert float(run.history.population_loss[0]) == pytest.approx(math.factorial(98), rel=1e-10)
    with pytest.raises(ValueError, match="target_degree = 99: must be at most 98"):
        PolynomialTask(4, 5, target_degree=99)


def test_a_steep_linear_part_leaves_the_population_loss_of_a_high_degree_a_number():
    """Its overlaps to the 20th power are no numbers, and count for nothing."""
    task = PolynomialTask(5, 30, n_test=9, seed=0, target_degree=20)
    history = train(task, engine="linearised", width=8, steps=100).history
    terms = sum(history[name] for name in history if str(name).startswith("degree_"))
    assert np.isfinite(history.population_loss).all()
    np.testing.assert_allclose(terms, history.population_loss, rtol=1e-12)
