"""Both layers trained: function, kernel, spectrum, and the moments that don't close."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.theory import closed_form
from lazyrich.verify.certificates import prove
from lazyrich.verify.certificates.alignment import CERTIFICATES
from lazyrich.verify.properties import readouts as laws
from lazyrich.verify.strategies import (
    alphas,
    arrays,
    dimensions,
    entries,
    epsilons,
    sample_sizes,
    scales,
    vectors,
    widths,
)

NAMES = [name for name in CERTIFICATES if name.startswith("readout")]


@st.composite
def readout_networks(draw):
    """(v, W) of shapes (N,) and (N, D)."""
    N, D = draw(widths()), draw(dimensions())
    return draw(arrays(N)), draw(arrays(N, D))


@pytest.mark.parametrize("name", NAMES)
def test_readout_closed_forms_are_proved_by_brute_force_at_every_dimension(name):
    assert "prove it for every D" in prove(CERTIFICATES[name], closed_form(name))


@given(dimensions().flatmap(lambda D: arrays(4, D)), epsilons(), scales(-3, 3), scales(-3, 3))
def test_kernel_of_both_layers_is_autograds_mean(X, epsilon, sigma_w, sigma_v):
    laws.readout_kernel_is_autograds(X, epsilon, sigma_w, sigma_v)


@given(dimensions(3), epsilons(), scales(-2, 2), scales(-2, 2))
def test_spectrum_of_both_layers(D, epsilon, sigma_w, sigma_v):
    laws.readout_operator_has_the_derived_spectrum(D, epsilon, sigma_w, sigma_v)


@given(readout_networks(), st.data(), alphas(), epsilons())
def test_function_depends_on_readout_weighted_moments(network, data, alpha, epsilon):
    v, W = network
    X = data.draw(arrays(data.draw(sample_sizes()), W.shape[1]))
    laws.readout_function_is_that_of_the_moments(v, W, X, alpha, epsilon)


@given(readout_networks(), st.data(), alphas(), epsilons())
def test_eq_6_holds_at_readout_weighted_moments(network, data, alpha, epsilon):
    v, W = network
    laws.readout_loss_is_eq_6(v, W, data.draw(vectors(W.shape[1])), alpha, epsilon)


@given(readout_networks(), st.data(), entries(), alphas(), epsilons())
def test_rate_of_the_moments_is_autograds(network, data, rho, alpha, epsilon):
    v, W = network
    x = data.draw(arrays(W.shape[1], bound=2))
    laws.readout_flow_is_the_derived(v, W, x, rho, alpha, epsilon)


def test_networks_of_equal_moments_part_after_one_step():
    X, y = np.array([[1.0]]), np.array([0.5])
    pairs = [(np.array([0.0]), np.array([[w]])) for w in (0.0, 1.0)]
    before = [laws.readout_moments(v, W) for v, W in pairs]
    after = [
        laws.moments_after_a_step(v, W, X, y, alpha=1.0, epsilon=0.0, learning_rate=0.5)
        for v, W in pairs
    ]
    assert np.array_equal(before[0][0], before[1][0])
    assert np.array_equal(before[0][1], before[1][1])
    assert after[0][0] == 0
    assert after[1][0] == 0.5


def test_with_frozen_readouts_the_kernel_of_the_weights_is_that_of_one_layer():
    from lazyrich.theory.readout import sigma_v, sigma_w
    from lazyrich.theory.symbols import sigma

    from_weights = closed_form("readout-ntk-at-init").terms["from_weights"]
    frozen = from_weights.subs({sigma_v: 1, sigma_w: sigma})
    assert sp.expand(frozen - closed_form("ntk-at-init").expr) == 0
