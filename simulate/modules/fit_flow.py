"""``fit_flow``: gradient flow of any torch module, the limit of small learning rates.

dw/dt = -grad L(w) - weight_decay w, on the whole training set, by ``rkc``: where descent takes
t/rate steps, however smooth the solution, it takes about as many evaluations of the gradient as the
square root of that.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from lazyrich.simulate import rkc
from lazyrich.simulate.modules.checkpoint import Checkpoint, identity
from lazyrich.simulate.modules.data import Data, checked_data
from lazyrich.simulate.modules.frozen import (
    called,
    checked_function,
    checked_gradient,
    checked_model,
    in_range_of,
)
from lazyrich.simulate.modules.logits import warn_unless_logits
from lazyrich.simulate.modules.losses import (
    Loss,
    check_test_loss,
    check_value,
    loss_function,
)
from lazyrich.simulate.modules.measures import trained_weights
from lazyrich.simulate.modules.outputs import check_kind, kind_of
from lazyrich.simulate.modules.probes import Whole, check_probes, probes_of
from lazyrich.simulate.modules.recorder import Recorder
from lazyrich.simulate.modules.slopes import NotFiniteError, check_training_slopes
from lazyrich.simulate.modules.trees import call, gradients_of, leaves, rows
from lazyrich.simulate.modules.untouched import untouched
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.stability import TooStiffError
from lazyrich.simulate.times import checked_times
from lazyrich.support.arguments import finite, listed, not_negative, tolerance
from lazyrich.support.files import user_path
from lazyrich.support.patience import told
from lazyrich.support.user_code import functions_of_the_user

# Beyond it even a stabilised integrator takes days.
LONGEST = 1e12
# Keeps 0/0 out of relative errors.
TINY = 1e-300


@checks_its_arguments
def fit_flow(
    model: nn.Module,
    data: Data,
    *,
    loss: Loss | str,
    time: int | float,
    weight_decay: int | float = 0.0,
    record: Iterable[float] | None = None,
    rtol: float = 1e-3,
    metrics: Mapping[str, Loss] | None = None,
    measures: Mapping[str, Callable[[nn.Module], float]] | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_seconds: float = 30.0,
    progress: Callable[[float, float], Any] | None = None,
) -> Run:
    """Train the module in place by gradient flow, and return the ``Run``, over ``time``.

    The time is learning rate times steps: full-batch descent at a small rate, with
    ``torch.optim.SGD``'s ``weight_decay`` (that of (weight_decay/2) |w|^2), is first order in its
    rate away.

    - ``loss``, ``metrics``, ``measures`` and what is recorded: as for ``fit``, and ``evaluations``
      of the gradient so far.
    - ``record``: increasing times in [0, time]; if None, 60 spaced evenly in their logarithm and
      60 spaced evenly.
    - ``rtol`` bounds the estimated error of each step: of the training loss to first order, and of
      the weights' norm, relative to these. Errors of steps add up, or decay as the flow does.
      The step is of third order where the gradient has two derivatives; at the kinks of a ReLU
      it is of first, and short steps keep the error down.
    - ``checkpoint``, ``checkpoint_seconds``, ``progress``: as for ``fit``, progress in time.
      A checkpoint of another ``time`` raises ``ValueError``: the last steps depend on it.

    Where the gradient is nothing but rounding, the flow rests there to the end.

    Raises ``ValueError`` for bad input, and two that are also: ``rkc.StepSizeError`` where the flow
    blows up, and ``TooStiffError`` where it would take too long.

    >>> X = torch.tensor([[1.0], [2.0]]).double()
    >>> model = nn.Linear(1, 1, bias=False).double()
    >>> _ = nn.init.ones_(model.weight)                                # L = 5 w^2/2
    >>> data = Data(X, 0 * X, X, 0 * X)
    >>> run = fit_flow(model, data, loss=nn.functional.mse_loss, time=1.0, weight_decay=1.0)
    >>> bool(abs(model.weight - math.exp(-6)) < 1e-3 * math.exp(-6))
    True
    """
    checked_data(data)
    loss = loss_function(loss)
    time, rtol = finite("time", time, positive=True), tolerance("rtol", rtol)
    if time > LONGEST:
        raise ValueError(f"time = {time:g}: must be at most {LONGEST:g}, or it takes days")
    decay = in_range_of(checked_model(model).parameters(), "weight_decay", weight_decay)
    seconds = not_negative("checkpoint_seconds", checkpoint_seconds)
    kept = None if checkpoint is None else Checkpoint(user_path(checkpoint, "checkpoint"))
    data = data.fitted(model)
    checked_function(model, data.X)
    checked_gradient(model, data.X)
    warn_unless_logits(loss, model, data.X, data.y)
    flow, progress = Flow(model, data, loss, decay, rtol), told(progress, "fit_flow")
    given = None if record is None else listed("record", record, "times")
    metrics = functions_of_the_user("metrics", metrics)
    measures = functions_of_the_user("measures", measures)
    counted = {"evaluations": lambda _: flow.evaluations, **measures}
    recorder = Recorder("time", model, data, loss, metrics, counted, trained_weights(model))
    state, probes = None, dict[str, Any]()
    if kept is not None:
        call_ = [decay, rtol, given, (*metrics, "|", *measures), str(model), flow.scale]
        tensors = [v for v in model.state_dict().values() if isinstance(v, Tensor)]
        samples = [leaf for side in data.sides() for leaf in leaves(side)]
        state = kept.load(identity(call_, [*tensors, *samples]), samples[0].device)
        probes = probes_of(Whole(model, loss, data), data, {"loss": loss, **metrics})
    if kept is not None and state is not None:
        check_probes(kept, state, probes, flow.weights.dtype)
        if (until := state.pop("until")) != time:
            kept.refuse(f"its time is {until:g}, not {time:g}")
        recorder.rows = state.pop("rows")
        flow.restore(state)
    times = iter(checked_times(given, time, flow.fastest).tolist())
    pending = next((t for t in times if not recorder.has(t)), None)
    if pending == 0.0:
        recorder.add(0.0)
        pending = next(times, None)
    for step in flow.steps(time):
        while pending is not None and pending <= step.end:
            flow.put(step.at(pending))
            recorder.add(pending)
            pending = next(times, None)
        if kept is not None and step.end < time and kept.is_older_than(seconds):
            kept.save({**flow.state(), **probes, "rows": recorder.rows, "until": time})
        progress(step.end, time)
    flow.put(flow.weights)
    if kept is not None:
        kept.save({**flow.state(), **probes, "rows": recorder.rows, "until": time})
    history = recorder.history(float, units="learning rate x steps")
    history = history.assign_attrs(weight_decay=decay, rtol=rtol)
    config = {"trainer": "fit_flow", "time": time, "weight_decay": decay, "rtol": rtol}
    return recorder.run(history, config)


class Flow:
    """The state of an integration: weights, time, and what the integrator knows of both."""

    def __init__(self, model: nn.Module, data: Data, loss: Loss, decay: float, rtol: float) -> None:
        self._model, self._data, self._loss = model, data, loss
        self._decay, self._rtol = decay, rtol
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        if len({(p.dtype, p.device) for p in self._parameters}) > 1:
            raise ValueError("model has parameters of several types: must be of one, on one device")
        self.weights = parameters_to_vector(self._parameters).detach().clone()
        self.time, self.evaluations = 0.0, 0
        self._radius, self._control = rkc.SpectralRadius(self.slope), rkc.StepControl()
        self._stall = rkc.Stall()
        with torch.no_grad(), untouched(model):
            f = called(model, data.X)
            check_value(loss, f, data.y)
        self._kind = kind_of(f, rows("X", data.X))
        slope = self.slope(self.weights)
        self.scale = self._last_loss
        if not math.isfinite(self._last_loss):
            raise ValueError(
                f"the loss is {self._last_loss} at the initial weights: must be finite"
            )
        if not bool(slope.isfinite().all()):
            check_training_slopes(model, data, loss)
            raise NotFiniteError("the gradient of the loss is not finite at the initial weights")
        check_test_loss(model, loss, data.X_test, data.y_test)
        self.fastest = 1 / max(self._radius(self.weights, slope, False), TINY)
        self.put(self.weights)  # from where the radius was felt for

    @property
    def loss(self) -> float:
        """Return the loss where the slope was last taken."""
        return self._last_loss

    def put(self, weights: Tensor) -> None:
        """Give the module these weights."""
        vector_to_parameters(weights.clone(), self._parameters)

    def slope(self, weights: Tensor) -> Tensor:
        """Return dw/dt, and keep the loss and its gradient for the error of the step."""
        self.evaluations += 1
        vector_to_parameters(weights, self._parameters)
        with torch.enable_grad():
            f = call(self._model, self._data.X)
            try:
                loss = self._loss(f, self._data.y)
            except Exception:
                check_kind(self._kind, f, rows("X", self._data.X))
                raise
        parts = gradients_of(loss, self._parameters, materialize_grads=True)
        self._last_gradient = torch.cat([part.flatten() for part in parts])
        self._last_loss, self._last_weights = float(loss.detach()), weights
        return torch.add(self._last_gradient, weights, alpha=self._decay).neg_()

    def _error(self, estimate: Tensor, step: rkc.Step) -> float:
        """Return the size of the error, of which 1 is rtol; the last slope is at ``step.after``."""
        loss = abs(float(self._last_gradient @ estimate)) / (abs(self._last_loss) + TINY)
        norm = max(float(step.before.norm()), float(step.after.norm()))
        return max(loss, float(estimate.norm()) / (norm + TINY)) / self._rtol

    def steps(self, end: float) -> Iterator[rkc.Step]:
        """Integrate up to ``end``, yielding every step when its end has become the state."""
        found = rkc.steps(
            self.slope,
            self.weights,
            end,
            self._error,
            radius=self._radius,
            control=self._control,
            begin=self.time,
            rest=self._rests,
        )
        try:
            for step in found:
                self.weights, self.time = step.after, step.end
                yield step
        except rkc.EndlessError as error:
            raise TooStiffError(
                f"time = {end:g}: the flow is {error}: take a shorter one"
            ) from None

    def _rests(self, slope: Tensor, radius: float) -> bool:
        """Return whether the slope is nothing but rounding.

        It is where it no longer falls, and rounding the weights changes it by as much.
        """
        eps, size = torch.finfo(slope.dtype).eps, float(slope.norm())
        return self._stall(size) and size <= eps * radius * float(self._last_weights.norm())

    def state(self) -> dict[str, Any]:
        """Return what ``restore`` needs to go on from here."""
        radius = {k: v for k, v in vars(self._radius).items() if k != "_rhs"}
        return {
            "time": self.time,
            "weights": self.weights,
            "evaluations": self.evaluations,
            "radius": radius,
            "control": vars(self._control),
            "stall": vars(self._stall),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from this state."""
        self.time, self.weights = state["time"], state["weights"]
        self.evaluations = state["evaluations"] - 1  # the last one is made again
        vars(self._radius).update(state["radius"])
        vars(self._control).update(state["control"])
        vars(self._stall).update(state["stall"])
