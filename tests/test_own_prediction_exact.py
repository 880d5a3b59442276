"""Lazy predictions of targets with small parts, and where the curve is said to be no guide."""

import json
import math

import numpy as np
import pytest
import sympy as sp

from lazyrich.cli import main
from lazyrich.theory import Problem
from lazyrich.theory.problem import one_direction, target_power
from lazyrich.theory.problem.lazy_prediction import predict_lazy
from lazyrich.theory.problem.norms import Norms
from lazyrich.theory.problem.target_power import harmonic_parts, harmonic_products
from lazyrich.theory.problem.target_values import TargetValues, products


@pytest.mark.parametrize(
    ("activation", "target", "floor", "functions"),
    [  # at D = 5, by hand; <|x|^6> <|x|^2> - <|x|^4>^2 = 63/25 - 49/25 of |x|^2 (beta.x)
        ("h", "1000000 beta.x + (beta.x)^2/2", 3 / 4, 5),
        ("h", "1e8 beta.x + (beta.x)^2/2", 3 / 4, 5),
        ("h", "1e30 beta.x + (beta.x)^2/2", 3 / 4, 5),
        ("h^2", "1e6 |x|^2 + beta.x", 1, 15),
        ("h + h^2", "1e9 |x|^2 + 1", 2 / 7, 20),
        ("h + h^3", "1e9 (beta.x)^3 - 3e9 beta.x + 1", 1, 40),
        ("erf(h)", "1e9 beta.x + (beta.x)^2/2", 3 / 4, None),
        ("relu(h)", "1e8 beta.x + |x|^2 (beta.x)", 14 / 25, None),
        ("relu(h)", "1e8 beta.x", 0, None),
        ("h", "1e8 beta.x", 0, 5),
    ],
)
def test_a_small_part_outside_of_the_kernel_is_the_floor(activation, target, floor, functions):
    """However large the part inside is. Above m functions the loss is floor P/(P - m)."""
    found = predict_lazy(Problem(activation, target), D=5, P=50)
    assert found.floor == pytest.approx(floor, rel=1e-12, abs=0)
    assert found.exact_from == functions
    if functions is not None:
        assert found.curve[100] == pytest.approx(floor * 100 / (100 - functions), rel=1e-12, abs=0)
        reached = floor == 0
        assert (f"floor:             {functions}, the number" in str(found)) is reached


@pytest.mark.parametrize("size", [1.0, 1e6, 1e8, 1e40])
def test_the_plateau_is_the_sum_of_the_other_powers(size):
    problem = Problem("h + h^2", "k beta.x + (beta.x)^2/2")
    assert predict_lazy(problem, D=5, P=9, k=size).plateau == pytest.approx(0.75, rel=1e-12)
    noisy = predict_lazy(problem, D=5, P=9, k=size, noise=0.5)
    assert noisy.plateau == pytest.approx(1.0, rel=1e-12)


def test_a_part_that_leaves_floating_point_is_refused():
    """Its power of 1e-340 is not 0: no number of samples reaches the floor."""
    with pytest.raises(ValueError, match=r"k = 1e-170: the mean square"):
        predict_lazy(Problem("h", "beta.x + k (beta.x)^2"), D=5, P=9, k=1e-170)


@pytest.mark.parametrize("D", [1, 3, 60])  # at 60 a matrix is large: products in floating point
@pytest.mark.parametrize("target", ["x'Bx (a.x) + k b.x", "(a.x)^2 (b.x) + x'Bx + |x|^2"])
def test_exact_products_of_a_target_are_those_of_its_array_functions(target, D):
    problem, rng = Problem("h", target), np.random.default_rng(D)
    values = {"a": rng.normal(size=D), "b": rng.normal(size=D), "B": rng.normal(size=(D, D))}
    values |= {"k": 0.7} if "k" in problem.target.symbols else {}
    exact = products(problem, TargetValues(D, values))
    for l, table in harmonic_products(problem.target.expr).items():
        if l > 1 and D == 1:
            continue
        places = list(harmonic_parts(problem.target.expr)[l])
        for (i, j), found in exact[l].items():
            entry = table[places.index(i), places.index(j)]
            at = {"D": D, **values}
            expected = problem.formula(f"{l} {i} {j}", entry, "numpy")(at)
            scale = max(1.0, float(np.linalg.norm(values["B"])) ** 2)
            assert float(found) == pytest.approx(float(expected), rel=1e-9, abs=1e-12 * scale)
    assert all(isinstance(v, sp.Rational) for amounts in exact.values() for v in amounts.values())


def test_a_direction_by_default_takes_no_memory():
    found = predict_lazy(Problem("h", "beta.x + (beta.x)^2/2"), D=10**10, P=5)
    assert (found.floor, found.exact_from) == (pytest.approx(0.75, rel=1e-9), 10**10)


def test_sizes_whose_eigenvalues_floating_point_lacks_are_left_out(capsys):
    """Not refused under the name of a size that was not given."""
    asked = ["predict", "--D", "1", "--P", "60", "--activation", "erf(h)", "--target", "beta.x"]
    main([*asked, "--noise", "0.1", "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert 15 < found["unknown_from"] < 30
    assert list(found["curve"]) == ["15"]
    assert found["floor"] == pytest.approx(0.01)
    main([*asked, "--noise", "0.1"])
    assert f"from P = {found['unknown_from']} on:" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["predict", "simulate"])
def test_epsilon_given_twice_is_one_line(command, capsys):
    asked = [command, "--D", "3", "--P", "9", "--activation", "h + epsilon h^2"]
    with pytest.raises(SystemExit) as stopped:
        main([*asked, "--epsilon", "0.1", "--constant", "epsilon=0.2"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--epsilon 0.1: epsilon is given twice" in error


@pytest.mark.parametrize(
    ("activation", "target", "D", "P", "noise", "differs"),
    [
        ("erf(h)", "(beta.x)^3", 4, 30, 0.0, True),
        ("erf(h)", "beta.x", 3, 15, 0.3, True),
        ("erf(h)", "beta.x", 2, 20, 0.3, True),
        ("relu(h)", "(beta.x)^2 - |x|^2", 2, 60, 0.3, True),
        ("h + h^2", "(beta.x)^3", 4, 15, 0.0, True),
        # Little is learned here: 100 to 700 functions, most of them of high degree.
        ("h^5 + 2 h", "(beta.x)^2", 8, 20, 0.0, True),
        ("h^5 + 2 h", "(beta.x)^2", 12, 40, 0.0, True),
        ("h^5 + 2 h", "(beta.x)^3", 8, 40, 0.0, True),
        ("h^3", "(beta.x)^2", 8, 40, 0.0, True),
        ("h^7", "(beta.x)^2", 20, 40, 0.0, True),
        ("erf(h)", "beta.x", 20, 30, 0.3, False),
        ("relu(h)", "beta.x + (beta.x)^2/2", 20, 30, 0.3, False),
        ("h + 0.3 h^3", "(beta.x)^3", 15, 12, 0.0, False),
        ("h", "beta.x + (beta.x)^2", 10**10, 50, 0.0, False),
    ],
)
def test_where_real_inputs_differ_is_said(activation, target, D, P, noise, differs):
    found = predict_lazy(Problem(activation, target), D=D, P=P, noise=noise)
    assert (P in found.unreliable) is differs
    assert ("Not reliable at P = " in str(found)) is bool(found.unreliable)
    assert set(found.with_norms) <= set(found.unreliable)


@pytest.mark.parametrize(
    ("activation", "target", "D", "P", "noise", "within"),
    [  # the last is the factor that is allowed between the means: over four standard errors
        ("erf(h)", "beta.x", 20, 15, 0.3, 1.1),
        ("0.3 h + 0.3 h^3", "(beta.x)^2 + beta.x", 8, 35, 0.0, 1.15),
        ("h^3", "(beta.x)^2", 8, 40, 0.0, 1.2),
        ("h^5 + 2 h", "(beta.x)^2", 8, 20, 0.0, 1.5),  # 5.3 times the curve
        ("h^2", "beta.x", 2, 60, 0.3, 1.2),  # more samples than functions
    ],
)
def test_the_mean_loss_on_real_inputs_is_that_with_norms(activation, target, D, P, noise, within):
    problem = Problem(activation, target)
    values = {"sigma": 1.0, "beta": np.array([math.sqrt(D)] + [0.0] * (D - 1))}
    spectrum = problem.spectrum(D=D, **values)
    found = Norms(problem, spectrum, values).loss(P, noise)
    rank = min(P, spectrum.rank) if spectrum.complete else P
    mean = _mean_loss_on_inputs(problem, values, D, P, rank, noise)
    assert found / within < mean < found * within
    curve = problem.learning_curve(P=P, D=D, noise=noise, **values)
    is_told = P in predict_lazy(problem, D=D, P=P, noise=noise).unreliable
    assert is_told is not bool(curve / 1.25 < found < 1.25 * curve)


def _mean_loss_on_inputs(problem, values, D, P, rank, noise):
    """Of 300 data sets; the kernel is solved in units of its diagonal, which may vary much."""
    kernel, rng = problem.closed_form("ntk-at-init").function("numpy"), np.random.default_rng(1)
    losses = []
    for _ in range(300):
        X = rng.standard_normal((P + 300, D)) / math.sqrt(D)
        K = kernel(x=X[:, None], x_prime=X[None, :P], sigma=values["sigma"])
        y = problem.target.labels(X, beta=values["beta"])
        given = y[:P] + noise * rng.standard_normal(P)
        units = np.sqrt(np.diag(K[:P]))
        squares, vectors = np.linalg.eigh(K[:P] / units[:, None] / units)
        roots, vectors = np.sqrt(squares[P - rank :]), vectors[:, P - rank :]
        features, new = units[:, None] * vectors * roots, K[P:] / units @ vectors / roots
        weights = np.linalg.lstsq(features, given, rcond=None)[0]
        losses.append(np.mean((new @ weights - y[P:]) ** 2) + noise**2)
    return np.mean(losses)


@pytest.mark.parametrize("activation", ["h", "h + h^3", "erf(h)", "relu(h)"])
def test_norms_that_hardly_vary_give_the_lazy_curve(activation):
    """The spread of |x|^2 is 2/D: the two losses differ by terms of that order."""
    problem, D = Problem(activation, "beta.x + (beta.x)^2/2"), 4000
    values = {"sigma": 1.0, "beta": np.eye(D)[0] * math.sqrt(D)}
    spectrum = problem.spectrum(D=D, **values)
    curve = problem.learning_curve(P=50, D=D, noise=0.2, **values)
    assert Norms(problem, spectrum, values).loss(50, 0.2) == pytest.approx(curve, rel=100 / D)


@pytest.mark.parametrize("D", [1, 2, 5])
@pytest.mark.parametrize("target", ["(beta.x)^5/3 - k (beta.x)^2 + 2", "He_4(beta.x) + beta.x"])
def test_the_numbers_of_one_direction_are_those_of_the_general_derivation(target, D):
    """By words of matrices for symbolic D, with values put in at the end."""
    problem = Problem("h", target)
    values = {"beta": [sp.Rational(1, n + 2) for n in range(D)], "k": sp.Rational(2, 3)}
    values = {name: values[name] for name in problem.target.symbols}
    line = one_direction.coefficients(problem.target, TargetValues(D, values))
    assert line is not None
    given, square = line
    terms = problem.closed_form("target-power").evaluate_terms(D=D, **values)
    powers = one_direction.hermite_powers(given, problem.target.degree, square / D)
    assert {f"degree_{n}": power for n, power in powers.items()} == terms
    tables, exact = harmonic_products(problem.target.expr), TargetValues(D, values).exact
    for l, found in one_direction.harmonic_products(given, square, D).items():
        places = list(harmonic_parts(problem.target.expr)[l])
        assert found == {
            (i, j): exact(tables[l][places.index(i), places.index(j)])
            for i in places
            for j in places
        }


def test_a_target_of_high_degree_takes_no_algebra_of_words(monkeypatch):
    """(beta.x)^24 in D = 3 took over a minute; its power is 47!! = 47 * 45 * ... * 1."""
    for name in ("harmonic_parts", "hermite_parts"):
        monkeypatch.setattr(target_power, name, None)
    found = predict_lazy(Problem("h", "(beta.x)^24"), D=3, P=9)
    assert found.nothing == pytest.approx(math.prod(range(1, 48, 2)), rel=1e-14)
    assert found.floor == found.plateau == pytest.approx(found.nothing, rel=1e-14)
