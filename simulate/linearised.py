"""The ``linearised`` engine: the lazy curve in closed form, from one eigendecomposition.

The network is replaced by its first-order expansion in the weights at the start. Its residual on
the training set obeys r(t) = (I - (2 eta0/P) K)^t r(0), K the normalised train kernel; in the
eigenvectors of K every step is at hand without the ones before it, and so is the limit of
infinitely many, which is kernel regression without ridge.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lazyrich.simulate.network import ntk_normalised, predictions
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.rule import Rule
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.stability import Diverged, NumericalError, has_diverged
from lazyrich.simulate.training import Snapshot, Training


class LinearisedDescent:
    """Gradient descent of the linearised network; ``change(t)`` is where its weights are.

    Eigenvalues of K below P times rounding of the largest are zero: their eigenvectors can't be
    learnt at any time; so are negative ones below that of the terms of K. ``smallest`` is the
    smallest other eigenvalue over the largest; it is negative only for moments (wbar, M) that no
    real neurons have, and then some errors grow.

    >>> X, y = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> lazy = LinearisedDescent(PseudoNeurons.isotropic(2, 1.0), X, y,
    ...                          alpha=1.0, epsilon=1.0, learning_rate=0.25, centred=True)
    >>> wbar, M = lazy.moments(2)                                      # K = 2 I: r halves, twice
    >>> start = PseudoNeurons.isotropic(2, 1.0)
    >>> predictions(X, wbar - start.wbar, M - start.M, alpha=1.0, epsilon=1.0)
    tensor([0.7500, 1.5000], dtype=torch.float64)
    """

    def __init__(
        self,
        start: PseudoNeurons,
        X: Float[Tensor, "P D"],
        y: Float[Tensor, " P"],
        *,
        alpha: float,
        epsilon: float,
        learning_rate: float,
        centred: bool,
    ) -> None:
        self.start, self._X, self._alpha = start, X, alpha
        wbar, M = start.wbar, start.M
        eigenvalues, self._vectors = torch.linalg.eigh(
            ntk_normalised(X, X, wbar, M, epsilon=epsilon)
        )
        largest = eigenvalues.abs().max()
        rounding = X.shape[0] * torch.finfo(X.dtype).eps
        null = eigenvalues.abs() <= rounding * largest
        if (eigenvalues < 0)[~null].any():  # K rounds by the size of its terms, which may cancel
            sizes = (abs(part) for part in (X, X, wbar, M))
            terms = ntk_normalised(*sizes, epsilon=abs(epsilon)).max()
            null |= (eigenvalues < 0) & (eigenvalues >= -rounding * terms)
        self._eigenvalues = torch.where(null, 0.0, eigenvalues)
        alive = self._eigenvalues[~null]
        self.smallest = float(alive.min() / largest) if alive.numel() else 0.0
        first = torch.zeros_like(y)
        if not centred:
            first = predictions(X, wbar, M, alpha=alpha, epsilon=epsilon)
        self._residual = self._vectors.T @ (first - y)
        self._factor = Rule(learning_rate).push(1, X.shape[0])
        self._slopes = epsilon * (X @ start.columns)  # phi' for each pseudo-neuron:
        self._slopes[:, 0] += 1  # of the affine map, the mean alone has the constant

    def loss(self, step: int) -> float:
        """Return the train loss at this step; infinite where it overflows."""
        left = 1 - _learnt(self._factor * self._eigenvalues, step)
        return float((left * self._residual).square().mean())

    def moved(self, step: int | float) -> PseudoNeurons:
        """Return the pseudo-neurons of alpha (w(step) - w(0)); ``step`` may be infinite.

        They are -X^T (R phi'(X V)), R the sum over eigenvectors of the residual there times
        (1 - (1 - factor lambda)^step)/lambda.
        """
        return self._moved(step, 1.0)

    def change(self, step: int | float) -> PseudoNeurons:
        """Return the pseudo-neurons of w(step) - w(0); ``step`` may be infinite."""
        return self._moved(step, self._alpha)

    def _moved(self, step: int | float, over: float) -> PseudoNeurons:
        weights = _learnt(self._factor * self._eigenvalues, step)
        alive = self._eigenvalues != 0
        weights = torch.where(alive, weights / torch.where(alive, self._eigenvalues, 1.0), 0.0)
        R = self._vectors @ (weights * self._residual) / over
        return PseudoNeurons(-self._X.T @ (R[:, None] * self._slopes), self.start.signs)

    def moments(self, step: int | float) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return the (wbar, M) in which f is the linearised network: M to first order in change.

        It is a predictor, not the second moment of any weights.
        """
        change = self.change(step)
        cross = (self.start.columns * self.start.signs) @ change.columns.T
        return self.start.wbar + change.wbar, self.start.M + cross + cross.T

    def moved_moments(self, step: int | float) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return alpha times the changes of ``moments`` since the start."""
        moved = self.moved(step)
        cross = (self.start.columns * self.start.signs) @ moved.columns.T
        return moved.wbar, cross + cross.T


def _learnt(x: Tensor, step: int | float) -> Tensor:
    """Return 1 - (1 - x)^step, to full relative precision for small x."""
    if step == 0:
        return torch.zeros_like(x)
    if step == float("inf"):
        return (x != 0).to(x.dtype)
    slow = -torch.expm1(step * torch.log1p(-torch.clamp(x, max=1.0)))
    fast = 1 - (1 - x) ** step  # beyond x = 1 the sign alternates; no cancellation to fear
    return torch.where(x <= 1, slow, fast)


def descend(training: Training) -> Iterator[Snapshot]:
    """Yield the linearised network at each stop of the training.

    Raises ``NumericalError`` where the train kernel has a negative eigenvalue.
    """
    network, start = training.network, training.start
    lazy = LinearisedDescent(
        start,
        training.X,
        training.y,
        alpha=network.alpha,
        epsilon=network.epsilon,
        learning_rate=float(training.rule.learning_rate),
        centred=network.centred,
    )
    if lazy.smallest < 0:
        raise NumericalError(
            f"init gives a train kernel with an eigenvalue of {lazy.smallest:.3g} times the largest"
            ": must be none below 0 for the linearised engine (no real neurons have this M)"
        )
    before = 0
    for stop in training.stops:
        if has_diverged(lazy.loss(stop), training.loss_scale):
            raise Diverged(_first(lazy, before, stop, training.loss_scale))
        before = stop
        change = lazy.change(stop)
        wbar, M = lazy.moments(stop)
        weights = PseudoNeurons(start.columns + change.columns, start.signs)
        a, A = lazy.moved_moments(stop)
        yield Snapshot(
            stop,
            wbar.double(),
            M.double(),
            float(weights.square()),
            float(change.square()),
            start.wbar.double(),
            start.M.double(),
            moved=(a.double(), A.double()) if network.centred else None,
            columns=weights.columns.double(),
        )
        training.report(stop)


def _first(lazy: LinearisedDescent, good: int, bad: int, scale: float) -> int:
    """Return the first step in (good, bad] that has diverged: the loss is convex in the step."""
    while bad - good > 1:
        middle = (good + bad) // 2
        if has_diverged(lazy.loss(middle), scale):
            bad = middle
        else:
            good = middle
    return bad
