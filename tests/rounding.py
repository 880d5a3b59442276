"""How far rounding can carry gradient descent, from the roundings of its own steps.

A step z -> g(z) rounds every entry by at most gamma_n times its magnitude, the same step on
absolute values (see ``verify.tolerances``). Later steps carry that on by their derivatives: the end
is off by at most

    sum_t |g'(z_T-1) ... g'(z_t+1)| gamma_n |g|(|z_t|),

to first order in the unit roundoff. Nothing here calls an engine: the steps are the definitions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import currently_in_test_context, reject
from torch import Tensor
from torch.func import jacrev, vmap

from lazyrich.verify.tolerances import rounding

# (wbar, M) in more digits than float64 has.
Start = tuple[np.ndarray, np.ndarray]
# First order is enough where a bound, relative to the largest number, is below this.
SMALL = 1e-4


@dataclass(frozen=True)
class Course:
    """The end of a descent, how far rounding takes it at most, and its derivative by the start."""

    end: Tensor
    off: Tensor
    carry: Tensor


def course(
    step: Callable[[Tensor, float], Tensor],
    start: Tensor,
    steps: int,
    operations: int,
    dtype: str,
) -> Course:
    """Follow a step on flat vectors, of so many roundings in a row; the start is rounded too.

    ``step(z, -1.0)`` is the step, ``step(|z|, 1.0)`` its magnitude.
    """
    states = [start]
    for _ in range(steps):
        states.append(step(states[-1], -1.0))
    slopes = vmap(jacrev(lambda z: step(z, -1.0)))(torch.stack(states[:-1]))
    carry, off = torch.eye(start.numel(), dtype=start.dtype), torch.zeros_like(start)
    for state, slope in zip(reversed(states[:-1]), reversed(slopes), strict=True):
        off += carry.abs() @ step(state.abs(), 1.0) * rounding(operations, dtype=dtype)
        carry = carry @ slope
    off += carry.abs() @ start.abs() * rounding(1, dtype=dtype)
    if not float(off.max()) <= SMALL * float(torch.stack(states).abs().max()):  # NaN too
        assert currently_in_test_context(), "rounding is carried too far to be told to first order"
        reject()
    return Course(states[-1], off, carry)


def outputs(X: Tensor, wbar: Tensor, M: Tensor, alpha: float, epsilon: float) -> Tensor:
    """Return f = alpha (wbar.x + (epsilon/2) x^T M x) of every row x."""
    return alpha * (X @ wbar + epsilon / 2 * ((X @ M) * X).sum(1))


def apart(one: Start, other: Start) -> tuple[Tensor, Tensor]:
    """Return by how much two starts differ in wbar and M."""
    wbar, M = (np.abs(a - b).astype(float) for a, b in zip(one, other, strict=True))
    return torch.from_numpy(wbar), torch.from_numpy(M)


@dataclass(frozen=True)
class Moments:
    """(wbar, M) and how far they may be off."""

    wbar: Tensor
    M: Tensor
    wbar_off: Tensor
    M_off: Tensor


@dataclass(frozen=True)
class Columns:
    """Descent of the columns V of f = alpha (H a + (epsilon/2) H^2 b), H = X V.

    Each moves by -(2 eta0/(alpha P)) X^T (r (u + epsilon H)): real neurons with u = 1 and
    a = b = 1/N, pseudo-neurons with u = a = (1, 0, ..., 0) and b their signs.
    """

    task: Any
    options: dict[str, Any]
    V: Tensor
    u: Tensor
    a: Tensor
    b: Tensor

    @classmethod
    def of_neurons(cls, task, options, W: Tensor) -> "Columns":
        one = torch.ones_like(W[:, 0])
        return cls(task, options, W.T, one, one / len(W), one / len(W))

    @classmethod
    def of_pseudo_neurons(cls, task, options, pseudo) -> "Columns":
        first = torch.zeros_like(pseudo.signs)
        first[0] = 1.0
        return cls(task, options, pseudo.columns, first, first, pseudo.signs)

    def _step(self, z: Tensor, sign: float) -> Tensor:
        """Return (V, velocity) after a step for sign = -1, its magnitude for 1 and z >= 0; flat."""
        o, (V, velocity), V0 = self.options, z.view(2, *self.V.shape), self.V
        X, y, a, b = self.task.X, self.task.y, self.a, self.b
        alpha, epsilon = o["alpha"], o["epsilon"]
        if sign > 0:
            V0, X, y, a, b, alpha, epsilon = map(abs, (V0, X, y, a, b, alpha, epsilon))

        def f(V: Tensor) -> Tensor:
            H = X @ V
            return alpha * (H @ a + epsilon / 2 * H.square() @ b)

        r = f(V) + sign * y + (sign * f(V0) if o["centred"] else 0.0)
        scale = 2 * o["learning_rate"] / (alpha * len(X))
        move = o["momentum"] * velocity
        move = move + scale * X.T @ (r[:, None] * (self.u + epsilon * X @ V))
        move = move + o["learning_rate"] * o["weight_decay"] / alpha**2 * V
        keep = 1 + sign * o["learning_rate"] * o["decoupled_weight_decay"]
        return torch.stack([keep * V + sign * move, move]).flatten()

    def moments(self, dtype: str) -> Moments:
        """Return the moments at the end.

        Roundings in a row: 2 D + K in f (H counts twice in H^2), D in the slope, P in the gradient;
        40 are at most those by numbers and those of X and y, which float32 rounds too.
        """
        P, D, K = *self.task.X.shape, self.V.shape[1]
        start = torch.stack([self.V, torch.zeros_like(self.V)]).flatten()
        operations = 3 * D + K + P + 40
        found = course(self._step, start, self.options["steps"], operations, dtype)
        V, off = (z.view(2, D, K)[0] for z in (found.end, found.off))
        return self._moments(V, off)

    def start(self, dtype: str) -> Moments:
        """Return the moments at the start."""
        return self._moments(self.V, self.V.abs() * rounding(1, dtype=dtype))

    def _moments(self, V: Tensor, off: Tensor) -> Moments:
        unit, size, b = rounding(V.shape[1] + 2), V.abs(), self.b.abs()
        sides = size * b @ off.T
        squares = off * b @ off.T + unit * (size * b @ size.T)
        return Moments(
            V @ self.a,
            V * self.b @ V.T,
            (off + unit * size) @ self.a.abs(),
            sides + sides.T + squares,
        )

    def start_moments(self) -> Start:
        """Return (wbar, M) of the start, in more digits than float64 has."""
        V, a, b = (array.numpy().astype(np.longdouble) for array in (self.V, self.a, self.b))
        return V @ a, (V * b) @ V.T


@dataclass(frozen=True)
class JointMoments:
    """Descent of the joint moments of a neuron and its velocity, z = (w, v).

    z <- B z + h for every neuron alike, so that mean <- B mean + h and
    second <- B second B^T + (B mean) h^T + h (B mean)^T + h h^T.
    """

    task: Any
    options: dict[str, Any]
    wbar: Tensor
    M: Tensor

    def _start(self, wbar: Tensor, M: Tensor) -> Tensor:
        D = len(wbar)
        second = torch.zeros(2 * D, 2 * D, dtype=M.dtype)
        second[:D, :D] = M
        return torch.cat([wbar, torch.zeros_like(wbar), second.flatten()])

    def _step(self, z: Tensor, sign: float) -> Tensor:
        """Return the step for sign = -1, its magnitude for sign = 1 and z >= 0."""
        o, X, y, D = self.options, self.task.X, self.task.y, self.task.D
        alpha, epsilon, wbar0, M0 = o["alpha"], o["epsilon"], self.wbar, self.M
        if sign > 0:
            X, y, alpha, epsilon, wbar0, M0 = map(abs, (X, y, alpha, epsilon, wbar0, M0))
        mean, second = z[: 2 * D], z[2 * D :].view(2 * D, 2 * D)
        r = outputs(X, mean[:D], second[:D, :D], alpha, epsilon) + sign * y
        r = r + (sign * outputs(X, wbar0, M0, alpha, epsilon) if o["centred"] else 0.0)
        r = 2 * o["learning_rate"] / (alpha * len(X)) * r
        eye = torch.eye(D, dtype=z.dtype)
        shrink = o["learning_rate"] * o["weight_decay"] / alpha**2
        pull = epsilon * X.T @ (r[:, None] * X) + shrink * eye
        keep = (1 + sign * o["learning_rate"] * o["decoupled_weight_decay"]) * eye
        fade = o["momentum"] * eye
        top = torch.cat([keep + sign * pull, sign * fade], 1)
        B = torch.cat([top, torch.cat([pull, fade], 1)])
        h = torch.cat([sign * X.T @ r, X.T @ r])
        moved = B @ mean
        cross = torch.outer(moved, h)
        second = B @ second @ B.T + cross + cross.T + torch.outer(h, h)
        return torch.cat([moved + h, second.flatten()])

    def course(self) -> Course:
        """Follow it in float64.

        Roundings in a row: 2 D in f, P in B and h, 2 D in B second, and all but the last of these
        twice, as B and h enter twice; 40 are at most those by numbers.
        """
        P, D = self.task.X.shape
        return course(
            self._step,
            self._start(self.wbar, self.M),
            self.options["steps"],
            2 * (2 * D + P) + 4 * D + 40,
            "float64",
        )

    def moments(self, found: Course) -> Moments:
        """Return the moments at the end of this course."""
        D = self.task.D

        def parts(z: Tensor) -> tuple[Tensor, Tensor]:
            return z[:D], z[2 * D :].view(2 * D, 2 * D)[:D, :D]

        return Moments(*parts(found.end), *parts(found.off))

    def carried(self, found: Course, one: Start, other: Start) -> Moments:
        """Return how far the moments end apart where the starts differ by so much."""
        off = found.carry.abs() @ self._start(*apart(one, other))
        return self.moments(Course(found.end, off, found.carry))
