"""Forecasts for one data set, checked against training; and the laws behind their parts."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.simulate import PolynomialTask, train
from lazyrich.simulate.laws import grokking, rich_flow, spike
from lazyrich.simulate.laws.least_trace import least_trace
from lazyrich.simulate.laws.rich_flow import early_growth, rich_curve
from lazyrich.simulate.laws.validated import FEATURES, LAWS, VALIDATED
from lazyrich.simulate.outcome import MEMORISES, SHARE, settled
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
    names = ("train_loss", "population_loss")
    return [float(settled(run.history[name], 0.75 * SHARE)) * end / steps for name in names]


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
        assert curve.train[0] == pytest.approx((rest @ rest) / len(y) / 0.75)


def test_a_smaller_tolerance_moves_no_time(monkeypatch):
    X, _, beta = _arrays(16, 80, 2)
    one = rich_curve(X, beta, 0.016)
    monkeypatch.setattr(rich_flow, "RTOL", rich_flow.RTOL / 10)
    other = rich_curve(X, beta, 0.016)
    assert one.train_fall == pytest.approx(other.train_fall, rel=0.01)
    assert one.test_fall == pytest.approx(other.test_fall, rel=0.01)


@pytest.mark.parametrize(("ratio", "features"), [(4, 0.01), (12, 1.0), (3, 1e-3)])
def test_the_fast_solution_is_that_of_the_slow_reference(ratio, features):
    X, _, beta = _arrays(10, 10 * ratio, 6)
    curve = rich_curve(X, beta, 10 * features, horizon=4)
    slow = SlavedFlow(X, beta, features).curve(curve.time[1:] * 10)  # S = |beta|^2 T
    big = curve.test[1:] > 0.01
    assert curve.train[1:] == pytest.approx(slow.train / (3 / 400), rel=0.02, abs=2e-3)
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
    scales = {"alpha": 1.0, "epsilon": 0.05, "draws": 2}
    for P, phase in ((10, "memorises"), (80, "groks"), (480, "generalises")):
        assert all(one.phase.startswith(phase) for one in grokking.forecasts(16, P, **scales))


def test_for_few_samples_the_train_loss_falls_with_the_linear_modes():
    D, P = 20, 12
    X, _, beta = _arrays(D, P, 0)
    found = grokking.forecast(X, beta, alpha=20.0, epsilon=0.05)
    task = PolynomialTask(D, P, n_test=1, seed=0)
    options = {"alpha": 20.0, "epsilon": 0.05, "width": math.inf, "centred": True}
    run = train(task, engine="flow", steps=2000, alignment=None, **options)
    assert found.train_fall == pytest.approx(float(settled(run.history.train_loss, 0.1)), rel=0.05)
    assert found.phase == MEMORISES


def test_the_target_is_found_from_labels_or_asked_for():
    X, y, beta = _arrays(10, 50, 2)
    assert abs(grokking.target_behind(X, y) @ beta) == pytest.approx(10)
    with pytest.raises(ValueError, match="don't tell beta"):
        grokking.target_behind(X[:15], y[:15])
    with pytest.raises(ValueError, match="no beta found"):
        grokking.target_behind(X, y - 1)


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


def test_every_number_has_a_validated_range():
    assert set(LAWS.values()) == set(VALIDATED)
    inside = {"D": 20, "P/D": 6, "alpha/epsilon": 10, FEATURES: 0.01}
    assert not any(law.outside(inside) for law in VALIDATED.values())


@pytest.fixture
def predict(capsys):
    """Run ``lazyrich predict`` and return its exit code, output and errors."""
    from lazyrich import cli

    def call(*arguments):
        code = 0
        try:
            cli.main(["predict", *arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return call


def test_predict_says_where_its_laws_were_not_tried(predict):
    options = ("--D", "16", "--P", "160", "--epsilon", "0.05", "--draws", "1")
    code, inside, _ = predict(*options, "--alpha", "1")
    assert code == 0
    assert "OUTSIDE" not in inside.split("early plateau, test loss,")[0]
    _, outside, _ = predict(*options, "--alpha", "0.01")
    assert "OUTSIDE the validated range in alpha/epsilon" in outside


def test_predict_takes_a_data_set_by_labels_or_target(predict, tmp_path):
    X, y, beta = _arrays(10, 80, 0)
    np.savez(tmp_path / "y.npz", X=X, y=y)
    np.savez(tmp_path / "beta.npz", X=X, beta=beta)
    answers = []
    for name in ("y", "beta"):
        options = ("--alpha", "4", "--epsilon", "0.02", "--format", "json")
        code, out, _ = predict("--data", str(tmp_path / f"{name}.npz"), *options)
        assert code == 0
        answers.append(json.loads(out))
    times = [answer["quantities"]["test loss falls"]["value"] for answer in answers]
    assert times[0] == pytest.approx(times[1], rel=1e-3)
    assert answers[0]["data sets drawn"] == 0


def test_predict_refuses_in_one_line(predict, tmp_path):
    scales = ("--alpha", "1", "--epsilon", "0.1")
    np.savez(tmp_path / "short.npz", X=np.ones((3, 2)), y=np.ones(2))
    np.savez(tmp_path / "odd.npz", X=np.ones((3, 2)), labels=np.ones(3))
    (tmp_path / "junk.npz").write_text("no archive")
    for arguments, part in (
        (("--P", "5"), "--D is missing"),
        (("--D", "0", "--P", "5"), "D = 0"),
        (("--D", "5", "--P", "5", "--draws", "0"), "draws = 0"),
        (("--data", str(tmp_path / "none.npz")), "no such file"),
        (("--data", str(tmp_path / "junk.npz")), "not an .npz file"),
        (("--data", str(tmp_path / "odd.npz")), "labels"),
        (("--data", str(tmp_path / "short.npz")), "y has shape (2,)"),
        (("--data", "a.npz", "--D", "5"), "--D 5: must be left out"),
    ):
        code, out, error = predict(*scales, *arguments)
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert part in error


def _degenerate(kind):
    """Forty inputs that don't tell all features apart: equal rows, a column of zeros."""
    task = PolynomialTask(4, 40, n_test=1, seed=0)
    X = task.X.clone()
    if kind == "equal rows":
        X[:] = X[0]
    elif kind == "a zero column":
        X[:, 1] = 0
    elif kind == "few rows, often":
        X[:] = X[:5].repeat(8, 1)
    return PolynomialTask.from_arrays(X, task.beta)


@pytest.mark.parametrize("kind", ["equal rows", "a zero column", "few rows, often", "all"])
def test_the_lazy_loss_follows_the_rank_and_not_the_number_of_samples(kind):
    task = _degenerate(kind)
    (found,) = simulate.forecast(task, epsilon=0.1).forecasts
    run = train(task, engine="linearised", width=math.inf, epsilon=0.1, steps=1)
    expected = float(run.history.kernel_regression_population_loss)
    assert found.lazy_loss == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert (found.lazy_loss == 0) == (kind == "all")


def test_labels_of_single_precision_give_the_forecast_of_double():
    task = PolynomialTask(10, 80, n_test=1, seed=0)
    single = {"X": task.X.float().numpy(), "y": task.y.float().numpy()}
    scales = {"alpha": 4.0, "epsilon": 0.02}
    found, expected = simulate.forecast(single, **scales), simulate.forecast(task, **scales)
    assert found.test_fall == pytest.approx(expected.test_fall, rel=1e-5)


def test_the_command_prints_what_the_function_returns(predict):
    options = ("--D", "10", "--P", "60", "--alpha", "1", "--epsilon", "0.1", "--draws", "2")
    found = simulate.forecast(D=10, P=60, alpha=1.0, epsilon=0.1, draws=2)
    assert predict(*options) == (0, f"{found}\n", "")
    assert predict(*options, "--format", "json")[1] == found.json() + "\n"
    assert found.phase in repr(found)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PolynomialTask(3, 5, target="(beta.x)^3"), r"this task has y = "),
        (PolynomialTask(3, 5, noise=0.1), "noise of variance 0.01"),
        ({"X": [[1.0]], "z": 3}, "data has X, z: must have X, and y or beta"),
        ([1.0], "data is list: must be a task"),
    ],
)
def test_what_the_laws_are_not_for_is_one_line(data, message):
    with pytest.raises(ValueError, match=message):
        simulate.forecast(data)
