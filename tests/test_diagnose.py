"""The diagnosis of a network: its parts against what they are, its answer in every form."""

import copy
import functools
import json
import math
import re
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich import cli, simulate
from lazyrich.commands.diagnose import command
from lazyrich.simulate import Data, Scaled, diagnose, fit, fit_flow
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.diagnosis import curve, reliability, trained, work
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.extrapolation import (
    Extrapolated,
    by_decay,
    came_to_an_end,
    final_share,
    when_test_falls,
    when_train_falls,
)
from lazyrich.simulate.diagnosis.forecast import forecast
from lazyrich.simulate.diagnosis.labels import against_labels
from lazyrich.simulate.diagnosis.laziness import Laziness
from lazyrich.simulate.diagnosis.pilots import BUDGET, Pilot, rescaled, watched
from lazyrich.simulate.diagnosis.printed import printed
from lazyrich.simulate.diagnosis.trained import _cause
from lazyrich.simulate.modules.losses import mean_square
from lazyrich.simulate.modules.mlp import mlp
from lazyrich.simulate.modules.small import Diagonal
from lazyrich.simulate.outcome import SHARE, Outcome
from lazyrich.simulate.run import Run
from lazyrich.support.user_code import function_of, made_by


def sparse(alpha):
    X = standard_normal(0, "train inputs", (220, 40))
    y = X[:, 0] - X[:, 1]
    return Scaled(Diagonal(40), alpha), Data(X[:20], y[:20], X[20:], y[20:])


def easy():
    X = standard_normal(0, "train inputs", (60, 4))
    y = X[:, :1]
    return mlp((4, 40, 1), nn.Tanh), Data(X[:40], y[:40], X[40:], y[40:])


def test_an_easy_task_generalises_at_once_and_the_model_is_left_alone():
    model, data = easy()
    before = copy.deepcopy(model.state_dict())
    found = diagnose(model, data)
    assert found.verdict == "generalises at once"
    assert len(found.sentences()) == 2
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    seen = fit_flow(model, data, loss="mse", time=found.forecast.horizon / 10).outcome()
    assert seen.phase == found.verdict
    assert found.forecast.train.value == pytest.approx(seen.train_fall, rel=0.3)


def test_lazy_memorises_and_rich_does_not():
    """The diagonal network: alpha decides, and the forecasts are right at both ends."""
    for alpha, phase in ((30.0, "memorises"), (1e-3, "generalises at once")):
        model, data = sparse(alpha)
        found = diagnose(model, data, train=True)
        assert found.trained.outcome.phase == phase
        assert found.forecast.phase == phase
    assert found.laziness.departure > 1  # rich
    assert found.laziness.error < 1e-6  # by symmetry: u and v move against each other


def test_after_training_it_says_where_the_twin_was_left():
    model, data = sparse(0.03)
    start = copy.deepcopy(model)
    rate = 0.2 * simulate.stable_rate(model, data, "mse")
    run = fit(model, data, loss="mse", optimiser=lambda w: torch.optim.SGD(w, lr=rate), steps=200)
    found = diagnose(start, data, run=run, with_pilots=False)
    trained = found.trained
    assert trained.outcome == run.outcome()
    twin = simulate.fit(
        simulate.linearise(start),
        data,
        loss="mse",
        optimiser=lambda w: torch.optim.SGD(w, lr=rate),
        steps=200,
    ).history
    gap = abs(run.history.test_loss - twin.test_loss) > 0.1 * run.history.zero_test_loss
    expected = float(run.history.step[np.argmax(gap.values)]) if gap.any() else math.inf
    assert 0 < expected < 200
    assert trained.left == pytest.approx(expected, rel=0.3)
    training, *rest = found.sentences()  # what was seen comes first
    forecast_ = [line for line in rest if line.startswith("Forecast from the initial weights: it")]
    assert len(forecast_) == (found.forecast.phase != "not decided")
    assert training.startswith("In training it ")
    assert f"left that of its lazy twin at step {trained.left:.3g}" in training
    with pytest.raises(ValueError, match="give the model at its initial weights"):
        diagnose(model, data, run=run, with_pilots=False)


def test_with_weight_decay_the_transition_comes_late_and_when_forecast():
    model, data = sparse(1.0)
    found = diagnose(model, data, weight_decay=0.03, train=True)
    assert found.forecast.phase == found.verdict == "groks"
    assert "weight decay" in found.trained.cause
    assert abs(math.log(found.forecast.delay[0] / found.trained.outcome.delay)) < math.log(2)


def edge(alpha=0.7):
    """Sparse parity that groks without weight decay."""
    X = torch.as_tensor(np.sign(standard_normal(3, "train inputs", (430, 15)).numpy()))
    y = X[:, :2].prod(1, keepdim=True)
    model = Scaled(mlp((15, 64, 1), nn.ReLU, seed=3), alpha)
    return model, Data(X[:130], y[:130], X[130:], y[130:])


def slightly_lazy():
    return sparse(0.1)


@functools.cache
def without_decay(make):
    return diagnose(*make(), budget=600).forecast


@pytest.mark.parametrize(
    ("make", "decay"),
    [(edge, 1e-12), (edge, 1e-4), *((slightly_lazy, d) for d in (1e-12, 1e-8, 1e-6, 1e-4))],
)
def test_a_decay_too_small_to_matter_gives_the_times_of_no_decay(make, decay):
    """Times that come before 0.1/decay are those of no decay, and of training without.

    The pilot runs are not the same ones: without decay they end where nothing moves any more.
    """
    model, data = make()
    plain = without_decay(make)
    given = {"weight_decay": decay, "time": min(plain.horizon, 0.1 / decay)}
    decayed = diagnose(model, data, budget=600, **given).forecast
    assert decayed.phase == plain.phase
    assert plain.train.value * decay < 0.01
    assert decayed.train.value == pytest.approx(plain.train.value, rel=0.1)
    if math.isfinite(plain.test.value) and plain.test.value * decay < 0.01:
        assert decayed.test.value == pytest.approx(plain.test.value, rel=0.3)
        run, *_ = watched(model, data, mean_square, decay=decay, time=plain.horizon)
        seen = run.outcome()
        assert decayed.train.value == pytest.approx(seen.train_fall, rel=0.1)
        assert decayed.test.low < seen.test_fall < decayed.test.high


def test_decay_that_acts_before_the_horizon_brings_the_test_loss_down_linearly_in_log_r():
    """Falls at scaled times (3 + log r)/decay, after decay began to act."""
    decay = 1e-3
    runs = []
    for r in (0.25, 0.5):
        one = pilot(r, (3 + math.log(r)) / decay / r**2)
        one.run.config["weight_decay"] = decay * r**2
        runs.append(one)
    found = when_test_falls(runs, decay, 1.0)
    assert found.value == pytest.approx(3 / decay, rel=0.01)


def test_where_one_run_alone_shows_decay_the_range_begins_at_it():
    """Parity at twice the output, decay 0.02: runs at 3.3 and 6.6, truth 13.7; said 16 to 36.

    The control are two late runs: they measure the slope, and the range is narrow.
    """
    for early, low in ((3.28, 6.62), (6.0, None)):
        runs = [pilot(0.5, early / 0.25), pilot(0.707, 6.62 / 0.707**2)]
        found = by_decay(runs, 0.02)
        if low is not None:
            assert found.low == pytest.approx(low, rel=0.02)
            assert found.low < 13.7 < found.high
        else:
            assert found.low == pytest.approx(found.value / 1.5)


def test_decay_makes_a_network_richer_by_the_power_that_was_measured():
    """One late run: halving the weights counts as much as an output 2^power times smaller."""
    runs = [pilot(0.25, 16 * 1.0), pilot(0.5, 4 * 6.0)]
    for power in (1.0, 2.0):
        found = by_decay(runs, 0.05, power)
        assert found.value == pytest.approx(6 + math.log(2) / (power * 0.05), rel=0.01)
    # As a power of r it comes earlier: from 4 at 1/4 and 6 at 1/2 to 9.
    assert by_decay([pilot(0.25, 16 * 4.0), *runs[1:]], 0.01, 1.0).value == pytest.approx(
        9, rel=0.01
    )
    # The control: where a larger run memorised, and decay does not make the network richer.
    assert by_decay([*runs, pilot(0.7, 9.0, final=0.9)], 0.05, 0.0).value == math.inf


def test_what_decay_does_after_the_pilot_runs_end_is_said_to_be_unknown():
    model, data = sparse(1.0)
    found = diagnose(model, data, weight_decay=1e-7, budget=60).forecast
    assert found.phase == "memorises"
    assert "before weight decay acts" in found.reason


def test_the_labels_power_is_over_eigenvectors():
    J = standard_normal(0, "weights", (6, 9))
    K, y = J @ J.T, standard_normal(1, "beta", (6, 1))
    found = against_labels(K, y)
    values, vectors = torch.linalg.eigh(K)
    power = (vectors.T @ y).square().flatten().flip(0).cumsum(0) / y.square().sum()
    assert np.allclose(found.power, power)
    assert np.allclose(found.eigenvalues, values.flip(0))


@pytest.mark.parametrize("r", [0.25, 4.0])
def test_a_rescaled_predictor_is_r_times_as_large(r):
    model, data = easy()
    assert torch.allclose(rescaled(model, r)(data.X), r * model(data.X))
    scaled = Scaled(model, 3.0)
    with torch.no_grad():
        model[0].weight.add_(0.1)
    assert torch.allclose(rescaled(scaled, r)(data.X), r * scaled(data.X))


def pilot(r, time, ended="fell", final=1e-3):
    """A run whose losses go from 1 to ``final`` along a power of time, below 2/15 at ``time``."""
    import xarray

    t = np.concatenate([[0.0], np.geomspace(time / 1e3, time * 1e3, 3001)])
    history = xarray.Dataset(coords={"time": t})
    history["train_loss"] = ("time", 1 / (1 + 6.5 * (t / time) ** 2))
    history["test_loss"] = ("time", final + (1 - final) / (1 + 6.5 * (t / time) ** 2))
    history["zero_train_loss"] = history["zero_test_loss"] = 1.0
    return Pilot(r, Run(history, {}, {"weight_decay": 0.0}), ended, 1)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_times_are_extrapolated_by_a_power(power):
    runs = [pilot(r, r**power / r**2) for r in (0.125, 0.25)]
    found = when_test_falls(runs, 0.0, 1.0)
    assert found.value == pytest.approx(1.0, rel=0.02)
    assert found.low < 1 < found.high
    assert when_train_falls(runs, math.inf).value == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("power", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("edge", [0.6, 0.9, 1.1, 2.0])
def test_the_final_loss_says_whether_the_test_loss_falls(power, edge):
    """Final losses with odds (edge r)^power of the twin's 0.5: r = 1 generalises up to an edge."""
    level, floor = 2 / 15, 0.5
    odds = level / (floor - level)

    def final(r):
        o = odds * (edge * r) ** power
        return floor * o / (1 + o)

    def run_at(r):  # all with the same course of the odds over those of the end
        run = pilot(r, 1 / r**2, "flat")
        o = final(r) / (floor - final(r)) * (1 + (run.run.history.time * r**2) ** -2.0)
        run.run.history["test_loss"] = (floor / (1 + 1 / o)).where(run.run.history.time > 0, floor)
        return run

    runs = [run_at(r) for r in (0.125, 0.25, 0.5) if final(r) < level]
    assert final_share(runs, floor) == pytest.approx(final(1.0), rel=1e-3)
    found = when_test_falls(runs, 0.0, floor)
    if edge > 1:
        assert found == Extrapolated.never()
        return
    true = run_at(1.0).outcome.test_fall
    assert found.value == pytest.approx(true, rel=1e-2)
    assert found.low < true < found.high


@pytest.mark.parametrize("side", [0.5, 2.0])
def test_times_go_to_those_of_the_twin_from_either_side(side):
    """Odds that are a power of r; the control is no twin, where the time itself is a power of r."""
    twin = 3.0
    odds = {r: r**2 for r in (0.25, 0.5, 1.0)}
    at = {r: twin * (o / (1 + o) if side < 1 else (1 + o) / o) for r, o in odds.items()}
    runs = [pilot(r, at[r] / r**2) for r in (0.25, 0.5)]
    found = when_train_falls(runs, twin)
    assert found.value == pytest.approx(at[1.0], rel=0.02)
    assert found.low < at[1.0] < found.high
    assert when_test_falls(runs, 0.0, 0.01, 1.0, twin).value == pytest.approx(at[1.0], rel=0.02)
    assert abs(when_train_falls(runs, math.inf).value / at[1.0] - 1) > 0.1


@pytest.mark.parametrize("alpha", [3.0, 10.0])
def test_a_network_that_does_not_follow_its_twin_falls_when_pilot_runs_say(alpha):
    """Parity of the docs, not centred: at 1.42 and 0.414, its twin (the control) at 2.41 and 0.262.

    At 10, the output at the start is larger than the labels, and the twin no limit.
    """
    X = torch.as_tensor(np.random.default_rng(0).choice([-1.0, 1.0], (430, 15))).float()
    y = X[:, :1] * X[:, 1:2]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(15, 64), nn.ReLU(), nn.Linear(64, 1))
    model = Scaled(net, alpha, centred=False)
    data = Data(X[:130], y[:130], X[130:], y[130:])
    found = diagnose(model, data)
    run, *_ = watched(model, data, mean_square, decay=0.0, time=1.5, to_the_end=True)
    seen = run.outcome().train_fall
    assert found.forecast.train.value == pytest.approx(seen, rel=0.1)
    assert found.forecast.train.low < seen < found.forecast.train.high
    assert found.lazy.outcome().train_fall != pytest.approx(seen, rel=0.3)


def test_a_twin_that_generalises_is_no_reason_where_pilot_runs_memorise_to_the_end():
    """The control is pilot runs that were left before their end: the twin decides."""
    rich = Laziness([1.0], [2.0], [2.0], [2.0], 0.1)
    lazy = Outcome(1.0, 1.2, 1e6, SHARE, SHARE)
    for ended, phase in (("flat", "memorises"), ("budget", "generalises at once")):
        runs = [pilot(r, 1 / r, ended, final=0.9) for r in (0.25, 0.5)]
        if ended == "budget":  # at a train loss of 0.01
            runs = [
                replace(p, run=Run(p.run.history.isel(time=slice(0, 1797)), {}, p.run.config))
                for p in runs
            ]
        found = forecast(lazy, 0.01, rich, runs, decay=0.0, horizon=1e4)
        assert found.phase == phase
    assert "copies with a smaller output" not in found.reason


def test_a_larger_run_that_was_cut_short_counts_too():
    """Only the smallest fitted, at a scaled time of 1: the others had not at 4. It was said 1.

    The control is larger runs that fitted.
    """
    cut = pilot(0.5, 64.0).run.history.isel(time=slice(0, 1112))
    cut = replace(pilot(0.5, 64.0, "budget"), run=Run(cut, {}, {"weight_decay": 0.0}))
    end = cut.outcome.end / 4
    for last, earliest in ((cut, end), (pilot(0.5, 4.0), 0.5)):
        runs = [pilot(0.25, 16.0), last]
        train, test = when_train_falls(runs, math.inf), when_test_falls(runs, 0.0, 0.01)
        for found in (train, test):
            assert earliest <= found.low <= found.value <= found.high
    assert train.value == pytest.approx(1.0, rel=0.02)


def test_without_pilot_runs_a_rich_network_is_not_decided():
    """Its twin generalises, 40 times as late in one network. The control is a lazy network."""
    lazy = Outcome(1.0, 1.2, 1e6, SHARE, SHARE)
    for far, phase in ((2.0, "not decided"), (0.01, "generalises at once")):
        found = forecast(
            lazy, 0.01, Laziness([1.0], [far], [far], [far], 0.1), None, decay=0.0, horizon=1e4
        )
        assert found.phase == phase
        assert math.isnan(found.train.value) is (far > 1)


def test_a_run_cut_short_before_it_fits_does_not_say_that_it_never_fits():
    run = pilot(0.5, 4.0)
    history = run.run.history
    short = Run(history.where(history.time < 2, drop=True).drop_vars("zero_train_loss"), {}, {})
    short.history["zero_train_loss"] = short.history["zero_test_loss"] = 1.0
    cut = Pilot(0.5, short, "budget", 1)
    found = when_train_falls([cut], math.inf)
    assert found.low < 1.0 < found.high  # r^2 t
    assert when_train_falls([replace(cut, ended="flat")], math.inf) == Extrapolated.never()


def test_the_answer_in_every_form(tmp_path):
    model, data = easy()
    found = diagnose(model, data, train=True)
    text = str(found)
    for needle in ("generalises at once", "centred kernel-task alignment", "Reliability"):
        assert needle in text
    rows = found.sections()
    assert rows["Forecast"]["delay (time from train to test)"] == found.forecast.delay[0]
    assert rows["Training"]["phase"] == found.verdict
    sentences = " ".join(found.sentences())
    for side in ("train", "test"):  # the same number in the sentences and in the table
        value = printed(rows["Forecast"][f"{side} loss falls at time"])
        assert re.search(rf" {re.escape(value)}[.,]", sentences)
    content = json.loads(found.json())
    assert content["verdict"] == found.verdict
    found.html(tmp_path / "answer.html")
    page = (tmp_path / "answer.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "http" not in page.split("base64")[0]  # needs nothing from the net
    assert "data:image/png;base64" in found._repr_html_()
    assert len(found.plot().axes) == 3


def test_classes_with_cross_entropy():
    X = standard_normal(0, "train inputs", (90, 4))
    y = X[:, :3].argmax(1)
    data = Data(X[:60], y[:60], X[60:], y[60:])
    found = diagnose(mlp((4, 30, 3), nn.Tanh), data, loss="cross_entropy")
    assert found.lazy.outcome().train_fall < math.inf
    assert 0 < found.kernel.alignment < 1


OTHER_LOSSES = {
    "l1": nn.functional.l1_loss,
    "hinge": lambda f, y: nn.functional.relu(1 - y.sign() * f).mean(),
    "smooth_l1": nn.functional.smooth_l1_loss,
    "smooth_l1, from its linear part": nn.functional.smooth_l1_loss,
    "binary cross entropy": lambda f, y: nn.functional.binary_cross_entropy_with_logits(
        f, (y > 0).to(f)
    ),
}


@pytest.fixture
def left_early(monkeypatch):
    """A twin that is not followed to its end is left after 200 steps, not 2000."""
    for module in (curve, trained):
        monkeypatch.setattr(module, "MOST_STEPS", 200)


@pytest.mark.usefixtures("left_early")
@pytest.mark.parametrize("name", OTHER_LOSSES)
def test_forecasts_of_other_losses_are_those_of_small_steps_of_sgd(name):
    """Phase and times are right; those of the mean square, the control, are not."""
    n = 120 if name == "hinge" else 40  # with 40 samples it is at the edge: either may happen
    X = standard_normal(0, "train inputs", (n + 20, 4))
    y = 3 * X[:, :1] + X[:, 1:2] + (100 if "linear" in name else 0)
    data = Data(X[:n], y[:n], X[n:], y[n:])
    found = diagnose(mlp((4, 40, 1), nn.Tanh), data, loss=OTHER_LOSSES[name]).forecast
    time = 1.5 * (found.test if found.test.value < found.horizon else found.train).high
    sgd = {"optimiser": lambda w: torch.optim.SGD(w, lr=time / 1000), "steps": 1000}
    seen = fit(mlp((4, 40, 1), nn.Tanh), data, loss=OTHER_LOSSES[name], **sgd).outcome()
    assert seen.phase == found.phase
    control = simulate.lazy_curve(mlp((4, 40, 1), nn.Tanh), data).outcome()
    for side in ("train", "test"):
        fell = getattr(seen, f"{side}_fall") * time / 1000
        assert getattr(found, side).value == pytest.approx(fell, rel=0.15)
        assert getattr(control, f"{side}_fall") != pytest.approx(fell, rel=0.3)


def test_progress_and_interruption():
    model, data = easy()
    reports = []
    diagnose(model, data, progress=lambda done, total: reports.append(done / total))
    assert reports == sorted(reports)
    assert reports[-1] == 1

    def stop(done, _):
        if 3 < done < 5:  # in the pilot runs
            raise KeyboardInterrupt

    model, data = sparse(30.0)
    with pytest.warns(UserWarning, match="Interrupted; missing: the pilot runs at .* the output"):
        found = diagnose(model, data, progress=stop)
    assert found.pilots == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": Data(torch.ones(3, 4).double(), torch.ones(3, 1))}, "data has no test set"),
        ({"time": 0}, "time = 0: must be"),
        ({"loss": "mae"}, "loss = 'mae'"),
        ({"budget": 0}, "budget = 0: must be"),
        ({"memory": 1, "loss": nn.functional.l1_loss}, "memory = 1: the kernels take .* KiB"),
        ({"memory": "1G"}, "memory = '1G': must be"),
        ({"run": 3}, "run is int: must be the Run"),
        ({"loss": lambda f, y: (f - y) ** 2}, r"loss gives a tensor of shape \(40, 1\)"),
        ({"loss": lambda f, y: float((f - y).mean())}, "loss gives float: must give a tensor"),
        ({"loss": lambda f, y: (f - y).detach().mean()}, "loss does not depend on f"),
        ({"loss": "cross_entropy"}, "cross entropy needs at least 2 outputs"),
    ],
)
def test_bad_input_is_one_line(changes, message):
    model, data = easy()
    with pytest.raises(ValueError, match=message):
        diagnose(model, **{"data": data, **changes})


def spoilt(value=math.nan, **changes):
    model, data = easy()
    sides = {name: getattr(data, name).clone() for name in ("X", "y", "X_test", "y_test")}
    for name, row in changes.items():
        sides[name][row] = value
    return model, Data(**sides)


@pytest.mark.parametrize(
    ("size", "dtype", "message"),
    [
        (
            1e-25,
            "float",
            r"y has size 1e-25 .*: its loss is 0 in float32, by rounding; scale y up$",
        ),
        (1e-9, "float", "y has size 1e-09 .* rounding of the weights in float32 moves the outputs"),
        (
            1e25,
            "float",
            r"y has size 1e\+25 .*: its loss is inf in float32, by rounding; scale y d",
        ),
        (1e-25, "double", "rounding of the weights in float64 .* scale y up$"),
    ],
)
def test_labels_out_of_reach_of_the_precision_are_one_line_that_says_so(size, dtype, message):
    X = torch.linspace(-1, 1, 24, dtype=getattr(torch, dtype))[:, None]
    y = size * X.sign()
    model = getattr(mlp((1, 30, 1), nn.Tanh), dtype)()
    with pytest.raises(ValueError, match=message):
        diagnose(model, Data(X[::2], y[::2], X[1::2], y[1::2]))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 1).double()

    def forward(self, x):
        return {"y": self.inner(x)}


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (*spoilt(y_test=3), r"test loss is nan .* y_test has NaN or infinity in row 3"),
        (*spoilt(y=2), r"train loss is nan .* y has NaN or infinity in row 2"),
        (*spoilt(X_test=0), "outputs at X_test are not finite"),
        (*spoilt(0.0, y=slice(None)), "y is predicted by f = 0 without any loss"),
        (easy()[0], replace(easy()[1], X_test=torch.ones(20, 3)), "called on X_test: Runtime"),
        (
            easy()[0],
            replace(easy()[1], y_test=torch.ones(20)),
            r"y_test has shape \(20,\): must",
        ),
        (Two(), easy()[1], "model returns dict: must return one tensor here"),
        (mlp((4, 8, 1), nn.Tanh).float(), easy()[1], r"data.to\(torch.float32\) converts"),
    ],
)
def test_what_can_not_be_diagnosed_is_one_line(model, data, message):
    with pytest.raises(ValueError, match=message):
        diagnose(model, data)


def classes(y, y_test=None):
    X = standard_normal(0, "train inputs", (4, 4))
    other = torch.tensor([0, 1, 2, 0]) if y_test is None else torch.tensor(y_test)
    return Data(X, torch.tensor(y), X, other)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (classes([0, 1, 3, 0]), "y has 3 in row 2: classes must be whole numbers from 0 to 2"),
        (classes([0, -100, 2, 0]), "y has -100 in row 1: classes"),
        (classes([0.0, 0.5, 2.0, 0.0]), "y has 0.5 in row 1: classes"),
        (classes([0.0, math.nan, 2.0, 0.0]), "y has nan in row 1: classes"),
        (classes([0, 1, 2, 0], [0, 1, 2, 3]), "y_test has 3 in row 3: classes"),
        (classes([[1.0, 1.0, 0.0]] * 4), r"y has \[1.0, 1.0, 0.0\] in row 0: must be one-hot"),
        (classes([[1j, 0j, 0j]] * 4), "y is complex: must be real"),
    ],
)
def test_labels_that_are_no_classes_are_one_line_everywhere(data, message):
    """Also where torch would round a class number, or take it, in silence."""
    sgd = {"optimiser": lambda w: torch.optim.SGD(w, lr=0.1), "steps": 1}
    for call in (
        diagnose,
        functools.partial(fit_flow, time=1.0),
        functools.partial(fit, **sgd),
    ):
        with pytest.raises(ValueError, match=message):
            call(mlp((4, 8, 3), nn.Tanh), data, loss="cross_entropy")


def test_class_numbers_as_floats_are_the_classes():
    model, numbers = mlp((4, 8, 3), nn.Tanh), [0, 2, 1, 0]
    found = [
        diagnose(model, classes(y), loss="cross_entropy", with_pilots=False).json()
        for y in (numbers, [float(y) for y in numbers])
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("error", [KeyError("k"), ZeroDivisionError("boom"), AssertionError("no")])
def test_any_error_of_a_model_is_one_line(error):
    class Raises(nn.Linear):
        def forward(self, _):
            raise error

    with pytest.raises(ValueError, match=f"can't be called on X: {type(error).__name__}: "):
        diagnose(Raises(4, 1).double(), easy()[1])


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_diagnosed_in_float32(half):
    model, data = easy()
    found = diagnose(model.to(half), data.to(half), with_pilots=False)
    assert next(model.parameters()).dtype == half
    again = diagnose(model.float(), data.to(half).to(torch.float32), with_pilots=False)
    assert found.forecast == again.forecast


def test_with_an_optimiser_times_are_in_steps_or_said_not_to_apply():
    model, data = easy()
    plain = diagnose(model, data, weight_decay=0.01, budget=300)
    rate = 0.1 * simulate.stable_rate(model, data, "mse")
    sgd = {"lr": rate, "momentum": 0.5, "weight_decay": 0.01}
    found = diagnose(model, data, optimiser=lambda w: torch.optim.SGD(w, **sgd), budget=300)
    assert found.forecast == plain.forecast
    step = found.table()["Forecast: train loss falls at step of SGD"]
    after = found.forecast.train.value * 0.5 / rate + 1  # 1: momentum gathers speed
    assert step == pytest.approx(after, abs=1)
    run = fit(
        model, data, loss="mse", steps=int(3 * step), optimiser=lambda w: torch.optim.SGD(w, **sgd)
    )
    assert run.outcome().train_fall == pytest.approx(step, rel=0.3)
    model, data = easy()
    with pytest.raises(ValueError, match=r"weight_decay = 0\.1: the optimiser has 0\.01"):
        diagnose(model, data, weight_decay=0.1, optimiser=lambda w: torch.optim.SGD(w, **sgd))
    given = {"with_pilots": False}
    fast = diagnose(model, data, optimiser=lambda w: torch.optim.SGD(w, lr=50 * rate), **given)
    assert fast.sentences()[0].startswith("Lower the learning rate below ")
    assert fast.sentences()[0] in fast._repr_html_()
    assert "Forecast: train loss falls at step of SGD" not in fast.table()
    trained = diagnose(
        model,
        data,
        optimiser=lambda w: torch.optim.SGD(w, **sgd),
        train=True,
        with_pilots=False,
        budget=100,
    )
    assert "by gradient flow, not by SGD" in str(trained)
    assert "by gradient flow, not by" not in str(found)
    adam = diagnose(model, data, optimiser=torch.optim.Adam, **given)
    assert "Adam does not follow gradient flow" in " ".join(adam.sentences())
    assert adam.steps.per_step is None
    with pytest.raises(ValueError, match="optimiser gives int"):
        diagnose(model, data, optimiser=lambda _: 3)


class Quadratic(nn.Module):
    """Output w^2 x/2, of kernel w^2 x x': its change to first order is 2 w dw x x'."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, x):
        return self.w**2 * x / 2


def test_the_drift_of_the_kernel_is_its_first_order_change():
    X = torch.linspace(0.5, 1, 6, dtype=torch.float64)[:, None]
    model = Quadratic(2.0)
    with torch.no_grad():
        y = model(X) + 0.3 * X
    found = diagnose(model, Data(X, y, X, y), with_pilots=False).laziness
    move = found.drift / 2  # dw/w
    assert found.kernel_change == pytest.approx((1 + move) ** 2 - 1, rel=1e-6)
    assert found.drift_from <= found.times[-1]
    assert found.drifts == sorted(found.drifts)


def test_softmax_collapse_is_seen_in_gradients_that_are_exactly_zero():
    X = standard_normal(0, "train inputs", (60, 30)).float()
    y = (standard_normal(1, "beta", (60,)) > 0).long()
    data = Data(X[:20], y[:20], X[20:], y[20:])
    model = mlp((30, 64, 2), nn.ReLU, scale=30.0).float()
    start = copy.deepcopy(model)
    run = fit(
        model,
        data,
        loss=nn.functional.cross_entropy,
        optimiser=lambda w: torch.optim.Adam(w, lr=0.01),
        steps=300,
    )
    found = diagnose(
        start, data, loss=nn.functional.cross_entropy, run=run, with_pilots=False, memory=10**9
    )
    assert found.verdict == "memorises"
    assert "softmax collapse" in found.trained.cause
    assert "float64" in found.trained.advice


def test_weight_decay_is_the_cause_only_where_it_acted():
    """The control: the same network with a decay that does not act before the test loss falls."""
    model, data = edge()
    found = diagnose(model, data, weight_decay=1e-4, time=100.0, train=True, budget=600)
    assert found.verdict == "groks"
    assert "weight decay" not in found.trained.cause
    assert "log(alpha)/weight_decay" not in found.trained.advice
    before = replace(found, trained=None)
    assert before.forecast.phase == "groks"
    assert "weight decay" not in " ".join(before.sentences())


@pytest.mark.parametrize(
    ("optimiser", "alpha", "cause"),
    [(torch.optim.Adam, 0.0015, True), (torch.optim.SGD, 0.0015, False), ("Adam", 0.5, False)],
)
def test_the_optimiser_is_the_cause_where_the_flow_would_generalise_at_once(
    optimiser, alpha, cause
):
    """Adam takes steps of one size in every weight: the sparse solution of the flow is lost.

    The controls: SGD, and a scale at which the flow memorises too.
    """
    model, data = sparse(alpha)
    start, kind = copy.deepcopy(model), torch.optim.SGD if optimiser == torch.optim.SGD else None
    rate = 0.3 * simulate.stable_rate(model, data, "mse") if kind else 1e-2
    made = (lambda w: kind(w, lr=rate)) if kind else (lambda w: torch.optim.Adam(w, lr=rate))
    run = fit(model, data, loss="mse", optimiser=made, steps=1500)
    found = diagnose(start, data, run=run, budget=600)
    assert found.verdict == ("generalises at once" if kind else "memorises")
    assert ("the optimiser" in found.trained.cause) is cause
    assert ("plain SGD" in found.trained.advice) is cause


def test_softmax_has_not_collapsed_where_logits_are_small():
    """The control: the same task, which is memorised too, at a tenth of the scale."""
    X = standard_normal(0, "train inputs", (60, 30)).float()
    y = (standard_normal(1, "beta", (60,)) > 0).long()
    data = Data(X[:20], y[:20], X[20:], y[20:])
    model = mlp((30, 64, 2), nn.ReLU, scale=3.0).float()
    start = copy.deepcopy(model)
    adam = {"optimiser": lambda w: torch.optim.Adam(w, lr=0.01), "steps": 300}
    run = fit(model, data, loss="cross_entropy", **adam)
    found = diagnose(start, data, loss="cross_entropy", run=run, with_pilots=False, memory=10**9)
    assert found.verdict == "memorises"
    assert "softmax collapse" not in found.trained.cause


NET = """
from torch import nn
from lazyrich.simulate.modules.mlp import mlp
def make():
    return mlp((4, 20, 1), nn.Tanh)
def nothing():
    return 3
made = make()
"""


def test_the_command_has_the_default_budget_of_the_function():
    """Its help is shown without loading torch, so that it has a number of its own."""
    (budget,) = (option for option in command.params if option.name == "budget")
    assert budget.default == BUDGET


def test_the_command(tmp_path, monkeypatch, capsys):
    _, data = easy()
    (tmp_path / "net_of_test.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    names = ("X", "y", "X_test", "y_test")
    np.savez("set.npz", **{n: getattr(data, n).numpy().astype("f4") for n in names})
    np.savez("half.npz", X=data.X.numpy(), y=data.y.numpy())

    def run(*arguments):
        try:
            cli.main(["diagnose", *arguments])
        except SystemExit as stopped:
            return stopped.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    options = ["--data", "set.npz", "--format", "json", "--report", "a.html", "--quiet"]
    for name, more in (("make", []), ("made", ["--no-pilots"])):  # a function, and the module
        code, out, _ = run(f"net_of_test:{name}", *options, *more)
        assert code == 0
        assert json.loads(out)["verdict"] == "generalises at once"
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    for arguments, message in (
        (("net_of_test:nothing", "--data", "set.npz"), "gives int: must give a torch.nn.Module"),
        (("net_of_test:absent", "--data", "set.npz"), "has no function absent"),
        (("net_of_test", "--data", "set.npz"), "must be a module, a colon, a function"),
        (("net_of_test:make", "--data", "half.npz"), "has no X_test"),
        (("net_of_test:make", "--data", "no.npz"), "no such file"),
        (("net_of_test:make", "--data", "set.npz", "--budget", "0"), "budget = 0"),
    ):
        code, _, err = run(*arguments)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1


SLOW = """
import os, signal
from torch import nn
from lazyrich.simulate.modules.mlp import mlp
calls = []
class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = mlp((4, 20, 3), nn.Tanh)
    def forward(self, x):
        calls.append(1)
        if len(calls) == END:
            os.kill(os.getpid(), signal.NUMBER)
        return self.inner(x)
make = Counted
"""


@pytest.mark.parametrize(("number", "where"), [("SIGINT", "pilots"), ("SIGTERM", "training")])
def test_a_signal_keeps_what_was_finished_and_says_what_is_missing(
    number, where, tmp_path, monkeypatch, capsys
):
    """A real signal, raised by the network itself in its first or last runs."""
    X = standard_normal(0, "train inputs", (60, 4))
    y = X[:, :3].argmax(1)
    monkeypatch.chdir(tmp_path)
    np.savez("set.npz", X=X[:40].numpy(), y=y[:40], X_test=X[40:].numpy(), y_test=y[40:])
    given = ["--data", "set.npz", "--loss", "cross_entropy", "--format", "json", "--budget", "60"]

    def calls(end, *more):
        name = f"net_{number}_{where}_{end}_{len(more)}"
        (tmp_path / f"{name}.py").write_text(
            SLOW.replace("END", str(end)).replace("NUMBER", number)
        )
        with pytest.raises(SystemExit) if end else nullcontext() as stopped:
            cli.main(["diagnose", f"{name}:make", *given, *more])
        count = len(sys.modules[name].calls)
        return count, stopped and stopped.value.code, json.loads(capsys.readouterr().out)

    before = calls(0, "--no-pilots")[0]
    pilots = calls(0, "--quiet", "--quiet")[0]
    end = (before + 3 * pilots) // 4 if where == "pilots" else pilots + 130
    _, code, found = calls(end, "--train", "--report", "a.html")
    assert code == {"SIGINT": 130, "SIGTERM": 143}[number]
    text = " ".join(found["sentences"])
    missing = found["missing"]
    assert f"Interrupted; missing: {', '.join(missing)}." in text
    if where == "pilots":
        assert found["table"]["Pilot runs"]  # those that had been finished
        assert re.match("the pilot run.* times the output$", missing[0])
        assert missing[1:] == ["training"]
    else:
        assert missing == ["the rest of training"]
        assert "In training it" in text
    assert "Interrupted" in (tmp_path / "a.html").read_text()


def test_an_interrupted_curve_is_kept_as_far_as_it_came():
    """Its forecast is not decided: what comes after the interruption is unknown."""
    model, data = easy()
    count, end = [], 0

    def loss(f, y):
        count.append(1)
        if len(count) == end:
            raise KeyboardInterrupt
        return nn.functional.smooth_l1_loss(f, y)

    simulate.lazy_curve(model, data, loss=loss, rtol=1e-4)
    count, end = [], len(count) // 5

    with pytest.warns(UserWarning, match="Interrupted; missing: the twin's curve after time"):
        found = diagnose(model, data, loss=loss)
    assert found.verdict == "not decided"
    assert found.interruption.missing[1:] == ["the pilot runs"]
    assert "Interrupted" in found._repr_html_()


@pytest.mark.parametrize(
    ("owner", "name", "missing"),
    [
        (work, "against_labels", "the kernel against the labels"),
        (work, "along_the_path", "how lazy the network is"),
        (Expansion, "product", "modes of the twin after 10 Lanczos iterations"),
    ],
)
def test_an_interruption_before_the_pilot_runs_keeps_what_was_finished(
    owner, name, missing, monkeypatch
):
    """A lazy network is decided without pilot runs; one that may be rich is not."""
    model, data = easy()
    memory, calls, real = 2**31, [], getattr(owner, name)
    if owner is Expansion:
        memory = 1

    def interrupted(*arguments):
        calls.append(1)
        if owner is work or len(calls) == 15:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(owner, name, interrupted)
    with pytest.warns(UserWarning, match=f"Interrupted; missing: {missing}"):
        found = diagnose(model, replace(data, y_test=data.y_test + 5), memory=memory)
    assert found.interruption.missing == [missing, "the pilot runs"]
    assert (found.verdict == "not decided") == (name == "along_the_path")
    assert "Lazy twin" in str(found)
    if name == "along_the_path":
        assert found._repr_html_()


@pytest.mark.parametrize(
    ("owner", "name", "when"),
    [
        (Expansion, "kernels", "while its kernel was made"),
        (Expansion, "product", "at the beginning of the twin's curve"),
    ],
)
def test_an_interruption_before_anything_was_finished_says_so(owner, name, when, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)
    memory = 1 if name == "product" else 2**31
    with (
        pytest.warns(UserWarning, match=f"interrupted {when}: nothing was finished"),
        pytest.raises(KeyboardInterrupt),
    ):
        diagnose(*easy(), memory=memory)


def test_the_command_takes_a_loss_of_yours(tmp_path, monkeypatch, capsys):
    _, data = easy()
    (tmp_path / "net_of_loss.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    names = ("X", "y", "X_test", "y_test")
    np.savez("set.npz", **{n: getattr(data, n).numpy() for n in names})
    given = ["diagnose", "net_of_loss:make", "--data", "set.npz", "--no-pilots", "--format", "json"]
    cli.main([*given, "--loss", "torch.nn.functional:smooth_l1_loss"])
    assert json.loads(capsys.readouterr().out)["verdict"] == "generalises at once"
    for loss, message in (("mae", "--loss = 'mae'"), ("math:no", "--loss = math:no: math has no")):
        with pytest.raises(SystemExit) as stopped:
            cli.main([*given, "--loss", loss])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_a_wrong_name_gets_only_functions_of_your_file_as_a_hint(tmp_path, monkeypatch):
    """``hope`` is imported; the control, ``hop``, is the file's own."""
    (tmp_path / "others.py").write_text("def hope(): ...\n")
    (tmp_path / "mine_a.py").write_text("from others import hope\n")
    (tmp_path / "mine_b.py").write_text("from others import hope\ndef hop(): ...\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"has no function hopes$"):
        function_of("--loss", "mine_a:hopes")
    with pytest.raises(ValueError, match=r"did you mean mine_b:hop\?$"):
        function_of("--loss", "mine_b:hopes")


def test_code_of_the_user_that_ends_the_process_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ends_in_import.py").write_text("import sys\nsys.exit(7)\n")
    (tmp_path / "ends_in_call.py").write_text("def make():\n    raise SystemExit(3)\n")
    with pytest.raises(ValueError, match=r"net = ends_in_import:make: .*7.*\(.*, line 2\)$"):
        made_by("net", "ends_in_import:make")
    with pytest.raises(ValueError, match=r"net = ends_in_call:make: .*3.*\(.*, line 2\)$"):
        made_by("net", "ends_in_call:make")


ENDS = """
import torch
def make(): return torch.nn.Linear(1, 1).double()
def loss(f, y): raise SystemExit(0)
"""


def test_a_loss_that_ends_the_process_and_a_decay_that_ends_every_pilot(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ends_later.py").write_text(ENDS)
    X = np.linspace(-1, 1, 6)[:, None]
    np.savez(tmp_path / "set.npz", X=X, y=X, X_test=X + 0.1, y_test=X + 0.1)
    given = ["diagnose", "ends_later:make", "--data", "set.npz", "--quiet"]
    with pytest.raises(SystemExit, match="2"):
        cli.main([*given, "--loss", "ends_later:loss"])
    assert "loss ends the program (SystemExit" in capsys.readouterr().err
    cli.main([*given, "--weight-decay", "1e300", "--budget", "10"])
    assert "not within time 0" in capsys.readouterr().out


def test_a_delay_is_given_with_its_range_and_how_often_such_were_right():
    row = reliability.words_of_delay(decays=False)
    n = reliability.counts()
    assert row.startswith(f"{n['delays within a factor 2']} of {n['forecast to grok']} within")
    assert reliability.words_of_delay(decays=True).endswith("with decay")


def test_the_page_quotes_the_counts_of_the_results():
    n = reliability.counts()
    page = (Path(__file__).parents[1] / "docs" / "diagnose.md").read_text()
    phases = f"{n['right']} of {n['pairs']} phases ({n['right'] / n['pairs']:.0%})"
    delays = f"{n['delays within a factor 2']} of {n['grokked']} delays within a factor 2"
    assert f"**{phases}, and {delays}**" in " ".join(page.split())
    decayed = reliability.with_decay()
    grokked = [row for row in decayed if reliability.right(row) and row["seen"] == "groks"]
    near = sum(reliability.factor(row) <= 2 for row in grokked)
    phases = f"{sum(map(reliability.right, decayed))} of {len(decayed)} phases were right"
    delays = f"{near} of {len(grokked)} delays within a factor 2"
    assert f"**{phases}, and {delays}**" in " ".join(page.split())
    for name in ("SGD", "SGD, mini-batches", "Adam"):
        tried = reliability.with_optimiser(name)
        seen = [row for row in tried if row["seen"] not in ("diverges", "not fitted")]
        counts = f"| {len(tried)} | {sum(map(reliability.right, seen))} of {len(seen)} |"
        diverged = sum(row["seen"] == "diverges" for row in tried)
        assert f"{counts} {diverged} | {len(tried) - len(seen) - diverged} |" in page


def test_pilot_runs_that_never_fitted_make_a_guess():
    """The control is the same network where they fit."""
    X = standard_normal(0, "train inputs", (80, 6))
    y = (X[:, 0] * X[:, 1] > 0).long()
    data = Data(X[:40], y[:40], X[40:], y[40:])
    found, fitted = (
        diagnose(mlp((6, 30, 2), nn.Tanh), data, loss="cross_entropy", budget=budget)
        for budget in (20, 800)
    )
    assert found.verdict == "memorises"
    assert "the phase is a guess" in found.sentences()[1]
    assert re.search(r"^Try: .*larger budget \(about [\d,]+\)", found.sentences()[2])
    assert "guess" not in str(fitted)


def test_a_twin_that_generalises_much_later_is_not_the_reason():
    """The pilot runs say when; the control is the twin that generalises as early."""
    runs = [pilot(r, 1 / r) for r in (0.25, 0.5)]
    rich = Laziness([1.0], [2.0], [2.0], [2.0], 0.1)
    for twin, words in (
        (1000.0, "generalises late (at time 1e+03)"),
        (1.2, "generalises by itself"),
    ):
        lazy = Outcome(1.0, twin, 1e6, SHARE, SHARE)
        found = forecast(lazy, 0.01, rich, runs, decay=0.0, horizon=1e4)
        assert found.test.low < 1.0 < found.test.high
        assert words in found.reason


def kinks(n=12):
    torch.manual_seed(0)
    X = torch.randn(40, 4)
    test = torch.randn(40, 4)
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(4, 40), nn.ReLU(), nn.Linear(40, 1))
    return net, Data(X[:n], (X[:, :1] * X[:, 1:2])[:n], test, test[:, :1] * test[:, 1:2])


@pytest.mark.usefixtures("left_early")
def test_pilot_runs_decide_where_the_twin_of_a_loss_with_kinks_was_not_followed():
    """Hinge: 12 samples memorise at 5.4 by small steps of SGD. It was not decided.

    The train loss of l1 stays above 2e-3 of its start, as it is no square; it has settled.
    """
    model, data = kinks()
    data = Data(data.X, data.y.sign(), data.X_test, data.y_test.sign())
    hinge = lambda f, y: nn.functional.relu(1 - y * f).mean()  # noqa: E731
    assert diagnose(model, data, loss=hinge).verdict == "memorises"
    cut = pilot(0.5, 1.0, "budget")
    share = Run(cut.run.history.isel(time=slice(0, 1797)), {}, {})  # it ends at 0.01
    for settled in (True, False):
        pilot_ = replace(cut, run=share, kinks=settled)
        assert 2e-3 < pilot_.share("train") < 0.04
        assert came_to_an_end(pilot_) is settled


@pytest.mark.usefixtures("left_early")
def test_a_twin_and_pilots_that_were_not_followed_decide_nothing():
    """Small steps of SGD fit at time 5.9; it used to say "will not fit" and "lazy"."""
    found = diagnose(*kinks(), loss=nn.functional.l1_loss, budget=100)
    assert found.verdict == "not decided"
    first, why, *more = found.sentences()
    assert first.startswith("Not decided: ")
    assert re.search(r"larger budget \(about [\d,]+\)", first)
    assert "fit" in first
    assert not more
    assert "is lazy" not in why
    assert math.isnan(found.forecast.train.value)
    assert math.isnan(found.forecast.test.value)
    text = str(found)
    assert "solution" not in text
    assert "Try:" not in text
    assert "not among the validated" in text
    assert "phases were forecast right" not in text
    content = json.loads(found.json())
    assert content["forecast"]["train"]["value"] is None
    assert list(content["reliability"]) == ["words"]
    assert found.plot().axes[0].get_title(loc="left") == "not decided"
    assert diagnose(*kinks()).verdict != "not decided"  # the control: without kinks


def test_without_a_twin_pilot_runs_that_fitted_decide():
    """The control is the same runs, the last of which was left before it fitted, or moved on."""
    lazy = simulate.lazy_curve(*easy(), times=[0.0, 1e-9])
    start, still = lazy.outcome(), Laziness([1.0], [0.01], [0.01], [0.01], math.inf)
    options = {"decay": 0.0, "horizon": 100.0, "followed": 0.1}
    runs = [pilot(r, r**0.7 / r**2) for r in (0.25, 0.707)]
    found = forecast(start, 1.0, still, runs, **options)
    assert found.train.value == pytest.approx(1.0, rel=0.02)
    assert found.phase == "generalises at once"
    assert "not known" in found.reason
    short = runs[1].run.history.isel(time=slice(0, 5))
    cut = replace(pilot(0.707, 2.0, "budget"), run=Run(short, {}, {"weight_decay": 0.0}))
    assert forecast(start, 1.0, still, [runs[0], cut], **options).phase == "not decided"
    assert forecast(start, 1.0, still, None, **options).phase == "not decided"


@pytest.mark.usefixtures("left_early")
def test_the_run_of_a_loss_with_kinks_is_compared_as_far_as_its_twin_is_followed():
    """It took minutes. The control is the mean square, whose twin is followed to the end."""
    sgd = {"steps": 500, "optimiser": lambda w: torch.optim.SGD(w, lr=0.03)}
    for loss, ended in ((nn.functional.l1_loss, True), ("mse", False)):
        model, data = kinks()
        run = fit(kinks()[0], data, loss=loss, **sgd)
        found = diagnose(model, data, loss=loss, with_pilots=False, run=run)
        trained = found.trained
        assert trained is not None
        assert math.isfinite(trained.followed) is ended
        assert (trained.twin is None) is ended
        assert ("not followed further" in str(found)) is (ended and math.isnan(trained.left))


@pytest.mark.parametrize(("sign", "phase"), [(1, "generalises at once"), (-1, "memorises")])
def test_a_network_that_is_trained_already_fits_from_the_start(sign, phase):
    """It was said not to fit within time 0."""
    X = standard_normal(0, "train inputs", (12, 3))
    model = nn.Linear(3, 1, dtype=torch.float64)
    y = model(X).detach()
    found = diagnose(model, Data(X, y, X, sign * y)).forecast
    assert (found.train.value, found.phase) == (0, phase)
    assert found.horizon > 0


def test_advice_does_not_ask_for_time_where_no_time_is_enough():
    """A linear network, one that decay keeps from fitting, and the control: a short training."""
    model, data = easy()
    hard = Data(data.X, data.X[:, :1] * data.X[:, 1:2], data.X_test, data.y_test)
    line = nn.Linear(4, 1).double()
    for net, sides, options, words in (
        (line, hard, {}, "Use a larger network, or other inputs"),
        (model, data, {"weight_decay": 5.0}, "Lower the weight decay"),
        (model, data, {"time": 1e-3}, "Train longer"),
    ):
        found = diagnose(net, sides, train=True, budget=100, **options)
        assert found.verdict == "not fitted"
        assert any(line.startswith(f"Try: {words}") for line in found.sentences())
        assert ("too short" in found.trained.cause) is (words == "Train longer")


def test_words_after_training_agree_with_each_other():
    """A twin that generalises at once is the reason, however much the kernel changes."""
    late = Outcome(1.0, 1.5, 9.0, SHARE, SHARE)
    for twin, words in (
        (late, "the kernel at the start suffices: its lazy twin generalises at once too"),
        (
            replace(late, test_fall=math.inf),
            "features that fit both sets, which its lazy twin lacks",
        ),
    ):
        assert _cause(late, twin, False, 2.0, 0.0, "", math.inf)[1].startswith(words)
    memorised = replace(late, test_fall=math.inf)
    for left, words in ((math.inf, "lazy training, which"), (0.5, "the features that it learnt")):
        assert _cause(memorised, memorised, False, 0.2, 0.0, "", left)[1].startswith(words)


def test_momentum_of_1_is_one_line():
    model = nn.Linear(3, 1, dtype=torch.float64)
    X = standard_normal(0, "train inputs", (12, 3))
    with pytest.raises(ValueError, match=r"^momentum = 1: must be in \[0, 1\)$"):
        diagnose(
            model,
            Data(X, X[:, :1], X, X[:, :1]),
            optimiser=lambda w: torch.optim.SGD(w, lr=0.1, momentum=1.0),
        )
