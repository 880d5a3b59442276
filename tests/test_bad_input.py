"""One case of each kind of bad input that an attack found raw: one line that names the argument."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich import paper_figures, simulate, theory, verify

TASK = simulate.PolynomialTask(D=5, P=9, n_test=5, seed=0)
X = torch.randn(12, 3).double()
DATA = simulate.Data(X, X[:, :1], X, X[:, :1])
LINEAR = simulate.sparse_regression(d=9, n=4, k=1, seed=0)
CELL = {"D": 4, "P": 6, "steps": 5, "width": 3, "alpha": 1.0, "epsilon": 0.5}
NO_WIDTH = {name: value for name, value in CELL.items() if name != "width"}
TRAIN = {"alpha": 1.0, "epsilon": 0.5, "width": 6, "steps": 10, "engine": "moments"}
LINE = {"activation": "h", "target": "beta.x"}  # a problem
BUDGET = verify.Budget()
MOMENTS = {"D": 2, "alpha": 1, "epsilon": 1, "beta": [1, 1], "wbar": [0, 1]}


def unmeasured(f, y):
    return len(f) - len(y)


class Mute:
    def __repr__(self):
        raise RuntimeError("no repr")


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1).double()

    def forward(self, X):
        return self.layer(X), X


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def fit(**options):
    given = {"loss": "mse", "steps": 5, "optimiser": torch.optim.SGD} | options
    return simulate.fit(network(), DATA, **given)


def flow(**options):
    return simulate.fit_flow(network(), DATA, loss="mse", time=1.0, **options)


def sweep(folder, **options):
    return simulate.sweep({"seed": [0]}, folder=folder, jobs=1, **CELL, **options)


CASES = {
    "an array where a name belongs": (
        "engine",
        lambda _: simulate.train(TASK, **TRAIN | {"engine": np.ones(2)}),
    ),
    "an array in a message": ("loss", lambda _: simulate.sharpness(network(), DATA, np.eye(9))),
    "a long text in a message": (
        "record",
        lambda _: simulate.train(TASK, **TRAIN, record="x" * 999),
    ),
    "no array": ("K", lambda _: simulate.kernel_change({"a": 1}, np.eye(2))),
    "a number as an array": ("y", lambda _: simulate.difficulty(np.eye(2), 3)),
    "a fraction as an array": ("y", lambda _: simulate.kernel_alignments(np.eye(2), Fraction(3))),
    "a number too large for an array": ("K", lambda _: simulate.effective_dimension(10**40, 1.0)),
    "an array of one axis": ("K", lambda _: simulate.effective_dimension(np.ones(3), 1.0)),
    "kernels of two shapes": ("K", lambda _: simulate.kernel_change(np.eye(2), np.eye(3))),
    "functions that are none": ("metrics", lambda _: fit(metrics={"a": 3})),
    "a list in the place of functions by name": ("measures", lambda _: flow(measures=[True])),
    "a callback that is none": ("progress", lambda f: sweep(f, progress=True)),
    "a callback of train": ("progress", lambda _: simulate.train(TASK, **TRAIN, progress=3)),
    "a schedule that is none": ("schedule", lambda _: fit(schedule=1e300)),
    "an optimiser that fails": ("optimiser", lambda _: fit(optimiser=float)),
    "a loss without a tensor": (
        "loss",
        lambda _: simulate.sharpness(network(), DATA, unmeasured),
    ),
    "no module": ("model", lambda _: simulate.ntk(True, X)),
    "no name": ("name", lambda _: theory.closed_form(["a"])),
    "no history": ("history", lambda _: simulate.time_to_grok([], threshold=0.1)),
    "no address": ("scheduler", lambda f: sweep(f, scheduler=0)),
    "constants that are not by name": ("constants", lambda f: sweep(f, constants=np.ones(2))),
    "a setting that is an array without axes": (
        "label_scale",
        lambda f: sweep(f, label_scale=np.array("x")),
    ),
    "settings that are none": (
        "settings",
        lambda _: simulate.run_many([TASK], np.ones(2), **TRAIN),
    ),
    "tasks that are none": ("tasks", lambda _: simulate.run_many(0, {"seed": 1}, **TRAIN)),
    "records without an end": ("record", lambda _: flow(record=itertools.count())),
    "times without an end": (
        "record",
        lambda _: simulate.DiagonalNet(loss="square").train(
            LINEAR, alpha=3.0, weight_decay=0.1, time=1.0, record=itertools.repeat(0.5)
        ),
    ),
    "a text as times": (
        "times",
        lambda _: simulate.lazy_curve(network(), DATA, loss="mse", times="inf"),
    ),
    "a matrix without an end": (
        "M",
        lambda _: theory.closed_form("test-loss").evaluate(**MOMENTS, M=itertools.count()),
    ),
    "no module to measure": ("model", lambda _: simulate.weight_norm({"": 1})),
    "weights that are not by name": (
        "start",
        lambda _: simulate.parameter_change(network(), [torch.ones(2)]),
    ),
    "weights of another module": (
        "start weight",
        lambda _: simulate.parameter_change(
            nn.Linear(2, 1, bias=False), simulate.trained_weights(nn.Linear(3, 1, bias=False))
        ),
    ),
    "weights of a Hessian": (
        "weights",
        lambda _: simulate.sharpness(network(), DATA, "mse", weights="x"),
    ),
    "a text as a kernel": ("K", lambda _: simulate.as_matrix("tiny")),
    "a range as long as no memory": (
        "v",
        lambda _: simulate.ntk_product(network(), X, range(10**12)),
    ),
    "a range as long as no memory, as data": (
        "beta",
        lambda _: simulate.PolynomialTask.from_arrays(X[:, :3], beta=range(10**12)),
    ),
    "a function as names": ("vectors", lambda _: theory.expectation("x.x", vectors=len)),
    "an array of names": ("over", lambda _: theory.expectation("x.x", over=np.ones(2))),
    "a number as covariances": ("covariance", lambda _: theory.expectation("x.x", covariance=3)),
    "a type as values": ("at", lambda _: theory.check("ntk-eigenvalues.linear", "D", at=int)),
    "no problem": ("problem", lambda _: theory.check("ntk-eigenvalues", "D", problem=0.1)),
    "an array as an option of another name": (
        "vectors",
        lambda _: theory.check("ntk-eigenvalues.linear", "D", vectors=np.eye(2)),
    ),
    "no runs": ("runs", lambda _: simulate.plot_sweep("x")),
    "a function as places": ("at", lambda f: simulate.plot_sweep(sweep(f), at=len)),
    "a callback of forecast": (
        "progress",
        lambda _: simulate.forecast(TASK, alpha=1.0, epsilon=0.5, progress=np.ones(2)),
    ),
    "an array as a target": (
        "target",
        lambda _: simulate.forecast(TASK, alpha=1.0, epsilon=0.5, target=np.eye(5)),
    ),
    "a value without a repr": (
        "engine",
        lambda _: simulate.train(TASK, **TRAIN | {"engine": Mute()}),
    ),
    "outputs in a tuple and a loss by name": (
        r"f\(X\)",
        lambda _: simulate.fit(Pair(), DATA, loss="mse", steps=5, optimiser=torch.optim.SGD),
    ),
    "an integer beyond all floats": (
        "width",
        lambda f: simulate.sweep({"width": [10**5000]}, folder=f, **NO_WIDTH),
    ),
    "a text as memory": (
        "memory",
        lambda _: simulate.lazy_curve(network(), DATA, loss="mse", memory="1"),
    ),
    "an array as functions": (
        "metrics",
        lambda _: simulate.lazy_curve(network(), DATA, loss="mse", metrics=np.ones(2)),
    ),
    "a mapping as a number": (
        "weight_decay",
        lambda _: simulate.stable_rate(network(), DATA, "mse", weight_decay={"a": 1}),
    ),
    "a callback of runs": (
        "progress",
        lambda _: simulate.run_many([TASK], {}, progress=3, **TRAIN),
    ),
    "a callback of a mean": ("progress", lambda _: theory.expectation("x.x", progress="x")),
    "a text as other inputs": (
        "X2",
        lambda _: simulate.ntk_product(network(), X, X[:, :1], X2="x"),
    ),
    "an integer that no array has": (
        "D",
        lambda _: theory.closed_form("ntk-eigenvalues").function("numpy")(
            D=10**400, sigma=1.0, epsilon=0.5
        ),
    ),
    "inputs whose powers are no numbers": (
        "X",
        lambda _: simulate.PolynomialTask.from_arrays(X=np.full((9, 3), 1e200), y=np.ones(9)),
    ),
    "a dimension whose matrices no memory holds": (
        "D",
        lambda _: simulate.train(
            simulate.PolynomialTask(D=2 * 10**5, P=1, n_test=1), **TRAIN | {"engine": "neurons"}
        ),
    ),
    "a mapping as the target of cells": ("target", lambda f: sweep(f, target={"a": 1})),
    "an array as the activation of cells": (
        "activation",
        lambda f: sweep(f, activation=np.ones(2)),
    ),
    "a text as claims": ("names", lambda _: verify.run("eq-6")),
    "a number as a claim": ("claim", lambda _: verify.run([6])),
    "a callback of checks": ("progress", lambda _: verify.run(["eq-6"], progress=3)),
    "a number as a file": ("path", lambda _: verify.write_errata(3)),
    "no report": ("report", lambda f: verify.write_errata(f / "a.md", "x")),
    "a file of a report that is none": ("path", lambda _: verify.Report((), BUDGET).write(b"a.md")),
    "an array as a problem": ("problem", lambda _: verify.problem(np.ones(3))),
    "a problem that no memory holds": ("D", lambda _: verify.problem(LINE | {"D": 10**9})),
    "a callback of a problem": ("progress", lambda _: verify.problem(LINE, progress=3)),
    "a number as a folder": ("out", lambda _: paper_figures.make("1", preset="tiny", out=3)),
    "a number as digits": ("mnist", lambda _: paper_figures.make("6", preset="tiny", mnist=3)),
}


@pytest.mark.parametrize("kind", CASES)
def test_bad_input_is_one_line_that_names_the_argument(kind, tmp_path):
    name, call = CASES[kind]
    with pytest.raises(ValueError, match=rf"^{name}(?!\w)") as error:
        call(tmp_path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_arrays_of_numpy_and_torch_are_kernels_alike():
    K, K0 = np.array([[2.0, 1.0], [1.0, 2.0]]), np.eye(2)
    right = simulate.kernel_change(torch.tensor(K), torch.tensor(K0))
    assert right == pytest.approx(2**0.5)
    assert simulate.kernel_change(K, K0) == right
    assert simulate.kernel_change([[2, 1], [1, 2]], [[1, 0], [0, 1]]) == right


def test_a_setting_may_be_a_number_of_torch(tmp_path):
    found = sweep(tmp_path, label_scale=torch.tensor(2.0), sigma=np.array(1.0))
    assert found.equals(sweep(tmp_path, label_scale=2.0, sigma=1.0))
