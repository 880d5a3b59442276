"""Diagonal networks: the dual ODE against the primal flow and descent, invariants, bad input."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from lazyrich import simulate
from lazyrich.simulate.lyu import SolverError, StabilityWarning
from lazyrich.simulate.lyu.dual import DualFlow
from lazyrich.simulate.lyu.losses import LOSSES

LOSS_NAMES = sorted(LOSSES)


def small_task(loss, d=12, n=5, seed=0):
    make = simulate.sparse_regression if loss == "square" else simulate.sparse_classification
    return make(d=d, n=n, k=1, n_test=20, seed=seed)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_derivatives_of_the_losses_are_those_of_autograd_at_any_margin(name):
    loss = LOSSES[name]
    f = torch.tensor([-700.0, -30.0, -1.0, 0.0, 0.5, 40.0, 700.0], dtype=torch.float64)
    for label in (1.0, -1.0):
        y = torch.full_like(f, label)
        at = f.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss.value(at, y).sum(), at, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), at)
        assert np.allclose(loss.slope(f.numpy(), y.numpy()), slope.detach(), rtol=1e-12)
        assert np.allclose(loss.curvature(f.numpy(), y.numpy()), curvature, rtol=1e-9, atol=1e-15)


class Primal:
    """The definition: flow of u and v in NumPy, by LSODA at 1e-10."""

    def __init__(self, task, depth, loss, start, alpha, decay):
        self.X, self.y, self.depth, self.loss, self.decay = (
            task.X.numpy(), task.y.numpy(), depth, loss, decay,
        )  # fmt: skip
        self.first = np.tile(alpha * np.broadcast_to(start, (task.d,)), 2)

    def velocity(self, theta):
        u, v = np.split(theta, 2)
        f = self.X @ (u**self.depth - v**self.depth)
        slope = {
            "square": lambda: 2 * (f - self.y),
            "logistic": lambda: -self.y / (1 + np.exp(self.y * f)),
            "exponential": lambda: -self.y * np.exp(-self.y * f),
        }[self.loss]()
        g = self.depth * (slope @ self.X) / len(self.y)
        return np.concatenate([-g * u ** (self.depth - 1), g * v ** (self.depth - 1)]) - (
            self.decay * theta
        )

    def solve(self, times):
        found = solve_ivp(
            lambda _, theta: self.velocity(theta), (0, times[-1]), self.first, method="LSODA",
            rtol=1e-10, atol=1e-12, t_eval=times,
        )  # fmt: skip
        assert found.status == 0, found.message
        return np.split(found.y.T, 2, axis=1)


@pytest.mark.slow
@given(
    depth=st.integers(2, 5),
    loss=st.sampled_from(LOSS_NAMES),
    d=st.integers(3, 8),
    alpha=st.sampled_from([0.3, 1.0, 3.0]),
    decay=st.sampled_from([0.0, 0.01, 0.3]),
    even=st.booleans(),
    seed=st.integers(0, 2**20),
)
def test_dual_and_primal_flow_agree_and_the_invariants_hold_along_both(
    depth, loss, d, alpha, decay, even, seed
):
    """At rtol = 1e-8, u within 1e-6 of its size, times the condition (u/a)^(L-2) of its dual.

    The invariant is measured on the primal flow, which knows nothing of it.
    """
    task = small_task(loss, d=d, n=3, seed=seed)
    start = 1.0 if even else np.random.default_rng(seed).uniform(0.5, 1.5, d)
    times = np.array([0.1, 2.0])
    u, v = Primal(task, depth, loss, start, alpha, decay).solve(times)
    net = simulate.DiagonalNet(depth, loss, start if even else tuple(start))
    options = {"alpha": alpha, "weight_decay": decay, "time": 2.0, "record": times}
    run = net.train(task, rtol=1e-8, **options)
    w, wanted = net.weights(task, run).numpy(), u**depth - v**depth
    scale = alpha * np.exp(-decay * times)[:, None] * start
    condition = (np.maximum(u, v) / scale).max() ** (depth - 2)
    assert np.abs(w - wanted).max() < depth * 1e-6 * condition * np.abs(wanted).max()
    if depth == 2:
        assert np.allclose(u * v, scale**2, rtol=1e-7)
    else:
        power = 2 - depth
        assert np.allclose(u**power + v**power, 2 * scale**power, rtol=1e-7)
    assert float(run.history.invariant_gap.max()) < 1e-9
    assert np.allclose(run.state["u"].numpy(), u[-1], rtol=1e-6 * condition)


def test_a_wrong_scale_is_rejected():
    """Negative control: alpha off by a thousandth fails the comparison above."""
    task = small_task("square", d=5, n=3)
    u, v = Primal(task, 3, "square", 1.0, 1.001, 0.01).solve(np.array([1.0]))
    net = simulate.DiagonalNet(3, "square")
    run = net.train(task, alpha=1.0, weight_decay=0.01, time=1.0, record=[1.0], rtol=1e-8)
    w, wanted = net.weights(task, run).numpy(), u**3 - v**3
    assert np.abs(w - wanted).max() > 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_the_jacobian_is_the_derivative_of_the_velocity(depth, loss):
    task = small_task(loss)
    flow = DualFlow(
        task.X.numpy(), task.y.numpy(), LOSSES[loss], depth, 1.3, np.linspace(0.5, 1.5, 12), 0.1
    )
    nu = np.linspace(-0.02, 0.03, 5)
    found, step = flow.jacobian(0.7, nu), 1e-6
    for i, direction in enumerate(np.eye(5)):
        ahead, behind = (flow.velocity(0.7, nu + sign * step * direction) for sign in (1, -1))
        difference = (ahead - behind) / (2 * step)
        assert np.allclose(found[:, i], difference, rtol=1e-6, atol=1e-6 * np.abs(found).max())


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_descent_approaches_the_dual_flow_with_the_learning_rate(depth, loss):
    """Half the rate, half the distance, of the predictor and of the invariant: first order."""
    task, decay = small_task(loss, d=8, n=3), 0.05
    net = simulate.DiagonalNet(depth, loss, start=0.8)
    options = {"alpha": 1.5, "weight_decay": decay}
    rate = net.stable_learning_rate(task, **options) / 10
    steps = 200
    exact = net.train(task, time=steps * rate, record=[steps * rate], rtol=1e-10, **options)
    gaps = []
    for refined in (1, 2):
        slow = net.train(
            task, engine="neurons", time=steps * rate, learning_rate=rate / refined,
            record=[steps * rate], **options,
        )  # fmt: skip
        distance = float((slow.state["u"] - exact.state["u"]).norm())
        gaps.append((distance, float(slow.history.invariant_gap[-1])))
    for coarse, fine in zip(*gaps, strict=True):
        assert 1.8 < coarse / fine < 2.2
    assert gaps[1][0] < 0.02 * float(exact.state["u"].norm())


def test_it_stays_finite_long_after_the_scale_has_decayed():
    """lambda t = 300: a^2 = 1e-261, sinh of 600."""
    task = small_task("logistic")
    net = simulate.DiagonalNet(2, "logistic")
    run = net.train(task, alpha=5.0, weight_decay=0.1, time=3000.0)
    assert bool(np.isfinite(run.history.nu.values).all())
    # The late limit: |dL/dw|_inf = lambda/2, on the support with the sign of -w.
    w = net.weights(task, run)[-1].numpy()
    f = task.X.numpy() @ w
    gradient = LOSSES["logistic"].slope(f, task.y.numpy()) @ task.X.numpy() / task.n
    support = np.abs(w) > 1e-6 * np.abs(w).max()
    assert np.allclose(gradient[support], -0.05 * np.sign(w[support]), rtol=1e-4)
    assert np.abs(gradient).max() < 0.05 * (1 + 1e-4)


@given(
    depth=st.integers(2, 5),
    loss=st.sampled_from(LOSS_NAMES),
    alpha=st.floats(0.5, 10),
    decay=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 2**20),
)
def test_the_stable_rate_is_that_of_the_linearised_step(depth, loss, alpha, decay, seed):
    """Largest eigenvalue of J^T diag(l'') J/n + lambda, J by autograd of the network."""
    task = small_task(loss, seed=seed)
    net = simulate.DiagonalNet(depth, loss)
    theta = torch.full((2 * task.d,), alpha, dtype=torch.float64)

    def f(theta):
        u, v = theta.chunk(2)
        return task.X @ (u**depth - v**depth)

    J = torch.autograd.functional.jacobian(f, theta)
    assert isinstance(J, torch.Tensor)
    curvature = {"square": 2.0, "logistic": 0.25, "exponential": 1.0}[loss]
    top = float(torch.linalg.eigvalsh(J.T @ J * curvature / task.n)[-1])
    found = net.stable_learning_rate(task, alpha=alpha, weight_decay=decay)
    assert found == pytest.approx(2 / (top + decay), rel=1e-9)


def test_beyond_the_stable_rate_descent_warns_and_then_says_when_it_diverged():
    task = small_task("square")
    net = simulate.DiagonalNet(2, "square")
    options = {"alpha": 3.0, "weight_decay": 1e-3, "engine": "neurons"}
    stable = net.stable_learning_rate(task, alpha=3.0, weight_decay=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        below = net.train(task, learning_rate=0.9 * stable, time=50 * stable, **options)
    assert float(below.history.train_loss[-1]) < float(below.history.train_loss[0])
    with (
        pytest.warns(StabilityWarning, match=f"largest stable rate there is {stable:.4g}"),
        pytest.raises(simulate.DivergenceError, match="training diverged by step") as error,
    ):
        net.train(task, learning_rate=20 * stable, time=2000 * stable, **options)
    assert error.value.stable_learning_rate == pytest.approx(stable)
    assert "\n" not in str(error.value)


def test_a_residual_below_rounding_does_not_stop_the_solver():
    """At a = 160, L = 4 it is 1e-18 of the labels; this run stopped at t = 0.004 of 1e5."""
    task = simulate.sparse_regression(d=200, n=40, k=3, n_test=1, seed=1)
    time = 2.5 * math.log(160) / 1e-4
    early, late = np.geomspace(1e-7 * time, time / 80, 40, endpoint=False), time / 80
    record = np.concatenate([early, np.linspace(late, time, 80)])
    run = simulate.DiagonalNet(4, "square").train(
        task, alpha=160.0, weight_decay=1e-4, time=record[-1], record=record
    )
    assert float(run.history.l1_norm[-1]) == pytest.approx(3**0.5, rel=1e-3)  # that of w*
    assert float(run.history.l1_norm[20]) > 2 * 3**0.5


def test_a_flow_that_cannot_be_solved_is_one_line():
    """u = 1 from a = 1e-9 at L = 4: 1 - s = 1e-18 is beyond double precision."""
    task = simulate.LinearTask.from_arrays("regression", [[1.0]], [1.0])
    with pytest.raises(SolverError, match=r"could not be solved beyond t = .*") as error:
        simulate.DiagonalNet(4, "square").train(
            task, alpha=1e-9, weight_decay=0.0, time=1e20, record=[1e20]
        )
    assert "\n" not in str(error.value)


def test_a_run_is_written_whole_and_read_back(tmp_path):
    task = small_task("logistic")
    run = simulate.DiagonalNet().train(task, alpha=2.0, weight_decay=0.1, time=10.0)
    run.save(tmp_path / "run.nc")
    again = simulate.load(tmp_path / "run.nc")
    assert again.history.identical(run.history)
    assert again.config == run.config
    assert {name: part.tolist() for name, part in again.state.items()} == {
        name: part.tolist() for name, part in run.state.items()
    }
    assert all(variable.attrs["units"] for variable in again.history.data_vars.values())
    with pytest.raises(OSError, match="can't be written"):
        run.save(tmp_path / "missing" / "run.nc")


def test_the_default_times_see_the_fit_and_the_transition():
    task = small_task("square", d=20, n=8)
    alpha, decay = 50.0, 1e-3
    history = (
        simulate.DiagonalNet(2, "square")
        .train(task, alpha=alpha, weight_decay=decay, time=2 * math.log(alpha) / decay)
        .history
    )
    fit = float(history.train_loss[0])
    assert int(((history.train_loss > 1e-3 * fit) & (history.train_loss < fit)).sum()) > 5
    assert int(((history.scale > 0.1) & (history.scale < 10)).sum()) > 20


@pytest.mark.parametrize(
    ("net", "train", "message"),
    [
        ({"depth": 1}, {}, "depth = 1: must be at least 2"),
        ({"loss": "hinge"}, {}, "loss = 'hinge': "),
        ({"loss": "square"}, {}, "loss = 'square': is for regression, not classification"),
        ({"start": 0.0}, {}, "start = 0.0: must be a finite number above 0"),
        ({"start": (1.0, 2.0)}, {}, "start has shape (2,): must be a number or (d,) = (12,)"),
        ({}, {"alpha": 0}, "alpha = 0: must be a finite number above 0"),
        ({}, {"weight_decay": -1}, "weight_decay = -1: must be at least 0"),
        ({}, {"time": math.inf}, "time = inf: must be a finite number above 0"),
        ({}, {"engine": "duel"}, "engine = 'duel': did you mean 'dual'?"),
        ({}, {"engine": "neurons"}, "learning_rate = None: must be a finite number above 0"),
        ({}, {"learning_rate": 0.1}, "learning_rate = 0.1: is for engine 'neurons'"),
        ({}, {"record": [2.0, 1.0]}, "record = [2.0, 1.0]: must increase"),
        ({}, {"record": [20.0]}, "record = 20: must be at most time = 10"),
        ({}, {"rtol": 0}, "rtol = 0: must be from 1e-12 to 0.1"),
    ],
)
def test_bad_input_is_one_line(net, train, message):
    options = {"alpha": 2.0, "weight_decay": 0.1, "time": 10.0, **train}
    with pytest.raises(ValueError) as error:
        simulate.DiagonalNet(**net).train(small_task("logistic"), **options)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
