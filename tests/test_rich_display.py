"""What notebooks and terminals show: short, typeset, what users typed escaped; pictures."""

import pytest

from lazyrich import theory
from lazyrich.theory.printing import displayed, shortened


@pytest.mark.parametrize("name", theory.names())
def test_a_closed_form_is_short_in_a_terminal_and_typeset_in_a_notebook(name):
    form = theory.closed_form(name)
    lines = repr(form).splitlines()
    assert lines[0].startswith(f"<ClosedForm {name}: ")
    assert len(repr(form)) < 700
    assert all(term in lines[-1] for term in form.terms)
    text = form._repr_latex_()
    assert text.startswith("$")
    assert text.endswith("$")
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


def test_terms_that_are_the_expression_are_shown_once():
    form = theory.closed_form("moment-flow")
    assert displayed(form.expr, form.terms).count(r"\displaystyle") == len(form.terms)
    assert displayed(form.expr) == rf"$\displaystyle {form.latex()}$"


def test_a_long_formula_is_cut_off():
    form = theory.closed_form("general-test-loss").expr
    assert shortened(form, 10**6).startswith(shortened(form, 50)[:-3])
    assert len(shortened(form, 50)) == 50


def test_nouns_are_typeset():
    problem = theory.Problem(activation="h + c*h**3", readouts="trained")
    shown = problem._repr_latex_()
    for part in (r"v_i \phi(w_i \cdot x)", "c h^{3} + h", r"\frac{1}{D} I"):
        assert part in shown
    assert "v_i" not in theory.Problem()._repr_latex_()
    assert problem.activation._repr_latex_() == r"$\displaystyle \phi(h) = c h^{3} + h$"
    assert problem.target._repr_latex_().startswith(r"$\displaystyle y(x) = ")
