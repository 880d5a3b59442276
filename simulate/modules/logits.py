"""Networks that end with a softmax or a sigmoid, where the loss does it itself."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from lazyrich.simulate.modules.losses import Loss, cross_entropy
from lazyrich.simulate.modules.trees import Tree, call, innermost, taken
from lazyrich.simulate.modules.untouched import untouched

# Samples on which outputs are looked at.
_SAMPLES = 64


def _of_two(loss: Loss) -> bool:
    function = nn.functional.binary_cross_entropy_with_logits
    return loss is function or isinstance(loss, nn.BCEWithLogitsLoss)


def _of_classes(loss: Loss) -> bool:
    functions = (cross_entropy, nn.functional.cross_entropy)
    return loss in functions or isinstance(loss, nn.CrossEntropyLoss)


def not_logits(loss: Loss, f: Any) -> str:
    """Return a line on outputs that are no logits where the loss wants these; empty if none.

    >>> f = torch.tensor([[1.0, 2.0, -1.0]])
    >>> not_logits(cross_entropy, f), not_logits(nn.functional.mse_loss, f.softmax(1))
    ('', '')
    >>> not_logits(cross_entropy, f.softmax(1))
    "the model's outputs are probabilities with sum 1, as after a softmax: cross entropy does the \
softmax itself, so leave it out of the model"
    >>> not_logits(cross_entropy, f.sigmoid())
    "the model's outputs are all between 0 and 1, as after a sigmoid: cross entropy wants logits, \
so leave it out of the model"
    """
    if not isinstance(f, Tensor) or not f.numel():
        return ""
    inside = bool(((f > 0) & (f < 1)).all())
    start, end = "the model's outputs are", "so leave it out of the model"
    itself = f"cross entropy does the softmax itself, {end}"
    if _of_two(loss):
        between = (
            f"{start} all between 0 and 1, as after a sigmoid: this loss does it itself, {end}"
        )
        return between if inside else ""
    if not _of_classes(loss) or f.dim() != 2 or f.shape[1] < 2:
        return ""
    rounding = 100 * torch.finfo(f.dtype).eps * f.shape[1]
    if bool((f >= 0).all() and ((f.sum(1) - 1).abs() <= rounding).all()):
        return f"{start} probabilities with sum 1, as after a softmax: {itself}"
    if bool((f <= 0).all() and (f.logsumexp(1).abs() <= rounding).all()):
        return f"{start} logarithms of probabilities, as after a log_softmax: {itself}"
    if inside:
        return f"{start} all between 0 and 1, as after a sigmoid: cross entropy wants logits, {end}"
    return ""


def not_logits_of(loss: Loss, model: nn.Module, X: Tree, y: Tree = None) -> str:
    """Return the same for a network on a few samples; that inside ``Scaled`` is looked at.

    With labels y, also a line on those for which the loss has no lower bound.

    >>> X = torch.ones(2, 1)
    >>> not_logits_of(nn.BCEWithLogitsLoss(), nn.Linear(1, 1), X, -X)
    'y has -1: labels of this loss must be from 0 to 1, or it has no lower bound'
    """
    if not (_of_two(loss) or _of_classes(loss)):
        return ""
    if _of_two(loss) and isinstance(y, Tensor) and bool(((y < 0) | (y > 1)).any()):
        off = float(y[(y < 0) | (y > 1)][0])
        return f"y has {off:g}: labels of this loss must be from 0 to 1, or it has no lower bound"
    model = innermost(model)
    with torch.no_grad(), untouched(model):
        return not_logits(loss, call(model, taken(X, slice(0, _SAMPLES))))


def warn_unless_logits(loss: Loss, model: nn.Module, X: Tree, y: Tree = None) -> None:
    """Warn in one line where outputs are no logits, or labels out of range, and the loss minds."""
    if line := not_logits_of(loss, model, X, y):
        warnings.warn(line, stacklevel=3)
