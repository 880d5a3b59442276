"""The Gaussian-moment engine: time against the degree of the polynomial, for symbolic D.

Families from the most symmetric (one class of pairings) to the least (every pairing distinct), and
the brute force in coordinates at D = 3 for comparison. The engine keeps nothing between rounds
(SymPy keeps the objects it has built). ``extra_info`` holds the degree, the number of Wick pairings
(degree - 1)!! and the number of terms of the result.

Run: pytest benchmarks/test_wick.py --benchmark-only
"""

import pytest
import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory.symbols import A, D, M, beta, isotropic, x, x_prime
from lazyrich.theory.wick import dot, expectation, form
from lazyrich.verify.coordinates import Coordinates

FAMILIES = {
    "powers of one line": lambda n: dot(beta, x) ** n,
    "powers of one form": lambda n: form(x, A, x) ** (n // 2),
    "a line and a form": lambda n: dot(beta, x) ** 4 * form(x, M, x) ** (n // 2 - 2),
    "powers of one nonsymmetric form": lambda n: form(x, _matrix("K"), x) ** (n // 2),
    "powers of a kernel": lambda n: (dot(x, x_prime) + form(x, M, x_prime)) ** n,
    "distinct symmetric forms": lambda n: sp.Mul(
        *(form(x, _matrix(f"S{i}"), x) for i in range(n // 2))
    ),
    "distinct lines": lambda n: sp.Mul(*(dot(_vector(f"a{i}"), x) for i in range(n))),
}
# Distinct factors have (n - 1)!! terms: 10,395 at degree 12.
DEGREES = {"distinct lines": (4, 6, 8, 10), "distinct symmetric forms": (4, 6, 8, 10, 12)}
DEFAULT = (4, 6, 8, 10, 12, 16)
CASES = [(family, n) for family in FAMILIES for n in DEGREES.get(family, DEFAULT)]


def _vector(name):
    return MatrixSymbol(name, D, 1)


def _matrix(name):
    return MatrixSymbol(name, D, D)


@pytest.mark.parametrize(("family", "degree"), CASES)
def test_expectation(benchmark, family, degree):
    integrand = FAMILIES[family](degree)
    symmetric = (A, M, *(_matrix(f"S{i}") for i in range(degree // 2)))
    benchmark.extra_info["degree"] = degree
    benchmark.extra_info["pairings"] = int(sp.factorial2(degree - 1))
    laws = (isotropic(x),)
    result = benchmark(lambda: expectation(integrand, *laws, symmetric=symmetric))
    benchmark.extra_info["terms"] = len(sp.Add.make_args(result))
    assert result != 0


@pytest.mark.parametrize("degree", [4, 6, 8])
def test_brute_force_in_coordinates_at_D_3(benchmark, degree):
    at = Coordinates(3, vectors=["x"], matrices=["A"])
    benchmark.extra_info["degree"] = degree
    benchmark(lambda: at.mean(at.form("x", "A", "x") ** (degree // 2), "x"))
