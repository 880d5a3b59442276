"""When gradient descent diverges, and the largest learning rate at which it would not."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from lazyrich.simulate.network import ntk_normalised
from lazyrich.simulate.shapes import Float
from lazyrich.support.arguments import in_a_line, shown

# Train loss above this multiple of its scale (the mean square of the labels and of the first
# predictions) counts as diverged. A run that overshoots for a while at a large rate and recovers
# (the catapult of Lewkowycz et al. 2020) stays orders of magnitude below it.
DIVERGED = 1e12

# Engines look at the train loss at least this often, in steps, and go back for the first bad one.
CHECK_EVERY = 256

# Numbers that an error of range names are this large, or as small as its inverse.
EXTREME = 1e30

_P = ParamSpec("_P")
_R = TypeVar("_R")

# What is raised where numbers are beyond those of a computer.
OVERFLOWS = (
    ArithmeticError,
    torch.linalg.LinAlgError,  # pyright: ignore[reportPrivateImportUsage]
)


class NumericalError(ValueError):
    """A run can't be computed to its end, though its arguments are valid.

    ``status`` says why in a word: a sweep keeps it as the result of the cell. Here, numbers left
    the range of floating point; see ``DivergenceError`` and ``TooStiffError`` for others.
    """

    status = "overflowed"


class TooStiffError(NumericalError):
    """Gradient flow takes more steps than anyone can wait for."""

    status = "too stiff"


class OutOfRangeError(NumericalError):
    """Numbers left the range of floating point: ``what`` did, for extreme numbers ``given``.

    >>> print(OutOfRangeError("division by zero", ("alpha = 1e-140",)))
    alpha = 1e-140: a number left the range of floating point: take less extreme ones (division \
by zero)
    """

    def __init__(self, what: str, given: tuple[str, ...] = ()) -> None:
        self.what, self.given = what, given
        names = f"{', '.join(given)}: " if given else ""
        super().__init__(
            f"{names}a number left the range of floating point: take less extreme ones ({what})"
        )

    def __reduce__(self) -> tuple:
        return type(self), (self.what, self.given)


def within_range(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function raise ``OutOfRangeError`` where numbers leave the range of floating point.

    The error names the extreme numbers among the arguments: those given by name, and those that the
    method ``extremes`` of an argument returns.

    >>> within_range(lambda alpha: 1 / alpha**3)(alpha=1e-150)
    Traceback (most recent call last):
    ...
    lazyrich.simulate.stability.OutOfRangeError: alpha = 1e-150: a number left the range of \
floating point: take less extreme ones (ZeroDivisionError: float division by zero)
    """

    @wraps(function)
    def guarded(*places: _P.args, **names: _P.kwargs) -> _R:
        try:
            return function(*places, **names)
        except OutOfRangeError as error:
            if error.given or not (given := _extremes(places, names)):
                raise
            raise OutOfRangeError(error.what, given) from error
        except NumericalError:  # which has said why
            raise
        except OVERFLOWS as error:
            raise OutOfRangeError(in_a_line(error), _extremes(places, names)) from error
        except RuntimeError as error:  # of torch: a number has no place in its precision
            if "without overflow" not in str(error):
                raise
            raise OutOfRangeError(in_a_line(error), _extremes(places, names)) from error

    return guarded


def _extremes(places: tuple, names: Mapping[str, Any]) -> tuple[str, ...]:
    found = list(extremes(names))
    for given in places:
        if isinstance(given, Mapping):
            found += extremes(given)
        elif hasattr(given, "extremes"):
            found += given.extremes()
    return tuple(found)


def extremes(given: Mapping[str, Any]) -> list[str]:
    """Return the extreme numbers of a mapping, and of the mappings in it, as text.

    >>> extremes({"alpha": 1e80, "steps": 9, "constants": {"c": 1e-60, "d": 0.0}})
    ['alpha = 1e+80', 'c = 1e-60']
    """
    found = []
    for name, value in given.items():
        if isinstance(value, Mapping):
            found += extremes(value)
        elif isinstance(value, int | float) and value and not 1 / EXTREME <= abs(value) <= EXTREME:
            found.append(f"{name} = {shown(value)}")
    return found


class Diverged(Exception):
    """A train loss is not finite or beyond the limit, at ``step`` for the first time."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class DivergenceError(NumericalError):
    """Training diverged: a ``ValueError``, because the learning rate asked for is too large.

    ``step``: one by which the train loss was beyond ``DIVERGED`` times its scale, or not finite.
    The first such step exactly for the engines "moments", "neurons" and "linearised" (but a loss
    that was so for less than 256 steps of "moments", and recovered, is overlooked); for "flow" the
    first recorded one, and for other trainers a multiple of 256 or a recorded one.
    ``learning_rate``: the rate used, None where there is not one. ``stable_learning_rate``: the
    largest stable one at the step ``stable_at``, which is the start of the run, or, where the rate
    used was stable there, the last recorded step before; None where it is unknown, as for Adam.
    ``hint`` ends the message: what else may be the cause.

    >>> print(DivergenceError(300, 2.0, 1.5, 0))
    learning_rate = 2: must be below 1.5, the largest stable one at step 0: training diverged by \
step 300
    """

    status = "diverged"

    def __init__(
        self,
        step: int,
        learning_rate: float | None = None,
        stable_learning_rate: float | None = None,
        stable_at: int = 0,
        hint: str = "",
    ) -> None:
        self.step = step
        self.learning_rate = learning_rate
        self.stable_learning_rate = stable_learning_rate
        self.stable_at = stable_at
        self.hint = hint
        super().__init__(self._message() + hint)

    def _message(self) -> str:
        """Say first what to do."""
        rate, stable = self.learning_rate, self.stable_learning_rate
        what = "" if rate is None else f"learning_rate = {rate:g}: "
        happened = f"training diverged by step {self.step}"
        if stable is None or not stable > 0:
            why = "" if stable is None else f"; no rate is stable at step {self.stable_at}"
            return f"{what}must be lower: {happened}{why}" if what else happened + why
        limit = f"{stable:.4g}, the largest stable one at step {self.stable_at}"
        if rate is not None and rate <= stable:
            return f"{what}must be well below {limit}: {happened}, as the kernel has grown"
        return f"{what or 'the learning rate '}must be below {limit}: {happened}"

    @property
    def stable_rate(self) -> float | None:
        """The same as ``stable_learning_rate``."""
        return self.stable_learning_rate

    def __reduce__(self) -> tuple:
        # By default an exception is remade from its message alone: it must come back from workers.
        return type(self), (
            self.step,
            self.learning_rate,
            self.stable_learning_rate,
            self.stable_at,
            self.hint,
        )


def has_diverged(loss: float, scale: float) -> bool:
    """Return whether a train loss is not finite or more than ``DIVERGED`` times its scale.

    >>> has_diverged(float("nan"), 1.0), has_diverged(1e13, 1.0), has_diverged(0.0, 0.0)
    (True, True, False)
    """
    return not loss <= min(max(DIVERGED * scale, 1e-300), 1e300)


def stable_learning_rate(
    X: Float[Tensor, "P D"],
    wbar: Float[Tensor, " D"],
    M: Float[Tensor, "D D"],
    *,
    alpha: float,
    epsilon: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: float = 0.0,
) -> float:
    """Return the largest stable eta0 of gradient descent linearised at the weights (wbar, M).

    Without momentum and decay it is P/lambda_max(K), K the normalised train kernel: the residual
    is multiplied by I - (2 eta0/P) K each step. Heavy-ball momentum mu is stable while
    h < 2 (1 + mu), h = eta0 (2 lambda/P + weight_decay/alpha^2) the curvature times the step;
    decoupled decay d = eta0 decoupled_weight_decay lowers that to h < (1 + mu)(2 - d). The part
    of the curvature that vanishes with the residual is left out. Infinite where nothing moves;
    0 where K has a negative eigenvalue, as it can for moments that no real neurons have.

    >>> X = torch.eye(2, dtype=torch.float64)
    >>> wbar, M = torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    >>> stable_learning_rate(X, wbar, M, alpha=1.0, epsilon=1.0)       # K = 2 I, P = 2
    1.0
    """
    K = ntk_normalised(X, X, wbar, M, epsilon=epsilon)
    return stable_rate_of_kernel(
        K,
        alpha=alpha,
        momentum=momentum,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
    )


def stable_rate_of_kernel(
    K: Float[Tensor, "P P"],
    *,
    alpha: float,
    momentum: float,
    weight_decay: float,
    decoupled_weight_decay: float,
) -> float:
    """Return the same for any network, from its normalised train kernel K.

    >>> numbers = dict(momentum=0.5, weight_decay=0.0, decoupled_weight_decay=0.0)
    >>> stable_rate_of_kernel(2 * torch.eye(4), alpha=1.0, **numbers)
    3.0
    """
    eigenvalues = torch.linalg.eigvalsh(K)
    bottom, top = float(eigenvalues[0]), float(eigenvalues[-1])
    if bottom < -K.shape[0] * torch.finfo(K.dtype).eps * max(-bottom, top):
        return 0.0
    curvature = 2 * max(top, 0.0) / K.shape[0] + weight_decay / alpha**2
    rate = curvature + (1 + momentum) * decoupled_weight_decay
    return 2 * (1 + momentum) / rate if rate > 0 else float("inf")
