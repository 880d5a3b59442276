"""``run_many``: several runs of ``train`` at once, kept nowhere."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray

from lazyrich.simulate.batch import batch_size, shared
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.stability import NumericalError
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.together import trained
from lazyrich.simulate.train import Plan, plan_of
from lazyrich.support.arguments import shown
from lazyrich.support.patience import told

_SETTINGS = "must be arguments of train by name, such as {'alpha': 1.0}, or a list of them"


@checks_its_arguments
def run_many(
    tasks: Sequence[PolynomialTask] | PolynomialTask,
    settings: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    *,
    progress: Callable[[int, int], Any] | None = None,
    **fixed: Any,
) -> list[list[Run | NumericalError]]:
    """Train every setting on every task, in this process; return a list of runs for each task.

    Use it for tens of small runs whose weights you need; ``sweep`` is for large grids, stores what
    it has done and uses all cores. ``settings`` are arguments of ``train``, ``fixed`` those that
    all share. Runs of the engine "moments" that agree in steps, size and centring train as one
    batch. A run that diverged gives its ``DivergenceError``, one that failed otherwise its
    ``NumericalError``. ``progress`` is called with (runs done, runs).

    Raises ``ValueError`` for bad input before the first run.

    >>> tasks = [PolynomialTask(D=5, P=20, n_test=1, seed=seed) for seed in range(3)]
    >>> found = run_many(tasks, [{"alpha": 0.5}, {"alpha": 2.0}], engine="moments", width=8,
    ...                  epsilon=0.5, learning_rate=0.5, steps=10)
    >>> [len(runs) for runs in found]
    [2, 2, 2]
    >>> joined(found, over=("seed", "alpha")).train_loss.shape
    (3, 2, 11)
    """
    if not isinstance(settings, Mapping | list | tuple):
        raise ValueError(f"settings = {shown(settings)}: {_SETTINGS}")
    if not isinstance(tasks, PolynomialTask | list | tuple):
        raise ValueError(f"tasks = {shown(tasks)}: must be a PolynomialTask, or a list of them")
    some = [tasks] if isinstance(tasks, PolynomialTask) else list(tasks)
    each = [settings] if isinstance(settings, Mapping) else list(settings)
    for one in each:
        if not isinstance(one, Mapping):
            raise ValueError(f"settings has {shown(one)}: {_SETTINGS}")
    plans = [plan_of(task, **(dict(fixed) | dict(one))) for task, one in product(some, each)]
    ends: list[Run | NumericalError | None] = [None] * len(plans)
    done, progress = 0, told(progress, "the runs")
    for places in _batches(plans):
        for place, end in zip(places, trained([plans[i] for i in places]), strict=True):
            ends[place] = end
        done += len(places)
        progress(done, len(plans))
    flat = [end for end in ends if end is not None]
    return [flat[i : i + len(each)] for i in range(0, len(flat), len(each))]


def joined(
    found: Sequence[Sequence[Run | NumericalError]], over: tuple[str, str]
) -> xarray.Dataset:
    """Return the histories of ``run_many`` as one dataset over (task, setting, step).

    ``over`` names the two dimensions. Steps that a run has not recorded, and runs that failed, are
    NaN.
    """
    rows = []
    for runs in found:
        histories = [run.history if isinstance(run, Run) else xarray.Dataset() for run in runs]
        rows.append(xarray.concat(histories, over[1], join="outer", data_vars="all"))
    return xarray.concat(rows, over[0], join="outer", data_vars="all").transpose(*over, ...)


def _batches(plans: Sequence[Plan]) -> list[list[int]]:
    """Return the places of the runs that train together."""
    alike: dict[Any, list[int]] = {}
    for place, one in enumerate(plans):
        key = shared(one) if one.engine.batches else place
        alike.setdefault(key, []).append(place)
    found = []
    for group in alike.values():
        size = min(batch_size(*_sizes(plans[place])) for place in group)
        found += [group[i : i + size] for i in range(0, len(group), size)]
    return found


def _sizes(one: Plan) -> tuple[int, int, int | float, int]:
    training = one.training
    W = training.network.W
    width = np.inf if W is None else W.shape[0]
    return training.task.P, training.task.D, width, training.task.X_test.shape[0]
