"""The ``flow`` engine: gradient flow, the limit of small learning rates, at any width.

A step of gradient descent is one Euler step of length eta0 of the flow in tau = eta0 * step.
Euler's steps are as many as stability asks, however smooth the solution; ``rkc`` takes about a
thousand evaluations of the right-hand side, each two matrix products, for the 1e5 steps of the
paper, and their number doesn't depend on the learning rate. Stages are taken by changes of the
velocity in float32, as long as its rounding is far below the tolerance. How far gradient descent
is from its flow is part of the answer: see ``descent_gap``.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from lazyrich.simulate import rkc, rkc_method
from lazyrich.simulate.descent_gap import DescentGap
from lazyrich.simulate.gradient_flow import GradientFlow, Nearby, blown_up
from lazyrich.simulate.measures import snapshots_of_a_flow
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.stability import TooStiffError
from lazyrich.simulate.training import Snapshot, Training

# Of the gradient: more would take days.
MOST_EVALUATIONS = 1e9
# The part of the tolerance that rounding in float32 may come to. Of a step of s stages it was seen
# to be at most s times the last place of its terms: a third of that, and less for large s.
NOISE = 0.1


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
    coarse = flow.is_moderate
    near = Nearby(flow, torch.float32 if coarse else start.columns.dtype)
    view = _View(training, flow, start, near, coarse)
    end = training.stops[-1] * rate
    stops = iter(training.stops)
    stop = next(stops)
    if stop == 0:
        view.mark(0, flow.start, gap.at(0.0), 0.0)
        stop = next(stops)
    largest = 0.0
    try:
        for step in rkc.steps(
            flow.velocity,
            flow.start,
            end,
            view.error,
            radius=rkc.SpectralRadius(flow.velocity, near.tangent),
            rest=flow.rests,
            changes=view.changes,
        ):
            near.place(*flow.point)
            if not largest:  # at the first step: later, a flow may become stiff because it blows up
                _refuse_endless(training, (end - step.end) * step.radius)
            largest = max(largest, step.radius / rkc.RADIUS_MARGIN)
            gap.follow(step)
            while stop is not None and stop * rate <= step.end:
                view.mark(stop, step.at(stop * rate), gap.at(stop * rate), largest)
                if view.full:
                    yield from view.snapshots()
                stop = next(stops, None)
            training.report(int(step.end / rate))
        yield from view.snapshots()
    except rkc.StepSizeError as error:
        raise blown_up(error, start) from None
    except rkc.EndlessError:
        raise _endless(training, rkc.MOST_LEFT) from None


def _refuse_endless(training: Training, stiffness: float) -> None:
    """Raise ``TooStiffError`` where the integrator's longest stable steps are too many."""
    if stiffness / (rkc_method.INTERVAL * rkc.MAX_STAGES) > MOST_EVALUATIONS:
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

    def __init__(
        self,
        training: Training,
        flow: GradientFlow,
        start: PseudoNeurons,
        near: Nearby,
        coarse: bool,
    ) -> None:
        self._training, self._flow, self._start, self._near = training, flow, start, near
        self._coarse = coarse
        self._stops: list[tuple[int, int]] = []
        self._states: list[tuple[Tensor, Tensor]] = []

    def changes(self) -> rkc.RightHandSide | None:
        """Return what stages are taken with: changes in float32 as long as that is enough."""
        return self._near.change if self._coarse else None

    def error(self, estimate: Tensor, step: rkc.Step) -> float:
        """Return the size of an estimated error, of which 1 is the tolerance.

        A step whose rounding in float32 could be felt is refused, and float32 not used again.
        """
        rtol = self._training.rtol
        size = self._flow.error(estimate.to(step.after), step, rtol)
        if step.changes and step.after.dtype != self._near.dtype:
            noise = len(step.slopes) * self._near.rounding(step.after - step.before)
            if not noise <= NOISE * self._flow.allowance(step, rtol):
                self._coarse = False
                return max(size, math.nextafter(1.0, 2.0))
        return size

    def mark(self, stop: int, state: Tensor, gap: Tensor, radius: float) -> None:
        """Keep a state for ``snapshots``; ``gap`` is how far descent is from it."""
        rule = self._training.rule
        # Of a flow 1/(1 - mu) times as fast: descent is stable while eta0 lambda < 2 (1 + mu).
        mu = float(rule.momentum)
        unstable = float(rule.learning_rate) * radius * (1 - mu) > 2 * (1 + mu)
        state = state.double()
        self._stops.append((stop, self._flow.evaluations))
        self._states.append((state, state + gap * (math.nan if unstable else 1.0)))

    @property
    def full(self) -> bool:
        """Whether as many states are kept as should be."""
        return len(self._stops) >= snapshots_of_a_flow(self._training.task.D)

    def snapshots(self) -> Iterator[Snapshot]:
        """Yield the snapshots at the states that were kept, which are kept no longer."""
        if not self._stops:
            return
        states, descents = (torch.stack(part) for part in zip(*self._states, strict=True))
        stops, self._stops, self._states = self._stops, [], []
        start = self._start.to(dtype=torch.float64, device=states.device)
        network, signs = self._training.network, start.signs.expand(len(states), -1)
        alpha, M0 = network.alpha, start.M
        if self._training.lazy:
            change = PseudoNeurons(states / alpha, signs)
            moved, descent = (_moved(start, part, alpha) for part in (states, descents))
            now = PseudoNeurons(start.columns + change.columns, signs)
            wbar, M = now.wbar, M0 + moved[1] / alpha
        else:
            now, there = PseudoNeurons(states, signs), PseudoNeurons(descents, signs)
            change = PseudoNeurons(states - start.columns, signs)
            wbar, M, descent, moved = now.wbar, now.M, (there.wbar, there.M), None
            if network.centred:
                moved, descent = (
                    (alpha * (place[0] - start.wbar), alpha * (place[1] - M0))
                    for place in ((wbar, M), descent)
                )
        squares, changes = (part.square().cpu().tolist() for part in (now, change))
        for i, (stop, evaluations) in enumerate(stops):
            yield Snapshot(
                stop,
                wbar[i],
                M[i],
                squares[i],
                changes[i],
                wbar[i],
                M[i],
                moved=None if moved is None else (moved[0][i], moved[1][i]),
                descent=(descent[0][i], descent[1][i]),
                evaluations=evaluations,
                columns=now.columns[i],
            )


def _moved(start: PseudoNeurons, change: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Return ``start.moved`` of many changes of the columns, in one product for all."""
    cross = change @ (start.columns * start.signs).mT
    square = (change * start.signs) @ change.mT
    return change[..., 0], cross + cross.mT + square / alpha
