"""The largest learning rate at which gradient descent is stable, for any module and loss."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lazyrich.simulate.modules.data import Data, checked_data
from lazyrich.simulate.modules.hessian import Hessian
from lazyrich.simulate.modules.losses import Loss, loss_function
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import finite, one_of, positive_integer

ENDS = {"largest": "LA", "smallest": "SA"}
# Hessians up to this size are made whole where many eigenvalues are asked for.
_WHOLE = 2000


@checks_its_arguments
def hessian_eigenvalues(
    model: nn.Module,
    data: Data,
    loss: Loss | str,
    *,
    k: int = 1,
    which: str = "largest",
    weights: Mapping[str, Tensor] | None = None,
    batch: int | None = None,
) -> Tensor:
    """Return the k largest or smallest eigenvalues of the Hessian of the training loss.

    By Lanczos iteration, at ``weights`` (as ``trained_weights`` gives them), or at the model's own;
    ``which="largest"`` in falling order, "smallest" in rising order. To about four digits; NaN
    where the iteration finds none. It costs some tens of gradients.

    ``batch``: how many samples go through the network at a time, None for all; for losses that are
    means over the samples. Raises ``ValueError`` for bad input and where the Hessian is not finite.

    >>> X = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]).double()
    >>> y = torch.zeros(4, 1).double()
    >>> model = nn.Linear(2, 1, bias=False).double()                   # mean of (w.x)^2
    >>> hessian_eigenvalues(model, Data(X, y), "mse", k=2).tolist()
    [4.5, 0.5]
    """
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

    one_of("which", which, ENDS)
    k = positive_integer("k", k)
    size = None if batch is None else positive_integer("batch", batch)
    H = Hessian(model, checked_data(data), loss_function(loss), weights, size)
    n, sign = H.size, -1 if which == "largest" else 1
    if k > n:
        raise ValueError(f"k = {k}: must be at most {n}, the number of weights")
    first = np.random.default_rng(0).standard_normal(n)
    product = H @ first
    if not np.isfinite(product).all():
        raise ValueError("the Hessian of the loss is not finite at these weights: must be finite")
    if not product.any():  # no direction drawn at random has curvature: none has
        return torch.zeros(k, dtype=torch.float64)
    if n < 3 or (k > n // 4 and n <= _WHOLE):
        whole = np.stack([H @ row for row in np.eye(n)])
        return torch.from_numpy(
            np.sort(sign * np.linalg.eigvalsh((whole + whole.T) / 2))[:k] * sign
        )
    operator = LinearOperator((n, n), matvec=H.__matmul__, dtype=np.float64)  # pyright: ignore
    try:
        found = eigsh(operator, k=k, which=ENDS[which], v0=first, tol=1e-4)[0]  # pyright: ignore
    except ArpackNoConvergence as error:
        found = error.eigenvalues
    except ArpackError:
        found = np.array([])
    found = np.concatenate([np.sort(sign * found), np.full(k - len(found), np.nan)])
    return torch.from_numpy(found * sign)


@checks_its_arguments
def sharpness(
    model: nn.Module,
    data: Data,
    loss: Loss | str,
    weights: Mapping[str, Tensor] | None = None,
    *,
    batch: int | None = None,
) -> float:
    """Return the largest eigenvalue of the Hessian of the training loss: ``hessian_eigenvalues``.

    >>> X = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]).double()
    >>> y = torch.zeros(4, 1).double()
    >>> model = nn.Linear(2, 1, bias=False).double()                   # mean of (w.x)^2
    >>> round(sharpness(model, Data(X, y, X, y), nn.functional.mse_loss), 6)
    4.5
    """
    return float(hessian_eigenvalues(model, data, loss, weights=weights, batch=batch)[0])


@checks_its_arguments
def stable_rate(
    model: nn.Module,
    data: Data,
    loss: Loss | str,
    *,
    weights: Mapping[str, Tensor] | None = None,
    momentum: float | int = 0.0,
    weight_decay: float | int = 0.0,
    batch: int | None = None,
) -> float:
    """Return the largest rate at which full-batch SGD is stable: 2 (1 + momentum)/curvature.

    The curvature is the sharpness and the weight decay, added. Infinite where it is not positive.

    >>> X, y = torch.ones(2, 1), torch.zeros(2, 1)
    >>> model = nn.Linear(1, 1, bias=False)                            # w^2: curvature 2
    >>> round(stable_rate(model, Data(X, y, X, y), nn.functional.mse_loss), 6)
    1.0
    """
    decay, momentum = finite("weight_decay", weight_decay), finite("momentum", momentum)
    curvature = sharpness(model, data, loss, weights, batch=batch) + decay
    return float("inf") if curvature <= 0 else 2 * (1 + momentum) / curvature
