"""The ``flow`` engine: gradient flow, the limit of small learning rates, at any width.

A step of gradient descent is one Euler step of length eta0 of the flow in tau = eta0 * step.
Euler's steps are as many as stability asks, however smooth the solution; ``rkc`` takes about a
thousand evaluations of the right-hand side, each two matrix products, for the 1e5 steps of the
paper, and their number doesn't depend on the learning rate. How far gradient descent is from its
flow is part of the answer: see ``descent_gap``.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from lazyrich.simulate import rkc
from lazyrich.simulate.descent_gap import DescentGap
from lazyrich.simulate.gradient_flow import GradientFlow
from lazyrich.simulate.problem import Problem, Snapshot
from lazyrich.simulate.pseudo_neurons import PseudoNeurons


def descend(problem: Problem) -> Iterator[Snapshot]:
    """Yield the network at each stop of the problem, under gradient flow at tau = eta0 step.

    With momentum mu the flow is 1/(1 - mu) times as fast. The snapshots also hold where gradient
    descent is, to first order in eta0. Raises ``ValueError`` where the flow ends in finite time,
    which only moments (wbar, M) that no real neurons have can make it do.
    """
    X, rate, momentum = problem.X, problem.learning_rate, problem.momentum
    start = problem.start.to(dtype=X.dtype, device=X.device)
    start = PseudoNeurons(start.columns.mT.contiguous().mT, start.signs)  # the faster layout
    speed = 1 / (1 - momentum)
    flow = GradientFlow(
        start,
        X,
        problem.y,
        alpha=problem.alpha,
        epsilon=problem.epsilon,
        centred=problem.centred,
        decay=speed * problem.weight_decay / problem.alpha**2 + problem.decoupled_weight_decay,
        speed=speed,
    )
    gap = DescentGap(flow, flow.velocity(start.columns), rate, momentum)
    end = problem.stops[-1] * rate
    stops = iter(problem.stops)
    stop = next(stops)
    if stop == 0:
        yield _snapshot(problem, flow, start, 0, start.columns, gap.at(0.0), 0.0)
        stop = next(stops)
    largest = 0.0
    try:
        for step in rkc.steps(flow.velocity, start.columns, end, _error_norm(flow, problem.rtol)):
            largest = max(largest, step.radius / rkc.RADIUS_MARGIN)
            gap.follow(step)
            while stop is not None and stop * rate <= step.end:
                V, D = step.at(stop * rate), gap.at(stop * rate)
                yield _snapshot(problem, flow, start, stop, V, D, largest)
                stop = next(stops, None)
            problem.report(int(step.end / rate))
    except rkc.StepSizeError as error:
        reason = "M - wbar wbar^T has negative eigenvalues and the flow of these moments blows up"
        raise ValueError(f"init = (wbar, M): {reason} at tau = {error.time:.4g}") from None


def _error_norm(flow: GradientFlow, rtol: float) -> rkc.ErrorNorm:
    return lambda estimate, step: flow.error(estimate, step, rtol)


def _snapshot(
    problem: Problem,
    flow: GradientFlow,
    start: PseudoNeurons,
    stop: int,
    V: Tensor,
    D: Tensor,
    radius: float,
) -> Snapshot:
    # Of a flow 1/(1 - mu) times as fast: descent is stable while eta0 lambda < 2 (1 + mu).
    mu = problem.momentum
    unstable = problem.learning_rate * radius * (1 - mu) > 2 * (1 + mu)
    descent = PseudoNeurons(V.double() + D * (math.nan if unstable else 1.0), start.signs.double())
    return replace(
        Snapshot.of(stop, PseudoNeurons(V, start.signs), start),
        descent=(descent.wbar, descent.M),
        evaluations=flow.evaluations,
    )
