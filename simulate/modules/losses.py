"""The losses that have names, and shapes of outputs and labels that do not belong together."""

import math
import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from lazyrich.simulate.modules.trees import call, rows, taken
from lazyrich.simulate.modules.untouched import untouched
from lazyrich.support.arguments import one_of

# A function of outputs and labels: a mean over the samples.
Loss = Callable[[Any, Any], Tensor]


def mean_square(f: Tensor, y: Tensor) -> Tensor:
    """Return the mean of (f - y)^2 over samples and outputs; labels may be integers.

    >>> mean_square(torch.tensor([[0.5, 0.0]]), torch.tensor([[1, 0]])).item()
    0.125
    """
    if f.shape != y.shape:
        raise ValueError(f"y has shape {tuple(y.shape)}: must be {tuple(f.shape)}, as f(X) has")
    return nn.functional.mse_loss(f, y.to(f.dtype))


def cross_entropy(f: Tensor, y: Tensor) -> Tensor:
    """Return the mean of -log softmax(f)[y] for outputs (n, C), in float64.

    Labels are integers (n,), or one-hot or probabilities (n, C). In float32 it stalls near 1e-7.

    >>> one_hot = torch.tensor([[1, 0]])
    >>> cross_entropy(torch.tensor([[30.0, 0.0]]), one_hot).item() > 9e-14
    True
    """
    if f.dim() != 2 or tuple(y.shape) not in ((len(f),), tuple(f.shape)):
        raise ValueError(
            f"f(X) has shape {tuple(f.shape)} and y {tuple(y.shape)}: for cross entropy they must "
            "be (n, C), and (n,) or (n, C)"
        )
    labels = y.double() if y.shape == f.shape else y.long()
    return nn.functional.cross_entropy(f.double(), labels)


LOSSES: dict[str, Loss] = {"mse": mean_square, "cross_entropy": cross_entropy}


def loss_function(loss: object) -> Loss:
    """Return the loss of a name, or the function given. Raises ``ValueError`` for anything else.

    >>> loss_function("mse") is mean_square
    True
    >>> loss_function("mae")
    Traceback (most recent call last):
    ...
    ValueError: loss = 'mae': did you mean 'mse'? Allowed: mse, cross_entropy
    """
    if isinstance(loss, str):
        return LOSSES[one_of("loss", loss, LOSSES)]
    if not callable(loss):
        raise ValueError(f"loss = {loss!r}: must be a function of outputs and labels, or its name")
    return cast(Loss, loss)


def check_loss(side: str, loss: Loss, f: Any, y: Any) -> None:
    """Raise ``ValueError`` where a loss is not finite at the start, as labels of NaN make it.

    >>> check_loss("test", mean_square, torch.zeros(2), torch.tensor([0.0, float("nan")]))
    Traceback (most recent call last):
    ...
    ValueError: the test loss is nan at the initial weights: y_test has NaN or infinity in row 1
    """
    real = isinstance(y, Tensor) and y.is_floating_point()
    value = float(loss(f, y.to(f.dtype) if real and isinstance(f, Tensor) else y))
    if math.isfinite(value):
        return
    reason = "must be finite"
    if real and not bool(y.isfinite().all()):
        row = int((~y.isfinite()).reshape(len(y), -1).any(1).nonzero()[0])
        reason = f"{'y' if side == 'train' else 'y_test'} has NaN or infinity in row {row}"
    raise ValueError(f"the {side} loss is {value} at the initial weights: {reason}")


def check_test_loss(model: nn.Module, loss: Loss, X_test: Any, y_test: Any) -> None:
    """Raise ``ValueError`` where the loss on a test set, if there is one, is not finite.

    >>> line, X = nn.Linear(1, 1), torch.ones(2, 1)
    >>> check_test_loss(line, mean_square, X[:0], X[:0])               # no test set
    >>> check_test_loss(line, mean_square, X, X * float("inf"))
    Traceback (most recent call last):
    ...
    ValueError: the test loss is inf at the initial weights: y_test has NaN or infinity in row 0
    """
    if rows("X_test", X_test):
        with torch.no_grad(), untouched(model):
            check_loss("test", loss, call(model, X_test), y_test)


def check_shapes(loss: Loss, f: Any, y: Any) -> None:
    """Refuse outputs (n, 1) with labels (n,), and the reverse, where the loss pairs all of them.

    By broadcasting, f - y is then (n, n): every output with every label. A loss that takes the
    shapes into account is the mean of the losses of two samples, and passes.

    >>> f, y = torch.zeros(3, 1), torch.zeros(3)
    >>> check_shapes(nn.functional.l1_loss, f, y)                      # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: y has shape (3,) and f(X) (3, 1): the loss would pair every output with ...
    """
    if not (isinstance(f, Tensor) and isinstance(y, Tensor)):
        return
    shapes = {tuple(f.shape), tuple(y.shape)}
    if shapes != {(len(f),), (len(f), 1)} or len(f) < 2 or not y.is_floating_point():
        return
    one = torch.tensor([[1.0], [3.0]]).reshape(2, *f.shape[1:]).to(f)
    other = torch.tensor([[2.0], [5.0]]).reshape(2, *y.shape[1:]).to(y)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own of these shapes
            together = float(loss(one, other))
            apart = [float(loss(*taken((one, other), slice(i, i + 1)))) for i in (0, 1)]
    except (RuntimeError, ValueError, IndexError):
        return  # it says by itself what it does not take
    if abs(together - sum(apart) / 2) > 1e-3 * abs(together):
        raise ValueError(
            f"y has shape {tuple(y.shape)} and f(X) {tuple(f.shape)}: the loss would pair every "
            f"output with every label; reshape y to {tuple(f.shape)}"
        )
