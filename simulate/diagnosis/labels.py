"""The kernel at the start against the labels: which directions it learns, and how hard they are."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lazyrich.simulate.modules.measures import kernel_alignments

# Kernels up to this many rows are taken whole; larger ones summed over the outputs.
WHOLE = 1500


@dataclass(frozen=True)
class KernelAndLabels:
    """The spectrum of a train kernel and the power of the residual y - f(w0) in its directions.

    ``eigenvalues`` fall; ``power[i]`` is the share of |y - f(w0)|^2 in the first i + 1 directions.
    ``alignment``: the centred kernel-task alignment. ``effective_dimension``: (sum k)^2/sum k^2.
    ``half``: how many directions hold half of the residual. ``traced``: whether the kernel was
    summed over the outputs.
    """

    eigenvalues: np.ndarray
    power: np.ndarray
    alignment: float
    effective_dimension: float
    traced: bool

    @property
    def half(self) -> int:
        """Return how many directions hold half of the residual's power."""
        return int(np.searchsorted(self.power, 0.5)) + 1


def against_labels(K: Tensor, residual: Tensor) -> KernelAndLabels:
    """Compare a train kernel (n C, n C) with the residual (n, *out).

    >>> K, y = torch.diag(torch.tensor([4.0, 1.0])), torch.tensor([1.0, 1.0])
    >>> found = against_labels(K, y)
    >>> found.power.tolist(), round(found.effective_dimension, 3)
    ([0.5, 1.0], 1.471)
    """
    n, C = len(residual), residual[0].numel()
    labels = residual.reshape(n, C).double()
    traced = len(K) > WHOLE and C > 1
    if traced:
        K = K.reshape(n, C, n, C).diagonal(dim1=1, dim2=3).sum(-1)
    else:
        labels = labels.reshape(-1, 1)
    values, vectors = torch.linalg.eigh(K.double())
    power = (vectors.T @ labels).square().sum(1).flip(0).cumsum(0)
    values = values.flip(0).clamp(min=0)
    whole = residual if not traced else labels
    shape = (n, n) if traced else (*residual.shape, *residual.shape)
    return KernelAndLabels(
        values.numpy(),
        (power / power[-1].clamp(min=1e-300)).numpy(),
        kernel_alignments(K.reshape(shape), whole.double())["centred_alignment"],
        float(values.sum() ** 2 / values.square().sum().clamp(min=1e-300)),
        traced,
    )
