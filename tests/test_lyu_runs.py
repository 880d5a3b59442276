"""Runs of the models of Lyu et al.: what they hold, how they fail, and what is refused."""

import math

import numpy as np
import pytest
import torch

from lazyrich import simulate
from lazyrich.simulate.lyu import SolverError, dual, factorisation

LINEAR = simulate.sparse_classification(d=30, n=8, k=1, n_test=50, seed=0)
REGRESSION = simulate.sparse_regression(d=30, n=8, k=1, n_test=50, seed=0)
MATRIX = simulate.matrix_completion(d=6, observed=0.6, seed=1)
NET, MODEL = simulate.DiagonalNet(start=0.1), simulate.MatrixFactorisation()
LONG = {"alpha": 50.0, "weight_decay": 1e-3, "time": 200.0}
SHORT = {"alpha": 3.0, "weight_decay": 0.01, "time": 20.0}


@pytest.mark.parametrize(("net", "task"), [(NET, LINEAR), (MODEL, MATRIX)])
@pytest.mark.parametrize("engine", ["exact", "neurons"])
def test_a_run_is_a_run_like_any_other(net, task, engine, tmp_path):
    """History, state, configuration, outcome, picture, a repr that names it, and the file."""
    rate = {"engine": "neurons", "learning_rate": 0.01} if engine == "neurons" else {}
    run = net.train(task, **SHORT, **rate)
    assert isinstance(run, simulate.Run)
    outcome = run.outcome()
    assert outcome.unit == "time"
    assert outcome.train_level == pytest.approx(2 / 15 * float(run.history.zero_train_loss))
    assert "alpha = 3" in repr(run)
    assert "train loss" in repr(run)
    assert run.plot().axes
    run.save(tmp_path / "run.nc")
    again = simulate.load(tmp_path / "run.nc")
    assert again.config == run.config
    assert again.history.equals(run.history)
    assert all(torch.equal(again.state[name], run.state[name]) for name in run.state)


@pytest.mark.parametrize(
    ("loss", "zero"), [("logistic", math.log(2)), ("exponential", 1.0), ("square", None)]
)
def test_the_loss_of_predicting_nothing_is_that_of_the_start(loss, zero):
    """f = 0 at the start, so that it is the first record as well."""
    task = REGRESSION if loss == "square" else LINEAR
    history = simulate.DiagonalNet(loss=loss).train(task, **SHORT).history
    zero = float(task.y.square().mean()) if zero is None else zero
    assert float(history.zero_train_loss) == pytest.approx(zero, rel=1e-12)
    for name in ("train_loss", "test_loss"):
        assert float(history[f"zero_{name}"]) == pytest.approx(float(history[name][0]), rel=1e-12)
    history = MODEL.train(MATRIX, **SHORT).history
    for name in ("train_loss", "test_loss"):
        assert float(history[f"zero_{name}"]) == pytest.approx(float(history[name][0]), rel=1e-12)


@pytest.mark.parametrize(("net", "task"), [(NET, LINEAR), (MODEL, MATRIX)])
@pytest.mark.parametrize(("rate", "message"), [(1e30, "takes no step"), (1e-300, "would take")])
def test_a_rate_that_takes_no_step_or_too_many_is_refused(net, task, rate, message):
    with pytest.raises(ValueError, match=rf"learning_rate = {rate:g}: {message}".replace("+", ".")):
        net.train(task, **SHORT, engine="neurons", learning_rate=rate)


@pytest.mark.filterwarnings("ignore::lazyrich.simulate.lyu.StabilityWarning")
@pytest.mark.parametrize(
    ("net", "task"),
    [(simulate.DiagonalNet(depth=3), LINEAR), (simulate.DiagonalNet(loss="square"), REGRESSION)],
)
def test_a_rate_of_1_that_diverges_is_an_error_with_the_stable_rate(net, task):
    """A bounded loss too: the objective ends far above the start, which descent never does."""
    with pytest.raises(simulate.DivergenceError) as caught:
        net.train(
            task, alpha=50.0, weight_decay=1e-3, time=200.0, engine="neurons", learning_rate=1
        )
    stable = net.stable_learning_rate(task, alpha=50.0, weight_decay=1e-3)
    assert caught.value.stable_rate == pytest.approx(stable)
    assert f"{stable:.4g}" in str(caught.value)


def test_stable_descent_is_never_called_divergence():
    """Just below the stable rate, and at rest, where rounding alone moves the objective."""
    rate = NET.stable_learning_rate(LINEAR, alpha=3.0, weight_decay=0.01) * 0.99
    NET.train(LINEAR, **SHORT | {"time": 300 * rate}, engine="neurons", learning_rate=rate)
    rest = simulate.LinearTask.from_arrays("regression", [[1.0]], [0.0])
    still = simulate.DiagonalNet(loss="square")
    still.train(rest, alpha=1.0, weight_decay=0.0, time=1.0, engine="neurons", learning_rate=0.1)


def test_weights_are_of_the_same_task_network_and_engine():
    run = NET.train(LINEAR, **SHORT)
    assert NET.weights(LINEAR, run).shape == (run.history.sizes["time"], 30)
    other = simulate.sparse_classification(d=30, n=8, k=1, n_test=50, seed=1)
    with pytest.raises(ValueError, match="run: its task is "):
        NET.weights(other, run)
    for net in (simulate.DiagonalNet(depth=3, start=0.1), simulate.DiagonalNet(start=0.2)):
        with pytest.raises(ValueError, match="run: its net is "):
            net.weights(LINEAR, run)
    arrays = [simulate.DiagonalNet(start=tuple(np.full(30, size))) for size in (0.1, 0.2)]
    run = arrays[0].train(LINEAR, **SHORT)
    arrays[0].weights(LINEAR, run)
    with pytest.raises(ValueError, match="run: its net is "):
        arrays[1].weights(LINEAR, run)
    slow = NET.train(LINEAR, **SHORT, engine="neurons", learning_rate=0.01)
    with pytest.raises(ValueError, match="engine 'neurons': must be of 'dual'"):
        NET.weights(LINEAR, slow)


@pytest.mark.parametrize("net_task", [(NET, LINEAR), (MODEL, MATRIX)])
def test_progress_is_reported_by_every_engine(net_task):
    net, task = net_task
    for engine in ({}, {"engine": "neurons", "learning_rate": 0.01}):
        calls = []
        net.train(
            task, **SHORT, **engine, progress=lambda done, todo, to=calls: to.append((done, todo))
        )
        assert calls
        assert calls[-1][0] == calls[-1][1]
        assert calls == sorted(calls)


def test_a_scale_that_is_lost_to_underflow_is_refused_before_work():
    with pytest.raises(ValueError, match=r"weight_decay time = 800.*must be between 1e-150"):
        MODEL.train(MATRIX, alpha=10.0, weight_decay=0.1, time=8000.0)
    with pytest.raises(ValueError, match=r"alpha = 1e\+200"):
        MODEL.train(MATRIX, alpha=1e200, weight_decay=0.0, time=1.0)


def test_a_flow_too_stiff_to_be_followed_says_so(monkeypatch):
    monkeypatch.setattr(factorisation, "MOST_EVALUATIONS", 500)
    with pytest.raises(SolverError, match=r"more than 500 evaluations.*alpha"):
        MODEL.train(MATRIX, alpha=10.0, weight_decay=1e-3, time=2e3)


TWO = simulate.LinearTask.from_arrays("regression", np.eye(3)[:2], [1.0, 2.0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rtol": 1.0}, "rtol = 1.0: must be from 1e-12 to 0.1"),
        ({"alpha": 1e-300}, "a number left the range of floating point"),
        ({"alpha": 1e50, "depth": 3}, "the flow could not be solved beyond t = "),
        ({"time": 1e300}, "the flow could not be solved beyond t = .*: more than 2000 steps"),
    ],
)
def test_a_network_that_cannot_be_trained_is_one_line(monkeypatch, given, message):
    monkeypatch.setattr(dual, "MOST_STEPS", 2000)
    options = {"alpha": 1.0, "weight_decay": 1e-2, "time": 10.0} | given
    net = simulate.DiagonalNet(depth=options.pop("depth", 2), loss="square")
    with pytest.raises(ValueError, match=message) as error:
        net.train(TWO, **options)
    assert "\n" not in str(error.value)
