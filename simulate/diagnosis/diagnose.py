"""``diagnose``: is the network lazy or rich, will it grok, when, and why."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from lazyrich.simulate.diagnosis.answer import Diagnosis
from lazyrich.simulate.diagnosis.curve import MEMORY, Given, curve_of, followed
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.forecast import forecast
from lazyrich.simulate.diagnosis.labels import against_labels
from lazyrich.simulate.diagnosis.laziness import along_the_path, kernel_watch
from lazyrich.simulate.diagnosis.pilots import BUDGET, Pilot, pilots, scales_from, watched
from lazyrich.simulate.diagnosis.reliability import validated
from lazyrich.simulate.diagnosis.scales import check_scales
from lazyrich.simulate.diagnosis.shrinking import power_of_shrinking
from lazyrich.simulate.diagnosis.steps import steps_of
from lazyrich.simulate.diagnosis.trained import compared
from lazyrich.simulate.modules.data import Data, checked_data
from lazyrich.simulate.modules.frozen import copied
from lazyrich.simulate.modules.losses import Loss, check_loss, loss_function
from lazyrich.simulate.modules.trainer import Optimiser
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import finite, not_negative, positive_integer
from lazyrich.support.interruption import Interruption
from lazyrich.support.patience import told

# Error of a step of the twin's flow, where its loss has no closed form.
_RTOL = 1e-4
# Without a time, as long as this many times what the lazy twin takes to fit.
LONG = 100.0
# ... and, with weight decay, as long as this over it: the transition comes at log(alpha)/decay.
DECAYS = 10.0


@checks_its_arguments
def diagnose(
    model: nn.Module,
    data: Data,
    *,
    loss: Loss | str = "mse",
    weight_decay: float | int = 0.0,
    optimiser: Optimiser | None = None,
    time: float | int | None = None,
    with_pilots: bool = True,
    run: Run | None = None,
    train: bool = False,
    budget: int = BUDGET,
    memory: int = MEMORY,
    progress: Callable[[float, float], Any] | None = None,
) -> Diagnosis:
    """Say whether a network is lazy or rich, whether it will grok, when, and why.

    Use it on a network at its initial weights, before training or with the ``run`` of training. The
    model itself is left as it is. Times are learning rate times steps of gradient descent at a
    small rate; momentum makes training 1/(1 - momentum) times as fast.

    - ``data`` needs a test set. ``loss``: as for ``fit``.
    - ``optimiser``: as for ``fit``. The answer then gives times in steps of SGD, and says what the
      forecast is worth with this optimiser. Its weight decay counts.
    - ``time``: how long you mean to train; "never" means not within it. None: 100 times as long as
      the linearised twin takes to fit the training set, and at least 10/weight_decay.
    - ``with_pilots``: train copies with an output 1.4 to 64 times smaller, which is cheap, and
      extrapolate. Each takes at most ``budget`` gradients. Without them only a lazy network without
      weight decay gets a forecast.
    - ``run``: the run of ``fit`` or ``fit_flow`` that started from these weights. It is compared
      with the twin: where it left it, why it was late, what to try. ``train=True`` trains a copy by
      gradient flow first, with any ``optimiser``, for ``time`` or 4 ``budget`` gradients.
    - ``memory``: bytes for kernels; where they need more, the twin is followed by Lanczos iteration
      (loss "mse" only), without the spectrum.
    - ``progress`` is called with (work done, work) now and then.

    The answer prints as sentences and a table, and has ``plot()``, ``html(path)``, ``json()``.
    Raises ``ValueError`` for bad input and for what ``ntk`` refuses. After Ctrl-C in the twin's
    curve, the pilot runs or training, the answer is made from what was finished, warns, and says
    what is missing.

    >>> import torch
    >>> from lazyrich.simulate.modules.mlp import mlp
    >>> X = torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None]
    >>> found = diagnose(mlp((1, 64, 1), nn.Tanh), Data(X[::2], X[::2], X[1::2], X[1::2]))
    >>> found.verdict
    'generalises at once'
    """
    loss, decay = loss_function(loss), not_negative("weight_decay", weight_decay)
    model, data = _whole_precision(model, checked_data(data))
    given = Given(data, loss, decay, rtol=_RTOL)
    horizon = None if time is None else finite("time", time, positive=True)
    budget, memory = positive_integer("budget", budget), positive_integer("memory", memory)
    if run is not None and not isinstance(run, Run):
        raise ValueError(f"run is {type(run).__name__}: must be the Run of fit or fit_flow")
    expansion = Expansion(model, data)
    steps = None if optimiser is None else steps_of(model, data, loss, optimiser)
    if steps is not None:
        if decay and decay != steps.decay:
            raise ValueError(
                f"weight_decay = {decay:g}: the optimiser has {steps.decay:g}; must be one of them"
            )
        decay = steps.decay
        given = replace(given, decay=decay)
    if not expansion.m:
        raise ValueError("data has no test set: must have one, to say what generalises")
    check_loss("train", loss, expansion.f0, expansion.data.y)
    check_loss("test", loss, expansion.f0_test, expansion.data.y_test)
    check_scales(expansion, loss)
    stages = _Stages(told(progress, "the diagnosis"), 4 + with_pilots)
    cost = _estimate(expansion, given, memory, budget, with_pilots, train)
    kernels = expansion.kernels() if cost["kernels made"] else None
    stages.next()
    path: list = []
    stop = Interruption()
    lazy = curve_of(expansion, given, None, "auto", memory, kernels, path, stop)
    _check_labels(lazy)
    kernel = _kernel(expansion, kernels)
    stages.next()
    lazily = lazy.outcome()
    last = float(lazy.history.time[-1])
    fitted = lazily.train_fall if math.isfinite(lazily.train_fall) else last
    laziness = along_the_path(expansion, path, max(fitted, path[0][0]))
    if decay > 0:
        laziness = replace(laziness, power=power_of_shrinking(expansion, path[-1][1]))
    if horizon is None:
        horizon = max(LONG * fitted, DECAYS / decay if decay > 0 else 0.0)
    stages.next()
    runs: list[Pilot] = []
    if with_pilots and not stop.skips("the pilot runs"):
        options = {"decay": decay, "time": horizon, "budget": budget}
        far = laziness.departure
        started = pilots(model, data, loss, departure=far, **options, progress=stages.part)
        with stop.during("pilot runs"):
            for one in started:
                runs.append(one)
        if stop.by is not None:
            stop.missing = [_missing_runs(scales_from(far)[len(runs) :])]
    decided = with_pilots and (stop.by is None or bool(runs))
    found = forecast(
        lazily,
        _floor(lazy),
        laziness,
        runs if decided else None,
        decay=decay,
        horizon=horizon,
        followed=followed(lazy),
    )
    if train and run is None and not stop.skips("training"):
        with stop.during("training"):
            run, _, cost["gradients of training"] = watched(
                copied(model),
                data,
                loss,
                decay=decay,
                time=horizon,
                budget=4 * budget,
                measures={"kernel_change": kernel_watch(expansion)},
                stop=stop,
            )
        if run is not None and len(run.history.time) < 2:  # interrupted before its first step
            run = None
    cost["gradients of pilots"] = sum(pilot.evaluations for pilot in runs)
    trained = None
    if run is not None:
        with stop.during("the comparison of training with the twin"):
            trained = compared(model, expansion, given, run, kernels, runs, found.phase)
    if stop.by is not None:
        warnings.warn(stop.sentence, stacklevel=4)
    stages.finish()
    known = validated(loss)
    return Diagnosis(found, lazy, kernel, laziness, runs, trained, cost, steps, stop, known)


def _whole_precision(model: Any, data: Data) -> tuple[Any, Data]:
    """Return a network in half precision, and its data, in float32: steps of the flow are small."""
    half = (torch.float16, torch.bfloat16)
    if not isinstance(model, nn.Module) or not any(p.dtype in half for p in model.parameters()):
        return model, data
    return copied(model).float(), data.to(torch.float32)


def _missing_runs(scales: list[float]) -> str:
    plural = "s" if len(scales) > 1 else ""
    return f"the pilot run{plural} at {', '.join(f'{r:.3g}' for r in scales)} times the output"


def _check_labels(lazy: Run) -> None:
    for side in ("train", "test"):
        if not float(lazy.history[f"zero_{side}_loss"]) > 0:
            name = "y" if side == "train" else "y_test"
            raise ValueError(
                f"{name} is predicted by f = 0 without any loss: must differ from 0 for a loss to "
                "fall"
            )


def _floor(lazy: Run) -> float:
    """Return the final test loss of the twin, over that of predicting nothing."""
    history = lazy.history
    last = history.get("floor_test_loss", history.test_loss[-1])
    return float(last / history.zero_test_loss)


def _kernel(expansion: Expansion, kernels: Any) -> Any:
    if kernels is None:
        return None
    try:
        residual = expansion.labels() - expansion.f0
    except ValueError:  # class labels
        y = nn.functional.one_hot(expansion.data.y.long(), expansion.C).double()
        residual = y - y.mean(0)
    return against_labels(kernels[0], residual)


def _estimate(
    expansion: Expansion, given: Given, memory: int, budget: int, with_pilots: bool, train: bool
) -> dict[str, Any]:
    """Return what the work will take, before it is done. Raises ``ValueError`` for too much."""
    fits = expansion.kernel_bytes <= memory
    if not fits and not given.square:
        size = expansion.kernel_bytes
        unit, name = next(
            (u, n) for u, n in ((30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "bytes")) if size >> u
        )
        needed = f"{size / 2**unit:.3g} {name}"
        raise ValueError(
            f"memory = {memory}: the kernels take {needed}, and only loss = 'mse' can do without "
            "them; give fewer samples, or more memory"
        )
    gradients = (5 * budget if with_pilots else 0) + (4 * budget if train else 0)
    return {
        "kernel bytes": expansion.kernel_bytes,
        "kernels made": fits,
        "rows of the Jacobian": expansion.size + expansion.size_test,
        "gradients at most": gradients,
    }


class _Stages:
    """Progress over stages of about the same length."""

    def __init__(self, report: Callable[[float, float], Any], count: int) -> None:
        self._report, self._count, self._done = report, count, 0

    def next(self) -> None:
        self._done += 1
        self.part(0, 1)

    def part(self, done: float | int, total: float | int) -> None:
        self._report(min(self._done + done / total, self._count), self._count)

    def finish(self) -> None:
        self._done = self._count
        self.part(0, 1)
