"""Whether a run that is resumed from its checkpoint would go on as it would have."""

import copy
import math
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from lazyrich.simulate.modules import generators
from lazyrich.simulate.modules.checkpoint import reread
from lazyrich.simulate.modules.copies import Memo, model_copied, optimiser_copied, remembering
from lazyrich.simulate.modules.trees import backward, call

# Steps are other ones where they differ by more than this part, and by more than rounding, in
# units in the last place of the weights.
_APART, _ROUNDING = 1e-3, 100


@runtime_checkable
class Sampled(Protocol):
    """A module, its loss, and the samples that it is evaluated on."""

    model: Any
    loss: Any
    weights: list[Any]

    def batch(self) -> tuple[Any, Any]: ...


@runtime_checkable
class Training(Sampled, Protocol):
    """A run: what ``Trainer`` is."""

    optimiser: Any

    def use(self, optimiser: Any) -> None: ...
    def stepped(self, evaluated: Callable[[], Tensor]) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...
    def updated(self, factor: float) -> Tensor | None: ...


_Sampled = TypeVar("_Sampled", bound=Sampled)


class Fresh:
    """Model and optimiser before the first step, as a new process would make them.

    What an optimiser keeps outside of its ``state_dict`` is lost there. So a copy made before the
    first step takes the second, from the state after the first, next to the run itself.
    """

    def __init__(self, trainer: Training) -> None:
        memo: Memo = {}
        self.trainer = without_optimiser(trainer, memo)
        self.trainer.use(optimiser_copied(trainer.optimiser, memo))


def without_optimiser(trainer: _Sampled, memo: Memo) -> _Sampled:
    """Return a copy of a run with a module and a loss of its own, and the same optimiser."""
    found = copy.copy(trainer)
    found.model = model_copied(trainer.model, memo)
    found.weights = [memo[id(weight)] for weight in trainer.weights]
    found.loss = remembering(trainer.loss, memo)
    return found


def fresh_of(trainer: Training) -> Fresh | None:
    """Return the copy, None where there is none: the check is then left out."""
    if is_patched(trainer.optimiser):
        return None
    try:
        return Fresh(trainer)
    except Exception:  # what a module or an optimiser holds may raise any
        return None


def is_patched(optimiser: Any) -> bool:
    """Return whether something, such as a scheduler, took over its step: a copy may step it."""
    return "step" in vars(optimiser)


def check_second(fresh: Fresh, run: Training, factor: float, step: Callable[[], Any]) -> None:
    """Make the second step, and raise ``ValueError`` where a resumed run is known to make another.

    Also where a file can't hold the state of the run. ``step`` returns the loss before, or None.
    """
    state, random = reread(run.state()), generators.states()
    before = [weight.detach().clone() for weight in run.weights]
    twin, first = fresh.trainer, None
    try:
        twin.restore(state)
        first = twin.updated(factor)
    except Exception:  # the run itself says why
        twin = None
    finally:
        generators.put(random)
    if not all(map(torch.equal, run.weights, before)):
        twin = None
    loss = step()
    if twin is None:
        return
    losses = [] if loss is None or first is None else [float(loss), float(first)]
    if _is_same(before, run.weights, twin.weights) and not _are_apart(*losses):
        return
    with generators.left_alone():
        what = _at_fault(run, twin, before, losses, random)
    raise ValueError(f"checkpoint: resumed from it, the run would go on otherwise: {what}")


def _is_same(before: list[Tensor], after: list[Tensor], resumed: list[Tensor]) -> bool:
    start, one, other = map(_joined, (before, after, resumed))
    apart, size = float((one - other).norm()), float((one - start).norm())
    eps = max(torch.finfo(weight.dtype).eps for weight in before)
    allowed = _APART * size + _ROUNDING * eps * float(start.norm())
    return not (math.isfinite(apart) and apart > allowed)


def _are_apart(*losses: float) -> bool:
    """Return whether two losses differ; no, if there are none."""
    return bool(losses) and max(losses) - min(losses) > _APART * max(map(abs, losses))


def _at_fault(
    run: Training,
    twin: Training,
    start: list[Tensor],
    losses: list[float],
    random: generators.States,
) -> str:
    """Return what makes another step: the loss and its gradient are taken again where it began."""
    again, slopes = [], []
    for one in (run, twin):
        with torch.no_grad():
            for weight, value in zip(one.weights, start, strict=True):
                weight.copy_(value)
        generators.put(random)
        value, parts = slopes_of(one, *twin.batch())
        again.append(value)
        gradient = zip(one.weights, parts, strict=True)
        slopes.append(_joined([torch.zeros_like(w) if g is None else g for w, g in gradient]))
    remedy = (
        "it must remember nothing, and draw random numbers of the global generators of torch, "
        "NumPy and Python only"
    )
    for pair in (losses, again):
        if _are_apart(*pair):
            one, other = pair
            return f"the loss is {one:.6g} and {other:.6g} at the same weights: {remedy}"
    if float((slopes[0] - slopes[1]).norm()) > _APART * float(slopes[0].norm()):
        return f"the gradient of the loss differs at the same weights: {remedy}"
    return (
        f"{type(run.optimiser).__name__} must keep all that it remembers in its state_dict "
        "(self.state), and use no random generator of its own"
    )


def slopes_of(run: Sampled, X: Any, y: Any) -> tuple[float, list[Tensor | None]]:
    """Return the loss and its gradient in each parameter; None for one that has no part in it."""
    for weight in run.weights:
        weight.grad = None
    with torch.enable_grad():
        loss = run.loss(call(run.model, X), y)
        backward(loss)
    return float(loss.detach()), [weight.grad for weight in run.weights]


def _joined(weights: list[Tensor]) -> Tensor:
    return torch.cat([weight.detach().double().flatten() for weight in weights])
