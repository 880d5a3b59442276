"""Workers for many tasks: this process, processes of this machine, or those of a Dask cluster.

Each task runs with one thread, wherever it runs, so that a result has the same bits everywhere. A
process lives as long as the pipe on which it is given tasks: it ends by itself when the driver is
gone, however that ended.
"""

import logging
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from lazyrich.simulate.threads import threads
from lazyrich.support.arguments import positive_integer, shown
from lazyrich.support.patience import Progress, followed, told

# The name of a task, and the arguments of its call.
Call = tuple[Any, tuple]
Function = Callable[..., Any]
# The names and results of calls, in the order in which they finish.
Results = Generator[tuple[Any, Any], None, None]

# Seconds that a cluster may be without workers: those that died may be starting again.
PATIENCE = 15.0
_THREADS = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR")


def workers(jobs: Any = -1, scheduler: Any = None) -> "Workers":
    """Return ``jobs`` processes (-1: one per core), or the workers of a Dask cluster at an address.

    Raises ``ValueError`` for bad input. Workers that were killed, or a cluster that can't be
    reached, raise an ``OSError`` of one line as they are used.
    """
    if scheduler is None:
        if isinstance(jobs, int) and jobs == -1:
            return Processes(_cores())
        try:
            return Processes(positive_integer("jobs", jobs))
        except ValueError as error:
            raise ValueError(f"{error}, or -1: one for each core") from None
    try:
        from distributed.comm.addressing import get_address_host_port
    except ImportError:
        reason = "needs Dask: pip install 'dask[distributed]'"
        raise ValueError(f"scheduler = {shown(scheduler)}: {reason}") from None
    try:
        get_address_host_port(scheduler, strict=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"scheduler = {shown(scheduler)}: must be like tcp://HOST:8786: {error}"
        ) from None
    return Cluster(scheduler)


def run(
    pool: "Workers",
    function: Function,
    tasks: Mapping[Any, tuple],
    costs: Mapping[Any, float],
    progress: Progress | None = None,
    keep: Callable[[Any], Any] | None = None,
) -> None:
    """Run ``function`` on the arguments of each task, the most expensive first.

    So the end does not wait for one long task. ``keep`` is called in this process with every
    result, as soon as it is there. ``progress`` counts in the units of ``costs``.

    >>> found = []
    >>> run(workers(1), pow, {"a": (2, 3), "b": (2, 4)}, {"a": 1.0, "b": 5.0}, keep=found.append)
    >>> found
    [16, 8]
    """
    order = sorted(tasks, key=lambda name: -costs[name])
    total, done = sum(costs[name] for name in order), 0.0
    progress = told(progress, "the runs")
    results = pool.results(function, [(name, tasks[name]) for name in order])
    try:
        for name, result in results:
            if keep is not None:
                keep(result)
            done += costs[name]
            progress(done, total)
    finally:
        results.close()


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@dataclass(frozen=True)
class Processes:
    """Up to ``jobs`` processes of this machine: as many as there are tasks; this one, if one."""

    jobs: int

    def results(self, function: Function, calls: Sequence[Call]) -> Results:
        """Yield results. Raises ``ChildProcessError`` in one line where a process was killed."""
        count = min(self.jobs, len(calls))
        if count > 1:
            yield from self._in_processes(count, function, calls)
            return
        with threads(1):
            for name, arguments in calls:
                yield name, _as_part(function, arguments)

    def _in_processes(self, count: int, function: Function, calls: Sequence[Call]) -> Results:
        waiting: queue.SimpleQueue[Call] = queue.SimpleQueue()
        for call in calls:
            waiting.put(call)
        answers: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        processes: list[subprocess.Popen] = []
        try:
            for _ in range(count):
                processes.append(_start())
                employed = (processes[-1], function, waiting, answers)
                threading.Thread(target=_employ, args=employed, daemon=True).start()
            for _ in calls:
                kind, name, value = answers.get()
                if kind == "died":
                    raise ChildProcessError(
                        f"jobs = {self.jobs}: one of the processes was killed, as the system does "
                        "where memory runs out; what had finished is kept: call again to resume, "
                        "with fewer jobs to take less"
                    )
                if kind == "error":
                    raise value
                yield name, value
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    with suppress(OSError):
                        pipe.close()  # pyright: ignore[reportOptionalMemberAccess]


def _start() -> subprocess.Popen:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        "from lazyrich.simulate.workers import serve; serve()"
    )
    single = {f"{name}_NUM_THREADS": "1" for name in _THREADS}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **single},
        start_new_session=True,  # Ctrl-C goes to the driver alone, which ends its processes
    )


def _employ(
    process: subprocess.Popen,
    function: Function,
    waiting: queue.SimpleQueue,
    answers: queue.SimpleQueue,
) -> None:
    """Give a process one task after another, and pass on what it answers."""
    assert process.stdin is not None
    assert process.stdout is not None
    while True:
        try:
            name, arguments = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            _send(process.stdin, (function, arguments))
            kind, value = pickle.loads(_receive(process.stdout))
        except (EOFError, OSError, ValueError):
            answers.put(("died", name, None))
            return
        except Exception as error:  # what can't be pickled, or not be read here
            kind, value = "error", error
        answers.put((kind, name, value))


def serve() -> None:
    """Be a process that runs the tasks that come in on stdin, until it is closed."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    while True:
        try:
            function, arguments = pickle.loads(calls.get())
            answer = ("result", _as_part(function, arguments))
        except Exception as error:
            answer = ("error", _sendable(error))
        _send(output, answer)


def _listen(pipe: IO[bytes], calls: queue.SimpleQueue) -> None:
    while True:
        try:
            calls.put(_receive(pipe))
        except EOFError:
            os._exit(0)  # the driver is gone, or has no more to do


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _send(pipe: IO[bytes], value: Any) -> None:
    content = pickle.dumps(value)
    pipe.write(len(content).to_bytes(8, "big") + content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    size = int.from_bytes(_exactly(pipe, 8), "big")
    return _exactly(pipe, size)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    content = pipe.read(count)
    if len(content) < count:
        raise EOFError
    return content


@dataclass(frozen=True)
class Cluster:
    """The workers of the Dask cluster at an address."""

    scheduler: str

    def results(self, function: Function, calls: Sequence[Call]) -> Results:
        """Yield results. Raises ``OSError`` in one line where the cluster fails."""
        with _quiet("distributed", "distributed.client"):  # a traceback where its scheduler dies
            yield from self._results(function, calls)

    def _results(self, function: Function, calls: Sequence[Call]) -> Results:
        from dask.distributed import Client, as_completed

        try:
            # Not the default client: xarray would lock the driver's own files by the cluster.
            client = Client(self.scheduler, timeout="10s", set_as_default=False)
        except OSError as error:
            text = f"scheduler = {shown(self.scheduler)}: can't be reached: {error}"
            raise type(error)(text) from None
        try:
            futures = {
                client.submit(_with_one_thread, function, arguments, pure=False): name
                for name, arguments in calls
            }
            finished = as_completed(list(futures), loop=client.loop)
            alive = time.monotonic()
            while futures:
                batch = list(finished.next_batch(block=False)) if not finished.is_empty() else []
                for future in batch:
                    yield futures.pop(future), self._result(client, future)
                if not batch:
                    alive = self._look(client, alive)
                    time.sleep(0.05)
        finally:
            with suppress(Exception):
                client.close(timeout=2)

    def _result(self, client: Any, future: Any) -> Any:
        """Return a result; its worker may have died with it before it was fetched."""
        from dask.distributed import CancelledError, KilledWorker

        alive, seconds = time.monotonic(), 1.0
        try:
            while True:
                try:
                    return future.result(timeout=seconds)
                except TimeoutError:
                    if future.status == "error":  # the task's own
                        raise
                alive, seconds = self._look(client, alive), 2 * seconds
        except KilledWorker as error:
            raise self._failed(
                f"{error.allowed_failures + 1} workers died on the same task",
                "with more memory a worker",
            ) from None
        except CancelledError:
            raise self._failed("the scheduler is gone", "once it is back") from None

    def _look(self, client: Any, alive: float) -> float:
        """Return when the cluster was last seen with a worker; raise where that is too long ago."""
        now = time.monotonic()
        if now - alive < 1:
            return alive
        try:
            if client.nthreads():
                return now
        except (OSError, ValueError, TimeoutError):
            raise self._failed("the scheduler is gone", "once it is back") from None
        if now - alive > PATIENCE:
            raise self._failed(f"has had no worker for {PATIENCE:g} s", "once it has workers")
        return alive

    def _failed(self, what: str, then: str) -> ChildProcessError:
        return ChildProcessError(
            f"scheduler = {shown(self.scheduler)}: {what}; what had finished is kept: call again "
            f"to resume, {then}"
        )


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep these loggers from saying what is raised in one line anyway."""
    levels = {log: log.level for log in map(logging.getLogger, names)}
    try:
        for log in levels:
            log.setLevel(logging.CRITICAL)
        yield
    finally:
        for log, level in levels.items():
            log.setLevel(level)


def _with_one_thread(function: Function, arguments: tuple) -> Any:
    import torch
    from threadpoolctl import threadpool_limits

    # For good: the tasks of a worker with several threads would undo each other's limits.
    torch.set_num_threads(1)
    threadpool_limits(1)
    return _as_part(function, arguments)


def _as_part(function: Function, arguments: tuple) -> Any:
    """Return the result of a task, which says nothing of its progress: the driver does."""
    with followed():
        return function(*arguments)


Workers = Processes | Cluster
