"""What every engine is given (``Problem``) and what it gives back (``Snapshot`` by snapshot)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate.network import predictions
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.two_layer import TwoLayer


@dataclass(frozen=True)
class Problem:
    """One checked training run: data, network, initial weights, descent, and where to stop.

    ``X`` and ``y`` have the dtype and device of the run; ``start`` and ``W`` are the initial
    weights, in float64 on the CPU, ``W`` only where there are real neurons. ``readouts`` are the
    initial ones where they are trained, and ``activation_degree`` k where phi has He_k; either
    takes the engine ``neurons``. ``stops`` are the steps at which the engine yields a snapshot; the
    last is the end of the run. ``rtol`` is the tolerance of gradient flow.
    """

    task: PolynomialTask
    X: Float[Tensor, "P D"]
    y: Float[Tensor, " P"]
    start: PseudoNeurons
    W: Float[Tensor, "N D"] | None
    readouts: Float[Tensor, " N"] | None
    activation_degree: int | None
    alpha: float
    epsilon: float
    learning_rate: float
    centred: bool
    momentum: float
    weight_decay: float
    decoupled_weight_decay: float
    stops: tuple[int, ...]
    optimiser: Callable[[list[Tensor]], torch.optim.Optimizer] | None
    progress: Callable[[int, int], Any] | None
    rtol: float

    @cached_property
    def loss_scale(self) -> float:
        """The mean square of the labels and of the first predictions, added."""
        if self.has_moments:
            wbar, M = self.start.wbar, self.start.M
            first = predictions(self.task.X, wbar, M, alpha=self.alpha, epsilon=self.epsilon)
        else:
            assert self.W is not None
            first = self.network(self.W, self.readouts)(self.task.X)
        return float(self.task.y.square().mean() + first.square().mean())

    @cached_property
    def start_square(self) -> float:
        """The mean over the neurons of the square of their initial weights, readouts included."""
        square = float(self.start.square())
        return square if self.readouts is None else square + float(self.readouts.square().mean())

    @property
    def has_moments(self) -> bool:
        """Whether (wbar, M) are all there is to know of the network: f, its kernel, its course."""
        return self.readouts is None and self.activation_degree is None

    def network(self, W: Tensor, readouts: Tensor | None) -> TwoLayer:
        """Return the network with these weights."""
        return TwoLayer(W, readouts, self.alpha, self.epsilon, self.activation_degree)

    def report(self, steps_done: int) -> None:
        """Tell the progress callback, if there is one."""
        if self.progress is not None:
            self.progress(steps_done, self.stops[-1])


@dataclass(frozen=True)
class Snapshot:
    """A network at one step, as far as measuring it needs: all tensors in float64.

    ``wbar`` and ``M`` give the predictor; ``weight_square`` and ``change_square`` are the means
    over the neurons of |w|^2 and |w - w(0)|^2, with v^2 and (v - v(0))^2 where readouts are
    trained; the kernel is that at ``kernel_wbar`` and ``kernel_M``, which differ from (wbar, M) for
    the linearised network only. ``W`` are the neurons themselves where the engine has them, and
    ``readouts`` theirs where they are trained. Of gradient flow only: ``descent`` is where
    gradient descent is instead, as (wbar, M), to first order in the learning rate (NaN where it
    is unstable), and ``evaluations`` those of the right-hand side so far.
    """

    step: int
    wbar: Float[Tensor, " D"]
    M: Float[Tensor, "D D"]
    weight_square: float
    change_square: float
    kernel_wbar: Float[Tensor, " D"]
    kernel_M: Float[Tensor, "D D"]
    W: Float[Tensor, "N D"] | None = None
    readouts: Float[Tensor, " N"] | None = None
    descent: tuple[Float[Tensor, " D"], Float[Tensor, "D D"]] | None = None
    evaluations: int | None = None

    @classmethod
    def of(cls, step: int, neurons: PseudoNeurons, start: PseudoNeurons) -> "Snapshot":
        """Return the snapshot of pseudo-neurons that began at ``start``."""
        device = neurons.columns.device
        now = neurons.to(dtype=torch.float64, device=device)
        moved = now.minus(start.to(dtype=torch.float64, device=device))
        wbar, M = now.wbar, now.M
        return cls(step, wbar, M, float(now.square()), float(moved.square()), wbar, M)
