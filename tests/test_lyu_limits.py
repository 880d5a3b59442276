"""Early and late solutions against convex programmes, as trends with the rates of the theory."""

import math

import numpy as np
import pytest

from lazyrich import simulate
from lazyrich.simulate import lyu, oracles

pytestmark = pytest.mark.slow


def distance(w, wanted):
    return float(np.linalg.norm(w - wanted) / np.linalg.norm(wanted))


def slope(x, y):
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def generic(seed, d=8, n=2):
    """Generic labels: the interpolation of least L1 norm has a unique certificate."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    return simulate.LinearTask.from_arrays("regression", X, y), X, y


def predictors(net, task, times, **options):
    run = net.train(task, time=times[-1], record=times, **options)
    return net.weights(task, run).numpy()


@pytest.mark.parametrize("seed", range(3))
def test_the_flow_follows_the_path_of_the_mirror_map_up_to_order_lambda(seed):
    task, X, y = generic(seed, d=12, n=4)
    net, alpha, scales = simulate.DiagonalNet(2, "square"), 8.0, np.array([2.0, 0.5, 0.2])
    path = np.array([oracles.mirror_interpolation(X, y, a).w for a in scales])
    decays, errors = np.array([1e-2, 1e-3, 1e-4]), []
    for decay in decays:
        times = np.log(alpha / scales) / decay
        w = predictors(net, task, times, alpha=alpha, weight_decay=decay, rtol=1e-8)
        errors.append([distance(*pair) for pair in zip(w, path, strict=True)])
    for error in np.array(errors).T:
        assert slope(decays, error) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("c", [0.3, 0.6])
def test_early_regression_approaches_the_least_l2_norm_as_alpha_to_the_minus_4c(c):
    """w = 2 a^2 sinh(.) is linear up to (w/2a^2)^2, a = alpha^c."""
    task, X, y = generic(0, d=12, n=4)
    wanted = oracles.min_l2_interpolation(X, y).w
    net, alphas, decay = simulate.DiagonalNet(2, "square"), np.array([20.0, 60.0, 180.0]), 1e-6
    errors = []
    for alpha in alphas:
        times = np.array([(1 - c) / decay * math.log(alpha)])
        w = predictors(net, task, times, alpha=alpha, weight_decay=decay, rtol=1e-8)
        errors.append(distance(w[0], wanted))
    assert slope(alphas, errors) == pytest.approx(-4 * c, abs=0.1)


def test_late_regression_approaches_the_least_l1_norm_at_the_rate_of_its_certificate():
    """w_k = 2 a^2 sinh(zeta_k) off the support is of order a^(2 (1 - |x_k.mu|)), a = alpha^-c.

    Over the seeds whose largest |x_k.mu| is below 0.7: nearer to 1 the trend takes longer. On the
    support weight decay leaves an error of order lambda.
    """
    c, net, decay = 1.0, simulate.DiagonalNet(2, "square"), 1e-4
    alphas, tried = np.array([1000.0, 3000.0, 10_000.0]), 0
    for seed in range(8):
        task, X, y = generic(seed, d=4)
        least = oracles.min_l1_interpolation(X, y)
        largest = float(np.abs(least.multipliers @ X)[least.w == 0].max())
        if largest > 0.7:
            continue
        tried += 1
        errors = []
        for alpha in alphas:
            times = np.array([(1 + c) / decay * math.log(alpha)])
            w = predictors(net, task, times, alpha=alpha, weight_decay=decay, rtol=1e-7)
            errors.append(float(np.abs(w[0][least.w == 0]).max()))
        assert slope(alphas, errors) == pytest.approx(-2 * c * (1 - largest), abs=0.1)
        assert distance(w[0], least.w) < 0.02
    assert tried >= 2


def classified():
    task = simulate.sparse_classification(d=40, n=12, k=1, n_test=1, seed=0)
    return task, task.X.numpy(), task.y.numpy()


def test_early_classification_is_ridge_and_reaches_the_margin_only_logarithmically():
    """With q the least y f: ridge up to 1/q^2, the direction of largest L2 margin up to 1/q."""
    task, X, y = classified()
    best = oracles.l2_max_margin(X, y).w
    net, alpha = simulate.DiagonalNet(2, "logistic"), 100.0
    a2 = alpha  # at c = 1/2
    found = []
    for decay in (1e-2, 1e-4, 1e-6):
        times = np.array([0.5 / decay * math.log(alpha)])
        (w,) = predictors(net, task, times, alpha=alpha, weight_decay=decay)
        q = float((y * (X @ w)).min())
        ridge = oracles.ridge(X, y, "logistic", decay / (4 * a2)).w
        direction = distance(w / np.linalg.norm(w), best / np.linalg.norm(best))
        found.append((q, distance(w, ridge), direction))
    q, ridge, direction = np.array(found).T
    assert slope(q, ridge) == pytest.approx(-2, abs=0.3)
    assert slope(q, direction) == pytest.approx(-1, abs=0.3)
    assert (ridge < direction).all()


def test_late_classification_is_lasso_with_strength_lambda_over_2():
    task, X, y = classified()
    net, decay = simulate.DiagonalNet(2, "logistic"), 1e-3
    wanted = oracles.lasso(X, y, "logistic", decay / 2).w
    wrong = oracles.lasso(X, y, "logistic", decay).w
    errors = []
    for alpha in (10.0, 100.0, 1000.0):
        times = np.array([3 / decay * math.log(alpha)])
        (w,) = predictors(net, task, times, alpha=alpha, weight_decay=decay)
        errors.append(distance(w, wanted))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 1e-2
    assert distance(w, wrong) > 10 * errors[2]  # negative control: the strength is not lambda


def test_the_matrix_model_is_zero_fill_early_and_of_least_penalised_nuclear_norm_late():
    """Unobserved entries of order a^-4 early; late the minimiser with strength lambda/2."""
    task = simulate.matrix_completion(d=8, observed=0.5, seed=0)
    places = task.rows.numpy(), task.columns.numpy()
    decay, alphas = 1e-3, np.array([5.0, 10.0, 20.0])
    least = oracles.nuclear_lasso(8, *places, task.y.numpy(), decay / 2).w
    early, late = [], []
    for alpha in alphas:
        times = np.array([0.5, 3.0]) / decay * math.log(alpha)
        history = (
            lyu.MatrixFactorisation()
            .train(
                task, alpha=alpha, weight_decay=decay, time=times[-1], record=times, rtol=1e-6
            )
            .history
        )  # fmt: skip
        early.append(float(history.largest_unobserved[0]))
        late.append(distance(history.W.values[1], least))
    assert slope(alphas, early) == pytest.approx(-2, abs=0.1)  # a = alpha^(1/2)
    assert late[0] > 1.5 * late[1] > 2.25 * late[2]
