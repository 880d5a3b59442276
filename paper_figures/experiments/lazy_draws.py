"""The mean test loss of fully lazy training, over fresh data sets."""

import numpy as np
import torch
import xarray

from lazyrich.simulate.kernel_regression import population_losses

BLOCK = 20  # data sets at first


def mean_loss(*, D: int, P: int, epsilon: float, error: float, most: int) -> xarray.Dataset:
    """Return the ``mean`` test loss of kernel regression, its standard ``error`` and ``count``.

    Data sets are drawn until the standard error is ``error`` of the mean, or there are ``most``.
    """
    losses, seed = np.array([]), 0
    while len(losses) < most:
        count = max(BLOCK, len(losses))  # doubled each time
        parts = population_losses(D, P, epsilon, count=count, seed=seed)
        losses = np.concatenate([losses, torch.stack(list(parts.values())).sum(0).numpy()])
        seed += 1
        found = float(losses.std(ddof=1)) / len(losses) ** 0.5
        if len(losses) > BLOCK and found < error * losses.mean():
            break
    return xarray.Dataset({"mean": losses.mean(), "error": found, "count": len(losses)})


def cost(*, D: int, P: int, **_: float) -> float:
    """Return the multiplications of a block of data sets."""
    return BLOCK * (P**3 / 3 + 3 * P**2 * D)
