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

import torch
from torch import Tensor

from lazyrich.simulate import rkc
from lazyrich.simulate.descent_gap import DescentGap
from lazyrich.simulate.gradient_flow import GradientFlow, blown_up
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.stability import TooStiffError
from lazyrich.simulate.training import Snapshot, Training

# Of the gradient: more would take days.
MOST_EVALUATIONS = 1e9


def descend(training: Training) -> Iterator[Snapshot]:
    """Yield the network at each stop of the training, under gradient flow at tau = eta0 step.

    With momentum mu the flow is 1/(1 - mu) times as fast. The snapshots also hold where gradient
    descent is, to first order in eta0. Raises ``TooStiffError``; and ``NumericalError`` where
    numbers overflow, or where the flow ends in finite time, which only moments (wbar, M) that no
    real neurons have can make it do.
    """
    network, rule, start = training.network, training.rule, training.start
    start = PseudoNeurons(start.columns.mT.contiguous().mT, start.signs)  # the faster layout
    rate = float(rule.learning_rate)
    flow = GradientFlow(
        start,
        training.X,
        training.y,
        alpha=network.alpha,
        epsilon=network.epsilon,
        centred=network.centred,
        lazy=training.lazy,
        decay=rule.flow_decay(network.alpha),
        speed=rule.speed,
    )
    gap = DescentGap(flow, flow.velocity(flow.start), rate, float(rule.momentum))
    view = _View(training, flow, start)
    end = training.stops[-1] * rate
    stops = iter(training.stops)
    stop = next(stops)
    if stop == 0:
        yield view.snapshot(0, flow.start, gap.at(0.0), 0.0)
        stop = next(stops)
    largest = 0.0
    try:
        for step in rkc.steps(flow.velocity, flow.start, end, view.error, rest=flow.rests):
            if not largest:  # at the first step: later, a flow may become stiff because it blows up
                _refuse_endless(training, (end - step.end) * step.radius)
            largest = max(largest, step.radius / rkc.RADIUS_MARGIN)
            gap.follow(step)
            while stop is not None and stop * rate <= step.end:
                yield view.snapshot(stop, step.at(stop * rate), gap.at(stop * rate), largest)
                stop = next(stops, None)
            training.report(int(step.end / rate))
    except rkc.StepSizeError as error:
        raise blown_up(error, start) from None
    except rkc.EndlessError:
        raise _endless(training, rkc.MOST_LEFT) from None


def _refuse_endless(training: Training, stiffness: float) -> None:
    """Raise ``TooStiffError`` where the integrator's longest stable steps are too many."""
    if stiffness / (rkc.INTERVAL * rkc.MAX_STAGES) > MOST_EVALUATIONS:
        raise _endless(training, MOST_EVALUATIONS)


def _endless(training: Training, evaluations: float) -> TooStiffError:
    rate, network = training.rule.learning_rate, training.network
    return TooStiffError(
        f"learning_rate = {rate:g}, steps = {training.stops[-1]}, epsilon = {network.epsilon:g}: "
        f"the flow is too stiff to follow that far (over {evaluations:g} gradients): take less of "
        "one of them"
    )


class _View:
    """What the states of a flow mean: V, or alpha (V - V(0)) of the centred predictor."""

    def __init__(self, training: Training, flow: GradientFlow, start: PseudoNeurons) -> None:
        self._training, self._flow, self._start = training, flow, start

    def error(self, estimate: Tensor, step: rkc.Step) -> float:
        """Return the size of an estimated error, of which 1 is the tolerance."""
        return self._flow.error(estimate, step, self._training.rtol)

    def snapshot(self, stop: int, state: Tensor, gap: Tensor, radius: float) -> Snapshot:
        """Return the snapshot at a state; ``gap`` is how far descent is from it."""
        start, network, rule = self._start, self._training.network, self._training.rule
        # Of a flow 1/(1 - mu) times as fast: descent is stable while eta0 lambda < 2 (1 + mu).
        mu = float(rule.momentum)
        unstable = float(rule.learning_rate) * radius * (1 - mu) > 2 * (1 + mu)
        there = state.double() + gap * (math.nan if unstable else 1.0)
        descent = PseudoNeurons(there, start.signs.double())
        now = PseudoNeurons(state, start.signs)
        alpha, lazy = network.alpha, self._training.lazy
        double = start.to(dtype=torch.float64, device=state.device)
        if lazy:
            found = Snapshot.moved_by(stop, now, start, alpha)
            place = double.moved(descent, alpha)
        else:
            found = Snapshot.of(stop, now, start, alpha if network.centred else None)
            place = descent.wbar, descent.M
            if network.centred:
                place = alpha * (place[0] - double.wbar), alpha * (place[1] - double.M)
        return replace(found, descent=place, evaluations=self._flow.evaluations)
