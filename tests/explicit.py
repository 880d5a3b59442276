"""Explicit coordinates: the slow obvious reference for everything symbolic, in rational arithmetic.

A SymPy expression in ``Trace`` and ``MatrixSymbol`` is evaluated entry by entry at a given number
of dimensions, where every matrix is a table of numbers and every free vector one of polynomial
generators. Nothing here calls the Gaussian-moment engine.
"""

from fractions import Fraction
from functools import cache
from math import prod

import sympy as sp
from sympy import QQ, MatrixSymbol, Trace
from sympy.polys.rings import PolyElement, PolyRing

Table = list[list]


class Explicit:
    """Values of the symbols at dimension ``d``; ``vectors`` are left free, as generators.

    ``values`` maps names of scalars to numbers and names of matrices to tables (rows).
    """

    def __init__(self, d: int, vectors: tuple[str, ...] = (), values: dict | None = None):
        self.d = d
        names = [f"{v}_{i}" for v in vectors for i in range(d)]
        self.ring = PolyRing(names or ["unused"], QQ)
        self.values = {"D": d, **(values or {})}
        for k, v in enumerate(vectors):
            self.values[v] = [[g] for g in self.ring.gens[k * d : (k + 1) * d]]
        self.positions = {v: range(k * d, (k + 1) * d) for k, v in enumerate(vectors)}

    def number(self, value) -> PolyElement:
        """A number as an element of the ring."""
        if isinstance(value, PolyElement):
            return value
        value = Fraction(str(value)) if not isinstance(value, Fraction) else value
        return self.ring(QQ(value.numerator, value.denominator))

    def scalar(self, expr) -> PolyElement:
        """The value of a scalar expression: a polynomial in the free coordinates."""
        if isinstance(expr, Trace):
            table = self.table(expr.arg)
            return sum((table[i][i] for i in range(len(table))), self.ring(0))
        if isinstance(expr, sp.Add):
            return sum(map(self.scalar, expr.args), self.ring(0))
        if isinstance(expr, sp.Mul):
            return prod(map(self.scalar, expr.args), start=self.ring(1))
        if isinstance(expr, sp.Pow):
            base, exponent = self.scalar(expr.base), int(expr.exp)
            return base**exponent if exponent >= 0 else self.ring(1 / base.LC) ** -exponent
        return self.number(self.values[expr.name] if isinstance(expr, sp.Symbol) else expr)

    def table(self, expr) -> Table:
        """The entries of a matrix expression."""
        if isinstance(expr, MatrixSymbol):
            return [[self.number(entry) for entry in row] for row in self.values[expr.name]]
        if isinstance(expr, sp.Transpose):
            return _transpose(self.table(expr.arg))
        if isinstance(expr, sp.MatAdd):
            return _sum([self.table(term) for term in expr.args])
        if isinstance(expr, sp.MatMul):
            scalar, factors = expr.as_coeff_matrices()
            return _times(self.scalar(scalar), _product([self.table(f) for f in factors]))
        if isinstance(expr, sp.MatPow) and expr.exp > 0:
            return _product([self.table(expr.base)] * int(expr.exp))
        if isinstance(expr, sp.Inverse):
            entries = sp.Matrix(self.values[expr.arg.name]).inv().tolist()
            return [[self.number(entry) for entry in row] for row in entries]
        rows, columns = ({1: 1}.get(size, self.d) for size in expr.shape)
        one = isinstance(expr, sp.Identity)
        assert one or isinstance(expr, sp.ZeroMatrix), f"unknown matrix {expr}"
        return [[self.ring(int(one and i == j)) for j in range(columns)] for i in range(rows)]

    def mean(self, polynomial: PolyElement, vector: str, covariance: Table) -> PolyElement:
        """The expectation over a free vector, monomial by monomial."""
        total = self.ring(0)
        inside = self.positions[vector]
        for exponents, coefficient in polynomial.terms():
            powers = tuple(exponents[i] for i in inside)
            rest = tuple(0 if i in inside else n for i, n in enumerate(exponents))
            moment = gaussian_moment(powers, tuple(map(tuple, covariance)))
            total += self.ring({rest: coefficient * QQ(moment.numerator, moment.denominator)})
        return total

    def derivative(self, polynomial: PolyElement, vector: str) -> Table:
        """The gradient in a free vector, as a column."""
        return [[polynomial.diff(self.ring.gens[i])] for i in self.positions[vector]]


@cache
def gaussian_moment(powers: tuple[int, ...], covariance: tuple[tuple, ...]) -> Fraction:
    """E[prod x_i^n_i] by Isserlis: pair one factor with each of the others in turn.

    >>> gaussian_moment((4, 2), ((2, 0), (0, 3)))  # independent: 3!! 2^2 times 3
    Fraction(36, 1)
    """
    first = next((i for i, n in enumerate(powers) if n), None)
    if first is None:
        return Fraction(1)
    left = [n - (i == first) for i, n in enumerate(powers)]
    total = Fraction(0)
    for j, n in enumerate(left):
        if n and covariance[first][j]:
            rest = tuple(m - (i == j) for i, m in enumerate(left))
            total += n * Fraction(covariance[first][j]) * gaussian_moment(rest, covariance)
    return total


def isotropic_table(d: int) -> Table:
    """The covariance I/D."""
    return [[Fraction(int(i == j), d) for j in range(d)] for i in range(d)]


def _transpose(table: Table) -> Table:
    return [list(row) for row in zip(*table, strict=True)]


def _sum(tables: list[Table]) -> Table:
    return [
        [sum(entries[1:], entries[0]) for entries in zip(*rows, strict=True)]
        for rows in zip(*tables, strict=True)
    ]


def _times(scalar, table: Table) -> Table:
    return [[scalar * entry for entry in row] for row in table]


def _product(tables: list[Table]) -> Table:
    result = tables[0]
    for table in tables[1:]:
        columns = _transpose(table)
        result = [
            [
                sum((a * b for a, b in zip(row, column, strict=True)), 0 * row[0])
                for column in columns
            ]
            for row in result
        ]
    return result


def _dot(row: list, column: list):
    return sum((a * b for a, b in zip(row, column, strict=True)), 0 * row[0])
