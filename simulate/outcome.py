"""When a loss has fallen, what a run came to, and the time to grok.

A loss *has fallen* from the time on which it stays below a level until the end of the run. By
default the level is ``SHARE`` = 2/15 of the loss of predicting nothing (f = 0) on the same samples.
The paper's phase diagram uses 0.1, which is 2/15 of 3/4, its loss of predicting nothing.

A run ends somewhere. A time is ``inf`` where the loss has not fallen within the run ("not within
T"), and NaN only where the loss was not measured. One rule reads a time between two records: log
loss is linear there (the loss itself where either end is not positive and finite).
"""

import math
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
import xarray
from numpy.typing import ArrayLike

from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import finite, one_of, shown

__all__ = [
    "AT_ONCE",
    "DELAYED",
    "GROKS",
    "MEMORISES",
    "PHASES",
    "SHARE",
    "THRESHOLD",
    "UNFITTED",
    "Outcome",
    "median_delay",
    "outcome",
    "phase_of",
    "settled",
    "settled_at",
    "time_to_grok",
]

SHARE = 2 / 15
# The level of the paper's phase diagram, for figures that repeat it.
THRESHOLD = 0.1
GROKS, MEMORISES = "groks", "memorises"
AT_ONCE, UNFITTED = "generalises at once", "not fitted"
PHASES = (UNFITTED, MEMORISES, GROKS, AT_ONCE)
_TEXT = f"<U{max(map(len, PHASES))}"
# A test loss groks if it takes more than this many times as long to fall as the train loss.
DELAYED = 2.0


def settled_at(times: ArrayLike, values: ArrayLike, level: float, *, above: bool = False) -> float:
    """Return the time from which recorded values stay below the level (or above it).

    ``inf`` where they do not at the last record, NaN where there is none. Records that are NaN were
    not made and are left out.

    >>> settled_at([0, 10, 20, 30], [1.0, 0.01, 0.2, 0.05], 0.1)       # log 2/log 4 of the way
    25.0
    >>> settled_at([0, 10], [1.0, 0.2], 0.1), settled_at([0, 1], [0.0, 0.8], 0.4, above=True)
    (inf, 0.5)
    """
    t, v = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    known = ~np.isnan(v)
    t, v = t[known], v[known]
    if v.size == 0:
        return math.nan
    beyond = np.flatnonzero(~(v > level) if above else ~(v < level))
    if beyond.size == 0:
        return float(t[0])
    i = int(beyond[-1])
    if i == v.size - 1:
        return math.inf
    return float(t[i] + _part(v[i], v[i + 1], level) * (t[i + 1] - t[i]))


def _part(before: float, after: float, level: float) -> float:
    """Return the part of the way from one record to the next at which the level is met."""
    if not (math.isfinite(before) and math.isfinite(after)):
        return 1.0
    if min(before, after, level) > 0:
        logs = [math.log(value) for value in (before, level, after)]
        if max(logs) - min(logs) > 700:  # the quotients are beyond floats
            return (logs[0] - logs[1]) / (logs[0] - logs[2])
        return float(np.log(before / level) / np.log(before / after))
    return float((before - level) / (before - after))


def settled(
    values: xarray.DataArray,
    level: float | xarray.DataArray,
    *,
    above: bool = False,
    time: xarray.DataArray | None = None,
) -> xarray.DataArray:
    """Return ``settled_at`` of many runs at once, over all dimensions but the records'.

    The records' dimension is ``step``, or ``time`` where there is no ``step``; ``time`` gives
    other times of the records. ``level`` may differ from run to run.

    >>> loss = xarray.DataArray([1.0, 0.01, 0.2, 0.05], coords={"step": [0, 10, 20, 30]})
    >>> float(settled(loss, 0.1)), float(settled(loss, 0.02))
    (25.0, inf)
    """
    records = _records(values)
    found = xarray.apply_ufunc(
        lambda t, v, at: settled_at(t, v, at, above=above),
        values[records] if time is None else time,
        values,
        level,
        input_core_dims=[[records], [records], []],
        vectorize=True,
        output_dtypes=[float],  # which nothing tells where there are no runs at all
    )
    return found.transpose(*(name for name in values.dims if name != records), ...)


def _records(values: Any) -> str:
    if not isinstance(values, xarray.DataArray | xarray.Dataset):
        raise ValueError(f"history = {shown(values)}: must be the history of a run or a sweep")
    for name in ("step", "time"):
        if name in values.dims:
            return name
    raise ValueError(f"history has the dimensions {list(values.dims)}: must have step or time")


def phase_of(train_fall: float, test_fall: float) -> str:
    """Return the phase of a run whose losses fall at these times; ``inf`` for not within the run.

    - "not fitted": the train loss has not fallen.
    - "memorises": the train loss has fallen, the test loss has not.
    - "groks": the test loss falls more than ``DELAYED`` times as late as the train loss.
    - "generalises at once": the test loss falls no later than that.

    >>> phase_of(10.0, 15.0), phase_of(10.0, 30.0), phase_of(10.0, math.inf)
    ('generalises at once', 'groks', 'memorises')
    """
    if not math.isfinite(train_fall):
        return UNFITTED
    if not math.isfinite(test_fall):
        return MEMORISES
    return GROKS if test_fall > DELAYED * train_fall else AT_ONCE


@dataclass(frozen=True)
class Outcome:
    """What a run came to: when its losses fell, the delay between them, and its phase.

    ``train_fall`` and ``test_fall``: the times from which the losses stay below their levels,
    ``inf`` where that is not within the run, which ends at ``end``. ``test``: the loss taken as the
    test loss. ``unit``: "step" or "time".

    >>> found = Outcome(train_fall=12.0, test_fall=math.inf, end=100.0)
    >>> found.phase, found.delay, found.at_least
    ('memorises', inf, 88.0)
    >>> print(found)
    memorises: train loss falls at step 12, population loss not within 100 steps
    """

    train_fall: float
    test_fall: float
    end: float
    train_level: float = math.nan
    test_level: float = math.nan
    test: str = "population_loss"
    unit: str = "step"

    @property
    def phase(self) -> str:
        """One of ``PHASES``; see ``phase_of``."""
        return phase_of(self.train_fall, self.test_fall)

    @property
    def groks(self) -> bool:
        """Whether the phase is "groks"."""
        return self.phase == GROKS

    @property
    def delay(self) -> float:
        """From the fall of the train loss to that of the test loss: the time to grok.

        ``inf`` where the test loss has not fallen within the run, NaN where the train loss has not.
        """
        return self.test_fall - self.train_fall if math.isfinite(self.train_fall) else math.nan

    @property
    def at_least(self) -> float:
        """The delay, or what is known of one that did not end within the run."""
        return min(self.delay, self.end - self.train_fall) if self.delay == math.inf else self.delay

    def when(self, side: str) -> str:
        """Return in words when the loss of this side, "train" or "test", falls.

        >>> Outcome(12.0, math.inf, 100.0, unit="time").when("test")
        'not within time 100'
        """
        at = self.train_fall if side == "train" else self.test_fall
        if math.isnan(at):
            return "not measured"
        if math.isinf(at):
            short = f"{self.end:g}"
            return (
                f"not within {short} steps" if self.unit == "step" else f"not within time {short}"
            )
        return f"at {self.unit} {at:.4g}"

    def __str__(self) -> str:
        train, test = self.when("train"), self.when("test")
        falls = ["falls " * when.startswith("at") + when for when in (train, test)]
        phase = self.phase
        if math.isnan(self.test_fall) and math.isfinite(self.train_fall):
            phase = "fitted"  # whether it generalises was not measured
        return f"{phase}: train loss {falls[0]}, {self.test.replace('_', ' ')} {falls[1]}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"

    def scaled(self, factor: float) -> "Outcome":
        """Return the outcome with all times multiplied, for example by the learning rate."""
        times = {name: getattr(self, name) * factor for name in ("train_fall", "test_fall", "end")}
        return replace(self, **times)


@checks_its_arguments
def outcome(
    history: xarray.Dataset,
    *,
    share: float = SHARE,
    threshold: float | None = None,
    test: str | None = None,
) -> Outcome:
    """Return the outcome of one run from its history; the arguments are those of ``time_to_grok``.

    ``test``: the population loss if it was measured, else the test loss.

    >>> run = xarray.Dataset(coords={"step": [0, 10, 20, 30]})
    >>> run["train_loss"] = ("step", [1.0, 0.01, 0.01, 0.01])
    >>> run["test_loss"] = ("step", [1.0, 1.0, 1.0, 0.01])
    >>> print(outcome(run, threshold=0.1))
    groks: train loss falls at step 5, test loss falls at step 25
    """
    test = _test(history) if test is None else test
    times = time_to_grok(history, share=share, threshold=threshold, test=test)
    if times.train.ndim:
        raise ValueError(f"history has runs along {list(times.train.dims)}: must be of one run")
    levels = [_level(history, name, share, threshold) for name in ("train_loss", test)]
    return Outcome(
        float(times.train),
        float(times.test),
        float(times.end),
        *map(float, levels),
        test=test,
        unit=_records(history),
    )


def _test(history: xarray.Dataset) -> str:
    """Return the name of the test loss: that of the population where it was measured."""
    measured = "population_loss" in history and bool(history.population_loss.notnull().any())
    return "population_loss" if measured or "test_loss" not in history else "test_loss"


def _level(history: xarray.Dataset, name: str, share: float, threshold: float | None) -> Any:
    """Return the level below which a loss has fallen."""
    if threshold is not None:
        return threshold
    if f"zero_{name}" not in history:
        raise ValueError(
            f"history has no zero_{name}, the loss of predicting nothing: give threshold"
        )
    return share * history[f"zero_{name}"]


@checks_its_arguments
def time_to_grok(
    history: xarray.Dataset,
    *,
    share: float = SHARE,
    threshold: float | None = None,
    test: str | None = None,
) -> xarray.Dataset:
    """Return when the train and test losses of many runs fall, and the time between.

    ``history``: that of a run or a sweep. A loss falls below ``share`` of the loss of predicting
    nothing, which the history holds as ``zero_train_loss`` and so on, or below ``threshold``.
    ``test`` names the loss taken as the test loss: that of the population where it was measured,
    unless given.

    Variables, over all dimensions but the records': ``train`` and ``test``, the times at which the
    losses fall (``inf``: not within the run); ``delay``, their difference (NaN where the train loss
    does not fall); ``at_least``, the delay, or the end of the run less ``train`` where the test
    loss has not fallen by then; ``phase`` (see ``phase_of``); ``end`` of the run.

    >>> steps = [0, 10, 20, 30]
    >>> runs = xarray.Dataset(coords={"step": steps, "alpha": [1.0, 2.0]})
    >>> runs["train_loss"] = ("step", [1.0, 0.01, 0.01, 0.01])
    >>> runs["population_loss"] = (("alpha", "step"), [[1.0, 1.0, 1.0, 0.01], [1.0, 1.0, 1.0, 1.0]])
    >>> found = time_to_grok(runs, threshold=0.1)
    >>> found.delay.values.tolist(), found.at_least.values.tolist(), found.phase.values.tolist()
    ([20.0, inf], [20.0, 25.0], ['groks', 'memorises'])
    """
    records = _records(history)
    test = _test(history) if test is None else one_of("test", test, map(str, history))
    share = finite("share", share, positive=True)
    threshold = None if threshold is None else finite("threshold", threshold, positive=True)
    train, later = (
        settled(history[name], _level(history, name, share, threshold))
        for name in ("train_loss", test)
    )
    times = xarray.Dataset({"train": train, "test": later})
    fitted = np.isfinite(times.train)
    times["delay"] = (times.test - times.train.where(fitted)).where(fitted)
    shown = test if bool(history[test].notnull().any()) else "train_loss"
    times["end"] = history[records].where(history[shown].notnull()).max(records)
    censored = times.delay == math.inf
    times["at_least"] = times.delay.where(~censored, times.end - times.train)
    times["phase"] = xarray.apply_ufunc(
        phase_of,
        times.train,
        times.test,
        vectorize=True,
        output_dtypes=[f"<U{max(map(len, PHASES))}"],
    )
    for name in ("train", "test", "delay", "at_least", "end"):
        times[name].attrs["units"] = "gradient steps" if records == "step" else "1"
    times.attrs = {"share": share} if threshold is None else {"threshold": threshold}
    return times


def median_delay(times: xarray.Dataset, over: str = "seed") -> xarray.DataArray:
    """Return the median delay over the seeds: ``inf`` where half or more are not within the run.

    It is the true median, since all runs of a cell end at the same step. NaN where the train loss
    did not fall in half of the runs or more.

    >>> times = xarray.Dataset({"delay": ("seed", [5.0, np.inf, 7.0])})
    >>> float(median_delay(times))
    7.0
    """
    axis = times.delay.get_axis_num(over)
    ordered = np.sort(times.delay.values, axis=axis)  # infinite after finite, NaN last
    upper = np.take(ordered, times.delay.shape[axis] // 2, axis=axis)
    return times.delay.isel({over: 0}, drop=True).copy(data=upper)
