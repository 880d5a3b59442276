"""The ``neurons`` engine: the network neuron by neuron, by autograd; slow and obvious.

The one engine for trained readouts, for activations other than the quadratic one, and for other
optimisers: no moments of the weights close under those. Where the centred predictor is trained, the
parameters are alpha (w - w0) and not w: see ``moments``.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from lazyrich.simulate.activations import Curved
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.stability import CHECK_EVERY, Diverged, has_diverged
from lazyrich.simulate.training import Snapshot, Training
from lazyrich.simulate.two_layer import TwoLayer
from lazyrich.support.user_code import running


def network(
    X: Float[Tensor, "P D"], W: Float[Tensor, "N D"], *, alpha: float, epsilon: float
) -> Float[Tensor, " P"]:
    """Return f(x) = (alpha/N) sum_i phi(w_i.x), phi(h) = h + (epsilon/2) h^2 (eq. 1).

    >>> network(torch.tensor([[2.0]]), torch.tensor([[1.0], [3.0]]), alpha=1.0, epsilon=1.0)
    tensor([14.])
    """
    return TwoLayer(W, None, alpha, Curved(epsilon))(X)


class Weights:
    """The parameters are the weights themselves.

    ``parameters`` are W and, where they are trained, the readouts.
    """

    def __init__(self, training: Training, start: list[Tensor]) -> None:
        self._network, self._X, self._start = training.network, training.X, start
        self.parameters = [array.clone().requires_grad_() for array in start]
        self._first = self._f(*start) if training.network.centred else torch.zeros_like(training.y)
        rule, N = training.rule, start[0].shape[0]
        self.optimiser = rule.torch_optimiser(self.parameters, N, self._network.alpha)
        self._lost = rule.decoupled_per_step

    def _f(self, W: Tensor, readouts: Tensor | None = None) -> Tensor:
        return self._network.with_weights(W, readouts)(self._X)

    def predictor(self) -> Tensor:
        """Return the predictor that is trained, at every sample."""
        return self._f(*self.parameters) - self._first

    def penalty(self) -> Tensor | float:
        """Return what the loss has besides the mean square: nothing, the optimiser decays W."""
        return 0.0

    def decoupled(self) -> list[Tensor]:
        """Return what the decoupled decay takes off each parameter in this step."""
        return [self._lost * array.detach() for array in self.parameters]

    def weights(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return the weights, their changes, and alpha times these, in float64."""
        now = [array.detach().to(torch.float64, copy=True) for array in self.parameters]
        pairs = zip(now, self._start, strict=True)
        changes = [a - b.to(torch.float64) for a, b in pairs]
        return now, changes, [self._network.alpha * part for part in changes]


class Changes:
    """The parameters are alpha (w - w0), of the centred predictor f(x; w) - f(x; w0).

    Their gradient is 1/alpha of that of w, and they move alpha times as far: the step size of
    ``Rule.eta`` times alpha^2, which is that of alpha = 1.
    """

    def __init__(self, training: Training, start: list[Tensor]) -> None:
        self._alpha, self._X, self._start = training.network.alpha, training.X, start
        self._at_start = training.network.with_weights(*start, *[None] * (2 - len(start)))
        self.parameters = [torch.zeros_like(array).requires_grad_() for array in start]
        rule, self._N = training.rule, start[0].shape[0]
        self.optimiser = rule.torch_optimiser(self.parameters, self._N, 1.0, in_loss=True)
        self._decay = float(rule.weight_decay)

    def predictor(self) -> Tensor:
        """Return the predictor that is trained, at every sample."""
        return self._at_start.rise(self._X, *self.parameters, *[None] * (2 - len(self.parameters)))

    def penalty(self) -> Tensor | float:
        """Return the decay of the loss, (weight_decay/2) (1/N) sum_i |w_i|^2."""
        if not self._decay:
            return 0.0
        pulls = zip(self._start, self.parameters, strict=True)
        linear, square = 0.0, 0.0  # |w|^2 without its constant |w0|^2, which swamps the rest
        for start, moved in pulls:
            linear += (start * moved).sum() * (2 / self._alpha)
            square += moved.square().sum() / self._alpha / self._alpha
        return self._decay / 2 / self._N * (linear + square)

    def decoupled(self) -> list[Tensor]:
        """Return what the decoupled decay takes off: there is none in these coordinates."""
        return [torch.zeros_like(array) for array in self._start]

    def weights(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return the weights, their changes, and alpha times these, in float64."""
        moved = [array.detach().to(torch.float64, copy=True) for array in self.parameters]
        changes = [part / self._alpha for part in moved]
        pairs = zip(self._start, changes, strict=True)
        return [start.to(torch.float64) + part for start, part in pairs], changes, moved


def descend(training: Training) -> Iterator[Snapshot]:
    """Yield the network at each stop, one neuron a row of W. Raises ``Diverged``."""
    network, y = training.network, training.y
    if network.W is None:
        raise ValueError("a network without real neurons has no neurons to train")
    given = [network.W] if network.readouts is None else [network.W, network.readouts]
    start = [array.to(dtype=y.dtype, device=y.device) for array in given]
    state = (Changes if training.lazy else Weights)(training, start)
    update = running("optimiser", state.optimiser.step)
    scale, done = training.loss_scale, 0
    for stop in training.stops:
        while done < stop:
            state.optimiser.zero_grad()
            loss = (state.predictor() - y).square().mean()
            if has_diverged(loss.item(), scale):
                raise Diverged(done)
            (loss + state.penalty()).backward()
            decoupled = state.decoupled()
            update()
            with torch.no_grad():
                for array, part in zip(state.parameters, decoupled, strict=True):
                    array.sub_(part)
            done += 1
            if done % CHECK_EVERY == 0 or done == stop:
                training.report(done)
        yield _snapshot(done, state, network.centred)


def _snapshot(step: int, state: Weights | Changes, centred: bool) -> Snapshot:
    now, changes, moved = state.weights()
    W, N = now[0], now[0].shape[0]
    wbar, M = W.mean(0), W.T @ W / N
    square = sum(float(array.square().sum()) for array in now) / N
    change = sum(float(array.square().sum()) for array in changes) / N
    readouts = now[1] if len(now) > 1 else None
    found = Snapshot(step, wbar, M, square, change, wbar, M, W=W, readouts=readouts)
    if not centred:
        return found
    dW = moved[0]
    cross = (W - changes[0]).T @ dW / N  # with the initial weights
    of_moments = dW.mean(0), cross + cross.T + changes[0].T @ dW / N
    readouts_moved = moved[1] if len(moved) > 1 else None
    return replace(found, moved=of_moments, W_moved=dW, readouts_moved=readouts_moved)
