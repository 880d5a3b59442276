"""One cell of a sweep: its full configuration, the address of its result, and its run.

A cell is a flat dictionary of the arguments of ``PolynomialTask`` and ``train``, defaults filled
in. Its address is the hash of that dictionary and of the code that computes it.
"""

import hashlib
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

import lazyrich
from lazyrich.simulate.batch import batch_size, train_batch
from lazyrich.simulate.run import Run
from lazyrich.simulate.stability import DivergenceError
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.train import Plan, plan, run_plan, train
from lazyrich.support.arguments import finite, one_of

Cell = dict[str, Any]
Outcome = Run | DivergenceError

# ``task_seed`` draws the data, ``seed`` the weights; ``label_scale`` multiplies the labels.
TASK_NAMES = ("D", "P", "n_test", "task_seed", "label_scale", "indices", "target_degree")
# What no file can hold, or what does not change the result.
_LEFT_OUT = ("task", "init", "optimiser", "progress")
# Multiplications in the time that the calls of an evaluation take, and those of a record.
CALLS = {"neurons": 3e6, "flow": 1.5e6, "moments": 1.5e5, "linearised": 0.0}
CALLS_OF_RECORD = 1e7
# What the runs of one batch have in common.
_BATCH_SHARES = ("engine", "steps", "record", "D", "centred", "dtype", "device")


@cache
def defaults() -> dict[str, Any]:
    """Return every key of a cell with its default; ``inspect.Parameter.empty`` where it has none.

    >>> defaults()["engine"], defaults()["label_scale"]
    ('moments', 1.0)
    """
    of_task = inspect.signature(PolynomialTask).parameters
    of_train = inspect.signature(train).parameters
    own = ("D", "P", "n_test", "indices", "target_degree")
    found = {name: of_task[name].default for name in own}
    found |= {"task_seed": of_task["seed"].default, "label_scale": 1.0}
    return found | {name: p.default for name, p in of_train.items() if name not in _LEFT_OUT}


def complete(values: Mapping[str, Any]) -> Cell:
    """Return the full configuration: ``values`` over the defaults.

    Raises ``ValueError`` for an unknown key (with the nearest known one) and for a missing one.

    >>> complete({"D": 5, "P": 9, "alpha": 1.0, "epsilon": 0.5, "steps": 3, "width": 4})["seed"]
    0
    """
    for name in values:
        one_of("key", name, defaults())
    cell = {**defaults(), **values}
    for name, value in cell.items():
        if value is inspect.Parameter.empty:
            raise ValueError(f"{name} is missing: must be in the grid or among the fixed values")
    return cell


@cache
def code_version() -> str:
    """Return what identifies the code behind a result: versions, and a digest of the sources."""
    digest = hashlib.sha256()
    for package in ("lazyrich.theory", "lazyrich.simulate"):
        folder = Path(str(files(package)))
        for file in sorted(folder.rglob("*.py")):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return f"lazyrich {lazyrich.__version__} {digest.hexdigest()}, torch {torch.__version__}"


def address(cell: Cell) -> str:
    """Return the name under which the result of the cell is kept: 32 hexadecimal digits."""
    text = json.dumps({"cell": cell, "code": code_version()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def cost(cell: Cell) -> float:
    """Return the multiplications that a cell takes, roughly: enough for an honest time left.

    Calls count as the multiplications that take as long: small networks cost little else.

    >>> cell = complete({"D": 5, "P": 9, "alpha": 1, "epsilon": 1, "steps": 10**6, "width": 4})
    >>> cost(cell) < cost(cell | {"D": 50}) < 2 * cost(cell) < 2 * cost(cell | {"D": 500})
    True
    """
    D, P, N, steps = cell["D"], cell["P"], cell["width"] or math.inf, cell["steps"]
    vectors = N if cell["engine"] == "neurons" else min(N - 1, D) + 1
    evaluations = {"flow": 10 * math.sqrt(steps), "linearised": P}.get(cell["engine"], steps)
    records = len(cell["record"]) if cell["record"] is not None else 20 * math.log10(10 * steps)
    aligned = {"test": cell["n_test"], "train": P, None: 0}[cell["alignment"]]
    work = evaluations * (2 * P * D * vectors + CALLS[cell["engine"]])
    return float(work + records * ((P + cell["n_test"] + aligned**2) * D + CALLS_OF_RECORD))


@lru_cache(maxsize=4)
def _task(
    D: int,
    P: int,
    n_test: int,
    task_seed: int,
    label_scale: float,
    indices: int,
    target_degree: int | None,
) -> PolynomialTask:
    task = PolynomialTask(
        D=D, P=P, n_test=n_test, seed=task_seed, indices=indices, target_degree=target_degree
    )
    if finite("label_scale", label_scale, positive=True) == 1:
        return task
    if target_degree is not None:
        raise ValueError(f"label_scale = {label_scale!r}: must be 1 with a target_degree")
    return PolynomialTask.from_arrays(task.X, task.beta * math.sqrt(label_scale), task.X_test)


def _plan(cell: Cell) -> Plan:
    unused = dict.fromkeys(_LEFT_OUT[1:])
    arguments = {name: value for name, value in cell.items() if name not in TASK_NAMES}
    return plan(_task(*(cell[name] for name in TASK_NAMES)), **arguments, **unused)


def check(cell: Cell) -> None:
    """Let the task and ``train`` check the cell, without training. Raises ``ValueError``."""
    _plan(cell)


def batches(wanted: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells in the batches in which they run: those that may share one, as many as fit.

    It hangs on the list alone, so that a sweep gives the same bits wherever and in however many
    attempts it runs.

    >>> some = {"D": 5, "P": 9, "alpha": 1.0, "steps": 10, "width": 4}
    >>> wanted = [complete(some | {"epsilon": x, "engine": e})
    ...           for e in ("moments", "linearised") for x in (0.1, 0.2)]
    >>> [len(batch) for batch in batches(wanted)]
    [2, 1, 1]
    """
    alike: dict[tuple, list[Cell]] = {}
    for number, cell in enumerate(wanted):
        shared = tuple(repr(cell[name]) for name in _BATCH_SHARES)
        alone = () if cell["engine"] == "moments" else (number,)
        alike.setdefault(shared + alone, []).append(cell)
    found = []
    for group in alike.values():
        sizes = ("P", "D", "width", "n_test")
        size = min(batch_size(*(cell[name] for name in sizes)) for cell in group)
        found += [group[i : i + size] for i in range(0, len(group), size)]
    return found


def run(batch: Sequence[Cell]) -> list[Outcome]:
    """Return, for each cell of a batch, its run or the ``DivergenceError`` that ended it.

    Raises ``ValueError`` for bad input.

    >>> cell = complete({"D": 5, "P": 9, "alpha": 1, "epsilon": 0.5, "steps": 3, "width": 4})
    >>> [outcome.history.sizes["step"] for outcome in run([cell, cell | {"seed": 1}])]
    [4, 4]
    """
    plans = [_plan(cell) for cell in batch]
    if len(plans) > 1:
        return train_batch(plans)
    try:
        return [run_plan(plans[0])]
    except DivergenceError as divergence:
        return [divergence]
