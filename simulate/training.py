"""What every engine is given (``Training``) and what it gives back (``Snapshot`` by snapshot)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate.constants import kept_apart
from lazyrich.simulate.goals import DEFAULT
from lazyrich.simulate.network import Network
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.rule import Rule
from lazyrich.simulate.shapes import Float
from lazyrich.simulate.task import PolynomialTask

# From this alpha on decay in the loss shrinks w by less than 1e-8 in a step.
FAR = 1e4


@dataclass(frozen=True)
class Training:
    """One checked training: the task, the network, the rule of descent, and where to stop.

    ``X`` and ``y`` have the dtype and device of the run. ``stops`` are the steps at which the
    engine yields a snapshot; the last is the end of the run. ``rtol`` is the tolerance of gradient
    flow. ``activation_text`` and ``symbols`` say what the activation is, for the theory.
    """

    task: PolynomialTask
    X: Float[Tensor, "P D"]
    y: Float[Tensor, " P"]
    network: Network
    rule: Rule
    stops: tuple[int, ...]
    progress: Callable[[int, int], Any] | None = None
    rtol: float = 1e-4
    activation_text: str = ""
    symbols: Mapping[str, float] = field(default_factory=dict)

    @property
    def start(self) -> PseudoNeurons:
        """The initial pseudo-neurons with the dtype and device of the run."""
        return self.network.start.to(dtype=self.X.dtype, device=self.X.device)

    @property
    def lazy(self) -> bool:
        """Whether the state is alpha (w - w0), of the centred predictor: nothing cancels then.

        Where decay takes w far from w0 the state is w, except at an alpha so large that decay in
        the loss does nothing.
        """
        rule, alpha = self.rule, abs(self.network.alpha)
        kept = not rule.decoupled_weight_decay and (not rule.weight_decay or alpha > FAR)
        return self.network.centred and rule.optimiser is None and kept

    @cached_property
    def loss_scale(self) -> float:
        """The size of the losses at the start: the mean square of the labels.

        That of the first predictions is added where they have to be unlearnt: of f(x; w) itself,
        and of the centred predictor where decay pulls the weights to 0.
        """
        labels = float(self.task.y.square().mean())
        rule = self.rule
        decays = bool(rule.weight_decay or rule.decoupled_weight_decay or rule.optimiser)
        if self.network.centred and not decays:
            return labels
        return labels + float(self.network.first(self.task.X).square().mean())

    @cached_property
    def problem(self) -> tuple[Any, dict[str, Any]]:
        """The ``theory.Problem`` of this network and task, and the values of its symbols."""
        from lazyrich.theory import Problem  # here: SymPy takes a while

        task, goal = self.task, self.task.goal
        values: dict[str, Any] = dict(self.symbols)
        if goal is None:
            target, values["beta"] = DEFAULT, task.beta
        else:
            target, of_target = kept_apart(goal.symbolic, goal.values, values)
            values |= of_target
        return (
            Problem(
                activation=self.activation_text,
                target=target,
                readouts="fixed" if self.network.readouts is None else "trained",
                inputs=None if task.mixing is None else task.covariance.numpy(),
            ),
            values,
        )

    def report(self, steps_done: int) -> None:
        """Tell the progress callback, if there is one."""
        if self.progress is not None:
            self.progress(steps_done, self.stops[-1])


@dataclass(frozen=True)
class Snapshot:
    """A network at one step, as far as measuring it needs: all tensors in float64.

    ``wbar`` and ``M`` are its moments; ``weight_square`` and ``change_square`` are the means over
    the neurons of |w|^2 and |w - w(0)|^2, with v^2 and (v - v(0))^2 where readouts are trained; the
    kernel is that at ``kernel_wbar`` and ``kernel_M``, which differ from (wbar, M) for the
    linearised network only. ``moved``: alpha (wbar - wbar0) and alpha (M - M0), where the centred
    predictor is trained: as large as it is, however large alpha is. ``W`` are the neurons
    themselves where the engine has them, and ``readouts`` theirs where they are trained;
    ``W_moved`` and ``readouts_moved`` are alpha times their changes. Of gradient flow only:
    ``descent`` is where gradient descent is instead, in place of ``moved`` where that is given, of
    (wbar, M) else, to first order in the learning rate (NaN where it is unstable), and
    ``evaluations`` those of the right-hand side so far. ``columns`` are the pseudo-neurons, where
    the engine trains these.
    """

    step: int
    wbar: Float[Tensor, " D"]
    M: Float[Tensor, "D D"]
    weight_square: float
    change_square: float
    kernel_wbar: Float[Tensor, " D"]
    kernel_M: Float[Tensor, "D D"]
    moved: tuple[Float[Tensor, " D"], Float[Tensor, "D D"]] | None = None
    W: Float[Tensor, "N D"] | None = None
    readouts: Float[Tensor, " N"] | None = None
    W_moved: Float[Tensor, "N D"] | None = None
    readouts_moved: Float[Tensor, " N"] | None = None
    descent: tuple[Float[Tensor, " D"], Float[Tensor, "D D"]] | None = None
    evaluations: int | None = None
    columns: Float[Tensor, "D K"] | None = None

    def copied(self) -> "Snapshot":
        """Return it with arrays of its own, which stay as they are while the engine goes on."""

        copies: dict[int, Tensor] = {}  # the kernel's moments are those of the network, mostly

        def copy(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(copy, value))
            if not isinstance(value, Tensor):
                return value
            if id(value) not in copies:
                copies[id(value)] = value.clone()
            return copies[id(value)]

        return Snapshot(**{name: copy(value) for name, value in vars(self).items()})

    @classmethod
    def of(
        cls, step: int, neurons: PseudoNeurons, start: PseudoNeurons, alpha: float | None = None
    ) -> "Snapshot":
        """Return the snapshot of pseudo-neurons that began at ``start``.

        ``alpha``, where the centred predictor is trained, gives the moved moments.
        """
        device = neurons.columns.device
        now = neurons.to(dtype=torch.float64, device=device)
        start = start.to(dtype=torch.float64, device=device)
        wbar, M = now.wbar, now.M
        change = float(now.minus(start).square())
        moved = None if alpha is None else (alpha * (wbar - start.wbar), alpha * (M - start.M))
        square = float(now.square())
        return cls(step, wbar, M, square, change, wbar, M, moved, columns=now.columns)

    @classmethod
    def moved_by(
        cls, step: int, change: PseudoNeurons, start: PseudoNeurons, alpha: float
    ) -> "Snapshot":
        """Return the snapshot of pseudo-neurons at ``start`` plus ``change`` over alpha."""
        device = change.columns.device
        start = start.to(dtype=torch.float64, device=device)
        change = change.to(dtype=torch.float64, device=device)
        now = PseudoNeurons(start.columns + change.columns / alpha, start.signs)
        wbar, M = now.wbar, now.M
        size = float(change.square()) / alpha**2
        moved = start.moved(change, alpha)
        square = float(now.square())
        return cls(step, wbar, M, square, size, wbar, M, moved, columns=now.columns)
