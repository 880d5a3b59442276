"""Grids of runs whose histories are kept in a folder, one file each."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from lazyrich.simulate.cells import code_version
from lazyrich.simulate.workers import Progress, run, workers
from lazyrich.support.files import write_whole

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
    finish: Callable[[Settings, Path], None],
    wanted: Sequence[Settings],
    costs: Sequence[float],
    *,
    folder: str | os.PathLike,
    key: Sequence[Any],
    jobs: int,
    progress: Progress | None,
) -> list[xarray.Dataset]:
    """Do the runs that ``folder`` lacks, in ``jobs`` processes, and return all histories.

    ``finish`` makes the file of a run, given its settings and the path. Files are told apart by
    ``key``, the settings and the code.
    """
    paths = [path_of(folder, *key, settings) for settings in wanted]
    tasks = {i: (wanted[i], path) for i, path in enumerate(paths) if not path.exists()}
    if tasks:
        run(workers(jobs), finish, tasks, dict(enumerate(costs)), progress)
    return [xarray.load_dataset(path, engine="h5netcdf") for path in paths]


def by_record(history: xarray.Dataset) -> xarray.Dataset:
    """Return a history over time over ``step``, the number of the record from 1, with its time."""
    found = history.drop_vars("time").rename_dims(time="step")
    found["time"] = ("step", history.time.values, history.time.attrs)
    return found.assign_coords(step=np.arange(1, history.sizes["time"] + 1))


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
