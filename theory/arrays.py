"""The arguments of array functions: read from what a user gives, checked, completed by shapes."""

from collections.abc import Collection
from functools import cache
from itertools import zip_longest
from typing import Any

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.support.arguments import dense, one_of, shown
from lazyrich.theory import values
from lazyrich.theory.symbols import Sigma, SymmetricMatrixSymbol

Symbol = sp.Symbol | MatrixSymbol


def read(xp, name: str, value: Any, symbol: Symbol, like: Any) -> Any:
    """A Python number, or a floating array of the type and on the device of ``like``, checked."""
    if hasattr(value, "dtype"):
        dense(name, value, numbers_needed=not _is_torch(xp))
    else:
        try:
            value = _plain(name, value, symbol)
        except RecursionError:
            raise ValueError(f"{name} is nested too deeply: must be real numbers") from None
    if is_number(value):
        return values.whole(name, value, symbol)
    array = as_array(xp, name, value, like)
    if isinstance(symbol, sp.Symbol) and symbol.is_integer:
        _check_whole(xp, name, array)
    if isinstance(symbol, SymmetricMatrixSymbol):
        _check_symmetric(xp, name, array, is_covariance=symbol == Sigma)
    return array


def _plain(name: str, value: Any, symbol: Symbol) -> Any:
    """What has no dtype as Python's numbers and lists of them."""
    if is_number(value):
        return value
    if isinstance(value, sp.MatrixBase):
        value = list(value) if is_vector(symbol) else value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain(name, item, symbol) for item in value]
    found = values.number(value)
    if found is None or not found.is_number or found.is_real is False:
        raise ValueError(f"{name} = {shown(value)}: must be real numbers")
    return int(found) if found.is_Integer else float(found)


def as_array(xp, name: str, value: Any, like: Any) -> Any:
    """Floating arrays stay; all else becomes one, of the type and on the device of ``like``.

    Integers must not: next to a list of fractions they would round it.
    """
    if _kind(value) == "f" and _is_own(xp, value):
        return value
    if _kind(value) == "c":
        raise ValueError(f"{name} is an array of complex numbers: must be real")
    options = new(xp, like)
    try:
        return xp.as_tensor(value, **options) if _is_torch(xp) else xp.asarray(value, **options)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        given = shown(value)
        raise ValueError(f"{name} = {given}: must be real numbers in equal rows") from None


def as_result(xp, value: Any, like: Any) -> Any:
    """The value of a function as an array: of ``like``'s type, complex where it is complex."""
    if isinstance(value, complex):
        return xp.asarray(value)
    return value if _kind(value) in ("f", "c") else as_array(xp, "value", value, like)


def new(xp, like: Any) -> dict[str, Any]:
    """dtype and device of a new array: those of ``like`` if it is a floating one, else float64."""
    dtype = like.dtype if _kind(like) == "f" and _is_own(xp, like) else xp.float64
    if not _is_torch(xp):
        return {"dtype": dtype}
    return {"dtype": dtype, "device": like.device if _is_own(xp, like) else None}


def _is_own(xp, value: Any) -> bool:
    return hasattr(value, "is_floating_point") == _is_torch(xp)


def _kind(value: Any) -> str:
    """f for a floating array of NumPy or torch, c for a complex one, else something else."""
    if hasattr(value, "is_floating_point"):
        return "f" if value.is_floating_point() else "c" if value.is_complex() else ""
    return getattr(getattr(value, "dtype", None), "kind", "")


def _is_torch(xp) -> bool:
    return xp.__name__ == "torch"


def _check_whole(xp, name: str, array: Any) -> None:
    if is_open(array) and not bool(((array >= 1) & (array == xp.floor(array))).all()):
        raise ValueError(f"{name} = {shown(array)}: must be positive whole numbers")


def _check_symmetric(xp, name: str, array: Any, is_covariance: bool) -> None:
    """Up to rounding. Other shapes are refused elsewhere; NaN and infinity pass."""
    if len(array.shape) < 2 or array.shape[-1] != array.shape[-2] or 0 in array.shape:
        return
    # Gradients in single entries of a matrix, as finite differences take them, leave symmetry.
    if getattr(array, "requires_grad", False) or not is_open(array):
        return
    gap = abs(array - array.mT)
    allowed = float(xp.finfo(array.dtype).eps) ** 0.25  # long runs in single precision drift
    # A difference of second moments, M - M0, is as asymmetric as numbers of order 1 are rounded.
    if bool((gap > allowed).any()) and bool((gap > allowed * abs(array).max()).any()):
        raise ValueError(
            f"{name} differs from its transpose by {float(gap.max()):g}: must be symmetric"
        )
    if is_covariance:
        values.check_covariance(name, array.cpu() if _is_torch(xp) else array)


def is_open(array: Any) -> bool:
    """Whether entries may be looked at: not on a GPU, under vmap, or while compiling."""
    if not hasattr(array, "is_floating_point"):
        return True
    import torch

    is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor(array)
    return array.device.type == "cpu" and not is_wrapped and not torch.compiler.is_compiling()


def complete(known: dict[str, Any], symbols: dict[str, Symbol]) -> dict[str, Any]:
    """The arguments with dimensions filled in from the shapes of arrays.

    Raises ``ValueError`` if an argument is missing, unknown or of the wrong shape.
    """
    for name in known:
        one_of("argument", name, symbols)
    found = sizes(known, symbols)
    missing = [name for name in symbols if name not in known and name not in found]
    if missing:
        raise ValueError(f"missing argument {missing[0]}: needed are {', '.join(symbols)}")
    return {name: known.get(name, found.get(name)) for name in symbols}


def shapes(known: dict[str, Any], dimensions: Collection[str]) -> tuple | None:
    """What decides whether arguments fit: their shapes, and the numbers given as dimensions.

    None where a dimension is given as an array.
    """
    if any(name in known and not is_number(known[name]) for name in dimensions):
        return None
    return tuple(
        (name, (value if name in dimensions else None) if is_number(value) else tuple(value.shape))
        for name, value in known.items()
    )


def sizes(known: dict[str, Any], symbols: dict[str, Symbol]) -> dict[str, Any]:
    """The dimensions that the shapes of arrays tell, and the scalars that are known.

    Raises ``ValueError`` for a shape that does not fit.
    """
    found = {k: v for k, v in known.items() if not isinstance(symbols[k], MatrixSymbol)}
    for name, symbol in symbols.items():
        if name not in known or not isinstance(symbol, MatrixSymbol):
            continue
        shape = _shape(known[name])
        wanted = _inner_shape(symbol)
        inner = shape[max(len(shape) - len(wanted), 0) :]
        for size, length in zip(wanted, inner, strict=False):
            found.setdefault(size, length)
        allowed = tuple(found.get(size, size) for size in wanted)
        if allowed != inner:
            raise ValueError(
                f"{name} has shape {shape}: must be (..., {', '.join(map(str, allowed))})"
            )
    return found


def check_batches(known: dict[str, Any], symbols: dict[str, Symbol]) -> None:
    """Leading dimensions must broadcast. Raises ``ValueError`` if they don't."""
    total: tuple[int, ...] = ()
    for name, array in known.items():
        inner = len(_inner_shape(symbols[name]))
        batch = _shape(array)[: len(_shape(array)) - inner]
        pairs = zip_longest(reversed(total), reversed(batch), fillvalue=1)
        together = [max(a, b) if 1 in (a, b) else a if a == b else None for a, b in pairs]
        if None in together:
            raise ValueError(f"{name} has batch shape {batch}: must broadcast with {total}")
        total = tuple(reversed(together))


@cache
def _inner_shape(symbol: Symbol) -> tuple[int | str, ...]:
    """The shape of a symbol's arrays without batches: numbers and names of dimensions."""
    if not isinstance(symbol, MatrixSymbol):
        return ()
    shape = symbol.shape[:1] if is_vector(symbol) else symbol.shape
    return tuple(int(size) if size.is_Integer else str(size) for size in shape)


def is_vector(expr: Any) -> bool:
    """Whether a symbol or an expression is a column."""
    return bool(getattr(expr, "is_Matrix", False)) and expr.shape[1] == 1


def is_number(value: Any) -> bool:
    """Whether a value is one of Python's real numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shape(value: Any) -> tuple[int, ...]:
    if hasattr(value, "shape"):
        return tuple(value.shape)
    shape = []
    while isinstance(value, list | tuple):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)
