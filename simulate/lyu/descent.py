"""The ``neurons`` engine of both models: full-batch gradient descent by autograd."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate.stability import CHECK_EVERY, DivergenceError, has_diverged

Layers = tuple[Tensor, Tensor]


class StabilityWarning(UserWarning):
    """The learning rate asked for is above the largest one that is stable at the start."""


def warn_of_instability(learning_rate: float, stable: float) -> None:
    """Warn in one line where gradient descent is not stable at the start."""
    if learning_rate > stable:
        warnings.warn(
            f"learning_rate = {learning_rate:g}: gradient descent is unstable at the start; "
            f"the largest stable rate there is {stable:.4g}",
            StabilityWarning,
            stacklevel=4,
        )


def descend(
    objective: Callable[[Tensor, Tensor], Tensor],
    start: Layers,
    learning_rate: float,
    steps: Sequence[int],
    stable: Callable[[Tensor, Tensor], float],
    progress: Callable[[float, float], Any] | None = None,
) -> list[Layers]:
    """Return both layers at these increasing steps of gradient descent on the objective.

    ``stable(u, v)`` is the largest stable rate there, for the message of ``DivergenceError``, which
    is raised where the objective grows without bound.

    >>> found = descend(lambda u, v: (u * v).sum() ** 2, (torch.ones(1), torch.ones(1)), 0.25,
    ...                 [0, 1], lambda u, v: 1.0)
    >>> [float(u) for u, v in found]
    [1.0, 0.5]
    """
    layers = tuple(layer.clone().requires_grad_() for layer in start)
    scale = float(objective(*start))
    found, done, last = [], 0, (0, start)
    for stop in steps:
        while done < stop:
            value = objective(*layers)
            gradients = torch.autograd.grad(value, layers)
            with torch.no_grad():
                for layer, gradient in zip(layers, gradients, strict=True):
                    layer.sub_(gradient, alpha=learning_rate)
            done += 1
            if done % CHECK_EVERY == 0 or done == stop:
                if has_diverged(objective(*layers).item(), scale):
                    raise _divergence(done, learning_rate, stable, start, last)
                if progress is not None:
                    progress(done, steps[-1])
        u, v = (layer.detach().clone() for layer in layers)
        last = (done, (u, v))
        found.append((u, v))
    return found


def _divergence(
    step: int,
    learning_rate: float,
    stable: Callable[[Tensor, Tensor], float],
    start: Layers,
    last: tuple[int, Layers],
) -> DivergenceError:
    rate, at = stable(*start), 0
    if learning_rate <= rate:
        at, rate = last[0], stable(*last[1])
    return DivergenceError(step, learning_rate, rate, at)
