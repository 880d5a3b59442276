"""f and the kernel in (wbar, M) are those of the definition, by autograd."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import jacrev

from lazyrich.simulate.network import ntk_normalised, predictions
from lazyrich.simulate.neurons import network

SIZES = st.integers(1, 6)
SEEDS = st.integers(0, 2**32 - 1)
SIGNED = st.one_of(st.just(0.0), st.floats(-4, -1e-3), st.floats(1e-3, 4))
ALPHA = st.floats(-3, 3).map(lambda power: 10.0**power)


def draw(N, D, P, Q, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((N, D), (P, D), (Q, D))
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)


@given(N=SIZES, D=SIZES, P=SIZES, epsilon=SIGNED, alpha=ALPHA, seed=SEEDS)
def test_the_network_is_a_function_of_its_moments(N, D, P, epsilon, alpha, seed):
    W, X, _ = draw(N, D, P, 1, seed)
    numbers = {"alpha": alpha, "epsilon": epsilon}
    found = predictions(X, W.mean(0), W.T @ W / N, **numbers)
    size = alpha * (X @ W.T).abs().mean(1) + alpha * abs(epsilon) * (X @ W.T).square().mean(1)
    error = (found - network(X, W, **numbers)).abs()
    assert bool((error <= 100 * (N + D) * 2.0**-52 * (size + alpha * X.abs().sum(1))).all())


@given(N=SIZES, D=SIZES, P=SIZES, Q=SIZES, epsilon=SIGNED, alpha=ALPHA, seed=SEEDS)
def test_the_normalised_kernel_is_the_ntk_by_autograd_over_alpha_square_by_N(
    N, D, P, Q, epsilon, alpha, seed
):
    W, X, X2 = draw(N, D, P, Q, seed)

    def gradients(inputs):
        return jacrev(lambda w: network(inputs, w, alpha=alpha, epsilon=epsilon))(W).flatten(1)

    ntk = gradients(X) @ gradients(X2).T
    found = ntk_normalised(X, X2, W.mean(0), W.T @ W / N, epsilon=epsilon)
    slopes = (1 + epsilon * (X @ W.T).abs()), (1 + epsilon * (X2 @ W.T).abs())
    size = (X.abs() @ X2.abs().T) * (slopes[0].abs() @ slopes[1].abs().T + N) / N
    error = (found - ntk * N / alpha**2).abs()
    allowed = 100 * (N + D) * 2.0**-52 * (1 + epsilon**2) * size * (1 + W.abs().max() ** 2) * D
    assert bool((error <= allowed).all())


def test_runs_of_a_batch_have_their_own_numbers():
    W, X, X2 = draw(3, 2, 4, 5, seed=0)
    alpha, epsilon = torch.tensor([1.0, 2.0]).double(), torch.tensor([0.5, -1.0]).double()
    wbar, M = torch.stack([W.mean(0), W[0]]), torch.stack([W.T @ W / 3, torch.outer(W[0], W[0])])
    f = predictions(X, wbar, M, alpha=alpha, epsilon=epsilon)
    K = ntk_normalised(X, X2, wbar, M, epsilon=epsilon)
    for run in range(2):
        numbers = {"alpha": float(alpha[run]), "epsilon": float(epsilon[run])}
        assert torch.allclose(f[run], predictions(X, wbar[run], M[run], **numbers), rtol=1e-13)
        alone = ntk_normalised(X, X2, wbar[run], M[run], epsilon=numbers["epsilon"])
        assert torch.allclose(K[run], alone, rtol=1e-13)
