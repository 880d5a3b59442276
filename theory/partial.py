"""Values for some of the symbols of an expression; the others stay symbolic."""

from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy import MatrixSymbol, Trace
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.evaluate import value
from lazyrich.theory.generate import arguments, python_name


def partial(expr: Any, values: Mapping[str, Any]) -> Any:
    """An expression, or a tuple of them, at the values of some of its symbols.

    ``values`` maps keywords to SymPy numbers, and to explicit matrices for vectors and matrices. A
    trace or a bilinear form gets its value where all of its vectors and matrices have one. Raises
    ``ValueError`` where only some of them have.

    >>> from lazyrich.theory.symbols import D, M, beta
    >>> partial(Trace(M) / D + Trace(beta.T * beta), {"D": 4, "beta": sp.Matrix([1, 0, 2, 0])})
    Trace(M)/4 + 5
    """
    if isinstance(expr, tuple | sp.Tuple):
        parts = [partial(part, values) for part in expr]
        return sp.Tuple(*parts) if isinstance(expr, sp.Tuple) else tuple(parts)
    if isinstance(expr, MatrixExpr):
        return _matrix(expr, values)
    if not isinstance(expr, sp.Expr):
        return expr.func(*(partial(part, values) for part in expr.args)) if expr.args else expr
    hidden = {trace: sp.Dummy() for trace in expr.atoms(Trace)}  # D is their shape too: it stays
    known = {dummy: _contraction(trace, values) for trace, dummy in hidden.items()}
    plain = expr.xreplace(hidden)
    scalars = {s: values[name] for name, s in arguments(plain).items() if name in values}
    return plain.subs(scalars).xreplace(known)


def _matrix(expr: MatrixExpr, values: Mapping[str, Any]) -> Any:
    """A vector or a matrix: its value, or the values of its coefficients."""
    if set(arguments(expr)) <= set(values):
        return value(expr, values)
    if any(python_name(atom) in values for atom in expr.atoms(MatrixSymbol)):
        raise ValueError(_missing(expr, values))
    if isinstance(expr, sp.MatAdd):
        return sp.MatAdd(*(_matrix(term, values) for term in expr.args))
    if isinstance(expr, sp.MatMul):
        coefficient, factors = expr.as_coeff_matrices()
        return partial(coefficient, values) * sp.MatMul(*(_matrix(f, values) for f in factors))
    return expr


def _contraction(trace: Trace, values: Mapping[str, Any]) -> Any:
    names = {python_name(atom) for atom in trace.atoms(MatrixSymbol)}
    if not names & set(values):
        return trace
    if names <= set(values):
        return value(trace, values)
    raise ValueError(_missing(trace, values))


def _missing(expr: Any, values: Mapping[str, Any]) -> str:
    from lazyrich.theory.grammar import write

    names = [name for name, symbol in arguments(expr).items() if isinstance(symbol, MatrixSymbol)]
    given = ", ".join(name for name in names if name in values)
    missing = ", ".join(name for name in names if name not in values)
    return f"{write(expr)} has values of {given} but none of {missing}"
