"""Runs behind a figure that no sweep describes: on labels, or from weights, of the figure's own."""

import hashlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import joblib
import xarray

from lazyrich.paper_figures.runs import Progress
from lazyrich.simulate import DivergenceError, cells, train
from lazyrich.simulate.cells import Outcome
from lazyrich.simulate.sweep import Store, gather


@dataclass(frozen=True)
class OwnRuns:
    """A grid of runs of ``train``, each repeated for the seeds 0, 1, ..., ``seeds`` - 1.

    ``arguments`` is a function of a small module, all of whose source counts as the code behind the
    runs. It is called with ``fixed``, one point of the grid and ``seed``, all by name, and returns
    the arguments of ``train``, the task and the initial weights among them. D, P, width and steps
    must be among those names, and engine, n_test and alignment where they aren't the defaults: the
    cost of a run is told by them.

    >>> import tempfile
    >>> sizes = {"D": 3, "P": 9, "width": 4, "steps": 5}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = OwnRuns({"share": [0.0, 1.0]}, sizes, _example, seeds=2).run(folder)
    >>> found.train_loss.dims, found.train_loss.shape
    (('seed', 'share', 'step'), (2, 2, 6))
    """

    grid: Mapping[str, Sequence]
    fixed: Mapping[str, Any]
    arguments: Callable[..., dict[str, Any]]
    seeds: int = 1

    def _points(self) -> list[dict[str, Any]]:
        axes = {"seed": range(self.seeds), **self.grid}
        points = (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
        return [{**self.fixed, **point} for point in points]

    def cost(self) -> float:
        """Return the work of all its runs, in the units of ``simulate.sweep``'s progress."""
        return sum(map(_cost, self._points()))

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over (seed, *grid, step); finished runs are found in ``folder``.

        Raises ``RuntimeError`` where a run diverged: the parameters of a figure must not.
        """
        store, points = Store(folder), self._points()
        keys = [self._address(point) for point in points]
        missing = [i for i, key in enumerate(keys) if not store.has(key)]
        done, total = 0.0, sum(_cost(points[i]) for i in missing)
        with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
            parallel: Any = joblib.Parallel(return_as="generator_unordered")
            runs = parallel(joblib.delayed(_outcome)(i, self.arguments, points[i]) for i in missing)
            for i, outcome in runs:
                store.save({keys[i]: outcome})
                done += _cost(points[i])
                if progress is not None:
                    progress(done, total)
        axes = {"seed": list(range(self.seeds)), **{k: list(v) for k, v in self.grid.items()}}
        found = gather(axes, keys, store)
        if not bool((found.status == "finished").all()):
            raise RuntimeError(f"a run of {dict(self.grid)}, {dict(self.fixed)} diverged")
        return found

    def _address(self, point: Mapping[str, Any]) -> str:
        """Return the name of a result: the hash of the point and of the code behind it."""
        source = inspect.getsource(sys.modules[self.arguments.__module__])
        behind = [self.arguments.__qualname__, source, cells.code_version()]
        text = json.dumps([behind, point], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _cost(point: Mapping[str, Any]) -> float:
    known = {name: value for name, value in point.items() if name in cells.defaults()}
    return cells.cost(cells.complete({"alpha": 1.0, "epsilon": 1.0, **known}))


def _outcome(number: int, arguments: Callable, point: dict[str, Any]) -> tuple[int, Outcome]:
    try:
        return number, train(**arguments(**point))
    except DivergenceError as divergence:
        return number, divergence


def _example(*, D: int, P: int, width: int, steps: int, share: float, seed: int) -> dict[str, Any]:
    """Return runs from weights that are a share of the target's vector, for the doctest."""
    from lazyrich.simulate import PolynomialTask

    task = PolynomialTask(D=D, P=P, n_test=5, seed=seed)
    init = share * task.beta.repeat(width, 1)
    return {"task": task, "init": init, "alpha": 1.0, "epsilon": 0.5, "steps": steps}
