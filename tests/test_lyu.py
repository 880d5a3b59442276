"""The integrator and the oracles behind the claims on Lyu et al.; laws of theory/lyu."""

import numpy as np
import pytest
import sympy as sp
import torch

from lazyrich.simulate.laws.sparse_transition import predicted_transition
from lazyrich.simulate.lyu import DiagonalNet, LinearTask
from lazyrich.theory import closed_form
from lazyrich.theory.lyu.symbols import alpha
from lazyrich.verify.diagonal_flow import (
    FLOW_TOLERANCE,
    LOSS_SLOPES,
    Problem,
    follow,
    gaussian,
    largest_l2_margin,
    smallest_l1,
)


@pytest.mark.parametrize("loss", LOSS_SLOPES)
@pytest.mark.parametrize("depth", [2, 3])
def test_the_integrator_follows_autograd_and_keeps_its_tolerance(loss, depth):
    """Its rate at a state is that of the loss as torch differentiates it; tighter moves nothing."""
    net = gaussian(2, 3, 5, loss=loss, depth=depth, alpha=2.0, lamda=0.1)
    (now,) = follow(net, (1.5,))
    X, y = map(torch.tensor, net.arrays())
    theta = torch.tensor(np.stack([now.u, now.v]), requires_grad=True)
    f = X @ (theta[0] ** depth - theta[1] ** depth)
    losses = {
        "exponential": torch.exp(-y * f),
        "logistic": torch.log1p(torch.exp(-y * f)),
        "square": (f - y) ** 2,
    }
    total = losses[loss].mean() + net.lamda / 2 * (theta**2).sum()
    (gradient,) = torch.autograd.grad(total, theta)
    h = 1e-4
    before, after = follow(net, (1.5 - h, 1.5 + h))
    moved = np.stack([after.u - before.u, after.v - before.v]) / (2 * h) * net.lamda
    np.testing.assert_allclose(moved, -gradient.numpy(), atol=1e-6)
    (tight,) = follow(net, (1.5,), rtol=1e-12)
    assert abs(tight.w - now.w).max() < FLOW_TOLERANCE * abs(now.w).max()


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("loss", LOSS_SLOPES)
def test_the_dual_engine_gives_what_all_weights_give(loss, depth):
    """The simulator's n-dimensional flow against all 2 d weights, before and after a = 1."""
    net = gaussian(2, 4, 3, loss=loss, depth=depth, alpha=2.0, lamda=1e-2)
    X, y = net.arrays()
    stops = (0.4, 1.0, 2.5)
    kind = "regression" if loss == "square" else "classification"
    task = LinearTask.from_arrays(kind, X, y)
    times = [T / net.lamda for T in stops]
    options = {"weight_decay": net.lamda, "time": times[-1], "record": times, "rtol": 1e-9}
    engine = DiagonalNet(depth=depth, loss=loss)
    run = engine.train(task, alpha=net.alpha, **options)
    want = np.stack([now.w for now in follow(net, stops)])
    assert abs(engine.weights(task, run).numpy() - want).max() < 1e-5 * abs(want).max()
    other = np.stack([now.w for now in follow(gaussian(2, 4, 3, loss=loss), stops)])
    assert abs(other - want).max() > 1e-3 * abs(want).max()


def test_the_smallest_l1_norm_has_its_dual_certificate_and_can_be_missed():
    X, y = gaussian(3, 6, 1).arrays()
    w = smallest_l1(X, y)
    np.testing.assert_allclose(X @ w, y, atol=1e-9)
    support = abs(w) > 1e-9
    nu = np.linalg.lstsq(X[:, support].T, np.sign(w[support]), rcond=None)[0]
    assert abs(X.T @ nu).max() <= 1 + 1e-9
    assert nu @ y == pytest.approx(abs(w).sum())
    assert abs(np.linalg.pinv(X) @ y).sum() > abs(w).sum() + 1e-3


def test_the_largest_l2_margin_meets_its_optimality_conditions():
    X, y = gaussian(3, 5, 2, loss="exponential").arrays()
    w = largest_l2_margin(X, y)
    margins = y * (X @ w)
    assert margins.min() == pytest.approx(1, abs=1e-6)
    mu = np.linalg.lstsq((y[:, None] * X).T, w, rcond=None)[0]
    assert (mu > -1e-8).all()
    assert abs(mu @ (margins - 1)) < 1e-6


def test_all_laws_agree_where_depths_meet():
    """At L = 2 the laws for any depth are those of two layers."""
    terms = closed_form("regularised-oracles").terms
    at = {"lamda": 1, "a": 2, "w": 3, "abs_w": 3, "L": 2}
    values = closed_form("regularised-oracles").evaluate_terms(u=1, v=1, **at)
    assert values["early"] == values["early_two_layers"]
    assert values["late"] == values["late_two_layers"]
    assert set(terms) == set(values)


def test_a_start_of_size_one_changes_nothing_and_another_shifts_the_time():
    """start-scale at s = 1 is the laws of thetabar = (1, 1); at any s, alpha becomes alpha s."""
    terms = closed_form("start-scale").terms
    s = next(symbol for symbol in terms["kernel"].free_symbols if symbol.name == "s")
    assert terms["penalty"].subs(s, 1) == closed_form("regularised-oracles").terms["early"]
    time = closed_form("transition-time").terms["time"]
    assert sp.expand_log(terms["time"] - time.subs(alpha, alpha * s)) == 0
    assert terms["time"] != time


def test_samples_too_few_for_the_mean_field_are_named():
    """At d = 10^5 and n = 64 the relevant weights never stand out at one nu for all samples."""
    with pytest.raises(ValueError, match="n = 64: must be larger at d = 100000, or no accuracy"):
        predicted_transition(100_000, 64, 128.0, 1e-3)


def test_a_problem_without_separation_is_named():
    X = np.array([[1.0], [1.0]])
    with pytest.raises(AssertionError, match="infeasible"):
        smallest_l1(X, np.array([1.0, -1.0]), margin=True)


def test_problems_are_values():
    assert gaussian(2, 3, 0) == gaussian(2, 3, 0)
    assert isinstance(gaussian(1, 1, 0), Problem)
