"""The target y(x): a polynomial in linear forms beta.x, quadratic forms x^T B x and |x|^2."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.support.arguments import shown
from lazyrich.theory import generate, grammar, words
from lazyrich.theory import symbols as model
from lazyrich.theory.activation import RESERVED, exact, h, in_range
from lazyrich.theory.grammar import names as naming
from lazyrich.theory.printing import latex
from lazyrich.theory.symbols import SymmetricMatrixSymbol, x
from lazyrich.theory.wick import canonical, dot
from lazyrich.theory.words import Reader

DEFAULT = "(beta.x)**2/2"
_RESERVED = RESERVED - {"beta"}


class Target:
    """A target y(x) as an expression; directions and matrices are the user's, by name.

    Raises ``ValueError`` if it is no polynomial in x, or a name is reserved.

    >>> target = Target("(beta.x)**2/2")
    >>> target.text, target.degree, list(target.symbols)
    ('(beta.x)^2/2', 2, ['beta'])
    >>> [float(y) for y in target.labels([[1.0, 0.0], [0.0, 2.0]], beta=[1.0, 1.0])]
    [0.5, 2.0]
    """

    def __init__(self, expression: "str | sp.Expr | Target | float" = DEFAULT):
        self.expr = _checked(in_range("target", _read(expression)))

    def __repr__(self) -> str:
        return f"Target({self.text!r})"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle y(x) = {latex(self.expr)}$"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and self.expr == other.expr

    def __hash__(self) -> int:
        return hash(self.expr)

    @cached_property
    def text(self) -> str:
        """The target as text that ``Target`` reads back; configurations keep this."""
        return grammar.write(self.expr)

    @cached_property
    def degree(self) -> int:
        """The degree as a polynomial in x."""
        return max((_degree(monomial) for monomial in self._polynomial), default=0)

    @cached_property
    def _polynomial(self) -> words.Polynomial:
        return words.tidy(Reader(()).polynomial(self.expr))

    @cached_property
    def symbols(self) -> dict[str, sp.Symbol | MatrixSymbol]:
        """The directions, matrices and coefficients, by name; x and D are not among them."""
        names = generate.arguments(self.expr)
        return {name: symbol for name, symbol in names.items() if name not in ("x", "D")}

    @property
    def directions(self) -> dict[str, MatrixSymbol]:
        """The vectors beta, beta_1, ... by name."""
        return {
            name: s
            for name, s in self.symbols.items()
            if isinstance(s, MatrixSymbol) and s.shape[1] == 1
        }

    @cached_property
    def link(self) -> tuple[MatrixSymbol, sp.Expr] | None:
        """(beta, g) where the target is g(beta.x), g a polynomial in h; else None.

        In g, b stands for |beta|^2.
        """
        if len(self.directions) != 1:
            return None
        (direction,) = self.directions.values()
        link = self.expr.subs({canonical(dot(direction, x)): h, dot(direction, direction): model.b})
        return None if link.has(MatrixSymbol) else (direction, link)

    @cached_property
    def _functions(self) -> dict[str, Callable[..., Any]]:
        return {}

    def function(self, backend: str) -> Callable[..., Any]:
        """Return y as a function of keyword arrays: x (..., D) and the target's symbols."""
        if backend not in self._functions:
            self._functions[backend] = generate.function(self.expr, backend)
        return self._functions[backend]

    def labels(self, X: Any, **values: Any) -> Any:
        """Return y at each row of X (P, D), as an array of the kind of X (NumPy or torch).

        Raises ``ValueError`` for a missing or unknown symbol.
        """
        is_torch = type(X).__module__.split(".")[0] == "torch"
        call = self.function("torch" if is_torch else "numpy")
        if self.expr.has(x):
            values["x"] = X
        value = call(**values)
        rows = X.shape[0] if hasattr(X, "shape") else len(X)
        return value if value.ndim else value + 0 * (X[:, 0] if is_torch else _zeros(rows))


def _general(name: str) -> tuple[sp.Symbol | MatrixSymbol, ...]:
    """By the habits of papers, but a matrix is a general one: it was not declared symmetric."""
    return tuple(
        MatrixSymbol(name, *symbol.shape) if isinstance(symbol, SymmetricMatrixSymbol) else symbol
        for symbol in grammar.conventional(name)
    )


_NAMES = naming.New(_general, grammar.conventional.in_runs)


def _text(expr: sp.Expr) -> str:
    try:
        return grammar.write(expr)
    except ValueError:
        return str(expr)


def _zeros(rows: int) -> Any:
    import numpy as np

    return np.zeros(rows)


def _read(expression: "str | sp.Expr | Target | float") -> sp.Expr:
    if isinstance(expression, Target):
        return expression.expr
    if isinstance(expression, str):
        return grammar.read(expression, {"x": x, "pi": sp.pi}, new=_NAMES, what="target")
    if isinstance(expression, int | float):
        return exact(sp.sympify(expression))
    if not isinstance(expression, sp.Expr):
        raise ValueError(f"target = {shown(expression)}: must be text or a SymPy expression in x")
    return exact(expression)


def _checked(expr: sp.Expr) -> sp.Expr:
    try:
        expr = canonical(expr)
    except ValueError:
        raise ValueError(
            f"target = {_text(expr)}: must be a polynomial in beta.x, x'Bx and |x|^2; "
            "of |x| only even powers are polynomials, and other functions need a series"
        ) from None
    for name, symbol in generate.arguments(expr).items():
        if symbol == h:
            raise ValueError(
                f"target = {_text(expr)}: h is the argument of the activation; a target is a "
                "function of x, such as beta.x or (beta.x)^2"
            )
        if name in _RESERVED and symbol not in (x, model.D):
            raise ValueError(f"target = {_text(expr)}: {name} has another meaning; rename it")
    if expr.has(MatrixSymbol) and not expr.has(x):
        raise ValueError(f"target = {_text(expr)}: has no x, the input; a constant is a number")
    return expr


def _degree(monomial: words.Monomial) -> int:
    return sum(n * [item.left, item.right].count(x) for item, n in monomial)
