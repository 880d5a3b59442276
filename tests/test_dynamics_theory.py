"""Decay, momentum, the population's dynamics and what scales do: laws of theory's dynamics."""

from functools import cache

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from lazyrich.simulate import PolynomialTask, train
from lazyrich.simulate.neurons import network as forward
from lazyrich.theory import closed_form
from lazyrich.theory.population_scalars import q_1, q_perp
from lazyrich.theory.symbols import D as DIMENSION
from lazyrich.theory.symbols import M, wbar
from lazyrich.theory.training_symbols import a as SCALE
from lazyrich.theory.wick import canonical_matrix
from lazyrich.verify import strategies
from lazyrich.verify.certificates import prove
from lazyrich.verify.certificates.population import CERTIFICATES
from lazyrich.verify.cubature import fifth_degree
from lazyrich.verify.properties import closed_form_function, tensor
from lazyrich.verify.properties.dynamics import (
    f_moves_at_the_speed_of_the_kernel,
    joint_moments_follow_torch,
    scales_train_alike,
    short_run,
    term_values,
)
from lazyrich.verify.tolerances import assert_close

RATES = st.integers(0, 16).map(lambda k: k / 16)


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificate_proves_the_closed_form_for_every_dimension(name):
    assert "prove it for every D" in prove(CERTIFICATES[name], closed_form(name))


@pytest.mark.parametrize("name", ["moment-step-decay", "moment-step-momentum", "population-flow"])
def test_certificates_reject_a_formula_with_one_coefficient_off(name):
    cf = closed_form(name)
    off = {k: part + sp.Rational(1, 1000) * first_term(part) for k, part in cf.terms.items()}
    wrong = type(cf)(**(vars(cf) | {"terms": off}))
    with pytest.raises(AssertionError):
        prove(CERTIFICATES[name], wrong)


def first_term(part):
    return part.args[0] if isinstance(part, sp.MatAdd) else part


@pytest.mark.parametrize("name", ["moment-step", "moment-step-decay", "population-step"])
def test_the_components_are_the_map_whose_mean_over_the_neurons_is_derived(name):
    """<F w - g> and <(F w - g)(F w - g)^T>; and the derivation shows each F as the component."""
    cf = closed_form(name)
    F, g = cf.components["F"], cf.components["g"]
    assert canonical_matrix(F * wbar - g - cf.terms["wbar"]) == sp.ZeroMatrix(DIMENSION, 1)
    second = F * M * F.T - F * wbar * g.T - g * wbar.T * F.T + g * g.T
    assert canonical_matrix(second - cf.terms["M"]) == sp.ZeroMatrix(DIMENSION, DIMENSION)
    shown = [expression for _, expression in cf.steps]
    assert {"F", "g", "F_centred"} & set(cf.components) <= {
        part for part, expression in cf.components.items() if expression in shown
    }


FORMS = "moment-step-momentum moment-flow-decay population-step population-time momentum-modes"


@pytest.mark.parametrize("name", [*FORMS.split(), "population-flow-scalar"])
def test_numbers_are_real_and_rates_times_and_sizes_have_no_sign(name):
    """SymPy may simplify by this only: sqrt(m_1^2) is |m_1| where m_1 is real."""
    for symbol in closed_form(name).symbols.values():
        if isinstance(symbol, sp.Symbol):
            assert symbol.is_real, symbol
            if symbol.name in {"eta_0", "kappa", "kappa_d", "mu", "h", "T", "a", "b", "sigma"}:
                assert symbol.is_nonnegative, symbol


@given(strategies.trainings(), strategies.seeds(), st.tuples(RATES, RATES, RATES, RATES))
def test_five_moments_follow_torchs_momentum_and_decay(training, seed, rates):
    """One step of torch.optim.SGD from any weights and velocities moves the moments as derived."""
    eta_0, *others = rates
    joint_moments_follow_torch(training, seed, (eta_0 + 1 / 16, *others))


@given(strategies.networks(), RATES)
def test_population_step_is_the_mean_training_step_of_one_sample(network, eta_0):
    """Averaged over one sample on an exact rule, moment-step moves wbar as the population does."""
    points, probabilities = fifth_degree(network.D)
    wbar, M = map(tensor, network.moments())
    known = {"alpha": network.alpha, "epsilon": network.epsilon, "eta_0": eta_0, "D": network.D}
    known |= {"wbar": wbar, "M": M}
    step = closed_form_function("moment-step", "wbar")
    outputs = forward(
        tensor(points), tensor(network.W), alpha=network.alpha, epsilon=network.epsilon
    )
    r = outputs - tensor((points @ network.beta) ** 2 / 2)
    X = tensor(points)[:, None, :]
    each = step(X=X, r=r[:, None], P=1, **{k: known[k] for k in known if k != "M"})
    mean = tensor(probabilities) @ each
    population = term_values("population-step", known | {"beta": tensor(network.beta)})["wbar"]
    size = abs(tensor(network.W)).mean(0).max() + tensor(abs(probabilities)) @ (
        eta_0 * bound_of_a_sample(network, points)
    )
    assert_close(mean, population, magnitude=size, operations=100 * network.D**2 + 4 * network.N)


def bound_of_a_sample(network, points):
    """What one sample can move a weight by, on absolute values."""
    alpha, epsilon, W = abs(network.alpha), abs(network.epsilon), abs(tensor(network.W))
    X = abs(tensor(points))
    r = forward(X, W, alpha=alpha, epsilon=epsilon) + (X @ abs(tensor(network.beta))) ** 2 / 2
    return 2 / alpha * r * (1 + epsilon * (X @ W.mean(0))) * X.max(1).values


@given(strategies.networks(), strategies.seeds())
def test_f_moves_at_the_speed_of_the_kernel_whatever_alpha_and_N(network, seed):
    f_moves_at_the_speed_of_the_kernel(network, seed)


@given(strategies.seeds(), st.integers(-3, 3), st.integers(-3, 1), st.booleans())
def test_scales_of_output_weights_and_labels_train_alike_up_to_units(seed, k, j, centred):
    scales_train_alike(seed, k, j, centred)


def test_alpha_as_sigma_to_the_minus_two_is_no_equivalence():
    """Fig. 7c: at fixed epsilon the linear part is left behind, and training differs."""
    W = np.random.default_rng(0).standard_normal((5, 3))
    task = PolynomialTask(D=3, P=8, n_test=1, seed=0)
    one = short_run(task, W, alpha=1.0, epsilon=0.5, centred=True)
    other = short_run(task, 2.0 * W, alpha=0.25, epsilon=0.5, centred=True)
    final = [float(r.history.train_loss[-1]) for r in (one, other)]
    assert abs(final[0] / final[1] - 1) > 0.1


@given(strategies.seeds(), strategies.alphas(-3, 8), strategies.epsilons())
def test_delta_moves_by_epsilon_over_alpha_alone(seed, alpha, epsilon):
    """lazy-coordinates: its step, iterated for each neuron, is training of the centred network."""
    D, P, N, steps = 3, 6, 4, 20
    task = PolynomialTask(D=D, P=P, n_test=1, seed=seed)
    W = np.random.default_rng(seed).standard_normal((N, D))
    options = {"engine": "neurons", "centred": True, "steps": steps}
    trained = short_run(task, W, alpha=alpha, epsilon=epsilon, **options)
    eta_0 = trained.config["learning_rate"]
    X, start, delta = task.X, tensor(W), torch.zeros(N, D, dtype=torch.float64)
    for _ in range(steps):
        pairs = {"x": X[:, None], "w0": start[None], "delta": delta[None]}
        numbers = {"alpha": alpha, "epsilon": epsilon}
        f = closed_form_function("lazy-coordinates", "predictor")(**pairs, **numbers).mean(1)
        rho = (f - task.y)[:, None]
        step = closed_form_function("lazy-coordinates", "step")
        moves = step(**pairs, **numbers, rho=rho, eta_0=eta_0)
        delta = delta - moves.mean(0)
    moved = alpha * (trained.state - start)
    # Only w is kept in floats by the engine: delta loses alpha |w| u of it, grown by few steps.
    scale = abs(alpha) * float(abs(trained.state).max()) + float(abs(moved).max())
    assert_close(delta, moved, magnitude=100 * scale, operations=steps * 20 * (D + P + N))


@given(RATES.filter(lambda mu: mu < 1), st.integers(1, 40).map(lambda k: k / 8))
def test_momentum_modes_are_the_eigenvalues_of_two_steps(mu, h):
    """r_t+1 = (1 + mu - h) r_t - mu r_t-1: factors, oscillation and stability as derived."""
    cf = closed_form("momentum-modes")
    known = {"mu": sp.Rational(mu), "h": sp.Rational(h)}
    claimed = sorted(map(complex, cf.evaluate(**known)), key=lambda z: (z.real, z.imag))
    companion = np.array([[1 + mu - h, -mu], [1.0, 0.0]])
    found = sorted(map(complex, np.linalg.eigvals(companion)), key=lambda z: (z.real, z.imag))
    np.testing.assert_allclose(claimed, found, atol=1e-7)  # a double root: sqrt of rounding
    first, last = (part.subs(known_symbols(cf, known)) for part in cf.terms["oscillates"])
    assert (first < h < last) == (max(abs(z.imag) for z in claimed) > 0)
    bound = cf.terms["stable_below"].subs(known_symbols(cf, known))
    assert (max(abs(z) for z in claimed) > 1) == (h > bound)


def known_symbols(cf, known):
    return {s: known[s.name] for part in cf.expr for s in part.free_symbols}


def test_a_slow_mode_moves_one_over_one_minus_mu_times_as_fast():
    cf = closed_form("momentum-modes")
    leading = max(float(z) for z in cf.evaluate(mu=sp.Rational(19, 20), h=sp.Rational(1, 10**8)))
    assert (1 - leading) / 1e-8 == pytest.approx(20, rel=1e-4)


@cache
def competition(name):
    """(q, D, a) -> dq/dT of the two species."""
    rates = closed_form("population-flow-scalar").components[name]
    return sp.lambdify([[q_1, q_perp], DIMENSION, SCALE], rates)


@pytest.mark.parametrize("D", [2, 10, 100])
def test_the_aligned_feature_wins_and_the_others_die_as_a_power_of_time(D):
    start = 1 / D
    solution = solve_ivp(
        lambda _, q: competition("competition")(q, D, start),
        (0, 3e4),
        [start, start],
        method="LSODA",
        rtol=1e-10,
        atol=1e-14,
        t_eval=[1e4, 3e4],
    )
    assert solution.y[0, -1] == pytest.approx(1, abs=1e-3)
    share = solution.y[1] * solution.t
    assert share == pytest.approx(3 / (2 * (D + 2)), rel=0.02)


@pytest.mark.parametrize("D", [2, 5, 20])
def test_the_lazy_limit_fits_at_twice_the_kernels_eigenvalues(D):
    """Centred, a = 10^6: the variance of f decays at lambda_radial's rate, the rest slowly."""
    a = 1e6
    field = competition("competition_centred")
    step = 1e-3
    moves = [np.subtract(field(a + step * e, D, a), field([a, a], D, a)) for e in np.eye(2)]
    jacobian = np.array(moves).T / (step * a)
    rates = np.sort(-np.linalg.eigvals(jacobian))
    np.testing.assert_allclose(rates, [2, D + 2], rtol=1e-5)
    values = closed_form("ntk-eigenvalues").evaluate_terms(D=D, epsilon=1, sigma=1)
    derived = closed_form("population-flow-scalar").components["lazy_rates"]
    for name in ("radial", "traceless"):
        point = {symbol: D if symbol.name == "D" else 1 for symbol in derived[name].free_symbols}
        assert derived[name].subs(point) == 2 * values[name][0]


def test_without_samples_noise_no_linear_power_arises():
    """wbar = 0 stays 0 on the population, but not on 20 samples: so linear power peaks."""
    cf = closed_form("population-flow")
    zero = sp.ZeroMatrix(*wbar.shape)
    assert cf.terms["wbar"].subs(wbar, zero).doit() == zero
    task = PolynomialTask(D=10, P=20, n_test=1, seed=0)
    trained = train(
        task, alpha=1.0, epsilon=0.25, width=float("inf"), steps=100, alignment=None,
        engine="moments", centred=False,
    )  # fmt: skip
    assert float(trained.history.linear.max()) > 0.1
