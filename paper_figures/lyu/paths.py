"""The runs behind the figures of the dichotomy: grids of flows, over seeds, kept in a folder."""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray

from lazyrich.paper_figures.experiments import lyu as experiments
from lazyrich.paper_figures.kept import Settings, grid_points, joined, keep, run_missing
from lazyrich.simulate.workers import Progress


@dataclass(frozen=True)
class Paths:
    """A grid of runs of one of ``experiments``, each repeated for the seeds 0, 1, ... of the data.

    ``grid`` maps settings of the experiment to lists of values, ``fixed`` others to one value.

    >>> import tempfile
    >>> fixed = dict(d=30, n=8, k=1, weight_decay=1e-2, depth=2, end=2.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = Paths("regression", {"alpha": [2.0, 5.0]}, fixed, seeds=2).run(folder)
    >>> found.l1_norm.dims, found.time.dims
    (('seed', 'alpha', 'step'), ('seed', 'alpha', 'step'))
    """

    experiment: str
    grid: Mapping[str, Sequence]
    fixed: Mapping[str, Any]
    seeds: int = 1

    def cost(self) -> float:
        """Return the work of all its runs, in the units of ``Sweep.cost``."""
        wanted = grid_points(self.grid, self.fixed, self.seeds)
        return float(sum(experiments.cost(self.experiment, **each) for each in wanted))

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over (seed, *grid, step), the step being the number of the record.

        Records are at times of their own in each run, which is why ``time`` is a variable. Finished
        runs are found again in ``folder``, each under the hash of its settings and of the code.
        """
        wanted = grid_points(self.grid, self.fixed, self.seeds)
        found = run_missing(
            partial(_finish, self.experiment),
            wanted,
            [experiments.cost(self.experiment, **each) for each in wanted],
            folder=folder,
            key=(self.experiment, inspect.getsource(experiments)),
            jobs=jobs,
            progress=progress,
        )
        return joined({"seed": range(self.seeds), **self.grid}, found)


def _finish(experiment: str, settings: Settings, path: Path) -> None:
    """Do one run and keep it."""
    keep(getattr(experiments, experiment)(**settings), path)
