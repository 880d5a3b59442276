"""Runs behind a figure that no sweep describes: on labels, or from weights, of the figure's own."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray

from lazyrich.paper_figures.kept import Settings, grid_points, joined, keep, run_missing
from lazyrich.simulate import DivergenceError, cells, train
from lazyrich.simulate.workers import Progress


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

    def cost(self) -> float:
        """Return the work of all its runs, in the units of ``simulate.sweep``'s progress."""
        return sum(map(_cost, grid_points(self.grid, self.fixed, self.seeds)))

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over (seed, *grid, step); finished runs are found in ``folder``.

        Raises ``RuntimeError`` where a run diverged: the parameters of a figure must not.
        """
        wanted = grid_points(self.grid, self.fixed, self.seeds)
        source = inspect.getsource(sys.modules[self.arguments.__module__])
        name = self.arguments.__qualname__
        found = run_missing(
            partial(_finish, self.arguments),
            wanted,
            list(map(_cost, wanted)),
            folder=folder,
            key=(name, source),
            jobs=jobs,
            progress=progress,
        )
        return joined({"seed": range(self.seeds), **self.grid}, found)


def _cost(settings: Settings) -> float:
    known = {name: value for name, value in settings.items() if name in cells.defaults()}
    return cells.cost(cells.complete({"alpha": 1.0, "epsilon": 1.0, **known}))


def _finish(arguments: Callable[..., dict[str, Any]], settings: Settings, path: Path) -> None:
    """Do one run and keep it."""
    try:
        run = train(**arguments(**settings))
    except DivergenceError as error:
        raise RuntimeError(f"the run at {settings} diverged: {error}") from error
    keep(run.history, path)


def _example(*, D: int, P: int, width: int, steps: int, share: float, seed: int) -> dict[str, Any]:
    """Return runs from weights that are a share of the target's vector, for the doctest."""
    from lazyrich.simulate import PolynomialTask

    task = PolynomialTask(D=D, P=P, n_test=5, seed=seed)
    init = share * task.beta.repeat(width, 1)
    return {"task": task, "init": init, "alpha": 1.0, "epsilon": 0.5, "steps": steps}
