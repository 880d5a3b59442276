"""The numbers of a target in exact arithmetic, so that what is 0 is told from what is small.

Numbers are taken as they are typed: 0.1 is 1/10. Products of long vectors and large matrices alone
are computed in floating point.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import reduce
from operator import matmul
from typing import TYPE_CHECKING, Any, NamedTuple

import mpmath
import numpy as np
import sympy as sp
from sympy import MatrixSymbol, Trace

from lazyrich.theory import values as read_values
from lazyrich.theory.generate import python_name
from lazyrich.theory.problem import radial
from lazyrich.theory.symbols import D as _D

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

_EXACT = 2500  # entries of an array whose products are computed exactly
_DIGITS = 40


class Axis(NamedTuple):
    """A direction of length sqrt(D) along one axis, without its list of D numbers."""

    number: int


class TargetValues:
    """The values of a target's symbols at one D, each read once.

    >>> from lazyrich.theory.symbols import beta
    >>> from lazyrich.theory.wick import dot
    >>> TargetValues(3, {"beta": Axis(0), "k": 0.1}).exact(sp.Symbol("k") * dot(beta, beta) / _D)
    1/10
    """

    def __init__(self, D: int, values: Mapping[str, Any]):
        self.D, self.values = D, values
        self._arrays: dict[str, np.ndarray] = {}
        self._found: dict[sp.Expr, sp.Expr] = {}

    def exact(self, expr: Any) -> sp.Expr:
        """The value of an expression, a number of SymPy that is 0 only where it vanishes."""
        expr = sp.sympify(expr)
        known = {atom: self._contraction(atom) for atom in expr.atoms(Trace)}
        expr = expr.xreplace(known)
        scalars = {s: self._scalar(s) for s in expr.free_symbols if isinstance(s, sp.Symbol)}
        return sp.expand(expr.xreplace(scalars))

    def _scalar(self, symbol: sp.Symbol) -> sp.Expr:
        if symbol == _D:
            return sp.Integer(self.D)
        name = python_name(symbol)
        return _rational(read_values.scalar(name, self.values[name], symbol))

    def _contraction(self, trace: Trace) -> sp.Expr:
        """The trace of a product of matrices, or a product of two vectors with what is between."""
        if trace not in self._found:
            product = trace.arg
            scalar, factors = (
                product.as_coeff_matrices() if product.is_MatMul else (sp.S.One, [product])
            )
            symbols = [factor.atoms(MatrixSymbol) for factor in factors]
            axes = [self.values[python_name(*s)] for s in symbols if len(s) == 1]
            if len(axes) == 2 and all(isinstance(axis, Axis) for axis in axes):
                value = sp.Integer(self.D if axes[0] == axes[1] else 0)
            else:
                value = self._product(factors)
            self._found[trace] = sp.sympify(scalar) * value
        return self._found[trace]

    def _product(self, factors: list) -> sp.Expr:
        powers = [(f.base, int(f.exp)) if isinstance(f, sp.MatPow) else (f, 1) for f in factors]
        arrays = [self._factor(base) for base, power in powers for _ in range(power)]
        if any(array.dtype != object for array in arrays):
            arrays = [array.astype(float) for array in arrays]
        if arrays[0].shape[0] == 1 and len(arrays) > 1:  # vectors at the ends: by vectors alone
            left = reduce(matmul, arrays[:-1])
            return _sum([a * b for a, b in zip(left[0], arrays[-1][:, 0], strict=True)])
        half = (len(arrays) + 1) // 2
        left, right = reduce(matmul, arrays[:half]), arrays[half:]
        if not right:
            return _sum(list(np.diagonal(left)))
        return _sum(list((left * reduce(matmul, right).T).ravel()))

    def _factor(self, factor: Any) -> np.ndarray:
        if isinstance(factor, sp.Transpose):
            return self._factor(factor.arg).T
        if not isinstance(factor, MatrixSymbol):
            raise ValueError(f"{factor}: no rule for {type(factor).__name__}")
        name = python_name(factor)
        if name not in self._arrays:
            self._arrays[name] = self._array(name, factor)
        return self._arrays[name]

    def _array(self, name: str, symbol: MatrixSymbol) -> np.ndarray:
        """The entries as fractions, or floats where they are many; a vector is a column."""
        given, is_vector = self.values[name], symbol.shape[1] == 1
        wanted = (self.D,) if is_vector else (self.D, self.D)
        if isinstance(given, Axis):
            given = [math.sqrt(self.D) * (axis == given.number) for axis in range(self.D)]
        if np.shape(given) != wanted and not isinstance(given, sp.MatrixBase):
            raise ValueError(f"{name} has shape {np.shape(given)}: must be {wanted}")
        if math.prod(wanted) > _EXACT:
            array = np.asarray(given, dtype=float).reshape(self.D, -1)
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has an entry that is no finite number")
            return array
        entries = read_values.table(name, given, symbol)
        rows = [row if isinstance(row, list) else [row] for row in entries]
        exact = [[_fraction(entry) for entry in row] for row in rows]
        if (len(exact), len(exact[0])) != (self.D, 1 if is_vector else self.D):
            raise ValueError(f"{name} has shape {np.shape(entries)}: must be {wanted}")
        array = np.empty((len(exact), len(exact[0])), dtype=object)
        array[:] = exact
        return array


def _rational(value: sp.Expr) -> sp.Expr:
    """A float as the decimal that is typed for it; an exact number stays."""
    return sp.Rational(repr(float(value))) if value.is_Float else value


def _fraction(value: sp.Expr) -> Fraction:
    exact = _rational(value)
    if not exact.is_Rational:
        exact = sp.Rational(repr(float(exact)))
    return Fraction(int(exact.p), int(exact.q))


def _sum(terms: list) -> sp.Expr:
    if terms and isinstance(terms[0], Fraction):
        total = sum(terms, Fraction(0))
        return sp.Rational(total.numerator, total.denominator)
    try:
        total = math.fsum(terms)
    except OverflowError:
        total = math.inf
    return sp.Rational(repr(total)) if math.isfinite(total) else sp.oo


def to_float(value: sp.Expr) -> float:
    """A number of SymPy as a float: inf where it is too large, never 0 where it is not 0.

    >>> to_float(sp.Rational(1, 4)), to_float(sp.Integer(10) ** 400)
    (0.25, inf)
    """
    with mpmath.workdps(_DIGITS):
        if not value.is_finite:
            return math.inf
        return float(in_digits(value)) or (0.0 if value == 0 else math.ulp(0.0))


def in_digits(value: sp.Expr) -> Any:
    """A finite number of SymPy with the digits that mpmath is at."""
    return mpmath.mpf(sp.N(value, mpmath.mp.dps)._to_mpmath(mpmath.mp.prec))


def powers(problem: "Problem", target: TargetValues) -> dict[int, sp.Expr]:
    """Return the target's power by Hermite degree, exactly."""
    from lazyrich.theory.problem import one_direction

    if problem.inputs.isotropic and (line := one_direction.coefficients(problem.target, target)):
        given, square = line
        return one_direction.hermite_powers(given, problem.target.degree, square / target.D)
    return {n: target.exact(power) for n, power in problem.powers.items()}


def products(problem: "Problem", target: TargetValues) -> dict[int, dict[tuple[int, int], sp.Expr]]:
    """{l: {(i, j): <H_i H_j> over weight(l, 0)}} of the target's harmonic parts, exactly."""
    from lazyrich.theory.problem import one_direction
    from lazyrich.theory.problem.target_power import harmonic_parts, harmonic_products

    if line := one_direction.coefficients(problem.target, target):
        return one_direction.harmonic_products(*line, target.D)
    found = {}
    for l, table in harmonic_products(problem.target.expr).items():
        if l > 1 and target.D == 1:
            continue
        places = list(harmonic_parts(problem.target.expr)[l])
        found[l] = {
            (i, j): target.exact(table[a, b])
            for a, i in enumerate(places)
            for b, j in enumerate(places)
        }
    return found


def outside(
    l: int, D: int, amounts: dict[tuple[int, int], sp.Expr], kappa: sp.Matrix | None
) -> sp.Expr:
    """Return the target's power of harmonic degree l outside of the functions of kappa_l.

    ``kappa`` has rational numbers, or is None where the kernel has no function of this degree. It
    is a sum over what the projection leaves of the radial functions: 0 only where nothing is left.

    >>> outside(0, 4, {(0, 0): sp.S.One}, None), outside(0, 4, {(0, 0): sp.S.One}, sp.Matrix([[1]]))
    (1, 0)
    """
    own = sorted({i for i, _ in amounts})

    def gram(rows: list[int], columns: list[int]) -> sp.Matrix:
        entries = [[radial.weight(l, i + j, sp.Integer(D)) for j in columns] for i in rows]
        return sp.Matrix(entries)

    left = gram(own, own)
    if kappa is not None and any(kappa):
        found, basis = radial.functions(kappa)
        outer = basis.T * gram(found, own)
        left = left - outer.T * (basis.T * gram(found, found) * basis).LUsolve(outer)
    total = sp.Add(
        *(amounts[i, j] * left[a, b] for a, i in enumerate(own) for b, j in enumerate(own))
    )
    return sp.expand(total)
