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
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.training import Snapshot, Training
from lazyrich.simulate.two_layer import TwoLayer

LOSSES = ("train_loss", "test_loss", "population_loss")


def _sets(training: Training) -> dict[str, tuple[Tensor, Tensor]]:
    """Return inputs and labels by the name of the set, in float64 on the device of the run."""
    task, device = training.task, training.X.device
    return {
        "train": (task.X.to(device), task.y.to(device)),
        "test": (task.X_test.to(device), task.y_test.to(device)),
    }


def _with_population(losses: dict[str, float], terms: dict[str, Tensor]) -> dict[str, float]:
    """Add the terms of the population loss and their sum, where there are any."""
    values = {name: float(value) for name, value in terms.items()}
    if "population_loss" in values:
        return losses | values
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

    def __init__(self, training: Training) -> None:
        self._training, self._data = training, _sets(training)
        self._network = training.network
        device = training.X.device
        self._start = training.network.start.to(dtype=torch.float64, device=device)
        # The centred predictor is that of the moved moments, which hold alpha already.
        self._alpha = 1.0 if self._network.centred else self._network.alpha
        self._aligned: tuple[Tensor, dict[str, float]] | None = None

    def loss(self, snapshot: Snapshot, name: str) -> float:
        """Return the mean square error on the set of this name, "train" or "test"."""
        return self._loss(name, *self._predictor(snapshot))

    def losses(self, snapshot: Snapshot) -> dict[str, float]:
        """Return the losses on both sets and of the population, and the terms of the latter."""
        return self._losses(*self._predictor(snapshot))

    def descent_losses(self, snapshot: Snapshot) -> dict[str, float]:
        """Return the same of where gradient descent is instead of its flow."""
        assert snapshot.descent is not None
        if not all(bool(torch.isfinite(part).all()) for part in snapshot.descent):
            return dict.fromkeys(LOSSES, float("nan"))
        return self._losses(*snapshot.descent)

    def alignments(self, snapshot: Snapshot, name: str) -> dict[str, float]:
        """Return the kernel-task alignments on the set of this name."""
        if self._aligned is not None and self._aligned[0] is snapshot.kernel_M:
            return self._aligned[1]  # the linearised network keeps its kernel
        kernel = snapshot.kernel_wbar, snapshot.kernel_M
        values = ntk_alignments(*self._data[name], *kernel, epsilon=self._network.epsilon)
        self._aligned = (snapshot.kernel_M, values)
        return values

    def kernel_regression(self) -> dict[str, float]:
        """Return the losses of the linearised network after infinitely many steps."""
        network = self._network
        lazy = LinearisedDescent(
            self._start,
            *self._data["train"],
            alpha=network.alpha,
            epsilon=network.epsilon,
            learning_rate=float(self._training.rule.learning_rate),
            centred=network.centred,
        )
        end = lazy.moved_moments if network.centred else lazy.moments
        losses = self._losses(*end(float("inf")))
        # With a negative eigenvalue the linearised network has no limit.
        found = {name: losses[name] for name in LOSSES if name in losses}
        return found if lazy.smallest >= 0 else dict.fromkeys(found, float("nan"))

    def _predictor(self, snapshot: Snapshot) -> tuple[Tensor, Tensor]:
        """Return the moments in which f(x) is the predictor that is trained."""
        if not self._network.centred:
            return snapshot.wbar, snapshot.M
        assert snapshot.moved is not None
        return snapshot.moved

    def _loss(self, name: str, wbar: Tensor, M: Tensor) -> float:
        X, y = self._data[name]
        f = predictions(X, wbar, M, alpha=self._alpha, epsilon=self._network.epsilon)
        return float(mean_square(f, y))

    def _losses(self, wbar: Tensor, M: Tensor) -> dict[str, float]:
        losses = {f"{name}_loss": self._loss(name, wbar, M) for name in self._data}
        numbers = {"alpha": self._alpha, "epsilon": self._network.epsilon}
        return _with_population(losses, population_terms(self._training.task, wbar, M, **numbers))


class NeuronMeasures:
    """Measures networks of real neurons, with any activation, readouts fixed or trained."""

    def __init__(self, training: Training) -> None:
        self._training, self._data = training, _sets(training)
        self._network = training.network
        self._start = training.network.at_start(training.X.device)

    def loss(self, snapshot: Snapshot, name: str) -> float:
        """Return the mean square error on the set of this name, "train" or "test"."""
        X, y = self._data[name]
        if not self._network.centred:
            return float(mean_square(self._now(snapshot)(X), y))
        assert snapshot.W_moved is not None
        f = self._start.rise(X, snapshot.W_moved, snapshot.readouts_moved)
        return float(mean_square(f, y))

    def losses(self, snapshot: Snapshot) -> dict[str, float]:
        """Return the losses on both sets and of the population, and the terms of the latter."""
        losses = {f"{name}_loss": self.loss(snapshot, name) for name in self._data}
        if self._network.quadratic:
            return _with_population(losses, self._terms(snapshot))
        task, now = self._training.task, self._now(snapshot)
        if not task.has_population:
            return losses
        target = task.ridges()
        if self._network.activation.series is None or target is None:
            return _with_population(losses, self._by_theory(snapshot))
        parts = [now.ridges(task.mixing), *(part.times(-1) for part in target)]
        if self._network.centred:
            parts.append(self._start.ridges(task.mixing).times(-1))
        noise = {"label_noise": now.W.new_tensor(task.noise**2)} if task.noise else {}
        return _with_population(losses, population_by_degree(parts) | noise)

    def _by_theory(self, snapshot: Snapshot) -> dict[str, Tensor]:
        """Return the population loss of any activation and target, by ``theory.Problem``."""
        problem, values = self._training.problem
        start, now = self._start, self._now(snapshot)
        centred = {"W0": start.W, "v0": start.readouts} if self._network.centred else {}
        loss = problem.population_loss(
            W=now.W,
            v=now.readouts,
            alpha=self._network.alpha,
            noise=self._training.task.noise,
            **{name: value for name, value in centred.items() if value is not None},
            **values,
        )
        return {"population_loss": loss}

    def alignments(self, snapshot: Snapshot, name: str) -> dict[str, float]:
        """Return the kernel-task alignments on the set of this name."""
        X, y = self._data[name]
        K = self._now(snapshot).ntk_normalised(X, X)
        both = {"alignment": alignment(K, y), "centred_alignment": centred_alignment(K, y)}
        return {name: float(value) for name, value in both.items()}

    def kernel_regression(self) -> dict[str, float]:
        """Return the losses of the linearised network after infinitely many steps.

        That of the population only for the quadratic activation, where its moments are known.
        """
        network, start, (X, y) = self._network, self._start, self._data["train"]
        K = start.ntk_normalised(X, X)
        residual = y if network.centred else y - start(X)
        rounding = X.shape[0] * torch.finfo(K.dtype).eps
        a = torch.linalg.pinv(K, rtol=rounding, hermitian=True) @ residual
        found = {}
        for name, (X2, y2) in self._data.items():
            f = start.ntk_normalised(X2, X) @ a + (0.0 if network.centred else start(X2))
            found[f"{name}_loss"] = float(mean_square(f, y2))
        if network.quadratic:
            moved = start.moved_moments(start.change(X, a))
            if not network.centred:
                moved = tuple(
                    base + part / network.alpha
                    for base, part in zip(start.moments(), moved, strict=True)
                )
            found = _with_population(found, self._terms_of(*moved))
        return {name: found[name] for name in LOSSES if name in found}

    def _now(self, snapshot: Snapshot) -> TwoLayer:
        assert snapshot.W is not None
        return self._network.with_weights(snapshot.W, snapshot.readouts)

    def _terms(self, snapshot: Snapshot) -> dict[str, Tensor]:
        """Return the terms of the population loss of the quadratic activation (eq. 22)."""
        if not self._network.centred:
            return self._terms_of(*self._now(snapshot).moments())
        assert snapshot.W_moved is not None
        moved = self._start.moved_exactly(snapshot.W_moved, snapshot.readouts_moved)
        return self._terms_of(*moved)

    def _terms_of(self, wbar: Tensor, M: Tensor) -> dict[str, Tensor]:
        alpha = 1.0 if self._network.centred else self._network.alpha
        numbers = {"alpha": alpha, "epsilon": self._network.epsilon}
        return population_terms(self._training.task, wbar, M, **numbers)
