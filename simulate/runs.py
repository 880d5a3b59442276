"""Runs of one experiment: a grid or a list of settings, stored run by run, opened as one dataset.

The workers make the content of a run's file and the driver writes it. So an interrupted call
resumes with nothing lost or repeated, two calls may share a folder, and workers elsewhere need no
common disk.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Any

import numpy as np
import xarray

from lazyrich.simulate.completing import Group, complete_store
from lazyrich.simulate.experiment import Experiment, Settings
from lazyrich.simulate.store import Failure, Store
from lazyrich.simulate.workers import workers
from lazyrich.support.patience import Progress

# The variables that say how a run ended.
STATUS = ("status", "diverged_step", "stable_learning_rate")


@dataclass(frozen=True)
class Runs:
    """Runs of one experiment at every point of ``grid``, or at each of ``listed`` settings.

    ``grid`` maps settings to lists of values, ``fixed`` others to one value. With ``seeds``, every
    point is repeated for the seeds 0, 1, ..., ``seeds`` - 1.

    >>> import tempfile
    >>> from lazyrich.simulate.cells import NETWORK
    >>> small = dict(D=5, P=20, n_test=10, epsilon=0.5, width=8, steps=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = Runs(NETWORK, {"alpha": [1.0, 2.0]}, small, seeds=3).run(folder)
    >>> found.train_loss.dims, found.train_loss.shape
    (('seed', 'alpha', 'step'), (3, 2, 11))
    >>> some = [small | {"alpha": 1.0, "P": P} for P in (10, 20)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Runs(NETWORK, listed=some).run(folder).train_loss.dims
    ('cell', 'step')
    """

    experiment: Experiment
    grid: Mapping[str, Sequence] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None
    listed: Sequence[Mapping[str, Any]] | None = None

    def axes(self) -> dict[str, list]:
        """Return the dimensions of the runs with their values, the seed first."""
        listed = {} if self.listed is None else {"cell": range(len(self.listed))}
        seeds = {} if self.seeds is None else {"seed": range(self.seeds)}
        return {name: list(v) for name, v in {**seeds, **self.grid, **listed}.items()}

    def settings(self) -> list[list[Settings]]:
        """Return the full settings of all runs in the order of the axes, a list for each seed.

        Raises ``ValueError`` for bad ones.
        """
        points = [dict(zip(self.grid, v, strict=True)) for v in product(*self.grid.values())]
        some = [{**self.fixed, **point} for point in points] if self.listed is None else self.listed
        if self.seeds is None:
            return [[self.experiment.complete(each) for each in some]]
        return [
            [self.experiment.complete({**each, **self._seeded(seed)}) for each in some]
            for seed in range(self.seeds)
        ]

    def _seeded(self, seed: int) -> Settings:
        return dict.fromkeys(self.experiment.seeds, seed)

    def cost(self) -> float:
        """Return the multiplications of all runs, roughly."""
        return sum(self.experiment.cost(one) for some in self.settings() for one in some)

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over the axes and ``step``; finished runs are found in ``folder``.

        Raises ``RuntimeError`` where a run has no history.
        """
        return run_all({"": self}, folder, jobs, progress)[""]


def run_all(
    wanted: Mapping[str, Runs],
    folder: str | os.PathLike,
    jobs: int = 1,
    progress: Progress | None = None,
    given: Mapping[str, bytes] | None = None,
) -> dict[str, xarray.Dataset]:
    """Do several sets of runs at once and return the histories of each under its name.

    ``given``: contents of files that take the place of those in the folder, by address.
    Raises ``RuntimeError`` where a run has no history.
    """
    ((_, found),) = run_each({"": wanted}, folder, jobs, progress, given)
    return found


def run_each(
    wanted: Mapping[str, Mapping[str, Runs]],
    folder: str | os.PathLike,
    jobs: int = 1,
    progress: Progress | None = None,
    given: Mapping[str, bytes] | None = None,
) -> Iterator[tuple[str, dict[str, xarray.Dataset]]]:
    """Yield, in order, the name and the histories of one ``run_all`` after another.

    The processes go on with the next while what is yielded is used. ``progress`` is told of the one
    that is waited for.
    """
    pool, store = workers(jobs), Store(folder, given)
    settings = {
        name: {part: each.settings() for part, each in parts.items()}
        for name, parts in wanted.items()
    }
    asked: dict[str, list[Group]] = {name: [] for name in wanted}
    for name, parts in settings.items():
        for part, groups in parts.items():
            asked[name].extend((wanted[name][part].experiment, group) for group in groups)
    for name, keys in complete_store(asked, store, pool, progress):
        found, start = {}, 0
        for part, groups in settings[name].items():
            mine = list(chain.from_iterable(keys[start : start + len(groups)]))
            start += len(groups)
            joined = gather(wanted[name][part].axes(), mine, store)
            _raise_of_failure(list(chain.from_iterable(groups)), mine, joined, store)
            found[part] = joined.drop_vars(STATUS)
        yield name, found


def _raise_of_failure(
    wanted: Sequence[Settings], keys: Sequence[str], found: xarray.Dataset, store: Store
) -> None:
    for settings, key, status in zip(wanted, keys, found.status.values.flat, strict=True):
        if status != "finished":
            failure = store.read(key)
            assert isinstance(failure, Failure)
            shown = {name: v for name, v in settings.items() if v is not None}
            raise RuntimeError(f"the run at {shown}: {failure.status}: {failure.reason}")


def gather(axes: Mapping[str, list], keys: Sequence[str], store: Store) -> xarray.Dataset:
    """Join the runs, in the order of the product of the axes, into one dataset.

    ``status`` is "finished", or that of the ``NumericalError`` which ended the run;
    ``diverged_step`` and ``stable_learning_rate`` say more of a divergence. Holds one run at a
    time.
    """
    columns = _Columns(len(keys))
    status = np.full(len(keys), "finished", dtype="<U10")
    at_step, stable = np.full((2, len(keys)), np.nan)
    known: set[str] = set()
    described: dict[Any, xarray.DataArray] = {}  # experiments differ in what they measure
    coordinates: dict[Any, Any] = {}
    attributes: dict[str, Any] = {}
    for i, key in enumerate(keys):
        item = store.read(key)
        if isinstance(item, Failure):
            status[i], at_step[i], stable[i] = item.status, item.step, item.stable_learning_rate
            continue
        if not known.issuperset(item):
            example = store.described(key)
            described = {**example.data_vars, **described}
            mine = {name: example[name] for name in example.indexes if str(name) != "step"}
            coordinates = {**mine, **coordinates}
            attributes = attributes or example.attrs
            known.update(item)
        columns.put(i, item, described)
    joined = xarray.Dataset(coords={**coordinates, **axes})
    if len(columns.steps) or not columns.values:  # what is no history has no steps
        joined = joined.assign_coords(step=columns.steps)
    shape = tuple(map(len, axes.values()))
    for name, values in columns.values.items():
        variable = described[name]
        reshaped = values.reshape(shape + values.shape[1:])
        joined[name] = ((*axes, *variable.dims), reshaped, variable.attrs)
    for name, values in zip(STATUS, (status, at_step, stable), strict=True):
        joined[name] = (tuple(axes), values.reshape(shape))
    joined.attrs = attributes
    return joined


class _Columns:
    """The values of all runs by name, of shape (runs, ...); NaN where a run has none."""

    def __init__(self, count: int) -> None:
        self.steps = np.array([], dtype=np.int64)
        self.values: dict[Any, np.ndarray] = {}
        self._axes: dict[Any, int | None] = {}  # which one is the step
        self._count = count

    def put(
        self, i: int, item: Mapping[str, np.ndarray], described: Mapping[Any, xarray.DataArray]
    ) -> None:
        """Put in run i. Steps that no run had before make room for themselves."""
        steps = item.get("step", self.steps)
        if not np.isin(steps, self.steps).all():
            self._widen(np.union1d(self.steps, steps))
        at = np.searchsorted(self.steps, steps)
        for name in filter(item.__contains__, described):
            dims = described[name].dims
            axis = dims.index("step") if "step" in dims else None
            if name not in self.values:
                shape = [self._count, *item[name].shape]
                if axis is not None:
                    shape[axis + 1] = len(self.steps)
                kind = item[name].dtype if item[name].dtype.kind == "f" else np.float64
                self.values[name] = np.full(shape, np.nan, dtype=kind)
                self._axes[name] = axis
            if axis is None:
                self.values[name][i] = item[name]
            else:
                mine = np.moveaxis(self.values[name][i], axis, 0)
                mine[at] = np.moveaxis(item[name], axis, 0)

    def _widen(self, steps: np.ndarray) -> None:
        at = np.searchsorted(steps, self.steps)
        for name, values in self.values.items():
            axis = self._axes[name]
            if axis is not None:
                shape = list(values.shape)
                shape[axis + 1] = len(steps)
                wider = np.full(shape, np.nan, dtype=values.dtype)
                np.moveaxis(wider, axis + 1, 0)[at] = np.moveaxis(values, axis + 1, 0)
                self.values[name] = wider
        self.steps = steps
