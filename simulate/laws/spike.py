"""The spike that rich training grows from: the top of a generalised covariance, by its law.

Once the linear modes are fitted, features grow along the top eigenvector of
S = (1/P) sum_mu rho_mu x_mu x_mu^T, rho the residuals of least squares (see ``rich_flow``). For
x = xi/sqrt(D) with Gaussian xi, weights a_mu = rho_mu/(P D) that depend on z = xi.n alone, n along
beta, and h = Tr (L - S)^-1, the bulk of the spectrum of S is where

    L(h) = D/h + sum_mu a_mu/(1 - a_mu h)

falls, 0 < h < 1/max a; its edge is the minimum. An eigenvalue L(h) stands out if

    sum_mu (z_mu^2 - 1) a_mu/(1 - a_mu h) = D/h

before the edge (Baik, Ben Arous and Peche 2005, for these weights; Lu and Li 2020), and its
eigenvector then has squared overlap 1/(1 - sum_mu z_mu^2 a_mu^2/(1 - a_mu h)^2/L'(h)) with n.

The weights are those of leaving one sample out, rho = (1 - D/P)(y - x.u_mu): u_mu, least squares
on the others, is noise of variance <y^2> D/(P - D) along x. As y = z^2/2 is unbounded, so is the
bulk: its edge grows like log P, and at fixed P/D no eigenvalue stands out for D -> infinity.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from lazyrich.simulate.laws.lazy import loss_of_nothing
from lazyrich.simulate.shapes import Float
from lazyrich.support.arguments import positive_integer

DRAWS = 32
# The ends of the interval of h, where something is infinite, and how near to them to look.
NEAR = 1e-9


class Spike(NamedTuple):
    """Top eigenvalue of S, its squared overlap with beta (0 if none stands out), edge of the bulk.

    The eigenvalues are in units of |beta|^2/D^2: 3/2 and 1/2 for infinitely many samples.
    """

    value: float
    overlap: float
    edge: float


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where the function, of opposite signs at both ends, is 0.

    >>> round(root(lambda x: x**2 - 2, 0.0, 2.0), 9)
    1.414213562
    """
    return float(brentq(function, low, high))  # pyright: ignore[reportArgumentType]


def spike_of(rho: Float[np.ndarray, " P"], z: Float[np.ndarray, " P"], D: int) -> Spike:
    """Return the spike for weights rho, in units of |beta|^2/D, with z = sqrt(D) x.beta/|beta|.

    >>> z = np.random.default_rng(0).standard_normal(40_000)
    >>> many = spike_of(z**2 / 2, z, 10)
    >>> round(many.value, 1), round(many.overlap, 1)
    (1.5, 1.0)
    """
    a, squares = rho / len(rho), z**2

    def level(h: float) -> float:
        return D / h + float((a / (1 - a * h)).sum())

    def fall(h: float) -> float:
        return -D / h**2 + float((a**2 / (1 - a * h) ** 2).sum())

    def stands_out(h: float) -> float:
        return float(((squares - 1) * a / (1 - a * h)).sum()) - D / h

    pole = 1 / a.max()
    edge = root(fall, NEAR * pole, (1 - NEAR) * pole)
    if stands_out(edge) <= 0:
        return Spike(level(edge), 0.0, level(edge))
    h = root(stands_out, NEAR * pole, edge)
    slope = float((squares * a**2 / (1 - a * h) ** 2).sum()) / fall(h)
    return Spike(level(h), 1 / (1 - slope), level(edge))


def spikes(D: int, P: int, draws: int = DRAWS, seed: int = 0) -> list[Spike]:
    """Return the spikes of ``draws`` sets of weights by their law, without any inputs x.

    Raises ``ValueError`` for P <= D, where least squares leaves no residual.

    >>> found = spikes(40, 400)
    >>> bool(0.6 < np.mean([spike.overlap for spike in found]) < 0.75)
    True
    """
    D, P = positive_integer("D", D), positive_integer("P", P)
    if P <= D:
        raise ValueError(f"P = {P}: must be above D = {D}: there is no residual")
    rng, noise = np.random.default_rng(seed), (loss_of_nothing(D, D) * D / (P - D)) ** 0.5
    found = []
    for _ in range(draws):
        z, xi = rng.standard_normal((2, P))
        found.append(spike_of((1 - D / P) * (z**2 / 2 - noise * xi), z, D))
    return found


def share_standing_out(D: int, P: int, draws: int = DRAWS, seed: int = 0) -> float:
    """Return the share of data sets whose top eigenvector knows of beta, by the law.

    >>> share_standing_out(40, 60) < 0.5 < share_standing_out(40, 160)
    True
    """
    return float(np.mean([spike.overlap > 0 for spike in spikes(D, P, draws, seed)]))
