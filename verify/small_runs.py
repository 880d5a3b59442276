"""Small training runs on which claims on behaviour are measured, many at once.

At D = 16, P = 60, alpha = 1, epsilon = 0.1 the network groks within 3,000 steps: small enough to
run a sweep over eight seeds in about a second. Losses are in units of <y^2>.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.metrics import mean_square, population_terms
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.network import ntk_normalised, predictions
from lazyrich.simulate.outcome import SHARE, settled_at
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.record import default_grid
from lazyrich.verify.statistics import DRAWS, mostly

D = 16
SEEDS = DRAWS  # what a sign test needs
# How many times later the test loss of a network that groks falls, as the glossary says. At P = 60
# it is 12 in the median, and not within the run in 0.03 to 0.13 of the networks.
LATER, MOSTLY_LATER = 2.0, 0.75

Array = np.ndarray


@dataclass(frozen=True)
class Setting:
    """One cell of a sweep: scales of output, curvature, weights and labels, and the descent.

    ``solution`` is the share q of a solution W* added to the initial weights, W0 + q W*.
    """

    alpha: float = 1.0
    epsilon: float = 0.1
    sigma: float = 1.0
    labels: float = 1.0
    learning_rate: float = 4.0
    momentum: float = 0.0
    decay: float = 0.0
    solution: float = 0.0

    def with_weights(self, width: float, seed: int, beta: Tensor) -> PseudoNeurons:
        """The initial weights of this setting; the same seed gives the same ones up to scale."""
        if math.isinf(width):
            return PseudoNeurons.isotropic(len(beta), self.sigma)
        W = self.sigma * standard_normal(seed, "weights", (int(width), len(beta)))
        signs = torch.ones(len(W), dtype=W.dtype)
        signs[len(W) // 2 :] = -1
        solved = signs[:, None] * beta / (self.alpha * self.epsilon) ** 0.5
        return PseudoNeurons.from_weights(W + self.solution * solved)


@dataclass(frozen=True)
class Curves:
    """Runs of shape (seeds, settings), recorded at ``steps``; each with the task of its seed."""

    settings: tuple[Setting, ...]
    tasks: tuple[tuple[PolynomialTask, ...], ...]
    steps: Array
    wbar: Tensor  # of the predictor: less the initial one where centred
    M: Tensor
    weight_square: Array  # Tr M, over Tr M at the start
    change_square: Array  # mean |w - w(0)|^2, over Tr M at the start

    def of_all(self, measure) -> Array:
        """``measure(task, setting, wbar, M)`` of every run, over ``steps``."""
        runs = [
            [
                measure(self.tasks[i][j], s, self.wbar[i, j], self.M[i, j])
                for j, s in enumerate(self.settings)
            ]
            for i in range(len(self.tasks))
        ]
        return np.array([[part.numpy() for part in row] for row in runs])

    @cached_property
    def powers(self) -> Array:
        """<y^2> of each run, (seeds, settings, 1)."""
        b = [[float(task.beta @ task.beta) for task in row] for row in self.tasks]
        return 3 * np.array(b)[..., None] ** 2 / (4 * self.wbar.shape[-1] ** 2)

    @cached_property
    def train(self) -> Array:
        """The train loss over <y^2>."""

        def measure(task, s, wbar, M):
            f = predictions(task.X, wbar, M, alpha=s.alpha, epsilon=s.epsilon)
            return mean_square(f, task.y)

        return self.of_all(measure) / self.powers

    @cached_property
    def terms(self) -> dict[str, Array]:
        """The terms of the population loss over <y^2>."""
        names = ("variance", "misalignment", "linear")

        def measure(task, s, wbar, M):
            terms = population_terms(task, wbar, M, alpha=s.alpha, epsilon=s.epsilon)
            return torch.stack([terms[name] for name in names])

        values = self.of_all(measure) / self.powers[..., None]
        return {name: values[:, :, k] for k, name in enumerate(names)}

    @cached_property
    def test(self) -> Array:
        """The population loss over <y^2>."""
        return sum(self.terms.values(), start=np.zeros(1))

    def accuracy(self, theta: float, on_train: bool) -> Array:
        """The share of samples with |f - y| <= theta, on the train or the test set."""

        def measure(task, s, wbar, M):
            X, y = (task.X, task.y) if on_train else (task.X_test, task.y_test)
            f = predictions(X, wbar, M, alpha=s.alpha, epsilon=s.epsilon)
            return ((f - y).abs() <= theta).double().mean(-1)

        return self.of_all(measure)

    def falls(self, loss: Array, share: float) -> Array:
        """The step from which a loss over <y^2>, (..., records), stays below a share of it.

        As ``simulate.outcome`` has it: inf where it does not by the last record.
        """
        return np.apply_along_axis(lambda row: settled_at(self.steps, row, share), -1, loss)


@lru_cache(maxsize=64)
def curves(
    settings: tuple[Setting, ...],
    *,
    P: int = 60,
    width: float = math.inf,
    centred: bool = True,
    steps: int = 3000,
    first_seed: int = 0,
    seeds: int = SEEDS,
    dimension: int = D,
) -> Curves:
    """Train every setting on the task of every seed, and record about ten steps a decade.

    >>> found = curves((Setting(),), steps=100, seeds=2)
    >>> found.test.shape == (2, 1, len(found.steps))
    True
    """
    tasks = tuple(
        tuple(_task(seed, s.labels, P, dimension) for s in settings)
        for seed in range(first_seed, first_seed + seeds)
    )
    runs = [
        (task, s, first_seed + i)
        for i, row in enumerate(tasks)
        for task, s in zip(row, settings, strict=True)
    ]
    start = _stacked([s.with_weights(width, seed, task.beta) for task, s, seed in runs])
    descent = _descent(start, [(task, s) for task, s, _ in runs], centred)
    grid = default_grid(steps, per_decade=10)
    seen: dict[str, list[Tensor]] = {"wbar": [], "M": [], "square": [], "change": []}
    done = 0
    for step in grid:
        descent.step(step - done)
        done = step
        now = descent.neurons
        seen["wbar"].append(now.wbar - start.wbar if centred else now.wbar.clone())
        seen["M"].append(now.M - start.M if centred else now.M)
        seen["square"].append(now.square() / start.square())
        seen["change"].append(now.minus(start).square() / start.square())
    shape = (seeds, len(settings))
    by_run = {k: torch.stack(v, 1) for k, v in seen.items()}
    by_run = {k: v.reshape(*shape, *v.shape[1:]) for k, v in by_run.items()}
    return Curves(
        settings,
        tasks,
        np.array(grid),
        by_run["wbar"],
        by_run["M"],
        by_run["square"].numpy(),
        by_run["change"].numpy(),
    )


@lru_cache(maxsize=1024)
def _task(seed: int, labels: float, P: int, dimension: int) -> PolynomialTask:
    task = PolynomialTask(D=dimension, P=P, n_test=500, seed=seed)
    if labels == 1:
        return task
    scaled = task.beta * labels**0.5
    return PolynomialTask.from_arrays(X=task.X, beta=scaled, X_test=task.X_test)


def _stacked(starts: list[PseudoNeurons]) -> PseudoNeurons:
    """One batch; columns of zeros pad to the largest number."""
    most = max(start.columns.shape[1] for start in starts)
    pad = torch.nn.functional.pad
    columns = [pad(s.columns, (0, most - s.columns.shape[1])) for s in starts]
    signs = [pad(s.signs, (0, most - len(s.signs)), value=1.0) for s in starts]
    return PseudoNeurons(torch.stack(columns), torch.stack(signs))


def _descent(start: PseudoNeurons, runs: list, centred: bool) -> Descent:
    def each(name: str) -> Tensor:
        return torch.tensor([getattr(s, name) for _, s in runs], dtype=torch.float64)

    return Descent(
        PseudoNeurons(start.columns.clone(), start.signs),
        torch.stack([task.X for task, _ in runs]),
        torch.stack([task.y for task, _ in runs]),
        alpha=each("alpha"),
        epsilon=each("epsilon"),
        learning_rate=each("learning_rate"),
        centred=centred,
        momentum=each("momentum"),
        decoupled_weight_decay=each("decay"),
    )


def with_error(values: Array, digits: int = 3) -> str:
    """The mean over seeds and its standard error, as text.

    >>> with_error(np.array([1.0, 2.0, 3.0]))
    '2 ± 0.577'
    """
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.{digits}g} ± {error:.{digits}g}"


def relative_change(found: Curves) -> Array:
    """|w - w0|/|w0| at the end, (seeds, settings)."""
    return np.sqrt(found.change_square[:, :, -1])


def kernel_change(found: Curves) -> Array:
    """|K - K0|_F/|K0|_F on the training inputs at the end, (seeds, settings).

    Of the centred predictor of an infinitely wide network.

    >>> lazy, rich = kernel_change(curves((Setting(alpha=64.0), Setting()), seeds=1))[0]
    >>> bool(10 * lazy < rich)
    True
    """

    def change(task: PolynomialTask, s: Setting, wbar: Tensor, M: Tensor) -> Tensor:
        start, X = s.with_weights(math.inf, 0, task.beta), task.X
        first = ntk_normalised(X, X, start.wbar, start.M, epsilon=s.epsilon)
        moments = wbar[-1] + start.wbar, M[-1] + start.M
        return (ntk_normalised(X, X, *moments, epsilon=s.epsilon) - first).norm() / first.norm()

    return found.of_all(change)


def fall_times(found: Curves) -> tuple[Array, Array]:
    """The steps at which train and test loss have fallen, as the glossary says: (seeds, settings).

    >>> fit, general = fall_times(curves((Setting(),), P=240, steps=500, seeds=2))
    >>> bool((general < 2 * fit).all())
    True
    """
    return found.falls(found.train, SHARE), found.falls(found.test, SHARE)


def groks(what: str, runs: Callable[[int, int], Curves], seed: int) -> str:
    """Assert that in most runs the test loss falls more than twice as late as the train loss.

    As the glossary says: ``runs(first, count)`` makes one run a draw, and a test loss that never
    falls is not late.
    """

    def later(first: int, count: int) -> Array:
        train, test = (part[:, 0] for part in fall_times(runs(first, count)))
        return np.isfinite(test) & (test > LATER * train)

    line = f"{what}: the test loss falls more than {LATER:g} times as late as the train loss"
    return mostly(line, later, seed, share=MOSTLY_LATER)
