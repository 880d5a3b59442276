"""Small runs of the paper's other networks, many seeds at once; nothing of the simulator is used.

``addition``: f(a, b) = (alpha/N) V (W x)^2 modulo p on one-hot pairs x, squared entry by entry,
every weight N(0, sigma^2) at first, plain gradient descent on the mean square over samples and
the p outputs. ``student_and_teacher``: tanh networks of three layers, AdamW.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray


@dataclass(frozen=True)
class Addition:
    """Runs over ``steps``: losses, accuracies and weight norms (over the first), (seeds, records).

    The losses are means over samples of the sum over the p outputs, so that f = 0 has 1.
    """

    p: int
    steps: Array
    train: Array
    test: Array
    train_accuracy: Array
    test_accuracy: Array
    weight_square: Array

    def when(self, reached: Array) -> Array:
        """The first recorded step of each run at which it holds; inf where it never does."""
        first = self.steps[reached.argmax(-1)].astype(float)
        return np.where(reached.any(-1), first, np.inf)


def pairs(p: int) -> tuple[Tensor, Tensor]:
    """All p^2 pairs as one-hot inputs (p^2, 2p), and their sums modulo p, one-hot (p^2, p).

    >>> X, Y = pairs(3)
    >>> X[5].tolist(), Y[5].argmax().item()
    ([0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 0)
    """
    a, b = (index.flatten() for index in torch.meshgrid(*[torch.arange(p)] * 2, indexing="ij"))
    one_hot = torch.eye(p, dtype=torch.float64)
    return torch.cat([one_hot[a], one_hot[b]], 1), one_hot[(a + b) % p]


@lru_cache(maxsize=32)
def addition(
    p: int = 17,
    *,
    width: int = 64,
    alpha: float = 1.0,
    sigma: float = 0.6,
    share: float = 0.9,
    learning_rate: float = 200.0,
    steps: int = 600,
    seeds: int = 3,
    first_seed: int = 0,
    every: int = 20,
) -> Addition:
    """Train on a random ``share`` of the pairs, at the rate learning_rate/alpha^2.

    >>> run = addition(p=5, learning_rate=20, steps=20, seeds=2)
    >>> run.train.shape, bool((run.train[:, -1] < run.train[:, 0]).all())
    ((2, 2), True)
    """
    X, Y = pairs(p)
    streams = _streams(first_seed, seeds, 3)
    order = _stacked([split.permutation(p * p) for split, _, _ in streams])
    count = round(share * p * p)
    parts = [(X[rows], Y[rows]) for rows in (order[:, :count], order[:, count:])]
    W = sigma * _stacked([first.normal(size=(width, 2 * p)) for _, first, _ in streams])
    V = sigma * _stacked([second.normal(size=(p, width)) for _, _, second in streams])
    scale, rate = alpha / width, learning_rate / alpha**2
    start = _square(W, V)
    seen: dict[str, list[Tensor]] = {}
    for step in range(steps + 1):
        if step % every == 0:
            for name, value in _measured(parts, W, V, scale).items():
                seen.setdefault(name, []).append(value)
            seen.setdefault("weight_square", []).append(_square(W, V) / start)
        inputs, labels = parts[0]
        H = inputs @ W.mT
        slope = 2 * scale / (count * p) * (scale * H**2 @ V.mT - labels)  # d loss/d f times scale
        V, W = V - rate * slope.mT @ H**2, W - rate * (2 * (slope @ V) * H).mT @ inputs
    recorded = {name: torch.stack(values, 1).numpy() for name, values in seen.items()}
    return Addition(p, np.arange(0, steps + 1, every), **recorded)


def _streams(first_seed: int, seeds: int, each: int) -> list[list[np.random.Generator]]:
    """Independent generators for each seed."""
    chosen = range(first_seed, first_seed + seeds)
    return [np.random.default_rng(seed).spawn(each) for seed in chosen]


def _stacked(arrays: list[Array]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _square(W: Tensor, V: Tensor) -> Tensor:
    return W.square().sum((1, 2)) + V.square().sum((1, 2))


def _measured(parts: list, W: Tensor, V: Tensor, scale: float) -> dict[str, Tensor]:
    found = {}
    for name, (inputs, labels) in zip(("train", "test"), parts, strict=True):
        f = scale * (inputs @ W.mT) ** 2 @ V.mT
        found[name] = (f - labels).square().sum(-1).mean(-1)
        right = f.argmax(-1) == labels.argmax(-1)
        found[f"{name}_accuracy"] = right.double().mean(-1)
    return found


@dataclass(frozen=True)
class Student:
    """Runs over ``steps``: losses over the teacher's <y^2>, (settings, seeds, records)."""

    steps: Array
    train: Array
    test: Array


@lru_cache(maxsize=8)
def student_and_teacher(
    settings: tuple[tuple[float, float], ...],
    *,
    width: int = 32,
    samples: int = 100,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.05,
    steps: int = 600,
    seeds: int = 3,
    first_seed: int = 0,
    every: int = 10,
) -> Student:
    """Train students 5-width-width-5 on a teacher alike; ``settings`` are (alpha, weight scale).

    Weights and biases start uniform in +-1/sqrt(inputs) (times the scale, for the students), the
    inputs are N(0, I), the predictor is centred.

    >>> found = student_and_teacher(((1.0, 1.0),), width=4, steps=20, seeds=2)
    >>> found.test.shape, bool((found.train[..., 0] == 1).all())
    ((1, 2, 3), True)
    """
    sizes = (5, width, width, 5)
    streams = _streams(first_seed, seeds, 4)
    scales = torch.tensor(settings, dtype=torch.float64)[:, :, None, None, None]
    alpha, size = scales[:, 0], scales[:, 1]
    teacher, same = (_layers([_uniform(s[k], sizes) for s in streams]) for k in (0, 1))
    weights = [(size * layer).requires_grad_() for layer in same]
    inputs = [_stacked([s[k].normal(size=(samples, 5)) for s in streams]) for k in (2, 3)]
    labels = [_tanh_network(teacher, X) for X in inputs]
    with torch.no_grad():
        first = [_tanh_network(weights, X) for X in inputs]

    def losses(part: int) -> Tensor:
        f = alpha * (_tanh_network(weights, inputs[part]) - first[part])
        power = labels[part].square().mean((-1, -2))
        return (f - labels[part]).square().mean((-1, -2)) / power

    optimiser = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay)
    seen: list[Tensor] = []
    for step in range(steps + 1):
        train = losses(0)
        if step % every == 0:
            with torch.no_grad():
                seen.append(torch.stack([train.detach(), losses(1)]))
        optimiser.zero_grad()
        train.sum().backward()
        optimiser.step()
    found = torch.stack(seen, -1).numpy()
    return Student(np.arange(0, steps + 1, every), found[0], found[1])


def _uniform(rng: np.random.Generator, sizes: tuple[int, ...]) -> list[Array]:
    """Weights (inputs + 1, outputs) of each layer, the biases last, as PyTorch draws them."""
    return [rng.uniform(-1, 1, (a + 1, b)) / a**0.5 for a, b in pairwise(sizes)]


def _layers(networks: list[list[Array]]) -> list[Tensor]:
    """The networks of all seeds, layer by layer: (seeds, inputs + 1, outputs)."""
    return [_stacked(list(layer)) for layer in zip(*networks, strict=True)]


def _tanh_network(weights: list[Tensor], X: Tensor) -> Tensor:
    for layer in weights[:-1]:
        X = torch.tanh(X @ layer[..., :-1, :] + layer[..., -1:, :])
    return X @ weights[-1][..., :-1, :] + weights[-1][..., -1:, :]
