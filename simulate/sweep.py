"""``sweep``: a grid of runs, kept cell by cell, opened as one labelled dataset."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import xarray

from lazyrich.simulate.cells import NETWORK
from lazyrich.simulate.completing import complete_store
from lazyrich.simulate.experiment import plain
from lazyrich.simulate.record import DESCRIPTIONS
from lazyrich.simulate.run import FORMAT
from lazyrich.simulate.runs import Runs, gather
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.store import Store
from lazyrich.simulate.workers import workers
from lazyrich.support.arguments import shown
from lazyrich.support.patience import Progress, told


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
    has one dimension for each key of ``grid``, and ``step``. ``status`` is "finished", "diverged",
    "overflowed" (a number too large for a computer) or "too stiff" (gradient flow takes more steps
    than anyone can wait for); ``diverged_step`` and ``stable_learning_rate`` describe a
    divergence. Steps that a cell has not recorded are NaN.

    Finished cells are kept in ``folder`` and found again: a second call opens them, and a call
    after an interruption resumes. A cell is found by its settings and by the code that computes
    it. A file that was damaged or misplaced is computed again, with a warning. ``jobs`` processes
    (-1: one per core) do the work, or with ``scheduler`` the workers of the Dask cluster at that
    address (extra ``cluster``). Every cell runs with one thread: the results have the same bits
    for any number of jobs. Cells of engine "moments" run in batches (see ``cells.batches``): the
    last bits of a cell may depend on the grid that it was first run in, and on nothing else.
    ``progress`` is called with (work done, work to do), in units roughly proportional to time.

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
    runs = Runs(NETWORK, _checked_axes(grid, fixed), fixed)
    (wanted,) = runs.settings()
    NETWORK.check(wanted)
    progress, pool, store = told(progress, "the sweep"), workers(jobs, scheduler), Store(folder)
    ((_, (keys,)),) = complete_store({"": [(NETWORK, wanted)]}, store, pool, progress)
    found = gather(runs.axes(), keys, store)
    return found.assign_attrs(lazyrich_format=FORMAT)  # so that ``load`` opens it


def _has_equal(values: list) -> bool:
    """Return whether two of the values are equal, as 1 and 1.0 are.

    >>> _has_equal([1, 1.0]), _has_equal([[1], [2], 1])
    (True, False)
    """
    try:
        return len(set(values)) < len(values)
    except TypeError:  # lists among them
        return any(value in values[:i] for i, value in enumerate(values))


def _checked_axes(grid: Any, fixed: Mapping[str, Any]) -> dict[str, list]:
    axes = {}
    if not isinstance(grid, Mapping):
        reason = "must map names to lists of values, such as {'alpha': [1.0, 2.0]}"
        raise ValueError(f"grid = {shown(grid)}: {reason}")
    for name, values in grid.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            raise ValueError(f"grid {name} = {shown(values)}: must be a list of values")
        if name in DESCRIPTIONS:
            raise ValueError(
                f"grid {name}: can't be an axis, as the runs record a quantity of this name; make "
                "one sweep a value"
            )
        axes[name] = [plain(name, value) for value in values]
        if any(isinstance(value, list | dict) for value in axes[name]):
            raise ValueError(
                f"grid {name} = {axes[name]}: must be numbers or texts, which label an axis; "
                "give a list as a fixed value"
            )
        if not axes[name]:
            raise ValueError(f"grid {name} is empty: must have at least one value")
        if _has_equal(axes[name]):
            raise ValueError(f"grid {name} = {axes[name]}: must have no value twice")
        if name in fixed:
            raise ValueError(
                f"{name} = {fixed[name]!r}: is in the grid too; must be in one of both"
            )
    if not axes:
        raise ValueError("grid is empty: must have at least one key")
    return axes
