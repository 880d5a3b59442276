"""Training and test samples for any module."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Data:
    """Training and test samples, one a row: inputs X, X_test and labels y, y_test."""

    X: Tensor
    y: Tensor
    X_test: Tensor
    y_test: Tensor

    def __post_init__(self) -> None:
        for x, y in (("X", "y"), ("X_test", "y_test")):
            rows = len(getattr(self, x)), len(getattr(self, y))
            if rows[0] != rows[1]:
                raise ValueError(f"{y} has {rows[1]} rows: must be {rows[0]}, as {x} has")
        if not len(self.X):
            raise ValueError("X has 0 rows: must have at least 1")

    def to(self, *args: Any) -> "Data":
        """Return the data on a device; float arrays in a dtype. As ``Tensor.to``."""
        sides = (self.X, self.y, self.X_test, self.y_test)
        return Data(*(_moved(side, args) for side in sides))


def _moved(side: Tensor, args: tuple) -> Tensor:
    if not side.is_floating_point():  # class labels and tokens keep their type
        args = tuple(a for a in args if not isinstance(a, torch.dtype))
    return side.to(*args) if args else side
