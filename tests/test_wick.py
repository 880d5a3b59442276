"""The Gaussian-moment engine against integration in explicit coordinates, in rational arithmetic.

Every comparison is exact: there is no tolerance in this file.
"""

import pickle

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from sympy import DiagMatrix, MatrixSymbol, Trace

from lazyrich.theory import generate, symbols, wick
from lazyrich.theory.symbols import (
    A,
    B,
    D,
    Gaussian,
    I,
    M,
    P,
    Sigma,
    SymmetricMatrixSymbol,
    beta,
    isotropic,
    u,
    x,
    x_prime,
)
from lazyrich.theory.wick import (
    canonical,
    canonical_matrix,
    dot,
    equal,
    expectation,
    form,
    gradient,
)
from lazyrich.verify.coordinates import Coordinates, is_zero

from .expressions import (
    LETTERS,
    ROOT,
    SYMMETRIC,
    K,
    L,
    contractions,
    dimensions,
    polynomials,
    put,
    values,
)


def assert_matches_integration(expr, d, found, laws):
    """``expectation`` equals the mean in coordinates, as a polynomial in what is left free."""
    at = Coordinates(d, vectors=["x", "x_prime"])
    numbers = put(at, found)
    mean = at.interpret(expr, **numbers)
    for law in laws:
        variance = None
        if law == general:  # x = R z with z ~ N(0, I), z in the place of x
            x_of_z = (numbers[ROOT.name] @ at.values["x"])[:, 0]
            mean = mean.compose(list(zip(at.values["x"][:, 0], x_of_z, strict=True)))
            variance = at.number(1)
        mean = at.mean(mean, generate.python_name(law.vector), variance)
    assert at.interpret(expectation(expr, *laws, symmetric=SYMMETRIC), **numbers) == mean


general = Gaussian(x, ROOT * ROOT.T)
LAWS = [
    (isotropic(x),),
    (general,),
    (isotropic(x), isotropic(x_prime)),
    (isotropic(x_prime), general),
]


@given(expr=polynomials(), d=dimensions, data=st.data())
@pytest.mark.parametrize("laws", LAWS, ids=["one", "general", "both", "both-general"])
def test_expectation_equals_integration_in_coordinates(laws, expr, d, data):
    assert_matches_integration(expr, d, data.draw(values(d)), laws)


@given(factors=st.lists(contractions(vectors=(x, x, x, beta), longest=1), min_size=4, max_size=4))
def test_degree_up_to_8_in_one_vector(factors):
    found = {"A": [[1, 2], [2, -1]], "B": [[0, 1], [1, 3]], "K": [[1, 2], [0, -1]]}
    found |= {"L": [[2, 0], [1, 1]], "beta": [[2], [-3]], "R": [[1, 2], [-1, 1]]}
    for law in (isotropic(x), general):
        assert_matches_integration(sp.Mul(*factors), 2, found, (law,))


HIGH = {
    "linear^12": dot(beta, x) ** 12,
    "symmetric^6": form(x, A, x) ** 6,
    "nonsymmetric^5": form(x, K, x) ** 5,
    "norm^2 forms^3 lines^2": dot(x, x) ** 2 * form(x, A, x) ** 2 * form(x, L, x) * dot(u, x) ** 2,
    "two vectors": form(x, K, x_prime) ** 3 * form(x, A, x) ** 2 * dot(x, x_prime) * dot(u, x) ** 2,
}


@pytest.mark.parametrize("name", HIGH)
@pytest.mark.parametrize("law", [isotropic(x), general], ids=["isotropic", "general"])
def test_degrees_10_to_12(name, law):
    found = {"A": [[1, 2], [2, -1]], "K": [[1, 2], [0, -1]], "L": [[2, 0], [1, 1]]}
    found |= {"beta": [[2], [-3]], "u": [[1], [1]], "R": [[1, 2], [-1, 1]]}
    assert_matches_integration(HIGH[name], 2, found, (law,))


@pytest.mark.parametrize("n", range(7))
def test_moments_of_the_norm_are_those_of_chi_squared(n):
    moment = sp.Mul(*(D + 2 * k for k in range(n))) / D**n
    assert sp.factor(expectation(dot(x, x) ** n, isotropic(x)) - moment) == 0


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_distinct_linear_forms_give_every_pairing_once(n):
    """(2n - 1)!! pairings, each with coefficient 1."""
    lines = [MatrixSymbol(f"a{i}", D, 1) for i in range(2 * n)]
    law = Gaussian(x, I)
    terms = expectation(sp.Mul(*(dot(a, x) for a in lines)), law).as_coefficients_dict()
    assert len(terms) == sp.factorial2(2 * n - 1)
    assert set(terms.values()) == {1}


# Laws of the expectation, for every D at once


@given(a=polynomials(terms=2), b=polynomials(terms=2))
def test_linearity(a, b):
    law = isotropic(x)
    both = expectation(3 * a - D * b, law, symmetric=SYMMETRIC)
    apart = 3 * expectation(a, law, symmetric=SYMMETRIC) - D * expectation(
        b, law, symmetric=SYMMETRIC
    )
    assert equal(both, apart, SYMMETRIC)


@given(expr=polynomials(terms=2))
def test_the_order_of_integration_does_not_matter(expr):
    laws = (general, isotropic(x_prime))
    at_once = expectation(expr, *laws, symmetric=SYMMETRIC)
    inner = expectation(expr, laws[1], symmetric=SYMMETRIC)
    assert equal(at_once, expectation(inner, laws[0], symmetric=SYMMETRIC), SYMMETRIC)


@given(expr=polynomials(terms=2))
def test_general_covariance_is_a_linear_change_of_variables(expr):
    z = MatrixSymbol("z", D, 1)
    changed = expectation(expr.subs(x, ROOT * z), Gaussian(z, I), symmetric=SYMMETRIC)
    assert equal(expectation(expr, general, symmetric=SYMMETRIC), changed, SYMMETRIC)


@given(expr=polynomials(vectors=(beta, u)))
def test_what_does_not_depend_on_the_vector_stays(expr):
    assert expectation(expr, general, symmetric=SYMMETRIC) == canonical(expr, SYMMETRIC)


# Symmetry is declared: by the class of the symbol, or by the caller


@pytest.mark.parametrize("name", ["A", "B", "M", "M0", "Sigma"])
def test_a_name_makes_no_matrix_symmetric(name):
    """E[(x'Qx)^2] of a general Q has Tr(Q Q'), though Q is named as a symmetric matrix is."""
    general, ours = MatrixSymbol(name, D, D), getattr(symbols, name)
    assert general != ours
    mean = (Trace(general * general.T) + Trace(general**2) + Trace(general) ** 2) / D**2
    assert equal(expectation(form(x, general, x) ** 2, isotropic(x)), mean)
    mean = (2 * Trace(ours**2) + Trace(ours) ** 2) / D**2
    assert expectation(form(x, ours, x) ** 2, isotropic(x)) == sp.expand(mean)
    assert equal(form(x, ours, beta), form(beta, ours, x))
    assert not equal(form(x, general, beta), form(beta, general, x))


def test_a_caller_declares_a_general_matrix_symmetric():
    for matrix in (K, K.I):
        assert not equal(form(x, matrix, beta), form(beta, matrix, x))
        assert equal(form(x, matrix, beta), form(beta, matrix, x), symmetric=[K])
    assert expectation(form(x, K, x) ** 2, isotropic(x), symmetric={K}) == sp.expand(
        (2 * Trace(K**2) + Trace(K) ** 2) / D**2
    )
    assert gradient(form(x, K, beta), K, symmetric=(K,)) == (beta * x.T + x * beta.T) / 2


def test_matrices_of_one_name_stay_apart():
    general = MatrixSymbol("B", D, D)
    turned = [(general, B, K), (B, K, general), (K, general, B)]
    assert len({canonical(Trace(sp.MatMul(*word))) for word in turned}) == 1
    assert not equal(Trace(general * B * K), Trace(B * general * K))
    product = form(x, general, x) * form(x, B, x)
    assert canonical(product) == canonical(form(x, B, x) * form(x, general, x))
    assert equal(Trace(general * B) * Trace(general), Trace(general) * Trace(B * general))


def test_a_declared_symbol_survives_what_sympy_does():
    expr = form(x, M, x) / D
    assert pickle.loads(pickle.dumps(expr)) == expr
    assert pickle.loads(pickle.dumps(M)) == M
    three = expr.subs(D, 3)
    (matrix,) = (m for m in three.atoms(MatrixSymbol) if m.name == "M")
    assert isinstance(matrix, SymmetricMatrixSymbol)
    assert matrix.shape == (3, 3)
    with pytest.raises(ValueError, match="a symmetric matrix is square"):
        SymmetricMatrixSymbol("Q", D, P)


@pytest.mark.parametrize("symmetric", ["M", K, MatrixSymbol("K", D, D), ["K"], [x], 3, None])
def test_symmetric_is_a_collection_of_square_symbols(symmetric):
    for refuse in (
        lambda: canonical(Trace(K), symmetric),
        lambda: canonical_matrix(K, symmetric),
        lambda: equal(Trace(K), Trace(K), symmetric),
        lambda: expectation(form(x, K, x), isotropic(x), symmetric=symmetric),
        lambda: gradient(Trace(K), K, symmetric),
    ):
        with pytest.raises(ValueError, match="must be a collection of square MatrixSymbols"):
            refuse()


# Inverses


def test_what_cancels_with_an_inverse_is_collected_again():
    """Tr(K^-1 A K) = Tr(L^-1 A L) = Tr A: three terms of three spellings become one."""
    three = D**2 * Trace(K.I * A * K) + D * Trace(L.I * A * L)
    assert equal(three, D * (D + 1) * Trace(A))
    assert canonical(three) == D * (D + 1) * Trace(A)
    assert expectation(form(x, K.I * A * K, x) * D, isotropic(x)) == Trace(A)
    assert not equal(three, D * D * Trace(A))


def test_inverses_of_powers_and_transposes_are_read():
    squares = form(x, A.T.I * A.I, x), form(x, sp.MatPow(A, -2), x), form(x, A.I * A.I, x)
    assert len({canonical(square) for square in squares}) == 1
    assert equal(Trace(K.T.I * A), Trace(A * K.I))
    assert not equal(Trace(K.T.I * A * L), Trace(K.I * A * L))


# The gradient


@given(expr=polynomials(), d=dimensions, data=st.data())
def test_gradient_in_a_vector_is_the_derivative_in_coordinates(expr, d, data):
    at = Coordinates(d, vectors=["x", "x_prime"])
    numbers = put(at, data.draw(values(d)))
    slope = at.interpret(gradient(expr, x, SYMMETRIC), **numbers)
    assert is_zero(slope - at.derivative(at.interpret(expr, **numbers), "x"))


@given(
    expr=polynomials(factors=2, vectors=(beta, u), letters=LETTERS),
    matrix=st.sampled_from([A, K]),
    d=st.integers(1, 3),
    data=st.data(),
)
def test_gradient_in_a_matrix_gives_every_directional_derivative(expr, matrix, d, data):
    """d expr = Tr(G^T d matrix): the coefficient of t in expr(matrix + t direction)."""
    at = Coordinates(d, columns={"t": 1})
    t = at.values["t"][0, 0]
    numbers, others = (put(at, data.draw(values(d))) for _ in range(2))
    direction = others[matrix.name]
    moved = {matrix.name: numbers[matrix.name] + direction * t}
    along = at.interpret(expr, **(numbers | moved)).coeff(t)
    slope = at.interpret(gradient(expr, matrix, SYMMETRIC), **numbers)
    assert np.sum(slope * direction) == along
    if matrix in SYMMETRIC:
        assert is_zero(slope - slope.T)


# Negative controls: the reference rejects an engine with a planted mistake


def _sides_once(_, matrix):
    """Wrong: d(x^T Q x) = Q x."""
    return [(matrix, 1)]


def _pairs_once(items):
    """Wrong: equal factors are paired with as if there were one of them."""
    for item, _, rest in _distinct(items):
        yield item, 1, rest


def _no_transpose(_, matrix):
    """Wrong: Q + Q where Q + Q^T is meant."""
    return [(matrix, 2)]


_distinct = wick._distinct
LINES = dot(u, x) * dot(beta, x)
PLANTED = {
    "sides": (wick._Pairings, "_both_sides", _sides_once, form(x, A, x) ** 2),
    "pairs": (wick, "_distinct", _pairs_once, dot(beta, x) ** 4),
    "transpose": (
        wick._Pairings,
        "_both_sides",
        _no_transpose,
        form(x, K, x) * dot(u, x) * dot(beta, x),
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_wrong_contraction_is_caught(mistake, monkeypatch):
    owner, name, wrong, expr = PLANTED[mistake]
    found = {"A": [[1, 2], [2, -1]], "K": [[1, 2], [0, -1]], "beta": [[2], [1]], "u": [[1], [1]]}
    assert_matches_integration(expr, 2, found, (isotropic(x),))
    monkeypatch.setattr(owner, name, wrong)
    with pytest.raises(AssertionError):
        assert_matches_integration(expr, 2, found, (isotropic(x),))


# Bad input, one clear line


_x1 = MatrixSymbol("x", 1, 1)
BAD = {
    "a matrix outside a trace": (lambda: expectation(x.T * x, isotropic(x)), "inside Trace"),
    "a matrix times a trace": (lambda: expectation(Trace(M) * I, isotropic(x)), "inside Trace"),
    "an entry": (lambda: expectation(x[0, 0] ** 2, isotropic(x)), "inside Trace"),
    "a negative power": (lambda: expectation(1 / dot(x, x), isotropic(x)), "polynomial"),
    "a symbolic power": (lambda: expectation(dot(x, x) ** D, isotropic(x)), "polynomial"),
    "a root": (lambda: canonical(sp.sqrt(dot(x, x))), "polynomial"),
    "a sine": (lambda: canonical(sp.sin(dot(x, x))), "polynomial"),
    "an elementwise product": (
        lambda: canonical(Trace(sp.HadamardProduct(A, B))),
        "must be built from symbols",
    ),
    "sizes that differ": (lambda: canonical(dot(x, MatrixSymbol("r", P, 1))), "times r"),
    "one dimension, explicitly": (lambda: canonical(dot(_x1, _x1)), "vectors are columns"),
    "a row symbol": (lambda: canonical(Trace(MatrixSymbol("r", 1, D) * x)), "vectors are columns"),
    "no law": (lambda: expectation(dot(x, x), x), "must be isotropic"),
    "a covariance of another size": (
        lambda: expectation(dot(x, x), Gaussian(x, sp.Identity(P))),
        "must be square of size D",
    ),
    "a covariance that is not symmetric": (
        lambda: expectation(dot(x, x), Gaussian(x, K)),
        "must be symmetric",
    ),
    "x in a diagonal matrix": (
        lambda: expectation(Trace(DiagMatrix(x) * M), isotropic(x)),
        "no polynomial in x",
    ),
    "the gradient of an inverse": (
        lambda: gradient(Trace(Sigma.I * A), Sigma),
        "no polynomial in Sigma",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
