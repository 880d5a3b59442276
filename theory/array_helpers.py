"""What the generated source of array functions calls, for NumPy and torch."""

import importlib
from collections.abc import Callable
from typing import Any

from lazyrich.theory import arrays


def helpers(xp) -> dict[str, Callable[..., Any]]:
    """The helpers by the names that the generated source gives them."""
    return {
        "_array": lambda value: _array(xp, value),
        "_asin": lambda values: xp.arcsin(xp.clip(values, -1.0, 1.0)),
        "_erf": lambda values: _erf(xp, values),
        "_eye": lambda size, like: xp.eye(int(size), **arrays.new(xp, like)),
        "_piecewise": lambda *branches: _piecewise(xp, branches),
        "_radicand": lambda values: _radicand(xp, values),
        "_wide": _wide,
        "_zeros": lambda r, c, like: xp.zeros((int(r), int(c)), **arrays.new(xp, like)),
    }


def _array(xp, value: Any) -> Any:
    return xp.asarray(value, dtype=xp.float64) if arrays.is_number(value) else value


def _erf(xp, values: Any) -> Any:
    module = importlib.import_module("scipy.special") if xp.__name__ == "numpy" else xp
    return module.erf(values)  # NumPy has none


def _radicand(xp, values: Any) -> Any:
    """What a root is taken of: 0 where rounding has taken it below 0, complex where it is below."""
    if not hasattr(values, "dtype"):
        return values  # roots of Python's own negative numbers are complex
    rounding = 4.5 * float(xp.finfo(values.dtype).eps)  # of 1 - cosine at equal vectors
    values = xp.where((values < 0) & (values > -rounding), 0 * values, values)
    if arrays.is_open(values) and bool((values < 0).any()):
        return values + 0j
    return values


def _piecewise(xp, branches: tuple) -> Any:
    """The part whose condition is the first to hold, nan where none does."""
    tests = [test() for test, _ in branches]
    if not any(getattr(test, "shape", ()) for test in tests):
        return next(
            (part() for test, (_, part) in zip(tests, branches, strict=True) if test), float("nan")
        )
    numpy = importlib.import_module("numpy")
    with numpy.errstate(all="ignore"):  # of the parts that are not taken
        value = _array(xp, float("nan"))
        for test, (_, part) in reversed(list(zip(tests, branches, strict=True))):
            value = xp.where(xp.asarray(test), _array(xp, part()), value)
    return value


def _wide(scalar: Any) -> Any:
    """A scalar in front of a matrix: batch dimensions come before those of the matrix."""
    return scalar[..., None, None] if getattr(scalar, "ndim", 0) else scalar
