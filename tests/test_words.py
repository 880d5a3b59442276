"""Canonical spelling: equal polynomials in contractions have equal spellings, others differ."""

import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import MatrixSymbol, Trace

from lazyrich.theory.symbols import A, B, D, I, Sigma, beta, u, x
from lazyrich.theory.wick import canonical, canonical_matrix, equal, form
from lazyrich.verify.coordinates import Coordinates, is_zero

from .expressions import LETTERS, MATRICES, SYMMETRIC, K, L, dimensions, polynomials, put, values


@given(expr=polynomials(), d=dimensions, data=st.data())
def test_canonical_form_has_the_same_value(expr, d, data):
    at = Coordinates(d, vectors=["x", "x_prime"])
    numbers = put(at, data.draw(values(d)))
    spelt = canonical(expr, SYMMETRIC)
    assert at.interpret(spelt, **numbers) == at.interpret(expr, **numbers)


@given(expr=polynomials())
def test_canonical_form_is_its_own(expr):
    once = canonical(expr, SYMMETRIC)
    assert canonical(once, SYMMETRIC) == once


@st.composite
def respelt(draw, expr):
    """The same expression, spelt otherwise: traces turned, transposed, multiplied out."""

    def respell(trace):
        matrix = trace.arg
        if draw(st.booleans()):
            matrix = _transposed(matrix)
        factors = list(matrix.args) if isinstance(matrix, sp.MatMul) else [matrix]
        k = draw(st.integers(0, len(factors) - 1))
        factors = factors[k:] + factors[:k]
        if draw(st.booleans()):
            # (A + K) - K in the place of A
            factors[0] = sp.MatAdd(
                factors[0] + _like(factors[0]), -_like(factors[0]), evaluate=False
            )
        return Trace(sp.MatMul(*factors, evaluate=False))

    changed = expr.replace(lambda e: isinstance(e, Trace), respell)
    return sp.expand(changed) if draw(st.booleans()) else changed


def _transposed(matrix):
    factors = list(matrix.args) if isinstance(matrix, sp.MatMul) else [matrix]
    return sp.MatMul(*(f if f in SYMMETRIC else f.T for f in reversed(factors))).doit(deep=False)


def _like(matrix):
    return {(D, D): K, (D, 1): u, (1, D): u.T}[tuple(matrix.shape)]


@given(data=st.data())
def test_equal_expressions_have_equal_canonical_forms(data):
    expr = data.draw(polynomials(factors=2))
    other = data.draw(respelt(expr))
    assert canonical(other, SYMMETRIC) == canonical(expr, SYMMETRIC)
    assert equal(expr, other, SYMMETRIC)


# Distinct contractions of total degree below D are algebraically independent, so that at a generic
# point of D = 5 expressions with up to 4 letters and ends have equal values only if they are equal.
GENERIC = {
    m.name: [[((7 * i + 3 * j + 1) ** 2 * (k + 2)) % 97 - 40 for j in range(5)] for i in range(5)]
    for k, m in enumerate(MATRICES)
}
for _m in SYMMETRIC:
    GENERIC[_m.name] = [
        [GENERIC[_m.name][min(i, j)][max(i, j)] for j in range(5)] for i in range(5)
    ]
GENERIC |= {
    v.name: [[(k + 3) * (i + 2) ** 3 % 89 - 30] for i in range(5)] for k, v in enumerate((beta, u))
}
GENERIC |= {"epsilon": sp.Rational(3, 7)}
small = polynomials(factors=1, terms=1, vectors=(beta, u), letters=LETTERS)


@given(a=small, b=small)
def test_different_expressions_have_different_canonical_forms(a, b):
    assume(a != 0 and b != 0)
    at = Coordinates(5)
    numbers = put(at, GENERIC)
    # Coefficients that depend on D differently may agree at D = 5: compare what they multiply.
    a, b = (expr / expr.subs(dict.fromkeys(expr.atoms(Trace), 1)) for expr in (a, b))
    assert equal(a, b, SYMMETRIC) == (at.interpret(a, **numbers) == at.interpret(b, **numbers))


@given(expr=polynomials(factors=2, terms=2), factor=st.integers(2, 5))
def test_a_multiple_differs_unless_it_is_zero(expr, factor):
    assert equal(expr, factor * expr, SYMMETRIC) == (canonical(expr, SYMMETRIC) == 0)


def test_a_matrix_is_not_its_transpose():
    assert not equal(Trace(K * L), Trace(K * L.T), ())
    assert equal(Trace(K * L), Trace(K.T * L.T), ())
    assert not equal(Trace(K * A * L), Trace(L * A * K), SYMMETRIC)
    assert equal(Trace(B * A * A), Trace(A * B * A), SYMMETRIC)
    assert equal(form(beta, K, u), form(u, K.T, beta), ())


def test_rational_coefficients_are_compared_as_functions_of_D():
    t = Trace(A)
    assert canonical(t / D - t * (D + 2) / (D * (D + 2))) == 0
    assert equal(t / (D * (D + 1)), t / D - t / (D + 1))


def test_symmetry_of_inverses_and_diagonal_matrices_is_known():
    r = MatrixSymbol("r", D, 1)
    assert equal(form(x, Sigma.I, u), form(u, Sigma.I, x))
    assert equal(form(x, sp.DiagMatrix(r), u), form(u, sp.DiagMatrix(r), x))
    assert not equal(form(x, K.I, u), form(u, K.I, x))


def test_adjacent_inverses_cancel():
    assert canonical(Trace(Sigma * Sigma.I)) == D
    assert canonical(form(x, Sigma * Sigma.I, x)) == Trace(x.T * x)
    assert equal(Trace(Sigma * Sigma.I) ** 2 / D + 2, D + 2)


@given(d=dimensions, data=st.data())
def test_canonical_matrix_has_the_same_entries(d, data):
    words = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=3)
    matrix = data.draw(words.map(lambda word: (I + sp.MatMul(*word)) * (beta * u.T - 2 * word[0])))
    at = Coordinates(d)
    numbers = put(at, data.draw(values(d)))
    spelt = canonical_matrix(matrix, SYMMETRIC)
    assert is_zero(at.interpret(spelt, **numbers) - at.interpret(matrix, **numbers))
