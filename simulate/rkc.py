"""Runge-Kutta-Chebyshev: an explicit integrator for large, mildly stiff systems of gradient type.

dy/dt = rhs(y), where the eigenvalues of the Jacobian are near the negative real axis and the
fastest modes decay at rates up to rho. An ordinary explicit method takes steps of about 1/rho to
the end; here a step of s stages may be as long as 0.4 s^2/rho, so that accuracy alone sets its
length, and n steps over a time T cost sqrt(2.5 n rho T) evaluations. Nothing is solved or stored.

The stages are those of van der Houwen and Sommeijer (ZAMM 60, 1980, 479) in the form of Sommeijer,
Shampine and Verwer (J. Comput. Appl. Math. 88, 1998, 315): stage j is a polynomial in z = h lambda,

    R_j(z) = 1 - b_j + b_j T_j(1 + w1 z),      b_j = T_j''(1)/T_j'(1)^2,      w1 = 2/(0.4 s^2),

bounded by 1 on the stable interval, of second order at its own time c_j, and cheap by the
recurrence of T_j. Their method (RKC2) takes the last stage as the result: second order. Here the
result is y + h sum_j w_j rhs(stage j), with weights of third order. As the R_j span all
polynomials, the weights can give any stability polynomial of degree s: it is the one of least mean
square on the interval (in the Chebyshev weight) that agrees with exp(z) to third order, a linear
problem in four unknowns. It stays below 0.9 beyond z = -3, for every s >= 5 (tested). The same
construction to second order gives the companion that estimates the error.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lazyrich.simulate.stability import NumericalError, TooStiffError

RightHandSide = Callable[[Tensor], Tensor]
# error(estimate, step) is the size of the error of a step, of which 1 is the largest accepted.
ErrorNorm = Callable[[Tensor, "Step"], float]
# rest(slope, radius) says whether the slope at the end of a step is nothing but rounding.
Rest = Callable[[Tensor, float], bool]

# Steps h with h rho up to INTERVAL s^2 are stable; MIN_STAGES is the least s for which that holds.
INTERVAL = 0.4
MIN_STAGES = 5
# Of stages 0 and 1, which may be anything: that of stage 2 without its correction.
B_1 = 0.25
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


class Coefficients(NamedTuple):
    """The method of s stages, the first of which is y itself.

    Stage 1 is y + h first rhs(y); ``others`` are (mu, nu, mu~, gamma~) of stages 2 to s - 1.
    ``weights`` are those of the result and ``error`` those of the result less its companion, one
    a stage; ``interval`` is the length of the stable interval.
    """

    first: float
    others: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    error: tuple[float, ...]
    interval: float


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


def stability_polynomial(stages: int, order: int, theta: float = 1.0) -> np.ndarray:
    """Return the Chebyshev coefficients, in x = 1 + w1 z, of the stability polynomial.

    It has degree ``stages`` and the least integral of its square over -1 < x < 1 in the weight
    (1 - x^2)^(-1/2), that is, the least q_0^2 + sum_k q_k^2/2, among those with the first
    ``order`` + 1 derivatives of exp(theta z) at z = 0. Other theta than 1 serve the dense output;
    their weights meet the condition of ``coefficients`` on the second stage as well.

    >>> q = stability_polynomial(5, 3)                                 # at x = 1, that is, z = 0
    >>> slope = np.polynomial.chebyshev.chebval(1.0, np.polynomial.chebyshev.chebder(q))
    >>> round(float(q.sum()), 12), round(float(slope * 2 / (INTERVAL * 5**2)), 12)
    (1.0, 1.0)
    """
    dense = theta != 1 and stages <= 20
    C, inverse_weight, matrix = _conditions(stages, order, dense)
    values = np.zeros(len(C))
    values[: order + 1] = (INTERVAL / 2 * theta) ** np.arange(order + 1.0)
    return inverse_weight * (C.T @ np.linalg.solve(matrix, values))


@cache
def _conditions(stages: int, order: int, dense: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the conditions on a stability polynomial, weights and the matrix of its solution."""
    k = np.arange(stages + 1)
    # T_k^(m)(1) is the product of (k^2 - i^2)/(2 i + 1) over i < m; scaled by s^(-2 m).
    rows = [np.ones(stages + 1)]
    for i in range(order):
        rows.append(rows[-1] * (k**2 - i**2) / ((2 * i + 1) * stages**2))
    if dense:
        # p_j of (Q - 1)/z is 2 w1 sum_k (k - j) q_k over k > j: the division of _quotient, solved.
        first, second = np.maximum(k - 1, 0), np.maximum(k - 2, 0)
        rows.append((B_1 * first + (16 * _second(stages) - 4) * second) / stages)
    C, inverse_weight = np.array(rows), np.where(k == 0, 1.0, 2.0)
    return C, inverse_weight, (C * inverse_weight) @ C.T


def _quotient(q: np.ndarray, stages: int) -> np.ndarray:
    """Return the Chebyshev coefficients of (Q - 1)/z, of degree s - 1: synthetic division."""
    p = np.zeros(stages + 2)
    for k in range(stages, 1, -1):
        p[k - 1] = 2 * (q[k] + p[k]) - p[k + 1]
    p[0] = q[1] + p[1] - p[2] / 2
    return p[:stages] * 2 / (INTERVAL * stages**2)


@cache
def _second(stages: int) -> float:
    """Return b_2; see ``coefficients``."""
    p = _quotient(stability_polynomial(stages, 3), stages)
    return float(0.25 - p[1] * B_1 / (16 * p[2]))  # as w_j = p_j/b_j, T_2'(1) = T_2''(1) = 4


def _weights(q: np.ndarray, stages: int) -> np.ndarray:
    """Return the weights w of the stages that give this stability polynomial.

    sum_j w_j R_j = sum_j p_j T_j = (Q - 1)/z.
    """
    b, p = _scales(stages), _quotient(q, stages)
    w = p / b
    w[0] = p[0] - ((1 - b[1:]) * w[1:]).sum()
    return w


def _scales(stages: int) -> np.ndarray:
    """Return b_0 to b_(s-1): b_0 and b_1 are free, b_2 see ``coefficients``, then the module."""
    return np.array([B_1, B_1, _second(stages), *((1 - 1 / j**2) / 3 for j in range(3, stages))])


@cache
def coefficients(stages: int) -> Coefficients:
    """Return the method of ``stages`` >= MIN_STAGES stages; see the module for its derivation.

    Third order needs sum_j w_j c_j^2 = 1/3 besides what Q = exp + O(z^4) says, 1/6 for the sum
    over second-order accurate stages. Only stage 1 is not, being one Euler step; b_2 is what
    makes the defects of stages 1 and 2 cancel: w_1 c_1^2 + w_2 (c_2^2 - R_2''(0)) = 0.

    >>> method = coefficients(5)
    >>> round(sum(method.weights), 12), abs(round(sum(method.error), 12)), method.interval
    (1.0, 0.0, 10.0)
    """
    w1, b = 2 / (INTERVAL * stages**2), _scales(stages).tolist()
    others = []
    for j in range(2, stages):
        mu, nu = 2 * b[j] / b[j - 1], -b[j] / b[j - 2]
        others.append((mu, nu, mu * w1, -(1 - b[j - 1]) * mu * w1))
    weights = _weights(stability_polynomial(stages, 3), stages)
    companion = _weights(stability_polynomial(stages, 2), stages)
    error = weights - companion
    return Coefficients(
        b[1] * w1,
        tuple(others),
        tuple(weights.tolist()),
        tuple(error.tolist()),
        INTERVAL * stages**2,
    )


def stages_for(z: float) -> int:
    """Return the least number of stages that is stable for h rho = z.

    >>> stages_for(0.0), stages_for(10.0), stages_for(10.1), stages_for(4000.0)
    (5, 5, 6, 100)
    """
    return max(MIN_STAGES, math.ceil(math.sqrt(z / INTERVAL)))


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
        weights = _weights(stability_polynomial(stages, 3, (time - self.time) / h), stages)
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
        return float((y - self._state).norm()) > 0.1 * float(y.norm())

    def _iterate(self, y: Tensor, slope: Tensor) -> float:
        fewest = 0
        if not self._vector.numel():
            fewest = self.FEWEST
            generator = torch.Generator().manual_seed(0)
            self._vector = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
        # Balances the curvature of rhs against its rounding.
        length = torch.finfo(y.dtype).eps ** 0.5 * (float(y.norm()) or 1.0)
        radius = 0.0
        for count in range(1, self.MOST + 1):
            self._vector *= length / float(self._vector.norm())
            if self._tangent is None:
                image = self._rhs(y + self._vector).sub_(slope)
            else:
                image = self._tangent(self._vector)
            last, radius = radius, float(image.norm()) / length
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
