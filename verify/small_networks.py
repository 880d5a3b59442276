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

from lazyrich.simulate.outcome import settled_at

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

    def reaches(self, accuracy: Array, level: float) -> Array:
        """The step from which an accuracy, (..., records), is at the level or above; else inf."""
        below = np.nextafter(level, 0)
        return np.apply_along_axis(
            lambda row: settled_at(self.steps, row, below, above=True), -1, accuracy
        )


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
    """Train on a random ``share`` of the pairs, at the rate learning_rate/alpha^2, in float32.

    >>> run = addition(p=5, learning_rate=20, steps=20, seeds=2)
    >>> run.train.shape, bool((run.train[:, -1] < run.train[:, 0]).all())
    ((2, 2), True)
    """
    streams = _streams(first_seed, seeds, 3)
    order = _stacked([split.permutation(p * p) for split, _, _ in streams])
    count = round(share * p * p)
    parts = [_Pairs(p, rows) for rows in (order[:, :count], order[:, count:])]
    W = sigma * _stacked([first.normal(size=(width, 2 * p)) for _, first, _ in streams]).float()
    V = sigma * _stacked([second.normal(size=(p, width)) for _, _, second in streams]).float()
    scale, rate = alpha / width, learning_rate / alpha**2
    start = _square(W, V)
    seen: dict[str, list[Tensor]] = {}
    for step in range(steps + 1):
        if step % every == 0:
            for name, value in _measured(parts, W, V, scale).items():
                seen.setdefault(name, []).append(value)
            seen.setdefault("weight_square", []).append(_square(W, V) / start)
        H = parts[0].hidden(W)
        error = scale * H**2 @ V.mT - parts[0].labels
        slope = 2 * scale / (count * p) * error  # d loss/d f times scale
        back = 2 * (slope @ V) * H
        V, W = V - rate * slope.mT @ H**2, W - rate * parts[0].pulled_back(back)
    recorded = {name: torch.stack(values, 1).numpy() for name, values in seen.items()}
    return Addition(p, np.arange(0, steps + 1, every), **recorded)


class _Pairs:
    """Pairs of numbers below p for each seed: one-hot inputs, applied without the zeros."""

    def __init__(self, p: int, rows: Tensor) -> None:
        """Rows (seeds, count) are the numbers a p + b."""
        self.p, a, b = p, rows // p, rows % p
        self.labels = torch.eye(p, dtype=torch.float32)[(a + b) % p]
        first = 2 * p * torch.arange(len(rows))[:, None]
        self.places = torch.stack([first + a, first + p + b])  # in the rows of all W^T

    def hidden(self, W: Tensor) -> Tensor:
        """The hidden layer W x of all pairs, (seeds, count, width)."""
        columns = W.mT.reshape(-1, W.shape[1])
        a, b = (columns.index_select(0, places.flatten()) for places in self.places)
        return (a + b).view(*self.labels.shape[:2], -1)

    def pulled_back(self, slope: Tensor) -> Tensor:
        """The transpose of ``hidden``: a slope in W from one in the hidden layer."""
        flat = slope.reshape(-1, slope.shape[-1])
        columns = flat.new_zeros(2 * self.p * len(slope), flat.shape[1])
        for places in self.places:
            columns.index_add_(0, places.flatten(), flat)
        return columns.view(len(slope), 2 * self.p, -1).mT


def _streams(first_seed: int, seeds: int, each: int) -> list[list[np.random.Generator]]:
    """Independent generators for each seed."""
    chosen = range(first_seed, first_seed + seeds)
    return [np.random.default_rng(seed).spawn(each) for seed in chosen]


def _stacked(arrays: list[Array]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _square(W: Tensor, V: Tensor) -> Tensor:
    return W.square().sum((1, 2)) + V.square().sum((1, 2))


def _measured(parts: list[_Pairs], W: Tensor, V: Tensor, scale: float) -> dict[str, Tensor]:
    found = {}
    for name, part in zip(("train", "test"), parts, strict=True):
        f = scale * part.hidden(W) ** 2 @ V.mT
        found[name] = (f - part.labels).square().sum(-1).mean(-1)
        right = f.argmax(-1) == part.labels.argmax(-1)
        found[f"{name}_accuracy"] = right.double().mean(-1)
    return found


@dataclass(frozen=True)
class Student:
    """Runs over ``steps``: losses over the teacher's <y^2>, (settings, seeds, records).

    ``within[theta]`` has the shares of outputs within theta of the labels, in training and test.
    """

    steps: Array
    train: Array
    test: Array
    within: dict[float, tuple[Array, Array]]


# The setting of Liu et al. and of the paper: uncentred, AdamW, in float32 as published.
PUBLISHED = {
    "width": 100,
    "learning_rate": 3e-4,
    "weight_decay": 0.05,
    "centred": False,
    "dtype": torch.float32,
}


@lru_cache(maxsize=16)
def student_and_teacher(
    settings: tuple[tuple[float, float], ...],
    *,
    width: int = 32,
    samples: int = 100,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.05,
    centred: bool = True,
    steps: int = 600,
    seeds: int = 3,
    first_seed: int = 0,
    every: int = 10,
    thetas: tuple[float, ...] = (),
    dtype: torch.dtype = torch.float64,
) -> Student:
    """Train students 5-width-width-5 on a teacher alike; ``settings`` are (alpha, weight scale).

    Weights and biases start uniform in +-1/sqrt(inputs) (times the scale, for the students), the
    inputs are N(0, I).

    >>> found = student_and_teacher(((1.0, 1.0),), width=4, steps=20, seeds=2)
    >>> found.test.shape, bool((found.train[..., 0] == 1).all())
    ((1, 2, 3), True)
    """
    sizes = (5, width, width, 5)
    streams = _streams(first_seed, seeds, 4)
    scales = torch.tensor(settings, dtype=dtype)[:, :, None, None, None]
    alpha, size = scales[:, 0], scales[:, 1]
    teacher, same = (
        [layer.to(dtype) for layer in _layers([_uniform(s[k], sizes) for s in streams])]
        for k in (0, 1)
    )
    weights = [size * layer for layer in same]
    inputs = [_stacked([s[k].normal(size=(samples, 5)) for s in streams]).to(dtype) for k in (2, 3)]
    labels = [_tanh_network(teacher, X)[-1] for X in inputs]
    first = [centred * _tanh_network(weights, X)[-1] for X in inputs]
    descent = _AdamW(weights, learning_rate, weight_decay)
    seen: list[Tensor] = []
    for step in range(steps + 1):
        layers = _tanh_network(weights, inputs[0])
        error = alpha * (layers[-1] - first[0]) - labels[0]
        if step % every == 0:
            test = alpha * (_tanh_network(weights, inputs[1])[-1] - first[1]) - labels[1]
            pairs_ = zip((error, test), labels, strict=True)
            losses = [e.square().mean((-1, -2)) / y.square().mean((-1, -2)) for e, y in pairs_]
            near = [(e.abs() <= t).to(dtype).mean((-1, -2)) for t in thetas for e in (error, test)]
            seen.append(torch.stack(losses + near))
        power = labels[0].square().mean((-1, -2))[..., None, None]
        slope = 2 * alpha / (samples * 5) * error / (power if centred else 1)
        descent.step(_slopes(weights, inputs[0], layers, slope))
    found = torch.stack(seen, -1).numpy()
    within = {t: (found[2 + 2 * k], found[3 + 2 * k]) for k, t in enumerate(thetas)}
    return Student(np.arange(0, steps + 1, every), found[0], found[1], within)


def student_and_twin(*, steps: int, seeds: int, first_seed: int = 0) -> Array:
    """Train losses of the student of App. 8.3.1 and of its linearised twin, (2, seeds, steps + 1).

    Over the teacher's <y^2>. Both start from the same weights, twice the usual ones, and take the
    same steps of AdamW; torch's forward mode linearises, its backward mode has the slopes.

    >>> student, twin = student_and_twin(steps=3, seeds=2)
    >>> bool((student[:, 0] == twin[:, 0]).all()), bool((student[:, 3] < student[:, 0]).all())
    (True, True)
    """
    sizes = (5, PUBLISHED["width"], PUBLISHED["width"], 5)
    streams = _streams(first_seed, seeds, 3)
    teacher, same = (
        [layer.float() for layer in _layers([_uniform(s[k], sizes) for s in streams])]
        for k in (0, 1)
    )
    X = _stacked([s[2].normal(size=(100, 5)) for s in streams]).float()
    y, start = _tanh_network(teacher, X)[-1], tuple(2 * layer for layer in same)

    def network(*weights: Tensor) -> Tensor:
        return _tanh_network(list(weights), X)[-1]

    def twin(*weights: Tensor) -> Tensor:
        moved = tuple(w - w0 for w, w0 in zip(weights, start, strict=True))
        found = torch.func.jvp(network, start, moved)
        return found[0] + found[1]

    found = []
    for predictor in (network, twin):
        weights = [layer.clone().requires_grad_() for layer in start]
        descent = _AdamW(weights, PUBLISHED["learning_rate"], PUBLISHED["weight_decay"])
        losses = []
        for _ in range(steps + 1):
            loss = (predictor(*weights) - y).square().mean((-1, -2))
            losses.append(loss.detach() / y.square().mean((-1, -2)))
            slopes = torch.autograd.grad(loss.sum(), weights)
            with torch.no_grad():
                descent.step(list(slopes))
        found.append(torch.stack(losses, -1).numpy())
    return np.stack(found)


class _AdamW:
    """AdamW on weights of many networks at once, as ``torch.optim.AdamW`` has it."""

    def __init__(self, weights: list[Tensor], rate: float, decay: float) -> None:
        """Update the weights in place, from moments at zero."""
        self.weights, self.rate, self.decay, self.steps = weights, rate, decay, 0
        self.means = [torch.zeros_like(w) for w in weights]
        self.squares = [torch.zeros_like(w) for w in weights]

    def step(self, slopes: list[Tensor]) -> None:
        """One update."""
        self.steps += 1
        mean, square = 1 - 0.9**self.steps, 1 - 0.999**self.steps
        moments = zip(self.weights, slopes, self.means, self.squares, strict=True)
        for w, g, m, v in moments:
            m.lerp_(g, 0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            w.mul_(1 - self.rate * self.decay)
            w.addcdiv_(m, v.div(square).sqrt_().add_(1e-8), value=-self.rate / mean)


def _slopes(weights: list[Tensor], X: Tensor, layers: list[Tensor], slope: Tensor) -> list[Tensor]:
    """The loss's slope in each layer's weights, from its slope in the outputs."""
    found = []
    for k in reversed(range(len(weights))):
        below = layers[k - 1] if k else X
        columns = [(below.mT @ slope), slope.sum(-2, keepdim=True)]
        found.append(torch.cat(columns, -2))
        if k:
            slope = (slope @ weights[k][..., :-1, :].mT) * (1 - below.square())
    return found[::-1]


def _uniform(rng: np.random.Generator, sizes: tuple[int, ...]) -> list[Array]:
    """Weights (inputs + 1, outputs) of each layer, the biases last, as PyTorch draws them."""
    return [rng.uniform(-1, 1, (a + 1, b)) / a**0.5 for a, b in pairwise(sizes)]


def _layers(networks: list[list[Array]]) -> list[Tensor]:
    """The networks of all seeds, layer by layer: (seeds, inputs + 1, outputs)."""
    return [_stacked(list(layer)) for layer in zip(*networks, strict=True)]


def _tanh_network(weights: list[Tensor], X: Tensor) -> list[Tensor]:
    """The layers' outputs: tanh of all but the last."""
    layers = []
    for k, layer in enumerate(weights, start=1):
        X = X @ layer[..., :-1, :] + layer[..., -1:, :]
        X = torch.tanh(X) if k < len(weights) else X
        layers.append(X)
    return layers
