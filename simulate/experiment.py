"""What is run: an experiment, its settings, and what a run of it comes to."""

import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray

from lazyrich.simulate.fingerprint import Arrow, fingerprint
from lazyrich.simulate.run import Run
from lazyrich.simulate.stability import OVERFLOWS, DivergenceError, NumericalError
from lazyrich.simulate.store import Failure
from lazyrich.support.arguments import in_a_line, shown

Settings = dict[str, Any]
# What a run may raise that is a result of this run, and no reason to stop the others.
FAILURES = (NumericalError, *OVERFLOWS)
# No float is larger than an integer of so many bits.
MOST_BITS = 1024
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
