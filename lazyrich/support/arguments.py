"""Checks of arguments: one line names the argument, its value and what is allowed.

Every public function checks what it is given before any work starts. The command line turns the
same ``ValueError`` into exit code 2.
"""

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any


def positive_integer(name: str, value: Any) -> int:
    """Return ``value`` as an ``int`` if it is a whole number of at least 1.

    Raises ``ValueError`` otherwise; booleans and floats such as 3.0 are refused.

    >>> positive_integer("D", 3)
    3
    >>> positive_integer("D", 0)
    Traceback (most recent call last):
    ...
    ValueError: D = 0: must be a positive integer
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < 1:
        raise ValueError(f"{name} = {value!r}: must be a positive integer")
    return int(value)


def finite(name: str, value: Any, *, nonzero: bool = False, positive: bool = False) -> float:
    """Return ``value`` as a ``float`` if it is a finite real number (on demand not 0, or above 0).

    Raises ``ValueError`` otherwise.

    >>> finite("alpha", 2, nonzero=True)
    2.0
    >>> finite("epsilon", float("nan"))
    Traceback (most recent call last):
    ...
    ValueError: epsilon = nan: must be a finite number
    >>> finite("learning_rate", -1, positive=True)
    Traceback (most recent call last):
    ...
    ValueError: learning_rate = -1: must be a finite number above 0
    """
    allowed = "a finite number" + (" above 0" if positive else " other than 0" if nonzero else "")
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if (
        not is_real
        or not math.isfinite(value)
        or (nonzero and value == 0)
        or (positive and value <= 0)
    ):
        raise ValueError(f"{name} = {value!r}: must be {allowed}")
    return float(value)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is among ``allowed``; else raise ``ValueError`` with the nearest name.

    >>> one_of("engine", "moments", ["neurons", "moments"])
    'moments'
    >>> one_of("engine", "momments", ["neurons", "moments"])
    Traceback (most recent call last):
    ...
    ValueError: engine = 'momments': did you mean 'moments'? Allowed: neurons, moments
    """
    allowed = list(allowed)
    if value in allowed:
        return str(value)
    near = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{name} = {value!r}: {hint}Allowed: {', '.join(allowed)}")
