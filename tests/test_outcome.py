"""The time to grok: when a loss is learnt for good, and what a run that ends says of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xarray import DataArray, Dataset

from lazyrich.simulate.outcome import (
    CENSORED,
    GROKS,
    UNFITTED,
    learnt,
    median_delay,
    time_to_grok,
)

STEPS = np.array([0, 1, 2, 5, 10, 20, 50, 100])
losses = st.lists(st.floats(1e-6, 10), min_size=len(STEPS), max_size=len(STEPS), unique=True).map(
    np.array
)


def curve(values):
    return DataArray(values, coords={"step": STEPS}, dims="step")


@given(values=losses, threshold=st.floats(1e-3, 1))
def test_below_the_threshold_after_and_not_before(values, threshold):
    step = float(learnt(curve(values), threshold))
    if values[-1] >= threshold:
        assert np.isnan(step)
        return
    assert (values[step < STEPS] < threshold).all()
    before = STEPS[step > STEPS]
    if before.size:
        assert values[before[-1] == STEPS] >= threshold or np.isclose(step, STEPS).any()
    else:
        assert (values < threshold).all()


@given(rate=st.floats(0.01, 1), threshold=st.floats(1e-3, 0.9))
def test_an_exponential_is_learnt_at_its_exact_time(rate, threshold):
    """log(loss) is linear between records, as the definition takes it to be."""
    exact = -np.log(threshold) / rate
    step = float(learnt(curve(np.exp(-rate * STEPS)), threshold))
    assert step == pytest.approx(exact) if exact < STEPS[-1] else np.isnan(step)


@given(values=losses, tail=st.integers(1, 3))
def test_records_that_were_not_made_at_the_end_change_nothing(values, tail):
    whole = curve(values)
    cut = whole.where(whole.step < STEPS[-tail])
    shorter = whole.isel(step=slice(-tail))
    np.testing.assert_equal(float(learnt(cut, 0.5)), float(learnt(shorter, 0.5)))


def runs(**curves):
    """One run a seed: train_loss and population_loss as lists over (seed, step)."""
    coords = {"step": [0, 10, 20, 30], "seed": range(len(curves["population_loss"]))}
    return Dataset({name: (("seed", "step"), c) for name, c in curves.items()}, coords)


def test_the_three_outcomes_of_a_run():
    found = time_to_grok(
        runs(
            train_loss=[[1, 0.01, 0.01, 0.01], [1, 0.01, 0.01, 0.01], [1, 1, 1, 1]],
            population_loss=[[1, 1, 1, 0.01], [1, 1, 1, 0.5], [1, 1, 1, 1]],
        )
    )
    assert found.status.values.tolist() == [GROKS, CENSORED, UNFITTED]
    np.testing.assert_equal(found.delay.values, [20, np.inf, np.nan])
    np.testing.assert_equal(found.at_least.values, [20, 25, np.nan])


def test_a_dip_that_does_not_last_is_not_learnt():
    dips = runs(train_loss=[[1, 0.01, 0.01, 0.01]], population_loss=[[1, 0.01, 1, 0.01]])
    assert time_to_grok(dips).test.item() == 25


@given(st.lists(st.floats(0, 1e6) | st.just(np.inf), min_size=1, max_size=9))
def test_the_median_is_infinite_from_half_censored_on_and_true_below(delays):
    median = float(median_delay(Dataset({"delay": ("seed", delays)})))
    if 2 * np.isinf(delays).sum() >= len(delays):
        assert median == np.inf
    else:
        assert sum(d <= median for d in delays) * 2 >= len(delays)
        assert sum(d >= median for d in delays) * 2 >= len(delays)


def test_of_no_runs_there_are_no_times():
    none = runs(train_loss=np.empty((0, 4)), population_loss=np.empty((0, 4)))
    assert time_to_grok(none).delay.size == 0
