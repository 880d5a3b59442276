"""Labels that the network's precision can't reach, told before any work."""

import torch
from torch import Tensor

from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.modules.frozen import copied
from lazyrich.simulate.modules.losses import Loss, cross_entropy
from lazyrich.simulate.modules.trees import call, flat, taken
from lazyrich.simulate.modules.untouched import untouched
from lazyrich.simulate.outcome import SHARE

# Samples on which the rounding of outputs is looked at.
_SAMPLES = 128


def check_scales(expansion: Expansion, loss: Loss) -> None:
    """Raise ``ValueError`` where labels are too small or too large for the network's precision.

    A loss can't fall to 2/15 of that of predicting 0 where the outputs move in steps larger than
    the labels, and it says nothing where it is 0 or infinite by rounding.

    >>> from lazyrich.simulate import Data
    >>> X = torch.ones(2, 1)
    >>> check_scales(Expansion(torch.nn.Linear(1, 1), Data(X, X)), torch.nn.functional.mse_loss)
    """
    if loss is cross_entropy:
        return
    data, steps = expansion.data, None
    for name, f0, y in (("y", expansion.f0, data.y), ("y_test", expansion.f0_test, data.y_test)):
        if not isinstance(y, Tensor) or not y.is_floating_point() or y.shape != f0.shape:
            continue
        dtype = expansion.like.dtype
        named = str(dtype).removeprefix("torch.")
        size = float(y.double().square().mean().sqrt())
        value = float(loss(torch.zeros_like(f0, dtype=dtype), y.to(dtype)))
        if not 0 < size < torch.inf or value != value:
            continue  # labels without any loss, or that are no numbers, are told elsewhere
        about = f"{name} has size {size:.2g} (root mean square)"
        if value in (0, torch.inf):
            way = "up" if value == 0 else "down"
            raise ValueError(
                f"{about}: its loss is {value:g} in {named}, by rounding; scale {name} {way}"
            )
        steps = _steps_of_outputs(expansion) if steps is None else steps
        if SHARE**0.5 * size < steps:
            raise ValueError(
                f"{about}, but rounding of the weights in {named} moves the outputs by {steps:.2g},"
                f" so that no loss can fall to 2/15 of that of predicting 0; scale {name} up"
                + ("" if dtype == torch.float64 else ", or use model.double()")
            )


def _steps_of_outputs(expansion: Expansion) -> float:
    """Return by how much outputs move as every weight is rounded: by one unit in its last place."""
    model, dtype = copied(expansion.model), expansion.like.dtype
    X = taken(expansion.data.X, slice(0, _SAMPLES))
    signs = torch.Generator().manual_seed(0)
    with torch.no_grad(), untouched(model):
        before = flat(call(model, X)).double()
        for weight in (p for p in model.parameters() if p.requires_grad):
            sign = torch.randint(0, 2, weight.shape, generator=signs).to(weight) * 2 - 1
            weight.mul_(1 + torch.finfo(dtype).eps * sign)
        moved = flat(call(model, X)).double() - before
    return float(moved.square().mean().sqrt())
