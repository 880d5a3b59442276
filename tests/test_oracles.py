"""Oracles: against programmes written down anew in cvxpy; certificates that refuse; bad data."""

import sys

import cvxpy as cp
import numpy as np
import pytest

from lazyrich.simulate import oracles, sparse_classification
from lazyrich.simulate.oracles import linear, nuclear, penalised
from lazyrich.simulate.oracles.solution import CertificateError, Solution

# Clarabel's own accuracy on w, from its relative gap of 1e-8.
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def data(seed, n=6, d=15):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, rng.standard_normal(n), np.sign(X @ rng.standard_normal(d))


def minimum(w, objective, constraints=()):
    cp.Problem(cp.Minimize(objective), list(constraints)).solve(solver=cp.CLARABEL)
    return w.value


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [6, 25])
def test_max_margins(seed, n):
    X, _, labels = data(seed, n)
    w = cp.Variable(15)
    margins = [cp.multiply(labels, X @ w) >= 1]
    assert np.allclose(
        oracles.l2_max_margin(X, labels).w, minimum(w, cp.sum_squares(w), margins), **CLOSE
    )
    found = oracles.l1_max_margin(X, labels)
    assert np.allclose(found.w, minimum(w, cp.norm1(w), margins), **CLOSE)
    assert found.value == pytest.approx(float(np.abs(found.w).sum()))


@pytest.mark.parametrize("seed", range(3))
def test_minimum_norm_interpolation(seed):
    X, y, _ = data(seed)
    w = cp.Variable(15)
    fits = [X @ w == y]
    assert np.allclose(oracles.min_l2_interpolation(X, y).w, minimum(w, cp.norm2(w), fits), **CLOSE)
    assert np.allclose(oracles.min_l1_interpolation(X, y).w, minimum(w, cp.norm1(w), fits), **CLOSE)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.1])
def test_mirror_interpolation_is_a_relative_entropy_of_both_layers(scale):
    """w = p - q, p = u^2, q = v^2: the least sum of p log(p/a^2) - p + a^2 and likewise of q."""
    X, y, _ = data(0)
    p, q = cp.Variable(15), cp.Variable(15)
    entropy = cp.sum(cp.kl_div(p, scale**2) + cp.kl_div(q, scale**2))
    cp.Problem(cp.Minimize(entropy), [X @ (p - q) == y]).solve(solver=cp.CLARABEL)
    found = oracles.mirror_interpolation(X, y, scale)
    assert np.allclose(found.w, p.value - q.value, atol=1e-3)
    assert np.allclose(np.arcsinh(found.w / (2 * scale**2)), X.T @ found.multipliers, rtol=1e-9)


@pytest.mark.parametrize("loss", penalised.LOSSES)
@pytest.mark.parametrize("strength", [0.3, 1e-3])
def test_ridge_and_lasso(loss, strength):
    X, y, labels = data(1)
    y = y if loss == "square" else labels
    w = cp.Variable(15)
    total = {
        "square": lambda: cp.sum_squares(X @ w - y),
        "logistic": lambda: cp.sum(cp.logistic(-cp.multiply(y, X @ w))),
        "exponential": lambda: cp.sum(cp.exp(-cp.multiply(y, X @ w))),
    }[loss]()
    wanted = minimum(w, total / 6 + strength / 2 * cp.sum_squares(w))
    assert np.allclose(oracles.ridge(X, y, loss, strength).w, wanted, rtol=1e-3, atol=1e-3)
    wanted = minimum(w, total / 6 + strength * cp.norm1(w))
    assert np.allclose(oracles.lasso(X, y, loss, strength).w, wanted, rtol=1e-3, atol=1e-3)


def test_the_columns_that_are_left_out_would_not_help():
    """d = 3000 with 4 n = 40 columns at first: the same optimum as over all of them."""
    X, y, labels = data(2, n=10, d=3000)
    w = cp.Variable(3000)
    wanted = cp.Problem(cp.Minimize(cp.norm1(w)), [X @ w == y]).solve(solver=cp.CLARABEL)
    assert oracles.min_l1_interpolation(X, y).value == pytest.approx(wanted, rel=1e-6)
    margins = [cp.multiply(labels, X @ w) >= 1]
    wanted = cp.Problem(cp.Minimize(cp.norm1(w)), margins).solve(solver=cp.CLARABEL)
    assert oracles.l1_max_margin(X, labels).value == pytest.approx(wanted, rel=1e-6)


def test_a_sparse_optimum_is_proved_by_the_least_multipliers(monkeypatch):
    """3 weights, and far more samples at the margin: least |mu|, one programme over 320 columns.

    The corner that the simplex method gives violates columns for dozens of rounds.
    """
    task = sparse_classification(d=2000, n=80, k=3, n_test=1, seed=3)
    X, y = task.X.numpy(), task.y.numpy()
    calls, solve = [], linear.linprog
    monkeypatch.setattr(linear, "linprog", lambda *a, **k: calls.append(1) or solve(*a, **k))
    found = oracles.l1_max_margin(X, y)
    assert (found.value, len(calls)) == (pytest.approx(3), 1)
    mu, A = cp.Variable(80, nonneg=True), y[:, None] * X
    dual = [cp.sum(mu) == found.value, cp.abs(A.T @ mu) <= 1]
    wanted = minimum(mu, cp.sum_squares(mu), dual)
    assert np.linalg.norm(found.multipliers) == pytest.approx(np.linalg.norm(wanted), rel=1e-4)
    monkeypatch.setattr(linear, "_least_multipliers", lambda *_, **__: None)
    assert oracles.l1_max_margin(X, y).value == pytest.approx(3)
    assert len(calls) > 10


def completion(d, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(np.triu(rng.random((d, d)) < 0.6))
    return rows, columns, rng.standard_normal(len(rows))


def test_nuclear_norms():
    rows, columns, values = completion(6)
    W = cp.Variable((6, 6), symmetric=True)
    fits = [W[rows, columns] == values]
    wanted = minimum(W, cp.normNuc(W), fits)
    found = oracles.min_nuclear_norm(6, rows, columns, values)
    assert np.allclose(found.w, wanted, atol=1e-3)
    assert found.value == pytest.approx(float(np.abs(np.linalg.eigvalsh(wanted)).sum()), rel=1e-6)
    error = cp.sum_squares(W[rows, columns] - values) / len(values)
    wanted = minimum(W, error + 0.05 * cp.normNuc(W))
    found = oracles.nuclear_lasso(6, rows, columns, values, 0.05).w
    assert np.allclose(found, wanted, atol=1e-3)


def test_a_wrong_answer_of_a_solver_is_refused(monkeypatch):
    """Negative control: minimisers moved by a thousandth, from each solver in turn."""
    X, y, labels = data(3)

    def moved(function, place, factor=1.001):
        def wrong(*arguments, **options):
            found = function(*arguments, **options)
            if isinstance(found, tuple):
                return (found[0] * factor, *found[1:])
            if isinstance(found, np.ndarray):
                return found * factor
            found[place] = found[place] * factor
            return found

        return wrong

    monkeypatch.setattr(linear, "nnls", moved(linear.nnls, 0))
    with pytest.raises(CertificateError, match="not optimal: "):
        oracles.l2_max_margin(X, labels)
    monkeypatch.undo()
    monkeypatch.setattr(linear, "linprog", moved(linear.linprog, "x"))
    for oracle, target in ((oracles.l1_max_margin, labels), (oracles.min_l1_interpolation, y)):
        with pytest.raises(CertificateError, match="not optimal: "):
            oracle(X, target)
    monkeypatch.undo()
    monkeypatch.setattr(linear, "_mirror_newton", moved(linear._mirror_newton, 0))
    with pytest.raises(CertificateError, match="not optimal: "):
        oracles.mirror_interpolation(X, y, 1.0)
    monkeypatch.setattr(penalised, "_ridge_newton", moved(penalised._ridge_newton, 0))
    with pytest.raises(CertificateError, match="not optimal: "):
        oracles.ridge(X, y, "square", 0.1)
    monkeypatch.setattr(penalised, "_sharpened", moved(penalised._sharpened, 0))
    with pytest.raises(CertificateError, match="not optimal: "):
        oracles.lasso(X, y, "square", 0.1)
    rows, columns, values = completion(5)
    with pytest.raises(CertificateError, match="not optimal: "):
        oracles.nuclear_lasso(5, rows, columns, values, 1e-3, iterations=2)
    monkeypatch.setattr(nuclear, "_adjoint", moved(nuclear._adjoint, 0))
    with pytest.raises(CertificateError, match="not optimal: "):
        oracles.min_nuclear_norm(5, rows, columns, values)


def test_data_without_a_solution_are_refused():
    X = np.array([[1.0], [1.0]])
    with pytest.raises(CertificateError, match="no w separates the data"):
        oracles.l2_max_margin(X, np.array([1.0, -1.0]))
    with pytest.raises(CertificateError, match="infeasibility"):
        oracles.min_l1_interpolation(X, np.array([1.0, 2.0]))


def test_a_missing_solver_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "clarabel", None)
    with pytest.raises(ModuleNotFoundError) as error:
        oracles.min_nuclear_norm(1, np.array([0]), np.array([0]), np.array([1.0]))
    assert str(error.value) == "clarabel is not installed: pip install cvxpy clarabel"


def test_a_certificate_holds_to_its_tolerance():
    assert Solution(np.ones(1), 1.0, np.ones(1), {"gap": 1e-7}).certified().value == 1.0
    with pytest.raises(CertificateError, match="gap nan"):
        Solution(np.ones(1), 1.0, np.ones(1), {"gap": float("nan")}).certified()
