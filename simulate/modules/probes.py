"""What one update does, away from the start: it tells runs apart whose outputs begin as the same.

The gradient of the loss at weights that are moved by fixed amounts, and the optimiser's step for a
fixed gradient, both of copies: see ``copies``.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lazyrich.simulate.modules import generators
from lazyrich.simulate.modules.checkpoint import Checkpoint
from lazyrich.simulate.modules.copies import Memo, optimiser_copied
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.losses import Loss, number_given
from lazyrich.simulate.modules.resuming import (
    Sampled,
    Training,
    is_patched,
    slopes_of,
    without_optimiser,
)
from lazyrich.simulate.modules.trees import call, mapped
from lazyrich.simulate.modules.untouched import untouched

# By name: a scale, of which rounding is a part, and of each parameter the norm of a vector and its
# product with a fixed one.
Probe = dict[str, list[list[float]]]
# By name, what functions of outputs and labels give.
Values = dict[str, list[float]]
# The weights move by this part of their root mean square.
_MOVED = 0.1
# Beyond this many units in the last place of the scale, a difference isn't rounding.
_ROUNDING = 100


class Whole:
    """A module, its loss and all samples: what gradient flow is evaluated on."""

    def __init__(self, model: nn.Module, loss: Loss, data: Data) -> None:
        self.model, self.loss = model, loss
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self._sides = data.X, data.y

    def batch(self) -> tuple[Any, Any]:
        """Return inputs and labels."""
        return self._sides


def probes_of(sampled: Sampled, data: Data, functions: Mapping[str, Loss]) -> dict[str, Any]:
    """Return what a checkpoint keeps to tell runs apart: values and one update."""
    values = values_of(sampled.model, data, functions)
    return {"probes": values, "update": update_of(sampled)}


def check_probes(
    file: Checkpoint, state: Mapping[str, Any], found: Mapping[str, Any], dtype: torch.dtype
) -> None:
    """Raise ``ValueError`` where the state in the file is that of another run."""
    if name := other_value(state["probes"], found["probes"]):
        file.refuse(f"{name} gives other values")
    if part := other_part(state["update"], found["update"], dtype):
        file.refuse(f"{part} is another at the same weights")


def values_of(model: nn.Module, data: Data, functions: Mapping[str, Loss]) -> Values:
    """Return values of loss and metrics at two outputs, which tell other functions apart."""
    with torch.no_grad(), untouched(model), generators.fixed():
        f = call(model, data.X)
        moved = mapped(_shifted, f)
        return {
            name: [number_given(name, function(at, data.y)) for at in (f, moved)]
            for name, function in functions.items()
        }


def other_value(kept: Values, found: Values) -> str:
    """Return the name of a function that gives other values, empty for none.

    >>> other_value({"loss": [1.0, 2.0]}, {"loss": [1.0, 2.1]})
    'loss'
    """
    for name, values in kept.items():
        if not np.allclose(values, found[name], rtol=1e-6, atol=0, equal_nan=True):
            return name
    return ""


def update_of(trainer: Sampled) -> Probe:
    """Return what one update does; without what can't be had, as where there is no copy."""
    memo: Memo = {}
    found: Probe = {}
    with untouched(trainer.model), generators.fixed(), torch.enable_grad():
        try:
            twin = without_optimiser(trainer, memo)
        except Exception:  # what a module holds may raise any
            twin, memo = trainer, {}
        before = [weight.detach().clone() for weight in trainer.weights]
        try:
            _move(twin.weights)
            found |= _gradient(twin)
            if memo and isinstance(twin, Training) and not is_patched(twin.optimiser):
                found["the optimiser's step"] = _step(twin, memo)
        except Exception:  # the run itself says why
            return found
        finally:
            with torch.no_grad():
                for weight, value in zip(trainer.weights, before, strict=True):
                    if not torch.equal(weight, value):
                        weight.copy_(value)
    return found


def other_part(kept: Probe, found: Probe, dtype: torch.dtype) -> str:
    """Return which part of an update is another one, empty for none.

    Half of the digits must agree, for each parameter, up to rounding.

    >>> one = {"step": [[2.0, 0.0], [2.0, 1.0], [1e-9, 1e-9]]}
    >>> other_part(one, {"step": [[2.0, 0.0], [2.0, 1.0], [0.0, 0.0]]}, torch.float32)
    ''
    >>> other_part(one, {"step": [[2.0, 0.0], [2.0, 1.1], [0.0, 0.0]]}, torch.float32)
    'step'
    """
    eps = torch.finfo(dtype).eps
    for name in kept:
        if name not in found:
            continue
        one, other = (
            torch.tensor(rows[name], dtype=torch.float64).nan_to_num(-1.0) for rows in (kept, found)
        )
        if one.shape != other.shape:
            return name
        half, rounding = math.sqrt(eps), min(_ROUNDING * eps, math.sqrt(eps))
        allowed = half * one[:, :1].abs() + rounding * one[0, 0].abs()
        if bool(((one - other).abs() > allowed).any()):
            return name
    return ""


def _move(weights: list[Any]) -> None:
    with torch.no_grad():
        for number, weight in enumerate(weights):
            size = float(weight.double().square().mean().sqrt()) or 1.0
            weight.add_(_fixed(weight, number), alpha=_MOVED * size)


def _gradient(twin: Sampled) -> Probe:
    value, slopes = slopes_of(twin, *twin.batch())
    parts = _described(slopes)
    scale = math.hypot(*(norm for norm, _ in parts))
    return {"the loss": [[value, value]], "the gradient of the loss": [[scale, 0.0], *parts]}


def _step(twin: Training, memo: Memo) -> list[list[float]]:
    """Return the step on the loss |w - u|^2/2, u being a fixed place near w."""
    twin.use(optimiser_copied(twin.optimiser, memo))
    start = [weight.detach().clone() for weight in twin.weights]
    aims = [weight - _fixed(weight, number) for number, weight in enumerate(start)]

    def evaluated() -> Tensor:
        loss = torch.zeros(())
        with torch.no_grad():
            for weight, aim in zip(twin.weights, aims, strict=True):
                weight.grad = weight - aim
                loss = loss + weight.grad.double().square().sum().cpu() / 2
        return loss

    twin.stepped(evaluated)
    parts = [after.detach() - before for after, before in zip(twin.weights, start, strict=True)]
    scale = math.hypot(*(norm for norm, _ in _described(start)))
    return [[scale, 0.0], *_described(parts)]


def _fixed(weight: Tensor, number: int) -> Tensor:
    """Return numbers of order 1, different for each entry and parameter."""
    at = torch.arange(weight.numel(), dtype=torch.float64) + 0.7 * number
    return at.cos().reshape(weight.shape).to(weight)


def _described(vectors: Sequence[Tensor | None]) -> list[list[float]]:
    found = []
    for vector in vectors:
        if vector is None:
            found.append([-2.0, -2.0])
            continue
        flat = vector.detach().double().cpu().flatten()
        found.append([float(flat.norm()), float(flat @ _fixed(flat, 1))])
    return found


def _shifted(f: Tensor) -> Tensor:
    """Return outputs moved by fixed amounts of order 1, different for each."""
    if not f.is_floating_point():
        return f
    return f + torch.arange(f.numel(), device=f.device).sin().reshape(f.shape).to(f.dtype)
