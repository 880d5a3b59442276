"""Data for diagonal linear networks: inputs with labels, whose features satisfy the assumptions.

The theory needs linearly separable features in classification, linearly independent ones in
regression. A data set without them is refused in one line.
"""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from lazyrich.simulate.arrays import generator, natural, real_array, standard_normal
from lazyrich.simulate.lyu.losses import CLASSIFICATION, REGRESSION
from lazyrich.simulate.shapes import Float, checks_its_arguments
from lazyrich.support.arguments import finite, one_of, positive_integer

# Test inputs are made, used and dropped this many numbers at a time: 10^4 points in 10^5
# dimensions would fill 8 GB.
CHUNK = 16_000_000

Chunk = tuple[Tensor, Tensor]


class LinearTask:
    """n samples (X, y), X (n, d), with test samples that come in chunks.

    ``kind`` is "classification", with labels 1 and -1, or "regression". X, y are float64 tensors
    on the CPU; ``w_star`` (d,) is the planted vector, None where there is none. Made by
    ``sparse_classification``, ``large_margin_classification``, ``sparse_regression`` or
    ``LinearTask.from_arrays``.
    """

    X: Float[Tensor, "n d"]
    y: Float[Tensor, " n"]

    def __init__(
        self,
        kind: str,
        X: Float[Tensor, "n d"],
        y: Float[Tensor, " n"],
        test: Callable[[], Iterator[Chunk]],
        made_by: dict,
        w_star: Float[Tensor, " d"] | None = None,
    ) -> None:
        self.kind, self.X, self.y = kind, X, y
        self.w_star, self._test, self._made_by = w_star, test, made_by
        if kind == CLASSIFICATION:
            _check_separable(X, y)
        else:
            _check_independent(X)

    @classmethod
    @checks_its_arguments
    def from_arrays(
        cls, kind: str, X: object, y: object, X_test: object = None, y_test: object = None
    ) -> "LinearTask":
        """Return the task of this kind on these inputs (n, d) and labels (n,).

        Without test arrays what is measured on them is NaN. Raises ``ValueError`` for bad shapes,
        for labels other than 1 and -1 in classification, for classes that no hyperplane through
        the origin separates, and for linearly dependent inputs in regression.

        >>> LinearTask.from_arrays("classification", [[1.0], [2.0]], [1, -1])
        Traceback (most recent call last):
        ...
        ValueError: X, y: not linearly separable: no w has y_i x_i.w > 0 for all 2 samples
        """
        one_of("kind", kind, (CLASSIFICATION, REGRESSION))
        inputs, labels = _pair(kind, "X", X, "y", y)
        tests: list[Chunk] = []
        if X_test is not None or y_test is not None:
            tests = [_pair(kind, "X_test", X_test, "y_test", y_test, inputs.shape[1])]
        return cls(kind, inputs, labels, lambda: iter(tests), {"seed": None})

    @property
    def n(self) -> int:
        """The number of training samples."""
        return self.X.shape[0]

    @property
    def d(self) -> int:
        """The dimension of the inputs."""
        return self.X.shape[1]

    def test_chunks(self) -> Iterator[Chunk]:
        """Yield the test samples, in chunks (X (m, d), y (m,)), the same ones every time."""
        return self._test()

    def describe(self) -> dict:
        """Return what identifies the task: what made it, sizes, a digest of the training set."""
        digest = hashlib.sha256(self.X.numpy().tobytes() + self.y.numpy().tobytes())
        sizes = {"kind": self.kind, "n": self.n, "d": self.d}
        return {**self._made_by, **sizes, "sha256": digest.hexdigest()}


def _pair(kind: str, X_name: str, X: object, y_name: str, y: object, d: int | None = None) -> Chunk:
    shape = "(n, d) with n, d >= 1" if d is None else f"(n_test, d) with d = {d}"
    inputs = real_array(X_name, X, (None, d), shape)
    n = inputs.shape[0]
    labels = real_array(y_name, y, (n,), f"({n},), one label a row of {X_name}")
    if kind == CLASSIFICATION and not bool((labels.abs() == 1).all()):
        wrong = float(labels[labels.abs() != 1][0])
        raise ValueError(f"{y_name} has an entry {wrong:g}: labels must be 1 or -1")
    return inputs, labels


def rank(X: Float[Tensor, "n d"]) -> int:
    """Return the numerical rank, by the eigenvalues of the smaller Gram matrix.

    >>> rank(torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64))
    1
    """
    n, d = X.shape
    eigenvalues = torch.linalg.eigvalsh(X @ X.T if n <= d else X.T @ X)
    floor = max(n, d) * torch.finfo(X.dtype).eps * float(eigenvalues[-1])
    return int((eigenvalues > floor).sum())


def _check_independent(X: Tensor) -> None:
    found = rank(X)
    if found < X.shape[0]:
        raise ValueError(
            f"X has rank {found} for {X.shape[0]} samples: rows must be linearly independent"
        )


def _check_separable(X: Tensor, y: Tensor) -> None:
    """Refuse classes without a w such that y_i x_i.w >= 1: a linear programme, or none needed."""
    if rank(X) == X.shape[0]:  # then any labels can be interpolated
        return
    signed = (y[:, None] * X).numpy()
    n, d = signed.shape
    found = linprog(np.zeros(d), -signed, -np.ones(n), bounds=(None, None), method="highs")
    if found.status == 2:
        raise ValueError(
            f"X, y: not linearly separable: no w has y_i x_i.w > 0 for all {n} samples"
        )
    if found.status != 0:
        raise ValueError(f"X, y: separability could not be decided: {found.message}")


def _chunks(
    seed: int, n_test: int, d: int, draw: Callable[[np.random.Generator, int], Chunk]
) -> Callable[[], Iterator[Chunk]]:
    def chunks() -> Iterator[Chunk]:
        size = max(1, CHUNK // d)
        stream = generator(seed, "test inputs")
        for first in range(0, n_test, size):
            yield draw(stream, min(size, n_test - first))

    return chunks


def _signs(stream: np.random.Generator, m: int, d: int) -> Tensor:
    """Return m rows of d fair signs; each row uses up whole words, so that rows are nested."""
    words = -(-d // 32) * 4
    bits = np.frombuffer(stream.bytes(m * words), np.uint8).reshape(m, words)
    return torch.from_numpy(2.0 * np.unpackbits(bits, axis=1, count=d) - 1.0)


@checks_its_arguments
def sparse_classification(
    d: int, n: int, k: int = 3, n_test: int = 1000, seed: int = 0
) -> LinearTask:
    """Return x uniform in {-1, 1}^d with y = sign(x_1 + ... + x_k), k odd.

    ``w_star`` is 1 on the first k coordinates, so that its L1 margin is large: the setting in
    which the late bias generalises (grokking). Training inputs of one seed are nested in n.
    Raises ``ValueError`` for bad input.

    >>> task = sparse_classification(d=50, n=8, n_test=5, seed=0)
    >>> bool(((task.X @ task.w_star).sign() == task.y).all()), len(next(task.test_chunks())[1])
    (True, 5)
    """
    d, n, k = (positive_integer(*pair) for pair in (("d", d), ("n", n), ("k", k)))
    n_test, seed = positive_integer("n_test", n_test), natural("seed", seed)
    if k % 2 == 0 or k > d:
        raise ValueError(f"k = {k}: must be odd and at most d = {d}, so that no label is 0")

    def draw(stream: np.random.Generator, m: int) -> Chunk:
        X = _signs(stream, m, d)
        return X, X[:, :k].sum(1).sign()

    w_star = torch.zeros(d, dtype=torch.float64)
    w_star[:k] = 1
    X, y = draw(generator(seed, "train inputs"), n)
    made_by = {"task": "sparse_classification", "k": k, "n_test": n_test, "seed": seed}
    return LinearTask(CLASSIFICATION, X, y, _chunks(seed, n_test, d, draw), made_by, w_star)


@checks_its_arguments
def large_margin_classification(
    d: int, n: int, gamma: float = 25.0, n_test: int = 1000, seed: int = 0
) -> LinearTask:
    """Return x = z + (gamma/2) sign(z.w) w, y = sign(z.w), with z ~ N(0, I) and |w| = 1.

    w = ``w_star`` is uniform on the sphere, so dense: a large L2 margin, but a small L1 margin,
    so that the early bias generalises and the late one does not (misgrokking). Raises
    ``ValueError`` for bad input.

    >>> task = large_margin_classification(d=50, n=8, gamma=10.0, n_test=5, seed=0)
    >>> bool((task.y * (task.X @ task.w_star)).min() >= 5)
    True
    """
    d, n = positive_integer("d", d), positive_integer("n", n)
    gamma = finite("gamma", gamma, positive=True)
    n_test, seed = positive_integer("n_test", n_test), natural("seed", seed)
    w = standard_normal(seed, "beta", (d,))
    w = w / w.norm()

    def draw(stream: np.random.Generator, m: int) -> Chunk:
        z = torch.from_numpy(stream.standard_normal((m, d)))
        y = (z @ w).sign()
        return z.add_(torch.outer(gamma / 2 * y, w)), y

    X, y = draw(generator(seed, "train inputs"), n)
    made_by = {"task": "large_margin_classification", "gamma": gamma}
    made_by |= {"n_test": n_test, "seed": seed}
    return LinearTask(CLASSIFICATION, X, y, _chunks(seed, n_test, d, draw), made_by, w)


@checks_its_arguments
def sparse_regression(d: int, n: int, k: int = 3, n_test: int = 1000, seed: int = 0) -> LinearTask:
    """Return x ~ N(0, I) in R^d with y = x.w, w = ``w_star`` k-sparse with entries +-1/sqrt(k).

    Needs n <= d, or the rows of X would be dependent. Raises ``ValueError`` for bad input.

    >>> task = sparse_regression(d=20, n=8, k=4, n_test=5, seed=0)
    >>> float(task.w_star @ task.w_star), bool(torch.equal(task.X @ task.w_star, task.y))
    (1.0, True)
    """
    d, n, k = (positive_integer(*pair) for pair in (("d", d), ("n", n), ("k", k)))
    n_test, seed = positive_integer("n_test", n_test), natural("seed", seed)
    if k > d:
        raise ValueError(f"k = {k}: must be at most d = {d}")
    if n > d:
        raise ValueError(f"n = {n}: must be at most d = {d}, or the inputs are dependent")
    w = torch.zeros(d, dtype=torch.float64)
    w[:k] = standard_normal(seed, "beta", (k,)).sign() / k**0.5

    def draw(stream: np.random.Generator, m: int) -> Chunk:
        X = torch.from_numpy(stream.standard_normal((m, d)))
        return X, X @ w

    X, y = draw(generator(seed, "train inputs"), n)
    made_by = {"task": "sparse_regression", "k": k, "n_test": n_test, "seed": seed}
    return LinearTask(REGRESSION, X, y, _chunks(seed, n_test, d, draw), made_by, w)
