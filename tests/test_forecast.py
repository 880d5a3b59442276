"""The limit epsilon/alpha -> 0 on one data set, against training; and the laws behind its parts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazyrich.simulate import PolynomialTask, train
from lazyrich.simulate.laws import grokking, rich_flow, spike
from lazyrich.simulate.laws.least_trace import least_trace
from lazyrich.simulate.laws.rich_flow import early_growth, rich_curve
from lazyrich.simulate.outcome import MEMORISES
from lazyrich.verify.properties.slaved_flow import SlavedFlow


def _arrays(D, P, seed):
    task = PolynomialTask(D, P, n_test=1, seed=seed)
    return task.X.numpy(), task.y.numpy(), task.beta.numpy()


def _measured(D, P, seed, s, laziness, end):
    """T at which the losses fall under gradient flow, for train and test."""
    task = PolynomialTask(D, P, n_test=1, seed=seed)
    steps = 100_000
    run = train(
        task,
        alpha=math.sqrt(s * laziness),
        epsilon=math.sqrt(s / laziness),
        width=math.inf,
        engine="flow",
        steps=steps,
        learning_rate=end * laziness / steps,
        centred=True,
        alignment=None,
        record=np.unique(np.geomspace(1, steps, 400).astype(int)).tolist(),
    )
    found = run.outcome().scaled(end / steps)
    return [found.train_fall, found.test_fall]


@pytest.mark.parametrize(("D", "ratio", "features"), [(12, 5, 1e-3), (16, 12, 0.1)])
def test_training_falls_when_predicted_the_closer_the_lazier(D, ratio, features):
    X, _, beta = _arrays(D, D * ratio, 5)
    curve = rich_curve(X, beta, features * D)
    predicted = np.array([curve.train_fall, curve.test_fall])
    gaps = [
        np.abs(_measured(D, D * ratio, 5, features * D, lazy, 1.5 * curve.time[-1]) / predicted - 1)
        for lazy in (3.0, 100.0)
    ]
    assert (gaps[0] < 0.25).all()
    assert (gaps[1] < 0.02).all()


@settings(max_examples=20)
@given(st.integers(4, 12), st.floats(2, 12), st.floats(1e-4, 0.1), st.floats(0.1, 10))
def test_only_alpha_epsilon_over_the_labels_counts(D, ratio, features, scale):
    X, _, beta = _arrays(D, math.ceil(D * ratio), 3)
    one = rich_curve(X, beta, features * D, horizon=5)
    other = rich_curve(X, beta * scale**0.5, features * D * scale, horizon=5)
    assert other.time * scale == pytest.approx(one.time, rel=1e-6)
    assert other.test == pytest.approx(one.test, rel=1e-6)


@settings(max_examples=12)
@given(st.integers(2, 8), st.floats(2, 8), st.floats(1e-4, 1), st.integers(0, 100))
def test_the_train_loss_never_rises_and_begins_at_least_squares(D, ratio, features, seed):
    X, y, beta = _arrays(D, math.ceil(D * ratio), seed)
    for free in (D, 1, 0):
        curve = rich_curve(X, beta, features * D, free=free, horizon=3)
        assert (np.diff(curve.train) <= rich_flow.RTOL).all()
        rest = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
        assert curve.train[0] == pytest.approx((rest @ rest) / (y @ y))


def test_a_smaller_tolerance_moves_no_time(monkeypatch):
    X, _, beta = _arrays(16, 80, 2)
    one = rich_curve(X, beta, 0.016)
    monkeypatch.setattr(rich_flow, "RTOL", rich_flow.RTOL / 10)
    other = rich_curve(X, beta, 0.016)
    assert one.train_fall == pytest.approx(other.train_fall, rel=0.01)
    assert one.test_fall == pytest.approx(other.test_fall, rel=0.01)


@pytest.mark.parametrize(("ratio", "features"), [(4, 0.01), (12, 1.0), (3, 1e-3)])
def test_the_fast_solution_is_that_of_the_slow_reference(ratio, features):
    X, y, beta = _arrays(10, 10 * ratio, 6)
    curve = rich_curve(X, beta, 10 * features, horizon=4)
    slow = SlavedFlow(X, beta, features).curve(curve.time[1:] * 10)  # S = |beta|^2 T
    big = curve.test[1:] > 0.01
    zero = float(y @ y) / len(y) / 100  # in its units, |beta|^2 = 1
    assert curve.train[1:] == pytest.approx(slow.train / zero, rel=0.02, abs=2e-3)
    assert curve.test[1:][big] == pytest.approx(slow.test[big] / (3 / 400), rel=0.02)


def test_early_growth_is_that_of_the_flow():
    X, y, beta = _arrays(10, 60, 1)
    values, vectors = early_growth(X, y)
    flow = rich_flow._Flow(X, beta, 1e-9, 10)
    slope = flow.slope(0.0, flow.start).reshape(10, 10) / 1e-9**0.5
    assert slope == pytest.approx(2 * vectors * values, abs=1e-6)


@pytest.mark.parametrize("ratio", [4, 10])
def test_the_law_of_the_spike_is_that_of_data_sets(ratio):
    D, draws = 40, 24
    P, found = D * ratio, []
    for seed in range(draws):
        X, y, beta = _arrays(D, P, seed)
        values, vectors = early_growth(X, y)
        found.append((values[0] * D, (vectors[:, 0] @ beta) ** 2 / D))
    law = np.array([(one.value, one.overlap) for one in spike.spikes(D, P, draws=64)])
    error = np.std(found, axis=0) / draws**0.5 + law.std(0) / 8
    # Of order 1/sqrt(D): at finite D part of the bulk's directions help the overlap.
    assert (np.abs(np.mean(found, axis=0) - law.mean(0)) < 4 * error + [0.1, 0.1]).all()


def test_the_spike_needs_more_samples_in_more_dimensions():
    shares = [spike.share_standing_out(D, 3 * D, draws=16) for D in (40, 4000)]
    assert shares[0] > 0.6 > shares[1]


@pytest.mark.parametrize(("ratio", "recovers"), [(2, False), (5, True)])
def test_least_trace_fits_and_recovers_from_enough_samples(ratio, recovers):
    X, y, beta = _arrays(12, 12 * ratio, 4)
    Q, u = least_trace(X, y, iterations=3000)
    assert X @ u + ((X @ Q) * X).sum(1) / 2 == pytest.approx(y, abs=1e-6)
    assert np.linalg.eigvalsh(Q)[0] > -0.01
    assert np.trace(Q) <= 12 * (1 + 1e-3)  # beta beta^T fits too
    assert bool(np.abs(Q - np.outer(beta, beta)).max() < 0.02) == recovers


def test_phases_of_small_networks():
    for P, phase in ((10, "memorises"), (80, "groks"), (480, "generalises")):
        for seed in (0, 1):
            X, _, beta = _arrays(16, P, seed)
            found = grokking.forecast(X, beta, alpha=1.0, epsilon=0.05)
            assert found.phase.startswith(phase)


def test_for_few_samples_the_train_loss_falls_with_the_linear_modes():
    D, P = 20, 12
    X, _, beta = _arrays(D, P, 0)
    found = grokking.forecast(X, beta, alpha=20.0, epsilon=0.05)
    task = PolynomialTask(D, P, n_test=1, seed=0)
    options = {"alpha": 20.0, "epsilon": 0.05, "width": math.inf, "centred": True}
    run = train(task, engine="flow", steps=2000, alignment=None, **options)
    assert found.train_fall == pytest.approx(run.outcome().train_fall, rel=0.05)
    assert found.phase == MEMORISES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": -0.1}, "product must be above 0"),
        ({"alpha": 0.0}, "alpha = 0.0"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"beta": [0.0, 0.0]}, "beta is 0"),
        ({"X": [[1.0, math.nan]]}, "X has 1 NaN"),
    ],
)
def test_bad_input_in_one_line(change, message):
    good = {"X": [[1.0, 2.0]], "beta": [1.0, 1.0], "alpha": 1.0, "epsilon": 0.1}
    with pytest.raises(ValueError, match=message):
        grokking.forecast(**good | change)
