"""The ``neurons`` engine of both models: full-batch gradient descent by autograd."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lazyrich.simulate.stability import CHECK_EVERY, DivergenceError, has_diverged
from lazyrich.support.patience import Progress, silent

# Some hours of the smallest networks.
MOST_STEPS = 10**9

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


def steps_at(times: np.ndarray, time: float, rate: float) -> list[int]:
    """Return the steps of gradient descent nearest to these times, without repeats.

    Raises ``ValueError`` where training to ``time`` takes no step, or too many to be run.

    >>> steps_at(np.array([0.0, 1.0, 10.0]), 10.0, 2.5)
    [0, 4]
    >>> steps_at(np.array([0.0, 1.0]), 1.0, 1e30)
    Traceback (most recent call last):
    ...
    ValueError: learning_rate = 1e+30: takes no step within time = 1: must be at most time
    """
    if rate > time:
        raise ValueError(
            f"learning_rate = {rate:g}: takes no step within time = {time:g}: must be at most time"
        )
    if time / rate > MOST_STEPS:
        raise ValueError(
            f"learning_rate = {rate:g}: would take {time / rate:.3g} steps to time = {time:g}, and "
            f"{MOST_STEPS:g} is the most: take a larger rate, or the other engine"
        )
    return np.unique(np.rint(times / rate).astype(np.int64)).tolist()


def descend(
    objective: Callable[[Tensor, Tensor], Tensor],
    start: Layers,
    learning_rate: float,
    steps: Sequence[int],
    stable: Callable[[Tensor, Tensor], float],
    progress: Progress = silent,
) -> list[Layers]:
    """Return both layers at these increasing steps of gradient descent on the objective.

    ``stable(u, v)`` is the largest stable rate there, for the message of ``DivergenceError``, which
    is raised where the objective grows without bound, or ends above its value at the start: stable
    descent never raises it.

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
                progress(done, steps[-1])
        u, v = (layer.detach().clone() for layer in layers)
        last = (done, (u, v))
        found.append((u, v))
    if float(objective(*last[1])) > scale * (1 + 1e-6):
        raise _divergence(done, learning_rate, stable, start, last)
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
