"""Inputs and labels in any form: tensors, NumPy arrays, and tuples or dicts of these.

A tuple is the arguments of the module's ``forward`` in order, a dict its arguments by name. Where
``forward`` takes one argument only, it gets the tuple or dict as it is.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lazyrich.simulate.arrays import native
from lazyrich.support.arguments import dense
from lazyrich.support.user_code import end_of_program, guarded

# A tensor, an array, or a tuple or dict of these; every one has a row for each sample.
Tree = Any
# torch's own, which run the hooks of the user.
gradients_of = guarded("the model's gradient", torch.autograd.grad)
backward = guarded("the model's gradient", Tensor.backward)


def mapped(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """Apply ``function`` to every tensor or array of a tree.

    >>> mapped(lambda x: 2 * x, {"a": torch.tensor(1), "b": (torch.tensor(2),)})
    {'a': tensor(2), 'b': (tensor(4),)}
    """
    if isinstance(tree, Mapping):
        return {name: mapped(function, part) for name, part in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [mapped(function, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return function(tree)


def leaves(tree: Tree) -> list[Any]:
    """Return every tensor or array of a tree, in order."""
    found: list[Any] = []
    mapped(found.append, tree)
    return found


def combined(function: Callable[..., Any], *trees: Tree) -> Tree:
    """Apply ``function`` to the tensors at the same place of several trees of one form.

    >>> combined(torch.add, (torch.tensor(1),), (torch.tensor(2),))
    (tensor(3),)
    """
    columns = iter(list(zip(*map(leaves, trees), strict=True)))
    return mapped(lambda _: function(*next(columns)), trees[0])


def taken(tree: Tree, index: Any) -> Tree:
    """Return the samples at ``index`` (a slice, or a tensor of numbers) of every tensor.

    >>> taken((torch.arange(4), torch.arange(4, 8)), slice(1, 3))
    (tensor([1, 2]), tensor([5, 6]))
    """
    return mapped(lambda leaf: leaf[index], tree)


def rows(name: str, tree: Tree) -> int:
    """Return the number of samples. Raises ``ValueError`` where tensors differ in it.

    >>> rows("X", (torch.zeros(3, 2), torch.zeros(2)))
    Traceback (most recent call last):
    ...
    ValueError: X has parts with 3 and 2 rows: must have one row for each sample in every part
    """
    found = leaves(tree)
    for leaf in found:
        dense(name, leaf)
        if not isinstance(leaf, Tensor | np.ndarray):
            raise ValueError(
                f"{name} is or holds {type(leaf).__name__}: must be a tensor, a NumPy array, or a "
                "tuple or dict of these"
            )
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind not in "biufc":
            raise ValueError(f"{name} has dtype {leaf.dtype}: must be numbers")
        if leaf.ndim < 1:
            raise ValueError(f"{name} has shape (): must be (n, ...)")
    counts = sorted({len(leaf) for leaf in found}, reverse=True)
    if len(counts) != 1:
        if not counts:
            raise ValueError(f"{name} is empty: must hold at least one tensor")
        numbers = " and ".join(map(str, counts))
        raise ValueError(
            f"{name} has parts with {numbers} rows: must have one row for each sample in every part"
        )
    return counts[0]


def tensors(tree: Tree, like: Tensor, name: str = "X") -> Tree:
    """Return the tree with NumPy arrays as tensors: on the device of ``like``, floats in its dtype.

    Tensors stay as they are, without a gradient of their own; those of ``torch.inference_mode`` are
    copied. Raises ``ValueError`` where all numbers of an array are 0 in that dtype, or some
    infinite; ``name`` is that of the tree.

    >>> tensors({"x": np.ones(2), "label": np.arange(2)}, torch.zeros(1))
    {'x': tensor([1., 1.]), 'label': tensor([0, 1])}
    """

    def made(leaf: Any) -> Tensor:
        if isinstance(leaf, Tensor):  # one made in inference mode has no use in a derivative
            return leaf.clone() if leaf.is_inference() else leaf.detach()
        leaf = native(np.ascontiguousarray(leaf))
        found = torch.as_tensor(leaf, device=like.device)
        if not found.is_floating_point() or found.dtype == like.dtype:
            return found
        check_range(name, found, like.dtype)
        return found.to(like.dtype)

    return mapped(made, tree)


def check_range(name: str, values: Tensor, dtype: torch.dtype) -> None:
    """Raise ``ValueError`` where finite numbers are infinite in another dtype, or all become 0.

    >>> check_range("y", torch.tensor([1e300], dtype=torch.float64), torch.float32)
    Traceback (most recent call last):
    ...
    ValueError: y has entries of up to 1e+300: torch.float32, in which the model computes, has no \
such numbers; scale y
    """
    largest = float(values.abs().max()) if values.numel() else 0.0
    if not math.isfinite(largest) or largest == 0:
        return
    there = float(values.new_tensor(largest).to(dtype))
    if there == 0 or not math.isfinite(there):
        raise ValueError(
            f"{name} has entries of up to {largest:g}: {dtype}, in which the model computes, has "
            f"no such numbers; scale {name}"
        )


def joined(trees: list[Tree]) -> Tree:
    """Return trees of the same form as one, sample after sample."""
    return combined(lambda *parts: torch.cat(parts), *trees)


def call(model: nn.Module, X: Tree) -> Any:
    """Return what the module gives for these inputs.

    >>> class Both(nn.Module):
    ...     def forward(self, left, right):
    ...         return left - right
    >>> three, one = torch.tensor([3]), torch.tensor([1])
    >>> call(Both(), (three, one)), call(Both(), {"right": one, "left": three})
    (tensor([2]), tensor([2]))
    """
    try:
        if isinstance(X, Mapping):
            return model(**X) if _accepts(model, (), X) else model(X)
        if isinstance(X, tuple):
            return model(*X) if _accepts(model, X, {}) else model(X)
        return model(X)
    except Exception:
        raise
    except BaseException as error:
        raise end_of_program("the model", error) from error


def _accepts(model: nn.Module, places: tuple, names: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(innermost(model).forward).bind(*places, **names)
    except TypeError:
        return False
    return True


class Around(nn.Module):
    """A predictor made of a network, ``model``, whose arguments it takes."""

    model: nn.Module


def innermost(model: nn.Module) -> nn.Module:
    """Return the network inside ``Scaled`` and ``linearise``."""
    while isinstance(model, Around):
        model = model.model
    return model


def flat(f: Any) -> Tensor:
    """Return a module's output as one tensor, (n, ...): several tensors side by side, (n, C).

    >>> flat((torch.zeros(3, 2), torch.zeros(3))).shape
    torch.Size([3, 3])
    """
    if isinstance(f, Tensor):
        return f
    parts = [part for part in leaves(f) if isinstance(part, Tensor)]
    if not parts:
        raise ValueError(f"the model returns {type(f).__name__}: must return tensors")
    return torch.cat([part.reshape(len(part), -1) for part in parts], 1)
