"""``fit_flow``: the limit of descent, the invariants of homogeneous networks, and resuming."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich.simulate import DiagonalNet, NumericalError, fit, fit_flow, sparse_classification
from lazyrich.simulate.modules.checkpoint import Checkpoint
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.mlp import Square, mlp
from lazyrich.simulate.modules.modular_addition import classified, modular_addition

MODULAR = modular_addition(5, 0.8)


def cross_entropy(f, y):
    return nn.functional.cross_entropy(f, y.argmax(1))


def network(activation=Square, seed=0, scale=2.0):
    return mlp((10, 16, 5), activation, bias=False, scale=scale, seed=seed)


def flow(model, **options):
    options = {"loss": cross_entropy, "time": 20.0, "weight_decay": 1e-2} | options
    return fit_flow(model, MODULAR, **options).history


@pytest.mark.parametrize("activation", [Square, nn.Tanh])
def test_descent_is_first_order_in_its_rate_away(activation):
    record, gaps = [0.5, 2.0, 5.0], []
    reference = flow(network(activation), time=5.0, record=record, rtol=1e-8)
    for rate in (0.02, 0.01):
        found = fit(
            network(activation),
            MODULAR,
            loss=cross_entropy,
            steps=round(5 / rate),
            record=[round(t / rate) for t in record],
            optimiser=lambda w, rate=rate: torch.optim.SGD(w, lr=rate, weight_decay=1e-2),
        ).history
        gaps.append(found.train_loss.values / reference.train_loss.values - 1)
    assert np.allclose(gaps[0] / gaps[1], 2, atol=0.1)


def test_it_is_the_dual_flow_of_a_diagonal_net():
    """The same path as by another integrator, in other variables: n instead of 2 d."""

    class Diagonal(nn.Module):
        def __init__(self):
            super().__init__()
            self.u = nn.Parameter(torch.full((30,), 8.0, dtype=torch.float64))
            self.v = nn.Parameter(torch.full((30,), 8.0, dtype=torch.float64))

        def forward(self, x):
            return x @ (self.u**2 - self.v**2)

    task = sparse_classification(d=30, n=8, k=1, n_test=20, seed=0)
    time = 2 * math.log(8) / 1e-2
    record = np.linspace(time / 20, time, 20)
    dual = DiagonalNet(depth=2).train(
        task, alpha=8.0, weight_decay=1e-2, time=time, record=record, rtol=1e-9
    )
    data = Data(task.X, task.y, task.X, task.y)
    found = fit_flow(
        Diagonal(),
        data,
        loss=lambda f, y: nn.functional.softplus(-y * f).mean(),
        time=time,
        weight_decay=1e-2,
        record=record,
        rtol=1e-6,
    ).history
    assert np.allclose(found.train_loss, dual.history.train_loss, rtol=1e-4)
    assert np.allclose(found.weight_norm, dual.history.parameter_norm, rtol=1e-4)


@pytest.mark.parametrize(("activation", "degree"), [(Square, 2), (nn.ReLU, 1)])
def test_what_a_homogeneous_network_conserves(activation, degree):
    """|w_i|^2 - k |v_i|^2 decays as exp(-2 lambda t), for an activation of degree k."""
    model = network(activation)

    def balance(model):
        w, v = model[0].weight, model[2].weight
        return (w.square().sum(1) - degree * v.square().sum(0)).detach()

    before = balance(model)
    flow(model)
    scale = model[0].weight.square().sum(1).detach() + before.abs()
    gap = (balance(model) - before * math.exp(-2 * 1e-2 * 20.0)).abs() / scale
    assert float(gap.max()) < 1e-3


def test_the_first_record_is_of_the_weights_that_were_given():
    model = network()
    before = cross_entropy(model(MODULAR.X), MODULAR.y).item()
    history = flow(model, time=0.1)
    assert float(history.train_loss[0]) == before
    assert float(history.parameter_change[0]) == 0


def test_a_finer_tolerance_is_more_accurate_and_the_default_is_good():
    record = np.geomspace(0.01, 20, 12)
    exact = flow(network(), record=record, rtol=1e-8)
    errors = []
    for rtol in (1e-3, 1e-5):
        found = flow(network(), record=record, rtol=rtol)
        errors.append(float(abs(found.train_loss / exact.train_loss - 1).max()))
    assert errors[0] < 1e-2
    assert errors[1] < errors[0] / 10


class Interrupted(Exception):
    pass


def test_an_interrupted_flow_ends_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoint, "is_older_than", lambda *_: True)
    options = {"metrics": {"accuracy": classified}, "checkpoint": tmp_path / "run.pt"}
    whole = network()
    reference = flow(whole, **(options | {"checkpoint": None}))

    def stop(done, end):
        if done > end / 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        flow(network(), **options, progress=stop)
    resumed = network()
    assert flow(resumed, **options).identical(reference)
    assert torch.equal(resumed[2].weight, whole[2].weight)
    again = network()
    assert flow(again, **options).identical(reference)  # from the file alone
    with pytest.raises(ValueError, match="another run"):
        flow(network(seed=1), **options)
    with pytest.raises(ValueError, match=r"another run: its time is \S+, not 7$"):
        flow(network(), **(options | {"time": 7.0}))


def test_a_flow_that_blows_up_says_when():
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)  # dw/dt = 4 w^3: w = (1 - 8 t)^(-1/2)
    X = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(NumericalError, match=r"beyond t = 0\.12"):
        fit_flow(model, Data(X, X, X, X), loss=lambda f, _: 1 - (f**4).mean(), time=1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": 0.0}, "time = 0"),
        ({"time": 1e300}, "time = .*: must be at most 1e"),
        ({"rtol": 10}, "rtol = 10: must be from 1e-12 to 0.1"),
        ({"weight_decay": -1.0}, "weight_decay = -1.0: must be at least 0"),
        ({"rtol": float("nan")}, "rtol"),
        ({"record": [1.0, 0.5]}, "must increase"),
        ({"record": [21.0]}, "must be at most time"),
        ({"metrics": {"loss": cross_entropy}}, "train_loss is the name of two records"),
        ({"loss": lambda f, _: f.mean() / 0}, "loss is"),
        ({"loss": lambda f, _: f**2}, "loss gives a tensor of shape"),
        ({"loss": lambda f, _: float(f.mean())}, "loss gives float: must give a tensor"),
        ({"loss": lambda f, _: f.detach().mean()}, "loss does not depend on f"),
        ({"loss": lambda f, _: 1j * f.mean()}, r"loss gives a complex tensor of shape \(\)"),
    ],
)
def test_bad_input_is_one_line(changes, message):
    with pytest.raises(ValueError, match=message):
        flow(network(), **changes)
