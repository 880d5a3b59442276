"""Values of symbols as users give them: numbers, vectors and matrices, read exactly and checked.

Numbers may be Python's, NumPy's, torch's or SymPy's, fractions, decimals, or text such as "1/4",
"0.1" or "1e-3", which is read exactly. Text is never evaluated.
"""

import decimal
import math
import numbers
import re
from collections.abc import Iterable, Sized
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import dense, shown
from lazyrich.theory.symbols import SymmetricMatrixSymbol

_FRACTION = re.compile(r"[+-]?\d{1,400}/0*[1-9]\d{0,399}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,3})?", re.ASCII)
_ROUNDING = 1e-5  # of floats of order 1: the asymmetry that a symmetric matrix may have
_LAWS = (  # the first that a symbol obeys says what its values must be
    (("integer", "positive"), "a positive whole number"),
    (("positive",), "a number above 0"),
    (("nonnegative",), "0 or a number above 0"),
    (("real", "nonzero"), "a real number other than 0"),
    (("real",), "a real number"),
    ((), "a number"),
)


def rational(text: str) -> sp.Rational:
    """Read a whole number, a fraction or a decimal exactly.

    Raises ``ValueError`` for any other text.

    >>> rational("1/4"), rational("0.1"), rational("-2e3")
    (1/4, 1/10, -2000)
    """
    text = text.strip()
    if not (_FRACTION.fullmatch(text) or _DECIMAL.fullmatch(text)):
        raise ValueError(f"{shown(text)}: must be a number such as 2, 1/4, 0.1 or 1e-3")
    return sp.Rational(text)


def number(value: Any) -> sp.Expr | None:
    """A finite number in SymPy: exact as given, a ``Float`` for a float. None if it is none.

    Expressions of SymPy count as numbers.
    """
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()  # of NumPy or torch
    if isinstance(value, sp.Basic):
        is_number = isinstance(value, sp.Expr) and not isinstance(value, MatrixExpr)
        return value if is_number and not _is_infinite(value) else None
    if isinstance(value, str):
        try:
            return rational(value)
        except ValueError:
            return None
    if isinstance(value, numbers.Rational) and not isinstance(value, bool):
        return sp.Rational(value.numerator, value.denominator)
    if isinstance(value, decimal.Decimal):
        return sp.Rational(*value.as_integer_ratio()) if value.is_finite() else None
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return sp.Float(float(value)) if math.isfinite(value) else None
    return None


def _is_infinite(expr: sp.Expr) -> bool:
    """Whether an expression is known to have no finite value.

    The rules of SymPy are slow for a long one: they are asked only where a part is infinite.
    """
    if not any(atom.is_finite is False or atom is sp.nan for atom in expr.atoms()):
        return False
    return expr.is_finite is False or expr == sp.nan


def read(name: str, value: Any, symbol: sp.Symbol | MatrixSymbol) -> Any:
    """The value of a symbol, as ``table`` gives it for vectors and matrices, ``scalar`` for others.

    >>> from lazyrich.theory.symbols import alpha, beta
    >>> read("alpha", "1/4", alpha), read("beta", [1, 2], beta)
    (1/4, [1, 2])
    """
    if isinstance(symbol, MatrixSymbol):
        return table(name, value, symbol)
    return scalar(name, value, symbol)


def scalar(name: str, value: Any, symbol: sp.Symbol) -> sp.Expr:
    """The value of a scalar symbol, which must fit what the symbol is declared to be.

    >>> from lazyrich.theory.symbols import D, alpha
    >>> scalar("alpha", "1/4", alpha), scalar("D", 3.0, D)
    (1/4, 3)
    >>> scalar("D", 2.5, D)
    Traceback (most recent call last):
    ...
    ValueError: D = 2.5: must be a positive whole number
    """
    dense(name, value)
    found = number(value)
    laws, allowed = next(
        (laws, allowed) for laws, allowed in _LAWS if all(_obeys(symbol, law) for law in laws)
    )
    if found is not None and "integer" in laws and found.is_Float:
        found = sp.Integer(int(found)) if float(found).is_integer() else None
    if found is None or any(getattr(found, f"is_{law}") is False for law in laws):
        raise ValueError(f"{name} = {shown(value)}: must be {allowed}")
    return found


def whole(name: str, value: int | float, symbol: sp.Symbol | MatrixSymbol) -> int | float:
    """A Python number for an array function: where the symbol is a dimension, a whole number."""
    try:
        float(value)
    except OverflowError:
        raise ValueError(f"{name} = {shown(value)}: must be within the range of a float") from None
    if isinstance(symbol, MatrixSymbol) or not symbol.is_integer:
        return value
    if not math.isfinite(value) or value != int(value) or (symbol.is_positive and value < 1):
        raise ValueError(f"{name} = {shown(value)}: must be a positive whole number")
    return int(value)


def _obeys(symbol: sp.Symbol, law: str) -> bool:
    return bool(getattr(symbol, f"is_{law}"))


def table(name: str, value: Any, symbol: MatrixSymbol) -> list:
    """The value of a vector as a list of numbers, of a matrix as a list of rows.

    Raises ``ValueError`` for anything else, and for a matrix that differs from its transpose where
    the symbol is a ``SymmetricMatrixSymbol``.
    """
    is_column = symbol.shape[1] == 1
    dense(name, value)
    given = value.tolist() if hasattr(value, "tolist") else value
    rows = [row if _is_list(row) else [row] for row in given] if _is_list(given) else []
    entries = [[number(entry) for entry in row] for row in rows]
    lengths = {len(row) for row in entries}
    is_complete = all(entry is not None for row in entries for entry in row)
    if not is_complete or len(lengths) != 1 or 0 in lengths or (is_column and lengths != {1}):
        kind = "a list of numbers" if is_column else "a list of equal rows of numbers"
        raise ValueError(f"{name} = {shown(value)}: must be {kind}")
    _check_real(name, entries)
    if isinstance(symbol, SymmetricMatrixSymbol):
        _check_symmetric(name, entries)
    return [entry for (entry,) in entries] if is_column else entries


def to_give(name: str, symbol: Any) -> str:
    """Return in words how a symbol without a value is given one.

    >>> to_give("c", sp.Symbol("c")), to_give("B", MatrixSymbol("B", 2, 2))
    ('c=NUMBER', 'its rows, as B=[[1,0],[0,1]] at D = 2, or a file B=FILE.npy')
    """
    shape = getattr(symbol, "shape", None)
    if not shape:
        return f"{name}=NUMBER"
    what, example = ("entries", "[1,0]") if shape[1] == 1 else ("rows", "[[1,0],[0,1]]")
    return f"its {what}, as {name}={example} at D = 2, or a file {name}=FILE.npy"


def _is_list(value: Any) -> bool:
    is_other = isinstance(value, str | bytes | dict | set | frozenset | sp.Expr)
    is_finite = isinstance(value, Sized)  # an iterator may have no end
    return isinstance(value, Iterable) and is_finite and not is_other


def _check_real(name: str, entries: list[list]) -> None:
    for row in entries:
        for entry in row:
            if entry.is_real is False:
                raise ValueError(f"{name} has the entry {entry}: must be real numbers")


def _check_symmetric(name: str, entries: list[list]) -> None:
    """Exact entries must be equal, floats up to rounding. Other shapes are refused elsewhere."""
    if any(len(row) != len(entries) for row in entries):
        return
    largest = max([sp.S.One, *(abs(e) for row in entries for e in row if e.is_number)])
    for i, row in enumerate(entries):
        for j in range(i):
            gap = row[j] - entries[j][i]
            allowed = _ROUNDING * largest if gap.has(sp.Float) else 0
            if gap.is_number and abs(gap) > allowed:
                raise ValueError(
                    f"{name} has {row[j]} at ({i + 1}, {j + 1}) and {entries[j][i]} at "
                    f"({j + 1}, {i + 1}): must be symmetric"
                )


def check_covariance(name: str, matrix: Any, *, definite: bool = False) -> None:
    """Raise ``ValueError`` for a square matrix of numbers that is the covariance of no Gaussian.

    A singular one is: the vector then lies in a subspace. ``definite`` refuses that as well.

    >>> check_covariance("Sigma", [[1, 1], [1, 1]])
    >>> check_covariance("Sigma", [[1, 2], [2, 1]])
    Traceback (most recent call last):
    ...
    ValueError: Sigma has the eigenvalue -1: a covariance must be positive semidefinite
    """
    import numpy as np

    entries = np.asarray(matrix, dtype=float)
    largest = np.abs(entries).max(initial=0.0)
    if not np.isfinite(largest):
        return
    if np.abs(entries - entries.swapaxes(-1, -2)).max(initial=0.0) > _ROUNDING * largest:
        raise ValueError(f"{name} is not symmetric, as a covariance must be")
    least = float(np.linalg.eigvalsh(entries).min(initial=np.inf))
    if least < -1e-10 * largest:
        raise ValueError(
            f"{name} has the eigenvalue {least:.6g}: a covariance must be positive semidefinite"
        )
    if definite and least <= 1e-10 * largest:
        raise ValueError(f"{name} has the eigenvalue 0: must be positive definite here")
