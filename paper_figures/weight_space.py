"""Where the weights go: paths of a network and of its linearised twin, against the tangent plane.

The network linearised at w0 reaches only the affine subspace S(X, w0) = w0 + span{grad_w f(x_mu)}
of all weights. It has up to P dimensions and can't be drawn, but distances in it and from it can:
every displacement w - w0 has a part in the plane and a part out of it, orthogonal to each other.
(No network with three weights would do for a drawing in three dimensions: with D N = 3 every
gradient step of this model stays inside S.)

Displacements are arrays of shape (D, K): the pseudo-neurons of w - w0, in which products are those
of the weights, sum(A * B) = (1/N) sum_i a_i.b_i.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.moments import Descent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons


@dataclass(frozen=True)
class Setting:
    """A network, its task and its descent: as the arguments of ``train``, centred."""

    D: int
    P: int
    width: int
    alpha: float
    epsilon: float
    learning_rate: float
    seed: int = 0

    def start(self) -> PseudoNeurons:
        """Return the initial weights."""
        return PseudoNeurons.from_weights(
            standard_normal(self.seed, "weights", (self.width, self.D))
        )


class TangentPlane:
    """The directions of S(X, w0): the span of the gradients of f at the training inputs.

    >>> setting = Setting(D=3, P=2, width=5, alpha=1.0, epsilon=0.5, learning_rate=1.0)
    >>> V = setting.start().columns
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


@dataclass(frozen=True)
class Paths:
    """Displacements of network and linearised twin at ``steps``, as arrays (steps, D, K).

    ``lazy`` (D, K) is the end of the linearised path: kernel regression.
    """

    steps: tuple[int, ...]
    network: Tensor
    linearised: Tensor
    lazy: Tensor
    plane: TangentPlane
    initial_norm: float

    def inside_and_outside(self, displacements: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lengths in the plane and out of it, each relative to |w0|, shape (steps,)."""
        inside = torch.stack([self.plane.part_inside(each) for each in displacements])
        outside = displacements - inside
        return tuple(
            torch.linalg.matrix_norm(part) / self.initial_norm for part in (inside, outside)
        )


@cache
def paths(setting: Setting, steps: Sequence[int]) -> Paths:
    """Return the paths of gradient descent, centred, and of its linearised twin at these steps.

    >>> setting = Setting(D=4, P=10, width=20, alpha=1.0, epsilon=0.5, learning_rate=0.5)
    >>> found = paths(setting, (0, 10, 1000))
    >>> [bool(part.max() < 1e-9) for part in found.inside_and_outside(found.linearised)]
    [False, True]
    >>> _, outside = found.inside_and_outside(found.network)
    >>> bool(outside[-1] > 1)
    True
    """
    task = PolynomialTask(D=setting.D, P=setting.P, n_test=1, seed=setting.seed)
    start = setting.start()
    numbers = {name: getattr(setting, name) for name in ("alpha", "epsilon", "learning_rate")}
    descent = Descent(start, task.X, task.y, centred=True, **numbers)
    twin = LinearisedDescent(start, task.X, task.y, centred=True, **numbers)
    done, network = 0, []
    for step in steps:
        descent.step(step - done)
        done = step
        network.append(descent.neurons.columns - start.columns)
    return Paths(
        tuple(steps),
        torch.stack(network),
        torch.stack([twin.change(step).columns for step in steps]),
        twin.change(float("inf")).columns,
        TangentPlane(task.X, start.columns, epsilon=setting.epsilon),
        float(start.square()) ** 0.5,
    )
