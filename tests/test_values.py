"""What users give for symbols: numbers of every library, text that is never run, every valid point.

Exact evaluation, evaluation in floats, NumPy's and torch's functions agree on every closed form at
random points and on the boundary of what its symbols allow.
"""

import decimal
import math
import re
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import MatrixSymbol, Rational

from lazyrich import theory
from lazyrich.theory import generate, wick
from lazyrich.theory.lyu import symbols as lyu
from lazyrich.theory.symbols import (
    D,
    Gaussian,
    M,
    P,
    SymmetricMatrixSymbol,
    alpha,
    isotropic,
    x,
)
from lazyrich.theory.values import number, rational, table
from lazyrich.theory.wick import canonical, dot, equal, expectation, form, gradient

LOSS = theory.closed_form("test-loss")
POINT = {"alpha": 1, "epsilon": 2, "beta": [1, 2], "wbar": [0, 1], "M": [[2, 1], [1, 3]]}

# Numbers

HALVES = [
    0.5,
    np.float64(0.5),
    np.float32(0.5),
    np.array(0.5),
    torch.tensor(0.5),
    Fraction(1, 2),
    decimal.Decimal("0.5"),
    Rational(1, 2),
    sp.Float(0.5),
    "1/2",
    " 0.5 ",
    "5e-1",
    ".5",
]


@pytest.mark.parametrize("half", HALVES, ids=repr)
def test_a_half_is_a_half_in_every_library(half):
    wanted = LOSS.evaluate(**POINT | {"epsilon": Rational(1, 2)})
    assert LOSS.evaluate(**POINT | {"epsilon": half}) == pytest.approx(float(wanted), rel=1e-15)
    assert LOSS.subs(epsilon=half).evaluate(
        **{k: v for k, v in POINT.items() if k != "epsilon"}
    ) == pytest.approx(float(wanted), rel=1e-15)
    for backend in ("numpy", "torch"):
        assert float(LOSS.function(backend)(**POINT | {"epsilon": half})) == pytest.approx(
            float(wanted), rel=1e-6
        )


@pytest.mark.parametrize("wrap", [list, tuple, np.array, sp.Matrix, torch.tensor])
def test_vectors_and_matrices_of_every_kind(wrap):
    point = {k: wrap(v) if isinstance(v, list) else v for k, v in POINT.items()}
    wanted = LOSS.evaluate(**POINT)
    assert LOSS.evaluate(**point) == wanted
    for backend in ("numpy", "torch"):
        assert float(LOSS.function(backend)(**point)) == pytest.approx(float(wanted), rel=1e-14)
    fractions = [Fraction(1, 3), "2/3"]
    value = LOSS.evaluate(**POINT | {"beta": fractions})
    assert value == LOSS.evaluate(**POINT | {"beta": [Rational(1, 3), Rational(2, 3)]})
    found = LOSS.function("torch")(**POINT | {"beta": fractions})
    assert float(found) == pytest.approx(float(value), rel=1e-14)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**30))
def test_fractions_in_text_are_exact(top, bottom):
    assert rational(f"{top}/{bottom}") == Rational(top, bottom)
    assert rational(f"{top}e-30") == Rational(top, 10**30)


# Nothing is let in


@pytest.mark.parametrize(
    "text",
    ["1 + 1", "sqrt(2)", "pi", "I", "nan", "inf", "1/0", "0x10", "1_000", "", "1e9999", "9" * 500],
)
def test_text_that_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match=r"^alpha = .*: must be a real number other than 0$"):
        LOSS.evaluate(**POINT | {"alpha": text})


def test_text_is_never_run(tmp_path):
    file = tmp_path / "made"
    text = f"open({str(file)!r}, 'w').close() or 1"
    run = f"__import__('pathlib').Path({str(file)!r}).touch()"
    for words in (text, run):
        attempts = [
            lambda words=words: LOSS.evaluate(**POINT | {"alpha": words}),
            lambda words=words: LOSS.evaluate(**POINT | {"beta": [words, 1]}),
            lambda words=words: LOSS.evaluate(**POINT | {"M": [[words, 1], [1, 1]]}),
            lambda words=words: LOSS.evaluate_terms(**POINT | {"alpha": words}),
            lambda words=words: LOSS.subs(alpha=words),
            lambda words=words: LOSS.subs({words: 1}),
            lambda words=words: LOSS.function("numpy")(**POINT | {"alpha": words}),
            lambda words=words: LOSS.function("torch")(**POINT | {"beta": [words, 1]}),
            lambda words=words: expectation(words, isotropic(x)),
            lambda words=words: canonical(words),
            lambda words=words: equal(words, 0),
            lambda words=words: equal(0, words),
            lambda words=words: gradient(words, x),
            lambda words=words: wick.canonical_matrix(words),
            lambda words=words: theory.closed_form(words),
        ]
        for attempt in attempts:
            with pytest.raises(ValueError) as error:
                attempt()
            assert "\n" not in str(error.value)
    assert not file.exists()


# One line


def _nested(depth):
    value = [1]
    for _ in range(depth):
        value = [value]
    return value


BAD = {
    "nan": ({"alpha": math.nan}, "alpha = nan: must be a real number other than 0"),
    "infinity": ({"alpha": np.inf}, "alpha = .*inf.*: must be"),
    "None": ({"alpha": None}, "alpha = None: must be"),
    "a boolean": ({"alpha": True}, "alpha = True: must be"),
    "a list for D": ({"D": [2]}, r"D = \[2\]: must be a positive whole number"),
    "D = 2.5": ({"D": 2.5}, "D = 2.5: must be a positive whole number"),
    "D = -1": ({"D": -1}, "D = -1: must be a positive whole number"),
    "D = 0": ({"D": 0}, "D = 0: must be a positive whole number"),
    "not symmetric": ({"M": [[1, 1], [0, 1]]}, r"M .*: must be symmetric"),
    "complex": ({"M": np.eye(2) * 1j}, "M .*: must be"),
    "complex, without imaginary part": ({"beta": np.ones(2) + 0j}, "beta .*: must be"),
    "text": ({"beta": "ab"}, "beta = 'ab': must be"),
    "nested": ({"beta": _nested(5000)}, "beta .*: must be"),
    "a dictionary": ({"beta": {1: 2}}, "beta .*: must be"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_one_line(case):
    changed, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        LOSS.evaluate(**POINT | changed)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize(
    "case", [case for case in BAD if case not in ("nan", "infinity", "a list for D")]
)
def test_bad_values_are_one_line_in_array_functions(case, backend):
    changed, _ = BAD[case]
    with pytest.raises(ValueError) as error:
        LOSS.function(backend)(**POINT | changed)
    assert "\n" not in str(error.value)


def test_numbers_below_what_a_symbol_allows_are_refused():
    modes = theory.closed_form("momentum-modes")
    with pytest.raises(ValueError, match="mu = -1/2: must be 0 or a number above 0"):
        modes.evaluate(h=1, mu=Rational(-1, 2))
    with pytest.raises(ValueError, match="h = 0: must be a number above 0"):
        modes.evaluate(h=0, mu=0)


def test_symmetry_is_looked_at_up_to_rounding_and_stays_out_of_the_way_of_gradients():
    value = LOSS.function("torch")
    matrix = torch.tensor(POINT["M"], dtype=torch.float64)
    known = {k: v for k, v in POINT.items() if k != "M"}
    slightly = matrix + torch.tensor([[0.0, 1e-12], [0.0, 0.0]])
    assert torch.isclose(value(**known, M=slightly), value(**known, M=matrix))
    with pytest.raises(ValueError, match="M differs from its transpose by 1: must be symmetric"):
        value(**known, M=matrix + torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    batch = torch.stack([matrix, 2 * matrix])
    each = torch.func.vmap(lambda m: value(**known, M=m))(batch)
    assert torch.equal(each, value(**known, M=batch))
    slope = torch.func.grad(lambda m: value(**known, M=m))(matrix)
    assert slope.shape == (2, 2)
    assert table("M", np.array([[1.0, 2.0], [2.0 + 1e-12, 1.0]]), M)


@pytest.mark.parametrize(
    ("laws", "message"),
    [
        ((isotropic(x), isotropic(x)), "law of x: is given twice"),
        ((Gaussian(MatrixSymbol("q", 1, D), sp.Identity(1)),), "must be of a column vector"),
        (("x",), "law = x: must be isotropic"),
        ((Gaussian(x, sp.Identity(P)),), "must be square"),
    ],
)
def test_laws_that_mean_nothing_are_one_line(laws, message):
    with pytest.raises(ValueError, match=message):
        expectation(dot(x, x), *laws)


def test_an_expression_nested_thousands_deep_is_one_line():
    expr = form(x, M, x)
    for _ in range(3000):
        expr = sp.Mul(2, sp.Add(expr, alpha, evaluate=False), evaluate=False)
    for attempt in (canonical, lambda e: expectation(e, isotropic(x)), lambda e: gradient(e, x)):
        with pytest.raises(ValueError, match="nested too deeply"):
            attempt(expr)


# Symbols and partial values


def test_symbols_are_the_keywords():
    for name in theory.names():
        closed_form = theory.closed_form(name)
        assert list(closed_form.symbols) == closed_form.arguments()
    assert LOSS.symbols["M"] == M
    assert LOSS.symbols["alpha"] == alpha


@given(st.sets(st.sampled_from(sorted(POINT))), st.sets(st.sampled_from(sorted(POINT))))
def test_values_may_come_in_any_order_and_in_any_portions(first, second):
    wanted = LOSS.evaluate(**POINT)
    parts = [{k: v for k, v in POINT.items() if k in first}]
    parts.append({k: v for k, v in POINT.items() if k in second - first})
    parts.append({k: v for k, v in POINT.items() if k not in first | second})
    form_at = LOSS
    for part in parts:
        form_at = form_at.subs(part)
        assert not form_at.symbols.keys() & part.keys()
    assert form_at.expr == wanted
    assert form_at.symbols == {}


def test_a_symbol_that_is_not_the_forms_own_raises():
    assert LOSS.subs({alpha: 1, "epsilon": 2}).symbols.keys() == {"D", "M", "beta", "wbar"}
    for wrong, message in (
        ({lyu.alpha: 1}, "another alpha than that of test-loss"),
        ({sp.Symbol("alpha"): 1}, "another alpha than that of test-loss"),
        ({MatrixSymbol("M", D, D): [[1]]}, "another M than that of test-loss"),
        ({lyu.L: 1}, "L: not in test-loss"),
        ({"kappa": 1}, "argument = 'kappa'"),
        ({3: 1}, "3: not in test-loss"),
    ):
        with pytest.raises(ValueError, match=message):
            LOSS.subs(wrong)


def test_a_dimension_that_is_known_is_that_of_what_stays():
    at = LOSS.subs(D=2)
    assert at.symbols["M"] == SymmetricMatrixSymbol("M", 2, 2)
    assert at.evaluate(**POINT) == LOSS.evaluate(**POINT)
    with pytest.raises(ValueError, match="shape"):
        at.evaluate(**POINT | {"beta": [1, 2, 3]})
    assert sp.simplify(LOSS.subs(beta=[1, 2]).expr.subs(alpha, 0)) == Rational(75, 16)


# Infinite and complex values


def test_a_plateau_says_where_it_is_infinite():
    plateau = theory.closed_form("early-plateau")
    kinds = {8: "few_samples", 9: None, 10: None, 11: None, 12: "many_samples"}
    for samples, kind in kinds.items():
        point = {"D": 10, "P": samples, "b": 10}
        value, terms = plateau.evaluate(**point), plateau.evaluate_terms(**point)
        assert value == (sp.oo if kind is None else terms[kind])
        for backend in ("numpy", "torch"):
            assert float(plateau.function(backend)(**point)) == float(value)
    many = plateau.function("numpy")(D=10, P=np.array([8, 10, 12]), b=10.0)
    assert many.tolist() == [float(plateau.evaluate(D=10, P=n, b=10)) for n in (8, 10, 12)]


@given(h=st.integers(1, 80), mu=st.integers(0, 19))
def test_modes_are_complex_where_they_oscillate(h, mu):
    modes = theory.closed_form("momentum-modes")
    exact = modes.evaluate(h=Rational(h, 20), mu=Rational(mu, 20))
    wanted = [complex(z) for z in exact]
    point = {"h": h / 20, "mu": mu / 20}
    arrays = [modes.function(backend)(**point) for backend in ("numpy", "torch")]
    for found in (modes.evaluate(**point), *arrays):
        # A double root moves by the square root of a rounding.
        np.testing.assert_allclose([complex(z) for z in found], wanted, atol=1e-7)


def test_a_point_without_a_value_is_one_line():
    minimiser = theory.closed_form("test-loss-minimiser")
    with pytest.raises(ValueError, match=r"minimiser has no value here\. It assumes: eps"):
        minimiser.evaluate(alpha=1, epsilon=0, beta=[1])


# Every closed form at random points and on the boundary


def _choose(draw, symbol):
    """A value that the symbol allows, the ends of what it allows among them."""
    if symbol.is_integer:
        return draw(st.sampled_from([1, 2, 3]))
    least = [0] if not symbol.is_positive and not symbol.is_nonzero else []
    signs = (1,) if symbol.is_nonnegative or symbol.is_positive else (1, -1)
    numbers = st.builds(
        lambda s, n, d: Rational(s * n, d),
        st.sampled_from(signs),
        st.integers(1, 9),
        st.sampled_from([1, 2, 5, 20]),
    )
    return draw(st.sampled_from(least) | numbers if least else numbers)


@st.composite
def points(draw, closed_form):
    """Exact values of all symbols: vectors may be 0, symmetric matrices singular."""
    symbols = closed_form.symbols
    point = {n: _choose(draw, s) for n, s in symbols.items() if isinstance(s, sp.Symbol)}
    entry = st.integers(-3, 3).map(lambda n: Rational(n, 2))
    for name, symbol in symbols.items():
        if isinstance(symbol, sp.Symbol):
            continue
        sizes = {s: point[s.name] for size in symbol.shape for s in size.free_symbols}
        rows, columns = (int(size.subs(sizes)) for size in symbol.shape)
        if isinstance(symbol, SymmetricMatrixSymbol):
            half = sp.Matrix(rows, rows, draw(st.lists(entry, min_size=rows**2, max_size=rows**2)))
            shift = 1 if name in ("K", "Sigma") else draw(st.sampled_from([0, 1]))
            point[name] = (half * half.T + shift * sp.eye(rows)).tolist()
        else:
            size = rows * columns
            flat = draw(st.lists(entry, min_size=size, max_size=size))
            point[name] = flat if symbol.shape[1] == 1 else sp.Matrix(rows, columns, flat).tolist()
    return point


def _floats(point):
    return {
        k: np.array(v, dtype=float)
        if isinstance(v, list)
        else v
        if isinstance(v, int)
        else float(v)
        for k, v in point.items()
    }


def _numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | sp.Tuple):
        return [n for item in value for n in _numbers(item)]
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, sp.MatrixBase):
        value = list(value)
    return [complex(n) for n in np.ravel(np.array(value, dtype=object))]


def _agree(found, wanted, what):
    """To 1e-9 of the largest number: exact input of order 1 leaves seven digits to cancellation."""
    scale = max([1.0, *(abs(n) for n in wanted if np.isfinite(n))])
    assert len(found) == len(wanted), what
    for one, other in zip(found, wanted, strict=True):
        if not np.isfinite(other):
            # Where exact arithmetic divides by 0, floats may divide by its rounding.
            assert not np.isfinite(one) or abs(one) > 1e9 * scale, f"{what}: {one}, not {other}"
        elif other.imag and np.isnan(one):  # the logarithm of a negative number: out of range
            assert "modes" not in what
        else:
            assert abs(one - other) <= 1e-7 * scale, f"{what}: {one}, not {other}"


@pytest.mark.parametrize("name", theory.names())
@settings(max_examples=4)
@given(data=st.data())
def test_exact_float_and_array_values_agree_at_every_point(name, data):
    closed_form = theory.closed_form(name)
    point = data.draw(points(closed_form))
    try:
        exact = closed_form.evaluate(**point)
    except ValueError as error:
        if re.search("has no (value here|inverse)", str(error)):
            return
        raise
    terms = closed_form.evaluate_terms(**point)
    floats = _floats(point)
    _agree(_numbers(closed_form.evaluate(**floats)), _numbers(exact), "float")
    _agree(_numbers(closed_form.evaluate_terms(**floats)), _numbers(terms), "float terms")
    assert _numbers(closed_form.subs(point).expr) == _numbers(exact)
    for backend in ("numpy", "torch"):
        wanted = generate.arguments(sp.Tuple(*_leaves(closed_form.expr)))
        found = closed_form.function(backend)(**{k: floats[k] for k in wanted})
        _agree(_numbers(found), _numbers(exact), f"{name} on {backend}")


def _leaves(part):
    if isinstance(part, list | tuple | sp.Tuple):
        return [leaf for item in part for leaf in _leaves(item)]
    return [part]


def test_a_number_is_finite_and_no_matrix():
    assert [number(value) for value in (2, "1/4", sp.pi)] == [2, Rational(1, 4), sp.pi]
    others = (MatrixSymbol("A", 2, 2), sp.oo, sp.nan, sp.true, sp.Tuple(1, 2))
    assert [number(value) for value in others] == [None] * 5


def test_a_covariance_that_is_none_is_one_line():
    form = theory.closed_form("general-target-decomposition")
    at = {"D": 2, "B": [[1, 0], [0, 3]], "c_0": 1, "c_1": [1, 2]}
    assert form.evaluate(Sigma=[[2, 1], [1, 2]], **at) is not None
    with pytest.raises(ValueError, match=r"^Sigma"):
        form.evaluate(Sigma=[[1, 2], [2, 1]], **at)


def test_a_covariance_of_a_closed_form_is_refused_where_it_is_indefinite():
    unit, indefinite = [[1, 0], [0, 1]], [[1, 2], [2, 1]]
    given = {"D": 2, "alpha": 1, "epsilon": 1, "wbar": [0, 0], "M": unit, "B": unit}
    given |= {"c_0": 0, "c_1": [0, 0], "sigma_noise": 0}
    form = theory.closed_form("general-test-loss")
    form.evaluate(**given, Sigma=unit)
    with pytest.raises(ValueError, match="Sigma has the eigenvalue -1: a covariance must be"):
        form.evaluate(**given, Sigma=indefinite)
