"""The linearised engine is gradient descent of the first-order expansion, and the lazy limit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.func import jacrev

from lazyrich import simulate
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.network import ntk_normalised, predictions
from lazyrich.simulate.neurons import network
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.stability import stable_learning_rate

SIZES = st.integers(1, 6)
SEEDS = st.integers(0, 2**32 - 1)
EPSILONS = st.one_of(st.just(0.0), st.floats(-2, -1e-2), st.floats(1e-2, 2))
ALPHAS = st.floats(-3, 3).map(lambda power: 10.0**power)
UNIT = 2.0**-52


def lazy(task, start, **options):
    return LinearisedDescent(start, task.X, task.y, **options)


@given(
    D=SIZES,
    P=SIZES,
    N=SIZES,
    seed=SEEDS,
    alpha=ALPHAS,
    epsilon=EPSILONS,
    centred=st.booleans(),
    steps=st.integers(0, 50),
    fraction=st.floats(0.01, 0.99),
)
def test_every_step_is_that_of_descent_on_the_tangent_plane_by_autograd(
    D, P, N, seed, alpha, epsilon, centred, steps, fraction
):
    task = simulate.PolynomialTask(D, P, n_test=4, seed=seed)
    W = standard_normal(seed, "weights", (N, D))
    start = PseudoNeurons.from_weights(W)
    rate = stable_learning_rate(task.X, start.wbar, start.M, alpha=alpha, epsilon=epsilon)
    assume(math.isfinite(rate))
    rate *= fraction
    numbers = {"alpha": alpha, "epsilon": epsilon}

    def tangent(X):
        return jacrev(lambda w: network(X, w, **numbers))(W).flatten(1)

    first, slope, slope_test = network(task.X, W, **numbers), tangent(task.X), tangent(task.X_test)
    offset = 0.0 if centred else 1.0
    change = torch.zeros(N * D, dtype=torch.float64)
    for _ in range(steps):
        residual = offset * first + slope @ change - task.y
        change = change - rate * N / alpha**2 * (2 / P) * slope.T @ residual

    found = lazy(task, start, learning_rate=rate, centred=centred, **numbers)
    wbar, M = found.moments(steps)
    largest = task.y.abs().max() + first.abs().max()
    for X, J in ((task.X, slope), (task.X_test, slope_test)):
        f = predictions(X, wbar - start.wbar, M - start.M, **numbers)
        # A stable descent: each of the steps and the decomposition round once by the size of
        # what they hold, summed over N D weights; M - M0 loses the rest of what M holds.
        held = float(largest + J.abs().sum(1).max() * change.abs().max())
        held += float(predictions(X.abs(), start.wbar.abs(), start.M.abs(), **numbers).abs().max())
        allowed = 20 * (steps + 10) * (N * D + P) * UNIT * held
        assert float((f - J @ change).abs().max()) <= allowed
        if X is task.X:
            left = (offset * first + J @ change - task.y).norm() / P**0.5
            assert abs(math.sqrt(found.loss(steps)) - float(left)) <= allowed
    moved = float(found.change(steps).square())
    assert moved == pytest.approx(float(change.square().sum()) / N, rel=1e-6, abs=1e-20)


@given(D=st.integers(2, 6), N=SIZES, seed=SEEDS, epsilon=EPSILONS, centred=st.booleans())
def test_infinitely_many_steps_are_kernel_regression(D, N, seed, epsilon, centred):
    task = simulate.PolynomialTask(D, P=D - 1, n_test=4, seed=seed)
    start = PseudoNeurons.from_weights(standard_normal(seed, "weights", (N, D)))
    K = ntk_normalised(task.X, task.X, start.wbar, start.M, epsilon=epsilon)
    k = ntk_normalised(task.X_test, task.X, start.wbar, start.M, epsilon=epsilon)
    # An entry of K rounds by the size of its terms, which cancel near 1 + epsilon h = 0.
    sizes = [abs(part) for part in (task.X, task.X, start.wbar, start.M)]
    terms = torch.linalg.matrix_norm(ntk_normalised(*sizes, epsilon=abs(epsilon)), 2)
    condition = float(terms / torch.linalg.eigvalsh(K)[0])
    assume(0 < condition < 1e6)
    numbers = {"alpha": 1.5, "epsilon": epsilon}
    first = 0.0 if centred else predictions(task.X, start.wbar, start.M, **numbers)
    found = lazy(task, start, learning_rate=0.1, centred=centred, **numbers)
    wbar, M = found.moments(math.inf)
    f = predictions(task.X_test, wbar - start.wbar, M - start.M, **numbers)
    weights = torch.linalg.solve(K, task.y - first)
    size = float((k.abs() @ weights.abs()).max()) + float(start.square()) * abs(epsilon) * D * 10
    assert float((f - k @ weights).abs().max()) <= 100 * D * UNIT * condition * (size + 10)


def test_at_the_inverse_of_its_eigenvalue_one_step_learns_all():
    X, y = torch.ones(1, 1).double(), torch.tensor([3.0]).double()
    start = PseudoNeurons.from_weights(torch.ones(1, 1).double())
    options = {"alpha": 1.0, "epsilon": 0.0, "learning_rate": 0.5, "centred": True}
    found = LinearisedDescent(start, X, y, **options)
    assert [found.loss(step) for step in (0, 1, 2)] == [9, 0, 0]
    assert [float(found.moved(step).wbar) for step in (0, 1, 2, math.inf)] == [0, 3, 3, 3]


def test_more_samples_than_functions_leave_the_rest_of_the_labels_unlearnt():
    """K has rank D + D (D + 1)/2 at most: beyond, null eigenvectors stay at every time."""
    task = simulate.PolynomialTask(3, P=40, seed=0)
    X, y = task.X, standard_normal(5, "beta", (40,))  # labels that no network has
    start = PseudoNeurons.isotropic(3, 1.0)
    options = {"alpha": 1.0, "epsilon": 0.5, "learning_rate": 0.5, "centred": True}
    found = LinearisedDescent(start, X, y, **options)
    functions = torch.cat(
        [X, torch.stack([X[:, i] * X[:, j] for i in range(3) for j in range(i + 1)], 1)], 1
    )
    least_squares = functions @ torch.linalg.lstsq(functions, y[:, None], driver="gelsd").solution
    for step in (1e9, 1e12, math.inf):
        wbar, M = found.moments(step)
        f = predictions(X, wbar - start.wbar, M - start.M, alpha=1.0, epsilon=0.5)
        assert torch.allclose(f, least_squares[:, 0], rtol=0, atol=1e-9)


def lazy_gap(alpha, options, task):
    """The largest difference of test predictions between the network and its linearisation."""
    start = simulate.train(task, engine="moments", alpha=alpha, **options | {"steps": 1}).config
    assert start["centred"]
    ends = [
        simulate.train(task, engine=engine, alpha=alpha, **options).state
        for engine in ("moments", "linearised")
    ]
    f = [predictions(task.X_test, *end, alpha=alpha, epsilon=0.5) for end in ends]
    return float((f[0] - f[1]).abs().max())


@pytest.mark.parametrize("width", [4, 50, math.inf])
def test_the_gap_to_the_network_falls_as_one_over_alpha(width):
    task = simulate.PolynomialTask(4, 12, n_test=50, seed=3)
    options = {"epsilon": 0.5, "width": width, "steps": 300, "learning_rate": 0.5, "centred": True}
    alphas = np.logspace(2, 4, 5)
    gaps = [lazy_gap(alpha, options, task) for alpha in alphas]
    slope = np.polyfit(np.log(alphas), np.log(gaps), 1)[0]
    # Corrections of the next order are 1/alpha relative: 1% at alpha = 100, less beyond.
    assert slope == pytest.approx(-1, abs=0.02)


def test_without_centring_large_alpha_is_not_lazy():
    """The negative control of the slope: f(w0), to be unlearnt, grows with alpha."""
    task = simulate.PolynomialTask(4, 12, n_test=50, seed=3)
    options = {"epsilon": 0.5, "width": 50, "steps": 300, "learning_rate": 0.05, "record": [300]}
    options["centred"] = False
    gaps = []
    for alpha in (100.0, 10_000.0):
        ends = [
            simulate.train(task, engine=engine, alpha=alpha, **options).state
            for engine in ("moments", "linearised")
        ]
        f = [predictions(task.X_test, *end, alpha=alpha, epsilon=0.5) for end in ends]
        gaps.append(float((f[0] - f[1]).abs().max()))
    assert gaps[1] > 50 * gaps[0]


def test_moments_of_no_neurons_whose_kernel_has_a_negative_eigenvalue_are_refused():
    task = simulate.PolynomialTask(2, 6, n_test=3, seed=0)
    init = (np.zeros(2), -4 * np.eye(2))
    options = {"alpha": 1.0, "epsilon": 2.0, "steps": 5, "init": init, "learning_rate": 0.1}
    options["centred"] = False
    start = (torch.zeros(2).double(), -4 * torch.eye(2).double())
    values = torch.linalg.eigvalsh(ntk_normalised(task.X, task.X, *start, epsilon=2.0))
    least = f"{float(values.min() / values.abs().max()):.3g} times the largest"
    with pytest.raises(
        ValueError, match=f"init gives a train kernel with an eigenvalue of {least}"
    ):
        simulate.train(task, engine="linearised", **options)
    history = simulate.train(task, engine="moments", **options | {"steps": 1}).history
    assert math.isnan(float(history.kernel_regression_test_loss))
    with pytest.raises(simulate.DivergenceError, match="no rate is stable at step 0"):
        simulate.train(task, engine="moments", **options | {"steps": 500})


@pytest.mark.parametrize("over", [1.02, 3.0, 1e4, 1e12])
def test_the_step_of_divergence_does_not_depend_on_what_is_recorded(over):
    task = simulate.PolynomialTask(4, 6, n_test=3, seed=0)
    options = {"alpha": 1.0, "epsilon": 0.3, "width": 5, "steps": 2000, "engine": "linearised"}
    with pytest.raises(simulate.DivergenceError) as found:
        simulate.train(task, learning_rate=1e6, **options)
    rate = over * found.value.stable_learning_rate
    steps = set()
    for record in ([2000], [0, 2000], [7, 30, 2000], range(2001)):
        with pytest.raises(simulate.DivergenceError) as found:
            simulate.train(task, learning_rate=rate, record=record, alignment=None, **options)
        steps.add(found.value.step)
    assert len(steps) == 1


def test_the_weights_of_the_linearised_network_are_recorded_not_its_effective_moments():
    task = simulate.PolynomialTask(3, 5, n_test=5, seed=0)
    options = {"alpha": 1.0, "epsilon": 0.5, "width": 4, "steps": 50, "centred": True}
    history = simulate.train(task, engine="linearised", **options).history
    start = PseudoNeurons.from_weights(standard_normal(0, "weights", (4, 3)))
    found = lazy(task, start, alpha=1.0, epsilon=0.5, learning_rate=1.0, centred=True).change(50)
    norm = PseudoNeurons(start.columns + found.columns, start.signs).square().sqrt()
    assert float(history.weight_norm[-1]) == pytest.approx(float(norm), rel=1e-12)
    change = (found.square() / start.square()).sqrt()
    assert float(history.parameter_change[-1]) == pytest.approx(float(change), rel=1e-12)
    assert float(history.alignment[-1]) == float(history.alignment[0])
