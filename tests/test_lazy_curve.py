"""The lazy curve is the training of the linearised network, without training."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.simulate import Data, Scaled, fit, fit_flow, lazy_curve, linearise
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.diagnosis import curve
from lazyrich.simulate.modules.mlp import mlp
from lazyrich.simulate.outcome import settled_at

STEPS = [0, 1, 2, 7, 40, 200]


def problem(outputs=2, n=6):
    X, X_test = standard_normal(0, "train inputs", (n, 3)), standard_normal(1, "beta", (5, 3))
    y = [
        x[:, :outputs].prod(1, keepdim=True).expand(-1, outputs) + x[:, :outputs]
        for x in (X, X_test)
    ]
    return mlp((3, 12, outputs), nn.Tanh, scale=1.5), Data(X, y[0], X_test, y[1])


def close(one, other, names=("train_loss", "test_loss"), rtol=1e-8):
    for name in names:
        assert np.allclose(one.history[name], other.history[name], rtol=rtol, atol=1e-13), name


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("scaled", [False, True])
def test_it_is_descent_of_the_twin_step_by_step(momentum, decay, scaled):
    model, data = problem()
    network = Scaled(model, 3.0) if scaled else model
    rate = 0.1 * simulate.stable_rate(network, data, "mse", momentum=momentum)
    options = {"weight_decay": decay, "momentum": momentum}
    trained = fit(
        linearise(network),
        data,
        loss="mse",
        optimiser=lambda w: torch.optim.SGD(w, lr=rate, **options),
        steps=STEPS[-1],
        record=STEPS,
    )
    found = lazy_curve(network, data, times=STEPS, learning_rate=rate, **options)
    close(found, trained, ("train_loss", "test_loss", "parameter_change"), rtol=1e-6)
    assert found.history.zero_test_loss == pytest.approx(float(trained.history.zero_test_loss))
    other = lazy_curve(network, data, times=STEPS, learning_rate=rate, momentum=0.5)
    with pytest.raises(AssertionError):  # the negative control: another rule
        close(other, trained, rtol=1e-2)


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_it_is_gradient_flow_of_the_twin(decay):
    model, data = problem()
    times = np.geomspace(0.1, 60, 8)
    options = {"weight_decay": decay, "time": 60.0, "record": times, "loss": "mse"}
    trained = fit_flow(linearise(model), data, rtol=1e-5, **options)
    found = lazy_curve(model, data, times=times, weight_decay=decay)
    close(found, trained, rtol=1e-4)
    wrong = fit_flow(model, data, rtol=1e-4, **options)  # the network itself is not lazy
    with pytest.raises(AssertionError):
        close(found, wrong, rtol=1e-2)


def test_it_is_gradient_flow_of_the_twin_with_cross_entropy():
    model, data = problem(outputs=3)
    labelled = Data(data.X, data.y.argmax(1), data.X_test, data.y_test.argmax(1))
    times = np.geomspace(0.1, 20, 6)
    for decay in (0.0, 0.02):
        options = {"loss": "cross_entropy", "weight_decay": decay}
        trained = fit_flow(linearise(model), labelled, time=20, record=times, rtol=1e-5, **options)
        found = lazy_curve(model, labelled, times=times, rtol=1e-8, **options)
        close(found, trained, rtol=1e-4)
    free = lazy_curve(model, labelled, loss="cross_entropy")
    assert free.outcome().train_fall < math.inf


def test_with_decay_a_default_curve_of_any_loss_ends_at_rest():
    """There decay a = -dL/df. The control is the time 1/decay, where that is not so."""
    model, data = problem(outputs=3)
    labelled = Data(data.X, data.y.argmax(1), data.X_test, data.y_test.argmax(1))
    decay, options = 0.01, {"loss": "cross_entropy", "weight_decay": 0.01, "rtol": 1e-4}
    K = simulate.as_matrix(simulate.ntk(model, data.X))

    def moves(run):
        """How far a is from where it would stay, b having vanished with the first weights."""
        a, b = run.state["a"].double(), float(run.state["b"])
        drift = torch.func.jvp(
            lambda w: torch.func.functional_call(model, w, (data.X,)),
            (dict(model.named_parameters()),),
            (dict(model.named_parameters()),),
        )[1]
        f = (model(data.X) + (K @ a.flatten()).reshape(a.shape) + b * drift).detach()
        slope = (f.softmax(1) - nn.functional.one_hot(labelled.y, 3)) / len(f)
        return float((decay * a + slope).norm() / slope.norm())

    run = lazy_curve(model, labelled, **options)
    assert run.config["converged"]
    assert moves(run) < 1e-3
    assert moves(lazy_curve(model, labelled, times=[1 / decay], **options)) > 1e-2


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_lanczos_needs_no_kernel_and_gives_the_same(decay):
    model, data = problem(n=20)
    exact, found = (
        lazy_curve(model, data, times=np.geomspace(0.1, 1e3, 9), weight_decay=decay, method=method)
        for method in ("eigen", "lanczos")
    )
    close(exact, found, rtol=1e-3)
    assert found.config["method"] == "lanczos"
    small = lazy_curve(model, data, memory=1)
    assert small.config["method"] == "lanczos"


@pytest.mark.parametrize("method", ["eigen", "lanczos"])
def test_default_steps_are_whole_and_reach_the_floor(method):
    model, data = problem()
    rate = 0.1 * simulate.stable_rate(model, data, "mse")
    run = lazy_curve(model, data, learning_rate=rate, momentum=0.5, method=method)
    assert run.history.step.dtype == np.int64
    assert run.outcome().train_fall < math.inf


def test_the_floor_is_kernel_regression():
    model, data = problem(n=5)
    run = lazy_curve(model, data)
    K, K_test = (simulate.as_matrix(simulate.ntk(model, X, data.X)) for X in (data.X, data.X_test))
    residual = (data.y - model(data.X)).flatten().detach()
    f = model(data.X_test).detach() + (K_test @ torch.linalg.solve(K, residual)).reshape(5, 2)
    expected = float(nn.functional.mse_loss(f, data.y_test))
    assert float(run.history.floor_test_loss) == pytest.approx(expected, rel=1e-6)
    assert float(run.history.floor_train_loss) < 1e-12
    assert run.outcome().train_fall < math.inf
    way = float(run.history.parameter_change[-1]) ** 2 * simulate.weight_norm(model) ** 2
    assert way == pytest.approx(simulate.difficulty(K, residual), rel=0.05)


def test_the_state_gives_the_weights():
    model, data = problem()
    run = lazy_curve(model, data, times=[5.0], weight_decay=0.1)
    trained = fit_flow(linearise(model), data, loss="mse", time=5.0, weight_decay=0.1, rtol=1e-5)
    from lazyrich.simulate.diagnosis.expansion import Expansion

    weights = Expansion(model, data).moved(run.state["a"], float(run.state["b"]))
    for name, value in weights.items():
        assert torch.allclose(value, trained.state[f"model.{name}"], atol=1e-4)


def test_metrics_and_momentum_of_a_flow():
    model, data = problem()
    metrics = {"worst": lambda f, y: (f - y).abs().max()}
    one = lazy_curve(model, data, times=[1.0, 2.0], metrics=metrics)
    fast = lazy_curve(model, data, times=[0.1, 0.2], momentum=0.9)
    close(one, fast)
    assert one.history.test_worst.shape == (2,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": [2.0, 1.0]}, "times must increase"),
        ({"times": [0.5], "learning_rate": 0.1}, "times must be whole numbers of steps"),
        ({"weight_decay": -1.0}, "weight_decay = -1: must be at least 0"),
        ({"momentum": 1.0}, "momentum = 1: must be in"),
        ({"method": "eigne"}, "method = 'eigne': did you mean 'eigen'"),
        ({"loss": "cross_entropy", "method": "lanczos"}, "method = 'lanczos': must be left out"),
        ({"data": Data(torch.zeros(2, 3).double(), torch.zeros(2, 1))}, "y has shape"),
    ],
)
def test_bad_input_is_one_line(changes, message):
    model, data = problem()
    with pytest.raises(ValueError, match=message):
        lazy_curve(model, **{"data": data, **changes})


def test_labels_that_the_kernel_can_not_fit_leave_the_weights_finite():
    """Two samples alike of different classes, in float32: the kernel has null directions.

    The distance of the weights is that in float64, where null directions have no rounding to grow.
    """
    X = standard_normal(0, "train inputs", (12, 5))
    X[6:] = X[:6]
    y = torch.arange(12) % 3
    model = mlp((5, 30, 3), nn.Tanh)
    runs = []
    for dtype in (torch.float64, torch.float32):
        data = Data(X, y, X + 0.1, y).to(dtype)
        runs.append(lazy_curve(model.to(dtype), data, loss="cross_entropy", times=[1e3, 1e6]))
    double, single = (run.history for run in runs)
    assert float(double.parameter_change[-1]) > 0.1
    assert np.allclose(single.parameter_change, double.parameter_change, rtol=0.02)
    assert np.allclose(single.train_loss, double.train_loss, rtol=1e-2)


@pytest.mark.parametrize("fits", [False, True])
def test_a_flow_ends_where_its_loss_can_fall_no_further(fits):
    """Equal inputs of several classes: at the end their mean output is what logits say of shares.

    A loss that goes on falling, if as slowly as 1/t, is followed until it has fallen.
    """
    X = standard_normal(3, "train inputs", (4, 3)).repeat_interleave(3, 0)
    y = torch.arange(12) // 3 if fits else torch.tensor([0, 0, 1] * 4)
    model = mlp((3, 6, 4), nn.Tanh)
    found = lazy_curve(model, Data(X, y), loss="cross_entropy")
    loss = found.history.train_loss.values
    if fits:
        assert loss[-1] < simulate.outcome.SHARE / 20 * math.log(4)
        return
    least = -(2 * math.log(2 / 3) + math.log(1 / 3)) / 3
    assert loss[-1] == pytest.approx(least, abs=1e-3)
    assert found.history.time[-1] < 1e-2 * 1e9  # not to the end of time


@pytest.mark.parametrize(
    ("loss", "near"),
    [
        (nn.functional.l1_loss, 5e-3),
        (lambda f, y: nn.functional.relu(1 - y * f).mean(), 5e-3),
        (nn.functional.smooth_l1_loss, 1e-3),
        (lambda f, y: nn.functional.smooth_l1_loss(f, 100 * y), 1e-3),
        (nn.functional.soft_margin_loss, 1e-3),
    ],
    ids=["l1", "hinge", "smooth_l1", "smooth_l1 from its linear part", "logistic"],
)
def test_any_loss_is_followed_also_with_kinks_and_from_where_it_has_no_curvature(
    loss, near, monkeypatch
):
    """Against plain descent in the weights at the Jacobian; half of the time is the control."""
    X = standard_normal(0, "train inputs", (30, 4))
    y = X[:, :1].sign()
    model = mlp((4, 20, 1), nn.Tanh)
    data = Data(X[:20], y[:20], X[20:], y[20:])
    monkeypatch.setattr(curve, "MOST_STEPS", 500)  # beyond the time that is compared
    first = lazy_curve(model, data, loss=loss, rtol=1e-4).history
    shares = first.train_loss / first.zero_train_loss
    time = settled_at(first.time, shares, 0.7)
    assert time < math.inf
    found = lazy_curve(model, data, loss=loss, times=[time / 2, time], rtol=1e-5).history
    weights = {name: p.detach() for name, p in model.named_parameters()}
    J = torch.func.jacrev(lambda w: torch.func.functional_call(model, w, (X,)).flatten())(weights)
    J = torch.cat([part.reshape(30, -1) for part in J.values()], 1).detach()
    f0, moved = model(X).detach(), torch.zeros(J.shape[1], dtype=torch.float64)
    for _ in range(steps := 10_000):
        f = (f0[:20] + (J[:20] @ moved)[:, None]).requires_grad_()
        slope = torch.autograd.grad(loss(f, y[:20]), f)[0]
        moved -= time / steps * (J[:20].T @ slope)[:, 0]
    f = f0 + (J @ moved)[:, None]
    for side, part in (("train", slice(0, 20)), ("test", slice(20, 30))):
        zero = float(found[f"zero_{side}_loss"])
        seen = float(loss(f[part], y[part])) / zero
        half, end = found[f"{side}_loss"].values / zero
        assert end == pytest.approx(seen, abs=near)
        assert side == "test" or half != pytest.approx(seen, abs=10 * near)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (range(0, 3000, 10), "must be below .*, the largest stable one at step 0: training diverg"),
        (None, r"must be at most .*, the largest stable one, or the curve has no end"),
    ],
)
def test_an_unstable_rate_is_a_divergence_with_the_stable_rate(times, message):
    """It gave losses of nan. The control is a rate that is just stable."""
    X = standard_normal(0, "train inputs", (12, 3))
    model, data = mlp((3, 20, 1), nn.Tanh), Data(X, X[:, :1], X, X[:, :1])
    stable = float(lazy_curve(model, data).history.stable_rate)
    with pytest.raises(ValueError, match=rf"learning_rate = .*: {message}"):
        lazy_curve(model, data, learning_rate=1.5 * stable, times=times)
    run = lazy_curve(model, data, learning_rate=0.99 * stable, times=times)
    assert np.isfinite(run.history.train_loss).all()
