"""A Dask cluster that fails, by real kills: one line, and what had finished is kept."""

import json
import logging
import operator
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lazyrich import simulate
from lazyrich.simulate.workers import run, workers

pytest.importorskip("dask.distributed")
pytestmark = pytest.mark.slow


class Cluster:
    """A Dask scheduler and workers on loopback, each a process."""

    def __init__(self, folder: Path, count: int, *options: str) -> None:
        self._folder, file = folder, folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--scheduler-file", str(file), "--port", "0")
        wait_for(lambda: file.exists() and file.read_text(), "the scheduler")
        self.address = json.loads(file.read_text())["address"]
        options = ("--nthreads", "1", "--local-directory", str(folder), *options)
        self.workers = [self._start("worker", self.address, *options) for _ in range(count)]

    def _start(self, kind: str, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", kind, *options]
        log = (self._folder / f"{kind}-{time.monotonic_ns()}.log").open("w")
        command += ["--host", "127.0.0.1", "--no-dashboard"]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_error) -> None:
        everything = (*self.workers, self.scheduler)
        for process in everything:
            process.terminate()  # a nanny that is killed leaves semaphores in /dev/shm
        for process in everything:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            kill(process)
            process.wait()


def kill(process: subprocess.Popen) -> None:
    """Kill a process and those that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for(condition, what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)


def fails(cluster: Cluster, tasks: dict[str, tuple], match: str, then=lambda: None) -> list:
    """Run the tasks, which must end in one line; return the results that were kept."""
    kept = []

    def keep(result: object) -> None:
        kept.append(result)
        then()

    costs = {name: -float(i) for i, name in enumerate(tasks)}  # in this order
    with pytest.raises(ChildProcessError, match=match) as error:
        run(workers(scheduler=cluster.address), operator.call, tasks, costs, keep=keep)
    assert "\n" not in str(error.value)
    assert "what had finished is kept" in str(error.value)
    return kept


# Ends its worker once a file is there.
DEADLY = """
import os, time
while not os.path.exists(file):
    time.sleep(0.02)
os._exit(1)
"""


def test_a_task_that_keeps_killing_workers(tmp_path, monkeypatch):
    """Dask lets a task kill four workers; here two, as each that is started takes seconds."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    kept = tmp_path / "kept"  # else the good result may die with its worker
    with Cluster(tmp_path, 2, "--nanny") as cluster:
        tasks = {"good": (pow, 2, 3), "deadly": (exec, DEADLY, {"file": str(kept)})}
        match = "2 workers died on the same task"
        assert fails(cluster, tasks, match, kept.touch) == [8]


def test_a_cluster_whose_workers_are_all_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["lazyrich.simulate.workers"], "PATIENCE", 3.0)
    with Cluster(tmp_path, 1, "--no-nanny") as cluster:
        tasks = {"good": (pow, 2, 3), "long": (time.sleep, 600)}
        kept = fails(cluster, tasks, "no worker for 3 s", lambda: kill(cluster.workers[0]))
        assert kept == [8]


def test_a_scheduler_that_dies(tmp_path, caplog):
    client = logging.getLogger("distributed.client")  # which passes nothing on to the root
    client.addHandler(caplog.handler)
    with Cluster(tmp_path, 1, "--no-nanny") as cluster:
        tasks = {"good": (pow, 2, 3), "long": (time.sleep, 600)}
        kept = fails(cluster, tasks, "the scheduler is gone", lambda: kill(cluster.scheduler))
        assert kept == [8]
    client.removeHandler(caplog.handler)
    assert "Traceback" not in caplog.text


def test_a_cluster_of_one_thread_does_the_work(tmp_path):
    with Cluster(tmp_path, 1, "--no-nanny") as cluster:
        found = []
        tasks = dict.fromkeys(range(3), (os.getpid,))
        costs = dict.fromkeys(tasks, 1.0)
        run(workers(scheduler=cluster.address), operator.call, tasks, costs, keep=found.append)
        assert len(found) == 3
        assert os.getpid() not in found


def test_a_cluster_that_loses_a_worker_gives_the_same_bits(tmp_path):
    grid = {"alpha": [0.5, 1.0, 2.0], "seed": [0, 1, 2, 3], "engine": ["linearised", "moments"]}
    fixed = {"D": 20, "P": 80, "n_test": 20, "width": 9, "learning_rate": 0.5}
    fixed |= {"steps": 300, "epsilon": 0.4}
    here = simulate.sweep(grid, folder=tmp_path / "here", jobs=1, **fixed)
    killed = []
    with Cluster(tmp_path, 2, "--no-nanny") as cluster:

        def kill_a_worker(done: float, total: float) -> None:
            if not killed and done > total / 5:
                killed.append(cluster.workers[-1])
                kill(killed[0])

        there = simulate.sweep(
            grid,
            folder=tmp_path / "there",
            scheduler=cluster.address,
            progress=kill_a_worker,
            **fixed,
        )
    assert killed, "the sweep ended before a worker could be killed"
    assert there.identical(here)
