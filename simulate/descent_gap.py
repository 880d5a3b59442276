"""How far gradient descent is from its flow, to first order in the learning rate.

Descent follows, up to O(eta0^2), the flow of g - (eta0/2) g' g where g = dV/dtau (Hairer, Lubich
and Wanner, Geometric Numerical Integration, sec. IX.1), so it is at V + D where

    dD/dtau = g'(D - (eta0/2) g),      D = 0 at the start.

With momentum mu, g being the velocity that it speeds up to (1/(1 - mu) times that without), the
half becomes (1 + mu)/(2 (1 - mu)), and D = -eta0 mu/(1 - mu) g at the start: the way lost in
speeding up.

An estimate needs no more than a per cent. So g' is held at the middle of each step of the flow and
g at its mean there, by which D - (eta0/2) g decays as exp(h g'). That is applied by the stability
polynomial of second order of van der Houwen and Sommeijer (ZAMM 60, 1980, 479), stable up to
0.65 s^2 with s products by g', in float32: a third of the work for the flow itself.
"""

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
import xarray
from torch import Tensor

from lazyrich.simulate import rkc, rkc_method
from lazyrich.simulate.gradient_flow import GradientFlow, Nearby
from lazyrich.simulate.rkc import Step
from lazyrich.simulate.shapes import Float

# Keeps the polynomial below 1 inside its interval, (s^2 - 1) INTERVAL.
DAMPING = 2 / 13
INTERVAL = 0.65


class DescentGap:
    """Follows the steps of ``flow``, last evaluated at the start; ``at(tau)`` is D there.

    ``slope`` is the velocity at the start, (D, 1 + k), and ``rate`` the learning rate.
    """

    def __init__(
        self, flow: GradientFlow, slope: Float[Tensor, "D K"], rate: float, momentum: float
    ) -> None:
        self._flow, self._near = flow, Nearby(flow, torch.float32)
        self._point = flow.point
        self._half = rate / 2 * (1 + momentum) / (1 - momentum)
        self._before = self._after = slope.float() * (-rate * momentum / (1 - momentum))
        self._time = self._end = 0.0

    def follow(self, step: Step) -> None:
        """Go along with a step of the flow, whose velocity was last taken at the end of it."""
        now = self._flow.point
        H, residual = ((a + b).div_(2) for a, b in zip(self._point, now, strict=True))
        self._near.place(H, residual)
        self._point = now
        self._time, self._end, h = step.time, step.end, step.end - step.time
        if step.radius > 0:  # the step of a flow at rest may have any length
            h = min(h, rkc_method.INTERVAL * rkc.MAX_STAGES**2 / step.radius)
        push = ((step.after - step.before) * (self._half / h)).float()
        self._before, rest = self._after, self._after - push
        self._after = exponential(self._near.tangent, rest, h, step.radius).add_(push)

    def at(self, time: float) -> Float[Tensor, "D K"]:
        """Return D at a time within the step that was followed last."""
        if time == self._end:
            return self._after
        return torch.lerp(self._before, self._after, (time - self._time) / (self._end - self._time))


def exponential(
    apply: Callable[[Tensor], Tensor], vector: Tensor, h: float, radius: float
) -> Tensor:
    """Return exp(h A) v roughly, A = ``apply`` with eigenvalues from -radius to about 0.

    By 1 - b T_s(w0) + b T_s(w0 + w1 h A), of second order, and bounded by 1.

    >>> A, v = torch.tensor([-1e-3, -1e-2, -50.0]), torch.ones(3)
    >>> exponential(lambda v: A * v, v, 1.0, 50.0)[:2]
    tensor([0.9990, 0.9901])
    """
    s = max(2, math.ceil(math.sqrt(1 + h * radius / INTERVAL)))
    w0 = 1 + DAMPING / s**2
    angle = math.acosh(w0)
    value = math.cosh(s * angle)  # T_s(w0), and its derivatives there:
    first = s * math.sinh(s * angle) / math.sinh(angle)
    second = (s**2 * value - w0 * first) / (w0**2 - 1)
    w1, b = first / second, second / first**2
    before, now = vector, apply(vector).mul_(w1 * h).add_(vector, alpha=w0)
    for _ in range(s - 1):
        after = apply(now).mul_(w1 * h).add_(now, alpha=w0).mul_(2).sub_(before)
        before, now = now, after
    return torch.add(vector * (1 - b * value), now, alpha=b)


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
