"""How long a feature takes with infinitely many samples, by integration: no networks."""

import numpy as np
import xarray

from lazyrich.simulate.laws import population


def time_to_learn(*, D: int, a: float, share: float) -> xarray.Dataset:
    """Return ``T``, the time to learn this share of the target along beta, to nine digits.

    ``a`` is alpha epsilon/|beta|^2.
    """
    near = population.time_to_learn(D, a, share) * np.linspace(0.5, 2.0, 2001)
    learned = population.competition(D, a, np.concatenate([[0.0], near]))[0][1:] - a
    return xarray.Dataset({"T": np.interp(share, learned, near)})


def cost(**_: float) -> float:
    """Return about the multiplications of an integration: a thousand steps."""
    return 1e6
