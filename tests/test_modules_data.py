"""Perceptrons and their tasks: what is drawn, from which streams, and bad input."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lazyrich.simulate.modules.mlp import NTKLinear, Square, mlp
from lazyrich.simulate.modules.modular_addition import (
    classified,
    modular_addition,
    modular_pairs,
)
from lazyrich.simulate.modules.student_teacher import student_teacher, within

SEEDS = st.integers(0, 2**32 - 1)


@given(p=st.integers(2, 12), fraction=st.floats(0.3, 0.8), seed=SEEDS)
def test_every_pair_is_on_one_side_with_its_sum(p, fraction, seed):
    train, test = modular_pairs(p, fraction, seed)
    assert len(train) == int(fraction * p * p)
    assert sorted(map(tuple, torch.cat([train, test]).tolist())) == [
        (a, b) for a in range(p) for b in range(p)
    ]
    data = modular_addition(p, fraction, seed=seed)
    for pairs, X, y in ((train, data.X, data.y), (test, data.X_test, data.y_test)):
        eye = torch.eye(p).double()
        assert torch.equal(X, torch.cat([eye[pairs[:, 0]], eye[pairs[:, 1]]], 1))
        assert torch.equal(y, eye[pairs.sum(1) % p])


def test_splits_of_two_seeds_differ():
    assert not torch.equal(modular_pairs(11, 0.5, 0)[0], modular_pairs(11, 0.5, 1)[0])


@given(seed=SEEDS, scale=st.floats(0.1, 10), bias=st.booleans())
def test_the_standard_draw_is_torchs_law_times_the_scale(seed, scale, bias):
    for layer in mlp((7, 50, 3), bias=bias, scale=scale, seed=seed):
        if isinstance(layer, nn.Linear):
            side = scale / math.sqrt(layer.in_features)
            for parameter in layer.parameters():
                assert float(parameter.detach().abs().max()) <= side
                least = 1e-9 ** (1 / parameter.numel())  # all are below in one of 10^9 draws
                assert float(parameter.detach().abs().max()) > least * side
            assert (layer.bias is not None) == bias


def test_the_draws_have_the_moments_of_their_laws():
    """Within five standard errors, of 20,000 weights."""
    n = 100 * 200
    for parametrisation, variance, fourth in (("standard", 1 / 3, 1 / 5), ("ntk", 1.0, 3.0)):
        network = mlp((100, 200, 1), parametrisation=parametrisation, seed=3)
        w = network[0].weight.detach().flatten() * (10 if parametrisation == "standard" else 1)
        assert abs(float(w.mean())) < 5 * math.sqrt(variance / n)
        error = math.sqrt((fourth - variance**2) / n)
        assert abs(float(w.square().mean()) - variance) < 5 * error


def test_the_ntk_parametrisation_divides_by_the_fan_in():
    network = mlp((4, 9, 2), Square, bias=False, parametrisation="ntk", seed=1)
    X = torch.randn(5, 4, dtype=torch.float64)
    W, V = network[0].weight, network[2].weight
    assert isinstance(network[0], NTKLinear)
    assert torch.allclose(network(X), (X @ W.T / 2) ** 2 @ V.T / 3, rtol=1e-12)


def test_networks_of_one_seed_share_no_number_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    one, two = mlp((5, 5, 5), seed=0), mlp((5, 5, 5), seed=0, name="teacher")
    assert torch.equal(torch.get_rng_state(), before)
    drawn = torch.cat([p.detach().flatten() for m in (one, two) for p in m.parameters()])
    assert len(drawn.unique()) == len(drawn)
    again = mlp((5, 5, 5), seed=0)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))


@given(seed=SEEDS)
def test_the_teacher_labels_and_the_student_starts_elsewhere(seed):
    student, data = student_teacher(20, 10, seed=seed, widths=(5, 8, 8, 5))
    teacher = mlp((5, 8, 8, 5), nn.Tanh, seed=seed, name="teacher")
    with torch.no_grad():
        assert torch.equal(teacher(data.X), data.y)
        assert torch.equal(teacher(data.X_test), data.y_test)
        assert float((student(data.X) - data.y).abs().max()) > 0.01
    plain = mlp((5, 8, 8, 5), nn.Tanh, seed=seed)
    for doubled, parameter in zip(student.parameters(), plain.parameters(), strict=True):
        assert torch.equal(doubled, 2 * parameter)


def test_accuracies_are_those_of_a_table():
    f, y = torch.tensor([[0.1, 0.9], [0.8, 0.7], [0.3, 0.4]]), torch.eye(2)[[1, 1, 1]]
    assert classified(f, y).item() == pytest.approx(2 / 3)
    assert within(0.15, f, y).item() == pytest.approx(2 / 6)
    assert within(1.0, f, y).item() == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mlp((3,)), r"widths = \(3,\): must be at least input and output"),
        (lambda: mlp((3, 0)), "widths = 0: must be a positive integer"),
        (lambda: mlp((3, 1), parametrisation="mup"), "parametrisation = 'mup'"),
        (lambda: mlp((3, 1), scale=math.nan), "scale = nan: must be a finite number"),
        (lambda: mlp((3, 1), seed=-1), "seed = -1: must be an integer of at least 0"),
        (lambda: modular_addition(0), "p = 0: must be a positive integer"),
        (lambda: modular_addition(5, 1.0), "fraction = 1.0: must leave pairs on both sides of 25"),
        (lambda: modular_addition(5, 0.01), "fraction = 0.01: must leave pairs"),
        (lambda: student_teacher(0), "P = 0: must be a positive integer"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
