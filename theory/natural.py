"""SymPy's matrix expressions as one writes them, such as ``(x.T*A*x)**2``, as scalars.

SymPy keeps x^T A x as a matrix of shape (1, 1); the theory writes such a scalar as a ``Trace``.
"""

import math
from collections.abc import Collection
from typing import Any

import sympy as sp
from sympy import MatrixSymbol, Trace
from sympy.matrices.expressions.matexpr import MatrixElement, MatrixExpr


def scalar(expr: Any) -> sp.Expr:
    """The expression as a scalar in which matrices stand inside ``Trace`` alone.

    Raises ``ValueError`` for a matrix of another shape, and for entries and explicit matrices.

    >>> from lazyrich.theory.symbols import A, beta, x
    >>> scalar((x.T * A * x) ** 2 * (beta.T * x))
    Trace(beta.T*x)*Trace(x.T*A*x)**2
    """
    expr = sp.sympify(expr, strict=True)
    if isinstance(expr, MatrixExpr):
        if expr.shape != (1, 1):
            raise ValueError(f"expr = {expr}: has shape {expr.shape}; must be a scalar")
        return _one_by_one(expr)
    if isinstance(expr, sp.MatrixBase | MatrixElement) or not isinstance(expr, sp.Expr):
        raise ValueError(f"expr = {expr}: must be a scalar such as x.T*A*x or Trace(A)")
    if isinstance(expr, Trace) or not expr.args:
        return expr
    return expr.func(*map(scalar, expr.args))


def _one_by_one(matrix: MatrixExpr) -> sp.Expr:
    """A matrix of shape (1, 1) as a scalar."""
    if isinstance(matrix, sp.MatAdd):
        return sp.Add(*map(_one_by_one, matrix.args))
    if isinstance(matrix, sp.Transpose):
        return _one_by_one(matrix.arg)
    if isinstance(matrix, sp.MatPow | sp.Inverse):
        return _one_by_one(matrix.base) ** matrix.exp
    if isinstance(matrix, sp.MatMul):
        coefficient, factors = matrix.as_coeff_matrices()
        return scalar(coefficient) * chain(factors)
    if isinstance(matrix, sp.Identity):
        return sp.S.One
    if isinstance(matrix, sp.ZeroMatrix):
        return sp.S.Zero
    raise ValueError(f"expr = {matrix}: must be built from vectors such as x.T*A*x")


def chain(factors: Collection[MatrixExpr]) -> sp.Expr:
    """A product of shape (1, 1): each row times ... times a column is one scalar."""
    value, group = sp.S.One, []
    for factor in factors:
        if factor.shape == (1, 1):
            value *= _one_by_one(factor)
            continue
        group.append(factor)
        if factor.shape[1] == 1:
            value *= traced(sp.MatMul(*group))
            group = []
    if group:
        raise ValueError(f"expr = {sp.MatMul(*factors)}: must be a scalar such as x.T*A*x")
    return value


def traced(matrix: MatrixExpr) -> sp.Expr:
    """The trace of a square matrix, the scalars taken out; a number for a unit matrix.

    >>> from lazyrich.theory.symbols import A, I
    >>> traced(2 * A + I)
    D + 2*Trace(A)
    """
    matrix = matrix.doit(deep=False)
    if isinstance(matrix, sp.MatAdd):
        return sp.Add(*map(traced, matrix.args))
    if isinstance(matrix, sp.ZeroMatrix):
        return sp.S.Zero
    if isinstance(matrix, sp.Identity):
        return matrix.shape[0]
    if isinstance(matrix, sp.MatMul):
        coefficient, factors = matrix.as_coeff_matrices()
        inside = sp.MatMul(*factors).doit(deep=False)
        return coefficient * (Trace(inside) if coefficient == 1 else traced(inside))
    return Trace(matrix)


def matrix_symbols(expr: Any) -> dict[str, MatrixSymbol]:
    """The vectors and matrices of an expression by name."""
    from lazyrich.theory.generate import python_name

    found = sorted(expr.atoms(MatrixSymbol), key=lambda symbol: (symbol.name, str(type(symbol))))
    return {python_name(symbol): symbol for symbol in found}


MAX_TERMS = 100_000


def check_size(expr: Any, what: str) -> None:
    """Raise ``ValueError`` if an expression is too large to be multiplied out.

    >>> check_size((sp.Symbol("a") + sp.Symbol("b")) ** 3, "expr")
    """
    if (terms := _terms_at_most(expr)) > MAX_TERMS:
        digits = len(str(terms)) if terms < 10**300 else 301  # of more, Python makes no text
        size = str(terms) if digits < 10 else f"at least 10^{digits - 1}"
        raise ValueError(
            f"{what}: has {size} terms when it is multiplied out; must be at most {MAX_TERMS}"
        )


def _terms_at_most(expr: Any) -> int:
    if isinstance(expr, sp.Add | sp.MatAdd):
        return sum(map(_terms_at_most, expr.args))
    if isinstance(expr, sp.Pow | sp.MatPow) and expr.exp.is_Integer:
        base, power = _terms_at_most(expr.base), abs(int(expr.exp))
        if isinstance(expr, sp.MatPow):
            return base**power
        return int(sp.binomial(base + power - 1, power))
    return math.prod(map(_terms_at_most, expr.args))


class Hidden:
    """Stands plain symbols in for what is no polynomial and free of given vectors.

    1/|b|^2 and sqrt(tr(A)) are constants of a mean over x.
    """

    def __init__(self, vectors: Collection[MatrixSymbol]):
        self.vectors = tuple(vectors)
        self.meanings: dict[sp.Expr, sp.Expr] = {}

    def hide(self, expr: sp.Expr) -> sp.Expr:
        """The expression as a polynomial in traces. Raises ``ValueError`` where it is none."""
        if not expr.has(Trace) or isinstance(expr, Trace):
            return expr
        is_power = isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0
        if isinstance(expr, sp.Add | sp.Mul) or is_power:
            return expr.func(*map(self.hide, expr.args))
        if expr.has(*self.vectors):
            raise ValueError(self._complaint(expr))
        symbol = sp.Dummy(positive=expr.is_positive)
        return self.meanings.setdefault(expr, symbol)

    def show(self, expr: Any) -> Any:
        """The expression with what was hidden back in it."""
        return expr.xreplace({symbol: meaning for meaning, symbol in self.meanings.items()})

    def _complaint(self, expr: sp.Expr) -> str:
        from lazyrich.theory.grammar import write

        names = " and ".join(v.name for v in self.vectors if expr.has(v))
        hint = "expand it in a series up to a degree"
        if isinstance(expr, sp.Pow) and expr.exp.is_Rational:
            hint = (
                "a mean of a quotient has no closed form here: take those of its two parts"
                if expr.exp.is_negative
                else "of a norm only even powers are polynomials"
            )
        return f"{write(expr)}: must be a polynomial in {names}; {hint}"
