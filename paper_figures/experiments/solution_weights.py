"""Initial weights with a share of a solution of the plain predictor in them.

The solution W* has the moments of the closed form ``test-loss-minimiser``: wbar = 0, and M of rank
1. Its rows are +r and -r, half of each sign, with r r^T = M.
"""

from typing import Any

import torch

from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.arrays import standard_normal
from lazyrich.theory import closed_form

# How the weights are made of random ones and a share q of the solution.
WAYS = {"added": "W₀ + q W*", "mixed": "(1−q) W₀ + q W*"}


def arguments(
    *, D: int, P: int, n_test: int, width: int, seed: int, share: float, way: str, **options: Any
) -> dict[str, Any]:
    """Return the arguments of ``train`` for a run that starts from such weights.

    ``way`` is one of ``WAYS``; ``options`` go to ``train``.

    >>> sizes = {"D": 3, "P": 5, "n_test": 7, "width": 4, "steps": 1}
    >>> W = arguments(**sizes, seed=0, share=1.0, way="mixed", alpha=2.0, epsilon=0.5)["init"]
    >>> beta = PolynomialTask(D=3, P=5, seed=0).beta
    >>> bool(torch.allclose(W.T @ W / 4, torch.outer(beta, beta)))       # alpha epsilon = 1
    True
    >>> bool(torch.allclose(W.mean(0), torch.zeros(3, dtype=W.dtype)))
    True
    """
    task = PolynomialTask(D=D, P=P, n_test=n_test, seed=seed)
    W = standard_normal(seed, "weights", (width, D))
    signs = torch.ones(width, dtype=W.dtype)
    signs[width // 2 :] = -1
    solution = signs[:, None] * _row(task.beta, options["alpha"], options["epsilon"])
    kept = 1 - share if way == "mixed" else 1
    return {"task": task, "init": kept * W + share * solution, **options}


def _row(beta: torch.Tensor, alpha: float, epsilon: float) -> torch.Tensor:
    """Return r with r r^T = M of the minimiser."""
    least = closed_form("test-loss-minimiser").functions("numpy")["M"]
    M = torch.from_numpy(least(alpha=alpha, epsilon=epsilon, beta=beta.numpy()))
    return M @ beta / (beta @ M @ beta) ** 0.5
