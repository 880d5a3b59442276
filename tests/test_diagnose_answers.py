"""Answers of ``diagnose`` that must not depend on what was asked, or on kinks of the network."""

import numpy as np
import pytest
import torch
from torch import nn

from lazyrich.simulate import Data, diagnose
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
    J, slope = torch.func.jvp(jacobian, weights, along)
    K0 = J @ J.T + 1  # the bias of the output
    wanted = (slope @ J.T + J @ slope.T).norm() / K0.norm()
    assert found.drift == pytest.approx(float(wanted), rel=1e-4)
