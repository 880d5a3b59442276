"""The ``moments`` engine: exact full-batch gradient descent, at a cost that doesn't depend on N.

One step is two matrix products of P, D and k + 1 <= D + 1, and elementwise work; see
``pseudo_neurons`` for why it is exact for every width.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lazyrich.simulate.problem import Problem, Snapshot
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.shapes import Float, Number
from lazyrich.simulate.stability import CHECK_EVERY, Diverged, has_diverged


class Descent:
    """Gradient descent of pseudo-neurons on the mean square error, for one run or a batch of runs.

    ``neurons`` is the state, updated in place by ``step``. Leading axes of its columns, of X
    (..., P, D) and of y (..., P) are runs; a number may then be a tensor with one value a run.
    Every gradient step moves each neuron, with r = f - y (less f at the start where centred), by

    - v <- momentum v + (2 eta0/(alpha P)) sum_mu r_mu (1 + epsilon w.x_mu) x_mu
      + (eta0 weight_decay/alpha^2) w, from v = 0,
    - w <- (1 - eta0 decoupled_weight_decay) w - v.

    That is ``torch.optim.SGD`` at lr = eta0 N/alpha^2 on the loss mean(r^2)
    + (weight_decay/2) (1/N) sum_i |w_i|^2. ``samples`` is the number of samples of each run where
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
        learning_rate: Number,
        centred: bool = False,
        momentum: Number = 0.0,
        weight_decay: Number = 0.0,
        decoupled_weight_decay: Number = 0.0,
        samples: Number | None = None,
    ) -> None:
        # Held transposed, a row for each pseudo-neuron: the row of wbar is contiguous, and the
        # product with X^T is the faster one.
        V = neurons.columns.mT.clone(memory_format=torch.contiguous_format)
        self.neurons = PseudoNeurons(V.mT, neurons.signs)
        self._V, self._X, self._XT = V, X, X.mT

        def number(value: Number) -> Tensor:  # one value a run, against (..., K, P or D)
            return torch.as_tensor(value, dtype=V.dtype, device=V.device)[..., None, None]

        alpha, epsilon, rate = number(alpha), number(epsilon), number(learning_rate)
        self._alpha = alpha
        self._quadratic = alpha * epsilon / 2 * neurons.signs[..., None, :]
        self._constant = 2 * rate / (alpha * number(X.shape[-2] if samples is None else samples))
        self._slope = self._constant * epsilon
        self._momentum = number(momentum) if _any(momentum) else None
        self._decay = rate * number(weight_decay) / alpha**2 if _any(weight_decay) else None
        shrink = _any(decoupled_weight_decay)
        self._shrink = 1 - rate * number(decoupled_weight_decay) if shrink else None

        self._H = torch.matmul(V, self._XT)
        self._T = torch.empty_like(self._H)
        self._gradient = torch.empty_like(V)
        self._velocity = torch.zeros_like(V)
        self._r = torch.empty_like(self._H[..., :1, :])
        self.residual = self._r[..., 0, :]
        self._first, self._first_T = self._H[..., :1, :], self._T[..., :1, :]
        self._target = torch.zeros_like(self._r)
        if centred:
            self._evaluate()
            self._target = self._r.clone()
        self._target = self._target + y[..., None, :]

    def _evaluate(self) -> None:
        """Put (X V)^T into H and f(X) - target into the residual."""
        torch.matmul(self._V, self._XT, out=self._H)
        torch.mul(self._H, self._H, out=self._T)
        torch.matmul(self._quadratic, self._T, out=self._r)
        self._r.addcmul_(self._first, self._alpha).sub_(self._target)

    def loss(self) -> Tensor:
        """Return the sum of squared residuals (...,) before the last step: finite or not."""
        return self.residual.square().sum(-1)

    def step(self, count: int = 1) -> None:
        """Take ``count`` steps of gradient descent."""
        V, H, T, r, gradient = self._V, self._H, self._T, self._r, self._gradient
        for _ in range(count):
            self._evaluate()
            torch.mul(H, r * self._slope, out=T)
            self._first_T.addcmul_(r, self._constant)
            torch.matmul(T, self._X, out=gradient)
            if self._decay is not None:
                gradient.addcmul_(V, self._decay)
            move = gradient
            if self._momentum is not None:
                move = self._velocity.mul_(self._momentum).add_(gradient)
            if self._shrink is not None:
                V.mul_(self._shrink)
            V.sub_(move)

    def state(self) -> tuple[Tensor, Tensor]:
        """Return a copy of what the next steps depend on."""
        return self._V.clone(), self._velocity.clone()

    def restore(self, state: tuple[Tensor, Tensor]) -> None:
        """Go back to a ``state``; steps from there give the same bits."""
        self._V.copy_(state[0])
        self._velocity.copy_(state[1])

    def clear(self, run: int) -> None:
        """Put zeros in the place of one run of a batch, which then stays at zero."""
        for array in (self._V, self._velocity, self._target):
            array[run] = 0


def _any(value: Number) -> bool:
    return bool(torch.as_tensor(value).any())


def descend(problem: Problem) -> Iterator[Snapshot]:
    """Yield the network at each stop of the problem. Raises ``Diverged``."""
    X = problem.X
    start = problem.start.to(dtype=X.dtype, device=X.device)
    descent = Descent(
        start,
        X,
        problem.y,
        alpha=problem.alpha,
        epsilon=problem.epsilon,
        learning_rate=problem.learning_rate,
        centred=problem.centred,
        momentum=problem.momentum,
        weight_decay=problem.weight_decay,
        decoupled_weight_decay=problem.decoupled_weight_decay,
    )
    scale, done = problem.loss_scale, 0
    for stop in problem.stops:
        while done < stop:
            count = min(CHECK_EVERY, stop - done)
            kept = descent.state()
            descent.step(count)
            if has_diverged(float(descent.loss()) / X.shape[0], scale):
                raise Diverged(done + _first(descent, kept, scale * X.shape[0]))
            done += count
            problem.report(done)
        yield Snapshot.of(done, descent.neurons, start)


def _first(descent: Descent, kept: tuple[Tensor, Tensor], scale: float) -> int:
    """Return how many steps after the kept state the loss was too large, by going there again."""
    descent.restore(kept)
    for count in range(CHECK_EVERY):
        descent.step()  # its loss is that before the step
        if has_diverged(float(descent.loss()), scale):
            return count
    raise AssertionError("the same steps did not diverge again")
