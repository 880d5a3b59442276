"""Answers of ``diagnose`` that must not depend on what was asked, or on kinks of the network."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich.simulate import Data, diagnose, fit
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.laziness import along_the_path


def parity():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1)).double()
    X = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (120, 8)))
    y = X[:, :1] * X[:, 1:2]
    return model, Data(X[:50], y[:50], X[50:], y[50:])


def test_a_short_time_changes_the_phase_and_no_time():
    long, short, near = (diagnose(*parity(), time=t, budget=300) for t in (None, 2.0, 3.0))
    assert long.verdict == "generalises at once"
    assert short.verdict == near.verdict == "not fitted"  # gradient flow fits at 3.9
    assert long.forecast.train == short.forecast.train == near.forecast.train
    assert long.forecast.test == short.forecast.test
    assert "may or may not" in near.forecast.reason
    assert "may or may not" not in short.forecast.reason + long.forecast.reason


def test_the_first_order_change_of_a_kernel_with_kinks_is_its_derivative_between_them():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 50), nn.ReLU(), nn.Linear(50, 1))
    X, a = torch.randn(20, 3), torch.randn(20).double()
    expansion = Expansion(model, Data(X, X[:, :1], X, X[:, :1]))
    found = along_the_path(expansion, [(1.0, a, 0.0)], 1.0)
    one = torch.cat([X, torch.ones(20, 1)], 1).double()
    on = (model[0](X) > 0).double()

    def jacobian(w, b, v):  # of a network whose gates stay as they are
        hidden = one @ torch.cat([w, b[:, None]], 1).T * on
        return torch.cat([hidden, torch.einsum("nk,nd->nkd", on * v, one).flatten(1)], 1)

    names = ("0.weight", "0.bias", "2.weight")
    weights, along = (
        tuple(side[name].detach().double() for name in names)
        for side in (expansion.weights, expansion.direction(a))
    )
    J, slope = torch.func.jvp(jacobian, weights, along)[:2]
    K0 = J @ J.T + 1  # the bias of the output
    wanted = (slope @ J.T + J @ slope.T).norm() / K0.norm()
    assert found.drift == pytest.approx(float(wanted), rel=1e-4)


def test_a_run_of_other_data_or_without_a_test_set_is_one_line():
    torch.manual_seed(0)
    model, X = nn.Sequential(nn.Linear(3, 20), nn.Tanh(), nn.Linear(20, 1)), torch.randn(60, 3)
    y = X[:, :1]
    data, other = Data(X[:30], y[:30], X[50:], y[50:]), Data(X[20:50], y[20:50], X[50:], y[50:])
    start, sgd = copy.deepcopy(model), {"optimiser": lambda w: torch.optim.SGD(w, lr=0.1)}
    run = fit(model, data, loss="mse", steps=10, **sgd)
    alone = fit(copy.deepcopy(start), Data(X[:30], y[:30]), loss="mse", steps=10, **sgd)
    options = {"with_pilots": False, "memory": 10**8}
    assert diagnose(start, data, run=run, **options).trained is not None
    with pytest.raises(ValueError, match=r"run starts at a train loss of .*: give the data and"):
        diagnose(start, other, run=run, **options)
    with pytest.raises(ValueError, match="run has no test loss: must be trained with data that"):
        diagnose(start, data, run=alone, **options)
    assert "test loss not measured" in str(alone.outcome())
    assert "nan" not in str(alone.outcome())
    assert alone.outcome().end == 10


def test_labels_outside_0_to_1_of_a_binary_loss_are_noted():
    torch.manual_seed(0)
    model, X = nn.Linear(2, 1), torch.randn(12, 2)
    y = X[:, :1].sign()
    loss, data = nn.BCEWithLogitsLoss(), Data(X[:8], y[:8], X[8:], y[8:])
    given = {"loss": loss, "steps": 2, "optimiser": lambda w: torch.optim.SGD(w, lr=0.1)}
    with pytest.warns(UserWarning, match="y has -1: labels of this loss must be from 0 to 1"):
        fit(model, data, **given)
