"""Data for the matrix model: some entries of a symmetric matrix, to be completed."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from lazyrich.simulate.arrays import generator, natural, symmetric_matrix
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.support.arguments import finite, positive_integer


class CompletionTask:
    """n observed entries of a symmetric d x d matrix, each counted once for (i, j) and (j, i).

    ``rows`` <= ``columns`` (n,) are the places of the observed entries and ``y`` (n,) their values;
    ``X`` (d, d) is the whole matrix, NaN where the entry is unknown. Made by
    ``matrix_completion`` or ``CompletionTask.from_arrays``.
    """

    y: Float[Tensor, " n"]
    X: Float[Tensor, "d d"]

    def __init__(self, X: Float[Tensor, "d d"], observed: np.ndarray, made_by: dict) -> None:
        """Take the matrix and which of its entries are observed, a symmetric (d, d) of booleans."""
        _check_determined(X.numpy(), observed)
        rows, columns = np.nonzero(np.triu(observed))
        self.rows, self.columns = torch.from_numpy(rows), torch.from_numpy(columns)
        self.X, self.y = X, X[self.rows, self.columns]
        self._made_by = made_by

    @classmethod
    @checks_its_arguments
    def from_arrays(cls, X: object, observed: object) -> "CompletionTask":
        """Return the task on this matrix (d, d), of which the entries in ``observed`` are seen.

        ``observed`` (d, d) holds booleans; an entry seen at (i, j) is seen at (j, i). Entries of X
        that are not seen serve as the test set, or are NaN. Raises ``ValueError`` for bad shapes,
        for an X that is not symmetric, and for an observed set that leaves the completion
        undetermined: a row without an entry or, where X is known, another matrix of its rank, near
        X, with the same entries.

        >>> CompletionTask.from_arrays([[1.0, 2.0], [2.0, 4.0]], [[True, False], [False, False]])
        Traceback (most recent call last):
        ...
        ValueError: observed has no entry in row 1: the completion is undetermined
        """
        try:
            mask = np.asarray(observed)
            values = np.asarray(X, dtype=float)
        except (ValueError, TypeError):
            raise ValueError("X, observed: must be arrays of numbers and of booleans") from None
        if mask.dtype != bool or mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
            raise ValueError(f"observed has shape {mask.shape}, {mask.dtype}: must be (d, d), bool")
        if values.shape != mask.shape:
            raise ValueError(f"X has shape {values.shape}: must be {mask.shape}, as observed")
        # One side may be NaN where the other is known.
        values = np.where(np.isnan(values), values.T, values)
        mask = mask | mask.T
        if np.isnan(values[mask]).any():
            raise ValueError("X is NaN at an observed entry: must be finite")
        matrix = symmetric_matrix("X", np.nan_to_num(values), len(mask))
        matrix[torch.from_numpy(np.isnan(values))] = torch.nan
        return cls(matrix, mask, {"seed": None})

    @property
    def n(self) -> int:
        """The number of observed entries."""
        return len(self.y)

    @property
    def d(self) -> int:
        """The dimension of the matrix."""
        return self.X.shape[0]

    def gradient(self, slopes: Float[Tensor, " n"]) -> Float[Tensor, "d d"]:
        """Return the symmetric matrix sum_i slopes_i dW_(i)/dW, with dW symmetric."""
        G = slopes.new_zeros(self.d, self.d)
        G[self.rows, self.columns] = slopes / 2
        return G + G.T

    def test_loss(self, W: Float[Tensor, "d d"]) -> float:
        """Return the mean square error over the entries that are not observed."""
        seen = torch.zeros(self.d, self.d, dtype=torch.bool)
        seen[self.rows, self.columns] = True
        hidden = torch.triu(~(seen | seen.T))
        return float((W - self.X)[hidden].square().mean())

    def describe(self) -> dict:
        """Return what identifies the task: what made it, sizes, a digest."""
        parts = (self.rows, self.columns, self.X)
        digest = hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts))
        return {**self._made_by, "n": self.n, "d": self.d, "sha256": digest.hexdigest()}


@checks_its_arguments
def matrix_completion(
    d: int = 97, observed: float = 0.05, seed: int = 0, X: object = None
) -> CompletionTask:
    """Return the task of completing X, X_ij = i j/d^2 (i, j = 1, ..., d) unless given.

    ``observed`` is the share of the d^2 entries that are drawn, without repeats; what is seen at
    (i, j) is seen at (j, i), so that nearly twice this share of X is known. Raises ``ValueError``
    for bad input and where the draw leaves the completion undetermined (see
    ``CompletionTask.from_arrays``).

    >>> task = matrix_completion(d=20, observed=0.3, seed=0)
    >>> task.n, float(task.X[-1, -1])
    (104, 1.0)
    >>> matrix_completion(d=20, observed=0.05, seed=0)
    Traceback (most recent call last):
    ...
    ValueError: observed has no entry in row 19: the completion is undetermined
    """
    d, seed = positive_integer("d", d), natural("seed", seed)
    share = finite("observed", observed, positive=True)
    if share > 1:
        raise ValueError(f"observed = {share:g}: must be a share of at most 1")
    count = round(share * d * d)
    if count < 1:
        raise ValueError(f"observed = {share:g}: leaves none of {d * d} entries")
    numbers = torch.arange(1.0, d + 1, dtype=torch.float64) / d
    matrix = torch.outer(numbers, numbers) if X is None else symmetric_matrix("X", X, d)
    drawn = generator(seed, "observed entries").choice(d * d, size=count, replace=False)
    mask = np.zeros(d * d, dtype=bool)
    mask[drawn] = True
    mask = mask.reshape(d, d)
    made_by = {"task": "matrix_completion", "observed": share, "seed": seed}
    return CompletionTask(matrix, mask | mask.T, made_by)


def _check_determined(X: np.ndarray, observed: np.ndarray) -> None:
    empty = np.flatnonzero(~observed.any(1))
    if len(empty):
        raise ValueError(f"observed has no entry in row {empty[0]}: the completion is undetermined")
    if np.isnan(X).any():
        return
    free = freedom(X, observed)
    if free:
        raise ValueError(
            f"observed: {free} ways to change X, keeping its rank, change no observed entry: "
            "the completion is undetermined"
        )


def freedom(X: np.ndarray, observed: np.ndarray) -> int:
    """Return the dimension of the matrices of the rank of X, near X, with its observed entries.

    The tangents at X = V S V^T to the symmetric matrices of rank r are H V^T + V H^T, H (d, r), of
    dimension d r - r (r-1)/2 (Singer and Cucuringu 2010). This is that dimension less the rank of
    the map from H to the observed entries.

    >>> X = np.ones((3, 3))
    >>> freedom(X, np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool))   # (t, 1/t, t)
    1
    """
    values, vectors = np.linalg.eigh(X)
    size = np.abs(values)
    V = vectors[:, size > len(X) * np.finfo(float).eps * size.max()]
    d, r = V.shape
    if not r:
        return 0
    rows, columns = np.nonzero(np.triu(observed))
    moved = np.zeros((len(rows), d, r))
    entries = np.arange(len(rows))
    moved[entries, rows] += V[columns]
    moved[entries, columns] += V[rows]
    flat = moved.reshape(len(rows), -1)
    return d * r - r * (r - 1) // 2 - int(np.linalg.matrix_rank(flat))
