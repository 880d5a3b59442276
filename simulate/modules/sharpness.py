"""The largest learning rate at which gradient descent is stable, for any module and loss."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vjp

from lazyrich.simulate.modules.data import Data


def sharpness(
    model: nn.Module,
    data: Data,
    loss: Callable[[Tensor, Tensor], Tensor],
    weights: Mapping[str, Tensor] | None = None,
) -> float:
    """Return the largest eigenvalue of the Hessian of the training loss, by Lanczos iteration.

    At ``weights`` (as ``trained_weights`` gives them), or at the model's own. To about four digits;
    NaN where the iteration finds none. It costs some tens of gradients.

    >>> X = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]).double()
    >>> y = torch.zeros(4, 1).double()
    >>> model = nn.Linear(2, 1, bias=False).double()                   # mean of (w.x)^2
    >>> round(sharpness(model, Data(X, y, X, y), nn.functional.mse_loss), 6)
    4.5
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh  # takes a while

    at = {n: p.detach() for n, p in (weights or dict(model.named_parameters())).items()}
    at = {n: at[n] for n, p in model.named_parameters() if p.requires_grad}
    example = next(iter(at.values()))
    shapes, sizes = [v.shape for v in at.values()], [v.numel() for v in at.values()]

    def gradient(values: dict[str, Tensor]) -> dict[str, Tensor]:
        return grad(lambda w: loss(functional_call(model, w, (data.X,)), data.y))(values)

    pull = vjp(gradient, at)[1]  # the Hessian is symmetric: reverse mode twice serves

    def product(vector: np.ndarray) -> np.ndarray:
        flat = torch.as_tensor(vector.ravel(), dtype=example.dtype, device=example.device)
        parts = zip(at, flat.split(sizes), shapes, strict=True)
        tangent = {name: part.reshape(shape) for name, part, shape in parts}
        moved = pull(tangent)[0]
        return torch.cat([moved[name].flatten() for name in at]).double().cpu().numpy()

    n = sum(sizes)
    if n < 3:
        return float(np.linalg.eigvalsh(np.stack([product(row) for row in np.eye(n)]))[-1])
    first = np.random.default_rng(0).standard_normal(n)
    operator = LinearOperator((n, n), matvec=product, dtype=np.float64)  # pyright: ignore
    try:
        found = eigsh(operator, k=1, which="LA", v0=first, tol=1e-4)  # pyright: ignore
        return float(found[0][0])
    except ArpackNoConvergence:
        return float("nan")


def stable_rate(
    model: nn.Module,
    data: Data,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    weights: Mapping[str, Tensor] | None = None,
    momentum: float | int = 0.0,
    weight_decay: float | int = 0.0,
) -> float:
    """Return the largest rate at which full-batch SGD is stable: 2 (1 + momentum)/curvature.

    The curvature is the sharpness and the weight decay, added. Infinite where it is not positive.

    >>> X, y = torch.ones(2, 1), torch.zeros(2, 1)
    >>> model = nn.Linear(1, 1, bias=False)                            # w^2: curvature 2
    >>> round(stable_rate(model, Data(X, y, X, y), nn.functional.mse_loss), 6)
    1.0
    """
    curvature = sharpness(model, data, loss, weights) + weight_decay
    return float("inf") if curvature <= 0 else 2 * (1 + momentum) / curvature
