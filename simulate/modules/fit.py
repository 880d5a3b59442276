"""``fit``: the one training loop for any torch module."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn

from lazyrich.simulate.arrays import natural
from lazyrich.simulate.modules.batches import Batches
from lazyrich.simulate.modules.checkpoint import Checkpoint, identity
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.frozen import checked_model
from lazyrich.simulate.modules.measures import trained_weights
from lazyrich.simulate.modules.recorder import Loss, Recorder
from lazyrich.simulate.modules.sharpness import stable_rate
from lazyrich.simulate.record import checked_grid
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.stability import CHECK_EVERY, DivergenceError, has_diverged
from lazyrich.support.arguments import positive_integer

Optimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


FitDivergenceError = DivergenceError  # its name before every trainer raised the same


@checks_its_arguments
def fit(
    model: nn.Module,
    data: Data,
    *,
    loss: Loss,
    optimiser: Optimiser,
    steps: int,
    record: Iterable[int] | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    schedule: Callable[[int], float] | None = None,
    metrics: Mapping[str, Loss] | None = None,
    measures: Mapping[str, Callable[[nn.Module], float]] | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_seconds: float = 30.0,
    progress: Callable[[int, int], Any] | None = None,
) -> xarray.Dataset:
    """Train the module in place and return its history over ``step``, an ``xarray.Dataset``.

    - ``loss(f, y)`` is the mean loss of outputs and labels, ``optimiser(parameters)`` returns the
      ``torch.optim.Optimizer`` of the parameters that require a gradient.
    - ``batch_size``: None for the full batch; else mini-batches, every sample once an epoch in an
      order that ``seed`` gives, the last of an epoch smaller if need be. A step is one update.
    - ``schedule(step)`` multiplies the learning rate of the update after ``step`` others.
    - ``record``: the steps to record, 0 being before the first update; a log-spaced grid if None.
    - Recorded are ``train_loss``, ``test_loss`` (over the whole sets), ``weight_norm`` |w| and
      ``parameter_change`` |w - w0|/|w0| (w0 at step 0); for each of ``metrics``, a function of
      outputs and labels as the loss is, ``train_NAME`` and ``test_NAME``; and for each of
      ``measures``, a function of the model, ``NAME``.
    - ``checkpoint``: a file in which the run is kept, written about every ``checkpoint_seconds``
      and at the end, whole or not at all. If it is there, training goes on from it, and ends with
      the same bits as if it had not been interrupted. The call must be the same: a checkpoint of
      other data, initial weights, optimiser or steps raises ``ValueError``. (What ``loss``,
      ``metrics``, ``measures`` and ``schedule`` compute can't be compared, only their names.)
    - ``progress`` is called now and then with (steps done, steps).

    The same call gives the same bits on the same machine, with the same number of threads; on a
    GPU only where torch's operations there are deterministic.

    Raises ``ValueError`` for bad input, and ``DivergenceError`` when the loss grows without
    bound or is no number.

    >>> torch.manual_seed(0)                                           # doctest: +ELLIPSIS
    <torch._C.Generator object at ...>
    >>> X = torch.randn(20, 3)
    >>> data = Data(X, X.sum(1, keepdim=True), X, X.sum(1, keepdim=True))
    >>> history = fit(nn.Linear(3, 1), data, loss=nn.functional.mse_loss, steps=100,
    ...               optimiser=lambda weights: torch.optim.SGD(weights, lr=0.1))
    >>> bool(history.test_loss[-1] < 1e-4 * history.test_loss[0])
    True
    """
    if not isinstance(data, Data):
        raise ValueError(f"data is {type(data).__name__}: must be simulate.Data")
    steps = positive_integer("steps", steps)
    grid = checked_grid(record, steps)
    batches = Batches(len(data.X), batch_size, natural("seed", seed))
    metrics, measures = dict(metrics or {}), dict(measures or {})
    trainer = Trainer(checked_model(model), data, loss, optimiser, batches, schedule)
    recorder = Recorder("step", trainer.model, data, loss, metrics, measures, trainer.start)
    kept = None
    if checkpoint is not None:
        names = (*metrics, "|", *measures)
        call = [steps, grid, names, batches.key, trainer.settings]
        kept = Checkpoint(Path(checkpoint), identity(call, trainer.tensors()))
        state = kept.load(data.X.device)
        if state is not None:
            recorder.rows = state.pop("rows")
            trainer.restore(state)
    marks = sorted({*grid, steps})
    for mark in marks:
        if mark < trainer.done:
            continue
        while trainer.done < mark:
            trainer.step()
            if trainer.done % CHECK_EVERY == 0 and progress is not None:
                progress(trainer.done, steps)
            if kept is not None and trainer.done < mark and kept.is_older_than(checkpoint_seconds):
                kept.save({**trainer.state(), "rows": recorder.rows})
        if mark not in grid:  # the end, not recorded: it may have diverged all the same
            trainer.check(trainer.train_loss())
        elif not recorder.has(mark):
            trainer.check(recorder.add(mark))
    if kept is not None:
        kept.save({**trainer.state(), "rows": recorder.rows})
    if progress is not None:
        progress(steps, steps)
    history = recorder.history(np.int64, units="gradient steps")
    return history.assign_attrs(steps=steps, optimiser=trainer.settings[-1])


class Trainer:
    """The state of a run, one update a ``step``. Raises ``DivergenceError``."""

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        loss: Loss,
        optimiser: Optimiser,
        batches: Batches,
        schedule: Callable[[int], float] | None,
    ) -> None:
        self.model, self.data, self.loss = model, data, loss
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = optimiser(self.weights)
        self._batches, self._schedule = batches, schedule
        self._rates = [group["lr"] for group in self.optimiser.param_groups]
        self.settings = [str(model), " ".join(str(self.optimiser).split())]
        self.start = trained_weights(model)
        self.done = 0
        self.scale = self.train_loss() or 1.0  # a loss that starts at 0 has no scale of its own
        if not math.isfinite(self.scale):
            raise ValueError(f"the loss is {self.scale} at the initial weights: must be finite")

    def step(self) -> None:
        """Make one update."""
        indices = self._batches.at(self.done)
        X, y = self.data.X, self.data.y
        if indices is not None:
            indices = indices.to(X.device)
            X, y = X[indices], y[indices]
        if self._schedule is not None:
            factor = self._schedule(self.done)
            for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(self.model(X), y)
        loss.backward()
        self.optimiser.step()
        self.done += 1
        if self.done % CHECK_EVERY == 0:
            self.check(loss.item())

    def tensors(self) -> list[Tensor]:
        """Return everything that the run begins from: the module's state and the data."""
        states = [v for v in self.model.state_dict().values() if isinstance(v, Tensor)]
        return [*states, self.data.X, self.data.y, self.data.X_test, self.data.y_test]

    def state(self) -> dict[str, Any]:
        """Return what ``restore`` needs to go on from here."""
        return {
            "step": self.done,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from this state."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.done = state["step"]

    def train_loss(self) -> float:
        """Return the loss over the whole training set."""
        with torch.no_grad():
            return float(self.loss(self.model(self.data.X), self.data.y))

    def check(self, loss: float) -> None:
        """Raise ``DivergenceError`` where a training loss says that the run has diverged."""
        if has_diverged(loss, self.scale):
            raise DivergenceError(self.done, self._rate(), self._stable_rate())

    def _rate(self) -> float | None:
        """Return the learning rate before any schedule, where all parameters have the same."""
        return float(self._rates[0]) if len(set(self._rates)) == 1 else None

    def _stable_rate(self) -> float | None:
        if not isinstance(self.optimiser, torch.optim.SGD):
            return None
        options = self.optimiser.param_groups[0]
        return stable_rate(
            self.model,
            self.data,
            self.loss,
            weights=self.start,
            momentum=options["momentum"],
            weight_decay=options["weight_decay"],
        )
