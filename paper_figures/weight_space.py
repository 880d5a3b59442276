"""Where the weights go: paths of a network and of its linearised twin, against the tangent plane.

The network linearised at w0 reaches only the affine subspace S(X, w0) = w0 + span{grad_w f(x_mu)}
of all weights. It has up to P dimensions and can't be drawn, but distances in it and from it can:
every displacement w - w0 has a part in the plane and a part out of it, orthogonal to each other.
(No network with three weights would do for a drawing in three dimensions: with D N = 3 every
gradient step of this model stays inside S.)

Displacements are arrays of shape (D, K): the pseudo-neurons of w - w0, in which products are those
of the weights, sum(A * B) = (1/N) sum_i a_i.b_i.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate import PolynomialTask, rkc
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.gradient_flow import GradientFlow
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons

TWIN_RATE = 1e-3


@dataclass(frozen=True)
class Setting:
    """A network and its task, as the arguments of ``train``; centred."""

    D: int
    P: int
    width: int
    alpha: float
    epsilon: float
    seed: int = 0

    def start(self) -> PseudoNeurons:
        """Return the initial weights."""
        W = standard_normal(self.seed, "weights", (self.width, self.D))
        return PseudoNeurons.from_weights(W)


class TangentPlane:
    """The directions of S(X, w0): the span of the gradients of f at the training inputs.

    >>> V = Setting(D=3, P=2, width=5, alpha=1.0, epsilon=0.5).start().columns
    >>> X = torch.eye(3, dtype=V.dtype)[:2]
    >>> plane = TangentPlane(X, V, epsilon=0.5)
    >>> inside = plane.part_inside(V)
    >>> float((plane.part_inside(inside) - inside).abs().max()) < 1e-12          # a projection,
    True
    >>> abs(float((inside * (V - inside)).sum())) < 1e-12                        # orthogonal
    True
    """

    def __init__(self, X: Tensor, V: Tensor, *, epsilon: float) -> None:
        slopes = epsilon * (X @ V)
        slopes[:, 0] += 1  # phi' = 1 + epsilon w.x: the mean alone has the constant
        gradients = torch.einsum("pd,pk->pdk", X, slopes).flatten(1)
        _, sizes, directions = torch.linalg.svd(gradients, full_matrices=False)
        rounding = max(gradients.shape) * torch.finfo(X.dtype).eps * sizes[0]
        self._basis = directions[sizes > rounding]

    def part_inside(self, displacement: Tensor) -> Tensor:
        """Return the part of a displacement (D, K) that lies in the plane."""
        inside = self._basis.T @ (self._basis @ displacement.flatten())
        return inside.reshape(displacement.shape)


def log_times(first: float, last: float, count: int = 120) -> tuple[float, ...]:
    """Return times tau: 0, and ``count`` from ``first`` to ``last``, evenly in their logarithm.

    >>> [round(time, 6) for time in log_times(0.1, 10.0, count=3)]
    [0.0, 0.1, 1.0, 10.0]
    """
    return (0.0, *(first * (last / first) ** (i / (count - 1)) for i in range(count)))


@dataclass(frozen=True)
class Paths:
    """Displacements of network and linearised twin at ``times``, as arrays (times, D, K).

    ``lazy`` (D, K) is the end of the linearised path: kernel regression.
    """

    times: tuple[float, ...]
    network: Tensor
    linearised: Tensor
    lazy: Tensor
    plane: TangentPlane
    initial_norm: float

    def inside_and_outside(self, displacements: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lengths in the plane and out of it, each relative to |w0|, shape (times,)."""
        inside = torch.stack([self.plane.part_inside(each) for each in displacements])
        parts = (inside, displacements - inside)
        lengths = [torch.linalg.matrix_norm(part) / self.initial_norm for part in parts]
        return lengths[0], lengths[1]


@cache
def paths(setting: Setting, times: tuple[float, ...]) -> Paths:
    """Return the paths of gradient flow and of its linearised twin at these times tau.

    >>> found = paths(Setting(D=4, P=10, width=20, alpha=1.0, epsilon=0.5), (0.0, 10.0, 1000.0))
    >>> [bool(part.max() < 1e-9) for part in found.inside_and_outside(found.linearised)]
    [False, True]
    >>> _, outside = found.inside_and_outside(found.network)
    >>> bool((outside.diff() > 0).all())
    True
    """
    task = PolynomialTask(D=setting.D, P=setting.P, n_test=1, seed=setting.seed)
    start = setting.start()
    data = (start, task.X, task.y)
    numbers: dict[str, Any] = {"alpha": setting.alpha, "epsilon": setting.epsilon, "centred": True}
    flow = GradientFlow(*data, **numbers)
    states = rkc.solve(flow.velocity, start.columns, times, relative=1e-5, absolute=1e-5)
    # The twin's closed form is of descent: at so small a rate, its flow.
    twin = LinearisedDescent(*data, **numbers, learning_rate=TWIN_RATE)
    return Paths(
        times,
        torch.stack(states) - start.columns,
        torch.stack([twin.change(time / TWIN_RATE).columns for time in times]),
        twin.change(float("inf")).columns,
        TangentPlane(task.X, start.columns, epsilon=setting.epsilon),
        float(start.square()) ** 0.5,
    )
