"""Small networks on Hermite targets, many seeds at once; nothing of the simulator is used.

f(x) = (alpha/N) sum_i phi(w_i.x) less its value at the start, phi(h) = h + (epsilon/2) He_k(h), on
y = He_k(beta.x), |beta|^2 = D, as in Sec. 15.2 of Kumar et al. The text gives no sizes: these are
ours. Gradient descent on the mean square, at rate 0.1 N/alpha^2.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray
N, EPSILON, RATE, TESTS, EVERY = 50, 0.1, 0.1, 1000, 50


@dataclass(frozen=True)
class Sizes:
    """Dimension, training samples, output scale and steps of a run."""

    D: int
    P: int
    alpha: float
    steps: int


# P is of the order of D^k/k!, the number of functions of degree k.
SIZES = {3: Sizes(10, 150, 8.0, 6000), 4: Sizes(6, 200, 16.0, 3000)}
FEW = Sizes(10, 60, 8.0, 3000)  # where degrees are compared: the test loss rises at each


@dataclass(frozen=True)
class HermiteRuns:
    """Losses over those of f = 0, (seeds, records); ``linear``: the test loss's linear part."""

    train: Array
    test: Array
    linear: Array


def he(k: int, h: Tensor) -> tuple[Tensor, Tensor]:
    """He_k-1(h) and He_k(h), k >= 1, by He_n+1 = h He_n - n He_n-1.

    >>> [value.item() for value in he(3, torch.tensor([2.0]))], [2**2 - 1, 2**3 - 3 * 2]
    ([3.0, 2.0], [3, 2])
    """
    before, now = torch.ones_like(h), h
    for n in range(1, k):
        before, now = now, torch.addcmul(-n * before, h, now)
    return before, now


@lru_cache(maxsize=16)
def hermite_runs(k: int, first_seed: int, seeds: int, size: Sizes) -> HermiteRuns:
    """Train networks on He_k (k = 2, 3, 4) from these seeds.

    >>> runs = hermite_runs(3, 0, 2, Sizes(10, 5, 8.0, 6000))
    >>> runs.train.shape, bool((runs.linear >= 0).all()), runs.train[:, 0].tolist()
    ((2, 121), True, [1.0, 1.0])
    """
    X, T, W, beta = _drawn(size.D, size.P, first_seed, seeds)
    scale, rate = size.alpha / N, RATE * N / size.alpha**2

    def output(inputs: Tensor, W: Tensor) -> Tensor:
        h = inputs @ W.mT
        return scale * torch.add(h, he(k, h)[1], alpha=EPSILON / 2).sum(-1)

    def linear(W: Tensor) -> Tensor:
        # E[phi'(w.x)] w: the part of phi(w.x) that is linear in x.
        slope = 1 + EPSILON / 2 * 3 * (W.square().sum(-1) / size.D - 1) * (k == 3)
        return scale * (slope[..., None] * W).sum(1)

    start, test_start, linear_start = output(X, W), output(T, W), linear(W)
    y, test_y = (he(k, (x @ beta[..., None]).squeeze(-1))[1] for x in (X, T))
    power, test_power = y.square().mean(-1), test_y.square().mean(-1)
    records = []
    for step in range(size.steps + 1):
        h = X @ W.mT
        lower, top = he(k, h)
        residual = scale * torch.add(h, top, alpha=EPSILON / 2).sum(-1) - start - y
        if step % EVERY == 0:
            off = (output(T, W) - test_start - test_y).square().mean(-1)
            moved = (linear(W) - linear_start).square().sum(-1) / size.D
            train = residual.square().mean(-1) / power
            records.append(torch.stack([train, off / test_power, moved / test_power]))
        slopes = residual[..., None] * lower.mul_(EPSILON / 2 * k).add_(1)
        W = torch.baddbmm(W, slopes.mT, X, alpha=-rate * 2 / X.shape[1] * scale)
    return HermiteRuns(*torch.stack(records).permute(1, 2, 0).numpy())


def _drawn(D: int, P: int, first_seed: int, seeds: int) -> tuple[Tensor, ...]:
    """Training inputs (seeds, P, D), test inputs, weights (seeds, N, D) and beta (seeds, D)."""
    found = []
    for seed in range(first_seed, first_seed + seeds):
        rng = np.random.default_rng(seed)
        X, T, W, beta = (rng.normal(size=s) for s in ((P, D), (TESTS, D), (N, D), D))
        root = np.sqrt(D)
        found.append((X / root, T / root, W, beta * root / np.linalg.norm(beta)))
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True))
