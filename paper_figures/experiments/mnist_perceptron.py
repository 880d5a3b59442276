"""Digits in a ReLU perceptron from large weights, by AdamW [Liu et al. 2022; Kumar et al., Sec. 6].

Four layers without biases, so that the output is homogeneous of degree 4 in the weights: weights of
``scale`` times torch's default make f larger by scale^4, in the same function as alpha does.
"""

from pathlib import Path
from typing import Any

import torch
import xarray
from torch.nn.functional import mse_loss

from lazyrich.simulate import Scaled, fit
from lazyrich.simulate.modules.mlp import mlp
from lazyrich.simulate.modules.mnist import SIDE, mnist
from lazyrich.simulate.modules.modular_addition import classified


def train(
    *,
    P: int,
    n_test: int,
    pool: int,
    folder: str | None,
    width: int,
    scale: float,
    alpha: float,
    learning_rate: float,
    weight_decay: float,
    batch_size: int,
    steps: int,
    seed: int,
    device: str,
    checkpoint: Path | None,
) -> xarray.Dataset:
    """Return the history of alpha f(x; w), trained by AdamW on mini-batches, in float32.

    The loss is the mean of squared errors over samples and outputs; predicting 0 has loss 0.1.
    """
    data = mnist(P, n_test, pool=pool, seed=seed, folder=folder)
    widths = (data.X.shape[1], width, width, width, 10)
    network = mlp(widths, bias=False, scale=scale, seed=seed, dtype=torch.float32)
    return fit(
        Scaled(network.to(device), alpha, centred=False),
        data.to(device),
        loss=mse_loss,
        optimiser=lambda weights: torch.optim.AdamW(
            weights, lr=learning_rate, weight_decay=weight_decay, fused=True
        ),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        metrics={"accuracy": classified},
        checkpoint=checkpoint,
    ).history


def cost(*, pool: int, width: int, batch_size: int, steps: int, **_: Any) -> tuple[float, int]:
    """Return the multiplications of an update, roughly, three a weight and sample; and updates."""
    weights = (SIDE // pool) ** 2 * width + 2 * width**2 + 10 * width
    return 3.0 * weights * batch_size, steps
