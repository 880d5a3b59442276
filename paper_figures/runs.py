"""The runs behind a figure: grids of training runs, repeated over seeds, kept in a folder."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import torch
import xarray

from lazyrich.simulate import cells, sweep
from lazyrich.simulate.sweep import listed
from lazyrich.simulate.workers import Progress


class Runs(Protocol):
    """What stands behind a figure: a ``Sweep``, ``Networks``, or whatever has their methods."""

    def cost(self) -> float:
        """Return the work of all its runs, in the units of ``simulate.sweep``'s progress."""
        ...

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories; finished runs are found in ``folder``."""
        ...


@dataclass(frozen=True)
class Sweep:
    """A grid of runs, each repeated for ``seeds`` seeds 0, 1, ..., of data and initial weights.

    ``grid`` and ``fixed`` are those of ``simulate.sweep``; the grid may be empty.
    """

    grid: Mapping[str, Sequence]
    fixed: Mapping[str, Any]
    seeds: int = 1

    def cost(self) -> float:
        """Return the work of all its runs, in the units of ``simulate.sweep``'s progress."""
        points = (dict(zip(self.grid, v, strict=True)) for v in product(*self.grid.values()))
        one = sum(cells.cost(cells.complete({**self.fixed, **point})) for point in points)
        return self.seeds * one

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over (seed, *grid, step); finished runs are found in ``folder``.

        Raises ``RuntimeError`` where a run diverged: the parameters of a figure must not.

        >>> import tempfile
        >>> small = dict(D=5, P=20, n_test=10, epsilon=0.5, width=8, steps=10)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = Sweep({"alpha": [1.0, 2.0]}, small, seeds=3).run(folder)
        >>> found.train_loss.dims, found.train_loss.shape
        (('seed', 'alpha', 'step'), (3, 2, 11))
        """
        histories = []
        for seed in range(self.seeds):
            # One number for data and weights: they have streams of their own.
            fixed = {**self.fixed, "task_seed": seed}
            found = sweep(
                {"seed": [seed], **self.grid},
                folder=folder,
                jobs=jobs,
                progress=_part(progress, seed, self.seeds),
                **fixed,
            )
            if not bool((found.status == "finished").all()):
                raise RuntimeError(f"a run of {dict(self.grid)}, {fixed} diverged")
            histories.append(found)
        joined = xarray.concat(histories, "seed", combine_attrs="drop_conflicts")
        assert isinstance(joined, xarray.Dataset)
        return joined


@dataclass(frozen=True)
class Networks:
    """Runs that are no grid: ``cells`` are mappings of the keys of ``simulate.sweep``."""

    cells: Sequence[Mapping[str, Any]]

    def cost(self) -> float:
        """Return the work of all its runs, in the units of ``simulate.sweep``'s progress."""
        return sum(cells.cost(cells.complete(cell)) for cell in self.cells)

    def run(
        self, folder: str | os.PathLike, jobs: int = 1, progress: Progress | None = None
    ) -> xarray.Dataset:
        """Return the histories over (cell, step); finished runs are found in ``folder``.

        Raises ``RuntimeError`` where a run diverged: the parameters of a figure must not.
        """
        found = listed(self.cells, folder=folder, jobs=jobs, progress=progress)
        if not bool((found.status == "finished").all()):
            raise RuntimeError("a run diverged")
        return found


def _part(progress: Progress | None, index: int, count: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(index + done / total, count)


def run_all(
    sweeps: Mapping[str, Runs],
    folder: str | os.PathLike,
    jobs: int = 1,
    progress: Progress | None = None,
) -> dict[str, xarray.Dataset]:
    """Run every sweep and return its histories under its name, with one progress for all."""
    costs = {name: each.cost() for name, each in sweeps.items()}
    total, before, found = sum(costs.values()), 0.0, {}
    for name, each in sweeps.items():

        def report(done: float, count: float, before=before, cost=costs[name]) -> None:
            if progress is not None:
                progress(before + cost * done / count, total)

        found[name] = each.run(folder, jobs, report)
        before += costs[name]
    return found


# Of the rate of a matrix product alone, what training gets: 0.6 in the runs of Figure 1.
PACE = 0.6


def seconds(sweeps: Mapping[str, Runs], jobs: int = 1) -> float:
    """Return about how long the sweeps take on this machine, none of their runs being finished.

    Their cost over the rate of a matrix product measured now; right within a factor of 3 on
    a machine that does nothing else.

    >>> small = Sweep({}, dict(D=5, P=20, n_test=10, alpha=1, epsilon=1, width=8, steps=10))
    >>> large = Sweep({}, {**small.fixed, "steps": 10_000_000})
    >>> seconds({"a": small}) < seconds({"a": large}) < 3600
    True
    """
    matrix = torch.ones(256, 256, dtype=torch.float64)
    with one_thread():
        torch.matmul(matrix, matrix)  # the first call sets up the library
        began = time.perf_counter()
        for _ in range(5):
            torch.matmul(matrix, matrix)
        rate = 5 * 256**3 / (time.perf_counter() - began)
    return sum(each.cost() for each in sweeps.values()) / (PACE * rate * jobs)


def gap_in_words(runs: xarray.Dataset, of: str = "population_loss") -> str:
    """Say how far gradient descent is from these runs of the engine "flow", as it estimates.

    The median over the runs and the largest, of the relative difference of the test loss, which
    ``of`` names, at the worst step at which it is still above 1/100 of its start.

    >>> runs = xarray.Dataset(coords={"step": [0, 1, 2]})
    >>> runs["population_loss"] = ("step", [1.0, 0.5, 0.001])
    >>> runs["descent_gap_population_loss"] = ("step", [0.0, -0.02, 0.5])
    >>> gap_in_words(runs)
    'within 2% of the test losses of descent in the median run, 2% in the worst'
    """
    loss = runs[of]
    gap = abs(runs[f"descent_gap_{of}"]).where(loss > loss.isel(step=0) / 100).max("step")
    middle, worst = float(gap.median()), float(gap.max())
    return (
        f"within {100 * middle:.2g}% of the test losses of descent in the median run, "
        f"{100 * worst:.2g}% in the worst"
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, as it does in the worker processes: the same bits in both."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
