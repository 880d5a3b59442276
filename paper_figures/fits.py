"""The runs of ``simulate.fit`` behind a figure: a grid, repeated over seeds, kept in a folder.

What ``runs.Sweep`` is for the polynomial network, for any other. An experiment is a module with

- ``train(*, seed, checkpoint, **settings)``: makes network and data and returns the history of
  ``fit``;
- ``cost(**settings)``: its multiplications, roughly.
"""

import hashlib
import importlib
import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import joblib
import numpy as np
import xarray

from lazyrich.files import write_whole
from lazyrich.paper_figures.runs import Progress
from lazyrich.simulate.cells import code_version
from lazyrich.simulate.modules import FitDivergenceError

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
        return float(sum(self._cost(settings) for settings in self._settings()))

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over (seed, *grid, step).

        Each run is a file of its own in ``folder``, by the hash of its settings and of the code: a
        finished one is found again, and an interrupted one goes on from its checkpoint there, to
        the same bits. Raises ``RuntimeError`` where a run diverged.
        """
        wanted = list(self._settings())
        paths = [self._path(Path(folder), settings) for settings in wanted]
        costs = {i: self._cost(wanted[i]) for i, path in enumerate(paths) if not path.exists()}
        # The dearest first: it does not end on one process busy with a long run.
        order = sorted(costs, key=lambda i: -costs[i])
        total, done = sum(costs.values()), 0.0
        with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
            parallel = joblib.Parallel(return_as="generator_unordered")
            name = self.experiment.__name__
            tasks = (joblib.delayed(_finish)(name, wanted[i], paths[i], i) for i in order)
            for i in cast(Iterator[int], parallel(tasks)):
                done += costs[i]
                if progress is not None:
                    progress(done, total)
        found = [xarray.load_dataset(path, engine="h5netcdf") for path in paths]
        return _joined({"seed": range(self.seeds), **self.grid}, found)

    def _settings(self) -> Iterator[dict[str, Any]]:
        for seed in range(self.seeds):
            for values in product(*self.grid.values()):
                yield {**self.fixed, **dict(zip(self.grid, values, strict=True)), "seed": seed}

    def _cost(self, settings: Mapping[str, Any]) -> float:
        given = {name: value for name, value in settings.items() if name != "seed"}
        return self.experiment.cost(**given) + OVERHEAD * settings["steps"]

    def _path(self, folder: Path, settings: Mapping[str, Any]) -> Path:
        source = inspect.getsource(self.experiment)
        key = [self.experiment.__name__, source, settings, code_version()]
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
        return folder / name[:2] / f"{name}.nc"


def _finish(experiment: str, settings: dict[str, Any], path: Path, number: int) -> int:
    """Do one run, from its checkpoint if there is one, keep it, and return its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = path.with_suffix(".pt")
    train = importlib.import_module(experiment).train
    try:
        history = train(**settings, checkpoint=checkpoint)
    except FitDivergenceError as error:
        raise RuntimeError(f"the run of {experiment} at {settings} diverged: {error}") from error
    content = bytes(history.to_netcdf(engine="h5netcdf"))
    write_whole(path, lambda part: part.write_bytes(content))
    checkpoint.unlink(missing_ok=True)
    return number


def _joined(axes: Mapping[str, Sequence], found: Sequence[xarray.Dataset]) -> xarray.Dataset:
    """Join histories, which are in the order of the product of the axes, into one dataset."""
    joined = xarray.Dataset(coords=found[0].coords)
    joined = joined.assign_coords({name: list(values) for name, values in axes.items()})
    shape = tuple(map(len, axes.values()))
    for name, variable in found[0].data_vars.items():
        values = np.stack([history[name].values for history in found])
        reshaped = values.reshape(shape + values.shape[1:])
        joined[name] = ((*axes, *variable.dims), reshaped, variable.attrs)
    return joined


def device(wanted: str) -> str:
    """Return the device to run on: a GPU if there is one, where ``wanted`` is "auto".

    >>> device("cpu")
    'cpu'
    """
    if wanted != "auto":
        return wanted
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
