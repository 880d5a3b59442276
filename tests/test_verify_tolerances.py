"""Tolerances cover rounding, and nothing else."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.theory.symbols import D, alpha, epsilon
from lazyrich.verify import tolerances
from lazyrich.verify.kumar.model import same_moments_same_network
from lazyrich.verify.strategies import Network
from lazyrich.verify.tracked import Tracked, tracked


@given(st.lists(st.integers(-(10**9), 10**9).map(lambda k: k / 1000), min_size=2, max_size=30))
def test_a_sum_in_any_order_stays_within_the_bound(values):
    exact = float(sum(map(Fraction, values)))
    magnitude = sum(map(abs, values))
    for dtype in (np.float64, np.float32):
        array = np.array(values, dtype=dtype)
        total = dtype(0)
        for value in array[::-1]:
            total = dtype(total + value)
        tolerances.assert_close(
            total, exact, magnitude=magnitude, operations=len(values) + 2, dtype=dtype
        )


def test_the_bound_is_not_much_larger_than_the_rounding_it_covers():
    """0.1 added up ten thousand times drifts by a visible share of the bound."""
    total = 0.0
    for _ in range(10_000):
        total += 0.1
    share = tolerances.assert_close(total, 1000.0, magnitude=1000.0, operations=10_000)
    assert share > 1e-4


@pytest.mark.parametrize("actual", [1 + 1e-13, float("nan"), float("inf")])
def test_anything_else_is_rejected(actual):
    with pytest.raises(AssertionError, match="rounding explains"):
        tolerances.assert_close(actual, 1.0, magnitude=1.0, operations=10)


def test_zero_magnitude_means_equal():
    assert tolerances.assert_close(0.0, 0.0, magnitude=0.0, operations=1) == 0
    with pytest.raises(AssertionError):
        tolerances.assert_close(1e-300, 0.0, magnitude=0.0, operations=1)


def test_shapes_must_agree():
    with pytest.raises(AssertionError, match="shape"):
        tolerances.assert_close(np.zeros(2), 0.0, magnitude=1.0, operations=1)


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), torch.float32])
def test_types_are_known_by_any_name(dtype):
    assert tolerances.rounding(10, dtype=dtype) == tolerances.rounding(10, dtype="float32")


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="dtype = 'float16'"):
        tolerances.rounding(1, dtype="float16")
    with pytest.raises(ValueError, match="operations = 0"):
        tolerances.rounding(0)
    with pytest.raises(ValueError, match="keeps no digit"):
        tolerances.rounding(10**9, dtype="float32")


def test_magnitudes_are_values_on_absolute_values():
    (pair,) = tracked(alpha - epsilon / D, {"alpha": 3.0, "epsilon": 4.0, "D": 2})
    assert pair == (1.0, 5.0)


def test_conditioning_survives_division():
    """A difference that cancels is badly conditioned, and so is its inverse."""
    difference = Tracked.of(1.0) - Tracked.of(0.75)
    inverse = difference**-2
    assert inverse.value == 16
    assert inverse.magnitude / inverse.value == (difference.magnitude / difference.value) ** 2


def test_the_kernel_of_nearly_orthogonal_inputs_keeps_the_rounding_of_its_terms():
    """x.x' cancels and the rounding of its terms stays: the bound is that of absolute inputs."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        network = Network(1.0, 0.5, rng.normal(size=(3, 3)), np.zeros(3))
        x, aside = rng.normal(size=(2, 3))
        across = aside - (aside @ x) / (x @ x) * x  # orthogonal to x, up to rounding
        assert same_moments_same_network(network, np.stack([x, across])) <= 1


@pytest.mark.parametrize(("share", "passes"), [(0.9, True), (1.1, False), (1.9, False)])
def test_the_whole_tolerance_may_be_used_and_no_more(share, passes):
    allowed = tolerances.rounding(10**6)
    try:
        used = tolerances.assert_close(share * allowed, 0.0, magnitude=1.0, operations=10**6)
    except AssertionError:
        assert not passes
    else:
        assert passes
        assert used == pytest.approx(share)
