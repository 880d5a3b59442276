"""The laws of model and training hold on random networks; planted errors break each of them."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.verify import properties
from lazyrich.verify import strategies as draw
from lazyrich.verify.attack import attack
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import closed_form_function
from lazyrich.verify.properties import training as properties_training

RATES = st.sampled_from([0.5, 0.25, 0.125])


@given(draw.networks_with_rows(3))
def test_autograds_kernel_equals_the_derived_one(pair):
    properties.ntk_is_the_jacobians_gram_matrix(*pair)


@given(draw.dimensions(4), draw.epsilons(), draw.scales(-3, 3))
def test_the_operators_spectrum_is_the_derived_one_with_multiplicities(D, epsilon, sigma):
    properties.operator_has_the_derived_spectrum(D, epsilon, sigma)


@given(draw.networks())
def test_the_loss_on_an_exact_test_set_is_the_closed_form_term_by_term(network):
    properties.loss_equals_its_closed_form(network)


@given(draw.networks_with_rows(2))
def test_the_centred_loss_is_the_closed_form_in_the_differences(pair):
    properties.loss_equals_its_closed_form(*pair)


@given(draw.networks())
def test_the_derived_gradients_are_autograds(network):
    properties.gradient_is_autograds(network)


@given(draw.networks())
def test_two_neurons_reach_the_minimum_where_it_exists(network):
    properties.minimiser_reaches_zero(network)


@given(draw.trainings(), draw.scales())
def test_the_derived_step_is_autograds(training, eta_0):
    properties_training.moment_step_is_autograds(training, eta_0)


@pytest.mark.parametrize("D", [12, 40])
def test_the_loss_is_the_closed_form_at_large_dimensions_too(D):
    """Gaussian weights and target: 2 D^2 + 1 points are still the whole population."""
    rng = np.random.default_rng(D)
    W, start, beta = (rng.standard_normal(shape) for shape in ((7, D), (7, D), D))
    network = draw.Network(alpha=2.0, epsilon=-0.5, W=W, beta=beta)
    properties.loss_equals_its_closed_form(network)
    properties.loss_equals_its_closed_form(network, start)


@pytest.mark.parametrize("D", [5, 6])
def test_the_spectrum_holds_at_higher_dimensions(D):
    properties.operator_has_the_derived_spectrum(D, epsilon=0.75, sigma=1.5)


def test_engines_agree_over_many_steps():
    attack(properties_training.engines_agree, draw.trainings(), RATES, budget=Budget(examples=8))


@pytest.mark.parametrize("epsilon", [-1.0, 0.125])
def test_training_leaves_its_linearisation_as_one_over_alpha(epsilon):
    properties_training.laziness_is_first_order(seed=1, epsilon=epsilon)


def scaled(name, factor, part="expr"):
    """A closed form's function times a factor."""
    return lambda **known: factor * closed_form_function(name, part)(**known)


def wrong_multiplicity(D, epsilon, sigma):
    terms = properties.derived_spectrum(D, epsilon, sigma)
    value, size = terms["traceless"]
    return terms | {"traceless": (value, size + 1)}


def wrong_radial(D, epsilon, sigma):
    terms = properties.derived_spectrum(D, epsilon, sigma)
    return terms | {"radial": ((1 + 2 / D) / D, 1)}  # eq. (16)


def step_without_second_order(**known):
    wbar, M = closed_form_function("moment-step")(**known)
    g = wbar - known["wbar"]
    return wbar, M - g[:, None] * g[None, :]


PLANTED = {
    "kernel off by a rounding error or two": (
        lambda p: properties.ntk_is_the_jacobians_gram_matrix(*p, scaled("ntk", 1 + 1e-11)),
        (draw.networks_with_rows(3),),
    ),
    "one traceless function too many": (
        lambda *a: properties.operator_has_the_derived_spectrum(*a, wrong_multiplicity),
        (draw.dimensions(4), draw.epsilons(), draw.scales(-3, 3)),
    ),
    "the radial eigenvalue of eq. (16)": (
        lambda *a: properties.operator_has_the_derived_spectrum(*a, wrong_radial),
        (draw.dimensions(4), draw.epsilons(), draw.scales(-3, 3)),
    ),
    **{
        f"{term} off by a millionth": (
            lambda n, t=term: properties.loss_equals_its_closed_form(
                n, terms={t: scaled("test-loss", 1 + 1e-6, t)}
            ),
            (draw.networks(),),
        )
        for term in ("variance", "misalignment", "linear")
    },
    "half of the gradient in M": (
        lambda n: properties.gradient_is_autograds(
            n, {"gradient_M": lambda **k: properties._gradient_function("gradient_M")(**k).triu()}
        ),
        (draw.networks(),),
    ),
    "half the minimiser": (
        lambda n: properties.minimiser_reaches_zero(n, scaled("test-loss-minimiser", 0.5)),
        (draw.networks(),),
    ),
    "a step without its square": (
        lambda t, e: properties_training.moment_step_is_autograds(t, e, step_without_second_order),
        (draw.trainings(), draw.scales()),
    ),
    "engines at learning rates a thousandth apart": (
        lambda t, share: properties_training.engines_agree(t, share, weight_decay=1e-6),
        (draw.trainings(), RATES),
    ),
    "linearised at another rate": (
        lambda seed: properties_training.laziness_is_first_order(seed, 0.5, learning_rate=0.01),
        (draw.seeds(),),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_breaks_the_law(name):
    law, inputs = PLANTED[name]
    with pytest.raises(AssertionError):
        attack(law, *inputs, budget=Budget(examples=100), shrink=False)


def test_uncentred_training_is_not_lazy_however_large_alpha_is():
    slope = properties_training.laziness_slope(seed=0, epsilon=0.5, centred=False)
    assert abs(slope) < properties_training.SLOPE_TOLERANCE


# The strategies reach the corners that they promise.

CORNERS = {
    "D = 1": ("networks", lambda n: n.D == 1),
    "N = 1": ("networks", lambda n: n.N == 1),
    "a linear network": ("networks", lambda n: n.epsilon == 0 and n.W.any()),
    "negative epsilon": ("networks", lambda n: n.epsilon < 0),
    "tiny alpha": ("networks", lambda n: 0 < n.alpha < 1e-5),
    "huge alpha": ("networks", lambda n: n.alpha > 1e5),
    "negative alpha": ("networks", lambda n: n.alpha < 0),
    "long beta": ("networks", lambda n: n.beta @ n.beta > 50 * n.D),
    "more samples than weights": ("trainings", lambda t: t.P > t.network.D),
    "fewer samples than dimensions": ("trainings", lambda t: t.P < t.network.D),
    "indefinite M": ("any_second_moments", lambda M: np.linalg.eigvalsh(M)[0] < -1e-3),
    "singular M": ("second_moments", lambda M: M.any() and np.linalg.matrix_rank(M) < 3),
}


@cache
def drawn(strategy):
    """What an attack draws: the same for all corners, as it has a seed."""
    found = []
    size = (3,) if strategy.endswith("second_moments") else ()
    attack(found.append, getattr(draw, strategy)(*size), budget=Budget(examples=200))
    return found


@pytest.mark.parametrize("name", CORNERS)
def test_strategies_reach_the_corner(name):
    strategy, wanted = CORNERS[name]
    assert len(drawn(strategy)) == 200
    assert any(map(wanted, drawn(strategy)))


@given(draw.networks(), draw.vectors(4), draw.any_second_moments(3))
def test_inputs_are_exact_in_single_precision_and_symmetric(network, v, M):
    for array in (network.W, network.beta, v):
        assert (array.astype(np.float32) == array).all()
    assert (M == M.T).all()
