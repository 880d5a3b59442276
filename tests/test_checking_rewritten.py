"""``check`` on random rewritings of closed forms: true ones are equal, near misses are not."""

import re
from functools import cache

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import MatrixSymbol, Trace

from lazyrich import theory, verify
from lazyrich.theory import generate, grammar
from lazyrich.theory.symbols import D
from tests import test_checking as record

OWN = {
    "cubic": theory.Problem("h + c*h^3", "(beta.x)^2/2 + b.x"),
    "quartic": theory.Problem("He_4(h) - k*h^2", "x'Bx (a.x) - 1", readouts="trained"),
    "relu": theory.Problem("relu(h)", "(a.x)^2", readouts="trained"),
}
SUBJECTS = [
    (None, "test-loss"),
    (None, "test-loss-centred"),
    (None, "kernel-alignment.numerator"),
    (None, "ntk-eigenvalues.radial"),
    (None, "ntk.ntk"),
    (None, "network-function"),
    (None, "general-test-loss"),
    (None, "general-target-decomposition.quadratic"),
    (None, "loss-variance-at-init"),
    (None, "readout-ntk-at-init.ntk_normalised"),
    ("cubic", "population-loss.pair"),
    ("cubic", "population-loss.target_overlap"),
    ("cubic", "loss-at-init"),
    ("cubic", "target-power.degree_2"),
    ("cubic", "ntk-rank"),
    ("quartic", "ntk-at-init.ntk_normalised"),
    ("quartic", "target-power"),
    ("quartic", "population-loss.target_overlap"),
    ("relu", "loss-at-init"),
]


@cache
def right_form(problem, name):
    first, *rest = name.split(".")
    form = (OWN[problem] if problem else theory).closed_form(first)
    part = form.terms[rest[0]] if rest else form.expr
    return part[0] if isinstance(part, tuple) else part  # the eigenvalue


def asked(problem, name, expr):
    text = grammar.write(expr)
    return text, theory.check(name, text, problem=OWN[problem] if problem else None)


# Rewritings that change nothing: by words, by algebra, by adding what cancels.


def reversed_traces(expr, draw):
    """Tr(A B) as Tr(B' A'): the transpose of what is inside."""

    def turned(trace):
        inside = sp.Transpose(trace.arg).doit()
        return Trace(inside) if draw(st.booleans()) else trace

    return expr.replace(lambda part: isinstance(part, Trace), turned)


def over_one_denominator(expr, draw):
    k = draw(st.integers(1, 4))
    return sp.Mul(sp.expand(expr * (D + k)), 1 / (D + k), evaluate=False)


def split_terms(expr, draw):
    part = draw(st.sampled_from([sp.Rational(1, 3), sp.Rational(-5, 2), sp.Integer(4)]))
    terms = sp.Add.make_args(sp.expand(expr))
    term = draw(st.sampled_from(terms))
    others = sp.Add(*(t for t in terms if t is not term))
    return sp.Add(part * term, others, (1 - part) * term, evaluate=False)


def factored(expr, draw):  # noqa: ARG001
    return sp.factor_terms(sp.expand(expr))


def added_zero(expr, draw):
    """Plus a.B b - b.B' a, of vectors and matrices of the formula."""
    columns = [m for m in expr.atoms(MatrixSymbol) if m.shape[1] == 1]
    if not columns:
        return expr
    a = draw(st.sampled_from(sorted(columns, key=str)))
    b = draw(st.sampled_from(sorted(columns, key=str)))
    extra = Trace(a.T * b) ** 2
    other = sp.Mul(Trace(b.T * a), Trace(a.T * b), evaluate=False)
    return sp.Add(expr, extra, sp.Mul(-1, other, evaluate=False), evaluate=False)


TRUE = [reversed_traces, over_one_denominator, split_terms, factored, added_zero]


@given(
    st.data(), st.sampled_from(SUBJECTS), st.lists(st.sampled_from(TRUE), min_size=1, max_size=3)
)
def test_a_true_rewriting_is_equal(data, subject, rewritings):
    expr = right_form(*subject)
    for rewrite in rewritings:
        expr = rewrite(expr, data.draw)
    text, answer = asked(*subject, expr)
    assert answer.equal is True, (text, answer.how)


# Near misses: one coefficient, one power, one sign.


def wrong_coefficient(term, draw):
    return term * draw(
        st.sampled_from([2, sp.Rational(1, 2), sp.Rational(3, 2), sp.Rational(9, 8)])
    )


def wrong_power(term, draw):
    letters = sorted(term.free_symbols - {s for s in term.free_symbols if not s.is_Symbol}, key=str)
    letters = [s for s in letters if isinstance(s, sp.Symbol)]
    assume(letters)
    return term * draw(st.sampled_from(letters)) ** draw(st.sampled_from([-1, 1, 2]))


def wrong_sign(term, draw):  # noqa: ARG001
    return -term


@given(
    st.data(),
    st.sampled_from(SUBJECTS),
    st.sampled_from([wrong_coefficient, wrong_power, wrong_sign]),
)
def test_a_near_miss_is_not_equal_and_its_counterexample_is_one(data, subject, change):
    expr = right_form(*subject)
    terms = sp.Add.make_args(sp.expand(expr))
    place = data.draw(st.integers(0, len(terms) - 1))
    wrong = sp.Add(*terms[:place], change(terms[place], data.draw), *terms[place + 1 :])
    text, answer = asked(*subject, wrong)
    assert answer.equal is False, (text, answer.verdict)
    found = answer.counterexample
    assert found is not None
    assert found.given != found.right
    # The values are right: by the array functions, which share nothing with the search.
    for value, part in ((found.given, wrong), (found.right, expr)):
        needed = generate.arguments(sp.sympify(part))
        point = {
            name: np.array(v, dtype=float) if isinstance(v, list) else float(v)
            for name, v in found.point.items()
            if name in needed
        }
        point |= {name: int(v) for name, v in found.point.items() if name in ("D", "N", "P")}
        point = {name: v for name, v in point.items() if name in needed}
        number = generate.function(sp.sympify(part), "numpy")(**point)
        assert float(number) == pytest.approx(float(value), rel=1e-9, abs=1e-12)


# The record: every printed formula of both papers is asked; these are no formulas, and why.
NO_FORMULA = {
    "sec-5-cka-is-not-centred": "a Gram matrix on samples, no closed form",
    "sec-5.3-cka-norm": "a Gram matrix on samples, no closed form",
    "sec-5-missing-dot": "alpha wbar x is no scalar: see below",
    "sec-11.1-shifted-products": "a family of functions",
    "sec-15.1-targets": "a definition",
    "sec-15.2-activation": "a definition",
    "eq-2": "a definition",
    "sec-17-eigenvector-of-data": "words",
    "sec-5.3-total-variance": "a sum over neurons, which a formula can't say",
    "sec-5-quadratic-functions": "a count of eigenvalues",
    "sec-11.1-count-of-squares": "a count of functions",
    "sec-12-quadratic-eigenvalues": "an order of magnitude",
    "sec-5-initial-moments": "a limit of random moments",
    "sec-12-initial-moments": "a limit of random moments",
    "sec-5-wide-for-the-target": "a limit of random moments",
    "sec-8.1-early-training": "what training does not depend on",
    "sec-8.1-under-adam": "what training does not depend on",
    **dict.fromkeys(
        ("fig-5a", "fig-5b", "fig-5c", "fig-6a-vanish", "fig-6b-vanish", "fig-19-last-eigenvector"),
        "a setting",
    ),
    **dict.fromkeys(
        ("sec-8.3-learning-rate", "sec-8.3-widths", "sec-8.3.2-deviations", "lyu-start-scale"),
        "a setting",
    ),
    **dict.fromkeys(
        ("lyu-cor-3.6", "lyu-thm-3.9", "lyu-thm-3.5", "lyu-thm-3.10", "lyu-cor-3.11-early"),
        "a limit, or the solution of a programme",
    ),
    "lyu-l1-direction": "the solution of a programme",
    **dict.fromkeys(("lyu-experiment-transition", "lyu-transition-time"), "an order of magnitude"),
}
_SIGNS = ("=", r"\frac", r"\langle")


def _says_a_formula(claim):
    mathematics = re.findall(r"\$([^$]+)\$", f"{claim.statement} {claim.printed}")
    against = claim.verdict.name in ("MISPRINT", "REFUTED") and "$" in claim.printed
    return against or any(sign in part for part in mathematics for sign in _SIGNS)


def test_every_printed_formula_of_both_papers_is_asked():
    """A new claim with a formula is asked of ``check``, or says here why it can't be."""
    asked = {row[0] for row in (*record.MISPRINTS, *record.CONFIRMED)}
    said = {
        name
        for name, claim in verify.claims().items()
        if claim.source in ("kumar", "lyu") and _says_a_formula(claim)
    }
    assert said - asked == NO_FORMULA.keys()
    assert not asked & NO_FORMULA.keys()


def test_a_missing_dot_is_marked():
    with pytest.raises(ValueError, match=r"(?s)wbar|shape|scalar"):
        theory.check("network-function", "alpha wbar x + alpha epsilon/2 x'M x")


# Faults that no test noticed once.


@pytest.mark.parametrize(
    ("name", "formula", "equal"),
    [
        ("test-loss-minimiser", "2 beta beta'/(alpha epsilon)", False),
        ("test-loss-minimiser", "beta beta'/(alpha epsilon) + M - M", True),
        ("general-test-loss-minimiser.M", "B/(alpha epsilon)", False),
        ("general-test-loss-minimiser.wbar", "c_1/alpha + (c_1 - c_1)", True),
    ],
)
def test_a_matrix_is_told_from_another(name, formula, equal):
    """Also where one of its terms is right and another one missing."""
    assert theory.check(name, formula).equal is equal


@pytest.mark.parametrize(("factor", "word"), [("2", "too large by the factor 2"), ("1/2", "small")])
def test_a_factor_of_two_is_named(factor, word):
    (said,) = theory.check("ntk-eigenvalues.linear", f"{factor} * 1/D").words
    assert word in said


@pytest.mark.parametrize("size", range(1, 7))
def test_no_simple_vector_or_matrix_of_a_search_is_zero(size):
    from lazyrich.theory.checking import points

    every = range(size)
    assert all(any(rule(i, size) for i in every) for rule in points._VECTORS)
    tables = (*points._SYMMETRIC, *(points._GENERAL if size > 1 else points._GENERAL[:4]))
    assert all(any(rule(i, j) for i in every for j in every) for rule in tables)


def test_agreement_is_counted_where_the_values_agree():
    from lazyrich.theory.checking import points
    from lazyrich.theory.symbols import alpha

    many = points.agreeing(alpha, alpha, ["alpha"])
    assert many > 3
    assert points.agreeing(alpha, alpha + 1, ["alpha"]) == 0
    assert points.agreeing(alpha, alpha**2, ["alpha"]) == 1  # at 1 alone
