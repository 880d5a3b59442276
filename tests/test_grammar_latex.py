"""LaTeX of papers, and of our own printer, is read as what it means; errors mark the LaTeX."""

import re

import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from lazyrich import theory
from lazyrich.theory import grammar
from lazyrich.theory.checking.compare import Plain, decide
from lazyrich.theory.closed_form import latex
from lazyrich.theory.generate import arguments
from lazyrich.theory.symbols import D, M, N, alpha, beta, epsilon, sigma, wbar, wbar0, x, x_prime
from lazyrich.theory.wick import canonical, dot, form

NAMES = [D, N, M, alpha, beta, epsilon, sigma, wbar, wbar0, x, x_prime]


def read(text: str):
    return grammar.read(text, NAMES, kind="any")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\frac{3 |\beta|^4}{4 D^2}", 3 * dot(beta, beta) ** 2 / (4 * D**2)),
        (r"\frac12\alpha + \dfrac\alpha{2}", alpha),
        (r"\sqrt{\frac{D}{2}}\sqrt2", sp.sqrt(D)),
        (r"\sqrt[3]{D}", D ** sp.Rational(1, 3)),
        (r"e^{-\alpha} + e", sp.exp(-alpha) + sp.E),
        (r"\left(D + 2\right)^{-1}", 1 / (D + 2)),
        (r"\bigl[D+2\bigr]\{D\}", (D + 2) * D),
        (r"2\alpha\epsilon\sigma", 2 * alpha * epsilon * sigma),
        (r"\varepsilon\,\alpha\; \quad D", epsilon * alpha * D),
        (r"\bar{w}\cdot\beta + \bar w\cdot\beta", 2 * dot(wbar, beta)),
        (r"\bar{\mathbf{w}}_0 \cdot \boldsymbol{\beta}", dot(wbar0, beta)),
        (r"\|x\|^2 + \lVert x\rVert^{2} + \left|x\right|^2", 3 * dot(x, x)),
        (r"\operatorname{Tr}\left(M^{2}\right) + \mathrm{tr} (M)", sp.Trace(M**2) + sp.Trace(M)),
        (r"\beta^\top M\beta + \beta^{\top}M\beta + \beta^T M \beta", 3 * form(beta, M, beta)),
        (r"\beta^{\mathsf{T}} M \beta + \beta'M\beta", 2 * form(beta, M, beta)),
        (r"\langle \beta, \bar{w} \rangle^2", dot(beta, wbar) ** 2),
        (r"\left\langle \beta, M\bar{w} \right\rangle", form(beta, M, wbar)),
        (r"x \cdot x' + \langle x', x\rangle + x^\top x'", 3 * dot(x, x_prime)),
        (r"x \cdot x' \left(1 + \alpha\right)", (1 + alpha) * dot(x, x_prime)),
        (r"\left|x'\right|^{2} - x'x\,\alpha", dot(x_prime, x_prime) - alpha * dot(x, x)),
        (r"\beta^\top M x' \, \epsilon", epsilon * form(beta, M, x_prime)),
        (r"$\epsilon^2$", epsilon**2),
        (r"\exp\left(\alpha\right) + \exp(\alpha)", 2 * sp.exp(alpha)),
        (r"3 \times 4 \cdot \alpha", 12 * alpha),
        (r"(\operatorname{tr} M)^2", sp.Trace(M) ** 2),
        (r"2 \mathrm{Tr}\, M / D", 2 * sp.Trace(M) / D),
        (r"\|x\|_2^2 + \lVert x \rVert^2_2 + \norm{x}^2", 3 * dot(x, x)),
        (r"\left\lVert x \right\rVert_{2}^{2} + \bigl\|x\bigr\|^2", 2 * dot(x, x)),
        (r"\|M\|_F^2", sp.Trace(M**2)),
        (r"x^{\text{T}} \beta + x^\intercal \beta + x^{\mathsf T}\beta", 3 * dot(x, beta)),
        (
            r"x^{\!\top}\beta + x^{\mkern-1.5mu\mathsf{T}}\beta + \sqrt{1} x^{T}\beta",
            3 * dot(x, beta),
        ),
        (r"\tfrac{1}{2} \boldsymbol{x}.\mathbf x + \nicefrac12 {\bf x}.\pmb{x}", dot(x, x)),
        (r"\big(\beta \cdot x\big)^2", dot(beta, x) ** 2),
    ],
)
def test_reads_the_latex_of_papers(text, value):
    assert canonical(sp.expand(read(text) - value)) == 0


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (r"\frac{\alpha}{0}", "{0}", "division by zero"),
        (r"\frac{\alpha}{\gamma}", r"\gamma", "unknown name"),
        (r"\frac{\beta}{2} + \alpha", r"\alpha", "can't add a vector and a scalar"),
        (r"\alpha + \sum_i x_i", r"\sum", "a LaTeX command that is not read"),
        (r"\frac{1}{D", "", "expected '}' before the end"),
        (r"\frac 1", "", "expected '}' before the end"),
        (r"\alpha} + 1", "}", "nothing is open"),
        (r"\left(D + \alpha", "(", "never closed: expected ')'"),
        (r"\langle \alpha \rangle", r"\rangle", "is read in a formula to average"),
        (r"\langle x, x", "", r"expected '\rangle' before the end"),
        (r"\beta x", "x", "write x.y"),
        (r"\sqrt{x}", "x", "expected a scalar"),
        (r"\alpha = 2", "=", "without '='"),
        (r"\alpha^{\frac{1}{0}}", "{0}", "division by zero"),
        ("\\", "\\", "not '\\\\'"),
        (r"\mathrm{touch}(D)", "touch", "unknown name"),
        (r"\mathrm{tr} M^2", r"tr} M^2", "unclear: write tr(M^2) or (tr M)^2"),
        (r"\operatorname{tr} M \beta", r"tr} M", "unclear: write tr(M beta) or tr(M) beta"),
        (r"1 + \mathbb{E}[x.x]", r"\mathbb", "is read in a formula to average or to check"),
    ],
)
def test_marks_the_place_in_what_was_typed(text, place, reason):
    with pytest.raises(grammar.FormulaError) as caught:
        grammar.read(text, NAMES)
    error = caught.value
    assert reason in str(error)
    assert text[error.position : error.position + error.length] == place


def _parts(expr):
    if isinstance(expr, tuple | list | sp.Tuple):
        return [part for item in expr for part in _parts(item)]
    if isinstance(expr, sp.Piecewise):
        return [case.args[0] for case in expr.args]
    return [expr] if isinstance(expr, sp.Expr) and not isinstance(expr, sp.ZeroMatrix) else []


def _readable(expr) -> bool:
    """Whether the grammar has words for it; TeX writes cosh^2(x) in a way that it does not read."""
    try:
        grammar.write(expr)
    except ValueError:
        return False
    return not expr.has(sp.cosh)


def _differs(expr, text: str, names) -> bool:
    """Whether a text reads as something else, or as nothing (an index was changed)."""
    try:
        found = grammar.read(text, names, kind="any")
    except grammar.FormulaError:
        return True
    return decide(expr, found, Plain()).equal is not True


CHAPTERS = (
    "test-loss",
    "ntk",
    "kernel",
    "population",
    "moment",
    "early",
    "loss",
    "lazy",
    "hermite",
)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_our_own_latex_reads_back_as_itself(chapter):
    """Every closed form and term; with its first coefficient changed it is another formula."""
    count = 0
    for name in [name for name in theory.names() if name.startswith(chapter)]:
        found = theory.closed_form(name)
        for expr in set(_parts([found.expr, *found.terms.values()])):
            if not _readable(expr):
                continue
            text, names = r"\quad " + latex(expr), arguments(expr)
            read = grammar.read(text, names, kind="any")
            assert read == expr or decide(expr, read, Plain()).equal, text
            changed = re.sub(r"\d+", lambda m: str(int(m[0]) + 1), text, count=1)
            if changed != text and expr != 0:
                assert _differs(expr, changed, names)
            count += 1
    assert count


@given(st.text(r"\{}^_ fracbetxlngsq'|()1D,.&$", max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        grammar.read(text, NAMES, kind="any")
    except ValueError as error:
        lines = str(error).split("\n")
    else:
        lines = [""]
    assert len(lines) == 1


def test_commands_and_python_read_latex():
    check = theory.check("ntk-eigenvalues.radial", r"\frac{\epsilon^2\sigma^2 (D + 2)}{D^2}")
    assert check.equal
    assert not theory.check("ntk-eigenvalues.radial", r"\frac{\epsilon^2\sigma^2 (D + 1)}{D^2}")
    mean = theory.expectation(r"(x^\top A x)^2\,\langle b, x\rangle^2", symmetric=("A",))
    assert mean.expr == theory.expectation("(x'Ax)^2 (b.x)^2", symmetric=("A",)).expr
    problem = theory.Problem(r"h + \frac{\epsilon}{2} h^2", r"\frac12(\beta\cdot x)^2")
    assert problem.target.text == theory.Problem().target.text
    assert problem.activation == theory.Problem().activation
