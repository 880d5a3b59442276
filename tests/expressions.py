"""Hypothesis strategies of random polynomials in traces and bilinear forms, and of their values."""

import sympy as sp
from hypothesis import strategies as st
from sympy import MatrixSymbol, Rational, Trace

from lazyrich.theory.symbols import A, B, D, I, beta, epsilon, u, x, x_prime
from lazyrich.verify.coordinates import Coordinates

K = MatrixSymbol("K", D, D)  # K and L are not symmetric
L = MatrixSymbol("L", D, D)
SYMMETRIC = (A, B)
MATRICES = (A, B, K, L)
LETTERS = (A, B, K, L, K.T, L.T)
ROOT = MatrixSymbol("R", D, D)  # a covariance is R R^T

numbers = st.integers(-3, 3)
rationals = st.builds(Rational, st.integers(-5, 5), st.integers(1, 3))
dimensions = st.integers(1, 4)


@st.composite
def contractions(draw, vectors=(x, x_prime, beta, u), letters=LETTERS, longest=2):
    """a^T W b for a word W, or Tr W."""
    word = draw(st.lists(st.sampled_from(letters), max_size=longest))
    if draw(st.integers(0, 4)) == 0:
        return Trace(sp.MatMul(*word).doit(deep=False) if word else I)
    left, right = draw(st.sampled_from(vectors)), draw(st.sampled_from(vectors))
    return Trace(sp.MatMul(left.T, *word, right).doit(deep=False))


@st.composite
def polynomials(draw, factors=3, terms=3, **kwargs):
    """A sum of products of contractions, with coefficients in D and epsilon."""
    coefficients = st.sampled_from([1, epsilon, 1 / D, D + 2, epsilon**2 / (D + 1)])
    total = sp.S.Zero
    for _ in range(draw(st.integers(1, terms))):
        items = draw(st.lists(contractions(**kwargs), min_size=1, max_size=factors))
        total += draw(rationals) * draw(coefficients) * sp.Mul(*items)
    return total


@st.composite
def tables(draw, d: int, symmetric: bool = False):
    """A d x d table of small integers."""
    rows = [[draw(numbers) for _ in range(d)] for _ in range(d)]
    return [[rows[min(i, j)][max(i, j)] for j in range(d)] for i in range(d)] if symmetric else rows


@st.composite
def values(draw, d: int):
    """Values of all symbols but x and x'."""
    found = {m.name: draw(tables(d, symmetric=m in SYMMETRIC)) for m in (*MATRICES, ROOT)}
    found |= {v.name: [[draw(numbers)] for _ in range(d)] for v in (beta, u)}
    return found | {"epsilon": Rational(draw(st.integers(-4, 4)), 3)}


def put(at: Coordinates, found: dict) -> dict:
    """The values as what the coordinates compute with."""
    return {k: at.matrix(v) if isinstance(v, list) else at.number(v) for k, v in found.items()}
