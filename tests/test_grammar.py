"""The grammar of formulas: what it reads, what it refuses and how, and that it never evaluates."""

import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import MatrixSymbol, Trace

from lazyrich.theory import expectation, grammar
from lazyrich.theory.grammar.functions import FUNCTIONS
from lazyrich.theory.grammar.means import count
from lazyrich.theory.grammar.names import nearest
from lazyrich.theory.grammar.syntax import MAX_CHARACTERS
from lazyrich.theory.symbols import A, B, D, I, M, alpha, beta, epsilon, wbar, x, x_prime
from lazyrich.theory.wick import canonical, dot, form

NAMES = [D, A, B, M, alpha, beta, epsilon, wbar, x, x_prime]


def read(text: str):
    return grammar.read(text, NAMES, kind="any")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.25 + 1/4 + 1e-1", sp.Rational(3, 5)),
        (".5", sp.Rational(1, 2)),
        ("2^3^2 - 2**-1", 512 - sp.Rational(1, 2)),
        ("-3^2", -9),
        ("2epsilon", 2 * epsilon),
        ("D(D + 2)", D * (D + 2)),
        ("1/2 D", D / 2),
        ("1/D (D + 1)", (D + 1) / D),
        ("x'Ax", form(x, A, x)),
        ("x^T A x + x.T*A*x", 2 * form(x, A, x)),
        ("x.Ax", form(x, A, x)),
        ("(A x).x", Trace(x.T * A.T * x)),
        ("8 |beta|^2 beta'M beta", 8 * dot(beta, beta) * form(beta, M, beta)),
        ("beta.x x.x_prime", dot(beta, x) * dot(x, x_prime)),
        ("(beta.x)(beta.x)", dot(beta, x) ** 2),
        ("beta beta'", beta * beta.T),
        ("A x'x", dot(x, x) * A),
        ("x'A x x'B x", form(x, A, x) * form(x, B, x)),
        ("|x|^2 + |x|^4", dot(x, x) + dot(x, x) ** 2),
        ("||x||", sp.sqrt(dot(x, x))),
        ("|beta - wbar|^2", Trace((beta - wbar).T * (beta - wbar))),
        ("|x||beta|", sp.sqrt(dot(x, x)) * sp.sqrt(dot(beta, beta))),
        ("tr((A B)^2)", Trace((A * B) ** 2)),
        ("tr(I) + tr(2 A)", D + 2 * Trace(A)),
        ("A^-1", A.I),
        ("Mbeta.x", Trace(beta.T * M.T * x)),
        ("ε²β'Mβ/D²", epsilon**2 * form(beta, M, beta) / D**2),
        ("w̄·x − x", None),
        ("[2 - {D}]^2", (2 - D) ** 2),
        ("He_3(beta.x)", dot(beta, x) ** 3 - 3 * dot(beta, x)),
        (
            "exp(-alpha^2/2) erf(alpha) sqrt(D)",
            sp.exp(-(alpha**2) / 2) * sp.erf(alpha) * sp.sqrt(D),
        ),
        ("relu(alpha)", sp.Max(alpha, 0)),
        ("pi alpha", sp.pi * alpha),
        ("x⊤A x + x^⊤A x", 2 * form(x, A, x)),
        ("Tr[A B]", Trace(A * B)),
    ],
)
def test_reads_what_papers_write(text, value):
    if value is None:
        with pytest.raises(ValueError, match="can't add a scalar and a vector"):
            read(text)
    else:
        assert read(text) == value


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("(beta.x)^2/bta", "bta", "did you mean 'beta'"),
        ("2 +", "", "expected a number, a name or a bracket before the end"),
        ("(x.x", "(", "never closed"),
        ("|x", "|", "never closed: expected '|'"),
        ("x.x)", ")", "nothing is open"),
        ("(x.x]", "]", "expected ')'"),
        ("beta.x^2", "x^2", "a power of a vector: write |x|^2 or (beta.x)^2"),
        ("x'.x", ".", "second argument is x_prime"),
        ("beta x", "x", "write x.y, x'y or x y'"),
        ("x.A x", ".", "x'M x"),
        ("3 alpha/4D", "4D", "write (a/b) c or a/(b c)"),
        ("alpha / D epsilon", "D", "write (a/b) c or a/(b c)"),
        ("(A + 1)", "1", "the unit matrix is I"),
        ("1/(D - D)", "(D - D)", "division by zero"),
        ("1/A", "A", "can't divide by a matrix"),
        ("exp(x)", "x", "expected a scalar"),
        ("tr(x)", "x", "expected a square matrix"),
        ("sin alpha", "sin", "expected brackets"),
        ("binom(5)", "binom(5)", "binom has two arguments, not 1"),
        ("Gamma(alpha)", "Gamma", "a function of numbers and D alone"),
        ("alpha'", "'", "can't be transposed"),
        ("D^(10^9)", "(10^9)", "an exponent above 200"),
        ("1e9999", "1e9999", "400 digits"),
        ("(" * 50 + "1" + ")" * 50, "(", "more than 40 brackets"),
        ("D = 3", "=", "without '='"),
        ("K(x, x_prime)", ",", "no comma here"),
        ("alpha, 2", ",", "no comma here"),
        ("tr(A, B)", "tr(A, B)", "one argument, not 2"),
        ("E[x.x]", "E[", "is read in a formula to average"),
        ("alpha²/D·x.x", "D·x.x", "unclear what is divided"),
        ("e^D", "e", "write exp(...)"),
        ("eps D", "eps", "did you mean 'epsilon'"),
        ("x_ D", "_", "goes on after an underscore"),
        ("x[0]", "[0]", ""),
    ],
)
def test_marks_the_place_in_one_line(text, place, reason):
    with pytest.raises(grammar.FormulaError) as caught:
        grammar.read(text, NAMES)
    error = caught.value
    assert "\n" not in str(error)
    assert reason in str(error)
    if reason:
        assert text[error.position : error.position + error.length] == place


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch /tmp/lazyrich-was-here')",
        "open('/tmp/lazyrich-was-here','w')",
        "().__class__.__bases__[0]",
        "lambda: 0",
        "D.__class__",
        "exec(D)",
        "x.T.__init__",
        "[D for D in D]",
        "Symbol('q')",
        "f'{D}'",
        "D; D",
        "D # D",
        "print(D)",
        "9**9**9**9",
        "2^200^200",
        "((((2^199)^199)^199)^199)",
        "(D^199)^199",
        "x" + "'" * 15000,
        "D^" * 3000 + "D",
        "+".join(["D"] * 30000),
        "1/((" * 19 + "x" + ")).x" * 19,
        "exp(" * 39 + "200" + ")" * 39 + "^",
        "\x00",
        "D\u202e",
    ],
)
def test_code_and_bombs_are_refused_at_once(text):
    with pytest.raises(ValueError) as caught:
        grammar.read(text, NAMES, new=grammar.conventional)
    assert "\n" not in str(caught.value)
    assert not Path("/tmp/lazyrich-was-here").exists()


@given(st.text(alphabet="xAβDe.'|()+-*/^ 12²tr,·_\\=[]", max_size=24))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_in_one_line(text):
    message = ""
    try:
        grammar.read(text, NAMES, new=grammar.conventional, kind="any")
    except ValueError as error:
        message = str(error)
    assert "\n" not in message


_c, _k = sp.Symbol("c", real=True), sp.Symbol("k", real=True)
_numbers = st.fractions(-3, 3, max_denominator=4).map(
    lambda q: sp.Rational(q.numerator, q.denominator)
)
_vectors = st.recursive(
    st.sampled_from([x, x_prime, beta, wbar]),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from([A, M, A.T, A * M, I + A, A.I]), inner).map(
            lambda p: p[0] * p[1]
        ),
        st.tuples(inner, inner).map(lambda p: p[0] + 2 * p[1]),
    ),
    max_leaves=3,
)
_traces = st.one_of(
    st.tuples(_vectors, _vectors).map(lambda p: Trace(p[0].T * p[1])),
    st.sampled_from([Trace(A), Trace(M * A), Trace(A * A.T * M), Trace((A * M) ** 2)]),
)
_scalars = st.recursive(
    st.one_of(_numbers, st.sampled_from([D, alpha, epsilon, _c, _k]), _traces),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] - p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] * p[1]),
        st.tuples(inner, st.sampled_from([D, D + 2, alpha, sp.Integer(3)])).map(
            lambda p: p[0] / p[1]
        ),
        st.tuples(inner, st.integers(2, 3)).map(lambda p: p[0] ** p[1]),
        inner.map(lambda e: sp.exp(e)),
    ),
    max_leaves=6,
)


@given(_scalars)
@settings(max_examples=150, deadline=None)
def test_what_is_written_reads_back(expr):
    """read(write(expr)) is the same expression, for scalars built from every rule of the writer."""
    text = grammar.write(expr)
    back = grammar.read(text, [*NAMES, _c, _k])
    assert sp.simplify(_frozen(back) - _frozen(expr)) == 0, text


def _frozen(expr):
    """Traces as plain symbols, one for each canonical spelling, so that SymPy can compare them."""
    plain: dict = {}

    def symbol(trace):
        value = canonical(trace, ())
        return value.replace(
            lambda e: isinstance(e, Trace),
            lambda e: plain.setdefault(e, sp.Symbol(f"t{sp.srepr(e)}", positive=True)),
        )

    return expr.replace(lambda e: isinstance(e, Trace), symbol)


def test_kinds_by_use():
    """A small letter is the vector or the scalar that makes the formula one; doubt is an error."""
    value = grammar.read("c (b.x)^2 + t", new=grammar.conventional)
    kinds = {s.name: isinstance(s, MatrixSymbol) for s in value.atoms(sp.Symbol, MatrixSymbol)}
    assert [kinds[name] for name in "bxct"] == [True, True, False, False]
    assert grammar.read("|c|^2", new=grammar.conventional).has(MatrixSymbol)


def test_indices():
    """x_1, x_{1} and x₁ are one vector, and none of them is x."""
    one, two, three = (
        grammar.read(text, new=grammar.conventional, kind="any") for text in ("x_1", "x_{1}", "x₁")
    )
    assert one == two == three != x
    assert one.shape == x.shape


def test_ambiguous_runs_are_refused():
    a, ab, bc, c = (sp.Symbol(name) for name in ("a", "ab", "bc", "c"))
    with pytest.raises(ValueError, match="may be ab c or a bc"):
        grammar.read("abc", [a, ab, bc, c])


def test_theory_is_light():
    """Neither the parser library nor torch is imported with the theory."""
    code = (
        "import lazyrich.theory.grammar, sys; print('lark' in sys.modules, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_a_scalar_that_is_a_sum_of_products_is_written_as_a_sum():
    """SymPy's expand leaves (a - 2 b)'A c as one trace of a sum."""
    a, b, c = (MatrixSymbol(name, D, 1) for name in "abc")
    text = grammar.write(3 * Trace(sp.MatAdd(a.T * A * c, -2 * b.T * A * c)))
    difference = grammar.read(text, [a, b, c, A]) - 3 * form(a, A, c) + 6 * form(b, A, c)
    assert canonical(difference) == 0
    assert grammar.write(Trace(2 * a.T * b)) == "2 a.b"


def test_a_number_has_at_most_400_digits():
    assert grammar.read("1" * 400) == int("1" * 400)
    assert grammar.read("1e400") == 10**400
    for text in ("1" * 401, "1e401"):
        with pytest.raises(ValueError, match="more than 400 digits"):
            grammar.read(text)


def test_a_size_is_read_as_it_is_written():
    assert grammar.read("abs(alpha)", [alpha]) == sp.Abs(alpha)


def test_of_several_readings_two_are_named():
    with pytest.raises(ValueError, match=r"can't tell what \w, \w or \w, \w is; declare it$"):
        grammar.read("x'a b c", [x], new=grammar.conventional)


def test_the_norm_of_frobenius_is_that_of_matrices_alone():
    assert canonical(grammar.read("|A|_F^2", [A]) - Trace(A.T * A)) == 0
    with pytest.raises(grammar.FormulaError, match="norm of a vector: expected a matrix"):
        grammar.read("|x|_F", [x])
    with pytest.raises(grammar.FormulaError, match="the norm of a matrix"):
        grammar.read("|A|", [A])


def test_a_scalar_may_begin_within_a_product_of_matrices():
    found = grammar.read("beta'A x'M x beta", [A, M, x, beta])
    assert canonical(found - form(x, M, x) * form(beta, A, beta)) == 0
    with pytest.raises(grammar.FormulaError, match="character"):
        grammar.read("beta'A x x", [A, x, beta])


def test_the_largest_number_is_read_and_the_next_is_not():
    """4096 bits: those of the base, times the exponent."""
    assert grammar.read(f"{2**63}^64") == 2 ** (63 * 64)
    with pytest.raises(grammar.FormulaError, match="more than 4096 bits"):
        grammar.read(f"{2**64}^64")


def test_each_function_has_its_number_of_arguments():
    """One value and no more, but for binom (two), max and min (any)."""
    pair, h = {"binom": 2}, sp.Symbol("h", positive=True)
    for name, (arguments, function) in FUNCTIONS.items():
        if function is None or arguments is None:
            continue
        assert arguments == pair.get(name, 1)
        if name in ("binom", "factorial", "Gamma"):  # of numbers alone
            continue
        assert grammar.read(f"{name}(h)", [h]) == function(h)
        with pytest.raises(grammar.FormulaError, match="argument"):
            grammar.read(f"{name}(h, h)", [h])
    assert grammar.read("binom(5, 2) + factorial(4) + Gamma(3)") == 36


def test_a_marked_line_has_dots_where_text_is_left_out():
    """32 characters stand on each side of the place."""
    for left_out in (0, 1):
        text = "a" * (32 + left_out) + "!" + "b" * (32 + left_out)
        dots = "..." * left_out
        line = f"formula = {dots}{'a' * 32}>>>!<<<{'b' * 32}{dots}, character {33 + left_out}: no"
        assert str(grammar.FormulaError(text, 32 + left_out, 1, "no")) == line


def test_powers_of_norms_are_written_as_norms_and_no_other_powers():
    for value, text in (
        (Trace(x.T * x) ** 2, "|x|^4"),
        (Trace(beta.T * x) ** 2, "(beta.x)^2"),
        (Trace(x.T * A * x) ** 2, "(x'A x)^2"),
        (Trace(A * A.T) ** 2, "tr(A A')^2"),
        (Trace(A * M) ** 2, "tr(A M)^2"),
    ):
        assert grammar.write(value) == text


@pytest.mark.parametrize(
    ("name", "meant"), [("alp", "alpha"), ("BETA", "beta"), ("epsilno", "epsilon"), ("w1", "w_1")]
)
def test_an_unknown_name_brings_the_nearest(name, meant):
    """One that begins so, one in other letters, or one that looks alike."""
    assert nearest(name, ["alpha", "beta", "epsilon", "w_1"]).startswith(
        f"unknown name; did you mean {meant!r}?"
    )


def test_what_is_no_text_or_too_long_has_no_mean():
    mean = "E[x.x]"
    assert [count(None), count(2), count("x.x"), count(mean), count(f"E[{mean}]")] == [
        0,
        0,
        0,
        1,
        2,
    ]
    longest = mean + " " * (MAX_CHARACTERS - len(mean))
    assert (count(longest), count(longest + " ")) == (1, 0)
    twice = f"2 {mean}"
    longest = twice + " " * (MAX_CHARACTERS - len(twice))
    assert expectation(longest).expr == expectation(twice).expr


@pytest.mark.parametrize("text", ["Cov[x.x, zz.x]", "Var[x.x - zz.x]", "2 E[zz.x]"])
def test_an_error_within_a_mean_marks_its_place_in_the_whole(text):
    marked = text.replace("zz", ">>>zz<<<")
    place = f"character {text.index('zz') + 1}: unknown name"
    with pytest.raises(ValueError) as error:
        expectation(text)
    assert f"{marked}, {place}" in str(error.value)
