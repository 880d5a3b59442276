"""Runs of one experiment: a grid or a list of settings, stored run by run, opened as one dataset.

The workers make the content of a run's file and the driver writes it. So an interrupted call
resumes with nothing lost or repeated, two calls may share a folder, and workers elsewhere need no
common disk.
"""

import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray

from lazyrich.simulate.fingerprint import Arrow, fingerprint
from lazyrich.simulate.netcdf import encoded
from lazyrich.simulate.run import Run
from lazyrich.simulate.stability import OVERFLOWS, DivergenceError, NumericalError
from lazyrich.simulate.store import Failure, Store, address, sealed
from lazyrich.simulate.workers import Workers, run, workers
from lazyrich.support.arguments import in_a_line, shown
from lazyrich.support.files import check_writable
from lazyrich.support.patience import Progress

Settings = dict[str, Any]
# What a run may raise that is a result of this run, and no reason to stop the others.
FAILURES = (NumericalError, *OVERFLOWS)
# No float is larger than an integer of so many bits.
MOST_BITS = 1024
# The variables that say how a run ended.
STATUS = ("status", "diverged_step", "stable_learning_rate")
# What a run comes to: its history, with or without its final state, or how it failed.
Outcome = Run | xarray.Dataset | Failure


class Experiment:
    """What is run: how settings are completed, what a run costs, and what it comes to.

    An experiment is sent to workers, so its class stands at the top of a module.
    """

    # The settings that a seed of ``Runs`` gives: streams of their own, one number for all.
    seeds: tuple[str, ...] = ("seed",)
    # Whether a run that was interrupted goes on from a checkpoint.
    resumes: bool = False

    def complete(self, settings: Mapping[str, Any]) -> Settings:
        """Return the full settings, of JSON's types. Raises ``ValueError`` for a bad one."""
        return {name: plain(name, value) for name, value in settings.items()}

    def check(self, wanted: Sequence[Settings]) -> None:
        """Raise ``ValueError`` where one of these runs can't be run, before the first is."""
        del wanted

    def cost(self, settings: Settings) -> float:
        """Return the multiplications of a run, roughly: enough for an honest time left."""
        raise NotImplementedError

    def batches(self, wanted: Sequence[Settings]) -> list[list[int]]:
        """Return the places of the runs in batches, each of which runs as one."""
        return [[place] for place in range(len(wanted))]

    def code(self, settings: Settings) -> str:
        """Return the fingerprint of the code behind a run."""
        raise NotImplementedError

    def outcomes(self, batch: Sequence[Settings], checkpoint: Path) -> list[Outcome]:
        """Run a batch and return what each run comes to."""
        raise NotImplementedError


@dataclass(frozen=True)
class Function(Experiment):
    """The experiment of a function that returns the history of a run.

    ``function`` is called with the settings by name. It stands at the top of a module: this module
    and all that it imports are the code behind the run. ``work`` is called with the same settings
    and returns the multiplications of the run, roughly. With ``resumes``, the function is also
    given ``checkpoint``, the path of a file from which an interrupted run goes on.
    """

    function: Callable[..., Run | xarray.Dataset]
    work: Callable[..., float]
    resumes: bool = False

    def cost(self, settings: Settings) -> float:
        """Return the multiplications of a run, roughly: enough for an honest time left."""
        return float(self.work(**settings))

    def code(self, settings: Settings) -> str:
        """Return the fingerprint of the code behind a run."""
        del settings
        return code_of((self.function.__module__,))

    def outcomes(self, batch: Sequence[Settings], checkpoint: Path) -> list[Outcome]:
        """Run one run and return what it comes to."""
        (settings,) = batch
        extra = {}
        if self.resumes:
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            extra = {"checkpoint": checkpoint}
        try:
            return [self.function(**settings, **extra)]
        except FAILURES as error:
            return [failed(error)]


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
    pool, store = workers(jobs), Store(folder, given)
    settings = {name: runs.settings() for name, runs in wanted.items()}
    keys = complete_store(
        [(wanted[name].experiment, group) for name, groups in settings.items() for group in groups],
        store,
        pool,
        progress,
    )
    found, start = {}, 0
    for name, groups in settings.items():
        mine = list(chain.from_iterable(keys[start : start + len(groups)]))
        start += len(groups)
        joined = gather(wanted[name].axes(), mine, store)
        _raise_of_failure(list(chain.from_iterable(groups)), mine, joined, store)
        found[name] = joined.drop_vars(STATUS)
    return found


def complete_store(
    groups: Sequence[tuple[Experiment, Sequence[Settings]]],
    store: Store,
    pool: Workers,
    progress: Progress | None = None,
) -> list[list[str]]:
    """Do the runs that the store lacks, and return the addresses of all, group by group.

    Batches don't mix groups. They depend on the group alone, not on what is missing.
    """
    tasks: dict[int, tuple] = {}
    costs: dict[int, float] = {}
    keys: list[list[str]] = []
    seen: set[str] = set()
    for experiment, wanted in groups:
        keys.append([address(one, experiment.code(one)) for one in wanted])
        for places in experiment.batches(wanted):
            batch, mine = [wanted[i] for i in places], [keys[-1][i] for i in places]
            missing = {i: k for i, k in enumerate(mine) if k not in seen and not store.has(k)}
            seen.update(mine)
            if missing:
                checkpoint = store.checkpoint(mine[0])
                costs[len(tasks)] = sum(map(experiment.cost, batch))
                tasks[len(tasks)] = (experiment, batch, missing, checkpoint)
    if tasks:
        check_writable("folder", store.folder)
        run(pool, _contents, tasks, costs, progress, keep=store.save)
    return keys


def _contents(
    experiment: Experiment,
    batch: Sequence[Settings],
    missing: Mapping[int, str],
    checkpoint: Path,
) -> dict[str, bytes]:
    """Run a batch, where the worker is, and return the files of its missing runs by address.

    Their content takes longer to make than to write.
    """
    if any(address(batch[i], experiment.code(batch[i])) != key for i, key in missing.items()):
        raise ValueError(
            "a worker has other code or other packages than this process: install the same "
            "versions of lazyrich, torch and the rest everywhere"
        )
    outcomes = experiment.outcomes(batch, checkpoint)
    return {key: sealed(_content(outcomes[i]), key, batch[i]) for i, key in missing.items()}


def _content(outcome: Outcome) -> bytes:
    if isinstance(outcome, xarray.Dataset):
        return encoded({"history": outcome}, {})
    return outcome.to_bytes()


def _raise_of_failure(
    wanted: Sequence[Settings], keys: Sequence[str], found: xarray.Dataset, store: Store
) -> None:
    for settings, key, status in zip(wanted, keys, found.status.values.flat, strict=True):
        if status != "finished":
            failure = store.read(key)
            assert isinstance(failure, Failure)
            shown = {name: v for name, v in settings.items() if v is not None}
            raise RuntimeError(f"the run at {shown}: {failure.status}: {failure.reason}")


def failed(error: Exception) -> Failure:
    """Return how a run failed, from one of ``FAILURES``.

    >>> failed(DivergenceError(300, 2.0, 1.5)).status, failed(OverflowError("too large"))
    ('diverged', Failure(status='overflowed', reason='OverflowError: too large', step=nan, \
stable_learning_rate=nan))
    """
    if isinstance(error, DivergenceError):
        rate = float("nan") if error.stable_learning_rate is None else error.stable_learning_rate
        return Failure(error.status, str(error), float(error.step), rate)
    if isinstance(error, NumericalError):
        return Failure(error.status, str(error))
    return Failure(NumericalError.status, in_a_line(error))


@lru_cache(maxsize=256)
def code_of(roots: tuple[str, ...], without: frozenset[Arrow] = frozenset()) -> str:
    """Return the fingerprint of these modules, computed once a process."""
    return fingerprint(roots, without=without)


def plain(name: str, value: Any) -> Any:
    """Return a setting as one of JSON's types. Raises ``ValueError`` where there is none.

    Numbers of NumPy, SymPy and fractions, ranges and arrays count as numbers and lists.

    >>> plain("seed", np.int64(3)), plain("record", range(3)), plain("alpha", np.float32(0.5))
    (3, [0, 1, 2], 0.5)
    >>> plain("task", object)
    Traceback (most recent call last):
    ...
    ValueError: task = <class 'object'>: must be a number, a text, or a list of them
    >>> plain("centred", np.array(True)), plain("P", np.array(3))
    (True, 3)
    """
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 0:
        value = value.item()
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        if int(value).bit_length() > MOST_BITS:
            raise ValueError(f"{name} = {shown(int(value))}: must be within the range of a float")
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): plain(name, each) for key, each in value.items()}
    text = getattr(value, "text", None)  # of an activation or a target
    if isinstance(text, str):
        return text
    if isinstance(value, Iterable) and not isinstance(value, bytes) and hasattr(value, "__len__"):
        return [plain(name, each) for each in value]
    raise ValueError(f"{name} = {shown(value)}: must be a number, a text, or a list of them")


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
