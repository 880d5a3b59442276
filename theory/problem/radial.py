"""Kernels that depend on |x|^2, |x'|^2 and x.x' alone: their spectrum by harmonic degree.

Such a kernel commutes with rotations. Written as sum_l sum_ij kappa_l[i, j] |x|^(2i) |x'|^(2j)
Z_l(x, x'), with the zonal polynomials Z_l (homogeneous and harmonic in x and in x'), its operator
maps |x|^(2k) Y, Y harmonic of degree l, to the functions |x|^(2j) Y with the same Y. So for each l
there is one matrix, whose eigenvalues have the dimension of the harmonics as multiplicity.
Everything holds for symbolic D; at a number, as the last argument, it is arithmetic of fractions.
"""

from functools import cache
from typing import Any

import sympy as sp
from sympy.polys.matrices import DomainMatrix

from lazyrich.theory.symbols import D

# A kernel's scalars; a user can't type these names.
q = sp.Symbol("_q", positive=True)  # |x|^2
q_prime = sp.Symbol("_q_prime", positive=True)  # |x'|^2
r = sp.Symbol("_r", real=True)  # x.x'


@cache
def harmonics(degree: int, dimension: sp.Expr = D) -> sp.Expr:
    """Return the dimension of the harmonic polynomials of a degree in D variables.

    All homogeneous polynomials less those that are |x|^2 times one of degree - 2.

    >>> harmonics(2)
    (D - 1)*(D + 2)/2
    """

    def homogeneous(n: int) -> sp.Expr:
        return sp.rf(dimension, n) / sp.factorial(n) if n >= 0 else sp.S.Zero

    return sp.factor(sp.expand_func(homogeneous(degree) - homogeneous(degree - 2)))


@cache
def norm_moment(n: int, dimension: sp.Expr = D) -> sp.Expr:
    """Return <|x|^(2n)> over x ~ N(0, I/D).

    >>> norm_moment(2)
    (D + 2)/D
    """
    return sp.Mul(*((dimension + 2 * k) / dimension for k in range(n)))


@cache
def zonal(l: int, dimension: sp.Expr = D) -> list[sp.Expr]:
    """Return the z_i of the zonal Z_l = sum_i z_i (x.x')^(l - 2i) (|x|^2 |x'|^2)^i, z_0 = 1.

    The Laplacian in x of r^m q^i is m (m - 1) r^(m-2) q^i q' + 2i (2i + 2m + D - 2) r^m q^(i-1);
    that of Z_l vanishes.

    >>> zonal(2)
    [1, -1/D]
    """
    z = [sp.S.One]
    for i in range(l // 2):
        m = l - 2 * i
        below = 2 * (i + 1) * (2 * (i + 1) + 2 * (m - 2) + dimension - 2)
        z.append(sp.factor(-z[i] * m * (m - 1) / below))
    return z


@cache
def power_in_zonals(m: int, dimension: sp.Expr = D) -> dict[int, sp.Expr]:
    """Return {l: a} with (x.x')^m = sum_l a (|x| |x'|)^(m - l) Z_l.

    >>> power_in_zonals(2), power_in_zonals(2, sp.Integer(4))
    ({2: 1, 0: 1/D}, {2: 1, 0: 1/4})
    """
    found = _power_in_zonals(m, dimension)
    return {l: sp.factor(a.as_expr()) if dimension.is_Symbol else sp.sympify(a) for l, a in found}


@cache
def _power_in_zonals(m: int, dimension: sp.Expr) -> list[tuple[int, Any]]:
    """The same in the field of fractions in D, whose arithmetic is fast, or in fractions."""
    read = sp.QQ.frac_field(dimension).from_sympy if dimension.is_Symbol else sp.QQ.from_sympy
    parts = {m: read(sp.S.One)}
    for i, z in enumerate(zonal(m, dimension)):
        if i == 0:
            continue
        for l, a in _power_in_zonals(m - 2 * i, dimension):
            parts[l] = parts.get(l, read(sp.S.Zero)) - read(z) * a
    return list(parts.items())


@cache
def weight(l: int, p: int, dimension: sp.Expr = D) -> sp.Expr:
    """Return the c of <|x|^(2p) Z_l(x', x) Z_l(x, x'')> = c Z_l(x', x'') over x ~ N(0, I/D).

    On the sphere an average of Z_l Z_l is Z_l times the value of Z_l at coinciding unit vectors
    over the dimension of the harmonics, as traces show; the norm of x is independent.

    >>> weight(1, 0), weight(2, 0), weight(0, 2), weight(2, 0, sp.Integer(4))
    (1/D, 2/D**2, (D + 2)/D, 1/8)
    """
    top = sp.Add(*zonal(l, dimension)) * norm_moment(l + p, dimension)
    return sp.factor(top / harmonics(l, dimension))


def coefficient_matrices(kernel: sp.Expr) -> dict[int, sp.Matrix]:
    """Return {l: kappa_l} of a kernel that is a polynomial in ``q``, ``q_prime`` and ``r``.

    Harmonic degrees that the kernel lacks are left out.
    """
    parts: dict[int, dict[tuple[int, int], sp.Expr]] = {}
    for (i, j, m), coefficient in sp.Poly(kernel, q, q_prime, r).terms():
        for l, a in power_in_zonals(m).items():
            shift = (m - l) // 2
            entries = parts.setdefault(l, {})
            place = (i + shift, j + shift)
            entries[place] = entries.get(place, sp.S.Zero) + coefficient * a
    matrices = {}
    for l in sorted(parts):
        size = max(max(place) for place in parts[l]) + 1
        found = sp.Matrix(size, size, lambda i, j: sp.factor(parts[l].get((i, j), 0)))  # noqa: B023
        if not found.is_zero_matrix:
            matrices[l] = found
    return matrices


def reached(kappa: sp.Matrix) -> list[int]:
    """Return the j of the radial functions |x|^(2j) that the kernel has in one harmonic degree."""
    return [j for j in range(kappa.rows) if any(kappa.row(j))]


def gram(l: int, rows: list[int], columns: list[int]) -> sp.Matrix:
    """Return the weights of the products of |x|^(2i) and |x|^(2j) in harmonic degree l."""
    return sp.Matrix(len(rows), len(columns), lambda i, j: weight(l, rows[i] + columns[j]))


def block(l: int, kappa: sp.Matrix) -> sp.Matrix:
    """Return the operator on |x|^(2k) Y, Y harmonic of degree l, for the reached k.

    Column k holds the image of the k-th function; the matrix is not symmetric, as these functions
    are not normalised.
    """
    found = reached(kappa)
    return (kappa.extract(found, found) * gram(l, found, found)).applyfunc(sp.factor)


def functions(kappa: sp.Matrix) -> tuple[list[int], sp.Matrix]:
    """Return the radial functions that the kernel combines: (the reached j, a basis in |x|^(2j)).

    The basis has one column for each function: their number is the rank of kappa_l for generic
    values of its symbols.
    """
    found = reached(kappa)
    part = kappa.extract(found, found)
    _, pivots = DomainMatrix.from_Matrix(part).to_field().rref()
    if len(pivots) == len(found):
        return found, sp.eye(len(found))
    return found, part.extract(list(range(len(found))), list(pivots))


def rank(kappa: sp.Matrix) -> int:
    """Return the rank of kappa_l for generic values of its symbols."""
    return functions(kappa)[1].cols


def projector(l: int, j: int) -> sp.Expr:
    """Return the kernel of the projection on the functions |x|^(2j) Y, Y harmonic of degree l."""
    product = (q * q_prime) ** j
    terms = (z * r ** (l - 2 * i) * (q * q_prime) ** i for i, z in enumerate(zonal(l)))
    return product * sp.Add(*terms) / weight(l, 2 * j)


def trace(kernel: sp.Expr) -> sp.Expr:
    """Return <K(x, x)> over x ~ N(0, I/D)."""
    diagonal = sp.Poly(sp.expand(kernel.subs({q_prime: q, r: q})), q)
    return sp.Add(*(coefficient * norm_moment(n) for (n,), coefficient in diagonal.terms()))
