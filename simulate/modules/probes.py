"""What one update does, away from the start: it tells runs apart whose outputs begin as the same.

The gradient of the loss at weights that are moved by fixed amounts, and the optimiser's step for a
fixed gradient, both of copies: see ``copies``.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate.modules import generators
from lazyrich.simulate.modules.copies import Memo, optimiser_copied
from lazyrich.simulate.modules.resuming import Training, is_patched, slopes_of, without_optimiser
from lazyrich.simulate.modules.untouched import untouched

# By name: a scale, of which rounding is a part, and of each parameter the norm of a vector and its
# product with a fixed one.
Probe = dict[str, list[list[float]]]
# The weights move by this part of their root mean square.
_MOVED = 0.1
# Beyond this many units in the last place of the scale, a difference isn't rounding.
_ROUNDING = 100


def update_of(trainer: Training) -> Probe:
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
            if memo and not is_patched(trainer.optimiser):
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


def _gradient(twin: Training) -> Probe:
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
