"""The ``neurons`` engine: the network neuron by neuron, by autograd; slow and obvious."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lazyrich.simulate.problem import Problem, Snapshot
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.stability import CHECK_EVERY, Diverged, has_diverged


def network(
    X: Float[Tensor, "P D"], W: Float[Tensor, "N D"], *, alpha: float, epsilon: float
) -> Float[Tensor, " P"]:
    """Return f(x) = (alpha/N) sum_i phi(w_i.x), phi(h) = h + (epsilon/2) h^2 (eq. 1).

    >>> network(torch.tensor([[2.0]]), torch.tensor([[1.0], [3.0]]), alpha=1.0, epsilon=1.0)
    tensor([14.])
    """
    preactivations = X @ W.T
    activations = preactivations + epsilon / 2 * preactivations**2
    return alpha / W.shape[0] * activations.sum(1)


def _optimiser(problem: Problem, W: Tensor) -> torch.optim.Optimizer:
    if problem.optimiser is not None:
        return problem.optimiser([W])
    N = W.shape[0]
    return torch.optim.SGD(
        [W],
        lr=problem.learning_rate * N / problem.alpha**2,
        momentum=problem.momentum,
        weight_decay=problem.weight_decay / N,  # of (weight_decay/2) (1/N) sum_i |w_i|^2
    )


def descend(problem: Problem) -> Iterator[Snapshot]:
    """Yield the network at each stop of the problem, one neuron a row of W. Raises ``Diverged``."""
    if problem.W is None:
        raise ValueError("a problem without real neurons has no neurons to train")
    X, y = problem.X, problem.y
    W = problem.W.to(dtype=X.dtype, device=X.device).clone().requires_grad_()
    start = W.detach().clone()
    optimiser = _optimiser(problem, W)
    first = torch.zeros_like(y)
    if problem.centred:
        first = network(X, start, alpha=problem.alpha, epsilon=problem.epsilon)
    decay = problem.learning_rate * problem.decoupled_weight_decay
    scale, done = problem.loss_scale, 0
    for stop in problem.stops:
        while done < stop:
            optimiser.zero_grad()
            f = network(X, W, alpha=problem.alpha, epsilon=problem.epsilon) - first
            loss = (f - y).square().mean()
            loss.backward()
            decoupled = decay * W.detach()
            optimiser.step()
            with torch.no_grad():
                W.sub_(decoupled)
            done += 1
            if done % CHECK_EVERY == 0 or done == stop:
                if has_diverged(loss.item(), scale):
                    raise Diverged(done)
                problem.report(done)
        yield _snapshot(done, W, start)


def _snapshot(step: int, W: Tensor, start: Tensor) -> Snapshot:
    W, start = W.detach().to(torch.float64, copy=True), start.to(torch.float64)
    wbar, M = W.mean(0), W.T @ W / W.shape[0]
    square, moved = W.square().sum(1).mean(), (W - start).square().sum(1).mean()
    return Snapshot(step, wbar, M, float(square), float(moved), wbar, M, W)
