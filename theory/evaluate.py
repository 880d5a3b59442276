"""Exact values of closed forms: the expression's tree walked with explicit matrices.

SymPy's own ``subs`` and ``doit`` would write every entry as a symbolic sum first: seconds, not
milliseconds.
"""

from collections.abc import Mapping
from functools import reduce
from operator import add, mul
from typing import Any

import sympy as sp
from sympy import DiagMatrix, MatrixSymbol, Trace
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.generate import python_name

_LARGEST = 1000  # rows of an explicit unit or zero matrix: a million exact numbers


def value(expr: Any, values: Mapping[str, Any], *, free: bool = False) -> Any:
    """The value of an expression, or of a tuple of them, where every symbol has a value.

    ``values`` maps keywords (x' is ``x_prime``) to SymPy numbers, vectors as matrices (D, 1) and
    matrices. With ``free``, symbols without a value stay, matrices with the sizes that are known.
    Raises ``ValueError`` for a matrix operation that has no rule here.

    >>> from lazyrich.theory.symbols import M, alpha, beta
    >>> at = {"alpha": sp.Rational(1, 2), "beta": sp.Matrix([1, 2]), "M": sp.diag(1, 3)}
    >>> value(alpha * Trace(beta.T * M * beta), at)
    13/2
    >>> value(alpha * Trace(M), {"alpha": sp.Integer(3)}, free=True)
    3*Trace(M)
    """
    if isinstance(expr, tuple | sp.Tuple):
        return tuple(value(part, values, free=free) for part in expr)
    if isinstance(expr, sp.Symbol | MatrixSymbol) and python_name(expr) in values:
        return values[python_name(expr)]
    if isinstance(expr, Trace):
        return _trace(value(expr.arg, values, free=free))
    if isinstance(expr, MatrixSymbol):
        if not free:
            raise KeyError(python_name(expr))
        return expr.func(expr.args[0], *(value(size, values, free=True) for size in expr.shape))
    if isinstance(expr, MatrixExpr | sp.MatrixBase):
        return _matrix(expr, values, free)
    return expr.func(*(value(part, values, free=free) for part in expr.args)) if expr.args else expr


def _trace(matrix: Any) -> Any:
    return matrix.trace() if isinstance(matrix, sp.MatrixBase) else Trace(matrix).doit()


def _matrix(expr: MatrixExpr | sp.MatrixBase, values: Mapping[str, Any], free: bool) -> Any:
    if isinstance(expr, sp.MatrixBase):
        return expr.applyfunc(lambda entry: value(entry, values, free=free))
    parts = [value(part, values, free=free) for part in expr.args]
    if isinstance(expr, sp.Identity | sp.ZeroMatrix):
        return expr.func(*parts) if free else _explicit(expr, [int(part) for part in parts])
    if isinstance(expr, sp.MatAdd):
        return reduce(add, parts)
    if isinstance(expr, sp.MatMul):
        return _product(parts)
    if isinstance(expr, sp.Inverse):  # before MatPow, which it is a case of
        return _inverse(parts[0])
    if isinstance(expr, sp.MatPow):
        return parts[0] ** parts[1]
    if isinstance(expr, sp.Transpose):
        return parts[0].T
    if isinstance(expr, DiagMatrix):
        return sp.diag(*parts[0]) if isinstance(parts[0], sp.MatrixBase) else DiagMatrix(parts[0])
    raise ValueError(f"{expr}: no rule for {type(expr).__name__}")


def _product(parts: list) -> Any:
    """A scalar times matrices. Infinity times a matrix is no matrix in SymPy: entry by entry."""
    scalar = sp.Mul(*(part for part in parts if isinstance(part, sp.Expr) and not part.is_Matrix))
    matrix = reduce(mul, (part for part in parts if getattr(part, "is_Matrix", False)))
    if scalar.is_finite is False or scalar == sp.nan:
        return matrix.applyfunc(lambda entry: scalar * entry)
    return scalar * matrix


def _explicit(expr: MatrixExpr, sizes: list[int]) -> sp.MatrixBase:
    if max(sizes) > _LARGEST:
        raise ValueError(
            f"{expr.shape[0]} = {max(sizes)}: an exact matrix of that size is too large; "
            "use ``function`` for arrays"
        )
    return sp.eye(sizes[0]) if isinstance(expr, sp.Identity) else sp.zeros(*sizes)


def _inverse(matrix: Any) -> Any:
    if not isinstance(matrix, sp.MatrixBase):
        return sp.Inverse(matrix)
    try:
        return matrix.inv()
    except sp.matrices.exceptions.NonInvertibleMatrixError:
        raise ValueError(f"{matrix.tolist()} has no inverse, which the formula needs") from None
