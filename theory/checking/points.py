"""The smallest exact counter-example: a search over simple points, from simple to less simple."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory.counterexample import SIMPLE, simplest_first
from lazyrich.theory.evaluate import value
from lazyrich.theory.generate import arguments
from lazyrich.theory.symbols import SymmetricMatrixSymbol

_MOST = 4000  # points that are tried
_SIZES = 6  # the largest dimension
_DIGITS = 40
_TINY = sp.Rational(1, 10**25)


@dataclass(frozen=True)
class Counterexample:
    """A point, as ``evaluate`` takes it, and the exact values of the two formulas there."""

    point: Mapping[str, Any]
    given: Any
    right: Any

    def __str__(self) -> str:
        return f"{written(self.point)}: {plain(self.given)}, not {plain(self.right)}"


def written(point: Mapping[str, Any]) -> str:
    """The values of a point as text.

    >>> written({"D": 2, "wbar": sp.Matrix([[1, 0]])})
    'D = 2, wbar = [[1, 0]]'
    """
    return ", ".join(f"{name} = {plain(value)}" for name, value in point.items())


def plain(value: Any) -> Any:
    """A matrix or an array as a list of rows."""
    return value.tolist() if hasattr(value, "tolist") else value


def as_json(value: Any) -> Any:
    """Integers as numbers, other exact values as text such as "1/4", matrices as lists.

    >>> as_json([[1, sp.Rational(1, 4)]])
    [[1, '1/4']]
    """
    value = plain(value)
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, str):
        return value
    return int(value) if sp.sympify(value).is_Integer else str(value)


def smallest(
    right: Any, given: Any, varied: Sequence[str], condition: Any = sp.true
) -> Counterexample | None:
    """The first simple point at which the formulas differ; None if none is found.

    ``varied`` names the arguments that matter: the others keep their simplest value. Only points
    that meet ``condition`` count.
    """
    symbols = arguments(sp.Tuple(right, given))
    for point in _points(symbols, varied):
        plain_numbers = {symbols[n]: v for n, v in point.items() if not isinstance(v, list)}
        if condition.subs(plain_numbers) == sp.false:
            continue
        values = _values(right, given, point)
        if values and _differ(*values):
            return Counterexample(point, *values)
    return None


def agreeing(right: Any, given: Any, varied: Sequence[str], count: int = 40) -> int:
    """At how many of the first simple points, where both are finite, the formulas agree."""
    symbols = arguments(sp.Tuple(right, given))
    found = 0
    for point, _ in zip(_points(symbols, varied), range(count), strict=False):
        values = _values(right, given, point)
        found += values is not None and _is_finite(values[0]) and not _differ(*values)
    return found


def _values(right: Any, given: Any, point: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """The values of both formulas; None where a matrix is singular."""
    to_matrix = {n: sp.ImmutableMatrix(v) if isinstance(v, list) else v for n, v in point.items()}
    try:
        return value(given, to_matrix), value(right, to_matrix)
    except (ValueError, ArithmeticError):
        return None


def _points(symbols: Mapping[str, Any], varied: Sequence[str]) -> Iterator[dict[str, Any]]:
    sizes = [n for n in symbols if _is_size(n, symbols)]
    others = [name for name in symbols if name not in sizes]
    places = {name: _SIZES if name in sizes else _choices(symbols[name]) for name in symbols}
    domain = {
        name: range(places[name] if name in varied or name in sizes else 1)
        for name in (*sizes, *others)
    }
    for count, place in enumerate(simplest_first(domain)):
        if count > _MOST:
            return
        point: dict[str, Any] = {name: sp.Integer(place[name] + 1) for name in sizes}
        for name in others:
            point[name] = _simple(symbols[name], place[name], point)
        yield point


def _is_size(name: str, symbols: Mapping[str, Any]) -> bool:
    symbol = symbols[name]
    return isinstance(symbol, sp.Symbol) and bool(symbol.is_integer and symbol.is_positive)


def _choices(symbol: Any) -> int:
    if not isinstance(symbol, MatrixSymbol):
        return len(_numbers(symbol))
    return len(_VECTORS) if symbol.shape[1] == 1 else len(_GENERAL)


def _numbers(symbol: sp.Symbol) -> list[sp.Rational]:
    """The simple numbers that the symbol may be."""
    return [number for number in SIMPLE if _allowed(symbol, number)]


def _allowed(symbol: sp.Symbol, number: sp.Rational) -> bool:
    laws = ("integer", "positive", "nonnegative", "nonzero")
    return not any(
        getattr(symbol, f"is_{law}") and getattr(number, f"is_{law}") is False for law in laws
    )


def _simple(symbol: Any, place: int, sizes: Mapping[str, Any]) -> Any:
    if not isinstance(symbol, MatrixSymbol):
        return _numbers(symbol)[place]
    rows, columns = (int(_size(size, sizes)) for size in symbol.shape)
    if symbol.shape[1] == 1:
        return [_VECTORS[place](i, rows) for i in range(rows)]
    table = _SYMMETRIC if isinstance(symbol, SymmetricMatrixSymbol) else _GENERAL
    return [[table[place](i, j) for j in range(columns)] for i in range(rows)]


def _size(size: sp.Expr, sizes: Mapping[str, Any]) -> sp.Integer:
    return size.subs({symbol: sizes[symbol.name] for symbol in size.free_symbols})


# Entries of simple vectors and matrices, of norm 1 first: coincidences there are passed over.
_HALF = sp.Rational(1, 2)
_VECTORS = (
    lambda i, n: int(i == 0),  # noqa: ARG005
    lambda i, n: 2 * int(i == 0),  # noqa: ARG005
    lambda i, n: 1,  # noqa: ARG005
    lambda i, n: int(i == n - 1),
    lambda i, n: i + 1,  # noqa: ARG005
    lambda i, n: _HALF * int(i == 0),  # noqa: ARG005
    lambda i, n: -int(i == 0),  # noqa: ARG005
)
_SYMMETRIC = (
    lambda i, j: int(i == j),
    lambda i, j: 2 * int(i == j),
    lambda i, j: int(i == j == 0),
    lambda i, j: (i + 1) * int(i == j),
    lambda i, j: 1,  # noqa: ARG005
    lambda i, j: min(i, j) + 1,  # positive definite, as a covariance must be
)
_GENERAL = (
    lambda i, j: int(i == j),
    lambda i, j: 2 * int(i == j),
    lambda i, j: int(j >= i),
    lambda i, j: int(i == j == 0),
    lambda i, j: int((i, j) == (0, 1)),
    lambda i, j: i + 2 * j + 1,
)


def _differ(left: Any, right: Any) -> bool:
    if not (_is_finite(left) and _is_finite(right)):
        return False
    if isinstance(left, sp.MatrixBase):
        return any(_differ(a, b) for a, b in zip(left, right, strict=True))
    difference = sp.sympify(left) - sp.sympify(right)
    if difference.is_Rational:
        return difference != 0
    number = abs(difference.evalf(_DIGITS, maxn=200))
    return bool(number.is_comparable and number > _TINY)


def _is_finite(value: Any) -> bool:
    if isinstance(value, sp.MatrixBase):
        return all(map(_is_finite, value))
    value = sp.sympify(value)
    return not value.has(sp.zoo, sp.nan, sp.oo) and value.is_real is not False
