"""When a loss has fallen, what a run came to, and what a run that ends says of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xarray import DataArray, Dataset

from lazyrich import simulate
from lazyrich.simulate.outcome import (
    AT_ONCE,
    DELAYED,
    GROKS,
    MEMORISES,
    PHASES,
    SHARE,
    UNFITTED,
    Outcome,
    median_delay,
    outcome,
    phase_of,
    settled,
    settled_at,
    time_to_grok,
)

STEPS = np.array([0, 1, 2, 5, 10, 20, 50, 100])
losses = st.lists(st.floats(1e-6, 10), min_size=len(STEPS), max_size=len(STEPS), unique=True).map(
    np.array
)
# As curves may be: exactly fitted, overflowed, not recorded.
rough = st.lists(
    st.floats(0, 10) | st.sampled_from([0.0, math.inf, math.nan]),
    min_size=len(STEPS),
    max_size=len(STEPS),
).map(np.array)


def curve(values):
    return DataArray(values, coords={"step": STEPS}, dims="step")


@given(values=losses, level=st.floats(1e-3, 1))
def test_below_the_level_after_and_not_before(values, level):
    step = float(settled(curve(values), level))
    if values[-1] >= level:
        assert step == math.inf
        return
    assert (values[step < STEPS] < level).all()
    before = STEPS[step > STEPS]
    if before.size:
        assert values[before[-1] == STEPS] >= level or np.isclose(step, STEPS).any()
    else:
        assert (values < level).all()


@given(values=rough, level=st.floats(0, 1))
def test_a_time_is_within_the_two_records_or_never_or_unknown(values, level):
    """NaN for a curve without records only; inf for one that ends above; else between records."""
    step, known = settled_at(STEPS, values, level), ~np.isnan(values)
    if not known.any():
        assert math.isnan(step)
    elif not values[known][-1] < level:
        assert step == math.inf
    else:
        later = STEPS[known] >= step - 1e-9
        assert (values[known][later] < level).sum() >= later.sum() - 1
        assert STEPS[0] <= step <= STEPS[-1]


@pytest.mark.parametrize("tiny", [5e-324, 1e-300])
def test_a_rise_from_almost_nothing_is_met_near_its_end(tiny):
    """By logarithms, though the quotient of two losses is no number of floating point."""
    part = math.log(tiny) / (math.log(tiny) - math.log(2.0))
    assert settled_at([0.0, 1.0], [tiny, 2.0], 1.0, above=True) == pytest.approx(part)
    assert settled_at([0.0, 1.0], [2.0, tiny], 1.0) == pytest.approx(1 - part)


@given(values=rough, level=st.floats(0.01, 1))
def test_above_is_below_of_the_negative_up_to_the_interpolation(values, level):
    a = settled_at(STEPS, values, level, above=True)
    b = settled_at(STEPS, -values, -level)
    finite = [math.isfinite(x) for x in (a, b)]
    assert finite[0] == finite[1]
    assert math.isnan(a) == math.isnan(b)
    if all(finite):
        records = STEPS[~np.isnan(values)]
        assert np.searchsorted(records, a - 1e-9) == np.searchsorted(records, b - 1e-9)


@given(rate=st.floats(0.01, 1), level=st.floats(1e-3, 0.9))
def test_an_exponential_falls_at_its_exact_time(rate, level):
    """log(loss) is linear between records, as the definition takes it to be."""
    exact = -np.log(level) / rate
    step = float(settled(curve(np.exp(-rate * STEPS)), level))
    assert step == pytest.approx(exact) if exact < STEPS[-1] else step == math.inf


@given(values=losses, missing=st.sets(st.integers(0, len(STEPS) - 1), max_size=len(STEPS) - 1))
def test_records_that_were_not_made_change_nothing(values, missing):
    """Wherever they are: in the middle, as in a sweep of different grids, or at the end."""
    kept = [i for i in range(len(STEPS)) if i not in missing]
    cut = curve(values).where(curve(values).step.isin(STEPS[kept]))
    assert float(settled(cut, 0.5)) == float(settled(curve(values).isel(step=kept), 0.5))


def test_each_run_may_have_its_own_level_and_its_own_times():
    runs = DataArray([[1.0, 0.1], [1.0, 0.1]], dims=("run", "step"), coords={"step": [0, 1]})
    levels = DataArray([0.5, 0.01], dims="run")
    assert settled(runs, levels).values.tolist() == [math.log(2) / math.log(10), math.inf]
    times = DataArray([[0.0, 2.0], [5.0, 9.0]], dims=("run", "step"))
    assert settled(runs, 0.1 + 1e-12, time=times).values == pytest.approx([2.0, 9.0])


@given(train=st.floats(0, 1e6) | st.just(math.inf), test=st.floats(0, 1e6) | st.just(math.inf))
def test_a_run_has_exactly_one_phase(train, test):
    phase = phase_of(train, test)
    assert phase in PHASES
    assert (phase == UNFITTED) == (train == math.inf)
    assert (phase == MEMORISES) == (train < math.inf and test == math.inf)
    if max(train, test) < math.inf:
        assert phase == (GROKS if test > DELAYED * train else AT_ONCE)


def runs(**curves):
    """One run a seed: train_loss and population_loss as lists over (seed, step)."""
    coords = {"step": [0, 10, 20, 30], "seed": range(len(curves["population_loss"]))}
    return Dataset({name: (("seed", "step"), c) for name, c in curves.items()}, coords)


def test_the_outcomes_of_runs():
    found = time_to_grok(
        runs(
            train_loss=[[1, 0.01, 0.01, 0.01], [1, 0.01, 0.01, 0.01], [1, 1, 1, 1]],
            population_loss=[[1, 1, 1, 0.01], [1, 1, 1, 0.5], [1, 1, 1, 0.01]],
        ),
        threshold=0.1,
    )
    assert found.phase.values.tolist() == [GROKS, MEMORISES, UNFITTED]
    np.testing.assert_equal(found.delay.values, [20, math.inf, math.nan])
    np.testing.assert_equal(found.at_least.values, [20, 25, math.nan])
    np.testing.assert_equal(found.train.values, [5, 5, math.inf])
    assert {found[name].attrs["units"] for name in found if name != "phase"} == {"gradient steps"}
    in_time = runs(train_loss=[[1, 0, 0, 0]], population_loss=[[1, 0, 0, 0]])
    in_time = time_to_grok(in_time.rename(step="time"), threshold=0.1)
    assert in_time.delay.attrs["units"] == "1"


def test_a_dip_that_does_not_last_is_no_fall():
    dips = runs(train_loss=[[1, 0.01, 0.01, 0.01]], population_loss=[[1, 0.01, 1, 0.01]])
    assert time_to_grok(dips, threshold=0.1).test.item() == 25


def test_at_the_level_is_neither_below_nor_above():
    assert settled_at([0, 10, 20], [0.1, 0.4, 0.1], 0.4) == 10
    assert settled_at([0, 10, 20], [0.8, 0.4, 0.8], 0.4, above=True) == 10
    assert settled_at([3, 5], [0.1, 0.2], 0.4) == 3


def test_one_run_and_many_have_the_same_outcome():
    some = {"P": 12, "alpha": 1.0, "epsilon": 0.5, "width": 8, "steps": 200, "engine": "moments"}
    task = simulate.PolynomialTask(D=5, P=12, seed=0)
    rest = {name: value for name, value in some.items() if name != "P"}
    run = simulate.train(task, learning_rate=0.3, **rest)
    one, many = run.outcome(), time_to_grok(run.history)
    for name, field in (("train", "train_fall"), ("test", "test_fall"), ("delay", "delay")):
        np.testing.assert_equal(float(many[name]), getattr(one, field))
    assert (one.phase, one.end, one.unit) == (many.phase.item(), 200, "step")
    y = task.y.numpy()
    assert one.train_level == pytest.approx(SHARE * (y**2).mean())
    assert one.test_level == pytest.approx(0.1)  # |beta|^2 = D: 2/15 of 3/4
    level = SHARE * (y**2).mean()
    again = settled_at(run.history.step, run.history.train_loss, level)
    assert one.train_fall == pytest.approx(again)


def test_without_a_scale_a_threshold_is_asked_for():
    bare = Dataset({"train_loss": ("step", [1.0, 0.0]), "test_loss": ("step", [1.0, 1.0])})
    bare = bare.assign_coords(step=[0, 1])
    with pytest.raises(ValueError, match=r"no zero_train_loss.*give threshold"):
        outcome(bare)
    assert outcome(bare, threshold=0.1).phase == MEMORISES
    with pytest.raises(ValueError, match=r"must be of one run"):
        outcome(runs(train_loss=[[1] * 4], population_loss=[[1] * 4]), threshold=0.1)
    with pytest.raises(ValueError, match=r"must have step or time"):
        outcome(Dataset({"train_loss": ("epoch", [1.0])}), threshold=0.1)


# From 1e-300 on, so that no scaled time underflows.
_TIMES = st.just(0.0) | st.floats(1e-300, 1e3)


@given(factor=st.floats(1e-3, 1e3), train=_TIMES, test=_TIMES)
def test_scaling_the_time_changes_no_phase(factor, train, test):
    found = Outcome(train, test, 1e3)
    if abs(test - DELAYED * train) > 1e-9 * test:
        assert found.scaled(factor).phase == found.phase
    assert found.scaled(factor).delay == pytest.approx(factor * found.delay, abs=1e-9 * factor)


@given(st.lists(st.floats(0, 1e6) | st.just(np.inf), min_size=1, max_size=9))
def test_the_median_is_infinite_from_half_censored_on_and_true_below(delays):
    found = median_delay(Dataset({"delay": ("seed", delays)}, {"seed": range(len(delays))}))
    assert not found.coords
    median = float(found)
    if 2 * np.isinf(delays).sum() >= len(delays):
        assert median == np.inf
    else:
        assert sum(d <= median for d in delays) * 2 >= len(delays)
        assert sum(d >= median for d in delays) * 2 >= len(delays)


def test_of_no_runs_there_are_no_times():
    none = runs(train_loss=np.empty((0, 4)), population_loss=np.empty((0, 4)))
    assert time_to_grok(none, threshold=0.1).delay.size == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": "a"}, "share = 'a': must be a finite number above 0"),
        ({"share": -1}, "share = -1: must be a finite number above 0"),
        ({"threshold": math.nan}, "threshold = nan: must be a finite number above 0"),
        ({"test": "tset_loss"}, "test = 'tset_loss': did you mean 'test_loss'"),
    ],
)
def test_a_level_or_a_loss_that_is_none_is_one_line(given, message):
    run = simulate.train(simulate.PolynomialTask(D=3, P=5, n_test=2), steps=5, width=4)
    with pytest.raises(ValueError, match=message):
        run.outcome(**given)
    with pytest.raises(ValueError, match=message):
        simulate.time_to_grok(run.history, **given)


@given(train=st.floats(0, 1e6) | st.just(math.inf), test=st.floats(0, 1e6) | st.just(math.inf))
def test_a_run_groks_in_one_phase_of_them(train, test):
    found = Outcome(train_fall=train, test_fall=test, end=1e6)
    assert found.groks == (found.phase == "groks")
