"""Work that is done again and again keeps nothing: memory stays where it was.

``tracemalloc`` counts what Python and NumPy hold, so that other work on the machine doesn't show;
tensors are counted by themselves, as their memory is torch's.
"""

import gc
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lazyrich import simulate, theory

TASK = simulate.PolynomialTask(D=4, P=6, n_test=5, seed=0)
# Bytes a call that count as growth: less than a result takes.
LEAST = 20.0
# A history takes more. Trainings aren't in CALLS: Python and torch fill free lists at first. `fit`
# kept 79 bytes a training over 300 of them, and 5 over the next 1,500 (plain torch: 11 and 3).
HISTORY = 3000.0


def growth(call: Callable[[int], object], calls: int) -> tuple[float, int]:
    """Return the bytes of Python and the tensors that ``calls`` calls leave: bytes a call, count.

    As many calls come first: what is made once, or kept up to a bound, is there then.
    """

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    for i in range(calls):
        call(i)
    before = tensors()
    tracemalloc.start()
    try:
        first = tracemalloc.get_traced_memory()[0]
        for i in range(calls, 2 * calls):
            call(i)
        after = tensors()
        return (tracemalloc.get_traced_memory()[0] - first) / calls, after - before
    finally:
        tracemalloc.stop()


def train(i: int, engine: str) -> object:
    options = {"alpha": 1.0, "epsilon": 0.5, "width": 3, "steps": 3, "record": [3]}
    return simulate.train(TASK, **options, seed=i, engine=engine, alignment=None)


FUNCTION = theory.closed_form("ntk-eigenvalues").function("numpy")

CALLS: dict[str, tuple[Callable[[int], object], int]] = {
    "functions of arrays": (
        lambda i: FUNCTION(D=2 + i, sigma=np.float64(1.0), epsilon=np.float64(i)),
        3_000,
    ),
}


@pytest.mark.parametrize("kind", CALLS)
def test_work_that_is_done_again_keeps_nothing(kind):
    call, calls = CALLS[kind]
    kept, tensors = growth(call, calls)
    assert kept < LEAST
    assert tensors < calls / 20


def test_work_that_keeps_its_results_is_noticed():
    """Control: one result kept a call, of either kind."""
    numbers, runs = [], []
    kept, _ = growth(lambda i: numbers.append(FUNCTION(D=2 + i, sigma=1.0, epsilon=1.0)), 100)
    assert kept > 3 * LEAST
    kept, tensors = growth(lambda i: runs.append(train(i, "moments")), 5)
    assert kept > HISTORY
    assert tensors >= 5
