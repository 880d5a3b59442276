"""Workers for many tasks: processes of this machine, or those of a Dask cluster."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import joblib

from lazyrich.support.arguments import positive_integer

# Called with (work done, work to do).
Progress = Callable[[float, float], Any]
# Of joblib.Parallel; its annotations would have every result be None.
Workers = AbstractContextManager[Any]


def workers(jobs: int = -1, scheduler: str | None = None) -> Workers:
    """Return ``jobs`` processes (-1: one a core), or the workers of the Dask cluster at an address.

    Each computes with one thread. Raises ``ValueError`` for bad input; inside, for workers that
    were killed or a cluster that can't be reached, ``OSError`` of one line.
    """
    if scheduler is None:
        return _processes(jobs if jobs == -1 else positive_integer("jobs", jobs))
    try:
        from distributed.comm.addressing import get_address_host_port
    except ImportError:
        reason = "needs the extra cluster: pip install 'lazyrich[cluster]'"
        raise ValueError(f"scheduler = {scheduler!r}: {reason}") from None
    try:
        get_address_host_port(scheduler, strict=True)
    except ValueError as error:
        raise ValueError(
            f"scheduler = {scheduler!r}: must be like tcp://HOST:8786: {error}"
        ) from None
    return _cluster(scheduler)


def run(
    pool: Workers,
    function: Callable[..., Any],
    tasks: Mapping[Any, tuple],
    costs: Mapping[Any, float],
    progress: Progress | None = None,
    keep: Callable[[Any], Any] | None = None,
) -> None:
    """Let the workers call ``function`` with the arguments of each task, the dearest first.

    So it does not end on one worker busy with a long task. ``keep`` is given every result, here,
    as soon as it is there. ``progress`` counts in the units of ``costs``.

    >>> found = []
    >>> run(workers(1), pow, {"a": (2, 3), "b": (2, 4)}, {"a": 1.0, "b": 5.0}, keep=found.append)
    >>> found
    [16, 8]
    """
    order = sorted(tasks, key=lambda name: -costs[name])
    total, done = sum(costs[name] for name in order), 0.0
    calls = (joblib.delayed(_named)(name, function, tasks[name]) for name in order)
    with pool as parallel:
        for name, result in parallel(calls):
            if keep is not None:
                keep(result)
            done += costs[name]
            if progress is not None:
                progress(done, total)


def _named(name: Any, function: Callable[..., Any], arguments: tuple) -> tuple[Any, Any]:
    return name, function(*arguments)


@contextmanager
def _processes(jobs: int) -> Iterator[joblib.Parallel]:
    try:
        with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
            yield joblib.Parallel(return_as="generator_unordered")
    except BrokenExecutor:
        # Not tried again: what was too much for the memory once is so the next time.
        raise ChildProcessError(
            f"jobs = {jobs}: one of the processes was killed, as the system does where memory runs "
            "out; what had finished is kept: call again to resume, with fewer jobs to take less"
        ) from None


@contextmanager
def _cluster(scheduler: str) -> Iterator[joblib.Parallel]:
    from dask.distributed import Client, KilledWorker

    try:
        # Not the default client: xarray would lock the driver's own files by the cluster.
        client = Client(scheduler, timeout="10s", set_as_default=False)
    except OSError as error:
        raise type(error)(f"scheduler = {scheduler!r}: can't be reached: {error}") from None
    try:
        with client, joblib.parallel_config(backend="dask", client=client):
            yield joblib.Parallel(return_as="generator_unordered")
    except KilledWorker as error:
        raise ChildProcessError(
            f"scheduler = {scheduler!r}: {error.allowed_failures + 1} workers died on the same "
            "task; what had finished is kept: call again to resume, with more memory a worker"
        ) from None
