"""Modular addition in a homogeneous two-layer perceptron, by gradient flow [Lyu et al. 2024].

f = V phi(W x + b), with or without b, phi(h) = max(h, 0) or h^2: homogeneous of order L = 2 or 3 in
all weights together. The weights are alpha times He's, N(0, 2/fan-in), and b starts at 0.
Cross-entropy, (weight_decay/2) |theta|^2 on all weights. The paper trains by descent at the rate
0.002; t is that rate times the steps.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor, nn

from lazyrich.paper_figures.experiments.records import by_record
from lazyrich.simulate import fit_flow
from lazyrich.simulate.arrays import generator
from lazyrich.simulate.modules.mlp import Square
from lazyrich.simulate.modules.modular_addition import classified, modular_addition

# Activation -> its module, the order L of the network, evaluations of the gradient in a run.
ACTIVATIONS = {"relu": (nn.ReLU, 2, 6000), "square": (Square, 3, 2000)}
# With a bias, weights slide along the kinks of ReLU: so many times as many evaluations.
SLIDING = 20
# Of each run: so many records evenly in the logarithm of time, so many evenly in time.
EARLY, LATE = 40, 100


def train(
    *,
    p: int,
    width: int,
    fraction: float,
    activation: str,
    bias: bool,
    zero_last: bool,
    alpha: float,
    weight_decay: float,
    after: float,
    seed: int,
    device: str,
    checkpoint: Path | None,
) -> xarray.Dataset:
    """Return the history over ``step``, the number of the record, with ``time`` and ``margin``.

    The run ends at weight_decay t = log(alpha) + ``after``. With ``zero_last`` V starts at 0, and
    so does f. ``margin`` is the smallest one of the training set over |theta|^L.
    """
    data = modular_addition(p, fraction, seed=seed).to(device)
    model = _network(p, width, activation, bias, zero_last, alpha, seed).to(device)
    end = (math.log(alpha) + after) / weight_decay
    early, late = np.geomspace(1e-2, end, EARLY), np.linspace(0, end, LATE)
    history = fit_flow(
        model,
        data,
        loss=cross_entropy,
        time=end,
        weight_decay=weight_decay,
        record=np.unique(np.concatenate([early, late])),
        rtol=1e-2,
        metrics={"accuracy": classified, "margin": _margin},
        checkpoint=checkpoint,
    ).history
    found = by_record(history.drop_vars("test_margin"))
    order = ACTIVATIONS[activation][1]
    return found.assign(margin=found.train_margin / found.weight_norm**order)


def _network(
    p: int, width: int, activation: str, bias: bool, zero_last: bool, alpha: float, seed: int
) -> nn.Sequential:
    kind = ACTIVATIONS[activation][0]
    first = nn.Linear(2 * p, width, bias=bias, dtype=torch.float64)
    last = nn.Linear(width, p, bias=False, dtype=torch.float64)
    with torch.no_grad():
        for part, layer in enumerate((first, last), start=1):
            draws = generator(seed, "weights", part).standard_normal(layer.weight.shape)
            he = math.sqrt(2 / layer.in_features)
            layer.weight.copy_(alpha * he * torch.from_numpy(draws))
        if first.bias is not None:
            first.bias.zero_()
        if zero_last:
            last.weight.zero_()
    return nn.Sequential(first, kind(), last)


def cross_entropy(f: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy of outputs with one-hot labels."""
    return nn.functional.cross_entropy(f, y.argmax(1))


def _margin(f: Tensor, y: Tensor) -> Tensor:
    """Return the least margin: the output of the label less the largest of the others."""
    right = (f * y).sum(1)
    return (right - f.masked_fill(y > 0, -math.inf).amax(1)).min()


def cost(
    *, p: int, width: int, fraction: float, activation: str, bias: bool, **_: Any
) -> tuple[float, int]:
    """Return the multiplications of an update, roughly, three a weight and sample; and updates."""
    updates = ACTIVATIONS[activation][2]
    if bias and activation == "relu":
        updates *= SLIDING
    return 3.0 * fraction * p**2 * 3 * p * width, updates
