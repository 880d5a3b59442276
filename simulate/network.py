"""The network and its kernel in the sufficient statistics (wbar, M); Kumar et al., eqs. 2-5, 18.

wbar = (1/N) sum_i w_i has shape (D,), M = (1/N) sum_i w_i w_i^T has shape (D, D). Leading axes
of X, wbar and M are runs of a batch, and alpha and epsilon may be tensors of one value a run.
"""

import torch
from torch import Tensor

from lazyrich.simulate.shapes import Float, Number


def per_sample(value: Number) -> Number:
    """Return a number as it is, and a tensor of one value a run with a last axis for samples."""
    return value[..., None] if isinstance(value, Tensor) else value


def predictions(
    X: Float[Tensor, "*batch P D"],
    wbar: Float[Tensor, "*runs D"],
    M: Float[Tensor, "*runs D D"],
    *,
    alpha: Number,
    epsilon: Number,
) -> Float[Tensor, "*out P"]:
    """Return f(x) = alpha wbar.x + (alpha epsilon/2) x^T M x for every row x of X (eqs. 3, 4).

    f is linear in (wbar, M): the differences wbar - wbar0, M - M0 give the centred predictor.

    >>> import torch
    >>> W = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]])       # three neurons
    >>> X = torch.tensor([[0.5, 1.0], [2.0, -1.0]])
    >>> H = X @ W.T                                                   # from the definition
    >>> definition = 2.0 * (H + 0.25 / 2 * H**2).mean(1)
    >>> bool(torch.allclose(
    ...     predictions(X, W.mean(0), W.T @ W / 3, alpha=2.0, epsilon=0.25), definition))
    True
    """
    linear = (X @ wbar[..., None])[..., 0]
    quadratic = ((X @ M) * X).sum(-1)
    return per_sample(alpha) * (linear + per_sample(epsilon) / 2 * quadratic)


def ntk_normalised(
    X: Float[Tensor, "*batch P D"],
    X2: Float[Tensor, "*batch Q D"],
    wbar: Float[Tensor, "*runs D"],
    M: Float[Tensor, "*runs D D"],
    *,
    epsilon: Number,
) -> Float[Tensor, "*out P Q"]:
    """Return the paper's kernel K(x, x'), the NTK divided by alpha^2/N (eqs. 5, 18).

    K(x, x') = x.x' [1 + epsilon wbar.(x + x') + epsilon^2 x^T M x'], one row of X a row.

    >>> import torch
    >>> W = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    >>> X = torch.tensor([[0.5, 1.0], [2.0, -1.0]])
    >>> slope = 1 + 0.25 * X @ W.T                                    # phi'(w_i.x)
    >>> gradients = slope[:, :, None] * X[:, None, :]                 # of N f / alpha, per w_i
    >>> definition = torch.einsum("pid,qid->pq", gradients, gradients) / 2
    >>> bool(torch.allclose(
    ...     ntk_normalised(X, X, W.mean(0), W.T @ W / 2, epsilon=0.25), definition))
    True
    """
    epsilon = per_sample(per_sample(epsilon))
    left, right = X @ wbar[..., None], X2 @ wbar[..., None]
    slopes = torch.matmul(X @ M, X2.mT).mul_(epsilon).add_(left).add_(right.mT)
    return slopes.mul_(epsilon).add_(1).mul_(X @ X2.mT)
