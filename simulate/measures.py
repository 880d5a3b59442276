"""What a snapshot tells: losses, alignments, and the losses of the linearised limit.

``MomentMeasures`` needs the moments (wbar, M) only, and serves every engine; ``NeuronMeasures``
needs the neurons, for trained readouts and for activations that the moments don't describe.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lazyrich.simulate.hermite import population_by_degree
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.metrics import (
    Alignments,
    mean_square,
    neuron_alignments,
    population_terms,
)
from lazyrich.simulate.network import predictions, predictions_of_many
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.training import Snapshot, Training
from lazyrich.simulate.two_layer import TwoLayer
from lazyrich.support.arguments import fits_memory
from lazyrich.support.differences import LARGE

LOSSES = ("train_loss", "test_loss", "population_loss")
# Measurements by name, one entry for each snapshot.
Columns = dict[str, Tensor]
# Bytes that snapshots measured together may take: while the calls cost more than the arithmetic.
STACK_BUDGET = 2**20
# Bytes of snapshots of a flow that are kept to be measured together, and from how many on it pays.
FLOW_BUDGET, MANY = 2**26, 8


def _sets(training: Training) -> dict[str, tuple[Tensor, Tensor]]:
    """Return inputs and labels by the name of the set, in float64 on the device of the run."""
    task, device = training.task, training.X.device
    return {
        "train": (task.X.to(device), task.y.to(device)),
        "test": (task.X_test.to(device), task.y_test.to(device)),
    }


def _with_population(losses: Columns, terms: Columns) -> Columns:
    """Add the terms of the population loss and their sum, where there are any."""
    if not terms or "population_loss" in terms:
        return losses | terms
    total = sum(terms.values())
    assert isinstance(total, Tensor)
    return losses | {"population_loss": total} | terms


def _stacked(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    first, second = zip(*pairs, strict=True)
    return torch.stack(first), torch.stack(second)


def _joined(each: Sequence[Columns]) -> Columns:
    """Return the columns of measurements that were made one by one."""
    return {name: torch.stack([one[name] for one in each]) for name in each[0]}


def snapshots_of_a_flow(D: int) -> int:
    """Return how many snapshots of gradient flow are held at a time: some six (D, D) each.

    >>> snapshots_of_a_flow(100), snapshots_of_a_flow(10_000)
    (139, 1)
    """
    return max(1, FLOW_BUDGET // (48 * D**2))


def zero_losses(task: PolynomialTask) -> dict[str, float]:
    """Return the losses of predicting nothing, f = 0, by the name of their variable.

    >>> task = PolynomialTask(D=2, P=1, n_test=1)
    >>> round(zero_losses(task)["zero_population_loss"], 12)
    0.75
    """
    nothing = torch.zeros(task.D, task.D, dtype=torch.float64)
    terms = population_terms(task, nothing[0], nothing, alpha=1.0, epsilon=1.0)
    labels = {"train": task.y, "test": task.y_test}
    losses = {f"{name}_loss": y.square().mean() for name, y in labels.items()}
    return {
        f"zero_{name}": float(value)
        for name, value in _with_population(losses, terms).items()
        if name in LOSSES
    }


class MomentMeasures:
    """Measures networks whose predictor and kernel are functions of (wbar, M).

    ``late``: snapshots may wait, to be measured many at a time.
    """

    def __init__(self, training: Training, late: bool = False) -> None:
        self._training, self._data, self.late = training, _sets(training), late
        self._network = training.network
        device = training.X.device
        self._start = training.network.start.to(dtype=torch.float64, device=device)
        # The centred predictor is that of the moved moments, which hold alpha already.
        self._alpha = 1.0 if self._network.centred else self._network.alpha
        self._alignments_of: dict[str, Alignments] = {}
        self._aligned: tuple[Tensor, Tensor, Columns] | None = None

    @property
    def together(self) -> int:
        """How many snapshots to measure at once: while their arrays are small, if not late."""
        D = self._training.task.D
        if self.late:
            return snapshots_of_a_flow(D)
        rows = max(len(y) for _, y in self._data.values())
        return min(self._kernels, max(1, STACK_BUDGET // (8 * max(rows * D, 1))))

    @property
    def _kernels(self) -> int:
        """How many kernels to make at once."""
        D = self._training.task.D
        held = max(Alignments.held(len(y), D) for _, y in self._data.values())
        return max(1, STACK_BUDGET // (8 * held))

    def train_loss(self, snapshot: Snapshot) -> float:
        """Return the mean square error on the training set."""
        return float(self._loss("train", *self._predictor(snapshot)))

    def all_losses(self, snapshots: Sequence[Snapshot]) -> Columns:
        """Return ``losses`` with that on the training set; at once."""
        both = ("train", "test")
        return self._losses(both, *_stacked([self._predictor(one) for one in snapshots]))

    def losses(self, snapshots: Sequence[Snapshot]) -> Columns:
        """Return the loss on the test set and of the population, and the terms of the latter."""
        return self._losses(("test",), *_stacked([self._predictor(one) for one in snapshots]))

    def descent_losses(self, snapshots: Sequence[Snapshot]) -> Columns:
        """Return all losses of where gradient descent is instead of its flow; NaN if nowhere."""
        wbar, M = _stacked([one.descent for one in snapshots if one.descent is not None])
        exists = torch.isfinite(wbar).all(-1) & torch.isfinite(M).all(-1).all(-1)
        wbar, M = wbar.where(exists[:, None], 0.0), M.where(exists[:, None, None], 0.0)
        losses = self._losses(("train", "test"), wbar, M)
        return {name: value.where(exists, float("nan")) for name, value in losses.items()}

    def alignments(self, snapshots: Sequence[Snapshot], name: str) -> Columns:
        """Return the kernel-task alignments on the set of this name."""
        parts = range(0, len(snapshots), self._kernels)
        each = [self._alignments(snapshots[i : i + parts.step], name) for i in parts]
        return {column: torch.cat([one[column] for one in each]) for column in each[0]}

    def _alignments(self, snapshots: Sequence[Snapshot], name: str) -> Columns:
        wbar, M = _stacked([(one.kernel_wbar, one.kernel_M) for one in snapshots])
        if bool((wbar == wbar[:1]).all()) and bool((M[:1] == M).all()):
            wbar, M = wbar[:1], M[:1]  # the linearised network keeps its kernel
        known = self._aligned
        if known is None or not (torch.equal(wbar, known[0]) and torch.equal(M, known[1])):
            if name not in self._alignments_of:
                self._alignments_of[name] = Alignments(*self._data[name])
            found = self._alignments_of[name](wbar, M, epsilon=self._network.epsilon)
            known = self._aligned = wbar, M, found
        return {name: value.expand(len(snapshots)) for name, value in known[2].items()}

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
        losses = self._losses(("train", "test"), *end(float("inf")))
        # With a negative eigenvalue the linearised network has no limit.
        found = {name: float(losses[name]) for name in LOSSES if name in losses}
        return found if lazy.smallest >= 0 else dict.fromkeys(found, float("nan"))

    def _predictor(self, snapshot: Snapshot) -> tuple[Tensor, Tensor]:
        """Return the moments in which f(x) is the predictor that is trained."""
        if not self._network.centred:
            return snapshot.wbar, snapshot.M
        assert snapshot.moved is not None
        return snapshot.moved

    def _loss(self, name: str, wbar: Tensor, M: Tensor) -> Tensor:
        X, y = self._data[name]
        one_by_one = wbar.ndim == 1 or len(wbar) < MANY or not self.late
        of = predictions if one_by_one else predictions_of_many
        return mean_square(of(X, wbar, M, alpha=self._alpha, epsilon=self._network.epsilon), y)

    def _losses(self, sets: Sequence[str], wbar: Tensor, M: Tensor) -> Columns:
        losses = {f"{name}_loss": self._loss(name, wbar, M) for name in sets}
        numbers = {"alpha": self._alpha, "epsilon": self._network.epsilon}
        terms = population_terms(self._training.task, wbar, M, **numbers)
        each = {name: value.expand(wbar.shape[:-1]) for name, value in terms.items()}
        return _with_population(losses, each)


class NeuronMeasures:
    """Measures networks of real neurons, with any activation, readouts fixed or trained."""

    def __init__(self, training: Training) -> None:
        self._training, self._data = training, _sets(training)
        self._network = training.network
        self._start = training.network.at_start(training.X.device)

    @staticmethod
    def fit_memory(P: int, n_test: int, width: int) -> None:
        """Raise ``ValueError`` where what is measured does not fit this machine's memory."""
        sizes = f"P = {P}, n_test = {n_test}, width = {width}"
        floats = max(P, n_test) * (2 * width + P)  # two arrays of neurons; a kernel
        fits_memory(f"{sizes}: the neurons' outputs and the kernel on P samples", 8.0 * floats)

    @property
    def together(self) -> int:
        """How many snapshots to measure at once."""
        return 1

    def train_loss(self, snapshot: Snapshot) -> float:
        """Return the mean square error on the training set."""
        return float(self._loss("train", snapshot))

    def losses(self, snapshots: Sequence[Snapshot]) -> Columns:
        """Return the loss on the test set and of the population, and the terms of the latter."""
        return _joined([self._losses(one) for one in snapshots])

    def _loss(self, name: str, snapshot: Snapshot) -> Tensor:
        X, y = self._data[name]
        if not self._network.centred:
            return mean_square(self._now(snapshot)(X), y)
        assert snapshot.W_moved is not None
        f = self._start.rise(X, snapshot.W_moved, snapshot.readouts_moved)
        return mean_square(f, y)

    def _losses(self, snapshot: Snapshot) -> Columns:
        losses = {"test_loss": self._loss("test", snapshot)}
        if self._network.quadratic:
            return _with_population(losses, self._terms(snapshot))
        task, now = self._training.task, self._now(snapshot)
        if not task.has_population:
            return losses
        target = task.ridges()
        if self._network.activation.series is None or target is None:
            return _with_population(losses, self._by_theory(snapshot))
        parts = [part.times(-1) for part in target]
        if self._network.centred and abs(self._network.alpha) > LARGE:
            assert snapshot.W_moved is not None
            moved = snapshot.W_moved, snapshot.readouts_moved
            parts.insert(0, self._start.rise_as_ridges(*moved, task.mixing))
        else:
            parts.insert(0, now.ridges(task.mixing))
            if self._network.centred:
                parts.append(self._start.ridges(task.mixing).times(-1))
        noise = {"label_noise": now.W.new_tensor(task.noise**2)} if task.noise else {}
        return _with_population(losses, population_by_degree(parts) | noise)

    def _by_theory(self, snapshot: Snapshot) -> dict[str, Tensor]:
        """Return the population loss of any activation and target, by ``theory.Problem``."""
        problem, values = self._training.problem
        start, now = self._start, self._now(snapshot)
        centred = {}
        if self._network.centred:
            centred = {"W0": start.W, "v0": start.readouts}
            centred |= {"W_moved": snapshot.W_moved, "v_moved": snapshot.readouts_moved}
        given = (now.W, now.readouts, *centred.values())
        if not all(bool(each.isfinite().all()) for each in given if each is not None):
            return {"population_loss": now.W.new_tensor(torch.nan)}  # the run has diverged
        loss = problem.population_loss(
            W=now.W,
            v=now.readouts,
            alpha=self._network.alpha,
            noise=self._training.task.noise,
            **{name: value for name, value in centred.items() if value is not None},
            **values,
        )
        return {"population_loss": loss}

    def alignments(self, snapshots: Sequence[Snapshot], name: str) -> Columns:
        """Return the kernel-task alignments on the set of this name."""
        X, y = self._data[name]
        return _joined([neuron_alignments(self._now(one), X, y) for one in snapshots])

    def kernel_regression(self) -> dict[str, float]:
        """Return the losses of the linearised network after infinitely many steps.

        That of the population only for the quadratic activation, where its moments are known.
        """
        network, start, (X, y) = self._network, self._start, self._data["train"]
        K = start.ntk_normalised(X, X)
        residual = y if network.centred else y - start(X)
        rounding = X.shape[0] * torch.finfo(K.dtype).eps
        a = torch.linalg.pinv(K, rtol=rounding, hermitian=True) @ residual
        found: Columns = {}
        for name, (X2, y2) in self._data.items():
            f = start.ntk_normalised(X2, X) @ a + (0.0 if network.centred else start(X2))
            found[f"{name}_loss"] = mean_square(f, y2)
        if network.quadratic:
            moved = start.moved_moments(start.change(X, a))
            if not network.centred:
                moved = tuple(
                    base + part / network.alpha
                    for base, part in zip(start.moments(), moved, strict=True)
                )
            found = _with_population(found, self._terms_of(*moved))
        return {name: float(found[name]) for name in LOSSES if name in found}

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
