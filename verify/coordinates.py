"""Brute force: polynomials in explicit coordinates, integrated monomial by monomial.

Everything that the Wick engine does with symbols for whole vectors and matrices, this does with
their entries, at one dimension, in rational arithmetic. The two share no code beyond SymPy:
closed forms come in as expression trees and are evaluated by ``interpret``.
"""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportArgumentType=false

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import sympy as sp
from sympy import QQ, DiagMatrix, MatrixSymbol, Trace, ring

Matrix = np.ndarray  # of polynomials: a vector has shape (D, 1)


class Coordinates:
    """The ring of polynomials in the entries of vectors and symmetric matrices at one dimension D.

    Coefficients are rational; ``scalars`` are variables, too, and may have negative powers (Laurent
    polynomials). ``values`` maps names to polynomials, columns of shape (D, 1) and symmetric
    matrices of shape (D, D), as NumPy arrays of objects.

    >>> at = Coordinates(2, vectors=["x", "beta"])
    >>> x, beta = at.values["x"], at.values["beta"]
    >>> at.mean((x.T @ beta)[0, 0] ** 2, "x")                    # <(beta.x)^2>, x ~ N(0, I/2)
    1/2*beta_0**2 + 1/2*beta_1**2
    """

    def __init__(
        self,
        D: int,
        vectors: list[str] = [],  # noqa: B006 (not changed)
        matrices: list[str] = [],  # noqa: B006
        scalars: list[str] = [],  # noqa: B006
        columns: Mapping[str, int] = {},
    ):
        """``columns`` are further vectors, each of a length of its own."""
        self.D = D
        lengths = dict.fromkeys(vectors, D) | dict(columns)
        names = [*scalars, *(f"{v}_{i}" for v, length in lengths.items() for i in range(length))]
        names += [f"{m}_{i}{j}" for m in matrices for i in range(D) for j in range(i, D)]
        self.ring, *entries = ring(names, QQ)
        self.places = {name: i for i, name in enumerate(names)}
        self.values: dict[str, Any] = {"D": self.number(D)}
        self.values |= zip(scalars, entries, strict=False)
        entries = entries[len(scalars) :]
        remaining = iter(entries)
        for name, length in lengths.items():
            self.values[name] = np.array([[next(remaining)] for _ in range(length)], dtype=object)
        for name in matrices:
            matrix = np.empty((D, D), dtype=object)
            for i in range(D):
                for j in range(i, D):
                    matrix[i, j] = matrix[j, i] = next(remaining)
            self.values[name] = matrix

    def number(self, value: Any):
        """A rational number as a polynomial."""
        rational = sp.Rational(value)
        return self.ring.ground_new(QQ(rational.p, rational.q))

    def dot(self, a: str, b: str):
        """The scalar product of two vectors."""
        return (self.values[a].T @ self.values[b])[0, 0]

    def form(self, a: str, matrix: str, b: str):
        """The bilinear form a^T A b."""
        return (self.values[a].T @ self.values[matrix] @ self.values[b])[0, 0]

    def identity(self) -> Matrix:
        """The unit matrix, shape (D, D)."""
        return self.matrix(np.eye(self.D, dtype=int))

    def matrix(self, numbers: Any) -> Matrix:
        """An array of numbers as an array of constant polynomials."""
        array = np.empty(np.shape(numbers), dtype=object)
        for place in np.ndindex(array.shape):
            array[place] = self.number(int(np.asarray(numbers)[place]))
        return array

    def mean(self, polynomial, vector: str, variance: Any = None):
        """The mean over the entries of ``vector``, independent N(0, variance); 1/D by default.

        The moments are the explicit ones: <x_i^k> = (k - 1)!! variance^(k/2) for even k, else 0.
        """
        variance = self.number(sp.Rational(1, self.D)) if variance is None else variance
        places = [self.places[f"{vector}_{i}"] for i in range(len(self.values[vector]))]
        by_degree: dict[int, Any] = {}
        for exponents, coefficient in polynomial.terms():
            powers = [exponents[i] for i in places]
            if any(power % 2 for power in powers):
                continue
            left = tuple(0 if i in places else e for i, e in enumerate(exponents))
            moment = prod(prod(range(1, power, 2)) for power in powers)
            term = self.ring.from_dict({left: coefficient * moment})
            degree = sum(powers) // 2
            by_degree[degree] = by_degree.get(degree, self.ring.zero) + term
        return sum((part * variance**n for n, part in by_degree.items()), self.ring.zero)

    def derivative(self, polynomial, name: str) -> Matrix:
        """The gradient in a vector (D, 1), or in a symmetric matrix the symmetric one (D, D)."""
        entries = self.values[name]
        if entries.shape[1] == 1:
            return np.array([[polynomial.diff(entry)] for entry in entries[:, 0]], dtype=object)
        # An entry off the diagonal stands in two places.
        factor = (self.identity() + self.matrix(np.ones(entries.shape, dtype=int))) / 2
        partials = [[polynomial.diff(entry) for entry in row] for row in entries]
        return np.array(partials, dtype=object) * factor

    def interpret(self, expr: sp.Basic, **values: Any):
        """A closed form on these coordinates; ``values`` replace or extend ``self.values``."""
        return interpret(expr, self.values | values, self.number)


def interpret(
    expr: sp.Basic, values: Mapping[str, Any], number: Callable[[sp.Rational], Any]
) -> Any:
    """Evaluate an expression tree on any numbers with + and *: matrices are arrays of objects.

    ``values`` are by keyword (x' is ``x_prime``), ``number`` turns a rational constant into such
    a number. Raises ``ValueError`` for a node that has no meaning here.

    >>> A = sp.MatrixSymbol("A", 2, 2)
    >>> A_2 = np.array([[1, 2], [3, 4]], dtype=object)
    >>> interpret(Trace(A.T * A), {"A": A_2}, int)
    30
    """

    def go(node):
        return interpret(node, values, number)

    if isinstance(expr, sp.Rational):
        return number(expr)
    if isinstance(expr, sp.Symbol | MatrixSymbol):
        return values[expr.name.replace("'", "_prime")]
    if isinstance(expr, tuple | sp.Tuple):
        return tuple(go(item) for item in expr)
    if isinstance(expr, Trace):
        return sum(np.diagonal(go(expr.arg)), start=number(sp.S.Zero))
    if isinstance(expr, sp.Add | sp.MatAdd):
        return _fold(lambda a, b: a + b, map(go, expr.args))
    if isinstance(expr, sp.MatMul | sp.Mul):  # a MatMul is a Mul, too
        return _fold(_times, map(go, expr.args))
    if (isinstance(expr, sp.Pow) and expr.exp.is_Integer) or _is_repeated(expr):
        return _power(go(expr.base), int(expr.exp))
    return _matrix(expr, go, number)


def _is_repeated(expr: sp.Basic) -> bool:
    return isinstance(expr, sp.MatPow) and bool(expr.exp.is_Integer and expr.exp > 0)


def _matrix(expr: sp.Basic, go: Callable, number: Callable) -> Matrix:
    if isinstance(expr, sp.Transpose):
        return go(expr.arg).T
    if isinstance(expr, DiagMatrix):
        column = go(expr.args[0])
        return _diagonal(list(column[:, 0]), number)
    if isinstance(expr, sp.Identity | sp.ZeroMatrix):
        rows, columns = (int(_constant(go(size))) for size in expr.shape)
        if isinstance(expr, sp.ZeroMatrix):
            return np.full((rows, columns), number(sp.S.Zero), dtype=object)
        return _diagonal([number(sp.S.One)] * rows, number)
    raise ValueError(f"{expr}: no rule for {type(expr).__name__}")


def _diagonal(entries: list, number: Callable) -> Matrix:
    matrix = np.full((len(entries), len(entries)), number(sp.S.Zero), dtype=object)
    matrix[np.diag_indices(len(entries))] = entries
    return matrix


def inverse(monomial):
    """One over a polynomial of a single term. Raises ``ValueError`` if there are more."""
    if len(monomial) != 1:
        raise ValueError(f"{monomial}: has no inverse among Laurent polynomials")
    ((exponents, coefficient),) = monomial.terms()
    return monomial.ring.from_dict({tuple(-e for e in exponents): 1 / coefficient})


def _constant(value: Any):
    """The number in a constant polynomial."""
    return sp.Rational(str(value)) if hasattr(value, "ring") else value


def _fold(operation: Callable, items):
    total, *others = items
    for item in others:
        total = operation(total, item)
    return total


def _times(a, b):
    if isinstance(b, np.ndarray):  # a ring's own multiplication doesn't know arrays
        return a @ b if isinstance(a, np.ndarray) else b * a
    return a * b


def _power(base, exponent: int):
    if isinstance(base, np.ndarray):
        return _fold(_times, [base] * exponent)
    if exponent < 0 and hasattr(base, "ring"):
        base, exponent = inverse(base), -exponent
    return base**exponent


def is_zero(difference: Any) -> bool:
    """Whether a polynomial, or every entry of an array of them, is identically zero."""
    entries = difference.flat if isinstance(difference, np.ndarray) else [difference]
    return all(entry == 0 for entry in entries)
