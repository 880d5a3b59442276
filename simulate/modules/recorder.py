"""What is recorded of a module as it is trained."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn

import lazyrich
from lazyrich.simulate.labels import note
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.frozen import differ
from lazyrich.simulate.modules.losses import Loss, number_given, unchanging
from lazyrich.simulate.modules.measures import parameter_change, trained_weights, weight_norm
from lazyrich.simulate.modules.outputs import check_kind, kind_of
from lazyrich.simulate.modules.trees import call, innermost, mapped, rows
from lazyrich.simulate.modules.untouched import untouched
from lazyrich.simulate.run import Run

_DESCRIPTIONS = {
    "train_loss": "loss over the training set, of the predictor trained",
    "test_loss": "loss over the test set, of the predictor trained; NaN without a test set",
    "weight_norm": "|w|, all trained parameters together",
    "parameter_change": "|w - w0|/|w0|; NaN where w0 = 0",
    "zero_train_loss": "loss of predicting nothing, f = 0, on the training set",
    "zero_test_loss": "loss of predicting nothing, f = 0, on the test set",
}


class Recorder:
    """Measures a module as it stands, and joins what it measured into the history of its run.

    ``coordinate`` is "step" or "time"; ``loss`` and ``metrics`` are functions of outputs and
    labels, ``measures`` of the module. ``start``: its weights w0 before training.
    Raises ``ValueError`` where two records would have one name.
    """

    def __init__(
        self,
        coordinate: str,
        model: nn.Module,
        data: Data,
        loss: Loss,
        metrics: Mapping[str, Loss],
        measures: Mapping[str, Callable[[nn.Module], float]],
        start: Mapping[str, Tensor],
    ) -> None:
        self._coordinate, self._model, self._data = coordinate, model, data
        self._metrics, self._measures = {"loss": loss, **metrics}, measures
        self._start, self._kind = start, ""  # the kind of the first output
        self.rows: list[dict[str, int | float]] = []
        recorded = {coordinate, "train_loss", "test_loss", "weight_norm", "parameter_change"}
        of_outputs = [f"{side}_{name}" for name in metrics for side in ("train", "test")]
        for name in [*of_outputs, *measures]:
            if name in recorded:
                raise ValueError(f"{name} is the name of two records: must be of one")
            recorded.add(name)

    def has(self, at: int | float) -> bool:
        """Return whether this has been recorded, as by a run that this one resumes."""
        return bool(self.rows) and self.rows[-1][self._coordinate] >= at

    def add(self, at: int | float) -> float:
        """Record the module as of this step or time, and return its training loss."""
        data = self._data
        row: dict[str, int | float] = {self._coordinate: at}
        sides = {"train": (data.X, data.y), "test": (data.X_test, data.y_test)}
        with torch.no_grad(), untouched(self._model):
            for side, (X, y) in sides.items():
                n = rows("X", X)
                f = call(self._model, X) if n else None
                for name, function in self._metrics.items():
                    row[f"{side}_{name}"] = self._of(name, function, f, y, n) if n else math.nan
        row["weight_norm"] = weight_norm(self._model)
        row["parameter_change"] = parameter_change(self._model, self._start)
        row |= self._measured()
        self.rows.append(row)
        return row["train_loss"]

    def _of(self, name: str, function: Loss, f: Any, y: Any, n: int) -> float:
        """Return what a function of outputs and labels gives; the first time, that it is one."""
        self._kind = self._kind or kind_of(f, n)
        try:
            value = function(f, y) if self.rows else unchanging(name, function, f, y)
        except Exception:
            check_kind(self._kind, f, n)
            raise
        return number_given(name, value)

    def _measured(self) -> dict[str, float]:
        """Return what the measures give. Raises ``ValueError`` where one changes the weights."""
        found, kept = {}, [(p, p.detach().clone()) for p in self._model.parameters()]
        for name, measure in self._measures.items():
            with untouched(self._model):
                found[name] = number_given(name, measure(self._model))
            changed = [(p, value) for p, value in kept if differ(p.detach(), value, 0)]
            if changed:
                with torch.no_grad():
                    for parameter, value in changed:
                        parameter.data = value
                raise ValueError(
                    f"{name} changes the weights of the model: must leave them as they are"
                )
        return found

    def history(self, dtype: type, units: str) -> xarray.Dataset:
        """Return everything recorded, over the coordinate in this type and these units."""
        at = np.array([row[self._coordinate] for row in self.rows], dtype=dtype)
        history = xarray.Dataset(
            coords={self._coordinate: (self._coordinate, at, {"units": units})}
        )
        for name in self.rows[0]:
            if name != self._coordinate:
                values = np.array([row[name] for row in self.rows])
                label = note(name, _DESCRIPTIONS.get(name, "as measured by the caller"))
                history[name] = (self._coordinate, values, label)
        for name, value in self.zero().items():
            history[name] = ((), value, note(name, _DESCRIPTIONS[name]))
        history.attrs = {"lazyrich": lazyrich.__version__}
        return history

    def zero(self) -> dict[str, float]:
        """Return the losses of predicting nothing; NaN where the loss takes no such outputs."""
        found, data, loss = {}, self._data, self._metrics["loss"]
        sides = {"train": (data.X, data.y), "test": (data.X_test, data.y_test)}
        with torch.no_grad(), untouched(self._model):
            for side, (X, y) in sides.items():
                value = math.nan
                if rows("X", X):
                    f = mapped(torch.zeros_like, call(self._model, X))
                    with suppress(RuntimeError, ValueError):
                        value = float(loss(f, y))
                found[f"zero_{side}_loss"] = value
        return found

    def run(self, history: xarray.Dataset, config: dict[str, Any]) -> Run:
        """Return the run of the module as it is now, with what describes any of them added."""
        model, sizes = self._model, (rows("X", self._data.X), rows("X", self._data.X_test))
        given = {"P": sizes[0], "n_test": sizes[1], "model": type(innermost(model)).__name__}
        if isinstance(alpha := getattr(model, "alpha", None), float):
            given["alpha"] = alpha
        weights = sum(value.numel() for value in self._start.values())
        given |= {"weights": weights, "loss": _named(self._metrics["loss"]), **config}
        given |= {"lazyrich": lazyrich.__version__, "torch": str(torch.__version__)}
        return Run(history, trained_weights(model), given)


def _named(loss: Loss) -> str:
    return getattr(loss, "__name__", type(loss).__name__)
