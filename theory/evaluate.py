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


def value(expr: Any, values: Mapping[str, Any]) -> Any:
    """The value of an expression, or of a tuple of them, where every symbol has a value.

    ``values`` maps keywords (x' is ``x_prime``) to SymPy numbers, vectors as matrices (D, 1) and
    matrices. Raises ``ValueError`` for a matrix operation that has no rule here.

    >>> from lazyrich.theory.symbols import M, alpha, beta
    >>> at = {"alpha": sp.Rational(1, 2), "beta": sp.Matrix([1, 2]), "M": sp.diag(1, 3)}
    >>> value(alpha * Trace(beta.T * M * beta), at)
    13/2
    """
    if isinstance(expr, tuple | sp.Tuple):
        return tuple(value(part, values) for part in expr)
    if isinstance(expr, sp.Symbol | MatrixSymbol):
        return values[python_name(expr)]
    if isinstance(expr, Trace):
        return value(expr.arg, values).trace()
    if isinstance(expr, MatrixExpr | sp.MatrixBase):
        return _matrix(expr, values)
    return expr.func(*(value(part, values) for part in expr.args)) if expr.args else expr


def _matrix(expr: MatrixExpr | sp.MatrixBase, values: Mapping[str, Any]) -> sp.MatrixBase:
    if isinstance(expr, sp.MatrixBase):
        return expr.applyfunc(lambda entry: value(entry, values))
    if isinstance(expr, sp.Identity | sp.ZeroMatrix):
        rows, columns = (int(value(size, values)) for size in expr.shape)
        return sp.eye(rows) if isinstance(expr, sp.Identity) else sp.zeros(rows, columns)
    parts = [value(part, values) for part in expr.args]
    if isinstance(expr, sp.MatAdd | sp.MatMul):
        return reduce(add if isinstance(expr, sp.MatAdd) else mul, parts)
    if isinstance(expr, sp.Inverse):  # before MatPow, which it is a case of
        return parts[0].inv()
    if isinstance(expr, sp.MatPow):
        return parts[0] ** parts[1]
    if isinstance(expr, sp.Transpose):
        return parts[0].T
    if isinstance(expr, DiagMatrix):
        return sp.diag(*parts[0])
    raise ValueError(f"{expr}: no rule for {type(expr).__name__}")
