"""The shapes that jaxtyping declares are checked in each test, at the first calls of a function."""

import pytest
import torch
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from lazyrich.simulate.network import predictions
from lazyrich.simulate.pseudo_neurons import PseudoNeurons
from tests.shapes import CALLS, at_first_calls

X, WBAR, M = torch.zeros(5, 3), torch.zeros(3), torch.zeros(3, 3)


@pytest.mark.parametrize("earlier", [0, CALLS - 1])
def test_a_wrong_shape_is_an_error_of_the_first_calls(earlier):
    for _ in range(earlier):
        predictions(X, WBAR, M, alpha=1.0, epsilon=0.1)
    with pytest.raises(TypeCheckError, match="M"):
        predictions(X, WBAR, torch.zeros(3, 2), alpha=1.0, epsilon=0.1)


@pytest.mark.parametrize("column", [0, 1])
def test_later_calls_are_not_checked_and_each_test_begins_anew(column):
    with pytest.raises(TypeCheckError):
        predictions(X, WBAR, M[column], alpha=1.0, epsilon=0.1)
    for _ in range(CALLS):
        predictions(X, WBAR, M, alpha=1.0, epsilon=0.1)
    with pytest.raises(RuntimeError):  # torch's own
        predictions(X, WBAR, torch.zeros(3, 2), alpha=1.0, epsilon=0.1)


def test_a_function_in_a_function_is_checked_at_the_first_calls_of_all_that_are_made():
    def made():
        @at_first_calls(typechecker=beartype)
        def inner(x: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
            return x

        return inner

    with pytest.raises(TypeCheckError):
        made()(torch.zeros(2, 3))
    for _ in range(CALLS - 1):
        made()(torch.zeros(2, 2))
    assert made()(torch.zeros(2, 3)).shape == (2, 3)


def test_the_fields_of_a_dataclass_are_checked():
    with pytest.raises(TypeCheckError, match="signs"):
        PseudoNeurons(M, torch.zeros(2))
