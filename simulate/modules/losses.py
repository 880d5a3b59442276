"""The losses that have names, and shapes of outputs and labels that do not belong together."""

import math
import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from lazyrich.simulate.modules import generators
from lazyrich.simulate.modules.frozen import called, differ
from lazyrich.simulate.modules.trees import check_range, leaves, mapped, rows, taken
from lazyrich.simulate.modules.untouched import untouched
from lazyrich.support.arguments import in_a_line, one_of, shown
from lazyrich.support.user_code import running

# A function of outputs and labels: a mean over the samples.
Loss = Callable[[Any, Any], Tensor]
# How far the sum of probabilities may be from 1, by the rounding of half precision.
_PROBABILITIES = 1e-2


def mean_square(f: Tensor, y: Tensor) -> Tensor:
    """Return the mean of (f - y)^2 over samples and outputs; labels may be integers.

    >>> mean_square(torch.tensor([[0.5, 0.0]]), torch.tensor([[1, 0]])).item()
    0.125
    """
    if f.shape != y.shape:
        raise ValueError(f"y has shape {tuple(y.shape)}: must be {tuple(f.shape)}, as f(X) has")
    return nn.functional.mse_loss(f, y.to(f.dtype))


def cross_entropy(f: Tensor, y: Tensor) -> Tensor:
    """Return the mean of -log softmax(f)[y] for outputs (n, C), in float64.

    Labels are integers (n,), or one-hot or probabilities (n, C). In float32 it stalls near 1e-7.

    >>> one_hot = torch.tensor([[1, 0]])
    >>> cross_entropy(torch.tensor([[30.0, 0.0]]), one_hot).item() > 9e-14
    True
    """
    if f.dim() != 2 or tuple(y.shape) not in ((len(f),), tuple(f.shape)):
        raise ValueError(
            f"f(X) has shape {tuple(f.shape)} and y {tuple(y.shape)}: for cross entropy they must "
            f"be (n, C), and (n,) or (n, C){_hint_of_column(f, y, 'y')}"
        )
    labels = y.double() if y.shape == f.shape else y.long()
    return nn.functional.cross_entropy(f.double(), labels)


LOSSES: dict[str, Loss] = {"mse": mean_square, "cross_entropy": cross_entropy}


def loss_function(loss: object) -> Loss:
    """Return the loss of a name, or the function given. Raises ``ValueError`` for anything else.

    torch's classes of losses are taken as their functions.

    >>> loss_function("mse") is mean_square
    True
    >>> loss_function(nn.MSELoss) is loss_function(nn.MSELoss()) is nn.functional.mse_loss
    True
    >>> loss_function("mae")
    Traceback (most recent call last):
    ...
    ValueError: loss = 'mae': did you mean 'mse'? Allowed: mse, cross_entropy
    """
    if isinstance(loss, str):
        return LOSSES[one_of("loss", loss, LOSSES)]
    if isinstance(loss, type) and issubclass(loss, nn.Module):
        try:
            loss = loss()
        except TypeError as error:
            raise ValueError(f"loss = {shown(loss)}: give an instance: {error}") from error
    if not callable(loss):
        raise ValueError(
            f"loss = {shown(loss)}: must be a function of outputs and labels, or its name"
        )
    if isinstance(loss, nn.Module):
        loss = _plain(loss)
    of_torch = isinstance(loss, nn.CrossEntropyLoss | nn.BCEWithLogitsLoss)  # or made from it
    return cast(Loss, loss if of_torch else running("loss", cast(Loss, loss)))


def _plain(loss: nn.Module) -> Any:
    """Return the function of a loss of torch at its default settings; others as they are."""
    for kind, function in (
        (nn.MSELoss, nn.functional.mse_loss),
        (nn.CrossEntropyLoss, nn.functional.cross_entropy),
    ):
        settings, default = (
            {k: v for k, v in vars(one).items() if k[0] != "_" and k != "training"}
            for one in (loss, kind())
        )
        if type(loss) is kind and loss._buffers == kind()._buffers and settings == default:
            return function
    return loss


def number_given(name: str, value: Any) -> float:
    """Return what a function of this name gave, a loss, metric or measure; it may be NaN.

    >>> number_given("accuracy", torch.tensor([0.5]))
    0.5
    >>> number_given("accuracy", None)
    Traceback (most recent call last):
    ...
    ValueError: accuracy gives None: must give one real number
    """
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ValueError(f"{name} gives {shown(value)}: must give one real number") from None


class ChangedInPlaceError(ValueError):
    """A function of the user changes what it is given."""


def unchanging(name: str, function: Callable[[Any, Any], Any], f: Any, y: Any) -> Any:
    """Return what a function of outputs and labels gives for copies of them.

    Raises ``ValueError`` where it changes them in place: training would go on with other labels.

    >>> unchanging("error", lambda f, y: y.sub_(f).abs().max(), torch.ones(2), torch.ones(2))
    Traceback (most recent call last):
    ...
    lazyrich.simulate.modules.losses.ChangedInPlaceError: error changes its outputs or labels in \
place: must leave them as they are
    """
    copies = mapped(_copy, f), mapped(_copy, y)
    value = function(*copies)
    pairs = zip(leaves(copies), leaves((f, y)), strict=True)
    if any(isinstance(one, Tensor) and differ(one.detach(), two.detach(), 0) for one, two in pairs):
        raise ChangedInPlaceError(
            f"{name} changes its outputs or labels in place: must leave them as they are"
        )
    return value


def _copy(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf


def check_value(loss: Loss, f: Any, y: Any, name: str = "y") -> None:
    """Raise ``ValueError`` where a loss is not one real number with a slope, or labels don't fit.

    ``name`` is that of the labels. Without the check, cross entropy would round class 0.7 to 0, and
    outputs (n, 1) with labels (n,) would give the mean over all pairs of them.

    >>> f = torch.zeros(3, 2)
    >>> check_value(lambda f, y: (f - y) ** 2, f, f)
    Traceback (most recent call last):
    ...
    ValueError: loss gives a tensor of shape (3, 2): must give one number, the mean over the samples
    >>> check_value(cross_entropy, f, torch.tensor([0.0, 0.7, 1.0]))
    Traceback (most recent call last):
    ...
    ValueError: y has 0.7 in row 1: classes must be whole numbers from 0 to 1, as f(X) has 2 outputs
    """
    if any(isinstance(leaf, Tensor) and leaf.is_complex() for leaf in leaves(y)):
        raise ValueError(f"{name} is complex: must be real numbers")
    if loss in (mean_square, cross_entropy):
        _check_tensors(loss, f, y, name)
    if loss is mean_square:
        _check_numbers(f, y, name)
    if loss is cross_entropy:
        _check_classes(f, y, name)
    if loss is nn.functional.cross_entropy and isinstance(f, Tensor):
        _check_two(f)
    _check_pairs(loss, f, y, name)
    with torch.enable_grad():
        value: Any = _value(loss, f, y, name)
    if not isinstance(value, Tensor):
        raise ValueError(
            f"loss gives {type(value).__name__}: must give a tensor with one number, made by "
            "torch's operations without float() or item()"
        )
    if value.numel() != 1 or value.is_complex():
        kind = "complex tensor" if value.is_complex() else "tensor"
        raise ValueError(
            f"loss gives a {kind} of shape {tuple(value.shape)}: must give one "
            f"{'real ' if value.is_complex() else ''}number, the mean over the samples"
        )
    if not value.requires_grad:
        raise ValueError(
            "loss does not depend on f(X): must have a gradient (look for detach(), no_grad() or "
            "argmax in it)"
        )
    _check_modes(loss, f, y)


def _check_modes(loss: Loss, f: Any, y: Any) -> None:
    """Refuse a loss that is another number without gradients: what is recorded is not what falls.

    A random loss is let be: it differs from itself.

    >>> _check_modes(lambda f, y: (f - y).abs().sum() + torch.is_grad_enabled(), torch.ones(1), 3)
    Traceback (most recent call last):
    ...
    ValueError: loss gives 3 with gradients and 2 under torch.no_grad(): must be one function of \
outputs and labels (look for torch.is_grad_enabled() in it)
    """
    if getattr(loss, "__module__", "").startswith("torch") or loss in LOSSES.values():
        return
    found = []
    for mode in (torch.enable_grad(), torch.no_grad(), torch.enable_grad()):
        with generators.left_alone(), mode:
            found.append(loss(*mapped(_copy, (mapped(_with_slope, f), y))).detach().double())
    if differ(found[0], found[1], 10) and not differ(found[0], found[2], 10):
        raise ValueError(
            f"loss gives {float(found[0]):.4g} with gradients and {float(found[1]):.4g} under "
            "torch.no_grad(): must be one function of outputs and labels (look for "
            "torch.is_grad_enabled() in it)"
        )


def _value(loss: Loss, f: Any, y: Any, name: str) -> Any:
    """Return what the loss gives, or say in one line why it fails.

    >>> _value(nn.functional.nll_loss, torch.zeros(2, 3), torch.zeros(2, 1).long(), "y")
    Traceback (most recent call last):
    ...
    ValueError: loss fails on f(X) of shape (2, 3) and y of shape (2, 1): RuntimeError: 0D or 1D \
target tensor expected, multi-target not supported; reshape y to (2,)
    """
    try:
        return unchanging("loss", loss, mapped(_with_slope, f), y)
    except ChangedInPlaceError:
        raise
    except ValueError as error:
        if loss in LOSSES.values():
            raise
        reason = error
    except Exception as error:  # a user's loss may raise any
        reason = error
    shapes = [
        f" of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f", a {type(x).__name__},"
        for x in (f, y)
    ]
    X = name.replace("y", "X")
    raise ValueError(
        f"loss fails on f({X}){shapes[0]} and {name}{shapes[1]}: {in_a_line(reason)}"
        + _hint_of_column(f, y, name)
    ) from reason


def _hint_of_column(f: Any, y: Any, name: str) -> str:
    """Return what to do with class numbers in a column (n, 1)."""
    tensors = isinstance(f, Tensor) and isinstance(y, Tensor)
    if tensors and f.dim() == 2 and f.shape[1] > 1 and tuple(y.shape) == (len(f), 1):
        return f"; reshape {name} to ({len(f)},)"
    return ""


def _check_pairs(loss: Loss, f: Any, y: Any, name: str) -> None:
    """Refuse outputs (n, 1) with labels (n,), and the reverse, where the loss pairs all of them.

    By broadcasting, f - y is then (n, n): every output with every label. A loss that takes the
    shapes into account is the mean of the losses of two samples, and passes.

    >>> f, y = torch.zeros(3, 1), torch.zeros(3)
    >>> _check_pairs(nn.functional.l1_loss, f, y, "y")                 # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: y has shape (3,) and f(X) (3, 1): the loss would pair every output with ...
    """
    if not (isinstance(f, Tensor) and isinstance(y, Tensor)):
        return
    shapes = {tuple(f.shape), tuple(y.shape)}
    if shapes != {(len(f),), (len(f), 1)} or len(f) < 2 or not y.is_floating_point():
        return
    one = torch.tensor([[1.0], [3.0]]).reshape(2, *f.shape[1:]).to(f)
    other = torch.tensor([[2.0], [5.0]]).reshape(2, *y.shape[1:]).to(y)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own of these shapes
            together = float(loss(one, other))
            apart = [float(loss(*taken((one, other), slice(i, i + 1)))) for i in (0, 1)]
    except (RuntimeError, ValueError, IndexError):
        return  # it says by itself what it does not take
    if abs(together - sum(apart) / 2) > 1e-3 * abs(together):
        X = name.replace("y", "X")
        raise ValueError(
            f"{name} has shape {tuple(y.shape)} and f({X}) {tuple(f.shape)}: the loss would pair "
            f"every output with every label; reshape {name} to {tuple(f.shape)}"
        )


def _with_slope(x: Any) -> Any:
    real = isinstance(x, Tensor) and x.is_floating_point()
    return x.detach().requires_grad_() if real else x


def _check_tensors(loss: Loss, f: Any, y: Any, name: str) -> None:
    """Refuse tuples and dicts: a loss with a name is one of a tensor."""
    X = name.replace("y", "X")
    for what, value in ((f"f({X})", f), (name, y)):
        if not isinstance(value, Tensor):
            word = "mse" if loss is mean_square else "cross_entropy"
            raise ValueError(
                f"{what} is a {type(value).__name__}: loss = {word!r} needs one tensor; give a "
                "loss of your own, a function of outputs and labels"
            )


def _check_numbers(f: Tensor, y: Tensor, name: str) -> None:
    """Refuse labels whose shape is not that of the outputs."""
    if f.shape == y.shape:
        return
    classes = not y.is_floating_point() and y.shape == f.shape[:1] and f[0].numel() > 1
    hint = "; for class numbers use loss = 'cross_entropy'" if classes else ""
    X = name.replace("y", "X")
    raise ValueError(
        f"{name} has shape {tuple(y.shape)}: must be {tuple(f.shape)}, as f({X}) has{hint}"
    )


def _check_classes(f: Tensor, y: Tensor, name: str) -> None:
    """Refuse class numbers and probabilities that are none."""
    if f.dim() != 2:
        return  # cross_entropy itself says so
    C = f.shape[1]
    _check_two(f)
    if y.shape == f.shape:
        p = y.double()
        off = (p < 0).any(1) | ((p.sum(1) - 1).abs() > _PROBABILITIES)
        allowed = "must be one-hot, or probabilities with sum 1"
    elif y.shape == f.shape[:1]:
        off = (y.long() != y) | (y.long() < 0) | (y.long() >= C)
        allowed = f"classes must be whole numbers from 0 to {C - 1}, as f(X) has {C} outputs"
    else:
        return
    if bool(off.any()):
        row = int(off.nonzero()[0])
        shown = f"{y[row]:.4g}" if y.dim() == 1 else str(y[row].tolist()[:6])
        raise ValueError(f"{name} has {shown} in row {row}: {allowed}")


def _check_two(f: Tensor) -> None:
    """Refuse a single output: its softmax is 1, so that no loss is left."""
    if f.dim() == 2 and f.shape[1] < 2:
        raise ValueError(
            f"f(X) has shape {tuple(f.shape)}: cross entropy needs at least 2 outputs, one for "
            "each class"
        )


def check_loss(side: str, loss: Loss, f: Any, y: Any) -> None:
    """Raise ``ValueError`` where a loss is not finite at the start, as labels of NaN make it.

    >>> check_loss("test", mean_square, torch.zeros(2), torch.tensor([0.0, float("nan")]))
    Traceback (most recent call last):
    ...
    ValueError: the test loss is nan at the initial weights: y_test has NaN or infinity in row 1
    """
    real = isinstance(y, Tensor) and y.is_floating_point()
    name = "y" if side == "train" else "y_test"
    if real and isinstance(f, Tensor):
        check_range(name, y, f.dtype)
        y = y.to(f.dtype)
    check_value(loss, f, y, name)
    value = float(loss(f, y))
    if math.isfinite(value):
        return
    reason = "must be finite"
    if real and not bool(y.isfinite().all()):
        row = int((~y.isfinite()).reshape(len(y), -1).any(1).nonzero()[0])
        reason = f"{name} has NaN or infinity in row {row}"
    elif real and len(y):
        reason += f", and {name} has entries of up to {float(y.abs().max()):g}"
    raise ValueError(f"the {side} loss is {value} at the initial weights: {reason}")


def check_test_loss(model: nn.Module, loss: Loss, X_test: Any, y_test: Any) -> None:
    """Raise ``ValueError`` where the loss on a test set, if there is one, is not finite.

    >>> line, X = nn.Linear(1, 1), torch.ones(2, 1)
    >>> check_test_loss(line, mean_square, X[:0], X[:0])               # no test set
    >>> check_test_loss(line, mean_square, X, X * float("inf"))
    Traceback (most recent call last):
    ...
    ValueError: the test loss is inf at the initial weights: y_test has NaN or infinity in row 0
    """
    if rows("X_test", X_test):
        with torch.no_grad(), untouched(model):
            check_loss("test", loss, called(model, X_test, "X_test"), y_test)
