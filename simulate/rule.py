"""The rule of descent: how a gradient moves the weights. It is written here and nowhere else.

Full-batch gradient descent at eta = eta0 N/alpha^2, on the loss plus
(weight_decay/2) (1/N) sum_i |w_i|^2, with heavy-ball momentum and decoupled decay:

    v <- momentum v + eta gradient,      w <- (1 - eta0 decoupled_weight_decay) w - v.

The factor N/alpha^2 makes curves of all widths and alpha comparable over tau = eta0 step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lazyrich.simulate.shapes import Number
from lazyrich.support.arguments import finite, not_negative, shown
from lazyrich.support.user_code import running

NUMBERS = ("learning_rate", "momentum", "weight_decay", "decoupled_weight_decay")
DECAYS = ("weight_decay", "decoupled_weight_decay")

Optimiser = Callable[[list[Tensor]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Rule:
    """A rule of descent; the numbers may be tensors with one value for each run of a batch.

    >>> rule = Rule(learning_rate=0.5, momentum=0.9)
    >>> rule.eta(width=10, alpha=2.0), round(rule.speed, 9)
    (1.25, 10.0)
    """

    learning_rate: Number = 1.0
    momentum: Number = 0.0
    weight_decay: Number = 0.0
    decoupled_weight_decay: Number = 0.0
    optimiser: Optimiser | None = None

    @classmethod
    def checked(cls, given: dict[str, Any]) -> "Rule":
        """Return the rule of these arguments of ``train``. Raises ``ValueError``."""
        rate = finite("learning_rate", given["learning_rate"], positive=True)
        momentum = finite("momentum", given["momentum"])
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum = {given['momentum']!r}: must be at least 0 and below 1")
        decays = [not_negative(name, given[name]) for name in DECAYS]
        optimiser = given["optimiser"]
        if optimiser is not None and not callable(optimiser):
            reason = "must be called with the parameters and return a torch.optim.Optimizer"
            raise ValueError(f"optimiser = {shown(optimiser)}: {reason}")
        rule = cls(rate, momentum, *decays, optimiser=given["optimiser"])
        if rule.optimiser is not None and rule.used():
            name = rule.used()[0]
            raise ValueError(f"{name} = {getattr(rule, name)}: belongs in the optimiser")
        return rule

    def used(self) -> list[str]:
        """Return the names of momentum and decays that are not 0."""
        return [name for name in NUMBERS[1:] if getattr(self, name)]

    def numbers(self) -> dict[str, Number]:
        """Return the numbers by name."""
        return {name: getattr(self, name) for name in NUMBERS}

    def eta(self, width: int, alpha: float) -> float:
        """Return the step size eta = eta0 N/alpha^2."""
        return float(self.learning_rate) * width / alpha**2

    def push(self, gain: Number, samples: Number) -> Number:
        """Return 2 eta0/(gain P): what multiplies sum_mu r_mu phi'(w.x_mu) x_mu in a step of w.

        The gain is alpha; for the state alpha (w - w0), which moves alpha times as far, it is 1.
        """
        return 2 * self.learning_rate / (gain * samples)

    def decay_per_step(self, alpha: Number) -> Number:
        """Return by what part of w a gradient step of the decay in the loss shrinks it."""
        return self.learning_rate * self.weight_decay / alpha**2

    @property
    def decoupled_per_step(self) -> Number:
        """By what part of w the decoupled decay shrinks it in a step."""
        return self.learning_rate * self.decoupled_weight_decay

    @property
    def speed(self) -> float:
        """How many times faster heavy-ball momentum makes the flow of small learning rates."""
        return 1 / (1 - float(self.momentum))

    def flow_decay(self, alpha: float) -> float:
        """Return the rate in tau at which both decays shrink w in the flow."""
        of_loss = self.speed * float(self.weight_decay) / alpha**2
        return of_loss + float(self.decoupled_weight_decay)

    def torch_optimiser(
        self, parameters: list[Tensor], width: int, alpha: float, *, in_loss: bool = False
    ) -> torch.optim.Optimizer:
        """Return torch's own optimiser of this rule, all but the decoupled decay.

        ``in_loss``: the decay of the loss is in the gradients already.
        """
        if self.optimiser is not None:
            made = running("optimiser", self.optimiser)(parameters)
            if not isinstance(made, torch.optim.Optimizer):
                raise ValueError(
                    f"optimiser returned {shown(made)}: must return a torch.optim.Optimizer"
                )
            return made
        return torch.optim.SGD(
            parameters,
            lr=self.eta(width, alpha),
            momentum=float(self.momentum),
            weight_decay=0.0 if in_loss else float(self.weight_decay) / width,
        )


class Update:
    """One step of a rule on an array, in place; the velocity is kept here.

    The array is w, or its distance from ``origin``, both times a factor: decay shrinks the whole,
    the origin included. ``alpha`` and the numbers of the rule broadcast against the array.

    >>> w = torch.tensor([[1.0]])
    >>> update = Update(Rule(0.5, momentum=0.5, weight_decay=0.2), w, alpha=torch.tensor(1.0))
    >>> update(torch.tensor([[0.3]]))                                  # 0.3 + 0.5 0.2 w
    >>> w
    tensor([[0.6000]])
    """

    def __init__(
        self, rule: Rule, array: Tensor, *, alpha: Number, origin: Tensor | None = None
    ) -> None:
        self._array, self._origin = array, origin

        def tensor(value: Number) -> Tensor:
            return torch.as_tensor(value, dtype=array.dtype, device=array.device)

        decays, shrinks = _any(rule.weight_decay), _any(rule.decoupled_weight_decay)
        self._momentum = tensor(rule.momentum) if _any(rule.momentum) else None
        self._decay = tensor(rule.decay_per_step(alpha)) if decays else None
        self._lost = tensor(rule.decoupled_per_step) if shrinks else None
        self._kept = tensor(1 - rule.decoupled_per_step) if shrinks else None
        self.velocity = torch.zeros_like(array)

    def __call__(self, gradient: Tensor) -> None:
        """Move by a gradient that has been multiplied by the step size; it is overwritten."""
        if self._decay is not None:
            gradient.addcmul_(self._array, self._decay)
            if self._origin is not None:
                gradient.addcmul_(self._origin, self._decay)
        move = gradient
        if self._momentum is not None:
            move = self.velocity.mul_(self._momentum).add_(gradient)
        if self._kept is not None:
            self._array.mul_(self._kept)
            if self._origin is not None and self._lost is not None:
                self._array.sub_(self._origin * self._lost)
        self._array.sub_(move)

    def clear(self, run: int) -> None:
        """Put zeros in the place of one run of a batch."""
        self.velocity[run] = 0
        if self._origin is not None:
            self._origin[run] = 0


def _any(value: Number) -> bool:
    return bool(torch.as_tensor(value).any())
