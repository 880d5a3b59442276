"""What ``diagnose`` is asked: its arguments, checked before any work."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lazyrich.simulate.diagnosis.curve import Given
from lazyrich.simulate.diagnosis.expansion import Expansion
from lazyrich.simulate.diagnosis.own_run import check_run
from lazyrich.simulate.diagnosis.scales import check_scales
from lazyrich.simulate.diagnosis.steps import Steps, steps_of
from lazyrich.simulate.modules.data import Data, checked_data
from lazyrich.simulate.modules.frozen import checked_model, copied, in_range_of
from lazyrich.simulate.modules.logits import not_logits_of
from lazyrich.simulate.modules.losses import Loss, check_loss, loss_function
from lazyrich.simulate.modules.trainer import Optimiser
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import finite, positive_integer

# Error of a step of the twin's flow, where its loss has no closed form.
_RTOL = 1e-4
_UNITS = ((30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "bytes"))


@dataclass(frozen=True)
class Asked:
    """The arguments of a diagnosis; ``model`` and ``data`` in whole precision.

    ``note``: what is strange about them, in a line; empty for nothing.
    """

    model: nn.Module
    expansion: Expansion
    given: Given
    steps: Steps | None
    horizon: float | None
    with_pilots: bool
    run: Run | None
    train: bool
    budget: int
    memory: int
    note: str = ""

    @property
    def data(self) -> Data:
        """Return training and test set."""
        return self.given.data

    @property
    def loss(self) -> Loss:
        """Return the loss, a function of outputs and labels."""
        return self.given.loss

    @property
    def decay(self) -> float:
        """Return the weight decay."""
        return self.given.decay

    def cost(self) -> dict[str, Any]:
        """Return what the work will take. Raises ``ValueError`` for too much."""
        expansion = self.expansion
        size, fits = expansion.kernel_bytes, expansion.kernel_bytes <= self.memory
        if not fits and not self.given.square:
            unit, name = next((u, n) for u, n in _UNITS if size >> u)
            raise ValueError(
                f"memory = {self.memory}: the kernels take {size / 2**unit:.3g} {name}, and only "
                "loss = 'mse' can do without them; give fewer samples, or more memory"
            )
        runs = 5 * self.with_pilots + 4 * self.train
        return {
            "kernel bytes": size,
            "kernels made": fits,
            "rows of the Jacobian": expansion.size + expansion.size_test,
            "gradients at most": runs * self.budget,
        }


@checks_its_arguments
def asked(
    model: nn.Module,
    data: Data,
    *,
    loss: Loss | str,
    weight_decay: float | int,
    optimiser: Optimiser | None,
    time: float | int | None,
    with_pilots: bool,
    run: Run | None,
    train: bool,
    budget: int,
    memory: int,
) -> Asked:
    """Return the arguments of ``diagnose``, checked. Raises ``ValueError``."""
    loss = loss_function(loss)
    decay = in_range_of(checked_model(model).parameters(), "weight_decay", weight_decay)
    model, data = _whole_precision(model, checked_data(data))
    horizon = None if time is None else finite("time", time, positive=True)
    budget, memory = positive_integer("budget", budget), positive_integer("memory", memory)
    if run is not None and not isinstance(run, Run):
        raise ValueError(f"run is {type(run).__name__}: must be the Run of fit or fit_flow")
    expansion = Expansion(model, data)
    steps = None if optimiser is None else steps_of(model, data, loss, optimiser)
    if steps is not None:
        if decay and decay != steps.decay:
            raise ValueError(
                f"weight_decay = {decay:g}: the optimiser has {steps.decay:g}; must be one of them"
            )
        decay = steps.decay
    if not expansion.m:
        raise ValueError("data has no test set: must have one, to say what generalises")
    check_loss("train", loss, expansion.f0, expansion.data.y)
    check_loss("test", loss, expansion.f0_test, expansion.data.y_test)
    check_scales(expansion, loss)
    expansion.check_moves()
    note = not_logits_of(loss, model, expansion.data.X, expansion.data.y)
    given = Given(data, loss, decay, rtol=_RTOL)
    if run is not None:
        check_run(expansion, given, run)
    return Asked(
        model, expansion, given, steps, horizon, with_pilots, run, train, budget, memory, note
    )


def _whole_precision(model: Any, data: Data) -> tuple[Any, Data]:
    """Return a network in half precision, and its data, in float32: steps of the flow are small."""
    half = (torch.float16, torch.bfloat16)
    if not isinstance(model, nn.Module) or not any(p.dtype in half for p in model.parameters()):
        return model, data
    return copied(model).float(), data.to(torch.float32)
