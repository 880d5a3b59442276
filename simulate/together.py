"""Runs that are trained as one batch where they can be, and one by one where they can't."""

from collections.abc import Sequence

from lazyrich.simulate.batch import train_batch
from lazyrich.simulate.run import Run
from lazyrich.simulate.stability import NumericalError
from lazyrich.simulate.threads import threads
from lazyrich.simulate.train import Plan, run_plan


def trained(plans: Sequence[Plan]) -> list[Run | NumericalError]:
    """Train these runs, several as one batch; each gives its run or what ended it.

    >>> trained([])
    []
    """
    try:
        if len(plans) < 2:
            return [run_plan(one) for one in plans]
        with threads():
            return list(train_batch(plans))
    except NumericalError as error:
        if len(plans) == 1:
            return [error]
    return [end for one in plans for end in trained([one])]  # which of them was it?
