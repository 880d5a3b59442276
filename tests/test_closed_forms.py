"""The functions made from closed forms equal them, and the assert that says so can say no."""

import numpy as np
import pytest
import torch
from hypothesis import settings

from lazyrich.theory import closed_form
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import assert_matches_closed_form

NAMES = (
    "network-function",
    "ntk",
    "ntk-at-init",
    "ntk-eigenvalues",
    "target-decomposition",
    "test-loss",
    "test-loss-centred",
    "test-loss-minimiser",
    "moment-step",
    "moment-flow",
)


def budget():
    return Budget(examples=settings().max_examples)


def on(backend, cf, part, dtype):
    """The generated function of a part on arrays of one type, returning NumPy arrays."""
    function = cf.function(backend) if part == "expr" else cf.functions(backend)[part]

    def cast(value):
        if np.ndim(value) == 0:
            return value
        if backend == "torch":
            return torch.tensor(value, dtype=getattr(torch, dtype))
        return np.asarray(value, dtype=dtype)

    def call(**values):
        return function(**{name: cast(value) for name, value in values.items()})

    return call


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", NAMES)
def test_generated_functions_equal_the_closed_form(name, backend):
    cf = closed_form(name)
    for part in ("expr", *cf.terms):
        call = on(backend, cf, part, "float64")
        assert_matches_closed_form(name, call, part=part, budget=budget())


@pytest.mark.parametrize("name", ["test-loss", "ntk", "moment-step"])
def test_generated_functions_hold_in_single_precision(name):
    cf = closed_form(name)
    call = on("torch", cf, "expr", "float32")
    assert_matches_closed_form(name, call, budget=budget(), dtype="float32")


def test_single_precision_does_not_pass_for_double():
    call = on("torch", closed_form("test-loss"), "expr", "float32")
    with pytest.raises(AssertionError, match="rounding explains"):
        assert_matches_closed_form("test-loss", call, budget=Budget(examples=200))


def wrong_power(alpha, wbar, D):
    return alpha**2 / D * np.abs(wbar @ wbar) ** 1.5


def wrong_at_one_width(**known):
    right = closed_form("ntk").function("numpy")(**known)
    return right * (1 if known["N"] != 3 else 2)


def no_number(alpha, wbar, D):
    return float("nan") * alpha * D * wbar @ wbar


def a_column(alpha, wbar, D):
    return alpha**2 / D * wbar


@pytest.mark.parametrize(
    ("name", "part", "wrong"),
    [
        ("test-loss", "linear", wrong_power),
        ("test-loss", "linear", no_number),
        ("test-loss", "linear", a_column),
        ("ntk", "expr", wrong_at_one_width),
    ],
)
def test_wrong_implementations_are_rejected_with_the_input_that_breaks_them(name, part, wrong):
    with pytest.raises(AssertionError) as caught:
        assert_matches_closed_form(name, wrong, part=part, budget=Budget(examples=200))
    assert any("Failing test case" in n or "Falsifying" in n for n in caught.value.__notes__)


def test_a_smallest_breaking_input_is_found():
    """The kernel is wrong at N = 3 only: everything else shrinks away."""
    with pytest.raises(AssertionError) as caught:
        assert_matches_closed_form("ntk", wrong_at_one_width, budget=Budget(examples=500))
    (note,) = (n for n in caught.value.__notes__ if "N" in n)
    assert "'N': 3" in note
    assert "'epsilon': 0.0" in note


def test_unknown_names_and_parts_are_named():
    with pytest.raises(ValueError, match="did you mean 'ntk'"):
        assert_matches_closed_form("ntkk", wrong_power)
    with pytest.raises(ValueError, match="did you mean 'linear'"):
        assert_matches_closed_form("test-loss", wrong_power, part="linar")
