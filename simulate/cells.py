"""One cell of a sweep: its full configuration, what it costs, and its run.

A cell is a flat dictionary of the arguments of ``PolynomialTask`` and ``train``, defaults filled
in. ``NETWORK`` is the experiment of these cells.
"""

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lazyrich.simulate.batch import batch_size, train_batch
from lazyrich.simulate.constants import shared_out
from lazyrich.simulate.engines import ENGINES, known
from lazyrich.simulate.experiment import Experiment, Outcome, Settings, code_of, failed, plain
from lazyrich.simulate.network import WIDTH, moments_fit_memory
from lazyrich.simulate.run import Run
from lazyrich.simulate.stability import NumericalError, within_range
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.together import trained
from lazyrich.simulate.train import Plan, plan, train
from lazyrich.support.arguments import finite, one_of, shown
from lazyrich.support.patience import silent

Cell = Settings

# ``task_seed`` draws the data, ``seed`` the weights; ``label_scale`` multiplies the labels.
_OF_TASK = ("D", "P", "n_test", "indices", "target_degree", "target", "noise")
TASK_NAMES = (*_OF_TASK, "task_seed", "label_scale")
# What no file can hold, or what does not change the result.
_LEFT_OUT = ("task", "init", "optimiser", "progress")
_SEEDS = ("seed", "task_seed")
# Multiplications in the time that the calls of a record take.
CALLS_OF_RECORD = 1e7
# What the runs of one batch have in common.
_BATCH_SHARES = ("engine", "steps", "record", "D", "centred", "dtype", "device")


@cache
def defaults() -> dict[str, Any]:
    """Return every key of a cell with its default; ``inspect.Parameter.empty`` where it has none.

    >>> defaults()["engine"], defaults()["label_scale"]
    ('flow', 1.0)
    """
    of_task = inspect.signature(PolynomialTask).parameters
    of_train = inspect.signature(train).parameters
    found = {name: of_task[name].default for name in _OF_TASK}
    found |= {"task_seed": of_task["seed"].default, "label_scale": 1.0}
    found |= {name: p.default for name, p in of_train.items() if name not in _LEFT_OUT}
    return found | {"width": WIDTH}


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
    return {name: plain(name, value) for name, value in cell.items()}


def cost(cell: Cell) -> float:
    """Return the multiplications that a cell takes, roughly: enough for an honest time left.

    Calls count as the multiplications that take as long: small networks cost little else.

    >>> cell = complete({"D": 5, "P": 9, "alpha": 1, "epsilon": 1, "steps": 10**6, "width": 4})
    >>> cost(cell) < cost(cell | {"D": 50}) < 2 * cost(cell) < 2 * cost(cell | {"D": 500})
    True
    """
    D, P, steps = cell["D"], cell["P"], cell["steps"]
    records = len(cell["record"]) if cell["record"] is not None else 20 * math.log10(10 * steps)
    aligned = {"test": cell["n_test"], "train": P, None: 0}[cell["alignment"]]
    work = known(cell["engine"]).cost(cell)
    return float(work + records * ((P + cell["n_test"] + aligned**2) * D + CALLS_OF_RECORD))


@lru_cache(maxsize=4)
def _task(asked: str) -> PolynomialTask:
    given = json.loads(asked)
    seed, scale = given.pop("task_seed"), given.pop("label_scale")
    moments_fit_memory(given["D"])
    task = PolynomialTask(**given, seed=seed)
    if finite("label_scale", scale, positive=True) == 1:
        return task
    if task.goal is not None or task.target_degree is not None or task.noise:
        raise ValueError(f"label_scale = {shown(scale)}: must be 1 with another target or noise")
    return PolynomialTask.from_arrays(task.X, task.beta * math.sqrt(scale), task.X_test)


@within_range
def _plan(cell: Cell) -> Plan:
    """Return the checked run; ``constants`` are those of the target and of the activation."""
    mine, rest = shared_out(cell["constants"], cell["target"], cell["activation"])
    asked = {name: cell[name] for name in TASK_NAMES} | {"constants": mine}
    arguments = {name: value for name, value in cell.items() if name not in TASK_NAMES}
    unused = dict.fromkeys(_LEFT_OUT[1:]) | {"progress": silent}
    return plan(_task(json.dumps(asked)), **arguments | {"constants": rest}, **unused)


def check(wanted: Sequence[Cell]) -> None:
    """Let the task and ``train`` check the cells, without training. Raises ``ValueError``.

    Every value of each key once, and every combination of the keys once. Combinations ask only
    for the sign of a number and whether it is 1, and nothing of seeds.
    """
    _refuse_repeats(wanted)
    seen: set[tuple] = set()
    for cell in wanted:
        values = {(name, repr(value)) for name, value in cell.items() if name not in _SEEDS}
        kinds = tuple(_kind(name, value) for name, value in cell.items())
        if values <= seen and kinds in seen:
            continue
        seen |= {*values, kinds}
        with suppress(NumericalError):  # which is the cell's own result
            _plan(cell)


def _refuse_repeats(wanted: Sequence[Cell]) -> None:
    """Raise ``ValueError`` where cells differ in ``seed`` alone, and it draws nothing."""
    infinite = [cell for cell in wanted if cell["width"] == math.inf]
    seeds: dict[str, Any] = {}
    for cell in infinite:
        rest = repr({**cell, "seed": None})
        if seeds.setdefault(rest, cell["seed"]) != cell["seed"]:
            raise ValueError(
                f"seed = {cell['seed']}: at width = inf no weights are drawn, so all seeds are one "
                "run: vary task_seed, which draws the data"
            )


def _kind(name: str, value: Any) -> Any:
    """Return what combinations of keys ask of a value."""
    if name in _SEEDS:
        return None
    return (value > 0, value < 0, value == 1) if isinstance(value, float) else repr(value)


def batches(wanted: Sequence[Cell]) -> list[list[int]]:
    """Return the places of the cells in the batches in which they run: as many as fit in one.

    The batches depend on the list alone, so that a sweep gives the same bits on any machine and
    after any number of restarts.

    >>> some = {"D": 5, "P": 9, "alpha": 1.0, "steps": 10, "width": 4}
    >>> wanted = [complete(some | {"epsilon": x, "engine": e})
    ...           for e in ("moments", "linearised") for x in (0.1, 0.2)]
    >>> batches(wanted)
    [[0, 1], [2], [3]]
    """
    alike: dict[tuple, list[int]] = {}
    for place, cell in enumerate(wanted):
        shared = tuple(repr(cell[name]) for name in _BATCH_SHARES)
        alone = () if known(cell["engine"]).batches else (place,)
        alike.setdefault(shared + alone, []).append(place)
    found = []
    for group in alike.values():
        sizes = ("P", "D", "width", "n_test")
        size = min(batch_size(*(wanted[place][name] for name in sizes)) for place in group)
        found += [group[i : i + size] for i in range(0, len(group), size)]
    return found


def run(batch: Sequence[Cell]) -> list[Outcome]:
    """Return, for each cell of a batch, its run or how it failed.

    Raises ``ValueError`` for bad input.

    >>> cell = complete({"D": 5, "P": 9, "steps": 3, "width": 4, "engine": "moments"})
    >>> [outcome.history.sizes["step"] for outcome in run([cell, cell | {"seed": 1}])]
    [4, 4]
    """
    found: dict[int, Outcome] = {}
    plans: dict[int, Plan] = {}
    for place, cell in enumerate(batch):
        try:
            plans[place] = _plan(cell)
        except NumericalError as error:
            found[place] = failed(error)
    for place, end in zip(plans, trained(list(plans.values())), strict=True):
        found[place] = end if isinstance(end, Run) else failed(end)
    return [found[place] for place in range(len(batch))]


def code(engine: str, root: str = __name__) -> str:
    """Return the fingerprint of the code that a run of this engine goes through, from ``root``.

    The files of the other engines are no part of it, nor is what stores runs and shares them out.
    """
    mine = _module(engine)
    registry = known.__module__
    others = {(registry, module) for module in map(_module, ENGINES) if module != mine}
    others.add((__name__, Experiment.__module__))
    if engine != "moments":
        others |= {(here, train_batch.__module__) for here in (__name__, trained.__module__)}
    return code_of((root, train.__module__, mine), frozenset(others))


def _module(engine: str) -> str:
    return known(engine).descend.__module__


class Networks(Experiment):
    """The experiment of ``simulate.sweep``: its settings are those of a cell."""

    seeds = _SEEDS

    def complete(self, settings: Mapping[str, Any]) -> Settings:
        """Return the full configuration; see ``complete``."""
        return complete(settings)

    def check(self, wanted: Sequence[Settings]) -> None:
        """Let the task and ``train`` check the cells; see ``check``."""
        check(wanted)

    def cost(self, settings: Settings) -> float:
        """Return the multiplications of a cell, roughly; see ``cost``."""
        return cost(settings)

    def batches(self, wanted: Sequence[Settings]) -> list[list[int]]:
        """Return the batches in which the cells run; see ``batches``."""
        return batches(wanted)

    def code(self, settings: Settings) -> str:
        """Return the fingerprint of the code behind a run."""
        return code(settings["engine"])

    def outcomes(self, batch: Sequence[Settings], checkpoint: Path) -> list[Outcome]:
        """Run a batch; see ``run``."""
        del checkpoint
        return run(batch)


NETWORK = Networks()


@dataclass(frozen=True)
class OwnTask(Experiment):
    """Runs of ``train`` on labels, or from weights, that no cell describes.

    ``arguments`` is called with the settings by name and returns the arguments of ``train``, the
    task and the initial weights among them. The cost is told by those settings that are keys of a
    cell: D, P, width and steps must be among them, and engine, n_test and alignment where they
    aren't the defaults.

    >>> sizes = {"D": 3, "P": 9, "width": 4, "steps": 5, "share": 0.5, "seed": 0}
    >>> OwnTask(dict).cost(sizes) < OwnTask(dict).cost(sizes | {"steps": 500})
    True
    """

    arguments: Callable[..., dict[str, Any]]

    def cost(self, settings: Settings) -> float:
        """Return the multiplications of a run, roughly."""
        mine = {name: value for name, value in settings.items() if name in defaults()}
        return cost(complete(mine))

    def code(self, settings: Settings) -> str:
        """Return the fingerprint of the code behind a run."""
        engine = settings.get("engine", defaults()["engine"])
        return code(engine, self.arguments.__module__)

    def outcomes(self, batch: Sequence[Settings], checkpoint: Path) -> list[Outcome]:
        """Run one run and return what it comes to."""
        del checkpoint
        (settings,) = batch
        try:
            return [train(**self.arguments(**settings))]
        except NumericalError as error:
            return [failed(error)]
