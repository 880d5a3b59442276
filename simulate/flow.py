"""The ``flow`` engine: gradient flow, the limit of small learning rates, at any width.

In the pseudo-neurons V = [wbar | F] with signs s = (1, J) (see ``pseudo_neurons``), H = X V,
c = 2/(alpha P) and tau = eta0 * step, a step of full-batch gradient descent is one Euler step of
length eta0 of

    dV/dtau = -c X^T (r (e + epsilon H)),      r = alpha (H e + (epsilon/2) H^2 s) - y,

with e = (1, 0, ..., 0), r times rows, H^2 entry by entry, and less r + y at the start in r where
centred. Euler's steps are as many as stability asks, however smooth the solution; ``rkc`` takes
about a thousand evaluations of the right-hand side, each two matrix products, for the 1e5 steps of
the paper, and their number doesn't depend on the learning rate.

How far gradient descent is from its flow is part of the answer. Descent follows, up to O(eta0^2),
the flow of g - (eta0/2) g' g where g = dV/dtau (Hairer, Lubich and Wanner, Geometric Numerical
Integration, sec. IX.1), so it is at V + D where dD/dtau = g'(D - (eta0/2) g), D = 0 at the start.
That is integrated along with V, at the cost of two more products.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
import xarray
from torch import Tensor

from lazyrich.simulate import rkc
from lazyrich.simulate.problem import Problem, Snapshot
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.shapes import Float

# The state is held to a quarter of rtol: with all of it, runs from weights of order 1e-3, which
# grow a thousandfold on the way, end at 25 rtol.
STATE_WEIGHT = 4.0
# Where alpha epsilon < 0 all neurons become one, and how fast stops to matter.
FADED = 1e-6
# Rounding errors of the sum of a dozen terms, in units of the last place of their absolute sum.
ROUNDING = 10.0
# Keeps 0/0 out of relative errors.
TINY = 1e-300


class GradientFlow:
    """The right-hand side of the gradient flow of pseudo-neurons, and its derivative.

    ``columns`` of the start, of every state and of every direction have shape (D, 1 + k). ``decay``
    is the rate at which weights decay besides, in tau: weight_decay/alpha^2 of that in the loss,
    plus decoupled_weight_decay.

    >>> X, y = torch.tensor([[1.0], [2.0]]), torch.tensor([0.5, 2.0])
    >>> W = torch.tensor([[1.0], [0.0]], requires_grad=True)           # two neurons, by autograd
    >>> neurons = PseudoNeurons.from_weights(W.detach())
    >>> flow = GradientFlow(neurons, X, y, alpha=2.0, epsilon=0.5)
    >>> H = X @ W.T
    >>> loss = (2.0 * (H + 0.25 * H**2).mean(1) - y).square().mean()
    >>> velocity = -(2 / 2.0**2) * torch.autograd.grad(loss, W)[0]     # eta = eta0 N/alpha^2
    >>> bool(torch.allclose(flow.velocity(neurons.columns)[:, 0], velocity.mean(0)))
    True
    """

    def __init__(
        self,
        start: PseudoNeurons,
        X: Float[Tensor, "P D"],
        y: Float[Tensor, " P"],
        *,
        alpha: float,
        epsilon: float,
        centred: bool = False,
        decay: float = 0.0,
    ) -> None:
        self._X, self._XT = X, X.mT
        self._alpha, self._epsilon, self._decay = alpha, epsilon, decay
        self._rate = -2 / (alpha * X.shape[0])
        self._quadratic = alpha * epsilon / 2 * start.signs
        self._target = torch.zeros_like(y)
        self._spread = float(start.columns[:, 1:].norm())
        self.evaluations = 0
        self._evaluate(start.columns)
        if centred:
            self._target = self.residual
        self._target = self._target + y

    def _evaluate(self, V: Tensor) -> None:
        self._H = self._X @ V
        f = torch.addmv(self._H[:, 0] * self._alpha, self._H.square(), self._quadratic)
        self.residual = f.sub_(self._target)

    def velocity(self, V: Float[Tensor, "D K"]) -> Float[Tensor, "D K"]:
        """Return dV/dtau at V, and keep the residual r there."""
        self.evaluations += 1
        self._evaluate(V)
        r = self.residual * self._rate
        T = self._H * (r * self._epsilon)[:, None]
        T[:, 0] += r
        return self._decayed(self._XT @ T, V)

    def tangent(self, U: Float[Tensor, "D K"]) -> Float[Tensor, "D K"]:
        """Return the derivative of the velocity, at the V it was taken last, in direction U."""
        G = self._X @ U
        change = self._change(G) * self._rate
        T = self._H * (change * self._epsilon)[:, None]
        T.addcmul_(G, (self.residual * (self._rate * self._epsilon))[:, None])
        T[:, 0] += change
        return self._decayed(self._XT @ T, U)

    def _change(self, G: Tensor) -> Tensor:
        """Return the first-order change of f(X) when X V changes by G."""
        return torch.addmv(G[:, 0] * self._alpha, G * self._H, 2 * self._quadratic)

    def _decayed(self, slope: Tensor, V: Tensor) -> Tensor:
        return slope.sub_(V, alpha=self._decay) if self._decay else slope

    def _magnitude(self) -> float:
        """Return the norm over X of the terms, all taken positive, that make up r."""
        terms = torch.addmv(self._target.abs(), self._H.square(), self._quadratic.abs())
        return float(terms.add_(self._H[:, 0].abs(), alpha=abs(self._alpha)).norm())

    def error(self, estimate: Float[Tensor, "D K"], step: rkc.Step, rtol: float) -> float:
        """Return the size of an estimated error at ``step.after``, of which 1 is rtol.

        It is the largest of three. First, the change of the predictions on X relative to the
        residual there, both as root mean squares: this keeps the losses' relative accuracy
        however small they get, down to the rounding of r = f - y. Then, STATE_WEIGHT times, those
        of F relative to F and that of V relative to V: these matter near the saddles at V = 0
        and at F = 0, where f has yet to change and errors grow along with the weights.
        """
        h_rho = (step.end - step.time) * step.radius
        rounding = ROUNDING * torch.finfo(estimate.dtype).eps * (1 + h_rho) * self._magnitude()
        predictions = float(self._change(self._X @ estimate).norm())
        predictions /= rtol * float(self.residual.norm()) + rounding + TINY
        V = step.after[0]
        whole = float(estimate.norm()) / (rtol * float(V.norm()) + TINY)
        size = max(float(V[:, 1:].norm()), FADED * self._spread)
        spread = float(estimate[:, 1:].norm()) / (rtol * size + TINY)
        return max(predictions, STATE_WEIGHT * whole, STATE_WEIGHT * spread)


class DescentGapWarning(UserWarning):
    """Gradient descent at this learning rate is further from its flow than was asked for."""


def descend(problem: Problem) -> Iterator[Snapshot]:
    """Yield the network at each stop of the problem, under gradient flow at tau = eta0 step.

    The snapshots also hold where gradient descent is, to first order in eta0. Raises
    ``ValueError`` where the flow ends in finite time, which only moments (wbar, M) that no real
    neurons have can make it do.
    """
    X, rate = problem.X, problem.learning_rate
    start = problem.start.to(dtype=X.dtype, device=X.device)
    flow = GradientFlow(
        start,
        X,
        problem.y,
        alpha=problem.alpha,
        epsilon=problem.epsilon,
        centred=problem.centred,
        decay=problem.weight_decay / problem.alpha**2 + problem.decoupled_weight_decay,
    )
    origin = torch.stack([start.columns, torch.zeros_like(start.columns)])
    stops = iter(problem.stops)
    stop = next(stops)
    if stop == 0:
        yield _snapshot(problem, flow, start, 0, origin, 0.0)
        stop = next(stops)
    largest = 0.0
    try:
        for step in _steps(flow, origin, rate, problem.stops[-1] * rate, problem.rtol):
            largest = max(largest, step.radius / rkc.RADIUS_MARGIN)
            while stop is not None and stop * rate <= step.end:
                yield _snapshot(problem, flow, start, stop, step.at(stop * rate), largest)
                stop = next(stops, None)
            problem.report(int(step.end / rate))
    except rkc.StepSizeError as error:
        reason = "M - wbar wbar^T has negative eigenvalues and the flow of these moments blows up"
        raise ValueError(f"init = (wbar, M): {reason} at tau = {error.time:.4g}") from None


def _steps(
    flow: GradientFlow, origin: Tensor, rate: float, end: float, rtol: float
) -> Iterator[rkc.Step]:
    """Integrate (V, D), of shape (2, D, 1 + k), where V + D is descent at learning rate eta0."""

    def field(state: Tensor) -> Tensor:
        slope = torch.empty_like(state)
        slope[0] = flow.velocity(state[0])
        slope[1] = flow.tangent(torch.add(state[1], slope[0], alpha=-rate / 2))
        return slope

    power = rkc.SpectralRadius(flow.velocity)
    return rkc.steps(
        field,
        origin,
        end,
        lambda estimate, step: flow.error(estimate[0], step, rtol),
        radius=lambda state, slope, anew: power(state[0], slope[0], anew),
    )


def _snapshot(
    problem: Problem,
    flow: GradientFlow,
    start: PseudoNeurons,
    stop: int,
    state: Tensor,
    radius: float,
) -> Snapshot:
    descent = PseudoNeurons(state[0] + state[1], start.signs)
    if problem.learning_rate * radius > 2:  # descent is unstable: no estimate of where it is
        descent = PseudoNeurons(descent.columns * math.nan, start.signs)
    return replace(
        Snapshot.of(stop, PseudoNeurons(state[0], start.signs), start),
        descent=(descent.wbar, descent.M),
        evaluations=flow.evaluations,
    )


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
