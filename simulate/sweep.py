"""``sweep``: a grid of runs, kept cell by cell, opened as one labelled dataset.

Every finished cell is a file of its own, named by its address (see ``cells``) and written whole or
not at all by the driver, so that an interrupted sweep resumes with nothing lost or repeated, two
sweeps may share a folder, and workers elsewhere need no common disk.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import xarray

from lazyrich.arguments import positive_integer
from lazyrich.files import write_whole
from lazyrich.simulate import cells
from lazyrich.simulate.cells import Cell, Outcome
from lazyrich.simulate.run import load
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.stability import DivergenceError

Progress = Callable[[float, float], Any]


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
    written to or the disk is full (what had finished is kept).

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
    workers = _workers(jobs, scheduler)
    store = Store(folder)
    _run_missing(wanted, store, workers, progress)
    return _gather(axes, [store.read(cells.address(cell)) for cell in wanted])


class Store:
    """The finished cells in a folder: one netCDF file each, or a line of JSON for a divergence.

    Raises ``OSError`` with one clear line where the folder can't be made or written to.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise type(error)(f"folder = {self.folder}: can't be made: {reason}") from None
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(f"folder = {self.folder}: can't be written to")

    def _path(self, key: str, suffix: str) -> Path:
        # 256 folders: a million files in one would make every look-up slow.
        return self.folder / key[:2] / f"{key}{suffix}"

    def has(self, key: str) -> bool:
        """Return whether the cell has finished or diverged."""
        return self._path(key, ".nc").exists() or self._path(key, ".json").exists()

    def save(self, key: str, outcome: Outcome) -> None:
        """Keep the outcome of a cell, whole or not at all. Raises ``OSError``."""
        self._path(key, "").parent.mkdir(exist_ok=True)
        if isinstance(outcome, DivergenceError):
            text = json.dumps(vars(outcome))
            write_whole(self._path(key, ".json"), lambda part: part.write_text(text))
        else:
            outcome.save(self._path(key, ".nc"))

    def read(self, key: str) -> xarray.Dataset | DivergenceError:
        """Return the history of a cell, or the error that ended it."""
        path = self._path(key, ".json")
        if path.exists():
            return DivergenceError(**json.loads(path.read_text()))
        return load(self._path(key, ".nc")).history


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


@contextmanager
def _local(jobs: int) -> Iterator[joblib.Parallel]:
    with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        yield joblib.Parallel(return_as="generator_unordered")


@contextmanager
def _cluster(scheduler: str) -> Iterator[joblib.Parallel]:
    from dask.distributed import Client

    # Not the default client: xarray would lock the driver's own files by the cluster.
    with (
        Client(scheduler, timeout="10s", set_as_default=False) as client,
        joblib.parallel_config(backend="dask", client=client),
    ):
        yield joblib.Parallel(return_as="generator_unordered")


def _workers(jobs: int, scheduler: str | None):
    if scheduler is None:
        return _local(jobs if jobs == -1 else positive_integer("jobs", jobs))
    try:
        import dask.distributed  # noqa: F401
    except ImportError:
        reason = "needs the extra cluster: pip install 'lazyrich[cluster]'"
        raise ValueError(f"scheduler = {scheduler!r}: {reason}") from None
    return _cluster(scheduler)


def _outcomes(number: int, batch: Sequence[Cell]) -> tuple[int, list[Outcome]]:
    return number, cells.run(batch)


def _run_missing(
    wanted: Sequence[Cell], store: Store, workers: Any, progress: Progress | None
) -> None:
    """Run the batches of which any cell is missing; keep what is missing."""
    batches = cells.batches(wanted)
    missing = [[c for c in batch if not store.has(cells.address(c))] for batch in batches]
    costs = {i: sum(map(cells.cost, batches[i])) for i, some in enumerate(missing) if some}
    if not costs:
        return
    # The dearest first: the sweep does not end on one worker busy with a long batch.
    order = sorted(costs, key=lambda i: -costs[i])
    total, done = sum(costs.values()), 0.0
    with workers as parallel:
        for i, outcomes in parallel(joblib.delayed(_outcomes)(i, batches[i]) for i in order):
            for cell, outcome in zip(batches[i], outcomes, strict=True):
                if cell in missing[i]:
                    store.save(cells.address(cell), outcome)
            done += costs[i]
            if progress is not None:
                progress(done, total)


def _gather(axes: dict[str, list], found: list[xarray.Dataset | DivergenceError]) -> xarray.Dataset:
    """Join the cells, in the order of the grid, into one dataset."""
    shape = tuple(map(len, axes.values()))
    finished = [item for item in found if isinstance(item, xarray.Dataset)]
    steps = np.unique(np.concatenate([h.step.values for h in finished] or [np.array([], int)]))
    joined = xarray.Dataset(coords={name: list(values) for name, values in axes.items()})
    joined = joined.assign_coords(step=steps)
    for name in finished[0].data_vars if finished else ():
        over_steps = "step" in finished[0][name].dims
        values = np.full((len(found), len(steps)) if over_steps else len(found), np.nan)
        for i, item in enumerate(found):
            if isinstance(item, xarray.Dataset):
                at = np.searchsorted(steps, item.step.values) if over_steps else ()
                values[(i, at) if over_steps else i] = item[name].values
        dims = (*axes, "step") if over_steps else tuple(axes)
        reshaped = values.reshape(shape + values.shape[1:])
        joined[name] = (dims, reshaped, finished[0][name].attrs)
    diverged = [item if isinstance(item, DivergenceError) else None for item in found]
    status = np.array(["finished" if d is None else "diverged" for d in diverged])
    at_step = np.array([np.nan if d is None else d.step for d in diverged])
    stable = np.array([np.nan if d is None else d.stable_learning_rate for d in diverged])
    joined["status"] = (tuple(axes), status.reshape(shape))
    joined["diverged_step"] = (tuple(axes), at_step.reshape(shape))
    joined["stable_learning_rate"] = (tuple(axes), stable.reshape(shape))
    joined.attrs = finished[0].attrs if finished else {}
    return joined
