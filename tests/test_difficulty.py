"""Sec. 10: how far lazy training moves the weights, and the difficulty of a task."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.theory import closed_form
from lazyrich.theory.difficulty import M_dw
from lazyrich.theory.symbols import N, alpha, epsilon, x
from lazyrich.theory.wick import dot, form
from lazyrich.verify.properties import difficulty as laws
from lazyrich.verify.strategies import (
    Network,
    arrays,
    dimensions,
    epsilons,
    networks,
    sample_sizes,
    scales,
    seeds,
)


@given(networks(3, 4), st.data(), scales(-6, 6))
def test_movement_of_lazy_training_at_any_time(network, data, tau):
    P = data.draw(sample_sizes())
    X, r = data.draw(arrays(P, network.D, bound=2)), data.draw(arrays(P))
    laws.movement_is_the_derived(network, X, r, tau)


@given(networks(), st.data())
def test_what_linearisation_leaves_out(network, data):
    change = data.draw(arrays(network.N, network.D))
    X = data.draw(arrays(data.draw(sample_sizes()), network.D, bound=2))
    laws.linearisation_leaves_out_the_derived(network, change, X)


@given(
    dimensions(3),
    st.lists(st.integers(-9, 9), min_size=3, max_size=3),
    epsilons().filter(bool),
    seeds(),
)
def test_difficulty_of_the_target_grows_with_P_and_saturates(D, beta, epsilon, seed):
    laws.difficulty_saturates(D, beta[:D], Fraction(epsilon), seed)


def test_a_wrong_limit_of_the_difficulty_is_rejected():
    with pytest.raises(AssertionError, match="not 1"):
        laws.difficulty_saturates(2, [1, 2], Fraction(1, 2), 0, limit=lambda **_: 1)


def test_final_movement_is_that_of_the_least_norm_solution():
    rng = np.random.default_rng(0)
    K = np.cov(rng.normal(size=(4, 9)))
    r, N, alpha = rng.normal(size=4), 5, 3.0
    J = np.linalg.cholesky(alpha**2 / N * K)
    least = np.linalg.lstsq(J, r, rcond=None)[0]
    derived = closed_form("lazy-movement").function("torch")(
        K=torch.as_tensor(K), r=torch.as_tensor(r), N=N, alpha=alpha
    )
    condition = np.linalg.cond(K)
    assert float(derived) == pytest.approx(least @ least, rel=condition * 4**2 * 2.0**-52)


@given(networks(), st.data())
def test_a_linear_network_is_exactly_lazy_however_hard_the_task(network, data):
    linear = replace(network, epsilon=0.0)
    change = data.draw(arrays(network.N, network.D))
    X = data.draw(arrays(data.draw(sample_sizes()), network.D, bound=2))
    nothing = torch.zeros(len(X), dtype=torch.float64)
    laws.linearisation_leaves_out_the_derived(linear, change, X, error=lambda **_: nothing)


def test_with_curvature_the_network_is_not_its_linearisation():
    network = Network(alpha=1.0, epsilon=0.5, W=np.array([[1.0]]), beta=np.array([1.0]))
    one, nothing = np.ones((1, 1)), torch.zeros(1, dtype=torch.float64)
    with pytest.raises(AssertionError, match="remainder"):
        laws.linearisation_leaves_out_the_derived(network, one, one, error=lambda **_: nothing)


def test_the_relative_movement_of_the_target_is_that_of_lazy_training():
    """|w - w0|^2 by ``lazy-movement`` for difficulty q = r K^-1 r, over <|w0|^2> = N D sigma^2."""
    point = {"D": 3, "epsilon": Fraction(1, 2), "sigma": Fraction(2, 3), "beta": [1, 2, 3]}
    form = closed_form("target-difficulty")
    q = form.evaluate(**point)
    moved = closed_form("lazy-movement").evaluate(K=[[q]], r=[q], N=7, alpha=5)
    weights = 7 * point["D"] * point["sigma"] ** 2
    assert form.evaluate_terms(**point, alpha=5)["relative_movement"] == moved / weights
    assert closed_form("lazy-movement").steps[-1][1] == 0


def test_the_bound_of_what_is_left_out_is_met_where_all_weights_move_along_x():
    """M_dw = |w - w0|^2/N xx'/|x|^2 makes x'M_dw x = |x|^2 |w - w0|^2/N."""
    cf, moved = closed_form("linearisation-error"), closed_form("lazy-movement").expr
    exact = cf.expr.subs(form(x, M_dw, x), dot(x, x) * moved / N)
    signs = {alpha: sp.Symbol("a", positive=True), epsilon: sp.Symbol("e", positive=True)}
    left = (cf.components["bound_at_lazy_minimum"] - exact).subs(signs)
    assert sp.simplify(left) == 0
