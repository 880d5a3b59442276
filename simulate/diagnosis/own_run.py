"""Whether a run that the user gives is one of this network, data and loss."""

import math

import torch
from torch import nn

from lazyrich.simulate.diagnosis.curve import Given
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.modules.frozen import copied
from lazyrich.simulate.modules.measures import weight_norm
from lazyrich.simulate.run import Run

# How far losses of one run may be apart, relative to the larger one, and to predicting nothing.
_APART, _ROUNDING = 1e-2, 1e-4


def check_run(expansion: Expansion, given: Given, run: Run) -> None:
    """Raise ``ValueError`` for a run of other weights, data, loss or decay, or without test set.

    The losses at its start and at its end must be those of the network on these data.
    """
    used, history = run.config.get("weight_decay"), run.history
    if used is not None and used != given.decay:
        raise ValueError(f"weight_decay = {given.decay:g}: must be {used:g}, as in the run")
    if not bool(history.test_loss.notnull().any()):
        raise ValueError(
            "run has no test loss: must be trained with data that have a test set (X_test, y_test)"
        )
    records = next(name for name in ("step", "time") if name in history.dims)
    norm = math.sqrt(expansion.weight_square)
    first, last = (history.isel({records: i}) for i in (0, -1))
    started = float(first.parameter_change) == 0
    if started and abs(float(first.weight_norm) / norm - 1) > 1e-5:
        raise ValueError(
            f"run starts at |w| = {float(first.weight_norm):.6g}, the model is at {norm:.6g}: give "
            "the model at its initial weights, a copy made before training"
        )
    if started:
        _check_loss("starts", expansion, given, float(first.train_loss), expansion.model)
    trained = loaded(expansion.model, run)
    if abs(weight_norm(trained) / float(last.weight_norm) - 1) < 1e-5:
        _check_loss("ends", expansion, given, float(last.train_loss), trained)


def _check_loss(
    when: str, expansion: Expansion, given: Given, seen: float, model: nn.Module
) -> None:
    f, y = expansion.outputs("X", model), expansion.data.y
    if isinstance(y, torch.Tensor) and y.is_floating_point():
        y = y.to(f.dtype)
    found, zero = (float(given.loss(at, y)) for at in (f, 0 * f))
    if abs(found - seen) > _APART * max(found, seen) + _ROUNDING * zero:
        raise ValueError(
            f"run {when} at a train loss of {seen:.4g}, which with these data and this loss is "
            f"{found:.4g} at the same weights: give the data and the loss of the run"
        )


def loaded(model: nn.Module, run: Run) -> nn.Module:
    """Return a copy of the network at the last weights of a run."""
    trained = copied(model)
    named = dict(trained.named_parameters())
    with torch.no_grad():
        for name, value in run.state.items():
            named[name].copy_(value)
    return trained
