"""Runge-Kutta-Chebyshev: an explicit integrator for large, mildly stiff systems of gradient type.

dy/dt = rhs(y), where the eigenvalues of the Jacobian are near the negative real axis and the
fastest modes decay at rates up to rho. An ordinary explicit method takes steps of about 1/rho to
the end; here a step of s stages may be as long as 0.4 s^2/rho, so that accuracy alone sets its
length, and n steps over a time T cost sqrt(2.5 n rho T) evaluations. Nothing is solved or stored.

The coefficients of the stages stand in ``rkc_method``.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from lazyrich.simulate.rkc_method import (
    INTERVAL,
    MIN_STAGES,
    coefficients,
    stability_polynomial,
    stages_for,
    weights_of,
)
from lazyrich.simulate.stability import NumericalError, TooStiffError

RightHandSide = Callable[[Tensor], Tensor]
# error(estimate, step) is the size of the error of a step, of which 1 is the largest accepted.
ErrorNorm = Callable[[Tensor, "Step"], float]
# rest(slope, radius) says whether the slope at the end of a step is nothing but rounding.
Rest = Callable[[Tensor, float], bool]

# Rounding in the stages grows as s^2: 500 stages cost five digits.
MAX_STAGES = 500
# The estimated error of the next step is aimed at SAFETY^3 of the largest accepted.
SAFETY = 0.8
# What smaller errors count as: rounding makes them 0 now and then. Steps grow by 3.7 at most.
SMALLEST_ERROR = 0.01
# Power iteration approaches the spectral radius from below: its estimate, times this.
RADIUS_MARGIN = 1.1
# After PATIENCE evaluations, seconds of the smallest systems, an integration ends where the longest
# stable steps would take more than MOST_LEFT to the end: half an hour of the smallest.
PATIENCE, MOST_LEFT = 10**5, 2e7


class StepSizeError(NumericalError, ArithmeticError):
    """No step, however short, is accurate: the solution blows up at about ``time``, or is NaN."""

    def __init__(self, time: float) -> None:
        super().__init__(f"the solution can't be continued beyond t = {time:.6g}")
        self.time = time


class EndlessError(TooStiffError):
    """From ``time`` on the solution is too stiff to be followed to its end."""

    def __init__(self, time: float) -> None:
        super().__init__(
            f"too stiff to follow beyond t = {time:.4g} (over {MOST_LEFT:g} more gradients)"
        )
        self.time = time

    def __reduce__(self) -> tuple:
        return type(self), (self.time,)


def advance(
    rhs: RightHandSide, y: Tensor, slope: Tensor, h: float, stages: int
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return the state after a step h from y, its estimated error, and the slopes of the stages.

    slope = rhs(y). The estimate is the result less its companion of second order, of third order
    in h; the error of the result is of fourth order.

    >>> y = torch.tensor([1.0], dtype=torch.float64)
    >>> after, estimate, slopes = advance(lambda y: -y, y, -y, 0.1, 5)
    >>> abs(float(after) - math.exp(-0.1)) < 2e-6 < abs(float(estimate)) < 5e-5
    True
    """
    first, others, weights, error, _ = coefficients(stages)
    before, now = torch.zeros_like(y), slope * (first * h)  # the stages, less y
    slopes = [slope, rhs(y + now)]
    for mu, nu, tilde, gamma in others:
        after = slopes[-1] * (tilde * h)
        after.add_(slope, alpha=gamma * h).add_(now, alpha=mu).add_(before, alpha=nu)
        before, now = now, after
        slopes.append(rhs(y + now))
    return _sum(slopes, weights, h).add_(y), _sum(slopes, error, h), slopes


def advance_by_changes(
    change: RightHandSide, y: Tensor, slope: Tensor, h: float, stages: int
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return the same, given change(z) = rhs(y + z) - rhs(y), which may be in a lower precision.

    In place of the slopes of stages 2 to s it returns how they differ from that of the first. All
    rounding of that precision is relative to what changes in the step.

    >>> y = torch.tensor([1.0], dtype=torch.float64)
    >>> after, *_ = advance_by_changes(lambda z: -z.float(), y, -y, 0.1, 5)
    >>> bool(abs(after - advance(lambda y: -y, y, -y, 0.1, 5)[0]) < 1e-9)
    True
    """
    first, others, weights, error, _ = coefficients(stages)
    now = slope * (first * h)
    changes = [change(now)]
    slow = slope.to(changes[0].dtype)
    now = now.to(slow.dtype)
    before = torch.zeros_like(now)
    for mu, nu, tilde, gamma in others:
        after = changes[-1] * (tilde * h)
        after.add_(slow, alpha=(tilde + gamma) * h).add_(now, alpha=mu).add_(before, alpha=nu)
        before, now = now, after
        changes.append(change(now))
    change_of_y = _sum(changes, weights[1:], h)  # the weights add up to 1, those of errors to 0
    after = torch.add(y, slope, alpha=h).add_(change_of_y)
    return after, _sum(changes, error[1:], h), [slope, *changes]


def _sum(slopes: list[Tensor], weights: Iterable[float], h: float) -> Tensor:
    total = torch.zeros_like(slopes[0])
    for slope, weight in zip(slopes, weights, strict=True):
        total.add_(slope, alpha=weight * h)
    return total


def norm(of: Tensor) -> float:
    """Return the root of the sum of squares; ``Tensor.norm`` takes twice as long on a small one."""
    return float(torch.linalg.vector_norm(of))


@dataclass(frozen=True)
class Step:
    """One accepted step from ``time`` to ``end``: the states there, the slopes of its stages.

    ``evaluations`` counts those of the right-hand side since the start of the integration, and
    ``rejections`` the steps not accepted since then; ``radius`` is the spectral radius in use.
    ``changes``: all slopes but the first are less the first, as ``advance_by_changes`` has them.
    """

    time: float
    end: float
    before: Tensor
    after: Tensor
    slopes: list[Tensor]
    evaluations: int
    rejections: int
    radius: float
    changes: bool = False

    def at(self, time: float) -> Tensor:
        """Return the state at a time within the step, of the same order as at its end.

        It is a sum of the slopes with the weights of another stability polynomial, of the same
        kind. Interpolation through the states and slopes at the ends would multiply what is left
        of the fast modes by h rho.
        """
        if time == self.end:
            return self.after
        h, stages = self.end - self.time, len(self.slopes)
        weights = weights_of(stability_polynomial(stages, 3, (time - self.time) / h), stages)
        if not self.changes:
            return _sum(self.slopes, weights.tolist(), h).add_(self.before)
        straight = torch.add(self.before, self.slopes[0], alpha=time - self.time)
        return straight.add_(_sum(self.slopes[1:], weights[1:].tolist(), h))


class SpectralRadius:
    """The spectral radius of the Jacobian of ``rhs`` along a solution, by power iteration.

    Products of the Jacobian with a vector are difference quotients, one evaluation each, unless
    ``tangent`` gives them, at the state asked for. The vector is kept: only the first estimate,
    from a random one, needs many. It is renewed where the state has moved by a tenth, after
    ``LIFE`` steps, and after a rejected step.
    """

    LIFE = 25
    FEWEST, MOST = 10, 60  # iterations, from a random vector; in any case
    CHANGE = 3e-3  # iterate until the estimate changes by less than this part of itself

    def __init__(self, rhs: RightHandSide, tangent: RightHandSide | None = None) -> None:
        self._rhs, self._tangent = rhs, tangent
        self._vector = self._state = torch.empty(0)
        self._age = self.LIFE
        self._value = 0.0

    def __call__(self, y: Tensor, slope: Tensor, anew: bool) -> float:
        """Return the spectral radius at y, times RADIUS_MARGIN; slope = rhs(y)."""
        self._age += 1
        if anew or self._age > self.LIFE or self._moved(y):
            self._state, self._age = y, 0
            self._value = RADIUS_MARGIN * self._iterate(y, slope)
        return self._value

    def _moved(self, y: Tensor) -> bool:
        return norm(y - self._state) > 0.1 * norm(y)

    def _iterate(self, y: Tensor, slope: Tensor) -> float:
        fewest = 0
        if not self._vector.numel():
            fewest = self.FEWEST
            generator = torch.Generator().manual_seed(0)
            self._vector = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
        # Balances the curvature of rhs against its rounding.
        length = torch.finfo(y.dtype).eps ** 0.5 * (norm(y) or 1.0)
        radius = 0.0
        for count in range(1, self.MOST + 1):
            self._vector *= length / norm(self._vector)
            if self._tangent is None:
                image = self._rhs(y + self._vector).sub_(slope)
            else:
                image = self._tangent(self._vector)
            last, radius = radius, norm(image) / length
            if not 0 < radius < math.inf:
                self._vector = torch.empty(0)
                return 0.0 if radius == 0 else math.inf
            self._vector = image
            if count >= fewest and abs(radius - last) <= self.CHANGE * radius:
                break
        return radius


def steps(
    rhs: RightHandSide,
    y: Tensor,
    end: float,
    error: ErrorNorm,
    *,
    radius: Callable[[Tensor, Tensor, bool], float] | None = None,
    control: "StepControl | None" = None,
    begin: float = 0.0,
    rest: Rest | None = None,
    changes: Callable[[], RightHandSide | None] = lambda: None,
) -> Iterator[Step]:
    """Integrate dy/dt = rhs(y) from y at t = ``begin`` to ``end``, yielding every accepted step.

    - ``rhs`` returns a tensor of its own.
    - ``error(estimate, step)`` is the size of the estimate of ``advance`` for this step, accepted
      when it is at most 1; ``rhs(step.after)`` is the evaluation just before. As the result is
      one order better than its companion, the estimate is on the safe side.
    - ``radius(y, slope, anew)`` is the spectral radius of the Jacobian at y, or a bound above it;
      slope = rhs(y), and ``anew`` after a rejected step. By default ``SpectralRadius(rhs)``.
    - ``control`` sets the length of the steps: a new one, or that of an integration to go on with.
    - ``rest(slope, radius)``: whether the slope at the end of a step, the last one evaluated, is
      nothing but rounding. The solution then stays where it is, in one step to the end.
    - ``changes()``, asked before each step, returns the function that ``advance_by_changes`` needs,
      for the state at the end of the step yielded last; or None, for a step by ``rhs``.

    The first step tried is 1/radius. Raises ``StepSizeError`` where no step is accurate: the
    solution blows up, or the right-hand side is not finite; ``EndlessError`` where the rest would
    take too long.

    >>> rates = torch.tensor([1e4, 1.0], dtype=torch.float64)          # Euler: 1e4 h < 2
    >>> *_, last = steps(lambda y: -rates * y, rates / rates, 1.0, weighted_error(1e-4, 1e-6))
    >>> abs(float(last.after[1]) - math.exp(-1)) < 1e-4, last.evaluations < 1000
    (True, True)
    """
    count = rejections = 0

    def counted(state: Tensor, function: RightHandSide = rhs) -> Tensor:
        nonlocal count
        count += 1
        return function(state)

    radius = radius or SpectralRadius(counted)
    control = control or StepControl()
    time, slope, anew = begin, counted(y), False
    while time < end:
        rho = radius(y, slope, anew)
        if not rho < math.inf:
            raise StepSizeError(time)
        h = control.step(rho, end - time)
        if not time + h > time:
            raise StepSizeError(time)
        stages = stages_for(h * rho)
        change = changes()
        if change is None:
            after, estimate, slopes = advance(counted, y, slope, h, stages)
        else:
            by_change = partial(counted, function=change)
            after, estimate, slopes = advance_by_changes(by_change, y, slope, h, stages)
        stop = end if h == end - time else time + h
        following = counted(after)
        step = Step(time, stop, y, after, slopes, count, rejections, rho, change is not None)
        anew = not control.accepts(error(estimate, step), h)
        if anew:
            rejections += 1
            continue
        resting = rest is not None and rest(following, rho)
        yield step
        time, y, slope = stop, after, following
        if resting and time < end:
            still = [torch.zeros_like(y)] * MIN_STAGES
            yield Step(time, end, y, y, still, count, rejections, rho)
            return
        if count > PATIENCE and (end - time) * rho > INTERVAL * MAX_STAGES * MOST_LEFT:
            raise EndlessError(time)


class Stall:
    """Whether sizes that should fall have stopped to: no least one among the last ``STEPS``.

    >>> stall = Stall()
    >>> [stall(size) for size in (3.0, 2.0, *[2.0] * Stall.STEPS)][-2:]
    [False, True]
    """

    STEPS = 10

    def __init__(self) -> None:
        self._least, self._since = math.inf, 0

    def __call__(self, size: float) -> bool:
        """Take the next size, and return whether they have stopped to fall."""
        self._since = 0 if size < self._least else self._since + 1
        self._least = min(self._least, size)
        return self._since >= self.STEPS


class StepControl:
    """The length of the steps, from the errors of the last two (Watts 1984).

    The error grows as the third power of the length; a trend of the errors is taken to go on.
    """

    def __init__(self) -> None:
        self._wanted: float | None = None
        self._last: tuple[float, float] | None = None

    def step(self, rho: float, left: float) -> float:
        """Return the length to try: 1/rho at first, stable, and no sliver before the end."""
        if self._wanted is None:
            self._wanted = 1 / rho if rho * left > 1 else left
        h = min(self._wanted, INTERVAL * MAX_STAGES**2 / rho) if rho > 0 else self._wanted
        return left if h > 0.99 * left else min(h, left / 2) if h > left / 2 else h

    def accepts(self, error: float, h: float) -> bool:
        """Return whether a step of length h with this error is good, and set the next length."""
        if not error <= 1:
            self._wanted = h * (max(0.1, SAFETY * error ** (-1 / 3)) if error < math.inf else 0.1)
            return False
        error = max(error, SMALLEST_ERROR)
        factor = SAFETY * error ** (-1 / 3)
        if self._last is not None:
            last_h, last_error = self._last
            factor = min(factor, factor * (last_error / error) ** (1 / 3) * h / last_h)
        self._last, self._wanted = (h, error), h * max(0.1, factor)
        return True


def weighted_error(relative: float, absolute: float) -> ErrorNorm:
    """Return the usual error norm: the largest of |estimate_i|/(absolute + relative |y_i|).

    The two numbers bound the *local* error, of every entry in every step; errors of successive
    steps add up, or decay, as the system has it.
    """

    def error(estimate: Tensor, step: Step) -> float:
        scale = torch.maximum(step.before.abs(), step.after.abs()) * relative + absolute
        return float((estimate.abs() / scale).max())

    return error


def solve(
    rhs: RightHandSide,
    y: Tensor,
    times: Iterable[float],
    *,
    relative: float,
    absolute: float,
    watch: Callable[[Step], object] | None = None,
) -> list[Tensor]:
    """Return the solution of dy/dt = rhs(y) from y at t = 0, at increasing times t >= 0.

    ``relative`` and ``absolute`` as in ``weighted_error``. ``watch`` is called with every step, and
    may end the work by raising an exception. Raises ``ValueError`` for times that
    decrease or are negative, ``StepSizeError`` as ``steps``.

    >>> y = torch.tensor([1.0], dtype=torch.float64)
    >>> solution = solve(lambda y: -(y**2), y, [0.0, 1.0, 3.0], relative=1e-8, absolute=0.0)
    >>> [round(float(value), 6) for value in solution]                 # 1/(1 + t)
    [1.0, 0.5, 0.25]
    """
    grid = [float(time) for time in times]
    if not all(a <= b < math.inf for a, b in pairwise([0.0, *grid])):
        raise ValueError(f"times = {grid}: must increase, from 0 or later")
    found = [y.clone() for time in grid if time == 0]
    if len(found) < len(grid):
        for step in steps(rhs, y, grid[-1], weighted_error(relative, absolute)):
            if watch is not None:
                watch(step)
            while len(found) < len(grid) and grid[len(found)] <= step.end:
                found.append(step.at(grid[len(found)]))
    return found
