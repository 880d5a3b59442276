"""Centred training at any alpha: nothing cancels, in any engine, in double and single precision."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich import simulate

TASK = simulate.PolynomialTask(D=5, P=12, seed=0)
ENGINES = ("neurons", "moments", "flow", "linearised")
LOSSES = ("train_loss", "test_loss", "population_loss")
SMALL = {"epsilon": 0.02, "width": 8, "steps": 60, "learning_rate": 0.3, "centred": True}


def losses(engine, alpha, **options):
    run = simulate.train(
        TASK, engine=engine, alpha=alpha, **SMALL | {"record": [0, 1, 20, 60]} | options
    )
    return np.array([run.history[name].values for name in LOSSES])


@cache
def lazy_limit(engine):
    return losses("flow", 1e12, rtol=1e-6) if engine == "flow" else losses("linearised", 1.0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ENGINES)
@given(size=st.floats(6, 150), sign=st.sampled_from([-1, 1]))
def test_at_large_alpha_training_is_linearised(engine, dtype, size, sign):
    """The gap is of order 1/alpha, so 1e-6 at most, and rounding."""
    alpha = sign * 10.0**size
    found = losses(engine, alpha, dtype=dtype)
    reach = 1e-3 if engine == "flow" else 1e-5 if dtype == "float32" else 1e-6
    np.testing.assert_allclose(found, lazy_limit(engine), rtol=3 * reach)


@pytest.mark.parametrize("engine", ENGINES)
@given(size=st.floats(-12, 150))
def test_the_first_loss_is_that_of_predicting_nothing_at_every_alpha(engine, size):
    found = losses(engine, 10.0**size, steps=1, learning_rate=1e-30, record=[0])[:, 0]
    nothing = [float(y.square().mean()) for y in (TASK.y, TASK.y_test)]
    assert found == pytest.approx([*nothing, 0.75], rel=1e-12)


@given(size=st.floats(-12, 4))
def test_engines_agree_at_every_alpha_below(size):
    """At small alpha weights grow to 1/sqrt(alpha) of their size, at a rate stable there too."""
    alpha = 10.0**size
    options = {"learning_rate": 0.05 * min(1.0, alpha), "record": [0, 1, 20, 60]}
    exact, slow = (losses(engine, alpha, **options) for engine in ("moments", "neurons"))
    np.testing.assert_allclose(exact, slow, rtol=1e-9)


@pytest.mark.parametrize("engine", ["neurons", "moments"])
def test_the_cases_that_were_wrong_without_a_word(engine):
    assert losses(engine, 1e20)[0, 0] == pytest.approx(0.5975, abs=5e-5)
    options = {"learning_rate": 1.0, "steps": 100_000, "record": [0, 100_000]}
    if engine == "moments":
        end = losses(engine, 1e7, dtype="float32", **options)[0, -1]
        assert end == pytest.approx(losses("linearised", 1.0, **options)[0, -1], abs=1e-4)


@pytest.mark.parametrize("readouts", [None, "gaussian"])
@pytest.mark.parametrize("activation_degree", [None, 3])
def test_neurons_of_any_kind_have_a_lazy_limit(readouts, activation_degree):
    options = {"readouts": readouts, "activation_degree": activation_degree, "alignment": None}
    some = losses("neurons", 1e8, **options)[:2]
    np.testing.assert_allclose(losses("neurons", 1e100, **options)[:2], some, rtol=1e-6)
    assert np.isfinite(some).all()
    assert (some[0, 1:] < some[0, :1]).all()


@given(decay=st.floats(1e-3, 1.0), step=st.sampled_from([0.999, 1.001]))
def test_both_coordinates_are_one_descent(decay, step):
    """Decay changes the coordinates at alpha = 1e4, and nothing else."""
    both = {"weight_decay": decay, "learning_rate": 0.2}
    for engine in ("neurons", "moments"):
        found = losses(engine, 1e4 * step, **both)
        np.testing.assert_allclose(found, losses("moments", 1e4, **both), rtol=1e-6)


@pytest.mark.parametrize("alpha", [1e151, -1e300, 1e-151])
def test_an_alpha_whose_square_is_no_number_is_one_line(alpha):
    with pytest.raises(ValueError, match="must be from 1e-150 to 1e150 in size"):
        simulate.train(TASK, alpha=alpha, **SMALL)


def test_a_lazy_change_is_known_to_full_precision_however_small():
    run = simulate.train(TASK, engine="moments", alpha=1e100, **SMALL)
    assert 0 < float(run.history.parameter_change[-1]) < 1e-90
    assert math.isfinite(float(run.history.weight_norm[-1]))
    assert torch.isfinite(run.state[1]).all()
