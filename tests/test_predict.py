"""Predictions of the laws: what the numbers obey, and simulation where it is quick."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from lazyrich.simulate.kernel_regression import fit, population_losses
from lazyrich.simulate.laws import lazy, lazy_rate, population
from lazyrich.simulate.laws.rich_flow import rich_curve
from lazyrich.simulate.linearised import LinearisedDescent
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from lazyrich.simulate.task import PolynomialTask
from lazyrich.simulate.train import train
from lazyrich.theory import closed_form
from lazyrich.theory.symbols import sigma
from lazyrich.verify.properties.slaved_flow import SlavedFlow

curvatures = st.floats(1e-3, 10).flatmap(lambda x: st.sampled_from([x, -x]))


@given(st.integers(2, 200), st.floats(1e-4, 0.999), curvatures, st.floats(0.1, 10))
def test_the_effective_ridge_has_as_many_functions_learned_as_samples(D, share, epsilon, sigma):
    P = share * lazy.exact_from(D)
    kappa = lazy.effective_ridge(D, P, epsilon, sigma)
    samples = closed_form("lazy-learning-curve").functions("numpy")["samples"]
    found = float(samples(D=D, epsilon=epsilon, sigma=sigma, kappa=kappa))
    assert found == pytest.approx(P, rel=1e-9)


@given(st.integers(2, 100), st.floats(1e-3, 0.999), curvatures, st.floats(0.1, 10))
def test_the_lazy_loss_hangs_on_epsilon_sigma_and_scales_with_the_labels(D, share, epsilon, sigma):
    P = share * lazy.exact_from(D)
    loss = lazy.lazy_loss(D, P, epsilon, sigma=sigma)
    assert lazy.lazy_loss(D, P, -abs(epsilon) * sigma).total == pytest.approx(loss.total)
    scaled = lazy.lazy_loss(D, P, epsilon, sigma=sigma, b=3.0 * D)
    assert scaled == pytest.approx(tuple(9 * part for part in loss))
    assert min(loss) >= 0
    assert sum(loss[1:]) == pytest.approx(loss.total)


@given(st.integers(2, 60), curvatures)
def test_the_lazy_loss_begins_at_predicting_nothing_and_ends_at_0(D, epsilon):
    assert lazy.lazy_loss(D, 1e-6, epsilon).total == pytest.approx(0.75, rel=1e-4)
    last = lazy.exact_from(D)
    assert lazy.lazy_loss(D, last * (1 - 1e-9), epsilon).total < 1e-6
    assert lazy.lazy_loss(D, last, epsilon).total == 0


@pytest.mark.parametrize("epsilon", [0.3, 0.9, 0.92, 3.0])
def test_few_samples_are_worse_than_none_below_the_critical_epsilon(epsilon):
    critical = float(closed_form("lazy-curve-limit").terms["critical_epsilon"].subs(sigma, 1))
    if epsilon < critical:
        assert lazy.lazy_loss(10**5, 100, epsilon).total > 0.75
    else:
        assert lazy.peak(200, epsilon) == (0, 0.75)


@pytest.mark.parametrize(("D", "P"), [(20, 10), (20, 30), (40, 160), (40, 700)])
def test_the_lazy_loss_is_the_mean_over_data_sets(D, P):
    losses = sum(population_losses(D, P, 0.3, count=60, seed=1).values())
    error = float(losses.std() / len(losses) ** 0.5)
    law = lazy.lazy_loss(D, P, 0.3).total
    assert abs(float(losses.mean()) - law) < 0.05 * law + 4 * error


@pytest.mark.parametrize(("D", "P"), [(1, 4), (3, 9), (8, 2), (10, 40), (12, 6)])
def test_the_plateau_is_the_mean_over_data_sets(D, P):
    Z = np.random.default_rng(D).normal(size=(4000, P, D))
    y = Z[:, :, 0] ** 2 / 2
    w = (np.linalg.pinv(Z) @ y[..., None])[..., 0]
    test = 0.75 + (w**2).sum(1)
    train = ((y - (Z @ w[..., None])[..., 0]) ** 2).mean(1)
    law = lazy.plateau(D, P)
    for found, expected in ((test, law.test), (train, law.train)):
        assert abs(found.mean() - expected) <= 4.5 * found.std() / len(found) ** 0.5 + 1e-12


def test_the_fit_is_the_end_of_the_linearised_engine():
    task = PolynomialTask(D=6, P=10, n_test=1, seed=3)
    start = PseudoNeurons.isotropic(6, 0.7)
    options = {"alpha": 1.0, "epsilon": 0.6, "learning_rate": 1.0, "centred": True}
    slow = LinearisedDescent(start, task.X, task.y, **options)
    wbar, M = slow.moments(math.inf)
    found = fit(task.X, task.y, epsilon=0.6, sigma=0.7)
    assert torch.allclose(found[0], wbar, atol=1e-9)
    assert torch.allclose(found[1], M - start.M, atol=1e-9)


@pytest.mark.parametrize("a", [1e-5, 1e-3, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("D", [1, 2, 10, 100, 3000])
@pytest.mark.parametrize(("share", "error"), [(1 - 0.5**0.5, 0.02), (0.5, 0.041)])
def test_the_time_to_learn_is_that_of_the_integration(D, a, share, error):
    T = population.time_to_learn(D, a, share)
    times = T * np.linspace(0.9, 1.1, 401)
    learned = population.competition(D, a, np.concatenate([[0.0], times]))[0][1:] - a
    exact = float(np.interp(share, learned, times))
    assert abs(T / exact - 1) < (1e-6 if D == 1 else error)


@pytest.mark.parametrize("threshold", [0.5, 0.1, 0.01])
def test_the_time_below_is_that_of_the_flow_of_matrices(threshold):
    """The slow reference: d(wbar, M)/d tau for D = 3 as it stands, beta in no special direction."""
    D, alpha, epsilon = 3, 0.8, 0.5
    beta = np.array([1.0, -1.0, 1.0])
    flow = closed_form("population-flow").functions("numpy")
    loss = closed_form("test-loss-centred").function("numpy")
    common = {"alpha": alpha, "epsilon": epsilon, "beta": beta, "M0": np.eye(D)}
    zero = np.zeros(D)

    def rates(_, m):
        return flow["M_centred"](**common, M=m.reshape(D, D), wbar=zero, wbar0=zero).ravel()

    a = alpha * epsilon / 3
    tau = population.time_below(D, a, threshold) * population.tau_per_T(D, alpha, epsilon)
    M = solve_ivp(rates, (0, tau), np.eye(D).ravel(), rtol=1e-10, atol=1e-12).y[:, -1]
    reached = float(loss(**common, M=M.reshape(D, D), wbar=zero, wbar0=zero))
    assert reached == pytest.approx(threshold, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("a", [0.02, 0.5])
def test_the_slaved_flow_is_the_limit_of_the_network(a):
    """Where the flow predicts a test loss of 0.1, it is off by a part of order epsilon/alpha."""
    task = PolynomialTask(D=4, P=24, n_test=1, seed=0)
    S = SlavedFlow(task.X.numpy(), task.beta.numpy(), a).time_below(0.1 / 16)
    errors = []
    for ratio in (0.03, 0.003):
        epsilon = (a * 4 * ratio) ** 0.5
        options = {"width": math.inf, "engine": "flow", "centred": True, "alignment": None}
        options |= {"steps": 1000, "record": [0, 1000], "rtol": 1e-6}
        rate = S / (epsilon * 4) * (epsilon / ratio) / 1000
        history = train(
            task, alpha=epsilon / ratio, epsilon=epsilon, learning_rate=rate, **options
        ).history
        errors.append(abs(float(history.population_loss[-1]) / 0.1 - 1))
    assert errors[1] < 0.01
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("a", [0.001, 0.1, 3.0])
def test_the_rich_curve_is_the_slaved_flow(a):
    task = PolynomialTask(D=6, P=40, n_test=1, seed=2)
    S = SlavedFlow(task.X.numpy(), task.beta.numpy(), a).time_below(0.1 / 36)
    T = rich_curve(task.X.numpy(), task.beta.numpy(), 6 * a).test_fall
    assert pytest.approx(S, rel=0.01) == 6 * T


@pytest.mark.slow
@pytest.mark.parametrize(("D", "P"), [(5, 12), (6, 4)])
def test_the_gap_to_kernel_regression_is_the_one_predicted(D, P):
    """Its relative error is of order 1/alpha, too."""
    task = PolynomialTask(D=D, P=P, n_test=1, seed=1)
    law = lazy_rate.slope_of_the_loss(task, 1.0)
    options = {"epsilon": 1.0, "width": math.inf, "steps": 10**4, "centred": True}
    options |= {"record": [0, 10**4], "alignment": None}
    errors = []
    for alpha in (64.0, 1024.0):
        history = train(task, alpha=alpha, engine="flow", rtol=1e-7, **options).history
        gap = history.population_loss[-1] - history.kernel_regression_population_loss
        errors.append(abs(float(gap) / (law / alpha) - 1))
    assert errors[1] < 0.01
    assert errors[1] < errors[0] / 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lazy.lazy_loss(0, 5, 0.1), "D = 0: must be a positive integer"),
        (lambda: lazy.lazy_loss(5, 5, 0.0), "epsilon = 0.0: must be a finite number other than 0"),
        (lambda: lazy.effective_ridge(5, 20, 0.1), "P = 20: must be below D"),
        (lambda: population_losses(5, 20, 0.1, count=1), "P = 20: must be below D"),
        (lambda: population.time_to_learn(5, -1.0), "a = -1.0: must be a finite number above 0"),
        (lambda: population.time_to_learn(5, 1.0, 1.0), "share = 1.0: must be between 0 and 1"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call()
