"""Kernel regression with the initial kernel at infinite width: where fully lazy training ends.

The end of the engine "linearised" for wbar = 0, M = sigma^2 I, by one Cholesky factorisation and
for many data sets at once.
"""

import torch
from torch import Tensor

from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.metrics import population_terms
from lazyrich.simulate.network import ntk_normalised
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.simulate.task import PolynomialTask
from lazyrich.support.arguments import finite, positive_integer

_ENTRIES = 2**23  # of all kernels that are held at once


def fit(
    X: Float[Tensor, "*batch P D"], y: Float[Tensor, "*batch P"], *, epsilon: float, sigma: float
) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch D D"]]:
    """Return the (wbar, M) at alpha = 1 of the ridgeless fit of y with the initial kernel.

    f(x) = wbar.x + (epsilon/2) x^T M x interpolates y. Raises ``ValueError`` where the kernel on
    X is singular: from P = D (D + 3)/2 + 1 on, and for epsilon = 0 from P = D + 1 on.

    >>> X, y = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> wbar, M = fit(X, y, epsilon=1.0, sigma=1.0)
    >>> bool(torch.allclose(X @ wbar + torch.einsum("pi,ij,pj->p", X, M, X) / 2, y))
    True
    """
    D = X.shape[-1]
    zero, M0 = X.new_zeros(D), sigma**2 * torch.eye(D, dtype=X.dtype)
    factor, failed = torch.linalg.cholesky_ex(ntk_normalised(X, X, zero, M0, epsilon=epsilon))
    if failed.any():
        raise ValueError(f"X has {X.shape[-2]} rows of {D}: its kernel is singular in rounding")
    weights = torch.cholesky_solve(y[..., None], factor)
    return (X * weights).sum(-2), 2 * epsilon * sigma**2 * (X * weights).mT @ X


@checks_its_arguments
def population_losses(
    D: int, P: int, epsilon: float, *, count: int, sigma: float = 1.0, seed: int = 0
) -> dict[str, Tensor]:
    """Return the terms of the population loss of ``count`` fits, each on a data set of its own.

    {"variance", "misalignment", "linear": tensor (count,)}, |beta|^2 = D. Raises ``ValueError`` for
    bad input, and from P = D (D + 3)/2 on, where every fit is exact.

    >>> losses = population_losses(5, 8, 0.5, count=3)
    >>> losses["linear"].shape, bool((sum(losses.values()) > 0).all())
    (torch.Size([3]), True)
    """
    D, P, count = (positive_integer(n, v) for n, v in (("D", D), ("P", P), ("count", count)))
    epsilon = finite("epsilon", epsilon, nonzero=True)
    sigma = finite("sigma", sigma, positive=True)
    if 2 * P >= D * (D + 3):
        raise ValueError(
            f"P = {P}: must be below D (D + 3)/2 = {D * (D + 3) // 2}, where fits are exact"
        )
    task = PolynomialTask(D=D, P=1, n_test=1, seed=seed)
    runs = max(1, _ENTRIES // P**2)
    inputs = standard_normal(seed, "train inputs", (count, P, D)) / D**0.5
    parts = []
    for X in inputs.split(runs):
        wbar, M = fit(X, (X @ task.beta) ** 2 / 2, epsilon=epsilon, sigma=sigma)
        parts.append(population_terms(task, wbar, M, alpha=1.0, epsilon=epsilon))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
