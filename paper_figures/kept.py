"""Grids of runs whose histories are kept in a folder, one file each."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import xarray

from lazyrich.files import write_whole
from lazyrich.paper_figures.runs import Progress
from lazyrich.simulate.cells import code_version

Settings = dict[str, Any]


def grid_points(
    grid: Mapping[str, Sequence], fixed: Mapping[str, Any], seeds: int
) -> list[Settings]:
    """Return the settings of all runs, for the seeds 0, 1, ... in turn, in the order of the grid.

    >>> grid_points({"alpha": [1, 2]}, {"p": 5}, seeds=1)
    [{'p': 5, 'alpha': 1, 'seed': 0}, {'p': 5, 'alpha': 2, 'seed': 0}]
    """
    return [
        {**fixed, **dict(zip(grid, values, strict=True)), "seed": seed}
        for seed in range(seeds)
        for values in product(*grid.values())
    ]


def path_of(folder: str | os.PathLike, *key: Any) -> Path:
    """Return the file of the run with this key, of JSON's types, under the present code.

    >>> path_of("runs", {"P": 5}) == path_of("runs", {"P": 5}) != path_of("runs", {"P": 6})
    True
    """
    text = json.dumps([*key, code_version()], sort_keys=True)
    address = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Path(folder) / address[:2] / f"{address}.nc"


def keep(history: xarray.Dataset, path: Path) -> None:
    """Write a history, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytes(history.to_netcdf(engine="h5netcdf"))
    write_whole(path, lambda part: part.write_bytes(content))


def run_missing(
    paths: Sequence[Path],
    costs: Sequence[float],
    tasks: Sequence[tuple[Callable[..., None], tuple]],
    jobs: int,
    progress: Progress | None,
) -> list[xarray.Dataset]:
    """Do the runs whose files are missing, in ``jobs`` processes, and return all histories.

    ``tasks`` are functions with their arguments, each of which makes the file of its path.
    """
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    # The dearest first: it does not end on one process busy with a long run.
    missing.sort(key=lambda i: -costs[i])
    total, done = sum(costs[i] for i in missing), 0.0
    with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        parallel = joblib.Parallel(return_as="generator_unordered")
        for i in parallel(joblib.delayed(_numbered)(i, *tasks[i]) for i in missing):
            assert i is not None
            done += costs[i]
            if progress is not None:
                progress(done, total)
    return [xarray.load_dataset(path, engine="h5netcdf") for path in paths]


def _numbered(number: int, task: Callable[..., None], arguments: tuple) -> int:
    task(*arguments)
    return number


def joined(axes: Mapping[str, Sequence], found: Sequence[xarray.Dataset]) -> xarray.Dataset:
    """Join histories, which are in the order of the product of the axes, into one dataset."""
    whole = xarray.Dataset(coords=found[0].coords)
    whole = whole.assign_coords({name: list(values) for name, values in axes.items()})
    shape = tuple(map(len, axes.values()))
    for name, variable in found[0].data_vars.items():
        values = np.stack([history[name].values for history in found])
        reshaped = values.reshape(shape + values.shape[1:])
        whole[name] = ((*axes, *variable.dims), reshaped, variable.attrs)
    return whole
