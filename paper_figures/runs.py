"""The experiments behind figures, and what figures ask of runs: their time, device and accuracy."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from types import ModuleType
from typing import Any

import torch
import xarray

from lazyrich.paper_figures.experiments import lyu
from lazyrich.simulate.experiment import Function
from lazyrich.simulate.runs import Runs
from lazyrich.simulate.threads import threads

# An update of a small network takes as long as this many multiplications, at any size.
OVERHEAD = 1_000_000


def of_fit(module: ModuleType) -> Function:
    """Return the experiment of a module that trains a network by ``fit`` or ``fit_flow``.

    The module has ``train(*, seed, checkpoint, **settings)``, which returns the history, and
    ``cost(**settings)``: the multiplications of an update, roughly, and the number of updates.
    """
    return Function(module.train, partial(_work, module.cost), resumes=True)


def _work(cost: Callable[..., tuple[float, int]], **settings: Any) -> float:
    update, updates = cost(**{name: v for name, v in settings.items() if name != "seed"})
    return (update + OVERHEAD) * updates


def of_flow(name: str) -> Function:
    """Return the experiment of one of the flows of Lyu et al. in ``experiments.lyu``.

    >>> import tempfile
    >>> fixed = dict(d=30, n=8, k=1, weight_decay=1e-2, depth=2, end=2.0)
    >>> runs = Runs(of_flow("regression"), {"alpha": [2.0, 5.0]}, fixed, seeds=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = runs.run(folder)
    >>> found.l1_norm.dims, found.time.dims
    (('seed', 'alpha', 'step'), ('seed', 'alpha', 'step'))
    """
    return Function(getattr(lyu, name), partial(lyu.cost, name))


# Training gets this share of the rate of a bare matrix product: 0.6 in the runs of Figure 1.
PACE = 0.6


def seconds(wanted: Iterable[Runs], jobs: int = 1) -> float:
    """Return about how long the runs take on this machine if none is finished.

    The estimate is their cost over the rate of a matrix product, which is measured now. It is right
    within a factor of 3 on a machine that does nothing else.

    >>> from lazyrich.simulate.cells import NETWORK
    >>> settings = dict(D=5, P=20, n_test=10, alpha=1, epsilon=1, width=8, steps=10)
    >>> small = Runs(NETWORK, fixed=settings)
    >>> large = Runs(NETWORK, fixed=settings | {"steps": 10_000_000})
    >>> seconds([small]) < seconds([large]) < 3600
    True
    """
    matrix = torch.ones(256, 256, dtype=torch.float64)
    with threads(1):
        torch.matmul(matrix, matrix)  # the first call sets up the library
        began = time.perf_counter()
        for _ in range(5):
            torch.matmul(matrix, matrix)
        rate = 5 * 256**3 / (time.perf_counter() - began)
    return sum(each.cost() for each in wanted) / (PACE * rate * jobs)


def gap_in_words(runs: xarray.Dataset, of: str = "population_loss") -> str:
    """Say how far gradient descent is from these runs of the engine "flow", as it estimates.

    The median over the runs and the largest, of the relative difference of the test loss, which
    ``of`` names, at the worst step at which it is still above 1/100 of its start.

    >>> runs = xarray.Dataset(coords={"step": [0, 1, 2]})
    >>> runs["population_loss"] = ("step", [1.0, 0.5, 0.001])
    >>> runs["descent_gap_population_loss"] = ("step", [0.0, -0.02, 0.5])
    >>> gap_in_words(runs)
    'within 2% of the test losses of descent in the median run, 2% in the worst'
    """
    loss = runs[of]
    gap = abs(runs[f"descent_gap_{of}"]).where(loss > loss.isel(step=0) / 100).max("step")
    middle, worst = float(gap.median()), float(gap.max())
    return (
        f"within {100 * middle:.2g}% of the test losses of descent in the median run, "
        f"{100 * worst:.2g}% in the worst"
    )


def device(wanted: str) -> str:
    """Return the device to run on: a GPU if there is one, where ``wanted`` is "auto".

    >>> device("cpu")
    'cpu'
    """
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"
