"""Laws of the pseudo-neurons: they have the moments of the neurons that they stand for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.simulate.pseudo_neurons import PseudoNeurons

SEEDS = st.integers(0, 2**32 - 1)
ROUNDING = 2.0**-52


def weights(N, D, seed, rank=None):
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(N, rank or D, generator=generator, dtype=torch.float64)
    return W if rank is None else W @ torch.randn(rank, D, generator=generator, dtype=torch.float64)


def assert_equal_moments(found, wbar, M):
    # Decompositions of a D x D matrix are backward stable: D units of rounding, and some.
    scale = float(torch.linalg.matrix_norm(M) + wbar @ wbar)
    D = M.shape[0]
    assert float((found.M - M).abs().max()) <= 20 * D * ROUNDING * scale
    assert float((found.wbar - wbar).abs().max()) <= 20 * D * ROUNDING * scale**0.5


@given(N=st.integers(1, 9), D=st.integers(1, 9), seed=SEEDS)
def test_pseudo_neurons_of_neurons_have_their_moments_and_number_at_most_min_N_D_plus_1(N, D, seed):
    W = weights(N, D, seed)
    found = PseudoNeurons.from_weights(W)
    assert found.columns.shape == (D, 1 + min(N - 1, D))
    assert bool((found.signs == 1).all())
    assert_equal_moments(found, W.mean(0), W.T @ W / N)


@given(
    N=st.integers(1, 9),
    D=st.integers(2, 9),
    seed=SEEDS,
    rank=st.integers(1, 2),
    size=st.floats(-9, 9),
)
def test_null_directions_are_dropped_at_any_size_of_the_weights(N, D, seed, rank, size):
    found = PseudoNeurons.from_weights(10.0**size * weights(N, D, seed, rank))
    assert found.columns.shape[1] <= 1 + min(N - 1, rank)


@given(D=st.integers(1, 9), seed=SEEDS, size=st.floats(-9, 9), shift=st.floats(-3, 3))
def test_pseudo_neurons_of_any_symmetric_matrix_have_it_as_second_moment(D, seed, size, shift):
    A = 10.0**size * weights(D, D, seed)
    M, wbar = A + A.T + shift * torch.eye(D), 10.0**size * weights(1, D, seed + 1)[0]
    found = PseudoNeurons.from_moments(wbar, M)
    assert found.columns.shape[1] <= D + 1
    assert set(found.signs.tolist()) <= {1.0, -1.0}
    assert_equal_moments(found, wbar, M)


@given(D=st.integers(1, 9), sigma=st.floats(-3, 3))
def test_infinite_width_is_the_isotropic_second_moment(D, sigma):
    found = PseudoNeurons.isotropic(D, sigma)
    assert torch.allclose(found.M, sigma**2 * torch.eye(D, dtype=torch.float64), rtol=1e-15)
    assert not found.wbar.any()


@given(N=st.integers(1, 9), D=st.integers(1, 5), seed=SEEDS)
def test_squares_and_changes_are_means_over_the_neurons_after_an_affine_map(N, D, seed):
    W, A = weights(N, D, seed), weights(D, D, seed + 1)
    start = PseudoNeurons.from_weights(W)
    moved_columns = A @ start.columns
    moved_columns[:, 0] += 1.0  # an affine map moves the mean alone by its constant
    moved, moved_W = PseudoNeurons(moved_columns, start.signs), W @ A.T + 1.0
    for found, neurons in ((moved, moved_W), (moved.minus(start), moved_W - W)):
        direct = float(neurons.square().sum(1).mean())
        scale = float(moved_W.square().sum() + W.square().sum())
        assert abs(float(found.square()) - direct) <= 50 * (N + D) * ROUNDING * scale


@given(seed=SEEDS)
def test_leading_axes_are_runs(seed):
    W = torch.stack([weights(4, 3, seed), weights(4, 3, seed + 1)])
    together = PseudoNeurons.from_weights(W)
    back = PseudoNeurons.from_moments(together.wbar, together.M)
    for run in range(2):
        alone = PseudoNeurons.from_weights(W[run])
        assert_equal_moments(alone, together.wbar[run], together.M[run])
        assert_equal_moments(alone, back.wbar[run], back.M[run])
        assert float(together.square()[run]) == pytest.approx(float(alone.square()), rel=1e-13)
