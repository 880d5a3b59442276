"""What a snapshot tells: losses, alignments, and the losses of the linearised limit.

``MomentMeasures`` needs the moments (wbar, M) only, and serves every engine; ``NeuronMeasures``
needs the neurons, for trained readouts and for activations that the moments don't describe.
"""

import torch
from torch import Tensor

from lazyrich.simulate.hermite import population_by_degree
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.metrics import (
    alignment,
    centred_alignment,
    mean_square,
    ntk_alignments,
    population_terms,
)
from lazyrich.simulate.network import predictions
from lazyrich.simulate.problem import Problem, Snapshot
from lazyrich.simulate.task import PolynomialTask

LOSSES = ("train_loss", "test_loss", "population_loss")


def _sets(problem: Problem) -> dict[str, tuple[Tensor, Tensor]]:
    """Return inputs and labels by the name of the set, in float64 on the device of the run."""
    task, device = problem.task, problem.X.device
    return {
        "train": (task.X.to(device), task.y.to(device)),
        "test": (task.X_test.to(device), task.y_test.to(device)),
    }


def _with_population(losses: dict[str, float], terms: dict[str, Tensor]) -> dict[str, float]:
    """Add the terms of the population loss and their sum, where there are any."""
    values = {name: float(value) for name, value in terms.items()}
    return losses | ({"population_loss": sum(values.values())} if values else {}) | values


def zero_losses(task: PolynomialTask) -> dict[str, float]:
    """Return the losses of predicting nothing, f = 0, by the name of their variable.

    >>> task = PolynomialTask(D=2, P=1, n_test=1)
    >>> round(zero_losses(task)["zero_population_loss"], 12)
    0.75
    """
    nothing = torch.zeros(task.D, task.D, dtype=torch.float64)
    terms = population_terms(task, nothing[0], nothing, alpha=1.0, epsilon=1.0)
    labels = {"train": task.y, "test": task.y_test}
    losses = {f"{name}_loss": float(y.square().mean()) for name, y in labels.items()}
    return {
        f"zero_{name}": value
        for name, value in _with_population(losses, terms).items()
        if name in LOSSES
    }


class MomentMeasures:
    """Measures networks whose predictor and kernel are functions of (wbar, M)."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._data = problem, _sets(problem)
        start = problem.start.to(dtype=torch.float64, device=problem.X.device)
        self._start, self._wbar0, self._M0 = start, start.wbar, start.M
        self._aligned: tuple[Tensor, dict[str, float]] | None = None

    def loss(self, snapshot: Snapshot, name: str) -> float:
        """Return the mean square error on the set of this name, "train" or "test"."""
        return self._loss(name, *self._predictor(snapshot.wbar, snapshot.M))

    def losses(self, snapshot: Snapshot) -> dict[str, float]:
        """Return the losses on both sets and of the population, and the terms of the latter."""
        return self._losses(snapshot.wbar, snapshot.M)

    def alignments(self, snapshot: Snapshot, name: str) -> dict[str, float]:
        """Return the kernel-task alignments on the set of this name."""
        if self._aligned is not None and self._aligned[0] is snapshot.kernel_M:
            return self._aligned[1]  # the linearised network keeps its kernel
        kernel = snapshot.kernel_wbar, snapshot.kernel_M
        values = ntk_alignments(*self._data[name], *kernel, epsilon=self._problem.epsilon)
        self._aligned = (snapshot.kernel_M, values)
        return values

    def kernel_regression(self) -> dict[str, float]:
        """Return the losses of the linearised network after infinitely many steps."""
        problem = self._problem
        lazy = LinearisedDescent(
            self._start,
            *self._data["train"],
            alpha=problem.alpha,
            epsilon=problem.epsilon,
            learning_rate=problem.learning_rate,
            centred=problem.centred,
        )
        losses = self._losses(*lazy.moments(float("inf")))
        # With a negative eigenvalue the linearised network has no limit.
        found = {name: losses[name] for name in LOSSES if name in losses}
        return found if lazy.smallest >= 0 else dict.fromkeys(found, float("nan"))

    def _predictor(self, wbar: Tensor, M: Tensor) -> tuple[Tensor, Tensor]:
        """Return the moments in which f(x) is the predictor that is trained."""
        return (wbar - self._wbar0, M - self._M0) if self._problem.centred else (wbar, M)

    def _loss(self, name: str, wbar: Tensor, M: Tensor) -> float:
        (X, y), problem = self._data[name], self._problem
        f = predictions(X, wbar, M, alpha=problem.alpha, epsilon=problem.epsilon)
        return float(mean_square(f, y))

    def _losses(self, wbar: Tensor, M: Tensor) -> dict[str, float]:
        problem, moments = self._problem, self._predictor(wbar, M)
        losses = {f"{name}_loss": self._loss(name, *moments) for name in self._data}
        terms = population_terms(
            problem.task, *moments, alpha=problem.alpha, epsilon=problem.epsilon
        )
        return _with_population(losses, terms)


class NeuronMeasures:
    """Measures networks of real neurons, with any activation, readouts fixed or trained."""

    def __init__(self, problem: Problem) -> None:
        assert problem.W is not None
        self._problem, self._data = problem, _sets(problem)
        device = problem.X.device
        readouts = None if problem.readouts is None else problem.readouts.to(device)
        self._start = problem.network(problem.W.to(device), readouts)

    def loss(self, snapshot: Snapshot, name: str) -> float:
        """Return the mean square error on the set of this name, "train" or "test"."""
        (X, y), network = self._data[name], self._network(snapshot)
        f = network(X) - self._start(X) if self._problem.centred else network(X)
        return float(mean_square(f, y))

    def losses(self, snapshot: Snapshot) -> dict[str, float]:
        """Return the losses on both sets and of the population, and the terms of the latter."""
        losses = {f"{name}_loss": self.loss(snapshot, name) for name in self._data}
        problem, network = self._problem, self._network(snapshot)
        if problem.activation_degree is None:
            return _with_population(losses, self._terms(*network.moments()))
        if not problem.task.has_population:
            return losses
        mixing = problem.task.mixing
        parts = [network.ridges(mixing), problem.task.ridges().times(-1)]
        if problem.centred:
            parts.append(self._start.ridges(mixing).times(-1))
        return _with_population(losses, population_by_degree(parts))

    def alignments(self, snapshot: Snapshot, name: str) -> dict[str, float]:
        """Return the kernel-task alignments on the set of this name."""
        X, y = self._data[name]
        K = self._network(snapshot).ntk_normalised(X, X)
        both = {"alignment": alignment(K, y), "centred_alignment": centred_alignment(K, y)}
        return {name: float(value) for name, value in both.items()}

    def kernel_regression(self) -> dict[str, float]:
        """Return the losses of the linearised network after infinitely many steps.

        That of the population only for the quadratic activation, where its moments are known.
        """
        problem, start, (X, y) = self._problem, self._start, self._data["train"]
        K = start.ntk_normalised(X, X)
        residual = y if problem.centred else y - start(X)
        rounding = X.shape[0] * torch.finfo(K.dtype).eps
        a = torch.linalg.pinv(K, rtol=rounding, hermitian=True) @ residual
        found = {}
        for name, (X2, y2) in self._data.items():
            f = start.ntk_normalised(X2, X) @ a + (0.0 if problem.centred else start(X2))
            found[f"{name}_loss"] = float(mean_square(f, y2))
        if problem.activation_degree is None:
            terms = self._terms(*start.moved_moments(start.change(X, a)))
            found = _with_population(found, terms)
        return {name: found[name] for name in LOSSES if name in found}

    def _network(self, snapshot: Snapshot):
        assert snapshot.W is not None
        return self._problem.network(snapshot.W, snapshot.readouts)

    def _terms(self, wbar: Tensor, M: Tensor) -> dict[str, Tensor]:
        """Return the terms of the population loss of the quadratic activation (eq. 22)."""
        problem = self._problem
        if problem.centred:
            wbar0, M0 = self._start.moments()
            wbar, M = wbar - wbar0, M - M0
        return population_terms(problem.task, wbar, M, alpha=problem.alpha, epsilon=problem.epsilon)
