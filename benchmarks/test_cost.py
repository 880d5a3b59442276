"""How the cost of a ``moments`` step grows, and what a batch of runs saves."""

import inspect
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from lazyrich import simulate
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.batch import MEMORY_BUDGET, MOST_RUNS, batch_size, train_batch
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.train import plan, run_plan

NUMBERS: dict = {"alpha": 1.0, "epsilon": 0.02, "learning_rate": 0.1}


def descent(D, P, N):
    task = simulate.PolynomialTask(D, P, n_test=1, seed=0)
    start = PseudoNeurons.isotropic(D, 1.0)
    if math.isfinite(N):
        start = PseudoNeurons.from_weights(standard_normal(0, "weights", (N, D)))
    return Descent(start, task.X, task.y, centred=True, **NUMBERS)


@pytest.mark.parametrize("N", [10, 50, 101, 500, 5000, 50_000, math.inf])
def test_width(measure, N):
    """A step of moments at D = 100, P = 550, float64. From N = D + 1 on there are D + 1
    pseudo-neurons, for infinitely many neurons too; below, N."""
    run = descent(100, 550, N)
    at = N if math.isfinite(N) else None
    measure("Against the width N", f"N = {N:,}", lambda: run.step(20), calls=20, at=at, rounds=20)


@pytest.mark.parametrize("P", [100, 200, 400, 800, 1600, 3200])
def test_samples(measure, P):
    """A step of moments at D = 100, infinite width, float64. Its two products take 4 P D (D + 1)
    operations: slope 1 in P."""
    run = descent(100, P, math.inf)
    measure("Against P", f"P = {P}", lambda: run.step(10), calls=10, at=P, rounds=10)


@pytest.mark.parametrize("D", [25, 50, 100, 200, 400, 800])
def test_dimension(measure, D):
    """A step of moments at P = 550, infinite width, float64. Slope 2 in D, and less where D is so
    small that the calls cost more than the arithmetic."""
    run = descent(D, 550, math.inf)
    measure("Against D", f"D = {D}", lambda: run.step(5), calls=5, at=D, rounds=10)


def plans(count, *, D, P, width, steps):
    given = {n: p.default for n, p in inspect.signature(simulate.train).parameters.items()}
    given |= NUMBERS | {"width": width, "steps": steps, "record": [steps], "alignment": None}
    given |= {"engine": "moments"}
    task = simulate.PolynomialTask(D, P, n_test=1, seed=0)
    return [plan(**given | {"task": task, "seed": seed}) for seed in range(count)]


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "batched"])
@pytest.mark.parametrize("D", [10, 40, 100])
def test_batch(measure, D, together):
    """32 runs of engine moments, P = 5 D, N = 500, 100 steps, nothing recorded but the end: one
    after the other, or in the batches of a sweep, which are smaller the larger D is. Time per
    run."""
    wanted = plans(MOST_RUNS, D=D, P=5 * D, width=500, steps=100)
    size = batch_size(5 * D, D, 500, 1)

    def one_by_one():
        return [run_plan(each) for each in wanted]

    def batched():
        return [train_batch(wanted[i : i + size]) for i in range(0, MOST_RUNS, size)]

    run, name = (batched, "batched") if together else (one_by_one, "one by one")
    notes = {"runs at a time": size if together else 1}
    measure(f"Batched runs, D = {D}", name, run, calls=MOST_RUNS, rounds=2, notes=notes)


@pytest.mark.parametrize(
    ("D", "P", "n_test", "N"), [(50, 50, 10_000, 20_000), (400, 1000, 1000, math.inf)]
)
def test_memory(measure, D, P, n_test, N):
    """A batch of a sweep, trained for 5 steps in a process of its own: the most memory held, less
    what was held before. The first is one that the budget for memory limits, by 10,000 samples for
    testing and 20,000 neurons a run; the second that for a step, to a single run."""
    size = batch_size(P, D, N, n_test)
    sizes = map(str, (size, D, P, n_test, N))
    command = [sys.executable, Path(__file__).with_name("batch_memory.py"), *sizes]

    def run():
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    notes = {"runs": size, "budget, MiB": MEMORY_BUDGET >> 20}
    found = measure("Memory of a batch", f"D = {D}, P = {P}, N = {N:,}", run, rounds=1, notes=notes)
    notes["peak, MiB"] = found >> 20
    assert found > 0
