"""What training did, against what the linearised twin would have done."""

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn

from lazyrich.simulate.diagnosis.curve import Given, curve_of
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.laziness import KERNEL_SAMPLES
from lazyrich.simulate.diagnosis.pilots import Pilot
from lazyrich.simulate.modules.measures import kernel_alignments, kernel_change
from lazyrich.simulate.modules.ntk import ntk
from lazyrich.simulate.modules.trees import rows, taken
from lazyrich.simulate.outcome import GROKS, MEMORISES, Outcome
from lazyrich.simulate.run import Run

# The test losses differ by this share of the loss of predicting nothing: the twin was left.
LEFT = 0.1
# A train loss this small in float32 has no gradient left to speak of under cross entropy.
_COLLAPSED = 1e-6
_ALIGNED_SAMPLES = 200


@dataclass(frozen=True)
class Trained:
    """A run of the network next to its twin.

    ``left``: the time at which the test loss left the twin's, ``inf`` for not within the run.
    ``alignment``, ``change``: centred alignment of the kernel before and after, and |K - K0|/|K0|.
    ``cause``: what the delay comes from. ``advice``: what to try.
    """

    run: Run
    outcome: Outcome
    twin: Outcome | None
    left: float
    alignment: tuple[float, float]
    change: float
    norm_ratio: float
    cause: str
    advice: str

    def sentences(self) -> list[str]:
        """Return what happened and why, in words."""
        o = self.outcome
        delay = f"a delay of {o.delay:.3g}" if math.isfinite(o.delay) else ""
        if o.phase == MEMORISES:
            delay = f"a delay of more than {o.at_least:.3g}"
        what = f"In training it {o.phase}" + (f", with {delay}" if delay else "")
        left = "it never left its lazy twin"
        if math.isfinite(self.left):
            left = f"it left its lazy twin at {o.unit} {self.left:.3g}"
        return [f"{what}: {self.cause}; {left}.", self.advice]

    def table(self) -> dict[str, Any]:
        """Return the numbers by name."""
        o, t = self.outcome, self.twin
        delay: Any = o.delay
        twin = {}
        if t is not None:
            twin[f"twin: train loss falls at {t.unit}"] = t.train_fall
            twin[f"twin: test loss falls at {t.unit}"] = t.test_fall
        if math.isinf(o.delay):
            delay = f"more than {o.at_least:.4g}"
        return {
            f"training: train loss falls at {o.unit}": o.train_fall,
            f"training: test loss falls at {o.unit}": o.test_fall,
            "training: delay": delay,
            f"training: left the twin at {o.unit}": self.left,
            **twin,
            "training: centred alignment before": self.alignment[0],
            "training: centred alignment after": self.alignment[1],
            "training: kernel change, |K - K0|/|K0|": self.change,
            "training: weight norm, end over start": self.norm_ratio,
        }


def compared(
    model: nn.Module,
    expansion: Expansion,
    given: Given,
    run: Run,
    kernels: tuple[Tensor, Tensor] | None,
    pilots: list[Pilot],
) -> Trained:
    """Compare a run from the model's weights with the twin.

    Raises ``ValueError`` for the run of other weights.
    """
    history, unit = run.history, "step" if "step" in run.history.dims else "time"
    _check_start(expansion, run)
    rate = _rate(run, unit)
    at = history[unit].values.astype(float)
    twin, left, o = None, math.nan, run.outcome()
    if rate is not None:
        twin_run = curve_of(expansion, given, at * rate, kernels=kernels)
        twin = replace(twin_run.outcome().scaled(1 / rate), unit=unit)
        left = _left(history, twin_run.history, at)
    trained = _loaded(model, run)
    alignment, change = _kernels(model, trained, expansion)
    ratio = float(history.weight_norm[-1] / history.weight_norm[0])
    cause = _cause(o, twin, given, run, ratio, change)
    advice = _advice(o, cause, pilots)
    return Trained(run, o, twin, left, alignment, change, ratio, cause, advice)


def _rate(run: Run, unit: str) -> float | None:
    """Return what turns records into times of the flow; None for other optimisers than SGD."""
    if unit == "time":
        return 1.0
    if not str(run.config.get("optimiser", "")).startswith("SGD"):
        return None
    rate = run.config.get("learning_rate")
    return None if rate is None else rate / (1 - (run.config.get("momentum") or 0.0))


def _check_start(expansion: Expansion, run: Run) -> None:
    norm = math.sqrt(expansion.weight_square)
    first = run.history.isel({next(n for n in ("step", "time") if n in run.history.dims): 0})
    started = float(first.parameter_change) == 0
    if started and abs(float(first.weight_norm) / norm - 1) > 1e-5:
        raise ValueError(
            f"run starts at |w| = {float(first.weight_norm):.6g}, the model is at {norm:.6g}: give "
            "the model at its initial weights, a copy made before training"
        )


def _left(history: xarray.Dataset, twin: xarray.Dataset, at: np.ndarray) -> float:
    gap = np.abs(history.test_loss.values - twin.test_loss.values)
    apart = gap > LEFT * float(history.zero_test_loss)
    return float(at[np.argmax(apart)]) if apart.any() else math.inf


def _loaded(model: nn.Module, run: Run) -> nn.Module:
    trained = copy.deepcopy(model)
    named = dict(trained.named_parameters())
    with torch.no_grad():
        for name, value in run.state.items():
            named[name].copy_(value)
    return trained


def _kernels(
    before: nn.Module, after: nn.Module, expansion: Expansion
) -> tuple[tuple[float, float], float]:
    data = expansion.data
    some = taken(data.X, slice(0, _ALIGNED_SAMPLES))
    y = data.y[: rows("X", some)]
    if not y.is_floating_point() and y.dim() == 1 and expansion.C > 1:
        y = nn.functional.one_hot(y.long(), expansion.C)
    kernels = [ntk(model, some, outputs="trace").double() for model in (before, after)]
    found = [
        kernel_alignments(K, y.reshape(len(y), -1).double())["centred_alignment"] for K in kernels
    ]
    few = slice(0, KERNEL_SAMPLES)
    return (found[0], found[1]), kernel_change(kernels[1][few, few], kernels[0][few, few])


def _cause(
    o: Outcome, twin: Outcome | None, given: Given, run: Run, ratio: float, change: float
) -> str:
    single = any(v.dtype == torch.float32 for v in run.state.values() if isinstance(v, Tensor))
    last = float(run.history.train_loss[-1])
    collapsed = single and not given.square and last < _COLLAPSED
    if o.phase == MEMORISES and collapsed:
        return "the train loss is at the resolution of float32 (softmax collapse): gradients vanish"
    if twin is not None and twin.phase == GROKS and o.phase == GROKS:
        return "its lazy twin is late too: the labels lie in slow directions of the kernel"
    if o.phase == GROKS and given.decay > 0 and ratio < 0.9:
        return "weight decay shrank the weights until features took over"
    if o.phase == GROKS and twin is None:
        return "the optimiser is not gradient descent, so its twin was not followed"
    if o.phase == GROKS:
        return f"lazy training came first; features (kernel change {change:.2g}) generalise later"
    if o.phase == MEMORISES:
        lazily = "lazy training, whose features do not change" if change < 0.3 else "other features"
        return f"the training set was fitted by {lazily} (kernel change {change:.2g})"
    return "features or kernel fit both sets together" if change > 0.3 else "the kernel suffices"


def _advice(o: Outcome, cause: str, pilots: list[Pilot]) -> str:
    if o.phase not in (GROKS, MEMORISES):
        return "Nothing to mend: the test loss falls with the train loss, or nothing is fitted yet."
    if "softmax" in cause:
        return "Compute the loss in float64, or with a smaller scale of the logits."
    if "slow directions" in cause:
        return "More samples or a kernel better aligned would help; a smaller alpha need not."
    better = [p for p in pilots if math.isfinite(p.outcome.test_fall)]
    if better:
        ratios = [p.outcome.test_fall / max(p.outcome.train_fall, 1e-300) for p in better]
        best = int(np.argmin(ratios))
        return (
            f"Make it richer: at an output scale {1 / better[best].r:.0f} times smaller (and a "
            "learning rate larger by the square of that) the test loss falls "
            f"{ratios[best]:.3g} times as late as the train loss."
        )
    return "Make it richer: try alpha ten times smaller, at a learning rate 100 times larger."
