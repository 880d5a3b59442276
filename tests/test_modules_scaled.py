"""Scaled is eq. (7) around any module, at every alpha, and its rates are what they say."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lazyrich import simulate
from lazyrich.simulate import Data, Scaled, fit, linearise, ntk_product
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.modules.mlp import mlp
from lazyrich.simulate.modules.scaled import constant

from .modules import ALPHAS, EPSILONS, SEEDS, UNIT, Polynomial, Tied, moved, networks


@given(case=networks(), alpha=ALPHAS, centred=st.booleans())
def test_the_predictor_is_eq_7(case, alpha, centred):
    model, X = case()
    first = copy.deepcopy(model)
    scaled = Scaled(model, alpha, centred=centred)
    if centred:
        assert scaled(X).abs().max() == 0
    moved(model)
    expected = alpha * (model(X) - first(X)) if centred else alpha * model(X)
    size = abs(alpha) * (model(X).abs().max() + first(X).abs().max()).item()
    assert (scaled(X) - expected).abs().max().item() <= 4 * UNIT * size
    assert [n for n, _ in scaled.named_parameters()] == [
        f"model.{n}" for n, _ in model.named_parameters()
    ]


@given(case=networks(), alpha=ALPHAS, centred=st.booleans())
def test_a_state_brings_back_weights_and_start(case, alpha, centred):
    model, X = case()
    scaled = Scaled(model, alpha, centred=centred)
    moved(model)
    other = Scaled(moved(copy.deepcopy(model), seed=2), alpha, centred=centred)
    other.load_state_dict(scaled.state_dict())
    assert torch.equal(other(X), scaled(X))
    with pytest.raises((ValueError, RuntimeError), match="is of alpha"):
        Scaled(copy.deepcopy(model), 2 * alpha, centred=centred).load_state_dict(
            scaled.state_dict()
        )


def test_the_start_moves_with_the_model_to_another_dtype():
    for model in (mlp((3, 4, 2)), Tied(3, seed=0)):
        for predictor in (Scaled(model, 7.0), linearise(moved(Scaled(model, 7.0)))):
            X = standard_normal(0, "train inputs", (5, 3))
            before = predictor(X)
            found = predictor.float()(X.float())
            assert found.dtype == torch.float32
            assert torch.allclose(found.double(), before, atol=1e-4)


def first_move(scaled, X, optimiser):
    """How the predictor moves at X in one step on labels 1, from where it is."""
    before = scaled(X).detach()
    loss = nn.functional.mse_loss(scaled(X), before + 1)
    loss.backward()
    optimiser(list(scaled.parameters())).step()
    return scaled(X).detach() - before


@given(case=networks(), alpha=ALPHAS)
def test_the_rates_keep_the_first_move_of_the_predictor(case, alpha):
    """To first order in the step, for descent and for Adam, each by its own rule."""
    model, X = case()
    tiny = 1e-7
    for adaptive, kind in ((False, torch.optim.SGD), (True, torch.optim.Adam)):
        moves = []
        for scale in (1.0, alpha):
            scaled = Scaled(copy.deepcopy(model), scale)
            rate = scaled.learning_rate(tiny, adaptive=adaptive)
            # eps = 0: Adam's steps are then the signs of the gradient, at any size of it.
            options = {"eps": 0.0} if adaptive else {}
            move = first_move(scaled, X, lambda w, k=kind, r=rate, o=options: k(w, lr=r, **o))
            moves.append(move)
        one, other = moves if adaptive else (moves[0], moves[1])
        largest = float(one.abs().max())
        step = tiny / min(1.0, abs(alpha)) if adaptive else tiny / min(1.0, alpha**2)
        error = float((one - other).abs().max())
        assert error <= largest * (1e-3 + 100 * step) + 1e-9 * (1 + abs(alpha)) * (largest + UNIT)


def test_the_rule_of_descent_is_not_that_of_adam():
    """The negative control: at eta0/alpha^2, Adam moves a predictor alpha times less."""
    X, moves = standard_normal(0, "train inputs", (4, 3)), []
    for alpha in (1.0, 100.0):
        scaled = Scaled(mlp((3, 5, 1), nn.Tanh), alpha)
        rate = scaled.learning_rate(1e-6)
        moves.append(first_move(scaled, X, lambda w, r=rate: torch.optim.Adam(w, lr=r, eps=0.0)))
    assert torch.allclose(moves[1], moves[0] / 100, rtol=1e-3)


@given(case=networks(), alpha=ALPHAS)
def test_the_kernel_of_the_predictor_has_alpha_squared(case, alpha):
    model, X = case()
    v = torch.ones_like(model(X)).detach()
    plain, scaled = ntk_product(model, X, v), ntk_product(Scaled(model, alpha), X, v)
    assert torch.allclose(scaled, alpha**2 * plain, rtol=1e-10, atol=1e-10 * alpha**2)


@given(
    D=st.integers(1, 4),
    P=st.integers(1, 5),
    N=st.integers(1, 4),
    seed=SEEDS,
    alpha=ALPHAS,
    epsilon=EPSILONS,
    centred=st.booleans(),
)
def test_descent_of_the_paper_s_network_is_that_of_train(D, P, N, seed, alpha, epsilon, centred):
    task = simulate.PolynomialTask(D, P, n_test=3, seed=seed)
    W = standard_normal(seed, "weights", (N, D))
    eta0 = 1e-3 * min(1.0, abs(alpha))  # a rich network, uncentred, starts far off its labels
    slow = simulate.train(
        task,
        alpha=alpha,
        epsilon=epsilon,
        init=W,
        engine="neurons",
        steps=8,
        learning_rate=eta0,
        centred=centred,
    )
    scaled = Scaled(Polynomial(W, epsilon), alpha, centred=centred)
    rate = scaled.learning_rate(eta0 * N)
    history = fit(
        scaled,
        Data(task.X, task.y, task.X_test, task.y_test),
        loss=nn.functional.mse_loss,
        optimiser=lambda weights: torch.optim.SGD(weights, lr=rate),
        steps=8,
        record=slow.history.step.values,
    ).history
    for name in ("train_loss", "test_loss"):
        assert history[name].values == pytest.approx(slow.history[name].values, rel=1e-9, abs=1e-20)
    change = slow.history.parameter_change.values
    assert history.parameter_change.values == pytest.approx(change, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((mlp((2, 1)), 0.0), "alpha = 0.0: must be a finite number other than 0"),
        ((mlp((2, 1)), 1.0, 1), "centred = 1: must be True or False"),
        ((lambda x: x, 1.0), "model is function: must be a torch.nn.Module"),
        ((nn.Tanh(), 1.0), "model has nothing to train, it has no parameters"),
        ((nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 1.0), "model has a BatchNorm1d"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    with pytest.raises(ValueError) as error:
        Scaled(*arguments)
    assert str(error.value).startswith(message)


def test_the_rate_must_be_positive():
    with pytest.raises(ValueError, match="eta0 = 0"):
        Scaled(mlp((2, 1)), 1.0).learning_rate(0)


@pytest.mark.parametrize("change", ["the inputs", "w0", "nothing"])
@pytest.mark.parametrize("wrap", [lambda scaled: scaled, linearise], ids=["network", "twin"])
def test_the_kept_start_is_that_of_these_inputs_and_weights(change, wrap):
    """Within ``constant`` outputs and gradients have the same bits as without."""
    X = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    model = wrap(Scaled(mlp((3, 5, 2), nn.Tanh), 2.0))
    scaled = getattr(model, "model", None) if wrap is linearise else model
    moved(scaled.model)

    def found(inputs):
        model.zero_grad()
        f = model(inputs)
        f.square().sum().backward()
        return [f.detach(), *(p.grad.clone() for p in model.parameters())]

    with constant(X):
        found(X)
        with torch.no_grad():
            if change == "the inputs":
                X.mul_(2)
            if change == "w0":
                next(scaled.initial.buffers()).mul_(2)
        kept = found(X)
    for one, other in zip(kept, found(X.clone()), strict=True):
        assert torch.equal(one, other)


def test_inputs_with_a_gradient_keep_no_start():
    """A second backward pass would go through the graph of the first."""
    X = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    scaled = Scaled(mlp((3, 5, 1), nn.Tanh), 2.0)
    with constant(X):
        for _ in range(2):
            scaled(X).sum().backward()
    assert X.grad is not None
