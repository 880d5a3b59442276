"""What training did, against what the linearised twin would have done."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn

from lazyrich.simulate.diagnosis.advice import (
    COLLAPSE,
    DECAY,
    OPTIMISER,
    OTHER,
    SLOW_KERNEL,
    advice,
)
from lazyrich.simulate.diagnosis.curve import MOST_STEPS, Given, curve_of, followed
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.laziness import KERNEL_SAMPLES, kernel_if_finite
from lazyrich.simulate.diagnosis.own_run import loaded
from lazyrich.simulate.diagnosis.pilots import EARLY, Pilot
from lazyrich.simulate.diagnosis.printed import printed
from lazyrich.simulate.modules.measures import kernel_alignments, kernel_change
from lazyrich.simulate.modules.trees import call, rows, taken
from lazyrich.simulate.modules.untouched import untouched
from lazyrich.simulate.outcome import (
    AT_ONCE,
    DELAYED,
    GROKS,
    MEMORISES,
    SHARE,
    UNFITTED,
    Outcome,
)
from lazyrich.simulate.run import Run

# The test losses differ by this share of the loss of predicting nothing: the twin was left.
LEFT = 0.1
# Softmax has collapsed where this share of the samples has no gradient left.
_COLLAPSED = 0.5
# A kernel that has changed by more than this has learnt features.
_RICH = 0.3
_ALIGNED_SAMPLES = 200


@dataclass(frozen=True)
class Trained:
    """A run of the network next to its twin.

    ``rate``: the time of gradient flow that passes in a unit of the run; the bare learning rate
    where the optimiser does not follow the flow. ``left``: the time at which the test loss left the
    twin's, ``inf`` for not within the run.
    ``followed``: the time at which the twin was left before the end of the run, ``inf`` for never.
    ``alignment``, ``change``: centred alignment of the kernel before and after, and |K - K0|/|K0|.
    ``cause``: what the delay comes from. ``advice``: what to try.
    """

    run: Run
    rate: float
    outcome: Outcome
    twin: Outcome | None
    left: float
    alignment: tuple[float, float]
    change: float
    norm_ratio: float
    cause: str
    advice: str
    followed: float = math.inf

    def sentences(self) -> list[str]:
        """Return what happened, why, and what to try, in words."""
        o = self.outcome
        what = {
            AT_ONCE: "it generalised at once",
            GROKS: f"it memorised first and generalised {_amount(o.delay, o.unit)} later",
            MEMORISES: (
                "it memorised: the test loss did not fall within "
                f"{_amount(o.at_least, o.unit)} after the train loss"
            ),
            UNFITTED: f"it did not fit the training set within {_amount(o.end, o.unit)}",
        }[o.phase]
        if math.isnan(self.left) and math.isfinite(self.followed):
            left = (
                f"Its test loss was close to that of its lazy twin until {o.unit} "
                f"{printed(self.followed)}; the twin was not followed further: its steps "
                "are short."
            )
        elif math.isnan(self.left):
            left = "It was not compared with its lazy twin, which gradient descent alone follows."
        elif math.isinf(self.left):
            left = "Its test loss stayed close to that of its lazy twin."
        else:
            left = f"Its test loss left that of its lazy twin at {o.unit} {printed(self.left)}."
        found = [f"In training {what}. Why: {self.cause}. {left}"]
        return [*found, f"Try: {self.advice}"] if self.advice else found

    def table(self) -> dict[str, Any]:
        """Return the numbers by name."""
        o, t = self.outcome, self.twin
        delay: Any = o.delay
        if math.isinf(o.delay):
            delay = f"more than {printed(o.at_least)}"
        rows: dict[str, Any] = {
            "phase": o.phase,
            f"train loss falls at {o.unit}": o.train_fall,
            f"test loss falls at {o.unit}": o.test_fall,
            "delay": delay,
            f"test loss left that of the lazy twin at {o.unit}": self.left,
        }
        if t is not None:
            rows[f"lazy twin: train loss falls at {t.unit}"] = t.train_fall
            rows[f"lazy twin: test loss falls at {t.unit}"] = t.test_fall
        return rows | {
            "alignment of the kernel summed over outputs, before": self.alignment[0],
            "alignment of the kernel summed over outputs, after": self.alignment[1],
            "kernel change, |K - K0|/|K0|": self.change,
            "weight norm, end over start": self.norm_ratio,
        }


def compared(
    model: nn.Module,
    expansion: Expansion,
    given: Given,
    run: Run,
    kernels: tuple[Tensor, Tensor] | None,
    pilots: list[Pilot],
    expected: str,
    floor: float = math.nan,
) -> Trained:
    """Compare a run from the model's weights with the twin.

    ``expected``: the phase that is forecast for gradient flow. ``floor``: see ``advice``.
    """
    history, unit = run.history, "step" if "step" in run.history.dims else "time"
    rate = _rate(run, unit)
    at = history[unit].values.astype(float)
    twin, left, cut, o = None, math.nan, math.inf, run.outcome()
    if rate is not None:
        twin_run = curve_of(expansion, given, at * rate, kernels=kernels, most=MOST_STEPS)
        twin = replace(twin_run.outcome().scaled(1 / rate), unit=unit)
        cut = followed(twin_run) / rate
        left = _left(history, twin_run.history, at)
        if math.isinf(left) and math.isfinite(cut):
            left = math.nan
    trained = loaded(model, run)
    alignment, change = _kernels(model, trained, expansion)
    ratio = float(history.weight_norm[-1] / history.weight_norm[0])
    collapsed = _collapsed(trained, expansion, given)
    shown = rate or run.config.get("learning_rate") or 1.0
    acts = given.decay * shown * o.test_fall > EARLY and ratio < 0.9
    kind, cause = _cause(o, twin, acts, change, collapsed, expected, left)
    if o.phase == UNFITTED and floor > SHARE:
        holds = "weight decay holds the train loss up" if given.decay > 0 else "it can't fit"
        cause = f"{holds}, as in its lazy twin (kernel change {change:.2g})"
    if math.isfinite(cut):
        twin = None
        if o.phase == GROKS and kind == OTHER:
            cause = "unknown, as its lazy twin was not followed to its end"
            cause += f" (kernel change {change:.2g})"
    found = advice(o.phase, kind, pilots, floor, given.decay)
    return Trained(run, shown, o, twin, left, alignment, change, ratio, cause, found, cut)


def _rate(run: Run, unit: str) -> float | None:
    """Return what turns records into times of the flow; None for other optimisers than SGD."""
    if unit == "time":
        return 1.0
    named = str(run.config.get("optimiser", ""))
    if not named.startswith("SGD") or run.config.get("schedule"):
        return None
    rate = run.config.get("learning_rate")
    return None if rate is None else rate / (1 - (run.config.get("momentum") or 0.0))


def _left(history: xarray.Dataset, twin: xarray.Dataset, at: np.ndarray) -> float:
    reached = twin.test_loss.values
    gap = np.abs(history.test_loss.values[: len(reached)] - reached)
    apart = gap > LEFT * float(history.zero_test_loss)
    return float(at[np.argmax(apart)]) if apart.any() else math.inf


def _kernels(
    before: nn.Module, after: nn.Module, expansion: Expansion
) -> tuple[tuple[float, float], float]:
    data = expansion.data
    some = taken(data.X, slice(0, _ALIGNED_SAMPLES))
    y = data.y[: rows("X", some)]
    if not y.is_floating_point() and y.dim() == 1 and expansion.C > 1:
        y = nn.functional.one_hot(y.long(), expansion.C)
    kernels = [kernel_if_finite(model, some) for model in (before, after)]
    labels = y.reshape(len(y), -1).double()
    found = [
        kernel_alignments(K, labels)["centred_alignment"] if bool(K.isfinite().all()) else math.nan
        for K in kernels
    ]
    few = slice(0, KERNEL_SAMPLES)
    return (found[0], found[1]), kernel_change(kernels[1][few, few], kernels[0][few, few])


def _collapsed(trained: nn.Module, expansion: Expansion, given: Given) -> float:
    """Return the share of training samples whose gradient of the loss is exactly 0, by rounding."""
    if given.square:
        return 0.0
    data = expansion.data
    with torch.no_grad(), untouched(trained):
        f = call(trained, data.X)
    if not isinstance(f, Tensor):
        return 0.0
    f = f.detach().requires_grad_()
    with torch.enable_grad():
        slope = torch.autograd.grad(given.loss(f, data.y), f)[0]
    return float((slope.reshape(len(f), -1) == 0).all(1).double().mean())


def _cause(
    o: Outcome,
    twin: Outcome | None,
    decayed: bool,
    change: float,
    collapsed: float,
    expected: str,
    left: float,
) -> tuple[str, str]:
    """Return the kind of cause and the cause in words.

    ``decayed``: weight decay had acted, and shrunk the weights, when the test loss fell.
    ``expected``: the phase forecast for gradient flow. ``left``: when the twin was left.
    """
    moved = f"kernel change {change:.2g}"
    if o.phase == MEMORISES and collapsed > _COLLAPSED:
        return COLLAPSE, (
            f"softmax collapse: {collapsed:.0%} of the training samples have a gradient of exactly "
            "0 by rounding, so nothing more is learnt from them"
        )
    if o.phase == GROKS and twin is not None and twin.test_fall <= DELAYED * o.test_fall:
        return (
            SLOW_KERNEL,
            "its lazy twin is late too: the labels lie in slow directions of the kernel",
        )
    if o.phase == GROKS and decayed:
        return DECAY, "weight decay shrank the weights until features took over"
    if o.phase in (GROKS, MEMORISES) and twin is None and expected == AT_ONCE:
        return OPTIMISER, (
            "the optimiser: gradient flow from the same weights is forecast to generalise at once"
        )
    if o.phase == GROKS and twin is None:
        return OTHER, f"unknown, as training is not plain gradient descent ({moved})"
    if o.phase == UNFITTED:
        return OTHER, f"training was too short or too slow ({moved})"
    if o.phase == AT_ONCE:
        return OTHER, _of_both_sets(twin, change > _RICH, moved)
    lazily = not left < o.train_fall
    if o.phase == GROKS and lazily:
        return OTHER, f"lazy training fitted the training set first; features came later ({moved})"
    if o.phase == GROKS:
        what = "features that fit the training set came first, those that generalise later"
        return OTHER, f"{what} ({moved})"
    if lazily and change < _RICH:
        return OTHER, f"lazy training, which learns no features, fitted the training set ({moved})"
    return OTHER, f"the features that it learnt fit the training set only ({moved})"


def _of_both_sets(twin: Outcome | None, rich: bool, moved: str) -> str:
    """Return why both sets were fitted at once."""
    if twin is not None and twin.phase == AT_ONCE:
        return f"the kernel at the start suffices: its lazy twin generalises at once too ({moved})"
    if twin is not None:
        return f"features that fit both sets, which its lazy twin lacks ({moved})"
    return f"features that fit both sets ({moved})" if rich else "the kernel at the start suffices"


def _amount(value: float, unit: str) -> str:
    return f"{printed(value)} steps" if unit == "step" else f"a time of {printed(value)}"
