"""Whether a run that is resumed from its checkpoint would go on as it would have."""

import copy
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from lazyrich.simulate.modules import generators
from lazyrich.simulate.modules.checkpoint import reread

# Steps are other ones where they differ by more than this part, and by more than rounding, in
# units in the last place of the weights.
_APART, _ROUNDING = 1e-3, 100


@runtime_checkable
class Training(Protocol):
    """A run: what ``Trainer`` is."""

    model: Any
    weights: list[Any]
    optimiser: Any

    def use(self, optimiser: Any) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...
    def updated(self, factor: float) -> Any: ...


class Fresh:
    """Model and optimiser before the first step, as a new process would make them.

    What an optimiser keeps outside of its ``state_dict`` is lost there. So a copy made before the
    first step takes the second, from the state after the first, next to the run itself.
    """

    def __init__(self, trainer: Training) -> None:
        memo: dict[int, object] = {}
        self.trainer = copy.copy(trainer)
        self.trainer.model = copy.deepcopy(trainer.model, memo)
        self.trainer.weights = [p for p in self.trainer.model.parameters() if p.requires_grad]
        kind = type(trainer.optimiser)
        optimiser = memo[id(trainer.optimiser)] = object.__new__(kind)
        # copy.deepcopy of an optimiser leaves out the attributes that its class has added.
        vars(optimiser).update(copy.deepcopy(vars(trainer.optimiser), memo))
        self.trainer.use(optimiser)


def fresh_of(trainer: Training) -> Fresh | None:
    """Return the copy, None where there is none: the check is then left out."""
    if "step" in vars(trainer.optimiser):  # patched, as by a scheduler: it may step the other one
        return None
    try:
        return Fresh(trainer)
    except Exception:  # what a module or an optimiser holds may raise any
        return None


def resumed_step(fresh: Fresh, run: Training, factor: float) -> list[Tensor] | None:
    """Return the weights after the next step of a run resumed now, None where that is unknown.

    Raises ``ValueError`` where a file can't hold the state of the run.
    """
    state = reread(run.state())
    before, start = generators.states(), [weight.detach().clone() for weight in run.weights]
    try:
        fresh.trainer.restore(state)
        fresh.trainer.updated(factor)
    except Exception:  # the run itself says why
        return None
    finally:
        generators.put(before)
    untouched = all(map(torch.equal, run.weights, start))
    return fresh.trainer.weights if untouched else None


def check_same(step: Callable[[], object], run: Training, resumed: list[Tensor] | None) -> None:
    """Make the step, and raise ``ValueError`` where a resumed run is known to make another."""
    before = _joined(run.weights)
    step()
    if resumed is None:
        return
    after, other = _joined(run.weights), _joined(resumed)
    apart, size = float((after - other).norm()), float((after - before).norm())
    eps = max(torch.finfo(weight.dtype).eps for weight in run.weights)
    if math.isfinite(apart) and apart > _APART * size + _ROUNDING * eps * float(before.norm()):
        raise ValueError(
            "checkpoint: resumed from it, the run would go on otherwise: "
            f"{type(run.optimiser).__name__} must keep all that it remembers in its state_dict "
            "(self.state), and use no random generator of its own"
        )


def _joined(weights: list[Tensor]) -> Tensor:
    return torch.cat([weight.detach().double().flatten() for weight in weights])
