"""A batch of runs gives what each run gives alone, regardless of the other runs."""

import inspect
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich import simulate
from lazyrich.simulate.batch import (
    MEMORY_BUDGET,
    MOST_RUNS,
    STEP_BUDGET,
    batch_size,
    train_batch,
)
from lazyrich.simulate.stability import DivergenceError
from lazyrich.simulate.train import plan

STEPS = 30


def options(**changes) -> dict:
    """All arguments of train, as plan wants them."""
    found = {n: p.default for n, p in inspect.signature(simulate.train).parameters.items()}
    del found["task"]
    found |= {
        "engine": "moments",
        "centred": False,
        "width": 7,
        "steps": STEPS,
        "alpha": 1.0,
        "epsilon": 0.5,
        "learning_rate": 0.3,
    }
    return found | {"alignment": "train"} | changes


runs = st.fixed_dictionaries(
    {
        "alpha": st.sampled_from([0.3, 1.0, 5.0, 100.0]),
        "epsilon": st.sampled_from([-0.5, 0.0, 0.02, 1.0]),
        "width": st.sampled_from([1, 2, 9, math.inf]),
        "sigma": st.sampled_from([0.5, 1.0]),
        "seed": st.integers(0, 3),
        "learning_rate": st.sampled_from([0.01, 0.1]),
        "momentum": st.sampled_from([0.0, 0.5]),
        "weight_decay": st.sampled_from([0.0, 0.1]),
        "decoupled_weight_decay": st.sampled_from([0.0, 0.1]),
    }
)


@given(
    D=st.integers(1, 5),
    sizes=st.lists(st.tuples(st.integers(1, 12), runs), min_size=2, max_size=5),
    centred=st.booleans(),
)
def test_a_batch_of_unlike_runs_is_each_run_alone(D, sizes, centred):
    plans, alone = [], []
    for P, changes in sizes:
        task = simulate.PolynomialTask(D=D, P=P, n_test=3, seed=changes["seed"])
        plans.append(plan(task, **options(centred=centred, **changes)))
        try:
            alone.append(simulate.train(task, **options(centred=centred, **changes)))
        except DivergenceError as error:
            alone.append(error)
    for together, single in zip(train_batch(plans), alone, strict=True):
        if isinstance(single, DivergenceError):
            assert isinstance(together, DivergenceError)
            assert together.step == single.step
            continue
        assert together.config == single.config
        # Stable descent: rounding errors add up at most linearly in the steps, and padding adds
        # zeros, so that only the order of sums differs.
        scale = STEPS * 1e-13
        for got, wanted in zip(together.state, single.state, strict=True):
            assert torch.allclose(got, wanted, rtol=scale, atol=scale * (1 + float(wanted.norm())))
        gap = abs(together.history.train_loss - single.history.train_loss)
        power = float(single.history.train_loss.max()) + float(plans[0].training.y.square().mean())
        assert float(gap.max()) <= scale * (1 + power)


def test_a_run_that_diverges_leaves_the_others_alone():
    task = simulate.PolynomialTask(D=4, P=9, n_test=3, seed=0)
    rates = [0.1, 1e4, 0.2]
    found = train_batch([plan(task, **options(learning_rate=rate)) for rate in rates])
    assert isinstance(found[1], DivergenceError)
    with pytest.raises(DivergenceError) as alone:
        simulate.train(task, **options(learning_rate=1e4))
    assert str(found[1]) == str(alone.value)
    for i in (0, 2):
        single = simulate.train(task, **options(learning_rate=rates[i]))
        assert np.allclose(found[i].history.train_loss, single.history.train_loss, rtol=1e-10)


def test_each_run_of_a_batch_diverges_at_its_own_first_step():
    task = simulate.PolynomialTask(D=4, P=9, n_test=3, seed=0)
    rates = [1e4, 20.0, 0.1, 300.0]
    many = {"steps": 300, "record": [0, 300]}
    found = train_batch(
        [plan(task, **options(epsilon=0.0, learning_rate=rate, **many)) for rate in rates]
    )
    steps = [error.step for error in (found[0], found[1], found[3])]
    assert len(set(steps)) == 3
    for rate, step in zip((rates[0], rates[1], rates[3]), steps, strict=True):
        with pytest.raises(DivergenceError) as alone:
            simulate.train(
                task, **options(epsilon=0.0, learning_rate=rate, steps=300, record=range(301))
            )
        assert alone.value.step == step
    single = simulate.train(task, **options(epsilon=0.0, learning_rate=0.1, **many))
    assert np.allclose(found[2].history.train_loss, single.history.train_loss, rtol=1e-10)


def test_padding_that_touched_a_run_would_be_seen():
    """The control: samples that are not zero change a run by more than the tolerance above."""
    task, more = (simulate.PolynomialTask(D=3, P=P, n_test=3, seed=0) for P in (5, 6))
    short, long = (simulate.train(t, **options()).history.train_loss for t in (task, more))
    assert float(abs(short - long).max()) > 1e-6


def test_a_batch_must_be_alike():
    task = simulate.PolynomialTask(D=4, P=9, n_test=3, seed=0)
    with pytest.raises(ValueError, match="plans: must be runs of engine 'moments' alike"):
        train_batch([plan(task, **options()), plan(task, **options(steps=31))])


def peak(runs: int, *sizes: float) -> int:
    """Return the most memory in bytes that a batch takes, in a process of its own.

    glibc is told to give every array back at once: what it keeps otherwise differs by a quarter
    from one process to the next.
    """
    script = Path(__file__).parents[1] / "benchmarks" / "batch_memory.py"
    command = [sys.executable, script, *map(str, (runs, *sizes))]
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return int(found.stdout)


@pytest.mark.slow
def test_a_batch_holds_its_memory_budget_and_twice_as_many_runs_do_not():
    D, P, n_test, width = 50, 50, 10_000, 20_000  # where X_test and W take the most
    size = batch_size(P, D, width, n_test)
    assert 1 < size < batch_size(P, D, width, 1) <= MOST_RUNS  # the budget binds
    assert peak(size, D, P, n_test, width) <= MEMORY_BUDGET
    assert peak(2 * size, D, P, n_test, width) > MEMORY_BUDGET


@given(P=st.integers(1, 2000), D=st.integers(1, 300), width=st.integers(1, 400))
def test_a_step_of_a_batch_goes_through_no_more_than_its_budget(P, D, width):
    size = batch_size(P, D, width, 1)
    K = min(width - 1, D) + 1
    passed = {count: 8 * count * (P * (D + 4 * K) + 3 * D * K) for count in (size, size + 1)}
    assert size == 1 or passed[size] <= STEP_BUDGET
    assert size == MOST_RUNS or passed[size + 1] > STEP_BUDGET
