"""The linearised twin is the first-order expansion, and its descent the closed form."""

import copy
import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from lazyrich import simulate
from lazyrich.simulate import Data, Scaled, as_matrix, fit, linearise, ntk
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.stability import stable_learning_rate

from .modules import ALPHAS, EPSILONS, SEEDS, Polynomial, Tied, jacobian, moved, networks


def change_of(model, start):
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    return torch.cat([(w - w0).detach().flatten() for w, w0 in pairs])


@given(case=networks(), alpha=ALPHAS, centred=st.booleans(), seed=SEEDS)
def test_it_is_value_and_slope_at_the_start(case, alpha, centred, seed):
    model, X = case()
    network = Scaled(model, alpha, centred=centred)
    start = copy.deepcopy(network)
    twin = linearise(network)
    moved(model, seed=1)  # the twin is a module of its own: the network's training moves nothing
    assert torch.equal(twin(X), start(X))
    moved(twin.model, seed=seed)
    J = jacobian(start, X)
    expected = start(X).flatten() + J @ change_of(twin.model, start)
    magnitude = alpha * model(X).abs().max().item() + float(J.abs().sum(1).max())
    assert torch.allclose(twin(X).flatten(), expected, rtol=1e-10, atol=1e-12 * abs(magnitude))


def test_shared_weights_count_once_with_both_their_slopes():
    model, X = Tied(3, seed=0), standard_normal(0, "train inputs", (4, 3))
    twin = linearise(model)
    moved(twin.model)
    expected = model(X).flatten() + jacobian(model, X) @ change_of(twin.model, model)
    assert torch.allclose(twin(X).flatten(), expected, rtol=1e-12)


@given(case=networks(), seed=SEEDS)
def test_its_gradient_is_the_slope_and_its_kernel_stays(case, seed):
    model, X = case()
    J, K = jacobian(model, X), as_matrix(ntk(model, X))
    twin = moved(linearise(model), seed=seed)
    assert torch.allclose(jacobian(twin, X), J, rtol=1e-10, atol=1e-12)
    assert torch.allclose(as_matrix(ntk(twin, X)), K, rtol=1e-10, atol=1e-12 * float(K.abs().max()))


@given(
    D=st.integers(1, 5),
    P=st.integers(1, 5),
    N=st.integers(1, 4),
    seed=SEEDS,
    alpha=ALPHAS,
    epsilon=EPSILONS,
    centred=st.booleans(),
    fraction=st.floats(0.01, 0.99),
)
def test_its_descent_is_the_closed_form(D, P, N, seed, alpha, epsilon, centred, fraction):
    """The engine "linearised": one eigendecomposition, no step of training."""
    task = simulate.PolynomialTask(D, P, n_test=3, seed=seed)
    W = standard_normal(seed, "weights", (N, D))
    start = PseudoNeurons.from_weights(W)
    eta0 = stable_learning_rate(task.X, start.wbar, start.M, alpha=alpha, epsilon=epsilon)
    assume(math.isfinite(eta0))
    eta0 *= fraction
    options = {"alpha": alpha, "epsilon": epsilon, "init": W, "centred": centred}
    closed = simulate.train(
        task, engine="linearised", steps=12, learning_rate=eta0, **options
    ).history
    network = Scaled(Polynomial(W, epsilon), alpha, centred=centred)
    twin = linearise(network)
    rate = network.learning_rate(eta0 * N)
    history = fit(
        twin,
        Data(task.X, task.y, task.X_test, task.y_test),
        loss=nn.functional.mse_loss,
        optimiser=lambda weights: torch.optim.SGD(weights, lr=rate),
        steps=12,
        record=closed.step.values,
    ).history
    # Losses that fall to rounding keep that of the first predictions.
    held = float(closed.train_loss[0]) + float(task.y.square().max()) + 1
    for name in ("train_loss", "test_loss"):
        expected = closed[name].values
        allowed = 1e-7 * (expected + 1e-5 * held * (1 + float(closed[name].max())))
        assert (abs(history[name].values - expected) <= allowed).all()


def test_a_lazy_network_follows_its_twin_and_a_rich_one_leaves_it():
    task = simulate.PolynomialTask(4, 12, n_test=20, seed=0)
    W, data = standard_normal(0, "weights", (20, 4)), None
    data = Data(task.X, task.y, task.X_test, task.y_test)
    gaps = {}
    for alpha in (100.0, 0.1):
        network = Scaled(Polynomial(W, 0.5), alpha)
        pair = [network, linearise(network)]
        rate = network.learning_rate(1.0 * 20)
        ends = [
            fit(
                model,
                data,
                loss=nn.functional.mse_loss,
                optimiser=lambda weights, r=rate: torch.optim.SGD(weights, lr=r),
                steps=80,
            ).history.test_loss
            for model in pair
        ]
        gaps[alpha] = float(abs(ends[0] / ends[1] - 1).max())
    assert gaps[100.0] < 0.02
    assert gaps[0.1] > 0.5


def test_bad_input_is_one_line():
    with pytest.raises(ValueError, match="model has a Dropout in training mode, which is random"):
        linearise(nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.1)))
