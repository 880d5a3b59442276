"""General quadratic problems: loss, minimiser, operator and spectrum, against brute force."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from sympy import Rational

from lazyrich import theory
from lazyrich.theory import generate
from lazyrich.theory.general_quadratic import INPUTS, PAPER, noise_mean
from lazyrich.theory.symbols import D, I, Sigma, alpha
from lazyrich.theory.wick import equal, expectation
from lazyrich.verify.certificates import prove
from lazyrich.verify.certificates.general import CERTIFICATES
from lazyrich.verify.coordinates import Coordinates
from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.tolerances import rounding

from .expressions import dimensions, put, tables

rationals = st.builds(Rational, st.integers(-5, 5), st.integers(1, 3))
nonzero = rationals.filter(bool)


@st.composite
def problems(draw):
    """(D, values of all symbols but Sigma, a root R of Sigma of full rank)."""
    d = draw(dimensions)
    found = {name: draw(tables(d, symmetric=True)) for name in ("B", "M")}
    found |= {v: [row[:1] for row in draw(tables(d))] for v in ("c_1", "wbar")}
    found |= {k: draw(nonzero) for k in ("alpha", "epsilon")}
    found |= {k: draw(rationals) for k in ("c_0", "sigma_noise")}
    found["sigma_noise"] = abs(found["sigma_noise"])
    root = draw(tables(d))
    # A lower triangular root with 1, 2, ... on the diagonal has full rank.
    root = [
        [row[j] if j < i else (i + 1) * (i == j) for j in range(d)] for i, row in enumerate(root)
    ]
    return d, found, root


def in_coordinates(problem):
    """Coordinates in z ~ N(0, I), with x = R z, and all values, Sigma and its inverse included."""
    d, found, root = problem
    at = Coordinates(d, vectors=["z"])
    numbers = put(at, found)
    R = at.matrix(root)
    numbers |= {"Sigma": R @ R.T, "x": R @ at.values["z"]}
    return at, numbers


def number(at, polynomial):
    """The mean over z."""
    return at.mean(polynomial, "z", at.number(1))


def values_of(problem):
    """The same as keyword arguments of ``evaluate``."""
    _, found, root = problem
    R = sp.Matrix(root)
    return found | {"Sigma": (R * R.T).tolist()}


def target(v):
    """y(x) in coordinates."""
    return v["c_0"] + (v["c_1"].T @ v["x"])[0, 0] + (v["x"].T @ v["B"] @ v["x"])[0, 0] / 2


LOSS = theory.closed_form("general-test-loss")
OPERATOR = theory.closed_form("general-ntk-operator")
SPECTRUM = theory.closed_form("general-ntk-spectrum")
PARTS = SPECTRUM.functions("numpy")
SECULAR = generate.function(SPECTRUM.components["secular"], "numpy")


@pytest.mark.parametrize("cf", [LOSS, OPERATOR, SPECTRUM], ids=lambda cf: cf.name)
def test_the_closed_form_is_brute_force_for_every_D(cf):
    assert "prove it for every D" in prove(CERTIFICATES[cf.name], provable(cf))


@pytest.mark.parametrize("cf", [LOSS, OPERATOR, SPECTRUM], ids=lambda cf: cf.name)
def test_a_wrong_term_is_caught(cf):
    for name, part in cf.terms.items():
        wrong = {**cf.terms, name: 2 * part}
        with pytest.raises(AssertionError):
            prove(CERTIFICATES[cf.name], provable(replace(cf, terms=wrong)))


def provable(cf):
    """Gradients are brute-forced with the loss; inverses and the secular equation are elsewhere."""
    return cf if cf.name == LOSS.name else replace(cf, components={})


def test_the_papers_loss_is_a_corollary_term_by_term():
    paper = theory.closed_form("test-loss").terms
    for name, term in LOSS.terms.items():
        assert equal(term.subs(PAPER), paper.get(name, sp.S.Zero))


def test_a_multi_index_target_has_one_misalignment_term_for_each_pair_of_directions():
    """With orthogonal beta_k at M = 0: sum_k |beta_k|^4/(2 D^2); not so with parallel ones."""
    zero = {"alpha": 1, "epsilon": 1, "c_0": 0, "c_1": [0, 0, 0], "sigma_noise": 0}
    zero |= {"wbar": [0, 0, 0], "M": sp.zeros(3), "Sigma": sp.eye(3) / 3}
    first, second, along = sp.Matrix([1, 2, 0]), sp.Matrix([2, -1, 0]), sp.Matrix([2, 4, 0])
    apart = LOSS.evaluate_terms(**zero, B=first * first.T + second * second.T)
    assert apart["misalignment"] == Rational(5**2 + 5**2, 2 * 9)
    together = LOSS.evaluate_terms(**zero, B=first * first.T + along * along.T)
    assert together["misalignment"] == Rational((5 + 20) ** 2, 2 * 9)


MINIMISER = theory.closed_form("general-test-loss-minimiser")


@given(problem=problems())
def test_the_minimiser_is_the_least_loss_of_all_moments(problem):
    d, found, _ = problem
    values = values_of(problem)
    wanted = MINIMISER.arguments()
    least = MINIMISER.evaluate_terms(**{k: v for k, v in values.items() if k in wanted})
    rest = {k: v for k, v in values.items() if k not in ("M", "wbar")}
    assert LOSS.evaluate(**rest, M=least["M"], wbar=least["wbar"]) == least["loss"]
    step = sp.Matrix(found["M"]), sp.Matrix(found["wbar"])
    moved = LOSS.evaluate(**rest, M=least["M"] + step[0], wbar=least["wbar"] + step[1])
    if step == (sp.zeros(d), sp.zeros(d, 1)):
        assert moved == least["loss"]
    else:
        assert moved > least["loss"]


def test_a_constant_target_costs_two_parts_in_D_plus_2():
    assert sp.factor(MINIMISER.terms["loss"] - LOSS.terms["noise"]) == 2 * sp.Symbol(
        "c_0", real=True
    ) ** 2 / (D + 2)


# The operator and its spectrum


def assert_spectrum_is_that_of_the_kernel(s, epsilon, sigma, block):
    """The kernel on an exact cubature has these eigenvalues, and else zeros."""
    s = np.asarray(s, dtype=float)
    d = len(s)
    points, weights = gauss_hermite(d, 4)  # products of two functions of degree 2
    points = points * np.sqrt(d * s)
    product = points @ points.T
    kernel = product + epsilon**2 * sigma**2 * product**2
    found = np.linalg.eigvalsh(np.sqrt(weights)[:, None] * kernel * np.sqrt(weights))
    cross = PARTS["cross"](s=s, epsilon=epsilon, sigma=sigma)
    expected = np.concatenate([s, cross[np.triu_indices(d, 1)], np.linalg.eigvalsh(block)])
    expected = np.sort(np.concatenate([expected, np.zeros(len(found) - len(expected))]))
    # Weyl: each eigenvalue moves by the norm of the rounding error at most. The entries have fewer
    # than 40 roundings, and LAPACK's own error is below n roundings of the norm.
    allowed = rounding(40 + len(found)) * max(np.linalg.norm(kernel), np.linalg.norm(block))
    assert np.abs(found - expected).max() <= allowed


def block_of(s, epsilon, sigma):
    return PARTS["diagonal"](s=np.array(s), epsilon=epsilon, sigma=sigma)


variances = st.lists(st.integers(1, 8).map(float), min_size=1, max_size=3)
scalars = st.integers(-6, 6).map(lambda k: k / 4)


@given(s=variances, epsilon=scalars, sigma=scalars.filter(lambda v: v > 0))
def test_the_spectrum_is_that_of_the_kernel_on_an_exact_cubature(s, epsilon, sigma):
    assert_spectrum_is_that_of_the_kernel(s, epsilon, sigma, block_of(s, epsilon, sigma))


def test_a_wrong_spectrum_is_caught():
    s = [1.0, 2.0, 4.0]
    block = block_of(s, 0.5, 1.0)
    assert_spectrum_is_that_of_the_kernel(s, 0.5, 1.0, block)
    with pytest.raises(AssertionError):  # without the rank-1 part: as if squares did not mix
        assert_spectrum_is_that_of_the_kernel(s, 0.5, 1.0, np.diag(np.diag(block)))


@given(s=st.lists(st.integers(1, 30), min_size=2, max_size=4, unique=True).map(sorted))
def test_the_eigenvalues_on_squares_interlace_and_solve_the_secular_equation(s):
    p, q = 2.0, 1.0  # epsilon = sigma = 1
    s = np.array(s, dtype=float)
    eigenvalues = np.linalg.eigvalsh(block_of(s, 1.0, 1.0))
    poles = p * s**2
    assert (eigenvalues > poles).all()
    assert (eigenvalues[:-1] < poles[1:]).all()
    assert eigenvalues[-1] <= poles[-1] + q * (s**2).sum()
    for eigenvalue in eigenvalues:
        width = 1e-6 * np.abs(eigenvalue - poles).min()
        left, right = (
            SECULAR(zeta=eigenvalue + w, s=s, epsilon=1, sigma=1) for w in (-width, width)
        )
        assert left > 0 > right


def test_a_repeated_variance_keeps_its_own_eigenvalues():
    eigenvalues = np.linalg.eigvalsh(block_of([3.0, 1.0, 3.0, 3.0], 1.0, 1.0))
    assert np.isclose(eigenvalues, 2 * 3.0**2, rtol=1e-14).sum() == 2


def test_the_papers_spectrum_is_a_corollary():
    """At s = 1/D: the radial eigenvalue once, the traceless one D - 1 times."""
    for d in (1, 2, 5):
        block = SPECTRUM.evaluate_terms(s=[Rational(1, d)] * d, epsilon=Rational(1, 3), sigma=2)
        found = sp.Matrix(block["diagonal"]).eigenvals()
        paper = theory.closed_form("ntk-eigenvalues").evaluate_terms(
            D=d, epsilon=Rational(1, 3), sigma=2
        )
        expected = {paper["radial"][0]: 1} | ({paper["traceless"][0]: d - 1} if d > 1 else {})
        assert found == expected


# What the kernel can learn of the target

DECOMPOSITION = theory.closed_form("general-target-decomposition")


@given(problem=problems())
def test_the_parts_of_the_target_and_their_powers(problem):
    at, v = in_coordinates(problem)
    inverse = sp.Matrix(values_of(problem)["Sigma"]).inv()
    entries = [[at.number(entry) for entry in inverse.row(i)] for i in range(at.D)]
    x_inverse_x = (v["x"].T @ np.array(entries, dtype=object) @ v["x"])[0, 0]
    null = v["c_0"] * (1 - x_inverse_x / (at.D + 2))
    linear = (v["c_1"].T @ v["x"])[0, 0]
    functions = {"linear": linear, "quadratic": target(v) - null - linear, "null": null}
    for name, function in functions.items():
        assert at.interpret(DECOMPOSITION.terms[name], **v) == number(at, function**2)


def test_the_null_part_is_sent_to_zero_by_the_kernel():
    null = OPERATOR.components["null"]
    kernel = theory.closed_form("ntk-at-init").expr
    assert expectation(kernel * null, INPUTS) == 0
    assert expectation(null**2, INPUTS) != 0


def test_isotropic_inputs_give_the_known_operator():
    paper = theory.closed_form("ntk-eigenvalues").terms["linear"][0]
    image = OPERATOR.terms["linear"].subs(Sigma, I / D)
    line = OPERATOR.terms["linear"].subs(Sigma, I)
    assert equal(image, paper * line)


def test_noise_beyond_its_variance_is_refused():
    with pytest.raises(ValueError, match="degree 3 in xi"):
        noise_mean(sp.Symbol("xi", real=True) ** 3 + alpha)
    assert noise_mean(alpha) == alpha
