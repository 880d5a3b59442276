"""Few samples that stand for many: the same alignments as those of the whole kernel."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.simulate import metrics
from lazyrich.simulate.activations import Curved
from lazyrich.simulate.arrays import standard_normal
from lazyrich.simulate.compressed import Compressed, features, pays
from lazyrich.simulate.metrics import (
    Alignments,
    alignment,
    centred_alignment,
    neuron_alignments,
)
from lazyrich.simulate.network import ntk_normalised
from lazyrich.simulate.two_layer import TwoLayer

SEEDS = st.integers(0, 2**32 - 1)
SIGNED = st.one_of(st.just(0.0), st.floats(-2, -1e-2), st.floats(1e-2, 2))
BOTH = {"alignment": alignment, "centred_alignment": centred_alignment}


@given(
    D=st.integers(1, 5),
    more=st.integers(1, 40),
    kinds=st.integers(2, 60),
    seed=SEEDS,
    epsilon=SIGNED,
    size=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_alignments_on_few_rows_are_those_of_the_whole_kernel(D, more, kinds, seed, epsilon, size):
    """Law: |K|_F and y^T K y are those of R A R^T, centred too, also where samples repeat."""
    n = features(D) + more
    X = standard_normal(seed, "test inputs", (n, D))[torch.arange(n) % kinds]
    W = size * standard_normal(seed, "weights", (2, 3, D))
    y = standard_normal(seed, "beta", (n,)) + 1
    wbar, M = W.mean(1), W.mT @ W / 3
    K = ntk_normalised(X, X, wbar, M, epsilon=epsilon)
    centre = torch.eye(n).double() - 1 / n
    lost = torch.linalg.matrix_norm(K) / torch.linalg.matrix_norm(centre @ K @ centre)
    for centred, (name, whole) in zip((False, True), BOTH.items(), strict=True):
        few = Compressed.of(X, y, is_centred=centred)
        assert few.linear.shape == (features(D) + 1, D)
        labels = few.y.expand(2, -1)
        found = alignment(few.kernel(wbar, M, epsilon=epsilon), labels)
        rounding = 1000 * n * 2.0**-52 * (lost if centred else torch.ones(2))
        assert ((found - whole(K, y.expand(2, -1))).abs() <= rounding).all(), name


def test_rows_that_forget_the_pairs_have_another_alignment():
    """The nearest wrong rows: those of the linear part alone."""
    X, y = standard_normal(0, "test inputs", (300, 2)), standard_normal(0, "beta", (300,))
    W = standard_normal(0, "weights", (5, 2))
    wbar, M = W.mean(0), W.T @ W / 5
    whole = alignment(ntk_normalised(X, X, wbar, M, epsilon=0.5), y)
    few = Compressed.of(X, y)
    wrong = replace(few, pairs=torch.zeros_like(few.pairs))
    for rows, right in ((few, True), (wrong, False)):
        found = alignment(rows.kernel(wbar, M, epsilon=0.5), rows.y)
        assert (abs(float(found / whole) - 1) < 1e-12) is right


@pytest.mark.parametrize("D", [1, 4, 30])
def test_it_is_used_where_it_is_less_work_and_only_there(D, monkeypatch):
    X, y = standard_normal(0, "test inputs", (200, D)), standard_normal(0, "beta", (200,))
    W = standard_normal(0, "weights", (5, D))
    wbar, M = W.mean(0), W.T @ W / 5
    K = ntk_normalised(X, X, wbar, M, epsilon=0.5)
    asked = []
    monkeypatch.setattr(metrics, "_in_blocks", lambda *given: asked.append(given) or {})
    found = Alignments(X, y)(wbar, M, epsilon=0.5)
    assert (not asked) == pays(200, D) == (D < 30)
    for name, value in found.items():
        assert float(value) == pytest.approx(float(BOTH[name](K, y)), rel=1e-12)


@pytest.mark.parametrize("zero", ["kernel", "labels", "centred labels", "samples"])
def test_they_are_nan_where_they_are_zero_by_zero(zero):
    n = 0 if zero == "samples" else 300
    X, y = standard_normal(0, "test inputs", (n, 2)), torch.ones(n).double()
    X, y = (X if zero != "kernel" else 0 * X), (y if zero != "labels" else 0 * y)
    found = Alignments(X, y)(torch.ones(2).double(), torch.eye(2).double(), epsilon=0.5)
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert undefined == set(BOTH) - ({"alignment"} if zero == "centred labels" else set())


def test_numbers_held_are_those_of_the_way_that_is_taken():
    assert Alignments.held(1000, 4) == 14 * 16
    assert Alignments.held(1000, 100) == 1000 * 1000
    assert Alignments.held(0, 1) == 1


@pytest.mark.parametrize(("n", "D"), [(40, 2), (300, 2), (300, 30), (20, 8)])
@pytest.mark.parametrize("same", ["labels", "samples"])
def test_centred_alignment_is_nan_where_only_rounding_is_left(n, D, same):
    """Law: H y = 0 for equal labels and H K H = 0 for equal samples, for any numbers."""
    X, y = standard_normal(0, "test inputs", (n, D)), standard_normal(0, "beta", (n,))
    W = standard_normal(0, "weights", (5, D))
    wbar, M = W.mean(0), W.T @ W / 5
    if same == "labels":
        y = torch.full_like(y, 0.1)
    else:
        X = X[:1].expand(n, D)
    found = Alignments(X, y)(wbar, M, epsilon=0.3)
    assert math.isnan(found["centred_alignment"])
    assert 0 <= float(found["alignment"]) <= 1 + 1e-12
    of_neurons = neuron_alignments(TwoLayer(W, None, 1.0, Curved(0.3)), X, y)
    assert math.isnan(of_neurons["centred_alignment"])
