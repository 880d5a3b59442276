"""Where a module's gradient is no number, or 0 everywhere: said in one line, with the sample."""

from typing import Any

import torch
from torch import Tensor, nn

from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.jacobian import gradients
from lazyrich.simulate.modules.losses import Loss
from lazyrich.simulate.modules.trees import Tree, call, flat, leaves, mapped, rows, taken
from lazyrich.simulate.modules.untouched import differentiable

# Samples that are looked at together, before each on its own.
_TOGETHER = 128


class NotFiniteError(ValueError):
    """A module's outputs or their gradients are NaN or infinite at a sample."""


def check_slopes(model: nn.Module, X: Tree, name: str = "X") -> None:
    """Raise ``NotFiniteError`` where outputs, or their gradients in the weights, are no numbers.

    The gradients are those of plain autograd, with the hooks of the user.

    >>> class Length(nn.Linear):
    ...     def forward(self, x):
    ...         return super().forward(x).square().sum(1).sqrt()
    >>> check_slopes(Length(2, 2, bias=False), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    Traceback (most recent call last):
    ...
    lazyrich.simulate.modules.slopes.NotFiniteError: the model's gradient is NaN at sample 1 of X: \
must be finite (look for sqrt, norm, log or a division at 0 in forward)
    """
    count = rows(name, X)
    with differentiable(model):
        for start in range(0, count, _TOGETHER):
            index = slice(start, min(start + _TOGETHER, count))
            if not _wrong(model, taken(X, index)):
                continue
            for i in range(index.start, index.stop):
                if what := _wrong(model, taken(X, slice(i, i + 1))):
                    raise NotFiniteError(_line(what, i, name))


def check_training_slopes(model: nn.Module, data: Data, loss: Loss) -> None:
    """Raise ``NotFiniteError`` where the gradient of the training loss is no number, and say why.

    It is the model's at a sample, or that of the loss in the outputs.

    >>> X = torch.ones(2, 1)
    >>> model, size = nn.Linear(1, 1), lambda f, y: (f - y).square().sum(1).sqrt().mean()
    >>> check_training_slopes(model, Data(X, model(X)), size)
    Traceback (most recent call last):
    ...
    lazyrich.simulate.modules.slopes.NotFiniteError: the gradient of the loss in f(X) is NaN at \
sample 0: must be finite (look for sqrt, norm, log or a division at 0 in loss)
    """
    check_slopes(model, data.X)
    with torch.no_grad(), differentiable(model):
        f = mapped(_with_slope, call(model, data.X))
    outputs = [leaf for leaf in leaves(f) if isinstance(leaf, Tensor) and leaf.requires_grad]
    with torch.enable_grad():
        found = torch.autograd.grad(loss(f, data.y), outputs, materialize_grads=True)
    for g in found:
        if not bool(g.isfinite().all()):
            sample = int((~g.isfinite()).reshape(len(g), -1).any(1).nonzero()[0])
            raise NotFiniteError(
                f"the gradient of the loss in f(X) is {_word([g])} at sample {sample}: must be "
                "finite (look for sqrt, norm, log or a division at 0 in loss)"
            )


def _with_slope(leaf: Any) -> Any:
    real = isinstance(leaf, Tensor) and leaf.is_floating_point()
    return leaf.detach().requires_grad_() if real else leaf


def _wrong(model: nn.Module, x: Tree) -> str:
    """Return what is not finite at these samples, in words; empty where all is."""
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    with torch.enable_grad():
        f = flat(call(model, x))
        if not bool(f.isfinite().all()):
            return f"output is {_word([f])}"
        found = [g for g in gradients(f.sum(), named) if g is not None] if f.requires_grad else []
    return "" if all(bool(g.isfinite().all()) for g in found) else f"gradient is {_word(found)}"


def _word(values: list[Tensor]) -> str:
    return "NaN" if any(bool(value.isnan().any()) for value in values) else "infinite"


def _line(what: str, i: int, name: str) -> str:
    hint = " (look for sqrt, norm, log or a division at 0 in forward)"
    return f"the model's {what} at sample {i} of {name}: must be finite{hint * ('grad' in what)}"
