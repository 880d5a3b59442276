"""The runs behind the figures of the dichotomy: grids of flows, over seeds, kept in a folder."""

import hashlib
import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import xarray

from lazyrich.files import write_whole
from lazyrich.paper_figures.lyu import experiments
from lazyrich.paper_figures.runs import Progress
from lazyrich.simulate.cells import code_version


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
        return float(sum(experiments.cost(self.experiment, **each) for each in self._settings()))

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over (seed, *grid, step), the step being the number of the record.

        Records are at times of their own in each run, which is why ``time`` is a variable. Finished
        runs are found again in ``folder``, each under the hash of its settings and of the code.
        """
        wanted = list(self._settings())
        paths = [self._path(Path(folder), settings) for settings in wanted]
        costs = {
            i: experiments.cost(self.experiment, **wanted[i])
            for i, path in enumerate(paths)
            if not path.exists()
        }
        # The dearest first: it does not end on one process busy with a long run.
        order = sorted(costs, key=lambda i: -costs[i])
        total, done = sum(costs.values()), 0.0
        with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
            parallel = joblib.Parallel(return_as="generator_unordered")
            tasks = (
                joblib.delayed(_finish)(self.experiment, wanted[i], paths[i], i) for i in order
            )
            for i in parallel(tasks):
                assert i is not None
                done += costs[i]
                if progress is not None:
                    progress(done, total)
        found = [xarray.load_dataset(path, engine="h5netcdf") for path in paths]
        return _joined({"seed": range(self.seeds), **self.grid}, found)

    def _settings(self) -> Iterator[dict[str, Any]]:
        for seed in range(self.seeds):
            for values in product(*self.grid.values()):
                yield {**self.fixed, **dict(zip(self.grid, values, strict=True)), "seed": seed}

    def _path(self, folder: Path, settings: Mapping[str, Any]) -> Path:
        key = [self.experiment, settings, inspect.getsource(experiments), code_version()]
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
        return folder / name[:2] / f"{name}.nc"


def _finish(experiment: str, settings: dict[str, Any], path: Path, number: int) -> int:
    """Do one run, keep it, and return its number."""
    history = getattr(experiments, experiment)(**settings)
    content = bytes(history.to_netcdf(engine="h5netcdf"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: part.write_bytes(content))
    return number


def _joined(axes: Mapping[str, Sequence], found: Sequence[xarray.Dataset]) -> xarray.Dataset:
    """Join histories, which are in the order of the product of the axes, into one dataset."""
    joined = xarray.Dataset(coords={"step": found[0].step})
    joined = joined.assign_coords({name: list(values) for name, values in axes.items()})
    shape = tuple(map(len, axes.values()))
    for name, variable in found[0].data_vars.items():
        values = np.stack([history[name].values for history in found])
        reshaped = values.reshape(shape + values.shape[1:])
        joined[name] = ((*axes, *variable.dims), reshaped, variable.attrs)
    return joined
