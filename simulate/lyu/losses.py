"""The three losses of Lyu et al. on one sample, with the derivatives in f that the engines need.

``value`` is in torch, for the primal engine, which differentiates it by autograd; ``slope`` and
``curvature`` are in NumPy, for the dual one, and are safe at any margin: they tend to 0 or to
infinity and are never NaN for a finite f.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

CLASSIFICATION, REGRESSION = "classification", "regression"


class Loss(NamedTuple):
    """A loss l(f; y), y = 1 or -1 in classification; derivatives are those in f."""

    kind: str
    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[np.ndarray, np.ndarray], np.ndarray]
    curvature: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1/(1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1 + small)


def _exp(x: np.ndarray) -> np.ndarray:
    """Return exp(x), infinite without a warning where it overflows."""
    with np.errstate(over="ignore"):
        return np.exp(x)


LOSSES = {
    "logistic": Loss(
        CLASSIFICATION,
        lambda f, y: -torch.nn.functional.logsigmoid(y * f),
        lambda f, y: -y * _sigmoid(-y * f),
        lambda f, _: _sigmoid(f) * _sigmoid(-f),
    ),
    "exponential": Loss(
        CLASSIFICATION,
        lambda f, y: torch.exp(-y * f),
        lambda f, y: -y * _exp(-y * f),
        lambda f, y: _exp(-y * f),
    ),
    "square": Loss(
        REGRESSION,
        lambda f, y: (f - y) ** 2,
        lambda f, y: 2 * (f - y),
        lambda f, _: np.full_like(f, 2.0),
    ),
}
