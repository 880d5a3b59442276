"""Predict how far a network at large alpha ends from kernel regression, for one data set.

``lazy-rate`` of the theory: to first order in epsilon/alpha, at infinite width.
"""

import torch
from torch import Tensor

from lazyrich.simulate.kernel_regression import fit
from lazyrich.simulate.metrics import population_terms
from lazyrich.simulate.network import ntk_normalised, predictions
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.task import PolynomialTask


def first_order(
    X: Float[Tensor, "P D"], y: Float[Tensor, " P"], *, epsilon: float, sigma: float = 1.0
) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
    """Return the (wbar, M) at alpha = 1 of the term that epsilon/alpha multiplies.

    It vanishes on the samples: f = f_lazy + (epsilon/alpha) f_1 fits them too.

    >>> X, y = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> wbar, M = first_order(X, y, epsilon=1.0)
    >>> bool(predictions(X, wbar, M, alpha=1.0, epsilon=1.0).abs().max() < 1e-12)
    True
    """
    D = X.shape[1]
    zero, identity = X.new_zeros(D), torch.eye(D, dtype=X.dtype)
    K = ntk_normalised(X, X, zero, sigma**2 * identity, epsilon=epsilon)
    values, vectors = torch.linalg.eigh(K)
    labels = vectors.T @ y
    memory = torch.outer(labels / values, labels) / (values[:, None] + values)
    memory = vectors @ memory @ vectors.T
    weights = vectors @ (labels / values)
    g, G = X.T @ weights, epsilon * (X.T * weights) @ X
    v = X.T @ (memory * (X @ X.T)).sum(1)
    M = (torch.outer(g, g) + 2 * sigma**2 * G @ G) / epsilon
    drive = predictions(X, v, M, alpha=1.0, epsilon=epsilon)
    fitted_wbar, fitted_M = fit(X, drive, epsilon=epsilon, sigma=sigma)
    return v - fitted_wbar, M - fitted_M


def slope_of_the_loss(task: PolynomialTask, epsilon: float, sigma: float = 1.0) -> float:
    """Return d(final test loss)/d(epsilon/alpha) at alpha = infinity, of the centred predictor.

    >>> task = PolynomialTask(D=8, P=30, n_test=1, seed=0)
    >>> slope_of_the_loss(task, 0.25) < 0                               # the richer, the better
    True
    """
    lazy = fit(task.X, task.y, epsilon=epsilon, sigma=sigma)
    moved = first_order(task.X, task.y, epsilon=epsilon, sigma=sigma)

    def loss(sign: int) -> float:
        wbar, M = (a + sign * b for a, b in zip(lazy, moved, strict=True))
        return float(sum(population_terms(task, wbar, M, alpha=1.0, epsilon=epsilon).values()))

    return (loss(1) - loss(-1)) / 2  # exact: the loss is quadratic in f
