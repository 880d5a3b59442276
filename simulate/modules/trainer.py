"""The state of a run of ``fit``, one update a step."""

import hashlib
import inspect
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lazyrich.simulate.modules.attributes import (
    attributes_of,
    changed_attributes,
    put_attributes,
)
from lazyrich.simulate.modules.batches import Batches
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.frozen import (
    called,
    checked_function,
    checked_gradient,
    checked_model,
    checked_output,
    in_range_of,
)
from lazyrich.simulate.modules.losses import Loss, check_test_loss, check_value
from lazyrich.simulate.modules.measures import trained_weights
from lazyrich.simulate.modules.outputs import check_kind, kind_of
from lazyrich.simulate.modules.resuming import Fresh, check_second
from lazyrich.simulate.modules.sharpness import stable_rate
from lazyrich.simulate.modules.slopes import check_training_slopes
from lazyrich.simulate.modules.trees import backward, call, flat, leaves, rows, taken
from lazyrich.simulate.modules.untouched import untouched
from lazyrich.simulate.stability import CHECK_EVERY, DivergenceError, has_diverged
from lazyrich.support.arguments import in_a_line, not_negative, shown
from lazyrich.support.user_code import guarded, running

Optimiser = (
    Callable[[list[nn.Parameter]], torch.optim.Optimizer]
    | type[torch.optim.Optimizer]
    | torch.optim.Optimizer
)
_GROWN = 10.0  # times the loss at the start: a run that diverges has passed it


class Trainer:
    """The state of a run, one update a ``step``. Raises ``DivergenceError``."""

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        loss: Loss,
        optimiser: Optimiser,
        batches: Batches,
        schedule: Callable[[int], float] | None,
    ) -> None:
        self.model, self.loss = checked_model(model), loss
        self.data = data.fitted(model)
        checked_function(model, self.data.X)
        checked_gradient(model, self.data.X)
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.weights = list(named.values())
        self._kinds = {name: (p, p.shape, p.dtype) for name, p in named.items()}
        self.use(made(optimiser, self.weights))
        self.fresh: Fresh | None = None
        self._batches = batches
        self._schedule = schedule and running("schedule", schedule)
        self._rates = [group["lr"] for group in self.optimiser.param_groups if "lr" in group]
        if schedule is not None and len(self._rates) < len(self.optimiser.param_groups):
            raise ValueError("optimiser has no lr in its groups: leave out schedule")
        for rate in self._rates:
            in_range_of(self.weights, "learning_rate", one_number(rate))
        self.settings = [str(model), " ".join(str(self.optimiser).split())]
        self.start, self._attributes = trained_weights(model), attributes_of(model)
        self.done, self._schedule_made = 0, hashlib.sha256()
        self._largest: Tensor | None = None  # of the losses since the run began or went on
        with torch.no_grad(), untouched(model):
            f = called(model, self.data.X)
            check_value(loss, f, self.data.y)
        self._kind = kind_of(f, rows("X", self.data.X))
        self.scale = self.train_loss() or 1.0  # a loss that starts at 0 has no scale of its own
        if not math.isfinite(self.scale):
            raise ValueError(f"the loss is {self.scale} at the initial weights: must be finite")
        check_test_loss(model, loss, self.data.X_test, self.data.y_test)

    def use(self, optimiser: torch.optim.Optimizer) -> None:
        """Train with this optimiser, of ``weights``."""
        self.optimiser = optimiser
        self._step, self._asks_again = step_of(optimiser)

    def has_made(self, schedule: str, steps: int) -> bool:
        """Return whether the schedule gives the digest of a ``state``; goes on from it, if so."""
        self._schedule_made = _digest(self._factor(step) for step in range(steps))
        return self._schedule_made.hexdigest() == schedule

    def _factor(self, step: int) -> float:
        """Return what multiplies the learning rates. Raises ``ValueError`` for what can't."""
        if self._schedule is None:
            return 1.0
        number = not_negative(f"schedule({step})", one_number(self._schedule(step)))
        for rate in self._rates if number > 1 else ():  # the rates themselves are in range
            in_range_of(self.weights, f"learning_rate * schedule({step})", float(rate) * number)
        return number

    def step(self) -> None:
        """Make one update; the second also as a resumed run would, where there is a ``fresh``."""
        factor = self._factor(self.done)
        if self.done == 1 and self.fresh is not None:
            fresh, self.fresh = self.fresh, None
            check_second(fresh, self, factor, lambda: self._advance(factor))
        else:
            self._advance(factor)

    def _advance(self, factor: float) -> Tensor | None:
        try:
            loss = self.updated(factor)
        except Exception as error:
            self.check_weights()
            if self._finite() or not isinstance(error, RuntimeError):
                raise
            self.check(math.nan)  # some losses refuse outputs that are no numbers
            raise
        if loss is not None:  # of a loss that is NaN and another one the other
            self._largest = loss if self._largest is None else torch.fmax(self._largest, loss)
        self._schedule_made.update(_bytes(factor))
        self.done += 1
        if self.done == 1 or self.done % CHECK_EVERY == 0:
            self.check_weights()
        if self.done % CHECK_EVERY == 0:
            self.check(self.train_loss() if loss is None else float(loss))
        return loss

    def updated(self, factor: float) -> Tensor | None:
        """Update the weights, and return the loss before; None where nothing asked for it."""
        X, y = self.batch()
        if self._schedule is not None:
            for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
        before: list[Tensor] = []

        def evaluated() -> Tensor:
            self.optimiser.zero_grad(set_to_none=True)
            f = call(self.model, X)
            try:
                loss = self.loss(f, y)
                backward(loss)
            except Exception:
                check_kind(self._kind, f, rows("X", X))
                checked_output(flat(f))
                raise
            before.append(loss.detach())
            return loss

        self.stepped(evaluated)
        return before[0] if before else None

    def batch(self) -> tuple[Any, Any]:
        """Return inputs and labels of the next step."""
        indices = self._batches.at(self.done)
        X, y = self.data.X, self.data.y
        if indices is None:
            return X, y
        indices = indices.to(leaves(X)[0].device)
        return taken(X, indices), taken(y, indices)

    def stepped(self, evaluated: Callable[[], Tensor]) -> None:
        """Let the optimiser make its step with a function that sets the gradients."""
        if self._asks_again:
            self._step(evaluated)
        else:
            evaluated()
            self._step()

    def _finite(self) -> bool:
        return all(bool(w.isfinite().all()) for w in self.weights)

    def tensors(self) -> list[Tensor]:
        """Return everything that the run begins from: the module's state and the data."""
        states = [v for v in self.model.state_dict().values() if isinstance(v, Tensor)]
        return [*states, *(leaf for side in self.data.sides() for leaf in leaves(side))]

    def state(self) -> dict[str, Any]:
        """Return what ``restore`` needs to go on from here."""
        return {
            "step": self.done,
            "model": self.model.state_dict(),
            "attributes": changed_attributes(self.model, self._attributes),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self._schedule_made.hexdigest(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from this state, of which ``has_made`` is true."""
        self.model.load_state_dict(state["model"])
        put_attributes(self.model, state.get("attributes", {}))
        self.optimiser.load_state_dict(state["optimiser"])
        self.done = state["step"]

    def train_loss(self) -> float:
        """Return the loss over the whole training set."""
        with torch.no_grad(), untouched(self.model):
            return float(self.loss(call(self.model, self.data.X), self.data.y))

    def check_weights(self) -> None:
        """Raise ``ValueError`` where the model has other parameters than those that are trained."""
        now = dict(self.model.named_parameters())
        for name, (weight, shape, dtype) in self._kinds.items():
            reason = ""
            if now.get(name) is not weight:
                reason = "is another tensor than at the start, which is not trained"
            elif (weight.shape, weight.dtype) != (shape, dtype):
                was = f"{tuple(shape)} and {dtype}"
                reason = f"is {tuple(weight.shape)} and {weight.dtype}, and was {was} at the start"
            elif not weight.requires_grad:
                reason = "no longer requires a gradient"
            if reason:
                raise ValueError(
                    f"the parameter {name} {reason}: the optimiser, hooks and functions may "
                    "change values in place only, as p.add_(...) under torch.no_grad() does"
                )

    def check(self, loss: float) -> None:
        """Raise ``DivergenceError`` where a training loss says that the run has diverged."""
        if has_diverged(loss, self.scale):
            if not math.isfinite(loss):
                self._check_start()
            if any(group.get("maximize") for group in self.optimiser.param_groups):
                hint = "; the optimiser makes the loss grow: leave out maximize=True"
                raise DivergenceError(self.done, hint=hint)
            raise DivergenceError(
                self.done, self.rate(), self._stable_rate(), hint=self._hint(loss)
            )

    def _hint(self, loss: float) -> str:
        """Return where else to look, if the loss is NaN and has not grown before."""
        largest = math.inf if self._largest is None else float(self._largest)
        if not math.isnan(loss) or largest > _GROWN * self.scale:
            return ""
        return (
            f"; the loss is NaN, and was at most {largest:.3g} before: look also for sqrt, norm, "
            "log or a division at 0 in forward or loss"
        )

    def _check_start(self) -> None:
        """Raise ``ValueError`` where a gradient is no number at the start: no rate would help."""
        now = trained_weights(self.model)
        try:
            self._put(self.start)
            check_training_slopes(self.model, self.data, self.loss)
        finally:
            self._put(now)

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        named = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in weights.items():
                named[name].copy_(value)

    def rate(self) -> float | None:
        """Return the learning rate before any schedule, where all parameters have the same."""
        return float(self._rates[0]) if len(set(self._rates)) == 1 else None

    def _stable_rate(self) -> float | None:
        if not isinstance(self.optimiser, torch.optim.SGD):
            return None
        options = self.optimiser.param_groups[0]
        try:
            return stable_rate(
                self.model,
                self.data,
                self.loss,
                weights=self.start,
                momentum=options["momentum"],
                weight_decay=options["weight_decay"],
            )
        except (ValueError, RuntimeError):  # the divergence is what is to be said
            return None


def made(optimiser: Optimiser, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser of these weights. Raises ``ValueError`` for one of other weights."""
    if not isinstance(optimiser, torch.optim.Optimizer):
        if not callable(optimiser):
            raise ValueError(
                f"optimiser = {shown(optimiser)}: must be a torch optimiser, its class, or a "
                "function of the parameters"
            )
        try:
            optimiser = running("optimiser", optimiser)(weights)  # pyright: ignore
        except Exception as error:
            reason = f"fails on the list of the parameters: {in_a_line(error)}"
            raise ValueError(f"optimiser = {shown(optimiser)}: {reason}") from error
        if not isinstance(optimiser, torch.optim.Optimizer):
            raise ValueError(
                f"optimiser gives {type(optimiser).__name__}: must give a torch.optim.Optimizer"
            )
    if isinstance(optimiser, torch.optim.SparseAdam):
        raise ValueError("optimiser is SparseAdam: must be one for gradients that are not sparse")
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    if not held & {id(p) for p in weights}:
        raise ValueError("optimiser holds none of the model's parameters: must be made of these")
    return optimiser


def one_number(value: Any) -> Any:
    """Return the number that a tensor holds; anything else as it is."""
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def _digest(factors: Iterable[Any]) -> Any:
    """Return the digest of what has multiplied the learning rate, step by step."""
    made = hashlib.sha256()
    for factor in factors:
        made.update(_bytes(factor))
    return made


def _bytes(factor: Any) -> bytes:
    return struct.pack("<d", float(factor))


def step_of(optimiser: torch.optim.Optimizer) -> tuple[Callable[..., Any], bool]:
    """Return the step, and whether it needs a function that evaluates the loss, as LBFGS's does.

    The step can't end the program. Raises ``ValueError`` for one that needs anything else.

    >>> [step_of(kind([torch.zeros(1)]))[1] for kind in (torch.optim.LBFGS, torch.optim.Adam)]
    [True, False]
    """
    if inspect.unwrap(type(optimiser).step) is inspect.unwrap(torch.optim.Optimizer.step):
        raise ValueError(f"optimiser {type(optimiser).__name__} has no step: must have one")
    step = guarded("optimiser", optimiser.step)
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(optimiser.step).parameters
    needed = {
        name: one.kind
        for name, one in parameters.items()
        if one.default is inspect.Parameter.empty and one.kind not in kinds
    }
    if others := [name for name in needed if name not in ("closure", "self")]:
        raise ValueError(f"optimiser.step needs {others[0]}: must need a closure at most")
    if needed.get("closure") is inspect.Parameter.KEYWORD_ONLY:
        return (lambda closure: step(closure=closure)), True
    return step, "closure" in needed
