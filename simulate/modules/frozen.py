"""What a module must be, and a copy of it with its weights as they are now."""

import copy
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore
from torch.nn.parameter import is_lazy

from lazyrich.simulate.modules.inference import check_no_inference
from lazyrich.simulate.modules.trees import (
    Tree,
    call,
    flat,
    innermost,
    joined,
    leaves,
    mapped,
    rows,
    taken,
)
from lazyrich.simulate.modules.untouched import untouched
from lazyrich.support.arguments import dense, not_negative


class NotSamplesError(ValueError):
    """The module can't be called on these inputs as on samples, one a row."""


# Samples on which outputs are compared.
_SAMPLES = 32
# Differences between outputs that are rounding, in units of the dtype's eps and of the largest.
ROUNDING, _AT_MOST = 1000, 0.05
_RANDOM = (nn.modules.dropout._DropoutNd,)
_COUPLED = (nn.modules.batchnorm._BatchNorm,)
_HINT = "call model.eval() if that is meant"


def in_range_of(weights: Iterable[Tensor], name: str, value: Any) -> float:
    """Return a number that weights in training are multiplied by: at least 0, in their precision.

    >>> in_range_of([nn.Parameter(torch.zeros(2))], "weight_decay", 1e300)
    Traceback (most recent call last):
    ...
    ValueError: weight_decay = 1e+300: must be at most 3.40282e+38, the largest of torch.float32
    """
    number = not_negative(name, value)
    for weight in weights:
        largest = torch.finfo(weight.dtype).max if weight.requires_grad else math.inf
        if number > largest:
            raise ValueError(
                f"{name} = {number:g}: must be at most {largest:g}, the largest of {weight.dtype}"
            )
    return number


def checked_model(model: object) -> nn.Module:
    """Return ``model`` if it is a module with weights to train.

    Parameters with ``requires_grad=False`` are constants. Raises ``ValueError`` for anything else,
    for complex weights, and for dropout and batch normalisation in training mode: they define no
    function f(x; w) of one sample. In ``.eval()`` they do.

    >>> checked_model(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)))
    Traceback (most recent call last):
    ...
    ValueError: model has a Dropout in training mode, which is random: call model.eval() first
    >>> _ = checked_model(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).eval())
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is {type(model).__name__}: must be a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError(
            "model is a ScriptModule, which torch.func can't call: must be the plain module that "
            "it was made from"
        )
    for part in model.modules():
        kind = f"model has a {type(part).__name__} in training mode, which"
        if isinstance(part, _RANDOM) and part.training and part.p > 0:
            raise ValueError(f"{kind} is random: call model.eval() first")
        if isinstance(part, _COUPLED) and (part.training or part.running_mean is None):
            raise ValueError(f"{kind} mixes samples: call model.eval() first")
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        _check_held(f"the parameter {name}", parameter)
        if parameter.requires_grad and parameter.is_complex():
            raise ValueError(
                f"model has complex weights, {name}: must be real; keep their two parts as "
                "parameters, and join them by torch.view_as_complex"
            )
    for name, buffer in model.named_buffers():
        _check_held(f"the buffer {name}", buffer)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        reason = "all have requires_grad=False" if parameters else "it has no parameters"
        raise ValueError(f"model has nothing to train, {reason}: must have weights to train")
    return model


def _check_held(name: str, value: Tensor) -> None:
    """Raise ``ValueError`` for what can't be copied, compared and differentiated."""
    if is_lazy(value):
        raise ValueError(f"model has no shape for {name} yet: call it on some inputs first")
    if value.is_inference():
        raise ValueError(
            f"model: {name} was made in torch.inference_mode(), so it has no gradient: make the "
            "model outside of it, or under torch.no_grad()"
        )
    if value.is_nested or not (value.is_floating_point() and value.element_size() < 2):
        dense(f"model: {name}", value)


def checked_gradient(model: nn.Module, X: Tree) -> None:
    """Raise ``ValueError`` where the outputs have no gradient in any weight, or by inference mode.

    >>> class Cut(nn.Linear):
    ...     def forward(self, x):
    ...         return super().forward(x).detach()
    >>> checked_gradient(Cut(1, 1), torch.ones(2, 1))                  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: the model's output does not depend on its weights: ...
    """
    with torch.enable_grad(), untouched(model):
        x = taken(X, slice(0, 1))
        checked_output(f := flat(call(model, x)))
        check_no_inference(model, x, f)


def checked_output(f: Tensor) -> None:
    """Raise ``ValueError`` unless an output, made with gradients, has one in a weight."""
    if torch.is_inference_mode_enabled():
        raise ValueError("torch.inference_mode() is on, and nothing has a gradient: call outside")
    if not f.requires_grad:
        raise ValueError(
            "the model's output does not depend on its weights: must have a gradient in those that "
            "require one (look for detach(), no_grad() or argmax in forward)"
        )


def checked_function(model: nn.Module, X: Tree) -> None:
    """Raise ``ValueError`` unless the module is one function of each sample, seen on its outputs.

    A few samples go through it again, and in two parts: outputs that change are random, or depend
    on the other samples. Inputs that change are changed in place.

    >>> class Less(nn.Module):
    ...     def forward(self, x):
    ...         return x - x.mean(0)
    >>> X = torch.tensor([[1.0], [2.0]])
    >>> checked_function(Less(), X)                                    # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: the model's output for a sample changes with the other samples of the batch: ...
    """
    model = innermost(model)
    n = rows("X", X)
    if n < 1:
        raise NotSamplesError("X has 0 rows: must be (n, ...) with n of at least 1")
    few = mapped(torch.clone, taken(X, slice(0, _SAMPLES)))  # the model may change it in place
    count = min(n, _SAMPLES)
    with torch.no_grad(), untouched(model):
        first = _outputs(model, few)
        dense("the model's output", first)
        _check_unchanged(few, taken(X, slice(0, _SAMPLES)))
        if first.dim() < 1 or len(first) != count:
            raise NotSamplesError(
                f"the model returns shape {tuple(first.shape)} for {count} samples: must return "
                "one row for each (samples are along the first axis of X)"
            )
        if not first.numel():
            raise ValueError("the model returns no number for a sample: must return one at least")
        if any(differ(first, _outputs(model, few), 100) for _ in range(_SAMPLES // count)):
            raise ValueError(
                "the model gives other outputs at every call, so it is random: must be one "
                f"function f(x; w); {_HINT}"
            )
        with torch.enable_grad():
            with_gradients = _outputs(model, few).detach()
        parts = _in_parts(model, few, count, first)
    if differ(first, with_gradients, ROUNDING):
        raise ValueError(
            "the model gives other outputs with gradients than under torch.no_grad(): must be one "
            "function f(x; w) (look for torch.is_grad_enabled() in forward)"
        )
    if parts is None:
        raise NotSamplesError(
            f"the model can be called on {count} samples, but not on some of them: must be one "
            f"function f(x; w) of each sample; {_HINT}"
        )
    if differ(*parts, ROUNDING):
        raise ValueError(
            "the model's output for a sample changes with the other samples of the batch: must be "
            f"one function f(x; w) of each sample; {_HINT}"
        )


def _check_unchanged(after: Tree, before: Tree) -> None:
    """Raise ``ValueError`` where a call changed its inputs, and the user's data with them.

    >>> checked_function(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(1, 1)), -torch.ones(2, 1))
    Traceback (most recent call last):
    ...
    ValueError: the model changes its input in place: must leave it as it is (look for \
inplace=True, x += ..., or functions with a last _ in forward; x = x.clone() before them is enough)
    """
    pairs = zip(leaves(after), leaves(before), strict=True)
    if any(differ(one.flatten(), other.flatten(), 0) for one, other in pairs):
        raise ValueError(
            "the model changes its input in place: must leave it as it is (look for inplace=True, "
            "x += ..., or functions with a last _ in forward; x = x.clone() before them is enough)"
        )


def _outputs(model: nn.Module, X: Tree) -> Tensor:
    found = called(model, X)
    try:
        f = flat(found)
    except ValueError as error:
        raise NotSamplesError(str(error)) from error
    if f.is_complex():
        raise ValueError(f"the model returns {f.dtype}: must return real numbers")
    return f


def called(model: nn.Module, X: Tree, name: str = "X") -> Any:
    """Return what the module gives for the inputs of this name, or say in one line why it can't.

    >>> called(nn.Linear(3, 1), torch.zeros(2, 4), "X_test")   # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ...
    NotSamplesError: the model can't be called on X_test: RuntimeError: ...
    """
    try:
        return call(model, X)
    except Exception as error:  # a module may raise any
        line = " ".join(str(error).split())[:300]
        if isinstance(error.__cause__, SystemExit) and isinstance(error, ValueError):
            raise NotSamplesError(f"{line}, called on {name}") from error
        if "dtype" in line:
            line += _hint_of_dtype(model, X, name)
        raise NotSamplesError(
            f"the model can't be called on {name}: {type(error).__name__}: {line}"
        ) from error


def _hint_of_dtype(model: nn.Module, X: Tree, name: str) -> str:
    wanted = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    whole = [x for x in leaves(X) if not (x.is_floating_point() or x.is_complex())]
    if whole:
        return f"; {name} holds {whole[0].dtype}: make it floats, {name}.to({wanted})"
    return f"; data.to({wanted}) converts the data"


def _in_parts(model: nn.Module, X: Tree, count: int, first: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return outputs of samples together and apart; None where they can't be taken apart."""
    try:
        if count == 1:  # next to another sample
            other = mapped(lambda x: x + 1 if x.is_floating_point() else x, X)
            return first, flat(call(model, joined([X, other])))[:1]
        half = (count + 1) // 2
        parts = [taken(X, slice(0, half)), taken(X, slice(half, count))]
        return first, torch.cat([flat(call(model, part)) for part in parts])
    except Exception:  # anything that a module raises that needs its other samples
        return None


def differ(one: Tensor, other: Tensor, rounding: int) -> bool:
    """Return whether tensors differ by more than ``rounding`` units of the largest's last place.

    Those of different shapes, types or layouts do.
    """
    if any(getattr(one, kind) != getattr(other, kind) for kind in ("shape", "dtype", "layout")):
        return True
    if not one.is_floating_point() or not one.numel():
        return not torch.equal(one, other)
    scale = torch.nan_to_num(torch.maximum(one.abs(), other.abs()).double(), posinf=0).max()
    allowed = min(rounding * torch.finfo(one.dtype).eps, _AT_MOST) * float(scale)
    return not torch.allclose(one, other, rtol=0, atol=allowed, equal_nan=True)


class CheckedOnce:
    """Compares a module's outputs at the first call that has several real samples."""

    def __init__(self) -> None:
        self.done = False

    def __call__(self, model: nn.Module, X: Tree) -> None:
        """Raise ``ValueError`` where outputs are seen to be random or coupled."""
        if self.done or any(map(_in_a_transform, leaves(X))):
            return
        try:
            checked_function(model, X)
        except NotSamplesError:
            return
        self.done = True


def _in_a_transform(x: Any) -> bool:
    """Return whether vmap or a derivative of torch.func is at work: there are no values then."""
    return not isinstance(x, Tensor) or is_functorch_wrapped_tensor(x)


def given(places: tuple, names: dict[str, Any]) -> Tree:
    """Return the arguments of a ``forward`` as inputs that ``call`` takes."""
    if not names:
        return places[0] if len(places) == 1 else places
    return names if not places else None


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of the module, or say in one line why there is none.

    >>> copied(nn.utils.weight_norm(nn.Linear(1, 1)))                  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: model can't be copied: RuntimeError: ...
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:  # what a module holds may raise any
        line = " ".join(str(error).split()).split(". ")[0][:200]
        hint = ""
        if "weight_norm" in str(error):
            hint = "; use nn.utils.parametrizations.weight_norm in place of nn.utils.weight_norm"
        raise ValueError(
            f"model can't be copied: {type(error).__name__}: {line.rstrip('.')}{hint}"
        ) from error


def frozen(model: nn.Module) -> nn.Module:
    """Return a copy of the module with its parameters as buffers: the same function, untrainable.

    It appears in the ``state_dict`` of what holds it, moves with it to a device or dtype, and adds
    nothing to its parameters.

    >>> model = nn.Linear(3, 2)
    >>> kept = frozen(model)
    >>> _ = nn.init.zeros_(model.weight)
    >>> list(kept.parameters()), sorted(kept.state_dict()), bool(kept.weight.abs().max() > 0)
    ([], ['bias', 'weight'], True)
    """
    found = copied(model)
    for part in found.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is not None:
                del part._parameters[name]
                part.register_buffer(name, parameter.detach())
    return found
