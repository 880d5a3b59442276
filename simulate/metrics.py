"""What is measured on a network: losses, the population loss by terms, alignments."""

from functools import cache

import torch
from torch import Tensor

from lazyrich.simulate.shapes import Float, Number
from lazyrich.simulate.task import PolynomialTask


def mean_square(
    f: Float[Tensor, "*batch n"], y: Float[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    """Return the mean of (f - y)^2 over the samples, without a factor 1/2; NaN of no samples.

    >>> mean_square(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0]))
    tensor(2.)
    """
    return (f - y).square().mean(-1)


@cache
def _term_functions() -> dict:
    from lazyrich.theory import closed_form  # here, since importing SymPy takes a while

    return closed_form("test-loss").functions("torch")


def population_terms(
    task: PolynomialTask,
    wbar: Float[Tensor, "*runs D"],
    M: Float[Tensor, "*runs D D"],
    *,
    alpha: Number,
    epsilon: Number,
) -> dict[str, Float[Tensor, "*runs"]]:
    """Return the terms of the population loss of the predictor with these (wbar, M), by eq. (6).

    Their sum is the mean of (f - y)^2 over x ~ N(0, covariance of the task). For a centred
    predictor give wbar - wbar0 and M - M0.

    >>> task = PolynomialTask(D=2, P=1, n_test=1)
    >>> zero = torch.zeros(2, 2, dtype=torch.float64)
    >>> terms = population_terms(task, zero[0], zero, alpha=1.0, epsilon=1.0)
    >>> round(float(sum(terms.values())), 12)                          # of f = 0: <y^2>
    0.75
    """
    beta, wbar, M = task.isotropic(wbar, M)
    common, functions = {"D": task.D, "alpha": alpha}, _term_functions()
    quadratic = common | {"epsilon": epsilon, "beta": beta, "M": M}
    return {
        "variance": functions["variance"](**quadratic),
        "misalignment": functions["misalignment"](**quadratic),
        "linear": functions["linear"](**common, wbar=wbar),
    }


def alignment(
    K: Float[Tensor, "*batch n n"], y: Float[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    """Return y^T K y/(|K|_F |y|^2), uncentred, the diagonal included; NaN where it is 0/0.

    >>> alignment(torch.tensor([[4.0, 2.0], [2.0, 1.0]]), torch.tensor([2.0, 1.0]))
    tensor(1.)
    """
    numerator = (y * (K @ y[..., None])[..., 0]).sum(-1)
    return numerator / (torch.linalg.matrix_norm(K) * y.square().sum(-1))


def centred_alignment(
    K: Float[Tensor, "*batch n n"], y: Float[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    """Return the alignment of H K H with H y, H = I - 1 1^T/n: centred in both arguments.

    >>> K, y = torch.tensor([[4.0, 2.0], [2.0, 1.0]]), torch.tensor([2.0, 1.0])
    >>> bool(torch.allclose(centred_alignment(K, y), centred_alignment(K + 3, y + 5)))
    True
    """
    means = K.mean(-1, keepdim=True)
    H_K_H = K - means - means.mT + means.mean(-2, keepdim=True)
    return alignment(H_K_H, y - y.mean(-1, keepdim=True))
