"""Cheap runs at smaller output scales, and what they say of the scale asked for.

A network whose output is r times as large trains 1/r^2 times as slowly at the same learning rate,
and less lazily. So small r are cheap where the network asked for would take long. In the scaled
time r^2 t all of them fit at about the same time; their weight decay is r^2 times as large, so that
it acts at the same scaled time too, and one that is too small to matter changes nothing.
``extrapolation`` goes on from them to r = 1.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import xarray
from torch import nn

from lazyrich.simulate import rkc
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.fit_flow import TINY, Flow
from lazyrich.simulate.modules.frozen import copied
from lazyrich.simulate.modules.losses import Loss
from lazyrich.simulate.modules.measures import trained_weights
from lazyrich.simulate.modules.recorder import Recorder
from lazyrich.simulate.modules.scaled import Scaled
from lazyrich.simulate.outcome import SHARE, Outcome
from lazyrich.simulate.run import Run
from lazyrich.support.interruption import Interruption

# Evaluations of the gradient that a run may take.
BUDGET = 1500
# A train loss below this share of that of predicting nothing moves nothing any more.
FLAT = 1e-7
# How much longer than its fall a test loss is watched.
_WATCHED = 1.5
RTOL = 1e-2
# Where the loss has kinks: a step lowers the loss by this part of it; every few are recorded.
_PART, _EVERY = 0.1, 5
# Why a run ended, in words.
ENDS = {
    "flat": "ended as the train loss was practically 0",
    "end": "ended at the longest time that runs are followed to",
    "budget": "ended as its budget of gradients was spent",
    "fell": "ended as both losses had fallen",
}
# Weight decay has not acted before this time, times the decay.
EARLY = 0.1
# The largest scale of a pilot run: the network asked for is not run.
LARGEST = 0.5**0.5


@dataclass(frozen=True)
class Pilot:
    """One run at the scale ``r``: its outcome in time, and why it ended.

    ``ended``: one of ``ENDS``; "fell" only for runs that are not taken to their end. ``kinks``:
    whether the loss has kinks, as l1: it is then of the size of the errors, not of their squares.
    """

    r: float
    run: Run
    ended: str
    evaluations: int
    kinks: bool = False

    @cached_property  # asked for hundreds of times
    def outcome(self) -> Outcome:
        """Return when the losses fell."""
        return self.run.outcome()

    def share(self, side: str) -> float:
        """Return the last train or test loss, over that of predicting nothing."""
        history = self.run.history
        return float(history[f"{side}_loss"][-1] / history[f"zero_{side}_loss"])

    @property
    def early(self) -> "Pilot":
        """Return the part of the run before weight decay acted: all of it without decay."""
        decay, history = self.run.config["weight_decay"], self.run.history
        kept = history.time * decay <= EARLY
        if bool(kept.all()):
            return self
        run = Run(history.isel(time=kept.values), self.run.state, self.run.config)
        return replace(self, run=run, ended="end")


def rescaled(model: nn.Module, r: float) -> nn.Module:
    """Return a copy of the predictor with an output r times as large.

    >>> rescaled(Scaled(nn.Linear(1, 1), 8.0), 0.5).alpha
    4.0
    """
    if isinstance(model, Scaled):
        found = copied(model)
        found.alpha = model.alpha * r  # pyright: ignore[reportArgumentType]
        return found
    return copied(model) if r == 1 else Scaled(copied(model), r, centred=False)


def watched(
    model: nn.Module,
    data: Data,
    loss: Loss,
    *,
    decay: float,
    time: float,
    budget: int = BUDGET,
    to_the_end: bool = False,
    measures: Mapping[str, Callable[[nn.Module], float]] | None = None,
    progress: Callable[[float, float], object] | None = None,
    stop: Interruption | None = None,
    kinks: bool = False,
) -> tuple[Run, str, int]:
    """Train the model by gradient flow until its losses have fallen, or nothing moves any more.

    Returns the run, why it ended, and how many gradients it took. ``to_the_end``: go on after the
    losses have fallen. ``measures``: as for ``fit``. ``kinks``: the second half of the budget goes
    into short steps of descent, as the integrator of the flow finds no long ones. With ``stop``,
    an interrupted run is returned as far as it has come.
    """
    data = data.fitted(model)
    flow = Flow(model, data, loss, decay, RTOL)
    recorder = Recorder("time", model, data, loss, {}, dict(measures or {}), trained_weights(model))
    recorder.add(0.0)
    zero = recorder.zero()
    ended, fell = "end", math.inf
    try:
        with nullcontext() if stop is None else stop.during("the rest of training"):
            for end in _times(flow, time, budget // 2 if kinks else math.inf):
                flow.put(flow.weights)
                recorder.add(end)
                row = recorder.rows[-1]
                below = row["test_loss"] < SHARE * zero["zero_test_loss"]
                fitted = row["train_loss"] < SHARE * zero["zero_train_loss"]
                fell = min(fell, end) if below and fitted else math.inf
                if end > _WATCHED * fell and not to_the_end:
                    ended = "fell"
                elif decay == 0 and row["train_loss"] < FLAT * zero["zero_train_loss"]:
                    ended = "flat"
                elif flow.evaluations > budget:
                    ended = "budget"
                if progress is not None:
                    progress(min(flow.evaluations, budget), budget)
                if ended != "end":
                    break
    except rkc.StepSizeError:
        ended = "budget"
    flow.put(flow.weights)
    history: xarray.Dataset = recorder.history(float, units="learning rate x steps")
    config = {"trainer": "fit_flow", "time": float(history.time[-1]), "weight_decay": decay}
    return recorder.run(history, config), ended, flow.evaluations


def _times(flow: Flow, end: float, most: float | int) -> Iterator[float]:
    """Integrate the flow, yielding times; after ``most`` gradients by short steps of descent."""
    try:
        for step in flow.steps(end):
            yield step.end
            if flow.evaluations > most:
                break
    except rkc.StepSizeError:
        if math.isinf(most):
            raise
    yield from descent(flow, end)


def descent(flow: Flow, end: float) -> Iterator[float]:
    """Follow the flow by Euler's steps, yielding the time of every few.

    Each is as long as would lower the loss by ``_PART`` of it, were its slope to stay: so steps are
    as short as the loss is small, and outputs that jump to and fro at a kink jump by as little.

    >>> import torch
    >>> X, net = torch.ones(1, 1), nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.ones_(net.weight)                                  # |w| falls as 1 - t
    >>> flow = Flow(net, Data(X, 0 * X, X, 0 * X), nn.functional.l1_loss, 0.0, RTOL)
    >>> times = [time for time in descent(flow, 0.5)]
    >>> times[-1], round(float(flow.weights), 6)
    (0.5, 0.5)
    """
    number = 0
    while flow.time < end:
        slope = flow.slope(flow.weights)
        square = max(float(slope.double().square().sum()), TINY)
        length = _PART * abs(flow.loss) / square
        last = not flow.time + length < end
        flow.weights = flow.weights + (end - flow.time if last else length) * slope
        flow.time = end if last else flow.time + length
        number += 1
        if last or number % _EVERY == 0:
            yield flow.time


def scales_from(departure: float) -> list[float]:
    """Return the scales of the pilot runs of a network with this departure from its twin.

    >>> [round(r, 3) for r in scales_from(0.05)]
    [0.1, 0.2, 0.4, 0.707]
    """
    first = min(max(2 * departure, 1 / 64), 1 / 4)
    return [first * 2**i for i in range(8) if first * 2**i <= 0.5 + 1e-12] + [LARGEST]


def pilots(
    model: nn.Module,
    data: Data,
    loss: Loss,
    *,
    decay: float,
    time: float,
    departure: float,
    budget: int = BUDGET,
    progress: Callable[[float, float], object] | None = None,
    kinks: bool = False,
) -> Iterator[Pilot]:
    """Run the network at scales r from rich to lazy, up to ``LARGEST`` or until one memorises.

    ``departure`` from the twin at r = 1 goes about as 1/r: runs begin where it is about 1/2, at r
    from 1/64 to 1/4. Times are as long as ``time`` at r = 1.
    """
    scales = scales_from(departure)
    for number, r in enumerate(scales):

        def report(done: float | int, total: float | int, number: int = number) -> None:
            if progress is not None:
                progress(number + done / total, len(scales))

        run, ended, used = watched(
            rescaled(model, r),
            data,
            loss,
            decay=decay * r**2,
            time=time / r**2,
            budget=budget,
            to_the_end=True,
            progress=report,
            kinks=kinks,
        )
        one = Pilot(r, run, ended, used, kinks)
        yield one
        fitted = math.isfinite(one.outcome.train_fall)
        memorised = fitted and not math.isfinite(one.outcome.test_fall)
        if memorised and ended != "end" and number > 0:
            return  # a larger scale is lazier still
