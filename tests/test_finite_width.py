"""The network at finite width at initialisation: laws of theory.finite_width."""

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.metrics import population_terms
from lazyrich.theory import closed_form, finite_width
from lazyrich.theory.symbols import I, M, N, sigma, wbar
from lazyrich.theory.wick import dot
from lazyrich.verify import strategies
from lazyrich.verify.certificates import prove
from lazyrich.verify.certificates.width import CERTIFICATES
from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.tolerances import assert_close

# A tensor rule over all weights: degree 8 needs 5 nodes a weight, 5^4 = 625 draws of the network.
SIZES = [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (3, 1), (4, 1)]


def weight_sets(width, D, scale, degree):
    """(W of shape (n, N, D), probabilities (n,)): averages over them are exact to that degree."""
    points, probabilities = gauss_hermite(width * D, degree)
    points = points * np.sqrt(width * D) * scale
    return points.reshape(-1, width, D), probabilities


def loss_terms(W, alpha, epsilon, beta):
    """{term: (value, magnitude)} of each network's population loss, entry by entry [eq. 6]."""
    D = len(beta)
    means, seconds = W.mean(1), np.einsum("kni,knj->kij", W, W) / W.shape[1]
    outer = np.outer(beta, beta)
    B, bound = outer - alpha * epsilon * seconds, abs(outer) + abs(alpha * epsilon * seconds)
    terms = {"linear": 2 * (alpha**2 * (means**2).sum(1) / D,)}
    for name, term in (
        ("variance", lambda B: B.trace(axis1=1, axis2=2) ** 2 / (4 * D**2)),
        ("misalignment", lambda B: (B**2).sum((1, 2)) / (2 * D**2)),
    ):
        terms[name] = term(B), term(bound)
    terms["expr"] = tuple(sum(parts) for parts in zip(*terms.values(), strict=True))
    return terms


@st.composite
def initialisations(draw):
    """(W, probabilities, the closed forms' arguments as exact numbers, beta)."""
    width, D = draw(st.sampled_from(SIZES))
    numbers = {
        "alpha": draw(strategies.alphas(-4, 4)),
        "epsilon": draw(strategies.epsilons()),
        "sigma": draw(strategies.scales(-2, 2)),
    }
    beta = draw(strategies.arrays(D, bound=2))
    exact = {k: sp.Rational(v) for k, v in numbers.items()} | {"N": width, "D": D}
    return width, D, numbers, beta, exact | {"beta": [sp.Rational(b) for b in beta]}


def values_of(name, exact):
    cf = closed_form(name)
    return {"expr": cf.evaluate(**exact), **cf.evaluate_terms(**exact)}


@given(initialisations())
def test_mean_loss_by_terms_is_that_over_an_exact_rule_of_weights(case):
    width, D, numbers, beta, exact = case
    W, probabilities = weight_sets(width, D, numbers["sigma"], degree=4)
    claimed = values_of("loss-at-init", exact)
    for name, (values, magnitudes) in loss_terms(W, **without_sigma(numbers), beta=beta).items():
        mean, size = values @ probabilities, magnitudes @ probabilities
        operations = 20 * W.size  # nodes and weights of the rule included
        assert_close(mean, float(claimed[name]), magnitude=size, operations=operations, label=name)


@given(initialisations())
def test_variance_of_the_loss_by_terms_is_that_over_an_exact_rule_of_weights(case):
    width, D, numbers, beta, exact = case
    W, probabilities = weight_sets(width, D, numbers["sigma"], degree=8)
    claimed = values_of("loss-variance-at-init", exact)
    covariances = float(claimed.pop("covariances"))
    for name, (values, magnitudes) in loss_terms(W, **without_sigma(numbers), beta=beta).items():
        spread = values**2 @ probabilities - (values @ probabilities) ** 2
        size = 2 * magnitudes**2 @ probabilities
        operations = 20 * W.size
        assert_close(
            spread, float(claimed[name]), magnitude=size, operations=operations, label=name
        )
    parts = sum(float(claimed[name]) for name in ("variance", "misalignment", "linear"))
    assert parts + covariances == pytest.approx(float(claimed["expr"]), rel=1e-12, abs=1e-300)


def without_sigma(numbers):
    return {k: v for k, v in numbers.items() if k != "sigma"}


@given(initialisations(), strategies.arrays(4, bound=2), strategies.arrays(4, bound=2))
def test_mean_and_variance_of_the_kernel_are_those_over_an_exact_rule_of_weights(case, x, x_prime):
    width, D, numbers, _, exact = case
    W, probabilities = weight_sets(width, D, numbers["sigma"], degree=4)
    x, x_prime, epsilon = x[:D], x_prime[:D], numbers["epsilon"]

    def kernels(W, x, x_prime, epsilon):
        slopes = (1 + epsilon * (W @ x)) * (1 + epsilon * (W @ x_prime))
        return (x @ x_prime) * slopes.mean(1)

    values = kernels(W, x, x_prime, epsilon)
    sizes = kernels(abs(W), abs(x), abs(x_prime), abs(epsilon))
    known = {k: exact[k] for k in ("epsilon", "sigma", "N", "D")}
    known |= {"x": [sp.Rational(v) for v in x], "x_prime": [sp.Rational(v) for v in x_prime]}
    claimed = closed_form("ntk-at-finite-width").evaluate_terms(**known)
    mean, operations = values @ probabilities, 20 * W.size
    assert_close(
        mean, float(claimed["mean"]), magnitude=sizes @ probabilities, operations=operations
    )
    spread, size = values**2 @ probabilities - mean**2, 2 * sizes**2 @ probabilities
    assert_close(spread, float(claimed["variance"]), magnitude=size, operations=operations)


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificate_proves_the_closed_form_for_every_dimension_and_width(name):
    assert "prove it for every D" in prove(CERTIFICATES[name], closed_form(name))


def test_sums_over_coinciding_neurons_are_needed(monkeypatch):
    """Negative control: with all indices taken to be distinct the certificates fail."""

    def distinct_only(places):
        yield list(range(places)), places

    monkeypatch.setattr(finite_width, "_partitions", distinct_only)
    for derive in (finite_width.loss_at_init, finite_width.moments_at_init):
        wrong = derive()
        with pytest.raises(AssertionError):
            prove(CERTIFICATES[wrong.name], wrong)


def test_a_mean_of_nothing_random_is_itself():
    assert finite_width.initial_mean(sp.S(3)) == 3
    assert finite_width.initial_variance(sp.S(3)) == 0


def test_one_neuron_has_M_of_rank_one():
    """N = 1: M = wbar wbar^T, so Tr M = |wbar|^2 draw by draw: their difference has no mean."""
    difference = sp.Trace(M) - dot(wbar, wbar)
    assert finite_width.initial_mean(difference).subs(N, 1) == 0
    assert finite_width.initial_mean(difference**2).subs(N, 1) == 0
    assert sp.limit(finite_width.initial_variance(sp.Trace(M * M)), N, sp.oo) == 0
    assert finite_width.initial_mean(sp.Trace(M - sigma**2 * I)) == 0


def test_initial_loss_of_simulated_networks_scatters_as_derived():
    """At a size beyond any rule: mean and variance over draws, within 4.5 standard errors.

    The seed is fixed; a right formula would fail for less than one choice of it in 10^4.
    """
    D, width, runs = 6, 5, 20_000
    task = PolynomialTask(D=D, P=1, n_test=1, seed=1)
    numbers = {"alpha": 1.5, "epsilon": 0.5}
    W = torch.from_numpy(np.random.default_rng(0).standard_normal((runs, width, D)))
    terms = population_terms(task, W.mean(1), W.mT @ W / width, **numbers)
    losses = sum(terms.values()).numpy()
    known = numbers | {"sigma": 1.0, "beta": task.beta.tolist(), "N": width, "D": D}
    mean = closed_form("loss-at-init").evaluate(**known)
    variance = closed_form("loss-variance-at-init").evaluate(**known)
    squares = (losses - losses.mean()) ** 2
    assert abs(losses.mean() - mean) < 4.5 * np.sqrt(variance / runs)
    assert abs(squares.mean() - variance) < 4.5 * squares.std() / np.sqrt(runs)
