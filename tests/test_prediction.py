"""``simulate.forecast`` and ``lazyrich predict``: against training, at corners, in words."""

import json
import math
import re
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lazyrich import cli
from lazyrich.simulate import DivergenceError, PolynomialTask, forecast, train
from lazyrich.simulate.laws import validated
from lazyrich.simulate.laws.data_sets import MOST_NOISE, task_of
from lazyrich.simulate.laws.prediction import Forecast
from lazyrich.simulate.laws.prediction_report import report
from lazyrich.simulate.outcome import phase_of
from lazyrich.simulate.record import default_grid
from lazyrich.simulate.train import plan_of


def _near(said, seen, steps, aim=0.1):
    if math.isinf(said) or math.isinf(seen):
        return min(said, seen) > steps / (1 + aim)
    return abs(said - seen) <= max(aim * seen, 1)


def _agrees(task, **network):
    """Whether the forecast is that of gradient descent, step by step, within a tenth."""
    (said,) = forecast(task, **network).forecasts
    grid = default_grid(network["steps"], 40)
    try:
        run = train(task, engine="moments", alignment=None, record=grid, **network)
    except DivergenceError:
        return math.isfinite(said.diverges)
    seen = run.outcome()
    assert math.isinf(said.diverges)
    for side in ("train_fall", "test_fall"):
        a, b = getattr(said, side), getattr(seen, side)
        assert (math.isnan(a) and math.isnan(b)) or _near(a, b, network["steps"]), (said, seen)
    return True


@settings(max_examples=25)
@given(
    st.integers(6, 16),
    st.floats(0.5, 10),
    st.sampled_from([math.inf, 10, 100]),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.floats(0.03, 3),
    st.floats(0.02, 0.5),
    st.booleans(),
    st.sampled_from([0.0, 0.7]),
    st.integers(0, 100),
)
def test_a_forecast_is_what_descent_comes_to(
    D, ratio, width, noise, alpha, epsilon, centred, momentum, seed
):
    task = PolynomialTask(D, math.ceil(D * ratio), seed=seed, noise=noise)
    options = {"alpha": alpha, "epsilon": epsilon, "width": width, "centred": centred}
    rate = 0.3 * (1 - momentum) / (1 + epsilon**2)
    assert _agrees(task, steps=2000, learning_rate=rate, momentum=momentum, seed=seed, **options)


@pytest.mark.parametrize(
    ("size", "network"),
    [
        ((1, 5), {"alpha": 1.0, "epsilon": 0.5}),
        ((5, 1), {"alpha": 1.0, "epsilon": 0.5}),
        ((1, 1), {"alpha": 1.0, "epsilon": 0.5, "width": 1}),
        ((6, 40), {"alpha": 1e-12, "epsilon": 0.1, "centred": False}),
        ((6, 40), {"alpha": 1e-150, "epsilon": 0.1}),
        ((6, 40), {"alpha": 1e12, "epsilon": 0.1}),
        ((6, 40), {"alpha": 1e150, "epsilon": 0.3}),
        ((6, 40), {"alpha": 1e6, "epsilon": 0.3, "centred": False, "learning_rate": 0.3}),
        ((6, 40), {"alpha": 1.0, "epsilon": 0.0}),
        ((6, 40), {"alpha": 1.0, "epsilon": -0.3}),
        ((6, 40), {"alpha": 1.0, "epsilon": 1e60}),
        ((6, 40), {"alpha": 0.5, "epsilon": 0.3, "width": 1}),
        ((6, 40), {"alpha": 0.5, "epsilon": 0.3, "sigma": 0.0}),
        ((6, 40), {"alpha": 0.5, "epsilon": 0.3, "learning_rate": 30.0}),
        ((6, 40), {"alpha": 1.0, "epsilon": 0.3, "weight_decay": 1e-2}),
        ((6, 40), {"alpha": 1.0, "epsilon": 0.3, "decoupled_weight_decay": 1e-3, "momentum": 0.5}),
    ],
    ids=str,
)
def test_corners(size, network):
    assert _agrees(PolynomialTask(*size, n_test=20, seed=1), steps=1000, **network)


def test_from_many_labels_of_single_precision_and_another_target():
    base = PolynomialTask(8, 60, n_test=200, seed=3)
    arrays = {"X": base.X, "X_test": base.X_test}
    arrays |= {"y": (base.X @ base.beta).abs(), "y_test": (base.X_test @ base.beta).abs()}
    single = {name: array.float().numpy() for name, array in arrays.items()}
    network = {"alpha": 2.0, "epsilon": 0.3, "steps": 3000}
    task = PolynomialTask.from_arrays(**single)
    assert _agrees(task, **network)
    one, other = forecast(single, **network), forecast(arrays, **network)
    assert one.train_fall == pytest.approx(other.train_fall, rel=1e-3)
    assert one.report["test loss"] == "on 200 test samples"


def test_the_same_network_as_simulate_trains_by_default():
    found = forecast(D=10, P=60, draws=1, alpha=2.0, epsilon=0.2, steps=2000)
    seen = train(PolynomialTask(10, 60), alpha=2.0, epsilon=0.2, steps=2000).outcome()
    assert found.train_fall == pytest.approx(seen.train_fall, rel=0.03)
    assert found.test_fall == pytest.approx(seen.test_fall, rel=0.03)


def test_it_takes_a_small_part_of_the_gradients():
    from lazyrich.simulate.laws.outlook import outlook

    task = PolynomialTask(20, 120, seed=0)
    options = {"alpha": 1.0, "epsilon": 0.05}
    found = outlook(plan_of(task, **options).training)
    run = train(task, alignment=None, **options)
    assert found.evaluations < int(run.history.evaluations[-1]) / 4
    assert found.evaluations < 1000


@settings(max_examples=10)
@given(st.integers(4, 10), st.floats(0, 0.3), st.integers(0, 20))
def test_labels_without_a_test_set_are_fitted_and_the_rest_is_noise(D, share, seed):
    """It leaves no more than the true beta does, and nothing that a step of Gauss would take."""
    known = PolynomialTask(D, 12 * D, seed=seed, noise=share)
    free = known.P - D
    noise = math.sqrt(float((known.y - known.target(known.X)).square().sum()) / free)
    size = math.sqrt(float(known.y.square().mean()))
    assume(noise <= math.sqrt(MOST_NOISE) * size)
    found = task_of({"X": known.X, "y": known.y})
    torch.testing.assert_close(found.y, known.y)
    assert found.noise <= noise * (1 + 1e-9) + 1e-7 * size
    left = known.y - found.target(found.X)
    slopes = (found.X @ found.beta)[:, None] * found.X
    fitted = slopes @ torch.linalg.lstsq(slopes, left).solution
    assert fitted.norm() <= 1e-3 * left.norm() + 1e-7 * known.y.norm()
    assert found.noise == pytest.approx(math.sqrt(float(left @ left) / free), rel=1e-9, abs=1e-7)
    if not share:
        assert abs(float(found.beta @ known.beta)) / D == pytest.approx(1, abs=1e-6)


def test_labels_that_nothing_fits_give_the_train_loss_alone():
    rng = np.random.default_rng(0)
    data = {"X": rng.standard_normal((60, 6)) / 6**0.5, "y": rng.standard_normal(60)}
    found = forecast(data, alpha=1.0, epsilon=0.3, steps=2000)
    assert found.phase == "not known"
    assert math.isnan(found.test_fall)
    assert "no test set given" in str(found)


def test_labels_of_single_precision_give_the_forecast_of_double():
    task = PolynomialTask(10, 80, n_test=1, seed=0)
    single = {"X": task.X.float().numpy(), "y": task.y.float().numpy()}
    scales = {"alpha": 4.0, "epsilon": 0.02}
    found, expected = forecast(single, **scales), forecast(task, **scales)
    assert found.test_fall == pytest.approx(expected.test_fall, rel=1e-3)


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
    (found,) = forecast(task, epsilon=0.1, width=math.inf, steps=100).forecasts
    run = train(task, engine="linearised", width=math.inf, epsilon=0.1, steps=1)
    expected = float(run.history.kernel_regression_population_loss)
    assert found.lazy_loss == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert (found.lazy_loss == 0) == (kind == "all")


@pytest.mark.parametrize("width", [3, 50, math.inf])
def test_the_lazy_loss_is_that_of_kernel_regression(width):
    for P in (5, 20, 80):
        task = PolynomialTask(6, P, noise=0.2)
        network = {"epsilon": 0.3, "width": width, "seed": 2}
        (found,) = forecast(task, steps=10, **network).forecasts
        run = train(task, engine="linearised", steps=1, **network)
        expected = float(run.history.kernel_regression_population_loss)
        assert found.lazy_loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 10**12}, "draws = 1000000000000: must be at most 10000"),
        ({"steps": 10**15}, "steps = 1000000000000000: their product must be at most"),
        ({"learning_rate": 1e300}, "learning_rate = 1e\\+300"),
        ({"epsilon": 1e300}, "epsilon = 1e\\+300: must be at most 1e\\+70"),
        ({"alpha": 0.0}, "alpha = 0.0"),
        ({"momentum": 1.0}, "momentum = 1.0"),
        ({"width": 0}, "width = 0"),
        ({"noise": -1.0}, "noise = -1.0"),
        ({"target": "beta.z"}, "target"),
        ({"D": None}, "D = None"),
        ({"data": PolynomialTask(3, 5)}, "D = 5: must be left out"),
        ({"data": {"X": [[1.0]], "z": 3}, "D": None, "P": None}, "data has X, z: must have X"),
        ({"data": [1.0], "D": None, "P": None}, "data is list: must be a task"),
        ({"data": {"X": [[1.0]], "y": [0.0]}, "D": None, "P": None}, "y is 0 everywhere"),
        ({"data": {"X": [[1.0]], "beta": [0.0]}, "D": None, "P": None}, "beta is 0"),
        ({"data": {"X": [[math.nan]], "y": [1.0]}, "D": None, "P": None}, "X has 1 NaN"),
    ],
)
def test_bad_input_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        forecast(**({"D": 5, "P": 20, "alpha": 1.0, "epsilon": 0.1} | change))
    assert "\n" not in str(caught.value)


SMALL = plan_of(PolynomialTask(4, 12, seed=0), engine="moments", alignment=None, steps=10)
FALLS = st.one_of(st.floats(0.1, 100.0), st.just(math.inf))


@given(falls=st.lists(st.tuples(FALLS, FALLS), min_size=1, max_size=9))
def test_the_phase_said_is_that_of_the_times_said(falls):
    """However many data sets are of which phase: times near the edges between phases, too."""
    found = [Forecast(train, test, 100.0, 1.0, 1.0) for train, test in falls]
    said = report(found, SMALL, drawn=True)["quantities"]
    train, test, delay = (
        said[name]["value"] for name in ("train loss falls", "test loss falls", "time to grok")
    )
    assert phase_of(train, test) == said["phase"]["value"]
    assert said["phase"]["share"] == max(Counter(one.phase for one in found).values()) / len(falls)
    assert delay == test - train or (math.isnan(delay) and train == math.inf)
    assert ("least" in said["time to grok"]) == all(math.isfinite(train) for train, _ in falls)
    if "least" in said["time to grok"] and math.isfinite(delay):
        assert said["time to grok"]["least"] <= delay + 1e-12 * (abs(train) + abs(test))


@pytest.mark.parametrize(("P", "steps"), [(60, 340), (60, 75), (90, 3000), (110, 3000)])
def test_drawn_data_sets_of_several_phases_give_one_answer(P, steps):
    """Near the edges between phases, where the draws do not agree."""
    found = forecast(D=12, P=P, alpha=1.0, epsilon=0.2, draws=6, steps=steps)
    assert len({one.phase for one in found.forecasts}) > 1
    assert phase_of(found.train_fall, found.test_fall) == found.phase


def test_a_flow_too_stiff_to_follow_is_refused_at_once():
    with pytest.raises(ValueError, match="the flow is too stiff to follow that far"):
        train(PolynomialTask(5, 20, n_test=1), epsilon=1e40, steps=1000, alignment=None)


def test_what_to_do_comes_first():
    """A rate that diverges, and inputs that aren't those of the population loss."""
    fast = forecast(D=5, P=20, draws=2, steps=100, learning_rate=1e3)
    first = str(fast).splitlines()[0]
    limit = float(re.match(r"Lower the learning rate below ([\d.]+), ", first).group(1))
    assert forecast(D=5, P=20, draws=1, steps=100, learning_rate=0.5 * limit).phase != "diverges"
    task = PolynomialTask(5, 200, seed=0)
    wide = {"X": 3 * task.X.numpy(), "y": task.y.numpy()}
    options = {"steps": 100, "learning_rate": 0.01}
    assert "or divide X by 2.8" in str(forecast(wide, **options)).splitlines()[0]
    test_set = {"X_test": 3 * task.X_test.numpy(), "y_test": task.y_test.numpy()}
    for fine in (wide | test_set, wide | {"X": task.X.numpy()}):
        assert str(forecast(fine, **options)).startswith("y ")


def test_where_it_was_not_tried_is_said():
    inside = forecast(D=16, P=160, epsilon=0.05, draws=1, steps=10_000)
    assert "Your network is within the validated range" in str(inside)
    negative = forecast(D=16, P=160, epsilon=-0.05, draws=1, steps=3000)
    assert "Your network is within the validated range" in str(negative)
    assert "with negative epsilon" in str(negative)
    outside = forecast(D=16, P=160, alpha=0.001, epsilon=0.05, draws=1, steps=10_000)
    assert "OUTSIDE the validated range: alpha/epsilon = 0.02 (tried: 0.1 to 300)" in str(outside)


def test_the_ranges_are_those_of_the_numbers():
    found = forecast(D=5, P=20, draws=1, steps=10)
    assert set(validated.FORECASTS.ranges) == set(found.report["numbers"])


def test_the_reliability_is_what_the_200_runs_came_to():
    folder = Path(__file__).parents[1] / "benchmarks"
    found: dict = runpy.run_path(str(folder / "forecast.py"))
    rows = found["rows_of"](folder / "forecast.jsonl")
    right = sum(map(found["right"], rows))
    said = sum(row["phases"][0] == row["phases"][1] for row in rows)
    assert f"{right} of {len(rows)} random networks" in validated.FORECASTS.error
    assert f"the phase right for {said}" in validated.FORECASTS.error
    negative = found["rows_of"](folder / "forecast.jsonl", found["NEGATIVE"])
    assert all(map(found["right"], negative))
    assert f"{len(negative)} of {len(negative)} random networks" in validated.NEGATIVE.error
    page = (folder.parent / "docs/forecast.md").read_text()
    assert f"| all | {len(rows)} | **{right} (" in page
    wrong = [row["alpha"] / row["epsilon"] for row in rows if not found["right"](row)]
    assert len(wrong) == len(rows) - right
    assert max(wrong) < 0.25
    # A forecast in the place of another network's is mostly wrong.
    others = [rows[-1], *rows[:-1]]
    swapped = [row | {"said": other["said"]} for row, other in zip(rows, others, strict=True)]
    assert sum(map(found["right"], swapped)) < len(rows) / 3


@pytest.fixture
def predict(capsys):
    """Run ``lazyrich predict`` and return its exit code, output and errors."""

    def call(*arguments):
        code = 0
        try:
            cli.main(["predict", *arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return call


def test_predict_takes_a_data_set_by_labels_or_target(predict, tmp_path):
    task = PolynomialTask(10, 80, seed=0)
    np.savez(tmp_path / "y.npz", X=task.X, y=task.y)
    np.savez(tmp_path / "beta.npz", X=task.X, beta=task.beta)
    answers = []
    for name in ("y", "beta"):
        options = ("--alpha", "4", "--epsilon", "0.02", "--format", "json", "--quiet")
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
        (("--D", "5", "--P", "5", "--width", "many"), "--width many"),
        (("--D", "5", "--P", "5", "--readouts", "trained"), "must be left out"),
        (("--data", str(tmp_path / "none.npz")), "no such file"),
        (("--data", str(tmp_path / "junk.npz")), "not an .npz file"),
        (("--data", str(tmp_path / "odd.npz")), "labels"),
        (("--data", str(tmp_path / "short.npz")), "y has shape (2,)"),
        (("--data", "a.npz", "--D", "5"), "--D 5: must be left out"),
    ):
        code, out, error = predict(*scales, *arguments)
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert part in error


def test_the_command_prints_what_the_function_returns(predict):
    options = ("--D", "10", "--P", "60", "--alpha", "1", "--epsilon", "0.1", "--draws", "2")
    options += ("--noise", "0.1", "--momentum", "0.5", "--width", "inf", "--no-centred", "--quiet")
    found = forecast(
        D=10,
        P=60,
        alpha=1.0,
        epsilon=0.1,
        draws=2,
        noise=0.1,
        momentum=0.5,
        width=math.inf,
        centred=False,
    )
    assert predict(*options) == (0, f"{found}\n", "")
    assert predict(*options, "--format", "json")[1] == found.json() + "\n"
    assert found.phase in repr(found)
