"""The Gaussian calculator: against cubature, on text and on SymPy, and what it refuses."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import MatrixSymbol

from lazyrich import theory
from lazyrich.theory import ClosedForm, wick
from lazyrich.theory.calculator import _share
from lazyrich.theory.natural import check_size
from lazyrich.theory.symbols import D, Gaussian, Sigma, x, x_prime
from tests.gaussian_formulas import GAUSSIANS, Formula, cubature_mean, formulas, numbers


def _gaussians(text: str) -> list[str]:
    words = re.findall(r"[A-Za-z_]+", text)
    return [name for name in GAUSSIANS if name in words]


def _points(degree: int, dimension: int, used: list[str]) -> int:
    return (degree // 2 + 1) ** (dimension * len(used))


def _agrees(formula, dimension, seed, covariance, form=None, used=None):
    """Whether the derived mean has cubature's value at random numbers."""
    fixed = numbers(dimension, seed)
    root = np.array(np.random.default_rng(seed + 1).integers(-4, 5, (dimension, dimension)) / 4)
    laws = {
        "I/D": np.eye(dimension) / dimension**0.5,
        "C": root,
        "sigma^2 I": 1.25 * np.eye(dimension),
    }
    used = used or _gaussians(formula.text)
    given_laws = {name: covariance for name in used if name != "w"}
    scales = {name: laws["sigma^2 I" if name == "w" else covariance] for name in used}
    expected, size = cubature_mean(formula.value, max(formula.degree, 1), scales, fixed)
    symmetric = [name for name in "S" if name in formula.text + "".join(given_laws.values())]
    form = form or theory.expectation(formula.text, covariance=given_laws, symmetric=symmetric)
    values = fixed | {"C": root @ root.T, "D": dimension}
    found = form.evaluate(**{name: values[name] for name in form.arguments()})
    return abs(float(found) - expected) <= 1e-11 * (1 + size)


@given(formulas(8), st.integers(1, 3), st.integers(0, 99), st.sampled_from(["I/D", "C"]))
def test_any_polynomial_has_the_mean_of_cubature(formula, dimension, seed, covariance):
    """Random texts, up to degree 8, three independent vectors, D = 1 to 3, any covariance."""
    used = _gaussians(formula.text)
    assume(used)
    assume(_points(formula.degree, dimension, used) <= 50_000)
    assert _agrees(formula, dimension, seed, covariance), formula.text


def test_where_all_gaussian_vectors_cancel_the_rest_is_the_mean():
    form = theory.expectation("(b'b + b'A x) - (b'c + b'A x)", covariance={"x": "C"})
    assert form.evaluate(b=[1, 2], c=[3, 4]) == -6
    with pytest.raises(ValueError, match="no x, x_prime or w in the formula"):
        theory.expectation("b'b - b'c")


def test_a_mean_that_forgets_transposes_is_rejected():
    """Control: with A taken to be symmetric the same comparison fails, unless A is refused."""
    form = Formula("(x'Ax)^2", lambda v: ((v["x"] @ v["A"].T) * v["x"]).sum(-1) ** 2, 4)
    assert _agrees(form, 3, 5, "C")
    symmetric = theory.expectation(form.text, covariance={"x": "C"}, symmetric=("A",))
    with pytest.raises(ValueError, match=r"A has .* must be symmetric"):
        _agrees(form, 3, 5, "C", symmetric)
    A = symmetric.symbols["A"]
    forgetful = symmetric.expr.xreplace({A: MatrixSymbol(*A.args)})
    assert not _agrees(form, 3, 5, "C", ClosedForm("", "", forgetful, [], "", ""))


# What theorists write, with the value in numbers: every text is compared with cubature at
# D = 1, 2, 3. q(v, "A", "x", "y") is x'Ay on arrays.
def q(v, left, *chain):
    *matrices, right = chain
    vector = v[right]
    for name in reversed(matrices):
        vector = vector @ (v[name[:-1]] if name.endswith("'") else v[name].T)
    return (v[left] * vector).sum(-1)


_TEXTS = {
    "(x'Ax)^2 (b.x)^2": (6, lambda v: q(v, "x", "A", "x") ** 2 * q(v, "b", "x") ** 2),
    "(x'Ax)^6": (12, lambda v: q(v, "x", "A", "x") ** 6),
    "(b.x)^12": (12, lambda v: q(v, "b", "x") ** 12),
    "|x|^12/D": (12, lambda v: q(v, "x", "x") ** 6 / len(v["b"])),
    "x'ABx": (2, lambda v: q(v, "x", "A", "B", "x")),
    "x'A'Bx b'x": (3, lambda v: q(v, "x", "A'", "B", "x") * q(v, "b", "x")),
    "x.ABx": (2, lambda v: q(v, "x", "A", "B", "x")),
    "(Ax).(Bx)": (2, lambda v: q(v, "x", "A'", "B", "x")),
    "|Ax|^2 |b|^2": (2, lambda v: q(v, "x", "A'", "A", "x") * q(v, "b", "b")),
    "|Ax - Bx|^2": (
        2,
        lambda v: (
            q(v, "x", "A'", "A", "x") + q(v, "x", "B'", "B", "x") - 2 * q(v, "x", "A'", "B", "x")
        ),
    ),
    "|x - x_prime|^4": (
        4,
        lambda v: (q(v, "x", "x") - 2 * q(v, "x", "x_prime") + q(v, "x_prime", "x_prime")) ** 2,
    ),
    "(x.x_prime)^4": (8, lambda v: q(v, "x", "x_prime") ** 4),
    "(x.x_prime)^2 (x.x_prime + b.x)^2": (
        8,
        lambda v: q(v, "x", "x_prime") ** 2 * (q(v, "x", "x_prime") + q(v, "b", "x")) ** 2,
    ),
    "tr(x x'A)": (2, lambda v: q(v, "x", "A", "x")),
    "tr((x x')^2 A)": (4, lambda v: q(v, "x", "x") * q(v, "x", "A", "x")),
    "tr(A x x' B x x')": (4, lambda v: q(v, "x", "A", "x") * q(v, "x", "B", "x")),
    "tr((A x x')^3)": (6, lambda v: q(v, "x", "A", "x") ** 3),
    "x'A x x'B x": (4, lambda v: q(v, "x", "A", "x") * q(v, "x", "B", "x")),
    "((x'A)x)^2": (4, lambda v: q(v, "x", "A", "x") ** 2),
    "(w.x + epsilon/2 (w.x)^2)^2": (
        8,
        lambda v: (q(v, "w", "x") + v["epsilon"] / 2 * q(v, "w", "x") ** 2) ** 2,
    ),
    "(1 + ε w.x)^2 x.x_prime w.x_prime": (
        8,
        lambda v: (
            (1 + v["epsilon"] * q(v, "w", "x")) ** 2 * q(v, "x", "x_prime") * q(v, "w", "x_prime")
        ),
    ),
    "(β·x)²/2 - x'Sx": (2, lambda v: q(v, "beta", "x") ** 2 / 2 - q(v, "x", "S", "x")),
    "((β·x)² − |β|²/D)²": (
        4,
        lambda v: (q(v, "beta", "x") ** 2 - q(v, "beta", "beta") / len(v["b"])) ** 2,
    ),
    "He_3(beta.x)^2": (6, lambda v: (q(v, "beta", "x") ** 3 - 3 * q(v, "beta", "x")) ** 2),
    "He_2(b.x) He_2(c.x)": (4, lambda v: (q(v, "b", "x") ** 2 - 1) * (q(v, "c", "x") ** 2 - 1)),
    "xᵀAx": (2, lambda v: q(v, "x", "A", "x")),
    "x^T A^T B x": (2, lambda v: q(v, "x", "A'", "B", "x")),
    "x.T*A*x*b.T*x": (3, lambda v: q(v, "x", "A", "x") * q(v, "b", "x")),
    "(x'*A*x)**3": (6, lambda v: q(v, "x", "A", "x") ** 3),
    "[x'Ax - tr(A)/D]^2": (
        4,
        lambda v: (q(v, "x", "A", "x") - np.trace(v["A"]) / len(v["b"])) ** 2,
    ),
    "2(b.x)^2(c.x)^2": (4, lambda v: 2 * q(v, "b", "x") ** 2 * q(v, "c", "x") ** 2),
    "-3 (b.x)^4/4": (4, lambda v: -0.75 * q(v, "b", "x") ** 4),
    "(b.x)^2/|b|^2": (2, lambda v: q(v, "b", "x") ** 2 / q(v, "b", "b")),
    "(b.x)^2/(1 + |b|^2)^(1/2)": (2, lambda v: q(v, "b", "x") ** 2 / (1 + q(v, "b", "b")) ** 0.5),
    "exp(-tr(S)) x'x": (2, lambda v: np.exp(-np.trace(v["S"])) * q(v, "x", "x")),
    "x'(A + A')x": (2, lambda v: 2 * q(v, "x", "A", "x")),
    "x'(A - A')x": (2, lambda v: 0 * q(v, "x", "x")),
    "x'(A + I/D)^2 x": (
        2,
        lambda v: (
            q(v, "x", "A", "A", "x")
            + 2 * q(v, "x", "A", "x") / len(v["b"])
            + q(v, "x", "x") / len(v["b"]) ** 2
        ),
    ),
    "b'x x'c": (2, lambda v: q(v, "b", "x") * q(v, "x", "c")),
    "b'(x x')^3 c": (6, lambda v: q(v, "b", "x") * q(v, "x", "x") ** 2 * q(v, "x", "c")),
    "w'A x x_prime'B w": (4, lambda v: q(v, "w", "A", "x") * q(v, "x_prime", "B", "w")),
    "(w'A x)^2 (x_prime'B w)^2": (
        8,
        lambda v: q(v, "w", "A", "x") ** 2 * q(v, "x_prime", "B", "w") ** 2,
    ),
    "||x||^4 - |x|^4 + x.x": (4, lambda v: q(v, "x", "x")),
    "(b + c).x (b - c).x": (2, lambda v: q(v, "b", "x") ** 2 - q(v, "c", "x") ** 2),
    "(b + x).(c + x)": (
        2,
        lambda v: q(v, "b", "c") + q(v, "b", "x") + q(v, "c", "x") + q(v, "x", "x"),
    ),
    "(x + A x)'(x - B x)": (
        2,
        lambda v: (
            q(v, "x", "x") + q(v, "x", "A", "x") - q(v, "x", "B", "x") - q(v, "x", "A'", "B", "x")
        ),
    ),
    "(x.x)^0 + x.x": (2, lambda v: 1 + q(v, "x", "x")),
    "1e1 x.x/2.5": (2, lambda v: 4 * q(v, "x", "x")),
    "(x'Sx)^4 (b.x)^2": (10, lambda v: q(v, "x", "S", "x") ** 4 * q(v, "b", "x") ** 2),
    "(x'Ax)^2 (x'Bx)^2 (b.x)^2 (c.x)^2": (
        12,
        lambda v: (
            (q(v, "x", "A", "x") * q(v, "x", "B", "x") * q(v, "b", "x") * q(v, "c", "x")) ** 2
        ),
    ),
    "tr(A B' x x') tr(x x' B)": (4, lambda v: q(v, "x", "A", "B'", "x") * q(v, "x", "B", "x")),
    "D(D + 2) |x|^4": (4, lambda v: len(v["b"]) * (len(v["b"]) + 2) * q(v, "x", "x") ** 2),
    "x.x_prime x_prime.w w.x": (
        6,
        lambda v: q(v, "x", "x_prime") * q(v, "x_prime", "w") * q(v, "w", "x"),
    ),
    "(x.x_prime x_prime.w w.x)^2": (
        12,
        lambda v: (q(v, "x", "x_prime") * q(v, "x_prime", "w") * q(v, "w", "x")) ** 2,
    ),
    "x'A^3x": (2, lambda v: q(v, "x", "A", "A", "A", "x")),
    "tr(A)^2 x'x - tr(A^2) b.b x.x": (
        2,
        lambda v: (
            (np.trace(v["A"]) ** 2 - np.trace(v["A"] @ v["A"]) * q(v, "b", "b")) * q(v, "x", "x")
        ),
    ),
    "((x'x)^2 - 1)^2 (b.x)": (9, lambda v: (q(v, "x", "x") ** 2 - 1) ** 2 * q(v, "b", "x")),
    "c'A'x x'Ac": (2, lambda v: q(v, "x", "A", "c") ** 2),
    "x'diag(b)x": (2, lambda v: (v["x"] ** 2 * v["b"]).sum(-1)),
}


@pytest.mark.parametrize("text", _TEXTS)
def test_what_theorists_write_has_the_mean_of_cubature(text):
    degree, value = _TEXTS[text]  # type: ignore[misc]
    plain_text = text.replace("x_prime", "y")
    used = [
        n
        for n in GAUSSIANS
        if re.search(rf"\b{n}\b|{n}(?=[ᵀ])|(?<=[AB3]){n}\b", plain_text if n == "x" else text)
    ]
    compared = 0
    for dimension in (1, 2, 3):
        if _points(degree, dimension, used) > 120_000:
            continue
        compared += 1
        formula = Formula(text, value, degree)
        assert _agrees(formula, dimension, 3 + dimension, "I/D", used=used)
    assert compared


def test_conditional_means_and_laws():
    """A vector without a law stays; a covariance by name is symmetric."""
    form = theory.expectation("(x.x_prime)^2 (b.x)^2", over=("x",), covariance={"x": "Sigma"})
    both = wick.expectation(form.expr, Gaussian(x_prime, Sigma))
    whole = theory.expectation(
        "(x.x_prime)^2 (b.x)^2", covariance={"x": "Sigma", "x_prime": "Sigma"}
    )
    assert wick.equal(both, whole.expr)
    assert "x_prime given" in form.assumptions
    spiked = theory.expectation("(b.x)^4", covariance={"x": "sigma^2 I + beta beta'"}).expr
    assert theory.grammar.write(spiked).count("(b.beta)^4") == 1


def test_natural_sympy():
    """Matrices of shape (1, 1), traces, and symbols and dimensions of the user's own."""
    n = sp.Symbol("n", integer=True, positive=True)
    y, b = sp.MatrixSymbol("x", n, 1), sp.MatrixSymbol("b", n, 1)
    A = sp.MatrixSymbol("A", n, n)
    natural = theory.expectation((y.T * A * y) ** 2 * (b.T * y) ** 2).expr
    traced = theory.expectation(sp.Trace(y.T * A * y) ** 2 * sp.Trace(b.T * y) ** 2).expr
    text = theory.expectation("(x'Ax)^2 (b.x)^2").expr
    assert wick.equal(natural, traced)
    assert wick.equal(natural.xreplace({n: D}), text)
    declared = theory.expectation((y.T * A * y) ** 2, symmetric=("A",), covariance={"x": "Sigma"})
    assert theory.grammar.write(declared.expr) == "tr(A Sigma)^2 + 2 tr(A Sigma A Sigma)"


def test_some_values_leave_the_rest_symbolic():
    form = theory.expectation("(x'Ax)^2 (b.x)^2 + c", symmetric=("A",))
    assert form.subs(D=100).arguments() == ["A", "b", "c"]
    assert form.subs(D=100).symbols["b"].shape == (100, 1)
    assert form.subs(b=[1, 3], c=5).evaluate(A=[[1, 2], [2, 0]]) == 5 + form.evaluate(
        D=2, A=[[1, 2], [2, 0]], b=[1, 3], c=0
    )
    whole = form.evaluate(D=2, A=[[1, 2], [2, 0]], b=[1, 3], c=5)
    assert form.subs(D=2, A=[[1, 2], [2, 0]], b=[1, 3]).subs(c=5).expr == whole
    for bad, message in [
        ({"D": 0}, "D = 0"),
        ({"D": 2.5}, "D = 2.5"),
        ({"b": [1, 2], "A": [[1]]}, "shape"),
        ({"q": 1}, "argument = 'q'"),
    ]:
        with pytest.raises(ValueError, match=message):
            form.subs(**bad)


def test_what_the_mean_does_not_depend_on_may_have_a_value():
    assert theory.expectation("|x|^2").subs(D=3).expr == 1
    zero = theory.expectation("x'Ax b.x")
    assert zero.subs(D=2, b=[1, 3]).expr == zero.evaluate(A=[[1]]) == 0
    for bad, message in [({"D": 0}, "D = 0"), ({"D": 2, "b": [1]}, "shape"), ({"x": [1]}, "'x'")]:
        with pytest.raises(ValueError, match=message):
            zero.subs(**bad)


def test_the_only_matrix_of_a_covariance_is_symmetric():
    right = theory.expectation("(x'Ax)^2", covariance={"x": "2 S"}, symmetric=("S",))
    assert theory.expectation("(x'Ax)^2", covariance={"x": "2 S"}).expr == right.expr
    general = theory.expectation("x'Ax", covariance={"x": "G G'"})
    assert theory.grammar.write(general.expr) == "tr(A G G')"


@pytest.mark.parametrize(
    ("text", "keywords", "message"),
    [
        ("exp(b.x)", {}, r"exp\(b.x\): must be a polynomial in x; expand it"),
        ("|x|^3", {}, "only even powers"),
        ("(b.x)^2/x.x", {}, "quotient"),
        ("erf(w.x)", {}, "must be a polynomial in w and x"),
        ("b.c", {}, "no x, x_prime or w"),
        ("3", {}, "expr = 3: has no Gaussian vector"),
        ("x.x", {"covariance": {"x": "[[1,0],[0,1]]"}}, "must be a formula such as Sigma"),
        ("(z.b)^2", {"over": ("z",)}, "z has no law"),
        ("(z.b)^2", {"over": ("y",)}, "over = 'y'"),
        ("x.x", {"covariance": {"w": "I"}}, "covariance = 'w'"),
        ("x.x", {"covariance": {"x": "A B"}}, "must be symmetric"),
        ("x.x", {"covariance": {"x": "2"}}, "must be a matrix, such as 2 I"),
        ("x.x", {"covariance": {"x": "b"}}, "must be square"),
        ("x.x", {"covariance": {"x": "(A"}}, "covariance of x = >>>[(]<<<A"),
        ("x.w", {"covariance": {"x": "w w'"}}, "free of w"),
        ("x'Ax", {"symmetric": "A"}, "names in a tuple"),
        ("x'Ax", {"symmetric": ("A",), "vectors": ("A",)}, "declared as something else"),
        ("(b.x)^50", {}, "degree 50"),
        ("x'A", {}, "expected a scalar"),
        ("x'Ax)", {}, "nothing is open"),
        (None, {}, "must be a text"),
        (sp.MatrixSymbol("A", D, D), {}, "must be a scalar"),
        (x.T * x, {"over": ("b",)}, "over = 'b'"),
    ],
)
def test_bad_input_is_one_line(text, keywords, message):
    with pytest.raises(ValueError, match=message) as caught:
        theory.expectation(text, **keywords)
    assert "\n" not in str(caught.value)


def _command(*arguments: str) -> subprocess.CompletedProcess:
    code = "import sys; from lazyrich.cli import main; main(sys.argv[1:])"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_command():
    run = _command(
        "derive", "--expect", "(x'Ax)^2", "--symmetric", "A", "--at", "D=100", "--format", "json"
    )
    assert json.loads(run.stdout)["expr"] == "Trace(A**2)/5000 + Trace(A)**2/10000"
    run = _command("derive", "--expect", "(x'Ax_prime)^2", "--over", "x", "--cov", "x=Sigma")
    assert "x ~ N(0, Sigma)" in run.stdout
    for arguments, message in [
        (["--expect", "(x'Ax"], ">>>(<<<"),
        (["--cov", "x=I"], "--cov: needs --expect"),
        (["--expect", "x.x", "--cov", "x"], "must be NAME=MATRIX"),
        (["test-loss", "--expect", "x.x"], "takes no NAME"),
    ]:
        run = _command("derive", *arguments)
        assert run.returncode == 2
        assert message in run.stderr
        assert run.stderr.count("\n") == 1


def test_no_torch():
    code = (
        'import sys; from lazyrich import theory; theory.expectation("(x\'Ax)^2"); '
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["Gamma", "Lambda", "Omega"])
def test_a_greek_capital_is_a_matrix_where_one_fits_and_else_a_number(name):
    between = theory.expectation(f"x'{name} x").expr
    assert between == sp.Trace(MatrixSymbol(name, D, D)) / D
    assert theory.expectation(f"x'\\{name} x").expr == between  # in LaTeX
    factor = theory.expectation(f"{name} (b.x)^2").expr / theory.expectation("(b.x)^2").expr
    assert sp.simplify(factor) == sp.Symbol(name, real=True)


@pytest.mark.parametrize("entries", [[[1, 2], [2, 1]], [[1.0, 2.0], [2.0, 1.0]], [[-1]]])
def test_an_indefinite_covariance_is_refused_wherever_it_has_values(entries):
    """A singular one is the law of a vector in a subspace: its mean is that of the subspace."""
    mean = theory.expectation("(x.x)^2", covariance={"x": "Sigma"})
    own = theory.Problem("h", "x.x", inputs="Sigma")
    asked = (
        lambda: mean.subs(Sigma=entries),
        lambda: mean.evaluate(Sigma=entries),
        lambda: mean.function("numpy")(Sigma=entries),
        lambda: own.closed_form("target-power").evaluate(Sigma=entries),
        lambda: own.population_loss(W=[[1.0] * len(entries)], Sigma=entries),
        lambda: theory.Problem(inputs=entries),
    )
    for call in asked:
        with pytest.raises(ValueError, match="has the eigenvalue -1: a covariance must be"):
            call()
    assert mean.evaluate(Sigma=[[1, 1], [1, 1]]) == 12  # x = (z, z): <4 z^4>
    assert mean.function("numpy")(Sigma=[[1, 1], [1, 1]]) == pytest.approx(12)


def test_covariances_that_no_vector_has_are_refused():
    for text, at in (("I - C", {"C": [[2]]}), ("s I", {"s": -1})):
        mean = theory.expectation("(x.x)^2", covariance={"x": text})
        with pytest.raises(ValueError, match="covariance of x has the eigenvalue -1"):
            mean.subs(**at)
    for text in ("-I", "-I/D", "A B"):
        with pytest.raises(ValueError, match=r"must be (positive semidefinite|symmetric)"):
            theory.expectation("(x.x)^2", covariance={"x": text})


@pytest.mark.parametrize(
    "text",
    [
        "E[(x'Ax)^2]",
        "E_x [(x'Ax)^2]",
        "<(x'Ax)^2>_x",
        "⟨(x'Ax)^2⟩",
        r"\mathbb{E}[(x^\top A x)^2]",
        r"\mathbb E_{x}\left[ \left(x^{\text{T}} A x\right)^2 \right]",
        r"\operatorname{\mathbb{E}}_x\bigl[(x^{T}Ax)^2\bigr]",
        r"$\langle (x^\intercal A x)^2 \rangle_{x}$",
        r"\left\langle \langle x, A x\rangle^2 \right\rangle_x",
    ],
)
def test_the_sign_of_a_mean_around_a_polynomial_is_read(text):
    assert theory.expectation(text).expr == theory.expectation("(x'Ax)^2").expr


def test_the_index_of_a_mean_names_its_vectors():
    conditional = theory.expectation("E_w[(w.x)^2]").expr
    assert conditional == theory.expectation("(w.x)^2", over=("w",)).expr
    both = theory.expectation("E_{x, x'}[(x.x')^2 (x'.x')]").expr
    assert both == theory.expectation("(x.x_prime)^2 x_prime.x_prime").expr
    assert (
        theory.expectation(r"\langle x, b\rangle \langle x, b\rangle").expr
        == theory.expectation("(b.x)^2").expr
    )  # two scalar products, no mean
    for text, reason in (
        ("E[x.x] + E[w.w", "with both brackets"),
        ("E[(x.x)^2] - E[bta x.x]^2", "E[>>>bta<<< x.x]^2, character 16"),
        ("E[x.x] + foo", ">>>foo<<<, character 10"),
        ("E[(w.x)^2 | q]", "given = 'q': the formula has no q; it has w, x"),
        ("E_x[x.x | x]", "over = x: the mean is conditional on x"),
        (r"\mathbb{E}_{x \sim N(0, I)}[x.x]", "the index of a mean names its vectors"),
        ("E_q[x.x]", "over = 'q': Allowed: x"),
    ):
        with pytest.raises(ValueError, match=re.escape(reason)):
            theory.expectation(text)
    with pytest.raises(ValueError, match="the mean in E_w"):
        theory.expectation("E_w[(w.x)^2]", over=("x",))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("E[(b.x)^4] - E[(b.x)^2]^2", "2 |b|^4/D^2"),
        (r"\mathbb{E}\left[(b^\top x)^4\right] - \mathbb{E}_x[(b^\top x)^2]^2", "2 |b|^4/D^2"),
        (r"\langle (x^\top A x)^2\rangle - \langle x^\top Ax\rangle^2", "(tr(A A') + tr(A^2))/D^2"),
        (r"\frac{<(b.x)^4>}{<(b.x)^2>^2}", "3"),
        ("(x.x - E[x.x])^2", "2/D"),  # x outside of the mean: all of it is averaged
        ("E[(x.x - E[x.x])^2]", "2/D"),
        ("E_x[(w.x)^4] - E_x[(w.x)^2]^2", "2 |w|^4/D^2"),  # w stays
        ("E_w[E_x[(w.x)^2]^2]", "sigma^4 (1 + 2/D)"),
        ("E[E[(w.x)^2 | w]^2]", "sigma^4 (1 + 2/D)"),
        ("E[(w.x)^2 |x|^2 | w] - E[(w.x)^2 | w]", "2 |w|^2/D^2"),
        ("Var[(b.x)^2]", "2 |b|^4/D^2"),
        (r"\operatorname{Var}_x\left(\|x\|^2\right) + \mathbb{V}[b \cdot x]", "2/D + |b|^2/D"),
        ("E_w[Var_x[w.x]] + Var_w[E_x[(w.x)^2]]", "sigma^2 + 2 sigma^4/D"),
        (r"\mathbb{E}\left((b\cdot x)^2\right)/\mathbb{E}\{(b\cdot x)^2\}", "1"),
        ("E[(x'Ax)^2 | A] - E[x'Ax]^2", "(tr(A A') + tr(A^2))/D^2"),
        ("Cov[(a.x)^2, (b.x)^2]", "2 (a.b)^2/D^2"),
        (r"\mathrm{Cov}_x(a \cdot x, b \cdot x) + 1", "a.b/D + 1"),
        ("Cov[(w.x)^2, x.x | w]", "2 |w|^2/D^2"),
        ("<<a,x>^2 <b, x>^2>", "(|a|^2 |b|^2 + 2 ⟨a,b⟩^2)/D^2"),
    ],
)
def test_means_inside_a_formula(text, right):
    assert theory.check(f"expect: {text}", right)
    assert not theory.check(text, f"2 ({right})")  # expect: is not needed where there is a mean


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a < b", "a >>><<<< b, character 3: expected one formula, without a comparison"),
        ("x.x > 1", "x.x >>>><<< 1, character 5: expected one formula, without a comparison"),
        ("<2,x>", ">>><2,x><<<, character 1: a scalar product of a scalar and a vector"),
    ],
)
def test_angles_that_are_no_scalar_product_are_one_line(text, line):
    with pytest.raises(ValueError, match=re.escape(line)):
        theory.expectation(text)


def test_a_covariance_needs_its_comma():
    with pytest.raises(ValueError, match=re.escape(">>>Cov[a.x b.x]<<<, character 1: expected")):
        theory.expectation("Cov[a.x b.x]")
    with pytest.raises(ValueError, match=re.escape("b.>>>.<<<x], character 12")):
        theory.expectation("Cov[a.x, b..x]")


def test_means_inside_a_formula_have_the_options_of_all():
    laws = {"z": "Sigma", "x": "I"}
    both = theory.expectation("E[(a.z)^2 (b.x)^2] - E[(a.z)^2]", covariance=laws)
    assert both.evaluate(a=[1, 2], b=[3, 0], Sigma=[[2, 1], [1, 1]]) == 10 * 9 - 10
    variance = theory.expectation("E[(x'Ax)^2] - E[x'Ax]^2", symmetric=("A",)).expr
    assert theory.check("expect: (x'Ax - tr(A)/D)^2", "2 tr(A^2)/D^2", symmetric=("A",))
    assert variance == theory.expectation("(x'Ax - tr(A)/D)^2", symmetric=("A",)).expr
    with pytest.raises(ValueError, match=re.escape("over = x: E[|w|^2] has none of them")):
        theory.expectation("E[w.w] - E[x.x]", over=("x",))


def test_a_formula_may_be_a_mean():
    loss = "E_x[((beta.x)^2/2 - alpha wbar.x - alpha epsilon x'M x/2)^2]"
    assert theory.check("test-loss", loss)
    assert not theory.check("test-loss", loss.replace("/2)^2]", ")^2]"))
    assert theory.check(
        "expect: (z'A z)^2", "E[z'A z]^2 + 2 tr(A^2)", covariance={"z": "I"}, symmetric=("A",)
    )


def test_a_mean_in_a_formula_has_the_laws_of_the_form():
    other = theory.Problem("h^2", "beta.x", readouts="trained", inputs="Sigma")
    for name, right in (
        ("target-power", "E[(beta.x)^2]"),
        ("ntk-at-init.from_readouts", "E_w[(w.x)^2 (w.x_prime)^2]"),
    ):
        assert theory.check(name, right, problem=other)


def test_a_prime_after_a_dot_is_the_second_input_and_a_trace_needs_no_brackets():
    named = theory.expectation("(x.x_prime)^2 (b.x_prime)^2").expr
    assert theory.expectation("(x.x')^2 (b . x')^2").expr == named != 0
    assert theory.expectation("x.x (tr A)^2").expr == theory.expectation("x.x tr(A)^2").expr
    assert theory.expectation("tr AB x.x").expr == theory.expectation("tr(A B) x.x").expr
    with pytest.raises(ValueError, match="scalar product of a row"):
        theory.expectation("x'.x")  # x'x, or x_prime.x: two readings
    for text in ("tr A^2 x.x", "tr A B x.x", "tr A' x.x"):
        with pytest.raises(ValueError, match="unclear: write tr"):
            theory.expectation(text)


def test_a_matrix_declared_symmetric_that_no_text_mentions_is_a_slip():
    with pytest.raises(ValueError, match=r"symmetric = Q: must be a matrix of the formula x'Ax"):
        theory.expectation("x'Ax", symmetric=("Q",))
    assert theory.expectation("x'Γx", symmetric=("Gamma",)).expr.has(sp.Trace)


def test_progress_of_a_mean_is_from_0_to_its_end_and_never_back():
    seen = []
    theory.expectation("(x'Ax)^3 (b.x)^4", progress=lambda done, total: seen.append(done / total))
    assert len(seen) >= 3
    assert seen == sorted(set(seen))
    assert (seen[0], seen[-1] <= 1) == (0, True)


@pytest.mark.parametrize(
    ("done", "total", "whole"), [(0, 1, 1), (1, 1, 2), (0, 0, 1), (6, 8, 1.75)]
)
def test_the_progress_of_a_part_fills_its_share_of_the_whole(done, total, whole):
    """The second of three means; one without a number to take is at its start."""
    seen = []
    share = _share(lambda *told: seen.append(told), 1, 3)
    assert share is not None
    share(done, total)
    assert seen == [(whole, 3)]


def test_powers_of_matrices_have_as_many_terms_as_words():
    """(A + B)^k has 2^k words, as matrices don't commute; (a + b)^k has k + 1 terms."""
    A, B = (sp.MatrixSymbol(name, D, D) for name in "AB")
    check_size((A + B) ** 16, "expr")  # 65,536
    for power, size in ((17, "131072"), (40, r"at least 10\^12"), (5000, r"at least 10\^300")):
        with pytest.raises(ValueError, match=rf"^expr: has {size} terms .* at most 100000$"):
            check_size((A + B) ** power, "expr")
    a, b = sp.symbols("a b")
    check_size((a + b) ** 99_999, "expr")
    with pytest.raises(ValueError, match="at most 100000"):
        check_size((a + b) ** 100_000, "expr")
