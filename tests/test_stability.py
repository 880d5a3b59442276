"""Divergence: the largest stable rate is sharp, and training beyond it ends in one clear line."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.stability import stable_learning_rate

DECAYS = st.one_of(st.just(0.0), st.floats(0.01, 1.0))


@given(
    P=st.integers(1, 6),
    D=st.integers(1, 4),
    alpha=st.floats(-1, 1).map(lambda power: 10.0**power),
    momentum=st.sampled_from([0.0, 0.3, 0.8]),
    weight_decay=DECAYS,
    decoupled_weight_decay=DECAYS,
    seed=st.integers(0, 2**32 - 1),
)
def test_a_linear_network_converges_below_the_stable_rate_and_diverges_above(
    P, D, alpha, momentum, weight_decay, decoupled_weight_decay, seed
):
    """With epsilon = 0 the descent is linear, and the boundary of stability sharp."""
    task = simulate.PolynomialTask(D, P, n_test=1, seed=seed)
    curvature = {"alpha": alpha, "epsilon": 0.0, "momentum": momentum}
    curvature |= {"weight_decay": weight_decay, "decoupled_weight_decay": decoupled_weight_decay}
    start = PseudoNeurons.isotropic(D, 1.0)
    rate = stable_learning_rate(task.X, start.wbar, start.M, **curvature)

    def sizes(fraction):
        descent = Descent(start, task.X, task.y, learning_rate=fraction * rate, **curvature)
        descent.neurons.columns[:, 0] += 1e-3  # a little of every mode
        norms = []
        for _ in range(2):
            descent.step(1000)
            norms.append(float(descent.neurons.columns[:, 0].norm()))
        return norms

    # 1% above, the unstable mode grows by 1.02 a step at least: 4e8 between the two looks. 1%
    # below, every mode stays at most as large as it was.
    below, above = sizes(0.99), sizes(1.01)
    assert below[1] <= 2 * below[0] + 1e-300
    assert not above[1] <= 1e6 * above[0]  # NaN or infinite counts as growth


@pytest.mark.parametrize("engine", ["moments", "neurons", "linearised"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_too_large_a_rate_ends_in_one_line_with_the_step_and_a_rate_that_works(engine, dtype):
    task = simulate.PolynomialTask(5, 20, n_test=9, seed=0)
    options = {"alpha": 10.0, "epsilon": 0.2, "width": 8, "centred": True, "engine": engine}
    options |= {"steps": 20_000, "dtype": dtype, "record": [0, 20_000]}
    with pytest.raises(simulate.DivergenceError) as caught:
        simulate.train(task, learning_rate=50.0, **options)
    error = caught.value
    assert isinstance(error, ValueError)
    assert "\n" not in str(error)
    assert str(error).startswith("learning_rate = 50: must be below ")
    assert (error.learning_rate, error.stable_at) == (50.0, 0)
    assert 1 <= error.step <= 20_000
    assert 0 < error.stable_learning_rate < 50
    options |= {"steps": 500, "record": [0, 500]}
    history = simulate.train(
        task, learning_rate=0.9 * error.stable_learning_rate, **options
    ).history
    assert history.train_loss[-1] < history.train_loss[0]


@pytest.mark.parametrize("engine", ["moments", "neurons", "linearised"])
@pytest.mark.parametrize("steps", [255, 256, 300, 2000])
def test_a_divergence_is_reported_at_its_first_step(engine, steps):
    """The same step whether every step is recorded, and so looked at, or only the last."""
    task = simulate.PolynomialTask(4, 9, n_test=5, seed=1)
    options = {"alpha": 3.0, "epsilon": 0.01, "width": 6, "engine": engine, "momentum": 0.0}
    options["centred"] = False
    options |= {"steps": steps, "alignment": None}
    found = []
    for record in (range(steps + 1), [0, steps]):
        with pytest.raises(simulate.DivergenceError) as caught:
            simulate.train(task, learning_rate=5.0, record=record, **options)
        found.append(caught.value.step)
    assert found[0] == found[1]
    assert 0 < found[0] < 255
    run = simulate.train(task, learning_rate=5.0, **options | {"steps": found[0] - 1})
    assert run.history.train_loss.notnull().all()
    with pytest.raises(simulate.DivergenceError):
        simulate.train(task, learning_rate=5.0, **options | {"steps": found[0]})


def test_a_rate_that_was_stable_at_the_start_is_told_from_one_that_never_was():
    """Rich training sharpens the kernel: the rate is measured at the last record as well."""
    task = simulate.PolynomialTask(5, 20, n_test=9, seed=0)
    options = {"alpha": 0.01, "epsilon": 0.5, "width": 8, "steps": 20_000}
    options |= {"engine": "moments", "centred": False}
    start = simulate.train(task, learning_rate=1e-9, **options | {"steps": 1})
    assert math.isfinite(float(start.history.train_loss[-1]))
    with pytest.raises(simulate.DivergenceError) as caught:
        simulate.train(task, learning_rate=0.5, **options)
    assert caught.value.stable_at > 0 or caught.value.stable_learning_rate < 0.5


def test_no_record_and_no_state_is_ever_not_a_number():
    """The last step of all may be the first that overflows: it is looked at, recorded or not."""
    task = simulate.PolynomialTask(3, 8, n_test=5, seed=0)
    finite, latest = 0, -1
    for steps in range(1, 40):
        options = {"alpha": 1.0, "epsilon": 2.0, "width": 4, "learning_rate": 3.0}
        options |= {"engine": "moments", "centred": False}
        for record in ([0], None):
            try:
                run = simulate.train(task, steps=steps, record=record, **options)
            except simulate.DivergenceError as error:
                latest = max(latest, error.step - steps)
                continue
            finite += 1
            assert all(bool(torch.isfinite(part).all()) for part in run.state)
            assert bool(run.history.train_loss.notnull().all())
    assert 0 < finite < 2 * 39
    assert latest <= 0


def test_decay_far_beyond_the_labels_is_no_divergence():
    task = simulate.PolynomialTask.from_arrays(torch.eye(3), [1e-9, 0, 0])
    options = {"alpha": 1.0, "epsilon": 0.5, "width": 4, "centred": True, "learning_rate": 0.1}
    options["engine"] = "moments"
    run = simulate.train(task, steps=300, decoupled_weight_decay=0.5, **options)
    assert run.history.weight_norm[-1] < run.history.weight_norm[0]
