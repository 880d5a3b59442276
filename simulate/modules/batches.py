"""Mini-batches determined by the seed and the step number."""

import math

import torch
from torch import Tensor

from lazyrich.simulate.arrays import generator
from lazyrich.support.arguments import positive_integer


class Batches:
    """The samples of each step, from the seed and the step alone: a run can begin anywhere.

    Every sample once an epoch, in an order of that epoch's own; the last batch of an epoch is
    smaller if need be. ``size`` None is the full batch.

    >>> batches = Batches(5, 2, seed=0)
    >>> [len(batches.at(step)) for step in range(4)]
    [2, 2, 1, 2]
    >>> sorted(torch.cat([batches.at(step) for step in range(3)]).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, n: int, size: int | None, seed: int) -> None:
        self.n, self.size, self._seed = n, n, seed
        if size is not None:
            self.size = min(n, positive_integer("batch_size", size))
        self.key = [self.size, seed if self.size < n else None]
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def at(self, step: int) -> Tensor | None:
        """Return the indices of the samples of the step after ``step`` others; None for all."""
        if self.size == self.n:
            return None
        epoch, part = divmod(step, math.ceil(self.n / self.size))
        if epoch != self._epoch:
            order = generator(self._seed, "batches", epoch).permutation(self.n)
            self._epoch, self._order = epoch, torch.from_numpy(order)
        return self._order[part * self.size : (part + 1) * self.size]
