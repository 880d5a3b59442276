"""What is recorded is what it says: losses, the population loss by terms, alignments."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.simulate import metrics
from lazyrich.simulate.activations import Curved
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.metrics import (
    alignment,
    centred_alignment,
    neuron_alignments,
    ntk_alignments,
    population_terms,
)
from lazyrich.simulate.network import ntk_normalised
from lazyrich.simulate.neurons import network
from lazyrich.simulate.two_layer import TwoLayer

SEEDS = st.integers(0, 2**32 - 1)
SIGNED = st.one_of(st.just(0.0), st.floats(-2, -1e-2), st.floats(1e-2, 2))


def cubature(D):
    """Points and weights exact for polynomials of degree 5 under N(0, I) (Stroud 1971)."""
    eye = np.eye(D)
    points, weights = [np.zeros(D)], [2 / (D + 2)]
    for i, sign in itertools.product(range(D), (1, -1)):
        points.append(sign * math.sqrt(D + 2) * eye[i])
        weights.append((4 - D) / (2 * (D + 2) ** 2))
    for (i, j), s, t in itertools.product(itertools.combinations(range(D), 2), (1, -1), (1, -1)):
        points.append(math.sqrt((D + 2) / 2) * (s * eye[i] + t * eye[j]))
        weights.append(1 / (D + 2) ** 2)
    return torch.tensor(np.array(points)), torch.tensor(weights, dtype=torch.float64)


def population_loss(task, W, W0, covariance, *, alpha, epsilon):
    """The loss by cubature of the definition of the network; W0 of the centred predictor."""
    points, weights = cubature(task.D)
    X = points @ torch.linalg.cholesky(covariance).T
    f = network(X, W, alpha=alpha, epsilon=epsilon)
    if W0 is not None:
        f = f - network(X, W0, alpha=alpha, epsilon=epsilon)
    squares = (f - (X @ task.beta) ** 2 / 2) ** 2
    return float((weights * squares).sum()), float((weights.abs() * squares).sum())


@given(
    D=st.integers(1, 5),
    N=st.integers(1, 5),
    seed=SEEDS,
    alpha=SIGNED.filter(bool),
    epsilon=SIGNED,
    centred=st.booleans(),
    mixed=st.booleans(),
)
def test_the_recorded_population_loss_is_the_loss_on_an_exact_cubature(
    D, N, seed, alpha, epsilon, centred, mixed
):
    covariance = torch.eye(D, dtype=torch.float64) / D
    if mixed:
        root = standard_normal(seed, "test inputs", (D, D)) + 3 * torch.eye(D)
        covariance = root @ root.T / (9 * D)
    task = simulate.PolynomialTask(D, 3, 4, seed, covariance if mixed else None)
    run = simulate.train(
        task,
        alpha=alpha,
        epsilon=epsilon,
        width=N,
        engine="neurons",
        steps=3,
        learning_rate=1e-3,
        centred=centred,
        seed=seed,
        record=[3],
    )
    start = standard_normal(seed, "weights", (N, D)) if centred else None
    numbers = {"alpha": alpha, "epsilon": epsilon}
    expected, size = population_loss(task, run.state, start, covariance, **numbers)
    assert float(run.history.population_loss[-1]) == pytest.approx(expected, abs=1e-11 * (1 + size))
    terms = sum(float(run.history[name][-1]) for name in ("variance", "misalignment", "linear"))
    assert terms == pytest.approx(float(run.history.population_loss[-1]), rel=1e-14)
    if centred:  # the uncentred moments give another loss: a check that can fail
        wrong = sum(
            population_terms(
                task, run.state.mean(0), run.state.T @ run.state / N, **numbers
            ).values()
        )
        assert float(wrong) != pytest.approx(expected, rel=1e-9)


@given(
    n=st.integers(2, 12),
    D=st.integers(1, 4),
    seed=SEEDS,
    epsilon=SIGNED,
    block=st.integers(1, 13),
)
def test_blockwise_alignments_are_those_of_the_whole_kernel(n, D, seed, epsilon, block):
    X, W = standard_normal(seed, "test inputs", (n, D)), standard_normal(seed, "weights", (3, D))
    y, wbar, M = (X @ torch.ones(D).double()) ** 2, W.mean(0), W.T @ W / 3
    found = ntk_alignments(X, y, wbar, M, epsilon=epsilon, block=block)
    K = ntk_normalised(X, X, wbar, M, epsilon=epsilon)
    centre = torch.eye(n).double() - 1 / n
    condition = float(
        (torch.linalg.matrix_norm(K) / torch.linalg.matrix_norm(centre @ K @ centre)) ** 2
    )
    spread = float(y.square().sum() / (y - y.mean()).square().sum())
    rounding = 100 * n * 2.0**-52
    assert found["alignment"] == pytest.approx(float(alignment(K, y)), abs=rounding)
    assert found["centred_alignment"] == pytest.approx(
        float(centred_alignment(K, y)), abs=rounding * condition * spread
    )
    definition = alignment(centre @ K @ centre, centre @ y)
    assert float(centred_alignment(K, y)) == pytest.approx(
        float(definition), abs=rounding * condition * spread
    )


def test_alignments_of_many_kernels_are_those_of_each():
    K, y = standard_normal(0, "weights", (3, 4, 4)), standard_normal(0, "beta", (3, 4))
    for measure in (alignment, centred_alignment):
        each = torch.stack([measure(*one) for one in zip(K, y, strict=True)])
        assert torch.allclose(measure(K, y), each, rtol=1e-12, atol=0)  # sums of 16 products


@given(n=st.integers(1, 6), seed=SEEDS, size=st.floats(-5, 5))
def test_alignment_is_1_for_the_kernel_of_the_labels_and_blind_to_scale(n, seed, size):
    y = standard_normal(seed, "beta", (n,))
    K = standard_normal(seed, "weights", (n, n))
    K = K @ K.T
    assert float(alignment(10.0**size * torch.outer(y, y), y)) == pytest.approx(1, rel=1e-13 * n)
    assert float(alignment(10.0**size * K, y)) == pytest.approx(float(alignment(K, y)), rel=1e-12)
    assert 0 <= float(alignment(K, y)) <= 1 + 1e-13


def test_alignments_are_nan_where_they_are_zero_by_zero():
    one = torch.ones(1, 1).double()
    both = ntk_alignments(one, one[0], one[0], one, epsilon=0.5)
    assert both["alignment"] == pytest.approx(1)
    assert math.isnan(both["centred_alignment"])


@pytest.mark.parametrize("zero", ["kernel", "labels"])
def test_alignments_are_nan_where_the_kernel_or_the_labels_alone_are_zero(zero):
    X, y = torch.eye(2).double(), torch.tensor([1.0, 2.0]).double()
    X, y = (0 * X, y) if zero == "kernel" else (X, 0 * y)
    found = ntk_alignments(X, y, torch.ones(2).double(), torch.eye(2).double(), epsilon=0.5)
    assert all(math.isnan(value) for value in found.values())


@example(D=1, N=1, seed=203262, alpha=0.01)  # the terms of phi'(h) almost cancel
@given(D=st.integers(1, 4), N=st.integers(1, 5), seed=SEEDS, alpha=SIGNED.filter(bool))
def test_the_linearised_population_loss_is_the_loss_of_the_tangent_on_a_cubature(D, N, seed, alpha):
    task = simulate.PolynomialTask(D, 3, 4, seed)
    options = {"alpha": alpha, "epsilon": 0.7, "width": N, "seed": seed, "centred": True}
    run = simulate.train(
        task, engine="linearised", steps=3, learning_rate=1e-2, record=[3], **options
    )
    W0 = standard_normal(seed, "weights", (N, D))
    numbers = {"alpha": alpha, "epsilon": 0.7}
    tangent, rate = W0.clone(), 1e-2 * N / alpha**2

    def f(X, W):  # the tangent of the network at W0, centred: linear in W
        return torch.func.jvp(lambda w: network(X, w, **numbers), (W0,), (W - W0,))[1]

    for _ in range(3):
        loss = lambda w: (f(task.X, w) - task.y).square().mean()  # noqa: E731
        tangent = tangent - rate * torch.func.grad(loss)(tangent)
    points, weights = cubature(D)
    X = points / math.sqrt(D)
    squares = (f(X, tangent) - (X @ task.beta) ** 2 / 2) ** 2
    expected, size = float((weights * squares).sum()), float((weights.abs() * squares).sum())
    assert float(run.history.population_loss[-1]) == pytest.approx(expected, abs=1e-11 * (1 + size))
    assert float(run.history.misalignment[-1]) >= 0  # a mean of squares


@pytest.mark.parametrize("which", ["train", "test"])
def test_the_alignments_recorded_are_on_the_set_asked_for(which):
    task = simulate.PolynomialTask(3, 6, n_test=9, seed=0)
    run = simulate.train(
        task, alpha=1.0, epsilon=0.5, width=4, engine="neurons", steps=5, alignment=which
    )
    X, y = (task.X, task.y) if which == "train" else (task.X_test, task.y_test)
    W = run.state
    K = ntk_normalised(X, X, W.mean(0), W.T @ W / 4, epsilon=0.5)
    assert float(run.history.alignment[-1]) == pytest.approx(float(alignment(K, y)), rel=1e-12)
    assert f"{which} set" in run.history.centred_alignment.attrs["description"]
    centred = float(centred_alignment(K, y))
    assert float(run.history.centred_alignment[-1]) == pytest.approx(centred, rel=1e-10)


@pytest.mark.parametrize("centred", [False, True])
def test_recorded_losses_and_norms_are_those_of_the_definition(centred):
    task = simulate.PolynomialTask(3, 6, n_test=9, seed=0)
    numbers = {"alpha": 1.5, "epsilon": 0.5}
    run = simulate.train(
        task, width=4, engine="neurons", steps=7, centred=centred, record=[0, 7], **numbers
    )
    W0, W = standard_normal(0, "weights", (4, 3)), run.state
    first = {"train": network(task.X, W0, **numbers), "test": network(task.X_test, W0, **numbers)}
    for name, X, y in (("train", task.X, task.y), ("test", task.X_test, task.y_test)):
        start = first[name] if centred else 0.0
        for index, weights in ((0, W0), (1, W)):
            loss = float((network(X, weights, **numbers) - start - y).square().mean())
            recorded = float(run.history[f"{name}_loss"][index])
            assert recorded == pytest.approx(loss, rel=1e-12)
    norm = torch.linalg.matrix_norm
    assert run.history.weight_norm.values == pytest.approx(
        [float(norm(W0)) / 2, float(norm(W)) / 2], rel=1e-13
    )
    change = float(norm(W - W0) / norm(W0))
    assert run.history.parameter_change.values == pytest.approx([0, change], rel=1e-12)


def test_kernel_regression_is_where_the_linearised_engine_ends():
    task = simulate.PolynomialTask(3, 6, n_test=9, seed=0)
    for centred in (False, True):
        options = {"alpha": 1.0, "epsilon": 0.8, "width": 9, "centred": centred, "steps": 10**9}
        history = simulate.train(task, engine="linearised", **options).history
        for name in ("test_loss", "population_loss"):
            end, floor = history[name][-1], history[f"kernel_regression_{name}"]
            assert float(end) == pytest.approx(float(floor), rel=1e-6)


def test_a_task_without_a_test_set_records_nan_there():
    task = simulate.PolynomialTask.from_arrays([[1.0, 0.0], [0.5, 2.0]], [1.0, 1.0])
    history = simulate.train(task, alpha=1.0, epsilon=0.5, width=3, steps=2).history
    assert np.isnan(history.test_loss).all()
    assert np.isnan(history.alignment).all()
    assert np.isfinite(history.train_loss).all()


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("way", ["whole", "features", "blocks"])
def test_alignments_of_neurons_are_the_same_in_little_memory(trained, way, monkeypatch):
    """Law: the kernel may be held whole, as features or in blocks of rows."""
    n, N = 40, 2 if way == "features" else 30
    monkeypatch.setattr(metrics, "WHOLE", n if way == "whole" else n - 1)
    monkeypatch.setattr(metrics, "FEATURES", 100)
    W, X, y = (standard_normal(1, name, size) for name, size in
               (("weights", (N, 3)), ("readouts", (n, 3)), ("beta", (n,))))  # fmt: skip
    some = TwoLayer(W, standard_normal(1, "readouts", (N,)) if trained else None, 2.0, Curved(0.3))
    K, found = some.ntk_normalised(X, X), neuron_alignments(some, X, y, block=7)
    assert float(found["alignment"]) == pytest.approx(float(alignment(K, y)), rel=1e-12)
    expected = float(centred_alignment(K, y))
    assert float(found["centred_alignment"]) == pytest.approx(expected, rel=1e-11)


def test_what_neurons_need_on_many_test_samples_is_checked_before_any_work(monkeypatch):
    monkeypatch.setattr("lazyrich.support.arguments.memory", lambda: 2.0**20)
    task = simulate.PolynomialTask(3, 5, 10_000)
    with pytest.raises(ValueError, match="n_test = 10000, width = 9: the neurons' outputs"):
        simulate.train(task, width=9, activation="h + h^3", engine="neurons", steps=1)
