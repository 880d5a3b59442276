"""``sweep``: a grid of runs, kept cell by cell, opened as one labelled dataset.

Every finished cell is a file of its own, named by its address (see ``cells``). The workers make its
content and the driver writes it, whole or not at all, so that an interrupted sweep resumes with
nothing lost or repeated, two sweeps may share a folder, and workers elsewhere need no common disk.
"""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray

from lazyrich.simulate import cells
from lazyrich.simulate.cells import Cell
from lazyrich.simulate.run import load
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.stability import DivergenceError
from lazyrich.simulate.workers import Progress, Workers, run, workers
from lazyrich.support.files import check_writable, make_folder, write_whole

Arrays = dict[str, np.ndarray]
# What is kept of a cell: the content of its file, or how it diverged.
Result = bytes | DivergenceError
# Files that are being written at a time.
WRITERS = 16


@checks_its_arguments
def sweep(
    grid: Mapping[str, Sequence],
    *,
    folder: str | os.PathLike,
    jobs: int = -1,
    scheduler: str | None = None,
    progress: Progress | None = None,
    **fixed: Any,
) -> xarray.Dataset:
    """Run every combination of the values in ``grid`` and return all histories, labelled.

    ``grid`` maps arguments of ``PolynomialTask`` and ``train`` to lists of values, ``fixed`` others
    to one value: D, P, n_test, task_seed (the seed of the data), label_scale (multiplies the
    labels), alpha, epsilon, width, sigma, seed (of the weights), engine, steps, ... The dataset
    has one dimension for each key of ``grid``, and ``step``; ``status`` is "finished" or
    "diverged", and ``diverged_step`` and ``stable_learning_rate`` say more of the latter. Steps
    that a cell has not recorded are NaN.

    Finished cells are kept in ``folder`` and found again: a second call opens, a call after an
    interruption resumes. ``jobs`` processes (-1: one a core) do the work, or with ``scheduler`` the
    workers of the Dask cluster at that address (extra ``cluster``). Cells of engine "moments" run
    in batches (see ``cells.batches``): the last bits of a cell may hang on the grid that it was
    first run in, and on nothing else. ``progress`` is called with (work done, work to do), in
    units in which time is about proportional.

    Raises ``ValueError`` for bad input before any work, ``OSError`` where the folder can't be
    written to or the disk is full, and ``ChildProcessError``, which is one, where a process of
    ``jobs``, or one worker of a cluster after another, was killed; what had finished is kept.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = sweep({"alpha": [1.0, 2.0], "seed": [0, 1, 2]}, folder=folder, jobs=1,
    ...                   D=5, P=20, n_test=10, epsilon=0.5, width=8, steps=10)
    >>> found.status.shape, int((found.status == "finished").sum())
    ((2, 3), 6)
    """
    axes = _checked_axes(grid, fixed)
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    wanted = [cells.complete({**fixed, **point}) for point in points]
    _check_values(axes, wanted[0])
    pool, store = workers(jobs, scheduler), Store(folder)
    _run_missing(wanted, store, pool, progress)
    return gather(axes, [cells.address(cell) for cell in wanted], store)


@checks_its_arguments
def listed(
    wanted: Sequence[Mapping[str, Any]],
    *,
    folder: str | os.PathLike,
    jobs: int = -1,
    progress: Progress | None = None,
) -> xarray.Dataset:
    """Run these cells, each a mapping of the keys of ``sweep``, and return all histories.

    For networks that are no grid. The first dimension is ``cell``, the place in the list; the rest
    is as of ``sweep``, and finished cells are found in the same folder.

    >>> import tempfile
    >>> some = dict(D=5, n_test=10, alpha=1.0, epsilon=0.5, width=8, steps=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = listed([some | {"P": P, "seed": P} for P in (10, 20)], folder=folder, jobs=1)
    >>> found.train_loss.dims, found.sizes["cell"]
    (('cell', 'step'), 2)
    """
    if not wanted:
        raise ValueError("wanted is empty: must have at least one cell")
    complete = [cells.complete(cell) for cell in wanted]
    for cell in complete:
        cells.check(cell)
    pool, store = workers(jobs), Store(folder)
    _run_missing(complete, store, pool, progress)
    axes = {"cell": list(range(len(complete)))}
    return gather(axes, [cells.address(cell) for cell in complete], store)


class Store:
    """The finished cells in a folder: one netCDF file each, or a line of JSON for a divergence.

    Raises ``OSError`` with one clear line where the folder can't be made.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        make_folder("folder", self.folder)

    def _path(self, key: str, suffix: str) -> Path:
        # 256 folders: a million files in one would make every look-up slow.
        return self.folder / key[:2] / f"{key}{suffix}"

    def has(self, key: str) -> bool:
        """Return whether the cell has finished or diverged."""
        return self._path(key, ".nc").exists() or self._path(key, ".json").exists()

    def save(self, results: Mapping[str, Result]) -> None:
        """Keep the results of some cells, each whole or not at all. Raises ``OSError``.

        By threads: nearly all the time goes in waiting for the disk to hold each file.
        """
        with ThreadPoolExecutor(WRITERS) as threads:
            for _ in threads.map(self._save, results, results.values()):
                pass  # raises what a thread raised

    def _save(self, key: str, result: Result) -> None:
        make_folder("folder", self._path(key, "").parent)
        if isinstance(result, DivergenceError):
            text = json.dumps(vars(result))
            write_whole(self._path(key, ".json"), lambda part: part.write_text(text))
        else:
            write_whole(self._path(key, ".nc"), lambda part: part.write_bytes(result))

    def read(self, key: str) -> Arrays | DivergenceError:
        """Return the arrays of a cell's history by name, or the error that ended it.

        By HDF5's own calls: xarray takes ten times as long, and h5py's objects twice. Raises
        ``ValueError`` for a file that is truncated or no result.
        """
        path = self._path(key, ".json")
        if path.exists():
            return DivergenceError(**json.loads(path.read_text()))
        path = self._path(key, ".nc")
        try:
            with h5py.File(path) as file:
                group = file["history"].id
                return {name.decode(): _array(h5py.h5d.open(group, name)) for name in group}
        except (OSError, KeyError) as error:
            raise ValueError(f"{path}: truncated or not a netCDF file ({error})") from error

    def described(self, key: str) -> xarray.Dataset:
        """Return the history of a finished cell with its dimensions, units and attributes."""
        return load(self._path(key, ".nc")).history


def _array(entry: h5py.h5d.DatasetID) -> np.ndarray:
    values = np.empty(entry.shape, entry.dtype)
    entry.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def _checked_axes(grid: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, list]:
    axes = {}
    for name, values in grid.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            raise ValueError(f"grid {name} = {values!r}: must be a list of values")
        axes[name] = [v.item() if isinstance(v, np.generic) else v for v in values]
        if not axes[name]:
            raise ValueError(f"grid {name} is empty: must have at least one value")
        if len(set(map(repr, axes[name]))) < len(axes[name]):
            raise ValueError(f"grid {name} = {axes[name]}: must have no value twice")
        if name in fixed:
            raise ValueError(
                f"{name} = {fixed[name]!r}: is in the grid too; must be in one of both"
            )
    if not axes:
        raise ValueError("grid is empty: must have at least one key")
    return axes


def _check_values(axes: Mapping[str, list], first: Cell) -> None:
    """Let the task and the trainer check each value, without training."""
    for name, values in axes.items():
        for value in values:
            cells.check({**first, name: value})


def _results(batch: Sequence[Cell], keys: Sequence[str]) -> dict[str, Result]:
    """Run a batch, where the worker is, and return what is to be kept of the cells with these keys.

    As the content of a file, which takes longer to make than to write.
    """
    found = dict(zip(map(cells.address, batch), cells.run(batch), strict=True))
    outcomes = {key: found[key] for key in keys}
    return {
        key: outcome if isinstance(outcome, DivergenceError) else outcome.to_bytes()
        for key, outcome in outcomes.items()
    }


def _run_missing(
    wanted: Sequence[Cell], store: Store, pool: Workers, progress: Progress | None
) -> None:
    """Run the batches of which any cell is missing; keep what is missing."""
    tasks, costs = {}, {}
    for number, batch in enumerate(cells.batches(wanted)):
        missing = [key for key in map(cells.address, batch) if not store.has(key)]
        if missing:
            tasks[number], costs[number] = (batch, missing), sum(map(cells.cost, batch))
    if tasks:
        check_writable("folder", store.folder)
        run(pool, _results, tasks, costs, progress, keep=store.save)


def gather(axes: dict[str, list], keys: Sequence[str], store: Store) -> xarray.Dataset:
    """Join the cells, in the order of the grid, into one dataset, holding one cell at a time."""
    columns = _Columns(len(keys))
    status = np.full(len(keys), "finished")
    at_step, stable = np.full((2, len(keys)), np.nan)
    known: set[str] = set()
    described: dict[Any, xarray.DataArray] = {}  # engines differ in what they measure
    attributes: dict[str, Any] = {}
    for i, key in enumerate(keys):
        item = store.read(key)
        if isinstance(item, DivergenceError):
            status[i], at_step[i], stable[i] = "diverged", item.step, item.stable_learning_rate
            continue
        if not known.issuperset(item):
            example = store.described(key)
            described = {**example.data_vars, **described}
            attributes = attributes or example.attrs
            known.update(item)
        columns.put(i, item, described)
    joined = xarray.Dataset(coords={name: list(values) for name, values in axes.items()})
    joined = joined.assign_coords(step=columns.steps)
    shape = tuple(map(len, axes.values()))
    for name, values in columns.values.items():
        variable = described[name]
        reshaped = values.reshape(shape + values.shape[1:])
        joined[name] = ((*axes, *variable.dims), reshaped, variable.attrs)
    for name, values in (
        ("status", status),
        ("diverged_step", at_step),
        ("stable_learning_rate", stable),
    ):
        joined[name] = (tuple(axes), values.reshape(shape))
    joined.attrs = attributes
    return joined


class _Columns:
    """What the cells hold, by name: an array of shape (cells, steps), or (cells,), NaN at first."""

    def __init__(self, count: int) -> None:
        self.steps = np.array([], dtype=np.int64)
        self.values: Arrays = {}
        self._count = count

    def put(self, i: int, item: Arrays, described: Mapping[Any, xarray.DataArray]) -> None:
        """Put in cell i. Steps that no cell had before make room for themselves."""
        if not np.isin(item["step"], self.steps).all():
            self._widen(np.union1d(self.steps, item["step"]))
        at = np.searchsorted(self.steps, item["step"])
        for name in filter(item.__contains__, described):
            over_steps = "step" in described[name].dims
            if name not in self.values:
                shape = (self._count, len(self.steps)) if over_steps else (self._count,)
                self.values[name] = np.full(shape, np.nan)
            self.values[name][(i, at) if over_steps else i] = item[name]

    def _widen(self, steps: np.ndarray) -> None:
        at = np.searchsorted(steps, self.steps)
        for name, values in self.values.items():
            if values.ndim > 1:
                self.values[name] = np.full((self._count, len(steps)), np.nan)
                self.values[name][:, at] = values
        self.steps = steps
