"""Certificates prove the closed forms by brute force, and reject every formula planted in place."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import (
    M0,
    D,
    I,
    M,
    alpha,
    beta,
    epsilon,
    sigma,
    wbar,
    wbar0,
    x,
    x_prime,
)
from lazyrich.theory.wick import dot, form
from lazyrich.verify.certificates import (
    Certificate,
    _short,
    certified,
    certify,
    degree_in_D,
    prove,
)
from lazyrich.verify.coordinates import Coordinates, interpret

# Every closed form of the network, the spectrum, the loss and the dynamics of gradient descent.
NAMES = (
    "network-function",
    "ntk",
    "ntk-at-init",
    "ntk-eigenvalues",
    "target-decomposition",
    "test-loss",
    "test-loss-centred",
    "test-loss-minimiser",
    "moment-step",
    "moment-flow",
)


@pytest.mark.parametrize("name", NAMES)
def test_closed_form_is_proved_for_every_D(name):
    assert "prove it for every D" in certify(name)
    assert name in certified()


@pytest.mark.parametrize("name", ["kernel-alignment", "readout-ntk-at-init", "loss-at-init"])
def test_certificates_of_other_subjects_are_known_by_name_too(name):
    assert name in certified()
    assert "prove it for every D" in certify(name)


def test_the_root_in_an_alignment_is_left_out_of_the_degree():
    cf = closed_form("kernel-alignment")
    assert degree_in_D(cf) == degree_in_D(cf.terms)


def term(cf, name, wrong):
    return replace(cf, terms={**cf.terms, name: wrong})


def component(cf, name, wrong):
    return replace(cf, components={**cf.components, name: wrong})


def scaled(cf, name, factor):
    """A term multiplied by a factor; of a pair (eigenvalue, multiplicity) the first."""
    part = cf.terms[name]
    return term(cf, name, (factor * part[0], part[1]) if isinstance(part, tuple) else factor * part)


PLANTED = {
    "network-function": [
        lambda cf: replace(cf, expr=2 * cf.expr),
        lambda cf: scaled(cf, "linear", alpha),
        lambda cf: term(cf, "quadratic", alpha * epsilon * form(x, M, x)),
    ],
    "ntk": [
        lambda cf: replace(cf, expr=cf.terms["ntk_normalised"]),  # eq. (5) taken as eq. (2)
        lambda cf: term(cf, "ntk_normalised", cf.terms["ntk_normalised"].subs(epsilon, -epsilon)),
    ],
    "ntk-at-init": [
        lambda cf: replace(cf, expr=cf.expr.subs(sigma, sp.sqrt(sigma))),
        lambda cf: replace(cf, expr=dot(x, x_prime) + epsilon * sigma**2 * dot(x, x_prime) ** 2),
    ],
    "ntk-eigenvalues": [
        lambda cf: scaled(cf, "traceless", 1 / epsilon),  # Sec. 5: 2 epsilon/D^2
        lambda cf: scaled(cf, "radial", 1 / epsilon**2),  # eq. (16)
        lambda cf: scaled(cf, "linear", D),
        lambda cf: term(cf, "traceless", (cf.terms["traceless"][0], D * (D + 1) / 2)),
        lambda cf: term(cf, "radial", (cf.terms["radial"][0], sp.Integer(2))),
        lambda cf: component(cf, "linear", 2 * cf.components["linear"]),
        lambda cf: component(cf, "radial", cf.components["radial"] * (D + 2) / (D + 1)),
    ],
    "target-decomposition": [
        lambda cf: component(cf, "radial", dot(x, x) / (2 * D)),  # eq. (17)
        lambda cf: scaled(cf, "traceless", 2),
        lambda cf: replace(cf, expr=cf.expr / 3),
    ],
    "test-loss": [
        lambda cf: scaled(cf, "variance", 2),
        lambda cf: scaled(cf, "misalignment", 2),
        lambda cf: scaled(cf, "linear", 1 / alpha),
        lambda cf: replace(cf, expr=cf.expr + dot(wbar, beta) ** 2),
        lambda cf: component(cf, "gradient_wbar", cf.components["gradient_wbar"] / 2),
        lambda cf: component(cf, "gradient_M", cf.components["gradient_M"] + I),
    ],
    "test-loss-centred": [
        lambda cf: replace(cf, expr=cf.expr.subs(M0, -M0)),
        lambda cf: term(cf, "linear", alpha**2 / D * dot(wbar, wbar)),
    ],
    "test-loss-minimiser": [
        lambda cf: term(cf, "M", cf.terms["M"] * 2),
        lambda cf: component(cf, "wbar_centred", 2 * wbar0),
    ],
    "moment-step": [
        lambda cf: scaled(cf, "wbar", 2),
        lambda cf: term(cf, "M", cf.terms["M"] + wbar * wbar.T),
    ],
    "moment-flow": [
        lambda cf: scaled(cf, "wbar", -1),
        lambda cf: term(cf, "M", cf.terms["M"] / 2),
    ],
}
CASES = [(name, i) for name, planted in PLANTED.items() for i in range(len(planted))]


@pytest.mark.parametrize(("name", "i"), CASES)
def test_a_planted_wrong_formula_is_rejected(name, i):
    with pytest.raises(AssertionError, match=" off"):
        certify(name, PLANTED[name][i](closed_form(name)))


def test_every_certificate_has_wrong_formulas_planted():
    assert set(PLANTED) == set(NAMES)


@pytest.mark.parametrize("last", [4, 7])
def test_a_formula_that_is_right_at_small_D_only_is_rejected(last):
    """The degree in D is read off the formula, and so many more dimensions are compared."""
    cf = closed_form("test-loss")
    vanishing = sp.prod([D - k for k in range(1, last + 1)])
    wrong = replace(cf, expr=cf.expr + vanishing * sp.Trace(M) ** 2)
    with pytest.raises(AssertionError, match=f"D = {last + 1}"):
        certify("test-loss", wrong)


def test_a_formula_with_other_denominators_that_is_right_at_small_D_only_is_rejected():
    wrong = (D - 1) * (D - 2) * (D - 3) / (D + 1) ** 3
    cf = closed_form("ntk-eigenvalues")
    value, multiplicity = cf.terms["linear"]
    with pytest.raises(AssertionError, match="D = 4"):
        certify("ntk-eigenvalues", term(cf, "linear", (value + wrong, multiplicity)))


def farthest_twins(first, pairs, degree, cleared):
    """Two coefficients of the theorem's kind, different, that agree at as many D as any two can.

    One is p/D^pairs with deg p <= pairs, the other has degree ``degree``, over a power of D if
    ``cleared`` and else over one of D + 1. They agree at D = first, first + 1, ...; the third
    value returned is the first D after those.
    """
    count = max(pairs, degree) if cleared else pairs + degree
    zeros = sp.Poly(sp.prod([D - first - i for i in range(count)]), D)
    if cleared:
        same = sp.Poly(D ** abs(pairs - degree), D)
        both = (zeros + same, sp.Poly(1, D)) if pairs >= degree else (sp.Poly(1, D), same - zeros)
        brute, claimed = both[0] / D**pairs, both[1] / D**degree
    else:  # p_brute q - p_claimed D^pairs = zeros, by Bezout
        q, power = sp.Poly((D + 1) ** degree, D), sp.Poly(D**pairs, D)
        top = sp.rem(zeros * sp.invert(q, power), power) if pairs else sp.Poly(0, D)
        brute = top / D**pairs
        claimed = sp.quo(top * q - zeros, power) / (D + 1) ** degree
    return sp.sympify(brute), sp.sympify(claimed), first + count


def synthetic(brute, contractions, pairs):
    """The certificate of a coefficient that brute force finds to be ``brute``.

    Below D = contractions, where the theorem says nothing, it agrees with any claim.
    """

    def compare(dimension, claimed):
        value = claimed["c"].subs(D, dimension)
        yield "c", brute.subs(D, dimension) if dimension >= contractions else value, value

    return Certificate(contractions, pairs, compare)


@given(
    contractions=st.integers(1, 4),
    pairs=st.integers(0, 4),
    degree=st.integers(0, 4),
    cleared=st.booleans(),
)
def test_so_many_D_are_compared_that_no_wrong_formula_passes(contractions, pairs, degree, cleared):
    """The theorem of the module, sharp: one D less, and these two formulas could not be told."""
    cleared = cleared or degree == 0
    brute, wrong, differs_at = farthest_twins(contractions, pairs, degree, cleared)
    assert degree_in_D(wrong) == (degree, cleared)
    certificate = synthetic(brute, contractions, pairs)
    with pytest.raises(AssertionError, match=f"at D = {differs_at}:"):
        prove(certificate, {"c": wrong})
    assert f"D = 1..{differs_at}" in prove(synthetic(wrong, contractions, pairs), {"c": wrong})


def test_a_formula_without_certificate_is_named():
    with pytest.raises(ValueError, match="did you mean 'test-loss'"):
        certify("test-los")


def test_degree_in_D_counts_numerators_denominators_and_nested_parts():
    trace = sp.Trace(M)
    assert degree_in_D(trace**5) == (0, True)
    assert degree_in_D((trace / D, (D**3, trace))) == (3, True)
    assert degree_in_D(trace / (D + 2)) == (1, False)
    assert degree_in_D(M / D**2 + I) == (2, True)


# The brute force itself, against what it can't get wrong: sums over a finite law.


def test_means_are_those_of_the_two_point_law_up_to_degree_3():
    """x = +-s has the Gaussian's moments up to order 3 in each entry."""
    at = Coordinates(2, vectors=["x", "beta"])
    x1, x2 = at.values["x"][:, 0]
    b1, b2 = at.values["beta"][:, 0]
    polynomial = (3 * b1 * x1 + x2 * x1 - 2 * b2 * x2 + 1) ** 2
    total = at.ring.zero
    for signs in np.ndindex(2, 2):
        point = [(x1, at.number(1 - 2 * signs[0])), (x2, at.number(1 - 2 * signs[1]))]
        total += polynomial.compose(point) / 4
    assert at.mean(polynomial, "x", variance=at.number(1)) == total


def test_fourth_and_sixth_moments_are_3_and_15_times_powers_of_the_variance():
    at = Coordinates(1, vectors=["x"], scalars=["s"])
    entry, s = at.values["x"][0, 0], at.values["s"]
    assert at.mean(entry**4, "x", s) == 3 * s**2
    assert at.mean(entry**6, "x", s) == 15 * s**3
    assert at.mean(entry**5, "x", s) == 0


def test_derivative_in_a_symmetric_matrix_is_the_symmetric_gradient():
    """d Tr(M^2) = Tr(2 M dM), and the entries off the diagonal stand in two places."""
    at = Coordinates(3, matrices=["M"])
    matrix = at.values["M"]
    square = sum(np.diagonal(matrix @ matrix), at.ring.zero)
    assert ((at.derivative(square, "M") - 2 * matrix) == 0).all()


@pytest.mark.parametrize("name", ["test-loss", "ntk", "test-loss-minimiser"])
def test_interpreting_a_closed_form_equals_evaluating_it(name):
    """Two readings of the same expression tree, at one exact point."""
    cf = closed_form(name)
    numbers = {"alpha": sp.Integer(3), "epsilon": sp.Rational(1, 2), "N": sp.Integer(4)}
    third = sp.Rational(1, 3)
    arrays = {"beta": [third, 2], "wbar": [third, 1], "x": [1, -third], "x_prime": [2, third]}
    arrays["M"] = [[2, third], [third, 5]]
    known = {k: v for k, v in (numbers | arrays).items() if k in cf.arguments()}
    expected = cf.evaluate(**known)
    columns = {k: np.array(v, dtype=object) for k, v in arrays.items()}
    columns = {k: v[:, None] if v.ndim == 1 else v for k, v in columns.items()}
    found = interpret(cf.expr, numbers | columns | {"D": sp.Integer(2)}, lambda q: q)
    assert sp.Matrix(np.atleast_2d(found).tolist()) == sp.Matrix(np.atleast_2d(expected).tolist())


def test_what_can_not_be_read_or_inverted_is_named():
    at = Coordinates(2, matrices=["M"])
    with pytest.raises(ValueError, match="no rule for Inverse"):
        at.interpret(M.I)
    with pytest.raises(ValueError, match="no inverse"):
        at.interpret(1 / sp.Trace(M))


def test_what_may_be_empty_or_a_power_of_one_is_read():
    assert degree_in_D(()) == (0, True)
    at = Coordinates(2, vectors=["x", "beta"], matrices=["M"])
    assert (at.interpret(sp.MatPow(M, 1)) == at.values["M"]).all()
    columns = at.values["x"], at.values["M"], at.values["beta"]
    assert at.form("x", "M", "beta") == (columns[0].T @ columns[1] @ columns[2]).item()


def test_a_difference_of_more_than_120_characters_is_cut():
    assert _short("a" * 120) == "a" * 120
    assert _short("a" * 121) == "a" * 117 + "..."
