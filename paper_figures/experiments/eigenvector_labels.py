"""Labels from the j-th eigenvector of the initial kernel, as published and without the leak.

An eigenvector has one entry a sample and says nothing of other inputs. Three ways to labels on P
training and n test inputs:

- "joint", the published one: an eigenvector of the kernel on all P + n inputs. Its entries on the
  training set depend on the test inputs.
- "train": one of the kernel on the training inputs, extended by Nystrom to the test inputs,
  y(x) = (1/lambda_j) sum_mu K(x, x_mu) u_mu. Kernel regression with that kernel then generalises
  exactly, at every j: y is in the span of the K(., x_mu), and its interpolant there is itself.
- "fresh": one of the kernel on P + n inputs of their own, extended in the same way to all others:
  a function that was fixed before the data.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.network import ntk_normalised

WAYS = {
    "joint": "of the kernel on train and test inputs together",
    "train": "of the kernel on the training inputs, extended",
    "fresh": "of the kernel on inputs of their own, extended",
}
# Of the seeds of data sets, none of which a figure uses for its own.
FRESH = 10_000


def arguments(
    *,
    D: int,
    P: int,
    n_test: int,
    width: int,
    seed: int,
    way: str,
    j: int,
    power: str,
    epsilon: float,
    **options: Any,
) -> dict[str, Any]:
    """Return the arguments of ``train`` for a run on such labels. Raises ``ValueError``.

    j counts from 1, the largest eigenvalue. ``power`` is "norm" for labels with a sum of squares
    of 1 over all P + n inputs, as published, or "one" for a mean square of 1.

    >>> sizes = {"D": 3, "P": 4, "n_test": 6, "width": 5, "steps": 1, "epsilon": 0.5, "seed": 0}
    >>> task = arguments(**sizes, way="train", j=2, power="one")["task"]
    >>> bool(abs(torch.cat([task.y, task.y_test]).square().mean() - 1) < 1e-12)
    True
    """
    X, X_test, W, eigenvalues, vectors, sources = _spectrum(D, P, n_test, width, seed, way, epsilon)
    rounding = len(eigenvalues) * torch.finfo(X.dtype).eps * eigenvalues[0]
    if j > len(eigenvalues) or eigenvalues[j - 1] <= rounding:
        raise ValueError(f"j = {j}: the kernel {WAYS[way]} has fewer eigenvalues above 0")
    everywhere = torch.cat([X, X_test])
    if way == "joint":
        y = vectors[:, j - 1]
    else:
        y = _kernel(everywhere, sources, W, epsilon) @ vectors[:, j - 1] / eigenvalues[j - 1]
    y = y / y.norm() * (1 if power == "norm" else len(y) ** 0.5)
    task = PolynomialTask.from_arrays(X, X_test=X_test, y=y[:P], y_test=y[P:])
    return {"task": task, "init": W, "epsilon": epsilon, **options}


@lru_cache(maxsize=2)
def _spectrum(
    D: int, P: int, n_test: int, width: int, seed: int, way: str, epsilon: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return inputs, weights, and eigenvalues and -vectors of the kernel on its own inputs."""
    task = PolynomialTask(D=D, P=P, n_test=n_test, seed=seed)
    W = standard_normal(seed, "weights", (width, D))
    sources = {
        "joint": lambda: torch.cat([task.X, task.X_test]),
        "train": lambda: task.X,
        "fresh": lambda: PolynomialTask(D=D, P=P + n_test, n_test=1, seed=FRESH + seed).X,
    }[way]()
    eigenvalues, vectors = torch.linalg.eigh(_kernel(sources, sources, W, epsilon))
    return task.X, task.X_test, W, eigenvalues.flip(0), vectors.flip(1), sources


def _kernel(X: Tensor, X2: Tensor, W: Tensor, epsilon: float) -> Tensor:
    return ntk_normalised(X, X2, W.mean(0), W.T @ W / W.shape[0], epsilon=epsilon)


def relative(runs: Any) -> Any:
    """Return histories with all losses in units of the mean square of the test labels.

    At the start the centred predictor is 0, so that the first test loss is that mean square.
    """
    power = runs.test_loss.isel(step=0)
    names = ("train_loss", "test_loss", "kernel_regression_test_loss")
    return runs.assign({name: runs[name] / power for name in names})
