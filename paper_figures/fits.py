"""The runs of ``simulate.fit`` behind a figure: a grid, repeated over seeds, kept in a folder.

What ``runs.Sweep`` is for the polynomial network, for any other. An experiment is a module with

- ``train(*, seed, checkpoint, **settings)``: makes network and data and returns the history of
  ``fit``;
- ``cost(**settings)``: the multiplications of an update, roughly, and the number of updates.
"""

import importlib
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import xarray

from lazyrich.paper_figures.kept import Settings, grid_points, joined, keep, run_missing
from lazyrich.simulate.modules import FitDivergenceError
from lazyrich.simulate.workers import Progress

# An update of a small network takes as long as this many multiplications, whatever its size.
OVERHEAD = 1_000_000


@dataclass(frozen=True)
class Fits:
    """A grid of runs of one experiment, each repeated for the seeds 0, 1, ... .

    ``grid`` maps settings of the experiment to lists of values, ``fixed`` others to one value.
    """

    experiment: ModuleType
    grid: Mapping[str, Sequence]
    fixed: Mapping[str, Any]
    seeds: int = 1

    def cost(self) -> float:
        """Return the work of all its runs, in the units of ``Sweep.cost``."""
        return float(sum(map(self._cost, grid_points(self.grid, self.fixed, self.seeds))))

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over (seed, *grid, step).

        Each run is a file of its own in ``folder``, by the hash of its settings and of the code: a
        finished one is found again, and an interrupted one goes on from its checkpoint there, to
        the same bits. Raises ``RuntimeError`` where a run diverged.
        """
        wanted = grid_points(self.grid, self.fixed, self.seeds)
        source = inspect.getsource(self.experiment)
        name = self.experiment.__name__
        found = run_missing(
            partial(_finish, name),
            wanted,
            list(map(self._cost, wanted)),
            folder=folder,
            key=(name, source),
            jobs=jobs,
            progress=progress,
        )
        return joined({"seed": range(self.seeds), **self.grid}, found)

    def _cost(self, settings: Settings) -> float:
        given = {name: value for name, value in settings.items() if name != "seed"}
        update, updates = self.experiment.cost(**given)
        return (update + OVERHEAD) * updates


def _finish(experiment: str, settings: Settings, path: Path) -> None:
    """Do one run, from its checkpoint if there is one, and keep it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = path.with_suffix(".pt")
    train = importlib.import_module(experiment).train
    try:
        history = train(**settings, checkpoint=checkpoint)
    except FitDivergenceError as error:
        raise RuntimeError(f"the run of {experiment} at {settings} diverged: {error}") from error
    keep(history, path)
    checkpoint.unlink(missing_ok=True)


def device(wanted: str) -> str:
    """Return the device to run on: a GPU if there is one, where ``wanted`` is "auto".

    >>> device("cpu")
    'cpu'
    """
    if wanted != "auto":
        return wanted
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
