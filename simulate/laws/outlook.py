"""When the losses of one training fall, at a small part of the cost of training.

Nothing here holds only in a limit, so it serves any width, either predictor, any labels, momentum
and weight decay. What is saved:

- Gradient descent is taken step by step, exactly, at the start and wherever it is near its largest
  stable learning rate. Elsewhere it follows its flow (see ``flow``), integrated with the coarse
  tolerance ``RTOL``: measured in benchmarks/forecast.py.
- Only two losses are measured, few times, and more closely where one passes its level.
- It ends once both outcomes are decided.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lazyrich.simulate import rkc
from lazyrich.simulate.gradient_flow import GradientFlow, blown_up
from lazyrich.simulate.measures import zero_losses
from lazyrich.simulate.metrics import mean_square, population_terms
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.network import predictions
from lazyrich.simulate.outcome import SHARE, Outcome, settled_at
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.stability import has_diverged
from lazyrich.simulate.training import Training

RTOL = 0.1
# Errors of predictions count relative to the residual, or to this part of the labels where the
# residual is smaller: the levels are at 0.37 of them.
RESIDUAL = 0.3
# With eta0 times the largest rate of the flow below it, descent follows the flow from the start.
GENTLE = 0.05
# Exact steps at the start, times 1 - momentum.
FIRST_STEPS = 64
# Steps are exact above this share of the largest stable learning rate: so many at a time (times
# 1 - momentum), and at most so many in all.
NEAR_UNSTABLE, EXACT_STEPS, MOST_EXACT_STEPS = 0.8, 200, 20_000
# Evaluations of the gradient after which the forecast ends.
MOST_EVALUATIONS = 50_000
# Decided: at its present speed the network moves by less than this part of itself by the end.
STILL = 1e-3
# From this many multiplications an evaluation on float32 pays.
LARGE = 1e6
# Measurements of the test loss per e-fold of the step, and steps of the flow between two of them.
PER_FOLD, PENDING = 5, 6


@dataclass(frozen=True)
class Outlook:
    """What is forecast of one training.

    ``outcome``: when the losses fall; it ends earlier than the training where the budget of
    evaluations was spent. ``diverges``: the step from which the train loss grows without bound,
    inf for never. ``unstable_from``: the step from which descent is unstable and was not followed
    step by step any more, inf for none. ``rate_share``: the learning rate over the largest stable
    one at the start. ``evaluations`` of the gradient were needed.
    """

    outcome: Outcome
    diverges: float
    unstable_from: float
    rate_share: float
    evaluations: int


def outlook(
    training: Training, rtol: float = RTOL, progress: Callable[[float], object] | None = None
) -> Outlook:
    """Forecast when the losses of this training fall, up to its last stop.

    ``progress`` is called with the part done, from 0 to 1. Raises ``ValueError`` where the flow
    ends in finite time, which only moments that no real neurons have can make it do.

    >>> from lazyrich.simulate.task import PolynomialTask
    >>> from lazyrich.simulate.train import plan_of, train
    >>> task, scales = PolynomialTask(10, 60), {"alpha": 2.0, "epsilon": 0.1, "steps": 10_000}
    >>> found = outlook(plan_of(task, **scales).training)
    >>> seen = train(task, **scales).outcome()
    >>> abs(found.outcome.test_fall / seen.test_fall - 1) < 0.02, found.evaluations < 400
    (True, True)
    """
    return _Outlook(training, rtol, progress).found()


class Ended(Exception):
    """Both outcomes are decided, training has diverged, or the budget is spent."""


class _Losses:
    """Train and test loss by step, and their levels."""

    def __init__(self, training: Training) -> None:
        task, network = training.task, training.network
        self._task = task
        alpha = 1.0 if network.centred else network.alpha
        self._numbers = {"alpha": alpha, "epsilon": network.epsilon}
        zero = zero_losses(task)
        self._population = "zero_population_loss" in zero
        self.name = "population_loss" if self._population else "test_loss"
        self.zeros = zero["zero_train_loss"], zero[f"zero_{self.name}"]
        self.levels = SHARE * self.zeros[0], SHARE * self.zeros[1]
        self.train: dict[int | float, float] = {}
        self.test: dict[int | float, float] = {}

    def measure(self, moments: dict[int | float, tuple[Tensor, Tensor]]) -> None:
        """Add the test losses of moments by step."""
        for step, (wbar, M) in moments.items():
            if len(moments) == 1 or not self._batches:
                self.test[step] = self._of(wbar, M)
        if len(moments) > 1 and self._batches:
            stacked = [torch.stack(parts) for parts in zip(*moments.values(), strict=True)]
            terms = population_terms(self._task, stacked[0], stacked[1], **self._numbers)
            total = torch.stack([value.expand(len(moments)) for value in terms.values()]).sum(0)
            self.test |= dict(zip(moments, total.tolist(), strict=True))

    @property
    def _batches(self) -> bool:
        """Whether the population loss of many moments is one program: for a quadratic target."""
        goal, task = self._task.goal, self._task
        quadratic = goal.quadratic is not None if goal is not None else task.target_degree is None
        return self._population and quadratic

    def _of(self, wbar: Tensor, M: Tensor) -> float:
        if self._population:
            return float(sum(population_terms(self._task, wbar, M, **self._numbers).values()))
        X, y = self._task.X_test, self._task.y_test
        return float(mean_square(predictions(X, wbar, M, **self._numbers), y))

    def outcome(self, end: int | float) -> Outcome:
        """Return the outcome of a run that ends there."""
        falls = []
        for losses, level in zip((self.train, self.test), self.levels, strict=True):
            steps, values = np.array(sorted(losses.items()), dtype=float).T
            falls.append(settled_at(steps, values, level))
        train, test = falls
        return Outcome(train, test, float(end), *self.levels, test=self.name)


class _Outlook:
    def __init__(
        self, training: Training, rtol: float, progress: Callable[[float], object] | None
    ) -> None:
        self._training, self._rtol, self._progress = training, rtol, progress
        self._rate, self._mu = float(training.rule.learning_rate), float(training.rule.momentum)
        self._steps, self._losses = training.stops[-1], _Losses(training)
        start, X, y = training.start, training.X, training.y
        if training.lazy and X.shape[0] * start.columns.numel() > LARGE:
            X, y = X.float(), y.float()
            start = start.to(dtype=torch.float32, device=X.device)
        self._start = PseudoNeurons(start.columns.mT.contiguous().mT, start.signs)
        self._double = training.network.start.to(dtype=torch.float64, device=X.device)
        self._floor = RESIDUAL * float(y.norm())
        self._flow, self._descent = self._dynamics(X, y)
        self._radius = rkc.SpectralRadius(self._flow.velocity)
        self._exact, self._now = 0, 0.0
        self._diverged: int | float = math.inf
        self._unstable: int | float = math.inf
        self._only_falls = self._losses.zeros[1] >= 0 and self._realisable()

    def _dynamics(self, X: Tensor, y: Tensor) -> tuple[GradientFlow, Descent]:
        network, rule, lazy = self._training.network, self._training.rule, self._training.lazy
        both = {"epsilon": network.epsilon, "centred": network.centred, "lazy": lazy}
        decay = rule.flow_decay(network.alpha)
        flow = GradientFlow(
            self._start, X, y, alpha=network.alpha, decay=decay, speed=rule.speed, **both
        )
        descent = Descent(self._start, X, y, alpha=network.alpha, **rule.numbers(), **both)
        return flow, descent

    def _realisable(self) -> bool:
        """Whether losses that have fallen go on to fall: nothing is overfitted, nothing decays."""
        task, rule = self._training.task, self._training.rule
        goal = task.goal
        quadratic = task.target_degree is None if goal is None else goal.quadratic is not None
        decays = rule.weight_decay or rule.decoupled_weight_decay
        return bool(quadratic and task.has_population and not task.noise and not decays)

    def found(self) -> Outlook:
        state, step = self._flow.start, 0
        rho = self._radius(state, self._flow.velocity(state), True) / rkc.RADIUS_MARGIN
        share = self._share(rho)
        self._note({0: state})
        try:
            if rho * self._rate >= GENTLE or self._mu:
                state, step = self._descend(step, state, FIRST_STEPS)
            while step < self._steps:
                state, step = self._follow(step, state)
                if step < self._steps:
                    state, step = self._descend(step, state, EXACT_STEPS)
        except Ended:
            pass
        except rkc.StepSizeError as error:
            raise blown_up(error, self._start) from None
        spent = self._flow.evaluations + self._exact
        end = self._now if spent > MOST_EVALUATIONS else self._steps
        limits = float(self._diverged), float(self._unstable)
        return Outlook(self._losses.outcome(end), *limits, share, spent)

    def _share(self, rho: float) -> float:
        """Return the learning rate over the largest stable one, for the largest rate of the flow.

        The flow of momentum mu is 1/(1 - mu) times as fast; descent is stable while
        eta0 lambda < 2 (1 + mu).
        """
        return self._rate * rho * (1 - self._mu) / (2 * (1 + self._mu))

    def _moments(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the moments of the predictor that is trained."""
        network, start = self._training.network, self._double
        there = PseudoNeurons(state.double(), start.signs)
        if self._training.lazy:
            return start.moved(there, network.alpha)
        if network.centred:
            return network.alpha * (there.wbar - start.wbar), network.alpha * (there.M - start.M)
        return there.wbar, there.M

    def _note(self, states: dict[int | float, Tensor]) -> None:
        """Measure both losses of states by step."""
        for step, state in states.items():
            self._losses.train[step] = float(self._flow.residual(state).square().mean())
        self._losses.measure({step: self._moments(state) for step, state in states.items()})

    def _descend(self, step: int, state: Tensor, count: int) -> tuple[Tensor, int]:
        """Take ``count``/(1 - momentum) exact steps."""
        descent, losses = self._descent, self._losses
        if step:
            # The velocity that heavy-ball momentum has settled at.
            descent.restore((state.mT, self._flow.velocity(state).mT * -self._rate))
        last = min(step + math.ceil(count / (1 - self._mu)), self._steps)
        samples, scale = self._training.y.shape[0], self._training.loss_scale
        noted: dict[int | float, Tensor] = {}
        due = step + 1
        for now in range(step + 1, last + 1):
            descent.step()
            self._exact += 1
            losses.train[now - 1] = float(descent.loss()) / samples  # before this step
            if has_diverged(losses.train[now - 1], scale):
                self._diverged = now - 1
                self._note(noted)
                raise Ended
            if now >= due or now == last:
                noted[now] = descent.state()[0].mT
                due = max(now + 1, round(now * (1 + 1 / PER_FOLD)))
        self._note(noted)
        return noted[last], last

    def _follow(self, begun: int, state: Tensor) -> tuple[Tensor, int]:
        """Follow the flow, to the end or to where descent is near unstable."""
        flow, rate = self._flow, self._rate
        every = 1 if state.numel() * flow.samples > LARGE else PENDING
        pending: list[rkc.Step] = []
        for step in rkc.steps(
            flow.velocity,
            state,
            self._steps * rate,
            self._error,
            radius=self._radius,
            begin=begun * rate,
        ):
            if self._share(step.radius / rkc.RADIUS_MARGIN) > NEAR_UNSTABLE:
                if self._exact < MOST_EXACT_STEPS:
                    self._close(pending)
                    return step.before, round(step.time / rate)
                self._unstable = min(self._unstable, step.time / rate)
            pending.append(step)
            self._report(step.end / rate)
            still = self._still(step)
            fitted = float(flow.point[1].square().mean()) < self._losses.levels[0] / 2
            if still or len(pending) == every or (self._only_falls and fitted):
                self._close(pending)
                if still or self._fallen() or flow.evaluations > MOST_EVALUATIONS:
                    raise Ended
                pending = []
        self._close(pending)
        return pending[-1].after if pending else state, self._steps

    def _report(self, step: int | float) -> None:
        self._now = step
        if self._progress is not None:
            self._progress(math.log1p(step) / math.log1p(self._steps))

    def _close(self, pending: list[rkc.Step]) -> None:
        """Measure the ends of these steps, and within those where a loss passes its level."""
        if not pending:
            return
        losses, rate, point = self._losses, self._rate, self._flow.point
        first = pending[0].time / rate
        before = min(losses.test, key=lambda step: abs(step - first))
        self._note({step.end / rate: step.after for step in pending})
        inner: dict[int | float, Tensor] = {}
        for start, step in zip([before, *(s.end / rate for s in pending)], pending, strict=False):
            if self._crosses(start, step.end / rate):
                for part in (0.2, 0.4, 0.6, 0.8):
                    time = step.time + part * (step.end - step.time)
                    inner[time / rate] = step.at(time)
        self._note(inner)
        self._flow.point = point

    def _crosses(self, before: int | float, after: int | float) -> bool:
        losses = self._losses
        return any(
            (loss[before] < level) != (loss[after] < level)
            for loss, level in zip((losses.train, losses.test), losses.levels, strict=True)
        )

    def _error(self, estimate: Float[Tensor, "D K"], step: rkc.Step) -> float:
        return self._flow.error(estimate, step, self._rtol, self._floor)

    def _fallen(self) -> bool:
        """Whether both losses are well below their levels and stay there."""
        losses = self._losses
        last = max(losses.test)
        found = losses.train[last], losses.test[last]
        return self._only_falls and all(
            loss < level / 2 for loss, level in zip(found, losses.levels, strict=True)
        )

    def _still(self, step: rkc.Step) -> bool:
        """Whether nothing moves any more, at the speed of this step."""
        left = self._steps * self._rate - step.end
        slope = (step.after - step.before) / (step.end - step.time)
        return self._flow.error(slope * left, step, STILL, self._floor) < 1
