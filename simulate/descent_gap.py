"""How far gradient descent is from its flow, to first order in the learning rate.

Descent follows, up to O(eta0^2), the flow of g - (eta0/2) g' g where g = dV/dtau (Hairer, Lubich
and Wanner, Geometric Numerical Integration, sec. IX.1), so it is at V + D where

    dD/dtau = g'(D - (eta0/2) g),      D = 0 at the start.

With momentum mu, g being the velocity that it speeds up to (1/(1 - mu) times that without), the
half becomes (1 + mu)/(2 (1 - mu)), and D = -eta0 mu/(1 - mu) g at the start: the way lost in
speeding up.

An estimate needs no more than a per cent. So g' is held at the middle of each step of the flow and
g at its mean there, by which D - (eta0/2) g decays as exp(h g'); that is applied by the first-order
Chebyshev polynomial of Runge-Kutta-Chebyshev, stable up to 1.9 s^2 with s products by g', in
float32. All this is a fifth of the work for the flow itself (its stages are stable to 0.4 s^2).
"""

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
import xarray
from torch import Tensor

from lazyrich.simulate.gradient_flow import GradientFlow
from lazyrich.simulate.rkc import Step
from lazyrich.simulate.shapes import Float

# Keeps the polynomial below 1 inside its interval, of which it costs a thirtieth.
DAMPING = 0.05
INTERVAL = 1.9


class DescentGap:
    """Follows the steps of ``flow``, last evaluated at the start; ``at(tau)`` is D there.

    ``slope`` is the velocity at the start, (D, 1 + k), and ``rate`` the learning rate.
    """

    def __init__(
        self, flow: GradientFlow, slope: Float[Tensor, "D K"], rate: float, momentum: float
    ) -> None:
        self._flow, self._tangent = flow, flow.in_float32()
        self._point = flow.point
        self._half = rate / 2 * (1 + momentum) / (1 - momentum)
        self._before = self._after = slope.float() * (-rate * momentum / (1 - momentum))
        self._time = self._end = 0.0

    def follow(self, step: Step) -> None:
        """Go along with a step of the flow, whose velocity was last taken at the end of it."""
        now = self._flow.point
        middle = [(a + b).div_(2).float() for a, b in zip(self._point, now, strict=True)]
        self._tangent.point, self._point = (middle[0], middle[1]), now
        self._time, self._end, h = step.time, step.end, step.end - step.time
        push = ((step.after - step.before) * (self._half / h)).float()
        self._before, rest = self._after, self._after - push
        self._after = exponential(self._tangent.tangent, rest, h, step.radius).add_(push)

    def at(self, time: float) -> Float[Tensor, "D K"]:
        """Return D at a time within the step that was followed last."""
        if time == self._end:
            return self._after
        return torch.lerp(self._before, self._after, (time - self._time) / (self._end - self._time))


def exponential(
    apply: Callable[[Tensor], Tensor], vector: Tensor, h: float, radius: float
) -> Tensor:
    """Return exp(h A) v roughly, A = ``apply`` with eigenvalues from -radius to about 0.

    By T_s(w0 + w1 h A)/T_s(w0), of first order, and bounded by 1 where the exponential is.

    >>> A, v = torch.tensor([-1e-3, -1e-2, -50.0]), torch.ones(3)
    >>> exponential(lambda v: A * v, v, 1.0, 50.0)[:2]
    tensor([0.9990, 0.9901])
    """
    stages = max(1, math.ceil(math.sqrt(h * radius / INTERVAL)))
    w0 = 1 + DAMPING / stages**2
    angle = math.acosh(w0)
    scales = [math.cosh(j * angle) for j in range(stages + 1)]  # T_j(w0)
    w1 = scales[-1] * math.sinh(angle) / (stages * math.sinh(stages * angle))
    before, now = vector, vector + apply(vector).mul_(w1 * h / w0)
    for j in range(2, stages + 1):
        after = apply(now).mul_(w1 * h).add_(now, alpha=w0).mul_(2 * scales[j - 1] / scales[j])
        before, now = now, after.sub_(before, alpha=scales[j - 2] / scales[j])
    return now


class DescentGapWarning(UserWarning):
    """Gradient descent at this learning rate is further from its flow than was asked for."""


def warn_of_descent_gap(history: xarray.Dataset, tolerance: float) -> None:
    """Warn if gradient descent is estimated to differ from its flow in any recorded loss.

    The gaps are the data variables ``descent_gap_*`` of the history, relative to the loss.
    """
    gaps = {str(name): history[name] for name in history if str(name).startswith("descent_gap")}
    worst = {name: float(np.nanmax(abs(gap), initial=0.0)) for name, gap in gaps.items()}
    name = max(worst, key=lambda name: worst[name])
    if worst[name] > tolerance:
        step = int(history.step[np.nanargmax(abs(gaps[name].values))])
        loss = name.removeprefix("descent_gap_").replace("_", " ")
        warnings.warn(
            f"gradient descent differs from its flow by an estimated {worst[name]:.2g} of the "
            f"{loss} at step {step}, more than descent_tolerance = {tolerance:g}: use engine = "
            "'moments', or a smaller learning_rate",
            DescentGapWarning,
            stacklevel=4,
        )
