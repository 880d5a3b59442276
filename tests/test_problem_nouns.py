"""Activation, target and inputs: what they read, what they refuse, what their text says."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from scipy.integrate import quad, simpson

from lazyrich.theory import Activation, Inputs, Problem, Target, generate, grammar
from lazyrich.theory.activation import RESERVED, h, relu
from lazyrich.theory.gaussian_pair import c as covariance
from lazyrich.theory.gaussian_pair import mean_of_slopes, mean_of_values, pair_mean
from lazyrich.theory.gaussian_pair import s as first
from lazyrich.theory.gaussian_pair import t as second
from lazyrich.theory.problem.clashes import OWN_SYMBOLS, STANDS_ASIDE
from lazyrich.theory.problem.lazy_prediction import predict_lazy
from lazyrich.theory.stand_in import stand_in
from lazyrich.theory.symbols import D, beta, epsilon, x
from lazyrich.theory.wick import dot
from lazyrich.verify.cubature import gauss_hermite

beta_1 = sp.MatrixSymbol("beta_1", D, 1)
polynomials = st.lists(st.integers(-4, 4), min_size=1, max_size=6).map(
    lambda cs: sum(sp.Rational(c, 4) * h**n for n, c in enumerate(cs))
)


def test_the_default_is_the_papers_activation():
    assert sp.expand(Activation(h + epsilon / 2 * h**2).derivative()) == 1 + epsilon * h
    assert Activation(sp.Symbol("epsilon") * sp.Symbol("h")).expr == epsilon * h


@given(polynomials)
def test_coefficients_are_those_of_the_polynomial(expr):
    coefficients = Activation(expr).coefficients()
    at = np.linspace(-2, 2, 5)
    expected = [float(expr.subs(h, value)) for value in at]
    np.testing.assert_allclose(np.polynomial.polynomial.polyval(at, coefficients), expected)


@given(polynomials, st.integers(1, 8).map(lambda k: k / 4))
def test_the_hermite_series_is_the_projection_on_hermite_polynomials(expr, variance):
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    weights = weights / weights.sum()
    values = sp.lambdify(h, expr, "numpy")(np.sqrt(variance) * nodes) + 0 * nodes
    for n, mean in enumerate(Activation(expr).hermite_series(sp.Rational(variance))):
        basis = np.polynomial.hermite_e.hermeval(nodes, [0] * n + [1])
        projection = weights @ (values * basis) / variance ** (n / 2)
        assert abs(projection - float(mean)) < 1e-9 * (1 + np.abs(values).max() * 40)


@pytest.mark.parametrize(
    ("expr", "function"),
    [
        (sp.erf(h / sp.sqrt(2)), lambda u: special.erf(u / np.sqrt(2))),
        (3 * sp.erf(2 * h), lambda u: 3 * special.erf(2 * u)),
        (relu(h), lambda u: max(0.0, u)),
        (2 * relu(-h), lambda u: 2 * max(0.0, -u)),
    ],
)
def test_the_series_of_erf_and_relu_by_integration(expr, function):
    """The mean of the n-th derivative is <phi(u) He_n(u/sqrt s)>/s^(n/2), by parts."""
    s = 0.7
    for n, mean in enumerate(Activation(expr).hermite_series(sp.Rational(7, 10), degree=5)):
        basis = np.polynomial.hermite_e.HermiteE([0] * n + [1])

        def integrand(g, basis=basis):
            return function(np.sqrt(s) * g) * basis(g) * np.exp(-(g**2) / 2)

        whole = sum(quad(integrand, *ends, epsabs=1e-13)[0] for ends in ((-12, 0), (0, 12)))
        assert abs(whole / np.sqrt(2 * np.pi) / s ** (n / 2) - float(mean)) < 1e-7


def mean_on_a_cubature(f, g, root):
    """<f(u) g(u')> and <|f(u) g(u')|> for (u, u') of covariance root root^T."""
    points, weights = gauss_hermite(2, 12)
    u, v = (np.sqrt(2) * points @ root.T).T
    left, right = (sp.lambdify(h, e, "numpy")(z) + 0 * z for e, z in ((f, u), (g, v)))
    return weights @ (left * right), weights @ np.abs(left * right)


@given(polynomials, polynomials, st.integers(-3, 3), st.integers(1, 4), st.integers(1, 4))
def test_the_mean_of_a_pair_is_that_of_a_cubature(f, g, corner, a, b):
    root = np.array([[a / 2, 0.0], [corner / 4, b / 2]])
    C = root @ root.T
    mean = pair_mean(f, g, h).subs({first: C[0, 0], second: C[1, 1], covariance: C[0, 1]})
    exact, scale = mean_on_a_cubature(f, g, root)
    assert abs(exact - float(mean)) < 1e-11 * (1 + scale)


def test_a_wrong_mean_of_a_pair_is_caught():
    exact, _ = mean_on_a_cubature(h**2, h**2, np.array([[1.0, 0.0], [0.5, 1.0]]))
    right = pair_mean(h**2, h**2, h)
    wrong = right - covariance**2  # one of the two pairings forgotten
    at = {first: 1, second: sp.Rational(5, 4), covariance: sp.Rational(1, 2)}
    assert abs(exact - float(right.subs(at))) < 1e-12
    assert abs(exact - float(wrong.subs(at))) > 0.1


@pytest.mark.parametrize(
    "expr",
    [sp.exp(h), h + sp.erf(h), sp.sqrt(h), h * sp.Symbol("alpha"), sp.erf(h**2), 1 / h, sp.I * h],
)
def test_what_is_no_activation_is_one_clear_line(expr):
    with pytest.raises(ValueError, match=r"^activation = .*: ") as error:
        Activation(expr)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["tanh(h)", "gelu(h)", "|h|", "1e-6 sin(h)", "relu(h - 1)"])
def test_the_polynomial_that_is_offered_has_the_share_of_the_variance_that_is_stated(text):
    """By Simpson's rule; the control has another coefficient, and a smaller share."""
    expr = grammar.read(text, [h])
    found = stand_in(expr, h)
    assert found is not None
    polynomial, share = found
    phi, p = (sp.lambdify(h, e, "scipy") for e in (expr, polynomial))

    def variance(function):
        def integrand(u, power):
            return function(u) ** power * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)

        grids = [np.linspace(*ends, 2001) for ends in [(-12, 0), (0, 1), (1, 12)]]
        first, second = (sum(simpson(integrand(u, n), x=u) for u in grids) for n in (1, 2))
        return second - first**2

    whole = variance(phi)
    left = variance(lambda u: phi(u) - p(u)) / whole
    assert abs(1 - left - share) < 1e-3
    changed = variance(lambda u: phi(u) - p(u) - 0.1 * np.sqrt(whole) * u) / whole
    assert changed > left + 5e-3
    with pytest.raises(ValueError, match=f"{np.floor(1000 * share) / 10}% of its variance"):
        Activation(text)


@pytest.mark.parametrize("text", ["1/h", "exp(h^2)", "log(h)", "tan(h)", "tanh(a h)"])
def test_nothing_is_offered_where_nothing_can_be_integrated(text):
    a = sp.Symbol("a", real=True)
    assert stand_in(grammar.read(text, [h, a]), h) is None


def test_coefficients_need_the_names_of_the_activation():
    cubic = Activation(h + sp.Symbol("c", real=True) * h**3)
    with pytest.raises(ValueError, match="missing c"):
        cubic.coefficients()
    with pytest.raises(ValueError, match="d = 1: no symbol of the activation"):
        cubic.coefficients(c=1, d=1)
    with pytest.raises(ValueError, match="polynomial"):
        Activation(relu(h)).coefficients()


@pytest.mark.parametrize("rows", [1, 3])
def test_labels_of_rows(rows):
    X = np.arange(2.0 * rows).reshape(rows, 2) / 3
    target = Target(dot(beta, x) * dot(beta_1, x) + 2)
    expected = (X @ [1.0, 2.0]) * (X @ [0.5, -1.0]) + 2
    np.testing.assert_allclose(target.labels(X, beta=[1.0, 2.0], beta_1=[0.5, -1.0]), expected)
    np.testing.assert_array_equal(Target(3).labels(X), 3 * np.ones(rows))


def test_what_is_no_target_is_one_clear_line():
    for expr in (sp.exp(dot(beta, x)), 1 / dot(beta, x), sp.Symbol("alpha")):
        with pytest.raises(ValueError, match=r"^target = "):
            Target(expr)
    assert Target(dot(beta, beta) * dot(beta, x)).degree == 1  # a constant of its direction


@pytest.mark.parametrize("wrong", ["I", [[1, 2], [3, 4]], [[1, 0]], [[-1.0]], 3, [["a"]]])
def test_what_is_no_covariance(wrong):
    with pytest.raises(ValueError, match="inputs"):
        Inputs(wrong)


# A problem for each kind of activation; coefficients whose names no closed form has.
_KINDS = (
    ("h + q1 h^2/2", "fixed"),
    ("q1 h^2 + q2 h", "trained"),
    ("q1 h^3", "fixed"),
    ("erf(q1 h)", "trained"),
    ("q1 relu(h)", "fixed"),
    ("q1 + q2 h", "trained"),
)


def _names(part):
    if isinstance(part, dict):
        part = tuple(part.values())
    if isinstance(part, tuple | list | sp.Tuple):
        return {name for item in part for name in _names(item)}
    return set(generate.arguments(part)) if isinstance(part, sp.Basic) else set()


@pytest.mark.parametrize(("activation", "readouts"), _KINDS)
def test_every_symbol_of_a_closed_form_that_a_coefficient_may_not_take_is_known(
    activation, readouts
):
    for target in ("(beta.x)^2/2", "zeta (beta.x)^3"):
        problem = Problem(activation, target, readouts)
        for name in problem.names():
            form = problem.closed_form(name)
            found = _names([form.expr, form.terms, form.components, form.steps])
            own = found - set(problem.symbols) - RESERVED
            known = {*OWN_SYMBOLS.get(name, "").split(), *STANDS_ASIDE.get(name, "").split()}
            assert {symbol for symbol in own if not symbol.startswith("_")} <= known, name


def test_a_coefficient_with_the_name_of_another_symbol_is_said_before_anything_is_derived():
    """Both ways in which it used to go wrong: an error on asking, and two symbols taken for one."""
    problem = Problem("h + c h^2")
    assert "c is another symbol" in problem.not_available()["scale-equivalence"]
    assert "scale-equivalence" not in problem.names()
    mixed = Problem("h + kappa h^2").not_available()
    assert "kappa is another symbol" in mixed["lazy-learning-curve"]
    for name in problem.names():
        problem.closed_form(name)


def test_h_is_no_coefficient_of_a_target():
    for text in ("h", "h (beta.x)", "h |x|^2"):
        with pytest.raises(ValueError, match="h is the argument of the activation"):
            Target(text)
    assert Problem("h", "(h.x)^2").closed_form("early-plateau").terms["floor"] != 0  # a direction


def test_a_coefficient_may_be_a_word_of_python():
    """lambda is a name that papers use: values and array functions know it."""
    form = Problem(activation="lambda h + h^2").closed_form("ntk-eigenvalues")
    point = {"lambda": 0.5, "D": 3, "sigma": 1.0}
    exact, floats = form.evaluate(**point), form.function("numpy")(**point)
    np.testing.assert_allclose(np.array(floats, float), np.array(exact, float), rtol=1e-15)
    assert exact[1] == (0.5**2 / 3, 3)


def test_letters_with_digits_are_names_except_where_an_index_may_be_meant():
    target = Target("c1 (u1.x) + b2.x")
    assert sorted(target.symbols) == ["b2", "c1", "u1"]
    with pytest.raises(ValueError, match="did you mean 'x_1'"):
        Target("x1.u")
    assert list(Activation("c1 h + h^2").symbols) == ["c1"]
    with pytest.raises(ValueError, match="did you mean 'h_2'"):
        Activation("h + h2")


def test_an_activation_of_another_letter_is_no_constant():
    with pytest.raises(ValueError, match=r"activation = z\^2 \+ z: has no h.*write h for z"):
        Activation("z + z^2")
    assert Activation("3").degree == 0


def test_hermite_polynomials_are_read_with_and_without_braces():
    assert Activation("He_{3}(h)") == Activation("He_3(h)") == Activation("h^3 - 3h")


@pytest.mark.parametrize("function", [h**3 + h, sp.erf(2 * h), sp.Max(0, h), sp.Max(0, -h)])
def test_means_of_pairs_grow_as_the_square_of_a_factor(function):
    for mean in (mean_of_values, mean_of_slopes):
        assert sp.expand(mean(3 * function, h) - 9 * mean(function, h)) == 0
        assert mean(function, h) != 0


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("beta.x", "|beta|^2 = 2 (by default)"),
        ("(a.x)(b.x)", "|a|^2 = 2, |b|^2 = 2, orthogonal (by default)"),
    ],
)
def test_directions_without_a_value_are_said_to_be_orthogonal_where_they_are_two(target, said):
    assert predict_lazy(Problem("h", target), D=2, P=3).directions == said
