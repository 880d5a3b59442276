"""Training and test samples for any module."""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lazyrich.simulate.arrays import native
from lazyrich.simulate.modules.frozen import checked_model
from lazyrich.simulate.modules.trees import Tree, leaves, mapped, rows, taken, tensors


@dataclass(frozen=True)
class Data:
    """Training and test samples, one a row: inputs X, X_test and labels y, y_test.

    Each is a tensor, a NumPy array, a list of rows of numbers, or a tuple or dict of these: a tuple
    of inputs is passed to the module in order, a dict by name. Without a test set, test losses are
    NaN.

    >>> data = Data({"left": torch.zeros(3, 2), "right": torch.zeros(3, 2)}, torch.zeros(3))
    >>> len(data.y), len(data.y_test)
    (3, 0)
    """

    X: Tree
    y: Tree
    X_test: Tree = None
    y_test: Tree = None

    def __post_init__(self) -> None:
        for name in ("X", "y", "X_test", "y_test"):
            object.__setattr__(self, name, read(name, getattr(self, name)))
        if (self.X_test is None) != (self.y_test is None):
            missing = "X_test" if self.X_test is None else "y_test"
            raise ValueError(f"{missing} is missing: give both X_test and y_test, or neither")
        if self.X_test is None:
            rows("X", self.X)
            rows("y", self.y)
            object.__setattr__(self, "X_test", taken(self.X, slice(0, 0)))
            object.__setattr__(self, "y_test", taken(self.y, slice(0, 0)))
        for x, y in (("X", "y"), ("X_test", "y_test")):
            counts = rows(x, getattr(self, x)), rows(y, getattr(self, y))
            if counts[0] != counts[1]:
                hint = ""
                if isinstance(side := getattr(self, x), list):
                    hint = f" ({x} is taken as {len(side)} inputs: make samples one array)"
                raise ValueError(f"{y} has {counts[1]} rows: must be {counts[0]}, as {x} has{hint}")
        if not rows("X", self.X):
            raise ValueError("X has 0 rows: must have at least 1")

    def to(self, *args: Any) -> "Data":
        """Return the data on a device; float arrays in a dtype. As ``Tensor.to``."""
        return Data(*(mapped(lambda x: _moved(x, args), side) for side in self.sides()))

    def sides(self) -> tuple[Tree, Tree, Tree, Tree]:
        """Return X, y, X_test and y_test."""
        return self.X, self.y, self.X_test, self.y_test

    def fitted(self, model: nn.Module) -> "Data":
        """Return the data with NumPy arrays as tensors of the model's dtype and device.

        Raises ``ValueError`` for what ``checked_model`` and ``tensors`` refuse.
        """
        like = next(p for p in checked_model(model).parameters() if p.requires_grad)
        names = ("X", "y", "X_test", "y_test")
        sides = zip(names, self.sides(), strict=True)
        return Data(*(tensors(side, like, name) for name, side in sides))


def checked_data(data: object) -> Data:
    """Return ``data`` if it is ``Data``. Raises ``ValueError`` otherwise."""
    if not isinstance(data, Data):
        raise ValueError(f"data is {type(data).__name__}: must be simulate.Data")
    return data


def read(name: str, side: Any) -> Tree:
    """Return lists of numbers as an array, and tensors without a gradient of their own.

    >>> read("X", [[1, 2], [3, 4]]).shape
    (2, 2)
    >>> read("X", [[1, 2], [3]])
    Traceback (most recent call last):
    ...
    ValueError: X is a list whose rows differ in length: must be a table of numbers
    """
    if isinstance(side, list) and all(isinstance(leaf, numbers.Real) for leaf in leaves(side)):
        try:
            return np.array(side)
        except ValueError:
            raise ValueError(
                f"{name} is a list whose rows differ in length: must be a table of numbers"
            ) from None
    if isinstance(side, Tensor) and not side.requires_grad:
        return side
    if side is None:
        return None
    return mapped(lambda x: x.detach() if isinstance(x, Tensor) else x, side)


def _moved(side: Any, args: tuple) -> Tensor:
    side = side if isinstance(side, Tensor) else torch.as_tensor(native(side))
    if not side.is_floating_point():  # class labels and tokens keep their type
        args = tuple(a for a in args if not isinstance(a, torch.dtype))
    return side.to(*args) if args else side
