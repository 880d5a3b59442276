"""Nothing goes on in silence: flows rest where nothing moves, and what can't end is one line."""

import logging
import sys
import threading
import time

import pytest
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.cli import main
from lazyrich.simulate import NumericalError, rkc
from lazyrich.simulate.lyu import SolverError, factorisation
from lazyrich.simulate.workers import run, workers
from lazyrich.support import patience, progress

TASK = simulate.PolynomialTask(D=5, P=20, n_test=50, seed=0)
SMALL = {"alpha": 1.0, "epsilon": 0.5, "width": 8, "seed": 1}
MATRIX = simulate.matrix_completion(d=6, observed=0.6, seed=1)


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (20, {}),  # the residual vanishes
        (90, {}),  # it can't: more samples than the M has entries, and labels with noise
        (20, {"weight_decay": 0.1, "centred": False}),  # the pull of the labels and decay cancel
        (20, {"dtype": "float32"}),
    ],
)
def test_a_flow_rests_where_its_slope_is_rounding(samples, options):
    """To 10^11 as to 10^6: a billion evaluations if it were followed."""
    task = simulate.PolynomialTask(D=5, P=samples, n_test=50, seed=0, noise=0.1 * (samples == 90))
    long, longer = (
        simulate.train(task, **SMALL, steps=100, learning_rate=rate, **options)
        for rate in (1e4, 1e9)
    )
    assert int(longer.history.evaluations[-1]) < 300_000
    for name in ("test_loss", "population_loss", "weight_norm"):
        ends = [float(run.history[name][-1]) for run in (long, longer)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-3, abs=1e-10), name
    assert float(longer.history.train_loss[-1]) <= 1.01 * float(long.history.train_loss[-1]) + 1e-12


def test_a_flow_of_any_module_rests_too():
    torch.manual_seed(0)
    model = nn.Linear(3, 1, bias=False).double()
    X = torch.randn(4, 3).double()
    y = torch.ones(4, 1).double()
    data = simulate.Data(X, y, X, y)
    run = simulate.fit_flow(model, data, loss="mse", time=1e12)
    best = torch.linalg.lstsq(X, y).solution
    assert torch.allclose(model.weight.T, best, rtol=1e-9)
    assert int(run.history.evaluations[-1]) < 50_000


def test_the_rest_of_an_integration_is_one_step():
    y = torch.ones(1, dtype=torch.float64)
    found = list(
        rkc.steps(
            lambda y: -y,
            y,
            1e9,
            rkc.weighted_error(1e-3, 1e-6),
            rest=lambda slope, radius: abs(float(slope)) < 1e-3 * radius,
        )
    )
    last = found[-1]
    assert last.end == 1e9
    assert last.time == found[-2].end
    assert torch.equal(last.at(5e8), last.before)
    assert torch.equal(last.after, found[-2].after)


def test_what_is_too_stiff_to_end_is_one_line(monkeypatch):
    monkeypatch.setattr(rkc, "PATIENCE", 500)
    stiff = simulate.PolynomialTask(D=5, P=20, n_test=50, seed=0, target_degree=20)
    with pytest.raises(NumericalError, match=r"steps = 100.*too stiff to follow that far"):
        simulate.train(stiff, **SMALL, steps=100)
    model = nn.Linear(1, 1, bias=False).double()
    X = torch.tensor([[1e6], [1.0]]).double()
    with pytest.raises(NumericalError, match=r"time = 1e\+12: the flow is too stiff to follow"):
        simulate.fit_flow(model, simulate.Data(X, X, X, X), loss=endless, time=1e12)


def endless(f, y):
    """A stiff loss without a lower bound: its flow never rests."""
    return f.square().mean() - 1e3 * f[1].sum() - y[1].sum() * f.mean()


@pytest.mark.parametrize("alpha", [1e3, 1e4])
def test_a_matrix_flow_that_takes_too_long_is_refused_before_its_first_step(alpha):
    with pytest.raises(SolverError, match=f"beyond t = 0: alpha = {alpha:g}: takes at least"):
        simulate.MatrixFactorisation().train(MATRIX, alpha=alpha, weight_decay=1e-3, time=7e3)


def test_the_least_work_of_a_matrix_flow_is_less_than_its_work(monkeypatch):
    """Control of the bound: with as many evaluations as the run takes, nothing is refused."""
    counts = []
    steps = rkc.steps

    def counted(*arguments, **options):
        for step in steps(*arguments, **options):
            counts.append(step.evaluations)
            yield step

    monkeypatch.setattr(rkc, "steps", counted)
    options = {"alpha": 30.0, "weight_decay": 1e-3, "time": 4e3}
    simulate.MatrixFactorisation().train(MATRIX, **options)
    monkeypatch.setattr(factorisation, "MOST_EVALUATIONS", counts[-1])
    simulate.MatrixFactorisation().train(MATRIX, **options)


@pytest.mark.parametrize("kind", ["train", "fit", "fit_flow", "diagonal", "matrix", "sweep"])
def test_long_work_without_a_callback_says_how_far_it_is(kind, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(patience, "SILENCE", 0.0)
    X = TASK.X
    data = simulate.Data(X, X[:, :1], X, X[:, :1])
    lyu = {"alpha": 3.0, "weight_decay": 0.01, "time": 20.0}
    cells = {"D": 5, "P": 9, "n_test": 5, "width": 4, "steps": 9, "alpha": 1.0, "epsilon": 1.0}
    calls = {
        "train": lambda: simulate.train(TASK, **SMALL, steps=1000),
        "fit": lambda: simulate.fit(
            nn.Linear(5, 1).double(), data, loss="mse", steps=600, optimiser=torch.optim.Adam
        ),
        "fit_flow": lambda: simulate.fit_flow(
            nn.Linear(5, 1).double(), data, loss="mse", time=10.0
        ),
        "diagonal": lambda: simulate.DiagonalNet(start=0.1).train(
            simulate.sparse_classification(d=9, n=4, k=1, n_test=5, seed=0), **lyu
        ),
        "matrix": lambda: simulate.MatrixFactorisation().train(MATRIX, **lyu),
        "sweep": lambda: simulate.sweep({"seed": [0, 1, 2]}, folder=tmp_path, jobs=1, **cells),
    }
    with caplog.at_level(logging.WARNING, "lazyrich"):
        calls[kind]()
    (record,) = caplog.records
    assert "% done after 0 s; to see more, pass progress=print" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_it_says_so_again_whenever_the_time_has_doubled(monkeypatch, caplog):
    clock = iter([0.0, 5.0, 11.0, 19.0, 23.0, 40.0, 47.0])
    monkeypatch.setattr(patience.time, "monotonic", lambda: next(clock))
    report = patience.told(None, "training")
    with caplog.at_level(logging.WARNING, "lazyrich"):
        for done in range(6):
            report(done, 6)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" done")[0] for line in lines] == [
        f"training: still running, {share}%" for share in (17, 50, 83)
    ]
    assert ["progress=print" in line for line in lines] == [True, False, False]


@pytest.mark.parametrize("reported", [(), (1, 4)])
def test_a_command_without_a_terminal_says_what_runs(reported, monkeypatch, caplog, capsys):
    """Also where the work reports nothing. Its parts say nothing, of arguments of Python least."""
    monkeypatch.setattr(patience, "SILENCE", 0.0)
    monkeypatch.setattr(progress, "SILENCE", 0.05)
    said, end = "", time.monotonic() + 60
    with (
        caplog.at_level(logging.WARNING, "lazyrich"),
        progress.progress_bar("training", False) as f,
    ):
        if reported:
            f(*reported)
        simulate.train(TASK, **SMALL, steps=1000)
        while said.count("\n") < 2 and time.monotonic() < end:
            time.sleep(0.01)
            said += capsys.readouterr().err
    assert not caplog.records
    share = ", 25% done" if reported else ""
    first, second, *_ = said.splitlines()
    assert first.startswith(
        f"lazyrich: training: still running{share} after 0.05 s; a progress bar"
    )
    assert second == f"lazyrich: training: still running{share} after 0.1 s."
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_a_quiet_command_says_nothing(monkeypatch, caplog, capsys):
    monkeypatch.setattr(patience, "SILENCE", 0.0)
    monkeypatch.setattr(progress, "SILENCE", 0.05)
    with caplog.at_level(logging.WARNING, "lazyrich"), progress.progress_bar("training", True):
        simulate.train(TASK, **SMALL, steps=1000)
        time.sleep(0.2)
    assert not caplog.records
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("reported", [(), (1, 4)])
def test_a_bar_shows_a_share_only_where_one_is_known(reported, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with progress.progress_bar("deriving", False) as report:
        time.sleep(0.3)
        for share in [reported] * bool(reported):
            report(*share)
    shown = capsys.readouterr().err
    assert "deriving" in shown
    assert ("25%" in shown) is bool(reported)
    assert ("%" in shown) is bool(reported)


def test_predict_and_derive_of_a_problem_of_your_own_are_not_silent(monkeypatch, capsys):
    """Their derivations report nothing of their own."""
    monkeypatch.setattr(progress, "SILENCE", 1e-3)
    commands = {
        "predicting": "predict --D 30 --P 10 --constant epsilon=1",
        "deriving": "derive target-power",
    }
    for label, command in commands.items():
        main([*command.split(), "--target", "(beta.x)^6"])
        assert f"lazyrich: {label}: still running after" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_of_a_worker_says_nothing_of_its_own(jobs):
    found, tasks = [], dict.fromkeys("ab", (None, "training"))
    run(workers(jobs), patience.told, tasks, dict.fromkeys(tasks, 1.0), print, found.append)
    assert found == [patience.silent, patience.silent]
