"""The ``moments`` engine: exact full-batch gradient descent, at a cost that doesn't depend on N.

One step is two matrix products of P, D and k + 1 <= D + 1, and elementwise work; see
``pseudo_neurons`` for why it is exact for every width.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.rule import DECAYS, Rule, Update
from lazyrich.simulate.shapes import Float, Number
from lazyrich.simulate.stability import CHECK_EVERY, Diverged, has_diverged
from lazyrich.simulate.training import Snapshot, Training


class Descent:
    """Gradient descent of pseudo-neurons on the mean square error, for one run or a batch of runs.

    ``neurons`` are where they are; ``step`` moves them by the rule of ``rule`` (which see). Leading
    axes of the columns, of X (..., P, D) and of y (..., P) are runs; a number may then be a tensor
    with one value a run. With r = f - y, the gradient that moves a neuron w is

        (2 eta0/(alpha P)) sum_mu r_mu (1 + epsilon w.x_mu) x_mu.

    Where ``centred``, f(x; w) - f(x; w0) is trained. Where ``lazy``, it is too, and the state is
    U = alpha (w - w0): f is then U.x (1 + epsilon w0.x) + (epsilon/(2 alpha)) (U.x)^2, in which
    nothing cancels, however large alpha is. ``samples`` is the number of samples of each run where
    it isn't P: rows of zeros in X with y = 0 change nothing, and pad runs to a common P.

    >>> X, y = torch.tensor([[1.0], [2.0]]), torch.tensor([0.5, 2.0])
    >>> descent = Descent(PseudoNeurons.from_weights(torch.tensor([[1.0], [0.0]])), X, y,
    ...                   alpha=1.0, epsilon=0.5, learning_rate=0.1)
    >>> descent.step()
    >>> W = torch.tensor([[1.0], [0.0]], requires_grad=True)           # two neurons, by autograd
    >>> H = X @ W.T
    >>> loss = ((H + 0.25 * H**2).mean(1) - y).square().mean()
    >>> moved = W - 0.1 * 2 * torch.autograd.grad(loss, W)[0]
    >>> bool(torch.allclose(descent.neurons.M, moved.T @ moved / 2))
    True
    """

    def __init__(
        self,
        neurons: PseudoNeurons,
        X: Float[Tensor, "*batch P D"],
        y: Float[Tensor, "*batch P"],
        *,
        alpha: Number,
        epsilon: Number,
        centred: bool = False,
        lazy: bool = False,
        samples: Number | None = None,
        **rule: Number,
    ) -> None:
        # Held transposed, a row for each pseudo-neuron: the row of wbar is contiguous, and the
        # product with X^T is the faster one.
        V = neurons.columns.mT.clone(memory_format=torch.contiguous_format)
        self._signs, self._X, self._XT = neurons.signs, X, X.mT

        def number(value: Number) -> Tensor:  # one value a run, against (..., K, P or D)
            return torch.as_tensor(value, dtype=V.dtype, device=V.device)[..., None, None]

        alpha, epsilon = number(alpha), number(epsilon)
        tensors: dict[str, Any] = {name: number(value) for name, value in rule.items()}
        numbers = Rule(**tensors)
        count = number(X.shape[-2] if samples is None else samples)
        gain = torch.ones_like(alpha) if lazy else alpha
        self._gain, self._inverse = gain, 1 / alpha
        self._quadratic = gain * epsilon / 2 * neurons.signs[..., None, :]
        self._constant = torch.as_tensor(numbers.push(gain, count))
        self._slope = self._constant * epsilon

        self._H0 = torch.matmul(V, self._XT) if lazy else None
        self._V0 = V.clone() if lazy else None
        # What decay shrinks: w, or alpha w = alpha w0 + alpha (w - w0).
        decays = any(torch.as_tensor(rule.get(name, 0.0)).any() for name in DECAYS)
        origin = alpha * V if lazy and decays else None
        self._V = torch.zeros_like(V) if lazy else V
        self._update = Update(numbers, self._V, alpha=alpha, origin=origin)
        self._H = torch.matmul(V, self._XT)
        self._G = torch.empty_like(self._H) if lazy else self._H
        self._T = torch.empty_like(self._H)
        self._gradient = torch.empty_like(V)
        self._r = torch.empty_like(self._H[..., :1, :])
        self.residual = self._r[..., 0, :]
        self._first, self._first_T = self._G[..., :1, :], self._T[..., :1, :]
        self._target = torch.zeros_like(self._r)
        if centred and not lazy:
            self._evaluate()
            self._target = self._r.clone()
        self._target = self._target + y[..., None, :]

    @property
    def neurons(self) -> PseudoNeurons:
        """The pseudo-neurons now."""
        V = self._V if self._V0 is None else self._V0 + self._V * self._inverse
        return PseudoNeurons(V.mT, self._signs)

    @property
    def change(self) -> PseudoNeurons:
        """Where lazy: alpha times the change of the columns since the start."""
        assert self._V0 is not None
        return PseudoNeurons(self._V.mT, self._signs)

    def _evaluate(self) -> None:
        """Put (X V)^T into H and f(X) - target into the residual."""
        if self._H0 is None:
            torch.matmul(self._V, self._XT, out=self._H)
            torch.mul(self._H, self._H, out=self._T)
        else:
            torch.matmul(self._V, self._XT, out=self._G)
            torch.mul(self._G, self._inverse, out=self._H)
            self._H.add_(self._H0)
            torch.add(self._H, self._H0, out=self._T)
            self._T.mul_(self._G)
        torch.matmul(self._quadratic, self._T, out=self._r)
        self._r.addcmul_(self._first, self._gain).sub_(self._target)

    def loss(self) -> Tensor:
        """Return the sum of squared residuals (...,) before the last step: finite or not."""
        return self.residual.square().sum(-1)

    def step(self, count: int = 1) -> None:
        """Take ``count`` steps of gradient descent."""
        H, T, r, gradient = self._H, self._T, self._r, self._gradient
        for _ in range(count):
            self._evaluate()
            torch.mul(H, r * self._slope, out=T)
            self._first_T.addcmul_(r, self._constant)
            torch.matmul(T, self._X, out=gradient)
            self._update(gradient)

    def state(self) -> tuple[Tensor, Tensor]:
        """Return a copy of what the next steps depend on."""
        return self._V.clone(), self._update.velocity.clone()

    def restore(self, state: tuple[Tensor, Tensor]) -> None:
        """Go back to a ``state``; steps from there give the same bits."""
        self._V.copy_(state[0])
        self._update.velocity.copy_(state[1])

    def clear(self, run: int) -> None:
        """Put zeros in the place of one run of a batch, which then stays at zero."""
        for array in (self._V, self._target):
            array[run] = 0
        self._update.clear(run)


def descend(training: Training) -> Iterator[Snapshot]:
    """Yield the network at each stop of the training. Raises ``Diverged``."""
    X, network, start = training.X, training.network, training.start
    descent = Descent(
        start,
        X,
        training.y,
        alpha=network.alpha,
        epsilon=network.epsilon,
        centred=network.centred,
        lazy=training.lazy,
        **training.rule.numbers(),
    )
    scale, done = training.loss_scale, 0
    for stop in training.stops:
        while done < stop:
            count = min(CHECK_EVERY, stop - done)
            kept = descent.state()
            descent.step(count)
            if has_diverged(float(descent.loss()) / X.shape[0], scale):
                raise Diverged(done + _first(descent, kept, scale * X.shape[0]))
            done += count
            training.report(done)
        yield snapshot(done, descent, start, training)


def snapshot(
    step: int, descent: Descent, start: PseudoNeurons, training: Training, run: int | None = None
) -> Snapshot:
    """Return the snapshot of the run, or of one of a batch, that began at ``start``."""
    alpha = training.network.alpha
    if training.lazy:
        return Snapshot.moved_by(step, _one(descent.change, run), _one(start, run), alpha)
    kept = alpha if training.network.centred else None
    return Snapshot.of(step, _one(descent.neurons, run), _one(start, run), kept)


def _one(neurons: PseudoNeurons, run: int | None) -> PseudoNeurons:
    return neurons if run is None else PseudoNeurons(neurons.columns[run], neurons.signs[run])


def _first(descent: Descent, kept: tuple[Tensor, Tensor], scale: float) -> int:
    """Return how many steps after the kept state the loss was too large, by going there again."""
    descent.restore(kept)
    for count in range(CHECK_EVERY):
        descent.step()  # its loss is that before the step
        if has_diverged(float(descent.loss()), scale):
            return count
    raise AssertionError("the same steps did not diverge again")
