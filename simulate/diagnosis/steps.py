"""What an optimiser makes of a forecast, whose times are those of gradient flow."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from lazyrich.simulate.diagnosis.reliability import words_with
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.losses import Loss
from lazyrich.simulate.modules.sharpness import stable_rate
from lazyrich.simulate.modules.trainer import Optimiser, made
from lazyrich.support.arguments import below_one


@dataclass(frozen=True)
class Steps:
    """An optimiser at its settings, and how many of its steps a time of gradient flow takes.

    ``per_step``: the time that passes in a step, None for optimisers that do not follow the flow.
    ``stable``: the largest stable learning rate at the initial weights, NaN where unknown.
    """

    name: str
    rate: float
    decay: float
    per_step: float | None
    stable: float
    momentum: float = 0.0

    def step(self, time: float) -> float:
        """Return the step at which a time of the flow is reached; NaN where unknown.

        Momentum m gathers speed first: after n steps under a constant force it has come as far as
        n - m (1 - m^n)/(1 - m) steps at full speed.

        >>> Steps("SGD", 0.1, 0.0, 0.1, 1.0).step(3.0)
        30.0
        >>> round(Steps("SGD", 0.1, 0.0, 0.2, 1.0, momentum=0.5).step(0.2 * 1.25), 9)
        2.0
        """
        if self.per_step is None or not math.isfinite(time):
            return math.nan
        m, steps = self.momentum, time / self.per_step
        found = steps
        for _ in range(100):
            found = steps + m * (1 - m**found) / (1 - m)
        return found

    @property
    def smooth(self) -> float:
        """Return the rate above which momentum overshoots in the fastest direction; NaN unknown."""
        m = self.momentum
        return self.stable * (1 - math.sqrt(m)) ** 2 / (2 * (1 + m))

    @property
    def follows(self) -> bool:
        """Return whether training follows gradient flow: SGD at a stable learning rate."""
        return self.per_step is not None and not self.unstable

    @property
    def unstable(self) -> bool:
        """Return whether the learning rate is above the largest stable one."""
        return self.rate > self.stable

    @property
    def sentence(self) -> str:
        """Return in words what the forecast is worth with this optimiser."""
        if self.per_step is None:
            return (
                f"{self.name} does not follow gradient flow: the times do not apply to it, and the "
                f"phase is only an indication. {words_with(self.name)}"
            )
        start = f"With {self.name} at learning rate {self.rate:g}"
        if self.unstable and not self.stable > 0:
            return (
                f"No learning rate that floating point holds is stable at the start: with "
                f"{self.name} at {self.rate:g} training diverges or leaves gradient flow, and the "
                "forecast does not apply."
            )
        if self.unstable:
            return (
                f"Lower the learning rate below {self.stable:.3g}, the largest stable one at the "
                f"start: with {self.name} at {self.rate:g} training diverges or leaves gradient "
                "flow, and the forecast does not apply."
            )
        rough = ""
        if self.momentum and self.rate > self.smooth:
            rough = (
                f" At rates above {self.smooth:.2g} momentum overshoots: take the numbers of steps "
                "as rough."
            )
        return f"{start} a step is a time of {self.per_step:.3g}.{rough} {words_with(self.name)}"


def steps_of(model: nn.Module, data: Data, loss: Loss, optimiser: Optimiser) -> Steps:
    """Read an optimiser as ``fit`` takes it; nothing is stepped. Raises ``ValueError``.

    >>> X = torch.ones(2, 1)
    >>> data = Data(X, X, X, X)
    >>> found = steps_of(nn.Linear(1, 1), data, nn.functional.mse_loss,
    ...                  lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.5))
    >>> found.per_step, round(found.stable, 3)
    (0.2, 0.75)
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    chosen = made(optimiser, weights)
    groups = chosen.param_groups
    for name in ("lr", "momentum", "weight_decay"):
        if len({float(group.get(name) or 0.0) for group in groups}) > 1:
            raise ValueError(f"optimiser has groups with different {name}: must have one value")
    rate, momentum, decay = (
        float(groups[0].get(name) or 0.0) for name in ("lr", "momentum", "weight_decay")
    )
    momentum = below_one("momentum", momentum)
    kind = type(chosen).__name__
    followed = isinstance(chosen, torch.optim.SGD) and not groups[0]["dampening"] and rate > 0
    if not followed:
        return Steps(kind, rate, decay, None, math.nan)
    try:
        stable = stable_rate(model, data.fitted(model), loss, momentum=momentum, weight_decay=decay)
    except (ValueError, RuntimeError):  # no second derivatives
        stable = math.nan
    return Steps(kind, rate, decay, rate / (1 - momentum), stable, momentum)
