"""A run uses one thread unless its products are large, so that a busy machine doesn't stop it."""

import os
import subprocess
import sys
from importlib import import_module

import pytest
import torch

from lazyrich import cli, simulate
from lazyrich.simulate import lyu
from lazyrich.simulate.threads import PAYS, threads

CORES = os.cpu_count() or 1
TASK = simulate.PolynomialTask(D=5, P=20, n_test=10)
SMALL = {"alpha": 1.0, "epsilon": 0.5, "width": 8, "steps": 20, "learning_rate": 0.5}


@pytest.fixture(autouse=True)
def two_threads():
    """The whole suite runs with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "the number of threads was changed for good"
    torch.set_num_threads(before)


@pytest.fixture
def used(monkeypatch):
    """The numbers of threads while an engine descends."""
    recording = import_module("lazyrich.simulate.train").Recording
    found, take = [], recording.take

    def counted(self, snapshot):
        found.append(torch.get_num_threads())
        take(self, snapshot)

    monkeypatch.setattr(recording, "take", counted)
    return found


@pytest.mark.parametrize("engine", ["neurons", "moments", "flow", "linearised"])
def test_a_small_run_uses_one_thread(used, engine):
    simulate.train(TASK, engine=engine, **SMALL)
    assert set(used) == {1}


def test_a_large_product_uses_what_torch_may_use(used, monkeypatch):
    monkeypatch.setattr("lazyrich.simulate.threads.PAYS", 20 * 5 * 8)  # P D N of this run
    simulate.train(TASK, engine="neurons", **SMALL)
    simulate.train(TASK, engine="neurons", **SMALL | {"width": 7})
    assert used[0] == 2
    assert used[-1] == 1


def test_a_number_that_is_given_holds_whatever_the_size(used):
    with threads(2):
        simulate.train(TASK, engine="neurons", **SMALL)
    with threads(1), threads(product=10 * PAYS):
        assert torch.get_num_threads() == 1
    assert set(used) == {2}


def test_batches_and_models_of_lyu_use_one_thread(monkeypatch):
    seen = []

    def progress(*_):
        seen.append(torch.get_num_threads())

    net = lyu.DiagonalNet(2, "square")
    task = lyu.sparse_regression(d=6, n=4, k=1, seed=0)
    net.train(task, alpha=4.0, weight_decay=1e-2, time=10.0, progress=progress)
    small = {"alpha": 4.0, "weight_decay": 1e-2, "time": 10.0}
    matrix = lyu.matrix_completion(d=4, observed=0.5, seed=0)
    lyu.MatrixFactorisation().train(matrix, **small, progress=progress)
    assert set(seen) == {1}
    seen.clear()
    together = import_module("lazyrich.simulate.together")
    train_batch = together.train_batch

    def counted(plans):
        progress()
        return train_batch(plans)

    monkeypatch.setattr(together, "train_batch", counted)
    settings = [{"alpha": 0.5}, {"alpha": 2.0}]
    simulate.run_many([TASK], settings, engine="moments", epsilon=0.5, width=8, steps=10)
    assert seen == [1]


SIMULATE = ["simulate", "--D", "5", "--P", "20", "--width", "8", "--steps", "20", "--quiet"]


@pytest.mark.skipif(CORES < 2, reason="one core")
@pytest.mark.parametrize(("option", "number"), [((), 1), (("--threads", "2"), 2)])
def test_the_command_line_chooses_and_is_told_otherwise(used, capsys, option, number):
    cli.main([*SIMULATE, *option])
    assert set(used) == {number}
    capsys.readouterr()


@pytest.mark.parametrize(
    "command", [SIMULATE, ["predict", "--D", "5", "--P", "20", "--alpha", "1"]]
)
@pytest.mark.parametrize("number", ["0", "-2", str(CORES + 1)])
def test_a_number_that_is_not_there_is_one_line(capsys, command, number):
    more = ["--epsilon", "0.5"] if command[0] == "predict" else []
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, *more, "--threads", number])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "--threads" in error
    assert number in error
    assert error.count("\n") == 1


RUN = """
import resource, subprocess, sys
from lazyrich.simulate import PolynomialTask, train
task = PolynomialTask(D=100, P=550, n_test=500)
options = {"alpha": 1.0, "epsilon": 0.02, "width": 500, "engine": "moments", "alignment": None}

def seconds():
    before = resource.getrusage(resource.RUSAGE_SELF)
    train(task, steps=400, **options)
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before.ru_utime

train(task, steps=1, **options)
alone = seconds()
others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES)]
try:
    print(alone, seconds())
finally:
    for one in others:
        one.kill()
    for one in others:
        one.wait()
"""


@pytest.mark.slow
def test_a_run_on_busy_cores_takes_at_most_twice_the_processor_time():
    """Threads that wait for each other spin: with two of them it was six times as much."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", f"CORES = {CORES}{RUN}"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    alone, busy = map(float, done.stdout.split())
    assert busy < 2 * alone
