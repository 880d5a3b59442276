"""Cheap runs at smaller output scales, and what they say of the scale asked for.

A network whose output is r times as large trains r^2 times as slowly at the same learning rate, and
less lazily. So small r are cheap where the network asked for would take long. Their times, as
functions of r, are extrapolated to r = 1: as a power without weight decay; with it, in log(r), as
the transition of Lyu et al. at about log(alpha)/weight_decay does.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray
from torch import nn

from lazyrich.simulate import rkc
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.fit_flow import Flow
from lazyrich.simulate.modules.losses import Loss
from lazyrich.simulate.modules.measures import trained_weights
from lazyrich.simulate.modules.recorder import Recorder
from lazyrich.simulate.modules.scaled import Scaled
from lazyrich.simulate.outcome import SHARE, Outcome
from lazyrich.simulate.run import Run

# Evaluations of the gradient that a run may take.
BUDGET = 1500
# A train loss below this share of that of predicting nothing moves nothing any more.
FLAT = 1e-7
# How much longer than its fall a test loss is watched.
_WATCHED = 1.5
RTOL = 1e-2


@dataclass(frozen=True)
class Pilot:
    """One run at the scale ``r``: its outcome in time, and why it ended.

    ``ended``: "flat" (nothing moves any more), "end" of the time asked for, or "budget"; other runs
    also "fell" (both losses have).
    """

    r: float
    run: Run
    ended: str
    evaluations: int

    @property
    def outcome(self) -> Outcome:
        """Return when the losses fell."""
        return self.run.outcome()


def rescaled(model: nn.Module, r: float) -> nn.Module:
    """Return a copy of the predictor with an output r times as large.

    >>> rescaled(Scaled(nn.Linear(1, 1), 8.0), 0.5).alpha
    4.0
    """
    if isinstance(model, Scaled):
        found = copy.deepcopy(model)
        found.alpha = model.alpha * r
        return found
    return copy.deepcopy(model) if r == 1 else Scaled(copy.deepcopy(model), r, centred=False)


def watched(
    model: nn.Module,
    data: Data,
    loss: Loss,
    *,
    decay: float,
    time: float,
    budget: int = BUDGET,
    to_the_end: bool = False,
    progress: Callable[[float, float], object] | None = None,
) -> tuple[Run, str, int]:
    """Train the model by gradient flow until its losses have fallen, or nothing moves any more.

    Returns the run, why it ended, and how many gradients it took. ``to_the_end``: go on after the
    losses have fallen.
    """
    data = data.fitted(model)
    flow = Flow(model, data, loss, decay, RTOL)
    recorder = Recorder("time", model, data, loss, {}, {}, trained_weights(model))
    recorder.add(0.0)
    zero = recorder.zero()
    ended, fell = "end", math.inf
    try:
        for step in flow.steps(time):
            flow.put(flow.weights)
            recorder.add(step.end)
            row = recorder.rows[-1]
            below = row["test_loss"] < SHARE * zero["zero_test_loss"]
            fitted = row["train_loss"] < SHARE * zero["zero_train_loss"]
            fell = min(fell, step.end) if below and fitted else math.inf
            if step.end > _WATCHED * fell and not to_the_end:
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
    history: xarray.Dataset = recorder.history(float, units="learning rate x steps")
    config = {"trainer": "fit_flow", "time": float(history.time[-1]), "weight_decay": decay}
    return recorder.run(history, config), ended, flow.evaluations


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
) -> Iterator[Pilot]:
    """Run the network at scales r from rich to lazy, as far as the budget goes, up to 1/2.

    ``departure`` from the twin at r = 1 goes about as 1/r: runs begin where it is about 1/2, at r
    from 1/64 to 1/4. Times are as long as ``time`` at r = 1.
    """
    first = min(max(2 * departure, 1 / 64), 1 / 4)
    scales = [first * 2**i for i in range(8) if first * 2**i <= 0.5 + 1e-12]
    for number, r in enumerate(scales):

        def report(done: float | int, total: float | int, number: int = number) -> None:
            if progress is not None:
                progress(number + done / total, len(scales))

        run, ended, used = watched(
            rescaled(model, r),
            data,
            loss,
            decay=decay,
            time=time / (1.0 if decay > 0 else r**2),
            budget=budget,
            to_the_end=True,
            progress=report,
        )
        one = Pilot(r, run, ended, used)
        yield one
        if not math.isfinite(one.outcome.test_fall) and ended != "end" and number > 0:
            return


@dataclass(frozen=True)
class Extrapolated:
    """A time at r = 1, with the range in which it is expected."""

    value: float
    low: float
    high: float

    @staticmethod
    def never() -> "Extrapolated":
        """Return the time of what does not happen."""
        return Extrapolated(math.inf, math.inf, math.inf)


def extrapolated(runs: list[Pilot], side: str, decay: float) -> Extrapolated:
    """Return when a loss would fall at r = 1, from when it fell in the pilot runs.

    Without weight decay r^2 t is taken as a power of r, between 0 and 4, through the last two; with
    it t as linear in log r. The range is that of the power less and more by 1/2, at least a factor
    1.5 either way. ``inf`` where the loss fell in no run or the last one ended flat.
    """
    known = [(p.r, getattr(p.outcome, f"{side}_fall")) for p in runs]
    finite = [(r, t) for r, t in known if math.isfinite(t) and t > 0]
    if not finite or (runs[-1].ended == "flat" and not math.isfinite(known[-1][1])):
        return Extrapolated.never()
    r, t = (np.array(column) for column in zip(*finite[-2:], strict=True))
    if decay > 0:
        slope = (t[-1] - t[0]) / math.log(r[-1] / r[0]) if len(t) > 1 else 1 / decay
        value = float(t[-1] + max(slope, 0.0) * math.log(1 / r[-1]))
        return Extrapolated(value, value / 1.5, value * 1.5)
    tau = r**2 * t
    power = 0.0 if len(t) < 2 else math.log(tau[-1] / tau[0]) / math.log(r[-1] / r[0])
    power = min(max(power, 0.0), 4.0)
    far = 1 / float(r[-1])
    value, spread = float(tau[-1]) * far**power, max(1.5, far**0.5)
    return Extrapolated(value, value / spread, value * spread)


def final_share(runs: list[Pilot]) -> float:
    """Return the test loss at r = 1 after all training, over that of predicting nothing.

    From the ends of the last two pilot runs that came to one, as a power of r that does not fall.
    NaN where fewer than two did.
    """
    ends = []
    for pilot in runs:
        history = pilot.run.history
        if pilot.ended in ("flat", "end") and math.isfinite(pilot.outcome.train_fall):
            ends.append((pilot.r, float(history.test_loss[-1] / history.zero_test_loss)))
    if len(ends) < 2:
        return math.nan
    (r, share), (last_r, last) = ends[-2:]
    power = max(math.log(max(last, 1e-300) / max(share, 1e-300)) / math.log(last_r / r), 0.0)
    return last * (1 / last_r) ** power
