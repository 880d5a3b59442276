"""The ``neurons`` engine: the network neuron by neuron, by autograd; slow and obvious.

The one engine for trained readouts, for activations other than the quadratic one, and for other
optimisers: no moments of the weights close under those.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lazyrich.simulate.problem import Problem, Snapshot
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.stability import CHECK_EVERY, Diverged, has_diverged
from lazyrich.simulate.two_layer import TwoLayer


def network(
    X: Float[Tensor, "P D"], W: Float[Tensor, "N D"], *, alpha: float, epsilon: float
) -> Float[Tensor, " P"]:
    """Return f(x) = (alpha/N) sum_i phi(w_i.x), phi(h) = h + (epsilon/2) h^2 (eq. 1).

    >>> network(torch.tensor([[2.0]]), torch.tensor([[1.0], [3.0]]), alpha=1.0, epsilon=1.0)
    tensor([14.])
    """
    return TwoLayer(W, None, alpha, epsilon)(X)


def _optimiser(problem: Problem, parameters: list[Tensor]) -> torch.optim.Optimizer:
    if problem.optimiser is not None:
        return problem.optimiser(parameters)
    N = parameters[0].shape[0]
    return torch.optim.SGD(
        parameters,
        lr=problem.learning_rate * N / problem.alpha**2,
        momentum=problem.momentum,
        weight_decay=problem.weight_decay / N,  # of (weight_decay/2) (1/N) sum_i |w_i|^2
    )


def descend(problem: Problem) -> Iterator[Snapshot]:
    """Yield the network at each stop of the problem, one neuron a row of W. Raises ``Diverged``."""
    if problem.W is None:
        raise ValueError("a problem without real neurons has no neurons to train")
    X, y = problem.X, problem.y
    given = [problem.W] if problem.readouts is None else [problem.W, problem.readouts]
    start = [array.to(dtype=X.dtype, device=X.device) for array in given]
    parameters = [array.clone().requires_grad_() for array in start]
    optimiser = _optimiser(problem, parameters)

    def f(W: Tensor, readouts: Tensor | None = None) -> Tensor:
        return problem.network(W, readouts)(X)

    first = f(*start) if problem.centred else torch.zeros_like(y)
    decay = problem.learning_rate * problem.decoupled_weight_decay
    scale, done = problem.loss_scale, 0
    for stop in problem.stops:
        while done < stop:
            optimiser.zero_grad()
            loss = (f(*parameters) - first - y).square().mean()
            if has_diverged(loss.item(), scale):
                raise Diverged(done)
            loss.backward()
            decoupled = [decay * array.detach() for array in parameters]
            optimiser.step()
            with torch.no_grad():
                for array, part in zip(parameters, decoupled, strict=True):
                    array.sub_(part)
            done += 1
            if done % CHECK_EVERY == 0 or done == stop:
                problem.report(done)
        yield _snapshot(done, parameters, start)


def _snapshot(step: int, parameters: list[Tensor], start: list[Tensor]) -> Snapshot:
    now = [array.detach().to(torch.float64, copy=True) for array in parameters]
    W, readouts, N = now[0], now[1] if len(now) > 1 else None, now[0].shape[0]
    wbar, M = W.mean(0), W.T @ W / N
    square = sum(float(array.square().sum()) for array in now) / N
    pairs = zip(now, start, strict=True)
    moved = sum(float((a - b.to(torch.float64)).square().sum()) for a, b in pairs) / N
    return Snapshot(step, wbar, M, square, moved, wbar, M, W, readouts)
