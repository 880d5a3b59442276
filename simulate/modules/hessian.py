"""Products of the Hessian of a training loss with vectors, for any module.

By reverse mode twice. Where an operation has no second derivative (activation checkpointing,
custom functions) or a wrong one (torch's own weight_norm), by differences of gradients in float64.
(curvlinops has the first way only, and neither chooses the kernels of attention that have second
derivatives nor takes tuples and dicts.)
"""

import copy
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import grad, vjp

from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.frozen import called, checked_model, copied
from lazyrich.simulate.modules.jacobian import MISSING, at
from lazyrich.simulate.modules.losses import Loss, check_value
from lazyrich.simulate.modules.trees import Tree, backward, call, mapped, rows, taken
from lazyrich.simulate.modules.untouched import differentiable
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import shown

# Samples on which second derivatives are checked, the step for it over |w|, and how far they may be
# apart, relative to the larger one.
_CHECKED, _SHORT, _APART = 4, 1e-7, 1e-3


class Hessian:
    """The Hessian of the loss over the training set, in the trained weights.

    ``batch`` samples at a time; the loss must then be a mean over the samples.
    """

    @checks_its_arguments
    def __init__(
        self,
        model: nn.Module,
        data: Data,
        loss: Loss,
        weights: Mapping[str, Tensor] | None = None,
        batch: int | None = None,
    ) -> None:
        checked_model(model)
        own = dict(model.named_parameters())
        given = own if weights is None else weights
        if not isinstance(given, Mapping) or not own.keys() <= given.keys():
            raise ValueError(f"weights = {shown(weights)}: must be tensors by name: {list(own)}")
        here = {n: given[n].detach() for n, p in model.named_parameters() if p.requires_grad}
        if not all(bool(value.isfinite().all()) for value in here.values()):
            raise ValueError("the weights are not finite: must be finite")
        data = data.fitted(model)
        if any(v.dtype in (torch.float16, torch.bfloat16) for v in here.values()):
            model, here, data = _in(torch.float32, model, here, data)
        self._model, self._at, self._data, self._loss = model, here, data, loss
        self._n = rows("X", data.X)
        self._batch = self._n if batch is None else min(batch, self._n)
        self._sizes = [v.numel() for v in here.values()]
        self.size = sum(self._sizes)
        self._pull, self._exact = None, True
        if _is_wrong_twice(self):
            self._by_differences()
        with torch.no_grad(), differentiable(self._model):
            _, X, y = next(self._parts())
            try:
                f = at(self._model, self._at, X)
            except RuntimeError:
                called(self._model, X)  # it says in one line why it can't be
                raise
            check_value(loss, f, y)

    def __matmul__(self, vector: np.ndarray) -> np.ndarray:
        """Return the product with a vector, in float64."""
        example = next(iter(self._at.values()))
        v = torch.as_tensor(vector.ravel(), dtype=example.dtype, device=example.device)
        if self._exact:
            try:
                return self._twice(v)
            except MISSING:
                self._by_differences()
                example = next(iter(self._at.values()))
        return self._differences(torch.as_tensor(vector.ravel()).to(example))

    def _by_differences(self) -> None:
        """Go over to differences of gradients in float64."""
        self._exact, self._pull = False, None
        moved = _in(torch.float64, self._model, self._at, self._data)
        self._model, self._at, self._data = moved

    def _parts(self) -> Iterator[tuple[float, Tree, Tree]]:
        for start in range(0, self._n, self._batch):
            index = slice(start, start + self._batch)
            X, y = taken(self._data.X, index), taken(self._data.y, index)
            yield (1.0 if self._batch == self._n else len(range(self._n)[index]) / self._n), X, y

    def _twice(self, v: Tensor) -> np.ndarray:
        names, total = list(self._at), None
        shapes = [value.shape for value in self._at.values()]
        parts = zip(names, v.split(self._sizes), shapes, strict=True)
        tangent = {name: part.reshape(shape) for name, part, shape in parts}
        with differentiable(self._model):
            for share, X, y in self._parts():
                pull = self._pull or self._pulling(X, y)
                if self._batch == self._n:  # the one graph serves all products
                    self._pull = pull
                moved = pull(tangent)[0]
                found = torch.cat([moved[name].flatten() for name in names]).double()
                total = share * found if total is None else total + share * found
        assert total is not None
        return total.cpu().numpy()

    def _pulling(self, X: Tree, y: Tree):
        def value(weights: dict[str, Tensor]) -> Tensor:
            return self._loss(at(self._model, weights, X), y)

        return vjp(grad(value), self._at)[1]

    def _differences(self, v: Tensor, part: float = 0.0) -> np.ndarray:
        start = torch.cat([value.flatten() for value in self._at.values()])
        length = float(v.norm())
        if length == 0:
            return np.zeros(self.size)
        step = (
            (part or torch.finfo(v.dtype).eps ** (1 / 3)) * max(1.0, float(start.norm())) / length
        )
        ends = [self._gradient(start + sign * step * v) for sign in (1, -1)]
        return ((ends[0] - ends[1]) / (2 * step)).cpu().numpy()

    def _gradient(self, flat: Tensor) -> Tensor:
        """Return the gradient at these weights; the model is a copy that is ours."""
        named = dict(self._model.named_parameters())
        with torch.no_grad():
            for name, part in zip(self._at, flat.split(self._sizes), strict=True):
                named[name].copy_(part.reshape(named[name].shape))
        total = torch.zeros(self.size, dtype=torch.float64, device=flat.device)
        with torch.enable_grad():
            for share, X, y in self._parts():
                self._model.zero_grad(set_to_none=True)
                backward(self._loss(call(self._model, X), y))
                grads = [named[n].grad for n in self._at]
                parts = [
                    torch.zeros(size, dtype=flat.dtype, device=flat.device)
                    if g is None
                    else g.flatten()
                    for g, size in zip(grads, self._sizes, strict=True)
                ]
                total += share * torch.cat(parts).double()
        return total


def _is_wrong_twice(hessian: Hessian) -> bool:
    """Return whether a second derivative of torch differs from a difference of gradients.

    In float64, on a few samples, along one direction; by a step so short that it crosses no kink.
    """
    small = copy.copy(hessian)
    try:
        moved = _in(torch.float64, hessian._model, hessian._at, hessian._data)
        small._model, small._at, data = moved
        small._data = Data(taken(data.X, slice(0, _CHECKED)), taken(data.y, slice(0, _CHECKED)))
        small._n = small._batch = rows("X", small._data.X)
        like = next(iter(small._at.values()))
        v = torch.from_numpy(np.random.default_rng(1).standard_normal(small.size)).to(like)
        twice, once = small._twice(v), small._differences(v, _SHORT)
    except Exception:  # a user's model or loss may not work like this: nothing is known
        return False
    size = float(np.linalg.norm(once))
    return math.isfinite(size) and float(np.linalg.norm(twice - once)) > _APART * size


def _in(
    dtype: torch.dtype, model: nn.Module, weights: Mapping[str, Tensor], data: Data
) -> tuple[nn.Module, dict[str, Tensor], Data]:
    """Return copies in another floating type."""

    def moved(x: Tensor) -> Tensor:
        return x.to(dtype) if x.is_floating_point() else x

    sides = (mapped(moved, side) for side in data.sides())
    return (
        copied(model).to(dtype),
        {n: v.to(dtype) for n, v in weights.items()},
        Data(*sides),
    )
